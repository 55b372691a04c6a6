//! Endpoints in devices, parts of endpoints in services. A bridged endpoint is a device of its own, with the endpoints that it is
//! composed of (Core specification, 9.12); all others are the node.

use std::collections::{BTreeMap, BTreeSet};

use accord_model::text::for_screen;
use accord_model::{Device, DeviceId, DeviceKind, Format, FromBridge, Property, Reach, Service, Timestamp};

use super::{Attributes, Node, Path, Told};
use crate::core::look::Look;
use crate::core::map::{self, kinds};
use crate::core::value::Value;

/// Most bytes of one device's description with all its values: it is one message
/// ([`accord_model::message::MAX_MESSAGE`]).
const MOST_BYTES: usize = 230_000;
const MAX_NAME: usize = 64;

const DESCRIPTOR: u32 = 0x1D;
const BASIC: u32 = 0x28;
const BRIDGED: u32 = 0x39;
const FIXED_LABEL: u32 = 0x40;
const USER_LABEL: u32 = 0x41;
/// The device type of what is behind a bridge.
const BRIDGED_NODE: u32 = 0x13;

/// A device of ours, and which part of which endpoint each of its services is.
#[derive(Debug)]
pub(crate) struct Placed {
    pub device: Device,
    /// In the order of its services.
    pub places: Vec<(u16, usize)>,
    /// Parts for which it has no room.
    pub beyond: BTreeSet<(u16, usize)>,
}

/// What decides about devices and their names, not only about values.
pub(super) fn is_structure(path: Path) -> bool {
    matches!(path.cluster, DESCRIPTOR | BASIC | BRIDGED | FIXED_LABEL | USER_LABEL)
}

impl Node {
    /// All devices anew; says what is different.
    pub(super) fn arrange(&mut self, touched: &BTreeSet<Path>, now: Timestamp) -> Told {
        let mapped = self.endpoints.iter().map(|(number, all)| (*number, map::map(&Look::new(*number, all))));
        self.mapped = mapped.collect();
        let mut before = std::mem::take(&mut self.devices);
        let (mut seen, mut new) = (Vec::new(), BTreeSet::new());
        let twice = self.twice();
        for (head, endpoints) in self.groups() {
            let mut placed = self.place(head, &endpoints, &twice);
            let id = placed.device.id.clone();
            let known = before.remove(&id);
            if known.is_none() {
                new.insert(id.clone());
            }
            let is_as_before = known.as_ref().is_some_and(|known| bare(&known.device) == bare(&placed.device));
            for service in &mut placed.device.services {
                let known = known.as_ref().and_then(|known| {
                    known.device.services.iter().find(|one| one.id == service.id && one.instance == service.instance)
                });
                service.values = known.map(|known| known.values.clone()).unwrap_or_default();
            }
            if !is_as_before {
                seen.push(id.clone());
            }
            self.devices.insert(id, placed);
        }
        let mut told = self.say(touched, None, now);
        for id in told.seen.drain(..) {
            if !seen.contains(&id) {
                seen.push(id);
            }
        }
        seen.sort_by_key(|id| *id != self.id);
        // The first description of a device has all of them.
        told.values.retain(|message| match message {
            FromBridge::Values { device, .. } => !new.contains(device),
            _ => true,
        });
        Told { seen, gone: before.into_keys().collect(), values: told.values }
    }

    /// Which endpoints are one device: the node's own, and those of each bridged one.
    fn groups(&self) -> Vec<(Option<u16>, Vec<u16>)> {
        let look = |number: &u16, all| Look::new(*number, all);
        let parts = |all: &Attributes| -> BTreeSet<u16> {
            let parts = all.get(&(DESCRIPTOR, 3)).map(Value::items).unwrap_or_default();
            parts.iter().filter_map(|part| u16::try_from(part.uint()?).ok()).collect()
        };
        let heads: BTreeMap<u16, BTreeSet<u16>> = self
            .endpoints
            .iter()
            .filter(|(number, all)| **number != 0 && look(number, all).is(&[BRIDGED_NODE]))
            .map(|(number, all)| (*number, parts(all)))
            .collect();
        let mut groups = BTreeMap::from([(None, Vec::new())]);
        for number in self.endpoints.keys() {
            let head = match heads.contains_key(number) {
                true => Some(*number),
                // Of several that claim it, the one that claims least, then the first.
                false => {
                    let claim = heads.iter().filter(|(_, parts)| parts.contains(number));
                    claim.min_by_key(|(_, parts)| parts.len()).map(|(head, _)| *head)
                }
            };
            groups.entry(head).or_insert_with(Vec::new).push(*number);
        }
        groups.into_iter().collect()
    }

