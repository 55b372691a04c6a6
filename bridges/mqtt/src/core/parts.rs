//! What a device on a broker consists of: services of the house, and for each property, action and event of them which
//! topic it is read from and written to. Both kinds of description, zigbee2mqtt's and Home Assistant's, end in this.

use std::collections::BTreeMap;

use accord_model::text::for_screen;
use accord_model::{
    Action, Data, Effect, Event, FieldCode, Format, Inputs, Property, Role, Service, Target, catalogue,
};
use serde_json::{Map, Value};

use super::native::{Half, Scale, spoken};
use super::template::{Path, Step};
use super::units::Measure;

/// Most services, properties and actions of one device.
const MOST: usize = 512;
/// Longest JSON that an action takes, in bytes.
const MAX_JSON: usize = 16 * 1024;
/// Longest id that is made of a name from outside, in bytes.
const MAX_ID: usize = 64;

/// One place in a device: a property or an action of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The service.
    pub service: String,
    /// Which of several.
    pub instance: u16,
    /// The property or action.
    pub id: String,
}

impl Place {
    /// The service alone.
    pub fn target(&self) -> Target {
        Target { service: self.service.clone(), instance: self.instance }
    }
}

/// Where a property is read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The topic.
    pub topic: String,
    /// Where in its messages.
    pub path: Path,
    /// How it is said.
    pub scale: Scale,
    /// Which property it is.
    pub place: Place,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    /// Where.
    pub topic: String,
    /// How the value is wrapped.
    pub form: Form,
    /// Whether the broker keeps it.
    pub retain: bool,
}

/// How a value is wrapped.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// As text.
    Text,
    /// As a member of a JSON object, beside others that are always the same.
    Json(String, Vec<(String, Value)>),
}

impl Telling {
    /// The message.
    pub fn payload(&self, value: &Value) -> Vec<u8> {
        match &self.form {
            Form::Text => spoken(value).unwrap_or_default().into_bytes(),
            Form::Json(key, more) => {
                let mut object: Map<String, Value> = more.iter().cloned().collect();
                object.insert(key.clone(), value.clone());
                Value::Object(object).to_string().into_bytes()
            }
        }
    }
}

/// How a property is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Writing {
    /// To whom.
    pub telling: Telling,
    /// How it is said.
    pub scale: Scale,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq)]
pub enum Doing {
    /// Says this.
    Say(Telling, Value),
    /// Writes the property the other way than it is.
    Toggle(Place),
    /// Says its inputs as an object: the input, the native key, how it is said.
    Object(Telling, Vec<(String, String, Scale)>),
    /// Says its one input, which is JSON as text.
    Json(Telling, String),
}

/// Where it is heard that something happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Hearing {
    /// The topic.
    pub topic: String,
    /// Where in its messages.
    pub path: Path,
    /// Only this message counts, and then it means that: for triggers.
    pub only: Option<(String, String)>,
    /// The service whose event `pressed` it is.
    pub target: Target,
}

/// How many properties became what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Of a standard service.
    pub standard: usize,
    /// Of the service `more`, with their type and unit.
    pub more: usize,
    /// Nothing, and why.
    pub unmapped: BTreeMap<String, usize>,
}

impl Count {
    /// All that became nothing.
    pub fn lost(&self) -> usize {
        self.unmapped.values().sum()
    }

    /// Together with another.
    pub fn add(&mut self, other: &Self) {
        self.standard += other.standard;
        self.more += other.more;
        for (why, count) in &other.unmapped {
            *self.unmapped.entry(why.clone()).or_default() += count;
        }
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// Without values.
    pub services: Vec<Service>,
    /// What is read.
    pub readings: Vec<Reading>,
    /// What can be written.
    pub writings: BTreeMap<Place, Writing>,
    /// What can be done.
    pub doings: BTreeMap<Place, Doing>,
    /// What is heard.
    pub hearings: Vec<Hearing>,
    /// How much of the description this is.
    pub count: Count,
}

/// One property on its way into a device.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Where it is read from: topic and path.
    pub read: Option<(String, Path)>,
    /// Whether it can be set.
    pub write: Option<Telling>,
    /// How it is said.
    pub scale: Scale,
    /// The smallest native difference.
    pub step: Option<f64>,
}

