//! Wraps a carried stream: counts, measures, notices a stall, and cuts it when consent is withdrawn.
//!
//! The goodput counts as a measurement of the carrier only if the carrier was the bottleneck: at least
//! half of the stream's time was spent inside it or waiting for it. A slow disk says nothing of the network.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What one stream did so far; shared by its two halves and the watcher.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    pub(crate) written: AtomicU64,
    pub(crate) read: AtomicU64,
    busy_write_us: AtomicU64,
    busy_read_us: AtomicU64,
    /// A write waits for the carrier.
    pub(crate) write_waits: AtomicBool,
    /// A read waits for the carrier.
    pub(crate) read_waits: AtomicBool,
    /// Cuts both halves with an error.
    pub(crate) cut: CancellationToken,
    why: AtomicU8,
    timed_out: AtomicBool,
    finished: AtomicBool,
}

impl Meter {
    pub(crate) fn new(parent: &CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            busy_write_us: AtomicU64::new(0),
            busy_read_us: AtomicU64::new(0),
            write_waits: AtomicBool::new(false),
            read_waits: AtomicBool::new(false),
            cut: parent.child_token(),
            why: AtomicU8::new(0),
            timed_out: AtomicBool::new(false),
            finished: AtomicBool::new(false),
        })
    }

    /// The writer said that this is all. A stream that is dropped before broke off.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    pub(crate) fn stall(&self) {
        self.why.store(1, Ordering::Relaxed);
        self.cut.cancel();
    }

    /// The larger direction's bytes and time, when the carrier was the bottleneck.
    pub(crate) fn measurement(&self) -> Option<(u64, Duration)> {
        let wall = self.started.elapsed();
        let (written, read) = (self.written.load(Ordering::Relaxed), self.read.load(Ordering::Relaxed));
        let (bytes, busy) = if written >= read { (written, &self.busy_write_us) } else { (read, &self.busy_read_us) };
        let busy = Duration::from_micros(busy.load(Ordering::Relaxed));
        (busy * 2 >= wall).then_some((bytes, wall))
    }

    /// The carrier itself broke: it stalled, or the path died under it.
    pub(crate) fn carrier_failed(&self) -> bool {
        self.why.load(Ordering::Relaxed) == 1 || self.timed_out.load(Ordering::Relaxed)
    }

    fn error(&self) -> io::Error {
        match self.why.load(Ordering::Relaxed) {
            1 => io::Error::new(io::ErrorKind::TimedOut, "the path stopped carrying bytes"),
            _ => io::Error::new(io::ErrorKind::ConnectionAborted, "the connection to this device was switched off"),
        }
    }

    fn note(&self, error: &io::Error) {
        use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
        if matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable) {
            self.timed_out.store(true, Ordering::Relaxed);
        }
    }
}

struct Half<T> {
    inner: T,
    meter: Arc<Meter>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    waiting_since: Option<Instant>,
    /// Runs when the last half is dropped.
    _end: Arc<OnEnd>,
}

pub(crate) struct OnEnd(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for OnEnd {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// Both halves wrapped. `end` runs once, when both are gone.
pub(crate) fn metered<R, W>(
    reader: R,
    writer: W,
    meter: &Arc<Meter>,
    end: impl FnOnce() + Send + Sync + 'static,
) -> (MeteredReader<R>, MeteredWriter<W>) {
    let end = Arc::new(OnEnd(Some(Box::new(end))));
    let half = |meter: &Arc<Meter>| (meter.clone(), Box::pin(meter.cut.clone().cancelled_owned()));
    let (m, cut) = half(meter);
    let reader = MeteredReader(Half { inner: reader, meter: m, cut, waiting_since: None, _end: end.clone() });
    let (m, cut) = half(meter);
    let writer = MeteredWriter(Half { inner: writer, meter: m, cut, waiting_since: None, _end: end });
    (reader, writer)
}

/// See [`metered`].
pub(crate) struct MeteredReader<R>(Half<R>);
/// See [`metered`].
pub(crate) struct MeteredWriter<W>(Half<W>);

impl<T> Half<T> {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.cut.as_mut().poll(cx).map(|()| self.meter.error())
    }
    fn measure<U>(
        &mut self,
        began: Instant,
        outcome: Poll<io::Result<U>>,
        busy: impl Fn(&Meter) -> &AtomicU64,
        waits: impl Fn(&Meter) -> &AtomicBool,
    ) -> Poll<io::Result<U>> {
        match &outcome {
            Poll::Pending => {
                if self.waiting_since.is_none() {
                    self.waiting_since = Some(began);
                    waits(&self.meter).store(true, Ordering::Relaxed);
                }
            }
            Poll::Ready(result) => {
                let since = self.waiting_since.take();
                if since.is_some() {
                    waits(&self.meter).store(false, Ordering::Relaxed);
                }
                let took = since.unwrap_or(began).elapsed().as_nanos();
                busy(&self.meter).fetch_add((took / 1000) as u64, Ordering::Relaxed);
                if let Err(error) = result {
                    self.meter.note(error);
                }
            }
        }
        outcome
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for MeteredReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let half = &mut self.0;
        let (began, before) = (Instant::now(), buffer.filled().len());
        let outcome = Pin::new(&mut half.inner).poll_read(cx, buffer);
        if outcome.is_pending()
            && let Poll::Ready(error) = half.poll_cut(cx)
        {
            return Poll::Ready(Err(error));
        }
        if half.meter.cut.is_cancelled() {
            return Poll::Ready(Err(half.meter.error()));
        }
        half.meter.read.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        half.measure(began, outcome, |meter| &meter.busy_read_us, |meter| &meter.read_waits)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for MeteredWriter<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let half = &mut self.0;
        if half.meter.cut.is_cancelled() {
            return Poll::Ready(Err(half.meter.error()));
        }
        let began = Instant::now();
        let outcome = Pin::new(&mut half.inner).poll_write(cx, bytes);
        if outcome.is_pending()
            && let Poll::Ready(error) = half.poll_cut(cx)
        {
            return Poll::Ready(Err(error));
        }
        if let Poll::Ready(Ok(count)) = &outcome {
            half.meter.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
        half.measure(began, outcome, |meter| &meter.busy_write_us, |meter| &meter.write_waits)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let half = &mut self.0;
        if half.meter.cut.is_cancelled() {
            return Poll::Ready(Err(half.meter.error()));
        }
        let began = Instant::now();
        let outcome = Pin::new(&mut half.inner).poll_flush(cx);
        if outcome.is_pending()
            && let Poll::Ready(error) = half.poll_cut(cx)
        {
            return Poll::Ready(Err(error));
        }
        half.measure(began, outcome, |meter| &meter.busy_write_us, |meter| &meter.write_waits)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let half = &mut self.0;
        let outcome = Pin::new(&mut half.inner).poll_shutdown(cx);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            half.meter.finished.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn cutting_wakes_both_halves_and_the_end_is_told_once() {
        let all = CancellationToken::new();
        let meter = Meter::new(&all);
        let (near, far) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(near);
        let ends = Arc::new(AtomicU64::new(0));
        let count = ends.clone();
        let (mut reader, mut writer) = metered(reader, writer, &meter, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        writer.write_all(b"four").await.unwrap();
        let reading = tokio::spawn(async move { reader.read_u8().await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        all.cancel();
        assert_eq!(reading.await.unwrap(), io::ErrorKind::ConnectionAborted);
        assert_eq!(writer.write_all(b"more").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(meter.written.load(Ordering::Relaxed), 4);
        assert!(!meter.carrier_failed());
        drop((writer, far));
        assert_eq!(ends.load(Ordering::Relaxed), 1);
    }
}
