//! Ledger heads that go to paired devices and come from them.

use accord_consent::{Ledger, LedgerError};
use accord_identity::StatementKey;
use accord_link::Witness;
use accord_model::DeviceId;

/// The ledger as the link sees it.
pub struct Heads(pub Ledger);

impl Witness for Heads {
    fn own_head(&self) -> Option<String> {
        match self.0.last_checkpoint() {
            Ok(checkpoint) => checkpoint.map(|checkpoint| checkpoint.note().to_owned()),
            Err(error) => {
                tracing::error!(%error, "no head of the ledger to show");
                None
            }
        }
    }

    fn witness(&self, peer: &DeviceId, statement_key: &StatementKey, head: &str) -> Result<(), String> {
        let key = statement_key.ed25519().ok_or("its statement key is of a kind that this hub cannot check")?;
        // A proof does not travel yet: a shrunken or contradicting head shows, a change of older history
        // shows when the peer takes back what we kept.
        match self.0.witness(peer, key, head, None) {
            Err(error @ (LedgerError::Rewritten { .. } | LedgerError::Note(_))) => Err(error.to_string()),
            Err(error) => {
                tracing::error!(%error, "a paired device's head could not be kept");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn witnessed(&self, peer: &DeviceId, head: &str) {
        if let Err(error) = self.0.witnessed(peer, head) {
            tracing::error!(%peer, %error, "what a paired device keeps of our ledger does not fit it");
        }
    }
}
