//! Transfers between two hubs with gate, ledger and state folders of their own.

#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "a test")]

mod hubs;

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use accord_consent::{Choice, Query, RecipientId, RecordKind, To};
use accord_files::wire::{Back, FailReason, Forward, Offer, StopReason};
use accord_files::{Items, SendRequest, State, TransferId};
use accord_model::{EntryKey, FieldCode, FieldSet};
use hubs::{Home, Hub, Peer, id, offer};

fn send(hub: &Hub, items: Items) -> TransferId {
    hub.run(hub.files.send(SendRequest { device: id("b"), items })).unwrap()
}

fn kinds(hub: &Hub) -> Vec<RecordKind> {
    let records = hub.gate.ledger().list(&Query { limit: Some(1000), ..Query::default() }).unwrap();
    records.iter().rev().map(|record| record.public.kind).collect()
}

#[test]
fn an_offer_waits_for_the_owner_and_then_arrives_and_is_recorded() {
    let home = Home::new();
    let (a, b) = home.agreed();
    let file = home.file("holiday.jpg", 2_000_000);
    let out = send(&a, Items::Paths(vec![file.clone()]));
    a.until(&out, State::Offered);
    let incoming = b.until(&b.first(), State::Offered);
    assert_eq!((incoming.items[0].name.as_str(), incoming.items[0].size), ("holiday.jpg", Some(2_000_000)));
    assert!(incoming.deadline.is_some() && !b.inbox().join("holiday.jpg").exists());
    b.files.accept(&incoming.id, false).unwrap();
    let sent = a.until(&out, State::Done);
    let got = b.until(&incoming.id, State::Done);
    assert_eq!((sent.files_done, sent.bytes_done, got.bytes_done), (1, 2_000_000, 2_000_000));
    assert_eq!(got.saved_to, [b.inbox().join("holiday.jpg")]);
    assert_eq!(std::fs::read(&got.saved_to[0]).unwrap(), std::fs::read(&file).unwrap());
    assert_eq!(sent.carrier.as_deref(), Some("memory"));
    let records = a.gate.ledger().list(&Query { limit: Some(100), ..Query::default() }).unwrap();
    let record = records.iter().find(|record| record.public.kind == RecordKind::Sent).expect("a record of what left");
    assert!(record.public.bytes.unwrap() >= 2_000_000);
    let all = FieldSet::from_iter([FieldCode::FileName, FieldCode::FileContent, FieldCode::FileMeta]);
    assert_eq!(record.public.fields, all);
    std::thread::sleep(Duration::from_millis(300));
    assert!(kinds(&b).contains(&RecordKind::Received), "{:?}", kinds(&b));
    assert!(!b.inbox().join(".accord-partial").exists());
}

#[test]
fn who_waits_for_the_end_of_a_transfer_is_told_at_once_and_never_later_than_wanted() {
    let home = Home::new();
    let (a, b) = home.agreed();
    let out = send(&a, Items::Paths(vec![home.file("holiday.jpg", 1000)]));
    let incoming = b.until(&b.first(), State::Offered);
    let began = std::time::Instant::now();
    a.run(a.files.until_over(&out, Duration::from_millis(50)));
    assert!(began.elapsed() >= Duration::from_millis(50), "nobody has answered yet");
    b.files.accept(&incoming.id, false).unwrap();
    a.run(a.files.until_over(&out, Duration::from_secs(60)));
    assert_eq!(a.files.get(&out).map(|transfer| transfer.state), Some(State::Done));
    a.run(a.files.until_over(&TransferId::random(), Duration::from_secs(60)));
    assert!(began.elapsed() < Duration::from_secs(50), "what is over or gone is not waited for");
}

#[test]
fn nothing_is_offered_before_the_owner_agrees() {
    let home = Home::new();
    let (a, b) = home.hubs();
    b.decide("files/receive", Choice::Always);
    b.policy.0.store(true, SeqCst);
    let out = send(&a, Items::Paths(vec![home.file("f", 10)]));
    a.until(&out, State::WaitingForConsent);
    std::thread::sleep(Duration::from_millis(200));
    assert!(b.files.list().is_empty());
    a.decide("files/send", Choice::Once);
    a.until(&out, State::Done);
    a.decide("files/send", Choice::Never);
    let refused = a.run(a.files.send(SendRequest { device: id("b"), items: Items::Text("x".into()) }));
    assert!(refused.is_err());
}

