//! A name is looked up over loopback, with a responder that is one of ours: consent, questions, ledger.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a responder for tests, on loopback")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_consent::outlet::interfaces::Network;
use accord_consent::{Choice, Decision, Gate, Query, RecordKind, Signer, To};
use accord_model::EntryKey;
use accord_names::{Names, NotFound, STATEMENT};
use accord_statement::{Publisher, Statement};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

struct NoKey;

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// Hears questions on loopback.
struct Air {
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Air {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((GROUP, PORT)).into()).unwrap();
        socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
        let socket = UdpSocket::from(socket);
        // An answer comes from the port of multicast DNS.
        let voice = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        voice.set_reuse_address(true).unwrap();
        voice.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)).into()).unwrap();
        let voice = UdpSocket::from(voice);
        let heard = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let told = heard.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let name = b"\x0caccord-names\x05local\0";
                let question = buffer[..length].to_vec();
                if !question.windows(name.len()).any(|part| part == name) {
                    continue;
                }
                let mut answer = question[..2].to_vec();
                answer.extend([0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
                answer.extend(name);
                answer.extend([0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 127, 0, 0, 1]);
                told.lock().unwrap().push(question);
                voice.send_to(&answer, from).unwrap();
            }
        });
        Self { heard }
    }

    fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

#[tokio::test]
async fn a_name_is_asked_for_once_that_is_agreed_to_and_every_question_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &[STATEMENT]).unwrap();
    let gate = Gate::open(dir.path(), statement, Arc::new(NoKey)).unwrap();
    let names = Names::new(gate.bind("names"), Network::Loopback);
    let air = Air::new();
    assert!(matches!(names.look_up("accord-names.local").await, Err(NotFound::Refused(_))));
    assert!(matches!(names.look_up("accord-names.lan").await, Err(NotFound::NoName)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(air.heard(), 0, "nothing before consent");

    let entry = EntryKey::new("names/lookup").unwrap();
    let shown = gate.notice(&entry, "en").unwrap().shown("test");
    gate.decide(Decision::new(entry.clone(), To::Any, Choice::Always, shown)).unwrap();
    assert_eq!(names.look_up("accord-names.local").await.unwrap(), IpAddr::from(Ipv4Addr::LOCALHOST));
    assert_eq!(air.heard(), 1, "asked no more once it is answered");
    let length = air.heard.lock().unwrap()[0].len();
    // The end of a lease is written behind its back.
    let mut wrote = String::new();
    for _ in 0..200 {
        let sent = gate.ledger().list(&Query { kind: Some(RecordKind::Sent), ..Query::default() }).unwrap();
        if let Some(sent) = sent.first() {
            wrote = format!("{:?}", sent.details);
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(wrote.contains("224.0.0.251:5353") && wrote.contains(&length.to_string()), "{wrote}");
    assert!(matches!(names.look_up("accord-nobody.local").await, Err(NotFound::Nobody)));
    gate.withdraw((entry, To::Any)).unwrap();
    assert!(matches!(names.look_up("accord-names.local").await, Err(NotFound::Refused(_))));
    assert_eq!(air.heard(), 1);
}
