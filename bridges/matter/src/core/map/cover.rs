//! Curtains, blinds, shutters: WindowCovering (0x102). There 100 % is closed; here it is open.

use accord_model::{CallError, Data, catalogue};

use super::{Kind, Part, bad, number};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

const COVER: u32 = 0x102;

// Features.
const LIFT: u32 = 0;
const TILT: u32 = 1;
const KNOWS_LIFT: u32 = 2;
const KNOWS_TILT: u32 = 4;

pub(super) fn cover(look: &Look<'_>) -> Option<Part> {
    if !look.has(COVER) {
        return None;
    }
    let knows_lift = look.can(COVER, KNOWS_LIFT);
    let knows_tilt = look.can(COVER, KNOWS_TILT);
    let mut kept = vec!["state"];
    if knows_lift {
        kept.push("position");
    }
    if knows_tilt {
        kept.push("tilt");
    }
    let actions = [(0, "open"), (1, "close"), (2, "stop")];
    let actions: Vec<&str> = actions.into_iter().filter(|(id, _)| look.takes(COVER, *id)).map(|(_, id)| id).collect();
    let service = catalogue::cover()
        .only(&kept, &actions)
        .change("position", |one| one.write = look.takes(COVER, 5))
        .change("tilt", |one| one.write = look.takes(COVER, 8));
    let part = Part::new(Kind::Cover, service).say_one(look, "state", state(look));
    let position = place(look, [0x0E, 0x08]);
    let part = part.say(look, "position", position);
    let tilt = place(look, [0x0F, 0x09]);
    Some(part.say(look, "tilt", tilt))
}

/// Hundredths of a hundredth where it says those, hundredths otherwise.
fn place(look: &Look<'_>, [fine, coarse]: [u32; 2]) -> Option<i64> {
    let fine = look.number(COVER, fine).map(|closed| closed / 100.0);
    let closed = fine.or_else(|| look.number(COVER, coarse)).filter(|closed| (0.0..=100.0).contains(closed))?;
    Some(100 - closed.round() as i64)
}

fn state(look: &Look<'_>) -> Option<&'static str> {
    // OperationalStatus: two bits each of all, lift and tilt; 1 opens, 2 closes.
    let status = look.uint(COVER, 0x0A).unwrap_or(0);
    let moving = [2, 4, 0].map(|shift| status >> shift & 0b11).into_iter().find(|way| *way != 0);
    match moving {
        Some(1) => return Some("opening"),
        Some(2) => return Some("closing"),
        _ => {}
    }
    let position = match look.can(COVER, LIFT) || !look.can(COVER, TILT) {
        true => place(look, [0x0E, 0x08]),
        false => place(look, [0x0F, 0x09]),
    };
    position.map(|position| if position == 0 { "closed" } else { "open" })
}

pub(super) fn write(look: &Look<'_>, property: &str, data: &Data) -> Result<Command, CallError> {
    let command = match property {
        "position" => 5,
        "tilt" => 8,
        _ => return Err(bad("it has no way to set this")),
    };
    let closed = ((100.0 - number(data)?) * 100.0).round().clamp(0.0, 10_000.0) as u64;
    Ok(Command::invoke(look.endpoint, COVER, command, vec![(0, Value::Uint(closed))]))
}

pub(super) fn act(look: &Look<'_>, action: &str) -> Option<Command> {
    let command = match action {
        "open" => 0,
        "close" => 1,
        "stop" => 2,
        _ => return None,
    };
    Some(Command::invoke(look.endpoint, COVER, command, Vec::new()))
}
