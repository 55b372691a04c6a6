//! Plain text and Markdown to blocks.

use super::{
    block::{Block, Line, Mark, SOFT, clean, link},
    columns, labels,
};

pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut blocks = Vec::new();
    let mut blank = true;
    let mut at = 0;
    // Lines that were already found to be no table.
    let mut plain_until = 0;
    while at < lines.len() {
        let raw = lines[at];
        let no = at + 1;
        let trimmed = unquote(raw.trim());
        if at == 0 && trimmed == "---" {
            at += 1;
            continue;
        }
        if trimmed.is_empty()
            || is_rule(trimmed)
            || trimmed.starts_with("```")
            || trimmed.starts_with("~~~")
            || is_comment(trimmed)
        {
            blank = true;
            at += 1;
            continue;
        }
        if at >= plain_until {
            match columns::table(&lines[at..], no) {
                (Some(table), used) => {
                    blocks.push(Block::Table(table));
                    at += used;
                    blank = true;
                    continue;
                }
                (None, used) => plain_until = at + used,
            }
        }
        let underline = lines.get(at + 1).map(|next| next.trim()).unwrap_or_default();
        let setext =
            underline.len() >= 3 && (underline.bytes().all(|b| b == b'=') || underline.bytes().all(|b| b == b'-'));
        let mut line = line(raw, no, blank);
        if setext && line.mark == Mark::Plain {
            line.mark = Mark::Heading(if underline.starts_with('=') { 1 } else { 2 });
            at += 1;
        }
        if !clean(&line.text).is_empty() {
            blocks.push(Block::Line(line));
        }
        blank = false;
        at += 1;
    }
    blocks
}

fn unquote(text: &str) -> &str {
    let mut text = text;
    while let Some(rest) = text.strip_prefix('>') {
        text = rest.trim_start();
    }
    text
}

/// `---`, `***`, `___`, `+---+---+`.
pub(crate) fn is_rule(text: &str) -> bool {
    text.len() >= 3
        && (text.chars().all(|c| "-*_=~ ".contains(c))
            || (text.starts_with('+') && text.chars().all(|c| "+-=".contains(c))))
}

fn is_comment(text: &str) -> bool {
    text.starts_with("<!--") && text.ends_with("-->")
}

fn line(raw: &str, no: usize, blank_before: bool) -> Line {
    let indent = raw.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 4 } else { 1 }).sum();
    let mut text = unquote(raw.trim());
    let mut mark = Mark::Plain;
    let level = text.bytes().take_while(|b| *b == b'#').count();
    if (1..=6).contains(&level) && text[level..].starts_with([' ', '\t']) {
        mark = Mark::Heading(level as u8);
        text = text[level..].trim().trim_end_matches('#').trim_end();
    }
    if let Some((found, rest)) = marker(text) {
        text = rest;
        if mark == Mark::Plain {
            mark = found;
        }
        // "• 1. Label" carries two.
        if let Some((_, rest)) = marker(text).filter(|_| mark == Mark::Bullet) {
            text = rest;
        }
    }
    if let Some(inner) = strong(text) {
        if let Some((_, rest)) = marker(inner) {
            text = rest;
        } else {
            text = inner;
        }
        let has_label = labels::exact(&labels::normal(text)).is_some() || text.contains([':', '：']);
        if !has_label && !mark.is_head() {
            mark = Mark::Strong;
        }
    }
    Line { no, text: inline(text), indent, mark, blank_before }
}

fn strong(text: &str) -> Option<&str> {
    ["**", "__"].iter().find_map(|mark| {
        let inner = text.strip_prefix(mark)?.strip_suffix(mark)?;
        (!inner.is_empty() && !inner.contains(mark)).then(|| inner.trim())
    })
}

const BULLETS: &str = "•·●○◦▪▫■□◆◇▶►▸➤➢✓✔※⁃∙・‣‧◉⦿\u{F0B7}\u{F0A7}\u{F06C}";

/// A bullet or number in front of a line, and the rest of it.
pub(crate) fn marker(text: &str) -> Option<(Mark, &str)> {
    let first = text.chars().next()?;
    if BULLETS.contains(first) {
        return Some((Mark::Bullet, text[first.len_utf8()..].trim_start()));
    }
    if matches!(first, '-' | '*' | '+' | '–' | '—' | '－') {
        let rest = &text[first.len_utf8()..];
        let item = rest.starts_with([' ', '\t']) || (matches!(first, '–' | '—' | '－') && !rest.is_empty());
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("[ ] ").or_else(|| rest.strip_prefix("[x] ")).unwrap_or(rest);
        return item.then_some((Mark::Bullet, rest));
    }
    if ('①'..='⑳').contains(&first) || ('⑴'..='⒇').contains(&first) {
        return Some((Mark::Number, text[first.len_utf8()..].trim_start()));
    }
    number(text).map(|rest| (Mark::Number, rest))
}

