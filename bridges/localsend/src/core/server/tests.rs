use super::*;
use crate::core::message::{DeviceType, Protocol};
use crate::core::{Fingerprint, PORT};

struct Bench {
    server: Server,
    now: Instant,
}

fn device(name: &str) -> DeviceInfo {
    DeviceInfo::new(name, DeviceType::Desktop, Fingerprint::of(name.as_bytes()))
}

fn peer(name: &str) -> Peer {
    let certificate = Some(Fingerprint::of(name.as_bytes()));
    Peer { encrypted: true, certificate, ..Peer::at("10.0.0.2:1".parse().unwrap()) }
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Self { server: Server::new(device("us"), Rules::default(), now), now }
    }
    fn ask(&mut self, from: Peer, route: Route, body: &[u8]) -> Vec<Output> {
        let request = Request { peer: from, route, is_foreign: false, body: body.to_vec(), length: None };
        self.give(Input::Request(ConnectionId(1), request))
    }
    fn give(&mut self, input: Input) -> Vec<Output> {
        self.server.handle(input, self.now);
        std::iter::from_fn(|| match self.server.poll_output() {
            Output::Wait(_) => None,
            output => Some(output),
        })
        .collect()
    }
}

fn status(outputs: &[Output]) -> u16 {
    match outputs {
        [.., Output::Respond(_, response)] => response.status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_that_registers_is_reported_unless_it_lies_or_is_ourselves() {
    let register = |name: &str| {
        let info = device(name);
        Announcement { info, port: PORT, protocol: Protocol::Https, announce: false }.to_register()
    };
    let mut bench = Bench::new();
    let outputs = bench.ask(peer("them"), Route::Register, &register("them"));
    assert!(matches!(&outputs[..], [Output::Event(Event::Registered(..)), Output::Respond(..)]), "{outputs:?}");
    for (from, claimed) in [("them", "other"), ("us", "us")] {
        let outputs = bench.ask(peer(from), Route::Register, &register(claimed));
        assert!(matches!(&outputs[..], [Output::Respond(..)]), "{outputs:?}");
    }
    assert_eq!(status(&bench.ask(peer("them"), Route::Register, b"{")), 400);
}

#[test]
fn pages_of_others_get_nothing() {
    let mut bench = Bench::new();
    let (route, body) = (Route::Info, Vec::new());
    let request = Request { peer: peer("them"), route, is_foreign: true, body, length: None };
    assert_eq!(status(&bench.give(Input::Request(ConnectionId(1), request))), 403);
}

#[test]
fn info_is_answered_to_everybody_and_unknown_things_are_refused() {
    let mut bench = Bench::new();
    assert_eq!(status(&bench.ask(peer("them"), Route::Info, b"")), 200);
    assert_eq!(status(&bench.ask(peer("them"), Route::Unknown, b"")), 404);
    assert_eq!(status(&bench.ask(peer("them"), Route::WrongMethod, b"")), 405);
    let upload = Route::Upload { session: Some("s".into()), file: None, token: Some("t".into()) };
    assert_eq!(status(&bench.ask(peer("them"), upload, b"")), 400);
}

#[test]
fn a_cancel_that_is_not_for_the_receiver_reaches_the_senders() {
    let mut bench = Bench::new();
    let outputs = bench.ask(peer("them"), Route::Cancel { session: Some("s".into()) }, b"");
    assert!(matches!(&outputs[..], [Output::Event(Event::PeerCancelled(_, Some(_))), Output::Respond(..)]));
    assert_eq!(status(&outputs), 200);
}
