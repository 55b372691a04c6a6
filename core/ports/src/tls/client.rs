//! One TLS connection to a device, without I/O. Devices of a house show certificates that they made themselves, with any name,
//! or that their owner signed: whom to believe is for the bridge to say. No SNI and no resumption, so that every connection
//! shows its certificate and names nothing in clear.

use std::fmt;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption, WebPkiServerVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, version};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Judge, Judged, PublicKey, provider};

/// Longest certificate that is read, and most in a file.
const MAX_CERTIFICATE: usize = 16 * 1024;
const MOST_CERTIFICATES: usize = 16;

/// The SHA-256 hash of a device's public key (`SubjectPublicKeyInfo`), shown as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl Key {
    fn of(certificate: &[u8]) -> Option<Self> {
        Some(Self(Sha256::digest(read(certificate).ok()?.public_key().raw).into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl FromStr for Key {
    type Err = &'static str;
    /// With colons or without, in small letters or capitals.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
        let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a key's hash has 64 hexadecimal digits")
    }
}

/// Whom to believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Whoever holds the key of the certificate that they show; the key is told, to be compared.
    Anyone,
    /// Who holds this key.
    Key(Key),
    /// Who has a certificate for this address that one of these signed, as PEM.
    Authority(&'a str, IpAddr),
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
    pub fn new(trust: &Trust<'_>) -> Result<Self, String> {
        let provider = Arc::new(provider());
        let algorithms = provider.signature_verification_algorithms;
        // An address is never sent as SNI; without an authority it means nothing to the verifier either.
        let mut address = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            Trust::Anyone => Arc::new(Judged(Holder { known: None, algorithms })),
            Trust::Key(key) => Arc::new(Judged(Holder { known: Some(*key), algorithms })),
            Trust::Authority(pem, at) => {
                address = *at;
                let roots = Arc::new(authority(pem)?);
                let built = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
                built.map_err(|error| error.to_string())?
            }
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

    /// Takes bytes from the wire and gives plaintext. True when the device closed its side properly.
    ///
    /// # Errors
    /// [`Error`]. An alert for the device may wait in [`Self::take`].
    pub fn feed(&mut self, mut bytes: &[u8], mut plain: impl FnMut(&[u8])) -> Result<bool, Error> {
        let mut buffer = [0; 16 * 1024];
        while !bytes.is_empty() {
            let taken = self.connection.read_tls(&mut bytes).map_err(|error| Error::General(error.to_string()))?;
            let state = self.connection.process_new_packets()?;
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

    /// The key that the device proved to hold, after the handshake.
    pub fn key(&self) -> Option<Key> {
        Key::of(self.connection.peer_certificates()?.first()?)
    }
}

/// The certificates of a PEM file, as those that sign others.
///
/// # Errors
/// In words, which do not repeat it.
pub fn authority(pem: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).take(MOST_CERTIFICATES) {
        let certificate = certificate.map_err(|error| format!("no certificate in PEM: {error}"))?;
        store.add(certificate).map_err(|error| format!("not a certificate that can sign others: {error}"))?;
    }
    if store.is_empty() {
        return Err("no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----".to_owned());
    }
    Ok(store)
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

/// Takes a certificate whose key signs the handshake: the known one, or any. Chain builders would refuse what these devices
/// show.
#[derive(Debug)]
struct Holder {
    known: Option<Key>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Judge for Holder {
    fn judge(&self, shown: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: UnixTime) -> Result<(), Error> {
        read(shown)?;
        if self.known.is_some_and(|known| Key::of(shown) != Some(known)) {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(())
    }
    fn proven(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        in_13: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = read(shown)?;
        let spki = certificate.public_key();
        let key = PublicKey { spki: spki.raw, bits: &spki.subject_public_key.data };
        super::signed(key, &self.algorithms, message, signed, in_13)
    }
    fn schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

    struct Device {
        certificate: CertificateDer<'static>,
        key: KeyPair,
    }

    impl Device {
        fn new(algorithm: &'static SignatureAlgorithm) -> Self {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate =
                rcgen::CertificateParams::new(vec!["10.0.0.2".into()]).unwrap().self_signed(&key).unwrap();
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

    fn shake(server: ServerConnection) -> Result<(Tls, Vec<u8>), String> {
        shake_as(&Trust::Anyone, server)
    }

    fn shake_as(trust: &Trust<'_>, mut server: ServerConnection) -> Result<(Tls, Vec<u8>), String> {
        let mut tls = Tls::new(trust).unwrap();
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
            tls.feed(&bytes, |plain| heard.extend_from_slice(plain)).map_err(|error| error.to_string())?;
        }
        Ok((tls, heard))
    }

    #[test]
    fn any_key_is_taken_that_signs_and_it_is_told() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
            let (one, other) = (Device::new(algorithm), Device::new(algorithm));
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
    fn another_key_than_the_known_one_is_refused() {
        let (one, other) = (Device::new(&PKCS_ED25519), Device::new(&PKCS_ED25519));
        let known = shake(one.server(&one.certificate, &version::TLS13)).unwrap().0.key().unwrap();
        let written = known.to_string().to_uppercase();
        let written = written.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap()).collect::<Vec<_>>();
        assert_eq!(written.join(":").parse(), Ok(known));
        assert!("00".parse::<Key>().is_err() && "zz".repeat(32).parse::<Key>().is_err());
        for version in [&version::TLS12, &version::TLS13] {
            assert!(shake_as(&Trust::Key(known), one.server(&one.certificate, version)).is_ok());
            assert!(shake_as(&Trust::Key(known), other.server(&other.certificate, version)).is_err());
        }
    }

    #[test]
    fn an_authority_vouches_for_an_address() {
        let device = Device::new(&PKCS_ECDSA_P256_SHA256);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().pem();
        let signer = rcgen::Issuer::from_params(&params, &key);
        let signed = rcgen::CertificateParams::new(vec!["10.0.0.2".into()]).unwrap();
        let signed = signed.signed_by(&device.key, &signer).unwrap().der().clone();
        let shake = |at: &str, shown: &CertificateDer<'static>| {
            let trust = Trust::Authority(&root, at.parse().unwrap());
            shake_as(&trust, device.server(shown, &version::TLS13)).map(|_| ())
        };
        assert_eq!(shake("10.0.0.2", &signed), Ok(()));
        assert!(shake("10.0.0.3", &signed).is_err(), "for another address");
        assert!(shake("10.0.0.2", &device.certificate).is_err(), "signed by itself");
        assert!(authority("").is_err() && authority("geheim").unwrap_err().find("geheim").is_none());
    }

    #[test]
    fn what_is_no_tls_is_refused() {
        let mut tls = Tls::new(&Trust::Anyone).unwrap();
        assert!(tls.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n", |_| panic!("no plaintext")).is_err());
        assert!(tls.key().is_none());
    }
}
