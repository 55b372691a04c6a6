//! Signed heads of a ledger: C2SP tlog-checkpoint text in a C2SP signed note (Ed25519).

use accord_model::text::for_screen;
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::tree::Hash;
use crate::Signer;

/// Largest note that is read, in bytes.
pub const MAX_NOTE: usize = 4096;
const SIGNATURES: usize = 16;
const ED25519: u8 = 1;

/// A signed head: the first `size` records hash to `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    note: String,
}

/// Why a note is no checkpoint to rely on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE`].
    #[error("the checkpoint is longer than {MAX_NOTE} bytes")]
    TooLong,
    /// Not in the form of a checkpoint.
    #[error("not a checkpoint: {0}")]
    Malformed(&'static str),
    /// No signature by the expected key.
    #[error("the checkpoint of `{0}` is not signed by the expected key")]
    NotSigned(String),
}

impl Checkpoint {
    /// Signs a head.
    pub fn sign(origin: &str, size: u64, root: Hash, signer: &dyn Signer) -> Self {
        let body = format!("{origin}\n{size}\n{}\n", BASE64.encode(&root.0));
        let mut signature = key_id(origin, &signer.public()).to_vec();
        signature.extend(signer.sign(body.as_bytes()));
        let note = format!("{body}\n\u{2014} {origin} {}\n", BASE64.encode(&signature));
        Self { origin: origin.to_owned(), size, root, note }
    }

    /// Reads a note without believing it; see [`Checkpoint::verify`]. Made for a fuzz target.
    ///
    /// # Errors
    /// [`NoteError`]; never panics, whatever the text.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        let (body, signatures) = note.split_once("\n\n").ok_or(NoteError::Malformed("no blank line"))?;
        if !signatures.ends_with('\n') || signatures.lines().count() > SIGNATURES {
            return Err(NoteError::Malformed("the signature lines"));
        }
        if signatures.lines().any(|line| split_signature(line).is_none()) {
            return Err(NoteError::Malformed("a signature line"));
        }
        let mut lines = body.split('\n');
        let origin = lines.next().filter(|origin| is_name(origin)).ok_or(NoteError::Malformed("the origin"))?;
        let digits = lines.next().filter(|size| *size == "0" || !size.starts_with(['0', '+']));
        let size = digits.and_then(|size| size.parse().ok()).ok_or(NoteError::Malformed("the size"))?;
        let root = lines.next().and_then(|root| BASE64.decode(root.as_bytes()).ok());
        let root = root.and_then(|root| Hash::from_slice(&root)).ok_or(NoteError::Malformed("the root"))?;
        if lines.any(str::is_empty) {
            return Err(NoteError::Malformed("an empty extension line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, note: note.to_owned() })
    }

    /// Checks that `key` signed it.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`].
    pub fn verify(&self, key: &[u8; 32]) -> Result<(), NoteError> {
        let refused = || NoteError::NotSigned(for_screen(&self.origin, 80));
        let verifier = VerifyingKey::from_bytes(key).map_err(|_| refused())?;
        let (body, signatures) = self.note.split_once("\n\n").ok_or_else(refused)?;
        let body = format!("{body}\n");
        let id = key_id(&self.origin, key);
        let good = signatures.lines().filter_map(split_signature).any(|(name, signature)| {
            name == self.origin
                && signature.len() == 68
                && signature[..4] == id
                && Signature::from_slice(&signature[4..])
                    .is_ok_and(|signature| verifier.verify_strict(body.as_bytes(), &signature).is_ok())
        });
        if good { Ok(()) } else { Err(refused()) }
    }

    /// The whole text, to hand to a witness.
    pub fn note(&self) -> &str {
        &self.note
    }
}

/// The origin of the ledger whose checkpoints `key` signs first.
pub fn origin(key: &[u8; 32]) -> String {
    format!("accord/ledger/{}", HEXLOWER.encode(&Sha256::digest(key)[..8]))
}

fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && !name.contains('+') && name.chars().all(|c| c.is_ascii_graphic())
}

fn split_signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let signature = BASE64.decode(signature.as_bytes()).ok()?;
    (is_name(name) && signature.len() > 4).then_some((name, signature))
}
