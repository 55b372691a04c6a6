//! Everything that a broker tells of: messages in; devices, values and events out, and which topics are to be subscribed to.
//! zigbee2mqtt's own description leads: what it describes by Home Assistant's convention too is there once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use accord_model::{Data, DeviceKind, Target, Verb};
use serde_json::{Value, json};

use super::discovery::{self, Described, Origin};
use super::groups::{self, Group};
use super::known::{Known, Memory};
use super::parts::Count;
use super::session::MOST_FILTERS;
use super::showing;
use super::thing::{Order, Sign, Thing};
use super::topic::{below, is_sound};
use super::zigbee::{self, Topics};

/// Most devices of one broker, and most discovery messages, of which there is one for each of a device's properties.
const MOST_THINGS: usize = 4_096;
pub(super) const MOST_MESSAGES: usize = 32_768;
/// Longest message of a device, in bytes, and how much is kept of what topics said last.
const MAX_STATE: usize = 256 * 1024;
const MAX_KEPT: usize = 8 * 1024;
const KEPT_AT_MOST: usize = 16 << 20;
/// How much may be described by Home Assistant's convention, as [`Described::weight`] counts it.
const DESCRIBED_AT_MOST: usize = 64 << 20;
/// Descriptions come in hundreds; they are taken up together, this long after the first.
const SETTLES: Duration = Duration::from_millis(120);
/// Long enough for what the broker keeps to come after a connection was made.
const GRACE: Duration = Duration::from_secs(3);

/// Where the devices are described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    /// Of Home Assistant's convention.
    pub discovery: String,
    /// Of zigbee2mqtt.
    pub zigbee: String,
}

/// What is new.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// A device is there, or is described differently, or here or not.
    Thing(String),
    /// A device is no more.
    Gone(String),
    /// What a device said; `true`: the broker kept it from before.
    Values(String, Target, BTreeMap<String, Data>, bool),
    /// A button of a device was pressed: how.
    Pressed(String, Target, String),
    /// zigbee2mqtt complains about a device.
    Trouble(String, String),
}

/// How much was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of properties.
    pub count: Count,
    /// Messages that were refused, and why.
    pub refused: BTreeMap<String, usize>,
    /// Described by zigbee2mqtt itself already.
    pub led: usize,
}

/// The machine.
pub struct House {
    bases: Bases,
    /// What ids of this hub's own devices begin with.
    own: Option<String>,
    things: BTreeMap<String, Thing>,
    /// Which things hear on which topic.
    routes: HashMap<String, BTreeSet<String>>,
    said: VecDeque<Said>,
    /// zigbee2mqtt: whether it runs, whether it said so over the connection before, and what it described, as it came.
    online: Option<bool>,
    online_before: bool,
    devices: BTreeMap<String, Value>,
    /// Of which of them what is known was made.
    mapped: BTreeMap<String, Value>,
    /// Discovery messages, in the order in which they came first.
    messages: BTreeMap<Origin, (u64, Described)>,
    described_bytes: usize,
    /// Which could not be read, and why.
    broken: BTreeMap<Origin, &'static str>,
    known: Known,
    dirty: Option<Instant>,
    /// Until when a new connection may take to describe what was described before.
    grace: Option<Instant>,
    /// What topics said last, for devices that are described later.
    kept: HashMap<String, (Vec<u8>, bool)>,
    kept_bytes: usize,
    asks: VecDeque<String>,
    refused: BTreeMap<String, usize>,
    led: usize,
    filters_changed: bool,
}

impl House {
    /// An empty one.
    pub fn new(bases: Bases) -> Self {
        Self::remembering(bases, Memory::default())
    }

    /// An empty one that knows what there was before.
    pub fn remembering(bases: Bases, memory: Memory) -> Self {
        Self {
            bases,
            own: None,
            things: BTreeMap::new(),
            routes: HashMap::new(),
            said: VecDeque::new(),
            online: None,
            online_before: false,
            devices: BTreeMap::new(),
            mapped: BTreeMap::new(),
            messages: BTreeMap::new(),
            described_bytes: 0,
            broken: BTreeMap::new(),
            known: Known::of(memory),
            dirty: None,
            grace: None,
            kept: HashMap::new(),
            kept_bytes: 0,
            asks: VecDeque::new(),
            refused: BTreeMap::new(),
            led: 0,
            filters_changed: true,
        }
    }

