//! Two hubs in one process, joined by a link in memory that can be cut, held and killed.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use accord_consent::{Choice, Decision, Gate, RecipientId, To, example};
use accord_files::wire::{self, Back, Decoder, Forward, Offer, Piece, Preview, VERSION};
use accord_files::{AcceptPolicy, Files, FilesConfig, Kind, State, Transfer, TransferId};
use accord_model::{Device, DeviceId, DeviceKind, EntryKey, FromBridge, Reach, StreamId, Target, ToBridge, catalogue};
use accord_registry::{Bridge, BridgeSide, ByteStream, PathInfo, Registry};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex, split};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Bytes that may still pass, and what happens then.
pub struct Link {
    pub left: AtomicI64,
    pub cut: std::sync::atomic::AtomicBool,
    doors: Mutex<HashMap<String, mpsc::Sender<(FromBridge, Option<ByteStream>)>>>,
}

impl Link {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(i64::MAX), cut: true.into(), doors: Mutex::default() })
    }
    pub fn break_after(&self, bytes: i64) {
        self.cut.store(true, SeqCst);
        self.left.store(bytes, SeqCst);
    }
    pub fn hold_after(&self, bytes: i64) {
        self.cut.store(false, SeqCst);
        self.left.store(bytes, SeqCst);
    }
    pub fn mend(&self) {
        self.left.store(i64::MAX, SeqCst);
    }
    /// A stream to `to` on which `from` may say whatever it likes.
    pub async fn dial(&self, to: &str, from: &str) -> tokio::io::DuplexStream {
        let door = self.doors.lock().unwrap().get(to).cloned().expect("that hub runs");
        let (ours, theirs) = duplex(64 * 1024);
        let (reader, writer) = split(theirs);
        let path = PathInfo { address: "memory".into(), carrier: "memory".into(), encrypted: true };
        let stream = ByteStream { reader: Box::new(reader), writer: Box::new(writer), path };
        let opened = FromBridge::StreamOpened {
            stream: StreamId(1 << 40),
            device: id(from),
            target: Target::new("files"),
            inputs: Default::default(),
        };
        door.send((opened, Some(stream))).await.unwrap();
        ours
    }
}

/// A sender that keeps to nothing.
pub struct Peer {
    stream: tokio::io::DuplexStream,
    decoder: Decoder<Back>,
}

impl Peer {
    /// Calls hub `b` as `a`, and offers.
    pub async fn offers(link: &Link, offer: Offer) -> Self {
        let mut peer = Self { stream: link.dial("b", "a").await, decoder: Decoder::default() };
        peer.say(&Forward::Offer(offer)).await;
        peer
    }
    pub async fn say(&mut self, message: &Forward) {
        self.stream.write_all(&wire::message(message)).await.unwrap();
    }
    /// The next answer that says more than to wait; `None` when the hub closed.
    pub async fn hear(&mut self) -> Option<Back> {
        let mut byte = [0];
        loop {
            if self.stream.read(&mut byte).await.ok()? == 0 {
                return None;
            }
            match self.decoder.next(&mut &byte[..]).unwrap() {
                None | Some(Piece::Message(Back::Waiting)) => {}
                Some(Piece::Message(back)) => return Some(back),
                Some(Piece::Content(_)) => panic!("content in an answer"),
            }
        }
    }
}

pub fn offer(transfer: u8, name: &str, bytes: u64, exact: bool) -> Offer {
    let preview = vec![Preview { name: name.into(), size: Some(bytes), folder: false }];
    Offer { version: VERSION, transfer: [transfer; 16], kind: Kind::Files, files: 1, bytes, exact, preview }
}

struct Wire<S> {
    inner: S,
    link: Arc<Link>,
    broken: bool,
}

