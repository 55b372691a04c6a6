//! Heating and cooling: Thermostat (0x201). Temperatures are in hundredths of a degree there.

use accord_model::text::for_screen;
use accord_model::{CallError, Data, Property, catalogue};

use super::{Kind, Part, bad, degrees_of, hundredths, number};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

const THERMOSTAT: u32 = 0x201;
const ROOM_AIR_CONDITIONER: u32 = 0x72;

// Features.
const HEAT: u32 = 0;
const COOL: u32 = 1;
const AUTO: u32 = 5;
const PRESETS: u32 = 8;

// Attributes.
const COOLING: u32 = 0x11;
const HEATING: u32 = 0x12;
const SYSTEM_MODE: u32 = 0x1C;
const ACTIVE_PRESET: u32 = 0x4E;
const PRESET_LIST: u32 = 0x50;

/// `SetActivePresetRequest`.
const SET_PRESET: u32 = 6;
/// Most presets of one thermostat.
const MOST_PRESETS: usize = 32;

/// `SystemMode`: theirs and ours. With two setpoints `Auto` is between them.
const MODES: [(u64, &str); 6] = [(0, "off"), (4, "heat"), (3, "cool"), (1, "heat-cool"), (8, "dry"), (7, "fan-only")];
/// The fewest degrees that are shown as one step.
const STEP: f64 = 0.5;

struct Can {
    heat: bool,
    cool: bool,
    auto: bool,
}

impl Can {
    fn of(look: &Look<'_>) -> Self {
        // What says no features is taken by what it has.
        let none = !look.can(THERMOSTAT, HEAT) && !look.can(THERMOSTAT, COOL);
        let has = |feature, attribute| look.can(THERMOSTAT, feature) || none && look.offers(THERMOSTAT, attribute);
        Self { heat: has(HEAT, HEATING), cool: has(COOL, COOLING), auto: look.can(THERMOSTAT, AUTO) }
    }

