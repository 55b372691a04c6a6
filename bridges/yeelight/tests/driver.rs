//! The driver against a lamp of its own making, over loopback: what leaves under which consent.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "lamps for tests, on loopback")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_model::why::{Body, Explained, Fact, Outcome};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, EntryKey, FromBridge, Inputs, Outputs, Reach, Source, Target, ToBridge,
    Verb,
};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use accord_yeelight::{Network, Options, YeelightBridge};
use serde_json::{Value, json};
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

/// A bridge that runs, and what it is told and tells.
struct Lab {
    dir: tempfile::TempDir,
    /// All hear the same group on loopback, so that they run one after the other.
    _turn: std::fs::File,
    gate: Gate,
    to: mpsc::Sender<(ToBridge, Option<ByteStream>)>,
    from: mpsc::Receiver<(FromBridge, Option<ByteStream>)>,
    next: u64,
}

fn entry(key: &str) -> EntryKey {
    EntryKey::new(key).unwrap()
}

type Ends = (mpsc::Sender<(ToBridge, Option<ByteStream>)>, mpsc::Receiver<(FromBridge, Option<ByteStream>)>);

fn begin(gate: &Gate, folder: &std::path::Path) -> Ends {
    let options = Options { folder: Vault::new(folder, &[7; 32]).folder("yeelight"), network: Network::Loopback };
    let bridge = YeelightBridge::new(gate.bind("yeelight"), options).unwrap();
    let (to, inbox) = mpsc::channel(64);
    let (outbox, from) = mpsc::channel(64);
    tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
    (to, from)
}

