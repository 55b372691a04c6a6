//! Shows a statement: terminal, Markdown, HTML, JSON, and DPV 2.3 / ISO/IEC TS 27560 JSON-LD; and
//! differences and findings for the terminal. All text of a document is escaped for where it goes.

mod html;
mod jsonld;
mod markdown;
mod terminal;

use accord_model::text::for_screen;

use crate::{DataItem, Document, entry::NOT_STATED};

pub use html::html;
pub use jsonld::{DPV, json_ld};
pub use markdown::markdown;
pub use terminal::{Terminal, diff_text, lint_text, terminal};

/// The document as JSON: our canonical form, or the fixed form of an import.
pub fn json(document: &Document) -> serde_json::Value {
    match document {
        Document::Own(statement) => serde_json::to_value(statement),
        Document::Imported(statement) => serde_json::to_value(statement),
    }
    .unwrap_or_default()
}

/// The longest text that is shown of one value, in characters.
const LONGEST: usize = 4_000;

fn safe(text: &str) -> String {
    for_screen(text, LONGEST)
}

/// What all forms show, in the order in which they show it.
struct View {
    title: String,
    facts: Vec<(&'static str, String)>,
    /// A publisher's claim, not our own word.
    claim: bool,
    language: String,
    entries: Vec<ViewEntry>,
}

struct ViewEntry {
    title: String,
    /// Our key, or the component's name.
    key: Option<String>,
    data: Vec<ViewItem>,
    rows: Vec<(&'static str, String)>,
    rules_url: Option<String>,
    notes: Vec<&'static str>,
}

struct ViewItem {
    label: String,
    code: Option<&'static str>,
    notes: Vec<String>,
}

impl View {
    fn of(document: &Document, language: &str) -> Self {
        match document {
            Document::Own(statement) => {
                let mut facts =
                    vec![("Publisher", safe(&statement.publisher.name)), ("Version", safe(&statement.version))];
                facts.extend(statement.version_date.map(|date| ("Date", date.to_string())));
                facts.extend(statement.publisher.contact.as_ref().map(|contact| ("Contact", safe(contact))));
                Self {
                    title: safe(&statement.title),
                    facts,
                    claim: false,
                    language: safe(language),
                    entries: statement.entries.iter().map(|entry| own(entry, language)).collect(),
                }
            }
            Document::Imported(statement) => {
                let mut facts = Vec::new();
                facts.extend(statement.version.as_ref().map(|version| ("Version", safe(version))));
                facts.extend(statement.version_date.as_ref().map(|date| ("Date", safe(date))));
                Self {
                    title: safe(document.title()),
                    facts,
                    claim: true,
                    language: safe(statement.language.as_deref().unwrap_or("und")),
                    entries: statement.entries.iter().map(imported).collect(),
                }
            }
        }
    }
}

fn own(entry: &crate::Entry, language: &str) -> ViewEntry {
    let text = entry.text_in(language).cloned().unwrap_or_default();
    let words = |text: &str, codes: &[String]| if text.is_empty() { codes.join(", ") } else { text.to_owned() };
    let data = entry.fields.iter().map(|field| {
        let mut notes = vec![if field.required { "required".to_owned() } else { "optional".to_owned() }];
        if field.code.is_sensitive() {
            notes.push("asked at use".to_owned());
        }
        if !field.derived_from.is_empty() {
            let sources: Vec<_> = field.derived_from.iter().map(|code| code.label()).collect();
            notes.push(format!("computed from {}", sources.join(", ")));
        }
        ViewItem { label: field.code.label().to_owned(), code: Some(field.code.code()), notes }
    });
    let way = match entry.method.transport.as_str() {
        "none" => "does not leave this device".to_owned(),
        "lan" => "stays on your own network".to_owned(),
        "relay" => "may pass a relay, encrypted end to end".to_owned(),
        _ => format!("goes to {}", entry.hosts.join(", ")),
    };
    let mut rows = vec![
        ("Who receives", format!("{} ({})", entry.recipient.name, entry.recipient.role.replace('-', " "))),
        ("Through", format!("{} ({})", entry.means.name, entry.means.kind.label())),
        ("Why", words(&text.purpose, &entry.purpose)),
        ("When", words(&text.scenario, &entry.scenario)),
        ("How", words(&text.method, std::slice::from_ref(&entry.method.acquire))),
        ("Where to", way),
        ("Kept in", entry.storage.clone()),
        ("Kept for", entry.retention.clone()),
    ];
    if let Some(place) = &entry.recipient.jurisdiction {
        rows.push(("Jurisdiction", place.clone()));
    }
    if let Some(contact) = &entry.recipient.contact {
        rows.push(("Contact", contact.clone()));
    }
    rows.retain(|(_, text)| !text.is_empty());
    rows.iter_mut().for_each(|(_, text)| *text = safe(text));
    let notes = if entry.unbounded { vec!["open-ended: no permit can rest on it"] } else { Vec::new() };
    ViewEntry {
        title: safe(entry.title(language)),
        key: Some(entry.key.to_string()),
        data: data.collect(),
        rows,
        rules_url: entry.rules_url.as_deref().map(safe),
        notes,
    }
}

fn imported(entry: &crate::ImportedEntry) -> ViewEntry {
    let said = |text: &Option<String>| text.as_deref().map_or_else(|| NOT_STATED.to_owned(), safe);
    let item = |item: &DataItem| ViewItem {
        label: safe(&item.item),
        code: item.suggested_code().map(accord_model::FieldCode::code),
        notes: item.detail.iter().map(|detail| safe(detail)).collect(),
    };
    ViewEntry {
        title: said(&entry.title.clone().or_else(|| entry.name.clone())),
        key: entry.name.as_deref().map(safe),
        data: entry.shared_data.iter().map(item).collect(),
        rows: vec![
            ("Who receives", said(&entry.third_party)),
            ("Through", said(&entry.sharing_type_raw)),
            ("Why", said(&entry.purpose)),
            ("When", said(&entry.scenario)),
            ("How", said(&entry.method)),
        ],
        rules_url: entry.rules_url.as_deref().map(safe),
        notes: if entry.complete { Vec::new() } else { vec!["the page ends before this entry does"] },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> [Document; 2] {
        let page = include_bytes!("../../tests/pages/seed.txt");
        [Document::read("a", crate::EXAMPLE.as_bytes()).unwrap(), Document::Imported(crate::import(page))]
    }

    #[test]
    fn every_form_names_every_entry_and_its_data() {
        for document in documents() {
            let forms = [
                terminal(&document, "en", &Terminal { width: 72, colour: false }),
                markdown(&document, "en"),
                html(&document, "en"),
                json_ld(&document).to_string(),
            ];
            for entry in View::of(&document, "en").entries {
                for form in &forms {
                    assert!(form.contains(&entry.title), "{} in {form}", entry.title);
                }
            }
            assert!(forms[0].lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 72), "{}", forms[0]);
            assert!(!forms[0].contains('\u{1b}'));
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let page = "x<script>alert(1)</script>|\u{202e}\nThird party name: <img src=x onerror=alert(1)> | [a](javascript:x)\u{1b}[31m\nShared data: `a` & b\nRules: javascript:alert(1)";
        let mut read = crate::import(page.as_bytes());
        read.entries[0].rules_url = Some("javascript:alert(1)".to_owned());
        let document = Document::Imported(read);
        let html = html(&document, "en");
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("href=\"javascript"), "{html}");
        let markdown = markdown(&document, "en");
        assert!(!markdown.contains("<img") && !markdown.contains("](javascript"), "{markdown}");
        let text = terminal(&document, "en", &Terminal { width: 60, colour: false });
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    }
}
