//! The dialog with a node made of the crates' other half: keys as of a real handshake, no socket, and time as the test says.

use std::time::{Duration, Instant};

use accord_store::Vault;
use matter_cert::MatterTime;
use matter_codec::{Tag, TlvWriter, Value};
use matter_commissioning::{SystemNocRng, VerifiedCsr, issue_noc};
use matter_crypto::{CaseCredentials, CaseInitiator, CaseResponder, RingSigner, Signer, derive_operational_ipk};
use matter_interaction::{
    AttributePath, CommandPath, ImStatus, build_invoke_response_command, build_invoke_response_status,
    build_status_response, parse_invoke_request, parse_status_response,
};
use matter_transport::secure_channel::encode_close_session;
use matter_transport::{DecodeInboundOutput, MrpConfig, MrpFlags, ProtocolId, SessionId, SessionManager, SessionRole};

use super::fabric::Fabric;
use crate::core::dialog::{Dialog, Event, REPORT_AT_LEAST_EVERY, Trouble, Word};

pub(super) const NODE: u64 = 77;
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
const ON: AttributePath = AttributePath { endpoint: 1, cluster: 6, attribute: 0 };

/// The other side.
struct Lamp {
    sessions: SessionManager,
    id: SessionId,
    /// What it was told: exchange, whether we began it, opcode, payload.
    heard: Vec<(u16, bool, u8, Vec<u8>)>,
}

/// A session that both sides have just made.
fn met(now: Instant) -> (Dialog, Lamp) {
    met_with(MrpConfig::for_peer(None, None, None), now)
}

fn met_with(patience: MrpConfig, now: Instant) -> (Dialog, Lamp) {
    let dir = tempfile::tempdir().unwrap();
    let fabric = Fabric::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
    let (ours, roots) = fabric.credentials().unwrap();
    let (theirs, their_roots) = of_node(&fabric);
    let mut initiator = CaseInitiator::new(ours, roots, NODE, fabric.id(), 11, fabric.now()).unwrap();
    let mut responder = CaseResponder::new(theirs, their_roots, 22, fabric.now()).unwrap();
    responder.handle_sigma1(&initiator.start().unwrap()).unwrap();
    initiator.handle_sigma2(&responder.next_message().unwrap()).unwrap();
    responder.handle_sigma3(&initiator.next_message().unwrap()).unwrap();
    let mut sessions = SessionManager::new();
    let id = sessions.register_case(&responder.finish().unwrap(), SessionRole::Responder);
    let dialog = Dialog::new(&initiator.finish().unwrap(), patience, now);
    (dialog, Lamp { sessions, id, heard: Vec::new() })
}

pub(super) fn of_node(fabric: &Fabric) -> (CaseCredentials, matter_cert::TrustedRoots) {
    let (signer, _) = RingSigner::generate().unwrap();
    let csr = VerifiedCsr { public_key: Signer::public_key(&signer).clone() };
    let (since, until) = (MatterTime(fabric.now().0 - 60), MatterTime::NO_EXPIRY);
    let noc = issue_noc(fabric.record(), &csr, NODE, &[], (since, until), &SystemNocRng).unwrap();
    let (own, roots) = fabric.credentials().unwrap();
    let ipk = derive_operational_ipk(&fabric.ipk(), &fabric.compressed()).unwrap();
    let rcac_public_key = own.rcac_public_key;
    let signer = Box::new(signer);
    (CaseCredentials { noc, icac: None, signer, fabric_id: fabric.id(), node_id: NODE, ipk, rcac_public_key }, roots)
}

impl Lamp {
    /// Takes what we sent.
    fn take(&mut self, dialog: &mut Dialog, now: Instant) {
        while let Some(bytes) = dialog.transmit() {
            if let Ok(DecodeInboundOutput::AppMessage { exchange_id, is_initiator, opcode, payload, .. }) =
                self.sessions.decode_inbound(&bytes, now)
            {
                self.heard.push((exchange_id, is_initiator, opcode, payload));
            }
        }
    }

