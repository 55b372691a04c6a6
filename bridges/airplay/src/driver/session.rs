//! What lives as long as the owner agrees to search: the permit, the sockets of DNS-SD on every interface, and what is heard.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::Personal;
use accord_consent::outlet::interfaces::{Changes, Interface, Network, list};
use accord_consent::outlet::{DatagramOutlet, Near};
use accord_mdns::{Config, Core, Event, FoundAddress, GROUP_V4, GROUP_V6, MAX_DATAGRAM, Output, PORT, ServiceInstance};
use accord_model::CallId;
use accord_model::why::{Fact, Outcome, Way};
use accord_registry::why::Air;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::law;
use crate::core::txt::{AIRPLAY, RAOP};

/// What waits for the mind.
const QUEUE: usize = 256;
const AFTER_ERROR: Duration = Duration::from_millis(300);
const END_WITHIN: Duration = Duration::from_secs(2);

/// What woke the session.
pub(crate) enum Woken {
    Datagram {
        interface: u32,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Tried {
        call: CallId,
        fact: Fact,
    },
    Interfaces(Vec<Interface>),
    Time,
    /// The consent ended.
    Over,
}

/// What came of DNS-SD.
pub(crate) enum Announced {
    Here(ServiceInstance),
    Gone { service: String, name: String },
}

struct Open {
    interface: Interface,
    sockets: Vec<Arc<DatagramOutlet>>,
    _readers: Vec<AbortOnDropHandle<()>>,
}

pub(crate) struct Session {
    near: Near,
    network: Network,
    heard: mpsc::Sender<Woken>,
    inbox: mpsc::Receiver<Woken>,
    stop: CancellationToken,
    tasks: TaskTracker,
    changes: Changes,
    mdns: Core,
    begun: Instant,
    open: HashMap<u32, Open>,
    all: Vec<Interface>,
    /// Why nothing is heard somewhere.
    pub trouble: Option<String>,
    pub air: Air,
}

impl Session {
    pub(crate) async fn open(near: Near, network: Network) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        let mut seed = [0; 8];
        let _ = getrandom::fill(&mut seed);
        let mut mdns = Core::new(Config::with_seed(u64::from_ne_bytes(seed)));
        for service in [RAOP, AIRPLAY] {
            if let Err(error) = mdns.browse(service, Duration::ZERO) {
                tracing::error!(%error, "AirPlay devices are not found");
            }
        }
        let mut session = Self {
            near,
            network,
            heard,
            inbox,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            changes: Changes::watch(network),
            mdns,
            begun: Instant::now(),
            open: HashMap::new(),
            all: Vec::new(),
            trouble: None,
            air: Air::default(),
        };
        let interfaces = list(network).await;
        session.interfaces(interfaces);
        session
    }

