//! Devices of this house, shown on a broker by Home Assistant's discovery convention: what is to be shown and what clients say
//! in; messages, wishes and what is to be remembered out. No I/O and no clock.
//!
//! All of it is retained, so that whoever comes later has it too. What may lie on the broker is remembered before it is
//! published, so that nothing stays there that is shown no more, whatever happens in between.

pub mod entity;
pub mod state;
pub mod wish;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use accord_model::{Data, Device, DeviceId, Reach, Service, Target, Value};
use accord_ports::showcase::{Frame, MOST_DEVICES, Wish};
use serde::{Deserialize, Serialize};

use super::packet::Publish;
use super::topic::below;
use entity::Place;
use wish::Tail;

/// Most topics of all devices: each is kept by the broker.
const MOST_TOPICS: usize = 8_192;
/// Messages that the broker has not confirmed yet.
const AT_ONCE: usize = 32;
/// Most events that wait.
const MOST_EVENTS: usize = 64;
/// Wishes of one device that wait for the one before, how many it has at once, and how many more a second.
const MOST_WAITING: usize = 8;
const BURST: f64 = 20.0;
const A_SECOND: f64 = 5.0;
/// How long a device may take to show what was wished before it is said again what it is.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);
/// What a service is, is not said again more often, whatever is wished of it.
const AGAIN: Duration = Duration::from_secs(1);
/// Home Assistant starts no more often.
const BORN_EVERY: Duration = Duration::from_secs(10);

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
    waiting: VecDeque<(Target, Vec<accord_model::Verb>)>,
    wished: Option<Target>,
    tokens: (f64, Instant),
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
    /// On their way, and what was said.
    flying: BTreeMap<u64, (String, Option<Vec<u8>>)>,
    next: u64,
    events: VecDeque<Publish>,
    /// Shown on a stream that is over, and not on the one in its place so far.
    stale: BTreeSet<DeviceId>,
    /// What was shown before is known to be shown no more.
    settled: bool,
    up: bool,
    born: Option<Instant>,
    wishes: VecDeque<(u64, Wish)>,
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

    /// How many devices are shown, and how many wishes were not fulfilled.
    pub fn counts(&self) -> (usize, u64) {
        (self.things.len(), self.refused)
    }

    /// Whether a connection is needed: something is shown, or lies there that should not.
    pub fn is_wanted(&self) -> bool {
        !self.things.is_empty() || (self.settled && !self.memory.topics.is_empty())
    }

    /// Whether nothing is left there.
    pub fn is_gone(&self) -> bool {
        self.things.is_empty() && self.memory.topics.is_empty() && self.flying.is_empty()
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
        let Some(digits) = id.as_str().rsplit('-').next().filter(|digits| entity::is_word(digits)).map(str::to_owned)
        else {
            return;
        };
        if self.things.len() >= MOST_DEVICES && !self.things.contains_key(&id) {
            return;
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
            return;
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
        let Some(thing) = self.things.get(id).filter(|_| self.up && event == "pressed") else { return };
        let Some(service) = find(&thing.device, target).filter(|service| service.id == "button") else { return };
        let kind = arguments.get("kind").and_then(Data::as_text);
        let payload = bytes(&state::pressed(kind));
        if self.events.len() < MOST_EVENTS {
            // Nobody who comes later is told of it.
            self.events.push_back(Publish { topic: thing.place.event(service), payload, ..Publish::default() });
        }
    }

    fn gone(&mut self, id: &DeviceId) {
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

    /// The connection is over.
    pub fn down(&mut self) {
        self.up = false;
        self.there.clear();
        self.flying.clear();
        self.events.clear();
        self.again.clear();
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
            return Some((self.next, event));
        }
        loop {
            let topic = self.queue.pop_front()?;
            self.queued.remove(&topic);
            // One after the other, so that the last word stays.
            if self.flying.values().any(|(flying, _)| *flying == topic) {
                continue;
            }
            let payload = self.wanted.get(&topic).cloned();
            if payload.is_none() && !self.memory.topics.contains(&topic) {
                continue;
            }
            if payload.is_some() && self.there.get(&topic) == payload.as_ref() {
                continue;
            }
            self.flying.insert(self.next, (topic.clone(), payload.clone()));
            let payload = payload.unwrap_or_default();
            return Some((self.next, Publish { topic, payload, retain: true, id: None }));
        }
    }

    /// The broker has it, or not.
    pub fn published(&mut self, number: u64, taken: bool) {
        let Some((topic, payload)) = self.flying.remove(&number) else { return };
        if taken {
            match payload {
                Some(payload) => drop(self.there.insert(topic.clone(), payload)),
                None => {
                    self.there.remove(&topic);
                    if !self.wanted.contains_key(&topic) && self.memory.topics.remove(&topic) {
                        self.unsaved = true;
                    }
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
        let said = self.up && !self.things.is_empty();
        said.then(|| Publish { topic: self.status(), payload: b"offline".to_vec(), retain: true, id: None })
    }

    // -- wishes --------------------------------------------------------------------------------------

    /// Takes a message of a client.
    pub fn message(&mut self, message: &Publish, now: Instant) {
        if message.topic == format!("{}/status", self.discovery) {
            let is_early = self.born.is_some_and(|born| now.saturating_duration_since(born) < BORN_EVERY);
            // What the broker kept is no start.
            if message.payload == b"online" && !message.retain && !is_early {
                self.born = Some(now);
                self.offer_again();
            }
            return;
        }
        // A wish that the broker kept was for somebody who was there then.
        if message.retain {
            return;
        }
        let Some((id, target, tail)) = self.addressed(&message.topic) else { return };
        let Some(thing) = self.things.get_mut(&id) else { return };
        let wished = find(&thing.device, &target).and_then(|service| wish::read(service, tail, &message.payload));
        let (left, since) = thing.tokens;
        let left = (left + now.saturating_duration_since(since).as_secs_f64() * A_SECOND).min(BURST);
        let may = left >= 1.0 && thing.waiting.len() < MOST_WAITING && thing.device.reach != Reach::Offline;
        thing.tokens = (if may { left - 1.0 } else { left }, now);
        match wished.filter(|_| may) {
            Some(verbs) => {
                thing.waiting.push_back((target, verbs));
                self.next_wish(&id);
            }
            None => {
                self.refused += 1;
                self.say_again(&id, &target, now);
            }
        }
    }

    fn addressed<'a>(&self, topic: &'a str) -> Option<(DeviceId, Target, Tail<'a>)> {
        let rest = below(topic, &self.root)?;
        let (digits, rest) = rest.split_once('/')?;
        let (service, tail) = rest.split_once('/')?;
        let (service, instance) = service.rsplit_once('-')?;
        let target = Target { service: service.to_owned(), instance: instance.parse().ok()? };
        let tail = match tail {
            "set" => Tail::Whole,
            "do" => Tail::Act,
            _ => Tail::Set(tail.strip_prefix("set/")?),
        };
        Some((self.digits.get(digits)?.clone(), target, tail))
    }

    fn next_wish(&mut self, id: &DeviceId) {
        let Some(thing) = self.things.get_mut(id).filter(|thing| thing.running.is_none()) else { return };
        let Some((target, verbs)) = thing.waiting.pop_front() else { return };
        self.next += 1;
        (thing.running, thing.wished) = (Some(self.next), Some(target.clone()));
        self.wishes.push_back((self.next, Wish { device: id.clone(), target, verbs }));
    }

    /// The next wish, under the number by which [`Self::answered`] tells what became of it.
    pub fn poll_wish(&mut self) -> Option<(u64, Wish)> {
        self.wishes.pop_front()
    }

    /// What became of a wish. Whoever wished it in vain is told what the device is.
    pub fn answered(&mut self, number: u64, done: bool, now: Instant) {
        let found = self.things.iter_mut().find(|(_, thing)| thing.running == Some(number));
        let Some((id, thing)) = found else { return };
        thing.running = None;
        let (id, target) = (id.clone(), thing.wished.take());
        if let Some(target) = target {
            if done {
                if let Some(topic) = self.state_topic(&id, &target) {
                    self.again.insert(topic, now + SHOWS_WITHIN);
                }
            } else {
                self.refused += 1;
                self.say_again(&id, &target, now);
            }
        }
        self.next_wish(&id);
    }

    fn state_topic(&self, id: &DeviceId, target: &Target) -> Option<String> {
        let thing = self.things.get(id)?;
        let topic = thing.place.state(find(&thing.device, target)?);
        thing.topics.contains(&topic).then_some(topic)
    }

    fn say_again(&mut self, id: &DeviceId, target: &Target, now: Instant) {
        let Some(topic) = self.state_topic(id, target) else { return };
        let last = self.said_again.get(&topic).map(|last| *last + AGAIN);
        self.again.insert(topic, last.map_or(now, |earliest| earliest.max(now)));
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.again.values().min().copied().filter(|_| self.up)
    }

    /// Says again what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<String> =
            self.again.iter().filter(|(_, at)| **at <= now).map(|(topic, _)| topic.clone()).collect();
        for topic in due {
            self.again.remove(&topic);
            self.said_again.retain(|_, at| now.saturating_duration_since(*at) < AGAIN);
            self.said_again.insert(topic.clone(), now);
            self.there.remove(&topic);
            self.enqueue(topic);
        }
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

/// Entry for fuzzing: any bytes as messages of clients, to devices with a service of each kind.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    use accord_model::{DeviceKind, catalogue};
    let services = [
        catalogue::light(),
        catalogue::on_off(),
        catalogue::climate(),
        catalogue::cover(),
        catalogue::door_lock(),
        catalogue::fan(),
        catalogue::vacuum(),
    ];
    let Ok(id) = DeviceId::new("shown-0011") else { return };
    let mut device = services.into_iter().fold(Device::new(id, DeviceKind::Other, "All"), Device::with);
    device.reach = Reach::Local;
    let mut showing = Showing::new("homeassistant", Memory::new("00112233aabb".to_owned()));
    let now = Instant::now();
    showing.frame(Frame::Show(Box::new(device)), now);
    showing.up();
    let _ = showing.poll_memory();
    for part in data.split(|byte| *byte == b'\n').take(64) {
        let (topic, payload) = part.split_at(part.iter().position(|byte| *byte == b' ').unwrap_or(part.len()));
        let topic = String::from_utf8_lossy(topic);
        let topic =
            topic.strip_prefix('~').map_or_else(|| topic.to_string(), |end| format!("accord/00112233aabb/0011/{end}"));
        let payload = payload.get(1..).unwrap_or_default().to_vec();
        showing.message(&Publish { topic, payload, retain: false, id: None }, now);
        while let Some((number, wish)) = showing.poll_wish() {
            assert!(!wish.verbs.is_empty() && wish.verbs.len() <= accord_ports::showcase::MOST_VERBS);
            showing.answered(number, data.len().is_multiple_of(2), now);
        }
        showing.handle_timeout(now);
        while let Some((number, _)) = showing.poll_publish() {
            showing.published(number, true);
        }
    }
}
