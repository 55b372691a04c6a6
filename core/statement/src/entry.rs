//! The words of a statement. Every value that the gate looks at is a code or a closed word;
//! what people read lies apart in [`EntryText`], so that rewording never changes what was agreed to.

use std::collections::BTreeMap;

use accord_model::{EntryKey, FieldCode, FieldSet};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A versioned document that declares every sharing of one publisher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Format version of this document; 1.
    #[serde(rename = "accord_statement", default = "format_version")]
    pub format: u8,
    /// Stable name of the document.
    pub id: String,
    /// What people read on top.
    pub title: String,
    /// Who publishes it and answers for it.
    pub publisher: Publisher,
    /// The publisher's version.
    pub version: String,
    /// When this version was published, if said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_date: Option<Date>,
    /// Language of the title and the first of the texts, as a BCP 47 tag.
    #[serde(default = "english")]
    pub language: String,
    /// What is shared, sorted by key; keys are unique.
    pub entries: Vec<Entry>,
}

fn format_version() -> u8 {
    1
}

pub(crate) fn english() -> String {
    "en".to_owned()
}

impl Statement {
    /// The entry with this key.
    pub fn entry(&self, key: &EntryKey) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == *key)
    }
}

/// Who publishes a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// Name of the person, project or company.
    pub name: String,
    /// Where to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Publisher {
    /// A publisher of whom only the name is known.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), contact: None, url: None }
    }
}

/// One recipient + one means + a set of fields + purpose + scenario + method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `owner/name`; the owner is the feature or bridge that may use it.
    pub key: EntryKey,
    /// Who receives.
    pub recipient: Recipient,
    /// Through what.
    pub means: Means,
    /// Which data, sorted by code; codes are unique.
    pub fields: Vec<Field>,
    /// Why, as dotted words (`service.transfer`).
    pub purpose: Vec<String>,
    /// When, as dotted words (`on.send`).
    pub scenario: Vec<String>,
    /// How.
    pub method: Method,
    /// The only hosts it may go to, `name[:port]`, `*.name[:port]`. Empty unless it leaves the network.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Where the recipient keeps it; `none` or `not stated` are allowed answers.
    #[serde(default = "not_stated")]
    pub storage: String,
    /// How long the recipient keeps it: `none`, `session`, an ISO 8601 duration, `until-deleted` or `not stated`.
    #[serde(default = "not_stated")]
    pub retention: String,
    /// The recipient's own rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_url: Option<String>,
    /// True when the wording leaves the set of fields open. Never a basis for a permit.
    #[serde(default)]
    pub unbounded: bool,
    /// What people read, by language.
    pub text: BTreeMap<String, EntryText>,
}

/// What a statement says where it says nothing.
pub const NOT_STATED: &str = "not stated";

pub(crate) fn not_stated() -> String {
    NOT_STATED.to_owned()
}

impl Entry {
    /// Every field the entry declares.
    pub fn field_set(&self) -> FieldSet {
        self.fields.iter().map(|field| field.code).collect()
    }
    /// The fields without which the feature cannot work.
    pub fn required(&self) -> FieldSet {
        self.fields.iter().filter(|field| field.required).map(|field| field.code).collect()
    }
    /// The text in `language`, else in a language of the same primary tag, else English, else any.
    pub fn text_in(&self, language: &str) -> Option<&EntryText> {
        let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        self.text
            .get(language)
            .or_else(|| self.text.iter().find(|(tag, _)| primary(tag) == primary(language)).map(|(_, text)| text))
            .or_else(|| self.text.get("en"))
            .or_else(|| self.text.values().next())
    }
    /// The title in `language` or the next best; the key when there is no text.
    pub fn title(&self, language: &str) -> &str {
        self.text_in(language).map_or(self.key.as_str(), |text| text.title.as_str())
    }
    /// True when a field is of the kind that is asked for at the moment of use.
    pub fn is_sensitive(&self) -> bool {
        self.fields.iter().any(|field| field.code.is_sensitive())
    }
    /// True when `host` (`name:port` or `name`) is declared.
    pub fn allows_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| host_covers(pattern, host))
    }
}

/// True when the host pattern `wide` lets through everything that `narrow` lets through.
pub(crate) fn host_covers(wide: &str, narrow: &str) -> bool {
    let (wide_name, wide_port) = split_port(wide);
    let (name, port) = split_port(narrow);
    let port_fits = wide_port.is_none() || wide_port == port;
    let name_fits = match wide_name.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => {
            let plain = name.strip_prefix('*').unwrap_or(name);
            plain.len() >= suffix.len()
                && plain.is_char_boundary(plain.len() - suffix.len())
                && plain[plain.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
                && (name.starts_with('*') || plain.len() > suffix.len())
        }
        _ => wide_name.eq_ignore_ascii_case(name),
    };
    port_fits && name_fits
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            (name, Some(port))
        }
        _ => (host, None),
    }
}

/// Who receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// `paired-device`, `local-network`, `visitor`, `relay`, or a stable name of a company.
    pub id: String,
    /// What people read.
    pub name: String,
    /// What it is to the publisher: `own-device`, `service-provider`, `same-group`, `third-party`.
    #[serde(default = "third_party")]
    pub role: String,
    /// Whose law it is under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// Where to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

fn third_party() -> String {
    "third-party".to_owned()
}

/// Through what data leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Means {
    /// What sort of component it is.
    #[serde(rename = "type")]
    pub kind: SharingType,
    /// Its name.
    pub name: String,
}

/// What sort of component shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SharingType {
    /// A library of the recipient beside the program.
    Sdk,
    /// A library of the recipient inside the program.
    EmbeddedSdk,
    /// Another program on the device.
    App,
    /// A program that is opened or asked through a link.
    LinkedApp,
    /// Something that is reached over a network or an interface.
    Service,
}

impl SharingType {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sdk => "sdk",
            Self::EmbeddedSdk => "embedded-sdk",
            Self::App => "app",
            Self::LinkedApp => "linked-app",
            Self::Service => "service",
        }
    }
    /// What people read, in English.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sdk => "SDK",
            Self::EmbeddedSdk => "Embedded SDK",
            Self::App => "App",
            Self::LinkedApp => "Linked app",
            Self::Service => "Service",
        }
    }
}

/// One kind of data that an entry declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Which.
    pub code: FieldCode,
    /// The feature cannot work without it.
    #[serde(default)]
    pub required: bool,
    /// What it is computed from. Gives no right to send the sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<FieldCode>,
}

/// How data leave: who takes them, and where they go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// `in-process`, `api`, `user-picks`, …
    pub acquire: String,
    /// `none`, `lan`, `relay` or `hosts`, from the nearest to the farthest.
    pub transport: String,
}

/// What people read of an entry, in one language.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryText {
    /// A few words.
    pub title: String,
    /// Why.
    #[serde(default)]
    pub purpose: String,
    /// When.
    #[serde(default)]
    pub scenario: String,
    /// How.
    #[serde(default)]
    pub method: String,
    /// Which data, in words.
    #[serde(default)]
    pub data: String,
}
