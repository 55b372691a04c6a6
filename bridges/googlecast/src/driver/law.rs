//! The bridge's side of the gate: its entries and the fields that each lets out.

use std::ops::Deref;

use accord_consent::{BoundGate, DatagramLease, Destination, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_ports::law;
pub(crate) use accord_ports::law::SEARCH;
use accord_registry::why;

/// Searching and controlling, and beside them what Google learns. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    devices: law::Law,
    receiver: EntryKey,
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

/// What it says that names what is to be played.
pub(crate) fn media() -> FieldSet {
    standing().union(FieldSet::one(FieldCode::MediaNowPlaying))
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let receiver = EntryKey::new("googlecast/receiver").expect("the bridge's own entry key is well formed");
        Self { devices: law::Law::new(gate.clone(), "googlecast", standing()), gate, receiver }
    }

    /// A permit for a connection, and for which fields: also for naming what is to be played, where the owner agreed to
    /// that.
    pub(crate) fn connection(&self, device: &DeviceId) -> Result<(Permit, FieldSet), Refusal> {
        let fields = if self.may_say(device, media()).is_ok() { media() } else { standing() };
        Ok((self.permit(device, fields, "while.connected")?, fields))
    }

    /// What Google learns by way of the device, from the opening of its page until that ends. The way is the device, so the
    /// consent is for each device by itself.
    pub(crate) async fn page(&self, device: &DeviceId) -> Result<DatagramLease, String> {
        let to = RecipientId::device(device);
        let permit = self.gate.permit(&self.receiver, &to, media(), "on.cast");
        let permit = permit.map_err(|refusal| format!("{refusal}. What plays on a Cast device is a page of Google"))?;
        let destination = Destination::device(device, "Google, by way of the device");
        permit.datagrams(destination).await.map_err(|error| error.to_string())
    }

    /// How the owner decided, for a diagnosis.
    pub(crate) fn facts(&self, device: Option<&DeviceId>) -> Vec<Fact> {
        let mut facts = self.devices.facts(device, true);
        facts.extend(device.map(|device| {
            let page = self.gate.check(&self.receiver, &RecipientId::device(device), media());
            why::consent(&self.receiver, Some(device), false, page)
        }));
        facts
    }
}
