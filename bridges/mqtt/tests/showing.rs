//! Devices of this house on a broker: what is published, what is taken back, what is wished.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use accord_model::{
    Data, Device, DeviceId, DeviceKind, Effect, Inputs, Reach, Source, Target, Timestamp, Value, Verb, catalogue,
};
use accord_mqtt::core::discovery::{self, Origin};
use accord_mqtt::core::house::{Bases, House};
use accord_mqtt::core::packet::Publish;
use accord_mqtt::core::showing::{Memory, Showing};
use accord_ports::showcase::Frame;

const HUB: &str = "0123456789ab";

fn value(data: Data) -> Value {
    Value { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 60 }
}

fn device(id: &str, name: &str, services: impl IntoIterator<Item = accord_model::Service>) -> Device {
    let device = Device::new(DeviceId::new(format!("shown-{id}")).unwrap(), DeviceKind::Light, name);
    let mut device = services.into_iter().fold(device, Device::with);
    device.reach = Reach::Local;
    device
}

fn lamp() -> Device {
    let mut light = catalogue::light();
    light.values = BTreeMap::from([
        ("on".to_owned(), value(Data::Bool(true))),
        ("level".to_owned(), value(Data::Int(40))),
        ("color-temperature".to_owned(), value(Data::Int(4000))),
        ("color-mode".to_owned(), value(Data::Int(0))),
    ]);
    device("1a", "Desk lamp", [light])
}

/// A broker that confirms all of it, and keeps what is retained.
struct Lab {
    showing: Showing,
    kept: BTreeMap<String, String>,
    now: Instant,
    published: Vec<String>,
}

impl Lab {
    fn new(memory: Memory) -> Self {
        let mut showing = Showing::new("homeassistant", memory);
        showing.begin_anew();
        Self { showing, kept: BTreeMap::new(), now: Instant::now(), published: vec![] }
    }

    fn show(&mut self, device: Device) {
        self.showing.frame(Frame::Show(Box::new(device)), self.now);
        self.pump();
    }

    fn pump(&mut self) {
        loop {
            let _ = self.showing.poll_memory();
            let Some((number, message)) = self.showing.poll_publish() else {
                return;
            };
            self.published.push(message.topic.clone());
            if message.retain {
                match message.payload.is_empty() {
                    true => drop(self.kept.remove(&message.topic)),
                    false => drop(self.kept.insert(message.topic, String::from_utf8(message.payload).unwrap())),
                }
            }
            self.showing.published(number, true, self.now);
        }
    }

    fn hear(&mut self, topic: &str, payload: &str) {
        let payload = payload.as_bytes().to_vec();
        self.showing.message(&Publish { topic: topic.to_owned(), payload, retain: false, id: None }, self.now);
    }

    fn wishes(&mut self) -> Vec<(u64, Vec<Verb>)> {
        std::iter::from_fn(|| self.showing.poll_wish(self.now)).map(|(number, wish)| (number, wish.verbs)).collect()
    }

    fn json(&self, topic: &str) -> serde_json::Value {
        serde_json::from_str(self.kept.get(topic).unwrap_or_else(|| panic!("{topic} of {:?}", self.kept.keys())))
            .unwrap()
    }
}

fn write(property: &str, data: Data) -> Verb {
    Verb::Write { property: property.to_owned(), data }
}

