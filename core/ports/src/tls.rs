//! The cryptography of bulk connections: the quickest cipher that this processor has goes first.

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, SupportedCipherSuite};

/// All of *ring*'s suites: AES-128-GCM first where the processor has AES in hardware, ChaCha20 first where it has not.
pub fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| rank(suite, fast_aes()));
    provider
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
