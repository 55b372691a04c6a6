//! Which of MIoT's words are which of ours. Services and properties are the standard's; what a maker named is never guessed.

use accord_model::{DeviceKind, Service, Unit, catalogue};

/// How a native property becomes one of ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum How {
    /// A bool.
    Bool,
    /// A bool that means the opposite.
    Not,
    /// A number in a unit.
    Number(Unit),
    /// A number without a unit.
    Bare,
    /// Levels, or hundredths.
    Speed,
    /// One of the device's own values.
    Modes,
    /// True when it says one of these words, or simply true.
    Says(&'static [&'static str]),
    /// Text.
    Text,
}

/// In which native services, which native property, is which of ours.
pub(crate) struct Rule {
    pub of: &'static [&'static str],
    pub native: &'static str,
    pub service: &'static str,
    pub property: &'static str,
    pub how: How,
}

const fn rule(
    of: &'static [&'static str],
    native: &'static str,
    service: &'static str,
    property: &'static str,
    how: How,
) -> Rule {
    Rule { of, native, service, property, how }
}

/// Settings of a device, whose switches are none of the device itself.
pub(crate) const SETTINGS: &[&str] = &[
    "indicator-light",
    "screen",
    "alarm",
    "physical-controls-locked",
    "device-information",
    "filter",
    "brush-cleaner",
    "identify",
];
pub(crate) const LIGHTS: &[&str] = &["light", "ambient-light", "night-light", "ambient-light-custom"];
const SWITCHES: &[&str] = &["switch", "outlet", "usb-switch", "switch-control"];
const FANS: &[&str] = &["fan", "ceiling-fan", "air-purifier", "air-fresh", "ventilation", "range-hood"];
const HUMIDIFIERS: &[&str] = &["humidifier", "dehumidifier"];
pub(crate) const CLIMATES: &[&str] = &["air-conditioner", "thermostat", "heater", "ptc-bath-heater", "bath-heater"];
pub(crate) const COVERS: &[&str] = &["curtain", "window-opener", "airer", "window-covering", "roller-blind"];
pub(crate) const VACUUMS: &[&str] = &["vacuum", "sweeper", "robot-cleaner"];
pub(crate) const LOCKS: &[&str] = &["lock", "door-lock", "door"];
/// Services that say how it is in the room.
const ROOM: &[&str] = &[
    "environment",
    "temperature-humidity-sensor",
    "temperature-sensor",
    "humidity-sensor",
    "air-monitor",
    "indoor-temperature",
    "air-conditioner",
    "thermostat",
    "heater",
    "air-purifier",
    "humidifier",
    "dehumidifier",
    "air-fresh",
    "motion-sensor",
    "magnet-sensor",
    "illumination-sensor",
    "occupancy-sensor",
    "fan",
    "tvoc-sensor",
    "gas-sensor",
    "smoke-sensor",
    "submersion-sensor",
];
const POWER: &[&str] = &["power-consumption", "electricity", "outlet", "switch", "power", "electric-power"];

