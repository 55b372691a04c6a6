//! DNS-SD browsing (RFC 6763 over RFC 6762) for bridges: the sockets on every interface, as long as the owner agrees, what is
//! found, and where that is.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::Personal;
use accord_consent::outlet::interfaces::{Changes, Interface, Network, leads_out, list};
use accord_consent::outlet::routers::Routers;
use accord_consent::outlet::{DatagramOutlet, Near};
use accord_mdns::{Config, Core, Event, GROUP_V4, GROUP_V6, MAX_DATAGRAM, Output, PORT, Transmit};
use accord_model::FieldSet;
use accord_model::why::{Fact, Lack, Way};
use accord_registry::why::Air;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

pub use accord_mdns::{ServiceInstance, WishError};

/// Datagrams that wait. What a flood brings beyond them is lost, and asked for again.
const QUEUE: usize = 256;
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// A question that is asked for again sooner is the same one.
const REFRESH_AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// The system does not tell when it learns a way: as long as somebody is announced where none leads, it is looked again.
const LOOK_FOR_WAYS_EVERY: Duration = Duration::from_secs(10);
/// What is told of the addresses of one instance that no way leads to.
const MOST_STRAYS: usize = 4;

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An instance is here, or something about it is new.
    Here {
        /// What it says of itself. From outside: escape texts before showing.
        instance: ServiceInstance,
        /// Where it is, IPv4 first: only addresses on the link of the interface on which they were heard, so that nobody is
        /// sent elsewhere on the word of a datagram; with [`Browsing::behind_routers`] also those behind a router there. Those
        /// that are link-local in IPv6 have their scope. May be empty.
        at: Vec<SocketAddr>,
    },
    /// It said goodbye, or nothing was heard of it for as long as its word counts.
    Gone {
        /// Its type.
        service: String,
        /// Its name.
        name: String,
    },
    /// The consent ended: nothing is asked or heard any more, and this is all that ever comes.
    Over,
}

/// Asks everyone near for services, and knows which are here.
///
/// `near` is opened under the bridge's own entry for searching: every question is counted there, and it ends with the consent.
pub struct Browsing {
    near: Near,
    network: Network,
    /// What a question says.
    said: FieldSet,
    changes: Changes,
    core: Core,
    start: Instant,
    open: BTreeMap<u32, Open>,
    /// All addresses of this machine.
    own: Vec<IpAddr>,
    heard: mpsc::Sender<Datagram>,
    inbox: mpsc::Receiver<Datagram>,
    /// On their way.
    outgoing: VecDeque<Transmit>,
    seen: VecDeque<Seen>,
    /// What was told last, by type and name.
    told: BTreeMap<(String, String), (ServiceInstance, Vec<SocketAddr>)>,
    refreshed: Option<Instant>,
    trouble: Option<String>,
    /// The ways to networks behind routers, when those count, and until when they are taken to be so.
    routers: Option<(Routers, Instant)>,
    /// Somebody is announced where no way leads: when to look again.
    look_again: Option<Instant>,
}

struct Open {
    interface: Interface,
    sockets: Vec<Arc<DatagramOutlet>>,
    air: Air,
    _readers: Vec<AbortOnDropHandle<()>>,
}