    /// The last that it was told.
    fn last(&self) -> (u16, bool, u8, &[u8]) {
        let (exchange, ours, opcode, payload) = self.heard.last().expect("it was told something");
        (*exchange, *ours, *opcode, payload)
    }

    /// Says something on an exchange of ours, or one of its own.
    fn say(&mut self, exchange: Option<u16>, opcode: u8, payload: &[u8], dialog: &mut Dialog, now: Instant) -> u16 {
        let (flags, protocol) = (MrpFlags { reliable: true }, ProtocolId::INTERACTION_MODEL);
        let out = match exchange {
            Some(exchange) => {
                self.sessions.encode_outbound_with_role(self.id, exchange, false, opcode, protocol, payload, flags, now)
            }
            None => self.sessions.encode_outbound(self.id, None, opcode, protocol, payload, flags, now),
        };
        let out = out.unwrap();
        dialog.datagram(&out.wire_bytes, now);
        self.take(dialog, now);
        out.exchange_id
    }

    /// Says all that it has in two parts, and that it is watched.
    fn subscribed(&mut self, dialog: &mut Dialog, now: Instant) {
        dialog.subscribe(now);
        self.take(dialog, now);
        let (exchange, _, opcode, _) = self.last();
        assert_eq!(opcode, 3);
        self.say(Some(exchange), 5, &report(&[(ON, Value::Bool(false))], Some(9), true), dialog, now);
        let level = AttributePath { endpoint: 1, cluster: 8, attribute: 0 };
        self.say(Some(exchange), 5, &report(&[(level, Value::Null)], Some(9), false), dialog, now);
        assert_eq!(parse_status_response(self.last().3).unwrap(), Some(0));
        self.say(Some(exchange), 4, &response(9), dialog, now);
    }
}

/// A report (10.7.2).
fn report(values: &[(AttributePath, Value)], subscription: Option<u32>, more: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut w = TlvWriter::new(&mut bytes);
    w.start_structure(Tag::Anonymous).unwrap();
    if let Some(id) = subscription {
        w.put_uint(Tag::Context(0), id.into()).unwrap();
    }
    w.start_array(Tag::Context(1)).unwrap();
    for (path, value) in values {
        w.start_structure(Tag::Anonymous).unwrap();
        w.start_structure(Tag::Context(1)).unwrap();
        w.put_uint(Tag::Context(0), 1).unwrap();
        w.start_list(Tag::Context(1)).unwrap();
        w.put_uint(Tag::Context(2), path.endpoint.into()).unwrap();
        w.put_uint(Tag::Context(3), path.cluster.into()).unwrap();
        w.put_uint(Tag::Context(4), path.attribute.into()).unwrap();
        w.end_container().unwrap();
        w.write_value(Tag::Context(2), value).unwrap();
        w.end_container().unwrap();
        w.end_container().unwrap();
    }
    w.end_container().unwrap();
    if more {
        w.put_bool(Tag::Context(3), true).unwrap();
    }
    w.put_uint(Tag::Context(0xff), 11).unwrap();
    w.end_container().unwrap();
    bytes
}

fn response(subscription: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut w = TlvWriter::new(&mut bytes);
    w.start_structure(Tag::Anonymous).unwrap();
    w.put_uint(Tag::Context(0), subscription.into()).unwrap();
    w.put_uint(Tag::Context(2), REPORT_AT_LEAST_EVERY.into()).unwrap();
    w.end_container().unwrap();
    bytes
}

fn events(dialog: &mut Dialog) -> Vec<Event> {
    std::iter::from_fn(|| dialog.event()).collect()
}

fn toggle(timed: bool) -> Word {
    Word::Invoke { path: CommandPath { endpoint: 1, cluster: 6, command: 2 }, fields: vec![0x15, 0x18], timed }
}

