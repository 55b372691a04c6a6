//! The feature between hubs and devices that live in memory, with clipboards that the test plays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, To};
use accord_model::{
    Data, Device, DeviceId, DeviceKind, EntryKey, FromBridge, Outputs, Reach, Target, Timestamp, ToBridge, catalogue,
};
use accord_registry::{Bridge, BridgeSide, ByteStream, PathInfo, Registry};
use accord_statement::{Publisher, Statement};
use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::feature::SHARE;
use crate::tool::{Board, Change};
use crate::*;

const SOON: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(150);

/// A clipboard that the test plays; `None` is something secret.
#[derive(Clone)]
struct Paper(Arc<watch::Sender<Option<Content>>>);

impl Paper {
    fn with(text: &str) -> Self {
        Self(Arc::new(watch::Sender::new(Some(Content::Text(text.into())))))
    }
    fn copy(&self, content: Option<Content>) {
        self.0.send_replace(content);
    }
    fn now(&self) -> Option<Content> {
        self.0.borrow().clone()
    }
    async fn becomes(&self, content: &Content) {
        let mut changes = self.0.subscribe();
        let there = changes.wait_for(|now| now.as_ref() == Some(content));
        timeout(SOON, there).await.expect("it is copied").unwrap();
    }
}

#[async_trait]
impl Board for Paper {
    async fn read(&self) -> Result<Content, ClipboardError> {
        self.now().ok_or(ClipboardError::Secret)
    }
    async fn write(&self, content: &Content) -> Result<(), ClipboardError> {
        self.copy(Some(content.clone()));
        Ok(())
    }
    fn watch(&self) -> mpsc::Receiver<Change> {
        let (tell, told) = mpsc::channel(4);
        let mut changes = self.0.subscribe();
        changes.mark_changed();
        tokio::spawn(
            async move { while changes.changed().await.is_ok() && tell.send(Change::Copied).await.is_ok() {} },
        );
        told
    }
}

struct Hub {
    id: DeviceId,
    registry: Registry,
    gate: Gate,
    feature: Clipboard,
    paper: Paper,
    _dir: tempfile::TempDir,
}

fn hub(name: &str) -> Hub {
    let dir = tempfile::tempdir().unwrap();
    let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &[STATEMENT]).unwrap();
    let gate = Gate::open(&dir.path().join("gate"), statement, accord_consent::example::key(7)).unwrap();
    let (registry, paper) = (Registry::new(), Paper::with("before"));
    let board: Box<dyn Board> = Box::new(paper.clone());
    let config = ClipboardConfig::new(dir.path());
    let feature = Clipboard::with_board(gate.bind("clipboard"), registry.clone(), config, Some(board)).unwrap();
    Hub { id: DeviceId::new(name).unwrap(), registry, gate, feature, paper, _dir: dir }
}

impl Hub {
    fn agree(&self, device: &DeviceId) {
        let entry = EntryKey::new(SHARE).unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(device));
        self.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    }
    async fn rules(&self, receive: Receiving, send_to: &[&DeviceId]) {
        let rule = DeviceRule { send: true, receive: None };
        let devices = send_to.iter().map(|device| ((*device).clone(), rule)).collect();
        self.feature.set_rules(ClipboardRules { receive, devices }).await.unwrap();
        // The clipboard is looked at once before changes count.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fn as_device(&self) -> Device {
        let mut device = Device::new(self.id.clone(), DeviceKind::Computer, "Hub").with(catalogue::clipboard());
        device.reach = Reach::Local;
        device
    }
}

/// One half of a way between two hubs, and how often something was said on it.
struct Pipe {
    peer: Device,
    own: DeviceId,
    to: mpsc::Sender<(FromBridge, Option<ByteStream>)>,
    from: mpsc::Receiver<(FromBridge, Option<ByteStream>)>,
    said: Arc<Mutex<usize>>,
}

