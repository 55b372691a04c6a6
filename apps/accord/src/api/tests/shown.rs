//! Devices shown elsewhere in a real hub, with bridges that the test plays: nothing before the owner chose and agreed, what is told
//! then, and what is obeyed.

use accord_consent::{Choice, RecipientId, To};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, DeviceKind, EntryKey, FromBridge, Inputs, Outputs, Reach, Source,
    Target, Timestamp, ToBridge, Value as Held, Verb, catalogue,
};
use accord_ports::showcase::{Decoder, Frame, SERVICE, WISH, Wish};
use accord_registry::{BridgeSide, ByteStream, PathInfo};
use tokio::io::{AsyncReadExt, DuplexStream};

use super::faces::{device, id, mouth};
use super::*;

fn added(name: &str, kind: DeviceKind, called: &str, services: Vec<accord_model::Service>) -> Device {
    let mut device = services.into_iter().fold(Device::new(id(name), kind, called), Device::with);
    device = device.with(accord_ports::added::pairing(Some(Timestamp::now())));
    device.reach = Reach::Local;
    device
}

fn agree(home: &Home, entry: &str, device: &str) {
    let to = To::One(RecipientId::device(&id(device)));
    home.running.hub.decide_as(EntryKey::new(entry).unwrap(), to, Choice::Always, None, "cli").unwrap();
}

/// A broker, as its bridge speaks for it.
struct Place {
    side: BridgeSide,
    stream: Option<DuplexStream>,
    decoder: Decoder,
    next: u64,
}

impl Place {
    async fn frame(&mut self) -> Option<Frame> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let read = self.stream.as_mut()?.read(&mut buffer);
            match tokio::time::timeout(WITHIN, read).await.expect("something is told").unwrap() {
                0 => {
                    self.stream = None;
                    return None;
                }
                length => self.decoder.feed(&buffer[..length]),
            }
        }
    }

    async fn opened(&mut self) {
        let stream = loop {
            let message = tokio::time::timeout(WITHIN, self.side.inbox.recv()).await.expect("a stream is opened");
            if let Some((ToBridge::OpenStream { stream, target, inputs, .. }, _)) = message {
                assert_eq!(target.service, SERVICE);
                let fields = accord_ports::showcase::fields_of(&inputs).expect("it says what is told on it");
                assert!(fields.contains(accord_model::FieldCode::HomeDeviceName));
                break stream;
            }
        };
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(theirs);
        let path = PathInfo { address: "10.0.0.9:1883".into(), carrier: "played".into(), encrypted: false };
        let carried = ByteStream { reader: Box::new(reader), writer: Box::new(writer), path };
        self.side.outbox.send((FromBridge::StreamReady { stream }, Some(carried))).await.unwrap();
        (self.stream, self.decoder) = (Some(ours), Decoder::default());
    }

    /// All that is told first.
    async fn shown(&mut self) -> Vec<Device> {
        self.opened().await;
        let mut shown = Vec::new();
        loop {
            match self.frame().await {
                Some(Frame::Show(device)) => shown.push(*device),
                Some(Frame::All) => return shown,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn wish(&mut self, device: &DeviceId, service: &str, verb: Verb) -> Result<(), CallError> {
        self.next += 1;
        let call = CallId(self.next);
        let inputs = Wish { device: device.clone(), target: Target::new(service), verbs: vec![verb] }.inputs();
        let verb = Verb::Act { action: WISH.to_owned(), inputs };
        let asked = FromBridge::Asked { call, device: id("broker-1"), target: Target::new(SERVICE), verb };
        self.side.tell(asked).await.unwrap();
        loop {
            let message = tokio::time::timeout(WITHIN, self.side.inbox.recv()).await.expect("it is answered");
            if let Some((ToBridge::Answer { call: of, outcome }, _)) = message
                && of == call
            {
                return outcome.map(drop);
            }
        }
    }
}

/// Devices that take what they are told, and say that it is so.
fn play(mut side: BridgeSide) -> tokio::task::JoinHandle<Vec<Verb>> {
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
            if let Verb::Write { property, data } = verb {
                let value = Held { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 60 };
                let values = [(property, value)].into();
                side.tell(FromBridge::Values { device, target, values }).await.unwrap();
            }
        }
        told
    })
}

fn write(property: &str, data: Data) -> Verb {
    Verb::Write { property: property.into(), data }
}

fn act(action: &str) -> Verb {
    Verb::Act { action: action.into(), inputs: Inputs::new() }
}

