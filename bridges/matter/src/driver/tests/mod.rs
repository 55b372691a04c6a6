//! A hand and nodes on loopback: with real keys, or with none and a word that anybody can say.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "nodes for tests, on loopback")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer as Signs, To};
use accord_model::{DeviceId, EntryKey};
use accord_ports::dns_sd::ServiceInstance;
use accord_ports::hand::{Hands, Place};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use matter_commissioning::driver::{decode_unsecured, encode_unsecured_reply};
use matter_crypto::CaseResponder;
use matter_interaction::{CommandPath, build_invoke_response_command, parse_invoke_request};
use matter_transport::{DecodeInboundOutput, MrpFlags, ProtocolId, SessionManager, SessionRole};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

use super::add::NotIts;
use super::dialog_tests::{NODE, of_node};
use super::fabric::Fabric;
use super::hand::{Adding, Hand, Order};
use super::law::{self, Law};
use super::line::Leases;
use super::mind::{Heard, Saying};
use super::nodes::Refused;
use super::sky::Sky;
use super::way::Way;
use crate::core::advert::{OPERATIONAL, node_name};
use crate::core::code::Code;
use crate::core::value::Value;

struct NoKey;

impl Signs for NoKey {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

struct Lab {
    dir: tempfile::TempDir,
    fabric: Arc<Fabric>,
    law: Law,
    device: DeviceId,
    sky: watch::Sender<Sky>,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fabric = Arc::new(Fabric::open(&Vault::new(dir.path(), &[7; 32]).folder("matter")).unwrap());
        let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &[crate::STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let device = DeviceId::new("matter-0123").unwrap();
        let (entry, to) = (EntryKey::new("matter/control").unwrap(), To::One(RecipientId::device(&device)));
        let shown = gate.notice(&entry, "en").unwrap().shown("test");
        gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
        let law = law::of(gate.bind("matter"));
        let sky = watch::channel(Sky::default()).0;
        let name = node_name(fabric.compressed(), NODE);
        sky.send_modify(|sky| sky.expect(name, true));
        Self { dir, fabric, law, device, sky }
    }

    /// The device is announced there.
    fn announce(&self, at: &[SocketAddr]) {
        let (service, name) = (OPERATIONAL.to_owned(), node_name(self.fabric.compressed(), NODE));
        let instance =
            ServiceInstance { service, name, host: "h".to_owned(), port: 1, addresses: Vec::new(), txt: Vec::new() };
        self.sky.send_modify(|sky| sky.here(&instance, at.to_vec()));
    }

