//! Files, folders, text and links from device to device: asked, resumed, verified, kept inside the inbox.
//!
//! - [`wire`]: the transfer protocol
//! - [`name`]: names from outside, made safe
//! - [`scan`]: what is sent, in order

pub mod block;
#[doc(hidden)]
pub mod engine;
pub mod name;
pub mod scan;
pub mod wire;

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
