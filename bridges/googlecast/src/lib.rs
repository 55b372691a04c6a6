//! Google Cast, so that the televisions, sticks and loudspeakers that take it can be seen and controlled from here: what
//! plays, whoever began it, where it is, how loud; play, pause, stop, seek, volume, captions, and playing an address.
//!
//! [`core`] is the protocol without any I/O; [`GoogleCastBridge`] is the driver, which moves its bytes between sockets and
//! core under the gate's permits, and speaks for the devices that it finds. [`STATEMENT`] declares what it reveals.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{GoogleCastBridge, Options};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
