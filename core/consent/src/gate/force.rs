//! A statement comes into force: what widened lapses, what narrowed is cut, what was reworded is marked.

use std::sync::Arc;

use accord_model::Timestamp;
use accord_statement::{Change, Statement, compare};

use super::{Gate, GateEvent};
use crate::{
    Consent, ConsentState, GateError, RecordKind,
    ledger::{Details, record::Draft},
    rules::Rule,
};

impl Gate {
    pub(super) fn put_into_force(&self, statement: Arc<Statement>) -> Result<Vec<Consent>, GateError> {
        let inner = &self.inner;
        let mut book = inner.book();
        let now = Timestamp::now();
        let (mut changed, mut stopped, mut lapsed) = (Vec::new(), Vec::new(), Vec::new());
        for kept in book.kept.values_mut() {
            let Some(entry) = statement.entry(&kept.consent.entry) else { continue };
            if kept.consent.state != ConsentState::Given {
                continue;
            }
            let difference = kept.consent.agreed.as_deref().map(|agreed| compare(agreed, entry));
            let change = difference.as_ref().map_or(Change::Widened, |difference| difference.change);
            match change {
                Change::Unchanged => continue,
                Change::Editorial => {
                    if kept.consent.text_hash == entry.text_hash() {
                        continue;
                    }
                    kept.consent.reworded = true;
                    kept.consent.text_hash = entry.text_hash();
                }
                Change::Narrowed => {
                    kept.consent.fields = kept.consent.fields.minus(kept.consent.fields.minus(entry.field_set()));
                    kept.consent.fingerprint = entry.fingerprint();
                    kept.consent.text_hash = entry.text_hash();
                    kept.consent.agreed = Some(Box::new(entry.clone()));
                    kept.consent.changed = Some(now);
                    let used = kept.rule.used.clone();
                    let mut rule = Rule::new(&kept.consent);
                    rule.used = used;
                    stopped.push(std::mem::replace(&mut kept.rule, Arc::new(rule)));
                }
                Change::Widened | Change::Added | Change::Removed => {
                    let difference = difference.and_then(|difference| difference.difference());
                    let difference = difference.unwrap_or_else(|| "what was agreed to is not known".to_owned());
                    kept.consent.state = ConsentState::Lapsed(difference);
                    kept.consent.changed = Some(now);
                    let rule = Rule::new(&kept.consent);
                    stopped.push(std::mem::replace(&mut kept.rule, Arc::new(rule)));
                    lapsed.push(kept.consent.clone());
                }
            }
            changed.push(kept.consent.clone());
        }
        // Entries that are no longer declared stop too; their consents wait for the entry to return.
        for kept in book.kept.values_mut().filter(|kept| statement.entry(&kept.consent.entry).is_none()) {
            let mut rule = Rule::new(&kept.consent);
            rule.used = kept.rule.used.clone();
            stopped.push(std::mem::replace(&mut kept.rule, Arc::new(rule)));
        }
        inner.renew(Some(statement.clone()), &book);
        stopped.iter().for_each(|rule| rule.lives.stop());
        for consent in &lapsed {
            if let ConsentState::Lapsed(difference) = &consent.state {
                let (entry, to) = (consent.entry.clone(), consent.to.clone());
                inner.tell(GateEvent::Lapsed { entry, to, difference: difference.clone() });
            }
        }
        inner.save(&changed)?;
        self.record_statement(&statement)?;
        for consent in &lapsed {
            inner.record_decision(consent, "lapsed")?;
        }
        Ok(lapsed)
    }

    fn record_statement(&self, statement: &Statement) -> Result<(), GateError> {
        let Some(consents) = &self.inner.consents else { return Ok(()) };
        let hash = statement.hash().to_string();
        if consents.meta("statement")?.as_deref() == Some(&*hash) {
            return Ok(());
        }
        let mut draft = Draft::new(RecordKind::Statement);
        draft.public.fingerprint = Some(hash.clone());
        draft.public.count = Some(statement.entries.len() as u64);
        let message = Some(format!("{} {}", statement.title, statement.version));
        draft.details = Some(Details { message, ..Details::default() });
        self.inner.ledger.append_blocking(draft)?;
        Ok(consents.set_meta("statement", hash)?)
    }
}
