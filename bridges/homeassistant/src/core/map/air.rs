//! What heats, cools, moistens and moves the air: `climate`, `water_heater`, `humidifier`, `fan`.

use accord_model::{Data, Effect, Format, catalogue};
use serde_json::json;

use super::part::{Part, action, more, named, options};
use super::{Entity, percent_of};
use crate::core::words::Call;

// developers.home-assistant.io/docs/core/entity/climate
const TARGET: u32 = 1;
const TARGETS: u32 = 2;
const HUMIDITY: u32 = 4;
const FAN: u32 = 8;
const PRESET: u32 = 16;
const SWING: u32 = 32;

/// Home Assistant's name of a mode, and ours.
const MODES: [(&str, &str); 7] = [
    ("off", "off"),
    ("heat", "heat"),
    ("cool", "cool"),
    ("heat_cool", "heat-cool"),
    ("auto", "auto"),
    ("dry", "dry"),
    ("fan_only", "fan-only"),
];
const RUNNING: [(&str, &str); 8] = [
    ("off", "idle"),
    ("idle", "idle"),
    ("heating", "heating"),
    ("preheating", "heating"),
    ("defrosting", "heating"),
    ("cooling", "cooling"),
    ("drying", "drying"),
    ("fan", "fan"),
];

fn ours<'a>(table: &[(&str, &'a str)], theirs: &str) -> Option<&'a str> {
    table.iter().find(|(one, _)| *one == theirs).map(|(_, ours)| *ours)
}

pub fn climate(entity: &Entity<'_>) -> Vec<Part> {
    let attrs = entity.attrs;
    let scale = entity.temperature();
    let their_modes = attrs.get("hvac_modes").texts();
    let modes: Vec<&str> = their_modes.iter().filter_map(|mode| ours(&MODES, mode)).collect();
    let (fans, presets) = (attrs.get("fan_modes").texts(), attrs.get("preset_modes").texts());
    let mut kept = Vec::new();
    let mut keep = |yes: bool, id: &'static str| yes.then(|| kept.push(id));
    keep(attrs.has("current_temperature"), "temperature");
    keep(entity.can(TARGET) || attrs.has("temperature"), "target");
    keep(entity.can(TARGETS), "target-low");
    keep(entity.can(TARGETS), "target-high");
    keep(!modes.is_empty(), "mode");
    keep(attrs.has("hvac_action"), "running");
    keep(attrs.has("current_humidity"), "humidity");
    keep(entity.can(HUMIDITY), "target-humidity");
    keep(entity.can(FAN) && !fans.is_empty(), "fan-mode");
    keep(entity.can(PRESET) && !presets.is_empty(), "preset");
    let mut service = catalogue::climate()
        .only(&kept, &[])
        .change("mode", |one| *one = one.clone().one_of(modes.iter().copied()))
        .change("fan-mode", |one| *one = named(one.clone(), &fans))
        .change("preset", |one| *one = named(one.clone(), &presets))
        .change("target", |one| one.write = entity.can(TARGET))
        .change("target-humidity", |one| {
            *one = ranged(one.clone(), entity, ("min_humidity", "max_humidity"), (30.0, 99.0))
        });
    for id in ["target", "target-low", "target-high"] {
        service = service.change(id, |one| *one = temperatures(one.clone(), entity, (7.0, 35.0)));
    }
    let degrees = |name: &str| attrs.number(name).map(|theirs| scale.ours(theirs));
    let mode = ours(&MODES, entity.state);
    let part = Part::new(service)
        .say("temperature", degrees("current_temperature"))
        .say("target", degrees("temperature"))
        .say("target-low", degrees("target_temp_low"))
        .say("target-high", degrees("target_temp_high"))
        .say_one("mode", mode)
        .say_one("running", attrs.text("hvac_action").and_then(|running| ours(&RUNNING, running)))
        .say("humidity", attrs.number("current_humidity").map(|humidity| humidity.round() as i64))
        .say("target-humidity", attrs.number("humidity").map(|humidity| humidity.round() as i64))
        .say_one("fan-mode", attrs.text("fan_mode"))
        .say_one("preset", attrs.text("preset_mode"));
    let swings = attrs.get("swing_modes").texts();
    let swing = entity.can(SWING) && !swings.is_empty();
    let swing = swing
        .then(|| Part::more(options("swing-mode", &swings).writable()).say_one("swing-mode", attrs.text("swing_mode")));
    std::iter::once(part).chain(swing).collect()
}

