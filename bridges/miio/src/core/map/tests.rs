use accord_model::{CallError, Effect, Format, Inputs, Property, Target};
use serde_json::{Value, json};

use super::*;

fn urn(of: &str, name: &str) -> String {
    format!("urn:miot-spec-v2:{of}:{name}:00000001:lab-x:1")
}

fn service(iid: u16, kind: &str, properties: Value, actions: Value) -> Value {
    json!({"iid": iid, "type": urn("service", kind), "description": kind, "properties": properties, "actions": actions})
}

fn property(iid: u16, kind: &str, format: &str, access: &str, more: Value) -> Value {
    let access: Vec<&str> = [('r', "read"), ('w', "write"), ('n', "notify")]
        .iter()
        .filter(|(c, _)| access.contains(*c))
        .map(|(_, a)| *a)
        .collect();
    let mut made =
        json!({"iid": iid, "type": urn("property", kind), "description": kind, "format": format, "access": access});
    for (key, value) in more.as_object().into_iter().flatten() {
        made[key] = value.clone();
    }
    made
}

fn list(values: &[(i64, &str)]) -> Value {
    json!({"value-list": values.iter().map(|(value, text)| json!({"value": value, "description": text})).collect::<Vec<_>>()})
}

fn action(iid: u16, kind: &str, inputs: &[u16]) -> Value {
    json!({"iid": iid, "type": urn("action", kind), "description": kind, "in": inputs, "out": []})
}

fn map(kind: &str, services: Value) -> Map {
    let document = json!({"type": urn("device", kind), "description": kind, "services": services});
    let spec = Spec::parse(document.to_string().as_bytes()).unwrap();
    let map = Map::of(&spec);
    let all: usize = spec.services.iter().map(|one| one.properties.len() + one.actions.len() + one.events.len()).sum();
    assert_eq!(map.count.all(), all, "nothing is dropped silently: {:?}", map.count);
    map
}

fn find<'a>(map: &'a Map, service: &str, instance: u16, property: &str) -> &'a Property {
    map.property(&(service.to_owned(), instance), property)
        .unwrap_or_else(|| panic!("{service}.{property}: {:#?}", map.services))
}

fn ids(map: &Map) -> Vec<String> {
    map.services.iter().map(|one| format!("{}{}", one.id, one.instance)).collect()
}

/// What it says of one property once it said these.
fn says(map: &Map, natives: &[(u16, u16, Data)], service: &str, property: &str) -> Option<Data> {
    let natives = natives.iter().map(|(siid, piid, data)| (At::new(*siid, *piid), data.clone())).collect();
    let state = State { natives, ..State::default() };
    let all = map.say(&state, |_| true);
    all.into_iter().find(|(target, _)| target.service == service)?.1.remove(property)
}

fn word(map: &Map, service: &str, property: &str, name: &str) -> Data {
    let values = &find(map, service, 0, property).values;
    Data::Int(values.iter().find(|(_, one)| one == name).unwrap_or_else(|| panic!("{name}: {values:?}")).0)
}

fn set(at: (u16, u16), data: Data) -> Step {
    Step::Set(vec![(At::new(at.0, at.1), data)])
}

