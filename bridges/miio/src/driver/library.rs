//! What models can do: the owner's files first, then ours, then what was fetched.
//!
//! `specs/MODEL.json` in the bridge's folder is the owner's: a MIoT instance document, or a profile of an older device.
//! `specs/fetched/MODEL.json` is what came from miot-spec.org, and `asked.json` of which models it was asked when.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use accord_model::Timestamp;
use accord_store::{JsonFile, create_private_dir};

use crate::core::device::Model;
use crate::core::models::{is_model, parse, shipped};
use crate::core::spec::MAX_DOCUMENT;

/// A model that miot-spec.org did not describe is asked for again after so long, in seconds: see the statement's `miio/spec`.
const ASK_AGAIN_S: i64 = 86_400;
/// Most models that are asked for in that time: what it is, a device says itself.
const MOST_ASKED: usize = 32;
const LARGEST_ASKED: u64 = 16 * 1024;

/// Where a description came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Owner,
    Ours,
    Fetched,
}

pub(crate) struct Library {
    folder: PathBuf,
    /// When which model was asked for, of those that may not be asked for again yet.
    asked: BTreeMap<String, Timestamp>,
    asked_file: JsonFile,
}

impl Library {
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let asked_file = JsonFile::new(folder.join("asked.json"), LARGEST_ASKED);
        let folder = folder.join("specs");
        create_private_dir(&folder.join("fetched")).map_err(|error| error.to_string())?;
        let asked = asked_file.load().map_err(|error| format!("{}: {error}", asked_file.path().display()))?;
        Ok(Self { folder, asked, asked_file })
    }

    /// Whether miot-spec.org may be asked for a model, as far as it was not lately.
    pub(crate) fn may_ask(&self, model: &str, now: Timestamp) -> bool {
        let lately = self.asked.values().filter(|at| is_lately(**at, now)).count();
        is_model(model) && lately < MOST_ASKED && self.asked.get(model).is_none_or(|at| !is_lately(*at, now))
    }

    /// It is asked now. That is on disk once this returns.
    pub(crate) fn asks(&mut self, model: &str, now: Timestamp) -> Result<(), String> {
        self.asked.retain(|_, at| is_lately(*at, now));
        self.asked.insert(model.to_owned(), now);
        self.asked_file.save(&self.asked).map_err(|error| error.to_string())
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

/// Whether that is too short a time ago. A clock that was wrong is no reason to wait longer.
fn is_lately(at: Timestamp, now: Timestamp) -> bool {
    (-ASK_AGAIN_S..ASK_AGAIN_S).contains(&now.duration_since(at).as_secs())
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
    fn a_model_is_asked_for_once_a_day_at_most_after_a_restart_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut library = Library::open(dir.path()).unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let later = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        assert!(library.may_ask("lab.light.none", now) && !library.may_ask("../x", now));
        library.asks("lab.light.none", now).unwrap();
        let mut library = Library::open(dir.path()).unwrap();
        assert!(!library.may_ask("lab.light.none", later(3_601)) && !library.may_ask("lab.light.none", later(86_000)));
        assert!(library.may_ask("lab.light.other", now) && library.may_ask("lab.light.none", later(86_401)));
        assert!(library.may_ask("lab.light.none", later(-90_000)), "the clock was wrong");
        (1..MOST_ASKED).for_each(|number| library.asks(&format!("lab.light.x{number}"), now).unwrap());
        assert!(!library.may_ask("lab.light.other", now), "one that says each time something else is not followed");
        library.asks("lab.light.other", later(86_401)).unwrap();
        assert!(library.may_ask("lab.light.another", later(86_401)));
    }

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
