//! The handle that an application holds, and the bridge that the registry runs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Changes;
use accord_identity::pairing::{Method, Purpose};
use accord_identity::ticket::Ticket;
use accord_identity::{Identity, Peers};
use accord_model::{CallError, CallId, DeviceId, DeviceKind, FromBridge, Service, Timestamp, ToBridge};
use accord_registry::{Bridge, BridgeSide};
use async_trait::async_trait;
use iroh::{Endpoint, RelayUrl};
use tokio::sync::{Semaphore, broadcast};
use tokio::task::{AbortHandle, JoinSet};

use crate::api::{
    LinkDevice, LinkError, LinkEvent, LinkOptions, LinkStatus, Network, PairingId, PairingInfo, ResetDone, ShownTicket,
    Witness,
};
use crate::carrier::Carrier;
use crate::discovery::{beacon, driver, record::Announced};
use crate::endpoint::{link_alpns, open_link, port_of, shake_hands};
use crate::inner::{Inner, at_port, lock, near_id, slot_over};
use crate::law::{Denied, Law, PAIRING, RELAY};
use crate::pairing::Whom;
use crate::serve;
use crate::why;

const HANDSHAKES: usize = 64;
const OPERATIONS: usize = 512;
/// How often the ledger is told of what went through the relay.
const RELAY_ACCOUNT_EVERY: Duration = Duration::from_secs(900);
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The link, for the application. Cheap to clone.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

/// The link, for the registry: `registry.add_bridge(Box::new(bridge))` runs it.
pub struct LinkBridge(Arc<Inner>);

