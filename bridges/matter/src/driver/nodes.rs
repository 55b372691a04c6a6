//! Devices as the house knows them: those that wait for being added, and those that the owner added, on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use accord_model::text::for_screen;
use accord_model::why::Outcome;
use accord_model::{
    Action, CallError, Claims, Data, Device, DeviceId, DeviceKind, Effect, FieldCode, Format, FromBridge, Inputs,
    Outputs, Property, Reach, Service, Source, Target, Timestamp, Value, catalogue,
};
use accord_ports::Secret;
use accord_ports::added::{LASTING_S, Record, Register, device_id, pairing};
use accord_store::Vault;
use serde::{Deserialize, Serialize};

use super::sky::{Sky, Waiting, in_order};
use crate::core::code::Code;

/// Devices that can be added: each has a session of its own.
const MOST_ADDED: usize = 128;
/// Devices that merely wait, at most.
const MOST_WAITING: usize = 32;
const LONGEST_NAME: usize = 64;
/// A device that was removed while it was away is waited for so long.
const WAITED_FOR: Duration = Duration::from_secs(90 * 86_400);

/// A device that the owner added. The file that it is in can be opened by its owner alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    /// Its number in the fabric.
    pub node: u64,
    /// What the owner reads off it, until it has its place in the fabric.
    pub code: Option<Secret>,
    /// The owner takes it without its maker being vouched for by anybody real.
    pub tests: bool,
    /// Whether its maker was, once it is known.
    pub certified: Option<bool>,
    pub name: String,
    pub kind: Option<DeviceKind>,
    pub maker: Option<String>,
    pub model: Option<String>,
    /// Where it was last.
    pub address: Option<SocketAddr>,
    pub since: Timestamp,
    pub seen: Option<Timestamp>,
    /// When the owner removed it while it was away. It has its place still, until it is here and gives it up.
    #[serde(default)]
    pub left: Option<Timestamp>,
}

impl Added {
    /// Until when it is waited for, if the owner removed it while it was away.
    pub(crate) fn waited_for(&self) -> Option<Timestamp> {
        self.left.map(|left| left.checked_add(WAITED_FOR).unwrap_or(Timestamp::MAX))
    }
}

impl Record for Added {
    fn since(&self) -> Timestamp {
        self.since
    }
    fn seen(&mut self) -> &mut Option<Timestamp> {
        &mut self.seen
    }
}

/// Why a device is not spoken to, although nothing is wrong with the way to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refused {
    /// The code is not its own.
    Code,
    /// Who made it is not vouched for.
    NotCertified(String),
    /// It has no place for us, in words.
    NoPlace(String),
    /// It does not know us any more, as somebody says where it is announced.
    Forgotten,
}

/// How it stands with an added device now.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// It tells of changes.
    pub up: Option<SocketAddr>,
    /// There is no session, and why.
    pub down: Option<(String, Outcome)>,
    pub refused: Option<Refused>,
    /// It is held up by an attempt before.
    pub busy: bool,
    /// As its endpoints describe it.
    described: Option<Device>,
}

/// All that are known.
pub(crate) struct Nodes {
    added: Register<Added>,
    known: BTreeMap<DeviceId, Node>,
    /// Those that wait, by the names of their announcements.
    waiting: BTreeMap<String, Waiting>,
}

impl Nodes {
    pub(crate) fn open(folder: &Vault) -> Result<Self, String> {
        let added: Register<Added> = Register::open(folder)?;
        let known = added.all().keys().map(|id| (id.clone(), Node::default())).collect();
        Ok(Self { added, known, waiting: BTreeMap::new() })
    }

    pub(crate) fn get(&self, id: &DeviceId) -> Option<&Node> {
        self.known.get(id)
    }
    pub(crate) fn added(&self, id: &DeviceId) -> Option<&Added> {
        self.added.get(id)
    }
    pub(crate) fn all_added(&self) -> Vec<DeviceId> {
        self.added.all().keys().cloned().collect()
    }
    /// When something is known to have been so, in seconds since 1970.
    pub(crate) fn latest(&self) -> u64 {
        let all = self.added.all().values();
        let times = all.flat_map(|added| [Some(added.since), added.seen]).flatten();
        times.map(|time| u64::try_from(time.as_second()).unwrap_or_default()).max().unwrap_or_default()
    }
    pub(crate) fn all(&self) -> Vec<FromBridge> {
        self.known.keys().map(|id| self.told(id)).collect()
    }
    /// As the owner reads it.
    pub(crate) fn name(&self, id: &DeviceId) -> String {
        let described = self.known.get(id).and_then(|node| node.described.as_ref()).map(|device| device.name.clone());
        let name = described.or_else(|| self.added.get(id).map(|added| added.name.clone()));
        for_screen(&name.unwrap_or_else(|| "The device".to_owned()), LONGEST_NAME)
    }

