//! TLS without I/O. A broker at home shows a certificate that its owner made. Either the owner gives the certificate of who
//! signed it, and it is checked as on the web; or the key that it showed first is the one that it has to show for ever.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use accord_ports::tls::PublicKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption, WebPkiServerVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, version};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest certificate that is read, and most in a file.
const MAX_CERTIFICATE: usize = 16 * 1024;
const MOST_CERTIFICATES: usize = 16;

/// Whom to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Whoever these signed, as PEM.
    Authority(String),
    /// This key: the SHA-256 of its `SubjectPublicKeyInfo`, in hexadecimal.
    Pinned(String),
    /// The first that comes.
    First,
}

/// One connection: bytes in, bytes and plaintext out.
pub struct Tls {
    connection: ClientConnection,
}

/// The certificates of a PEM file.
///
/// # Errors
/// In words.
pub fn authority(pem: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).take(MOST_CERTIFICATES) {
        let certificate = certificate.map_err(|error| format!("no certificate in PEM: {error}"))?;
        store.add(certificate).map_err(|error| format!("not a certificate that can sign others: {error}"))?;
    }
    if store.is_empty() {
        Err("no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----".to_owned())
    } else {
        Ok(store)
    }
}

impl Tls {
    /// Begins a handshake with who is at `address`.
    ///
    /// # Errors
    /// In words.
    pub fn new(address: IpAddr, trust: &Trust) -> Result<Self, String> {
        let provider = Arc::new(accord_ports::tls::provider());
        let algorithms = provider.signature_verification_algorithms;
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            Trust::Authority(pem) => {
                WebPkiServerVerifier::builder_with_provider(Arc::new(authority(pem)?), provider.clone())
                    .build()
                    .map_err(|error| error.to_string())?
            }
            Trust::Pinned(key) => Arc::new(Known { key: Some(key.clone()), algorithms }),
            Trust::First => Arc::new(Known { key: None, algorithms }),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        let name = ServerName::IpAddress(address.into());
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        connection.set_buffer_limit(None);
        Ok(Self { connection })
    }

    /// Takes bytes from the wire and gives plaintext. True when the broker closed its side properly.
    ///
    /// # Errors
    /// In words. An alert may wait in [`Self::take`].
    pub fn feed(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<bool, String> {
        let mut buffer = [0; 16 * 1024];
        while !bytes.is_empty() {
            let taken = self.connection.read_tls(&mut bytes).map_err(|error| error.to_string())?;
            let state = self.connection.process_new_packets().map_err(said)?;
            let closed = state.peer_has_closed() || taken == 0;
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                match self.connection.reader().read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => {
                        plain.extend_from_slice(&buffer[..length]);
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

    /// The key that the broker proved to hold, after the handshake.
    pub fn key(&self) -> Option<String> {
        key(self.connection.peer_certificates()?.first()?)
    }
}

/// The pin of a certificate.
fn key(certificate: &[u8]) -> Option<String> {
    let hash = Sha256::digest(read(certificate).ok()?.public_key().raw);
    Some(data_encoding::HEXLOWER.encode(&hash))
}

/// What an owner can do something with.
fn said(error: Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            "it shows another key than before; if its certificate was renewed, remove the broker and add it again".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate was not signed by the one that was given".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "its certificate is not for this address; make one with the address in it, or add the broker without a certificate"
                .to_owned()
        }
        Error::InvalidMessage(_) => "it does not speak TLS; is that the right port?".to_owned(),
        other => other.to_string(),
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

/// Takes a certificate whose key signs the handshake: the known one, or the first.
#[derive(Debug)]
struct Known {
    key: Option<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Known {
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

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _more: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        read(certificate)?;
        match &self.key {
            Some(known) if key(certificate).as_ref() != Some(known) => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
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
