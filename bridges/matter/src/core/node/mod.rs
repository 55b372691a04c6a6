//! A node: its endpoints, their clusters, their attributes; and the devices of the house that it is. One node is one device,
//! and what is behind a bridge is a device of its own for each bridged endpoint, `via` the node.
//!
//! ```
//! use accord_matter::core::node::{Node, Path};
//! use accord_matter::core::value::Value;
//! use accord_model::{Data, DeviceId, Target, Timestamp, Verb};
//! let id = DeviceId::new("matter-1").unwrap();
//! let mut node = Node::new(id.clone());
//! let on = |on| [(Path::new(1, 0x0006, 0), Some(Value::Bool(on)))];
//! let told = node.report(on(false), Timestamp::UNIX_EPOCH);
//! assert_eq!(told.seen, [id.clone()]);
//! assert!(node.describe(&id).unwrap().service("on-off").is_some());
//! let told = node.report(on(true), Timestamp::UNIX_EPOCH);
//! assert_eq!((told.seen.len(), told.values.len()), (0, 1));
//! ```

mod arrange;
mod coverage;
mod events;
mod orders;

use std::collections::{BTreeMap, BTreeSet};

use accord_model::{Data, Device, DeviceId, FromBridge, Source, Target, Timestamp, Value as Reading};

use super::look::Look;
use super::map::{self, Mapped};
use super::value::Value;
use arrange::Placed;
pub use coverage::{Coverage, Left};
pub use orders::Order;

/// A cluster and an attribute of it.
pub(crate) type Key = (u32, u32);
/// What an endpoint told.
pub(crate) type Attributes = BTreeMap<Key, Value>;

/// Most attributes of a node, and most endpoints: a bridge with a hundred lamps has about ten thousand.
pub const MOST_ATTRIBUTES: usize = 40_000;
/// See [`MOST_ATTRIBUTES`].
pub const MOST_ENDPOINTS: usize = 1000;
/// Most bytes that all of a node's values may take.
const MOST_BYTES: usize = 16 << 20;

/// Where an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// The endpoint.
    pub endpoint: u16,
    /// The cluster of it.
    pub cluster: u32,
    /// The attribute of that.
    pub attribute: u32,
}

impl Path {
    /// These.
    pub const fn new(endpoint: u16, cluster: u32, attribute: u32) -> Self {
        Self { endpoint, cluster, attribute }
    }
}

/// What a report means for the house.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// These are to be described anew ([`Node::describe`], sent as [`FromBridge::Seen`]): they are new, are described
    /// differently, have one value less, or are reached differently.
    pub seen: Vec<DeviceId>,
    /// These are no more.
    pub gone: Vec<DeviceId>,
    /// Values that changed or were told again: [`FromBridge::Values`], to be sent after the descriptions, also of devices that
    /// are described anew: what was written is confirmed by them alone.
    pub values: Vec<FromBridge>,
}

/// See the [module](self).
pub struct Node {
    id: DeviceId,
    endpoints: BTreeMap<u16, Attributes>,
    count: usize,
    /// Bytes that their values take.
    bytes: usize,
    /// Attributes that were left out because there are too many.
    beyond: usize,
    /// A whole read began: what is not told until it ends is no more.
    anew: Option<BTreeSet<Path>>,
    mapped: BTreeMap<u16, Mapped>,
    devices: BTreeMap<DeviceId, Placed>,
    wishes: orders::Wishes,
}

impl Node {
    /// A node of which nothing is known yet; `id` is the device's that it is itself.
    pub fn new(id: DeviceId) -> Self {
        Self {
            id,
            endpoints: BTreeMap::new(),
            count: 0,
            bytes: 0,
            beyond: 0,
            anew: None,
            mapped: BTreeMap::new(),
            devices: BTreeMap::new(),
            wishes: orders::Wishes::default(),
        }
    }

    /// The device that the node is itself.
    pub fn id(&self) -> &DeviceId {
        &self.id
    }

    /// All of its devices, itself first.
    pub fn ids(&self) -> impl Iterator<Item = &DeviceId> {
        let others = self.devices.keys().filter(|id| **id != self.id);
        self.devices.get_key_value(&self.id).map(|(id, _)| id).into_iter().chain(others)
    }

    /// Whether a device is one of the node's.
    pub fn has(&self, device: &DeviceId) -> bool {
        self.devices.contains_key(device)
    }

    /// A device with its last values. Its reach is [`accord_model::Reach::Local`], or offline when its bridge does not reach it;
    /// what the driver knows of the node (not reached, paired, claims) it sets itself.
    pub fn describe(&self, device: &DeviceId) -> Option<Device> {
        self.devices.get(device).map(|placed| placed.device.clone())
    }

    /// Everything is read anew: what is not reported until [`Node::complete`] is no more.
    pub fn begin(&mut self) {
        self.anew = Some(BTreeSet::new());
    }

