//! What is sent and received: transfers, uploads, the inbox.

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Direction;

/// `GET /transfers` → `{ "transfers": [Transfer] }`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Transfers {
    pub transfers: Vec<Transfer>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    pub id: String,
    pub direction: Direction,
    pub device: String,
    pub device_name: String,
    pub kind: TransferKind,
    pub state: TransferState,
    /// The first names, for a preview.
    pub items: Vec<TransferItem>,
    pub files_total: u64,
    pub files_done: u64,
    pub bytes_total: u64,
    pub bytes_done: u64,
    /// Whether the totals are final; otherwise there is at least that much.
    pub exact: bool,
    /// Bytes per second now.
    pub rate: Option<u64>,
    pub remaining_s: Option<u64>,
    /// `quic` or `tls`.
    pub carrier: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished: Option<Timestamp>,
    /// Text, for `kind: text|url`.
    pub text: Option<String>,
    /// Where it was saved, for finished incoming transfers.
    pub saved_to: Option<String>,
    /// What went wrong and what to do; also what was skipped.
    pub message: Option<String>,
    /// Items that were not transferred, each with its reason; the first ones.
    pub skipped: Vec<String>,
    /// How many were not transferred altogether.
    pub skipped_count: u64,
    /// An incoming offer that waits for the owner is refused by itself at this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TransferItem {
    pub name: String,
    pub size: Option<u64>,
    pub folder: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransferKind {
    Files,
    Text,
    Url,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransferState {
    /// Looking for a way to the device.
    Connecting,
    /// Offered; the receiving owner has not answered.
    Offered,
    Running,
    /// The link broke; goes on by itself when it is back.
    Paused,
    Done,
    Failed,
    /// The receiving owner said no.
    Refused,
    Cancelled,
}

/// `POST /transfers`: `device` and exactly one of the others. Answers `Transfer`, or 409 with
/// [`ApiError`] `consent-needed` when the owner has not decided.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartTransfer {
    pub device: String,
    /// Absolute paths on this machine (command line); those that are not UTF-8 as `file:///…%FF` (RFC 8089).
    pub paths: Option<Vec<String>>,
    pub text: Option<String>,
    pub url: Option<String>,
    /// Files that were uploaded from the browser: the id that `POST /uploads` gave.
    pub upload: Option<String>,
    /// One file of this name, whose content `PUT /transfers/{id}/content` streams (command line).
    pub stream: Option<String>,
}

/// `POST /uploads` (empty) makes one; `PUT /uploads/{id}/files?path=a/b.txt&mtime=…` streams one file's bytes into it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    pub id: String,
}

/// `GET /inbox`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Inbox {
    /// Folder where received files lie.
    pub folder: String,
    /// Offers that wait for the owner.
    pub offers: Vec<Transfer>,
    /// What was received, newest first.
    pub received: Vec<Transfer>,
}

/// `POST /inbox/{id}/accept`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// From now on accept everything this device sends.
    #[serde(default)]
    pub always: bool,
}

/// `PUT /uploads/{id}/files`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Uploaded {
    pub path: String,
    pub bytes: u64,
}
