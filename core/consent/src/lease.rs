//! Many small disclosures under one permit: beacons, and what a listener serves.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{Personal, SendError, permit::Running};

/// A permit that lasts until it is dropped, the consent ends, or the statement changes. Every use is
/// counted exactly, per address; a `sent` record is written at most once a minute and at the end.
#[derive(Clone)]
pub struct DatagramLease {
    kept: Arc<Mutex<Kept>>,
    stopped: CancellationToken,
}

struct Kept {
    running: Option<Running>,
    told: Instant,
}

const TELL_EVERY: Duration = Duration::from_secs(60);

impl Kept {
    fn count(&mut self, address: String, bytes: u64) {
        let Some(running) = self.running.as_mut() else { return };
        running.tally.bytes += bytes;
        running.tally.count += 1;
        running.tally.add(address, bytes);
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            running.sent_so_far();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.sent_to_the_end();
        }
    }
}

impl DatagramLease {
    pub(crate) fn new(running: Running) -> Self {
        let stopped = running.live.stopped().clone();
        Self { kept: Arc::new(Mutex::new(Kept { running: Some(running), told: Instant::now() })), stopped }
    }

    /// Opens `value` for one call of `send`, which hands it to a socket without blocking and answers how
    /// many bytes were taken. What is sent twice (a second interface, a repeat) is counted twice.
    ///
    /// # Errors
    /// [`SendError`]; nothing left unless `send` let it.
    pub fn send_with<T: AsRef<[u8]>>(
        &self,
        value: &Personal<T>,
        to: SocketAddr,
        send: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> Result<usize, SendError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let running = kept.running.as_mut().ok_or_else(closed)?;
        running.admit(value.fields())?;
        // gate-check: lease-live
        let sent = running.live.run(|| send(value.open().as_ref()));
        let sent = sent.ok_or_else(|| running.withdrawn())??;
        kept.count(to.to_string(), sent as u64);
        Ok(sent)
    }

    /// Counts what left already through a socket that counts for itself (a connection whose transport sends and
    /// repeats by its own clock). Unlike [`DatagramLease::send_with`] it lets nothing out, so it does not ask whether
    /// the consent still stands: what left before the end, or to say that it is the end, is written too. `false`
    /// once the lease is closed.
    pub fn note_left(&self, to: impl std::fmt::Display, bytes: u64) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = kept.running.as_mut() else { return false };
        running.tally.fields = running.tally.fields.union(running.fields);
        kept.count(to.to_string(), bytes);
        true
    }

    /// What a caller is told once the consent ended.
    pub(crate) fn withdrawn(&self) -> SendError {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.running.as_ref().map_or_else(closed, Running::withdrawn)
    }

    /// Cancelled once the consent ends.
    pub fn cancelled(&self) -> CancellationToken {
        self.stopped.clone()
    }

    /// Ends the lease for all its clones and writes the last record.
    pub fn close(&self) {
        let running = self.kept.lock().unwrap_or_else(PoisonError::into_inner).running.take();
        if let Some(running) = running {
            running.sent_to_the_end();
        }
    }
}

fn closed() -> SendError {
    SendError::Io(io::Error::new(io::ErrorKind::NotConnected, "the lease is closed"))
}
