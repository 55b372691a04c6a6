//! Two sides on a line that delivers, withholds, repeats, changes and mixes frames.

use std::sync::Arc;
use std::time::Duration;

use accord_model::{DeviceKind, Timestamp};
use proptest::prelude::*;

use super::wire::{Frame, Hello, Role};
use super::*;
use crate::PeerRecord;

const A: [u8; 32] = [0xA1; 32];
const B: [u8; 32] = [0xB2; 32];
const NOW: Duration = Duration::from_secs(1000);

fn setup(name: &str, own: [u8; 32], peer: [u8; 32], exporter: [u8; 32]) -> Setup {
    Setup {
        identity: Arc::new(Identity::generate()),
        name: name.to_owned(),
        kind: DeviceKind::Laptop,
        purpose: Purpose::Peer,
        method: Method::Code,
        own_transport: own,
        peer_transport: peer,
        exporter,
        paired_at: Timestamp::from_second(1_700_000_000).unwrap(),
        until: None,
    }
}
fn alice() -> Setup {
    setup("Alice", A, B, [7; 32])
}
fn bob() -> Setup {
    setup("Bob", B, A, [7; 32])
}
fn ticket(mut setup: Setup, secret: u8) -> Setup {
    setup.method = Method::Ticket(TicketSecret::from_bytes([secret; 16]));
    setup
}

/// One side and everything that came out of it.
struct Side {
    run: Pairing,
    frames: Vec<Vec<u8>>,
    code: Option<String>,
    asked: Option<Claim>,
    done: Option<PeerRecord>,
    failed: Option<PairingError>,
}

impl Side {
    fn new(run: Pairing) -> Self {
        let mut side = Self { run, frames: Vec::new(), code: None, asked: None, done: None, failed: None };
        side.drain();
        side
    }
    fn initiate(setup: Setup) -> Self {
        Self::new(Pairing::initiate(setup, NOW))
    }
    fn respond(setup: Setup) -> Self {
        Self::new(Pairing::respond(setup, NOW))
    }
    fn drain(&mut self) {
        while let Some(output) = self.run.poll() {
            match output {
                Output::Send(frame) => {
                    assert!(frame.len() <= MAX_FRAME);
                    self.frames.push(frame);
                }
                Output::ShowCode { code, .. } => self.code = Some(code),
                Output::AskUser(claim) => self.asked = Some(claim),
                Output::Done(record) => self.done = Some(record),
                Output::Failed(error) => self.failed = Some(error),
            }
        }
    }
    fn input(&mut self, input: Input<'_>) {
        self.run.handle(input, NOW);
        self.drain();
    }
    fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames)
    }
    fn hear(&mut self, frames: Vec<Vec<u8>>) {
        for frame in frames {
            self.input(Input::Frame(&frame));
        }
    }
}

/// Carries frames until both are silent.
fn settle(a: &mut Side, b: &mut Side) {
    for _ in 0..10 {
        b.hear(a.take());
        a.hear(b.take());
    }
}
fn compared() -> (Side, Side) {
    let (mut a, mut b) = (Side::initiate(alice()), Side::respond(bob()));
    settle(&mut a, &mut b);
    (a, b)
}
fn assert_nothing_paired(sides: &[&Side]) {
    for side in sides {
        assert!(side.done.is_none());
    }
}

#[test]
fn both_compare_the_same_code_and_are_paired() {
    let (mut a, mut b) = compared();
    assert_eq!(a.code, b.code);
    assert_eq!(a.code.as_ref().unwrap().len(), 6);
    assert_eq!(b.run.peer().unwrap().name, "Alice", "the asked side sees who asks");
    assert!(a.run.peer().is_none(), "the asked side says its name only after both agreed");
    a.input(Input::UserConfirmed);
    settle(&mut a, &mut b);
    assert_nothing_paired(&[&a, &b]);
    b.input(Input::UserConfirmed);
    settle(&mut a, &mut b);
    let (of_b, of_a) = (a.done.unwrap(), b.done.unwrap());
    assert_eq!((of_b.name.as_str(), of_a.name.as_str()), ("Bob", "Alice"));
    assert_eq!(of_a.pair_key, of_b.pair_key);
    assert!(a.run.is_over() && a.run.poll_timeout().is_none());
}