    fn modes(&self, look: &Look<'_>) -> Vec<&'static str> {
        let is_air_conditioner = look.is(&[ROOM_AIR_CONDITIONER]);
        let offered = |mode: &&str| match *mode {
            "heat" => self.heat,
            "cool" => self.cool,
            "heat-cool" => self.auto,
            "dry" | "fan-only" => is_air_conditioner,
            _ => true,
        };
        MODES.iter().map(|(_, ours)| *ours).filter(offered).collect()
    }
}

pub(super) fn climate(look: &Look<'_>) -> Option<Part> {
    if !look.has(THERMOSTAT) {
        return None;
    }
    let can = Can::of(look);
    let mut kept = Vec::new();
    let mut keep = |yes: bool, id: &'static str| yes.then(|| kept.push(id));
    keep(look.offers(THERMOSTAT, 0), "temperature");
    keep(can.heat || can.cool, "target");
    keep(can.auto, "target-low");
    keep(can.auto, "target-high");
    keep(look.offers(THERMOSTAT, SYSTEM_MODE), "mode");
    keep(look.offers(THERMOSTAT, 0x29) || look.offers(THERMOSTAT, 0x1E), "running");
    let presets = presets(look);
    keep(!presets.is_empty(), "preset");
    let names = can.modes(look);
    let (heating, cooling) = (limits(look, HEATING), limits(look, COOLING));
    let both = match (can.heat, can.cool) {
        (true, true) => (heating.0.min(cooling.0), heating.1.max(cooling.1)),
        (false, true) => cooling,
        _ => heating,
    };
    let within = |limits: (f64, f64)| move |one: &mut Property| *one = one.clone().range(limits.0, limits.1, STEP);
    let service = catalogue::climate()
        .only(&kept, &[])
        .change("mode", |one| *one = one.clone().one_of(names))
        .change("target", within(both))
        .change("target-low", within(heating))
        .change("target-high", within(cooling))
        .change("preset", |one| {
            *one = one.clone().one_of(presets.iter().map(|(_, name)| name.as_str()));
            one.write = look.takes(THERMOSTAT, SET_PRESET);
        });
    let degrees = |attribute| look.number(THERMOSTAT, attribute).and_then(degrees_of);
    let _ = look.lately();
    let active = || {
        let active = look.get(THERMOSTAT, ACTIVE_PRESET)?;
        presets.iter().position(|(handle, _)| handle == active).map(|at| at as i64)
    };
    Some(
        Part::new(Kind::Climate, service)
            .say(look, "preset", active())
            .say_one(look, "mode", mode(look))
            .say(look, "temperature", degrees(0))
            .say(look, "target", setpoint(&can, mode(look)).and_then(degrees))
            .say(look, "target-low", degrees(HEATING))
            .say(look, "target-high", degrees(COOLING))
            .say_one(look, "running", running(look)),
    )
}

fn mode(look: &Look<'_>) -> Option<&'static str> {
    let theirs = match look.uint(THERMOSTAT, SYSTEM_MODE)? {
        // EmergencyHeat, Precooling, Sleep.
        5 => 4,
        6 => 3,
        9 => return None,
        other => other,
    };
    MODES.iter().find(|(one, _)| *one == theirs).map(|(_, ours)| *ours)
}

/// `Presets`: the handle of each, and what it is called.
fn presets(look: &Look<'_>) -> Vec<(Value, String)> {
    if !look.can(THERMOSTAT, PRESETS) {
        return Vec::new();
    }
    let preset = |preset: &Value| {
        let handle = preset.field(0).filter(|handle| **handle != Value::Null)?;
        let own = preset.field(2).and_then(Value::text).map(|name| for_screen(name.trim(), 64));
        let usual = || match preset.field(1).and_then(Value::uint) {
            Some(1) => "occupied",
            Some(2) => "unoccupied",
            Some(3) => "sleep",
            Some(4) => "wake",
            Some(5) => "vacation",
            Some(6) => "going to sleep",
            _ => "preset",
        };
        Some((handle.clone(), own.filter(|name| !name.is_empty()).unwrap_or_else(|| usual().to_owned())))
    };
    look.items(THERMOSTAT, PRESET_LIST).iter().filter_map(preset).take(MOST_PRESETS).collect()
}

/// Which of the two temperatures is meant; none between them.
fn setpoint(can: &Can, mode: Option<&str>) -> Option<u32> {
    match mode {
        Some("cool") if can.cool => Some(COOLING),
        Some("heat-cool") if can.auto => None,
        _ if can.heat => Some(HEATING),
        _ if can.cool => Some(COOLING),
        _ => None,
    }
}

/// `Min…SetpointLimit` and `Max…SetpointLimit`, or the absolute ones, or what the specification takes for them.
fn limits(look: &Look<'_>, setpoint: u32) -> (f64, f64) {
    let (low, high, usual) = match setpoint {
        COOLING => ([0x17, 0x05], [0x18, 0x06], (16.0, 32.0)),
        _ => ([0x15, 0x03], [0x16, 0x04], (7.0, 30.0)),
    };
    let first = |ids: [u32; 2]| {
        ids.into_iter().find_map(|id| look.number(THERMOSTAT, id)).map(hundredths).filter(|one| one.abs() < 300.0)
    };
    let found = (first(low).unwrap_or(usual.0), first(high).unwrap_or(usual.1));
    if found.0 < found.1 { found } else { usual }
}

fn running(look: &Look<'_>) -> Option<&'static str> {
    // ThermostatRunningState: heat, cool, fan, and their further stages.
    if let Some(bits) = look.uint(THERMOSTAT, 0x29) {
        let any = |mask: u64| bits & mask != 0;
        return Some(match () {
            () if any(0b000_1001) => "heating",
            () if any(0b001_0010) => "cooling",
            () if any(0b110_0100) => "fan",
            () => "idle",
        });
    }
    // ThermostatRunningMode.
    match look.uint(THERMOSTAT, 0x1E)? {
        0 => Some("idle"),
        3 => Some("cooling"),
        4 => Some("heating"),
        _ => None,
    }
}

pub(super) fn write(look: &Look<'_>, property: &str, data: &Data) -> Result<Command, CallError> {
    let can = Can::of(look);
    let set = |attribute, value| Ok(Command::write(look.endpoint, THERMOSTAT, attribute, value));
    let native = || number(data).map(|degrees| (degrees * 100.0).round() as i64);
    let within = |setpoint: u32, native: i64| {
        let (low, high) = limits(look, setpoint);
        match (low * 100.0 - 0.5..=high * 100.0 + 0.5).contains(&(native as f64)) {
            true => set(setpoint, Value::Int(native)),
            false => Err(CallError::BadInput(format!("it takes {low} to {high} °C for that"))),
        }
    };
    match property {
        "target" => {
            let setpoint = setpoint(&can, mode(look));
            let between = || bad("in this mode it has two temperatures: set `target-low` and `target-high`");
            within(setpoint.ok_or_else(between)?, native()?)
        }
        "target-low" => within(HEATING, native()?),
        "target-high" => within(COOLING, native()?),
        "preset" => {
            let at = data.as_int().and_then(|at| usize::try_from(at).ok());
            let (handle, _) =
                at.and_then(|at| presets(look).into_iter().nth(at)).ok_or_else(|| bad("it has no such preset"))?;
            Ok(Command::invoke(look.endpoint, THERMOSTAT, SET_PRESET, vec![(0, handle)]))
        }
        "mode" => {
            let name = data.as_int().and_then(|at| can.modes(look).get(usize::try_from(at).ok()?).copied());
            let theirs = MODES.iter().find(|(_, ours)| Some(*ours) == name).map(|(theirs, _)| *theirs);
            set(SYSTEM_MODE, Value::Uint(theirs.ok_or_else(|| bad("it has no such mode"))?))
        }
        _ => Err(bad("it has no way to set this")),
    }
}