impl Link {
    /// The link of this device. Nothing is opened before the bridge runs and the owner has consented.
    /// `gate` is bound to `link`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        options: LinkOptions,
        identity: Arc<Identity>,
        peers: Arc<Peers>,
        gate: BoundGate,
        witness: Arc<dyn Witness>,
    ) -> Result<(Self, LinkBridge), LinkError> {
        Self::with_carrier(options, identity, peers, gate, witness, None)
    }

    /// As [`Link::new`], with the carrier of bulk streams pinned; for measurements.
    ///
    /// # Errors
    /// As [`Link::new`].
    pub fn with_carrier(
        options: LinkOptions,
        identity: Arc<Identity>,
        peers: Arc<Peers>,
        gate: BoundGate,
        witness: Arc<dyn Witness>,
        only: Option<Carrier>,
    ) -> Result<(Self, LinkBridge), LinkError> {
        let inner = Inner::new(options, identity, peers, Law::new(gate), witness, only)
            .map_err(|error| LinkError::System { what: "starting the link".into(), why: error.to_string() })?;
        Ok((Self(inner.clone()), LinkBridge(inner)))
    }

    /// Follows what happens. A slow follower misses the oldest and is told so.
    pub fn events(&self) -> broadcast::Receiver<LinkEvent> {
        self.0.subscribe()
    }
    /// Whether and where the link is open now.
    pub fn status(&self) -> LinkStatus {
        self.0.status.borrow().clone()
    }
    /// Paired devices, and those that are near.
    pub fn devices(&self) -> Vec<LinkDevice> {
        self.0.devices()
    }
    /// One device.
    pub fn device(&self, id: &DeviceId) -> Option<LinkDevice> {
        self.0.describe(id).map(|(_, shown)| shown)
    }

    /// Pairings that run or ended in the last minutes.
    pub fn pairings(&self) -> Vec<PairingInfo> {
        self.0.pairings()
    }
    /// Starts pairing with a device that is near.
    ///
    /// # Errors
    /// [`LinkError::UnknownDevice`] when it is not near, [`LinkError::NoAnswer`] when it is not open for pairing,
    /// [`LinkError::NotConsented`], [`LinkError::TooMany`].
    pub async fn pair_device(&self, id: &DeviceId) -> Result<PairingId, LinkError> {
        if self.0.peers.get(id).is_some() {
            return Err(LinkError::AlreadyPaired(id.clone()));
        }
        let short = id.as_str().strip_prefix("near-").unwrap_or_default();
        let near = lock(&self.0.near).get(short).cloned();
        let near = near.ok_or_else(|| LinkError::UnknownDevice(id.clone()))?;
        self.pair_announced(&near.said, near.addresses)
    }
    /// Starts pairing with whoever answers at an address (of `LinkStatus::addresses` over there).
    ///
    /// # Errors
    /// As [`Link::pair_device`].
    pub async fn pair_address(&self, address: SocketAddr) -> Result<PairingId, LinkError> {
        let said = beacon::ask(&self.0, address).await?;
        let known = lock(&self.0.near).get(&said.id).and_then(|near| near.peer.clone());
        match known {
            Some(peer) => Err(LinkError::AlreadyPaired(peer)),
            None => self.pair_announced(&said, vec![at_port(address, 0)]),
        }
    }
    /// Looks for a hub at an address; it is listed from then on.
    ///
    /// # Errors
    /// [`LinkError::NoAnswer`], [`LinkError::NotConsented`].
    pub async fn add_address(&self, address: SocketAddr) -> Result<DeviceId, LinkError> {
        let said = beacon::ask(&self.0, address).await?;
        let paired = lock(&self.0.near).get(&said.id).and_then(|near| near.peer.clone());
        paired.or_else(|| near_id(&said.id)).ok_or(LinkError::Stopped)
    }
    /// Uses a ticket that another device shows.
    ///
    /// # Errors
    /// [`LinkError::BadTicket`]; else as [`Link::pair_device`].
    pub async fn pair_ticket(&self, text: &str) -> Result<PairingId, LinkError> {
        let ticket = Ticket::parse(text).map_err(|error| LinkError::BadTicket(error.to_string()))?;
        ticket.check_scanned(Timestamp::now()).map_err(|error| LinkError::BadTicket(error.to_string()))?;
        if ticket.purpose != Purpose::Peer {
            return Err(LinkError::BadTicket("it is for another purpose than pairing two devices".into()));
        }
        self.0.start_pairing(Whom {
            key: ticket.endpoint,
            addresses: ticket.addresses,
            device: None,
            method: Method::Ticket(ticket.secret),
            name: "ticket".into(),
        })
    }
    /// Makes a ticket and waits for someone to use it.
    ///
    /// # Errors
    /// [`LinkError::NotConsented`], [`LinkError::System`].
    pub async fn show_ticket(&self) -> Result<ShownTicket, LinkError> {
        self.0.show_ticket().await
    }
    /// The owner agrees: the codes are equal, or (with `code`) this was read from the other screen.
    ///
    /// # Errors
    /// [`LinkError::NoPairing`] when it is over.
    pub async fn confirm_pairing(&self, id: &PairingId, code: Option<String>) -> Result<(), LinkError> {
        self.0.order_pairing(id, true, code).await
    }
    /// The owner refuses.
    ///
    /// # Errors
    /// [`LinkError::NoPairing`] when it is over.
    pub async fn reject_pairing(&self, id: &PairingId) -> Result<(), LinkError> {
        self.0.order_pairing(id, false, None).await
    }
    /// Ends a pairing for good and tells the other device, if it is connected.
    pub async fn forget(&self, id: &DeviceId) {
        self.0.forget(id, true).await;
    }
    /// Call after changing a record in [`Peers`] (blocked, renamed): takes effect at once.
    pub fn peers_changed(&self) {
        self.0.sync_people();
    }

    /// Changes what this device says of itself; connected devices are told.
    pub fn set_own(&self, name: String, kind: DeviceKind, services: Vec<Service>) {
        self.0.change_own(|own| {
            own.name = name;
            own.kind = kind;
            own.services = services;
        });
        self.0.people_changed.send_modify(|version| *version += 1);
        for peer in lock(&self.0.people).values() {
            if let Some(live) = peer.now() {
                tokio::spawn(serve::introduce(self.0.clone(), peer.clone(), live));
            }
        }
    }
    /// Gives this device new ids: another link key, other announcement ids, another port. Paired devices that
    /// are connected now learn the new key over the connection that stands and come back by themselves; the
    /// others must be paired again.
    ///
    /// # Errors
    /// [`LinkError::System`] when the new keys cannot be saved; then everything stays as it was.
    pub async fn reset_ids(&self) -> Result<ResetDone, LinkError> {
        self.0.reset_ids().await
    }
    /// Changes the owner's relay.
    pub fn set_relay(&self, relay: Option<String>) {
        self.0.change_own(|own| own.relay = relay);
        self.0.relay_changed.notify_one();
    }
    /// The network may have changed, or the machine woke up: look anew.
    pub async fn network_changed(&self) {
        let endpoint = self.0.link.borrow().clone();
        if let Some(endpoint) = endpoint {
            endpoint.network_change().await;
        }
        for peer in lock(&self.0.people).values() {
            peer.nudge.notify_one();
        }
    }

    fn pair_announced(&self, said: &Announced, addresses: Vec<SocketAddr>) -> Result<PairingId, LinkError> {
        let id = near_id(&said.id);
        let Some((key, port)) = said.pairing else {
            return Err(LinkError::NoAnswer("the device is near, but not open for pairing; it".into()));
        };
        let name = addresses.first().map_or_else(|| said.id.clone(), |address| address.ip().to_string());
        self.0.start_pairing(Whom {
            key,
            addresses: addresses.into_iter().map(|address| at_port(address, port)).collect(),
            device: id.filter(|id| self.0.describe(id).is_some()),
            method: Method::Code,
            name,
        })
    }
}

