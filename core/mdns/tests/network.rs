//! Several cores on simulated networks: datagrams take a millisecond, come back to who sent them, and can
//! be lost or counted.
#![allow(clippy::unwrap_used, reason = "test helpers")]

use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use accord_mdns::{Config, Core, Event, GROUP_V4, GROUP_V6, Interface, Output, PORT, Publication, ServiceInstance};

const TYPE: &str = "_accord._udp";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Node {
    core: Core,
    /// Network, interface index, addresses.
    plugs: Vec<(usize, u32, Vec<IpAddr>)>,
    found: BTreeMap<String, ServiceInstance>,
    log: Vec<String>,
    renamed: Vec<String>,
    dead: bool,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: std::cmp::Reverse<(Duration, u64)>,
    to: usize,
    interface: u32,
    from: SocketAddr,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Net {
    now: Duration,
    nodes: Vec<Node>,
    flights: BinaryHeap<Flight>,
    count: u64,
    /// Datagrams sent (not delivered), and their bytes.
    sent: u64,
    bytes: u64,
    last_sent: Option<Duration>,
    /// Drop about every n-th delivery.
    lose: u64,
    /// Sender, destination and bytes of everything.
    record: Vec<(usize, SocketAddr, Vec<u8>)>,
}

impl Net {
    fn new() -> Self {
        Self { now: seconds(5), ..Self::default() }
    }
    fn add(&mut self, plugs: &[(usize, u32, &[&str])]) -> usize {
        let mut config = Config::with_seed(1000 + self.nodes.len() as u64);
        config.max_per_source = 64;
        let parse = |text: &&str| text.parse().unwrap();
        let plugs: Vec<_> = plugs
            .iter()
            .map(|(net, index, ips)| (*net, *index, ips.iter().map(parse).collect::<Vec<IpAddr>>()))
            .collect();
        let node =
            Node { core: Core::new(config), plugs, found: BTreeMap::new(), log: vec![], renamed: vec![], dead: false };
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.plug(id);
        id
    }
    /// One device on network 0.
    fn device(&mut self) -> usize {
        let number = self.nodes.len() + 1;
        let ip = format!("192.0.{}.{}", number / 250, number % 250 + 1);
        self.add(&[(0, 2, &[&ip])])
    }
    fn plug(&mut self, node: usize) {
        let interfaces = self.nodes[node].plugs.iter();
        let interfaces =
            interfaces.map(|(_, index, addresses)| Interface { index: *index, addresses: addresses.clone() }).collect();
        let now = self.now;
        self.nodes[node].core.set_interfaces(interfaces, now);
        self.drain(node);
    }
    fn publish(&mut self, node: usize, name: &str, port: u16) -> accord_mdns::PublicationId {
        let publication = Publication::new(TYPE, name, name, port).unwrap().attribute("v", b"1").unwrap();
        let id = self.nodes[node].core.publish(publication, self.now).unwrap();
        self.drain(node);
        id
    }
    fn browse(&mut self, node: usize) {
        self.nodes[node].core.browse(TYPE, self.now).unwrap();
        self.drain(node);
    }
    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].core.poll() {
            match output {
                Output::Transmit(sent) => {
                    assert!(sent.bytes.len() <= 1440, "fits a link");
                    self.sent += 1;
                    self.bytes += sent.bytes.len() as u64;
                    self.last_sent = Some(self.now);
                    self.record.push((node, sent.to, sent.bytes.clone()));
                    if self.nodes[node].dead {
                        continue;
                    }
                    let plug = self.nodes[node].plugs.iter().find(|(_, index, _)| *index == sent.interface).unwrap();
                    let (net, ips) = (plug.0, plug.2.clone());
                    let Some(ip) = ips.iter().find(|ip| ip.is_ipv4() == sent.to.is_ipv4()) else { panic!("family") };
                    let from = SocketAddr::new(*ip, PORT);
                    let group = sent.to.ip() == IpAddr::from(GROUP_V4) || sent.to.ip() == IpAddr::from(GROUP_V6);
                    for to in 0..self.nodes.len() {
                        for (other, index, ips) in &self.nodes[to].plugs {
                            let speaks = ips.iter().any(|ip| ip.is_ipv4() == sent.to.is_ipv4());
                            let hears = if group { speaks } else { ips.contains(&sent.to.ip()) };
                            self.count += 1;
                            let lost = self.lose > 0
                                && (self.count.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).is_multiple_of(self.lose);
                            if *other != net || !hears || lost {
                                continue;
                            }
                            let at = std::cmp::Reverse((self.now + Duration::from_millis(1), self.count));
                            let bytes = sent.bytes.clone();
                            self.flights.push(Flight { at, to, interface: *index, from, bytes });
                        }
                    }
                }
                Output::Event(event) => {
                    let node = &mut self.nodes[node];
                    match event {
                        Event::Found(instance) => {
                            node.log.push(format!("+{}", instance.name));
                            node.found.insert(instance.name.clone(), instance);
                        }
                        Event::Updated(instance) => {
                            node.log.push(format!("~{}", instance.name));
                            node.found.insert(instance.name.clone(), instance);
                        }
                        Event::Lost { name, .. } => {
                            node.log.push(format!("-{name}"));
                            node.found.remove(&name);
                        }
                        Event::Renamed { instance, .. } => node.renamed.push(instance),
                    }
                }
            }
        }
    }
    fn inject(&mut self, to: usize, from: &str, bytes: &[u8]) {
        let interface = self.nodes[to].plugs[0].1;
        let now = self.now;
        self.nodes[to].core.handle_datagram(from.parse().unwrap(), interface, bytes, now);
        self.drain(to);
    }
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let flight = self.flights.peek().map(|flight| flight.at.0.0);
            let timers = self.nodes.iter().filter(|node| !node.dead).filter_map(|node| node.core.poll_timeout());
            let next = flight.into_iter().chain(timers).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(flight) = self.flights.peek()
                && flight.at.0.0 <= self.now
            {
                let flight = self.flights.pop().unwrap();
                if !self.nodes[flight.to].dead {
                    let core = &mut self.nodes[flight.to].core;
                    core.handle_datagram(flight.from, flight.interface, &flight.bytes, self.now);
                    self.drain(flight.to);
                }
            }
            for node in 0..self.nodes.len() {
                if !self.nodes[node].dead && self.nodes[node].core.poll_timeout().is_some_and(|at| at <= self.now) {
                    self.nodes[node].core.handle_timeout(self.now);
                    let stuck = self.nodes[node].core.poll_timeout().is_some_and(|at| at <= self.now);
                    assert!(!stuck, "a timeout that was handled is not due any more");
                    self.drain(node);
                }
            }
        }
        self.now = end;
    }
    fn names(&self, node: usize) -> Vec<&str> {
        self.nodes[node].found.keys().map(String::as_str).collect()
    }
}

