//! What the byte streams of standard services look like, so that a feature and a bridge that never heard of each other
//! understand one another.
//!
//! A device that offers the service `files` takes a stream of [`files::wire`] frames, whatever bridge it comes through:
//! the link carries the frames to another hub, and a bridge to a foreign protocol reads them with a [`files::Taker`] and
//! writes them with a [`files::Giver`].
#![deny(missing_docs)]

pub mod files;
