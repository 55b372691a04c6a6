//! Screens as the house knows them: which services, what was told of them, and which ones the owner added.

use std::collections::BTreeMap;
use std::net::IpAddr;

use accord_model::{
    Data, Device, DeviceId, DeviceKind, Format, FromBridge, Property, Reach, Role, Service, Source, Timestamp, Value,
    catalogue,
};
use accord_ports::added::{Record, Register, STATE_S, Values, pairing};
use accord_store::Vault;
use serde::{Deserialize, Serialize};

use crate::core::pages::Page;

/// A screen that the owner added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    pub name: String,
    pub kind: DeviceKind,
    pub maker: Option<String>,
    pub model: Option<String>,
    pub since: Timestamp,
    /// Where it was last, and when.
    pub address: Option<IpAddr>,
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

/// A screen that is known.
pub(crate) struct Known {
    pub name: String,
    pub seen: Option<Timestamp>,
    pub address: Option<IpAddr>,
    /// Its page is open.
    pub here: bool,
    /// That page is at another address than the one that the owner added.
    moved: bool,
    kind: DeviceKind,
    maker: Option<String>,
    model: Option<String>,
    agent: Option<String>,
    formats: Vec<String>,
    values: Values,
}

impl Known {
    fn remembered(added: &Added) -> Self {
        Self {
            name: added.name.clone(),
            seen: added.seen,
            address: added.address,
            here: false,
            moved: false,
            kind: added.kind,
            maker: added.maker.clone(),
            model: added.model.clone(),
            agent: None,
            formats: Vec::new(),
            values: Values::default(),
        }
    }

    fn added(&self, since: Timestamp) -> Added {
        Added {
            name: self.name.clone(),
            kind: self.kind,
            maker: self.maker.clone(),
            model: self.model.clone(),
            since,
            address: self.address,
            seen: self.seen,
        }
    }

    fn describe(&self, id: &DeviceId, added: Option<&Added>) -> Device {
        let mut device = Device::new(id.clone(), self.kind, self.name.clone());
        (device.maker, device.model) = (self.maker.clone(), self.model.clone());
        device.passing = added.is_none();
        let added = added.filter(|_| !self.moved);
        device.reach = if self.here { Reach::Local } else { Reach::Offline };
        let mut device = device.with(pairing(added.map(|added| added.since)));
        if let Some(agent) = &self.agent {
            // From this the kind and the maker were guessed.
            let mut information = catalogue::information();
            information.properties.retain(|one| one.id == "software");
            information.values.insert("software".to_owned(), said(Data::Text(agent.clone()), STATE_S));
            device = device.with(information);
        }
        if added.is_none() {
            return device;
        }
        let mut volume = catalogue::volume();
        volume.label = Some(self.name.clone());
        volume.properties.retain(|one| one.id != "default");
        let mut screen = catalogue::screen();
        screen.label = Some(self.name.clone());
        device.with(self.media()).with(self.values.fill(volume)).with(self.values.fill(screen))
    }

    fn media(&self) -> Service {
        let mut media = catalogue::media();
        media.label = Some(self.name.clone());
        media.properties.retain(|one| !matches!(one.id.as_str(), "shuffle" | "loop" | "artwork" | "artist" | "album"));
        media.actions.retain(|one| !matches!(one.id.as_str(), "next" | "previous"));
        // Whether the position really advances: that it plays is only its word. And what keeps it from playing.
        media.properties.push(Property::state("moving", Format::Bool));
        media.properties.push(Property { role: Role::Diagnostic, ..Property::state("trouble", Format::Text) });
        media.properties.push(catalogue::media_address());
        media.properties.push(catalogue::media_formats());
        media.actions.push(catalogue::open_media());
        let mut media = self.values.fill(media);
        if let Some(address) = self.address.filter(|_| self.here) {
            media.values.insert("address".to_owned(), said(Data::Text(address.to_string()), STATE_S));
            media.values.insert("formats".to_owned(), said(Data::Texts(self.formats.clone()), STATE_S));
        }
        media
    }
}

fn said(data: Data, fresh_for_s: u64) -> Value {
    Value { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s }
}

/// All that are known.
pub(crate) struct Devices {
    known: BTreeMap<DeviceId, Known>,
    added: Register<Added>,
}

impl Devices {
    pub(crate) fn open(folder: &Vault) -> Result<Self, String> {
        let added: Register<Added> = Register::open(folder)?;
        let known = added.all().iter().map(|(id, added)| (id.clone(), Known::remembered(added))).collect();
        Ok(Self { known, added })
    }

