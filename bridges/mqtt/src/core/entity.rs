//! Entities of Home Assistant's discovery convention as services of the house. What cannot be understood (a template that is
//! a program, a component without a meaning here) is counted, never guessed.

use accord_model::Role;
use serde_json::{Value, json};

use super::discovery::Entity;
use super::native::{Colour, Half, Linear, Scale, spoken};
use super::parts::{Doing, Form, Parts, Place, Telling, Wire, kebab};
use super::template::{Path, is_plain};
use super::units::{self, Measure, measure};
use super::zigbee::{choice, named};

const TEMPLATE: &str = "a template that is not understood";

/// Entities of one device, each with the name of its component.
pub fn map<'a>(entities: impl IntoIterator<Item = (&'a str, &'a Entity)>) -> Parts {
    let mut mapper = Mapper { parts: Parts::default() };
    for (name, entity) in entities {
        mapper.entity(name, entity);
    }
    mapper.parts
}

struct Mapper {
    parts: Parts,
}

/// The standard property of a sensor with that class: class, service, property.
const SENSORS: &[(&str, &str, &str)] = &[
    ("temperature", "temperature", "temperature"),
    ("humidity", "humidity", "humidity"),
    ("pressure", "pressure", "pressure"),
    ("atmospheric_pressure", "pressure", "pressure"),
    ("illuminance", "illuminance", "illuminance"),
    ("battery", "battery", "percent"),
    ("power", "electricity", "power"),
    ("energy", "electricity", "energy"),
    ("voltage", "electricity", "voltage"),
    ("current", "electricity", "current"),
    ("frequency", "electricity", "frequency"),
    ("power_factor", "electricity", "power-factor"),
    ("carbon_dioxide", "air-quality", "carbon-dioxide"),
    ("carbon_monoxide", "carbon-monoxide", "concentration"),
    ("pm25", "air-quality", "pm2-5"),
    ("pm10", "air-quality", "pm10"),
    ("volatile_organic_compounds", "air-quality", "voc"),
    ("aqi", "air-quality", "index"),
];

/// The same of what is one of two.
const STATES: &[(&str, &str, &str)] = &[
    ("motion", "occupancy", "occupied"),
    ("occupancy", "occupancy", "occupied"),
    ("presence", "occupancy", "occupied"),
    ("door", "contact", "open"),
    ("window", "contact", "open"),
    ("opening", "contact", "open"),
    ("garage_door", "contact", "open"),
    ("moisture", "water-leak", "detected"),
    ("smoke", "smoke", "detected"),
    ("gas", "gas", "detected"),
    ("vibration", "vibration", "detected"),
    ("tamper", "tamper", "detected"),
    ("carbon_monoxide", "carbon-monoxide", "detected"),
    ("battery", "battery", "low"),
    ("battery_charging", "battery", "charging"),
];

/// A property that an entity has by a topic to read, a template for it, a topic to write, a template for that.
struct Keys<'a> {
    state: &'a str,
    template: &'a str,
    command: &'a str,
    command_template: &'a str,
}

const fn keys<'a>(state: &'a str, template: &'a str, command: &'a str, command_template: &'a str) -> Keys<'a> {
    Keys { state, template, command, command_template }
}

impl Mapper {
    fn lost(&mut self, why: &str) {
        self.parts.counted(None, why);
    }

