//! What an application sees of the feature: notifications, events, errors, bounds.

use std::path::PathBuf;
use std::time::Duration;

use accord_consent::Refusal;
use accord_model::{CallError, DeviceId, Timestamp};
use serde::Serialize;

pub use crate::desktop::DesktopState;

/// One notification that is there now. Its texts are safe to show as plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// Its name on this hub: letters, digits and `-`.
    pub id: String,
    /// The device it came from; this computer's own have none.
    pub device: Option<DeviceId>,
    /// The app that notifies.
    pub app: String,
    /// What it is about.
    pub title: String,
    /// The text; may have several lines.
    pub body: String,
    /// A PNG.
    pub icon: Option<Vec<u8>>,
    /// Labels of what can be done.
    pub actions: Vec<String>,
    /// Whether a text can be replied.
    pub reply: bool,
    /// A one-time code in it, to be copied.
    pub code: Option<String>,
    /// The rules hide its content on screens.
    pub hidden: bool,
    /// When it came or was last changed.
    pub posted: Timestamp,
    /// Devices that were sent it.
    pub sent_to: Vec<DeviceId>,
    /// Devices that it waits for.
    pub waits_for: Vec<DeviceId>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly every event is the large one")]
pub enum NotificationsEvent {
    /// A notification is new or changed.
    Changed(Notification),
    /// A notification is gone.
    Gone(String),
    /// How this computer's desktop and Accord stand.
    Desktop(DesktopState),
    /// The owner wants this one-time code copied: chosen in a popup.
    Copy(String),
}

/// What became of something that was sent on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sending {
    /// The device has it.
    Sent,
    /// The device is away; it gets it when it is back in time.
    Waits,
}

/// Where the state lies, and bounds.
#[derive(Debug, Clone)]
pub struct NotificationsConfig {
    /// Folder for `notifications.json`: the rules, and what waits for devices that are away.
    pub folder: PathBuf,
    /// Whether to look at this computer's desktop.
    pub desktop: bool,
    /// How much may wait for one device; the oldest goes.
    pub waiting_per_device: usize,
    /// How long something waits.
    pub waits: Duration,
    /// How long a device may take to answer.
    pub answer_within: Duration,
}

impl NotificationsConfig {
    /// With the usual bounds.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            desktop: true,
            waiting_per_device: 100,
            waits: Duration::from_secs(12 * 3600),
            answer_within: Duration::from_secs(15),
        }
    }
}

/// Why something cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum NotificationsError {
    /// It is not there any more.
    #[error("there is no notification `{0}` any more")]
    Gone(String),
    /// It has no such action, no reply or no code.
    #[error("this notification {0}")]
    Cannot(String),
    /// The owner has not agreed to share this.
    #[error("not shared: {0}")]
    NotConsented(Refusal),
    /// The device did not take it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// This computer's desktop did not take it.
    #[error("the desktop did not take it: {0}")]
    Desktop(String),
    /// Nothing to say, or too much.
    #[error("{0}")]
    BadText(String),
    /// Rules that cannot be.
    #[error("these rules cannot be kept: {0}")]
    BadRules(String),
    /// The state file cannot be used.
    #[error("{path} cannot be used: {error}")]
    State {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}