#[async_trait]
impl Bridge for Pipe {
    fn name(&self) -> &str {
        self.peer.id.as_str()
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        side.tell(FromBridge::Seen { device: self.peer.clone() }).await.map_err(|_| "gone")?;
        loop {
            let device = self.own.clone();
            let message = tokio::select! {
                message = side.inbox.recv() => match message {
                    Some((ToBridge::Call { call, target, verb, .. }, _)) => {
                        *self.said.lock().unwrap() += 1;
                        (FromBridge::Asked { call, device, target, verb }, None)
                    }
                    Some((ToBridge::OpenStream { stream, target, inputs, .. }, _)) => {
                        *self.said.lock().unwrap() += 1;
                        let (ours, theirs) = tokio::io::duplex(64 << 10);
                        let end = |end| {
                            let (reader, writer) = tokio::io::split(end);
                            let path = PathInfo::default();
                            ByteStream { reader: Box::new(reader), writer: Box::new(writer), path }
                        };
                        let ready = (FromBridge::StreamReady { stream }, Some(end(ours)));
                        side.outbox.send(ready).await.map_err(|_| "gone")?;
                        (FromBridge::StreamOpened { stream, device, target, inputs }, Some(end(theirs)))
                    }
                    Some((ToBridge::Answer { call, outcome }, _)) => (FromBridge::Reply { call, outcome }, None),
                    Some((ToBridge::Stop, _)) | None => return Ok(()),
                    Some(_) => continue,
                },
                Some(said) = self.from.recv() => {
                    side.outbox.send(said).await.map_err(|_| "gone")?;
                    continue;
                }
            };
            self.to.send(message).await.map_err(|_| "gone")?;
        }
    }
}

