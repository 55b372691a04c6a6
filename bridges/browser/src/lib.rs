//! Any television or tablet with a browser as a receiver. It opens a short address, shows a code, and once the owner added
//! it with that code it plays photos, video and sound that it is told the address of, and shows a screen over WebRTC.
//!
//! [`core`] is who has the page open and what passes between page and hub, without any I/O; [`BrowserBridge`] is the
//! driver, which serves the page under the gate's permits. [`STATEMENT`] declares what it reveals.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::{BrowserBridge, DEFAULT_PORT, Options, Place};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
