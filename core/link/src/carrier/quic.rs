//! A stream of the link's own QUIC connection as a carrier.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The writing half. Dropped before `shutdown`, it tells the peer that the stream broke off: a cut stream
/// never looks like a complete one.
pub struct QuicWriter {
    stream: SendStream,
    finished: bool,
    _alive: Connection,
}

impl QuicWriter {
    /// Writes to `stream` and keeps `connection` alive meanwhile.
    pub fn new(stream: SendStream, connection: Connection) -> Self {
        Self { stream, finished: false, _alive: connection }
    }
}

impl Drop for QuicWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.stream.reset(VarInt::from_u32(1));
        }
    }
}

impl AsyncWrite for QuicWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.stream), cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.stream), cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = AsyncWrite::poll_shutdown(Pin::new(&mut self.stream), cx);
        if matches!(done, Poll::Ready(Ok(()))) {
            self.finished = true;
        }
        done
    }
}

/// The reading half.
pub struct QuicReader {
    stream: RecvStream,
    _alive: Connection,
}

impl QuicReader {
    /// Reads from `stream` and keeps `connection` alive meanwhile.
    pub fn new(stream: RecvStream, connection: Connection) -> Self {
        Self { stream, _alive: connection }
    }
}

impl AsyncRead for QuicReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.stream), cx, buffer)
    }
}
