//! Valves: ValveConfigurationAndControl (0x81).

use accord_model::{CallError, Data, catalogue};

use super::{Kind, Part, bad, number};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

const VALVE: u32 = 0x81;
/// The feature that it can be open by a part.
const LEVEL: u32 = 1;

pub(super) fn valve(look: &Look<'_>) -> Option<Part> {
    if !look.has(VALVE) {
        return None;
    }
    let kept: &[&str] = if look.can(VALVE, LEVEL) { &["open", "position"] } else { &["open"] };
    // 0 closed, 1 open, 2 on its way: where to says the target.
    let open = match look.uint(VALVE, 4) {
        Some(2) => look.uint(VALVE, 5).map(|target| target == 1),
        Some(state @ (0 | 1)) => Some(state == 1),
        _ => None,
    };
    let part = Part::new(Kind::Valve, catalogue::valve().only(kept, &["open", "close"])).say(look, "open", open);
    let level = look.uint(VALVE, 6).filter(|level| *level <= 100).map(|level| level as i64);
    Some(part.say(look, "position", level))
}

pub(super) fn write(look: &Look<'_>, property: &str, data: &Data) -> Result<Command, CallError> {
    if property != "position" {
        return Err(bad("it has no way to set this"));
    }
    let level = number(data)?.round().clamp(0.0, 100.0) as u64;
    // Open takes 1 to 100.
    Ok(match level {
        0 => Command::invoke(look.endpoint, VALVE, 1, Vec::new()),
        level => Command::invoke(look.endpoint, VALVE, 0, vec![(1, Value::Uint(level))]),
    })
}

pub(super) fn act(look: &Look<'_>, action: &str) -> Option<Command> {
    let command = match action {
        "open" => 0,
        "close" => 1,
        _ => return None,
    };
    Some(Command::invoke(look.endpoint, VALVE, command, Vec::new()))
}
