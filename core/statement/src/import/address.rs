//! Links in values: where an address ends, and what was glued behind it.

use std::collections::HashMap;

use super::{
    assemble::RawEntry,
    block::{clean, links},
    labels::{self, Label},
    titles::title_like,
};

/// A title that is glued behind the link of the entry before goes where it belongs.
pub(crate) fn unglue(raw: &mut [RawEntry], addresses: &HashMap<String, usize>) {
    for at in 1..raw.len() {
        if raw[at].title.is_some() && !raw[at].inherited {
            continue;
        }
        let line = raw[at].line;
        let Some(field) = raw[at - 1].fields.iter_mut().rev().find(|field| field.label == Label::Rules) else {
            continue;
        };
        let Some((address, behind)) = address_in(&field.value) else { continue };
        let (address, title) = match glued(addresses, &address) {
            Some((known, rest)) => (known, format!("{rest} {behind}").trim().to_owned()),
            // Page and entries in one paragraph.
            None if field.line == line && title_like(&behind) => (address, behind),
            None => continue,
        };
        field.value = address;
        raw[at].title = Some(title);
        raw[at].inherited = false;
    }
}

/// Every whole address on the page with how often it stands there.
pub(crate) fn addresses(raw: &[RawEntry]) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for field in
        raw.iter().flat_map(|entry| &entry.fields).filter(|field| matches!(field.label, Label::Rules | Label::Site))
    {
        if let Some((address, _)) = address_in(&field.value) {
            *found.entry(address).or_default() += 1;
        }
    }
    found
}

/// The first address in a value, and the text behind it.
pub(crate) fn address_in(value: &str) -> Option<(String, String)> {
    if let Some(link) = links(value).next() {
        return Some((link.trim().to_owned(), String::new()));
    }
    let text = clean(value);
    let lower = text.to_ascii_lowercase();
    let start = ["https://", "http://", "www."]
        .iter()
        .filter_map(|scheme| lower.find(scheme))
        .min()
        .or_else(|| bare_host(&text))?;
    let rest = &text[start..];
    let stop = |c: char| {
        c.is_whitespace()
            || labels::is_cjk(c)
            || matches!(c, '"' | '<' | '>' | '“' | '”' | '|' | '`' | '（' | '）' | '，' | '。' | '；')
    };
    let mut end = rest.find(stop).unwrap_or(rest.len());
    loop {
        let part = &rest[..end];
        let Some(c) = part.chars().next_back() else { break };
        let unbalanced =
            (c == ')' && part.matches(')').count() > part.matches('(').count()) || (c == ']' && !part.contains('['));
        if matches!(c, '.' | ',' | ';' | ':' | '!' | '\'' | '*') || unbalanced {
            end -= c.len_utf8();
        } else {
            break;
        }
    }
    let behind = rest[end..]
        .trim_start_matches(|c: char| {
            matches!(c, '.' | '。' | ',' | ';' | '；' | ')' | '）' | '!' | '*' | '>' | '"' | ']')
        })
        .trim();
    Some((rest[..end].to_owned(), behind.to_owned()))
}

/// `privacy.mi.com/all/en_US` without a scheme.
fn bare_host(text: &str) -> Option<usize> {
    let word = text.split_whitespace().next()?;
    let (host, path) = word.split_once('/')?;
    let labels: Vec<&str> = host.split('.').collect();
    let fits = labels.len() >= 2
        && labels
            .iter()
            .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    let top = labels.last().is_some_and(|top| top.len() >= 2 && top.bytes().all(|b| b.is_ascii_alphabetic()));
    (fits && top && !path.is_empty()).then_some(0)
}

/// A known address with a word glued behind it: `…/en_USData`.
pub(crate) fn glued(addresses: &HashMap<String, usize>, address: &str) -> Option<(String, String)> {
    if addresses.len() > 500 {
        return None;
    }
    let known = addresses
        .keys()
        .filter(|known| known.len() < address.len() && known.len() > 12 && address.starts_with(known.as_str()));
    let known = known.max_by_key(|known| known.len())?;
    let rest = &address[known.len()..];
    let word =
        rest.len() >= 3 && rest.starts_with(|c: char| c.is_ascii_uppercase()) && rest.chars().all(char::is_alphabetic);
    word.then(|| (known.clone(), rest.to_owned()))
}
