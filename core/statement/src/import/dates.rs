//! Versions and dates: `v20250508`, `May 8, 2025`, `2025年5月8日`, `8. Mai 2025`, `08/05/2025`.

use jiff::civil::Date;

/// A date, or the two that a text may mean.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Found {
    Sure(Date),
    /// Day first, month first.
    Either(Date, Date),
}

/// True for lines that hold a version or date and little else.
pub(crate) fn is_date_line(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words = [
        "version",
        "updated",
        "effective",
        "版本",
        "更新",
        "生效",
        "发布日期",
        "stand:",
        "mis à jour",
        "actualiza",
        "обновл",
        "revised",
        "修订",
        "revision",
    ];
    text.chars().count() <= 80
        && text.chars().any(|c| c.is_ascii_digit())
        && (words.iter().any(|word| lower.contains(word))
            || version_token(text).is_some_and(|token| token.len() == text.trim().len()))
        || text.chars().count() <= 40 && find(text, "").is_some()
}

/// A word such as `v20250508`, `V2.1` or `20250508`.
pub(crate) fn version_token(text: &str) -> Option<&str> {
    text.split(|c: char| {
        c.is_whitespace() || matches!(c, '(' | ')' | '（' | '）' | ',' | '，' | ';' | '：' | ':' | '_' | '”' | '“')
    })
    .find(|word| {
        let digits = word.strip_prefix(['v', 'V']);
        match digits {
            Some(rest) => {
                rest.starts_with(|c: char| c.is_ascii_digit())
                    && rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
            }
            None => word.len() == 8 && compact(word).is_some(),
        }
    })
}

/// The version that a line names: `v2.1`, or what follows the word.
pub(crate) fn version_in(text: &str) -> Option<&str> {
    if let Some(token) = version_token(text).filter(|token| token.starts_with(['v', 'V'])) {
        return Some(token);
    }
    let mut words =
        text.split(|c: char| c.is_whitespace() || "(（)）,，:：;；".contains(c)).filter(|word| !word.is_empty());
    words.find(|word| {
        ["version", "fassung", "versión", "versione", "versão", "版本"].contains(&word.to_lowercase().as_str())
    })?;
    let word = words.next()?.trim_end_matches(['.', '。']);
    word.starts_with(|c: char| c.is_ascii_digit()).then_some(word)
}

/// The version at the head of a value; a date in words is taken whole.
pub(crate) fn version_of(value: &str) -> String {
    let first = value.split([' ', '(', '（', ',', '，', ';']).next().unwrap_or(value).trim_end_matches(['.', '。']);
    let three = value.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let worded = find(first, "").is_none() && month_within(&three) && find(&three, "").is_some();
    if worded { three.trim_end_matches([',', '.', ';', ')']).to_owned() } else { first.to_owned() }
}

fn month_within(text: &str) -> bool {
    text.split_whitespace().take(2).any(|word| month(word).is_some())
}

/// True when a version has eight digits that begin like a year.
pub(crate) fn looks_dated(version: &str) -> bool {
    let mut runs = version.split(|c: char| !c.is_ascii_digit());
    runs.any(|run| run.len() == 8 && (run.starts_with("19") || run.starts_with("20")))
}

/// The date inside a version: `v20250508`, `2025.05.08`.
pub(crate) fn of_version(version: &str) -> Option<Date> {
    let digits: String = version.chars().filter(char::is_ascii_digit).collect();
    let run = version
        .split(|c: char| !c.is_ascii_digit())
        .find_map(|run| if run.len() >= 8 { compact(&run[..8]) } else { None });
    run.or_else(|| match find(version.trim_start_matches(['v', 'V']), "en") {
        Some(Found::Sure(date)) if digits.len() >= 6 => Some(date),
        _ => None,
    })
}

fn compact(digits: &str) -> Option<Date> {
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    date(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?)
}

fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    if !(1990..=2100).contains(&year) {
        return None;
    }
    Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

const MONTHS: [&str; 12] = [
    "january|jan|januar|janvier|janv|enero|ene|gennaio|janeiro|января|янв",
    "february|feb|februar|février|fevrier|févr|febrero|febbraio|fevereiro|февраля|фев",
    "march|mar|märz|maerz|mars|marzo|março|марта|мар",
    "april|apr|avril|avr|abril|abr|aprile|апреля|апр",
    "may|mai|mayo|maggio|maio|мая|май",
    "june|jun|juni|juin|junio|giugno|junho|июня|июн",
    "july|jul|juli|juillet|juil|julio|luglio|julho|июля|июл",
    "august|aug|août|aout|agosto|ago|августа|авг",
    "september|sep|sept|septembre|septiembre|settembre|setembro|сентября|сен",
    "october|oct|oktober|okt|octobre|octubre|ottobre|outubro|октября|окт",
    "november|nov|novembre|noviembre|novembro|ноября|ноя",
    "december|dec|dezember|dez|décembre|decembre|déc|diciembre|dic|dicembre|dezembro|декабря|дек",
];

fn month(word: &str) -> Option<i64> {
    let word = word.trim_end_matches('.').to_lowercase();
    MONTHS.iter().position(|names| names.split('|').any(|name| name == word)).map(|at| at as i64 + 1)
}

