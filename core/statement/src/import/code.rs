//! Arrays of objects in JSON or in the source code of a page, read in one tolerant pass: quotes of any
//! kind, bare keys, trailing commas, comments, joined strings. Nothing is executed.

use super::{
    block::Record,
    labels::{self, Label},
};

/// What was found in a source.
#[derive(Default)]
pub(crate) struct Source {
    pub records: Vec<Record>,
    /// Title, version and date that stand outside the records.
    pub meta: Vec<(String, String, usize)>,
}

const MAX_DEPTH: usize = 64;

#[derive(Debug)]
enum Value {
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value, usize)>),
}

#[derive(Debug)]
struct Frame {
    object: bool,
    pairs: Vec<(String, Value, usize)>,
    list: Vec<Value>,
    key: Option<(String, usize)>,
    no: usize,
}

/// True when a text that is not HTML looks like JSON or a script.
pub(crate) fn is_code(text: &str) -> bool {
    let start = text.trim_start();
    let words = [
        "const ",
        "var ",
        "let ",
        "export ",
        "module.exports",
        "window.",
        "import ",
        "//",
        "/*",
        "\"use strict\"",
        "'use strict'",
    ];
    start.starts_with(['{', '[']) && start[1..].trim_start().starts_with(['{', '[', '"', '\'', ']', '}', '/'])
        || start.starts_with(['{', '[']) && start.contains("\":")
        || (words.iter().any(|word| start.starts_with(word)) && text.contains('{'))
        || (text.contains("= [") || text.contains("=[") || text.contains(": ["))
            && text.contains('{')
            && text.contains("},")
}

struct Reader {
    stack: Vec<Frame>,
    too_deep: usize,
    last: Option<(String, usize)>,
    joined: bool,
    /// `const name =` outside of all brackets.
    assigned: Option<String>,
    source: Source,
}

pub(crate) fn read(text: &str, first_line: usize) -> Source {
    let mut reader =
        Reader { stack: Vec::new(), too_deep: 0, last: None, joined: false, assigned: None, source: Source::default() };
    let mut line = first_line;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let used = match c {
            '"' | '\'' | '`' => {
                let (value, used) = string(rest, c);
                reader.text(value, line);
                used
            }
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '{' | '[' => {
                reader.open(c == '{', line);
                1
            }
            '}' | ']' => {
                reader.close(c == '}', false);
                1
            }
            ':' => {
                reader.key();
                1
            }
            ',' | ';' => {
                reader.settle();
                1
            }
            '=' => {
                if reader.stack.is_empty() {
                    reader.assigned = reader.last.take().map(|(name, _)| name);
                }
                1
            }
            '+' => {
                reader.joined = reader.last.is_some();
                1
            }
            c if c.is_alphanumeric() || matches!(c, '_' | '$' | '-') => {
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '.')))
                    .unwrap_or(rest.len());
                let word = &rest[..end];
                if !matches!(word, "null" | "undefined" | "return" | "const" | "var" | "let" | "export" | "default") {
                    reader.text(word.to_owned(), line);
                }
                end
            }
            c => c.len_utf8(),
        };
        line += rest[..used].bytes().filter(|b| *b == b'\n').count();
        rest = &rest[used..];
    }
    while !reader.stack.is_empty() {
        reader.settle();
        let object = reader.stack.last().is_some_and(|frame| frame.object);
        reader.close(object, true);
    }
    reader.source
}

fn string(text: &str, quote: char) -> (String, usize) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    chars.next();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return (out, at + 1),
            '\n' if quote != '`' => return (out, at),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push(' '),
                Some((_, 'r')) => {}
                Some((_, 'u')) => {
                    let rest = chars.as_str();
                    let digits: String = rest.chars().take(4).take_while(char::is_ascii_hexdigit).collect();
                    if let Some(c) =
                        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).filter(|_| digits.len() == 4)
                    {
                        out.push(c);
                        for _ in 0..4 {
                            chars.next();
                        }
                    }
                }
                Some((_, '\n')) => {}
                Some((_, c)) => out.push(c),
                None => break,
            },
            c => out.push(c),
        }
    }
    (out, text.len())
}

impl Reader {
    fn text(&mut self, text: String, line: usize) {
        match &mut self.last {
            Some((before, _)) if self.joined => before.push_str(&text),
            // Two words side by side: the first was no value.
            _ => self.last = Some((text, line)),
        }
        self.joined = false;
    }

    fn open(&mut self, object: bool, no: usize) {
        self.last = None;
        if self.stack.len() >= MAX_DEPTH {
            self.too_deep += 1;
            return;
        }
        self.stack.push(Frame { object, pairs: Vec::new(), list: Vec::new(), key: None, no });
    }

    fn key(&mut self) {
        if let (Some(frame), Some(last)) = (self.stack.last_mut(), self.last.take()) {
            if frame.object && frame.key.is_none() {
                frame.key = Some(last);
            } else {
                // `a ? "b" : "c"`, or a stray colon in a value.
                self.last = Some(last);
            }
        }
    }

    fn settle(&mut self) {
        self.joined = false;
        if let Some((text, line)) = self.last.take() {
            if let Some(name) = self.assigned.take().filter(|_| self.stack.is_empty()) {
                self.note(&name, &text, line);
            }
            self.attach(Value::Text(text));
        } else if let Some(frame) = self.stack.last_mut() {
            frame.key = None;
        }
    }

