//! Announces and listens while the owner agrees to `link/discovery`; the sockets exist exactly that long.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::{DatagramLease, Personal, RecipientId, SendError};
use accord_identity::announce;
use accord_mdns::{Config, Core, Event, Output, Publication, PublicationId, ServiceInstance};
use accord_model::{FieldCode, FieldSet, Timestamp};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::record::{Announced, SERVICE};
use super::sockets;
use crate::api::Network;
use crate::endpoint::port_of;
use crate::inner::{Inner, at_port, lock};
use crate::law::{DISCOVERY, discovery_fields};
use crate::why;
use accord_consent::outlet::interfaces::{self, Changes, Interface};

/// Datagrams that may wait; more are dropped, as on a full socket buffer.
const QUEUE: usize = 512;
/// A goodbye that is followed by a new announcement is none.
const GRACE: Duration = Duration::from_secs(3);
/// Devices found by a probe only are forgotten after this silence.
const PROBED_FOR: Duration = Duration::from_secs(300);
const NO_PORT: u16 = 9;

/// Runs until the link stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut consent = inner.law.watch(DISCOVERY, &RecipientId::lan());
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = consent.allowed() => {}
        }
        let optional: FieldSet = [FieldCode::DeviceName, FieldCode::DeviceType].into_iter().collect();
        let granted = inner.law.granted(DISCOVERY, &RecipientId::lan(), discovery_fields(), optional);
        let Ok(fields) = granted else {
            // The entry no longer covers what every announcement holds: until a new decision, or a new statement.
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => continue,
            }
        };
        match inner.law.lan_lease(DISCOVERY, fields, "on.network", "224.0.0.251:5353").await {
            Ok(lease) => {
                inner.set_status(|status| status.discovery = true);
                Session::new(inner.clone(), lease.clone(), fields).run().await;
                lease.close();
                inner.set_status(|status| status.discovery = false);
                inner.lost_all().await;
            }
            Err(error) => tracing::warn!(%error, "discovery stays off"),
        }
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

struct Open {
    _readers: Vec<AbortOnDropHandle<()>>,
    sockets: Vec<Arc<UdpSocket>>,
    interface: Interface,
}

struct Heard {
    interface: u32,
    from: SocketAddr,
    bytes: Vec<u8>,
}

struct Session {
    inner: Arc<Inner>,
    lease: DatagramLease,
    fields: FieldSet,
    core: Core,
    open: HashMap<u32, Open>,
    published: Option<(PublicationId, Announced)>,
    ending: HashMap<String, Instant>,
    heard_in: mpsc::Sender<Heard>,
    heard: mpsc::Receiver<Heard>,
}

impl Session {
    fn new(inner: Arc<Inner>, lease: DatagramLease, fields: FieldSet) -> Self {
        let mut seed = [0; 8];
        let _ = getrandom::fill(&mut seed);
        let (heard_in, heard) = mpsc::channel(QUEUE);
        Self {
            core: Core::new(Config::with_seed(u64::from_ne_bytes(seed))),
            inner,
            lease,
            fields,
            open: HashMap::new(),
            published: None,
            ending: HashMap::new(),
            heard_in,
            heard,
        }
    }

    async fn run(mut self) {
        let stopped = self.lease.cancelled();
        let stop = self.inner.stop.clone();
        let mut people = self.inner.people_changed.subscribe();
        let (mut pair, mut link) = (self.inner.pair.subscribe(), self.inner.link.subscribe());
        let mut changes = Changes::watch(self.inner.network);
        self.take_interfaces(interfaces::list(self.inner.network).await).await;
        if let Err(error) = self.core.browse(SERVICE, self.inner.now()) {
            tracing::error!(%error, "discovery cannot look for devices");
        }
        self.publish();
        loop {
            if self.flush().await.is_err() {
                return;
            }
            let now = self.inner.now();
            let slot_end = announce::slot_ends(announce::slot(Timestamp::now()));
            let rotate = Duration::try_from(slot_end.duration_since(Timestamp::now())).unwrap_or(GRACE);
            let wake = self.core.poll_timeout().map(|at| at.saturating_sub(now));
            let grace = (!self.ending.is_empty()).then_some(GRACE);
            let wake = [wake, grace, Some(rotate + Duration::from_millis(50))].into_iter().flatten().min();
            tokio::select! {
                () = stopped.cancelled() => return,
                () = stop.cancelled() => {
                    self.goodbye().await;
                    return;
                }
                Some(heard) = self.heard.recv() => {
                    self.note_heard(heard.from);
                    self.core.handle_datagram(heard.from, heard.interface, &heard.bytes, self.inner.now());
                }
                () = tokio::time::sleep(wake.unwrap_or(PROBED_FOR)) => {
                    self.core.handle_timeout(self.inner.now());
                    self.publish();
                    self.expire().await;
                }
                _ = people.changed() => self.publish(),
                _ = pair.changed() => self.publish(),
                _ = link.changed() => self.publish(),
                interfaces = changes.next() => {
                    self.take_interfaces(interfaces).await;
                    self.hurry();
                }
            }
        }
    }

