//! The shares that are open.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::outlet::{Near, NearListener};
use accord_consent::{BoundGate, RecipientId};
use accord_model::{EntryKey, FieldCode, FieldSet, Timestamp};
use accord_ports::{Secret, secret};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{MAX_LIFE, MAX_PIN};
use crate::core::door::{Door, State, Visit};
use crate::core::page::Sheet;
use crate::core::protocol::Info;
use crate::shelf::Shelf;
use crate::{
    Admission, DEFAULT_PORT, MAX_SHARES, Network, OpenShare, Share, ShareError, ShareEvent, Visitor, VisitorState,
    serve,
};

const EVENTS: usize = 256;
/// Items that are told; the others are counted.
const MAX_TOLD: usize = 100;
/// Ports tried after the usual one before any is taken.
const PORTS: u16 = 10;
/// Changes come in bursts; the newest is told.
const PAUSE: Duration = Duration::from_millis(250);
const END_WITHIN: Duration = Duration::from_secs(2);

/// The feature. Cheap to clone.
#[derive(Clone)]
pub struct Shares {
    inner: Arc<Inner>,
}

struct Inner {
    law: Law,
    network: Network,
    open: Mutex<HashMap<String, Arc<Running>>>,
    events: broadcast::Sender<ShareEvent>,
}

/// The feature's entries.
#[derive(Clone)]
pub(crate) struct Law {
    pub gate: BoundGate,
    link: EntryKey,
    pub visitor: EntryKey,
}

/// One open share, as its tasks see it.
pub(crate) struct Running {
    pub law: Law,
    pub shelf: Shelf,
    pub info: Info,
    pub name: String,
    /// The word in the page's address.
    pub base: Option<Secret>,
    pub path: String,
    pub admission: Admission,
    door: Mutex<Door>,
    counts: Mutex<HashMap<u64, Counts>>,
    pub connections: Mutex<HashMap<IpAddr, usize>>,
    /// Told when a visit's state may have changed.
    pub decided: watch::Sender<u64>,
    dirty: Notify,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
    id: String,
    opened: Timestamp,
    until: Timestamp,
    port: u16,
    events: broadcast::Sender<ShareEvent>,
    turn: AtomicU64,
}

#[derive(Default, Clone)]
struct Counts {
    since: Option<Timestamp>,
    files: u64,
    bytes: u64,
    fetching: Option<String>,
}

