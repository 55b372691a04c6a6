//! One connection to one peer, from its first byte to its last.
//!
//! ```text
//! A: datagram (tcpPort)  ->  B
//! B: connects to A; clear identity line (Role::Connected)
//! A: reads that one line (Role::Accepted); the next byte is TLS
//! TLS: A is the client, B the server: the reverse of TCP
//! version 8: both write their identity again inside TLS and check the other's
//! then packets, one per line, both ways
//! ```
//!
//! Feed [`Link::handle`] with bytes and time; ask [`Link::poll_output`] until it says [`Output::Wait`].

mod machine;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_model::FieldSet;

use super::certificate::{CertificateError, OwnCertificate, PeerCertificate};
use super::id::KdeId;
use super::identity::{Identity, IdentityError, OwnIdentity, Shown, Version};
use super::packet::{Ignored, Packet};
use super::pairing;
use super::tls::TlsError;
pub use machine::Link;
pub use table::{LinkNo, Links, Live, Refusal};

/// How long a connection may take until it is up.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// Who we are to peers.
#[derive(Debug)]
pub struct Own {
    identity: OwnIdentity,
    certificate: OwnCertificate,
}

impl Own {
    /// With a certificate made for the identity's id.
    ///
    /// # Errors
    /// [`CertificateError::Own`] when it is for another id.
    pub fn new(identity: OwnIdentity, certificate: OwnCertificate) -> Result<Self, CertificateError> {
        if identity.id != *certificate.id() {
            return Err(CertificateError::Own(format!("it is for the id `{}`", certificate.id())));
        }
        Ok(Self { identity, certificate })
    }
    /// What we say we are.
    pub fn identity(&self) -> &OwnIdentity {
        &self.identity
    }
    /// How we prove it.
    pub fn certificate(&self) -> &OwnCertificate {
        &self.certificate
    }
}

/// What is stored of a paired peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The certificate it was paired with.
    pub certificate: PeerCertificate,
    /// The highest version it ever spoke; it may not offer less.
    pub highest: Version,
}

/// The paired peers.
pub type Trust = BTreeMap<KdeId, Trusted>;

/// Which side of the TCP connection this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The peer connected to us.
    Accepted,
    /// We connected to the sender of this identity.
    Connected(Box<Identity>),
}

/// What a link needs to know.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Who we are.
    pub own: Arc<Own>,
    /// Whom we trust, as of now.
    pub trust: Arc<Trust>,
    /// The oldest version the owner allows.
    pub oldest: Version,
    /// What our identity in clear shows to version 8 peers; version 7 peers always see all of it.
    pub shown: Shown,
    /// Which side we are.
    pub role: Role,
}

/// What goes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// From the wire, in any portions.
    Bytes(&'a [u8]),
    /// The wire is closed.
    Closed,
    /// The time that [`Output::Wait`] named has come.
    Timeout,
    /// The owner's word on pairing.
    Pair(pairing::Command),
    /// Close it.
    Close,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one at a time, and consumed at once
pub enum Output {
    /// Send these bytes.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// Nothing more for now; come back at this time (if any) or with new input.
    Wait(Option<Instant>),
}

/// Bytes for the wire, and which data of ours is in them.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// To be sent as they are.
    pub bytes: Vec<u8>,
    /// What they reveal to the peer.
    pub fields: FieldSet,
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transmit({} bytes, {:?})", self.bytes.len(), self.fields)
    }
}

/// What happened.
#[derive(Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // one at a time, and consumed at once
pub enum Event {
    /// The peer is who it says it is, and packets may flow.
    Up(Up),
    /// A packet of a paired peer.
    Packet(Packet),
    /// Pairing went on.
    Pairing(pairing::Event),
    /// A line was passed over.
    Ignored(Ignored),
    /// Over: send what is left, then close the socket.
    Ended(End),
}

/// A link that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Up {
    /// What the peer says it is; from inside TLS with version 8.
    pub identity: Identity,
    /// What it proved.
    pub certificate: PeerCertificate,
    /// What is spoken.
    pub version: Version,
    /// Whether it is paired.
    pub paired: bool,
}

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// We closed it.
    ByUs,
    /// The peer closed it.
    ByPeer,
    /// It broke.
    Failed(LinkError),
}

/// Why a link broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The identity is of no use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It is this computer, or someone with its id.
    #[error("it uses this computer's own id; if it is a copy of this computer, reset the id on one of them")]
    Oneself,
    /// Too old.
    #[error(
        "it speaks version {offered} of KDE Connect, and {oldest} is the oldest that is allowed here; update the app on it"
    )]
    TooOld {
        /// What it offers.
        offered: i64,
        /// What is allowed.
        oldest: i64,
    },
    /// It offers less than before.
    #[error(
        "it spoke version {before} of KDE Connect before and offers only {offered} now; someone may be pretending \
         to be it. If an older app was installed there, unpair it here and pair again"
    )]
    Downgrade {
        /// What it offers.
        offered: i64,
        /// What it spoke.
        before: i64,
    },
    /// It connected to us but means somebody else.
    #[error("it was sent here by an announcement that is not ours; nothing was shared")]
    NotMeant,
    /// The encrypted connection failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The identity inside TLS is another one than in clear.
    #[error("it says one thing in clear and another inside the encrypted connection; someone may be in between")]
    TwoFaced,
    /// It took too long.
    #[error("it did not finish connecting within {} s; is it awake?", HANDSHAKE_TIME.as_secs())]
    TimedOut,
    /// It closed too early.
    #[error(
        "it closed the connection before it was up. If it was paired before, unpair this computer there and pair again"
    )]
    ClosedEarly,
}

/// Why a packet is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// Not up (any more).
    #[error("it is not connected")]
    NotUp,
    /// Not paired.
    #[error("it is not paired")]
    NotPaired,
}
