//! Groups the labelled values of a page into entries: where an entry begins, which line is its title,
//! which line goes on with the value above it.

use std::collections::HashMap;

use super::{
    assemble::{Field, Page, RawEntry, RawField, Token, belongs},
    block::{Line, Mark, clean},
    dates,
    fields::looks_labelled,
    labels::{self, Label},
    quote,
    titles::{is_page_title, title_like},
};

/// The most lines in front of the first entry that are searched for a version or a date.
const MAX_HEAD: usize = 200;

/// The most labelled values that one entry takes.
const MAX_FIELDS: usize = 100;

/// Nobody wraps lines to fewer characters.
const NARROW: usize = 40;

/// A longer line may have been wrapped by hand.
const SHORT: usize = 30;

/// True for a line that may go on with the line above it.
fn goes_under(line: &Line) -> bool {
    !line.blank_before && line.mark == Mark::Plain && !line.text.contains("://")
}

fn length(field: &RawField) -> usize {
    field.label_text.chars().count() + ": ".len() + field.value.chars().count()
}

/// One walk over the tokens of a page.
pub(crate) struct Walk<'a> {
    tokens: &'a [Token],
    /// For each token, the next one that is no line.
    next: Vec<usize>,
    rank: HashMap<Label, usize>,
    opening: Option<Label>,
    current: Option<RawEntry>,
    last: Option<(usize, Mark)>,
    /// Characters in the last line of the running value, and in the longest line that could be wrapped. A
    /// line of data with room for the next line's first word was not wrapped: it is an item of its own.
    last_length: usize,
    width: usize,
    pending: Vec<Line>,
}

/// The type and the method share their labels, so they count as one.
fn group(label: Label) -> Label {
    match label {
        Label::Type | Label::Method | Label::Share => Label::Share,
        Label::Site => Label::Rules,
        label => label,
    }
}

impl<'a> Walk<'a> {
    pub fn new(tokens: &'a [Token]) -> Self {
        let mut rank = HashMap::new();
        let mut opens: Vec<(Label, usize)> = Vec::new();
        let mut titled = true;
        let mut awaits_value = false;
        for token in tokens {
            let field = match token {
                Token::Field(field) => &field.raw,
                Token::Text(line) => {
                    titled = !awaits_value
                        && (line.mark.is_head() || line.mark != Mark::Bullet && title_like(&clean(&line.text)));
                    awaits_value = false;
                    continue;
                }
                Token::Entries(_) => continue,
            };
            awaits_value = field.value.is_empty();
            let label = field.label;
            if !belongs(label) || label == Label::Other {
                continue;
            }
            let next = rank.len();
            rank.entry(label).or_insert(next);
            if std::mem::take(&mut titled) {
                match opens.iter_mut().find(|(open, _)| *open == label) {
                    Some((_, count)) => *count += 1,
                    None => opens.push((label, 1)),
                }
            }
        }
        let most = opens.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let opening = opens.iter().find(|(_, count)| *count == most).map(|(label, _)| *label);
        let wrapped = tokens.windows(2).filter_map(|pair| match pair {
            [Token::Field(above), Token::Text(below)] if goes_under(below) => Some(length(&above.raw)),
            [Token::Text(above), Token::Text(below)] if goes_under(below) => Some(above.text.chars().count()),
            _ => None,
        });
        let width = wrapped.max().unwrap_or(0).max(NARROW);
        let mut next = vec![tokens.len(); tokens.len()];
        for at in (0..tokens.len()).rev() {
            let below = next.get(at + 1).copied().unwrap_or(tokens.len());
            next[at] = if matches!(tokens[at], Token::Text(_)) { below } else { at };
        }
        Self { tokens, next, rank, opening, current: None, last: None, last_length: 0, width, pending: Vec::new() }
    }

    pub fn run(mut self, page: &mut Page) {
        for at in 0..self.tokens.len() {
            match &self.tokens[at] {
                Token::Field(field) => self.field(at, field, page),
                Token::Text(line) => self.line(at, line, page),
                Token::Entries(entries) => self.entries(entries, page),
            }
        }
        self.end(page);
    }

