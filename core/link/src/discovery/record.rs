//! What an announcement says, as the strings of a DNS-SD TXT record: `v` protocol version, `i` rotating id,
//! `h` hints for paired devices, with the link's port that only they can read, `k` key and `p` port for
//! pairing; `n` name and `t` kind only where the owner agreed to those fields. A probe's answer carries the
//! same strings.

use accord_identity::announce::{self, Hint};
use accord_model::DeviceKind;
use data_encoding::BASE32_NOPAD;

/// The service type.
pub const SERVICE: &str = "_accord._udp";
const VERSION: &str = "1";
/// Slots of later times are not believed; far beyond any clock (the year 9999).
const LAST_SLOT: u64 = 300_000_000;
const ID_LENGTH: usize = 16;
/// Longest name in bytes: a TXT string holds 255.
const NAME: usize = 120;

/// What a device announces of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Changes every quarter of an hour.
    pub id: String,
    /// By which paired devices recognise it.
    pub hints: Vec<Hint>,
    /// Key and UDP port of its pairing endpoint, when it is open for pairing.
    pub pairing: Option<([u8; 32], u16)>,
    /// Its name, where its owner agreed to announce it. From outside: escape before showing.
    pub name: Option<String>,
    /// Its kind, likewise.
    pub kind: Option<DeviceKind>,
    /// The quarter of an hour that its clock is in: hints and the link's names belong to it, so that devices whose
    /// clocks differ find each other all the same.
    pub slot: Option<u64>,
}

impl Announced {
    /// As TXT strings.
    pub fn strings(&self) -> Vec<Vec<u8>> {
        let mut out = vec![format!("v={VERSION}"), format!("i={}", self.id)];
        if !self.hints.is_empty() {
            out.push(format!("h={}", data_encoding::BASE64URL_NOPAD.encode(&self.hints.concat())));
        }
        if let Some(slot) = self.slot {
            out.push(format!("s={slot}"));
        }
        if let Some((key, port)) = &self.pairing {
            out.push(format!("k={}", BASE32_NOPAD.encode(key).to_ascii_lowercase()));
            out.push(format!("p={port}"));
        }
        if let Some(name) = &self.name {
            let cut = (0..=name.len().min(NAME)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
            out.push(format!("n={}", &name[..cut]));
        }
        if let Some(kind) = self.kind {
            out.push(format!("t={kind}"));
        }
        out.into_iter().map(String::into_bytes).collect()
    }

    /// Reads TXT strings from the network. `None` when the device speaks another version or says nothing
    /// usable. Unknown strings are skipped, doubled ones count once. The entry point for fuzzing.
    pub fn parse<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut version = None;
        let mut said = Self { id: String::new(), hints: Vec::new(), pairing: None, name: None, kind: None, slot: None };
        let (mut key, mut port) = (None, None);
        for string in strings.into_iter().take(24) {
            let Some(at) = string.iter().position(|byte| *byte == b'=') else { continue };
            let value = &string[at + 1..];
            let text = std::str::from_utf8(value).ok();
            match (&string[..at], text) {
                (b"v", Some(text)) if version.is_none() => version = Some(text.to_owned()),
                (b"i", Some(text)) if said.id.is_empty() => said.id = text.to_owned(),
                (b"h", _) if said.hints.is_empty() => said.hints = announce::parse_hints(value),
                (b"k", Some(text)) if text.len() == 52 => {
                    key =
                        key.or_else(|| BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok());
                }
                (b"p", Some(text)) => port = port.or_else(|| port_of(text)),
                (b"n", Some(text)) if !text.is_empty() && text.len() <= NAME => {
                    said.name = said.name.or_else(|| Some(text.to_owned()));
                }
                (b"s", Some(text)) => {
                    said.slot = said.slot.or_else(|| text.parse().ok().filter(|slot| *slot <= LAST_SLOT))
                }
                (b"t", Some(text)) => said.kind = said.kind.or_else(|| text.parse().ok()),
                _ => {}
            }
        }
        said.pairing = key.zip(port);
        let id_fits = said.id.len() == ID_LENGTH
            && said.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        (version.as_deref() == Some(VERSION) && id_fits).then_some(said)
    }
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_announced_is_read_and_says_no_more_than_was_agreed() {
        let said = Announced {
            id: "abcdefghijklmnop".into(),
            hints: vec![[1; 10]; announce::MAX_HINTS],
            pairing: Some(([7; 32], 4001)),
            name: Some("Küche".into()),
            kind: Some(DeviceKind::Tablet),
            slot: Some(1_980_000),
        };
        let strings = said.strings();
        assert!(strings.iter().all(|string| string.len() <= 255));
        assert_eq!(Announced::parse(strings.iter().map(Vec::as_slice)), Some(said.clone()));
        let silent = Announced { name: None, kind: None, ..said };
        assert!(silent.strings().iter().all(|string| !string.starts_with(b"n=") && !string.starts_with(b"t=")));
        assert_eq!(Announced::parse([&b"v=2"[..], b"i=abcdefghijklmnop"]), None);
        assert_eq!(Announced::parse([&b"v=1"[..], b"i=../../etc/passwd"]), None);
    }

    proptest! {
        #[test]
        fn any_strings_are_read_or_refused(
            strings in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..256), 0..40)
        ) {
            let mut all: Vec<&[u8]> = vec![b"v=1", b"i=abcdefghijklmnop"];
            all.extend(strings.iter().map(Vec::as_slice));
            let said = Announced::parse(all).unwrap();
            prop_assert!(said.hints.len() <= announce::MAX_HINTS);
        }
    }
}
