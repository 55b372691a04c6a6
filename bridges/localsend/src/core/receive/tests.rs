use super::*;
use crate::core::message::{Announcement, DeviceInfo, DeviceType, Protocol, RelativePath};
use crate::core::{Fingerprint, PORT};

const HASH: &str = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";

fn peer(address: &str) -> Peer {
    let certificate = Fingerprint::parse(HASH);
    Peer { encrypted: true, certificate, ..Peer::at(format!("{address}:1").parse().unwrap()) }
}

fn request() -> PrepareUpload {
    let info = DeviceInfo::new("Phone", DeviceType::Mobile, Fingerprint::parse(HASH).unwrap());
    let sender = Announcement { info, port: PORT, protocol: Protocol::Https, announce: false };
    let file = |id: &str| FileOffer::new(id, RelativePath::parse(id).unwrap(), 3);
    PrepareUpload { sender, files: vec![file("a"), file("b")] }
}

struct Bench {
    receiver: Receiver,
    now: Instant,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let now = Instant::now();
        Self { receiver: Receiver::new(rules, now), now }
    }
    fn give(&mut self, input: Input<'_>) -> Vec<Output> {
        self.receiver.handle(input, self.now);
        std::iter::from_fn(|| match self.receiver.poll_output() {
            Output::Wait(_) => None,
            output => Some(output),
        })
        .collect()
    }
    fn prepare(&mut self, connection: u64, peer: &Peer) -> Vec<Output> {
        let connection = ConnectionId(connection);
        self.give(Input::Prepare { connection, peer, pin: None, request: request() })
    }
    fn status(outputs: &[Output]) -> u16 {
        outputs
            .iter()
            .find_map(|output| match output {
                Output::Respond(_, response) => Some(response.status),
                _ => None,
            })
            .unwrap()
    }
    /// A running session: its id and the tokens.
    fn running(&mut self) -> Prepared {
        self.prepare(1, &peer("10.0.0.2"));
        let outputs = self.give(Input::Decide(AskId(1), Decision::Accept));
        let [Output::Event(Event::Started { .. }), Output::Respond(_, response)] = &outputs[..] else { panic!() };
        let body = &response.body;
        Prepared::parse(body).unwrap()
    }
    fn upload(&mut self, connection: u64, from: &Peer, prepared: &Prepared, file: &str, token: &str) -> Vec<Output> {
        let connection = ConnectionId(connection);
        let session = &prepared.session;
        self.give(Input::Upload { connection, peer: from, session, file, token, length: Some(3) })
    }
}

#[test]
fn one_transfer_at_a_time_and_the_slot_comes_free() {
    let mut bench = Bench::new(Rules::default());
    bench.prepare(1, &peer("10.0.0.2"));
    assert_eq!(Bench::status(&bench.prepare(2, &peer("10.0.0.3"))), 409);
    let gone = bench.give(Input::Closed(ConnectionId(1)));
    assert!(matches!(gone[..], [Output::Event(Event::Withdrawn(AskId(1), Withdrawn::HungUp))]));
    assert!(matches!(bench.prepare(3, &peer("10.0.0.3"))[..], [Output::Event(Event::Asked(_))]));
    assert_eq!(bench.give(Input::Decide(AskId(1), Decision::Accept)).len(), 0, "that question is gone");
}

#[test]
fn who_shows_another_certificate_than_it_claims_is_refused_even_where_proof_is_not_needed() {
    let mut bench = Bench::new(Rules { unverified: true, ..Rules::default() });
    let liar = Peer { certificate: Some(Fingerprint::of(b"other")), ..peer("10.0.0.2") };
    assert_eq!(Bench::status(&bench.prepare(1, &liar)), 403);
    let plain = Peer { certificate: None, ..peer("10.0.0.2") };
    let outputs = bench.prepare(1, &plain);
    assert!(matches!(&outputs[..], [Output::Event(Event::Asked(asked))] if !asked.verified));
}

