//! Each check of the gate. `tests/law/mutate-gate` removes them one by one and expects this to fail.

mod common;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use accord_consent::{
    Choice, Decision, Destination, Envelope, GateError, GateEvent, Personal, RecipientId, RecordKind, Refusal,
    SendError, To, example, outlet,
};
use accord_model::{EntryKey, FieldCode, FieldSet};
use accord_store::rusqlite::Connection;
use common::*;
use outlet::OutletError;

const WITHIN: Duration = Duration::from_secs(5);

fn refusal(home: &Home, fields: FieldSet) -> Refusal {
    home.bound.permit(&hello(), &phone(), fields, "on.test").err().expect("a refusal")
}

/// While a withdrawal is on its way.
fn until_refused(home: &Home) {
    let end = Instant::now() + WITHIN;
    while home.bound.check(&hello(), &phone(), name_field()).is_ok() {
        assert!(Instant::now() < end, "what was withdrawn is still agreed to");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn no_decision_is_a_no_and_asks_once() {
    let home = Home::new();
    let mut events = home.gate.events();
    for _ in 0..3 {
        let Refusal::Undecided { notice, .. } = refusal(&home, name_field()) else { panic!() };
        assert_eq!(notice.title, "Saying hello");
    }
    let asked = std::iter::from_fn(|| events.try_recv().ok()).filter(|event| matches!(event, GateEvent::Asked { .. }));
    assert_eq!(asked.count(), 1);
    let refused = home.wait_for(RecordKind::Refused, 1);
    assert_eq!(refused.len(), 1, "refusals alike are rolled into one");
}

#[test]
fn a_gate_sees_only_its_own_entries() {
    let home = Home::new();
    home.agree();
    let stranger = home.gate.bind("search");
    let outcome = stranger.permit(&hello(), &phone(), name_field(), "");
    assert!(matches!(outcome, Err(Refusal::NotYours { .. })));
}

#[test]
fn what_the_statement_does_not_declare_is_refused() {
    let home = Home::new();
    let unknown = EntryKey::new("example/other").unwrap();
    assert!(matches!(home.bound.check(&unknown, &phone(), FieldSet::EMPTY), Err(Refusal::NoEntry(_))));
    let undeclared = FieldSet::one(FieldCode::Location);
    assert!(matches!(refusal(&home, undeclared), Refusal::FieldsNotGranted { .. }), "not even asked for");
}

#[test]
fn an_open_ended_entry_is_no_basis_for_a_permit() {
    let home = Home::new();
    let text = example::STATEMENT.replace("retention = \"P30D\"", "retention = \"P30D\"\nunbounded = true");
    home.gate.adopt(example::statement("2", &text)).unwrap();
    let host = RecipientId::host("cloud.example:443").unwrap();
    assert!(matches!(home.bound.check(&cloud(), &host, FieldSet::EMPTY), Err(Refusal::NoEntry(_))));
}

#[test]
fn an_entry_goes_only_to_recipients_that_it_declares() {
    let home = Home::new();
    let check = |entry: &EntryKey, to: &str| home.bound.check(entry, &to.parse().unwrap(), FieldSet::EMPTY);
    let refused = |outcome| matches!(outcome, Err(Refusal::HostNotDeclared { .. }));
    assert!(refused(check(&hello(), "network:lan")));
    assert!(refused(check(&cloud(), "host:evil.example:443")));
    assert!(refused(check(&hello(), "host:cloud.example:443")));
    assert!(!refused(check(&cloud(), "host:a.cdn.example:443")));
    assert!(!refused(check(&beacon(), "network:lan")));
    assert!(refused(check(&cloud(), "device:phone")), "named hosts are no devices");
    assert!(refused(check(&beacon(), "device:phone")), "everyone near is no one device");
    assert!(refused(check(&hello(), "visitor:10.0.0.7")), "a visitor is no device of the owner's");
    assert!(refused(check(&page(), "device:phone")), "nor the reverse");
    assert!(refused(check(&page(), "network:lan")) && refused(check(&beacon(), "visitor:10.0.0.7")));
    assert!(!refused(check(&page(), "visitor:10.0.0.7")));
    let grant = |entry, to| home.grant(&entry, To::One(to), Choice::Always);
    assert!(matches!(grant(cloud(), phone()), Err(GateError::NotARecipient { .. })));
    let silent = example::STATEMENT.replacen("transport = \"lan\"", "transport = \"none\"", 1);
    home.gate.adopt(example::statement("2", &silent)).unwrap();
    assert!(refused(home.bound.check(&hello(), &phone(), FieldSet::EMPTY)), "it goes nowhere");
}

#[test]
fn a_head_that_does_not_prove_that_it_continues_is_not_taken() {
    let (home, other, peer) = (Home::new(), Home::new(), accord_model::DeviceId::new("phone").unwrap());
    let keep = |note: &str| home.gate.ledger().witness(&peer, &example::key(7).public(), note, &[]);
    other.agree();
    keep(other.gate.ledger().checkpoint().unwrap().unwrap().note()).unwrap();
    other.agree();
    let longer = other.gate.ledger().checkpoint().unwrap().unwrap();
    assert!(matches!(keep(longer.note()), Err(accord_consent::LedgerError::Rewritten { .. })));
}

#[test]
fn a_refusal_stays_and_is_not_asked_again() {
    let home = Home::new();
    home.grant(&hello(), To::One(phone()), Choice::Never).unwrap();
    let home = home.reopen();
    let mut events = home.gate.events();
    assert!(matches!(refusal(&home, name_field()), Refusal::Refused(_)));
    let wider = example::STATEMENT.replacen("\"device.type\", ", "\"device.type\", \"presence\", ", 1);
    home.gate.adopt(example::statement("2", &wider)).unwrap();
    assert!(matches!(refusal(&home, name_field()), Refusal::Refused(_)));
    assert!(!std::iter::from_fn(|| events.try_recv().ok()).any(|event| matches!(event, GateEvent::Asked { .. })));
}

#[test]
fn a_withdrawn_consent_stays_withdrawn_after_a_restart() {
    let home = Home::new();
    let consent = home.agree();
    home.gate.withdraw(consent.id).unwrap();
    let home = home.reopen();
    assert!(matches!(refusal(&home, name_field()), Refusal::Withdrawn(_)));
    home.agree();
    assert!(home.bound.check(&hello(), &phone(), name_field()).is_ok());
}

#[test]
fn a_specific_decision_goes_before_one_on_any() {
    let home = Home::new();
    home.grant(&hello(), To::Any, Choice::Always).unwrap();
    home.grant(&hello(), To::One(phone()), Choice::Never).unwrap();
    assert!(matches!(refusal(&home, name_field()), Refusal::Refused(_)));
    assert!(home.bound.check(&hello(), &tablet(), name_field()).is_ok());
    home.grant(&hello(), To::Any, Choice::Never).unwrap();
    home.agree();
    assert!(home.bound.check(&hello(), &phone(), name_field()).is_ok());
    assert!(home.bound.check(&hello(), &tablet(), name_field()).is_err());
}

#[test]
fn a_widened_entry_lapses_with_the_difference_shown_and_others_do_not() {
    let home = Home::new();
    home.agree();
    home.grant(&beacon(), To::Any, Choice::Always).unwrap();
    let wider = example::STATEMENT.replacen("\"file.name\"", "\"file.name\", \"location\"", 1);
    let lapsed = home.gate.adopt(example::statement("2", &wider)).unwrap();
    assert_eq!(lapsed.iter().map(|consent| &consent.entry).collect::<Vec<_>>(), [&hello()]);
    let home = home.reopen();
    let Refusal::Lapsed { difference, .. } = refusal(&home, name_field()) else {
        panic!("{:?}", refusal(&home, name_field()))
    };
    assert!(difference.contains("location"), "{difference}");
    assert!(home.bound.check(&beacon(), &RecipientId::lan(), FieldSet::EMPTY).is_ok());
}

#[test]
fn a_narrowed_entry_carries_over_and_is_cut() {
    let home = Home::new();
    home.agree();
    let narrower = example::STATEMENT.replacen(", \"file.name\"", "", 1);
    assert!(home.gate.adopt(example::statement("2", &narrower)).unwrap().is_empty());
    assert!(home.bound.check(&hello(), &phone(), name_field()).is_ok());
    assert!(!home.gate.consents()[0].fields.contains(FieldCode::FileName));
    let lapsed = home.gate.adopt(example::statement("3", example::STATEMENT)).unwrap();
    assert_eq!(lapsed.len(), 1, "what was cut away does not come back by itself");
}

#[test]
fn a_reworded_entry_carries_over_and_is_marked() {
    let home = Home::new();
    home.agree();
    let reworded = example::STATEMENT.replacen("Saying hello", "Greeting", 1);
    assert!(home.gate.adopt(example::statement("2", &reworded)).unwrap().is_empty());
    assert!(home.gate.consents()[0].reworded);
    assert!(home.bound.check(&hello(), &phone(), name_field()).is_ok());
}

#[tokio::test]
async fn once_is_used_up_by_the_first_permit() {
    let home = Home::new();
    home.grant(&hello(), To::One(phone()), Choice::Once).unwrap();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    assert!(matches!(home.bound.check(&hello(), &phone(), name_field()), Err(Refusal::Undecided { .. })));
    assert!(matches!(refusal(&home, name_field()), Refusal::Undecided { .. }));
    let mut outgoing = permit.seal(Envelope::new().text("name", &name()), to_phone()).await.unwrap();
    outgoing.send(&mut Vec::new(), b"", WITHIN).await.unwrap();
    outgoing.confirm(9).await.unwrap();
    let home = home.reopen();
    assert_eq!(home.gate.consents()[0].state.as_str(), "used");
    assert!(matches!(refusal(&home, name_field()), Refusal::Undecided { .. }));
}

#[tokio::test]
async fn a_consent_that_takes_the_place_of_another_ends_what_ran_under_that() {
    let home = Home::new();
    home.agree();
    let mut watch = home.bound.watch(&hello(), &phone());
    watch.allowed().await;
    home.agree();
    tokio::time::timeout(WITHIN, watch.ended()).await.expect("the first consent is over");
    tokio::time::timeout(WITHIN, watch.allowed()).await.expect("the second holds");
    assert!(tokio::time::timeout(Duration::from_millis(50), watch.ended()).await.is_err(), "and goes on");
}

#[tokio::test]
async fn a_consent_with_an_end_stops_what_runs_at_that_end() {
    let home = Home::new();
    let end = accord_model::Timestamp::now() + Duration::from_millis(300);
    home.grant(&hello(), To::One(phone()), Choice::Until(end)).unwrap();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let (near, _far) = tokio::io::duplex(1);
    let mut outflow = permit.open(near, to_phone()).await.unwrap();
    // The other side reads nothing; the end wakes the writer.
    let stopped = tokio::time::timeout(Duration::from_secs(5), outflow.put(&name())).await.unwrap();
    assert!(matches!(stopped, Err(SendError::Withdrawn(_))));
    assert!(matches!(refusal(&home, name_field()), Refusal::Expired { .. }));
}

#[test]
fn only_the_granted_fields_are_let_out() {
    let home = Home::new();
    let shown = home.gate.notice(&hello(), "en").unwrap().shown("test");
    let decision = Decision::new(hello(), To::One(phone()), Choice::Always, shown).only(name_field());
    home.gate.decide(decision).unwrap();
    let more = name_field().union(FieldSet::one(FieldCode::DeviceType));
    let Refusal::FieldsNotGranted { fields, .. } = refusal(&home, more) else { panic!() };
    assert_eq!(fields, FieldSet::one(FieldCode::DeviceType));
    assert!(home.bound.permit(&hello(), &phone(), name_field(), "").is_ok());
}

#[test]
fn a_yes_must_name_what_was_shown() {
    let home = Home::new();
    let shown = home.gate.notice(&beacon(), "en").unwrap().shown("test");
    let outcome = home.gate.decide(Decision::new(hello(), To::Any, Choice::Always, shown.clone()));
    assert!(matches!(outcome, Err(GateError::StaleNotice(_))));
    home.gate.decide(Decision::new(hello(), To::Any, Choice::Never, shown)).expect("a no needs no notice");
}

#[test]
fn a_yes_to_someone_whom_the_entry_does_not_declare_is_not_taken() {
    let home = Home::new();
    let outcome = home.grant(&cloud(), To::One(RecipientId::host("evil.example:443").unwrap()), Choice::Always);
    assert!(matches!(outcome, Err(GateError::NotARecipient { .. })));
}

#[test]
fn a_yes_that_is_over_already_is_not_taken() {
    let home = Home::new();
    let past = Choice::Until(accord_model::Timestamp::now() - Duration::from_secs(1));
    assert!(matches!(home.grant(&hello(), To::One(phone()), past), Err(GateError::PastEnd(_))));
}

#[test]
fn a_no_that_cannot_be_recorded_is_stored_nevertheless() {
    let home = Home::new();
    home.agree();
    let ledger = Connection::open(home.gate.ledger().path()).unwrap();
    ledger
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        .unwrap();
    assert!(home.grant(&hello(), To::One(phone()), Choice::Never).is_err());
    ledger.execute_batch("DROP TRIGGER full").unwrap();
    drop(ledger);
    let home = home.reopen();
    assert!(matches!(refusal(&home, name_field()), Refusal::Refused(_)));
}

#[test]
fn a_damaged_decision_casts_doubt_on_those_on_any() {
    let home = Home::new();
    home.grant(&hello(), To::Any, Choice::Always).unwrap();
    home.agree();
    let Home { dir, gate, bound } = home;
    drop((gate, bound));
    let sql =
        "UPDATE consent SET body = replace(CAST(body AS TEXT), 'given', 'givem') WHERE recipient = 'device:phone'";
    Connection::open(dir.path().join("consents.db")).unwrap().execute_batch(sql).unwrap();
    let gate = open(dir.path());
    assert!(matches!(gate.check(&hello(), &tablet(), name_field()), Err(Refusal::Refused(_))));
}

#[test]
fn required_fields_cannot_be_left_out_and_undeclared_ones_not_added() {
    let home = Home::new();
    for fields in [FieldSet::one(FieldCode::DeviceType), name_field().union(FieldSet::one(FieldCode::Location))] {
        let shown = home.gate.notice(&hello(), "en").unwrap().shown("test");
        let outcome = home.gate.decide(Decision::new(hello(), To::Any, Choice::Always, shown).only(fields));
        assert!(matches!(outcome, Err(GateError::WrongFields { .. })), "{fields:?}");
    }
}

#[tokio::test]
async fn an_envelope_with_more_than_the_permit_is_not_sealed() {
    let home = Home::new();
    home.agree();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let kind = Personal::new(FieldCode::DeviceType, "tablet");
    let outcome = permit.seal(Envelope::new().text("name", &name()).text("kind", &kind), to_phone()).await;
    assert!(matches!(outcome.err(), Some(SendError::FieldsNotGranted { .. })));
    assert!(home.records(RecordKind::Intent).is_empty());
    assert_eq!(home.wait_for(RecordKind::Refused, 1)[0].public.fields, FieldSet::one(FieldCode::DeviceType));
}

#[tokio::test]
async fn a_permit_does_not_go_elsewhere() {
    let home = Home::new();
    home.agree();
    let permit = || home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let elsewhere = permit().seal(Envelope::new(), Destination::new(tablet(), "192.0.2.8:1")).await;
    assert!(matches!(elsewhere.err(), Some(SendError::WrongDestination { .. })));
    let through = permit().seal(Envelope::new(), to_phone().via("relay.example:443")).await;
    assert!(matches!(through.err(), Some(SendError::WrongDestination { .. })));
    assert!(home.records(RecordKind::Intent).is_empty());
}

#[tokio::test]
async fn a_permit_is_worthless_after_a_withdrawal() {
    let home = Home::new();
    let consent = home.agree();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    home.gate.withdraw(consent.id).unwrap();
    let outcome = permit.seal(Envelope::new().text("name", &name()), to_phone()).await;
    assert!(matches!(outcome.err(), Some(SendError::Withdrawn(_))));
    assert!(home.records(RecordKind::Intent).is_empty(), "not even an intent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_while_the_intent_is_written_stops_the_first_byte() {
    let home = Home::new();
    let consent = home.agree();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let busy = Connection::open(home.dir.path().join("ledger.db")).unwrap();
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sealing =
        tokio::spawn(async move { permit.seal(Envelope::new().text("name", &name()), to_phone()).await.err() });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (gate, mut events) = (home.gate.clone(), home.gate.events());
    let withdrawing = tokio::task::spawn_blocking(move || gate.withdraw(consent.id).map(drop));
    // Told when what runs is stopped, which is a moment after new permits are refused.
    let told = tokio::time::timeout(WITHIN, async {
        while !matches!(events.recv().await.unwrap(), GateEvent::Withdrawn { .. }) {}
    });
    told.await.expect("withdrawn within 5 s");
    busy.execute_batch("COMMIT").unwrap();
    assert!(matches!(sealing.await.unwrap(), Some(SendError::Withdrawn(_))));
    withdrawing.await.unwrap().unwrap();
    assert_eq!(home.wait_for(RecordKind::Error, 1).len(), 1, "the intent is closed");
}

#[tokio::test]
async fn sealed_bytes_do_not_come_out_after_a_withdrawal() {
    let home = Home::new();
    let consent = home.agree();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let mut outgoing = permit.seal(Envelope::new().text("name", &name()), to_phone()).await.unwrap();
    assert_eq!(outgoing.inputs().unwrap().len(), 1);
    let mut wire = Vec::new();
    outgoing.send(&mut wire, b"18:", WITHIN).await.unwrap();
    assert_eq!(wire, br#"18:{"name":"Kitchen"}"#);
    home.gate.withdraw(consent.id).unwrap();
    assert!(matches!(outgoing.inputs(), Err(SendError::Withdrawn(_))));
    assert!(matches!(outgoing.send(&mut wire, b"18:", WITHIN).await, Err(SendError::Withdrawn(_))));
    assert_eq!(wire.len(), 21);
}

/// Takes one byte at a time, and on the way to the next withdraws the consent.
struct Withdraws<'a> {
    home: &'a Home,
    after: usize,
    wire: Vec<u8>,
    flushed: bool,
}

impl tokio::io::AsyncWrite for Withdraws<'_> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.wire.len() == self.after {
            // The gate waits for this very call to return before it is done.
            let gate = self.home.gate.clone();
            let withdrawing = std::thread::spawn(move || gate.withdraw((hello(), To::One(phone()))));
            until_refused(self.home);
            self.after = usize::MAX;
            let waker = context.waker().clone();
            std::thread::spawn(move || {
                let _ = withdrawing.join();
                waker.wake();
            });
            return Poll::Pending;
        }
        self.wire.push(bytes[0]);
        Poll::Ready(Ok(1))
    }
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.flushed = true;
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_withdrawal_in_the_middle_of_a_message_keeps_the_rest_of_it_back() {
    let home = Home::new();
    home.agree();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let mut outgoing = permit.seal(Envelope::new().text("name", &name()), to_phone()).await.unwrap();
    let mut wire = Withdraws { home: &home, after: 5, wire: Vec::new(), flushed: false };
    assert!(matches!(outgoing.send(&mut wire, b"18:", WITHIN).await, Err(SendError::Withdrawn(_))));
    assert_eq!((&*wire.wire, wire.flushed), (&br#"18:{""#[..], false));
    outgoing.fail("withdrawn").await;
    let error = &home.wait_for(RecordKind::Error, 1)[0];
    assert_eq!((error.public.bytes, error.public.framing), (Some(2), Some(3)), "what left is counted");
}

#[tokio::test]
async fn what_is_buffered_is_not_flushed_after_a_withdrawal() {
    let home = Home::new();
    let consent = home.agree();
    let permit = || home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let mut empty = permit().seal(Envelope::raw(&Personal::plain(b"")), to_phone()).await.unwrap();
    let mut wire = tokio::io::BufWriter::new(Vec::new());
    let mut outflow = permit().open(&mut wire, to_phone()).await.unwrap();
    outflow.put(&name()).await.unwrap();
    home.gate.withdraw(consent.id).unwrap();
    assert!(matches!(outflow.flush().await, Err(SendError::Withdrawn(_))));
    drop(outflow);
    assert!(wire.get_ref().is_empty());
    assert!(matches!(empty.send(&mut wire, b"", WITHIN).await, Err(SendError::Withdrawn(_))));
    assert!(wire.get_ref().is_empty());
}

#[tokio::test]
async fn a_stream_takes_only_permitted_fields_and_stops_at_a_withdrawal() {
    let home = Home::new();
    let consent = home.agree();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let mut wire = Vec::new();
    {
        let mut outflow = permit.open(&mut wire, to_phone()).await.unwrap();
        let content = Personal::new(FieldCode::FileContent, vec![0; 64]);
        assert!(matches!(outflow.put(&content).await, Err(SendError::FieldsNotGranted { .. })));
        outflow.put(&name()).await.unwrap();
        home.gate.withdraw(consent.id).unwrap();
        assert!(outflow.cancelled().is_cancelled());
        assert!(matches!(outflow.put(&name()).await, Err(SendError::Withdrawn(_))));
        assert!(matches!(outflow.frame(b"x").await, Err(SendError::Withdrawn(_))));
    }
    assert_eq!(wire, b"Kitchen");
    let error = &home.wait_for(RecordKind::Error, 1)[0];
    assert_eq!((error.public.bytes, error.public.fields), (Some(7), name_field()));
}

#[tokio::test]
async fn a_no_to_one_recipient_leaves_the_streams_to_others_alone() {
    let home = Home::new();
    home.grant(&hello(), To::Any, Choice::Always).unwrap();
    let permit = |to: &RecipientId| home.bound.permit(&hello(), to, name_field(), "").unwrap();
    let mut to_one = permit(&phone()).open(Vec::new(), to_phone()).await.unwrap();
    let mut to_other = permit(&tablet()).open(Vec::new(), Destination::new(tablet(), "")).await.unwrap();
    home.grant(&hello(), To::One(phone()), Choice::Never).unwrap();
    assert!(to_one.put(&name()).await.is_err());
    to_other.put(&name()).await.unwrap();
    home.gate.withdraw((hello(), To::Any)).unwrap();
    assert!(to_other.put(&name()).await.is_err());
}

#[tokio::test]
async fn a_lease_counts_exactly_and_stops_at_a_withdrawal() {
    let home = Home::new();
    home.grant(&beacon(), To::Any, Choice::Always).unwrap();
    let fields = FieldSet::one(FieldCode::Presence);
    let permit = home.bound.permit(&beacon(), &RecipientId::lan(), fields, "while.running").unwrap();
    let lease = permit.datagrams(Destination::lan("224.0.0.251:5353")).await.unwrap();
    let beacon_bytes = Personal::new(FieldCode::Presence, b"here");
    let to = "224.0.0.251:5353".parse().unwrap();
    for _ in 0..3 {
        lease.send_with(&beacon_bytes, to, |bytes| Ok(bytes.len())).unwrap();
    }
    let kind = Personal::new(FieldCode::DeviceType, b"tv");
    assert!(matches!(lease.send_with(&kind, to, |bytes| Ok(bytes.len())), Err(SendError::FieldsNotGranted { .. })));
    home.gate.withdraw((beacon(), To::Any)).unwrap();
    let after = lease.send_with(&beacon_bytes, to, |_| panic!("nothing may leave"));
    assert!(matches!(after, Err(SendError::Withdrawn(_))));
    drop(lease);
    let sent = &home.wait_for(RecordKind::Sent, 1)[0];
    assert_eq!((sent.public.bytes, sent.public.count), (Some(12), Some(3)));
    assert_eq!(sent.details.as_ref().unwrap().addresses[0].address, "224.0.0.251:5353");
}

#[tokio::test]
async fn datagrams_go_only_to_the_permitted_peer_or_near() {
    let home = Home::new();
    home.grant(&beacon(), To::Any, Choice::Always).unwrap();
    home.agree();
    let any = "127.0.0.1:0".parse().unwrap();
    let permit = |entry: &EntryKey, to: &RecipientId| home.bound.permit(entry, to, FieldSet::EMPTY, "").unwrap();
    assert!(outlet::udp(permit(&hello(), &phone()), any, None).await.is_err(), "one recipient needs one address");
    let near = outlet::udp(permit(&beacon(), &RecipientId::lan()), any, None).await.unwrap();
    let far = "203.0.113.9:9".parse().unwrap();
    let empty = Personal::plain(b"x");
    assert!(matches!(near.send(&empty, far).await, Err(SendError::Outlet(_))));
    let one = outlet::udp(permit(&hello(), &phone()), any, Some("127.0.0.1:9".parse().unwrap())).await.unwrap();
    assert!(matches!(one.send(&empty, "127.0.0.2:9".parse().unwrap()).await, Err(SendError::Outlet(_))));
    one.send(&empty, "127.0.0.1:9".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_socket_for_one_device_hears_and_reaches_nobody_else() {
    let home = Home::new();
    home.agree();
    home.grant(&beacon(), To::Any, Choice::Always).unwrap();
    let permit = |entry: &EntryKey, to: &RecipientId| home.bound.permit(entry, to, FieldSet::EMPTY, "").unwrap();
    let one = outlet::OneNear::open(permit(&hello(), &phone()), [127, 0, 0, 2].into()).await.unwrap();
    let socket = one.datagrams("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = socket.local_addr().unwrap();
    assert!(one.datagrams(at).is_err(), "the port is its own");
    let near = |bind: &str| outlet::udp(permit(&beacon(), &RecipientId::lan()), bind.parse().unwrap(), None);
    let (device, other) = (near("127.0.0.2:0").await.unwrap(), near("127.0.0.3:0").await.unwrap());
    other.send(&Personal::plain(b"other"), at).await.unwrap();
    device.send(&Personal::plain(b"device"), at).await.unwrap();
    let mut buffer = [0; 16];
    let heard = tokio::time::timeout(WITHIN, socket.receive(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((&buffer[..heard.0], heard.1), (&b"device"[..], device.local_addr().unwrap()));
    let empty = Personal::plain(b"x");
    assert!(matches!(socket.send(&empty, other.local_addr().unwrap()).await, Err(SendError::Outlet(_))));
    socket.send(&empty, device.local_addr().unwrap()).await.unwrap();
    home.gate.withdraw((hello(), To::One(phone()))).unwrap();
    assert!(matches!(socket.send(&empty, device.local_addr().unwrap()).await, Err(SendError::Withdrawn(_))));
}

#[tokio::test]
async fn a_permit_for_a_device_stays_in_the_networks_that_this_machine_is_in() {
    let home = Home::new();
    home.agree();
    let wrong = |error: Option<SendError>| matches!(error, Some(SendError::Outlet(OutletError::WrongAddress { .. })));
    let permit = || home.bound.permit(&hello(), &phone(), FieldSet::EMPTY, "").unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    for far in ["203.0.113.9:9", "[2001:db8::9]:9", "[::ffff:203.0.113.9]:9"] {
        let far: SocketAddr = far.parse().unwrap();
        let dialed = tokio::time::timeout(Duration::from_millis(200), outlet::dial_tcp(permit(), far)).await;
        assert!(wrong(dialed.expect("refused before it is tried").err()), "{far}");
        assert!(wrong(outlet::udp(permit(), any, Some(far)).await.err()), "{far}");
        assert!(wrong(outlet::serve(permit(), any, far.ip(), WITHIN).await.err()), "{far}");
        assert!(wrong(outlet::OneNear::open(permit(), far.ip()).await.err()), "{far}");
    }
    assert!(home.records(RecordKind::Intent).is_empty());
}

#[tokio::test]
async fn who_was_announced_is_spoken_to_in_the_house_only() {
    let home = Home::new();
    home.agree();
    let permit = || home.bound.permit(&hello(), &phone(), FieldSet::EMPTY, "").unwrap();
    // Unique-local, as what is behind a router of the house is; but no router here leads there.
    for elsewhere in ["fdfe:dcba:9876:5432::1", "240.0.0.9"] {
        let opened = outlet::OneNear::open_announced(permit(), elsewhere.parse().unwrap()).await;
        assert!(matches!(opened.err(), Some(SendError::Outlet(OutletError::NotHere(_)))), "{elsewhere}");
    }
    assert!(home.records(RecordKind::Intent).is_empty());
    let one = outlet::OneNear::open_announced(permit(), "127.0.0.9".parse().unwrap()).await.unwrap();
    one.is_still_here().await.unwrap();
    one.close();
}

#[test]
fn what_stays_here_goes_nowhere_and_only_the_owner_lets_it() {
    let home = Home::new();
    let text = example::STATEMENT.replacen("\"paired-device\"", "\"this-hub\"", 1);
    let text = text.replacen("transport = \"lan\"", "transport = \"none\"", 1);
    home.gate.adopt(example::statement("2", &text)).unwrap();
    let check = |entry: &EntryKey, to: &RecipientId| home.bound.check(entry, to, name_field());
    let here = RecipientId::here();
    assert_eq!("hub:this".parse::<RecipientId>().unwrap(), here);
    assert!("hub:other".parse::<RecipientId>().is_err());
    assert!(matches!(check(&hello(), &here), Err(Refusal::Undecided { .. })));
    home.grant(&hello(), To::Any, Choice::Always).unwrap();
    check(&hello(), &here).unwrap();
    let not_declared = |outcome| matches!(outcome, Err(Refusal::HostNotDeclared { .. }));
    for elsewhere in ["device:phone", "network:lan", "visitor:10.0.0.7", "host:cloud.example:443"] {
        assert!(not_declared(check(&hello(), &elsewhere.parse().unwrap())), "{elsewhere}");
    }
    assert!(not_declared(home.bound.check(&page(), &here, FieldSet::EMPTY)), "nor is what leaves for here");
    let permit = home.bound.permit(&hello(), &here, name_field(), "");
    assert!(matches!(permit, Err(Refusal::HostNotDeclared { .. })), "no permit, so no outlet");
}

#[tokio::test]
async fn a_permit_for_a_visitor_reaches_only_the_visitors_address() {
    let home = Home::new();
    let other = IpAddr::from([127, 0, 0, 9]);
    home.grant(&page(), To::One(RecipientId::visitor(other)), Choice::Always).unwrap();
    home.grant(&beacon(), To::Any, Choice::Always).unwrap();
    let permit = || home.bound.permit(&page(), &RecipientId::visitor(other), FieldSet::EMPTY, "").unwrap();
    let wrong = |error: Option<SendError>| matches!(error, Some(SendError::Outlet(OutletError::WrongAddress { .. })));
    let everyone = home.bound.permit(&beacon(), &RecipientId::lan(), FieldSet::EMPTY, "").unwrap();
    let near = outlet::Near::open(everyone, "beacon").await.unwrap();
    let listener = near.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, _dialed) = tokio::join!(listener.accept(), near.dial(address));
    assert!(wrong(accepted.unwrap().unwrap().under(permit()).await.err()), "another is at the other end");
    assert!(wrong(outlet::dial_tcp(permit(), address).await.err()));
    let served = outlet::serve(permit(), "127.0.0.1:0".parse().unwrap(), address.ip(), WITHIN).await;
    assert!(wrong(served.err()));
    assert!(outlet::serve(permit(), "127.0.0.1:0".parse().unwrap(), other, WITHIN).await.is_ok());
    let far = IpAddr::from([203, 0, 113, 9]);
    home.grant(&page(), To::One(RecipientId::visitor(far)), Choice::Always).unwrap();
    let permit = home.bound.permit(&page(), &RecipientId::visitor(far), FieldSet::EMPTY, "").unwrap();
    assert!(wrong(outlet::dial_tcp(permit, (far, 9).into()).await.err()), "visitors are near");
}

#[test]
fn only_what_is_over_about_a_visitor_is_forgotten() {
    let home = Home::new();
    let [first, second] = [7, 8].map(|last| RecipientId::visitor(IpAddr::from([10, 0, 0, last])));
    let check = |home: &Home, to: &RecipientId| home.bound.check(&page(), to, FieldSet::EMPTY);
    let given = home.grant(&page(), To::One(first.clone()), Choice::Always).unwrap();
    let no = home.grant(&page(), To::One(second.clone()), Choice::Never).unwrap();
    let device = home.agree();
    home.gate.withdraw(device.id).unwrap();
    for id in [given.id, no.id, device.id] {
        assert!(matches!(home.gate.forget(id), Err(GateError::Counts(_))), "{id}");
    }
    assert!(check(&home, &first).is_ok());
    home.gate.withdraw(given.id).unwrap();
    home.grant(&page(), To::Any, Choice::Always).unwrap();
    assert!(matches!(check(&home, &first), Err(Refusal::Withdrawn(_))), "until it is forgotten");
    let last = home.grant(&page(), To::One(second.clone()), Choice::Always).unwrap();
    home.gate.withdraw(last.id).unwrap();
    home.gate.forget(given.id).unwrap();
    home.gate.forget(last.id).unwrap();
    assert!(check(&home, &first).is_ok(), "as for anyone");
    assert!(home.gate.forget(given.id).is_err());
    let home = home.reopen();
    assert!(check(&home, &second).is_ok());
    let next = home.grant(&page(), To::One(first), Choice::Always).unwrap();
    assert!(next.id > last.id, "no number is given twice");
}

#[test]
fn a_visitors_address_is_written_in_one_way() {
    for text in ["visitor:10.0.0.7", "visitor:fe80::1", "visitor:::1"] {
        assert_eq!(text.parse::<RecipientId>().unwrap().as_str(), text);
    }
    for text in [
        "visitor:",
        "visitor:10.0.0.07",
        "visitor:::ffff:10.0.0.7",
        "visitor:FE80::1",
        "visitor:fe80:0::1",
        "visitor:a",
    ] {
        assert!(text.parse::<RecipientId>().is_err(), "{text}");
    }
    let wrapped = RecipientId::visitor("::ffff:10.0.0.7".parse().unwrap());
    assert_eq!(wrapped.as_visitor(), Some(IpAddr::from([10, 0, 0, 7])));
}

#[tokio::test]
async fn sockets_for_everyone_near_take_no_other_permit_and_reach_nobody_else() {
    let home = Home::new();
    home.agree();
    home.grant(&beacon(), To::Any, Choice::Always).unwrap();
    let permit = |entry: &EntryKey, to: &RecipientId| home.bound.permit(entry, to, FieldSet::EMPTY, "").unwrap();
    let other = outlet::Near::open(permit(&hello(), &phone()), "hello").await;
    assert!(matches!(other.err(), Some(SendError::Outlet(OutletError::WrongAddress { .. }))));
    let near = outlet::Near::open(permit(&beacon(), &RecipientId::lan()), "beacon").await.unwrap();
    let far = "203.0.113.9:9".parse().unwrap();
    let dialed = tokio::time::timeout(Duration::from_millis(200), near.dial(far)).await;
    let dialed = dialed.expect("refused before it is tried");
    assert!(matches!(dialed.err(), Some(SendError::Outlet(OutletError::WrongAddress { .. }))));

    let listener = near.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, dialed) = tokio::join!(listener.accept(), near.dial(address));
    let (accepted, mut dialed) = (accepted.unwrap().unwrap(), dialed.unwrap());
    dialed.put(&Personal::plain(b"hi")).await.unwrap();
    // Known by now: what follows goes to it alone.
    let mut known = accepted.under(permit(&hello(), &phone())).await.unwrap();
    known.outflow.frame(b"hello").await.unwrap();
    home.gate.withdraw((beacon(), To::Any)).unwrap();
    assert!(listener.accept().await.unwrap().is_none());
    assert!(matches!(dialed.put(&Personal::plain(b"hi")).await, Err(SendError::Withdrawn(_))));
    drop((listener, dialed, near));
    let sent = &home.wait_for(RecordKind::Sent, 1)[0];
    assert_eq!((sent.public.bytes, sent.public.count), (Some(2), Some(2)), "the attempt, and two bytes");
}

#[tokio::test]
async fn what_left_before_the_end_is_written_after_it() {
    let home = Home::new();
    home.grant(&beacon(), To::Any, Choice::Always).unwrap();
    let permit = home.bound.permit(&beacon(), &RecipientId::lan(), FieldSet::EMPTY, "").unwrap();
    let lease = permit.datagrams(Destination::lan("")).await.unwrap();
    home.gate.withdraw((beacon(), To::Any)).unwrap();
    assert!(lease.note_left("192.0.2.7:1", 40));
    lease.close();
    assert!(!lease.note_left("192.0.2.7:1", 40));
    assert_eq!(home.wait_for(RecordKind::Sent, 1)[0].public.bytes, Some(40));
}

#[tokio::test]
async fn a_host_that_is_dialed_is_recorded_with_its_look_up_and_its_address() {
    let home = Home::new();
    let listener = outlet::local::web_listener("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let here = example::STATEMENT.replacen("cloud.example:443", &host, 1);
    home.gate.adopt(example::statement("2", &here)).unwrap();
    let to = RecipientId::host(&host).unwrap();
    home.grant(&cloud(), To::One(to.clone()), Choice::Always).unwrap();
    let permit = home.bound.permit(&cloud(), &to, FieldSet::EMPTY, "").unwrap();
    let (_accepted, dialed) = tokio::join!(listener.accept(), outlet::dial_host(permit));
    let mut dialed = dialed.unwrap();
    dialed.outflow.frame(b"hello").await.unwrap();
    dialed.outflow.finish().await.unwrap();
    let sent = &home.wait_for(RecordKind::Sent, 1)[0];
    let told = &sent.details.as_ref().unwrap().addresses;
    assert_eq!(told[0].address, format!("the resolver, asked for {host}"));
    let last = told.last().unwrap();
    assert_eq!((last.address.parse::<SocketAddr>().unwrap(), last.bytes), (dialed.address, 5));
}

#[tokio::test]
async fn a_host_is_dialed_by_its_name() {
    let home = Home::new();
    let host = RecipientId::host("cloud.example:443").unwrap();
    home.grant(&cloud(), To::One(host.clone()), Choice::Always).unwrap();
    let permit = home.bound.permit(&cloud(), &host, FieldSet::EMPTY, "").unwrap();
    let outcome = outlet::dial_tcp(permit, (Ipv4Addr::LOCALHOST, 9).into()).await;
    assert!(matches!(outcome.err(), Some(SendError::Outlet(outlet::OutletError::WrongAddress { .. }))));
}

#[tokio::test]
async fn what_is_served_goes_to_one_address_for_a_limited_time() {
    use tokio::io::AsyncReadExt;
    let home = Home::new();
    home.agree();
    let permit = || home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let bind = "127.0.0.1:0".parse().unwrap();
    let lifetime = Duration::from_millis(500);
    let served = outlet::serve(permit(), bind, Ipv4Addr::LOCALHOST.into(), lifetime).await.unwrap();
    assert!(served.is_path(served.path()) && !served.is_path("/") && served.path().len() == 44);
    let address = served.local_addr().unwrap();
    let client = outlet::dial_tcp(permit(), address);
    let (accepted, client) = tokio::join!(served.accept(), client);
    let (mut accepted, mut client) = (accepted.unwrap().unwrap(), client.unwrap());
    accepted.put(&name()).await.unwrap();
    let mut got = [0; 7];
    client.reader.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"Kitchen");
    assert!(served.accept().await.unwrap().is_none(), "its time is over");
    assert!(accepted.put(&name()).await.is_err());

    let elsewhere = outlet::serve(permit(), bind, Ipv4Addr::new(127, 0, 0, 9).into(), lifetime).await.unwrap();
    let address = elsewhere.local_addr().unwrap();
    let (accepted, _client) = tokio::join!(elsewhere.accept(), outlet::dial_tcp(permit(), address));
    assert!(accepted.unwrap().is_none(), "only the recipient is answered");
}
