//! Entities of Home Assistant in the words of the house's catalogue. By domain; what a domain can is told by its bits of
//! `supported_features` and by the attributes that are there. Numbers are in our units once they leave here.

mod air;
mod doors;
mod extra;
mod light;
mod media;
pub mod part;
pub mod picture;
mod plain;
mod sensor;
pub mod units;

use accord_model::{CallError, Data, DeviceKind, Inputs, Role};

use super::attr::Attrs;
use super::words::Call;
pub use part::Part;

/// What the registry says of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Its own name, without the device's.
    pub name: Option<String>,
    /// It belongs to the settings or to the details of its device.
    pub category: Option<Category>,
    /// The device that it belongs to.
    pub device: Option<String>,
    /// Its own room.
    pub area: Option<String>,
    /// Its owner does not want to see it.
    pub hidden: bool,
}

/// How prominent an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Category {
    Config,
    Diagnostic,
}

/// One entity as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Entity<'a> {
    /// `domain.object`.
    pub id: &'a str,
    /// Its state.
    pub state: &'a str,
    /// And what goes with it.
    pub attrs: &'a Attrs,
    /// When it said that, in seconds since 1970; 0 if it did not say.
    pub at: f64,
    /// What the registry says of it.
    pub entry: &'a Entry,
    /// The server shows temperatures in Fahrenheit.
    pub fahrenheit: bool,
}

impl<'a> Entity<'a> {
    /// Before the dot.
    pub fn domain(&self) -> &'a str {
        self.id.split_once('.').map_or(self.id, |(domain, _)| domain)
    }
    /// After the dot.
    pub fn object(&self) -> &'a str {
        self.id.split_once('.').map_or(self.id, |(_, object)| object)
    }
    /// Home Assistant reaches it.
    pub fn available(&self) -> bool {
        self.state != "unavailable"
    }
    /// The state, when there is one. `unavailable` and `unknown` are none.
    fn known(&self) -> Option<&'a str> {
        Some(self.state).filter(|state| !matches!(*state, "unavailable" | "unknown" | ""))
    }
    fn on(&self) -> Option<bool> {
        match self.state {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }
    fn number(&self) -> Option<f64> {
        self.known()?.parse().ok().filter(|number: &f64| number.is_finite())
    }
    /// Any of these bits.
    fn can(&self, bits: u32) -> bool {
        self.attrs.number("supported_features").is_some_and(|features| features >= 0.0 && features as u32 & bits != 0)
    }
    fn class(&self) -> &'a str {
        self.attrs.text("device_class").unwrap_or_default()
    }
    fn temperature(&self) -> units::Scale {
        units::temperature(self.fahrenheit)
    }
    fn call(&self, domain: &str, service: &str) -> Call {
        Call::new(self.id, domain, service)
    }
    /// The name in a list of the device's that a number stands for.
    fn listed(&self, list: &str, data: &Data) -> Option<String> {
        self.attrs.get(list).texts().into_iter().nth(usize::try_from(data.as_int()?).ok()?)
    }
}

fn percent_of(share: f64) -> i64 {
    (share * 100.0).round().clamp(0.0, 100.0) as i64
}

fn bad(why: &str) -> CallError {
    CallError::BadInput(why.to_owned())
}

/// What becomes of an entity.
#[derive(Debug, Clone, PartialEq)]
pub enum Mapped {
    /// Those services.
    Parts(Vec<Part>),
    /// Nothing.
    LeftOut(Reason),
}

/// Why an entity becomes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It says where people are.
    Whereabouts,
    /// What a program saw in pictures: faces, number plates.
    Pictures,
    /// Appointments, lists, letters, speech: no devices.
    Personal,
    /// Home Assistant's own rules.
    Rules,
    /// Its owner hides it there.
    Hidden,
}

impl Reason {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whereabouts => "where people are",
            Self::Pictures => "what was seen in pictures",
            Self::Personal => "appointments, lists, letters and speech",
            Self::Rules => "Home Assistant's own rules",
            Self::Hidden => "hidden there by its owner",
        }
    }
}

