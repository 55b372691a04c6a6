//! A server that speaks Home Assistant's messages, of the demo house that was recorded.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Map, Value, json};

pub const TOKEN: &str = "eyJ-the-token-of-the-lab";
/// A camera of the demo house.
const CAMERA: &str = "camera.demo_camera";

/// What is so there.
struct There {
    recorded: Value,
    states: Map<String, Value>,
    /// What was told since, by every connection to be sent once.
    diffs: Vec<Value>,
    /// The next call fails so.
    fails: Option<String>,
    /// Services that were called.
    called: usize,
    /// A code that can be traded in once, and the token that it was traded for.
    code: Option<String>,
    refresh: Vec<String>,
    /// Whoever asks for tokens is answered so, as by a proxy.
    barred: Option<&'static str>,
    hangs: bool,
    /// The token of the camera's picture.
    camera: u64,
    posts: Vec<(String, String)>,
    door: Door,
    tls: Option<Arc<ServerConfig>>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Open,
    /// It is taken, and nothing is said yet.
    Waits,
    /// It is ended at once.
    Slammed,
}

pub struct House {
    address: SocketAddr,
    there: Arc<Mutex<There>>,
    connections: Arc<AtomicUsize>,
    tokens: Arc<AtomicUsize>,
    running: Arc<AtomicBool>,
    tls: bool,
}

impl House {
    /// `tls`: the seed of its key.
    pub async fn new(tls: Option<&str>) -> Self {
        let recorded: Value = serde_json::from_str(include_str!("../recorded/2024.3.3-demo.json")).unwrap();
        let states = recorded["states"]["a"].as_object().unwrap().clone();
        Self::of(recorded, states, tls).await
    }

    /// Nothing but lamps.
    pub async fn with_lamps(count: usize) -> Self {
        let lamp = json!({"s": "on", "a": {"supported_color_modes": ["onoff"], "friendly_name": "Lamp"}, "lc": 1.0});
        let states = (0..count).map(|n| (format!("light.lamp_{n}"), lamp.clone())).collect();
        Self::of(json!({"areas": [], "devices": [], "entities": {"entities": []}}), states, None).await
    }

    async fn of(recorded: Value, states: Map<String, Value>, tls: Option<&str>) -> Self {
        let there = There {
            recorded,
            states,
            diffs: Vec::new(),
            fails: None,
            called: 0,
            code: None,
            refresh: Vec::new(),
            barred: None,
            hangs: false,
            camera: 0,
            posts: Vec::new(),
            door: Door::Open,
            tls: tls.map(|_| config()),
        };
        let mut this = Self {
            address: "127.0.0.1:0".parse().unwrap(),
            there: Arc::new(Mutex::new(there)),
            connections: Arc::default(),
            tokens: Arc::default(),
            running: Arc::default(),
            tls: tls.is_some(),
        };
        this.start().await;
        this
    }

