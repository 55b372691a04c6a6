//! The driver over loopback, with a device that is one of ours: consent, adding, orders, a wrong token, a file of tokens, and one
//! that tells of changes by itself.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "devices for tests, on loopback")]

mod lab;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_consent::outlet::interfaces::Network;
use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_miio::core::packet::{HEADER, Head, Token, open, seal};
use accord_miio::{MiioBridge, Options, STATEMENT};
use accord_model::why::{Fact, Outcome};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, EntryKey, FromBridge, Inputs, Outputs, Reach, Source, Target, ToBridge,
    Verb,
};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

const TOKEN: [u8; 16] = [0x5a; 16];
const DIGITS: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
const OTHER: &str = "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b";
const DID: u64 = 123_456;

struct NoKey;

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// A lamp that hears everything on its port of loopback.
struct Lamp {
    port: u16,
    heard: Arc<AtomicUsize>,
    values: Arc<Mutex<BTreeMap<u64, Value>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Lamp {
    async fn new() -> Self {
        Self::at("0.0.0.0:0").await
    }

    async fn at(address: &str) -> Self {
        let socket = UdpSocket::bind(address).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let heard = Arc::new(AtomicUsize::new(0));
        let values = Arc::new(Mutex::new(BTreeMap::from([(1, json!(true)), (2, json!(50)), (3, json!(4000))])));
        let task = tokio::spawn(serve(socket, heard.clone(), values.clone()));
        Self { port, heard, values, task }
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }
}

async fn serve(socket: UdpSocket, heard: Arc<AtomicUsize>, values: Arc<Mutex<BTreeMap<u64, Value>>>) {
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        heard.fetch_add(1, Ordering::SeqCst);
        if length == HEADER {
            let mut answer = vec![0; HEADER];
            answer[..4].copy_from_slice(&[0x21, 0x31, 0, 32]);
            answer[4..12].copy_from_slice(&DID.to_be_bytes());
            answer[15] = 7;
            socket.send_to(&answer, from).await.unwrap();
            continue;
        }
        // Silence for whoever has another token.
        let Ok((_, plain)) = open(&Token::new(TOKEN), &buffer[..length]) else { continue };
        let question: Value = serde_json::from_slice(&plain).unwrap();
        let params = question["params"].as_array().cloned().unwrap_or_default();
        let result = match question["method"].as_str().unwrap() {
            "miIO.info" => {
                json!({"model": "accord.light.lamp1", "mac": "A4:77:33:00:00:01", "token": OTHER, "ap": {"ssid": "geheim"}})
            }
            "get_properties" => {
                let values = values.lock().unwrap();
                let one = |item: &Value| match values.get(&item["piid"].as_u64().unwrap()) {
                    Some(value) => json!({"siid": 2, "piid": item["piid"], "code": 0, "value": value}),
                    None => json!({"siid": 2, "piid": item["piid"], "code": -4004}),
                };
                params.iter().map(one).collect()
            }
            "set_properties" => {
                let item = &params[0];
                values.lock().unwrap().insert(item["piid"].as_u64().unwrap(), item["value"].clone());
                json!([{"siid": 2, "piid": item["piid"], "code": 0}])
            }
            _ => json!(["ok"]),
        };
        let answer = json!({"id": question["id"], "result": result}).to_string();
        let sealed = seal(&Token::new(TOKEN), Head { did: DID, stamp: 8 }, answer.as_bytes()).unwrap();
        socket.send_to(&sealed, from).await.unwrap();
    }
}

/// A lamp that may tell of changes by itself, at an address of its own.
struct Telling {
    gadget: Arc<Mutex<lab::Gadget>>,
    socket: Arc<UdpSocket>,
    /// From where the hub asked to be told, and who else spoke to it.
    heard: Arc<Mutex<[Option<SocketAddr>; 2]>>,
}

