//! Who is here: searches go out, and what lamps answer and announce comes in, within limits.
//!
//! Whoever speaks on the network can claim to be any lamp; nothing proves it. So a lamp that is here stays where it was found:
//! while it is connected, whatever is said; otherwise until it is not reached there or was not heard there for a while.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::advert::{self, Advert, GROUP, LampId, PORT};

/// Limits and intervals.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many lamps are here at most, beside those that are kept.
    pub lamps: usize,
    /// How many of them on one host.
    pub of_host: usize,
    /// How many datagrams are read in a second of hosts where a lamp is, and as many of all others.
    pub datagrams: u32,
    /// How often one searches unasked.
    pub search: Duration,
    /// How long a lamp that is not connected is not looked for elsewhere.
    pub elsewhere: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (search, elsewhere) = (Duration::from_secs(600), Duration::from_secs(60));
        Self { lamps: 64, of_host: 4, datagrams: 200, search, elsewhere }
    }
}

/// When after the beginning of a search its datagrams are sent: they get lost.
const REPEATS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_millis(1500)];
/// A search that is asked for again sooner is the same one.
const SEARCH_AT_MOST_EVERY: Duration = Duration::from_secs(3);

/// Hosts that are asked at once because the owner named them.
const MOST_ASKS: usize = 16;

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The interfaces now, by the system's numbers.
    Interfaces(Vec<u32>),
    /// Somebody looks for lamps.
    Search,
    /// The lamps that the owner added: there is always room for them. And where each was last: it is asked there when it is not
    /// here, since some networks let no multicast through.
    Kept(BTreeMap<LampId, Option<Ipv4Addr>>),
    /// The owner says that there is a lamp.
    Ask(Ipv4Addr),
    /// A datagram came.
    Datagram {
        /// Who sent it.
        from: SocketAddr,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A lamp is connected.
    Up(LampId),
    /// Its connection ended, or could not be made. The first is no proof that it is not there any more.
    Down(LampId),
    /// Its connection was ended from here.
    Quiet(LampId),
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
    /// Send a datagram to one host.
    Direct {
        /// To here.
        to: SocketAddr,
        /// This.
        bytes: Vec<u8>,
    },
    /// Something is new.
    Event(Event),
    /// Nothing until then.
    Wait(Instant),
}

/// What is new.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A lamp is here, or is elsewhere or something else than before.
    Found(Box<Advert>),
    /// It says once more that it is here, and how it is lit.
    Again(Box<Advert>),
    /// A lamp that is connected is said to be elsewhere.
    Doubted(LampId),
    /// It is gone.
    Lost(LampId),
}

/// How the connection with a lamp stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Unknown,
    Up,
    Down,
}

struct Here {
    advert: Advert,
    heard: Instant,
    line: Line,
}

/// The machine.
pub struct Discovery {
    limits: Limits,
    interfaces: Vec<u32>,
    kept: BTreeMap<LampId, Option<Ipv4Addr>>,
    here: BTreeMap<LampId, Here>,
    /// When the running search began, and how many of its datagrams were sent.
    search: (Instant, usize),
    /// The same of hosts that are asked because the owner named them.
    asks: Vec<(Ipv4Addr, Instant, usize)>,
    /// The second in which datagrams are counted, of hosts where a lamp is and of all others.
    counted: (Instant, [u32; 2]),
    outputs: VecDeque<Output>,
}

