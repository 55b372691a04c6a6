//! The bridge between hubs with gates, ledgers and the files feature, over real sockets on loopback.
#![allow(clippy::unwrap_used, reason = "a test may fail here")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the wire, played by the test")]

mod hubs;

use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use accord_consent::{Choice, RecipientId, To};
use accord_files::{Items, State};
use accord_model::Reach;
use accord_registry::PairStep;
use hubs::{Hub, Wire, file, free_port, two, wait};

#[test]
fn two_find_each_other_and_files_folders_and_texts_go_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    b.accept_all();
    let (of_a, of_b) = (b.find("a"), a.find("b"));
    let beach = file(dir.path(), "Holiday/beach.jpg", 3_000_000);
    file(dir.path(), "Holiday/day 1/empty.txt", 0);
    file(dir.path(), "Holiday/day 1/Grüße & Küsse.txt", 70_000);
    let out = a.send(&of_b, Items::Paths(vec![dir.path().join("Holiday")]));
    let sent = a.until(&out, State::Done);
    assert_eq!(
        (sent.files_done, sent.bytes_done, sent.carrier.as_deref()),
        (3, 3_070_000, Some("localsend")),
        "{sent:?}"
    );
    let came = b.until(&b.incoming(0).id, State::Done);
    assert_eq!((came.files_done, came.items[0].name.as_str(), came.items[0].folder), (3, "Holiday", true));
    for path in ["Holiday/beach.jpg", "Holiday/day 1/empty.txt", "Holiday/day 1/Grüße & Küsse.txt"] {
        assert_eq!(
            std::fs::read(b.inbox().join(path)).unwrap(),
            std::fs::read(dir.path().join(path)).unwrap(),
            "{path}"
        );
    }
    let modified = |path: &std::path::Path| std::fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(modified(&b.inbox().join("Holiday/beach.jpg")), modified(&beach));

    for (items, kind) in [
        (Items::Text("see you at 8\nGrüße".into()), accord_files::Kind::Text),
        (Items::Url("https://example.org/a?b".into()), accord_files::Kind::Url),
    ] {
        let before = b.files.list().len();
        let out = a.send(&of_b, items);
        let sent = a.until(&out, State::Done);
        let came = b.until(&b.incoming(before).id, State::Done);
        assert_eq!((came.kind, came.text), (kind, sent.text));
    }

    let back = b.send(&of_a, Items::Paths(vec![file(dir.path(), "back.bin", 1_234_567)]));
    let offered = a.until(&a.incoming(0).id, State::Offered);
    assert_eq!((offered.items[0].name.as_str(), offered.bytes_total), ("back.bin", 1_234_567));
    a.run(async { a.files.accept(&offered.id, false) }).unwrap();
    b.until(&back, State::Done);
    a.until(&offered.id, State::Done);
    assert_eq!(std::fs::read(a.inbox().join("back.bin")).unwrap(), std::fs::read(dir.path().join("back.bin")).unwrap());
}

#[test]
fn trust_is_proved_kept_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let of_b = a.find("b");
    assert_eq!(a.is_paired(&of_b), Some(false));
    a.pair(&of_b, PairStep::Request);
    let (event, code) = a.pairing_event();
    assert_eq!((event.as_str(), code.map(|code| code.len())), ("requested", Some(39)));
    assert_eq!(a.pairing_event().0, "paired");
    assert_eq!(a.is_paired(&of_b), Some(true));
    a.stop();

    let a = Hub::start("a", dir.path(), |_| {});
    let remembered = wait(|| a.registry.device(&of_b), "a remembers b");
    assert_eq!((remembered.device.reach, a.is_paired(&of_b)), (Reach::Offline, Some(true)));
    a.pair(&of_b, PairStep::Unpair);
    wait(|| (a.is_paired(&of_b) == Some(false)).then_some(()), "a forgets b");
    drop(b);
}

#[test]
fn a_device_that_does_not_answer_any_more_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let of_b = a.find("b");
    b.stop();
    a.pair(&of_b, PairStep::Request);
    assert_eq!(a.pairing_event().0, "requested");
    let (event, why) = a.pairing_event();
    assert_eq!(event, "failed", "{why:?}");
    assert_eq!(a.is_paired(&of_b), Some(false));
}

