//! Sharing by link: the owner picks files, folders or a text and gets an address; any browser near opens it and, once it is
//! let in, fetches them. LocalSend's download API (protocol 2.1, section 5) is answered at the same address.
//!
//! [`Shares`] is the feature. The listener exists while a share is open, under `share/link`; what a visitor gets is sent to
//! its address alone, under `share/visitor`.
//!
//! - [`core`]: without I/O: what a request means, who is let in, pages, archives
//! - `shelf`: what is shared, and whether it is still what it was
//! - `serve`: connections
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod api;
pub mod core;
mod serve;
mod shares;
mod shelf;

pub use accord_consent::outlet::interfaces::Network;
pub use api::{
    Admission, DEFAULT_PORT, Item, MAX_ITEMS, MAX_LIFE, MAX_PIN, MAX_SHARES, MAX_TEXT, OpenShare, Share, ShareError,
    ShareEvent, Visitor, VisitorState,
};
pub use shares::Shares;

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
