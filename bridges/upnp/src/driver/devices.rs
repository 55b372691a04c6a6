//! Renderers as the house knows them: which id, which services, what was told of them, and which ones the owner added.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use accord_model::{
    Action, Claims, Data, Device, DeviceId, DeviceKind, Format, FromBridge, Origin, Property, Reach, Service, Source,
    Timestamp, Told, Value, What, catalogue,
};
use accord_ports::added::{self, Known as _, Record, STATE_S, Said, Values, device_id, pairing};
use serde::{Deserialize, Serialize};

use crate::core::description::{Face, Renderer, Server};
use crate::core::discovery::Found;
use crate::core::renderer::{self, Formats, Offers};
use crate::core::ssdp::Udn;

/// A device that the owner added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    pub udn: String,
    pub name: String,
    pub kind: DeviceKind,
    pub maker: Option<String>,
    pub model: Option<String>,
    pub since: Timestamp,
    /// Where it was last, and when that was noted.
    pub address: Option<SocketAddr>,
    pub seen: Option<Timestamp>,
    /// It is a media server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server: bool,
}

impl Record for Added {
    fn since(&self) -> Timestamp {
        self.since
    }
    fn seen(&mut self) -> &mut Option<Timestamp> {
        &mut self.seen
    }
}

/// A renderer or media server that is known.
pub(crate) struct Known {
    pub id: DeviceId,
    pub udn: Udn,
    pub name: String,
    pub kind: DeviceKind,
    pub maker: Option<String>,
    pub model: Option<String>,
    /// Where it is, while it is here.
    pub found: Option<Found>,
    pub seen: Option<Timestamp>,
    pub address: Option<SocketAddr>,
    server: bool,
    offers: Offers,
    values: Values,
}

impl Known {
    pub(crate) fn of(found: &Found) -> Self {
        let described = &found.described;
        // What nearly all can do, until it says more.
        let volume = matches!(&described.face, Face::Renderer(renderer) if renderer.rendering.is_some());
        let server = matches!(described.face, Face::Server(_));
        Self {
            id: Self::id_of(&described.udn),
            udn: described.udn.clone(),
            name: described.name.clone(),
            kind: if server { DeviceKind::Other } else { DeviceKind::Tv },
            maker: described.maker.clone(),
            model: described.model.clone(),
            found: Some(found.clone()),
            seen: Some(Timestamp::now()),
            address: Some(found.location.at.into()),
            server,
            offers: Offers { pause: true, seek: true, volume, mute: volume, ..Offers::default() },
            values: Values::default(),
        }
    }

    /// By what it is asked, of a media server that is here.
    pub(crate) fn server(&self) -> Option<&Server> {
        match &self.found.as_ref()?.described.face {
            Face::Server(server) => Some(server),
            Face::Renderer(_) => None,
        }
    }

    /// What it can be told, and where, of a renderer that is here.
    pub(crate) fn renderer(&self) -> Option<&Renderer> {
        match &self.found.as_ref()?.described.face {
            Face::Renderer(renderer) => Some(renderer),
            Face::Server(_) => None,
        }
    }

    pub(crate) fn is_server(&self) -> bool {
        self.server
    }

    /// What a renderer can do; whether that is new.
    pub(crate) fn offer(&mut self, offers: Offers) -> bool {
        std::mem::replace(&mut self.offers, offers) != offers
    }

    /// What it plays says what it is; whether that is new.
    pub(crate) fn plays(&mut self, formats: &Formats) -> bool {
        let kind = match formats {
            Formats { video: true, .. } => DeviceKind::Tv,
            Formats { audio: true, .. } => DeviceKind::Speaker,
            _ => self.kind,
        };
        std::mem::replace(&mut self.kind, kind) != kind
    }

    /// What it says of itself now, in the words of the house; only what is new, and what ages.
    pub(crate) fn take(&mut self, said: impl IntoIterator<Item = Said>) -> Vec<FromBridge> {
        let mut messages = self.values.take(&self.id, Source::Polled, said);
        messages.retain(|message| self.offers.volume || !is_of(message, "volume"));
        messages
    }

    /// What is known of a service, by property.
    pub(crate) fn read(&self, service: &str, wanted: &[String]) -> BTreeMap<String, Data> {
        self.values.read(service, wanted)
    }

    /// What its description said; of one that is away, what was kept of it.
    pub(crate) fn told(&self) -> Vec<Told> {
        let told = |what, text: &str| Told::new(Origin::UpnpDescription, what, text);
        let kept = || {
            let maker = self.maker.iter().map(|maker| told(What::Maker, maker));
            maker.chain(self.model.iter().map(|model| told(What::Model, model))).collect()
        };
        let mut all = self.found.as_ref().map_or_else(kept, |found| found.described.told.clone());
        if self.kind == DeviceKind::Speaker {
            all.push(told(What::Does, "audio"));
        }
        all
    }

