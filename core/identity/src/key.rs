//! Keys as values: the statement key of a device with its algorithm, and the secret two devices share.

use std::fmt;

use accord_model::text::for_screen;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::{base32, expand, extract, from_base32, random, same};

/// The public half of a key that signs records and approvals, tagged with its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StatementKey {
    /// RFC 8032.
    Ed25519([u8; 32]),
}

/// A signature by a statement key of the same algorithm.
pub type Signature = [u8; 64];

impl StatementKey {
    /// The tag of Ed25519 on the wire. P-256 (hardware keys) will be 2.
    pub(crate) const ED25519: u8 = 1;

    /// The number that stands for the algorithm on the wire.
    pub(crate) fn algorithm(&self) -> u8 {
        match self {
            Self::Ed25519(_) => Self::ED25519,
        }
    }
    /// The key's bytes without its tag.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes) => bytes,
        }
    }
    /// The key's bytes when it is an Ed25519 key.
    pub fn ed25519(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Ed25519(bytes) => Some(bytes),
        }
    }
    /// True when `signature` is this key's over `message`. Strict: weak keys never verify.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        match self {
            Self::Ed25519(bytes) => verify_ed25519(bytes, message, signature),
        }
    }
    /// A short form to compare by eye: 80 bits as four groups of four characters.
    ///
    /// ```
    /// let key: accord_identity::StatementKey = format!("ed25519:{}", "a".repeat(52)).parse().unwrap();
    /// assert_eq!(key.fingerprint().len(), 19);
    /// ```
    pub fn fingerprint(&self) -> String {
        let hash = crate::crypto::hash("accord/key/fingerprint/v1", &[&[self.algorithm()], self.as_bytes()]);
        let text = base32(&hash[..10]);
        text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
    }
}

impl fmt::Display for StatementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", base32(self.as_bytes()))
    }
}

impl std::str::FromStr for StatementKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_prefix("ed25519:")
            .and_then(from_base32)
            .map(Self::Ed25519)
            .ok_or_else(|| format!("`{}` is no statement key (`ed25519:` and 52 characters)", for_screen(text, 70)))
    }
}

pub(crate) fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        !key.is_weak() && key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    })
}

/// A secret as text in a file.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(crate) struct StoredSecret(pub(crate) String);

/// The secret that two paired devices share; made by pairing, never sent. It has no text form.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PairKey([u8; 32]);

impl PairKey {
    /// From bytes kept elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// A fresh one, for tests and for peers that are not paired by this crate.
    pub fn random() -> Self {
        Self(random())
    }
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// 32 bytes for one use (`label`, for example `accord/link/tls/v1`), bound to `context` (a TLS exporter,
    /// a transcript). Different labels and contexts give unrelated bytes.
    pub fn derive(&self, label: &str, context: &[u8]) -> zeroize::Zeroizing<[u8; 32]> {
        expand(&extract(b"accord/pair-key/derive/v1", &[&self.0, label.as_bytes(), context]), "out")
    }
}

impl PartialEq for PairKey {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}
impl Eq for PairKey {}
impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairKey(secret)")
    }
}
