//! What of a device is kept, and how.

use accord_model::{Device, DeviceKind, Format, Property, Role, Service, Unit};

/// One property of a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The service's name.
    pub service: String,
    /// Which of several alike.
    pub instance: u16,
    /// The property's name.
    pub property: String,
}

/// How a property is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that goes up and down.
    Level,
    /// A number that only grows, such as energy.
    Meter,
    /// Yes or no.
    Switch,
}

impl Kind {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Level => 0,
            Self::Meter => 1,
            Self::Switch => 2,
        }
    }
    pub(crate) fn of(number: i64) -> Self {
        match number {
            1 => Self::Meter,
            2 => Self::Switch,
            _ => Self::Level,
        }
    }
}

/// Most properties of one device that are kept.
pub(crate) const MOST_PER_DEVICE: usize = 256;

/// Services of devices that are no part of the house, and such as say nothing worth keeping.
const LEFT_OUT: [&str; 17] = [
    "pairing",
    "information",
    "media",
    "volume",
    "files",
    "storage",
    "clipboard",
    "notifications",
    "messages",
    "contacts",
    "input",
    "command",
    "ping",
    "ringer",
    "mirror",
    "location",
    "button",
];
/// Properties whose course says nothing.
const WITHOUT_COURSE: [&str; 8] =
    ["hue", "saturation", "color-temperature", "color-mode", "effect", "seek", "length", "oscillating"];

/// Whether this is a thing of the house: people's own computers, phones and watches are not.
pub fn is_of_house(device: &Device) -> bool {
    use DeviceKind::{Car, Computer, Laptop, Phone, Speaker, Tablet, Tv, Watch};
    !device.passing && !matches!(device.kind, Computer | Laptop | Phone | Tablet | Tv | Speaker | Watch | Car)
}

/// Whether this is a service of the house, and not one of people's own devices.
pub fn is_house_service(service: &str) -> bool {
    service == "button" || !LEFT_OUT.contains(&service)
}

/// What is kept of a device.
pub(crate) fn kept(device: &Device) -> Vec<(Place, Kind, Option<Unit>)> {
    if !is_of_house(device) {
        return Vec::new();
    }
    let services = device.services.iter().filter(|service| !LEFT_OUT.contains(&service.id.as_str()));
    let of = |service: &Service, property: &Property| Place {
        service: service.id.clone(),
        instance: service.instance,
        property: property.id.clone(),
    };
    services
        .flat_map(|service| service.properties.iter().map(move |property| (service, property)))
        .filter_map(|(service, property)| Some((of(service, property), kind(property)?, property.unit)))
        .take(MOST_PER_DEVICE)
        .collect()
}

fn kind(property: &Property) -> Option<Kind> {
    if property.role != Role::Primary || !property.read || WITHOUT_COURSE.contains(&property.id.as_str()) {
        return None;
    }
    match (property.format, property.unit) {
        (Format::Bool, _) => Some(Kind::Switch),
        (Format::Int | Format::Float, Some(Unit::KilowattHour | Unit::CubicMetre)) if !property.write => {
            Some(Kind::Meter)
        }
        (Format::Int | Format::Float, _) => Some(Kind::Level),
        _ => None,
    }
}

/// A unit as it is written down.
pub(crate) fn unit_word(unit: Option<Unit>) -> Option<String> {
    let word = serde_json::to_value(unit?).ok()?;
    word.as_str().map(str::to_owned)
}

/// The unit that was written down.
pub(crate) fn unit_of(word: Option<&str>) -> Option<Unit> {
    serde_json::from_value(serde_json::Value::String(word?.to_owned())).ok()
}
