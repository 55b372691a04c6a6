//! Who is here: searches go out, words of renderers come in, and their descriptions are asked for, each within limits.
//!
//! Whoever speaks on the network can claim to be any renderer; nothing in UPnP proves it. So a renderer that is here stays
//! where it was found until it is gone from there: it says good-bye from that host, its time runs out, or it no longer
//! answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::description::Renderer;
use super::place::Place;
use super::ssdp::{self, GROUP, Message, PORT, Udn};

/// Limits and intervals.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many renderers are here at most, beside those that are kept.
    pub renderers: usize,
    /// How many of them on one host.
    pub of_host: usize,
    /// How many descriptions are fetched at once, and wait for that.
    pub fetches: usize,
    /// How many datagrams are read in a second, of hosts where a renderer is, and as many of all others.
    pub datagrams: u32,
    /// How long before a description that could not be read is fetched again.
    pub again: Duration,
    /// How often a description is read anew.
    pub anew: Duration,
    /// How often one searches unasked.
    pub search: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            renderers: 64,
            of_host: 8,
            fetches: 8,
            datagrams: 200,
            again: Duration::from_secs(60),
            anew: Duration::from_secs(3600),
            search: Duration::from_secs(600),
        }
    }
}

/// When after the beginning of a search its datagrams are sent: they get lost.
const REPEATS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_millis(1500)];
/// Within how many seconds devices answer.
const MX: u8 = 2;
/// A search that is asked for again sooner is the same one.
const SEARCH_AT_MOST_EVERY: Duration = Duration::from_secs(3);
/// Places that could not be read, of which one remembers that.
const MAX_FAILED: usize = 256;

/// An interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// The system's number for it.
    pub index: u32,
    /// Our address there.
    pub address: Ipv4Addr,
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The interfaces now.
    Interfaces(Vec<Interface>),
    /// The owner looks for devices.
    Search,
    /// The renderers that the owner added: there is always room for them.
    Kept(BTreeSet<Udn>),
    /// A datagram came.
    Datagram {
        /// Who sent it.
        from: SocketAddr,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// What became of a fetch.
    Described {
        /// Where.
        location: &'a Place,
        /// What is described there; none when it could not be read.
        found: Vec<Renderer>,
    },
    /// A renderer no longer answers.
    Silent(&'a Udn),
    /// [`Output::Wait`] is over.
    Timeout,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Datagram {
        /// On this interface.
        interface: u32,
        /// To here.
        to: SocketAddr,
        /// This.
        bytes: Vec<u8>,
    },
    /// Fetch a description; answered by [`Input::Described`].
    Fetch(Place),
    /// Something is new.
    Event(Event),
    /// Nothing until then.
    Wait(Instant),
}

/// What is new.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A renderer is here, or is described differently.
    Found(Box<Found>),
    /// It says once more that it is here.
    Again(Udn),
    /// It is gone.
    Lost(Udn),
}

/// A renderer that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub renderer: Renderer,
    /// Where its description is.
    pub location: Place,
}

struct Here {
    found: Found,
    until: Instant,
    described: Instant,
}

/// The machine.
pub struct Discovery {
    limits: Limits,
    interfaces: Vec<Interface>,
    kept: BTreeSet<Udn>,
    here: BTreeMap<Udn, Here>,
    /// Places that are being fetched or wait for it, with how long what is described there will stay.
    fetches: BTreeMap<Place, Duration>,
    waiting: VecDeque<Place>,
    failed: BTreeMap<Place, Instant>,
    /// When the running search began, and how many of its datagrams were sent.
    search: (Instant, usize),
    /// The second in which datagrams are counted: of hosts where a renderer is, and of all others, whose flood is not to
    /// drown those.
    counted: (Instant, [u32; 2]),
    outputs: VecDeque<Output>,
}

