//! Device → service → property / action / event: one shape for computers, phones, lamps, TVs, watches
//! and cars. Service, property and unit names are Matter's words in kebab-case where Matter has them,
//! MIoT-Spec's standard names otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Claims, DeviceId, FieldCode, Told, Value};

/// Anything Accord can see, this machine included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Stable on this hub.
    pub id: DeviceId,
    /// What sort of thing it is.
    pub kind: DeviceKind,
    /// As its owner calls it. From outside: escape with [`crate::text::for_screen`] before showing.
    pub name: String,
    /// Who made it, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
    /// Which model, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The room the owner put it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Whether and how it can be reached now.
    pub reach: Reach,
    /// The device of the same bridge that speaks for it (a server for a lamp), and that gets what is said to it: said by the
    /// bridge itself, never passed on from what a device claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<DeviceId>,
    /// What it offers.
    pub services: Vec<Service>,
    /// Which services of this machine it can ask for, in the protocol that it speaks. What it may have of them is the
    /// owner's to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<String>,
    /// Merely seen on the network: nobody here paired with it or set it up. Of such devices there may be any
    /// number, so that they are counted apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
    /// By what it may be known as the same thing as another face.
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
    /// What it said of its make and model, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
}

impl Device {
    /// A device with no services, not reachable.
    pub fn new(id: DeviceId, kind: DeviceKind, name: impl Into<String>) -> Self {
        Self {
            id,
            kind,
            name: name.into(),
            maker: None,
            model: None,
            room: None,
            reach: Reach::Offline,
            via: None,
            services: Vec::new(),
            asks: Vec::new(),
            passing: false,
            claims: Claims::default(),
            told: Vec::new(),
        }
    }
    /// With one more service.
    #[must_use]
    pub fn with(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }
    /// A device that can ask for these services of this machine.
    #[must_use]
    pub fn asking<'a>(mut self, services: impl IntoIterator<Item = &'a str>) -> Self {
        self.asks = services.into_iter().map(str::to_owned).collect();
        self
    }
    /// Whether it can ask for a service of this machine.
    pub fn can_ask(&self, service: &str) -> bool {
        self.asks.iter().any(|known| known == service)
    }
    /// The first instance of a service.
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.id == id)
    }
}

/// What sort of thing a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum DeviceKind {
    Computer,
    Laptop,
    Phone,
    Tablet,
    Tv,
    Speaker,
    Watch,
    Car,
    Light,
    Plug,
    Sensor,
    Lock,
    Climate,
    Cover,
    Vacuum,
    Camera,
    Hub,
    Switch,
    Fan,
    Button,
    Air,
    Valve,
    Alarm,
    Appliance,
    Other,
}

impl DeviceKind {
    /// Every kind, in the order UIs list them.
    pub const ALL: [Self; 25] = [
        Self::Computer,
        Self::Laptop,
        Self::Phone,
        Self::Tablet,
        Self::Tv,
        Self::Speaker,
        Self::Watch,
        Self::Car,
        Self::Light,
        Self::Plug,
        Self::Sensor,
        Self::Lock,
        Self::Climate,
        Self::Cover,
        Self::Vacuum,
        Self::Camera,
        Self::Hub,
        Self::Switch,
        Self::Fan,
        Self::Button,
        Self::Air,
        Self::Valve,
        Self::Alarm,
        Self::Appliance,
        Self::Other,
    ];
    /// The word used in JSON, on the command line and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Computer => "computer",
            Self::Laptop => "laptop",
            Self::Phone => "phone",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Speaker => "speaker",
            Self::Watch => "watch",
            Self::Car => "car",
            Self::Light => "light",
            Self::Plug => "plug",
            Self::Sensor => "sensor",
            Self::Lock => "lock",
            Self::Climate => "climate",
            Self::Cover => "cover",
            Self::Vacuum => "vacuum",
            Self::Camera => "camera",
            Self::Hub => "hub",
            Self::Switch => "switch",
            Self::Fan => "fan",
            Self::Button => "button",
            Self::Air => "air",
            Self::Valve => "valve",
            Self::Alarm => "alarm",
            Self::Appliance => "appliance",
            Self::Other => "other",
        }
    }
}

impl std::fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for DeviceKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("`{}` is no kind of device; one of: {}", crate::text::for_screen(text, 30), known.join(", "))
        })
    }
}

/// Whether and how a device can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// On this network, directly.
    Local,
    /// Through a relay that the owner configured.
    Relayed,
    /// Through a vendor's servers.
    Cloud,
    /// Not now.
    Offline,
}

