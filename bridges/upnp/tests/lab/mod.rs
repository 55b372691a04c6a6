//! A bridge over loopback, and devices for it.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    dead_code,
    reason = "devices for tests, on loopback; not each test uses all of them"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To, outlet::interfaces::Network};
use accord_model::{CallError, CallId, Data, Device, DeviceId, EntryKey, FromBridge, Outputs, Target, ToBridge, Verb};
use accord_recognition::Recogniser;
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

use accord_upnp::core::ssdp::RENDERER;
use accord_upnp::{Options, UpnpBridge};

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
    pub dir: tempfile::TempDir,
    /// All hear the same group on loopback, so that they run one after the other.
    _turn: std::fs::File,
    pub gate: Gate,
    to: mpsc::Sender<(ToBridge, Option<ByteStream>)>,
    pub from: mpsc::Receiver<(FromBridge, Option<ByteStream>)>,
    next: u64,
}

pub fn entry(key: &str) -> EntryKey {
    EntryKey::new(key).unwrap()
}

impl Lab {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let turn = std::fs::File::create(std::env::temp_dir().join("accord-upnp-tests.lock")).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn)).await.unwrap().unwrap();
        let statement =
            Statement::join("test", "Test", Publisher::named("Test"), "1", &[accord_upnp::STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let options = Options {
            folder: Vault::new(dir.path(), &[7; 32]).folder("upnp"),
            network: Network::Loopback,
            recogniser: Recogniser::nothing(),
        };
        let bridge = UpnpBridge::new(gate.bind("upnp"), options).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(64);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        Self { dir, _turn: turn, gate, to, from, next: 1 }
    }

    pub fn grant(&self, key: &str, to: To) {
        let shown = self.gate.notice(&entry(key), "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry(key), to, Choice::Always, shown)).unwrap();
    }

    /// The first message that fits, within 10 s.
    pub async fn hear<T>(&mut self, mut fits: impl FnMut(FromBridge) -> Option<T>) -> T {
        let wait = async {
            loop {
                let (message, _) = self.from.recv().await.expect("the bridge runs");
                if let Some(found) = fits(message) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it is told within 10 s")
    }

    pub async fn seen(&mut self, name: &str) -> Device {
        self.hear(|message| match message {
            FromBridge::Seen { device } if device.name == name => Some(device),
            _ => None,
        })
        .await
    }

    pub async fn ask(&mut self, device: &DeviceId, service: &str, verb: Verb) -> CallId {
        let call = CallId(self.next);
        self.next += 1;
        let (device, target) = (device.clone(), Target::new(service));
        self.to.send((ToBridge::Call { call, device, target, verb }, None)).await.unwrap();
        call
    }

    pub async fn call(&mut self, device: &DeviceId, service: &str, verb: Verb) -> Result<Outputs, CallError> {
        let call = self.ask(device, service, verb).await;
        self.answer(call).await
    }

    pub async fn answer(&mut self, call: CallId) -> Result<Outputs, CallError> {
        self.hear(|message| match message {
            FromBridge::Reply { call: of, outcome } if of == call => Some(outcome),
            _ => None,
        })
        .await
    }

    pub async fn add(&mut self, device: &DeviceId) {
        self.call(device, "pairing", act("request")).await.unwrap();
        self.grant("upnp/control", To::One(RecipientId::device(device)));
    }
}

pub fn act(action: &str) -> Verb {
    with(action, &[])
}

pub fn with(action: &str, inputs: &[(&str, Data)]) -> Verb {
    let inputs = inputs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect();
    Verb::Act { action: action.to_owned(), inputs }
}

/// A device on loopback that answers every request the same way, by its path.
pub struct Device80 {
    pub at: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Device80 {
    pub async fn new(answer: impl Fn(&str, SocketAddr) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (answer, count) = (Arc::new(answer), asked.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 16 * 1024];
                    let length = stream.read(&mut request).await.unwrap_or_default();
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    let answer = answer(&request, at);
                    if answer.is_empty() {
                        // One that takes its time.
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    let _ = stream.write_all(&answer).await;
                });
            }
        });
        Self { at, asked }
    }

    /// Says that it is here, to the group on loopback.
    pub async fn announce(&self, uuid: &str) {
        self.announce_as(uuid, RENDERER).await;
    }

    pub async fn announce_as(&self, uuid: &str, kind: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let word = format!(
            "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: {kind}\r\nNTS: ssdp:alive\r\nUSN: uuid:{uuid}::{kind}\r\n\
             LOCATION: http://{}/d.xml\r\nCACHE-CONTROL: max-age=100\r\n\r\n",
            self.at
        );
        socket.send_to(word.as_bytes(), "239.255.255.250:1900").await.unwrap();
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

pub fn description(name: &str, uuid: &str, control: &str) -> String {
    format!(
        "<root><device><deviceType>urn:schemas-upnp-org:device:MediaRenderer:1</deviceType><friendlyName>{name}</friendlyName>\
         <UDN>uuid:{uuid}</UDN><serviceList><service><serviceType>urn:schemas-upnp-org:service:AVTransport:1</serviceType>\
         <controlURL>{control}</controlURL></service></serviceList></device></root>"
    )
}

/// One that plays whatever it is told.
pub fn player(name: &'static str, uuid: &'static str) -> impl Fn(&str, SocketAddr) -> Vec<u8> + Send + Sync {
    move |request, _| {
        let action = request.split('#').nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        if request.starts_with("GET") {
            return ok(&description(name, uuid, "/control"));
        }
        let out =
            if action == "GetTransportInfo" { "<CurrentTransportState>PLAYING</CurrentTransportState>" } else { "" };
        ok(&format!("<Envelope><Body><{action}Response>{out}</{action}Response></Body></Envelope>"))
    }
}