#[test]
fn nothing_is_sent_before_something_is_wished_for() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.run(seconds(3600));
    assert_eq!((net.sent, net.nodes[a].core.poll_timeout(), net.nodes[b].core.poll_timeout()), (0, None, None));
}

#[test]
fn a_late_joiner_finds_who_is_there_within_a_fraction_of_a_second() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.publish(a, "aaaa", 4711);
    net.run(seconds(10));
    net.browse(b);
    net.run(Duration::from_millis(300));
    let found = &net.nodes[b].found["aaaa"];
    assert_eq!((found.host.as_str(), found.port, found.attribute("V")), ("aaaa", 4711, Some(&b"1"[..])));
    assert_eq!(found.socket_addresses().collect::<Vec<_>>(), ["192.0.0.2:4711".parse().unwrap()]);
}

#[test]
fn who_comes_later_is_found_by_its_announcement() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.browse(a);
    net.run(seconds(100));
    net.publish(b, "bbbb", 1);
    net.run(seconds(2));
    assert_eq!(net.names(a), ["bbbb"]);
    assert!(net.names(b).is_empty());
}

#[test]
fn an_own_publication_is_not_reported_to_oneself() {
    let mut net = Net::new();
    let a = net.device();
    net.publish(a, "aaaa", 1);
    net.browse(a);
    net.run(seconds(100));
    assert!(net.nodes[a].log.is_empty());
    assert!(net.nodes[a].renamed.is_empty());
}

#[test]
fn two_hubs_on_one_machine_find_each_other() {
    let mut net = Net::new();
    let (a, b) = (net.add(&[(0, 1, &["127.0.0.1"])]), net.add(&[(0, 1, &["127.0.0.1"])]));
    for (node, name) in [(a, "aaaa"), (b, "bbbb")] {
        net.publish(node, name, 1);
        net.browse(node);
    }
    net.run(seconds(3));
    assert_eq!((net.names(a), net.names(b)), (vec!["bbbb"], vec!["aaaa"]));
}