#[test]
fn a_lamp_is_described_said_and_taken_back() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    lab.show(lamp());
    assert!(lab.published.is_empty(), "nothing without a connection");
    lab.showing.up();
    lab.pump();
    let root = format!("accord/{HUB}");
    assert_eq!(lab.kept[&format!("{root}/status")], "online");
    assert_eq!(lab.kept[&format!("{root}/1a/alive")], "online");
    let config = lab.json(&format!("homeassistant/light/accord_{HUB}_1a/light-0-main/config"));
    assert_eq!((&config["name"], &config["device"]["name"]), (&serde_json::Value::Null, &"Desk lamp".into()));
    assert_eq!(config["supported_color_modes"], serde_json::json!(["color_temp", "hs"]));
    assert_eq!((&config["min_mireds"], &config["max_mireds"]), (&154.into(), &588.into()));
    let state = lab.json(&format!("{root}/1a/light-0/state"));
    assert_eq!((&state["state"], &state["brightness"], &state["color_temp"]), (&"ON".into(), &40.into(), &250.into()));
    assert!(state.get("color").is_none());
    // What is new is said, and nothing else.
    lab.published.clear();
    let target = Target::new("light");
    let values = BTreeMap::from([("on".to_owned(), value(Data::Bool(false)))]);
    let id = lamp().id;
    lab.showing.frame(Frame::Values { device: id.clone(), target, values }, lab.now);
    lab.showing.frame(Frame::Reach { device: id.clone(), reach: Reach::Offline }, lab.now);
    lab.pump();
    assert_eq!(lab.published, [format!("{root}/1a/light-0/state"), format!("{root}/1a/alive")]);
    assert_eq!(lab.kept[&format!("{root}/1a/alive")], "offline");
    // Home Assistant starts: all of it again, and once.
    lab.published.clear();
    lab.hear("homeassistant/status", "online");
    lab.hear("homeassistant/status", "online");
    lab.pump();
    assert_eq!(lab.published.len(), lab.kept.len());
    lab.showing.frame(Frame::Gone { device: id }, lab.now);
    lab.pump();
    assert_eq!((&lab.kept, lab.showing.is_gone()), (&BTreeMap::new(), true));
}

#[test]
fn what_was_left_before_is_taken_back_once_it_is_known_what_is_shown() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    let (mut other, lamp) = (lamp(), lamp());
    other.id = DeviceId::new("shown-2b").unwrap();
    lab.showing.frame(Frame::Show(Box::new(lamp.clone())), lab.now);
    lab.showing.frame(Frame::Show(Box::new(other)), lab.now);
    // On disk before a byte of it leaves.
    lab.showing.up();
    assert!(lab.showing.poll_publish().is_none());
    let memory: Memory =
        serde_json::from_value(serde_json::to_value(lab.showing.poll_memory().unwrap()).unwrap()).unwrap();
    lab.pump();
    let (kept, now) = (std::mem::take(&mut lab.kept), lab.now);
    // Killed, and started again.
    let mut lab = Lab { kept, now, ..Lab::new(memory) };
    assert!(lab.showing.is_wanted(), "what lies there may have to go");
    lab.showing.up();
    lab.pump();
    assert!(lab.kept.keys().any(|topic| topic.contains("/2b/")), "nobody knows yet whether it is shown");
    lab.show(lamp);
    lab.showing.frame(Frame::All, lab.now);
    lab.pump();
    assert!(!lab.kept.keys().any(|topic| topic.contains("2b")), "{:?}", lab.kept.keys());
    assert!(lab.kept.keys().any(|topic| topic.contains("/1a/")));
    // The feature began anew and does not show it any more.
    lab.showing.begin_anew();
    lab.showing.frame(Frame::All, lab.now);
    lab.pump();
    assert!(lab.kept.is_empty() && lab.showing.is_gone());
}

