//! What is playing or to be played, as DIDL-Lite (ContentDirectory:1, 2.8.4), read and written.

use accord_model::text::for_screen;

use super::soap;
use super::xml::{escaped, parse};

/// Longest title, artist or album that is kept, in characters.
const MAX_TEXT: usize = 256;

/// What a renderer says of what it plays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Track {
    /// Its title.
    pub title: Option<String>,
    /// Who made it.
    pub artist: Option<String>,
    /// What it is part of.
    pub album: Option<String>,
}

/// Reads it; nothing of what cannot be read.
pub fn track(text: &str) -> Track {
    if !text.contains('<') {
        return Track::default();
    }
    let Ok(root) = parse(text.as_bytes()) else { return Track::default() };
    let first = |name: &str| {
        let found = root.all().find(|element| element.name == name && !element.text.is_empty());
        found.map(|element| for_screen(&element.text, MAX_TEXT))
    };
    Track { title: first("title"), artist: first("artist").or_else(|| first("creator")), album: first("album") }
}

/// Something at an address, as a renderer is told of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Item {
    /// The address, from which the renderer fetches it.
    pub address: String,
    /// What it shows as the title.
    pub title: String,
    /// Its MIME type; else what the end of the address says.
    pub format: Option<String>,
    /// Which parts of it can be fetched; not known when nothing is said.
    pub seek: Option<Seek>,
    /// How long it is, in seconds.
    pub length: Option<f64>,
    /// The address of its captions.
    pub captions: Option<String>,
}

/// Which parts of something can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// Any bytes.
    Bytes,
    /// From any second on, of what is converted.
    Time,
    /// None, of what is converted.
    None,
}

/// In which ways a renderer is told of captions: each make knows another one, and passes over those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// Elements of Samsung's own.
    pub samsung: bool,
    /// A second resource of the item: LG.
    pub resource: bool,
    /// An attribute of Panasonic's own at the first resource.
    pub panasonic: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self { samsung: true, resource: true, panasonic: true }
    }
}

impl Item {
    /// What is at an address, of which nothing else is known.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned(), ..Self::default() }
    }

    fn mime(&self) -> &str {
        self.format.as_deref().unwrap_or_else(|| format_of(&self.address))
    }

    /// The fourth field of protocolInfo (DLNA guidelines, 7.4.1.3): which parts can be fetched, whether it is converted,
    /// and how it is sent. Which profile it is of is left out: a wrong one is refused where none is taken.
    fn features(&self) -> String {
        let (parts, converted, flags) = match self.seek {
            None => return "*".to_owned(),
            Some(Seek::Bytes) if self.mime().starts_with("image/") => ("01", 0, "00F00000"),
            Some(Seek::Bytes) => ("01", 0, "01700000"),
            Some(Seek::Time) => ("10", 1, "01500000"),
            Some(Seek::None) => ("00", 1, "01500000"),
        };
        format!("DLNA.ORG_OP={parts};DLNA.ORG_CI={converted};DLNA.ORG_FLAGS={flags}{:024}", 0)
    }
}

/// Describes an item to a renderer: most want to know at least title and format before they load it, and go to another
/// place only in what says that this can be done.
pub fn document(item: &Item, ways: Ways) -> String {
    let mime = item.mime();
    let class = match mime.split('/').next() {
        Some("video") => "object.item.videoItem.movie",
        Some("audio") => "object.item.audioItem.musicTrack",
        Some("image") => "object.item.imageItem.photo",
        _ => "object.item",
    };
    let captions = item.captions.as_deref().map(|address| (quoted(address), caption_kind(address)));
    let srt = captions.as_ref().filter(|(_, kind)| *kind == "srt").map(|(address, _)| address);
    let mut attributes = String::new();
    if let Some(length) = item.length {
        attributes.push_str(&format!(" duration=\"{}.000\"", soap::clock(length)));
    }
    if let Some(address) = srt.filter(|_| ways.panasonic) {
        attributes.push_str(&format!(" pv:subtitleFileUri=\"{address}\" pv:subtitleFileType=\"SRT\""));
    }
    let mut more = String::new();
    if let Some((address, kind)) = captions.as_ref().filter(|_| ways.resource) {
        more.push_str(&format!("<res protocolInfo=\"http-get:*:text/{kind}:*\">{address}</res>"));
    }
    if let Some(address) = srt.filter(|_| ways.samsung) {
        for name in ["sec:CaptionInfo", "sec:CaptionInfoEx"] {
            more.push_str(&format!("<{name} sec:type=\"srt\">{address}</{name}>"));
        }
    }
    format!(
        "<DIDL-Lite xmlns=\"urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:upnp=\"urn:schemas-upnp-org:metadata-1-0/upnp/\"{}><item id=\"0\" parentID=\"-1\" restricted=\"1\">\
         <dc:title>{}</dc:title><upnp:class>{class}</upnp:class>\
         <res protocolInfo=\"http-get:*:{}:{}\"{attributes}>{}</res>{more}</item></DIDL-Lite>",
        if captions.is_some() {
            " xmlns:sec=\"http://www.sec.co.kr/\" xmlns:pv=\"http://www.pv.com/pvns/\""
        } else {
            ""
        },
        escaped(&item.title),
        quoted(mime),
        item.features(),
        escaped(&item.address),
    )
}

