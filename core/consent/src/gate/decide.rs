//! What the owner decides: taken, used up, ended, withdrawn.

use std::sync::Arc;

use accord_model::{FieldSet, Timestamp};
use accord_statement::Entry;

use super::{Book, GateEvent, Inner, Kept};
use crate::{
    Choice, Consent, ConsentId, ConsentState, Decision, GateError, Notice, RecordKind, SendError, Shown, To, Which,
    ledger::{Details, record::Draft},
    rules::{Rule, Rules},
};

impl Inner {
    pub(super) fn decide(&self, decision: Decision) -> Result<Consent, GateError> {
        let mut book = self.book();
        let rules = self.rules();
        let entry = rules.statement.entry(&decision.entry).ok_or_else(|| GateError::NoEntry(decision.entry.clone()))?;
        let refusal = decision.choice == Choice::Never;
        let fields = decision.fields.unwrap_or(entry.field_set());
        if !refusal {
            sound(entry, &rules, &decision, fields)?;
        }
        let now = Timestamp::now();
        let consent = Consent {
            id: ConsentId(book.next),
            entry: decision.entry.clone(),
            to: decision.to.clone(),
            choice: decision.choice,
            fields: if refusal { FieldSet::EMPTY } else { fields },
            fingerprint: entry.fingerprint(),
            text_hash: entry.text_hash(),
            statement: rules.statement.version.clone(),
            shown: decision.shown,
            decided: now,
            state: if refusal { ConsentState::Refused } else { ConsentState::Given },
            changed: None,
            reworded: false,
            agreed: Some(Box::new(entry.clone())),
        };
        book.next += 1;
        let event = GateEvent::Decided {
            consent: consent.id,
            entry: consent.entry.clone(),
            to: consent.to.clone(),
            choice: consent.choice,
        };
        if refusal {
            // A no counts before it is stored; a yes only once it is.
            self.enter(&mut book, consent.clone());
            let stored = self.save(std::slice::from_ref(&consent));
            self.record_decision(&consent, "refused")?;
            stored?;
        } else {
            self.record_notice(&consent)?;
            self.record_decision(&consent, "given")?;
            self.save(std::slice::from_ref(&consent))?;
            self.enter(&mut book, consent.clone());
        }
        self.tell(event);
        Ok(consent)
    }

    /// Puts a decision in place of an earlier one, whose running streams end.
    fn enter(&self, book: &mut Book, consent: Consent) {
        let rule = Arc::new(Rule::new(&consent));
        let key = (consent.entry.clone(), consent.to.clone());
        book.damaged.retain(|damaged| damaged.entry.as_ref() != Some(&key.0) || damaged.to.as_ref() != Some(&key.1));
        let before = book.kept.insert(key.clone(), Kept { consent, rule });
        self.renew(None, book);
        if let Some(before) = before {
            before.rule.lives.stop();
        }
        // What runs for this recipient under a decision on any is overruled too.
        if let To::One(to) = &key.1
            && let Some(any) = book.kept.get(&(key.0.clone(), To::Any))
        {
            any.rule.lives.stop_one(to);
        }
    }

    pub(super) fn withdraw(&self, which: Which) -> Result<Consent, GateError> {
        let mut book = self.book();
        let key = match &which {
            Which::Id(id) => book.kept.iter().find(|(_, kept)| kept.consent.id == *id).map(|(key, _)| key.clone()),
            Which::Of(entry, to) => Some((entry.clone(), to.clone())),
        };
        let found = key.and_then(|key| book.kept.get_mut(&key));
        let Some(kept) = found else {
            return Err(match which {
                Which::Id(id) => GateError::NoConsent(id.to_string()),
                Which::Of(entry, to) => GateError::no_consent(&entry, &to),
            });
        };
        kept.consent.state = ConsentState::Withdrawn;
        kept.consent.changed = Some(Timestamp::now());
        let consent = kept.consent.clone();
        let before = std::mem::replace(&mut kept.rule, Arc::new(Rule::new(&consent)));
        self.renew(None, &book);
        before.lives.stop();
        self.tell(GateEvent::Withdrawn { entry: consent.entry.clone(), to: consent.to.clone() });
        let stored = self.save(std::slice::from_ref(&consent));
        self.record_decision(&consent, "withdrawn")?;
        stored?;
        Ok(consent)
    }

