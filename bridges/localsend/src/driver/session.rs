//! What lives as long as the owner agrees to be found: the permit, sockets, connections, and the tasks that serve them.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::{Changes, Interface, Network, list};
use accord_consent::outlet::{DatagramOutlet, Met, Near, NearListener};
use accord_consent::{Permit, Personal, Refusal};
use accord_model::why::{Fact, Outcome, Way};
use accord_model::{CallId, DeviceId, FieldCode, FieldSet, Timestamp};
use accord_registry::why::{self, Air};
use rustls::ServerConfig;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::asking::OwnerSays;
use super::caller::{Caller, NoAnswer, Quiet};
use super::inbound::{Inbound, Order, Said, Upload};
use super::port::Door;
use crate::core::certificate::CertificateFault;
use crate::core::discovery::{self, GROUP_V4, GROUP_V6};
use crate::core::http::client::Ended;
use crate::core::http::{Patience, server};
use crate::core::message::{Announcement, MAX_DATAGRAM};
use crate::core::receive::AskId;
use crate::core::send::register_call;
use crate::core::{ConnectionId, Fingerprint, Identity, PORT, Protocol, Target, WireError};
use accord_ports::Line;

/// What waits for the mind.
const QUEUE: usize = 256;
/// Connections at once, of all and of one address.
const CONNECTIONS: usize = 256;
const OF_ONE: usize = 32;
/// Orders that a connection has not followed yet.
const ORDERS: usize = 8;
/// How often a port that was taken is tried again.
const PORT_AGAIN: Duration = Duration::from_secs(30);
const AFTER_ERROR: Duration = Duration::from_millis(300);
const END_WITHIN: Duration = Duration::from_secs(2);

/// What the tasks tell the mind.
pub(crate) enum Heard {
    Met(Met),
    Said(ConnectionId, Said),
    Datagram {
        from: SocketAddr,
        interface: u32,
        bytes: Vec<u8>,
    },
    Registered {
        target: Target,
        outcome: Result<Registered, bool>,
    },
    /// Whether a device proved once more who it is.
    Checked {
        device: DeviceId,
        outcome: Result<(), String>,
    },
    Permitted {
        ask: AskId,
        permit: Result<Permit, Refusal>,
    },
    Answered {
        ask: AskId,
        says: OwnerSays,
    },
    /// An upload that waited for the owner's decision.
    Admitted {
        id: ConnectionId,
        upload: Box<Upload>,
        permit: Option<Permit>,
    },
    /// What came of asking a device why it is not reached.
    Asked {
        call: CallId,
        found: Vec<Fact>,
    },
    /// The feature takes no more.
    Broken(AskId),
}

/// An answer to `register`.
pub(crate) struct Registered {
    pub certificate: Option<Fingerprint>,
    pub body: Vec<u8>,
}

/// Why there is none.
pub(crate) struct Missed {
    /// Whether something listens there.
    pub connected: bool,
    pub why: String,
    /// What that says about the device.
    pub fact: Fact,
}

/// What woke the session.
pub(crate) enum Woken {
    Heard(Heard),
    Interfaces(Vec<Interface>),
    Time,
    /// The consent ended.
    Over,
}

struct Handle {
    orders: mpsc::Sender<Order>,
    abort: CancellationToken,
    address: IpAddr,
    bound: bool,
}

pub(crate) struct Session {
    pub near: Near,
    pub heard: mpsc::Sender<Heard>,
    /// The port that is announced.
    pub port: u16,
    inbox: mpsc::Receiver<Heard>,
    network: Network,
    wanted: u16,
    identity: Arc<Identity>,
    tls: Arc<ServerConfig>,
    stop: CancellationToken,
    tasks: TaskTracker,
    changes: Changes,
    connections: HashMap<ConnectionId, Handle>,
    next: u64,
    outlets: Vec<(u32, bool, Arc<DatagramOutlet>)>,
    hearing: CancellationToken,
    listening: CancellationToken,
    port_again: Option<Instant>,
    trouble: Option<String>,
    ours: Vec<IpAddr>,
    /// Announcements that left, and others' that came.
    air: Arc<Mutex<Air>>,
}