    /// Our own announcements are heard too.
    fn note_heard(&self, from: SocketAddr) {
        let ip = from.ip().to_canonical();
        if !self.open.values().any(|open| open.interface.addresses().any(|own| own == ip)) {
            lock(&self.inner.air).heard(why::way(from), Instant::now());
        }
    }

    /// Announces what is true now, when it differs from what was announced.
    fn publish(&mut self) {
        let now = self.announced();
        if self.published.as_ref().is_some_and(|(_, before)| *before == now) {
            return;
        }
        let time = self.inner.now();
        if let Some((id, _)) = self.published.take() {
            self.core.unpublish(id, time);
        }
        // Another slot, perhaps after a long sleep: the link's names are new too.
        self.inner.endpoint_wanted.notify_one();
        let port = now.pairing.map_or(NO_PORT, |(_, port)| port);
        let made = Publication::new(SERVICE, &now.id, &now.id, port).and_then(|mut made| {
            for string in now.strings() {
                let at = string.iter().position(|byte| *byte == b'=').unwrap_or(string.len());
                let key = String::from_utf8_lossy(&string[..at]).into_owned();
                made = made.attribute(&key, string.get(at + 1..).unwrap_or_default())?;
            }
            Ok(made)
        });
        match made.and_then(|made| self.core.publish(made, time)) {
            Ok(id) => self.published = Some((id, now)),
            Err(error) => tracing::error!(%error, "this device cannot be announced"),
        }
    }

    fn announced(&self) -> Announced {
        announced(&self.inner, self.fields)
    }

