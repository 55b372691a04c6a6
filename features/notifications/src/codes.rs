//! One-time codes in texts. Two questions with different answers in doubt: which code is there to copy ([`find`], only a
//! sure one), and whether there might be one ([`suspected`], so that it is held back).

/// Longer texts are not looked through; a code stands at the beginning.
const LOOKED_AT: usize = 2000;
/// Characters between a code and the word that says it is one.
const NEAR: usize = 60;
const VERY_NEAR: usize = 25;

/// Parts of words that speak of codes, in lower case.
const WORDS: &[&str] = &[
    "code",
    "código",
    "codigo",
    "codice",
    "kód",
    "код",
    "passwor",
    "passwort",
    "пароль",
    "verif",
    "authenti",
    "einmal",
    "one-time",
    "one time",
    "two-step",
    "two-factor",
    "2-step",
    "zwei-faktor",
    "验证码",
    "驗證碼",
    "校验码",
    "动态码",
    "認証コード",
    "確認コード",
    "認証番号",
    "인증번호",
    "인증 코드",
    "mã xác",
    "رمز",
    "קוד",
    "รหัส",
    "ओटीपी",
    "κωδικ",
];
/// Whole words, in lower case.
const WHOLE: &[&str] =
    &["otp", "tan", "mtan", "smstan", "pushtan", "pin", "2fa", "mfa", "kod", "kodu", "kode", "koden", "koda", "totp"];
/// What has `code` or the like in it and is none of ours.
const OTHER: &[&str] = &[
    "promo code",
    "promotion code",
    "discount code",
    "coupon code",
    "voucher code",
    "gift code",
    "referral code",
    "promo-code",
    "zip code",
    "postal code",
    "postcode",
    "area code",
    "country code",
    "qr code",
    "qr-code",
    "barcode",
    "bar code",
    "source code",
    "error code",
    "status code",
    "exit code",
    "dress code",
    "code review",
    "rabattcode",
    "gutscheincode",
    "aktionscode",
    "fehlercode",
    "statuscode",
    "quellcode",
    "vs code",
    "claude code",
    "xcode",
    "unicode",
    "encode",
    "decode",
    "code promo",
    "código postal",
    "code postal",
    "codice sconto",
    "einmalig",
    "codebase",
    "verified",
    "barcode",
];
/// Directly before a number: it counts or names something else.
const NOT_AFTER: &[&str] = &[
    "$",
    "€",
    "£",
    "¥",
    "₹",
    "#",
    "+",
    "№",
    "ending in",
    "ending with",
    "ends in",
    "endet auf",
    "order",
    "order no.",
    "invoice",
    "rechnung",
    "bestellung",
    "ref",
    "ref.",
    "tel.",
    "call",
    "room",
    "flight",
    "version",
];
/// Directly after a number: it is an amount.
const NOT_BEFORE: &[&str] = &[
    "€", "$", "£", "%", "eur", "usd", "gbp", "chf", "kr", "zł", "руб", "₽", "円", "元", "euro", "dollar", "points",
    "punkte", "km", "kg", "mb", "gb", "kcal", "steps", "schritte", "items", "files", "messages", "minutes", "minuten",
];

/// The one-time code in a text, as it is typed in: `123456` for `123 456` and for `G-123456`.
///
/// ```
/// use accord_notifications::codes;
/// assert_eq!(codes::find("123 456 is your Example verification code").as_deref(), Some("123456"));
/// assert_eq!(codes::find("Lunch at 12:30, bring 2500 €"), None);
/// ```
pub fn find(text: &str) -> Option<String> {
    let text: Vec<char> = text.chars().take(LOOKED_AT).collect();
    if let Some(code) = bound_to_domain(&text) {
        return Some(code);
    }
    let words = words(&text);
    let near = |candidate: &Candidate| {
        let distance = words.iter().map(|word| candidate.distance(word)).min()?;
        let limit = match candidate.kind {
            Kind::Digits => NEAR,
            Kind::Year | Kind::Mixed => VERY_NEAR,
        };
        (distance <= limit).then_some(distance)
    };
    let found = candidates(&text);
    let best = found.iter().filter_map(|candidate| Some((near(candidate)?, candidate)));
    // A year or a word in capitals only when no plain number is near.
    let best = best.min_by_key(|(distance, candidate)| (candidate.kind, *distance));
    best.map(|(_, candidate)| candidate.code.clone())
}

/// Whether a text might hold a one-time code: rather yes than no.
pub fn suspected(text: &str) -> bool {
    let text: Vec<char> = text.chars().take(LOOKED_AT).collect();
    if bound_to_domain(&text).is_some() {
        return true;
    }
    let has_number = || {
        let mut run = 0;
        text.iter().any(|c| {
            run = match c {
                c if c.is_numeric() => run + 1,
                ' ' | '-' | '.' => run,
                _ => 0,
            };
            run >= 4
        })
    };
    !words(&text).is_empty() && (has_number() || !candidates(&text).is_empty())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Digits,
    Mixed,
    Year,
}

