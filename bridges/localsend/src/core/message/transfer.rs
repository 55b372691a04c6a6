//! Which files are offered, and which of them are wanted.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use accord_model::{FieldCode, FieldSet, text};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::{
    Announcement, DeviceFields, DeviceOut, MAX_FILES, MAX_JSON, MAX_TEXT, MessageError, RelativePath, check_id,
    from_json, lenient, to_json,
};
use crate::core::{Secret, secret};

/// One file on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOffer {
    /// Names it within the transfer.
    pub id: String,
    /// Folders and name.
    pub path: RelativePath,
    /// Bytes.
    pub size: u64,
    /// MIME type, or an old app's word (`image`, `text`, …). Safe to show.
    pub file_type: String,
    /// Hash of the content.
    pub sha256: Option<[u8; 32]>,
    /// The content itself when it is a text message.
    pub preview: Option<String>,
    /// When it was last changed, as the sender writes it. Safe to show.
    pub modified: Option<String>,
}

impl FileOffer {
    /// A file with neither hash nor times.
    pub fn new(id: impl Into<String>, path: RelativePath, size: u64) -> Self {
        let file_type = "application/octet-stream".to_owned();
        Self { id: id.into(), path, size, file_type, sha256: None, preview: None, modified: None }
    }
    /// A text message.
    pub fn text(id: impl Into<String>, path: RelativePath, text: String) -> Self {
        let file = Self::new(id, path, text.len() as u64);
        Self { file_type: "text/plain".to_owned(), preview: Some(text), ..file }
    }
    /// Its text, when it is a message.
    pub fn message(&self) -> Option<&str> {
        let is_text = self.file_type == "text" || self.file_type.starts_with("text/");
        self.preview.as_deref().filter(|_| is_text)
    }
}

/// Body of `prepare-upload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareUpload {
    /// Who sends.
    pub sender: Announcement,
    /// What, in the sender's order.
    pub files: Vec<FileOffer>,
}

impl PrepareUpload {
    /// Reads one.
    ///
    /// # Errors
    /// [`MessageError`]; one file that cannot be taken refuses them all.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let read: PrepareIn = from_json(bytes, MAX_JSON)?;
        let sender = Announcement { announce: false, ..read.info.announcement()? };
        Ok(Self { sender, files: read.files.checked()? })
    }
    /// Writes one.
    pub fn to_json(&self) -> Vec<u8> {
        let info = DeviceOut::of(&self.sender.info, Some(&self.sender), None);
        to_json(&OfferOut { info, files: FilesOut(&self.files) })
    }
    /// Which kinds of personal data are in it.
    pub fn fields(&self) -> FieldSet {
        self.sender.fields().union(offered(&self.files))
    }
    /// The text, when it is a text message and nothing else.
    pub fn message(&self) -> Option<&str> {
        match &self.files[..] {
            [only] => only.message(),
            _ => None,
        }
    }
}

/// Answer to `prepare-upload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The session.
    pub session: Secret,
    /// A token for each file that is wanted, by the file's id.
    pub tokens: BTreeMap<String, Secret>,
}

impl Prepared {
    /// Reads one.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let read: PreparedWire = from_json(bytes, MAX_JSON)?;
        if read.files.len() > MAX_FILES {
            return Err(MessageError::TooManyFiles);
        }
        check_id(&read.session_id)?;
        for (id, token) in &read.files {
            check_id(id)?;
            check_id(token)?;
        }
        Ok(Self { session: read.session_id, tokens: read.files })
    }
    /// Writes one.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(&PreparedWire { session_id: self.session.clone(), files: self.tokens.clone() })
    }
}