    /// Does what the core wants. An error: the consent ended.
    async fn flush(&mut self) -> Result<(), SendError> {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Transmit(transmit) => {
                    let packet = Personal::of(self.fields, transmit.bytes);
                    let Some(open) = self.open.get(&transmit.interface) else { continue };
                    let socket = open
                        .sockets
                        .iter()
                        .find(|socket| socket.local_addr().is_ok_and(|local| local.is_ipv4() == transmit.to.is_ipv4()));
                    let Some(socket) = socket else { continue };
                    let (counted, there) = scoped(transmit.to, transmit.interface);
                    match self.lease.send_with(&packet, counted, |bytes| socket.try_send_to(bytes, there)) {
                        Ok(_) => lock(&self.inner.air).sent(why::way(transmit.to), Instant::now()),
                        Err(SendError::Io(error)) => {
                            tracing::debug!(%error, interface = open.interface.name, "an announcement did not leave");
                        }
                        Err(error) => return Err(error),
                    }
                }
                Output::Event(Event::Found(instance) | Event::Updated(instance)) => self.found(&instance),
                Output::Event(Event::Lost { name, .. }) => {
                    self.ending.insert(name, Instant::now());
                }
                Output::Event(Event::Renamed { .. }) => {}
            }
        }
        Ok(())
    }

    fn found(&mut self, instance: &ServiceInstance) {
        let strings: Vec<Vec<u8>> =
            instance.txt.iter().map(|(key, value)| [key.as_bytes(), b"=", value.as_slice()].concat()).collect();
        let Some(said) = Announced::parse(strings.iter().map(Vec::as_slice)) else { return };
        if said.id != instance.name {
            return;
        }
        self.ending.remove(&said.id);
        let from: Vec<SocketAddr> = instance.socket_addresses().map(|address| at_port(address, 0)).collect();
        self.inner.heard(said, &from, false);
    }

    async fn expire(&mut self) {
        let over: Vec<String> =
            self.ending.iter().filter(|(_, since)| since.elapsed() >= GRACE).map(|(id, _)| id.clone()).collect();
        for id in over {
            self.ending.remove(&id);
            self.inner.lost(&id).await;
        }
        let silent: Vec<String> = lock(&self.inner.near)
            .iter()
            .filter(|(_, near)| near.probed && near.heard.elapsed() > PROBED_FOR)
            .map(|(id, _)| id.clone())
            .collect();
        for id in silent {
            self.inner.lost(&id).await;
        }
    }

    /// Opens sockets on new interfaces and closes those of gone ones. The loopback interface counts only
    /// when there is no other: what is sent on a real one is heard on this machine too.
    async fn take_interfaces(&mut self, mut found: Vec<Interface>) {
        if self.inner.network == Network::All && found.iter().any(|interface| !interface.loopback) {
            found.retain(|interface| !interface.loopback);
        }
        let known = self.open.len();
        self.open.retain(|_, open| found.contains(&open.interface));
        if self.open.len() != known || self.open.len() != found.len() {
            lock(&self.inner.air).begin_anew();
        }
        for interface in found {
            if self.open.contains_key(&interface.index) {
                continue;
            }
            let mut open = Open { _readers: Vec::new(), sockets: Vec::new(), interface: interface.clone() };
            for multicast in sockets::open(&interface) {
                let socket = Arc::new(multicast.socket);
                let _ = tokio::time::timeout(Duration::from_millis(100), socket.writable()).await;
                let (reads, to, index) = (socket.clone(), self.heard_in.clone(), interface.index);
                open._readers.push(AbortOnDropHandle::new(tokio::spawn(read(reads, index, to))));
                open.sockets.push(socket);
            }
            if !open.sockets.is_empty() {
                self.open.insert(interface.index, open);
            }
        }
        let told = self
            .open
            .values()
            .map(|open| accord_mdns::Interface {
                index: open.interface.index,
                addresses: open
                    .interface
                    .addresses()
                    .filter(|ip| {
                        open.sockets
                            .iter()
                            .any(|socket| socket.local_addr().is_ok_and(|local| local.is_ipv4() == ip.is_ipv4()))
                    })
                    .collect(),
            })
            .collect();
        self.core.set_interfaces(told, self.inner.now());
    }

    /// The network changed: paired devices may be reachable elsewhere now.
    fn hurry(&self) {
        for peer in lock(&self.inner.people).values() {
            peer.nudge.notify_one();
        }
    }

    async fn goodbye(&mut self) {
        if let Some((id, _)) = self.published.take() {
            self.core.unpublish(id, self.inner.now());
            let _ = self.flush().await;
        }
    }
}

/// What this device announces now, with no more than `fields`.
pub(crate) fn announced(inner: &Inner, fields: FieldSet) -> Announced {
    let own = inner.own();
    let slot = announce::slot(Timestamp::now());
    let link = inner.link.borrow().as_ref().and_then(port_of).unwrap_or(0);
    let said = inner.identity().announcement(slot, &inner.peers.list(), link);
    let pair = inner.pair.borrow().clone();
    Announced {
        id: said.id,
        hints: said.hints,
        pairing: pair.and_then(|endpoint| Some((*endpoint.id().as_bytes(), port_of(&endpoint)?))),
        name: fields.contains(FieldCode::DeviceName).then_some(own.name),
        kind: fields.contains(FieldCode::DeviceType).then_some(own.kind),
        slot: Some(slot),
    }
}

/// The address as the ledger counts it (without scope), and as the socket needs it.
fn scoped(to: SocketAddr, interface: u32) -> (SocketAddr, SocketAddr) {
    match to {
        SocketAddr::V4(_) => (to, to),
        SocketAddr::V6(v6) => (
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0).into(),
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, interface).into(),
        ),
    }
}

async fn read(socket: Arc<UdpSocket>, interface: u32, to: mpsc::Sender<Heard>) {
    let mut buffer = vec![0; accord_mdns::MAX_DATAGRAM + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) if length <= accord_mdns::MAX_DATAGRAM => {
                let _ = to.try_send(Heard { interface, from, bytes: buffer[..length].to_vec() });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a multicast socket failed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
