//! What is playing, as DIDL-Lite (ContentDirectory:1, 2.8.4), read and written.

use accord_model::text::for_screen;

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

/// Describes an address to a renderer: most want to know at least title and format before they load it.
pub fn item(title: &str, address: &str, mime: &str) -> String {
    let class = match mime.split('/').next() {
        Some("video") => "object.item.videoItem.movie",
        Some("audio") => "object.item.audioItem.musicTrack",
        Some("image") => "object.item.imageItem.photo",
        _ => "object.item",
    };
    let title = escaped(title);
    let (address, mime) = (escaped(address), escaped(mime));
    format!(
        "<DIDL-Lite xmlns=\"urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:upnp=\"urn:schemas-upnp-org:metadata-1-0/upnp/\"><item id=\"0\" parentID=\"-1\" restricted=\"1\">\
         <dc:title>{title}</dc:title><upnp:class>{class}</upnp:class>\
         <res protocolInfo=\"http-get:*:{mime}:*\">{address}</res></item></DIDL-Lite>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_described_reads_back_and_noise_says_nothing() {
        let item = item("a & b <c>", "http://10.0.0.2/x?a&b", "audio/flac");
        assert_eq!(track(&item).title.as_deref(), Some("a & b <c>"));
        assert!(item.contains("object.item.audioItem.musicTrack") && item.contains("x?a&amp;b"));
        let said = "<DIDL-Lite xmlns:dc='d' xmlns:upnp='u'><item><dc:title>T</dc:title><dc:creator>C</dc:creator><upnp:album>A</upnp:album></item></DIDL-Lite>";
        let expected = Track { title: Some("T".into()), artist: Some("C".into()), album: Some("A".into()) };
        assert_eq!(track(said), expected);
        for noise in ["", "NOT_IMPLEMENTED", "<", "<!DOCTYPE a><a/>", "<DIDL-Lite><title></title></DIDL-Lite>"] {
            assert_eq!(track(noise), Track::default(), "{noise}");
        }
    }
}
