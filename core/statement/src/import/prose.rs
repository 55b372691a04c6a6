//! Pages that tell in sentences who receives what: "We share A and B with X through the Y SDK, for …,
//! when …". Only used where a page has no labels; what is taken from a sentence is marked as such.

use super::{
    assemble::{Page, RawEntry, RawField, Token},
    block::{Line, clean},
    labels::Label,
    quote,
    titles::title_like,
};

struct Section<'a> {
    title: Option<&'a Line>,
    lines: Vec<&'a Line>,
}

pub(crate) fn read(tokens: &[Token], page: &mut Page) {
    let mut sections: Vec<Section> = vec![Section { title: None, lines: Vec::new() }];
    for token in tokens {
        let Token::Text(line) = token else { continue };
        let text = clean(&line.text);
        let head = line.mark.is_head()
            || (line.blank_before && !line.mark.is_item() && title_like(&text) && !text.ends_with([':', '：']));
        let section = sections.last_mut().expect("there is always a section");
        if head {
            sections.push(Section { title: Some(line), lines: Vec::new() });
        } else if line.blank_before
            && !line.mark.is_item()
            && subject(&text).is_some()
            && section.lines.iter().any(|line| subject(&clean(&line.text)).is_some())
        {
            sections.push(Section { title: None, lines: vec![line] });
        } else {
            section.lines.push(line);
        }
    }
    for section in sections {
        if let Some(entry) = entry(&section) {
            page.notes.push((entry.line, "the entry was read from sentences; check it".to_owned()));
            page.entries.push(entry);
        } else if !page.entries.is_empty() {
            for line in section.lines {
                page.notes.push((line.no, format!("the line was not read: {}", quote(&line.text))));
            }
        }
    }
    // One title over several entries is the page's.
    if page.entries.iter().skip(1).all(|entry| entry.title.is_none()) && page.entries.len() > 1 {
        page.entries[0].title = None;
    }
}

/// Verbs of sharing with what follows them up to the data.
const VERBS: &[&str] = &[
    "we share ",
    "we may share ",
    "we will share ",
    "we provide ",
    "we send ",
    "we transfer ",
    "we disclose ",
    "accord shares ",
    " shares ",
    " is shared with ",
    " are shared with ",
    " receives ",
    " receive ",
    " collects ",
    " collect ",
    " obtains ",
    " gets ",
    " accesses ",
    " acquires ",
    "我们会向",
    "我们将向",
    "我们向",
    "向",
];

fn subject(text: &str) -> Option<(usize, &'static str)> {
    let lower = text.to_ascii_lowercase();
    VERBS
        .iter()
        .filter_map(|verb| lower.find(verb).map(|at| (at, *verb)))
        .min_by_key(|(at, verb)| (*at, usize::MAX - verb.len()))
}

fn entry(section: &Section) -> Option<RawEntry> {
    let first = section.lines.iter().find(|line| subject(&clean(&line.text)).is_some())?;
    let mut entry =
        RawEntry { line: first.no, title: section.title.map(|line| clean(&line.text)), ..RawEntry::default() };
    let mut listing = false;
    for line in &section.lines {
        let text = clean(&line.text);
        if line.mark.is_item() {
            put(&mut entry, Label::Data, &text, line.no);
            continue;
        }
        listing |= text.ends_with([':', '：']);
        for sentence in sentences(&text) {
            sentence_into(&sentence, &mut entry, line.no, listing);
        }
    }
    let told = |label| entry.fields.iter().any(|field: &RawField| field.label == label);
    (told(Label::Data) && (told(Label::ThirdParty) || told(Label::Type) || told(Label::Purpose))).then_some(entry)
}

fn put(entry: &mut RawEntry, label: Label, value: &str, line: usize) {
    let company = ["Ltd.", "Inc.", "Co.", "Corp.", "Ltd", "Inc"].iter().find(|end| value.trim().ends_with(**end));
    let value = if company.is_some() {
        value.trim()
    } else {
        value.trim().trim_end_matches(['.', ',', '。', '，', ';']).trim()
    };
    if value.is_empty() {
        return;
    }
    match entry.fields.iter_mut().find(|field| field.label == label) {
        Some(field) if label == Label::Data => {
            field.value.push('\n');
            field.value.push_str(value);
        }
        Some(_) => {}
        None => entry.fields.push(RawField { label, label_text: String::new(), value: value.to_owned(), line }),
    }
}

