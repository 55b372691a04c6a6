//! Devices as the house knows them: which id, which services, what was told of them, and which ones the owner added.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, Format, FromBridge, Origin, Property, Reach, Service, Source, Target,
    Timestamp, Told, Value, What, catalogue,
};
use accord_store::{JsonFile, create_private_dir};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::core::cast::{self, Loudness};
use crate::core::finder::Found;
use crate::core::txt::HardwareId;

/// Most devices that can be added, and the largest file of them.
const MOST: usize = 256;
const LARGEST: u64 = 1 << 20;
/// When a device was seen is kept no more often than this.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// What the owner decided does not age.
const FRESH_FOR_S: u64 = 10 * 365 * 86_400;
/// How long what plays and where it is holds, and the rest.
const PLAYING_FRESH_S: u64 = 10;
const STATE_FRESH_S: u64 = 3600;
/// What a loudspeaker's stream carries.
const SOUND: &str = "s16le 44100 2";

/// A device that the owner added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    pub hardware: String,
    pub name: String,
    pub kind: DeviceKind,
    pub maker: Option<String>,
    pub model: Option<String>,
    pub since: Timestamp,
    /// Where it was last, and when that was noted.
    pub address: Option<SocketAddr>,
    pub seen: Option<Timestamp>,
}

/// A device that is known.
pub(crate) struct Known {
    pub id: DeviceId,
    pub hardware: HardwareId,
    pub name: String,
    kind: DeviceKind,
    maker: Option<String>,
    model: Option<String>,
    /// Where it is, while it is here.
    pub found: Option<Found>,
    pub seen: Option<Timestamp>,
    pub address: Option<SocketAddr>,
    pub loudness: Loudness,
    values: BTreeMap<(&'static str, &'static str), Value>,
}

/// The id of a device. It says so itself, and nothing proves it.
fn id_of(hardware: &HardwareId) -> DeviceId {
    let mut hash = Sha256::new();
    hash.update(b"accord airplay device ");
    hash.update(hardware.as_str());
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    DeviceId::new(format!("airplay-{digits}")).expect("hexadecimal digits make an id")
}

impl Known {
    fn of(found: &Found) -> Self {
        Self {
            id: id_of(&found.id),
            hardware: found.id.clone(),
            name: found.name.clone(),
            kind: found.kind,
            maker: found.maker.clone(),
            model: found.model.clone(),
            found: Some(found.clone()),
            seen: Some(Timestamp::now()),
            address: Some(found.at.into()),
            loudness: Loudness::default(),
            values: BTreeMap::new(),
        }
    }

    fn remembered(added: &Added) -> Option<Self> {
        let hardware = HardwareId::parse(&added.hardware)?;
        Some(Self {
            id: id_of(&hardware),
            hardware,
            name: added.name.clone(),
            kind: added.kind,
            maker: added.maker.clone(),
            model: added.model.clone(),
            found: None,
            seen: added.seen,
            address: added.address,
            loudness: Loudness::default(),
            values: BTreeMap::new(),
        })
    }

    fn added(&self, since: Timestamp) -> Added {
        Added {
            hardware: self.hardware.as_str().to_owned(),
            name: self.name.clone(),
            kind: self.kind,
            maker: self.maker.clone(),
            model: self.model.clone(),
            since,
            address: self.address,
            seen: self.seen,
        }
    }

    fn describe(&self, added: Option<&Added>) -> Device {
        let mut device = Device::new(self.id.clone(), self.kind, self.name.clone());
        (device.maker, device.model) = (self.maker.clone(), self.model.clone());
        device.passing = added.is_none();
        device.claims = Claims::broadcast(self.address.map(|at| at.ip())).hardware(self.hardware.as_str());
        device.told = self.told();
        device.reach = if self.found.is_some() { Reach::Local } else { Reach::Offline };
        // A device on which nothing can be played in the open offers nothing; it is known, and `why` says what is the matter.
        let plays = self.found.as_ref().map_or(added.is_some(), |found| found.obstacle.is_none());
        if plays {
            device = device.with(self.with_values(self.media())).with(self.with_values(self.volume()));
        }
        device.with(pairing(added))
    }

    /// What it announced of itself.
    fn told(&self) -> Vec<Told> {
        let told = |what, text: &str| Told::new(Origin::AirplayTxt, what, text);
        let maker = self.maker.iter().map(|maker| told(What::Maker, maker));
        let model = self.model.iter().map(|model| told(What::Model, model));
        let does = match self.kind {
            DeviceKind::Tv => Some(told(What::Does, "video")),
            DeviceKind::Speaker => Some(told(What::Does, "audio")),
            _ => None,
        };
        maker.chain(model).chain(does).collect()
    }

