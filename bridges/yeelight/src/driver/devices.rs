//! Lamps as the house knows them: which id, what was told of them, and which ones the owner added.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, FromBridge, Reach, Source, Target, Timestamp, Value, catalogue,
};
use accord_ports::added::{self, Known as _, Record, device_id, pairing};
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

impl Known {
    pub(crate) fn of(advert: &Advert) -> Self {
        let mut known = Self {
            id: Self::id_of(&advert.id),
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
        };
        known.take_state();
        known
    }

    /// How it says to everyone that it is lit.
    fn take_state(&mut self) -> Vec<FromBridge> {
        self.take(self.state.said(&self.abilities, &[]), Source::Pushed)
    }

    /// It said once more that it is here, and how it is lit; over its connection it says so better.
    pub(crate) fn again(&mut self, advert: &Advert) -> Vec<FromBridge> {
        self.seen = Some(Timestamp::now());
        if self.up || self.state == advert.state {
            return Vec::new();
        }
        self.state = advert.state.clone();
        self.take_state()
    }

    /// It answers.
    pub(crate) fn rise(&mut self) -> bool {
        (self.up, self.down, self.seen) = (true, false, Some(Timestamp::now()));
        self.answered = self.seen;
        true
    }

    /// It said something over its connection.
    pub(crate) fn answers(&mut self, at: Timestamp) {
        self.answered = self.answered.max(Some(at));
    }

    /// It does not take a connection; whether that is new.
    pub(crate) fn fall(&mut self) -> bool {
        self.up = false;
        !std::mem::replace(&mut self.down, true)
    }

    /// What is known of a service, by property.
    pub(crate) fn read(&self, target: &Target, wanted: &[String]) -> BTreeMap<String, Data> {
        let of_target = |((service, instance), _): &(&(&'static str, u16), _)| {
            *service == target.service && *instance == target.instance
        };
        let values = self.values.iter().find(of_target).map(|(_, values)| values.iter()).into_iter().flatten();
        let fits = |property: &String| wanted.is_empty() || wanted.contains(property);
        values.filter(|(property, _)| fits(property)).map(|(id, value)| (id.clone(), value.data.clone())).collect()
    }

    /// Where it was last, for a diagnosis.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.address.map(SocketAddr::from).into_iter().collect()
    }

    /// What it says of itself now.
    pub(crate) fn take(&mut self, said: Vec<Said>, source: Source) -> Vec<FromBridge> {
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
    type Announced = LampId;
    type Added = Added;

    fn id_of(lamp: &LampId) -> DeviceId {
        device_id("yeelight", &lamp.to_string())
    }

    fn remembered(added: &Added) -> Option<Self> {
        let lamp = LampId::parse(&added.lamp)?;
        Some(Self {
            id: Self::id_of(&lamp),
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

    fn announced(&self) -> &LampId {
        &self.lamp
    }

    fn id(&self) -> &DeviceId {
        &self.id
    }

    fn is_here(&self) -> bool {
        self.at.is_some()
    }

    fn leave(&mut self) {
        (self.up, self.down, self.at) = (false, false, None);
    }

    fn succeed(&mut self, before: Self) {
        if before.at == self.at {
            (self.down, self.up) = (before.down, before.up);
        }
        self.values = before.values;
        self.answered = before.answered;
        if !self.up {
            self.take_state();
        }
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
pub(crate) type Devices = added::Devices<Known>;

/// The added ones, as whom they announce themselves, and where each was last.
pub(crate) fn kept(devices: &Devices) -> BTreeMap<LampId, Option<Ipv4Addr>> {
    let last = |lamp: &LampId| devices.get(&<Known as added::Known>::id_of(lamp))?.address.map(|at| *at.ip());
    devices.kept().into_iter().map(|lamp| (lamp, last(&lamp))).collect()
}

#[cfg(test)]
mod tests {
    use accord_store::Vault;

    use super::*;
    use crate::core::advert::{self, tests::answer};

    #[test]
    fn what_is_announced_changes_nothing_of_a_connected_lamp() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Vault::new(dir.path(), &[7; 32]);
        let mut devices = Devices::open(&folder).unwrap();
        let said = |more: &str| advert::parse(&answer(1, 2, more), [10, 0, 0, 2].into()).unwrap();
        let (id, _) = devices.found(Known::of(&said("name: desk\r\n")));
        devices.add(&id, true).unwrap();
        // Its connection is worth more.
        devices.update(&id, Known::rise).unwrap();
        let before = devices.get(&id).unwrap().state.clone();
        let mut dim = said("name: desk\r\n");
        dim.state.take("bright", "7");
        let told = devices.get_mut(&id).unwrap().again(&dim);
        assert!(told.is_empty() && devices.get(&id).unwrap().state == before);
    }
}
