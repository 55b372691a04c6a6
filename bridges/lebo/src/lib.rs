//! Lebo (HappyCast, `_leboremote._tcp`) and MiLink (`_airkan._tcp`) receivers, which many televisions and boxes have beside
//! DLNA. They are recognised by what they announce: the maker's package, the receiving program, the size of the picture.
//! Nothing is told to them: how they are driven is not public, and their maker's open interface leads through its servers.
//!
//! [`core`] reads what they announce, without any I/O; [`LeboBridge`] asks for it under the entry `lebo/search` of
//! [`STATEMENT`]. A receiver is a face without services: it says what the television is that it belongs to, and is shown as
//! a device of its own only where it belongs to none.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use accord_consent::outlet::interfaces::Network;
pub use driver::LeboBridge;

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
