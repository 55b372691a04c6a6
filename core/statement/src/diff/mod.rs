//! What changed between two versions of a statement, entry by entry, and which consents that ends.
//!
//! Our own entries are matched by their key and compared by what the gate enforces ([`crate::compare()`]).
//! A publisher's entries have no key: recipient and component name stand in for one, and where several
//! share these, the most similar data decide. A title is never a key.
//!
//! A publisher's wording is read with caution: a new part in a list of purposes widens; a part that has
//! nothing in common with the old text widens; what is no longer said bounds nothing and widens; other
//! rewording is editorial and names the field, so that a person looks at it.

mod words;

use std::collections::{BTreeMap, HashMap, HashSet};

use accord_model::FieldCode;
use serde::Serialize;

use crate::{
    Change, DataItem, Document, Entry, ImportedEntry, ImportedStatement, Statement, compare, wording::open_ended,
};
use words::{Wording, key, party_key};

/// The differences of two statements. Its JSON form is fixed: scripts depend on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// In the order of the newer statement; what is gone comes last.
    pub entries: Vec<DiffEntry>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiffEntry {
    /// Recipient and component name; for our own statements recipient and entry key.
    pub key: (Option<String>, Option<String>),
    /// The gravest difference.
    pub change: Change,
    /// Data that the newer entry adds.
    pub data_added: Vec<String>,
    /// Data that the newer entry drops.
    pub data_removed: Vec<String>,
    /// Names of the fields that differ.
    pub changed_fields: Vec<&'static str>,
    /// True when an agreement to the older entry does not cover the newer.
    pub consent_needed_again: bool,
    /// What people read on top; not in the JSON form.
    #[serde(skip)]
    pub title: Option<String>,
    /// The differences in sentences; not in the JSON form.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// Compares any two documents; of two kinds, ours is read as its words.
pub fn diff(old: &Document, new: &Document) -> Diff {
    match (old, new) {
        (Document::Own(old), Document::Own(new)) => diff_own(old, new),
        _ => diff_imported(&as_imported(old), &as_imported(new)),
    }
}

/// Compares two versions of our own statement.
pub fn diff_own(old: &Statement, new: &Statement) -> Diff {
    let mut entries = Vec::new();
    for entry in &new.entries {
        match old.entry(&entry.key) {
            Some(before) => {
                let found = compare(before, entry);
                let mut notes = found.widened;
                notes.extend(found.narrowed);
                let names = |set: accord_model::FieldSet| set.iter().map(|code| code.code().to_owned()).collect();
                entries.push(DiffEntry {
                    data_added: names(found.added),
                    data_removed: names(found.removed),
                    changed_fields: found.changed_fields,
                    notes,
                    ..own(entry, found.change)
                });
            }
            None => entries.push(DiffEntry { data_added: codes(entry), ..own(entry, Change::Added) }),
        }
    }
    for entry in old.entries.iter().filter(|entry| new.entry(&entry.key).is_none()) {
        entries.push(DiffEntry { data_removed: codes(entry), ..own(entry, Change::Removed) });
    }
    Diff { entries }
}

fn codes(entry: &Entry) -> Vec<String> {
    entry.fields.iter().map(|field| field.code.code().to_owned()).collect()
}

fn own(entry: &Entry, change: Change) -> DiffEntry {
    DiffEntry {
        key: (Some(entry.recipient.name.clone()), Some(entry.key.to_string())),
        title: Some(entry.title("en").to_owned()),
        ..blank(change)
    }
}

fn blank(change: Change) -> DiffEntry {
    DiffEntry {
        key: (None, None),
        change,
        data_added: Vec::new(),
        data_removed: Vec::new(),
        changed_fields: Vec::new(),
        consent_needed_again: change.asks_again(),
        title: None,
        notes: Vec::new(),
    }
}

fn as_imported(document: &Document) -> ImportedStatement {
    let statement = match document {
        Document::Imported(statement) => return statement.clone(),
        Document::Own(statement) => statement,
    };
    let entries = statement.entries.iter().map(|entry| {
        let text = entry.text_in(&statement.language).cloned().unwrap_or_default();
        let words = |text: String| Some(text).filter(|text| !text.is_empty());
        ImportedEntry {
            title: words(text.title),
            third_party: Some(entry.recipient.name.clone()),
            sharing_type: Some(entry.means.kind),
            sharing_type_raw: Some(format!("{} ({})", entry.means.kind.label(), entry.means.name)),
            name: Some(entry.means.name.clone()),
            shared_data_raw: words(text.data),
            shared_data: entry
                .fields
                .iter()
                .map(|field| DataItem { item: FieldCode::label(field.code).to_owned(), detail: None })
                .collect(),
            purpose: words(text.purpose),
            scenario: words(text.scenario),
            method: words(text.method),
            rules_url: entry.rules_url.clone(),
            complete: true,
        }
    });
    ImportedStatement {
        title: Some(statement.title.clone()),
        version: Some(statement.version.clone()),
        version_date: statement.version_date.map(|date| date.to_string()),
        language: Some(statement.language.clone()),
        warnings: Vec::new(),
        entries: entries.collect(),
    }
}

/// Compares two versions of a publisher's page.
pub fn diff_imported(old: &ImportedStatement, new: &ImportedStatement) -> Diff {
    let pairs = pairs(&old.entries, &new.entries);
    let mut entries = Vec::with_capacity(new.entries.len());
    let mut used = vec![false; old.entries.len()];
    for (entry, before) in new.entries.iter().zip(&pairs) {
        entries.push(match before {
            Some(at) => {
                used[*at] = true;
                compare_imported(&old.entries[*at], entry)
            }
            None => DiffEntry { data_added: names(entry), ..imported(entry, Change::Added) },
        });
    }
    for (entry, _) in old.entries.iter().zip(used).filter(|(_, used)| !used) {
        entries.push(DiffEntry { data_removed: names(entry), ..imported(entry, Change::Removed) });
    }
    Diff { entries }
}

fn names(entry: &ImportedEntry) -> Vec<String> {
    entry.shared_data.iter().map(show).collect()
}

fn show(item: &DataItem) -> String {
    match &item.detail {
        Some(detail) => format!("{} ({detail})", item.item),
        None => item.item.clone(),
    }
}

fn imported(entry: &ImportedEntry, change: Change) -> DiffEntry {
    DiffEntry { key: (entry.third_party.clone(), entry.name.clone()), title: entry.title.clone(), ..blank(change) }
}

/// The most entries of one recipient and name that are told apart by their data.
const MAX_GROUP: usize = 200;

/// For each new entry the old one that it continues.
fn pairs(old: &[ImportedEntry], new: &[ImportedEntry]) -> Vec<Option<usize>> {
    let place = |entry: &ImportedEntry| {
        let name = entry.name.as_deref().map(key).unwrap_or_default();
        (party_key(entry.third_party.as_deref().unwrap_or_default()), name)
    };
    let mut groups: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for (at, entry) in old.iter().enumerate() {
        groups.entry(place(entry)).or_default().push(at);
    }
    let mut pairs = vec![None; new.len()];
    let mut wanting: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (at, entry) in new.iter().enumerate() {
        wanting.entry(place(entry)).or_default().push(at);
    }
    for (place, news) in wanting {
        let Some(olds) = groups.get(&place) else { continue };
        let nameless = place.1.is_empty();
        let items_of = |list: &[ImportedEntry], at: &[usize]| -> Vec<(usize, HashSet<String>)> {
            at.iter().take(MAX_GROUP).map(|at| (*at, items(&list[*at]))).collect()
        };
        let (old_items, new_items) = (items_of(old, olds), items_of(new, &news));
        let mut scores: Vec<(usize, usize, usize)> = Vec::new();
        for (b, after) in &new_items {
            for (a, before) in &old_items {
                let score = likeness(&old[*a], before, &new[*b], after);
                let titled = || old[*a].title.as_deref().map(key) == new[*b].title.as_deref().map(key);
                let lone = olds.len() == 1 && news.len() == 1 && titled();
                // Without a name, the recipient alone says too little.
                if !nameless || score >= 300 || lone || old[*a] == new[*b] {
                    scores.push((score, *a, *b));
                }
            }
        }
        scores.sort_by_key(|(score, a, b)| (usize::MAX - score, *a, *b));
        let mut taken = Vec::new();
        for (_, a, b) in scores {
            if pairs[b].is_none() && !taken.contains(&a) {
                pairs[b] = Some(a);
                taken.push(a);
            }
        }
    }
    pairs
}

fn items(entry: &ImportedEntry) -> HashSet<String> {
    entry.shared_data.iter().take(300).map(|item| key(&item.item)).collect()
}

/// How alike two entries are, of 1300.
fn likeness(old: &ImportedEntry, a: &HashSet<String>, new: &ImportedEntry, b: &HashSet<String>) -> usize {
    let all = a.union(b).count();
    let data = (a.intersection(b).count() * 1000).checked_div(all).unwrap_or(0);
    let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a.as_deref().map(key) == b.as_deref().map(key);
    data + 150 * usize::from(same(&old.title, &new.title))
        + 100 * usize::from(same(&old.purpose, &new.purpose))
        + 50 * usize::from(same(&old.scenario, &new.scenario))
}

#[derive(Default)]
struct Tally {
    widened: bool,
    narrowed: bool,
    reworded: bool,
    fields: Vec<&'static str>,
    notes: Vec<String>,
}

impl Tally {
    fn note(&mut self, field: &'static str, change: Wording, text: impl Into<String>) {
        match change {
            Wording::Same => return,
            Wording::Reworded => self.reworded = true,
            Wording::Narrowed => self.narrowed = true,
            Wording::Widened => self.widened = true,
        }
        if !self.fields.contains(&field) {
            self.fields.push(field);
        }
        self.notes.push(text.into());
    }
}

fn compare_imported(old: &ImportedEntry, new: &ImportedEntry) -> DiffEntry {
    let mut tally = Tally::default();
    let (data_added, data_removed) = data(old, new, &mut tally);
    sharing(old, new, &mut tally);
    text("purpose", &old.purpose, &new.purpose, &mut tally);
    text("scenario", &old.scenario, &new.scenario, &mut tally);
    method(old, new, &mut tally);
    plain("rules_url", &old.rules_url, &new.rules_url, &mut tally);
    plain("title", &old.title, &new.title, &mut tally);
    plain("third_party", &old.third_party, &new.third_party, &mut tally);
    let change = if tally.widened {
        Change::Widened
    } else if tally.narrowed {
        Change::Narrowed
    } else if tally.reworded {
        Change::Editorial
    } else {
        Change::Unchanged
    };
    DiffEntry { data_added, data_removed, changed_fields: tally.fields, notes: tally.notes, ..imported(new, change) }
}

fn data(old: &ImportedEntry, new: &ImportedEntry, tally: &mut Tally) -> (Vec<String>, Vec<String>) {
    let index = |entry: &ImportedEntry| -> HashMap<String, Vec<Option<String>>> {
        let mut index: HashMap<String, Vec<Option<String>>> = HashMap::new();
        for item in &entry.shared_data {
            index.entry(key(&item.item)).or_default().push(item.detail.clone());
        }
        index
    };
    let (before, after) = (index(old), index(new));
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for item in &new.shared_data {
        let Some(details) = before.get(&key(&item.item)) else {
            added.push(show(item));
            continue;
        };
        if details.iter().any(|detail| detail.as_deref().map(key) == item.detail.as_deref().map(key)) {
            continue;
        }
        match words::detail(details.first().and_then(Option::as_deref), item.detail.as_deref()) {
            words::Detail::Same => {}
            words::Detail::Clearer => {
                tally.note("shared_data", Wording::Reworded, format!("{} is described more closely", item.item))
            }
            words::Detail::Looser => {
                added.push(show(item));
                tally.note(
                    "shared_data",
                    Wording::Widened,
                    format!("{} is no longer limited to what stood in its brackets", item.item),
                );
            }
            words::Detail::Parts { more, fewer } => {
                added.extend(more.into_iter().map(|part| format!("{} ({part})", item.item)));
                removed.extend(fewer.into_iter().map(|part| format!("{} ({part})", item.item)));
            }
        }
    }
    removed.extend(old.shared_data.iter().filter(|item| !after.contains_key(&key(&item.item))).map(show));
    if !added.is_empty() {
        tally.note("shared_data", Wording::Widened, format!("also shares {}", added.join(", ")));
    }
    if new.shared_data.is_empty() && !removed.is_empty() {
        tally.note("shared_data", Wording::Widened, unstated("shared_data", &removed.join(", ")));
    } else if !removed.is_empty() {
        tally.note("shared_data", Wording::Narrowed, format!("no longer shares {}", removed.join(", ")));
    }
    let open = |entry: &ImportedEntry| entry.shared_data_raw.as_deref().and_then(open_ended).map(str::to_owned);
    match (open(old), open(new)) {
        (None, Some(words)) => {
            tally.note("shared_data", Wording::Widened, format!("the list of data is now open-ended (“{words}”)"))
        }
        (Some(_), None) => tally.note("shared_data", Wording::Narrowed, "the list of data is no longer open-ended"),
        _ => {}
    }
    (added, removed)
}

fn sharing(old: &ImportedEntry, new: &ImportedEntry, tally: &mut Tally) {
    let word = |kind: Option<crate::SharingType>| kind.map_or("not known", crate::SharingType::label);
    if old.sharing_type != new.sharing_type {
        let change = if old.sharing_type.is_some() { Wording::Widened } else { Wording::Reworded };
        tally.note(
            "sharing_type",
            change,
            format!("sharing type: {} (was: {})", word(new.sharing_type), word(old.sharing_type)),
        );
    }
}

fn text(field: &'static str, old: &Option<String>, new: &Option<String>, tally: &mut Tally) {
    match (old, new) {
        (Some(a), Some(b)) => {
            let mut change = words::compare(a, b);
            if open_ended(b).is_some() && open_ended(a).is_none() {
                change = Wording::Widened;
            }
            tally.note(field, change, format!("{field}: “{b}” (was: “{a}”)"));
        }
        (Some(a), None) => tally.note(field, Wording::Widened, unstated(field, a)),
        (None, Some(b)) => tally.note(field, Wording::Reworded, format!("{field} is now stated: “{b}”")),
        (None, None) => {}
    }
}

/// What bounded an entry and is not said any more bounds nothing.
fn unstated(field: &str, old: &str) -> String {
    format!("{field} is no longer stated (was: “{old}”)")
}

fn method(old: &ImportedEntry, new: &ImportedEntry, tally: &mut Tally) {
    let (Some(a), Some(b)) = (&old.method, &new.method) else {
        return text("method", &old.method, &new.method, tally);
    };
    let change = match words::compare(a, b) {
        Wording::Same => Wording::Same,
        _ => match words::reach(b).cmp(&words::reach(a)) {
            std::cmp::Ordering::Greater => Wording::Widened,
            std::cmp::Ordering::Less if words::reach(b) > 0 => Wording::Narrowed,
            _ => Wording::Reworded,
        },
    };
    tally.note("method", change, format!("method: “{b}” (was: “{a}”)"));
}

fn plain(field: &'static str, old: &Option<String>, new: &Option<String>, tally: &mut Tally) {
    let same = if field == "rules_url" { old == new } else { old.as_deref().map(key) == new.as_deref().map(key) };
    if !same {
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "not stated".to_owned());
        tally.note(field, Wording::Reworded, format!("{field}: {} (was: {})", word(new), word(old)));
    }
}

#[cfg(test)]
mod tests;
