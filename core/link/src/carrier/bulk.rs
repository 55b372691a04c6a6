//! Opens and takes byte streams between paired devices: the request travels on the QUIC connection, the
//! bytes on the carrier that [`choice`](super::choice) picks. Either side may be the one that can dial the
//! other by TCP, so both try; the opener says which connection counts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accord_model::{CallError, Inputs, StreamClass, Target};
use accord_registry::{ByteStream, PathInfo};
use iroh::endpoint::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Carrier;
use super::choice::{Memory, PathKey};
use super::meter::{Meter, metered};
use super::quic::{QuicReader, QuicWriter};
use super::tls::{Door, TlsIdentity, TlsTcp, Token, knock};
use crate::account::Wire;
use crate::endpoint::{PathSnapshot, path_of};
use crate::frame::{self, FrameError, MAX_FRAME};
use crate::wire::{DoorPlan, Opening, Progress, StreamAnswer, Way};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The other side lets the opener dial first.
const HEAD_START: Duration = Duration::from_millis(60);
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// Both ends wait for this long without a byte: the carrier stalled.
const STALLED_AFTER: Duration = Duration::from_secs(6);
const SMALL: usize = 1024;

/// What all streams of this run share.
pub(crate) struct Bulk {
    identity: TlsIdentity,
    memory: Mutex<Memory>,
    live: Mutex<HashMap<Token, Arc<Meter>>>,
    last: Mutex<HashMap<[u8; 32], Carrier>>,
    only: Option<Carrier>,
}

/// What a stream belongs to.
pub(crate) struct Of {
    pub connection: Connection,
    /// Cancelled when the streams of this peer must end.
    pub cut: CancellationToken,
    /// Kept as long as the stream lives.
    pub guard: Arc<()>,
    /// Counts what TCP carries.
    pub wire: Arc<Wire>,
}

