//! The bridge's side of the gate: its entries and the fields that each lets out.

use accord_consent::outlet::Near;
use accord_consent::{BoundGate, ConsentWatch, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::why;

/// What a search says.
pub(crate) const SEARCH: FieldSet = FieldSet::one(FieldCode::NetIp);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    search: EntryKey,
    control: EntryKey,
}

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

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        Self { gate, search: entry("upnp/search"), control: entry("upnp/control") }
    }

    pub(crate) fn search(&self) -> ConsentWatch {
        self.gate.watch(&self.search, &RecipientId::lan())
    }

    /// The way to everyone near.
    pub(crate) async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.search, &RecipientId::lan(), SEARCH, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "upnp").await.map_err(|error| error.to_string())
    }

    pub(crate) fn controls(&self, device: &DeviceId) -> ConsentWatch {
        self.gate.watch(&self.control, &RecipientId::device(device))
    }

    /// Whether a device may be told anything.
    pub(crate) fn may_control(&self, device: &DeviceId) -> Result<(), Refusal> {
        self.gate.check(&self.control, &RecipientId::device(device), standing())
    }

    /// A permit for what is said to a device from now on.
    pub(crate) fn control(&self, device: &DeviceId, fields: FieldSet, scenario: &str) -> Result<Permit, Refusal> {
        self.gate.permit(&self.control, &RecipientId::device(device), fields, scenario)
    }

    /// How the owner decided, for a diagnosis.
    pub(crate) fn search_fact(&self) -> Fact {
        why::consent(&self.search, None, true, self.gate.check(&self.search, &RecipientId::lan(), SEARCH))
    }

    pub(crate) fn control_fact(&self, device: &DeviceId) -> Fact {
        why::consent(&self.control, Some(device), true, self.may_control(device))
    }
}
