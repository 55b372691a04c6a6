//! Entry points for fuzzers: each reads what comes from outside and must neither panic nor hang.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use accord_model::Timestamp;
use accord_ports::storage::MAX_ENTRIES;

use super::certificate::{OwnCertificate, PeerCertificate};
use super::discovery::{Answer, Discovery, Policy, Standing};
use super::identity::{DeviceType, Identity, OwnIdentity, Shown, Version};
use super::lines::{Line, Lines};
use super::link::{Input, Link, Output, Own, Role, Setup};
use super::packet::Packet;
use super::sftp::{self, Sftp};
use super::time::Now;
use super::{KdeId, identity};

static OWN: LazyLock<Option<Arc<Own>>> = LazyLock::new(|| {
    let id = KdeId::from_bytes([0xab; 16]);
    let certificate = OwnCertificate::generate(&id, Timestamp::UNIX_EPOCH).ok()?;
    let (incoming, outgoing) = Default::default();
    let (name, kind, version) = ("Fuzz".to_owned(), DeviceType::Desktop, Version::V8);
    Own::new(OwnIdentity { id, name, kind, incoming, outgoing, version }, certificate).ok().map(Arc::new)
});

/// A stream of packet lines. What is understood is written and understood again.
pub fn packets(mut bytes: &[u8]) {
    let mut lines = Lines::new(identity::MAX_IDENTITY);
    while let Some(line) = lines.next(&mut bytes) {
        if let Line::Whole(line) = line
            && let Ok(packet) = Packet::parse(line)
        {
            let again = Packet::parse(&packet.line(Timestamp::UNIX_EPOCH));
            assert!(again.is_ok(), "what we write can be read");
            let _ = (packet.body.fields(), format!("{packet:?}"));
        }
    }
}

/// An identity, as a line and as a datagram.
pub fn identity(bytes: &[u8]) {
    if let Ok(identity) = Identity::parse(bytes) {
        assert!(!identity.name.is_empty() && identity.name.chars().count() <= identity::MAX_NAME);
    }
    let policy = Policy { answer: Answer::Everyone, announce: true, oldest: Version::V7 };
    let mut discovery = Discovery::new(KdeId::from_bytes([0xab; 16]));
    let source = ([192, 168, 1, 5], 1716).into();
    let _ = discovery.datagram(source, bytes, policy, |_| Standing::default(), Instant::now());
}

/// Bytes to a link in either role: the first byte chooses the role and the size of the portions.
pub fn link(bytes: &[u8]) {
    let (Some(own), Some((first, bytes))) = (OWN.as_ref(), bytes.split_first()) else { return };
    let mut peer = own.identity().clone();
    peer.id = KdeId::from_bytes([0xcd; 16]);
    let line = peer.datagram(Shown::Full, 1716, Timestamp::UNIX_EPOCH).bytes;
    let Ok(outer) = Identity::parse(&line) else { return };
    let role = if first & 1 == 0 { Role::Accepted } else { Role::Connected(Box::new(outer)) };
    let now = Now { instant: Instant::now(), wall: Timestamp::UNIX_EPOCH };
    let (oldest, shown) = (Version::V7, Shown::Full);
    let mut link = Link::new(Setup { own: own.clone(), trust: Arc::default(), oldest, shown, role }, now);
    if first & 2 != 0 {
        link.handle(Input::Bytes(&line), now);
    }
    for portion in bytes.chunks(usize::from(first >> 2) + 1) {
        link.handle(Input::Bytes(portion), now);
        while !matches!(link.poll_output(), Output::Wait(_)) {}
    }
}

/// A certificate.
pub fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = PeerCertificate::parse(bytes) {
        assert!(!certificate.spki().is_empty() && KdeId::new(certificate.id().as_str()).is_some());
    }
}

/// Answers of an SFTP server to either job: the first byte chooses which, and the size of the portions.
pub fn sftp(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let now = Instant::now();
    let mut sftp = if first & 1 == 0 { Sftp::list("/sd", now) } else { Sftp::get("/sd/a", now) };
    for portion in bytes.chunks(usize::from(first >> 1) + 1) {
        sftp.handle(sftp::Input::Bytes(portion), now);
        loop {
            match sftp.poll_output(now) {
                sftp::Output::Wait(_) => break,
                sftp::Output::Event(sftp::Event::Found { .. }) => sftp.go_on(now),
                sftp::Output::Event(sftp::Event::Listed(listing)) => assert!(listing.entries.len() <= MAX_ENTRIES),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_comes_is_survived(bytes: Vec<u8>) {
            super::packets(&bytes);
            super::identity(&bytes);
            super::link(&bytes);
            super::certificate(&bytes);
            super::sftp(&bytes);
        }

        #[test]
        fn answers_of_any_shape_are_survived(
            first: u8,
            answers in prop::collection::vec((prop::sample::select(&[2u8, 101, 102, 103, 104, 105]), 0u32..6, prop::collection::vec(0u8..9, 0..60)), 0..9),
        ) {
            let mut bytes = vec![first];
            bytes.extend([0, 0, 0, 5, 2, 0, 0, 0, 3]);
            for (kind, id, body) in answers {
                bytes.extend((body.len() as u32 + 5).to_be_bytes());
                bytes.push(kind);
                bytes.extend(id.to_be_bytes());
                bytes.extend(body);
            }
            super::sftp(&bytes);
        }

        #[test]
        fn json_of_any_shape_is_survived(
            kind in prop::sample::select(crate::core::packet::Body::KINDS),
            keys in prop::collection::vec(("[a-zA-Z]{1,12}", 0usize..9), 0..12),
        ) {
            let odd = ["1e400", "-1", "\"8\"", "null", "[]", "[{}]", "{\"a\":{}}", "true", "\"\\u0000\\ud83d\\ude00\""];
            let body: Vec<_> = keys.iter().map(|(key, value)| format!("\"{key}\":{}", odd[*value])).collect();
            let line = format!("{{\"type\":\"{kind}\",\"body\":{{{}}},\"payloadSize\":{}}}\n", body.join(","), odd[keys.len() % 9]);
            super::packets(line.as_bytes());
        }

        #[test]
        fn a_certificate_with_flipped_bits_is_survived(at in 0usize..800, bit in 0u8..8) {
            let pem = include_bytes!("../../tests/fixtures/desktop-22.12.cert.pem");
            let der = <rustls::pki_types::CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(pem);
            let mut der = der.unwrap().to_vec();
            let at = at % der.len();
            der[at] ^= 1 << bit;
            super::certificate(&der);
        }
    }
}
