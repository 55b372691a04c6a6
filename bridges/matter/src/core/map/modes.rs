//! What no standard service names and can be set or done all the same: modes of appliances (the clusters that are derived from
//! ModeBase, and ModeSelect), their start and stop (OperationalState), and what shows which device is meant (Identify).

use accord_model::text::for_screen;
use accord_model::{Action, CallError, Data, Effect, FieldCode, Format, Property};

use super::{Part, bad};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

/// Most modes of one cluster.
const MOST: usize = 64;
const MAX_NAME: usize = 64;
const BLINK_S: u64 = 10;

const IDENTIFY: u32 = 0x03;
const SMOKE: u32 = 0x5C;
const SELECT: u32 = 0x50;
const AREAS: u32 = 0x150;
/// The room that a robot cleans next.
const ROOM: &str = "room";
/// The number of all rooms among those of `room`; areas have others.
const ALL_ROOMS: i64 = -1;

/// Clusters with modes, and what their property is called. RvcRunMode is what a robot does, and in its own service; ModeSelect
/// says itself what it is about.
const MODES: &[(u32, &str)] = &[
    (SELECT, "mode"),
    (0x49, "oven-mode"),
    (0x51, "laundry-mode"),
    (0x52, "cabinet-mode"),
    (0x55, "clean-mode"),
    (0x59, "dishwasher-mode"),
    (0x5E, "microwave-mode"),
    (0x9D, "charging-mode"),
    (0x9E, "water-heater-mode"),
    (0x9F, "energy-mode"),
];
/// OperationalState, OvenCavityOperationalState: pause, stop, start, resume.
const STATES: &[u32] = &[0x60, 0x48];
const STATE_ACTIONS: [(u32, &str); 4] = [(2, "start"), (1, "stop"), (0, "pause"), (3, "resume")];
const STATE: &str = "operational-state";

/// A mode that a device has.
pub(super) struct Mode {
    pub number: u64,
    pub label: String,
    /// Those of the specification; what makers add is not among them.
    pub tags: Vec<u64>,
}

/// `SupportedModes`.
pub(super) fn modes_of(look: &Look<'_>, cluster: u32) -> Vec<Mode> {
    let list = look.items(cluster, if cluster == SELECT { 2 } else { 0 });
    let mode = |mode: &Value| {
        let number = mode.field(1)?.uint().filter(|number| *number <= 255)?;
        let label = for_screen(mode.field(0).and_then(Value::text).unwrap_or_default().trim(), MAX_NAME);
        let label = if label.is_empty() { format!("mode {number}") } else { label };
        let tags = mode.field(2).map(Value::items).unwrap_or_default();
        let tags = tags.iter().filter(|tag| tag.field(0).is_none_or(|maker| *maker == Value::Null));
        Some(Mode { number, label, tags: tags.filter_map(|tag| tag.field(1)?.uint()).take(16).collect() })
    };
    list.iter().filter_map(mode).take(MOST).collect()
}

fn id_of(look: &Look<'_>, cluster: u32, id: &str) -> String {
    let own = look.get(cluster, 0).and_then(Value::text).filter(|_| cluster == SELECT).map(kebab);
    let taken = |own: &String| {
        let named = [STATE, ROOM].into_iter().chain(MODES.iter().map(|(_, id)| *id));
        own.is_empty() || named.into_iter().any(|id| id == own)
    };
    own.filter(|own| !taken(own)).unwrap_or_else(|| id.to_owned())
}

/// Small letters, digits and dashes; cut. Empty when nothing of it is that.
fn kebab(text: &str) -> String {
    let mut kebab = String::new();
    for c in text.chars().take(48) {
        match c {
            c if c.is_ascii_alphanumeric() => kebab.push(c.to_ascii_lowercase()),
            _ if kebab.is_empty() || kebab.ends_with('-') => {}
            _ => kebab.push('-'),
        }
    }
    kebab.trim_end_matches('-').to_owned()
}

/// `SupportedAreas`: their numbers and names.
fn rooms(look: &Look<'_>) -> Vec<(i64, String)> {
    let area = |area: &Value| {
        let number = area.field(0)?.uint().filter(|number| *number <= u64::from(u32::MAX))? as i64;
        let name = area.field(2)?.field(0).and_then(|place| place.field(0)?.text());
        let name = name.map(|name| for_screen(name.trim(), MAX_NAME)).filter(|name| !name.is_empty());
        Some((number, name.unwrap_or_else(|| format!("room {number}"))))
    };
    look.items(AREAS, 0).iter().filter_map(area).take(MOST).collect()
}

/// `ChangeToMode`.
pub(super) fn change(endpoint: u16, cluster: u32, mode: u64) -> Command {
    Command::invoke(endpoint, cluster, 0, vec![(0, Value::Uint(mode))])
}

