//! The driver against a device of its own making, over loopback: what leaves under which consent.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "devices for tests, on loopback")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_googlecast::core::frame::{Frames, Message, Payload};
use accord_googlecast::core::words::{DEFAULT_RECEIVER, DEVICE, MEDIA, RECEIVER};
use accord_googlecast::{GoogleCastBridge, Network, Options};
use accord_mdns::{Config, Core, Interface, Output, Publication};
use accord_model::why::{Explained, Fact};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, EntryKey, FromBridge, Inputs, Outputs, Reach, Target, ToBridge, Verb,
};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
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
    _dir: tempfile::TempDir,
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

impl Lab {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let turn = std::fs::File::create(std::env::temp_dir().join("accord-googlecast-tests.lock")).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn)).await.unwrap().unwrap();
        let statement =
            Statement::join("test", "Test", Publisher::named("Test"), "1", &[accord_googlecast::STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let options =
            Options { folder: Vault::new(dir.path(), &[7; 32]).folder("googlecast"), network: Network::Loopback };
        let bridge = GoogleCastBridge::new(gate.bind("googlecast"), options).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(64);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        Self { _dir: dir, _turn: turn, gate, to, from, next: 1 }
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

    async fn value(&mut self, property: &str, wanted: Data) {
        self.hear(|message| match message {
            FromBridge::Values { values, .. } => values.get(property).filter(|value| value.data == wanted).map(drop),
            _ => None,
        })
        .await;
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

    /// Waits until that is among what is known: it comes a moment after the connection.
    async fn until_why(&mut self, id: &DeviceId, fits: impl Fn(&Fact) -> bool) {
        let mut facts = Vec::new();
        for _ in 0..100 {
            facts = self.why(id).await.facts;
            if facts.iter().any(&fits) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{facts:?}");
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

fn act(action: &str, inputs: &[(&str, &str)]) -> Verb {
    let inputs = inputs.iter().map(|(id, text)| ((*id).to_owned(), Data::from(*text))).collect::<Inputs>();
    Verb::Act { action: action.to_owned(), inputs }
}

/// A device on loopback with one app.
struct Television {
    at: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
    /// Its connections, until it is switched off.
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Television {
    fn new(host: &str) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let (config, told) = (Arc::new(config), said.clone());
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let connections = open.clone();
        std::thread::spawn(move || {
            let app = Arc::<Mutex<bool>>::default();
            for stream in listener.incoming() {
                let (config, said, app) = (config.clone(), told.clone(), app.clone());
                let stream = stream.unwrap();
                let Some(open) = &mut *connections.lock().unwrap() else { return };
                open.push(stream.try_clone().unwrap());
                std::thread::spawn(move || talk(stream, config, &said, &app));
            }
        });
        Self { at, said, open }
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

    async fn says(&self, word: &str, times: usize) {
        for _ in 0..600 {
            if self.said(word) >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{word} is not said {times} times: {:?}", self.said.lock().unwrap());
    }

    /// Announces itself to the group on loopback, until it is dropped.
    fn announce(&self, name: &'static str) -> std::thread::JoinHandle<()> {
        let at = self.at;
        std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:5353").unwrap();
            let mut core = Core::new(Config::with_seed(7));
            let mut now = Duration::ZERO;
            core.set_interfaces(vec![Interface { index: 1, addresses: vec![at.ip()] }], now);
            let made = Publication::new("_googlecast._tcp", name, name, at.port()).unwrap();
            let made = made.attribute("id", b"00112233445566778899aabbccddeeff").unwrap();
            core.publish(made.attribute("fn", b"TV").unwrap().attribute("ca", b"5").unwrap(), now).unwrap();
            // Probed and announced, three times over.
            for _ in 0..12 {
                while let Some(output) = core.poll() {
                    if let Output::Transmit(sent) = output {
                        let _ = socket.send_to(&sent.bytes, "224.0.0.251:5353");
                    }
                }
                std::thread::sleep(Duration::from_millis(250));
                now += Duration::from_millis(250);
                core.handle_timeout(now);
            }
        })
    }
}

fn talk(stream: TcpStream, config: Arc<ServerConfig>, said: &Mutex<Vec<String>>, app: &Mutex<bool>) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let (mut frames, mut buffer, mut playing) = (Frames::default(), [0; 4096], None::<String>);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let mut bytes = &buffer[..length];
        while let Some(message) = frames.take(&mut bytes).unwrap() {
            let Payload::Text(text) = &message.payload else { continue };
            let words: Value = serde_json::from_str(text).unwrap();
            let kind = words["type"].as_str().unwrap().to_owned();
            said.lock().unwrap().push(format!("{kind} {text}"));
            let mut app = app.lock().unwrap();
            match kind.as_str() {
                "LAUNCH" => *app = words["appId"] == DEFAULT_RECEIVER,
                "STOP" => *app = false,
                "LOAD" => playing = words["media"]["contentId"].as_str().map(str::to_owned),
                _ => {}
            }
            let apps = json!([{ "appId": DEFAULT_RECEIVER, "sessionId": "s", "transportId": "t", "namespaces": [{ "name": MEDIA }] }]);
            let answer = match message.namespace.as_str() {
                DEVICE => json!({ "type": "RECEIVER_STATUS", "requestId": words["requestId"], "status": {
                    "volume": { "level": 0.5, "muted": false }, "applications": if *app { apps } else { json!([]) } } }),
                MEDIA => {
                    json!({ "type": "MEDIA_STATUS", "requestId": words["requestId"], "status": playing.as_ref().map(|address| {
                    json!({ "mediaSessionId": 1, "playerState": "PLAYING", "currentTime": 1.0, "media": { "contentId": address } })
                }).into_iter().collect::<Vec<_>>() })
                }
                _ => continue,
            };
            let source = if message.namespace == DEVICE { RECEIVER } else { "t" }.to_owned();
            let (destination, namespace) = (message.source, message.namespace);
            let answer = Message { source, destination, namespace, payload: Payload::Text(answer.to_string()) };
            let _ = stream.write_all(&answer.encode().unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_played_takes_the_consent_to_tell_the_device_and_the_one_for_google() {
    let mut lab = Lab::new().await;
    let tv = Television::new("127.0.0.1");
    lab.grant("googlecast/search", To::Any);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let announced = tv.announce("one");
    let seen = lab.seen(|device| device.name == "TV").await;
    assert!(seen.passing && seen.reach == Reach::Local);
    let to = || To::One(RecipientId::device(&seen.id));
    let open = || act("open", &[("address", "http://127.0.0.1:1/secret.mp4")]);
    assert!(matches!(lab.call(&seen.id, "media", open()).await, Err(CallError::NotConsented(_))), "not added");
    lab.call(&seen.id, "pairing", act("request", &[])).await.unwrap();
    assert!(matches!(lab.call(&seen.id, "media", open()).await, Err(CallError::NotConsented(_))), "no control");
    assert_eq!(tv.said(""), 0, "not even a connection");

    lab.grant("googlecast/control", to());
    lab.value("volume", Data::Int(50)).await;
    let refused = lab.call(&seen.id, "media", open()).await;
    assert!(
        matches!(&refused, Err(CallError::NotConsented(why)) if why.contains("googlecast/receiver")),
        "{refused:?}"
    );
    assert_eq!(tv.said("LAUNCH") + tv.said("LOAD"), 0);

    lab.grant("googlecast/receiver", to());
    assert_eq!(lab.call(&seen.id, "media", open()).await, Ok(Outputs::new()));
    assert_eq!((tv.said("LAUNCH"), tv.said("secret.mp4")), (1, 1));
    // Taken back, the page ends; the device stays connected.
    lab.gate.withdraw((entry("googlecast/receiver"), to())).unwrap();
    tv.says("STOP", 1).await;
    assert!(matches!(lab.call(&seen.id, "media", open()).await, Err(CallError::NotConsented(_))));
    assert!(lab.call(&seen.id, "media", Verb::Read { properties: Vec::new() }).await.is_ok());
    lab.gate.withdraw((entry("googlecast/control"), to())).unwrap();
    let refused = lab.call(&seen.id, "media", Verb::Read { properties: Vec::new() }).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
    let said = tv.said("");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(tv.said(""), said);
    lab.gate.withdraw((entry("googlecast/search"), To::Any)).unwrap();
    lab.seen(|device| device.reach == Reach::Offline && !device.passing).await;
    announced.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_told_and_keeps_nobody_away() {
    let mut lab = Lab::new().await;
    let [one, other, thief] = ["127.0.0.1", "127.0.0.1", "127.0.0.2"].map(Television::new);
    lab.grant("googlecast/search", To::Any);
    tokio::time::sleep(Duration::from_millis(300)).await;
    one.announce("one").join().unwrap();
    let seen = lab.seen(|device| device.name == "TV").await;
    lab.call(&seen.id, "pairing", act("request", &[])).await.unwrap();
    lab.grant("googlecast/control", To::One(RecipientId::device(&seen.id)));
    lab.value("volume", Data::Int(50)).await;
    let facts = lab.why(&seen.id).await.facts;
    assert!(facts.iter().any(|fact| matches!(fact, Fact::Connected { .. })), "{facts:?}");
    assert!(!facts.iter().any(|fact| matches!(fact, Fact::KeyChanged { .. })));
    // The same id on another port of the same host, and on another host: nobody asks there while the first is connected.
    other.announce("two").join().unwrap();
    thief.announce("three").join().unwrap();
    assert_eq!((other.said(""), thief.said("")), (0, 0));
    one.switch_off();
    other.says("GET_STATUS", 1).await;
    assert_eq!(thief.said(""), 0);
    lab.seen(|device| device.reach == Reach::Local).await;
    lab.until_why(&seen.id, |fact| matches!(fact, Fact::KeyChanged { .. })).await;
    assert!(lab.call(&seen.id, "media", Verb::Read { properties: Vec::new() }).await.is_ok());
    // Another key at another address is controlled, and not told what to play, until it is added again.
    lab.grant("googlecast/receiver", To::One(RecipientId::device(&seen.id)));
    let open = || act("open", &[("address", "http://127.0.0.1:1/secret.mp4")]);
    assert_eq!(lab.call(&seen.id, "media", open()).await, Ok(Outputs::new()));
    other.switch_off();
    thief.says("GET_STATUS", 1).await;
    lab.seen(|device| device.reach == Reach::Local).await;
    let refused = lab.call(&seen.id, "media", open()).await;
    assert!(matches!(&refused, Err(CallError::Refused(why)) if why.contains("add it again")), "{refused:?}");
    lab.until_why(&seen.id, |fact| matches!(fact, Fact::KeyChanged { why, .. } if why.contains("add it again"))).await;
    assert_eq!(thief.said("secret.mp4"), 0);
    lab.call(&seen.id, "pairing", act("unpair", &[])).await.unwrap();
    lab.call(&seen.id, "pairing", act("request", &[])).await.unwrap();
    assert_eq!(lab.call(&seen.id, "media", open()).await, Ok(Outputs::new()));
    // What runs there because of us ends when the owner looks for devices no more.
    lab.gate.withdraw((entry("googlecast/search"), To::Any)).unwrap();
    thief.says("STOP", 1).await;
}