#[test]
fn records_name_the_long_term_keys_and_not_the_ephemeral_ones() {
    let (alice, bob) = (alice(), bob());
    let keys = |setup: &Setup| (setup.identity.statement_key(), setup.identity.transport_public());
    let (of_alice, of_bob) = (keys(&alice), keys(&bob));
    let (mut a, mut b) = (Side::initiate(alice), Side::respond(bob));
    settle(&mut a, &mut b);
    a.input(Input::UserConfirmed);
    b.input(Input::UserConfirmed);
    settle(&mut a, &mut b);
    let (at_a, at_b) = (a.done.unwrap(), b.done.unwrap());
    assert_eq!((at_a.statement_key, at_a.transport_key), of_bob);
    assert_eq!((at_b.statement_key, at_b.transport_key), of_alice);
}

#[test]
fn a_ticket_pairs_after_the_showing_side_agreed_without_a_code() {
    let (mut a, mut b) = (Side::initiate(ticket(alice(), 1)), Side::respond(ticket(bob(), 1)));
    settle(&mut a, &mut b);
    assert_eq!((&a.code, &b.code), (&None, &None));
    assert_eq!(b.asked, Some(Claim { name: "Alice".into(), kind: DeviceKind::Laptop }));
    assert_nothing_paired(&[&a, &b]);
    b.input(Input::UserConfirmed);
    settle(&mut a, &mut b);
    assert_eq!(a.done.unwrap().pair_key, b.done.unwrap().pair_key);
}

#[test]
fn a_wrong_ticket_is_refused_before_anyone_is_asked() {
    let (mut a, mut b) = (Side::initiate(ticket(alice(), 1)), Side::respond(ticket(bob(), 2)));
    b.input(Input::UserConfirmed);
    settle(&mut a, &mut b);
    assert_eq!(b.asked, None);
    assert_eq!(b.failed, Some(PairingError::Confirmation));
    assert_eq!(a.failed, Some(PairingError::Peer(Refusal::Protocol)));
}

#[test]
fn the_showing_side_of_a_ticket_can_refuse() {
    let (mut a, mut b) = (Side::initiate(ticket(alice(), 1)), Side::respond(ticket(bob(), 1)));
    settle(&mut a, &mut b);
    b.input(Input::UserRejected);
    settle(&mut a, &mut b);
    assert_eq!(b.failed, Some(PairingError::Rejected));
    assert_eq!(a.failed, Some(PairingError::Peer(Refusal::Rejected)));
}

#[test]
fn someone_in_between_makes_the_codes_differ() {
    let mut equal = 0;
    for round in 0..40u8 {
        // Mallory runs one pairing with each and relays what she can.
        let m = [0xCC; 32];
        let mut a = Side::initiate(setup("Alice", A, m, [round; 32]));
        let mut m_to_a = Side::respond(setup("Bob", m, A, [round; 32]));
        let mut m_to_b = Side::initiate(setup("Alice", m, B, [round ^ 0x55; 32]));
        let mut b = Side::respond(setup("Bob", B, m, [round ^ 0x55; 32]));
        settle(&mut a, &mut m_to_a);
        settle(&mut m_to_b, &mut b);
        equal += usize::from(a.code.unwrap() == b.code.unwrap());
    }
    assert_eq!(equal, 0);
}

