//! Subtypes, and instances that are wanted by name: one core that asks, and answers made by hand.

use super::*;
use crate::api::{Config, Interface, Output, Publication, WishError};
use crate::core::Core;
use crate::message::parse;

const FROM: &str = "192.0.2.7:5353";
const SUB: &str = "_L3840._sub._matterc._udp";
const TYPE: &str = "_matterc._udp";

struct Asker {
    core: Core,
    now: Duration,
    /// What was asked, and when.
    asked: Vec<(Duration, u32, String, u16)>,
    /// Of which types pointers were said to be known.
    known: Vec<String>,
    events: Vec<String>,
}

impl Asker {
    fn new(config: Config) -> Self {
        let mut core = Core::new(config);
        let interface = |index| Interface { index, addresses: vec![[192, 0, 2, index as u8].into()] };
        core.set_interfaces(vec![interface(1), interface(2)], Duration::ZERO);
        Self { core, now: Duration::ZERO, asked: Vec::new(), known: Vec::new(), events: Vec::new() }
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Transmit(sent) => {
                    let message = parse(&sent.bytes).unwrap();
                    let asked = message.questions.iter();
                    let asked = asked.map(|it| (self.now, sent.interface, it.name.host().unwrap(), it.kind));
                    self.asked.extend(asked);
                    self.known.extend(message.answers.iter().map(|known| known.name.host().unwrap()));
                }
                Output::Event(Event::Found(it)) => self.events.push(format!("+{}.{}", it.name, it.service)),
                Output::Event(Event::Updated(it)) => self.events.push(format!("~{}.{}", it.name, it.service)),
                Output::Event(Event::Lost { service, name }) => self.events.push(format!("-{name}.{service}")),
                Output::Event(Event::Renamed { .. }) => unreachable!("nothing is published"),
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            assert!(self.core.poll_timeout().is_none_or(|at| at > self.now), "a timeout that was handled is over");
            self.drain();
        }
        self.now = end;
    }

    fn hear(&mut self, interface: u32, records: &[Record]) {
        let mut writer = Writer::new(0, true, PAYLOAD);
        records.iter().for_each(|record| assert!(writer.record(Section::Answer, record)));
        self.core.handle_datagram(FROM.parse().unwrap(), interface, &writer.finish(), self.now);
        self.drain();
    }

    fn events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }

    fn asked_for(&self, name: &str, kind: u16) -> usize {
        self.asked.iter().filter(|(_, _, other, of)| other == name && *of == kind).count()
    }
}

fn record(name: &str, ttl: u32, data: Data) -> Record {
    Record { name: Name::local(name).unwrap(), flush: !matches!(data, Data::Ptr(_)), ttl, data }
}

fn pointer(from: &str, to: &str, ttl: u32) -> Record {
    record(from, ttl, Data::Ptr(Name::local(to).unwrap()))
}

/// All but pointers: where `name` is.
fn place(name: &str) -> [Record; 3] {
    let target = Name::local("h").unwrap();
    [
        record(name, 120, Data::Srv { priority: 0, weight: 0, port: 5540, target }),
        record(name, 4500, Data::Txt(b"\x06D=3840".to_vec())),
        record("h", 120, Data::Address([192, 0, 2, 7].into())),
    ]
}