#[test]
fn wishes_are_read_kept_in_order_and_refused_ones_answered_with_what_is() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    lab.showing.up();
    lab.show(lamp());
    let base = format!("accord/{HUB}/1a/light-0");
    lab.hear(&format!("{base}/set"), r#"{"state":"ON","brightness":75,"color":{"h":120,"s":50}}"#);
    lab.hear(&format!("{base}/set"), r#"{"state":"OFF"}"#);
    let first = lab.wishes();
    assert_eq!(first.len(), 1, "the second waits for the first");
    let wanted = vec![write("hue", Data::Int(120)), write("saturation", Data::Int(50)), write("level", Data::Int(75))];
    assert_eq!(first[0].1, wanted, "a lamp that is on is not switched on");
    lab.showing.answered(first[0].0, true, lab.now);
    let second = lab.wishes();
    assert_eq!(second[0].1, [write("on", Data::Bool(false))]);
    lab.published.clear();
    lab.showing.answered(second[0].0, false, lab.now);
    lab.showing.handle_timeout(lab.now);
    lab.pump();
    assert_eq!(lab.published, [format!("{base}/state")], "it is said again what it is");
    // What makes no sense is no wish.
    for (topic, payload) in [
        (format!("{base}/set"), "{"),
        (format!("{base}/set"), "[]"),
        (format!("{base}/set"), r#"{"state":"MAYBE"}"#),
        (format!("{base}/set/level"), "NaN"),
        (format!("{base}/set/level"), "101"),
        (format!("{base}/set/none"), "1"),
        (format!("{base}/set/color-mode"), "color"),
        (format!("{base}/do"), "explode"),
        (format!("accord/{HUB}/1a/light-1/set/on"), "ON"),
        (format!("accord/{HUB}/ff/light-0/set/on"), "ON"),
        ("accord/other/1a/light-0/set/on".to_owned(), "ON"),
    ] {
        lab.hear(&topic, payload);
        assert!(lab.wishes().is_empty(), "{topic} {payload}");
    }
    let retained = Publish { topic: format!("{base}/set/on"), payload: b"ON".to_vec(), retain: true, id: None };
    lab.showing.message(&retained, lab.now);
    assert!(lab.wishes().is_empty(), "a wish that was kept is nobody's");
    // Not without end.
    lab.now += Duration::from_secs(60);
    let mut done = 0;
    for number in 0..200 {
        lab.hear(&format!("{base}/set/on"), if number % 2 == 0 { "ON" } else { "OFF" });
        for (number, _) in lab.wishes() {
            done += 1;
            lab.showing.answered(number, true, lab.now);
        }
    }
    assert_eq!(done, 20, "a burst, and no more");
}

#[test]
fn a_wish_is_one_for_ten_seconds_and_for_its_connection() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    lab.showing.up();
    lab.show(device("3c", "Garage", [catalogue::cover()]));
    let open = format!("accord/{HUB}/3c/cover-0/do");
    // Three for a slow door: the first is being done when the connection ends.
    (0..3).for_each(|_| lab.hear(&open, "open"));
    let first = lab.wishes();
    assert_eq!(first.len(), 1);
    lab.showing.down();
    lab.showing.answered(first[0].0, true, lab.now);
    lab.now += Duration::from_secs(3600);
    lab.showing.up();
    assert!(lab.wishes().is_empty(), "nothing is done an hour later");
    // Nobody asked about it before the connection ended.
    lab.hear(&open, "open");
    lab.showing.down();
    lab.showing.up();
    assert!(lab.wishes().is_empty());
    // The second waits for the first one for too long.
    lab.now += Duration::from_secs(60);
    (0..2).for_each(|_| lab.hear(&open, "open"));
    let first = lab.wishes();
    lab.now += Duration::from_secs(11);
    let refused = lab.showing.counts().1;
    lab.showing.answered(first[0].0, true, lab.now);
    assert!(lab.wishes().is_empty());
    // Nobody asks about it in time.
    lab.hear(&open, "open");
    lab.now += Duration::from_secs(11);
    assert!(lab.wishes().is_empty());
    assert_eq!(lab.showing.counts().1, refused + 2);
    lab.hear(&open, "open");
    assert_eq!(lab.wishes().len(), 1, "and the next one is done");
}

#[test]
fn a_broker_that_confirms_nothing_is_told_no_more_than_it_takes_and_nothing_at_once_again() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    lab.showing.up();
    lab.show(device("7a", "Remote", [catalogue::button(), catalogue::on_off()]));
    let (id, target) = (DeviceId::new("shown-7a").unwrap(), Target::new("button"));
    for _ in 0..64 {
        let (device, target) = (id.clone(), target.clone());
        let arguments = accord_model::Outputs::new();
        lab.showing.frame(Frame::Event { device, target, event: "pressed".into(), arguments }, lab.now);
    }
    lab.showing.frame(Frame::Show(Box::new(lamp())), lab.now);
    let _ = lab.showing.poll_memory();
    let poll = |lab: &mut Lab| -> Vec<(u64, Publish)> {
        std::iter::from_fn(|| lab.showing.poll_publish()).take(1000).collect()
    };
    let told = poll(&mut lab);
    assert_eq!(told.len(), 32, "events take places too");
    told.into_iter().for_each(|(number, _)| lab.showing.published(number, true, lab.now));
    let told = poll(&mut lab);
    told.iter().for_each(|(number, _)| lab.showing.published(*number, true, lab.now));
    let told = poll(&mut lab);
    assert!(!told.is_empty() && told.iter().all(|(_, message)| message.retain));
    told.iter().for_each(|(number, _)| lab.showing.published(*number, false, lab.now));
    assert!(poll(&mut lab).is_empty(), "not in the same moment");
    lab.now = lab.showing.poll_timeout().expect("a while later");
    lab.showing.handle_timeout(lab.now);
    assert_eq!(poll(&mut lab).len(), told.len());
}

