//! The bridge's side of the gate: its entries and the fields that each lets out.

use accord_consent::outlet::Near;
use accord_consent::{BoundGate, ConsentWatch, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::why;

/// What a search says.
pub(crate) const SEARCH: FieldSet = FieldSet::one(FieldCode::NetIp);

/// What every word to a device says: from where, as who, and what is asked for.
pub(crate) fn standing() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::DeviceIdResettable, FieldCode::KeyPublic, FieldCode::CommandName])
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    search: EntryKey,
    control: EntryKey,
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        Self { gate, search: entry("matter/search"), control: entry("matter/control") }
    }

    pub(crate) fn search(&self) -> ConsentWatch {
        self.gate.watch(&self.search, &RecipientId::lan())
    }

    /// The way to everyone near.
    pub(crate) async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.search, &RecipientId::lan(), SEARCH, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "matter").await.map_err(|error| error.to_string())
    }

    pub(crate) fn controls(&self, device: &DeviceId) -> ConsentWatch {
        self.gate.watch(&self.control, &RecipientId::device(device))
    }

    /// Whether a device may be told anything.
    pub(crate) fn may_control(&self, device: &DeviceId) -> Result<(), Refusal> {
        self.gate.check(&self.control, &RecipientId::device(device), standing())
    }

    /// A permit for what is said to a device from now on.
    pub(crate) fn control(&self, device: &DeviceId) -> Result<Permit, Refusal> {
        self.gate.permit(&self.control, &RecipientId::device(device), standing(), "while.connected")
    }

    /// How the owner decided, for a diagnosis. Without a search no device is found.
    pub(crate) fn facts(&self, device: Option<&DeviceId>) -> Vec<Fact> {
        let search = self.gate.check(&self.search, &RecipientId::lan(), SEARCH);
        let mut facts = vec![why::consent(&self.search, None, true, search)];
        facts.extend(device.map(|device| why::consent(&self.control, Some(device), true, self.may_control(device))));
        facts
    }
}