impl Discovery {
    /// Begins with a search.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            interfaces: Vec::new(),
            kept: BTreeMap::new(),
            here: BTreeMap::new(),
            search: (now, 0),
            asks: Vec::new(),
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
                    self.search = (now, 0);
                }
            }
            Input::Kept(kept) => self.kept = kept,
            Input::Ask(host) => {
                self.asks.retain(|(other, ..)| *other != host);
                if self.asks.len() < MOST_ASKS {
                    self.asks.push((host, now, 0));
                }
            }
            Input::Datagram { from, bytes } => self.datagram(from, bytes, now),
            Input::Up(id) => self.line(id, |_| Line::Up),
            Input::Down(id) => self.line(id, |line| if line == Line::Up { Line::Unknown } else { Line::Down }),
            Input::Quiet(id) => self.line(id, |_| Line::Unknown),
            Input::Timeout => {}
        }
        self.search_on(now);
        self.ask_on(now);
        let over = |here: &Here| here.line != Line::Up && now >= here.heard + here.advert.stays;
        let gone: Vec<LampId> = self.here.iter().filter(|(_, here)| over(here)).map(|(id, _)| *id).collect();
        for id in gone {
            self.here.remove(&id);
            self.outputs.push_back(Output::Event(Event::Lost(id)));
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.wake()))
    }

    /// How many lamps are here.
    pub fn count(&self) -> usize {
        self.here.len()
    }

    fn line(&mut self, id: LampId, now: impl FnOnce(Line) -> Line) {
        if let Some(here) = self.here.get_mut(&id) {
            here.line = now(here.line);
        }
    }

    fn wake(&self) -> Instant {
        let (began, sent) = self.search;
        let next = began + REPEATS.get(sent).copied().unwrap_or(self.limits.search);
        let ends = self.here.values().filter(|here| here.line != Line::Up).map(|here| here.heard + here.advert.stays);
        let asks = self.asks.iter().filter_map(|(_, began, sent)| Some(*began + *REPEATS.get(*sent)?));
        ends.chain(asks).chain([next]).min().unwrap_or(next)
    }

    fn search_on(&mut self, now: Instant) {
        if self.search.1 >= REPEATS.len() && now >= self.search.0 + self.limits.search {
            self.search = (now, 0);
        }
        let due = REPEATS.iter().filter(|after| now >= self.search.0 + **after).count();
        // What is late is sent once, not in a burst.
        if due > self.search.1 {
            self.search.1 = due;
            let to = SocketAddr::from((GROUP, PORT));
            let sent = self.interfaces.iter();
            let sent = sent.map(|interface| Output::Datagram { interface: *interface, to, bytes: advert::search() });
            self.outputs.extend(sent);
            let away = self.kept.iter().filter(|(id, _)| !self.here.contains_key(id));
            let last = away.filter_map(|(_, last)| *last).collect::<BTreeSet<Ipv4Addr>>();
            self.outputs.extend(last.into_iter().map(direct));
        }
    }

    fn ask_on(&mut self, now: Instant) {
        for (host, began, sent) in &mut self.asks {
            let due = REPEATS.iter().filter(|after| now >= *began + **after).count();
            if due > *sent {
                *sent = due;
                self.outputs.push_back(direct(*host));
            }
        }
        self.asks.retain(|(.., sent)| *sent < REPEATS.len());
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        if now >= self.counted.0 + Duration::from_secs(1) {
            self.counted = (now, [0; 2]);
        }
        let IpAddr::V4(host) = from.ip() else { return };
        let stranger = !self.here.values().any(|here| *here.advert.at.ip() == host);
        let counted = &mut self.counted.1[usize::from(stranger)];
        *counted += 1;
        if *counted <= self.limits.datagrams
            && let Some(advert) = advert::parse(bytes, host)
        {
            self.is_here(advert, now);
        }
    }

    fn is_here(&mut self, advert: Advert, now: Instant) {
        let id = advert.id;
        let line = match self.here.get(&id) {
            None if !self.has_room(id, *advert.at.ip()) => return,
            None => Line::Unknown,
            Some(here) if here.advert.at == advert.at => {
                let same = here.advert.is_as(&advert);
                let (line, event) = (here.line, if same { Event::Again } else { Event::Found });
                // Over its connection it says better what it is and does; anybody can announce.
                if line == Line::Up {
                    let advert = here.advert.clone();
                    self.here.insert(id, Here { advert: advert.clone(), heard: now, line });
                    return self.outputs.push_back(Output::Event(Event::Again(Box::new(advert))));
                }
                self.here.insert(id, Here { advert: advert.clone(), heard: now, line });
                return self.outputs.push_back(Output::Event(event(Box::new(advert))));
            }
            Some(here) => match here.line {
                Line::Up => return self.outputs.push_back(Output::Event(Event::Doubted(id))),
                Line::Unknown if now < here.heard + self.limits.elsewhere => return,
                _ if !self.has_room(id, *advert.at.ip()) => return,
                Line::Unknown | Line::Down => Line::Unknown,
            },
        };
        if let Some(last) = self.kept.get_mut(&id) {
            *last = Some(*advert.at.ip());
        }
        self.here.insert(id, Here { advert: advert.clone(), heard: now, line });
        self.outputs.push_back(Output::Event(Event::Found(Box::new(advert))));
    }

    fn has_room(&self, id: LampId, host: Ipv4Addr) -> bool {
        let strangers = || self.here.iter().filter(|(other, _)| **other != id && !self.kept.contains_key(other));
        let of_host = strangers().filter(|(_, here)| *here.advert.at.ip() == host).count();
        self.kept.contains_key(&id) || (strangers().count() < self.limits.lamps && of_host < self.limits.of_host)
    }
}

/// A search that is sent to one host alone; a lamp answers it as one that everyone hears.
fn direct(host: Ipv4Addr) -> Output {
    Output::Direct { to: SocketAddr::from((host, PORT)), bytes: advert::search() }
}

