use accord_model::{Data, DeviceId, DeviceKind, FromBridge, Outputs, Reach, Target, Timestamp, Verb};
use proptest::prelude::*;

use super::{Left, MOST_ENDPOINTS, Node, Order, Path};
use crate::core::value::Value;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const LATER: Timestamp = Timestamp::constant(60, 0);

fn id() -> DeviceId {
    DeviceId::new("matter-1").unwrap()
}

fn uint(number: u64) -> Value {
    Value::Uint(number)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn types(all: &[u64]) -> Value {
    Value::List(all.iter().map(|one| Value::Struct(vec![(0, uint(*one)), (1, uint(1))])).collect())
}

fn parts(all: &[u64]) -> Value {
    Value::List(all.iter().copied().map(Value::Uint).collect())
}

type Report = Vec<(Path, Option<Value>)>;

fn at(endpoint: u16, cluster: u32, attribute: u32, value: Value) -> (Path, Option<Value>) {
    (Path::new(endpoint, cluster, attribute), Some(value))
}

/// A bridge with a lamp (3) and a sensor (4), which is composed of two endpoints (5, 6).
fn bridge() -> Report {
    vec![
        at(0, 0x1D, 0, types(&[0x16])),
        at(0, 0x28, 1, text("Maker")),
        at(0, 0x28, 3, text("Bridge 1")),
        at(0, 0x28, 0x0A, text("1.2.3")),
        at(1, 0x1D, 0, types(&[0x0E])),
        at(1, 0x1D, 3, parts(&[3, 4, 5, 6])),
        at(3, 0x1D, 0, types(&[0x13, 0x0101])),
        at(3, 0x39, 5, text(" Desk ")),
        at(3, 0x39, 0x11, Value::Bool(true)),
        at(3, 0x39, 0x12, text("unique-3")),
        at(3, 0x06, 0, Value::Bool(false)),
        at(3, 0x08, 0, uint(100)),
        at(4, 0x1D, 0, types(&[0x13])),
        at(4, 0x1D, 3, parts(&[5, 6])),
        at(4, 0x39, 3, text("Climate 2")),
        at(4, 0x39, 0x11, Value::Bool(false)),
        at(5, 0x1D, 0, types(&[0x0302])),
        at(5, 0x402, 0, Value::Int(2100)),
        at(6, 0x1D, 0, types(&[0x0307])),
        at(6, 0x405, 0, uint(5000)),
    ]
}

fn full(report: Report) -> Node {
    let mut node = Node::new(id());
    node.report(report, NOW);
    node
}

fn named(node: &Node, name: &str) -> accord_model::Device {
    let mut all = node.ids().filter_map(|id| node.describe(id));
    all.find(|device| device.name == name).unwrap_or_else(|| panic!("no `{name}`"))
}

#[test]
fn what_is_behind_a_bridge_is_a_device_of_its_own() {
    let mut node = Node::new(id());
    let told = node.report(bridge(), NOW);
    assert_eq!((told.seen.len(), told.seen[0].clone(), told.gone.len()), (3, id(), 0));
    let hub = named(&node, "Bridge 1");
    assert_eq!((hub.kind, hub.maker.as_deref(), hub.via), (DeviceKind::Hub, Some("Maker"), None));
    assert_eq!(hub.services[0].values["software"].data, Data::from("1.2.3"));
    let lamp = named(&node, "Desk");
    assert_eq!((lamp.kind, lamp.reach, lamp.via), (DeviceKind::Light, Reach::Local, Some(id())));
    let sensor = named(&node, "Climate 2");
    assert_eq!((sensor.kind, sensor.reach), (DeviceKind::Sensor, Reach::Offline), "its bridge does not reach it");
    assert!(sensor.service("temperature").is_some() && sensor.service("humidity").is_some(), "composed");
}

#[test]
fn a_bridged_device_keeps_its_name_for_good() {
    let before = named(&full(bridge()), "Desk").id;
    let moved = bridge().into_iter().map(|(mut path, value)| {
        path.endpoint = if path.endpoint == 3 { 33 } else { path.endpoint };
        (path, value)
    });
    assert_eq!(named(&full(moved.collect()), "Desk").id, before, "on another endpoint");
    // Two that say they are the same are two all the same.
    let mut both = bridge();
    both.extend([at(9, 0x1D, 0, types(&[0x13])), at(9, 0x39, 5, text("Twin")), at(9, 0x39, 0x12, text("unique-3"))]);
    let node = full(both);
    assert_ne!(named(&node, "Desk").id, named(&node, "Twin").id);
    // Another node's are others.
    let mut other = Node::new(DeviceId::new("matter-2").unwrap());
    other.report(bridge(), NOW);
    assert_ne!(named(&other, "Desk").id, before);
}

#[test]
fn only_what_changed_is_told() {
    let mut node = full(bridge());
    let desk = named(&node, "Desk").id;
    let told = node.report([at(3, 0x06, 0, Value::Bool(true))], LATER);
    assert!(told.seen.is_empty() && told.gone.is_empty());
    let [FromBridge::Values { device, target, values }] = &told.values[..] else { panic!("{told:?}") };
    assert_eq!((device, target, values.len()), (&desk, &Target::new("light"), 1));
    assert_eq!((values["on"].data.clone(), values["on"].seen), (Data::Bool(true), LATER));
    // What was told again is told, so that a write of what is so already is confirmed.
    assert_eq!(node.report([at(3, 0x06, 0, Value::Bool(true))], LATER).values.len(), 1);
    let lamp = node.describe(&desk).unwrap();
    assert_eq!(lamp.services[0].values["level"].seen, NOW, "and the rest keeps its age");
    // Nothing is left of a value that is null.
    let told = node.report([at(3, 0x08, 0, Value::Null)], LATER);
    assert_eq!((told.seen, told.values.len()), (vec![desk.clone()], 0));
    // Which does not hide what else changed: many a lamp has no level while it is off.
    node.report([at(3, 0x08, 0, uint(9))], LATER);
    let told = node.report([at(3, 0x06, 0, Value::Bool(false)), at(3, 0x08, 0, Value::Null)], LATER);
    let [FromBridge::Values { values, .. }] = &told.values[..] else { panic!("{told:?}") };
    assert_eq!((told.seen.len(), &values["on"].data, values.len()), (1, &Data::Bool(false), 1));
    assert!(!node.describe(&desk).unwrap().services[0].values.contains_key("level"));
}

#[test]
fn what_goes_and_what_comes_is_told() {
    let mut node = full(bridge());
    let (desk, climate) = (named(&node, "Desk").id, named(&node, "Climate 2").id);
    let told = node.report([at(4, 0x39, 0x11, Value::Bool(true))], LATER);
    assert_eq!((told.seen, node.describe(&climate).unwrap().reach), (vec![climate.clone()], Reach::Local));
    let told = node.report([at(3, 0x39, 5, text("Shelf"))], LATER);
    assert_eq!(
        (told.seen, named(&node, "Shelf").id),
        (vec![desk.clone()], desk.clone()),
        "its name is not its identity"
    );
    // Read anew without the lamp.
    node.begin();
    node.report(bridge().into_iter().filter(|(path, _)| path.endpoint != 3), LATER);
    let told = node.complete(LATER);
    assert_eq!(told.gone, std::slice::from_ref(&desk));
    assert!(!node.has(&desk) && node.describe(&desk).is_none());
    let order = node.order(&desk, &Target::new("light"), Verb::Read { properties: vec![] }, LATER);
    assert!(order.is_err());
    assert_eq!(node.coverage().all(), 15 - 1, "attributes of the lamp are gone, too");
    // And with it again.
    node.begin();
    assert!(node.report(bridge(), LATER).seen.contains(&desk));
    assert_eq!(node.complete(LATER), super::Told::default());
}

#[test]
fn endpoints_alike_are_told_apart_by_what_they_are_called() {
    let label = |word: &str| Value::List(vec![Value::Struct(vec![(0, text("Name")), (1, text(word))])]);
    let tag = |tag| Value::List(vec![Value::Struct(vec![(0, Value::Null), (1, uint(8)), (2, uint(tag))])]);
    let node = full(vec![
        at(1, 0x1D, 0, types(&[0x0100])),
        at(1, 0x06, 0, Value::Bool(false)),
        at(1, 0x41, 0, label("Over\u{202e} the table")),
        at(2, 0x1D, 0, types(&[0x0100])),
        at(2, 0x06, 0, Value::Bool(true)),
        at(2, 0x1D, 4, tag(1)),
        at(7, 0x1D, 0, types(&[0x0100])),
        at(7, 0x06, 0, Value::Bool(true)),
    ]);
    let device = node.describe(&id()).unwrap();
    let labels: Vec<(u16, Option<&str>)> =
        device.services.iter().map(|one| (one.instance, one.label.as_deref())).collect();
    assert_eq!(labels, [(0, Some("Over\u{fffd} the table")), (1, Some("Right")), (2, None)]);
    assert_eq!(device.name, "Matter light", "nothing said what it is called");
}

#[test]
fn buttons_are_heard_once() {
    let pressed = |features: u64, event: u32, data: Value| {
        let node =
            full(vec![at(2, 0x1D, 0, types(&[0x0F])), at(2, 0x3B, 0, uint(2)), at(2, 0x3B, 0xFFFC, uint(features))]);
        match node.event(2, 0x3B, event, &data)? {
            FromBridge::Event { target, event, arguments, .. } => {
                assert_eq!((target, event.as_str()), (Target::new("button"), "pressed"));
                arguments["kind"].as_text().map(str::to_owned)
            }
            other => panic!("{other:?}"),
        }
    };
    let none = || Value::Struct(vec![]);
    let times = |times| Value::Struct(vec![(0, uint(1)), (1, uint(times))]);
    let all = 0b1_1110;
    assert_eq!(pressed(0b10, 1, none()).as_deref(), Some("single"), "it tells no more");
    assert_eq!(pressed(all, 1, none()), None);
    assert_eq!(pressed(all, 3, none()), None);
    assert_eq!(pressed(0b110, 3, none()).as_deref(), Some("single"));
    assert_eq!(pressed(all, 6, times(1)).as_deref(), Some("single"));
    assert_eq!(pressed(all, 6, times(2)).as_deref(), Some("double"));
    assert_eq!(pressed(all, 6, times(5)).as_deref(), Some("5-times"));
    assert_eq!(pressed(all, 2, none()).as_deref(), Some("hold"));
    assert_eq!(pressed(all, 4, none()).as_deref(), Some("release"));
    assert_eq!(pressed(1, 0, Value::Struct(vec![(0, uint(1))])).as_deref(), Some("position-1"));
    assert_eq!(pressed(all, 99, none()), None);
    let lamp = full(vec![at(2, 0x06, 0, Value::Bool(true))]);
    assert_eq!(lamp.event(2, 0x06, 0, &none()), None);
    assert_eq!(lamp.event(9, 0x3B, 1, &none()), None);
}

#[test]
fn of_networks_keys_and_persons_nothing_is_shown() {
    let secret = "canary";
    let hidden = [
        (0x33, 0),
        (0x35, 2),
        (0x36, 0),
        (0x28, 6),
        (0x28, 0x12),
        (0x1F, 0),
        (0x3E, 0),
        (0x3E, 4),
        (0x3F, 0),
        (0x31, 1),
    ];
    let mut report: Report = hidden.iter().map(|(cluster, one)| at(0, *cluster, *one, text(secret))).collect();
    report.push(at(0, 0x33, 2, uint(77)));
    report.push(at(0, 0x28, 0x0F, text("serial")));
    report.push(at(0, 0xFFF1_FC01, 6, Value::Bytes(secret.as_bytes().to_vec())));
    report.push(at(0, 0xFFF1_FC01, 5, Value::List(vec![uint(1), text("x")])));
    let node = full(report);
    let device = node.describe(&id()).unwrap();
    let json = serde_json::to_string(&device).unwrap();
    assert!(!json.contains(secret) && !json.contains("63616e617279"), "also not in hexadecimal");
    let more = device.service("more").unwrap();
    assert_eq!(more.values["general-diagnostics-up-time"].data, Data::Int(77));
    assert_eq!(more.values["cluster-fff1fc01-attribute-0005"].data, Data::from(r#"[1,"x"]"#));
    let serial = more.properties.iter().find(|one| one.id == "basic-information-serial-number").unwrap();
    assert_eq!(serial.sensitive, Some(accord_model::FieldCode::HomeDeviceId));
    let coverage = node.coverage();
    assert_eq!(
        (coverage.more, coverage.left_out[&Left::Sensitive], coverage.left_out[&Left::Administration]),
        (3, 7, 3)
    );
}

#[test]
fn a_node_that_tells_too_much_is_cut() {
    let long = |node: &Node| serde_json::to_string(&node.describe(&id()).unwrap()).unwrap().len();
    let mut node = Node::new(id());
    node.report((0..3000).map(|n| at(u16::try_from(n).unwrap(), 0x06, 0, Value::Bool(true))), NOW);
    assert_eq!(node.coverage().all(), 3000, "counted");
    assert!(node.coverage().left_out[&Left::TooMany] >= 3000 - MOST_ENDPOINTS);
    assert!(long(&node) < accord_model::message::MAX_MESSAGE);
    // Long texts of characters that are long themselves, in many places, and many names of modes.
    let mut node = Node::new(id());
    let text_of = |c: char| text(&c.to_string().repeat(2000));
    let mode = |n| Value::Struct(vec![(0, text_of('\u{1f600}')), (1, uint(n))]);
    let modes = Value::List((0..200).map(mode).collect());
    node.report((0..40).map(|n| at(n, 0x51, 0, modes.clone())), NOW);
    node.report((0..50_000).map(|n| at(u16::try_from(n % 9).unwrap(), 0xFFF1_0000, n, text_of('"'))), NOW);
    node.report((0..900).map(|n| at(u16::try_from(n % 9).unwrap(), 0xFFF2_0000, n, text_of('\u{1f600}'))), NOW);
    assert!(long(&node) < accord_model::message::MAX_MESSAGE, "{}", long(&node));
    assert_eq!(node.coverage().all(), 50_940);
    assert!(node.bytes <= super::MOST_BYTES);
    // What has no room any more is not known any more.
    let mut node = Node::new(id());
    node.report([at(1, 0x06, 0, Value::Bool(true)), at(0, 0x28, 3, text("x"))], NOW);
    node.report((0..400).map(|n| at(2, 0xFFF1_0000, n, text(&"x".repeat(60_000)))), NOW);
    node.report([at(0, 0x28, 3, text(&"y".repeat(60_000)))], NOW);
    assert_eq!(node.describe(&id()).unwrap().model, None);
    node.report([(Path::new(2, 0xFFF1_0000, 0), None), at(0, 0x28, 3, text("z"))], NOW);
    assert_eq!(node.describe(&id()).unwrap().model.as_deref(), Some("z"), "there is room again");
}

#[test]
fn a_read_is_answered_from_what_was_told() {
    let mut node = full(bridge());
    let desk = named(&node, "Desk").id;
    let order = node.order(&desk, &Target::new("light"), Verb::Read { properties: vec!["on".into()] }, NOW).unwrap();
    assert_eq!(order, Order::Read(Outputs::from([("on".to_owned(), Data::Bool(false))])));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (0u64..300).prop_map(Value::Uint),
        any::<u64>().prop_map(Value::Uint),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        ".{0,8}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::vec((0u8..6, inner), 0..4).prop_map(Value::Struct),
        ]
    })
}

