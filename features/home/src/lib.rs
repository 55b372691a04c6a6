//! The house: what lamps, plugs, meters and sensors said over time, and how their values are said and typed.
//!
//! Nothing here leaves the machine, so that no entry of the statement is needed: telling a device what to do is
//! `features/control`. [`History`] keeps what devices of the house say, as far as the owner wants that. [`say`] turns
//! values into words and words into values; it does no I/O.
#![deny(missing_docs)]

pub mod history;
pub mod say;

pub use history::{Found, History, HistoryError, Kind, Place, Point, Query, Settings};