impl Lab {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let turn = std::fs::File::create(std::env::temp_dir().join("accord-yeelight-tests.lock")).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn)).await.unwrap().unwrap();
        let statement =
            Statement::join("test", "Test", Publisher::named("Test"), "1", &[accord_yeelight::STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let (to, from) = begin(&gate, dir.path());
        Self { dir, _turn: turn, gate, to, from, next: 1 }
    }

    /// The bridge ends and begins again.
    async fn again(&mut self) {
        self.to.send((ToBridge::Stop, None)).await.unwrap();
        while self.from.recv().await.is_some() {}
        (self.to, self.from) = begin(&self.gate, self.dir.path());
    }

    fn grant(&self, key: &str, to: To) {
        let shown = self.gate.notice(&entry(key), "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry(key), to, Choice::Always, shown)).unwrap();
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
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it is told within 20 s")
    }

    async fn seen(&mut self, fits: impl Fn(&Device) -> bool) -> Device {
        self.hear(|message| match message {
            FromBridge::Seen { device } if fits(&device) => Some(device),
            _ => None,
        })
        .await
    }

    /// How it is told that a property is that now.
    async fn value(&mut self, property: &str, wanted: Data) -> Source {
        self.hear(|message| match message {
            FromBridge::Values { values, .. } => {
                values.get(property).filter(|value| value.data == wanted).map(|value| value.source)
            }
            _ => None,
        })
        .await
    }

    async fn call(&mut self, device: &DeviceId, service: &str, verb: Verb) -> Result<Outputs, CallError> {
        let call = CallId(self.next);
        self.next += 1;
        let (device, target) = (device.clone(), Target::new(service));
        self.to.send((ToBridge::Call { call, device, target, verb }, None)).await.unwrap();
        self.hear(|message| match message {
            FromBridge::Reply { call: of, outcome } if of == call => Some(outcome),
            _ => None,
        })
        .await
    }

    /// Wishes at once; how many of them had which answer.
    async fn crowd(&mut self, device: &DeviceId, count: u64) -> Vec<Result<Outputs, CallError>> {
        let first = self.next;
        self.next += count;
        for call in (first..self.next).map(CallId) {
            let (device, target, verb) = (device.clone(), Target::new("light"), set("on", true));
            self.to.send((ToBridge::Call { call, device, target, verb }, None)).await.unwrap();
        }
        let mut outcomes = Vec::new();
        for _ in 0..count {
            let outcome = self.hear(|message| match message {
                FromBridge::Reply { call, outcome } if call.0 >= first => Some(outcome),
                _ => None,
            });
            outcomes.push(outcome.await);
        }
        outcomes
    }

    /// Adds a lamp by its address.
    async fn add(&mut self, address: &str) -> Result<Outputs, CallError> {
        let call = CallId(self.next);
        self.next += 1;
        let (way, inputs) = ("address".to_owned(), Inputs::from([("address".to_owned(), address.into())]));
        self.to.send((ToBridge::Add { call, way, inputs }, None)).await.unwrap();
        self.hear(|message| match message {
            FromBridge::Reply { call: of, outcome } if of == call => Some(outcome),
            FromBridge::Seen { device } if !device.passing => {
                panic!("before it is known whether it is there: {device:?}")
            }
            _ => None,
        })
        .await
    }

    async fn why(&mut self, device: &DeviceId) -> Explained {
        let call = CallId(self.next);
        self.next += 1;
        self.to.send((ToBridge::Explain { call, device: Some(device.clone()), within: 5 }, None)).await.unwrap();
        self.hear(|message| match message {
            FromBridge::Explained { explained, .. } => Some(explained),
            _ => None,
        })
        .await
    }
}

fn pairing(action: &str) -> Verb {
    Verb::Act { action: action.to_owned(), inputs: Inputs::new() }
}

fn set(property: &str, data: impl Into<Data>) -> Verb {
    Verb::Write { property: property.to_owned(), data: data.into() }
}

/// Takes connections there from now on and ends each at once; how many.
fn slam(at: SocketAddr) -> Arc<Mutex<usize>> {
    let listener = loop {
        match TcpListener::bind(at) {
            Ok(listener) => break listener,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let count = Arc::<Mutex<usize>>::default();
    let counted = count.clone();
    std::thread::spawn(move || listener.incoming().for_each(|_| *counted.lock().unwrap() += 1));
    count
}

/// A lamp on loopback.
struct Lamp {
    at: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
    /// It takes connections and words, and answers nothing.
    hangs: Arc<AtomicBool>,
}

impl Lamp {
    fn new(host: &str) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let (at, said) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let (told, open) = (said.clone(), Arc::new(Mutex::new(Some(Vec::<TcpStream>::new()))));
        let (connections, hangs) = (open.clone(), Arc::<AtomicBool>::default());
        let silent = hangs.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let Some(open) = &mut *connections.lock().unwrap() else { return };
                open.push(stream.try_clone().unwrap());
                let (said, silent) = (told.clone(), silent.clone());
                std::thread::spawn(move || talk(&stream, &said, &silent));
            }
        });
        Self { at, said, open, hangs }
    }

    fn described(&self, id: u64, words: &str) -> String {
        format!(
            "Location: yeelight://{}\r\nid: {id:#018x}\r\nmodel: color\r\n\
             fw_ver: 9\r\nsupport: get_prop set_power toggle set_bright set_ct_abx set_hsv\r\nname: Desk\r\n{words}\r\n",
            self.at
        )
    }

    /// It answers searches that are sent to it alone, as one of this id, until that is dropped.
    fn answers(&self, id: u64) -> Answers {
        let socket = UdpSocket::bind((self.at.ip(), 1982)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\n{}", self.described(id, "power: off\r\n"));
        let over = Arc::<AtomicBool>::default();
        let stop = over.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                assert!(buffer[..length].starts_with(b"M-SEARCH * HTTP/1.1"));
                socket.send_to(answer.as_bytes(), from).unwrap();
            }
        });
        Answers { over, thread: Some(thread) }
    }

    fn announce(&self, words: &str) {
        let described = self.described(0xab_cdef, words);
        let text = format!("NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\n{described}");
        let socket = UdpSocket::bind((self.at.ip(), 0)).unwrap();
        socket.send_to(text.as_bytes(), "239.255.255.250:1982").unwrap();
    }

    fn push(&self, props: &Value) {
        let line = format!("{}\r\n", json!({ "method": "props", "params": props }));
        for stream in self.open.lock().unwrap().iter_mut().flatten() {
            let _ = stream.write_all(line.as_bytes());
        }
    }

    /// It takes no connections any more, and has none.
    fn switch_off(&self) {
        let open = self.open.lock().unwrap().take().unwrap_or_default();
        open.iter().for_each(|stream| drop(stream.shutdown(std::net::Shutdown::Both)));
        let _ = TcpStream::connect(self.at);
    }

    fn said(&self, word: &str) -> usize {
        self.said.lock().unwrap().iter().filter(|one| one.contains(word)).count()
    }
}