#[test]
fn a_receiver_that_may_not_answer_says_nothing_until_it_may() {
    let home = Home::new();
    let (a, b) = home.hubs();
    a.decide("files/send", Choice::Always);
    let out = send(&a, Items::Paths(vec![home.file("f", 10)]));
    let incoming = b.until_that(&b.first(), |transfer| transfer.message.is_some());
    assert!(b.files.accept(&incoming.id, false).is_err(), "the owner is asked first");
    b.decide("files/receive", Choice::Always);
    b.files.accept(&incoming.id, true).unwrap();
    a.until(&out, State::Done);
    assert!(b.policy.0.load(SeqCst), "accepted always");
}

#[test]
fn a_refused_offer_is_over_on_both_sides_and_may_be_offered_anew() {
    let home = Home::new();
    let (a, b) = home.agreed();
    let out = send(&a, Items::Paths(vec![home.file("f", 10)]));
    let incoming = b.until(&b.first(), State::Offered);
    b.files.refuse(&incoming.id).unwrap();
    let sent = a.until(&out, State::Refused);
    assert!(sent.message.unwrap().contains("said no"));
    b.until(&incoming.id, State::Refused);
    b.policy.0.store(true, SeqCst);
    a.run(a.files.retry(&out)).unwrap();
    a.until(&out, State::Done);
    b.run(b.files.remove(&incoming.id)).unwrap();
    assert!(b.files.get(&incoming.id).is_none());
}

#[test]
fn a_withdrawal_stops_a_running_transfer_at_once() {
    let home = Home::new();
    let (a, b) = home.agreed();
    b.policy.0.store(true, SeqCst);
    home.link.hold_after(3_000_000);
    let out = send(&a, Items::Paths(vec![home.file("big", 8_000_000)]));
    a.until_that(&out, |transfer| transfer.bytes_done > 0);
    let begun = std::time::Instant::now();
    let to = To::One(RecipientId::device(&id("b")));
    a.gate.withdraw((EntryKey::new("files/send").unwrap(), to)).unwrap();
    home.link.mend();
    let failed = a.until(&out, State::Failed);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(failed.message.as_deref(), Some("consent withdrawn"));
    let stopped = b.until(&b.first(), State::Paused);
    assert!(stopped.message.unwrap().contains("the sender stopped"));
    assert!(!b.inbox().join("big").exists());
}

#[test]
fn a_broken_link_is_mended_by_itself() {
    let home = Home::new();
    let (a, b) = home.agreed();
    b.policy.0.store(true, SeqCst);
    home.link.break_after(3_000_000);
    let file = home.file("big", 8_000_000);
    let out = send(&a, Items::Paths(vec![file.clone()]));
    a.until(&out, State::Paused);
    home.link.mend();
    a.until(&out, State::Done);
    assert_eq!(std::fs::read(b.inbox().join("big")).unwrap(), std::fs::read(file).unwrap());
    assert_eq!(b.files.list().len(), 1);
}

#[test]
fn a_killed_side_goes_on_where_it_was() {
    let home = Home::new();
    let (mut a, mut b) = home.agreed();
    b.policy.0.store(true, SeqCst);
    let file = home.file("big", 12_000_000);
    home.link.hold_after(2_000_000);
    let out = send(&a, Items::Paths(vec![file.clone()]));
    for round in 1..=4_i64 {
        b.until_that(&b.first(), |transfer| transfer.bytes_done > 0);
        a.until_that(&out, |transfer| transfer.bytes_done > 0);
        if round % 2 == 0 {
            home.link.break_after(0);
            let again = a.kill();
            home.link.hold_after(2_000_000);
            a = again();
        } else {
            home.link.break_after(0);
            let again = b.kill();
            home.link.hold_after(2_000_000);
            b = again();
        }
    }
    home.link.mend();
    home.link.break_after(0);
    home.link.mend();
    a.until(&out, State::Done);
    assert_eq!(std::fs::read(b.inbox().join("big")).unwrap(), std::fs::read(file).unwrap());
    b.until(&b.first(), State::Done);
    std::thread::sleep(Duration::from_millis(300));
    let names: Vec<_> = std::fs::read_dir(b.inbox()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["big"]);
}

