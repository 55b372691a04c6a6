//! Markdown: a heading and a list per entry.

use super::View;
use crate::Document;

/// The statement as Markdown.
pub fn markdown(document: &Document, language: &str) -> String {
    let view = View::of(document, language);
    let mut out = format!("# {}\n\n", escape(&view.title));
    for (name, text) in &view.facts {
        out.push_str(&format!("- {name}: {}\n", escape(text)));
    }
    if view.claim {
        out.push_str("\nThis is a publisher's claim, as read from its page; codes are suggestions.\n");
    }
    for entry in &view.entries {
        out.push_str(&format!("\n## {}\n\n", escape(&entry.title)));
        if let Some(key) = entry.key.as_ref().filter(|key| **key != entry.title) {
            out.push_str(&format!("- **Key**: {}\n", escape(key)));
        }
        out.push_str("- **What**:\n");
        for item in &entry.data {
            let code = item.code.map(|code| format!(" `{code}`")).unwrap_or_default();
            let notes =
                if item.notes.is_empty() { String::new() } else { format!(" ({})", escape(&item.notes.join("; "))) };
            out.push_str(&format!("  - {}{code}{notes}\n", escape(&item.label)));
        }
        for (label, text) in &entry.rows {
            out.push_str(&format!("- **{label}**: {}\n", escape(text)));
        }
        match entry.rules_url.as_deref() {
            Some(url) if url.starts_with("https://") || url.starts_with("http://") => {
                let safe: String = url.chars().filter(|c| !c.is_whitespace() && !matches!(c, '<' | '>')).collect();
                out.push_str(&format!("- **Rules**: <{safe}>\n"));
            }
            Some(text) => out.push_str(&format!("- **Rules**: {}\n", escape(text))),
            None => out.push_str("- **Rules**: not linked\n"),
        }
        for note in &entry.notes {
            out.push_str(&format!("- **Mind**: {note}\n"));
        }
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' => {
                // An underscore or hash within a word harms nothing and reads better plain.
                let quiet = matches!(c, '_' | '#' | '~') && out.ends_with(char::is_alphanumeric);
                if !quiet {
                    out.push('\\');
                }
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
