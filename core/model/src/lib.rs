//! The words of Accord: what a device is, what it can do, what kind of data a value holds,
//! and the messages that cross between the core and a bridge. Types only; nothing here does I/O.
//!
//! - [`id`]: names of devices, services, entries, calls
//! - [`device`]: device → service → property / action / event
//! - [`face`]: what tells that two faces are one thing, and what a face told of make and model
//! - [`value`]: values with age and source, writes that wait for confirmation
//! - [`catalogue`]: the standard services every UI has a card for
//! - [`field`]: the closed list of what kinds of data can be shared
//! - [`message`]: the only things that cross between core and bridge
//! - [`why`]: what is known about a device that cannot be reached
//!
//! ```
//! use accord_model::{catalogue, Device, DeviceId, DeviceKind};
//! let phone = Device::new(DeviceId::new("link-abc").unwrap(), DeviceKind::Phone, "Pixel")
//!     .with(catalogue::files())
//!     .with(catalogue::battery());
//! assert!(phone.service("files").is_some());
//! ```
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod catalogue;
pub mod device;
pub mod face;
pub mod field;
mod fit;
pub mod id;
pub mod message;
pub mod text;
pub mod value;
pub mod why;

pub use device::{Action, Device, DeviceKind, Effect, Event, Format, Property, Range, Reach, Role, Service, Unit};
pub use face::{Claims, MOST_TOLD, Origin, Told, What};
pub use field::{FieldCode, FieldSet};
pub use fit::Unfit;
pub use id::{CallId, DeviceId, EntryKey, IdError, StreamId};
pub use jiff::Timestamp;
pub use message::{CallError, FromBridge, Inputs, Outputs, StreamClass, Target, ToBridge, Verb};
pub use value::{Data, Source, Value, Write, WriteState};