#[test]
fn text_and_links_are_shown_and_never_opened() {
    let home = Home::new();
    let (a, b) = home.agreed();
    b.policy.0.store(true, SeqCst);
    let out = send(&a, Items::Text("Grüße\n".into()));
    a.until(&out, State::Done);
    let text = b.until(&b.first(), State::Done);
    assert_eq!((text.text.as_deref(), text.link()), (Some("Grüße\n"), None));
    assert_eq!(std::fs::read_to_string(&text.saved_to[0]).unwrap(), "Grüße\n");
    for (url, shown) in
        [("https://example.org/a?b", true), ("javascript:alert(1)", false), ("file:///etc/passwd", false)]
    {
        let out = send(&a, Items::Url(url.into()));
        a.until(&out, State::Done);
        let link = b.until(&b.first(), State::Done);
        assert_eq!((link.text.as_deref(), link.link().is_some()), (Some(url), shown));
    }
    let record = a.gate.ledger().list(&Query { limit: Some(100), ..Query::default() }).unwrap();
    let sent = record.iter().find(|record| record.public.kind == RecordKind::Sent).unwrap();
    assert_eq!(sent.public.fields, FieldSet::one(FieldCode::TextContent));
}

#[test]
fn a_stream_arrives_and_a_broken_one_says_why_it_cannot_go_on() {
    let home = Home::new();
    let (a, b) = home.agreed();
    b.policy.0.store(true, SeqCst);
    let stream =
        |length: usize| Items::Stream { name: "-".into(), reader: Box::new(std::io::Cursor::new(vec![7; length])) };
    let out = send(&a, stream(1_500_000));
    a.until(&out, State::Done);
    assert_eq!(std::fs::read(b.inbox().join("-")).unwrap(), vec![7; 1_500_000]);
    home.link.break_after(1_000_000);
    let out = send(&a, stream(3_000_000));
    let failed = a.until(&out, State::Failed);
    assert!(failed.message.unwrap().contains("second time"));
}

#[test]
fn either_owner_can_cancel() {
    let home = Home::new();
    let (a, b) = home.agreed();
    b.policy.0.store(true, SeqCst);
    let file = home.file("big", 8_000_000);
    home.link.hold_after(3_000_000);
    let out = send(&a, Items::Paths(vec![file.clone()]));
    let incoming = b.first();
    b.until_that(&incoming, |transfer| transfer.bytes_done > 0);
    b.run(b.files.cancel(&incoming)).unwrap();
    home.link.mend();
    b.until(&incoming, State::Cancelled);
    home.link.break_after(0);
    home.link.mend();
    let stopped = a.until(&out, State::Cancelled);
    assert!(stopped.message.unwrap().contains("stopped it"));
    assert!(!b.inbox().join(".accord-partial").exists());
    b.policy.0.store(false, SeqCst);
    let out = send(&a, Items::Paths(vec![file]));
    a.until(&out, State::Offered);
    a.run(a.files.cancel(&out)).unwrap();
    a.until(&out, State::Cancelled);
    b.until(&b.first(), State::Cancelled);
}

#[test]
fn a_device_cannot_flood_the_owner_with_offers() {
    let home = Home::new();
    let (a, b) = home.agreed();
    let file = home.file("f", 10);
    let out: Vec<_> = (0..6).map(|_| send(&a, Items::Paths(vec![file.clone()]))).collect();
    let states = || out.iter().map(|id| a.files.get(id).unwrap().state).collect::<Vec<_>>();
    let begun = std::time::Instant::now();
    while states().iter().filter(|state| **state == State::Refused).count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", states());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(b.files.list().len(), 4);
}

#[test]
fn a_yes_covers_what_was_offered_and_not_what_comes_under_its_name_later() {
    let home = Home::new();
    let (_, b) = home.agreed();
    let cat = offer(7, "cat.jpg", 10_000, true);
    let mut peer = b.run(Peer::offers(&home.link, cat.clone()));
    let incoming = b.until(&b.first(), State::Offered);
    b.files.accept(&incoming.id, false).unwrap();
    assert!(matches!(b.run(peer.hear()), Some(Back::Accepted { .. })));
    drop(peer);
    b.until(&incoming.id, State::Paused);
    // The same again needs no second yes; another name or much more does.
    let mut peer = b.run(Peer::offers(&home.link, cat));
    assert!(matches!(b.run(peer.hear()), Some(Back::Accepted { .. })));
    drop(peer);
    b.until(&incoming.id, State::Paused);
    for other in [offer(7, "virus.exe", 10_000, true), offer(7, "cat.jpg", 5 << 30, true)] {
        let peer = b.run(Peer::offers(&home.link, other.clone()));
        let asked = b.until_that(&incoming.id, |transfer| {
            transfer.state == State::Offered
                && transfer.items[0].name == other.preview[0].name
                && transfer.bytes_total == other.bytes
        });
        assert_eq!(asked.bytes_done, 0);
        drop(peer);
    }
    assert_eq!(b.files.list().len(), 1);
}

