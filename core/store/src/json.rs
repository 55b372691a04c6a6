//! A small state file: one JSON document that only its owner can open; what holds secrets is [sealed](crate::Vault).

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::{FileError, Vault, replace_private};

/// Where a document lies, and how large it may be.
#[derive(Debug, Clone)]
pub struct JsonFile {
    path: PathBuf,
    largest: u64,
    /// In which vault, and under which name there.
    sealed: Option<(Vault, String)>,
}

impl JsonFile {
    /// At `path`; a file of more than `largest` bytes is not ours.
    pub fn new(path: PathBuf, largest: u64) -> Self {
        Self { path, largest, sealed: None }
    }

    pub(crate) fn sealed(vault: Vault, name: &str, largest: u64) -> Self {
        Self { path: vault.path().join(name), largest, sealed: Some((vault, name.to_owned())) }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved; the default when nothing was. A document that is to be sealed as it is not yet is that once this returns.
    ///
    /// # Errors
    /// What the system says, or [`ErrorKind::InvalidData`] with what to do when the file is damaged, sealed elsewhere, or not
    /// sealed though it is to be.
    pub fn load<T: DeserializeOwned + Default>(&self) -> io::Result<T> {
        let Some((vault, name)) = &self.sealed else {
            let file = match File::open(&self.path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(T::default()),
                Err(error) => return Err(error),
            };
            let mut bytes = Vec::new();
            file.take(self.largest).read_to_end(&mut bytes)?;
            return parse(&bytes);
        };
        let Some(found) = vault.read(name, self.largest).map_err(FileError::unnamed)? else { return Ok(T::default()) };
        let document = parse(&found.bytes)?;
        vault.renew(name, &found);
        Ok(document)
    }

    /// Replaces the document whole, or leaves the old one.
    ///
    /// # Errors
    /// What the system says.
    pub fn save<T: Serialize>(&self, document: &T) -> io::Result<()> {
        let Some((vault, name)) = &self.sealed else {
            return replace_private(&self.path, &serde_json::to_vec(document)?);
        };
        // Room for what such files have, so that growing leaves no copy of a secret behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.largest.min(64 << 10) as usize));
        serde_json::to_writer(&mut *bytes, document)?;
        vault.replace(name, &bytes)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let advice = format!("it is damaged ({error}); move it away to begin with none");
        io::Error::new(ErrorKind::InvalidData, advice)
    })
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

    #[test]
    fn a_sealed_document_is_the_same_but_not_readable_and_a_plain_one_is_refused_or_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::new(dir.path(), &[7; 32]);
        let file = vault.folder("lab").json("added.json", 100);
        assert!(file.load::<Vec<String>>().unwrap().is_empty());
        file.save(&["a token"]).unwrap();
        assert_eq!(file.load::<Vec<String>>().unwrap(), ["a token"]);
        let is_plain = || std::fs::read(file.path()).unwrap().windows(5).any(|part| part == b"token");
        assert!(!is_plain());
        replace_private(file.path(), br#"["a token"]"#).unwrap();
        let error = file.load::<Vec<String>>().unwrap_err();
        assert!(error.to_string().contains("not sealed") && is_plain(), "{error}");
        let file = vault.taking_plain().folder("lab").json("added.json", 100);
        assert_eq!(file.load::<Vec<String>>().unwrap(), ["a token"]);
        assert!(!is_plain());
        // What cannot be understood is left to its owner as it is.
        std::fs::write(file.path(), r#"["a token"#).unwrap();
        let error = file.load::<Vec<String>>().unwrap_err();
        assert!(error.to_string().contains("move it away") && is_plain(), "{error}");
        Vault::new(dir.path(), &[8; 32]).folder("lab").json("added.json", 100).save(&["x"]).unwrap();
        let error = file.load::<Vec<String>>().unwrap_err();
        assert!(
            error.to_string().contains("sealed by another hub") && !error.to_string().contains("damaged"),
            "{error}"
        );
    }
}
