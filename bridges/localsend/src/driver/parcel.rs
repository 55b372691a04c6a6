//! What a feature sends, as LocalSend offers it: every file before the first byte.

use accord_model::{FieldCode, FieldSet, Timestamp};
use accord_ports::files::wire::{Entry, ItemReason, Key, Time, What};
use accord_ports::files::{Given, Taker};

use super::law;
use super::sending::{End, feature};
use crate::core::message::{FileOffer, MAX_TEXT, RelativePath};

/// Longest text, and one byte more.
const TEXT: usize = MAX_TEXT + 1;

/// What is sent, and how the feature calls it.
#[derive(Default)]
pub(crate) struct Parcel {
    pub offers: Vec<FileOffer>,
    /// By place in the offers.
    pub keys: Vec<Key>,
    /// Items that LocalSend does not have.
    pub left_out: Vec<(Key, ItemReason)>,
    pub text: Option<Vec<u8>>,
}

impl Parcel {
    pub(crate) fn add(&mut self, item: Entry) -> Result<(), End> {
        let Entry { key, path, what } = item;
        match what {
            What::Folder { .. } => {}
            What::Link { .. } => self.left_out.push((key, ItemReason::Foreign)),
            What::File { size: None, .. } => {
                let why = "LocalSend needs to know the size before; send it as a file";
                return Err(End::Unable(why.to_owned()));
            }
            What::File { size: Some(size), modified, .. } => match RelativePath::parse(&path) {
                Ok(path) => {
                    let mut offer = FileOffer::new(format!("{}", self.offers.len()), path, size);
                    offer.file_type = file_type(offer.path.file_name()).to_owned();
                    offer.modified = stamp(modified);
                    self.offers.push(offer);
                    self.keys.push(key);
                }
                Err(_) => self.left_out.push((key, ItemReason::Path)),
            },
        }
        Ok(())
    }

    pub(crate) fn fields(&self) -> FieldSet {
        let names = FieldSet::from_iter([FieldCode::FileName, FieldCode::FileMeta]);
        let content = match self.text {
            Some(_) => FieldSet::from_iter([FieldCode::TextContent, FieldCode::FileContent]),
            None => FieldSet::one(FieldCode::FileContent),
        };
        names.union(content).union(law::STATE)
    }
}

/// A text is known only once the feature sends it.
pub(crate) async fn text(taker: &mut Taker) -> Result<Parcel, End> {
    taker.accept().await.map_err(feature)?;
    let (mut text, mut name) = (Vec::new(), String::new());
    loop {
        match taker.next().await.map_err(feature)? {
            Given::Entry(entry) => name = entry.path,
            Given::Content(bytes) if text.len() + bytes.len() < TEXT => text.extend_from_slice(bytes),
            Given::Content(_) => return Err(End::Unable("the text is too long; send it as a file".to_owned())),
            Given::Finish => break,
            Given::Abandon(_) => return Err(End::Nobody),
            Given::End(_) | Given::Totals(..) => {}
        }
    }
    let words = String::from_utf8_lossy(&text).into_owned();
    let path = RelativePath::parse(&name).or_else(|_| RelativePath::parse("text.txt"));
    let path = path.map_err(|fault| End::Unable(fault.to_string()))?;
    let offers = vec![FileOffer::text("0", path, words.clone())];
    Ok(Parcel { offers, keys: vec![Key::default()], left_out: Vec::new(), text: Some(words.into_bytes()) })
}

fn stamp(time: Time) -> Option<String> {
    let nanos = i32::try_from(time.nanos.min(999_999_999)).ok()?;
    Timestamp::new(time.seconds, nanos).ok().filter(|_| time != Time::default()).map(|time| time.to_string())
}

/// By the ending of its name; receivers choose icons and folders by it.
fn file_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "mkv" => "video/x-matroska",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "apk" => "application/vnd.android.package-archive",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}
