//! The bridge's side of the gate: its entries and the fields that each lets out.

use std::ops::Deref;

use accord_consent::{BoundGate, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_ports::law;
pub(crate) use accord_ports::law::SEARCH;
use accord_registry::why;

/// Searching and controlling, and beside them sound. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    devices: law::Law,
    sound: EntryKey,
}

impl Deref for Law {
    type Target = law::Law;
    fn deref(&self) -> &law::Law {
        &self.devices
    }
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
        let sound = EntryKey::new("airplay/sound").expect("the bridge's own entry key is well formed");
        Self { devices: law::Law::new(gate.clone(), "airplay", control()), gate, sound }
    }

    /// Permits for one cast: for words, and for sound.
    pub(crate) fn cast(&self, device: &DeviceId) -> Result<(Permit, Permit), Refusal> {
        let words = self.permit(device, control(), "on.control")?;
        Ok((words, self.gate.permit(&self.sound, &RecipientId::device(device), sound(), "on.cast")?))
    }

    /// How the owner decided about a device's sound, for a diagnosis.
    pub(crate) fn sound_fact(&self, device: &DeviceId) -> Fact {
        let sound = self.gate.check(&self.sound, &RecipientId::device(device), sound());
        why::consent(&self.sound, Some(device), false, sound)
    }
}
