//! What the link remembers between runs: its port, and what paired devices said of themselves, so that
//! they are listed with their abilities while they are away. A file that cannot be read is left aside:
//! everything in it is learnt again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use accord_model::DeviceId;
use serde::{Deserialize, Serialize};

use crate::wire::Record;

const FILE: &str = "link.json";
const LARGEST: u64 = 16 * 1024 * 1024;

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    port: Option<u16>,
    said: BTreeMap<DeviceId, Record>,
}

/// See the module.
pub(crate) struct Memory {
    path: PathBuf,
    kept: Mutex<Kept>,
}

impl Memory {
    pub(crate) fn open(folder: &std::path::Path) -> Self {
        let path = folder.join(FILE);
        let small = std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= LARGEST);
        let kept = small.then(|| std::fs::read(&path).ok()).flatten();
        let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { path, kept: Mutex::new(kept) }
    }

    /// The link's UDP port: the one of earlier runs, or one chosen now.
    pub(crate) fn port(&self) -> u16 {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = kept.port {
            return port;
        }
        let port = random_port();
        kept.port = Some(port);
        self.save(&kept);
        port
    }

    /// Another port from the next opening on.
    pub(crate) fn new_port(&self) {
        self.change(|kept| {
            let before = kept.port;
            while kept.port == before {
                kept.port = Some(random_port());
            }
        });
    }

    pub(crate) fn set_port(&self, port: u16) {
        self.change(|kept| kept.port = Some(port));
    }
    pub(crate) fn said(&self, id: &DeviceId) -> Record {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).said.get(id).cloned().unwrap_or_default()
    }
    pub(crate) fn set_said(&self, id: &DeviceId, said: &Record) {
        self.change(|kept| {
            kept.said.insert(id.clone(), said.clone());
        });
    }
    pub(crate) fn forget(&self, id: &DeviceId) {
        self.change(|kept| {
            kept.said.remove(id);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut kept);
        self.save(&kept);
    }

    fn save(&self, kept: &Kept) {
        let written = serde_json::to_vec(kept).map_err(std::io::Error::other);
        let written = written.and_then(|bytes| accord_store::replace_private(&self.path, &bytes));
        if let Err(error) = written {
            tracing::warn!(file = %self.path.display(), %error, "what the link knows could not be kept");
        }
    }
}

/// Outside the range that systems hand out by themselves.
pub(crate) fn random_port() -> u16 {
    let mut bytes = [0; 2];
    let _ = getrandom::fill(&mut bytes);
    20_000 + u16::from_be_bytes(bytes) % 12_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_a_restart_and_a_damaged_file() {
        let folder = tempfile::tempdir().unwrap();
        let id = DeviceId::new("link-a").unwrap();
        let memory = Memory::open(folder.path());
        let port = memory.port();
        memory.set_said(&id, &Record { name: "Laptop".into(), ..Default::default() });
        let again = Memory::open(folder.path());
        assert_eq!((again.port(), again.said(&id).name.as_str()), (port, "Laptop"));
        again.new_port();
        assert_ne!(Memory::open(folder.path()).port(), port);
        std::fs::write(folder.path().join(FILE), b"{").unwrap();
        assert_eq!(Memory::open(folder.path()).said(&id), Record::default());
    }
}
