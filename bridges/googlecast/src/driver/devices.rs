//! Cast devices as the house knows them: which id, which services, what was told of them, and which ones the owner added.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, Format, FromBridge, Origin, Property, Reach, Role, Service, Source,
    Timestamp, Told, Value, What, catalogue,
};
use accord_ports::added::{self, Known as _, Record, STATE_S, Values, device_id, pairing};
use serde::{Deserialize, Serialize};

use crate::core::advert::{Abilities, CastId};
use crate::core::discovery::Found;
use crate::core::session::{self, Offers};
use accord_ports::tls::Key;

/// What the default media receiver plays (developers.google.com/cast/docs/media), on nearly every device.
const SOUNDS: [&str; 8] = [
    "audio/mpeg",
    "audio/mp4",
    "audio/aac",
    "audio/flac",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "application/x-mpegurl",
];
const PICTURES: [&str; 8] = [
    "video/mp4",
    "video/webm",
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "application/dash+xml",
    "text/vtt",
];

/// A device that the owner added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    pub cast: String,
    pub name: String,
    pub model: Option<String>,
    pub video: bool,
    pub group: bool,
    pub since: Timestamp,
    /// Where it was last, and when that was noted.
    pub address: Option<SocketAddr>,
    pub seen: Option<Timestamp>,
    /// The hash of the key that it showed last, and when it showed another one than before.
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub changed: Option<Changed>,
    /// As what it is known since it was added.
    #[serde(default)]
    pub pin: Option<Pin>,
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
    /// It showed this key, where it is. True when it is another one than before: then the first is remembered. Added anew, it may
    /// show any key.
    pub(crate) fn shows(&mut self, key: Key, host: Option<Ipv4Addr>) -> bool {
        let hex = key.to_string();
        if let Some(host) = host {
            Pin::admits(&mut self.pin, key, host);
        }
        let Some(from) = self.key.replace(hex.clone()).filter(|before| *before != hex) else { return false };
        self.changed = Some(Changed { at: Timestamp::now(), from, to: hex });
        true
    }

    /// Whether what is at `host` now is not what was added, as far as can be told.
    pub(crate) fn is_other(&self, host: Ipv4Addr) -> bool {
        self.pin.as_ref().is_some_and(|pin| pin.host != host && self.key.as_ref() != Some(&pin.key))
    }
}

/// As what a device is known: its key and where it is. Either changes by itself now and then, and is followed; both at once
/// are what another device would show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    key: String,
    host: Ipv4Addr,
}

impl Pin {
    /// Whether this is still the device; then it is known as this from now on.
    pub(crate) fn admits(pin: &mut Option<Self>, key: Key, host: Ipv4Addr) -> bool {
        let key = key.to_string();
        if pin.as_ref().is_some_and(|pin| pin.key != key && pin.host != host) {
            return false;
        }
        *pin = Some(Self { key, host });
        true
    }
}

/// The device showed another key than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub at: Timestamp,
    pub from: String,
    pub to: String,
}

/// A device that is known.
pub(crate) struct Known {
    pub id: DeviceId,
    pub cast: CastId,
    pub name: String,
    pub model: Option<String>,
    abilities: Abilities,
    /// Where it is, while it is here.
    pub at: Option<SocketAddrV4>,
    /// It is here, and does not take a connection: why.
    pub down: Option<String>,
    /// It is connected.
    pub up: bool,
    pub seen: Option<Timestamp>,
    pub address: Option<SocketAddr>,
    offers: Offers,
    values: Values,
}

impl Known {
    pub(crate) fn of(found: &Found) -> Self {
        let advert = &found.advert;
        Self {
            id: Self::id_of(&advert.id),
            cast: advert.id.clone(),
            name: advert.name.clone(),
            model: advert.model.clone(),
            abilities: advert.abilities,
            at: Some(found.at),
            down: None,
            up: false,
            seen: Some(Timestamp::now()),
            address: Some(found.at.into()),
            offers: Offers::default(),
            values: Values::default(),
        }
    }

