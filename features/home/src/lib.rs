//! The house: what lamps, plugs, meters and sensors said over time, how their values are said and typed, and where devices are
//! shown beside this hub.
//!
//! [`History`] keeps what devices of the house say, on this machine, as far as the owner wants that. [`say`] turns values into
//! words and words into values; it does no I/O. [`Alarms`] says when one of them tells of danger. [`Share`] shows devices to others, such as to Home Assistant by an MQTT broker:
//! that alone leaves the machine, under the entry `home/share`. Telling a device what to do is `features/control`.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod alarms;
pub mod history;
pub mod say;
pub mod share;

pub use alarms::{Alarm, Alarms};
pub use history::{Found, History, HistoryError, Kind, Place, Point, Query, Settings};
pub use share::{Chosen, Share, ShareError};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