    /// Where a property is read from; an error when there is a template that is not understood.
    fn read(entity: &Entity, topic: &str, template: &str) -> Result<Option<(String, Path)>, &'static str> {
        let Some(topic) = entity.topic(topic) else { return Ok(None) };
        let path = match entity.text(template) {
            None => Path::Whole,
            Some(template) => Path::parse(template).map_err(|_| TEMPLATE)?,
        };
        Ok(Some((topic.to_owned(), path)))
    }

    fn telling(entity: &Entity, topic: &str) -> Option<Telling> {
        let topic = entity.topic(topic)?.to_owned();
        Some(Telling { topic, form: Form::Text, retain: entity.truth("retain").unwrap_or(false) })
    }

    fn wire(entity: &Entity, keys: &Keys<'_>, scale: Scale, step: Option<f64>) -> Result<Option<Wire>, &'static str> {
        let read = Self::read(entity, keys.state, keys.template);
        let write = Self::telling(entity, keys.command);
        let write = write.filter(|_| is_plain(entity.text(keys.command_template)));
        match (read, write) {
            (Err(why), None) => Err(why),
            (Ok(None), None) => Ok(None),
            (read, write) => Ok(Some(Wire { read: read.ok().flatten(), write, scale, step })),
        }
    }

    /// Puts one property of an entity where it belongs, and counts it. `true`: it is there.
    fn put(&mut self, entity: &Entity, at: (&str, u16, &str), keys: &Keys<'_>, scale: Scale) -> bool {
        self.put_step(entity, at, keys, scale, None)
    }

    fn put_step(
        &mut self,
        entity: &Entity,
        (service, instance, id): (&str, u16, &str),
        keys: &Keys<'_>,
        scale: Scale,
        step: Option<f64>,
    ) -> bool {
        match Self::wire(entity, keys, scale, step) {
            Ok(None) => false,
            Ok(Some(wire)) => {
                let taken = self.parts.put(service, instance, id, wire);
                self.parts.counted(taken.then_some(service), "more than a device may have");
                taken
            }
            Err(why) => {
                self.lost(why);
                false
            }
        }
    }

    fn act(&mut self, entity: &Entity, at: (&str, u16, &str), topic: &str, payload: (&str, &str)) {
        // A payload of nothing says that it cannot be done.
        if entity.keys.get(payload.0).is_some_and(Value::is_null) || !is_plain(entity.text("command_template")) {
            return;
        }
        if let Some(telling) = Self::telling(entity, topic) {
            let doing = Doing::Say(telling, entity.value(payload.0, payload.1));
            self.parts.act(at.0, at.1, at.2, Vec::new(), doing);
        }
    }

    fn label<'a>(name: &'a str, entity: &'a Entity) -> &'a str {
        entity.name.as_deref().unwrap_or(name)
    }

    fn entity(&mut self, name: &str, entity: &Entity) {
        let label = Self::label(name, entity);
        match entity.component.as_str() {
            "light" => self.light(label, entity),
            "switch" => self.switch("on-off", label, entity),
            "siren" => self.switch("siren", label, entity),
            "sensor" => self.sensor(label, entity),
            "binary_sensor" => self.state(label, entity),
            "cover" => self.cover(label, entity),
            "lock" => self.lock(label, entity),
            "climate" => self.climate(label, entity),
            "fan" => self.fan(label, entity),
            "humidifier" => self.humidifier(label, entity),
            "valve" => self.valve(label, entity),
            "vacuum" => self.vacuum(label, entity),
            "alarm_control_panel" => self.alarm(label, entity),
            "number" | "select" | "text" => self.setting(label, entity),
            "button" | "scene" => self.press(label, entity),
            "event" => self.event(label, entity),
            "device_automation" => self.trigger(entity),
            "update" | "device_tracker" => self.own(label, entity, Scale::Text, units::NONE, None),
            _ => self.lost("a component that has no meaning here"),
        }
    }

    fn begin(&mut self, service: &str, label: &str) -> Option<u16> {
        // The first is called as the device is.
        let label = if self.parts.many(service) == 0 { "" } else { label };
        let instance = self.parts.begin(service, label);
        if instance.is_none() {
            self.lost("more than a device may have");
        }
        instance
    }

    /// Something that it has beyond the standard services.
    fn own(&mut self, label: &str, entity: &Entity, scale: Scale, measure: Measure, step: Option<f64>) {
        let keys = keys("state_topic", "value_template", "command_topic", "command_template");
        let role = match entity.text("entity_category") {
            Some("config") => Role::Config,
            Some("diagnostic") => Role::Diagnostic,
            _ => Role::Primary,
        };
        let id = match entity.text("unit_of_measurement") {
            Some(unit) if measure.foreign => format!("{label}-{}", kebab(unit)),
            _ => label.to_owned(),
        };
        match Self::wire(entity, &keys, scale, step) {
            Ok(Some(wire)) => {
                let mut taken = self.parts.put_more(&id, role, measure, wire.clone());
                // Two of one name: the second goes by its own id.
                if let Some(unique) = entity.unique.as_deref().filter(|_| !taken) {
                    taken = self.parts.put_more(unique, role, measure, wire);
                }
                self.parts.counted(taken.then_some("more"), "there is one of that name already");
            }
            Ok(None) => self.lost("no topic"),
            Err(why) => self.lost(why),
        }
    }

    fn truth(entity: &Entity) -> Scale {
        let (on, off) = (entity.value("payload_on", "ON"), entity.value("payload_off", "OFF"));
        Scale::Bool { on, off }
    }

    /// On and off, where the words that are said may differ from those that are told.
    fn on_off(&mut self, service: &str, instance: u16, entity: &Entity, template: &str) -> bool {
        let keys = keys("state_topic", template, "command_topic", "command_template");
        let told = Self::truth(entity);
        if !self.put(entity, (service, instance, "on"), &keys, told) {
            return false;
        }
        let place = Place { service: service.to_owned(), instance, id: "on".to_owned() };
        let said = |key: &str, payload: &str, or: &str| match entity.keys.get(key).filter(|value| !value.is_null()) {
            Some(value) => value.clone(),
            None => entity.value(payload, or),
        };
        let scale =
            Scale::Bool { on: said("state_on", "payload_on", "ON"), off: said("state_off", "payload_off", "OFF") };
        self.parts.readings.iter_mut().filter(|one| one.place == place).for_each(|one| one.scale = scale.clone());
        if self.parts.writings.contains_key(&place) {
            self.parts.act(service, instance, "toggle", Vec::new(), Doing::Toggle(place));
        }
        true
    }

    fn switch(&mut self, service: &str, label: &str, entity: &Entity) {
        let Some(instance) = self.begin(service, label) else { return };
        let template = if service == "siren" { "state_value_template" } else { "value_template" };
        if !self.on_off(service, instance, entity, template) {
            self.forget(service, instance);
        }
    }

    /// An instance that nothing was put into.
    fn forget(&mut self, service: &str, instance: u16) {
        self.parts.services.retain(|one| {
            one.id != service || one.instance != instance || !one.properties.is_empty() || !one.actions.is_empty()
        });
    }

    fn light(&mut self, label: &str, entity: &Entity) {
        match entity.text("schema") {
            None | Some("default" | "basic") => self.light_of_topics(label, entity),
            Some("json") => self.light_of_json(label, entity),
            _ => self.lost(TEMPLATE),
        }
    }

    fn mireds(entity: &Entity) -> Scale {
        let kelvin = entity.truth("color_temp_kelvin").unwrap_or(false);
        if kelvin {
            let (low, high) = (entity.number("min_kelvin").unwrap_or(2000.0), entity.number("max_kelvin").unwrap_or(6535.0));
            return Scale::Number(Linear::of(measure("K"), [Some(low), Some(high), Some(1.0)]));
        }
        let low = entity.number("min_mireds").or_else(|| Some(1e6 / entity.number("max_kelvin")?));
        let high = entity.number("max_mireds").or_else(|| Some(1e6 / entity.number("min_kelvin")?));
        Scale::Number(Linear::mired(low.unwrap_or(153.0).round(), high.unwrap_or(500.0).round()))
    }

    fn light_of_topics(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("light", label) else { return };
        let at = |id: &'static str| ("light", instance, id);
        if !self.on_off("light", instance, entity, "state_value_template") {
            self.forget("light", instance);
            return;
        }
        let scale = entity.number("brightness_scale").filter(|scale| *scale >= 1.0).unwrap_or(255.0);
        let level = keys(
            "brightness_state_topic", "brightness_value_template", "brightness_command_topic", "brightness_command_template",
        );
        self.put(entity, at("level"), &level, Scale::Number(Linear::percent(0.0, scale)));
        let warmth = keys(
            "color_temp_state_topic", "color_temp_value_template", "color_temp_command_topic", "color_temp_command_template",
        );
        self.put(entity, at("color-temperature"), &warmth, Self::mireds(entity));
        let spaces = [
            (Colour::HsText, keys("hs_state_topic", "hs_value_template", "hs_command_topic", "hs_command_template")),
            (Colour::RgbText, keys("rgb_state_topic", "rgb_value_template", "rgb_command_topic", "rgb_command_template")),
            (Colour::XyText, keys("xy_state_topic", "xy_value_template", "xy_command_topic", "xy_command_template")),
        ];
        let mut coloured = false;
        for (colour, keys) in &spaces {
            // The others are the same colour said otherwise.
            if !coloured {
                coloured = self.put(entity, at("hue"), keys, Scale::Colour(*colour, Half::Hue));
                if coloured && let Ok(Some(wire)) = Self::wire(entity, keys, Scale::Colour(*colour, Half::Saturation), None) {
                    self.parts.put("light", instance, "saturation", wire);
                }
            }
        }
        self.effect(instance, entity, keys(
            "effect_state_topic", "effect_value_template", "effect_command_topic", "effect_command_template",
        ));
    }

    fn effect(&mut self, instance: u16, entity: &Entity, keys: Keys<'_>) {
        let words = entity.words("effect_list");
        if !words.is_empty() {
            self.put(entity, ("light", instance, "effect"), &keys, choice(&words));
        }
    }

    /// home-assistant.io, "MQTT light", JSON schema.
    fn light_of_json(&mut self, label: &str, entity: &Entity) {
        let Some(state) = entity.topic("state_topic").or_else(|| entity.topic("command_topic")) else {
            return self.lost("no topic");
        };
        let Some(instance) = self.begin("light", label) else { return };
        let (state, command) = (state.to_owned(), Self::telling(entity, "command_topic"));
        let has_state = entity.topic("state_topic").is_some();
        let wire = |key: &str, scale: Scale, beside: bool| {
            let more = if beside { vec![("state".to_owned(), json!("ON"))] } else { Vec::new() };
            let form = Form::Json(key.to_owned(), more);
            Wire {
                read: has_state.then(|| (state.clone(), Path::key(key))),
                write: command.clone().map(|telling| Telling { form, ..telling }),
                scale,
                step: None,
            }
        };
        let modes = entity.words("supported_color_modes");
        let has = |mode: &str| modes.iter().any(|one| one.as_str() == Some(mode));
        let old = |key: &str| entity.truth(key).unwrap_or(false);
        let mut add = vec![("on", wire("state", Scale::Bool { on: json!("ON"), off: json!("OFF") }, false))];
        let colours = [("hs", Colour::HsObject), ("xy", Colour::XyObject), ("rgb", Colour::RgbObject)];
        let dims = modes.iter().any(|mode| !matches!(mode.as_str(), Some("onoff")));
        if dims || old("brightness") {
            let scale = entity.number("brightness_scale").filter(|scale| *scale >= 1.0).unwrap_or(255.0);
            add.push(("level", wire("brightness", Scale::Number(Linear::percent(0.0, scale)), true)));
        }
        if has("color_temp") || old("color_temp") {
            add.push(("color-temperature", wire("color_temp", Self::mireds(entity), true)));
        }
        let space = colours.into_iter().find(|(mode, _)| has(mode) || old(mode));
        if let Some((_, colour)) = space {
            add.push(("hue", wire("color", Scale::Colour(colour, Half::Hue), true)));
            add.push(("saturation", wire("color", Scale::Colour(colour, Half::Saturation), true)));
        }
        if (has("rgbw") || has("rgbww")) && space.is_none() {
            self.lost("a colour with white of its own");
        }
        let effects = entity.words("effect_list");
        if !effects.is_empty() {
            add.push(("effect", wire("effect", choice(&effects), true)));
        }
        for (id, wire) in add {
            let taken = self.parts.put("light", instance, id, wire);
            if id != "saturation" {
                self.parts.counted(taken.then_some("light"), "more than a device may have");
            }
        }
        if command.is_some() {
            let place = Place { service: "light".to_owned(), instance, id: "on".to_owned() };
            self.parts.act("light", instance, "toggle", Vec::new(), Doing::Toggle(place));
        }
    }

    fn sensor(&mut self, label: &str, entity: &Entity) {
        let measure = entity.text("unit_of_measurement").map_or(units::NONE, measure);
        let class = entity.text("device_class").unwrap_or_default();
        let numeric = entity.keys.contains_key("unit_of_measurement") || entity.keys.contains_key("state_class");
        let known = SENSORS.iter().find(|(known, ..)| *known == class);
        let mut linear = Linear::of(measure, [None; 3]);
        let keys = keys("state_topic", "value_template", "", "");
        if let Some((_, service, id)) = known {
            let property = super::parts::standard(service)
                .and_then(|whole| whole.properties.into_iter().find(|one| one.id == *id));
            let wanted = property.and_then(|property| property.unit);
            if *id == "power-factor" && measure.unit.is_none() {
                linear.factor = 100.0;
            }
            if *service == "battery" {
                (linear.whole, linear.clamped, linear.low, linear.high) = (true, true, 0.0, 100.0);
            }
            if wanted.is_none() || measure.unit == wanted || *id == "power-factor" {
                // One of a kind is the device's; the second has a label.
                let there = self.parts.services.iter().any(|one| {
                    one.id == *service && one.label.is_none() && one.properties.iter().any(|property| property.id == *id)
                });
                let label = if there { label } else { "" };
                if let Some(instance) = self.parts.room_for(service, label, id) {
                    let taken = self.put(entity, (service, instance, id), &keys, Scale::Number(linear));
                    if !taken {
                        self.forget(service, instance);
                    }
                    return;
                }
            }
        }
        let words = entity.words("options");
        let scale = match () {
            () if numeric => Scale::Number(linear),
            () if class == "enum" && !words.is_empty() => choice(&words),
            () => Scale::Text,
        };
        self.own(label, entity, scale, measure, None);
    }

    fn state(&mut self, label: &str, entity: &Entity) {
        let class = entity.text("device_class").unwrap_or_default();
        let scale = Self::truth(entity);
        let keys = keys("state_topic", "value_template", "", "");
        if let Some((_, service, id)) = STATES.iter().find(|(known, ..)| *known == class) {
            let there = self.parts.services.iter().any(|one| {
                one.id == *service && one.label.is_none() && one.properties.iter().any(|property| property.id == *id)
            });
            let label = if there { label } else { "" };
            if let Some(instance) = self.parts.room_for(service, label, id) {
                if !self.put(entity, (service, instance, id), &keys, scale) {
                    self.forget(service, instance);
                }
                return;
            }
        }
        self.own(label, entity, scale, units::NONE, None);
    }

    fn cover(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("cover", label) else { return };
        let at = |id: &'static str| ("cover", instance, id);
        let (low, high) =
            (entity.number("position_closed").unwrap_or(0.0), entity.number("position_open").unwrap_or(100.0));
        let position = keys("position_topic", "position_template", "set_position_topic", "set_position_template");
        self.put(entity, at("position"), &position, Scale::Number(range(low, high)));
        let (low, high) =
            (entity.number("tilt_closed_value").unwrap_or(0.0), entity.number("tilt_opened_value").unwrap_or(100.0));
        let tilt = keys("tilt_status_topic", "tilt_status_template", "tilt_command_topic", "tilt_command_template");
        self.put(entity, at("tilt"), &tilt, Scale::Number(range(low, high)));
        let states = [
            (0, "state_closed", "closed"), (1, "state_opening", "opening"), (2, "state_open", "open"),
            (3, "state_closing", "closing"), (4, "state_stopped", "stopped"),
        ];
        let words = states.map(|(number, key, or)| (number, entity.value(key, or))).to_vec();
        self.put(entity, at("state"), &keys("state_topic", "value_template", "", ""), Scale::Choice(words));
        for (id, payload) in
            [("open", ("payload_open", "OPEN")), ("close", ("payload_close", "CLOSE")), ("stop", ("payload_stop", "STOP"))]
        {
            self.act(entity, at(id), "command_topic", payload);
        }
        if matches!(entity.text("device_class"), Some("garage" | "gate" | "door")) {
            let place = Place { service: "cover".to_owned(), instance, id: "position".to_owned() };
            self.parts.writings.remove(&place);
            let found = self.parts.services.iter_mut().find(|one| one.id == "cover" && one.instance == instance);
            if let Some(found) = found {
                *found = std::mem::replace(found, accord_model::catalogue::more()).guarded();
            }
        }
        self.forget("cover", instance);
    }

    fn lock(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("door-lock", label) else { return };
        let at = |id: &'static str| ("door-lock", instance, id);
        let word = |key: &str, or: &str| entity.value(key, or);
        let (locked, unlocked) = (word("state_locked", "LOCKED"), word("state_unlocked", "UNLOCKED"));
        let scale = Scale::Bool { on: locked.clone(), off: unlocked.clone() };
        self.put(entity, at("locked"), &keys("state_topic", "value_template", "", ""), scale);
        let words = vec![
            (0, locked), (1, unlocked), (2, word("state_locking", "LOCKING")), (3, word("state_unlocking", "UNLOCKING")),
            (5, word("state_jammed", "JAMMED")),
        ];
        let read = Self::read(entity, "state_topic", "value_template").ok().flatten();
        if read.is_some() {
            let wire = Wire { read, write: None, scale: Scale::Choice(words), step: None };
            self.parts.put("door-lock", instance, "state", wire);
        }
        self.act(entity, at("lock"), "command_topic", ("payload_lock", "LOCK"));
        // A code is for its keypad; it is not kept here.
        if entity.keys.contains_key("code_format") {
            self.lost("a lock that wants a code");
        } else {
            self.act(entity, at("unlock"), "command_topic", ("payload_unlock", "UNLOCK"));
            if entity.keys.contains_key("payload_open") {
                self.act(entity, at("open"), "command_topic", ("payload_open", ""));
            }
        }
        self.forget("door-lock", instance);
    }

    fn climate(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("climate", label) else { return };
        let at = |id: &'static str| ("climate", instance, id);
        let unit = measure(if entity.text("temperature_unit") == Some("F") { "°F" } else { "°C" });
        let now = keys("current_temperature_topic", "current_temperature_template", "", "");
        self.put(entity, at("temperature"), &now, Scale::Number(Linear::of(unit, [None; 3])));
        let (low, high) = (entity.number("min_temp").unwrap_or(7.0), entity.number("max_temp").unwrap_or(35.0));
        let step = entity.number("temp_step").or(Some(1.0));
        let mut target = Linear::of(unit, [Some(low), Some(high), step]);
        target.whole = false;
        for (id, name) in [("target", "temperature"), ("target-low", "temperature_low"), ("target-high", "temperature_high")] {
            let [state, template, command, command_template] =
                ["state_topic", "state_template", "command_topic", "command_template"].map(|end| format!("{name}_{end}"));
            let keys = keys(&state, &template, &command, &command_template);
            self.put_step(entity, at(id), &keys, Scale::Number(target), step);
        }
        let modes = entity.words("modes");
        let modes = if modes.is_empty() { ["auto", "off", "cool", "heat", "dry", "fan_only"].map(|mode| json!(mode)).to_vec() } else { modes };
        let known = [("off", 0), ("heat", 1), ("cool", 2), ("heat_cool", 3), ("auto", 4), ("dry", 5), ("fan_only", 6)];
        let mode = keys("mode_state_topic", "mode_state_template", "mode_command_topic", "mode_command_template");
        self.put(entity, at("mode"), &mode, named(&modes, &known));
        let running = [("idle", 0), ("heating", 1), ("cooling", 2), ("drying", 3), ("fan", 4), ("off", 0), ("preheating", 1)];
        let running = Scale::Choice(running.map(|(word, number)| (number, json!(word))).to_vec());
        self.put(entity, at("running"), &keys("action_topic", "action_template", "", ""), running);
        let humidity = keys("current_humidity_topic", "current_humidity_template", "", "");
        self.put(entity, at("humidity"), &humidity, Scale::Number(percent()));
        for (id, list, name) in [("fan-mode", "fan_modes", "fan_mode"), ("preset", "preset_modes", "preset_mode")] {
            let mut words = entity.words(list);
            if words.is_empty() && id == "fan-mode" {
                words = ["auto", "low", "medium", "high"].map(|word| json!(word)).to_vec();
            }
            let [state, template, command, command_template] =
                ["state_topic", if id == "preset" { "value_template" } else { "state_template" }, "command_topic", "command_template"]
                    .map(|end| format!("{name}_{end}"));
            if !words.is_empty() {
                self.put(entity, at(id), &keys(&state, &template, &command, &command_template), choice(&words));
            }
        }
        self.forget("climate", instance);
    }

    fn fan(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("fan", label) else { return };
        let at = |id: &'static str| ("fan", instance, id);
        self.on_off("fan", instance, entity, "state_value_template");
        let low = entity.number("speed_range_min").unwrap_or(1.0);
        let high = entity.number("speed_range_max").unwrap_or(100.0);
        let speed = keys(
            "percentage_state_topic", "percentage_value_template", "percentage_command_topic", "percentage_command_template",
        );
        // Zero is off, one step below the slowest.
        self.put(entity, at("percent"), &speed, Scale::Number(Linear::percent(low - 1.0, high)));
        let words = entity.words("preset_modes");
        if !words.is_empty() {
            let mode = keys(
                "preset_mode_state_topic", "preset_mode_value_template", "preset_mode_command_topic",
                "preset_mode_command_template",
            );
            self.put(entity, at("mode"), &mode, choice(&words));
        }
        let swing = keys(
            "oscillation_state_topic", "oscillation_value_template", "oscillation_command_topic",
            "oscillation_command_template",
        );
        let on = entity.value("payload_oscillation_on", "oscillate_on");
        let off = entity.value("payload_oscillation_off", "oscillate_off");
        self.put(entity, at("oscillating"), &swing, Scale::Bool { on, off });
        self.forget("fan", instance);
    }

    fn humidifier(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("humidifier", label) else { return };
        let at = |id: &'static str| ("humidifier", instance, id);
        self.on_off("humidifier", instance, entity, "state_value_template");
        let now = keys("current_humidity_topic", "current_humidity_template", "", "");
        self.put(entity, at("humidity"), &now, Scale::Number(percent()));
        let target = keys(
            "target_humidity_state_topic", "target_humidity_state_template", "target_humidity_command_topic",
            "target_humidity_command_template",
        );
        let (low, high) = (entity.number("min_humidity").unwrap_or(0.0), entity.number("max_humidity").unwrap_or(100.0));
        let linear = Linear::of(measure("%"), [Some(low), Some(high), Some(1.0)]);
        self.put(entity, at("target"), &target, Scale::Number(linear));
        let words = entity.words("modes");
        if !words.is_empty() {
            let mode = keys("mode_state_topic", "mode_state_template", "mode_command_topic", "mode_command_template");
            self.put(entity, at("mode"), &mode, choice(&words));
        }
        self.forget("humidifier", instance);
    }

    fn valve(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("valve", label) else { return };
        let at = |id: &'static str| ("valve", instance, id);
        if entity.truth("reports_position").unwrap_or(false) {
            let (low, high) =
                (entity.number("position_closed").unwrap_or(0.0), entity.number("position_open").unwrap_or(100.0));
            let position = keys("state_topic", "value_template", "command_topic", "command_template");
            self.put(entity, at("position"), &position, Scale::Number(range(low, high)));
        } else {
            let scale = Scale::Bool { on: entity.value("state_open", "open"), off: entity.value("state_closed", "closed") };
            self.put(entity, at("open"), &keys("state_topic", "value_template", "", ""), scale);
            self.act(entity, at("open"), "command_topic", ("payload_open", "OPEN"));
            self.act(entity, at("close"), "command_topic", ("payload_close", "CLOSE"));
        }
        self.forget("valve", instance);
    }

    fn vacuum(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("vacuum", label) else { return };
        let words = [("docked", 0), ("idle", 1), ("cleaning", 2), ("paused", 3), ("returning", 4), ("error", 5)];
        let words = Scale::Choice(words.map(|(word, number)| (number, json!(word))).to_vec());
        let state = entity.topic("state_topic").map(|topic| (topic.to_owned(), Path::key("state")));
        if state.is_some() {
            let wire = Wire { read: state, write: None, scale: words, step: None };
            let taken = self.parts.put("vacuum", instance, "state", wire);
            self.parts.counted(taken.then_some("vacuum"), "more than a device may have");
        }
        let speeds = entity.words("fan_speed_list");
        if !speeds.is_empty() {
            let read = entity.topic("state_topic").map(|topic| (topic.to_owned(), Path::key("fan_speed")));
            let write = Self::telling(entity, "set_fan_speed_topic");
            if read.is_some() || write.is_some() {
                let taken = self.parts.put("vacuum", instance, "fan-speed", Wire { read, write, scale: choice(&speeds), step: None });
                self.parts.counted(taken.then_some("vacuum"), "more than a device may have");
            }
        }
        for (id, payload) in [
            ("start", ("payload_start", "start")), ("pause", ("payload_pause", "pause")), ("stop", ("payload_stop", "stop")),
            ("dock", ("payload_return_to_base", "return_to_base")), ("locate", ("payload_locate", "locate")),
        ] {
            self.act(entity, ("vacuum", instance, id), "command_topic", payload);
        }
        self.forget("vacuum", instance);
    }

    fn alarm(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("alarm", label) else { return };
        let words = [
            ("disarmed", 0), ("armed_home", 1), ("armed_away", 2), ("armed_night", 3), ("arming", 4), ("pending", 5),
            ("triggered", 6),
        ];
        let words = Scale::Choice(words.map(|(word, number)| (number, json!(word))).to_vec());
        self.put(entity, ("alarm", instance, "state"), &keys("state_topic", "value_template", "", ""), words);
        // Arming may want a code too; what wants one is told to its own keypad.
        let plain = entity.keys.get("code").is_none_or(Value::is_null);
        if plain {
            for (id, payload) in [
                ("arm-home", ("payload_arm_home", "ARM_HOME")), ("arm-away", ("payload_arm_away", "ARM_AWAY")),
                ("arm-night", ("payload_arm_night", "ARM_NIGHT")), ("disarm", ("payload_disarm", "DISARM")),
            ] {
                self.act(entity, ("alarm", instance, id), "command_topic", payload);
            }
        } else {
            self.lost("an alarm that wants a code");
        }
        self.forget("alarm", instance);
    }

    fn setting(&mut self, label: &str, entity: &Entity) {
        let measure = entity.text("unit_of_measurement").map_or(units::NONE, measure);
        let (low, high) = (entity.number("min").unwrap_or(1.0), entity.number("max").unwrap_or(100.0));
        let step = entity.number("step").or(Some(1.0));
        let (scale, measure) = match entity.component.as_str() {
            "number" => (Scale::Number(Linear::of(measure, [Some(low), Some(high), step])), measure),
            "select" => (choice(&entity.words("options")), units::NONE),
            _ => (Scale::Text, units::NONE),
        };
        if scale == Scale::Choice(Vec::new()) {
            return self.lost("a choice of nothing");
        }
        self.own(label, entity, scale, measure, step);
    }

    fn press(&mut self, label: &str, entity: &Entity) {
        let (key, or) = if entity.component == "scene" { ("payload_on", "ON") } else { ("payload_press", "PRESS") };
        let Some(instance) = self.parts.begin("press", label) else { return self.lost("more than a device may have") };
        self.act(entity, ("press", instance, "press"), "command_topic", (key, or));
        let mapped = self.parts.services.iter().any(|one| one.id == "press" && one.instance == instance && !one.actions.is_empty());
        self.parts.counted(mapped.then_some("press"), "no topic");
        self.forget("press", instance);
    }

    fn event(&mut self, label: &str, entity: &Entity) {
        // What a template makes of it, or the message itself, has the kind under `event_type`.
        let Ok(Some((topic, path))) = Self::read(entity, "state_topic", "value_template") else {
            return self.lost(TEMPLATE);
        };
        let path = if path == Path::Whole { Path::key("event_type") } else { path };
        let heard = self.parts.hear(label, topic, path, None);
        self.parts.counted(heard.then_some("button"), "more than a device may have");
    }

    fn trigger(&mut self, entity: &Entity) {
        let Ok(Some((topic, path))) = Self::read(entity, "topic", "value_template") else {
            return self.lost(TEMPLATE);
        };
        let kind = entity.text("type").unwrap_or("pressed");
        let subtype = entity.text("subtype").unwrap_or_default();
        let Some(payload) = entity.keys.get("payload").and_then(spoken) else { return self.lost("a trigger without a message") };
        let heard = self.parts.hear(subtype, topic, path, Some((payload, kind.to_owned())));
        self.parts.counted(heard.then_some("button"), "more than a device may have");
    }
}

/// 0 to 100 for a range that may run backwards.
fn range(closed: f64, open: f64) -> Linear {
    let factor = if open == closed { 1.0 } else { 100.0 / (open - closed) };
    Linear { zero: closed, factor, low: closed.min(open), high: closed.max(open), ..Linear::percent(0.0, 100.0) }
}

fn percent() -> Linear {
    Linear { native_whole: false, low: 0.0, high: 100.0, ..Linear::percent(0.0, 100.0) }
}