#[derive(Debug)]
struct Candidate {
    from: usize,
    to: usize,
    kind: Kind,
    code: String,
}

impl Candidate {
    fn distance(&self, (from, to): &(usize, usize)) -> usize {
        if *to <= self.from { self.from - to } else { from.saturating_sub(self.to) }
    }
}

/// `@example.com #123456`, the form that browsers fill in for that site.
fn bound_to_domain(text: &[char]) -> Option<String> {
    let line: String = text.iter().collect();
    let last = line.lines().rev().find(|line| !line.trim().is_empty())?.trim();
    let (domain, rest) = last.strip_prefix('@')?.split_once(" #")?;
    let code = rest.split([' ', '%']).next()?;
    let fits = |c: char| c.is_ascii_alphanumeric();
    let is_domain = domain.contains('.') && domain.chars().all(|c| fits(c) || matches!(c, '.' | '-'));
    (is_domain && (4..=12).contains(&code.len()) && code.chars().all(fits)).then(|| code.to_owned())
}

/// Where words speak of codes.
fn words(text: &[char]) -> Vec<(usize, usize)> {
    // One character each, so that places stay the same; what grows in lower case is no letter of ours.
    let lower: Vec<char> = text.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
    let at = |place: usize, word: &str| {
        let mut rest = &lower[place..];
        word.chars().all(|c| match rest.split_first() {
            Some((first, more)) if *first == c => {
                rest = more;
                true
            }
            _ => false,
        })
    };
    let mut found = Vec::new();
    let mut place = 0;
    while place < lower.len() {
        let boundary = place == 0 || !lower[place - 1].is_alphanumeric();
        let length = |word: &&&str| word.chars().count();
        let ends = |word: &&&str| lower.get(place + length(word)).is_none_or(|c| !c.is_alphanumeric());
        if let Some(other) = OTHER.iter().find(|word| at(place, word)) {
            place += other.chars().count();
            continue;
        }
        let part = WORDS.iter().find(|word| at(place, word));
        let whole = || WHOLE.iter().filter(|word| at(place, word)).find(ends).filter(|_| boundary);
        if let Some(word) = part.or_else(whole) {
            let end = place + word.chars().count();
            found.push((place, end));
            place = end;
            continue;
        }
        place += 1;
    }
    found
}

fn candidates(text: &[char]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < text.len() {
        if !text[place].is_ascii_alphanumeric() || place > 0 && text[place - 1].is_alphanumeric() {
            place += 1;
            continue;
        }
        let (end, groups) = span(text, place);
        if let Some((kind, code)) = code_of(&groups)
            && !is_something_else(text, place, end)
        {
            found.push(Candidate { from: place, to: end, kind, code });
        }
        place = end.max(place + 1);
    }
    found
}

/// A run of letters and digits, with further groups of digits that belong to it, and where it ends.
fn span(text: &[char], start: usize) -> (usize, Vec<(Option<char>, String)>) {
    let run = |from: usize| text[from..].iter().take_while(|c| c.is_alphanumeric()).count();
    let mut end = start + run(start);
    let mut groups = vec![(None, text[start..end].iter().collect::<String>())];
    let is_number = |group: &str| group.chars().all(|c| c.is_ascii_digit());
    while let Some(separator) = text.get(end).filter(|c| " -./:,\u{a0}–".contains(**c)) {
        let next = run(end + 1);
        let group: String = text[end + 1..end + 1 + next].iter().collect();
        let before = &groups[groups.len() - 1].1;
        let prefix = groups.len() == 1 && *separator == '-' && before.len() == 1;
        let spaced = matches!(separator, ' ' | '\u{a0}');
        // Apart from what looks like one grouped number, a space ends it.
        let alike = group.len() == before.len() && matches!(group.len(), 2..=4);
        if next == 0 || !is_number(&group) || !(is_number(before) || prefix) || spaced && !alike {
            break;
        }
        groups.push((Some(*separator), group));
        end += 1 + next;
    }
    (end, groups)
}

