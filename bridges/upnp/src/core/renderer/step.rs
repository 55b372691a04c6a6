//! The steps in which something is done, one question each.

use std::time::{Duration, Instant};

use super::super::gena::Teller;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Transport,
    Rendering,
    Connection,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Describe(Which),
    /// Ask it to tell of changes, or to go on with that.
    Subscribe(Teller),
    Act {
        which: Which,
        action: &'static str,
        arguments: Vec<(&'static str, String)>,
        forgive: bool,
    },
    /// Ask for the state, position, volume, mute.
    Look,
    Position,
    Volume,
    Mute,
    /// Ask what it plays at all.
    Formats,
    /// Go on by what was seen.
    Decide,
    /// Look until it can play what it was given; play it, unless it does so already.
    Ready(Instant),
    Begin,
    /// Look until it stopped, or settled.
    Stopped(Instant),
    Settled(Instant),
    /// Look until it is at this second.
    Arrived(f64, Instant),
    Wait(Instant),
    /// The same, from when it is its turn.
    Rest(Duration),
}

impl Step {
    pub fn transport(action: &'static str, arguments: Vec<(&'static str, String)>, forgive: bool) -> Self {
        Self::Act { which: Which::Transport, action, arguments, forgive }
    }
    pub fn rendering(action: &'static str, arguments: Vec<(&'static str, String)>) -> Self {
        Self::Act { which: Which::Rendering, action, arguments, forgive: false }
    }
    pub fn play() -> Self {
        Self::transport("Play", vec![("Speed", "1".to_owned())], true)
    }
}
