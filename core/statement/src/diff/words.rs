//! How two texts of one meaning are told from two meanings: by their words, stripped of form, order and
//! small words.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

/// What a new text says beside an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wording {
    Same,
    Reworded,
    Narrowed,
    Widened,
}

/// A text without case, punctuation, articles and plurals: equal keys mean one thing.
pub(super) fn key(text: &str) -> String {
    words(text).join(" ")
}

/// A company without the dress of its legal form's punctuation.
pub(super) fn party_key(text: &str) -> String {
    key(text).replace("limited", "ltd").replace("incorporated", "inc").replace("company", "co")
}

/// The words as they are said: case, spaces and punctuation left out.
fn spoken(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    for c in text.nfkc().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() || c == '+' || c == '#' {
            word.push(c);
        } else if !matches!(c, '\'' | '’') && !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

fn words(text: &str) -> Vec<String> {
    let mut out = spoken(text);
    out.retain(|word| !["the", "a", "an", "your", "s"].contains(&word.as_str()));
    for word in &mut out {
        let plural = word.len() > 3
            && word.is_ascii()
            && word.ends_with('s')
            && !word.ends_with("ss")
            && !word.ends_with("us")
            && !word.ends_with("is");
        if word == "addresses" {
            *word = "address".to_owned();
        } else if plural || word == "ids" {
            word.pop();
        }
    }
    out
}

const SMALL: &[&str] = &[
    "for", "to", "of", "in", "on", "at", "by", "and", "or", "with", "when", "while", "during", "is", "are", "be", "in",
    "order", "so", "that", "used", "use", "using", "you", "we", "it", "which", "this", "these", "them", "they", "our",
    "their", "und", "der", "die", "das", "zum", "zur", "le", "la", "les", "de", "des", "du", "pour", "et", "el", "los",
    "y", "para", "и", "для",
];

const ALIKE: &[&str] = &[
    "recogn identif detect determin",
    "discov find locat search",
    "connec link pair join",
    "transf send transm share sharin deliv",
    "displa show present",
    "contro operat manage",
    "obtain get gettin retrie receiv fetch",
    "verif authen check confir",
    "statis analyt analys",
    "launch start open",
    "device applia",
    "differ distin",
    "televi tv",
    "car vehicl",
    "insert embed add",
];

/// The first of each group above that says what is done.
const DOING: &[&str] = &[
    "recogn", "discov", "connec", "transf", "displa", "contro", "obtain", "verif", "launch", "differ", "insert",
    "collec", "proces", "provid", "improv", "analyz",
];

/// The stems of the words that carry meaning; a run of Han characters is taken in pairs.
fn stems(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for word in words(text) {
        if SMALL.contains(&word.as_str()) {
            continue;
        }
        let chars: Vec<char> = word.chars().collect();
        if chars.iter().any(|c| crate::import::is_cjk(*c)) {
            out.extend(chars.windows(2.min(chars.len())).map(|pair| pair.iter().collect::<String>()));
            continue;
        }
        let stem: String = chars.iter().take(6).collect();
        let group = ALIKE
            .iter()
            .find(|group| group.split(' ').any(|part| stem.starts_with(part) && (part.len() > 3 || stem == part)));
        out.insert(group.map_or(stem, |group| group.split(' ').next().unwrap_or_default().to_owned()));
    }
    out
}

/// Words that make a purpose or an occasion wider wherever they turn up.
const WIDER: &[&str] = &[
    "advert", "ads", "ad", "market", "profil", "person", "recomm", "monet", "sale", "sell", "sellin", "train",
    "traini", "resear", "partne", "affili", "tracki", "target", "always", "contin", "backgr", "anytim", "cloud",
    "server", "third", "telem",
];
const WIDER_CJK: &[&str] =
    &["广告", "营销", "画像", "推荐", "训练", "出售", "始终", "后台", "随时", "任何", "追踪", "研究"];

fn parts(text: &str) -> Vec<BTreeSet<String>> {
    let (items, _) = crate::import::split_items(text);
    items
        .iter()
        .map(|item| stems(&format!("{} {}", item.item, item.detail.as_deref().unwrap_or_default())))
        .filter(|part| !part.is_empty())
        .collect()
}

/// True when a part is about things that the old text does not name, whatever is done to them.
fn is_new(part: &BTreeSet<String>, old: &BTreeSet<String>) -> bool {
    let mut things = part.iter().filter(|stem| !DOING.contains(&stem.as_str())).peekable();
    things.peek().is_some() && things.all(|thing| !old.contains(thing))
}

/// Compares a purpose, scenario or method with its older form.
pub(super) fn compare(old: &str, new: &str) -> Wording {
    if spoken(old) == spoken(new) {
        return Wording::Same;
    }
    let (a, b) = (stems(old), stems(new));
    if a == b {
        return Wording::Reworded;
    }
    let wider = b.difference(&a).any(|stem| WIDER.contains(&stem.as_str()))
        || WIDER_CJK.iter().any(|word| new.contains(word) && !old.contains(word));
    if wider {
        return Wording::Widened;
    }
    let (before, after) = (parts(old), parts(new));
    let met = |part: &BTreeSet<String>, others: &[BTreeSet<String>], all: &BTreeSet<String>| {
        let known = part.iter().filter(|stem| all.contains(*stem)).count();
        others.iter().any(|other| other == part) || known * 2 >= part.len()
    };
    let kept = before.iter().filter(|part| met(part, &after, &b)).count();
    let fresh: Vec<_> = after.iter().filter(|part| !met(part, &before, &a) || is_new(part, &a)).collect();
    // A new part beside all the old ones is one more purpose; so is one about something else altogether.
    // A changed part is a rewording.
    let more = after.len() > before.len() || fresh.len() > before.len() - kept.min(before.len());
    if a.is_disjoint(&b) || !fresh.is_empty() && (more || fresh.iter().any(|part| is_new(part, &a))) {
        return Wording::Widened;
    }
    if b.is_subset(&a) && after.len() < before.len() {
        return Wording::Narrowed;
    }
    Wording::Reworded
}

/// How far a sharing method carries data: 0 unknown, 1 taken on the device, 2 handed over, 3 to servers.
pub(super) fn reach(method: &str) -> u8 {
    let lower = method.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&[
        "backend",
        "server",
        "cloud",
        "remote",
        "internet",
        "upload",
        "后台",
        "服务器",
        "云",
        "上传",
        "接口传输",
        "serveur",
        "servidor",
        "сервер",
        "hintergrund",
    ]) {
        3
    } else if any(&["transfer", "transmi", "send", "传输", "发送", "übertrag", "transfert", "transferencia", "передач"])
    {
        2
    } else if any(&["local", "acqui", "collect", "采集", "获取", "本地", "本机", "收集", "lokal", "locale", "локальн"])
    {
        1
    } else {
        0
    }
}

