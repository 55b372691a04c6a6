//! Who is there: what to announce when, whom to answer, who is known, and what a scan asks.
//!
//! It is all decisions: datagrams and answers to `register` go in; datagrams, registers to be made and
//! found devices come out. Nothing is sent before [`Input::Announce`] or [`Input::Scan`].

mod limiter;
mod peers;

pub use peers::Found;

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use accord_model::FieldSet;

use super::message::{Announcement, DeviceInfo, Protocol};
use super::{Fingerprint, PORT, Peer, Target};
use limiter::Limiter;
use peers::{Heard, Peers};

/// The IPv4 group.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 167);
/// The IPv6 link-local group, of version 2.2.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0xfd3a, 0xe420);
/// When the datagrams of an announcement go out.
pub const ANNOUNCE_AT: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_millis(2000)];

/// Limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most devices known.
    pub peers: usize,
    /// Most datagrams of one source looked at per second.
    pub datagrams_per_second: u32,
    /// Shortest time between two answers to one address.
    pub answer_every: Duration,
    /// Most registers at once.
    pub registers: usize,
    /// Most hosts that a scan asks.
    pub scanned: usize,
    /// A device that was silent for so long is asked whether it is still there; silent twice, it is not.
    pub ask_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers: 256,
            datagrams_per_second: 10,
            answer_every: Duration::from_secs(2),
            registers: 32,
            scanned: 1016,
            ask_after: Duration::from_secs(300),
        }
    }
}

/// A network interface that is up and multicasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The operating system's index: also the scope of link-local addresses.
    pub index: u32,
    /// Its addresses, each with the length of its network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// What goes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// Which interfaces there are. New ones are announced on, if we announce.
    Interfaces(Vec<Interface>),
    /// We are this now.
    Me(Announcement),
    /// Announce us on every interface, now and on new interfaces.
    Announce,
    /// Be silent from now on: no announcement, no answer, no asking.
    Hush,
    /// Ask every host of our IPv4 networks (each cut to its /24).
    Scan,
    /// Ask who is there, where multicast does not reach.
    Look(SocketAddr),
    /// A datagram came to one of the groups.
    Datagram {
        /// From where; link-local with scope.
        from: SocketAddr,
        /// On which interface.
        interface: u32,
        /// Its content.
        bytes: &'a [u8],
    },
    /// A device registered with our server.
    Registered(&'a Announcement, &'a Peer),
    /// A register that we made was answered.
    Answered {
        /// Which.
        target: Target,
        /// The certificate that the server proved to own.
        certificate: Option<Fingerprint>,
        /// The answer.
        body: &'a [u8],
    },
    /// A register that we made was not answered.
    Failed {
        /// Which.
        target: Target,
        /// Whether something listens there, which then does not speak that protocol.
        connected: bool,
    },
    /// The time that [`Output::Wait`] named has come.
    Timeout,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Datagram {
        /// On this interface.
        interface: u32,
        /// One of the groups.
        to: SocketAddr,
        /// Its content.
        bytes: Vec<u8>,
        /// Which kinds of personal data are in it.
        fields: FieldSet,
    },
    /// Make a register: [`super::send::register_call`]. Report with [`Input::Answered`] or [`Input::Failed`].
    Register(Target),
    /// Something changed.
    Event(Event),
    /// Nothing more for now; come back at this time at the latest, or with new input.
    Wait(Instant),
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A device is there.
    Found(Found),
    /// What is known of it changed.
    Changed(Found),
    /// It is there no more, and was heard last then.
    Lost(Fingerprint, Instant),
    /// A scan is through.
    Scanned,
}

/// Finds devices.
#[derive(Debug)]
pub struct Discovery {
    me: Announcement,
    limits: Limits,
    announces: bool,
    interfaces: Vec<Interface>,
    due: Vec<(Instant, u32)>,
    datagrams: Limiter<IpAddr>,
    answers: Limiter<SocketAddr>,
    peers: Peers,
    wanted: VecDeque<Target>,
    running: HashSet<Target>,
    scanning: HashSet<SocketAddr>,
    out: VecDeque<Output>,
    now: Instant,
}

impl Discovery {
    /// Silent, and knows nobody.
    pub fn new(me: Announcement, limits: Limits, now: Instant) -> Self {
        Self {
            me,
            announces: false,
            interfaces: Vec::new(),
            due: Vec::new(),
            datagrams: Limiter::new(limits.datagrams_per_second, Duration::from_secs(1), 1024),
            answers: Limiter::new(1, limits.answer_every, 1024),
            peers: Peers::new(limits.peers, limits.ask_after),
            wanted: VecDeque::new(),
            running: HashSet::new(),
            scanning: HashSet::new(),
            out: VecDeque::new(),
            limits,
            now,
        }
    }

    /// Devices that are known.
    pub fn found(&self) -> impl Iterator<Item = &Found> {
        self.peers.found()
    }

