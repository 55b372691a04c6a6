//! What can be copied.

use accord_model::{CallError, Data, Inputs};
use serde::{Deserialize, Serialize};

/// Longest text, in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// Largest picture (PNG), in bytes.
pub const MAX_IMAGE: usize = 16 << 20;

/// A text or a picture.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// A PNG.
    Image(Vec<u8>),
}

/// Which of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A text.
    Text,
    /// A PNG.
    Image,
}

pub(crate) type Digest = [u8; 32];

impl Content {
    /// Which it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Image(_) => Kind::Image,
        }
    }

    /// The bytes as they are copied.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Image(png) => png,
        }
    }

    /// From bytes that a tool or a device gave.
    pub(crate) fn of(kind: Kind, bytes: Vec<u8>) -> Result<Self, &'static str> {
        let content = match kind {
            Kind::Text => Self::Text(String::from_utf8(bytes).map_err(|_| "the text is not UTF-8")?),
            Kind::Image => Self::Image(bytes),
        };
        content.check()?;
        Ok(content)
    }

    /// Whether it can be copied.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Text(text) if text.is_empty() => Err("there is nothing to copy"),
            Self::Text(text) if text.len() > MAX_TEXT => Err("the text is longer than 1 MiB; send it as a file"),
            Self::Text(text) if text.contains('\0') => Err("the text has zero bytes in it; send it as a file"),
            Self::Image(png) if png.len() > MAX_IMAGE => Err("the picture is larger than 16 MiB; send it as a file"),
            Self::Image(png) if !png.starts_with(b"\x89PNG\r\n\x1a\n") => Err("the picture is no PNG"),
            _ => Ok(()),
        }
    }

    /// What a device says that was copied.
    pub(crate) fn from_inputs(inputs: &Inputs) -> Result<Self, CallError> {
        let text = inputs.get("content").and_then(Data::as_text).map(|text| Self::Text(text.to_owned()));
        let image = || Some(Self::Image(inputs.get("image")?.as_bytes()?.to_vec()));
        let content = text.or_else(image);
        let content = content.ok_or_else(|| CallError::BadInput("`content` or `image` is missing".into()))?;
        content.check().map_err(|why| CallError::BadInput(why.to_owned()))?;
        Ok(content)
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[self.kind() as u8]).update(self.bytes());
        *hasher.finalize().as_bytes()
    }
}

/// What was copied may be secret: the kind and the size are enough for a log.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} bytes", self.kind(), self.bytes().len())
    }
}
