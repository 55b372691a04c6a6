//! The driver under the law: nothing leaves without agreement.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, Query, RecipientId, RecordKind, To, example};
use accord_lebo::{LeboBridge, Network, STATEMENT};
use accord_model::{CallError, EntryKey, FromBridge, ToBridge};
use accord_registry::{Bridge, BridgeSide};
use accord_statement::{Publisher, Statement};
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn it_asks_only_while_the_owner_agrees_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let statement = Statement::join("t", "T", Publisher::named("T"), "1", &[STATEMENT]).unwrap();
    let gate = Gate::open(dir.path(), statement, example::key(1)).unwrap();
    let bridge = LeboBridge::new(gate.bind("lebo"), Network::Loopback);
    let (door, inbox) = mpsc::channel(8);
    let (outbox, mut told) = mpsc::channel(8);
    let running = tokio::spawn(Box::new(bridge).run(BridgeSide { inbox, outbox }));
    // It answers while it asks nobody, and drives nothing.
    door.send((
        ToBridge::Call {
            call: accord_model::CallId(1),
            device: accord_model::DeviceId::new("lebo-1").unwrap(),
            target: accord_model::Target::new("media"),
            verb: accord_model::Verb::Read { properties: vec![] },
        },
        None,
    ))
    .await
    .unwrap();
    let (answer, _) = tokio::time::timeout(SOON, told.recv()).await.unwrap().unwrap();
    assert!(matches!(answer, FromBridge::Reply { outcome: Err(CallError::Unsupported(_)), .. }), "{answer:?}");
    let sent = || gate.ledger().list(&Query { kind: Some(RecordKind::Intent), ..Query::default() }).unwrap().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sent(), 0, "nobody agreed, so nothing is even meant to leave");
    let entry = EntryKey::new("lebo/search").unwrap();
    let shown = gate.notice(&entry, "en").unwrap().shown("test");
    let consent = gate.decide(Decision::new(entry, To::One(RecipientId::lan()), Choice::Always, shown)).unwrap();
    let begun = async {
        while sent() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, begun).await.expect("it asks");
    gate.withdraw(consent.id).unwrap();
    door.send((ToBridge::Stop, None)).await.unwrap();
    tokio::time::timeout(SOON, running).await.unwrap().unwrap().unwrap();
}
