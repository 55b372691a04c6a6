//! The bridge's side of the gate: its entries and the fields that each lets out.

use std::time::Duration;

use accord_consent::outlet::Near;
use accord_consent::{BoundGate, ConsentWatch, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::why;

/// How often a pending question is looked at for a no.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    presence: EntryKey,
    transfer: EntryKey,
}

/// What every packet to one device says.
pub(crate) fn standing() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::KeyPublic, FieldCode::DeviceName, FieldCode::DeviceType])
}

/// What an answer to a sender says beside that.
pub(crate) const STATE: FieldSet = FieldSet::one(FieldCode::TransferState);

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let entry = |key| EntryKey::new(key).expect("the bridge's own entry keys are well formed");
        Self { gate, presence: entry("localsend/presence"), transfer: entry("localsend/transfer") }
    }

    pub(crate) fn presence(&self) -> ConsentWatch {
        self.gate.watch(&self.presence, &RecipientId::lan())
    }

    /// The way to everyone near.
    pub(crate) async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.presence, &RecipientId::lan(), standing(), "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "localsend").await.map_err(|error| error.to_string())
    }

    /// How the owner decided, for a diagnosis.
    pub(crate) fn presence_fact(&self) -> Fact {
        let checked = self.gate.check(&self.presence, &RecipientId::lan(), standing());
        why::consent(&self.presence, None, true, checked)
    }

    /// The same for transfers; one that is not decided is asked for when it comes to that.
    pub(crate) fn transfer_fact(&self, device: &DeviceId) -> Option<Fact> {
        let checked = self.gate.check(&self.transfer, &RecipientId::device(device), standing());
        match checked {
            Err(refusal) if may_be_asked(&refusal) => None,
            checked => Some(why::consent(&self.transfer, Some(device), false, checked)),
        }
    }

    /// A permit for one connection with `device`; without the owner's decision it is asked for.
    pub(crate) fn transfer(&self, device: &DeviceId, more: FieldSet, scenario: &str) -> Result<Permit, Refusal> {
        self.gate.permit(&self.transfer, &RecipientId::device(device), standing().union(more), scenario)
    }

    /// The same, waiting for the owner's decision.
    pub(crate) async fn transfer_once_decided(
        &self,
        device: &DeviceId,
        more: FieldSet,
        scenario: &str,
    ) -> Result<Permit, Refusal> {
        let mut watch = self.gate.watch(&self.transfer, &RecipientId::device(device));
        loop {
            let refusal = match self.transfer(device, more, scenario) {
                Ok(permit) => return Ok(permit),
                Err(refusal) if may_be_asked(&refusal) => refusal,
                Err(refusal) => return Err(refusal),
            };
            loop {
                tokio::select! {
                    () = watch.allowed() => break,
                    () = tokio::time::sleep(LOOK_EVERY) => match watch.state() {
                        Err(now) if !may_be_asked(&now) => return Err(now),
                        _ => {}
                    },
                }
            }
            drop(refusal);
        }
    }
}

/// Whether the owner can still say yes; otherwise it is a no.
pub(crate) fn may_be_asked(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Undecided { .. } | Refusal::Lapsed { .. } | Refusal::Expired { .. })
}
