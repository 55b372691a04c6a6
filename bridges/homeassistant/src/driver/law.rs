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
    connection: EntryKey,
}

/// What every word to a server says: from where, as which of its users, and what is asked for.
pub(crate) fn standing() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::AccountId, FieldCode::CommandName])
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        Self { gate, search: entry("homeassistant/search"), connection: entry("homeassistant/connection") }
    }

    pub(crate) fn search(&self) -> ConsentWatch {
        self.gate.watch(&self.search, &RecipientId::lan())
    }

    /// The way to everyone near.
    pub(crate) async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.search, &RecipientId::lan(), SEARCH, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "homeassistant").await.map_err(|error| error.to_string())
    }

    pub(crate) fn connects(&self, server: &DeviceId) -> ConsentWatch {
        self.gate.watch(&self.connection, &RecipientId::device(server))
    }

    /// Whether a server may be told anything.
    pub(crate) fn may_connect(&self, server: &DeviceId) -> Result<(), Refusal> {
        self.gate.check(&self.connection, &RecipientId::device(server), standing())
    }

    pub(crate) fn connection(&self, server: &DeviceId) -> Result<Permit, Refusal> {
        self.gate.permit(&self.connection, &RecipientId::device(server), standing(), "while.connected")
    }

    /// How the owner decided, for a diagnosis. A server that was added by its address needs no search.
    pub(crate) fn facts(&self, server: Option<&DeviceId>) -> Vec<Fact> {
        let search = self.gate.check(&self.search, &RecipientId::lan(), SEARCH);
        let mut facts = vec![why::consent(&self.search, None, server.is_none(), search)];
        if let Some(server) = server {
            facts.push(why::consent(&self.connection, Some(server), true, self.may_connect(server)));
        }
        facts
    }
}
