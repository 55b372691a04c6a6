//! The driver over loopback: what leaves under which consent.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a receiver for tests, on loopback")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_airplay::{AirplayBridge, Network, Options};
use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_model::{
    CallError, CallId, Device, DeviceId, EntryKey, FromBridge, Inputs, Outputs, Reach, StreamClass, StreamId, Target,
    ToBridge, Verb,
};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
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

fn entry(key: &str) -> EntryKey {
    EntryKey::new(key).unwrap()
}

/// A bridge that runs, and what it is told and tells.
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
            Statement::join("test", "Test", Publisher::named("Test"), "1", &[accord_airplay::STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let options =
            Options { folder: Vault::new(dir.path(), &[7; 32]).folder("airplay"), network: Network::Loopback };
        let bridge = AirplayBridge::new(gate.bind("airplay"), options).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(64);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        Self { _dir: dir, gate, to, from, next: 1 }
    }

    fn grant(&self, key: &str, to: To) {
        let shown = self.gate.notice(&entry(key), "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry(key), to, Choice::Always, shown)).unwrap();
    }

    /// The first message that fits, within 10 s.
    async fn hear<T>(&mut self, mut fits: impl FnMut(FromBridge, Option<ByteStream>) -> Option<T>) -> T {
        let wait = async {
            loop {
                let (message, stream) = self.from.recv().await.expect("the bridge runs");
                if let Some(found) = fits(message, stream) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it is told within 10 s")
    }

    async fn seen(&mut self, name: &str) -> Device {
        self.hear(|message, _| match message {
            FromBridge::Seen { device } if device.name == name => Some(device),
            _ => None,
        })
        .await
    }

    async fn act(&mut self, device: &DeviceId, service: &str, action: &str) -> Result<Outputs, CallError> {
        let call = CallId(self.next);
        self.next += 1;
        let verb = Verb::Act { action: action.to_owned(), inputs: Inputs::new() };
        let (device, target) = (device.clone(), Target::new(service));
        self.to.send((ToBridge::Call { call, device, target, verb }, None)).await.unwrap();
        self.hear(|message, _| match message {
            FromBridge::Reply { call: of, outcome } if of == call => Some(outcome),
            _ => None,
        })
        .await
    }

    async fn open(&mut self, device: &DeviceId) -> Result<ByteStream, CallError> {
        let stream = StreamId(self.next);
        self.next += 1;
        let (device, target, inputs) = (device.clone(), Target::new("media"), Inputs::new());
        let message = ToBridge::OpenStream { stream, device, target, inputs, class: StreamClass::Bulk };
        self.to.send((message, None)).await.unwrap();
        self.hear(|message, opened| match message {
            FromBridge::StreamReady { stream: of } if of == stream => Some(Ok(opened.unwrap())),
            FromBridge::StreamFailed { stream: of, error } if of == stream => Some(Err(error)),
            _ => None,
        })
        .await
    }
}

/// A receiver on loopback that takes everything.
struct Receiver {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    packets: Arc<AtomicUsize>,
}

impl Receiver {
    async fn new() -> Self {
        let (listener, sound) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let (at, port) = (listener.local_addr().unwrap(), sound.local_addr().unwrap().port());
        let (asked, packets) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (said, heard) = (asked.clone(), packets.clone());
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while sound.recv_from(&mut buffer).await.is_ok() {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut peer, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 8192];
                while let Ok(length @ 1..) = peer.read(&mut buffer).await {
                    let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let number = request.split("CSeq: ").nth(1).unwrap().split("\r\n").next().unwrap();
                    let ports = format!("Transport: x;server_port={port};control_port={port}\r\nSession: 1\r\n");
                    let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{ports}\r\n");
                    let _ = peer.write_all(answer.as_bytes()).await;
                    said.lock().unwrap().push(request.split(' ').next().unwrap().to_owned());
                }
            }
        });
        Self { at, asked, packets }
    }

    /// Says that it is here, by an unasked answer (RFC 6762, section 8.3): PTR, SRV, TXT and A.
    fn announce(&self, name: &str) {
        fn label(words: &[&str]) -> Vec<u8> {
            words.iter().flat_map(|word| [&[word.len() as u8], word.as_bytes()].concat()).chain([0]).collect()
        }
        fn record(name: &[u8], kind: u16, class: u16, data: &[u8]) -> Vec<u8> {
            let head = [kind.to_be_bytes(), class.to_be_bytes(), [0, 0], 120_u16.to_be_bytes()].concat();
            [name, &head, &(data.len() as u16).to_be_bytes(), data].concat()
        }
        let instance = format!("0A1B2C3D4E5F@{name}");
        let service = label(&["_raop", "_tcp", "local"]);
        let (own, host) = (label(&[&instance, "_raop", "_tcp", "local"]), label(&["fake", "local"]));
        let at = [&[0; 4], self.at.port().to_be_bytes().as_slice(), &host].concat();
        let txt = b"\x04et=0\x04cn=1";
        let packet = [
            vec![0, 0, 0x84, 0, 0, 0, 0, 4, 0, 0, 0, 0],
            record(&service, 12, 1, &own),
            record(&own, 33, 0x8001, &at),
            record(&own, 16, 0x8001, txt),
            record(&host, 1, 0x8001, &[127, 0, 0, 1]),
        ]
        .concat();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 5353)).into()).unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        socket.send_to(&packet, &SocketAddr::from(([224, 0, 0, 251], 5353)).into()).unwrap();
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn packets(&self) -> usize {
        self.packets.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn without_consent_nothing_leaves_and_what_was_begun_ends_with_it() {
    let mut lab = Lab::new();
    let speaker = Receiver::new().await;
    speaker.announce("Kitchen");
    lab.grant("airplay/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    speaker.announce("Kitchen");
    let seen = lab.seen("Kitchen").await;
    assert!(seen.passing && seen.reach == Reach::Local && seen.service("media").is_some());
    let refused = lab.open(&seen.id).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "not added");
    lab.act(&seen.id, "pairing", "request").await.unwrap();
    assert!(matches!(lab.open(&seen.id).await, Err(CallError::NotConsented(_))), "added, and not agreed");
    let device = || To::One(RecipientId::device(&seen.id));
    lab.grant("airplay/control", device());
    let refused = lab.open(&seen.id).await.err();
    assert!(matches!(&refused, Some(CallError::NotConsented(why)) if why.contains("airplay/sound")), "{refused:?}");
    assert_eq!((speaker.asked(), speaker.packets()), (vec![], 0));

    lab.grant("airplay/sound", device());
    let mut stream = lab.open(&seen.id).await.unwrap();
    stream.writer.write_all(&[1; 60_000]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), async {
        while speaker.packets() < 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("sound comes");
    assert_eq!(speaker.asked()[..4], ["OPTIONS", "ANNOUNCE", "SETUP", "RECORD"]);
    lab.gate.withdraw((entry("airplay/sound"), device())).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.reader.read(&mut [0; 1])).await;
    assert_eq!(ended.expect("it ends").unwrap(), 0);
    let (asked, packets) = (speaker.asked(), speaker.packets());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((speaker.asked(), speaker.packets()), (asked, packets), "nothing more leaves");

    lab.gate.withdraw((entry("airplay/search"), To::Any)).unwrap();
    let away = lab.seen("Kitchen").await;
    assert!(away.reach == Reach::Offline && !away.passing, "added, and away");
}
