//! TLS 1.3 over TCP for bulk bytes. Both ends know each other's exact certificate beforehand: it was told
//! over the link's connection, which is bound to the paired keys. A one-time token inside the TLS channel
//! names the stream, so that a connection can neither be guessed nor used twice.
//!
//! Certificates are made anew in every run of the program and say nothing of the device.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use accord_ports::tls::{Judge, Judged};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use socket2::{SockRef, TcpKeepalive};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::account::{Sent, Wire};
use crate::endpoint::keys_for_tests;

/// Largest certificate a peer may tell us.
pub const MAX_CERTIFICATE: usize = 2048;
/// Names one stream.
pub type Token = [u8; 16];

/// The answer to a right token: in TLS 1.3 the dialler cannot tell by itself that it was let in.
const WELCOME: [u8; 1] = [1];
const HANDSHAKES_AT_ONCE: usize = 8;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// Unacknowledged for this long: the path is dead.
const DEAD_AFTER: Duration = Duration::from_secs(20);
/// Most bytes that wait unsent in the system; more are not taken.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 512 * 1024;

/// This run's certificate and key.
#[derive(Debug)]
pub struct TlsIdentity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl TlsIdentity {
    /// A fresh one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new() -> io::Result<Self> {
        let made = || -> Result<_, rcgen::Error> {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
            let mut params = rcgen::CertificateParams::new(Vec::new())?;
            params.distinguished_name = rcgen::DistinguishedName::new();
            let certificate = params.self_signed(&key)?;
            Ok((certificate.der().clone(), key.serialize_der()))
        };
        let (certificate, key) = made().map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(key).map_err(io::Error::other)?;
        Ok(Self { certificate, key, provider: Arc::new(accord_ports::tls::provider()) })
    }

    /// The certificate to tell the peer.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn server(&self, peer: &[u8]) -> io::Result<ServerConfig> {
        let pin = Arc::new(Judged(Exactly::new(peer, &self.provider)));
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_client_cert_verifier(pin)
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(io::Error::other)?;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        if keys_for_tests() {
            config.key_log = Arc::new(rustls::KeyLogFile::new());
        }
        Ok(config)
    }

    fn client(&self, peer: &[u8]) -> io::Result<ClientConfig> {
        let pin = Arc::new(Judged(Exactly::new(peer, &self.provider)));
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(pin)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(io::Error::other)?;
        config.resumption = rustls::client::Resumption::disabled();
        config.enable_sni = false;
        if keys_for_tests() {
            config.key_log = Arc::new(rustls::KeyLogFile::new());
        }
        Ok(config)
    }
}

/// A listener for one stream of one peer. Dropping it closes the port.
pub struct Door {
    listener: TcpListener,
    port: u16,
}

