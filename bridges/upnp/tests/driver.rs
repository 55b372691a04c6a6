//! The driver against renderers that mean harm, over loopback.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "renderers for tests, on loopback")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To, outlet::interfaces::Network};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, EntryKey, FromBridge, Outputs, Reach, Target, ToBridge, Verb,
};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

use accord_upnp::core::ssdp::{RENDERER, SERVER};
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

    async fn ask(&mut self, device: &DeviceId, service: &str, verb: Verb) -> CallId {
        let call = CallId(self.next);
        self.next += 1;
        let (device, target) = (device.clone(), Target::new(service));
        self.to.send((ToBridge::Call { call, device, target, verb }, None)).await.unwrap();
        call
    }

    async fn call(&mut self, device: &DeviceId, service: &str, verb: Verb) -> Result<Outputs, CallError> {
        let call = self.ask(device, service, verb).await;
        self.answer(call).await
    }

    async fn answer(&mut self, call: CallId) -> Result<Outputs, CallError> {
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
    with(action, &[])
}

fn with(action: &str, inputs: &[(&str, Data)]) -> Verb {
    let inputs = inputs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect();
    Verb::Act { action: action.to_owned(), inputs }
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
    async fn announce(&self, uuid: &str) {
        self.announce_as(uuid, RENDERER).await;
    }

    async fn announce_as(&self, uuid: &str, kind: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let word = format!(
            "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: {kind}\r\nNTS: ssdp:alive\r\nUSN: uuid:{uuid}::{kind}\r\n\
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
        ("silent", Device80::new(|_, _| Vec::new()).await),
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
    let open = |address: &str| with("open", &[("address", Data::Text(address.to_owned()))]);
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
    let good = || Data::from("http://10.0.0.1/x");
    for (id, data) in [
        ("captions", Data::from("file:///x.srt")),
        ("format", Data::from("video/mp4:*\"")),
        ("seek", Data::from("maybe")),
        ("length", Data::Float(-1.0)),
        ("start", Data::Float(f64::NAN)),
        ("start", Data::Float(1e300)),
    ] {
        let refused = lab.call(&seen.id, "media", with("open", &[("address", good()), (id, data)])).await;
        assert!(matches!(refused, Err(CallError::BadInput(_))), "{id}: {refused:?}");
    }
    let seek = Verb::Write { property: "position".into(), data: Data::Text("soon".into()) };
    assert!(matches!(lab.call(&seen.id, "media", seek).await, Err(CallError::BadInput(_))));
    assert!(matches!(lab.call(&seen.id, "media", act("explode")).await, Err(CallError::Unsupported(_))));
}

#[tokio::test]
async fn who_waits_for_a_device_that_goes_away_is_answered() {
    let mut lab = Lab::new().await;
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let well = player("TV", "tv4");
    let tv =
        Device80::new(move |request, at| if request.contains("#Stop") { Vec::new() } else { well(request, at) }).await;
    tv.announce("tv4").await;
    let seen = lab.seen("TV").await;
    lab.add(&seen.id).await;
    let call = lab.ask(&seen.id, "media", act("stop")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    lab.gate.withdraw((entry("upnp/search"), To::Any)).unwrap();
    let begun = std::time::Instant::now();
    let answer = lab.answer(call).await;
    assert!(matches!(answer, Err(CallError::Unreachable(_))), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "at once, not when its time is over");
}

type Callback = Arc<std::sync::Mutex<Option<String>>>;

/// One that tells: it plays, and takes subscriptions.
fn teller(uuid: &'static str, callback: Callback) -> impl Fn(&str, SocketAddr) -> Vec<u8> + Send + Sync {
    move |request, at| {
        if request.starts_with("SUBSCRIBE") {
            let given = request.split("CALLBACK: <").nth(1).and_then(|rest| rest.split('>').next());
            *callback.lock().unwrap() = given.map(str::to_owned);
            return b"HTTP/1.1 200 OK\r\nSID: uuid:sid\r\nTIMEOUT: Second-1800\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        if request.starts_with("UNSUBSCRIBE") {
            *callback.lock().unwrap() = Some("over".to_owned());
            return ok("");
        }
        if request.starts_with("GET") {
            let text = description("Teller", uuid, "/control");
            return ok(&text.replace("</controlURL>", "</controlURL><eventSubURL>/event</eventSubURL>"));
        }
        player("", uuid)(request, at)
    }
}

async fn notify(callback: &str, headers: &str, body: &str) -> u16 {
    let (at, path) = callback.trim_start_matches("http://").split_once('/').unwrap();
    let Ok(mut stream) = tokio::net::TcpStream::connect(at).await else { return 0 };
    let request =
        format!("NOTIFY /{path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn event(number: u32, sid: &str) -> String {
    format!("NT: upnp:event\r\nNTS: upnp:propchange\r\nSID: {sid}\r\nSEQ: {number}\r\n")
}

const LENGTH: &str = "<p:propertyset xmlns:p='p'><p:property><LastChange>&lt;Event&gt;&lt;InstanceID val=\"0\"&gt;\
    &lt;CurrentTrackDuration val=\"0:01:23\"/&gt;&lt;/InstanceID&gt;&lt;/Event&gt;</LastChange></p:property></p:propertyset>";

#[tokio::test]
async fn what_a_renderer_tells_is_heard_and_what_others_say_in_its_place_is_not() {
    let mut lab = Lab::new().await;
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let callback = Callback::default();
    let tv = Device80::new(teller("tv5", callback.clone())).await;
    tv.announce("tv5").await;
    let seen = lab.seen("Teller").await;
    lab.add(&seen.id).await;
    let given = || callback.lock().unwrap().clone();
    let mut waited = 0;
    while given().is_none() {
        waited += 1;
        assert!(waited < 200, "it is asked to tell");
        // What the bridge says meanwhile is of no interest, and must not be left to fill its queue.
        let _ = tokio::time::timeout(Duration::from_millis(50), lab.from.recv()).await;
    }
    let at = given().unwrap();
    let secret = at.rsplit('/').nth(1).unwrap();
    assert!(secret.len() >= 40 && at.ends_with("/1"));

    let elsewhere = at.replace(secret, "guess");
    assert_eq!(notify(&elsewhere, &event(0, "uuid:sid"), LENGTH).await, 404);
    for (headers, body, status) in [
        (event(0, "uuid:other"), LENGTH.to_owned(), 412),
        (event(0, "uuid:sid").replace("propchange", "x"), LENGTH.to_owned(), 412),
        (event(0, "uuid:sid").replace("SEQ: 0", "SEQ: x"), LENGTH.to_owned(), 400),
        (event(0, "uuid:sid"), "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".to_owned(), 400),
        (event(0, "uuid:sid"), "x".repeat(1 << 20), 413),
    ] {
        assert_eq!(notify(&at, &headers, &body).await, status, "{headers}");
    }
    assert_eq!(notify(&at, &event(0, "uuid:sid"), LENGTH).await, 200);
    let length = lab
        .hear(|message| match message {
            FromBridge::Values { values, .. } => values.get("length").map(|value| value.data.clone()),
            _ => None,
        })
        .await;
    assert_eq!(length, Data::Float(83.0));

    // A flood: connections that say nothing, and events without end. It still does what it is told.
    let host = at.trim_start_matches("http://").split('/').next().unwrap();
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(tokio::net::TcpStream::connect(host).await.unwrap());
    }
    assert_eq!(lab.call(&seen.id, "media", act("play")).await, Ok(Outputs::new()));
    drop(idle);
    let flood = tokio::spawn({
        let at = at.clone();
        async move {
            let mut refused = 0;
            for number in 1..200 {
                refused += usize::from(notify(&at, &event(number, "uuid:sid"), LENGTH).await != 200);
            }
            refused
        }
    });
    assert_eq!(lab.call(&seen.id, "media", act("play")).await, Ok(Outputs::new()));
    while !flood.is_finished() {
        let _ = tokio::time::timeout(Duration::from_millis(50), lab.from.recv()).await;
    }
    assert!(flood.await.unwrap() > 50);

    lab.call(&seen.id, "pairing", act("unpair")).await.unwrap();
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(given().as_deref(), Some("over"), "it is told to tell no more");
    assert_eq!(notify(&at, &event(500, "uuid:sid"), LENGTH).await, 0, "and nobody listens there");
}

/// A media server whose folder holds itself, and whose files are what `content` says.
fn server(
    uuid: &'static str,
    content: fn(&str, SocketAddr) -> Vec<u8>,
) -> impl Fn(&str, SocketAddr) -> Vec<u8> + Send + Sync {
    move |request, at| {
        if request.starts_with("GET /d.xml") {
            return ok(&format!(
                "<root><device><deviceType>{SERVER}</deviceType><friendlyName>NAS</friendlyName><UDN>uuid:{uuid}</UDN><serviceList>\
                 <service><serviceType>urn:schemas-upnp-org:service:ContentDirectory:1</serviceType><controlURL>/cd</controlURL></service>\
                 </serviceList></device></root>"
            ));
        }
        if request.starts_with("GET") {
            return content(request, at);
        }
        let res = |address: &str| {
            format!(
                "<res protocolInfo='http-get:*:audio/mpeg:DLNA.ORG_OP=01' size='100000' duration='0:01:00'>{address}</res>"
            )
        };
        let item = |title: &str, address: &str| {
            format!("<item id='{title}'><dc:title>{title}</dc:title>{}</item>", res(address))
        };
        let didl = format!(
            "<DIDL-Lite xmlns:dc='d'><container id='0'><dc:title>Loop</dc:title></container>{}{}</DIDL-Lite>",
            item("Song", &format!("http://{at}/song.mp3")),
            item("Router", "http://127.0.0.9/admin.mp3"),
        );
        let didl = didl.replace('&', "&amp;").replace('<', "&lt;");
        ok(&format!(
            "<E><B><BrowseResponse><Result>{didl}</Result><NumberReturned>3</NumberReturned><TotalMatches>3</TotalMatches></BrowseResponse></B></E>"
        ))
    }
}

fn song() -> Vec<u8> {
    (0..100_000u32).map(|number| (number % 251) as u8).collect()
}

async fn nas(lab: &mut Lab, uuid: &'static str, content: fn(&str, SocketAddr) -> Vec<u8>) -> (Device80, DeviceId) {
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let nas = Device80::new(server(uuid, content)).await;
    nas.announce_as(uuid, SERVER).await;
    let seen = lab.seen("NAS").await;
    assert!(seen.service("storage").is_some() && seen.service("media").is_none());
    lab.add(&seen.id).await;
    (nas, seen.id)
}

fn path(path: &str) -> [(&'static str, Data); 1] {
    [("path", Data::Text(path.to_owned()))]
}

#[tokio::test]
async fn a_media_server_is_looked_into_and_leads_nowhere_else() {
    let mut lab = Lab::new().await;
    let (nas, id) = nas(&mut lab, "nas1", |_, _| ok("")).await;
    let before = nas.asked();
    let said = lab.call(&id, "storage", act("list")).await.unwrap();
    let page = accord_ports::storage::Page::from_outputs(&said).unwrap();
    let names: Vec<&str> = page.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!((page.path.as_str(), names), ("/", vec!["Loop", "Router", "Song.mp3"]));
    assert_eq!(page.entries[2].size, Some(100_000));
    let deep = "/Loop".repeat(30) + "/Song.mp3";
    let said = lab.call(&id, "storage", with("address", &path(&deep))).await.unwrap();
    assert_eq!(said["address"], Data::Text(format!("http://{}/song.mp3", nas.at)));
    assert_eq!(
        (&said["title"], &said["format"], &said["length"]),
        (&"Song".into(), &"audio/mpeg".into(), &Data::Float(60.0))
    );
    assert!(nas.asked() - before <= 2, "what was read a moment ago is not asked for again");
    for (path_there, fits) in
        [("/Router", "no address"), ("/Song.mp3/x", "no folder"), ("/None", "no `None`"), ("/Loop", "is a folder")]
    {
        let refused = lab.call(&id, "storage", with("address", &path(path_there))).await;
        assert!(matches!(&refused, Err(CallError::Device(why)) if why.contains(fits)), "{path_there}: {refused:?}");
    }
    for bad in ["/../x", "x", &"/Loop".repeat(40)] {
        let refused = lab.call(&id, "storage", with("address", &path(bad))).await;
        assert!(matches!(refused, Err(CallError::BadInput(_))), "{bad}: {refused:?}");
    }
    lab.gate.withdraw((entry("upnp/control"), To::One(RecipientId::device(&id)))).unwrap();
    let refused = lab.call(&id, "storage", act("list")).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
}

/// Fetches `/Song.mp3`; what came, and the answer.
async fn fetched(lab: &mut Lab, id: &DeviceId) -> (Vec<u8>, Result<Outputs, CallError>) {
    use accord_ports::files::{Given, Taker};
    let inputs = [("path", Data::from("/Song.mp3")), ("transfer", Data::from("ab".repeat(16)))];
    let call = lab.ask(id, "storage", with("fetch", &inputs)).await;
    let stream = loop {
        match tokio::time::timeout(Duration::from_secs(10), lab.from.recv()).await.unwrap().unwrap() {
            (FromBridge::StreamOpened { .. }, stream) => break stream.unwrap(),
            (FromBridge::Reply { call: of, outcome }, _) if of == call => return (Vec::new(), outcome),
            _ => {}
        }
    };
    assert!(!stream.path.encrypted);
    let taking = tokio::spawn(async move {
        let (offer, mut taker) = Taker::open(stream).await.unwrap();
        assert_eq!((offer.transfer, offer.preview[0].name.as_str()), ([0xab; 16], "Song.mp3"));
        taker.accept().await.unwrap();
        let mut all = Vec::new();
        loop {
            match taker.next().await {
                Ok(Given::Content(bytes)) => all.extend_from_slice(bytes),
                Ok(Given::Finish) => {
                    taker.done(1, all.len() as u64).await.unwrap();
                    return all;
                }
                Ok(_) => {}
                Err(_) => return all,
            }
        }
    });
    let outcome = lab.answer(call).await;
    (taking.await.unwrap(), outcome)
}

#[tokio::test]
async fn a_file_that_breaks_off_is_gone_on_with() {
    let mut lab = Lab::new().await;
    let breaks = |request: &str, _: SocketAddr| {
        let (song, from) = (song(), request.split("bytes=").nth(1).and_then(|rest| rest.split('-').next()));
        match from.and_then(|from| from.parse::<usize>().ok()) {
            None => [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec(), song[..30_000].to_vec()].concat(),
            Some(from) => {
                let head = format!(
                    "HTTP/1.1 206 P\r\nContent-Range: bytes {from}-99999/100000\r\nContent-Length: {}\r\n\r\n",
                    song.len() - from
                );
                [head.into_bytes(), song[from..].to_vec()].concat()
            }
        }
    };
    let (_nas, id) = nas(&mut lab, "nas2", breaks).await;
    let (came, outcome) = fetched(&mut lab, &id).await;
    assert!(came == song() && outcome.is_ok(), "{} {outcome:?}", came.len());
}

#[tokio::test]
async fn files_that_never_end_or_change_or_lie_are_not_kept() {
    let mut lab = Lab::new().await;
    fn chunk(count: usize) -> Vec<u8> {
        let chunks = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(count);
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes()
    }
    let endless = |_: &str, _: SocketAddr| chunk(64);
    let changed = |request: &str, _: SocketAddr| {
        if request.contains("bytes=") {
            return b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789".to_vec();
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegin".to_vec()
    };
    let redirect =
        |_: &str, _: SocketAddr| b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.9/\r\nContent-Length: 0\r\n\r\n".to_vec();
    let (first, id) = nas(&mut lab, "nas3", endless).await;
    let (_, outcome) = fetched(&mut lab, &id).await;
    assert!(matches!(&outcome, Err(CallError::Device(why)) if why.contains("more than")), "{outcome:?}");
    drop(first);
    for (uuid, content, fits) in
        [("nas4", changed as fn(&str, SocketAddr) -> Vec<u8>, "another"), ("nas5", redirect, "302")]
    {
        let nas = Device80::new(server(uuid, content)).await;
        nas.announce_as(uuid, SERVER).await;
        let id = lab
            .hear(|message| match message {
                FromBridge::Seen { device } if device.passing => Some(device.id),
                _ => None,
            })
            .await;
        lab.add(&id).await;
        let (_, outcome) = fetched(&mut lab, &id).await;
        assert!(matches!(&outcome, Err(CallError::Device(why)) if why.contains(fits)), "{uuid}: {outcome:?}");
    }
}