#[test]
fn all_that_a_node_has_is_put_together_and_what_changes_is_told_and_answered() {
    let now = Instant::now();
    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    let told = events(&mut dialog);
    assert!(matches!(&told[0], Event::Report { values, all: true, .. } if values.len() == 2), "{told:?}");
    assert_eq!(told[1..], [Event::Subscribed]);
    // By itself, in one part: with an answer.
    let exchange = lamp.say(None, 5, &report(&[(ON, Value::Bool(true))], Some(9), false), &mut dialog, now);
    assert_eq!(lamp.last(), (exchange, false, 1, &build_status_response(0)[..]));
    let told = events(&mut dialog);
    assert!(matches!(&told[..], [Event::Report { values, all: false, .. }] if values == &[(ON, Value::Bool(true))]));
    // Of another subscription: refused, and nothing is believed.
    lamp.say(None, 5, &report(&[(ON, Value::Bool(false))], Some(8), false), &mut dialog, now);
    assert_eq!(parse_status_response(lamp.last().3).unwrap(), Some(0x7d));
    assert_eq!(events(&mut dialog), []);
}

#[test]
fn words_are_said_one_after_the_other_and_answered_each() {
    let now = Instant::now();
    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    dialog.say(1, toggle(false), now + BEGUN_WITHIN, now);
    dialog.say(2, toggle(true), now + BEGUN_WITHIN, now);
    lamp.take(&mut dialog, now);
    let (exchange, _, opcode, payload) = lamp.last();
    assert_eq!(opcode, 8);
    assert!(!parse_invoke_request(payload).unwrap().timed);
    let path = CommandPath { endpoint: 1, cluster: 6, command: 2 };
    lamp.say(Some(exchange), 9, &build_invoke_response_status(path, ImStatus::Success), &mut dialog, now);
    assert_eq!(events(&mut dialog), [Event::Done(1, Ok(Vec::new()))]);
    // What must be announced is, and then said on the same exchange.
    let (exchange, _, opcode, _) = lamp.last();
    assert_eq!(opcode, 10);
    lamp.say(Some(exchange), 1, &build_status_response(0), &mut dialog, now);
    let (again, _, opcode, payload) = lamp.last();
    assert_eq!((again, opcode), (exchange, 8));
    assert!(parse_invoke_request(payload).unwrap().timed);
    lamp.say(Some(exchange), 9, &build_invoke_response_status(path, ImStatus::Failure(0xcb)), &mut dialog, now);
    assert_eq!(events(&mut dialog), [Event::Done(2, Err(Trouble::Status(0xcb)))]);
    for tag in 0..100 {
        dialog.say(tag, toggle(false), now + BEGUN_WITHIN, now);
    }
    let refused = events(&mut dialog);
    assert!(!refused.is_empty() && refused.iter().all(|one| matches!(one, Event::Done(_, Err(Trouble::Busy)))));
}

#[test]
fn what_a_device_answers_in_fields_that_it_did_not_do_was_not_done() {
    let now = Instant::now();
    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    let path = |cluster, command| CommandPath { endpoint: 1, cluster, command };
    let fields = |status: u8| vec![0x15, 0x24, 0x00, status, 0x18];
    let mut answered = |tag, of: CommandPath, status| {
        dialog.say(
            tag,
            Word::Invoke { path: path(0x54, 0), fields: vec![0x15, 0x18], timed: false },
            now + BEGUN_WITHIN,
            now,
        );
        lamp.take(&mut dialog, now);
        let exchange = lamp.last().0;
        lamp.say(Some(exchange), 9, &build_invoke_response_command(of, &fields(status)), &mut dialog, now);
        let Ok([Event::Done(of, outcome)]) = <[Event; 1]>::try_from(events(&mut dialog)) else { panic!() };
        assert_eq!(of, tag);
        outcome
    };
    assert_eq!(answered(1, path(0x54, 1), 0), Ok(fields(0)));
    assert_eq!(answered(2, path(0x54, 1), 0x48), Err(Trouble::Refused("the battery is low (0x48)".to_owned())));
    assert!(matches!(answered(3, path(0x55, 1), 0), Err(Trouble::Garbled(_))), "of another cluster");
}

