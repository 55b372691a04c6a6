//! Devices as the house knows them: which id, which services, what was told of them, and which ones the owner added.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, Format, FromBridge, Property, Reach, Service, Source, Target,
    Timestamp, Value,
};
use accord_ports::added::{Record, Register, device_id, pairing};
use accord_ports::secret::Secret;
use accord_store::Vault;
use serde::{Deserialize, Serialize};

use super::PORT;
use crate::core::device::{FRESH_S, Info, Model, Refuses};
use crate::core::import::Found;
use crate::core::line::Failure;
use crate::core::map::Map;
use crate::core::packet::{Hello, Token};

/// Most devices that are known without having been added: whoever answers may claim any number.
const MOST_STRANGERS: usize = 128;
/// One of those that was not heard for so long is gone: it answered none of three searches in a row.
const UNHEARD_FOR: Duration = Duration::from_secs(3 * 300 + 60);
/// Where there are as many as that, a new one takes the place of the one that was heard least lately, unless that was so lately.
const KEEPS_PLACE_FOR: Duration = Duration::from_secs(10);
/// That one is elsewhere, or back, is heeded no more often than this: greetings are not sealed, and anybody may answer them.
const HEEDED_EVERY: Duration = Duration::from_secs(10);
/// Where one was looked for in vain it is not looked for again so soon.
const IN_VAIN_FOR: Duration = Duration::from_secs(60);
/// Who answered a greeting so lately is there: a search, and with it this, comes every five minutes.
const JUST_NOW: Duration = Duration::from_secs(360);

/// A device that the owner added. Its token lies in a file that only the owner's account can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    pub did: Option<u64>,
    pub token: Secret,
    pub name: Option<String>,
    pub model: Option<String>,
    pub mac: Option<String>,
    pub version: Option<String>,
    /// Where it answered last, or where the owner said that it is.
    pub address: Option<Ipv4Addr>,
    pub since: Timestamp,
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

impl Added {
    pub(crate) fn of(found: Found) -> Self {
        let Found { did, token, name, model, mac, address } = found;
        let (version, since, seen) = (None, Timestamp::now(), None);
        Self { did, token: token.into(), name, model, mac, version, address, since, seen }
    }

    pub(crate) fn token(&self) -> Option<Token> {
        Token::parse(&self.token)
    }
}

/// A device that is known.
#[derive(Default)]
pub(crate) struct Known {
    pub did: Option<u64>,
    /// Where it is, or was last.
    pub at: Option<Ipv4Addr>,
    /// Where its number came from last in answer to a greeting, and when.
    greeted: Option<(Ipv4Addr, Instant)>,
    /// When such an answer was heeded that brought nothing new, and when one that did.
    heeded: [Option<Instant>; 2],
    /// Where it turned out not to be, though a greeting was answered there in its name.
    in_vain: BTreeMap<Ipv4Addr, Instant>,
    /// It waits to be set up.
    pub is_new: bool,
    /// It answers.
    pub up: bool,
    /// It was asked and did not answer: why, and since when.
    pub down: Option<(Failure, Timestamp)>,
    pub seen: Option<Timestamp>,
    pub info: Option<Info>,
    /// What it does not say, though it answers.
    pub refuses: Refuses,
    map: Option<Map>,
    values: BTreeMap<(String, u16), BTreeMap<String, Value>>,
}

pub(crate) struct Devices {
    known: BTreeMap<DeviceId, Known>,
    added: Register<Added>,
}

impl Devices {
    pub(crate) fn open(folder: &Vault) -> Result<Self, String> {
        let added: Register<Added> = Register::open(folder)?;
        let remembered = |(id, added): (&DeviceId, &Added)| {
            let known = Known { did: added.did, at: added.address, seen: added.seen, ..Known::default() };
            (id.clone(), known)
        };
        Ok(Self { known: added.all().iter().map(remembered).collect(), added })
    }

