//! The place of the account: the owner's devices as a hash-chained, signed membership log.
//!
//! A paired device is not a member. Pairing ([`crate::pairing`]) makes two devices known to each other;
//! joining the account is another, stronger ceremony with [`Purpose::Join`](crate::pairing::Purpose::Join),
//! in which a device that may sign adds the new one. This module fixes the form of one log entry, its exact
//! bytes and its signature, so that records signed today can be read by the log once it exists. The log itself
//! (order, forks, removal that wins over adding, exchange of heads, recovery from paper) is not here yet.
//!
//! An entry's bytes: `accord/account/entry/v1`, then every field in the order of [`Entry`]; numbers in
//! big-endian order, keys as algorithm number and bytes, the reason as UTF-8 with a two-byte length. What is
//! signed, hashed and stored is always these bytes, never something encoded anew.

use crate::crypto::hash;
use crate::{Identity, Signature, StatementKey};

const DOMAIN: &[u8] = b"accord/account/entry/v1";
/// Longest reason, in bytes.
pub const MAX_REASON: usize = 256;

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// The first entry; its hash names the account.
    Genesis = 1,
    /// A device becomes a member. Carries the device's own signature beside the signer's.
    Add = 2,
    /// A key is out, for good.
    Revoke = 3,
    /// A device may sign, approve, or only take part.
    Role = 4,
    /// A device changes its key.
    Rotate = 5,
    /// The paper key takes over.
    Recover = 6,
    /// A signer says which head it has seen.
    Head = 7,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Hash of the genesis entry; zero in the genesis entry itself.
    pub account: [u8; 32],
    /// Place in the log, from 0.
    pub sequence: u64,
    /// Hash of the entry before; zero in the genesis entry.
    pub previous: [u8; 32],
    /// Which account secret is in use from here on.
    pub epoch: u32,
    /// What it does.
    pub operation: Operation,
    /// To whom. Keys are named by themselves, never by a short id.
    pub subject: StatementKey,
    /// Seconds since 1970 by the signer's clock; for display only.
    pub created: i64,
    /// Who says so.
    pub signer: StatementKey,
    /// Why, in the owner's words; at most [`MAX_REASON`] bytes.
    pub reason: String,
}

/// An entry with its exact bytes and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEntry {
    bytes: Vec<u8>,
    entry: Entry,
    signature: Signature,
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not of this form.
    #[error("not an entry of a membership log: {0}")]
    Malformed(&'static str),
    /// The signature is not the named signer's.
    #[error("the entry is not signed by the key that it names")]
    Signature,
    /// Someone else is named as the signer.
    #[error("the entry names another signer")]
    NotTheSigner,
}

impl Entry {
    /// The exact bytes that are signed, hashed and stored.
    ///
    /// # Errors
    /// [`EntryError::Malformed`] when the reason is too long.
    pub fn bytes(&self) -> Result<Vec<u8>, EntryError> {
        let reason = u16::try_from(self.reason.len()).ok().filter(|len| usize::from(*len) <= MAX_REASON);
        let reason = reason.ok_or(EntryError::Malformed("the reason is too long"))?;
        let mut out = DOMAIN.to_vec();
        out.extend_from_slice(&self.account);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.previous);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.push(self.operation as u8);
        put_key(&mut out, &self.subject);
        out.extend_from_slice(&self.created.to_be_bytes());
        put_key(&mut out, &self.signer);
        out.extend_from_slice(&reason.to_be_bytes());
        out.extend_from_slice(self.reason.as_bytes());
        Ok(out)
    }

    /// Signs with this device's statement key, which the entry must name.
    ///
    /// # Errors
    /// [`EntryError::NotTheSigner`], or as [`Self::bytes`].
    pub fn sign(self, identity: &Identity) -> Result<SignedEntry, EntryError> {
        if self.signer != identity.statement_key() {
            return Err(EntryError::NotTheSigner);
        }
        let bytes = self.bytes()?;
        Ok(SignedEntry { signature: identity.sign(&bytes), bytes, entry: self })
    }
}

