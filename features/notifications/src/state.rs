//! The state file: the owner's rules, and what waits for devices that are away. Readable by the owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use accord_model::DeviceId;
use serde::{Deserialize, Serialize};

use crate::queue::Queue;
use crate::rules::Rules;

/// Larger files are not ours: rules and the fullest queue need less.
const MAX_FILE: u64 = 64 << 20;

/// What lasts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Saved {
    pub rules: Rules,
    pub queue: Queue,
    /// Devices that showed notifications before, so that something can wait for those that are away.
    pub known: Vec<DeviceId>,
}

/// Where it lies.
#[derive(Debug, Clone)]
pub(crate) struct File(PathBuf);

impl File {
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join("notifications.json"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn load(&self) -> io::Result<Saved> {
        let file = match fs::File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let advice = format!("it is damaged ({error}); move it away to begin with no rules");
            io::Error::new(ErrorKind::InvalidData, advice)
        })
    }

    /// Replaces the file whole, or leaves the old one.
    pub fn save(&self, saved: &Saved) -> io::Result<()> {
        let draft = self.0.with_extension("json.new");
        let bytes = serde_json::to_vec(saved)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &self.0)
    }
}
