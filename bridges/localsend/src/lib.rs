//! LocalSend, so that phones and computers which run it exchange files and texts with this machine. It is
//! version 2.2 of the protocol: HTTP over TLS whose self-signed certificates are pinned, found by multicast.
//!
//! [`core`] is the protocol without any I/O; [`LocalSendBridge`] is the driver, which moves its bytes between sockets
//! and core under the gate's permits, and speaks for the devices that it finds. [`STATEMENT`] declares what it reveals.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{LocalSendBridge, Options};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
