use proptest::prelude::*;

use super::*;
use crate::core::message::DeviceType;

fn announcement(name: &str, port: u16) -> Announcement {
    let info = DeviceInfo::new(name, DeviceType::Mobile, Fingerprint::of(name.as_bytes()));
    Announcement { info, port, protocol: Protocol::Https, announce: true }
}

struct Bench {
    discovery: Discovery,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let mut bench = Self { discovery: Discovery::new(announcement("us", PORT), Limits::default(), now), now };
        let v6 = ("fe80::1".parse().unwrap(), 64);
        let addresses = vec![("192.168.1.10".parse().unwrap(), 24), v6];
        bench.give(Input::Interfaces(vec![Interface { index: 3, addresses }]));
        bench
    }
    fn drain(&mut self) -> (Vec<Output>, Instant) {
        let mut outputs = Vec::new();
        loop {
            match self.discovery.poll_output() {
                Output::Wait(at) => return (outputs, at),
                output => outputs.push(output),
            }
        }
    }
    fn give(&mut self, input: Input<'_>) -> Vec<Output> {
        self.discovery.handle(input, self.now);
        self.drain().0
    }
    fn datagram(&mut self, from: &str, announced: &Announcement) -> Vec<Output> {
        self.give(Input::Datagram { from: from.parse().unwrap(), interface: 3, bytes: &announced.to_datagram() })
    }
    fn announcing() -> Self {
        let mut bench = Self::new();
        bench.give(Input::Announce);
        for _ in ANNOUNCE_AT {
            bench.now = bench.drain().1;
            bench.give(Input::Timeout);
        }
        bench
    }
}

