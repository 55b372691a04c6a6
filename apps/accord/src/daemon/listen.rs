//! Serves the API on the Unix socket and on the web listeners: bounded connections, also of one
//! address; deadlines on headers, handshakes and answers that nobody reads; and an end that lets running answers finish.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::tls::Tls;
use crate::api::guard::Door;

const MAX_CONNECTIONS: usize = 256;
/// Connections of one other device.
const MAX_OF_ONE: usize = 32;
const HEADERS_WITHIN: Duration = Duration::from_secs(15);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// A browser that takes nothing of an answer for so long is gone.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// Everything that serves connections of one hub.
#[derive(Clone)]
pub struct Serving {
    pub router: Router,
    pub stop: CancellationToken,
    pub tracker: TaskTracker,
}

impl Serving {
    /// Takes what `accept` gives until the hub stops. A closure, because listeners are the outlet's to make
    /// and name.
    pub fn on<F, A, T>(&self, accept: F, tls: Option<Arc<Tls>>)
    where
        F: Fn() -> A + Send + 'static,
        A: Future<Output = io::Result<(T, Door)>> + Send,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let serving = self.clone();
        self.tracker.spawn(async move {
            let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            let seats = Seats::default();
            loop {
                let Ok(place) = free.clone().acquire_owned().await else { return };
                let accepted = tokio::select! {
                    accepted = accept() => accepted,
                    () = serving.stop.cancelled() => return,
                };
                let (io, door) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of descriptors and the like: wait instead of spinning.
                        tracing::warn!(%error, "a connection to the API could not be accepted");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        continue;
                    }
                };
                let (one, tls) = (serving.clone(), tls.clone());
                let Some(seat) = seats.take(&door) else { continue };
                serving.tracker.spawn(async move {
                    let _held = (place, seat);
                    match (tls, &door) {
                        (None, Door::Owner) => one.connection(io, door).await,
                        (None, Door::Web { .. }) => one.connection(Taken::new(io), door).await,
                        (Some(tls), _) => one.encrypted(Taken::new(io), door, &tls).await,
                    }
                });
            }
        });
    }

    async fn encrypted<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, io: T, door: Door, tls: &Tls) {
        let Door::Web { peer, local, .. } = door else { return };
        let config = match tls.config(local.ip()) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "no certificate for the address that was called");
                return;
            }
        };
        let accept = tokio_rustls::TlsAcceptor::from(config).accept(io);
        match tokio::time::timeout(HANDSHAKE_WITHIN, accept).await {
            Ok(Ok(io)) => self.connection(io, Door::Web { peer, local, tls: true }).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake with the web UI failed"),
            Err(_) => tracing::debug!("a TLS handshake with the web UI took too long"),
        }
    }

    async fn connection<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, io: T, door: Door) {
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let (router, door) = (router.clone(), door.clone());
            async move {
                let mut request: Request = request.map(Body::new);
                request.extensions_mut().insert(door);
                Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(io), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(FINISH_WITHIN, connection.as_mut()).await {
                    Ok(ended) => ended,
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the API broke");
        }
    }
}

/// Connections by the device they come from, so that one cannot take all places. This machine has no limit of its own.
#[derive(Clone, Default)]
struct Seats(Arc<Mutex<HashMap<IpAddr, usize>>>);

struct Seat {
    seats: Seats,
    of: Option<IpAddr>,
}

impl Seats {
    fn take(&self, door: &Door) -> Option<Seat> {
        let of = match door {
            Door::Web { peer, .. } if !peer.ip().to_canonical().is_loopback() => Some(network(peer.ip())),
            _ => None,
        };
        if let Some(of) = of {
            let mut taken = self.lock();
            let count = taken.entry(of).or_default();
            if *count >= MAX_OF_ONE {
                return None;
            }
            *count += 1;
        }
        Some(Seat { seats: self.clone(), of })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(of) = self.of else { return };
        let mut taken = self.seats.lock();
        if let Some(count) = taken.get_mut(&of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&of);
            }
        }
    }
}

/// One device has a whole /64 of IPv6 addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        v4 => v4,
    }
}

/// Ends a connection whose other end does not take what is written.
struct Taken<T> {
    io: T,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<T> Taken<T> {
    fn new(io: T) -> Self {
        Self { io, stalled: None }
    }

    fn unless_stalled<R>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(TAKEN_WITHIN)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Taken<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Taken<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.unless_stalled(cx, written)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.unless_stalled(cx, flushed)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The address of the web UI as a browser wants it.
pub fn url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    fn door(peer: &str) -> Door {
        let local = "192.168.1.5:8443".parse().unwrap();
        Door::Web { peer: SocketAddr::new(peer.parse().unwrap(), 5), local, tls: true }
    }

    #[test]
    fn one_device_cannot_take_all_places() {
        let seats = Seats::default();
        let of = |last: usize| door(&format!("fd00::{last:x}"));
        let mut taken: Vec<_> = (0..MAX_OF_ONE).map(|last| seats.take(&of(last)).unwrap()).collect();
        assert!(seats.take(&of(MAX_OF_ONE)).is_none());
        assert!(seats.take(&door("192.168.1.9")).is_some() && seats.take(&Door::Owner).is_some());
        taken.pop();
        assert!(seats.take(&of(1)).is_some());
        drop(taken);
        assert!(seats.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_an_answer_is_let_go() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let mut taken = Taken::new(ours);
        let written = tokio::time::timeout(2 * TAKEN_WITHIN, taken.write_all(&[0; 64])).await;
        assert_eq!(written.expect("it ends").unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
