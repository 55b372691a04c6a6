//! What zigbee2mqtt says of its devices: `bridge/devices`, whose `definition.exposes` describe what each has
//! (zigbee2mqtt.io, "Exposes"). Generic ones are a property each, specific ones (`light`, `switch`, …) have features. With
//! `access` bit 1 it is published, with 2 it can be set, with 4 it can be asked for.

use accord_model::text::for_screen;
use accord_model::{DeviceKind, Effect, FieldCode, Format, Property, Role};
use serde_json::{Value, json};

use super::exposes::{Expose, MOST};
use super::native::{Colour, Half, Linear, Scale};
use super::parts::{Doing, Form, Parts, Place, Telling, Wire, kebab};
use super::template::Path;

/// Where the messages of one device come from and go to.
#[derive(Debug, Clone)]
pub struct Topics {
    /// Its state.
    pub state: String,
    /// What it is told.
    pub set: String,
    /// What it is asked.
    pub get: String,
}

impl Topics {
    /// Of a device with that name.
    pub fn of(base: &str, name: &str) -> Self {
        let state = format!("{base}/{name}");
        Self { set: format!("{state}/set"), get: format!("{state}/get"), state }
    }
}

/// The key by which a device is asked for its state, preferably `state`: zigbee2mqtt then publishes all that it knows.
pub fn asked_for(exposes: &[Value]) -> Option<String> {
    let all = exposes.iter().take(MOST).filter_map(Expose::parse);
    let keys: Vec<String> = all
        .flat_map(|expose| if expose.features.is_empty() { vec![expose] } else { expose.features })
        .filter(|one| one.has(4) && one.has(1) && one.kind != "composite")
        .map(|one| one.property)
        .collect();
    let main = keys.iter().find(|key| key.starts_with("state"));
    main.or(keys.first()).cloned()
}

/// Everything that a device exposes, mapped.
pub fn map(exposes: &[Value], topics: &Topics) -> Parts {
    let mut mapper = Mapper { topics, parts: Parts::default() };
    let exposes = || exposes.iter().take(MOST);
    for one in exposes() {
        match Expose::parse(one) {
            // Specific ones first: what they have is not to be taken by a generic one of the same name.
            Some(expose) if is_specific(&expose.kind) => mapper.specific(&expose),
            Some(_) => {}
            None => mapper.parts.counted(None, "it says no type"),
        }
    }
    let generic: Vec<Expose> = exposes().filter_map(Expose::parse).filter(|one| !is_specific(&one.kind)).collect();
    let on_battery = generic.iter().any(|one| one.name == "battery");
    generic.iter().for_each(|one| mapper.generic(one, on_battery));
    mapper.parts
}

fn is_specific(kind: &str) -> bool {
    matches!(kind, "light" | "switch" | "cover" | "lock" | "fan" | "climate")
}

/// What sort of thing has these parts.
pub fn kind(parts: &Parts, description: &str) -> DeviceKind {
    let has = |service: &str| parts.many(service) > 0;
    let said = description.to_lowercase();
    let is_plug = || ["plug", "socket", "outlet"].iter().any(|word| said.contains(word));
    match () {
        () if has("door-lock") => DeviceKind::Lock,
        () if has("climate") => DeviceKind::Climate,
        () if has("cover") => DeviceKind::Cover,
        () if has("vacuum") => DeviceKind::Vacuum,
        () if has("valve") => DeviceKind::Valve,
        () if has("alarm") => DeviceKind::Alarm,
        () if has("humidifier") => DeviceKind::Air,
        () if has("fan") => DeviceKind::Fan,
        () if has("light") => DeviceKind::Light,
        () if has("on-off") && is_plug() => DeviceKind::Plug,
        () if has("on-off") => DeviceKind::Switch,
        () if has("siren") => DeviceKind::Alarm,
        () if SENSORS.iter().any(|service| has(service)) => DeviceKind::Sensor,
        () if has("button") || has("press") => DeviceKind::Button,
        () if has("electricity") || has("battery") => DeviceKind::Sensor,
        () => DeviceKind::Other,
    }
}

