//! The cryptography of connections to devices: the quickest cipher that this processor has goes first, and whoever shows a
//! certificate that no chain vouches for proves at least that it holds the key in it.

mod client;
mod judge;

pub use client::{Key, Tls, Trust, authority};
pub use judge::{Judge, Judged};
pub use rustls::{CertificateError, Error};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::SignatureVerificationAlgorithm;
use rustls::{CipherSuite, DigitallySignedStruct, SignatureScheme, SupportedCipherSuite};

/// All of *ring*'s suites: AES-128-GCM first where the processor has AES in hardware, ChaCha20 first where it has not.
pub fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| rank(suite, fast_aes()));
    provider
}

/// RFC 8446, 4.2.3, as far as *ring* knows them: in TLS 1.3 a scheme means one curve.
pub const IN_TLS13: [SignatureScheme; 6] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// A public key as a certificate holds it (RFC 5280, 4.1.2.7).
#[derive(Debug, Clone, Copy)]
pub struct PublicKey<'a> {
    /// The whole `SubjectPublicKeyInfo`, in DER.
    pub spki: &'a [u8],
    /// The bits of `subjectPublicKey`.
    pub bits: &'a [u8],
}

/// Whether the handshake was signed with that key. `in_13`: it is one of TLS 1.3.
///
/// # Errors
/// [`CertificateError::BadSignature`].
pub fn signed(
    key: PublicKey<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
    message: &[u8],
    signed: &DigitallySignedStruct,
    in_13: bool,
) -> Result<HandshakeSignatureValid, Error> {
    let refused = || Error::InvalidCertificate(CertificateError::BadSignature);
    if in_13 && !IN_TLS13.contains(&signed.scheme) {
        return Err(refused());
    }
    let offered = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, candidates) = offered.ok_or_else(refused)?;
    let count = if in_13 { 1 } else { candidates.len() };
    let algorithm = content(key.spki).and_then(content).ok_or_else(refused)?;
    let fits = |candidate: &&&dyn SignatureVerificationAlgorithm| candidate.public_key_alg_id().as_ref() == algorithm;
    let chosen = candidates.iter().take(count).find(fits).ok_or_else(refused)?;
    chosen.verify_signature(key.bits, message, signed.signature()).map_err(|_| refused())?;
    Ok(HandshakeSignatureValid::assertion())
}

/// What is inside the first DER value of `der`.
fn content(der: &[u8]) -> Option<&[u8]> {
    let (&[_, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    rest.get(..length)
}

/// TLS 1.3 before TLS 1.2 (RFC 8446 and 5246), and the quicker before the slower.
fn rank(suite: &SupportedCipherSuite, fast_aes: bool) -> (bool, u8) {
    use CipherSuite as Suite;
    let cost = match suite.suite() {
        Suite::TLS13_AES_128_GCM_SHA256
        | Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 1,
        Suite::TLS13_AES_256_GCM_SHA384
        | Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => 2,
        _ if fast_aes => 3,
        _ => 0,
    };
    (suite.tls13().is_none(), cost)
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn fast_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}
#[cfg(target_arch = "aarch64")]
fn fast_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn fast_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missing_and_the_quickest_goes_first() {
        for (fast, first) in
            [(true, CipherSuite::TLS13_AES_128_GCM_SHA256), (false, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256)]
        {
            let mut suites = ring::default_provider().cipher_suites;
            suites.sort_by_key(|suite| rank(suite, fast));
            assert_eq!(suites[0].suite(), first);
            let newer = suites.iter().take_while(|suite| suite.tls13().is_some()).count();
            assert!(suites[newer..].iter().all(|suite| suite.tls13().is_none()), "TLS 1.3 goes before TLS 1.2");
        }
        assert_eq!(provider().cipher_suites.len(), ring::default_provider().cipher_suites.len());
    }
}
