//! Whether a newer entry shares more, less, or is only reworded. Widening makes a consent lapse;
//! narrowing and rewording carry it over.

use accord_model::{FieldCode, FieldSet};
use serde::Serialize;

use crate::{
    Entry,
    entry::{NOT_STATED, host_covers},
};

/// What became of an entry between two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing.
    Unchanged,
    /// Only what people read.
    Editorial,
    /// It shares less.
    Narrowed,
    /// It shares more, or with someone else, for longer, or for another reason.
    Widened,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
}

impl Change {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Editorial => "editorial",
            Self::Narrowed => "narrowed",
            Self::Widened => "widened",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }
    /// True when an agreement to the older form does not cover the newer.
    pub const fn asks_again(self) -> bool {
        matches!(self, Self::Widened | Self::Added)
    }
}

/// The outcome of [`compare`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The gravest of all differences.
    pub change: Change,
    /// Fields that the newer entry adds.
    pub added: FieldSet,
    /// Fields that the newer entry drops.
    pub removed: FieldSet,
    /// Names of the parts of the entry that differ.
    pub changed_fields: Vec<&'static str>,
    /// What the newer entry shares in addition, one sentence each, in English.
    pub widened: Vec<String>,
    /// What the newer entry no longer shares, one sentence each, in English.
    pub narrowed: Vec<String>,
}

impl Comparison {
    /// The widening in one line, for a prompt; `None` when nothing widened.
    pub fn difference(&self) -> Option<String> {
        (!self.widened.is_empty()).then(|| self.widened.join("; "))
    }
    fn note(&mut self, field: &'static str, widened: bool, text: String) {
        if self.changed_fields.last() != Some(&field) {
            self.changed_fields.push(field);
        }
        if widened { &mut self.widened } else { &mut self.narrowed }.push(text);
    }
}

/// Compares two versions of one entry. `Unchanged` and `Editorial` hold exactly when the fingerprints
/// are equal.
pub fn compare(old: &Entry, new: &Entry) -> Comparison {
    let mut found = Comparison {
        change: Change::Unchanged,
        added: new.field_set().minus(old.field_set()),
        removed: old.field_set().minus(new.field_set()),
        changed_fields: Vec::new(),
        widened: Vec::new(),
        narrowed: Vec::new(),
    };
    if old.recipient.id != new.recipient.id {
        found.note("recipient", true, format!("goes to {} instead of {}", new.recipient.name, old.recipient.name));
    }
    if old.means != new.means {
        let means = |entry: &Entry| format!("{} ({})", entry.means.name, entry.means.kind.label());
        found.note("means", true, format!("goes through {} instead of {}", means(new), means(old)));
    }
    fields(old, new, &mut found);
    words("purpose", "for", &old.purpose, &new.purpose, &mut found);
    words("scenario", "at", &old.scenario, &new.scenario, &mut found);
    method(old, new, &mut found);
    keeping(old, new, &mut found);
    if old.unbounded != new.unbounded {
        let text = if new.unbounded { "the list of data is open-ended" } else { "the list of data is closed" };
        found.note("unbounded", new.unbounded, text.to_owned());
    }
    found.change = match (found.widened.is_empty(), found.narrowed.is_empty()) {
        (false, _) => Change::Widened,
        (true, false) => Change::Narrowed,
        (true, true) if old.text_hash() != new.text_hash() => Change::Editorial,
        (true, true) => Change::Unchanged,
    };
    wording(old, new, &mut found);
    found
}

fn fields(old: &Entry, new: &Entry, found: &mut Comparison) {
    let names = |set: FieldSet| set.iter().map(FieldCode::label).collect::<Vec<_>>().join(", ");
    if !found.added.is_empty() {
        found.note("fields", true, format!("also shares {}", names(found.added)));
    }
    if !found.removed.is_empty() {
        found.note("fields", false, format!("no longer shares {}", names(found.removed)));
    }
    for field in &new.fields {
        let Some(before) = old.fields.iter().find(|before| before.code == field.code) else { continue };
        if before.required != field.required {
            let word = if field.required { "required" } else { "optional" };
            found.note("fields", field.required, format!("{} becomes {word}", field.code.label()));
        }
        let sources: FieldSet = field.derived_from.iter().copied().collect();
        let sources_before: FieldSet = before.derived_from.iter().copied().collect();
        let more = sources.minus(sources_before);
        let fewer = sources_before.minus(sources);
        if !more.is_empty() {
            found.note("fields", true, format!("{} is now computed from {}", field.code.label(), names(more)));
        }
        if !fewer.is_empty() {
            let text = format!("{} is no longer computed from {}", field.code.label(), names(fewer));
            found.note("fields", false, text);
        }
    }
}