/// As it stands in an attribute. Addresses and types have no quotation marks; what has them all the same ends nothing.
fn quoted(text: &str) -> String {
    escaped(text).replace('"', "%22")
}

fn caption_kind(address: &str) -> &'static str {
    if end_of(address) == "srt" { "srt" } else { "vtt" }
}

fn end_of(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase()
}

/// What the end of an address says of its format.
fn format_of(address: &str) -> &'static str {
    match end_of(address).as_str() {
        "mp4" | "m4v" => "video/mp4",
        "mkv" => "video/x-matroska",
        "webm" => "video/webm",
        "avi" => "video/avi",
        "ts" | "mpg" | "mpeg" => "video/mpeg",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "m4a" | "aac" => "audio/mp4",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        _ => "*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_described_reads_back_and_noise_says_nothing() {
        let item = Item { title: "a & b <c>".into(), ..Item::at("http://10.0.0.2/x?a&b.flac") };
        let item = document(&Item { format: Some("audio/flac".into()), ..item }, Ways::default());
        assert_eq!(track(&item).title.as_deref(), Some("a & b <c>"));
        assert!(item.contains("object.item.audioItem.musicTrack") && item.contains("x?a&amp;b"));
        assert!(item.contains("http-get:*:audio/flac:*\""), "nothing is claimed that is not known");
        let said = "<DIDL-Lite xmlns:dc='d' xmlns:upnp='u'><item><dc:title>T</dc:title><dc:creator>C</dc:creator><upnp:album>A</upnp:album></item></DIDL-Lite>";
        let expected = Track { title: Some("T".into()), artist: Some("C".into()), album: Some("A".into()) };
        assert_eq!(track(said), expected);
        for noise in ["", "NOT_IMPLEMENTED", "<", "<!DOCTYPE a><a/>", "<DIDL-Lite><title></title></DIDL-Lite>"] {
            assert_eq!(track(noise), Track::default(), "{noise}");
        }
    }

    #[test]
    fn flags_say_what_can_be_done_with_it() {
        for (end, seek, features) in [
            (
                "mp4",
                Some(Seek::Bytes),
                "video/mp4:DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000",
            ),
            (
                "mp3",
                Some(Seek::Bytes),
                "audio/mpeg:DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000",
            ),
            (
                "jpg",
                Some(Seek::Bytes),
                "image/jpeg:DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=00F00000000000000000000000000000",
            ),
            (
                "ts",
                Some(Seek::None),
                "video/mpeg:DLNA.ORG_OP=00;DLNA.ORG_CI=1;DLNA.ORG_FLAGS=01500000000000000000000000000000",
            ),
            (
                "ts",
                Some(Seek::Time),
                "video/mpeg:DLNA.ORG_OP=10;DLNA.ORG_CI=1;DLNA.ORG_FLAGS=01500000000000000000000000000000",
            ),
            ("xyz", None, "*:*"),
        ] {
            let item = Item { seek, length: Some(3723.9), ..Item::at(&format!("http://10.0.0.2/x.{end}")) };
            let text = document(&item, Ways::default());
            assert!(
                text.contains(&format!("<res protocolInfo=\"http-get:*:{features}\" duration=\"1:02:03.000\">")),
                "{text}"
            );
        }
    }

    #[test]
    fn captions_are_told_in_the_ways_that_are_known() {
        let item = Item { captions: Some("http://10.0.0.1/c.srt?x&y".into()), ..Item::at("http://10.0.0.1/x.mp4") };
        let all = document(&item, Ways::default());
        let root = parse(all.as_bytes()).unwrap();
        let of = |name: &str| -> Vec<_> { root.all().filter(|one| one.name == name).collect() };
        let address = "http://10.0.0.1/c.srt?x&y";
        assert_eq!(of("res").len(), 2);
        assert_eq!(of("res")[0].attribute("subtitleFileUri"), Some(address));
        assert_eq!(
            (of("res")[1].text.as_str(), of("res")[1].attribute("protocolInfo")),
            (address, Some("http-get:*:text/srt:*"))
        );
        assert_eq!(
            (of("CaptionInfo")[0].text.as_str(), of("CaptionInfoEx")[0].attribute("type")),
            (address, Some("srt"))
        );
        let none = document(&item, Ways { samsung: false, resource: false, panasonic: false });
        assert!(!none.contains("c.srt"));
        let vtt = document(&Item { captions: Some("http://10.0.0.1/c.vtt".into()), ..item }, Ways::default());
        assert!(vtt.contains("text/vtt") && !vtt.contains("CaptionInfo") && !vtt.contains("subtitleFileUri"));
        let odd = Item { format: Some("a\"/><b".into()), ..Item::at("http://10.0.0.1/x") };
        assert!(parse(document(&odd, Ways::default()).as_bytes()).is_ok(), "nothing breaks out");
    }
}
