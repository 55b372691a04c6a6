//! Calls, streams, values and failures between features and bridges, with a bridge that lives in memory.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::{Choice, Decision, Destination, Envelope, Gate, Personal, RecipientId, Record, RecordKind, To};
use accord_model::why::{Body, Explained, Fact, MAX_FACTS};
use accord_model::{
    CallError, Data, Device, DeviceId, DeviceKind, EntryKey, FieldCode, FieldSet, FromBridge, Inputs, Outputs, Reach,
    Source, StreamClass, Target, Timestamp, ToBridge, Value, Verb, WriteState, catalogue,
};
use accord_registry::{
    Answer, Ask, Bridge, BridgeSide, ByteStream, PathInfo, Port, Registry, RegistryEvent, ServiceHandler,
};
use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn lamp() -> DeviceId {
    DeviceId::new("lamp").unwrap()
}

/// A lamp that answers `toggle`, reports writes, echoes streams, never answers `hang`, and asks us once.
struct Lamp;

#[async_trait]
impl Bridge for Lamp {
    fn name(&self) -> &str {
        "memory"
    }
    async fn run(self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut device = Device::new(lamp(), DeviceKind::Light, "Lamp").with(catalogue::light());
        device.reach = Reach::Local;
        side.tell(FromBridge::Seen { device }).await.map_err(|_| "core gone")?;
        while let Some((message, _)) = side.inbox.recv().await {
            match message {
                ToBridge::Call { call, device, target, verb } => match verb {
                    Verb::Act { action, .. } if action == "hang" => {}
                    Verb::Act { action, .. } if action == "ask-us" => {
                        let asked = FromBridge::Asked {
                            call,
                            device,
                            target: Target::new("clock"),
                            verb: Verb::Read { properties: vec![] },
                        };
                        side.tell(asked).await.map_err(|_| "core gone")?;
                    }
                    Verb::Act { action, .. } if action == "crash" => return Err("the lamp caught fire".into()),
                    Verb::Act { .. } => {
                        side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::new()) })
                            .await
                            .map_err(|_| "core gone")?;
                    }
                    Verb::Write { property, data } => {
                        side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::new()) })
                            .await
                            .map_err(|_| "core gone")?;
                        let value = Value { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 60 };
                        let values = BTreeMap::from([(property, value)]);
                        side.tell(FromBridge::Values { device, target, values }).await.map_err(|_| "core gone")?;
                    }
                    Verb::Read { .. } => {}
                },
                ToBridge::Answer { call, outcome } => {
                    side.tell(FromBridge::Reply { call, outcome }).await.map_err(|_| "core gone")?;
                }
                ToBridge::OpenStream { stream, .. } => {
                    let (ours, theirs) = tokio::io::duplex(1024);
                    let (mut back, mut forth) = tokio::io::split(theirs);
                    tokio::spawn(async move { tokio::io::copy(&mut back, &mut forth).await });
                    let (reader, writer) = tokio::io::split(ours);
                    let path = PathInfo { address: "memory".into(), carrier: "memory".into(), encrypted: true };
                    let stream_ours = ByteStream { reader: Box::new(reader), writer: Box::new(writer), path };
                    let _ = side.outbox.send((FromBridge::StreamReady { stream }, Some(stream_ours))).await;
                }
                ToBridge::Cancel { call } => {
                    let arguments = Outputs::from([("call".to_owned(), Data::Int(call.0 as i64))]);
                    let (target, event) = (Target::new("light"), "cancelled".to_owned());
                    side.tell(FromBridge::Event { device: lamp(), target, event, arguments })
                        .await
                        .map_err(|_| "core gone")?;
                }
                // Of itself it says nothing, and of its lamp too much.
                ToBridge::Explain { device: None, .. } => {}
                ToBridge::Explain { call, .. } => {
                    let facts = vec![Fact::Blocked; MAX_FACTS + 1];
                    let explained = Explained::new("Lamps", Body::App, facts);
                    side.tell(FromBridge::Explained { call, explained }).await.map_err(|_| "core gone")?;
                }
                ToBridge::Add { .. } | ToBridge::Own { .. } => {}
                ToBridge::Stop => return Ok(()),
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_bridge_explains_and_neither_its_silence_nor_its_flood_harms() {
    let home = home().await;
    let told = home.registry.explain("memory", Some(&lamp()), SOON).await.unwrap();
    assert_eq!((told.app.as_str(), told.facts.len()), ("Lamps", MAX_FACTS));
    let silent = home.registry.explain("memory", None, Duration::ZERO).await;
    assert!(matches!(silent, Err(CallError::Deadline(_))), "{silent:?}");
    let absent = home.registry.explain("nobody", None, SOON).await;
    assert!(matches!(absent, Err(CallError::Unreachable(_))), "{absent:?}");
}

