//! Reads our own `statement.toml` and joins the parts into one statement.
//!
//! A part names its owner and lists entries; [`crate::EXAMPLE`] explains every field:
//!
//! ```toml
//! owner = "files"                       # every key starts with `files/`
//!
//! [[entry]]
//! key = "files/send"
//! recipient = { id = "paired-device", name = "The device you send to", role = "own-device" }
//! means = { type = "service", name = "Accord link" }
//! fields = [{ code = "file.name", required = true }, { code = "file.content", required = true }, "file.meta"]
//! purpose = ["service.transfer"]
//! scenario = ["on.send"]
//! method = { acquire = "user-picks", transport = "lan" }
//! hosts = []
//! storage = "inbox of the receiving device"
//! retention = "until-deleted"
//! [entry.text.en]
//! title = "Sending files"
//! ```
//!
//! A file that stands alone may open with `[statement]` (`id`, `title`, `publisher`, `version`,
//! `version_date`, `language`). Unknown fields, unknown codes and doubled keys are errors: what is
//! misspelt must not silently share less or more than was meant.

use std::collections::{BTreeMap, BTreeSet};

use accord_model::{EntryKey, FieldCode, text::for_screen};
use jiff::civil::Date;
use serde::Deserialize;

use crate::{
    Entry, EntryText, Field, Means, Method, Publisher, Recipient, Statement,
    compare::retention_seconds,
    entry::{english, not_stated},
};

/// Why a `statement.toml` was not read.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// Not TOML, or a field is unknown, missing or of the wrong type.
    #[error("{file}: {message}")]
    Syntax {
        /// Which part.
        file: String,
        /// What and where, as the TOML reader says it.
        message: String,
    },
    /// An entry says something that cannot hold.
    #[error("{file}: entry `{entry}`, {field}: {problem}; {remedy}")]
    Entry {
        /// Which part.
        file: String,
        /// Which entry.
        entry: String,
        /// Which field of it.
        field: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// Two parts declare the same entry.
    #[error("entry `{0}` is declared twice; keep one of them")]
    Twice(EntryKey),
}

/// One `statement.toml`: the entries of one owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The folder that owns the entries.
    pub owner: String,
    /// The header of a file that stands alone.
    pub header: Option<Header>,
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// The `[statement]` table of a file that stands alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Stable name of the document.
    pub id: String,
    /// What people read on top.
    pub title: String,
    /// Who publishes it.
    pub publisher: Publisher,
    /// The publisher's version.
    pub version: String,
    /// `YYYY-MM-DD`.
    #[serde(default)]
    pub version_date: Option<Date>,
    /// BCP 47 tag.
    #[serde(default = "english")]
    pub language: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    owner: String,
    statement: Option<Header>,
    #[serde(default)]
    entry: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    key: EntryKey,
    recipient: Recipient,
    means: Means,
    fields: Vec<RawField>,
    purpose: Vec<String>,
    scenario: Vec<String>,
    method: Method,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default = "not_stated")]
    storage: String,
    #[serde(default = "not_stated")]
    retention: String,
    #[serde(default)]
    rules_url: Option<String>,
    #[serde(default)]
    unbounded: bool,
    text: BTreeMap<String, EntryText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawField {
    Code(String),
    Full(FullField),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullField {
    code: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    derived_from: Vec<String>,
}

impl Part {
    /// Reads one part. `file` is named in errors.
    ///
    /// # Errors
    /// [`OwnError`] that names the file, the entry, the field and what to do.
    pub fn parse(file: &str, text: &str) -> Result<Self, OwnError> {
        let raw: RawPart = toml::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
            .map_err(|error| OwnError::Syntax { file: file.to_owned(), message: error.to_string() })?;
        let mut entries = Vec::with_capacity(raw.entry.len());
        for entry in raw.entry {
            entries.push(Check { file, key: entry.key.as_str().to_owned() }.entry(&raw.owner, entry)?);
        }
        Ok(Self { owner: raw.owner, header: raw.statement, entries })
    }

    /// The part as a statement of its own; the header's words where there is one.
    ///
    /// # Errors
    /// [`OwnError::Twice`] when two entries have one key.
    pub fn into_statement(self) -> Result<Statement, OwnError> {
        let header = self.header.unwrap_or_else(|| Header {
            id: self.owner.clone(),
            title: format!("Sharing statement of {}", self.owner),
            publisher: Publisher::named(self.owner.clone()),
            version: "0".to_owned(),
            version_date: None,
            language: english(),
        });
        Ok(Statement {
            format: 1,
            id: header.id,
            title: header.title,
            publisher: header.publisher,
            version: header.version,
            version_date: header.version_date,
            language: header.language,
            entries: sorted(self.entries)?,
        })
    }
}

fn sorted(mut entries: Vec<Entry>) -> Result<Vec<Entry>, OwnError> {
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    match entries.windows(2).find(|pair| pair[0].key == pair[1].key) {
        Some(pair) => Err(OwnError::Twice(pair[0].key.clone())),
        None => Ok(entries),
    }
}

impl Statement {
    /// Joins the parts of all features and bridges into one statement, sorted by key.
    ///
    /// # Errors
    /// [`OwnError`] when a part cannot be read or a key is declared twice.
    pub fn join(
        id: impl Into<String>,
        title: impl Into<String>,
        publisher: Publisher,
        version: impl Into<String>,
        parts: &[&str],
    ) -> Result<Self, OwnError> {
        let mut entries = Vec::new();
        for (index, text) in parts.iter().enumerate() {
            entries.extend(Part::parse(&part_name(index, text), text)?.entries);
        }
        Ok(Self {
            format: 1,
            id: id.into(),
            title: title.into(),
            publisher,
            version: version.into(),
            version_date: None,
            language: english(),
            entries: sorted(entries)?,
        })
    }
}

fn part_name(index: usize, text: &str) -> String {
    let owner = text.lines().find_map(|line| line.trim().strip_prefix("owner")?.trim_start().strip_prefix('='));
    match owner {
        Some(owner) => format!("statement.toml of {}", for_screen(owner.trim().trim_matches(['"', '\'']), 60)),
        None => format!("statement.toml, part {}", index + 1),
    }
}

/// Checks one entry and knows how to say where it went wrong.
struct Check<'a> {
    file: &'a str,
    key: String,
}

