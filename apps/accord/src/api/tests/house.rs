//! A house in a real hub, with a bridge that the test plays: values told, kept and asked for; set from the command line and
//! confirmed or not; a lock that is asked about, until its owner says otherwise.

use std::collections::BTreeMap;

use accord_consent::{Choice, RecipientId, To};
use accord_model::{
    Data, Device, DeviceKind, EntryKey, FromBridge, Outputs, Reach, Source, Target, Timestamp, ToBridge, Value as Held,
    Verb, catalogue,
};
use accord_registry::BridgeSide;

use super::faces::{device, id, mouth};
use super::*;

fn lamp(name: &str, room: &str) -> Device {
    let light = catalogue::light().only(&["on", "level"], &["toggle"]);
    let mut lamp = Device::new(id(name), DeviceKind::Light, "Desk lamp")
        .with(light)
        .with(accord_ports::added::pairing(Some(Timestamp::now())));
    (lamp.reach, lamp.room) = (Reach::Local, Some(room.to_owned()));
    lamp
}

fn lock(name: &str) -> Device {
    let mut lock = Device::new(id(name), DeviceKind::Lock, "Front door")
        .with(catalogue::door_lock())
        .with(accord_ports::added::pairing(Some(Timestamp::now())));
    lock.reach = Reach::Local;
    lock
}

fn says(device: &str, service: &str, property: &str, data: Data) -> FromBridge {
    let value = Held { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 3600 };
    FromBridge::Values {
        device: id(device),
        target: Target::new(service),
        values: BTreeMap::from([(property.to_owned(), value)]),
    }
}

fn agree(home: &Home, device: &str) {
    let entry = EntryKey::new("control/command").unwrap();
    let to = To::One(RecipientId::device(&id(device)));
    home.running.hub.decide_as(entry, to, Choice::Always, None, "cli").unwrap();
}

/// What is set is taken; `confirms` says what the device reports then.
fn play(mut side: BridgeSide, confirms: bool) -> tokio::task::JoinHandle<Vec<Verb>> {
    tokio::spawn(async move {
        let mut told = Vec::new();
        while let Some((message, _)) = side.inbox.recv().await {
            let (call, device, target, verb) = match message {
                ToBridge::Call { call, device, target, verb } => (call, device, target, verb),
                ToBridge::Stop => break,
                _ => continue,
            };
            told.push(verb.clone());
            side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::new()) }).await.unwrap();
            if let (Verb::Write { property, data }, true) = (verb, confirms) {
                side.tell(says(device.as_str(), &target.service, &property, data)).await.unwrap();
            }
        }
        told
    })
}

