//! What an application sees of the feature: offers, events, errors.

use std::path::PathBuf;
use std::time::Duration;

use accord_consent::Refusal;
use accord_model::{CallError, DeviceId, Timestamp};

use crate::content::Kind;

/// Something that a device copied and that waits for the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The device; a later offer of the same takes its place.
    pub device: DeviceId,
    /// What it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// The beginning of a text, safe to show.
    pub preview: Option<String>,
    /// When it came.
    pub since: Timestamp,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClipboardEvent {
    /// What a device copied is in the clipboard here.
    Received {
        /// From whom.
        device: DeviceId,
        /// What it is.
        kind: Kind,
    },
    /// A device copied something, and the owner is asked.
    Offered(Offer),
    /// An offer was answered, or withdrawn.
    OfferGone(DeviceId),
    /// A device got what was copied here.
    Sent(DeviceId),
    /// A device did not get it.
    NotSent {
        /// Which.
        device: DeviceId,
        /// Why.
        why: String,
    },
    /// The rules changed.
    Rules,
}

/// Where the rules lie, and bounds.
#[derive(Debug, Clone)]
pub struct ClipboardConfig {
    /// Folder for `clipboard.json`.
    pub folder: PathBuf,
    /// Whether to touch this session's clipboard.
    pub session: bool,
    /// How long a device may take to answer.
    pub answer_within: Duration,
    /// How long an offer waits.
    pub offer_lasts: Duration,
}

impl ClipboardConfig {
    /// With the usual bounds.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            session: true,
            answer_within: Duration::from_secs(15),
            offer_lasts: Duration::from_secs(600),
        }
    }
}

/// Why something cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ClipboardError {
    /// This session has no clipboard that Accord can use.
    #[error("{0}")]
    NoTool(String),
    /// There is nothing in it.
    #[error("the clipboard is empty")]
    Empty,
    /// A password manager marked it.
    #[error("what is in the clipboard is marked as secret by the program that copied it; it is not shared")]
    Secret,
    /// Neither text nor picture.
    #[error("what is in the clipboard is neither text nor a picture")]
    Other,
    /// Too large, or not what it says.
    #[error("{0}")]
    BadContent(&'static str),
    /// The tool failed.
    #[error("{tool}: {why}")]
    Tool {
        /// Which program.
        tool: &'static str,
        /// What it said.
        why: String,
    },
    /// No offer of this device waits.
    #[error("nothing that `{0}` copied waits for you")]
    NoOffer(String),
    /// The owner has not agreed to share this.
    #[error("not shared: {0}")]
    NotConsented(Refusal),
    /// The device did not take it.
    #[error(transparent)]
    Call(#[from] CallError),
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
