//! What lies on a media server (ContentDirectory:1): the questions, and the answers as entries of folders. Objects have ids
//! that mean something to the server alone; here they have paths made of their titles, as files do.

use std::collections::{BTreeMap, HashMap};

use accord_model::text::is_unsafe;

use super::place::Place;
use super::soap::{self, Arguments};
use super::xml::{Element, XmlError, parse};

/// The outermost folder (2.8.2).
pub const ROOT: &str = "0";
/// Objects that are asked for at once: first, and of servers whose answers are too long then.
const AT_ONCE: [u32; 3] = [100, 25, 5];
/// Most objects of one folder.
pub const MAX_OBJECTS: usize = 10_000;
/// Longest id of an object, in bytes, and longest title that is kept, in characters.
const MAX_ID: usize = 512;
const MAX_NAME: usize = 200;
/// Questions about one folder, whatever it claims to hold.
const MAX_QUESTIONS: u32 = 512;
/// What is wanted of an object beside what always comes.
const FILTER: &str = "dc:title,dc:date,upnp:class,res,res@size,res@duration,res@protocolInfo";

/// Something that lies there.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The server's own name for it.
    pub id: String,
    /// What it is called: unique in its folder, without `/`.
    pub name: String,
    /// What it is; a folder has no content.
    pub content: Content,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// It holds others.
    Folder,
    /// It can be fetched.
    File(Resource),
    /// It is nowhere on the server's own host.
    Nowhere,
}

/// Where the content of an object is.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// On the server's host.
    pub place: Place,
    /// Its MIME type.
    pub format: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// In seconds.
    pub length: Option<f64>,
    /// Whether it says that any part can be fetched.
    pub seek: bool,
    /// It is made from the original on the way.
    converted: bool,
}

/// Reads a folder, one question after the other.
#[derive(Debug)]
pub struct Reading {
    id: String,
    at_once: usize,
    questions: u32,
    /// Objects that were told, read or not.
    told: u64,
    objects: Vec<Object>,
    /// Names that are taken, and the number that the next of the same would get.
    names: HashMap<String, u32>,
    more: bool,
    nameless: u64,
}

/// All that is in a folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// In the order of the server.
    pub objects: Vec<Object>,
    /// There is more.
    pub more: bool,
    /// Objects without a title or id.
    pub nameless: u64,
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Senseless {
    /// It is not the document that it should be.
    #[error("what the server says of this folder cannot be read: {0}")]
    Xml(#[from] XmlError),
    /// It says nothing.
    #[error("the server says nothing of this folder")]
    Empty,
}

impl Reading {
    /// Of the folder with this id.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            at_once: 0,
            questions: 0,
            told: 0,
            objects: Vec::new(),
            names: HashMap::new(),
            more: false,
            nameless: 0,
        }
    }

    /// The next question, as the body of a `Browse` to the service (2.7.4).
    pub fn question(&mut self, kind: &str) -> String {
        self.questions += 1;
        let count = AT_ONCE.get(self.at_once).copied().unwrap_or(1);
        let (start, count) = (self.told.to_string(), count.to_string());
        let arguments = [
            ("ObjectID", self.id.as_str()),
            ("BrowseFlag", "BrowseDirectChildren"),
            ("Filter", FILTER),
            ("StartingIndex", start.as_str()),
            ("RequestedCount", count.as_str()),
            ("SortCriteria", ""),
        ];
        soap::call(kind, "Browse", &arguments)
    }

    /// The answer was too long: true when less is to be asked for.
    pub fn too_long(&mut self) -> bool {
        self.at_once += 1;
        self.at_once < AT_ONCE.len()
    }

    /// An answer of a server on `host`; true when that was all.
    ///
    /// # Errors
    /// [`Senseless`].
    pub fn answer(&mut self, arguments: &Arguments, host: &Place) -> Result<bool, Senseless> {
        let number = |name: &str| arguments.get(name).and_then(|text| text.trim().parse::<u32>().ok());
        let result = arguments.get("Result").filter(|text| !text.is_empty()).ok_or(Senseless::Empty)?;
        let root = parse(result.as_bytes())?;
        let is_object = |one: &&Element| matches!(one.name.as_str(), "container" | "item");
        let mut told = 0;
        for element in root.children.iter().filter(is_object) {
            told += 1;
            if self.objects.len() >= MAX_OBJECTS {
                self.more = true;
                return Ok(true);
            }
            match object(element, host) {
                Some(object) => self.add(object),
                None => self.nameless += 1,
            }
        }
        self.told += told;
        if told > 0 && self.questions >= MAX_QUESTIONS {
            self.more = true;
            return Ok(true);
        }
        // What it claims to hold is a claim: 0 for "not known", too much, too little.
        let all = number("TotalMatches").filter(|all| *all > 0);
        let full = told >= u64::from(AT_ONCE.get(self.at_once).copied().unwrap_or(1));
        Ok(told == 0 || all.map_or(!full, |all| self.told >= u64::from(all)))
    }

    fn add(&mut self, mut object: Object) {
        if let Some(first) = self.names.get(&object.name).copied() {
            let (stem, end) = match object.name.rsplit_once('.') {
                Some((stem, end)) if !stem.is_empty() => (stem, format!(".{end}")),
                _ => (object.name.as_str(), String::new()),
            };
            let mut numbered = (first..).map(|number| (number, format!("{stem} ({number}){end}")));
            let Some((number, name)) = numbered.find(|(_, name)| !self.names.contains_key(name)) else { return };
            self.names.insert(std::mem::replace(&mut object.name, name), number.saturating_add(1));
        }
        self.names.insert(object.name.clone(), 2);
        self.objects.push(object);
    }

    /// What is in the folder, as far as it was told.
    pub fn finish(self) -> Listing {
        Listing { objects: self.objects, more: self.more, nameless: self.nameless }
    }
}

