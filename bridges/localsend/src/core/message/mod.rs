//! What devices say to each other, as JSON: read leniently (versions 2.0 to 2.2; numbers may be texts, what
//! is missing has a default, what is unknown is passed over), written strictly.

mod lenient;
mod path;
mod transfer;

pub use path::{PathFault, RelativePath};
pub use transfer::{FileOffer, PrepareUpload, Prepared};

use accord_model::{FieldCode, FieldSet, text};
use serde::{Deserialize, Serialize};

use super::{Fingerprint, PORT};

/// Largest JSON body, in bytes, in either direction.
pub const MAX_JSON: usize = 8 * 1024 * 1024;
/// Largest JSON body of anything but a list of files, in bytes.
pub const MAX_SMALL_JSON: usize = 64 * 1024;
/// Longest datagram read, in bytes.
pub const MAX_DATAGRAM: usize = 4096;
/// Most files of one transfer.
pub const MAX_FILES: usize = 100_000;
/// Longest name of a device or model that is kept, in characters.
pub const MAX_ALIAS: usize = 64;
/// Longest id of a file, a session or a token, in bytes.
pub const MAX_ID: usize = 256;
/// Longest text message, in bytes.
pub const MAX_TEXT: usize = 1024 * 1024;

/// The version we speak.
pub const VERSION: &str = "2.2";

/// Why what a peer said makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Longer than we read.
    #[error("a message of more than {0} bytes")]
    TooLong(usize),
    /// Not the JSON it should be.
    #[error("not the JSON it should be: {0}")]
    Json(String),
    /// A device without a usable fingerprint.
    #[error("the fingerprint is missing or malformed")]
    Fingerprint,
    /// A name that would lead out of the folder, or that no file can have.
    #[error("the file name `{shown}` cannot be used: {fault}")]
    Path {
        /// The name, safe to show.
        shown: String,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// An id or token that is empty, too long or has control characters.
    #[error("an id or token is empty, too long or has control characters")]
    Id,
    /// The same id twice.
    #[error("two files have the same id")]
    SameId,
    /// More than [`MAX_FILES`].
    #[error("more than {MAX_FILES} files in one transfer; send them in parts")]
    TooManyFiles,
    /// A text of more than [`MAX_TEXT`] bytes.
    #[error("a text of more than {MAX_TEXT} bytes; send it as a file")]
    TextTooLong,
}

/// How a device's server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// In clear.
    Http,
    /// TLS.
    Https,
}

impl Protocol {
    /// As in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What sort of device it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum DeviceType {
    Mobile,
    #[default]
    Desktop,
    Web,
    Headless,
    Server,
}

impl DeviceType {
    fn read(word: &str) -> Self {
        match word {
            "mobile" => Self::Mobile,
            "web" => Self::Web,
            "headless" => Self::Headless,
            "server" => Self::Server,
            _ => Self::Desktop,
        }
    }
}

/// What a device says of itself. From outside: names are already safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// As its owner calls it.
    pub alias: String,
    /// Version of the protocol: `2.0`, `2.1`, `2.2`.
    pub version: String,
    /// Make or model.
    pub model: Option<String>,
    /// What sort of device.
    pub kind: DeviceType,
    /// Hash of its certificate; with plain HTTP a random id.
    pub fingerprint: Fingerprint,
    /// Whether it offers files for download.
    pub download: bool,
}

impl DeviceInfo {
    /// Ourselves, as told to others.
    pub fn new(alias: &str, kind: DeviceType, fingerprint: Fingerprint) -> Self {
        let alias = text::for_screen(alias, MAX_ALIAS);
        Self { alias, version: VERSION.to_owned(), model: None, kind, fingerprint, download: false }
    }

    /// Reads the answer to `register`, or `info`.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        DeviceFields::parse(bytes, MAX_SMALL_JSON)?.info()
    }

    /// The answer to `register`, and `info`.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(&DeviceOut::of(self, None, None))
    }

    /// Which kinds of personal data are in it.
    pub fn fields(&self) -> FieldSet {
        let mut fields = vec![FieldCode::DeviceName, FieldCode::DeviceType];
        fields.extend(self.model.is_some().then_some(FieldCode::DeviceModel));
        let hash = self.fingerprint.is_hash();
        fields.push(if hash { FieldCode::KeyPublic } else { FieldCode::DeviceIdResettable });
        fields.into_iter().collect()
    }
}

/// A device and where its server is: a multicast datagram, or the body of `register`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Who.
    pub info: DeviceInfo,
    /// Where its server listens.
    pub port: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// True when it wants to be answered.
    pub announce: bool,
}

