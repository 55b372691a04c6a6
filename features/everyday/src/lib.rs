//! What devices do with one another that reveals nothing of this one, so that no entry is needed:
//!
//! - [`ring`]: this machine makes a noise, so that it is found; for devices that the owner allowed to
//! - [`ping`]: a word from another device, shown
//! - [`shown`]: what other hubs show of their batteries, players and commands through our service `mirror`
//! - [`presence`]: who is here
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod ping;
pub mod presence;
pub mod ring;
pub mod shown;

pub use ping::{Pinged, Pings};
pub use presence::{Presence, Present};
pub use ring::{Rang, Ring};
pub use shown::serve as serve_shown;
