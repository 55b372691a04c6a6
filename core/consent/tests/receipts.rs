//! Receipts hold every field that ISO/IEC TS 27560:2023 makes mandatory.

mod common;

use accord_consent::{Choice, To};
use common::*;

#[test]
fn a_receipt_has_a_record_per_decision_with_every_mandatory_field() {
    let home = Home::new();
    let consent = home.agree();
    home.grant(&beacon(), To::Any, Choice::Never).unwrap();
    home.gate.withdraw(consent.id).unwrap();
    let receipt = home.gate.receipts();
    assert!(receipt["receipt_id"].is_string() && receipt["schema_version"].is_string());
    let records = receipt["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    for record in records {
        for field in ["schema_version", "record_id", "pii_principal_id"] {
            assert!(record[field].is_string(), "{field}: {record}");
        }
        let processing = &record["processing"];
        for field in [
            "privacy_notice",
            "language",
            "purpose",
            "pii_information",
            "storage_location",
            "retention_period",
            "jurisdiction",
            "recipient_third_parties",
            "withdrawal_method",
        ] {
            assert!(!processing[field].is_null(), "{field}: {record}");
        }
        for party in record["parties"].as_array().unwrap() {
            for field in ["party_id", "party_name", "party_address", "party_contact", "party_type"] {
                assert!(party[field].is_string(), "{field}: {record}");
            }
        }
        for event in record["events"].as_array().unwrap() {
            for field in ["event_time", "validity_duration", "entity_id", "event_type", "event_state"] {
                assert!(event[field].is_string(), "{field}: {record}");
            }
        }
    }
    let hello = records.iter().find(|record| record["accord:entry"] == "example/hello").unwrap();
    let states: Vec<_> =
        hello["events"].as_array().unwrap().iter().map(|event| event["event_state"].as_str().unwrap()).collect();
    assert_eq!(states, ["dpv:ConsentGiven", "dpv:ConsentWithdrawn"]);
    assert!(
        hello["processing"]["pii_information"]
            .as_array()
            .unwrap()
            .iter()
            .any(|datum| datum["accord:field"] == "device.name")
    );
}