/// The first rule that fits a native property is the one.
pub(crate) const RULES: &[Rule] = &[
    rule(LIGHTS, "on", "light", "on", How::Bool),
    rule(LIGHTS, "brightness", "light", "level", How::Number(Unit::Percent)),
    rule(LIGHTS, "color-temperature", "light", "color-temperature", How::Number(Unit::Kelvin)),
    rule(LIGHTS, "hue", "light", "hue", How::Number(Unit::Degree)),
    rule(LIGHTS, "saturation", "light", "saturation", How::Number(Unit::Percent)),
    rule(LIGHTS, "mode", "light", "effect", How::Modes),
    rule(SWITCHES, "on", "on-off", "on", How::Bool),
    rule(FANS, "on", "fan", "on", How::Bool),
    rule(FANS, "speed-level", "fan", "percent", How::Number(Unit::Percent)),
    rule(FANS, "stepless-fan-level", "fan", "percent", How::Number(Unit::Percent)),
    rule(FANS, "fan-level", "fan", "percent", How::Speed),
    rule(FANS, "mode", "fan", "mode", How::Modes),
    rule(FANS, "horizontal-swing", "fan", "oscillating", How::Bool),
    rule(HUMIDIFIERS, "on", "humidifier", "on", How::Bool),
    rule(HUMIDIFIERS, "target-humidity", "humidifier", "target", How::Number(Unit::Percent)),
    rule(HUMIDIFIERS, "mode", "humidifier", "mode", How::Modes),
    rule(HUMIDIFIERS, "fan-level", "humidifier", "mode", How::Modes),
    rule(CLIMATES, "target-temperature", "climate", "target", How::Number(Unit::Celsius)),
    rule(CLIMATES, "target-humidity", "climate", "target-humidity", How::Number(Unit::Percent)),
    rule(&["fan-control", "air-conditioner", "thermostat", "heater"], "fan-level", "climate", "fan-mode", How::Modes),
    rule(VACUUMS, "mode", "vacuum", "fan-speed", How::Modes),
    rule(VACUUMS, "suction-level", "vacuum", "fan-speed", How::Modes),
    rule(&["valve"], "on", "valve", "open", How::Bool),
    rule(&["battery", "lock", "vacuum"], "battery-level", "battery", "percent", How::Number(Unit::Percent)),
    rule(&["battery"], "charging-state", "battery", "charging", How::Says(&["charging"])),
    rule(&["speaker"], "volume", "volume", "level", How::Number(Unit::Percent)),
    rule(&["speaker"], "mute", "volume", "muted", How::Bool),
    rule(ROOM, "temperature", "temperature", "temperature", How::Number(Unit::Celsius)),
    rule(ROOM, "relative-humidity", "humidity", "humidity", How::Number(Unit::Percent)),
    rule(ROOM, "atmospheric-pressure", "pressure", "pressure", How::Number(Unit::Pascal)),
    rule(&[], "illumination", "illuminance", "illuminance", How::Number(Unit::Lux)),
    rule(&[], "pm2-5-density", "air-quality", "pm2-5", How::Number(Unit::MicrogramPerCubicMetre)),
    rule(&[], "pm10-density", "air-quality", "pm10", How::Number(Unit::MicrogramPerCubicMetre)),
    rule(&[], "co2-density", "air-quality", "carbon-dioxide", How::Number(Unit::PartsPerMillion)),
    rule(&[], "tvoc-density", "air-quality", "voc", How::Number(Unit::MicrogramPerCubicMetre)),
    rule(&[], "air-quality-index", "air-quality", "index", How::Bare),
    rule(&[], "motion-state", "occupancy", "occupied", How::Says(&["motion", "detected", "yes"])),
    rule(&[], "motion-detection", "occupancy", "occupied", How::Says(&["motion", "detected", "yes"])),
    rule(&[], "occupancy-status", "occupancy", "occupied", How::Says(&["occupied", "has-one", "someone", "somebody"])),
    rule(&[], "contact-state", "contact", "open", How::Not),
    rule(&[], "submersion-state", "water-leak", "detected", How::Says(&["submersion", "leak", "wet"])),
    rule(&["smoke-sensor"], "status", "smoke", "detected", How::Says(&["fire", "smoke", "alarm"])),
    rule(&["gas-sensor"], "status", "gas", "detected", How::Says(&["gas", "leak", "alarm"])),
    rule(&["vibration-sensor"], "status", "vibration", "detected", How::Says(&["vibration", "detected"])),
    rule(POWER, "electric-power", "electricity", "power", How::Number(Unit::Watt)),
    rule(POWER, "power-consumption", "electricity", "energy", How::Number(Unit::KilowattHour)),
    rule(POWER, "voltage", "electricity", "voltage", How::Number(Unit::Volt)),
    rule(POWER, "electric-current", "electricity", "current", How::Number(Unit::Ampere)),
    rule(&["device-information"], "firmware-revision", "information", "software", How::Text),
];

/// Actions without inputs: the native one, and ours.
pub(crate) const ACTIONS: &[(&[&str], &str, &str, &str)] = &[
    (LIGHTS, "toggle", "light", "toggle"),
    (SWITCHES, "toggle", "on-off", "toggle"),
    (FANS, "toggle", "fan", "toggle"),
    (HUMIDIFIERS, "toggle", "humidifier", "toggle"),
    (VACUUMS, "start-sweep", "vacuum", "start"),
    (VACUUMS, "start", "vacuum", "start"),
    (VACUUMS, "pause-sweeping", "vacuum", "pause"),
    (VACUUMS, "pause", "vacuum", "pause"),
    (VACUUMS, "stop-sweeping", "vacuum", "stop"),
    (VACUUMS, "stop", "vacuum", "stop"),
    (&["vacuum", "battery"], "start-charge", "vacuum", "dock"),
    (&["vacuum", "identify", "audio", "voice"], "identify", "vacuum", "locate"),
    (&["vacuum", "identify", "audio", "voice"], "position", "vacuum", "locate"),
];

/// What the words of a climate device's modes mean.
pub(crate) const CLIMATE_MODES: &[(&str, &str)] = &[
    ("cool", "cool"),
    ("cooling", "cool"),
    ("heat", "heat"),
    ("heating", "heat"),
    ("warm", "heat"),
    ("auto", "auto"),
    ("automatic", "auto"),
    ("heat-cool", "heat-cool"),
    ("dry", "dry"),
    ("dehumidify", "dry"),
    ("dehumidification", "dry"),
    ("fan", "fan-only"),
    ("fan-only", "fan-only"),
    ("wind", "fan-only"),
    ("ventilate", "fan-only"),
    ("ventilation", "fan-only"),
];

/// What a vacuum's words for its state mean; the first that is part of the word.
pub(crate) const VACUUM_STATES: &[(&str, &str)] = &[
    ("error", "error"),
    ("fault", "error"),
    ("go-charging", "returning"),
    ("back", "returning"),
    ("return", "returning"),
    ("docking", "returning"),
    ("charging", "docked"),
    ("charge", "docked"),
    ("docked", "docked"),
    ("full", "docked"),
    ("pause", "paused"),
    ("sweep", "cleaning"),
    ("clean", "cleaning"),
    ("mop", "cleaning"),
    ("busy", "cleaning"),
    ("idle", "idle"),
    ("sleep", "idle"),
    ("stand", "idle"),
    ("stop", "idle"),
];