    fn media(&self) -> Service {
        let Offers { pause, seek, next, previous, volume, enqueue, .. } = self.offers;
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
        media.properties.push(catalogue::media_address());
        media.properties.push(catalogue::media_formats());
        media.actions.retain(|one| match one.id.as_str() {
            "pause" | "play-pause" => pause,
            "next" => next,
            "previous" => previous,
            _ => true,
        });
        media.actions.push(catalogue::open_media());
        if enqueue {
            // The same, for when this one is over; `turn` grows when it went on with that by itself.
            media.actions.push(Action { id: "enqueue".to_owned(), ..catalogue::open_media() });
            media.properties.push(Property::state("turn", Format::Int));
        }
        media
    }

    fn volume(&self) -> Service {
        let mut volume = catalogue::volume();
        volume.label = Some(self.name.clone());
        volume.properties.retain(|one| one.id == "level" || (one.id == "muted" && self.offers.mute));
        volume
    }
}

impl added::Known for Known {
    type Announced = Udn;
    type Added = Added;

    fn id_of(udn: &Udn) -> DeviceId {
        device_id("upnp", udn.as_str())
    }

    fn remembered(added: &Added) -> Option<Self> {
        let udn = Udn::parse(&added.udn)?;
        Some(Self {
            id: Self::id_of(&udn),
            udn,
            name: added.name.clone(),
            kind: added.kind,
            maker: added.maker.clone(),
            model: added.model.clone(),
            found: None,
            seen: added.seen,
            address: added.address,
            server: added.server,
            offers: Offers { pause: true, seek: true, volume: true, mute: true, ..Offers::default() },
            values: Values::default(),
        })
    }

    fn announced(&self) -> &Udn {
        &self.udn
    }

    fn id(&self) -> &DeviceId {
        &self.id
    }

    fn is_here(&self) -> bool {
        self.found.is_some()
    }

    fn leave(&mut self) {
        self.values.clear();
        self.found = None;
    }

    fn succeed(&mut self, before: Self) {
        if before.server == self.server {
            (self.kind, self.offers, self.values) = (before.kind, before.offers, before.values);
        }
    }

    fn record(&self, before: Option<&Added>) -> Added {
        Added {
            udn: self.udn.as_str().to_owned(),
            name: self.name.clone(),
            kind: self.kind,
            maker: self.maker.clone(),
            model: self.model.clone(),
            since: before.map_or_else(Timestamp::now, |before| before.since),
            address: self.address,
            seen: self.seen,
            server: self.server,
        }
    }

    fn describe(&self, added: Option<&Added>) -> Device {
        let mut device = Device::new(self.id.clone(), self.kind, self.name.clone());
        (device.maker, device.model) = (self.maker.clone(), self.model.clone());
        device.passing = added.is_none();
        device.claims = Claims::broadcast(self.address.map(|at| at.ip())).unique(self.udn.as_str());
        device.told = self.told();
        device.reach = if self.found.is_some() { Reach::Local } else { Reach::Offline };
        if self.server {
            let mut storage = catalogue::storage();
            storage.label = Some(self.name.clone());
            storage.actions.push(catalogue::storage_address());
            return device.with(storage).with(pairing(added.map(|added| added.since)));
        }
        let mut media = self.values.fill(self.media());
        if let Some(found) = &self.found {
            let (data, seen) = (Data::Text(found.location.at.ip().to_string()), self.seen.unwrap_or_default());
            let address = Value { data, seen, source: Source::Pushed, fresh_for_s: STATE_S };
            media.values.insert("address".to_owned(), address);
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
pub(crate) fn words(value: renderer::Value) -> Vec<Said> {
    use renderer::Value as Said;
    let media = |property, data| ("media", property, data);
    match value {
        Said::Playing(playing) => vec![media("playing", playing.into())],
        Said::Moving(moving) => vec![media("moving", moving.into())],
        Said::Position(seconds) => vec![media("position", Data::Float(seconds))],
        Said::Length(seconds) => vec![media("length", Data::Float(seconds))],
        Said::Track(track) => {
            let text = |text: Option<String>| Data::Text(text.unwrap_or_default());
            vec![
                media("title", text(track.title)),
                media("artist", text(track.artist)),
                media("album", text(track.album)),
            ]
        }
        Said::Volume(percent) => {
            let percent = Data::Int(i64::from(percent));
            vec![media("volume", percent.clone()), ("volume", "level", percent)]
        }
        Said::Turn(turn) => vec![media("turn", Data::Int(turn.into()))],
        Said::Muted(muted) => vec![("volume", "muted", muted.into())],
    }
}
