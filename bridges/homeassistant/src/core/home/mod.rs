//! What a Home Assistant has, in the words of the house: its entities in devices, and what is told of them. Registries and
//! states in, messages for the registry of the house out.

mod arrange;
mod count;
mod orders;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use accord_model::text::for_screen;
use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, FromBridge, Outputs, Reach, Source, Target, Timestamp, Value,
};
use accord_ports::added::{device_id, pairing};

use super::attr::{Attr, Attrs};
use super::map::{Category, Entity, Entry, Mapped, Part, kind, map};
use super::session::Registries;
use super::words::{Event, Item, State};
use arrange::{Arranged, Called, Place};
pub use count::Counts;
pub use orders::Order;

/// Most devices of one server; the house takes no more of a bridge.
pub const MOST_DEVICES: usize = 4000;
/// Most entities of one device.
const MOST_OF_ONE: usize = 200;
/// Most entities.
const MOST_ENTITIES: usize = super::words::MOST;
const MAX_NAME: usize = 64;

/// A server's own record of a device.
#[derive(Debug, Clone, Default)]
struct Known {
    name: Option<String>,
    maker: Option<String>,
    model: Option<String>,
    area: Option<String>,
    macs: Vec<String>,
}

/// The state of an entity.
#[derive(Debug, Clone)]
struct Now {
    state: String,
    attrs: Attrs,
    /// When that was said, in seconds since 1970.
    at: f64,
}

/// One device of ours.
#[derive(Debug)]
struct Placed {
    /// The server's id of it; none for an entity without one.
    native: Option<String>,
    /// In a lasting order.
    entities: Vec<String>,
    /// Where their parts went.
    places: Vec<Vec<Place>>,
}

/// What is new of an entity. Where its parts are is known once its device is arranged.
struct News {
    device: DeviceId,
    entity: String,
    what: What,
}

enum What {
    /// Values of a part, by their names.
    Said(usize, Vec<String>),
    /// Its button was pressed so.
    Pressed(String),
}

/// How much there is of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Devices of ours.
    pub devices: usize,
    /// Entities in them.
    pub entities: usize,
    /// Left out because there are too many.
    pub beyond: usize,
}

/// One server's things.
pub struct Home {
    server: DeviceId,
    /// Since when the owner has added it: its things are added with it.
    since: Timestamp,
    fahrenheit: bool,
    areas: HashMap<String, String>,
    known: HashMap<String, Known>,
    entries: HashMap<String, (usize, Entry)>,
    now: HashMap<String, Now>,
    devices: BTreeMap<DeviceId, Placed>,
    /// Devices from before, of which nothing was told yet.
    before: BTreeSet<DeviceId>,
    of: HashMap<String, DeviceId>,
    /// Left out because there are too many: of the registries, and of the states.
    beyond: (usize, usize),
    /// The next states are all that there are.
    anew: bool,
    /// It is told that nothing of it is reached.
    is_lost: bool,
    /// Colours that lamps were told a moment ago.
    colors: HashMap<String, ((f64, f64), Instant)>,
}

impl Home {
    /// Nothing is known yet.
    pub fn new(server: DeviceId, since: Timestamp) -> Self {
        Self {
            server,
            since,
            fahrenheit: false,
            areas: HashMap::new(),
            known: HashMap::new(),
            entries: HashMap::new(),
            now: HashMap::new(),
            devices: BTreeMap::new(),
            before: BTreeSet::new(),
            of: HashMap::new(),
            beyond: (0, 0),
            anew: true,
            is_lost: true,
            colors: HashMap::new(),
        }
    }

    /// These devices were there before: what the server does not tell of then is no more.
    #[must_use]
    pub fn remembering(mut self, before: impl IntoIterator<Item = DeviceId>) -> Self {
        self.before.extend(before);
        self
    }

    /// In which unit the server shows temperatures.
    pub fn temperatures(&mut self, sign: &Attr, now: Timestamp) -> Vec<FromBridge> {
        let fahrenheit = sign.text() == Some("°F");
        match std::mem::replace(&mut self.fahrenheit, fahrenheit) == fahrenheit {
            false if !self.anew => self.group(now),
            _ => Vec::new(),
        }
    }

    /// A connection begins: what comes next is all there is.
    pub fn begin(&mut self) {
        self.anew = true;
    }

    /// Whether what there is was not told yet on this connection.
    pub fn is_anew(&self) -> bool {
        self.anew
    }

