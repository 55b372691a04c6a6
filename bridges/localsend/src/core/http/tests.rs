use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use accord_model::FieldSet;
use proptest::prelude::*;

use super::server::{Connection, Ended, Event, Input, Output, Request, Response};
use super::*;
use crate::core::receive::{Incoming, UploadFault};
use crate::core::route::Route;
use crate::core::wire::WireError;
use crate::core::{Identity, Pin};

const PREPARE: &str =
    "POST /api/localsend/v2/prepare-upload?pin=1%202 HTTP/1.1\r\nHost: 10.0.0.1:53317\r\nContent-Length: 2\r\n\r\n{}";
const UPLOAD: &str = "POST /api/localsend/v2/upload?sessionId=s&fileId=f&token=t HTTP/1.1\r\nHost: x\r\n";

fn address() -> SocketAddr {
    "10.0.0.9:4000".parse().unwrap()
}

struct Bench {
    connection: Connection,
    now: Instant,
    sent: Vec<u8>,
    events: Vec<Event>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let connection = Connection::new(address(), None, Patience::default(), now);
        Self { connection, now, sent: Vec::new(), events: Vec::new() }
    }
    fn give(&mut self, input: Input<'_>) -> Instant {
        self.connection.handle(input, self.now);
        loop {
            match self.connection.poll_output() {
                Output::Transmit(transmit) => self.sent.extend(transmit.bytes),
                Output::Event(event) => self.events.push(event),
                Output::Wait(at) => return at,
            }
        }
    }
    fn bytes(&mut self, text: impl AsRef<[u8]>) -> Instant {
        self.give(Input::Bytes(text.as_ref()))
    }
    fn wait(&mut self) {
        self.now = self.give(Input::Timeout);
        self.give(Input::Timeout);
    }
    fn request(&mut self) -> Request {
        match self.events.remove(0) {
            Event::Request(request) => request,
            other => panic!("{other:?}"),
        }
    }
    fn sent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.sent)).unwrap()
    }
}

#[test]
fn a_request_in_any_portions_is_one_request_and_the_connection_stays() {
    for portion in [1, 3, 1000] {
        let mut bench = Bench::new();
        for bytes in PREPARE.as_bytes().chunks(portion) {
            bench.bytes(bytes);
        }
        let request = bench.request();
        assert_eq!(request.route, Route::PrepareUpload { pin: Some("1 2".into()) });
        assert_eq!((request.body.as_slice(), request.peer.encrypted, request.is_foreign), (&b"{}"[..], false, false));
        bench.give(Input::Respond(Response::reason(409, "busy")));
        assert!(
            bench
                .sent()
                .starts_with("HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{")
        );
        bench.events.clear();
        bench.bytes("GET /api/localsend/v1/info HTTP/1.0\r\n\r\n");
        assert_eq!(bench.request().route, Route::Info);
        bench.give(Input::Respond(Response::status(204)));
        assert!(matches!(bench.events[..], [Event::Answered, Event::Closed(Ended::Quietly)]), "HTTP/1.0 does not stay");
        assert!(bench.sent().ends_with("204 No Content\r\nConnection: close\r\n\r\n"));
    }
}

#[test]
fn two_requests_at_once_are_answered_one_after_the_other() {
    let mut bench = Bench::new();
    bench.bytes([PREPARE, PREPARE].concat());
    assert_eq!(bench.events.len(), 1);
    bench.give(Input::Respond(Response::status(204)));
    assert!(matches!(bench.events[..], [Event::Request(_), Event::Answered, Event::Request(_)]));
}

#[test]
fn who_sends_on_and_on_without_being_asked_is_cut_off() {
    let mut bench = Bench::new();
    bench.bytes(PREPARE);
    for _ in 0..3 {
        bench.bytes(vec![b'x'; PIECE]);
    }
    let last = bench.events.last();
    assert!(matches!(last, Some(Event::Closed(Ended::Http(HttpError::TooEager)))), "{last:?}");
}

