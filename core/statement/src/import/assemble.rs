//! A page as labelled values: which reader takes it, and which lines are labels after all or are none.

use super::{
    block::{Block, Line, Mark, Record, clean},
    code,
    fields::{is_address, looks_labelled, tokens_of},
    html,
    labels::{self, Label},
    prose, quote, table, text,
    titles::page_title,
    walk::Walk,
};

/// A page as labelled texts; the values are not read yet.
#[derive(Default)]
pub(crate) struct Page {
    pub title: Option<String>,
    pub language: Option<String>,
    /// Version and date lines, and the first lines of the page, which may hold them.
    pub facts: Vec<RawField>,
    pub head: Vec<(usize, String)>,
    pub entries: Vec<RawEntry>,
    /// What was not read, with its line.
    pub notes: Vec<(usize, String)>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct RawEntry {
    pub title: Option<String>,
    pub line: usize,
    pub fields: Vec<RawField>,
    /// The title is the one of the entry before.
    pub inherited: bool,
    /// A row or column of a table: an empty cell is no cut.
    pub tabular: bool,
    /// The page visibly ends inside this entry.
    pub cut: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct RawField {
    pub label: Label,
    pub label_text: String,
    pub value: String,
    pub line: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub raw: RawField,
    pub indent: usize,
    pub mark: Mark,
    /// The line that holds nothing but the label, without a colon.
    pub bare: Option<Line>,
}

#[derive(Debug, Clone)]
pub(crate) enum Token {
    Field(Field),
    Text(Line),
    Entries(Vec<RawEntry>),
}

impl Page {
    pub fn of(source: &str) -> Self {
        let mut page = Self::default();
        if html::is_html(source) {
            let read = html::read(source);
            page.language = read.language;
            page.build(read.blocks);
            if page.title.is_none() {
                page.title = read.title;
            }
            let mut scripted = Self::default();
            for (line, script) in &read.scripts {
                let found = code::read(script, *line);
                scripted.records(found);
            }
            if scripted.entries.len() > page.entries.len() {
                page.entries = scripted.entries;
                page.facts.extend(scripted.facts);
                page.title = page.title.or(scripted.title);
            } else if !scripted.entries.is_empty() {
                let line = scripted.entries[0].line;
                page.notes
                    .push((line, format!("a script holds {} more entries that were not read", scripted.entries.len())));
            }
            return page;
        }
        if code::is_code(source) {
            let found = code::read(source, 1);
            if !found.records.is_empty() {
                page.records(found);
                return page;
            }
        }
        page.build(text::blocks(source));
        page
    }

    fn records(&mut self, source: code::Source) {
        for (key, value, line) in source.meta {
            match labels::key(&key) {
                Some(Label::Title | Label::DocTitle) if self.title.is_none() => self.title = Some(clean(&value)),
                Some(label @ (Label::Version | Label::Date)) => {
                    self.facts.push(RawField { label, label_text: key, value, line });
                }
                _ => {}
            }
        }
        for record in source.records {
            let entry = self.record(record);
            self.entries.push(entry);
        }
    }

    fn record(&mut self, record: Record) -> RawEntry {
        let mut entry = RawEntry { line: record.no, cut: record.cut, ..RawEntry::default() };
        let listed = record.pairs.iter().any(|(key, _, _)| labels::is_list_key(key));
        let worded = record.pairs.iter().any(|(key, value, _)| key == "sharing_type_raw" && !value.is_empty());
        for (key, value, line) in record.pairs {
            match labels::key(&key) {
                Some(Label::Type) if worded && key == "sharing_type" => {}
                Some(Label::Data) if listed && labels::is_category_key(&key) => {
                    self.notes.push((
                        line,
                        format!("`{}` was not used beside the list of data: {}", key_name(&key), quote(&value)),
                    ));
                }
                Some(Label::Title) => entry.title = Some(clean(&value)).filter(|text| !text.is_empty()),
                Some(label) => entry.fields.push(RawField { label, label_text: key, value, line }),
                None if value.trim().is_empty() => {}
                None => self.notes.push((line, format!("`{}` was not read: {}", key_name(&key), quote(&value)))),
            }
        }
        entry
    }

    fn build(&mut self, blocks: Vec<Block>) {
        let mut tokens = Vec::new();
        for block in blocks {
            match block {
                Block::Line(line) => tokens_of(line, &mut tokens),
                Block::Table(found) => table::tokens(found, &mut tokens, &mut self.notes),
            }
        }
        unlabel(&mut tokens);
        label_links(&mut tokens);
        let walk = Walk::new(&tokens);
        walk.run(self);
        if self.entries.is_empty() {
            prose::read(&tokens, self);
        }
        self.title = page_title(&tokens, self);
    }
}

fn key_name(key: &str) -> String {
    accord_model::text::for_screen(key, 60)
}

/// On a page whose labels have colons, a line without one that reads like a label is a part of a value.
fn unlabel(tokens: &mut [Token]) {
    let fields = tokens.iter().filter(|token| matches!(token, Token::Field(_))).count();
    let bare = tokens.iter().filter(|token| matches!(token, Token::Field(field) if field.bare.is_some())).count();
    if bare * 4 > fields {
        return;
    }
    for token in tokens {
        if let Token::Field(Field { bare: Some(line), .. }) = token
            && !line.mark.is_head()
        {
            *token = Token::Text(line.clone());
        }
    }
}

/// An address behind a label that nobody knows, inside an entry, links the rules.
fn label_links(tokens: &mut [Token]) {
    for at in 1..tokens.len() {
        let Token::Field(above) = &tokens[at - 1] else { continue };
        let Token::Text(line) = &tokens[at] else { continue };
        let taken = !belongs(above.raw.label) || matches!(above.raw.label, Label::Rules | Label::Site);
        let Some((left, right)) = line.text.split_once([':', '：']).filter(|_| !taken) else { continue };
        let value = clean(right);
        if !looks_labelled(&line.text) || !is_address(&value) {
            continue;
        }
        let raw =
            RawField { label: Label::Rules, label_text: clean(left), value: right.trim().to_owned(), line: line.no };
        tokens[at] = Token::Field(Field { raw, indent: line.indent, mark: line.mark, bare: None });
    }
}

/// False for what is said of the page, not of an entry.
pub(crate) fn belongs(label: Label) -> bool {
    !matches!(label, Label::Version | Label::Date | Label::DocTitle)
}