    /// It answers.
    pub(crate) fn rise(&mut self) -> bool {
        (self.up, self.down, self.seen) = (true, None, Some(Timestamp::now()));
        true
    }

    /// It does not take a connection; whether that is new.
    pub(crate) fn fall(&mut self, why: String) -> bool {
        self.up = false;
        self.values.clear();
        self.down.replace(why).is_none()
    }

    /// What it can do; whether that is new.
    pub(crate) fn offer(&mut self, offers: Offers) -> bool {
        std::mem::replace(&mut self.offers, offers) != offers
    }

    /// What it says of itself now, in the words of the house; only what is new, and what ages.
    pub(crate) fn take(&mut self, said: Vec<session::Value>) -> Vec<FromBridge> {
        let mut messages = self.values.take(&self.id, Source::Polled, said.into_iter().flat_map(words));
        messages.retain(|message| self.offers.volume || !is_of(message, "volume"));
        messages
    }

    /// What is known of a service, by property.
    pub(crate) fn read(&self, service: &str, wanted: &[String]) -> BTreeMap<String, Data> {
        self.values.read(service, wanted)
    }

    /// What it said of its model, and whether it is only heard.
    fn told(&self) -> Vec<Told> {
        let told = |what, text: &str| Told::new(Origin::CastTxt, what, text);
        let model = self.model.as_deref().map(|model| told(What::Model, model));
        let does = match self.abilities {
            Abilities { group: true, .. } => Some(told(What::Does, "group")),
            Abilities { video: false, .. } => Some(told(What::Does, "audio")),
            _ => None,
        };
        model.into_iter().chain(does).collect()
    }

    /// A loudspeaker says so; what it really plays depends on its generation, so that only what all of them play is said.
    fn formats(&self) -> Vec<String> {
        let pictures = PICTURES.into_iter().filter(|_| self.abilities.video);
        pictures.chain(SOUNDS).map(str::to_owned).collect()
    }

    fn media(&self) -> Service {
        let Offers { pause, seek, next, previous, volume, captions } = self.offers;
        let mut media = catalogue::media();
        media.label = Some(self.name.clone());
        media.properties.retain(|one| match one.id.as_str() {
            "shuffle" | "loop" | "artwork" => false,
            "volume" => volume,
            _ => true,
        });
        for property in media.properties.iter_mut().filter(|one| one.id == "position") {
            property.write = seek;
        }
        // Whether the position really advances: that it plays is only its word.
        media.properties.push(Property::state("moving", Format::Bool));
        if captions {
            media.properties.push(Property::state("captions", Format::Bool).writable());
        }
        // Several loudspeakers that play together.
        media.properties.push(Property { role: Role::Diagnostic, ..Property::state("group", Format::Bool) });
        media.properties.extend([
            catalogue::media_ours(),
            catalogue::media_ended(),
            catalogue::media_formats(),
            catalogue::media_address(),
        ]);
        media.actions.retain(|one| match one.id.as_str() {
            "pause" | "play-pause" => pause,
            "next" => next,
            "previous" => previous,
            _ => true,
        });
        media.actions.push(catalogue::open_media());
        media
    }

    fn volume(&self) -> Service {
        let mut volume = catalogue::volume();
        volume.label = Some(self.name.clone());
        volume.properties.retain(|one| matches!(one.id.as_str(), "level" | "muted"));
        volume
    }
}

impl added::Known for Known {
    type Announced = CastId;
    type Added = Added;

    fn id_of(cast: &CastId) -> DeviceId {
        device_id("googlecast", cast.as_str())
    }

    fn remembered(added: &Added) -> Option<Self> {
        let cast = CastId::parse(&added.cast)?;
        Some(Self {
            id: Self::id_of(&cast),
            cast,
            name: added.name.clone(),
            model: added.model.clone(),
            abilities: Abilities { video: added.video, audio: true, group: added.group },
            at: None,
            down: None,
            up: false,
            seen: added.seen,
            address: added.address,
            offers: Offers::default(),
            values: Values::default(),
        })
    }