/// A standard service, whole.
pub fn standard(id: &str) -> Option<Service> {
    Some(match id {
        "on-off" => catalogue::on_off(),
        "light" => catalogue::light(),
        "fan" => catalogue::fan(),
        "climate" => catalogue::climate(),
        "humidifier" => catalogue::humidifier(),
        "cover" => catalogue::cover(),
        "door-lock" => catalogue::door_lock(),
        "vacuum" => catalogue::vacuum(),
        "valve" => catalogue::valve(),
        "alarm" => catalogue::alarm(),
        "siren" => catalogue::siren(),
        "button" => catalogue::button(),
        "press" => catalogue::press(),
        "temperature" => catalogue::temperature(),
        "humidity" => catalogue::humidity(),
        "pressure" => catalogue::pressure(),
        "illuminance" => catalogue::illuminance(),
        "occupancy" => catalogue::occupancy(),
        "contact" => catalogue::contact(),
        "water-leak" => catalogue::water_leak(),
        "smoke" => catalogue::smoke(),
        "gas" => catalogue::gas(),
        "vibration" => catalogue::vibration(),
        "tamper" => catalogue::tamper(),
        "carbon-monoxide" => catalogue::carbon_monoxide(),
        "air-quality" => catalogue::air_quality(),
        "electricity" => catalogue::electricity(),
        "battery" => catalogue::battery(),
        "more" => catalogue::more(),
        _ => return None,
    })
}

