//! A line as labelled values: the label in front, further labels inside, labels without a colon.

use super::{
    assemble::{Field, RawField, Token},
    block::{Line, Mark, SOFT, clean},
    labels::{self, Label},
};

/// A line as fields, or as it is.
pub(crate) fn tokens_of(line: Line, out: &mut Vec<Token>) {
    let line = with_label_above(line, out);
    for (index, part) in line.text.split('\n').enumerate() {
        if clean(part).is_empty() {
            continue;
        }
        let line = Line { text: part.to_owned(), blank_before: line.blank_before && index == 0, ..line.clone() };
        match fields_of(&line) {
            Some((lead, fields)) => {
                if let Some(lead) = lead {
                    out.push(Token::Text(Line { text: lead, mark: Mark::Strong, ..line.clone() }));
                }
                out.extend(fields.into_iter().map(Token::Field));
            }
            None => out.push(Token::Text(line)),
        }
    }
}

/// A label that was broken over two lines is put together again.
fn with_label_above(line: Line, out: &mut Vec<Token>) -> Line {
    let above = match out.last() {
        Some(Token::Text(above)) => above,
        // The first half is a label by itself.
        Some(Token::Field(Field { bare: Some(above), .. })) => above,
        _ => return line,
    };
    if above.no + 1 != line.no || line.blank_before || line.mark != Mark::Plain || above.text.len() > 80 {
        return line;
    }
    let Some((left, _)) = line.text.split_once([':', '：']).filter(|(left, _)| left.len() <= 60) else { return line };
    let whole = format!("{} {left}", above.text);
    if labels::exact(&labels::normal(&whole)).is_none() {
        return line;
    }
    let (text, mark, indent, blank_before) =
        (format!("{} {}", above.text, line.text), above.mark, above.indent, above.blank_before);
    out.pop();
    Line { text, mark, indent, blank_before, ..line }
}

fn fields_of(line: &Line) -> Option<(Option<String>, Vec<Field>)> {
    let field = |label, label_text: &str, value: &str| Field {
        raw: RawField { label, label_text: clean(label_text), value: trim_value(value).to_owned(), line: line.no },
        indent: line.indent,
        mark: line.mark,
        bare: None,
    };
    let spots = label_spots(&line.text);
    if let Some((label, end, start)) = split_label(&line.text) {
        let mut fields = Vec::new();
        let mut current = (label, &line.text[..end], start);
        for (from, colon_end, label, label_end) in spots.into_iter().filter(|(from, ..)| *from >= start) {
            fields.push(field(current.0, current.1, trim_joint(&line.text[current.2..from])));
            current = (label, &line.text[from..label_end], colon_end);
        }
        fields.push(field(current.0, current.1, &line.text[current.2..]));
        if end == line.text.len() && fields.len() == 1 {
            fields[0].bare = Some(line.clone());
        }
        return Some((None, fields));
    }
    if spots.len() < 2 {
        return None;
    }
    let lead = clean(trim_joint(&line.text[..spots[0].0]))
        .trim_end_matches([':', '：', '-', '–', '—', '.', '。'])
        .trim()
        .to_owned();
    let mut fields = Vec::new();
    for (index, (from, colon_end, label, label_end)) in spots.iter().enumerate() {
        let end = spots.get(index + 1).map_or(line.text.len(), |next| next.0);
        fields.push(field(*label, &line.text[*from..*label_end], trim_joint(&line.text[*colon_end..end])));
    }
    Some(((!lead.is_empty()).then_some(lead), fields))
}

fn trim_value(value: &str) -> &str {
    let value = value.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '：' | SOFT)).trim();
    let value = value.trim_end_matches([';', '；']).trim_end();
    unquoted(value)
}

/// A value that stands in quotes as a whole.
fn unquoted(value: &str) -> &str {
    [('"', '"'), ('\'', '\''), ('“', '”')]
        .iter()
        .find_map(|(open, close)| {
            value.strip_prefix(*open)?.strip_suffix(*close).filter(|inner| !inner.contains([*open, *close]))
        })
        .unwrap_or(value)
}

fn trim_joint(value: &str) -> &str {
    value
        .trim()
        .trim_end_matches(|c: char| {
            c.is_whitespace() || matches!(c, ';' | '；' | '|' | '。' | ',' | '，' | '•' | '·' | SOFT)
        })
        .trim()
}

