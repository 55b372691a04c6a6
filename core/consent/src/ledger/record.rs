//! What one record holds. The part that everyone who verifies must see forms the leaf; the part that
//! says more of a person lies beside it, and the leaf holds only its salted hash, so that it can be
//! erased without breaking the tree.

use accord_model::{EntryKey, FieldSet, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tree::{Hash, leaf_hash};
use crate::ConsentId;

/// Largest leaf and largest details that are read back, in bytes.
pub const MAX_RECORD: usize = 1 << 20;
/// Most items that one record lists; beyond that, or beyond [`MAX_RECORD`], only their number is kept.
pub const MAX_ITEMS: usize = 1024;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// A statement came into force.
    Statement,
    /// The owner was shown what an entry shares.
    NoticeShown,
    /// The owner decided, withdrew, or a consent lapsed.
    Decision,
    /// Something is about to leave.
    Intent,
    /// It left.
    Sent,
    /// Something was not let out.
    Refused,
    /// Something came in.
    Received,
    /// A disclosure broke off.
    Error,
    /// A signed head of the ledger.
    Checkpoint,
    /// Details of earlier records were erased.
    Erased,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Statement,
        Self::NoticeShown,
        Self::Decision,
        Self::Intent,
        Self::Sent,
        Self::Refused,
        Self::Received,
        Self::Error,
        Self::Checkpoint,
        Self::Erased,
    ];
    /// The word in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::NoticeShown => "notice-shown",
            Self::Decision => "decision",
            Self::Intent => "intent",
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Received => "received",
            Self::Error => "error",
            Self::Checkpoint => "checkpoint",
            Self::Erased => "erased",
        }
    }
}

impl std::fmt::Display for RecordKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
impl std::str::FromStr for RecordKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("`{}` is no kind of record; one of: {}", accord_model::text::for_screen(text, 30), known.join(", "))
        })
    }
}

/// One record of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its place in the ledger, from 0.
    pub seq: u64,
    /// What of it can never be erased.
    #[serde(flatten)]
    pub public: Public,
    /// What can; `None` when there was nothing or it was erased.
    pub details: Option<Details>,
    /// The leaf hash.
    pub hash: Hash,
    /// Why what is stored is not what was recorded. The rest is then what could still be read of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
}

/// The part of a record that is hashed into the tree as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Public {
    /// When, by this machine's clock.
    pub time: Timestamp,
    /// What it tells.
    pub kind: RecordKind,
    /// Under which entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryKey>,
    /// The fingerprint of the entry, or the hash of the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Which kinds of data: granted, intended, or really put in.
    #[serde(default, skip_serializing_if = "no_fields")]
    pub fields: FieldSet,
    /// Under which consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentId>,
    /// The record that this one closes or refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refers: Option<u64>,
    /// More `sent` records follow for the same intent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
    /// Bytes of content that left (or, for `received`, came in).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Further bytes of protocol framing that hold no personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framing: Option<u64>,
    /// Bytes on the wire, where the socket is ours to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_bytes: Option<u64>,
    /// How many times: datagrams, files, refusals rolled into one record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// A signed checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Salted hash of the details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details_hash: Option<Hash>,
}

fn no_fields(fields: &FieldSet) -> bool {
    fields.is_empty()
}

/// The part of a record that can be erased.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Who received, or would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The host it went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The address it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What set it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Which part of the program asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The device that it is about, where that was said: its recipient may be the server or broker that speaks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What happened, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `blake3:<hex>` of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Files and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Exact bytes per address, for datagrams and served connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<PerAddress>,
}

/// One file, text or link of a disclosure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is called.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// `blake3:<hex>` of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What one address got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerAddress {
    /// `ip:port`.
    pub address: String,
    /// How many datagrams or connections.
    pub count: u64,
    /// How many bytes in them.
    pub bytes: u64,
}

/// A record before it has a place.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub public: Public,
    pub details: Option<Details>,
}

