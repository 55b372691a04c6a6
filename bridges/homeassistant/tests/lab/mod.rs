//! A bridge over loopback, and a server for it that speaks Home Assistant's messages: the recorded demo house.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "servers for tests, on loopback")]
#![allow(dead_code, unused_imports, reason = "each of the tests uses its part")]

mod house;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, Signer, To};
use accord_homeassistant::{HomeAssistantBridge, Network, Options};
use accord_mdns::{Config, Core, Interface, Output, Publication};
use accord_model::why::Fact;
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, EntryKey, FromBridge, Inputs, Outputs, Reach, StreamClass, StreamId,
    Target, ToBridge, Verb,
};
use accord_ports::picture::Picture;
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use tokio::sync::mpsc;

pub use house::{Door, House, Silent, TOKEN, odd};

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
pub struct Lab {
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
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let statement =
            Statement::join("test", "Test", Publisher::named("Test"), "1", &[accord_homeassistant::STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let options =
            Options { folder: Vault::new(dir.path(), &[7; 32]).folder("homeassistant"), network: Network::Loopback };
        let bridge = HomeAssistantBridge::new(gate.bind("homeassistant"), options).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(64);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        Self { dir, gate, to, from, next: 1 }
    }

    /// The bridge ends and begins anew, and this is what was known before. The answer: what it still speaks for.
    pub async fn again(&mut self, before: Vec<Device>) -> Vec<DeviceId> {
        self.to.send((ToBridge::Stop, None)).await.unwrap();
        while self.from.recv().await.is_some() {}
        let options = Options {
            folder: Vault::new(self.dir.path(), &[7; 32]).folder("homeassistant"),
            network: Network::Loopback,
        };
        let mut bridge = HomeAssistantBridge::new(self.gate.bind("homeassistant"), options).unwrap();
        let still = bridge.recall(before).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(64);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        (self.to, self.from) = (to, from);
        still
    }

    /// How many messages were told and not heard, and how many records there are.
    pub fn told_and_records(&mut self) -> (usize, usize) {
        let mut told = 0;
        while self.from.try_recv().is_ok() {
            told += 1;
        }
        (told, self.gate.ledger().list(&Default::default()).unwrap().len())
    }

    /// Adds in one of its ways.
    pub async fn add_by(&mut self, way: &str, inputs: &[(&str, &str)]) -> Result<Outputs, CallError> {
        let inputs = inputs.iter().map(|(id, text)| ((*id).to_owned(), Data::from(*text))).collect();
        let way = way.to_owned();
        self.ask(|call| ToBridge::Add { call, way, inputs }).await
    }

    /// All files of the bridge and the gate, for what must not be in them.
    pub fn files(&self) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let folders = ["gate", "homeassistant"].map(|folder| self.dir.path().join(folder));
        let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap().flatten());
        files.filter_map(|file| Some((file.path(), std::fs::read(file.path()).ok()?))).collect()
    }

    /// What is in the file of servers that were added.
    pub fn kept(&self) -> String {
        let folder = Vault::new(self.dir.path(), &[7; 32]).folder("homeassistant");
        let found = folder.read("added.json", 1 << 20).unwrap();
        found.map(|found| String::from_utf8(found.bytes.to_vec()).unwrap()).unwrap_or_default()
    }

    pub fn grant(&self, key: &str, to: To) {
        self.decide(key, to, Choice::Always);
    }

    pub fn withdraw(&self, key: &str, to: To) {
        self.decide(key, to, Choice::Never);
    }

    fn decide(&self, key: &str, to: To, choice: Choice) {
        let shown = self.gate.notice(&entry(key), "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry(key), to, choice, shown)).unwrap();
    }

    /// The first message that fits, within 30 s.
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

    pub async fn seen(&mut self, fits: impl Fn(&Device) -> bool) -> Device {
        self.hear(|message| match message {
            FromBridge::Seen { device } if fits(&device) => Some(device),
            _ => None,
        })
        .await
    }

    pub async fn gone(&mut self, id: &DeviceId) {
        self.hear(|message| matches!(message, FromBridge::Gone { device } if device == *id).then_some(())).await;
    }

    pub async fn reach(&mut self, id: &DeviceId, wanted: Reach) {
        self.hear(|message| match message {
            FromBridge::Reach { device, reach } if device == *id && reach == wanted => Some(()),
            _ => None,
        })
        .await;
    }

    /// A value comes, alone or with its whole device.
    pub async fn value(&mut self, id: &DeviceId, property: &str, wanted: Data) {
        self.hear(|message| match message {
            FromBridge::Values { device, values, .. } if device == *id => {
                values.get(property).filter(|value| value.data == wanted).map(drop)
            }
            FromBridge::Seen { device } if device.id == *id => {
                let mut all = device.services.iter().filter_map(|service| service.values.get(property));
                all.any(|value| value.data == wanted).then_some(())
            }
            _ => None,
        })
        .await;
    }

    pub async fn value_of(&mut self, property: &str, wanted: Data) {
        self.hear(|message| match message {
            FromBridge::Values { values, .. } => values.get(property).filter(|value| value.data == wanted).map(drop),
            _ => None,
        })
        .await;
    }

    /// Begins a call whose answer is not waited for.
    pub async fn begin(&mut self, device: &DeviceId, service: &str, verb: Verb) -> CallId {
        let call = CallId(self.next);
        self.next += 1;
        let (device, target) = (device.clone(), Target::new(service));
        self.to.send((ToBridge::Call { call, device, target, verb }, None)).await.unwrap();
        call
    }

    pub async fn cancel(&mut self, call: CallId) {
        self.to.send((ToBridge::Cancel { call }, None)).await.unwrap();
    }

    /// The answer to one of these.
    pub async fn reply(&mut self, calls: &[CallId]) -> (CallId, Result<Outputs, CallError>) {
        self.hear(|message| match message {
            FromBridge::Reply { call, outcome } if calls.contains(&call) => Some((call, outcome)),
            _ => None,
        })
        .await
    }

    /// What is told of one device until then, in short: here or gone.
    pub async fn life(&mut self, id: &DeviceId, until: impl Fn(&FromBridge) -> bool) -> Vec<&'static str> {
        let mut life = Vec::new();
        self.hear(|message| {
            match &message {
                FromBridge::Seen { device } if device.id == *id => life.push("here"),
                FromBridge::Gone { device } if device == id => life.push("gone"),
                FromBridge::Reach { device, reach: Reach::Offline } if device == id => life.push("away"),
                _ => {}
            }
            until(&message).then_some(())
        })
        .await;
        life
    }

    pub async fn call(&mut self, device: &DeviceId, service: &str, verb: Verb) -> Result<Outputs, CallError> {
        let (device, target) = (device.clone(), Target::new(service));
        self.ask(|call| ToBridge::Call { call, device, target, verb }).await
    }

    /// What a stream of a service gives.
    pub async fn look(&mut self, device: &DeviceId, service: &str) -> Result<Picture, CallError> {
        let stream = StreamId(self.next);
        self.next += 1;
        let (device, target, class) = (device.clone(), Target::new(service), StreamClass::Interactive);
        let message = ToBridge::OpenStream { stream, device, target, inputs: Inputs::new(), class };
        self.to.send((message, None)).await.unwrap();
        let opened = async {
            loop {
                match self.from.recv().await.expect("the bridge runs") {
                    (FromBridge::StreamReady { stream: of }, Some(content)) if of == stream => return Ok(content),
                    (FromBridge::StreamFailed { stream: of, error }, None) if of == stream => return Err(error),
                    _ => {}
                }
            }
        };
        let content =
            tokio::time::timeout(Duration::from_secs(30), opened).await.expect("it is answered within 30 s")?;
        Picture::from_stream(content).await
    }

    /// The answer to a question; what comes before it is heard again afterwards.
    async fn ask(&mut self, message: impl FnOnce(CallId) -> ToBridge) -> Result<Outputs, CallError> {
        let call = CallId(self.next);
        self.next += 1;
        self.to.send((message(call), None)).await.unwrap();
        let mut before = Vec::new();
        let outcome = self
            .hear(|message| match message {
                FromBridge::Reply { call: of, outcome } if of == call => Some(outcome),
                other => {
                    before.push(other);
                    None
                }
            })
            .await;
        // Put back in front of what waits.
        let (first, again) = mpsc::channel(before.len() + 64);
        for message in before {
            first.try_send((message, None)).unwrap();
        }
        let mut rest = std::mem::replace(&mut self.from, again);
        tokio::spawn(async move {
            while let Some(message) = rest.recv().await {
                if first.send(message).await.is_err() {
                    return;
                }
            }
        });
        outcome
    }

    pub async fn add(&mut self, address: &str, token: &str) -> Result<DeviceId, CallError> {
        self.add_with(&[("address", address), ("token", token)]).await
    }

    pub async fn add_pinned(&mut self, address: &str, token: &str, key: &str) -> Result<DeviceId, CallError> {
        self.add_with(&[("address", address), ("token", token), ("certificate", key)]).await
    }

    async fn add_with(&mut self, inputs: &[(&str, &str)]) -> Result<DeviceId, CallError> {
        let inputs: Inputs = inputs.iter().map(|(id, text)| ((*id).to_owned(), Data::from(*text))).collect();
        let outputs = self.ask(|call| ToBridge::Add { call, way: "token".to_owned(), inputs }).await?;
        Ok(DeviceId::new(&outputs["devices"].as_texts().unwrap()[0]).unwrap())
    }

    /// Begins to add one.
    pub async fn begin_add(&mut self, address: &str, token: &str) -> CallId {
        self.begin_add_by("token", &[("address", address), ("token", token)]).await
    }

    pub async fn begin_add_by(&mut self, way: &str, inputs: &[(&str, &str)]) -> CallId {
        let call = CallId(self.next);
        self.next += 1;
        let inputs: Inputs = inputs.iter().map(|(id, text)| ((*id).to_owned(), Data::from(*text))).collect();
        self.to.send((ToBridge::Add { call, way: way.to_owned(), inputs }, None)).await.unwrap();
        call
    }

    /// What is known of why it is not reached.
    pub async fn why(&mut self, id: &DeviceId) -> Vec<Fact> {
        let call = CallId(self.next);
        self.next += 1;
        self.to.send((ToBridge::Explain { call, device: Some(id.clone()), within: 5 }, None)).await.unwrap();
        self.hear(|message| match message {
            FromBridge::Explained { call: of, explained } if of == call => Some(explained.facts),
            _ => None,
        })
        .await
    }

    /// Waits until that is among what is known.
    pub async fn until_why(&mut self, id: &DeviceId, fits: impl Fn(&Fact) -> bool) -> Vec<Fact> {
        let mut facts = Vec::new();
        for _ in 0..100 {
            facts = self.why(id).await;
            if facts.iter().any(&fits) {
                return facts;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{facts:?}");
    }

    /// Something was written down under that entry for that device, and the token nowhere but in its file.
    pub fn ledger_has(&self, key: &str, device: &DeviceId) -> bool {
        let mut found = false;
        for file in std::fs::read_dir(self.dir.path().join("gate")).unwrap().flatten() {
            let Ok(bytes) = std::fs::read(file.path()) else { continue };
            let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!has(TOKEN), "{:?} has the token", file.path());
            found |= has(key) && has(device.as_str());
        }
        found
    }
}

