//! What a broker tells of, as messages, becomes devices; without a broker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use accord_model::{Data, DeviceKind, Effect, Target, Verb};
use accord_mqtt::core::house::{Bases, House, Said};
use serde_json::{Value, json};

struct Lab {
    house: House,
    now: Instant,
}

impl Lab {
    fn new() -> Self {
        let bases = Bases { discovery: "homeassistant".into(), zigbee: "zigbee2mqtt".into() };
        Self { house: House::new(bases), now: Instant::now() }
    }

    fn say(&mut self, topic: &str, payload: &str) -> Vec<Said> {
        self.house.message(topic, payload.as_bytes(), false, self.now);
        self.settled()
    }

    fn keep(&mut self, topic: &str, payload: &Value) -> Vec<Said> {
        self.house.message(topic, payload.to_string().as_bytes(), true, self.now);
        self.settled()
    }

    fn settled(&mut self) -> Vec<Said> {
        self.now += Duration::from_secs(1);
        self.house.handle_timeout(self.now);
        std::iter::from_fn(|| self.house.poll_said()).collect()
    }

    fn key(&self, name: &str) -> String {
        let found = self.house.things().find(|(_, thing)| thing.name == name);
        found.unwrap_or_else(|| panic!("no {name}")).0.clone()
    }

    fn names(&self) -> Vec<&str> {
        self.house.things().map(|(_, thing)| thing.name.as_str()).collect()
    }

    fn order(&mut self, name: &str, service: &str, verb: &Verb) -> Result<(String, String), String> {
        let key = self.key(name);
        let order = self.house.order(&key, &Target::new(service), verb, self.now)?;
        Ok((order.topic, String::from_utf8(order.payload).unwrap()))
    }
}

fn write(property: &str, data: impl Into<Data>) -> Verb {
    Verb::Write { property: property.into(), data: data.into() }
}

fn act(action: &str) -> Verb {
    Verb::Act { action: action.into(), inputs: BTreeMap::new() }
}

fn values(said: &[Said]) -> BTreeMap<(String, String), Data> {
    let mut all = BTreeMap::new();
    for one in said {
        if let Said::Values(_, target, values, _) = one {
            all.extend(values.iter().map(|(id, data)| ((target.service.clone(), id.clone()), data.clone())));
        }
    }
    all
}

fn value(said: &[Said], service: &str, id: &str) -> Option<Data> {
    values(said).get(&(service.to_owned(), id.to_owned())).cloned()
}

fn bulb(name: &str) -> Value {
    json!([{"ieee_address": "0x00124b0000000000", "type": "Coordinator", "friendly_name": "Coordinator"},
        {"ieee_address": "0x00158d0000000001", "type": "Router", "friendly_name": name, "definition": {
            "vendor": "IKEA", "model": "LED1", "description": "bulb", "exposes": [
                {"type": "light", "features": [
                    {"type": "binary", "name": "state", "property": "state", "access": 7, "value_on": "ON",
                        "value_off": "OFF", "value_toggle": "TOGGLE"},
                    {"type": "numeric", "name": "brightness", "property": "brightness", "access": 7, "value_min": 0,
                        "value_max": 254},
                    {"type": "numeric", "name": "color_temp", "property": "color_temp", "access": 7, "unit": "mired",
                        "value_min": 250, "value_max": 454}]},
                {"type": "enum", "name": "power_on_behavior", "property": "power_on_behavior", "access": 7,
                    "values": ["off", "on"], "category": "config"},
                {"type": "enum", "name": "identify", "property": "identify", "access": 2, "values": ["identify"]}]}}])
}

