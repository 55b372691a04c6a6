//! Devices of this house, shown on a broker by Home Assistant's discovery convention: what is to be shown and what clients say
//! in; messages, wishes and what is to be remembered out. No I/O and no clock.
//!
//! All of it is retained, so that whoever comes later has it too. What may lie on the broker is remembered before it is
//! published, so that nothing stays there that is shown no more, whatever happens in between.

pub mod entity;
pub mod state;
pub mod wish;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use accord_model::{Data, Device, DeviceId, Reach, Service, Target, Value};
use accord_ports::showcase::{Frame, MOST_DEVICES, Wish};
use serde::{Deserialize, Serialize};

use super::packet::Publish;
use entity::Place;
pub use wishes::fuzz;

/// Most topics of all devices: each is kept by the broker.
const MOST_TOPICS: usize = 8_192;
/// Messages that the broker has not confirmed yet.
const AT_ONCE: usize = 32;
/// Most events that wait.
const MOST_EVENTS: usize = 64;
/// How many wishes a device has at once.
const BURST: f64 = 20.0;
/// What a service is, is not said again more often, whatever is wished of it; nor what the broker did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// What is kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// This hub on this broker: hexadecimal digits by chance.
    pub hub: String,
    /// What may lie there.
    topics: BTreeSet<String>,
}

impl Memory {
    /// Of a hub that was never there.
    pub fn new(hub: String) -> Self {
        Self { hub, topics: BTreeSet::new() }
    }

