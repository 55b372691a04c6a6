//! Files, folders, text and links from device to device: asked, resumed, verified, kept inside the inbox.
//!
//! [`Files`] is the feature. It sends under `files/send` and answers senders under `files/receive`.
//!
//! - [`wire`]: the transfer protocol
//! - [`name`]: names from outside, made safe
//! - [`scan`]: what is sent, in order
//! - [`engine`]: packing, unpacking, resuming; without gate and registry
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod api;
#[doc(hidden)]
pub mod block;
mod book;
#[doc(hidden)]
pub mod engine;
mod expected;
mod files;
mod incoming;
pub mod name;
mod outgoing;
mod outlet;
pub mod scan;
pub use accord_ports::files::wire;

pub use api::{
    AcceptPolicy, AskAlways, Direction, FilesConfig, FilesError, FilesEvent, Item, Items, Kind, MAX_TEXT, SendRequest,
    State, Transfer, TransferId, is_web_link,
};
pub use files::Files;

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
