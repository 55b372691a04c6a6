//! Serves the API on the Unix socket and on the web listeners: bounded connections, deadlines on
//! headers and handshakes, and an end that lets running answers finish.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::tls::Tls;
use crate::api::guard::Door;

const MAX_CONNECTIONS: usize = 256;
const HEADERS_WITHIN: Duration = Duration::from_secs(15);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
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
                serving.tracker.spawn(async move {
                    let _place = place;
                    match tls {
                        None => one.connection(io, door).await,
                        Some(tls) => one.encrypted(io, door, &tls).await,
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

/// The address of the web UI as a browser wants it.
pub fn url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}