/// Which domains become nothing, and why.
pub fn left_out(domain: &str) -> Option<Reason> {
    Some(match domain {
        "person" | "device_tracker" | "zone" | "geo_location" | "proximity" => Reason::Whereabouts,
        "image_processing" => Reason::Pictures,
        "calendar"
        | "todo"
        | "mailbox"
        | "notify"
        | "persistent_notification"
        | "conversation"
        | "stt"
        | "tts"
        | "wake_word"
        | "assist_satellite"
        | "ai_task" => Reason::Personal,
        "automation" | "configurator" => Reason::Rules,
        _ => return None,
    })
}

/// An entity in our words.
pub fn map(entity: &Entity<'_>) -> Mapped {
    if let Some(reason) = left_out(entity.domain()) {
        return Mapped::LeftOut(reason);
    }
    if entity.entry.hidden {
        return Mapped::LeftOut(Reason::Hidden);
    }
    let category = entity.entry.category.is_some();
    let mut parts = match entity.domain() {
        // What is switched in the settings of a device is not what the device is for.
        "switch" if category => vec![
            Part::more(part::more(part::VALUE, accord_model::Format::Bool).writable()).say(part::VALUE, entity.on()),
        ],
        "switch" | "input_boolean" => vec![light::switch(entity)],
        "light" => vec![light::light(entity)],
        "climate" => air::climate(entity),
        "water_heater" => air::water_heater(entity),
        "humidifier" => vec![air::humidifier(entity)],
        "fan" => vec![air::fan(entity)],
        "siren" => air::siren(entity),
        "cover" => doors::cover(entity),
        "valve" => vec![doors::valve(entity)],
        "lock" => vec![doors::lock(entity)],
        "alarm_control_panel" => vec![doors::alarm(entity)],
        "vacuum" => doors::vacuum(entity),
        "lawn_mower" => vec![doors::lawn_mower(entity)],
        "media_player" => media::player(entity),
        "camera" | "image" => vec![picture::picture(entity)],
        "sensor" => vec![sensor::sensor(entity)],
        "binary_sensor" => vec![sensor::binary(entity)],
        "air_quality" => sensor::air_quality(entity),
        "weather" => sensor::weather(entity),
        "number" | "input_number" => vec![plain::number(entity)],
        "select" | "input_select" => vec![plain::select(entity)],
        "text" | "input_text" => vec![plain::text(entity)],
        "date" | "time" | "datetime" | "input_datetime" => vec![plain::time(entity)],
        "button" | "input_button" | "scene" | "script" => vec![plain::press(entity)],
        "event" => vec![plain::event(entity)],
        "counter" => vec![plain::counter(entity)],
        "timer" => vec![plain::timer(entity)],
        "update" => vec![plain::update(entity)],
        "remote" => plain::remote(entity),
        // What nobody here knows can be read.
        _ => vec![sensor::text(entity)],
    };
    parts.extend(extra::battery(entity));
    parts.extend(extra::extra(entity));
    match entity.entry.category {
        Some(Category::Config) => part::with_role(&mut parts, Role::Config),
        Some(Category::Diagnostic) => part::with_role(&mut parts, Role::Diagnostic),
        None => {}
    }
    if !entity.available() {
        parts.iter_mut().for_each(|part| part.values.clear());
    }
    Mapped::Parts(parts)
}

/// What to call so that a property becomes that. `color` is the hue and saturation that are wanted beside.
///
/// # Errors
/// [`CallError`].
pub fn write(
    entity: &Entity<'_>,
    service: &str,
    property: &str,
    data: &Data,
    color: (f64, f64),
) -> Result<Call, CallError> {
    let call = match (entity.domain(), property) {
        ("light", _) => light::write(entity, property, data, color),
        ("media_player", _) => media::write(entity, service, property, data),
        ("climate", _) => air::write_climate(entity, property, data),
        ("water_heater", _) => air::write_water_heater(entity, property, data),
        ("humidifier" | "fan" | "siren" | "switch" | "input_boolean" | "remote", "on") => {
            return light::write_on(entity, data);
        }
        ("switch", _) => return light::write_on(entity, data),
        ("humidifier", _) => air::write_humidifier(entity, property, data),
        ("fan", _) => air::write_fan(entity, property, data),
        ("cover", _) => doors::write_cover(entity, property, data),
        ("valve", _) => doors::write_valve(entity, property, data),
        ("vacuum", _) => doors::write_vacuum(entity, property, data),
        _ => plain::write(entity, property, data),
    };
    call.ok_or_else(|| bad("Home Assistant has no way to set this to that"))
}