    /// When a device that is known was heard last.
    pub fn heard_at(&self, fingerprint: &Fingerprint) -> Option<Instant> {
        self.peers.heard_at(fingerprint)
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.now = now;
        match input {
            Input::Interfaces(interfaces) => self.set_interfaces(interfaces),
            Input::Me(me) => {
                let changed = me != self.me;
                self.me = me;
                if changed && self.announces {
                    self.announce(|_| true);
                }
            }
            Input::Announce => {
                self.announces = true;
                self.announce(|_| true);
            }
            Input::Hush => {
                self.announces = false;
                self.due.clear();
                self.wanted.clear();
                self.scanning.clear();
            }
            Input::Scan => self.scan(),
            Input::Look(address) => self.look(address),
            Input::Datagram { from, interface, bytes } => self.datagram(from, interface, bytes),
            Input::Registered(announced, peer) => {
                let at = target(announced, peer.port(announced.port));
                let verified = peer.is(&announced.info.fingerprint);
                self.heard(&announced.info, at, verified);
            }
            Input::Answered { target, certificate, body } => self.answered(target, certificate, body),
            Input::Failed { target, connected } => self.failed(target, connected),
            Input::Timeout => self.timeout(),
        }
        self.register_more();
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| {
            let due = self.due.iter().map(|(at, _)| *at);
            let asking = self.announces.then(|| self.peers.next_asking()).flatten();
            Output::Wait(due.chain(asking).min().unwrap_or_else(|| super::http::far(self.now)))
        })
    }

    fn set_interfaces(&mut self, interfaces: Vec<Interface>) {
        let before = std::mem::replace(&mut self.interfaces, interfaces);
        let interfaces = &self.interfaces;
        self.due.retain(|(_, index)| interfaces.iter().any(|interface| interface.index == *index));
        if self.announces {
            self.announce(|interface| !before.contains(interface));
        }
    }

    fn announce(&mut self, on: impl Fn(&Interface) -> bool) {
        let indices: Vec<u32> = self.interfaces.iter().filter(|interface| on(interface)).map(|i| i.index).collect();
        self.due.retain(|(_, index)| !indices.contains(index));
        let now = self.now;
        self.due.extend(indices.iter().flat_map(|index| ANNOUNCE_AT.map(|after| (now + after, *index))));
    }

    fn timeout(&mut self) {
        let now = self.now;
        let (ready, later): (Vec<_>, Vec<_>) = self.due.drain(..).partition(|(at, _)| *at <= now);
        self.due = later;
        for (_, index) in ready {
            self.say(index);
        }
        if self.announces {
            for target in self.peers.due(now) {
                self.want(target);
            }
        }
    }

    fn say(&mut self, index: u32) {
        let Some(interface) = self.interfaces.iter().find(|interface| interface.index == index) else { return };
        let announcement = Announcement { announce: true, ..self.me.clone() };
        let has = |v4: bool| interface.addresses.iter().any(|(address, _)| address.is_ipv4() == v4);
        let v4 = has(true).then(|| SocketAddr::from((GROUP_V4, PORT)));
        let v6 = has(false).then(|| SocketAddrV6::new(GROUP_V6, PORT, 0, index).into());
        for to in v4.into_iter().chain(v6) {
            let (bytes, fields) = (announcement.to_datagram(), announcement.fields());
            self.out.push_back(Output::Datagram { interface: index, to, bytes, fields });
        }
    }

    fn datagram(&mut self, from: SocketAddr, interface: u32, bytes: &[u8]) {
        let address = from.ip().to_canonical();
        if !self.is_near(address, interface) || !self.datagrams.allow(address, self.now) {
            return;
        }
        let Ok(announced) = Announcement::parse_datagram(bytes) else { return };
        // A low port is some other service of that host, which we would be made to call.
        if announced.info.fingerprint == self.me.info.fingerprint || announced.port < 1024 {
            return;
        }
        let mut address = SocketAddr::new(address, announced.port);
        if let SocketAddr::V6(v6) = &mut address
            && v6.ip().is_unicast_link_local()
        {
            v6.set_scope_id(interface);
        }
        let at = target(&announced, address);
        let is_new = self.heard(&announced.info, at.clone(), false);
        // An answer to us wants none; but who is new has yet to prove who it is.
        if (announced.announce || is_new) && self.announces && self.answers.allow(address, self.now) {
            self.want(at);
        }
    }

    /// Only neighbours: whoever forges a source makes us call it.
    fn is_near(&self, address: IpAddr, index: u32) -> bool {
        let on = |interface: &Interface| {
            interface.addresses.iter().any(|(ours, prefix)| same_network(*ours, address, *prefix))
        };
        let always = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        always || self.interfaces.iter().filter(|interface| interface.index == index).any(on)
    }

    fn answered(&mut self, target: Target, certificate: Option<Fingerprint>, body: &[u8]) {
        self.over(&target);
        let Ok(info) = DeviceInfo::parse(body) else { return };
        let is_liar = certificate.as_ref().is_some_and(|certificate| *certificate != info.fingerprint);
        if is_liar || info.fingerprint == self.me.info.fingerprint {
            return;
        }
        let at = Target { fingerprint: Some(info.fingerprint.clone()), ..target };
        self.heard(&info, at, certificate.is_some());
    }

    fn failed(&mut self, target: Target, connected: bool) {
        let scanned = self.scanning.contains(&target.address);
        if scanned && connected && target.protocol == Protocol::Https {
            let plain = Target { protocol: Protocol::Http, ..target.clone() };
            self.running.remove(&target);
            self.wanted.push_back(plain);
            return;
        }
        self.over(&target);
        if let Some((lost, heard)) = self.peers.silent(&target) {
            self.out.push_back(Output::Event(Event::Lost(lost, heard)));
        }
    }

    fn over(&mut self, target: &Target) {
        self.running.remove(target);
        if self.scanning.remove(&target.address) && self.scanning.is_empty() {
            self.out.push_back(Output::Event(Event::Scanned));
        }
    }

    fn look(&mut self, address: SocketAddr) {
        if self.scanning.len() < self.limits.scanned && self.scanning.insert(address) {
            self.wanted.push_back(Target { address, protocol: Protocol::Https, fingerprint: None });
        }
    }

    fn scan(&mut self) {
        let networks = self.interfaces.iter().flat_map(|interface| interface.addresses.iter());
        let ours: HashSet<IpAddr> = networks.clone().map(|(address, _)| *address).collect();
        let mut hosts = Vec::new();
        for (address, prefix) in networks {
            let (IpAddr::V4(address), prefix) = (address, (*prefix).clamp(24, 32)) else { continue };
            if address.is_loopback() {
                continue;
            }
            let size = 1u32 << (32 - prefix);
            let first = u32::from(*address) & !(size - 1);
            let all = (first..=first + (size - 1)).skip(usize::from(size > 2)).take(if size > 2 {
                size as usize - 2
            } else {
                size as usize
            });
            hosts.extend(all.map(Ipv4Addr::from).map(IpAddr::from).filter(|host| !ours.contains(host)));
        }
        hosts.dedup();
        hosts.truncate(self.limits.scanned);
        for host in hosts {
            self.look(SocketAddr::new(host, PORT));
        }
        if self.scanning.is_empty() {
            self.out.push_back(Output::Event(Event::Scanned));
        }
    }

    /// Whether it is new.
    fn heard(&mut self, info: &DeviceInfo, at: Target, verified: bool) -> bool {
        match self.peers.heard(info, at, verified, self.now) {
            Heard::New(found) => {
                self.out.push_back(Output::Event(Event::Found(found)));
                return true;
            }
            Heard::Changed(found) => self.out.push_back(Output::Event(Event::Changed(found))),
            Heard::Same | Heard::Ignored => {}
        }
        false
    }

    fn want(&mut self, target: Target) {
        if self.wanted.len() < self.limits.scanned && !self.wanted.contains(&target) && !self.running.contains(&target)
        {
            self.wanted.push_back(target);
        }
    }

    fn register_more(&mut self) {
        while self.running.len() < self.limits.registers {
            let Some(target) = self.wanted.pop_front() else { return };
            if self.running.insert(target.clone()) {
                self.out.push_back(Output::Register(target));
            }
        }
    }
}