struct Answers {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

fn talk(stream: &TcpStream, said: &Mutex<Vec<String>>, silent: &AtomicBool) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        said.lock().unwrap().push(line.clone());
        if silent.load(Ordering::Relaxed) {
            continue;
        }
        let command: Value = serde_json::from_str(&line).unwrap();
        let result = match command["method"].as_str() {
            Some("get_prop") => json!(["off", "", "40"]),
            _ => json!(["ok"]),
        };
        let answer = format!("{}\r\n", json!({ "id": command["id"], "result": result }));
        let mut stream = stream;
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lamp_is_found_added_and_set_each_under_its_own_consent() {
    let mut lab = Lab::new().await;
    let lamp = Lamp::new("127.0.0.1");
    lamp.announce("power: on\r\nbright: 70\r\n");
    lab.grant("yeelight/search", To::Any);
    tokio::time::sleep(Duration::from_millis(300)).await;
    lamp.announce("power: on\r\nbright: 70\r\n");
    let seen = lab.seen(|device| device.name == "Desk").await;
    assert!(seen.passing && seen.reach == Reach::Local);
    assert_eq!(seen.service("light").unwrap().values["level"].data, Data::Int(70), "as it says to everyone");
    let refused = lab.call(&seen.id, "light", set("on", true)).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "not added: {refused:?}");
    lab.call(&seen.id, "pairing", pairing("request")).await.unwrap();
    let refused = lab.call(&seen.id, "light", set("on", true)).await;
    assert!(matches!(&refused, Err(CallError::NotConsented(why)) if why.contains("yeelight/control")), "{refused:?}");
    assert_eq!(lamp.said(""), 0, "not even a connection");

    let to = || To::One(RecipientId::device(&seen.id));
    lab.grant("yeelight/control", to());
    assert_eq!(lab.value("level", Data::Int(40)).await, Source::Polled);
    assert_eq!(lab.call(&seen.id, "light", set("level", 30)).await, Ok(Outputs::new()));
    assert_eq!((lamp.said("set_power"), lamp.said("set_bright")), (1, 1), "it was off");
    lamp.push(&json!({ "bright": "30", "power": "on" }));
    assert_eq!(lab.value("level", Data::Int(30)).await, Source::Pushed);
    let read = lab.call(&seen.id, "light", Verb::Read { properties: vec!["level".to_owned()] }).await.unwrap();
    assert_eq!(read["level"], Data::Int(40), "as it says when asked");
    assert!(matches!(lab.call(&seen.id, "light", set("level", 0)).await, Err(CallError::BadInput(_))));
    // What it announces is only heard of those that are not connected.
    lamp.announce("power: on\r\nbright: 99\r\n");
    lamp.push(&json!({ "bright": "31" }));
    lab.value("level", Data::Int(31)).await;

    // Begun anew, it is still added.
    lab.again().await;
    let known = lab.seen(|device| device.name == "Desk").await;
    assert!(!known.passing && known.service("light").is_some() && known.reach == Reach::Offline);
    tokio::time::sleep(Duration::from_millis(300)).await;
    lamp.announce("power: on\r\n");
    lab.value("level", Data::Int(40)).await;