#[test]
fn what_was_not_offered_is_not_taken() {
    let home = Home::new();
    let (_, b) = home.agreed();
    let mut peer = b.run(Peer::offers(&home.link, offer(7, "cat.jpg", 10_000, true)));
    let incoming = b.until(&b.first(), State::Offered);
    b.files.accept(&incoming.id, false).unwrap();
    assert!(matches!(b.run(peer.hear()), Some(Back::Accepted { .. })));
    let folder = accord_files::wire::What::Folder { modified: Default::default() };
    let entry = accord_files::wire::Entry { key: [1; 16], path: "virus".into(), what: folder };
    b.run(peer.say(&Forward::Entry(entry)));
    assert_eq!(b.run(peer.hear()), Some(Back::Failed(FailReason::TooMuch)));
    assert!(b.until(&incoming.id, State::Failed).message.unwrap().contains("`virus`"));
}

#[test]
fn a_count_that_ends_while_the_owner_is_asked_is_what_the_owner_agrees_to() {
    let home = Home::new();
    let (_, b) = home.agreed();
    let mut peer = b.run(Peer::offers(&home.link, offer(7, "trip", 10_000, false)));
    let incoming = b.until(&b.first(), State::Offered);
    assert!(!incoming.exact);
    b.run(peer.say(&Forward::Totals { files: 1, bytes: 3 << 30 }));
    let counted = b.until_that(&incoming.id, |transfer| transfer.exact);
    assert_eq!((counted.state, counted.bytes_total), (State::Offered, 3 << 30));
}

#[test]
fn a_count_far_beyond_what_was_shown_asks_the_owner_again() {
    let home = Home::new();
    let (_, b) = home.agreed();
    let mut peer = b.run(Peer::offers(&home.link, offer(7, "trip", 10_000, false)));
    let incoming = b.until(&b.first(), State::Offered);
    b.files.accept(&incoming.id, false).unwrap();
    assert!(matches!(b.run(peer.hear()), Some(Back::Accepted { .. })));
    b.run(peer.say(&Forward::Totals { files: 1, bytes: 3 << 30 }));
    while b.run(peer.hear()).is_some() {}
    let again = b.until(&incoming.id, State::Offered);
    assert!(again.message.unwrap().contains("more than you agreed to"));
    let mut peer = b.run(Peer::offers(&home.link, offer(7, "trip", 3 << 30, true)));
    let shown = b.until_that(&incoming.id, |transfer| transfer.message.is_none());
    assert_eq!((shown.state, shown.bytes_total), (State::Offered, 3 << 30));
    b.files.refuse(&incoming.id).unwrap();
    assert!(matches!(b.run(peer.hear()), Some(Back::Refused(_))));
}

