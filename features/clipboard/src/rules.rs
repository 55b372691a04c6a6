//! What the owner set, and where it is kept: `clipboard.json`, readable by the owner alone.

use std::collections::BTreeMap;

use accord_model::DeviceId;
use serde::{Deserialize, Serialize};

const MAX_DEVICES: usize = 200;
pub(crate) const MAX_FILE: u64 = 1 << 20;

/// What becomes of what a device copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Receiving {
    /// It is refused.
    Off,
    /// The owner is asked each time.
    #[default]
    Ask,
    /// It is put into the clipboard here.
    Automatic,
}

/// Everything the owner set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipboardRules {
    /// For all devices that have no rule of their own.
    pub receive: Receiving,
    /// By device.
    pub devices: BTreeMap<DeviceId, DeviceRule>,
}

/// For one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceRule {
    /// It gets whatever is copied here, as far as that was agreed to.
    pub send: bool,
    /// What becomes of what is copied there.
    pub receive: Option<Receiving>,
}

impl ClipboardRules {
    /// What becomes of what this device copied.
    pub fn receives(&self, device: &DeviceId) -> Receiving {
        self.devices.get(device).and_then(|rule| rule.receive).unwrap_or(self.receive)
    }

    /// Devices that get whatever is copied here.
    pub fn automatic(&self) -> impl Iterator<Item = &DeviceId> {
        self.devices.iter().filter(|(_, rule)| rule.send).map(|(device, _)| device)
    }

    /// Whether these rules can be kept.
    ///
    /// # Errors
    /// What is wrong, for the owner.
    pub fn check(&self) -> Result<(), String> {
        if self.devices.len() > MAX_DEVICES {
            return Err(format!("rules are for at most {MAX_DEVICES} devices"));
        }
        Ok(())
    }
}
