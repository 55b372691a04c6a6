//! The bridge's side of the gate: its two entries, and what each lets out.

use accord_consent::{BoundGate, ConsentWatch, Permit, Personal, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{CallError, DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::why;

use crate::core::link::Transmit;

/// Everyone near: announcements, and connections with devices that are not known yet.
pub(crate) const PRESENCE: &str = "kdeconnect/presence";
/// One paired device.
pub(crate) const CONNECTION: &str = "kdeconnect/connection";

/// The gate, bound to this bridge's entries.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
}

impl Law {
    pub fn new(gate: BoundGate) -> Self {
        Self { gate }
    }
    pub fn watch_presence(&self) -> ConsentWatch {
        self.gate.watch(&entry(PRESENCE), &RecipientId::lan())
    }
    pub fn watch_connection(&self, device: &DeviceId) -> ConsentWatch {
        self.gate.watch(&entry(CONNECTION), &RecipientId::device(device))
    }
    pub fn presence(&self) -> Result<Permit, Refusal> {
        self.gate.permit(&entry(PRESENCE), &RecipientId::lan(), standing(), "on.network")
    }
    /// For everything that may be said to one device; ask [`Self::granted`] before putting content in.
    pub fn connection(&self, device: &DeviceId, scenario: &str) -> Result<Permit, Refusal> {
        let fields = standing().union(self.granted(device));
        self.gate.permit(&entry(CONNECTION), &RecipientId::device(device), fields, scenario)
    }
    pub fn is_connection_allowed(&self, device: &DeviceId) -> bool {
        self.gate.check(&entry(CONNECTION), &RecipientId::device(device), standing()).is_ok()
    }
    /// How the owner decided, for a diagnosis.
    pub fn presence_fact(&self) -> Fact {
        let entry = entry(PRESENCE);
        why::consent(&entry, None, true, self.gate.check(&entry, &RecipientId::lan(), standing()))
    }
    pub fn connection_fact(&self, device: &DeviceId) -> Fact {
        let entry = entry(CONNECTION);
        let checked = self.gate.check(&entry, &RecipientId::device(device), standing());
        why::consent(&entry, Some(device), true, checked)
    }
    /// Which content the owner lets this bridge carry to a device.
    pub fn granted(&self, device: &DeviceId) -> FieldSet {
        let to = RecipientId::device(device);
        let is_granted = |field: &FieldCode| {
            self.gate.check(&entry(CONNECTION), &to, standing().union(FieldSet::one(*field))).is_ok()
        };
        CONTENT.iter().copied().filter(is_granted).collect()
    }
    /// Whether these kinds of data may be carried to a device.
    pub fn may_carry(&self, device: &DeviceId, fields: FieldSet) -> Result<(), CallError> {
        let needed = standing().union(fields);
        let checked = self.gate.check(&entry(CONNECTION), &RecipientId::device(device), needed);
        checked.map_err(|refusal| CallError::NotConsented(refusal.to_string()))
    }
}

/// What every connection shows by standing.
fn standing() -> FieldSet {
    [
        FieldCode::DeviceIdResettable,
        FieldCode::NetIp,
        FieldCode::DeviceName,
        FieldCode::DeviceType,
        FieldCode::DeviceAbilities,
        FieldCode::KeyPublic,
    ]
    .into_iter()
    .collect()
}

/// What features may hand over.
const CONTENT: [FieldCode; 11] = [
    FieldCode::FileName,
    FieldCode::FileContent,
    FieldCode::FileMeta,
    FieldCode::TextContent,
    FieldCode::ClipboardContent,
    FieldCode::NotificationContent,
    FieldCode::NotificationApp,
    FieldCode::BatteryLevel,
    FieldCode::MediaNowPlaying,
    FieldCode::CommandName,
    FieldCode::Presence,
];

fn entry(key: &str) -> EntryKey {
    EntryKey::new(key).expect("the bridge's own entry keys are well formed")
}

/// What the core wants to send, sealed under what it says is in it and the address that every packet shows.
pub(crate) fn seal(transmit: Transmit) -> Personal<Vec<u8>> {
    Personal::of(transmit.fields.union(FieldSet::one(FieldCode::NetIp)), transmit.bytes)
}