#[test]
fn nothing_is_sent_unasked_and_then_three_times_on_every_interface_and_to_both_groups() {
    let mut bench = Bench::new();
    assert!(bench.drain().1 > bench.now + Duration::from_secs(3600));
    assert!(
        bench.datagram("192.168.1.20:53317", &announcement("a", PORT)).iter().all(|o| matches!(o, Output::Event(_))),
        "not even an answer"
    );
    bench.give(Input::Announce);
    let start = bench.now;
    for after in ANNOUNCE_AT {
        let at = bench.drain().1;
        assert_eq!(at, start + after);
        bench.now = at;
        let outputs = bench.give(Input::Timeout);
        let groups: Vec<String> = outputs
            .iter()
            .map(|output| match output {
                Output::Datagram { interface: 3, to, .. } => to.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(groups, ["224.0.0.167:53317", "[ff12::fd3a:e420%3]:53317"]);
    }
    let Output::Datagram { bytes, fields, .. } = bench.give(Input::Announce).pop().unwrap_or_else(|| {
        bench.now = bench.drain().1;
        bench.give(Input::Timeout).remove(0)
    }) else {
        panic!()
    };
    assert!(
        Announcement::parse_datagram(&bytes).unwrap().announce && fields.contains(accord_model::FieldCode::DeviceName)
    );
    bench.give(Input::Hush);
    bench.now += Duration::from_secs(3600);
    assert!(bench.give(Input::Timeout).is_empty());
}

#[test]
fn an_announcement_is_answered_by_register_once_and_ours_is_ignored() {
    let mut bench = Bench::announcing();
    let outputs = bench.datagram("192.168.1.20:40000", &announcement("a", 4711));
    let [Output::Event(Event::Found(found)), Output::Register(target)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!((target.address.to_string().as_str(), found.verified), ("192.168.1.20:4711", false));
    assert_eq!(target.fingerprint.as_ref(), Some(&found.info.fingerprint));
    assert!(bench.datagram("192.168.1.20:40000", &announcement("a", 4711)).is_empty(), "not twice");
    assert!(bench.datagram("192.168.1.10:53317", &announcement("us", PORT)).is_empty());
    let target = target.clone();
    let certificate = target.fingerprint.clone();
    let body = announcement("a", 4711).info.to_json();
    let outputs = bench.give(Input::Answered { target, certificate, body: &body });
    assert!(matches!(&outputs[..], [Output::Event(Event::Changed(found))] if found.verified), "{outputs:?}");
}

#[test]
fn strangers_and_low_ports_make_us_call_nobody() {
    let mut bench = Bench::announcing();
    for from in ["8.8.8.8:53317", "192.168.2.20:53317", "[2001:db8::1]:53317"] {
        assert!(bench.datagram(from, &announcement("a", PORT)).is_empty(), "{from}");
    }
    assert!(bench.datagram("192.168.1.20:53317", &announcement("a", 80)).is_empty());
    let outputs = bench.datagram("[fe80::7]:53317", &announcement("a", PORT));
    let Some(Output::Register(target)) = outputs.last() else { panic!("{outputs:?}") };
    assert_eq!(target.address.to_string(), "[fe80::7%3]:53317", "link-local keeps its scope");
}

#[test]
fn an_unproved_word_does_not_rename_a_proved_device() {
    let mut bench = Bench::new();
    let real = announcement("a", PORT);
    let proof = Some(real.info.fingerprint.clone());
    let mut peer = Peer::at("192.168.1.20:1".parse().unwrap());
    peer.certificate = proof;
    bench.give(Input::Registered(&real, &peer));
    let mut fake = announcement("a", PORT);
    fake.info.alias = "Your bank".into();
    let outputs = bench.datagram("192.168.1.66:1", &fake);
    let [Output::Event(Event::Changed(found))] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!((found.info.alias.as_str(), found.at[0].address.to_string().as_str()), ("a", "192.168.1.20:53317"));
}

#[test]
fn a_silent_device_is_asked_twice_and_then_lost() {
    let mut bench = Bench::announcing();
    bench.datagram("192.168.1.20:1", &announcement("a", PORT));
    let target = bench.discovery.found().next().unwrap().at[0].clone();
    bench.give(Input::Failed { target: target.clone(), connected: false });
    bench.now = bench.drain().1;
    let outputs = bench.give(Input::Timeout);
    assert_eq!(outputs, [Output::Register(target.clone())]);
    let outputs = bench.give(Input::Failed { target, connected: false });
    assert!(matches!(outputs[..], [Output::Event(Event::Lost(..))]), "{outputs:?}");
    assert_eq!(bench.discovery.found().count(), 0);
}

#[test]
fn a_scan_asks_each_neighbour_a_few_at_a_time_and_tries_plain_where_something_listens() {
    let mut bench = Bench::new();
    let mut asked = bench.give(Input::Scan);
    assert_eq!(asked.len(), Limits::default().registers);
    let (mut hosts, mut plain) = (HashSet::new(), 0);
    let mut done = false;
    while let Some(output) = asked.pop() {
        let target = match output {
            Output::Register(target) => target,
            Output::Event(Event::Scanned) => {
                done = true;
                continue;
            }
            other => panic!("{other:?}"),
        };
        hosts.insert(target.address);
        plain += usize::from(target.protocol == Protocol::Http);
        let connected = target.address.ip() == IpAddr::from([192, 168, 1, 77]);
        asked.extend(bench.give(Input::Failed { target, connected }));
    }
    assert_eq!((hosts.len(), plain, done), (253, 1, true));
}

#[test]
fn a_flood_of_made_up_devices_is_bounded_and_does_not_push_out_proved_ones() {
    let mut bench = Bench::new();
    let real = announcement("real", PORT);
    let mut peer = Peer::at("192.168.1.20:1".parse().unwrap());
    peer.certificate = Some(real.info.fingerprint.clone());
    bench.give(Input::Registered(&real, &peer));
    for n in 0..2000u32 {
        bench.datagram(&format!("192.168.1.{}:1", 30 + n % 200), &announcement(&format!("fake {n}"), PORT));
    }
    assert!(bench.discovery.found().count() <= Limits::default().peers);
    assert!(bench.discovery.found().any(|found| found.verified));
}

proptest! {
    #[test]
    fn garbage_and_floods_never_panic(datagrams in prop::collection::vec((any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 0..60)), 0..40)) {
        let mut bench = Bench::announcing();
        for (from, bytes) in datagrams {
            let from = SocketAddr::from((from, 1));
            bench.give(Input::Datagram { from, interface: 3, bytes: &bytes });
        }
    }
}

#[test]
fn who_only_answers_is_asked_once_to_prove_itself() {
    let mut bench = Bench::announcing();
    let answer = Announcement { announce: false, ..announcement("a", 4711) };
    let outputs = bench.datagram("192.168.1.20:53317", &answer);
    assert!(matches!(&outputs[..], [Output::Event(Event::Found(_)), Output::Register(_)]), "{outputs:?}");
    bench.now += Duration::from_secs(10);
    assert!(bench.datagram("192.168.1.20:53317", &answer).is_empty());
}

#[test]
fn an_address_is_asked_without_announcing_and_by_plain_http_if_it_speaks_nothing_else() {
    let mut bench = Bench::new();
    let address: SocketAddr = "10.1.2.3:53317".parse().unwrap();
    let [Output::Register(target)] = &bench.give(Input::Look(address))[..] else { panic!("not asked") };
    assert_eq!((target.address, target.protocol, &target.fingerprint), (address, Protocol::Https, &None));
    assert!(bench.give(Input::Look(address)).is_empty(), "once at a time");
    let outputs = bench.give(Input::Failed { target: target.clone(), connected: true });
    let [Output::Register(plain)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(plain.protocol, Protocol::Http);
    let body = announcement("a", PORT).info.to_json();
    let outputs = bench.give(Input::Answered { target: plain.clone(), certificate: None, body: &body });
    assert!(
        matches!(&outputs[..], [Output::Event(Event::Scanned), Output::Event(Event::Found(found))] if !found.verified)
    );
}