    pub(super) fn forget(&self, id: ConsentId) -> Result<(), GateError> {
        let mut book = self.book();
        let found = book.kept.iter().find(|(_, kept)| kept.consent.id == id);
        let found = found.map(|(key, kept)| (key.clone(), kept.now().state, kept.consent.to.clone()));
        let Some((key, state, to)) = found else { return Err(GateError::NoConsent(id.to_string())) };
        let visitor = matches!(&to, To::One(to) if to.as_visitor().is_some());
        // gate-check: forget-visitor
        if !visitor {
            return Err(GateError::Counts(id));
        }
        // gate-check: forget-over
        if matches!(state, ConsentState::Given | ConsentState::Refused | ConsentState::Unreadable) {
            return Err(GateError::Counts(id));
        }
        if let Some(stored) = &self.consents {
            stored.forget(&key.0, &key.1, book.next)?;
        }
        let before = book.kept.remove(&key);
        self.renew(None, &book);
        if let Some(before) = before {
            before.rule.lives.stop();
        }
        Ok(())
    }

    fn record_notice(&self, consent: &Consent) -> Result<u64, GateError> {
        let mut draft = Draft::new(RecordKind::NoticeShown);
        draft.public.entry = Some(consent.entry.clone());
        draft.public.fingerprint = Some(consent.shown.hash.to_string());
        let Shown { language, surface, .. } = &consent.shown;
        let message = Some(format!("shown in `{language}` on `{surface}`"));
        draft.details = Some(Details { recipient: Some(consent.to.to_string()), message, ..Details::default() });
        Ok(self.ledger.append_blocking(draft)?)
    }

    pub(super) fn record_decision(&self, consent: &Consent, what: &str) -> Result<u64, GateError> {
        let mut draft = Draft::new(RecordKind::Decision);
        draft.public.entry = Some(consent.entry.clone());
        draft.public.fingerprint = Some(consent.fingerprint.to_string());
        draft.public.fields = consent.fields;
        draft.public.consent = Some(consent.id);
        let message = Some(format!("{what} ({})", consent.choice));
        draft.details = Some(Details { recipient: Some(consent.to.to_string()), message, ..Details::default() });
        Ok(self.ledger.append_blocking(draft)?)
    }

    /// Called before the intent of a disclosure under [`Choice::Once`]: durable, so that a crash does
    /// not make it twice.
    pub async fn mark_used(&self, id: ConsentId) -> Result<(), SendError> {
        let used = {
            let mut book = self.book();
            let kept = book.kept.values_mut().find(|kept| kept.consent.id == id);
            kept.map(|kept| {
                if kept.consent.state == ConsentState::Given {
                    kept.consent.state = ConsentState::Used;
                    kept.consent.changed = Some(Timestamp::now());
                }
                kept.consent.clone()
            })
        };
        if let (Some(stored), Some(consent)) = (&self.consents, used) {
            stored.save_one(&consent).await?;
        }
        Ok(())
    }

    /// Ends consents whose time has come, for good: a clock that is set back does not bring them back.
    pub fn expire(&self) {
        let mut book = self.book();
        let now = Timestamp::now();
        let mut ended = Vec::new();
        for kept in book.kept.values_mut() {
            if kept.consent.state == ConsentState::Given && kept.consent.until().is_some_and(|end| now >= end) {
                kept.consent.state = ConsentState::Expired;
                kept.consent.changed = Some(now);
                let new = Arc::new(Rule::new(&kept.consent));
                ended.push((kept.consent.clone(), std::mem::replace(&mut kept.rule, new)));
            }
        }
        if ended.is_empty() {
            return;
        }
        self.renew(None, &book);
        let consents: Vec<_> = ended.iter().map(|(consent, _)| consent.clone()).collect();
        for (consent, rule) in &ended {
            rule.lives.stop();
            self.tell(GateEvent::Expired { entry: consent.entry.clone(), to: consent.to.clone() });
        }
        let stored = self.save(&consents);
        let recorded = consents.iter().try_for_each(|consent| self.record_decision(consent, "expired").map(drop));
        if let Err(error) = stored.and(recorded) {
            tracing::error!(%error, "ended consents could not be stored");
        }
    }
}

/// A yes must name what was shown, a recipient that the entry declares, and fields that make sense.
fn sound(entry: &Entry, rules: &Rules, decision: &Decision, fields: FieldSet) -> Result<(), GateError> {
    let key = || decision.entry.clone();
    // gate-check: shown-notice
    if Notice::of(entry, &decision.shown.language).hash != decision.shown.hash {
        return Err(GateError::StaleNotice(key()));
    }
    // gate-check: decided-recipient
    if let To::One(to) = &decision.to
        && !rules.entry(&decision.entry).is_some_and(|rules| rules.declares(to))
    {
        return Err(GateError::NotARecipient { entry: key(), to: to.clone() });
    }
    let wrong = fields.minus(entry.field_set()).union(entry.required().minus(fields));
    // gate-check: decided-fields
    if !wrong.is_empty() {
        return Err(GateError::WrongFields { entry: key(), fields: wrong });
    }
    // gate-check: past-end
    if let Choice::Until(end) = decision.choice
        && end <= Timestamp::now()
    {
        return Err(GateError::PastEnd(end));
    }
    Ok(())
}
