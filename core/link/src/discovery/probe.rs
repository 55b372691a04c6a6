//! Asks one address "who are you?" by UDP, where multicast does not pass. A question is padded to the size
//! of the largest answer, so nobody can use a hub to multiply traffic.

use accord_identity::announce;

use super::record::Announced;

/// Where hubs listen for probes; the next free port when it is taken.
pub const PORT: u16 = 47_221;
/// Size of a question, and most of an answer, in bytes.
pub const SIZE: usize = 640;

const MAGIC: &[u8; 8] = b"accord\x001";
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
const HEAD: usize = MAGIC.len() + 1 + 8;

/// A probe's datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Probe {
    /// Who are you?
    Question {
        /// Comes back in the answer.
        nonce: [u8; 8],
    },
    /// I am.
    Answer {
        /// The question's.
        nonce: [u8; 8],
        /// Who.
        said: Announced,
    },
}

impl Probe {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        match self {
            Self::Question { nonce } => {
                bytes.push(QUESTION);
                bytes.extend_from_slice(nonce);
                bytes.resize(SIZE, 0);
            }
            Self::Answer { nonce, said } => {
                bytes.push(ANSWER);
                bytes.extend_from_slice(nonce);
                for string in said.strings() {
                    if bytes.len() + string.len() < SIZE {
                        bytes.push(string.len().min(255) as u8);
                        bytes.extend_from_slice(&string[..string.len().min(255)]);
                    }
                }
            }
        }
        bytes
    }

    /// Reads a datagram. `None`: not ours, or malformed. The entry point for fuzzing.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(HEAD)?;
        let nonce = head[9..].try_into().ok()?;
        match (head.strip_prefix(MAGIC)?[0], bytes.len()) {
            (QUESTION, SIZE..) => Some(Self::Question { nonce }),
            (ANSWER, ..=SIZE) => {
                let mut strings = Vec::new();
                while let Some((length, more)) = rest.split_first() {
                    let (string, more) = more.split_at_checked(usize::from(*length))?;
                    strings.push(string);
                    rest = more;
                }
                Announced::parse(strings).map(|said| Self::Answer { nonce, said })
            }
            _ => None,
        }
    }
}

/// The announcement slot now; for callers that have no clock of their own.
pub fn slot_now() -> u64 {
    announce::slot(accord_model::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_never_larger_than_the_question_and_short_questions_get_none() {
        let said = Announced {
            id: "abcdefghijklmnop".into(),
            hints: vec![[9; 10]; announce::MAX_HINTS],
            pairing: Some(([255; 32], 65_535)),
            name: Some("x".repeat(300)),
            kind: Some(accord_model::DeviceKind::Computer),
            slot: Some(7),
        };
        let question = Probe::Question { nonce: [1; 8] }.encode();
        let answer = Probe::Answer { nonce: [1; 8], said: said.clone() }.encode();
        assert!(answer.len() <= question.len());
        let Some(Probe::Answer { said: read, .. }) = Probe::decode(&answer) else { panic!() };
        assert_eq!((read.id, read.hints, read.pairing), (said.id, said.hints, said.pairing));
        assert_eq!(Probe::decode(&question[..100]), None);
        assert_eq!(Probe::decode(&question), Some(Probe::Question { nonce: [1; 8] }));
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
            let _ = Probe::decode(&bytes);
            let mut ours = MAGIC.to_vec();
            ours.extend(bytes);
            let _ = Probe::decode(&ours);
        }
    }
}