#[test]
fn a_subtype_is_asked_for_as_such_and_what_it_names_is_of_the_type() {
    let mut asker = Asker::new(Config::with_seed(1));
    asker.core.browse(SUB, asker.now).unwrap();
    asker.run(1);
    assert!(asker.asked_for(SUB, PTR) > 0 && asker.asked_for(TYPE, PTR) == 0, "{:?}", asker.asked);
    asker.hear(1, &[&[pointer(SUB, "b._other._udp", 4500)][..], &place("b._other._udp")].concat());
    assert_eq!(asker.events(), [""; 0], "it may only name instances of its type");
    asker.hear(1, &[&[pointer(SUB, "b._matterc._udp", 4500)][..], &place("b._matterc._udp")].concat());
    assert_eq!(asker.events(), ["+b._matterc._udp"]);
    // Named by another pointer too, it is the same one.
    asker.core.browse(TYPE, asker.now).unwrap();
    asker.core.refresh(asker.now);
    asker.run(1);
    assert_eq!(asker.known.last().unwrap(), SUB, "and its other pointer is not claimed to be known: {:?}", asker.known);
    assert!(!asker.known.iter().any(|known| known == TYPE));
    asker.hear(1, &[pointer(TYPE, "b._matterc._udp", 4500)]);
    assert_eq!(asker.events(), [""; 0]);
    assert_eq!(asker.core.stop_browse(SUB), []);
    assert_eq!(asker.core.stop_browse(TYPE), [(TYPE.to_owned(), "b".to_owned())]);
    asker.run(10_000);
    assert_eq!((asker.events(), asker.core.poll_timeout()), (vec![], None), "forgotten without a word");
}

#[test]
fn who_is_named_by_the_type_alone_stays_when_the_subtype_says_goodbye() {
    let mut asker = Asker::new(Config::with_seed(2));
    for wished in [SUB, TYPE] {
        asker.core.browse(wished, asker.now).unwrap();
    }
    let name = "b._matterc._udp";
    asker.hear(1, &[&[pointer(SUB, name, 4500), pointer(TYPE, name, 4500)][..], &place(name)].concat());
    asker.run(60);
    let before = asker.asked_for(TYPE, PTR);
    asker.hear(1, &[pointer(SUB, name, 0)]);
    asker.run(1);
    asker.now += Duration::from_millis(300);
    asker.core.handle_timeout(asker.now);
    asker.drain();
    assert!(asker.asked_for(TYPE, PTR) > before, "it is asked");
    asker.hear(1, &[&[pointer(TYPE, name, 4500)][..], &place(name)].concat());
    asker.run(60);
    assert_eq!(asker.events(), [format!("+{name}")]);
}

#[test]
fn what_is_no_type_is_no_wish() {
    let mut asker = Asker::new(Config::with_seed(3));
    for wrong in [
        "_a._sub._b",
        "a._sub._b._udp",
        "_._sub._b._udp",
        "_a._sub._b._sub._c._udp",
        "_a.b._sub._c._udp",
        "_sub._c._udp",
    ] {
        assert!(matches!(asker.core.browse(wrong, asker.now), Err(WishError::ServiceType(_))), "{wrong}");
    }
    assert!(asker.core.browse(&format!("_{}._sub._b._udp", "x".repeat(63)), asker.now).is_err());
    assert!(Publication::new(SUB, "one", "one", 1).is_err(), "a subtype is not what one is");
    assert!(asker.core.resolve(SUB, "one", asker.now).is_err());
    for wrong in ["", &"x".repeat(64)] {
        assert!(matches!(asker.core.resolve(TYPE, wrong, asker.now), Err(WishError::Name(_))), "{wrong}");
    }
    for number in 0..MAX_WANTED {
        asker.core.resolve(TYPE, &number.to_string(), asker.now).unwrap();
    }
    asker.core.resolve(TYPE, "7", asker.now).unwrap();
    assert_eq!(asker.core.resolve(TYPE, "one too many", asker.now), Err(WishError::TooMany(MAX_WANTED)));
}