#[test]
fn what_was_not_begun_in_time_or_is_not_wanted_any_more_is_never_said() {
    let now = Instant::now();
    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    let path = CommandPath { endpoint: 1, cluster: 6, command: 2 };
    dialog.say(1, toggle(false), now + BEGUN_WITHIN, now);
    dialog.say(2, toggle(true), now + BEGUN_WITHIN, now);
    dialog.say(3, toggle(true), now + BEGUN_WITHIN, now);
    dialog.say(4, toggle(false), now + 2 * BEGUN_WITHIN, now);
    lamp.take(&mut dialog, now);
    let (first, ..) = lamp.last();
    dialog.give_up(3, now);
    assert_eq!(events(&mut dialog), [Event::Done(3, Err(Trouble::Expired))]);
    // The first is answered only when the time of the second is over: that is told when it is so, and the third is said.
    let late = now + BEGUN_WITHIN;
    dialog.timeout(late);
    assert_eq!(events(&mut dialog), [Event::Done(2, Err(Trouble::Expired))]);
    let said = lamp.heard.len();
    let answer = build_invoke_response_status(path, ImStatus::Success);
    lamp.say(Some(first), 9, &answer, &mut dialog, late);
    assert_eq!(events(&mut dialog), [Event::Done(1, Ok(Vec::new()))]);
    let words = |lamp: &Lamp| lamp.heard[said..].iter().filter(|(.., opcode, _)| [8, 10].contains(opcode)).count();
    assert_eq!(words(&lamp), 1, "the last alone");
    // What is under way is not repeated, and what comes after it is said.
    dialog.say(5, toggle(true), late + BEGUN_WITHIN, late);
    dialog.give_up(4, late);
    lamp.take(&mut dialog, late);
    assert_eq!((words(&lamp), lamp.last().2), (2, 10));
    assert_eq!(events(&mut dialog), [Event::Done(4, Err(Trouble::Expired))]);
    // Announced in time, and allowed too late: an unlock, say.
    let (exchange, ..) = lamp.last();
    lamp.say(Some(exchange), 1, &build_status_response(0), &mut dialog, late + BEGUN_WITHIN);
    assert_eq!((words(&lamp), events(&mut dialog)), (2, vec![Event::Done(5, Err(Trouble::Expired))]));
    assert!(!dialog.is_over());
}

#[test]
fn who_is_silent_for_longer_than_promised_is_over_and_so_is_who_ends_it() {
    let now = Instant::now();
    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    let promised = Duration::from_secs(REPORT_AT_LEAST_EVERY.into());
    dialog.timeout(now + promised);
    assert!(!dialog.is_over(), "it may be late");
    let wake = dialog.wake().unwrap();
    assert!(wake <= now + promised * 2);
    dialog.timeout(now + promised * 2);
    assert!(dialog.is_over() && matches!(&events(&mut dialog)[..], [Event::Over(_)]));

    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    dialog.say(7, toggle(false), now + BEGUN_WITHIN, now);
    lamp.take(&mut dialog, now);
    let end = encode_close_session(&mut lamp.sessions, lamp.id, now).unwrap();
    dialog.datagram(&end.wire_bytes, now);
    assert!(matches!(&events(&mut dialog)[..], [Event::Done(7, Err(Trouble::Late)), Event::Over(_)]));
    dialog.say(8, toggle(false), now + BEGUN_WITHIN, now);
    dialog.timeout(now + Duration::from_secs(500));
    assert_eq!(dialog.transmit(), None, "nothing is said after the end");
}