impl Draft {
    pub fn new(kind: RecordKind) -> Self {
        Self {
            public: Public {
                time: Timestamp::now(),
                kind,
                entry: None,
                fingerprint: None,
                fields: FieldSet::EMPTY,
                consent: None,
                refers: None,
                goes_on: false,
                bytes: None,
                framing: None,
                wire_bytes: None,
                count: None,
                note: None,
                details_hash: None,
            },
            details: None,
        }
    }

    /// Serialises, salts and hashes; all that can be done before the place is known.
    pub fn prepare(mut self) -> Prepared {
        let details = self.details.take().map(|details| {
            let (details, body) = fitting(details);
            let salt = fresh_salt();
            self.public.details_hash = Some(details_hash(&salt, &body));
            Side { salt, body, recipient: details.recipient }
        });
        let leaf = json(&self.public);
        Prepared { hash: leaf_hash(&leaf), leaf, public: self.public, details }
    }
}

/// The details as they are written, cut to what can be read back: the last items go first.
fn fitting(mut details: Details) -> (Details, Vec<u8>) {
    let mut body = json(&details);
    if body.len() > MAX_RECORD {
        let mut over = body.len() - MAX_RECORD;
        while over > 0
            && let Some(item) = details.items.pop()
        {
            over = over.saturating_sub(json(&item).len());
        }
        body = json(&details);
    }
    if body.len() > MAX_RECORD {
        let short = |text: &String| text.chars().take(1000).collect();
        let message = Some("there was more to say of this than a record can hold".to_owned());
        details = Details { recipient: details.recipient.as_ref().map(short), message, ..Details::default() };
        body = json(&details);
    }
    (details, body)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, value).expect("a record is plain data");
    text
}

/// Random bytes that no other record has. Fetched from the system many at a time.
fn fresh_salt() -> [u8; 16] {
    use std::cell::RefCell;
    thread_local! {
        static POOL: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
    }
    POOL.with_borrow_mut(|pool| {
        pool.pop().unwrap_or_else(|| {
            let mut fetched = [[0; 16]; 32];
            getrandom::fill(fetched.as_flattened_mut()).expect("the system gives random bytes");
            pool.extend_from_slice(&fetched[1..]);
            fetched[0]
        })
    })
}

/// A record ready to be inserted.
pub(crate) struct Prepared {
    pub public: Public,
    pub leaf: Vec<u8>,
    pub hash: Hash,
    pub details: Option<Side>,
}

pub(crate) struct Side {
    pub salt: [u8; 16],
    pub body: Vec<u8>,
    pub recipient: Option<String>,
}

pub(crate) fn details_hash(salt: &[u8], body: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update(salt).chain_update(body).finalize().into())
}

/// Why a stored record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Larger than [`MAX_RECORD`].
    #[error("the record is larger than {MAX_RECORD} bytes")]
    TooLarge,
    /// Not the JSON of a record.
    #[error("the record cannot be read: {0}")]
    Malformed(String),
    /// The details are not those that the leaf commits to.
    #[error("the details are not those that were recorded")]
    WrongDetails,
}

/// Reads a leaf and its details (salt, body). The one entry for stored bytes, made for a fuzz target.
///
/// # Errors
/// [`RecordError`]; never panics, whatever the bytes.
pub fn parse(leaf: &[u8], details: Option<(&[u8], &[u8])>) -> Result<(Public, Option<Details>), RecordError> {
    if leaf.len() > MAX_RECORD || details.is_some_and(|(_, body)| body.len() > MAX_RECORD) {
        return Err(RecordError::TooLarge);
    }
    let malformed = |error: serde_json::Error| RecordError::Malformed(error.to_string());
    let public: Public = serde_json::from_slice(leaf).map_err(malformed)?;
    let Some((salt, body)) = details else { return Ok((public, None)) };
    if public.details_hash != Some(details_hash(salt, body)) {
        return Err(RecordError::WrongDetails);
    }
    let details = serde_json::from_slice(body).map_err(malformed)?;
    Ok((public, Some(details)))
}
