//! One paired device: its connection while its owner and ours agree, dialled again when it breaks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::DatagramLease;
use accord_identity::StatementKey;
use accord_model::why::Fact;
use accord_model::{CallError, DeviceId, Reach, Timestamp};
use iroh::endpoint::{Connection, VarInt};
use iroh::{EndpointAddr, EndpointId, TransportAddr};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::account::{self, Counted, Wire};
use crate::endpoint::{CLOSE_IDLE, CLOSE_SECOND, CLOSE_WITHDRAWN, path_of};
use crate::inner::Inner;
use crate::law::{self, Law};
use crate::serve;
use crate::standing::Standing;
use crate::why;
use crate::wire::Record;

const DIAL_WITHIN: Duration = Duration::from_secs(10);
/// Connections made within this time of each other were dialled at once by both.
const AT_ONCE: Duration = Duration::from_secs(5);
/// A connection nobody uses is dropped when discovery would find the peer again.
const IDLE_AFTER: Duration = Duration::from_secs(300);
/// Discovery's word counts for this long.
const SEEN_FOR: Duration = Duration::from_secs(180);
const TICK: Duration = Duration::from_secs(10);
const HEAD_EVERY: Duration = Duration::from_secs(3600);
/// How often the ledger is told of what keeps a connection alive.
const ACCOUNT_EVERY: Duration = Duration::from_secs(900);
/// A connection that ends sooner was turned away: no hurry to dial again.
const SETTLED: Duration = Duration::from_secs(10);
/// Without a reason to hurry a peer that is away is looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(300);
const ADDRESSES: usize = 8;
/// The packets that say that it is over leave within this time after the end.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// One paired device.
pub(crate) struct Peer {
    pub id: DeviceId,
    pub transport: [u8; 32],
    pub statement: StatementKey,
    pub live: watch::Sender<Option<Arc<Live>>>,
    pub said: Mutex<Record>,
    /// Something wants the connection now, or the network changed.
    pub nudge: Notify,
    waiting: AtomicUsize,
    resting: AtomicBool,
    near: Mutex<Near>,
    /// Why it turned us away the last time.
    pub trouble: Mutex<Option<Fact>>,
    cut: Mutex<CancellationToken>,
    standing: Standing<DatagramLease, Live>,
    /// The TCP connections under its streams.
    pub wire: Arc<Wire>,
    /// Heads of ledgers are shown and taken one at a time: a proof begins where the last one ended.
    pub heads_shown: tokio::sync::Mutex<()>,
    pub heads_taken: tokio::sync::Mutex<()>,
    /// Forgotten or blocked.
    pub gone: CancellationToken,
}

#[derive(Default)]
struct Near {
    addresses: Vec<(SocketAddr, Instant)>,
    by_discovery: Option<Instant>,
    last_seen: Option<Timestamp>,
    /// How many quarters of an hour its clock is ahead of ours.
    slots_ahead: i64,
    /// When it was last recognised by our own clock.
    on_time: Option<Instant>,
}

/// One connection to a peer.
pub(crate) struct Live {
    pub connection: Connection,
    pub dialled: bool,
    /// Held by every stream and call on it.
    pub guard: Arc<()>,
    pub run: Mutex<Option<String>>,
    since: Instant,
    used: Mutex<Instant>,
    counted: Mutex<Counted>,
}

impl Live {
    pub(crate) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }
    pub(crate) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.guard) == 1 && lock(&self.used).elapsed() > IDLE_AFTER
    }
}

impl Peer {
    pub(crate) fn new(id: DeviceId, transport: [u8; 32], statement: StatementKey, said: Record) -> Arc<Self> {
        Arc::new(Self {
            id,
            transport,
            statement,
            live: watch::Sender::new(None),
            said: Mutex::new(said),
            nudge: Notify::new(),
            waiting: AtomicUsize::new(0),
            resting: AtomicBool::new(false),
            near: Mutex::default(),
            trouble: Mutex::default(),
            cut: Mutex::new(CancellationToken::new()),
            standing: Standing::new(),
            wire: Arc::default(),
            heads_shown: tokio::sync::Mutex::default(),
            heads_taken: tokio::sync::Mutex::default(),
            gone: CancellationToken::new(),
        })
    }

