//! Two and three links on loopback: pairing, calls, streams, restarts, strangers.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use std::time::{Duration, Instant};

use accord_consent::{Choice, RecipientId};
use accord_link::carrier::Carrier;
use accord_link::{LinkError, PairingDirection, PairingStep};
use accord_model::{CallError, Data, FieldCode, FieldSet, Reach};
use common::{Home, agree, connected, paired, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn two() -> (tempfile::TempDir, tempfile::TempDir, Home, Home) {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (Home::start(one.path(), "Anna's laptop", None), Home::start(two.path(), "Ben's phone", None));
    (one, two, a, b)
}

#[test]
fn two_devices_pair_by_code_and_then_call_each_other() {
    let (_x, _y, a, b) = two();
    let (b_at_a, a_at_b) = paired(&a, &b);
    let answer = a.echo(&b_at_a, "hello").unwrap();
    assert_eq!(answer.get("text"), Some(&Data::Text("hello".into())));
    b.echo(&a_at_b, "back").unwrap();
    assert_eq!(a.device(&b_at_a).name, "Ben's phone");
    assert_eq!(b.registry.device(&a_at_b).unwrap().device.name, "Anna's laptop");
    let path = a.device(&b_at_a).path.unwrap();
    assert!(!path.relayed && path.address.parse::<std::net::SocketAddr>().is_ok(), "{path:?}");
}

#[test]
fn a_wrong_code_pairs_nobody() {
    let (_x, _y, a, b) = two();
    let address = b.open_for_pairing();
    a.open_for_pairing();
    let out = a.run(a.link.pair_address(address)).unwrap();
    let code = a.code(&out);
    let inward = b.incoming();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    b.run(b.link.confirm_pairing(&inward.id, Some(wrong.into()))).unwrap();
    assert!(b.failed(&inward.id).contains("does not match"));
    assert!(a.failed(&out).contains("does not match"));
    assert!(a.peers.list().is_empty() && b.peers.list().is_empty());
    assert_eq!(a.run(a.link.confirm_pairing(&out, None)), Err(LinkError::NoPairing));
}

#[test]
fn a_refusal_ends_it_on_both_screens() {
    let (_x, _y, a, b) = two();
    let address = b.open_for_pairing();
    a.open_for_pairing();
    let out = a.run(a.link.pair_address(address)).unwrap();
    a.code(&out);
    let inward = b.incoming();
    assert_eq!((inward.direction, inward.name.as_deref()), (PairingDirection::In, Some("Anna's laptop")));
    b.run(b.link.reject_pairing(&inward.id)).unwrap();
    assert!(a.failed(&out).contains("refused on the other device"));
    assert!(b.peers.list().is_empty());
}

#[test]
fn a_ticket_pairs_when_the_shower_agrees_and_works_once() {
    let (_x, _y, a, b) = two();
    b.open_for_pairing();
    a.open_for_pairing();
    let shown = b.run(b.link.show_ticket()).unwrap();
    let out = a.run(a.link.pair_ticket(&shown.ticket)).unwrap();
    let asked = b.incoming();
    assert_eq!(
        (asked.id.clone(), asked.step, asked.name.as_deref()),
        (shown.pairing, PairingStep::Compare(None), Some("Anna's laptop"))
    );
    b.run(b.link.confirm_pairing(&asked.id, None)).unwrap();
    let (b_at_a, a_at_b) = (a.done(&out), b.done(&asked.id));
    agree(&a, &b_at_a);
    agree(&b, &a_at_b);
    connected(&a, &b_at_a);
    a.echo(&b_at_a, "hello").unwrap();
    let again = a.run(a.link.pair_ticket(&shown.ticket)).unwrap();
    a.failed(&again);
}

#[test]
fn two_owners_who_start_at_once_end_up_in_one_pairing() {
    let (_x, _y, a, b) = two();
    let (to_a, to_b) = (a.open_for_pairing(), b.open_for_pairing());
    let (from_a, from_b) = std::thread::scope(|threads| {
        let from_a = threads.spawn(|| a.run(a.link.pair_address(to_b)));
        let from_b = threads.spawn(|| b.run(b.link.pair_address(to_a)));
        (from_a.join().unwrap(), from_b.join().unwrap())
    });
    assert!(from_a.is_ok() || from_b.is_ok(), "{from_a:?} {from_b:?}");
    let (at_a, at_b) = (a.incoming(), b.incoming());
    assert_eq!(at_a.step, at_b.step, "the same code on both screens");
    a.run(a.link.confirm_pairing(&at_a.id, None)).unwrap();
    b.run(b.link.confirm_pairing(&at_b.id, None)).unwrap();
    let (b_at_a, a_at_b) = (a.done(&at_a.id), b.done(&at_b.id));
    assert_eq!((a.peers.list().len(), b.peers.list().len()), (1, 1));
    a.grant("link/connection", &RecipientId::device(&b_at_a));
    b.grant("link/connection", &RecipientId::device(&a_at_b));
    connected(&a, &b_at_a);
}

#[test]
fn nothing_is_open_before_the_owner_agrees() {
    let (_x, _y, a, b) = two();
    let address = b.open_for_pairing();
    assert!(matches!(a.run(a.link.pair_address(address)), Err(LinkError::NotConsented { .. })));
    assert!(matches!(a.run(a.link.show_ticket()), Err(LinkError::NotConsented { .. })));
    let status = a.link.status();
    assert!(!status.discovery && !status.pairing && !status.connection && status.addresses.is_empty());
}

#[test]
fn a_bulk_stream_goes_by_tls_and_both_ways() {
    let (_x, _y, a, b) = two();
    let (b_at_a, a_at_b) = paired(&a, &b);
    assert_eq!(a.push(&b_at_a, 64 << 20).1, "tls");
    assert_eq!(b.push(&a_at_b, 8 << 20).1, "tls");
    let mut stream = a.stream(&b_at_a, "source", 64 << 20).unwrap();
    let got = a.run(async {
        let mut all = Vec::new();
        stream.reader.read_to_end(&mut all).await.map(|_| all.len())
    });
    assert_eq!(got.unwrap(), 64 << 20);
    assert_eq!(a.device(&b_at_a).path.unwrap().carrier, "tls");
}

#[test]
fn a_bulk_stream_goes_by_quic_too() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = Home::start(one.path(), "a", Some(Carrier::Quic));
    let b = Home::start(other.path(), "b", None);
    let (b_at_a, a_at_b) = paired(&a, &b);
    assert_eq!(a.push(&b_at_a, 64 << 20).1, "quic");
    assert_eq!(b.push(&a_at_b, 8 << 20).1, "quic", "the other side cannot be brought to use TLS");
}