async fn played() -> (Home, Place, tokio::task::JoinHandle<Vec<Verb>>) {
    let home = home().await;
    let (things, side) = (mouth(&home, "played").await, mouth(&home, "played-broker").await);
    let light = catalogue::light().only(&["on", "level"], &["toggle"]);
    for one in [
        added("lamp-1", DeviceKind::Light, "Desk lamp", vec![light]),
        added("lock-1", DeviceKind::Lock, "Front door", vec![catalogue::door_lock()]),
    ] {
        things.tell(FromBridge::Seen { device: one }).await.unwrap();
    }
    let broker = added("broker-1", DeviceKind::Hub, "Broker", vec![catalogue::showcase()]);
    let mut behind = added("lamp-2", DeviceKind::Light, "Behind it", vec![catalogue::light()]);
    behind.via = Some(id("broker-1"));
    for one in [broker, behind] {
        side.tell(FromBridge::Seen { device: one }).await.unwrap();
    }
    for one in ["lamp-1", "lock-1", "broker-1", "lamp-2"] {
        device(&home, one, |_| true).await;
    }
    let place = Place { side, stream: None, decoder: Decoder::default(), next: 0 };
    (home, place, play(things))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_and_obeyed_is_what_the_owner_chose() {
    let (home, mut place, told) = played().await;
    let put =
        async |device: &str, what: Value| home.own(Method::PUT, &format!("/home/shown/broker-1/{device}"), what).await;
    // Nothing without consent, and not back to where it came from.
    let asked = put("lamp-1", json!({})).await;
    assert_eq!((asked.status, asked.json()["error"].as_str()), (StatusCode::CONFLICT, Some("consent-needed")));
    assert_eq!(asked.json()["prompt"]["entry"]["key"], "home/share");
    assert!(place.side.inbox.try_recv().is_err(), "its bridge was told nothing");
    agree(&home, "home/share", "broker-1");
    let back = put("lamp-2", json!({})).await;
    assert!(back.status == StatusCode::CONFLICT && back.text.contains("it comes from there"), "{}", back.text);
    for bad in [put("lock-1", json!({ "opens": true })).await, put("broker-1", json!({})).await] {
        assert_eq!(bad.status, StatusCode::CONFLICT, "{}", bad.text);
    }
    let nowhere = home.own(Method::PUT, "/home/shown/lamp-1/lock-1", json!({})).await;
    assert_eq!(nowhere.status, StatusCode::CONFLICT, "{}", nowhere.text);
    // Seen, and not obeyed.
    assert_eq!(put("lamp-1", json!({})).await.status, StatusCode::OK);
    let shown = place.shown().await;
    let (there, lamp) = (shown[0].id.clone(), &shown[0]);
    assert_eq!((shown.len(), lamp.name.as_str(), lamp.reach), (1, "Desk lamp", Reach::Local));
    assert!(!there.as_str().contains("lamp") && lamp.claims == Default::default());
    assert!(lamp.services.iter().all(|one| one.id == "light" && one.actions.is_empty()), "{lamp:?}");
    let refused = place.wish(&there, "light", write("on", Data::Bool(true))).await;
    assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
    // Controlled, once the owner agreed to control it at all.
    let asked = put("lamp-1", json!({ "control": true })).await;
    assert_eq!(asked.json()["prompt"]["entry"]["key"], "control/command", "{}", asked.text);
    agree(&home, "control/command", "lamp-1");
    assert_eq!(put("lamp-1", json!({ "control": true })).await.status, StatusCode::OK);
    assert!(
        matches!(place.frame().await, Some(Frame::Show(lamp)) if lamp.id == there && lamp.services[0].properties[0].write)
    );
    place.wish(&there, "light", write("level", Data::Int(30))).await.unwrap();
    match place.frame().await {
        Some(Frame::Values { values, .. }) => assert_eq!(values["level"].data, Data::Int(30), "as the lamp says it"),
        other => panic!("{other:?}"),
    }
    for (device, service, verb) in [
        (&there, "light", write("level", Data::Int(101))),
        (&there, "light", write("color-temperature", Data::Int(3000))),
        (&there, "pairing", act("unpair")),
        (&id("lamp-1"), "light", write("on", Data::Bool(false))),
    ] {
        place.wish(device, service, verb).await.unwrap_err();
    }
    // A lock is locked, and unlocked only when the owner said so; also when unlocking it here is not asked about.
    agree(&home, "control/command", "lock-1");
    home.own(Method::PATCH, "/devices/lock-1", json!({ "trusted_effects": true })).await;
    assert_eq!(put("lock-1", json!({ "control": true })).await.status, StatusCode::OK);
    let Some(Frame::Show(lock)) = place.frame().await else { panic!("the lock is shown") };
    place.wish(&lock.id, "door-lock", act("lock")).await.unwrap();
    place.wish(&lock.id, "door-lock", act("unlock")).await.unwrap_err();
    assert_eq!(put("lock-1", json!({ "control": true, "opens": true })).await.status, StatusCode::OK);
    assert!(matches!(place.frame().await, Some(Frame::Show(_))));
    place.wish(&lock.id, "door-lock", act("unlock")).await.unwrap();
    let listed = home.own(Method::GET, "/home/shown", Value::Null).await.json();
    let devices = &listed["places"][0]["devices"];
    assert_eq!(
        devices[0],
        json!({ "device": "lamp-1", "name": "Desk lamp", "secures": false, "more": false,
        "shown": { "control": true, "opens": false } }),
        "{listed}"
    );
    assert!(!listed.to_string().contains("lamp-2"), "{listed}");
    // Each wish is in the ledger, with who it was from; what opens has its own scenario.
    let kinds = async |query: &str| {
        let ledger = home.own(Method::GET, &format!("/ledger?{query}"), Value::Null).await.json();
        ledger["records"].as_array().unwrap().len()
    };
    assert_eq!(kinds("kind=received&entry=home/share").await, 3);
    assert_eq!(kinds("kind=intent&entry=home/share").await, 1, "one stream");
    // Blocked, it is shown nothing and obeyed in nothing.
    home.own(Method::PATCH, "/devices/broker-1", json!({ "blocked": true })).await;
    assert_eq!(place.frame().await, None);
    assert!(place.wish(&there, "light", write("on", Data::Bool(true))).await.is_err());
    home.running.end().await;
    let told = told.await.unwrap();
    assert_eq!(told, [write("level", Data::Int(30)), act("lock"), act("unlock")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thing_becomes_later_is_shown_and_opened_only_when_that_is_chosen_too() {
    let (home, mut place, told) = played().await;
    let more = mouth(&home, "played-more").await;
    let contact = added("contact-1", DeviceKind::Sensor, "Back door", vec![catalogue::contact()]);
    more.tell(FromBridge::Seen { device: contact }).await.unwrap();
    device(&home, "contact-1", |_| true).await;
    for (entry, of) in [("home/share", "broker-1"), ("control/command", "contact-1"), ("control/command", "lock-1")] {
        agree(&home, entry, of);
    }
    let put = async |what: Value| home.own(Method::PUT, "/home/shown/broker-1/contact-1", what).await;
    let opens = json!({ "control": true, "opens": true });
    let nothing = put(opens.clone()).await;
    assert!(nothing.status == StatusCode::CONFLICT && nothing.text.contains("opens"), "{}", nothing.text);
    assert_eq!(put(json!({ "control": true })).await.status, StatusCode::OK);
    let shown = place.shown().await;
    let services = |device: &Device| device.services.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(services(&shown[0]), ["contact"]);
    // Its lock is joined.
    let joined = home.own(Method::POST, "/devices/join", json!({ "device": "contact-1", "with": "lock-1" })).await;
    assert_eq!(joined.status, StatusCode::OK, "{}", joined.text);
    device(&home, "contact-1", |one| one["faces"].as_array().is_some_and(|faces| faces.len() == 2)).await;
    place.wish(&shown[0].id, "door-lock", act("lock")).await.unwrap_err();
    place.wish(&shown[0].id, "door-lock", act("unlock")).await.unwrap_err();
    let listed = home.own(Method::GET, "/home/shown", Value::Null).await.json();
    let of = listed["places"][0]["devices"].as_array().unwrap().iter().find(|one| !one["shown"].is_null()).unwrap();
    assert_eq!((&of["more"], &of["secures"]), (&json!(true), &json!(true)), "{listed}");
    // Until the owner chooses it for that too.
    assert_eq!(put(opens).await.status, StatusCode::OK);
    let known = loop {
        match place.frame().await {
            Some(Frame::Show(device)) if services(&device).contains(&"door-lock".to_owned()) => break *device,
            Some(_) => {}
            None => panic!("it ended"),
        }
    };
    assert_eq!(known.id, shown[0].id);
    place.wish(&known.id, "door-lock", act("unlock")).await.unwrap();
    home.running.end().await;
    assert_eq!(told.await.unwrap(), [act("unlock")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_nothing_is_shown_is_said_and_what_came_by_a_server_goes_with_it() {
    let (home, mut place, _told) = played().await;
    let server = mouth(&home, "played-server").await;
    server.tell(FromBridge::Seen { device: added("server-1", DeviceKind::Hub, "Server", vec![]) }).await.unwrap();
    let mut lamp = added("lamp-3", DeviceKind::Light, "Hall lamp", vec![catalogue::light()]);
    lamp.via = Some(id("server-1"));
    server.tell(FromBridge::Seen { device: lamp }).await.unwrap();
    device(&home, "lamp-3", |_| true).await;
    agree(&home, "home/share", "broker-1");
    let shown = home.own(Method::PUT, "/home/shown/broker-1/lamp-3", json!({})).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    let stream = loop {
        let message = tokio::time::timeout(WITHIN, place.side.inbox.recv()).await.expect("a stream is wanted");
        if let Some((ToBridge::OpenStream { stream, .. }, _)) = message {
            break stream;
        }
    };
    let error = CallError::NotConsented("you left out who is there".to_owned());
    place.side.tell(FromBridge::StreamFailed { stream, error }).await.unwrap();
    let listed = loop {
        let listed = home.own(Method::GET, "/home/shown", Value::Null).await.json();
        if !listed["places"][0]["problem"].is_null() {
            break listed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert!(listed["places"][0]["problem"].as_str().unwrap().contains("left out who is there"), "{listed}");
    let sent = home.own(Method::GET, "/ledger?kind=intent&entry=home/share", Value::Null).await.json();
    assert!(sent["records"].as_array().unwrap().is_empty(), "what nobody took is not written down as told: {sent}");
    assert_eq!(place.shown().await.len(), 1, "it is tried again");
    let listed = home.own(Method::GET, "/home/shown", Value::Null).await.json();
    assert!(listed["places"][0]["problem"].is_null(), "{listed}");
    // The server is removed, and its lamp is shown nowhere, nor when it comes back.
    home.running.hub.forget_agreed(&id("server-1")).unwrap();
    assert_eq!(place.frame().await, None);
    let listed = home.own(Method::GET, "/home/shown", Value::Null).await.json();
    let devices = listed["places"][0]["devices"].as_array().unwrap();
    assert!(devices.iter().all(|one| one["shown"].is_null()), "{listed}");
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_is_taken_back_and_begins_with_nothing_chosen() {
    let (home, mut place, _told) = played().await;
    agree(&home, "home/share", "broker-1");
    let state = &home.options.state;
    let say = async |words: &[&str]| crate::cli::say(state, words).await;
    say(&["home", "share", "Desk lamp"]).await.unwrap();
    say(&["home", "share", "Front door", "--with", "Broker"]).await.unwrap();
    let mut ids = Vec::new();
    while ids.len() < 2 {
        let shown = place.shown().await;
        ids.extend(shown.into_iter().map(|device| device.id));
        if ids.len() < 2 {
            match place.frame().await {
                Some(Frame::Show(device)) => ids.push(device.id),
                other => panic!("{other:?}"),
            }
        }
    }
    say(&["home", "shown"]).await.unwrap();
    say(&["home", "unshare", "Front door"]).await.unwrap();
    assert!(matches!(place.frame().await, Some(Frame::Gone { device }) if ids.contains(&device)));
    let error = say(&["home", "unshare", "Front door"]).await.unwrap_err().to_string();
    assert!(error.contains("is not shown on"), "{error}");
    // A lamp that goes is away there, and one that is unpaired is gone.
    home.running
        .hub
        .gate
        .withdraw(accord_consent::Which::from((
            EntryKey::new("home/share").unwrap(),
            To::One(RecipientId::device(&id("broker-1"))),
        )))
        .unwrap();
    assert_eq!(place.frame().await, None, "the stream ends with the consent");
    agree(&home, "home/share", "broker-1");
    assert_eq!(place.shown().await.len(), 1, "and begins with another one");
    home.running.hub.forget_agreed(&id("broker-1")).unwrap();
    assert_eq!(place.frame().await, None);
    agree(&home, "home/share", "broker-1");
    let listed = home.own(Method::GET, "/home/shown", Value::Null).await.json();
    let shown = listed["places"][0]["devices"].as_array().unwrap().iter().filter(|one| !one["shown"].is_null()).count();
    assert_eq!(shown, 0, "nothing is chosen for a broker that was removed: {listed}");
    home.running.end().await;
}