#[test]
fn without_a_word_of_what_is_to_be_shown_nothing_is_said_but_that_it_is_no_more() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    lab.showing.up();
    lab.show(lamp());
    lab.show(device("2b", "Other", [catalogue::on_off()]));
    lab.showing.frame(Frame::All, lab.now);
    lab.published.clear();
    // The consent ends; the lamp says something, Home Assistant starts, the connection is made anew.
    lab.showing.hush();
    let values = BTreeMap::from([("on".to_owned(), value(Data::Bool(false)))]);
    let target = Target::new("light");
    lab.showing.frame(Frame::Values { device: lamp().id, target, values }, lab.now);
    lab.hear("homeassistant/status", "online");
    lab.showing.down();
    lab.showing.up();
    lab.hear(&format!("accord/{HUB}/1a/light-0/set"), "{");
    lab.now += Duration::from_secs(30);
    lab.showing.handle_timeout(lab.now);
    lab.pump();
    assert!(lab.published.is_empty(), "{:?}", lab.published);
    assert_eq!(lab.showing.farewell().unwrap().payload, b"offline");
    // Another stream: what it has not told of is not said, and then no more there.
    lab.showing.begin_anew();
    lab.pump();
    assert!(!lab.published.iter().any(|topic| topic.contains("1a") || topic.contains("2b")), "{:?}", lab.published);
    lab.show(lamp());
    assert!(lab.published.iter().any(|topic| topic.contains("1a")));
    assert!(!lab.published.iter().any(|topic| topic.contains("2b")));
    lab.showing.frame(Frame::All, lab.now);
    lab.pump();
    assert!(!lab.kept.keys().any(|topic| topic.contains("2b")));
    // And everything is taken back while nobody tells.
    lab.showing.hush();
    lab.showing.withdraw();
    lab.pump();
    assert!(lab.kept.is_empty() && lab.showing.is_gone(), "{:?}", lab.kept);
}

#[test]
fn what_may_not_be_done_cannot_be_said() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    lab.showing.up();
    let mut lock = catalogue::door_lock();
    lock.actions.retain(|action| action.effect < Effect::Security);
    lock.values.insert("locked".to_owned(), value(Data::Bool(true)));
    let mut seen = catalogue::light();
    seen.properties.iter_mut().for_each(|property| property.write = false);
    seen.actions.clear();
    lab.show(device("3c", "Front door", [lock]));
    lab.show(device("4d", "Only seen", [seen]));
    let base = format!("accord/{HUB}/3c/door-lock-0");
    assert_eq!(lab.json(&format!("{base}/state"))["lock"], "locked");
    lab.hear(&format!("{base}/do"), "unlock");
    assert!(lab.wishes().is_empty());
    lab.published.clear();
    lab.showing.handle_timeout(lab.now);
    lab.pump();
    assert_eq!(lab.published, [format!("{base}/state")]);
    lab.hear(&format!("{base}/do"), "lock");
    assert_eq!(lab.wishes()[0].1, [Verb::Act { action: "lock".into(), inputs: Inputs::new() }]);
    let of_seen: Vec<&String> =
        lab.kept.keys().filter(|topic| topic.contains("4d") && topic.ends_with("config")).collect();
    assert!(of_seen.iter().all(|topic| topic.contains("sensor")) && of_seen.len() > 3, "{of_seen:?}");
    for topic in of_seen {
        assert!(lab.json(topic).get("command_topic").is_none(), "{topic}");
    }
    assert!(lab.showing.counts().1 > 0);
}