    fn entries(&mut self, entries: &[RawEntry], page: &mut Page) {
        let title = self.pending.iter().rev().find(|line| line.mark.is_head()).or(self.pending.last());
        let text = title.map(|line| clean(&line.text)).filter(|text| title_like(text) && !is_page_title(text));
        let only_heading = page.entries.is_empty() && self.current.is_none() && self.pending.len() == 1;
        let text = text.filter(|_| !only_heading || !matches!(self.pending[0].mark, Mark::Heading(1)));
        self.close(page);
        self.drop_pending(page, None);
        for entry in entries {
            let mut entry = entry.clone();
            entry.title = entry.title.or_else(|| text.clone());
            page.entries.push(entry);
        }
    }

    fn filled(&self, label: Label) -> bool {
        let Some(current) = &self.current else { return false };
        let label = group(label);
        let count = current.fields.iter().filter(|field| group(field.label) == label).count();
        count >= if label == Label::Share { 2 } else { 1 }
    }

    fn rank(&self, label: Label) -> usize {
        self.rank.get(&label).copied().unwrap_or(usize::MAX)
    }

    fn kinds(&self) -> usize {
        let Some(current) = &self.current else { return 0 };
        let mut kinds: Vec<Label> = current.fields.iter().map(|field| group(field.label)).collect();
        kinds.sort();
        kinds.dedup();
        kinds.len()
    }

    fn last_label(&self) -> Option<Label> {
        self.current.as_ref()?.fields.last().map(|field| field.label)
    }

    /// True when this field cannot belong to the running entry.
    fn repeats(&self, at: usize, field: &Field) -> bool {
        let label = field.raw.label;
        if label == Label::Other || !belongs(label) || self.current.is_none() {
            return false;
        }
        if !self.filled(label) {
            return false;
        }
        if Some(label) == self.opening {
            return self.kinds() >= 2;
        }
        if self.last_label().map(group) == Some(group(label)) {
            return false;
        }
        match self.tokens.get(at + 1) {
            Some(Token::Field(next)) => {
                group(next.raw.label) != group(label)
                    && belongs(next.raw.label)
                    && self.filled(next.raw.label)
                    && Some(next.raw.label) != self.opening
            }
            _ => false,
        }
    }

    /// True when this field, after a line without a label, is the start of the next entry.
    fn begins(&self, at: usize, field: &Field) -> bool {
        let label = field.raw.label;
        if label == Label::Other || !belongs(label) {
            return false;
        }
        self.current.is_none()
            || Some(label) == self.opening
            || self.filled(label)
            || self.repeats(at, field)
            || self.last_label().is_some_and(|last| self.rank(label) < self.rank(last) && last != Label::Other)
    }

    /// The line above the entry that is its title; a label that nobody knows with its value is none.
    fn title(&self) -> Option<usize> {
        let labelled = |line: &Line| looks_labelled(&clean(&line.text));
        let fits = |line: &&Line| title_like(&clean(&line.text));
        let plain = self.pending.iter().rposition(|line| fits(&line) && !labelled(line));
        plain.or_else(|| self.pending.iter().rposition(|line| fits(&line) && !line.mark.is_item()))
    }

