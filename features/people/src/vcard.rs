//! What is read of a vCard (RFC 6350, and version 2.1, which Android writes): a name, numbers and addresses.

use serde::{Deserialize, Serialize};

use crate::shown;

/// Longest card that is read, in bytes.
pub const MAX_CARD: usize = 64 * 1024;
const MAX_NAME: usize = 200;
const MAX_VALUE: usize = 200;
const MOST: usize = 20;

/// A number or address, with what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// `cell`, `home`, `work`, …; empty when the card does not say.
    pub label: String,
    /// The number or address; safe to show.
    pub value: String,
}

/// What a card says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// What the person is called; safe to show.
    pub name: String,
    /// Telephone numbers.
    pub numbers: Vec<Labelled>,
    /// Mail addresses.
    pub mails: Vec<Labelled>,
}

/// Reads a card. `None` when it is none, too long, or says neither a name nor how to reach anyone.
///
/// ```
/// let card = "BEGIN:VCARD\nVERSION:2.1\nFN:Ada\nTEL;CELL:+49 123\nEND:VCARD\n";
/// let card = accord_people::vcard::read(card).unwrap();
/// assert_eq!((card.name.as_str(), card.numbers[0].label.as_str()), ("Ada", "cell"));
/// ```
pub fn read(text: &str) -> Option<Card> {
    if text.len() > MAX_CARD || !text.trim_start().get(..11)?.eq_ignore_ascii_case("BEGIN:VCARD") {
        return None;
    }
    let mut card = Card::default();
    let mut structured = String::new();
    for line in lines(text) {
        let Some(property) = Property::of(&line) else { continue };
        match property.name.as_str() {
            "FN" if card.name.is_empty() => card.name = one_line(&property.value(), MAX_NAME),
            // Family name; given name; more names; before; after (RFC 6350, 6.2.2).
            "N" if structured.is_empty() => {
                let parts: Vec<String> = property.parts();
                let order = [3, 1, 2, 0, 4].map(|at: usize| parts.get(at).map(String::as_str).unwrap_or_default());
                let all: Vec<&str> = order.into_iter().filter(|part| !part.trim().is_empty()).collect();
                structured = one_line(&all.join(" "), MAX_NAME);
            }
            "TEL" if card.numbers.len() < MOST => card.numbers.extend(property.labelled("tel:")),
            "EMAIL" if card.mails.len() < MOST => card.mails.extend(property.labelled("mailto:")),
            _ => {}
        }
    }
    if card.name.trim().is_empty() {
        card.name = structured;
    }
    (card != Card::default()).then_some(card)
}

struct Property<'a> {
    name: String,
    parameters: &'a str,
    raw: &'a str,
}

impl<'a> Property<'a> {
    /// `group.NAME;parameters:value`; a colon between quotes is a parameter's.
    fn of(line: &'a str) -> Option<Self> {
        let mut quoted = false;
        let at = line.char_indices().find(|(_, char)| {
            quoted ^= *char == '"';
            *char == ':' && !quoted
        });
        let (head, raw) = (line.get(..at?.0)?, line.get(at?.0 + 1..)?);
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        let name = name.rsplit('.').next().unwrap_or_default().to_ascii_uppercase();
        Some(Self { name, parameters, raw })
    }

    fn text(&self) -> String {
        let is_quoted = self.parameters.to_ascii_uppercase().contains("QUOTED-PRINTABLE");
        if is_quoted { unquote(self.raw) } else { self.raw.to_owned() }
    }

    fn value(&self) -> String {
        unescape(&self.text())
    }

    /// The components, which semicolons part.
    fn parts(&self) -> Vec<String> {
        let text = self.text();
        let mut parts = vec![String::new()];
        let mut escaped = false;
        for char in text.chars() {
            if char == ';' && !escaped {
                if parts.len() >= MOST {
                    break;
                }
                parts.push(String::new());
            } else if let Some(last) = parts.last_mut() {
                last.push(char);
            }
            escaped = char == '\\' && !escaped;
        }
        parts.iter().map(|part| unescape(part)).collect()
    }

    fn labelled(&self, scheme: &str) -> Option<Labelled> {
        let value = self.value();
        let value = value
            .get(..scheme.len())
            .filter(|head| head.eq_ignore_ascii_case(scheme))
            .map_or(&*value, |_| &value[scheme.len()..]);
        let value = one_line(value.trim(), MAX_VALUE);
        (!value.is_empty()).then(|| Labelled { label: self.label(), value })
    }

