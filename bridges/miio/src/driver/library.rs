//! What models can do: the owner's files first, then ours, then what was fetched.
//!
//! `specs/MODEL.json` in the bridge's folder is the owner's: a MIoT instance document, or a profile of an older device.
//! `specs/fetched/MODEL.json` is what came from miot-spec.org.

use std::io::Read;
use std::path::{Path, PathBuf};

use accord_store::create_private_dir;

use crate::core::device::Model;
use crate::core::models::{is_model, parse, shipped};
use crate::core::spec::MAX_DOCUMENT;

/// Where a description came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Owner,
    Ours,
    Fetched,
}

pub(crate) struct Library {
    folder: PathBuf,
}

impl Library {
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let folder = folder.join("specs");
        create_private_dir(&folder.join("fetched")).map_err(|error| error.to_string())?;
        Ok(Self { folder })
    }

    /// What is known of a model.
    pub(crate) fn find(&self, model: &str) -> Option<(Model, From)> {
        if !is_model(model) {
            return None;
        }
        let file = format!("{model}.json");
        if let Some(found) = read(&self.folder.join(&file)) {
            return Some((found, From::Owner));
        }
        let ours = shipped(model).map(|found| (found, From::Ours));
        ours.or_else(|| read(&self.folder.join("fetched").join(file)).map(|found| (found, From::Fetched)))
    }

    /// Keeps what was fetched, if it is a description.
    pub(crate) fn keep(&self, model: &str, bytes: &[u8]) -> Result<Model, String> {
        if !is_model(model) {
            return Err("it is no name of a model".to_owned());
        }
        let found = parse(bytes)?;
        let path = self.folder.join("fetched").join(format!("{model}.json"));
        if let Err(error) = accord_store::replace_private(&path, bytes) {
            tracing::warn!(%error, file = %path.display(), "a fetched description is not kept");
        }
        Ok(found)
    }
}

/// A file, when it is there and says something.
fn read(path: &Path) -> Option<Model> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes).ok()?;
    match parse(&bytes) {
        Ok(model) => Some(model),
        Err(why) => {
            tracing::warn!(file = %path.display(), "what a model can do is not read from its file: {why}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_file_goes_before_ours_and_ours_before_what_was_fetched() {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::open(dir.path()).unwrap();
        let spec = br#"{"type":"urn:miot-spec-v2:device:light:0000A001:lab-x:1","services":[]}"#;
        assert!(library.find("lab.light.none").is_none() && library.find("../added").is_none());
        library.keep("lab.light.none", spec).unwrap();
        assert_eq!(library.find("lab.light.none").unwrap().1, From::Fetched);
        assert_eq!(library.find("zhimi.fan.za4").unwrap().1, From::Ours);
        std::fs::write(dir.path().join("specs/zhimi.fan.za4.json"), spec).unwrap();
        assert_eq!(library.find("zhimi.fan.za4").unwrap().1, From::Owner);
        std::fs::write(dir.path().join("specs/zhimi.fan.za4.json"), b"{").unwrap();
        assert_eq!(library.find("zhimi.fan.za4").unwrap().1, From::Ours, "a broken file is said and passed over");
        assert!(library.keep("lab.light.none", b"<html>").is_err() && library.keep("../x.y", spec).is_err());
    }
}