#[test]
fn many_hubs_on_one_machine_are_no_flood() {
    let mut net = Net::new();
    let nodes: Vec<_> = (0..80).map(|_| net.add(&[(0, 1, &["127.0.0.1"])])).collect();
    net.browse(nodes[0]);
    for node in &nodes {
        net.publish(*node, &format!("n{node}"), 1);
    }
    net.run(seconds(4));
    assert_eq!(net.names(nodes[0]).len(), 79);
}

#[test]
fn a_goodbye_is_heard_and_a_new_name_follows() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.browse(b);
    let id = net.publish(a, "old", 1);
    net.run(seconds(10));
    let now = net.now;
    net.nodes[a].core.unpublish(id, now);
    net.drain(a);
    net.publish(a, "new", 1);
    net.run(seconds(3));
    assert_eq!(net.nodes[b].log[0], "+old");
    assert!(net.nodes[b].log.contains(&"-old".to_owned()));
    assert_eq!(net.names(b), ["new"]);
}

#[test]
fn a_goodbye_that_another_says_in_its_name_is_doubted_and_costs_little() {
    let goodbye = {
        let mut net = Net::new();
        let a = net.device();
        let id = net.publish(a, "aaaa", 1);
        net.run(seconds(10));
        let (now, before) = (net.now, net.record.len());
        net.nodes[a].core.unpublish(id, now);
        net.drain(a);
        assert!(net.record.len() > before);
        net.record.pop().unwrap().2
    };
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.publish(a, "aaaa", 1);
    net.run(seconds(1));
    net.browse(b);
    for times in [1, 1, 50, 1000] {
        net.run(seconds(10));
        let sent = net.sent;
        for _ in 0..times {
            net.inject(b, "192.0.0.9:5353", &goodbye);
            net.run(Duration::from_millis(20));
        }
        net.run(seconds(5));
        assert_eq!(net.nodes[b].log, ["+aaaa"], "after {times}");
        let asked = u64::try_from(times).unwrap() / 50 + 1;
        assert!(net.sent - sent <= 4 * asked + 4, "{} datagrams for {times}", net.sent - sent);
    }
    // One that went is lost all the same.
    net.nodes[a].dead = true;
    net.inject(b, "192.0.0.9:5353", &goodbye);
    net.run(seconds(3));
    assert_eq!(net.nodes[b].log, ["+aaaa", "-aaaa"]);
}

#[test]
fn who_vanishes_is_lost_after_its_time_to_live_and_not_before() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.browse(b);
    net.publish(a, "aaaa", 1);
    net.run(seconds(10));
    net.nodes[a].dead = true;
    net.run(seconds(60));
    assert_eq!(net.names(b), ["aaaa"]);
    net.run(seconds(60));
    assert!(net.names(b).is_empty());
}

#[test]
fn who_stays_is_refreshed_and_never_lost() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.browse(b);
    net.publish(a, "aaaa", 1);
    net.run(seconds(6 * 3600));
    assert_eq!(net.nodes[b].log, ["+aaaa"]);
    let per_minute = net.sent as f64 / (6.0 * 60.0);
    assert!(per_minute < 6.0, "{per_minute} datagrams a minute");
}

#[test]
fn a_doubted_device_is_asked_and_lost_when_silent() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.browse(b);
    net.publish(a, "aaaa", 1);
    net.run(seconds(10));
    for (dead, log) in [(false, vec!["+aaaa"]), (true, vec!["+aaaa", "-aaaa"])] {
        net.nodes[a].dead = dead;
        let now = net.now;
        net.nodes[b].core.doubt(TYPE, "aaaa", now);
        net.drain(b);
        net.run(seconds(20));
        assert_eq!(net.nodes[b].log, log);
    }
}

#[test]
fn questions_become_rarer_and_known_answers_are_not_answered() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.publish(a, "aaaa", 1);
    net.run(seconds(10));
    net.browse(b);
    net.run(seconds(2));
    net.record.clear();
    net.run(seconds(60));
    let from_b = net.record.iter().filter(|(node, ..)| *node == b).count();
    let from_a = net.record.iter().filter(|(node, ..)| *node == a).count();
    assert!((3..=5).contains(&from_b), "2, 4, 8, 16 and 32 seconds: {from_b}");
    assert_eq!(from_a, 0, "the answer is known");
}

