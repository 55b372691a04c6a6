//! What a peer's certificate is checked for: readable, inside its validity period, signed with its own key,
//! pinned if there is something to pin, and the handshake signed with that key. Names are of no matter.

use std::sync::Arc;

use accord_ports::tls::{Judge, Judged};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Fingerprint, MAX_CERTIFICATE, Pin};

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// It is no X.509 certificate, or larger than [`MAX_CERTIFICATE`].
    #[error("its certificate cannot be read")]
    Unreadable,
    /// Its time has not come.
    #[error("its certificate is not valid yet; check the clocks of both devices")]
    NotYetValid,
    /// Its time is over.
    #[error("its certificate has expired; reset it in the LocalSend settings of that device")]
    Expired,
    /// It was not signed with its own key.
    #[error("its certificate is not signed with its own key")]
    Signature,
    /// Another device answers there, or it has a new certificate.
    #[error(
        "it is not the device it was: its certificate's fingerprint is {shown}, expected was {expected}. \
         If LocalSend was reinstalled there, remove the device and find it again"
    )]
    Other {
        /// What was to be shown.
        expected: Fingerprint,
        /// What was shown.
        shown: Fingerprint,
    },
}

/// All checks but the handshake's signature. `now` in seconds since 1970.
pub(super) fn check(der: &[u8], expected: Option<&Fingerprint>, now: u64) -> Result<(), CertificateFault> {
    let certificate = read(der)?;
    if let Some(expected) = expected {
        let shown = Fingerprint::of(der);
        if shown != *expected {
            return Err(CertificateFault::Other { expected: expected.clone(), shown });
        }
    }
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if now < validity.not_before.timestamp() {
        return Err(CertificateFault::NotYetValid);
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateFault::Expired);
    }
    certificate.verify_signature(None).map_err(|_| CertificateFault::Signature)
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>, CertificateFault> {
    if der.len() > MAX_CERTIFICATE {
        return Err(CertificateFault::Unreadable);
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateFault::Unreadable),
    }
}

/// The verifier for both roles.
#[derive(Debug)]
pub(super) struct Accept {
    pin: Pin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Accept {
    pub(super) fn verifier(pin: Pin, provider: &Arc<CryptoProvider>) -> Arc<Judged<Self>> {
        Arc::new(Judged(Self { pin, algorithms: provider.signature_verification_algorithms }))
    }
}

impl Judge for Accept {
    const MANDATORY: bool = false;

    fn judge(&self, shown: &CertificateDer<'_>, _: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let expected = match &self.pin {
            Pin::Exactly(fingerprint) => Some(fingerprint),
            Pin::Learn => None,
        };
        check(shown, expected, now.as_secs()).map_err(refuse)
    }

    fn proven(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        in_13: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !in_13 {
            return rustls::crypto::verify_tls12_signature(message, shown, signed, &self.algorithms);
        }
        let certificate = read(shown).map_err(refuse)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn refuse(fault: CertificateFault) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
}

/// The fault that a handshake ended with, if it was one of ours.
pub(in crate::core) fn fault_of(error: &Error) -> Option<CertificateFault> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(fault))) => {
            fault.downcast_ref::<CertificateFault>().cloned()
        }
        _ => None,
    }
}
