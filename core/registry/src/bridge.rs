//! What a bridge is to the core: a task with two bounded queues of messages.

use std::fmt;

use accord_model::{FromBridge, ToBridge};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// Speaks one protocol: finds devices and carries calls and streams to them.
#[async_trait]
pub trait Bridge: Send + 'static {
    /// Short name, the same as its folder: `link`, `kdeconnect`, …
    fn name(&self) -> &str;
    /// Runs until [`ToBridge::Stop`] or until the inbox closes. An error marks its devices offline and
    /// is shown to the owner.
    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String>;
}

/// The bridge's end of the two queues. A byte stream travels beside the message that names it.
pub struct BridgeSide {
    /// Commands from the core.
    pub inbox: mpsc::Receiver<(ToBridge, Option<ByteStream>)>,
    /// Replies and events to the core. Bounded: a bridge that floods waits.
    pub outbox: mpsc::Sender<(FromBridge, Option<ByteStream>)>,
}

impl BridgeSide {
    /// Sends a message without a stream.
    ///
    /// # Errors
    /// The message comes back when the core is gone.
    pub async fn tell(&self, message: FromBridge) -> Result<(), FromBridge> {
        self.outbox.send((message, None)).await.map_err(|error| error.0.0)
    }
}

/// An open stream of bytes to or from one service of one device.
pub struct ByteStream {
    /// What the other side sends.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What we send. Features write to it through an outflow under a permit, never directly.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// How it is carried.
    pub path: PathInfo,
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How a stream is carried; written into the ledger and shown to the owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathInfo {
    /// `ip:port` of the other end, or a relay's name.
    pub address: String,
    /// `tls`, `quic`, `memory`, …
    pub carrier: String,
    /// Whether others on the network can read along.
    pub encrypted: bool,
}
