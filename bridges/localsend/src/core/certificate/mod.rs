//! Our own certificate, and what others' are checked for: they are self-signed, so what counts is that the
//! peer owns the key and that the certificate's hash is the fingerprint it announced.

mod verify;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ServerConfig};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use verify::CertificateFault;
pub(in crate::core) use verify::fault_of;
use verify::{Accept, check};

use super::secret;

/// Largest certificate looked at, in bytes.
pub const MAX_CERTIFICATE: usize = 8192;
/// How long ours is valid.
const VALID_FOR: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Clocks of others may be behind.
const VALID_SINCE: Duration = Duration::from_secs(86_400);
/// What the app itself writes into its certificates, so that ours say nothing of who we are.
const COMMON_NAME: &str = "LocalSend User";

/// Names a device: the upper-case hexadecimal SHA-256 of its certificate (DER), or with plain HTTP any id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of a certificate.
    pub fn of(der: &[u8]) -> Self {
        Self(secret::hex(&Sha256::digest(der)).to_ascii_uppercase())
    }
    /// As a device announced it: 1 to 128 printable ASCII characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let read = Self(text.to_owned());
        fits.then(|| if read.is_hash() { Self(text.to_ascii_uppercase()) } else { read })
    }
    /// A random one, for plain HTTP.
    pub fn random() -> Self {
        Self(secret::token())
    }
    /// Whether it can be the hash of a certificate.
    pub fn is_hash(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
    /// As it is announced.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which certificate a server must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// The one with this hash.
    Exactly(Fingerprint),
    /// Any that is in order; its hash is reported.
    Learn,
}

/// Why there is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It could not be made.
    #[error("no certificate could be made: {0}")]
    Make(String),
    /// What was stored is damaged.
    #[error("the stored LocalSend certificate is damaged ({0}); delete it, and a new one is made")]
    Damaged(String),
    /// What was stored is no longer valid.
    #[error("the stored LocalSend certificate cannot be used any more ({0}); delete it, and a new one is made")]
    Lapsed(CertificateFault),
}

/// Our certificate and its key: P-256, signed with SHA-256, used for nothing but LocalSend.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl Identity {
    /// A fresh one, valid for ten years from yesterday.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn generate(now: SystemTime) -> Result<Self, IdentityError> {
        let made = || -> Result<_, rcgen::Error> {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
            let mut params = rcgen::CertificateParams::new(Vec::new())?;
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, COMMON_NAME);
            set_validity(&mut params, now);
            Ok((params.self_signed(&key)?.der().clone(), key.serialize_der()))
        };
        let (certificate, key) = made().map_err(|error| IdentityError::Make(error.to_string()))?;
        Ok(Self::of(certificate, Zeroizing::new(key)))
    }

    /// From what was stored: certificate (DER) and key (PKCS #8).
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load(certificate: Vec<u8>, key: Zeroizing<Vec<u8>>, now: SystemTime) -> Result<Self, IdentityError> {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        check(&certificate, None, seconds).map_err(|fault| match fault {
            CertificateFault::Expired | CertificateFault::NotYetValid => IdentityError::Lapsed(fault),
            damaged => IdentityError::Damaged(damaged.to_string()),
        })?;
        let identity = Self::of(certificate.into(), key);
        let fits = identity.server_config().and_then(|_| identity.client_config(Pin::Learn));
        fits.map(|_| identity)
    }

    /// The certificate (DER), to be stored.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
    /// The key (PKCS #8), to be stored where only the owner reads.
    pub fn key(&self) -> &Zeroizing<Vec<u8>> {
        &self.key
    }
    /// What we announce.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// For our server: asks for a client certificate, takes connections without one, and reports which it was.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`] when key and certificate do not belong together.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(damaged)?
            .with_client_cert_verifier(Accept::verifier(Pin::Learn, &self.provider))
            .with_single_cert(vec![self.certificate.clone()], self.private_key())
            .map_err(damaged)?;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    /// For our client: shows our certificate and insists on the server's.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`] when key and certificate do not belong together.
    pub fn client_config(&self, pin: Pin) -> Result<Arc<ClientConfig>, IdentityError> {
        let config =
            client(pin, &self.provider)?.with_client_auth_cert(vec![self.certificate.clone()], self.private_key());
        finish(config.map_err(damaged)?)
    }

    /// A client that shows no certificate, as apps before version 1.18 do.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`].
    pub fn anonymous_client_config(&self, pin: Pin) -> Result<Arc<ClientConfig>, IdentityError> {
        finish(client(pin, &self.provider)?.with_no_client_auth())
    }

    fn of(certificate: CertificateDer<'static>, key: Zeroizing<Vec<u8>>) -> Self {
        let fingerprint = Fingerprint::of(&certificate);
        Self { certificate, key, fingerprint, provider: Arc::new(accord_ports::tls::provider()) }
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

type ClientBuilder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client(pin: Pin, provider: &Arc<CryptoProvider>) -> Result<ClientBuilder, IdentityError> {
    Ok(ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(damaged)?
        .dangerous()
        .with_custom_certificate_verifier(Accept::verifier(pin, provider)))
}

fn finish(mut config: ClientConfig) -> Result<Arc<ClientConfig>, IdentityError> {
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

fn damaged(error: rustls::Error) -> IdentityError {
    IdentityError::Damaged(error.to_string())
}

fn set_validity(params: &mut rcgen::CertificateParams, now: SystemTime) {
    let date = |time: SystemTime| {
        let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date = jiff::tz::TimeZone::UTC.to_datetime(time).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = date(now - VALID_SINCE);
    params.not_after = date(now + VALID_FOR);
}

#[cfg(test)]
mod tests;
