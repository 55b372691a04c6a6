//! The hub's side of statement, consents, prompts and ledger.

use accord_consent::{Choice, ConsentId, ConsentState, Decision, Query, RecipientId, Refusal, To};
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};

use super::hub::Hub;
use super::prompts::Asked;
use super::{house, view};
use crate::api::error::{Answer, Failure};
use crate::api::types as api;

const LATELY: usize = 5;
const LANGUAGE: &str = "en";

impl Hub {
    pub fn statement_as(&self, format: &str, language: &str) -> Answer<(&'static str, String)> {
        let statement = self.gate.statement();
        house::render(&statement, format, language)
            .ok_or_else(|| Failure::bad_request("The statement is there as `json`, `md`, `html` and `jsonld`."))
    }

    pub fn entries(&self) -> Answer<api::Entries> {
        let statement = self.gate.statement();
        let entries = statement.entries.iter().map(|entry| self.entry_view(entry)).collect::<Answer<_>>()?;
        let statement = api::StatementInfo {
            title: statement.title.clone(),
            version: statement.version.clone(),
            publisher: statement.publisher.name.clone(),
        };
        Ok(api::Entries { statement, entries })
    }

    fn entry_view(&self, entry: &accord_statement::Entry) -> Answer<api::Entry> {
        let statement = self.gate.statement();
        let consents = self.gate.consents();
        let consents = consents
            .iter()
            .filter(|consent| consent.entry == entry.key)
            .map(|consent| view::consent(consent, &statement, |id| self.device_name(id)))
            .collect();
        let query = Query { entry: Some(entry.key.clone()), limit: Some(LATELY * 4), ..Query::default() };
        let lately = self.gate.ledger().list(&query)?;
        let lately = lately.iter().filter(|record| view::is_sharing(record.public.kind)).take(LATELY);
        Ok(view::entry(entry, consents, lately.map(|record| self.record_view(record)).collect()))
    }

    pub fn consents(&self) -> Vec<api::Consent> {
        let statement = self.gate.statement();
        let mut consents = self.gate.consents();
        consents.sort_by_key(|consent| std::cmp::Reverse(consent.id));
        consents.iter().map(|consent| view::consent(consent, &statement, |id| self.device_name(id))).collect()
    }

    /// The owner decides. Refused by the configuration file stays refused.
    pub fn decide(&self, wanted: &api::Decide) -> Answer<api::Consent> {
        let entry: EntryKey = wanted.entry.parse().map_err(|_| self.no_entry(&wanted.entry))?;
        let to = match wanted.to.as_deref() {
            None | Some("any") => To::Any,
            Some(to) => To::One(self.recipient(to)?),
        };
        let choice = match (wanted.choice, wanted.until) {
            (api::Choice::Always, None) => Choice::Always,
            (api::Choice::Once, None) => Choice::Once,
            (api::Choice::Never, None) => Choice::Never,
            (api::Choice::Until, Some(end)) => Choice::Until(end),
            (api::Choice::Until, None) => return Err(Failure::bad_request("`until` needs a date.")),
            (_, Some(_)) => return Err(Failure::bad_request("A date goes with the choice `until` only.")),
        };
        let fields = wanted.fields.as_ref().map(|fields| FieldSet::from_iter(fields.iter().copied()));
        let surface = wanted.surface.as_deref().unwrap_or("web");
        self.decide_as(entry, to, choice, fields, surface)
    }

    /// Records what the owner decided after seeing the entry's notice on `surface`.
    pub fn decide_as(
        &self,
        entry: EntryKey,
        to: To,
        choice: Choice,
        fields: Option<FieldSet>,
        surface: &str,
    ) -> Answer<api::Consent> {
        if choice != Choice::Never && self.config().refuse.contains(&entry) {
            return Err(Failure::refused(format!(
                "The configuration file refuses `{entry}`; remove it from `refuse` in {} first.",
                self.state.config_file().display()
            )));
        }
        let known = ["web", "cli", "phone", "desktop", "config"];
        let surface = known.into_iter().find(|known| *known == surface).unwrap_or("other");
        let shown = self.gate.notice(&entry, LANGUAGE)?.shown(surface);
        let decision = Decision { entry, to, choice, fields, shown };
        let consent = self.gate.decide(decision)?;
        Ok(view::consent(&consent, &self.gate.statement(), |id| self.device_name(id)))
    }

    pub fn withdraw(&self, id: ConsentId) -> Answer<()> {
        self.gate.withdraw(id)?;
        Ok(())
    }

