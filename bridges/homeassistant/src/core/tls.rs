//! TLS without I/O. A server in a house has a certificate that it made itself, or one for a name that means nothing here:
//! no chain vouches for it. So every certificate is taken whose key signs the handshake, and its key is told before anything
//! is said: it is the one that was there when the owner added the server, or nothing is said. No SNI, no resumption, so that
//! every connection shows its certificate.

use std::io::{Read, Write};
use std::sync::Arc;

use accord_ports::tls::PublicKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest certificate that is read.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// The SHA-256 hash of a server's public key (`SubjectPublicKeyInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// One connection: bytes in, bytes and plaintext out.
#[derive(Debug)]
pub struct Tls {
    connection: ClientConnection,
}

impl Tls {
    /// Begins a handshake.
    ///
    /// # Errors
    /// In words.
    pub fn new() -> Result<Self, String> {
        let provider = Arc::new(accord_ports::tls::provider());
        let algorithms = provider.signature_verification_algorithms;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone { algorithms }))
            .with_no_client_auth();
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        // An address is never sent as SNI, and the name means nothing to the verifier.
        let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        connection.set_buffer_limit(None);
        Ok(Self { connection })
    }

    /// Takes bytes from the wire and gives plaintext. True when the server closed its side properly.
    ///
    /// # Errors
    /// In words. An alert for the server may wait in [`Self::take`].
    pub fn feed(&mut self, mut bytes: &[u8], mut plain: impl FnMut(&[u8])) -> Result<bool, String> {
        let mut buffer = [0; 16 * 1024];
        while !bytes.is_empty() {
            let taken = self.connection.read_tls(&mut bytes).map_err(|error| error.to_string())?;
            let state = self.connection.process_new_packets().map_err(|error| error.to_string())?;
            let closed = state.peer_has_closed() || taken == 0;
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                match self.connection.reader().read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => {
                        plain(&buffer[..length]);
                        left = left.saturating_sub(length);
                    }
                }
            }
            if closed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Encrypts. Call it only after the handshake.
    pub fn write(&mut self, plain: &[u8]) {
        // Writing into rustls' own buffer, which has no limit here, cannot fail.
        let _ = self.connection.writer().write_all(plain);
    }

    /// Says good-bye; the last bytes wait in [`Self::take`].
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Bytes for the wire.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail.
        while self.connection.wants_write() && self.connection.write_tls(&mut bytes).is_ok_and(|length| length > 0) {}
        bytes
    }

    /// Whether the handshake still runs.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The key that the server proved to hold, after the handshake.
    pub fn key(&self) -> Option<Key> {
        let first = self.connection.peer_certificates()?.first()?;
        Some(Key(Sha256::digest(read(first).ok()?.public_key().raw).into()))
    }
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    let unreadable = || Error::InvalidCertificate(CertificateError::BadEncoding);
    if der.len() > MAX_CERTIFICATE {
        return Err(unreadable());
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(unreadable()),
    }
}

/// Takes any certificate whose key signs the handshake. Whose it is, is for its reader to know.
#[derive(Debug)]
struct Anyone {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Anyone {
    fn signature(
        &self,
        message: &[u8],
        der: &[u8],
        signed: &DigitallySignedStruct,
        in_13: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = read(der)?;
        let spki = certificate.public_key();
        let key = PublicKey { spki: spki.raw, bits: &spki.subject_public_key.data };
        accord_ports::tls::signed(key, &self.algorithms, message, signed, in_13)
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _more: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        read(certificate).map(|_| ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed, false)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed, true)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

    struct Server {
        certificate: CertificateDer<'static>,
        key: KeyPair,
    }

    impl Server {
        fn new(algorithm: &'static SignatureAlgorithm) -> Self {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate =
                rcgen::CertificateParams::new(vec!["any name".into()]).unwrap().self_signed(&key).unwrap();
            Self { certificate: certificate.der().clone(), key }
        }

        fn server(
            &self,
            shown: &CertificateDer<'static>,
            version: &'static SupportedProtocolVersion,
        ) -> ServerConnection {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
            let signing = provider.key_provider.load_private_key(key).unwrap();
            // A thief has the certificate and another key; rustls itself would refuse to be one.
            let certified = Arc::new(rustls::sign::CertifiedKey::new(vec![shown.clone()], signing));
            let config = ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(Arc::unwrap_or_clone(certified))));
            ServerConnection::new(Arc::new(config)).unwrap()
        }
    }

    fn shake(mut server: ServerConnection) -> Result<(Tls, Vec<u8>), String> {
        let mut tls = Tls::new().unwrap();
        let mut heard = Vec::new();
        server.writer().write_all(b"hello").unwrap();
        for _ in 0..10 {
            let bytes = tls.take();
            let mut bytes = bytes.as_slice();
            while !bytes.is_empty() {
                server.read_tls(&mut bytes).unwrap();
                server.process_new_packets().map_err(|error| error.to_string())?;
            }
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            tls.feed(&bytes, |plain| heard.extend_from_slice(plain))?;
        }
        Ok((tls, heard))
    }

    #[test]
    fn any_key_is_taken_that_signs_and_it_is_told() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
            let (one, other) = (Server::new(algorithm), Server::new(algorithm));
            for version in [&version::TLS12, &version::TLS13] {
                let (tls, heard) = shake(one.server(&one.certificate, version)).unwrap();
                assert_eq!((tls.is_handshaking(), heard.as_slice()), (false, b"hello".as_slice()));
                let again = shake(one.server(&one.certificate, version)).unwrap().0;
                let another = shake(other.server(&other.certificate, version)).unwrap().0;
                assert!(tls.key().is_some() && tls.key() == again.key() && tls.key() != another.key());
                // Whoever shows a certificate and holds another key is not believed.
                assert!(shake(other.server(&one.certificate, version)).is_err());
            }
        }
    }

    #[test]
    fn what_is_no_tls_is_refused() {
        let mut tls = Tls::new().unwrap();
        assert!(tls.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n", |_| panic!("no plaintext")).is_err());
        assert!(tls.key().is_none());
    }
}