const SENSORS: [&str; 13] = [
    "temperature",
    "humidity",
    "pressure",
    "illuminance",
    "occupancy",
    "contact",
    "water-leak",
    "smoke",
    "gas",
    "vibration",
    "tamper",
    "carbon-monoxide",
    "air-quality",
];

struct Mapper<'a> {
    topics: &'a Topics,
    parts: Parts,
}

/// The standard property that a generic one is: its name, the type, the service, the property.
const GENERIC: &[(&str, &str, &str, &str)] = &[
    ("battery", "numeric", "battery", "percent"),
    ("battery_low", "binary", "battery", "low"),
    ("charging", "binary", "battery", "charging"),
    ("temperature", "numeric", "temperature", "temperature"),
    ("local_temperature", "numeric", "temperature", "temperature"),
    ("current_temperature", "numeric", "temperature", "temperature"),
    ("outdoor_air_temperature", "numeric", "temperature", "temperature"),
    ("external_temperature", "numeric", "temperature", "temperature"),
    ("floor_temperature", "numeric", "temperature", "temperature"),
    ("humidity", "numeric", "humidity", "humidity"),
    ("pressure", "numeric", "pressure", "pressure"),
    ("illuminance", "numeric", "illuminance", "illuminance"),
    ("illuminance_lux", "numeric", "illuminance", "illuminance"),
    ("occupancy", "binary", "occupancy", "occupied"),
    ("presence", "binary", "occupancy", "occupied"),
    ("motion", "binary", "occupancy", "occupied"),
    ("contact", "binary", "contact", "open"),
    ("window_open", "binary", "contact", "open"),
    ("water_leak", "binary", "water-leak", "detected"),
    ("smoke", "binary", "smoke", "detected"),
    ("gas", "binary", "gas", "detected"),
    ("vibration", "binary", "vibration", "detected"),
    ("tamper", "binary", "tamper", "detected"),
    ("carbon_monoxide", "binary", "carbon-monoxide", "detected"),
    ("co", "numeric", "carbon-monoxide", "concentration"),
    ("co2", "numeric", "air-quality", "carbon-dioxide"),
    ("pm25", "numeric", "air-quality", "pm2-5"),
    ("pm10", "numeric", "air-quality", "pm10"),
    ("voc", "numeric", "air-quality", "voc"),
    ("power", "numeric", "electricity", "power"),
    ("energy", "numeric", "electricity", "energy"),
    ("produced_energy", "numeric", "electricity", "produced"),
    ("voltage", "numeric", "electricity", "voltage"),
    ("current", "numeric", "electricity", "current"),
    ("ac_frequency", "numeric", "electricity", "frequency"),
    ("power_factor", "numeric", "electricity", "power-factor"),
    ("state", "binary", "on-off", "on"),
];

