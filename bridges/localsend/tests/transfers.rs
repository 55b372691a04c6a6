//! Whole transfers between two of our own cores.

mod sim;

use std::time::Duration;

use accord_localsend::core::message::{FileOffer, RelativePath};
use accord_localsend::core::receive::{Decision, Event as Received, Finished, Rules, UploadFault, Withdrawn};
use accord_localsend::core::send::{Event as Sent, Options, SendError};
use accord_model::{FieldCode, FieldSet};
use proptest::prelude::*;
use sim::{Carrier, Sim, Trouble};

const SOON: Duration = Duration::from_secs(5);

fn content(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

fn two_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![("Holiday/beach.jpg", content(300_000, 1)), ("empty.txt", Vec::new()), ("notes.txt", content(1, 2))]
}

fn sim(carrier: Carrier) -> Sim {
    Sim::new(carrier, &two_files(), Rules::default(), Options::default(), 7)
}

#[test]
fn files_arrive_by_http_and_by_https_with_and_without_client_certificate() {
    for carrier in [Carrier::Plain, Carrier::Mutual, Carrier::Anonymous] {
        let mut sim = sim(carrier);
        sim.run(SOON);
        assert_eq!(sim.sent.last(), Some(&Sent::Finished { sent: 3, failed: 0 }), "{carrier:?} {:?}", sim.sent);
        assert_eq!(sim.finished(), Some(&Finished::Done { missing: 0 }));
        for (path, content) in two_files() {
            assert_eq!(sim.stored[path], content, "{carrier:?} {path}");
        }
        let Some(Received::Asked(asked)) = sim.received.first() else { panic!("{:?}", sim.received) };
        assert_eq!((asked.verified, asked.peer.encrypted), (carrier == Carrier::Mutual, carrier != Carrier::Plain));
    }
}

#[test]
fn the_wire_says_which_kinds_of_data_went_where() {
    let mut sim = sim(Carrier::Mutual);
    sim.run(SOON);
    let sender = [
        FieldCode::DeviceName,
        FieldCode::DeviceType,
        FieldCode::KeyPublic,
        FieldCode::FileName,
        FieldCode::FileMeta,
        FieldCode::FileContent,
    ];
    assert_eq!(sim.fields.0, FieldSet::from_iter(sender));
    assert_eq!(sim.fields.1, FieldSet::one(FieldCode::KeyPublic));
    let mut declined = self::sim(Carrier::Mutual);
    declined.decide = Box::new(|_| Some(Decision::Decline));
    declined.run(SOON);
    assert!(!declined.fields.0.contains(FieldCode::FileContent));
}

#[test]
fn a_declined_transfer_and_one_without_an_answer_say_so() {
    let mut sim = sim(Carrier::Mutual);
    sim.decide = Box::new(|_| Some(Decision::Decline));
    sim.run(SOON);
    assert_eq!(sim.sent.last(), Some(&Sent::Failed(SendError::Declined)));
    assert!(sim.stored.is_empty());

    let mut sim = self::sim(Carrier::Mutual);
    sim.decide = Box::new(|_| None);
    sim.run(Duration::from_secs(1000));
    assert_eq!(sim.sent.last(), Some(&Sent::Failed(SendError::Declined)));
    assert!(matches!(sim.received[..], [Received::Asked(_), Received::Withdrawn(_, Withdrawn::Expired)]));
}

#[test]
fn a_sender_that_hangs_up_frees_the_slot() {
    let mut sim = sim(Carrier::Mutual);
    sim.decide = Box::new(|_| None);
    sim.trouble.hang_up = true;
    sim.run(SOON);
    assert!(matches!(sim.received[..], [Received::Asked(_), Received::Withdrawn(_, Withdrawn::HungUp)]));
}

#[test]
fn only_the_files_that_were_chosen_come() {
    let mut sim = sim(Carrier::Mutual);
    sim.decide = Box::new(|_| Some(Decision::Only(vec!["f2".into()])));
    sim.run(SOON);
    assert_eq!(sim.sent.last(), Some(&Sent::Finished { sent: 1, failed: 0 }));
    assert_eq!(sim.stored.keys().collect::<Vec<_>>(), ["notes.txt"]);
}

#[test]
fn a_text_is_shown_and_nothing_is_uploaded() {
    let text = FileOffer::text("t", RelativePath::parse("text.txt").unwrap(), "see you at 8".into());
    let mut sim = Sim::offering(Carrier::Mutual, vec![text], Rules::default(), Options::default(), 1);
    sim.decide = Box::new(|asked| {
        assert_eq!(asked.request.message(), Some("see you at 8"));
        Some(Decision::Shown)
    });
    sim.run(SOON);
    assert_eq!(sim.sent.last(), Some(&Sent::Finished { sent: 0, failed: 0 }));
    assert!(sim.fields.0.contains(FieldCode::TextContent));
}