/// The label in front of a line: what it is, where it ends, where its value begins.
pub(crate) fn split_label(text: &str) -> Option<(Label, usize, usize)> {
    let mut before = ' ';
    for (count, (at, c)) in text.char_indices().enumerate() {
        if count > 100 {
            return None;
        }
        let next = at + c.len_utf8();
        let left = &text[..at];
        match c {
            ':' | '：' | '﹕' | '∶' => {
                if text[next..].starts_with("//") {
                    return None;
                }
                let normal = labels::normal(left);
                let value = clean(&text[next..]);
                let guess = || labels::guess(&normal, !value.is_empty()).map(|label| of_value(label, &value));
                return labels::exact(&normal).or_else(guess).map(|label| (label, at, next));
            }
            SOFT | '\t' | '|' | '=' if !clean(left).is_empty() && !text[next..].starts_with('>') => {
                if let Some(label) = labels::exact(&labels::normal(left)).filter(|_| !clean(&text[next..]).is_empty()) {
                    return Some((label, at, next));
                }
            }
            '-' | '–' | '—' | '→' | '=' if before == ' ' && text[next..].starts_with([' ', '>']) => {
                let arrow = usize::from(text[next..].starts_with('>'));
                if let Some(label) = labels::exact(&labels::normal(left)) {
                    return Some((label, at, next + arrow));
                }
            }
            '?' | '？' => {
                if let Some(label) = labels::exact(&labels::normal(left)) {
                    return Some((label, at, next));
                }
            }
            super::block::LINK => return None,
            _ => {}
        }
        before = c;
    }
    let normal = labels::normal(text);
    // Without a colon these are as often values.
    let value = ["sdk", "product", "item", "module", "use", "sdk/app name"].contains(&normal.as_str());
    if let Some(label) = labels::exact(&normal).filter(|label| !value && *label != Label::DocTitle) {
        return Some((label, text.len(), text.len()));
    }
    glued_label(text)
}

/// A guessed label whose value is nothing but an address links the rules.
fn of_value(guess: Label, value: &str) -> Label {
    let linked = matches!(guess, Label::Rules | Label::Site | Label::Other) || !is_address(value);
    if linked { guess } else { Label::Rules }
}

/// True for an address and nothing else.
pub(crate) fn is_address(value: &str) -> bool {
    (value.starts_with("http://") || value.starts_with("https://") || value.starts_with("www."))
        && !value.contains(char::is_whitespace)
}

/// A line that reads like a label and a value, whatever the label.
pub(crate) fn looks_labelled(text: &str) -> bool {
    let Some((left, right)) = text.split_once([':', '：']) else { return false };
    let words = left.split_whitespace().count();
    (1..=9).contains(&words)
        && left.chars().count() <= 70
        && !right.trim().is_empty()
        && !right.starts_with("//")
        && !left.contains(['.', ',', ';', '(', '（', '，', '、', '。', '；'])
        && left.starts_with(|c: char| c.is_alphabetic() && !c.is_lowercase())
}

/// A long label with its value behind it and nothing between: `第三方个人信息处理规则微信支付`.
fn glued_label(text: &str) -> Option<(Label, usize, usize)> {
    if text.contains(['。', '，', ',']) {
        return None;
    }
    let ends = text.char_indices().map(|(at, _)| at).skip(4).take(24);
    let mut found = None;
    for end in ends {
        let left = &text[..end];
        let cjk = left.chars().all(labels::is_cjk);
        let spaced = text[end..].starts_with("  ") && left.contains(' ');
        if (cjk || spaced)
            && let Some(label) = labels::exact(&labels::normal(left))
            && matches!(
                label,
                Label::Rules | Label::ThirdParty | Label::Data | Label::Purpose | Label::Scenario | Label::Method
            )
        {
            found = Some((label, end, end));
        }
    }
    found
}

/// Labels with a colon inside a line: where each begins, where its value begins, what it is, where it ends.
fn label_spots(text: &str) -> Vec<(usize, usize, Label, usize)> {
    let mut spots: Vec<(usize, usize, Label, usize)> = Vec::new();
    // Single words behind a comma: one or two of them are parts of a value.
    let mut weak = Vec::new();
    for (colon, c) in text.char_indices().filter(|(_, c)| matches!(c, ':' | '：')).take(MAX_SPOTS) {
        let value = colon + c.len_utf8();
        if text[value..].starts_with("//") {
            continue;
        }
        let floor = spots.last().map_or(0, |spot| spot.1);
        let starts = text[floor..colon].char_indices().rev().take(60).map(|(at, _)| floor + at);
        let mut best = None;
        let mut tried = 0;
        for start in starts {
            let left = &text[floor..start];
            let edge = left.chars().next_back();
            let hard = edge.is_none() && floor == 0
                || left.trim_end_matches(' ').ends_with([
                    ';', '；', '|', '。', '.', ',', '，', '、', SOFT, '\n', '•', '·', ')', '）', '-', '–', '—',
                ]);
            let soft = edge.is_none_or(char::is_whitespace);
            let word = &text[start..colon];
            if !(hard || soft) || word.starts_with(' ') {
                continue;
            }
            tried += 1;
            if tried > 10 {
                break;
            }
            let normal = labels::normal(word);
            let single = !normal.contains(' ') && normal.is_ascii();
            if let Some(label) = labels::exact(&normal).filter(|_| hard || !single) {
                best = Some((start, value, label, colon));
            }
        }
        if let Some(spot) = best {
            let comma = text[..spot.0].trim_end().ends_with([',', '，', '、']);
            weak.push(comma && !text[spot.0..spot.3].trim().contains(' '));
            spots.push(spot);
        }
    }
    let few = weak.iter().filter(|weak| **weak).count() < 3;
    let mut weak = weak.into_iter();
    spots.retain(|_| !(weak.next().unwrap_or_default() && few));
    spots
}

/// The most labels that one line holds.
const MAX_SPOTS: usize = 4096;