    pub(crate) fn get(&self, id: &DeviceId) -> Option<&Known> {
        self.known.get(id)
    }
    pub(crate) fn added(&self, id: &DeviceId) -> Option<&Added> {
        self.added.get(id)
    }
    pub(crate) fn all_added(&self) -> Vec<DeviceId> {
        self.added.all().keys().cloned().collect()
    }
    pub(crate) fn all(&self) -> Vec<FromBridge> {
        self.known.keys().filter_map(|id| self.told(id)).collect()
    }

    /// The one of that number, or, when an added one has not said its number yet, the one that is to be at that address.
    /// Without a number, only one that is at that address now: another may have had it before.
    pub(crate) fn find(&self, did: Option<u64>, at: Option<Ipv4Addr>, now: Instant) -> Option<DeviceId> {
        if let Some(did) = did {
            let of_it = || self.known.iter().filter(|(_, known)| known.did == Some(did)).map(|(id, _)| id);
            let found = of_it().find(|id| self.added.get(id).is_some()).or_else(|| of_it().next());
            if found.is_some() {
                return found.cloned();
            }
        }
        let at = at?;
        let there = |known: &Known| {
            let greeted = known.greeted.filter(|(from, when)| *from == at && now.duration_since(*when) < JUST_NOW);
            match (known.at == Some(at), greeted) {
                (true, _) if known.up => Some((2, None)),
                (_, Some((_, when))) if did.is_none() => Some((1, Some(when))),
                (true, _) if known.did.is_none() => Some((0, None)),
                _ => None,
            }
        };
        let fits = |known: &&Known| did.is_none() || known.did.is_none();
        let all = self.known.iter().filter(|(_, known)| fits(known));
        let found = all.filter_map(|(id, known)| Some((there(known)?, id))).max_by_key(|(how, _)| *how);
        found.map(|(_, id)| id.clone())
    }

    /// An id for a device of which only the address is known: one that no other was given that had the address before.
    pub(crate) fn new_id(&self, at: Ipv4Addr) -> DeviceId {
        let first = device_id("miio", &format!("at {at}"));
        let others = (2u32..).map(|number| device_id("miio", &format!("at {at}, {number}")));
        let is_free = |id: &DeviceId| self.known.get(id).is_none_or(|known| known.did.is_none());
        std::iter::once(first.clone()).chain(others).find(is_free).unwrap_or(first)
    }

    /// A device answered a greeting. `true`: an added one is elsewhere than it was, as far as that can be believed.
    pub(crate) fn greeted(
        &mut self,
        hello: &Hello,
        at: Ipv4Addr,
        now: Instant,
    ) -> (Option<DeviceId>, bool, Vec<FromBridge>) {
        let did = hello.head.did;
        if let Some(id) = self.find(Some(did), Some(at), now) {
            let is_added = self.added.get(&id).is_some();
            let Some(known) = self.known.get_mut(&id) else { return (None, false, Vec::new()) };
            let moved = known.at != Some(at);
            // Whoever answers in the place of one that is connected is not followed.
            if known.up && moved {
                return (None, false, Vec::new());
            }
            known.seen = Some(Timestamp::now());
            known.greeted = Some((at, now));
            known.in_vain.retain(|_, when| now.duration_since(*when) < IN_VAIN_FOR);
            let changed = moved || known.is_new != hello.is_new;
            if changed || known.down.is_some() {
                let heeded = &mut known.heeded[usize::from(changed)];
                let is_soon = heeded.is_some_and(|heeded| now.duration_since(heeded) < HEEDED_EVERY);
                if is_soon || (moved && known.in_vain.contains_key(&at)) {
                    return (None, false, Vec::new());
                }
                *heeded = Some(now);
            }
            (known.at, known.is_new) = (Some(at), hello.is_new);
            if !is_added {
                known.did = Some(did);
            }
            let told = changed.then(|| self.told(&id)).flatten();
            return (Some(id), moved && is_added, told.into_iter().collect());
        }
        let mut told = match self.place_for_one(now) {
            Some(gone) => gone,
            None => return (None, false, Vec::new()),
        };
        let id = device_id("miio", &did.to_string());
        let seen = Some(Timestamp::now());
        let greeted = Some((at, now));
        let known = Known { did: Some(did), at: Some(at), greeted, is_new: hello.is_new, seen, ..Known::default() };
        self.known.insert(id.clone(), known);
        told.extend(self.told(&id));
        (Some(id), false, told)
    }

