//! Matter.
pub mod core;
mod driver;

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
