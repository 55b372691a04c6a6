//! What lives as long as the owner agrees to search: the permit, and DNS-SD on every interface.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::Personal;
use accord_consent::outlet::interfaces::{Changes, Interface, Network, list};
use accord_consent::outlet::{DatagramOutlet, Near};
use accord_mdns::{Config, Core, Event, GROUP_V4, GROUP_V6, MAX_DATAGRAM, Output, PORT, ServiceInstance};
use accord_model::why::{Fact, Way};
use accord_registry::why::Air;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::law;
use super::mind::Heard;
use crate::core::advert::{Advert, SERVICE};

const AFTER_ERROR: Duration = Duration::from_secs(1);
/// A question that is asked for again sooner is the same one.
const REFRESH_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// What woke it.
pub(crate) enum Woken {
    Interfaces(Vec<Interface>),
    Time,
    /// The consent ended.
    Over,
}

/// An instance of the service, as it is now.
pub(crate) enum Told {
    /// With all its addresses near.
    Here {
        name: String,
        advert: Option<Advert>,
        at: Vec<SocketAddrV4>,
    },
    Gone {
        name: String,
    },
}

pub(crate) struct Nearby {
    near: Near,
    network: Network,
    changes: Changes,
    core: Core,
    start: Instant,
    open: HashMap<u32, Open>,
    heard: mpsc::Sender<Heard>,
    air: Air,
    refreshed: Option<Instant>,
    /// Why nothing is heard somewhere.
    pub trouble: Option<String>,
}

struct Open {
    interface: Interface,
    sockets: Vec<Arc<DatagramOutlet>>,
    _readers: Vec<AbortOnDropHandle<()>>,
}

impl Nearby {
    pub(crate) async fn open(near: Near, network: Network, heard: mpsc::Sender<Heard>) -> Self {
        let mut seed = [0; 8];
        let _ = getrandom::fill(&mut seed);
        let mut this = Self {
            near,
            network,
            changes: Changes::watch(network),
            core: Core::new(Config::with_seed(u64::from_ne_bytes(seed))),
            start: Instant::now(),
            open: HashMap::new(),
            heard,
            air: Air::default(),
            refreshed: None,
            trouble: None,
        };
        let now = this.now();
        if let Err(error) = this.core.browse(SERVICE, now) {
            this.trouble = Some(error.to_string());
        }
        let interfaces = list(network).await;
        this.interfaces(interfaces);
        this
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Woken {
        let cancelled = self.near.cancelled();
        let wake = self.core.poll_timeout().map(|at| self.start + at);
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Woken::Over,
            interfaces = self.changes.next() => Woken::Interfaces(interfaces),
            () = until(wake) => Woken::Time,
        }
    }

    pub(crate) fn interfaces(&mut self, found: Vec<Interface>) {
        let used = |one: &Interface| !one.loopback || self.network == Network::Loopback;
        let found: Vec<Interface> = found.into_iter().filter(used).collect();
        let before = self.open.len();
        self.open.retain(|_, open| found.contains(&open.interface));
        if self.open.len() != before {
            self.air.begin_anew();
        }
        self.trouble = None;
        for interface in found {
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
                    Err(error) => self.trouble = Some(error.to_string()),
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
        self.core.set_interfaces(told, now);
    }

    pub(crate) fn datagram(&mut self, from: SocketAddr, interface: u32, bytes: &[u8]) {
        let ours = self.open.values().any(|open| open.interface.addresses().any(|own| own == from.ip()));
        if !ours {
            self.air.heard(way(from), Instant::now());
        }
        let now = self.now();
        self.core.handle_datagram(from, interface, bytes, now);
    }

    pub(crate) fn timeout(&mut self) {
        let now = self.now();
        self.core.handle_timeout(now);
    }

    /// Asks again who is here.
    pub(crate) fn refresh(&mut self) {
        if self.refreshed.is_some_and(|last| last.elapsed() < REFRESH_AT_MOST_EVERY) {
            return;
        }
        self.refreshed = Some(Instant::now());
        let now = self.now();
        self.core.refresh(now);
    }

    /// Sends what is due; who came, changed and went.
    pub(crate) async fn flush(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(output) = self.core.poll() {
            match output {
                Output::Transmit(transmit) => self.send(transmit).await,
                Output::Event(Event::Found(instance) | Event::Updated(instance)) => told.push(self.read(&instance)),
                Output::Event(Event::Lost { name, .. }) => told.push(Told::Gone { name }),
                Output::Event(Event::Renamed { .. }) => {}
            }
        }
        told
    }

    async fn send(&mut self, transmit: accord_mdns::Transmit) {
        let Some(open) = self.open.get(&transmit.interface) else { return };
        let socket = open.sockets.iter().find(|socket| is_v4(socket) == transmit.to.is_ipv4());
        let Some(socket) = socket else { return };
        let to = match transmit.to {
            SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, transmit.interface).into(),
            v4 => v4,
        };
        match socket.send(&Personal::of(law::SEARCH, transmit.bytes), to).await {
            Ok(()) => self.air.sent(way(to), Instant::now()),
            Err(error) => tracing::debug!(%error, "a question by DNS-SD did not leave"),
        }
    }

    /// Only an address in the network in which it was heard counts: nobody is sent elsewhere.
    fn read(&self, instance: &ServiceInstance) -> Told {
        let pairs = instance.txt.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        let at = instance.addresses.iter().filter_map(|found| match found.socket_address(instance.port) {
            SocketAddr::V4(v4) => {
                let open = self.open.get(&found.interface)?;
                open.interface.is_on_link(found.ip).then_some(v4)
            }
            SocketAddr::V6(_) => None,
        });
        let at = at.collect();
        Told::Here { name: instance.name.clone(), advert: Advert::parse(&instance.name, pairs), at }
    }

    pub(crate) fn facts(&self) -> Vec<Fact> {
        self.air.facts(Instant::now()).collect()
    }

    /// Ends it.
    pub(crate) fn close(self) {
        self.near.close();
    }
}

fn way(address: SocketAddr) -> Way {
    if address.is_ipv4() { Way::Ipv4Multicast } else { Way::Ipv6Multicast }
}

fn is_v4(socket: &DatagramOutlet) -> bool {
    socket.local_addr().is_ok_and(|local| local.is_ipv4())
}

async fn hear(interface: u32, socket: Arc<DatagramOutlet>, heard: mpsc::Sender<Heard>) {
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    loop {
        match socket.receive(&mut buffer).await {
            Ok((length, from)) if length <= MAX_DATAGRAM => {
                // A flood is dropped here, and what hands say waits for its place.
                if heard.capacity() > heard.max_capacity() / 2 {
                    let _ = heard.try_send(Heard::Datagram { interface, from, bytes: buffer[..length].to_vec() });
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a multicast socket failed");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