#[test]
fn what_the_owner_asked_for_is_taken_from_that_device_alone() {
    let home = Home::new();
    let (_a, b) = home.agreed();
    let asked = |device: &str| {
        let (transfer, id) = b.files.expect(&id(device));
        let transfer: [u8; 16] = data_encoding::HEXLOWER.decode(transfer.as_bytes()).unwrap().try_into().unwrap();
        (Offer { transfer, ..offer(0, "photo.jpg", 10, true) }, id)
    };
    let (wanted, id) = asked("a");
    let mut peer = b.run(Peer::offers(&home.link, wanted.clone()));
    assert!(matches!(b.run(peer.hear()), Some(Back::Accepted { .. })));
    b.run(peer.say(&Forward::Stop(StopReason::Failed)));
    b.until(&id, State::Failed);
    // What another device was asked for is a question, and what nobody was asked for.
    let (others, _) = asked("c");
    let _other = b.run(Peer::offers(&home.link, others));
    let _unasked = b.run(Peer::offers(&home.link, offer(9, "photo.jpg", 10, true)));
    let offers = || b.files.list().iter().filter(|transfer| transfer.state == State::Offered).count();
    let begun = Instant::now();
    while offers() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:#?}", b.files.list());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_offer_whose_sender_is_away_can_be_answered_and_keeps_no_other_out() {
    let home = Home::new();
    let (_, mut b) = home.agreed();
    for transfer in 1..=6 {
        drop(b.run(Peer::offers(&home.link, offer(transfer, "f", 10, true))));
        let alone = |hub: &Hub| hub.files.list().first().is_some_and(|transfer| transfer.message.is_some());
        let begun = std::time::Instant::now();
        while b.files.list().len() < usize::from(transfer) || !alone(&b) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{:#?}", b.files.list());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let waiting: Vec<_> = b.files.list().into_iter().filter(|transfer| transfer.state == State::Offered).collect();
    assert_eq!(waiting.len(), 4, "the oldest gave their places up: {waiting:#?}");
    assert!(waiting.iter().all(|offer| offer.deadline.is_some()));
    b.files.accept(&waiting[0].id, false).unwrap();
    b.until(&waiting[0].id, State::Paused);
    let mut peer = b.run(Peer::offers(&home.link, offer(6, "f", 10, true)));
    assert!(matches!(b.run(peer.hear()), Some(Back::Accepted { .. })));
    // Nobody answers the last one in time.
    let late = waiting[1].id.clone();
    let again = b.kill();
    let path = home.dir.path().join(format!("b/state/transfers/{late}.json"));
    let mut saved: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    saved["transfer"]["deadline"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&path, saved.to_string()).unwrap();
    b = again();
    b.until(&late, State::Refused);
    b.until(&waiting[2].id, State::Offered);
}

#[test]
fn what_is_left_of_transfers_that_cannot_go_on_is_removed_in_time() {
    let home = Home::new();
    let (a, b) = home.agreed();
    b.policy.0.store(true, SeqCst);
    home.link.break_after(3_000_000);
    let out = send(&a, Items::Paths(vec![home.file("big", 8_000_000)]));
    a.until(&out, State::Paused);
    let incoming = b.until(&b.first(), State::Paused);
    let again = b.kill();
    let partial = home.dir.path().join("b/inbox/.accord-partial");
    let old = std::time::SystemTime::now() - Duration::from_secs(48 * 3600);
    for (name, time) in
        [("forgotten", old), ("another-hubs", std::time::SystemTime::now()), (incoming.id.as_str(), old)]
    {
        std::fs::create_dir_all(partial.join(name)).unwrap();
        let journal = std::fs::OpenOptions::new().append(true).create(true).open(partial.join(name).join("journal"));
        journal.unwrap().set_modified(time).unwrap();
    }
    let _b = again();
    let begun = std::time::Instant::now();
    while partial.join("forgotten").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "left for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(partial.join("another-hubs").exists() && partial.join(incoming.id.as_str()).exists());
    home.link.mend();
    a.until(&out, State::Done);
}

#[test]
fn a_receiver_without_room_says_how_much_is_needed_and_goes_on_once_there_is() {
    let home = Home::new();
    let small = home.dir.path().join("b/inbox");
    std::fs::create_dir_all(&small).unwrap();
    if !memory_disk(&small, "size=30m") {
        eprintln!("skipped: no right to mount a small disk here");
        return;
    }
    let (a, b) = home.agreed();
    b.policy.0.store(true, SeqCst);
    let (first, second) = (home.file("first", 6 << 20), home.file("second", 20 << 20));
    let out = send(&a, Items::Paths(vec![first.clone(), second]));
    let failed = a.until(&out, State::Failed);
    let message = failed.message.unwrap();
    assert!(message.contains("26.0 MiB needed") && message.contains("free"), "{message}");
    assert!(b.until(&b.first(), State::Failed).message.unwrap().contains("the disk is full"));
    assert!(memory_disk(&small, "remount,size=90m"));
    a.run(a.files.retry(&out)).unwrap();
    a.until(&out, State::Done);
    assert_eq!(std::fs::read(small.join("first")).unwrap(), std::fs::read(first).unwrap());
    // A disk that fills up while a stream of unknown length comes.
    assert!(memory_disk(&small, "remount,size=34m"));
    let endless = Items::Stream { name: "endless".into(), reader: Box::new(tokio::io::repeat(1)) };
    let out = send(&a, endless);
    let failed = a.until(&out, State::Failed);
    assert!(failed.message.unwrap().contains("disk is full"));
    let endless = small.join(".accord-partial").join(b.first().as_str()).join("tree/endless");
    assert_eq!(std::fs::metadata(endless).map_or(0, |file| file.len()), 0, "the last 16 MiB stay free");
    drop((a, b));
    assert!(umount(&small));
}

#[allow(clippy::disallowed_methods, reason = "mounts a small disk for the test; nothing leaves")]
fn memory_disk(at: &std::path::Path, options: &str) -> bool {
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status().is_ok_and(|status| status.success())
}

#[allow(clippy::disallowed_methods, reason = "as above")]
fn umount(at: &std::path::Path) -> bool {
    std::process::Command::new("umount").arg("-l").arg(at).status().is_ok_and(|status| status.success())
}
