//! Casts to a device in memory that fetches over loopback.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a device for tests, on loopback")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use accord_casting::{Cast, CastError, Casting, Network, Request, Step};
use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_model::{
    CallError, Data, Device, DeviceId, DeviceKind, EntryKey, FromBridge, Outputs, Reach, Source, Target, Timestamp,
    ToBridge, Value, Verb, catalogue,
};
use accord_registry::{Bridge, BridgeSide, Registry};
use accord_statement::{Publisher, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
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

/// A television that says yes, and hands on what it was told.
struct Tv {
    told: mpsc::Sender<(String, Outputs)>,
    values: mpsc::Receiver<(&'static str, bool)>,
    refuses: bool,
}

fn id() -> DeviceId {
    DeviceId::new("tv").unwrap()
}

fn value(data: Data) -> Value {
    Value { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 60 }
}

#[async_trait::async_trait]
impl Bridge for Tv {
    fn name(&self) -> &str {
        "tv"
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut media = catalogue::media();
        media
            .properties
            .extend([catalogue::media_address(), accord_model::Property::state("moving", accord_model::Format::Bool)]);
        media.actions.push(catalogue::open_media());
        media.values.insert("address".into(), value("127.0.0.1".into()));
        let mut device = Device::new(id(), DeviceKind::Tv, "TV").with(media);
        device.reach = Reach::Local;
        let _ = side.tell(FromBridge::Seen { device }).await;
        loop {
            tokio::select! {
                message = side.inbox.recv() => match message {
                    Some((ToBridge::Call { call, verb: Verb::Act { action, inputs }, .. }, _)) => {
                        let _ = self.told.send((action, inputs)).await;
                        let no = CallError::Device("716".into());
                        let outcome = if self.refuses { Err(no) } else { Ok(Outputs::new()) };
                        let _ = side.tell(FromBridge::Reply { call, outcome }).await;
                    }
                    Some((ToBridge::Stop, _)) | None => return Ok(()),
                    Some(_) => {}
                },
                Some((property, yes)) = self.values.recv() => {
                    let values = BTreeMap::from([(property.to_owned(), value(yes.into()))]);
                    let _ = side.tell(FromBridge::Values { device: id(), target: Target::new("media"), values }).await;
                }
            }
        }
    }
}

struct Lab {
    dir: tempfile::TempDir,
    gate: Gate,
    casting: Casting,
    told: mpsc::Receiver<(String, Outputs)>,
    values: mpsc::Sender<(&'static str, bool)>,
}

impl Lab {
    async fn new(refuses: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let parts = &[accord_casting::STATEMENT];
        let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", parts).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let registry = Registry::new();
        let (told, hears) = mpsc::channel(8);
        let (values, says) = mpsc::channel(8);
        registry.add_bridge(Box::new(Tv { told, values: says, refuses }));
        for _ in 0..200 {
            if registry.device(&id()).is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let casting = Casting::new(
            gate.bind("casting"),
            registry,
            Network::Loopback,
            accord_recognition::Recogniser::nothing(),
            dir.path(),
        )
        .unwrap();
        std::fs::write(dir.path().join("secret name.mp3"), b"ID3\x04\0\0\0\0\0\x000123456789").unwrap();
        Self { dir, gate, casting, told: hears, values }
    }

    fn grant(&self) {
        for entry in ["casting/serve", "casting/command"].map(|entry| EntryKey::new(entry).unwrap()) {
            let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
            let to = To::One(RecipientId::device(&id()));
            self.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
        }
    }

    async fn cast(&self) -> Result<Cast, CastError> {
        self.casting
            .start(Request::new(id(), vec![accord_casting::Source::Path(self.dir.path().join("secret name.mp3"))]))
            .await
    }

    /// The address that the device was told.
    async fn address(&mut self) -> String {
        loop {
            let (action, inputs) = self.told.recv().await.unwrap();
            if action == "open" {
                assert_eq!(inputs["title"], Data::Text("Accord".into()));
                return inputs["address"].as_text().unwrap().to_owned();
            }
        }
    }

    async fn until(&self, fits: impl Fn(&Cast) -> bool) -> Cast {
        for _ in 0..100 {
            if let Some(cast) = self.casting.list().into_iter().next().filter(|cast| fits(cast)) {
                return cast;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not within 5 s: {:?}", self.casting.list());
    }
}

/// Asks as a device does: the answer, or nothing when it is closed unanswered.
async fn ask(url: &str, method: &str, more: &str) -> Option<String> {
    let (at, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(at).await.ok()?;
    let request = format!("{method} /{path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await.unwrap().ok()?;
    Some(answer).filter(|answer| !answer.is_empty())
}

#[tokio::test]
async fn without_consent_nothing_is_served_or_said() {
    let mut lab = Lab::new(false).await;
    assert!(matches!(lab.cast().await, Err(CastError::NotConsented(_))));
    assert!(lab.told.try_recv().is_err() && lab.casting.list().is_empty());
}

#[tokio::test]
async fn a_file_is_served_by_parts_under_one_path_and_told_by_evidence() {
    let mut lab = Lab::new(false).await;
    lab.grant();
    assert_eq!(lab.cast().await.unwrap().step, Step::Commanded);
    let url = lab.address().await;
    assert!(url.ends_with("/media.mp3") && !url.contains("secret"), "{url}");
    lab.values.send(("moving", true)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(lab.casting.list()[0].step, Step::Commanded, "what moves there is not ours yet");

    let head = ask(&url, "HEAD", "").await.unwrap();
    assert!(
        head.contains("Content-Length: 20\r\n") && head.contains("Accept-Ranges: bytes") && head.ends_with("\r\n\r\n")
    );
    assert_eq!(lab.casting.list()[0].fetched, 0);
    let part = ask(&url, "GET", "Range: bytes=12-14\r\n").await.unwrap();
    assert!(
        part.starts_with("HTTP/1.1 206 ")
            && part.contains("Content-Range: bytes 12-14/20\r\n")
            && part.ends_with("\r\n\r\n234")
    );
    assert!(ask(&url, "GET", "Range: bytes=-3\r\n").await.unwrap().ends_with("789"));
    assert!(ask(&url, "GET", "Range: bytes=20-\r\n").await.unwrap().starts_with("HTTP/1.1 416 "));
    let all = ask(&url, "GET", "").await.unwrap();
    assert!(
        all.starts_with("HTTP/1.1 200 ") && all.contains("contentFeatures.dlna.org") && all.ends_with("0123456789")
    );
    assert!(!all.contains("secret"));
    for wrong in [
        url.replace("/media.mp3", ""),
        url.replace(".mp3", ".mp4"),
        format!("{url}/x"),
        url[..url.len() - 50].to_owned(),
    ] {
        assert!(ask(&wrong, "GET", "").await.unwrap().starts_with("HTTP/1.1 404 "), "{wrong}");
    }
    assert!(ask(&url, "POST", "Content-Length: 0\r\n").await.unwrap().starts_with("HTTP/1.1 405 "));
    assert!(ask(&url, "GET", "Content-Length: 5\r\n\r\n12345").await.unwrap().starts_with("HTTP/1.1 413 "));
    let cast = lab.until(|cast| cast.step == Step::Moving).await;
    assert_eq!((cast.fetched, cast.now().name.as_str()), (26, "secret name.mp3"));

    std::fs::write(lab.dir.path().join("secret name.mp3"), b"another content").unwrap();
    let changed = ask(&url, "GET", "").await.unwrap();
    assert!(changed.ends_with("\r\n\r\n"), "nothing of another version: {changed}");
    lab.casting.stop(&cast.id).await.unwrap();
    assert_eq!(lab.told.recv().await.unwrap().0, "stop");
    assert_eq!(ask(&url, "GET", "").await, None);
    assert!(matches!(lab.casting.stop(&cast.id).await, Err(CastError::NoCast)));
}

#[tokio::test]
async fn a_cast_ends_with_the_next_one_and_with_the_consent() {
    let mut lab = Lab::new(false).await;
    lab.grant();
    lab.cast().await.unwrap();
    let first = lab.address().await;
    lab.cast().await.unwrap();
    let second = lab.address().await;
    assert_ne!(first, second);
    assert_eq!(ask(&first, "GET", "").await, None);
    assert!(ask(&second, "GET", "").await.unwrap().ends_with("0123456789"));
    let to = To::One(RecipientId::device(&id()));
    lab.gate.withdraw((EntryKey::new("casting/serve").unwrap(), to)).unwrap();
    assert_eq!(ask(&second, "GET", "").await, None);
    lab.until(|cast| matches!(cast.step, Step::Over(_))).await;
}

#[tokio::test]
async fn a_device_that_refuses_is_served_nothing() {
    let mut lab = Lab::new(true).await;
    lab.grant();
    assert!(matches!(lab.cast().await, Err(CastError::Told(CallError::Device(_)))));
    let url = lab.address().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&url, "GET", "").await, None);
    assert!(lab.casting.list().is_empty());
    let text = lab.dir.path().join("x.txt");
    std::fs::write(&text, "x").unwrap();
    assert!(matches!(
        lab.casting.start(Request::new(id(), vec![accord_casting::Source::Path(text)])).await,
        Err(CastError::File(_))
    ));
}