#[test]
fn a_lamp_keeps_what_it_has_and_its_colour_survives() {
    let map = map(
        "light",
        json!([service(
            2,
            "light",
            json!([
                property(1, "on", "bool", "rwn", json!({})),
                property(2, "brightness", "uint16", "rwn", json!({"value-range": [1, 65535, 1]})),
                property(
                    3,
                    "color-temperature",
                    "uint32",
                    "rwn",
                    json!({"unit": "kelvin", "value-range": [2700, 6500, 1]})
                ),
                property(4, "color", "uint32", "rwn", json!({"unit": "rgb", "value-range": [0, 16_777_215, 1]})),
                property(5, "mode", "uint8", "rwn", list(&[(0, "Day"), (1, "Night"), (2, "Night")])),
                property(6, "flow", "string", "rw", json!({})),
            ]),
            json!([action(1, "toggle", &[])])
        )]),
    );
    assert_eq!((map.kind, ids(&map)), (DeviceKind::Light, vec!["light0".to_owned(), "more0".to_owned()]));
    let level = find(&map, "light", 0, "level");
    assert_eq!((level.range.unwrap().min, level.range.unwrap().step), (1.0, 1.0));
    assert_eq!(find(&map, "light", 0, "color-temperature").range.unwrap().min, 2700.0);
    let effects: Vec<&str> = find(&map, "light", 0, "effect").values.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(effects, ["day", "night", "night-2"]);
    assert_eq!((map.count.standard, map.count.more), (6, 1));

    let (light, mut state) = (Target::new("light"), State::default());
    for percent in [1, 2, 50, 99, 100] {
        let Step::Set(values) = map.write(&light, "level", &Data::Int(percent), &mut state).unwrap() else { panic!() };
        state.natives.extend(values);
        assert_eq!(map.say(&state, |at| at.thing == 2)[0].1["level"], Data::Int(percent));
    }
    for (hue, saturation) in [(0, 100), (120, 5), (359, 1), (200, 73), (17, 100)] {
        for (name, number) in [("hue", hue), ("saturation", saturation)] {
            let Step::Set(values) = map.write(&light, name, &Data::Int(number), &mut state).unwrap() else { panic!() };
            state.natives.extend(values);
        }
        let said = &map.say(&state, |at| at.thing == 4)[0].1;
        assert_eq!((&said["hue"], &said["saturation"]), (&Data::Int(hue), &Data::Int(saturation)));
    }
    assert_eq!(says(&map, &[(2, 4, Data::Int(0x00_ff_00))], "light", "hue"), Some(Data::Int(120)));
    assert_eq!(map.act(&light, "toggle", Inputs::new(), &state), Ok(Step::Act(At::new(2, 1), vec![])));
    for (name, data) in [("level", Data::Int(101)), ("level", Data::Bool(true)), ("effect", Data::Int(9))] {
        assert!(matches!(map.write(&light, name, &data, &mut state), Err(CallError::BadInput(_))), "{name}");
    }
    assert!(matches!(map.write(&light, "nothing", &Data::Int(1), &mut state), Err(CallError::Unsupported(_))));
}

#[test]
fn gangs_are_told_apart_and_switched_without_an_action() {
    let gang = |iid| service(iid, "switch", json!([property(1, "on", "bool", "rwn", json!({}))]), json!([]));
    let map = map("switch", json!([gang(2), gang(3), gang(4)]));
    assert_eq!(ids(&map), ["on-off0", "on-off1", "on-off2"]);
    assert_eq!(map.services[1].label.as_deref(), Some("switch"));
    let third = Target { service: "on-off".into(), instance: 2 };
    let mut state = State::default();
    assert_eq!(map.write(&third, "on", &true.into(), &mut state), Ok(set((4, 1), true.into())));
    assert!(matches!(map.act(&third, "toggle", Inputs::new(), &state), Err(CallError::Unreachable(_))));
    state.natives.insert(At::new(4, 1), true.into());
    assert_eq!(map.act(&third, "toggle", Inputs::new(), &state), Ok(set((4, 1), false.into())));
    let other = map.act(&third, "toggle", Inputs::from([("x".into(), true.into())]), &state);
    assert!(matches!(other, Err(CallError::BadInput(_))));
}