    fn attach(&mut self, value: Value) {
        let Some(frame) = self.stack.last_mut() else { return };
        if frame.object {
            if let Some((key, line)) = frame.key.take() {
                frame.pairs.push((key, value, line));
            }
        } else {
            frame.list.push(value);
        }
    }

    fn close(&mut self, object: bool, cut: bool) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        self.settle();
        if !self.stack.iter().any(|frame| frame.object == object) {
            return;
        }
        while let Some(frame) = self.stack.pop() {
            let done = frame.object == object;
            let value = if frame.object {
                if is_record(&frame, cut) {
                    let mut record = flatten(frame, cut);
                    // `{"Casting": {…}, "Search": {…}}`: the key tells what the entry is about.
                    let titled = record.pairs.iter().any(|(key, _, _)| labels::key(key) == Some(Label::Title));
                    let key = self.stack.last().and_then(|above| above.key.clone());
                    if let Some((key, line)) =
                        key.filter(|(key, _)| !titled && labels::key(key).is_none() && !is_container(key))
                    {
                        record.pairs.push(("title".to_owned(), key, line));
                    }
                    self.source.records.push(record);
                    None
                } else {
                    self.note_meta(&frame);
                    Some(Value::Object(frame.pairs))
                }
            } else {
                Some(Value::List(frame.list))
            };
            match value {
                Some(value) => self.attach(value),
                None => {
                    if let Some(frame) = self.stack.last_mut() {
                        frame.key = None;
                    }
                }
            }
            if done {
                break;
            }
        }
    }

    fn note_meta(&mut self, frame: &Frame) {
        for (key, value, line) in &frame.pairs {
            if let Value::Text(text) = value {
                self.note(key, text, *line);
            }
        }
    }

    fn note(&mut self, key: &str, text: &str, line: usize) {
        let titled = ["title", "doctitle", "documenttitle", "pagetitle"].contains(&key.to_lowercase().as_str());
        let dated = matches!(labels::key(key), Some(Label::Version | Label::Date));
        if (titled || dated) && self.source.meta.len() < 32 {
            self.source.meta.push((key.to_owned(), text.to_owned(), line));
        }
    }
}

fn is_record(frame: &Frame, cut: bool) -> bool {
    let mut kinds: Vec<Label> = frame.pairs.iter().filter_map(|(key, _, _)| labels::key(key)).collect();
    kinds.retain(|label| !matches!(label, Label::Other | Label::Version | Label::Date));
    kinds.sort();
    kinds.dedup();
    let telling =
        kinds.iter().any(|label| matches!(label, Label::Data | Label::Purpose | Label::ThirdParty | Label::Scenario));
    telling
        && (kinds.len() >= 4
            || (kinds.len() >= 2 && kinds.contains(&Label::Data))
            || (cut && kinds.len() >= 2)
            || kinds.len() == 3)
}

/// Keys that say that something is listed, not what.
fn is_container(key: &str) -> bool {
    ["entries", "entry", "items", "list", "records", "record", "result", "results", "sharing", "rows", "children"]
        .contains(&key.to_lowercase().as_str())
}

fn flatten(frame: Frame, cut: bool) -> Record {
    let mut record = Record { no: frame.no, pairs: Vec::new(), cut };
    for (key, value, line) in frame.pairs {
        match value {
            Value::Object(pairs) => {
                for (inner, value, line) in pairs {
                    let own = labels::key(&inner).filter(|label| *label != Label::Name);
                    let name = if own.is_some() { inner } else { key.clone() };
                    record.pairs.push((name, words(value), line));
                }
            }
            value => record.pairs.push((key, words(value), line)),
        }
    }
    record
}

/// A value as lines of text; an object's further words stand in brackets behind its name.
fn words(value: Value) -> String {
    match value {
        Value::Text(text) => text,
        Value::List(list) => {
            list.into_iter().map(words).filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n")
        }
        Value::Object(pairs) => {
            let mut texts: Vec<(bool, String)> = Vec::new();
            for (key, value, _) in pairs {
                let name =
                    ["name", "item", "title", "label", "data", "text", "value"].contains(&key.to_lowercase().as_str());
                texts.push((name, words(value).replace('\n', ", ")));
            }
            let at = texts.iter().position(|(name, _)| *name).unwrap_or(0);
            if texts.is_empty() {
                return String::new();
            }
            let (_, first) = texts.remove(at);
            let rest: Vec<_> = texts.into_iter().map(|(_, text)| text).filter(|text| !text.trim().is_empty()).collect();
            if rest.is_empty() { first } else { format!("{first} ({})", rest.join("; ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_in_a_script_is_read_without_running_it() {
        let source = read(
            "const title = 'x';\nexport default {\n version: 'v1', list: [\n {name: \"Lebo \" + 'SDK', purpose: `cast`, // why\n dataItems: ['TV name', {item: 'id', detail: 'OAID'},],\n thirdParty: {name: 'Lebo', url: 'https://a.b'} },\n",
            1,
        );
        assert_eq!(source.records.len(), 1);
        let pairs: Vec<_> = source.records[0].pairs.iter().map(|(key, value, _)| format!("{key}={value}")).collect();
        assert_eq!(
            pairs,
            ["name=Lebo SDK", "purpose=cast", "dataItems=TV name\nid (OAID)", "thirdParty=Lebo", "url=https://a.b"]
        );
        assert_eq!(source.records[0].no, 4);
        let meta: Vec<_> = source.meta.iter().map(|(key, value, _)| format!("{key}={value}")).collect();
        assert_eq!(meta, ["title=x", "version=v1"]);
    }
}
