//! What clients of the broker tell devices of this house: any bytes under the topics of a service, read as what the service can
//! be told, or refused.

use accord_model::{Data, Format, Inputs, Property, Service, Verb};
use serde_json::Value;

use super::state::word;

/// Longest message, in bytes.
const MAX_PAYLOAD: usize = 4 * 1024;
/// Longest text.
const MAX_TEXT: usize = 1024;

/// What a message is for, by the end of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail<'a> {
    /// `set`: a lamp, as JSON.
    Whole,
    /// `set/PROPERTY`.
    Set(&'a str),
    /// `do`: the message is an action.
    Act,
}

/// What is wished of a service. `None`: it cannot be told that.
pub fn read(service: &Service, tail: Tail<'_>, payload: &[u8]) -> Option<Vec<Verb>> {
    let text = std::str::from_utf8(payload).ok().filter(|text| text.len() <= MAX_PAYLOAD)?;
    match tail {
        Tail::Whole if service.id == "light" => light(service, &serde_json::from_str(text).ok()?),
        Tail::Whole => None,
        Tail::Set(id) => Some(vec![set(service, id, text)?]),
        Tail::Act => {
            let action = service.actions.iter().find(|action| action.id == text.trim())?;
            Some(vec![Verb::Act { action: action.id.clone(), inputs: Inputs::new() }])
        }
    }
}

fn set(service: &Service, id: &str, text: &str) -> Option<Verb> {
    let property = writable(service, id)?;
    let bare = text.trim();
    let data = match property.format {
        Format::Bool => Data::Bool(switch(bare)?),
        Format::Int => Data::Int(number(bare)?.round() as i64),
        Format::Float => Data::Float(number(bare)?),
        Format::Enum => Data::Int(choice(service, property, bare)?),
        Format::Text if text.len() <= MAX_TEXT && !text.chars().any(char::is_control) => Data::Text(text.to_owned()),
        Format::Text | Format::Texts | Format::Bytes => return None,
    };
    fitting(property, data)
}

fn writable<'a>(service: &'a Service, id: &str) -> Option<&'a Property> {
    service.properties.iter().find(|property| property.id == id && property.write)
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_uppercase().as_str() {
        "ON" | "TRUE" | "1" => Some(true),
        "OFF" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && number.abs() < 1e15)
}

fn choice(service: &Service, property: &Property, text: &str) -> Option<i64> {
    let named = |(_, name): &&(i64, String)| word(&service.id, &property.id, name) == text;
    property.values.iter().find(named).map(|(number, _)| *number)
}

fn fitting(property: &Property, data: Data) -> Option<Verb> {
    let data = property.fit(data).ok()?;
    Some(Verb::Write { property: property.id.clone(), data })
}

/// Home Assistant's JSON schema of lamps: off alone, or on and what it is to be.
fn light(service: &Service, wish: &Value) -> Option<Vec<Verb>> {
    let wish = wish.as_object()?;
    let write = |id: &str, number: f64| {
        let property = writable(service, id)?;
        let number = property.range.map_or(number, |range| number.clamp(range.min, range.max));
        let data =
            if property.format == Format::Float { Data::Float(number) } else { Data::Int(number.round() as i64) };
        fitting(property, data)
    };
    let of = |value: Option<&Value>| value.and_then(Value::as_f64).filter(|number| number.is_finite());
    let state = match wish.get("state") {
        Some(state) => Some(switch(state.as_str()?)?),
        None => None,
    };
    let brightness = of(wish.get("brightness"));
    let on = writable(service, "on");
    if state == Some(false) || brightness == Some(0.0) {
        return Some(vec![fitting(on?, Data::Bool(false))?]);
    }
    let mut verbs = Vec::new();
    let is_on = service.values.get("on").and_then(|value| value.data.as_bool()) == Some(true);
    if let Some(mireds) = of(wish.get("color_temp")).filter(|mireds| *mireds > 0.0) {
        verbs.extend(write("color-temperature", 1e6 / mireds));
    }
    if let Some(color) = wish.get("color").and_then(Value::as_object) {
        verbs.extend(of(color.get("h")).and_then(|hue| write("hue", hue.rem_euclid(360.0))));
        verbs.extend(of(color.get("s")).and_then(|saturation| write("saturation", saturation)));
    }
    if let Some(effect) = wish.get("effect").and_then(Value::as_str)
        && let Some(property) = writable(service, "effect")
    {
        verbs.extend(choice(service, property, effect).and_then(|number| fitting(property, Data::Int(number))));
    }
    verbs.extend(brightness.and_then(|level| write("level", level)));
    // A lamp that is off takes nothing else; one that is on need not be switched on for it.
    if let Some(on) = on.filter(|_| state == Some(true) && (!is_on || verbs.is_empty())) {
        verbs.insert(0, fitting(on, Data::Bool(true))?);
    }
    (!verbs.is_empty()).then_some(verbs)
}
