use super::orders::Order;
use super::*;
use crate::core::words::{Answer, Message, read};
use accord_model::{CallError, Verb};
use serde_json::{Value as Json, json};

fn now() -> Timestamp {
    Timestamp::from_second(2_000_000_000).unwrap()
}

fn server() -> DeviceId {
    DeviceId::new("homeassistant-1").unwrap()
}

fn event(event: Json) -> Event {
    let text = json!({"id": 1, "type": "event", "event": event}).to_string();
    match read(text.as_bytes()).unwrap().remove(0) {
        Message::Event(_, event) => *event,
        other => panic!("{other:?}"),
    }
}

fn items(result: Json) -> Answer {
    let text = json!({"id": 1, "type": "result", "success": true, "result": result}).to_string();
    match read(text.as_bytes()).unwrap().remove(0) {
        Message::Result(_, Ok(answer)) => *answer,
        other => panic!("{other:?}"),
    }
}

fn registries(areas: Json, devices: Json, entities: Json) -> Registries {
    let (areas, devices, entities) = (items(areas), items(devices), items(entities));
    let beyond = areas.beyond + devices.beyond + entities.beyond;
    Registries { areas: areas.items, devices: devices.items, entities: entities.items, beyond }
}

fn devices(told: &[FromBridge]) -> Vec<&Device> {
    told.iter().filter_map(|one| if let FromBridge::Seen { device } = one { Some(device) } else { None }).collect()
}

/// A plug with a meter and a lamp without a device.
fn plug() -> (Home, DeviceId) {
    let mut home = Home::new(server(), now());
    home.registries(
        registries(
            json!([{"area_id": "kitchen", "name": "Kitchen"}]),
            json!([{"id": "d1", "name": "Plug", "name_by_user": "Kettle", "manufacturer": "Maker", "model": "P1",
                "area_id": "kitchen", "connections": [["mac", "a4:cf:12:00:00:01"], ["zigbee", "x"]]}]),
            json!({"entities": [
                {"ei": "switch.plug", "di": "d1"},
                {"ei": "sensor.plug_power", "di": "d1", "en": "Power"},
                {"ei": "sensor.plug_energy", "di": "d1", "en": "Energy"},
                {"ei": "switch.plug_led", "di": "d1", "en": "LED", "ec": 0},
                {"ei": "sensor.plug_signal", "di": "d1", "en": "Signal", "ec": 1},
                {"ei": "light.lamp", "ai": "kitchen", "en": "Ceiling"}]}),
        ),
        now(),
    );
    let told = home.states(
        event(json!({"a": {
            "switch.plug": {"s": "on", "a": {"device_class": "outlet"}, "lc": 1_999_999_000.5},
            "sensor.plug_power": {"s": "1.5", "a": {"device_class": "power", "unit_of_measurement": "kW"}, "lc": 3e9},
            "sensor.plug_energy": {"s": "7", "a": {"device_class": "energy", "unit_of_measurement": "kWh"}, "lc": 1},
            "switch.plug_led": {"s": "off", "a": {}},
            "sensor.plug_signal": {"s": "-60", "a": {"unit_of_measurement": "dBm"}},
            "light.lamp": {"s": "off", "a": {"supported_color_modes": ["hs"], "friendly_name": "Ceiling"}},
            "person.me": {"s": "home", "a": {}}}})),
        now(),
    );
    let id = devices(&told).iter().find(|one| one.name == "Kettle").expect("the plug").id.clone();
    assert_eq!(told.len(), 2, "and where somebody is, is not told");
    (home, id)
}

fn seen(home: &Home, id: &DeviceId) -> Device {
    home.describe(id, &home.devices[id], now()).0
}

#[test]
fn entities_of_one_device_are_one_device() {
    let (home, id) = plug();
    let device = seen(&home, &id);
    assert_eq!(
        (device.kind, device.room.as_deref(), device.maker.as_deref()),
        (DeviceKind::Plug, Some("Kitchen"), Some("Maker"))
    );
    assert_eq!((device.via.as_ref(), device.reach), (Some(&server()), Reach::Local));
    let ids: Vec<&str> = device.services.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["on-off", "electricity", "more", "pairing"]);
    let electricity = &device.services[1];
    assert_eq!(electricity.values["power"].data, Data::Float(1500.0));
    assert_eq!(electricity.values["power"].seen, now(), "nothing was said in the future");
    assert_eq!(electricity.values["energy"].seen, Timestamp::from_second(1).unwrap());
    let more: Vec<&str> = device.services[2].properties.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(more, ["led", "signal-dbm"]);
    assert!(!device.claims.is_broadcast() && device.claims.share_id(&Claims::peer([]).hardware("A4CF12000001")));
    let lamp = home.of.get("light.lamp").map(|id| seen(&home, id)).unwrap();
    assert_eq!((lamp.name.as_str(), lamp.room.as_deref(), lamp.kind), ("Ceiling", Some("Kitchen"), DeviceKind::Light));
}

