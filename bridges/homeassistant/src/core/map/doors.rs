//! What opens, closes and guards the house, and what cleans it: `cover`, `valve`, `lock`, `alarm_control_panel`, `vacuum`,
//! `lawn_mower`.

use accord_model::{Data, Effect, Inputs, catalogue};

use super::Entity;
use super::part::{Part, action, code, named};
use crate::core::words::Call;

// developers.home-assistant.io/docs/core/entity/cover; valves have the first four.
const OPEN: u32 = 1;
const CLOSE: u32 = 2;
const POSITION: u32 = 4;
const STOP: u32 = 8;
const OPEN_TILT: u32 = 16;
const CLOSE_TILT: u32 = 32;
const TILT: u32 = 128;

pub fn cover(entity: &Entity<'_>) -> Vec<Part> {
    let attrs = entity.attrs;
    let place = |name: &str| attrs.number(name).map(|place| place.round().clamp(0.0, 100.0) as i64);
    let (position, tilt) = (place("current_position"), place("current_tilt_position"));
    let mut kept = vec!["state"];
    if entity.can(POSITION) || position.is_some() {
        kept.push("position");
    }
    if entity.can(TILT) || tilt.is_some() {
        kept.push("tilt");
    }
    let actions = [(OPEN, "open"), (CLOSE, "close"), (STOP, "stop")];
    let actions: Vec<&str> = actions.into_iter().filter(|(bit, _)| entity.can(*bit)).map(|(_, id)| id).collect();
    let mut service = catalogue::cover()
        .only(&kept, &actions)
        .change("position", |one| one.write = entity.can(POSITION))
        .change("tilt", |one| one.write = entity.can(TILT));
    let is_way_in = catalogue::is_way_in(entity.class());
    if is_way_in {
        service = service.guarded();
    }
    let state = entity.known().filter(|state| matches!(*state, "closed" | "opening" | "open" | "closing"));
    let part = Part::new(service).say("position", position).say("tilt", tilt).say_one("state", state);
    // What tilts without telling how far.
    let mut more = catalogue::more();
    if !entity.can(TILT) {
        let opens = if is_way_in { Effect::Security } else { Effect::Physical };
        let tilts = [(OPEN_TILT, "tilt-open", opens), (CLOSE_TILT, "tilt-close", Effect::Physical)];
        more.actions
            .extend(tilts.into_iter().filter(|(bit, ..)| entity.can(*bit)).map(|(_, id, effect)| action(id, effect)));
    }
    let more = (!more.actions.is_empty()).then(|| Part::shared(more));
    std::iter::once(part).chain(more).collect()
}

pub fn write_cover(entity: &Entity<'_>, property: &str, data: &Data) -> Option<Call> {
    Some(match property {
        "position" => entity.call("cover", "set_cover_position").with("position", data.as_int()?),
        "tilt" => entity.call("cover", "set_cover_tilt_position").with("tilt_position", data.as_int()?),
        _ => return None,
    })
}

pub fn act_cover(entity: &Entity<'_>, action: &str) -> Option<Call> {
    let service = match action {
        "open" => "open_cover",
        "close" => "close_cover",
        "stop" => "stop_cover",
        "tilt-open" => "open_cover_tilt",
        "tilt-close" => "close_cover_tilt",
        _ => return None,
    };
    Some(entity.call("cover", service))
}

pub fn valve(entity: &Entity<'_>) -> Part {
    let position = entity.attrs.number("current_position").map(|place| place.round().clamp(0.0, 100.0) as i64);
    let mut kept = vec!["open"];
    if entity.can(POSITION) || position.is_some() {
        kept.push("position");
    }
    let actions = [(OPEN, "open"), (CLOSE, "close")];
    let actions: Vec<&str> = actions.into_iter().filter(|(bit, _)| entity.can(*bit)).map(|(_, id)| id).collect();
    let mut service =
        catalogue::valve().only(&kept, &actions).change("position", |one| one.write = entity.can(POSITION));
    if entity.class() == "gas" {
        service = service.guarded();
    }
    let open = entity.known().and_then(|state| match state {
        "closed" => Some(false),
        "open" | "opening" | "closing" => Some(true),
        _ => None,
    });
    Part::new(service).say("open", open).say("position", position)
}