/// Of what is set, the first alone is reported, before it is said to be taken.
fn play_half(mut side: BridgeSide) {
    tokio::spawn(async move {
        let mut reported = false;
        while let Some((message, _)) = side.inbox.recv().await {
            let ToBridge::Call { call, device, target, verb } = message else { continue };
            if let (Verb::Write { property, data }, false) = (verb, std::mem::replace(&mut reported, true)) {
                side.tell(says(device.as_str(), &target.service, &property, data)).await.unwrap();
            }
            side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::new()) }).await.unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lamp_says_is_told_by_itself_kept_and_asked_for() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    side.tell(FromBridge::Seen { device: lamp("lamp-1", "Study") }).await.unwrap();
    device(&home, "lamp-1", |lamp| lamp["trust"] == "paired").await;
    let mut events = crate::cli::hub::Hub::new(home.options.state.clone()).events().await.unwrap();
    events.next().await.unwrap();
    for level in [10, 30, 20] {
        side.tell(says("lamp-1", "light", "level", Data::Int(level))).await.unwrap();
    }
    let values = loop {
        match events.next().await.unwrap().unwrap() {
            crate::api::types::Event::Values(values) => break values,
            crate::api::types::Event::Device(device) => panic!("all of the device for one value: {device:?}"),
            _ => {}
        }
    };
    assert_eq!((values.device.as_str(), values.service.as_str(), values.values.len()), ("lamp-1", "light", 1));
    device(&home, "lamp-1", |lamp| lamp["services"][0]["values"]["level"]["data"] == 20).await;
    let asked = "/home/history?device=Desk%20lamp&service=light&property=level&step=300";
    let mut course = Value::Null;
    for _ in 0..200 {
        let answer = home.own(Method::GET, asked, Value::Null).await;
        if answer.status == StatusCode::OK && answer.json()["points"][0]["max"] == 30.0 {
            course = answer.json();
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        (&course["kind"], &course["step_s"], &course["unit"]),
        (&json!("level"), &json!(300), &json!("percent"))
    );
    let rooms = home.own(Method::GET, "/home/rooms", Value::Null).await.json();
    assert_eq!(rooms, json!({ "rooms": [{ "name": "Study", "devices": ["lamp-1"] }] }));
    let renamed = json!({ "from": "study", "to": "Office" });
    let rooms = home.own(Method::POST, "/home/rooms/rename", renamed).await.json();
    assert_eq!(rooms["rooms"][0]["name"], "Office");
    let icon = home.own(Method::PATCH, "/devices/lamp-1", json!({ "icon": "floor-lamp" })).await.json();
    assert_eq!((&icon["icon"], &icon["via"]), (&json!("floor-lamp"), &Value::Null));
    let bad = home.own(Method::PATCH, "/devices/lamp-1", json!({ "icon": "<svg>" })).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{}", bad.text);
    let order = json!({ "rooms": ["Office", "Hall"], "devices": ["lamp-1", "gone-1"] });
    assert_eq!(home.own(Method::PUT, "/home/order", order.clone()).await.json(), order);
    let put = json!({ "devices": ["lamp-1", "nobody"], "room": "Attic" });
    let refused = home.own(Method::POST, "/home/rooms/put", put).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
    let put = json!({ "devices": ["Desk lamp"], "room": "Attic" });
    let rooms = home.own(Method::POST, "/home/rooms/put", put).await.json();
    assert_eq!(rooms, json!({ "rooms": [{ "name": "Attic", "devices": ["lamp-1"] }] }));
    let renamed = json!({ "from": "attic", "to": "Office" });
    home.own(Method::POST, "/home/rooms/rename", renamed).await;
    assert_eq!(home.own(Method::GET, "/home/order", Value::Null).await.json(), order);
    let csv = home.own(Method::GET, "/home/history/export?format=csv&device=lamp-1", Value::Null).await;
    assert!(
        csv.text.starts_with("time,device,name") && csv.text.contains("Desk lamp,light,0,level,percent,"),
        "{}",
        csv.text
    );
    for bad in [
        "/home/history?device=lamp-1&service=light&property=none",
        "/home/history?device=nobody&service=light&property=level",
        "/home/history?device=lamp-1&service=light&property=level&step=1&from=2020-01-01T00:00:00Z",
        "/home/history?device=lamp-1&service=light&property=level&more=1",
        "/home/history/export?format=xml",
    ] {
        let answer = home.own(Method::GET, bad, Value::Null).await;
        assert!(answer.status.is_client_error() && answer.json()["message"].is_string(), "{bad}: {}", answer.text);
    }
    let state = home.own(Method::GET, "/home/history/settings", Value::Null).await.json();
    assert_eq!((&state["kept"], &state["settings"]["on"]), (&json!(1), &json!(true)), "{state}");
    let mut settings = state["settings"].clone();
    settings["off"] = json!(["Desk lamp"]);
    let state = home.own(Method::PUT, "/home/history/settings", settings.clone()).await.json();
    assert_eq!(state["settings"]["off"], json!(["lamp-1"]));
    settings["megabytes"] = json!(1);
    let refused = home.own(Method::PUT, "/home/history/settings", settings).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    let gone = home.own(Method::DELETE, "/home/history/of/lamp-1", Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    let kept = home.own(Method::GET, "/home/history/kept", Value::Null).await.json();
    assert_eq!(kept, json!({ "kept": [] }));
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_sets_and_says_what_was_not_confirmed() {
    let home = home().await;
    let (one, two) = (mouth(&home, "played").await, mouth(&home, "played-too").await);
    let three = mouth(&home, "played-half").await;
    let mut half = lamp("lamp-3", "Hall");
    half.name = "Slow lamp".into();
    three.tell(FromBridge::Seen { device: half }).await.unwrap();
    device(&home, "lamp-3", |_| true).await;
    agree(&home, "lamp-3");
    play_half(three);
    one.tell(FromBridge::Seen { device: lamp("lamp-1", "Study") }).await.unwrap();
    let mut mute = lamp("lamp-2", "Hall");
    mute.name = "Mute lamp".into();
    two.tell(FromBridge::Seen { device: mute }).await.unwrap();
    device(&home, "lamp-2", |_| true).await;
    device(&home, "lamp-1", |_| true).await;
    agree(&home, "lamp-1");
    agree(&home, "lamp-2");
    let (one, two) = (play(one, true), play(two, false));
    let state = &home.options.state;
    let say = async |words: &[&str]| crate::cli::say(state, words).await;
    say(&["devices", "set", "Desk lamp", "Mute lamp", "--room", "Study"]).await.unwrap();
    let rooms = home.own(Method::GET, "/home/rooms", Value::Null).await.json();
    assert_eq!(rooms["rooms"].as_array().unwrap().last().unwrap()["devices"], json!(["lamp-1", "lamp-2"]), "{rooms}");
    for words in [
        &["home", "set", "Desk lamp", "on"][..],
        &["home", "set", "desk lamp", "brightness", "30%"],
        &["home", "set", "Desk lamp", "level=40", "on=off"],
        &["home", "set", "Desk lamp", "35%", "--json", "--no-wait"],
        &["home", "set", "--no-wait", "--json", "Desk lamp", "level=36", "-y"],
        &["home", "set", "Desk lamp", "--no-wait", "37"],
        &["home", "set", "Desk lamp", "toggle", "--yes", "--json"],
        &["home", "do", "Desk lamp", "toggle"],
        &["home", "get", "Desk lamp", "level"],
        &["home", "show", "Desk lamp"],
        &["home", "list"],
        &["home", "list", "--room", "study"],
        &["home", "history", "Desk lamp"],
        &["home", "history", "Desk lamp", "level", "--since", "1h"],
        &["home", "history", "Desk lamp", "level", "--every", "5m"],
        &["home", "kept"],
        &["home", "kept", "set", "--all", "14", "--without", "Mute lamp"],
    ] {
        say(words).await.unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
    }
    let watched = async {
        let watch = say(&["home", "watch", "--json", "--room", "study", "--service", "light", "--count", "1"]);
        let set = async {
            // Until it watches, there is nothing to be seen.
            loop {
                say(&["home", "set", "Desk lamp", "toggle-less=1"]).await.unwrap_err();
                say(&["home", "set", "Desk lamp", "level", "70"]).await.unwrap();
                say(&["home", "set", "Desk lamp", "level", "40"]).await.unwrap();
            }
        };
        tokio::select! {
            watched = watch => watched,
            () = set => Ok(()),
        }
    };
    tokio::time::timeout(WITHIN, watched).await.expect("a change is seen").unwrap();
    let begun = std::time::Instant::now();
    // What tells that the first one is confirmed is no word about the second one.
    let (mute, slow) = tokio::join!(
        say(&["home", "set", "Mute lamp", "on"]),
        say(&["home", "set", "Slow lamp", "level=40", "level=50"]),
    );
    for unconfirmed in [mute.unwrap_err(), slow.unwrap_err()] {
        assert!(unconfirmed.is::<crate::cli::Unconfirmed>(), "{unconfirmed:#}");
    }
    assert!(begun.elapsed() < Duration::from_secs(9));
    for (words, message) in [
        (&["home", "set", "Desk lamp", "level", "300"][..], "between 0 and 100 %"),
        (&["home", "set", "Desk lamp", "color-temperature", "warm"], "there is: light/on, light/level"),
        (
            &["home", "set", "Desk lamp", "bright"],
            "with one of: light/on, light/level; it can also be told to: light/toggle",
        ),
        (&["home", "set", "Desk lamp", "level", "-5"], "between 0 and 100 %"),
        (&["home", "set", "Desk lamp", "--brighter"], "unexpected argument '--brighter'"),
        (&["devices", "set", "Desk lamp", "Mute lamp", "--name", "Lamp"], "for one device"),
        (&["devices", "set", "Desk lamp", "Nobody", "--room", "Attic"], "No device is called"),
        (&["home", "set", "Nobody", "on"], "No device is called"),
        (&["home", "get", "Mute lamp", "level"], "has not said"),
        (&["home", "do", "Desk lamp", "explode"], "light/toggle"),
        (&["home", "history", "Mute lamp", "level"], "Nothing is kept"),
        (&["home", "list", "--room", "Cellar"], "rooms: "),
        (&["home", "kept", "set"], "say what to change"),
    ] {
        let error = say(words).await.unwrap_err();
        assert!(format!("{error:#}").contains(message), "{words:?}: {error:#}");
    }
    home.running.end().await;
    let told = one.await.unwrap();
    let write = |property: &str, data: Data| Verb::Write { property: property.into(), data };
    let act = Verb::Act { action: "toggle".into(), inputs: BTreeMap::new() };
    let level = |level| write("level", Data::Int(level));
    let asked = [write("on", true.into()), level(30), level(40), write("on", false.into())];
    assert_eq!(told[..4], asked);
    assert_eq!(told[4..9], [level(35), level(36), level(37), act.clone(), act]);
    assert_eq!(two.await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_asked_about_until_its_owner_says_otherwise_and_the_ledger_tells_which() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    side.tell(FromBridge::Seen { device: lock("lock-1") }).await.unwrap();
    let seen = device(&home, "lock-1", |_| true).await;
    assert_eq!(seen["trusted_effects"], false);
    let told = play(side, true);
    agree(&home, "lock-1");
    let state = &home.options.state;
    let say = async |words: &[&str]| crate::cli::say(state, words).await;
    let unlock = json!({ "service": "door-lock", "verb": { "verb": "act", "action": "unlock", "inputs": {} } });
    let asked = home.own(Method::POST, "/devices/lock-1/call", unlock.clone()).await;
    assert_eq!(asked.json()["error"], "confirm-needed", "{}", asked.text);
    say(&["home", "do", "Front door", "lock"]).await.unwrap();
    say(&["home", "do", "Front door", "unlock", "--yes"]).await.unwrap();
    say(&["devices", "set", "Front door", "--trusted-effects", "true"]).await.unwrap();
    let trusted = device(&home, "lock-1", |_| true).await;
    assert_eq!(trusted["trusted_effects"], true);
    let opened = home.own(Method::POST, "/devices/lock-1/call", unlock.clone()).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    let ledger = home.own(Method::GET, "/ledger?kind=intent&entry=control/command", Value::Null).await.json();
    let scenarios: Vec<&str> =
        ledger["records"].as_array().unwrap().iter().map(|record| record["scenario"].as_str().unwrap()).collect();
    assert_eq!(scenarios, ["on.control.trusted", "on.control", "on.control"]);
    let sent = home.own(Method::GET, "/ledger?kind=sent&entry=control/command", Value::Null).await.json();
    let words = |records: &Value| -> Vec<Value> {
        records["records"].as_array().unwrap().iter().map(|record| record["message"].clone()).collect()
    };
    let unlocked = json!("Tell Front door to unlock, from the command line");
    assert_eq!(words(&ledger), [unlocked.clone(), unlocked.clone(), Value::Null], "locking opens nothing");
    assert_eq!(words(&sent), words(&ledger));
    let cookie = home.sign_in().await;
    let changing = [("cookie", cookie.as_str()), ("x-accord", "1")];
    let web = home.web(Method::POST, "/api/v1/devices/lock-1/call", &changing, unlock.clone()).await;
    assert_eq!(web.status, StatusCode::OK, "{}", web.text);
    let of_lock = "/ledger?kind=sent&search=%22subject%22%3A%22lock-1%22";
    let of_lock = words(&home.own(Method::GET, of_lock, Value::Null).await.json());
    assert_eq!(of_lock[0], "Tell Front door to unlock, from the web UI");
    assert_eq!(of_lock[1..], [unlocked.clone(), unlocked]);
    for history in [&["home", "history", "Front door"][..], &["home", "history", "Front door", "--json"]] {
        say(history).await.unwrap_or_else(|error| panic!("{history:?}: {error:#}"));
    }
    // A word alone is asked about in the same way.
    say(&["devices", "set", "Front door", "--trusted-effects", "false"]).await.unwrap();
    let error = say(&["home", "set", "Front door", "unlocked"]).await.unwrap_err().to_string();
    assert!(error.contains("door-lock/unlock of Front door opens") && error.contains("--yes"), "{error}");
    say(&["home", "set", "Front door", "unlocked", "-y"]).await.unwrap();
    let error = say(&["home", "set", "Front door", "locked", "unlocked"]).await.unwrap_err().to_string();
    assert!(error.contains("`accord home do 'Front door' unlock`"), "{error}");
    // Unpaired and paired again, it begins with nothing agreed.
    home.own(Method::PATCH, "/devices/lock-1", json!({ "trusted_effects": false })).await;
    let asked = home.own(Method::POST, "/devices/lock-1/call", unlock).await;
    assert_eq!(asked.json()["error"], "confirm-needed", "{}", asked.text);
    home.running.end().await;
    assert_eq!(told.await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_of_the_house_is_among_the_notifications_until_it_is_over() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    let sensor = |name: &str, added: Option<Timestamp>| {
        let mut sensor = Device::new(id(name), DeviceKind::Sensor, "Bath")
            .with(catalogue::water_leak())
            .with(accord_ports::added::pairing(added));
        (sensor.reach, sensor.room) = (Reach::Local, Some("Cellar".to_owned()));
        FromBridge::Seen { device: sensor }
    };
    side.tell(sensor("stranger", None)).await.unwrap();
    side.tell(sensor("leak-1", Some(Timestamp::now()))).await.unwrap();
    for name in ["stranger", "leak-1"] {
        device(&home, name, |_| true).await;
    }
    let wet = |name: &str, is: bool| says(name, "water-leak", "detected", Data::Bool(is));
    let titles = async || -> Vec<Value> {
        let listed = home.own(Method::GET, "/notifications", Value::Null).await.json();
        listed["notifications"].as_array().unwrap().iter().map(|one| one["title"].clone()).collect()
    };
    let become_title = async |title: &str| {
        for _ in 0..200 {
            if titles().await == [title] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{title}: {:?}", titles().await);
    };
    side.tell(wet("stranger", true)).await.unwrap();
    side.tell(wet("leak-1", true)).await.unwrap();
    become_title("Water leak: Bath").await;
    side.tell(wet("leak-1", false)).await.unwrap();
    become_title("Water leak is over: Bath").await;
    let settings = home.own(Method::GET, "/settings", Value::Null).await.json();
    assert_eq!(settings["alarms"], true);
    crate::cli::say(&home.options.state, &["settings", "set", "alarms", "false"]).await.unwrap();
    let listed = home.own(Method::GET, "/notifications", Value::Null).await.json();
    let one = listed["notifications"][0]["id"].as_str().unwrap().to_owned();
    let gone = home.own(Method::POST, &format!("/notifications/{one}/dismiss"), json!({})).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    side.tell(wet("leak-1", true)).await.unwrap();
    device(&home, "leak-1", |leak| leak["services"][0]["values"]["detected"]["data"] == true).await;
    assert_eq!(titles().await, Vec::<Value>::new());
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_has_a_word_of_its_own() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    let mut lamp = lamp("lamp-1", "Study");
    lamp.services[0].actions[0].effect = accord_model::Effect::Destructive;
    side.tell(FromBridge::Seen { device: lamp }).await.unwrap();
    device(&home, "lamp-1", |_| true).await;
    agree(&home, "lamp-1");
    let told = play(side, true);
    let state = &home.options.state;
    for words in [&["home", "do", "Desk lamp", "toggle"][..], &["home", "do", "Desk lamp", "toggle", "--yes"]] {
        let error = crate::cli::say(state, words).await.unwrap_err().to_string();
        assert!(error.contains("cannot be undone; `--destroy`"), "{words:?}: {error}");
    }
    crate::cli::say(state, &["home", "do", "Desk lamp", "toggle", "--destroy"]).await.unwrap();
    home.running.end().await;
    assert_eq!(told.await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_face_that_is_asked_tells_what_a_device_says() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    for name in ["lamp-1", "lamp-2"] {
        side.tell(FromBridge::Seen { device: lamp(name, "Study") }).await.unwrap();
        device(&home, name, |_| true).await;
    }
    let joined = home.own(Method::POST, "/devices/join", json!({ "device": "lamp-1", "with": "lamp-2" })).await;
    assert_eq!(joined.json()["id"], "lamp-1", "{}", joined.text);
    let mut away = lamp("lamp-1", "Study");
    away.reach = Reach::Offline;
    side.tell(FromBridge::Seen { device: away }).await.unwrap();
    device(&home, "lamp-1", |lamp| lamp["faces"][0]["reach"] == "offline").await;
    let mut events = crate::cli::hub::Hub::new(home.options.state.clone()).events().await.unwrap();
    events.next().await.unwrap();
    side.tell(says("lamp-1", "light", "level", Data::Int(11))).await.unwrap();
    side.tell(says("lamp-2", "light", "level", Data::Int(22))).await.unwrap();
    let values = loop {
        if let crate::api::types::Event::Values(values) = events.next().await.unwrap().unwrap() {
            break values;
        }
    };
    assert_eq!((values.device.as_str(), &values.values["level"].data), ("lamp-1", &Data::Int(22)));
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_secrets_is_said_without_them() {
    let home = home().await;
    let secret = 4_711_471_147_u64;
    for (path, body) in [
        ("/add", json!({ "bridge": "mqtt", "way": "broker", "inputs": { "password": secret } })),
        ("/pairings", json!({ "device": "plug", "inputs": { "token": secret } })),
        ("/pairings", json!({ "ticket": secret })),
    ] {
        let answer = home.own(Method::POST, path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
        assert!(!answer.text.contains("4711471147") && answer.text.contains("line 1"), "{}", answer.text);
    }
    let start = crate::api::types::StartPairing {
        device: Some("plug".into()),
        ticket: Some("accord:pair/1?hidden".into()),
        inputs: BTreeMap::from([("token".into(), "hidden".into())]),
        ..Default::default()
    };
    assert_eq!(format!("{start:?}"), r#"StartPairing(Some("plug"), a ticket, None, 1 inputs)"#);
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_added_is_trusted_with_nothing() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    let mut near = lock("lock-1");
    near.services.retain(|service| service.id != "pairing");
    side.tell(FromBridge::Seen { device: near.with(accord_ports::added::pairing(None)) }).await.unwrap();
    device(&home, "lock-1", |_| true).await;
    let refused = home.own(Method::PATCH, "/devices/lock-1", json!({ "trusted_effects": true })).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_behind_a_server_is_trusted_and_reached_only_with_its_server() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    let pairing = |after: i64| {
        let since = Timestamp::now() + std::time::Duration::from_secs(after.unsigned_abs());
        accord_ports::added::pairing(Some(if after == 0 { Timestamp::UNIX_EPOCH } else { since }))
    };
    let behind = |after: i64| {
        let mut door = lock("lock-1");
        door.services.retain(|service| service.id != "pairing");
        door.via = Some(id("server-1"));
        FromBridge::Seen { device: door.with(pairing(after)) }
    };
    let mut server = Device::new(id("server-1"), DeviceKind::Hub, "Server").with(pairing(0));
    server.reach = Reach::Local;
    side.tell(FromBridge::Seen { device: server }).await.unwrap();
    side.tell(behind(0)).await.unwrap();
    device(&home, "lock-1", |_| true).await;
    let outbox = side.outbox.clone();
    let told = play(side, true);
    let unlock = json!({ "service": "door-lock", "verb": { "verb": "act", "action": "unlock", "inputs": {} } });
    let call = async || home.own(Method::POST, "/devices/lock-1/call", unlock.clone()).await;
    home.own(Method::PATCH, "/devices/lock-1", json!({ "trusted_effects": true })).await;
    assert_eq!(call().await.json()["error"], "consent-needed", "what is said to it is said to its server");
    agree(&home, "server-1");
    let opened = call().await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    home.own(Method::PATCH, "/devices/server-1", json!({ "blocked": true })).await;
    assert_eq!(call().await.json()["error"], "refused", "nothing is said to a blocked server");
    home.own(Method::PATCH, "/devices/server-1", json!({ "blocked": false })).await;
    // The server was removed and added again: it begins with nothing trusted.
    outbox.send((behind(60), None)).await.unwrap();
    device(&home, "lock-1", |lock| lock["trusted_effects"] == false).await;
    assert_eq!(call().await.json()["error"], "confirm-needed");
    home.running.end().await;
    assert_eq!(told.await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_speaks_for_is_not_said_to_be_removed() {
    let home = home().await;
    let side = mouth(&home, "house").await;
    side.tell(FromBridge::Seen { device: lamp("lamp", "Study") }).await.unwrap();
    device(&home, "lamp", |_| true).await;
    agree(&home, "lamp");
    side.tell(FromBridge::Failed { message: "it fell over".into() }).await.unwrap();
    device(&home, "lamp", |lamp| lamp["reach"] == "offline").await;
    let answer = home.own(Method::DELETE, "/pairings/paired/lamp", Value::Null).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    assert!(answer.text.contains("not running"), "{}", answer.text);
    let given = home.running.hub.gate.consents();
    assert!(given.iter().any(|one| one.state == accord_consent::ConsentState::Given), "all is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_looked_at_once_its_owner_agrees_and_nothing_but_a_picture_comes_through() {
    let home = home().await;
    let mut side = mouth(&home, "played").await;
    let mut camera = Device::new(id("camera-1"), DeviceKind::Camera, "Garden/gate")
        .with(catalogue::picture())
        .with(accord_ports::added::pairing(Some(Timestamp::now())));
    camera.reach = Reach::Local;
    side.tell(FromBridge::Seen { device: camera }).await.unwrap();
    device(&home, "camera-1", |camera| camera["trust"] == "paired").await;
    let jpeg = [&b"\xff\xd8\xff\xe0"[..], &[7; 300_000]].concat();
    let mut given = [jpeg.clone(), jpeg.clone(), b"<svg onload='alert(1)'/>".to_vec()].into_iter();
    let bridge = tokio::spawn(async move {
        let mut opened = 0;
        while let Some((message, _)) = side.inbox.recv().await {
            let (stream, target) = match message {
                ToBridge::OpenStream { stream, target, .. } => (stream, target),
                ToBridge::Stop => break,
                _ => continue,
            };
            assert_eq!(target, Target::new("picture"));
            opened += 1;
            let Some(bytes) = given.next() else {
                let error = accord_model::CallError::Refused("it is covered".into());
                side.tell(FromBridge::StreamFailed { stream, error }).await.unwrap();
                continue;
            };
            let carried = accord_registry::ByteStream {
                reader: Box::new(std::io::Cursor::new(bytes)),
                writer: Box::new(tokio::io::sink()),
                path: accord_registry::PathInfo::default(),
            };
            side.outbox.send((FromBridge::StreamReady { stream }, Some(carried))).await.unwrap();
        }
        opened
    });
    let look = async || home.own(Method::GET, "/devices/camera-1/picture", Value::Null).await;
    let asked = look().await.json();
    assert_eq!(
        (&asked["error"], &asked["prompt"]["entry"]["key"]),
        (&json!("consent-needed"), &json!("control/command"))
    );
    assert_eq!(asked["prompt"]["because"], "Look at what Garden/gate shows");
    agree(&home, "camera-1");
    let cookie = home.sign_in().await;
    let seen =
        home.web(Method::GET, "/api/v1/devices/camera-1/picture", &[("cookie", cookie.as_str())], Value::Null).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    let header = |name: &str| seen.headers[name].to_str().unwrap().to_owned();
    assert_eq!((header("content-type"), header("cache-control")), ("image/jpeg".to_owned(), "no-store".to_owned()));
    assert!(header("content-security-policy").contains("sandbox") && header("x-content-type-options") == "nosniff");
    let file = home.options.state.data().join("seen.jpg");
    let (state, to) = (&home.options.state, file.to_str().unwrap());
    crate::cli::say(state, &["home", "look", "Garden/gate", "--to", to]).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), jpeg);
    // A document is no picture, whatever its bridge says; and why there is none is said.
    assert!(look().await.text.contains("no picture"));
    crate::cli::say(state, &["home", "show", "Garden/gate"]).await.unwrap();
    let again = crate::cli::say(state, &["home", "look", "Garden/gate", "--to", to]).await.unwrap_err();
    assert!(format!("{again:#}").contains("it is covered"), "{again:#}");
    let none = home.own(Method::GET, "/devices/camera-1/picture?instance=3", Value::Null).await;
    assert!(none.text.contains("nothing to be looked at"), "{}", none.text);
    let ledger = home.own(Method::GET, "/ledger?kind=intent&entry=control/command", Value::Null).await.json();
    assert_eq!(ledger["records"].as_array().unwrap().len(), 4, "each look, and not what was not agreed to");
    home.running.end().await;
    assert_eq!(bridge.await.unwrap(), 4);
}
