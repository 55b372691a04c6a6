//! Fans and what moves air through a filter: FanControl (0x202).

use accord_model::{CallError, Data, catalogue};

use super::{Kind, Part, bad, number, yes};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

const FAN: u32 = 0x202;

// Features.
const SPEED: u32 = 0;
const AUTO: u32 = 1;
const ROCKING: u32 = 2;
const DIRECTION: u32 = 5;

// Attributes.
const MODE: u32 = 0;
const SEQUENCE: u32 = 1;
const PERCENT: u32 = 2;
const PERCENT_NOW: u32 = 3;
const ROCK_SUPPORT: u32 = 7;
const ROCK: u32 = 8;
const AIRFLOW: u32 = 0x0B;

const LOW: (i64, &str) = (1, "low");
const MEDIUM: (i64, &str) = (2, "medium");
const HIGH: (i64, &str) = (3, "high");
const BY_ITSELF: (i64, &str) = (5, "auto");

/// `FanModeSequence` says which of `FanMode` there are. Ours have their numbers.
fn modes(look: &Look<'_>) -> Vec<(i64, String)> {
    let sequence: &[(i64, &str)] = match look.uint(FAN, SEQUENCE) {
        Some(0) => &[LOW, MEDIUM, HIGH],
        Some(1) => &[LOW, HIGH],
        Some(2) => &[LOW, MEDIUM, HIGH, BY_ITSELF],
        Some(3) => &[LOW, HIGH, BY_ITSELF],
        Some(4) => &[HIGH, BY_ITSELF],
        Some(5) => &[HIGH],
        _ if look.can(FAN, AUTO) => &[LOW, MEDIUM, HIGH, BY_ITSELF],
        _ => &[LOW, MEDIUM, HIGH],
    };
    sequence.iter().map(|(number, name)| (*number, (*name).to_owned())).collect()
}

pub(super) fn fan(look: &Look<'_>) -> Option<Part> {
    if !look.has(FAN) {
        return None;
    }
    let mut kept = vec!["on", "mode"];
    let mut keep = |yes: bool, id: &'static str| yes.then(|| kept.push(id));
    keep(look.offers(FAN, PERCENT), "percent");
    keep(look.can(FAN, ROCKING) && look.offers(FAN, ROCK), "oscillating");
    keep(look.can(FAN, DIRECTION) && look.offers(FAN, AIRFLOW), "direction");
    let names = modes(look);
    // Speeds are steps of the hundred: so far it may be off what was asked for.
    let speeds = look.number(FAN, 4).filter(|speeds| look.can(FAN, SPEED) && (1.0..=100.0).contains(speeds));
    let step = speeds.map_or(1.0, |speeds| (100.0 / speeds).ceil());
    let service = catalogue::fan()
        .only(&kept, &["toggle"])
        .change("mode", |one| one.values = names.clone())
        .change("percent", |one| *one = one.clone().range(0.0, 100.0, step));
    let mode = look.uint(FAN, MODE).and_then(|mode| i64::try_from(mode).ok());
    let known = mode.filter(|mode| names.iter().any(|(number, _)| number == mode));
    let part = Part::new(Kind::Fan, service).say(look, "mode", known).say(
        look,
        "on",
        look.uint(FAN, MODE).map(|mode| mode != 0),
    );
    let percent = look.uint(FAN, PERCENT).or_else(|| look.uint(FAN, PERCENT_NOW)).filter(|percent| *percent <= 100);
    let part = part.say(look, "percent", percent.map(|percent| percent as i64));
    let part = part.say(look, "oscillating", look.uint(FAN, ROCK).map(|bits| bits != 0));
    Some(part.say_one(
        look,
        "direction",
        look.uint(FAN, AIRFLOW).map(|way| if way == 1 { "reverse" } else { "forward" }),
    ))
}

pub(super) fn write(look: &Look<'_>, property: &str, data: &Data) -> Result<Command, CallError> {
    let set = |attribute, value| Command::write(look.endpoint, FAN, attribute, Value::Uint(value));
    Ok(match property {
        "on" => set(MODE, if yes(data)? { running(look) } else { 0 }),
        "percent" => set(PERCENT, number(data)?.round().clamp(0.0, 100.0) as u64),
        "mode" => {
            let known = data.as_int().filter(|mode| modes(look).iter().any(|(number, _)| number == mode));
            set(MODE, known.and_then(|mode| u64::try_from(mode).ok()).ok_or_else(|| bad("it has no such mode"))?)
        }
        "oscillating" => {
            let ways = look.uint(FAN, ROCK_SUPPORT).filter(|ways| *ways != 0).unwrap_or(1);
            set(ROCK, if yes(data)? { ways } else { 0 })
        }
        "direction" => set(AIRFLOW, u64::from(data.as_int() == Some(1))),
        _ => return Err(bad("it has no way to set this")),
    })
}

/// How it runs when it is switched on and nothing more is said: by itself where it can, otherwise as fast as it does always.
fn running(look: &Look<'_>) -> u64 {
    let modes = modes(look);
    let has = |mode: (i64, &str)| modes.iter().any(|(number, _)| *number == mode.0);
    if has(BY_ITSELF) { 5 } else { 3 }
}

pub(super) fn act(look: &Look<'_>, action: &str) -> Option<Command> {
    let mode = if look.uint(FAN, MODE) == Some(0) { running(look) } else { 0 };
    (action == "toggle").then(|| Command::write(look.endpoint, FAN, MODE, Value::Uint(mode)))
}
