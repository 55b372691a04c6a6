//! The makers' roots (PAA) and the keys of those who sign certification declarations that Accord comes with, in `roots/`: a
//! snapshot, never fetched. `roots/README.md` says from where and of which day.
//!
//! Matter Core Specification 1.4: 6.2.2 (PAA), 6.3 (certification declaration).

use data_encoding::BASE64;
use matter_commissioning::Paa;

const MAKERS: &str = include_str!("../../roots/makers.pem");
const CERTIFIERS: &str = include_str!("../../roots/certifiers.pem");

/// Roots of makers, and of those who sign for several. One that could not be read would vouch for nobody; a test sees to it that
/// there is none.
pub(crate) fn makers() -> impl Iterator<Item = Paa> {
    certificates(MAKERS).filter_map(|der| Paa::from_der(&der).ok())
}

/// Certificates (DER) of the alliance's keys that sign declarations.
pub(crate) fn certifiers() -> impl Iterator<Item = Vec<u8>> {
    certificates(CERTIFIERS)
}

/// What is in a bundle (RFC 7468), DER each.
fn certificates(bundle: &'static str) -> impl Iterator<Item = Vec<u8>> {
    let blocks = bundle.split("-----BEGIN CERTIFICATE-----").skip(1);
    blocks.filter_map(|block| {
        let (base64, _) = block.split_once("-----END CERTIFICATE-----")?;
        BASE64.decode(base64.split_whitespace().collect::<String>().as_bytes()).ok()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use matter_cert::{MatterTime, PublicKey, Signature};
    use matter_commissioning::{AttestationError, CdSigningRoots, Dac, PaaTrustStore, Pai, verify_chain};

    use super::*;

    const AUTHORITY: &str = include_str!("../../roots/authority.pem");
    /// A device's certificate, its intermediate and its root, of a maker that nobody knows.
    const STRANGER: &str = include_str!("../../tests/stranger.pem");

    fn blocks(bundle: &str) -> usize {
        bundle.matches("-----BEGIN").count()
    }

    /// A DER element: with its head, without it, and what follows.
    fn element(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
        let (head, len) = match usize::from(bytes[1]) {
            short @ ..=0x7f => (2, short),
            0x81 => (3, usize::from(bytes[2])),
            0x82 => (4, usize::from(bytes[2]) << 8 | usize::from(bytes[3])),
            other => panic!("length {other:#x}"),
        };
        (&bytes[..head + len], &bytes[head..head + len], &bytes[head + len..])
    }

    fn signed_by(der: &[u8], key: &[u8]) -> bool {
        let (whole, certificate, rest) = element(der);
        assert!(whole.len() == der.len() && rest.is_empty(), "nothing behind it");
        let (signed, _, rest) = element(certificate);
        let (_, _, rest) = element(rest);
        let (_, bits, _) = element(rest);
        let (_, pair, _) = element(&bits[1..]);
        let (_, r, rest) = element(pair);
        let (_, s, _) = element(rest);
        let mut raw = [0; 64];
        for (number, place) in [(r, 32), (s, 64)] {
            let digits = &number[number.iter().take_while(|digit| **digit == 0).count()..];
            raw[place - digits.len()..place].copy_from_slice(digits);
        }
        PublicKey::from_slice(key).unwrap().verify(signed, &Signature::new(raw)).is_ok()
    }

    #[test]
    fn each_root_is_read_once_and_signed_by_itself() {
        let roots: Vec<_> = makers().collect();
        assert_eq!(roots.len(), blocks(MAKERS));
        assert!(roots.len() >= 50);
        let distinct: HashSet<_> = roots.iter().map(|root| root.public_key().to_vec()).collect();
        assert_eq!(distinct.len(), roots.len(), "no root twice");
        for (root, said) in roots.iter().zip(MAKERS.lines().filter(|line| line.starts_with("# "))) {
            assert!(signed_by(root.der(), root.public_key()), "{said}");
            let of = root.subject_vid().map_or("no vendor id".to_owned(), |vendor| format!("vendor 0x{vendor}"));
            assert!(said.ends_with(&format!(", {of}")), "{said}: {of}");
            assert!(!said.contains("Test") && !said.contains("Development"), "{said}");
        }
        let mut broken = roots[0].der().to_vec();
        broken[200] ^= 1;
        assert!(!signed_by(&broken, roots[0].public_key()), "a wrong bit is noticed");
    }

    #[test]
    fn each_certifier_is_read_and_signed_by_the_authority() {
        let ders: Vec<_> = certifiers().collect();
        assert_eq!(ders.len(), blocks(CERTIFIERS));
        let slices: Vec<_> = ders.iter().map(Vec::as_slice).collect();
        assert_eq!(CdSigningRoots::from_cert_der(&slices).unwrap().len(), 5);
        let authority = Paa::from_der(&certificates(AUTHORITY).next().unwrap()).unwrap();
        assert!(signed_by(authority.der(), authority.public_key()));
        assert!(ders.iter().all(|der| signed_by(der, authority.public_key())));
    }

    /// One root that the chain's verifier cannot take would make every chain fail, with a reason of another kind.
    #[test]
    fn all_roots_together_are_a_store_in_which_a_stranger_is_none() {
        let chain: Vec<_> = certificates(STRANGER).collect();
        let (dac, pai) = (Dac::from_der(&chain[0]).unwrap(), Pai::from_der(&chain[1]).unwrap());
        let in_2027 = MatterTime::from_unix_secs(1_798_761_600);
        let mut store = PaaTrustStore::empty();
        makers().for_each(|root| store.add(root));
        assert!(matches!(verify_chain(&dac, &pai, &store, in_2027), Err(AttestationError::UntrustedRoot)));
        store.add(Paa::from_der(&chain[2]).unwrap());
        assert_eq!(verify_chain(&dac, &pai, &store, in_2027).unwrap().vendor_id.as_u16(), 0xfff1);
    }
}