    /// Whether it can be used.
    pub fn is_sound(&self) -> bool {
        self.hub.len() == 12 && self.hub.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// What ids of a hub's devices begin with: those are not taken for somebody else's.
pub fn ids_of(hub: &str) -> String {
    format!("accord_{hub}_")
}

struct Thing {
    device: Device,
    place: Place,
    /// What of it the broker is to keep.
    topics: BTreeSet<String>,
    /// Wishes on their way: the number of the one that is being fulfilled, and those behind it.
    running: Option<u64>,
    waiting: VecDeque<(Instant, Target, Vec<accord_model::Verb>)>,
    wished: Option<Target>,
    tokens: (f64, Instant),
}

/// A message on its way to the broker.
enum Flying {
    /// Nobody who comes later is told of it.
    Event,
    /// To be kept there under a topic, or no longer.
    Kept(String, Option<Vec<u8>>),
}

/// The machine.
pub struct Showing {
    discovery: String,
    root: String,
    ids: String,
    memory: Memory,
    unsaved: bool,
    things: BTreeMap<DeviceId, Thing>,
    /// By the digits that it has in topics.
    digits: BTreeMap<String, DeviceId>,
    /// What the broker is to keep, by topic.
    wanted: BTreeMap<String, Vec<u8>>,
    /// What it has of that, as far as is known.
    there: BTreeMap<String, Vec<u8>>,
    queue: VecDeque<String>,
    queued: HashSet<String>,
    /// What the broker has not confirmed.
    flying: BTreeMap<u64, Flying>,
    next: u64,
    events: VecDeque<Publish>,
    /// Shown on a stream that is over, and not on the one in its place so far.
    stale: BTreeSet<DeviceId>,
    /// What was shown before is known to be shown no more.
    settled: bool,
    up: bool,
    /// Nobody tells what is to be shown: nothing is said but that something is no more.
    hushed: bool,
    /// Devices for which there is no room.
    left_out: BTreeSet<DeviceId>,
    born: Option<Instant>,
    /// Which nobody asked about so far, and until when they may be.
    wishes: VecDeque<(Instant, u64, Wish)>,
    /// When what a service is is to be said again, and when it was.
    again: BTreeMap<String, Instant>,
    said_again: BTreeMap<String, Instant>,
    refused: u64,
}

impl Showing {
    /// Nothing is shown yet; what the memory says may lie on the broker.
    pub fn new(discovery: &str, memory: Memory) -> Self {
        let (root, ids) = (format!("accord/{}", memory.hub), ids_of(&memory.hub));
        Self {
            discovery: discovery.to_owned(),
            root,
            ids,
            memory,
            unsaved: false,
            things: BTreeMap::new(),
            digits: BTreeMap::new(),
            wanted: BTreeMap::new(),
            there: BTreeMap::new(),
            queue: VecDeque::new(),
            queued: HashSet::new(),
            flying: BTreeMap::new(),
            next: 0,
            events: VecDeque::new(),
            stale: BTreeSet::new(),
            settled: false,
            up: false,
            hushed: true,
            left_out: BTreeSet::new(),
            born: None,
            wishes: VecDeque::new(),
            again: BTreeMap::new(),
            said_again: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Where it is said that the hub is here, or by its last will that it is not.
    pub fn status(&self) -> String {
        Place::status(&self.root)
    }

    /// What is to be subscribed to: that Home Assistant starts, and what clients wish.
    pub fn filters(&self) -> Vec<String> {
        let root = &self.root;
        vec![
            format!("{}/status", self.discovery),
            format!("{root}/+/+/set"),
            format!("{root}/+/+/set/+"),
            format!("{root}/+/+/do"),
        ]
    }

    /// How many devices are shown, how many wishes were not fulfilled, and for how many devices there is no room.
    pub fn counts(&self) -> (usize, u64, usize) {
        (self.things.len(), self.refused, self.left_out.len())
    }

    /// Whether a connection is needed: something is shown, or lies there that may not have to.
    pub fn is_wanted(&self) -> bool {
        !self.things.is_empty() || !self.memory.topics.is_empty()
    }

    /// Whether nothing is left there.
    pub fn is_gone(&self) -> bool {
        let flies = self.flying.values().any(|flying| matches!(flying, Flying::Kept(..)));
        self.things.is_empty() && self.memory.topics.is_empty() && !flies
    }

    // -- what is to be shown -------------------------------------------------------------------------

    /// Takes what is to be shown.
    pub fn frame(&mut self, frame: Frame, now: Instant) {
        match frame {
            Frame::Show(device) => self.show(*device, now),
            Frame::Values { device, target, values } => self.values(&device, &target, values),
            Frame::Reach { device, reach } => {
                if let Some(thing) = self.things.get_mut(&device) {
                    thing.device.reach = reach;
                    let (topic, said) = (thing.place.alive(), alive(reach));
                    self.want(topic, said);
                }
            }
            Frame::Event { device, target, event, arguments } => self.happened(&device, &target, &event, &arguments),
            Frame::Gone { device } => self.gone(&device),
            Frame::All => self.settle(),
        }
    }

    /// Everything is told anew: what is not by the time of [`Frame::All`] is shown no more.
    pub fn begin_anew(&mut self) {
        self.stale = self.things.keys().cloned().collect();
        self.left_out.clear();
        self.hushed = false;
    }

    /// Nobody tells any more, so that it may have been taken back: from now on nothing is said but that something is no more. What
    /// is told by the next one of a device is said again.
    pub fn hush(&mut self) {
        self.hushed = true;
        self.events.clear();
        self.again.retain(|topic, _| !self.wanted.contains_key(topic));
    }

    /// Whether something may be said of it now: whoever tells what is to be shown has told of it.
    fn is_told(&self, topic: &String) -> bool {
        let is_stale = |id| self.things.get(id).is_some_and(|thing: &Thing| thing.topics.contains(topic));
        !self.hushed && !self.stale.iter().any(is_stale)
    }

    /// Nothing is shown any more.
    pub fn withdraw(&mut self) {
        for id in self.things.keys().cloned().collect::<Vec<_>>() {
            self.gone(&id);
        }
        self.settle();
    }

    /// What is not shown by now is shown no more.
    pub fn settle(&mut self) {
        std::mem::take(&mut self.stale).iter().for_each(|id| self.gone(id));
        self.settled = true;
        self.leftovers();
    }

    fn leftovers(&mut self) {
        if !self.settled {
            return;
        }
        let left: Vec<String> =
            self.memory.topics.iter().filter(|topic| !self.wanted.contains_key(*topic)).cloned().collect();
        left.into_iter().for_each(|topic| self.enqueue(topic));
    }

    fn show(&mut self, device: Device, now: Instant) {
        let id = device.id.clone();
        self.stale.remove(&id);
        self.left_out.remove(&id);
        let Some(digits) = id.as_str().rsplit('-').next().filter(|digits| entity::is_word(digits)).map(str::to_owned)
        else {
            return;
        };
        if self.things.len() >= MOST_DEVICES && !self.things.contains_key(&id) {
            return self.leave_out(id);
        }
        if self.digits.get(&digits).is_some_and(|of| *of != id) {
            return;
        }
        let place = Place { root: self.root.clone(), device: digits.clone(), id: format!("{}{digits}", self.ids) };
        let mut wanted = BTreeMap::from([(place.alive(), alive(device.reach))]);
        for service in device.services.iter().filter(|service| entity::is_word(&service.id)) {
            if service.properties.iter().any(|property| property.read) {
                wanted.insert(place.state(service), bytes(&state::of(service)));
            }
        }
        let mut configs = BTreeMap::new();
        for entity in entity::entities(&device, &place) {
            let topic = format!("{}/{}/{}/{}/config", self.discovery, entity.component, place.id, entity.object);
            configs.insert(topic, bytes(&entity.config));
        }
        let topics: BTreeSet<String> = wanted.keys().chain(configs.keys()).cloned().collect();
        let before = self.things.remove(&id);
        let old = before.as_ref().map(|thing| thing.topics.clone()).unwrap_or_default();
        if self.wanted.len() - old.len().min(self.wanted.len()) + topics.len() >= MOST_TOPICS {
            self.digits.remove(&digits);
            old.into_iter().for_each(|topic| self.unwant(topic));
            return self.leave_out(id);
        }
        old.difference(&topics).cloned().collect::<Vec<_>>().into_iter().for_each(|topic| self.unwant(topic));
        let (running, waiting, wished, tokens) = match before {
            Some(thing) => (thing.running, thing.waiting, thing.wished, thing.tokens),
            None => (None, VecDeque::new(), None, (BURST, now)),
        };
        self.digits.insert(digits, id.clone());
        self.things.insert(id, Thing { device, place, topics, running, waiting, wished, tokens });
        self.want(self.status(), b"online".to_vec());
        // What it says first, so that it is there when it is described.
        wanted.into_iter().chain(configs).for_each(|(topic, payload)| self.want(topic, payload));
    }

    fn leave_out(&mut self, id: DeviceId) {
        if self.left_out.len() < MOST_DEVICES {
            self.left_out.insert(id);
        }
    }

    fn values(&mut self, id: &DeviceId, target: &Target, values: BTreeMap<String, Value>) {
        let Some(thing) = self.things.get_mut(id) else { return };
        let Some(service) = find_mut(&mut thing.device, target) else { return };
        service.values.extend(values);
        let (topic, payload) = (thing.place.state(service), bytes(&state::of(service)));
        if thing.topics.contains(&topic) {
            self.again.remove(&topic);
            self.want(topic, payload);
        }
    }

    fn happened(&mut self, id: &DeviceId, target: &Target, event: &str, arguments: &accord_model::Outputs) {
        let Some(thing) = self.things.get(id).filter(|_| self.up && !self.hushed && event == "pressed") else { return };
        let Some(service) = find(&thing.device, target).filter(|service| service.id == "button") else { return };
        let kind = arguments.get("kind").and_then(Data::as_text);
        let payload = bytes(&state::pressed(kind));
        if self.events.len() < MOST_EVENTS {
            // Nobody who comes later is told of it.
            self.events.push_back(Publish { topic: thing.place.event(service), payload, ..Publish::default() });
        }
    }

    fn gone(&mut self, id: &DeviceId) {
        self.left_out.remove(id);
        let Some(thing) = self.things.remove(id) else { return };
        self.digits.remove(&thing.place.device);
        // Its description first, so that it is not shown as silent.
        let (configs, said): (Vec<String>, Vec<String>) =
            thing.topics.into_iter().partition(|topic| topic.ends_with("/config"));
        configs.into_iter().chain(said).for_each(|topic| self.unwant(topic));
        if self.things.is_empty() {
            self.unwant(self.status());
        }
    }

    fn want(&mut self, topic: String, payload: Vec<u8>) {
        if self.memory.topics.insert(topic.clone()) {
            self.unsaved = true;
        }
        if self.there.get(&topic) != Some(&payload) {
            self.enqueue(topic.clone());
        }
        self.wanted.insert(topic, payload);
    }

    fn unwant(&mut self, topic: String) {
        self.wanted.remove(&topic);
        self.again.remove(&topic);
        if self.memory.topics.contains(&topic) {
            self.enqueue(topic);
        }
    }

    fn enqueue(&mut self, topic: String) {
        if self.queued.insert(topic.clone()) {
            self.queue.push_back(topic);
        }
    }

    // -- the connection ------------------------------------------------------------------------------

    /// The broker took the connection: nobody knows what it has.
    pub fn up(&mut self) {
        self.up = true;
        self.offer_again();
    }

    /// The connection is over. What was wished on it and not asked about is not done later.
    pub fn down(&mut self) {
        self.up = false;
        self.there.clear();
        self.flying.clear();
        self.events.clear();
        self.again.clear();
        self.forget_wishes();
    }

    fn offer_again(&mut self) {
        self.there.clear();
        self.queue.clear();
        self.queued.clear();
        if !self.things.is_empty() {
            self.enqueue(self.status());
        }
        let (configs, said): (Vec<String>, Vec<String>) =
            self.wanted.keys().cloned().partition(|topic| topic.ends_with("/config"));
        said.into_iter().chain(configs).for_each(|topic| self.enqueue(topic));
        self.leftovers();
    }

    /// What is to be on disk before anything else is published.
    pub fn poll_memory(&mut self) -> Option<&Memory> {
        std::mem::take(&mut self.unsaved).then_some(&self.memory)
    }

    /// The last will of a connection may lie there from when it is made.
    pub fn remember_will(&mut self) {
        let status = self.status();
        self.unsaved |= self.memory.topics.insert(status);
    }

    /// It is not on disk: it has to be before anything is published.
    pub fn not_saved(&mut self) {
        self.unsaved = true;
    }

    /// The next message, under the number by which [`Self::published`] tells of it.
    pub fn poll_publish(&mut self) -> Option<(u64, Publish)> {
        if !self.up || self.unsaved || self.flying.len() >= AT_ONCE {
            return None;
        }
        self.next += 1;
        if let Some(event) = self.events.pop_front() {
            self.flying.insert(self.next, Flying::Event);
            return Some((self.next, event));
        }
        loop {
            let topic = self.queue.pop_front()?;
            self.queued.remove(&topic);
            // One after the other, so that the last word stays.
            if self.flying.values().any(|flying| matches!(flying, Flying::Kept(on_its_way, _) if *on_its_way == topic))
            {
                continue;
            }
            let payload = self.wanted.get(&topic).cloned();
            if payload.is_none() && !self.memory.topics.contains(&topic) {
                continue;
            }
            if payload.is_some() && (!self.is_told(&topic) || self.there.get(&topic) == payload.as_ref()) {
                continue;
            }
            self.flying.insert(self.next, Flying::Kept(topic.clone(), payload.clone()));
            let payload = payload.unwrap_or_default();
            return Some((self.next, Publish { topic, payload, retain: true, id: None }));
        }
    }

    /// The broker has it, or not: then it is told once more, a while later.
    pub fn published(&mut self, number: u64, taken: bool, now: Instant) {
        let Some(Flying::Kept(topic, payload)) = self.flying.remove(&number) else { return };
        if !taken {
            self.again.insert(topic, now + AGAIN);
            return;
        }
        match payload {
            Some(payload) => drop(self.there.insert(topic.clone(), payload)),
            None => {
                self.there.remove(&topic);
                if !self.wanted.contains_key(&topic) && self.memory.topics.remove(&topic) {
                    self.unsaved = true;
                }
            }
        }
        let is_right = match self.wanted.get(&topic) {
            Some(wanted) => self.there.get(&topic) == Some(wanted),
            None => !self.memory.topics.contains(&topic),
        };
        if !is_right {
            self.enqueue(topic);
        }
    }

    /// What is said at the end of a connection that is ended from here.
    pub fn farewell(&self) -> Option<Publish> {
        let said = self.up && self.memory.topics.contains(&self.status());
        said.then(|| Publish { topic: self.status(), payload: b"offline".to_vec(), retain: true, id: None })
    }
}

fn alive(reach: Reach) -> Vec<u8> {
    if reach == Reach::Offline { b"offline".to_vec() } else { b"online".to_vec() }
}

fn bytes(value: &serde_json::Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn find<'a>(device: &'a Device, target: &Target) -> Option<&'a Service> {
    device.services.iter().find(|one| one.id == target.service && one.instance == target.instance)
}

fn find_mut<'a>(device: &'a mut Device, target: &Target) -> Option<&'a mut Service> {
    device.services.iter_mut().find(|one| one.id == target.service && one.instance == target.instance)
}
