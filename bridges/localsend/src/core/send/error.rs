//! What can go wrong when sending, in words for the owner.

use crate::core::message::{MAX_FILES, reason};

/// Why a transfer did not happen, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The receiver's owner said no.
    #[error("the other side declined")]
    Declined,
    /// Another transfer runs there.
    #[error("the other device is busy with another transfer; try again when that is over")]
    Busy,
    /// Three wrong PINs.
    #[error("too many wrong PINs; the other device takes no more from this machine until LocalSend is restarted there")]
    PinBlocked,
    /// The receiver broke it off.
    #[error("the other side cancelled the transfer")]
    CancelledByPeer,
    /// We broke it off.
    #[error("the transfer was cancelled here")]
    Cancelled,
    /// It could not be reached, or the connection ended.
    #[error("the connection to the other device failed: {0}")]
    Connection(String),
    /// It speaks plain HTTP only and that is not allowed.
    #[error(
        "the other device does not encrypt, so that others on the network could read along; \
         turn encryption on in its LocalSend settings"
    )]
    Unencrypted,
    /// It says it is someone whose certificate it does not have.
    #[error("another device answers there than the one that was meant; find the device again")]
    Impostor,
    /// What answers is not LocalSend.
    #[error("what answers there is not LocalSend, or a version that is not known")]
    NotLocalSend,
    /// It did not like the request.
    #[error("the other device refused the request{0}")]
    Refused(Reason),
    /// It failed.
    #[error("the other device reports a failure of its own{0}")]
    PeerFailed(Reason),
    /// An answer that the protocol does not have.
    #[error("the other device gave an answer that is not known: {0}")]
    Unexpected(u16),
    /// More than one transfer can hold.
    #[error("more than one transfer can hold ({MAX_FILES} files, 8 MiB of names); send it in parts")]
    TooMuch,
    /// The file arrived damaged too often.
    #[error("the file arrived damaged {0} times; check the network, or send it again")]
    Damaged(u8),
}

/// The other device's own words, if it gave any. Safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reason(Option<String>);

impl Reason {
    pub(super) fn of(body: &[u8]) -> Self {
        Self(reason(body))
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(words) => write!(f, ": {words}"),
            None => Ok(()),
        }
    }
}