    /// May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Woken {
        let cancelled = self.near.cancelled();
        let wake = self.mdns.poll_timeout().map(|at| self.begun + at);
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Woken::Over,
            Some(woken) = self.inbox.recv() => woken,
            interfaces = self.changes.next() => Woken::Interfaces(interfaces),
            () = until(wake) => Woken::Time,
        }
    }

    /// Joins the groups on these interfaces, and leaves them on all others.
    pub(crate) fn interfaces(&mut self, all: Vec<Interface>) {
        let used = |interface: &Interface| !interface.loopback || self.network == Network::Loopback;
        let used: Vec<Interface> = all.iter().filter(|one| used(one)).cloned().collect();
        if all != self.all {
            self.air.begin_anew();
        }
        self.all = all;
        self.trouble = None;
        self.open.retain(|_, open| used.contains(&open.interface));
        for interface in used {
            if self.open.contains_key(&interface.index) {
                continue;
            }
            let mut open = Open { interface, sockets: Vec::new(), _readers: Vec::new() };
            for group in [SocketAddr::from((GROUP_V4, PORT)), SocketAddr::from((GROUP_V6, PORT))] {
                match self.near.multicast(&open.interface, group) {
                    Ok(Some(socket)) => {
                        let socket = Arc::new(socket);
                        let reader = hear(open.interface.index, socket.clone(), self.heard.clone());
                        open._readers.push(AbortOnDropHandle::new(tokio::spawn(reader)));
                        open.sockets.push(socket);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!("AirPlay devices are not heard there: {error}");
                        self.trouble = Some(error.to_string());
                    }
                }
            }
            self.open.insert(open.interface.index, open);
        }
        let told = self.open.values().map(|open| accord_mdns::Interface {
            index: open.interface.index,
            addresses: open
                .interface
                .addresses()
                .filter(|ip| open.sockets.iter().any(|socket| is_v4(socket) == ip.is_ipv4()))
                .collect(),
        });
        let (told, now) = (told.collect(), self.now());
        self.mdns.set_interfaces(told, now);
    }

    /// Whether an announced address is one of another host near: in a network of the interface on which it was heard.
    pub(crate) fn is_near(&self) -> impl Fn(&FoundAddress) -> bool + use<> {
        let networks: Vec<Interface> = self.open.values().map(|open| open.interface.clone()).collect();
        let ours: Vec<IpAddr> = self.all.iter().flat_map(Interface::addresses).collect();
        let loopback = self.network == Network::Loopback;
        move |found| {
            let there = networks.iter().find(|interface| interface.index == found.interface);
            let on_link = there.is_some_and(|interface| interface.is_on_link(found.ip));
            // This machine announces receivers of its own, if at all, for others.
            on_link && (loopback || (!ours.contains(&found.ip) && !found.ip.is_loopback()))
        }
    }

    pub(crate) fn heard(&mut self, interface: u32, from: SocketAddr, bytes: &[u8]) {
        if !self.all.iter().any(|one| one.addresses().any(|ip| ip == from.ip())) {
            self.air.heard(way(from), Instant::now());
        }
        let now = self.now();
        self.mdns.handle_datagram(from, interface, bytes, now);
    }

    pub(crate) fn on_time(&mut self) {
        let now = self.now();
        self.mdns.handle_timeout(now);
    }

    /// Asks again who is there.
    pub(crate) fn search(&mut self) {
        let now = self.now();
        self.mdns.refresh(now);
    }

    /// Nobody answers where this was announced.
    pub(crate) fn doubt(&mut self, service: &str, name: &str) {
        let now = self.now();
        self.mdns.doubt(service, name, now);
    }

    /// Sends what is due, and tells what is new.
    pub(crate) async fn flush(&mut self) -> Vec<Announced> {
        let mut announced = Vec::new();
        while let Some(output) = self.mdns.poll() {
            match output {
                Output::Transmit(transmit) => {
                    let Some(open) = self.open.get(&transmit.interface) else { continue };
                    let socket = open.sockets.iter().find(|socket| is_v4(socket) == transmit.to.is_ipv4());
                    let Some(socket) = socket else { continue };
                    let to = match transmit.to {
                        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, transmit.interface).into(),
                        v4 => v4,
                    };
                    match socket.send(&Personal::of(law::SEARCH, transmit.bytes), to).await {
                        Ok(()) => self.air.sent(way(to), Instant::now()),
                        Err(error) => tracing::debug!(%error, "a question did not leave"),
                    }
                }
                Output::Event(Event::Found(instance) | Event::Updated(instance)) => {
                    announced.push(Announced::Here(instance));
                }
                Output::Event(Event::Lost { service, name }) => announced.push(Announced::Gone { service, name }),
                Output::Event(Event::Renamed { .. }) => {}
            }
        }
        announced
    }

    /// Connects once, to tell whether the device is reached.
    pub(crate) fn try_once(&self, call: CallId, address: SocketAddr, within: Duration) {
        let (near, heard) = (self.near.clone(), self.heard.clone());
        self.spawn(async move {
            let outcome = match tokio::time::timeout(within, near.dial(address)).await {
                Ok(Ok(_)) => Outcome::Answered,
                Ok(Err(error)) => Outcome::Failed(error.to_string()),
                Err(_) => Outcome::Failed(format!("no connection within {} s", within.as_secs())),
            };
            let _ = heard.send(Woken::Tried { call, fact: Fact::Tried { address, outcome } }).await;
        });
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await.unwrap_or_default() });
    }

    /// Ends everything at once.
    pub(crate) async fn close(mut self) {
        self.open.clear();
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("a task of AirPlay did not end in time");
        }
        self.near.close();
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

fn way(address: SocketAddr) -> Way {
    if address.is_ipv4() { Way::Ipv4Multicast } else { Way::Ipv6Multicast }
}

fn is_v4(socket: &DatagramOutlet) -> bool {
    socket.local_addr().is_ok_and(|local| local.is_ipv4())
}

async fn hear(interface: u32, socket: Arc<DatagramOutlet>, heard: mpsc::Sender<Woken>) {
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    loop {
        match socket.receive(&mut buffer).await {
            Ok((length, from)) if length <= MAX_DATAGRAM => {
                // What a flood brings beyond the queue is lost; who is there is asked again.
                let _ = heard.try_send(Woken::Datagram { interface, from, bytes: buffer[..length].to_vec() });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a multicast socket failed");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}
