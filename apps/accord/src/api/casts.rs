//! What the API says of casts, beside [`super::types`].

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /casts` → `{ "casts": [Cast] }`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Casts {
    pub casts: Vec<Cast>,
}

/// A file on a television or loudspeaker.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Cast {
    pub id: String,
    /// The device's id.
    pub device: String,
    pub device_name: String,
    /// The file's name, safe to show; the device is not told it.
    pub name: String,
    pub size: u64,
    /// A picture, of which nothing moves.
    pub picture: bool,
    /// Bytes that the device fetched; what it fetched twice is counted twice.
    pub fetched: u64,
    pub step: CastStep,
    /// Why it is over.
    pub over: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// How far a cast came, by evidence: that a device says it plays is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CastStep {
    /// The device was told, and said yes.
    Commanded,
    /// It fetched something of the file.
    Fetched,
    /// Its position advances.
    Moving,
    Over,
}

/// `POST /casts`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StartCast {
    /// A device's id or unique name.
    pub device: String,
    /// A file on this machine, as an absolute path.
    pub path: String,
}
