//! What a bridge is to the core: a task with two bounded queues of messages.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use accord_model::{Device, DeviceId, FromBridge, ToBridge};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use crate::turns::Turn;

/// Speaks one protocol: finds devices and carries calls and streams to them.
#[async_trait]
pub trait Bridge: Send + 'static {
    /// Short name, the same as its folder: `link`, `kdeconnect`, …
    fn name(&self) -> &str;
    /// What was known of its devices before this start, said once before [`Bridge::run`]. They are shown as not reached until the
    /// bridge says otherwise: that they are here, or gone. The answer is which of them it still speaks for, and means that its
    /// devices are to be kept for the next start; none, that nothing is kept of them.
    fn recall(&mut self, before: Vec<Device>) -> Option<Vec<DeviceId>> {
        let _ = before;
        None
    }
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

impl ByteStream {
    /// The turn lasts until both directions are dropped.
    pub(crate) fn holding(self, turn: Turn) -> Self {
        let turn = Arc::new(turn);
        Self {
            reader: Box::new(Held { inner: self.reader, _turn: turn.clone() }),
            writer: Box::new(Held { inner: self.writer, _turn: turn }),
            path: self.path,
        }
    }
}

struct Held<T> {
    inner: T,
    _turn: Arc<Turn>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Held<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Held<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
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