    /// The connection, if it stands.
    pub(crate) fn now(&self) -> Option<Arc<Live>> {
        self.live.borrow().clone().filter(|live| live.is_open())
    }

    /// Ends all streams when cancelled.
    pub(crate) fn cut(&self) -> CancellationToken {
        lock(&self.cut).clone()
    }

    /// Discovery or a probe saw the peer; true when that is news.
    pub(crate) fn saw(&self, address: SocketAddr) -> bool {
        let mut near = lock(&self.near);
        let now = Instant::now();
        let news = near.by_discovery.is_none_or(|at| now.duration_since(at) > SEEN_FOR)
            || !near.addresses.iter().any(|(known, _)| *known == address);
        near.addresses.retain(|(known, at)| *known != address && now.duration_since(*at) < SEEN_FOR);
        near.addresses.insert(0, (address, now));
        near.addresses.truncate(ADDRESSES);
        near.by_discovery = Some(now);
        near.last_seen = Some(Timestamp::now());
        drop(near);
        if news {
            self.resting.store(false, Ordering::Relaxed);
            self.nudge.notify_one();
        }
        news
    }

    /// An announcement of it belongs to another time than ours. One that was recorded and is played again does not
    /// count while fresh ones come.
    pub(crate) fn clock_differs(&self, slots_ahead: i64) {
        let mut near = lock(&self.near);
        if slots_ahead == 0 {
            near.on_time = Some(Instant::now());
        } else if near.on_time.is_some_and(|at| at.elapsed() < SEEN_FOR) {
            return;
        }
        near.slots_ahead = slots_ahead;
    }

    /// Discovery says that it is gone.
    pub(crate) fn left(&self) {
        let mut near = lock(&self.near);
        near.by_discovery = None;
        near.addresses.clear();
        drop(near);
        self.resting.store(false, Ordering::Relaxed);
    }

    pub(crate) fn heard(&self) {
        lock(&self.near).last_seen = Some(Timestamp::now());
    }

    pub(crate) fn last_seen(&self) -> Option<Timestamp> {
        lock(&self.near).last_seen
    }

    fn is_near(&self) -> bool {
        lock(&self.near).by_discovery.is_some_and(|at| at.elapsed() < SEEN_FOR)
    }

    pub(crate) fn near_addresses(&self) -> Vec<SocketAddr> {
        lock(&self.near).addresses.iter().map(|(address, _)| *address).collect()
    }

    pub(crate) fn reach(&self) -> Reach {
        match self.now().map(|live| path_of(&live.connection)) {
            Some(path) if path.remote.is_none() && path.relay.is_some() => Reach::Relayed,
            Some(_) => Reach::Local,
            None if self.is_near() => Reach::Local,
            None => Reach::Offline,
        }
    }

