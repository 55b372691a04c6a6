//! The two halves put together: datagrams are parsed, counted and handed to responder and querier.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::api::{
    Config, Event, GROUP_V4, GROUP_V6, Interface, Output, PORT, Publication, PublicationId, Transmit, WishError,
};
use crate::chance::Chance;
use crate::message;
use crate::querier::Querier;
use crate::responder::Responder;

/// Fits every link without fragments.
pub(crate) const PAYLOAD: usize = 1400;
/// Most source addresses counted apart within one second.
const MAX_SOURCES: usize = 1024;
/// Most datagrams looked at per second from all sources.
const MAX_PER_SECOND: u32 = 5000;
const SECOND: Duration = Duration::from_secs(1);

/// What both halves share: interfaces, chance, and the way out.
pub(crate) struct Shared {
    pub config: Config,
    pub interfaces: Vec<Interface>,
    pub chance: Chance,
    pub outputs: VecDeque<Output>,
    /// Own datagrams of late, to know them again when they come back.
    sent: VecDeque<(Duration, u64)>,
}

impl Shared {
    pub(crate) fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.index == index)
    }
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        self.interfaces.iter().any(|interface| interface.addresses.contains(&ip))
    }
    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
    pub(crate) fn unicast(&mut self, interface: u32, to: SocketAddr, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Transmit(Transmit { interface, to, bytes }));
    }
    /// To both groups of an interface, as far as it has addresses of their family.
    pub(crate) fn multicast(&mut self, index: u32, bytes: &[u8], now: Duration) {
        let Some(interface) = self.interface(index) else { return };
        let v4 = interface.addresses.iter().any(IpAddr::is_ipv4);
        let v6 = interface.addresses.iter().any(IpAddr::is_ipv6);
        let groups =
            [v4.then_some(SocketAddr::from((GROUP_V4, PORT))), v6.then_some(SocketAddr::from((GROUP_V6, PORT)))];
        for to in groups.into_iter().flatten() {
            if self.sent.len() >= 64 {
                self.sent.pop_front();
            }
            self.sent.push_back((now, fingerprint(index, bytes)));
            self.unicast(index, to, bytes.to_vec());
        }
    }
    /// True once for every copy of an own datagram that comes back.
    fn came_back(&mut self, from: SocketAddr, interface: u32, bytes: &[u8], now: Duration) -> bool {
        self.sent.retain(|(at, _)| now.saturating_sub(*at) < 2 * SECOND);
        if from.port() != PORT || !self.is_own(from.ip()) {
            return false;
        }
        let print = fingerprint(interface, bytes);
        let found = self.sent.iter().position(|(_, known)| *known == print);
        found.is_some_and(|at| self.sent.remove(at).is_some())
    }
}

fn fingerprint(interface: u32, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (interface, bytes).hash(&mut hasher);
    hasher.finish()
}

/// Responder and querier in one. Time is monotonic, since any fixed moment.
pub struct Core {
    shared: Shared,
    responder: Responder,
    querier: Querier,
    second: Duration,
    heard: HashMap<IpAddr, u32>,
    heard_in_all: u32,
}

impl Core {
    /// A core that knows nothing and sends nothing.
    pub fn new(config: Config) -> Self {
        let chance = Chance::new(config.seed);
        let (interfaces, outputs, sent) = (Vec::new(), VecDeque::new(), VecDeque::new());
        Self {
            shared: Shared { config, interfaces, chance, outputs, sent },
            responder: Responder::default(),
            querier: Querier::default(),
            second: Duration::ZERO,
            heard: HashMap::new(),
            heard_in_all: 0,
        }
    }

    /// Takes a datagram that arrived on `interface`. The driver hands in only what came from the local link
    /// (by group, or by an address of a network of the interface). Malformed ones, and more than the limits
    /// allow, are dropped.
    pub fn handle_datagram(&mut self, from: SocketAddr, interface: u32, bytes: &[u8], now: Duration) {
        if self.shared.interface(interface).is_none()
            || self.shared.came_back(from, interface, bytes, now)
            || !self.may_speak(from.ip(), now)
        {
            return;
        }
        let Some(message) = message::parse(bytes) else { return };
        if !message.response {
            self.responder.query(&mut self.shared, from, interface, &message, now);
        } else if from.port() == PORT {
            self.responder.response(&mut self.shared, from, &message, now);
            let responder = &self.responder;
            self.querier.response(&mut self.shared, from, interface, &message, now, |name| responder.is_own(name));
        }
        self.handle_timeout(now);
    }

