//! Commands that the owner wrote down, run when a device asks that the owner allowed to. Devices see names (entry
//! `commands/share`), never command lines, and can add nothing to them.
//!
//! - [`Commands`]: the feature
//! - [`list`]: the owner's list
//! - `run`: one command as a child process, with bounds
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod commands;
pub mod list;
mod run;

pub use commands::{Commands, Ran};
pub use list::{BadList, OwnCommand};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// The entry under which commands are offered.
pub const SHARE: &str = "commands/share";