/// A name from outside as an id: kebab-case, bounded.
pub fn kebab(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars() {
        let c = match c {
            'µ' | 'μ' => 'u',
            '²' => '2',
            '³' => '3',
            c => c.to_ascii_lowercase(),
        };
        if c.is_ascii_alphanumeric() {
            id.push(c);
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
        if id.len() >= MAX_ID {
            break;
        }
    }
    let id = id.trim_end_matches('-');
    if id.is_empty() { "value".to_owned() } else { id.to_owned() }
}

impl Parts {
    fn index(&self, service: &str, instance: u16) -> Option<usize> {
        self.services.iter().position(|one| one.id == service && one.instance == instance)
    }

    /// How many of a service there are.
    pub fn many(&self, service: &str) -> usize {
        self.services.iter().filter(|one| one.id == service).count()
    }

    /// A new instance of a standard service, empty but for its events.
    pub fn begin(&mut self, service: &str, label: &str) -> Option<u16> {
        if self.services.len() >= MOST {
            return None;
        }
        let instance = u16::try_from(self.many(service)).ok()?;
        self.services.push(standard(service)?.only(&[], &[]).of(instance, &for_screen(label, 64)));
        Some(instance)
    }

    /// The instance of a service with that label that has no such property yet, or a new one.
    pub fn room_for(&mut self, service: &str, label: &str, id: &str) -> Option<u16> {
        let shown = Some(for_screen(label, 64)).filter(|label| !label.is_empty());
        let free = |one: &&Service| {
            one.id == service && one.label == shown && !one.properties.iter().any(|property| property.id == id)
        };
        let found = self.services.iter().find(free).map(|one| one.instance);
        found.or_else(|| self.begin(service, label))
    }

    /// Adds a property of a standard service to an instance. `false`: the service has none of that name, or it is taken.
    pub fn put(&mut self, service: &str, instance: u16, id: &str, wire: Wire) -> bool {
        self.put_as(service, instance, id, wire, |_| {})
    }

    /// The same with something changed.
    pub fn put_as(
        &mut self,
        service: &str,
        instance: u16,
        id: &str,
        wire: Wire,
        change: impl FnOnce(&mut Property),
    ) -> bool {
        let known = standard(service).and_then(|whole| whole.properties.into_iter().find(|one| one.id == id));
        let Some(mut property) = known else { return false };
        match &wire.scale {
            // The words are the house's, but for those that it has none for.
            Scale::Choice(_) => {
                let own: Vec<(i64, String)> = property.values.clone();
                wire.scale.shape(&mut property, wire.step);
                for (number, name) in &mut property.values {
                    if let Some((_, word)) = own.iter().find(|(of, _)| of == number) {
                        name.clone_from(word);
                    }
                }
            }
            Scale::Number(linear) => {
                property.format = if linear.whole { Format::Int } else { Format::Float };
                property.range = linear.range(wire.step).or(property.range.filter(|_| wire.write.is_some()));
            }
            _ => {}
        }
        property.write = wire.write.is_some();
        property.read = wire.read.is_some();
        property.notify = wire.read.is_some();
        change(&mut property);
        self.insert(service, instance, property, wire)
    }

    /// Adds a property of the device's own to the service `more`. One of that name is there already: `false`.
    pub fn put_more(&mut self, id: &str, role: Role, measure: Measure, wire: Wire) -> bool {
        let instance = match self.index("more", 0) {
            Some(_) => 0,
            None => match self.begin("more", "") {
                Some(instance) => instance,
                None => return false,
            },
        };
        let mut property = Property::state(&kebab(id), Format::Text).sensitive(FieldCode::HomeDeviceState);
        wire.scale.shape(&mut property, wire.step);
        property.unit = measure.unit;
        property.role = role;
        property.write = wire.write.is_some();
        property.read = wire.read.is_some();
        property.notify = wire.read.is_some();
        self.insert("more", instance, property, wire)
    }

    fn insert(&mut self, service: &str, instance: u16, property: Property, wire: Wire) -> bool {
        let Some(index) = self.index(service, instance) else { return false };
        let found = &mut self.services[index];
        if found.properties.len() >= MOST || found.properties.iter().any(|one| one.id == property.id) {
            return false;
        }
        let place = Place { service: service.to_owned(), instance, id: property.id.clone() };
        found.properties.push(property);
        if let Some((topic, path)) = wire.read {
            self.readings.push(Reading { topic, path, scale: wire.scale.clone(), place: place.clone() });
        }
        if let Some(telling) = wire.write {
            self.writings.insert(place, Writing { telling, scale: wire.scale });
        }
        true
    }

    /// Adds an action: one of the standard service, or of the device's own to `more`.
    pub fn act(&mut self, service: &str, instance: u16, id: &str, inputs: Vec<Property>, doing: Doing) -> bool {
        if service == "more" && self.index("more", 0).is_none() && self.begin("more", "").is_none() {
            return false;
        }
        let Some(index) = self.index(service, instance) else { return false };
        let known = standard(service).and_then(|whole| whole.actions.into_iter().find(|one| one.id == id));
        let action = match known {
            Some(known) => known,
            None if service == "more" => {
                Action { id: kebab(id), inputs, outputs: Vec::new(), effect: Effect::Physical }
            }
            None => return false,
        };
        let found = &mut self.services[index];
        if found.actions.len() >= MOST || found.actions.iter().any(|one| one.id == action.id) {
            return false;
        }
        let place = Place { service: service.to_owned(), instance, id: action.id.clone() };
        found.actions.push(action);
        self.doings.insert(place, doing);
        true
    }

    /// Adds a button that tells when it is pressed.
    pub fn hear(&mut self, label: &str, topic: String, path: Path, only: Option<(String, String)>) -> bool {
        let shown = Some(for_screen(label, 64)).filter(|label| !label.is_empty());
        let found = self.services.iter().find(|one| one.id == "button" && one.label == shown).map(|one| one.instance);
        let Some(instance) = found.or_else(|| self.begin("button", label)) else { return false };
        let target = Target { service: "button".to_owned(), instance };
        self.hearings.push(Hearing { topic, path, only, target });
        true
    }

    /// Counts one property.
    pub fn counted(&mut self, service: Option<&str>, why: &str) {
        match service {
            Some("more") => self.count.more += 1,
            Some(_) => self.count.standard += 1,
            None => *self.count.unmapped.entry(why.to_owned()).or_default() += 1,
        }
    }

    /// All topics that something is read from or heard on.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let heard = self.hearings.iter().map(|hearing| hearing.topic.as_str());
        self.readings.iter().map(|reading| reading.topic.as_str()).chain(heard)
    }

    /// What a write says. `last`: what was read last.
    ///
    /// # Errors
    /// In words.
    pub fn write(
        &self,
        place: &Place,
        data: &Data,
        last: impl Fn(&Place) -> Option<Data>,
    ) -> Result<(String, Vec<u8>, bool), String> {
        let writing =
            self.writings.get(place).ok_or_else(|| format!("`{}` cannot be set", for_screen(&place.id, 64)))?;
        let other = match &writing.scale {
            Scale::Colour(_, half) => {
                let id = if *half == Half::Hue { "saturation" } else { "hue" };
                last(&Place { id: id.to_owned(), ..place.clone() }).and_then(|data| data.as_number())
            }
            _ => None,
        };
        let value = writing.scale.write(data, other)?;
        let Telling { topic, retain, .. } = &writing.telling;
        Ok((topic.clone(), writing.telling.payload(&value), *retain))
    }

    /// What an action says.
    ///
    /// # Errors
    /// In words.
    pub fn act_on(
        &self,
        place: &Place,
        inputs: &Inputs,
        last: impl Fn(&Place) -> Option<Data>,
    ) -> Result<(String, Vec<u8>, bool), String> {
        let said = |telling: &Telling, value: &Value| (telling.topic.clone(), telling.payload(value), telling.retain);
        match self.doings.get(place) {
            None => Err(format!("it does not know how to `{}`", for_screen(&place.id, 64))),
            Some(Doing::Say(telling, value)) => Ok(said(telling, value)),
            Some(Doing::Toggle(property)) => {
                let on = last(property).and_then(|data| data.as_bool()).unwrap_or(false);
                self.write(property, &Data::Bool(!on), last)
            }
            Some(Doing::Json(telling, id)) => {
                let text = inputs.get(id).and_then(Data::as_text).filter(|text| text.len() <= MAX_JSON);
                let value = text.and_then(|text| serde_json::from_str(text).ok());
                let value: Value = value.ok_or_else(|| format!("`{id}` is to be JSON, of at most {MAX_JSON} bytes"))?;
                Ok(said(telling, &value))
            }
            Some(Doing::Object(telling, fields)) => {
                let mut object = Map::new();
                for (id, key, scale) in fields {
                    if let Some(data) = inputs.get(id) {
                        let value = scale.write(data, None).map_err(|why| format!("`{id}`: {why}"))?;
                        object.insert(key.clone(), value);
                    }
                }
                if object.is_empty() {
                    return Err("at least one input is wanted".to_owned());
                }
                Ok(said(telling, &Value::Object(object)))
            }
        }
    }

    /// The first part of a path into what a topic says: the native key.
    pub fn key_of(&self, place: &Place) -> Option<&str> {
        self.readings.iter().find(|reading| reading.place == *place).and_then(|reading| match &reading.path {
            Path::Json(steps) => match steps.first() {
                Some(Step::Key(key)) => Some(key.as_str()),
                _ => None,
            },
            Path::Whole => None,
        })
    }
}

/// The events that a service may tell of, for the description.
pub fn pressed(service: &Service) -> Option<&Event> {
    service.events.iter().find(|event| event.id == "pressed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_become_ids() {
        for (name, id) in [
            ("power_on_behavior", "power-on-behavior"),
            ("Color Temp", "color-temp"),
            ("__x__", "x"),
            ("μS/cm", "us-cm"),
            ("\u{1b}[31m", "31m"),
            ("", "value"),
            ("日本", "value"),
        ] {
            assert_eq!(kebab(name), id, "{name}");
        }
        assert_eq!(kebab(&"a".repeat(500)).len(), MAX_ID);
    }

    #[test]
    fn every_service_that_is_used_is_in_the_catalogue() {
        assert!(standard("light").is_some() && standard("nonsense").is_none());
        let mut parts = Parts::default();
        assert_eq!((parts.begin("temperature", ""), parts.begin("temperature", "outside")), (Some(0), Some(1)));
        assert!(pressed(&standard("button").unwrap()).is_some());
    }
}