    pub fn receipts(&self) -> Answer<serde_json::Value> {
        Ok(self.gate.receipts())
    }

    /// What the owner's word says: `network:lan`, `device:<id>`, `host:…`, or a device's name or id.
    pub fn recipient(&self, text: &str) -> Answer<RecipientId> {
        if let Some(device) = text.strip_prefix("device:") {
            let id = DeviceId::new(device).map_err(|error| Failure::bad_request(error.to_string()))?;
            return Ok(RecipientId::device(&id));
        }
        match text.parse::<RecipientId>() {
            Ok(recipient) => Ok(recipient),
            Err(_) => Ok(RecipientId::device(&self.resolve(text)?)),
        }
    }

    /// Something waits for the owner's decision: raises the prompt, or finds the one that is open.
    pub fn ask(&self, entry: &EntryKey, to: &RecipientId, because: String) -> Answer<api::Prompt> {
        self.ask_for(entry, to, because, None)
    }

    fn ask_for(
        &self,
        entry: &EntryKey,
        to: &RecipientId,
        because: String,
        fields: Option<FieldSet>,
    ) -> Answer<api::Prompt> {
        let (asked, gone) = self.prompts.ask(entry.clone(), to.clone(), because, fields);
        for id in gone {
            self.events.tell(api::Event::PromptGone { id });
        }
        let prompt = self.prompt_view(&asked)?;
        self.events.tell(api::Event::Prompt(Box::new(prompt.clone())));
        Ok(prompt)
    }

    /// Why something is asked, when only the gate saw it.
    pub fn because(&self, entry: &EntryKey, to: &RecipientId, scenario: &str) -> String {
        let to = view::recipient_name(to.as_str(), |id| self.device_name(id));
        match (entry.as_str(), scenario) {
            ("files/send", _) => format!("Send to {to}"),
            ("files/receive", _) => format!("Answer {to}, which sends you something"),
            ("link/connection", _) => format!("Connect with {to}"),
            ("notifications/mirror", _) => format!("Show this computer's notifications on {to}"),
            ("notifications/answer", _) => format!("Dismiss and answer notifications of {to} from here"),
            ("clipboard/share", _) => format!("Share the clipboard with {to}"),
            _ => format!("{}, for {to}", view::title(&self.gate.statement(), entry)),
        }
    }

    /// Tells the UIs how a consent stands now.
    pub fn tell_consent(&self, entry: &EntryKey, to: &To) {
        let statement = self.gate.statement();
        let consents = self.gate.consents();
        if let Some(consent) = consents.iter().rev().find(|consent| consent.entry == *entry && consent.to == *to) {
            let view = view::consent(consent, &statement, |id| self.device_name(id));
            self.events.tell(api::Event::Consent(view));
        }
    }

    /// The answer to a call that the gate would not let through: a prompt where the owner can decide,
    /// a plain refusal where the owner already did.
    pub fn not_let_out(&self, refusal: Refusal, to: &RecipientId, because: String) -> Failure {
        let entry = match &refusal {
            Refusal::Undecided { entry, .. } | Refusal::Lapsed { entry, .. } | Refusal::Expired { entry, .. } => entry,
            Refusal::Withdrawn(entry) => entry,
            _ => return Failure::refused(refusal.to_string()),
        };
        match self.ask(entry, to, because) {
            Ok(prompt) => Failure::consent_needed(prompt),
            Err(failure) => failure,
        }
    }

    /// The same for what the owner does just now and of which it is known what it needs: only that is asked for, and asked
    /// for in addition where less was agreed to.
    pub fn not_let_out_with(&self, refusal: Refusal, to: &RecipientId, needs: FieldSet, because: String) -> Failure {
        let (entry, granted) = match &refusal {
            Refusal::Undecided { entry, .. } | Refusal::Lapsed { entry, .. } | Refusal::Expired { entry, .. } => {
                (entry, FieldSet::EMPTY)
            }
            Refusal::Withdrawn(entry) => (entry, FieldSet::EMPTY),
            Refusal::FieldsNotGranted { entry, .. } => match self.granted(entry, to) {
                Some(granted) => (entry, granted),
                None => return Failure::refused(refusal.to_string()),
            },
            _ => return Failure::refused(refusal.to_string()),
        };
        let statement = self.gate.statement();
        let Some(described) = statement.entry(entry) else { return Failure::refused(refusal.to_string()) };
        let fields = needs.union(granted).union(described.required());
        if !fields.is_subset(described.field_set()) {
            return Failure::refused(refusal.to_string());
        }
        match self.ask_for(entry, to, because, Some(fields)) {
            Ok(prompt) => Failure::consent_needed(prompt),
            Err(failure) => failure,
        }
    }