    /// How much there is.
    pub fn summary(&self) -> Summary {
        Summary { devices: self.devices.len(), entities: self.of.len(), beyond: self.beyond() }
    }

    /// The registries as they are now.
    pub fn registries(&mut self, all: Registries, now: Timestamp) -> Vec<FromBridge> {
        self.beyond.0 = all.beyond;
        let text = |attr: &Attr| attr.text().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let shown =
            |attr: &Attr| attr.text().map(|text| for_screen(text.trim(), MAX_NAME)).filter(|text| !text.is_empty());
        self.areas = all.areas.iter().filter_map(|area| Some((text(&area.area_id)?, shown(&area.name)?))).collect();
        let device = |item: &Item| {
            let macs = item.connections.items().iter().filter_map(|pair| match pair.items() {
                [kind, mac] if kind.text() == Some("mac") => mac.text().map(str::to_owned),
                _ => None,
            });
            let known = Known {
                name: shown(&item.name_by_user).or_else(|| shown(&item.name)),
                maker: shown(&item.manufacturer),
                model: shown(&item.model),
                area: text(&item.area_id),
                macs: macs.take(4).collect(),
            };
            Some((text(&item.id)?, known))
        };
        self.known = all.devices.iter().filter_map(device).collect();
        let entry = |(order, item): (usize, &Item)| {
            let id = text(&item.ei).or_else(|| text(&item.entity_id))?;
            let entry = Entry {
                name: text(&item.en).or_else(|| text(&item.name)).or_else(|| text(&item.original_name)),
                category: match (item.ec.number(), item.entity_category.text()) {
                    (Some(0.0), _) | (_, Some("config")) => Some(Category::Config),
                    (Some(1.0), _) | (_, Some("diagnostic")) => Some(Category::Diagnostic),
                    _ => None,
                },
                device: text(&item.di).or_else(|| text(&item.device_id)),
                area: text(&item.ai).or_else(|| text(&item.area_id)),
                hidden: item.hb.bool() == Some(true) || item.hidden_by != Attr::None,
            };
            Some((id, (order, entry)))
        };
        self.entries = all.entities.iter().enumerate().filter_map(entry).collect();
        if self.anew { Vec::new() } else { self.group(now) }
    }

    /// States of entities, as they come.
    pub fn states(&mut self, event: Event, now: Timestamp) -> Vec<FromBridge> {
        if std::mem::take(&mut self.anew) {
            self.is_lost = false;
            self.now.clear();
            self.beyond.1 = event.added.beyond;
            for (id, state) in event.added.all {
                self.now.insert(id, Now::of(state));
            }
            return self.group(now);
        }
        let mut news = Vec::new();
        let mut dirty = BTreeSet::new();
        for (id, state) in event.added.all {
            self.put(&id, Now::of(state), &mut news, &mut dirty);
        }
        for (id, diff) in event.changed.all {
            let Some(before) = self.now.get(&id) else { continue };
            let mut after = before.clone();
            for name in diff.minus.a.texts() {
                after.attrs.remove(&name);
            }
            if let Some(plus) = diff.plus {
                after.extend(plus);
            }
            self.put(&id, after, &mut news, &mut dirty);
        }
        for id in event.removed.texts() {
            self.now.remove(&id);
            dirty.extend(self.leave(&id));
        }
        // Whole descriptions first: what is told of values is about them.
        let mut seen = Vec::new();
        for device in dirty {
            seen.extend(self.replace(&device, now));
        }
        for one in news {
            self.tell(one, &mut seen, now);
        }
        seen
    }

    /// The server is not reached: neither are its things.
    pub fn lost(&mut self) -> Vec<FromBridge> {
        self.anew = true;
        if std::mem::replace(&mut self.is_lost, true) {
            return Vec::new();
        }
        self.devices.keys().map(|id| FromBridge::Reach { device: id.clone(), reach: Reach::Offline }).collect()
    }

    /// Whether a device is one of the server's.
    pub fn has(&self, device: &DeviceId) -> bool {
        self.devices.contains_key(device)
    }

    /// All of its devices.
    pub fn ids(&self) -> impl Iterator<Item = &DeviceId> {
        self.devices.keys()
    }

    /// How many things were left out because there are too many.
    pub fn beyond(&self) -> usize {
        self.beyond.0.max(self.beyond.1)
    }

    // -- one entity ---------------------------------------------------------------------------------

