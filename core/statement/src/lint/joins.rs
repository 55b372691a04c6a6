//! Findings between entries: identifiers that several share, names and titles that stand for two things.

use std::collections::BTreeMap;

use accord_model::{FieldCode, field::FieldKind};

use super::{Level, Report, name_of};
use crate::{ImportedEntry, ImportedStatement, Statement};

/// The most entries that one finding names.
const SHOWN: usize = 8;

fn list(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(SHOWN).cloned().collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    shown.join(", ")
}

fn is_identifier(code: FieldCode) -> bool {
    // A derived id differs per entry and recipient: it joins nothing.
    code != FieldCode::ServiceIdDerived
        && (matches!(code.kind(), FieldKind::Identifier | FieldKind::Account)
            || matches!(
                code,
                FieldCode::NetMac | FieldCode::NetBt | FieldCode::NetP2p | FieldCode::HomeDeviceMac | FieldCode::CarMac
            ))
        && !matches!(code, FieldCode::AccountSame | FieldCode::KeyPublic)
}

pub(super) fn own(statement: &Statement, report: &mut Report) {
    let mut sharers: BTreeMap<FieldCode, Vec<usize>> = BTreeMap::new();
    let mut titles: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, entry) in statement.entries.iter().enumerate() {
        for field in entry.fields.iter().filter(|field| is_identifier(field.code)) {
            sharers.entry(field.code).or_default().push(at);
        }
        titles.entry(entry.title("en")).or_default().push(at);
    }
    let keys = |at: &[usize]| at.iter().map(|at| statement.entries[*at].key.to_string()).collect::<Vec<_>>();
    for (code, at) in sharers.iter().filter(|(_, at)| at.len() > 1) {
        let recipients: std::collections::BTreeSet<&str> =
            at.iter().map(|at| statement.entries[*at].recipient.id.as_str()).collect();
        let resettable = *code == FieldCode::DeviceIdResettable;
        let level = if recipients.len() == 1 || resettable { Level::Info } else { Level::Warning };
        let message = format!(
            "{} is shared by {}: what they know can be joined; derive an id for each",
            code.label(),
            list(&keys(at))
        );
        report.add(level, "joinable", None, Some("fields"), message);
    }
    for (title, at) in titles.iter().filter(|(_, at)| at.len() > 1) {
        report.add(
            Level::Info,
            "one-title-two-entries",
            None,
            Some("text"),
            format!("“{title}” is the title of {}", list(&keys(at))),
        );
    }
}

/// The stable identifiers that an entry shares, by a name that is the same for all who share it.
fn identifiers(entry: &ImportedEntry) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for item in &entry.shared_data {
        // Brackets behind a list name its parts; identifiers may hide there.
        let derived =
            item.detail.as_deref().is_some_and(|detail| detail.contains("based on") || detail.contains("derived"));
        let parts = match &item.detail {
            Some(detail) if !derived => crate::import::split_items(detail).0,
            _ => Vec::new(),
        };
        for item in std::iter::once(item).chain(&parts) {
            let known = item.suggested_code().filter(|code| is_identifier(*code));
            let name = match (known, item.detail.as_deref()) {
                (Some(FieldCode::DeviceIdResettable), _) => "device ID (OAID)".to_owned(),
                (Some(code), _) => code.label().to_owned(),
                (None, _) => {
                    let lower = item.item.to_lowercase();
                    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
                    let known = [
                        "imei", "imsi", "oaid", "idfa", "idfv", "gaid", "aaid", "fid", "meid", "iccid", "uuid", "udid",
                    ];
                    match words.iter().find(|word| known.contains(word)) {
                        Some(word) => word.to_uppercase(),
                        None if lower.ends_with("android id") || lower == "androidid" => "Android ID".to_owned(),
                        None => continue,
                    }
                }
            };
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

pub(super) fn imported(statement: &ImportedStatement, report: &mut Report) {
    let mut sharers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut names: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    let mut titles: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, entry) in statement.entries.iter().enumerate() {
        for name in identifiers(entry) {
            sharers.entry(name).or_default().push(at);
        }
        if let (Some(name), Some(party)) = (&entry.name, &entry.third_party) {
            names.entry(name.to_lowercase()).or_default().entry(party.to_lowercase()).or_default().push(at);
        }
        if let Some(title) = &entry.title {
            titles.entry(title).or_default().push(at);
        }
    }
    let show = |at: &[usize]| at.iter().map(|at| name_of(&statement.entries[*at])).collect::<Vec<_>>();
    for (identifier, at) in sharers.iter().filter(|(_, at)| at.len() > 1) {
        let recipients: std::collections::BTreeSet<_> = at
            .iter()
            .map(|at| statement.entries[*at].third_party.as_deref().unwrap_or_default().to_lowercase())
            .collect();
        let who = if recipients.len() == 1 {
            "one recipient can join them"
        } else {
            "the recipients can join what they know"
        };
        report.add(
            Level::Warning,
            "joinable",
            None,
            Some("shared_data"),
            format!("{identifier} is shared by {}: {who} through it", list(&show(at))),
        );
    }
    for parties in names.values().filter(|parties| parties.len() > 1) {
        let at: Vec<usize> = parties.values().flatten().copied().collect();
        let name = statement.entries[at[0]].name.clone().unwrap_or_default();
        let who: Vec<String> = parties.values().filter_map(|at| statement.entries[at[0]].third_party.clone()).collect();
        let message = format!(
            "“{name}” stands for {} recipients: {}; a name alone tells not who receives",
            who.len(),
            list(&who)
        );
        report.add(Level::Warning, "one-name-two-recipients", None, Some("name"), message);
    }
    for (title, at) in titles.iter().filter(|(_, at)| at.len() > 1) {
        let message = format!("“{title}” is the title of {} entries; tell them apart", at.len());
        report.add(
            Level::Info,
            "one-title-two-entries",
            Some((at[0], name_of(&statement.entries[at[0]]))),
            Some("title"),
            message,
        );
    }
}