pub fn write_climate(entity: &Entity<'_>, property: &str, data: &Data) -> Option<Call> {
    let attrs = entity.attrs;
    let scale = entity.temperature();
    let call = |service: &str| entity.call("climate", service);
    let theirs = || data.as_number().map(|ours| scale.theirs(ours));
    let pair =
        |low: f64, high: f64| call("set_temperature").with("target_temp_low", low).with("target_temp_high", high);
    Some(match property {
        "target" => call("set_temperature").with("temperature", theirs()?),
        "target-low" => {
            pair(theirs()?, attrs.number("target_temp_high").filter(|high| Some(*high) >= theirs()).or_else(theirs)?)
        }
        "target-high" => {
            pair(attrs.number("target_temp_low").filter(|low| Some(*low) <= theirs()).or_else(theirs)?, theirs()?)
        }
        "mode" => {
            let known = attrs.get("hvac_modes").texts().into_iter().filter(|mode| ours(&MODES, mode).is_some());
            call("set_hvac_mode").with("hvac_mode", known.into_iter().nth(usize::try_from(data.as_int()?).ok()?)?)
        }
        "target-humidity" => call("set_humidity").with("humidity", data.as_int()?),
        "fan-mode" => call("set_fan_mode").with("fan_mode", entity.listed("fan_modes", data)?),
        "preset" => call("set_preset_mode").with("preset_mode", entity.listed("preset_modes", data)?),
        "swing-mode" => call("set_swing_mode").with("swing_mode", entity.listed("swing_modes", data)?),
        _ => return None,
    })
}

fn temperatures(property: accord_model::Property, entity: &Entity<'_>, usual: (f64, f64)) -> accord_model::Property {
    let scale = entity.temperature();
    let limit = |name: &str, usual: f64| entity.attrs.number(name).map_or(usual, |theirs| scale.ours(theirs));
    let (low, high) = (limit("min_temp", usual.0), limit("max_temp", usual.1));
    // Where nothing is said, Home Assistant shows tenths of a degree Celsius and whole ones of Fahrenheit.
    let step = entity.attrs.number("target_temp_step").filter(|step| *step > 0.0);
    let step = scale.step(step.unwrap_or(if entity.fahrenheit { 1.0 } else { 0.1 }));
    property.range(low.min(high), high.max(low), step)
}

fn ranged(
    property: accord_model::Property,
    entity: &Entity<'_>,
    names: (&str, &str),
    usual: (f64, f64),
) -> accord_model::Property {
    let (low, high) =
        (entity.attrs.number(names.0).unwrap_or(usual.0), entity.attrs.number(names.1).unwrap_or(usual.1));
    property.range(low.min(high), high.max(low), 1.0)
}

// developers.home-assistant.io/docs/core/entity/water-heater
const HEATER_MODE: u32 = 2;
const HEATER_AWAY: u32 = 4;

pub fn water_heater(entity: &Entity<'_>) -> Vec<Part> {
    let (attrs, scale) = (entity.attrs, entity.temperature());
    let modes = attrs.get("operation_list").texts();
    let mut kept = Vec::new();
    let mut keep = |yes: bool, id: &'static str| yes.then(|| kept.push(id));
    keep(attrs.has("current_temperature"), "temperature");
    keep(entity.can(TARGET) || attrs.has("temperature"), "target");
    keep(entity.can(HEATER_MODE) && !modes.is_empty(), "preset");
    let service = catalogue::climate()
        .only(&kept, &[])
        .change("preset", |one| *one = named(one.clone(), &modes))
        .change("target", |one| *one = temperatures(one.clone(), entity, (43.0, 60.0)))
        .change("target", |one| one.write = entity.can(TARGET));
    let degrees = |name: &str| attrs.number(name).map(|theirs| scale.ours(theirs));
    let part = Part::new(service)
        .say("temperature", degrees("current_temperature"))
        .say("target", degrees("temperature"))
        .say_one("preset", attrs.text("operation_mode").or(entity.known()));
    let away = entity.can(HEATER_AWAY);
    let away =
        away.then(|| Part::more(more("away", Format::Bool).writable()).say("away", attrs.get("away_mode").bool()));
    std::iter::once(part).chain(away).collect()
}

pub fn write_water_heater(entity: &Entity<'_>, property: &str, data: &Data) -> Option<Call> {
    let call = |service: &str| entity.call("water_heater", service);
    Some(match property {
        "target" => call("set_temperature").with("temperature", entity.temperature().theirs(data.as_number()?)),
        "preset" => call("set_operation_mode").with("operation_mode", entity.listed("operation_list", data)?),
        "away" => call("set_away_mode").with("away_mode", data.as_bool()?),
        _ => return None,
    })
}

// developers.home-assistant.io/docs/core/entity/humidifier
const HUMIDIFIER_MODES: u32 = 1;