impl Check<'_> {
    fn fail(&self, field: &'static str, problem: impl Into<String>, remedy: impl Into<String>) -> OwnError {
        let (file, entry) = (self.file.to_owned(), self.key.clone());
        OwnError::Entry { file, entry, field, problem: problem.into(), remedy: remedy.into() }
    }

    fn entry(&self, owner: &str, raw: RawEntry) -> Result<Entry, OwnError> {
        if raw.key.owner() != owner || !raw.key.as_str().contains('/') {
            let remedy = format!("write `{owner}/<name>`");
            return Err(self.fail("key", format!("does not belong to owner `{}`", for_screen(owner, 60)), remedy));
        }
        let fields = self.fields(raw.fields)?;
        self.words("purpose", &raw.purpose)?;
        self.words("scenario", &raw.scenario)?;
        self.method(&raw.method, &raw.hosts)?;
        if raw.recipient.id.trim().is_empty() || raw.recipient.name.trim().is_empty() {
            return Err(self.fail("recipient", "has no id or no name", "say who receives"));
        }
        const ROLES: [&str; 4] = ["own-device", "service-provider", "same-group", "third-party"];
        if !ROLES.contains(&raw.recipient.role.as_str()) {
            let problem = format!("role `{}` is unknown", for_screen(&raw.recipient.role, 40));
            return Err(self.fail("recipient", problem, format!("use one of {}", ROLES.join(", "))));
        }
        if raw.means.name.trim().is_empty() {
            return Err(self.fail("means", "has no name", "name the component that shares"));
        }
        if retention_seconds(&raw.retention).is_none() {
            let problem = format!("`{}` is not understood", for_screen(&raw.retention, 40));
            let remedy = "use none, session, an ISO 8601 duration such as P30D, until-deleted, or `not stated`";
            return Err(self.fail("retention", problem, remedy));
        }
        if raw.rules_url.as_deref().is_some_and(|url| !url.starts_with("https://")) {
            return Err(self.fail("rules_url", "is not an https link", "give an https link or leave it out"));
        }
        if raw.text.is_empty() || raw.text.values().any(|text| text.title.trim().is_empty()) {
            return Err(self.fail("text", "has no title", "add [entry.text.en] with at least a title"));
        }
        Ok(Entry {
            key: raw.key,
            recipient: raw.recipient,
            means: raw.means,
            fields,
            purpose: raw.purpose,
            scenario: raw.scenario,
            method: raw.method,
            hosts: raw.hosts,
            storage: raw.storage,
            retention: raw.retention,
            rules_url: raw.rules_url,
            unbounded: raw.unbounded,
            text: raw.text,
        })
    }

    fn code(&self, text: &str) -> Result<FieldCode, OwnError> {
        text.parse().map_err(|problem: String| {
            let near = FieldCode::ALL.iter().filter(|code| code.code().split('.').next() == text.split('.').next());
            let near: Vec<_> = near.map(|code| code.code()).collect();
            let remedy = if near.is_empty() {
                "use a code of accord-model's field list".to_owned()
            } else {
                format!("did you mean one of {}?", near.join(", "))
            };
            self.fail("fields", problem, remedy)
        })
    }

    fn fields(&self, raw: Vec<RawField>) -> Result<Vec<Field>, OwnError> {
        let mut fields = Vec::with_capacity(raw.len());
        for field in raw {
            fields.push(match field {
                RawField::Code(code) => Field { code: self.code(&code)?, required: false, derived_from: Vec::new() },
                RawField::Full(full) => Field {
                    code: self.code(&full.code)?,
                    required: full.required,
                    derived_from: full.derived_from.iter().map(|code| self.code(code)).collect::<Result<_, _>>()?,
                },
            });
        }
        fields.sort_by_key(|field| field.code);
        if let Some(pair) = fields.windows(2).find(|pair| pair[0].code == pair[1].code) {
            return Err(self.fail("fields", format!("`{}` is listed twice", pair[0].code), "keep one"));
        }
        if fields.is_empty() {
            return Err(self.fail(
                "fields",
                "is empty",
                "list what is shared; an entry that shares nothing is not needed",
            ));
        }
        Ok(fields)
    }

    fn words(&self, field: &'static str, words: &[String]) -> Result<(), OwnError> {
        let plain = |word: &String| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        };
        if words.is_empty() {
            return Err(self.fail(field, "is empty", "give at least one dotted word"));
        }
        match words.iter().find(|word| !plain(word)) {
            Some(word) => {
                let problem = format!("`{}` is not a dotted word", for_screen(word, 40));
                Err(self.fail(field, problem, "use a-z, 0-9, `-`, `_` and dots; prose belongs into text"))
            }
            None if words.iter().collect::<BTreeSet<_>>().len() < words.len() => {
                Err(self.fail(field, "lists a word twice", "keep one"))
            }
            None => Ok(()),
        }
    }

    fn method(&self, method: &Method, hosts: &[String]) -> Result<(), OwnError> {
        if method.acquire.trim().is_empty() {
            return Err(self.fail("method", "acquire is empty", "say who takes the data: in-process, api, user-picks"));
        }
        if crate::compare::transport_rank(&method.transport).is_none() {
            let problem = format!("transport `{}` is unknown", for_screen(&method.transport, 40));
            return Err(self.fail("method", problem, "use none, lan, relay or hosts"));
        }
        let fits = |host: &String| {
            let name = host.strip_prefix("*.").unwrap_or(host);
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b))
        };
        if let Some(host) = hosts.iter().find(|host| !fits(host)) {
            let problem = format!("`{}` is no host", for_screen(host, 60));
            return Err(self.fail("hosts", problem, "write name:port or *.name:port in lower case"));
        }
        if method.transport == "hosts" && hosts.is_empty() {
            return Err(self.fail("hosts", "is empty while transport is `hosts`", "name every host it may go to"));
        }
        if matches!(method.transport.as_str(), "none" | "lan") && !hosts.is_empty() {
            let problem = format!("names hosts while transport is `{}`", method.transport);
            return Err(self.fail("hosts", problem, "set transport to `hosts` or remove the hosts"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(change: (&str, &str)) -> String {
        let text = crate::EXAMPLE.replace(change.0, change.1);
        assert_ne!(text, crate::EXAMPLE, "the example holds {}", change.0);
        Part::parse("x/statement.toml", &text).unwrap_err().to_string()
    }

    #[test]
    fn the_example_reads_and_sorts_its_fields() {
        let part = Part::parse("example", crate::EXAMPLE).unwrap();
        let entry = &part.entries[0];
        assert_eq!(entry.required().iter().collect::<Vec<_>>(), [FieldCode::DeviceName]);
        assert!(entry.fields.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(entry.title("de-AT"), "Ein Gerät grüßen");
    }

    #[test]
    fn an_error_names_file_entry_field_and_remedy() {
        for (change, wants) in [
            (("\"battery.level\"", "\"battery.levle\""), "battery.level"),
            (("\"battery.level\"", "\"device.name\""), "twice"),
            (("example/greeting", "other/greeting"), "example/<name>"),
            (("transport = \"lan\"", "transport = \"hosts\""), "name every host"),
            (("transport = \"lan\"", "transport = \"air\""), "none, lan, relay or hosts"),
            (("retention = \"session\"", "retention = \"a while\""), "P30D"),
            (("purpose = [\"service.greeting\"]", "purpose = [\"Say hello\"]"), "prose belongs into text"),
        ] {
            let message = error(change);
            assert!(message.contains(wants), "{message}");
            assert!(message.contains("x/statement.toml") && message.contains("/greeting"), "{message}");
        }
        assert!(error(("storage =", "storrage =")).contains("storrage"), "a misspelt field is no silent default");
    }

    #[test]
    fn a_key_is_declared_once() {
        let joined = Statement::join("a", "A", Publisher::named("a"), "1", &[crate::EXAMPLE, crate::EXAMPLE]);
        assert!(matches!(joined, Err(OwnError::Twice(_))));
    }
}
