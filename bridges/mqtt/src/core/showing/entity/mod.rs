//! Devices of this house in the words of Home Assistant's discovery convention: a message for each entity, as every version of
//! Home Assistant since 2023 reads it. What is said and told of a service goes by topics of its own ([`Place`]).

mod class;
mod whole;

use accord_model::{Action, Device, Format, Property, Role, Service, Unit};
use serde_json::{Map, Value, json};

use super::state;
use class::{binary_class, class, title};

/// Most entities of one device.
const MOST_ENTITIES: usize = 96;
/// Most choices of one of them.
const MOST_CHOICES: usize = 64;
/// Services that are what a device is, so that their entity has the device's name.
const MAIN: [&str; 12] = [
    "light",
    "on-off",
    "fan",
    "climate",
    "humidifier",
    "cover",
    "door-lock",
    "vacuum",
    "valve",
    "alarm",
    "siren",
    "press",
];
/// Services whose name says nothing beside those of their properties.
const MANY: [&str; 5] = ["electricity", "air-quality", "media", "more", "signal"];

/// Where a device is on the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `accord/HUB`.
    pub root: String,
    /// The device there: hexadecimal digits.
    pub device: String,
    /// What all ids of it begin with.
    pub id: String,
}

impl Place {
    /// Whether the hub is here: its last will.
    pub fn status(root: &str) -> String {
        format!("{root}/status")
    }
    /// Whether the device is here.
    pub fn alive(&self) -> String {
        format!("{}/{}/alive", self.root, self.device)
    }
    /// What is said of a service.
    pub fn state(&self, service: &Service) -> String {
        self.of(service, "state")
    }
    /// That a button was pressed.
    pub fn event(&self, service: &Service) -> String {
        self.of(service, "event")
    }
    fn set(&self, service: &Service, property: &str) -> String {
        self.of(service, &format!("set/{property}"))
    }
    fn act(&self, service: &Service) -> String {
        self.of(service, "do")
    }
    fn of(&self, service: &Service, end: &str) -> String {
        format!("{}/{}/{}-{}/{end}", self.root, self.device, service.id, service.instance)
    }
}

/// One entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// `light`, `sensor`, …
    pub component: &'static str,
    /// What its topic and ids end with.
    pub object: String,
    /// The message.
    pub config: Value,
}

/// Whether an id may stand in topics and templates: others named it.
pub fn is_word(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !id.is_empty() && id.len() <= 48 && id.bytes().all(fits)
}

/// All entities of a device.
pub fn entities(device: &Device, place: &Place) -> Vec<Entity> {
    let mains = device.services.iter().filter(|service| MAIN.contains(&service.id.as_str())).count();
    let mut maker = Maker { device, place, only: mains == 1, made: Vec::new() };
    for service in device.services.iter().filter(|service| is_word(&service.id)) {
        maker.service(service);
    }
    maker.made.truncate(MOST_ENTITIES);
    maker.made
}

struct Maker<'a> {
    device: &'a Device,
    place: &'a Place,
    /// There is one service that the device is named after.
    only: bool,
    made: Vec<Entity>,
}

type Keys = Map<String, Value>;

fn keys(pairs: &[(&str, Value)]) -> Keys {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn template(id: &str) -> Value {
    // Not `value_json.id`: that is a method where a dictionary has one of that name (`update`, `items`).
    json!(format!("{{{{ value_json[\"{id}\"] }}}}"))
}

fn property<'a>(service: &'a Service, id: &str) -> Option<&'a Property> {
    service.properties.iter().find(|property| property.id == id)
}

fn writable<'a>(service: &'a Service, id: &str) -> Option<&'a Property> {
    property(service, id).filter(|property| property.write)
}

fn action<'a>(service: &'a Service, id: &str) -> Option<&'a Action> {
    service.actions.iter().find(|action| action.id == id)
}

/// The names of its values, as they are said there.
pub fn choices(service: &Service, property: &Property) -> Vec<String> {
    let names = property.values.iter().take(MOST_CHOICES).map(|(_, name)| state::word(&service.id, &property.id, name));
    names.filter(|name| !name.is_empty()).collect()
}