    lab.gate.withdraw((entry("yeelight/control"), to())).unwrap();
    let refused = lab.call(&seen.id, "light", set("on", true)).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
    let said = lamp.said("");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(lamp.said(""), said);
    lab.gate.withdraw((entry("yeelight/search"), To::Any)).unwrap();
    lab.seen(|device| device.reach == Reach::Offline && !device.passing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_a_connected_lamps_place_and_a_closed_port_is_explained() {
    let mut lab = Lab::new().await;
    let [lamp, thief] = ["127.0.0.1", "127.0.0.2"].map(Lamp::new);
    lab.grant("yeelight/search", To::Any);
    tokio::time::sleep(Duration::from_millis(300)).await;
    lamp.announce("power: off\r\n");
    let seen = lab.seen(|device| device.name == "Desk").await;
    lab.call(&seen.id, "pairing", pairing("request")).await.unwrap();
    lab.grant("yeelight/control", To::One(RecipientId::device(&seen.id)));
    lab.value("level", Data::Int(40)).await;
    thief.announce("power: on\r\n");
    let facts = lab.why(&seen.id).await.facts;
    assert!(facts.iter().any(|fact| matches!(fact, Fact::Connected { .. })), "{facts:?}");
    assert_eq!(thief.said(""), 0, "it is connected where it is");

    lamp.switch_off();
    lab.seen(|device| device.reach == Reach::Offline).await;
    let facts = lab.why(&seen.id).await.facts;
    assert!(facts.iter().any(|fact| matches!(fact, Fact::Tried { outcome: Outcome::Refused, .. })), "{facts:?}");
    assert!(
        facts.iter().any(|fact| matches!(fact, Fact::SwitchedOff { what, .. } if what == "LAN control")),
        "{facts:?}"
    );
    let refused = lab.call(&seen.id, "light", set("on", true)).await;
    assert!(matches!(refused, Err(CallError::Unreachable(_))), "{refused:?}");
    // It is elsewhere now, and says so.
    for _ in 0..50 {
        thief.announce("power: on\r\n");
        if thief.said("get_prop") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    lab.seen(|device| device.reach == Reach::Local).await;
    assert_eq!(lab.call(&seen.id, "light", set("on", true)).await, Ok(Outputs::new()));
    assert_eq!(thief.said("set_power"), 1);
    lab.call(&seen.id, "pairing", pairing("unpair")).await.unwrap();
    let refused = lab.call(&seen.id, "light", set("on", true)).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_wishes_is_one_attempt_and_all_of_it_is_refused() {
    let mut lab = Lab::new().await;
    let lamp = Lamp::new("127.0.0.1");
    lab.grant("yeelight/search", To::Any);
    tokio::time::sleep(Duration::from_millis(300)).await;
    lamp.announce("power: off\r\n");
    let seen = lab.seen(|device| device.name == "Desk").await;
    lab.call(&seen.id, "pairing", pairing("request")).await.unwrap();
    lab.grant("yeelight/control", To::One(RecipientId::device(&seen.id)));
    lab.value("level", Data::Int(40)).await;
    lamp.switch_off();
    lab.seen(|device| device.reach == Reach::Offline).await;
    let count = slam(lamp.at);
    let (began, mut outcomes) = (std::time::Instant::now(), Vec::new());
    for _ in 0..3 {
        outcomes.extend(lab.crowd(&seen.id, 10).await);
    }
    assert!(began.elapsed() > Duration::from_secs(2), "not tried anew at once: {:?}", began.elapsed());
    assert!(outcomes.iter().all(|one| matches!(one, Err(CallError::Unreachable(_)))), "{outcomes:?}");
    let count = *count.lock().unwrap();
    assert!((1..=4).contains(&count), "{count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lamp_that_hears_no_multicast_is_added_by_its_address_and_found_there_after_a_start() {
    let mut lab = Lab::new().await;
    let lamp = Lamp::new("127.0.0.1");
    let refused = lab.add("127.0.0.1").await;
    assert!(matches!(&refused, Err(CallError::NotConsented(why)) if why.contains("yeelight/search")), "{refused:?}");
    lab.grant("yeelight/search", To::Any);
    for wrong in ["", "lamp.example", "fe80::1", "239.255.255.250", "203.0.113.9"] {
        let refused = lab.add(wrong).await;
        assert!(matches!(refused, Err(CallError::BadInput(_))), "{wrong}: {refused:?}");
    }
    let refused = lab.add("127.0.0.1").await;
    assert!(matches!(&refused, Err(CallError::Unreachable(why)) if why.contains("nothing was added")), "{refused:?}");

    let answers = lamp.answers(0xab_cdef);
    let call = CallId(lab.next);
    lab.next += 1;
    let (way, inputs) = ("address".to_owned(), Inputs::from([("address".to_owned(), " 127.0.0.1 ".into())]));
    lab.to.send((ToBridge::Add { call, way, inputs }, None)).await.unwrap();
    let seen = lab.seen(|device| device.name == "Desk" && !device.passing).await;
    let added = lab.hear(|message| match message {
        FromBridge::Reply { call: of, outcome } if of == call => Some(outcome),
        _ => None,
    });
    assert_eq!(added.await.unwrap()["devices"], Data::Texts(vec![seen.id.to_string()]));
    assert_eq!(lamp.said(""), 0, "not spoken to before that is agreed to");
    lab.grant("yeelight/control", To::One(RecipientId::device(&seen.id)));
    lab.value("level", Data::Int(40)).await;

    // It is found where it was, by who it is.
    lab.again().await;
    lab.value("level", Data::Int(40)).await;
    assert_eq!(lab.call(&seen.id, "light", set("level", 30)).await, Ok(Outputs::new()));
    // Another lamp has its address now: that is not the one.
    drop(answers);
    let other = lamp.answers(0xab_cd00);
    let said = lamp.said("");
    lab.again().await;
    let found = lab.seen(|device| device.name == "Desk" && device.reach == Reach::Local).await;
    assert!(found.passing && found.id != seen.id);
    let refused = lab.call(&seen.id, "light", set("on", true)).await;
    assert!(matches!(refused, Err(CallError::Unreachable(_))), "{refused:?}");
    assert_eq!(lamp.said(""), said);
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lamp_that_hangs_is_there_and_does_not_answer() {
    let mut lab = Lab::new().await;
    let lamp = Lamp::new("127.0.0.1");
    lab.grant("yeelight/search", To::Any);
    tokio::time::sleep(Duration::from_millis(300)).await;
    lamp.announce("power: off\r\n");
    let seen = lab.seen(|device| device.name == "Desk").await;
    lab.call(&seen.id, "pairing", pairing("request")).await.unwrap();
    lab.grant("yeelight/control", To::One(RecipientId::device(&seen.id)));
    lab.value("level", Data::Int(40)).await;
    let came = |facts: Vec<Fact>| {
        let came = facts.iter().find_map(|fact| match fact {
            Fact::Tried { address, outcome } if *address == lamp.at => Some(outcome.clone()),
            _ => None,
        });
        assert!(facts.iter().any(|fact| matches!(fact, Fact::LastAnswered { .. })), "{facts:?}");
        came
    };
    let asked = lamp.said("get_prop");
    assert_eq!(came(lab.why(&seen.id).await.facts), Some(Outcome::Answered));
    assert!(lamp.said("get_prop") > asked, "it was asked");

    lamp.hangs.store(true, Ordering::Relaxed);
    // Over the connection that is open, and over the next one, which its system takes.
    for _ in 0..3 {
        let explained = lab.why(&seen.id).await;
        assert_eq!((explained.body, came(explained.facts)), (Body::Appliance, Some(Outcome::Mute)));
    }
    lamp.announce("power: on\r\n");
    assert_eq!(came(lab.why(&seen.id).await.facts), Some(Outcome::Mute), "what it announces is no answer");
    lamp.hangs.store(false, Ordering::Relaxed);
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while came(lab.why(&seen.id).await.facts) != Some(Outcome::Answered) {
        assert!(std::time::Instant::now() < until, "it answers again");
    }
}