fn offered(files: &[FileOffer]) -> FieldSet {
    let mut fields = FieldSet::from_iter([FieldCode::FileName, FieldCode::FileMeta]);
    if files.iter().any(|file| file.preview.is_some()) {
        fields = fields.union(FieldSet::one(FieldCode::TextContent));
    }
    fields
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrepareIn {
    info: DeviceFields,
    files: FilesIn,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PreparedWire {
    session_id: Secret,
    files: BTreeMap<String, Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileIn {
    #[serde(default, deserialize_with = "lenient::text")]
    file_name: Option<String>,
    #[serde(default, deserialize_with = "lenient::whole")]
    size: Option<u64>,
    #[serde(default, deserialize_with = "lenient::text")]
    file_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    sha256: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    preview: Option<String>,
    #[serde(default)]
    metadata: Option<MetadataIn>,
}

#[derive(Deserialize)]
struct MetadataIn {
    #[serde(default, deserialize_with = "lenient::text")]
    modified: Option<String>,
}

/// The map of files in the sender's order; counted while read, so that a flood ends early.
struct FilesIn(Vec<(String, FileIn)>);

impl<'de> Deserialize<'de> for FilesIn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Files;
        impl<'de> DeserializeSeed<'de> for Files {
            type Value = FilesIn;
            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<FilesIn, D::Error> {
                from.deserialize_map(self)
            }
        }
        impl<'de> Visitor<'de> for Files {
            type Value = FilesIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("files by id")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FilesIn, A::Error> {
                let mut files = Vec::new();
                while let Some(id) = map.next_key::<String>()? {
                    if files.len() > MAX_FILES {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    files.push((id, map.next_value()?));
                }
                Ok(FilesIn(files))
            }
        }
        Files.deserialize(from)
    }
}

impl FilesIn {
    fn checked(self) -> Result<Vec<FileOffer>, MessageError> {
        if self.0.len() > MAX_FILES {
            return Err(MessageError::TooManyFiles);
        }
        let mut seen = HashSet::with_capacity(self.0.len());
        let mut files = Vec::with_capacity(self.0.len());
        for (id, file) in self.0 {
            check_id(&id)?;
            if !seen.insert(id.clone()) {
                return Err(MessageError::SameId);
            }
            files.push(file.checked(id)?);
        }
        Ok(files)
    }
}

impl FileIn {
    fn checked(self, id: String) -> Result<FileOffer, MessageError> {
        let name = self.file_name.unwrap_or_default();
        let path = RelativePath::parse(&name)
            .map_err(|fault| MessageError::Path { shown: text::for_screen(&name, 80), fault })?;
        let size = self.size.ok_or_else(|| MessageError::Json("a file without a size".to_owned()))?;
        if self.preview.as_ref().is_some_and(|preview| preview.len() > MAX_TEXT) {
            return Err(MessageError::TextTooLong);
        }
        Ok(FileOffer {
            id,
            path,
            size,
            file_type: text::for_screen(self.file_type.as_deref().unwrap_or("application/octet-stream"), 127),
            sha256: self.sha256.as_deref().and_then(secret::digest_from_hex),
            preview: self.preview,
            modified: self.metadata.and_then(|times| times.modified).map(|time| text::for_screen(&time, 40)),
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfferOut<'a> {
    info: DeviceOut<'a>,
    files: FilesOut<'a>,
}

struct FilesOut<'a>(&'a [FileOffer]);

impl Serialize for FilesOut<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for file in self.0 {
            map.serialize_entry(&file.id, &FileOut::of(file))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileOut<'a> {
    id: &'a str,
    file_name: &'a str,
    size: u64,
    file_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<&'static str, &'a str>>,
}

impl<'a> FileOut<'a> {
    fn of(file: &'a FileOffer) -> Self {
        Self {
            id: &file.id,
            file_name: file.path.as_str(),
            size: file.size,
            file_type: &file.file_type,
            sha256: file.sha256.as_ref().map(|digest| secret::hex(digest)),
            preview: file.preview.as_deref(),
            metadata: file.modified.as_deref().map(|time| BTreeMap::from([("modified", time)])),
        }
    }
}