#[test]
fn withdrawing_cuts_a_running_stream_and_consenting_again_brings_the_device_back() {
    let (_x, _y, a, b) = two();
    let (b_at_a, a_at_b) = paired(&a, &b);
    let mut stream = a.stream(&b_at_a, "hold", 0).unwrap();
    let to = RecipientId::device(&a_at_b);
    b.decide("link/connection", &to, Choice::Never, None);
    let start = Instant::now();
    let cut = a.run(async { tokio::time::timeout(Duration::from_secs(10), stream.reader.read_u8()).await });
    assert!(cut.expect("it is cut").is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
    until(10, "offline", || b.device(&a_at_b).path.is_none().then_some(()));
    assert!(matches!(b.echo(&a_at_b, "x"), Err(CallError::NotConsented(_))));
    b.grant("link/connection", &to);
    connected(&b, &a_at_b);
    b.echo(&a_at_b, "x").unwrap();
}

#[test]
fn a_peer_killed_in_mid_stream_is_noticed_and_comes_back_after_its_restart() {
    let (_one, two, a, b) = two();
    let (b_at_a, _) = paired(&a, &b);
    let mut stream = a.stream(&b_at_a, "sink", u64::MAX >> 1).unwrap();
    a.run(async { stream.writer.write_all(&vec![1; 4 << 20]).await.unwrap() });
    b.kill();
    let ended = a.run(async {
        let chunk = vec![1; 1 << 20];
        let writing = async { while stream.writer.write_all(&chunk).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(30), writing).await
    });
    assert!(ended.is_ok(), "the sender is told");
    let b = Home::start(two.path(), "Ben's phone", None);
    let start = Instant::now();
    until(30, "an answer after the restart", || a.echo(&b_at_a, "again").ok());
    println!("back after {:?}", start.elapsed());
    assert_eq!(b.peers.list().len(), 1);
    a.push(&b_at_a, 8 << 20);
}

#[test]
fn three_devices_know_only_whom_they_paired_with() {
    let (_x, _y, a, b) = two();
    let third = tempfile::tempdir().unwrap();
    let c = Home::start(third.path(), "c", None);
    let (b_at_a, _) = paired(&a, &b);
    let (c_at_a, _) = paired(&a, &c);
    a.echo(&b_at_a, "x").unwrap();
    a.echo(&c_at_a, "x").unwrap();
    assert_eq!((a.peers.list().len(), b.peers.list().len(), c.peers.list().len()), (2, 1, 1));
    let devices = b.link.devices();
    assert_eq!(devices.iter().filter(|device| device.paired).count(), 1);
}

#[test]
fn a_forgotten_device_forgets_too_and_cannot_connect() {
    let (_x, _y, a, b) = two();
    let (b_at_a, a_at_b) = paired(&a, &b);
    a.run(a.link.forget(&b_at_a));
    until(10, "both to forget", || b.peers.list().is_empty().then_some(()));
    until(5, "the registry to drop it", || a.registry.device(&b_at_a).is_none().then_some(()));
    until(5, "the registry to drop it", || b.registry.device(&a_at_b).is_none().then_some(()));
}

#[test]
fn devices_that_announce_find_each_other_and_names_stay_at_home_unless_agreed() {
    let (_x, _y, a, b) = two();
    let lan = RecipientId::lan();
    let few: FieldSet = [FieldCode::DeviceIdResettable, FieldCode::NetIp].into_iter().collect();
    b.grant("link/pairing", &lan);
    b.decide("link/discovery", &lan, Choice::Always, Some(few));
    a.grant("link/discovery", &lan);
    a.open_for_pairing();
    // Other hubs may announce on this machine: only these two count.
    let seen_by = |here: &Home, other: &Home| {
        let slot = accord_identity::announce::slot(accord_model::Timestamp::now());
        let ids = [slot, slot.saturating_sub(1)].map(|slot| format!("near-{}", other.identity.announcement_id(slot)));
        here.link.devices().into_iter().find(|device| ids.iter().any(|id| device.id.as_str() == id))
    };
    let seen = until(15, "b at a", || seen_by(&a, &b));
    assert!(seen.name.is_empty() && seen.reach == Reach::Local, "{seen:?}");
    let named = until(15, "a at b", || seen_by(&b, &a).filter(|device| !device.name.is_empty()));
    assert_eq!(named.name, "Anna's laptop");
    let id = until(15, "b open for pairing", || a.run(a.link.pair_device(&seen.id)).ok());
    let code = a.code(&id);
    assert_eq!(b.incoming().step, PairingStep::Compare(Some(code)));
    a.gate
        .as_ref()
        .unwrap()
        .withdraw((accord_model::EntryKey::new("link/discovery").unwrap(), accord_consent::To::One(lan)))
        .unwrap();
    until(5, "discovery off", || (!a.link.status().discovery).then_some(()));
}

#[test]
fn what_a_connection_sent_is_written_when_the_consent_ends_tcp_and_handshakes_included() {
    let (_x, _y, a, b) = two();
    let (b_at_a, _) = paired(&a, &b);
    let quic = a.device(&b_at_a).path.unwrap().address;
    assert_eq!(a.push(&b_at_a, 8 << 20).1, "tls");
    a.decide("link/connection", &RecipientId::device(&b_at_a), Choice::Never, None);
    let told = until(10, "the last record", || Some(a.told("link/connection")).filter(|told| told.contains_key(&quic)));
    assert!(told[&quic] > 2000, "handshake and talk: {told:?}");
    let content = 8 << 20;
    let tcp: u64 = told.iter().filter(|(address, _)| **address != quic).map(|(_, bytes)| bytes).sum();
    assert!((content..content + content / 50).contains(&tcp), "{told:?}");
}

#[test]
fn an_attempt_to_reach_a_device_that_is_away_is_written_too() {
    let (_x, _y, a, b) = two();
    let (b_at_a, _) = paired(&a, &b);
    let there = a.device(&b_at_a).path.unwrap().address;
    a.push(&b_at_a, 1 << 20);
    b.kill();
    until(40, "its loss", || a.device(&b_at_a).path.is_none().then_some(()));
    let _silent = std::net::UdpSocket::bind(&there).unwrap();
    let before = a.told("link/connection").get(&there).copied().unwrap_or(0);
    assert!(a.echo(&b_at_a, "x").is_err());
    std::thread::sleep(Duration::from_secs(3));
    a.decide("link/connection", &RecipientId::device(&b_at_a), Choice::Never, None);
    until(10, "the last record", || {
        (a.told("link/connection").get(&there).copied().unwrap_or(0) >= before + 1200).then_some(())
    });
}

#[test]
fn a_ticket_works_between_clocks_that_differ_and_only_for_what_it_is() {
    let (_x, _y, a, b) = two();
    b.open_for_pairing();
    a.open_for_pairing();
    let shown = b.run(b.link.show_ticket()).unwrap();
    let (head, expires) = shown.ticket.rsplit_once("&x=").unwrap();
    let expires: i64 = expires.parse().unwrap();
    let other = shown.ticket.replace("p=peer", "p=join");
    assert!(matches!(a.run(a.link.pair_ticket(&other)), Err(LinkError::BadTicket(_))));
    let (old, late) = (format!("{head}&x={}", expires - 3600), format!("{head}&x={}", expires - 300));
    assert!(matches!(a.run(a.link.pair_ticket(&old)), Err(LinkError::BadTicket(_))));
    // As if the clock here were three minutes ahead: the device that shows the ticket decides.
    let out = a.run(a.link.pair_ticket(&late)).unwrap();
    b.run(b.link.confirm_pairing(&b.incoming().id, None)).unwrap();
    a.done(&out);
}

#[test]
fn after_a_reset_connected_devices_come_back_and_others_must_pair_again() {
    let (one, _y, a, b) = two();
    let third = tempfile::tempdir().unwrap();
    let c = Home::start(third.path(), "c", None);
    let (b_at_a, a_at_b) = paired(&a, &b);
    let (c_at_a, _) = paired(&a, &c);
    let port = |home: &Home, peer| {
        home.device(peer).path.and_then(|path| path.address.parse::<std::net::SocketAddr>().ok()).map(|to| to.port())
    };
    let before = (a.identity.transport_public(), port(&b, &a_at_b));
    c.kill();
    let done = a.run(a.link.reset_ids()).unwrap();
    assert_eq!((done.told, done.away), (vec![b_at_a.clone()], vec![c_at_a]));
    let kept = b.peers.get(&a_at_b).unwrap();
    assert_ne!(kept.transport_key, before.0, "b keeps the new key under the same name");
    until(30, "an answer over the new key", || a.echo(&b_at_a, "new").ok());
    until(30, "an answer from the other side", || b.echo(&a_at_b, "new").ok());
    assert_ne!(accord_identity::Identity::load_or_create(one.path()).unwrap().transport_public(), before.0);

    // The keys are those of the next start, too, and c knows nobody by the old one.
    a.kill();
    let a = Home::start(one.path(), "Anna's laptop", None);
    assert_eq!(a.identity.transport_public(), kept.transport_key);
    until(30, "an answer after a restart", || a.echo(&b_at_a, "again").ok());
    let c = Home::start(third.path(), "c", None);
    let lost = c.peers.list()[0].device_id.clone();
    assert!(matches!(c.echo(&lost, "old"), Err(CallError::Unreachable(_))));
}
