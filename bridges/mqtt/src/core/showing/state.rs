//! What a service says, as one JSON object: every property by its id, and beside them what Home Assistant's lights, locks,
//! vacuums and valves are said in.

use accord_model::text::for_screen;
use accord_model::{Data, Format, Property, Service};
use serde_json::{Map, Value, json};

/// Longest text: Home Assistant takes 255 characters.
pub const MAX_TEXT: usize = 250;
/// How a button can be pressed, as Home Assistant is told beforehand. What else a device says is `pressed`.
pub const PRESSES: [&str; 7] = ["single", "double", "triple", "hold", "long", "release", "pressed"];

/// A name of a value as it is said there.
pub fn word(service: &str, property: &str, name: &str) -> String {
    let name = for_screen(name, 64);
    match (service, property) {
        ("climate", "mode" | "running") | ("alarm", "state") => name.replace('-', "_"),
        _ => name,
    }
}

/// All that is said of a service now. What is not known is `null`.
pub fn of(service: &Service) -> Value {
    let mut said = Map::new();
    for property in service.properties.iter().filter(|property| property.read) {
        let value = service.values.get(&property.id).map_or(Value::Null, |value| plain(service, property, &value.data));
        said.insert(property.id.clone(), value);
    }
    match service.id.as_str() {
        "light" => light(service, &mut said),
        "door-lock" => drop(said.insert("lock".to_owned(), lock(service))),
        "valve" => {
            let open = data(service, "open").and_then(Data::as_bool);
            said.insert("valve".to_owned(), json!(open.map(|open| if open { "open" } else { "closed" })));
        }
        "vacuum" => {
            if let Some(speed) = said.get("fan-speed").cloned() {
                said.insert("fan_speed".to_owned(), speed);
            }
        }
        _ => {}
    }
    Value::Object(said)
}

fn data<'a>(service: &'a Service, id: &str) -> Option<&'a Data> {
    service.values.get(id).map(|value| &value.data)
}

fn plain(service: &Service, property: &Property, data: &Data) -> Value {
    match data {
        Data::Bool(on) => json!(if *on { "ON" } else { "OFF" }),
        Data::Int(number) if property.format == Format::Enum => {
            name(property, *number).map_or(Value::Null, |name| json!(word(&service.id, &property.id, name)))
        }
        Data::Int(number) => json!(number),
        Data::Float(number) if number.is_finite() => json!(number),
        Data::Text(text) => json!(for_screen(text, MAX_TEXT)),
        _ => Value::Null,
    }
}

fn name(property: &Property, number: i64) -> Option<&str> {
    property.values.iter().find(|(value, _)| *value == number).map(|(_, name)| name.as_str())
}

fn named<'a>(service: &'a Service, id: &str) -> Option<&'a str> {
    let property = service.properties.iter().find(|property| property.id == id)?;
    name(property, data(service, id)?.as_int()?)
}

fn light(service: &Service, said: &mut Map<String, Value>) {
    let on = data(service, "on").and_then(Data::as_bool);
    said.insert("state".to_owned(), json!(on.map(|on| if on { "ON" } else { "OFF" })));
    let number = |id: &str| data(service, id).and_then(Data::as_number).filter(|number| number.is_finite());
    let can = |id: &str| service.properties.iter().any(|property| property.id == id && property.write);
    if let Some(level) = number("level") {
        said.insert("brightness".to_owned(), json!(level.round() as i64));
    }
    if let Some(effect) = named(service, "effect") {
        said.insert("effect".to_owned(), json!(word("light", "effect", effect)));
    }
    let warm = number("color-temperature").filter(|kelvin| *kelvin >= 1.0 && can("color-temperature"));
    let color = number("hue").zip(number("saturation")).filter(|_| can("hue") && can("saturation"));
    let mode = match (named(service, "color-mode"), warm, color) {
        (Some("color"), _, Some(_)) | (None, None, Some(_)) => Some("hs"),
        (Some("temperature") | None, Some(_), _) => Some("color_temp"),
        _ if can("color-temperature") || can("hue") => None,
        _ => Some(if can("level") { "brightness" } else { "onoff" }),
    };
    // Home Assistant takes the colour that goes with the mode.
    if let Some(mode) = mode {
        said.insert("color_mode".to_owned(), json!(mode));
    }
    if let (Some("color_temp"), Some(kelvin)) = (mode, warm) {
        said.insert("color_temp".to_owned(), json!((1e6 / kelvin).round() as i64));
    }
    if let (Some("hs"), Some((hue, saturation))) = (mode, color) {
        said.insert("color".to_owned(), json!({ "h": hue, "s": saturation }));
    }
}

fn lock(service: &Service) -> Value {
    let state = match named(service, "state") {
        Some("open") => Some("unlocked"),
        Some(state @ ("locked" | "unlocked" | "locking" | "unlocking" | "jammed")) => Some(state),
        _ => {
            let locked = data(service, "locked").and_then(Data::as_bool);
            locked.map(|locked| if locked { "locked" } else { "unlocked" })
        }
    };
    json!(state)
}

/// How a button was pressed, as Home Assistant hears it.
pub fn pressed(kind: Option<&str>) -> Value {
    let known = PRESSES.iter().find(|press| Some(**press) == kind);
    json!({ "event_type": known.unwrap_or(&"pressed") })
}
