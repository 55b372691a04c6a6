//! Signing in, and who is signed in.

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /session`: the one-time setup token from the terminal; sets the session cookie.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub token: String,
}

/// `POST /session/token` (Unix socket only): a link that signs one browser in, once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SetupLink {
    /// The web UI's address with the token behind `#setup=`, which browsers send to nobody.
    pub url: String,
    /// The same for other devices, when the hub is open to them: one per address, over TLS.
    pub others: Vec<String>,
    /// Where they install the hub's own certificate authority first.
    pub install: Option<InstallPage>,
    pub expires: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InstallPage {
    pub url: String,
    /// SHA-256 of the certificate, to compare by eye.
    pub fingerprint: String,
}

/// `GET /sessions` → `{ "sessions": [Session] }`; `DELETE /sessions/{id}` ends one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    pub sessions: Vec<Session>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: String,
    /// What the browser calls itself.
    pub agent: String,
    pub created: Timestamp,
    pub last_used: Timestamp,
    /// The one that asks.
    pub current: bool,
}
