//! What all parts of the link share.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use accord_consent::DatagramLease;
use accord_identity::announce::{self, link_alpn, slots_around};
use accord_identity::{Identity, PeerRecord, Peers};
use accord_model::{
    CallError, CallId, Claims, Device, DeviceId, DeviceKind, FromBridge, Outputs, Reach, Target, Timestamp, Verb,
};
use accord_registry::ByteStream;
use accord_registry::why::Air;
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
use crate::near::NearNetworks;
use crate::peer::Peer;
use crate::runs::{Limits, Run};
use crate::serve;
use accord_consent::outlet::interfaces;

/// Most devices that are near and not paired.
const NEAR: usize = 512;
/// Most announcements of one paired device.
const NEAR_PER_PEER: usize = 8;
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
    identity: RwLock<Arc<Identity>>,
    pub peers: Arc<Peers>,
    pub law: Law,
    pub witness: Arc<dyn Witness>,
    pub memory: Memory,
    pub bulk: Arc<Bulk>,
    /// Random, new in every run.
    pub run: String,
    pub allowed: Allowed,
    pub near_networks: NearNetworks,
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
    pub limits: Mutex<Limits>,
    /// Announcement ids of before a reset: still heard for a while, and nobody else's.
    pub former: Mutex<Vec<String>>,
    /// One reset at a time.
    pub resetting: tokio::sync::Mutex<()>,
    /// The pairing endpoint is made anew.
    pub renew_pair: Notify,
    pub status: watch::Sender<LinkStatus>,
    /// What is said to everyone near, and heard of others.
    pub air: Mutex<Air>,
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
            identity: RwLock::new(identity),
            peers,
            law,
            witness,
            bulk: Bulk::new(only)?,
            run: data_encoding::HEXLOWER.encode(&run),
            allowed: Allowed::new()?,
            near_networks: NearNetworks::new(network),
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
            limits: Mutex::default(),
            former: Mutex::default(),
            resetting: tokio::sync::Mutex::default(),
            renew_pair: Notify::new(),
            status: watch::Sender::new(LinkStatus::default()),
            air: Mutex::default(),
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
    /// This device's keys as they are now; a reset replaces them.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(crate) fn set_identity(&self, identity: Arc<Identity>) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }
    /// Under which name a paired device's link is dialled now.
    pub(crate) fn link_name(&self, peer: &DeviceId, slots_ahead: i64) -> Option<Vec<u8>> {
        // Whoever dials may have slept: the own names are looked at too.
        self.endpoint_wanted.notify_one();
        let peer = self.peers.get(peer)?;
        let slot = announce::slot(Timestamp::now()).saturating_add_signed(slots_ahead);
        Some(link_alpn(&peer.pair_key, &peer.transport_key, slot))
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
        let mut device = Device::new(record.device_id.clone(), record.kind, record.shown_name()).asking(HUBS_ASK);
        device.room = record.room.clone();
        device.reach = reach;
        device.services = said.services;
        device.claims = Claims::peer(addresses.iter().map(SocketAddr::ip));
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
        let slot = announce::slot(Timestamp::now());
        let own = self.identity();
        if slots_around(slot).iter().any(|slot| own.announcement_id(*slot) == said.id)
            || lock(&self.former).contains(&said.id)
        {
            return;
        }
        let Some(id) = near_id(&said.id) else { return };
        let records = self.peers.list();
        let mut slots_ahead = 0;
        let recognised = announce::recognise(&records, slot, &said.id, &said.hints).or_else(|| {
            // Its clock or ours is wrong: its names belong to the time that it says.
            let theirs = said.slot?;
            slots_ahead = theirs.checked_signed_diff(slot)?;
            announce::recognise(&records, theirs, &said.id, &said.hints)
        });
        let link_port = recognised.and_then(|(_, port)| port);
        let peer = recognised.map(|(peer, _)| peer.clone());
        let mut addresses: Vec<SocketAddr> = from
            .iter()
            .map(|from| at_port(*from, 1))
            .filter(|from| self.may_dial(*from))
            .map(|from| at_port(from, 0))
            .collect();
        prefer_wide(&mut addresses);
        let (changed, evicted) = {
            let mut near = lock(&self.near);
            let evicted = if near.contains_key(&said.id) { None } else { make_room(&mut near, peer.as_ref()) };
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
            let changed = is_new || before != (known.said.clone(), known.addresses.clone(), known.peer.clone());
            (changed, evicted)
        };
        if let Some(evicted) = evicted.as_deref().and_then(near_id) {
            let inner = self.clone();
            tokio::spawn(async move { inner.tell_gone(&evicted).await });
        }
        match peer.and_then(|peer| self.peer(&peer)) {
            Some(peer) => {
                let mut news = false;
                peer.clock_differs(slots_ahead);
                for ip in addresses.iter().rev() {
                    news |= link_port.is_some_and(|port| peer.saw(at_port(*ip, port)));
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

/// Makes room for one more announcement of `peer`, or of someone not paired: the oldest of its like goes,
/// so that a flood of strangers takes nothing from paired devices. Which one went.
fn make_room(near: &mut BTreeMap<String, Near>, peer: Option<&DeviceId>) -> Option<String> {
    let most = if peer.is_some() { NEAR_PER_PEER } else { NEAR };
    let alike = || near.iter().filter(|(_, near)| near.peer.as_ref() == peer);
    if alike().count() < most {
        return None;
    }
    let oldest = alike().min_by_key(|(_, near)| near.heard).map(|(id, _)| id.clone())?;
    near.remove(&oldest);
    Some(oldest)
}

/// Sleeps until the announcement slot is over, and a moment more.
pub(crate) async fn slot_over() {
    let now = Timestamp::now();
    let left = Duration::try_from(announce::slot_ends(announce::slot(now)).duration_since(now)).unwrap_or_default();
    tokio::time::sleep(left + Duration::from_millis(20)).await;
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

/// Another hub can ask for whatever this one shows it.
const HUBS_ASK: [&str; 4] = ["media", "ringer", "command", "input"];

pub(crate) fn near_id(id: &str) -> Option<DeviceId> {
    DeviceId::new(format!("near-{id}")).ok()
}

fn describe_near(id: &DeviceId, near: &Near) -> (Device, LinkDevice) {
    let name = near.said.name.as_deref().map(accord_identity::pairing::safe_name).unwrap_or_default();
    let kind = near.said.kind.unwrap_or(DeviceKind::Other);
    let shown_name = if name.is_empty() { format!("Nearby device {}", &near.said.id[..4]) } else { name.clone() };
    let mut device = Device::new(id.clone(), kind, shown_name);
    device.reach = Reach::Local;
    device.passing = true;
    device.claims = Claims::peer(near.addresses.iter().map(SocketAddr::ip));
    let port = near.said.pairing.map_or(0, |(_, port)| port);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use accord_consent::{Gate, Signer};
    use accord_identity::{AutoAccept, PairKey, StatementKey};
    use accord_statement::{Publisher, Statement};

    use super::*;

    struct Keys(Arc<Identity>);
    impl Signer for Keys {
        fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.0.sign(message)
        }
        fn public(&self) -> [u8; 32] {
            self.0.statement_public()
        }
    }
    struct Nobody;
    impl Witness for Nobody {
        fn kept(&self, _: &DeviceId) -> Option<String> {
            None
        }
        fn handed_back(&self, _: &DeviceId, _: Option<&str>) -> Result<(), String> {
            Ok(())
        }
        fn own_head(&self, _: Option<&str>) -> Option<crate::ProvenHead> {
            None
        }
        fn witness(&self, _: &DeviceId, _: &StatementKey, _: &crate::ProvenHead) -> Result<(), String> {
            Ok(())
        }
        fn witnessed(&self, _: &DeviceId, _: &str) {}
    }

    fn alone(folder: &std::path::Path, network: Network) -> (Arc<Inner>, Gate) {
        let identity = Arc::new(Identity::generate());
        let statement = Statement::join("accord", "Accord", Publisher::named("x"), "1", &[crate::STATEMENT]).unwrap();
        let gate = Gate::open(folder, statement, Arc::new(Keys(identity.clone()))).unwrap();
        let options = LinkOptions {
            name: "here".into(),
            kind: DeviceKind::Laptop,
            services: Vec::new(),
            relay: None,
            state: folder.to_owned(),
            network,
        };
        let peers = Arc::new(Peers::open(&identity.vault(folder, None)).unwrap());
        let law = Law::new(gate.bind("link"));
        (Inner::new(options, identity, peers, law, Arc::new(Nobody), None).unwrap(), gate)
    }

    #[tokio::test]
    async fn a_flood_of_announcements_leaves_no_ghosts_and_takes_nothing_from_a_paired_device() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, _gate) = alone(folder.path(), Network::Loopback);
        let (outbox, mut told) = mpsc::channel(64);
        inner.set_outbox(outbox);
        let shown = tokio::spawn(async move {
            let mut shown = BTreeSet::new();
            while let Ok(Some((message, _))) = tokio::time::timeout(Duration::from_secs(2), told.recv()).await {
                match message {
                    FromBridge::Seen { device } => drop(shown.insert(device.id)),
                    FromBridge::Gone { device } => drop(shown.remove(&device)),
                    _ => {}
                }
            }
            shown
        });
        let friend = Identity::generate();
        let record = PeerRecord {
            device_id: DeviceId::new("link-friend").unwrap(),
            statement_key: friend.statement_key(),
            transport_key: friend.transport_public(),
            name: "Friend".into(),
            kind: DeviceKind::Phone,
            paired_at: Timestamp::now(),
            until: None,
            addresses: Vec::new(),
            alias: None,
            room: None,
            favourite: false,
            blocked: false,
            auto_accept: AutoAccept::Ask,
            pair_key: PairKey::random(),
        };
        inner.peers.insert(record.clone()).unwrap();
        let from = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let slot = announce::slot(Timestamp::now());
        let said = friend.announcement(slot, std::slice::from_ref(&record), 4711);
        let silent = |id: String, hints| Announced { id, hints, pairing: None, name: None, kind: None, slot: None };
        inner.heard(silent(said.id.clone(), said.hints), &from, false);
        for index in 0..2 * NEAR {
            inner.heard(silent(format!("stranger{index:08}"), Vec::new()), &from, false);
            if index % 16 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert_eq!(lock(&inner.near).get(&said.id).and_then(|near| near.peer.clone()), Some(record.device_id.clone()));
        assert_eq!(lock(&inner.near).len(), NEAR + 1);
        let shown = shown.await.unwrap();
        let strangers: BTreeSet<_> = shown.into_iter().filter(|id| id.as_str().starts_with("near-")).collect();
        let here: BTreeSet<_> =
            lock(&inner.near).keys().filter(|id| **id != said.id).filter_map(|id| near_id(id)).collect();
        assert_eq!(strangers, here, "what is shown is what is near");
        inner.stop.cancel();
    }

    #[tokio::test]
    async fn an_address_elsewhere_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, _gate) = alone(folder.path(), Network::All);
        let far: SocketAddr = "203.0.113.5:47221".parse().unwrap();
        let asked = crate::discovery::beacon::ask(&inner, far).await;
        assert_eq!(asked, Err(crate::LinkError::NotNear(far.ip())));
    }
}