#[test]
fn an_upload_needs_session_token_address_and_certificate() {
    let mut bench = Bench::new(Rules::default());
    let prepared = bench.running();
    let (a, b) = (prepared.tokens["a"].clone(), prepared.tokens["b"].clone());
    let right = peer("10.0.0.2");
    let other_certificate = Peer { certificate: None, ..right.clone() };
    let no_session = Prepared { session: "x".into(), ..prepared.clone() };
    for (from, session, token) in [
        (&peer("10.0.0.3"), &prepared, &a),
        (&other_certificate, &prepared, &a),
        (&right, &no_session, &a),
        (&right, &prepared, &b),
    ] {
        assert_eq!(Bench::status(&bench.upload(5, from, session, "a", token)), 403);
    }
    assert!(matches!(bench.upload(5, &right, &prepared, "a", &a)[..], [Output::Receive(ConnectionId(5), ..)]));
    assert_eq!(Bench::status(&bench.upload(6, &right, &prepared, "a", &a)), 409, "a token is good for one upload");
    assert!(matches!(bench.upload(6, &right, &prepared, "b", &b)[..], [Output::Receive(..)]), "files run in parallel");
    assert_eq!(Bench::status(&bench.give(Input::Uploaded { connection: ConnectionId(5), outcome: Ok(()) })), 200);
    assert_eq!(
        Bench::status(&bench.upload(7, &right, &prepared, "a", &a)),
        403,
        "a file that is here does not come again"
    );
    let end = bench.give(Input::Uploaded { connection: ConnectionId(6), outcome: Ok(()) });
    assert!(matches!(end[..], [.., Output::Event(Event::Finished { how: Finished::Done { missing: 0 }, .. })]));
    assert_eq!(Bench::status(&bench.upload(8, &right, &prepared, "a", &a)), 403);
}

#[test]
fn a_body_of_another_length_is_refused_before_it_comes() {
    let mut bench = Bench::new(Rules::default());
    let prepared = bench.running();
    let (session, token) = (&*prepared.session, &*prepared.tokens["a"]);
    let (connection, peer) = (ConnectionId(5), &peer("10.0.0.2"));
    let outputs = bench.give(Input::Upload { connection, peer, session, file: "a", token, length: Some(4) });
    assert_eq!(Bench::status(&outputs), 400);
}

#[test]
fn only_the_sender_cancels_and_a_silent_one_is_given_up() {
    let mut bench = Bench::new(Rules::default());
    let prepared = bench.running();
    let session = Some(&*prepared.session);
    assert!(bench.give(Input::Cancelled { peer: &peer("10.0.0.3"), session }).is_empty());
    assert!(bench.give(Input::Cancelled { peer: &peer("10.0.0.2"), session: None }).is_empty());
    let right = peer("10.0.0.2");
    bench.upload(5, &right, &prepared, "a", &prepared.tokens["a"]);
    let outputs = bench.give(Input::Cancelled { peer: &right, session });
    let [Output::Abort(ConnectionId(5)), Output::Event(Event::Finished { how, .. })] = &outputs[..] else { panic!() };
    assert_eq!(*how, Finished::CancelledByPeer);

    let mut bench = Bench::new(Rules::default());
    let prepared = bench.running();
    bench.upload(5, &right, &prepared, "a", &prepared.tokens["a"]);
    bench.now += Duration::from_secs(3600);
    assert!(bench.give(Input::Timeout).is_empty(), "a file that runs has the connection's clock");
    bench.give(Input::Closed(ConnectionId(5)));
    bench.now += Rules::default().rest;
    let outputs = bench.give(Input::Timeout);
    assert!(matches!(outputs[..], [Output::Event(Event::Finished { how: Finished::Silent, .. })]));
}

#[test]
fn a_request_that_waits_is_cancelled_without_a_session_by_its_sender_alone() {
    let mut bench = Bench::new(Rules::default());
    bench.prepare(1, &peer("10.0.0.2"));
    assert!(bench.give(Input::Cancelled { peer: &peer("10.0.0.3"), session: None }).is_empty());
    let outputs = bench.give(Input::Cancelled { peer: &peer("10.0.0.2"), session: None });
    assert!(matches!(outputs[..], [Output::Event(Event::Withdrawn(_, Withdrawn::Cancelled)), Output::Respond(..)]));
}