#[test]
fn a_record_is_multicast_at_most_once_a_second() {
    let mut net = Net::new();
    let a = net.device();
    net.publish(a, "aaaa", 1);
    net.run(seconds(10));
    let mut asker = net.device();
    for _ in 0..20 {
        net.browse(asker);
        net.run(Duration::from_millis(100));
        asker = net.device();
    }
    let answers = net.record.iter().filter(|(node, ..)| *node == a).count();
    assert!(answers <= 4 + 4 + 3, "{answers} datagrams for probes, announcements and two seconds of questions");
}

#[test]
fn two_with_one_name_end_with_two_names() {
    let mut net = Net::new();
    let (a, b, c) = (net.device(), net.device(), net.device());
    net.browse(c);
    net.publish(a, "same", 1);
    net.run(seconds(5));
    net.publish(b, "same", 2);
    net.run(seconds(5));
    assert_eq!(net.names(c), ["same", "same-2"]);
    assert_eq!(net.nodes[c].found["same"].port, 1, "who was first keeps the name");
    assert_eq!(net.nodes[b].renamed, ["same-2"]);
    assert_eq!(net.nodes[c].found["same-2"].host, "same-2");
}

#[test]
fn two_who_probe_for_one_name_at_once_end_with_two_names() {
    let mut net = Net::new();
    let nodes = [net.device(), net.device(), net.device()];
    let watcher = net.device();
    net.browse(watcher);
    for (index, node) in nodes.into_iter().enumerate() {
        net.publish(node, "same", index as u16 + 1);
    }
    net.run(seconds(20));
    assert_eq!(net.names(watcher).len(), 3, "{:?}", net.names(watcher));
    let ports: std::collections::BTreeSet<u16> = net.nodes[watcher].found.values().map(|it| it.port).collect();
    assert_eq!(ports.len(), 3);
}

#[test]
fn lost_datagrams_only_cost_time() {
    for lose in [3, 5, 10] {
        let mut net = Net::new();
        let nodes: Vec<_> = (0..6).map(|_| net.device()).collect();
        net.lose = lose;
        for node in &nodes {
            net.publish(*node, &format!("n{node}"), 1);
            net.browse(*node);
        }
        net.run(seconds(40));
        for node in &nodes {
            assert_eq!(net.names(*node).len(), 5, "every {lose}. lost: {:?}", net.names(*node));
        }
    }
}

#[test]
fn two_hundred_devices_at_once_are_all_found_with_bounded_traffic() {
    let mut net = Net::new();
    let nodes: Vec<_> = (0..200).map(|_| net.device()).collect();
    for node in &nodes {
        net.publish(*node, &format!("device{node}"), 1);
    }
    for node in &nodes[..4] {
        net.browse(*node);
    }
    net.run(seconds(8));
    for node in &nodes[..4] {
        assert_eq!(net.names(*node).len(), 199);
    }
    // Probes and announcements are five each; each record is multicast once a second at most.
    assert!(net.sent < 200 * 14, "{} datagrams", net.sent);
    net.sent = 0;
    net.run(seconds(60));
    assert!(net.sent < 200 * 6, "{} datagrams in a quiet minute", net.sent);
    assert!(net.nodes[0].log.iter().all(|line| line.starts_with('+')), "nobody was lost");
}