    /// Those that nobody added, each with when it was heard last.
    fn strangers(&self) -> impl Iterator<Item = (&DeviceId, Option<Instant>)> {
        let strangers = self.known.iter().filter(|(id, _)| self.added.get(id).is_none());
        strangers.map(|(id, known)| (id, known.greeted.map(|(_, when)| when)))
    }

    /// Makes a place for one more stranger; who had it is gone. `None`: all were heard just now.
    fn place_for_one(&mut self, now: Instant) -> Option<Vec<FromBridge>> {
        if self.strangers().count() < MOST_STRANGERS {
            return Some(Vec::new());
        }
        let (id, heard) = self.strangers().min_by_key(|(_, heard)| *heard)?;
        if heard.is_some_and(|heard| now.duration_since(heard) < KEEPS_PLACE_FOR) {
            return None;
        }
        let id = id.clone();
        Some(self.gone(vec![id]))
    }

    /// Those that nobody added and that answered no search for some time are not here any more.
    pub(crate) fn unheard_gone(&mut self, now: Instant) -> Vec<FromBridge> {
        let is_old = |heard: &Instant| now.duration_since(*heard) >= UNHEARD_FOR;
        let old = self.strangers().filter(|(_, heard)| heard.as_ref().is_none_or(is_old));
        let old = old.map(|(id, _)| id.clone()).collect();
        self.gone(old)
    }

    fn gone(&mut self, ids: Vec<DeviceId>) -> Vec<FromBridge> {
        ids.iter().for_each(|id| drop(self.known.remove(id)));
        ids.into_iter().map(|device| FromBridge::Gone { device }).collect()
    }

    /// The search ended: those that nobody added are not here any more, as far as we know.
    pub(crate) fn strangers_gone(&mut self) -> Vec<FromBridge> {
        let all = self.strangers().map(|(id, _)| id.clone()).collect();
        self.gone(all)
    }

    /// The owner adds a device. What is known of it already stays.
    pub(crate) fn add(&mut self, id: &DeviceId, mut new: Added) -> Result<Vec<FromBridge>, String> {
        let known = self.known.get(id);
        let before = self.added.get(id);
        // What a greeting claimed is not kept: the device proves its number with the token.
        new.did = new.did.or_else(|| before.and_then(|before| before.did));
        new.address = new.address.or_else(|| known.and_then(|known| known.at));
        new.name = new.name.or_else(|| before.and_then(|before| before.name.clone()));
        new.since = before.map_or(new.since, |before| before.since);
        let (did, at) = (new.did, new.address);
        self.added.set(id, Some(new))?;
        let known = self.known.entry(id.clone()).or_default();
        (known.did, known.up, known.down) = (did.or(known.did), false, None);
        known.refuses = Refuses::default();
        known.at = at.or(known.at);
        (known.heeded, known.in_vain) = ([None; 2], BTreeMap::new());
        Ok(self.told(id).into_iter().chain([self.added.paired(id)]).collect())
    }

    /// The owner removes a device.
    pub(crate) fn remove(&mut self, id: &DeviceId) -> Result<Vec<FromBridge>, String> {
        self.added.set(id, None)?;
        self.known.remove(id);
        Ok(vec![FromBridge::Gone { device: id.clone() }])
    }