    /// The time named by [`Self::poll_timeout`] has come. Harmless when early.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.responder.advance(&mut self.shared, now);
        self.querier.advance(&mut self.shared, now);
    }

    /// The interfaces there are now, all of them. On new ones publications are announced and questions asked;
    /// where an address changed, publications are announced again. What was heard on one that is gone stays
    /// until its time to live is over or it is asked for in vain.
    pub fn set_interfaces(&mut self, interfaces: Vec<Interface>, now: Duration) {
        let before = std::mem::replace(&mut self.shared.interfaces, interfaces);
        let mut fresh = false;
        for interface in self.shared.interfaces.clone() {
            match before.iter().find(|old| old.index == interface.index) {
                None => {
                    fresh = true;
                    self.responder.interface_up(&mut self.shared, interface.index, now);
                }
                Some(old) if old.addresses != interface.addresses => {
                    fresh = true;
                    self.responder.addresses_changed(interface.index, now);
                }
                Some(_) => {}
            }
        }
        let shared = &self.shared;
        self.responder.keep_interfaces(|index| shared.interface(index).is_some());
        if fresh {
            self.querier.ask_anew(&mut self.shared, now);
        }
        self.handle_timeout(now);
    }

    /// Probes for the names, then announces the service until [`Self::unpublish`].
    ///
    /// # Errors
    /// [`WishError::TooMany`].
    pub fn publish(&mut self, publication: Publication, now: Duration) -> Result<PublicationId, WishError> {
        let id = self.responder.publish(&mut self.shared, publication, now)?;
        self.handle_timeout(now);
        Ok(id)
    }
    /// Replaces the attributes of a publication and announces them. Without effect when it is not published.
    pub fn set_attributes(&mut self, publication: PublicationId, like: &Publication, now: Duration) {
        self.responder.set_attributes(publication, like, now);
        self.handle_timeout(now);
    }
    /// Says goodbye: send what [`Self::poll`] gives before closing sockets.
    pub fn unpublish(&mut self, publication: PublicationId, now: Duration) {
        self.responder.unpublish(&mut self.shared, publication, now);
    }

    /// Looks for services of a type, or of a subtype (`_L3840._sub._matterc._udp`), until [`Self::stop_browse`]. What is
    /// found by a subtype is told under its type, and once, however many pointers name it.
    ///
    /// # Errors
    /// [`WishError`] when it is no type, or too many are browsed.
    pub fn browse(&mut self, service: &str, now: Duration) -> Result<(), WishError> {
        self.querier.browse(&mut self.shared, service, now)
    }
    /// Asks again now, as when browsing began (the user looks, the machine woke up).
    pub fn refresh(&mut self, now: Duration) {
        self.querier.ask_anew(&mut self.shared, now);
    }
    /// Stops looking; what was found by this type or subtype alone is forgotten without events: type and name of each.
    pub fn stop_browse(&mut self, service: &str) -> Vec<(String, String)> {
        self.querier.stop_browse(service)
    }
    /// Looks for one instance by its name, without looking for others of its type, until [`Self::stop_resolve`]: asked ever
    /// more seldom while it is not there, at least every five minutes.
    ///
    /// # Errors
    /// [`WishError`] when it is no type or name, or too many are looked for.
    pub fn resolve(&mut self, service: &str, name: &str, now: Duration) -> Result<(), WishError> {
        self.querier.resolve(&mut self.shared, service, name, now)
    }
    /// Stops looking for it; true when it is forgotten, without an event, since nobody else looks for it.
    pub fn stop_resolve(&mut self, service: &str, name: &str) -> bool {
        self.querier.stop_resolve(service, name)
    }
    /// Nothing answers there (a connection failed): asks for this instance now, and reports it lost when
    /// nothing is heard of it within ten seconds.
    pub fn doubt(&mut self, service: &str, name: &str, now: Duration) {
        self.querier.doubt(service, name, now);
        self.handle_timeout(now);
    }

    /// The next thing to do; `None` when there is nothing until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }
    /// When to call [`Self::handle_timeout`]; `None` when nothing is waiting.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.responder.next().into_iter().chain(self.querier.next()).min()
    }

    fn may_speak(&mut self, source: IpAddr, now: Duration) -> bool {
        if now.saturating_sub(self.second) >= SECOND {
            self.second = now;
            self.heard.clear();
            self.heard_in_all = 0;
        }
        self.heard_in_all += 1;
        if self.heard_in_all > MAX_PER_SECOND || (self.heard.len() >= MAX_SOURCES && !self.heard.contains_key(&source))
        {
            return false;
        }
        let heard = self.heard.entry(source).or_default();
        *heard += 1;
        // Hubs of this very machine share its addresses.
        *heard <= self.shared.config.max_datagrams_per_second || self.shared.is_own(source)
    }
}

