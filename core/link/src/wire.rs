//! What paired devices say to each other. Every exchange is one bidirectional stream of the connection:
//! an [`Opening`], for some a body, then an answer; for `Stream` raw bytes follow, on this stream or on TLS.

use accord_consent::ledger::Hash;
use accord_identity::Handover;
use accord_model::{CallError, DeviceKind, Inputs, Outputs, Service, StreamClass, Target, Verb};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::carrier::tls::{MAX_CERTIFICATE, Token};

/// Most services one device may show.
const SERVICES: usize = 64;
/// Longest name, in bytes.
const NAME: usize = 128;
/// Most addresses that count.
const ADDRESSES: usize = 16;

/// What a stream of the connection is for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "open", rename_all = "kebab-case")]
pub(crate) enum Opening {
    /// What this device is; the [`Record`] follows as a frame of its own, answered by the other's.
    Hello,
    /// A ledger head is to be shown. The other hands back what it keeps with a [`Kept`], a [`Head`] that goes on from
    /// there follows, answered by [`HeadAnswer`].
    Head,
    /// A question to a service; answered by [`Answer`].
    Call { target: Target, verb: Verb, within_s: u64 },
    /// A byte stream to a service; answered by [`StreamAnswer`].
    Stream { target: Target, inputs: Inputs, class: StreamClass, tls: Option<DoorPlan> },
    /// Whether bytes of the TLS stream with this token still arrive; answered by [`Progress`].
    Progress { token: String },
    /// This device forgot the other; no answer.
    Unpaired,
    /// This device has a new transport key; a [`Moved`] follows, answered by [`Answer`].
    Moved,
}

/// What one side tells of itself. Made from an envelope under a permit, so every part may be missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// Random, new in every run of the program: tells a restart from a second connection.
    #[serde(skip_serializing)]
    pub run: String,
    pub name: String,
    pub kind: Option<DeviceKind>,
    pub services: Vec<Service>,
    /// Where this device can be reached, `ip:port`.
    pub addresses: Vec<String>,
}

impl Record {
    /// Cuts what a peer may not overdo.
    pub(crate) fn bounded(mut self) -> Self {
        if self.name.len() > NAME {
            let cut = (0..=NAME).rev().find(|at| self.name.is_char_boundary(*at)).unwrap_or(0);
            self.name.truncate(cut);
        }
        if self.run.len() > 64 {
            self.run.clear();
        }
        self.services.truncate(SERVICES);
        self.addresses.truncate(ADDRESSES);
        self
    }
}

/// The head of the other's ledger that this side keeps, as the other signed it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub head: Option<String>,
}

/// A signed checkpoint of a ledger, with the proof that it continues the one in [`Kept`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    pub head: String,
    #[serde(default)]
    pub proof: Vec<Hash>,
}

/// Whether a head is kept, or what is wrong with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HeadAnswer {
    pub outcome: Result<(), String>,
}

/// Most hashes in a proof: two for each level of the largest tree.
pub(crate) const PROOF: usize = 128;
/// Largest [`Kept`], [`Head`] and [`HeadAnswer`].
pub(crate) const HEAD: usize = 24 * 1024;

/// A new transport key, see `accord_identity::Handover`. Made from an envelope under a permit. In base64.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Moved {
    pub key: String,
    pub by_statement: String,
    pub by_transport: String,
}

impl Moved {
    pub(crate) fn handover(&self) -> Option<Handover> {
        let bytes = |text: &str| BASE64.decode(text.as_bytes()).ok();
        Some(Handover {
            transport: bytes(&self.key)?.try_into().ok()?,
            by_statement: bytes(&self.by_statement)?.try_into().ok()?,
            by_transport: bytes(&self.by_transport)?.try_into().ok()?,
        })
    }
}

/// The result of a call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub outcome: Result<Outputs, CallError>,
}

/// What the TLS carrier needs to know of one side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DoorPlan {
    /// Certificate, base64.
    pub certificate: String,
    /// Port this side listens on; absent when it cannot.
    pub port: Option<u16>,
    /// Names the stream, base64; chosen by the opener.
    pub token: String,
}

impl DoorPlan {
    pub(crate) fn new(certificate: &[u8], port: Option<u16>, token: &Token) -> Self {
        Self { certificate: BASE64.encode(certificate), port, token: BASE64.encode(token) }
    }
    pub(crate) fn certificate(&self) -> Option<Vec<u8>> {
        let bytes = BASE64.decode(self.certificate.as_bytes()).ok()?;
        (!bytes.is_empty() && bytes.len() <= MAX_CERTIFICATE).then_some(bytes)
    }
    pub(crate) fn token(&self) -> Option<Token> {
        BASE64.decode(self.token.as_bytes()).ok()?.try_into().ok()
    }
}

/// Whether a stream is taken.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "stream", rename_all = "kebab-case")]
pub(crate) enum StreamAnswer {
    /// No; why.
    Refused { error: CallError },
    /// Bytes follow here.
    Here,
    /// TLS is tried; the opener says how it went with a [`Way`].
    Tls { plan: DoorPlan },
}

/// The opener's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// TCP that the opener dialled.
    OpenerDialled,
    /// TCP that the other side dialled.
    OtherDialled,
    /// Bytes follow on this QUIC stream.
    Here,
}

/// How far the other end of a TLS stream is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Bytes it has read so far.
    pub read: u64,
    /// It waits for more.
    pub waiting: bool,
}

/// Parses whatever a peer may send as an opening or a record; the entry point for fuzzing.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(Some((body, _))) = crate::frame::split(bytes, crate::frame::MAX_FRAME) {
        if let Ok(Opening::Stream { tls: Some(plan), .. }) = crate::frame::decode::<Opening>(body) {
            let _ = (plan.certificate(), plan.token());
        }
        let _ = crate::frame::decode::<Record>(body).map(Record::bounded);
        let _ = crate::frame::decode::<StreamAnswer>(body);
        let _ = crate::frame::decode::<Moved>(body).map(|moved| moved.handover());
        let _ = crate::frame::decode::<Answer>(body);
        let _ = crate::frame::decode::<Kept>(body);
        let _ = crate::frame::decode::<Head>(body);
        let _ = crate::frame::decode::<HeadAnswer>(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_a_peer_says_breaks_us(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut framed = (bytes.len() as u32).to_be_bytes().to_vec();
            framed.extend(bytes);
            fuzz(&framed);
        }

        #[test]
        fn a_name_of_any_length_is_cut_at_a_character(name in "\\PC{0,200}") {
            let record = Record { name: name.clone(), ..Default::default() }.bounded();
            prop_assert!(record.name.len() <= NAME && name.starts_with(&record.name));
        }
    }
}
