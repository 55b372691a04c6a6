//! The engine under the feature: how a transfer is packed, carried, unpacked and stored. It knows neither the gate nor
//! the registry; what leaves goes through a [`Sink`].

pub mod bounds;
pub mod journal;
pub mod pack;
pub mod place;
#[cfg(any(test, feature = "plain"))]
pub mod plain;
pub mod publish;
pub mod receive;
pub mod send;
pub mod store;
#[cfg(test)]
mod tests;
pub mod unpack;

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use accord_model::FieldSet;
use tokio_util::sync::CancellationToken;

use crate::block::Block;
use crate::wire::Hash;

/// Who has nothing to send says so this often.
pub const IDLE: Duration = Duration::from_secs(5);
/// No progress for so long ends the connection.
pub const STALL: Duration = Duration::from_secs(30);

/// What leaves, one file or text, for the ledger.
#[derive(Debug)]
pub struct Note {
    /// Its path.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Its hash.
    pub digest: Hash,
}

/// The way out.
pub trait Sink: Send + 'static {
    /// Bytes that nobody can look into any more.
    type Sealed: Send + 'static;
    /// Seals bytes, where they were read. `fields` says what they hold.
    fn seal(fields: FieldSet, block: Block, notes: Vec<Note>) -> Self::Sealed;
    /// Writes sealed bytes.
    fn put(&mut self, sealed: Self::Sealed) -> impl Future<Output = Result<(), SinkError>> + Send;
    /// Writes framing that says nothing of anyone.
    fn frame(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), SinkError>> + Send;
    /// Hands everything to the network.
    fn flush(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send;
    /// Ends this direction of the stream.
    fn close(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send;
    /// Cancelled when nothing may leave any more.
    fn withdrawn(&self) -> CancellationToken;
}

/// Why something did not leave.
#[derive(Debug)]
pub enum SinkError {
    /// The owner no longer agrees.
    Withdrawn(String),
    /// The connection failed.
    Io(io::Error),
    /// It could not be recorded, or is not covered.
    Denied(String),
}

/// How far a transfer is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Content bytes that moved, those of earlier connections included.
    pub bytes: AtomicU64,
    /// Files that are complete.
    pub files: AtomicU64,
    /// Content bytes altogether.
    pub bytes_total: AtomicU64,
    /// Files altogether.
    pub files_total: AtomicU64,
    /// Whether the totals are final.
    pub exact: AtomicBool,
    skipped: Mutex<Skipped>,
}

/// What was left out.
#[derive(Debug, Default, Clone)]
pub struct Skipped {
    /// The first few, each with its reason.
    pub lines: Vec<String>,
    /// How many.
    pub count: u64,
}

const SKIPPED_LINES: usize = 100;

impl Progress {
    /// Sets the totals.
    pub fn total(&self, files: u64, bytes: u64, exact: bool) {
        self.files_total.store(files, Ordering::Relaxed);
        self.bytes_total.store(bytes, Ordering::Relaxed);
        self.exact.store(exact, Ordering::Relaxed);
    }
    /// Sets how far it is.
    pub fn at(&self, files: u64, bytes: u64) {
        self.files.store(files, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
    /// Counts on.
    pub fn add(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    /// Notes something that was left out.
    pub fn skip(&self, line: String) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.count += 1;
        if skipped.lines.len() < SKIPPED_LINES {
            skipped.lines.push(line);
        }
    }
    /// The other side knows of more that was left out.
    pub fn skipped_at_least(&self, count: u64) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.count = skipped.count.max(count);
    }
    /// Forgets what was left out, for a new attempt.
    pub fn clear_skipped(&self) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) = Skipped::default();
    }
    /// What was left out so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
