//! This computer's battery as the service `battery` of this machine, shown to the devices that the owner chose (entry
//! `battery/share`); and alerts about the batteries of other devices.
//!
//! - [`Battery`]: the feature
//! - [`kernel`]: batteries as the kernel shows them
//! - `upower`: the same from UPower, which tells of changes by itself
//! - [`alerts`]: when a device's battery is worth a word
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod alerts;
mod battery;
pub mod kernel;
mod upower;

pub use battery::{Battery, Charge, Supply};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// The entry under which the battery is shown.
pub const SHARE: &str = "battery/share";
