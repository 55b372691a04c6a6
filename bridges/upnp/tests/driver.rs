//! The driver against renderers that mean harm, over loopback.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "renderers for tests, on loopback")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To, outlet::interfaces::Network};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, EntryKey, FromBridge, Inputs, Outputs, Reach, Target, ToBridge, Verb,
};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
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

impl Lab {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let turn = std::fs::File::create(std::env::temp_dir().join("accord-upnp-tests.lock")).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn)).await.unwrap().unwrap();
        let statement =
            Statement::join("test", "Test", Publisher::named("Test"), "1", &[accord_upnp::STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let options = Options { folder: dir.path().join("upnp"), network: Network::Loopback };
        let bridge = UpnpBridge::new(gate.bind("upnp"), options).unwrap();
        let (to, inbox) = mpsc::channel(64);
        let (outbox, from) = mpsc::channel(64);
        tokio::spawn(async move { Box::new(bridge).run(BridgeSide { inbox, outbox }).await });
        Self { dir, _turn: turn, gate, to, from, next: 1 }
    }

    fn grant(&self, key: &str, to: To) {
        let shown = self.gate.notice(&entry(key), "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry(key), to, Choice::Always, shown)).unwrap();
    }

    /// The first message that fits, within 10 s.
    async fn hear<T>(&mut self, mut fits: impl FnMut(FromBridge) -> Option<T>) -> T {
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

    async fn seen(&mut self, name: &str) -> Device {
        self.hear(|message| match message {
            FromBridge::Seen { device } if device.name == name => Some(device),
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

    async fn add(&mut self, device: &DeviceId) {
        self.call(device, "pairing", act("request")).await.unwrap();
        self.grant("upnp/control", To::One(RecipientId::device(device)));
    }
}

fn act(action: &str) -> Verb {
    Verb::Act { action: action.to_owned(), inputs: Inputs::new() }
}

/// A device on loopback that answers every request the same way, by its path.
struct Device80 {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Device80 {
    async fn new(answer: impl Fn(&str, SocketAddr) -> Vec<u8> + Send + Sync + 'static) -> Self {
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
                    let _ = stream.write_all(&answer(&request, at)).await;
                });
            }
        });
        Self { at, asked }
    }

    /// Says that it is here, to the group on loopback.
    async fn announce(&self, uuid: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let word = format!(
            "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: {RENDERER}\r\nNTS: ssdp:alive\r\nUSN: uuid:{uuid}::{RENDERER}\r\n\
             LOCATION: http://{}/d.xml\r\nCACHE-CONTROL: max-age=100\r\n\r\n",
            self.at
        );
        socket.send_to(word.as_bytes(), "239.255.255.250:1900").await.unwrap();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

fn description(name: &str, uuid: &str, control: &str) -> String {
    format!(
        "<root><device><deviceType>urn:schemas-upnp-org:device:MediaRenderer:1</deviceType><friendlyName>{name}</friendlyName>\
         <UDN>uuid:{uuid}</UDN><serviceList><service><serviceType>urn:schemas-upnp-org:service:AVTransport:1</serviceType>\
         <controlURL>{control}</controlURL></service></serviceList></device></root>"
    )
}

/// One that plays whatever it is told.
fn player(name: &'static str, uuid: &'static str) -> impl Fn(&str, SocketAddr) -> Vec<u8> + Send + Sync {
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

#[tokio::test]
async fn without_consent_nothing_is_asked_and_what_was_begun_ends_with_it() {
    let mut lab = Lab::new().await;
    let tv = Device80::new(player("TV", "tv1")).await;
    tv.announce("tv1").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(tv.asked(), 0);
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    tv.announce("tv1").await;
    let seen = lab.seen("TV").await;
    assert!(seen.passing && seen.reach == Reach::Local);
    let refused = lab.call(&seen.id, "media", act("play")).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "not added: {refused:?}");
    assert_eq!(tv.asked(), 1, "its description alone");
    // Added, and no consent to control it yet.
    lab.call(&seen.id, "pairing", act("request")).await.unwrap();
    let refused = lab.call(&seen.id, "media", act("play")).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
    assert_eq!(tv.asked(), 1);
    lab.grant("upnp/control", To::One(RecipientId::device(&seen.id)));
    assert_eq!(lab.call(&seen.id, "media", act("play")).await, Ok(Outputs::new()));
    lab.gate.withdraw((entry("upnp/control"), To::One(RecipientId::device(&seen.id)))).unwrap();
    let refused = lab.call(&seen.id, "media", act("stop")).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
    let asked = tv.asked();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(tv.asked(), asked, "it played, and is not looked at any more");
    lab.gate.withdraw((entry("upnp/search"), To::Any)).unwrap();
    let away = lab.seen("TV").await;
    assert!(away.reach == Reach::Offline && !away.passing, "added, and away");
    assert!(lab.dir.path().join("upnp/added.json").exists());
}

#[tokio::test]
async fn descriptions_that_mean_harm_are_not_devices_and_others_are_found_meanwhile() {
    let mut lab = Lab::new().await;
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let victim = Device80::new(|_, _| ok("")).await;
    let elsewhere = victim.at;
    let harm: Vec<(&str, Device80)> = vec![
        ("bomb", Device80::new(|_, _| ok("<!DOCTYPE r [<!ENTITY a \"aaaa\">]><root>&a;</root>")).await),
        (
            "redirect",
            Device80::new(move |_, _| {
                format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/d.xml\r\nContent-Length: 0\r\n\r\n")
                    .into_bytes()
            })
            .await,
        ),
        ("other-host", Device80::new(|_, _| ok(&description("Bad", "other-host", "http://127.0.0.9:80/x"))).await),
        ("endless", Device80::new(|_, _| [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'<'; 4 << 20]].concat()).await),
        ("long", Device80::new(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n<root>".to_vec()).await),
        (
            "silent",
            Device80::new(|_, _| {
                std::thread::sleep(Duration::from_millis(1));
                Vec::new()
            })
            .await,
        ),
        ("megabyte", Device80::new(|_, _| ok(&description(&"n".repeat(1 << 20), "megabyte", "/c"))).await),
    ];
    for (uuid, device) in &harm {
        device.announce(uuid).await;
    }
    let good = Device80::new(player("Good", "good")).await;
    for _ in 0..30 {
        good.announce("good").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if good.asked() > 0 {
            break;
        }
    }
    lab.hear(|message| match message {
        FromBridge::Seen { device } => {
            assert_eq!(device.name, "Good", "nobody else is a device");
            Some(())
        }
        _ => None,
    })
    .await;
    assert_eq!(victim.asked(), 0, "nobody is sent to another host");
    assert!(harm.iter().filter(|(_, device)| device.asked() == 1).count() >= 4);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_before_anybody_is_asked() {
    let mut lab = Lab::new().await;
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let tv = Device80::new(player("TV", "tv3")).await;
    tv.announce("tv3").await;
    let seen = lab.seen("TV").await;
    lab.add(&seen.id).await;
    let open = |address: &str| Verb::Act {
        action: "open".to_owned(),
        inputs: Inputs::from([("address".to_owned(), Data::Text(address.to_owned()))]),
    };
    for bad in [
        "",
        "file:///etc/passwd",
        "http://a b",
        "http://a\r\nX: y",
        "javascript:x",
        &format!("http://{}", "a".repeat(4000)),
    ] {
        let refused = lab.call(&seen.id, "media", open(bad)).await;
        assert!(matches!(refused, Err(CallError::BadInput(_))), "{bad}: {refused:?}");
    }
    let seek = Verb::Write { property: "position".into(), data: Data::Text("soon".into()) };
    assert!(matches!(lab.call(&seen.id, "media", seek).await, Err(CallError::BadInput(_))));
    assert!(matches!(lab.call(&seen.id, "media", act("explode")).await, Err(CallError::Unsupported(_))));
}