    fn media(&self) -> Service {
        let mut media = catalogue::media();
        media.label = Some(self.name.clone());
        media.properties.retain(|one| matches!(one.id.as_str(), "playing" | "position" | "volume"));
        for property in media.properties.iter_mut().filter(|one| one.id == "position") {
            property.write = false;
        }
        // Whether it really plays: that it takes what it is sent is not enough.
        media.properties.push(Property::state("moving", Format::Bool));
        media.properties.push(catalogue::media_sound());
        media.actions.retain(|one| matches!(one.id.as_str(), "play" | "pause" | "play-pause" | "stop"));
        media
    }

    fn volume(&self) -> Service {
        let mut volume = catalogue::volume();
        volume.label = Some(self.name.clone());
        volume.properties.retain(|one| matches!(one.id.as_str(), "level" | "muted"));
        volume
    }

    fn with_values(&self, mut service: Service) -> Service {
        let of_service = self.values.iter().filter(|((id, _), _)| *id == service.id);
        service.values = of_service.map(|((_, property), value)| ((*property).to_owned(), value.clone())).collect();
        if service.id == "media" {
            let data = Data::Text(SOUND.to_owned());
            let sound = Value { data, seen: Timestamp::UNIX_EPOCH, source: Source::Assumed, fresh_for_s: FRESH_FOR_S };
            service.values.insert("sound".to_owned(), sound);
        }
        service
    }
}

fn pairing(added: Option<&Added>) -> Service {
    let mut pairing = catalogue::pairing();
    pairing.properties.push(Property::state("verified", Format::Bool));
    pairing.values = pairing_values(added);
    pairing
}

fn pairing_values(added: Option<&Added>) -> BTreeMap<String, Value> {
    let seen = added.map_or(Timestamp::UNIX_EPOCH, |added| added.since);
    let value = |data| Value { data: Data::Bool(data), seen, source: Source::Assumed, fresh_for_s: FRESH_FOR_S };
    BTreeMap::from([("paired".to_owned(), value(added.is_some())), ("verified".to_owned(), value(false))])
}

/// All that are known.
pub(crate) struct Devices {
    known: BTreeMap<DeviceId, Known>,
    added: BTreeMap<DeviceId, Added>,
    file: JsonFile,
    saved: Option<Instant>,
}

