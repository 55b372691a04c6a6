//! TLS without I/O, with certificates compared instead of chained. The handshake's signature is checked with
//! the certificate's key itself, so that SHA-1 self-signatures, odd extensions and old X.509 versions, which
//! chain builders refuse, do not matter. TLS 1.2 (Android) and 1.3 (22.12 has no common 1.2 suite); no SNI;
//! no resumption, so that every connection shows its certificate.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use accord_model::{FieldCode, FieldSet};
use accord_ports::tls::{Judge, Judged, PublicKey};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{ClientConnection, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError as TlsCertificateError, ClientConfig, Connection, DigitallySignedStruct, Error,
    OtherError, PeerIncompatible, ProtocolVersion, ServerConfig, ServerConnection, SignatureScheme, version,
};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

use super::certificate::{CertificateError, OwnCertificate, PeerCertificate};
use super::id::KdeId;

/// Whom we expect at the other end.
#[derive(Debug, Clone)]
pub enum Expect {
    /// Any certificate for this id: nobody is trusted yet.
    Id(KdeId),
    /// Exactly this certificate.
    Exactly(PeerCertificate),
}

/// Why an encrypted connection failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// Its certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate is for another id than the one it named.
    #[error("it calls itself `{named}` but its certificate is for `{shown}`; someone may be pretending to be it")]
    AnotherId {
        /// What it named.
        named: KdeId,
        /// What the certificate says.
        shown: KdeId,
    },
    /// Not the certificate it was paired with.
    #[error(
        "it shows another certificate than when it was paired. If the app was installed anew there, unpair it here \
         and pair again; otherwise someone may be pretending to be it"
    )]
    CertificateChanged,
    /// It could not prove that the certificate is its own.
    #[error("it could not prove that its certificate is its own; someone may be pretending to be it")]
    Signature,
    /// It showed no certificate.
    #[error("it showed no certificate; is it a KDE Connect device?")]
    NoCertificate,
    /// It ended the handshake.
    #[error(
        "it ended the encrypted connection ({0}). It may hold an old pairing: remove this computer there, then pair \
         again"
    )]
    Refused(String),
    /// Nothing in common.
    #[error("it offers only encryption that is too old; update the app on it")]
    TooOld,
    /// Anything else.
    #[error("the encrypted connection failed ({0})")]
    Other(String),
}

/// One TLS connection: bytes in, bytes and plaintext out.
#[derive(Debug)]
pub struct Tls {
    connection: Connection,
    /// Set when the next flight holds our certificate.
    showing: Arc<AtomicBool>,
    /// Bytes of plaintext since the last [`Self::take`]: how much room they will want.
    written: usize,
    broken: bool,
}

