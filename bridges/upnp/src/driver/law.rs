//! The bridge's side of the gate: its entries and the fields that each lets out.

use accord_consent::BoundGate;
use accord_model::{FieldCode, FieldSet};
pub(crate) use accord_ports::law::{Law, SEARCH};

/// What every word to a device says.
pub(crate) fn standing() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName])
}

/// What it says that names what is to be played.
pub(crate) fn media() -> FieldSet {
    standing().union(FieldSet::one(FieldCode::MediaNowPlaying))
}

/// What every word to a media server says that names what lies there.
pub(crate) fn looking() -> FieldSet {
    standing().union(FieldSet::one(FieldCode::FileName))
}

pub(crate) fn of(gate: BoundGate) -> Law {
    Law::new(gate, "upnp", standing())
}