#[test]
fn frames_relayed_unchanged_over_two_channels_fail() {
    let m = [0xCC; 32];
    // The named keys are not the ones of the channel.
    let (mut a, mut b) = (Side::initiate(setup("Alice", A, m, [1; 32])), Side::respond(setup("Bob", B, m, [2; 32])));
    settle(&mut a, &mut b);
    assert_eq!(b.failed, Some(PairingError::TransportKey));
    // Even with the right keys, the exporters of two channels differ, and so do code and confirmations.
    let (mut a, mut b) = (Side::initiate(setup("Alice", A, B, [1; 32])), Side::respond(setup("Bob", B, A, [2; 32])));
    settle(&mut a, &mut b);
    assert_ne!(a.code, b.code);
    a.input(Input::UserConfirmed);
    settle(&mut a, &mut b);
    assert_eq!(b.failed, Some(PairingError::Confirmation));
    assert_nothing_paired(&[&a, &b]);
}

#[test]
fn the_nonce_must_be_the_one_committed_to() {
    let (mut a, mut b) = (Side::initiate(alice()), Side::respond(bob()));
    b.hear(a.take());
    a.hear(b.take());
    let mut reveal = a.take();
    *reveal[0].last_mut().unwrap() ^= 1;
    b.hear(reveal);
    assert_eq!(b.failed, Some(PairingError::Commitment));
    assert_eq!(b.code, None);
}

#[test]
fn the_initiator_reveals_nothing_before_the_other_nonce() {
    let mut a = Side::initiate(alice());
    assert_eq!(a.frames.len(), 1);
    a.take();
    a.input(Input::UserConfirmed);
    a.input(Input::Code("123456"));
    assert!(a.frames.is_empty());
    let reveal = Frame::Reveal([0; 32]).encode(Role::Responder);
    a.input(Input::Frame(&reveal));
    assert_eq!(a.failed, Some(PairingError::OutOfOrder { expected: "reply", got: "reveal" }));
    assert!(a.frames.iter().all(|frame| matches!(Frame::decode(frame), Ok((_, Frame::Abort(_))))));
}

#[test]
fn frames_of_an_earlier_run_are_worth_nothing() {
    let (mut a, mut b) = (Side::initiate(alice()), Side::respond(bob()));
    let hello = a.take();
    b.hear(hello.clone());
    a.hear(b.take());
    let reveal = a.take();
    b.hear(reveal.clone());
    a.input(Input::UserConfirmed);
    let confirm = a.take();
    b.input(Input::UserConfirmed);
    b.hear(confirm.clone());
    a.hear(b.take());
    let record = a.take();

    let mut again = Side::respond(bob());
    again.hear(hello);
    again.hear(reveal);
    again.input(Input::UserConfirmed);
    assert_ne!(again.code, b.code, "a fresh nonce on this side changes the code");
    again.hear(confirm);
    assert_eq!(again.failed, Some(PairingError::Confirmation));
    again.hear(record);
    assert!(again.done.is_none());
}

#[test]
fn repeated_reordered_and_reflected_frames_end_the_run() {
    for repeat in 0..2 {
        let (mut a, mut b) = (Side::initiate(alice()), Side::respond(bob()));
        let hello = a.take();
        b.hear(hello.clone());
        a.hear(b.take());
        let reveal = a.take();
        b.hear(if repeat == 0 { hello } else { [reveal.clone(), reveal].concat() });
        assert!(matches!(b.failed, Some(PairingError::OutOfOrder { .. })), "{:?}", b.failed);
    }
    let (mut a, mut b) = compared();
    a.input(Input::UserConfirmed);
    let confirm = a.take();
    b.hear([confirm.clone(), confirm.clone()].concat());
    assert_eq!(b.failed, Some(PairingError::OutOfOrder { expected: "confirm", got: "confirm" }));
    a.hear(confirm);
    assert_eq!(a.failed, Some(PairingError::OutOfOrder { expected: "confirm", got: "an own frame" }));

    // The own confirmation sent back under the other role does not verify.
    let (mut a, _) = compared();
    a.input(Input::UserConfirmed);
    let mut confirm = a.take().remove(0);
    confirm[1] = Role::Responder as u8;
    a.input(Input::Frame(&confirm));
    assert_eq!(a.failed, Some(PairingError::Confirmation));

    let mut a = Side::initiate(alice());
    let hello = a.take();
    a.hear(hello);
    assert!(matches!(a.failed, Some(PairingError::OutOfOrder { .. })));
    let oneself = Side::initiate(setup("Alice", A, A, [7; 32]));
    assert_eq!(oneself.failed, Some(PairingError::Oneself));
}