/// What became of the brackets behind an item.
pub(super) enum Detail {
    Same,
    Clearer,
    Looser,
    Parts { more: Vec<String>, fewer: Vec<String> },
}

pub(super) fn detail(old: Option<&str>, new: Option<&str>) -> Detail {
    match (old, new) {
        (None, None) => Detail::Same,
        (None, Some(detail)) => {
            let lower = detail.to_lowercase();
            let more = ["including", "also", "as well as", "plus", "包括", "包含", "以及"]
                .iter()
                .any(|word| lower.contains(word));
            if more { Detail::Parts { more: vec![detail.to_owned()], fewer: Vec::new() } } else { Detail::Clearer }
        }
        (Some(_), None) => Detail::Looser,
        (Some(a), Some(b)) => {
            let split = |text: &str| crate::import::split_items(text).0;
            let (before, after) = (split(a), split(b));
            let name =
                |item: &crate::DataItem| key(&format!("{} {}", item.item, item.detail.as_deref().unwrap_or_default()));
            let beyond = |some: &[crate::DataItem], others: &[crate::DataItem]| {
                let known: BTreeSet<String> = others.iter().map(name).collect();
                some.iter()
                    .filter(|item| !known.contains(&name(item)))
                    .map(|item| item.item.clone())
                    .collect::<Vec<_>>()
            };
            let (more, fewer) = (beyond(&after, &before), beyond(&before, &after));
            if more.is_empty() && fewer.is_empty() { Detail::Same } else { Detail::Parts { more, fewer } }
        }
    }
}
