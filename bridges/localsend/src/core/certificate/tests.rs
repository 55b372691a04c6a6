use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConnection, ServerConnection};

use super::*;

fn identity() -> Identity {
    Identity::generate(SystemTime::now()).unwrap()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn ours_is_in_order_for_ten_years_and_can_be_stored() {
    let (now, ours) = (SystemTime::now(), identity());
    let year = Duration::from_secs(365 * 86_400);
    assert_eq!(check(ours.certificate(), Some(ours.fingerprint()), seconds(now)), Ok(()));
    assert_eq!(check(ours.certificate(), None, seconds(now + 9 * year)), Ok(()));
    assert_eq!(check(ours.certificate(), None, seconds(now + 11 * year)), Err(CertificateFault::Expired));
    assert_eq!(check(ours.certificate(), None, seconds(now - year)), Err(CertificateFault::NotYetValid));
    let stored = Identity::load(ours.certificate().to_vec(), ours.key().clone(), now).unwrap();
    assert_eq!(stored.fingerprint(), ours.fingerprint());
    assert!(ours.fingerprint().is_hash());
    let other = Identity::load(ours.certificate().to_vec(), identity().key().clone(), now);
    assert!(matches!(other, Err(IdentityError::Damaged(_))), "{other:?}");
}

#[test]
fn another_and_a_damaged_certificate_are_refused() {
    let (now, ours) = (seconds(SystemTime::now()), identity());
    let other = identity();
    let fault = check(ours.certificate(), Some(other.fingerprint()), now).unwrap_err();
    assert!(matches!(fault, CertificateFault::Other { .. }), "{fault}");
    let mut damaged = ours.certificate().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(check(&damaged, None, now), Err(CertificateFault::Signature));
    assert_eq!(check(&damaged[1..], None, now), Err(CertificateFault::Unreadable));
    assert_eq!(check(&vec![0x30; MAX_CERTIFICATE + 1], None, now), Err(CertificateFault::Unreadable));
}

#[test]
fn fingerprints_compare_without_regard_to_case() {
    let ours = identity();
    assert_eq!(Fingerprint::parse(&ours.fingerprint().as_str().to_lowercase()).as_ref(), Some(ours.fingerprint()));
    assert_eq!(Fingerprint::parse("with space"), None);
    assert_eq!(Fingerprint::parse(""), None);
}

/// Somebody else's certificate with one's own key.
#[derive(Debug)]
struct Stolen(Arc<CertifiedKey>);

impl ResolvesServerCert for Stolen {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn stolen(certificate: &Identity, key: &Identity) -> CertifiedKey {
    let signer = key.provider.key_provider.load_private_key(key.private_key()).unwrap();
    CertifiedKey::new(vec![certificate.certificate.clone()], signer)
}

fn handshake(client: ClientConfig, server: ServerConfig) -> Result<Option<Fingerprint>, rustls::Error> {
    let name = rustls::pki_types::ServerName::try_from("x").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    for _ in 0..4 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut &bytes[..]).unwrap();
        client.process_new_packets()?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(server.peer_certificates().map(|chain| Fingerprint::of(&chain[0])))
}

#[test]
fn a_certificate_without_its_key_proves_nothing_in_either_direction() {
    let (ours, theirs, thief) = (identity(), identity(), identity());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = ours.provider.clone();
        let pin = || Accept::verifier(Pin::Exactly(theirs.fingerprint().clone()), &provider);
        let learn = || Accept::verifier(Pin::Learn, &provider);
        let client = |key| {
            ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&[version])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(pin())
                .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        };
        let server = |key| {
            ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&[version])
                .unwrap()
                .with_client_cert_verifier(learn())
                .with_cert_resolver(Arc::new(Stolen(Arc::new(key))))
        };
        let honest = handshake(client(stolen(&ours, &ours)), server(stolen(&theirs, &theirs)));
        assert_eq!(honest, Ok(Some(ours.fingerprint().clone())));
        let server_lies = handshake(client(stolen(&ours, &ours)), server(stolen(&theirs, &thief)));
        assert!(matches!(server_lies, Err(rustls::Error::InvalidCertificate(_))), "{server_lies:?}");
        let client_lies = handshake(client(stolen(&ours, &thief)), server(stolen(&theirs, &theirs)));
        assert!(matches!(client_lies, Err(rustls::Error::InvalidCertificate(_))), "{client_lies:?}");
    }
}
