//! What else a device needs to be of use, offered where the owner adds it: to be looked for, and to be told what to do. It is
//! shown with what it shares, granted only when the owner says so there, and what was refused before is not offered again.

use accord_consent::{Choice, Consent, ConsentState, RecipientId, To};
use accord_control::COMMAND;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};

use super::forms::Form;
use super::hub::Hub;
use super::{joining, view};
use crate::api::error::{Answer, Failure};
use crate::api::types as api;

/// Names of commands: all that a lamp is told. Texts and codes are asked about when there are any.
const TOLD: FieldSet = FieldSet::one(FieldCode::CommandName);

impl Hub {
    /// What is offered with a form.
    pub(super) fn form_offers(&self, form: &Form) -> Vec<api::Offer> {
        let search = needs(form).and_then(|entry| self.search_offer(&entry));
        search.into_iter().chain(self.control_offer(form.bridge, None)).collect()
    }

    /// That devices of this bridge are told what to do, where its own entry says already that they learn that.
    pub(super) fn control_offer(&self, bridge: &str, device: Option<&DeviceId>) -> Option<api::Offer> {
        let statement = self.gate.statement();
        let told = statement.entry(&self.entry_of(bridge)?)?.required();
        let command = EntryKey::new(COMMAND).ok()?;
        if !TOLD.is_subset(told) || self.config().refuse.contains(&command) {
            return None;
        }
        let consents = self.gate.consents();
        let of = |to: To| consents.iter().filter(|one| one.entry == command && one.to == to).max_by_key(|one| one.id);
        let own = device.and_then(|id| of(To::One(RecipientId::device(id))));
        let any = of(To::Any);
        let refused = |one: Option<&Consent>| one.is_some_and(|one| one.state == ConsentState::Refused);
        // What was given for the device alone ends when it is added anew, and then it counts before what holds for all.
        let covered =
            own.is_none() && any.is_some_and(|one| one.state == ConsentState::Given && TOLD.is_subset(one.fields));
        if covered || refused(own) || (own.is_none() && refused(any)) {
            return None;
        }
        let fields = statement.entry(&command).map(view::fields)?;
        Some(api::Offer {
            entry: command.to_string(),
            title: "Control it from here".to_owned(),
            says: "It gets the commands that you give: their names, numbers and switches. Texts and codes are asked about when there are any.".to_owned(),
            fields: fields.into_iter().filter(|field| TOLD.contains(field.code)).collect(),
            needed: false,
        })
    }

    /// That devices are looked for, as long as that is not agreed to.
    fn search_offer(&self, entry: &EntryKey) -> Option<api::Offer> {
        let statement = self.gate.statement();
        let described = statement.entry(entry)?;
        if self.may_search(entry, described.required()).is_ok() || self.config().refuse.contains(entry) {
            return None;
        }
        let words = described.text.get("en")?;
        Some(api::Offer {
            entry: entry.to_string(),
            title: words.title.clone(),
            says: format!("{} can read: {}.", described.recipient.name, lower(&words.data)),
            fields: view::fields(described),
            needed: true,
        })
    }

    fn may_search(&self, entry: &EntryKey, fields: FieldSet) -> Result<(), accord_consent::Refusal> {
        self.gate.check(entry, &RecipientId::lan(), fields)
    }

    /// Before a form is filled in: what is added by it has to be looked for. Agreed to with the form, or asked about.
    pub(super) fn agree_to_search(&self, form: &Form, agrees: &[String], surface: &'static str) -> Answer<()> {
        let Some(entry) = needs(form) else { return Ok(()) };
        let statement = self.gate.statement();
        let required = statement.entry(&entry).map(|entry| entry.required()).unwrap_or_default();
        let Err(refusal) = self.may_search(&entry, required) else { return Ok(()) };
        if agrees.iter().any(|one| *one == entry.as_str()) {
            return self.decide_as(entry, To::Any, Choice::Always, None, surface).map(drop);
        }
        Err(self.not_let_out(refusal, &RecipientId::lan(), format!("Look for the {}", form.what)))
    }

    /// Once it is added: it may be told what to do, if that is to be agreed to at all.
    pub(super) fn agree_to_control(&self, bridge: &str, device: &DeviceId, surface: &'static str) -> Answer<()> {
        if self.control_offer(bridge, Some(device)).is_none() {
            return Ok(());
        }
        let command = EntryKey::new(COMMAND).map_err(|error| Failure::internal("No such entry", error))?;
        let to = To::One(RecipientId::device(device));
        self.decide_as(command, to, Choice::Always, Some(TOLD), surface).map(drop)
    }
}

/// Whether the owner agrees to control. What else may be agreed to here is what a form needs.
pub fn agrees_to_control(agrees: &[String], form: Option<&Form>) -> Answer<bool> {
    let needed = form.and_then(needs);
    let is_known = |one: &String| one == COMMAND || needed.as_ref().is_some_and(|entry| entry.as_str() == one);
    if let Some(other) = agrees.iter().find(|one| !is_known(one)) {
        let other = accord_model::text::for_screen(other, 60);
        return Err(Failure::bad_request(format!("`{other}` is not offered here; decide about it by itself.")));
    }
    Ok(agrees.iter().any(|one| one == COMMAND))
}

/// The entry under which what is added by a form is looked for.
fn needs(form: &Form) -> Option<EntryKey> {
    let of_form = |(bridge, way, _): &&(&str, &str, &str)| *bridge == form.bridge && *way == form.way;
    joining::NEEDS.iter().find(of_form).and_then(|(.., entry)| EntryKey::new(*entry).ok())
}

fn lower(text: &str) -> String {
    let mut letters = text.trim().chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