    pub(crate) fn get(&self, id: &DeviceId) -> Option<&Known> {
        self.known.get(id)
    }
    /// The owner added it, and it is the one that is here, if any is.
    pub(crate) fn is_added(&self, id: &DeviceId) -> bool {
        self.is_kept(id) && !self.is_moved(id)
    }
    /// The owner added it.
    pub(crate) fn is_kept(&self, id: &DeviceId) -> bool {
        self.added.get(id).is_some()
    }
    /// What is here is at another address than what the owner added.
    pub(crate) fn is_moved(&self, id: &DeviceId) -> bool {
        self.known.get(id).is_some_and(|known| known.moved)
    }
    /// With the address of each.
    pub(crate) fn all_added(&self) -> BTreeMap<DeviceId, Option<IpAddr>> {
        self.added.all().iter().map(|(id, added)| (id.clone(), added.address)).collect()
    }
    pub(crate) fn all(&self) -> Vec<FromBridge> {
        self.known.keys().map(|id| self.told(id)).collect()
    }

    /// A page was opened.
    pub(crate) fn came(&mut self, id: &DeviceId, page: &Page) -> FromBridge {
        let about = &page.about;
        // The owner knows an added one by the name that it had then.
        let name = self.added.get(id).map_or_else(|| about.name.clone(), |added| added.name.clone());
        let known = Known {
            name,
            seen: Some(Timestamp::now()),
            address: Some(page.address),
            here: true,
            moved: page.moved,
            kind: about.kind,
            maker: about.maker.clone(),
            model: about.model.clone(),
            agent: about.agent.clone(),
            formats: page.formats.clone(),
            values: Values::default(),
        };
        self.known.insert(id.clone(), known);
        self.note(id);
        self.told(id)
    }

    /// A page is not open any more.
    pub(crate) fn left(&mut self, id: &DeviceId) -> Option<FromBridge> {
        let known = self.known.get_mut(id)?;
        (known.here, known.seen) = (false, Some(Timestamp::now()));
        known.values.clear();
        match self.added.get(id) {
            None => drop(self.known.remove(id)),
            Some(added) if known.moved => *known = Known::remembered(added),
            Some(_) => {}
        }
        self.note(id);
        Some(self.told(id))
    }

    /// The owner adds a screen, or not any more.
    pub(crate) fn add(&mut self, id: &DeviceId, yes: bool) -> Result<Vec<FromBridge>, String> {
        let known = self.known.get(id).ok_or("no such device is known")?;
        self.added.set(id, yes.then(|| known.added(Timestamp::now())))?;
        if !yes && !known.here {
            self.known.remove(id);
            return Ok(vec![FromBridge::Gone { device: id.clone() }]);
        }
        if let Some(known) = self.known.get_mut(id) {
            known.moved = false;
        }
        Ok(vec![self.told(id), self.added.paired(id)])
    }

    /// What its page says of itself now; only what is new, and what ages.
    pub(crate) fn said(&mut self, id: &DeviceId, page: &Page) -> Vec<FromBridge> {
        let state = &page.state;
        let percent = Data::Int(state.volume.round() as i64);
        let trouble = state.trouble.clone().unwrap_or_default();
        let now = [
            ("media", "playing", state.playing.into()),
            ("media", "moving", page.moving.into()),
            ("media", "position", Data::Float(state.position)),
            ("media", "length", Data::Float(state.length)),
            ("media", "volume", percent.clone()),
            ("media", "trouble", Data::Text(trouble)),
            ("volume", "level", percent),
            ("volume", "muted", state.muted.into()),
            ("screen", "showing", state.screen.into()),
        ];
        // A length of nothing is said only where one was said before.
        let known = self.known.get(id).is_some_and(|known| known.values.has("media", "length"));
        let told = |(_, property, _): &(&str, &str, Data)| *property != "length" || state.length > 0.0 || known;
        self.values(id, now.into_iter().filter(told).collect())
    }

    /// What it was told to play.
    pub(crate) fn titled(&mut self, id: &DeviceId, title: &str) -> Vec<FromBridge> {
        self.values(id, vec![("media", "title", Data::Text(title.to_owned()))])
    }

    fn values(&mut self, id: &DeviceId, now: Vec<(&'static str, &'static str, Data)>) -> Vec<FromBridge> {
        if !self.is_added(id) {
            return Vec::new();
        }
        let Some(known) = self.known.get_mut(id) else { return Vec::new() };
        known.values.take(id, Source::Pushed, now)
    }

    /// What is known of a service, by property.
    pub(crate) fn read(&self, id: &DeviceId, service: &str, wanted: &[String]) -> BTreeMap<String, Data> {
        self.known.get(id).map(|known| known.values.read(service, wanted)).unwrap_or_default()
    }

    /// Keeps what is new of an added one.
    fn note(&mut self, id: &DeviceId) {
        let (Some(added), Some(known)) = (self.added.get(id), self.known.get(id)) else { return };
        // What its page would say of it is not believed yet.
        if known.moved {
            return;
        }
        let now = known.added(added.since);
        self.added.note(id, now);
    }

    fn told(&self, id: &DeviceId) -> FromBridge {
        match self.known.get(id) {
            Some(known) => FromBridge::Seen { device: known.describe(id, self.added.get(id)) },
            None => FromBridge::Gone { device: id.clone() },
        }
    }
}
