//! What standard services have in common beyond single messages, so that a feature and a bridge that never heard of each
//! other understand one another.
//!
//! - [`added`]: devices that the owner adds by a word, and what they say of themselves
//! - [`dns_sd`]: services near are looked for, on every interface
//! - [`files`]: what the byte streams of the service `files` look like, and both ends of them
//! - [`hand`]: tasks that each stay connected with one peer, and the set of them
//! - [`law`]: the side of the gate of a bridge that searches and controls
//! - [`Line`]: a connection with somebody near, under whose permit its bytes leave
//! - [`mirror`]: devices are kept told of services of this machine
//! - [`Outbox`]: what a bridge says to the house
//! - [`picture`]: what a camera or a map shows
//! - [`pin`], [`secret`]: what somebody near must know, and what nobody can guess
//! - [`remote`]: what devices may do with this machine
//! - [`showcase`]: devices of this house on their way to where others see them
//! - [`storage`]: what lies on a device
//! - [`tasks`]: what a feature runs, ended with it
//! - [`tls`]: the cryptography of bulk connections
//!
//! A device that offers the service `files` takes a stream of [`files::wire`] frames, whatever bridge it comes through:
//! the link carries the frames to another hub, and a bridge to a foreign protocol reads them with a [`files::Taker`] and
//! writes them with a [`files::Giver`].
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod added;
pub mod dns_sd;
pub mod files;
pub mod hand;
pub mod law;
mod line;
pub mod mirror;
mod outbox;
pub mod picture;
pub mod pin;
pub mod remote;
pub mod secret;
pub mod showcase;
pub mod storage;
pub mod tasks;
pub mod tls;

pub use line::Line;
pub use outbox::{Inbox, Outbox};
pub use secret::Secret;