impl Tls {
    /// As client.
    ///
    /// # Errors
    /// [`TlsError::Other`] when our own certificate cannot be used.
    pub fn client(own: &OwnCertificate, expect: Expect) -> Result<Self, TlsError> {
        let (provider, verifier) = verifier(expect);
        let resolver = Arc::new(Resolver::new(own));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(read_error)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&resolver) as _);
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        // An address is never sent as SNI; the name means nothing to the verifier.
        let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let connection = ClientConnection::new(Arc::new(config), name).map_err(read_error)?;
        Ok(Self::new(connection.into(), Arc::clone(&resolver.showing)))
    }
    /// As server. The client must show a certificate.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub fn server(own: &OwnCertificate, expect: Expect) -> Result<Self, TlsError> {
        let (provider, verifier) = verifier(expect);
        let resolver = Arc::new(Resolver::new(own));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(read_error)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&resolver) as _);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let connection = ServerConnection::new(Arc::new(config)).map_err(read_error)?;
        Ok(Self::new(connection.into(), Arc::clone(&resolver.showing)))
    }

    fn new(mut connection: Connection, showing: Arc<AtomicBool>) -> Self {
        connection.set_buffer_limit(None);
        Self { connection, showing, written: 0, broken: false }
    }

    /// Takes bytes from the wire and gives plaintext. True when the peer closed its side properly.
    ///
    /// # Errors
    /// [`TlsError`]. An alert for the peer may wait in [`Self::take`].
    pub fn feed(&mut self, mut bytes: &[u8], mut plain: impl FnMut(&[u8])) -> Result<bool, TlsError> {
        let mut closed = false;
        let mut buffer = [0; 16 * 1024];
        while !bytes.is_empty() && !closed {
            let taken = self.connection.read_tls(&mut bytes).map_err(|error| TlsError::Other(error.to_string()))?;
            let state = self.connection.process_new_packets().map_err(|error| {
                self.broken = true;
                read_error(error)
            })?;
            closed = state.peer_has_closed() || taken == 0;
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
        }
        Ok(closed)
    }
    /// Encrypts. Call it only after the handshake.
    pub fn write(&mut self, plain: &[u8]) {
        use std::io::Write;
        // Writing into rustls' own buffer, which has no limit here, cannot fail.
        let _ = self.connection.writer().write_all(plain);
        self.written += plain.len();
    }
    /// Whether [`Self::ask`] does anything: from TLS 1.3 on.
    pub fn can_ask(&self) -> bool {
        self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }
    /// Asks the peer for a sign that it has read so far: a KeyUpdate (RFC 8446, 4.6.3). The answers must not be fed.
    pub fn ask(&mut self) {
        // Refused only before the handshake is over and by TLS 1.2.
        let _ = self.connection.refresh_traffic_keys();
    }
    /// Closes our side; the last bytes wait in [`Self::take`].
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }
    /// Bytes for the wire, and what of ours the handshake reveals in them: our certificate, in one flight.
    pub fn take(&mut self) -> Option<(Vec<u8>, FieldSet)> {
        if !self.connection.wants_write() {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.written + self.written / 512 + 512);
        self.written = 0;
        while self.connection.wants_write() {
            // Writing to memory cannot fail.
            if !self.connection.write_tls(&mut bytes).is_ok_and(|length| length > 0) {
                break;
            }
        }
        if bytes.is_empty() {
            return None;
        }
        let shows = self.showing.swap(false, Ordering::Relaxed) && !self.broken;
        let fields = if shows { CERTIFICATE } else { FieldSet::EMPTY };
        Some((bytes, fields))
    }
    /// Whether the handshake still runs.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }
    /// The certificate that the peer proved to hold.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`] before that.
    pub fn peer(&self) -> Result<PeerCertificate, TlsError> {
        let certificates = self.connection.peer_certificates().unwrap_or_default();
        let first = certificates.first().ok_or(TlsError::NoCertificate)?;
        Ok(PeerCertificate::parse(first)?)
    }
}

/// Our certificate says which device we are.
const CERTIFICATE: FieldSet = FieldSet::one(FieldCode::KeyPublic).union(FieldSet::one(FieldCode::DeviceIdResettable));

/// Gives our certificate and notes that. TLS asks just before it writes the flight that holds it; when the
/// peer is refused instead, that flight is an alert.
#[derive(Debug)]
struct Resolver {
    certificate: Arc<SingleCertAndKey>,
    showing: Arc<AtomicBool>,
}

impl Resolver {
    fn new(own: &OwnCertificate) -> Self {
        Self { certificate: own.resolver(), showing: Arc::default() }
    }
}
impl ResolvesClientCert for Resolver {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.showing.store(true, Ordering::Relaxed);
        ResolvesClientCert::resolve(&*self.certificate, hints, schemes)
    }
    fn has_certs(&self) -> bool {
        true
    }
}
impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.showing.store(true, Ordering::Relaxed);
        ResolvesServerCert::resolve(&*self.certificate, hello)
    }
}

fn verifier(expect: Expect) -> (Arc<CryptoProvider>, Arc<Judged<Verifier>>) {
    let provider = Arc::new(accord_ports::tls::provider());
    let algorithms = provider.signature_verification_algorithms;
    (provider, Arc::new(Judged(Verifier { expect, algorithms })))
}

#[derive(Debug)]
struct Verifier {
    expect: Expect,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn check(&self, certificate: &[u8]) -> Result<(), TlsError> {
        let shown = PeerCertificate::parse(certificate)?;
        let named = match &self.expect {
            Expect::Exactly(pinned) if *pinned == shown => return Ok(()),
            Expect::Exactly(pinned) if pinned.id() == shown.id() => return Err(TlsError::CertificateChanged),
            Expect::Exactly(pinned) => pinned.id(),
            Expect::Id(id) => id,
        };
        if named == shown.id() {
            return Ok(());
        }
        Err(TlsError::AnotherId { named: named.clone(), shown: shown.id().clone() })
    }
}

impl Judge for Verifier {
    fn judge(&self, shown: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: UnixTime) -> Result<(), Error> {
        self.check(shown).map_err(wrap)
    }

