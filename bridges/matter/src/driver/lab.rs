//! A lamp of matter.js at an address that the environment names: `ACCORD_MATTER_LAMP=[fe80::1%3]:5540`, with the code of the lab.

use std::net::{SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_model::{DeviceId, EntryKey};
use accord_statement::{Publisher, Statement};
use matter_commissioning::driver::{AsyncDatagram, CaseEstablishOptions, run_case_establish_with};
use matter_commissioning::parse_qr;
use tokio::sync::watch;

use super::*;
use crate::core::advert::{node_name, patience};
use crate::core::dialog::{Dialog, Event, Word};

struct NoKey;
impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

#[tokio::test]
async fn a_lamp_is_added_watched_and_switched() {
    let Ok(at) = std::env::var("ACCORD_MATTER_LAMP") else { return };
    let at: SocketAddr = match at.split_once('%') {
        Some((ip, rest)) => {
            let (scope, port) = rest.split_once("]:").unwrap();
            let ip = ip.trim_start_matches('[').parse().unwrap();
            SocketAddrV6::new(ip, port.parse().unwrap(), 0, scope.parse().unwrap()).into()
        }
        None => at.parse().unwrap(),
    };
    let dir = tempfile::tempdir().unwrap();
    let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &[crate::STATEMENT]).unwrap();
    let gate = Gate::open(&dir.path().join("gate"), statement, std::sync::Arc::new(NoKey)).unwrap();
    let law = law::Law::new(gate.bind("matter"));
    let id = DeviceId::new("matter-lamp").unwrap();
    let entry = EntryKey::new("matter/control").unwrap();
    let shown = gate.notice(&entry, "en").unwrap().shown("test");
    gate.decide(Decision::new(entry, To::One(RecipientId::device(&id)), Choice::Always, shown)).unwrap();
    let fabric = fabric::Fabric::open(dir.path()).unwrap();
    let node = fabric.next().unwrap();
    let (tell, sky) = watch::channel(sky::Sky::default());
    tell.send_modify(|sky| {
        let known = sky::Node { at: vec![at], patience: patience([]), times: 0 };
        sky.nodes.insert(node_name(fabric.compressed(), node), known);
    });
    let payload = parse_qr("MT:Y.K90AFN00KA0648G00").unwrap();
    let line = line::Line::open(&law, &id, at).await.unwrap();
    let began = Instant::now();
    let refused =
        commission::add(&line, &fabric, &trust::Trust::of_folder(dir.path()).unwrap(), sky.clone(), &payload, node)
            .await;
    println!("uncertified: {refused:?} after {:?}", began.elapsed());
    let began = Instant::now();
    commission::add(&line, &fabric, &trust::Trust::of_tests(), sky, &payload, node).await.unwrap();
    println!("added in {:?}", began.elapsed());
    let began = Instant::now();
    let (credentials, roots) = fabric.credentials().unwrap();
    let options = CaseEstablishOptions::new(1, credentials, roots, node, fabric.id(), fabric::now());
    let established = run_case_establish_with(&line, at, options).await.unwrap();
    println!("session in {:?}", began.elapsed());
    let mut dialog = Dialog::new(&established.output, patience([]), Instant::now());
    dialog.subscribe(Instant::now());
    let until = Instant::now() + Duration::from_secs(10);
    let mut told = false;
    while Instant::now() < until && !dialog.is_over() {
        while let Some(bytes) = dialog.transmit() {
            line.send_to(&bytes, at).await.unwrap();
        }
        while let Some(event) = dialog.event() {
            match event {
                Event::Report { values, all, .. } => println!(
                    "{:?} report of {} all {all} {:?}",
                    began.elapsed(),
                    values.len(),
                    (!all).then_some(values)
                ),
                event => println!("{:?} {event:?}", began.elapsed()),
            }
            if !std::mem::replace(&mut told, true) {
                let path = matter_interaction::CommandPath { endpoint: 1, cluster: 6, command: 2 };
                dialog.say(7, Word::Invoke { path, fields: vec![0x15, 0x18], timed: false }, Instant::now());
            }
        }
        let wake = dialog.wake().unwrap_or(until).min(until);
        tokio::select! {
            received = line.recv_from() => dialog.datagram(&received.unwrap().0, Instant::now()),
            () = tokio::time::sleep_until(wake.into()) => dialog.timeout(Instant::now()),
        }
    }
    dialog.close(Instant::now());
    while let Some(bytes) = dialog.transmit() {
        line.send_to(&bytes, at).await.unwrap();
    }
}
