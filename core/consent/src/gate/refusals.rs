//! Refusals: the owner is asked once, and those alike are rolled into one record a minute.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Instant,
};

use accord_model::{EntryKey, FieldSet, Timestamp};

use super::{GateEvent, Inner};
use crate::{
    Ledger, RecipientId, RecordKind, Refusal,
    ledger::{Details, record::Draft},
};

const MOST_ROLLED: usize = 1024;

/// Refusals alike, counted until they are written.
pub(super) struct Rolled {
    pub since: Instant,
    more: u64,
    draft: Draft,
}

impl Inner {
    pub(super) fn refused(
        &self,
        owner: &Arc<str>,
        entry: &EntryKey,
        to: &RecipientId,
        fields: FieldSet,
        scenario: &str,
        refusal: &Refusal,
    ) {
        let difference = match refusal {
            Refusal::Undecided { .. } => Some(None),
            Refusal::Lapsed { difference, .. } => Some(Some(difference.clone())),
            _ => None,
        };
        if let Some(difference) = difference {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.len() < MOST_ROLLED && asked.insert((entry.clone(), to.clone())) {
                let scenario = scenario.to_owned();
                self.tell(GateEvent::Asked { entry: entry.clone(), to: to.clone(), fields, scenario, difference });
            }
        }
        let mut rolled = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (entry.clone(), to.clone(), refusal.word());
        if let Some(known) = rolled.get_mut(&key) {
            known.more += 1;
            return;
        }
        if rolled.len() >= MOST_ROLLED {
            flush(&self.ledger, &mut rolled, |_| true);
        }
        let mut draft = Draft::new(RecordKind::Refused);
        draft.public.entry = Some(entry.clone());
        draft.public.fields = fields;
        draft.public.count = Some(1);
        draft.details = Some(Details {
            recipient: Some(to.to_string()),
            scenario: Some(scenario.to_owned()).filter(|scenario| !scenario.is_empty()),
            component: Some(owner.to_string()),
            message: Some(refusal.word().to_owned()),
            ..Details::default()
        });
        rolled.insert(key, Rolled { since: Instant::now(), more: 0, draft: draft.clone() });
        drop(rolled);
        self.ledger.append_later(draft);
    }

    pub(super) fn flush_refusals(&self, which: impl Fn(&Rolled) -> bool) {
        let mut rolled = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        flush(&self.ledger, &mut rolled, which);
    }
}

fn flush(
    ledger: &Ledger,
    rolled: &mut HashMap<(EntryKey, RecipientId, &'static str), Rolled>,
    which: impl Fn(&Rolled) -> bool,
) {
    rolled.retain(|_, refusal| {
        if !which(refusal) {
            return true;
        }
        if refusal.more > 0 {
            let mut draft = refusal.draft.clone();
            draft.public.time = Timestamp::now();
            draft.public.count = Some(refusal.more);
            ledger.append_later(draft);
        }
        false
    });
}
