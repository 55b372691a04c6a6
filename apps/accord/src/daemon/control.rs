//! Devices told what to do, and looked at: each face in turn, as far as the owner agreed to that for it, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use accord_control::{COMMAND, Control, ControlError, Word};
use accord_home::history::is_house_service;
use accord_model::text::for_screen;
use accord_model::value::CONFIRM_WITHIN;
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldSet, Outputs, Target, Verb};
use accord_ports::picture::{self, Picture};
use accord_registry::{Job, Thing, goes_on};

use super::house;
use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::types as api;

impl Hub {
    /// Tells a device, or this machine itself, what to do; `from` says where its owner wished it.
    pub async fn call_device(self: &Arc<Self>, id: &DeviceId, call: api::Call, from: &str) -> Answer<Outputs> {
        let control = &self.everyday()?.control;
        let api::Call { service, instance, verb, confirmed } = call;
        let target = Target { service, instance };
        if id.as_str() == house::OWN {
            return Ok(control.call_own(id, target, verb, Word::confirmed(confirmed)).await?);
        }
        let repeats = matches!(verb, Verb::Read { .. }) || matches!(target.service.as_str(), "media" | "volume");
        let mut failed = None;
        // Another face of it is tried when this one is not there; when it merely says nothing, only for what does no harm twice.
        for face in self.ways(id, Job::Service(&target.service)) {
            match self.call_face(&face, target.clone(), verb.clone(), confirmed, from).await? {
                Err(error) if goes_on(&error) && (repeats || matches!(error, CallError::Unreachable(_))) => {
                    failed = failed.or(Some(error));
                }
                outcome => return outcome.map_err(|error| self.not_done(id, error)),
            }
        }
        let failed = failed.unwrap_or_else(|| CallError::Unreachable("none of its faces is here".to_owned()));
        Err(self.not_done(id, failed))
    }

    /// Tells one face what to do, as far as the owner agreed to that for this face.
    async fn call_face(
        self: &Arc<Self>,
        id: &DeviceId,
        target: Target,
        verb: Verb,
        confirmed: bool,
        from: &str,
    ) -> Answer<Result<Outputs, CallError>> {
        let control = &self.everyday()?.control;
        let name = self.may_be_told(id)?;
        if target.service == "input" {
            return self.type_there(id, &name, &verb).await.map(|()| Ok(Outputs::new()));
        }
        let because = because(&name, &target, &verb);
        let words = format!("{}, {from}", in_ledger(&name, &target, &verb));
        let written = written(&target, &verb);
        let word = match (confirmed, self.note(id).trusted_effects) {
            (true, _) => Word::Confirmed,
            (false, true) => Word::Trusted,
            (false, false) => Word::None,
        };
        let prepared = control.prepare(id, target, verb, word).map_err(|error| match error {
            ControlError::Call(error) => self.not_done(id, error),
            error @ ControlError::NotConfirmed { .. } => error.into(),
        })?;
        let prepared = prepared.called(&words);
        self.may_control(id, prepared.fields(), because)?;
        let outcome = control.carry_out(prepared).await;
        if let Some((target, property)) = written.filter(|_| outcome.is_ok()) {
            self.tell_write(id.clone(), target, property);
        }
        Ok(outcome)
    }

    /// What a face is called, unless its owner does not want it to be spoken to.
    fn may_be_told(&self, id: &DeviceId) -> Answer<String> {
        let known = self.registry.device(id).ok_or_else(|| super::devices::no_device(id.as_str()))?;
        let name = self.device_name(id.as_str()).unwrap_or_else(|| id.to_string());
        let can_pair = known.bridge == "link" || self.is_foreign(id);
        match self.trust_of(&known) {
            api::Trust::Blocked => Err(Failure::refused(format!("{name} is blocked."))),
            _ if known.device.via.as_ref().is_some_and(|via| self.note(via).blocked) => {
                Err(Failure::refused(format!("What {name} belongs to is blocked.")))
            }
            api::Trust::Seen if can_pair => {
                Err(Failure::conflict(format!("{name} is not paired; pair with it first.")))
            }
            _ => Ok(name),
        }
    }

    /// Whether the owner agreed that a face is told what reveals these; else the owner is asked.
    fn may_control(&self, id: &DeviceId, fields: FieldSet, because: String) -> Answer<()> {
        let entry = EntryKey::new(COMMAND).map_err(|error| Failure::internal("No such entry", error))?;
        let to = self.registry.recipient(id);
        self.gate.check(&entry, &to, fields).map_err(|refusal| self.not_let_out_with(refusal, &to, fields, because))
    }

    /// What a device has to be looked at, as far as the owner agreed to control it. Another face is tried when one is not there.
    pub async fn look_at(&self, id: &DeviceId, instance: u16) -> Answer<Picture> {
        let control = &self.everyday()?.control;
        let mut failed = None;
        for face in self.ways(id, Job::Service(picture::SERVICE)) {
            let name = self.may_be_told(&face)?;
            self.may_control(&face, Control::looking(), format!("Look at what {name} shows"))?;
            match control.look(&face, instance).await {
                Err(error) if goes_on(&error) => failed = failed.or(Some(error)),
                outcome => return outcome.map_err(|error| self.not_done(id, error)),
            }
        }
        let failed = failed.unwrap_or_else(|| CallError::Unreachable("none of its faces is here".to_owned()));
        Err(self.not_done(id, failed))
    }

