//! Entities of Home Assistant's discovery convention as services of the house. What cannot be understood (a template that is
//! a program, a component without a meaning here) is counted, never guessed.

mod air;
mod light;
mod moving;

use accord_model::Role;
use serde_json::Value;

use crate::core::discovery::Entity;
use crate::core::native::{Linear, Scale, spoken};
use crate::core::parts::{Doing, Form, Parts, Place, Telling, Wire, kebab};
use crate::core::template::{Path, is_plain};
use crate::core::units::{self, Measure, measure};
use crate::core::zigbee::choice;

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
        if entity.get(payload.0).is_some_and(Value::is_null) || !is_plain(entity.text("command_template")) {
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
        let said = |key: &str, payload: &str, or: &str| match entity.get(key).filter(|value| !value.is_null()) {
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

    fn sensor(&mut self, label: &str, entity: &Entity) {
        let measure = entity.text("unit_of_measurement").map_or(units::NONE, measure);
        let class = entity.text("device_class").unwrap_or_default();
        let numeric = entity.get("unit_of_measurement").is_some() || entity.get("state_class").is_some();
        let known = SENSORS.iter().find(|(known, ..)| *known == class);
        let mut linear = Linear::of(measure, [None; 3]);
        let keys = keys("state_topic", "value_template", "", "");
        if let Some((_, service, id)) = known {
            let property = crate::core::parts::standard(service)
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
                    one.id == *service
                        && one.label.is_none()
                        && one.properties.iter().any(|property| property.id == *id)
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
        let mapped = self
            .parts
            .services
            .iter()
            .any(|one| one.id == "press" && one.instance == instance && !one.actions.is_empty());
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
        let Some(payload) = entity.get("payload").and_then(spoken) else {
            return self.lost("a trigger without a message");
        };
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
