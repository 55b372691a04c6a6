//! The example bridge against a lamp on loopback: silent without consent, found and switched with it, silent
//! again after withdrawal, and all of it in the ledger.
#![allow(clippy::unwrap_used, reason = "a test may fail here")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the lamp itself, played by the test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_consent::{Choice, Decision, Envelope, Gate, Personal, RecipientId, Signer, To};
use accord_example_bridge::{ExampleBridge, STATEMENT};
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, Target, WriteState};
use accord_registry::{Ask, Registry, RegistryEvent};
use accord_statement::{Publisher, Statement};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

struct NoSigner;

impl Signer for NoSigner {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// A lamp that does what it is told.
async fn lamp(listener: TcpListener, said: Arc<Mutex<Vec<String>>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (reader, mut writer) = socket.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(b"hello Desk lamp\nstate on 0\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("set") {
                said.lock().unwrap().push(line.clone());
            }
            let answer = match line.as_str() {
                "set on 1" => "state on 1\n",
                "set on 0" => "state on 0\n",
                _ => "pong\n",
            };
            writer.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_lamp_is_found_switched_and_let_go_as_the_owner_decides() {
    let dir = tempfile::tempdir().unwrap();
    let publisher = Publisher { name: "Accord".into(), contact: None, url: None };
    let statement = Statement::join("accord", "Accord", publisher, "1", &[STATEMENT]).unwrap();
    let gate = Gate::open(dir.path(), statement, Arc::new(NoSigner)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let said = Arc::<Mutex<Vec<String>>>::default();
    tokio::spawn(lamp(listener, said.clone()));
    let id = DeviceId::new("lamp-1").unwrap();
    let registry = Registry::new();
    let mut events = registry.events();

    registry.add_bridge(Box::new(ExampleBridge::new(gate.bind("example"), vec![(id.clone(), address)])));
    let early = tokio::time::timeout(Duration::from_millis(300), events.recv()).await;
    assert!(early.is_err(), "something happened without consent: {early:?}");

    let entry = EntryKey::new("example/control").unwrap();
    let to = RecipientId::device(&id);
    let shown = gate.notice(&entry, "en").unwrap().shown("cli");
    gate.decide(Decision::new(entry.clone(), To::One(to.clone()), Choice::Always, shown)).unwrap();
    while !matches!(tokio::time::timeout(SOON, events.recv()).await.unwrap().unwrap(), RegistryEvent::Seen(known) if known.device.name == "Desk lamp")
    {
    }

    let target = Target::new("light");
    let control = registry.port(&gate.bind("example"), entry.clone(), "on.control");
    let on = |on| Envelope::new().data("value", &Personal::new(FieldCode::CommandName, Data::Bool(on)));
    control.call(&id, target.clone(), Ask::write("on"), on(true), SOON).await.unwrap();
    let confirmed = async {
        while registry.write_state(&id, &target, "on") != Some(WriteState::Confirmed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, confirmed).await.expect("the lamp confirms");

    gate.withdraw((entry.clone(), to.clone())).unwrap();
    let refused = control.call(&id, target.clone(), Ask::write("on"), on(false), SOON).await;
    let said_no = matches!(refused, Err(CallError::NotConsented(_) | CallError::Unreachable(_)));
    assert!(said_no, "a withdrawn lamp is not spoken to, and the caller is told at once: {refused:?}");
    let written = async {
        let is_it = |record: &accord_consent::Record| record.public.bytes == Some(9);
        while !gate.ledger().list(&Default::default()).unwrap().iter().any(is_it) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, written).await.expect("`set on 1` is in the ledger");

    // What was refused is not made up for later.
    let mut events = registry.events();
    let shown = gate.notice(&entry, "en").unwrap().shown("cli");
    gate.decide(Decision::new(entry, To::One(to), Choice::Always, shown)).unwrap();
    let back = async { while !matches!(events.recv().await.unwrap(), RegistryEvent::Seen(_)) {} };
    tokio::time::timeout(3 * SOON, back).await.expect("the lamp is back");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(said.lock().unwrap().as_slice(), ["set on 1"], "the lamp does not switch");
}