    // -- who waits ----------------------------------------------------------------------------------

    /// Who waits for being added, as it is announced now.
    pub(crate) fn waits(&mut self, sky: &Sky) -> Vec<FromBridge> {
        let first = sky.in_turn().into_iter().take(MOST_WAITING);
        let now: BTreeMap<String, Waiting> = first.map(|(name, waiting)| (name.clone(), waiting.clone())).collect();
        let before = std::mem::replace(&mut self.waiting, now);
        let names: BTreeSet<&String> = before.keys().chain(self.waiting.keys()).collect();
        let changed = names.into_iter().filter(|name| before.get(*name) != self.waiting.get(*name));
        let ids = changed.map(|name| waiting_id(name)).filter(|id| !self.known.contains_key(id));
        ids.map(|id| self.told(&id)).collect()
    }

    fn waiting(&self, id: &DeviceId) -> Option<&Waiting> {
        self.waiting.iter().find(|(name, _)| waiting_id(name) == *id).map(|(_, waiting)| waiting)
    }

    // -- who is added -------------------------------------------------------------------------------

    /// The owner adds one by its code; it is not needed to be here. `node` is its number.
    pub(crate) fn add(
        &mut self,
        id: Option<&DeviceId>,
        inputs: &Inputs,
        node: impl FnOnce() -> Result<u64, String>,
        own: [u8; 8],
    ) -> Result<(DeviceId, Vec<FromBridge>), CallError> {
        let text = |id: &str| inputs.get(id).and_then(Data::as_text).map(str::trim).filter(|text| !text.is_empty());
        let code = text("code").ok_or_else(|| CallError::BadInput("the code is missing".to_owned()))?;
        Code::parse(code).map_err(|error| CallError::BadInput(error.to_string()))?;
        if self.added.all().len() >= MOST_ADDED {
            return Err(CallError::BadInput(format!("{MOST_ADDED} Matter devices are added; remove one first")));
        }
        let waiting = id.map(|id| {
            let gone = || CallError::Unreachable("it does not wait for being added any more".to_owned());
            self.waiting(id).ok_or_else(gone)
        });
        let advert = waiting.transpose()?.map(|waiting| waiting.advert.clone());
        let node = node().map_err(CallError::Device)?;
        let id = id.cloned().unwrap_or_else(|| {
            let fabric = u64::from_be_bytes(own);
            device_id("matter", &format!("{fabric:016x} {node:016x}"))
        });
        let name = text("name").map(|name| for_screen(name, LONGEST_NAME));
        let record = Added {
            node,
            code: Some(code.into()),
            tests: inputs.get("tests").and_then(Data::as_bool).unwrap_or(false),
            certified: None,
            name: name.or(advert.and_then(|advert| advert.name)).unwrap_or_else(|| "Matter device".to_owned()),
            kind: None,
            maker: None,
            model: None,
            address: None,
            since: Timestamp::now(),
            seen: None,
            left: None,
        };
        self.added.set(&id, Some(record)).map_err(CallError::Device)?;
        self.known.insert(id.clone(), Node::default());
        let told = vec![self.told(&id), self.added.paired(&id)];
        Ok((id, told))
    }

    /// The owner wants nothing of it any more.
    pub(crate) fn remove(&mut self, id: &DeviceId) -> Result<Vec<FromBridge>, CallError> {
        if self.added.get(id).is_none() {
            return Err(CallError::Unreachable("no such device is known".to_owned()));
        }
        self.added.set(id, None).map_err(CallError::Device)?;
        self.known.remove(id);
        Ok(vec![self.told(id)])
    }

    /// The owner wants nothing of it any more, and it is away: it is known until it gave up its place.
    pub(crate) fn leave(&mut self, id: &DeviceId) -> Result<Vec<FromBridge>, CallError> {
        let Some(mut added) = self.added.get(id).cloned() else { return Ok(Vec::new()) };
        added.left.get_or_insert_with(Timestamp::now);
        self.added.set(id, Some(added)).map_err(CallError::Device)?;
        self.known.insert(id.clone(), Node::default());
        Ok(vec![self.told(id)])
    }

    /// That it is not paired any more.
    pub(crate) fn unpaired(&self, id: &DeviceId) -> FromBridge {
        self.added.paired(id)
    }