/// The first date of a text. `language` decides between day and month where custom is clear.
pub(crate) fn find(text: &str, language: &str) -> Option<Found> {
    let text: String = text.chars().take(400).collect();
    // Numbers and words in turn, with what stands between them.
    let mut parts: Vec<(String, char)> = Vec::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_alphanumeric() {
            let glue = parts.last().is_some_and(|(word, _)| {
                before.is_alphanumeric()
                    && word.chars().next_back().is_some_and(|last| {
                        last.is_ascii_digit() == c.is_ascii_digit()
                            && super::labels::is_cjk(last) == super::labels::is_cjk(c)
                    })
            });
            if glue {
                parts.last_mut().expect("glue needs a part").0.push(c);
            } else {
                parts.push((c.to_string(), if before.is_alphanumeric() { '\0' } else { before }));
            }
        } else if !c.is_whitespace() || !matches!(before, '.' | '/' | '-' | ',') {
            before = c;
            continue;
        }
        before = c;
    }
    let number =
        |at: usize| parts.get(at).filter(|(word, _)| word.len() <= 4).and_then(|(word, _)| word.parse::<i64>().ok());
    let word = |at: usize| parts.get(at).map(|(word, _)| word.as_str()).unwrap_or_default();
    for at in 0..parts.len() {
        if word(at).len() == 8
            && let Some(date) = compact(word(at))
        {
            return Some(Found::Sure(date));
        }
        // 2025年5月8日
        if let (Some(year), true, Some(month), true, Some(day)) = (
            number(at),
            matches!(word(at + 1), "年" | "년"),
            number(at + 2),
            matches!(word(at + 3), "月" | "월"),
            number(at + 4),
        ) && let Some(date) = date(year, month, day)
        {
            return Some(Found::Sure(date));
        }
        // May 8, 2025; May 8th, 2025
        if let (Some(month), Some(day)) = (month(word(at)), number(at + 1)) {
            let skip = usize::from(matches!(word(at + 2).to_lowercase().as_str(), "st" | "nd" | "rd" | "th"));
            if let Some(date) = number(at + 2 + skip).and_then(|year| date(year, month, day)) {
                return Some(Found::Sure(date));
            }
        }
        // 8 May 2025, 8. Mai 2025, 8 de mayo de 2025, 1er mai 2025
        if let Some(day) = number(at) {
            let small = |word: &str| {
                matches!(word.to_lowercase().as_str(), "de" | "del" | "of" | "st" | "nd" | "rd" | "th" | "er")
            };
            let mut next = at + 1;
            while small(word(next)) {
                next += 1;
            }
            if let Some(month) = month(word(next)) {
                let mut year = next + 1;
                while small(word(year)) {
                    year += 1;
                }
                if let Some(date) = number(year).and_then(|year| date(year, month, day)) {
                    return Some(Found::Sure(date));
                }
            }
        }
        let (Some(a), Some(b), Some(c)) = (number(at), number(at + 1), number(at + 2)) else { continue };
        let joint = parts[at + 1].1;
        if !matches!(joint, '-' | '/' | '.' | '‐' | '–') || parts[at + 2].1 != joint {
            continue;
        }
        if word(at).len() == 4
            && let Some(date) = date(a, b, c)
        {
            return Some(Found::Sure(date));
        }
        if word(at + 2).len() == 4 {
            let (day_first, month_first) = (date(c, b, a), date(c, a, b));
            let custom = joint == '.' || !matches!(language, "" | "en");
            return match (day_first, month_first) {
                (Some(x), Some(y)) if x != y && !custom => Some(Found::Either(x, y)),
                (Some(x), _) => Some(Found::Sure(x)),
                (None, Some(y)) => Some(Found::Sure(y)),
                (None, None) => continue,
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_many_customs() {
        let may = Date::constant(2025, 5, 8);
        for text in [
            "Last updated: May 8, 2025",
            "8 May 2025",
            "8. Mai 2025",
            "le 8 mai 2025",
            "8 de mayo de 2025",
            "8 мая 2025 г.",
            "更新日期：2025年5月8日",
            "2025-05-08",
            "2025/5/8",
            "08.05.2025",
            "20250508",
            "May 8th, 2025",
            "2025 年 05 月 08 日",
            "2025.05.08",
        ] {
            assert_eq!(find(text, "en"), Some(Found::Sure(may)), "{text}");
        }
        assert_eq!(find("08/05/2025", "en"), Some(Found::Either(may, Date::constant(2025, 8, 5))));
        assert_eq!(find("08/05/2025", "fr"), Some(Found::Sure(may)));
        assert_eq!(find("25/05/2025", "en"), Some(Found::Sure(Date::constant(2025, 5, 25))));
        assert_eq!(find("call 555 2025", "en"), None);
        assert_eq!(of_version("v20250508"), Some(may));
        assert_eq!(of_version("2.1"), None);
        assert_eq!(version_token("Statement v20250508"), Some("v20250508"));
        assert_eq!(version_in("Statement (Version 2025.05.08)"), Some("2025.05.08"));
        assert_eq!(version_in("Version 3.2, effective May 8"), Some("3.2"));
        assert_eq!(version_in("Conversion 3 of 4"), None);
        for (value, version) in [
            ("v20250508 (May 8)", "v20250508"),
            ("May 8, 2025", "May 8, 2025"),
            ("2 (8 May 2025)", "2"),
            ("2.1, 8 May 2025", "2.1"),
        ] {
            assert_eq!(version_of(value), version);
        }
    }
}
