//! Plain text for a terminal, wrapped by display width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{View, safe};
use crate::{Change, Diff, Document, Level, Lint};

/// How wide, and whether colours are understood.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Columns; fewer than 40 are taken as 40.
    pub width: usize,
    /// Whether to use ANSI colours.
    pub colour: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { width: 80, colour: false }
    }
}

impl Terminal {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
    fn columns(&self) -> usize {
        self.width.max(40)
    }
    /// `text` under a label, wrapped, with later lines under the first.
    fn row(&self, out: &mut String, label: &str, text: &str) {
        const LABEL: usize = 14;
        let lines = wrap(text, self.columns().saturating_sub(LABEL + 2));
        for (at, line) in lines.iter().enumerate() {
            let head = if at == 0 { format!("{label:<LABEL$}") } else { " ".repeat(LABEL) };
            out.push_str("  ");
            out.push_str(&self.paint("2", &head));
            out.push_str(line);
            out.push('\n');
        }
    }
    fn lines(&self, out: &mut String, indent: usize, text: &str) {
        for line in wrap(text, self.columns().saturating_sub(indent)) {
            out.push_str(&" ".repeat(indent));
            out.push_str(&line);
            out.push('\n');
        }
    }
}

/// Words in lines of at most `width` columns; a longer word is broken.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(10);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let wide = word.width();
        if used > 0 && used + 1 + wide > width && (wide <= width || used * 2 > width) {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            lines.last_mut().expect("there is always a line").push(' ');
            used += 1;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > width {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("there is always a line").push(c);
            used += wide;
        }
    }
    lines
}

/// A statement for the terminal.
pub fn terminal(document: &Document, language: &str, terminal: &Terminal) -> String {
    let view = View::of(document, language);
    let mut out = String::new();
    for line in wrap(&view.title, terminal.columns()) {
        out.push_str(&terminal.paint("1", &line));
        out.push('\n');
    }
    let facts: Vec<String> = view.facts.iter().map(|(name, text)| format!("{name}: {text}")).collect();
    terminal.lines(&mut out, 0, &facts.join(" · "));
    if view.claim {
        terminal.lines(&mut out, 0, "A publisher's claim, as read from its page; codes are suggestions.");
    }
    for (at, entry) in view.entries.iter().enumerate() {
        out.push('\n');
        let key =
            entry.key.as_ref().filter(|key| **key != entry.title).map(|key| format!("  [{key}]")).unwrap_or_default();
        for line in wrap(&format!("{}. {}{key}", at + 1, entry.title), terminal.columns()) {
            out.push_str(&terminal.paint("1", &line));
            out.push('\n');
        }
        for (at, item) in entry.data.iter().enumerate() {
            let mut text = item.label.clone();
            if !item.notes.is_empty() {
                text = format!("{text} ({})", item.notes.join("; "));
            }
            if let Some(code) = item.code {
                text = format!("{text} · {code}");
            }
            terminal.row(&mut out, if at == 0 { "What" } else { "" }, &text);
        }
        if entry.data.is_empty() {
            terminal.row(&mut out, "What", "not stated");
        }
        for (label, text) in &entry.rows {
            terminal.row(&mut out, label, text);
        }
        terminal.row(&mut out, "Rules", entry.rules_url.as_deref().unwrap_or("not linked"));
        for note in &entry.notes {
            terminal.row(&mut out, "Mind", note);
        }
    }
    if let Document::Imported(statement) = document
        && !statement.warnings.is_empty()
    {
        out.push('\n');
        out.push_str(&terminal.paint("1", "What could not be read for certain"));
        out.push('\n');
        for warning in &statement.warnings {
            terminal.lines(&mut out, 2, &safe(warning));
        }
    }
    out
}

/// Differences for the terminal, gravest first, with a summary line.
pub fn diff_text(diff: &Diff, terminal: &Terminal) -> String {
    let mut out = String::new();
    let mut order: Vec<_> = diff.entries.iter().collect();
    order.sort_by_key(|entry| std::cmp::Reverse(rank(entry.change)));
    for entry in order.iter().filter(|entry| entry.change != Change::Unchanged) {
        let (sign, colour) = match entry.change {
            Change::Added => ("+", "33"),
            Change::Widened => ("^", "33"),
            Change::Removed => ("-", "32"),
            Change::Narrowed => ("v", "32"),
            Change::Editorial | Change::Unchanged => ("~", "36"),
        };
        let name = entry.title.as_deref().or(entry.key.1.as_deref()).unwrap_or("without a title");
        let key: Vec<String> = [&entry.key.0, &entry.key.1].into_iter().flatten().map(|part| safe(part)).collect();
        let again = if entry.consent_needed_again { ": asks again" } else { "" };
        let head = format!("{sign} {} {} [{}]{again}", entry.change.as_str(), safe(name), key.join(" / "));
        for line in wrap(&head, terminal.columns()) {
            out.push_str(&terminal.paint(colour, &line));
            out.push('\n');
        }
        if entry.change == Change::Added && !entry.data_added.is_empty() {
            terminal.lines(&mut out, 4, &format!("shares {}", safe(&entry.data_added.join(", "))));
        }
        for note in &entry.notes {
            terminal.lines(&mut out, 4, &safe(note));
        }
    }
    let count = |change| diff.entries.iter().filter(|entry| entry.change == change).count();
    let parts: Vec<String> =
        [Change::Added, Change::Widened, Change::Narrowed, Change::Removed, Change::Editorial, Change::Unchanged]
            .into_iter()
            .map(|change| (count(change), change))
            .filter(|(count, _)| *count > 0)
            .map(|(count, change)| format!("{count} {}", change.as_str()))
            .collect();
    let lapse = diff.entries.iter().filter(|entry| entry.change == Change::Widened).count();
    let summary = if parts.is_empty() {
        "No entries.".to_owned()
    } else {
        format!("{}. Consents that lapse: {lapse}.", parts.join(", "))
    };
    terminal.lines(&mut out, 0, &summary);
    out
}

fn rank(change: Change) -> u8 {
    match change {
        Change::Widened => 5,
        Change::Added => 4,
        Change::Removed => 3,
        Change::Narrowed => 2,
        Change::Editorial => 1,
        Change::Unchanged => 0,
    }
}

/// Findings for the terminal, with a summary line.
pub fn lint_text(lint: &Lint, terminal: &Terminal) -> String {
    let mut out = String::new();
    for finding in &lint.findings {
        let colour = match finding.level {
            Level::Error => "31",
            Level::Warning => "33",
            Level::Info => "36",
        };
        let place = match (&finding.entry, finding.field) {
            (Some(entry), Some(field)) => format!("{}, {field}: ", safe(entry)),
            (Some(entry), None) => format!("{}: ", safe(entry)),
            (None, Some(field)) => format!("{field}: "),
            (None, None) => String::new(),
        };
        let text = format!("{} [{}] {place}{}", finding.level.as_str(), finding.rule, safe(&finding.message));
        for (at, line) in wrap(&text, terminal.columns().saturating_sub(4)).iter().enumerate() {
            let line = if at == 0 { terminal.paint(colour, line) } else { format!("    {line}") };
            out.push_str(&line);
            out.push('\n');
        }
    }
    let summary = format!("{} errors, {} warnings, {} notes.", lint.errors, lint.warnings, lint.infos);
    terminal.lines(&mut out, 0, &summary);
    out
}
