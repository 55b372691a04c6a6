//! Many small disclosures under one permit: beacons, and what a listener serves.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{Personal, SendError, ledger::PerAddress, permit::Running};

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
const MOST_ADDRESSES: usize = 256;
const OTHERS: &str = "others";

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
        let tally = &mut running.tally;
        tally.bytes += sent as u64;
        tally.count += 1;
        let address = to.to_string();
        let known = tally.addresses.iter().position(|place| place.address == address || place.address == OTHERS);
        match known {
            Some(index) => {
                tally.addresses[index].count += 1;
                tally.addresses[index].bytes += sent as u64;
            }
            None => {
                let full = tally.addresses.len() >= MOST_ADDRESSES;
                let address = if full { OTHERS.to_owned() } else { address };
                tally.addresses.push(PerAddress { address, count: 1, bytes: sent as u64 });
            }
        }
        if kept.told.elapsed() >= TELL_EVERY {
            kept.told = Instant::now();
            if let Some(running) = kept.running.as_mut() {
                running.sent_so_far();
            }
        }
        Ok(sent)
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
