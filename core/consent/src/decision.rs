//! What the owner decided, and what became of it.

use std::{fmt, str::FromStr};

use accord_model::{EntryKey, FieldSet, Timestamp};
use accord_statement::{Entry, Fingerprint};

use serde::{Deserialize, Serialize};

use crate::{To, ledger::Hash};

/// How the owner decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "choice", content = "until")]
pub enum Choice {
    /// Until withdrawn.
    Always,
    /// For one disclosure.
    Once,
    /// Until then.
    Until(Timestamp),
    /// No; not asked again.
    Never,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Once => f.write_str("once"),
            Self::Until(end) => write!(f, "until {end}"),
            Self::Never => f.write_str("never"),
        }
    }
}

/// What the owner saw before deciding. Made by [`crate::Notice::shown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The hash of the notice.
    pub hash: Hash,
    /// Its language.
    pub language: String,
    /// Where: `web`, `cli`, `phone`, `desktop`.
    pub surface: String,
}

/// One decision of the owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// About which entry.
    pub entry: EntryKey,
    /// For whom.
    pub to: To,
    /// How.
    pub choice: Choice,
    /// Only these fields; all that the entry declares when absent. Required ones cannot be left out.
    pub fields: Option<FieldSet>,
    /// What the owner saw. A refusal needs no notice.
    pub shown: Shown,
}

impl Decision {
    /// A decision over all fields of the entry.
    pub fn new(entry: EntryKey, to: To, choice: Choice, shown: Shown) -> Self {
        Self { entry, to, choice, fields: None, shown }
    }
    /// Only these fields.
    #[must_use]
    pub fn only(mut self, fields: FieldSet) -> Self {
        self.fields = Some(fields);
        self
    }
}

/// The number of a consent, `c-1` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsentId(pub u64);

impl fmt::Display for ConsentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c-{}", self.0)
    }
}
impl FromStr for ConsentId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("c-").filter(|digits| digits.chars().all(|c| c.is_ascii_digit()));
        number
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| format!("`{}` is no consent; use `c-<number>`", accord_model::text::for_screen(text, 30)))
    }
}
impl TryFrom<String> for ConsentId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
impl From<ConsentId> for String {
    fn from(id: ConsentId) -> Self {
        id.to_string()
    }
}

/// What became of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "difference")]
pub enum ConsentState {
    /// In force.
    Given,
    /// A no; in force too.
    Refused,
    /// A [`Choice::Once`] that was used.
    Used,
    /// Its end has passed.
    Expired,
    /// The owner took it back.
    Withdrawn,
    /// The entry widened; what is new, in words. Asked again.
    Lapsed(String),
    /// The record is damaged. Counts as a no.
    Unreadable,
}

impl ConsentState {
    /// One stable word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Refused => "refused",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Lapsed(_) => "lapsed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A decision as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Its number.
    pub id: ConsentId,
    /// About which entry.
    pub entry: EntryKey,
    /// For whom.
    pub to: To,
    /// How the owner decided.
    pub choice: Choice,
    /// Which fields are granted.
    pub fields: FieldSet,
    /// The fingerprint of the entry that it binds to.
    pub fingerprint: Fingerprint,
    /// The hash of the entry's wording.
    pub text_hash: Fingerprint,
    /// The version of the statement.
    pub statement: String,
    /// What the owner saw.
    pub shown: Shown,
    /// When the owner decided.
    pub decided: Timestamp,
    /// What became of it.
    pub state: ConsentState,
    /// When that changed: withdrawn, used, expired, lapsed, narrowed.
    pub changed: Option<Timestamp>,
    /// Only the wording changed since; shown at the next visit.
    pub reworded: bool,
    /// The entry as it was agreed to, so that a difference can be told.
    pub agreed: Option<Box<Entry>>,
}

impl Consent {
    /// When it ends, for [`Choice::Until`].
    pub fn until(&self) -> Option<Timestamp> {
        match self.choice {
            Choice::Until(end) => Some(end),
            _ => None,
        }
    }
}

/// Which consent is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Id(ConsentId),
    /// By entry and recipient.
    Of(EntryKey, To),
}

impl From<ConsentId> for Which {
    fn from(id: ConsentId) -> Self {
        Self::Id(id)
    }
}
impl From<(EntryKey, To)> for Which {
    fn from((entry, to): (EntryKey, To)) -> Self {
        Self::Of(entry, to)
    }
}
impl From<(EntryKey, crate::RecipientId)> for Which {
    fn from((entry, to): (EntryKey, crate::RecipientId)) -> Self {
        Self::Of(entry, To::One(to))
    }
}
