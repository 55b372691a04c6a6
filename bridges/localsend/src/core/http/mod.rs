//! As much HTTP/1.1 (RFC 9112) as LocalSend needs. Heads are bounded and read by `httparse`; bodies go
//! through in pieces as they come, never as a whole; nothing is followed, guessed or repaired.

mod body;
pub mod client;
mod exchange;
mod head;
pub mod server;

pub use body::{BodyReader, MAX_CHUNK_LINE};
pub use head::{BodyLength, Method, RequestHead, ResponseHead, decode_component, encode_component, head_of_response};

use std::time::{Duration, Instant};

/// Longest head, in bytes.
pub const MAX_HEAD: usize = 16 * 1024;
/// Most header lines.
pub const MAX_HEADERS: usize = 64;
/// Size of the pieces in which a body is handed on, in bytes.
pub const PIECE: usize = 256 * 1024;

/// Why the other end's HTTP makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// More than [`MAX_HEAD`] bytes or [`MAX_HEADERS`] lines.
    #[error("the head of an HTTP message is longer than 16 KiB or has more than 64 lines")]
    HeadTooLong,
    /// Not HTTP/1.x.
    #[error("an HTTP message is malformed: {0}")]
    Malformed(&'static str),
    /// More than was allowed for.
    #[error("the body of an HTTP message is too long")]
    BodyTooLong,
    /// Bytes when nobody had asked.
    #[error("more was sent than was asked for")]
    TooEager,
}

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

/// For the fuzzer: heads and bodies in portions of `step` bytes never panic, and portions change nothing.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], step: usize) {
    let whole = body::read_all(bytes, bytes.len().max(1));
    assert_eq!(whole, body::read_all(bytes, step.max(1)));
    if let Ok(Some((head, length))) = head::read_request(bytes) {
        assert!(length <= bytes.len() && head.path.starts_with('/'));
    }
    let _ = head_of_response(bytes);
}

#[cfg(test)]
mod tests;
