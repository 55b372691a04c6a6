//! What is cast: a file that is opened once, and known to be the same until the end.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::captions::Cues;
use crate::convert::captions;
use crate::probe::Probed;
use crate::sniff::{Container, HEAD, sniff};
use crate::tool::look;
use crate::turned::orientation;

/// An open file. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Item(Arc<Opened>);

struct Opened {
    file: File,
    #[cfg_attr(not(test), allow(dead_code, reason = "for tests"))]
    path: PathBuf,
    size: u64,
    container: Container,
    orientation: u8,
    mark: (u64, u64, u64, i64, i64),
    probed: OnceCell<Arc<Probed>>,
    cues: tokio::sync::Mutex<BTreeMap<usize, Arc<Cues>>>,
    /// The names of the ways to serve it, in the order in which they are tried.
    ways: Mutex<Vec<String>>,
}

impl Item {
    /// Opens it and looks at its first bytes. Blocks for the disk.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
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
        let mut head = vec![0; HEAD.min(usize::try_from(metadata.len()).unwrap_or(HEAD))];
        file.read_exact_at(&mut head, 0).map_err(|error| error.to_string())?;
        let container = sniff(&head).ok_or("its content is no film, sound or picture that is known here")?;
        let orientation = if container == Container::Jpeg { orientation(&head) } else { 1 };
        let (path, size, mark) = (path.to_owned(), metadata.len(), mark(&metadata));
        let (probed, cues, ways) = Default::default();
        Ok(Self(Arc::new(Opened { file, path, size, container, orientation, mark, probed, cues, ways })))
    }

    /// Where it was.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.0.size
    }

    /// What it is by its content.
    pub(crate) fn container(&self) -> Container {
        self.0.container
    }

    /// How the camera was held, as Exif tells it: 1 is upright.
    pub(crate) fn orientation(&self) -> u8 {
        self.0.orientation
    }

    /// True for pictures.
    pub(crate) fn is_picture(&self) -> bool {
        self.0.container.format().is_picture()
    }

    /// Whether it is as it was when it was opened. One that was deleted meanwhile is, as long as we hold it.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn check(&self) -> io::Result<()> {
        if mark(&self.0.file.metadata()?) != self.0.mark {
            return Err(io::Error::other("the file was changed while it was cast"));
        }
        Ok(())
    }

    /// Fills `piece` from a place on. Blocks for the disk.
    ///
    /// # Errors
    /// Also when the file was changed since it was opened: parts of two versions are no file.
    pub(crate) fn read(&self, from: u64, piece: &mut [u8]) -> io::Result<()> {
        self.check()?;
        self.0.file.read_exact_at(piece, from)
    }

    /// What is in it, by ffprobe; looked at once.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn probed(&self) -> Result<Arc<Probed>, String> {
        let looked = self.0.probed.get_or_try_init(|| async { Ok(Arc::new(Probed::read(&look(self).await?)?)) });
        looked.await.cloned()
    }

    /// The so-many-th captions that are in it; taken out once.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn cues(&self, number: usize) -> Result<Arc<Cues>, String> {
        let mut known = self.0.cues.lock().await;
        if let Some(cues) = known.get(&number) {
            return Ok(cues.clone());
        }
        let cues = Arc::new(captions(self, number).await?);
        known.insert(number, cues.clone());
        Ok(cues)
    }

    /// The order in which ways to serve it are tried.
    pub(crate) fn ways(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file once more, for a program that reads it.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.check()?;
        self.0.file.try_clone()
    }
}

/// The length and times of change; that it was deleted changes neither.
fn mark(metadata: &Metadata) -> (u64, u64, u64, i64, i64) {
    (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &[u8] = b"ID3\x04\0\0\0\0\0\0abcdef";

    #[test]
    fn only_media_that_stay_as_they_are_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a song called.mp4");
        std::fs::write(&path, TAG).unwrap();
        let item = Item::open(&path).unwrap();
        let mut piece = [0; 3];
        item.read(12, &mut piece).unwrap();
        assert_eq!((&piece, item.size(), item.container()), (b"cde", 16, Container::Mp3));
        assert!(item.read(14, &mut piece).is_err(), "beyond its end");
        std::fs::remove_file(&path).unwrap();
        assert!(item.read(12, &mut piece).is_ok(), "deleted, and still held");
        std::fs::write(&path, TAG).unwrap();
        let item = Item::open(&path).unwrap();
        std::fs::write(&path, b"other!!").unwrap();
        assert!(item.read(0, &mut piece).is_err() && item.file().is_err(), "another version");
        for (name, content) in [("x.txt", "x"), ("list.mp4", "#EXTM3U\nfile:///etc/passwd"), ("empty.mp3", "")] {
            std::fs::write(dir.path().join(name), content).unwrap();
            assert!(Item::open(&dir.path().join(name)).is_err(), "{name}");
        }
        assert!(Item::open(dir.path()).is_err());
        assert!(Item::open(&dir.path().join("missing.mp3")).is_err());
    }
}
