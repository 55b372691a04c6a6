//! The service `files`: the format of a transfer ([`wire`]), and both ends of it for bridges.
//!
//! - [`Taker`]: a feature of this machine sends; the bridge takes what comes and passes it on
//! - [`Giver`]: a foreign device sends; the bridge gives it to this machine's feature
//!
//! ```
//! use accord_ports::files::{Giver, Given, Taker, pair, wire};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let (ours, theirs) = pair("example");
//! let give = async {
//!     let mut giver = Giver::new(theirs);
//!     giver.offer(Giver::new_offer([7; 16], 1, 5)).await.unwrap();
//!     giver.file("hello.txt", Some(5), wire::Time::default()).await.unwrap();
//!     giver.content(b"hello").await.unwrap();
//!     giver.end().await.unwrap();
//!     giver.finish().await.unwrap()
//! };
//! let take = async {
//!     let (offer, mut taker) = Taker::open(ours).await.unwrap();
//!     assert_eq!(offer.bytes, 5);
//!     taker.accept().await.unwrap();
//!     let mut all = Vec::new();
//!     loop {
//!         match taker.next().await.unwrap() {
//!             Given::Content(bytes) => all.extend_from_slice(bytes),
//!             Given::Finish => break,
//!             _ => {}
//!         }
//!     }
//!     taker.done(1, 5).await.unwrap();
//!     all
//! };
//! let (taken, all) = tokio::join!(give, take);
//! assert_eq!((taken.files, all.as_slice()), (1, b"hello".as_slice()));
//! # });
//! ```

mod giver;
mod taker;
pub mod wire;

use std::time::Duration;

use accord_registry::{ByteStream, PathInfo};

pub use giver::{Giver, Taken};
pub use taker::{Given, Taker};

/// Who has nothing to say for this long says so.
pub const IDLE: Duration = Duration::from_secs(5);
/// A stream on which nothing comes for this long is over.
pub const STALL: Duration = Duration::from_secs(30);
/// Bytes that may be under way between feature and bridge.
const UNDER_WAY: usize = 1 << 20;

/// Why a transfer ends before it is complete.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The other end closed, or its machine did.
    #[error("the stream broke: {0}")]
    Broken(#[from] std::io::Error),
    /// Bytes that are not [`wire`].
    #[error("the stream makes no sense: {0}")]
    Frame(#[from] wire::FrameError),
    /// A message that does not belong here.
    #[error("out of turn: {0}")]
    Turn(&'static str),
    /// The answer is no.
    #[error("refused")]
    Refused(wire::RefusedReason),
    /// The sender gives up.
    #[error("the sender stopped")]
    Stopped(wire::StopReason),
    /// The receiver cannot go on.
    #[error("the receiver failed")]
    Failed(wire::FailReason),
    /// More than can be passed on at once.
    #[error("more than {0} items in one transfer; send them in parts")]
    TooMany(usize),
    /// The receiver cannot, in its own words.
    #[error("{0}")]
    Unable(String),
    /// Nothing came for [`STALL`].
    #[error("nothing came for {} s", STALL.as_secs())]
    Stalled,
}

/// Both ends of a stream inside this machine: one for the registry, one for the bridge. `carrier` names the bridge in the
/// ledger and in the UI; the bytes that leave the machine are counted where the bridge sends them.
pub fn pair(carrier: &str) -> (ByteStream, ByteStream) {
    let (a, b) = tokio::io::duplex(UNDER_WAY);
    let end = |side: tokio::io::DuplexStream| {
        let (reader, writer) = tokio::io::split(side);
        let path = PathInfo { address: format!("bridge:{carrier}"), carrier: carrier.to_owned(), encrypted: true };
        ByteStream { reader: Box::new(reader), writer: Box::new(writer), path }
    };
    (end(a), end(b))
}
