//! Whole links in one process: each with keys, a gate, a registry and a runtime of its own, on loopback.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_types)]

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use accord_consent::{Choice, Decision, Envelope, Gate, Ledger, Personal, RecipientId, Signer, To};
use accord_identity::{Identity, Peers, StatementKey};
use accord_link::{
    Link, LinkDevice, LinkEvent, LinkOptions, Network, PairingId, PairingInfo, PairingStep, ProvenHead, STATEMENT,
    Witness, carrier::Carrier,
};
use accord_model::{
    CallError, Data, DeviceId, DeviceKind, EntryKey, Inputs, Outputs, Reach, StreamClass, Target, Verb, catalogue,
};
use accord_registry::{Answer, Ask, ByteStream, Port, Registry, ServiceHandler};
use accord_statement::{Publisher, Statement};
use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct StatementSigner(Arc<Identity>);
impl Signer for StatementSigner {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
    fn public(&self) -> [u8; 32] {
        self.0.statement_public()
    }
}

/// As the application does it.
struct Heads(Ledger);
impl Witness for Heads {
    fn kept(&self, peer: &DeviceId) -> Option<String> {
        self.0.witness_note(peer).unwrap()
    }
    fn handed_back(&self, peer: &DeviceId, kept: Option<&str>) -> Result<(), String> {
        kept.map_or(Ok(()), |kept| self.0.witnessed(peer, kept).map_err(|error| error.to_string()))
    }
    fn own_head(&self, kept: Option<&str>) -> Option<ProvenHead> {
        let own = self.0.head_since(kept).unwrap();
        own.map(|(head, proof)| ProvenHead { head: head.note().to_owned(), proof })
    }
    fn witness(&self, peer: &DeviceId, key: &StatementKey, shown: &ProvenHead) -> Result<(), String> {
        let key = key.ed25519().unwrap();
        self.0.witness(peer, key, &shown.head, &shown.proof).map_err(|error| error.to_string())
    }
    fn witnessed(&self, peer: &DeviceId, head: &str) {
        self.0.witnessed(peer, head).unwrap();
    }
}

/// Service `files`: `act echo` answers its inputs; a stream named `sink` is counted and acknowledged,
/// `source` sends as many bytes as asked, `hold` is kept open.
pub struct Echo(Port);
#[async_trait]
impl ServiceHandler for Echo {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        match verb {
            Verb::Act { action, inputs } if action == "echo" => self.0.answer(&from, said(inputs)).await,
            Verb::Act { .. } => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Ok(Answer::Done)
            }
            _ => Err(CallError::Unsupported("only acts".into())),
        }
    }
    async fn stream(&self, _: DeviceId, _: Target, inputs: Inputs, mut stream: ByteStream) {
        let size = match inputs.get("size") {
            Some(Data::Int(size)) => *size as u64,
            _ => 0,
        };
        match inputs.get("what") {
            Some(Data::Text(what)) if what == "sink" => {
                let mut buffer = vec![0; 1 << 20];
                let mut left = size;
                while left > 0 {
                    match stream.reader.read(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => left -= count as u64,
                    }
                }
                let _ = stream.writer.write_all(b"done").await;
                let _ = stream.writer.shutdown().await;
            }
            Some(Data::Text(what)) if what == "source" => {
                let chunk = vec![7; 1 << 20];
                let mut left = size;
                while left > 0 {
                    let count = left.min(chunk.len() as u64);
                    if stream.writer.write_all(&chunk[..count as usize]).await.is_err() {
                        return;
                    }
                    left -= count;
                }
                let _ = stream.writer.shutdown().await;
                let _ = stream.reader.read_u8().await;
            }
            _ => {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        }
    }
}

fn said(inputs: Inputs) -> Envelope {
    inputs.into_iter().fold(Envelope::new(), |all, (name, data)| all.data(&name, &Personal::plain(data)))
}

const USE: &str = "example/hello";

pub struct Home {
    pub runtime: Option<tokio::runtime::Runtime>,
    pub link: Link,
    pub registry: Registry,
    pub port: Port,
    pub gate: Option<Gate>,
    pub peers: Arc<Peers>,
    pub identity: Arc<Identity>,
    events: Mutex<tokio::sync::broadcast::Receiver<LinkEvent>>,
}

