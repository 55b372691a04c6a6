//! What the local API says and takes, as JSON. Everything under `/api/v1`; the OpenAPI document made
//! from these types is at `/api/v1/openapi.json`, and the web UI's types are generated from it.
//!
//! Ids are stable strings, times RFC 3339, sizes bytes, durations seconds, rates bytes per second.

mod consents;
mod devices;
mod everyday;
mod ledger;
mod pairings;
mod session;
mod status;
mod transfers;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use consents::*;
pub use devices::*;
pub use everyday::*;
pub use ledger::*;
pub use pairings::*;
pub use session::*;
pub use status::*;
pub use transfers::*;

/// `GET /events` (server-sent events): `event:` is the tag, `data:` the content.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "kebab-case")]
pub enum Event {
    /// First, and after a gap: read everything anew.
    Hello(Status),
    Device(Box<Device>),
    /// What a device says changed, and nothing else of it.
    Values(crate::api::home::Values),
    /// Something happened at a device of the house: a button was pressed.
    Happened(crate::api::home::Happened),
    /// Rooms and devices of the house stand in another order now.
    HomeOrder(crate::api::home::HomeOrder),
    DeviceGone {
        id: String,
    },
    Pairing(Pairing),
    Transfer(Transfer),
    TransferGone {
        id: String,
    },
    /// A share by link is new, or something about it changed.
    Share(crate::api::shares::Share),
    ShareGone {
        id: String,
    },
    /// A cast is new, or goes otherwise; while only its position moves as it should, told every few seconds.
    Cast(Box<crate::api::casts::Cast>),
    CastGone {
        id: String,
    },
    Prompt(Box<Prompt>),
    PromptGone {
        id: String,
    },
    Consent(Consent),
    /// New records; the newest.
    Ledger(Record),
    Settings(Settings),
    Notification(crate::api::notices::Notification),
    NotificationGone {
        id: String,
    },
    /// Rules, offers or what can be done with the clipboard changed.
    Clipboard(crate::api::notices::Clipboard),
}

/// Every answer that is not 2xx.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// `consent-needed`, `confirm-needed`, `refused`, `not-found`, `bad-request`, `sign-in`, `forbidden`, `conflict`, `not-reached`, `unreachable`, `internal`.
    pub error: String,
    /// What happened, to which device or file, what to do.
    pub message: String,
    /// With `consent-needed`: what to decide. Decide by `POST /consents`, then repeat the call.
    pub prompt: Option<Prompt>,
}
