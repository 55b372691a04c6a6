//! From the core's words to the API's: entries, consents, records.

use accord_consent::{Consent, ConsentState, Record, RecordKind, ledger};
use accord_model::{FieldCode, FieldSet};
use accord_statement::{Entry, Statement};

use crate::api::types as api;

/// How many records a view lists the details of.
const MAX_DETAILS: usize = 200;

pub fn fields(entry: &Entry) -> Vec<api::Field> {
    entry.fields.iter().map(|field| self::field(field.code, field.required)).collect()
}

fn field(code: FieldCode, required: bool) -> api::Field {
    api::Field { code, label: code.label().to_owned(), required, sensitive: code.is_sensitive() }
}

pub fn title(statement: &Statement, entry: &accord_model::EntryKey) -> String {
    let words = statement.entry(entry).and_then(|entry| entry.text.get("en"));
    words.map_or_else(|| entry.to_string(), |words| words.title.clone())
}

pub fn entry(entry: &Entry, consents: Vec<api::Consent>, lately: Vec<api::Record>) -> api::Entry {
    let words = entry.text.get("en").or_else(|| entry.text.values().next());
    let word = |of: fn(&accord_statement::EntryText) -> &String, codes: &[String]| {
        words.map(of).filter(|text| !text.is_empty()).cloned().unwrap_or_else(|| codes.join(", "))
    };
    let acquired = std::slice::from_ref(&entry.method.acquire);
    api::Entry {
        key: entry.key.to_string(),
        title: words.map_or_else(|| entry.key.to_string(), |words| words.title.clone()),
        recipient: entry.recipient.id.clone(),
        recipient_name: entry.recipient.name.clone(),
        means: entry.means.name.clone(),
        fields: fields(entry),
        data: word(|words| &words.data, &[]),
        purpose: word(|words| &words.purpose, &entry.purpose),
        scenario: word(|words| &words.scenario, &entry.scenario),
        method: word(|words| &words.method, acquired),
        transport: entry.method.transport.to_string(),
        hosts: entry.hosts.clone(),
        storage: entry.storage.clone(),
        retention: entry.retention.clone(),
        rules_url: entry.rules_url.clone(),
        fingerprint: entry.fingerprint().to_string(),
        consents,
        lately,
        join: super::joining::join(&entry.key),
    }
}

pub fn consent(consent: &Consent, statement: &Statement, name: impl Fn(&str) -> Option<String>) -> api::Consent {
    let to = consent.to.to_string();
    let (choice, until) = match consent.choice {
        accord_consent::Choice::Always => (api::Choice::Always, None),
        accord_consent::Choice::Once => (api::Choice::Once, None),
        accord_consent::Choice::Until(end) => (api::Choice::Until, Some(end)),
        accord_consent::Choice::Never => (api::Choice::Never, None),
    };
    let (state, difference) = match &consent.state {
        ConsentState::Given => (api::ConsentState::Given, None),
        ConsentState::Refused => (api::ConsentState::Refused, None),
        ConsentState::Used => (api::ConsentState::Used, None),
        ConsentState::Expired => (api::ConsentState::Expired, None),
        ConsentState::Withdrawn => (api::ConsentState::Withdrawn, None),
        ConsentState::Lapsed(difference) => (api::ConsentState::Lapsed, Some(difference.clone())),
        ConsentState::Unreadable => {
            (api::ConsentState::Lapsed, Some("the stored decision is damaged and counts as a no".to_owned()))
        }
    };
    api::Consent {
        id: consent.id.to_string(),
        entry: consent.entry.to_string(),
        entry_title: title(statement, &consent.entry),
        to_name: recipient_name(&to, name),
        to,
        choice,
        state,
        fields: codes(consent.fields),
        decided: consent.decided,
        until,
        withdrawn: consent.changed.filter(|_| state == api::ConsentState::Withdrawn),
        difference,
    }
}

pub fn record(record: &Record, name: impl Fn(&str) -> Option<String>) -> api::Record {
    let public = &record.public;
    let details = record.details.clone().unwrap_or_default();
    let shown = |text: &str| accord_model::text::for_screen(text, 1000);
    let mut lines: Vec<String> = details
        .items
        .iter()
        .take(MAX_DETAILS)
        .map(|item| format!("{} ({} bytes)", shown(&item.name), item.size))
        .collect();
    if details.items.len() > MAX_DETAILS {
        lines.push(format!("… and {} more", details.items.len() - MAX_DETAILS));
    }
    lines.extend(
        details
            .addresses
            .iter()
            .take(MAX_DETAILS)
            .map(|to| format!("{}: {} times, {} bytes", shown(&to.address), to.count, to.bytes)),
    );
    lines.extend(public.count.filter(|count| *count > 1).map(|count| format!("{count} times")));
    api::Record {
        seq: record.seq,
        time: public.time,
        kind: public.kind.to_string(),
        entry: public.entry.as_ref().map(ToString::to_string),
        recipient_name: details.recipient.as_deref().map(|to| recipient_name(to, name)),
        recipient: details.recipient,
        fields: codes(public.fields),
        address: details.address.map(|address| shown(&address)),
        bytes: public.bytes,
        wire_bytes: public.wire_bytes,
        digest: details.digest,
        refers: public.refers,
        scenario: details.scenario,
        message: match &record.damaged {
            Some(damaged) => Some(format!("damaged: {}", shown(damaged))),
            None => details.message.map(|message| shown(&message)),
        },
        details: lines,
        hash: record.hash.to_string(),
    }
}

/// Records that tell of sharing, as opposed to housekeeping.
pub fn is_sharing(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::Sent | RecordKind::Refused | RecordKind::Received | RecordKind::Error)
}

pub fn head(head: &accord_consent::Head) -> api::LedgerHead {
    api::LedgerHead { size: head.size, root: head.root.to_string(), signed: head.signed }
}

pub fn witness(witness: &ledger::Witness) -> api::LedgerHead {
    api::LedgerHead { size: witness.size, root: witness.root.to_string(), signed: Some(witness.time) }
}

/// A recipient as the owner knows it; `name` knows devices.
pub fn recipient_name(to: &str, name: impl Fn(&str) -> Option<String>) -> String {
    match to.split_once(':') {
        _ if to == "any" => "anyone of this kind".to_owned(),
        Some(("network", _)) => "everyone on this network".to_owned(),
        Some(("hub", _)) => "this device alone".to_owned(),
        Some(("device", id)) => name(id).unwrap_or_else(|| format!("a device that is gone ({})", short(id))),
        Some(("host", host)) => host.to_owned(),
        Some(("visitor", address)) => format!("a visitor at {address}"),
        _ => accord_model::text::for_screen(to, 60),
    }
}

fn short(id: &str) -> String {
    accord_model::text::for_screen(id, 16)
}

fn codes(fields: FieldSet) -> Vec<FieldCode> {
    fields.iter().collect()
}
