//! Buttons and switches on a wall that tell when they are pressed: Switch (0x3B), whose events are what matters.

use accord_model::catalogue;

use super::{Kind, Part};
use crate::core::look::Look;
use crate::core::value::Value;

const SWITCH: u32 = 0x3B;

// Features: it stays where it is put; it goes back by itself, tells when it is released, knows long presses, and several.
const LATCHES: u32 = 0;
const RELEASES: u32 = 2;
const COUNTS: u32 = 4;

pub(super) fn button(look: &Look<'_>) -> Option<Part> {
    if !look.has(SWITCH) {
        return None;
    }
    // How many positions it has is seen by what it tells.
    for attribute in [0, 2] {
        let _ = look.get(SWITCH, attribute);
    }
    Some(Part::new(Kind::Told, catalogue::button()))
}

/// What an event of the cluster says in the catalogue's words; nothing where another event says the same later.
pub(crate) fn pressed(look: &Look<'_>, cluster: u32, event: u32, data: &Value) -> Option<String> {
    if cluster != SWITCH {
        return None;
    }
    let counts = look.can(SWITCH, COUNTS);
    let kind = match event {
        // SwitchLatched.
        0x00 if look.can(SWITCH, LATCHES) => return Some(format!("position-{}", data.field(0)?.uint()?.min(255))),
        // InitialPress, when nothing more will come.
        0x01 if !counts && !look.can(SWITCH, RELEASES) => "single",
        // LongPress, ShortRelease, LongRelease.
        0x02 => "hold",
        0x03 if !counts => "single",
        0x04 => "release",
        // MultiPressComplete.
        0x06 if counts => match data.field(1)?.uint()? {
            1 => "single",
            2 => "double",
            3 => "triple",
            0 => return None,
            more => return Some(format!("{}-times", more.min(255))),
        },
        _ => return None,
    };
    Some(kind.to_owned())
}
