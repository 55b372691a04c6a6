//! Robots that clean: RvcRunMode (0x54) and RvcOperationalState (0x61).

use accord_model::text::for_screen;
use accord_model::{CallError, catalogue};

use super::modes::{Mode, change, modes_of};
use super::{Kind, Part};
use crate::core::answer::fault;
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

const RUN: u32 = 0x54;
const STATE: u32 = 0x61;
const IDENTIFY: u32 = 0x03;
/// How long it blinks or beeps so that it is found, in seconds.
const BLINK_S: u64 = 10;

// Tags of RvcRunMode.
const IDLE: u64 = 0x4000;
const CLEANING: u64 = 0x4001;

// Commands of RvcOperationalState.
const PAUSE: u32 = 0x00;
const RESUME: u32 = 0x03;
const GO_HOME: u32 = 0x80;

pub(super) fn vacuum(look: &Look<'_>) -> Option<Part> {
    if !look.has(RUN) && !look.has(STATE) {
        return None;
    }
    let mut actions = Vec::new();
    let mut can = |yes: bool, id: &'static str| yes.then(|| actions.push(id));
    can(mode(look, CLEANING).is_some() || resumes(look), "start");
    can(look.has(STATE) && look.takes(STATE, PAUSE), "pause");
    can(mode(look, IDLE).is_some(), "stop");
    can(look.has(STATE) && look.takes(STATE, GO_HOME), "dock");
    can(look.has(IDENTIFY) && look.takes(IDENTIFY, 0), "locate");
    let kept: &[&str] = if look.has(STATE) { &["state", "error"] } else { &["state"] };
    let part = Part::new(Kind::Vacuum, catalogue::vacuum().only(kept, &actions)).say_one(look, "state", state(look));
    Some(part.say(look, "error", error(look)))
}

fn mode(look: &Look<'_>, tag: u64) -> Option<Mode> {
    modes_of(look, RUN).into_iter().find(|mode| mode.tags.contains(&tag))
}

fn resumes(look: &Look<'_>) -> bool {
    look.has(STATE) && look.takes(STATE, RESUME)
}

/// `OperationalState`, and where that only says that it is on its way or stands, what mode it is in.
fn state(look: &Look<'_>) -> Option<&'static str> {
    let now = look.uint(RUN, 1);
    let is_idle = mode(look, IDLE).is_some_and(|idle| Some(idle.number) == now);
    match look.uint(STATE, 4) {
        Some(0x00) => Some("idle"),
        Some(0x01) => Some(if is_idle { "returning" } else { "cleaning" }),
        Some(0x02) => Some("paused"),
        Some(0x03) => Some("error"),
        Some(0x40) => Some("returning"),
        // Charging, docked, emptying, washing, filling, updating maps.
        Some(0x41..=0x46) => Some("docked"),
        Some(_) => None,
        None => now.map(|_| if is_idle { "idle" } else { "cleaning" }),
    }
}

/// `OperationalError`: its own words, or those of the specification for its number.
fn error(look: &Look<'_>) -> Option<String> {
    let error = look.get(STATE, 5)?;
    let words = |tag| error.field(tag).and_then(Value::text).filter(|text| !text.is_empty());
    let known = fault(error.field(0)?.uint()?);
    Some(for_screen(words(2).or_else(|| words(1)).unwrap_or(known), 120))
}

pub(super) fn act(look: &Look<'_>, action: &str) -> Result<Command, CallError> {
    let state_of = |command| Command::invoke(look.endpoint, STATE, command, Vec::new());
    let to = |tag| mode(look, tag).map(|mode| change(look.endpoint, RUN, mode.number));
    let command = match action {
        "start" if look.uint(STATE, 4) == Some(2) && resumes(look) => Some(state_of(RESUME)),
        "start" => to(CLEANING),
        "pause" => Some(state_of(PAUSE)),
        "stop" => to(IDLE),
        "dock" => Some(state_of(GO_HOME)),
        "locate" => Some(Command::invoke(look.endpoint, IDENTIFY, 0, vec![(0, Value::Uint(BLINK_S))])),
        _ => None,
    };
    let unknown = || CallError::Unsupported("it has no way to do that now".to_owned());
    command.ok_or_else(unknown)
}