#[test]
fn changes_are_told_as_values_and_only_what_changed() {
    let (mut home, id) = plug();
    let told = home.states(event(json!({"c": {"switch.plug": {"+": {"s": "off", "lc": 1_999_999_500.0}}}})), now());
    let [FromBridge::Values { device, target, values }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((device, target.service.as_str(), values["on"].data.clone()), (&id, "on-off", Data::Bool(false)));
    assert_eq!(values["on"].seen, Timestamp::from_second(1_999_999_500).unwrap());
    let told = home.states(event(json!({"c": {"sensor.plug_energy": {"+": {"a": {"icon": "mdi:x"}}}}})), now());
    assert_eq!(told, [], "what nobody reads is not told");
    let told = home
        .states(event(json!({"c": {"switch.plug_led": {"+": {"s": "on"}}, "light.nope": {"+": {"s": "on"}}}})), now());
    let [FromBridge::Values { values, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(values["led"].data, Data::Bool(true));
}

#[test]
fn what_is_unavailable_has_no_values_and_is_offline_when_all_of_it_is() {
    let (mut home, id) = plug();
    let told = home.states(event(json!({"c": {"switch.plug": {"+": {"s": "unavailable"}}}})), now());
    let device = devices(&told)[0].clone();
    assert!(device.services[0].values.is_empty() && device.reach == Reach::Local);
    let error = home.order(
        &id,
        &Target::new("on-off"),
        Verb::Write { property: "on".into(), data: true.into() },
        Instant::now(),
    );
    assert!(matches!(error, Err(CallError::Unreachable(_))), "it would say yes and do nothing: {error:?}");
    let rest: Json = ["sensor.plug_power", "sensor.plug_energy", "switch.plug_led", "sensor.plug_signal"]
        .map(|id| (id.to_owned(), json!({"+": {"s": "unavailable"}})))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into();
    let told = home.states(event(json!({"c": rest})), now());
    assert_eq!(devices(&told)[0].reach, Reach::Offline);
    let told = home.states(event(json!({"c": {"switch.plug": {"+": {"s": "on"}}}})), now());
    assert_eq!((devices(&told)[0].reach, devices(&told)[0].services[0].values.len()), (Reach::Local, 1));
}

#[test]
fn attributes_that_vanish_take_their_values_along() {
    let (mut home, _) = plug();
    let on = json!({"c": {"light.lamp": {"+": {"s": "on", "a": {"brightness": 255, "color_mode": "hs", "hs_color": [10, 20]}}}}});
    let told = home.states(event(on), now());
    let [FromBridge::Values { values, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(values.len(), 4, "{values:?}");
    let off = json!({"c": {"light.lamp": {"+": {"s": "off"}, "-": {"a": ["brightness", "color_mode", "hs_color"]}}}});
    let told = home.states(event(off), now());
    let light = devices(&told)[0].service("light").unwrap().clone();
    assert_eq!(light.values.keys().collect::<Vec<_>>(), ["on"]);
    // What it says beside that is told as well, afterwards: whoever switched it off waits for that.
    let [FromBridge::Seen { .. }, FromBridge::Values { target, values, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((target.service.as_str(), values.len(), &values["on"].data), ("light", 1, &Data::Bool(false)));
    // Also by what is there again, and by what can do something else from now on.
    let id = home.of["switch.plug"].clone();
    for (state, said) in [("unavailable", None), ("on", Some(true))] {
        let told = home.states(event(json!({"c": {"switch.plug": {"+": {"s": state}}}})), now());
        let values = told.iter().find_map(|one| match one {
            FromBridge::Values { device, values, .. } if *device == id => values["on"].data.as_bool(),
            _ => None,
        });
        assert_eq!((values, devices(&told).len()), (said, 1), "{told:?}");
    }
}

#[test]
fn hue_and_saturation_go_together() {
    let (mut home, _) = plug();
    let id = home.of["light.lamp"].clone();
    let write = |home: &mut Home, property: &str, number: i64, at: Instant| {
        let verb = Verb::Write { property: property.into(), data: number.into() };
        match home.order(&id, &Target::new("light"), verb, at).unwrap() {
            Order::Call(call) => call.data["hs_color"].to_string(),
            other => panic!("{other:?}"),
        }
    };
    let start = Instant::now();
    assert_eq!(write(&mut home, "hue", 200, start), "[200,100.0]");
    assert_eq!(write(&mut home, "saturation", 40, start), "[200.0,40]", "the lamp has not said yet that it is 200");
    assert_eq!(write(&mut home, "saturation", 30, start + std::time::Duration::from_secs(9)), "[0.0,30]");
}

#[test]
fn what_it_is_not_or_cannot_is_refused() {
    let (mut home, id) = plug();
    let mut order = |service: &str, verb: Verb| home.order(&id, &Target::new(service), verb, Instant::now());
    let write = |property: &str, data: Data| Verb::Write { property: property.into(), data };
    assert!(matches!(order("electricity", write("power", 1.0.into())), Err(CallError::Unsupported(_))));
    assert!(matches!(order("on-off", write("on", 3i64.into())), Err(CallError::BadInput(_))));
    assert!(matches!(order("on-off", write("level", 3i64.into())), Err(CallError::Unsupported(_))));
    let act = Verb::Act { action: "explode".into(), inputs: Default::default() };
    assert!(matches!(order("on-off", act), Err(CallError::Unsupported(_))));
    let inputs = [("entity_id".to_owned(), Data::from("lock.front_door"))].into();
    let act = Verb::Act { action: "toggle".into(), inputs };
    assert!(matches!(order("on-off", act), Err(CallError::BadInput(_))), "nobody names another entity");
    let Ok(Order::Call(call)) = order("more", write("led", true.into())) else { panic!() };
    assert_eq!((call.entity.as_str(), call.service.as_str()), ("switch.plug_led", "turn_on"));
    let Ok(Order::Read(values)) = order("electricity", Verb::Read { properties: vec!["power".into()] }) else {
        panic!()
    };
    assert_eq!(values.len(), 1);
}

#[test]
fn what_is_hidden_for_a_while_is_shown_as_it_is_by_then() {
    let (mut home, _) = plug();
    let lamp =
        |hidden: bool| registries(json!([]), json!([]), json!({"entities": [{"ei": "light.lamp", "hb": hidden}]}));
    let told = home.registries(lamp(true), now());
    assert!(!devices(&told).iter().any(|one| one.name == "Ceiling"), "{told:?}");
    let bright = json!({"+": {"s": "on", "a": {"brightness": 255, "color_mode": "hs"}}});
    assert_eq!(home.states(event(json!({"c": {"light.lamp": bright}})), now()), []);
    // One that is hidden from its beginning, too.
    home.states(event(json!({"a": {"person.guest": {"s": "home", "a": {}}}})), now());
    assert_eq!(home.now["person.guest"].state, "home");
    let told = home.registries(lamp(false), now());
    let light =
        devices(&told).into_iter().find(|one| one.name == "Ceiling").expect("the lamp").service("light").unwrap();
    assert_eq!((light.values["on"].data.clone(), light.values["level"].data.clone()), (true.into(), 100i64.into()));
}

#[test]
fn buttons_tell_that_they_were_pressed_and_not_that_they_were_once() {
    let mut home = Home::new(server(), now());
    home.registries(Registries::default(), now());
    let pressed = |state: &str, kind: &str| json!({"s": state, "a": {"event_types": ["single"], "event_type": kind}});
    let told = home.states(event(json!({"a": {"event.button": pressed("2026-01-01T00:00:00", "single")}})), now());
    assert!(matches!(&told[..], [FromBridge::Seen { .. }]), "{told:?}");
    let told =
        home.states(event(json!({"c": {"event.button": {"+": pressed("2026-01-02T00:00:00", "double")}}})), now());
    let [FromBridge::Event { event, arguments, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((event.as_str(), arguments["kind"].as_text()), ("pressed", Some("double")));
}

#[test]
fn a_new_connection_says_what_is_there_and_nothing_else_is() {
    let (mut home, id) = plug();
    assert!(home.lost().contains(&FromBridge::Reach { device: id.clone(), reach: Reach::Offline }));
    home.begin();
    home.registries(Registries::default(), now());
    let told = home.states(event(json!({"a": {"light.lamp": {"s": "on", "a": {}}}})), now());
    assert!(told.contains(&FromBridge::Gone { device: id }));
    assert_eq!(devices(&told).len(), 1);
    let told = home.states(event(json!({"a": {"light.other": {"s": "on", "a": {}}}, "r": ["light.lamp"]})), now());
    assert_eq!((devices(&told).len(), told.len()), (1, 2));
}

#[test]
fn a_house_of_50000_entities_is_bounded_and_counted() {
    let all: serde_json::Map<String, Json> = (0..50_000)
        .map(|n| (format!("light.l{n}"), json!({"s": "on", "a": {"brightness": n % 256}, "lc": 1.0})))
        .collect();
    let text = json!({"id": 1, "type": "event", "event": {"a": all}}).to_string();
    let started = Instant::now();
    let Message::Event(_, event) = read(text.as_bytes()).unwrap().remove(0) else { panic!() };
    let mut home = Home::new(server(), now());
    home.registries(Registries::default(), now());
    let told = home.states(*event, now());
    assert_eq!(told.len(), MOST_DEVICES);
    assert_eq!(home.beyond(), 50_000 - MOST_DEVICES);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn the_demo_house_maps() {
    let text = include_str!("../../../tests/recorded/2024.3.3-demo.json");
    let all: Json = serde_json::from_str(text).unwrap();
    let mut home = Home::new(server(), now());
    home.registries(registries(all["areas"].clone(), all["devices"].clone(), all["entities"].clone()), now());
    let told = home.states(event(all["states"].clone()), now());
    let counts = home.counts();
    println!("{counts}");
    let (standard, more, left_out) = counts.total();
    assert_eq!(standard + more + left_out, 101);
    let unwanted: Vec<&String> =
        counts.domains.iter().filter(|(_, of)| of.left_out > 0).map(|(domain, _)| domain).collect();
    assert_eq!(unwanted, ["calendar", "device_tracker", "image_processing", "mailbox", "person", "stt", "zone"]);
    assert!(counts.domains.values().filter(|of| of.left_out == 0).all(|of| of.properties + of.more_properties > 0));
    assert_eq!(devices(&told).len(), counts.devices);
    for device in devices(&told) {
        assert!(!device.services.is_empty() && device.name.chars().count() <= 65, "{device:?}");
        assert!(serde_json::to_string(device).unwrap().len() < 64 * 1024);
    }
    let named =
        |name: &str| devices(&told).into_iter().find(|one| one.name == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(named("Bed Light").kind, DeviceKind::Light);
    assert_eq!(named("Front Door").kind, DeviceKind::Lock);
}

/// What describes an entity or what it does not say, repeats another attribute in other words, or says who did something: nobody
/// needs it beside the service.
const NOT_SAID: [&str; 20] = [
    "assumed_state",
    "attribution",
    "battery_icon",
    "changed_by",
    "color_mode",
    "color_temp",
    "device_class",
    "friendly_name",
    "icon",
    "max_mireds",
    "min_mireds",
    "mode",
    "precipitation_unit",
    "rgb_color",
    "rgbw_color",
    "rgbww_color",
    "state_class",
    "supported_features",
    "visibility_unit",
    "xy_color",
];

/// What else an attribute could be.
fn another(name: &str, all: &serde_json::Map<String, Json>) -> Vec<Json> {
    let listed = all.get(&format!("{name}_list")).and_then(|list| list.get(0)).cloned();
    let others = match &all[name] {
        Json::Bool(is) => vec![json!(!is)],
        Json::Number(number) => vec![json!(number.as_f64().unwrap() + 1.0), json!(0)],
        Json::String(text) => vec![json!(format!("{text}x")), json!("on"), json!("2001-09-09T01:46:40Z")],
        Json::Array(items) => vec![json!(items[items.len().min(1)..])],
        _ => Vec::new(),
    };
    others.into_iter().chain(listed).collect()
}

/// An attribute is read if something else would be shown without it, or if it were another.
#[test]
fn attributes_of_the_demo_house_are_read() {
    let all: Json = serde_json::from_str(include_str!("../../../tests/recorded/2024.3.3-demo.json")).unwrap();
    let mut home = Home::new(server(), now());
    home.registries(registries(all["areas"].clone(), all["devices"].clone(), all["entities"].clone()), now());
    home.states(event(all["states"].clone()), now());
    let mut kinds: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for (id, of) in all["states"]["a"].as_object().unwrap() {
        let entity = home.entity(id, &home.now[id]);
        let Mapped::Parts(shown) = map(&entity) else { continue };
        let said = of["a"].as_object().unwrap();
        let is_read = |name: &str, instead: Option<Json>| {
            let mut said = said.clone();
            match instead {
                Some(instead) => said.insert(name.to_owned(), instead),
                None => said.remove(name),
            };
            let attrs = serde_json::from_value(Json::Object(said)).unwrap();
            map(&Entity { attrs: &attrs, ..entity }) != Mapped::Parts(shown.clone())
        };
        for name in said.keys().filter(|name| !NOT_SAID.contains(&name.as_str()) && !said[*name].is_null()) {
            let mut all = another(name, said).into_iter().map(Some).chain([None]);
            *kinds.entry((entity.domain(), name)).or_default() |= all.any(|instead| is_read(name, instead));
        }
    }
    let unread: Vec<_> = kinds.iter().filter(|(_, is_read)| !**is_read).map(|(kind, _)| *kind).collect();
    println!("{} attributes of {} are read; not: {unread:?}", kinds.len() - unread.len(), kinds.len());
    assert!(kinds.len() > 100 && unread.len() * 20 < kinds.len(), "at least 95 %");
    let known = [
        ("camera", "frontend_stream_type"),
        ("media_player", "media_content_id"),
        ("text", "max"),
        ("text", "min"),
        ("text", "pattern"),
    ];
    assert_eq!(unread, known, "what is not read is known");
}
