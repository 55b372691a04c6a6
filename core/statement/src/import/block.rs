//! What every layout is turned into before entries are read from it: lines, tables and records, each
//! with the number of the line it came from.

/// Marks a boundary between inline elements: a label may end here without a colon.
pub(crate) const SOFT: char = '\u{1F}';
/// Opens the address of a link, after the link's text.
pub(crate) const LINK: char = '\u{1E}';
/// Closes the address of a link.
pub(crate) const LINK_END: char = '\u{1D}';

#[derive(Debug, Clone)]
pub(crate) enum Block {
    Line(Line),
    Table(Table),
}

#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Counted from 1.
    pub no: usize,
    pub text: String,
    pub indent: usize,
    pub mark: Mark,
    pub blank_before: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Plain,
    Bullet,
    Number,
    /// A heading with its level.
    Heading(u8),
    /// A line that is bold from end to end.
    Strong,
}

impl Mark {
    pub fn is_head(self) -> bool {
        matches!(self, Self::Heading(_) | Self::Strong)
    }
    pub fn is_item(self) -> bool {
        matches!(self, Self::Bullet | Self::Number)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub no: usize,
    pub cells: Vec<String>,
    /// The row ends where the page ends.
    pub cut: bool,
}

/// One object of an array in source code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub no: usize,
    pub pairs: Vec<(String, String, usize)>,
    /// The object is never closed.
    pub cut: bool,
}

/// Text as people read it: no markers, no addresses of links, single spaces.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut space, mut soft, mut link) = (false, false, false);
    for c in text.chars() {
        match c {
            LINK => link = true,
            LINK_END => link = false,
            _ if link => {}
            SOFT => soft = true,
            c if c.is_whitespace() => space = true,
            c if is_invisible(c) => {}
            c => {
                // Emphasis alone makes no space inside of brackets or before a stop.
                let tight =
                    out.ends_with(['(', '（', '[', '“']) || matches!(c, ')' | '）' | ']' | '”' | ',' | '.' | ';' | ':');
                if (space || soft && !tight) && !out.is_empty() {
                    out.push(' ');
                }
                (space, soft) = (false, false);
                out.push(c);
            }
        }
    }
    out
}

pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
        || (c.is_control() && !matches!(c, '\n' | '\t' | '\r' | SOFT | LINK | LINK_END))
}

/// The addresses of the links in a text.
pub(crate) fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split(LINK).skip(1).map(|rest| rest.split(LINK_END).next().unwrap_or_default())
}

pub(crate) fn link(text: &str, address: &str) -> String {
    let address = address.trim();
    let followable = address.starts_with("http://") || address.starts_with("https://") || address.starts_with("//");
    if !followable || text.contains(address) {
        return text.to_owned();
    }
    let scheme = if address.starts_with("//") { "https:" } else { "" };
    format!("{text}{LINK}{scheme}{address}{LINK_END}")
}