    fn field(&mut self, at: usize, field: &Field, page: &mut Page) {
        if !belongs(field.raw.label) {
            page.facts.push(field.raw.clone());
            return;
        }
        if field.raw.label == Label::Title {
            let outer = self.pending.iter().any(|line| line.mark.is_head());
            self.close(page);
            let first = page.entries.is_empty();
            self.drop_pending(page, if first || outer { None } else { Some("the line stands outside of any entry") });
            let title = Some(clean(&field.raw.value)).filter(|text| !text.is_empty());
            self.current = Some(RawEntry { title, line: field.raw.line, ..RawEntry::default() });
            self.last = Some((field.indent, field.mark));
            return;
        }
        let head = self.pending.iter().rposition(|line| line.mark.is_head()).filter(|at| {
            // The page's own heading gives way to a plain title below it.
            let first = page.entries.is_empty() && self.pending[*at].mark == Mark::Heading(1);
            let plain = |line: &Line| title_like(&clean(&line.text)) && !dates::is_date_line(&clean(&line.text));
            !(first && self.pending[at + 1..].iter().any(plain))
        });
        let begins = self.begins(at, field);
        let title = head.or_else(|| if begins { self.title() } else { None });
        let new = match title {
            Some(_) => true,
            None if !self.pending.is_empty() && begins => true,
            None => {
                self.current.as_ref().is_none_or(|entry| entry.fields.len() >= MAX_FIELDS) || self.repeats(at, field)
            }
        };
        if new {
            let before = self.current.as_ref().and_then(|entry| entry.title.clone());
            let continued = self.current.is_some();
            let text = title.map(|index| clean(&self.pending.remove(index).text));
            self.close(page);
            let intro = page.entries.is_empty();
            let why = if intro {
                "the text before the first entry is not part of any entry"
            } else {
                "the line was not read"
            };
            self.drop_pending(page, Some(why));
            let text = text.map(|text| text.trim_end_matches([':', '：']).trim().to_owned());
            let lone = page.entries.is_empty() && text.as_deref().is_some_and(is_page_title);
            let mut entry = RawEntry {
                line: field.raw.line,
                title: text.filter(|text| !lone && !text.is_empty()),
                ..RawEntry::default()
            };
            if entry.title.is_none() && continued && before.is_some() {
                entry.title = before;
                entry.inherited = true;
            }
            self.current = Some(entry);
        } else {
            self.drop_pending(page, Some("the line was not read"));
        }
        self.last = Some((field.indent, field.mark));
        self.last_length = length(&field.raw);
        if let Some(current) = &mut self.current {
            current.fields.push(field.raw.clone());
        }
    }

    fn line(&mut self, at: usize, line: &Line, page: &mut Page) {
        if page.entries.is_empty() && self.current.is_none() && page.head.len() < MAX_HEAD {
            page.head.push((line.no, clean(&line.text)));
        }
        if self.current.is_none() || line.mark.is_head() || !self.pending.is_empty() || !self.goes_on(at, line) {
            self.pending.push(line.clone());
            return;
        }
        let Some(field) = self.current.as_mut().and_then(|entry| entry.fields.last_mut()) else {
            self.pending.push(line.clone());
            return;
        };
        let word = line.text.split(' ').next().unwrap_or_default().chars().count();
        let room = self.last_length < SHORT && self.last_length + word + 5 <= self.width;
        let joined = ["and ", "or ", "& "].iter().any(|word| line.text.starts_with(word));
        let listed = field.label == Label::Data && room && !joined && parted_by_lines(&field.value);
        self.last_length = line.text.chars().count();
        let joint = if field.value.is_empty() {
            ""
        } else if line.mark.is_item() || listed {
            "\n"
        } else if wrapped_url(field, line) {
            ""
        } else {
            " "
        };
        field.value.push_str(joint);
        field.value.push_str(&line.text);
    }

    /// True when the line belongs to the value above it.
    fn goes_on(&self, at: usize, line: &Line) -> bool {
        let Some(field) = self.current.as_ref().and_then(|entry| entry.fields.last()) else { return false };
        let (indent, mark) = self.last.unwrap_or((0, Mark::Plain));
        let text = clean(&line.text);
        let run = self.next[at] - at;
        let next = match self.tokens.get(at + run) {
            Some(Token::Field(field)) => Some((at + run, field)),
            _ => None,
        };
        let title_next = run == 1 && title_like(&text) && next.is_some_and(|(at, field)| self.begins(at, field));
        let looks_url = text.contains("://") || text.starts_with("www.");
        if field.value.is_empty() {
            let fits = field.label != Label::Rules || looks_url;
            return !title_next || (fits && !line.blank_before) || (field.label == Label::Rules && looks_url);
        }
        if line.indent <= indent && line.mark == mark && looks_labelled(&text) {
            return false;
        }
        if line.mark.is_item() {
            if field.label == Label::Rules && !looks_url {
                return false;
            }
            let nested = line.indent > indent || !mark.is_item() || field.value.ends_with([':', '：']);
            return nested && !(title_next && (line.mark == Mark::Number || line.blank_before));
        }
        if title_next || (run > 1 && title_like(&text) && line.blank_before) {
            return false;
        }
        if field.label == Label::Rules {
            return wrapped_url(field, line);
        }
        let open = field.value.len() < 4096
            && field.value.matches(['(', '（']).count() > field.value.matches([')', '）']).count();
        (line.indent > indent && mark.is_item())
            || !line.blank_before
            || (open && !title_like(&text))
            || field.value.ends_with([',', '、', '，'])
    }