/// Datagrams one after the other, for a fuzzer.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let now = Instant::now();
    let mut discovery = Discovery::new(Limits::default(), now);
    for (number, piece) in bytes.split(|byte| *byte == 0).enumerate() {
        let from = SocketAddr::from(([10, 0, 0, number as u8 % 4], PORT));
        discovery.handle(Input::Datagram { from, bytes: piece }, now + Duration::from_secs(number as u64 * 20));
        while !matches!(discovery.poll_output(), Output::Wait(_)) {}
    }
    assert!(discovery.count() <= 64, "strangers are bounded");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::advert::tests::answer;

    const SECOND: Duration = Duration::from_secs(1);

    struct Lab {
        discovery: Discovery,
        now: Instant,
    }

    impl Lab {
        fn new() -> Self {
            let now = Instant::now();
            let mut discovery = Discovery::new(Limits::default(), now);
            discovery.handle(Input::Interfaces(vec![2, 3]), now);
            let mut lab = Self { discovery, now };
            lab.outputs();
            lab
        }

        fn handle(&mut self, input: Input<'_>) -> Vec<String> {
            self.discovery.handle(input, self.now);
            self.outputs()
        }

        fn hear(&mut self, id: u64, host: u8) -> Vec<String> {
            self.hear_of(id, host, "")
        }

        fn hear_of(&mut self, id: u64, host: u8, more: &str) -> Vec<String> {
            let from = SocketAddr::from(([10, 0, 0, host], 1982));
            let told = self.handle(Input::Datagram { from, bytes: &answer(id, host, more) });
            told.into_iter().filter(|one| !one.starts_with("search")).collect()
        }

        fn outputs(&mut self) -> Vec<String> {
            let mut all = Vec::new();
            loop {
                all.push(match self.discovery.poll_output() {
                    Output::Wait(_) => return all,
                    Output::Datagram { interface, .. } => format!("search {interface}"),
                    Output::Direct { to, .. } => format!("ask {}", to.ip()),
                    Output::Event(Event::Found(advert)) => format!("found {}", advert.at.ip()),
                    Output::Event(Event::Again(advert)) => format!("again {}", advert.at.ip()),
                    Output::Event(Event::Doubted(_)) => "doubted".to_owned(),
                    Output::Event(Event::Lost(_)) => "lost".to_owned(),
                });
            }
        }
    }

    fn id(number: u64) -> LampId {
        LampId::parse(&format!("{number:#x}")).unwrap()
    }

    #[test]
    fn a_lamp_stays_where_it_is_connected_and_moves_when_it_is_not_reached() {
        let mut lab = Lab::new();
        assert_eq!(lab.hear(1, 2), ["found 10.0.0.2"]);
        assert_eq!(lab.hear(1, 2), ["again 10.0.0.2"]);
        assert!(lab.hear(1, 9).is_empty(), "another host waits");
        lab.handle(Input::Up(id(1)));
        assert_eq!(lab.hear(1, 9), ["doubted"]);
        lab.handle(Input::Down(id(1)));
        assert!(lab.hear(1, 9).is_empty(), "it may only have hung up");
        lab.handle(Input::Down(id(1)));
        assert_eq!(lab.hear(1, 9), ["found 10.0.0.9"]);
        lab.now += 61 * SECOND;
        assert_eq!(lab.hear(1, 3), ["found 10.0.0.3"], "nothing was heard there for long");
    }

    #[test]
    fn what_is_announced_of_a_connected_lamp_is_only_that_it_is_here() {
        let mut lab = Lab::new();
        lab.hear(1, 2);
        lab.handle(Input::Up(id(1)));
        assert_eq!(lab.hear_of(1, 2, "name: forged\r\n"), ["again 10.0.0.2"]);
        assert_eq!(lab.discovery.here[&id(1)].advert.name, None);
        lab.handle(Input::Quiet(id(1)));
        assert_eq!(lab.hear_of(1, 2, "name: new\r\n"), ["found 10.0.0.2"], "it may be said once it is not connected");
    }

    #[test]
    fn a_lamp_that_is_not_heard_is_gone_unless_it_is_connected() {
        let mut lab = Lab::new();
        lab.hear(1, 2);
        lab.hear(2, 3);
        lab.handle(Input::Up(id(1)));
        lab.now += 3601 * SECOND;
        let told = lab.handle(Input::Timeout);
        assert_eq!(told.iter().filter(|one| *one == "lost").count(), 1, "{told:?}");
        assert_eq!(lab.handle(Input::Quiet(id(1))).last().map(String::as_str), Some("lost"));
    }

    #[test]
    fn searches_are_repeated_thrice_and_not_more_often_than_that() {
        let mut lab = Lab::new();
        let count = |lab: &mut Lab, input| lab.handle(input).iter().filter(|one| one.starts_with("search")).count();
        assert_eq!(count(&mut lab, Input::Search), 0, "the first one runs");
        lab.now += SECOND;
        assert_eq!(count(&mut lab, Input::Timeout), 2, "one for each interface");
        lab.now += SECOND;
        assert_eq!(count(&mut lab, Input::Timeout), 2);
        lab.now += 2 * SECOND;
        assert_eq!(count(&mut lab, Input::Timeout), 0);
        assert_eq!(count(&mut lab, Input::Search), 2);
        lab.now += 601 * SECOND;
        assert_eq!(count(&mut lab, Input::Timeout), 2, "late: once");
    }

    #[test]
    fn a_day_away_is_a_search_each_ten_minutes_and_nothing_else() {
        let mut lab = Lab::new();
        lab.handle(Input::Kept([(id(1), None)].into()));
        assert_eq!(lab.hear(1, 2), ["found 10.0.0.2"]);
        lab.handle(Input::Up(id(1)));
        lab.handle(Input::Down(id(1)));
        let (end, mut all) = (lab.now + Duration::from_secs(86_400), Vec::new());
        while lab.now < end {
            let Output::Wait(wake) = lab.discovery.poll_output() else { panic!("all of it was taken") };
            lab.now = wake.max(lab.now);
            all.extend(lab.handle(Input::Timeout));
        }
        let searches = all.iter().filter(|one| *one == "search 2").count();
        assert!((3 * 143..=3 * 145).contains(&searches), "{searches}");
        // After that nobody tries to connect to it until it is heard; it is asked where it was as often as all are.
        let asked = all.iter().filter(|one| *one == "ask 10.0.0.2").count();
        assert!((3 * 137..=3 * 140).contains(&asked), "{asked}");
        let other = |one: &&String| !one.starts_with("search") && !one.starts_with("ask");
        assert_eq!(all.iter().filter(other).collect::<Vec<_>>(), ["lost"]);
        assert_eq!((lab.discovery.count(), lab.hear(1, 2)), (0, vec!["found 10.0.0.2".to_owned()]));
    }

    #[test]
    fn an_added_lamp_is_asked_where_it_was_and_a_named_host_thrice() {
        let mut lab = Lab::new();
        let asked = |lab: &mut Lab, input| -> Vec<String> {
            lab.handle(input).into_iter().filter(|one| one.starts_with("ask")).collect()
        };
        let last = |host: u8| Some(Ipv4Addr::from([10, 0, 0, host]));
        lab.handle(Input::Kept([(id(1), last(2)), (id(2), last(3)), (id(3), None)].into()));
        lab.now += SECOND;
        assert_eq!(asked(&mut lab, Input::Timeout), ["ask 10.0.0.2", "ask 10.0.0.3"]);
        // One answers; and it is not asked while it is here.
        assert_eq!(lab.hear(1, 2), ["found 10.0.0.2"]);
        lab.now += SECOND;
        assert_eq!(asked(&mut lab, Input::Timeout), ["ask 10.0.0.3"]);
        lab.now += 10 * SECOND;
        assert_eq!(asked(&mut lab, Input::Ask([10, 0, 0, 9].into())), ["ask 10.0.0.9"]);
        assert_eq!(asked(&mut lab, Input::Timeout), Vec::<String>::new());
        let Output::Wait(wake) = lab.discovery.poll_output() else { panic!("all of it was taken") };
        assert_eq!(wake, lab.now + REPEATS[1]);
        for _ in 0..2 {
            lab.now += 2 * SECOND;
            lab.handle(Input::Timeout);
        }
        assert!(lab.discovery.asks.is_empty());
        (0..99).for_each(|host| drop(lab.handle(Input::Ask([10, 0, 1, host].into()))));
        assert_eq!(lab.discovery.asks.len(), MOST_ASKS);
    }

    #[test]
    fn strangers_have_no_more_room_than_there_is_and_added_ones_always() {
        let mut lab = Lab::new();
        for number in 1..=100 {
            lab.hear(number, (number % 40) as u8);
        }
        assert_eq!(lab.discovery.count(), 64);
        (200..210).for_each(|number| drop(lab.hear(number, 77)));
        assert_eq!(lab.discovery.count(), 64);
        lab.handle(Input::Kept([(id(300), None)].into()));
        assert_eq!(lab.hear(300, 78), ["found 10.0.0.78"]);
        for _ in 0..300 {
            lab.hear(300, 78);
        }
        assert!(lab.hear(300, 78).is_empty(), "a flood is not read");
        lab.now += SECOND;
        assert_eq!(lab.hear(300, 78).last().map(String::as_str), Some("again 10.0.0.78"));
    }

    proptest::proptest! {
        #[test]
        fn any_datagrams_are_read_without_harm(bytes: Vec<u8>) {
            fuzz(&bytes);
        }
    }
}
