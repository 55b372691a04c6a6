//! One endpoint in the words of the house's catalogue: its clusters by what they are for, and everything else, to be read, in
//! `more`. What an endpoint offers is decided by its device types, FeatureMaps and lists of attributes and commands. Numbers are in
//! our units once they leave here. Numbers of clusters, attributes, commands and features are those of the Matter Application
//! Cluster specification, 1.4.
//!
//! | cluster | service | set and done |
//! |---|---|---|
//! | OnOff, LevelControl, ColorControl | `light`, `on-off`, of a loudspeaker `volume` | on, level, temperature, hue, saturation, toggle |
//! | Thermostat | `climate` | target or both targets, mode, preset |
//! | FanControl | `fan` | on, percent, mode, oscillating, direction, toggle |
//! | WindowCovering, ClosureControl | `cover` | position, tilt, open, close, stop; a closure is guarded |
//! | DoorLock | `door-lock`, its door `contact` | lock, unlock, open; with its code where it wants one |
//! | RvcRunMode, RvcOperationalState, ServiceArea | `vacuum`, `room` in `more` | start, pause, stop, dock, locate, room |
//! | ValveConfigurationAndControl | `valve` | open, close, position |
//! | Switch | `button` | (its events) |
//! | temperature, humidity, pressure, illuminance, occupancy | of that name | |
//! | BooleanState | `contact`, `water-leak`; `freeze`, `rain` in `more` | |
//! | SmokeCoAlarm | `smoke`, `carbon-monoxide`, `battery` | self-test |
//! | AirQuality, concentrations | `air-quality`, `carbon-monoxide`; others in `more` | |
//! | PowerSource | `battery` | |
//! | ElectricalPowerMeasurement, ElectricalEnergyMeasurement, Eve's own | `electricity` | |
//! | modes of appliances, OperationalState, Identify | `more` | the mode, start, stop, pause, resume, identify |
//! | everything else that is shown ([`super::names`]) | `more` | |

pub(crate) mod button;
mod climate;
mod closure;
mod cover;
mod fan;
pub(crate) mod kinds;
mod light;
mod lock;
mod modes;
mod more;
mod power;
mod sensor;
mod vacuum;
mod valve;

use std::collections::{BTreeMap, BTreeSet};

use accord_model::text::for_screen;
use accord_model::{CallError, Data, Inputs, Service, catalogue};

use super::command::Command;
use super::look::Look;
use super::node::Key;

/// What makes commands of what is wanted of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: it is only told.
    Told,
    Switch,
    Light,
    Volume,
    Fan,
    Climate,
    Cover,
    Closure,
    Lock,
    Vacuum,
    Valve,
    More,
}

/// One service of an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub kind: Kind,
    /// What it is, without values.
    pub service: Service,
    /// What is so now.
    pub values: BTreeMap<String, Data>,
    /// What each value is made of.
    pub sources: BTreeMap<String, BTreeSet<Key>>,
}

impl Part {
    pub fn new(kind: Kind, service: Service) -> Self {
        Self { kind, service, values: BTreeMap::new(), sources: BTreeMap::new() }
    }

    /// With a value, when there is one: made of what was looked at just before.
    #[must_use]
    pub fn say(mut self, look: &Look<'_>, property: &str, data: Option<impl Into<Data>>) -> Self {
        self.put(look, property, data);
        self
    }

    /// The same.
    pub fn put(&mut self, look: &Look<'_>, property: &str, data: Option<impl Into<Data>>) {
        let sources = look.lately();
        if self.service.properties.iter().any(|one| one.id == property) {
            self.sources.insert(property.to_owned(), sources);
            if let Some(data) = data {
                self.values.insert(property.to_owned(), data.into());
            }
        }
    }

    /// With one of the names that the property has.
    #[must_use]
    pub fn say_one(self, look: &Look<'_>, property: &str, name: Option<&str>) -> Self {
        let known = self.service.properties.iter().find(|one| one.id == property);
        let number = known
            .zip(name)
            .and_then(|(known, name)| known.values.iter().find(|(_, known)| known == name).map(|(number, _)| *number));
        self.say(look, property, number)
    }
}

/// An endpoint in our words.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mapped {
    pub parts: Vec<Part>,
    /// What standard services are made of.
    pub used: BTreeSet<Key>,
    /// What `more` shows.
    pub more: BTreeSet<Key>,
    /// What has no value to be shown.
    pub empty: BTreeSet<Key>,
    /// What only its maker can read.
    pub opaque: BTreeSet<Key>,
}