impl Door {
    /// Listens on `ip` (a free port).
    ///
    /// # Errors
    /// What the system says.
    pub fn open(ip: IpAddr) -> io::Result<Self> {
        let socket = if ip.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        faster_congestion_control(&SockRef::from(&socket));
        socket.bind(SocketAddr::new(ip, 0))?;
        let listener = socket.listen(HANDSHAKES_AT_ONCE as u32)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the peer that holds `peer`'s key and says `token`. Whoever else comes is dropped, at
    /// most eight at once and each within five seconds; the caller sets the overall deadline.
    ///
    /// # Errors
    /// When the listener breaks.
    pub(crate) async fn admit(&self, own: &TlsIdentity, peer: &[u8], token: &Token, wire: &Wire) -> io::Result<TlsTcp> {
        let acceptor = TlsAcceptor::from(Arc::new(own.server(peer)?));
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if handshakes.len() < HANDSHAKES_AT_ONCE => {
                    let (socket, from) = accepted?;
                    let socket = Tcp::new(socket, wire.socket(from));
                    let (acceptor, token) = (acceptor.clone(), *token);
                    handshakes.spawn(tokio::time::timeout(HANDSHAKE_WITHIN, async move {
                        prepare(socket.get_ref())?;
                        let mut stream = acceptor.accept(socket).await?;
                        let mut said = Token::default();
                        stream.read_exact(&mut said).await?;
                        if !bool::from(said.ct_eq(&token)) {
                            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
                        }
                        stream.write_all(&WELCOME).await?;
                        stream.flush().await?;
                        Ok(TlsStream::Server(stream))
                    }));
                }
                Some(done) = handshakes.join_next() => {
                    match done {
                        Ok(Ok(Ok(stream))) => return Ok(stream),
                        Ok(Ok(Err(error))) => tracing::debug!(%error, "someone at the bulk listener was turned away"),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Dials the peer's door; the first of `addresses` that connects is taken.
///
/// # Errors
/// The last failure, or `TimedOut`.
pub(crate) async fn knock(
    addresses: &[SocketAddr],
    own: &TlsIdentity,
    peer: &[u8],
    token: &Token,
    within: Duration,
    wire: &Wire,
) -> io::Result<TlsTcp> {
    let connector = TlsConnector::from(Arc::new(own.client(peer)?));
    let mut dials = JoinSet::new();
    for address in addresses.iter().take(HANDSHAKES_AT_ONCE) {
        let (address, connector, token, sent) = (*address, connector.clone(), *token, wire.socket(*address));
        dials.spawn(async move {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            faster_congestion_control(&SockRef::from(&socket));
            let socket = socket.connect(address).await?;
            prepare(&socket)?;
            let socket = Tcp::new(socket, sent);
            let name = ServerName::try_from("accord.invalid").map_err(io::Error::other)?;
            let mut stream = connector.connect(name, socket).await?;
            stream.write_all(&token).await?;
            stream.flush().await?;
            let mut answer = [0];
            stream.read_exact(&mut answer).await?;
            if answer != WELCOME {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            Ok::<_, io::Error>(TlsStream::Client(stream))
        });
    }
    let first = async {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        while let Some(done) = dials.join_next().await {
            match done {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(error) => last = io::Error::other(error),
            }
        }
        Err(last)
    };
    tokio::time::timeout(within, first).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A TCP connection that counts what the system took of it.
#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    sent: Arc<Sent>,
}

/// TLS over it.
pub(crate) type TlsTcp = TlsStream<Tcp>;

impl Tcp {
    fn new(stream: TcpStream, sent: Arc<Sent>) -> Self {
        Self { stream, sent }
    }
    /// The connection itself.
    pub(crate) fn get_ref(&self) -> &TcpStream {
        &self.stream
    }
    fn count(&self, taken: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &taken {
            self.sent.add(*bytes);
        }
        taken
    }
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(taken)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.count(taken)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// BBR where the kernel offers it: on a lossy Wi-Fi it moves many times what CUBIC does.
fn faster_congestion_control(socket: &SockRef<'_>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_congestion(b"bbr") {
        tracing::trace!(%error, "no BBR for this socket; the system's default stays");
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(3));
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(DEAD_AFTER))?;
        // What the system holds and has not sent is all that a withdrawal must get back.
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    Ok(())
}

/// Accepts exactly one certificate, whose key the other end must prove to hold.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Exactly {
    fn new(certificate: &[u8], provider: &CryptoProvider) -> Self {
        Self {
            certificate: CertificateDer::from(certificate.to_vec()),
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl Judge for Exactly {
    fn judge(&self, shown: &CertificateDer<'_>, more: &[CertificateDer<'_>], _: UnixTime) -> Result<(), rustls::Error> {
        if more.is_empty() && shown.as_ref() == self.certificate.as_ref() {
            return Ok(());
        }
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
    }
    fn proven(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        in_13: bool,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !in_13 {
            return Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic));
        }
        verify_tls13_signature(message, shown, signed, &self.algorithms)
    }
    fn schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const SECOND: Duration = Duration::from_secs(1);

    async fn pair(alice: &TlsIdentity, bob: &TlsIdentity, pin: &[u8], token: Token) -> (bool, bool) {
        let door = Door::open(Ipv4Addr::LOCALHOST.into()).unwrap();
        let there = [SocketAddr::new(Ipv4Addr::LOCALHOST.into(), door.port())];
        let wire = Wire::default();
        let (admitted, knocked) = tokio::join!(
            tokio::time::timeout(SECOND, door.admit(bob, pin, &[7; 16], &wire)),
            knock(&there, alice, bob.certificate(), &token, SECOND, &wire),
        );
        (matches!(admitted, Ok(Ok(_))), knocked.is_ok())
    }

    #[tokio::test]
    async fn only_the_pinned_peer_with_the_token_comes_in() {
        let (alice, bob, eve) = (TlsIdentity::new().unwrap(), TlsIdentity::new().unwrap(), TlsIdentity::new().unwrap());
        assert_eq!(pair(&alice, &bob, alice.certificate(), [7; 16]).await, (true, true));
        assert_eq!(pair(&eve, &bob, alice.certificate(), [7; 16]).await, (false, false), "another key");
        assert_eq!(pair(&alice, &bob, alice.certificate(), [8; 16]).await, (false, false), "another token");
    }

    #[tokio::test]
    async fn a_stranger_behind_the_door_is_not_talked_to() {
        let (alice, bob, eve) = (TlsIdentity::new().unwrap(), TlsIdentity::new().unwrap(), TlsIdentity::new().unwrap());
        let door = Door::open(Ipv4Addr::LOCALHOST.into()).unwrap();
        let there = [SocketAddr::new(Ipv4Addr::LOCALHOST.into(), door.port())];
        let token = [7; 16];
        let wire = Wire::default();
        let knocked = knock(&there, &alice, bob.certificate(), &token, SECOND, &wire);
        let admitted = door.admit(&eve, alice.certificate(), &token, &wire);
        tokio::select! {
            knocked = knocked => assert!(knocked.is_err()),
            admitted = admitted => panic!("{admitted:?}"),
        }
    }

    #[tokio::test]
    async fn garbage_and_silence_at_the_door_keep_nobody_out() {
        let (alice, bob) = (TlsIdentity::new().unwrap(), TlsIdentity::new().unwrap());
        let door = Door::open(Ipv4Addr::LOCALHOST.into()).unwrap();
        let there = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), door.port());
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(TcpStream::connect(there).await.unwrap());
        }
        let mut garbage = TcpStream::connect(there).await.unwrap();
        garbage.write_all(&[0x5a; 4096]).await.unwrap();
        let doors = [there];
        let wire = Wire::default();
        let (admitted, knocked) = tokio::join!(
            tokio::time::timeout(SECOND, door.admit(&bob, alice.certificate(), &[7; 16], &wire)),
            knock(&doors, &alice, bob.certificate(), &[7; 16], SECOND, &wire),
        );
        let (mut a, mut b) = (knocked.unwrap(), admitted.unwrap().unwrap());
        a.write_all(b"hello").await.unwrap();
        a.flush().await.unwrap();
        let mut got = [0; 5];
        b.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
    }
}