pub fn write_valve(entity: &Entity<'_>, property: &str, data: &Data) -> Option<Call> {
    (property == "position")
        .then(|| entity.call("valve", "set_valve_position").with("position", data.as_int().unwrap_or(0)))
}

pub fn act_valve(entity: &Entity<'_>, action: &str) -> Option<Call> {
    let service = match action {
        "open" => "open_valve",
        "close" => "close_valve",
        _ => return None,
    };
    Some(entity.call("valve", service))
}

// developers.home-assistant.io/docs/core/entity/lock
const LATCH: u32 = 1;

pub fn lock(entity: &Entity<'_>) -> Part {
    let actions: &[&str] = if entity.can(LATCH) { &["lock", "unlock", "open"] } else { &["lock", "unlock"] };
    let mut service = catalogue::door_lock().only(&["locked", "state"], actions);
    if entity.attrs.has("code_format") {
        service.actions.iter_mut().for_each(|action| action.inputs = vec![code()]);
    }
    let locked = entity.known().and_then(|state| match state {
        "locked" => Some(true),
        "unlocked" | "unlocking" | "locking" | "open" | "opening" => Some(false),
        _ => None,
    });
    let state = entity.known().map(|state| if state == "opening" { "unlocking" } else { state });
    Part::new(service).say("locked", locked).say_one("state", state)
}

pub fn act_lock(entity: &Entity<'_>, action: &str, inputs: &Inputs) -> Option<Call> {
    let call = matches!(action, "lock" | "unlock" | "open").then(|| entity.call("lock", action))?;
    Some(with_code(call, inputs))
}

fn with_code(call: Call, inputs: &Inputs) -> Call {
    match inputs.get("code").and_then(Data::as_text).filter(|code| !code.is_empty()) {
        Some(code) => call.with("code", code),
        None => call,
    }
}

// developers.home-assistant.io/docs/core/entity/alarm-control-panel
const ALARM: [(u32, &str, &str); 5] = [
    (1, "arm-home", "alarm_arm_home"),
    (2, "arm-away", "alarm_arm_away"),
    (4, "arm-night", "alarm_arm_night"),
    (16, "arm-custom", "alarm_arm_custom_bypass"),
    (32, "arm-vacation", "alarm_arm_vacation"),
];
const ALARM_STATES: [(&str, &str); 10] = [
    ("disarmed", "disarmed"),
    ("armed_home", "armed-home"),
    ("armed_away", "armed-away"),
    ("armed_night", "armed-night"),
    ("arming", "arming"),
    ("pending", "pending"),
    ("triggered", "triggered"),
    ("armed_vacation", "armed-vacation"),
    ("armed_custom_bypass", "armed-custom"),
    ("disarming", "disarming"),
];

pub fn alarm(entity: &Entity<'_>) -> Part {
    let needs_code = entity.attrs.has("code_format");
    let to_arm = needs_code && entity.attrs.get("code_arm_required").bool() != Some(false);
    let mut service = catalogue::alarm()
        .only(&["state"], &["disarm"])
        .change("state", |one| *one = one.clone().one_of(ALARM_STATES.map(|(_, ours)| ours)));
    let arms = ALARM.iter().filter(|(bit, ..)| entity.can(*bit)).map(|(_, id, _)| action(id, Effect::Physical));
    service.actions.extend(arms);
    for one in &mut service.actions {
        let with_code = if one.id == "disarm" { needs_code } else { to_arm };
        one.inputs = if with_code { vec![code()] } else { Vec::new() };
    }
    let state = ALARM_STATES.iter().find(|(theirs, _)| *theirs == entity.state).map(|(_, ours)| *ours);
    Part::new(service).say_one("state", state)
}

