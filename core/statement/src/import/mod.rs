//! Reads other publishers' statement pages: plain text, Markdown, HTML, tables, arrays in source code,
//! and prose, in several languages.
//!
//! What is read is a **claim of the publisher**, never a basis for a permit. Nothing is dropped
//! silently: what could not be read, or reads in two ways, is a warning with its line.
//!
//! The way of a page: [`decode`] bytes → [`text`], [`html`] or [`code`] turn it into blocks →
//! [`assemble`] finds labels ([`labels`]), [`walk`] groups them into entries → [`finish`] reads the values
//! ([`items`], [`share`], [`dates`]).
//!
//! ```
//! let page = "Lebocast\nThird party name: Shenzhen Lebo Technology Co., Ltd.\nSharing type: SDK (Lebo SDK)\n\
//!             Shared data: TV name and type\nPurpose of use: recognizing TV model";
//! let read = accord_statement::import(page.as_bytes());
//! assert_eq!(read.entries[0].name.as_deref(), Some("Lebo SDK"));
//! assert_eq!(read.entries[0].shared_data[1].item, "TV type");
//! ```

mod address;
mod assemble;
mod block;
mod code;
mod columns;
mod cut;
mod dates;
mod decode;
mod fields;
mod finish;
mod html;
mod items;
mod labels;
mod language;
mod prose;
mod share;
mod suggest;
mod table;
mod text;
mod titles;
mod walk;
mod words;

use serde::{Deserialize, Serialize};

use crate::SharingType;

/// The longest page that is read, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most entries that are read of one page.
pub const MAX_ENTRIES: usize = 10_000;
/// The most warnings that are kept; one more says how many there were.
pub const MAX_WARNINGS: usize = 1_000;

/// A publisher's page as it was understood. Its JSON form is fixed: scripts depend on it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImportedStatement {
    /// The page's own title.
    pub title: Option<String>,
    /// As written, for example `v20250508`.
    pub version: Option<String>,
    /// `YYYY-MM-DD`, from the version or a date on the page.
    pub version_date: Option<String>,
    /// Primary language tag.
    pub language: Option<String>,
    /// What could not be read, or reads in two ways; most begin with `line N: `.
    pub warnings: Vec<String>,
    /// In the order of the page.
    pub entries: Vec<ImportedEntry>,
}

/// One entry of a page. What the page does not say is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImportedEntry {
    /// What the page calls the entry. Not a key: several entries may share one.
    pub title: Option<String>,
    /// Who receives.
    pub third_party: Option<String>,
    /// What sort of component shares.
    pub sharing_type: Option<SharingType>,
    /// The same, as written.
    pub sharing_type_raw: Option<String>,
    /// Name of the component: what stands in the brackets of the sharing type.
    pub name: Option<String>,
    /// The data, as written.
    pub shared_data_raw: Option<String>,
    /// The data, one by one.
    pub shared_data: Vec<DataItem>,
    /// Why.
    pub purpose: Option<String>,
    /// When.
    pub scenario: Option<String>,
    /// How.
    pub method: Option<String>,
    /// Link to the recipient's rules.
    pub rules_url: Option<String>,
    /// False when the page ends before the entry does.
    pub complete: bool,
}

/// One kind of data that an entry names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DataItem {
    /// What it is; stands alone (`TV type`, not `type`).
    pub item: String,
    /// What stood in brackets behind it: an alias, its parts, or a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl DataItem {
    /// The field code that this item certainly stands for. A person confirms it before it is used.
    pub fn suggested_code(&self) -> Option<accord_model::FieldCode> {
        suggest::code(self)
    }
}

/// Reads a page. Never fails: what is not understood becomes a warning.
pub fn import(bytes: &[u8]) -> ImportedStatement {
    let mut warnings = Warnings::default();
    let source = decode::decode(bytes, &mut warnings);
    if let Ok(mut read) = serde_json::from_str::<ImportedStatement>(&source)
        && source.contains("\"third_party\"")
    {
        read.entries.truncate(MAX_ENTRIES);
        return read;
    }
    let page = assemble::Page::of(&source);
    finish::finish(&source, page, warnings)
}

pub(crate) use items::items as split_items;
pub(crate) use labels::is_cjk;

/// Entry point for a fuzzer: any bytes, no panic, bounded output.
pub fn fuzz_import(bytes: &[u8]) {
    let read = import(bytes);
    assert!(read.entries.len() <= MAX_ENTRIES && read.warnings.len() <= MAX_WARNINGS + 1);
    let _ = crate::diff::diff_imported(&read, &read);
    let _ = crate::lint::lint_imported(&read);
}

/// Warnings with the line they are about, in the order of lines, bounded.
#[derive(Default)]
pub(crate) struct Warnings {
    list: Vec<(usize, String)>,
    more: usize,
}

impl Warnings {
    fn push(&mut self, line: usize, text: String) {
        if self.list.len() < MAX_WARNINGS {
            self.list.push((line, text));
        } else {
            self.more += 1;
        }
    }
    /// About the whole page.
    pub fn page(&mut self, text: String) {
        self.push(0, text);
    }
    /// About one line.
    pub fn line(&mut self, line: usize, text: String) {
        self.push(line, format!("line {line}: {text}"));
    }
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    pub fn into_list(mut self) -> Vec<String> {
        self.list.sort_by_key(|(line, _)| *line);
        self.list.dedup();
        let mut list: Vec<String> = self.list.into_iter().map(|(_, text)| text).collect();
        if self.more > 0 {
            list.push(format!("{} more warnings were left out", self.more));
        }
        list
    }
}

/// Text of the page in a warning: safe to show and short.
pub(crate) fn quote(text: &str) -> String {
    format!("“{}”", accord_model::text::for_screen(&block::clean(text), 80))
}
