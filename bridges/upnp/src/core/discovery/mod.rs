//! Who is here: searches go out, words of renderers and media servers come in, and their descriptions are asked for, each within limits.
//!
//! Whoever speaks on the network can claim to be any device; nothing in UPnP proves it. So a device that is here stays
//! where it was found until it is gone from there: it says good-bye from that host, its time runs out, or it no longer
//! answers. That its description is elsewhere on the same host now is believed when it is no longer where it was and is
//! there, and looked at once in a while. What remains: whoever forges the address of a device can have it asked for its
//! description, [`Limits::asked`] times a minute, and so keep a device of that host that is not known yet from being found.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::description::Described;
use super::place::Place;
use super::ssdp::{self, GROUP, Message, PORT, Udn};

/// Limits and intervals.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many devices are here at most, beside those that are kept.
    pub devices: usize,
    /// How many of them on one host.
    pub of_host: usize,
    /// How many descriptions are fetched at once, and wait for that.
    pub fetches: usize,
    /// How many datagrams are read in a second, of hosts where a device is, and as many of all others.
    pub datagrams: u32,
    /// How often one host is asked in a minute, and as often for devices that the owner added.
    pub asked: u32,
    /// How often it is believed that a device is described elsewhere now.
    pub elsewhere: Duration,
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
            devices: 64,
            of_host: 8,
            fetches: 8,
            datagrams: 200,
            asked: 12,
            elsewhere: Duration::from_secs(300),
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
/// Places that could not be read, of which one remembers that; and hosts of which one remembers how often they were asked.
const MAX_FAILED: usize = 256;
const MAX_HOSTS: usize = 512;
const MINUTE: Duration = Duration::from_secs(60);

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
    /// The devices that the owner added: there is always room for them.
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
        found: Vec<Described>,
    },
    /// A device no longer answers.
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
    /// A device is here, or is described differently.
    Found(Box<Found>),
    /// It says once more that it is here.
    Again(Udn),
    /// It is gone.
    Lost(Udn),
}

/// A device that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub described: Described,
    /// Where its description is.
    pub location: Place,
}

struct Here {
    found: Found,
    until: Instant,
    described: Instant,
    /// When it was last said to be described elsewhere on its host, and that was looked at.
    elsewhere: Option<Instant>,
}

/// Why a description is fetched.
struct Fetch {
    /// How long what is described there will stay.
    stays: Duration,
    /// It is said to be described elsewhere now.
    moved: Option<Moved>,
}

enum Moved {
    /// This is where it was: it is looked for there first.
    To(Udn, Place),
    /// It is no longer where it was, and may be here.
    Here(Udn),
}

