//! What standard services have in common beyond single messages, so that a feature and a bridge that never heard of each
//! other understand one another.
//!
//! - [`files`]: what the byte streams of the service `files` look like, and both ends of them
//! - [`mirror`]: devices are kept told of services of this machine
//! - [`remote`]: what devices may do with this machine
//! - [`storage`]: what lies on a device
//! - [`tasks`]: what a feature runs, ended with it
//!
//! A device that offers the service `files` takes a stream of [`files::wire`] frames, whatever bridge it comes through:
//! the link carries the frames to another hub, and a bridge to a foreign protocol reads them with a [`files::Taker`] and
//! writes them with a [`files::Giver`].
#![deny(missing_docs)]

pub mod files;
pub mod mirror;
pub mod remote;
pub mod storage;
pub mod tasks;