/// What a cover's words for its state mean.
pub(crate) const COVER_STATES: &[(&str, &str)] = &[
    ("opening", "opening"),
    ("rising", "opening"),
    ("closing", "closing"),
    ("dropping", "closing"),
    ("falling", "closing"),
    ("opened", "open"),
    ("closed", "closed"),
    ("stop", "stopped"),
    ("pause", "stopped"),
    ("idle", "stopped"),
    ("open", "open"),
    ("close", "closed"),
];

/// What a lock's words for its state mean.
pub(crate) const LOCK_STATES: &[(&str, &str)] = &[
    ("jam", "jammed"),
    ("stuck", "jammed"),
    ("unlock", "unlocked"),
    ("lock", "locked"),
    ("ajar", "open"),
    ("open", "open"),
    ("close", "unlocked"),
];

/// What nobody is asked for, whoever answers: it names persons, networks or places, or is a secret.
const PERSONAL: &[&str] = &[
    "serial-number",
    "ssid",
    "wifi",
    "wi-fi",
    "latitude",
    "longitude",
    "location",
    "gps",
    "token",
    "password",
    "passwd",
    "account",
    "user-id",
    "uid",
    "fingerprint",
    "face",
    "map-data",
    "map-url",
    "object-name",
    "multi-prop-vacuum",
    "timezone",
];

pub(crate) fn is_personal(kind: &str) -> bool {
    PERSONAL.iter().any(|word| kind.contains(word))
}

/// Which kind of thing a device is, by the standard's word for it.
pub(crate) fn kind(word: &str) -> DeviceKind {
    use DeviceKind::{
        Air, Appliance, Button, Camera, Climate, Cover, Fan, Hub, Light, Lock, Other, Plug, Sensor, Speaker, Switch,
        Tv, Vacuum, Valve,
    };
    match word {
        "light" | "lamp" | "night-light" | "ceiling-light" | "light-strip" => Light,
        "outlet" | "plug" | "power-strip" | "gateway-outlet" => Plug,
        "switch" | "relay" => Switch,
        "air-conditioner" | "heater" | "thermostat" | "bath-heater" | "water-heater" | "air-condition-outlet" => {
            Climate
        }
        "air-purifier" | "humidifier" | "dehumidifier" | "air-fresh" | "diffuser" => Air,
        "fan" | "ceiling-fan" | "range-hood" => Fan,
        "curtain" | "window-opener" | "airer" | "window-covering" | "roller-blind" => Cover,
        "vacuum" | "sweeper" | "robot-cleaner" | "mopping-machine" => Vacuum,
        "lock" | "door-lock" => Lock,
        "camera" | "video-doorbell" => Camera,
        "gateway" | "router" => Hub,
        "remote-control" | "button" => Button,
        "valve" => Valve,
        "television" | "projector" => Tv,
        "speaker" => Speaker,
        "air-monitor" | "gas-sensor" | "environment" => Sensor,
        word if word.ends_with("-sensor") || word.ends_with("-monitor") => Sensor,
        "cooker"
        | "pressure-cooker"
        | "kettle"
        | "health-pot"
        | "air-fryer"
        | "oven"
        | "microwave-oven"
        | "fridge"
        | "washer"
        | "dishwasher"
        | "coffee-machine"
        | "juicer"
        | "induction-cooker"
        | "water-purifier"
        | "fish-tank"
        | "pet-feeder"
        | "pet-drinking-fountain"
        | "treadmill"
        | "walking-pad"
        | "massager"
        | "toilet" => Appliance,
        _ => Other,
    }
}

/// A whole service of ours.
pub(crate) fn template(id: &str) -> Option<Service> {
    Some(match id {
        "on-off" => catalogue::on_off(),
        "light" => catalogue::light(),
        "fan" => catalogue::fan(),
        "climate" => catalogue::climate(),
        "humidifier" => catalogue::humidifier(),
        "cover" => catalogue::cover(),
        "door-lock" => catalogue::door_lock(),
        "vacuum" => catalogue::vacuum(),
        "valve" => catalogue::valve(),
        "temperature" => catalogue::temperature(),
        "humidity" => catalogue::humidity(),
        "pressure" => catalogue::pressure(),
        "illuminance" => catalogue::illuminance(),
        "occupancy" => catalogue::occupancy(),
        "contact" => catalogue::contact(),
        "water-leak" => catalogue::water_leak(),
        "smoke" => catalogue::smoke(),
        "gas" => catalogue::gas(),
        "vibration" => catalogue::vibration(),
        "air-quality" => catalogue::air_quality(),
        "electricity" => catalogue::electricity(),
        "battery" => catalogue::battery(),
        "volume" => catalogue::volume(),
        "information" => catalogue::information(),
        "more" => catalogue::more(),
        _ => return None,
    })
}
