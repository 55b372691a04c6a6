//! What the app says and hears.

use std::net::IpAddr;
use std::path::PathBuf;

use accord_consent::{Refusal, SendError};
use accord_model::{DeviceKind, Timestamp};
use accord_ports::Secret;

/// Where a share listens if nobody else does, so that a firewall can be told.
pub const DEFAULT_PORT: u16 = 8421;
/// Shares that may be open at once.
pub const MAX_SHARES: usize = 8;
/// Most files of one share.
pub const MAX_ITEMS: usize = 10_000;
/// Longest text, in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// Longest PIN, in characters.
pub const MAX_PIN: usize = 32;
/// How long a share may be open, in seconds.
pub const MAX_LIFE: i64 = 7 * 24 * 3600;

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The owner is asked about each visitor.
    Ask,
    /// Whoever knows the PIN.
    Pin(Secret),
    /// Whoever has the address.
    Everyone,
}

/// What is to be shared.
#[derive(Debug, Clone)]
pub struct OpenShare {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// A text.
    pub text: Option<String>,
    /// Who is let in.
    pub admission: Admission,
    /// When it ends by itself.
    pub until: Timestamp,
    /// How this machine is called.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
}

/// One open share.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// Its id.
    pub id: String,
    /// Since when.
    pub opened: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Who is let in.
    pub admission: Admission,
    /// Where it listens.
    pub port: u16,
    /// The path of its page: `/`, or one that nobody can guess.
    pub path: String,
    /// What is shared; the first hundred.
    pub items: Vec<Item>,
    /// How many there are.
    pub items_total: usize,
    /// All their bytes.
    pub bytes_total: u64,
    /// What is not shared, and why.
    pub skipped: Vec<String>,
    /// Who came, newest first.
    pub visitors: Vec<Visitor>,
}

/// Something that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name, with the folders that it is in.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// A text, not a file.
    pub text: bool,
}

/// Somebody who came.
#[derive(Debug, Clone, PartialEq)]
pub struct Visitor {
    /// Its id within the share.
    pub id: u64,
    /// Where it is.
    pub address: IpAddr,
    /// What its browser says that it is; from outside, safe to show.
    pub agent: Option<String>,
    /// How it stands.
    pub state: VisitorState,
    /// When it came.
    pub since: Timestamp,
    /// Files that it fetched whole.
    pub files_done: u64,
    /// Bytes of files that were sent to it.
    pub bytes: u64,
    /// What is sent to it now.
    pub fetching: Option<String>,
}

/// How a visitor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisitorState {
    /// Waits for the owner.
    Waiting,
    /// May fetch.
    In,
    /// The owner said no, or did not answer.
    Declined,
    /// Gone before it was let in.
    Left,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum ShareEvent {
    /// A share is new, or something about it changed.
    Changed(Box<Share>),
    /// Somebody waits to be let in.
    Knocked {
        /// At which share.
        share: String,
        /// Who.
        visitor: Box<Visitor>,
    },
    /// A share is over.
    Gone {
        /// Which.
        share: String,
        /// Why.
        why: String,
    },
}

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// Nothing to share.
    #[error("there is nothing to share: name files, folders or a text")]
    Nothing,
    /// Nothing of it can be read.
    #[error("nothing of this can be shared: {0}")]
    NothingReadable(String),
    /// A path.
    #[error("{path} cannot be shared: {why}")]
    Path {
        /// Which, safe to show.
        path: String,
        /// Why.
        why: String,
    },
    /// Too much.
    #[error("more than {MAX_ITEMS} files; share the folder as an archive, or in parts")]
    TooMany,
    /// A text.
    #[error("a shared text has 1 to {MAX_TEXT} bytes; share a longer one as a file")]
    Text,
    /// A PIN.
    #[error("a PIN has 4 to {MAX_PIN} letters or digits")]
    Pin,
    /// An end.
    #[error("a share ends after a moment up to {} days from now", MAX_LIFE / 86_400)]
    Until,
    /// Others are open.
    #[error("{MAX_SHARES} shares are open; stop one first")]
    Full,
    /// Not there.
    #[error("there is no such share; it was stopped, or its time is over")]
    NoShare,
    /// Not there.
    #[error("there is no such visitor any more")]
    NoVisitor,
    /// Not agreed.
    #[error(transparent)]
    NotConsented(#[from] Refusal),
    /// The listener could not be opened.
    #[error("the link could not be opened: {0}")]
    Open(#[from] SendError),
}