pub fn act_alarm(entity: &Entity<'_>, action: &str, inputs: &Inputs) -> Option<Call> {
    let service = match action {
        "disarm" => "alarm_disarm",
        _ => ALARM.iter().find(|(_, id, _)| *id == action)?.2,
    };
    Some(with_code(entity.call("alarm_control_panel", service), inputs))
}

// developers.home-assistant.io/docs/core/entity/vacuum
const ON: u32 = 1;
const OFF: u32 = 2;
const PAUSE: u32 = 4;
const CLEAN_STOP: u32 = 8;
const HOME: u32 = 16;
const FAN_SPEED: u32 = 32;
const LOCATE: u32 = 512;
const SPOT: u32 = 1024;
const START: u32 = 8192;

pub fn vacuum(entity: &Entity<'_>) -> Vec<Part> {
    let attrs = entity.attrs;
    let speeds = attrs.get("fan_speed_list").texts();
    let mut kept = vec!["state"];
    if entity.can(FAN_SPEED) && !speeds.is_empty() {
        kept.push("fan-speed");
    }
    let actions =
        [(START | ON, "start"), (PAUSE, "pause"), (CLEAN_STOP | OFF, "stop"), (HOME, "dock"), (LOCATE, "locate")];
    let actions: Vec<&str> = actions.into_iter().filter(|(bits, _)| entity.can(*bits)).map(|(_, id)| id).collect();
    let service =
        catalogue::vacuum().only(&kept, &actions).change("fan-speed", |one| *one = named(one.clone(), &speeds));
    // The first robots that Home Assistant knew are on or off.
    let state = entity.known().map(|state| match state {
        "on" => "cleaning",
        "off" => "docked",
        state => state,
    });
    let part = Part::new(service).say_one("state", state).say_one("fan-speed", attrs.text("fan_speed"));
    let mut more = catalogue::more();
    more.actions.extend(entity.can(SPOT).then(|| action("clean-spot", Effect::Physical)));
    let more = (!more.actions.is_empty()).then(|| Part::shared(more));
    std::iter::once(part).chain(more).collect()
}

pub fn write_vacuum(entity: &Entity<'_>, property: &str, data: &Data) -> Option<Call> {
    let speed = entity.listed("fan_speed_list", data).filter(|_| property == "fan-speed")?;
    Some(entity.call("vacuum", "set_fan_speed").with("fan_speed", speed))
}

pub fn act_vacuum(entity: &Entity<'_>, action: &str) -> Option<Call> {
    let service = match action {
        "start" if entity.can(START) => "start",
        "start" => "turn_on",
        "stop" if entity.can(CLEAN_STOP) => "stop",
        "stop" => "turn_off",
        "pause" => "pause",
        "dock" => "return_to_base",
        "locate" => "locate",
        "clean-spot" => "clean_spot",
        _ => return None,
    };
    Some(entity.call("vacuum", service))
}

// developers.home-assistant.io/docs/core/entity/lawn-mower
const MOW: [(u32, &str, &str); 3] = [(1, "start", "start_mowing"), (2, "pause", "pause"), (4, "dock", "dock")];

/// A robot all the same.
pub fn lawn_mower(entity: &Entity<'_>) -> Part {
    let actions: Vec<&str> = MOW.iter().filter(|(bit, ..)| entity.can(*bit)).map(|(_, id, _)| *id).collect();
    let state = entity.known().map(|state| if state == "mowing" { "cleaning" } else { state });
    Part::new(catalogue::vacuum().only(&["state"], &actions)).say_one("state", state)
}

pub fn act_lawn_mower(entity: &Entity<'_>, action: &str) -> Option<Call> {
    let (.., service) = MOW.iter().find(|(_, id, _)| *id == action)?;
    Some(entity.call("lawn_mower", service))
}