    /// `;CELL` in version 2.1, `;TYPE=cell` later.
    fn label(&self) -> String {
        const SAID: [&str; 8] = ["CELL", "MOBILE", "HOME", "WORK", "FAX", "PAGER", "CAR", "MAIN"];
        let upper = self.parameters.to_ascii_uppercase();
        let words = upper.split([';', ',', '=', '"']).map(str::trim);
        let found: Vec<String> = words
            .filter_map(|word| SAID.iter().find(|known| **known == word))
            .map(|word| word.to_lowercase())
            .collect();
        let mut found = found;
        found.dedup();
        found.truncate(3);
        found.join(" ")
    }
}

/// The lines, unfolded: a line that begins with a space goes on the one before (RFC 6350, 3.2), and in quoted-printable one
/// that ends with `=` goes on in the next (RFC 2045, 6.7).
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if goes_on => {
                last.pop();
                last.push_str(line);
            }
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(&line[1..]),
            _ => lines.push(line.to_owned()),
        }
        goes_on = lines
            .last()
            .is_some_and(|last| last.ends_with('=') && last.to_ascii_uppercase().contains("QUOTED-PRINTABLE"));
    }
    lines
}

fn unquote(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match (first, tail) {
            (b'=', [high, low, ..]) => {
                data_encoding::HEXUPPER_PERMISSIVE.decode(&[*high, *low]).ok().and_then(|byte| byte.first().copied())
            }
            _ => None,
        };
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Backslashes before commas, semicolons, new lines and themselves (RFC 6350, 3.4).
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, char == '\\') {
            (_, true) => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            (other, false) => out.push(other),
        }
    }
    out
}

fn one_line(text: &str, most: usize) -> String {
    shown(text, most).replace('\n', " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_androids_cards_say_is_read() {
        let card = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg;;Dr.;\r\n\
                    FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Dr. J=C3=B6rg =\r\nM=C3=BCller\r\n\
                    TEL;CELL:+49 170 1\r\nTEL;WORK;FAX:030 2\r\nEMAIL;HOME:j@example.org\r\n\
                    X-KDECONNECT-ID-DEV-ab:7\r\nREV:1\r\nEND:VCARD";
        let card = read(card).unwrap();
        assert_eq!(card.name, "Dr. Jörg Müller");
        let numbers: Vec<_> = card.numbers.iter().map(|one| (one.label.as_str(), one.value.as_str())).collect();
        assert_eq!(numbers, [("cell", "+49 170 1"), ("work fax", "030 2")]);
        assert_eq!(card.mails[0].value, "j@example.org");
    }

    #[test]
    fn later_versions_are_read_too() {
        let card = "BEGIN:VCARD\nVERSION:4.0\nN:Lovelace;Ada;;;\nitem1.TEL;TYPE=\"cell,home\";VALUE=uri:tel:+1-555\n\
                    EMAIL:a\\,b@exam\n ple.org\nNOTE:never shown\nEND:VCARD\n";
        let card = read(card).unwrap();
        assert_eq!(card.name, "Ada Lovelace");
        assert_eq!((card.numbers[0].label.as_str(), card.numbers[0].value.as_str()), ("cell home", "+1-555"));
        assert_eq!(card.mails[0].value, "a,b@example.org");
    }

    #[test]
    fn a_hostile_card_neither_misleads_nor_floods() {
        let evil = "BEGIN:VCARD\nFN:Bank\u{202e}\u{1b}[2J\\nof Evil\nTEL:110\nEND:VCARD\n";
        assert_eq!(read(evil).unwrap().name, "Bank\u{FFFD}\u{FFFD}[2J of Evil");
        let many = format!("BEGIN:VCARD\n{}END:VCARD\n", "TEL:1\n".repeat(5000));
        assert_eq!(read(&many).unwrap().numbers.len(), MOST);
        let long = format!("BEGIN:VCARD\nFN:{}\n", "x".repeat(MAX_CARD));
        for nothing in [long.as_str(), "", "BEGIN:VCARD\nEND:VCARD", "FN:x", "BEGIN:VCAR\u{e9}"] {
            assert_eq!(read(nothing), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_without_panic(text in "(BEGIN:VCARD\n)?((FN|N|TEL|EMAIL|x)(;[A-Z=\"-]{0,20})?:\\PC{0,20}=?\r?\n ?){0,6}") {
            let _ = read(&text);
        }
    }
}
