//! What features show to a device of our own services, kept so that it is known what the device may ask for. When it asks
//! again, the feature is asked first: its owner may have taken the consent back.

use std::collections::BTreeMap;

use accord_model::{CallError, Data, Inputs, Outputs, Target, text::for_screen};

use super::art;
use super::peer::MAX_INSTANCES;
use crate::core::Private;
use crate::core::packet::{Battery, Command, Commands, Lock, Mpris, Packet, RunCommand, Sink, SystemVolume};

/// What was shown: label and values, by service and instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shown(BTreeMap<(String, u16), Instance>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Instance {
    label: String,
    values: Inputs,
}

/// What is shown after this call, and what to say of it.
pub(super) fn show(shown: &Shown, action: &str, inputs: &Inputs) -> Result<(Shown, Vec<Packet>), CallError> {
    let bad = |what: &str| CallError::BadInput(format!("`{what}` is missing"));
    let service = inputs.get("service").and_then(Data::as_text).ok_or_else(|| bad("service"))?;
    let instance = inputs.get("instance").and_then(Data::as_int).unwrap_or(0);
    let instance = u16::try_from(instance).map_err(|_| bad("instance"))?;
    if !["battery", "media", "volume", "command", "screen-lock"].contains(&service) {
        return Err(CallError::Unsupported(format!("KDE Connect has no word for `{}`", for_screen(service, 40))));
    }
    let mut next = shown.clone();
    let key = (service.to_owned(), instance);
    let listed = match action {
        "show" => {
            let of_service = next.of(service).count();
            if of_service >= MAX_INSTANCES && !next.0.contains_key(&key) {
                return Err(CallError::Refused(format!("{MAX_INSTANCES} of `{service}` are shown already")));
            }
            let known = next.0.get(&key).map(|known| known.label.clone());
            let entry = next.0.entry(key).or_default();
            if let Some(label) = inputs.get("label").and_then(Data::as_text) {
                entry.label = for_screen(label, 100);
            }
            let values = inputs.iter().filter(|(id, _)| !["service", "instance", "label"].contains(&id.as_str()));
            entry.values.extend(values.map(|(id, data)| (id.clone(), data.clone())));
            known.as_deref() != Some(entry.label.as_str())
        }
        "gone" => next.0.remove(&key).is_some(),
        other => return Err(CallError::Unsupported(other.to_owned())),
    };
    let is_gone = action == "gone";
    let packets = match service {
        "battery" => vec![next.battery()],
        "screen-lock" => vec![next.lock()],
        "command" => vec![next.commands()],
        "volume" if listed || is_gone => vec![next.sinks_even_none()],
        "volume" => vec![next.sink(instance)],
        _ => vec![next.players_even_none().filter(|_| listed), next.player(instance)],
    };
    Ok((next, packets.into_iter().flatten().collect()))
}

/// What a device asks to be told once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    Battery,
    Players,
    Player(u16),
    Sinks,
    Commands,
    Lock,
}

impl Shown {
    /// The service that was shown and must be asked whether it is still told, and how it is now.
    pub fn target(&self, again: Again) -> Option<Target> {
        let (service, instance) = match again {
            Again::Battery => ("battery", None),
            Again::Players => ("media", None),
            Again::Player(instance) => ("media", Some(instance)),
            Again::Sinks => ("volume", None),
            Again::Commands => ("command", None),
            Again::Lock => ("screen-lock", None),
        };
        let instance = match instance {
            Some(instance) => self.0.contains_key(&(service.to_owned(), instance)).then_some(instance),
            None => self.of(service).next().map(|(instance, _)| instance),
        };
        Some(Target { service: service.to_owned(), instance: instance? })
    }
    /// How it is now.
    pub fn note(&mut self, target: &Target, values: Outputs) {
        if let Some(shown) = self.0.get_mut(&(target.service.clone(), target.instance)) {
            shown.values.extend(values);
        }
    }
    pub fn again(&self, again: Again) -> Option<Packet> {
        match again {
            Again::Battery => self.battery(),
            Again::Players => self.players(),
            Again::Player(instance) => self.player(instance),
            Again::Sinks => self.sinks(),
            Again::Commands => self.commands(),
            Again::Lock => self.lock(),
        }
    }
    /// What the device sees an instance under.
    pub fn label(&self, service: &str, instance: u16) -> Option<&str> {
        self.0.get(&(service.to_owned(), instance)).map(|shown| shown.label.as_str())
    }

