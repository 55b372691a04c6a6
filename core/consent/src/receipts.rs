//! Consents as records after ISO/IEC TS 27560:2023 in the JSON-LD of the Data Privacy Vocabulary 2.3
//! (guide of 15 February 2026, profile `dpv-27560:record`). What the statement does not say is written
//! as `not stated`, not left out.

use accord_model::Timestamp;
use accord_statement::{Entry, Statement, entry::NOT_STATED};
use serde_json::{Value, json};

use crate::{Choice, Consent, ConsentState};

/// All consents of the owner as one receipt around records.
pub fn render(statement: &Statement, consents: &[Consent]) -> Value {
    let records: Vec<_> = consents.iter().map(|consent| record(statement, consent)).collect();
    json!({
        "@context": {
            "dpv": "https://w3id.org/dpv#",
            "pd": "https://w3id.org/dpv/pd#",
            "tech": "https://w3id.org/dpv/tech#",
            "dpv-27560": "https://w3id.org/dpv/schema/27560#",
            "dct": "http://purl.org/dc/terms/",
            "accord": "https://accord.invalid/ns#"
        },
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": ["https://w3id.org/dpv/schema/27560#receipt-record", "ISO/IEC TS 27560:2023"],
        "dpv:hasVersion": "2.3",
        "schema_version": "dpv-27560:2.3",
        "receipt_id": format!("urn:accord:receipt:{}:{}", statement.hash(), Timestamp::now().as_second()),
        "dct:created": Timestamp::now().to_string(),
        "records": records,
    })
}

fn record(statement: &Statement, consent: &Consent) -> Value {
    let agreed = consent.agreed.as_deref().or_else(|| statement.entry(&consent.entry));
    let mut record = json!({
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": "https://w3id.org/dpv/schema/27560#record",
        "schema_version": "dpv-27560:2.3",
        "record_id": format!("urn:accord:consent:{}", consent.id),
        "pii_principal_id": "urn:accord:owner",
        "accord:entry": consent.entry,
        "accord:fingerprint": consent.fingerprint,
        "accord:statementVersion": consent.statement,
        "accord:recipientOfDecision": consent.to,
    });
    if let Some(entry) = agreed {
        record["processing"] = processing(statement, entry, consent);
        record["parties"] = parties(statement, entry);
    }
    record["events"] = events(consent);
    record
}

fn processing(statement: &Statement, entry: &Entry, consent: &Consent) -> Value {
    let text = entry.text_in(&consent.shown.language);
    let data: Vec<_> = consent
        .fields
        .iter()
        .map(|field| {
            let declared = entry.fields.iter().find(|declared| declared.code == field);
            json!({
                "@type": field.dpv(),
                "accord:field": field,
                "dct:title": field.label(),
                "dpv:hasNecessity": if declared.is_some_and(|declared| declared.required) { "dpv:Required" } else { "dpv:Optional" },
                "sensitive": field.is_sensitive(),
                "accord:derivedFrom": declared.map(|declared| declared.derived_from.clone()).unwrap_or_default(),
            })
        })
        .collect();
    json!({
        "privacy_notice": { "@type": "dpv:ConsentNotice", "accord:hash": consent.shown.hash, "accord:surface": consent.shown.surface,
            "dct:title": entry.title(&consent.shown.language), "accord:statement": statement.id },
        "language": consent.shown.language,
        "purpose": entry.purpose,
        "purpose_description": text.map_or(NOT_STATED, |text| text.purpose.as_str()),
        "lawful_basis": "dpv:Consent",
        "pii_information": data,
        "collection_method": entry.method.acquire,
        "processing_method": entry.method.transport,
        "scenario": entry.scenario,
        "means": { "name": entry.means.name, "type": entry.means.kind },
        "hosts": entry.hosts,
        "storage_location": entry.storage,
        "retention_period": entry.retention,
        "jurisdiction": entry.recipient.jurisdiction.as_deref().unwrap_or(NOT_STATED),
        "recipient_third_parties": [entry.recipient.id],
        "withdrawal_method": format!("accord consent withdraw {}; or the switch on the page Privacy", consent.entry),
        "policy": entry.rules_url.as_deref().unwrap_or(NOT_STATED),
    })
}

fn parties(statement: &Statement, entry: &Entry) -> Value {
    let publisher = &statement.publisher;
    json!([
        {
            "party_id": format!("urn:accord:publisher:{}", statement.id),
            "party_name": publisher.name,
            "party_contact": publisher.contact.as_deref().unwrap_or(NOT_STATED),
            "party_address": publisher.url.as_deref().unwrap_or(NOT_STATED),
            "party_type": "dpv:DataController",
        },
        {
            "party_id": entry.recipient.id,
            "party_name": entry.recipient.name,
            "party_contact": entry.recipient.contact.as_deref().unwrap_or(NOT_STATED),
            "party_address": NOT_STATED,
            "party_type": match entry.recipient.role.as_str() {
                "third-party" => "dpv:ThirdParty",
                "own-device" => "dpv:DataSubject",
                _ => "dpv:DataProcessor",
            },
        }
    ])
}

fn events(consent: &Consent) -> Value {
    let validity = match consent.choice {
        Choice::Always => "until withdrawn".to_owned(),
        Choice::Once => "one disclosure".to_owned(),
        Choice::Until(end) => end.to_string(),
        Choice::Never => "until changed".to_owned(),
    };
    let event = |time: Timestamp, state: &str| {
        json!({ "event_time": time.to_string(), "validity_duration": validity, "entity_id": "urn:accord:owner",
            "event_type": "dpv:ExpressedConsent", "event_state": state })
    };
    let first = if consent.choice == Choice::Never { "dpv:ConsentRefused" } else { "dpv:ConsentGiven" };
    let mut events = vec![event(consent.decided, first)];
    let later = match consent.state {
        ConsentState::Given | ConsentState::Refused => None,
        ConsentState::Withdrawn => Some("dpv:ConsentWithdrawn"),
        ConsentState::Used | ConsentState::Expired => Some("dpv:ConsentExpired"),
        ConsentState::Lapsed(_) => Some("dpv:ConsentInvalidated"),
        ConsentState::Unreadable => Some("dpv:ConsentUnknown"),
    };
    if let Some(state) = later {
        events.push(event(consent.changed.unwrap_or(consent.decided), state));
    }
    Value::from(events)
}
