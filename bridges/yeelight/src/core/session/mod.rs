//! One connection with a lamp: what it is told, one command after the other, and what it says.
//!
//! A wish is done once the lamp took its commands. That it *is* so is told by the lamp alone: by itself (`props`), or asked
//! when it does not say so in a moment, as it does when nothing changed.

mod machine;
#[cfg(test)]
mod tests;
mod wishes;

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::Value;
use thiserror::Error;

pub use machine::Session;

use super::state::{Abilities, Part, Prop, Said};

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes came.
    Bytes(&'a [u8]),
    /// Somebody wants something; answered by [`Event::Done`] with the same number.
    Wanted(u64, Wanted),
    /// That is not wanted any more, if it was not begun yet.
    GivenUp(u64),
    /// Whether it still answers is in doubt.
    Doubt,
    /// The owner asks whether it still answers.
    Ask,
    /// [`Output::Wait`] is over.
    Timeout,
}

/// What is wanted of a lamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To be asked how it is lit.
    Look,
    /// On or off.
    On(Part, bool),
    /// The other one of on and off.
    Toggle(Part),
    /// As bright, in percent.
    Level(Part, u8),
    /// White, in kelvin.
    Temperature(Part, u16),
    /// A hue, in degrees.
    Hue(Part, u16),
    /// A saturation, in percent.
    Saturation(Part, u8),
    /// Out after so many minutes; 0 for not at all.
    SleepTimer(u16),
    /// Moonlight, or daylight again.
    Moonlight(bool),
    /// To stay as it is in the middle of a flow.
    StopFlow(Part),
    /// To be lit as now when it gets power again.
    SetDefault,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send this.
    Send(Vec<u8>),
    /// Something is new.
    Event(Event),
    /// Nothing until then.
    Wait(Instant),
}

/// What is new.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// It answers.
    Ready,
    /// It can do something else than was known.
    Abilities(Abilities),
    /// It said how it is lit: by itself, or asked.
    Said {
        /// By itself.
        pushed: bool,
        /// What.
        said: Vec<Said>,
    },
    /// What became of a wish.
    Done(u64, Result<(), Trouble>),
    /// The connection is of no use any more, and why.
    Over(String),
}

/// Why a wish was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    /// It takes no more commands for a while.
    #[error("the lamp takes 60 commands a minute from one program and 144 from all; try again in {0} s")]
    Quota(u64),
    /// It says so itself, though we counted fewer: others control it too.
    #[error(
        "the lamp says that it was told too much in the last minute, by all programs together; try again in a minute"
    )]
    ItsQuota,
    /// It was not begun in time, or was given up.
    #[error("it was not done in time, and is not done any more")]
    Late,
    /// Too much waits.
    #[error("the lamp has not done yet what was wanted before")]
    Busy,
    /// It refused.
    #[error("it refused `{method}` ({code}): {message}")]
    Refused {
        /// What.
        method: String,
        /// Its number.
        code: i64,
        /// Its words.
        message: String,
    },
}

/// A command.
#[derive(Debug, Clone, PartialEq)]
struct Command {
    method: String,
    params: Vec<Value>,
}

/// Commands that are one wish, or one wish over again.
struct Job {
    /// Whose; nobody's when it is a question of ours.
    calls: Vec<u64>,
    wanted: Wanted,
    /// What is left of it, once it has begun.
    steps: Option<VecDeque<Command>>,
    /// What the lamp will say when it is so.
    expects: Vec<Prop>,
    since: Instant,
}

/// Datagram by datagram and line by line what a lamp may say, for a fuzzer.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let now = Instant::now();
    let mut session = Session::new(Abilities::default(), Default::default(), Default::default(), now);
    for (number, piece) in bytes.chunks(64).enumerate() {
        session.handle(Input::Bytes(piece), now);
        session.handle(Input::Wanted(number as u64, Wanted::Hue(Part::Main, 7)), now);
        while !matches!(session.poll_output(), Output::Wait(_) | Output::Event(Event::Over(_))) {}
    }
}
