//! The bridge's side of the gate: its entries and the fields that each lets out.

use accord_consent::outlet::Near;
use accord_consent::{BoundGate, ConsentWatch, DatagramLease, Destination, Permit, RecipientId, Refusal};
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
    receiver: EntryKey,
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
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        let (search, control) = (entry("googlecast/search"), entry("googlecast/control"));
        Self { gate, search, control, receiver: entry("googlecast/receiver") }
    }

    pub(crate) fn search(&self) -> ConsentWatch {
        self.gate.watch(&self.search, &RecipientId::lan())
    }

    /// The way to everyone near.
    pub(crate) async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.search, &RecipientId::lan(), SEARCH, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "googlecast").await.map_err(|error| error.to_string())
    }

    pub(crate) fn controls(&self, device: &DeviceId) -> ConsentWatch {
        self.gate.watch(&self.control, &RecipientId::device(device))
    }

    /// Whether a device may be told anything.
    pub(crate) fn may_control(&self, device: &DeviceId) -> Result<(), Refusal> {
        self.gate.check(&self.control, &RecipientId::device(device), standing())
    }

    /// A permit for a connection, and for which fields: also for naming what is to be played, where the owner agreed to
    /// that.
    pub(crate) fn control(&self, device: &DeviceId) -> Result<(Permit, FieldSet), Refusal> {
        let to = RecipientId::device(device);
        let fields = if self.gate.check(&self.control, &to, media()).is_ok() { media() } else { standing() };
        Ok((self.gate.permit(&self.control, &to, fields, "while.connected")?, fields))
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
        let search = self.gate.check(&self.search, &RecipientId::lan(), SEARCH);
        let mut facts = vec![why::consent(&self.search, None, true, search)];
        if let Some(device) = device {
            facts.push(why::consent(&self.control, Some(device), true, self.may_control(device)));
            let page = self.gate.check(&self.receiver, &RecipientId::device(device), media());
            facts.push(why::consent(&self.receiver, Some(device), false, page));
        }
        facts
    }
}
