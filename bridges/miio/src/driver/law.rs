//! The bridge's side of the gate: its entries and the fields that each lets out.

use std::ops::Deref;

use accord_consent::{BoundGate, ConsentWatch, Permit, RecipientId, Refusal};
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_ports::law;
pub(crate) use accord_ports::law::SEARCH;

/// Whence descriptions are fetched.
pub(crate) const SPEC_HOST: &str = "miot-spec.org";

/// Searching and controlling, and beside them fetching descriptions and being told of changes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    devices: law::Law,
    spec: EntryKey,
    push: EntryKey,
}

impl Deref for Law {
    type Target = law::Law;
    fn deref(&self) -> &law::Law {
        &self.devices
    }
}

/// What every word to a device says.
pub(crate) fn standing() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName])
}

/// What a device learns that may tell of changes by itself.
pub(crate) fn known() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::DeviceIdResettable])
}

/// What a question for a description says.
pub(crate) fn naming() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::DeviceModel])
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        let (spec, push) = (entry("miio/spec"), entry("miio/push"));
        Self { devices: law::Law::new(gate.clone(), "miio", standing()), gate, spec, push }
    }

    /// A permit for one description, if the owner agreed to that.
    pub(crate) fn describe(&self) -> Result<Permit, String> {
        let host = RecipientId::host(&format!("{SPEC_HOST}:443")).map_err(|error| error.to_string())?;
        self.gate.check(&self.spec, &host, naming()).map_err(|refusal| refusal.to_string())?;
        self.gate.permit(&self.spec, &host, naming(), "on.request").map_err(|refusal| refusal.to_string())
    }

    /// Follows whether a device may know this hub, so that it tells of changes by itself.
    pub(crate) fn tells(&self, device: &DeviceId) -> ConsentWatch {
        self.gate.watch(&self.push, &RecipientId::device(device))
    }

    /// A permit for that.
    pub(crate) fn known_to(&self, device: &DeviceId) -> Result<Permit, Refusal> {
        self.gate.permit(&self.push, &RecipientId::device(device), known(), "while.connected")
    }
}
