//! Home Assistant: what a person's own server has, in rooms beside everything else, shown as it changes and controlled from
//! here, over the server's own WebSocket API and with a token that its owner makes for that.
//!
//! [`core`] is the protocol without any I/O; [`HomeAssistantBridge`] is the driver, which moves its bytes between sockets and core under the gate's
//! permits. [`STATEMENT`] declares what it reveals.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{HomeAssistantBridge, Options};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
