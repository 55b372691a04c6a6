//! The bridge's side of the gate: its entry and the fields that it lets out.

use accord_consent::{BoundGate, ConsentWatch, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::why;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    connection: EntryKey,
}

/// What a connection says; with a user, who that is.
pub(crate) fn fields(user: bool) -> FieldSet {
    let always = FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName, FieldCode::HomeDeviceName]);
    if user { always.union(FieldSet::one(FieldCode::AccountId)) } else { always }
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let connection = EntryKey::new("mqtt/connection").expect("the bridge's own entry key is well formed");
        Self { gate, connection }
    }

    pub(crate) fn watch(&self, broker: &DeviceId) -> ConsentWatch {
        self.gate.watch(&self.connection, &RecipientId::device(broker))
    }

    pub(crate) fn may(&self, broker: &DeviceId, user: bool) -> Result<(), Refusal> {
        self.gate.check(&self.connection, &RecipientId::device(broker), fields(user))
    }

    /// The same for devices that are shown there, which reveals this beside.
    pub(crate) fn may_show(&self, broker: &DeviceId, user: bool, more: FieldSet) -> Result<(), Refusal> {
        self.gate.check(&self.connection, &RecipientId::device(broker), fields(user).union(more))
    }

    pub(crate) fn permit(&self, broker: &DeviceId, fields: FieldSet) -> Result<Permit, Refusal> {
        self.gate.permit(&self.connection, &RecipientId::device(broker), fields, "while.connected")
    }

    /// How the owner decided, for a diagnosis.
    pub(crate) fn fact(&self, broker: &DeviceId, user: bool) -> Fact {
        why::consent(&self.connection, Some(broker), true, self.may(broker, user))
    }
}