#[async_trait]
impl Bridge for LinkBridge {
    fn name(&self) -> &str {
        "link"
    }

    async fn run(self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let inner = self.0;
        inner.set_outbox(side.outbox.clone());
        drop(side.outbox);
        let mut parts = JoinSet::new();
        inner.sync_people();
        parts.spawn(keep_link(inner.clone()));
        parts.spawn(keep_relay(inner.clone()));
        parts.spawn(driver::run(inner.clone()));
        parts.spawn(beacon::run(inner.clone()));
        parts.spawn(watch_network(inner.clone()));
        let operations = Arc::new(Semaphore::new(OPERATIONS));
        let mut calls: HashMap<CallId, AbortHandle> = HashMap::new();
        while let Some((message, _)) = side.inbox.recv().await {
            calls.retain(|_, call| !call.is_finished());
            match message {
                ToBridge::Call { call, device, target, verb } => {
                    let inner = inner.clone();
                    let turn = operations.clone().try_acquire_owned();
                    let task = tokio::spawn(async move {
                        let asked = async {
                            let _turn = turn.map_err(|_| busy())?;
                            let peer = inner.peer(&device).ok_or_else(|| unpaired(&device))?;
                            serve::check(&inner, &peer)?;
                            serve::call(&inner, &peer, target, verb).await
                        };
                        let outcome = asked.await;
                        inner.tell(FromBridge::Reply { call, outcome }, None).await;
                    });
                    calls.insert(call, task.abort_handle());
                }
                ToBridge::Cancel { call } => {
                    if let Some(task) = calls.remove(&call) {
                        task.abort();
                    }
                }
                ToBridge::Explain { call, device, within } => {
                    let inner = inner.clone();
                    let turn = operations.clone().try_acquire_owned();
                    let task = tokio::spawn(async move {
                        let Ok(_turn) = turn else { return };
                        let explained = why::explain(&inner, device.as_ref(), Duration::from_secs(within)).await;
                        inner.tell(FromBridge::Explained { call, explained }, None).await;
                    });
                    calls.insert(call, task.abort_handle());
                }
                ToBridge::Answer { call, outcome } => inner.answered(call, outcome),
                ToBridge::OpenStream { stream, device, target, inputs, class } => {
                    let inner = inner.clone();
                    let turn = operations.clone().try_acquire_owned();
                    tokio::spawn(async move {
                        let opened = async {
                            let _turn = turn.map_err(|_| busy())?;
                            let peer = inner.peer(&device).ok_or_else(|| unpaired(&device))?;
                            serve::check(&inner, &peer)?;
                            serve::open_stream(&inner, &peer, target, inputs, class).await
                        };
                        match opened.await {
                            Ok(opened) => inner.tell(FromBridge::StreamReady { stream }, Some(opened)).await,
                            Err(error) => inner.tell(FromBridge::StreamFailed { stream, error }, None).await,
                        }
                    });
                }
                ToBridge::Add { .. } | ToBridge::Own { .. } => {}
                ToBridge::Stop => break,
            }
        }
        inner.stop.cancel();
        for (_, peer) in lock(&inner.people).drain() {
            peer.gone.cancel();
        }
        let ended = async { while parts.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(4), ended).await.is_err() {
            tracing::warn!("parts of the link did not stop in time");
        }
        Ok(())
    }
}