fn any_path() -> impl Strategy<Value = Path> {
    let cluster = prop_oneof![
        proptest::sample::select(vec![
            0x03u32, 0x06, 0x08, 0x1D, 0x28, 0x2F, 0x39, 0x3B, 0x40, 0x41, 0x45, 0x50, 0x54, 0x55, 0x5B, 0x5C, 0x60,
            0x61, 0x81, 0x90, 0x91, 0x101, 0x102, 0x104, 0x201, 0x202, 0x300, 0x400, 0x402, 0x403, 0x404, 0x405, 0x406,
            0x40C, 0x40D, 0x42E,
        ]),
        any::<u32>(),
    ];
    let attribute = prop_oneof![0u32..0x30, Just(0xFFFC), Just(0xFFF9), Just(0xFFFB), 0x4000u32..0x4011, any::<u32>()];
    (0u16..5, cluster, attribute).prop_map(|(endpoint, cluster, attribute)| Path::new(endpoint, cluster, attribute))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        crate::core::fuzzing::node(&bytes);
    }

    #[test]
    fn whatever_a_node_tells_becomes_devices_that_say_what_they_describe(
        report in proptest::collection::vec((any_path(), proptest::option::weighted(0.9, any_value())), 1..60),
    ) {
        let mut node = Node::new(id());
        let mut whole = Node::new(id());
        for one in &report {
            node.report([one.clone()], NOW);
        }
        whole.report(report, NOW);
        let ids: Vec<DeviceId> = node.ids().cloned().collect();
        prop_assert_eq!(&ids, &whole.ids().cloned().collect::<Vec<_>>());
        for id in ids {
            let device = node.describe(&id).unwrap();
            prop_assert_eq!(&device, &whole.describe(&id).unwrap(), "piece by piece as at once");
            for service in &device.services {
                for (property, value) in &service.values {
                    let known = service.properties.iter().find(|one| one.id == *property).unwrap();
                    let mut free = known.clone();
                    free.range = None;
                    prop_assert_eq!(free.fit(value.data.clone()), Ok(value.data.clone()), "{} {}", &service.id, property);
                }
                let target = Target { service: service.id.clone(), instance: service.instance };
                for property in &service.properties {
                    for data in [Data::Bool(true), Data::Int(1), Data::Int(50), Data::Float(21.0), Data::from("x")] {
                        let verb = Verb::Write { property: property.id.clone(), data };
                        if let Ok(Order::Send(command)) = node.order(&id, &target, verb, NOW) {
                            prop_assert!(property.write && command.data().is_ok());
                        }
                    }
                }
                for action in &service.actions {
                    let _ = node.order(&id, &target, Verb::Act { action: action.id.clone(), inputs: Default::default() }, NOW);
                }
            }
        }
    }
}