fn target(announced: &Announcement, address: SocketAddr) -> Target {
    Target { address, protocol: announced.protocol, fingerprint: Some(announced.info.fingerprint.clone()) }
}

fn same_network(ours: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let differ = match (ours, other) {
        (IpAddr::V4(ours), IpAddr::V4(other)) => (u32::from(ours) ^ u32::from(other)).leading_zeros(),
        (IpAddr::V6(ours), IpAddr::V6(other)) => (u128::from(ours) ^ u128::from(other)).leading_zeros(),
        _ => return false,
    };
    differ >= u32::from(prefix)
}

/// For the fuzzer: a datagram from a neighbour.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let now = Instant::now();
    let info = DeviceInfo::new("fuzz", super::DeviceType::Desktop, Fingerprint::of(b"fuzz"));
    let me = Announcement { info, port: PORT, protocol: Protocol::Https, announce: false };
    let mut discovery = Discovery::new(me, Limits::default(), now);
    discovery.handle(Input::Announce, now);
    for (interface, portion) in bytes.chunks(400).enumerate() {
        let from = SocketAddr::from(([169, 254, 0, 2], PORT));
        discovery.handle(Input::Datagram { from, interface: interface as u32, bytes: portion }, now);
        while let Output::Register(_) | Output::Event(_) | Output::Datagram { .. } = discovery.poll_output() {}
    }
}

#[cfg(test)]
mod tests;