impl Devices {
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        create_private_dir(folder).map_err(|error| error.to_string())?;
        let file = JsonFile::new(folder.join("added.json"), LARGEST);
        let added: BTreeMap<DeviceId, Added> =
            file.load().map_err(|error| format!("{}: {error}", file.path().display()))?;
        let known = added.values().filter_map(Known::remembered).map(|known| (known.id.clone(), known)).collect();
        Ok(Self { known, added, file, saved: None })
    }

    pub(crate) fn get(&self, id: &DeviceId) -> Option<&Known> {
        self.known.get(id)
    }
    pub(crate) fn is_added(&self, id: &DeviceId) -> bool {
        self.added.contains_key(id)
    }
    /// The added ones, by the addresses that they announce.
    pub(crate) fn kept(&self) -> BTreeSet<HardwareId> {
        self.added.values().filter_map(|added| HardwareId::parse(&added.hardware)).collect()
    }
    pub(crate) fn all(&self) -> Vec<FromBridge> {
        self.known.values().map(|known| self.seen(known)).collect()
    }

    /// A device is here, or changed.
    pub(crate) fn found(&mut self, found: &Found) -> FromBridge {
        let mut known = Known::of(found);
        if let Some(before) = self.known.remove(&known.id) {
            (known.loudness, known.values) = (before.loudness, before.values);
        }
        let id = known.id.clone();
        self.known.insert(id.clone(), known);
        self.note(&id);
        self.told(&id)
    }

    /// A device is gone.
    pub(crate) fn lost(&mut self, hardware: &HardwareId) -> Option<FromBridge> {
        let id = id_of(hardware);
        let known = self.known.get_mut(&id)?;
        if !self.added.contains_key(&id) {
            self.known.remove(&id);
            return Some(FromBridge::Gone { device: id });
        }
        known.found = None;
        self.note(&id);
        Some(self.told(&id))
    }

    /// All that are here are not any more, as far as we know.
    pub(crate) fn all_lost(&mut self) -> Vec<FromBridge> {
        let all: Vec<HardwareId> = self.known.values().map(|known| known.hardware.clone()).collect();
        all.iter().filter_map(|hardware| self.lost(hardware)).collect()
    }

    /// The owner adds a device, or not any more.
    pub(crate) fn add(&mut self, id: &DeviceId, yes: bool) -> Result<Vec<FromBridge>, String> {
        let known = self.known.get(id).ok_or("no such device is known")?;
        let mut all = self.added.clone();
        if !yes {
            all.remove(id);
        } else if let Some(obstacle) = known.found.as_ref().and_then(|found| found.obstacle) {
            return Err(format!("nothing can be played on it: {obstacle}"));
        } else if all.len() >= MOST && !all.contains_key(id) {
            return Err(format!("more than {MOST} devices were added; remove some first"));
        } else {
            all.insert(id.clone(), known.added(Timestamp::now()));
        }
        self.file.save(&all).map_err(|error| error.to_string())?;
        self.added = all;
        if !yes && self.known.get(id).is_some_and(|known| known.found.is_none()) {
            self.known.remove(id);
            return Ok(vec![FromBridge::Gone { device: id.clone() }]);
        }
        let values = pairing_values(self.added.get(id));
        Ok(vec![self.told(id), FromBridge::Values { device: id.clone(), target: Target::new("pairing"), values }])
    }

    /// How loud it is to be, for the next cast too.
    pub(crate) fn loudness(&mut self, id: &DeviceId, loudness: Loudness) {
        if let Some(known) = self.known.get_mut(id) {
            known.loudness = loudness;
        }
    }

    /// What is known of it now, in the words of the house; only what is new, and what ages.
    pub(crate) fn values(&mut self, id: &DeviceId, said: &[cast::Value]) -> Vec<FromBridge> {
        let Some(known) = self.known.get_mut(id) else { return Vec::new() };
        let mut told: BTreeMap<&'static str, BTreeMap<String, Value>> = BTreeMap::new();
        for (service, property, data) in said.iter().flat_map(words) {
            let ages = matches!(property, "playing" | "position" | "moving");
            let before = known.values.get(&(service, property));
            if !ages && before.is_some_and(|before| before.data == data) {
                continue;
            }
            let fresh_for_s = if ages { PLAYING_FRESH_S } else { STATE_FRESH_S };
            let value = Value { data, seen: Timestamp::now(), source: Source::Polled, fresh_for_s };
            known.values.insert((service, property), value.clone());
            told.entry(service).or_default().insert(property.to_owned(), value);
        }
        let message =
            |(service, values)| FromBridge::Values { device: id.clone(), target: Target::new(service), values };
        told.into_iter().map(message).collect()
    }

    /// What is known of a service, by property.
    pub(crate) fn read(&self, id: &DeviceId, service: &str, wanted: &[String]) -> BTreeMap<String, Data> {
        let values = self.known.get(id).map(|known| &known.values).into_iter().flatten();
        let fits = |property: &str| wanted.is_empty() || wanted.iter().any(|one| one == property);
        let fitting = values.filter(|((of, property), _)| *of == service && fits(property));
        fitting.map(|((_, property), value)| ((*property).to_owned(), value.data.clone())).collect()
    }

    /// Keeps what is new of an added one.
    fn note(&mut self, id: &DeviceId) {
        let (Some(added), Some(known)) = (self.added.get(id), self.known.get(id)) else { return };
        let now = known.added(added.since);
        if now == *added {
            return;
        }
        let only_seen = Added { seen: added.seen, ..now.clone() } == *added;
        self.added.insert(id.clone(), now);
        if only_seen && self.saved.is_some_and(|saved| saved.elapsed() < SEEN_EVERY) {
            return;
        }
        self.saved = Some(Instant::now());
        if let Err(error) = self.file.save(&self.added) {
            tracing::warn!(%error, "what is new of a device is not kept");
        }
    }

    fn told(&self, id: &DeviceId) -> FromBridge {
        match self.known.get(id) {
            Some(known) => self.seen(known),
            None => FromBridge::Gone { device: id.clone() },
        }
    }

    fn seen(&self, known: &Known) -> FromBridge {
        FromBridge::Seen { device: known.describe(self.added.get(&known.id)) }
    }
}

/// The catalogue's words for it.
fn words(value: &cast::Value) -> Vec<(&'static str, &'static str, Data)> {
    use cast::Value as Said;
    let media = |property, data| ("media", property, data);
    match *value {
        Said::Playing(playing) => vec![media("playing", playing.into())],
        Said::Moving(moving) => vec![media("moving", moving.into())],
        Said::Position(seconds) => vec![media("position", Data::Float(seconds))],
        Said::Volume(percent) => {
            let percent = Data::Int(i64::from(percent));
            vec![media("volume", percent.clone()), ("volume", "level", percent)]
        }
        Said::Muted(muted) => vec![("volume", "muted", muted.into())],
    }
}