    pub async fn start(&mut self) {
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        self.address = listener.local_addr().unwrap();
        self.running = Arc::new(AtomicBool::new(true));
        let (there, connections, tokens, running) =
            (self.there.clone(), self.connections.clone(), self.tokens.clone(), self.running.clone());
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            while running.load(Ordering::SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                };
                connections.fetch_add(1, Ordering::SeqCst);
                let (there, tokens, running) = (there.clone(), tokens.clone(), running.clone());
                std::thread::spawn(move || drop(serve(stream, &there, &tokens, &running)));
            }
        });
    }

    /// It is at another address from now on.
    pub async fn moves(&mut self) {
        self.stop().await;
        self.address.set_port(0);
        self.start().await;
    }

    pub async fn stop(&mut self) {
        self.running.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// Comes back with another key.
    pub async fn renew(&mut self, _: &str) {
        lock(&self.there).tls = Some(config());
        self.start().await;
    }

    /// Whoever connects to its address, while it is away, is hung up on; how many those were.
    pub async fn slam(&self) -> (Arc<AtomicUsize>, Arc<AtomicBool>) {
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let (count, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let shared = (count.clone(), over.clone());
        std::thread::spawn(move || {
            while listener.accept().is_ok() && !shared.1.load(Ordering::SeqCst) {
                shared.0.fetch_add(1, Ordering::SeqCst);
            }
        });
        (count, over)
    }

    /// The next one is not hung up on: it is there again.
    pub async fn open_again(&mut self, over: &AtomicBool) {
        over.store(true, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(self.address));
        self.start().await;
    }

    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }
    pub fn port(&self) -> u16 {
        self.address.port()
    }
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
    /// How often a token was said.
    pub fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    /// Somebody in the house changes something.
    pub fn change(&self, entity: &str, state: &str) {
        lock(&self.there).put(entity, json!({"s": state}));
    }

    pub fn door(&self, door: Door) {
        lock(&self.there).door = door;
    }
    /// How many services were called.
    pub fn called(&self) -> usize {
        lock(&self.there).called
    }

    /// A browser signed in, and is sent back with this code.
    pub fn signs_in(&self, code: &str) {
        lock(&self.there).code = Some(code.to_owned());
    }
    /// Its owner takes the sign-in back, or forgets it.
    pub fn sign_out(&self) {
        lock(&self.there).refresh.clear();
    }
    /// Whether somebody is signed in, and what was asked for until now: how, and for whom.
    pub fn signed_in(&self) -> (bool, Vec<(String, String)>) {
        let there = lock(&self.there);
        (!there.refresh.is_empty(), there.posts.clone())
    }
    /// What tokens are given for.
    pub fn sign_ins(&self) -> Vec<String> {
        lock(&self.there).refresh.clone()
    }
    /// Whoever asks for tokens is answered so, as by a proxy before it.
    pub fn bar(&self, status: Option<&'static str>) {
        lock(&self.there).barred = status;
    }

    /// The camera has another token from now on, as there every five minutes; `tells`: that is told.
    pub fn new_camera_token(&self, tells: bool) {
        let mut there = lock(&self.there);
        there.camera += 1;
        if tells {
            let path = format!("/api/camera_proxy/{CAMERA}?token={}", there.camera);
            there.put(CAMERA, json!({"s": "idle", "a": {"entity_picture": path}}));
        }
    }

    /// It takes what it is told, and answers nothing.
    pub fn hang(&self, hangs: bool) {
        lock(&self.there).hangs = hangs;
    }

    pub fn fail(&self, code: &str) {
        lock(&self.there).fails = Some(code.to_owned());
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.running.store(false, Ordering::SeqCst);
    }
}

fn lock(there: &Mutex<There>) -> MutexGuard<'_, There> {
    there.lock().unwrap()
}