fn object(element: &Element, host: &Place) -> Option<Object> {
    let id = element.attribute("id").filter(|id| !id.is_empty() && id.len() <= MAX_ID)?;
    // A path has neither in it.
    let title = element.text_of("title")?;
    let name: String =
        title.trim().chars().take(MAX_NAME).map(|c| if is_unsafe(c) || c == '/' { '_' } else { c }).collect();
    if matches!(name.as_str(), "" | "." | "..") {
        return None;
    }
    if element.name == "container" {
        return Some(Object { id: id.to_owned(), name, content: Content::Folder });
    }
    let resources = element.children.iter().filter(|one| one.name == "res").filter_map(|one| resource(one, host));
    // The original rather than what is made from it; the first of those, as the server puts the best first.
    let best = resources.min_by_key(|one| (one.converted, one.size.is_none()));
    let content = best.map_or(Content::Nowhere, Content::File);
    let name = match &content {
        Content::File(resource) => with_end(name, resource),
        _ => name,
    };
    Some(Object { id: id.to_owned(), name, content })
}

fn resource(element: &Element, host: &Place) -> Option<Resource> {
    let mut fields = element.attribute("protocolInfo")?.splitn(4, ':');
    let how = fields.next()?;
    if !how.eq_ignore_ascii_case("http-get") {
        return None;
    }
    let format = fields.nth(1).map(|mime| mime.trim().to_ascii_lowercase());
    let features = fields.next().unwrap_or_default().to_ascii_uppercase();
    let place = Place::parse(&element.text).ok().filter(|place| place.at.ip() == host.at.ip())?;
    let is_mime = |mime: &String| {
        mime.len() <= 100 && mime.contains('/') && mime.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
    };
    let feature = |name: &str| features.split(';').find_map(|one| one.trim().strip_prefix(name)?.strip_prefix('='));
    let converted = feature("DLNA.ORG_CI").is_some_and(|said| said == "1");
    Some(Resource {
        place,
        format: format.filter(is_mime),
        size: element.attribute("size").and_then(|size| size.trim().parse().ok()),
        length: element.attribute("duration").and_then(soap::seconds).filter(|length| *length > 0.0),
        // What says nothing is a file of a plain web server.
        seek: feature("DLNA.ORG_OP").map_or(!converted, |parts| parts.ends_with('1')),
        converted,
    })
}

/// Titles seldom end as files do; a file that is fetched has to.
fn with_end(name: String, resource: &Resource) -> String {
    let path = resource.place.path.split('?').next().unwrap_or_default();
    let end = path.rsplit('/').next().and_then(|last| last.rsplit_once('.')).map(|(_, end)| end.to_ascii_lowercase());
    let end = end.filter(|end| (1..=5).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let end = end.or_else(|| resource.format.as_deref().and_then(end_of).map(str::to_owned));
    match end {
        Some(end) if !name.to_lowercase().ends_with(&format!(".{end}")) => format!("{name}.{end}"),
        _ => name,
    }
}

fn end_of(mime: &str) -> Option<&'static str> {
    Some(match mime {
        "audio/mpeg" => "mp3",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/ogg" | "application/ogg" => "ogg",
        "audio/wav" | "audio/x-wav" => "wav",
        "video/mp4" => "mp4",
        "video/x-matroska" | "video/x-mkv" => "mkv",
        "video/webm" => "webm",
        "video/mpeg" | "video/vnd.dlna.mpeg-tts" => "mpg",
        "video/x-msvideo" | "video/avi" => "avi",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        _ => return None,
    })
}

