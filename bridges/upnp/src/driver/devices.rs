//! Renderers as the house knows them: which id, which services, what was told of them, and which ones the owner added.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use accord_model::{
    Action, Claims, Data, Device, DeviceId, DeviceKind, Format, FromBridge, Origin, Property, Reach, Service, Source,
    Timestamp, Told, Value, What, catalogue,
};
use accord_ports::added::{self, Record, Register, STATE_S, Values, device_id, pairing};
use accord_store::Vault;
use serde::{Deserialize, Serialize};

use crate::core::description::{Face, Server};
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

/// The id of a device. It says so itself, and nothing proves it.
fn id_of(udn: &Udn) -> DeviceId {
    device_id("upnp", udn.as_str())
}

impl Known {
    fn of(found: &Found) -> Self {
        let described = &found.described;
        // What nearly all can do, until it says more.
        let volume = matches!(&described.face, Face::Renderer(renderer) if renderer.rendering.is_some());
        let server = matches!(described.face, Face::Server(_));
        Self {
            id: id_of(&described.udn),
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

    pub(crate) fn is_server(&self) -> bool {
        self.server
    }

    fn remembered(added: &Added) -> Option<Self> {
        let udn = Udn::parse(&added.udn)?;
        Some(Self {
            id: id_of(&udn),
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
    type Added = Added;

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

    pub(crate) fn id(&self, udn: &Udn) -> Option<DeviceId> {
        Some(id_of(udn)).filter(|id| self.get(id).is_some())
    }
    /// The added ones, by the names that they announce.
    pub(crate) fn kept(&self) -> BTreeSet<Udn> {
        self.all_added().filter_map(|added| Udn::parse(&added.udn)).collect()
    }

    /// A device is here, or changed.
    pub(crate) fn found(&mut self, found: &Found) -> (DeviceId, FromBridge) {
        self.0.found(Known::of(found), |known, before| {
            if let Some(before) = before.filter(|before| before.server == known.server) {
                (known.kind, known.offers, known.values) = (before.kind, before.offers, before.values);
            }
        })
    }

    pub(crate) fn again(&mut self, id: &DeviceId) {
        if let Some(known) = self.get_mut(id) {
            known.seen = Some(Timestamp::now());
        }
    }

    /// What a renderer can do. `None`: nothing new.
    pub(crate) fn offers(&mut self, id: &DeviceId, offers: Offers) -> Option<FromBridge> {
        let known = self.get_mut(id).filter(|known| known.offers != offers)?;
        known.offers = offers;
        Some(self.told(id))
    }

    /// What it plays says what it is.
    pub(crate) fn formats(&mut self, id: &DeviceId, formats: Formats) -> Vec<FromBridge> {
        let Some(known) = self.get_mut(id) else { return Vec::new() };
        let kind = match formats {
            Formats { video: true, .. } => DeviceKind::Tv,
            Formats { audio: true, .. } => DeviceKind::Speaker,
            _ => known.kind,
        };
        let turned = std::mem::replace(&mut known.kind, kind) != kind;
        let mut messages = Vec::new();
        if turned {
            self.note(id);
            messages.push(self.told(id));
        }
        messages.extend(self.keep(id, [("media", "formats", Data::Texts(formats.types))]));
        messages
    }

    /// What it says of itself now, in the words of the house; only what is new, and what ages.
    pub(crate) fn values(&mut self, id: &DeviceId, said: Vec<renderer::Value>) -> Vec<FromBridge> {
        self.keep(id, said.into_iter().flat_map(words))
    }

    fn keep(
        &mut self,
        id: &DeviceId,
        said: impl IntoIterator<Item = (&'static str, &'static str, Data)>,
    ) -> Vec<FromBridge> {
        let Some(known) = self.get_mut(id) else { return Vec::new() };
        let mut messages = known.values.take(id, Source::Polled, said);
        messages.retain(|message| known.offers.volume || !is_of(message, "volume"));
        messages
    }

    /// What is known of a service, by property.
    pub(crate) fn read(&self, id: &DeviceId, service: &str, wanted: &[String]) -> BTreeMap<String, Data> {
        self.get(id).map(|known| known.values.read(service, wanted)).unwrap_or_default()
    }
}

fn is_of(message: &FromBridge, service: &str) -> bool {
    matches!(message, FromBridge::Values { target, .. } if target.service == service)
}

/// The catalogue's words for it.
fn words(value: renderer::Value) -> Vec<(&'static str, &'static str, Data)> {
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
