//! The bytes of one connection: plain, or TLS inside.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, Write};
use std::sync::Arc;

use accord_model::{FieldCode, FieldSet};
use rustls::pki_types::{IpAddr as TlsAddress, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::certificate::{CertificateFault, Fingerprint, fault_of};

/// Most spare buffers kept for reuse.
const SPARE: usize = 4;
/// First byte of a TLS connection: a handshake record.
const HANDSHAKE: u8 = 0x16;

/// Bytes for the other end, and which kinds of personal data are in them.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// To be written wholly and in order.
    pub bytes: Vec<u8>,
    /// What was really put in; empty for framing.
    pub fields: FieldSet,
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmit").field("length", &self.bytes.len()).field("fields", &self.fields).finish()
    }
}

/// Why the bytes make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The peer's certificate is not accepted.
    #[error("{0}")]
    Certificate(#[from] CertificateFault),
    /// TLS failed.
    #[error("the encrypted connection failed: {0}")]
    Tls(String),
}

/// Buffers that go round, so that a long transfer allocates nothing.
#[derive(Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    pub(crate) fn take(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.0.pop().unwrap_or_default();
        buffer.reserve(capacity);
        buffer
    }
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < SPARE && buffer.capacity() > 0 {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

pub(crate) struct Wire {
    kind: Kind,
    pub(crate) spare: Spare,
    /// Personal data handed to TLS and not yet on its way.
    inside: FieldSet,
    is_client: bool,
    shown: bool,
}

enum Kind {
    /// A server that does not know yet which it is.
    Sniffing(Arc<ServerConfig>),
    Plain(VecDeque<Transmit>),
    Tls(Box<Connection>),
    /// TLS failed; nothing more goes in.
    Failed(Box<Connection>),
}

impl Wire {
    /// A connection that came in: TLS when its first byte says so and there is a certificate.
    pub(crate) fn server(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::of(tls.map_or_else(|| Kind::Plain(VecDeque::new()), Kind::Sniffing), false)
    }

    /// A connection that we made.
    pub(crate) fn client(tls: Option<Arc<ClientConfig>>) -> Result<Self, WireError> {
        let Some(config) = tls else { return Ok(Self::of(Kind::Plain(VecDeque::new()), true)) };
        let nobody = ServerName::IpAddress(TlsAddress::from(std::net::IpAddr::from([0, 0, 0, 0])));
        let mut tls = ClientConnection::new(config, nobody).map_err(tls_error)?;
        tls.set_buffer_limit(None);
        Ok(Self::of(Kind::Tls(Box::new(tls.into())), true))
    }

    fn of(kind: Kind, is_client: bool) -> Self {
        Self { kind, spare: Spare::default(), inside: FieldSet::EMPTY, is_client, shown: false }
    }

    /// Takes bytes from the other end and gives what was in them, in pieces. `Ok(true)`: it will send nothing more.
    pub(crate) fn receive(&mut self, mut bytes: &[u8], mut plain: impl FnMut(&[u8])) -> Result<bool, WireError> {
        if let (Kind::Sniffing(config), Some(first)) = (&self.kind, bytes.first()) {
            self.kind = match *first {
                HANDSHAKE => {
                    let mut tls = ServerConnection::new(config.clone()).map_err(tls_error)?;
                    tls.set_buffer_limit(None);
                    Kind::Tls(Box::new(tls.into()))
                }
                _ => Kind::Plain(VecDeque::new()),
            };
        }
        let tls = match &mut self.kind {
            Kind::Tls(tls) => tls,
            Kind::Plain(_) => {
                plain(bytes);
                return Ok(false);
            }
            Kind::Sniffing(_) | Kind::Failed(_) => return Ok(false),
        };
        let mut closed = false;
        while !bytes.is_empty() && !closed {
            let step = tls.read_tls(&mut bytes).map_err(|error| WireError::Tls(error.to_string()));
            let state = step.and_then(|_| tls.process_new_packets().map_err(tls_error));
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.fail();
                    return Err(error);
                }
            };
            closed = state.peer_has_closed();
            let mut reader = tls.reader();
            while let Ok(piece) = reader.fill_buf() {
                let length = piece.len();
                if length == 0 {
                    break;
                }
                plain(piece);
                reader.consume(length);
            }
        }
        Ok(closed)
    }

    /// Puts plain bytes on their way.
    pub(crate) fn send(&mut self, plain: Vec<u8>, fields: FieldSet) {
        match &mut self.kind {
            Kind::Plain(out) => out.push_back(Transmit { bytes: plain, fields }),
            Kind::Tls(tls) => {
                self.inside = self.inside.union(fields);
                tls.writer().write_all(&plain).expect("a TLS writer without a limit takes everything");
                self.spare.give(plain);
            }
            Kind::Sniffing(_) | Kind::Failed(_) => {}
        }
    }

    /// What is to be written to the socket.
    pub(crate) fn transmit(&mut self) -> Option<Transmit> {
        let tls = match &mut self.kind {
            Kind::Plain(out) => return out.pop_front(),
            Kind::Tls(tls) | Kind::Failed(tls) => tls,
            Kind::Sniffing(_) => return None,
        };
        if !tls.wants_write() {
            return None;
        }
        let mut bytes = self.spare.take(0);
        while tls.wants_write() {
            tls.write_tls(&mut bytes).expect("a vector takes everything");
        }
        // A client's first flight holds no certificate, a server's does.
        let mut fields = FieldSet::EMPTY;
        let is_client_hello = self.is_client && bytes.get(5) == Some(&1);
        if !self.shown && !is_client_hello {
            self.shown = !tls.is_handshaking();
            fields = FieldSet::one(FieldCode::KeyPublic);
        }
        if !tls.is_handshaking() {
            fields = fields.union(std::mem::take(&mut self.inside));
        }
        Some(Transmit { bytes, fields })
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close(&mut self) {
        if let Kind::Tls(tls) = &mut self.kind {
            tls.send_close_notify();
        }
    }

    fn fail(&mut self) {
        let kind = std::mem::replace(&mut self.kind, Kind::Plain(VecDeque::new()));
        self.kind = match kind {
            Kind::Tls(tls) => Kind::Failed(tls),
            other => other,
        };
    }

    /// Whether the two ends still agree on keys.
    pub(crate) fn is_handshaking(&self) -> bool {
        match &self.kind {
            Kind::Tls(tls) => tls.is_handshaking(),
            Kind::Sniffing(_) => true,
            Kind::Plain(_) | Kind::Failed(_) => false,
        }
    }

    /// Whether others on the network can read along.
    pub(crate) fn is_encrypted(&self) -> bool {
        !matches!(self.kind, Kind::Plain(_))
    }

    /// The certificate that the other end proved to own, once the handshake is over.
    pub(crate) fn certificate(&self) -> Option<Fingerprint> {
        match &self.kind {
            Kind::Tls(tls) if !tls.is_handshaking() => {
                tls.peer_certificates().and_then(|chain| chain.first()).map(|der| Fingerprint::of(der))
            }
            _ => None,
        }
    }
}

fn tls_error(error: rustls::Error) -> WireError {
    match fault_of(&error) {
        Some(fault) => WireError::Certificate(fault),
        None => WireError::Tls(error.to_string()),
    }
}
