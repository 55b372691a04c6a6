//! This computer's media players as the service `media` of this machine: shown to the devices that the owner chose (entry
//! `media/share`), and controlled by those that the owner allowed to.
//!
//! - [`Media`]: the feature
//! - `mpris`: what players say on the desktop's bus, and how they are told
//! - `track`: what a player plays, as the service's values
//! - `artwork`: pictures from this computer's disk
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod artwork;
mod media;
mod mpris;
mod track;

pub use media::{Bus, Media};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// The entry under which players are shown.
pub const SHARE: &str = "media/share";
