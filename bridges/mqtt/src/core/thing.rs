//! One device of a broker: what it is, whether it is here, and what it said last.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use accord_model::{Data, DeviceKind, Target, Verb};
use serde_json::{Value, json};

use super::discovery::Entity;
use super::native::{Scale, same, spoken};
use super::parts::{Parts, Place};
use super::template::Path;

/// How long what a lamp was told of its colour holds before what it says does: it has to answer first, and may say what is
/// between on its way there.
const HOLDS: Duration = Duration::from_secs(2);
/// Most topics that tell whether a device is here.
const MOST_SIGNS: usize = 8;

/// What tells whether a device is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// The topic.
    pub topic: String,
    path: Path,
    here: Value,
    away: Value,
    /// What it said last.
    pub said: Option<bool>,
    /// It said so over the connection before.
    pub before: bool,
}

impl Sign {
    /// Of zigbee2mqtt: `{"state": "online"}`, or the word alone.
    pub fn zigbee(topic: String) -> Self {
        Self {
            topic,
            path: Path::key("state"),
            here: json!("online"),
            away: json!("offline"),
            said: None,
            before: false,
        }
    }

    /// Those of an entity. `None`: it has one that is not understood, which is taken for none.
    pub fn of(entity: &Entity) -> Vec<Self> {
        let one = |get: &dyn Fn(&'static str) -> Option<Value>, topic: &'static str, template: &'static str| {
            let topic = get(topic)?;
            let topic = topic.as_str().filter(|topic| super::topic::is_sound(topic))?;
            let path = match get(template).as_ref().and_then(Value::as_str) {
                None => Path::Whole,
                Some(template) => Path::parse(template).ok()?,
            };
            let word = |key: &'static str, or: &str| get(key).unwrap_or_else(|| json!(or));
            let (here, away) = (word("payload_available", "online"), word("payload_not_available", "offline"));
            Some(Self { topic: topic.to_owned(), path, here, away, said: None, before: false })
        };
        let listed = entity.get("availability").and_then(Value::as_array).into_iter().flatten();
        let listed = listed
            .filter_map(Value::as_object)
            .filter_map(|keys| one(&|key| keys.get(key).cloned(), "topic", "value_template"));
        let mut signs: Vec<Self> = listed.take(MOST_SIGNS).collect();
        let own = one(&|key| entity.get(key).cloned(), "availability_topic", "availability_template");
        signs.extend(own.filter(|_| signs.is_empty()));
        signs
    }

    /// Takes a message of its topic.
    fn hear(&mut self, text: Option<&str>, json: Option<&Value>) {
        let found = self.path.find(text, json).or_else(|| Some(Value::String(text?.trim().to_owned())));
        if let Some(found) = found {
            self.before = false;
            let is = |word: &Value| same(&found, word);
            self.said = if is(&self.here) {
                Some(true)
            } else if is(&self.away) {
                Some(false)
            } else {
                self.said
            };
        }
    }
}

/// A device.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Its maker.
    pub maker: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its firmware.
    pub software: Option<String>,
    /// The room that was suggested.
    pub room: Option<String>,
    /// A hardware address, of those that it names.
    pub hardware: Option<String>,
    /// What it consists of.
    pub parts: Parts,
    /// What tells whether it is here, and whether one of them is enough.
    pub signs: Vec<Sign>,
    /// See `signs`.
    pub any: bool,
    /// It was switched off where it is described.
    pub disabled: bool,
    /// It belongs to zigbee2mqtt, and is away when that is.
    pub zigbee: bool,
    /// The message by which it can be asked for everything.
    pub ask: Option<(String, Vec<u8>)>,
    /// What it said last.
    pub values: BTreeMap<Place, Data>,
    /// Halves of colours that it was told a moment ago, and when.
    pub told: BTreeMap<Place, (Data, Instant)>,
}

/// Something to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// The property that will say that it was done, if one will.
    pub shows: Option<Place>,
}

/// What a message said.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    /// By service.
    pub values: BTreeMap<(String, u16), BTreeMap<String, Data>>,
    /// Buttons, and how they were pressed.
    pub pressed: Vec<(Target, String)>,
    /// Whether it is here may have changed.
    pub sign: bool,
}

impl Thing {
    /// Whether it is here, as far as it says.
    pub fn is_here(&self) -> bool {
        let away = self.signs.iter().filter(|sign| sign.said == Some(false)).count();
        let here = self.signs.iter().any(|sign| sign.said == Some(true));
        !self.disabled && if self.any { here || away < self.signs.len().max(1) } else { away == 0 }
    }