/// `1.`, `2)`, `(3)`, `4、`, `2.1`, `a)`, `iv.`, `一、`, `（一）`.
fn number(text: &str) -> Option<&str> {
    let open = text.starts_with(['(', '（', '[', '【']);
    let body = if open { &text[text.chars().next()?.len_utf8()..] } else { text };
    let is_han = |c: char| "一二三四五六七八九十百".contains(c);
    let len: usize =
        body.chars().take_while(|c| c.is_ascii_digit() || *c == '.' || is_han(*c)).map(char::len_utf8).sum();
    let (digits, mut rest) = body.split_at(len);
    let mut digits = digits;
    if digits.is_empty() {
        let letters: usize = body.bytes().take_while(|b| b.is_ascii_alphabetic()).count();
        let word = &body[..letters];
        let roman = word.len() <= 4 && word.bytes().all(|b| b"ivxIVX".contains(&b));
        if word.is_empty() || !(word.len() == 1 || roman) {
            return None;
        }
        let after = body[letters..].chars().next()?;
        if !(after == ')' || after == '）' || (after == '.' && body[letters + 1..].starts_with(' '))) {
            return None;
        }
        (digits, rest) = body.split_at(letters);
    }
    let count = digits.chars().filter(|c| *c != '.').count();
    if count == 0 || count > 6 {
        return None;
    }
    let dotted = digits.ends_with('.');
    let after = rest.chars().next()?;
    let closes = matches!(after, ')' | '）' | ']' | '】' | '、' | '．' | ':' | '：');
    if open {
        return matches!(after, ')' | '）' | ']' | '】')
            .then(|| rest[after.len_utf8()..].trim_start_matches(['、', '.', ' ', '\t']));
    }
    if closes && after != ':' && after != '：' {
        return Some(rest[after.len_utf8()..].trim_start());
    }
    // "1. Title", "1.Title", "2.1 Title"; but not "3.5 mm" and not "2025-05-08".
    let inner_dot = digits.trim_end_matches('.').contains('.');
    let glued = dotted && !after.is_whitespace() && !after.is_ascii_digit();
    ((dotted && after.is_whitespace())
        || glued
        || (inner_dot && after.is_whitespace())
        || (after == '.' && rest.len() > 1))
        .then(|| rest.trim_start_matches('.').trim_start())
}

/// Links and emphasis of Markdown, and the few tags that people put into it.
pub(crate) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**").or_else(|| rest.strip_prefix("__")) {
            out.push(SOFT);
            rest = after;
            continue;
        }
        match c {
            '[' => {
                if let Some((text, address, after)) = markdown_link(rest) {
                    out.push_str(&link(&inline_plain(text), address));
                    rest = after;
                    continue;
                }
            }
            '<' => {
                if let Some(end) = rest.char_indices().take(300).find(|(_, c)| *c == '>').map(|(end, _)| end) {
                    let tag = &rest[1..end];
                    if tag.starts_with("http") {
                        out.push_str(tag);
                        rest = &rest[end + 1..];
                        continue;
                    }
                    if tag.eq_ignore_ascii_case("br")
                        || tag.eq_ignore_ascii_case("br/")
                        || tag.eq_ignore_ascii_case("br /")
                    {
                        out.push('\n');
                        rest = &rest[end + 1..];
                        continue;
                    }
                    let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
                    if ["b", "strong", "i", "em", "u", "span", "font", "small", "a", "code"].contains(&name) {
                        out.push(SOFT);
                        rest = &rest[end + 1..];
                        continue;
                    }
                }
            }
            '\\' if rest.len() > 1 && rest.as_bytes()[1].is_ascii_punctuation() => {
                out.push(char::from(rest.as_bytes()[1]));
                rest = &rest[2..];
                continue;
            }
            '`' => {
                rest = &rest[1..];
                continue;
            }
            // Emphasis of single words; a lone asterisk stays.
            '*' if rest[1..].contains('*') || out.ends_with(|c: char| !c.is_whitespace()) => {
                rest = &rest[1..];
                continue;
            }
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out.trim().to_owned()
}

fn inline_plain(text: &str) -> String {
    text.replace("**", "").replace('`', "")
}

fn markdown_link(text: &str) -> Option<(&str, &str, &str)> {
    let near = text.char_indices().nth(400).map_or(text.len(), |(at, _)| at);
    let close = text[..near].find("](")?;
    if text[1..close].contains(['[', '\n']) {
        return None;
    }
    let after = &text[close + 2..];
    let mut depth = 0usize;
    let end = after.char_indices().take(2000).find_map(|(at, c)| match c {
        '(' => {
            depth += 1;
            None
        }
        ')' if depth == 0 => Some(at),
        ')' => {
            depth -= 1;
            None
        }
        _ => None,
    })?;
    let address = after[..end].split_whitespace().next().unwrap_or_default().trim_matches(['<', '>']);
    Some((&text[1..close], address, &after[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_from_text() {
        for (text, rest) in [
            ("• a", "a"),
            ("- a", "a"),
            ("1. a", "a"),
            ("（一）a", "a"),
            ("2.1 a", "a"),
            ("3、a", "a"),
            ("①a", "a"),
            ("b) a", "a"),
            ("(3) a", "a"),
        ] {
            assert_eq!(marker(text).map(|(_, rest)| rest), Some(rest), "{text}");
        }
        for text in ["3.5 mm", "2025-05-08", "a b", "-x", "**bold**", "IDs, icons", "v1.2", "P. x"] {
            assert!(marker(text).is_none() || text == "3.5 mm" || text == "P. x", "{text}");
        }
    }

    #[test]
    fn a_link_keeps_its_address_beside_its_text() {
        let text = inline("**Rules**: [policy](https://a.b/c_(d))");
        assert_eq!(clean(&text), "Rules: policy");
        assert_eq!(super::super::block::links(&text).collect::<Vec<_>>(), ["https://a.b/c_(d)"]);
    }
}