impl There {
    /// As its authentication API is described.
    fn post(&mut self, head: &[u8], form: &[u8]) -> (&'static str, String) {
        let field = |name: &str| accord_http::form_field(form, name).unwrap_or_default();
        let grant = if head.starts_with(b"POST /auth/revoke ") { "revoke".to_owned() } else { field("grant_type") };
        self.posts.push((grant.clone(), field("client_id")));
        if let Some(status) = self.barred {
            return (status, "<html>".to_owned());
        }
        match grant.as_str() {
            "authorization_code" if self.code.take_if(|code| *code == field("code")).is_some() => {
                let refresh = format!("a-refresh-token-{}", self.posts.len());
                self.refresh.push(refresh.clone());
                ("200 OK", json!({"access_token": TOKEN, "token_type": "Bearer", "refresh_token": refresh, "expires_in": 1800}).to_string())
            }
            "refresh_token" if self.refresh.contains(&field("refresh_token")) => {
                ("200 OK", json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 1800}).to_string())
            }
            "revoke" => {
                let token = field("token");
                self.refresh.retain(|refresh| *refresh != token);
                ("200 OK", String::new())
            }
            _ => ("400 Bad Request", json!({"error": "invalid_grant"}).to_string()),
        }
    }

    /// What a camera sees, for who knows its token of now.
    fn picture(&mut self, path: &str) -> (&'static str, Vec<u8>) {
        let wanted = format!("camera_proxy/{CAMERA}?token={}", self.camera);
        match self.hangs {
            true => ("503 Service Unavailable", Vec::new()),
            false if path == wanted => ("200 OK", [b"\xff\xd8\xff\xe0", &[7; 300_000][..]].concat()),
            false => ("401 Unauthorized", Vec::new()),
        }
    }

    fn put(&mut self, entity: &str, plus: Value) {
        let state = self.states.get_mut(entity).unwrap();
        state["s"] = plus["s"].clone();
        for (key, value) in plus["a"].as_object().into_iter().flatten() {
            state["a"][key] = value.clone();
        }
        self.diffs.push(json!({"c": {entity: {"+": plus}}}));
    }

    /// The answer to a command.
    fn answer(&mut self, asked: &Value) -> Value {
        let id = asked["id"].clone();
        let yes = |result: Value| json!({"id": id, "type": "result", "success": true, "result": result});
        let no = |code: &str| json!({"id": id, "type": "result", "success": false, "error": {"code": code, "message": code}});
        match asked["type"].as_str().unwrap() {
            "get_config" => yes(json!({"location_name": "Lab", "unit_system": {"temperature": "°C"}})),
            "auth/current_user" => yes(json!({"is_admin": false, "name": "accord"})),
            "config/area_registry/list" => yes(self.recorded["areas"].clone()),
            "config/device_registry/list" => yes(self.recorded["devices"].clone()),
            "config/entity_registry/list_for_display" => yes(self.recorded["entities"].clone()),
            "subscribe_entities" => json!([
                {"id": id, "type": "event", "event": {"a": self.states}},
                yes(Value::Null)]),
            "ping" => json!({"id": id, "type": "pong"}),
            "call_service" => {
                self.called += 1;
                if let Some(code) = self.fails.take() {
                    return no(&code);
                }
                let entity = asked["target"]["entity_id"].as_str().unwrap().to_owned();
                let on = match asked["service"].as_str().unwrap() {
                    "turn_on" => true,
                    "turn_off" => false,
                    "toggle" => self.states[&entity]["s"] != "on",
                    other => return no(&format!("not_found {other}")),
                };
                let mut plus = json!({"s": if on { "on" } else { "off" }, "a": {}});
                if let Some(percent) = asked["service_data"]["brightness_pct"].as_f64() {
                    plus["a"]["brightness"] = json!((percent * 2.55).round());
                }
                self.put(&entity, plus);
                yes(json!({"context": {"id": "1"}}))
            }
            _ => yes(Value::Null),
        }
    }
}

fn config() -> Arc<ServerConfig> {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["homeassistant".into()]).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

