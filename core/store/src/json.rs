//! A small state file: one JSON document that only its owner can open.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::replace_private;

/// Where a document lies, and how large it may be.
#[derive(Debug, Clone)]
pub struct JsonFile {
    path: PathBuf,
    largest: u64,
}

impl JsonFile {
    /// At `path`; a file of more than `largest` bytes is not ours.
    pub fn new(path: PathBuf, largest: u64) -> Self {
        Self { path, largest }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved; the default when nothing was.
    ///
    /// # Errors
    /// What the system says, or [`ErrorKind::InvalidData`] with what to do when the file is damaged.
    pub fn load<T: DeserializeOwned + Default>(&self) -> io::Result<T> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(T::default()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(self.largest).read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let advice = format!("it is damaged ({error}); move it away to begin with none");
            io::Error::new(ErrorKind::InvalidData, advice)
        })
    }

    /// Replaces the document whole, or leaves the old one.
    ///
    /// # Errors
    /// What the system says.
    pub fn save<T: Serialize>(&self, document: &T) -> io::Result<()> {
        replace_private(&self.path, &serde_json::to_vec(document)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_document_is_replaced_whole_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = JsonFile::new(dir.path().join("rules.json"), 100);
        assert!(file.load::<Vec<u8>>().unwrap().is_empty());
        file.save(&[1, 2]).unwrap();
        file.save(&[3]).unwrap();
        assert_eq!(file.load::<Vec<u8>>().unwrap(), [3]);
        assert_eq!(std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
        for bad in ["[3", &format!("[{}1]", "1,".repeat(100))] {
            std::fs::write(file.path(), bad).unwrap();
            let error = file.load::<Vec<u8>>().unwrap_err();
            assert!(error.to_string().contains("move it away"), "{error}");
        }
    }
}