impl Session {
    /// Opens the listeners. Groups are joined by [`Session::interfaces`].
    pub(crate) fn open(near: Near, network: Network, wanted: u16, identity: &Arc<Identity>) -> Result<Self, String> {
        let tls = identity.server_config().map_err(|error| error.to_string())?;
        let (heard, inbox) = mpsc::channel(QUEUE);
        let mut session = Self {
            near,
            heard,
            port: 0,
            inbox,
            network,
            wanted,
            identity: identity.clone(),
            tls,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            changes: Changes::watch(network),
            connections: HashMap::new(),
            next: 1,
            outlets: Vec::new(),
            hearing: CancellationToken::new(),
            listening: CancellationToken::new(),
            port_again: None,
            trouble: None,
            ours: Vec::new(),
            air: Arc::default(),
        };
        session.open_door()?;
        Ok(session)
    }

    pub(crate) async fn interfaces_now(&self) -> Vec<Interface> {
        list(self.network).await
    }

    /// May be dropped at any time.
    pub(crate) async fn next(&mut self, wake: Instant) -> Woken {
        let cancelled = self.near.cancelled();
        let wake = self.port_again.map_or(wake, |again| again.min(wake));
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Woken::Over,
            Some(heard) = self.inbox.recv() => Woken::Heard(heard),
            interfaces = self.changes.next() => Woken::Interfaces(interfaces),
            () = tokio::time::sleep_until(wake.into()) => Woken::Time,
        }
    }

    /// Runs `task` as long as the session.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await.unwrap_or_default() });
    }

    /// Tries the wanted port again, when it is time. True: another port is announced now.
    pub(crate) fn port_again(&mut self) -> bool {
        if self.port_again.is_none_or(|again| again > Instant::now()) {
            return false;
        }
        let before = self.port;
        if let Err(error) = self.open_door() {
            tracing::warn!("LocalSend cannot listen: {error}");
        }
        self.port != before
    }

    fn open_door(&mut self) -> Result<(), String> {
        let again = self.port != 0;
        self.port_again = None;
        let Door { listeners, port, trouble } = Door::open(&self.near, self.network, self.wanted)?;
        self.port_again = trouble.is_some().then(|| Instant::now() + PORT_AGAIN);
        if trouble.is_some() && again {
            // Still taken: what listens already is as good.
            return Ok(());
        }
        if let Some(trouble) = &trouble {
            tracing::warn!("LocalSend: {trouble}");
        }
        self.listening.cancel();
        self.listening = self.stop.child_token();
        (self.port, self.trouble) = (port, trouble);
        for listener in listeners {
            let (stop, heard) = (self.listening.clone(), self.heard.clone());
            self.tasks
                .spawn(async move { stop.run_until_cancelled(accept(listener, heard)).await.unwrap_or_default() });
        }
        Ok(())
    }

    /// Why it does not listen where it should.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Joins the groups on these interfaces, and leaves them on all others.
    pub(crate) fn interfaces(&mut self, interfaces: &[Interface]) -> Vec<discovery::Interface> {
        let used = |interface: &&Interface| !interface.loopback || self.network == Network::Loopback;
        let used: Vec<&Interface> = interfaces.iter().filter(used).collect();
        self.hearing.cancel();
        self.hearing = self.stop.child_token();
        self.outlets.clear();
        let ours: Vec<IpAddr> = used.iter().flat_map(|interface| interface.addresses()).collect();
        if ours != self.ours {
            self.ours = ours;
            self.air().begin_anew();
        }
        for interface in &used {
            let groups =
                [SocketAddr::from((GROUP_V4, PORT)), SocketAddrV6::new(GROUP_V6, PORT, 0, interface.index).into()];
            for group in groups {
                match self.near.multicast(interface, group) {
                    Ok(Some(outlet)) => self.listen_to(interface.index, group.is_ipv4(), Arc::new(outlet)),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "LocalSend hears no announcements there"),
                }
            }
        }
        let described = used
            .iter()
            .map(|interface| discovery::Interface { index: interface.index, addresses: interface.nets.clone() });
        described.collect()
    }

    fn listen_to(&mut self, interface: u32, v4: bool, outlet: Arc<DatagramOutlet>) {
        self.outlets.push((interface, v4, outlet.clone()));
        let (hearing, heard) = (self.hearing.clone(), self.heard.clone());
        self.tasks.spawn(async move {
            hearing.run_until_cancelled(hear(outlet, interface, heard)).await.unwrap_or_default()
        });
    }

    /// Sends an announcement.
    pub(crate) fn announce(&self, interface: u32, to: SocketAddr, bytes: Vec<u8>, fields: FieldSet) {
        let found = self.outlets.iter().find(|(index, v4, _)| *index == interface && *v4 == to.is_ipv4());
        let Some((_, _, outlet)) = found else { return };
        let (outlet, air) = (outlet.clone(), self.air.clone());
        let sealed = Personal::of(fields.union(FieldSet::one(FieldCode::NetIp)), bytes);
        self.spawn(async move {
            match outlet.send(&sealed, to).await {
                Ok(()) => air.lock().unwrap_or_else(PoisonError::into_inner).sent(way(to), Instant::now()),
                Err(error) => tracing::debug!(%error, %to, "an announcement was not sent"),
            }
        });
    }

    /// An announcement came; our own are heard too.
    pub(crate) fn note_heard(&self, from: SocketAddr) {
        if !self.ours.contains(&from.ip().to_canonical()) {
            self.air().heard(way(from), Instant::now());
        }
    }

    pub(crate) fn air(&self) -> std::sync::MutexGuard<'_, Air> {
        self.air.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The port that the protocol wants.
    pub(crate) fn wanted(&self) -> u16 {
        self.wanted
    }

    /// Lets a connection in, if there is room.
    pub(crate) fn admit(&mut self, met: Met) {
        let address = met.peer().ip().to_canonical();
        let of_address = self.connections.values().filter(|handle| handle.address == address).count();
        if self.connections.len() >= CONNECTIONS || of_address >= OF_ONE {
            return tracing::debug!(%address, "too many connections");
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        let core = server::Connection::new(met.peer(), Some(self.tls.clone()), Patience::default(), Instant::now());
        let (orders, inbox) = mpsc::channel(ORDERS);
        let abort = CancellationToken::new();
        let (mind, line) = (self.heard.clone(), Line::Near(met));
        let inbound = Inbound { id, core, line, orders: inbox, mind, abort: abort.clone() };
        self.spawn(inbound.run());
        self.connections.insert(id, Handle { orders, abort, address, bound: false });
    }

    pub(crate) fn forget(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// Gives an order; a connection that follows none is ended.
    pub(crate) fn order(&mut self, id: ConnectionId, order: Order) {
        let Some(handle) = self.connections.get_mut(&id) else { return };
        handle.bound |= matches!(&order, Order::Bind(_) | Order::Receive(_, Some(_)));
        if handle.orders.try_send(order).is_err() {
            handle.abort.cancel();
        }
    }

    pub(crate) fn is_bound(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|handle| handle.bound)
    }

    pub(crate) fn abort(&self, id: ConnectionId) {
        if let Some(handle) = self.connections.get(&id) {
            handle.abort.cancel();
        }
    }

    /// The same, once `told` or after a moment.
    pub(crate) fn abort_after(&self, id: ConnectionId, told: CancellationToken) {
        let Some(abort) = self.connections.get(&id).map(|handle| handle.abort.clone()) else { return };
        self.spawn(async move {
            let _ = tokio::time::timeout(Duration::from_secs(1), told.cancelled()).await;
            abort.cancel();
        });
    }

    /// Makes a register, and tells what came of it.
    pub(crate) fn register(&self, target: Target, me: Announcement) {
        let (near, identity, heard) = (self.near.clone(), self.identity.clone(), self.heard.clone());
        self.spawn(async move {
            let outcome = register(&near, &identity, &target, &me, Patience::default()).await.map_err(|missed| {
                tracing::debug!(why = %missed.why, address = %target.address, "a device did not answer");
                missed.connected
            });
            let _ = heard.send(Heard::Registered { target, outcome }).await;
        });
    }

    /// Asks a device to prove once more that it is the one with this fingerprint.
    pub(crate) fn check(&self, device: DeviceId, targets: Vec<Target>, me: Announcement) {
        let (near, identity, heard) = (self.near.clone(), self.identity.clone(), self.heard.clone());
        self.spawn(async move {
            let mut outcome = Err("it is not near; open LocalSend there and try again".to_owned());
            for target in &targets {
                outcome = match register(&near, &identity, target, &me, Patience::default()).await {
                    Ok(Registered { certificate, .. }) if certificate == target.fingerprint => Ok(()),
                    Ok(_) => Err("another device answers there".to_owned()),
                    Err(missed) => Err(missed.why),
                };
                if outcome.is_ok() {
                    break;
                }
            }
            let _ = heard.send(Heard::Checked { device, outcome }).await;
        });
    }

    /// Asks a device where it was, and tells what that says.
    pub(crate) fn ask_why(&self, call: CallId, targets: Vec<Target>, me: Announcement, within: Duration) {
        let (near, identity, heard) = (self.near.clone(), self.identity.clone(), self.heard.clone());
        self.spawn(async move {
            let mut found = Vec::new();
            let until = tokio::time::Instant::now() + within;
            for target in &targets {
                let address = target.address;
                let asked = tokio::time::timeout_at(until, register(&near, &identity, target, &me, little())).await;
                let fact = match asked {
                    // Over plain HTTP nobody proves anything; that is another question.
                    Ok(Ok(answer)) if target.protocol == Protocol::Http || answer.certificate == target.fingerprint => {
                        Fact::Tried { address, outcome: Outcome::Answered }
                    }
                    Ok(Ok(_)) => Fact::Stranger { address: address.ip() },
                    Ok(Err(missed)) => missed.fact,
                    Err(_) => Fact::Tried { address, outcome: Outcome::Silent },
                };
                found.push(fact);
                if why::is_reached(&found) {
                    break;
                }
            }
            let _ = heard.send(Heard::Asked { call, found }).await;
        });
    }

    /// Ends everything at once.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("a task of LocalSend did not end in time");
        }
        self.near.close();
    }
}