    /// The connection, dialled if needed.
    pub(crate) async fn connection(&self, within: Duration) -> Result<Arc<Live>, CallError> {
        if let Some(live) = self.now() {
            live.touch();
            return Ok(live);
        }
        struct Waits<'a>(&'a AtomicUsize);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        self.resting.store(false, Ordering::Relaxed);
        self.nudge.notify_one();
        let mut live = self.live.subscribe();
        let found = tokio::select! {
            found = tokio::time::timeout(within, live.wait_for(|live| live.as_ref().is_some_and(|live| live.is_open()))) => found,
            () = self.gone.cancelled() => return Err(CallError::Unreachable("it is no longer paired".into())),
        };
        match found {
            Ok(Ok(live)) => live.clone().ok_or_else(away),
            _ => Err(away()),
        }
    }

    /// Runs until the peer is forgotten.
    pub(crate) async fn run(self: Arc<Self>, inner: Arc<Inner>) {
        let stop = self.gone.clone();
        let mut consent = inner.law.watch_connection(&self.id);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = consent.allowed() => {}
            }
            let lease = match inner.law.connection_lease(&self.id).await {
                Ok(lease) => lease,
                Err(error) => {
                    tracing::debug!(peer = %self.id, %error, "no connection to this peer");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(TICK) => continue,
                    }
                }
            };
            *lock(&self.cut) = CancellationToken::new();
            self.standing.begin(lease.clone());
            inner.allowed.insert(self.transport);
            inner.endpoint_wanted.notify_one();
            tokio::select! {
                () = self.keep(&inner, &lease) => {}
                () = lease.cancelled().cancelled_owned() => {}
                () = consent.ended() => {}
                () = stop.cancelled() => {}
            }
            inner.allowed.remove(&self.transport);
            lock(&self.cut).cancel();
            let ended = self.standing.end();
            self.live.send_replace(None);
            for live in &ended {
                live.connection.close(VarInt::from_u32(CLOSE_WITHDRAWN), b"");
            }
            self.account(&inner, &lease, &ended);
            tokio::spawn(self.clone().last_account(inner.clone(), lease, ended));
            inner.endpoint_wanted.notify_one();
            inner.tell_device(&self.id);
            if stop.is_cancelled() {
                return;
            }
        }
    }

    /// The last words of a connection leave a moment after it was closed.
    async fn last_account(self: Arc<Self>, inner: Arc<Inner>, lease: DatagramLease, ended: Vec<Arc<Live>>) {
        tokio::select! {
            () = tokio::time::sleep(LAST_WORDS) => {}
            () = inner.stop.cancelled() => {}
        }
        self.account(&inner, &lease, &ended);
        let tried: Vec<SocketAddr> = ended.iter().filter_map(|live| path_of(&live.connection).remote).collect();
        account::attempts(&inner.sockets, &lease, &tried);
        lease.close();
    }

    /// Dials, watches the connection, dials again.
    async fn keep(self: &Arc<Self>, inner: &Arc<Inner>, lease: &DatagramLease) {
        let mut failures = 0_u32;
        let mut live_now = self.live.subscribe();
        loop {
            if let Some(live) = self.now() {
                let lasted = self.attend(inner, lease, &live).await;
                failures = if lasted > SETTLED { 0 } else { failures.saturating_add(1) };
                inner.tell_device(&self.id);
                continue;
            }
            let wanted =
                self.waiting.load(Ordering::Relaxed) > 0 || (self.is_near() && !self.resting.load(Ordering::Relaxed));
            let pause = if failures == 0 && (wanted || !self.resting.load(Ordering::Relaxed)) {
                Duration::ZERO
            } else if wanted || failures < 4 && !self.resting.load(Ordering::Relaxed) {
                back_off(failures)
            } else {
                LOOK_EVERY
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.nudge.notified() => failures = failures.min(1),
                _ = live_now.wait_for(|live| live.as_ref().is_some_and(|live| live.is_open())) => continue,
            }
            if self.resting.load(Ordering::Relaxed) && self.waiting.load(Ordering::Relaxed) == 0 {
                failures = failures.max(1);
                continue;
            }
            let tried = self.places(inner);
            let dialled = self.dial(inner, &tried).await;
            match dialled {
                Some(connection) => self.adopt(inner, connection, true),
                None => failures = failures.saturating_add(1),
            }
            inner.account_all();
            account::attempts(&inner.sockets, lease, &tried);
        }
    }

    /// Stays with one connection until it closes; how long it stood.
    async fn attend(self: &Arc<Self>, inner: &Arc<Inner>, lease: &DatagramLease, live: &Arc<Live>) -> Duration {
        let mut head_due = Instant::now() + HEAD_EVERY;
        let mut account_due = Instant::now() + ACCOUNT_EVERY;
        let mut reach = self.reach();
        let mut replaced = self.live.subscribe();
        let same = |now: &Option<Arc<Live>>| now.as_ref().is_some_and(|now| Arc::ptr_eq(now, live));
        loop {
            tokio::select! {
                reason = live.connection.closed() => {
                    self.account(inner, lease, std::slice::from_ref(live));
                    self.heard();
                    let idle = matches!(&reason, iroh::endpoint::ConnectionError::ApplicationClosed(close)
                        if close.error_code == VarInt::from_u32(CLOSE_IDLE));
                    if idle {
                        self.resting.store(true, Ordering::Relaxed);
                    }
                    tracing::debug!(peer = %self.id, %reason, "connection closed");
                    self.live.send_if_modified(|now| if same(now) { *now = None; true } else { false });
                    return live.since.elapsed();
                }
                _ = replaced.wait_for(|now| !same(now)) => return live.since.elapsed(),
                () = tokio::time::sleep(TICK) => {
                    if Instant::now() >= account_due {
                        account_due = Instant::now() + ACCOUNT_EVERY;
                        self.account(inner, lease, &self.standing.all());
                    }
                    self.leave_relay(&inner.law);
                    self.heard();
                    if self.reach() != reach {
                        reach = self.reach();
                        inner.tell_device(&self.id);
                    }
                    if Instant::now() >= head_due {
                        head_due = Instant::now() + HEAD_EVERY;
                        tokio::spawn(serve::show_head(inner.clone(), self.clone(), live.clone()));
                    }
                    if live.is_idle() && self.is_near() && self.waiting.load(Ordering::Relaxed) == 0 {
                        self.resting.store(true, Ordering::Relaxed);
                        live.connection.close(VarInt::from_u32(CLOSE_IDLE), b"idle");
                    }
                }
            }
        }
    }

    fn note_trouble(&self, trouble: Option<Fact>) {
        if trouble.is_some() {
            *lock(&self.trouble) = trouble;
        }
    }

    /// The consent to connect, while it stands.
    pub(crate) fn lease(&self) -> Option<DatagramLease> {
        self.standing.now().map(|(lease, _)| lease)
    }

    /// By how many quarters of an hour its clock and ours differ.
    pub(crate) fn slots_apart(&self) -> u64 {
        lock(&self.near).slots_ahead.unsigned_abs()
    }

    /// Where the peer may be found, best first.
    pub(crate) fn places(&self, inner: &Inner) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = self.near_addresses();
        if let Some(record) = inner.peers.get(&self.id) {
            addresses.extend(record.addresses);
        }
        addresses.extend(lock(&self.said).addresses.iter().filter_map(|address| address.parse::<SocketAddr>().ok()));
        let mut places: Vec<SocketAddr> = Vec::new();
        for address in addresses {
            if inner.may_dial(address) && !places.contains(&address) && places.len() < 2 * ADDRESSES {
                places.push(address);
            }
        }
        places
    }

    async fn dial(&self, inner: &Arc<Inner>, places: &[SocketAddr]) -> Option<Connection> {
        let id = EndpointId::from_bytes(&self.transport).ok()?;
        let mut places: Vec<TransportAddr> = places.iter().copied().map(TransportAddr::Ip).collect();
        places.extend(inner.relay_now().map(TransportAddr::Relay));
        if places.is_empty() {
            return None;
        }
        let name = inner.link_name(&self.id, lock(&self.near).slots_ahead)?;
        let dialled = async {
            let mut endpoint = inner.link.subscribe();
            let endpoint = endpoint.wait_for(Option::is_some).await.ok()?.clone()?;
            match endpoint.connect(EndpointAddr::from_parts(id, places), &name).await {
                Ok(connection) => Some(connection),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::debug!(peer = %self.id, error, "not connected");
                    self.note_trouble(why::refused_in_the_handshake(&error));
                    None
                }
            }
        };
        let connection = tokio::time::timeout(DIAL_WITHIN, dialled).await.ok().flatten();
        tracing::debug!(peer = %self.id, connected = connection.is_some(), "dialled");
        connection
    }

    /// Takes a connection, dialled or accepted. When both sides dialled at once, the one dialled by the
    /// smaller key stays, so that both keep the same; otherwise the newer one, since the other side may
    /// have restarted.
    pub(crate) fn adopt(self: &Arc<Self>, inner: &Arc<Inner>, connection: Connection, dialled: bool) {
        if let Err(refusal) = inner.law.way(&path_of(&connection)) {
            tracing::info!(peer = %self.id, %refusal, "a connection through a relay was not taken");
            connection.close(VarInt::from_u32(CLOSE_WITHDRAWN), b"");
            return;
        }
        let now = Instant::now();
        let new = Arc::new(Live {
            connection,
            dialled,
            guard: Arc::new(()),
            run: Mutex::default(),
            since: now,
            used: Mutex::new(now),
            counted: Mutex::default(),
        });
        let ours_stays = inner.identity().transport_public() < self.transport;
        let mut other = None;
        let show = |slot: &mut Option<Arc<Live>>| {
            let keep_old = slot.as_ref().is_some_and(|old| {
                old.is_open() && old.since.elapsed() < AT_ONCE && old.dialled != dialled && dialled != ours_stays
            });
            if keep_old {
                other = Some(new.clone());
                return false;
            }
            other = slot.replace(new.clone());
            true
        };
        let Some(taken) = self.standing.adopt(&new, || self.live.send_if_modified(show)) else {
            new.connection.close(VarInt::from_u32(CLOSE_WITHDRAWN), b"");
            return;
        };
        if let Some(other) = other {
            tokio::spawn(retire(other));
        }
        tokio::spawn(serve::serve(inner.clone(), self.clone(), new.clone()));
        if !taken {
            return;
        }
        self.resting.store(false, Ordering::Relaxed);
        *lock(&self.trouble) = None;
        self.heard();
        if let Some(remote) = path_of(&new.connection).remote {
            let (inner, id) = (inner.clone(), self.id.clone());
            tokio::task::spawn_blocking(move || {
                if dialled && let Err(error) = inner.peers.note_address(&id, remote) {
                    tracing::debug!(%error, "the address could not be kept");
                }
            });
        }
        inner.tell_device(&self.id);
        if dialled {
            tokio::spawn(serve::introduce(inner.clone(), self.clone(), new));
        }
    }

    /// A peer that restarted has no use for connections of its earlier run.
    pub(crate) fn close_other_runs(&self, run: &str, live: &Arc<Live>) {
        *lock(&live.run) = Some(run.to_owned());
        for other in self.standing.all() {
            let earlier = lock(&other.run).as_deref().is_some_and(|other| other != run);
            if earlier && other.since < live.since {
                other.connection.close(VarInt::from_u32(CLOSE_SECOND), b"restarted");
            }
        }
    }

    /// A connection closed: the ledger is told of its last bytes.
    pub(crate) fn over(&self, inner: &Inner, live: &Arc<Live>) {
        self.note_trouble(live.connection.close_reason().as_ref().and_then(why::closed));
        if let Some(lease) = self.standing.over(live) {
            self.account(inner, &lease, std::slice::from_ref(live));
        }
    }

    /// Without the consent to the relay no connection goes on through it.
    pub(crate) fn leave_relay(&self, law: &Law) {
        for live in self.standing.all() {
            if law.way(&path_of(&live.connection)).is_err() {
                live.connection.close(VarInt::from_u32(CLOSE_WITHDRAWN), b"");
            }
        }
    }

    /// Tells the ledger what went to which address since the last time.
    fn account(&self, inner: &Inner, lease: &DatagramLease, lives: &[Arc<Live>]) {
        for live in lives {
            account::connection(&inner.sockets, lease, &mut lock(&live.counted), &live.connection);
        }
        self.wire.tell(lease);
    }

    /// As far as the consent stands.
    fn account_now(&self, inner: &Inner) {
        if let Some((lease, lives)) = self.standing.now() {
            self.account(inner, &lease, &lives);
        }
    }
}

impl Inner {
    /// Tells the ledger what all connections sent since the last time.
    pub(crate) fn account_all(&self) {
        let people: Vec<Arc<Peer>> = lock(&self.people).values().cloned().collect();
        people.iter().for_each(|peer| peer.account_now(self));
    }
}

/// Closes a connection that another one replaced, once nothing runs on it.
async fn retire(live: Arc<Live>) {
    tokio::time::sleep(Duration::from_secs(2)).await;
    while live.is_open() && Arc::strong_count(&live.guard) > 1 {
        tokio::select! {
            _ = live.connection.closed() => return,
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
    }
    live.connection.close(VarInt::from_u32(CLOSE_SECOND), b"replaced");
}

fn back_off(failures: u32) -> Duration {
    Duration::from_secs((1_u64 << failures.saturating_sub(1).min(5)).min(30))
}

fn away() -> CallError {
    CallError::Unreachable("it does not answer; check that it is on and on the same network".into())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a refusal means for a caller.
pub(crate) fn refused(refusal: &accord_consent::Refusal) -> CallError {
    CallError::NotConsented(law::say(refusal))
}
