//! What the API says of the page for screens, beside [`super::types`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /receiver`: the page that a television or tablet opens in its browser to become a screen.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Receiver {
    pub open: bool,
    /// By the addresses of this machine, the likeliest first; empty while it is not open, and in no network.
    pub urls: Vec<String>,
    /// The first of them as a QR code.
    pub qr_svg: Option<String>,
}
