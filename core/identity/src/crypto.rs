//! The few primitives everything here is made of, with unambiguous inputs: every part is hashed with
//! its length before it.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Fresh random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes; without them no key may be made");
    bytes
}

/// SHA-256 over a domain and parts.
pub(crate) fn hash(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(len(domain.as_bytes()));
    hasher.update(domain);
    for part in parts {
        hasher.update(len(part));
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// HMAC-SHA-256 over a domain and parts.
pub(crate) fn mac(key: &[u8], domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(&len(domain.as_bytes()));
    mac.update(domain.as_bytes());
    for part in parts {
        mac.update(&len(part));
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF-SHA-256 over parts, ready to be expanded.
pub(crate) fn extract(salt: &[u8], parts: &[&[u8]]) -> Hkdf<Sha256> {
    let mut ikm = Zeroizing::new(Vec::with_capacity(512));
    for part in parts {
        ikm.extend_from_slice(&len(part));
        ikm.extend_from_slice(part);
    }
    Hkdf::new(Some(salt), &ikm)
}

/// 32 bytes for one use.
pub(crate) fn expand(hkdf: &Hkdf<Sha256>, info: &str) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    hkdf.expand(info.as_bytes(), out.as_mut_slice()).expect("32 bytes are within HKDF's limit");
    out
}

/// Equal, in a time that does not tell where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn len(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}

/// Lower-case base32 without padding, for ids that people may see.
pub(crate) fn base32(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Reads [`base32`] of exactly `N` bytes; lower case only.
pub(crate) fn from_base32<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(5) || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let bytes = Zeroizing::new(data_encoding::BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?);
    bytes.as_slice().try_into().ok()
}
