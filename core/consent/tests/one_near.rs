//! One device under one permit: many connections, one intent, and an end with the consent.

mod common;

use std::net::Ipv4Addr;

use accord_consent::{Choice, Personal, RecordKind, SendError, To, outlet};
use accord_model::{FieldCode, FieldSet};
use common::*;

#[tokio::test]
async fn many_connections_to_one_device_are_one_intent_counted_together() {
    let home = Home::new();
    home.agree();
    let listener = outlet::local::web_listener("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = FieldSet::one(FieldCode::DeviceName);
    let permit = home.bound.permit(&hello(), &phone(), name, "").unwrap();
    let one = outlet::OneNear::open(permit, Ipv4Addr::LOCALHOST.into()).await.unwrap();
    let mut kept = Vec::new();
    for _ in 0..3 {
        let (accepted, dialed) = tokio::join!(listener.accept(), one.dial(port));
        let mut dialed = dialed.unwrap();
        dialed.put(&Personal::new(FieldCode::DeviceName, "hello")).await.unwrap();
        let more = dialed.put(&Personal::new(FieldCode::FileName, "x")).await;
        assert!(matches!(more, Err(SendError::FieldsNotGranted { .. })), "only what the permit was asked for");
        kept.push((accepted.unwrap(), dialed));
    }
    home.gate.withdraw((hello(), To::One(phone()))).unwrap();
    assert!(matches!(kept[0].1.put(&Personal::plain("x")).await, Err(SendError::Withdrawn(_))));
    assert!(one.dial(port).await.is_err() && one.cancelled().is_cancelled());
    drop((kept, one));
    let sent = &home.wait_for(RecordKind::Sent, 1)[0];
    assert_eq!((sent.public.bytes, sent.public.count), (Some(15), Some(6)), "three attempts, three words");
    assert_eq!(home.records(RecordKind::Intent).len(), 1);
}

#[tokio::test]
async fn a_permit_for_a_host_reaches_no_device() {
    let home = Home::new();
    let host = "host:cloud.example:443".parse::<accord_consent::RecipientId>().unwrap();
    let cloud = accord_model::EntryKey::new("example/cloud").unwrap();
    home.grant(&cloud, To::One(host.clone()), Choice::Always).unwrap();
    let permit = home.bound.permit(&cloud, &host, FieldSet::EMPTY, "").unwrap();
    assert!(outlet::OneNear::open(permit, Ipv4Addr::LOCALHOST.into()).await.is_err());
}