/// Sentences; a full stop of an abbreviation or an address ends none.
fn sentences(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let chars: Vec<char> = text.chars().collect();
    for (at, c) in chars.iter().enumerate() {
        let current = out.last_mut().expect("there is always a sentence");
        current.push(*c);
        let next_is_new = chars.get(at + 1).is_none_or(|next| next.is_whitespace())
            && chars.get(at + 2).is_none_or(|next| next.is_uppercase() || *next == 'h');
        let short = ["Inc.", "Ltd.", "Co.", "e.g.", "Corp.", "No."].iter().any(|end| current.ends_with(end))
            && chars.get(at + 2).is_some_and(|c| !"TWISDF".contains(*c));
        if *c == '。' || (*c == '.' && next_is_new && !short) {
            out.push(String::new());
        }
    }
    out.retain(|sentence| !sentence.trim().is_empty());
    out
}

/// Where each part of a sentence begins.
const CUES: &[(&str, Cue)] = &[
    (" with ", Cue::Who),
    (" to ", Cue::WhoOrWhy),
    (" through ", Cue::Means),
    (" via ", Cue::Means),
    (" using ", Cue::Means),
    (" by means of ", Cue::Means),
    (" in order to ", Cue::Why),
    (" for the purpose of ", Cue::Why),
    (" so that ", Cue::Why),
    (" for ", Cue::Why),
    (" when ", Cue::When),
    (" whenever ", Cue::When),
    (" while ", Cue::When),
    (" during ", Cue::When),
];

#[derive(Clone, Copy, PartialEq)]
enum Cue {
    Data,
    Who,
    WhoOrWhy,
    Means,
    Why,
    When,
}

fn sentence_into(sentence: &str, entry: &mut RawEntry, line: usize, listing: bool) {
    if let Some(at) = sentence.find("http") {
        put(entry, Label::Rules, &sentence[at..], line);
        return;
    }
    // Only ASCII letters change, so that places in one are places in the other.
    let lower = sentence.to_ascii_lowercase();
    for (start, label) in [
        ("the data is used for ", Label::Purpose),
        ("the data are used for ", Label::Purpose),
        ("it is used for ", Label::Purpose),
        ("this data is used for ", Label::Purpose),
        ("this is used for ", Label::Purpose),
        ("used for ", Label::Purpose),
        ("the purpose is ", Label::Purpose),
        ("this happens when ", Label::Scenario),
        ("this happens ", Label::Scenario),
        ("the data is transferred by ", Label::Method),
        ("the data are transferred by ", Label::Method),
        ("method: ", Label::Method),
    ] {
        if let Some(rest) = lower.trim_start().strip_prefix(start) {
            let from = sentence.len() - rest.len();
            let from = if label == Label::Scenario { sentence[..from].rfind("when").unwrap_or(from) } else { from };
            put(entry, label, &sentence[from..], line);
            return;
        }
    }
    let Some((at, verb)) = subject(sentence) else { return };
    let passive = verb.contains("shared with");
    let body = at + verb.len();
    let before = sentence[..at].trim();
    let mut cuts: Vec<(usize, usize, Cue)> = vec![(body, body, if passive { Cue::Who } else { Cue::Data })];
    // A cue may begin with the space that ends the verb.
    let search = body - usize::from(verb.ends_with(' '));
    for (cue, kind) in CUES {
        for (found, _) in lower[search..].match_indices(cue) {
            let start = search + found;
            cuts.push((start, start + cue.len(), *kind));
        }
    }
    cuts.sort_by_key(|(start, end, _)| (*start, usize::MAX - *end));
    cuts.dedup_by(|b, a| b.0 < a.1 || b.0 == a.0);
    let ours = verb.starts_with("we ") || before.is_empty() || before.eq_ignore_ascii_case("we");
    if passive {
        put(entry, Label::Data, before, line);
    } else if !ours {
        put(entry, Label::ThirdParty, before, line);
    }
    let mut who = !ours && !passive;
    for (index, (_, from, kind)) in cuts.iter().enumerate() {
        let end = cuts.get(index + 1).map_or(sentence.len(), |next| next.0);
        let part = sentence[*from..end.max(*from)].trim().trim_end_matches([',', ':', '：']).trim();
        let named = part.starts_with(|c: char| c.is_uppercase());
        match kind {
            Cue::Data if listing && (part.contains("following") || part.is_empty()) => {}
            Cue::Data => put(entry, Label::Data, part, line),
            Cue::Who | Cue::WhoOrWhy if named && !who => {
                who = true;
                put(entry, Label::ThirdParty, part, line);
            }
            Cue::Who => {}
            Cue::WhoOrWhy | Cue::Why => put(entry, Label::Purpose, part, line),
            Cue::Means => put(
                entry,
                Label::Type,
                part.trim_start_matches("the ")
                    .trim_start_matches("its ")
                    .trim_start_matches("an ")
                    .trim_start_matches("a "),
                line,
            ),
            Cue::When => put(
                entry,
                Label::Scenario,
                &format!("{} {part}", sentence[..*from].trim_end().rsplit(' ').next().unwrap_or("when")),
                line,
            ),
        }
    }
}
