//! AirPlay, as far as it can be spoken openly: sound to RAOP receivers (AirPlay 1), which play what they are sent; and what
//! other AirPlay devices say that they are.
//!
//! [`core`] is the protocol without any I/O; [`AirplayBridge`] is the driver, which moves its bytes between sockets and core
//! under the gate's permits, and speaks for the devices that it finds. [`STATEMENT`] declares what it reveals.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{AirplayBridge, Options};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
