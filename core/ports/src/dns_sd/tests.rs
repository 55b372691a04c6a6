//! Browsing against announcers of its own making, over loopback. All programs here hear the same groups, so that each test has
//! a type and an address of its own.

use std::time::{Duration, Instant};

use accord_consent::{Choice, Consent, Decision, Gate, Query, RecipientId, RecordKind, To, example};
use accord_mdns::{Publication, PublicationId};
use accord_model::{EntryKey, FieldCode};

use super::*;

const SAID: FieldSet = FieldSet::one(FieldCode::Presence);
const SOON: Duration = Duration::from_secs(10);

/// Everything under one agreement.
struct House {
    _dir: tempfile::TempDir,
    gate: Gate,
    consent: Consent,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (statement, signer) = example::parts();
        let gate = Gate::open(dir.path(), statement, signer).unwrap();
        let entry = EntryKey::new("example/beacon").unwrap();
        let shown = gate.notice(&entry, "en").unwrap().shown("test");
        let consent = gate.decide(Decision::new(entry, To::Any, Choice::Always, shown)).unwrap();
        Self { _dir: dir, gate, consent }
    }

    async fn near(&self) -> Near {
        let entry = EntryKey::new("example/beacon").unwrap();
        let permit = self.gate.bind("example").permit(&entry, &RecipientId::lan(), SAID, "while.running").unwrap();
        Near::open(permit, "test").await.unwrap()
    }

    async fn browsing(&self, service: &str) -> Browsing {
        Browsing::open(self.near().await, Network::Loopback, SAID, &[service]).await
    }
}

/// Somebody who announces from an address of this machine that is not among its own ones.
struct Announcer {
    outlet: DatagramOutlet,
    core: Core,
    start: Instant,
}

impl Announcer {
    /// Who says that its addresses are these.
    async fn new(house: &House, from: &str, addresses: &[&str]) -> Self {
        let outlet = house.near().await.datagrams(format!("{from}:{PORT}").parse().unwrap()).unwrap();
        let mut core = Core::new(Config::with_seed(3));
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        core.set_interfaces(vec![accord_mdns::Interface { index: 1, addresses }], Duration::ZERO);
        Self { outlet, core, start: Instant::now() }
    }

    fn publication(service: &str, text: &[u8]) -> Publication {
        // A host of its own, too: hosts are the network's, whatever their services.
        let host: String = service.chars().filter(char::is_ascii_alphanumeric).collect();
        Publication::new(service, "one", &host, 4711).unwrap().attribute("text", text).unwrap()
    }

    fn publish(&mut self, service: &str) -> PublicationId {
        self.core.publish(Self::publication(service, b"first"), self.start.elapsed()).unwrap()
    }

    /// Announces for ever.
    async fn run(&mut self) {
        loop {
            while let Some(output) = self.core.poll() {
                if let Output::Transmit(Transmit { bytes, .. }) = output {
                    self.say(&bytes).await;
                }
            }
            until(self.core.poll_timeout().map(|at| self.start + at)).await;
            self.core.handle_timeout(self.start.elapsed());
        }
    }

    async fn say(&self, bytes: &[u8]) {
        self.outlet.send(&Personal::of(SAID, bytes), (GROUP_V4, PORT).into()).await.unwrap();
    }
}

/// What comes next, while somebody announces.
async fn next(browsing: &mut Browsing, announcer: &mut Announcer) -> Seen {
    tokio::select! {
        seen = browsing.next() => seen,
        () = announcer.run() => unreachable!("it never ends"),
        () = tokio::time::sleep(SOON) => panic!("nothing came"),
    }
}

fn sent(browsing: &Browsing) -> u64 {
    browsing.facts().iter().map(|fact| if let Fact::Air { sent, .. } = fact { *sent } else { 0 }).sum()
}

