//! Matter: devices of any maker, added by their code, read, watched and controlled without a cloud.
//!
//! [`core`] is what nodes say in the words of the house, and the dialog with them, without any I/O; [`MatterBridge`] is the
//! driver, which finds devices, gives them their place in a fabric of this machine's own and holds a session with each, under
//! the gate's permits. [`STATEMENT`] declares what it reveals. The keys, certificates and messages are those of the crates
//! `matter-*`, whose own sockets are not used.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{MatterBridge, Options};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
