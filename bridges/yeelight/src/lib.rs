//! Yeelight lamps with LAN control: found, shown, switched and set, and heard when they are changed by others.
//!
//! [`core`] is the protocol without any I/O; [`YeelightBridge`] is the driver, which moves its bytes between sockets and core
//! under the gate's permits, and speaks for the lamps that it finds. [`STATEMENT`] declares what it reveals. Music mode, in
//! which the lamp connects to this machine, is left out: it lifts the limit on commands and takes the answers away.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{Options, YeelightBridge};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