    /// Tells a face what somebody wishes who sees it elsewhere, as far as the owner agreed to control it, and without asking:
    /// whoever may speak there would make the owner be asked. What opens something is done when the owner said so for them.
    pub(super) async fn tell_for_others(
        self: &Arc<Self>,
        id: &DeviceId,
        target: Target,
        verb: Verb,
        opens: bool,
        place: &DeviceId,
    ) -> Result<(), CallError> {
        let refused = |why: &dyn std::fmt::Display| CallError::Refused(why.to_string());
        let control = &self.everyday().map_err(|_| refused(&"the hub is starting"))?.control;
        let word = if opens { Word::Trusted } else { Word::None };
        let plain = |error: ControlError| match error {
            ControlError::Call(error) => error,
            error @ ControlError::NotConfirmed { .. } => refused(&error),
        };
        if id.as_str() == house::OWN {
            return control.call_own(id, target, verb, word).await.map(drop).map_err(plain);
        }
        let known = self.registry.device(id).ok_or_else(|| CallError::Unreachable("it is not here".into()))?;
        if self.trust_of(&known) != api::Trust::Paired
            || known.device.via.as_ref().is_some_and(|via| self.note(via).blocked)
        {
            return Err(refused(&"it is not added here, or blocked"));
        }
        let written = written(&target, &verb);
        let name = |id: &DeviceId| self.device_name(id.as_str()).unwrap_or_else(|| id.to_string());
        let words = format!("{}, by {}", in_ledger(&name(id), &target, &verb), name(place));
        let prepared = control.prepare(id, target, verb, word).map_err(plain)?.called(&words);
        let entry = EntryKey::new(COMMAND).map_err(|error| refused(&error))?;
        let to = self.registry.recipient(id);
        self.gate
            .check(&entry, &to, prepared.fields())
            .map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let outcome = control.carry_out(prepared).await;
        if let Some((target, property)) = written.filter(|_| outcome.is_ok()) {
            self.tell_write(id.clone(), target, property);
        }
        outcome.map(drop)
    }

    /// What a device did not do, with the name that its owner knows.
    fn not_done(&self, id: &DeviceId, error: CallError) -> Failure {
        let name = self.device_name(id.as_str()).unwrap_or_else(|| id.to_string());
        let said = error.to_string();
        let message = match (said.strip_prefix("the device "), said.strip_prefix("the other side ")) {
            (Some(rest), _) | (_, Some(rest)) => format!("{name} {rest}"),
            _ => format!("{name}: {said}"),
        };
        Failure::from(error).saying(message)
    }

    /// The UIs are told that a write waits, and once more when it counts as not confirmed. Its confirmation is told by the
    /// values that the device reports.
    fn tell_write(self: &Arc<Self>, id: DeviceId, target: Target, property: String) {
        let hub = self.clone();
        let tell = move || match is_house_service(&target.service) {
            true => hub.tell_written(&id, &target, &property),
            false => hub.events.tell_as_it_is(|| Some(api::Event::Device(Box::new(hub.device(&id).ok()?)))),
        };
        tell();
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(CONFIRM_WITHIN + Duration::from_millis(100)) => tell(),
                () = stop.cancelled() => {}
            }
        });
    }

    /// What became of the last writes to a device.
    pub fn writes(&self, thing: &Thing) -> Vec<api::Written> {
        let mut writes = Vec::new();
        for service in thing.device.services.iter().filter(|service| service.properties.iter().any(|one| one.write)) {
            let face = self.face_for(&thing.device.id, &service.id);
            let target = Target { service: service.id.clone(), instance: service.instance };
            for property in service.properties.iter().filter(|property| property.write) {
                let state = self.registry.write_state(&face, &target, &property.id);
                writes.extend(state.map(|state| api::Written {
                    service: service.id.clone(),
                    instance: service.instance,
                    property: property.id.clone(),
                    state,
                }));
            }
        }
        writes
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotConfirmed { .. } => Self::confirm_needed(error.to_string()),
            ControlError::Call(error) => error.into(),
        }
    }
}

/// What a verb sets, if it sets something.
fn written(target: &Target, verb: &Verb) -> Option<(Target, String)> {
    let Verb::Write { property, .. } = verb else { return None };
    Some((target.clone(), property.clone()))
}

/// What a call is for, in the owner's words.
fn because(device: &str, target: &Target, verb: &Verb) -> String {
    let shown = |text: &str| for_screen(text, 40);
    match verb {
        Verb::Read { .. } => format!("Read {} of {device}", shown(&target.service)),
        Verb::Write { property, data: Data::Bool(on) } if property == "on" => {
            format!("Switch {device} {}", if *on { "on" } else { "off" })
        }
        Verb::Write { property, .. } => format!("Set the {} of {device}", shown(&property.replace('-', " "))),
        Verb::Act { action, .. } if action == "press" => format!("Press {device}"),
        Verb::Act { action, .. } => format!("Tell {device} to {}", shown(&action.replace('-', " "))),
    }
}

/// The same with the service in any case, as the ledger keeps it of what opens or unlocks something.
fn in_ledger(device: &str, target: &Target, verb: &Verb) -> String {
    let because = because(device, target, verb);
    match verb {
        Verb::Write { .. } => format!("{because} ({})", for_screen(&target.service, 40)),
        _ => because,
    }
}