fn here(seen: Seen) -> (ServiceInstance, Vec<SocketAddr>) {
    match seen {
        Seen::Here { instance, at } => (instance, at),
        other => panic!("{other:?}"),
    }
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn who_is_near_is_seen_with_the_addresses_that_are_near_changes_and_goes() {
    let (house, service) = (House::new(), "_ports-life._tcp");
    let mut browsing = house.browsing(service).await;
    let mut announcer = Announcer::new(&house, "127.0.0.2", &["127.0.0.2", "127.0.0.3", "192.0.2.7", "fe80::7"]).await;
    let id = announcer.publish(service);
    let (instance, at) = here(next(&mut browsing, &mut announcer).await);
    assert_eq!((instance.service.as_str(), instance.name.as_str()), (service, "one"));
    assert_eq!(instance.attribute("text"), Some(b"first".as_slice()));
    assert_eq!(instance.addresses.len(), 4, "all are known");
    assert_eq!(at, addresses(&["127.0.0.2:4711", "127.0.0.3:4711"]), "and those near count");
    announcer.core.set_attributes(id, &Announcer::publication(service, b"second"), announcer.start.elapsed());
    let (instance, _) = here(next(&mut browsing, &mut announcer).await);
    assert_eq!(instance.attribute("text"), Some(b"second".as_slice()));
    let air = browsing.facts();
    let heard =
        |fact: &Fact| matches!(fact, Fact::Air { way: Way::Ipv4Multicast, sent, heard, .. } if *sent > 0 && *heard > 0);
    assert!(air.iter().any(heard), "{air:?}");
    let came_back =
        |fact: &Fact| matches!(fact, Fact::Air { interface: Some(on), own: Some(1..), .. } if on.starts_with("lo"));
    assert!(air.iter().any(came_back), "its own questions come back to it: {air:?}");
    announcer.core.unpublish(id, announcer.start.elapsed());
    let gone = next(&mut browsing, &mut announcer).await;
    assert_eq!(gone, Seen::Gone { service: service.to_owned(), name: "one".to_owned() });
    browsing.close();
    let sent = house.gate.ledger().list(&Query { kind: Some(RecordKind::Intent), ..Query::default() }).unwrap();
    assert_eq!(sent.len(), 2, "one lease each");
}

#[tokio::test]
async fn an_address_that_no_router_here_leads_to_is_none_also_where_those_behind_routers_count() {
    let (house, service) = (House::new(), "_ports-behind._tcp");
    let mut browsing = house.browsing(service).await.behind_routers();
    let said = ["127.0.0.8", "fdfe:dcba:9876:5432::1", "2001:db8::1", "10.253.1.1"];
    let mut announcer = Announcer::new(&house, "127.0.0.8", &said).await;
    announcer.publish(service);
    let (instance, at) = here(next(&mut browsing, &mut announcer).await);
    assert_eq!((instance.addresses.len(), at), (4, addresses(&["127.0.0.8:4711"])));
    assert!(browsing.look_again.is_some(), "a way may come to the one that may be of the house");
    browsing.close();
}

#[tokio::test]
async fn once_the_consent_ends_it_is_over_and_nothing_is_asked_any_more() {
    let (house, service) = (House::new(), "_ports-over._tcp");
    let mut browsing = house.browsing(service).await;
    let began = tokio::time::timeout(Duration::from_millis(300), browsing.next()).await;
    assert!(began.is_err(), "nobody announces this: {began:?}");
    house.gate.withdraw(house.consent.id).unwrap();
    for _ in 0..2 {
        assert_eq!(tokio::time::timeout(SOON, browsing.next()).await.unwrap(), Seen::Over);
    }
    let before = sent(&browsing);
    assert!(before > 0, "it asked");
    browsing.refresh();
    assert_eq!(browsing.next().await, Seen::Over);
    browsing.flush().await;
    assert_eq!(sent(&browsing), before);
}

#[tokio::test]
async fn whoever_asks_in_small_bites_misses_nothing() {
    let (house, service) = (House::new(), "_ports-bites._tcp");
    let mut browsing = house.browsing(service).await;
    let mut announcer = Announcer::new(&house, "127.0.0.4", &["127.0.0.4"]).await;
    announcer.publish(service);
    let bites = async {
        loop {
            if let Ok(seen) = tokio::time::timeout(Duration::from_millis(1), browsing.next()).await {
                return seen;
            }
        }
    };
    let seen = tokio::select! {
        seen = bites => seen,
        () = announcer.run() => unreachable!("it never ends"),
        () = tokio::time::sleep(SOON) => panic!("nothing came"),
    };
    assert_eq!(here(seen).1, addresses(&["127.0.0.4:4711"]));
}

#[tokio::test]
async fn one_is_found_by_its_name_and_forgotten_when_it_is_wanted_no_more() {
    let (house, service) = (House::new(), "_ports-name._udp");
    let mut browsing = Browsing::open(house.near().await, Network::Loopback, SAID, &[]).await;
    browsing.resolve(service, "one").unwrap();
    let mut announcer = Announcer::new(&house, "127.0.0.8", &["127.0.0.8"]).await;
    announcer.core.publish(Publication::new(service, "two", "ports-two", 4712).unwrap(), Duration::ZERO).unwrap();
    let id = announcer.publish(service);
    assert_eq!(here(next(&mut browsing, &mut announcer).await).1, addresses(&["127.0.0.8:4711"]));
    announcer.core.set_attributes(id, &Announcer::publication(service, b"second"), announcer.start.elapsed());
    let heard = async {
        while browsing.seen.is_empty() {
            let datagram = browsing.inbox.recv().await.unwrap();
            browsing.datagram(&datagram);
            browsing.collect();
        }
    };
    tokio::select! {
        () = heard => {}
        () = announcer.run() => unreachable!("it never ends"),
        () = tokio::time::sleep(SOON) => panic!("nothing came"),
    }
    browsing.stop_resolve(service, "one");
    assert_eq!((browsing.seen.len(), browsing.told.len(), browsing.core.poll_timeout()), (0, 0, None));
    assert!(browsing.browse("_a._sub._ports-name._udp").is_ok() && browsing.browse("ports-name").is_err());
}

#[tokio::test]
async fn a_flood_while_nobody_looks_is_dropped_and_costs_nobody_its_place() {
    let (house, service) = (House::new(), "_ports-flood._tcp");
    let mut browsing = house.browsing(service).await;
    let flood = Announcer::new(&house, "127.0.0.5", &["127.0.0.5"]).await;
    for length in 0..3000 {
        flood.say(&vec![0x80; length * 3]).await;
        if length % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(browsing.inbox.len() <= QUEUE);
    let mut announcer = Announcer::new(&house, "127.0.0.6", &["127.0.0.6"]).await;
    announcer.publish(service);
    assert_eq!(here(next(&mut browsing, &mut announcer).await).1, addresses(&["127.0.0.6:4711"]));
}

fn interface(index: u32, nets: &[(&str, u8)]) -> Interface {
    let nets: Vec<(IpAddr, u8)> = nets.iter().map(|(text, length)| (text.parse().unwrap(), *length)).collect();
    let of = |wanted: bool| nets.iter().map(|(ip, _)| *ip).filter(move |ip| ip.is_ipv4() == wanted);
    let v4 = of(true).filter_map(|ip| if let IpAddr::V4(ip) = ip { Some((ip, None)) } else { None }).collect();
    let v6 = of(false).filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None }).collect();
    Interface { name: format!("made-up{index}"), index, v4, v6, nets, loopback: false }
}