    fn entity<'a>(&'a self, id: &'a str, now: &'a Now) -> Entity<'a> {
        const NONE: &Entry = &Entry { name: None, category: None, device: None, area: None, hidden: false };
        let entry = self.entries.get(id).map_or(NONE, |(_, entry)| entry);
        Entity { id, state: &now.state, attrs: &now.attrs, at: now.at, entry, fahrenheit: self.fahrenheit }
    }

    fn parts(&self, id: &str, now: &Now) -> Option<Vec<Part>> {
        match map(&self.entity(id, now)) {
            Mapped::Parts(parts) => Some(parts),
            Mapped::LeftOut(_) => None,
        }
    }

    /// An entity is so now.
    fn put(&mut self, id: &str, after: Now, news: &mut Vec<News>, dirty: &mut BTreeSet<DeviceId>) {
        let new = self.parts(id, &after);
        let Some(device) = self.of.get(id).cloned() else {
            if self.now.len() >= MOST_ENTITIES && !self.now.contains_key(id) {
                self.beyond.1 += 1;
                return;
            }
            // What is not shown is kept as well: what comes later is told as a difference from it, and it may be shown one day.
            self.now.insert(id.to_owned(), after);
            if new.is_some() {
                dirty.extend(self.join(id));
            }
            return;
        };
        let Some(new) = new else {
            self.now.insert(id.to_owned(), after);
            return dirty.extend(self.leave(id));
        };
        let Some(before) = self.now.insert(id.to_owned(), after) else { return };
        let Some(after) = self.now.get(id) else { return };
        let old = self.parts(id, &before).unwrap_or_default();
        let alike = old.len() == new.len() && old.iter().zip(&new).all(|(old, new)| old.service == new.service);
        let fewer =
            || old.iter().zip(&new).any(|(old, new)| old.values.keys().any(|key| !new.values.contains_key(key)));
        let unavailable = |now: &Now| now.state == "unavailable";
        if !alike
            || fewer()
            || unavailable(&before) != unavailable(after)
            || before.attrs.text("friendly_name") != after.attrs.text("friendly_name")
        {
            dirty.insert(device.clone());
        }
        // Also of what is described anew: that it is so now confirms what was set, and is a point of its history.
        for (part, new) in new.iter().enumerate() {
            let old = old.get(part).filter(|old| old.service.id == new.service.id);
            let is_new = |(key, data): &(&String, &Data)| old.and_then(|old| old.values.get(*key)) != Some(*data);
            let keys: Vec<String> = new.values.iter().filter(is_new).map(|(key, _)| key.clone()).collect();
            if !keys.is_empty() {
                news.push(News { device: device.clone(), entity: id.to_owned(), what: What::Said(part, keys) });
            }
        }
        // The state of an event is when it was last; from none to one says nothing of now.
        let happened = id.starts_with("event.") && before.state != after.state && before.state != "unavailable";
        if let Some(kind) = after.attrs.text("event_type").filter(|_| happened) {
            news.push(News { device, entity: id.to_owned(), what: What::Pressed(for_screen(kind, 40)) });
        }
    }

    /// What is new of an entity, where its parts are now.
    fn tell(&self, news: News, told: &mut Vec<FromBridge>, now: Timestamp) {
        let News { device, entity, what } = news;
        let Some(placed) = self.devices.get(&device) else { return };
        let at = placed.entities.iter().position(|one| *one == entity);
        let places = at.and_then(|at| placed.places.get(at)).map(Vec::as_slice).unwrap_or_default();
        match what {
            What::Said(part, keys) => {
                let Some(state) = self.now.get(&entity) else { return };
                let parts = self.parts(&entity, state).unwrap_or_default();
                let (Some(part), Some(place)) = (parts.get(part), places.get(part)) else { return };
                let said = keys.iter().filter_map(|key| Some((key, part.values.get(key)?)));
                let said =
                    said.map(|(key, data)| (place.id(key).to_owned(), value(data, state.at, part.fresh_for_s, now)));
                let values: BTreeMap<String, Value> = said.collect();
                let target = Target { service: part.service.id.clone(), instance: place.instance };
                if !values.is_empty() {
                    told.push(FromBridge::Values { device, target, values });
                }
            }
            What::Pressed(kind) => {
                let Some(place) = places.first() else { return };
                let target = Target { service: "button".to_owned(), instance: place.instance };
                let arguments = Outputs::from([("kind".to_owned(), Data::Text(kind))]);
                told.push(FromBridge::Event { device, target, event: "pressed".to_owned(), arguments });
            }
        }
    }

    // -- devices ------------------------------------------------------------------------------------

    /// Of which device of ours an entity is.
    fn owner(&self, id: &str) -> (DeviceId, Option<String>) {
        let native = self.entries.get(id).and_then(|(_, entry)| entry.device.clone());
        let native = native.filter(|native| self.known.contains_key(native));
        let (kind, word) = native.as_deref().map_or(("entity", id), |native| ("device", native));
        (device_id("homeassistant", &format!("{} {kind} {word}", self.server)), native)
    }

    /// Takes an entity into its device, which is made if need be. `None`: there are too many.
    fn join(&mut self, id: &str) -> Option<DeviceId> {
        let (device, native) = self.owner(id);
        if !self.devices.contains_key(&device) && self.devices.len() >= MOST_DEVICES {
            self.beyond.1 += 1;
            return None;
        }
        let placed = self.devices.entry(device.clone()).or_insert_with(|| Placed {
            native,
            entities: Vec::new(),
            places: Vec::new(),
        });
        if placed.entities.len() >= MOST_OF_ONE {
            self.beyond.1 += 1;
            return None;
        }
        placed.entities.push(id.to_owned());
        let entries = &self.entries;
        placed.entities.sort_by_cached_key(|id| (entries.get(id).map_or(usize::MAX, |(order, _)| *order), id.clone()));
        self.of.insert(id.to_owned(), device.clone());
        Some(device)
    }

    /// Takes an entity out of its device, if it is in one.
    fn leave(&mut self, id: &str) -> Option<DeviceId> {
        let device = self.of.remove(id)?;
        if let Some(placed) = self.devices.get_mut(&device) {
            placed.entities.retain(|one| one != id);
        }
        Some(device)
    }

    /// All entities into devices anew. Tells what is, and what is no more.
    fn group(&mut self, now: Timestamp) -> Vec<FromBridge> {
        let mut before = std::mem::take(&mut self.before);
        before.extend(std::mem::take(&mut self.devices).into_keys());
        self.of.clear();
        let mut ids: Vec<(usize, String)> = Vec::with_capacity(self.now.len());
        for (id, now) in &self.now {
            if matches!(map(&self.entity(id, now)), Mapped::Parts(_)) {
                ids.push((self.entries.get(id).map_or(usize::MAX, |(order, _)| *order), id.clone()));
            }
        }
        ids.sort();
        for (_, id) in ids {
            self.join(&id);
        }
        let gone =
            before.into_iter().filter(|id| !self.devices.contains_key(id)).map(|device| FromBridge::Gone { device });
        let mut told: Vec<FromBridge> = gone.collect();
        let all: Vec<DeviceId> = self.devices.keys().cloned().collect();
        for id in all {
            told.extend(self.replace(&id, now));
        }
        told
    }

    /// A device as it is now, arranged anew; or that it is no more.
    fn replace(&mut self, id: &DeviceId, now: Timestamp) -> Option<FromBridge> {
        let placed = self.devices.get(id)?;
        if placed.entities.is_empty() {
            self.devices.remove(id);
            return Some(FromBridge::Gone { device: id.clone() });
        }
        let (device, places) = self.describe(id, placed, now);
        self.devices.get_mut(id)?.places = places;
        Some(FromBridge::Seen { device })
    }

    fn describe(&self, id: &DeviceId, placed: &Placed, now: Timestamp) -> (Device, Vec<Vec<Place>>) {
        let known = placed.native.as_ref().and_then(|native| self.known.get(native));
        let name = known.and_then(|known| known.name.as_deref());
        let states: Vec<(&str, &Now)> =
            placed.entities.iter().filter_map(|id| Some((id.as_str(), self.now.get(id)?))).collect();
        let entities: Vec<Entity<'_>> = states.iter().map(|(id, now)| self.entity(id, now)).collect();
        let called: Vec<Called> = entities
            .iter()
            .map(|one| {
                let device = known.map(|_| name.unwrap_or_default());
                Called::new(one.entry.name.as_deref(), one.attrs.text("friendly_name"), one.object(), device)
            })
            .collect();
        let parts: Vec<Vec<Part>> = states.iter().map(|(id, now)| self.parts(id, now).unwrap_or_default()).collect();
        let mut arranged = Arranged::new(called.iter().zip(parts.iter().map(Vec::as_slice)));
        for (((_, state), parts), places) in states.iter().zip(&parts).zip(&arranged.places) {
            for (part, place) in parts.iter().zip(places) {
                let of = |one: &&mut accord_model::Service| one.id == part.service.id && one.instance == place.instance;
                if let Some(service) = arranged.services.iter_mut().find(of) {
                    let said = part.values.iter();
                    let said = said
                        .map(|(key, data)| (place.id(key).to_owned(), value(data, state.at, part.fresh_for_s, now)));
                    service.values.extend(said);
                }
            }
        }
        let lead =
            entities.iter().map(kind).max_by_key(|(weight, _)| *weight).map_or(DeviceKind::Other, |(_, kind)| kind);
        let first = entities.first();
        let own = first.and_then(|one| one.entry.name.as_deref().or_else(|| one.attrs.text("friendly_name")));
        let name = name.or(own).or_else(|| first.map(|one| one.object())).unwrap_or("Home Assistant");
        let mut device = Device::new(id.clone(), lead, for_screen(name, MAX_NAME));
        let area = known
            .and_then(|known| known.area.as_ref())
            .or_else(|| entities.iter().find_map(|one| one.entry.area.as_ref()));
        device.room = area.and_then(|area| self.areas.get(area)).cloned();
        device.maker = known.and_then(|known| known.maker.clone());
        device.model = known.and_then(|known| known.model.clone());
        device.via = Some(self.server.clone());
        device.reach = if entities.iter().any(Entity::available) { Reach::Local } else { Reach::Offline };
        // What another bridge may know it by: a hint for its owner, and no more.
        let macs = known.map(|known| known.macs.as_slice()).unwrap_or_default();
        device.claims = macs.iter().fold(Claims::peer([]), |claims, mac| claims.hardware(mac));
        device.services = arranged.services;
        device.services.push(pairing(Some(self.since)));
        (device, arranged.places)
    }
}