#[test]
fn a_no_and_a_cancel_of_either_side_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let of_b = a.find("b");
    let big = file(dir.path(), "big.bin", 30_000_000);

    let out = a.send(&of_b, Items::Paths(vec![big.clone()]));
    let offered = b.until(&b.incoming(0).id, State::Offered);
    b.files.refuse(&offered.id).unwrap();
    let refused = a.until(&out, State::Refused);
    assert!(refused.message.unwrap().contains("said no"));

    let out = a.send(&of_b, Items::Paths(vec![big.clone()]));
    let offered = b.until(&b.incoming(1).id, State::Offered);
    a.run(a.files.cancel(&out)).unwrap();
    a.until(&out, State::Cancelled);
    b.until(&offered.id, State::Cancelled);
    assert!(!b.inbox().join("big.bin").exists());
}

/// Two hubs of which `a` reaches `b` by a wire of the test.
fn wired(dir: &std::path::Path) -> (Hub, Hub, Wire) {
    let b = Hub::start("b", dir, |_| {});
    b.agree();
    b.accept_all();
    wait(|| TcpStream::connect(("127.0.0.1", b.port)).ok(), "b listens");
    let wire = Wire::to(b.port);
    let a = Hub::start("a", dir, |options| options.addresses = vec![wire.address]);
    a.agree();
    a.find("b");
    (a, b, wire)
}

#[test]
fn a_running_transfer_is_stopped_by_either_side() {
    for receiver_stops in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, wire) = wired(dir.path());
        let big = file(dir.path(), "big.bin", 30_000_000);
        let out = a.send(&a.find("b"), Items::Paths(vec![big]));
        let came = b.until_that(&b.incoming(0).id, "running", |transfer| transfer.bytes_done > 0);
        wire.held.store(true, SeqCst);
        let (stopper, id) = if receiver_stops { (&b, &came.id) } else { (&a, &out) };
        stopper.run(stopper.files.cancel(id)).unwrap();
        wire.held.store(false, SeqCst);
        a.until(&out, State::Cancelled);
        b.until(&came.id, State::Cancelled);
        assert!(!b.inbox().join("big.bin").exists());
    }
}

#[test]
fn a_withdrawal_stops_a_running_upload_at_once() {
    for entry in ["localsend/transfer", "files/send"] {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, wire) = wired(dir.path());
        let out = a.send(&a.find("b"), Items::Paths(vec![file(dir.path(), "big.bin", 60_000_000)]));
        b.until_that(&b.incoming(0).id, "running", |transfer| transfer.bytes_done > 0);
        wire.held.store(true, SeqCst);
        let begun = Instant::now();
        a.withdraw(entry, To::Any);
        let failed = a.until_that(&out, "over", |transfer| transfer.state.is_over());
        assert!(begun.elapsed() < Duration::from_secs(2), "{entry}: {:?}", begun.elapsed());
        assert_eq!(failed.state, State::Failed, "{entry}: {:?}", failed.message);
        let before = wire.there.load(SeqCst);
        wire.held.store(false, SeqCst);
        std::thread::sleep(Duration::from_millis(500));
        // What the system had taken already may still come; no more than its buffers hold.
        assert!(wire.there.load(SeqCst) - before < 16_000_000, "{entry}");
        assert!(!b.inbox().join("big.bin").exists(), "{entry}");
    }
}

#[test]
fn a_receiver_that_withdraws_hears_and_says_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b, wire) = wired(dir.path());
    let out = a.send(&a.find("b"), Items::Paths(vec![file(dir.path(), "big.bin", 30_000_000)]));
    b.until_that(&b.incoming(0).id, "running", |transfer| transfer.bytes_done > 0);
    b.withdraw("localsend/presence", To::One(RecipientId::lan()));
    let failed = a.until_that(&out, "over", |transfer| transfer.state.is_over());
    assert_eq!(failed.state, State::Failed, "{:?}", failed.message);
    assert!(TcpStream::connect(("127.0.0.1", b.port)).is_err(), "b listens no more");
    assert!(b.sees("a").is_none());
    drop(wire);
}