/// Entry for fuzzing: any bytes as datagrams (cut at length bytes) to a core that publishes and browses, with
/// time passing in between.
pub fn fuzz_core(bytes: &[u8]) {
    let mut now = SECOND;
    let mut core = Core::new(Config::with_seed(1));
    core.set_interfaces(vec![Interface { index: 1, addresses: vec![[192, 0, 2, 1].into()] }], now);
    if let Ok(publication) = Publication::new("_a._udp", "b", "b", 1) {
        let _ = core.publish(publication, now);
    }
    for wished in ["_a._udp", "_s._sub._a._udp"] {
        let _ = core.browse(wished, now);
    }
    let _ = core.resolve("_a._udp", "c", now);
    let mut rest = bytes;
    while let Some(([time, source, len], tail)) = rest.split_first_chunk() {
        now += Duration::from_millis(u64::from(*time) * 20);
        core.handle_timeout(now);
        let (datagram, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        let port = if *source < 200 { PORT } else { 40000 };
        core.handle_datagram(SocketAddr::from(([192, 0, 2, source % 8], port)), 1, datagram, now);
        rest = tail;
        while core.poll().is_some() {}
    }
    for _ in 0..50 {
        let Some(next) = core.poll_timeout() else { break };
        now = now.max(next);
        core.handle_timeout(now);
        assert!(core.poll_timeout().is_none_or(|at| at > now), "a timeout that was handled is not due any more");
        while core.poll().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Data, PTR, Question, Record, Section, Writer};
    use crate::name::Name;

    fn names() -> impl Strategy<Value = Name> {
        let fixed = ["_a._udp", "_s._sub._a._udp", "b._a._udp", "c._a._udp", "b", "c", "_services._dns-sd._udp"];
        proptest::sample::select(fixed.map(|text| Name::local(text).unwrap()).to_vec())
    }
    fn records() -> impl Strategy<Value = Record> {
        let data = prop_oneof![
            names().prop_map(Data::Ptr),
            (any::<u16>(), names()).prop_map(|(port, target)| Data::Srv { priority: 0, weight: 0, port, target }),
            any::<[u8; 2]>().prop_map(|[a, b]| Data::Address([192, 0, a % 4, b].into())),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Data::Txt),
        ];
        let ttl = proptest::sample::select(vec![0, 1, 120, 4500, u32::MAX]);
        (names(), any::<bool>(), ttl, data).prop_map(|(name, flush, ttl, data)| Record { name, flush, ttl, data })
    }

    proptest! {
        #[test]
        fn a_core_survives_any_datagrams(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            fuzz_core(&bytes);
        }
        #[test]
        fn a_core_survives_meaningful_datagrams_in_any_order(
            datagrams in proptest::collection::vec(
                (any::<[u8; 2]>(), any::<bool>(), proptest::collection::vec((names(), any::<u16>(), any::<bool>()), 0..3),
                 proptest::collection::vec((1usize..4, records()), 0..4)), 0..12)
        ) {
            let mut stream = Vec::new();
            for (head, response, questions, mut records) in datagrams {
                let mut writer = Writer::new(0, response, 255);
                for (name, kind, unicast) in questions {
                    let kind = if kind % 2 == 0 { PTR } else { 255 };
                    writer.question(&Question { name, kind, unicast });
                }
                records.sort_by_key(|(section, _)| *section);
                for (section, record) in &records {
                    let section = [Section::Answer, Section::Authority, Section::Additional][section - 1];
                    writer.record(section, record);
                }
                let bytes = writer.finish();
                stream.extend(head);
                stream.push(bytes.len() as u8);
                stream.extend(bytes);
            }
            fuzz_core(&stream);
        }
    }
}
