//! What those learn and can do who are not paired, and paired ones who do not keep to the protocol.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use accord_identity::announce::{LINK_ALPN_PREFIX, link_alpn, slot};
use accord_identity::pairing::{self, EXPORTER_LABEL, Method, Output, Pairing, Purpose, Setup};
use accord_identity::{Identity, PairKey};
use accord_link::{LinkError, PAIR_ALPN, PairingStep};
use accord_model::{DeviceKind, Timestamp};
use common::{Home, connected, paired, until};
use iroh::endpoint::{Connection, presets};

fn homes<const N: usize>() -> ([tempfile::TempDir; N], [Home; N]) {
    let folders = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let homes = std::array::from_fn(|index| {
        let folder: &tempfile::TempDir = &folders[index];
        Home::start(folder.path(), ["Anna", "Ben", "Cleo"][index], None)
    });
    (folders, homes)
}

/// Where a connected device's link is on this machine, by IPv4.
fn link_of(home: &Home, peer: &accord_model::DeviceId) -> SocketAddr {
    let path: SocketAddr = home.device(peer).path.unwrap().address.parse().unwrap();
    SocketAddr::from(([127, 0, 0, 1], path.port()))
}

/// A TLS client that trusts everyone and writes down what keys it is shown.
#[derive(Debug, Default)]
struct Curious(Mutex<Vec<Vec<u8>>>);

impl rustls::client::danger::ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        shown: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        self.0.lock().unwrap().push(shown.to_vec());
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn own_key() -> Arc<rustls::sign::CertifiedKey> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let secret = rustls::pki_types::PrivatePkcs8KeyDer::from(pair.serialize_der());
    let key = rustls::crypto::ring::sign::any_eddsa_type(&secret).unwrap();
    let public = key.public_key().unwrap().to_vec();
    Arc::new(rustls::sign::CertifiedKey::new(vec![public.into()], key))
}

/// Every key that whoever listens at `address` shows to one who dials under `name`.
async fn keys_shown(address: SocketAddr, name: Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let curious = Arc::new(Curious::default());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(curious.clone())
        .with_client_cert_resolver(Arc::new(rustls::client::AlwaysResolvesClientRawPublicKeys::new(own_key())));
    tls.alpn_protocols = name.into_iter().collect();
    let quic = noq::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let endpoint = noq::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let dialled = endpoint.connect_with(noq::ClientConfig::new(Arc::new(quic)), address, "x.invalid").unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(3), dialled).await;
    curious.0.lock().unwrap().clone()
}

#[test]
fn a_stranger_never_learns_the_links_key() {
    let (_folders, [a, b]) = homes();
    let (b_at_a, _) = paired(&a, &b);
    let address = link_of(&a, &b_at_a);
    let (secret, listener) = (a.peers.get(&b_at_a).unwrap().pair_key, b.identity.transport_public());
    let now = slot(Timestamp::now());
    let names = [
        None,
        Some(b"accord/link/1".to_vec()),
        Some(LINK_ALPN_PREFIX.to_vec()),
        Some([LINK_ALPN_PREFIX, b"nobody"].concat()),
        Some(PAIR_ALPN.to_vec()),
        Some(b"h3".to_vec()),
        Some(link_alpn(&PairKey::random(), &listener, now)),
        Some(link_alpn(&secret, &a.identity.transport_public(), now)),
        Some(link_alpn(&secret, &listener, now - 5)),
    ];
    for name in names {
        let shown = name.as_deref().map(String::from_utf8_lossy).map(|name| name.into_owned());
        assert!(a.run(keys_shown(address, name)).is_empty(), "{shown:?}");
    }
    // The same client under the name that only the two can make: it would see a key if there were one to see.
    let seen = a.run(keys_shown(address, Some(link_alpn(&secret, &listener, now))));
    assert!(seen.iter().any(|shown| shown.ends_with(&listener)), "the name opens the door");
    a.echo(&b_at_a, "the paired one is still served").unwrap();
}

