//! UPnP AV (DLNA), so that the televisions, loudspeakers and players that are media renderers can be seen and controlled
//! from here: what plays, where it is, how loud; play, pause, stop, seek, volume, and playing an address.
//!
//! [`core`] is the protocol without any I/O; [`UpnpBridge`] is the driver, which moves its bytes between sockets and core
//! under the gate's permits, and speaks for the devices that it finds. [`STATEMENT`] declares what it reveals.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{Options, UpnpBridge};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
