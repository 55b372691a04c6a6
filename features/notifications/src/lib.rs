//! Notifications of this computer on other devices, and theirs here: answered, dismissed once, never sent twice.
//!
//! [`Notifications`] is the feature. It sends to devices that offer the service `notifications` under
//! `notifications/mirror`, as far as the owner agreed and the [`Rules`] let it; it answers devices whose notifications are
//! shown here under `notifications/answer`. What came from a device goes to no other, and never back to it.
//!
//! - [`codes`]: one-time codes in texts
//! - `desktop`: `org.freedesktop.Notifications` on the session bus
//! - `book`, `queue`: what is there, and what waits; no I/O
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod api;
mod book;
pub mod codes;
mod desktop;
mod feature;
mod incoming;
mod note;
mod outgoing;
mod queue;
mod rules;
mod state;

#[cfg(test)]
mod tests;

pub use api::{DesktopState, Notification, NotificationsConfig, NotificationsError, NotificationsEvent, Sending};
pub use book::OWN_ID;
pub use feature::Notifications;
pub use note::MAX_REPLY;
pub use rules::{AppRule, Clock, DeviceRule, Level, Moment, Quiet, Rules, Showing};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