fn unpaired(device: &DeviceId) -> CallError {
    CallError::Unreachable(format!("`{device}` is not paired; pair with it first"))
}

fn busy() -> CallError {
    CallError::Unreachable("too much is asked of the link at once; try again".into())
}

/// The endpoint for paired devices exists while at least one of them may connect.
///
/// It answers to the names that they dial in this slot and to no others, see `endpoint::link_alpns`.
async fn keep_link(inner: Arc<Inner>) {
    let mut people = inner.people_changed.subscribe();
    let mut names = Vec::new();
    loop {
        let open = inner.link.borrow().is_some();
        tokio::select! {
            () = inner.stop.cancelled() => break,
            () = inner.endpoint_wanted.notified() => {}
            _ = people.changed() => {}
            () = slot_over(), if open => {}
        }
        let own = inner.identity();
        let key = own.transport_public();
        if inner.link.borrow().as_ref().is_some_and(|endpoint| *endpoint.id().as_bytes() != key) {
            close_link(&inner).await;
        }
        let open = inner.link.borrow().clone();
        match (open, inner.allowed.is_empty()) {
            (Some(endpoint), false) => {
                let now = link_alpns(&key, &inner.peers, &inner.allowed);
                if names != now {
                    names.clone_from(&now);
                    endpoint.set_alpns(now);
                }
            }
            (None, false) => {
                let relay = inner.relay_now();
                let secret = own.transport_secret();
                names.clear();
                let opened = open_link(
                    &secret,
                    inner.network,
                    inner.memory.port(),
                    relay.as_ref(),
                    &inner.peers,
                    &inner.allowed,
                );
                match opened.await {
                    Ok(endpoint) => {
                        // Whoever was allowed meanwhile has a name too.
                        inner.endpoint_wanted.notify_one();
                        if let Some(port) = port_of(&endpoint)
                            && port != inner.memory.port()
                        {
                            inner.memory.set_port(port);
                        }
                        inner.sockets.begin(&endpoint);
                        tokio::spawn(accept(inner.clone(), endpoint.clone()));
                        inner.link.send_replace(Some(endpoint));
                        inner.set_status(|status| status.connection = true);
                    }
                    Err(error) => {
                        tracing::error!(%error, "paired devices cannot be reached; trying again");
                        let inner = inner.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_secs(5)).await;
                            inner.endpoint_wanted.notify_one();
                        });
                    }
                }
            }
            (Some(_), true) => close_link(&inner).await,
            (None, true) => {}
        }
    }
    close_link(&inner).await;
}

async fn close_link(inner: &Inner) {
    if let Some(endpoint) = inner.link.send_replace(None) {
        inner.set_status(|status| status.connection = false);
        // It waits for every peer to hear of it; one that is gone would hold up all others.
        let _ = tokio::time::timeout(CLOSE_WITHIN, endpoint.close()).await;
    }
}