    fn battery(&self) -> Option<Packet> {
        let battery = self.0.get(&("battery".to_owned(), 0))?;
        let current_charge =
            battery.values.get("percent").and_then(Data::as_number).map_or(-1, |percent| percent as i64);
        let is = |id: &str| battery.values.get(id).and_then(Data::as_bool).unwrap_or(false);
        let threshold_event = Some(i64::from(is("low")));
        Some(Battery { current_charge, is_charging: is("charging"), threshold_event, battery_quantity: Some(1) }.into())
    }
    fn lock(&self) -> Option<Packet> {
        let lock = self.0.get(&("screen-lock".to_owned(), 0))?;
        Some(Lock { is_locked: lock.values.get("locked")?.as_bool()?, lock_result: None }.into())
    }
    /// The commands; `None` when none was ever shown.
    fn commands(&self) -> Option<Packet> {
        let all = self.of("command").map(|(instance, shown)| {
            // The name stands for the command line, which is nobody else's affair.
            let command = Command { name: shown.label.clone(), command: Private::from(shown.label.as_str()) };
            (instance.to_string(), command)
        });
        Some(RunCommand { command_list: Commands(all.collect()), can_add_command: Some(false) }.into())
            .filter(|_| self.of("command").next().is_some())
    }
    fn sinks(&self) -> Option<Packet> {
        self.sinks_even_none().filter(|_| self.of("volume").next().is_some())
    }
    fn players(&self) -> Option<Packet> {
        self.players_even_none().filter(|_| self.of("media").next().is_some())
    }
    fn player(&self, instance: u16) -> Option<Packet> {
        let shown = self.0.get(&("media".to_owned(), instance))?;
        let text = |id: &str| shown.values.get(id).and_then(Data::as_text).map(Private::from);
        let is = |id: &str| shown.values.get(id).and_then(Data::as_bool);
        let ms = |id: &str| shown.values.get(id).and_then(Data::as_number).map(|seconds| (seconds * 1000.0) as i64);
        let both = [text("artist"), text("title")];
        let now_playing = both.iter().flatten().map(Private::as_str).collect::<Vec<_>>().join(" - ");
        Some(
            Mpris {
                player: Some(self.name("media", instance)?),
                title: text("title"),
                artist: text("artist"),
                album: text("album"),
                album_art_url: self.art(instance).map(|picture| art::address(picture).into()),
                now_playing: Some(now_playing.into()),
                is_playing: is("playing"),
                pos: ms("position"),
                length: ms("length"),
                volume: shown.values.get("volume").and_then(Data::as_number).map(|volume| volume as i64),
                can_play: Some(true),
                can_pause: Some(true),
                can_go_next: Some(true),
                can_go_previous: Some(true),
                can_seek: Some(ms("length").is_some()),
                loop_status: shown.values.get("loop").and_then(Data::as_text).map(str::to_owned),
                shuffle: is("shuffle"),
                ..Default::default()
            }
            .into(),
        )
    }
    /// The picture of what a player plays.
    pub fn art(&self, instance: u16) -> Option<&[u8]> {
        match self.0.get(&("media".to_owned(), instance))?.values.get("artwork")? {
            Data::Bytes(picture) if !picture.is_empty() => Some(picture),
            _ => None,
        }
    }
    /// What the device knows a player as.
    pub fn player_name(&self, instance: u16) -> Option<String> {
        self.name("media", instance)
    }
    /// Seconds.
    pub fn position(&self, instance: u16) -> f64 {
        let shown = self.0.get(&("media".to_owned(), instance));
        shown.and_then(|shown| shown.values.get("position")).and_then(Data::as_number).unwrap_or(0.0)
    }
    /// The instance that the device means by a name.
    pub fn instance(&self, service: &str, name: &str) -> Option<u16> {
        self.of(service).map(|(instance, _)| instance).find(|at| self.name(service, *at).as_deref() == Some(name))
    }

    fn sinks_even_none(&self) -> Option<Packet> {
        let sinks = self.of("volume").filter_map(|(instance, shown)| {
            let is = |id: &str| shown.values.get(id).and_then(Data::as_bool);
            Some(Sink {
                name: self.name("volume", instance)?,
                description: shown.label.clone(),
                muted: is("muted").unwrap_or(false),
                volume: level(shown),
                max_volume: 100,
                enabled: is("default"),
            })
        });
        Some(SystemVolume { sink_list: Some(sinks.collect()), ..Default::default() }.into())
    }
    fn sink(&self, instance: u16) -> Option<Packet> {
        let shown = self.0.get(&("volume".to_owned(), instance))?;
        let is = |id: &str| shown.values.get(id).and_then(Data::as_bool);
        let name = Some(self.name("volume", instance)?);
        let (muted, enabled) = (is("muted"), is("default"));
        Some(SystemVolume { name, volume: Some(level(shown)), muted, enabled, sink_list: None }.into())
    }
    fn players_even_none(&self) -> Option<Packet> {
        let players = self.of("media").filter_map(|(instance, _)| self.name("media", instance)).collect();
        let (list, art) = (Some(players), Some(true));
        Some(Mpris { player_list: list, support_album_art_payload: art, ..Default::default() }.into())
    }

    fn of(&self, service: &str) -> impl Iterator<Item = (u16, &Instance)> {
        self.0.iter().filter(move |((of, _), _)| of == service).map(|((_, instance), shown)| (*instance, shown))
    }

    /// Players are known by what they are called, others by number.
    fn name(&self, service: &str, instance: u16) -> Option<String> {
        let shown = self.0.get(&(service.to_owned(), instance))?;
        if service != "media" {
            return Some(instance.to_string());
        }
        let is_taken = self.of(service).any(|(other, one)| other < instance && one.label == shown.label);
        Some(match (shown.label.is_empty(), is_taken) {
            (false, false) => shown.label.clone(),
            (true, _) => format!("Player {}", instance + 1),
            (false, true) => format!("{} ({})", shown.label, instance + 1),
        })
    }
}

fn level(shown: &Instance) -> i64 {
    shown.values.get("level").and_then(Data::as_number).map_or(0, |level| level.clamp(0.0, 100.0) as i64)
}