#[test]
fn a_cable_and_a_radio_and_both_families_all_count() {
    let mut net = Net::new();
    let a = net.add(&[(0, 2, &["192.0.2.1", "fe80::1"]), (1, 3, &["198.51.100.1"])]);
    let b = net.add(&[(0, 7, &["192.0.2.2", "fe80::2"]), (1, 8, &["198.51.100.2"])]);
    net.browse(a);
    net.publish(b, "bbbb", 9);
    net.run(seconds(4));
    let addresses: Vec<String> = net.nodes[a].found["bbbb"].socket_addresses().map(|a| a.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.2:9", "198.51.100.2:9", "[fe80::2%2]:9"]);

    // The cable is pulled and an address changes: the rest is known at once, the old ends by itself.
    net.nodes[b].plugs = vec![(1, 8, vec!["198.51.100.77".parse().unwrap()])];
    net.plug(b);
    net.run(seconds(4));
    let addresses: Vec<String> = net.nodes[a].found["bbbb"].socket_addresses().map(|a| a.to_string()).collect();
    assert!(addresses.contains(&"198.51.100.77:9".to_owned()), "{addresses:?}");
    assert!(!addresses.contains(&"198.51.100.2:9".to_owned()), "{addresses:?}");
    net.run(seconds(200));
    let addresses: Vec<String> = net.nodes[a].found["bbbb"].socket_addresses().map(|a| a.to_string()).collect();
    assert_eq!(addresses, ["198.51.100.77:9"]);
    assert!(!net.nodes[a].log.iter().any(|line| line.starts_with('-')), "{:?}", net.nodes[a].log);
}

#[test]
fn an_interface_that_appears_later_is_used_at_once() {
    let mut net = Net::new();
    let (a, b) = (net.add(&[]), net.device());
    net.publish(a, "aaaa", 1);
    net.browse(a);
    net.publish(b, "bbbb", 1);
    net.browse(b);
    net.run(seconds(600));
    assert!(net.names(a).is_empty());
    net.nodes[a].plugs = vec![(0, 4, vec!["192.0.2.200".parse().unwrap()])];
    net.plug(a);
    net.run(seconds(2));
    assert_eq!((net.names(a), net.names(b)), (vec!["bbbb"], vec!["aaaa"]));
}

#[test]
fn changed_attributes_reach_who_looks() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.browse(b);
    let id = net.publish(a, "aaaa", 1);
    net.run(seconds(5));
    let like = Publication::new(TYPE, "aaaa", "aaaa", 1).unwrap().attribute("h", b"\x00\xff").unwrap();
    let now = net.now;
    net.nodes[a].core.set_attributes(id, &like, now);
    net.drain(a);
    net.run(seconds(2));
    assert_eq!(net.nodes[b].found["aaaa"].txt, [("h".to_owned(), vec![0, 255])]);
    assert!(net.nodes[a].renamed.is_empty());
}

/// `dig -p 5353 @192.0.2.1 _accord._udp.local PTR`: an ordinary resolver.
#[test]
fn an_ordinary_resolver_gets_an_ordinary_answer() {
    let mut net = Net::new();
    let a = net.device();
    net.publish(a, "aaaa", 4711);
    net.run(seconds(5));
    net.record.clear();
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07_accord\x04_udp\x05local\x00\x00\x0c\x00\x01";
    net.inject(a, "192.0.2.9:40000", query);
    let (_, to, bytes) = &net.record[0];
    assert_eq!(to.to_string(), "192.0.2.9:40000");
    assert_eq!(bytes[..12], *b"\x12\x34\x84\x00\x00\x01\x00\x01\x00\x00\x00\x03");
    let first = 12 + query.len() - 12;
    // Question repeated, then: name by pointer, PTR, IN without the flush bit, 10 seconds.
    assert_eq!(bytes[12..first], query[12..]);
    assert_eq!(bytes[first..first + 10], *b"\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x0a");
}

#[test]
fn a_flood_from_one_source_leaves_room_for_others() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.browse(a);
    let name = |instance: &str| {
        let mut out = vec![instance.len() as u8];
        out.extend(instance.as_bytes());
        out.extend(b"\xc0\x0c");
        out
    };
    let record = |index: u32| {
        let mut bytes = b"\0\0\x84\0\0\0\0\x01\0\0\0\0\x07_accord\x04_udp\x05local\0\0\x0c\0\x01\0\0\x10\0".to_vec();
        let target = name(&format!("f{index}"));
        bytes.extend((target.len() as u16).to_be_bytes());
        bytes.extend(target);
        bytes
    };
    for index in 0..6_000u32 {
        // 192.0.9.9 alone at first, later from everywhere.
        let from =
            if index < 3_000 { "192.0.9.9:5353".into() } else { format!("10.{}.{}.1:5353", index % 7, index % 200) };
        net.inject(a, &from, &record(index));
        if index % 500 == 0 {
            net.run(seconds(1));
        }
    }
    net.publish(b, "bbbb", 1);
    net.run(seconds(5));
    assert_eq!(net.names(a), ["bbbb"]);
}

#[test]
fn garbage_and_answers_from_other_ports_do_nothing() {
    let mut net = Net::new();
    let (a, b) = (net.device(), net.device());
    net.browse(a);
    net.publish(b, "bbbb", 1);
    net.run(seconds(5));
    let answers: Vec<_> =
        net.record.iter().filter(|(node, ..)| *node == b).map(|(_, _, bytes)| bytes.clone()).collect();
    let c = net.device();
    net.browse(c);
    for bytes in answers {
        net.inject(c, "192.0.9.9:5354", &bytes);
        for cut in 0..bytes.len() {
            net.inject(c, "192.0.9.9:5353", &bytes[..cut]);
        }
    }
    assert!(net.names(c).is_empty());
}
