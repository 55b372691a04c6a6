//! What an application sees of the feature: requests, transfers, events, errors.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::Refusal;
use accord_model::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncRead;

pub use crate::wire::Kind;

/// Names one transfer on this machine: 32 hex digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransferId(pub(crate) String);

impl TransferId {
    /// A new one.
    pub fn random() -> Self {
        Self::of(&crate::files::random_id())
    }
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub(crate) fn of(bytes: &[u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(bytes))
    }
    pub(crate) fn bytes(&self) -> Option<[u8; 16]> {
        data_encoding::HEXLOWER.decode(self.0.as_bytes()).ok()?.try_into().ok()
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransferId({})", self.0)
    }
}
impl std::str::FromStr for TransferId {
    type Err = FilesError;
    fn from_str(text: &str) -> Result<Self, FilesError> {
        let id = Self(text.to_owned());
        if id.bytes().is_some() {
            Ok(id)
        } else {
            Err(FilesError::NoTransfer(accord_model::text::for_screen(text, 40)))
        }
    }
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To this machine.
    In,
    /// From this machine.
    Out,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// This machine's owner has not decided whether to share.
    WaitingForConsent,
    /// Looking for a way to the device.
    Connecting,
    /// Offered; the receiving owner has not answered.
    Offered,
    /// Bytes move.
    Running,
    /// The link broke; goes on by itself when it is back.
    Paused,
    /// Everything arrived, except what `skipped` names.
    Done,
    /// Over; see the message. May be retried.
    Failed,
    /// The receiving owner said no, or did not answer.
    Refused,
    /// One of the owners stopped it.
    Cancelled,
}

impl State {
    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Refused | Self::Cancelled)
    }
}

/// One item of a preview. Names are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Bytes, when known.
    pub size: Option<u64>,
    /// Whether it is a folder.
    pub folder: bool,
}

/// One transfer, as UIs show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its name on this machine.
    pub id: TransferId,
    /// Which way.
    pub direction: Direction,
    /// The other device.
    pub device: DeviceId,
    /// What it is.
    pub kind: Kind,
    /// How far it is.
    pub state: State,
    /// What went wrong and what to do, or what it waits for.
    pub message: Option<String>,
    /// The first items.
    pub items: Vec<Item>,
    /// Files altogether; what was counted so far when not `exact`.
    pub files_total: u64,
    /// Files that arrived.
    pub files_done: u64,
    /// Bytes altogether; likewise.
    pub bytes_total: u64,
    /// Bytes that moved.
    pub bytes_done: u64,
    /// Whether the totals are final.
    pub exact: bool,
    /// Bytes per second now.
    #[serde(skip)]
    pub rate: Option<u64>,
    /// Seconds that remain at that rate.
    #[serde(skip)]
    pub remaining_s: Option<u64>,
    /// `tls`, `quic`, …
    pub carrier: Option<String>,
    /// When it began.
    pub created: Timestamp,
    /// When it was over.
    pub finished: Option<Timestamp>,
    /// The text or link, for kinds `text` and `url`. A link is never opened by itself.
    pub text: Option<String>,
    /// Where it was saved.
    pub saved_to: Vec<PathBuf>,
    /// Items that were not transferred, each with its reason; the first few.
    pub skipped: Vec<String>,
    /// How many.
    pub skipped_count: u64,
    /// An incoming offer is refused by itself at this time.
    pub deadline: Option<Timestamp>,
}

impl Transfer {
    /// The received or sent link, when it is one that a UI may show as a link: `http` or `https`.
    pub fn link(&self) -> Option<&str> {
        let text = self.text.as_deref().filter(|_| self.kind == Kind::Url)?;
        is_web_link(text).then_some(text)
    }
}

/// Whether a UI may show this as a link.
pub fn is_web_link(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && text.len() <= 8192)
        && !text.contains(|c: char| c.is_whitespace() || accord_model::text::is_unsafe(c))
}

/// What to send, and to whom.
pub struct SendRequest {
    /// To which device.
    pub device: DeviceId,
    /// What.
    pub items: Items,
}

/// What to send.
pub enum Items {
    /// Files and folders.
    Paths(Vec<PathBuf>),
    /// A text, at most [`MAX_TEXT`] bytes.
    Text(String),
    /// A link.
    Url(String),
    /// A stream of bytes that becomes one file. Cannot be resumed after a break.
    Stream {
        /// The file's name.
        name: String,
        /// Its content.
        reader: Box<dyn AsyncRead + Send + Unpin>,
    },
}

/// Longest text or link.
pub const MAX_TEXT: usize = 1 << 20;

/// Which devices need not ask.
pub trait AcceptPolicy: Send + Sync + 'static {
    /// Whether everything this device sends is taken without asking.
    fn accepts(&self, device: &DeviceId) -> bool;
    /// The owner said so just now.
    fn accept_always(&self, device: &DeviceId);
}

/// Asks for every offer.
pub struct AskAlways;

impl AcceptPolicy for AskAlways {
    fn accepts(&self, _: &DeviceId) -> bool {
        false
    }
    fn accept_always(&self, _: &DeviceId) {}
}

/// Where things lie, and limits.
#[derive(Clone)]
pub struct FilesConfig {
    /// Folder for received files.
    pub inbox: PathBuf,
    /// Folder for what the feature remembers.
    pub state_dir: PathBuf,
    /// Which devices need not ask.
    pub policy: Arc<dyn AcceptPolicy>,
    /// How long an incoming offer waits for the owner.
    pub answer_within: Duration,
    /// How long a first connection is tried.
    pub connect_within: Duration,
    /// How long a broken transfer is tried again.
    pub resume_within: Duration,
    /// Offers of one device that may wait at once.
    pub offers_per_device: usize,
    /// Finished transfers that are remembered.
    pub history: usize,
}

impl FilesConfig {
    /// With the usual limits; asks for every offer.
    pub fn new(inbox: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            inbox: inbox.into(),
            state_dir: state_dir.into(),
            policy: Arc::new(AskAlways),
            answer_within: Duration::from_secs(600),
            connect_within: Duration::from_secs(60),
            resume_within: Duration::from_secs(24 * 3600),
            offers_per_device: 4,
            history: 500,
        }
    }
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly every event is the large one")]
pub enum FilesEvent {
    /// A transfer is new or changed; at most ten times a second for progress.
    Changed(Transfer),
    /// A transfer was removed from the list.
    Gone(TransferId),
}

/// Why something cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// No such transfer.
    #[error("there is no transfer `{0}`")]
    NoTransfer(String),
    /// Not in the right state.
    #[error("the transfer is {0} and cannot be {1}")]
    NotNow(&'static str, &'static str),
    /// The owner has not agreed to share this.
    #[error("not shared: {0}")]
    NotConsented(Refusal),
    /// Nothing to send.
    #[error("nothing to send")]
    Nothing,
    /// A path that cannot be sent.
    #[error("{path} cannot be sent: {error}")]
    Path {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A text or link that cannot be sent.
    #[error("{0}")]
    BadText(&'static str),
    /// A folder that cannot be used.
    #[error("{path} cannot be used: {error}")]
    Folder {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The stream is gone.
    #[error("standard input cannot be read a second time; send it again")]
    StreamGone,
}
