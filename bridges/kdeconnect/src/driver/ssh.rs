//! SSH to a phone: the stream goes through the outlet, under the consent for the device; who is at the other end is proven by
//! the key of the pairing.
//!
//! What the app offers (its sources, 2018 to 2026): its host key is the key of its KDE Connect certificate, RSA or EC P-256,
//! since 2018-08; signatures are `ssh-rsa` alone until 2023-10; key exchange is `diffie-hellman-group14-sha1` alone in the
//! oldest, and what Apache MINA has by default in the newest. It takes the password that it said on the link.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet::{self, Dialed};
use accord_model::{CallError, FieldCode, FieldSet, text::for_screen};
use russh::client::{self, AuthResult, ChannelOpenHandle, Msg, Session};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelStream, Preferred, SshId, cipher, compression, kex, mac};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};
use x509_parser::public_key::PublicKey;

use super::law::seal;
use super::payload::Context;
use crate::core::link::Transmit;
use crate::core::{Private, certificate::PeerCertificate};

/// How long the handshake may take, and each step after it.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(15);
const STEP_WITHIN: Duration = Duration::from_secs(10);
const OTHER_KEY: &str = "its file server shows another key than the device that you paired, so nothing was told to it. If the \
                         app was installed anew, unpair and pair again";
/// Bytes between the socket and the protocol.
const UNDER_WAY: usize = 256 * 1024;
/// Bytes that the phone may send on one channel before we ask for more.
const CHANNEL: u32 = 1 << 20;

/// A connection that is authenticated, both ways.
pub(super) struct Ssh {
    handle: client::Handle<Checks>,
    stopped: CancellationToken,
    _carries: AbortOnDropHandle<()>,
}

impl Ssh {
    /// Connects, checks that it is the paired device, and logs in. `None`: it does not take the password.
    pub async fn connect(
        ctx: &Context,
        to: SocketAddr,
        user: &str,
        password: &Private,
    ) -> Result<Option<Self>, CallError> {
        let permit = ctx.law.connection(&ctx.device, "on.use");
        let permit = permit.map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let dialed = outlet::dial_tcp(permit, to).await;
        let mut dialed = dialed.map_err(|error| CallError::Unreachable(error.to_string()))?;
        // What is asked for is in the ledger already, under the feature's entry.
        dialed.outflow.note_digest(None);
        let stopped = dialed.outflow.cancelled();
        let (ours, theirs) = tokio::io::duplex(UNDER_WAY);
        let carries = AbortOnDropHandle::new(tokio::spawn(carry(dialed, theirs)));
        let key = HostKey::of(&ctx.certificate)?;
        let handle = match login(ours, key, user, password).await {
            Err(_) if stopped.is_cancelled() => return Err(withdrawn()),
            outcome => outcome?,
        };
        Ok(handle.map(|handle| Self { handle, stopped, _carries: carries }))
    }

    /// A channel on which SFTP is spoken.
    pub async fn sftp(&self) -> Result<ChannelStream<Msg>, CallError> {
        let opened = within(self.handle.channel_open_session()).await?;
        let mut channel = opened.map_err(|error| in_words("its file server opens no channel", &error))?;
        let asked = within(channel.request_subsystem(true, "sftp")).await?;
        asked.map_err(|error| in_words("its file server has no SFTP", &error))?;
        loop {
            match within(channel.wait()).await? {
                Some(ChannelMsg::Success) => return Ok(channel.into_stream()),
                // The window may be set first.
                Some(ChannelMsg::WindowAdjusted { .. }) => {}
                _ => return Err(CallError::Device("its file server has no SFTP".into())),
            }
        }
    }

    pub fn is_open(&self) -> bool {
        !self.handle.is_closed() && !self.stopped.is_cancelled()
    }

    /// Cancelled once the consent for the device ends.
    pub fn stopped(&self) -> CancellationToken {
        self.stopped.clone()
    }
}

