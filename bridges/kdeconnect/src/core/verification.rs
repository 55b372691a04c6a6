//! The key that both screens show while pairing.

use sha2::{Digest, Sha256};

use super::identity::Version;

/// The first eight hex digits, upper case, of the hash over both public keys, in version 8 also over the
/// requester's timestamp in Unix seconds.
///
/// 32 bits with a timestamp that can be guessed do not hold against somebody who can try many keys while
/// you pair: trust is bound to the whole certificate, and this is shown for people to compare.
pub fn verification_key(version: Version, own_spki: &[u8], peer_spki: &[u8], timestamp: i64) -> String {
    let (first, second) = if own_spki > peer_spki { (own_spki, peer_spki) } else { (peer_spki, own_spki) };
    let mut hash = Sha256::new_with_prefix(first);
    hash.update(second);
    if version >= Version::V8 {
        hash.update(timestamp.to_string());
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200043b60356dde7e77d1e6ad682df56cad683861f05e21f361c6c55816f3a25d097275f83a598cc0acef4411d221574f99d1297b5c00bede6484a031ffe9a6035f14";
    const B: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004917342834e8bd907247715362419980cb971801fac19d4481cf472042d6523e9f55578c3b159f8a2f0306758f5552bf4ff929fb3f70a5a9b6e3e7c5f75bb8adf";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn both_sides_see_the_key_that_the_apps_see() {
        let (a, b) = (bytes(A), bytes(B));
        for (own, peer) in [(&a, &b), (&b, &a)] {
            assert_eq!(verification_key(Version::V7, own, peer, 1_750_000_000), "D7CA75FB");
            assert_eq!(verification_key(Version::V8, own, peer, 1_750_000_000), "ABCFB4FC");
        }
    }
}
