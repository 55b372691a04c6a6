//! miIO and MIoT, so that the lamps, plugs, sensors, vacuums and other Wi-Fi devices that speak them are found, shown and
//! controlled over the home's own network, without their maker's servers: each with its token, which its owner gives.
//!
//! [`core`] is the protocol without any I/O; [`MiioBridge`] is the driver, which moves its datagrams between sockets and core
//! under the gate's permits, and speaks for the devices. [`STATEMENT`] declares what it reveals.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

#[cfg(test)]
extern crate self as accord_miio;

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{MiioBridge, Options, PORT};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