/// One ability of a device: a port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The standard name, for example `files`, `light`, `battery`.
    pub id: String,
    /// Which one of several alike (gang, endpoint); 0 for the first.
    #[serde(default)]
    pub instance: u16,
    /// What the owner or maker calls this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// State that can be read, written or watched.
    #[serde(default)]
    pub properties: Vec<Property>,
    /// Things it can be told to do.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// Things it tells of by itself.
    #[serde(default)]
    pub events: Vec<Event>,
    /// The last known values by property id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
}

/// One piece of state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Standard name within the service.
    pub id: String,
    /// The type of its value.
    pub format: Format,
    /// The unit, normalised at the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Limits of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Numbers and names of an enum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(i64, String)>,
    /// Can be read.
    pub read: bool,
    /// Can be written.
    pub write: bool,
    /// Tells of changes by itself.
    pub notify: bool,
    /// How prominent it is.
    pub role: Role,
    /// What writing it does to the world.
    #[serde(default, skip_serializing_if = "Effect::is_physical")]
    pub effect: Effect,
    /// The kind of personal data it holds, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<FieldCode>,
}

impl Property {
    /// A readable, notifying property.
    pub fn state(id: &str, format: Format) -> Self {
        Self {
            id: id.to_owned(),
            format,
            unit: None,
            range: None,
            values: Vec::new(),
            read: true,
            write: false,
            notify: true,
            role: Role::Primary,
            effect: Effect::Physical,
            sensitive: None,
        }
    }
    /// Also writable.
    #[must_use]
    pub fn writable(mut self) -> Self {
        self.write = true;
        self
    }
    /// In this unit.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }
    /// Within these limits.
    #[must_use]
    pub fn range(mut self, min: f64, max: f64, step: f64) -> Self {
        self.range = Some(Range { min, max, step });
        self
    }
    /// Holding personal data of this kind.
    #[must_use]
    pub fn sensitive(mut self, field: FieldCode) -> Self {
        self.sensitive = Some(field);
        self
    }
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Format {
    Bool,
    Int,
    Float,
    Text,
    Texts,
    Enum,
    Bytes,
}

/// Normalised units. Native scales (0..254, mired, 0.01 °C) stay inside the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Unit {
    Percent,
    Kelvin,
    Celsius,
    Watt,
    KilowattHour,
    Volt,
    Ampere,
    Lux,
    Metre,
    Second,
    Pascal,
    PartsPerMillion,
    Byte,
    MetrePerSecond,
    Decibel,
    Degree,
    Hertz,
    MicrogramPerCubicMetre,
    CubicMetre,
    CubicMetrePerHour,
    VoltAmpere,
    Gram,
}

impl Unit {
    /// How it is written behind a number.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Percent => "%",
            Self::Kelvin => "K",
            Self::Celsius => "°C",
            Self::Watt => "W",
            Self::KilowattHour => "kWh",
            Self::Volt => "V",
            Self::Ampere => "A",
            Self::Lux => "lx",
            Self::Metre => "m",
            Self::Second => "s",
            Self::Pascal => "Pa",
            Self::PartsPerMillion => "ppm",
            Self::Byte => "B",
            Self::MetrePerSecond => "m/s",
            Self::Decibel => "dB",
            Self::Degree => "°",
            Self::Hertz => "Hz",
            Self::MicrogramPerCubicMetre => "µg/m³",
            Self::CubicMetre => "m³",
            Self::CubicMetrePerHour => "m³/h",
            Self::VoltAmpere => "VA",
            Self::Gram => "g",
        }
    }
}

/// Limits of a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Smallest difference; 0 when any.
    pub step: f64,
}

/// How prominent a property is in a UI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// On the card.
    Primary,
    /// In the settings.
    Config,
    /// In the details.
    Diagnostic,
}

/// Something a device can be told to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Standard name within the service.
    pub id: String,
    /// What it takes.
    #[serde(default)]
    pub inputs: Vec<Property>,
    /// What it answers.
    #[serde(default)]
    pub outputs: Vec<Property>,
    /// What it does to the world; decides what is asked again.
    pub effect: Effect,
}

/// What an action does to the world, mildest first. [`Effect::Security`] and above is asked per use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing lasting.
    Safe,
    /// Something moves, heats or makes a noise.
    #[default]
    Physical,
    /// Something opens, unlocks or looks.
    Security,
    /// Something is lost.
    Destructive,
}

impl Effect {
    fn is_physical(&self) -> bool {
        *self == Self::Physical
    }
}

/// Something a device tells of by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Standard name within the service.
    pub id: String,
    /// What it carries.
    #[serde(default)]
    pub arguments: Vec<Property>,
    /// The kind of personal data it holds, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<FieldCode>,
}