impl Bulk {
    /// `only` pins the carrier; for measurements and tests.
    pub(crate) fn new(only: Option<Carrier>) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            identity: TlsIdentity::new()?,
            memory: Mutex::default(),
            live: Mutex::default(),
            last: Mutex::default(),
            only,
        }))
    }

    /// What the last stream to or from this peer used.
    pub(crate) fn last_carrier(&self, peer: &[u8; 32]) -> Option<Carrier> {
        lock(&self.last).get(peer).copied()
    }

    /// Opens a stream to a service of the peer.
    pub(crate) async fn open(
        self: &Arc<Self>,
        of: Of,
        target: Target,
        inputs: Inputs,
        class: StreamClass,
    ) -> Result<ByteStream, CallError> {
        let path = path_of(&of.connection);
        let key = key_of(&of.connection, &path);
        let wish = match (&key, class, self.only) {
            (None, _, _) | (_, StreamClass::Interactive, _) => Carrier::Quic,
            (Some(_), StreamClass::Bulk, Some(only)) => only,
            (Some(key), StreamClass::Bulk, None) => lock(&self.memory).choose(key, Instant::now()),
        };
        let token = random_token().map_err(|error| CallError::Device(error.to_string()))?;
        let door = (wish == Carrier::Tls).then(|| door_for(&path)).flatten();
        let tls = (wish == Carrier::Tls)
            .then(|| DoorPlan::new(self.identity.certificate(), door.as_ref().map(Door::port), &token));
        let opened = tokio::time::timeout(ANSWER_WITHIN, of.connection.open_bi()).await;
        let (mut send, mut recv) = opened
            .map_err(|_| CallError::Deadline(ANSWER_WITHIN.as_secs()))?
            .map_err(|error| CallError::Unreachable(error.to_string()))?;
        let opening = Opening::Stream { target, inputs, class, tls };
        frame::write(&mut send, &opening, MAX_FRAME, ANSWER_WITHIN).await.map_err(broken)?;
        let answer: StreamAnswer = frame::read(&mut recv, MAX_FRAME, ANSWER_WITHIN).await.map_err(broken)?;
        match answer {
            StreamAnswer::Refused { error } => Err(error),
            StreamAnswer::Here => Ok(self.over_quic(of, send, recv, &path, key.filter(|_| class == StreamClass::Bulk))),
            StreamAnswer::Tls { plan } => {
                let raced = self.race(&plan, door, &path, &token, &of.wire).await;
                let way = raced.as_ref().map_or(Way::Here, |(_, way)| *way);
                frame::write(&mut send, &way, SMALL, ANSWER_WITHIN).await.map_err(broken)?;
                match raced {
                    Some((stream, _)) => Ok(self.over_tls(of, stream, &path, key, token)),
                    None => {
                        tracing::debug!(remote = ?path.remote, "no TCP to this peer now; QUIC carries");
                        if let Some(key) = &key {
                            lock(&self.memory).failed(key, Carrier::Tls, Instant::now());
                        }
                        Ok(self.over_quic(of, send, recv, &path, key))
                    }
                }
            }
        }
    }

    /// Takes a stream that the peer opens; the service was found already.
    pub(crate) async fn take(
        self: &Arc<Self>,
        of: Of,
        mut send: SendStream,
        mut recv: RecvStream,
        class: StreamClass,
        tls: Option<DoorPlan>,
    ) -> Result<ByteStream, FrameError> {
        let path = path_of(&of.connection);
        let key = key_of(&of.connection, &path).filter(|_| class == StreamClass::Bulk);
        let theirs = tls.and_then(|plan| Some((plan.certificate()?, plan.token()?, plan.port)));
        let Some((certificate, token, port)) =
            theirs.filter(|_| path.remote.is_some() && self.only != Some(Carrier::Quic))
        else {
            frame::write(&mut send, &StreamAnswer::Here, SMALL, ANSWER_WITHIN).await?;
            return Ok(self.over_quic(of, send, recv, &path, key));
        };
        let door = door_for(&path);
        let plan = DoorPlan::new(self.identity.certificate(), door.as_ref().map(Door::port), &token);
        let (admitted, knocked) = (self.clone(), self.clone());
        let (wire, other_wire) = (of.wire.clone(), of.wire.clone());
        let pin = certificate.clone();
        let within = tcp_deadline(&path) + ANSWER_WITHIN;
        let admitted = AbortOnDropHandle::new(tokio::spawn(async move {
            let door = door?;
            tokio::time::timeout(within, door.admit(&admitted.identity, &pin, &token, &wire)).await.ok()?.ok()
        }));
        let there = path.remote.zip(port).map(|(remote, port)| with_port(remote, port));
        let knock_within = tcp_deadline(&path);
        let knocked = AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(HEAD_START).await;
            knock(&[there?], &knocked.identity, &certificate, &token, knock_within, &other_wire).await.ok()
        }));
        frame::write(&mut send, &StreamAnswer::Tls { plan }, MAX_FRAME, ANSWER_WITHIN).await?;
        let way: Way = frame::read(&mut recv, SMALL, ANSWER_WITHIN).await?;
        let stream = match way {
            Way::Here => return Ok(self.over_quic(of, send, recv, &path, key)),
            Way::OpenerDialled => tokio::time::timeout(ANSWER_WITHIN, admitted).await,
            Way::OtherDialled => tokio::time::timeout(ANSWER_WITHIN, knocked).await,
        };
        match stream {
            Ok(Ok(Some(stream))) => Ok(self.over_tls(of, stream, &path, key, token)),
            _ => Err(FrameError::Malformed("the peer chose a TCP connection that does not exist".into())),
        }
    }

    /// Answers for [`Opening::Progress`].
    pub(crate) fn progress(&self, token: &str) -> Progress {
        use std::sync::atomic::Ordering::Relaxed;
        let token: Option<Token> =
            data_encoding::BASE64.decode(token.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let meter = token.and_then(|token| lock(&self.live).get(&token).cloned());
        meter.map_or(Progress { read: 0, waiting: false }, |meter| Progress {
            read: meter.read.load(Relaxed),
            waiting: meter.read_waits.load(Relaxed),
        })
    }

    async fn race(
        &self,
        theirs: &DoorPlan,
        door: Option<Door>,
        path: &PathSnapshot,
        token: &Token,
        wire: &Wire,
    ) -> Option<(TlsTcp, Way)> {
        let certificate = theirs.certificate()?;
        let there = path.remote.zip(theirs.port).map(|(remote, port)| with_port(remote, port));
        let within = tcp_deadline(path);
        let knocked = async {
            match there {
                Some(there) => knock(&[there], &self.identity, &certificate, token, within, wire).await.ok(),
                None => None,
            }
        };
        let admitted = async {
            let door = door.as_ref()?;
            tokio::time::timeout(within, door.admit(&self.identity, &certificate, token, wire)).await.ok()?.ok()
        };
        tokio::pin!(knocked, admitted);
        let (mut knock_over, mut admit_over) = (false, false);
        while !(knock_over && admit_over) {
            tokio::select! {
                stream = &mut knocked, if !knock_over => match stream {
                    Some(stream) => return Some((stream, Way::OpenerDialled)),
                    None => knock_over = true,
                },
                stream = &mut admitted, if !admit_over => match stream {
                    Some(stream) => return Some((stream, Way::OtherDialled)),
                    None => admit_over = true,
                },
            }
        }
        None
    }

    fn over_quic(
        self: &Arc<Self>,
        of: Of,
        send: SendStream,
        recv: RecvStream,
        path: &PathSnapshot,
        key: Option<PathKey>,
    ) -> ByteStream {
        let writer = QuicWriter::new(send, of.connection.clone());
        let reader = QuicReader::new(recv, of.connection.clone());
        self.stream(of, reader, writer, Carrier::Quic, path, key, None)
    }

    fn over_tls(
        self: &Arc<Self>,
        of: Of,
        mut stream: TlsTcp,
        path: &PathSnapshot,
        key: Option<PathKey>,
        token: Token,
    ) -> ByteStream {
        match &mut stream {
            TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER)),
            TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER)),
        }
        let socket = stream.get_ref().0.get_ref().as_fd().try_clone_to_owned().ok();
        let (reader, writer) = tokio::io::split(stream);
        self.stream(of, reader, writer, Carrier::Tls, path, key, Some((token, socket)))
    }

    #[allow(clippy::too_many_arguments)]
    fn stream(
        self: &Arc<Self>,
        of: Of,
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        carrier: Carrier,
        path: &PathSnapshot,
        key: Option<PathKey>,
        tls: Option<(Token, Option<OwnedFd>)>,
    ) -> ByteStream {
        let meter = Meter::new(&of.cut);
        if key.is_some() {
            lock(&self.last).insert(*of.connection.remote_id().as_bytes(), carrier);
        }
        let done = CancellationToken::new();
        let token = tls.as_ref().map(|(token, _)| *token);
        if let Some((token, socket)) = tls {
            lock(&self.live).insert(token, meter.clone());
            tokio::spawn(watch(of.connection.clone(), meter.clone(), token, done.clone()));
            let (meter, done) = (meter.clone(), done.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = meter.cut.cancelled() => hang_up(socket),
                    () = done.cancelled() => if !meter.is_finished() { hang_up(socket) },
                }
            });
        }
        let (bulk, ended, guard) = (self.clone(), meter.clone(), of.guard);
        let (reader, writer) = metered(reader, writer, &meter, move || {
            done.cancel();
            if let Some(token) = token {
                lock(&bulk.live).remove(&token);
            }
            if let Some(key) = &key {
                let mut memory = lock(&bulk.memory);
                if ended.carrier_failed() {
                    memory.failed(key, carrier, Instant::now());
                } else if let Some((bytes, busy)) = ended.measurement() {
                    memory.measured(key, carrier, bytes, busy, Instant::now());
                }
            }
            drop(guard);
        });
        let address = match (&path.remote, &path.relay) {
            (Some(remote), _) => remote.to_string(),
            (None, Some(relay)) => relay.clone(),
            (None, None) => String::new(),
        };
        ByteStream {
            reader: Box::new(reader),
            writer: Box::new(writer),
            path: PathInfo { address, carrier: carrier.as_str().to_owned(), encrypted: true },
        }
    }
}