impl<S> Wire<S> {
    fn pass(&mut self) -> Poll<io::Result<i64>> {
        let left = self.link.left.load(SeqCst);
        if self.broken || (left <= 0 && self.link.cut.load(SeqCst)) {
            self.broken = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if left <= 0 { Poll::Pending } else { Poll::Ready(Ok(left)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(error)) = self.pass() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let left = std::task::ready!(self.pass())?;
        let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap())];
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &written {
            self.link.left.fetch_sub(i64::try_from(*written).unwrap(), SeqCst);
        }
        written
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Speaks for the one other hub.
struct Memory {
    own: &'static str,
    other: &'static str,
    link: Arc<Link>,
}

fn stream(half: tokio::io::DuplexStream, link: &Arc<Link>) -> ByteStream {
    let (reader, writer) = split(Wire { inner: half, link: link.clone(), broken: false });
    let path = PathInfo { address: "memory".into(), carrier: "memory".into(), encrypted: true };
    ByteStream { reader: Box::new(reader), writer: Box::new(writer), path }
}

#[async_trait]
impl Bridge for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    async fn run(self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut device = Device::new(id(self.other), DeviceKind::Computer, self.other).with(catalogue::files());
        device.reach = Reach::Local;
        let _ = side.tell(FromBridge::Seen { device }).await;
        self.link.doors.lock().unwrap().insert(self.own.to_owned(), side.outbox.clone());
        while let Some((message, _)) = side.inbox.recv().await {
            let ToBridge::OpenStream { stream: number, inputs, .. } = message else { continue };
            let door = self.link.doors.lock().unwrap().get(self.other).cloned();
            let (ours, theirs) = duplex(64 * 1024);
            let opened = FromBridge::StreamOpened {
                stream: StreamId(number.0),
                device: id(self.own),
                target: Target::new("files"),
                inputs,
            };
            let up = self.link.left.load(SeqCst) > 0;
            let sent = match door {
                Some(door) if up => door.send((opened, Some(stream(theirs, &self.link)))).await.is_ok(),
                _ => false,
            };
            let answer = if sent {
                (FromBridge::StreamReady { stream: number }, Some(stream(ours, &self.link)))
            } else {
                let error = accord_model::CallError::Unreachable("the cable is out".into());
                (FromBridge::StreamFailed { stream: number, error }, None)
            };
            let _ = side.outbox.send(answer).await;
        }
        Ok(())
    }
}

pub fn id(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

/// Accepts when told so.
#[derive(Default)]
pub struct Policy(pub std::sync::atomic::AtomicBool);

impl AcceptPolicy for Policy {
    fn accepts(&self, _: &DeviceId) -> bool {
        self.0.load(SeqCst)
    }
    fn accept_always(&self, _: &DeviceId) {
        self.0.store(true, SeqCst);
    }
}

/// One hub in a runtime of its own, so that it can be killed.
pub struct Hub {
    pub files: Files,
    pub gate: Gate,
    pub policy: Arc<Policy>,
    pub runtime: Option<Runtime>,
    pub own: &'static str,
    other: &'static str,
    dir: PathBuf,
    link: Arc<Link>,
}

impl Hub {
    pub fn start(own: &'static str, other: &'static str, dir: &Path, link: &Arc<Link>, policy: Arc<Policy>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (files, gate) = runtime.block_on(async {
            let statement = example::statement("1", accord_files::STATEMENT);
            let begun = Instant::now();
            let gate = loop {
                match Gate::open(&dir.join("gate"), statement.clone(), example::key(1)) {
                    Ok(gate) => break gate,
                    Err(error) if begun.elapsed() > Duration::from_secs(10) => panic!("{error}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
            let registry = Registry::new();
            let mut config = FilesConfig::new(dir.join("inbox"), dir.join("state"));
            config.policy = policy.clone();
            config.connect_within = Duration::from_secs(20);
            let files = Files::new(gate.bind("files"), registry.clone(), config).unwrap();
            registry.add_bridge(Box::new(Memory { own, other, link: link.clone() }));
            (files, gate)
        });
        Self { files, gate, policy, runtime: Some(runtime), own, other, dir: dir.to_owned(), link: link.clone() }
    }

    /// Nothing of it is left but what is on disk.
    pub fn kill(mut self) -> impl FnOnce() -> Self {
        self.link.doors.lock().unwrap().remove(self.own);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        let (own, other, dir, link, policy) =
            (self.own, self.other, self.dir.clone(), self.link.clone(), self.policy.clone());
        drop(self);
        move || Self::start(own, other, &dir, &link, policy)
    }

    pub fn decide(&self, entry: &str, choice: Choice) {
        let entry = EntryKey::new(entry).unwrap();
        let notice = self.gate.notice(&entry, "en").unwrap();
        let to = To::One(RecipientId::device(&id(self.other)));
        self.gate.decide(Decision::new(entry, to, choice, notice.shown("test"))).unwrap();
    }

    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(future)
    }

    /// Waits for a state.
    pub fn until(&self, id: &TransferId, wanted: State) -> Transfer {
        self.until_that(id, |transfer| transfer.state == wanted)
    }

    pub fn until_that(&self, id: &TransferId, wanted: impl Fn(&Transfer) -> bool) -> Transfer {
        let begun = Instant::now();
        loop {
            let now = self.files.get(id);
            match now {
                Some(transfer) if wanted(&transfer) => return transfer,
                other if begun.elapsed() > Duration::from_secs(45) => panic!("{}: {other:#?}", self.own),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Waits for the first transfer on the list.
    pub fn first(&self) -> TransferId {
        let begun = Instant::now();
        loop {
            if let Some(transfer) = self.files.list().first() {
                return transfer.id.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn inbox(&self) -> PathBuf {
        self.dir.join("inbox")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub struct Home {
    pub dir: tempfile::TempDir,
    pub link: Arc<Link>,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), link: Link::new() }
    }
    /// Two hubs that agreed to everything.
    pub fn agreed(&self) -> (Hub, Hub) {
        let (a, b) = self.hubs();
        a.decide("files/send", Choice::Always);
        b.decide("files/receive", Choice::Always);
        (a, b)
    }
    pub fn hubs(&self) -> (Hub, Hub) {
        let start = |own, other| Hub::start(own, other, &self.dir.path().join(own), &self.link, Arc::default());
        (start("a", "b"), start("b", "a"))
    }
    pub fn file(&self, name: &str, length: usize) -> PathBuf {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}