    /// Whether it has yet to say whether it is here.
    pub fn is_silent(&self) -> bool {
        let silent = self.signs.iter().filter(|sign| sign.said.is_none()).count();
        silent > 0 && (!self.any || silent == self.signs.len())
    }

    /// All topics that it is heard on.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.parts.topics().chain(self.signs.iter().map(|sign| sign.topic.as_str()))
    }

    /// Takes a message. `kept`: the broker had it from before, so that no button was pressed now.
    pub fn hear(&mut self, topic: &str, text: Option<&str>, json: Option<&Value>, kept: bool) -> Heard {
        let mut heard = Heard::default();
        for reading in self.parts.readings.iter().filter(|reading| reading.topic == topic) {
            let Some(data) = reading.path.find(text, json).and_then(|native| reading.scale.read(&native)) else {
                continue;
            };
            let of = heard.values.entry((reading.place.service.clone(), reading.place.instance)).or_default();
            of.insert(reading.place.id.clone(), data.clone());
            self.values.insert(reading.place.clone(), data);
        }
        for hearing in self.parts.hearings.iter().filter(|hearing| hearing.topic == topic && !kept) {
            let Some(said) = hearing.path.find(text, json).and_then(|native| spoken(&native)) else { continue };
            let kind = match &hearing.only {
                Some((payload, kind)) if *payload == said => kind.clone(),
                None if !said.is_empty() => super::zigbee::shown(&said),
                _ => continue,
            };
            heard.pressed.push((hearing.target.clone(), kind));
        }
        for sign in self.signs.iter_mut().filter(|sign| sign.topic == topic) {
            sign.hear(text, json);
            heard.sign = true;
        }
        heard
    }

    /// Keeps what was known before it was described anew.
    pub fn inherit(&mut self, before: &Self) {
        let places = self.parts.readings.iter().map(|reading| &reading.place);
        self.told.clone_from(&before.told);
        self.values = places.filter_map(|place| Some((place.clone(), before.values.get(place)?.clone()))).collect();
        for sign in &mut self.signs {
            if let Some(old) = before.signs.iter().find(|old| old.topic == sign.topic) {
                (sign.said, sign.before) = (old.said, old.before);
            }
        }
    }

    /// Whether both are described alike, whatever they said.
    pub fn is_described_as(&self, other: &Self) -> bool {
        let bare = |thing: &Self| {
            let mut thing = Self { values: BTreeMap::new(), told: BTreeMap::new(), ..thing.clone() };
            thing.signs.iter_mut().for_each(|sign| (sign.said, sign.before) = (None, false));
            thing
        };
        bare(self) == bare(other)
    }

    /// What is to be published so that it does what is wanted.
    ///
    /// # Errors
    /// In words.
    pub fn order(&mut self, target: &Target, verb: &Verb, now: Instant) -> Result<Order, String> {
        let place = |id: &str| Place { service: target.service.clone(), instance: target.instance, id: id.to_owned() };
        self.told.retain(|_, (_, at)| now.saturating_duration_since(*at) < HOLDS);
        let last =
            |place: &Place| self.told.get(place).map(|(data, _)| data).or_else(|| self.values.get(place)).cloned();
        match verb {
            Verb::Read { .. } => Err("reading takes no order".to_owned()),
            Verb::Write { property, data } => {
                let place = place(property);
                let (topic, payload, retain) = self.parts.write(&place, data, last)?;
                let shows = self.shows(&place);
                let half =
                    matches!(self.parts.writings.get(&place), Some(one) if matches!(one.scale, Scale::Colour(..)));
                if half {
                    self.told.insert(place, (data.clone(), now));
                }
                Ok(Order { topic, payload, retain, shows })
            }
            Verb::Act { action, inputs } => {
                let place = place(action);
                let (topic, payload, retain) = self.parts.act_on(&place, inputs, last)?;
                // What an action changes is told by the service's own state.
                let state = ["on", "state", "locked", "open", "position"]
                    .map(|id| Place { id: id.to_owned(), ..place.clone() });
                let shows = state.into_iter().find_map(|place| self.shows(&place)).filter(|_| target.service != "more");
                Ok(Order { topic, payload, retain, shows })
            }
        }
    }

    fn shows(&self, place: &Place) -> Option<Place> {
        self.parts.readings.iter().any(|reading| reading.place == *place).then(|| place.clone())
    }
}