#[test]
fn a_climate_device_is_one_whatever_its_services() {
    let map = map(
        "air-conditioner",
        json!([
            service(
                2,
                "air-conditioner",
                json!([
                    property(1, "on", "bool", "rwn", json!({})),
                    property(
                        2,
                        "mode",
                        "uint8",
                        "rwn",
                        list(&[(2, "Cool"), (3, "Dry"), (4, "Fan"), (5, "Heat"), (8, "Eco Sleep")])
                    ),
                    property(
                        4,
                        "target-temperature",
                        "float",
                        "rwn",
                        json!({"unit": "celsius", "value-range": [16, 31, 0.5]})
                    ),
                ]),
                json!([])
            ),
            service(
                3,
                "fan-control",
                json!([
                    property(2, "fan-level", "uint8", "rwn", list(&[(0, "Auto"), (1, "Level 1"), (2, "Level 2")])),
                    property(4, "vertical-swing", "bool", "rwn", json!({})),
                ]),
                json!([])
            ),
            service(
                4,
                "environment",
                json!([property(
                    7,
                    "temperature",
                    "float",
                    "rn",
                    json!({"unit": "celsius", "value-range": [-30, 100, 0.1]})
                ),]),
                json!([])
            ),
            service(5, "alarm", json!([property(1, "alarm", "bool", "rwn", json!({}))]), json!([])),
        ]),
    );
    assert_eq!(ids(&map), ["climate0", "more0"]);
    let (climate, mut state) = (Target::new("climate"), State::default());
    let cool = word(&map, "climate", "mode", "cool");
    let natives = |on: bool, mode: i64| [(2, 1, on.into()), (2, 2, Data::Int(mode)), (4, 7, Data::Float(21.5))];
    assert_eq!(says(&map, &natives(true, 2), "climate", "mode"), Some(cool.clone()));
    assert_eq!(says(&map, &natives(true, 8), "climate", "mode"), Some(word(&map, "climate", "mode", "eco-sleep")));
    assert_eq!(says(&map, &natives(false, 2), "climate", "mode"), Some(word(&map, "climate", "mode", "off")));
    assert_eq!(says(&map, &natives(true, 2), "climate", "temperature"), Some(Data::Float(21.5)));
    let both = Step::Set(vec![(At::new(2, 1), true.into()), (At::new(2, 2), Data::Int(2))]);
    assert_eq!(map.write(&climate, "mode", &cool, &mut state), Ok(both));
    let off = word(&map, "climate", "mode", "off");
    assert_eq!(map.write(&climate, "mode", &off, &mut state), Ok(set((2, 1), false.into())));
    state.natives.insert(At::new(2, 1), true.into());
    assert_eq!(map.write(&climate, "mode", &cool, &mut state), Ok(set((2, 2), Data::Int(2))), "it is on already");
    let warm = map.write(&climate, "target", &Data::Float(21.3), &mut state);
    assert_eq!(warm, Ok(set((2, 4), Data::Float(21.5))), "in its own steps");
    let auto = word(&map, "climate", "fan-mode", "auto");
    assert_eq!(map.write(&climate, "fan-mode", &auto, &mut state), Ok(set((3, 2), Data::Int(0))));
    assert!(find(&map, "more", 0, "alarm").write, "{:?}", map.services);
}

#[test]
fn a_heater_without_modes_heats() {
    let map = map(
        "heater",
        json!([service(
            2,
            "heater",
            json!([
                property(1, "on", "bool", "rwn", json!({})),
                property(
                    5,
                    "target-temperature",
                    "float",
                    "rwn",
                    json!({"unit": "celsius", "value-range": [18, 28, 1]})
                ),
            ]),
            json!([])
        )]),
    );
    assert_eq!(says(&map, &[(2, 1, true.into())], "climate", "mode"), Some(word(&map, "climate", "mode", "heat")));
    let heat = word(&map, "climate", "mode", "heat");
    assert_eq!(map.write(&Target::new("climate"), "mode", &heat, &mut State::default()), Ok(set((2, 1), true.into())));
}

#[test]
fn a_curtain_says_where_it_is_and_where_it_goes() {
    let map = map(
        "curtain",
        json!([service(
            2,
            "curtain",
            json!([
                property(2, "motor-control", "uint8", "w", list(&[(0, "Pause"), (1, "Open"), (2, "Close")])),
                property(
                    3,
                    "current-position",
                    "uint8",
                    "rn",
                    json!({"unit": "percentage", "value-range": [0, 100, 1]})
                ),
                property(6, "status", "uint8", "rn", list(&[(0, "Stopped"), (1, "Opening"), (2, "Closing")])),
                property(
                    7,
                    "target-position",
                    "uint8",
                    "rwn",
                    json!({"unit": "percentage", "value-range": [0, 100, 1]})
                ),
            ]),
            json!([])
        )]),
    );
    assert_eq!((map.kind, ids(&map)), (DeviceKind::Cover, vec!["cover0".to_owned()]));
    let (cover, mut state) = (Target::new("cover"), State::default());
    assert_eq!(map.act(&cover, "stop", Inputs::new(), &state), Ok(set((2, 2), Data::Int(0))));
    assert_eq!(map.act(&cover, "open", Inputs::new(), &state), Ok(set((2, 2), Data::Int(1))));
    assert_eq!(map.write(&cover, "position", &Data::Int(40), &mut state), Ok(set((2, 7), Data::Int(40))));
    for (status, position, state) in
        [(0, 0, "closed"), (0, 100, "open"), (0, 40, "stopped"), (1, 0, "opening"), (2, 100, "closing")]
    {
        let natives = [(2, 3, Data::Int(position)), (2, 6, Data::Int(status))];
        assert_eq!(
            says(&map, &natives, "cover", "state"),
            Some(word(&map, "cover", "state", state)),
            "{status} {position}"
        );
        assert_eq!(says(&map, &natives, "cover", "position"), Some(Data::Int(position)));
    }
}

