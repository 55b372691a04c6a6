//! What carries the bytes of a stream: [`tls`] (TLS 1.3 over TCP) or [`quic`] (a stream of the link's own
//! connection). Which one is chosen by measurement: see [`choice`].

pub(crate) mod bulk;
pub mod choice;
pub(crate) mod meter;
pub mod quic;
pub mod tls;

use std::fmt;

/// What carries a stream's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// TLS 1.3 over TCP, pinned to the paired identities.
    Tls,
    /// A stream of the link's QUIC connection.
    Quic,
}

impl Carrier {
    /// The word in the API and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Quic => "quic",
        }
    }
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Tls => Self::Quic,
            Self::Quic => Self::Tls,
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
