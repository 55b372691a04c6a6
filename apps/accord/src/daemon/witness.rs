//! Ledger heads that go to paired devices and come from them.

use accord_consent::{Ledger, LedgerError};
use accord_identity::StatementKey;
use accord_link::{ProvenHead, Witness};
use accord_model::DeviceId;

/// The ledger as the link sees it.
pub struct Heads(pub Ledger);

impl Witness for Heads {
    fn kept(&self, peer: &DeviceId) -> Option<String> {
        self.0.witness_note(peer).unwrap_or_else(|error| {
            tracing::error!(%peer, %error, "what is kept of a paired device's ledger cannot be read");
            None
        })
    }

    fn handed_back(&self, peer: &DeviceId, kept: Option<&str>) -> Result<(), String> {
        match kept {
            Some(kept) => alarming(self.0.witnessed(peer, kept)),
            None => Ok(()),
        }
    }

    fn own_head(&self, kept: Option<&str>) -> Option<ProvenHead> {
        match self.0.head_since(kept) {
            Ok(own) => own.map(|(head, proof)| ProvenHead { head: head.note().to_owned(), proof }),
            Err(error) => {
                tracing::error!(%error, "no head of the ledger to show");
                None
            }
        }
    }

    fn witness(&self, peer: &DeviceId, statement_key: &StatementKey, shown: &ProvenHead) -> Result<(), String> {
        let key = statement_key.ed25519().ok_or("its statement key is of a kind that this hub cannot check")?;
        alarming(self.0.witness(peer, key, &shown.head, &shown.proof))
    }

    fn witnessed(&self, peer: &DeviceId, head: &str) {
        if let Err(error) = self.0.witnessed(peer, head) {
            tracing::error!(%peer, %error, "what a paired device keeps of our ledger does not fit it");
        }
    }
}

/// What the owner must know of; a database that fails says nothing of a ledger.
fn alarming(outcome: Result<(), LedgerError>) -> Result<(), String> {
    match outcome {
        Err(error @ (LedgerError::Rewritten { .. } | LedgerError::Note(_))) => Err(error.to_string()),
        Err(error) => {
            tracing::error!(%error, "a ledger's head could not be kept or checked");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