    /// It said what it is, and proved its number, unless that was known.
    pub(crate) fn is(&mut self, id: &DeviceId, did: Option<u64>, info: Info, model: Option<&Model>) -> Vec<FromBridge> {
        let Some(known) = self.known.get_mut(id) else { return Vec::new() };
        if known.info.as_ref().map(|info| &info.model) != Some(&info.model) {
            known.values.clear();
        }
        known.map = model.map(|model| model.map.clone());
        (known.up, known.down, known.is_new) = (true, None, false);
        known.refuses = Refuses::default();
        known.did = did.or(known.did);
        known.seen = Some(Timestamp::now());
        (known.heeded, known.in_vain) = ([None; 2], BTreeMap::new());
        let (proven, at, seen) = (known.did, known.at, known.seen);
        known.info = Some(info.clone());
        if let Some(mut added) = self.added.get(id).cloned() {
            (added.did, added.address, added.seen) = (did.or(added.did), at.or(added.address), seen);
            (added.model, added.mac, added.version) = (Some(info.model), info.mac, info.version);
            self.added.note(id, added);
        }
        // It was seen by its number too, before it was known that it is this one.
        let same = |(other, known): (&DeviceId, &Known)| {
            (other != id && known.did.is_some() && known.did == proven && self.added.get(other).is_none())
                .then(|| other.clone())
        };
        let same: Vec<DeviceId> = self.known.iter().filter_map(same).collect();
        same.iter().for_each(|other| drop(self.known.remove(other)));
        self.told(id).into_iter().chain(same.into_iter().map(|device| FromBridge::Gone { device })).collect()
    }

    /// One that does not answer where a greeting came from goes back to where it proved itself last, or where its owner said
    /// that it is. `true`: it did.
    pub(crate) fn back(&mut self, id: &DeviceId, now: Instant) -> bool {
        let home = self.added.get(id).and_then(|added| added.address);
        let (Some(home), Some(known)) = (home, self.known.get_mut(id)) else { return false };
        let Some(at) = known.at.filter(|at| *at != home && !known.up) else { return false };
        known.in_vain.insert(at, now);
        known.at = Some(home);
        true
    }

    /// It answers, or does not. `None`: that is nothing new.
    pub(crate) fn down(&mut self, id: &DeviceId, why: Failure) -> Option<FromBridge> {
        let home = self.added.get(id).and_then(|added| added.address);
        let known = self.known.get_mut(id)?;
        let is_new = known.up || known.down.is_none();
        known.up = false;
        if let (Failure::Deaf | Failure::New, Some(at)) = (&why, known.at) {
            // It answered the greeting, with its number if that is known.
            known.greeted = Some((at, Instant::now()));
        }
        // That it is not where it was says less than what it did elsewhere just now.
        let elsewhere = known.at == home && known.greeted.is_some_and(|(at, _)| known.in_vain.contains_key(&at));
        if why == Failure::Silent && elsewhere && matches!(known.down, Some((Failure::Deaf | Failure::New, _))) {
            return None;
        }
        known.down = Some((why, Timestamp::now()));
        is_new.then(|| self.told(id)).flatten()
    }

    /// What it answers that it does not say.
    pub(crate) fn refuses(&mut self, id: &DeviceId, refuses: Refuses) {
        if let Some(known) = self.known.get_mut(id) {
            known.refuses = refuses;
        }
    }

    /// Nothing is said to it any more.
    pub(crate) fn quiet(&mut self, id: &DeviceId) -> Option<FromBridge> {
        let known = self.known.get_mut(id)?;
        known.refuses = Refuses::default();
        let was_up = std::mem::take(&mut known.up);
        known.down = None;
        was_up.then(|| self.told(id)).flatten()
    }

    /// What it says of itself, asked by us just now or by itself.
    pub(crate) fn values(
        &mut self,
        id: &DeviceId,
        said: Vec<(Target, BTreeMap<String, Data>)>,
        source: Source,
    ) -> Vec<FromBridge> {
        let Some(known) = self.known.get_mut(id) else { return Vec::new() };
        let seen = Timestamp::now();
        known.seen = Some(seen);
        let mut told = Vec::new();
        for (target, values) in said {
            let value = |(name, data)| (name, Value { data, seen, source, fresh_for_s: FRESH_S });
            let values: BTreeMap<String, Value> = values.into_iter().map(value).collect();
            known.values.entry((target.service.clone(), target.instance)).or_default().extend(values.clone());
            told.push(FromBridge::Values { device: id.clone(), target, values });
        }
        told
    }