    /// The same, deaf to what this hub itself describes on the broker.
    #[must_use]
    pub fn without_own(mut self, hub: &str) -> Self {
        self.own = Some(showing::ids_of(hub));
        self
    }

    /// A device.
    pub fn thing(&self, key: &str) -> Option<&Thing> {
        self.things.get(key)
    }

    /// What is to be published so that a device does what is wanted.
    ///
    /// # Errors
    /// In words.
    pub fn order(&mut self, key: &str, target: &Target, verb: &Verb, now: Instant) -> Result<Order, String> {
        let thing = self.things.get_mut(key).ok_or("no such device is described")?;
        thing.order(target, verb, now)
    }

    /// All of them.
    pub fn things(&self) -> impl Iterator<Item = (&String, &Thing)> {
        self.things.iter()
    }

    /// Whether it can be reached now. While a new connection may still bring what the broker keeps, a device that tells whether
    /// it is here is not before it said so; what it said over the connection before holds meanwhile.
    pub fn is_here(&self, key: &str) -> bool {
        let comes = self.grace.is_some();
        self.things.get(key).is_some_and(|thing| {
            let runs = !thing.zigbee || self.online.unwrap_or(!comes);
            runs && thing.is_here() && !(comes && thing.is_silent())
        })
    }

    /// Whether zigbee2mqtt runs; nothing while it says nothing.
    pub fn zigbee_runs(&self) -> Option<bool> {
        self.online
    }

    /// Whether what is to be remembered changed since it was asked for last.
    pub fn has_news(&self) -> bool {
        self.known.has_changed()
    }

    /// What is to be remembered, when it changed since it was asked for last.
    pub fn poll_memory(&mut self) -> Option<&Memory> {
        self.known.changed()
    }

    /// How much was understood of all descriptions.
    pub fn tally(&self) -> Tally {
        let mut count = Count::default();
        self.things.values().for_each(|thing| count.add(&thing.parts.count));
        let mut refused = self.refused.clone();
        for why in self.broken.values() {
            *refused.entry((*why).to_owned()).or_default() += 1;
        }
        Tally { count, refused, led: self.led }
    }

    /// What is new. `None`: nothing.
    pub fn poll_said(&mut self) -> Option<Said> {
        self.said.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.dirty.into_iter().chain(self.grace).min()
    }

    /// Whether everything that is described has had its time to come since the connection was made.
    pub fn is_settled(&self) -> bool {
        self.grace.is_none()
    }

    /// All that is to be subscribed to, when that changed: descriptions first, so that what leads comes first.
    pub fn poll_filters(&mut self) -> Option<Vec<String>> {
        if !std::mem::take(&mut self.filters_changed) {
            return None;
        }
        let Bases { discovery, zigbee } = &self.bases;
        let mut filters: Vec<String> =
            ["state", "devices", "logging"].map(|end| format!("{zigbee}/bridge/{end}")).to_vec();
        filters.extend([format!("{discovery}/+/+/config"), format!("{discovery}/+/+/+/config")]);
        let fixed: BTreeSet<String> = filters.iter().cloned().collect();
        let mut more: Vec<&String> = self.routes.keys().filter(|topic| !fixed.contains(*topic)).collect();
        more.sort_unstable();
        filters.extend(more.into_iter().take(MOST_FILTERS - 8).cloned());
        Some(filters)
    }

    /// The next device to be asked for everything, if it has said nothing yet.
    pub fn poll_ask(&mut self) -> Option<(String, Vec<u8>)> {
        loop {
            let key = self.asks.pop_front()?;
            let silent = |thing: &&Thing| thing.values.is_empty();
            if self.is_here(&key)
                && let Some(ask) = self.things.get(&key).filter(silent).and_then(|thing| thing.ask.clone())
            {
                return Some(ask);
            }
        }
    }

    /// The connection is new: what is described comes again, and what does not is no more. Devices stay until then.
    pub fn begin_anew(&mut self, now: Instant) {
        self.messages.clear();
        self.described_bytes = 0;
        self.broken.clear();
        self.kept.clear();
        self.kept_bytes = 0;
        self.online_before = true;
        self.devices.clear();
        self.filters_changed = true;
        self.asks.clear();
        self.dirty = None;
        self.grace = Some(now + GRACE);
        for thing in self.things.values_mut() {
            thing.signs.iter_mut().for_each(|sign| sign.before = true);
        }
    }