struct Clock(Port);

#[async_trait]
impl ServiceHandler for Clock {
    async fn asked(&self, from: DeviceId, _: Target, _: Verb) -> Result<Answer, CallError> {
        let asker = Personal::plain(Data::Text(from.to_string()));
        self.0.answer(&from, Envelope::new().data("asker", &asker)).await
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}

/// A registry with the lamp, and a feature that may speak with it.
struct Home {
    registry: Registry,
    gate: Gate,
    port: Port,
    _dir: tempfile::TempDir,
}

impl Home {
    async fn act(&self, device: &DeviceId, action: &str) -> Result<Outputs, CallError> {
        self.port.call(device, Target::new("light"), Ask::act(action), Envelope::new(), SOON).await
    }
    fn agree(&self, device: &DeviceId) {
        let entry = entry();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(device));
        self.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    }
    fn last(&self) -> Record {
        self.gate.ledger().list(&Default::default()).unwrap().remove(0)
    }
}

fn entry() -> EntryKey {
    EntryKey::new("example/hello").unwrap()
}

async fn home() -> Home {
    let registry = Registry::new();
    let mut events = registry.events();
    registry.add_bridge(Box::new(Lamp));
    assert!(matches!(events.recv().await.unwrap(), RegistryEvent::Seen(known) if known.bridge == "memory"));
    let dir = tempfile::tempdir().unwrap();
    let (statement, signer) = accord_consent::example::parts();
    let gate = Gate::open(dir.path(), statement, signer).unwrap();
    let port = registry.port(&gate.bind("example"), entry(), "on.request");
    let home = Home { registry, gate, port, _dir: dir };
    home.agree(&lamp());
    home
}

/// A bridge that the test speaks through.
struct Mouth(tokio::sync::oneshot::Sender<BridgeSide>);
#[async_trait]
impl Bridge for Mouth {
    fn name(&self) -> &str {
        "mouth"
    }
    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        self.0.send(side).map_err(|_| "the test is over")?;
        std::future::pending().await
    }
}

