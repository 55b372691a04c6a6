//! The addresses of one host by its name, asked for once (RFC 6762, 5.1 and 6.7): the question leaves from any port, and whoever
//! has the name answers to there.

use std::net::IpAddr;

use crate::WishError;
use crate::api::MAX_DATAGRAM;
use crate::message::{A, AAAA, Data, Question, Writer, parse};
use crate::name::Name;

/// Longest question: a name, twice.
const LONGEST: usize = 600;

/// A question for the addresses of one host, and what is an answer to it.
///
/// ```
/// let question = accord_mdns::HostQuestion::new("homeassistant", 7)?;
/// assert!(question.answer(b"whatever came").is_empty());
/// # Ok::<(), accord_mdns::WishError>(())
/// ```
#[derive(Debug, Clone)]
pub struct HostQuestion {
    name: Name,
    id: u16,
}

impl HostQuestion {
    /// For a host, without `.local`: labels of a-z, 0-9, `-` and `_`, with dots between them. `id`: what an answer repeats.
    ///
    /// # Errors
    /// [`WishError::Name`].
    pub fn new(host: &str, id: u16) -> Result<Self, WishError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.';
        let name = Name::local(host).filter(|_| host.bytes().all(fits));
        let name = name.ok_or_else(|| WishError::Name(host.chars().take(80).collect()))?;
        Ok(Self { name, id })
    }

    /// The datagram.
    pub fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(self.id, false, LONGEST);
        for kind in [A, AAAA] {
            writer.question(&Question { name: self.name.clone(), kind, unicast: false });
        }
        writer.finish()
    }

    /// The addresses that a datagram says the host has; none when it is no answer to this question. Whoever sent it says so,
    /// and nothing proves it.
    pub fn answer(&self, bytes: &[u8]) -> Vec<IpAddr> {
        let message = Some(bytes).filter(|bytes| bytes.len() <= MAX_DATAGRAM).and_then(parse);
        let Some(message) = message.filter(|message| message.response && message.id == self.id) else {
            return Vec::new();
        };
        let of_host =
            message.answers.iter().chain(&message.additionals).filter(|one| one.name == self.name && one.ttl > 0);
        let mut found = Vec::new();
        for record in of_host {
            if let Data::Address(ip) = record.data
                && !found.contains(&ip)
            {
                found.push(ip);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Record, Section};

    fn answer(id: u16, response: bool, records: &[(&str, Data, u32)]) -> Vec<u8> {
        let mut writer = Writer::new(id, response, MAX_DATAGRAM);
        for (host, data, ttl) in records {
            let name = Name::local(host).unwrap();
            writer.record(Section::Answer, &Record { name, flush: false, ttl: *ttl, data: data.clone() });
        }
        writer.finish()
    }

    #[test]
    fn a_question_asks_for_both_kinds_of_addresses_and_only_its_answer_counts() {
        let question = HostQuestion::new("HomeAssistant", 7).unwrap();
        let asked = parse(&question.bytes()).unwrap();
        assert_eq!((asked.id, asked.response, asked.questions.len()), (7, false, 2));
        let (four, six) = (Data::Address([10, 0, 0, 5].into()), Data::Address("fd00::5".parse().unwrap()));
        let right = answer(
            7,
            true,
            &[("homeassistant", four.clone(), 10), ("homeassistant", six, 10), ("other", four.clone(), 10)],
        );
        let found: Vec<IpAddr> = vec!["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        assert_eq!(question.answer(&right), found);
        for wrong in [
            answer(8, true, &[("homeassistant", four.clone(), 10)]),
            answer(7, false, &[("homeassistant", four.clone(), 10)]),
            answer(7, true, &[("other", four.clone(), 10)]),
            answer(7, true, &[("homeassistant", four, 0)]),
            right[..right.len() - 3].to_vec(),
        ] {
            assert!(question.answer(&wrong).is_empty(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        for wrong in ["", "a..b", "a b", "a\u{1b}b", "ä", &"x".repeat(64), &["abcdefgh"; 40].join(".")] {
            assert!(HostQuestion::new(wrong, 1).is_err(), "{wrong}");
        }
        assert!(HostQuestion::new("my-nas_2.lab", 1).is_ok());
    }
}