struct Datagram {
    interface: u32,
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Browsing {
    /// Joins the groups of multicast DNS on every interface, and looks for these types (`_airplay._tcp`) from now on. `said`:
    /// the fields that a question tells, which `near` was opened for.
    ///
    /// Only inside a tokio runtime.
    pub async fn open(near: Near, network: Network, said: FieldSet, services: &[&str]) -> Self {
        let mut seed = [0; 8];
        let _ = getrandom::fill(&mut seed);
        let (heard, inbox) = mpsc::channel(QUEUE);
        let mut this = Self {
            near,
            network,
            said,
            changes: Changes::watch(network),
            core: Core::new(Config::with_seed(u64::from_ne_bytes(seed))),
            start: Instant::now(),
            open: BTreeMap::new(),
            own: Vec::new(),
            heard,
            inbox,
            outgoing: VecDeque::new(),
            seen: VecDeque::new(),
            told: BTreeMap::new(),
            refreshed: None,
            trouble: None,
            routers: None,
            look_again: None,
        };
        for service in services {
            if let Err(error) = this.browse(service) {
                tracing::error!(%error, "services of a type are not looked for");
            }
        }
        let interfaces = list(network).await;
        this.interfaces(interfaces);
        this
    }

    /// Addresses behind a router near count, too, if they are of the house ([`Routers::lead_to`]): for services whose devices are in
    /// networks of their own, as those of Thread are, and are announced here by their routers.
    ///
    /// What is so when somebody is announced may be otherwise when they are spoken to: [`OneNear::open_announced`] asks again.
    ///
    /// [`OneNear::open_announced`]: accord_consent::outlet::OneNear::open_announced
    #[must_use]
    pub fn behind_routers(mut self) -> Self {
        self.routers = Some((Routers::default(), Instant::now()));
        self.tell_again();
        self
    }

    /// Looks for one more type, or for a subtype of one (`_L3840._sub._matterc._udp`). Whoever is found by a subtype is told
    /// under its type, and once, by however many it is found.
    ///
    /// # Errors
    /// [`WishError`] when it is no type, or too many are looked for.
    pub fn browse(&mut self, service: &str) -> Result<(), WishError> {
        let now = self.now();
        self.core.browse(service, now)
    }

    /// Looks for it no more: who was found by this type or subtype alone is forgotten, and nothing is told of it any more.
    pub fn stop_browse(&mut self, service: &str) {
        self.collect();
        let gone = self.core.stop_browse(service);
        self.forget(&gone);
    }

    /// Looks for one instance by its name, ever more seldom, without asking for others of its type.
    ///
    /// # Errors
    /// [`WishError`] when it is no type or name, or too many are looked for.
    pub fn resolve(&mut self, service: &str, name: &str) -> Result<(), WishError> {
        let now = self.now();
        self.core.resolve(service, name, now)
    }

    /// Looks for it no more; forgotten unless it is found by its type, too.
    pub fn stop_resolve(&mut self, service: &str, name: &str) {
        self.collect();
        if self.core.stop_resolve(service, name) {
            self.forget(&[(service.to_owned(), name.to_owned())]);
        }
    }

    /// Asks again who is here, as when it began: the user looks. More often than every five seconds is the same question.
    pub fn refresh(&mut self) {
        if self.refreshed.is_some_and(|last| last.elapsed() < REFRESH_AT_MOST_EVERY) {
            return;
        }
        self.refreshed = Some(Instant::now());
        let now = self.now();
        self.core.refresh(now);
    }

    /// Nobody answers where this was announced: it is asked for, and gone when nothing is heard of it within ten seconds.
    pub fn doubt(&mut self, service: &str, name: &str) {
        let now = self.now();
        self.core.doubt(service, name, now);
    }

    /// Sends what is due until something is new, and says what. May be dropped at any time.
    pub async fn next(&mut self) -> Seen {
        let over = self.near.cancelled();
        loop {
            if over.is_cancelled() {
                return Seen::Over;
            }
            self.flush().await;
            if let Some(seen) = self.seen.pop_front() {
                return seen;
            }
            let wake = self.core.poll_timeout().map(|at| self.start + at);
            tokio::select! {
                biased;
                () = over.cancelled() => return Seen::Over,
                () = until(wake) => {
                    let now = self.now();
                    self.core.handle_timeout(now);
                }
                interfaces = self.changes.next() => self.interfaces(interfaces),
                () = until(self.look_again) => self.tell_again(),
                Some(datagram) = self.inbox.recv() => self.datagram(&datagram),
            }
        }
    }

    /// The permit for everyone near, for example to try an address.
    pub fn near(&self) -> &Near {
        &self.near
    }

    /// Whether it is an address of this machine.
    pub fn is_own(&self, ip: IpAddr) -> bool {
        self.own.contains(&ip)
    }

    /// Why nothing is heard on some interface.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// What is known of the ways of the network: what could not be opened, and for each interface what went out and what came from
    /// others. That nothing came where no device of the house can be ([`leads_out`]) says nothing, and is no fact.
    pub fn facts(&self) -> Vec<Fact> {
        let now = Instant::now();
        let not_open = self.trouble.clone().map(|why| Fact::NotOpen { why });
        let air = self.open.values().flat_map(|open| {
            let leads_out = open.interface.loopback || leads_out(&open.interface.name);
            open.air.facts(now).filter(move |fact| leads_out || matches!(fact, Fact::Air { heard: 1.., .. }))
        });
        not_open.into_iter().chain(air).collect()
    }

    /// What is known of the addresses of an instance that no way leads to ([`Fact::Stray`]): on which interface it is heard, and what
    /// is missing. Nothing when it is not announced. One that may be reached at another address is told of only where that may be so
    /// in appearance: a link-local address says nothing of who carried it here.
    pub fn strays(&self, service: &str, name: &str) -> Vec<Fact> {
        let is_it = |key: &(String, String)| key.0 == service && key.1.eq_ignore_ascii_case(name);
        let other = || self.told.iter().find(|(key, _)| is_it(key)).map(|(_, told)| told);
        let told = self.told.get(&(service.to_owned(), name.to_owned())).or_else(other);
        let Some((instance, at)) = told else { return Vec::new() };
        let mut found: BTreeMap<(Lack, &str), Vec<IpAddr>> = BTreeMap::new();
        for address in &instance.addresses {
            let Some(interface) = self.open.get(&address.interface).map(|open| &open.interface) else { continue };
            let is_place = at.contains(&address.socket_address(instance.port));
            let lacks = if is_place { None } else { lacks(interface, address.ip, self.routers.is_some(), at) };
            if let Some(lacks) = lacks {
                found.entry((lacks, interface.name.as_str())).or_default().push(address.ip);
            }
        }
        let told = found.into_iter().map(|((lacks, interface), addresses)| Fact::Stray {
            interface: interface.to_owned(),
            addresses,
            lacks,
        });
        told.take(MOST_STRAYS).collect()
    }

    /// Ends it, and the lease.
    pub fn close(self) {
        self.near.close();
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn datagram(&mut self, heard: &Datagram) {
        let is_own = self.is_own(heard.from.ip());
        if let Some(Open { air, .. }) = self.open.get_mut(&heard.interface) {
            match is_own {
                true => air.came_back(way(heard.from), Instant::now()),
                false => air.heard(way(heard.from), Instant::now()),
            }
        }
        let now = self.now();
        self.core.handle_datagram(heard.from, heard.interface, &heard.bytes, now);
    }

    /// Joins the groups on these interfaces, and leaves them on all others.
    fn interfaces(&mut self, all: Vec<Interface>) {
        self.own = all.iter().flat_map(Interface::addresses).collect();
        let used = |one: &Interface| !one.loopback || self.network == Network::Loopback;
        let found: Vec<Interface> = all.into_iter().filter(used).collect();
        self.trouble = None;
        self.open.retain(|_, open| found.contains(&open.interface));
        for interface in found {
            if !self.open.contains_key(&interface.index) {
                let open = self.join(interface);
                self.open.insert(open.interface.index, open);
            }
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
        self.tell_again();
    }

    fn join(&mut self, interface: Interface) -> Open {
        let air = Air::on(interface.name.clone());
        let mut open = Open { interface, sockets: Vec::new(), air, _readers: Vec::new() };
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
                    tracing::debug!(%error, "no DNS-SD on an interface");
                    self.trouble = Some(error.to_string());
                }
            }
        }
        open
    }