impl Mapped {
    /// Both offer the same, whatever the values.
    pub fn is_alike(&self, other: &Self) -> bool {
        let same = |(one, two): (&Part, &Part)| one.kind == two.kind && one.service == two.service;
        self.parts.len() == other.parts.len() && self.parts.iter().zip(&other.parts).all(same)
    }
}

/// An endpoint in our words.
pub(crate) fn map(look: &Look<'_>) -> Mapped {
    let mut parts = Vec::new();
    parts.extend(sensor::about(look));
    parts.extend(lock::lock(look));
    parts.extend(vacuum::vacuum(look));
    parts.extend(climate::climate(look));
    parts.extend(cover::cover(look));
    parts.extend(closure::closure(look));
    parts.extend(valve::valve(look));
    parts.extend(light::on_off(look));
    parts.extend(fan::fan(look));
    parts.extend(button::button(look));
    parts.extend(sensor::sensors(look));
    parts.extend(power::battery(look));
    parts.extend(power::electricity(look));
    let used = look.seen();
    let mut extra = Part::new(Kind::More, catalogue::more());
    modes::add(look, &mut extra);
    sensor::add(look, &mut extra);
    let all = look.seen();
    let mut more = more::more(look, extra, &all);
    more.shown.extend(all.difference(&used));
    parts.extend(more.part);
    Mapped { parts, used, more: more.shown, empty: more.empty, opaque: more.opaque }
}

/// What to send so that a property becomes that. `color` is the hue and saturation that are wanted beside.
pub(crate) fn write(
    part: &Part,
    look: &Look<'_>,
    property: &str,
    data: &Data,
    color: (f64, f64),
) -> Result<Command, CallError> {
    match part.kind {
        Kind::Switch => light::write_on_off(look, data),
        Kind::Light => light::write(look, property, data, color),
        Kind::Volume => light::write_volume(look, property, data),
        Kind::Fan => fan::write(look, property, data),
        Kind::Climate => climate::write(look, property, data),
        Kind::Cover => cover::write(look, property, data),
        Kind::Valve => valve::write(look, property, data),
        Kind::More => modes::write(look, property, data),
        Kind::Told | Kind::Lock | Kind::Vacuum | Kind::Closure => Err(bad("it is only told")),
    }
}

/// What to send so that something is done.
pub(crate) fn act(part: &Part, look: &Look<'_>, action: &str, inputs: &Inputs) -> Result<Command, CallError> {
    let command = match part.kind {
        Kind::Switch | Kind::Light => light::act(look, action),
        Kind::Fan => fan::act(look, action),
        Kind::Cover => cover::act(look, action),
        Kind::Lock => return lock::act(look, action, inputs),
        Kind::Vacuum => return vacuum::act(look, action),
        Kind::Closure => return closure::act(look, action),
        Kind::Valve => valve::act(look, action),
        Kind::More => modes::act(look, action),
        Kind::Told | Kind::Volume | Kind::Climate => None,
    };
    command.ok_or_else(|| CallError::Unsupported(format!("`{}` is nothing that it can", for_screen(action, 60))))
}

/// The hue and saturation of a lamp.
pub(crate) fn color(look: &Look<'_>) -> (f64, f64) {
    light::color(look)
}

fn bad(why: &str) -> CallError {
    CallError::BadInput(why.to_owned())
}

fn yes(data: &Data) -> Result<bool, CallError> {
    data.as_bool().ok_or_else(|| bad("yes or no is wanted"))
}

fn number(data: &Data) -> Result<f64, CallError> {
    data.as_number().filter(|number| number.is_finite()).ok_or_else(|| bad("a number is wanted"))
}

/// Hundredths of something, without what a division adds behind them.
fn hundredths(number: f64) -> f64 {
    number.round() / 100.0
}

/// Degrees of hundredths; none of what is below all cold, as devices say that measure nothing.
fn degrees_of(number: f64) -> Option<f64> {
    Some(number).filter(|number| *number >= -27_315.0).map(hundredths)
}

fn whole_percent(share: f64) -> i64 {
    (share * 100.0).round().clamp(0.0, 100.0) as i64
}

#[cfg(test)]
mod tests;