/// How much one write hands to TLS at once.
const TLS_BUFFER: usize = 256 * 1024;

/// Breaks the connection under a stream whose holder may not look at it for a while. What the system took and has not
/// sent yet is thrown away, and the other side is told that the connection broke.
fn hang_up(socket: Option<OwnedFd>) {
    let Some(socket) = socket else { return };
    if rustix::net::connect_unspec(&socket).is_err() {
        let socket = socket2::SockRef::from(&socket);
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

/// Asks the other end, when our writes wait, whether it waits too; then nothing is on its way any more.
async fn watch(connection: Connection, meter: Arc<Meter>, token: Token, done: CancellationToken) {
    use std::sync::atomic::Ordering::Relaxed;
    let mut seen = (0, Instant::now());
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
        let written = meter.written.load(Relaxed);
        if written != seen.0 || !meter.write_waits.load(Relaxed) {
            seen = (written, Instant::now());
            continue;
        }
        if seen.1.elapsed() < STALLED_AFTER {
            continue;
        }
        let asked = async {
            let (mut send, mut recv) = connection.open_bi().await.ok()?;
            let opening = Opening::Progress { token: data_encoding::BASE64.encode(&token) };
            frame::write(&mut send, &opening, SMALL, ANSWER_WITHIN).await.ok()?;
            frame::read::<Progress, _>(&mut recv, SMALL, ANSWER_WITHIN).await.ok()
        };
        match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(Some(progress)) if progress.waiting && progress.read < written => {
                tracing::info!(written, read = progress.read, "a TCP path stopped carrying bytes");
                meter.stall();
                return;
            }
            _ => {}
        }
    }
}