impl Shares {
    /// Opens nothing yet.
    ///
    /// # Panics
    /// Never: the feature's own entry keys are well formed.
    pub fn new(gate: BoundGate, network: Network) -> Self {
        let entry = |key| EntryKey::new(key).expect("the feature's own entry keys are well formed");
        let law = Law { gate, link: entry("share/link"), visitor: entry("share/visitor") };
        let events = broadcast::channel(EVENTS).0;
        Self { inner: Arc::new(Inner { law, network, open: Mutex::default(), events }) }
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<ShareEvent> {
        self.inner.events.subscribe()
    }

    /// Opens a share: looks through what is to be shared, and listens.
    ///
    /// # Errors
    /// [`ShareError`]; then nothing listens.
    pub async fn open(&self, wanted: OpenShare) -> Result<Share, ShareError> {
        check(&wanted)?;
        if self.lock().len() >= MAX_SHARES {
            return Err(ShareError::Full);
        }
        let OpenShare { paths, text, admission, until, name, kind } = wanted;
        let filled = tokio::task::spawn_blocking(move || Shelf::fill(&paths, text)).await;
        let shelf = filled.map_err(|error| ShareError::NothingReadable(error.to_string()))??;
        let fields = FieldSet::from_iter([FieldCode::NetIp, FieldCode::DeviceName, FieldCode::DeviceType]);
        let permit = self.inner.law.gate.permit(&self.inner.law.link, &RecipientId::lan(), fields, "on.request")?;
        let near = Near::open(permit, "sharing by link").await?;
        let (listeners, port) = match self.listen(&near) {
            Ok(listening) => listening,
            Err(error) => {
                near.close();
                return Err(ShareError::Open(error.into()));
            }
        };
        // Whoever knows a PIN needs no long address.
        let base = (!matches!(admission, Admission::Pin(_))).then(|| Secret::from(word()));
        let path = base.as_ref().map_or_else(|| "/".to_owned(), |word| format!("/{}/", &**word));
        let running = Arc::new(Running {
            law: self.inner.law.clone(),
            info: Info::new(&name, kind, secret::token()),
            shelf,
            name,
            base,
            path,
            door: Mutex::new(Door::new(admission.clone())),
            admission,
            counts: Mutex::default(),
            connections: Mutex::default(),
            decided: watch::Sender::new(0),
            dirty: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            id: secret::token()[..12].to_owned(),
            opened: Timestamp::now(),
            until,
            port,
            events: self.inner.events.clone(),
            turn: AtomicU64::new(0),
        });
        let full = {
            let mut open = self.lock();
            let full = open.len() >= MAX_SHARES;
            if !full {
                open.insert(running.id.clone(), running.clone());
            }
            full
        };
        if full {
            near.close();
            return Err(ShareError::Full);
        }
        tokio::spawn(run(self.inner.clone(), running.clone(), near, listeners));
        tracing::info!(port, "something is shared by link");
        let view = running.view();
        let _ = self.inner.events.send(ShareEvent::Changed(Box::new(view.clone())));
        Ok(view)
    }

    /// At the usual port, one after it, or any.
    fn listen(&self, near: &Near) -> Result<(Vec<NearListener>, u16), accord_consent::outlet::OutletError> {
        let [v4, v6]: [IpAddr; 2] = match self.inner.network {
            Network::All => [[0, 0, 0, 0].into(), std::net::Ipv6Addr::UNSPECIFIED.into()],
            Network::Loopback => [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()],
        };
        let usual = (0..PORTS).find_map(|more| near.listen(SocketAddr::new(v4, DEFAULT_PORT + more)).ok());
        let first = match usual {
            Some(listener) => listener,
            None => near.listen(SocketAddr::new(v4, 0))?,
        };
        let port = first.local_addr().map(|address| address.port()).unwrap_or_default();
        let mut listeners = vec![first];
        // Where there is no IPv6, or another has the port there, IPv4 is enough.
        listeners.extend(near.listen(SocketAddr::new(v6, port)).ok());
        Ok((listeners, port))
    }

    /// The open shares, newest first.
    pub fn list(&self) -> Vec<Share> {
        let mut shares: Vec<Share> = self.lock().values().map(|running| running.view()).collect();
        shares.sort_by(|a, b| b.opened.cmp(&a.opened).then_with(|| a.id.cmp(&b.id)));
        shares
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ShareError::NoShare`].
    pub fn get(&self, id: &str) -> Result<Share, ShareError> {
        self.running(id).map(|running| running.view())
    }

    /// Stops sharing: once this returns, nothing is sent any more and nothing listens.
    ///
    /// # Errors
    /// [`ShareError::NoShare`].
    pub async fn close(&self, id: &str) -> Result<(), ShareError> {
        let running = self.running(id)?;
        running.stop.cancel();
        while self.lock().contains_key(id) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Stops all shares, at the end of the program.
    pub async fn close_all(&self) {
        let ids: Vec<String> = self.lock().keys().cloned().collect();
        for id in ids {
            let _ = self.close(&id).await;
        }
    }

    /// The owner decides about a visitor. A yes is worth nothing without consent to `share/visitor` for its address.
    ///
    /// # Errors
    /// [`ShareError`] when the share or the visitor is gone.
    pub fn answer(&self, id: &str, visitor: u64, yes: bool) -> Result<Share, ShareError> {
        let running = self.running(id)?;
        if !running.door().decide(visitor, yes, Instant::now()) {
            return Err(ShareError::NoVisitor);
        }
        running.tell_decided();
        Ok(running.view())
    }

    fn running(&self, id: &str) -> Result<Arc<Running>, ShareError> {
        self.lock().get(id).cloned().ok_or(ShareError::NoShare)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Running>>> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(wanted: &OpenShare) -> Result<(), ShareError> {
    if wanted.paths.is_empty() && wanted.text.is_none() {
        return Err(ShareError::Nothing);
    }
    if let Admission::Pin(pin) = &wanted.admission {
        let length = pin.chars().count();
        if !(4..=MAX_PIN).contains(&length) || !pin.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(ShareError::Pin);
        }
    }
    let left = wanted.until.as_second().saturating_sub(Timestamp::now().as_second());
    if (1..=MAX_LIFE).contains(&left) { Ok(()) } else { Err(ShareError::Until) }
}

/// Twelve letters and digits that cannot be mistaken for one another when typed: 60 bits.
fn word() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let digits = secret::token();
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap_or_default();
    (0..12).map(|at| char::from(LETTERS[usize::from(byte(at) & 31)])).collect()
}

/// Until it is stopped, its time is over, or the owner takes the consent back.
async fn run(inner: Arc<Inner>, running: Arc<Running>, near: Near, listeners: Vec<NearListener>) {
    for listener in listeners {
        running.tasks.spawn(serve::accept(running.clone(), listener));
    }
    let withdrawn = near.cancelled();
    let why = loop {
        let left = running.until.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default();
        let look = running.door().next_look();
        tokio::select! {
            biased;
            () = running.stop.cancelled() => break "you stopped sharing",
            () = withdrawn.cancelled() => break "you withdrew your consent",
            () = tokio::time::sleep(left) => break "its time is over",
            () = running.dirty.notified() => {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => running.tell(),
                    () = running.stop.cancelled() => {}
                }
            }
            () = sleep_until(look) => {
                if running.door().tidy(Instant::now()) {
                    running.tell_decided();
                }
            }
        }
    };
    running.stop.cancel();
    running.tasks.close();
    if tokio::time::timeout(END_WITHIN, running.tasks.wait()).await.is_err() {
        tracing::warn!("a connection of a share did not end in time");
    }
    near.close();
    inner.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&running.id);
    tracing::info!(why, "a share by link is over");
    let _ = inner.events.send(ShareEvent::Gone { share: running.id.clone(), why: why.to_owned() });
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Running {
    pub fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn sheet(&self) -> Sheet<'_> {
        Sheet { name: &self.name, path: &self.path, count: self.shelf.items.len() }
    }

    /// Somebody waits for the owner.
    pub fn tell_knock(&self, id: u64) {
        let visit = {
            let mut door = self.door();
            let visit = door.visits().into_iter().find(|visit| visit.id == id);
            visit.filter(|visit| door.is_news(visit.address, Instant::now()))
        };
        if let Some(visit) = visit {
            let visitor = Box::new(self.visitor(&visit));
            let _ = self.events.send(ShareEvent::Knocked { share: self.id.clone(), visitor });
        }
        self.changed();
    }

    /// A visit stands otherwise now.
    pub fn tell_decided(&self) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) + 1;
        self.decided.send_replace(turn);
        self.changed();
    }

    /// Something is to be told soon.
    pub fn changed(&self) {
        self.dirty.notify_one();
    }

    fn tell(&self) {
        let _ = self.events.send(ShareEvent::Changed(Box::new(self.view())));
    }

    /// A visit fetches something, or nothing any more.
    pub fn note_fetching(&self, visit: u64, what: Option<String>) {
        self.count(visit, |counts| counts.fetching = what);
    }

    pub fn note_bytes(&self, visit: u64, bytes: u64) {
        self.door().touch(visit, Instant::now());
        self.count(visit, |counts| counts.bytes += bytes);
    }

    pub fn note_file(&self, visit: u64) {
        self.count(visit, |counts| counts.files += 1);
    }

    fn count(&self, visit: u64, change: impl FnOnce(&mut Counts)) {
        {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            change(counts.entry(visit).or_default());
        }
        self.changed();
    }

    fn visitor(&self, visit: &Visit) -> Visitor {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.entry(visit.id).or_default();
        let since = *counts.since.get_or_insert_with(Timestamp::now);
        Visitor {
            id: visit.id,
            address: visit.address,
            agent: visit.agent.clone(),
            state: match visit.state {
                State::Waiting => VisitorState::Waiting,
                State::In => VisitorState::In,
                State::Declined => VisitorState::Declined,
                State::Left => VisitorState::Left,
            },
            since,
            files_done: counts.files,
            bytes: counts.bytes,
            fetching: counts.fetching.clone(),
        }
    }

    fn view(&self) -> Share {
        let visits = self.door().visits();
        {
            // Who is forgotten is counted no more.
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.retain(|id, _| visits.iter().any(|visit| visit.id == *id));
        }
        Share {
            id: self.id.clone(),
            opened: self.opened,
            until: self.until,
            admission: self.admission.clone(),
            port: self.port,
            path: self.path.clone(),
            items: self.shelf.items.iter().take(MAX_TOLD).cloned().collect(),
            items_total: self.shelf.items.len(),
            bytes_total: self.shelf.bytes(),
            skipped: self.shelf.skipped.clone(),
            visitors: visits.iter().map(|visit| self.visitor(visit)).collect(),
        }
    }
}