#[test]
fn a_run_for_one_purpose_or_method_is_worth_nothing_for_another() {
    let (mut a, mut b) = (Side::initiate(Setup { purpose: Purpose::Join, ..alice() }), Side::respond(bob()));
    settle(&mut a, &mut b);
    assert_eq!(b.failed, Some(PairingError::Purpose));
    let (mut a, mut b) = (Side::initiate(alice()), Side::respond(ticket(bob(), 1)));
    settle(&mut a, &mut b);
    assert_eq!(b.failed, Some(PairingError::Method));
    let (mut a, mut b) = (Side::initiate(ticket(alice(), 1)), Side::respond(bob()));
    settle(&mut a, &mut b);
    assert_eq!(b.failed, Some(PairingError::Method));
}

#[test]
fn offered_versions_are_part_of_the_code() {
    let offer = |versions: Vec<u8>| {
        let (mut a, mut b) = (Side::initiate(alice()), Side::respond(bob()));
        let Ok((role, Frame::Hello(hello))) = Frame::decode(&a.take()[0]) else { panic!("hello") };
        b.hear(vec![Frame::Hello(Hello { versions, ..hello }).encode(role)]);
        settle(&mut a, &mut b);
        (a, b)
    };
    let (a, b) = offer(vec![1]);
    assert_eq!(a.code, b.code);
    let (a, b) = offer(vec![1, 0]);
    assert_ne!(a.code, b.code, "an offer changed on the way shows");
    let (a, b) = offer(vec![9]);
    assert_eq!(b.failed, Some(PairingError::Version));
    assert_eq!(a.failed, Some(PairingError::Peer(Refusal::Version)));
}

#[test]
fn a_typed_code_counts_as_agreeing_and_a_wrong_one_fails_both() {
    let (mut a, mut b) = compared();
    let code = a.code.clone().unwrap();
    a.input(Input::Code(&format!("{} {}", &code[..3], &code[3..])));
    b.input(Input::Code(&code));
    settle(&mut a, &mut b);
    assert!(a.done.is_some() && b.done.is_some());

    for wrong in ["", "12345", "abcdef", "x".repeat(5000).as_str()] {
        let (mut a, mut b) = compared();
        b.input(Input::UserConfirmed);
        a.input(Input::Code(wrong));
        settle(&mut a, &mut b);
        assert_eq!(a.failed, Some(PairingError::WrongCode));
        assert_eq!(b.failed, Some(PairingError::Peer(Refusal::WrongCode)));
        assert_nothing_paired(&[&a, &b]);
    }
}

#[test]
fn a_code_typed_early_is_judged_when_the_own_one_is_known() {
    let (mut a, mut b) = (Side::initiate(alice()), Side::respond(bob()));
    a.input(Input::Code("not it"));
    assert_eq!(a.failed, None);
    settle(&mut a, &mut b);
    assert_eq!(a.failed, Some(PairingError::WrongCode));
}

#[test]
fn a_refusal_on_one_side_ends_both() {
    let (mut a, mut b) = compared();
    a.input(Input::UserConfirmed);
    b.input(Input::UserRejected);
    settle(&mut a, &mut b);
    assert_eq!(a.failed, Some(PairingError::Peer(Refusal::Rejected)));
    assert_eq!(b.failed, Some(PairingError::Rejected));
}

#[test]
fn only_a_hello_begins_a_run() {
    let mut a = Side::initiate(alice());
    let hello = a.take().remove(0);
    assert!(is_hello(&hello) && !is_hello(&hello[..hello.len() - 1]) && !is_hello(b""));
    assert!(!is_hello(&refusal_frame(Refusal::Busy)));
}

