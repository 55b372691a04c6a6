//! Another face of the same device, when one plays it in no way.

use accord_consent::{Envelope, RecipientId};
use accord_model::{EntryKey, FieldCode};
use accord_registry::Ask;
use std::time::Duration;

use super::Player;
use crate::book::Other;
use crate::casts::Casting;
use crate::receiver::Receiver;

/// The face that is left is told to stop, and not waited for longer.
const LEAVES_WITHIN: Duration = Duration::from_secs(3);

impl Player {
    /// Goes on with the next face that is here and may be served. `false`: there is none.
    pub(super) async fn another_face(&mut self) -> bool {
        while let Some(other) = self.others.pop_front() {
            if Receiver::find(&self.inner.registry, &other.device).is_ok() && self.may_serve(&other) {
                self.leave_face().await;
                self.take_face(other);
                return true;
            }
        }
        false
    }

    /// What would be tried after the last way on this face, in words.
    pub(super) fn next_face(&self) -> Option<String> {
        let fits =
            |other: &&Other| Receiver::find(&self.inner.registry, &other.device).is_ok() && self.may_serve(other);
        self.others.iter().find(fits).map(|other| format!("by {}: it did not play in any other way", other.label))
    }

    fn may_serve(&self, other: &Other) -> bool {
        let to = RecipientId::device(&other.device);
        let request = self.inner.book.lock().get(&self.number).map(|running| running.request.clone());
        request.is_some_and(|request| {
            Casting::needs(&request).into_iter().all(|(entry, fields)| {
                EntryKey::new(entry).is_ok_and(|entry| self.inner.gate.check(&entry, &to, fields).is_ok())
            })
        })
    }

    /// It may have something open that it does not play.
    async fn leave_face(&mut self) {
        self.forget_ahead();
        self.now = None;
        self.stand_ends.cancel();
        (self.stand, self.fetches_from) = (None, None);
        let Ok(receiver) = Receiver::find(&self.inner.registry, &self.device) else { return };
        let message = Envelope::new().beside(FieldCode::CommandName);
        let told =
            self.inner.command.call(&self.device, receiver.target(), Ask::act("stop"), message, LEAVES_WITHIN).await;
        if let Err(error) = told {
            tracing::info!(device = %self.device, %error, "the face was not told to stop");
        }
    }

    fn take_face(&mut self, other: Other) {
        tracing::info!(from = %self.device, to = %other.device, "another face of the device is tried");
        self.device = other.device.clone();
        self.face = Some(other.label);
        (self.away, self.back) = (None, None);
        if let Some(running) = self.inner.book.lock().get_mut(&self.number) {
            running.request.device = other.device.clone();
            running.request.others.retain(|one| one.device != other.device);
        }
        self.inner.book.update(self.number, |cast| cast.device = other.device);
        self.agreed = self.agreed();
    }
}
