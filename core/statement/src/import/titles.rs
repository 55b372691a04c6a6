//! Which lines read like titles: of the page, and of its entries.

use super::{
    assemble::{Page, Token},
    block::{Line, Mark, clean},
    dates::is_date_line,
    labels::Label,
};

/// The page's own title: stated, or the first line that reads like one and is not an entry's.
pub(crate) fn page_title(tokens: &[Token], page: &mut Page) -> Option<String> {
    let named = page.facts.iter().filter(|fact| fact.label == Label::DocTitle).map(|fact| clean(&fact.value));
    if let Some(title) = named.into_iter().find(|title| !title.is_empty()) {
        return Some(title);
    }
    // The page's heading stands over all entries; where none has another title, it is none of theirs.
    let first = page.entries.first().and_then(|entry| entry.title.clone());
    let heading = tokens.iter().any(
        |token| matches!(token, Token::Text(line) if line.mark == Mark::Heading(1) && Some(clean(&line.text)) == first),
    );
    if heading && page.entries.len() > 1 && page.entries.iter().skip(1).all(|entry| entry.inherited) {
        page.entries.iter_mut().for_each(|entry| (entry.title, entry.inherited) = (None, false));
        return first;
    }
    // A title with nothing below it is not an entry's.
    let alone = page.entries.len() > 1 && page.entries[0].fields.is_empty() && !page.entries[0].cut;
    let stated = alone.then(|| page.entries.remove(0).title).flatten();
    let first_entry = page.entries.first().map_or(usize::MAX, |entry| entry.line);
    let mut best: Option<(&Line, String)> = None;
    for token in tokens {
        let Token::Text(line) = token else { continue };
        if line.no >= first_entry && !(line.mark == Mark::Heading(1) && best.is_none() && line.no == first_entry) {
            break;
        }
        let text = clean(&line.text);
        let entry_title = page.entries.first().and_then(|entry| entry.title.as_deref()) == Some(&text);
        let dated = is_date_line(&text) && !is_page_title(&text);
        if entry_title || !title_like(&text) || dated {
            continue;
        }
        let better = match &best {
            None => true,
            Some((before, _)) => line.mark.is_head() && !before.mark.is_head(),
        };
        if better {
            best = Some((line, text));
        }
    }
    stated.or(best.map(|(_, text)| text))
}

/// Words that a page's own title has and an entry's has not.
pub(crate) fn is_page_title(text: &str) -> bool {
    let text = text.to_lowercase();
    [
        "statement",
        "policy",
        "sharing list",
        "list of third",
        "third party list",
        "声明",
        "清单",
        "目录",
        "政策",
        "erklärung",
        "déclaration",
        "declaración",
        "заявлен",
        "политик",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// Short, and no sentence.
pub(crate) fn title_like(text: &str) -> bool {
    let chars = text.chars().count();
    let words = text.split_whitespace().count();
    let company = ["Inc.", "Ltd.", "Co.", "Corp.", "LLC."].iter().any(|end| text.ends_with(end)) && words <= 8;
    let ends = text.ends_with(['.', '。', ';', '；', '!', '！', ',', '，', '、']) && !company;
    let section = text.starts_with("[[") && text.ends_with("]]");
    !section
        && (1..=120).contains(&chars)
        && words <= 16
        && !ends
        && !text.contains("://")
        && text.chars().any(char::is_alphabetic)
}