/// The machine.
pub struct Discovery {
    limits: Limits,
    interfaces: Vec<Interface>,
    kept: BTreeSet<Udn>,
    here: BTreeMap<Udn, Here>,
    /// Places that are being fetched or wait for it.
    fetches: BTreeMap<Place, Fetch>,
    waiting: VecDeque<Place>,
    failed: BTreeMap<Place, Instant>,
    /// Since when hosts are asked, and how often: for anyone, and for devices that the owner added.
    asked: BTreeMap<Ipv4Addr, (Instant, [u32; 2])>,
    /// When the running search began, and how many of its datagrams were sent.
    search: (Instant, usize),
    /// The second in which datagrams are counted: of hosts where a device is, and of all others, whose flood is not to
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
            asked: BTreeMap::new(),
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
        self.asked.retain(|_, (since, _)| now < *since + MINUTE);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.wake()))
    }

    /// How many devices are here.
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
            for wanted in [ssdp::RENDERER, ssdp::SERVER] {
                let bytes = ssdp::search(wanted, MX);
                self.outputs.push_back(Output::Datagram { interface: interface.index, to, bytes });
            }
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
        let kept = self.kept.contains(&udn);
        let Some(here) = self.here.get_mut(&udn) else {
            if self.has_room(&udn, *location.at.ip()) {
                self.fetch(location, Fetch { stays, moved: None }, kept, now);
            }
            return;
        };
        if at(&here.found) != *location.at.ip() {
            return;
        }
        if here.found.location != location {
            if here.elsewhere.is_none_or(|last| now >= last + self.limits.elsewhere) {
                here.elsewhere = Some(now);
                let (known, moved) = (here.found.location.clone(), Some(Moved::To(udn, location)));
                self.fetch(known, Fetch { stays, moved }, kept, now);
            }
            return;
        }
        here.until = now + stays;
        if now >= here.described + self.limits.anew {
            self.fetch(location, Fetch { stays, moved: None }, kept, now);
        } else {
            self.outputs.push_back(Output::Event(Event::Again(udn)));
        }
    }

    fn has_room(&self, udn: &Udn, host: Ipv4Addr) -> bool {
        let strangers = || self.here.iter().filter(|(known, _)| !self.kept.contains(known));
        let of_host = strangers().filter(|(_, here)| at(&here.found) == host).count();
        self.kept.contains(udn) || (strangers().count() < self.limits.devices && of_host < self.limits.of_host)
    }

    fn fetch(&mut self, location: Place, fetch: Fetch, kept: bool, now: Instant) {
        // One host is not to take the places of all, and strangers not those of devices that the owner added.
        let of_host = self.fetches.keys().filter(|place| place.at.ip() == location.at.ip()).count();
        let most = self.limits.fetches * if kept { 5 } else { 4 };
        let full = self.fetches.len() >= most || of_host >= self.limits.fetches / 2;
        if full || self.failed.contains_key(&location) || self.fetches.contains_key(&location) {
            return;
        }
        if !self.may_ask(*location.at.ip(), kept, now) {
            return;
        }
        self.fetches.insert(location.clone(), fetch);
        if kept {
            self.waiting.push_front(location);
        } else {
            self.waiting.push_back(location);
        }
        self.fetch_next();
    }

    /// Counts what a host is asked: where a datagram comes from is only its word.
    fn may_ask(&mut self, host: Ipv4Addr, kept: bool, now: Instant) -> bool {
        if self.asked.len() >= MAX_HOSTS && !self.asked.contains_key(&host) && !kept {
            return false;
        }
        let (_, counts) = self.asked.entry(host).or_insert((now, [0; 2]));
        let count = &mut counts[usize::from(kept)];
        *count += 1;
        *count <= self.limits.asked
    }

    fn fetch_next(&mut self) {
        while self.fetches.len() - self.waiting.len() < self.limits.fetches {
            let Some(place) = self.waiting.pop_front() else { return };
            self.outputs.push_back(Output::Fetch(place));
        }
    }

    fn described(&mut self, location: &Place, found: Vec<Described>, now: Instant) {
        let Some(Fetch { stays, moved }) = self.fetches.remove(location) else { return };
        let moved_here = match moved {
            Some(Moved::To(udn, other)) if !found.iter().any(|one| one.udn == udn) => {
                let kept = self.kept.contains(&udn);
                self.fetch(other, Fetch { stays, moved: Some(Moved::Here(udn)) }, kept, now);
                None
            }
            Some(Moved::Here(udn)) => Some(udn),
            _ => None,
        };
        if found.is_empty() && self.failed.len() < MAX_FAILED {
            self.failed.insert(location.clone(), now + self.limits.again);
        }
        for described in found {
            let udn = described.udn.clone();
            let known = self.here.get(&udn);
            let fits = match known {
                Some(here) if moved_here.as_ref() == Some(&udn) => at(&here.found) == *location.at.ip(),
                Some(here) => here.found.location == *location,
                None => self.has_room(&udn, *location.at.ip()),
            };
            if !fits {
                continue;
            }
            let elsewhere = known.and_then(|here| here.elsewhere);
            let found = Found { described, location: location.clone() };
            let changed = known.is_none_or(|here| here.found != found);
            self.here.insert(udn.clone(), Here { found: found.clone(), until: now + stays, described: now, elsewhere });
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