    fn close(&mut self, page: &mut Page) {
        if let Some(entry) = self.current.take() {
            page.entries.push(entry);
        }
        self.last = None;
    }

    fn drop_pending(&mut self, page: &mut Page, why: Option<&str>) {
        let front = page.entries.is_empty() && self.current.is_none();
        for line in self.pending.drain(..) {
            let text = clean(&line.text);
            let head = line.mark.is_head() || (front && title_like(&text) && !looks_labelled(&text));
            if let Some(why) = why.filter(|_| !head && !dates::is_date_line(&text)) {
                page.notes.push((line.no, format!("{why}: {}", quote(&text))));
            }
        }
    }

    fn end(mut self, page: &mut Page) {
        self.cut_label(page);
        let lone = self.pending.last().filter(|_| self.pending.len() == 1).cloned();
        let started = self.current.is_some() || !page.entries.is_empty();
        self.close(page);
        if let Some(line) = lone.filter(|_| started) {
            let text = clean(&line.text);
            let titled = page.entries.iter().filter(|entry| entry.title.is_some()).count() * 2 > page.entries.len();
            let sober = !text.contains(['©', '@']) && text.split_whitespace().count() <= 10;
            if titled
                && title_like(&text)
                && sober
                && line.mark != Mark::Bullet
                && (line.blank_before || line.mark.is_head())
            {
                page.notes.push((line.no, format!("the page ends after the title {}", quote(&text))));
                page.entries.push(RawEntry { title: Some(text), line: line.no, cut: true, ..RawEntry::default() });
                self.pending.clear();
            }
        }
        if started {
            self.drop_pending(page, Some("the line was not read"));
        }
    }

    /// The page ends in the middle of a label.
    fn cut_label(&mut self, page: &mut Page) {
        let Some(Token::Text(line)) = self.tokens.last() else { return };
        let part = labels::normal(&line.text);
        if part.is_empty() {
            return;
        }
        let used = self.tokens.iter().any(|token| match token {
            Token::Field(field) => {
                let whole = labels::normal(&field.raw.label_text);
                whole.len() > part.len() && whole.starts_with(&part)
            }
            _ => false,
        });
        let listed = line.mark.is_item() && labels::begins(&part);
        if !used && !listed {
            return;
        }
        page.notes.push((line.no, format!("the page ends in the middle of a label: {}", quote(&line.text))));
        if self.pending.last().is_some_and(|last| last.no == line.no) {
            self.pending.pop();
            if self.pending.len() == 1 && title_like(&clean(&self.pending[0].text)) {
                let title = self.pending.pop().map(|line| (clean(&line.text), line.no));
                self.close(page);
                if let Some((title, line)) = title {
                    self.current = Some(RawEntry { title: Some(title), line, ..RawEntry::default() });
                }
            }
        } else if let Some(field) = self.current.as_mut().and_then(|entry| entry.fields.last_mut()) {
            let cut = field.value.len().saturating_sub(line.text.len());
            if field.value.is_char_boundary(cut) && field.value[cut..] == line.text {
                field.value.truncate(cut);
                field.value.truncate(field.value.trim_end().len());
            }
        }
        if let Some(current) = &mut self.current {
            current.cut = true;
        }
    }
}

/// True when the lines of a value may be its items: nothing else parts them, and none goes on.
fn parted_by_lines(value: &str) -> bool {
    let last = value.rsplit('\n').next().unwrap_or_default();
    let balanced = || last.matches(['(', '（']).count() == last.matches([')', '）']).count();
    last.len() < 1000
        && balanced()
        && !last.contains([',', '，', '、', ';', '；'])
        && !last.ends_with(['/', '-', '&', ':', '：'])
        && ![" and", " or", " of", " the"].iter().any(|word| last.ends_with(word))
}

/// A long address that was broken over two lines.
fn wrapped_url(field: &RawField, line: &Line) -> bool {
    let text = line.text.trim();
    let plain = !text.contains(char::is_whitespace) && text.is_ascii();
    plain
        && field.label == Label::Rules
        && field.value.contains("://")
        && !line.blank_before
        && (field.value.ends_with(['/', '?', '&', '=', '-', '_', '%'])
            || text.contains(['/', '=', '&', '?', '%'])
            || text.ends_with(".html"))
}
