//! What is copied on one device is there on another: on request or by itself, never in circles, never secrets.
//!
//! [`Clipboard`] is the feature. It shares under `clipboard/share`, what the owner asks for or, for devices for which
//! the owner switched that on, whatever is copied here. What came from a device is put into the clipboard here as far as
//! the owner lets it ([`Receiving`]), and goes to no other device.
//!
//! - `tool`: `wl-copy`, `wl-paste` and `xclip`, whichever this session has
//! - `memory`: what is where, so that nothing goes in circles; no I/O
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod api;
mod content;
mod feature;
mod incoming;
mod memory;
mod outgoing;
mod rules;
mod tool;

#[cfg(test)]
mod tests;

pub use api::{ClipboardConfig, ClipboardError, ClipboardEvent, Offer};
pub use content::{Content, Kind, MAX_IMAGE, MAX_TEXT};
pub use feature::Clipboard;
pub use rules::{ClipboardRules, DeviceRule, Receiving};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
