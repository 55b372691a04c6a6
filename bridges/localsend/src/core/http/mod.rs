//! HTTP of connections that came in and that we made: what both ends have in common is in [`accord_http`].

pub mod client;
mod exchange;
pub mod server;

pub use accord_http::{
    BodyLength, BodyReader, HttpError, MAX_CHUNK_LINE, MAX_HEAD, MAX_HEADERS, Method, RequestHead, ResponseHead,
    decode_component, encode_component, fuzz, head_of_response,
};

use std::time::{Duration, Instant};

/// Size of the pieces in which a body is handed on, in bytes.
pub const PIECE: usize = 256 * 1024;

/// How long the other end may take. All are limits on the peer's time, not on ours: while we hold what it
/// sent, its clocks stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For a JSON body or answer, whole.
    pub json: Duration,
    /// The longest time in which an upload may bring less than [`Patience::LEAST`] bytes.
    pub stall: Duration,
    /// To hang up after our last word.
    pub farewell: Duration,
}

impl Patience {
    /// Less than this in [`Patience::stall`] is a stalled upload, in bytes.
    pub const LEAST: u64 = 16 * 1024;
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            json: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            farewell: Duration::from_secs(3),
        }
    }
}

/// When nothing is due.
pub(crate) fn far(now: Instant) -> Instant {
    now + Duration::from_secs(86_400)
}

#[cfg(test)]
mod tests;