    /// What the decision lets out that counts for this recipient, while it does.
    fn granted(&self, entry: &EntryKey, to: &RecipientId) -> Option<FieldSet> {
        let consents = self.gate.consents();
        let of = |whom: &To| consents.iter().rfind(|one| one.entry == *entry && one.to == *whom);
        let counts = of(&To::One(to.clone())).or_else(|| of(&To::Any))?;
        (counts.state == ConsentState::Given).then_some(counts.fields)
    }

    pub fn prompts(&self) -> Answer<Vec<api::Prompt>> {
        self.prompts.list().iter().map(|asked| self.prompt_view(asked)).collect()
    }

    fn prompt_view(&self, asked: &Asked) -> Answer<api::Prompt> {
        let statement = self.gate.statement();
        let entry = statement.entry(&asked.entry).ok_or_else(|| self.no_entry(asked.entry.as_str()))?;
        let difference = self.gate.consents().into_iter().rev().find_map(|consent| match consent.state {
            ConsentState::Lapsed(difference) if consent.entry == asked.entry => Some(difference),
            _ => None,
        });
        let granted = asked.fields.and_then(|fields| Some((fields, self.granted(&asked.entry, &asked.to)?)));
        let more = granted.map(|(fields, granted)| fields.minus(granted)).filter(|more| !more.is_empty());
        let labels = |more: FieldSet| more.iter().map(FieldCode::label).collect::<Vec<_>>().join(", ");
        let difference = difference.or_else(|| more.map(|more| format!("also shares {}", labels(more))));
        Ok(api::Prompt {
            id: asked.id.clone(),
            fields: asked.fields.map(|fields| fields.iter().collect()),
            adds: more.is_some(),
            entry: self.entry_view(entry)?,
            to: asked.to.to_string(),
            to_name: view::recipient_name(asked.to.as_str(), |id| self.device_name(id)),
            because: asked.because.clone(),
            difference,
            asked: asked.asked,
        })
    }

    pub fn answer_prompt(&self, id: &str, answer: api::AnswerPrompt) -> Answer<api::Consent> {
        let asked = self.prompts.get(id).ok_or_else(no_prompt)?;
        let decision = api::Decide {
            entry: asked.entry.to_string(),
            to: Some(asked.to.to_string()),
            choice: answer.choice,
            until: answer.until,
            fields: answer.fields.or_else(|| asked.fields.map(|fields| fields.iter().collect())),
            surface: answer.surface,
        };
        self.decide(&decision)
    }

    pub fn dismiss_prompt(&self, id: &str) -> Answer<()> {
        if !self.prompts.dismiss(id) {
            return Err(no_prompt());
        }
        self.events.tell(api::Event::PromptGone { id: id.to_owned() });
        Ok(())
    }

    pub fn record_view(&self, record: &accord_consent::Record) -> api::Record {
        view::record(record, |id| self.device_name(id))
    }

    pub fn ledger_page(&self, query: &Query, limit: usize) -> Answer<api::LedgerPage> {
        let ledger = self.gate.ledger();
        let records = ledger.list(query)?;
        let next = records.last().filter(|last| records.len() == limit && last.seq > 0).map(|last| last.seq);
        Ok(api::LedgerPage {
            head: view::head(&ledger.head()?),
            records: records.iter().map(|record| self.record_view(record)).collect(),
            next,
        })
    }

    pub fn ledger_record(&self, seq: u64) -> Answer<api::Record> {
        Ok(self.record_view(&self.gate.ledger().get(seq)?))
    }

    pub fn verify_ledger(&self) -> Answer<api::Verification> {
        let key = self.identity.statement_public();
        let report = accord_consent::ledger::verify(self.gate.ledger().path(), Some(&key))?;
        Ok(api::Verification {
            ok: report.ok(),
            records: report.records,
            checkpoints: report.checkpoints,
            witnesses: report.witnesses,
            root: report.root.to_string(),
            problems: report.problems.iter().map(ToString::to_string).collect(),
        })
    }

    fn no_entry(&self, key: &str) -> Failure {
        Failure::not_found(format!(
            "The statement has no entry `{}`; `accord statement show` lists them.",
            accord_model::text::for_screen(key, 60)
        ))
    }
}

fn no_prompt() -> Failure {
    Failure::not_found("That question is answered or forgotten.")
}
