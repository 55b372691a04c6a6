//! Devices of this house in the words of Home Assistant's discovery convention: a message for each entity, as every version of
//! Home Assistant since 2023 reads it. What is said and told of a service goes by topics of its own ([`Place`]).

use accord_model::{Action, Device, Format, Property, Role, Service, Unit};
use serde_json::{Map, Value, json};

use super::state;

/// Most entities of one device.
const MOST_ENTITIES: usize = 96;
/// Most choices of one of them.
const MOST_CHOICES: usize = 64;
/// Services that are what a device is, so that their entity has the device's name.
const MAIN: [&str; 12] = [
    "light", "on-off", "fan", "climate", "humidifier", "cover", "door-lock", "vacuum", "valve", "alarm", "siren", "press",
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
    match id.contains('-') {
        true => json!(format!("{{{{ value_json[\"{id}\"] }}}}")),
        false => json!(format!("{{{{ value_json.{id} }}}}")),
    }
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
            "humidifier" if ["on", "target"].iter().all(|id| writable(service, id).is_some()) => self.humidifier(service),
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
            _ => !whole || (service.id == "vacuum" && !["start", "pause", "stop", "dock", "locate"].contains(&action.id.as_str())),
        };
        for action in service.actions.iter().filter(|action| is_word(&action.id)).filter(beside) {
            self.press(service, action);
        }
    }

    // -- whole entities ------------------------------------------------------------------------------

    fn light(&mut self, service: &Service) -> &'static [&'static str] {
        let has = |id: &str| writable(service, id).is_some();
        let mut modes = Vec::new();
        let warm = writable(service, "color-temperature").and_then(|one| one.range).filter(|range| range.min > 0.0);
        if warm.is_some() {
            modes.push("color_temp");
        }
        if has("hue") && has("saturation") {
            modes.push("hs");
        }
        if modes.is_empty() {
            modes.push(if has("level") { "brightness" } else { "onoff" });
        }
        let mut config = keys(&[
            ("schema", json!("json")),
            ("state_topic", json!(self.place.state(service))),
            ("command_topic", json!(self.place.of(service, "set"))),
            ("color_mode", json!(true)),
            ("supported_color_modes", json!(modes)),
        ]);
        if has("level") {
            config.extend(keys(&[("brightness", json!(true)), ("brightness_scale", json!(100))]));
        }
        if let Some(range) = warm {
            let (coldest, warmest) = (1e6 / range.max.max(1.0), 1e6 / range.min);
            config.extend(keys(&[
                ("min_mireds", json!(coldest.ceil() as i64)),
                ("max_mireds", json!((warmest.floor()).max(coldest.ceil()) as i64)),
            ]));
        }
        if let Some(effect) = writable(service, "effect").filter(|effect| !effect.values.is_empty()) {
            config.extend(keys(&[("effect", json!(true)), ("effect_list", json!(choices(service, effect)))]));
        }
        self.main(service, "light", config);
        &["on", "level", "color-temperature", "hue", "saturation", "color-mode", "effect"]
    }

    /// `siren` and `switch` alike.
    fn switch(&mut self, service: &Service, component: &'static str) -> &'static [&'static str] {
        let mut config = keys(&[
            ("command_topic", json!(self.place.set(service, "on"))),
            ("payload_on", json!("ON")),
            ("payload_off", json!("OFF")),
        ]);
        if property(service, "on").is_some_and(|on| on.read) {
            let key = if component == "siren" { "state_value_template" } else { "value_template" };
            config.extend(keys(&[("state_topic", json!(self.place.state(service))), (key, template("on"))]));
        }
        if component == "siren" {
            config.extend(keys(&[
                ("support_duration", json!(false)),
                ("support_volume_set", json!(false)),
                ("command_template", json!("{{ value }}")),
            ]));
        }
        self.main(service, component, config);
        &["on"]
    }

    fn fan(&mut self, service: &Service) -> &'static [&'static str] {
        let mut config = keys(&[
            ("state_topic", json!(self.place.state(service))),
            ("state_value_template", template("on")),
            ("command_topic", json!(self.place.set(service, "on"))),
        ]);
        self.both(&mut config, service, "percent", ("percentage_state_topic", "percentage_value_template", "percentage_command_topic"));
        self.both(&mut config, service, "oscillating", ("oscillation_state_topic", "oscillation_value_template", "oscillation_command_topic"));
        if writable(service, "oscillating").is_some() {
            config.extend(keys(&[("payload_oscillation_on", json!("ON")), ("payload_oscillation_off", json!("OFF"))]));
        }
        self.both(&mut config, service, "direction", ("direction_state_topic", "direction_value_template", "direction_command_topic"));
        if let Some(mode) = writable(service, "mode").filter(|mode| !mode.values.is_empty()) {
            self.both(&mut config, service, "mode", ("preset_mode_state_topic", "preset_mode_value_template", "preset_mode_command_topic"));
            config.insert("preset_modes".to_owned(), json!(choices(service, mode)));
        }
        self.main(service, "fan", config);
        &["on", "percent", "oscillating", "direction", "mode"]
    }

    fn climate(&mut self, service: &Service) -> &'static [&'static str] {
        let mut config = keys(&[("temperature_unit", json!("C")), ("modes", json!([]))]);
        let said = |config: &mut Keys, id: &str, topic: &str, key: &str| {
            if property(service, id).is_some_and(|one| one.read) {
                config.extend(keys(&[(topic, json!(self.place.state(service))), (key, template(id))]));
            }
        };
        said(&mut config, "temperature", "current_temperature_topic", "current_temperature_template");
        said(&mut config, "humidity", "current_humidity_topic", "current_humidity_template");
        said(&mut config, "running", "action_topic", "action_template");
        self.both(&mut config, service, "target", ("temperature_state_topic", "temperature_state_template", "temperature_command_topic"));
        self.both(&mut config, service, "target-low", ("temperature_low_state_topic", "temperature_low_state_template", "temperature_low_command_topic"));
        self.both(&mut config, service, "target-high", ("temperature_high_state_topic", "temperature_high_state_template", "temperature_high_command_topic"));
        self.both(&mut config, service, "target-humidity", ("target_humidity_state_topic", "target_humidity_state_template", "target_humidity_command_topic"));
        if let Some(range) = writable(service, "target").and_then(|target| target.range) {
            config.extend(keys(&[("min_temp", json!(range.min)), ("max_temp", json!(range.max))]));
            if range.step > 0.0 {
                config.insert("temp_step".to_owned(), json!(range.step));
            }
        }
        let list = [("mode", "mode", "modes"), ("fan-mode", "fan_mode", "fan_modes"), ("preset", "preset_mode", "preset_modes")];
        for (id, name, list) in list {
            // "None" is what Home Assistant says itself for no preset.
            let names = writable(service, id).map(|one| choices(service, one)).unwrap_or_default();
            let names: Vec<String> = names.into_iter().filter(|word| id != "preset" || word != "none").collect();
            if names.is_empty() {
                continue;
            }
            let read = if id == "preset" { format!("{name}_value_template") } else { format!("{name}_state_template") };
            let [state, command] = ["state", "command"].map(|end| format!("{name}_{end}_topic"));
            self.both(&mut config, service, id, (&state, &read, &command));
            config.insert(list.to_owned(), json!(names));
        }
        self.main(service, "climate", config);
        &["temperature", "target", "target-low", "target-high", "mode", "running", "target-humidity", "fan-mode", "preset"]
    }

    fn humidifier(&mut self, service: &Service) -> &'static [&'static str] {
        let mut config = keys(&[
            ("state_topic", json!(self.place.state(service))),
            ("state_value_template", template("on")),
            ("command_topic", json!(self.place.set(service, "on"))),
        ]);
        self.both(&mut config, service, "target", ("target_humidity_state_topic", "target_humidity_state_template", "target_humidity_command_topic"));
        if let Some(range) = writable(service, "target").and_then(|target| target.range) {
            config.extend(keys(&[("min_humidity", json!(range.min)), ("max_humidity", json!(range.max))]));
        }
        if property(service, "humidity").is_some_and(|one| one.read) {
            config.extend(keys(&[
                ("current_humidity_topic", json!(self.place.state(service))),
                ("current_humidity_template", template("humidity")),
            ]));
        }
        if let Some(mode) = writable(service, "mode").filter(|mode| !mode.values.is_empty()) {
            self.both(&mut config, service, "mode", ("mode_state_topic", "mode_state_template", "mode_command_topic"));
            config.insert("modes".to_owned(), json!(choices(service, mode)));
        }
        self.main(service, "humidifier", config);
        &["on", "target", "mode", "humidity"]
    }

    fn cover(&mut self, service: &Service) -> &'static [&'static str] {
        let word = |id: &str| action(service, id).map_or(Value::Null, |action| json!(action.id));
        let mut config = keys(&[
            ("command_topic", json!(self.place.act(service))),
            ("payload_open", word("open")),
            ("payload_close", word("close")),
            ("payload_stop", word("stop")),
        ]);
        if property(service, "state").is_some_and(|one| one.read) {
            config.extend(keys(&[("state_topic", json!(self.place.state(service))), ("value_template", template("state"))]));
        }
        if property(service, "position").is_some_and(|one| one.read) {
            config.extend(keys(&[
                ("position_topic", json!(self.place.state(service))),
                ("position_template", template("position")),
            ]));
        }
        if writable(service, "position").is_some_and(|one| one.read) {
            config.insert("set_position_topic".to_owned(), json!(self.place.set(service, "position")));
        }
        self.both(&mut config, service, "tilt", ("tilt_status_topic", "tilt_status_template", "tilt_command_topic"));
        self.main(service, "cover", config);
        &["position", "tilt", "state"]
    }

    fn lock(&mut self, service: &Service) -> &'static [&'static str] {
        let mut config = keys(&[
            ("command_topic", json!(self.place.act(service))),
            ("state_topic", json!(self.place.state(service))),
            ("value_template", template("lock")),
            ("payload_lock", json!("lock")),
            // Home Assistant wants a word for it, also where it is not obeyed.
            ("payload_unlock", json!("unlock")),
        ]);
        for word in ["locked", "unlocked", "locking", "unlocking", "jammed"] {
            config.insert(format!("state_{word}"), json!(word));
        }
        if action(service, "open").is_some() {
            config.insert("payload_open".to_owned(), json!("open"));
        }
        self.main(service, "lock", config);
        &["locked", "state"]
    }

    fn vacuum(&mut self, service: &Service) -> &'static [&'static str] {
        let known = [("start", "start"), ("pause", "pause"), ("stop", "stop"), ("dock", "return_home"), ("locate", "locate")];
        let can = known.iter().filter(|(id, _)| action(service, id).is_some()).map(|(_, name)| *name);
        let mut features: Vec<&str> = can.collect();
        features.push("status");
        let mut config = keys(&[
            ("schema", json!("state")),
            ("state_topic", json!(self.place.state(service))),
            ("command_topic", json!(self.place.act(service))),
            ("payload_return_to_base", json!("dock")),
        ]);
        if let Some(speed) = writable(service, "fan-speed").filter(|speed| !speed.values.is_empty()) {
            features.push("fan_speed");
            config.extend(keys(&[
                ("fan_speed_list", json!(choices(service, speed))),
                ("set_fan_speed_topic", json!(self.place.set(service, "fan-speed"))),
            ]));
        }
        config.insert("supported_features".to_owned(), json!(features));
        self.main(service, "vacuum", config);
        &["state", "fan-speed"]
    }

    fn valve(&mut self, service: &Service) -> &'static [&'static str] {
        let word = |id: &str| action(service, id).map_or(Value::Null, |action| json!(action.id));
        let config = keys(&[
            ("command_topic", json!(self.place.act(service))),
            ("state_topic", json!(self.place.state(service))),
            ("value_template", template("valve")),
            ("payload_open", word("open")),
            ("payload_close", word("close")),
        ]);
        self.main(service, "valve", config);
        &["open"]
    }

    fn alarm(&mut self, service: &Service) -> &'static [&'static str] {
        let known = [("arm-home", "arm_home"), ("arm-away", "arm_away"), ("arm-night", "arm_night")];
        let can: Vec<&str> = known.iter().filter(|(id, _)| action(service, id).is_some()).map(|(_, name)| *name).collect();
        let config = keys(&[
            ("state_topic", json!(self.place.state(service))),
            ("value_template", template("state")),
            ("command_topic", json!(self.place.act(service))),
            ("payload_arm_home", json!("arm-home")),
            ("payload_arm_away", json!("arm-away")),
            ("payload_arm_night", json!("arm-night")),
            ("payload_disarm", json!("disarm")),
            ("code_arm_required", json!(false)),
            ("code_disarm_required", json!(false)),
            ("supported_features", json!(can)),
        ]);
        self.main(service, "alarm_control_panel", config);
        &["state"]
    }

    fn button(&mut self, service: &Service) -> &'static [&'static str] {
        let config = keys(&[
            ("state_topic", json!(self.place.event(service))),
            ("event_types", json!(state::PRESSES)),
            ("device_class", json!("button")),
        ]);
        let title = title(service, None);
        self.add(service, "event", "pressed", Some(title), config);
        &[]
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
                let step = if step >= 0.001 { step } else if property.format == Format::Int { 1.0 } else { 0.1 };
                let mode = if range.is_some() { "auto" } else { "box" };
                config.extend(keys(&[("min", json!(min)), ("max", json!(max)), ("step", json!(step)), ("mode", json!(mode))]));
                if let Some(unit) = property.unit.map(unit) {
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
                if let Some(unit) = property.unit.map(unit) {
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
        let config = keys(&[
            ("command_topic", json!(self.place.act(service))),
            ("payload_press", json!(action.id)),
        ]);
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
        let mut device = keys(&[("identifiers", json!([id])), ("name", json!(self.device.name)), ("manufacturer", json!("Accord"))]);
        if let Some(room) = &self.device.room {
            device.insert("suggested_area".to_owned(), json!(room));
        }
        let signs = [Place::status(root), self.place.alive()].map(|topic| json!({ "topic": topic }));
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

/// What an entity is called: by the service's label or what it is, and the property where that says more.
fn title(service: &Service, part: Option<&str>) -> String {
    let words = |id: &str| {
        let text = id.replace(['-', '_'], " ");
        let mut letters = text.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    let base = service.label.clone();
    let Some(part) = part.filter(|part| *part != service.id && !matches!(*part, "on" | "detected" | "occupied" | "percent"))
    else {
        return base.unwrap_or_else(|| words(&service.id));
    };
    match base {
        Some(base) => format!("{base} {}", words(part).to_lowercase()),
        None if MANY.contains(&service.id.as_str()) => words(part),
        None => format!("{} {}", words(&service.id), words(part).to_lowercase()),
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Percent => "%",
        Unit::Kelvin => "K",
        Unit::Celsius => "°C",
        Unit::Watt => "W",
        Unit::KilowattHour => "kWh",
        Unit::Volt => "V",
        Unit::Ampere => "A",
        Unit::Lux => "lx",
        Unit::Metre => "m",
        Unit::Second => "s",
        Unit::Pascal => "Pa",
        Unit::PartsPerMillion => "ppm",
        Unit::Byte => "B",
        Unit::MetrePerSecond => "m/s",
        Unit::Decibel => "dB",
        Unit::Degree => "°",
        Unit::Hertz => "Hz",
        Unit::MicrogramPerCubicMetre => "µg/m³",
        Unit::CubicMetre => "m³",
        Unit::CubicMetrePerHour => "m³/h",
        Unit::VoltAmpere => "VA",
        Unit::Gram => "g",
    }
}

/// The class of a number, and whether it only grows.
fn class(service: &str, property: &Property) -> (Option<&'static str>, bool) {
    let class = match (service, property.id.as_str(), property.unit) {
        (_, "power-factor", _) => Some("power_factor"),
        ("battery", "percent", _) => Some("battery"),
        (_, "humidity", Some(Unit::Percent)) => Some("humidity"),
        ("pressure", ..) => Some("pressure"),
        ("carbon-monoxide", "concentration", _) => Some("carbon_monoxide"),
        (_, "carbon-dioxide", Some(Unit::PartsPerMillion)) => Some("carbon_dioxide"),
        (_, "pm2-5", _) => Some("pm25"),
        (_, "pm10", _) => Some("pm10"),
        (_, "voc", Some(Unit::MicrogramPerCubicMetre)) => Some("volatile_organic_compounds"),
        (_, _, Some(Unit::Celsius)) => Some("temperature"),
        (_, _, Some(Unit::Lux)) => Some("illuminance"),
        (_, _, Some(Unit::Watt)) => Some("power"),
        (_, _, Some(Unit::KilowattHour)) => Some("energy"),
        (_, _, Some(Unit::Volt)) => Some("voltage"),
        (_, _, Some(Unit::Ampere)) => Some("current"),
        (_, _, Some(Unit::Hertz)) => Some("frequency"),
        (_, _, Some(Unit::VoltAmpere)) => Some("apparent_power"),
        _ => None,
    };
    (class, class == Some("energy"))
}

fn binary_class(service: &str, property: &str) -> Option<&'static str> {
    Some(match (service, property) {
        ("contact", "open") => "opening",
        ("occupancy", "occupied") => "occupancy",
        ("water-leak", "detected") => "moisture",
        ("smoke", "detected") => "smoke",
        ("gas", "detected") => "gas",
        ("vibration", "detected") => "vibration",
        ("tamper", "detected") => "tamper",
        ("carbon-monoxide", "detected") => "carbon_monoxide",
        ("battery", "charging") => "battery_charging",
        ("battery", "low") => "battery",
        _ => return None,
    })
}
