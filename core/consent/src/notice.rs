//! What the owner is shown before deciding: the entry, whole, in words.

use std::fmt::Write;

use accord_model::{EntryKey, FieldSet};
use accord_statement::Entry;
use sha2::{Digest, Sha256};

use crate::{Shown, ledger::Hash};

/// An entry in words. A consent names the hash of the notice that was shown, so that agreeing to one
/// text cannot stand for agreeing to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which entry.
    pub entry: EntryKey,
    /// Its title.
    pub title: String,
    /// The language of the text.
    pub language: String,
    /// The whole text, one statement per line.
    pub text: String,
    /// All fields that the entry declares.
    pub fields: FieldSet,
    /// Those that cannot be left out.
    pub required: FieldSet,
    /// The hash over entry and text.
    pub hash: Hash,
}

impl Notice {
    pub(crate) fn of(entry: &Entry, language: &str) -> Self {
        let words = entry.text_in(language);
        let title = entry.title(language).to_owned();
        let fields: Vec<_> = entry
            .fields
            .iter()
            .map(|field| {
                if field.required {
                    field.code.label().to_owned()
                } else {
                    format!("{} (optional)", field.code.label())
                }
            })
            .collect();
        let mut text = format!("{title}\n");
        let mut line = |label: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "{label}: {value}");
            }
        };
        line("To", &format!("{} ({})", entry.recipient.name, entry.recipient.id));
        line("Through", &entry.means.name);
        line("What", &fields.join(", "));
        if let Some(words) = words {
            line("Why", &words.purpose);
            line("When", &words.scenario);
            line("How", &words.method);
        }
        line("Carried by", &entry.method.transport);
        line("Hosts", &entry.hosts.join(", "));
        line("Kept at", &entry.storage);
        line("Kept for", &entry.retention);
        line("Rules", entry.rules_url.as_deref().unwrap_or_default());
        let hash = Sha256::new()
            .chain_update(entry.fingerprint().to_string())
            .chain_update([0])
            .chain_update(&text)
            .finalize();
        Self {
            entry: entry.key.clone(),
            title,
            language: language.to_owned(),
            text,
            fields: entry.field_set(),
            required: entry.required(),
            hash: Hash(hash.into()),
        }
    }

    /// Says that this notice was shown, for a [`crate::Decision`].
    pub fn shown(&self, surface: &str) -> Shown {
        Shown { hash: self.hash, language: self.language.clone(), surface: surface.to_owned() }
    }
}