fn way(address: SocketAddr) -> Way {
    if address.ip().to_canonical().is_ipv4() { Way::Ipv4Multicast } else { Way::Ipv6Multicast }
}

async fn hear(outlet: Arc<DatagramOutlet>, interface: u32, heard: mpsc::Sender<Heard>) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        match outlet.receive(&mut buffer).await {
            Ok((length, from)) => {
                let bytes = buffer[..length].to_vec();
                if heard.send(Heard::Datagram { from, interface, bytes }).await.is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(AFTER_ERROR).await,
        }
    }
}

async fn accept(listener: NearListener, heard: mpsc::Sender<Heard>) {
    loop {
        match listener.accept().await {
            Ok(Some(met)) => {
                if heard.send(Heard::Met(met)).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// For a device whose silence is an answer.
fn little() -> Patience {
    let three = Duration::from_secs(3);
    Patience { handshake: three, head: three, json: three, ..Patience::default() }
}

async fn register(
    near: &Near,
    identity: &Identity,
    target: &Target,
    me: &Announcement,
    patience: Patience,
) -> Result<Registered, Missed> {
    let missed = |connected, why: String, outcome| Missed {
        connected,
        why,
        fact: Fact::Tried { address: target.address, outcome },
    };
    let failed = |connected, why: String| missed(connected, why.clone(), Outcome::Failed(why));
    let tls = match target.protocol {
        Protocol::Http => None,
        Protocol::Https => {
            Some(identity.client_config(target.pin()).map_err(|error| failed(false, error.to_string()))?)
        }
    };
    let met = near.dial(target.address).await;
    let met = met.map_err(|error| missed(false, error.to_string(), error.outcome()))?;
    let mut caller = Caller::patient(Line::Near(met), tls, patience).map_err(|why| failed(true, why))?;
    let answer = caller.ask(register_call(target, me), &mut Quiet).await;
    let certificate = caller.certificate().cloned();
    let over = caller.over().cloned();
    caller.close(Ok(())).await;
    match answer {
        Ok(answer) if answer.status == 200 => Ok(Registered { certificate, body: answer.body }),
        Ok(answer) => Err(failed(true, format!("it answered {}", answer.status))),
        Err(NoAnswer::Connection(why) | NoAnswer::Denied(why)) => Err(match over {
            Some(Ended::TooSlow(_)) => missed(true, why, Outcome::Mute),
            Some(Ended::Wire(WireError::Certificate(CertificateFault::Other { .. }))) => {
                let fact = Fact::KeyChanged { at: Timestamp::now(), why: why.clone() };
                Missed { connected: true, why, fact }
            }
            _ => failed(true, why),
        }),
        Err(NoAnswer::Stopped) => Err(failed(true, "given up here".to_owned())),
    }
}
