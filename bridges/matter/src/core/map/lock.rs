//! Locks: DoorLock (0x101). What locks and unlocks is a timed interaction.

use accord_model::{CallError, Data, FieldCode, Format, Inputs, Property, catalogue};

use super::{Kind, Part, bad};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

const LOCK: u32 = 0x101;

// Features.
const PIN: u32 = 0;
const DOOR: u32 = 5;
/// It has a bolt beside a latch: unlocking pulls the latch, too, and `UnboltDoor` does not.
const UNBOLTS: u32 = 12;

// Commands.
const LOCK_DOOR: u32 = 0x00;
const UNLOCK_DOOR: u32 = 0x01;
const UNBOLT_DOOR: u32 = 0x27;

/// `RequirePINforRemoteOperation`.
const WANTS_PIN: u32 = 0x33;

fn wants_code(look: &Look<'_>) -> bool {
    look.can(LOCK, PIN) && look.bool(LOCK, WANTS_PIN) == Some(true)
}

fn code() -> Property {
    Property { notify: false, ..Property::state("code", Format::Text).sensitive(FieldCode::TextContent) }
}

pub(super) fn lock(look: &Look<'_>) -> Vec<Part> {
    if !look.has(LOCK) {
        return Vec::new();
    }
    let actions: &[&str] = if look.can(LOCK, UNBOLTS) { &["lock", "unlock", "open"] } else { &["lock", "unlock"] };
    let mut service = catalogue::door_lock().only(&["locked", "state"], actions);
    if wants_code(look) {
        service.actions.iter_mut().for_each(|action| action.inputs = vec![code()]);
    }
    // LockState: 0 not fully locked, 1 locked, 2 unlocked, 3 unlatched.
    let state = look.uint(LOCK, 0).and_then(|state| match state {
        0 => Some("jammed"),
        1 => Some("locked"),
        2 => Some("unlocked"),
        3 => Some("open"),
        _ => None,
    });
    let part = Part::new(Kind::Lock, service).say_one(look, "state", state).say(
        look,
        "locked",
        look.uint(LOCK, 0).filter(|state| *state <= 3).map(|state| state == 1),
    );
    // DoorState: 0 open, 1 closed, 2 jammed, 3 forced open, 4 anything else, 5 ajar.
    let door = look.can(LOCK, DOOR).then(|| {
        let open = look.uint(LOCK, 3).and_then(|state| match state {
            0 | 3 | 5 => Some(true),
            1 => Some(false),
            _ => None,
        });
        Part::new(Kind::Told, catalogue::contact()).say(look, "open", open)
    });
    std::iter::once(part).chain(door).collect()
}

pub(super) fn act(look: &Look<'_>, action: &str, inputs: &Inputs) -> Result<Command, CallError> {
    let unbolts = look.can(LOCK, UNBOLTS);
    let command = match action {
        "lock" => LOCK_DOOR,
        "unlock" if unbolts => UNBOLT_DOOR,
        "unlock" => UNLOCK_DOOR,
        "open" if unbolts => UNLOCK_DOOR,
        _ => return Err(CallError::Unsupported("that is nothing that it can".to_owned())),
    };
    let code = inputs.get("code").and_then(Data::as_text).map(str::trim).filter(|code| !code.is_empty());
    let fields = match code {
        None if wants_code(look) => return Err(bad("this lock wants its code")),
        None => Vec::new(),
        Some(code) => {
            let limit =
                |attribute, usual| look.uint(LOCK, attribute).and_then(|n| usize::try_from(n).ok()).unwrap_or(usual);
            let (most, least) = (limit(0x17, 8), limit(0x18, 4));
            if !code.bytes().all(|c| c.is_ascii_digit()) || !(least..=most).contains(&code.len()) {
                return Err(CallError::BadInput(format!("the code of this lock has {least} to {most} digits")));
            }
            vec![(0, Value::Bytes(code.as_bytes().to_vec()))]
        }
    };
    Ok(Command::invoke(look.endpoint, LOCK, command, fields).timed())
}