impl Home {
    pub fn start(folder: &Path, name: &str, only: Option<Carrier>) -> Self {
        static LOG: std::sync::Once = std::sync::Once::new();
        LOG.call_once(|| {
            let filter = std::env::var("ACCORD_LOG").unwrap_or_default();
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let _inside = runtime.enter();
        let identity = Arc::new(Identity::load_or_create(folder).unwrap());
        let peers = Arc::new(Peers::open(&identity.vault(folder, None)).unwrap());
        let publisher = Publisher::named("Accord");
        let statement =
            Statement::join("accord", "Accord", publisher, "1", &[STATEMENT, accord_consent::example::STATEMENT])
                .unwrap();
        let gate = Gate::open(folder, statement, Arc::new(StatementSigner(identity.clone()))).unwrap();
        let options = LinkOptions {
            name: name.into(),
            kind: DeviceKind::Laptop,
            services: vec![catalogue::files()],
            relay: None,
            state: folder.to_owned(),
            network: if std::env::var_os("ACCORD_TEST_ALL").is_some() { Network::All } else { Network::Loopback },
        };
        let heads = Arc::new(Heads(gate.ledger().clone()));
        let (link, bridge) =
            Link::with_carrier(options, identity.clone(), peers.clone(), gate.bind("link"), heads, only).unwrap();
        let events = Mutex::new(link.events());
        let registry = Registry::new();
        let port = registry.port(&gate.bind("example"), EntryKey::new(USE).unwrap(), "on.request");
        registry.serve("files", Arc::new(Echo(port.clone())));
        registry.add_bridge(Box::new(bridge));
        drop(_inside);
        Self { runtime: Some(runtime), link, registry, port, gate: Some(gate), peers, identity, events }
    }

    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(future)
    }

    pub fn grant(&self, entry: &str, to: &RecipientId) {
        self.decide(entry, to, Choice::Always, None);
    }
    pub fn decide(&self, entry: &str, to: &RecipientId, choice: Choice, only: Option<accord_model::FieldSet>) {
        let gate = self.gate.as_ref().unwrap();
        let entry = EntryKey::new(entry).unwrap();
        let notice = gate.notice(&entry, "en").unwrap();
        let mut decision = Decision::new(entry, To::One(to.clone()), choice, notice.shown("test"));
        decision.fields = only;
        gate.decide(decision).unwrap();
    }
    pub fn open_for_pairing(&self) -> std::net::SocketAddr {
        self.grant("link/pairing", &RecipientId::lan());
        until(10, "open for pairing", || self.link.status().addresses.iter().find(|address| address.is_ipv4()).copied())
    }
    /// What a stranger at `address` (where probes are answered) learns of this home.
    pub fn probe(&self, address: std::net::SocketAddr) -> accord_link::discovery::record::Announced {
        use accord_link::discovery::probe::{Probe, SIZE};
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        until(10, "an answer to a probe", || {
            socket.send_to(&Probe::Question { nonce: [7; 8] }.encode(), address).unwrap();
            let mut buffer = [0; SIZE];
            let length = socket.recv(&mut buffer).ok()?;
            match Probe::decode(&buffer[..length])? {
                Probe::Answer { said, .. } => said.pairing.is_some().then_some(said),
                Probe::Question { .. } => None,
            }
        })
    }
    pub fn pairing(&self, id: &PairingId) -> PairingInfo {
        self.link.pairings().into_iter().find(|info| info.id == *id).unwrap()
    }
    /// The pairing that someone else began.
    pub fn incoming(&self) -> PairingInfo {
        until(10, "an incoming pairing with a question", || {
            self.link.pairings().into_iter().find(|info| matches!(info.step, PairingStep::Compare(_)))
        })
    }
    pub fn code(&self, id: &PairingId) -> String {
        until(10, "a code", || match self.pairing(id).step {
            PairingStep::Compare(Some(code)) => Some(code),
            PairingStep::Failed(why) => panic!("failed: {why}"),
            _ => None,
        })
    }
    pub fn done(&self, id: &PairingId) -> DeviceId {
        until(15, "a finished pairing", || match self.pairing(id).step {
            PairingStep::Done(device) => Some(device),
            PairingStep::Failed(why) => panic!("failed: {why}"),
            _ => None,
        })
    }
    pub fn failed(&self, id: &PairingId) -> String {
        until(15, "a failed pairing", || match self.pairing(id).step {
            PairingStep::Failed(why) => Some(why),
            PairingStep::Done(_) => panic!("paired"),
            _ => None,
        })
    }
    pub fn device(&self, id: &DeviceId) -> LinkDevice {
        self.link.device(id).unwrap()
    }
    pub fn echo(&self, to: &DeviceId, text: &str) -> Result<Outputs, CallError> {
        let inputs = Inputs::from([("text".to_owned(), Data::Text(text.into()))]);
        let within = Duration::from_secs(20);
        self.run(async { self.port.call(to, Target::new("files"), Ask::act("echo"), said(inputs), within).await })
    }
    pub fn stream(&self, to: &DeviceId, what: &str, size: u64) -> Result<ByteStream, CallError> {
        let inputs =
            Inputs::from([("what".to_owned(), Data::Text(what.into())), ("size".to_owned(), Data::Int(size as i64))]);
        self.run(async { self.registry.open_stream(to, Target::new("files"), inputs, StreamClass::Bulk).await })
    }
    /// Sends `size` bytes to `to` and waits for the acknowledgement; MiB per second.
    pub fn push(&self, to: &DeviceId, size: u64) -> (f64, String) {
        let mut stream = self.stream(to, "sink", size).unwrap();
        let carrier = stream.path.carrier.clone();
        let start = Instant::now();
        self.run(async {
            let chunk = vec![9; 1 << 20];
            let mut left = size;
            while left > 0 {
                let count = left.min(chunk.len() as u64);
                stream.writer.write_all(&chunk[..count as usize]).await.unwrap();
                left -= count;
            }
            stream.writer.flush().await.unwrap();
            let mut answer = [0; 4];
            tokio::time::timeout(Duration::from_secs(60), stream.reader.read_exact(&mut answer))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(&answer, b"done");
        });
        (size as f64 / (1 << 20) as f64 / start.elapsed().as_secs_f64(), carrier)
    }
    /// Waits for the alarm that a ledger was changed; whether it is this home's own.
    pub fn alarm(&self, ours: bool) -> String {
        until(20, if ours { "an alarm of our own" } else { "an alarm of the other's" }, || {
            let mut events = self.events.lock().unwrap();
            std::iter::from_fn(|| events.try_recv().ok()).find_map(|event| match event {
                LinkEvent::WitnessAlarm { ours: theirs, message, .. } if theirs == ours => Some(message),
                _ => None,
            })
        })
    }
    pub fn is_calm(&self) -> bool {
        let mut events = self.events.lock().unwrap();
        !std::iter::from_fn(|| events.try_recv().ok()).any(|event| matches!(event, LinkEvent::WitnessAlarm { .. }))
    }
    /// What the ledger says that went to each address under an entry.
    pub fn told(&self, entry: &str) -> std::collections::BTreeMap<String, u64> {
        let query = accord_consent::Query {
            entry: Some(EntryKey::new(entry).unwrap()),
            kind: Some(accord_consent::RecordKind::Sent),
            limit: Some(1000),
            ..Default::default()
        };
        let mut all = std::collections::BTreeMap::new();
        for record in self.gate.as_ref().unwrap().ledger().list(&query).unwrap() {
            for place in record.details.into_iter().flat_map(|details| details.addresses) {
                *all.entry(place.address).or_default() += place.bytes;
            }
        }
        all
    }
    /// The end of a process: nothing is said to anyone.
    pub fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
        self.gate.take();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

pub fn until<T>(seconds: u64, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "waited {seconds} s for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Pairs by code and lets both connect; what each calls the other.
pub fn paired(a: &Home, b: &Home) -> (DeviceId, DeviceId) {
    let address = b.open_for_pairing();
    a.open_for_pairing();
    let out = a.run(a.link.pair_address(address)).unwrap();
    let code = a.code(&out);
    let inward = b.incoming();
    assert_eq!(inward.step, PairingStep::Compare(Some(code)));
    a.run(a.link.confirm_pairing(&out, None)).unwrap();
    b.run(b.link.confirm_pairing(&inward.id, None)).unwrap();
    let (b_at_a, a_at_b) = (a.done(&out), b.done(&inward.id));
    agree(a, &b_at_a);
    agree(b, &a_at_b);
    connected(a, &b_at_a);
    connected(b, &a_at_b);
    (b_at_a, a_at_b)
}

/// The owner agrees to connect with `peer`, and to what the tests say to it.
pub fn agree(home: &Home, peer: &DeviceId) {
    for entry in ["link/connection", USE] {
        home.grant(entry, &RecipientId::device(peer));
    }
}

pub fn connected(home: &Home, peer: &DeviceId) {
    until(20, "a connection", || home.device(peer).path.map(|_| ()));
    until(10, "its services", || {
        home.registry
            .device(peer)
            .filter(|known| !known.device.services.is_empty() && known.device.reach == Reach::Local)
    });
}
