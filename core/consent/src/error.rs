//! Why something may not leave, or did not.

use std::io;

use accord_model::why::Outcome;
use accord_model::{EntryKey, FieldSet, Timestamp};
use accord_store::StoreError;

use crate::{ConsentId, LedgerError, Notice, RecipientId, To};

/// Why the gate does not let something out. Nothing left.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The statement does not declare this.
    #[error("the statement has no entry `{0}` that could be relied on; nothing can be shared under it")]
    NoEntry(EntryKey),
    /// The entry belongs to another feature.
    #[error("`{entry}` is not an entry of `{owner}`")]
    NotYours {
        /// The entry that was asked for.
        entry: EntryKey,
        /// Who asked.
        owner: String,
    },
    /// The owner has not decided. Ask, in context, with this notice.
    #[error(
        "you have not decided about `{entry}` yet. `accord consent grant {entry}` agrees, `accord consent refuse {entry}` refuses"
    )]
    Undecided {
        /// Which entry.
        entry: EntryKey,
        /// What to show.
        notice: std::sync::Arc<Notice>,
    },
    /// The owner said no. Not asked again.
    #[error("you refused `{0}`. `accord consent grant {0}` changes that")]
    Refused(EntryKey),
    /// The statement widened since the owner agreed. Ask again with the difference.
    #[error("what `{entry}` shares has widened since you agreed: {difference}")]
    Lapsed {
        /// Which entry.
        entry: EntryKey,
        /// What is new, in words.
        difference: String,
        /// What to show.
        notice: std::sync::Arc<Notice>,
    },
    /// The consent had an end.
    #[error("your consent to `{entry}` ended at {at}")]
    Expired {
        /// Which entry.
        entry: EntryKey,
        /// When.
        at: Timestamp,
    },
    /// The owner took the consent back.
    #[error("you withdrew your consent to `{0}`")]
    Withdrawn(EntryKey),
    /// These kinds of data are not declared or not granted.
    #[error("`{entry}` does not let out {fields:?}")]
    FieldsNotGranted {
        /// Which entry.
        entry: EntryKey,
        /// Which fields.
        fields: FieldSet,
    },
    /// The entry does not go to this recipient or host.
    #[error("`{entry}` does not go to `{to}`")]
    HostNotDeclared {
        /// Which entry.
        entry: EntryKey,
        /// The recipient or host.
        to: String,
    },
}

impl Refusal {
    /// The same as one stable word, for the ledger and for scripts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoEntry(_) => "no-entry",
            Self::NotYours { .. } => "not-yours",
            Self::Undecided { .. } => "undecided",
            Self::Refused(_) => "refused",
            Self::Lapsed { .. } => "lapsed",
            Self::Expired { .. } => "expired",
            Self::Withdrawn(_) => "withdrawn",
            Self::FieldsNotGranted { .. } => "fields-not-granted",
            Self::HostNotDeclared { .. } => "host-not-declared",
        }
    }
}

/// Why something that was permitted did not leave, or not wholly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The owner withdrew, the consent ended, or the statement changed.
    #[error("stopped: consent to `{0}` is no longer given")]
    Withdrawn(EntryKey),
    /// What was put in holds data that the permit does not cover.
    #[error("stopped: `{entry}` does not let out {fields:?}")]
    FieldsNotGranted {
        /// Which entry.
        entry: EntryKey,
        /// Which fields.
        fields: FieldSet,
    },
    /// The destination is not the one that the permit is for.
    #[error("stopped: the permit for `{entry}` does not go to `{to}`")]
    WrongDestination {
        /// Which entry.
        entry: EntryKey,
        /// The recipient or host.
        to: String,
    },
    /// The intent could not be made durable, so nothing left.
    #[error("nothing was sent, because it could not be recorded: {0}")]
    Ledger(#[from] LedgerError),
    /// A consent for one use could not be marked as used, so nothing left.
    #[error("nothing was sent, because the consent could not be marked as used: {0}")]
    Store(#[from] StoreError),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The way out is not allowed.
    #[error(transparent)]
    Outlet(#[from] crate::outlet::OutletError),
}

impl SendError {
    /// What a failed attempt to connect says about the device.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Io(cause) | Self::Outlet(crate::outlet::OutletError::Io { cause, .. }) => outcome(cause),
            Self::Outlet(crate::outlet::OutletError::Deadline { .. }) => Outcome::Silent,
            Self::Outlet(crate::outlet::OutletError::NotHere(_)) => Outcome::NoRoute,
            other => Outcome::Failed(other.to_string()),
        }
    }
}

/// What the system's answer to an attempt says about the device.
pub fn outcome(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::Refused,
        io::ErrorKind::TimedOut => Outcome::Silent,
        io::ErrorKind::HostUnreachable => Outcome::NoHost,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Outcome::NoRoute,
        _ => Outcome::Failed(error.to_string()),
    }
}

/// Why a decision was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// A database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Another hub runs on the same state folder.
    #[error("{0} is in use by another hub; stop it first, or use another state folder")]
    InUse(std::path::PathBuf),
    /// The statement has no such entry.
    #[error("the statement has no entry `{0}`")]
    NoEntry(EntryKey),
    /// What the owner saw is not what the entry says now.
    #[error("what was shown of `{0}` is not what it says now; show it again")]
    StaleNotice(EntryKey),
    /// The recipient is not one that the entry declares.
    #[error("`{entry}` does not go to `{to}`")]
    NotARecipient {
        /// Which entry.
        entry: EntryKey,
        /// The recipient.
        to: RecipientId,
    },
    /// The choice leaves out a field that the entry cannot do without, or adds one it does not declare.
    #[error("`{entry}` cannot be agreed to with these fields: {fields:?} is missing or not declared")]
    WrongFields {
        /// Which entry.
        entry: EntryKey,
        /// The fields concerned.
        fields: FieldSet,
    },
    /// The end lies in the past.
    #[error("the end {0} is already past")]
    PastEnd(Timestamp),
    /// There is no such consent.
    #[error("there is no consent {0}")]
    NoConsent(String),
    /// A decision that may not be forgotten.
    #[error("{0} still counts: only decisions about visitors that are over are forgotten")]
    Counts(ConsentId),
}

impl GateError {
    pub(crate) fn no_consent(entry: &EntryKey, to: &To) -> Self {
        Self::NoConsent(format!("to `{entry}` for {to}"))
    }
}
