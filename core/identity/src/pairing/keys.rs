//! Everything both sides compute from the first three frames: code, confirmations, the shared secret.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::wire::{Role, Way};
use super::{Purpose, TicketSecret};
use crate::crypto::{expand, extract, hash, mac, same};
use crate::key::PairKey;

/// The initiator's promise of its nonce.
pub(super) fn commitment(transport: &[u8; 32], nonce: &[u8; 32]) -> [u8; 32] {
    hash("accord/sas/commit/v1", &[&[Role::Initiator as u8], transport, nonce])
}

/// Running hash over the frames as they were on the wire.
#[derive(Default, Clone)]
pub(super) struct Frames(Sha256);

impl Frames {
    pub(super) fn add(&mut self, frame: &[u8]) {
        self.0.update((frame.len() as u64).to_be_bytes());
        self.0.update(frame);
    }
    fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// What the run is bound to.
pub(super) struct Bound<'a> {
    pub initiator: &'a [u8; 32],
    pub responder: &'a [u8; 32],
    pub initiator_nonce: &'a [u8; 32],
    pub responder_nonce: &'a [u8; 32],
    pub purpose: Purpose,
    pub way: Way,
    pub frames: &'a Frames,
    pub exporter: &'a [u8; 32],
    pub secret: Option<&'a TicketSecret>,
}

/// The keys of one run.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Keys {
    code: u32,
    confirm: [u8; 32],
    pair: [u8; 32],
    #[zeroize(skip)]
    transcript: [u8; 32],
}

impl Keys {
    pub(super) fn new(bound: &Bound<'_>) -> Self {
        let frames = bound.frames.digest();
        let parts: [&[u8]; 7] = [
            bound.initiator,
            bound.responder,
            bound.purpose.as_str().as_bytes(),
            &[bound.way as u8],
            &frames,
            bound.exporter,
            bound.secret.map_or(&[], |secret| secret.bytes().as_slice()),
        ];
        let transcript = hash("accord/pair/transcript/v1", &parts[..6]);
        let mut salt = [0; 64];
        salt[..32].copy_from_slice(bound.initiator_nonce);
        salt[32..].copy_from_slice(bound.responder_nonce);
        let mut ikm: Vec<&[u8]> = vec![b"accord/sas/v1"];
        ikm.extend(parts);
        let hkdf = extract(&salt, &ikm);
        let digits = expand(&hkdf, "code");
        let number = u64::from_be_bytes([
            digits[0], digits[1], digits[2], digits[3], digits[4], digits[5], digits[6], digits[7],
        ]);
        Self {
            code: (number % 1_000_000) as u32,
            confirm: *expand(&hkdf, "confirm"),
            pair: *expand(&hkdf, "pair"),
            transcript,
        }
    }

    /// Six digits, leading zeros kept.
    pub(super) fn code(&self) -> String {
        format!("{:06}", self.code)
    }
    /// True when the typed text, spaces and dashes aside, is the code.
    pub(super) fn is_code(&self, typed: &str) -> bool {
        let digits: String = typed.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        same(digits.as_bytes(), self.code().as_bytes())
    }
    pub(super) fn confirmation(&self, role: Role) -> [u8; 32] {
        mac(&self.confirm, "accord/pair/confirm/v1", &[&[role as u8], &self.transcript])
    }
    pub(super) fn is_confirmation(&self, role: Role, got: &[u8; 32]) -> bool {
        same(&self.confirmation(role), got)
    }
    /// What a record's signatures are over.
    pub(super) fn record_message(&self, role: Role, record: &[u8]) -> [u8; 32] {
        hash("accord/pair/record/v1", &[&[role as u8], &self.transcript, record])
    }
    pub(super) fn pair_key(&self) -> PairKey {
        PairKey::from_bytes(self.pair)
    }
}