impl Discovery {
    /// Begins with a search.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            interfaces: Vec::new(),
            kept: BTreeSet::new(),
            here: BTreeMap::new(),
            fetches: BTreeMap::new(),
            waiting: VecDeque::new(),
            failed: BTreeMap::new(),
            search: (now, 0),
            counted: (now, [0; 2]),
            outputs: VecDeque::new(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Interfaces(interfaces) => {
                if interfaces != self.interfaces {
                    self.interfaces = interfaces;
                    self.search = (now, 0);
                }
            }
            Input::Search => {
                if now >= self.search.0 + SEARCH_AT_MOST_EVERY {
                    self.failed.clear();
                    self.search = (now, 0);
                }
            }
            Input::Kept(kept) => self.kept = kept,
            Input::Datagram { from, bytes } => self.datagram(from, bytes, now),
            Input::Described { location, found } => self.described(location, found, now),
            Input::Silent(udn) => self.lose(udn),
            Input::Timeout => {}
        }
        self.search_on(now);
        let over = |here: &Here| here.until <= now;
        let gone: Vec<Udn> = self.here.iter().filter(|(_, here)| over(here)).map(|(udn, _)| udn.clone()).collect();
        gone.iter().for_each(|udn| self.lose(udn));
        self.failed.retain(|_, until| *until > now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.wake()))
    }

    /// How many renderers are here.
    pub fn count(&self) -> usize {
        self.here.len()
    }

    fn wake(&self) -> Instant {
        let (began, sent) = self.search;
        let next = began + REPEATS.get(sent).copied().unwrap_or(self.limits.search);
        self.here.values().map(|here| here.until).chain([next]).min().unwrap_or(next)
    }

    fn search_on(&mut self, now: Instant) {
        let (began, sent) = self.search;
        if sent >= REPEATS.len() && now >= began + self.limits.search {
            self.search = (now, 0);
        }
        while let Some(after) = REPEATS.get(self.search.1).filter(|after| now >= self.search.0 + **after) {
            // What is late is sent once, not in a burst.
            let _ = after;
            self.search.1 += 1;
            let due = REPEATS.get(self.search.1).is_none_or(|next| now < self.search.0 + *next);
            if due {
                self.send_search();
            }
        }
    }

    fn send_search(&mut self) {
        for interface in &self.interfaces {
            let to = SocketAddr::from((GROUP, PORT));
            self.outputs.push_back(Output::Datagram { interface: interface.index, to, bytes: ssdp::search(MX) });
        }
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        if now >= self.counted.0 + Duration::from_secs(1) {
            self.counted = (now, [0; 2]);
        }
        let IpAddr::V4(host) = from.ip() else { return };
        let stranger = !self.here.values().any(|here| at(&here.found) == host);
        let counted = &mut self.counted.1[usize::from(stranger)];
        *counted += 1;
        if *counted > self.limits.datagrams {
            return;
        }
        match ssdp::parse(bytes, host) {
            Some(Message::Here { udn, location, stays }) => self.is_here(udn, location, stays, now),
            Some(Message::Leaves { udn }) if self.here.get(&udn).is_some_and(|here| at(&here.found) == host) => {
                self.lose(&udn);
            }
            Some(Message::Leaves { .. }) | None => {}
        }
    }

    fn is_here(&mut self, udn: Udn, location: Place, stays: Duration, now: Instant) {
        if let Some(here) = self.here.get_mut(&udn) {
            if at(&here.found) != *location.at.ip() {
                return;
            }
            if here.found.location == location {
                here.until = now + stays;
                if now < here.described + self.limits.anew {
                    return self.outputs.push_back(Output::Event(Event::Again(udn)));
                }
            }
        } else if !self.has_room(&udn, *location.at.ip()) {
            return;
        }
        let kept = self.kept.contains(&udn);
        self.fetch(location, stays, kept);
    }

    fn has_room(&self, udn: &Udn, host: Ipv4Addr) -> bool {
        let strangers = || self.here.iter().filter(|(known, _)| !self.kept.contains(known));
        let of_host = strangers().filter(|(_, here)| at(&here.found) == host).count();
        self.kept.contains(udn) || (strangers().count() < self.limits.renderers && of_host < self.limits.of_host)
    }

    fn fetch(&mut self, location: Place, stays: Duration, kept: bool) {
        // One host is not to take the places of all, and strangers not those of devices that the owner added.
        let of_host = self.fetches.keys().filter(|place| place.at.ip() == location.at.ip()).count();
        let most = self.limits.fetches * if kept { 5 } else { 4 };
        let full = self.fetches.len() >= most || of_host >= self.limits.fetches / 2;
        if full || self.failed.contains_key(&location) || self.fetches.contains_key(&location) {
            return;
        }
        self.fetches.insert(location.clone(), stays);
        if kept {
            self.waiting.push_front(location);
        } else {
            self.waiting.push_back(location);
        }
        self.fetch_next();
    }

    fn fetch_next(&mut self) {
        while self.fetches.len() - self.waiting.len() < self.limits.fetches {
            let Some(place) = self.waiting.pop_front() else { return };
            self.outputs.push_back(Output::Fetch(place));
        }
    }

    fn described(&mut self, location: &Place, found: Vec<Renderer>, now: Instant) {
        let Some(stays) = self.fetches.remove(location) else { return };
        if found.is_empty() && self.failed.len() < MAX_FAILED {
            self.failed.insert(location.clone(), now + self.limits.again);
        }
        for renderer in found {
            let udn = renderer.udn.clone();
            let fits = match self.here.get(&udn) {
                Some(here) => at(&here.found) == *location.at.ip(),
                None => self.has_room(&udn, *location.at.ip()),
            };
            if !fits {
                continue;
            }
            let found = Found { renderer, location: location.clone() };
            let changed = self.here.get(&udn).is_none_or(|here| here.found != found);
            self.here.insert(udn.clone(), Here { found: found.clone(), until: now + stays, described: now });
            let event = if changed { Event::Found(Box::new(found)) } else { Event::Again(udn) };
            self.outputs.push_back(Output::Event(event));
        }
        self.fetch_next();
    }

    fn lose(&mut self, udn: &Udn) {
        if self.here.remove(udn).is_some() {
            self.outputs.push_back(Output::Event(Event::Lost(udn.clone())));
        }
    }
}