impl Announcement {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse_datagram(bytes: &[u8]) -> Result<Self, MessageError> {
        DeviceFields::parse(bytes, MAX_DATAGRAM)?.announcement()
    }
    /// Reads the body of `register`.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse_register(bytes: &[u8]) -> Result<Self, MessageError> {
        let read = DeviceFields::parse(bytes, MAX_SMALL_JSON)?.announcement()?;
        Ok(Self { announce: false, ..read })
    }
    /// As a datagram.
    pub fn to_datagram(&self) -> Vec<u8> {
        to_json(&DeviceOut::of(&self.info, Some(self), Some(self.announce)))
    }
    /// As the body of `register`.
    pub fn to_register(&self) -> Vec<u8> {
        to_json(&DeviceOut::of(&self.info, Some(self), None))
    }
    /// Which kinds of personal data are in it.
    pub fn fields(&self) -> FieldSet {
        self.info.fields()
    }
}

/// Every field that a device may say of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceFields {
    #[serde(default, deserialize_with = "lenient::text")]
    alias: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    version: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    device_model: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    device_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    fingerprint: Option<String>,
    #[serde(default, deserialize_with = "lenient::whole")]
    port: Option<u64>,
    #[serde(default, deserialize_with = "lenient::text")]
    protocol: Option<String>,
    #[serde(default, deserialize_with = "lenient::truth")]
    download: Option<bool>,
    #[serde(default, deserialize_with = "lenient::truth")]
    announce: Option<bool>,
    /// The name of `announce` in version 1.
    #[serde(default, deserialize_with = "lenient::truth")]
    announcement: Option<bool>,
}

impl DeviceFields {
    fn parse(bytes: &[u8], limit: usize) -> Result<Self, MessageError> {
        from_json(bytes, limit)
    }

    fn info(self) -> Result<DeviceInfo, MessageError> {
        let shown = |text: Option<String>| text.map(|text| text::for_screen(text.trim(), MAX_ALIAS));
        let fingerprint = Fingerprint::parse(self.fingerprint.as_deref().unwrap_or_default());
        Ok(DeviceInfo {
            alias: shown(self.alias).filter(|alias| !alias.is_empty()).unwrap_or_else(|| "LocalSend device".to_owned()),
            version: text::for_screen(self.version.as_deref().unwrap_or("2.0"), 8),
            model: shown(self.device_model).filter(|model| !model.is_empty()),
            kind: self.device_type.as_deref().map(DeviceType::read).unwrap_or_default(),
            fingerprint: fingerprint.ok_or(MessageError::Fingerprint)?,
            download: self.download.unwrap_or(false),
        })
    }

    fn announcement(self) -> Result<Announcement, MessageError> {
        let port = self.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0).unwrap_or(PORT);
        let protocol = if self.protocol.as_deref() == Some("http") { Protocol::Http } else { Protocol::Https };
        let announce = self.announce.or(self.announcement).unwrap_or(false);
        Ok(Announcement { info: self.info()?, port, protocol, announce })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceOut<'a> {
    alias: &'a str,
    version: &'a str,
    device_model: Option<&'a str>,
    device_type: DeviceType,
    fingerprint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    download: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    announce: Option<bool>,
}

impl<'a> DeviceOut<'a> {
    fn of(info: &'a DeviceInfo, place: Option<&Announcement>, announce: Option<bool>) -> Self {
        Self {
            alias: &info.alias,
            version: &info.version,
            device_model: info.model.as_deref(),
            device_type: info.kind,
            fingerprint: info.fingerprint.as_str(),
            port: place.map(|place| place.port),
            protocol: place.map(|place| place.protocol),
            download: info.download,
            announce,
        }
    }
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8], limit: usize) -> Result<T, MessageError> {
    if bytes.len() > limit {
        return Err(MessageError::TooLong(limit));
    }
    serde_json::from_slice(bytes).map_err(|error| MessageError::Json(text::for_screen(&error.to_string(), 160)))
}

fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of texts and numbers can be written as JSON")
}

/// The reason that an error answer gives, if it does, safe to show.
pub fn reason(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Reason {
        message: String,
    }
    let reason: Reason = from_json(body, MAX_SMALL_JSON).ok()?;
    Some(text::for_screen(&reason.message, 160)).filter(|reason| !reason.is_empty())
}

/// The body of an error answer.
pub fn reason_json(message: &str) -> Vec<u8> {
    to_json(&std::collections::BTreeMap::from([("message", message)]))
}

fn check_id(id: &str) -> Result<(), MessageError> {
    let fits = !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(MessageError::Id) }
}

/// For the fuzzer: whatever the bytes, no panic, and what was read can be written and read again.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(read) = Announcement::parse_datagram(bytes) {
        assert_eq!(Announcement::parse_datagram(&read.to_datagram()).as_ref(), Ok(&read));
    }
    if let Ok(read) = PrepareUpload::parse(bytes) {
        let written = read.to_json();
        assert_eq!(PrepareUpload::parse(&written).as_ref(), Ok(&read));
    }
    let _ = Prepared::parse(bytes);
    let _ = reason(bytes);
}

#[cfg(test)]
mod tests;