impl Telling {
    async fn new() -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let gadget = Arc::new(Mutex::new(lab::Gadget::new()));
        let heard = Arc::new(Mutex::new([None; 2]));
        let this = Self { gadget: gadget.clone(), socket: socket.clone(), heard: heard.clone() };
        let began = std::time::Instant::now();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let answer = {
                    let mut gadget = gadget.lock().unwrap();
                    gadget.stamp = 1000 + began.elapsed().as_secs() as u32;
                    let before = gadget.greetings.len();
                    let answer = gadget.hears(&buffer[..length]);
                    let named = gadget.greetings[before..].iter().flatten().count();
                    if length == HEADER {
                        heard.lock().unwrap()[1 - named] = Some(from);
                    }
                    answer
                };
                if let Some(answer) = answer {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        this
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Waits at most 20 s.
    async fn until(&self, what: &str, mut fits: impl FnMut(&mut lab::Gadget) -> bool) {
        let wait = async {
            while !fits(&mut self.gadget.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{what}"));
    }

    /// It becomes otherwise by itself, and says so if somebody wants to know.
    async fn becomes(&self, level: i64) {
        let told = self.gadget.lock().unwrap().becomes(2, json!(level));
        let to = self.heard.lock().unwrap()[0];
        if let (Some(told), Some(to)) = (told, to) {
            self.socket.send_to(&told, to).await.unwrap();
        }
    }
}

struct Lab {
    dir: tempfile::TempDir,
    gate: Gate,
    to: mpsc::Sender<(ToBridge, Option<ByteStream>)>,
    from: mpsc::Receiver<(FromBridge, Option<ByteStream>)>,
    next: u64,
}

fn entry(key: &str) -> EntryKey {
    EntryKey::new(key).unwrap()
}

impl Lab {
    fn new(port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &[STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let options = Options {
            folder: Vault::new(dir.path(), &[7; 32]).folder("miio"),
            network: Network::Loopback,
            port,
            secret: "of the lab".into(),
        };
        let bridge = MiioBridge::new(gate.bind("miio"), options).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(256);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        Self { dir, gate, to, from, next: 1 }
    }

    /// What is in the file of devices that were added.
    fn kept(&self) -> String {
        let folder = Vault::new(self.dir.path(), &[7; 32]).folder("miio");
        String::from_utf8(folder.read("added.json", 1 << 20).unwrap().unwrap().bytes.to_vec()).unwrap()
    }

    fn grant(&self, key: &str, to: To) {
        let shown = self.gate.notice(&entry(key), "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry(key), to, Choice::Always, shown)).unwrap();
    }

    fn control(&self, device: &DeviceId) {
        self.grant("miio/control", To::One(RecipientId::device(device)));
    }

    /// The first message that fits, within 20 s.
    async fn hear<T>(&mut self, mut fits: impl FnMut(FromBridge) -> Option<T>) -> T {
        let wait = async {
            loop {
                let (message, _) = self.from.recv().await.expect("the bridge runs");
                if let Some(found) = fits(message) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the bridge tells it in time")
    }

    async fn seen(&mut self, mut fits: impl FnMut(&Device) -> bool) -> Device {
        self.hear(|message| match message {
            FromBridge::Seen { device } if fits(&device) => Some(device),
            _ => None,
        })
        .await
    }

    /// Where a level comes from, once it is told.
    async fn level(&mut self, wanted: i64) -> Source {
        self.hear(|message| match message {
            FromBridge::Values { values, .. } => {
                values.get("level").filter(|value| value.data == Data::Int(wanted)).map(|value| value.source)
            }
            _ => None,
        })
        .await
    }

    async fn value(&mut self, property: &str, wanted: Data) {
        self.hear(|message| match message {
            FromBridge::Values { values, .. } => values.get(property).filter(|value| value.data == wanted).map(drop),
            _ => None,
        })
        .await;
    }

    fn call(&mut self) -> CallId {
        self.next += 1;
        CallId(self.next)
    }

    async fn answer(&mut self, wanted: CallId) -> Result<Outputs, CallError> {
        self.hear(|message| match message {
            FromBridge::Reply { call, outcome } if call == wanted => Some(outcome),
            _ => None,
        })
        .await
    }

    async fn tell(&mut self, device: &DeviceId, service: &str, verb: Verb) -> CallId {
        let call = self.call();
        let message = ToBridge::Call { call, device: device.clone(), target: Target::new(service), verb };
        self.to.send((message, None)).await.unwrap();
        call
    }

    async fn add(&mut self, way: &str, inputs: &[(&str, &str)]) -> Result<Vec<DeviceId>, CallError> {
        let call = self.call();
        let inputs = inputs.iter().map(|(id, text)| ((*id).to_owned(), Data::from(*text))).collect();
        self.to.send((ToBridge::Add { call, way: way.to_owned(), inputs }, None)).await.unwrap();
        let outputs = self.answer(call).await?;
        Ok(outputs["devices"].as_texts().unwrap().iter().map(|id| DeviceId::new(id).unwrap()).collect())
    }

    async fn explain(&mut self, device: &DeviceId) -> Vec<Fact> {
        self.explain_within(device, 15).await
    }

    async fn explain_within(&mut self, device: &DeviceId, within: u64) -> Vec<Fact> {
        let asked = self.call();
        let message = ToBridge::Explain { call: asked, device: Some(device.clone()), within };
        self.to.send((message, None)).await.unwrap();
        self.hear(|message| match message {
            FromBridge::Explained { call, explained } if call == asked => Some(explained.facts),
            _ => None,
        })
        .await
    }
}

fn write(property: &str, data: Data) -> Verb {
    Verb::Write { property: property.to_owned(), data }
}

#[tokio::test]
async fn a_lamp_is_found_added_and_told_as_far_as_its_owner_agrees() {
    let lamp = Lamp::new().await;
    let mut lab = Lab::new(lamp.port);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(lamp.heard(), 0, "nothing before consent");
    lab.grant("miio/search", To::Any);
    let found = lab.seen(|device| device.passing).await;
    assert!(found.reach == Reach::Local && found.name.contains("123456"), "{found:?}");
    let refused = lab.tell(&found.id, "light", write("on", false.into())).await;
    assert!(matches!(lab.answer(refused).await, Err(CallError::NotConsented(_))));
    for bad in ["", "geheim", &DIGITS[..24]] {
        let inputs = Inputs::from([("token".into(), bad.into())]);
        let call = lab.tell(&found.id, "pairing", Verb::Act { action: "request".into(), inputs }).await;
        let refused = lab.answer(call).await.unwrap_err();
        assert!(matches!(&refused, CallError::BadInput(why) if !why.contains("geheim")), "{refused}");
    }
    let inputs = Inputs::from([("token".into(), DIGITS.into())]);
    let call = lab.tell(&found.id, "pairing", Verb::Act { action: "request".into(), inputs }).await;
    lab.answer(call).await.unwrap();
    let greetings = lamp.heard();
    let refused = lab.tell(&found.id, "light", write("on", false.into())).await;
    assert!(matches!(lab.answer(refused).await, Err(CallError::NotConsented(_))), "added, and not agreed to yet");
    assert!(lamp.heard() <= greetings + 2, "but for what the search says");

    lab.control(&found.id);
    let is = lab.seen(|device| device.model.is_some()).await;
    assert!(is.reach == Reach::Local && !is.passing && is.service("light").is_some(), "{is:?}");
    lab.value("level", Data::Int(50)).await;
    let call = lab.tell(&found.id, "light", write("level", Data::Int(20))).await;
    lab.answer(call).await.unwrap();
    lab.value("level", Data::Int(20)).await;
    assert_eq!(lamp.values.lock().unwrap()[&2], json!(20));
    lamp.values.lock().unwrap().insert(1, json!(false));
    lab.value("on", false.into()).await;
    assert!(
        lab.explain(&found.id).await.iter().any(|fact| matches!(fact, Fact::Tried { outcome: Outcome::Answered, .. }))
    );

    // What is kept: the token, sealed, and nothing that the device says of its network.
    let sealed = std::fs::read(lab.dir.path().join("miio/added.json")).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains(DIGITS));
    let kept = lab.kept();
    assert!(kept.contains(DIGITS) && !kept.contains("geheim") && !kept.contains(OTHER), "{kept}");

    lab.gate.withdraw((entry("miio/control"), To::One(RecipientId::device(&found.id)))).unwrap();
    lab.seen(|device| device.reach == Reach::Offline).await;
    let asked = lamp.heard();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(lamp.heard() <= asked + 1, "nothing is asked any more");
    let call = lab.tell(&found.id, "pairing", Verb::Act { action: "unpair".into(), inputs: Inputs::new() }).await;
    lab.answer(call).await.unwrap();
    assert!(!lab.kept().contains(DIGITS));
}

#[tokio::test]
async fn a_wrong_token_is_told_from_silence_and_what_is_given_wrongly_is_refused() {
    let lamp = Lamp::new().await;
    let mut lab = Lab::new(lamp.port);
    for (way, inputs) in [
        ("token", vec![("address", "203.0.113.7"), ("token", DIGITS)]),
        ("token", vec![("address", "lamp.local"), ("token", DIGITS)]),
        ("token", vec![("address", "127.0.0.1"), ("token", "geheim")]),
        ("import", vec![("file", "{\"token\":\"geheim\"}")]),
        ("cloud", vec![]),
    ] {
        let refused = lab.add(way, &inputs).await.unwrap_err();
        assert!(!refused.to_string().contains("geheim"), "{refused}");
    }
    let id = lab.add("token", &[("address", "127.0.0.1"), ("token", OTHER), ("name", "Desk")]).await.unwrap().remove(0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(lamp.heard(), 0, "added, and not agreed to");
    lab.control(&id);
    let call = lab.tell(&id, "light", write("on", true.into())).await;
    assert!(lab.answer(call).await.is_err());
    while !lab.explain(&id).await.iter().any(|fact| matches!(fact, Fact::SecretWrong { what, .. } if what == "token")) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let file = format!(
        "   NAME:     Kitchen\n   ID:       {DID}\n   IP:       127.0.0.1\n   TOKEN:    {DIGITS}\n   ---------\n"
    );
    assert_eq!(lab.add("import", &[("file", &file)]).await.unwrap(), std::slice::from_ref(&id), "the same device");
    let is = lab.seen(|device| device.reach == Reach::Local).await;
    assert_eq!((is.id, is.name.as_str()), (id.clone(), "Kitchen"));

    // It goes, and what is wanted then is answered at once and not done later.
    lamp.task.abort();
    let begun = std::time::Instant::now();
    let call = lab.tell(&id, "light", write("on", false.into())).await;
    lab.to.send((ToBridge::Cancel { call }, None)).await.unwrap();
    assert!(lab.answer(call).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(4), "what is called off is not tried to its end");
    let call = lab.tell(&id, "light", write("on", false.into())).await;
    let gone = lab.answer(call).await;
    assert!(matches!(gone, Err(CallError::Unreachable(_))), "{gone:?}");
    lab.seen(|device| device.reach == Reach::Offline).await;
}

#[tokio::test]
async fn who_answers_in_a_devices_name_keeps_it_away_only_until_it_cannot_prove_it() {
    // The forger hears the search, answers it from its own address, and greets whoever comes.
    let forger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let port = forger.local_addr().unwrap().port();
    let search = UdpSocket::bind(("127.255.255.255", port)).await.unwrap();
    let other_port = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        let mut answer = [0; HEADER];
        answer[..4].copy_from_slice(&[0x21, 0x31, 0, 32]);
        answer[4..12].copy_from_slice(&DID.to_be_bytes());
        let (mut one, mut two) = ([0; 2048], [0; 2048]);
        loop {
            let (length, from) = tokio::select! {
                heard = search.recv_from(&mut one) => heard.unwrap(),
                heard = forger.recv_from(&mut two) => heard.unwrap(),
            };
            if length == HEADER {
                other_port.send_to(&answer, from).await.unwrap();
                forger.send_to(&answer, from).await.unwrap();
            } else {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let mut lab = Lab::new(port);
    let file = json!([{"did": DID, "token": DIGITS, "localip": "127.0.0.1"}]).to_string();
    let id = lab.add("import", &[("file", &file)]).await.unwrap().remove(0);
    lab.control(&id);
    lab.grant("miio/search", To::Any);
    let is_asked = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_asked).await.expect("the forger is asked first");
    // Only now the right one is there, and it answers no search.
    let lamp = Lamp::at(&format!("127.0.0.1:{port}")).await;
    lab.seen(|device| device.id == id && device.reach == Reach::Local).await;
    assert!(lamp.heard() > 0);
}

#[tokio::test]
async fn a_device_that_answers_nothing_any_more_is_there_if_its_system_is() {
    let lamp = Lamp::new().await;
    let mut lab = Lab::new(lamp.port);
    let id =
        lab.add("token", &[("address", "127.0.0.1"), ("token", DIGITS), ("name", "Desk")]).await.unwrap().remove(0);
    lab.control(&id);
    lab.value("level", Data::Int(50)).await;
    lamp.task.abort();
    let began = std::time::Instant::now();
    let facts = lab.explain_within(&id, 7).await;
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    let tried = facts.iter().find(|fact| matches!(fact, Fact::Tried { .. }));
    assert!(matches!(tried, Some(Fact::Tried { outcome: Outcome::Mute, .. })), "it does not answer: {facts:?}");
    assert!(!facts.iter().any(|fact| matches!(fact, Fact::SecretWrong { .. })), "{facts:?}");
}

#[tokio::test]
async fn a_lamp_that_fails_inside_is_here_and_it_is_said_what_it_does_not_say_until_it_does() {
    let lamp = Lamp::new().await;
    let mut lab = Lab::new(lamp.port);
    let file = json!([{"did": DID, "token": DIGITS, "localip": "127.0.0.1"}]).to_string();
    let id = lab.add("import", &[("file", &file)]).await.unwrap().remove(0);
    // It fails from the beginning, for the level alone.
    lamp.values.lock().unwrap().remove(&2);
    lab.control(&id);
    lab.value("on", true.into()).await;
    let withheld = |facts: &[Fact]| {
        facts.iter().find_map(|fact| if let Fact::Withholds { what, .. } = fact { Some(what.clone()) } else { None })
    };
    let facts = lab.explain(&id).await;
    assert_eq!(withheld(&facts).as_deref(), Some("`light.level`: it failed inside (-4004)"), "{facts:?}");
    assert!(facts.iter().any(|fact| matches!(fact, Fact::Tried { outcome: Outcome::Answered, .. })), "and it answers");
    let call = lab.tell(&id, "light", Verb::Read { properties: vec!["level".into()] }).await;
    assert!(matches!(lab.answer(call).await, Err(CallError::Device(why)) if why.contains("-4004")));
    // It recovers, and its owner asks at once.
    lamp.values.lock().unwrap().insert(2, json!(70));
    let call = lab.tell(&id, "light", Verb::Read { properties: vec!["level".into()] }).await;
    assert_eq!(lab.answer(call).await.unwrap(), Outputs::from([("level".to_owned(), Data::Int(70))]));
    assert_eq!(withheld(&lab.explain(&id).await), None);
}

#[tokio::test]
async fn a_lamp_tells_of_changes_by_itself_as_long_as_its_owner_agrees_to_that() {
    let lamp = Telling::new().await;
    let mut lab = Lab::new(lamp.port());
    let file = json!([{"did": DID, "token": DIGITS, "localip": "127.0.0.1"}]).to_string();
    let id = lab.add("import", &[("file", &file)]).await.unwrap().remove(0);
    let to = || To::One(RecipientId::device(&id));
    lab.control(&id);
    assert_eq!(lab.level(50).await, Source::Polled);
    lamp.becomes(51).await;
    assert_eq!(lab.level(51).await, Source::Polled);
    let is_named = |gadget: &mut lab::Gadget| gadget.greetings.iter().any(Option::is_some);
    assert!(!is_named(&mut lamp.gadget.lock().unwrap()), "without consent it learns no number");
    assert_eq!(lamp.gadget.lock().unwrap().times("miIO.sub"), 0);

    lab.grant("miio/push", to());
    lamp.until("it is subscribed to", |gadget| gadget.tells.is_some()).await;
    let (hub, _) = lamp.gadget.lock().unwrap().tells.unwrap();
    // After that it is looked at as a whole, and what it told meanwhile is not taken for missed.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = std::time::Instant::now();
    for level in [20, 21, 22] {
        lamp.becomes(level).await;
        assert_eq!(lab.level(level).await, Source::Pushed);
    }
    let took = began.elapsed() / 3;
    println!("a change is told within {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    lamp.until("all are answered", |gadget| gadget.answered.len() == 3).await;

    // Somebody else has its token, and neither its address nor its port.
    let [told_to, asked_from] = *lamp.heard.lock().unwrap();
    assert_ne!(told_to.unwrap(), asked_from.unwrap(), "by a socket of its own");
    let forged = lamp.gadget.lock().unwrap().says("properties_changed", &json!([{"siid": 2, "piid": 2, "value": 99}]));
    let elsewhere = UdpSocket::bind(("127.0.0.9", lamp.port())).await.unwrap();
    let other_port = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for socket in [&elsewhere, &other_port] {
        socket.send_to(&forged, told_to.unwrap()).await.unwrap();
    }
    // What was told by itself goes to where it was asked for alone.
    lamp.socket.send_to(&forged, asked_from.unwrap()).await.unwrap();
    lamp.becomes(30).await;
    let heard = lab.hear(|message| match message {
        FromBridge::Values { values, .. } => values.get("level").map(|value| value.data.clone()),
        _ => None,
    });
    assert_eq!(heard.await, Data::Int(30), "the forged one was passed over");

    // An order is confirmed by what it tells.
    let call = lab.tell(&id, "light", write("level", Data::Int(40))).await;
    lab.answer(call).await.unwrap();
    lab.level(40).await;

    lab.gate.withdraw((entry("miio/push"), to())).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    lamp.gadget.lock().unwrap().greetings.clear();
    lamp.becomes(60).await;
    assert_eq!(lab.level(60).await, Source::Polled, "it is asked again");
    assert!(!is_named(&mut lamp.gadget.lock().unwrap()));

    // It is agreed to anew, and the device is removed: that is said to it.
    lab.grant("miio/push", to());
    lamp.gadget.lock().unwrap().tells = None;
    lamp.until("it is subscribed to again", |gadget| gadget.tells.is_some()).await;
    assert_ne!(lamp.gadget.lock().unwrap().tells.unwrap().0, hub, "no router is known here: each time another number");
    let call = lab.tell(&id, "pairing", Verb::Act { action: "unpair".into(), inputs: Inputs::new() }).await;
    lab.answer(call).await.unwrap();
    lamp.until("it is told that nobody wants to know any more", |gadget| gadget.tells.is_none()).await;
}

#[tokio::test]
async fn a_lamp_that_knows_no_subscription_is_asked_as_ever() {
    let lamp = Telling::new().await;
    lamp.gadget.lock().unwrap().offers = false;
    let mut lab = Lab::new(lamp.port());
    let file = json!([{"did": DID, "token": DIGITS, "localip": "127.0.0.1"}]).to_string();
    let id = lab.add("import", &[("file", &file)]).await.unwrap().remove(0);
    lab.grant("miio/push", To::One(RecipientId::device(&id)));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(lamp.gadget.lock().unwrap().greetings.is_empty(), "that alone is no consent to speak to it");
    lab.control(&id);
    lamp.until("it is greeted with the number", |gadget| gadget.greetings.iter().any(Option::is_some)).await;
    lamp.becomes(12).await;
    assert_eq!(lab.level(12).await, Source::Polled);
    assert_eq!(lamp.gadget.lock().unwrap().times("miIO.sub"), 0);
}