#[test]
fn what_a_stranger_reads_nearby_holds_no_port_and_no_key_of_the_link() {
    let (_folders, [a, b]) = homes();
    let (b_at_a, _) = paired(&a, &b);
    let link = link_of(&a, &b_at_a);
    let said = b.probe(b.link.status().addresses[0]);
    assert_ne!(said.pairing.unwrap().1, link.port());
    assert_ne!(said.pairing.unwrap().0, b.identity.transport_public());
    let text = said.strings().concat();
    let port = link.port().to_string();
    assert!(!text.windows(port.len()).any(|part| part == port.as_bytes()), "the port in plain text");
    let now = slot(Timestamp::now());
    let known = accord_identity::announce::recognise(&a.peers.list(), now, &said.id, &said.hints).map(|(_, port)| port);
    assert_eq!(known, Some(Some(link.port())), "a paired device reads it");
}

/// A stranger at the pairing door of `home`.
async fn at_the_door(home: &Home, door: SocketAddr) -> (iroh::Endpoint, Connection) {
    let (key, port) = home.probe(door).pairing.unwrap();
    let endpoint = endpoint(None, vec![]).await;
    let there = iroh::EndpointAddr::new(iroh::EndpointId::from_bytes(&key).unwrap())
        .with_ip_addr(SocketAddr::new(door.ip(), port));
    let connection = endpoint.connect(there, PAIR_ALPN).await.unwrap();
    (endpoint, connection)
}

async fn endpoint(secret: Option<[u8; 32]>, alpns: Vec<Vec<u8>>) -> iroh::Endpoint {
    let mut builder = iroh::Endpoint::builder(presets::Minimal)
        .relay_mode(iroh::RelayMode::Disabled)
        .alpns(alpns)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap();
    if let Some(secret) = secret {
        builder = builder.secret_key(iroh::SecretKey::from_bytes(&secret));
    }
    builder.bind().await.unwrap()
}

/// The first frame of a pairing on this connection, with its length in front.
fn hello(endpoint: &iroh::Endpoint, connection: &Connection) -> Vec<u8> {
    let mut exporter = [0; 32];
    connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"").unwrap();
    let setup = Setup {
        identity: Arc::new(Identity::generate()),
        name: "Stranger".into(),
        kind: DeviceKind::Phone,
        purpose: Purpose::Peer,
        method: Method::Code,
        own_transport: *endpoint.id().as_bytes(),
        peer_transport: *connection.remote_id().as_bytes(),
        exporter,
        paired_at: Timestamp::now(),
        until: None,
    };
    let mut run = Pairing::initiate(setup, Duration::ZERO);
    let Some(Output::Send(frame)) = run.poll() else { panic!("a hello") };
    assert!(pairing::is_hello(&frame));
    [(frame.len() as u32).to_be_bytes().to_vec(), frame].concat()
}

#[test]
fn strangers_who_say_nothing_keep_nobody_from_pairing() {
    let (_folders, [a, b]) = homes();
    let door = b.open_for_pairing();
    a.open_for_pairing();
    let silent: Vec<_> = (0..3)
        .map(|_| {
            b.run(async {
                let (endpoint, connection) = at_the_door(&b, door).await;
                let (mut send, recv) = connection.open_bi().await.unwrap();
                send.write_all(&[0]).await.unwrap();
                (endpoint, connection, send, recv)
            })
        })
        .collect();
    assert!(b.link.pairings().is_empty(), "a stranger who only connects is no pairing");
    let out = a.run(a.link.pair_address(door)).unwrap();
    let code = a.code(&out);
    assert_eq!(b.incoming().step, PairingStep::Compare(Some(code)));
    a.run(a.link.reject_pairing(&out)).unwrap();
    b.run(async {
        for (_, connection, ..) in &silent {
            tokio::time::timeout(Duration::from_secs(8), connection.closed()).await.expect("they are shown out");
        }
    });
}

#[test]
fn an_owner_who_pairs_goes_before_a_stranger_who_began() {
    let (_folders, [a, b]) = homes();
    let (to_a, door) = (a.open_for_pairing(), b.open_for_pairing());
    let _stranger = b.run(async {
        let (endpoint, connection) = at_the_door(&b, door).await;
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&hello(&endpoint, &connection)).await.unwrap();
        (endpoint, connection, send, recv)
    });
    let theirs = until(5, "the stranger's pairing", || b.link.pairings().into_iter().next());
    let own = b.run(b.link.pair_address(to_a)).unwrap();
    assert!(b.failed(&theirs.id).contains("another pairing was started"));
    assert_eq!(a.incoming().step, PairingStep::Compare(Some(b.code(&own))));
    b.run(b.link.confirm_pairing(&own, None)).unwrap();
    a.run(a.link.confirm_pairing(&a.incoming().id, None)).unwrap();
    b.done(&own);
}

