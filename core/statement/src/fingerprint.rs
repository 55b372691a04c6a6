//! What a consent binds to: SHA-256 over RFC 8785 canonical JSON of everything that decides what is
//! shared, with whom, why, when, how and for how long. The wording has a hash of its own.

use std::{collections::BTreeSet, fmt, str::FromStr};

use accord_model::FieldCode;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{Entry, Statement};

/// A SHA-256 hash; 64 hexadecimal digits in text and JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits")]
pub struct BadFingerprint;

impl Fingerprint {
    /// From the bytes of a hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// The hash of a value's canonical JSON, under a domain so that hashes of different things never meet.
    ///
    /// Numbers beyond the range of a double and map keys that are not text have no canonical form; such
    /// values do not occur in this crate's types, and hash as their plain JSON.
    pub fn of(domain: &str, value: &impl Serialize) -> Self {
        let text = serde_json_canonicalizer::to_vec(value).or_else(|_| serde_json::to_vec(value)).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(domain.as_bytes());
        hash.update([0]);
        hash.update(&text);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Fingerprint {
    type Err = BadFingerprint;
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| BadFingerprint)?;
        Ok(Self(bytes.try_into().map_err(|_| BadFingerprint)?))
    }
}
impl TryFrom<String> for Fingerprint {
    type Error = BadFingerprint;
    fn try_from(text: String) -> Result<Self, BadFingerprint> {
        text.parse()
    }
}
impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

fn set(words: &[String]) -> BTreeSet<&str> {
    words.iter().map(String::as_str).collect()
}

impl Entry {
    /// The hash of what is shared, with whom, why, when, how and for how long. The order of fields,
    /// purposes, scenarios and hosts plays no part, nor does any wording.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut fields: Vec<_> = self
            .fields
            .iter()
            .map(|field| {
                let sources: BTreeSet<&str> = field.derived_from.iter().map(|code| FieldCode::code(*code)).collect();
                (field.code.code(), field.required, sources)
            })
            .collect();
        fields.sort();
        fields.dedup();
        let value = json!({
            "recipient": self.recipient.id,
            "means": { "type": self.means.kind, "name": self.means.name },
            "fields": fields,
            "purpose": set(&self.purpose),
            "scenario": set(&self.scenario),
            "acquire": self.method.acquire,
            "transport": self.method.transport,
            "hosts": set(&self.hosts),
            "storage": self.storage,
            "retention": self.retention,
            "unbounded": self.unbounded,
        });
        Fingerprint::of("accord-entry-1", &value)
    }

    /// The hash of what people read: names, links and texts in all languages.
    pub fn text_hash(&self) -> Fingerprint {
        let value = json!({ "recipient": self.recipient, "rules_url": self.rules_url, "text": self.text });
        Fingerprint::of("accord-entry-text-1", &value)
    }
}

impl Statement {
    /// The hash of the whole document.
    pub fn hash(&self) -> Fingerprint {
        Fingerprint::of("accord-statement-1", self)
    }
}