/// The parts of a path.
pub fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// Folders that were read a moment ago, so that a path is not walked from the outermost each time. Bounded.
#[derive(Debug, Default)]
pub struct Known {
    folders: BTreeMap<String, (u64, Listing)>,
    turn: u64,
}

/// Most objects that are kept of one server.
const MAX_KEPT: usize = 2 * MAX_OBJECTS;

impl Known {
    /// What is known of the folder with this id.
    pub fn get(&self, id: &str) -> Option<&Listing> {
        self.folders.get(id).map(|(_, listing)| listing)
    }

    /// Keeps a folder, and lets go of those that were kept longest.
    pub fn keep(&mut self, id: &str, listing: Listing) {
        self.turn += 1;
        self.folders.insert(id.to_owned(), (self.turn, listing));
        let weight = |folders: &BTreeMap<String, (u64, Listing)>| -> usize {
            folders.values().map(|(_, listing)| listing.objects.len() + 1).sum()
        };
        while weight(&self.folders) > MAX_KEPT {
            let oldest = self.folders.iter().min_by_key(|(_, (turn, _))| *turn).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { return };
            self.folders.remove(&oldest);
        }
    }
}

/// Entry for fuzzing: any bytes as the answer of a server.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let host = Place::parse("http://10.0.0.2:80/d.xml").expect("a plain address");
    let mut reading = Reading::new(ROOT);
    for piece in bytes.split(|byte| *byte == 0).take(8) {
        let _ = reading.question("urn:x:1");
        let result = String::from_utf8_lossy(piece).into_owned();
        let arguments = Arguments::from([("Result".to_owned(), result), ("TotalMatches".to_owned(), "7".to_owned())]);
        let _ = reading.answer(&arguments, &host);
    }
    let listing = reading.finish();
    let names: std::collections::HashSet<&str> = listing.objects.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), listing.objects.len());
    for object in &listing.objects {
        assert!(!object.name.contains(['/', '\0', '\n']) && !matches!(object.name.as_str(), "" | "." | ".."));
        if let Content::File(resource) = &object.content {
            assert!(resource.place.at.ip() == host.at.ip() && resource.length.is_none_or(|length| length > 0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Place {
        Place::parse("http://10.0.0.2:8200/d.xml").unwrap()
    }

    fn read(reading: &mut Reading, objects: &str, total: &str) -> Result<bool, Senseless> {
        reading.question("k");
        let didl = format!("<DIDL-Lite xmlns:dc='d' xmlns:upnp='u'>{objects}</DIDL-Lite>");
        let arguments =
            [("Result", didl.as_str()), ("TotalMatches", total)].map(|(name, text)| (name.to_owned(), text.to_owned()));
        reading.answer(&Arguments::from(arguments), &host())
    }

    fn item(title: &str, resources: &str) -> String {
        format!(
            "<item id='7' parentID='0'><dc:title>{title}</dc:title><upnp:class>object.item.audioItem</upnp:class>{resources}</item>"
        )
    }

    fn res(address: &str, more: &str) -> String {
        format!(
            "<res protocolInfo='http-get:*:audio/mpeg:DLNA.ORG_PN=MP3;DLNA.ORG_OP=01;DLNA.ORG_CI=0' {more}>{address}</res>"
        )
    }

    fn one(text: &str) -> Object {
        let mut reading = Reading::new(ROOT);
        read(&mut reading, text, "1").unwrap();
        reading.finish().objects.remove(0)
    }

    #[test]
    fn objects_become_entries_with_names_of_files() {
        let mut reading = Reading::new(ROOT);
        let address = "http://10.0.0.2:8200/MediaItems/22.mp3";
        let objects = [
            "<container id='64$1' childCount='-7'><dc:title>AC/DC</dc:title></container>".to_owned(),
            item("Song", &res(address, "size='1234' duration='0:03:20.500'")),
            item("Song", &res(address, "size='x' duration='-0:03:20'")),
            item("song.mp3", &res(address, "")),
        ];
        assert_eq!(read(&mut reading, &objects.concat(), "4"), Ok(true));
        let listing = reading.finish();
        let names: Vec<&str> = listing.objects.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["AC_DC", "Song.mp3", "Song (2).mp3", "song.mp3"]);
        assert_eq!(listing.objects[0].content, Content::Folder);
        let Content::File(song) = &listing.objects[1].content else { panic!() };
        assert_eq!((song.size, song.length, song.seek), (Some(1234), Some(200.5), true));
        assert_eq!((song.place.to_string().as_str(), song.format.as_deref()), (address, Some("audio/mpeg")));
        let Content::File(odd) = &listing.objects[2].content else { panic!() };
        assert_eq!((odd.size, odd.length), (None, None), "a negative duration is none");
    }

    #[test]
    fn nothing_leads_to_another_host_or_up() {
        for address in
            ["http://10.0.0.9/x.mp3", "file:///etc/passwd", "http://nas.local/x.mp3", "https://10.0.0.2/x", ""]
        {
            assert_eq!(one(&item("x", &res(address, ""))).content, Content::Nowhere, "{address}");
        }
        let rtsp = res("http://10.0.0.2/x", "").replace("http-get", "rtsp-rtp-udp");
        assert_eq!(one(&item("x", &rtsp)).content, Content::Nowhere);
        let mut reading = Reading::new(ROOT);
        let odd = ["..", ".", "", " "].map(|title| item(title, "")).concat();
        let odd = odd + &item("x", "").replace("id='7'", "id=''") + "<item id='1'/><other id='2'/>";
        read(&mut reading, &odd, "9").unwrap();
        assert_eq!(reading.finish(), Listing { nameless: 6, ..Listing::default() });
        assert_eq!(one(&item("a/../b\u{202e}", "")).name, "a_.._b_");
        assert_eq!(one(&item(&"n".repeat(100_000), "")).name.len(), MAX_NAME);
    }

    #[test]
    fn the_original_is_taken_and_not_what_is_made_from_it() {
        let made = res("http://10.0.0.2/made.ts", "size='1'").replace("CI=0", "CI=1").replace("OP=01", "OP=10");
        let Content::File(found) = one(&item("x", &(made.clone() + &res("http://10.0.0.2/own.mp3", "")))).content
        else {
            panic!()
        };
        assert_eq!(found.place.path, "/own.mp3");
        let Content::File(found) = one(&item("x", &made)).content else { panic!() };
        assert!(!found.seek);
    }

    #[test]
    fn a_folder_is_read_in_parts_and_ends_whatever_it_claims() {
        let part = |count: usize| item("x", "").repeat(count);
        let mut reading = Reading::new(ROOT);
        assert_eq!(read(&mut reading, &part(100), "150"), Ok(false));
        assert!(
            reading.question("k").contains("<StartingIndex>100</StartingIndex><RequestedCount>100</RequestedCount>")
        );
        assert_eq!(read(&mut reading, &part(50), "150"), Ok(true));
        assert_eq!(reading.finish().objects.len(), 150);
        // It does not know how many, and says the same over and over.
        let mut reading = Reading::new(ROOT);
        let mut questions = 0;
        while !read(&mut reading, &part(100), "0").unwrap() {
            questions += 1;
        }
        let listing = reading.finish();
        assert!(questions <= 100 && listing.objects.len() == MAX_OBJECTS && listing.more, "{questions}");
        let mut reading = Reading::new(ROOT);
        assert_eq!(read(&mut reading, "", "4294967295"), Ok(true), "nothing more comes");
        // One object at a time, of millions.
        let mut reading = Reading::new(ROOT);
        let mut questions = 1;
        while !read(&mut reading, &part(1), "4000000").unwrap() {
            questions += 1;
        }
        assert_eq!(questions, MAX_QUESTIONS);
        for bad in ["<item", "<!DOCTYPE a>"] {
            assert!(matches!(read(&mut Reading::new(ROOT), bad, "1"), Err(Senseless::Xml(_))), "{bad}");
        }
        assert_eq!(Reading::new(ROOT).answer(&Arguments::new(), &host()), Err(Senseless::Empty));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut known = Known::default();
        let object = one(&item("x", ""));
        for number in 0..50 {
            let listing = Listing { objects: vec![object.clone(); 2000], ..Listing::default() };
            known.keep(&number.to_string(), listing);
        }
        assert!(known.get("49").is_some() && known.get("0").is_none());
        assert!(known.folders.len() <= MAX_KEPT / 2000);
    }
}
