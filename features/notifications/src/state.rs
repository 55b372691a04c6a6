//! The state file: the owner's rules, and what waits for devices that are away. Readable by the owner alone.

use accord_model::DeviceId;
use serde::{Deserialize, Serialize};

use crate::queue::Queue;
use crate::rules::Rules;

/// Larger files are not ours: rules and the fullest queue need less.
pub(crate) const MAX_FILE: u64 = 64 << 20;

/// What lasts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Saved {
    pub rules: Rules,
    pub queue: Queue,
    /// Devices that showed notifications before, so that something can wait for those that are away.
    pub known: Vec<DeviceId>,
}
