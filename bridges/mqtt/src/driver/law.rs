//! The bridge's side of the gate: its entry and the fields that it lets out.

use accord_consent::BoundGate;
use accord_model::{FieldCode, FieldSet};
pub(crate) use accord_ports::law::Law;

/// What a connection says; with a user, who that is.
pub(crate) fn fields(user: bool) -> FieldSet {
    let always = FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName, FieldCode::HomeDeviceName]);
    if user { always.union(FieldSet::one(FieldCode::AccountId)) } else { always }
}

/// Nothing is looked for.
pub(crate) fn of(gate: BoundGate) -> Law {
    Law::under(gate, "mqtt", "connection", fields(false))
}