pub fn write(property: &str, data: impl Into<Data>) -> Verb {
    Verb::Write { property: property.to_owned(), data: data.into() }
}

pub fn act(action: &str) -> Verb {
    Verb::Act { action: action.to_owned(), inputs: Inputs::new() }
}

pub fn act_with(action: &str, input: &str, text: &str) -> Verb {
    let inputs = Inputs::from([(input.to_owned(), Data::from(text))]);
    Verb::Act { action: action.to_owned(), inputs }
}

/// Announces a Home Assistant on loopback until it is dropped.
pub async fn announce(port: u16) -> tokio_util::task::AbortOnDropHandle<()> {
    let socket = multicast();
    let txt = [
        ("uuid", "0123456789abcdef0123456789abcdef"),
        ("location_name", "Lab"),
        ("version", "2024.3.3"),
        ("base_url", "http://evil.example:1"),
    ];
    let publication = Publication::new("_home-assistant._tcp", "Lab", "lab", port).unwrap();
    let publication =
        txt.into_iter().fold(publication, |one, (key, value)| one.attribute(key, value.as_bytes()).unwrap());
    let mut core = Core::new(Config::with_seed(7));
    let start = std::time::Instant::now();
    core.set_interfaces(vec![Interface { index: 1, addresses: vec!["127.0.0.1".parse().unwrap()] }], Duration::ZERO);
    core.publish(publication, Duration::ZERO).unwrap();
    let group: SocketAddr = (accord_mdns::GROUP_V4, accord_mdns::PORT).into();
    tokio_util::task::AbortOnDropHandle::new(tokio::task::spawn(async move {
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
        let mut buffer = [0; 9000];
        loop {
            while let Some(output) = core.poll() {
                if let Output::Transmit(transmit) = output
                    && transmit.to.is_ipv4()
                {
                    let _ = socket.send_to(&transmit.bytes, group).await;
                }
            }
            match tokio::time::timeout(Duration::from_millis(50), socket.recv_from(&mut buffer)).await {
                Ok(Ok((length, from))) => core.handle_datagram(from, 1, &buffer[..length], start.elapsed()),
                _ => core.handle_timeout(start.elapsed()),
            }
        }
    }))
}

fn multicast() -> UdpSocket {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, Some(socket2::Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    let bind: SocketAddr = (accord_mdns::GROUP_V4, accord_mdns::PORT).into();
    socket.bind(&bind.into()).unwrap();
    let loopback = std::net::Ipv4Addr::LOCALHOST;
    socket.join_multicast_v4(&accord_mdns::GROUP_V4, &loopback).unwrap();
    socket.set_multicast_if_v4(&loopback).unwrap();
    socket.set_multicast_loop_v4(true).unwrap();
    socket.into()
}