    /// Who was waited for in vain.
    pub(crate) fn given_up(&self, now: Timestamp) -> Vec<DeviceId> {
        let over = |added: &Added| added.waited_for().is_some_and(|until| until <= now);
        self.added.all().iter().filter(|(_, added)| over(added)).map(|(id, _)| id.clone()).collect()
    }

    // -- how it stands ------------------------------------------------------------------------------

    fn change(&mut self, id: &DeviceId, change: impl FnOnce(&mut Node, &mut Added)) -> Vec<FromBridge> {
        let (Some(node), Some(mut added)) = (self.known.get_mut(id), self.added.get(id).cloned()) else {
            return Vec::new();
        };
        change(node, &mut added);
        self.added.note(id, added);
        vec![self.told(id)]
    }

    /// It has its place in the fabric: the code is forgotten. On disk before anything else is said to it.
    pub(crate) fn joined(&mut self, id: &DeviceId, at: SocketAddr, certified: bool) -> Vec<FromBridge> {
        let Some(mut added) = self.added.get(id).cloned() else { return Vec::new() };
        (added.code, added.certified, added.address) = (None, Some(certified), Some(at));
        added.seen = Some(Timestamp::now());
        if let Err(error) = self.added.set(id, Some(added)) {
            tracing::error!(%error, "that a Matter device was added is not kept");
        }
        self.change(id, |node, _| (node.refused, node.busy) = (None, false))
    }

    /// It tells of changes.
    pub(crate) fn up(&mut self, id: &DeviceId, at: SocketAddr) -> Vec<FromBridge> {
        self.change(id, |node, added| {
            (node.up, node.down, node.refused, node.busy) = (Some(at), None, None, false);
            (added.address, added.seen) = (Some(at), Some(Timestamp::now()));
        })
    }

    /// As its endpoints describe it now.
    pub(crate) fn described(&mut self, id: &DeviceId, device: Device) -> Vec<FromBridge> {
        self.change(id, |node, added| {
            let text = |text: &Option<String>| text.as_deref().map(|text| for_screen(text, LONGEST_NAME));
            added.name = for_screen(&device.name, LONGEST_NAME);
            added.kind = Some(device.kind);
            (added.maker, added.model) = (text(&device.maker), text(&device.model));
            node.described = Some(device);
        })
    }

    /// What is behind it is there because it was added.
    pub(crate) fn behind(&self, node: &DeviceId, device: &mut Device) {
        if let Some(added) = self.added.get(node).filter(|_| device.id != *node) {
            let mut pairing = paired(Some(added.since));
            pairing.actions.clear();
            device.services.push(pairing);
        }
    }

    /// What a service of it says now.
    pub(crate) fn values(&mut self, id: &DeviceId, target: &Target, values: &BTreeMap<String, Value>) {
        let described = self.known.get_mut(id).and_then(|node| node.described.as_mut());
        let services = described.into_iter().flat_map(|device| &mut device.services);
        for service in services.filter(|one| one.id == target.service && one.instance == target.instance) {
            service.values.extend(values.clone());
        }
    }

    /// There is no session. Nothing to tell when that is nothing new.
    pub(crate) fn down(&mut self, id: &DeviceId, why: String, outcome: Outcome, busy: bool) -> Vec<FromBridge> {
        let is_new = self.known.get(id).is_some_and(|node| node.up.is_some() || node.down.is_none());
        let told = self.change(id, |node, _| {
            (node.up, node.down, node.busy) = (None, Some((why, outcome)), busy);
            // Nobody says so any more.
            node.refused = node.refused.take().filter(|refused| *refused != Refused::Forgotten);
        });
        if is_new { told } else { Vec::new() }
    }

    pub(crate) fn refused(&mut self, id: &DeviceId, refused: Refused) -> Vec<FromBridge> {
        self.change(id, |node, _| (node.up, node.refused) = (None, Some(refused)))
    }

    /// Nothing is said to it any more.
    pub(crate) fn quiet(&mut self, id: &DeviceId) -> Vec<FromBridge> {
        self.change(id, |node, _| node.up = None)
    }

    // -- telling ------------------------------------------------------------------------------------

    /// What is known of a service of an added device.
    pub(crate) fn read(&self, id: &DeviceId, service: &str, wanted: &[String]) -> Option<Outputs> {
        let FromBridge::Seen { device } = self.told(id) else { return None };
        let values = device.services.into_iter().find(|one| one.id == service)?.values;
        let fits = |id: &String| wanted.is_empty() || wanted.contains(id);
        Some(values.into_iter().filter(|(id, _)| fits(id)).map(|(id, value)| (id, value.data)).collect())
    }

