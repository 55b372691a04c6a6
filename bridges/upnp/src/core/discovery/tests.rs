use super::super::description::{Face, Server, Service};
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

fn device(uuid: &str, location: &Place) -> Described {
    let directory = Service { kind: "k".into(), control: location.clone(), scpd: None, events: None };
    Described {
        told: Vec::new(),
        udn: Udn::parse(&format!("uuid:{uuid}")).unwrap(),
        name: uuid.to_owned(),
        maker: None,
        model: None,
        face: Face::Server(Server { directory }),
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
                let found = vec![device(uuid, &place)];
                self.discovery.handle(Input::Described { location: &place, found }, self.now);
            }
        }
        self.said()
    }
}

#[test]
fn a_search_is_sent_three_times_then_rarely() {
    let mut lab = Lab::new();
    // One for renderers and one for servers.
    let searches = |said: Vec<Output>| said.iter().filter(|one| matches!(one, Output::Datagram { .. })).count() / 2;
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
    assert!(matches!(&said[..], [Output::Event(Event::Found(found))] if found.described.name == "a"), "{said:?}");
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
        let found = if place.path == "/kept" { vec![device("kept", &place)] } else { Vec::new() };
        lab.discovery.handle(Input::Described { location: &place, found }, lab.now);
    }
    lab.said();
    for number in 0..20_000u32 {
        lab.now += Duration::from_millis(4);
        lab.found(&format!("y{number}"), u8::try_from(number % 200).unwrap() + 10);
    }
    assert_eq!(lab.discovery.count(), Limits::default().devices + 1);
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

#[test]
fn another_place_on_the_same_host_is_believed_when_it_is_no_longer_where_it_was() {
    let fetches = |said: Vec<Output>| -> Vec<String> {
        let path = |one| if let Output::Fetch(place) = one { Some(place.path) } else { None };
        said.into_iter().filter_map(path).collect()
    };
    let mut lab = Lab::new();
    lab.found("a", 2);
    let [old, new] = ["a", "new"].map(|path| Place::parse(&format!("http://10.0.0.2:80/{path}")).unwrap());
    lab.hear(2, &alive("a", "http://10.0.0.2:80/forged"));
    assert_eq!(fetches(lab.said()), ["/a"], "it is looked for where it was");
    let still = vec![device("a", &old)];
    lab.discovery.handle(Input::Described { location: &old, found: still.clone() }, lab.now);
    assert!(matches!(&lab.said()[..], [Output::Event(Event::Again(_))]), "nothing begins anew");
    for number in 0..100 {
        lab.hear(2, &alive("a", &format!("http://10.0.0.2:80/forged{number}")));
    }
    assert!(lab.said().is_empty(), "and that once in a while");
    // Described elsewhere too, by a page of another's on that host: it is where it was.
    lab.hear(2, &alive("b", "http://10.0.0.2:80/b"));
    assert!(lab.described("a").is_empty());

    for _ in 0..5 {
        lab.after(61);
        lab.hear(2, &alive("a", "http://10.0.0.2:80/a"));
        lab.said();
    }
    lab.hear(2, &alive("a", "http://10.0.0.2:80/new"));
    lab.said();
    lab.discovery.handle(Input::Described { location: &old, found: Vec::new() }, lab.now);
    assert_eq!(fetches(lab.said()), ["/new"]);
    lab.discovery.handle(Input::Described { location: &new, found: vec![device("c", &new)] }, lab.now);
    assert!(
        !lab.said().iter().any(|one| matches!(one, Output::Event(Event::Found(found)) if found.described.name == "a"))
    );
    assert_eq!(lab.discovery.here[&Udn::parse("uuid:a").unwrap()].found.location, old, "it is not there either");

    let mut lab = Lab::new();
    lab.found("a", 2);
    lab.hear(2, &alive("a", "http://10.0.0.2:80/new"));
    lab.said();
    lab.discovery.handle(Input::Described { location: &old, found: Vec::new() }, lab.now);
    lab.said();
    lab.discovery.handle(Input::Described { location: &new, found: vec![device("a", &new)] }, lab.now);
    assert!(matches!(&lab.said()[..], [Output::Event(Event::Found(found))] if found.location == new));
}

#[test]
fn nobody_has_a_host_asked_as_often_as_he_likes() {
    let mut lab = Lab::new();
    let mut asked = 0;
    for number in 0..3000 {
        lab.now += Duration::from_millis(10);
        lab.hear(2, &alive(&format!("x{number}"), &format!("http://10.0.0.2:80/{number}")));
        for output in lab.said() {
            if let Output::Fetch(place) = output {
                asked += 1;
                lab.discovery.handle(Input::Described { location: &place, found: Vec::new() }, lab.now);
            }
        }
    }
    assert_eq!(asked, Limits::default().asked, "in half a minute");
    // An added one of that host is asked all the same.
    lab.discovery.handle(Input::Kept(BTreeSet::from([Udn::parse("uuid:kept").unwrap()])), lab.now);
    lab.now += Duration::from_secs(1);
    lab.hear(2, &alive("kept", "http://10.0.0.2:80/kept"));
    assert_eq!(lab.said().len(), 1);
}