fn key_of(connection: &Connection, path: &PathSnapshot) -> Option<PathKey> {
    let remote = path.remote?.ip();
    Some(PathKey { peer: *connection.remote_id().as_bytes(), local: path.local, remote })
}

/// Listens where the connection already goes; on all addresses of the family when that is not known.
fn door_for(path: &PathSnapshot) -> Option<Door> {
    let any: IpAddr = match path.remote?.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    path.local.and_then(|local| Door::open(local).ok()).or_else(|| Door::open(any).ok())
}

/// How long TCP may take to connect before QUIC carries: a few round trips, at most a second and a half.
fn tcp_deadline(path: &PathSnapshot) -> Duration {
    let rtt = path.rtt.unwrap_or(Duration::from_millis(50));
    (Duration::from_millis(300) + 6 * rtt).min(Duration::from_millis(1500))
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

fn random_token() -> Result<Token, getrandom::Error> {
    let mut token = Token::default();
    getrandom::fill(&mut token)?;
    Ok(token)
}

fn broken(error: FrameError) -> CallError {
    match error {
        FrameError::Deadline(within) => CallError::Deadline(within.as_secs()),
        error => CallError::Unreachable(error.to_string()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn what_the_system_took_and_did_not_send_is_thrown_away_when_a_stream_is_cut() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while let Ok(count) = near.write(&[7; 64 * 1024]) {
            taken += count;
        }
        let unsent = near.as_fd().try_clone_to_owned().unwrap();
        hang_up(Some(unsent));
        assert!(near.write(&[7]).is_err(), "nothing more is taken");
        let (mut got, mut buffer) = (0, vec![0; 64 * 1024]);
        let end = loop {
            match far.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => got += count,
                Err(error) => break Err(error.kind()),
            }
        };
        assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset), "a cut stream is no complete one");
        assert!(got < taken, "{got} of {taken}");
    }
}