    /// What the broker keeps has come: what was said over the connection before and not again is known no more.
    fn end_grace(&mut self) {
        let keys: Vec<String> = self.things.keys().cloned().collect();
        let were: Vec<bool> = keys.iter().map(|key| self.is_here(key)).collect();
        self.grace = None;
        if std::mem::take(&mut self.online_before) {
            self.online = None;
        }
        for sign in self.things.values_mut().flat_map(|thing| &mut thing.signs) {
            if std::mem::take(&mut sign.before) {
                sign.said = None;
            }
        }
        let changed = keys.into_iter().zip(were).filter(|(key, was)| *was != self.is_here(key));
        let changed: Vec<Said> = changed.map(|(key, _)| Said::Thing(key)).collect();
        self.said.extend(changed);
    }

    /// Takes a message.
    pub fn message(&mut self, topic: &str, payload: &[u8], retain: bool, now: Instant) {
        let text = std::str::from_utf8(payload).ok();
        if let Some(rest) = below(topic, &self.bases.zigbee).and_then(|rest| rest.strip_prefix("bridge/")) {
            match rest {
                "state" => self.runs(text),
                "devices" => self.describe_zigbee(payload, now),
                "logging" => self.complain(payload),
                _ => {}
            }
        } else if let Some(origin) = Origin::parse(topic, &self.bases.discovery) {
            self.describe(origin, payload, now);
            return;
        }
        let Some(keys) = self.routes.get(topic).cloned() else { return };
        if payload.len() > MAX_STATE {
            return self.refuse("a state of more than 256 kB");
        }
        self.keep(topic, payload, retain);
        let json = text.and_then(|text| serde_json::from_str(text).ok());
        for key in keys {
            self.hear(&key, topic, text, json.as_ref(), retain);
        }
    }