async fn accept(inner: Arc<Inner>, endpoint: Endpoint) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(turn) = turns.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let busy = turns.available_permits() < HANDSHAKES / 2;
        let inner = inner.clone();
        tokio::spawn(async move {
            if let Some(connection) = shake_hands(incoming, busy).await
                && let Some(peer) = inner.peer_by_key(connection.remote_id().as_bytes())
            {
                peer.adopt(&inner, connection, false);
            }
            drop(turn);
        });
    }
}

/// The owner's relay is used while it is configured and consented to.
async fn keep_relay(inner: Arc<Inner>) {
    loop {
        let wished = inner.own().relay;
        let Some((url, host)) = wished.as_deref().and_then(relay_host) else {
            if wished.is_some() {
                tracing::warn!("the relay's address makes no sense; it looks like https://relay.example");
            }
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = inner.relay_changed.notified() => continue,
            }
        };
        let Ok(to) = accord_consent::RecipientId::host(&host) else {
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = inner.relay_changed.notified() => continue,
            }
        };
        let mut consent = inner.law.watch(RELAY, &to);
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = inner.relay_changed.notified() => continue,
            () = consent.allowed() => {}
        }
        let lease = match inner.law.relay_lease(&host).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::warn!(%error, "the relay stays off");
                tokio::select! {
                    () = inner.stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_secs(1)) => continue,
                }
            }
        };
        *lock(&inner.relay) = Some((url.clone(), lease.clone()));
        let mut link = inner.link.subscribe();
        loop {
            let endpoint = link.borrow_and_update().clone();
            if let Some(endpoint) = endpoint {
                let config = Arc::new(iroh::RelayConfig::from(url.clone()));
                endpoint.insert_relay(url.clone(), config).await;
            }
            let ended = lease.cancelled();
            tokio::select! {
                () = inner.stop.cancelled() => break,
                () = inner.relay_changed.notified() => break,
                () = ended.cancelled() => break,
                _ = link.changed() => {}
                () = tokio::time::sleep(RELAY_ACCOUNT_EVERY) => {
                    lease.note_left(&host, inner.sockets.relayed());
                }
            }
        }
        *lock(&inner.relay) = None;
        for peer in lock(&inner.people).values() {
            peer.leave_relay(&inner.law);
        }
        let endpoint = inner.link.borrow().clone();
        if let Some(endpoint) = endpoint {
            endpoint.remove_relay(&url).await;
        }
        lease.note_left(&host, inner.sockets.relayed());
        lease.close();
    }
}

/// The URL and `host:port`.
pub(crate) fn relay_host(text: &str) -> Option<(RelayUrl, String)> {
    let url: RelayUrl = text.parse().ok()?;
    let port = url.port_or_known_default()?;
    let host = format!("{}:{port}", url.host_str()?);
    Some((url, host))
}

/// Wi-Fi to Ethernet, sleep and waking: dial again at once instead of waiting.
async fn watch_network(inner: Arc<Inner>) {
    if inner.network == Network::Loopback {
        return;
    }
    let mut link = inner.link.subscribe();
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            open = link.wait_for(Option::is_some) => if open.is_err() { return },
        }
        let mut changes = Changes::watch(inner.network);
        loop {
            tokio::select! {
                () = inner.stop.cancelled() => return,
                closed = link.wait_for(Option::is_none) => {
                    if closed.is_err() {
                        return;
                    }
                    break;
                }
                _ = changes.next() => {
                    tracing::debug!("the network changed");
                    inner.endpoint_wanted.notify_one();
                    for peer in lock(&inner.people).values() {
                        peer.nudge.notify_one();
                    }
                }
            }
        }
    }
}

impl Link {
    /// What pairing would meet now, for an application that asks the owner first.
    ///
    /// # Errors
    /// [`LinkError::NotConsented`].
    pub fn check_pairing(&self) -> Result<(), LinkError> {
        let lan = accord_consent::RecipientId::lan();
        self.0.law.watch(PAIRING, &lan).state().map_err(|refusal| Denied::from(refusal).for_owner(PAIRING))
    }
}
