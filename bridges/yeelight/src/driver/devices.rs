//! Lamps as the house knows them: which id, what was told of them, and which ones the owner added.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, SocketAddrV4};
use std::ops::{Deref, DerefMut};

use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, FromBridge, Reach, Source, Target, Timestamp, Value, catalogue,
};
use accord_ports::added::{self, Record, Register, device_id, pairing};
use accord_store::Vault;
use serde::{Deserialize, Serialize};

use super::face;
use crate::core::advert::{Advert, LampId};
use crate::core::state::{Abilities, Said, State};

/// How long what a lamp says holds, in seconds: while it is connected all of it is told again more often.
const STATE_S: u64 = 900;
const MAKER: &str = "Yeelight";

/// A lamp that the owner added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    pub lamp: String,
    pub name: String,
    pub model: String,
    #[serde(default)]
    pub firmware: Option<String>,
    #[serde(default)]
    pub abilities: Abilities,
    pub since: Timestamp,
    /// Where it was last, and when that was noted.
    pub address: Option<SocketAddrV4>,
    pub seen: Option<Timestamp>,
}

impl Record for Added {
    fn since(&self) -> Timestamp {
        self.since
    }
    fn seen(&mut self) -> &mut Option<Timestamp> {
        &mut self.seen
    }
}

/// A lamp that is known.
pub(crate) struct Known {
    pub id: DeviceId,
    pub lamp: LampId,
    pub name: String,
    model: String,
    firmware: Option<String>,
    pub abilities: Abilities,
    /// How it was lit when it said so to everyone.
    pub state: State,
    /// Where it is, while it is here.
    pub at: Option<SocketAddrV4>,
    /// It is here, and does not take a connection.
    pub down: bool,
    /// It is connected, and answers.
    pub up: bool,
    pub seen: Option<Timestamp>,
    pub address: Option<SocketAddrV4>,
    /// When it said something over a connection last.
    pub answered: Option<Timestamp>,
    values: BTreeMap<(&'static str, u16), BTreeMap<String, Value>>,
}

/// The id of a lamp. It says so itself, and nothing proves it.
fn id_of(lamp: LampId) -> DeviceId {
    device_id("yeelight", &lamp.to_string())
}

impl Known {
    fn of(advert: &Advert) -> Self {
        Self {
            id: id_of(advert.id),
            lamp: advert.id,
            name: advert.title(),
            model: advert.model.clone(),
            firmware: advert.firmware.clone(),
            abilities: advert.abilities.clone(),
            state: advert.state.clone(),
            at: Some(advert.at),
            down: false,
            up: false,
            seen: Some(Timestamp::now()),
            address: Some(advert.at),
            answered: None,
            values: BTreeMap::new(),
        }
    }

    fn remembered(added: &Added) -> Option<Self> {
        let lamp = LampId::parse(&added.lamp)?;
        Some(Self {
            id: id_of(lamp),
            lamp,
            name: added.name.clone(),
            model: added.model.clone(),
            firmware: added.firmware.clone(),
            abilities: added.abilities.clone(),
            state: State::default(),
            at: None,
            down: false,
            up: false,
            seen: added.seen,
            address: added.address,
            answered: None,
            values: BTreeMap::new(),
        })
    }

    fn take(&mut self, said: Vec<Said>, source: Source) -> Vec<FromBridge> {
        let mut told: BTreeMap<(&'static str, u16), BTreeMap<String, Value>> = BTreeMap::new();
        let seen = Timestamp::now();
        for Said { service, instance, property, data } in said {
            let value = Value { data, seen, source, fresh_for_s: STATE_S };
            self.values.entry((service, instance)).or_default().insert(property.to_owned(), value.clone());
            told.entry((service, instance)).or_default().insert(property.to_owned(), value);
        }
        let message = |((service, instance), values)| FromBridge::Values {
            device: self.id.clone(),
            target: Target { service: str::to_owned(service), instance },
            values,
        };
        told.into_iter().map(message).collect()
    }
}

impl added::Known for Known {
    type Added = Added;

    fn id(&self) -> &DeviceId {
        &self.id
    }

    fn is_here(&self) -> bool {
        self.at.is_some()
    }

    fn leave(&mut self) {
        (self.up, self.down, self.at) = (false, false, None);
    }

    fn begin_anew(&mut self, _: bool) {
        (self.up, self.down) = (false, false);
    }

    fn record(&self, before: Option<&Added>) -> Added {
        Added {
            lamp: self.lamp.to_string(),
            name: self.name.clone(),
            model: self.model.clone(),
            firmware: self.firmware.clone(),
            abilities: self.abilities.clone(),
            since: before.map_or_else(Timestamp::now, |before| before.since),
            address: self.address,
            seen: self.seen,
        }
    }