    /// What was heard before its network was ours (IPv6 often comes up first) may be near now. The other way round, an
    /// interface that goes says nothing of what was found there.
    fn tell_again(&mut self) {
        self.look_again = None;
        self.look_for_ways();
        for (instance, before) in self.told.values_mut() {
            let Places { at, astray } = places(&self.open, self.routers.as_ref().map(|(routers, _)| routers), instance);
            if astray {
                self.look_again = Some(Instant::now() + LOOK_FOR_WAYS_EVERY);
            }
            if at.iter().any(|place| !before.contains(place)) {
                before.clone_from(&at);
                self.seen.push_back(Seen::Here { instance: instance.clone(), at });
            }
        }
    }

    fn look_for_ways(&mut self) {
        let now = Instant::now();
        if let Some((routers, until)) = self.routers.as_mut().filter(|(_, until)| *until <= now) {
            (*routers, *until) = (Routers::now(), now + REFRESH_AT_MOST_EVERY);
        }
    }

    async fn flush(&mut self) {
        self.collect();
        while let Some(transmit) = self.outgoing.front() {
            send(&mut self.open, self.said, transmit).await;
            self.outgoing.pop_front();
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Transmit(transmit) => self.outgoing.push_back(transmit),
                Output::Event(event) => self.take(event),
            }
        }
    }

    fn forget(&mut self, gone: &[(String, String)]) {
        gone.iter().for_each(|key| drop(self.told.remove(key)));
        let of = |service: &str, name: &str| gone.iter().any(|(other, of)| other == service && of == name);
        self.seen.retain(|seen| match seen {
            Seen::Here { instance, .. } => !of(&instance.service, &instance.name),
            Seen::Gone { service, name } => !of(service, name),
            Seen::Over => true,
        });
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Found(instance) | Event::Updated(instance) => {
                self.look_for_ways();
                let routers = self.routers.as_ref().map(|(routers, _)| routers);
                let Places { at, astray } = places(&self.open, routers, &instance);
                if astray {
                    self.look_again.get_or_insert(Instant::now() + LOOK_FOR_WAYS_EVERY);
                }
                let key = (instance.service.clone(), instance.name.clone());
                self.told.insert(key, (instance.clone(), at.clone()));
                self.seen.push_back(Seen::Here { instance, at });
            }
            Event::Lost { service, name } => {
                let key = (service, name);
                self.told.remove(&key);
                let (service, name) = key;
                self.seen.push_back(Seen::Gone { service, name });
            }
            Event::Renamed { .. } => {}
        }
    }
}