#[test]
fn a_pin_is_asked_for_and_three_wrong_ones_are_enough() {
    let rules = || Rules { pin: Some("1234".into()), ..Rules::default() };
    let mut sim = Sim::new(Carrier::Mutual, &two_files(), rules(), Options::default(), 1);
    sim.pins = ["0000", "1234"].map(String::from).into();
    sim.run(SOON);
    assert!(
        sim.sent.contains(&Sent::PinNeeded { wrong: false }) && sim.sent.contains(&Sent::PinNeeded { wrong: true })
    );
    assert_eq!(sim.sent.last(), Some(&Sent::Finished { sent: 3, failed: 0 }));

    let mut sim = Sim::new(Carrier::Mutual, &two_files(), rules(), Options::default(), 1);
    sim.pins = ["1", "2", "3", "1234"].map(String::from).into();
    sim.run(SOON);
    assert_eq!(sim.sent.last(), Some(&Sent::Failed(SendError::PinBlocked)));
}

#[test]
fn a_damaged_file_is_sent_again_and_three_times_damaged_is_given_up() {
    let mut sim = sim(Carrier::Mutual);
    sim.trouble.damaged = 2;
    sim.run(SOON);
    assert_eq!(sim.sent.last(), Some(&Sent::Finished { sent: 3, failed: 0 }));
    assert_eq!(sim.stored["Holiday/beach.jpg"], content(300_000, 1));

    let mut sim = Sim::new(Carrier::Plain, &two_files()[..1], Rules::default(), Options::default(), 1);
    sim.trouble.damaged = 3;
    sim.run(SOON);
    assert!(sim.sent.contains(&Sent::NotSent(0, SendError::Damaged(3))), "{:?}", sim.sent);
    assert_eq!(sim.finished(), Some(&Finished::Done { missing: 1 }));
    assert!(sim.stored.is_empty());
    let fault = UploadFault::Checksum;
    assert!(sim.received.contains(&Received::File { id: "f0".into(), outcome: Err(fault) }));
}

#[test]
fn a_file_whose_connection_broke_is_sent_again() {
    let mut sim = sim(Carrier::Mutual);
    sim.trouble.cut = 2;
    sim.run(SOON);
    assert_eq!(sim.sent.last(), Some(&Sent::Finished { sent: 3, failed: 0 }), "{:?}", sim.sent);
    assert_eq!(sim.stored["Holiday/beach.jpg"], content(300_000, 1));
}

#[test]
fn either_side_can_break_it_off() {
    let big = [("big.bin", content(2_000_000, 3)), ("next.bin", content(2_000_000, 4))];
    let mut sim = Sim::new(Carrier::Mutual, &big, Rules::default(), Options::default(), 1);
    sim.trouble.sender_cancels = Some(100_000);
    sim.run(SOON);
    assert_eq!(sim.sent.last(), Some(&Sent::Failed(SendError::Cancelled)));
    assert_eq!(sim.finished(), Some(&Finished::CancelledByPeer), "{:?}", sim.received);
    assert!(sim.stored.is_empty());

    let mut sim = Sim::new(Carrier::Mutual, &big, Rules::default(), Options::default(), 1);
    sim.trouble.receiver_stops = Some(100_000);
    sim.run(SOON);
    assert_eq!(sim.sent.last(), Some(&Sent::Failed(SendError::CancelledByPeer)), "{:?}", sim.sent);
    assert_eq!(sim.finished(), Some(&Finished::Stopped));
    assert!(sim.stored.is_empty());
}

#[test]
fn what_cannot_be_stored_is_not_confirmed() {
    let mut sim = Sim::new(Carrier::Mutual, &two_files()[..1], Rules::default(), Options::default(), 1);
    sim.trouble.unstored = 9;
    sim.run(SOON);
    assert!(matches!(
        sim.sent[..],
        [.., Sent::NotSent(0, SendError::PeerFailed(_)), Sent::Finished { sent: 0, failed: 1 }]
    ));
}

#[test]
fn a_receiver_that_wants_proof_refuses_who_gives_none() {
    for carrier in [Carrier::Plain, Carrier::Anonymous] {
        let mut sim = sim(carrier);
        sim.server = accord_localsend::core::server::Server::new(
            accord_localsend::core::DeviceInfo::new(
                "Receiver",
                Default::default(),
                accord_localsend::core::Fingerprint::random(),
            ),
            Rules::default(),
            sim.now,
        );
        sim.run(SOON);
        assert_eq!(sim.sent.last(), Some(&Sent::Failed(SendError::Declined)));
        assert!(sim.received.is_empty(), "nobody was bothered");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn however_the_bytes_are_cut_the_same_arrives(chance in any::<u64>(), lengths in prop::collection::vec(0usize..200_000, 1..4), parallel in 1usize..4, tls in any::<bool>(), damaged in 0usize..2, cut in 0usize..2) {
        let names = ["a.bin", "b/c.bin", "d/e/f.bin"];
        let files: Vec<_> = lengths.iter().zip(names).map(|(length, name)| (name, content(*length, 5))).collect();
        let carrier = if tls { Carrier::Mutual } else { Carrier::Plain };
        let options = Options { parallel, ..Options::default() };
        let mut sim = Sim::new(carrier, &files, Rules::default(), options, chance);
        sim.trouble = Trouble { damaged: damaged * usize::from(lengths.iter().all(|length| *length > 0)), cut, ..Trouble::default() };
        sim.run(SOON);
        prop_assert_eq!(sim.sent.last(), Some(&Sent::Finished { sent: files.len(), failed: 0 }));
        for (path, content) in &files {
            prop_assert_eq!(&sim.stored[*path], content);
        }
    }
}