    /// Takes up what was described.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_over(self.grace) {
            self.end_grace();
            self.dirty = Some(now);
        }
        if is_over(self.dirty) {
            self.dirty = None;
            self.rebuild();
        }
    }

    fn refuse(&mut self, why: &str) {
        if self.refused.len() < 64 {
            *self.refused.entry(why.to_owned()).or_default() += 1;
        }
    }

    fn keep(&mut self, topic: &str, payload: &[u8], retain: bool) {
        // What there is no room for is not followed by what was said before it.
        if let Some((before, _)) = self.kept.remove(topic) {
            self.kept_bytes -= before.len();
        }
        if payload.len() <= MAX_KEPT && self.kept_bytes + payload.len() <= KEPT_AT_MOST {
            self.kept_bytes += payload.len();
            self.kept.insert(topic.to_owned(), (payload.to_vec(), retain));
        }
    }

    fn hear(&mut self, key: &str, topic: &str, text: Option<&str>, json: Option<&Value>, retain: bool) {
        let was = self.is_here(key);
        let Some(thing) = self.things.get_mut(key) else { return };
        let heard = thing.hear(topic, text, json, retain);
        for ((service, instance), values) in heard.values {
            self.said.push_back(Said::Values(key.to_owned(), Target { service, instance }, values, retain));
        }
        for (target, kind) in heard.pressed {
            self.said.push_back(Said::Pressed(key.to_owned(), target, kind));
        }
        if heard.sign && was != self.is_here(key) {
            self.said.push_back(Said::Thing(key.to_owned()));
        }
    }

    // -- zigbee2mqtt ---------------------------------------------------------------------------------

    /// `{"state": "online"}`, and in version 1 the word alone.
    fn runs(&mut self, text: Option<&str>) {
        let json = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let said = json.as_ref().and_then(|json| json.get("state")).and_then(Value::as_str).or(text);
        let online = match said.map(str::trim) {
            Some("online") => true,
            Some("offline") => false,
            _ => return,
        };
        let anew = std::mem::take(&mut self.online_before);
        if self.online.replace(online) != Some(online) || anew {
            let keys: Vec<String> =
                self.things.iter().filter(|(_, thing)| thing.zigbee).map(|(key, _)| key.clone()).collect();
            self.said.extend(keys.iter().cloned().map(Said::Thing));
            if online {
                self.asks.extend(keys);
            }
        }
    }

    fn describe_zigbee(&mut self, payload: &[u8], now: Instant) {
        let Ok(Value::Array(all)) = serde_json::from_slice::<Value>(payload) else {
            return self.refuse("a list of devices that is none");
        };
        if all.len() > MOST_THINGS {
            self.refuse("more devices than there may be");
        }
        let ieee = |device: &Value| {
            let text = device.get("ieee_address")?.as_str()?.to_lowercase();
            let digits = text.strip_prefix("0x")?;
            (digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| digits.to_owned())
        };
        let is_device = |device: &Value| device.get("type").and_then(Value::as_str) != Some("Coordinator");
        let known = all.into_iter().take(MOST_THINGS).filter(is_device);
        self.devices = known.filter_map(|device| Some((ieee(&device)?, device))).collect();
        self.settle(now);
    }

    /// What zigbee2mqtt writes into its log: of a word that was not understood it says nothing elsewhere.
    fn complain(&mut self, payload: &[u8]) {
        let Ok(entry) = serde_json::from_slice::<Value>(payload) else { return };
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("level") != "error" {
            return;
        }
        let message = text("message");
        let named = |thing: &&Thing| thing.zigbee && message.contains(&format!("'{}'", thing.name));
        let found = self.things.iter().find(|(_, thing)| named(thing)).map(|(key, _)| key.clone());
        if let Some(key) = found {
            self.said.push_back(Said::Trouble(key, accord_model::text::for_screen(message, 300)));
        }
    }

    fn zigbee_thing(&self, ieee: &str, device: &Value) -> Option<Thing> {
        let text = |value: &Value, key: &str| {
            let text = value.get(key)?.as_str()?;
            (!text.is_empty() && text.len() <= 256).then(|| text.to_owned())
        };
        let name = text(device, "friendly_name")?;
        let topics = Topics::of(&self.bases.zigbee, &name);
        if !is_sound(&topics.set) || name.starts_with("bridge/") {
            return None;
        }
        let none = Value::Null;
        let definition = device.get("definition").unwrap_or(&none);
        let exposes = definition.get("exposes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let parts = zigbee::map(exposes, &topics);
        let description = text(definition, "description").unwrap_or_default();
        let ask = zigbee::asked_for(exposes).map(|key| (topics.get.clone(), json!({key: ""}).to_string().into_bytes()));
        Some(Thing {
            kind: zigbee::kind(&parts, &description),
            maker: text(definition, "vendor").or_else(|| text(device, "manufacturer")),
            model: text(definition, "model").or_else(|| text(device, "model_id")),
            software: text(device, "software_build_id"),
            room: None,
            hardware: Some(ieee.to_owned()),
            signs: vec![Sign::zigbee(format!("{}/availability", topics.state))],
            any: false,
            disabled: device.get("disabled").and_then(Value::as_bool).unwrap_or(false),
            zigbee: true,
            ask,
            values: BTreeMap::new(),
            told: BTreeMap::new(),
            parts,
            name,
        })
    }

    // -- Home Assistant's convention -----------------------------------------------------------------

    fn describe(&mut self, origin: Origin, payload: &[u8], now: Instant) {
        if self.own.as_ref().is_some_and(|own| origin.object.starts_with(own)) {
            return;
        }
        self.broken.remove(&origin);
        let before = self.messages.remove(&origin);
        self.described_bytes -= before.as_ref().map_or(0, |(_, described)| described.weight());
        if payload.is_empty() {
            return self.settle(now);
        }
        if self.messages.len() + self.broken.len() >= MOST_MESSAGES {
            return self.refuse("more descriptions than there may be");
        }
        if payload.len() > MAX_STATE {
            self.broken.insert(origin, "a description of more than 256 kB");
            return self.settle(now);
        }
        match discovery::parse(&origin, payload) {
            Ok(described) if self.described_bytes + described.weight() > DESCRIBED_AT_MOST => {
                self.broken.insert(origin, "more is described than may be");
            }
            Ok(described) => {
                let number = self.known.number(&origin);
                self.described_bytes += described.weight();
                self.messages.insert(origin, (number, described));
            }
            Err(_) => drop(self.broken.insert(origin, "a description that cannot be read")),
        }
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        self.dirty.get_or_insert(now + SETTLES);
    }

    // -- what there is -------------------------------------------------------------------------------

    fn rebuild(&mut self) {
        let mut made: BTreeMap<String, Thing> = BTreeMap::new();
        for (ieee, device) in &self.devices {
            let key = format!("zigbee {ieee}");
            let as_before = self.mapped.get(ieee) == Some(device);
            let known = self.things.get(&key).filter(|_| as_before).cloned();
            if let Some(thing) = known.or_else(|| self.zigbee_thing(ieee, device)) {
                made.insert(key, thing);
            }
        }
        self.mapped.clone_from(&self.devices);
        let mut messages: Vec<(u64, &Origin, &Described)> =
            self.messages.iter().map(|(origin, (number, described))| (*number, origin, described)).collect();
        messages.sort_unstable_by_key(|(number, ..)| *number);
        let led = |id: &str| id.strip_prefix("id:zigbee2mqtt_0x").is_some_and(|ieee| self.devices.contains_key(ieee));
        let grouped =
            groups::group(messages.into_iter().map(|(_, origin, described)| (origin, described)), led, &self.known);
        self.known.learn(&grouped.groups);
        self.led = grouped.led;
        let refused = grouped.refused;
        for Group { key, thing, .. } in grouped.groups {
            if made.len() >= MOST_THINGS {
                break;
            }
            made.insert(key, thing);
        }
        // What was refused in a description is counted as often as it stands there, not as often as it is looked at.
        self.refused.retain(|why, _| !why.starts_with("described: "));
        for (why, count) in refused {
            self.refused.insert(format!("described: {why}"), count);
        }
        self.exchange(made);
        if self.grace.is_none() {
            let things = &self.things;
            self.known.prune(self.messages.keys(), |key| things.contains_key(key));
        }
    }

    /// A device by Home Assistant's convention that zigbee2mqtt describes itself.
    fn is_led(&self, key: &str) -> bool {
        key.strip_prefix("device id:zigbee2mqtt_0x").is_some_and(|ieee| self.devices.contains_key(ieee))
    }

    fn exchange(&mut self, made: BTreeMap<String, Thing>) {
        let before = std::mem::take(&mut self.things);
        let mut made = made;
        if self.grace.is_some() {
            for (key, thing) in before.iter().filter(|(key, _)| !self.is_led(key)) {
                made.entry(key.clone()).or_insert_with(|| thing.clone());
            }
        }
        let gone: Vec<String> = before.keys().filter(|key| !made.contains_key(*key)).cloned().collect();
        self.said.extend(gone.into_iter().map(Said::Gone));
        let mut replay = Vec::new();
        for (key, mut thing) in made {
            let old = before.get(&key);
            if let Some(old) = old {
                thing.inherit(old);
            }
            let known: BTreeSet<&str> = old.into_iter().flat_map(Thing::topics).collect();
            let new = thing.topics().filter(|topic| !known.contains(topic)).map(str::to_owned);
            replay.extend(new.collect::<BTreeSet<String>>().into_iter().map(|topic| (key.clone(), topic)));
            if old.is_none_or(|old| !old.is_described_as(&thing)) {
                self.said.push_back(Said::Thing(key.clone()));
            }
            if thing.values.is_empty() && thing.ask.is_some() {
                self.asks.push_back(key.clone());
            }
            self.things.insert(key, thing);
        }
        self.routes.clear();
        for (key, thing) in &self.things {
            for topic in thing.topics().filter(|topic| is_sound(topic)) {
                self.routes.entry(topic.to_owned()).or_default().insert(key.clone());
            }
        }
        self.filters_changed = true;
        // Another device heard these before: the broker will not say them again.
        for (key, topic) in replay {
            if let Some((payload, _)) = self.kept.get(&topic).cloned() {
                let text = std::str::from_utf8(&payload).ok();
                let json = text.and_then(|text| serde_json::from_str(text).ok());
                self.hear(&key, &topic, text, json.as_ref(), true);
            }
        }
    }
}

/// What sort of thing it is by its parts and its words.
pub(super) fn kind_of(thing: &Thing) -> DeviceKind {
    let words = [Some(thing.name.as_str()), thing.model.as_deref()];
    zigbee::kind(&thing.parts, &words.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// For the fuzzer: a topic, a line break, a message, and so on, all of them of one broker.
pub fn fuzz(bytes: &[u8]) {
    let bases = Bases { discovery: "homeassistant".to_owned(), zigbee: "zigbee2mqtt".to_owned() };
    let (mut house, now) = (House::new(bases), Instant::now());
    for message in bytes.split(|byte| *byte == 0).take(64) {
        let cut = message.iter().position(|byte| *byte == b'\n').unwrap_or(message.len());
        let (topic, payload) = message.split_at(cut);
        let topic = String::from_utf8_lossy(topic);
        house.message(&topic, payload.get(1..).unwrap_or_default(), payload.len() % 2 == 0, now);
        house.handle_timeout(now + Duration::from_secs(5));
        while house.poll_said().is_some() {}
        for filter in house.poll_filters().into_iter().flatten() {
            assert!(filter.len() <= 600);
        }
    }
}
