//! What all parts of the link share.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use accord_consent::DatagramLease;
use accord_identity::limiter::Limiter;
use accord_identity::{Identity, PeerRecord, Peers};
use accord_model::{
    CallError, CallId, Device, DeviceId, DeviceKind, FromBridge, Outputs, Reach, Target, Timestamp, Verb,
};
use accord_registry::ByteStream;
use iroh::{Endpoint, RelayUrl};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::account::Sockets;
use crate::api::{LinkDevice, LinkEvent, LinkOptions, LinkStatus, Network, PairingId, PathNow, Witness};
use crate::carrier::Carrier;
use crate::carrier::bulk::Bulk;
use crate::discovery::record::Announced;
use crate::endpoint::{Allowed, path_of};
use crate::law::Law;
use crate::memory::Memory;
use crate::pairing::Run;
use crate::peer::Peer;
use crate::serve;
use accord_consent::outlet::interfaces;

/// Most devices that are near and not paired.
const NEAR: usize = 512;
const NEAR_ADDRESSES: usize = 8;
type Outbox = mpsc::Sender<(FromBridge, Option<ByteStream>)>;

/// A device that is near and not paired.
#[derive(Clone)]
pub(crate) struct Near {
    pub said: Announced,
    /// Port 0; with the scope that link-local addresses need.
    pub addresses: Vec<SocketAddr>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub heard: Instant,
    /// The paired device it turned out to be, if any.
    pub peer: Option<DeviceId>,
    /// Not from discovery: kept until it stays silent.
    pub probed: bool,
}

pub(crate) struct Inner {
    options: RwLock<LinkOptions>,
    pub network: Network,
    pub identity: Arc<Identity>,
    pub peers: Arc<Peers>,
    pub law: Law,
    pub witness: Arc<dyn Witness>,
    pub memory: Memory,
    pub bulk: Arc<Bulk>,
    /// Random, new in every run.
    pub run: String,
    pub allowed: Allowed,
    pub link: watch::Sender<Option<Endpoint>>,
    /// What the sockets of `link` sent.
    pub sockets: Sockets,
    pub endpoint_wanted: Notify,
    pub relay: Mutex<Option<(RelayUrl, DatagramLease)>>,
    pub relay_changed: Notify,
    pub people: Mutex<HashMap<DeviceId, Arc<Peer>>>,
    pub people_changed: watch::Sender<u64>,
    pub near: Mutex<BTreeMap<String, Near>>,
    /// The pairing endpoint while the owner lets devices ask.
    pub pair: watch::Sender<Option<Endpoint>>,
    /// Where probes are answered.
    pub beacon_port: watch::Sender<Option<u16>>,
    pub pairings: Mutex<BTreeMap<PairingId, Run>>,
    pub limiter: Mutex<Limiter>,
    pub status: watch::Sender<LinkStatus>,
    questions: Mutex<HashMap<CallId, oneshot::Sender<Result<Outputs, CallError>>>>,
    outbox: OnceLock<Outbox>,
    /// A device is described and told in one go, so that an old description never follows its end.
    telling: tokio::sync::Mutex<()>,
    events: broadcast::Sender<LinkEvent>,
    next: AtomicU64,
    started: Instant,
    pub stop: CancellationToken,
}

impl Inner {
    pub(crate) fn new(
        options: LinkOptions,
        identity: Arc<Identity>,
        peers: Arc<Peers>,
        law: Law,
        witness: Arc<dyn Witness>,
        only: Option<Carrier>,
    ) -> std::io::Result<Arc<Self>> {
        let mut run = [0; 12];
        getrandom::fill(&mut run).map_err(std::io::Error::other)?;
        let network = options.network;
        Ok(Arc::new(Self {
            memory: Memory::open(&options.state),
            options: RwLock::new(options),
            network,
            identity,
            peers,
            law,
            witness,
            bulk: Bulk::new(only)?,
            run: data_encoding::HEXLOWER.encode(&run),
            allowed: Allowed::default(),
            link: watch::Sender::new(None),
            sockets: Sockets::default(),
            endpoint_wanted: Notify::new(),
            relay: Mutex::default(),
            relay_changed: Notify::new(),
            people: Mutex::default(),
            people_changed: watch::Sender::new(0),
            near: Mutex::default(),
            pair: watch::Sender::new(None),
            beacon_port: watch::Sender::new(None),
            pairings: Mutex::default(),
            limiter: Mutex::default(),
            status: watch::Sender::new(LinkStatus::default()),
            questions: Mutex::default(),
            outbox: OnceLock::new(),
            telling: tokio::sync::Mutex::new(()),
            events: broadcast::channel(512).0,
            next: AtomicU64::new(1),
            started: Instant::now(),
            stop: CancellationToken::new(),
        }))
    }

