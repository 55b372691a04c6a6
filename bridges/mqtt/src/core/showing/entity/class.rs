//! What entities are called, and Home Assistant's units and classes.

use accord_model::{Property, Service, Unit};

use super::MANY;

/// What an entity is called: by the service's label or what it is, and the property where that says more.
pub(super) fn title(service: &Service, part: Option<&str>) -> String {
    let words = |id: &str| {
        let text = id.replace(['-', '_'], " ");
        let mut letters = text.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    let base = service.label.clone();
    let says_more = |part: &&str| {
        *part != service.id
            && !matches!(
                (service.id.as_str(), *part),
                (_, "on" | "detected" | "occupied" | "percent") | ("contact", "open")
            )
    };
    let Some(part) = part.filter(says_more) else {
        return base.unwrap_or_else(|| words(&service.id));
    };
    match base {
        Some(base) => format!("{base} {}", words(part).to_lowercase()),
        None if MANY.contains(&service.id.as_str()) => words(part),
        None => format!("{} {}", words(&service.id), words(part).to_lowercase()),
    }
}

/// The class of a number, and whether it only grows.
pub(super) fn class(service: &str, property: &Property) -> (Option<&'static str>, bool) {
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

pub(super) fn binary_class(service: &str, property: &str) -> Option<&'static str> {
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
