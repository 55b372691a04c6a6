use std::collections::BTreeMap;

use accord_model::{CallError, Data, DeviceId, Effect, FromBridge, Property, Service, Target, Timestamp, Verb};
use proptest::prelude::*;

use crate::core::command::{Command, What};
use crate::core::node::{Node, Order, Path};
use crate::core::value::Value;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn id() -> DeviceId {
    DeviceId::new("matter-1").unwrap()
}

fn uint(number: u64) -> Value {
    Value::Uint(number)
}

fn list(numbers: &[u64]) -> Value {
    Value::List(numbers.iter().copied().map(Value::Uint).collect())
}

/// An endpoint 1 of that type, with these attributes.
fn endpoint(device_type: u64, attributes: impl IntoIterator<Item = (u32, u32, Value)>) -> Node {
    let mut node = Node::new(id());
    let types = Value::List(vec![Value::Struct(vec![(0, uint(device_type)), (1, uint(1))])]);
    let attributes = attributes.into_iter().chain([(0x1D, 0, types)]);
    node.report(attributes.map(|(cluster, one, value)| (Path::new(1, cluster, one), Some(value))), NOW);
    node
}

fn service(node: &Node, name: &str) -> Service {
    let device = node.describe(&id()).unwrap();
    device.service(name).cloned().unwrap_or_else(|| panic!("no `{name}`: {:?}", device.services))
}

fn says(node: &Node, name: &str, property: &str) -> Option<Data> {
    service(node, name).values.get(property).map(|value| value.data.clone())
}

/// Which of the property's names it has now.
fn word(node: &Node, name: &str, property: &str) -> Option<String> {
    let number = says(node, name, property)?.as_int()?;
    let known = property_of(node, name, property);
    known.values.into_iter().find(|(value, _)| *value == number).map(|(_, word)| word)
}

fn property_of(node: &Node, name: &str, property: &str) -> Property {
    let service = service(node, name);
    service.properties.into_iter().find(|one| one.id == property).unwrap_or_else(|| panic!("no `{property}`"))
}

fn number_of(node: &Node, name: &str, property: &str, word: &str) -> Data {
    let known = property_of(node, name, property);
    Data::Int(known.values.iter().find(|(_, known)| known == word).unwrap_or_else(|| panic!("no `{word}`")).0)
}

fn set(node: &mut Node, name: &str, property: &str, data: impl Into<Data>) -> Result<Command, CallError> {
    one(node.order(&id(), &Target::new(name), Verb::Write { property: property.into(), data: data.into() }, NOW))
}

fn act(node: &mut Node, name: &str, action: &str) -> Result<Command, CallError> {
    act_with(node, name, action, &[])
}

fn act_with(node: &mut Node, name: &str, action: &str, inputs: &[(&str, &str)]) -> Result<Command, CallError> {
    let inputs: BTreeMap<String, Data> =
        inputs.iter().map(|(id, text)| ((*id).to_owned(), Data::from(*text))).collect();
    one(node.order(&id(), &Target::new(name), Verb::Act { action: action.into(), inputs }, NOW))
}

fn one(order: Result<Order, CallError>) -> Result<Command, CallError> {
    match order? {
        Order::Send(command) => Ok(command),
        other => panic!("{other:?}"),
    }
}