    fn told(&self, id: &DeviceId) -> FromBridge {
        let known = self.known.get(id).zip(self.added.get(id)).map(|(node, added)| self.describe(id, node, added));
        let device = known.or_else(|| self.waiting(id).map(|waiting| describe_waiting(id, waiting)));
        device.map_or_else(|| FromBridge::Gone { device: id.clone() }, |device| FromBridge::Seen { device })
    }

    fn describe(&self, id: &DeviceId, node: &Node, added: &Added) -> Device {
        let bare = || {
            let kind = added.kind.unwrap_or(DeviceKind::Other);
            let mut device = Device::new(id.clone(), kind, added.name.clone());
            (device.maker, device.model) = (added.maker.clone(), added.model.clone());
            device
        };
        let mut device = node.described.clone().unwrap_or_else(bare);
        device.reach = if node.up.is_some() { Reach::Local } else { Reach::Offline };
        device.claims = Claims::peer(added.address.map(|at| at.ip()));
        let seen = Timestamp::now();
        let value = |data: Data| Value { data, seen, source: Source::Pushed, fresh_for_s: LASTING_S };
        let mut own: Vec<(Property, Data)> = Vec::new();
        let address = Property::state("address", Format::Text).sensitive(FieldCode::NetIp);
        own.extend(added.address.map(|at| (address, Data::Text(at.to_string()))));
        own.extend(added.left.map(|_| (Property::state("removed", Format::Bool), Data::Bool(true))));
        own.extend(added.certified.map(|yes| (Property::state("certified", Format::Bool), Data::Bool(yes))));
        let at = device.services.iter().position(|service| service.id == "more" && service.instance == 0);
        let at = at.unwrap_or_else(|| {
            device.services.push(catalogue::more());
            device.services.len() - 1
        });
        let more = &mut device.services[at];
        for (property, data) in own {
            more.values.insert(property.id.clone(), value(data));
            more.properties.push(property.diagnostic());
        }
        if node.up.is_some() {
            more.actions.push(share());
        }
        if more.properties.is_empty() && more.actions.is_empty() {
            device.services.remove(at);
        }
        device.with(paired(Some(added.since)))
    }
}

/// Lets others add it, too: for three minutes, under a code of its own.
fn share() -> Action {
    let code = Property::state("code", Format::Text).sensitive(FieldCode::KeyPublic);
    Action { id: "share".to_owned(), inputs: vec![], outputs: vec![code], effect: Effect::Security }
}

/// A device of this kind proves who it is once it is added.
fn paired(since: Option<Timestamp>) -> Service {
    let mut service = pairing(since);
    service.properties.retain(|property| property.id != "verified");
    service.values.remove("verified");
    service
}

fn waiting_id(name: &str) -> DeviceId {
    device_id("matter", &format!("waiting {name}"))
}

fn describe_waiting(id: &DeviceId, waiting: &Waiting) -> Device {
    let name = waiting.advert.name.clone().unwrap_or_else(|| "Matter device".to_owned());
    let mut device = Device::new(id.clone(), DeviceKind::Other, name);
    (device.passing, device.reach) = (true, Reach::Local);
    device.claims = Claims::peer(in_order(waiting.at.clone()).into_iter().map(|at| at.ip()));
    let mut pairing = pairing(None);
    for request in pairing.actions.iter_mut().filter(|one| one.id == "request") {
        request.inputs = vec![Property::state("code", Format::Text).sensitive(FieldCode::KeyPublic)];
    }
    device.with(pairing)
}

#[cfg(test)]
mod tests {
    use accord_ports::dns_sd::ServiceInstance;

    use super::*;
    use crate::core::advert::COMMISSIONABLE;

    #[test]
    fn one_machine_that_announces_many_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (mut nodes, mut sky) = (Nodes::open(&Vault::new(dir.path(), &[7; 32])).unwrap(), Sky::default());
        let mut wait = |name: String, at: &str| {
            let (service, txt) = (COMMISSIONABLE.to_owned(), vec![("D".to_owned(), b"7".to_vec())]);
            let host = "h".to_owned();
            let instance = ServiceInstance { service, name, host, port: 1, addresses: Vec::new(), txt };
            sky.here(&instance, vec![at.parse().unwrap()]);
        };
        for number in 0..3 * MOST_WAITING {
            wait(format!("0000-{number:04}"), "10.0.0.9:1");
        }
        wait("FFFF".to_owned(), "10.0.0.2:1");
        let told = nodes.waits(&sky);
        assert_eq!(told.len(), MOST_WAITING);
        let is_it = |told: &FromBridge| matches!(told, FromBridge::Seen { device } if device.id == waiting_id("FFFF"));
        assert!(told.iter().any(is_it));
    }
}
