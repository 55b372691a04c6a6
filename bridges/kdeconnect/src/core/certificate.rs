//! Certificates: our own, and what is read from a peer's. Peers are known by their whole certificate, byte
//! for byte. No chain is built and no date is checked: every certificate here is self-signed, the old ones
//! with SHA-1, and nothing but the handshake's signature proves who holds the key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use accord_model::{Timestamp, text};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::id::KdeId;

/// Longest certificate that is read, in bytes.
pub const MAX_CERTIFICATE: usize = 16 * 1024;
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Why a certificate is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read.
    #[error("its certificate cannot be read")]
    Malformed,
    /// Its common name is no device id.
    #[error("its certificate is for `{0}`, which is no KDE Connect device id")]
    NoId(String),
    /// Our own could not be made or read.
    #[error("this computer's own KDE Connect certificate cannot be used ({0}); make a new one and pair again")]
    Own(String),
}

/// A peer's certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    der: Vec<u8>,
    id: KdeId,
    key: std::ops::Range<usize>,
}

impl PeerCertificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] or [`CertificateError::NoId`].
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::Malformed);
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let mut names = certificate.subject().iter_common_name();
        let name = match (names.next(), names.next()) {
            (Some(name), None) => name.as_str().map_err(|_| CertificateError::Malformed)?,
            _ => return Err(CertificateError::NoId(String::new())),
        };
        let id = KdeId::new(name).ok_or_else(|| CertificateError::NoId(text::for_screen(name, 60)))?;
        let spki = certificate.public_key().raw;
        let at = der.windows(spki.len()).position(|window| window == spki).ok_or(CertificateError::Malformed)?;
        Ok(Self { der: der.to_vec(), id, key: at..at + spki.len() })
    }
    /// The whole certificate: what is stored, and compared.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// The device id in its common name.
    pub fn id(&self) -> &KdeId {
        &self.id
    }
    /// The SubjectPublicKeyInfo, DER: what verification keys are made of.
    pub fn spki(&self) -> &[u8] {
        &self.der[self.key.clone()]
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerCertificate({}, {} bytes)", self.id, self.der.len())
    }
}

/// Our certificate and its key.
#[derive(Clone)]
pub struct OwnCertificate {
    certificate: PeerCertificate,
    key: Zeroizing<Vec<u8>>,
    not_after: Timestamp,
    resolver: Arc<SingleCertAndKey>,
}

impl OwnCertificate {
    /// Makes one: EC P-256, valid from a year ago for eleven years.
    ///
    /// # Errors
    /// [`CertificateError::Own`].
    pub fn generate(id: &KdeId, wall: Timestamp) -> Result<Self, CertificateError> {
        let made = || -> Result<_, rcgen::Error> {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, id.as_str());
            params.distinguished_name.push(DnType::OrganizationName, "KDE");
            params.distinguished_name.push(DnType::OrganizationalUnitName, "KDE Connect");
            let day = |at: Timestamp| {
                let seconds = u64::try_from(at.as_second()).unwrap_or_default();
                (std::time::UNIX_EPOCH + Duration::from_secs(seconds)).into()
            };
            params.not_before = day(wall.saturating_sub(YEAR).unwrap_or(wall));
            params.not_after = day(wall.saturating_add(10 * YEAR).unwrap_or(wall));
            Ok((params.self_signed(&key)?.der().to_vec(), key.serialize_der()))
        };
        let (certificate, key) = made().map_err(|error| CertificateError::Own(error.to_string()))?;
        Self::from_der(&certificate, &Zeroizing::new(key))
    }
    /// Reads what [`Self::der`] and [`Self::key`] gave.
    ///
    /// # Errors
    /// [`CertificateError::Own`], also when the key is another certificate's.
    pub fn from_der(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let own = |error: &dyn fmt::Display| CertificateError::Own(error.to_string());
        let peer = PeerCertificate::parse(certificate).map_err(|error| own(&error))?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| own(&error))?;
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp()).map_err(|error| own(&error))?;
        let signer = rustls::crypto::ring::sign::any_supported_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
            key.to_vec(),
        )))
        .map_err(|error| own(&error))?;
        if signer.public_key().is_some_and(|public| public.as_ref() != peer.spki()) {
            return Err(CertificateError::Own("the key is not the certificate's".to_owned()));
        }
        let certified = CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], signer);
        Ok(Self {
            certificate: peer,
            key: Zeroizing::new(key.to_vec()),
            not_after,
            resolver: Arc::new(SingleCertAndKey::from(certified)),
        })
    }
    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }
    /// The private key, PKCS#8 DER. Keep it in a private file.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
    /// The device id in it.
    pub fn id(&self) -> &KdeId {
        self.certificate.id()
    }
    /// The SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        self.certificate.spki()
    }
    /// From when on peers may refuse it.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
    pub(super) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::clone(&self.resolver)
    }
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnCertificate({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn what_real_peers_show_is_read() {
        let certificates = [
            (include_bytes!("../../tests/fixtures/desktop-22.12.cert.pem").as_slice(), "_5d2f1c0e", 294),
            (include_bytes!("../../tests/fixtures/desktop-25.cert.pem").as_slice(), "0a1b2c3d", 91),
            (include_bytes!("../../tests/fixtures/phone-v1.cert.pem").as_slice(), "0a1b2c3d", 294),
        ];
        for (pem, id, key) in certificates {
            let der = CertificateDer::from_pem_slice(pem).unwrap();
            let read = PeerCertificate::parse(&der).unwrap();
            assert!(read.id().as_str().starts_with(id));
            assert_eq!((read.spki().len(), read.spki()[0]), (key, 0x30));
        }
    }

    #[test]
    fn our_own_survives_storing_and_refuses_another_key() {
        let id = KdeId::from_bytes([7; 16]);
        let now = Timestamp::from_second(1_750_000_000).unwrap();
        let own = OwnCertificate::generate(&id, now).unwrap();
        assert_eq!((own.id(), own.not_after().as_second()), (&id, 1_750_000_000 + 10 * 365 * 86_400));
        let (_, parsed) = X509Certificate::from_der(own.der()).unwrap();
        assert_eq!(parsed.subject().to_string(), format!("CN={id}, O=KDE, OU=KDE Connect"));
        let again = OwnCertificate::from_der(own.der(), own.key()).unwrap();
        assert_eq!(again.spki(), own.spki());
        let other = OwnCertificate::generate(&id, now).unwrap();
        assert!(matches!(OwnCertificate::from_der(own.der(), other.key()), Err(CertificateError::Own(_))));
        assert!(!format!("{own:?}").contains("30"), "no key is printed");
    }

    #[test]
    fn a_name_that_is_no_id_is_refused() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "../../etc/passwd");
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        assert!(matches!(PeerCertificate::parse(&der), Err(CertificateError::NoId(_))));
        assert_eq!(PeerCertificate::parse(&der[..der.len() - 1]), Err(CertificateError::Malformed));
        assert_eq!(PeerCertificate::parse(&[0x30; 64]), Err(CertificateError::Malformed));
    }
}