/// Proves to us that the holder of `key` is at the other end of `stream`, and then to it that we are let in.
async fn login(
    stream: DuplexStream,
    key: HostKey,
    user: &str,
    password: &Private,
) -> Result<Option<client::Handle<Checks>>, CallError> {
    let config = Arc::new(config(&key));
    let is_other = CancellationToken::new();
    let checks = Checks { key, is_other: is_other.clone() };
    let connected = tokio::time::timeout(HANDSHAKE_WITHIN, client::connect_stream(config, stream, checks)).await;
    let mut handle = match connected {
        Err(_) => return Err(CallError::Deadline(HANDSHAKE_WITHIN.as_secs())),
        Ok(Err(_)) if is_other.is_cancelled() => return Err(CallError::Refused(OTHER_KEY.into())),
        Ok(Err(error)) => return Err(in_words("its file server does not connect", &error)),
        Ok(Ok(handle)) => handle,
    };
    let login = handle.authenticate_password(user, password.as_str());
    match within(login).await? {
        Ok(AuthResult::Success) => Ok(Some(handle)),
        Ok(AuthResult::Failure { .. }) if handle.is_closed() => {
            Err(CallError::Device("its file server closed the connection".into()))
        }
        Ok(AuthResult::Failure { .. }) => Ok(None),
        Err(error) => Err(in_words("its file server does not let us in", &error)),
    }
}

pub(super) fn withdrawn() -> CallError {
    CallError::NotConsented("you no longer agree to be connected with this device".into())
}

async fn within<T>(step: impl Future<Output = T>) -> Result<T, CallError> {
    tokio::time::timeout(STEP_WITHIN, step).await.map_err(|_| CallError::Deadline(STEP_WITHIN.as_secs()))
}

fn in_words(what: &str, error: &russh::Error) -> CallError {
    CallError::Device(format!("{what} ({})", for_screen(&error.to_string(), 200)))
}

/// Carries bytes between the outlet and the protocol, both ways, until one end is over.
async fn carry(dialed: Dialed, protocol: DuplexStream) {
    let Dialed { reader, mut outflow, .. } = dialed;
    let (from, to) = tokio::io::split(protocol);
    let stopped = outflow.cancelled();
    let outcome = tokio::select! {
        biased;
        () = stopped.cancelled() => Err("the consent ended".to_owned()),
        sent = send(from, &mut outflow) => sent,
        () = receive(reader, to) => Ok(()),
    };
    match outcome {
        Ok(()) => drop(outflow.finish().await),
        Err(error) => outflow.fail(error).await,
    }
}

/// What is inside of SSH, nobody here can see: it may always be the name of what is looked for.
async fn send<W: tokio::io::AsyncWrite + Unpin + Send>(
    mut from: ReadHalf<DuplexStream>,
    outflow: &mut accord_consent::Outflow<W>,
) -> Result<(), String> {
    let fields = FieldSet::one(FieldCode::FileName);
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(length) => length,
        };
        let bytes = buffer[..length].to_vec();
        outflow.put(&seal(Transmit { bytes, fields })).await.map_err(|error| error.to_string())?;
        outflow.flush().await.map_err(|error| error.to_string())?;
    }
}

async fn receive(mut reader: impl tokio::io::AsyncRead + Unpin, mut to: WriteHalf<DuplexStream>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// The public key of the pairing, as SSH has it.
#[derive(Debug, PartialEq, Eq)]
enum HostKey {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point (SEC 1, 2.3.3).
    Ec(Vec<u8>),
}

impl HostKey {
    fn of(certificate: &PeerCertificate) -> Result<Self, CallError> {
        let read = SubjectPublicKeyInfo::from_der(certificate.spki());
        match read.as_ref().ok().and_then(|(_, key)| key.parsed().ok()) {
            Some(PublicKey::RSA(key)) => Ok(Self::Rsa { modulus: whole(key.modulus), exponent: whole(key.exponent) }),
            Some(PublicKey::EC(point)) => Ok(Self::Ec(point.data().to_vec())),
            _ => Err(CallError::Unsupported("files on a device with a key of this kind cannot be looked at".into())),
        }
    }

    fn is(&self, shown: &PublicKeyOrCertificate) -> bool {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return false };
        match (self, key.key_data()) {
            (Self::Rsa { modulus, exponent }, KeyData::Rsa(shown)) => {
                let same = |ours: &[u8], theirs: Option<&[u8]>| theirs.is_some_and(|theirs| whole(theirs) == ours);
                same(modulus, shown.n().as_positive_bytes()) && same(exponent, shown.e().as_positive_bytes())
            }
            (Self::Ec(point), KeyData::Ecdsa(shown)) => shown.as_sec1_bytes() == point,
            _ => false,
        }
    }

    /// Signatures that such a key makes, the best first.
    fn algorithms(&self) -> Vec<Algorithm> {
        match self {
            Self::Rsa { .. } => {
                [Some(HashAlg::Sha512), Some(HashAlg::Sha256), None].map(|hash| Algorithm::Rsa { hash }).into()
            }
            Self::Ec(_) => [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521]
                .map(|curve| Algorithm::Ecdsa { curve })
                .into(),
        }
    }
}

