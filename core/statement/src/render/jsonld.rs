//! The statement as a notice in DPV 2.3, with the terms that the guide for ISO/IEC TS 27560:2023 asks of
//! a consent record's processing part. DPV has no precise term for many of our codes: the nearest
//! broader one stands with our own code beside it.

use serde_json::{Value, json};

use crate::{DataItem, Document, Entry, ImportedEntry, SharingType, entry::NOT_STATED};

/// The version of DPV that is meant; 2.3 changed the meaning of `ServiceProvision`, so it is pinned.
pub const DPV: &str = "https://w3id.org/dpv/2.3/dpv#";

fn context() -> Value {
    json!({
        "dpv": DPV,
        "pd": "https://w3id.org/dpv/2.3/pd#",
        "tech": "https://w3id.org/dpv/2.3/tech#",
        "dpv-27560": "https://w3id.org/dpv/schema/dpv-27560#",
        "dct": "http://purl.org/dc/terms/",
        "accord": "urn:accord:field:",
    })
}

/// The statement as JSON-LD.
pub fn json_ld(document: &Document) -> Value {
    let mut out = json!({
        "@context": context(),
        "@type": "dpv:PrivacyNotice",
        "dct:conformsTo": ["dpv-27560:record", "https://w3id.org/dpv/2.3"],
    });
    match document {
        Document::Own(statement) => {
            out["@id"] = json!(format!("urn:accord:statement:{}", statement.hash()));
            out["dct:identifier"] = json!(statement.id);
            out["dct:title"] = json!(statement.title);
            out["dct:hasVersion"] = json!(statement.version);
            out["dct:language"] = json!(statement.language);
            out["dct:publisher"] = json!({ "@type": "dpv:Entity", "dpv:hasName": statement.publisher.name, "dpv:hasContact": statement.publisher.contact });
            if let Some(date) = statement.version_date {
                out["dct:issued"] = json!(date.to_string());
            }
            out["dpv:hasProcess"] = statement.entries.iter().map(|entry| own(entry, &statement.language)).collect();
        }
        Document::Imported(statement) => {
            out["dct:title"] = json!(statement.title);
            out["dct:hasVersion"] = json!(statement.version);
            out["dct:language"] = json!(statement.language);
            out["dct:issued"] = json!(statement.version_date);
            out["dct:provenance"] = json!("read from a publisher's page; a claim, not mapped by a person");
            out["dpv:hasProcess"] = statement.entries.iter().map(imported).collect();
        }
    }
    out
}

fn means(kind: SharingType) -> &'static str {
    match kind {
        SharingType::Sdk | SharingType::EmbeddedSdk => "tech:SoftwareLibrary",
        SharingType::App | SharingType::LinkedApp => "tech:Application",
        SharingType::Service => "tech:Service",
    }
}

fn role(role: &str) -> &'static str {
    match role {
        "own-device" => "dpv:DataSubject",
        "service-provider" | "same-group" => "dpv:ServiceProvider",
        _ => "dpv:ThirdParty",
    }
}

fn own(entry: &Entry, language: &str) -> Value {
    let text = entry.text_in(language).cloned().unwrap_or_default();
    let data: Vec<Value> = entry
        .fields
        .iter()
        .map(|field| {
            let mut types = vec![field.code.dpv()];
            if field.code.is_sensitive() {
                types.push("dpv:SensitivePersonalData");
            }
            if !field.derived_from.is_empty() {
                types.push("dpv:DerivedPersonalData");
            }
            let sources: Vec<String> = field.derived_from.iter().map(|code| format!("accord:{code}")).collect();
            json!({
                "@id": format!("accord:{}", field.code),
                "@type": types,
                "dct:title": field.code.label(),
                "dpv:hasNecessity": if field.required { "dpv:Required" } else { "dpv:Optional" },
                "dct:source": sources,
                "fideslang": field.code.fides(),
            })
        })
        .collect();
    let location = match entry.method.transport.as_str() {
        "none" => "dpv:WithinDevice",
        "lan" => "dpv:LocalLocation",
        _ => "dpv:RemoteLocation",
    };
    json!({
        "@id": format!("urn:accord:entry:{}", entry.fingerprint()),
        "@type": "dpv:Process",
        "dct:identifier": entry.key,
        "dct:title": text.title,
        "dpv:hasPersonalData": data,
        "dpv:hasPurpose": entry.purpose.iter().map(|word| json!({ "@type": "dpv:Purpose", "dct:identifier": word, "dct:description": text.purpose })).collect::<Vec<_>>(),
        "dpv:hasProcessing": ["dpv:Collect", "dpv:Transmit"],
        "dpv:hasRecipient": {
            "@type": role(&entry.recipient.role),
            "dct:identifier": entry.recipient.id,
            "dpv:hasName": entry.recipient.name,
            "dpv:hasContact": entry.recipient.contact,
        },
        "dpv:hasJurisdiction": entry.recipient.jurisdiction.as_deref().unwrap_or(NOT_STATED),
        "dpv:isImplementedUsingTechnology": { "@type": means(entry.means.kind), "dct:title": entry.means.name },
        "dpv:hasContext": entry.scenario.iter().map(|word| json!({ "dct:identifier": word, "dct:description": text.scenario })).collect::<Vec<_>>(),
        "dpv:hasLocation": location,
        "dpv:hasStorageCondition": { "dpv:hasLocation": entry.storage, "dpv:hasDuration": entry.retention },
        "dpv:hasLegalBasis": "dpv:Consent",
        "dpv:hasConsentControl": { "@type": "dpv:WithdrawConsent", "dct:description": "in the Privacy page of the hub, or `accord consent withdraw`" },
        "dpv:hasNotice": entry.rules_url,
        "accord:hosts": entry.hosts,
        "accord:text": entry.text_hash(),
    })
}

fn imported(entry: &ImportedEntry) -> Value {
    let data = |item: &DataItem| {
        let code = item.suggested_code();
        json!({
            "@type": code.map_or("dpv:PersonalData", |code| code.dpv()),
            "dct:title": item.item,
            "dct:description": item.detail,
            "accord:suggested": code,
        })
    };
    json!({
        "@type": "dpv:Process",
        "dct:title": entry.title.as_ref().or(entry.name.as_ref()).map_or(NOT_STATED, String::as_str),
        "dpv:hasPersonalData": entry.shared_data.iter().map(data).collect::<Vec<_>>(),
        "dpv:hasPurpose": { "@type": "dpv:Purpose", "dct:description": entry.purpose },
        "dpv:hasRecipient": { "@type": "dpv:Recipient", "dpv:hasName": entry.third_party },
        "dpv:isImplementedUsingTechnology": { "@type": entry.sharing_type.map(means), "dct:title": entry.name },
        "dpv:hasContext": { "dct:description": entry.scenario },
        "dpv:hasProcessing": { "dct:description": entry.method },
        "dpv:hasStorageCondition": { "dpv:hasLocation": NOT_STATED, "dpv:hasDuration": NOT_STATED },
        "dpv:hasJurisdiction": NOT_STATED,
        "dpv:hasNotice": entry.rules_url,
    })
}
