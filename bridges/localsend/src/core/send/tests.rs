use super::*;
use crate::core::PORT;
use crate::core::message::{DeviceType, RelativePath};

fn hash(name: &str) -> Fingerprint {
    Fingerprint::of(name.as_bytes())
}

fn info(name: &str) -> DeviceInfo {
    DeviceInfo::new(name, DeviceType::Desktop, hash(name))
}

struct Bench {
    sender: Sender,
    now: Instant,
}

impl Bench {
    fn new(protocol: Protocol, known: bool) -> Self {
        let now = Instant::now();
        let me = Announcement { info: info("us"), port: PORT, protocol: Protocol::Https, announce: false };
        let to =
            Target { address: "10.0.0.2:53317".parse().unwrap(), protocol, fingerprint: known.then(|| hash("them")) };
        let file = |id: &str| FileOffer::new(id, RelativePath::parse(id).unwrap(), 3);
        let files = ["a", "b", "c"].map(file).to_vec();
        Self { sender: Sender::new(me, to, files, Options::default(), now), now }
    }
    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| match self.sender.poll_output() {
            Output::Wait(_) => None,
            output => Some(output),
        })
        .collect()
    }
    fn give(&mut self, input: Input<'_>) -> Vec<Output> {
        self.sender.handle(input, self.now);
        self.drain()
    }
    fn answer(&mut self, job: u64, status: u16, body: &[u8]) -> Vec<Output> {
        self.give(Input::Answer { job: JobId(job), status, body })
    }
    fn failure(outputs: &[Output]) -> &SendError {
        match outputs.last() {
            Some(Output::Event(Event::Failed(error))) => error,
            other => panic!("{other:?}"),
        }
    }
    fn accepted(&mut self) -> Vec<Output> {
        self.drain();
        self.answer(1, 200, br#"{"sessionId":"s 1","files":{"a":"t1","c":"t3","b":"t2","zz":"no such file"}}"#)
    }
}

fn asks(outputs: &[Output]) -> Vec<(u64, &str)> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Ask { job, request, .. } => Some((job.0, request.target.as_str())),
            _ => None,
        })
        .collect()
}

#[test]
fn every_status_has_words_of_its_own() {
    for (status, error) in [
        (403, SendError::Declined),
        (404, SendError::NotLocalSend),
        (409, SendError::Busy),
        (429, SendError::PinBlocked),
        (500, SendError::PeerFailed(Reason::of(br#"{"message":"oops"}"#))),
        (400, SendError::Refused(Reason::of(br#"{"message":"oops"}"#))),
        (302, SendError::Unexpected(302)),
    ] {
        let mut bench = Bench::new(Protocol::Https, true);
        bench.drain();
        assert_eq!(*Bench::failure(&bench.answer(1, status, br#"{"message":"oops"}"#)), error);
    }
    let mut bench = Bench::new(Protocol::Https, true);
    bench.drain();
    assert_eq!(*Bench::failure(&bench.answer(1, 200, b"<html>")), SendError::NotLocalSend);
    assert_eq!(
        SendError::PeerFailed(Reason::of(br#"{"message":"o\u001bops"}"#)).to_string(),
        "the other device reports a failure of its own: o\u{FFFD}ops"
    );
}

#[test]
fn a_device_whose_certificate_is_not_known_is_greeted_first_and_an_impostor_gets_no_file_names() {
    let mut bench = Bench::new(Protocol::Https, false);
    assert_eq!(asks(&bench.drain()), [(1, "/api/localsend/v2/register")]);
    bench.give(Input::Secured(JobId(1), hash("somebody")));
    assert_eq!(*Bench::failure(&bench.answer(1, 200, &info("them").to_json())), SendError::Impostor);

    let mut bench = Bench::new(Protocol::Https, false);
    bench.drain();
    bench.give(Input::Secured(JobId(1), hash("them")));
    let outputs = bench.answer(1, 200, &info("them").to_json());
    let Some(Output::Ask { to, .. }) = outputs.first() else { panic!("{outputs:?}") };
    assert_eq!(to.fingerprint, Some(hash("them")));
}

#[test]
fn in_clear_nothing_is_sent_unless_that_is_allowed() {
    let mut bench = Bench::new(Protocol::Http, true);
    let outputs = bench.drain();
    assert_eq!((outputs.len(), Bench::failure(&outputs)), (1, &SendError::Unencrypted));
}

#[test]
fn uploads_run_in_parallel_up_to_the_bound() {
    let mut bench = Bench::new(Protocol::Https, true);
    let outputs = bench.accepted();
    assert!(matches!(&outputs[0], Output::Event(Event::Accepted(files)) if *files == [0, 1, 2]));
    let expected = "/api/localsend/v2/upload?sessionId=s%201&fileId=a&token=t1";
    assert_eq!(asks(&outputs), [(2, expected), (3, &expected.replace("=a&token=t1", "=b&token=t2"))]);
    let outputs = bench.answer(3, 200, b"");
    assert!(matches!(outputs[0], Output::Event(Event::Sent(1))));
    assert_eq!(asks(&outputs).len(), 1);
}

#[test]
fn the_receiver_ends_it_by_a_call_or_by_refusing_and_nobody_else_does() {
    let mut bench = Bench::new(Protocol::Https, true);
    bench.accepted();
    let mut peer = Peer::at("10.0.0.2:999".parse().unwrap());
    let other = Peer::at("10.0.0.3:999".parse().unwrap());
    assert!(bench.give(Input::PeerCancelled { peer: &other, session: Some("s 1") }).is_empty());
    assert!(bench.give(Input::PeerCancelled { peer: &peer, session: Some("s 2") }).is_empty());
    peer.certificate = Some(hash("other"));
    assert!(bench.give(Input::PeerCancelled { peer: &peer, session: Some("s 1") }).is_empty());
    peer.certificate = Some(hash("them"));
    let outputs = bench.give(Input::PeerCancelled { peer: &peer, session: Some("s 1") });
    assert_eq!(*Bench::failure(&outputs), SendError::CancelledByPeer);
    assert_eq!(outputs.iter().filter(|output| matches!(output, Output::Abort(_))).count(), 2);

    let mut bench = Bench::new(Protocol::Https, true);
    bench.accepted();
    assert_eq!(*Bench::failure(&bench.answer(2, 403, b"")), SendError::CancelledByPeer);
}

#[test]
fn cancelling_hangs_up_and_tells_the_receiver() {
    let mut bench = Bench::new(Protocol::Https, true);
    bench.accepted();
    let outputs = bench.give(Input::Cancel);
    assert_eq!(asks(&outputs), [(4, "/api/localsend/v2/cancel?sessionId=s%201")]);
    assert!(bench.give(Input::Cancel).is_empty());
    let mut bench = Bench::new(Protocol::Https, true);
    bench.drain();
    assert_eq!(asks(&bench.give(Input::Cancel)), [(2, "/api/localsend/v2/cancel")]);
}

proptest::proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), status in 100u16..600, step in 1usize..40) {
        fuzz(&bytes, step);
        fuzz(&[format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes(), &bytes].concat(), step);
        fuzz(b"HTTP/1.1 200 OK\r\n\r\n{\"sessionId\":\"s\",\"files\":{\"a\":\"t\"}}", step);
    }
}
