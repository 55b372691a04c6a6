//! Decisions that something waits for. One prompt per entry and recipient, whoever asks how often;
//! forgotten when nobody answers, because an old question has lost its context.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accord_consent::{RecipientId, To};
use accord_model::{EntryKey, FieldSet, Timestamp};

const MAX_PROMPTS: usize = 32;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);

/// One open question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub id: String,
    pub entry: EntryKey,
    pub to: RecipientId,
    /// What wants it, in the owner's words.
    pub because: String,
    /// What it needs, where that is known; all of the entry otherwise.
    pub fields: Option<FieldSet>,
    pub asked: Timestamp,
}

/// The open questions of one hub.
#[derive(Default)]
pub struct Prompts {
    open: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    asked: BTreeMap<u64, Asked>,
}

impl Prompts {
    /// Asks, or refreshes the question that is open already. Also the ids that made room.
    pub fn ask(
        &self,
        entry: EntryKey,
        to: RecipientId,
        because: String,
        fields: Option<FieldSet>,
    ) -> (Asked, Vec<String>) {
        let now = Timestamp::now();
        let mut inner = self.lock();
        let mut gone = inner.sweep(now);
        if let Some(open) = inner.asked.values_mut().find(|open| open.entry == entry && open.to == to) {
            open.because = because;
            // The answer is one to all who asked.
            open.fields = open.fields.zip(fields).map(|(before, now)| before.union(now));
            open.asked = now;
            return (open.clone(), gone);
        }
        if inner.asked.len() >= MAX_PROMPTS
            && let Some((_, oldest)) = inner.asked.pop_first()
        {
            gone.push(oldest.id);
        }
        inner.next += 1;
        let number = inner.next;
        let asked = Asked { id: format!("p-{number}"), entry, to, because, fields, asked: now };
        inner.asked.insert(number, asked.clone());
        (asked, gone)
    }

    pub fn list(&self) -> Vec<Asked> {
        let mut inner = self.lock();
        inner.sweep(Timestamp::now());
        inner.asked.values().rev().cloned().collect()
    }

    pub fn get(&self, id: &str) -> Option<Asked> {
        self.lock().asked.values().find(|open| open.id == id).cloned()
    }

    pub fn dismiss(&self, id: &str) -> bool {
        let mut inner = self.lock();
        let before = inner.asked.len();
        inner.asked.retain(|_, open| open.id != id);
        inner.asked.len() != before
    }

    /// The owner decided: the questions that this answers are closed.
    pub fn decided(&self, entry: &EntryKey, to: &To) -> Vec<String> {
        let answered = |open: &Asked| open.entry == *entry && (*to == To::Any || *to == To::One(open.to.clone()));
        let mut inner = self.lock();
        let gone = inner.asked.values().filter(|open| answered(open)).map(|open| open.id.clone()).collect();
        inner.asked.retain(|_, open| !answered(open));
        gone
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn sweep(&mut self, now: Timestamp) -> Vec<String> {
        let old =
            |open: &Asked| Duration::try_from(now.duration_since(open.asked)).unwrap_or_default() > FORGOTTEN_AFTER;
        let gone = self.asked.values().filter(|open| old(open)).map(|open| open.id.clone()).collect();
        self.asked.retain(|_, open| !old(open));
        gone
    }
}

#[cfg(test)]
mod tests {
    use accord_model::FieldCode;

    use super::*;

    fn entry(key: &str) -> EntryKey {
        EntryKey::new(key).unwrap()
    }
    fn phone() -> RecipientId {
        "device:phone".parse().unwrap()
    }

    #[test]
    fn the_same_question_is_asked_once_and_a_decision_closes_it() {
        let prompts = Prompts::default();
        let (first, _) = prompts.ask(entry("files/send"), phone(), "Send 1 file to Phone".into(), None);
        let (again, _) = prompts.ask(entry("files/send"), phone(), "Send 3 files to Phone".into(), None);
        assert_eq!(first.id, again.id);
        assert_eq!(prompts.list()[0].because, "Send 3 files to Phone");
        let (other, _) = prompts.ask(entry("files/receive"), phone(), "Answer Phone".into(), None);
        assert_eq!(prompts.decided(&entry("files/send"), &To::Any), vec![first.id]);
        assert_eq!(prompts.list(), vec![other]);
    }

    #[test]
    fn a_question_that_is_asked_again_covers_what_both_need() {
        let prompts = Prompts::default();
        let ask = |fields| prompts.ask(entry("control/command"), phone(), String::new(), fields).0.fields;
        let (name, text) = (FieldSet::one(FieldCode::CommandName), FieldSet::one(FieldCode::TextContent));
        assert_eq!(ask(Some(name)), Some(name));
        assert_eq!(ask(Some(text)), Some(name.union(text)));
        // Somebody who does not say needs all of it.
        assert_eq!(ask(None), None);
    }

    #[test]
    fn questions_are_bounded() {
        let prompts = Prompts::default();
        let mut gone = Vec::new();
        for n in 0..100 {
            let to = format!("device:d{n}").parse().unwrap();
            gone.extend(prompts.ask(entry("files/send"), to, String::new(), None).1);
        }
        assert_eq!(prompts.list().len(), MAX_PROMPTS);
        assert_eq!(gone.len(), 100 - MAX_PROMPTS);
    }
}