#[test]
fn one_wanted_by_name_is_asked_for_ever_more_seldom_and_found_without_a_pointer() {
    let mut asker = Asker::new(Config::with_seed(4));
    let name = "F-1._matter._tcp";
    asker.core.resolve("_matter._tcp", "F-1", asker.now).unwrap();
    asker.run(1);
    let first: Vec<_> =
        asker.asked.iter().filter(|(.., kind)| *kind == SRV).map(|(_, at, name, _)| (*at, name.clone())).collect();
    assert_eq!(first, [(1, name.to_owned()), (2, name.to_owned())], "on all interfaces, as nobody knows where it is");
    asker.run(3600);
    let times = asker.asked_for(name, SRV) / 2;
    assert!((18..=25).contains(&times), "{times} times in an hour");
    assert_eq!(asker.asked.iter().filter(|(.., kind)| *kind == PTR).count(), 0, "others are not asked for");
    // It comes, another of its type too.
    asker.hear(2, &place("F-2._matter._tcp"));
    asker.hear(2, &place(name));
    assert_eq!(asker.events(), [format!("+{name}")]);
    // It is asked where it is before its word is over, does not answer, and is looked for again everywhere.
    asker.asked.clear();
    asker.run(119);
    assert!(asker.asked.iter().all(|(_, at, ..)| *at == 2) && asker.asked_for(name, SRV) >= 3, "{:?}", asker.asked);
    asker.run(5);
    assert_eq!(asker.events(), [format!("-{name}")]);
    assert!(asker.asked.iter().any(|(_, at, ..)| *at == 1));
    asker.hear(1, &place(name));
    assert_eq!(asker.events(), [format!("+{name}")]);
    assert!(asker.core.stop_resolve("_matter._tcp", "F-1"), "nobody else looks for it");
    asker.asked.clear();
    asker.run(10_000);
    assert_eq!((asker.events(), asker.asked, asker.core.poll_timeout()), (vec![], vec![], None));
}

#[test]
fn one_wanted_by_name_may_be_browsed_too_and_goes_when_its_pointer_and_itself_are_over() {
    let mut asker = Asker::new(Config::with_seed(5));
    let name = "F-1._matter._tcp";
    asker.core.browse("_matter._tcp", asker.now).unwrap();
    asker.core.resolve("_matter._tcp", "F-1", asker.now).unwrap();
    asker.hear(1, &[&[pointer("_matter._tcp", name, 10)][..], &place(name)].concat());
    assert_eq!(asker.events(), [format!("+{name}")]);
    // The pointer's time is over, its own is not.
    asker.run(60);
    assert_eq!(asker.events(), [""; 0]);
    asker.hear(1, &[&[pointer("_matter._tcp", name, 4500)][..], &place(name)].concat());
    // A goodbye of the pointer is asked about, and nobody answers.
    asker.hear(1, &[pointer("_matter._tcp", name, 0)]);
    asker.run(3);
    assert_eq!(asker.events(), [format!("-{name}")]);
    asker.hear(1, &[&[pointer("_matter._tcp", name, 4500)][..], &place(name)].concat());
    assert_eq!(asker.events(), [format!("+{name}")]);
    assert!(!asker.core.stop_resolve("_matter._tcp", "F-1"), "it is browsed still");
    asker.core.doubt("_matter._tcp", "F-1", asker.now);
    asker.run(11);
    assert_eq!(asker.events(), [format!("-{name}")]);
}

#[test]
fn a_flood_of_names_takes_no_place_of_one_that_is_wanted() {
    let config = Config { max_instances: 8, max_per_source: 8, ..Config::with_seed(6) };
    let mut asker = Asker::new(config);
    asker.core.browse("_matter._tcp", asker.now).unwrap();
    asker.core.resolve("_matter._tcp", "F-1", asker.now).unwrap();
    for number in 0..40 {
        asker.hear(1, &[pointer("_matter._tcp", &format!("x{number}._matter._tcp"), 4500)]);
    }
    asker.hear(1, &place("F-1._matter._tcp"));
    assert_eq!(asker.events(), ["+F-1._matter._tcp"]);
}

#[test]
fn a_wish_again_asks_at_once_but_not_twice_a_second() {
    let mut asker = Asker::new(Config::with_seed(7));
    let name = "F-1._matter._tcp";
    asker.core.resolve("_matter._tcp", "F-1", asker.now).unwrap();
    asker.run(600);
    let before = asker.asked_for(name, SRV);
    for _ in 0..50 {
        asker.core.refresh(asker.now);
        asker.core.resolve("_matter._tcp", "F-1", asker.now).unwrap();
        asker.core.handle_timeout(asker.now);
        asker.drain();
        asker.now += Duration::from_millis(20);
    }
    assert_eq!(asker.asked_for(name, SRV) - before, 2, "once on each interface");
}