#[test]
fn failures_of_strangers_do_not_freeze_the_owner() {
    let (_folders, [a, b]) = homes();
    let (to_a, door) = (a.open_for_pairing(), b.open_for_pairing());
    b.run(async {
        for _ in 0..6 {
            let (endpoint, connection) = at_the_door(&b, door).await;
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            send.write_all(&hello(&endpoint, &connection)).await.unwrap();
            let _ = tokio::time::timeout(Duration::from_secs(2), recv.read_chunk(64)).await;
            connection.close(0u32.into(), b"");
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    });
    let frozen = a.run(a.link.pair_address(door)).unwrap();
    assert!(a.failed(&frozen).contains("too many"), "others wait");
    let own = b.run(b.link.pair_address(to_a));
    assert!(!matches!(own, Err(LinkError::TooMany(_))), "{own:?}");
    b.code(&own.unwrap());
}

/// Says `bytes` on a stream of its own and waits until the other side has had enough; how long that took.
async fn say(connection: &Connection, bytes: &[u8], finish: bool) -> Duration {
    let start = Instant::now();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    if send.write_all(bytes).await.is_ok() && finish {
        let _ = send.finish();
    }
    let _ = tokio::time::timeout(Duration::from_secs(40), recv.read_to_end(1 << 22)).await.expect("an end");
    start.elapsed()
}

#[test]
fn a_paired_device_that_speaks_garbage_oversizes_or_stalls_harms_only_itself() {
    let (_folders, [a, b, c]) = homes();
    let (b_at_a, _) = paired(&a, &b);
    let (c_at_a, a_at_c) = paired(&a, &c);
    let link = b.peers.list()[0].clone();
    let address = link_of(&c, &a_at_c);
    let secret = *b.identity.transport_secret();
    b.kill();
    let name = link_alpn(&link.pair_key, &link.transport_key, slot(Timestamp::now()));
    let connect = || async {
        let rogue = endpoint(Some(secret), vec![]).await;
        let id = iroh::EndpointId::from_bytes(&link.transport_key).unwrap();
        let there = iroh::EndpointAddr::new(id).with_ip_addr(address);
        let connection = rogue.connect(there, &name).await.unwrap();
        (rogue, connection)
    };
    c.run(async {
        let (_rogue, connection) = connect().await;
        let framed = |body: &[u8]| [(body.len() as u32).to_be_bytes().to_vec(), body.to_vec()].concat();
        let deep = framed("[".repeat(100_000).as_bytes());
        let hello = [framed(b"{\"open\":\"hello\"}"), framed(b"{\"services\":7}")].concat();
        let moved = [framed(b"{\"open\":\"moved\"}"), framed(b"{\"key\":\"AAAA\"}")].concat();
        let long = framed(format!("{{\"open\":\"head\"}}{}", " ".repeat(20_000)).as_bytes());
        for bytes in [b"\xff\xff\xff\xff".to_vec(), framed(b"\0\xff{}"), deep, hello, moved, long, Vec::new()] {
            let took = say(&connection, &bytes, true).await;
            assert!(took < Duration::from_secs(5), "{took:?}: {:?}", &bytes[..bytes.len().min(40)]);
        }
        // As many as it is let, each stuck in the middle of a message.
        let stalls: Vec<_> = (0..100)
            .map(|_| {
                let connection = connection.clone();
                tokio::spawn(async move { say(&connection, b"\0\0\x10\0{", false).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        (stalls, _rogue, connection)
    });
    let start = Instant::now();
    a.echo(&c_at_a, "others are served meanwhile").unwrap();
    c.echo(&a_at_c, "both ways").unwrap();
    assert!(start.elapsed() < Duration::from_secs(3));
    let all = c.run(async {
        let (_rogue, connection) = connect().await;
        let start = Instant::now();
        say(&connection, b"\0\0\x10\0{", false).await;
        start.elapsed()
    });
    assert!(all < Duration::from_secs(15), "a stalled message is given up: {all:?}");
    assert_eq!(a.peers.list().len(), 2);
    connected(&a, &c_at_a);
    assert!(a.device(&b_at_a).paired);
}