/// A browsing that hears what is announced with these addresses on the interface 90001.
async fn hears(house: &House, service: &str, first: Interface, announced: &[&str]) -> Browsing {
    let mut browsing = house.browsing(service).await;
    browsing.interfaces(vec![first]);
    let mut announcer = Announcer::new(house, "127.0.0.7", announced).await;
    announcer.publish(service);
    for _ in 0..8 {
        announcer.core.handle_timeout(announcer.core.poll_timeout().unwrap_or_default());
        while let Some(output) = announcer.core.poll() {
            if let Output::Transmit(Transmit { bytes, .. }) = output {
                let from = "[fe80::7]:5353".parse().unwrap();
                browsing.datagram(&Datagram { interface: 90001, from, bytes });
            }
        }
    }
    browsing
}

#[tokio::test]
async fn an_address_counts_on_the_link_of_its_interface_with_its_scope_and_once_that_is_there() {
    let (house, service) = (House::new(), "_ports-scope._udp");
    let announced = ["fe80::7", "192.168.7.9", "fd00:7::9", "2001:db8::9"];
    let first = interface(90001, &[("fe80::1", 64)]);
    let mut browsing = hears(&house, service, first, &announced).await;
    let (instance, at) = here(tokio::time::timeout(SOON, browsing.next()).await.unwrap());
    assert_eq!(at, [SocketAddr::from(SocketAddrV6::new("fe80::7".parse().unwrap(), 4711, 0, 90001))]);
    // Another interface is in that network: nothing was heard there.
    let elsewhere = interface(90002, &[("192.168.7.1", 24)]);
    browsing.interfaces(vec![interface(90001, &[("fe80::1", 64)]), elsewhere]);
    assert!(browsing.seen.is_empty(), "{:?}", browsing.seen);
    // IPv4 and a prefix come after IPv6's own address.
    browsing.interfaces(vec![interface(90001, &[("192.168.7.1", 24), ("fe80::1", 64), ("fd00:7::1", 64)])]);
    let (again, at) = here(tokio::time::timeout(SOON, browsing.next()).await.unwrap());
    assert_eq!((again, &at[..2]), (instance, &addresses(&["192.168.7.9:4711", "[fd00:7::9]:4711"])[..]));
    assert_eq!(at.len(), 3);
    // An interface that goes says nothing of what was found there.
    browsing.interfaces(vec![]);
    assert!(browsing.seen.is_empty(), "{:?}", browsing.seen);
}

