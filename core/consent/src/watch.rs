//! Waiting for the owner's decision.

use std::sync::Arc;

use accord_model::{EntryKey, FieldSet};
use tokio::sync::watch;

use crate::{RecipientId, Refusal, gate::Inner};

/// Follows whether one entry is allowed for one recipient.
pub struct ConsentWatch {
    gate: Arc<Inner>,
    owner: Arc<str>,
    entry: EntryKey,
    to: RecipientId,
    epoch: watch::Receiver<u64>,
}

impl ConsentWatch {
    pub(crate) fn new(gate: Arc<Inner>, owner: Arc<str>, entry: EntryKey, to: RecipientId) -> Self {
        let epoch = gate.epochs();
        Self { gate, owner, entry, to, epoch }
    }

    /// How it stands now. Writes nothing.
    ///
    /// # Errors
    /// The [`Refusal`] that a permit would meet.
    pub fn state(&self) -> Result<(), Refusal> {
        let rules = self.gate.rules();
        rules.judge(Some(&self.owner), &self.entry, &self.to, FieldSet::EMPTY).map(drop)
    }

    /// True when a permit would be given now.
    pub fn is_allowed(&self) -> bool {
        self.state().is_ok()
    }

    /// Waits until it changes between allowed and not allowed; which of both it is now.
    pub async fn changed(&mut self) -> bool {
        let before = self.is_allowed();
        loop {
            self.epoch.borrow_and_update();
            let now = self.is_allowed();
            if now != before || self.epoch.changed().await.is_err() {
                return now;
            }
        }
    }

    /// Waits until it is allowed.
    pub async fn allowed(&mut self) {
        self.until(true).await;
    }

    /// Waits until it is no longer allowed.
    pub async fn ended(&mut self) {
        self.until(false).await;
    }

    async fn until(&mut self, wanted: bool) {
        loop {
            self.epoch.borrow_and_update();
            if self.is_allowed() == wanted {
                return;
            }
            if self.epoch.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