fn at(found: &Found) -> Ipv4Addr {
    *found.location.at.ip()
}

/// Entry for fuzzing: any bytes as datagrams, one after the other.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut now = Instant::now();
    let mut discovery = Discovery::new(Limits::default(), now);
    discovery.handle(Input::Interfaces(vec![Interface { index: 1, address: Ipv4Addr::new(10, 0, 0, 1) }]), now);
    for (number, datagram) in bytes.split(|byte| *byte == 0).enumerate() {
        let host = Ipv4Addr::new(10, 0, 0, u8::try_from(number % 4).unwrap_or_default() + 2);
        discovery.handle(Input::Datagram { from: (host, 1900).into(), bytes: datagram }, now);
        for _ in 0..64 {
            match discovery.poll_output() {
                Output::Fetch(place) => {
                    assert!(*place.at.ip() == host && !place.path.contains(['\r', '\n', ' ']));
                    discovery.handle(Input::Described { location: &place, found: Vec::new() }, now);
                }
                Output::Wait(until) => {
                    now = now.max(until.min(now + Duration::from_millis(100)));
                    break;
                }
                _ => {}
            }
        }
        discovery.handle(Input::Timeout, now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::description::Service;
    use super::*;

    fn host(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 1900))
    }

    fn alive(uuid: &str, location: &str) -> Vec<u8> {
        let kind = ssdp::RENDERER;
        format!("NOTIFY * HTTP/1.1\r\nNT: {kind}\r\nNTS: ssdp:alive\r\nUSN: uuid:{uuid}::{kind}\r\nLOCATION: {location}\r\nCACHE-CONTROL: max-age=100\r\n\r\n").into_bytes()
    }

    fn byebye(uuid: &str) -> Vec<u8> {
        let kind = ssdp::RENDERER;
        format!("NOTIFY * HTTP/1.1\r\nNT: {kind}\r\nNTS: ssdp:byebye\r\nUSN: uuid:{uuid}::{kind}\r\n\r\n").into_bytes()
    }

    fn renderer(uuid: &str, location: &Place) -> Renderer {
        Renderer {
            told: Vec::new(),
            udn: Udn::parse(&format!("uuid:{uuid}")).unwrap(),
            name: uuid.to_owned(),
            maker: None,
            model: None,
            transport: Service { kind: "k".into(), control: location.clone(), scpd: None },
            rendering: None,
            connection: None,
        }
    }

    struct Lab {
        discovery: Discovery,
        now: Instant,
    }

    impl Lab {
        fn new() -> Self {
            let now = Instant::now();
            let mut discovery = Discovery::new(Limits::default(), now);
            let interfaces = vec![Interface { index: 1, address: Ipv4Addr::new(10, 0, 0, 1) }];
            discovery.handle(Input::Interfaces(interfaces), now);
            Self { discovery, now }
        }
        fn hear(&mut self, from: u8, bytes: &[u8]) {
            self.discovery.handle(Input::Datagram { from: host(from), bytes }, self.now);
        }
        fn after(&mut self, seconds: u64) -> Vec<Output> {
            self.now += Duration::from_secs(seconds);
            self.discovery.handle(Input::Timeout, self.now);
            self.said()
        }
        fn said(&mut self) -> Vec<Output> {
            let mut said = Vec::new();
            loop {
                match self.discovery.poll_output() {
                    Output::Wait(_) => return said,
                    output => said.push(output),
                }
            }
        }
        /// Hears, and answers the fetch with this renderer.
        fn found(&mut self, uuid: &str, from: u8) -> Vec<Output> {
            let location = format!("http://10.0.0.{from}:80/{uuid}");
            self.hear(from, &alive(uuid, &location));
            self.described(uuid)
        }
        fn described(&mut self, uuid: &str) -> Vec<Output> {
            for output in self.said() {
                if let Output::Fetch(place) = output {
                    let found = vec![renderer(uuid, &place)];
                    self.discovery.handle(Input::Described { location: &place, found }, self.now);
                }
            }
            self.said()
        }
    }

    #[test]
    fn a_search_is_sent_three_times_then_rarely() {
        let mut lab = Lab::new();
        let searches = |said: Vec<Output>| said.iter().filter(|one| matches!(one, Output::Datagram { .. })).count();
        assert_eq!(searches(lab.said()), 1);
        lab.now += Duration::from_millis(300);
        assert_eq!([searches(lab.after(0)), searches(lab.after(2)), searches(lab.after(500))], [1, 1, 0]);
        lab.discovery.handle(Input::Search, lab.now);
        lab.discovery.handle(Input::Search, lab.now);
        assert_eq!(searches(lab.said()), 1, "asked for twice at once is asked for once");
        assert_eq!(searches(lab.after(3600)), 1, "what is late is not sent in a burst");
    }

    #[test]
    fn a_renderer_is_found_stays_and_goes() {
        let mut lab = Lab::new();
        let said = lab.found("a", 2);
        assert!(matches!(&said[..], [Output::Event(Event::Found(found))] if found.renderer.name == "a"), "{said:?}");
        lab.after(90);
        lab.hear(2, &alive("a", "http://10.0.0.2:80/a"));
        assert!(matches!(&lab.said()[..], [Output::Event(Event::Again(_))]));
        assert!(!lab.after(90).iter().any(|one| matches!(one, Output::Event(_))), "its time began anew");
        assert!(lab.after(20).iter().any(|one| matches!(one, Output::Event(Event::Lost(_)))), "its time is over");
        lab.found("a", 2);
        lab.hear(2, &byebye("a"));
        assert!(matches!(&lab.said()[..], [Output::Event(Event::Lost(_))]));
    }

    #[test]
    fn nobody_takes_the_place_of_a_renderer_that_is_here_or_sends_it_away() {
        let mut lab = Lab::new();
        lab.found("a", 2);
        lab.hear(3, &byebye("a"));
        lab.hear(3, &alive("a", "http://10.0.0.3:80/a"));
        assert!(lab.said().is_empty());
        // A description elsewhere claims it too.
        lab.hear(3, &alive("b", "http://10.0.0.3:80/b"));
        assert!(lab.described("a").is_empty());
        let udn = Udn::parse("uuid:a").unwrap();
        lab.discovery.handle(Input::Silent(&udn), lab.now);
        lab.said();
        let said = lab.found("a", 3);
        assert!(matches!(&said[..], [Output::Event(Event::Found(_))]), "it moved: {said:?}");
    }

    #[test]
    fn a_flood_takes_little_and_leaves_room_for_added_renderers() {
        let mut lab = Lab::new();
        let mut fetched = 0;
        for number in 0..100_000u32 {
            let from = u8::try_from(number % 200).unwrap() + 10;
            lab.hear(from, &alive(&format!("x{number}"), &format!("http://10.0.0.{from}:80/{number}")));
            fetched += lab.said().iter().filter(|one| matches!(one, Output::Fetch(_))).count();
        }
        assert_eq!(fetched, Limits::default().fetches, "nobody answered yet");
        assert!(lab.discovery.fetches.len() <= 32 && lab.discovery.outputs.is_empty());
        let kept = Udn::parse("uuid:kept").unwrap();
        lab.discovery.handle(Input::Kept(BTreeSet::from([kept.clone()])), lab.now);
        lab.now += Duration::from_secs(2);
        lab.hear(9, &alive("kept", "http://10.0.0.9:80/kept"));
        assert_eq!(lab.discovery.waiting.front().map(|place| *place.at.ip()), Some(Ipv4Addr::new(10, 0, 0, 9)));
        for place in lab.discovery.fetches.keys().cloned().collect::<Vec<_>>() {
            let found = if place.path == "/kept" { vec![renderer("kept", &place)] } else { Vec::new() };
            lab.discovery.handle(Input::Described { location: &place, found }, lab.now);
        }
        lab.said();
        for number in 0..20_000u32 {
            lab.now += Duration::from_millis(4);
            lab.found(&format!("y{number}"), u8::try_from(number % 200).unwrap() + 10);
        }
        assert_eq!(lab.discovery.count(), Limits::default().renderers + 1);
        assert!(lab.discovery.failed.len() <= MAX_FAILED && lab.discovery.here.contains_key(&kept));
    }

    #[test]
    fn one_host_is_not_everyone() {
        let mut lab = Lab::new();
        for number in 0..50 {
            lab.found(&format!("z{number}"), 7);
        }
        assert_eq!(lab.discovery.count(), Limits::default().of_host);
        lab.found("other", 8);
        assert_eq!(lab.discovery.count(), Limits::default().of_host + 1);
    }

    #[test]
    fn a_description_that_cannot_be_read_is_left_alone_for_a_while() {
        let mut lab = Lab::new();
        let word = alive("a", "http://10.0.0.2:80/a");
        lab.hear(2, &word);
        let place = Place::parse("http://10.0.0.2:80/a").unwrap();
        lab.discovery.handle(Input::Described { location: &place, found: Vec::new() }, lab.now);
        lab.said();
        lab.hear(2, &word);
        assert!(!lab.said().contains(&Output::Fetch(place.clone())));
        lab.after(61);
        lab.hear(2, &word);
        assert!(lab.said().contains(&Output::Fetch(place)));
    }
}