#[test]
fn deadlines_are_a_minute_to_agree_and_two_in_all() {
    let (mut a, _) = compared();
    assert_eq!(a.run.poll_timeout(), Some(NOW + CONFIRM_TIME));
    a.run.handle(Input::Timeout, NOW + CONFIRM_TIME - Duration::from_millis(1));
    assert!(!a.run.is_over());
    a.run.handle(Input::UserConfirmed, NOW + CONFIRM_TIME);
    a.drain();
    assert_eq!(a.failed, Some(PairingError::NotConfirmed));

    // Scanned: the other side's user has all the time there is.
    let (mut a, mut b) = (Side::initiate(ticket(alice(), 5)), Side::respond(ticket(bob(), 5)));
    settle(&mut a, &mut b);
    assert_eq!(a.run.poll_timeout(), Some(NOW + TOTAL_TIME));
    a.run.handle(Input::Timeout, NOW + TOTAL_TIME);
    a.drain();
    assert_eq!(a.failed, Some(PairingError::TimedOut));
}

#[test]
fn a_side_that_falls_silent_where_no_user_is_needed_is_given_up_soon() {
    let mut waits = Side::respond(bob());
    let mut greeted = Side::respond(bob());
    greeted.hear(Side::initiate(alice()).take());
    let mut greeter = Side::initiate(alice());
    let (mut a, mut agreed) = compared();
    a.input(Input::UserConfirmed);
    agreed.input(Input::UserConfirmed);
    agreed.hear(a.take());
    for (name, side) in
        [("hello", &mut waits), ("reveal", &mut greeted), ("reply", &mut greeter), ("record", &mut agreed)]
    {
        assert!(side.failed.is_none());
        side.run.handle(Input::Timeout, NOW + STEP_TIME);
        side.drain();
        assert_eq!(side.failed, Some(PairingError::Silent), "{name}");
    }
}

#[test]
fn a_channel_that_closes_fails_the_run_and_nothing_follows() {
    let (mut a, mut b) = compared();
    a.input(Input::Closed);
    assert_eq!(a.failed, Some(PairingError::Closed));
    b.input(Input::UserConfirmed);
    a.hear(b.take());
    assert!(a.frames.is_empty());
    assert_nothing_paired(&[&a]);
}

#[test]
fn a_record_signed_by_another_key_or_for_another_run_is_refused() {
    for at in [2, 3, 40, 80, 110, 180] {
        let (mut a, mut b) = compared();
        a.input(Input::UserConfirmed);
        b.input(Input::UserConfirmed);
        b.hear(a.take());
        let mut frames = b.take();
        let record = frames.iter_mut().find(|frame| frame[0] == 5).unwrap();
        record[at] ^= 1;
        a.hear(frames);
        assert!(a.failed.is_some(), "byte {at}");
        assert_nothing_paired(&[&a]);
    }
}

#[test]
fn names_from_outside_are_safe_and_short() {
    let mut bad = alice();
    bad.name = format!("\u{202e}evil\u{1b}[2J{}", "x".repeat(500));
    let (mut a, mut b) = (Side::initiate(bad), Side::respond(bob()));
    settle(&mut a, &mut b);
    let name = &b.run.peer().unwrap().name;
    assert!(name.chars().count() <= MAX_NAME && !name.contains(['\u{202e}', '\u{1b}']), "{name}");

    let claim = Claim { name: "\u{202e}x\u{7}".into(), kind: DeviceKind::Tv };
    let hello = Hello {
        versions: vec![1],
        purpose: Some(Purpose::Peer),
        way: Some(super::wire::Way::Code),
        transport: A,
        commitment: [0; 32],
        claim,
    };
    let mut b = Side::respond(bob());
    b.input(Input::Frame(&Frame::Hello(hello).encode(Role::Initiator)));
    assert_eq!(b.run.peer().unwrap().name, "\u{FFFD}x\u{FFFD}");
}

