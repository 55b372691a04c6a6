//! The bridge's side of the gate: its entries and the fields that each lets out.

use accord_consent::BoundGate;
use accord_model::{FieldCode, FieldSet};
pub(crate) use accord_ports::law::{Law, SEARCH};

/// What every word to a server says: from where, as which of its users, and what is asked for.
pub(crate) fn standing() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::AccountId, FieldCode::CommandName])
}

pub(crate) fn of(gate: BoundGate) -> Law {
    Law::under(gate, "homeassistant", "connection", standing())
}
