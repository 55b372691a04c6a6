//! This machine's screen on another one. The owner's browser captures it and sends it to the hub over WebRTC (as WHIP does
//! it, RFC 9725: an offer is posted and answered); the hub sends what comes, packet by packet and without decoding it, to
//! the device under a permit, over a WebRTC connection of its own that it offers to the device's service `screen`.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod crypto;
pub mod relay;
mod shares;

pub use accord_consent::outlet::interfaces::Network;
pub use shares::{Screens, Share, ShareError};

/// What this feature can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