/// Joins hubs each with each; what was said altogether.
async fn join(hubs: &[Hub]) -> Arc<Mutex<usize>> {
    let said = Arc::default();
    for (n, a) in hubs.iter().enumerate() {
        for b in &hubs[n + 1..] {
            let (there, back) = (mpsc::channel(64), mpsc::channel(64));
            let half = |own: &Hub, peer: &Hub, to, from| Pipe {
                peer: peer.as_device(),
                own: own.id.clone(),
                to,
                from,
                said: Arc::clone(&said),
            };
            a.registry.add_bridge(Box::new(half(a, b, there.0, back.1)));
            b.registry.add_bridge(Box::new(half(b, a, back.0, there.1)));
            a.agree(&b.id);
            b.agree(&a.id);
        }
    }
    while hubs.iter().any(|hub| hub.registry.devices().len() + 1 < hubs.len()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    said
}

fn text(text: &str) -> Content {
    Content::Text(text.into())
}

#[tokio::test]
async fn three_hubs_that_share_by_themselves_do_so_once_for_each_copy() {
    let hubs = [hub("a"), hub("b"), hub("c")];
    let said = join(&hubs).await;
    let ids: Vec<_> = hubs.iter().map(|hub| &hub.id).collect();
    for (n, hub) in hubs.iter().enumerate() {
        let others: Vec<_> = ids.iter().enumerate().filter(|(other, _)| *other != n).map(|(_, id)| *id).collect();
        hub.rules(Receiving::Automatic, &others).await;
    }
    tokio::time::sleep(QUIET).await;
    assert_eq!(*said.lock().unwrap(), 0, "what was there before is not sent");
    for (n, who) in [0, 1, 2, 0].into_iter().enumerate() {
        let content = text(&format!("copy {n}"));
        hubs[who].paper.copy(Some(content.clone()));
        for hub in &hubs {
            hub.paper.becomes(&content).await;
        }
        tokio::time::sleep(QUIET).await;
        assert_eq!(*said.lock().unwrap(), 2 * (n + 1));
    }
    // The same again, copied where it came to: everybody has it.
    hubs[1].paper.copy(Some(text("copy 3")));
    hubs[2].paper.copy(None);
    tokio::time::sleep(QUIET).await;
    assert_eq!(*said.lock().unwrap(), 8, "neither what all have nor what is secret is sent");
}

#[tokio::test]
async fn without_consent_nothing_is_sent_and_secrets_never_are() {
    let hubs = [hub("a"), hub("b")];
    let said = join(&hubs).await;
    let stranger = DeviceId::new("stranger").unwrap();
    assert!(matches!(hubs[0].feature.send(&stranger).await, Err(ClipboardError::NotConsented(_))));
    hubs[0].paper.copy(None);
    assert!(matches!(hubs[0].feature.send(&hubs[1].id).await, Err(ClipboardError::Secret)));
    assert_eq!(*said.lock().unwrap(), 0);
}

#[tokio::test]
async fn the_receiving_owner_is_asked_takes_by_itself_or_refuses() {
    let hubs = [hub("a"), hub("b")];
    join(&hubs).await;
    let [a, b] = &hubs;
    a.paper.copy(Some(text("one\u{1b}[2J")));
    a.feature.send(&b.id).await.unwrap();
    let offers = b.feature.offers();
    assert_eq!((offers.len(), offers[0].preview.as_deref()), (1, Some("one\u{FFFD}[2J")));
    assert_eq!(b.paper.now(), Some(text("before")));
    b.feature.accept(&a.id).await.unwrap();
    assert_eq!(b.paper.now(), Some(text("one\u{1b}[2J")));
    assert!(b.feature.offers().is_empty() && b.feature.accept(&a.id).await.is_err());

    b.rules(Receiving::Automatic, &[]).await;
    a.paper.copy(Some(text("two")));
    a.feature.send(&b.id).await.unwrap();
    assert_eq!(b.paper.now(), Some(text("two")));

    let rule = DeviceRule { send: false, receive: Some(Receiving::Off) };
    let rules = ClipboardRules { receive: Receiving::Automatic, devices: BTreeMap::from([(a.id.clone(), rule)]) };
    b.feature.set_rules(rules).await.unwrap();
    a.paper.copy(Some(text("three")));
    assert!(matches!(a.feature.send(&b.id).await, Err(ClipboardError::Call(_))));
    assert_eq!(b.paper.now(), Some(text("two")));
}

#[tokio::test]
async fn pictures_and_long_texts_arrive_whole_and_what_is_too_large_does_not() {
    let hubs = [hub("a"), hub("b")];
    join(&hubs).await;
    let [a, b] = &hubs;
    b.rules(Receiving::Automatic, &[]).await;
    let png = |size: usize| Content::Image([b"\x89PNG\r\n\x1a\n".to_vec(), vec![7; size]].concat());
    for content in [png(100), png(3 << 20), text(&"long \"text\"\n".repeat(50_000))] {
        a.paper.copy(Some(content.clone()));
        a.feature.send(&b.id).await.unwrap();
        b.paper.becomes(&content).await;
    }
    assert!(a.feature.set(png(MAX_IMAGE)).await.is_err());
    assert!(a.feature.set(text(&"x".repeat(MAX_TEXT + 1))).await.is_err());
    assert!(a.feature.set(Content::Image(b"GIF89a".to_vec())).await.is_err());
}

/// A phone that tells of its clipboard by events.
struct Phone(mpsc::Receiver<FromBridge>);

#[async_trait]
impl Bridge for Phone {
    fn name(&self) -> &str {
        "phone"
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let device = Device::new(phone(), DeviceKind::Phone, "Pixel").with(catalogue::clipboard());
        side.tell(FromBridge::Seen { device }).await.map_err(|_| "gone")?;
        loop {
            tokio::select! {
                message = side.inbox.recv() => if message.is_none() { return Ok(()) },
                Some(said) = self.0.recv() => side.tell(said).await.map_err(|_| "gone")?,
            }
        }
    }
}

fn phone() -> DeviceId {
    DeviceId::new("phone").unwrap()
}

#[tokio::test]
async fn what_a_phone_had_when_it_came_is_taken_only_when_it_is_newer() {
    let hub = hub("a");
    hub.rules(Receiving::Automatic, &[]).await;
    let (say, heard) = mpsc::channel(8);
    hub.registry.add_bridge(Box::new(Phone(heard)));
    let changed = async |content: &str, copied: Option<i64>| {
        let mut arguments = Outputs::from([("content".to_owned(), Data::from(content))]);
        if let Some(copied) = copied {
            arguments.insert("copied".into(), Data::Int(copied));
        }
        let target = Target::new("clipboard");
        say.send(FromBridge::Event { device: phone(), target, event: "changed".into(), arguments }).await.unwrap();
    };
    let now = Timestamp::now().as_second();
    changed("old", Some(now - 600)).await;
    changed("unknown", Some(0)).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(hub.paper.now(), Some(text("before")));
    changed("live", None).await;
    hub.paper.becomes(&text("live")).await;
    changed("newer", Some(Timestamp::now().as_second() + 5)).await;
    hub.paper.becomes(&text("newer")).await;
}
