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
    sound: EntryKey,
}

/// What every word to a device says.
pub(crate) fn control() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName])
}

/// What every packet of sound says, and of its clock.
pub(crate) fn sound() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::FileContent])
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        Self { gate, search: entry("airplay/search"), control: entry("airplay/control"), sound: entry("airplay/sound") }
    }

    pub(crate) fn search(&self) -> ConsentWatch {
        self.gate.watch(&self.search, &RecipientId::lan())
    }

    /// The way to everyone near.
    pub(crate) async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.search, &RecipientId::lan(), SEARCH, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "airplay").await.map_err(|error| error.to_string())
    }

    /// Whether a device may be told anything.
    pub(crate) fn may_control(&self, device: &DeviceId) -> Result<(), Refusal> {
        self.gate.check(&self.control, &RecipientId::device(device), control())
    }

    /// Whether it may be sent sound.
    pub(crate) fn may_sound(&self, device: &DeviceId) -> Result<(), Refusal> {
        self.gate.check(&self.sound, &RecipientId::device(device), sound())
    }

    /// Permits for one cast: for words, and for sound.
    pub(crate) fn cast(&self, device: &DeviceId) -> Result<(Permit, Permit), Refusal> {
        let to = RecipientId::device(device);
        let words = self.gate.permit(&self.control, &to, control(), "on.control")?;
        Ok((words, self.gate.permit(&self.sound, &to, sound(), "on.cast")?))
    }

    /// How the owner decided, for a diagnosis.
    pub(crate) fn search_fact(&self) -> Fact {
        why::consent(&self.search, None, true, self.gate.check(&self.search, &RecipientId::lan(), SEARCH))
    }

    pub(crate) fn control_fact(&self, device: &DeviceId) -> Fact {
        why::consent(&self.control, Some(device), true, self.may_control(device))
    }

    pub(crate) fn sound_fact(&self, device: &DeviceId) -> Fact {
        why::consent(&self.sound, Some(device), false, self.may_sound(device))
    }
}