    fn describe(&self, added: Option<&Added>) -> Device {
        let mut device = Device::new(self.id.clone(), DeviceKind::Light, self.name.clone());
        device.maker = Some(MAKER.to_owned());
        device.model = Some(self.model.clone());
        device.claims = Claims::broadcast(self.at.map(|at| (*at.ip()).into()));
        device.passing = added.is_none();
        device.reach = if self.at.is_some() && !self.down { Reach::Local } else { Reach::Offline };
        for mut service in face::services(&self.abilities) {
            let values =
                self.values.iter().find(|((id, instance), _)| *id == service.id && *instance == service.instance);
            service.values = values.map(|(_, values)| values.clone()).unwrap_or_default();
            device = device.with(service);
        }
        if let Some(firmware) = &self.firmware {
            let mut information = catalogue::information();
            information.properties.retain(|property| property.id == "software");
            let seen = self.seen.unwrap_or_default();
            let value = Value { data: firmware.as_str().into(), seen, source: Source::Pushed, fresh_for_s: 86_400 };
            information.values.insert("software".to_owned(), value);
            device = device.with(information);
        }
        device.with(pairing(added.map(|added| added.since)))
    }
}

/// All that are known.
pub(crate) struct Devices(added::Devices<Known>);

impl Deref for Devices {
    type Target = added::Devices<Known>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Devices {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Devices {
    pub(crate) fn open(folder: &Vault) -> Result<Self, String> {
        let added: Register<Added> = Register::open(folder)?;
        Ok(Self(added::Devices::new(added, Known::remembered)))
    }

    pub(crate) fn id(&self, lamp: LampId) -> Option<DeviceId> {
        Some(id_of(lamp)).filter(|id| self.get(id).is_some())
    }
    /// The added ones, by the ids that they announce.
    pub(crate) fn kept(&self) -> BTreeSet<LampId> {
        self.all_added().filter_map(|added| LampId::parse(&added.lamp)).collect()
    }

    /// A lamp is here, or changed; whether it is elsewhere than before.
    pub(crate) fn found(&mut self, advert: &Advert) -> (DeviceId, bool, FromBridge) {
        let mut moved = true;
        let (id, told) = self.0.found(Known::of(advert), |known, before| {
            if let Some(before) = before {
                moved = before.at != known.at;
                known.answered = before.answered;
                known.values = before.values;
                if !moved {
                    (known.down, known.up) = (before.down, before.up);
                }
            }
            if !known.up {
                let said = known.state.said(&known.abilities, &[]);
                drop(known.take(said, Source::Pushed));
            }
        });
        (id, moved, told)
    }

    /// It said once more that it is here, and how it is lit; over its connection it says so better.
    pub(crate) fn again(&mut self, id: &DeviceId, advert: &Advert) -> Vec<FromBridge> {
        let Some(known) = self.get_mut(id) else { return Vec::new() };
        known.seen = Some(Timestamp::now());
        let mut told = Vec::new();
        if !known.up && known.state != advert.state {
            known.state = advert.state.clone();
            let said = known.state.said(&known.abilities, &[]);
            told = known.take(said, Source::Pushed);
        }
        self.note_announced(id);
        told
    }

    /// It answers.
    pub(crate) fn up(&mut self, id: &DeviceId) -> Option<FromBridge> {
        let known = self.get_mut(id)?;
        (known.up, known.down, known.seen) = (true, false, Some(Timestamp::now()));
        known.answered = known.seen;
        self.note(id);
        Some(self.told(id))
    }

    /// It does not take a connection. `None`: that is nothing new.
    pub(crate) fn down(&mut self, id: &DeviceId) -> Option<FromBridge> {
        let known = self.get_mut(id)?;
        let is_new = !known.down;
        (known.up, known.down) = (false, true);
        is_new.then(|| self.told(id))
    }

    /// Nothing is said to it any more.
    pub(crate) fn quiet(&mut self, id: &DeviceId) {
        if let Some(known) = self.get_mut(id) {
            known.up = false;
        }
    }

    /// The owner adds a lamp, or not any more.
    pub(crate) fn add(&mut self, id: &DeviceId, yes: bool) -> Result<Vec<FromBridge>, String> {
        self.get(id).ok_or("no such lamp is known")?;
        self.0.add(id, yes)
    }

    /// What a lamp can do.
    pub(crate) fn abilities(&mut self, id: &DeviceId, abilities: Abilities) -> Option<FromBridge> {
        self.get_mut(id)?.abilities = abilities;
        self.note(id);
        Some(self.told(id))
    }

    /// It said something over its connection.
    pub(crate) fn answered(&mut self, id: &DeviceId, at: Timestamp) {
        if let Some(known) = self.get_mut(id) {
            known.answered = known.answered.max(Some(at));
        }
    }

    /// What it says of itself now.
    pub(crate) fn said(&mut self, id: &DeviceId, said: Vec<Said>, source: Source) -> Vec<FromBridge> {
        self.get_mut(id).map(|known| known.take(said, source)).unwrap_or_default()
    }

    /// What is known of a service, by property.
    pub(crate) fn read(&self, id: &DeviceId, target: &Target, wanted: &[String]) -> BTreeMap<String, Data> {
        let Some(known) = self.get(id) else { return BTreeMap::new() };
        let of_target = |((service, instance), _): &(&(&'static str, u16), _)| {
            *service == target.service && *instance == target.instance
        };
        let values = known.values.iter().find(of_target).map(|(_, values)| values.iter()).into_iter().flatten();
        let fits = |property: &String| wanted.is_empty() || wanted.contains(property);
        values.filter(|(property, _)| fits(property)).map(|(id, value)| (id.clone(), value.data.clone())).collect()
    }

    /// Where a lamp was last, for a diagnosis.
    pub(crate) fn addresses(&self, id: &DeviceId) -> Vec<SocketAddr> {
        self.get(id).and_then(|known| known.address).map(SocketAddr::from).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::advert::{self, tests::answer};

    #[test]
    fn what_is_announced_changes_nothing_of_a_connected_lamp() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Vault::new(dir.path(), &[7; 32]);
        let mut devices = Devices::open(&folder).unwrap();
        let said = |more: &str| advert::parse(&answer(1, 2, more), [10, 0, 0, 2].into()).unwrap();
        let (id, ..) = devices.found(&said("name: desk\r\n"));
        devices.add(&id, true).unwrap();
        // Its connection is worth more.
        devices.up(&id).unwrap();
        let before = devices.get(&id).unwrap().state.clone();
        let mut dim = said("name: desk\r\n");
        dim.state.take("bright", "7");
        let told = devices.again(&id, &dim);
        assert!(told.is_empty() && devices.get(&id).unwrap().state == before);
    }
}