#[test]
fn opening_a_window_is_asked_each_time_and_a_curtain_is_not() {
    for (device, kind, asked) in
        [("window-opener", "window-opener", true), ("window-opener", "curtain", true), ("curtain", "curtain", false)]
    {
        let properties = json!([
            property(2, "motor-control", "uint8", "w", list(&[(0, "Pause"), (1, "Open"), (2, "Close")])),
            property(7, "target-position", "uint8", "rwn", json!({"unit": "percentage", "value-range": [0, 100, 1]})),
        ]);
        let map = map(device, json!([service(2, kind, properties, json!([]))]));
        let cover = map.services.iter().find(|one| one.id == "cover").unwrap();
        let open = cover.actions.iter().find(|one| one.id == "open").unwrap();
        assert_eq!(open.effect == Effect::Security, asked, "{device}: {kind}");
        assert_eq!(find(&map, "cover", 0, "position").effect == Effect::Security, asked, "{device}: {kind}");
    }
}

#[test]
fn a_vacuum_is_told_by_actions_of_several_services() {
    let map = map(
        "vacuum",
        json!([
            service(
                2,
                "vacuum",
                json!([
                    property(
                        1,
                        "status",
                        "uint8",
                        "rn",
                        list(&[
                            (1, "Sweeping"),
                            (2, "Idle"),
                            (3, "Paused"),
                            (4, "Error"),
                            (5, "Go Charging"),
                            (6, "Charging")
                        ])
                    ),
                    property(2, "fault", "uint8", "rn", list(&[(0, "No faults"), (7, "Wheel stuck")])),
                    property(3, "mode", "uint8", "rwn", list(&[(0, "Silent"), (1, "Basic")])),
                    property(4, "room-id", "string", "", json!({})),
                ]),
                json!([
                    action(1, "start-sweep", &[]),
                    action(2, "stop-sweeping", &[]),
                    action(3, "start-room-sweep", &[4])
                ])
            ),
            service(
                3,
                "battery",
                json!([property(
                    1,
                    "battery-level",
                    "uint8",
                    "rn",
                    json!({"unit": "percentage", "value-range": [0, 100, 1]})
                )]),
                json!([action(1, "start-charge", &[])])
            ),
            service(4, "identify", json!([]), json!([action(1, "identify", &[])])),
            service(
                9,
                "clean-logs",
                json!([property(1, "wifi-ssid", "string", "r", json!({}))]),
                json!([action(1, "reset-log", &[])])
            ),
        ]),
    );
    let vacuum = &map.services[0];
    let acts: Vec<&str> = vacuum.actions.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(acts, ["start", "stop", "dock", "locate"]);
    assert_eq!(says(&map, &[(2, 1, Data::Int(6))], "vacuum", "state"), Some(word(&map, "vacuum", "state", "docked")));
    assert_eq!(
        says(&map, &[(2, 1, Data::Int(5))], "vacuum", "state"),
        Some(word(&map, "vacuum", "state", "returning"))
    );
    assert_eq!(says(&map, &[(2, 2, Data::Int(7))], "vacuum", "error"), Some("Wheel stuck".into()));
    assert_eq!(says(&map, &[(2, 2, Data::Int(0))], "vacuum", "error"), Some("".into()));
    let more = map.services.iter().find(|one| one.id == "more").unwrap();
    assert_eq!(
        more.actions.iter().map(|one| (one.id.as_str(), one.effect)).collect::<Vec<_>>(),
        [("vacuum-start-room-sweep", Effect::Physical), ("clean-logs-reset-log", Effect::Destructive)]
    );
    let rooms = Inputs::from([("room-id".into(), "1,2".into())]);
    let step = map.act(&Target::new("more"), "vacuum-start-room-sweep", rooms, &State::default());
    assert_eq!(step, Ok(Step::Act(At::new(2, 3), vec![(At::new(2, 4), "1,2".into())])));
    let none = map.act(&Target::new("more"), "vacuum-start-room-sweep", Inputs::new(), &State::default());
    assert!(matches!(none, Err(CallError::BadInput(_))));
    assert_eq!(map.count.left, BTreeMap::from([(Left::Personal, 1), (Left::OnlyInput, 1)]));
}