    fn place(&self, head: Option<u16>, endpoints: &[u16], twice: &BTreeSet<String>) -> Placed {
        let none = Attributes::new();
        let of = |number: u16| self.endpoints.get(&number).unwrap_or(&none);
        let (about, cluster) = head.map_or((of(0), BASIC), |head| (of(head), BRIDGED));
        let text = |attribute: u32| {
            let text = about.get(&(cluster, attribute)).and_then(Value::text).map(str::trim).unwrap_or_default();
            Some(for_screen(text, MAX_NAME)).filter(|text| !text.is_empty())
        };
        let types: Vec<u32> =
            endpoints.iter().flat_map(|number| Look::new(*number, of(*number)).types.into_iter()).collect();
        let parts = endpoints.iter().flat_map(|number| self.mapped.get(number)).flat_map(|mapped| &mapped.parts);
        let kind = kinds::kind(&types, parts.map(|part| part.service.id.as_str()));
        let name = text(5).or_else(|| text(14)).or_else(|| text(3)).unwrap_or_else(|| fallback(kind, head));
        let id = head.map_or_else(|| self.id.clone(), |head| self.bridged_id(head, twice));
        let mut device = Device::new(id, kind, name);
        (device.maker, device.model) = (text(1), text(3));
        device.via = head.map(|_| self.id.clone());
        let reachable = head.is_none() || about.get(&(BRIDGED, 0x11)).and_then(Value::bool).unwrap_or(true);
        device.reach = if reachable { Reach::Local } else { Reach::Offline };
        let mut placed = Placed { device, places: Vec::new(), beyond: BTreeSet::new() };
        let mut room = MOST_BYTES;
        for number in endpoints {
            let label = label(of(*number)).unwrap_or_default();
            for (at, part) in
                self.mapped.get(number).map(|one| one.parts.as_slice()).unwrap_or_default().iter().enumerate()
            {
                let Some(rest) = room.checked_sub(takes(&part.service)) else {
                    placed.beyond.insert((*number, at));
                    continue;
                };
                room = rest;
                let alike = placed.device.services.iter().filter(|one| one.id == part.service.id).count();
                let instance = u16::try_from(alike).unwrap_or(u16::MAX);
                let label = part.service.label.clone().unwrap_or_else(|| label.clone());
                placed.device.services.push(part.service.clone().of(instance, &label));
                placed.places.push((*number, at));
            }
        }
        placed
    }

    /// A bridged device by its own name for good where it has one that no other has, otherwise by its endpoint, which is not used
    /// for another one later (Core specification, 9.12.3).
    fn bridged_id(&self, head: u16, twice: &BTreeSet<String>) -> DeviceId {
        let own = self.unique(head).filter(|own| !twice.contains(*own));
        let own = own.map_or_else(|| format!("endpoint {head}"), |own| format!("unique {own}"));
        accord_ports::added::device_id("matter", &format!("{} {own}", self.id))
    }

    fn unique(&self, endpoint: u16) -> Option<&str> {
        let value = self.endpoints.get(&endpoint)?.get(&(BRIDGED, 0x12))?;
        value.text().filter(|text| !text.is_empty())
    }

    /// Names for good that more than one endpoint claims.
    fn twice(&self) -> BTreeSet<String> {
        let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for unique in self.endpoints.keys().filter_map(|endpoint| self.unique(*endpoint)) {
            if !once.insert(unique) {
                twice.insert(unique.to_owned());
            }
        }
        twice
    }
}

/// About how long a service is at most, as JSON and with values.
fn takes(service: &Service) -> usize {
    let of = |property: &Property| {
        let names: usize = property.values.iter().map(|(_, name)| 2 * name.len() + 16).sum();
        let value = if property.format == Format::Text { 900 } else { 40 };
        300 + 2 * property.id.len() + names + value
    };
    let actions = service.actions.iter().map(|action| 80 + action.inputs.iter().map(of).sum::<usize>());
    300 + service.properties.iter().map(of).sum::<usize>() + actions.sum::<usize>()
}

fn fallback(kind: DeviceKind, head: Option<u16>) -> String {
    match head {
        Some(head) => format!("Matter {kind} {head}"),
        None => format!("Matter {kind}"),
    }
}

/// Without values.
fn bare(device: &Device) -> Device {
    let mut device = device.clone();
    device.services.iter_mut().for_each(|service| service.values.clear());
    device
}

/// What an endpoint is called: by its owner, its maker, or the tags that tell it from others alike (Core specification, 9.5.5,
/// 9.8, 9.9; Standard namespaces).
fn label(all: &Attributes) -> Option<String> {
    let items = |key| all.get(&key).map(Value::items).unwrap_or_default();
    let shown = |text: &str| Some(for_screen(text.trim(), MAX_NAME)).filter(|text| !text.is_empty());
    let named = |list: &[Value]| {
        let is_name = |one: &&Value| {
            let label = one.field(0).and_then(Value::text).unwrap_or_default();
            matches!(label.to_ascii_lowercase().as_str(), "name" | "label" | "position" | "orientation" | "button")
        };
        list.iter().filter(is_name).find_map(|one| shown(one.field(1)?.text()?))
    };
    let tags = items((DESCRIPTOR, 4));
    let own = || tags.iter().find_map(|tag| shown(tag.field(3)?.text()?));
    let tagged = || {
        let words: Vec<&str> =
            tags.iter().filter_map(|tag| kinds::tag(tag.field(1)?.uint()?, tag.field(2)?.uint()?)).collect();
        shown(&words.join(" "))
    };
    named(items((USER_LABEL, 0))).or_else(own).or_else(|| named(items((FIXED_LABEL, 0)))).or_else(tagged)
}