impl SignedEntry {
    /// Reads an entry and checks that the key it names signed exactly these bytes. Says nothing about
    /// whether that key may: that is the log's matter.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn verify(bytes: &[u8], signature: &Signature) -> Result<Self, EntryError> {
        let entry = parse(bytes)?;
        if !entry.signer.verify(bytes, signature) {
            return Err(EntryError::Signature);
        }
        Ok(Self { bytes: bytes.to_vec(), entry, signature: *signature })
    }
    /// What it says.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// The signature over the bytes.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }
    /// What the next entry names as `previous`.
    pub fn hash(&self) -> [u8; 32] {
        hash("accord/account/hash/v1", &[&self.bytes, &self.signature])
    }
}

fn put_key(out: &mut Vec<u8>, key: &StatementKey) {
    out.push(key.algorithm());
    out.extend_from_slice(key.as_bytes());
}

fn parse(bytes: &[u8]) -> Result<Entry, EntryError> {
    let mut rest = bytes.strip_prefix(DOMAIN).ok_or(EntryError::Malformed("another kind of record"))?;
    let entry = Entry {
        account: take(&mut rest)?,
        sequence: u64::from_be_bytes(take(&mut rest)?),
        previous: take(&mut rest)?,
        epoch: u32::from_be_bytes(take(&mut rest)?),
        operation: match take::<1>(&mut rest)? {
            [1] => Operation::Genesis,
            [2] => Operation::Add,
            [3] => Operation::Revoke,
            [4] => Operation::Role,
            [5] => Operation::Rotate,
            [6] => Operation::Recover,
            [7] => Operation::Head,
            _ => return Err(EntryError::Malformed("an unknown operation")),
        },
        subject: take_key(&mut rest)?,
        created: i64::from_be_bytes(take(&mut rest)?),
        signer: take_key(&mut rest)?,
        reason: {
            let len = usize::from(u16::from_be_bytes(take(&mut rest)?));
            if len > MAX_REASON || rest.len() != len {
                return Err(EntryError::Malformed("the reason has another length"));
            }
            String::from_utf8(rest.to_vec()).map_err(|_| EntryError::Malformed("the reason is not UTF-8"))?
        },
    };
    Ok(entry)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], EntryError> {
    let (head, tail) = rest.split_first_chunk().ok_or(EntryError::Malformed("cut short"))?;
    *rest = tail;
    Ok(*head)
}

fn take_key(rest: &mut &[u8]) -> Result<StatementKey, EntryError> {
    match take::<1>(rest)? {
        [StatementKey::ED25519] => Ok(StatementKey::Ed25519(take(rest)?)),
        _ => Err(EntryError::Malformed("an unknown key algorithm")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(me: &Identity) -> Entry {
        Entry {
            account: [1; 32],
            sequence: 4,
            previous: [2; 32],
            epoch: 3,
            operation: Operation::Revoke,
            subject: StatementKey::Ed25519([9; 32]),
            created: 1_700_000_000,
            signer: me.statement_key(),
            reason: "lost on a train".to_owned(),
        }
    }

    #[test]
    fn a_signed_entry_reads_back_and_no_other_bytes_do() {
        let me = Identity::generate();
        let signed = entry(&me).sign(&me).unwrap();
        assert_eq!(SignedEntry::verify(signed.bytes(), signed.signature()), Ok(signed.clone()));
        for at in 0..signed.bytes().len() {
            let mut changed = signed.bytes().to_vec();
            changed[at] ^= 1;
            assert!(SignedEntry::verify(&changed, signed.signature()).is_err(), "byte {at}");
        }
        let longer = [signed.bytes(), b"x"].concat();
        assert!(SignedEntry::verify(&longer, signed.signature()).is_err());
        assert_eq!(entry(&me).sign(&Identity::generate()), Err(EntryError::NotTheSigner));
        let long = Entry { reason: "x".repeat(MAX_REASON + 1), ..entry(&me) };
        assert!(matches!(long.sign(&me), Err(EntryError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = [DOMAIN, &tail].concat();
            if let Ok(entry) = parse(&bytes) {
                prop_assert_eq!(entry.bytes().unwrap(), bytes);
            }
        }
    }
}