impl Now {
    fn of(state: State) -> Self {
        let at = state.lu.number().or(state.lc.number()).unwrap_or_default();
        Self { state: text(&state.s), attrs: state.a, at }
    }

    fn extend(&mut self, plus: State) {
        if plus.s != Attr::None {
            self.state = text(&plus.s);
        }
        self.attrs.extend(plus.a);
        self.at = plus.lu.number().or(plus.lc.number()).unwrap_or(self.at);
    }
}

fn text(attr: &Attr) -> String {
    match attr {
        Attr::Text(text) => text.clone(),
        Attr::Number(number) => number.to_string(),
        _ => "unknown".to_owned(),
    }
}

/// What was said then. A clock that goes before ours tells nothing of the future.
fn value(data: &Data, at: f64, fresh_for_s: u64, now: Timestamp) -> Value {
    let seen =
        Timestamp::from_millisecond((at * 1000.0) as i64).ok().filter(|seen| at > 0.0 && *seen <= now).unwrap_or(now);
    Value { data: data.clone(), seen, source: Source::Pushed, fresh_for_s }
}

/// Entry for fuzzing: an answer of the registries and events, one to a line.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    use super::words::{Message, read};
    let server = DeviceId::new("s").expect("a letter is an id");
    let mut home = Home::new(server, Timestamp::UNIX_EPOCH);
    for line in bytes.split(|byte| *byte == b'\n') {
        for message in read(line).unwrap_or_default() {
            let told = match message {
                Message::Result(_, Ok(answer)) => {
                    let items = answer.items;
                    let all = Registries { areas: items.clone(), devices: items.clone(), entities: items, beyond: 0 };
                    home.registries(all, Timestamp::UNIX_EPOCH)
                }
                Message::Event(_, event) => home.states(*event, Timestamp::UNIX_EPOCH),
                _ => Vec::new(),
            };
            for message in told {
                if let FromBridge::Seen { device } = message {
                    let ids: BTreeSet<(&str, u16)> =
                        device.services.iter().map(|one| (one.id.as_str(), one.instance)).collect();
                    assert_eq!(ids.len(), device.services.len(), "no service twice");
                    for instance in ids.into_iter().filter(|(id, _)| *id == "picture").map(|(_, instance)| instance) {
                        let target = Target { service: "picture".to_owned(), instance };
                        if let Ok(path) = home.picture(&device.id, &target) {
                            let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
                            assert!(plain && path.starts_with("/api/"), "{path}");
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