    fn announced(&self) -> &CastId {
        &self.cast
    }

    fn id(&self) -> &DeviceId {
        &self.id
    }

    fn is_here(&self) -> bool {
        self.at.is_some()
    }

    fn leave(&mut self) {
        self.values.clear();
        (self.up, self.down, self.at) = (false, None, None);
    }

    fn succeed(&mut self, before: Self) {
        (self.offers, self.values) = (before.offers, before.values);
        if before.at == self.at {
            (self.down, self.up) = (before.down, before.up);
        }
    }

    fn begin_anew(&mut self, added: bool) {
        (self.up, self.down) = (false, None);
        if !added {
            self.values.clear();
        }
    }

    fn record(&self, before: Option<&Added>) -> Added {
        Added {
            cast: self.cast.as_str().to_owned(),
            name: self.name.clone(),
            model: self.model.clone(),
            video: self.abilities.video,
            group: self.abilities.group,
            since: before.map_or_else(Timestamp::now, |before| before.since),
            address: self.address,
            seen: self.seen,
            key: before.and_then(|before| before.key.clone()),
            changed: before.and_then(|before| before.changed.clone()),
            pin: before.and_then(|before| before.pin.clone()),
        }
    }

    fn describe(&self, added: Option<&Added>) -> Device {
        let kind = if self.abilities.video { DeviceKind::Tv } else { DeviceKind::Speaker };
        let mut device = Device::new(self.id.clone(), kind, self.name.clone());
        device.model = self.model.clone();
        // A group is announced by one of its loudspeakers, from that one's address, and is none of them.
        let address = self.at.map(|at| (*at.ip()).into()).filter(|_| !self.abilities.group);
        device.claims = Claims::broadcast(address).unique(self.cast.as_str());
        device.told = self.told();
        device.passing = added.is_none();
        device.reach = if self.at.is_some() && self.down.is_none() { Reach::Local } else { Reach::Offline };
        let mut media = self.values.fill(self.media());
        let mut say = |property: &str, data: Data| {
            let seen = self.seen.unwrap_or_default();
            let value = Value { data, seen, source: Source::Pushed, fresh_for_s: STATE_S };
            media.values.insert(property.to_owned(), value);
        };
        say("formats", Data::Texts(self.formats()));
        say("group", self.abilities.group.into());
        if let Some(at) = self.at {
            say("address", Data::Text(at.ip().to_string()));
        }
        let mut device = device.with(media);
        if self.offers.volume {
            device = device.with(self.values.fill(self.volume()));
        }
        device.with(pairing(added.map(|added| added.since)))
    }
}

/// All that are known.
pub(crate) type Devices = added::Devices<Known>;

fn is_of(message: &FromBridge, service: &str) -> bool {
    matches!(message, FromBridge::Values { target, .. } if target.service == service)
}

/// The catalogue's words for it.
fn words(value: session::Value) -> Vec<(&'static str, &'static str, Data)> {
    use session::Value as Said;
    let media = |property, data| vec![("media", property, data)];
    match value {
        Said::Playing(playing) => media("playing", playing.into()),
        Said::Moving(moving) => media("moving", moving.into()),
        Said::Position(seconds) => media("position", Data::Float(seconds)),
        Said::Length(seconds) => media("length", Data::Float(seconds)),
        Said::Captions(on) => media("captions", on.into()),
        Said::Ours(ours) => media("ours", ours.into()),
        Said::Ended(how) => media("ended", how.as_str().into()),
        Said::Track(title, artist, album) => {
            let text = |text: Option<String>| Data::Text(text.unwrap_or_default());
            [("title", title), ("artist", artist), ("album", album)].map(|(id, one)| ("media", id, text(one))).into()
        }
        Said::Volume(percent) => {
            let percent = Data::Int(i64::from(percent));
            vec![("media", "volume", percent.clone()), ("volume", "level", percent)]
        }
        Said::Muted(muted) => vec![("volume", "muted", muted.into())],
    }
}