/// The hue and saturation of a lamp.
pub fn color(entity: &Entity<'_>) -> (f64, f64) {
    light::color(entity)
}

/// What to call so that something is done.
///
/// # Errors
/// [`CallError`].
pub fn act(entity: &Entity<'_>, service: &str, action: &str, inputs: &Inputs) -> Result<Call, CallError> {
    let call = match (entity.domain(), action) {
        (domain @ ("light" | "switch" | "input_boolean" | "fan" | "humidifier" | "remote"), "toggle") => {
            Some(entity.call(domain, "toggle"))
        }
        ("cover", _) => doors::act_cover(entity, action),
        ("valve", _) => doors::act_valve(entity, action),
        ("lock", _) => doors::act_lock(entity, action, inputs),
        ("alarm_control_panel", _) => doors::act_alarm(entity, action, inputs),
        ("vacuum", _) => doors::act_vacuum(entity, action),
        ("lawn_mower", _) => doors::act_lawn_mower(entity, action),
        ("siren", _) => air::act_siren(entity, action),
        ("media_player", _) if service == "media" => media::act(entity, action),
        ("camera", _) => picture::act(entity, action),
        ("button" | "input_button" | "scene" | "script", _) => Some(plain::act_press(entity)),
        ("counter" | "timer", _) => plain::act_helper(entity, action),
        ("update", "install-update") => Some(entity.call("update", "install")),
        _ => None,
    };
    call.ok_or_else(|| {
        CallError::Unsupported(format!("`{}` is nothing that it can", accord_model::text::for_screen(action, 60)))
    })
}

/// What a device with this entity is, and how much that says: the most telling entity of a device names it.
pub fn kind(entity: &Entity<'_>) -> (u8, DeviceKind) {
    use DeviceKind as Kind;
    if entity.entry.category.is_some() {
        return (0, Kind::Other);
    }
    match (entity.domain(), entity.class()) {
        ("lock", _) => (20, Kind::Lock),
        ("alarm_control_panel", _) => (19, Kind::Alarm),
        ("vacuum", _) => (18, Kind::Vacuum),
        ("lawn_mower", _) => (18, Kind::Appliance),
        ("climate" | "water_heater", _) => (17, Kind::Climate),
        ("humidifier", _) => (16, Kind::Air),
        ("camera", _) => (16, Kind::Camera),
        ("cover", _) => (15, Kind::Cover),
        ("valve", _) => (15, Kind::Valve),
        ("media_player", "tv") => (14, Kind::Tv),
        ("media_player", _) => (13, Kind::Speaker),
        ("light", _) => (12, Kind::Light),
        ("fan", _) => (11, Kind::Fan),
        ("siren", _) => (10, Kind::Alarm),
        ("switch", "outlet") => (9, Kind::Plug),
        ("switch" | "input_boolean" | "remote", _) => (8, Kind::Switch),
        ("event", _) => (7, Kind::Button),
        ("air_quality", _) => (6, Kind::Sensor),
        ("sensor", class) if !matches!(class, "" | "battery" | "timestamp" | "enum") => (5, Kind::Sensor),
        ("binary_sensor", class) if !matches!(class, "" | "battery" | "connectivity" | "update") => (5, Kind::Sensor),
        ("button" | "input_button" | "scene" | "script", _) => (4, Kind::Button),
        ("sensor" | "binary_sensor" | "weather", _) => (3, Kind::Sensor),
        _ => (1, Kind::Other),
    }
}

#[cfg(test)]
mod tests;
