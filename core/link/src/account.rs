//! What really left through the link's own sockets, so that the ledger says what a capture would: handshakes,
//! repeats, acknowledgements and failed attempts included, by the sockets' own counters.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use accord_consent::DatagramLease;
use iroh::endpoint::Connection;
use iroh::{Endpoint, TransportAddr};

use crate::endpoint::{canonical, path_of};

/// The datagram sockets of the endpoint for paired devices. What the ledger was told never exceeds what they sent, and
/// what no connection accounts for (attempts that failed) is told by whoever tried.
#[derive(Default)]
pub(crate) struct Sockets(Mutex<Counters>);

#[derive(Default)]
struct Counters {
    sent: Option<Arc<iroh::metrics::SocketMetrics>>,
    told: u64,
    relay_told: u64,
}

impl Sockets {
    /// A new endpoint: its counters begin at nothing.
    pub(crate) fn begin(&self, endpoint: &Endpoint) {
        *lock(&self.0) = Counters { sent: Some(endpoint.metrics().socket.clone()), told: 0, relay_told: 0 };
    }

    /// As much of `wanted` as the sockets sent and nobody told yet; counts as told.
    fn tell(&self, wanted: u64) -> u64 {
        let mut counters = lock(&self.0);
        let granted = wanted.min(counters.sent().saturating_sub(counters.told));
        counters.told += granted;
        granted
    }

    /// What was sent and belongs to no connection that was accounted for.
    pub(crate) fn strays(&self) -> u64 {
        self.tell(u64::MAX)
    }

    /// What was sent through the relay since the last time: datagrams, without the framing of the connection to it.
    pub(crate) fn relayed(&self) -> u64 {
        let mut counters = lock(&self.0);
        let sent = counters.sent.as_ref().map_or(0, |sent| sent.send_relay.get());
        let new = sent.saturating_sub(counters.relay_told);
        counters.relay_told = sent.max(counters.relay_told);
        new
    }
}

impl Counters {
    fn sent(&self) -> u64 {
        self.sent.as_ref().map_or(0, |sent| sent.send_ipv4.get() + sent.send_ipv6.get())
    }
}

/// What the ledger knows of one connection.
#[derive(Default)]
pub(crate) struct Counted {
    paths: Vec<(String, u64)>,
    total: u64,
}

/// Tells the ledger what a connection sent since the last time, by address.
pub(crate) fn connection(sockets: &Sockets, lease: &DatagramLease, counted: &mut Counted, connection: &Connection) {
    let mut left: Vec<(SocketAddr, u64)> = Vec::new();
    for path in connection.paths().iter() {
        let TransportAddr::Ip(address) = path.remote_addr() else { continue };
        let (id, sent) = (format!("{:?}", path.id()), path.stats().udp_tx.bytes);
        let before = match counted.paths.iter_mut().find(|(known, _)| *known == id) {
            Some((_, before)) => std::mem::replace(before, sent),
            None => {
                counted.paths.push((id, sent));
                0
            }
        };
        left.push((canonical(*address), sent.saturating_sub(before)));
    }
    let total = connection.stats().udp_tx.bytes;
    let mut new = sockets.tell(total.saturating_sub(counted.total));
    counted.total = total.max(counted.total);
    // Paths that are gone took their counters along: what is missing went where the connection goes.
    let known: u64 = left.iter().map(|(_, bytes)| bytes).sum();
    if let Some(remote) = path_of(connection).remote.or(left.first().map(|(remote, _)| *remote)) {
        left.push((remote, new.saturating_sub(known)));
    }
    for (address, bytes) in left {
        let bytes = bytes.min(new);
        new -= bytes;
        if bytes > 0 {
            lease.note_left(address, bytes);
        }
    }
}

/// Tells the ledger what went to addresses that were tried, in equal parts: every one of them gets every datagram of
/// an attempt.
pub(crate) fn attempts(sockets: &Sockets, lease: &DatagramLease, tried: &[SocketAddr]) {
    let strays = sockets.strays();
    if strays == 0 {
        return;
    }
    match tried {
        [] => _ = lease.note_left("handshakes", strays),
        tried => {
            let (each, rest) = (strays / tried.len() as u64, strays % tried.len() as u64);
            for (index, address) in tried.iter().enumerate() {
                lease.note_left(canonical(*address), each + if index == 0 { rest } else { 0 });
            }
        }
    }
}

/// The TCP connections to one peer.
#[derive(Default)]
pub(crate) struct Wire(Mutex<Vec<Arc<Sent>>>);

/// What one TCP socket took, TLS handshake included.
#[derive(Debug)]
pub(crate) struct Sent {
    to: SocketAddr,
    bytes: AtomicU64,
}

impl Sent {
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Wire {
    pub(crate) fn socket(&self, to: SocketAddr) -> Arc<Sent> {
        let sent = Arc::new(Sent { to: canonical(to), bytes: AtomicU64::new(0) });
        lock(&self.0).push(sent.clone());
        sent
    }

    /// Tells the ledger what went out since the last time.
    pub(crate) fn tell(&self, lease: &DatagramLease) {
        lock(&self.0).retain(|sent| {
            let open = Arc::strong_count(sent) > 1;
            let bytes = sent.bytes.swap(0, Ordering::Relaxed);
            if bytes > 0 {
                lease.note_left(sent.to, bytes);
            }
            open
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_never_told_more_than_the_sockets_sent_and_never_less() {
        let sockets = Sockets::default();
        let sent = Arc::new(iroh::metrics::SocketMetrics::default());
        lock(&sockets.0).sent = Some(sent.clone());
        sent.send_ipv4.inc_by(1000);
        assert_eq!(sockets.tell(400), 400);
        assert_eq!(sockets.strays(), 600, "an attempt that failed");
        // A handshake that was told as a stray belongs to a connection now.
        sent.send_ipv6.inc_by(100);
        assert_eq!((sockets.tell(700), sockets.strays()), (100, 0));
        sent.send_relay.inc_by(7);
        assert_eq!((sockets.relayed(), sockets.relayed(), sockets.strays()), (7, 0, 0));
    }
}
