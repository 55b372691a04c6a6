//! The driver against a broker of its own making, over loopback: what is taken back, what is kept, what is remembered.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a broker for tests, on loopback")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as threads};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_model::why::{Fact, Outcome};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, EntryKey, FieldCode, FieldSet, FromBridge, Inputs, Outputs, Reach,
    Source, StreamClass, StreamId, Target, ToBridge, Verb,
};
use accord_mqtt::core::packet::Publish;
use accord_mqtt::{MqttBridge, Options};
use accord_ports::showcase::{self, Frame};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

struct NoKey;

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

struct Lab {
    _dir: tempfile::TempDir,
    gate: Gate,
    to: mpsc::Sender<(ToBridge, Option<ByteStream>)>,
    from: mpsc::Receiver<(FromBridge, Option<ByteStream>)>,
    next: u64,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let statement =
            Statement::join("test", "Test", Publisher::named("Test"), "1", &[accord_mqtt::STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let options = Options { folder: Vault::new(dir.path(), &[7; 32]).folder("mqtt") };
        let bridge = MqttBridge::new(gate.bind("mqtt"), options).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(64);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        Self { _dir: dir, gate, to, from, next: 1 }
    }

    /// The bridge ends and begins anew, and this is what was known before. The answer: what it still speaks for.
    async fn again(&mut self, before: Vec<Device>) -> Vec<DeviceId> {
        self.to.send((ToBridge::Stop, None)).await.unwrap();
        while self.from.recv().await.is_some() {}
        let options = Options { folder: Vault::new(self._dir.path(), &[7; 32]).folder("mqtt") };
        let mut bridge = MqttBridge::new(self.gate.bind("mqtt"), options).unwrap();
        let still = bridge.recall(before).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(64);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        (self.to, self.from) = (to, from);
        still
    }

    async fn hear<T>(&mut self, mut fits: impl FnMut(FromBridge) -> Option<T>) -> T {
        let wait = async {
            loop {
                let (message, _) = self.from.recv().await.expect("the bridge runs");
                if let Some(found) = fits(message) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it is told within 30 s")
    }

    async fn seen(&mut self, name: &str) -> Device {
        self.hear(|message| match message {
            FromBridge::Seen { device } if device.name == name && device.reach == Reach::Local => Some(device),
            _ => None,
        })
        .await
    }

    async fn value(&mut self, wanted: bool) -> (Source, u64) {
        self.hear(|message| match message {
            FromBridge::Values { values, .. } => {
                let found = values.get("on").filter(|value| value.data == Data::Bool(wanted));
                found.map(|value| (value.source, value.fresh_for_s))
            }
            _ => None,
        })
        .await
    }

    /// Tells the bridge of a broker; `again`: it is this one, elsewhere.
    async fn tell_of(&mut self, at: SocketAddr, again: Option<&DeviceId>) -> Result<DeviceId, CallError> {
        let address = [("address".to_owned(), Data::Text(format!("mqtt://{at}")))];
        let again = again.map(|id| ("again".to_owned(), Data::Text(id.to_string())));
        let (call, inputs) = (self.call(), Inputs::from_iter(address.into_iter().chain(again)));
        self.to.send((ToBridge::Add { call, way: "broker".to_owned(), inputs }, None)).await.unwrap();
        let outputs = self.answer(call).await?;
        match &outputs["devices"] {
            Data::Texts(all) => Ok(all[0].parse::<DeviceId>().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    async fn add(&mut self, at: SocketAddr) -> DeviceId {
        let broker = self.tell_of(at, None).await.unwrap();
        let entry = EntryKey::new("mqtt/connection").unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(&broker));
        self.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
        broker
    }

    async fn why(&mut self, device: &DeviceId) -> Vec<Fact> {
        let call = self.call();
        self.to.send((ToBridge::Explain { call, device: Some(device.clone()), within: 7 }, None)).await.unwrap();
        let wait = self.hear(|message| match message {
            FromBridge::Explained { call: of, explained } if of == call => Some(explained.facts),
            _ => None,
        });
        tokio::time::timeout(Duration::from_secs(9), wait).await.expect("it is explained in time")
    }

    fn call(&mut self) -> CallId {
        self.next += 1;
        CallId(self.next)
    }

    async fn write(&mut self, device: &DeviceId, on: bool) -> CallId {
        let call = self.call();
        let verb = Verb::Write { property: "on".to_owned(), data: Data::Bool(on) };
        let (device, target) = (device.clone(), Target::new("on-off"));
        self.to.send((ToBridge::Call { call, device, target, verb }, None)).await.unwrap();
        call
    }

    async fn answer(&mut self, call: CallId) -> Result<Outputs, CallError> {
        self.hear(|message| match message {
            FromBridge::Reply { call: of, outcome } if of == call => Some(outcome),
            _ => None,
        })
        .await
    }
}

/// A broker that takes a connection when it is told to, and says what it is told to publish.
struct Broker {
    at: SocketAddr,
    connections: threads::Receiver<TcpStream>,
}

struct Connection {
    stream: TcpStream,
    /// It takes what it is told, and answers nothing.
    hangs: Arc<AtomicBool>,
    published: threads::Receiver<Vec<u8>>,
}

impl Broker {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, (told, connections)) = (listener.local_addr().unwrap(), threads::channel());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.send(stream.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { at, connections }
    }

    /// The next connection, which is not greeted yet.
    async fn next(&mut self) -> TcpStream {
        for _ in 0..1_500 {
            if let Ok(stream) = self.connections.try_recv() {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody connects");
    }
}

impl Connection {
    fn greet(stream: TcpStream) -> Self {
        let (told, published) = threads::channel();
        let (mut reader, hangs) = (stream.try_clone().unwrap(), Arc::<AtomicBool>::default());
        let silent = hangs.clone();
        (&stream).write_all(&[0x20, 2, 0, 0]).unwrap();
        std::thread::spawn(move || while serve(&mut reader, &told, &silent).is_some() {});
        Self { stream, hangs, published }
    }

    fn say(&mut self, topic: &str, payload: &str, retain: bool) {
        let message =
            Publish { topic: topic.to_owned(), payload: payload.as_bytes().to_vec(), retain, ..Publish::default() };
        self.stream.write_all(&message.encode()).unwrap();
    }

    fn describe(&mut self) {
        let plug = json!({"unique_id": "p", "name": "Plug", "state_topic": "p/s", "command_topic": "p/c",
            "device": {"identifiers": ["p"], "name": "Plug", "manufacturer": "M", "model": "N"}});
        self.say("homeassistant/switch/p/config", &plug.to_string(), true);
    }
}

/// One packet of the client, answered as the standard says.
fn serve(stream: &mut TcpStream, told: &threads::Sender<Vec<u8>>, silent: &AtomicBool) -> Option<()> {
    let mut one = [0];
    stream.read_exact(&mut one).ok()?;
    let (kind, mut length, mut shift) = (one[0] >> 4, 0, 0);
    loop {
        stream.read_exact(&mut one).ok()?;
        length |= usize::from(one[0] & 0x7f) << shift;
        shift += 7;
        if one[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    if silent.load(Ordering::Relaxed) {
        return Some(());
    }
    match kind {
        3 => {
            let topic = usize::from(body[0]) << 8 | usize::from(body[1]);
            let id = [body[2 + topic], body[3 + topic]];
            told.send(body[4 + topic..].to_vec()).ok()?;
            stream.write_all(&[0x40, 2, id[0], id[1]]).ok()?;
        }
        8 => {
            let (mut at, mut count) = (2, 0);
            while at < body.len() {
                at += 3 + (usize::from(body[at]) << 8 | usize::from(body[at + 1]));
                count += 1;
            }
            let mut answer = vec![0x90, 2 + count, body[0], body[1]];
            answer.extend(std::iter::repeat_n(0, usize::from(count)));
            stream.write_all(&answer).ok()?;
        }
        10 => stream.write_all(&[0xb0, 2, body[0], body[1]]).ok()?,
        12 => stream.write_all(&[0xd0, 0]).ok()?,
        14 => return None,
        _ => {}
    }
    Some(())
}

#[tokio::test]
async fn a_broker_that_hangs_is_said_not_to_answer_and_so_are_its_devices() {
    let (mut lab, mut broker) = (Lab::new(), Broker::new());
    let id = lab.add(broker.at).await;
    let mut connection = Connection::greet(broker.next().await);
    connection.describe();
    let plug = lab.seen("Plug").await.id;
    let came = |facts: Vec<Fact>| {
        facts.into_iter().find_map(|fact| match fact {
            Fact::Tried { outcome, .. } => Some(outcome),
            _ => None,
        })
    };
    assert_eq!(came(lab.why(&plug).await), None);
    connection.hangs.store(true, Ordering::Relaxed);
    for device in [&plug, &id] {
        assert_eq!(came(lab.why(device).await), Some(Outcome::Mute));
    }
    // The next connection is taken too, and not greeted.
    connection.stream.shutdown(std::net::Shutdown::Both).unwrap();
    let _mute = broker.next().await;
    assert_eq!(came(lab.why(&id).await), Some(Outcome::Mute));
}

#[tokio::test]
async fn what_is_taken_back_while_the_broker_is_slow_is_not_carried_out() {
    let (mut lab, mut broker) = (Lab::new(), Broker::new());
    lab.add(broker.at).await;
    let mut first = Connection::greet(broker.next().await);
    first.describe();
    let plug = lab.seen("Plug").await.id;
    first.stream.shutdown(std::net::Shutdown::Both).unwrap();
    // It is there again, and does not greet yet.
    let slow = broker.next().await;
    let taken_back = lab.write(&plug, true).await;
    let wanted = lab.write(&plug, false).await;
    lab.to.send((ToBridge::Cancel { call: taken_back }, None)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut second = Connection::greet(slow);
    second.describe();
    assert!(lab.answer(wanted).await.is_ok());
    assert_eq!(second.published.try_iter().collect::<Vec<_>>(), [b"OFF".to_vec()]);
}

#[tokio::test]
async fn what_was_known_before_a_start_is_spoken_for_and_goes_once_the_broker_does_not_know_it() {
    let (mut lab, mut broker) = (Lab::new(), Broker::new());
    let id = lab.add(broker.at).await;
    let mut first = Connection::greet(broker.next().await);
    first.describe();
    let plug = lab.seen("Plug").await;
    let old = accord_model::Value {
        data: Data::Bool(true),
        seen: accord_model::Timestamp::from_second(1_700_000_000).unwrap(),
        source: Source::Pushed,
        fresh_for_s: 3600,
    };
    let mut before = Device { reach: Reach::Offline, ..plug.clone() };
    let on_off = before.services.iter_mut().find(|service| service.id == "on-off").unwrap();
    on_off.values.insert("on".to_owned(), old.clone());
    let lost = Device { id: "mqtt-lost".parse().unwrap(), ..before.clone() };
    let foreign =
        Device { id: "mqtt-foreign".parse().unwrap(), via: Some("nobody".parse().unwrap()), ..before.clone() };
    // As an earlier version left it, with names of devices.
    let earlier = lab._dir.path().join("mqtt").join(format!("{id}.json"));
    std::fs::write(&earlier, "{}").unwrap();
    let still = lab.again(vec![before, lost.clone(), foreign]).await;
    assert_eq!(still, [plug.id.clone(), lost.id.clone()], "not what is of a broker that is not added");
    let slow = broker.next().await;
    let call = lab.write(&lost.id, true).await;
    drop(slow);
    assert!(matches!(lab.answer(call).await, Err(CallError::Unreachable(_))));
    let mut second = Connection::greet(broker.next().await);
    second.describe();
    let back = lab.seen("Plug").await;
    assert!(!earlier.exists());
    assert_eq!(back.service("on-off").unwrap().values["on"], old, "it said nothing yet: as old as that is");
    lab.hear(|message| (message == FromBridge::Gone { device: lost.id.clone() }).then_some(())).await;
    // Added once more, it knows the same.
    drop(second);
    assert_eq!(lab.add(broker.at).await, id);
    let mut third = Connection::greet(broker.next().await);
    third.describe();
    assert_eq!(lab.seen("Plug").await.service("on-off").unwrap().values["on"], old);
}

#[tokio::test]
async fn a_day_away_is_few_attempts_and_one_record_and_nothing_is_done_late() {
    let (mut lab, mut broker) = (Lab::new(), Broker::new());
    lab.add(broker.at).await;
    let mut first = Connection::greet(broker.next().await);
    first.describe();
    let plug = lab.seen("Plug").await.id;
    first.stream.shutdown(std::net::Shutdown::Both).unwrap();
    // From now on it hangs up on whoever connects.
    drop(broker.next().await);
    let call = lab.write(&plug, true).await;
    assert!(matches!(lab.answer(call).await, Err(CallError::Unreachable(_))));
    let records = |lab: &Lab| lab.gate.ledger().list(&Default::default()).unwrap().len();
    let (before, mut attempts, mut told) = (records(&lab), 0, 0);
    tokio::time::pause();
    for _ in 0..1440 {
        minute().await;
        attempts += broker.connections.try_iter().count();
        while lab.from.try_recv().is_ok() {
            told += 1;
        }
    }
    let records = records(&lab) - before;
    println!("a day away: {attempts} attempts, {told} messages, {records} records");
    assert!((100..=360).contains(&attempts) && told <= 4 && records <= 4, "{attempts} {told} {records}");
    // It is back within five minutes, as they fall on these.
    let mut tried = None;
    for _ in 0..7 {
        minute().await;
        // What is tried then takes its real time.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(40))).await.unwrap();
        tried = broker.connections.try_recv().ok();
        if tried.is_some() {
            break;
        }
    }
    tokio::time::resume();
    let mut back = Connection::greet(tried.expect("it is tried within five minutes"));
    back.describe();
    back.say("p/s", "OFF", false);
    assert_eq!(lab.value(false).await.0, Source::Pushed);
    assert!(back.published.try_recv().is_err(), "what was refused is not done later");
}

/// A minute passes, and what it wakes has a moment.
async fn minute() {
    tokio::time::advance(Duration::from_secs(60)).await;
    // Time does not go on by itself meanwhile.
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_micros(1500))).await.unwrap();
}

#[tokio::test]
async fn what_the_broker_kept_is_assumed_and_what_the_plug_says_is_not() {
    let (mut lab, mut broker) = (Lab::new(), Broker::new());
    let id = lab.add(broker.at).await;
    let mut connection = Connection::greet(broker.next().await);
    connection.describe();
    lab.seen("Plug").await;
    connection.say("p/s", "ON", true);
    let (source, fresh) = lab.value(true).await;
    assert!(source == Source::Assumed && fresh < 60, "{source:?} for {fresh} s");
    connection.say("p/s", "OFF", false);
    assert_eq!(lab.value(false).await.0, Source::Pushed);
    // What was remembered goes with the broker.
    let files = |lab: &Lab| std::fs::read_dir(lab._dir.path().join("mqtt")).unwrap().count();
    connection.stream.shutdown(std::net::Shutdown::Both).unwrap();
    let _again = broker.next().await;
    let before = files(&lab);
    let verb = Verb::Act { action: "unpair".to_owned(), inputs: Inputs::new() };
    let (call, target) = (lab.call(), Target::new("pairing"));
    lab.to.send((ToBridge::Call { call, device: id, target, verb }, None)).await.unwrap();
    assert!(lab.answer(call).await.is_ok());
    assert_eq!(before - files(&lab), 1, "who its devices are");
}

#[tokio::test]
async fn a_broker_that_moved_is_the_same_with_its_devices_and_who_comes_to_its_place_is_another() {
    let (mut lab, mut old, mut new) = (Lab::new(), Broker::new(), Broker::new());
    let id = lab.add(old.at).await;
    let mut first = Connection::greet(old.next().await);
    first.describe();
    let plug = lab.seen("Plug").await;
    drop(first);
    // What was agreed to for it holds: nobody agrees again.
    assert_eq!(lab.tell_of(new.at, Some(&id)).await.unwrap(), id);
    let mut second = Connection::greet(new.next().await);
    second.describe();
    let moved = lab.seen("Plug").await;
    assert_eq!((&moved.id, &moved.via), (&plug.id, &Some(id.clone())));
    let call = lab.write(&plug.id, true).await;
    assert!(lab.answer(call).await.is_ok());
    assert_eq!(second.published.recv_timeout(Duration::from_secs(5)).unwrap(), b"ON");

    // After a start, too; and another one where it was is another one, as is what is described there.
    let still = lab.again(vec![Device { reach: Reach::Offline, ..moved }]).await;
    assert!(still.iter().eq([&plug.id]), "{still:?}");
    let mut third = Connection::greet(new.next().await);
    third.describe();
    assert_eq!(lab.seen("Plug").await.id, plug.id);
    // What was tried there before it moved.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(old.connections.try_iter().collect::<Vec<_>>());
    let other = lab.add(old.at).await;
    assert_ne!(other, id);
    let mut fourth = Connection::greet(old.next().await);
    fourth.describe();
    let twin = lab.seen("Plug").await;
    assert!(twin.id != plug.id && twin.via == Some(other.clone()), "{twin:?}");
    // Neither is taken for the other, nor somebody for one that was never added.
    let nobody = lab.tell_of(old.at, Some(&id)).await.unwrap_err();
    assert!(matches!(&nobody, CallError::BadInput(why) if why.contains("another broker")), "{nobody}");
    let nobody = lab.tell_of(old.at, Some(&plug.id)).await.unwrap_err();
    assert!(matches!(&nobody, CallError::BadInput(why) if why.contains("no broker")), "{nobody}");
    assert_eq!(lab.tell_of(old.at, None).await.unwrap(), other, "added once more where it is");
}

/// What of a house is shown is told while the broker is there, and under what the owner agreed to for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_what_is_shown_is_there_while_the_broker_is() {
    let mut lab = Lab::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let broker = lab.add(at).await;
    // Nobody is there: nothing is told, and nothing counts as told.
    let (stream, target) = (StreamId(7), Target::new(showcase::SERVICE));
    let open = |stream: StreamId, fields: FieldSet| {
        let (device, target, inputs) = (broker.clone(), target.clone(), showcase::inputs(fields));
        ToBridge::OpenStream { stream, device, target, inputs, class: StreamClass::Interactive }
    };
    let plain =
        FieldSet::from_iter([FieldCode::HomeDeviceName, FieldCode::HomeDeviceState, FieldCode::ServiceIdDerived]);
    let beyond = plain.union(FieldSet::one(FieldCode::TextContent));
    lab.to.send((open(stream, beyond), None)).await.unwrap();
    let refused = lab
        .hear(|message| match message {
            FromBridge::StreamFailed { error, .. } => Some(error),
            _ => None,
        })
        .await;
    assert!(matches!(refused, CallError::NotConsented(_)), "{refused:?}");
    lab.to.send((open(StreamId(8), plain), None)).await.unwrap();
    let refused = lab
        .hear(|message| match message {
            FromBridge::StreamFailed { stream: StreamId(8), error } => Some(error),
            FromBridge::StreamReady { .. } => panic!("nobody is there"),
            _ => None,
        })
        .await;
    assert!(matches!(refused, CallError::Unreachable(_)), "{refused:?}");
    // It comes, and takes what is told.
    let (told, hears) = threads::channel();
    let listener = TcpListener::bind(at).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let told = told.clone();
            stream.write_all(&[0x20, 2, 0, 0]).unwrap();
            std::thread::spawn(move || while serve(&mut stream, &told, &AtomicBool::new(false)).is_some() {});
        }
    });
    lab.to.send((open(StreamId(9), plain), None)).await.unwrap();
    let ready = async {
        loop {
            match lab.from.recv().await.expect("the bridge runs") {
                (FromBridge::StreamReady { stream: StreamId(9) }, stream) => return stream.unwrap(),
                (FromBridge::StreamFailed { stream: StreamId(9), error }, _) => panic!("{error}"),
                _ => {}
            }
        }
    };
    let mut stream = tokio::time::timeout(Duration::from_secs(20), ready).await.unwrap();
    let mut lamp = Device::new("shown-1a".parse().unwrap(), accord_model::DeviceKind::Light, "Lamp")
        .with(accord_model::catalogue::on_off());
    lamp.reach = Reach::Local;
    for frame in [Frame::Show(Box::new(lamp)), Frame::All] {
        stream.writer.write_all(&frame.encode().unwrap()).await.unwrap();
    }
    let all = tokio::task::spawn_blocking(move || {
        loop {
            let said = hears.recv_timeout(Duration::from_secs(10)).expect("it is told");
            if String::from_utf8_lossy(&said).contains("Lamp") {
                return;
            }
        }
    });
    all.await.unwrap();
    drop(stream);
}
