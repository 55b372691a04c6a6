//! The bridge's side of the gate: its entries and the fields that each lets out.

use accord_consent::outlet::Near;
use accord_consent::{BoundGate, ConsentWatch, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::why;

/// What the page says to everyone.
const PAGE: FieldSet = FieldSet::one(FieldCode::NetIp);

/// What is said to an added screen.
pub(crate) fn told() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName, FieldCode::MediaNowPlaying, FieldCode::FileMeta])
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    receiver: EntryKey,
    control: EntryKey,
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        Self { gate, receiver: entry("browser/receiver"), control: entry("browser/control") }
    }

    /// Whether the page is to be open.
    pub(crate) fn receiver(&self) -> ConsentWatch {
        self.gate.watch(&self.receiver, &RecipientId::lan())
    }

    /// The way to everyone near.
    pub(crate) async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.receiver, &RecipientId::lan(), PAGE, "on.request");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "a page for screens").await.map_err(|error| error.to_string())
    }

    /// What the owner decides about a screen from now on.
    pub(crate) fn watch_control(&self, device: &DeviceId) -> ConsentWatch {
        self.gate.watch(&self.control, &RecipientId::device(device))
    }

    /// Whether a screen may be told anything.
    pub(crate) fn may_control(&self, device: &DeviceId) -> Result<(), Refusal> {
        self.gate.check(&self.control, &RecipientId::device(device), told())
    }

    /// A permit for one connection with a screen.
    pub(crate) fn control(&self, device: &DeviceId) -> Result<Permit, Refusal> {
        self.gate.permit(&self.control, &RecipientId::device(device), told(), "while.connected")
    }

    /// How the owner decided, for a diagnosis.
    pub(crate) fn receiver_fact(&self) -> Fact {
        why::consent(&self.receiver, None, true, self.gate.check(&self.receiver, &RecipientId::lan(), PAGE))
    }

    pub(crate) fn control_fact(&self, device: &DeviceId) -> Fact {
        why::consent(&self.control, Some(device), true, self.may_control(device))
    }
}