fn code_of(groups: &[(Option<char>, String)]) -> Option<(Kind, String)> {
    let is_number = |group: &str| group.chars().all(|c| c.is_ascii_digit());
    match groups {
        [(None, one)] if is_number(one) => {
            let kind = match one.parse() {
                Ok(1900..=2099) if one.len() == 4 => Kind::Year,
                _ => Kind::Digits,
            };
            (4..=8).contains(&one.len()).then(|| (kind, one.clone()))
        }
        [(None, one)] => {
            let digits = one.chars().filter(char::is_ascii_digit).count();
            let fits = one.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
            (fits && digits > 0 && (5..=8).contains(&one.len())).then(|| (Kind::Mixed, one.clone()))
        }
        [(None, first), (Some('-'), second)] if first.len() == 1 && !is_number(first) => {
            (4..=8).contains(&second.len()).then(|| (Kind::Digits, second.clone()))
        }
        [(None, first), (Some(' ' | '-' | '\u{a0}' | '–'), second)] => {
            let fits = first.len() == second.len() && matches!(first.len(), 3 | 4) && is_number(first);
            fits.then(|| (Kind::Digits, format!("{first}{second}")))
        }
        [(None, a), (Some(' ' | '-'), b), (Some(' ' | '-'), c)] => {
            let fits = [a, b, c].iter().all(|group| group.len() == 2 && is_number(group));
            fits.then(|| (Kind::Digits, format!("{a}{b}{c}")))
        }
        _ => None,
    }
}

fn is_something_else(text: &[char], from: usize, to: usize) -> bool {
    let lower = |part: &[char]| part.iter().collect::<String>().to_lowercase();
    let before = lower(&text[from.saturating_sub(16)..from]);
    let after = lower(&text[to..(to + 12).min(text.len())]);
    let (before, after) = (before.trim_end(), after.trim_start());
    let word_ends = |word: &str| {
        let rest = &before[..before.len() - word.len()];
        !word.starts_with(char::is_alphabetic) || !rest.ends_with(char::is_alphanumeric)
    };
    let word_begins =
        |word: &str| !word.ends_with(char::is_alphabetic) || !after[word.len()..].starts_with(char::is_alphabetic);
    NOT_AFTER.iter().any(|word| before.ends_with(word) && word_ends(word))
        || NOT_BEFORE.iter().any(|word| after.starts_with(word) && word_begins(word))
        // A path, an address, a name in code.
        || before.ends_with(['/', '@', '_', '=']) || after.starts_with(['/', '@', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_are_found_as_they_are_sent() {
        for (text, code) in [
            ("123456 is your Example verification code.", "123456"),
            ("G-592837 is your Google verification code.", "592837"),
            ("Your code is 123 456. It expires in 10 minutes.", "123456"),
            ("Your Slack confirmation code is ABC-123... no, 482-913", "482913"),
            ("Use 4821 to verify your account. Do not share it.", "4821"),
            ("[Bank] OTP 839201 for txn of USD 2500.00 on card ending 4111", "839201"),
            ("Ihre mTAN lautet 483920 für die Überweisung über 1500,00 EUR", "483920"),
            ("Dein Bestätigungscode: 99 83 21", "998321"),
            ("Ihr Einmalpasswort 77120934", "77120934"),
            ("WhatsApp-Code: 123-456\nGib diesen Code nicht weiter", "123456"),
            ("Votre code de vérification est le 70441", "70441"),
            ("Su código es 5512. No lo comparta", "5512"),
            ("Код подтверждения: 55120", "55120"),
            ("您的验证码是 384756，5分钟内有效", "384756"),
            ("認証コード：112233", "112233"),
            ("[앱] 인증번호 889900 를 입력", "889900"),
            ("Steam Guard code: 7XK9P", "7XK9P"),
            ("Your login code: 2024", "2024"),
            ("Example: sign in\n\n@login.example.com #740112", "740112"),
            ("Call us at 0800 123 4567. Your PIN is 9012", "9012"),
            ("Your code 246810 15 minutes left", "246810"),
            ("2FA: 601233", "601233"),
        ] {
            assert_eq!(find(text).as_deref(), Some(code), "{text}");
            assert!(suspected(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_none() {
        for text in [
            "Lunch at 12:30?",
            "See you in 2026",
            "Your order #123456 has shipped",
            "The promo code SAVE20 gives you 2500 points",
            "Missed call from +49 170 1234567",
            "Payment of 1234 EUR received",
            "Build 483920 failed with error code 1234",
            "Meeting 2026-10-05 14:00, zip code 10115",
            "Download finished: file_123456.zip",
            "Battery 4000 mAh",
            "Please verify your e-mail address",
            "",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn what_might_be_a_code_is_held_back_and_other_news_are_not() {
        for text in ["code: 12345678901", "Passwort: 1 2 3 4 5 6", "Your OTP follows: 123.456"] {
            assert!(suspected(text), "{text}");
        }
        for text in [
            "Lunch at 12:30?",
            "Mira: 123456 steps today",
            "Your order #123456 has shipped",
            "pin it",
            "zip code 10115",
        ] {
            assert!(!suspected(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it_and_what_is_found_is_suspected(text in "\\PC{0,80}", number in 1000u32..99_999_999) {
            for text in [text.clone(), format!("{text} code {number} {text}"), format!("{number}-{text}: otp")] {
                if find(&text).is_some() {
                    prop_assert!(suspected(&text));
                }
            }
        }
    }
}
