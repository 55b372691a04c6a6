//! The hub's side of what devices do with one another every day: controlling them, players, batteries, commands, ringing,
//! a word, who is here.

use std::sync::Arc;
use std::time::Duration;

use accord_battery::{Battery, Supply};
use accord_browse::Browse;
use accord_commands::{Commands, OwnCommand};
use accord_control::{COMMAND, Control, ControlError, Word};
use accord_everyday::{Pings, Presence, Ring};
use accord_home::history::is_house_service;
use accord_identity::Peers;
use accord_input::Input;
use accord_media::{Bus, Media};
use accord_model::text::for_screen;
use accord_model::value::CONFIRM_WITHIN;
use accord_model::{CallError, Data, DeviceId, EntryKey, Outputs, Source, Target, Timestamp, Verb};
use accord_people::People;
use accord_ports::remote::{Grants, Remote};
use accord_registry::{Job, Thing, goes_on};
use anyhow::{Context, Result};
use tokio_util::task::TaskTracker;

use super::house;
use super::hub::Hub;
use super::notes::Notes;
use super::notify::{Note, Notifier};
use super::watch::follow;
use crate::api::error::{Answer, Failure};
use crate::api::types as api;

/// The features, from when the hub runs.
pub struct Everyday {
    pub(super) browse: Browse,
    control: Control,
    media: Media,
    battery: Battery,
    commands: Commands,
    pub(super) input: Input,
    pub(super) people: People,
    ring: Ring,
    pings: Pings,
    presence: Presence,
}

/// What the owner allowed paired devices to do with this machine. This machine itself may do everything but type: a browser
/// that somebody else got hold of must not become its keyboard.
struct Allowed {
    peers: Arc<Peers>,
    notes: Arc<Notes>,
}

impl Grants for Allowed {
    fn allows(&self, device: &DeviceId, what: Remote) -> bool {
        if device.as_str() == house::OWN {
            return what != Remote::Input;
        }
        let note = self.notes.get(device);
        if note.blocked || self.peers.get(device).is_some_and(|peer| peer.blocked) {
            return false;
        }
        match what {
            Remote::Media => note.remote.media,
            Remote::Ring => note.remote.ring,
            Remote::Commands => note.remote.commands,
            Remote::Input => note.remote.input,
        }
    }
}

impl Everyday {
    /// Ends what shows something of this machine, and lets go of the gate.
    pub async fn stop(&self) {
        tokio::join!(self.media.stop(), self.battery.stop(), self.commands.stop(), self.input.stop());
    }

    fn start(hub: &Hub) -> Result<Self> {
        let (gate, registry) = (&hub.gate, &hub.registry);
        let grants = Arc::new(Allowed { peers: hub.peers.clone(), notes: hub.notes.clone() });
        let commands = Commands::new(&gate.bind("commands"), registry, grants.clone())?;
        commands.set(&hub.config().commands).with_context(|| {
            format!("`commands` in {} cannot be used; correct it", hub.state.config_file().display())
        })?;
        accord_everyday::serve_shown(registry);
        Ok(Self {
            browse: Browse::new(&gate.bind("browse"), registry)?,
            control: Control::new(&gate.bind("control"), registry)?,
            media: Media::new(&gate.bind("media"), registry, grants.clone(), Bus::Session)?,
            battery: Battery::new(&gate.bind("battery"), registry, Supply::System)?,
            commands,
            input: Input::new(&gate.bind("input"), registry, grants.clone(), accord_input::Place::Session)?,
            people: People::new(&gate.bind("people"), registry)?,
            ring: Ring::new(registry, grants, hub.state.data()),
            pings: Pings::new(registry),
            presence: Presence::new(registry),
        })
    }
}

/// Starts the features, and tells the desktop what is worth a word.
pub fn start(hub: &Arc<Hub>, notifier: &Notifier, tracker: &TaskTracker) -> Result<()> {
    let everyday = Everyday::start(hub)?;
    let show = {
        let (hub, notifier) = (hub.clone(), notifier.clone());
        move |device: &DeviceId, what: &str, title: fn(&str) -> String, body: String| {
            let name = hub.device_name(device.as_str()).unwrap_or_else(|| "A device".to_owned());
            // Each is a notification of its own: the same word twice is two words.
            let about = format!("{what} {device} {}", Timestamp::now());
            notifier.show(Note { about, title: title(&name), body, offer: None });
        }
    };
    follow(hub.clone(), tracker, everyday.battery.alerts(), {
        let show = show.clone();
        move |alert: accord_battery::alerts::Alert| {
            let body = said(alert.percent, alert.seen);
            match alert.charged {
                true => show(&alert.device, "battery", |name| format!("{name} is charged"), body),
                false => show(&alert.device, "battery", |name| format!("{name}: the battery is low"), body),
            }
        }
    });
    follow(hub.clone(), tracker, everyday.ring.events(), {
        let show = show.clone();
        move |rang: accord_everyday::Rang| {
            show(&rang.by, "ring", |name| format!("{name} looks for this device"), "Here it is.".to_owned());
        }
    });
    follow(hub.clone(), tracker, everyday.pings.events(), {
        let show = show.clone();
        move |pinged: accord_everyday::Pinged| {
            let text = if pinged.text.is_empty() { "Ping!".to_owned() } else { pinged.text };
            show(&pinged.by, "ping", |name| format!("From {name}"), text);
        }
    });
    follow(hub.clone(), tracker, everyday.input.events(), {
        let (show, hub) = (show.clone(), hub.clone());
        move |used: accord_input::Used| {
            if used.began {
                let body = "It moves the pointer and types here, as you allowed it to.".to_owned();
                show(&used.device, "input", |name| format!("{name} uses this computer"), body);
            }
            hub.tell_input(&used);
        }
    });
    follow(hub.clone(), tracker, everyday.commands.events(), move |ran: accord_commands::Ran| {
        show(&ran.device, "run", |name| format!("{name} had a command run"), for_screen(&ran.name, 64));
    });
    let _ = hub.everyday.set(everyday);
    super::shown::begin(hub);
    Ok(())
}