impl Mapper<'_> {
    fn telling(&self, key: &str) -> Telling {
        Telling { topic: self.topics.set.clone(), form: Form::Json(key.to_owned(), Vec::new()), retain: false }
    }

    fn wire(&self, expose: &Expose, scale: Scale) -> Wire {
        let read = expose.has(1).then(|| (self.topics.state.clone(), Path::key(&expose.property)));
        let write = (expose.has(2) && scale != Scale::Json).then(|| self.telling(&expose.property));
        Wire { read, write, scale, step: expose.range[2] }
    }

    fn put(&mut self, service: &str, instance: u16, id: &str, expose: &Expose, scale: Scale) -> bool {
        let wire = self.wire(expose, scale);
        let taken = self.parts.put(service, instance, id, wire);
        if taken {
            self.parts.counted(Some(service), "");
        }
        taken
    }

    // -- specific ------------------------------------------------------------------------------------

    fn specific(&mut self, expose: &Expose) {
        let service = match expose.kind.as_str() {
            "light" => "light",
            "switch" => "on-off",
            "cover" => "cover",
            "lock" => "door-lock",
            "fan" => "fan",
            _ => "climate",
        };
        let label =
            expose.endpoint.as_deref().or_else(|| expose.features.iter().find_map(|one| one.endpoint.as_deref()));
        let Some(instance) = self.parts.begin(service, label.unwrap_or_default()) else {
            expose.features.iter().for_each(|_| self.parts.counted(None, "more than a device may have"));
            return;
        };
        for feature in &expose.features {
            let mapped = match service {
                "light" => self.light(instance, feature),
                "on-off" | "fan" if feature.name == "state" => self.switch(service, instance, feature),
                "fan" => self.fan(instance, feature),
                "cover" => self.cover(instance, feature),
                "door-lock" => self.lock(instance, feature),
                "climate" => self.climate(instance, feature, expose),
                _ => false,
            };
            if !mapped {
                self.more(feature);
            }
        }
    }

    fn switch(&mut self, service: &str, instance: u16, feature: &Expose) -> bool {
        let Some(scale @ Scale::Bool { .. }) = feature.scale() else { return false };
        let mapped = self.put(service, instance, "on", feature, scale);
        if mapped && feature.has(2) {
            let doing = match feature.toggles {
                true => Doing::Say(self.telling(&feature.property), json!("TOGGLE")),
                false => Doing::Toggle(Place { service: service.to_owned(), instance, id: "on".to_owned() }),
            };
            self.parts.act(service, instance, "toggle", Vec::new(), doing);
        }
        mapped
    }

    fn light(&mut self, instance: u16, feature: &Expose) -> bool {
        let [low, high, _] = feature.range;
        match feature.name.as_str() {
            "state" => self.switch("light", instance, feature),
            "brightness" => {
                let scale = Scale::Number(Linear::percent(low.unwrap_or(0.0), high.unwrap_or(254.0)));
                self.put("light", instance, "level", feature, scale)
            }
            "color_temp" => {
                let scale = Scale::Number(Linear::mired(low.unwrap_or(150.0), high.unwrap_or(500.0)));
                self.put("light", instance, "color-temperature", feature, scale)
            }
            "color_hs" | "color_xy" => {
                let is_xy = feature.name == "color_xy";
                let colour = if is_xy { Colour::XyObject } else { Colour::HueObject };
                let halves = [("hue", Half::Hue), ("saturation", Half::Saturation)];
                let there = self.parts.writings.contains_key(&Place {
                    service: "light".to_owned(),
                    instance,
                    id: "hue".to_owned(),
                });
                if there {
                    // The same colour in another space.
                    self.parts.counted(Some("light"), "");
                    return true;
                }
                let feature = Expose { access: feature.access | 1, ..feature.clone() };
                let wires = halves.map(|(id, half)| (id, self.wire(&feature, Scale::Colour(colour, half))));
                let mapped = wires.into_iter().all(|(id, wire)| self.parts.put("light", instance, id, wire));
                if mapped {
                    self.parts.counted(Some("light"), "");
                    let key = match &feature.endpoint {
                        Some(endpoint) => format!("color_mode_{endpoint}"),
                        None => "color_mode".to_owned(),
                    };
                    let read = Some((self.topics.state.clone(), Path::key(&key)));
                    // Lamps with both say either of them; the other is read too.
                    let both = Scale::Choice(vec![(0, json!("color_temp")), (1, json!("xy")), (1, json!("hs"))]);
                    self.parts.put_as(
                        "light",
                        instance,
                        "color-mode",
                        Wire { read, write: None, scale: both, step: None },
                        |property| property.values.dedup_by_key(|(number, _)| *number),
                    );
                }
                mapped
            }
            _ => false,
        }
    }

    fn fan(&mut self, instance: u16, feature: &Expose) -> bool {
        let [low, high, _] = feature.range;
        match (feature.name.as_str(), feature.kind.as_str()) {
            ("mode", "enum") => feature.scale().is_some_and(|scale| self.put("fan", instance, "mode", feature, scale)),
            ("speed", "numeric") => {
                let scale = Scale::Number(Linear::percent(low.unwrap_or(0.0).min(1.0), high.unwrap_or(254.0)));
                self.put("fan", instance, "percent", feature, scale)
            }
            _ => false,
        }
    }

    fn cover(&mut self, instance: u16, feature: &Expose) -> bool {
        match feature.name.as_str() {
            "state" => {
                for (id, word) in [("open", "OPEN"), ("close", "CLOSE"), ("stop", "STOP")] {
                    let word = feature.words.iter().find(|known| known.as_str() == Some(word));
                    if let Some(word) = word.filter(|_| feature.has(2)) {
                        let doing = Doing::Say(self.telling(&feature.property), word.clone());
                        self.parts.act("cover", instance, id, Vec::new(), doing);
                    }
                }
                // What is published is where it is, or went.
                let words = vec![(0, json!("CLOSE")), (2, json!("OPEN")), (4, json!("STOP"))];
                let feature = Expose { access: feature.access & !2, ..feature.clone() };
                self.put("cover", instance, "state", &feature, Scale::Choice(words))
            }
            "position" | "tilt" => {
                let [low, high, _] = feature.range;
                let scale = Scale::Number(Linear::percent(low.unwrap_or(0.0), high.unwrap_or(100.0)));
                let id = if feature.name == "tilt" { "tilt" } else { "position" };
                self.put("cover", instance, id, feature, scale)
            }
            _ => false,
        }
    }

    fn lock(&mut self, instance: u16, feature: &Expose) -> bool {
        match feature.name.as_str() {
            "state" => {
                let Some(Scale::Bool { on, off }) = feature.scale() else { return false };
                if feature.has(2) {
                    for (id, word) in [("lock", &on), ("unlock", &off)] {
                        let doing = Doing::Say(self.telling(&feature.property), word.clone());
                        self.parts.act("door-lock", instance, id, Vec::new(), doing);
                    }
                }
                let feature = Expose { access: feature.access & !2, ..feature.clone() };
                self.put("door-lock", instance, "locked", &feature, Scale::Bool { on, off })
            }
            "lock_state" => {
                let known = [("locked", 0), ("unlocked", 1), ("not_fully_locked", 5)];
                let scale = named(&feature.words, &known);
                let feature = Expose { access: feature.access & !2, ..feature.clone() };
                self.put("door-lock", instance, "state", &feature, scale)
            }
            _ => false,
        }
    }

    fn climate(&mut self, instance: u16, feature: &Expose, whole: &Expose) -> bool {
        let cools = whole.feature("occupied_cooling_setpoint").is_some();
        let heats = whole.feature("occupied_heating_setpoint").is_some();
        let id = match feature.name.as_str() {
            "local_temperature" => "temperature",
            "occupied_heating_setpoint" if cools => "target-low",
            "occupied_cooling_setpoint" if heats => "target-high",
            "occupied_heating_setpoint" | "occupied_cooling_setpoint" | "current_heating_setpoint" => "target",
            "system_mode" => "mode",
            "running_state" => "running",
            "preset" => "preset",
            "fan_mode" => "fan-mode",
            _ => return false,
        };
        let scale = match id {
            "mode" => named(
                &feature.words,
                &[("off", 0), ("heat", 1), ("cool", 2), ("heat_cool", 3), ("auto", 4), ("dry", 5), ("fan_only", 6)],
            ),
            "running" => named(&feature.words, &[("idle", 0), ("heat", 1), ("cool", 2), ("dry", 3), ("fan_only", 4)]),
            _ => match feature.scale() {
                Some(scale) => scale,
                None => return false,
            },
        };
        self.put("climate", instance, id, feature, scale)
    }

    // -- generic -------------------------------------------------------------------------------------

    fn generic(&mut self, expose: &Expose, on_battery: bool) {
        match (expose.kind.as_str(), expose.name.as_str()) {
            ("enum", "action") if expose.has(1) => {
                let heard =
                    self.parts.hear(expose.label(), self.topics.state.clone(), Path::key(&expose.property), None);
                self.parts.counted(heard.then_some("button"), "more than a device may have");
                return;
            }
            ("enum", "effect") if expose.has(2) && self.parts.many("light") == 1 && !expose.words.is_empty() => {
                if let Some(scale) = expose.scale()
                    && self.put("light", 0, "effect", expose, scale)
                {
                    return;
                }
            }
            _ => {}
        }
        // `power_phase_b` is the power of another wire.
        let (name, phase) = phase(&expose.name);
        let known = GENERIC.iter().find(|(known, kind, ..)| *known == name && *kind == expose.kind);
        if let Some((_, _, service, id)) = known
            && self.fits(expose, service, on_battery)
        {
            let scale = match expose.kind.as_str() {
                "numeric" => {
                    let mut linear = Linear::of(expose.measure(), expose.range);
                    // Whole only in the words of the house.
                    if *service == "battery" {
                        (linear.whole, linear.clamped, linear.low, linear.high) = (true, true, 0.0, 100.0);
                    }
                    if *id == "power-factor" && expose.unit.is_none() {
                        linear.factor = 100.0;
                    }
                    linear.whole &= *service == "battery";
                    Some(Scale::Number(linear))
                }
                _ => expose.scale(),
            };
            let special = ["outdoor_air_temperature", "external_temperature", "floor_temperature"];
            let label = match phase {
                _ if special.contains(&name) => name.split('_').next().unwrap_or_default(),
                Some(phase) => phase,
                None => expose.label(),
            };
            let writable = matches!(*service, "on-off");
            let reads = Expose { access: if writable { expose.access } else { expose.access & !2 }, ..expose.clone() };
            if let Some(scale) = scale
                && reads.has(1)
                && let Some(instance) = self.parts.room_for(service, label, id)
                && match writable {
                    true => self.switch(service, instance, &reads),
                    false => self.put(service, instance, id, &reads, scale),
                }
            {
                return;
            }
        }
        self.more(expose);
    }

    /// Whether a generic property is what its name says.
    fn fits(&self, expose: &Expose, service: &str, on_battery: bool) -> bool {
        let unit = expose.measure().unit;
        let wanted = super::parts::standard(service);
        let name = phase(&expose.name).0;
        let of_name = GENERIC.iter().find(|(known, ..)| *known == name).map(|(_, _, _, id)| *id);
        let property =
            wanted.and_then(|whole| whole.properties.into_iter().find(|one| Some(one.id.as_str()) == of_name));
        let is_unit = match property.and_then(|property| property.unit) {
            Some(_) if name == "power_factor" => true,
            Some(wanted) => unit == Some(wanted),
            None => !expose.measure().foreign,
        };
        match name {
            // A battery's voltage is nothing that flows through a plug.
            "voltage" => is_unit && !on_battery,
            // What can be set is no sensor.
            "state" => expose.has(1) && expose.has(2),
            _ => is_unit && !(expose.kind == "numeric" && expose.has(2)),
        }
    }

    fn more(&mut self, expose: &Expose) {
        let mapped = self.own(expose);
        self.parts.counted(mapped.as_ref().ok().map(|()| "more"), mapped.err().unwrap_or_default());
    }

    fn own(&mut self, expose: &Expose) -> Result<(), &'static str> {
        let scale = expose.scale().ok_or("a type that is not known")?;
        if expose.access & 3 == 0 {
            return Err("it can be neither read nor set");
        }
        let taken = "there is one of that name already";
        if !expose.has(1) {
            return self.written_only(expose, scale).then_some(()).ok_or(taken);
        }
        let measure = expose.measure();
        let id = match expose.unit.as_deref() {
            // A unit that the house has none for stays in the name.
            Some(unit) if measure.foreign => format!("{}-{}", expose.property, kebab(unit)),
            _ => expose.property.clone(),
        };
        let role = match expose.name.as_str() {
            "linkquality" => Role::Diagnostic,
            _ => expose.role,
        };
        let wire = self.wire(expose, scale);
        self.parts.put_more(&id, role, measure, wire).then_some(()).ok_or(taken)
    }

    /// What can be set and says nothing: an action, or a property that is only written.
    fn written_only(&mut self, expose: &Expose, scale: Scale) -> bool {
        let id = kebab(&expose.property);
        let telling = self.telling(&expose.property);
        match (expose.kind.as_str(), scale) {
            ("enum", Scale::Choice(words)) if words.len() == 1 => {
                let word = words[0].1.clone();
                self.parts.act("more", 0, &id, Vec::new(), Doing::Say(telling, word))
            }
            ("composite", _) => {
                let scales = expose.features.iter().filter_map(|one| {
                    let scale = one.scale().filter(|scale| *scale != Scale::Json)?;
                    Some((one, scale))
                });
                let mut inputs = Vec::new();
                let mut fields = Vec::new();
                for (one, scale) in scales.take(32) {
                    let mut input = Property::state(&kebab(&one.name), Format::Text);
                    scale.shape(&mut input, one.range[2]);
                    input.unit = one.measure().unit;
                    if inputs.iter().all(|known: &Property| known.id != input.id) {
                        fields.push((input.id.clone(), one.property.clone(), scale));
                        inputs.push(input);
                    }
                }
                if inputs.is_empty() {
                    return self.json_input(&id, telling);
                }
                self.parts.act("more", 0, &id, inputs, Doing::Object(telling, fields))
            }
            ("list", _) => self.json_input(&id, telling),
            (_, scale) => {
                let wire = self.wire(expose, scale);
                self.parts.put_more(&id, expose.role, expose.measure(), wire)
            }
        }
    }

    /// Composite through and through: its owner writes it as JSON, in the words of its manual.
    fn json_input(&mut self, id: &str, telling: Telling) -> bool {
        let input = Property::state("json", Format::Text).sensitive(FieldCode::TextContent);
        self.parts.act("more", 0, id, vec![input], Doing::Json(telling, "json".to_owned()))
    }
}