/// Adds them to what there is more.
pub(super) fn add(look: &Look<'_>, more: &mut Part) {
    let _ = look.lately();
    for (cluster, id) in MODES.iter().filter(|(cluster, _)| look.has(*cluster)) {
        let modes = modes_of(look, *cluster);
        if modes.is_empty() {
            continue;
        }
        let id = &id_of(look, *cluster, id);
        let mut property = Property::state(id, Format::Enum).sensitive(FieldCode::HomeDeviceState);
        property.write = look.takes(*cluster, 0);
        property.values = modes.iter().map(|mode| (mode.number as i64, mode.label.clone())).collect();
        let now = look.uint(*cluster, if *cluster == SELECT { 3 } else { 1 });
        let known = now.filter(|now| modes.iter().any(|mode| mode.number == *now));
        more.service.properties.push(property);
        more.put(look, id, known.map(|mode| mode as i64));
    }
    let rooms = rooms(look);
    if !rooms.is_empty() {
        let now = look.get(AREAS, 2).map(Value::items).and_then(|selected| match selected {
            [] => Some(ALL_ROOMS),
            [one] => one.int().filter(|one| rooms.iter().any(|(number, _)| number == one)),
            _ => None,
        });
        let mut property = Property::state(ROOM, Format::Enum).sensitive(FieldCode::HomeDeviceState);
        property.write = look.takes(AREAS, 0);
        property.values = std::iter::once((ALL_ROOMS, "all".to_owned())).chain(rooms).collect();
        more.service.properties.push(property);
        more.put(look, ROOM, now);
    }
    if let Some(cluster) = STATES.iter().find(|cluster| look.has(**cluster)) {
        let names = ["stopped", "running", "paused", "error"];
        let property = Property::state(STATE, Format::Enum).one_of(names).sensitive(FieldCode::HomeDeviceState);
        let now = look.uint(*cluster, 4).filter(|state| *state < 4);
        more.service.properties.push(property);
        more.put(look, STATE, now.map(|state| state as i64));
        let takes = STATE_ACTIONS.into_iter().filter(|(command, _)| look.takes(*cluster, *command));
        more.service.actions.extend(takes.map(|(_, id)| action(id, Effect::Physical)));
    }
    if look.has(SMOKE) && look.takes(SMOKE, 0) {
        more.service.actions.push(action("self-test", Effect::Physical));
    }
    if look.has(IDENTIFY) && look.takes(IDENTIFY, 0) {
        more.service.actions.push(action("identify", Effect::Safe));
    }
}

fn action(id: &str, effect: Effect) -> Action {
    Action { id: id.to_owned(), inputs: Vec::new(), outputs: Vec::new(), effect }
}

pub(super) fn write(look: &Look<'_>, property: &str, data: &Data) -> Result<Command, CallError> {
    if property == ROOM {
        let number = data.as_int().filter(|number| rooms(look).iter().any(|(known, _)| known == number));
        let all = data.as_int() == Some(ALL_ROOMS);
        let areas = match (number.and_then(|number| u64::try_from(number).ok()), all) {
            (Some(number), _) => vec![Value::Uint(number)],
            (None, true) => Vec::new(),
            (None, false) => return Err(bad("it knows no such room")),
        };
        return Ok(Command::invoke(look.endpoint, AREAS, 0, vec![(0, Value::List(areas))]));
    }
    let known = MODES.iter().filter(|(cluster, _)| look.has(*cluster) && !modes_of(look, *cluster).is_empty());
    let cluster = known.map(|(cluster, id)| (*cluster, id_of(look, *cluster, id))).find(|(_, id)| id == property);
    let cluster = cluster.map(|(cluster, _)| cluster);
    let cluster = cluster.ok_or_else(|| bad("it has no way to set this"))?;
    let number = data.as_int().and_then(|number| u64::try_from(number).ok());
    let known = number.filter(|number| modes_of(look, cluster).iter().any(|mode| mode.number == *number));
    Ok(change(look.endpoint, cluster, known.ok_or_else(|| bad("it has no such mode"))?))
}

pub(super) fn act(look: &Look<'_>, action: &str) -> Option<Command> {
    let (cluster, command, fields) = match action {
        "identify" => (IDENTIFY, 0, vec![(0, Value::Uint(BLINK_S))]),
        "self-test" => (SMOKE, 0, Vec::new()),
        _ => {
            let (command, _) = STATE_ACTIONS.into_iter().find(|(_, id)| *id == action)?;
            (*STATES.iter().find(|cluster| look.has(**cluster))?, command, Vec::new())
        }
    };
    Some(Command::invoke(look.endpoint, cluster, command, fields))
}
