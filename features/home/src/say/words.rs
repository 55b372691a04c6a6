//! Values as people say them, and the one thing that is worth saying of a device.

use accord_model::text::for_screen;
use accord_model::{Data, Format, Property, Role, Service, Timestamp, Unit};

/// Longest text of a value.
const MOST_TEXT: usize = 200;
/// Words that are said of one device.
const MOST_WORDS: usize = 3;

/// The two words for yes and no of a property.
pub(crate) fn yes_no(property: &str) -> (&'static str, &'static str) {
    match property {
        "on" => ("on", "off"),
        "open" => ("open", "closed"),
        "locked" => ("locked", "unlocked"),
        "occupied" => ("occupied", "nobody there"),
        "detected" => ("detected", "clear"),
        "charging" => ("charging", "not charging"),
        "playing" => ("playing", "not playing"),
        "oscillating" => ("oscillating", "not oscillating"),
        _ => ("yes", "no"),
    }
}

/// What the number of an enum is called; safe to show.
pub fn enum_name(property: &Property, number: i64) -> String {
    let known = property.values.iter().find(|(value, _)| *value == number);
    known.map_or_else(|| number.to_string(), |(_, name)| for_screen(name, 60))
}

/// A value as it is said; safe to show.
pub fn value(property: &Property, data: &Data) -> String {
    let with_unit = |number: String| match property.unit {
        Some(of) => format!("{number} {}", of.symbol()),
        None => number,
    };
    match data {
        Data::Bool(true) => yes_no(&property.id).0.to_owned(),
        Data::Bool(false) => yes_no(&property.id).1.to_owned(),
        Data::Int(number) if property.format == Format::Enum => enum_name(property, *number),
        Data::Int(hundreds) if property.unit == Some(Unit::Pascal) && *hundreds >= 10_000 => {
            hectopascal(*hundreds as f64)
        }
        Data::Float(pascal) if property.unit == Some(Unit::Pascal) && *pascal >= 10_000.0 => hectopascal(*pascal),
        Data::Int(number) => with_unit(number.to_string()),
        Data::Float(float) if property.unit == Some(Unit::KilowattHour) => with_unit(rounded(*float, 2)),
        Data::Float(float) => with_unit(number(*float)),
        Data::Text(text) => for_screen(text, MOST_TEXT),
        Data::Texts(texts) => for_screen(&texts.join(", "), MOST_TEXT),
        Data::Bytes(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn hectopascal(pascal: f64) -> String {
    format!("{} hPa", number(pascal / 100.0))
}

/// As many digits as say something.
pub(crate) fn number(float: f64) -> String {
    let digits = match float.abs() {
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    rounded(float, digits)
}

fn rounded(float: f64, digits: usize) -> String {
    let text = format!("{float:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// How what is said stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// On, open, running: something is the case.
    Active,
    /// As usual.
    Quiet,
    /// Somebody should look: smoke, water, a jam.
    Alarm,
}

/// The one thing worth saying of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct One {
    /// What it is.
    pub text: String,
    /// How it stands out.
    pub tone: Tone,
    /// When what is said first was so.
    pub seen: Timestamp,
    /// That is young enough to be believed.
    pub fresh: bool,
}

/// Services by how much they say of a device, most first, with the properties that say it.
const TELLING: &[(&str, &[&str])] = &[
    ("smoke", &["detected"]),
    ("gas", &["detected"]),
    ("carbon-monoxide", &["detected"]),
    ("water-leak", &["detected"]),
    ("alarm", &["state"]),
    ("siren", &["on"]),
    ("door-lock", &["state", "locked"]),
    ("vacuum", &["state", "error"]),
    ("climate", &["temperature", "target", "running", "mode"]),
    ("light", &["on", "level"]),
    ("fan", &["on", "percent"]),
    ("humidifier", &["on", "humidity", "target"]),
    ("cover", &["state", "position"]),
    ("valve", &["open", "position"]),
    ("on-off", &["on"]),
    ("media", &["playing", "title"]),
    ("picture", &["recording", "streaming"]),
    ("contact", &["open"]),
    ("occupancy", &["occupied"]),
    ("vibration", &["detected"]),
    ("electricity", &["power", "energy"]),
    ("temperature", &["temperature"]),
    ("humidity", &["humidity"]),
    ("air-quality", &["carbon-dioxide", "pm2-5", "index"]),
    ("illuminance", &["illuminance"]),
    ("pressure", &["pressure"]),
    ("tamper", &["detected"]),
    ("battery", &["percent"]),
];
/// Services that say of the whole room how it is; several go together.
const ROOM: [&str; 6] = ["temperature", "humidity", "air-quality", "illuminance", "pressure", "electricity"];
/// Services that are worth a word only when they have something to say.
const ONLY_ALARMS: [&str; 5] = ["smoke", "gas", "carbon-monoxide", "water-leak", "tamper"];

/// The one thing worth saying of a device; none when it has said nothing.
pub fn of_device(services: &[Service], now: Timestamp) -> Option<One> {
    let mut words: Vec<String> = Vec::new();
    let (mut tone, mut seen, mut fresh) = (Tone::Quiet, now, true);
    let mut quiet_alarm = None;
    for (id, properties) in TELLING {
        for service in services.iter().filter(|service| service.id == *id) {
            let said = words_of(service, properties);
            if said.is_empty() {
                continue;
            }
            let says = tone_of(service);
            if ONLY_ALARMS.contains(id) && says != Tone::Alarm {
                quiet_alarm = quiet_alarm.or(Some((service, said)));
                continue;
            }
            if !words.is_empty() && !ROOM.contains(id) && !is_gang(services, id) {
                continue;
            }
            if says == Tone::Alarm || tone == Tone::Quiet {
                tone = says;
            }
            if words.is_empty() || says == Tone::Alarm {
                (seen, fresh) = age(service, properties, now);
            }
            let label = service.label.as_deref().filter(|_| is_gang(services, id)).map(|label| for_screen(label, 30));
            words.push(label.map_or_else(|| said.clone(), |label| format!("{label} {said}")));
        }
        if words.len() >= MOST_WORDS || (!words.is_empty() && !ROOM.contains(id)) {
            break;
        }
    }
    if words.is_empty() {
        let (text, service) = match quiet_alarm {
            Some((service, said)) => (said, service),
            None => other_word(services)?,
        };
        (seen, fresh) = age(service, &[], now);
        words.push(text);
    }
    words.truncate(MOST_WORDS);
    Some(One { text: words.join(", "), tone, seen, fresh })
}

fn is_gang(services: &[Service], id: &str) -> bool {
    services.iter().filter(|service| service.id == id).count() > 1
}

fn words_of(service: &Service, properties: &[&str]) -> String {
    let get = |id: &str| {
        let property = service.properties.iter().find(|property| property.id == id)?;
        Some((property, &service.values.get(id)?.data))
    };
    let said = |id: &str| get(id).map(|(property, data)| value(property, data)).filter(|word| !word.is_empty());
    let is_off = |id: &str| get(id).is_some_and(|(_, data)| *data == Data::Bool(false));
    match service.id.as_str() {
        // What is off is no percent of on.
        "light" | "fan" | "humidifier" if is_off("on") => "off".to_owned(),
        "climate" => {
            let warmth = match (said("temperature"), said("target")) {
                (Some(now), Some(target)) => Some(format!("{now} → {target}")),
                (now, target) => now.or(target.map(|target| format!("→ {target}"))),
            };
            let does = said("running").or_else(|| said("mode"));
            [warmth, does].into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
        "smoke" | "gas" | "water-leak" | "vibration" | "tamper" | "carbon-monoxide" => {
            let what = service.id.replace('-', " ");
            said("detected")
                .map(|word| if word == "clear" { format!("no {what}") } else { what.clone() })
                .unwrap_or_default()
        }
        "picture" => {
            let now = properties.iter().find(|id| get(id).is_some_and(|(_, data)| *data == Data::Bool(true)));
            let idle = || get("recording").map(|_| "idle");
            now.copied().or_else(idle).unwrap_or_default().to_owned()
        }
        "door-lock" => said("state").or_else(|| said("locked")).unwrap_or_default(),
        "cover" => match (said("state"), said("position")) {
            (Some(state), Some(position)) if state != "closed" => format!("{state}, {position}"),
            (state, position) => state.or(position).unwrap_or_default(),
        },
        _ => properties.iter().filter_map(|id| said(id)).take(2).collect::<Vec<_>>().join(", "),
    }
}

/// How what one service says stands out.
pub fn tone_of(service: &Service) -> Tone {
    let truth = |id: &str| service.values.get(id).and_then(|value| value.data.as_bool());
    let state = |id: &str| {
        let property = service.properties.iter().find(|property| property.id == id)?;
        Some(value(property, &service.values.get(id)?.data))
    };
    match service.id.as_str() {
        "smoke" | "gas" | "carbon-monoxide" | "water-leak" | "tamper" if truth("detected") == Some(true) => Tone::Alarm,
        "siren" if truth("on") == Some(true) => Tone::Alarm,
        "alarm" if state("state").is_some_and(|state| state.contains("trigger")) => Tone::Alarm,
        "vacuum" | "door-lock" => match state("state").as_deref() {
            Some("error" | "jammed") => Tone::Alarm,
            Some("docked" | "idle" | "locked") => Tone::Quiet,
            Some(_) => Tone::Active,
            None if truth("locked") == Some(false) => Tone::Active,
            None => Tone::Quiet,
        },
        "cover" if state("state").is_some_and(|state| state != "closed") => Tone::Active,
        "climate" if state("running").is_some_and(|running| running != "idle") => Tone::Active,
        _ if ["on", "open", "occupied", "detected", "playing", "recording"]
            .into_iter()
            .any(|id| truth(id) == Some(true)) =>
        {
            Tone::Active
        }
        _ => Tone::Quiet,
    }
}

/// How old what a service says is: its first property that is said, of these, or of all. What is
/// beside it may be older: what changes seldom is not said again.
fn age(service: &Service, properties: &[&str], now: Timestamp) -> (Timestamp, bool) {
    let first = properties.iter().find_map(|id| service.values.get(*id));
    let first = first.or_else(|| {
        let primary = service.properties.iter().filter(|property| property.role == Role::Primary);
        primary.filter_map(|property| service.values.get(&property.id)).next()
    });
    match first.or_else(|| service.values.values().next()) {
        Some(value) => (value.seen, value.is_fresh(now)),
        None => (now, true),
    }
}

/// Of a device of which no standard service says anything: the first of what it says by itself.
fn other_word(services: &[Service]) -> Option<(String, &Service)> {
    services.iter().filter(|service| service.id != "pairing" && service.id != "information").find_map(|service| {
        let property = service.properties.iter().filter(|property| property.role == Role::Primary);
        let mut said = property.filter_map(|property| Some((property, &service.values.get(&property.id)?.data)));
        let (property, data) = said.next()?;
        let name = property.id.replace('-', " ");
        Some((format!("{} {}", for_screen(&name, 40), value(property, data)), service))
    })
}
