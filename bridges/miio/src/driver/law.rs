//! The bridge's side of the gate: its entries and the fields that each lets out.

use accord_consent::outlet::Near;
use accord_consent::{BoundGate, ConsentWatch, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::why;

/// What a search says.
pub(crate) const SEARCH: FieldSet = FieldSet::one(FieldCode::NetIp);
/// Whence descriptions are fetched.
pub(crate) const SPEC_HOST: &str = "miot-spec.org";

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    search: EntryKey,
    control: EntryKey,
    spec: EntryKey,
}

/// What every word to a device says.
pub(crate) fn standing() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName])
}

/// What a question for a description says.
pub(crate) fn naming() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::DeviceModel])
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        let (search, control) = (entry("miio/search"), entry("miio/control"));
        Self { gate, search, control, spec: entry("miio/spec") }
    }

    pub(crate) fn search(&self) -> ConsentWatch {
        self.gate.watch(&self.search, &RecipientId::lan())
    }

    /// The way to everyone near.
    pub(crate) async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.search, &RecipientId::lan(), SEARCH, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "miio").await.map_err(|error| error.to_string())
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

    /// A permit for one description, if the owner agreed to that.
    pub(crate) fn describe(&self) -> Result<Permit, String> {
        let host = RecipientId::host(&format!("{SPEC_HOST}:443")).map_err(|error| error.to_string())?;
        self.gate.check(&self.spec, &host, naming()).map_err(|refusal| refusal.to_string())?;
        self.gate.permit(&self.spec, &host, naming(), "on.request").map_err(|refusal| refusal.to_string())
    }

    /// How the owner decided, for a diagnosis. `searched`: only a search finds the device.
    pub(crate) fn facts(&self, device: Option<&DeviceId>, searched: bool) -> Vec<Fact> {
        let search = self.gate.check(&self.search, &RecipientId::lan(), SEARCH);
        let mut facts = vec![why::consent(&self.search, None, searched, search)];
        facts.extend(device.map(|device| why::consent(&self.control, Some(device), true, self.may_control(device))));
        facts
    }
}