    /// The signature over the handshake, by the key in the certificate.
    fn proven(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        in_13: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let refused = || Error::InvalidCertificate(TlsCertificateError::BadSignature);
        let peer = PeerCertificate::parse(shown).map_err(|error| wrap(error.into()))?;
        let (_, spki) = SubjectPublicKeyInfo::from_der(peer.spki()).map_err(|_| refused())?;
        let key = PublicKey { spki: peer.spki(), bits: &spki.subject_public_key.data };
        accord_ports::tls::signed(key, &self.algorithms, message, signed, in_13)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn wrap(error: TlsError) -> Error {
    Error::InvalidCertificate(TlsCertificateError::Other(OtherError(Arc::new(error))))
}

fn read_error(error: Error) -> TlsError {
    match error {
        Error::InvalidCertificate(TlsCertificateError::Other(OtherError(inner))) => match inner.downcast_ref() {
            Some(error) => TlsError::clone(error),
            None => TlsError::Other(inner.to_string()),
        },
        Error::InvalidCertificate(_) => TlsError::Signature,
        Error::NoCertificatesPresented => TlsError::NoCertificate,
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion) => {
            TlsError::TooOld
        }
        Error::AlertReceived(alert) => TlsError::Refused(format!("{alert:?}")),
        Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => TlsError::TooOld,
        other => TlsError::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accord_model::Timestamp;
    use rustls::SupportedProtocolVersion;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;

    /// A certificate of tests/fixtures, held by plain rustls, which stands for the foreign peer.
    struct Foreign {
        resolver: Arc<SingleCertAndKey>,
        certificate: PeerCertificate,
    }

    fn foreign(certificate: &[u8], key: &[u8]) -> Foreign {
        let der = CertificateDer::from_pem_slice(certificate).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&PrivateKeyDer::from_pem_slice(key).unwrap()).unwrap();
        Foreign {
            certificate: PeerCertificate::parse(&der).unwrap(),
            resolver: Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![der], key))),
        }
    }

    macro_rules! fixture {
        ($name:literal) => {
            foreign(
                include_bytes!(concat!("../../tests/fixtures/", $name, ".cert.pem")),
                include_bytes!(concat!("../../tests/fixtures/", $name, ".key.pem")),
            )
        };
    }

    impl Foreign {
        fn provider() -> Arc<CryptoProvider> {
            Arc::new(rustls::crypto::ring::default_provider())
        }
        fn accepts(expect: &OwnCertificate) -> Arc<Judged<Verifier>> {
            verifier(Expect::Id(expect.id().clone())).1
        }
        fn client(&self, own: &OwnCertificate, version: &'static SupportedProtocolVersion) -> Connection {
            let config = ClientConfig::builder_with_provider(Self::provider())
                .with_protocol_versions(&[version])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Self::accepts(own))
                .with_client_cert_resolver(self.resolver.clone());
            // As the apps do: the device id as SNI, though it is no host name.
            let name = ServerName::try_from(own.id().as_str().to_owned()).unwrap();
            ClientConnection::new(Arc::new(config), name).unwrap().into()
        }
        fn server(&self, own: &OwnCertificate, version: &'static SupportedProtocolVersion) -> Connection {
            let config = ServerConfig::builder_with_provider(Self::provider())
                .with_protocol_versions(&[version])
                .unwrap()
                .with_client_cert_verifier(Self::accepts(own))
                .with_cert_resolver(self.resolver.clone());
            ServerConnection::new(Arc::new(config)).unwrap().into()
        }
    }

    fn own() -> OwnCertificate {
        OwnCertificate::generate(&KdeId::from_bytes([0xab; 16]), Timestamp::from_second(1_750_000_000).unwrap())
            .unwrap()
    }

    /// Runs the handshake and says what we think of it, and what of ours was revealed in which flight.
    fn run(ours: &mut Tls, theirs: Connection) -> (Result<(), TlsError>, Vec<FieldSet>) {
        let mut theirs = Tls::new(theirs, Arc::default());
        let mut flights = Vec::new();
        for _ in 0..10 {
            if let Some((bytes, fields)) = ours.take() {
                flights.push(fields);
                let _ = theirs.feed(&bytes, |_| {});
            }
            if let Some((bytes, _)) = theirs.take()
                && let Err(error) = ours.feed(&bytes, |_| {})
            {
                return (Err(error), flights);
            }
        }
        assert!(!ours.is_handshaking() && !theirs.is_handshaking());
        (Ok(()), flights)
    }

    #[test]
    fn certificates_that_chain_builders_refuse_work_in_both_roles_and_versions() {
        for peer in [fixture!("desktop-22.12"), fixture!("desktop-25"), fixture!("phone-v1")] {
            for version in [&version::TLS12, &version::TLS13] {
                for expect in [Expect::Id(peer.certificate.id().clone()), Expect::Exactly(peer.certificate.clone())] {
                    let own = own();
                    let mut ours = Tls::server(&own, expect.clone()).unwrap();
                    let (outcome, flights) = run(&mut ours, peer.client(&own, version));
                    assert_eq!(outcome, Ok(()), "{version:?}");
                    assert!(flights[0].contains(FieldCode::KeyPublic) && flights[1..].iter().all(|f| f.is_empty()));
                    assert_eq!(ours.peer().unwrap(), peer.certificate);
                    let mut ours = Tls::client(&own, expect).unwrap();
                    let (outcome, flights) = run(&mut ours, peer.server(&own, version));
                    assert_eq!(outcome, Ok(()), "{version:?}");
                    assert!(flights[0].is_empty() && flights[1].contains(FieldCode::KeyPublic));
                    assert_eq!(ours.peer().unwrap(), peer.certificate);
                }
            }
        }
    }

    #[test]
    fn another_certificate_another_id_and_a_stolen_certificate_are_told_apart() {
        let (peer, thief) = (fixture!("desktop-25"), fixture!("phone-v1"));
        let own = own();
        let attempt = |expect: Expect, who: &Foreign, version| {
            let mut ours = Tls::client(&own, expect.clone()).unwrap();
            let as_client = run(&mut ours, who.server(&own, version)).0.unwrap_err();
            let mut ours = Tls::server(&own, expect).unwrap();
            assert_eq!(run(&mut ours, who.client(&own, version)).0.unwrap_err(), as_client);
            as_client
        };
        for version in [&version::TLS12, &version::TLS13] {
            let pinned = Expect::Exactly(peer.certificate.clone());
            assert_eq!(attempt(pinned.clone(), &thief, version), TlsError::CertificateChanged);
            assert!(matches!(attempt(pinned, &fixture!("desktop-22.12"), version), TlsError::AnotherId { .. }));
            let other = Expect::Id(KdeId::from_bytes([1; 16]));
            assert!(matches!(attempt(other, &peer, version), TlsError::AnotherId { .. }));
        }
    }

    #[test]
    fn who_shows_a_certificate_without_its_key_fails_and_learns_nothing() {
        let own = own();
        for key in [fixture!("phone-v1"), fixture!("desktop-25")] {
            let victim = fixture!("desktop-22.12").certificate;
            let der = CertificateDer::from(victim.der().to_vec());
            let key = rustls::client::ResolvesClientCert::resolve(&*key.resolver, &[], &accord_ports::tls::IN_TLS13)
                .unwrap()
                .key
                .clone();
            let resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![der], key)));
            let impostor = Foreign { certificate: victim.clone(), resolver };
            for version in [&version::TLS12, &version::TLS13] {
                let mut ours = Tls::client(&own, Expect::Exactly(victim.clone())).unwrap();
                let (outcome, flights) = run(&mut ours, impostor.server(&own, version));
                assert_eq!(outcome, Err(TlsError::Signature));
                assert!(flights.iter().all(|fields| fields.is_empty()));
                let mut ours = Tls::server(&own, Expect::Exactly(victim.clone())).unwrap();
                assert_eq!(run(&mut ours, impostor.client(&own, version)).0, Err(TlsError::Signature));
            }
        }
    }

    #[test]
    fn a_client_without_certificate_is_refused() {
        let own = own();
        for version in [&version::TLS12, &version::TLS13] {
            let config = ClientConfig::builder_with_provider(Foreign::provider())
                .with_protocol_versions(&[version])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Foreign::accepts(&own))
                .with_no_client_auth();
            let name = ServerName::try_from(own.id().as_str().to_owned()).unwrap();
            let client = ClientConnection::new(Arc::new(config), name).unwrap();
            let mut ours = Tls::server(&own, Expect::Id(KdeId::from_bytes([1; 16]))).unwrap();
            assert_eq!(run(&mut ours, client.into()).0, Err(TlsError::NoCertificate));
        }
    }
}
