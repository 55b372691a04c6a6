//! What the API says of shares by link, beside [`super::types`].

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /shares` → `{ "shares": [Share] }`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Shares {
    pub shares: Vec<Share>,
}

/// One open share. Its page is at every one of `urls`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Share {
    pub id: String,
    /// By the addresses of this machine, the likeliest first; empty when it is in no network.
    pub urls: Vec<String>,
    pub admission: Admission,
    /// What visitors have to know, with `pin`.
    pub pin: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub opened: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// The first hundred.
    pub items: Vec<ShareItem>,
    pub items_total: usize,
    pub bytes_total: u64,
    /// What is not shared, and why.
    pub skipped: Vec<String>,
    /// Who came, newest first.
    pub visitors: Vec<Visitor>,
}

/// Who is let in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// The owner is asked about each visitor.
    #[default]
    Ask,
    /// Whoever knows the PIN.
    Pin,
    /// Whoever has the address.
    Everyone,
}

/// A file that is shared, with the folders that it is in, or a text.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShareItem {
    pub name: String,
    pub size: u64,
    pub text: bool,
}

/// Somebody who opened the page.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Visitor {
    /// Within the share.
    pub id: u64,
    pub address: String,
    /// What its browser says that it is; from outside, safe to show.
    pub agent: Option<String>,
    pub state: VisitorState,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    pub files_done: u64,
    pub bytes: u64,
    /// What is sent to it now.
    pub fetching: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
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

/// `POST /shares`: files and folders of this machine, or those of an upload, and a text.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartShare {
    /// Full paths, or `file:` URLs.
    pub paths: Option<Vec<String>>,
    pub text: Option<String>,
    /// An upload of files.
    pub upload: Option<String>,
    #[serde(default)]
    pub admission: Admission,
    /// With `pin`: 4 to 32 letters or digits. Without, six digits are made up.
    pub pin: Option<String>,
    /// How long it is open, in seconds; an hour without.
    pub seconds: Option<u32>,
    /// Where the owner decided: `web`, `cli`.
    pub surface: Option<String>,
}

/// `POST /shares/{id}/visitors/{visitor}`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerVisitor {
    pub let_in: bool,
    /// Where the owner decided: `web`, `cli`.
    pub surface: Option<String>,
}

/// `GET /shares/{id}/code`: the first address as a QR code.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShareCode {
    pub url: String,
    pub qr_svg: String,
}
