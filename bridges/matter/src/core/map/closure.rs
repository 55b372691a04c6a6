//! Garage doors, gates, windows and what else opens: ClosureControl (0x104). Moving it is a timed interaction. What leads into
//! the house is guarded, and that is everything that does not say it is a covering.

use accord_model::{CallError, catalogue};

use super::{Kind, Part};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

const CLOSURE: u32 = 0x104;

// Features.
const POSITIONS: u32 = 0;
const LATCHES: u32 = 1;
const AT_ONCE: u32 = 2;

/// The namespace of tags that say what kind of closure it is, and the one that says that it covers something.
const KINDS: u64 = 0x44;
const COVERING: u64 = 0;

pub(super) fn closure(look: &Look<'_>) -> Option<Part> {
    if !look.has(CLOSURE) {
        return None;
    }
    let mut actions = vec!["open", "close"];
    if look.takes(CLOSURE, 0) && !look.can(CLOSURE, AT_ONCE) {
        actions.push("stop");
    }
    let mut service = catalogue::cover().only(&["state"], &actions);
    let tags = look.items(0x1D, 4);
    let covers = |tag: &Value| {
        tag.field(1).and_then(Value::uint) == Some(KINDS) && tag.field(2).and_then(Value::uint) == Some(COVERING)
    };
    if !tags.iter().any(covers) {
        service = service.guarded();
    }
    Some(Part::new(Kind::Closure, service).say_one(look, "state", state(look)))
}

/// `OverallCurrentState` and `OverallTargetState`: 0 is closed, 1 open, others are in between. `MainState` 1 is moving.
fn state(look: &Look<'_>) -> Option<&'static str> {
    let position = |attribute| look.get(CLOSURE, attribute)?.field(0)?.uint();
    if look.uint(CLOSURE, 1) == Some(1) {
        match position(4) {
            Some(0) => return Some("closing"),
            Some(_) => return Some("opening"),
            None => {}
        }
    }
    match position(3)? {
        0 => Some("closed"),
        _ => Some("open"),
    }
}

pub(super) fn act(look: &Look<'_>, action: &str) -> Result<Command, CallError> {
    let to = match action {
        "stop" => return Ok(Command::invoke(look.endpoint, CLOSURE, 0, Vec::new())),
        "open" => 1,
        "close" => 0,
        _ => return Err(CallError::Unsupported("that is nothing that it can".to_owned())),
    };
    let mut fields = Vec::new();
    if look.can(CLOSURE, POSITIONS) {
        fields.push((0, Value::Uint(to)));
    }
    // What is latched has to be unlatched before it opens, and is latched when it is closed.
    if look.can(CLOSURE, LATCHES) {
        fields.push((1, Value::Bool(to == 0)));
    }
    Ok(Command::invoke(look.endpoint, CLOSURE, 1, fields).timed())
}