/// Words numbered from 0. One that is there twice is one.
pub fn choice(words: &[Value]) -> Scale {
    let mut known: Vec<(i64, Value)> = Vec::new();
    for (number, word) in (0..).zip(words) {
        if known.iter().all(|(_, before)| !super::native::same(before, word)) {
            known.push((number, word.clone()));
        }
    }
    Scale::Choice(known)
}

/// Words with the numbers that they have in the house; those that it has none for come after, from 100.
pub fn named(words: &[Value], known: &[(&str, i64)]) -> Scale {
    let number = |(index, word): (usize, &Value)| {
        let found = known.iter().find(|(name, _)| word.as_str() == Some(name));
        (found.map_or(100 + index as i64, |(_, number)| *number), word.clone())
    };
    Scale::Choice(words.iter().enumerate().map(number).collect())
}

fn phase(name: &str) -> (&str, Option<&str>) {
    for end in ["_phase_a", "_phase_b", "_phase_c", "_a", "_b", "_c"] {
        if let Some(rest) = name.strip_suffix(end) {
            return (rest, Some(&end[end.len() - 1..]));
        }
    }
    (name, None)
}

/// What opens a house is asked each time: nothing of the device's own is weaker than that.
pub fn is_safe(parts: &Parts) -> bool {
    let unlocks = parts.services.iter().filter(|one| one.id == "door-lock").flat_map(|one| &one.actions);
    unlocks.filter(|one| one.id != "lock").all(|one| one.effect >= Effect::Security)
}

/// A name for a screen.
pub fn shown(text: &str) -> String {
    for_screen(text.trim(), 64)
}

/// For the fuzzer: any JSON as exposes.
pub fn fuzz(bytes: &[u8]) {
    let Ok(Value::Array(exposes)) = serde_json::from_slice(bytes) else { return };
    let parts = map(&exposes, &Topics::of("zigbee2mqtt", "x"));
    assert!(is_safe(&parts));
    for reading in &parts.readings {
        let _ = reading.scale.read(&exposes.first().cloned().unwrap_or_default());
    }
}