fn words(field: &'static str, joint: &str, old: &[String], new: &[String], found: &mut Comparison) {
    let beyond = |a: &[String], b: &[String]| a.iter().filter(|word| !b.contains(word)).cloned().collect::<Vec<_>>();
    let (more, fewer) = (beyond(new, old), beyond(old, new));
    if !more.is_empty() {
        found.note(field, true, format!("also {joint} {}", more.join(", ")));
    }
    if !fewer.is_empty() {
        found.note(field, false, format!("no longer {joint} {}", fewer.join(", ")));
    }
}

fn method(old: &Entry, new: &Entry, found: &mut Comparison) {
    if old.method.acquire != new.method.acquire {
        let widened = new.method.acquire != "user-picks";
        let text = format!("taken by {} instead of {}", new.method.acquire, old.method.acquire);
        found.note("method", widened, text);
    }
    if old.method.transport != new.method.transport {
        let widened = transport_rank(&new.method.transport) >= transport_rank(&old.method.transport);
        let text = format!("goes by {} instead of {}", new.method.transport, old.method.transport);
        found.note("method", widened, text);
    }
    let beyond = |a: &Entry, b: &Entry| {
        let outside = a.hosts.iter().filter(|host| !b.hosts.iter().any(|wide| host_covers(wide, host)));
        outside.cloned().collect::<Vec<_>>()
    };
    let (more, fewer) = (beyond(new, old), beyond(old, new));
    if !more.is_empty() {
        found.note("hosts", true, format!("also goes to {}", more.join(", ")));
    }
    if !fewer.is_empty() {
        found.note("hosts", false, format!("no longer goes to {}", fewer.join(", ")));
    }
    let set = |entry: &Entry| entry.hosts.iter().cloned().collect::<std::collections::BTreeSet<_>>();
    if more.is_empty() && fewer.is_empty() && set(old) != set(new) {
        found.note("hosts", false, "names the same hosts in another way".to_owned());
    }
}

fn keeping(old: &Entry, new: &Entry, found: &mut Comparison) {
    if old.storage != new.storage {
        let widened = new.storage != "none" && old.storage != NOT_STATED;
        found.note("storage", widened, format!("kept in: {} (was: {})", new.storage, old.storage));
    }
    if old.retention != new.retention {
        let widened = retention_seconds(&new.retention) > retention_seconds(&old.retention);
        found.note("retention", widened, format!("kept for: {} (was: {})", new.retention, old.retention));
    }
}

/// Parts of the wording that differ, after the parts that bind.
fn wording(old: &Entry, new: &Entry, found: &mut Comparison) {
    if old.recipient != new.recipient && old.recipient.id == new.recipient.id {
        found.changed_fields.push("recipient-details");
    }
    if old.rules_url != new.rules_url {
        found.changed_fields.push("rules_url");
    }
    if old.text != new.text {
        found.changed_fields.push("text");
    }
}

/// How far a transport class reaches; `None` for an unknown word.
pub(crate) fn transport_rank(transport: &str) -> Option<u8> {
    ["none", "lan", "relay", "hosts"].iter().position(|word| *word == transport).map(|rank| rank as u8)
}

/// How long a retention lasts in seconds; a year has 366 days and a month 31, so that a rewriting in
/// smaller units is never mistaken for a shortening. `None` when it is not understood.
pub(crate) fn retention_seconds(retention: &str) -> Option<u64> {
    match retention {
        "none" => return Some(0),
        "session" => return Some(1),
        "until-deleted" => return Some(u64::MAX - 1),
        NOT_STATED => return Some(u64::MAX),
        _ => {}
    }
    let rest = retention.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').map_or((rest, None), |(days, time)| (days, Some(time)));
    if (days.is_empty() && time.is_none()) || time == Some("") {
        return None;
    }
    let day = 86_400;
    let total = units(days, &[('Y', 366 * day), ('M', 31 * day), ('W', 7 * day), ('D', day)])?;
    total.checked_add(units(time.unwrap_or_default(), &[('H', 3600), ('M', 60), ('S', 1)])?)
}

fn units(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let (mut total, mut number, mut next) = (0u64, None::<u64>, 0);
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
            continue;
        }
        let at = next + units.get(next..)?.iter().position(|(unit, _)| *unit == c)?;
        total = total.checked_add(number.take()?.checked_mul(units[at].1)?)?;
        next = at + 1;
    }
    number.is_none().then_some(total)
}