impl Maker<'_> {
    fn service(&mut self, service: &Service) {
        let taken: &[&str] = match service.id.as_str() {
            "light" if writable(service, "on").is_some() => self.light(service),
            "on-off" if writable(service, "on").is_some() => self.switch(service, "switch"),
            "siren" if writable(service, "on").is_some() => self.switch(service, "siren"),
            "fan" if writable(service, "on").is_some() => self.fan(service),
            "climate" if ["target", "mode"].iter().any(|id| writable(service, id).is_some()) => self.climate(service),
            "humidifier" if ["on", "target"].iter().all(|id| writable(service, id).is_some()) => {
                self.humidifier(service)
            }
            "cover" if writable(service, "position").is_some() || action(service, "close").is_some() => {
                self.cover(service)
            }
            "door-lock" if action(service, "lock").is_some() => self.lock(service),
            "vacuum" if action(service, "start").is_some() => self.vacuum(service),
            "valve" if action(service, "close").is_some() => self.valve(service),
            "alarm" if service.actions.iter().any(|action| action.id.starts_with("arm-")) => self.alarm(service),
            "button" => self.button(service),
            _ => &[],
        };
        let whole = !taken.is_empty();
        for property in service.properties.iter().filter(|one| is_word(&one.id) && !taken.contains(&one.id.as_str())) {
            self.generic(service, property);
        }
        // What an entity of its own stands for has its actions too.
        let beside = |action: &&Action| match service.id.as_str() {
            "light" | "on-off" | "fan" | "humidifier" => action.id != "toggle",
            _ => {
                !whole
                    || (service.id == "vacuum"
                        && !["start", "pause", "stop", "dock", "locate"].contains(&action.id.as_str()))
            }
        };
        for action in service.actions.iter().filter(|action| is_word(&action.id)).filter(beside) {
            self.press(service, action);
        }
    }

    // -- one property, one action --------------------------------------------------------------------

    fn generic(&mut self, service: &Service, property: &Property) {
        let mut config = Keys::new();
        if property.read {
            config.extend(keys(&[
                ("state_topic", json!(self.place.state(service))),
                ("value_template", template(&property.id)),
            ]));
        }
        let component = match (property.format, property.write) {
            (Format::Bool, true) => "switch",
            (Format::Enum, true) if !property.values.is_empty() => "select",
            (Format::Int | Format::Float, true) => "number",
            (Format::Text, true) => "text",
            (Format::Bool, false) => "binary_sensor",
            (Format::Int | Format::Float | Format::Text | Format::Enum, false) => "sensor",
            _ => return,
        };
        if property.write {
            config.insert("command_topic".to_owned(), json!(self.place.set(service, &property.id)));
        }
        match component {
            "select" => drop(config.insert("options".to_owned(), json!(choices(service, property)))),
            "number" => {
                let range = property.range.filter(|range| range.min < range.max);
                let (min, max) = range.map_or((-1e6, 1e6), |range| (range.min, range.max));
                let step = range.map_or(0.0, |range| range.step);
                let step = if step >= 0.001 {
                    step
                } else if property.format == Format::Int {
                    1.0
                } else {
                    0.1
                };
                let mode = if range.is_some() { "auto" } else { "box" };
                config.extend(keys(&[
                    ("min", json!(min)),
                    ("max", json!(max)),
                    ("step", json!(step)),
                    ("mode", json!(mode)),
                ]));
                if let Some(unit) = property.unit.map(Unit::symbol) {
                    config.insert("unit_of_measurement".to_owned(), json!(unit));
                }
            }
            "text" => drop(config.insert("max".to_owned(), json!(state::MAX_TEXT))),
            "binary_sensor" => {
                if let Some(class) = binary_class(&service.id, &property.id) {
                    config.insert("device_class".to_owned(), json!(class));
                }
            }
            "sensor" if matches!(property.format, Format::Int | Format::Float) => {
                let (class, grows) = class(&service.id, property);
                if let Some(class) = class {
                    config.insert("device_class".to_owned(), json!(class));
                }
                if let Some(unit) = property.unit.map(Unit::symbol) {
                    config.insert("unit_of_measurement".to_owned(), json!(unit));
                }
                let grows = if grows { "total_increasing" } else { "measurement" };
                config.insert("state_class".to_owned(), json!(grows));
            }
            _ => {}
        }
        let category = match property.role {
            Role::Primary => None,
            Role::Config if property.write => Some("config"),
            Role::Config | Role::Diagnostic if !property.write => Some("diagnostic"),
            _ => Some("config"),
        };
        if let Some(category) = category {
            config.insert("entity_category".to_owned(), json!(category));
        }
        self.add(service, component, &property.id, Some(title(service, Some(&property.id))), config);
    }

    fn press(&mut self, service: &Service, action: &Action) {
        let config = keys(&[("command_topic", json!(self.place.act(service))), ("payload_press", json!(action.id))]);
        let is_main = service.id == "press" && self.only && service.label.is_none();
        let name = match service.id == "press" {
            true => title(service, None),
            false => title(service, Some(&action.id)),
        };
        self.add(service, "button", &format!("do-{}", action.id), Some(name).filter(|_| !is_main), config);
    }

    // -- what all of them have -----------------------------------------------------------------------

    /// A property that is read, if it can be, and written.
    fn both(&self, config: &mut Keys, service: &Service, id: &str, (topic, key, command): (&str, &str, &str)) {
        let Some(property) = writable(service, id) else { return };
        if property.read {
            config.extend(keys(&[(topic, json!(self.place.state(service))), (key, template(id))]));
        }
        config.insert(command.to_owned(), json!(self.place.set(service, id)));
    }

    /// The entity that a service is.
    fn main(&mut self, service: &Service, component: &'static str, config: Keys) {
        let named = !(self.only && service.label.is_none());
        let title = title(service, None);
        self.add(service, component, "main", Some(title).filter(|_| named), config);
    }

    fn add(&mut self, service: &Service, component: &'static str, end: &str, name: Option<String>, mut config: Keys) {
        let Place { root, id, .. } = self.place;
        let object = format!("{}-{}-{end}", service.id, service.instance);
        let mut device =
            keys(&[("identifiers", json!([id])), ("name", json!(self.device.name)), ("manufacturer", json!("Accord"))]);
        if let Some(room) = &self.device.room {
            device.insert("suggested_area".to_owned(), json!(room));
        }
        let signs = [Place::status(root), self.place.alive()].map(|topic| json!({ "topic": topic }));
        // An entity without a name of its own has the device's.
        let name = name.filter(|name| !name.eq_ignore_ascii_case(&self.device.name));
        config.extend(keys(&[
            ("name", json!(name)),
            ("unique_id", json!(format!("{id}_{object}"))),
            ("device", Value::Object(device)),
            ("origin", json!({ "name": "Accord" })),
            ("availability", json!(signs)),
            ("availability_mode", json!("all")),
            ("qos", json!(1)),
        ]));
        self.made.push(Entity { component, object, config: Value::Object(config) });
    }
}