    /// How a device is told to the house.
    pub(crate) fn told(&self, id: &DeviceId) -> Option<FromBridge> {
        let known = self.known.get(id)?;
        Some(FromBridge::Seen { device: self.describe(id, known) })
    }

    fn describe(&self, id: &DeviceId, known: &Known) -> Device {
        let added = self.added.get(id);
        let model =
            known.info.as_ref().map(|info| &info.model).or_else(|| added.and_then(|added| added.model.as_ref()));
        let kind =
            known.map.as_ref().map_or_else(|| model.map_or(DeviceKind::Other, |model| kind_of(model)), |map| map.kind);
        let name = added.and_then(|added| added.name.clone()).unwrap_or_else(|| name(kind, model, known));
        let mut device = Device::new(id.clone(), kind, name);
        device.model = model.cloned();
        device.passing = added.is_none();
        let is_here = match added {
            None => true,
            Some(_) => known.up,
        };
        device.reach = if is_here { Reach::Local } else { Reach::Offline };
        device.claims = Claims::broadcast(known.at.map(IpAddr::from));
        let mac = known
            .info
            .as_ref()
            .and_then(|info| info.mac.as_ref())
            .or_else(|| added.and_then(|added| added.mac.as_ref()));
        if let Some(mac) = mac {
            device.claims = device.claims.hardware(mac);
        }
        for service in known.map.iter().flat_map(|map| &map.services) {
            let mut service = service.clone();
            let said = known.values.get(&(service.id.clone(), service.instance));
            service.values = said.cloned().unwrap_or_default();
            device = device.with(service);
        }
        device.with(asking(added.map(|added| added.since)))
    }

    /// Where it answered or was last.
    pub(crate) fn addresses(&self, id: &DeviceId) -> Vec<SocketAddr> {
        self.known.get(id).and_then(|known| known.at).map(|at| SocketAddr::from((at, PORT))).into_iter().collect()
    }
}

/// The service `pairing`: adding a device takes its token.
fn asking(since: Option<Timestamp>) -> Service {
    let mut service = pairing(since);
    for action in service.actions.iter_mut().filter(|action| action.id == "request") {
        action.inputs.push(Property::state("token", Format::Text));
    }
    service
}

/// A kind by the second word of a model: `yeelink.light.lamp4`.
fn kind_of(model: &str) -> DeviceKind {
    match model.split('.').nth(1).unwrap_or_default() {
        "light" => DeviceKind::Light,
        "plug" | "powerstrip" => DeviceKind::Plug,
        "switch" => DeviceKind::Switch,
        "fan" => DeviceKind::Fan,
        "airpurifier" | "airp" | "humidifier" | "airfresh" => DeviceKind::Air,
        "aircondition" | "airc" | "acpartner" | "heater" => DeviceKind::Climate,
        "curtain" => DeviceKind::Cover,
        "vacuum" => DeviceKind::Vacuum,
        "lock" => DeviceKind::Lock,
        "airm" | "airmonitor" | "sensor" => DeviceKind::Sensor,
        "camera" => DeviceKind::Camera,
        "gateway" => DeviceKind::Hub,
        _ => DeviceKind::Other,
    }
}

