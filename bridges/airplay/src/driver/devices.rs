//! Devices as the house knows them: which id, which services, what was told of them, and which ones the owner added.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, Format, FromBridge, Origin, Property, Reach, Service, Source,
    Timestamp, Told, Value, What, catalogue,
};
use accord_ports::added::{self, Known as _, LASTING_S, Record, Values, device_id, pairing};
use serde::{Deserialize, Serialize};

use crate::core::cast::{self, Loudness};
use crate::core::finder::Found;
use crate::core::txt::HardwareId;

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

impl Record for Added {
    fn since(&self) -> Timestamp {
        self.since
    }
    fn seen(&mut self) -> &mut Option<Timestamp> {
        &mut self.seen
    }
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
    /// How loud it is to be, for the next cast too.
    pub loudness: Loudness,
    values: Values,
}

impl Known {
    pub(crate) fn of(found: &Found) -> Self {
        Self {
            id: Self::id_of(&found.id),
            hardware: found.id.clone(),
            name: found.name.clone(),
            kind: found.kind,
            maker: found.maker.clone(),
            model: found.model.clone(),
            found: Some(found.clone()),
            seen: Some(Timestamp::now()),
            address: Some(found.at.into()),
            loudness: Loudness::default(),
            values: Values::default(),
        }
    }

    /// What is known of it now, in the words of the house; only what is new, and what ages.
    pub(crate) fn take(&mut self, said: &[cast::Value]) -> Vec<FromBridge> {
        self.values.take(&self.id, Source::Polled, said.iter().flat_map(words))
    }

    /// What is known of a service, by property.
    pub(crate) fn read(&self, service: &str, wanted: &[String]) -> BTreeMap<String, Data> {
        self.values.read(service, wanted)
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

    fn with_values(&self, service: Service) -> Service {
        let mut service = self.values.fill(service);
        if service.id == "media" {
            let data = Data::Text(SOUND.to_owned());
            let sound = Value { data, seen: Timestamp::UNIX_EPOCH, source: Source::Assumed, fresh_for_s: LASTING_S };
            service.values.insert("sound".to_owned(), sound);
        }
        service
    }
}

impl added::Known for Known {
    type Announced = HardwareId;
    type Added = Added;

    fn id_of(hardware: &HardwareId) -> DeviceId {
        device_id("airplay", hardware.as_str())
    }

    fn remembered(added: &Added) -> Option<Self> {
        let hardware = HardwareId::parse(&added.hardware)?;
        Some(Self {
            id: Self::id_of(&hardware),
            hardware,
            name: added.name.clone(),
            kind: added.kind,
            maker: added.maker.clone(),
            model: added.model.clone(),
            found: None,
            seen: added.seen,
            address: added.address,
            loudness: Loudness::default(),
            values: Values::default(),
        })
    }

    fn announced(&self) -> &HardwareId {
        &self.hardware
    }

    fn id(&self) -> &DeviceId {
        &self.id
    }

    fn is_here(&self) -> bool {
        self.found.is_some()
    }

    fn leave(&mut self) {
        self.found = None;
    }

    fn succeed(&mut self, before: Self) {
        (self.loudness, self.values) = (before.loudness, before.values);
    }

    fn can_be_added(&self) -> Result<(), String> {
        let obstacle = self.found.as_ref().and_then(|found| found.obstacle);
        obstacle.map_or(Ok(()), |obstacle| Err(format!("nothing can be played on it: {obstacle}")))
    }

    fn record(&self, before: Option<&Added>) -> Added {
        Added {
            hardware: self.hardware.as_str().to_owned(),
            name: self.name.clone(),
            kind: self.kind,
            maker: self.maker.clone(),
            model: self.model.clone(),
            since: before.map_or_else(Timestamp::now, |before| before.since),
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
        device.with(pairing(added.map(|added| added.since)))
    }
}

/// All that are known.
pub(crate) type Devices = added::Devices<Known>;

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
