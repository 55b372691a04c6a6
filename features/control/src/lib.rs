//! What the owner does to another device through the services it offers: read, set, do, look.
//!
//! [`Control`] knows no device and no service by name. It lets through what the device says it has, in the form that the
//! device says it takes, under the entry `control/command`; what opens or loses something only when the owner confirmed
//! this very call, or said of this device that what it opens is not asked about; the ledger tells which.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod check;
mod control;

pub use control::{Control, ControlError, Prepared, Word};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// The entry under which devices are controlled.
pub const COMMAND: &str = "control/command";