/// What a device is called until its owner calls it something: names are at the makers' servers alone.
fn name(kind: DeviceKind, model: Option<&String>, known: &Known) -> String {
    let word = match kind {
        DeviceKind::Light => "Lamp",
        DeviceKind::Plug => "Plug",
        DeviceKind::Switch => "Switch",
        DeviceKind::Fan => "Fan",
        DeviceKind::Air => "Air purifier or humidifier",
        DeviceKind::Climate => "Climate",
        DeviceKind::Cover => "Curtain",
        DeviceKind::Vacuum => "Vacuum",
        DeviceKind::Lock => "Lock",
        DeviceKind::Sensor => "Sensor",
        DeviceKind::Camera => "Camera",
        _ => "Wi-Fi device",
    };
    match (model, known.did) {
        (Some(model), _) => format!("{word} ({})", model.rsplit('.').next().unwrap_or(model)),
        (None, Some(did)) if known.is_new => format!("{word} that waits to be set up (miIO {did})"),
        (None, Some(did)) => format!("{word} (miIO {did})"),
        (None, None) => format!("{word} (miIO)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::packet::Head;

    fn hello(did: u64) -> Hello {
        Hello { head: Head { did, stamp: 1 }, is_new: false, offer: None }
    }

    fn at(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn added(did: impl Into<Option<u64>>, address: u8) -> Added {
        let (token, did) = ("00".repeat(16), did.into());
        Added::of(Found { did, token, name: None, model: None, mac: None, address: Some(at(address)) })
    }

    fn info() -> Info {
        Info { model: "lab.light.x".into(), mac: None, version: None }
    }

    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn who_claims_to_be_a_device_that_answers_elsewhere_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let mut devices = Devices::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        let id = device_id("miio", "7");
        devices.add(&id, added(7, 2)).unwrap();
        devices.is(&id, Some(7), info(), None);
        assert_eq!(devices.greeted(&hello(7), at(66), now()), (None, false, vec![]), "it answers where it is");
        assert_eq!(devices.get(&id).unwrap().at, Some(at(2)));
        devices.down(&id, Failure::Silent);
        let (who, moved, told) = devices.greeted(&hello(7), at(66), now());
        assert_eq!((who, moved, told.len()), (Some(id.clone()), true, 1), "it is silent: that is tried");
        drop(devices);
        let kept = Devices::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        assert_eq!(kept.get(&id).unwrap().at, Some(at(2)), "but kept only once it proved itself there");
    }

    #[test]
    fn whoever_answers_in_the_name_of_one_that_is_down_is_followed_seldom_and_not_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let mut devices = Devices::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        let (id, begin) = (device_id("miio", "7"), now());
        devices.add(&id, added(7, 2)).unwrap();
        devices.down(&id, Failure::Silent);
        let mut moves = 0;
        for second in 0..30 {
            for last in 60..80 {
                moves += u32::from(devices.greeted(&hello(7), at(last), begin + Duration::from_secs(second)).1);
            }
        }
        assert_eq!(moves, 3, "one in ten seconds");
        let tried = devices.get(&id).unwrap().at.unwrap();
        devices.down(&id, Failure::Deaf);
        let later = |seconds: u64| begin + Duration::from_secs(30 + seconds);
        assert!(devices.back(&id, later(0)) && devices.get(&id).unwrap().at == Some(at(2)), "it proved nothing there");
        assert!(!devices.back(&id, later(0)), "it is where its owner said");
        devices.down(&id, Failure::Silent);
        assert!(matches!(devices.get(&id).unwrap().down, Some((Failure::Deaf, _))), "which says more than silence");
        assert!(!devices.greeted(&hello(7), tried, later(20)).1, "not there again so soon");
        assert!(devices.greeted(&hello(7), at(9), later(20)).1, "and that is not in the way of the right one");
        devices.is(&id, Some(7), info(), None);
        assert!(!devices.back(&id, later(21)), "it proved itself here");
        assert_eq!(devices.added(&id).unwrap().address, Some(at(9)));
    }

    #[test]
    fn what_is_added_by_address_is_no_other_device_that_had_it_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut devices = Devices::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        let old = devices.new_id(at(2));
        devices.add(&old, added(None, 2)).unwrap();
        assert_eq!(devices.find(None, Some(at(2)), now()), Some(old.clone()), "it has not said yet who it is");
        devices.is(&old, Some(7), info(), None);
        assert_eq!(devices.find(None, Some(at(2)), now()), Some(old.clone()), "it is there now");
        devices.down(&old, Failure::Silent);
        assert_eq!(devices.find(None, Some(at(2)), now()), None, "it was there");
        assert_ne!(devices.new_id(at(2)), old, "and keeps its record");
        devices.down(&old, Failure::Deaf);
        assert_eq!(devices.find(None, Some(at(2)), now()), Some(old.clone()), "it answers there, with another token");
        devices.greeted(&hello(8), at(2), now());
        assert_eq!(devices.find(None, Some(at(2)), now()), Some(device_id("miio", "8")), "another one is there now");
        assert_eq!(devices.find(None, Some(at(2)), now() + JUST_NOW), None);
    }

    #[test]
    fn a_number_is_kept_once_the_token_proved_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut devices = Devices::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        devices.greeted(&hello(66), at(2), now());
        let id = devices.find(None, Some(at(2)), now()).unwrap();
        devices.add(&id, added(None, 2)).unwrap();
        assert_eq!(devices.added(&id).unwrap().did, None, "a greeting proves nothing");
        devices.greeted(&hello(7), at(3), now());
        let told = devices.is(&id, Some(7), info(), None);
        assert_eq!(devices.added(&id).unwrap().did, Some(7));
        assert_eq!(told[1..], [FromBridge::Gone { device: device_id("miio", "7") }], "it is one device");
        assert_eq!(devices.find(Some(7), None, now()), Some(id));
    }

    #[test]
    fn strangers_are_bounded_and_gone_when_the_search_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut devices = Devices::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        for did in 0..1000 {
            devices.greeted(&hello(did), at(3), now());
        }
        assert_eq!(devices.all().len(), MOST_STRANGERS);
        let id = device_id("miio", "1");
        devices.add(&id, added(1, 3)).unwrap();
        assert_eq!(devices.strangers_gone().len(), MOST_STRANGERS - 1);
        assert!(devices.greeted(&hello(1), at(9), now()).1, "one that was added is found again");
        let waits = Hello { is_new: true, ..hello(5) };
        let told = devices.greeted(&waits, at(5), now()).2;
        let [FromBridge::Seen { device }] = &told[..] else { panic!("{told:?}") };
        assert!(device.name.contains("waits to be set up") && device.passing);
    }

    #[test]
    fn who_nobody_added_is_gone_after_some_searches_and_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut devices = Devices::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        let (begin, guest, mine) = (now(), device_id("miio", "1"), device_id("miio", "2"));
        let after = |seconds: u64| begin + Duration::from_secs(seconds);
        devices.add(&mine, added(2, 4)).unwrap();
        devices.greeted(&hello(1), at(3), begin);
        devices.greeted(&hello(2), at(4), begin);
        // It missed two searches, and answers the third.
        assert_eq!(devices.unheard_gone(after(900)), []);
        devices.greeted(&hello(1), at(3), after(900));
        assert_eq!(devices.unheard_gone(after(1800)), []);
        assert_eq!(devices.unheard_gone(after(1860)), [FromBridge::Gone { device: guest }]);
        assert!(devices.get(&mine).is_some(), "one that was added stays");

        // Somebody makes up as many as are kept, and one that is here comes after that.
        let made_up = |devices: &mut Devices, second: u64| {
            (0..1000).map(|did| devices.greeted(&hello(1000 + did), at(66), after(second)).2.len()).sum::<usize>()
        };
        assert_eq!(made_up(&mut devices, 2000), MOST_STRANGERS, "the house is told no more than that");
        assert_eq!(devices.greeted(&hello(7), at(7), after(2005)), (None, false, vec![]));
        let (who, _, told) = devices.greeted(&hello(7), at(7), after(2010));
        assert_eq!(who, Some(device_id("miio", "7")), "it is found at the next search at the latest");
        assert!(matches!(told[..], [FromBridge::Gone { .. }, FromBridge::Seen { .. }]), "{told:?}");
        assert_eq!(devices.all().len(), MOST_STRANGERS + 1, "and the added one has its place beside them");
        assert!(devices.greeted(&hello(2), at(9), after(2011)).1);
    }
}