#[test]
fn sensors_say_what_they_feel_and_a_lock_is_only_read() {
    let map = map(
        "magnet-sensor",
        json!([
            service(2, "magnet-sensor", json!([property(1, "contact-state", "bool", "rn", json!({}))]), json!([])),
            service(
                3,
                "motion-sensor",
                json!([
                    property(1, "motion-state", "uint8", "rn", list(&[(0, "No Motion"), (1, "Motion")])),
                    property(2, "illumination", "float", "rn", json!({"unit": "lux"})),
                ]),
                json!([])
            ),
            service(
                4,
                "battery",
                json!([property(2, "charging-state", "uint8", "rn", list(&[(1, "Charging"), (2, "Not Charging")]))]),
                json!([])
            ),
        ]),
    );
    assert_eq!(says(&map, &[(2, 1, true.into())], "contact", "open"), Some(false.into()));
    assert_eq!(says(&map, &[(3, 1, Data::Int(1))], "occupancy", "occupied"), Some(true.into()));
    assert_eq!(says(&map, &[(3, 1, Data::Int(0))], "occupancy", "occupied"), Some(false.into()));
    assert_eq!(says(&map, &[(4, 2, Data::Int(2))], "battery", "charging"), Some(false.into()));
    assert_eq!(find(&map, "illuminance", 0, "illuminance").format, Format::Float);

    let lock = json!([service(
        2,
        "lock",
        json!([
            property(1, "lock-state", "uint8", "rn", list(&[(1, "Locked"), (2, "Unlocked"), (3, "Jammed")])),
            property(2, "auto-lock", "bool", "rwn", json!({})),
            property(3, "secret-mode", "bool", "w", json!({})),
        ]),
        json!([action(1, "remote-unlock", &[])])
    )]);
    let map = super::tests::map("lock", lock);
    assert_eq!(says(&map, &[(2, 1, Data::Int(1))], "door-lock", "locked"), Some(true.into()));
    assert_eq!(
        says(&map, &[(2, 1, Data::Int(3))], "door-lock", "state"),
        Some(word(&map, "door-lock", "state", "jammed"))
    );
    let all: Vec<&Property> = map.services.iter().flat_map(|one| &one.properties).collect();
    assert!(all.iter().all(|one| !one.write), "{all:?}");
    assert!(map.services.iter().all(|one| one.actions.is_empty()));
    assert_eq!(map.count.left, BTreeMap::from([(Left::Locked, 2)]));
}

#[test]
fn levels_without_names_are_hundredths_and_those_with_auto_are_modes() {
    let map = map(
        "fan",
        json!([service(
            2,
            "fan",
            json!([
                property(1, "on", "bool", "rwn", json!({})),
                property(
                    2,
                    "fan-level",
                    "uint8",
                    "rwn",
                    list(&[(1, "Level1"), (2, "Level2"), (3, "Level3"), (4, "Level4")])
                ),
                property(3, "mode", "uint8", "rwn", list(&[(0, "Straight Wind"), (1, "Natural Wind")])),
                property(4, "horizontal-swing", "bool", "rwn", json!({})),
                property(6, "off-delay-time", "uint16", "rwn", json!({"unit": "minutes", "value-range": [0, 480, 1]})),
            ]),
            json!([action(1, "toggle", &[])])
        )]),
    );
    let mut state = State::default();
    let percent = find(&map, "fan", 0, "percent").range.unwrap();
    assert_eq!((percent.min, percent.max, percent.step), (25.0, 100.0, 25.0));
    assert_eq!(map.write(&Target::new("fan"), "percent", &Data::Int(60), &mut state), Ok(set((2, 2), Data::Int(2))));
    assert_eq!(says(&map, &[(2, 2, Data::Int(3))], "fan", "percent"), Some(Data::Int(75)));
    let delay = find(&map, "more", 0, "fan-off-delay-time");
    assert_eq!((delay.unit, delay.range.unwrap().max), (Some(accord_model::Unit::Second), 28_800.0));
    let hour = map.write(&Target::new("more"), "fan-off-delay-time", &Data::Int(3600), &mut state);
    assert_eq!(hour, Ok(set((2, 6), Data::Int(60))));
    assert_eq!(says(&map, &[(2, 6, Data::Int(60))], "more", "fan-off-delay-time"), Some(Data::Int(3600)));
}

#[test]
fn a_spec_of_two_thousand_properties_is_shown_within_bounds() {
    let properties = (1..=1000).map(|piid| property(piid, "x", "uint8", "rn", json!({}))).collect::<Vec<_>>();
    let map = map(
        "lab",
        json!([service(2, "a", json!(properties), json!([])), service(3, "b", json!(properties), json!([]))]),
    );
    assert_eq!((map.count.more, map.count.left[&Left::TooMany]), (300, 1700));
    let device = serde_json::to_vec(&map.services).unwrap();
    assert!(device.len() < accord_model::message::MAX_MESSAGE / 2, "{}", device.len());
}