fn fields(command: &Command) -> (u32, u32, Vec<Value>) {
    match &command.what {
        What::Invoke { command: number, fields: Value::Struct(fields) } => {
            (command.cluster, *number, fields.iter().map(|(_, value)| value.clone()).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn written(command: &Command) -> (u32, u32, Value) {
    match &command.what {
        What::Write { attribute, value } => (command.cluster, *attribute, value.clone()),
        other => panic!("{other:?}"),
    }
}

fn lamp(color: u64) -> Node {
    endpoint(
        0x010D,
        [
            (0x06, 0, Value::Bool(true)),
            (0x08, 0, uint(127)),
            (0x08, 2, uint(1)),
            (0x08, 3, uint(254)),
            (0x300, 0xFFFC, uint(color)),
            (0x300, 0, uint(127)),
            (0x300, 1, uint(254)),
            (0x300, 3, uint(20000)),
            (0x300, 4, uint(20000)),
            (0x300, 7, uint(250)),
            (0x300, 8, uint(2)),
            (0x300, 0x400B, uint(153)),
            (0x300, 0x400C, uint(454)),
        ],
    )
}

#[test]
fn a_lamp_is_switched_dimmed_and_coloured() {
    let mut node = lamp(0b1_1001);
    assert_eq!(says(&node, "light", "on"), Some(Data::Bool(true)));
    assert_eq!(says(&node, "light", "level"), Some(Data::Int(50)));
    assert_eq!(says(&node, "light", "color-temperature"), Some(Data::Int(4000)));
    assert_eq!(
        (says(&node, "light", "hue"), word(&node, "light", "color-mode").as_deref()),
        (None, Some("temperature"))
    );
    let range = property_of(&node, "light", "color-temperature").range.unwrap();
    assert_eq!((range.min, range.max), (2203.0, 6535.0), "what this lamp has");
    assert_eq!(fields(&set(&mut node, "light", "on", false).unwrap()), (0x06, 0, vec![]));
    assert_eq!(fields(&act(&mut node, "light", "toggle").unwrap()), (0x06, 2, vec![]));
    let level = set(&mut node, "light", "level", 100i64).unwrap();
    assert_eq!(fields(&level), (0x08, 4, vec![uint(254), uint(0), uint(1), uint(1)]), "with on and off");
    let white = set(&mut node, "light", "color-temperature", 2700i64).unwrap();
    assert_eq!(fields(&white), (0x300, 0x0A, vec![uint(370), uint(0), uint(1), uint(1)]));
    assert!(matches!(set(&mut node, "light", "color-temperature", 9000i64), Err(CallError::BadInput(_))));
    assert!(matches!(set(&mut node, "light", "level", 0i64), Err(CallError::BadInput(_))));
    assert!(matches!(set(&mut node, "light", "level", 101i64), Err(CallError::BadInput(_))));
    assert!(matches!(set(&mut node, "light", "nothing", 1i64), Err(CallError::Unsupported(_))));
}

#[test]
fn hue_and_saturation_that_are_set_one_after_the_other_belong_together() {
    let mut node = lamp(0b1_0001);
    // It is white now: the whole colour is meant.
    assert_eq!(fields(&set(&mut node, "light", "hue", 180i64).unwrap()).2[..2], [uint(127), uint(254)]);
    assert_eq!(fields(&set(&mut node, "light", "saturation", 50i64).unwrap()).2[..2], [uint(127), uint(127)]);
    assert_eq!(fields(&set(&mut node, "light", "hue", 0i64).unwrap()).2[..2], [uint(0), uint(127)]);
    // One that has finer steps is told in those, one without either in x and y.
    let mut fine = lamp(0b1_0011);
    assert_eq!(fields(&set(&mut fine, "light", "hue", 180i64).unwrap()).1, 0x43);
    let mut xy = lamp(0b1000);
    let (_, command, red) = fields(&set(&mut xy, "light", "hue", 0i64).unwrap());
    let [x, y] = [&red[0], &red[1]].map(|one| one.number().unwrap() / 65536.0);
    assert!(command == 0x07 && (x - 0.640).abs() < 1e-3 && (y - 0.330).abs() < 1e-3, "sRGB's red: {x} {y}");
}

#[test]
fn a_loudspeaker_is_as_loud_as_its_level_and_silent_when_it_is_off() {
    let mut node = endpoint(0x0022, [(0x06, 0, Value::Bool(false)), (0x08, 0, uint(127)), (0x08, 3, uint(254))]);
    assert_eq!(
        (says(&node, "volume", "level"), says(&node, "volume", "muted")),
        (Some(Data::Int(50)), Some(Data::Bool(true)))
    );
    assert_eq!(fields(&set(&mut node, "volume", "level", 0i64).unwrap()).2[0], uint(0));
    assert_eq!(
        fields(&set(&mut node, "volume", "level", 100i64).unwrap()),
        (0x08, 0, vec![uint(254), uint(0), uint(1), uint(1)])
    );
    assert_eq!(fields(&set(&mut node, "volume", "muted", false).unwrap()), (0x06, 1, vec![]));
    node.report([(Path::new(1, 0x08, 0), Some(uint(0)))], NOW);
    assert_eq!(says(&node, "volume", "level"), Some(Data::Int(0)));
    // One that is never quite silent does not offer that: it could not be confirmed.
    node.report([(Path::new(1, 0x08, 2), Some(uint(6)))], NOW);
    assert!(set(&mut node, "volume", "level", 0i64).is_err());
    assert_eq!(fields(&set(&mut node, "volume", "level", 3i64).unwrap()).2[0], uint(8));
}

#[test]
fn what_has_no_value_says_none() {
    let node = endpoint(0x0101, [(0x06, 0, Value::Bool(false)), (0x08, 0, Value::Null), (0x08, 3, uint(254))]);
    assert_eq!(says(&node, "light", "level"), None);
    let node = endpoint(0x0302, [(0x402, 0, Value::Null)]);
    assert_eq!(says(&node, "temperature", "temperature"), None);
}

#[test]
fn what_only_switches_off_is_not_switched_on() {
    let mut node =
        endpoint(0x0078, [(0x06, 0, Value::Bool(true)), (0x06, 0xFFFC, uint(4)), (0x06, 0xFFF9, list(&[0]))]);
    assert!(service(&node, "on-off").actions.is_empty());
    assert!(set(&mut node, "on-off", "on", false).is_ok());
    assert!(matches!(set(&mut node, "on-off", "on", true), Err(CallError::BadInput(_))));
}

fn thermostat(features: u64, mode: u64) -> Node {
    endpoint(
        0x0301,
        [
            (0x201, 0xFFFC, uint(features)),
            (0x201, 0, Value::Int(-150)),
            (0x201, 0x11, Value::Int(2600)),
            (0x201, 0x12, Value::Int(2050)),
            (0x201, 0x15, Value::Int(500)),
            (0x201, 0x16, Value::Int(3000)),
            (0x201, 0x1C, uint(mode)),
            (0x201, 0x29, uint(1)),
        ],
    )
}

#[test]
fn a_thermostat_has_one_temperature_or_two() {
    let mut node = thermostat(0b1, 4);
    assert_eq!(says(&node, "climate", "temperature"), Some(Data::Float(-1.5)));
    assert_eq!(says(&node, "climate", "target"), Some(Data::Float(20.5)));
    assert_eq!(word(&node, "climate", "mode").as_deref(), Some("heat"));
    assert_eq!(word(&node, "climate", "running").as_deref(), Some("heating"));
    let names: Vec<String> = property_of(&node, "climate", "mode").values.into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["off", "heat"]);
    assert_eq!(written(&set(&mut node, "climate", "target", 21.5).unwrap()), (0x201, 0x12, Value::Int(2150)));
    assert!(matches!(set(&mut node, "climate", "target", 31.0), Err(CallError::BadInput(_))));
    let off = number_of(&node, "climate", "mode", "off");
    assert_eq!(written(&set(&mut node, "climate", "mode", off).unwrap()), (0x201, 0x1C, uint(0)));

    // What is so already is told again when it is asked for, so that it is confirmed.
    for (attribute, value, property) in [(0x1C, uint(4), "mode"), (0x12, Value::Int(2050), "target")] {
        let told = node.report([(Path::new(1, 0x201, attribute), Some(value))], NOW);
        let FromBridge::Values { values, .. } = &told.values[0] else { panic!("{told:?}") };
        assert!(values.contains_key(property), "{property}");
    }

    let mut both = thermostat(0b10_0011, 1);
    assert_eq!(
        (says(&both, "climate", "target"), word(&both, "climate", "mode").as_deref()),
        (None, Some("heat-cool"))
    );
    assert!(matches!(set(&mut both, "climate", "target", 21.0), Err(CallError::BadInput(_))));
    assert_eq!(written(&set(&mut both, "climate", "target-high", 27.0).unwrap()), (0x201, 0x11, Value::Int(2700)));
    let mut cools = thermostat(0b10_0011, 3);
    assert_eq!(says(&cools, "climate", "target"), Some(Data::Float(26.0)));
    assert_eq!(written(&set(&mut cools, "climate", "target", 25.0).unwrap()), (0x201, 0x11, Value::Int(2500)));
    assert!(set(&mut cools, "climate", "target", 8.0).is_err(), "as warm as it heats, but not as it cools");
}

#[test]
fn a_thermostat_has_the_presets_of_its_owner() {
    let preset = |handle: u8, scenario, name: Value| {
        Value::Struct(vec![(0, Value::Bytes(vec![handle])), (1, uint(scenario)), (2, name)])
    };
    let presets = vec![preset(1, 1, Value::Text("Home".into())), preset(2, 3, Value::Null)];
    let mut node = endpoint(
        0x0301,
        [
            (0x201, 0xFFFC, uint(0x101)),
            (0x201, 0x50, Value::List(presets)),
            (0x201, 0x4E, Value::Bytes(vec![2])),
            (0x201, 0, Value::Int(-32_768)),
        ],
    );
    assert_eq!(word(&node, "climate", "preset").as_deref(), Some("sleep"));
    assert_eq!(says(&node, "climate", "temperature"), None, "it measures nothing");
    let home = number_of(&node, "climate", "preset", "Home");
    assert_eq!(fields(&set(&mut node, "climate", "preset", home).unwrap()), (0x201, 6, vec![Value::Bytes(vec![1])]));
    assert!(matches!(set(&mut node, "climate", "preset", 2i64), Err(CallError::BadInput(_))));
}

#[test]
fn a_robot_is_told_which_room() {
    let area = |number, name: &str| {
        let place = Value::Struct(vec![(0, Value::Text(name.into())), (1, uint(0))]);
        Value::Struct(vec![(0, uint(number)), (1, Value::Null), (2, Value::Struct(vec![(0, place)]))])
    };
    let areas = Value::List(vec![area(7, "Kitchen"), area(9, "")]);
    let mut node = endpoint(0x0074, [(0x54, 1, uint(0)), (0x150, 0, areas), (0x150, 2, list(&[7]))]);
    assert_eq!(word(&node, "more", "room").as_deref(), Some("Kitchen"));
    let command = set(&mut node, "more", "room", 9i64).unwrap();
    assert_eq!(fields(&command), (0x150, 0, vec![list(&[9])]));
    let all = number_of(&node, "more", "room", "all");
    assert_eq!(fields(&set(&mut node, "more", "room", all).unwrap()).2, [list(&[])]);
    assert!(matches!(set(&mut node, "more", "room", 8i64), Err(CallError::BadInput(_))));
    node.report([(Path::new(1, 0x150, 2), Some(list(&[7, 9])))], NOW);
    assert_eq!(word(&node, "more", "room"), None, "several");
}

#[test]
fn what_is_selected_is_called_as_the_device_says() {
    let mode = |number, label: &str| Value::Struct(vec![(0, Value::Text(label.into())), (1, uint(number))]);
    let select = |description: &str| {
        let modes = Value::List(vec![mode(0, "Leading"), mode(1, "Trailing")]);
        endpoint(0x0027, [(0x50, 0, Value::Text(description.into())), (0x50, 2, modes), (0x50, 3, uint(1))])
    };
    let mut node = select("Dimming Edge");
    assert_eq!(word(&node, "more", "dimming-edge").as_deref(), Some("Trailing"));
    assert_eq!(fields(&set(&mut node, "more", "dimming-edge", 0i64).unwrap()), (0x50, 0, vec![uint(0)]));
    for strange in ["", "\u{202e}", "operational state", "clean mode"] {
        assert_eq!(word(&select(strange), "more", "mode").as_deref(), Some("Trailing"), "{strange:?}");
    }
}

#[test]
fn plugs_that_are_older_than_the_words_for_it_say_what_flows() {
    let own = |id: u32| 0x130A_0000 + id;
    let node = endpoint(
        0x010A,
        [
            (0x06, 0, Value::Bool(true)),
            (0x130A_FC01, own(0x08), Value::Float(f64::from(123.1f32))),
            (0x130A_FC01, own(0x0A), Value::Float(f64::from(13.4f32))),
            (0x130A_FC01, own(0x0B), Value::Float(f64::from(18.780_334f32))),
        ],
    );
    assert_eq!(says(&node, "electricity", "voltage"), Some(Data::Float(123.1)));
    assert_eq!(says(&node, "electricity", "power"), Some(Data::Float(13.4)));
    assert_eq!(says(&node, "electricity", "energy"), Some(Data::Float(18.78)));
}

#[test]
fn a_cover_is_open_at_a_hundred() {
    let mut node = endpoint(
        0x0202,
        [
            (0x102, 0xFFFC, uint(0b1_0111)),
            (0x102, 0x0E, uint(2500)),
            (0x102, 0x0F, uint(10_000)),
            (0x102, 0x0A, uint(0)),
        ],
    );
    assert_eq!(says(&node, "cover", "position"), Some(Data::Int(75)));
    assert_eq!(says(&node, "cover", "tilt"), Some(Data::Int(0)));
    assert_eq!(word(&node, "cover", "state").as_deref(), Some("open"));
    assert_eq!(fields(&set(&mut node, "cover", "position", 100i64).unwrap()), (0x102, 5, vec![uint(0)]));
    assert_eq!(fields(&set(&mut node, "cover", "tilt", 30i64).unwrap()), (0x102, 8, vec![uint(7000)]));
    for (action, command) in [("open", 0), ("close", 1), ("stop", 2)] {
        assert_eq!(fields(&act(&mut node, "cover", action).unwrap()), (0x102, command, vec![]));
    }
    node.report([(Path::new(1, 0x102, 0x0A), Some(uint(0b1010)))], NOW);
    assert_eq!(word(&node, "cover", "state").as_deref(), Some("closing"));
}

#[test]
fn what_leads_into_the_house_is_asked_each_time() {
    let closure = |tag: Option<u64>| {
        let tags = tag.map(|tag| Value::Struct(vec![(0, Value::Null), (1, uint(0x44)), (2, uint(tag))]));
        endpoint(
            0x0230,
            [
                (0x104, 0xFFFC, uint(0b11)),
                (0x104, 1, uint(0)),
                (0x104, 3, Value::Struct(vec![(0, uint(0)), (1, Value::Bool(true))])),
                (0x1D, 4, Value::List(tags.into_iter().collect())),
            ],
        )
    };
    let effect = |node: &Node| service(node, "cover").actions.iter().find(|one| one.id == "open").unwrap().effect;
    for (tag, expected) in [(None, Effect::Security), (Some(5), Effect::Security), (Some(0), Effect::Physical)] {
        assert_eq!(effect(&closure(tag)), expected, "{tag:?}");
    }
    let mut garage = closure(Some(5));
    assert_eq!(word(&garage, "cover", "state").as_deref(), Some("closed"));
    let open = act(&mut garage, "cover", "open").unwrap();
    assert_eq!(fields(&open), (0x104, 1, vec![uint(1), Value::Bool(false)]));
    assert!(open.timed);
}

fn lock(features: u64, wants_code: bool) -> Node {
    endpoint(
        0x000A,
        [
            (0x101, 0xFFFC, uint(features)),
            (0x101, 0, uint(1)),
            (0x101, 3, uint(5)),
            (0x101, 0x17, uint(6)),
            (0x101, 0x18, uint(4)),
            (0x101, 0x33, Value::Bool(wants_code)),
        ],
    )
}

#[test]
fn a_lock_is_locked_and_unlocked_in_time_with_its_code() {
    let mut node = lock(0, false);
    assert_eq!(
        (says(&node, "door-lock", "locked"), word(&node, "door-lock", "state").as_deref()),
        (Some(Data::Bool(true)), Some("locked"))
    );
    let unlock = act(&mut node, "door-lock", "unlock").unwrap();
    assert_eq!((fields(&unlock), unlock.timed), ((0x101, 1, vec![]), true));
    assert!(matches!(act(&mut node, "door-lock", "open"), Err(CallError::Unsupported(_))), "it has no latch");
    assert!(matches!(set(&mut node, "door-lock", "locked", false), Err(CallError::Unsupported(_))), "no way around it");
    let effect = |id: &str| service(&node, "door-lock").actions.iter().find(|one| one.id == id).unwrap().effect;
    assert_eq!((effect("lock"), effect("unlock")), (Effect::Physical, Effect::Security));

    let mut bolt = lock(1 << 12 | 1 << 5, false);
    assert_eq!(fields(&act(&mut bolt, "door-lock", "unlock").unwrap()).1, 0x27, "the latch stays");
    assert_eq!(fields(&act(&mut bolt, "door-lock", "open").unwrap()).1, 1);
    assert_eq!(says(&bolt, "contact", "open"), Some(Data::Bool(true)), "ajar");

    let mut coded = lock(0b1000_0001, true);
    assert!(matches!(act(&mut coded, "door-lock", "unlock"), Err(CallError::BadInput(_))));
    let unlock = act_with(&mut coded, "door-lock", "unlock", &[("code", "4711")]).unwrap();
    assert_eq!(fields(&unlock).2, [Value::Bytes(b"4711".to_vec())]);
    for bad in ["471", "4711471", "47a1", "47\u{661}1"] {
        let refused = act_with(&mut coded, "door-lock", "unlock", &[("code", bad)]).unwrap_err();
        assert!(matches!(&refused, CallError::BadInput(why) if !why.contains(bad)), "{refused}");
    }
}

#[test]
fn a_fan_has_the_speeds_that_it_says() {
    let mut node = endpoint(
        0x002B,
        [
            (0x202, 0xFFFC, uint(0b10_0111)),
            (0x202, 0, uint(2)),
            (0x202, 1, uint(2)),
            (0x202, 2, Value::Null),
            (0x202, 3, uint(40)),
            (0x202, 4, uint(10)),
            (0x202, 7, uint(0b10)),
            (0x202, 8, uint(0)),
            (0x202, 0x0B, uint(1)),
        ],
    );
    assert_eq!(says(&node, "fan", "on"), Some(Data::Bool(true)));
    assert_eq!(says(&node, "fan", "percent"), Some(Data::Int(40)));
    assert_eq!(word(&node, "fan", "mode").as_deref(), Some("medium"));
    assert_eq!(word(&node, "fan", "direction").as_deref(), Some("reverse"));
    assert_eq!(property_of(&node, "fan", "percent").range.unwrap().step, 10.0);
    assert_eq!(written(&set(&mut node, "fan", "on", true).unwrap()), (0x202, 0, uint(5)));
    assert_eq!(written(&set(&mut node, "fan", "percent", 70i64).unwrap()), (0x202, 2, uint(70)));
    assert_eq!(written(&set(&mut node, "fan", "oscillating", true).unwrap()), (0x202, 8, uint(0b10)));
    let high = number_of(&node, "fan", "mode", "high");
    assert_eq!(written(&set(&mut node, "fan", "mode", high).unwrap()), (0x202, 0, uint(3)));
    assert!(matches!(set(&mut node, "fan", "mode", 6i64), Err(CallError::BadInput(_))));
    assert_eq!(written(&act(&mut node, "fan", "toggle").unwrap()), (0x202, 0, uint(0)));
}

fn modes(all: &[(u64, &str, u64)]) -> Value {
    let tag = |tag| Value::List(vec![Value::Struct(vec![(1, uint(tag))])]);
    let mode = |(number, label, value): &(u64, &str, u64)| {
        Value::Struct(vec![(0, Value::Text((*label).into())), (1, uint(*number)), (2, tag(*value))])
    };
    Value::List(all.iter().map(mode).collect())
}

#[test]
fn a_robot_starts_goes_on_pauses_and_goes_home() {
    let mut node = endpoint(
        0x0074,
        [
            (0x54, 0, modes(&[(3, "Idle", 0x4000), (7, "Clean", 0x4001)])),
            (0x54, 1, uint(7)),
            (0x55, 0, modes(&[(1, "Vacuum", 0x4001), (2, "Mop", 0x4002)])),
            (0x55, 1, uint(1)),
            (0x61, 4, uint(1)),
            (0x61, 5, Value::Struct(vec![(0, uint(0x41))])),
            (0x61, 0xFFF9, list(&[0, 3, 0x80])),
            (0x03, 0, uint(0)),
        ],
    );
    assert_eq!(word(&node, "vacuum", "state").as_deref(), Some("cleaning"));
    assert_eq!(says(&node, "vacuum", "error"), Some(Data::from("it is stuck")));
    assert_eq!(fields(&act(&mut node, "vacuum", "start").unwrap()), (0x54, 0, vec![uint(7)]));
    assert_eq!(fields(&act(&mut node, "vacuum", "stop").unwrap()), (0x54, 0, vec![uint(3)]));
    assert_eq!(fields(&act(&mut node, "vacuum", "pause").unwrap()), (0x61, 0, vec![]));
    assert_eq!(fields(&act(&mut node, "vacuum", "dock").unwrap()), (0x61, 0x80, vec![]));
    assert_eq!(fields(&act(&mut node, "vacuum", "locate").unwrap()), (0x03, 0, vec![uint(10)]));
    node.report([(Path::new(1, 0x61, 4), Some(uint(2)))], NOW);
    assert_eq!(word(&node, "vacuum", "state").as_deref(), Some("paused"));
    assert_eq!(fields(&act(&mut node, "vacuum", "start").unwrap()), (0x61, 3, vec![]), "goes on");
    node.report([(Path::new(1, 0x61, 4), Some(uint(0x42)))], NOW);
    assert_eq!(word(&node, "vacuum", "state").as_deref(), Some("docked"));
    assert_eq!(word(&node, "more", "clean-mode").as_deref(), Some("Vacuum"));
    assert_eq!(fields(&set(&mut node, "more", "clean-mode", 2i64).unwrap()), (0x55, 0, vec![uint(2)]));
    assert!(matches!(set(&mut node, "more", "clean-mode", 9i64), Err(CallError::BadInput(_))));
}

#[test]
fn an_appliance_is_started_when_it_says_that_it_takes_that() {
    let mut node = endpoint(0x0075, [(0x60, 4, uint(1)), (0x60, 0xFFF9, list(&[0, 1]))]);
    assert_eq!(word(&node, "more", "operational-state").as_deref(), Some("running"));
    assert_eq!(fields(&act(&mut node, "more", "pause").unwrap()), (0x60, 0, vec![]));
    assert!(matches!(act(&mut node, "more", "start"), Err(CallError::Unsupported(_))));
}

#[test]
fn a_valve_opens_by_a_part() {
    let mut node = endpoint(0x0042, [(0x81, 0xFFFC, uint(2)), (0x81, 4, uint(1)), (0x81, 6, uint(40))]);
    assert_eq!(
        (says(&node, "valve", "open"), says(&node, "valve", "position")),
        (Some(Data::Bool(true)), Some(Data::Int(40)))
    );
    let half = set(&mut node, "valve", "position", 50i64).unwrap();
    assert!(matches!(&half.what, What::Invoke { command: 0, fields } if fields.field(1) == Some(&uint(50))));
    assert_eq!(fields(&set(&mut node, "valve", "position", 0i64).unwrap()), (0x81, 1, vec![]));
    assert_eq!(fields(&act(&mut node, "valve", "close").unwrap()), (0x81, 1, vec![]));
}

#[test]
fn what_is_measured_is_in_our_units() {
    let one = |device_type, cluster, value: Value| endpoint(device_type, [(cluster, 0, value)]);
    for (device_type, cluster, value, name, property, expected) in [
        (0x0302, 0x402, Value::Int(-1234), "temperature", "temperature", Data::Float(-12.34)),
        (0x0307, 0x405, uint(4567), "humidity", "humidity", Data::Float(45.67)),
        (0x0305, 0x403, Value::Int(1013), "pressure", "pressure", Data::Float(101_300.0)),
        (0x0106, 0x400, uint(30_001), "illuminance", "illuminance", Data::Float(1000.0)),
        (0x0106, 0x400, uint(0), "illuminance", "illuminance", Data::Float(0.0)),
        (0x0107, 0x406, uint(1), "occupancy", "occupied", Data::Bool(true)),
        (0x0015, 0x45, Value::Bool(true), "contact", "open", Data::Bool(false)),
        (0x0043, 0x45, Value::Bool(true), "water-leak", "detected", Data::Bool(true)),
        (0x0041, 0x45, Value::Bool(true), "more", "freeze", Data::Bool(true)),
        (0x0306, 0x404, uint(25), "more", "flow", Data::Float(2.5)),
    ] {
        assert_eq!(says(&one(device_type, cluster, value), name, property), Some(expected), "{name} {property}");
    }
    let fine = endpoint(
        0x0305,
        [(0x403, 0, Value::Int(1013)), (0x403, 0x10, Value::Int(10_132)), (0x403, 0x14, Value::Int(-1))],
    );
    assert_eq!(says(&fine, "pressure", "pressure"), Some(Data::Float(101_320.0)));
    let alarm = endpoint(0x0076, [(0x5C, 1, uint(2)), (0x5C, 2, uint(0)), (0x5C, 3, uint(1))]);
    assert_eq!(says(&alarm, "smoke", "detected"), Some(Data::Bool(true)));
    assert_eq!(says(&alarm, "carbon-monoxide", "detected"), Some(Data::Bool(false)));
    assert_eq!(says(&alarm, "battery", "low"), Some(Data::Bool(true)));
}

#[test]
fn air_is_in_the_unit_that_the_device_says() {
    let node = endpoint(
        0x002C,
        [
            (0x5B, 0, uint(2)),
            (0x40D, 0, Value::Float(612.5)),
            (0x40D, 8, uint(0)),
            (0x42A, 0, Value::Float(0.0081)),
            (0x42A, 8, uint(3)),
            (0x42E, 0, Value::Float(120.0)),
            (0x42E, 8, uint(1)),
            (0x40C, 0, Value::Float(3.0)),
            (0x40C, 8, uint(0)),
            (0x42F, 0, Value::Float(21.0)),
            (0x42F, 8, uint(7)),
        ],
    );
    assert_eq!(says(&node, "air-quality", "carbon-dioxide"), Some(Data::Float(612.5)));
    assert_eq!(says(&node, "air-quality", "pm2-5"), Some(Data::Float(8.1)));
    assert_eq!(says(&node, "air-quality", "index"), Some(Data::Float(2.0)));
    assert_eq!(says(&node, "more", "voc"), Some(Data::Float(0.12)), "told in ppb, of which no micrograms can be made");
    assert_eq!(says(&node, "carbon-monoxide", "concentration"), Some(Data::Float(3.0)));
    assert_eq!(says(&node, "more", "radon-measured-value"), Some(Data::Float(21.0)), "becquerels are none of ours");
}

#[test]
fn what_flows_and_what_is_left_in_a_battery() {
    let energy = |native| Value::Struct(vec![(0, uint(native))]);
    let node = endpoint(
        0x010A,
        [
            (0x06, 0, Value::Bool(true)),
            (0x90, 4, Value::Int(230_500)),
            (0x90, 5, Value::Int(1_250)),
            (0x90, 8, Value::Int(-287_000)),
            (0x90, 0x0E, Value::Int(50_010)),
            (0x90, 0x11, Value::Int(9_950)),
            (0x91, 1, energy(12_345_678)),
            (0x91, 2, Value::Null),
            (0x2F, 0x0C, uint(155)),
            (0x2F, 0x0E, uint(0)),
            (0x2F, 0x1A, uint(1)),
            (0x2F, 0xFFFC, uint(0b110)),
        ],
    );
    for (property, expected) in [
        ("voltage", 230.5),
        ("current", 1.25),
        ("power", -287.0),
        ("frequency", 50.01),
        ("power-factor", 99.5),
        ("energy", 12.345678),
    ] {
        assert_eq!(says(&node, "electricity", property), Some(Data::Float(expected)), "{property}");
    }
    assert_eq!(says(&node, "electricity", "produced"), None);
    assert_eq!(says(&node, "battery", "percent"), Some(Data::Int(78)));
    assert_eq!(
        (says(&node, "battery", "charging"), says(&node, "battery", "low")),
        (Some(Data::Bool(true)), Some(Data::Bool(false)))
    );
}

proptest! {
    #[test]
    fn a_level_survives_the_way_through_the_steps_of_the_lamp(percent in 1i64..=100, least in 1u64..=20, most in 20u64..=254) {
        let mut node = endpoint(0x0101, [(0x06, 0, Value::Bool(true)), (0x08, 0, uint(1)), (0x08, 2, uint(least)), (0x08, 3, uint(most))]);
        let range = property_of(&node, "light", "level").range.unwrap();
        match set(&mut node, "light", "level", percent) {
            Ok(command) => {
                let native = fields(&command).2[0].clone();
                prop_assert!((least..=most).contains(&native.uint().unwrap()));
                node.report([(Path::new(1, 0x08, 0), Some(native))], NOW);
                let back = says(&node, "light", "level").unwrap().as_int().unwrap();
                prop_assert!((back - percent).abs() as f64 <= range.step / 2.0, "{} became {}", percent, back);
            }
            Err(_) => prop_assert!((percent as f64) < range.min),
        }
    }

    #[test]
    fn white_and_colours_survive_it_too(kelvin in 2203i64..=6535, hue in 0i64..=359, saturation in 30i64..=100, kind in 0usize..3) {
        let mut node = lamp([0b1_0001, 0b1_0011, 0b1_1000][kind]);
        let near = |one: i64, other: i64, step: f64| (one - other).abs() as f64 <= step / 2.0;
        let step = |node: &Node, property: &str| property_of(node, "light", property).range.unwrap().step;
        let command = set(&mut node, "light", "color-temperature", kelvin).unwrap();
        node.report([(Path::new(1, 0x300, 7), Some(fields(&command).2[0].clone()))], NOW);
        let back = says(&node, "light", "color-temperature").unwrap().as_int().unwrap();
        prop_assert!(near(back, kelvin, step(&node, "color-temperature")), "{} became {}", kelvin, back);

        set(&mut node, "light", "hue", hue).unwrap();
        let command = set(&mut node, "light", "saturation", saturation).unwrap();
        let (_, number, said) = fields(&command);
        let (ids, mode) = match number {
            0x43 => ([0x4000, 1], 0),
            0x06 => ([0, 1], 0),
            _ => ([3, 4], 1),
        };
        let report = [(8, uint(mode)), (ids[0], said[0].clone()), (ids[1], said[1].clone())];
        node.report(report.map(|(attribute, value)| (Path::new(1, 0x300, attribute), Some(value))), NOW);
        let back = |property| says(&node, "light", property).unwrap().as_int().unwrap();
        let apart = (back("hue") - hue).abs();
        prop_assert!(near(apart.min(360 - apart), 0, step(&node, "hue")), "{} became {}", hue, back("hue"));
        prop_assert!(near(back("saturation"), saturation, step(&node, "saturation").max(1.0)), "{} became {}", saturation, back("saturation"));
    }

    #[test]
    fn a_place_survives_the_other_direction(place in 0i64..=100) {
        let mut node = endpoint(0x0202, [(0x102, 0xFFFC, uint(0b101)), (0x102, 0x0E, uint(0))]);
        let native = fields(&set(&mut node, "cover", "position", place).unwrap()).2[0].clone();
        node.report([(Path::new(1, 0x102, 0x0E), Some(native))], NOW);
        prop_assert_eq!(says(&node, "cover", "position"), Some(Data::Int(place)));
    }
}