#[test]
fn a_doubt_is_settled_by_an_answer_and_otherwise_by_the_end() {
    let now = Instant::now();
    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    dialog.doubt(now);
    dialog.doubt(now);
    lamp.take(&mut dialog, now);
    let (exchange, _, opcode, _) = lamp.last();
    assert_eq!(opcode, 2);
    lamp.say(Some(exchange), 5, &report(&[], None, false), &mut dialog, now);
    assert_eq!((dialog.is_over(), events(&mut dialog)), (false, vec![Event::Here]));
    dialog.doubt(now);
    dialog.timeout(now + Duration::from_secs(5));
    assert!(dialog.is_over());
    // One that sleeps for some seconds at a time has time to wake.
    let patience = MrpConfig::for_peer(Some(Duration::from_secs(5)), None, None);
    let (mut dialog, mut lamp) = met_with(patience, now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    dialog.doubt(now);
    dialog.timeout(now + Duration::from_secs(20));
    assert!(!dialog.is_over());
    dialog.timeout(now + Duration::from_secs(41));
    assert!(dialog.is_over());
}

#[test]
fn a_subscription_of_which_nothing_is_told_is_over_whatever_else_is_answered() {
    let now = Instant::now();
    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    let promised = Duration::from_secs(REPORT_AT_LEAST_EVERY.into());
    let answer = |dialog: &mut Dialog, lamp: &mut Lamp, at| {
        dialog.doubt(at);
        lamp.take(dialog, at);
        let (exchange, ..) = lamp.last();
        lamp.say(Some(exchange), 5, &report(&[], None, false), dialog, at);
        assert_eq!(events(dialog), [Event::Here]);
    };
    answer(&mut dialog, &mut lamp, now + promised);
    // That nothing changed counts.
    lamp.say(None, 5, &report(&[], Some(9), false), &mut dialog, now + promised);
    events(&mut dialog);
    dialog.timeout(now + promised * 2);
    assert!(!dialog.is_over());
    answer(&mut dialog, &mut lamp, now + promised * 2);
    dialog.timeout(now + promised * 3);
    assert!(dialog.is_over() && matches!(&events(&mut dialog)[..], [Event::Over(_)]));
}

#[test]
fn a_node_that_never_ends_what_it_says_and_one_that_lies_are_left() {
    let now = Instant::now();
    let (mut dialog, mut lamp) = met(now);
    dialog.subscribe(now);
    lamp.take(&mut dialog, now);
    let (exchange, ..) = lamp.last();
    let long = report(&[(ON, Value::Bytes(vec![0; 900]))], Some(9), true);
    let mut parts = 0;
    while !dialog.is_over() {
        lamp.say(Some(exchange), 5, &long, &mut dialog, now);
        parts += 1;
        assert!(parts < 5000);
    }
    assert!(matches!(&events(&mut dialog)[..], [Event::Over(why)] if why.contains("more than can be taken")));
    for (opcode, said) in [(5, vec![0xff; 40]), (4, response(8)), (1, build_status_response(0x89)), (9, vec![])] {
        let (mut dialog, mut lamp) = met(now);
        dialog.subscribe(now);
        lamp.take(&mut dialog, now);
        let (exchange, ..) = lamp.last();
        lamp.say(Some(exchange), 5, &report(&[(ON, Value::Bool(true))], Some(9), true), &mut dialog, now);
        lamp.say(Some(exchange), opcode, &said, &mut dialog, now);
        assert!(dialog.is_over(), "{opcode}");
        assert!(matches!(&events(&mut dialog)[..], [Event::Over(_)]));
    }
    // What is of no session, cut off, or changed on its way is nothing.
    let (mut dialog, mut lamp) = met(now);
    lamp.subscribed(&mut dialog, now);
    events(&mut dialog);
    let id = lamp.id;
    let (flags, protocol) = (MrpFlags { reliable: true }, ProtocolId::INTERACTION_MODEL);
    let said = report(&[(ON, Value::Bool(true))], Some(9), false);
    let mut bytes = lamp.sessions.encode_outbound(id, None, 5, protocol, &said, flags, now).unwrap().wire_bytes;
    for length in 0..bytes.len() {
        dialog.datagram(&bytes[..length], now);
    }
    *bytes.last_mut().unwrap() ^= 1;
    dialog.datagram(&bytes, now);
    assert_eq!((dialog.is_over(), events(&mut dialog)), (false, vec![]));
}