    fn hand(&self, adding: Option<Adding>, last: Option<SocketAddr>) -> (Hands<Order>, mpsc::Receiver<Heard>) {
        let (heard, from) = mpsc::channel(64);
        let mut hands = Hands::new(8);
        hands.begin(&self.device, |Place { number, orders }| {
            let hand = Hand {
                way: Way {
                    law: self.law.clone(),
                    fabric: self.fabric.clone(),
                    roots: self.dir.path().join("matter"),
                    device: self.device.clone(),
                    node: NODE,
                    sky: self.sky.subscribe(),
                    leases: Leases::default(),
                },
                number,
                adding,
                at: last,
                known: last,
                orders,
                heard,
                failures: None,
                refusals: 0,
                since: None,
                not_its: NotIts::default(),
                leaving: false,
                looked_at: None,
            };
            hand.run()
        });
        (hands, from)
    }
}

async fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

async fn said(from: &mut mpsc::Receiver<Heard>) -> Saying {
    let said = async {
        loop {
            if let Heard::Said { saying, .. } = from.recv().await.expect("it lives") {
                return saying;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), said).await.expect("in time")
}

/// Somebody who has no key of the fabric, and says to everyone that they share none.
async fn impostor(socket: UdpSocket) {
    let mut buffer = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let Ok(said) = decode_unsecured(&buffer[..length]) else { continue };
        if said.opcode == 0x30 {
            let no = [1, 0, 0, 0, 0, 0, 1, 0];
            let (counter, exchange) = (said.message_counter, said.exchange_id);
            let protocol = ProtocolId::SECURE_CHANNEL;
            let answer =
                encode_unsecured_reply(7, exchange, 0x40, protocol, false, Some(counter), said.source_node_id, &no);
            socket.send_to(&answer, from).await.unwrap();
        }
    }
}

/// A node of the fabric: takes one session, and says what the first thing is that it is told in it. That it has its place is
/// answered with this number.
async fn node(socket: UdpSocket, fabric: Arc<Fabric>, answer: u64) -> (u8, Option<CommandPath>) {
    let (own, roots) = of_node(&fabric);
    let mut responder = Some(CaseResponder::new(own, roots, 22, fabric.now()).unwrap());
    let mut session = None;
    let (mut buffer, mut number) = ([0; 1500], 100);
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let bytes = &buffer[..length];
        if let Ok(said) = decode_unsecured(bytes).and_then(|said| {
            if bytes[1..3] == [0, 0] { Ok(said) } else { Err(matter_commissioning::driver::DriverError::Handshake("")) }
        }) {
            let Some(mut case) = responder.take() else { continue };
            let (opcode, payload) = match said.opcode {
                0x30 => {
                    case.handle_sigma1(&said.payload).unwrap();
                    let answer = case.next_message().unwrap();
                    responder = Some(case);
                    (0x31, answer)
                }
                0x32 => {
                    case.handle_sigma3(&said.payload).unwrap();
                    let mut sessions = SessionManager::new();
                    let id = sessions.register_case(&case.finish().unwrap(), SessionRole::Responder);
                    session = Some((sessions, id));
                    (0x40, vec![0; 8])
                }
                _ => {
                    responder = Some(case);
                    continue;
                }
            };
            number += 1;
            let (ack, exchange) = (Some(said.message_counter), said.exchange_id);
            let protocol = ProtocolId::SECURE_CHANNEL;
            let answer =
                encode_unsecured_reply(number, exchange, opcode, protocol, false, ack, said.source_node_id, &payload);
            socket.send_to(&answer, from).await.unwrap();
            continue;
        }
        let Some((sessions, id)) = &mut session else { continue };
        let Ok(DecodeInboundOutput::AppMessage { exchange_id, opcode, payload, .. }) =
            sessions.decode_inbound(bytes, Instant::now())
        else {
            continue;
        };
        let path = (opcode == 8).then(|| parse_invoke_request(&payload).unwrap().commands[0].path);
        if path.is_some() {
            let fields = Value::Struct(vec![(0, Value::Uint(answer)), (1, Value::Text(String::new()))]);
            let response = CommandPath { endpoint: 0, cluster: 0x30, command: 5 };
            let answer = build_invoke_response_command(response, &fields.encode().unwrap());
            let (protocol, flags) = (ProtocolId::INTERACTION_MODEL, MrpFlags { reliable: true });
            let out = sessions
                .encode_outbound_with_role(*id, exchange_id, false, 9, protocol, &answer, flags, Instant::now())
                .unwrap();
            socket.send_to(&out.wire_bytes, from).await.unwrap();
        }
        return (opcode, path);
    }
}

#[tokio::test]
async fn who_says_not_to_know_us_ends_nothing_and_the_device_is_met_once_it_is_there() {
    let lab = Lab::new();
    let ((liar, there), (real, here)) = (socket().await, socket().await);
    let liar = tokio::spawn(impostor(liar));
    lab.announce(&[there]);
    let (mut hands, mut from) = lab.hand(None, None);
    assert!(matches!(said(&mut from).await, Saying::Refused(Refused::Forgotten)));
    // Beside it, and after it.
    let met = tokio::spawn(node(real, lab.fabric.clone(), 0));
    let mut both = [there, here];
    both.sort();
    lab.announce(&both);
    let (opcode, _) = tokio::time::timeout(Duration::from_secs(20), met).await.unwrap().unwrap();
    assert_eq!(opcode, 3, "it is asked for all that it has");
    hands.let_go(&lab.device).unwrap().await.unwrap();
    liar.abort();
}

#[tokio::test]
async fn where_it_was_last_another_device_tells_the_truth_about_itself() {
    let lab = Lab::new();
    let (other, there) = socket().await;
    let other = tokio::spawn(impostor(other));
    let (mut hands, mut from) = lab.hand(None, Some(there));
    let Saying::Down(why, ..) = said(&mut from).await else { panic!("it is away") };
    assert!(why.contains("another device"), "{why}");
    hands.let_go(&lab.device).unwrap().await.unwrap();
    other.abort();
}

#[tokio::test]
async fn a_device_that_has_its_place_is_joined_whatever_was_heard_of_that() {
    for (answer, is_joined) in [(0, true), (3, true), (1, false)] {
        let lab = Lab::new();
        let (real, here) = socket().await;
        let met = tokio::spawn(node(real, lab.fabric.clone(), answer));
        lab.announce(&[here]);
        let adding = Adding { code: Code::parse("34970112332").unwrap(), tests: true };
        let (mut hands, mut from) = lab.hand(Some(adding), None);
        let first = said(&mut from).await;
        if is_joined {
            assert!(matches!(first, Saying::Joined(at, false) if at == here), "{answer}");
        } else {
            assert!(matches!(first, Saying::Down(..)), "{answer}");
        }
        let (_, path) = met.await.unwrap();
        assert_eq!(path.map(|path| (path.cluster, path.command)), Some((0x30, 4)));
        hands.let_go(&lab.device).unwrap().await.unwrap();
    }
}
