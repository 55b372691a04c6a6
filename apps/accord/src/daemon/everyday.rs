//! The hub's side of what devices do with one another every day: players, batteries, commands, ringing, a word, who is here.

use std::sync::Arc;
use std::time::Duration;

use accord_battery::{Battery, Supply};
use accord_browse::Browse;
use accord_commands::{Commands, OwnCommand};
use accord_control::Control;
use accord_everyday::{Pings, Presence, Ring};
use accord_identity::Peers;
use accord_input::Input;
use accord_media::{Bus, Media};
use accord_model::text::for_screen;
use accord_model::{DeviceId, Source, Timestamp};
use accord_people::People;
use accord_ports::remote::{Grants, Remote};
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
    pub(super) control: Control,
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
