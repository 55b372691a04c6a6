//! Waiting for the owner's decision.

use std::sync::Arc;

use accord_model::{EntryKey, FieldSet};
use tokio::sync::watch;

use crate::{ConsentId, RecipientId, Refusal, gate::Inner};

/// Follows whether one entry is allowed for one recipient, and by which consent: a decision that takes the place of
/// another ends what ran under that, even when both allow it.
pub struct ConsentWatch {
    gate: Arc<Inner>,
    owner: Arc<str>,
    entry: EntryKey,
    to: RecipientId,
    epoch: watch::Receiver<u64>,
    /// What allowed it when that was last asked.
    under: Option<ConsentId>,
}

impl ConsentWatch {
    pub(crate) fn new(gate: Arc<Inner>, owner: Arc<str>, entry: EntryKey, to: RecipientId) -> Self {
        let epoch = gate.epochs();
        let mut watch = Self { gate, owner, entry, to, epoch, under: None };
        watch.under = watch.in_force();
        watch
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

    /// Waits until another consent is in force than before, or none; whether it is allowed now.
    pub async fn changed(&mut self) -> bool {
        self.until(|before, now| before != now).await.is_some()
    }

    /// Waits until it is allowed.
    pub async fn allowed(&mut self) {
        self.until(|_, now| now.is_some()).await;
    }

    /// Waits until what allowed it does so no longer. It may be allowed anew: [`Self::allowed`] tells.
    pub async fn ended(&mut self) {
        self.under = self.under.or_else(|| self.in_force());
        self.until(|before, now| now.is_none() || before != now).await;
    }

    async fn until(&mut self, enough: impl Fn(Option<ConsentId>, Option<ConsentId>) -> bool) -> Option<ConsentId> {
        loop {
            self.epoch.borrow_and_update();
            let now = self.in_force();
            if enough(self.under, now) {
                self.under = now;
                return now;
            }
            if self.epoch.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn in_force(&self) -> Option<ConsentId> {
        let rules = self.gate.rules();
        let allowed = rules.judge(Some(&self.owner), &self.entry, &self.to, FieldSet::EMPTY);
        allowed.ok().map(|allowed| allowed.rule.consent)
    }
}