/// With fixed nonces everything both sides compute is fixed. Another implementation must agree.
#[test]
fn vectors() {
    let (a_nonce, b_nonce) = ([0x11; 32], [0x22; 32]);
    let mut a = Side::new(Pairing::initiate_with(alice(), NOW, a_nonce));
    let mut b = Side::new(Pairing::respond_with(bob(), NOW, b_nonce));
    let hello = a.take();
    assert_eq!(data_encoding::HEXLOWER.encode(&hello[0]), HELLO);
    b.hear(hello);
    let reply = b.take();
    assert_eq!(data_encoding::HEXLOWER.encode(&reply[0]), REPLY);
    a.hear(reply);
    settle(&mut a, &mut b);
    assert_eq!((a.code.as_deref(), b.code.as_deref()), (Some(CODE), Some(CODE)));
    a.input(Input::UserConfirmed);
    let confirm = a.take();
    assert_eq!(data_encoding::HEXLOWER.encode(&confirm[0]), CONFIRM);
    b.hear(confirm);
    b.input(Input::UserConfirmed);
    settle(&mut a, &mut b);
    assert_eq!(data_encoding::HEXLOWER.encode(a.done.unwrap().pair_key.bytes()), PAIR_KEY);
}
const HELLO: &str = "010100010100047065657201a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a183b7146b6272495972a595a8a27fe54c5fe8da8ea29ed67a820747822331e8db0005416c69636500066c6170746f70";
const REPLY: &str = "02020100047065657201b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b22222222222222222222222222222222222222222222222222222222222222222";
const CODE: &str = "793132";
const CONFIRM: &str = "040140fedb8420fca2dc0fdaf7bc570433fe627b5c544b29e1bd4fc40de1f5e98a94";
const PAIR_KEY: &str = "94d64bd6a24e0d8081f9dd75c44f28ee42acc8bf0a9cbc5ce3f442d01ec4a6df";

#[derive(Debug, Clone)]
enum Step {
    Bytes(Vec<u8>),
    Deliver,
    Flip(usize, u8),
    Repeat,
    Confirm,
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(Step::Bytes),
        12 => Just(Step::Deliver),
        1 => (any::<usize>(), 1u8..).prop_map(|(at, bits)| Step::Flip(at, bits)),
        1 => Just(Step::Repeat),
        6 => Just(Step::Confirm),
        1 => any::<u8>().prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&bytes);
        for kind in 1..=6 {
            for role in 1..=2 {
                fuzz(&[&[kind, role], bytes.as_slice()].concat());
            }
        }
    }

    #[test]
    fn whatever_happens_on_the_line_nobody_pairs_over_changed_frames(steps in proptest::collection::vec(step(), 0..40)) {
        let (mut a, mut b) = (Side::initiate(alice()), Side::respond(bob()));
        let mut now = NOW;
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut harmed = false;
        for (index, step) in steps.into_iter().enumerate() {
            let (from, to) = if index % 2 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
            let mut frames = match step {
                Step::Bytes(bytes) => { harmed |= !to.run.is_over(); vec![bytes] }
                Step::Deliver => { let frames = from.take(); seen.extend(frames.clone()); frames }
                Step::Flip(at, bits) => {
                    let mut frames = from.take();
                    if let Some(frame) = frames.first_mut() {
                        harmed |= !to.run.is_over();
                        let at = at % frame.len();
                        frame[at] ^= bits;
                    }
                    frames
                }
                Step::Repeat => seen.last().cloned().into_iter().inspect(|_| harmed |= !to.run.is_over()).collect(),
                Step::Confirm => { to.run.handle(Input::UserConfirmed, now); vec![] }
                Step::Wait(seconds) => { now += Duration::from_secs(u64::from(seconds) / 16); vec![] }
            };
            for frame in frames.drain(..) {
                to.run.handle(Input::Frame(&frame), now);
            }
            a.drain();
            b.drain();
        }
        for side in [&a, &b] {
            prop_assert!(side.done.is_none() || side.failed.is_none());
        }
        if let (Some(a), Some(b)) = (&a.done, &b.done) {
            prop_assert!(!harmed);
            prop_assert_eq!(&a.pair_key, &b.pair_key);
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_to_a_run_nothing_is_paired_without_both_users(
        bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        fuzz_machine(&bytes);
    }
}