#[tokio::test]
async fn who_is_heard_and_not_reached_is_told_with_the_interface_and_what_is_missing_there() {
    let house = House::new();
    let strays = async |service: &str, first: Interface, announced: &[&str], behind: bool| {
        let browsing = hears(&house, service, first, announced).await;
        let mut browsing = if behind { browsing.behind_routers() } else { browsing };
        here(tokio::time::timeout(SOON, browsing.next()).await.unwrap());
        browsing
    };
    let told = |browsing: &Browsing, service: &str| {
        let told = browsing.strays(service, "ONE").into_iter().map(|fact| match fact {
            Fact::Stray { interface, mut addresses, lacks } => {
                assert_eq!(interface, "made-up90001");
                addresses.sort();
                (lacks, addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
            }
            other => panic!("{other:?}"),
        });
        told.collect::<Vec<_>>()
    };
    let is = |all: &[(Lack, &str)]| all.iter().map(|(lack, at)| (*lack, (*at).to_owned())).collect::<Vec<_>>();
    let announced = ["fe80::7", "192.168.9.9", "169.254.3.3", "fd00:7::9"];
    let service = "_ports-stray._udp";
    let mut browsing = strays(service, interface(90001, &[("192.168.7.1", 24)]), &announced, true).await;
    let all = [(Lack::Ipv6, "fd00:7::9 fe80::7"), (Lack::Network, "169.254.3.3 192.168.9.9")];
    assert_eq!(told(&browsing, service), is(&all));
    assert_eq!(browsing.strays(service, "two"), []);
    // Its link-local address is everywhere; the other one says that its network is another one.
    browsing.interfaces(vec![interface(90001, &[("192.168.7.1", 24), ("fe80::1", 64)])]);
    assert_eq!(told(&browsing, service), is(&[(Lack::Relayed, "192.168.9.9")]));
    browsing.interfaces(vec![interface(90001, &[("192.168.9.1", 24), ("fe80::1", 64)])]);
    assert_eq!(told(&browsing, service), []);
    for (service, behind, lacks) in
        [("_ports-led._udp", true, Lack::Router), ("_ports-lost._udp", false, Lack::Network)]
    {
        let browsing = strays(service, interface(90001, &[("fd99::1", 64)]), &["fd00:7::9"], behind).await;
        assert_eq!(told(&browsing, service), is(&[(lacks, "fd00:7::9")]));
    }
}

#[tokio::test]
async fn an_interface_that_cannot_be_joined_is_told_until_it_is_gone() {
    let (house, service) = (House::new(), "_ports-trouble._udp");
    let mut browsing = house.browsing(service).await;
    assert_eq!(browsing.trouble(), None, "loopback can be joined");
    browsing.interfaces(vec![interface(90001, &[("192.168.7.1", 24)])]);
    let why = browsing.trouble().unwrap().to_owned();
    assert!(why.contains("made-up90001"), "{why}");
    assert!(browsing.is_own("192.168.7.1".parse().unwrap()) && !browsing.is_own("192.168.7.9".parse().unwrap()));
    assert!(browsing.facts().contains(&Fact::NotOpen { why }));
    browsing.interfaces(vec![]);
    assert_eq!((browsing.trouble(), browsing.facts()), (None, vec![]));
}

#[tokio::test]
async fn a_question_that_comes_again_soon_is_the_same_one() {
    let (house, service) = (House::new(), "_ports-again._udp");
    let mut browsing = house.browsing(service).await;
    browsing.refresh();
    // Asked at once and after a second; the next time is two seconds later.
    let seen = tokio::time::timeout(Duration::from_millis(1700), browsing.next()).await;
    assert!(seen.is_err(), "{seen:?}");
    let due = browsing.core.poll_timeout().unwrap();
    browsing.refresh();
    browsing.refresh();
    assert_eq!(browsing.core.poll_timeout(), Some(due));
    browsing.refreshed = browsing.refreshed.and_then(|last| last.checked_sub(REFRESH_AT_MOST_EVERY));
    browsing.refresh();
    assert!(browsing.core.poll_timeout().unwrap() < due);
}
