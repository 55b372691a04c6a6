//! The service `picture`: what a bridge gives for it, and a feature takes.

use accord_model::CallError;
use accord_registry::{ByteStream, PathInfo};
use tokio::io::AsyncReadExt;

/// The service's name.
pub const SERVICE: &str = "picture";
/// Largest picture, in bytes.
pub const MAX: usize = 8 * 1024 * 1024;

/// One picture, in a format that every browser shows and that cannot do anything.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    bytes: Vec<u8>,
    format: &'static str,
}

impl Picture {
    /// # Errors
    /// [`CallError::Device`]: it is larger than [`MAX`], or is none.
    pub fn new(bytes: Vec<u8>) -> Result<Self, CallError> {
        if bytes.len() > MAX {
            return Err(CallError::Device(format!("its picture is larger than {} MiB", MAX >> 20)));
        }
        let format = format_of(&bytes)
            .ok_or_else(|| CallError::Device("what it gave is no picture in JPEG, PNG, GIF or WebP".to_owned()))?;
        Ok(Self { bytes, format })
    }

    /// Its MIME type, as its first bytes have it.
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// As a file ends that holds such a picture.
    pub fn ending(&self) -> &'static str {
        match self.format {
            "image/jpeg" => "jpg",
            other => other.trim_start_matches("image/"),
        }
    }

    /// The picture itself.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// As the stream that a bridge answers with.
    pub fn into_stream(self, path: PathInfo) -> ByteStream {
        ByteStream { reader: Box::new(std::io::Cursor::new(self.bytes)), writer: Box::new(tokio::io::sink()), path }
    }

    /// What came on the stream that a bridge answered with.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn from_stream(stream: ByteStream) -> Result<Self, CallError> {
        let mut bytes = Vec::new();
        let mut reader = stream.reader.take(MAX as u64 + 1);
        let read = reader.read_to_end(&mut bytes).await;
        read.map_err(|error| CallError::Unreachable(format!("the picture broke off: {error}")))?;
        Self::new(bytes)
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}, {} bytes)", self.format, self.bytes.len())
    }
}

/// What kind of picture begins so. SVG is none: it is a document that can hold anything.
pub fn format_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        _ if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
        _ if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") => Some("image/gif"),
        _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_picture_goes_through_a_stream_and_says_what_it_is() {
        for (begins, format, ending) in [
            (&b"\xff\xd8\xff\xe0"[..], "image/jpeg", "jpg"),
            (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
            (b"GIF89a", "image/gif", "gif"),
            (b"RIFF\0\0\0\0WEBP", "image/webp", "webp"),
        ] {
            let picture = Picture::new([begins, &[7; 100_000]].concat()).unwrap();
            let came = Picture::from_stream(picture.clone().into_stream(PathInfo::default())).await.unwrap();
            assert_eq!((came.format(), came.ending()), (format, ending));
            assert_eq!(came, picture);
        }
    }

    #[tokio::test]
    async fn what_is_no_picture_or_too_large_is_refused_in_words() {
        for not in [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"RIFF\0\0\0\0WAVE"] {
            assert!(matches!(Picture::new(not.to_vec()), Err(CallError::Device(why)) if why.contains("no picture")));
        }
        let mut large = b"GIF89a".to_vec();
        large.resize(MAX + 2, 0);
        let stream = Picture { bytes: large, format: "image/gif" }.into_stream(PathInfo::default());
        assert!(matches!(Picture::from_stream(stream).await, Err(CallError::Device(why)) if why.contains("8 MiB")));
    }
}