#[test]
fn without_consent_no_socket_is_opened_and_the_owner_is_asked_before_a_device_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let b = Hub::start("b", dir.path(), |_| {});
    std::thread::sleep(Duration::from_millis(300));
    assert!(TcpStream::connect(("127.0.0.1", b.port)).is_err(), "nothing listens");
    assert!(b.registry.devices().is_empty() && b.recorded(None) == 0);

    b.decide("localsend/presence", To::One(RecipientId::lan()), Choice::Always);
    b.decide("files/receive", To::Any, Choice::Always);
    b.accept_all();
    wait(|| TcpStream::connect(("127.0.0.1", b.port)).ok(), "b listens");
    let at = ([127, 0, 0, 1], b.port).into();
    let a = Hub::start("a", dir.path(), |options| options.addresses = vec![at]);
    a.agree();
    let out = a.send(&a.find("b"), Items::Paths(vec![file(dir.path(), "x", 1000)]));
    let came = b.incoming(0);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(a.files.get(&out).unwrap().state, State::Offered, "no answer without consent");
    b.decide("localsend/transfer", To::One(RecipientId::device(&came.device)), Choice::Always);
    a.until(&out, State::Done);
    b.until(&came.id, State::Done);
}

#[test]
fn the_ledger_has_exactly_what_went_into_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b, wire) = wired(dir.path());
    let out = a.send(&a.find("b"), Items::Paths(vec![file(dir.path(), "x.bin", 5_000_000), file(dir.path(), "y", 3)]));
    a.until(&out, State::Done);
    let out = a.send(&a.find("b"), Items::Text("hello".into()));
    a.until(&out, State::Done);
    for hub in [&a, &b] {
        hub.withdraw("localsend/presence", To::One(RecipientId::lan()));
    }
    let there = || (a.recorded(None), wire.there.load(SeqCst));
    let back = || (b.recorded(None), wire.back.load(SeqCst));
    wait(|| (there().0 == there().1 && back().0 == back().1).then_some(()), &format!("{:?} {:?}", there(), back()));
    assert!(there().0 > 5_000_000);
}

#[test]
fn a_port_that_another_has_is_told_and_another_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let b = Hub::start("b", dir.path(), |_| {});
    b.agree();
    wait(|| TcpStream::connect(("127.0.0.1", b.port)).ok(), "b listens");
    let at = ([127, 0, 0, 1], b.port).into();
    let a = Hub::start("a", dir.path(), |options| (options.port, options.addresses) = (port, vec![at]));
    a.agree();
    a.accept_all();
    let out = b.send(&b.find("a"), Items::Paths(vec![file(dir.path(), "x", 100)]));
    b.until(&out, State::Done);
    assert_ne!(free_port(), port);
}

#[test]
fn agreeing_once_is_enough_for_one_transfer_between_two_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let b = Hub::start("b", dir.path(), |_| {});
    let at = ([127, 0, 0, 1], b.port).into();
    let a = Hub::start("a", dir.path(), |options| options.addresses = vec![at]);
    for hub in [&b, &a] {
        hub.decide("localsend/presence", To::One(RecipientId::lan()), Choice::Always);
        hub.decide("files/send", To::Any, Choice::Always);
        hub.decide("files/receive", To::Any, Choice::Always);
        hub.accept_all();
        wait(
            || (hub.name == "a").then_some(()).or_else(|| TcpStream::connect(("127.0.0.1", b.port)).ok().map(drop)),
            "up",
        );
    }
    let (of_a, of_b) = (b.find("a"), a.find("b"));
    a.decide("localsend/transfer", To::One(RecipientId::device(&of_b)), Choice::Once);
    b.decide("localsend/transfer", To::One(RecipientId::device(&of_a)), Choice::Once);
    let files = (0..20).map(|n| file(dir.path(), &format!("f{n}"), 10_000 * n)).collect();
    let out = a.send(&of_b, Items::Paths(files));
    assert_eq!(a.until(&out, State::Done).files_done, 20);
}

#[test]
fn a_pin_is_set_at_the_device_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let b = Hub::start("b", dir.path(), |options| options.pin = Some("4711".into()));
    b.agree();
    b.accept_all();
    wait(|| TcpStream::connect(("127.0.0.1", b.port)).ok(), "b listens");
    let at = ([127, 0, 0, 1], b.port).into();
    let a = Hub::start("a", dir.path(), |options| options.addresses = vec![at]);
    a.agree();
    let of_b = a.find("b");
    let out = a.send(&of_b, Items::Text("hello".into()));
    assert!(a.until(&out, State::Failed).message.unwrap().contains("asks for a PIN"));
    for (pin, state) in [("1", State::Failed), ("4711", State::Done), ("4711", State::Done)] {
        a.set_pin(&of_b, pin);
        let out = a.send(&of_b, Items::Text("hello".into()));
        a.until(&out, state);
    }
}
