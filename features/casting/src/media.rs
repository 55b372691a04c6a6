//! The file that is cast: opened once, and known to be the same until the end.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// An open file.
pub(crate) struct Media {
    file: File,
    pub size: u64,
    pub format: Format,
    mark: (u64, i64, i64),
}

/// What the end of a name says of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub end: &'static str,
    pub mime: &'static str,
}

const FORMATS: &[(&str, &str)] = &[
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("mkv", "video/x-matroska"),
    ("webm", "video/webm"),
    ("avi", "video/avi"),
    ("mov", "video/quicktime"),
    ("ts", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("mp3", "audio/mpeg"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("wav", "audio/wav"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
];

impl Format {
    pub(crate) fn is_picture(self) -> bool {
        self.mime.starts_with("image/")
    }

    pub(crate) fn of(path: &Path) -> Option<Self> {
        let end = path.extension()?.to_str()?.to_ascii_lowercase();
        let (end, mime) = FORMATS.iter().find(|(known, _)| *known == end)?;
        Some(Self { end, mime })
    }
}

impl Media {
    /// Opens it. Blocks for the disk.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let format = Format::of(path).ok_or("its name does not end like that of a film, a sound or a picture")?;
        // A pipe would make us wait; what is no file is not opened.
        let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is no file".to_owned());
        }
        let file = File::open(path).map_err(|error| error.to_string())?;
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Err("it is empty, or no file".to_owned());
        }
        Ok(Self { file, size: metadata.len(), format, mark: mark(&metadata) })
    }

    /// Fills `piece` from a place on. Blocks for the disk.
    ///
    /// # Errors
    /// Also when the file was changed since it was opened: parts of two versions are no file.
    pub(crate) fn read(&self, from: u64, piece: &mut [u8]) -> io::Result<()> {
        if mark(&self.file.metadata()?) != self.mark {
            return Err(io::Error::other("the file was changed while it was cast"));
        }
        self.file.read_exact_at(piece, from)
    }
}

fn mark(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_media_that_stay_as_they_are_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.MP3");
        std::fs::write(&path, b"abcdef").unwrap();
        let media = Media::open(&path).unwrap();
        let mut piece = [0; 3];
        media.read(2, &mut piece).unwrap();
        assert_eq!((&piece, media.size, media.format.mime), (b"cde", 6, "audio/mpeg"));
        assert!(media.read(4, &mut piece).is_err(), "beyond its end");
        std::fs::write(&path, b"other!!").unwrap();
        assert!(media.read(0, &mut piece).is_err(), "another version");
        for (name, content) in [("x.txt", "x"), ("none", "x"), ("empty.mp3", "")] {
            std::fs::write(dir.path().join(name), content).unwrap();
            assert!(Media::open(&dir.path().join(name)).is_err(), "{name}");
        }
        assert!(Media::open(dir.path()).is_err());
        assert!(Media::open(&dir.path().join("missing.mp3")).is_err());
    }
}