async fn mouth(registry: &Registry) -> BridgeSide {
    let (to, side) = tokio::sync::oneshot::channel();
    registry.add_bridge(Box::new(Mouth(to)));
    side.await.unwrap()
}

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_call_reaches_the_bridge_its_answer_comes_back_and_both_are_written_down() {
    let home = home().await;
    let greeting = Personal::new(FieldCode::DeviceName, Data::from("Kitchen"));
    let envelope = || Envelope::new().data("name", &greeting);
    let target = Target::new("light");
    assert_eq!(home.port.call(&lamp(), target.clone(), Ask::act("toggle"), envelope(), SOON).await, Ok(Outputs::new()));
    let sent = home.last();
    assert_eq!(sent.public.kind, RecordKind::Sent);
    assert_eq!(sent.public.fields, FieldSet::one(FieldCode::DeviceName));
    assert_eq!(sent.public.bytes, Some(r#"{"name":"Kitchen"}"#.len() as u64));

    let stranger = DeviceId::new("nobody").unwrap();
    assert!(matches!(home.act(&stranger, "toggle").await, Err(CallError::NotConsented(_))));
    home.agree(&stranger);
    assert!(matches!(home.act(&stranger, "toggle").await, Err(CallError::Unreachable(_))));
    assert_eq!(home.last().public.kind, RecordKind::Error, "what nobody carried was not sent");
}

#[tokio::test]
async fn a_message_for_one_device_does_not_go_to_another() {
    let home = home().await;
    let other = DeviceId::new("other").unwrap();
    home.agree(&other);
    let permit =
        home.gate.bind("example").permit(&entry(), &RecipientId::device(&other), FieldSet::EMPTY, "on.request");
    let message = permit.unwrap().seal(Envelope::new(), Destination::device(&other, "")).await.unwrap();
    let outcome = home.registry.call(&lamp(), Target::new("light"), Ask::act("toggle"), message, SOON).await;
    assert!(matches!(outcome, Err(CallError::BadInput(_))));
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_never_answers_meets_the_deadline() {
    let home = home().await;
    assert_eq!(home.act(&lamp(), "hang").await, Err(CallError::Deadline(5)));
}

#[tokio::test]
async fn a_write_is_pending_until_the_device_reports_it() {
    let home = home().await;
    let mut events = home.registry.events();
    let target = Target::new("light");
    let on = Envelope::new().data("value", &Personal::plain(Data::Bool(true)));
    home.port.call(&lamp(), target.clone(), Ask::write("on"), on, SOON).await.unwrap();
    while !matches!(events.recv().await.unwrap(), RegistryEvent::Values(..)) {}
    assert_eq!(home.registry.write_state(&lamp(), &target, "on"), Some(WriteState::Confirmed));
    let device = home.registry.device(&lamp()).unwrap().device.clone();
    assert_eq!(device.service("light").unwrap().values["on"].data, Data::Bool(true));
}

#[tokio::test]
async fn a_stream_carries_bytes_both_ways() {
    let registry = home().await.registry;
    let mut stream =
        registry.open_stream(&lamp(), Target::new("light"), Inputs::new(), StreamClass::Bulk).await.unwrap();
    stream.writer.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.reader.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
}

#[tokio::test]
async fn a_question_from_a_device_is_answered_by_our_service() {
    let home = home().await;
    let unsupported = home.act(&lamp(), "ask-us").await;
    assert_eq!(unsupported, Err(CallError::Unsupported("clock".into())));
    home.registry.serve("clock", Arc::new(Clock(home.port.clone())));
    let answer = home.act(&lamp(), "ask-us").await.unwrap();
    assert_eq!(answer["asker"], Data::Text("lamp".into()));
}

#[tokio::test]
async fn a_bridge_that_fails_leaves_its_devices_offline_and_says_why() {
    let home = home().await;
    let registry = home.registry.clone();
    let mut events = registry.events();
    let lost = home.act(&lamp(), "crash").await;
    assert!(matches!(lost, Err(CallError::Unreachable(_))));
    let mut said = None;
    while said.is_none() {
        if let RegistryEvent::Failed(bridge, why) = events.recv().await.unwrap() {
            said = Some((bridge, why));
        }
    }
    assert_eq!(said.unwrap(), ("memory".into(), "the lamp caught fire".into()));
    assert_eq!(registry.device(&lamp()).unwrap().device.reach, Reach::Offline);
}

#[tokio::test]
async fn a_bridge_cannot_speak_for_anothers_device() {
    let home = home().await;
    let registry = &home.registry;
    struct Thief;
    #[async_trait]
    impl Bridge for Thief {
        fn name(&self) -> &str {
            "thief"
        }
        async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
            let stolen = Device::new(DeviceId::new("lamp").unwrap(), DeviceKind::Lock, "Mine now");
            side.tell(FromBridge::Seen { device: stolen }).await.map_err(|_| "core gone")?;
            side.tell(FromBridge::Gone { device: DeviceId::new("lamp").unwrap() }).await.map_err(|_| "core gone")?;
            Ok(())
        }
    }
    registry.add_bridge(Box::new(Thief)).await.unwrap();
    let known = registry.device(&lamp()).unwrap();
    assert_eq!((known.bridge.as_str(), known.device.kind), ("memory", DeviceKind::Light));
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_is_cancelled() {
    let home = home().await;
    let mut events = home.registry.events();
    let lamp = lamp();
    let asked = home.port.call(&lamp, Target::new("light"), Ask::act("hang"), Envelope::new(), Duration::from_secs(60));
    assert!(tokio::time::timeout(Duration::from_millis(100), asked).await.is_err(), "the caller gives up");
    let cancelled = async {
        loop {
            if let Ok(RegistryEvent::Event(_, _, event, _)) = events.recv().await {
                return event;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), cancelled).await.unwrap(), "cancelled");
}

#[tokio::test]
async fn a_flood_of_passing_devices_takes_no_place_from_a_paired_one() {
    let registry = Registry::new();
    let side = mouth(&registry).await;
    let named = |name: String| Device::new(DeviceId::new(name).unwrap(), DeviceKind::Other, "");
    for index in 0..6000 {
        let mut device = named(format!("near-{index}"));
        device.passing = true;
        side.tell(FromBridge::Seen { device }).await.unwrap();
    }
    side.tell(FromBridge::Seen { device: named("paired".into()) }).await.unwrap();
    let wait = async {
        while registry.device(&DeviceId::new("paired").unwrap()).is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("the paired device has its place");
    assert!(registry.devices().len() < 2000, "passing devices are bounded");
}

/// Says yes to everything.
struct Done;
#[async_trait]
impl ServiceHandler for Done {
    async fn asked(&self, _: DeviceId, _: Target, _: Verb) -> Result<Answer, CallError> {
        Ok(Answer::Done)
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}

/// Keeps every stream, and answers nothing.
#[derive(Default)]
struct Keeper(tokio::sync::Mutex<Vec<ByteStream>>);
#[async_trait]
impl ServiceHandler for Keeper {
    async fn asked(&self, _: DeviceId, _: Target, _: Verb) -> Result<Answer, CallError> {
        std::future::pending().await
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, stream: ByteStream) {
        self.0.lock().await.push(stream);
    }
}

#[tokio::test]
async fn one_device_cannot_hold_streams_or_questions_that_others_need() {
    let registry = Registry::new();
    let keeper = Arc::new(Keeper::default());
    registry.serve("files", keeper.clone());
    let mut side = mouth(&registry).await;
    let (greedy, other) = (DeviceId::new("greedy").unwrap(), DeviceId::new("other").unwrap());
    let open = |device: &DeviceId, number| {
        let (ours, theirs) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(ours);
        let stream = ByteStream { reader: Box::new(reader), writer: Box::new(writer), path: PathInfo::default() };
        let (stream_id, target) = (accord_model::StreamId(number), Target::new("files"));
        let opened =
            FromBridge::StreamOpened { stream: stream_id, device: device.clone(), target, inputs: Inputs::new() };
        (opened, Some(stream), theirs)
    };
    let mut closed = 0;
    for number in 0..200 {
        let (message, stream, mut theirs) = open(&greedy, number);
        side.outbox.send((message, stream)).await.unwrap();
        let read = tokio::time::timeout(Duration::from_millis(20), theirs.read_u8()).await;
        closed += usize::from(read.is_ok());
    }
    assert!(closed > 100 && keeper.0.lock().await.len() < 100, "{closed} closed");
    let before = keeper.0.lock().await.len();
    let (message, stream, mut theirs) = open(&other, 1000);
    side.outbox.send((message, stream)).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), theirs.read_u8()).await.is_err(), "others are served");
    assert_eq!(keeper.0.lock().await.len(), before + 1);
    // A stream that ended makes room.
    keeper.0.lock().await.clear();
    let (message, stream, mut theirs) = open(&greedy, 1001);
    side.outbox.send((message, stream)).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), theirs.read_u8()).await.is_err());

    for number in 0..100 {
        let asked = FromBridge::Asked {
            call: accord_model::CallId(number),
            device: greedy.clone(),
            target: Target::new("files"),
            verb: Verb::Act { action: "wait".into(), inputs: Inputs::new() },
        };
        side.tell(asked).await.unwrap();
    }
    for _ in 0..50 {
        let Some((ToBridge::Answer { outcome, .. }, _)) = side.inbox.recv().await else { panic!() };
        assert!(matches!(outcome, Err(CallError::Refused(_))), "{outcome:?}");
    }
    registry.serve("clock", Arc::new(Done));
    let asked = FromBridge::Asked {
        call: accord_model::CallId(5000),
        device: other,
        target: Target::new("clock"),
        verb: Verb::Read { properties: vec![] },
    };
    side.tell(asked).await.unwrap();
    let answered = async {
        loop {
            let Some((ToBridge::Answer { call, outcome }, _)) = side.inbox.recv().await else { panic!() };
            if call.0 == 5000 {
                return outcome;
            }
        }
    };
    assert!(tokio::time::timeout(SOON, answered).await.unwrap().is_ok(), "others are answered");
}