#[test]
fn an_upload_is_let_in_continued_and_handed_on_in_pieces() {
    for framing in [
        "Content-Length: 10\r\n\r\n0123456789",
        "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\n0123\r\n6\r\n456789\r\n0\r\nA: b\r\n\r\n",
    ] {
        let (head, body) = framing.split_once("\r\n\r\n").unwrap();
        let mut bench = Bench::new();
        bench.bytes(format!("{UPLOAD}Expect: 100-continue\r\n{head}\r\n\r\n"));
        let request = bench.request();
        assert_eq!(request.length, head.starts_with("Content").then_some(10));
        bench.give(Input::Receive(Incoming::new(10, None)));
        assert_eq!(bench.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
        for byte in body.as_bytes() {
            bench.bytes([*byte]);
        }
        let last = bench.events.pop().unwrap();
        assert!(matches!(last, Event::Uploaded(Ok(()))), "{last:?}");
        let content: Vec<u8> = bench
            .events
            .drain(..)
            .flat_map(|event| match event {
                Event::Piece(piece) => piece,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(content, b"0123456789");
        bench.give(Input::Respond(Response::status(200)));
        assert!(!bench.sent().contains("close"));
    }
}

#[test]
fn an_upload_that_is_refused_is_answered_before_its_body_came_and_the_rest_is_thrown_away() {
    let mut bench = Bench::new();
    bench.bytes(format!("{UPLOAD}Content-Length: 9000000\r\n\r\nabc"));
    bench.give(Input::Respond(Response::reason(403, "no")));
    assert!(bench.sent().contains("Connection: close"));
    for _ in 0..10 {
        bench.bytes(vec![0; PIECE]);
    }
    bench.wait();
    assert!(matches!(bench.events[..], [Event::Request(_), Event::Answered, Event::Closed(Ended::Quietly)]));
}

#[test]
fn more_less_and_other_bytes_than_offered_are_told_apart() {
    let incoming =
        |size, content: &[u8]| Incoming::new(size, Some(<sha2::Sha256 as sha2::Digest>::digest(content).into()));
    for (size, content, fault) in
        [(2, "abc", UploadFault::TooLong), (4, "abc", UploadFault::TooShort(1)), (3, "abd", UploadFault::Checksum)]
    {
        let mut bench = Bench::new();
        bench.bytes(format!("{UPLOAD}Transfer-Encoding: chunked\r\n\r\n"));
        bench.give(Input::Receive(incoming(size, content.as_bytes())));
        bench.bytes("3\r\nabc\r\n0\r\n\r\n");
        assert!(
            matches!(bench.events.last(), Some(Event::Uploaded(Err(found))) if *found == fault),
            "{:?}",
            bench.events
        );
        bench.give(Input::Respond(Response::reason(422, "bad")));
        assert!(bench.sent().starts_with("HTTP/1.1 422"));
    }
}

#[test]
fn a_slow_peer_is_not_waited_for_but_a_slow_disk_is() {
    let mut bench = Bench::new();
    bench.wait();
    assert!(matches!(bench.events[..], [Event::Closed(Ended::TooSlow("begin"))]));

    let mut bench = Bench::new();
    bench.bytes("GET / HTTP/1.1\r\n");
    bench.wait();
    assert!(matches!(bench.events[..], [Event::Closed(Ended::TooSlow(_))]));

    let mut bench = Bench::new();
    bench.bytes(format!("{UPLOAD}Content-Length: 9000000\r\n\r\n"));
    bench.give(Input::Receive(Incoming::new(9_000_000, None)));
    let first = bench.bytes("abc");
    assert!(first > bench.now + Patience::default().stall, "no clock while a piece is held");
    bench.now += Duration::from_secs(3600);
    let Some(Event::Piece(piece)) = bench.events.pop() else { panic!() };
    let at = bench.give(Input::Stored(piece));
    assert_eq!(at, bench.now + Patience::default().stall);
    // A trickle does not count as progress.
    bench.now = at - Duration::from_secs(1);
    bench.bytes("d");
    let Some(Event::Piece(piece)) = bench.events.pop() else { panic!() };
    assert_eq!(bench.give(Input::Stored(piece)), at);
    bench.wait();
    assert!(
        matches!(
            bench.events[..],
            [Event::Request(_), Event::Uploaded(Err(UploadFault::Stalled)), Event::Closed(Ended::TooSlow(_))]
        ),
        "{:?}",
        bench.events
    );
}

#[test]
fn what_is_no_http_or_has_two_lengths_is_answered_and_ended() {
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
    for (bad, status) in [
        ("\x01\x02\x03\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 400),
        ("GET http://x/ HTTP/1.1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        ("POST /api/localsend/v2/register HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", 413),
        (&long, 431),
        (&many, 431),
    ] {
        let mut bench = Bench::new();
        bench.bytes(bad);
        assert!(bench.sent().starts_with(&format!("HTTP/1.1 {status} ")), "{bad:.60?}");
        bench.give(Input::Eof);
        assert!(matches!(bench.events[..], [Event::Closed(Ended::Http(_))]), "{bad:.60?} {:?}", bench.events);
    }
}

#[test]
fn pages_of_others_are_told_from_ours() {
    let foreign = |lines: &str| {
        let mut bench = Bench::new();
        bench.bytes(format!("GET /api/localsend/v2/info HTTP/1.1\r\n{lines}\r\n"));
        bench.request().is_foreign
    };
    assert!(!foreign(""));
    assert!(!foreign("Host: 10.0.0.1:53317\r\nOrigin: http://10.0.0.1:53317\r\n"));
    assert!(!foreign("Host: [fe80::1]:53317\r\nSec-Fetch-Site: none\r\n"));
    assert!(foreign("Host: 10.0.0.1:53317\r\nOrigin: https://evil.example\r\n"));
    assert!(foreign("Host: 10.0.0.1:53317\r\nOrigin: null\r\n"));
    assert!(foreign("Host: evil.example:53317\r\nOrigin: http://evil.example:53317\r\n"));
    assert!(foreign("Host: evil.example\r\nSec-Fetch-Site: same-origin\r\n"));
    assert!(foreign("Host: evil.example:53317\r\n"), "its name points at us now, and its browser does not say so");
}

fn ask(connection: &mut client::Connection, now: Instant) {
    let request = client::Request {
        method: Method::Post,
        target: "/api/localsend/v2/register".into(),
        host: "10.0.0.1:53317".into(),
        content_type: "application/json",
        body: client::Body::Bytes(b"{\"alias\":\"secret\"}".to_vec()),
        fields: FieldSet::one(accord_model::FieldCode::DeviceName),
        max_response: 100,
        within: Duration::from_secs(5),
    };
    connection.handle(client::Input::Request(request), now);
}

fn drain(connection: &mut client::Connection) -> (Vec<u8>, Vec<client::Event>, FieldSet) {
    let (mut bytes, mut events, mut fields) = (Vec::new(), Vec::new(), FieldSet::EMPTY);
    loop {
        match connection.poll_output() {
            client::Output::Transmit(transmit) => {
                bytes.extend(transmit.bytes);
                fields = fields.union(transmit.fields);
            }
            client::Output::Event(event) => events.push(event),
            client::Output::Wait(_) => return (bytes, events, fields),
        }
    }
}

fn answered(answer: &[u8], portion: usize) -> Vec<client::Event> {
    let now = Instant::now();
    let mut connection = client::Connection::new(None, Patience::default(), now).unwrap();
    ask(&mut connection, now);
    for bytes in answer.chunks(portion.max(1)) {
        connection.handle(client::Input::Bytes(bytes), now);
    }
    connection.handle(client::Input::Eof, now);
    drain(&mut connection).1
}

#[test]
fn answers_of_every_shape_are_read() {
    let ok = |body: &[u8], again| client::Event::Response { status: 200, body: body.to_vec(), again };
    let quiet = client::Event::Closed(Ended::Quietly);
    for (answer, event) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", ok(b"hi", true)),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            ok(b"hi", true),
        ),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", ok(b"until the end", false)),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", ok(b"", false)),
    ] {
        for portion in [1, 5, 1000] {
            assert_eq!(answered(answer.as_bytes(), portion), [event.clone(), quiet.clone()], "{answer}");
        }
    }
    let moved = answered(b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", 9);
    assert!(matches!(moved[..], [client::Event::Response { status: 302, .. }, _]), "not followed");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bad in [
        &format!("{chunked}65\r\n{}\r\n0\r\n\r\n", "x".repeat(101)),
        &format!("{chunked}1;{}", "x".repeat(MAX_CHUNK_LINE)),
        "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
    ] {
        assert!(matches!(answered(bad.as_bytes(), 1000).last(), Some(client::Event::Closed(Ended::Http(_)))), "{bad}");
    }
    assert_eq!(
        answered(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 9),
        [client::Event::Closed(Ended::HungUp)]
    );
}

#[test]
fn nothing_personal_leaves_before_the_pinned_certificate_was_shown() {
    let (ours, theirs, other) = (identity(), identity(), identity());
    let now = Instant::now();
    let mut server = Connection::new(address(), Some(theirs.server_config().unwrap()), Patience::default(), now);
    let pin = Pin::Exactly(other.fingerprint().clone());
    let mut client = client::Connection::new(Some(ours.client_config(pin).unwrap()), Patience::default(), now).unwrap();
    ask(&mut client, now);
    let (mut sent, mut said) = (FieldSet::EMPTY, Vec::new());
    for _ in 0..4 {
        let (bytes, events, fields) = drain(&mut client);
        (sent, said) = (sent.union(fields), [said, events].concat());
        server.handle(Input::Bytes(&bytes), now);
        while let Output::Transmit(transmit) = server.poll_output() {
            client.handle(client::Input::Bytes(&transmit.bytes), now);
        }
    }
    assert!(matches!(said[..], [client::Event::Closed(Ended::Wire(WireError::Certificate(_)))]), "{said:?}");
    assert!(!sent.contains(accord_model::FieldCode::DeviceName));
}

fn identity() -> Arc<Identity> {
    Arc::new(Identity::generate(SystemTime::now()).unwrap())
}

proptest! {
    #[test]
    fn garbage_never_panics_and_portions_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
        fuzz(&bytes, step);
        answered(&bytes, step);
        let mut bench = Bench::new();
        bench.bytes(format!("{UPLOAD}Transfer-Encoding: chunked\r\n\r\n"));
        bench.give(Input::Receive(Incoming::new(100, None)));
        for portion in bytes.chunks(step) {
            bench.bytes(portion);
        }
        bench.give(Input::Eof);
        prop_assert!(matches!(bench.events.last(), Some(Event::Closed(_))));
    }

    #[test]
    fn tls_garbage_ends_the_connection(bytes in prop::collection::vec(any::<u8>(), 6..300)) {
        thread_local!(static IDENTITY: Arc<Identity> = identity());
        let now = Instant::now();
        let tls = IDENTITY.with(|identity| identity.server_config().unwrap());
        let mut connection = Connection::new(address(), Some(tls), Patience::default(), now);
        connection.handle(Input::Bytes(&[0x16]), now);
        connection.handle(Input::Bytes(&bytes), now);
        connection.handle(Input::Eof, now);
        let last = std::iter::from_fn(|| match connection.poll_output() {
            Output::Wait(_) => None,
            output => Some(output),
        }).last();
        prop_assert!(matches!(last, Some(Output::Event(Event::Closed(_)))));
    }
}