pub fn humidifier(entity: &Entity<'_>) -> Part {
    let attrs = entity.attrs;
    let modes = attrs.get("available_modes").texts();
    let mut kept = vec!["on", "target"];
    if attrs.has("current_humidity") {
        kept.push("humidity");
    }
    if entity.can(HUMIDIFIER_MODES) && !modes.is_empty() {
        kept.push("mode");
    }
    let service = catalogue::humidifier()
        .only(&kept, &["toggle"])
        .change("target", |one| *one = ranged(one.clone(), entity, ("min_humidity", "max_humidity"), (0.0, 100.0)))
        .change("mode", |one| *one = named(one.clone(), &modes));
    Part::new(service)
        .say("on", entity.on())
        .say("humidity", attrs.number("current_humidity").map(|humidity| humidity.round() as i64))
        .say("target", attrs.number("humidity").map(|humidity| humidity.round() as i64))
        .say_one("mode", attrs.text("mode"))
}

pub fn write_humidifier(entity: &Entity<'_>, property: &str, data: &Data) -> Option<Call> {
    let call = |service: &str| entity.call("humidifier", service);
    Some(match property {
        "target" => call("set_humidity").with("humidity", data.as_int()?),
        "mode" => call("set_mode").with("mode", entity.listed("available_modes", data)?),
        _ => return None,
    })
}

// developers.home-assistant.io/docs/core/entity/fan
const SPEED: u32 = 1;
const OSCILLATE: u32 = 2;
const DIRECTION: u32 = 4;
const FAN_PRESET: u32 = 8;

pub fn fan(entity: &Entity<'_>) -> Part {
    let attrs = entity.attrs;
    let presets = attrs.get("preset_modes").texts();
    let mut kept = vec!["on"];
    let mut keep = |yes: bool, id: &'static str| yes.then(|| kept.push(id));
    keep(entity.can(SPEED), "percent");
    // Older servers list speeds as presets without saying so.
    keep((entity.can(FAN_PRESET) || attrs.has("preset_mode")) && !presets.is_empty(), "mode");
    keep(entity.can(OSCILLATE), "oscillating");
    keep(entity.can(DIRECTION), "direction");
    let step = attrs.number("percentage_step").filter(|step| (1.0..=100.0).contains(step)).unwrap_or(1.0);
    let service = catalogue::fan()
        .only(&kept, &["toggle"])
        .change("percent", |one| *one = one.clone().range(0.0, 100.0, step))
        .change("mode", |one| *one = named(one.clone(), &presets));
    Part::new(service)
        .say("on", entity.on())
        .say("percent", attrs.number("percentage").map(|percent| percent_of(percent / 100.0)))
        .say_one("mode", attrs.text("preset_mode"))
        .say("oscillating", attrs.get("oscillating").bool())
        .say_one("direction", attrs.text("direction"))
}

pub fn write_fan(entity: &Entity<'_>, property: &str, data: &Data) -> Option<Call> {
    let call = |service: &str| entity.call("fan", service);
    Some(match property {
        "percent" => call("set_percentage").with("percentage", data.as_int()?),
        "mode" => call("set_preset_mode").with("preset_mode", entity.listed("preset_modes", data)?),
        "oscillating" => call("oscillate").with("oscillating", data.as_bool()?),
        "direction" => call("set_direction").with("direction", if data.as_int()? == 0 { "forward" } else { "reverse" }),
        _ => return None,
    })
}

// developers.home-assistant.io/docs/core/entity/siren
const TONES: u32 = 4;

pub fn siren(entity: &Entity<'_>) -> Vec<Part> {
    let part = Part::new(catalogue::siren()).say("on", entity.on());
    // Which tone it plays it never says, so that each one is something to be done.
    let tones = entity.attrs.get("available_tones").texts();
    let mut more = catalogue::more();
    for tone in tones.iter().take(16).filter(|_| entity.can(TONES)) {
        let id = format!("sound-{}", super::part::kebab(tone));
        if !more.actions.iter().any(|one| one.id == id) {
            more.actions.push(action(&id, Effect::Physical));
        }
    }
    let more = (!more.actions.is_empty()).then(|| Part::shared(more));
    std::iter::once(part).chain(more).collect()
}

pub fn act_siren(entity: &Entity<'_>, action: &str) -> Option<Call> {
    let tones = entity.attrs.get("available_tones").texts();
    let wanted = action.strip_prefix("sound-")?;
    let tone = tones.into_iter().find(|tone| super::part::kebab(tone) == wanted)?;
    Some(entity.call("siren", "turn_on").with("tone", json!(tone)))
}