    /// All was reported since [`Node::begin`].
    pub fn complete(&mut self, now: Timestamp) -> Told {
        let Some(told) = self.anew.take() else { return Told::default() };
        let there = |endpoint: u16, key: &Key| told.contains(&Path::new(endpoint, key.0, key.1));
        let before = self.count;
        for (endpoint, attributes) in &mut self.endpoints {
            attributes.retain(|key, _| there(*endpoint, key));
        }
        self.endpoints.retain(|_, attributes| !attributes.is_empty());
        self.count = self.endpoints.values().map(BTreeMap::len).sum();
        self.bytes = self.endpoints.values().flat_map(BTreeMap::values).map(Value::weight).sum();
        if self.count == before { Told::default() } else { self.arrange(&BTreeSet::new(), now) }
    }

    /// Attributes as they are told; none for what is not there any more. Whole values: what comes in pieces of a list is put
    /// together before.
    pub fn report(&mut self, report: impl IntoIterator<Item = (Path, Option<Value>)>, now: Timestamp) -> Told {
        let mut touched = BTreeSet::new();
        let mut structure = self.devices.is_empty();
        for (path, value) in report {
            structure |= !self.endpoints.contains_key(&path.endpoint) || arrange::is_structure(path);
            if self.put(path, value) {
                touched.insert(path);
            }
        }
        if touched.is_empty() && !structure {
            return Told::default();
        }
        match structure {
            true => self.arrange(&touched, now),
            false => self.change(&touched, now),
        }
    }

    fn put(&mut self, path: Path, value: Option<Value>) -> bool {
        let key = (path.cluster, path.attribute);
        let old = self.endpoints.get_mut(&path.endpoint).and_then(|attributes| attributes.remove(&key));
        if let Some(old) = &old {
            self.count -= 1;
            self.bytes -= old.weight();
        }
        let Some(value) = value else { return old.is_some() };
        let weight = value.weight();
        let no_room = self.count >= MOST_ATTRIBUTES
            || self.bytes + weight > MOST_BYTES
            || self.endpoints.len() >= MOST_ENDPOINTS && !self.endpoints.contains_key(&path.endpoint);
        if no_room {
            self.beyond += 1;
            // What was known of it holds no longer.
            return old.is_some();
        }
        self.count += 1;
        self.bytes += weight;
        self.endpoints.entry(path.endpoint).or_default().insert(key, value);
        if let Some(told) = &mut self.anew {
            told.insert(path);
        }
        true
    }

    /// Values changed, and with them perhaps what endpoints offer.
    fn change(&mut self, touched: &BTreeSet<Path>, now: Timestamp) -> Told {
        let endpoints: BTreeSet<u16> = touched.iter().map(|path| path.endpoint).collect();
        let mut new = BTreeMap::new();
        for endpoint in endpoints.iter().copied() {
            let mapped = self.endpoints.get(&endpoint).map(|attributes| map::map(&Look::new(endpoint, attributes)));
            let mapped = mapped.unwrap_or_default();
            if self.mapped.get(&endpoint).is_none_or(|before| !before.is_alike(&mapped)) {
                return self.arrange(touched, now);
            }
            new.insert(endpoint, mapped);
        }
        self.mapped.extend(new);
        self.say(touched, Some(&endpoints), now)
    }

    /// Puts the parts' values into the devices, and says what changed or was told again; of these endpoints, or of all.
    fn say(&mut self, touched: &BTreeSet<Path>, only: Option<&BTreeSet<u16>>, now: Timestamp) -> Told {
        let mut told = Told::default();
        for (id, placed) in &mut self.devices {
            let mut fewer = false;
            for (service, (endpoint, at)) in placed.device.services.iter_mut().zip(&placed.places) {
                if only.is_some_and(|only| !only.contains(endpoint)) {
                    continue;
                }
                let Some(part) = self.mapped.get(endpoint).and_then(|mapped| mapped.parts.get(*at)) else { continue };
                let before = service.values.len();
                service.values.retain(|property, _| part.values.contains_key(property));
                fewer |= service.values.len() < before;
                let mut values = BTreeMap::new();
                for (property, data) in &part.values {
                    let sources = part.sources.get(property).into_iter().flatten();
                    let mut keys = sources.map(|(cluster, attribute)| Path::new(*endpoint, *cluster, *attribute));
                    let is_same = service.values.get(property).is_some_and(|known| known.data == *data);
                    if !is_same || keys.any(|path| touched.contains(&path)) {
                        values.insert(property.clone(), value(data, now));
                    }
                }
                if !values.is_empty() {
                    service.values.extend(values.clone());
                    let target = Target { service: service.id.clone(), instance: service.instance };
                    told.values.push(FromBridge::Values { device: id.clone(), target, values });
                }
            }
            if fewer {
                told.seen.push(id.clone());
            }
        }
        told
    }
}

/// A subscription tells every change, and that nothing changed: what it told holds as long as it lives.
fn value(data: &Data, now: Timestamp) -> Reading {
    Reading { data: data.clone(), seen: now, source: Source::Pushed, fresh_for_s: accord_ports::added::LASTING_S }
}

#[cfg(test)]
mod tests;
