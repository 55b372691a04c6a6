//! The device that plays, as its bridge describes it: which service of it is told what, and what it said since.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use accord_model::{Data, Device, DeviceId, Reach, Service, Target, Timestamp, Value};
use accord_registry::Registry;

use crate::book::CastError;
use crate::evidence::Ended;

/// How old a place may be that is counted on from.
const COUNTED_ON: Duration = Duration::from_secs(15);

/// A device that plays what is at an address.
pub(crate) struct Receiver {
    pub device: Device,
    player: Service,
}

/// What it said of itself since a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub playing: Option<bool>,
    pub moving: Option<bool>,
    /// In seconds, as it said it, and when.
    pub position: Option<(f64, Timestamp)>,
    pub length: Option<f64>,
    pub title: Option<String>,
    pub ours: Option<bool>,
    /// How it says that it ended.
    pub ended: Option<Ended>,
    pub volume: Option<u8>,
    /// How often it went on by itself with what it was given for that, and when it said so last.
    pub turn: Option<(i64, Timestamp)>,
}

impl Receiver {
    /// The device, when it is here and plays what is at an address.
    pub(crate) fn find(registry: &Registry, device: &DeviceId) -> Result<Self, CastError> {
        let no = |why: &str| CastError::NoRenderer(why.to_owned());
        let known = registry.device(device).ok_or_else(|| no("no such device is known here"))?;
        if known.device.reach == Reach::Offline && Self::of(&known.device).is_some() {
            return Err(no("the device is away; is it switched on?"));
        }
        Self::of(&known.device).ok_or_else(|| no("this device does not play what is at an address"))
    }

    pub(crate) fn of(device: &Device) -> Option<Self> {
        let mut players = device.services.iter();
        let opens = players.find(|service| service.actions.iter().any(|one| one.id == "open"));
        let player = opens.or_else(|| device.services.iter().find(|service| raw(service).is_some()))?.clone();
        Some(Self { device: device.clone(), player })
    }

    /// It takes raw sound and fetches nothing.
    pub(crate) fn takes_raw(&self) -> bool {
        !self.can("open")
    }

    pub(crate) fn target(&self) -> Target {
        Target { service: self.player.id.clone(), instance: self.player.instance }
    }

    /// From where it will fetch.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.player.values.get("address").and_then(|value| value.data.as_text())?.parse().ok()
    }

    /// What can be said to it with an address.
    pub(crate) fn takes(&self) -> BTreeSet<&str> {
        let open = self.player.actions.iter().filter(|one| one.id == "open");
        open.flat_map(|open| open.inputs.iter().map(|input| input.id.as_str())).collect()
    }

    pub(crate) fn can(&self, action: &str) -> bool {
        self.player.actions.iter().any(|one| one.id == action)
    }

    pub(crate) fn seeks(&self) -> bool {
        writable(&self.player, "position")
    }

    /// Where its loudness is written: the player itself, or what stands for the whole device.
    pub(crate) fn loudness(&self) -> Option<(Target, &'static str)> {
        if writable(&self.player, "volume") {
            return Some((self.target(), "volume"));
        }
        let whole = self.device.services.iter().find(|service| service.id == "volume" && writable(service, "level"))?;
        Some((Target { service: whole.id.clone(), instance: whole.instance }, "level"))
    }

    /// What it said since then. `settled`: what it says of title and length is of this, too, when it did not change.
    pub(crate) fn said(&self, since: Timestamp, settled: bool) -> Said {
        let value = |id: &str| self.player.values.get(id);
        let fresh = |id: &str| value(id).filter(|value| value.seen >= since);
        let kept = |id: &str| if settled { value(id) } else { fresh(id) };
        let flag = |value: Option<&Value>| match value?.data {
            Data::Bool(yes) => Some(yes),
            _ => None,
        };
        let number = |value: &Value| value.data.as_number().filter(|number| number.is_finite() && *number >= 0.0);
        let loud = self.loudness().and_then(|(target, id)| {
            let of =
                self.device.services.iter().find(|one| one.id == target.service && one.instance == target.instance);
            of?.values.get(id)?.data.as_int()
        });
        Said {
            playing: flag(fresh("playing")),
            // That it moves holds only for a while.
            moving: flag(fresh("moving").filter(|value| age(value.seen).as_secs() <= value.fresh_for_s)),
            position: fresh("position").and_then(|value| Some((number(value)?, value.seen))),
            length: kept("length").and_then(number),
            title: kept("title").and_then(|value| value.data.as_text()).map(str::to_owned),
            ours: flag(fresh("ours")),
            ended: fresh("ended").and_then(|value| Ended::parse(value.data.as_text()?)),
            turn: value("turn").and_then(|value| Some((value.data.as_int()?, value.seen))),
            volume: loud.and_then(|percent| u8::try_from(percent.clamp(0, 100)).ok()),
        }
    }
}

impl Said {
    /// Where it is by now: what it said, and the time since while it moves.
    pub(crate) fn place(&self) -> Option<f64> {
        let (place, seen) = self.position?;
        let moves = self.playing == Some(true) && self.moving == Some(true);
        Some(place + if moves { age(seen).min(COUNTED_ON).as_secs_f64() } else { 0.0 })
    }
}

/// The raw sound that it takes.
fn raw(service: &Service) -> Option<&str> {
    service.values.get("sound").and_then(|value| value.data.as_text())
}

fn age(seen: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(seen)).unwrap_or_default()
}

fn writable(service: &Service, property: &str) -> bool {
    service.properties.iter().any(|one| one.id == property && one.write)
}
