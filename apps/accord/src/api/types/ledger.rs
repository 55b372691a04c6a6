//! What was shared.

use accord_model::{FieldCode, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /ledger?search=&kind=&entry=&recipient=&before=&limit=` → newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LedgerPage {
    pub head: LedgerHead,
    pub records: Vec<Record>,
    /// Pass as `before` for the next page.
    pub next: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LedgerHead {
    pub size: u64,
    /// Root hash, hex.
    pub root: String,
    /// When the last checkpoint was signed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub signed: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Record {
    pub seq: u64,
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// `statement`, `notice-shown`, `decision`, `intent`, `sent`, `refused`, `received`, `error`, `checkpoint`, `erased`.
    pub kind: String,
    pub entry: Option<String>,
    pub recipient: Option<String>,
    pub recipient_name: Option<String>,
    #[schema(value_type = Vec<String>)]
    pub fields: Vec<FieldCode>,
    pub address: Option<String>,
    /// Bytes of content.
    pub bytes: Option<u64>,
    /// Bytes on the wire where the socket is ours to count.
    pub wire_bytes: Option<u64>,
    pub digest: Option<String>,
    /// The record this one closes or refers to.
    pub refers: Option<u64>,
    pub scenario: Option<String>,
    pub message: Option<String>,
    /// File names and the like; gone after erasure.
    pub details: Vec<String>,
    /// Leaf hash, hex.
    pub hash: String,
}

/// `POST /ledger/verify`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    pub ok: bool,
    pub records: u64,
    pub checkpoints: u64,
    pub witnesses: u64,
    pub root: String,
    /// What is wrong, each with the first record concerned.
    pub problems: Vec<String>,
}
