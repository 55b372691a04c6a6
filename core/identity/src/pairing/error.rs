//! Why a pairing failed, for the owner; and the short form of it that the other side is told.

/// Why a pairing failed. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairingError {
    /// This side's user refused.
    #[error("refused here; nothing was paired")]
    Rejected,
    /// The code typed is not the own one.
    #[error("the code does not match; nothing was paired. If both were typed right, someone may be in between")]
    WrongCode,
    /// The other side ended it.
    #[error("{0}")]
    Peer(Refusal),
    /// Nobody agreed in time.
    #[error("nobody agreed within {} s; start again when both screens are at hand", super::CONFIRM_TIME.as_secs())]
    NotConfirmed,
    /// The run as a whole took too long.
    #[error("the other device took longer than {} s; start again", super::TOTAL_TIME.as_secs())]
    TimedOut,
    /// The other side did not take the next step, for which it needs no user.
    #[error("the other device fell silent for {} s; start again", super::STEP_TIME.as_secs())]
    Silent,
    /// The channel closed before the end.
    #[error("the connection closed before the pairing was complete; start again")]
    Closed,
    /// A frame that cannot be understood.
    #[error("the other device sent something that is no pairing message ({0}); is it up to date?")]
    Malformed(&'static str),
    /// A frame that does not belong here: repeated, reflected, or out of order.
    #[error("the other device sent `{got}` when `{expected}` was due; nothing was paired")]
    OutOfOrder {
        /// What was due.
        expected: &'static str,
        /// What came.
        got: &'static str,
    },
    /// No common version.
    #[error("the other device speaks another version of pairing; update the older one")]
    Version,
    /// The other side wants something else.
    #[error("the other device pairs for another purpose; nothing was paired")]
    Purpose,
    /// The other side uses another way in.
    #[error("one device uses a ticket and the other a code; start again with the same on both")]
    Method,
    /// The key named is not the one that the channel proved.
    #[error("the other device named a key that is not its own; nothing was paired")]
    TransportKey,
    /// The nonce is not the one committed to.
    #[error("the other device broke its commitment; someone may be in between. Nothing was paired")]
    Commitment,
    /// The confirmation is not over this run, or the ticket's secret is wrong.
    #[error(
        "the other device's confirmation does not belong to this pairing; someone may be in between, or the ticket is an old one"
    )]
    Confirmation,
    /// The record's signatures do not hold.
    #[error("the other device could not prove its keys; nothing was paired")]
    Record,
    /// The other side is this device.
    #[error("this device cannot be paired with itself")]
    Oneself,
}

/// What one side tells the other when it ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its user refused.
    #[error("refused on the other device; nothing was paired")]
    Rejected,
    /// Its user typed another code.
    #[error("the code typed on the other device does not match; nothing was paired")]
    WrongCode,
    /// Its deadline passed.
    #[error("the other device waited too long; start again")]
    TimedOut,
    /// It found a fault in what this side sent.
    #[error("the other device found a fault in the pairing and ended it; nothing was paired")]
    Protocol,
    /// No common version.
    #[error("the other device speaks another version of pairing; update the older one")]
    Version,
    /// It is busy with another run.
    #[error("the other device is pairing with someone else right now; try again in a moment")]
    Busy,
    /// Too many runs failed there lately.
    #[error("too many pairings failed on the other device lately; try again in some minutes")]
    TooMany,
    /// It is not open for pairing.
    #[error("the other device is not open for pairing; allow it there first")]
    NotOpen,
    /// Something this version does not know.
    #[error("the other device ended the pairing; nothing was paired")]
    Other,
}

const REFUSALS: [(u8, Refusal); 8] = [
    (1, Refusal::Rejected),
    (2, Refusal::WrongCode),
    (3, Refusal::TimedOut),
    (4, Refusal::Protocol),
    (5, Refusal::Version),
    (6, Refusal::Busy),
    (7, Refusal::TooMany),
    (8, Refusal::NotOpen),
];

impl Refusal {
    pub(super) fn code(self) -> u8 {
        REFUSALS.iter().find(|(_, refusal)| *refusal == self).map_or(0, |(code, _)| *code)
    }
    pub(super) fn from_code(code: u8) -> Self {
        REFUSALS.iter().find(|(known, _)| *known == code).map_or(Self::Other, |(_, refusal)| *refusal)
    }
}

impl PairingError {
    /// What to tell the other side; `None` when it ended the run itself or is gone.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Peer(_) | Self::Closed => None,
            Self::Rejected => Some(Refusal::Rejected),
            Self::WrongCode => Some(Refusal::WrongCode),
            Self::NotConfirmed | Self::TimedOut | Self::Silent => Some(Refusal::TimedOut),
            Self::Version => Some(Refusal::Version),
            _ => Some(Refusal::Protocol),
        }
    }
}