#[test]
fn a_bulb_of_zigbee2mqtt_is_read_set_renamed_and_removed() {
    let mut lab = Lab::new();
    lab.keep("zigbee2mqtt/bridge/state", &json!({"state": "online"}));
    lab.keep("zigbee2mqtt/bridge/devices", &bulb("lamp/desk"));
    let key = lab.key("lamp/desk");
    assert_eq!(lab.house.thing(&key).unwrap().kind, DeviceKind::Light);
    let filters = lab.house.poll_filters().unwrap();
    assert!(
        filters.contains(&"zigbee2mqtt/lamp/desk".to_owned()) && filters.iter().all(|filter| !filter.contains('#'))
    );
    assert_eq!(lab.house.poll_ask(), Some(("zigbee2mqtt/lamp/desk/get".into(), br#"{"state":""}"#.to_vec())));
    let said = lab
        .say("zigbee2mqtt/lamp/desk", r#"{"state":"ON","brightness":127,"color_temp":300,"power_on_behavior":"on"}"#);
    assert_eq!(value(&said, "light", "on"), Some(Data::Bool(true)));
    assert_eq!(value(&said, "light", "level"), Some(Data::Int(50)));
    assert_eq!(value(&said, "light", "color-temperature"), Some(Data::Int(3333)));
    assert_eq!(value(&said, "more", "power-on-behavior"), Some(Data::Int(1)));
    let mut told = |verb: &Verb| lab.order("lamp/desk", "light", verb).unwrap();
    let set = "zigbee2mqtt/lamp/desk/set".to_owned();
    assert_eq!(told(&write("level", 75i64)), (set.clone(), r#"{"brightness":191}"#.into()));
    assert_eq!(told(&write("color-temperature", 4000i64)), (set.clone(), r#"{"color_temp":250}"#.into()));
    assert_eq!(told(&act("toggle")), (set.clone(), r#"{"state":"TOGGLE"}"#.into()));
    assert_eq!(lab.order("lamp/desk", "more", &act("identify")).unwrap(), (set, r#"{"identify":"identify"}"#.into()));
    assert!(lab.order("lamp/desk", "light", &write("hue", 5i64)).is_err());
    assert!(lab.order("lamp/desk", "light", &write("level", "much")).is_err());
    // Another name is the same device.
    lab.keep("zigbee2mqtt/bridge/devices", &bulb("window"));
    assert_eq!(lab.key("window"), key);
    assert_eq!(lab.order("window", "light", &write("on", false)).unwrap().0, "zigbee2mqtt/window/set");
    let trouble = json!({"level": "error", "message": "Publish 'set' 'brightness' to 'window' failed: timeout"});
    let said = lab.say("zigbee2mqtt/bridge/logging", &trouble.to_string());
    assert!(matches!(&said[..], [Said::Trouble(of, why)] if *of == key && why.contains("timeout")), "{said:?}");
    lab.say("zigbee2mqtt/window/availability", r#"{"state":"offline"}"#);
    assert!(!lab.house.is_here(&key));
    lab.say("zigbee2mqtt/window/availability", "online");
    assert!(lab.house.is_here(&key));
    lab.say("zigbee2mqtt/bridge/state", "offline");
    assert!(!lab.house.is_here(&key), "version 1 says it in a word");
    let said = lab.keep("zigbee2mqtt/bridge/devices", &json!([]));
    assert_eq!(said, [Said::Gone(key)]);
}

#[test]
fn what_zigbee2mqtt_describes_is_there_once() {
    let mut lab = Lab::new();
    let entity = json!({"unique_id": "0x00158d0000000001_light_zigbee2mqtt", "schema": "json", "name": "Twice",
        "command_topic": "zigbee2mqtt/lamp/set", "state_topic": "zigbee2mqtt/lamp",
        "device": {"identifiers": ["zigbee2mqtt_0x00158d0000000001"], "name": "Twice"}});
    lab.keep("homeassistant/light/0x00158d0000000001/light/config", &entity);
    assert_eq!(lab.names(), ["Twice"], "nobody describes it better yet");
    lab.keep("zigbee2mqtt/bridge/devices", &bulb("lamp"));
    assert_eq!(lab.names(), ["lamp"]);
    assert_eq!(lab.house.tally().led, 1);
}

fn about(id: &str, name: &str, maker: &str) -> Value {
    json!({"identifiers": [id], "name": name, "manufacturer": maker})
}

#[test]
fn a_switch_and_a_sensor_of_one_device() {
    let mut lab = Lab::new();
    let plug = about("plug1", "Plug", "Maker");
    lab.keep(
        "homeassistant/switch/plug1/config",
        &json!({"uniq_id": "p1", "~": "plug", "stat_t": "~/state", "cmd_t": "~/set",
        "pl_on": "1", "pl_off": "0", "stat_on": "on", "stat_off": "off", "avty_t": "~/alive", "dev": plug}),
    );
    lab.keep(
        "homeassistant/sensor/plug1_power/config",
        &json!({"unique_id": "p2", "state_topic": "plug/sensor",
        "value_template": "{{ value_json['ENERGY'].Power }}", "device_class": "power", "unit_of_measurement": "kW",
        "device": plug}),
    );
    lab.keep(
        "homeassistant/sensor/plug1_odd/config",
        &json!({"unique_id": "p3", "state_topic": "plug/sensor", "name": "Odd",
        "value_template": "{{ value_json.x | round(1) }}", "device": plug}),
    );
    assert_eq!(lab.names(), ["Plug"]);
    assert_eq!(lab.house.thing(&lab.key("Plug")).unwrap().kind, DeviceKind::Plug);
    let tally = lab.house.tally();
    assert_eq!(tally.count.standard, 2);
    assert_eq!(tally.count.unmapped.values().sum::<usize>(), 1, "{tally:?}");
    assert_eq!(value(&lab.say("plug/state", "on"), "on-off", "on"), Some(Data::Bool(true)));
    assert_eq!(
        value(&lab.say("plug/sensor", r#"{"ENERGY":{"Power":0.25}}"#), "electricity", "power"),
        Some(Data::Float(250.0))
    );
    assert_eq!(lab.order("Plug", "on-off", &write("on", false)).unwrap(), ("plug/set".into(), "0".into()));
    assert_eq!(lab.order("Plug", "on-off", &act("toggle")).unwrap(), ("plug/set".into(), "0".into()), "it is on");
    let key = lab.key("Plug");
    assert!(lab.house.is_here(&key), "it has not said otherwise");
    assert_eq!(lab.say("plug/alive", "offline"), [Said::Thing(key.clone())]);
    assert!(!lab.house.is_here(&key));
    // An empty message is the end of an entity, and the last one that of the device.
    lab.say("homeassistant/switch/plug1/config", "");
    assert!(lab.order("Plug", "on-off", &write("on", true)).is_err());
    lab.say("homeassistant/sensor/plug1_odd/config", "");
    assert_eq!(lab.say("homeassistant/sensor/plug1_power/config", ""), [Said::Gone(key)]);
}

#[test]
fn who_claims_another_ones_id_is_kept_apart_or_refused() {
    let mut lab = Lab::new();
    let real = json!({"unique_id": "real", "state_topic": "real/state", "command_topic": "real/set",
        "device": about("lock1", "Front door", "Maker")});
    lab.keep("homeassistant/lock/real/config", &real);
    let key = lab.key("Front door");
    // Another maker's device with the same id.
    lab.keep(
        "homeassistant/lock/aaa/config",
        &json!({"unique_id": "false", "command_topic": "false/set",
        "device": about("lock1", "Front door too", "Thief")}),
    );
    assert_eq!(lab.names().len(), 2);
    assert_eq!(lab.key("Front door"), key);
    assert_eq!(lab.order("Front door", "door-lock", &act("lock")).unwrap().0, "real/set");
    // The same unique id.
    lab.keep(
        "homeassistant/lock/bbb/config",
        &json!({"unique_id": "real", "command_topic": "false/set",
        "device": about("lock1", "x", "Maker")}),
    );
    assert_eq!(lab.order("Front door", "door-lock", &act("lock")).unwrap().0, "real/set");
    // One that would make two devices one.
    lab.keep(
        "homeassistant/switch/other/config",
        &json!({"unique_id": "other", "command_topic": "other/set",
        "device": about("other", "Other", "Maker")}),
    );
    let both = json!({"unique_id": "both", "command_topic": "both/set", "device": {"identifiers": ["lock1", "other"]}});
    lab.keep("homeassistant/switch/both/config", &both);
    assert!(lab.house.things().any(|(key, _)| key.starts_with("topic switch/both")));
    let refused = lab.house.tally().refused;
    assert_eq!(refused["described: it claims the id of another device, and is kept apart"], 2);
    assert_eq!(refused["described: a unique id that another has"], 1);
    let unlock =
        lab.house.thing(&key).unwrap().parts.services[0].actions.iter().find(|one| one.id == "unlock").unwrap();
    assert_eq!(unlock.effect, Effect::Security);
}

#[test]
fn lights_climates_covers_and_buttons_of_the_convention() {
    let mut lab = Lab::new();
    lab.keep(
        "homeassistant/light/l/config",
        &json!({"uniq_id": "l", "name": "Lamp", "schema": "json", "stat_t": "l/s", "cmd_t": "l/c",
        "brightness_scale": 100, "supported_color_modes": ["color_temp", "hs"], "effect_list": ["none", "rainbow"]}),
    );
    let said = lab.say("l/s", r#"{"state":"ON","brightness":40,"color":{"h":120,"s":80},"effect":"rainbow"}"#);
    assert_eq!(value(&said, "light", "level"), Some(Data::Int(40)));
    assert_eq!(
        (value(&said, "light", "hue"), value(&said, "light", "saturation")),
        (Some(Data::Int(120)), Some(Data::Int(80)))
    );
    assert_eq!(value(&said, "light", "effect"), Some(Data::Int(1)));
    let (_, told) = lab.order("Lamp", "light", &write("hue", 10i64)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), json!({"state": "ON", "color": {"h": 10.0, "s": 80.0}}));

    lab.keep("homeassistant/climate/c/config", &json!({"uniq_id": "c", "name": "Heating", "modes": ["off", "heat", "boost"],
        "mode_stat_t": "c/mode", "mode_cmd_t": "c/mode/set", "temp_stat_t": "c/t", "temp_cmd_t": "c/t/set", "temp_unit": "F",
        "min_temp": 40, "max_temp": 90, "curr_temp_t": "c/now", "act_t": "c/action"}));
    assert_eq!(value(&lab.say("c/mode", "boost"), "climate", "mode"), Some(Data::Int(102)), "a word of its own");
    assert_eq!(value(&lab.say("c/now", "68"), "climate", "temperature"), Some(Data::Float(20.0)));
    assert_eq!(value(&lab.say("c/action", "heating"), "climate", "running"), Some(Data::Int(1)));
    assert_eq!(lab.order("Heating", "climate", &write("target", 20.0)).unwrap(), ("c/t/set".into(), "68".into()));
    assert_eq!(lab.order("Heating", "climate", &write("mode", 1i64)).unwrap(), ("c/mode/set".into(), "heat".into()));

    lab.keep(
        "homeassistant/cover/g/config",
        &json!({"uniq_id": "g", "name": "Garage", "dev_cla": "garage", "cmd_t": "g/c",
        "pos_t": "g/p", "set_pos_t": "g/p/set", "pos_clsd": 100, "pos_open": 0, "stat_t": "g/s"}),
    );
    assert_eq!(value(&lab.say("g/p", "25"), "cover", "position"), Some(Data::Int(75)));
    let garage = lab.house.thing(&lab.key("Garage")).unwrap();
    let open = garage.parts.services[0].actions.iter().find(|action| action.id == "open").unwrap();
    assert_eq!(open.effect, Effect::Security);
    let position = garage.parts.services[0].properties.iter().find(|one| one.id == "position").unwrap();
    assert_eq!((position.write, position.effect), (true, Effect::Security), "no way around it");
    assert_eq!(lab.order("Garage", "cover", &write("position", 75i64)).unwrap(), ("g/p/set".into(), "25".into()));

    lab.keep(
        "homeassistant/device_automation/b/config",
        &json!({"atype": "trigger", "t": "b/e", "type": "button_short_press",
        "stype": "button_1", "pl": "single", "dev": about("b", "Remote", "M")}),
    );
    let said = lab.say("b/e", "single");
    assert!(
        matches!(&said[..], [Said::Pressed(_, target, kind)] if target.service == "button" && kind == "button_short_press"),
        "{said:?}"
    );
    lab.house.message("b/e", b"single", true, lab.now);
    assert_eq!(lab.settled(), [], "kept from before: nobody pressed it now");
}

#[test]
fn a_window_and_a_gas_valve_are_guarded_and_a_blind_is_not() {
    let mut lab = Lab::new();
    for (name, component, class, guarded) in [
        ("Window", "cover", "window", true),
        ("Blind", "cover", "blind", false),
        ("Gas", "valve", "gas", true),
        ("Water", "valve", "water", false),
    ] {
        lab.keep(
            &format!("homeassistant/{component}/{name}/config"),
            &json!({"uniq_id": name, "name": name, "dev_cla": class, "cmd_t": "x/c", "set_pos_t": "x/p", "stat_t": "x/s"}),
        );
        let thing = lab.house.thing(&lab.key(name)).unwrap();
        let open = thing.parts.services[0].actions.iter().find(|action| action.id == "open").unwrap();
        assert_eq!(open.effect == Effect::Security, guarded, "{name}");
    }
}

#[test]
fn hue_and_saturation_written_in_a_row_are_one_colour() {
    let mut lab = Lab::new();
    lab.keep(
        "homeassistant/light/l/config",
        &json!({"uniq_id": "l", "name": "Lamp", "schema": "json", "stat_t": "l/s", "cmd_t": "l/c",
        "supported_color_modes": ["color_temp", "rgbw", "hs"]}),
    );
    let said = lab.say("l/s", r#"{"state":"ON","color":{"h":120,"s":80},"color_mode":"rgbw"}"#);
    assert_eq!(value(&said, "light", "color-mode"), Some(Data::Int(1)));
    let said = lab.say("l/s", r#"{"color_mode":"color_temp"}"#);
    assert_eq!(value(&said, "light", "color-mode"), Some(Data::Int(0)));
    let mode = |thing: &accord_mqtt::core::thing::Thing| {
        thing.parts.services[0].properties.iter().find(|one| one.id == "color-mode").cloned().unwrap()
    };
    let mode = mode(lab.house.thing(&lab.key("Lamp")).unwrap());
    assert_eq!((mode.write, mode.values), (false, vec![(0, "temperature".into()), (1, "color".into())]));
    let colour = |lab: &mut Lab, id: &str, data: i64| {
        let (_, told) = lab.order("Lamp", "light", &write(id, data)).unwrap();
        serde_json::from_str::<Value>(&told).unwrap()["color"].clone()
    };
    assert_eq!(colour(&mut lab, "hue", 10), json!({"h": 10.0, "s": 80.0}));
    // What it says on its way there does not undo it.
    lab.say("l/s", r#"{"color":{"h":119,"s":80}}"#);
    assert_eq!(colour(&mut lab, "saturation", 50), json!({"h": 10.0, "s": 50.0}));
    assert_eq!(colour(&mut lab, "hue", 20), json!({"h": 20.0, "s": 50.0}));
    lab.now += Duration::from_secs(3);
    assert_eq!(colour(&mut lab, "saturation", 40), json!({"h": 119.0, "s": 40.0}), "it did not do it");
}

#[test]
fn a_thermostat_in_fahrenheit_without_limits_takes_warm_rooms() {
    let mut lab = Lab::new();
    lab.keep(
        "homeassistant/climate/c/config",
        &json!({"uniq_id": "c", "name": "Heating", "temp_cmd_t": "c/t/set", "temp_stat_t": "c/t", "temp_unit": "F"}),
    );
    assert_eq!(lab.order("Heating", "climate", &write("target", 20.0)).unwrap(), ("c/t/set".into(), "68".into()));
    assert!(lab.order("Heating", "climate", &write("target", 0.0)).is_err());
}

/// What was known is there again, as after a restart.
fn restarted(mut lab: Lab) -> Lab {
    let memory = serde_json::to_string(lab.house.poll_memory().unwrap()).unwrap();
    assert!(lab.house.poll_memory().is_none(), "it is written when it changed");
    let bases = Bases { discovery: "homeassistant".into(), zigbee: "zigbee2mqtt".into() };
    Lab { house: House::remembering(bases, serde_json::from_str(&memory).unwrap()), now: lab.now }
}

fn lock(unique: &str, set: &str, device: &Value) -> Value {
    json!({"unique_id": unique, "command_topic": set, "device": device})
}

#[test]
fn who_comes_first_after_a_restart_does_not_become_another_ones_device() {
    let mut lab = Lab::new();
    let device = json!({"identifiers": ["lock1"], "name": "Front door", "manufacturer": "Maker", "model": "M"});
    lab.keep("homeassistant/lock/real/config", &lock("real", "real/set", &device));
    let key = lab.key("Front door");
    for restart in [true, false] {
        if restart {
            lab = restarted(lab);
        } else {
            lab.house.begin_anew(lab.now);
        }
        // One of another maker, one with the same unique id, and one that says nothing but ids comes before it.
        lab.keep("homeassistant/lock/aaa/config", &lock("false", "false/set", &about("lock1", "Other", "Thief")));
        lab.keep(
            "homeassistant/lock/aab/config",
            &lock("real", "false/set", &json!({"identifiers": ["lock1", "aaa"]})),
        );
        lab.keep(
            "homeassistant/switch/aac/config",
            &lock("more", "more/set", &json!({"identifiers": ["aaa", "lock1"]})),
        );
        lab.keep("homeassistant/lock/real/config", &lock("real", "real/set", &device));
        lab.now += Duration::from_secs(3);
        lab.settled();
        assert_eq!(lab.key("Front door"), key);
        assert_eq!(lab.order("Front door", "door-lock", &act("lock")).unwrap().0, "real/set", "{restart}");
        assert_eq!(lab.house.thing(&key).unwrap().maker.as_deref(), Some("Maker"));
        assert!(lab.key("Other").starts_with("topic "));
        // The id that was smuggled in is still anybody's.
        lab.keep("homeassistant/switch/own/config", &lock("own", "own/set", &about("aaa", "Own", "Maker")));
        assert_eq!(lab.key("Own"), "device id:aaa");
    }
}

#[test]
fn who_described_a_device_before_may_say_more_of_it_or_otherwise() {
    let mut lab = Lab::new();
    let device =
        |model: &str, ids: &Value| json!({"identifiers": ids, "name": "Plug", "manufacturer": "M", "model": model});
    lab.keep("homeassistant/switch/p/config", &lock("p", "p/set", &device("One", &json!(["p"]))));
    lab.keep("homeassistant/switch/q/config", &lock("q", "q/set", &device("One", &json!(["p"]))));
    let key = lab.key("Plug");
    lab = restarted(lab);
    // A new firmware names the model otherwise, and an id that sorts before.
    lab.keep("homeassistant/switch/p/config", &lock("p", "p/set", &device("Two", &json!(["a", "p"]))));
    lab.keep("homeassistant/switch/q/config", &lock("q", "q/set", &device("Two", &json!(["a", "p"]))));
    assert_eq!((lab.names(), lab.key("Plug")), (vec!["Plug"], key.clone()));
    lab = restarted(lab);
    lab.keep("homeassistant/switch/r/config", &lock("r", "r/set", &device("Two", &json!(["a"]))));
    assert_eq!((lab.names(), lab.key("Plug")), (vec!["Plug"], key), "by the id that it was given later");
}

#[test]
fn what_is_described_is_bounded_as_a_whole() {
    let mut lab = Lab::new();
    let components: serde_json::Map<String, Value> =
        (0..256).map(|at| (at.to_string(), json!({"p": "switch", "cmd_t": "a", "x": "y".repeat(600)}))).collect();
    let body = json!({"dev": {}, "stat_t": "s".repeat(500), "cmps": components}).to_string();
    assert!(body.len() < 256 * 1024);
    for at in 0..140 {
        lab.house.message(&format!("homeassistant/device/d{at}/config"), body.as_bytes(), true, lab.now);
    }
    let refused =
        |lab: &Lab| lab.house.tally().refused.get("more is described than may be").copied().unwrap_or_default();
    let many = refused(&lab);
    assert!(many > 20, "{many}");
    // What is taken back makes room again.
    lab.house.message("homeassistant/device/d0/config", b"", true, lab.now);
    lab.house.message("homeassistant/device/d139/config", body.as_bytes(), true, lab.now);
    assert_eq!(refused(&lab), many - 1);
}

#[test]
fn bad_messages_harm_nobody() {
    let mut lab = Lab::new();
    lab.keep(
        "homeassistant/switch/good/config",
        &json!({"uniq_id": "g", "name": "Good", "cmd_t": "g/c", "stat_t": "g/s"}),
    );
    lab.say("homeassistant/switch/bad/config", "{");
    lab.say("homeassistant/switch/bad2/config", &"x".repeat(300_000));
    lab.say("homeassistant/switch/bad3/config", r#"{"cmd_t":"a/#","stat_t":"+/x","uniq_id":"b"}"#);
    lab.say("zigbee2mqtt/bridge/devices", "{}");
    lab.say("g/s", &"y".repeat(300_000));
    lab.house.message("g/s", &[0xff, 0xfe], false, lab.now);
    assert_eq!(lab.names().iter().filter(|name| **name == "Good").count(), 1);
    let refused = lab.house.tally().refused;
    assert_eq!(refused.values().sum::<usize>(), 4, "{refused:?}");
    assert!(lab.house.poll_filters().unwrap().iter().all(|filter| !filter.contains('#')));
}

#[test]
fn what_is_not_described_again_after_the_broker_came_back_is_gone() {
    let mut lab = Lab::new();
    let one = |id: &str| json!({"uniq_id": id, "name": id, "cmd_t": "x/c", "stat_t": "x/s"});
    lab.keep("homeassistant/switch/stays/config", &one("stays"));
    lab.keep("homeassistant/switch/goes/config", &one("goes"));
    lab.house.begin_anew(lab.now);
    assert!(!lab.house.is_settled());
    lab.house.message("homeassistant/switch/stays/config", one("stays").to_string().as_bytes(), true, lab.now);
    let said = lab.settled();
    assert_eq!((said, lab.names().len()), (vec![], 2), "it has some time");
    lab.now += Duration::from_secs(3);
    assert!(matches!(&lab.settled()[..], [Said::Gone(_)]));
    assert_eq!(lab.names(), ["stays"]);
}

#[test]
fn who_was_away_is_away_until_the_broker_says_otherwise_after_it_came_back() {
    let mut lab = Lab::new();
    let grace = Duration::from_secs(3);
    let one =
        |id: &str| json!({"uniq_id": id, "name": id, "cmd_t": "x/c", "stat_t": "x/s", "avty_t": format!("{id}/alive")});
    let keys: Vec<String> = ["away", "here", "mute"]
        .map(|id| {
            lab.keep(&format!("homeassistant/switch/{id}/config"), &one(id));
            lab.key(id)
        })
        .to_vec();
    lab.keep("zigbee2mqtt/bridge/state", &json!({"state": "offline"}));
    lab.keep("zigbee2mqtt/bridge/devices", &bulb("bulb"));
    lab.say("away/alive", "offline");
    lab.say("here/alive", "online");
    lab.say("mute/alive", "offline");
    let lamp = lab.key("bulb");
    let here = |lab: &Lab| {
        keys.iter().chain([&lamp]).map(|key| u8::from(lab.house.is_here(key)).to_string()).collect::<String>()
    };
    assert_eq!(here(&lab), "0100");
    lab.house.begin_anew(lab.now);
    assert_eq!(here(&lab), "0100", "as it was, until something is said");
    for id in ["away", "here", "mute"] {
        let topic = format!("homeassistant/switch/{id}/config");
        lab.house.message(&topic, one(id).to_string().as_bytes(), true, lab.now);
    }
    lab.house.message("zigbee2mqtt/bridge/devices", bulb("bulb").to_string().as_bytes(), true, lab.now);
    assert_eq!((lab.settled(), here(&lab).as_str()), (vec![], "0100"));
    assert_eq!(lab.say("away/alive", "online"), [Said::Thing(keys[0].clone())]);
    assert_eq!(here(&lab), "1100");
    // What is not said again is known no more, and that is told.
    lab.now += grace;
    let told = lab.settled();
    assert_eq!(here(&lab), "1111");
    assert!(told.contains(&Said::Thing(keys[2].clone())) && !told.contains(&Said::Thing(keys[1].clone())), "{told:?}");

    // The same at the first connection: who tells whether it is here is not before it did.
    let mut lab = Lab::new();
    lab.house.begin_anew(lab.now);
    let told = lab.keep("homeassistant/switch/here/config", &one("here"));
    let key = lab.key("here");
    assert_eq!((told, lab.house.is_here(&key)), (vec![Said::Thing(key.clone())], false));
    lab.now += grace;
    assert!(lab.settled().contains(&Said::Thing(key.clone())) && lab.house.is_here(&key), "it says nothing at all");
}

#[test]
fn what_there_is_no_room_to_keep_is_not_followed_by_what_was_said_before_it() {
    let mut lab = Lab::new();
    let one = |id: &str, topic: &str| {
        let about = about(id, id, id);
        json!({"uniq_id": id, "name": id, "cmd_t": "x/c", "stat_t": topic, "dev": about, "val_tpl": "{{ value_json.a }}"})
    };
    // A device that is described later hears what was said last, or nothing.
    let later = |lab: &mut Lab, id: &str, topic: &str| {
        let told = lab.keep(&format!("homeassistant/switch/{id}/config"), &one(id, topic));
        value(&told, "on-off", "on")
    };
    lab.keep("homeassistant/switch/first/config", &one("first", "t/s"));
    lab.say("t/s", r#"{"a": "ON"}"#);
    assert_eq!(later(&mut lab, "second", "t/s"), Some(Data::Bool(true)));
    lab.say("t/s", &format!(r#"{{"a": "OFF", "b": "{}"}}"#, "x".repeat(9_000)));
    assert_eq!(later(&mut lab, "third", "t/s"), None, "too long to be kept");
    // All of the room is taken by others.
    for number in 0..2_100 {
        let (id, topic) = (format!("n{number}"), format!("n/{number}"));
        let config = one(&id, &topic).to_string();
        lab.house.message(&format!("homeassistant/switch/{id}/config"), config.as_bytes(), true, lab.now);
    }
    lab.settled();
    lab.say("t/s", r#"{"a": "ON"}"#);
    for number in 0..2_100 {
        lab.house.message(&format!("n/{number}"), "y".repeat(8_190).as_bytes(), false, lab.now);
    }
    lab.say("t/s", &format!(r#"{{"a": "OFF", "b": "{}"}}"#, "x".repeat(6_000)));
    assert_eq!(later(&mut lab, "fourth", "t/s"), None, "no room is left");
}

proptest::proptest! {
    /// Words that descriptions are made of, in any order and nesting: nothing panics, and what opens a house stays guarded.
    #[test]
    fn any_description_is_read_without_harm(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 1..40),
        shape in proptest::collection::vec(0u8..5, 1..40),
    ) {
        let mut text = String::new();
        for (word, shape) in words.iter().zip(shape.iter().cycle()) {
            match shape {
                0 => text.push_str(&format!("{{\"{word}\":")),
                1 => text.push_str(&format!("\"{word}\",")),
                2 => text.push_str(&format!("[\"{word}\",{{")),
                3 => text.push_str("1e308}"),
                _ => text.push_str(&format!("\"{word}\":\"{word}\"}},")),
            }
        }
        let pairs: Vec<String> =
            words.chunks(2).map(|two| format!("\"{}\":\"{}\"", two[0], two.last().unwrap_or(&"x"))).collect();
        let object = format!("{{{}}}", pairs.join(","));
        for body in [&text, &object, &format!("[{object}]")] {
            for topic in ["homeassistant/light/x/config", "homeassistant/device/x/config", "homeassistant/lock/x/config",
                "homeassistant/climate/x/config", "zigbee2mqtt/bridge/devices", "zigbee2mqtt/x"]
            {
                accord_mqtt::core::house::fuzz(format!("{topic}\n{body}").as_bytes());
                accord_mqtt::core::discovery::fuzz(format!("{topic}\n{body}").as_bytes());
            }
            accord_mqtt::core::zigbee::fuzz(body.as_bytes());
        }
    }
}

const WORDS: &[&str] = &[
    "type",
    "light",
    "lock",
    "features",
    "name",
    "state",
    "property",
    "access",
    "values",
    "value_on",
    "exposes",
    "definition",
    "ieee_address",
    "0x00158d0000000001",
    "friendly_name",
    "unique_id",
    "device",
    "identifiers",
    "cmd_t",
    "stat_t",
    "a/b",
    "~",
    "components",
    "platform",
    "schema",
    "json",
    "supported_color_modes",
    "hs",
    "modes",
    "value_template",
    "{{ value_json.a }}",
    "payload_on",
    "numeric",
    "enum",
    "composite",
    "binary",
    "unit",
    "mired",
    "value_min",
    "availability",
];

#[test]
fn a_house_of_two_thousand_devices_and_twenty_thousand_properties_is_taken_up_whole() {
    let mut lab = Lab::new();
    for number in 0..20_000 {
        let (device, part) = (number / 10, number % 10);
        let described = json!({
            "name": format!("Part {part}"), "unique_id": format!("house-{device}-{part}"),
            "state_topic": format!("house/{device}/{part}"), "unit_of_measurement": "W", "device_class": "power",
            "device": { "identifiers": [format!("house-{device}")], "name": format!("Device {device}"), "manufacturer": "Lab" },
        });
        let topic = format!("homeassistant/sensor/house{device}/p{part}/config");
        lab.house.message(&topic, described.to_string().as_bytes(), true, lab.now);
        // They come faster than they are taken up, and not all at once.
        if number % 4_000 == 0 {
            lab.settled();
        }
    }
    lab.settled();
    assert_eq!((lab.house.things().count(), lab.house.tally().refused.len()), (2_000, 0));
    assert!(lab.house.poll_filters().unwrap().len() > 20_000);
    let said = lab.say("house/1999/9", "7");
    assert!(matches!(&said[..], [Said::Values(_, _, values, false)] if values.len() == 1), "{said:?}");
}
