//! Bytes that belong to a packet, on a connection of their own. The sender listens on a port of
//! [`PAYLOAD_PORTS`], names it in the packet and is the TLS server; the receiver connects to the link's peer
//! address. Both prove the certificates of the link. There is no acknowledgement: a sender knows only that
//! the receiver took all and closed. A payload of size 0 has no connection at all.
//!
//! Shape as everywhere: feed bytes and time, ask `poll_output` until it says `Wait`.

mod pace;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use super::link::Transmit;
use super::tls::TlsError;
pub use receive::{Receiver, Size};
pub use send::Sender;

/// Where a sender listens.
pub const PAYLOAD_PORTS: std::ops::RangeInclusive<u16> = 1739..=1764;
/// How long a sender waits for the receiver to connect (Android gives up after 10 s).
pub const CONNECT_TIME: Duration = Duration::from_secs(30);
/// How long TLS may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long nothing may move.
pub const STALL_TIME: Duration = Duration::from_secs(30);
/// How long a receiver that has everything waits for the sender to close.
pub const END_TIME: Duration = Duration::from_secs(2);
/// Most bytes that a sender holds encrypted and not yet sent.
pub const MAX_IN_FLIGHT: usize = 256 * 1024;

/// What goes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// From the wire, in any portions.
    Bytes(&'a [u8]),
    /// The wire is closed.
    Closed,
    /// The time that [`Output::Wait`] named has come.
    Timeout,
    /// Break it off.
    Stop,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug)]
pub enum Output {
    /// Send these bytes.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// Nothing more for now; come back at this time (if any) or with new input.
    Wait(Option<Instant>),
}

/// What happened.
#[derive(PartialEq, Eq)]
pub enum Event {
    /// The other side proved who it is; a sender may write now.
    Ready,
    /// Received. Read no more from the wire before this is stored: that is the only thing that slows a sender.
    Data(Vec<u8>),
    /// All of it is through.
    Done(u64),
    /// It broke.
    Failed(PayloadError),
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("Ready"),
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::Done(bytes) => write!(f, "Done({bytes})"),
            Self::Failed(error) => write!(f, "Failed({error:?})"),
        }
    }
}

/// Why a payload broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The encrypted connection failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It ended too early.
    #[error("it broke off after {got} of {size} bytes; send it again")]
    Short {
        /// Bytes that came through.
        got: u64,
        /// Bytes that were promised.
        size: u64,
    },
    /// Of unknown size, and cut off.
    #[error("it broke off after {0} bytes; send it again")]
    Cut(u64),
    /// More came than was promised or is allowed.
    #[error("the other device sent more than the {0} bytes it announced; nothing of it is kept")]
    Long(u64),
    /// The file became shorter while it was sent.
    #[error("the file became shorter while it was sent: {got} of {size} bytes were left; send it again")]
    Shrunk {
        /// Bytes that were there.
        got: u64,
        /// Bytes that were promised.
        size: u64,
    },
    /// Nothing moved.
    #[error("nothing moved for {} s; is the other device awake and near?", .0.as_secs())]
    Stalled(Duration),
    /// We stopped it.
    #[error("stopped here")]
    Stopped,
}