/// A battery's word with its age, once that matters.
fn said(percent: i64, seen: Timestamp) -> String {
    let age = Duration::try_from(Timestamp::now().duration_since(seen)).unwrap_or_default();
    match age.as_secs() / 60 {
        0 => format!("{percent} %"),
        1 => format!("{percent} %, as it said a minute ago"),
        minutes => format!("{percent} %, as it said {minutes} minutes ago"),
    }
}

impl Hub {
    pub(super) fn everyday(&self) -> Answer<&Everyday> {
        self.everyday.get().ok_or_else(|| Failure::unavailable("The hub is starting; try again in a moment."))
    }

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
        let known = self.registry.device(id).ok_or_else(|| super::devices::no_device(id.as_str()))?;
        let name = self.device_name(id.as_str()).unwrap_or_else(|| id.to_string());
        let can_pair = known.bridge == "link" || self.is_foreign(id);
        match self.trust_of(&known) {
            api::Trust::Blocked => return Err(Failure::refused(format!("{name} is blocked."))),
            _ if known.device.via.as_ref().is_some_and(|via| self.note(via).blocked) => {
                return Err(Failure::refused(format!("What {name} belongs to is blocked.")));
            }
            api::Trust::Seen if can_pair => {
                return Err(Failure::conflict(format!("{name} is not paired; pair with it first.")));
            }
            _ => {}
        }
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
        let entry = EntryKey::new(COMMAND).map_err(|error| Failure::internal("No such entry", error))?;
        let to = self.registry.recipient(id);
        let fields = prepared.fields();
        self.gate.check(&entry, &to, fields).map_err(|refusal| self.not_let_out_with(refusal, &to, fields, because))?;
        let outcome = control.carry_out(prepared).await;
        if let Some((target, property)) = written.filter(|_| outcome.is_ok()) {
            self.tell_write(id.clone(), target, property);
        }
        Ok(outcome)
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

    pub fn commands(&self) -> api::OwnCommands {
        let of = |command: OwnCommand| api::OwnCommand { name: command.name, argv: command.argv };
        api::OwnCommands { commands: self.config().commands.into_iter().map(of).collect() }
    }

    /// Keeps the owner's list of commands and offers it at once.
    pub fn change_commands(&self, wanted: api::OwnCommands) -> Answer<api::OwnCommands> {
        let of = |command: api::OwnCommand| OwnCommand { name: command.name.trim().to_owned(), argv: command.argv };
        let list: Vec<OwnCommand> = wanted.commands.into_iter().map(of).collect();
        let bad = |error: accord_commands::BadList| Failure::bad_request(error.to_string());
        Commands::check(&list).map_err(bad)?;
        self.change_config(|config| config.commands = list.clone())?;
        self.everyday()?.commands.set(&list).map_err(bad)?;
        Ok(self.commands())
    }

    /// Paired devices and whether they are here.
    pub fn presence(&self) -> Answer<api::Presences> {
        let presence = &self.everyday()?.presence;
        let paired = self.devices().into_iter().filter(|device| device.trust == api::Trust::Paired);
        let devices = paired.filter_map(|device| {
            // It is here while one of its faces is.
            let faces = device.faces.iter().filter_map(|face| Some(presence.of(&DeviceId::new(&face.id).ok()?)));
            let present = faces.max_by_key(|present| (present.since.is_some(), present.last_seen))?;
            Some(api::Presence {
                here: present.since.is_some(),
                since: present.since,
                last_seen: present.last_seen.or(device.last_seen).or_else(|| heard_last(&device)),
                device: device.id,
                name: device.name,
                kind: device.kind,
            })
        });
        Ok(api::Presences { devices: devices.collect() })
    }
}

/// When a device that is away since before this start said something last, as far as that is remembered.
fn heard_last(device: &api::Device) -> Option<Timestamp> {
    let said =
        device.services.iter().filter(|service| service.id != "pairing").flat_map(|service| service.values.values());
    said.filter(|value| value.source != Source::Assumed).map(|value| value.seen).max()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_may_do_nothing_with_this_machine_until_the_owner_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Arc::new(Notes::open(dir.path()).unwrap());
        let peers = Arc::new(Peers::open(&accord_store::Vault::new(dir.path(), &[7; 32])).unwrap());
        let allowed = Allowed { peers, notes: notes.clone() };
        let phone = DeviceId::new("phone").unwrap();
        let all = Remote::ALL;
        assert_eq!(all.map(|what| allowed.allows(&phone, what)), [false; 4]);
        let ring = api::DeviceChange { remote_ring: Some(true), ..Default::default() };
        notes.change(&phone, &ring).unwrap();
        assert_eq!(all.map(|what| allowed.allows(&phone, what)), [false, true, false, false]);
        let blocked = api::DeviceChange { blocked: Some(true), ..Default::default() };
        notes.change(&phone, &blocked).unwrap();
        assert_eq!(all.map(|what| allowed.allows(&phone, what)), [false; 4]);
        let own = DeviceId::new(house::OWN).unwrap();
        assert_eq!(all.map(|what| allowed.allows(&own, what)), [true, true, true, false], "nobody types by browser");
        notes.forget(&phone).unwrap();
        assert_eq!(all.map(|what| allowed.allows(&phone, what)), [false; 4]);
    }
}
