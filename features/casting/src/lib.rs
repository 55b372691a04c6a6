//! Casting: a file of this machine on a television or loudspeaker. The file is served to that device alone, at an address
//! that nobody can guess, and the device is told to play what is there. How that goes is told by evidence: what the device
//! really fetched, and whether its position really moves.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod address;
mod book;
mod captions;
mod casts;
mod convert;
mod evidence;
mod flow;
mod item;
mod live;
mod memory;
mod plan;
mod player;
mod prepare;
mod probe;
mod queue;
mod receiver;
mod serve;
mod sniff;
mod tool;
mod turned;

#[cfg(test)]
mod conversions;

pub use accord_consent::outlet::interfaces::Network;
pub use book::{Act, Captions, Cast, CastError, CastEvent, Choice, Other, Request, Step, Try};
pub use casts::Casting;
pub use queue::{Kind, Queued, QueuedState, Source, There, natural_order};

/// What this feature can share.
pub const STATEMENT: &str = include_str!("../statement.toml");

/// For the fuzzer: what is read of files.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    sniff::fuzz(bytes);
    turned::orientation(bytes);
    captions::fuzz(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = address::check(text, &[std::net::IpAddr::from([192, 168, 1, 2])], "desk");
    }
    probe::fuzz(bytes);
}
