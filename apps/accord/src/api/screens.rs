//! What the API says of screens that are shown, beside [`super::types`].

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /screens` → `{ "screens": [ScreenShare] }`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScreenShares {
    pub screens: Vec<ScreenShare>,
}

/// This machine's screen on a device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScreenShare {
    pub id: String,
    /// The device's id.
    pub device: String,
    pub device_name: String,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Packets that were passed on to the device.
    pub packets: u64,
    /// Why it is over.
    pub over: Option<String>,
}

/// `POST /screens`: the browser that captures a screen offers it.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct ShowScreen {
    /// A device's id or unique name.
    pub device: String,
    /// An offer to send video, and perhaps audio (SDP).
    pub offer: String,
}

/// The answer to the offer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShownScreen {
    pub screen: ScreenShare,
    /// For the browser (SDP).
    pub answer: String,
}