/// Everything that the catalogue has, as Accord's own reading of the same convention understands it.
#[test]
fn another_hub_understands_what_this_one_says() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    lab.showing.up();
    let services = [
        catalogue::light(),
        catalogue::on_off(),
        catalogue::fan(),
        catalogue::cover(),
        catalogue::door_lock(),
        catalogue::climate(),
        catalogue::humidifier(),
        catalogue::vacuum(),
        catalogue::valve(),
        catalogue::alarm(),
        catalogue::siren(),
        catalogue::press(),
        catalogue::temperature(),
        catalogue::humidity(),
        catalogue::occupancy(),
        catalogue::contact(),
        catalogue::smoke(),
        catalogue::electricity(),
        catalogue::battery(),
        catalogue::media(),
        catalogue::button(),
    ];
    for (number, mut service) in services.into_iter().enumerate() {
        if service.id == "climate" {
            service = service.change("preset", |one| one.values = vec![(0, "none".into()), (1, "away".into())]);
        }
        lab.show(device(&format!("{number:02x}"), &format!("Thing {}", service.id), [service]));
    }
    let configs: Vec<&String> = lab.kept.keys().filter(|topic| topic.ends_with("/config")).collect();
    let mut unique = BTreeSet::new();
    for topic in &configs {
        let origin = Origin::parse(topic, "homeassistant").unwrap_or_else(|| panic!("{topic}"));
        let described = discovery::parse(&origin, lab.kept[*topic].as_bytes()).unwrap();
        assert_eq!(described.refused, 0, "{topic}");
        for entity in described.entities.values() {
            assert!(unique.insert(entity.unique.clone().unwrap()), "{topic}");
        }
        let config = lab.json(topic);
        assert!(
            config["device"]
                .as_object()
                .unwrap()
                .keys()
                .all(|key| { ["identifiers", "name", "manufacturer", "suggested_area"].contains(&key.as_str()) })
        );
    }
    let bases = Bases { discovery: "homeassistant".into(), zigbee: "zigbee2mqtt".into() };
    let (mut other, mut same) = (House::new(bases.clone()), House::new(bases).without_own(HUB));
    let now = Instant::now();
    for (topic, payload) in &lab.kept {
        other.message(topic, payload.as_bytes(), true, now);
        same.message(topic, payload.as_bytes(), true, now);
    }
    other.handle_timeout(now + Duration::from_secs(1));
    same.handle_timeout(now + Duration::from_secs(1));
    assert_eq!(same.things().count(), 0, "its own devices do not come back to it");
    assert_eq!(other.things().count(), 21, "{:?}", other.tally());
    let tally = other.tally();
    println!("{} entities; another hub has {:?}", configs.len(), tally.count);
    assert!(tally.refused.is_empty(), "{tally:?}");
    let known = tally.count.standard + tally.count.more;
    assert!(tally.count.lost() * 20 <= known, "{tally:?}");
}

#[test]
fn names_from_elsewhere_stay_in_their_place() {
    let mut lab = Lab::new(Memory::new(HUB.to_owned()));
    lab.showing.up();
    let mut more = catalogue::more();
    for id in ["fine-one", "a/b", "a b", "{{ x }}", "\"]}}{{ 1 }}", "#", "+", ""] {
        more.properties.push(accord_model::Property::state(id, accord_model::Format::Bool).writable());
    }
    let mut evil = device("5e", "Na\"me {{ 7*7 }}", [more]);
    evil.services[0].label = Some("{{ states }}".to_owned());
    lab.show(evil);
    let configs: Vec<&String> = lab.kept.keys().filter(|topic| topic.ends_with("/config")).collect();
    assert_eq!(configs.len(), 1, "{configs:?}");
    let config = lab.json(configs[0]);
    assert_eq!(config["value_template"], "{{ value_json[\"fine-one\"] }}");
    for service in ["a/b", "x#", "+", ""] {
        let mut odd = catalogue::on_off();
        odd.id = service.to_owned();
        lab.show(device("6f", "Odd", [odd]));
    }
    assert!(lab.kept.keys().all(|topic| !topic.contains(['#', '+', ' ', '{'])));
    for number in 0..400 {
        lab.show(device(&format!("{number:04x}"), "Many", [catalogue::electricity()]));
    }
    assert!(lab.showing.counts().2 >= 100, "those for which there is no room are counted");
    assert!(lab.showing.counts().0 <= 256 && lab.kept.len() <= 8192, "{} {}", lab.showing.counts().0, lab.kept.len());
}

proptest::proptest! {
    #[test]
    fn any_wish_is_read_without_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512)) {
        accord_mqtt::core::showing::fuzz(&bytes);
    }

    #[test]
    fn any_wish_of_a_service_is_read_without_harm(
        lines in proptest::collection::vec("~(light|climate|cover|door-lock|fan|vacuum|on-off)-0/(set|do|set/(on|level|mode|target|position|fan-speed)) .{0,60}", 1..12),
        json in r#"\{"(state|brightness|color|color_temp|effect)":("ON"|"OFF"|-?[0-9]{1,20}(\.[0-9]{1,3})?(e[0-9]{1,3})?|\{"h":[0-9]{1,5}\}|null)\}"#,
    ) {
        accord_mqtt::core::showing::fuzz(format!("{}\n~light-0/set {json}", lines.join("\n")).as_bytes());
    }
}
