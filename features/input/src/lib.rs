//! Pointer and keys, both ways: devices that the owner allowed to may move this desktop's pointer and type here (nobody
//! may until then), and the owner types and points on other devices from here (entry `input/send`).
//!
//! - [`Input`]: the feature
//! - [`Stroke`]: one thing done with pointer or keys, as the service `input` has it
//! - [`desk`]: the desktops that take strokes: X11 by its XTEST extension, Wayland by the desktop's portal
//!
//! What is typed is in no log and in no event.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod desk;
mod input;
mod pace;
mod stroke;

pub use input::{Input, Place, Used};
pub use stroke::{Button, Key, MAX_TEXT, Modifier, Named, Stroke};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// The entry under which keys and texts go to other devices.
pub const SEND: &str = "input/send";