/// The IPv4 addresses, for protocols that have no others.
pub fn v4(at: Vec<SocketAddr>) -> Vec<SocketAddrV4> {
    at.into_iter().filter_map(|at| if let SocketAddr::V4(v4) = at { Some(v4) } else { None }).collect()
}

struct Places {
    at: Vec<SocketAddr>,
    /// A way may come that leads to another one.
    astray: bool,
}

fn places(open: &BTreeMap<u32, Open>, routers: Option<&Routers>, instance: &ServiceInstance) -> Places {
    let mut places = Places { at: Vec::new(), astray: false };
    for found in &instance.addresses {
        let Some(interface) = open.get(&found.interface).map(|open| &open.interface) else { continue };
        let place = found.socket_address(instance.port);
        let is_near = interface.is_on_link(found.ip) || routers.is_some_and(|ways| ways.lead_to(found.ip, interface));
        if is_near && !places.at.contains(&place) {
            places.at.push(place);
        }
        let may_be_led_to = matches!(found.ip, IpAddr::V6(ip) if ip.is_unique_local());
        places.astray |= !is_near && may_be_led_to && routers.is_some();
    }
    places
}

/// What is missing for that address to be reached, announced on this interface by somebody who may be reached `at` other ones.
fn lacks(interface: &Interface, ip: IpAddr, behind_routers: bool, at: &[SocketAddr]) -> Option<Lack> {
    let is_everywhere = |at: &SocketAddr| matches!(at.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local());
    match ip {
        // One that gave itself an address for want of another one is where it says.
        IpAddr::V4(v4) if !at.is_empty() => {
            (at.iter().all(is_everywhere) && !interface.v4.is_empty() && !v4.is_link_local()).then_some(Lack::Relayed)
        }
        IpAddr::V6(_) if !at.is_empty() => None,
        IpAddr::V6(_) if interface.v6.is_empty() => Some(Lack::Ipv6),
        IpAddr::V6(v6) if behind_routers && v6.is_unique_local() => Some(Lack::Router),
        _ => Some(Lack::Network),
    }
}

async fn send(open: &mut BTreeMap<u32, Open>, said: FieldSet, transmit: &Transmit) {
    let Some(Open { sockets, air, .. }) = open.get_mut(&transmit.interface) else { return };
    let Some(socket) = sockets.iter().find(|socket| is_v4(socket) == transmit.to.is_ipv4()) else { return };
    let to = match transmit.to {
        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, transmit.interface).into(),
        v4 => v4,
    };
    match socket.send(&Personal::of(said, transmit.bytes.as_slice()), to).await {
        Ok(()) => air.sent(way(to), Instant::now()),
        Err(error) => tracing::debug!(%error, "a question by DNS-SD did not leave"),
    }
}

async fn hear(interface: u32, socket: Arc<DatagramOutlet>, heard: mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    loop {
        match socket.receive(&mut buffer).await {
            Ok((length, from)) if length <= MAX_DATAGRAM => {
                let _ = heard.try_send(Datagram { interface, from, bytes: buffer[..length].to_vec() });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a multicast socket failed");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

fn way(address: SocketAddr) -> Way {
    if address.is_ipv4() { Way::Ipv4Multicast } else { Way::Ipv6Multicast }
}

fn is_v4(socket: &DatagramOutlet) -> bool {
    socket.local_addr().is_ok_and(|local| local.is_ipv4())
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