fn serve(tcp: TcpStream, there: &Mutex<There>, tokens: &AtomicUsize, running: &AtomicBool) -> std::io::Result<()> {
    if lock(there).door == Door::Slammed {
        return Ok(());
    }
    tcp.set_nonblocking(false)?;
    tcp.set_read_timeout(Some(Duration::from_millis(20)))?;
    tcp.set_nodelay(true)?;
    let tls = lock(there).tls.clone();
    let mut stream: Box<dyn Both> = match tls {
        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), tcp)),
        None => Box::new(tcp),
    };
    let mut input = Vec::new();
    let head = loop {
        if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            break input.drain(..end + 4).collect::<Vec<u8>>();
        }
        fill(&mut *stream, &mut input, running)?;
    };
    if head.starts_with(b"POST ") {
        let length: usize = accord_http::header(&head, "content-length").unwrap().parse().unwrap();
        while input.len() < length {
            fill(&mut *stream, &mut input, running)?;
        }
        let (status, body) = lock(there).post(&head, &input);
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
        return stream.flush();
    }
    if let Some(path) = head.strip_prefix(b"GET /api/").filter(|path| !path.starts_with(b"websocket")) {
        let path = path.split(|byte| *byte == b' ').next().unwrap();
        let (status, picture) = lock(there).picture(std::str::from_utf8(path).unwrap());
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", picture.len())?;
        stream.write_all(&picture)?;
        return stream.flush();
    }
    let key = accord_http::header(&head, "sec-websocket-key").unwrap();
    let accept = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    );
    let accept = data_encoding::BASE64.encode(accept.as_ref());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    while lock(there).door == Door::Waits && running.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
    say(&mut *stream, &json!({"type": "auth_required", "ha_version": "2024.3.3"}))?;
    let (mut subscribed, mut told, mut is_in) = (None, 0, false);
    loop {
        while let Some(text) = frame(&mut input) {
            let asked: Value = serde_json::from_slice(&text).unwrap();
            if asked["type"] == "auth" {
                tokens.fetch_add(1, Ordering::SeqCst);
                if asked["access_token"] != TOKEN {
                    say(&mut *stream, &json!({"type": "auth_invalid", "message": "Invalid access token or password"}))?;
                    return Ok(());
                }
                say(&mut *stream, &json!({"type": "auth_ok", "ha_version": "2024.3.3"}))?;
                is_in = true;
                continue;
            }
            if !is_in {
                say(&mut *stream, &json!({"type": "auth_invalid", "message": "Auth message incorrectly formatted"}))?;
                return Ok(());
            }
            let answer = {
                let mut there = lock(there);
                if there.hangs {
                    continue;
                }
                if asked["type"] == "subscribe_entities" {
                    (subscribed, told) = (Some(asked["id"].clone()), there.diffs.len());
                }
                there.answer(&asked)
            };
            // As there, the event comes before the result.
            diffs(&mut *stream, there, subscribed.as_ref(), &mut told)?;
            say(&mut *stream, &answer)?;
        }
        diffs(&mut *stream, there, subscribed.as_ref(), &mut told)?;
        fill(&mut *stream, &mut input, running)?;
    }
}

fn diffs(stream: &mut dyn Both, there: &Mutex<There>, id: Option<&Value>, told: &mut usize) -> std::io::Result<()> {
    let Some(id) = id else { return Ok(()) };
    let new: Vec<Value> = lock(there).diffs[*told..].to_vec();
    *told += new.len();
    new.into_iter().try_for_each(|event| say(stream, &json!({"id": id, "type": "event", "event": event})))
}

fn fill(stream: &mut dyn Both, input: &mut Vec<u8>, running: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
        Ok(length) => input.extend_from_slice(&buffer[..length]),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
        Err(error) => return Err(error),
    }
    match running.load(Ordering::SeqCst) {
        true => Ok(()),
        false => Err(std::io::ErrorKind::ConnectionAborted.into()),
    }
}

fn say(stream: &mut dyn Both, message: &Value) -> std::io::Result<()> {
    let text = message.to_string();
    let mut frame = vec![0x81];
    match text.len() {
        short @ ..=125 => frame.push(short as u8),
        long => {
            frame.push(127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(text.into_bytes());
    stream.write_all(&frame)?;
    stream.flush()
}

/// The text of a whole masked frame.
fn frame(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (&kind, &length) = (input.first()?, input.get(1)?);
    assert!(length & 0x80 != 0, "a client masks");
    let (length, head) = match length & 0x7f {
        126 => (usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?])), 4),
        127 => panic!("nobody says so much"),
        short => (usize::from(short), 2),
    };
    let whole: Vec<u8> = input.get(..head + 4 + length)?.to_vec();
    input.drain(..whole.len());
    let (mask, said) = whole[head..].split_at(4);
    let said = said.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    (kind == 0x81).then_some(said)
}

/// Answers whatever comes with that; its address.
pub async fn odd(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(answer);
        }
    });
    format!("http://{address}")
}

/// Where a server was: connections are taken, and what comes is not answered.
pub struct Silent(Arc<AtomicUsize>);

impl Silent {
    pub async fn at(port: u16) -> Self {
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let heard = Arc::new(AtomicUsize::new(0));
        let shared = heard.clone();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let mut buffer = [0; 4096];
                shared.fetch_add(stream.read(&mut buffer).unwrap_or_default(), Ordering::SeqCst);
                kept.push(stream);
            }
        });
        Self(heard)
    }

    /// Something was said to it.
    pub async fn heard(&self) {
        while self.0.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