/// A positive number without zeros in front.
fn whole(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// With what old apps have, in last place. That the key is known before keeps an attacker from choosing it.
fn config(key: &HostKey) -> client::Config {
    let preferred = Preferred {
        kex: Cow::Borrowed(&[
            kex::MLKEM768X25519_SHA256,
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::ECDH_SHA2_NISTP256,
            kex::ECDH_SHA2_NISTP384,
            kex::ECDH_SHA2_NISTP521,
            kex::DH_G16_SHA512,
            kex::DH_G14_SHA256,
            kex::DH_G14_SHA1,
            kex::EXTENSION_SUPPORT_AS_CLIENT,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
        ]),
        key: key.algorithms().into(),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(&[
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_GCM,
            cipher::AES_128_GCM,
            cipher::AES_256_CTR,
            cipher::AES_192_CTR,
            cipher::AES_128_CTR,
        ]),
        mac: Cow::Borrowed(&[
            mac::HMAC_SHA512_ETM,
            mac::HMAC_SHA256_ETM,
            mac::HMAC_SHA512,
            mac::HMAC_SHA256,
            mac::HMAC_SHA1,
        ]),
        compression: Cow::Borrowed(&[compression::NONE]),
    };
    client::Config {
        // The name of the program, and nothing of this machine.
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Accord")),
        window_size: CHANNEL,
        channel_buffer_size: 64,
        keepalive_interval: Some(Duration::from_secs(30)),
        preferred,
        ..client::Config::default()
    }
}

/// What the server may do here: show the one key, and nothing else.
struct Checks {
    key: HostKey,
    is_other: CancellationToken,
}

impl client::Handler for Checks {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let same = self.key.is(shown);
        if !same {
            self.is_other.cancel();
        }
        Ok(same)
    }
    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use russh::keys::{PrivateKey, decode_secret_key};
    use russh::server::{self, Auth};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use tokio::io::AsyncReadExt;

    use super::*;

    const PHONE: (&str, &str) =
        (include_str!("../../tests/fixtures/phone-v1.cert.pem"), include_str!("../../tests/fixtures/phone-v1.key.pem"));
    const NEWER: (&str, &str) = (
        include_str!("../../tests/fixtures/desktop-25.cert.pem"),
        include_str!("../../tests/fixtures/desktop-25.key.pem"),
    );

    fn pinned(certificate: &str) -> HostKey {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        HostKey::of(&PeerCertificate::parse(&der).unwrap()).unwrap()
    }

    fn private(key: &str) -> PrivateKey {
        decode_secret_key(key, None).unwrap()
    }

    /// A phone's file server: one password, and a subsystem that says `hello`.
    #[derive(Clone, Default)]
    struct Phone {
        tried: Arc<Mutex<Vec<String>>>,
        channels: Arc<Mutex<HashMap<russh::ChannelId, Channel<server::Msg>>>>,
    }

    impl server::Handler for Phone {
        type Error = russh::Error;
        async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
            self.tried.lock().unwrap().push(format!("{user}:{password}"));
            Ok(if password == "right" { Auth::Accept } else { Auth::reject() })
        }
        async fn channel_open_session(
            &mut self,
            channel: Channel<server::Msg>,
            reply: server::ChannelOpenHandle,
            _: &mut server::Session,
        ) -> Result<(), russh::Error> {
            self.channels.lock().unwrap().insert(channel.id(), channel);
            reply.accept().await;
            Ok(())
        }
        async fn subsystem_request(
            &mut self,
            channel: russh::ChannelId,
            name: &str,
            session: &mut server::Session,
        ) -> Result<(), russh::Error> {
            assert_eq!(name, "sftp");
            session.channel_success(channel)?;
            session.data(channel, b"hello".to_vec())?;
            Ok(())
        }
    }

    /// The server runs until the test ends.
    fn serve(key: &str, preferred: Preferred) -> (DuplexStream, Phone) {
        let (ours, theirs) = tokio::io::duplex(UNDER_WAY);
        let config = server::Config {
            keys: vec![private(key)],
            preferred,
            auth_rejection_time: Duration::from_millis(10),
            ..server::Config::default()
        };
        let phone = Phone::default();
        let handler = phone.clone();
        tokio::spawn(async move {
            if let Ok(running) = server::run_stream(Arc::new(config), theirs, handler).await {
                let _ = running.await;
            }
        });
        (ours, phone)
    }

    /// What the app had from 2018 to 2020: Apache MINA 0.14 with one key exchange.
    fn oldest() -> Preferred {
        Preferred {
            kex: Cow::Borrowed(&[kex::DH_G14_SHA1]),
            key: Cow::Borrowed(&[Algorithm::Rsa { hash: None }]),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(&[cipher::AES_128_CTR]),
            mac: Cow::Borrowed(&[mac::HMAC_SHA1]),
            compression: Cow::Borrowed(&[compression::NONE]),
        }
    }

    #[test]
    fn a_certificate_and_the_key_that_it_is_for_are_known_as_one() {
        let shown =
            |key: &str| PublicKeyOrCertificate::PublicKey { key: private(key).public_key().clone(), hash_alg: None };
        for (certificate, key) in [PHONE, NEWER] {
            assert!(pinned(certificate).is(&shown(key)));
        }
        assert!(!pinned(PHONE.0).is(&shown(NEWER.1)) && !pinned(NEWER.0).is(&shown(PHONE.1)));
        let desktop = include_str!("../../tests/fixtures/desktop-22.12.key.pem");
        assert!(!pinned(PHONE.0).is(&shown(desktop)), "another RSA key");
    }

    #[tokio::test]
    async fn the_oldest_and_the_newest_apps_let_us_in_with_the_password() {
        for ((certificate, key), preferred) in
            [(PHONE, oldest()), (PHONE, Preferred::DEFAULT), (NEWER, Preferred::DEFAULT)]
        {
            let (stream, phone) = serve(key, preferred);
            let handle = login(stream, pinned(certificate), "kdeconnect", &"right".into()).await.unwrap().unwrap();
            assert_eq!(*phone.tried.lock().unwrap(), ["kdeconnect:right"]);
            let channel = handle.channel_open_session().await.unwrap();
            channel.request_subsystem(false, "sftp").await.unwrap();
            let mut said = [0; 5];
            channel.into_stream().read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"hello");
        }
    }

    #[tokio::test]
    async fn whoever_shows_another_key_is_told_no_password() {
        for (pin, shown) in [(PHONE, NEWER), (NEWER, PHONE)] {
            let (stream, phone) = serve(shown.1, Preferred::DEFAULT);
            assert!(login(stream, pinned(pin.0), "kdeconnect", &"right".into()).await.is_err());
            assert!(phone.tried.lock().unwrap().is_empty());
        }
        // Of the same kind, so that the two agree on how to sign.
        let desktop = include_str!("../../tests/fixtures/desktop-22.12.key.pem");
        let (stream, phone) = serve(desktop, Preferred::DEFAULT);
        let refused = login(stream, pinned(PHONE.0), "kdeconnect", &"right".into()).await.err();
        assert!(matches!(&refused, Some(CallError::Refused(why)) if why.contains("another key")), "{refused:?}");
        assert!(phone.tried.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_password_that_is_not_taken_is_no_error_yet() {
        let (stream, phone) = serve(PHONE.1, Preferred::DEFAULT);
        assert!(login(stream, pinned(PHONE.0), "kdeconnect", &"wrong".into()).await.unwrap().is_none());
        assert_eq!(phone.tried.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_or_nonsense_is_given_up() {
        let (stream, _silent) = tokio::io::duplex(UNDER_WAY);
        let outcome = login(stream, pinned(PHONE.0), "kdeconnect", &"right".into()).await.err();
        assert_eq!(outcome, Some(CallError::Deadline(15)));
        let (stream, mut chatter) = tokio::io::duplex(UNDER_WAY);
        chatter.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        drop(chatter);
        let outcome = login(stream, pinned(PHONE.0), "kdeconnect", &"right".into()).await.err();
        assert!(matches!(outcome, Some(CallError::Device(_))), "{outcome:?}");
    }
}