    pub(crate) fn own(&self) -> LinkOptions {
        self.options.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(crate) fn change_own(&self, change: impl FnOnce(&mut LinkOptions)) {
        change(&mut self.options.write().unwrap_or_else(PoisonError::into_inner));
    }
    pub(crate) fn offers(&self, service: &str) -> bool {
        self.options.read().unwrap_or_else(PoisonError::into_inner).services.iter().any(|offer| offer.id == service)
    }
    pub(crate) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
    /// Monotonic, for the sans-I/O parts.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }
    pub(crate) fn set_outbox(&self, outbox: Outbox) {
        let _ = self.outbox.set(outbox);
    }
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<LinkEvent> {
        self.events.subscribe()
    }
    pub(crate) fn event(&self, event: LinkEvent) {
        let _ = self.events.send(event);
    }

    /// To the core; waits while its queue is full.
    pub(crate) async fn tell(&self, message: FromBridge, stream: Option<ByteStream>) {
        if let Some(outbox) = self.outbox.get() {
            tokio::select! {
                _ = outbox.send((message, stream)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Asks one of this machine's own services.
    pub(crate) async fn ask(
        &self,
        device: DeviceId,
        target: Target,
        verb: Verb,
        within: Duration,
    ) -> Result<Outputs, CallError> {
        struct Forget<'a>(&'a Inner, CallId);
        impl Drop for Forget<'_> {
            fn drop(&mut self) {
                lock(&self.0.questions).remove(&self.1);
            }
        }
        let call = CallId(self.next());
        let (answer, wait) = oneshot::channel();
        lock(&self.questions).insert(call, answer);
        let _forget = Forget(self, call);
        let answered = async {
            self.tell(FromBridge::Asked { call, device, target, verb }, None).await;
            wait.await
        };
        match tokio::time::timeout(within, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(CallError::Unreachable("the hub is stopping".into())),
            Err(_) => Err(CallError::Deadline(within.as_secs())),
        }
    }

    pub(crate) fn answered(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        if let Some(answer) = lock(&self.questions).remove(&call) {
            let _ = answer.send(outcome);
        }
    }

    pub(crate) fn peer(&self, id: &DeviceId) -> Option<Arc<Peer>> {
        lock(&self.people).get(id).cloned()
    }
    pub(crate) fn peer_by_key(&self, key: &[u8; 32]) -> Option<Arc<Peer>> {
        lock(&self.people).values().find(|peer| peer.transport == *key).cloned()
    }

    /// In loopback mode nothing else is dialled, whatever a peer or a file says.
    pub(crate) fn may_dial(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        address.port() != 0
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && (self.network == Network::All || ip.is_loopback())
    }

    pub(crate) fn relay_now(&self) -> Option<RelayUrl> {
        lock(&self.relay).as_ref().map(|(url, _)| url.clone())
    }

    /// Where paired devices can reach this one.
    pub(crate) async fn own_addresses(&self) -> Vec<String> {
        let port = self.link.borrow().as_ref().and_then(crate::endpoint::port_of).unwrap_or_else(|| self.memory.port());
        let addresses = machine_addresses(self.network).await;
        addresses.into_iter().map(|ip| SocketAddr::new(ip, port).to_string()).collect()
    }

    /// Sends the registry and listeners what is known of a device now.
    pub(crate) fn tell_device(self: &Arc<Self>, id: &DeviceId) {
        let inner = self.clone();
        let id = id.clone();
        tokio::spawn(async move {
            let _telling = inner.telling.lock().await;
            if let Some((device, shown)) = inner.describe(&id) {
                inner.tell(FromBridge::Seen { device }, None).await;
                inner.event(LinkEvent::Device(shown));
            }
        });
    }

    pub(crate) async fn tell_gone(&self, id: &DeviceId) {
        let _telling = self.telling.lock().await;
        self.tell(FromBridge::Gone { device: id.clone() }, None).await;
        self.event(LinkEvent::Gone(id.clone()));
    }

    /// A device for the registry and for the application.
    pub(crate) fn describe(&self, id: &DeviceId) -> Option<(Device, LinkDevice)> {
        if let Some(record) = self.peers.get(id) {
            return Some(self.describe_paired(&record));
        }
        let near = lock(&self.near).get(id.as_str().strip_prefix("near-")?).cloned()?;
        near.peer.is_none().then(|| describe_near(id, &near))
    }

    fn describe_paired(&self, record: &PeerRecord) -> (Device, LinkDevice) {
        let peer = self.peer(&record.device_id);
        let said = match &peer {
            Some(peer) => lock(&peer.said).clone(),
            None => self.memory.said(&record.device_id),
        };
        let reach = peer.as_ref().map_or(Reach::Offline, |peer| peer.reach());
        let live = peer.as_ref().and_then(|peer| peer.now());
        let path = live.map(|live| {
            let path = path_of(&live.connection);
            let carrier = self.bulk.last_carrier(&record.transport_key).unwrap_or(Carrier::Quic);
            PathNow {
                carrier: carrier.as_str().to_owned(),
                relayed: path.remote.is_none() && path.relay.is_some(),
                address: path.remote.map(|remote| remote.to_string()).or(path.relay).unwrap_or_default(),
                rtt_ms: path.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
            }
        });
        let mut addresses = peer.as_ref().map(|peer| peer.near_addresses()).unwrap_or_default();
        addresses.extend(
            record.addresses.iter().filter(|address| !addresses.contains(address)).copied().collect::<Vec<_>>(),
        );
        let mut device = Device::new(record.device_id.clone(), record.kind, record.shown_name());
        device.room = record.room.clone();
        device.reach = reach;
        device.services = said.services;
        let shown = LinkDevice {
            id: record.device_id.clone(),
            name: record.shown_name().to_owned(),
            kind: record.kind,
            paired: true,
            reach,
            addresses,
            path,
            first_seen: Some(record.paired_at),
            last_seen: peer.and_then(|peer| peer.last_seen()),
            fingerprint: Some(record.statement_key.fingerprint()),
        };
        (device, shown)
    }

    pub(crate) fn devices(&self) -> Vec<LinkDevice> {
        let mut all: Vec<LinkDevice> = self.peers.list().iter().map(|record| self.describe_paired(record).1).collect();
        let near = lock(&self.near);
        let strangers = near.iter().filter(|(_, near)| near.peer.is_none());
        all.extend(strangers.filter_map(|(id, near)| Some(describe_near(&near_id(id)?, near).1)));
        all
    }

    /// Discovery or a probe heard an announcement. `from` are the addresses it came from or names.
    pub(crate) fn heard(self: &Arc<Self>, said: Announced, from: &[SocketAddr], probed: bool) {
        let slot = accord_identity::announce::slot(Timestamp::now());
        if [slot, slot.saturating_sub(1), slot + 1].iter().any(|slot| self.identity.announcement_id(*slot) == said.id) {
            return;
        }
        let Some(id) = near_id(&said.id) else { return };
        let records = self.peers.list();
        let peer = accord_identity::announce::recognise(&records, slot, &said.id, &said.hints).cloned();
        let mut addresses: Vec<SocketAddr> = from
            .iter()
            .map(|from| at_port(*from, 1))
            .filter(|from| self.may_dial(*from))
            .map(|from| at_port(from, 0))
            .collect();
        prefer_wide(&mut addresses);
        let changed = {
            let mut near = lock(&self.near);
            if near.len() >= NEAR && !near.contains_key(&said.id) {
                let oldest = near.iter().min_by_key(|(_, near)| near.heard).map(|(id, _)| id.clone());
                if let Some(oldest) = oldest {
                    near.remove(&oldest);
                }
            }
            let now = Timestamp::now();
            let fresh = || Near {
                said: said.clone(),
                addresses: Vec::new(),
                first_seen: now,
                last_seen: now,
                heard: Instant::now(),
                peer: None,
                probed,
            };
            let is_new = !near.contains_key(&said.id);
            let known = near.entry(said.id.clone()).or_insert_with(fresh);
            let before = (known.said.clone(), known.addresses.clone(), known.peer.clone());
            known.said = said.clone();
            known.last_seen = now;
            known.heard = Instant::now();
            known.probed &= probed;
            known.peer = peer.clone();
            for ip in &addresses {
                if !known.addresses.contains(ip) {
                    known.addresses.insert(0, *ip);
                }
            }
            prefer_wide(&mut known.addresses);
            known.addresses.truncate(NEAR_ADDRESSES);
            is_new || before != (known.said.clone(), known.addresses.clone(), known.peer.clone())
        };
        match peer.and_then(|peer| self.peer(&peer)) {
            Some(peer) => {
                let mut news = false;
                for ip in addresses.iter().rev() {
                    news |= said.link_port.is_some_and(|port| peer.saw(at_port(*ip, port)));
                }
                if changed {
                    let (inner, near) = (self.clone(), id);
                    tokio::spawn(async move { inner.tell_gone(&near).await });
                }
                if news || changed {
                    self.tell_device(&peer.id);
                }
            }
            None if changed => self.tell_device(&id),
            None => {}
        }
    }

    /// An announcement ended.
    pub(crate) async fn lost(self: &Arc<Self>, id: &str) {
        let Some(was) = lock(&self.near).remove(id) else { return };
        match was.peer.and_then(|peer| self.peer(&peer)) {
            Some(peer) => {
                let again = lock(&self.near).values().any(|near| near.peer.as_ref() == Some(&peer.id));
                if !again {
                    peer.left();
                    self.tell_device(&peer.id);
                }
            }
            None => {
                if let Some(id) = near_id(id) {
                    self.tell_gone(&id).await;
                }
            }
        }
    }

    /// Discovery is off: what it saw is no longer known.
    pub(crate) async fn lost_all(self: &Arc<Self>) {
        let ids: Vec<String> =
            lock(&self.near).iter().filter(|(_, near)| !near.probed).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.lost(&id).await;
        }
    }

    /// The paired devices changed: start and stop their tasks, announce the new hints.
    pub(crate) fn sync_people(self: &Arc<Self>) {
        let now = Timestamp::now();
        let records: Vec<PeerRecord> = self.peers.list();
        let mut people = lock(&self.people);
        people.retain(|id, peer| {
            let stays = records.iter().any(|record| {
                record.device_id == *id && record.transport_key == peer.transport && record.is_current(now)
            });
            if !stays {
                peer.gone.cancel();
            }
            stays
        });
        for record in records.iter().filter(|record| record.is_current(now)) {
            if !people.contains_key(&record.device_id) && !self.stop.is_cancelled() {
                let said = self.memory.said(&record.device_id);
                let peer = Peer::new(record.device_id.clone(), record.transport_key, record.statement_key, said);
                people.insert(record.device_id.clone(), peer.clone());
                tokio::spawn(peer.run(self.clone()));
            }
        }
        drop(people);
        for record in &records {
            self.tell_device(&record.device_id);
        }
        self.people_changed.send_modify(|version| *version += 1);
    }

    /// Ends a pairing.
    pub(crate) async fn forget(self: &Arc<Self>, id: &DeviceId, tell: bool) {
        if let Some(peer) = self.peer(id)
            && tell
        {
            serve::say_unpaired(self, &peer).await;
        }
        if let Err(error) = self.peers.remove(id) {
            tracing::warn!(%error, "a paired device could not be forgotten");
            return;
        }
        self.memory.forget(id);
        self.sync_people();
        self.tell_gone(id).await;
    }

    pub(crate) fn set_status(&self, change: impl FnOnce(&mut LinkStatus)) {
        let changed = self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
        if changed {
            self.event(LinkEvent::Status(self.status.borrow().clone()));
        }
    }
}

/// This machine's addresses that others can dial, link-local ones left out, best first.
pub(crate) async fn machine_addresses(network: Network) -> Vec<IpAddr> {
    let found = interfaces::list(network).await;
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_link_local() || network == Network::Loopback,
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    let only_loopback = found.iter().all(|interface| interface.loopback);
    let mut all: Vec<IpAddr> = found
        .iter()
        .filter(|interface| only_loopback || !interface.loopback)
        .flat_map(|interface| interface.addresses().collect::<Vec<_>>())
        .filter(usable)
        .collect();
    all.sort_by_key(IpAddr::is_ipv6);
    all.truncate(16);
    all
}

/// Without IPv6 link-local addresses where there are others: iroh 1.4 forgets the scope of the address that a
/// datagram came from, and its answer then has no way to go.
fn prefer_wide(addresses: &mut Vec<SocketAddr>) {
    let is_wide = |address: &SocketAddr| !matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local());
    if addresses.iter().any(is_wide) {
        addresses.retain(is_wide);
    }
}

/// The same host and scope at another port.
pub(crate) fn at_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

pub(crate) fn near_id(id: &str) -> Option<DeviceId> {
    DeviceId::new(format!("near-{id}")).ok()
}

fn describe_near(id: &DeviceId, near: &Near) -> (Device, LinkDevice) {
    let name = near.said.name.as_deref().map(accord_identity::pairing::safe_name).unwrap_or_default();
    let kind = near.said.kind.unwrap_or(DeviceKind::Other);
    let shown_name = if name.is_empty() { format!("Nearby device {}", &near.said.id[..4]) } else { name.clone() };
    let mut device = Device::new(id.clone(), kind, shown_name);
    device.reach = Reach::Local;
    let port = near.said.pairing.map(|(_, port)| port).or(near.said.link_port).unwrap_or(0);
    let shown = LinkDevice {
        id: id.clone(),
        name,
        kind,
        paired: false,
        reach: Reach::Local,
        addresses: near.addresses.iter().map(|ip| at_port(*ip, port)).collect(),
        path: None,
        first_seen: Some(near.first_seen),
        last_seen: Some(near.last_seen),
        fingerprint: None,
    };
    (device, shown)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
