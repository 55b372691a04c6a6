//! The ledger: every statement, decision, disclosure and refusal, append-only, under one Merkle tree
//! whose signed heads the owner's other devices witness. See [`verify`] for the check without a hub.

mod append;
pub mod checkpoint;
mod read;
pub mod record;
pub mod tree;
mod verify;
mod witness;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use accord_model::Timestamp;
use accord_store::{Db, Durability, Options, StoreError, rusqlite};
use tokio::sync::broadcast;

use crate::{GateEvent, Signer};
pub use checkpoint::{Checkpoint, NoteError};
pub use read::Query;
pub use record::{Details, Item, PerAddress, Public, Record, RecordError, RecordKind};
pub use tree::Hash;
pub use verify::{Problem, VerifyReport, verify};
pub use witness::Witness;

const SCHEMA: &[&str] = &["
CREATE TABLE record(seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, entry TEXT, refers INTEGER,
    leaf BLOB NOT NULL, hash BLOB NOT NULL);
CREATE INDEX record_kind ON record(kind, seq);
CREATE INDEX record_entry ON record(entry, seq) WHERE entry IS NOT NULL;
CREATE INDEX record_refers ON record(refers) WHERE refers IS NOT NULL;
CREATE TABLE details(seq INTEGER PRIMARY KEY, recipient TEXT, salt BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE node(level INTEGER, idx INTEGER, hash BLOB NOT NULL, PRIMARY KEY(level, idx)) WITHOUT ROWID;
CREATE TABLE open_intent(seq INTEGER PRIMARY KEY);
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE witness(peer TEXT, ours INTEGER, size INTEGER, root BLOB NOT NULL, note TEXT NOT NULL,
    key BLOB NOT NULL, time TEXT NOT NULL, PRIMARY KEY(peer, ours, size, root)) WITHOUT ROWID;
"];

/// Why the ledger did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored record is damaged.
    #[error("record {seq} of the ledger is damaged: {cause}. Run `accord ledger verify`")]
    Record {
        /// Which record.
        seq: u64,
        /// What is wrong.
        cause: RecordError,
    },
    /// There is no such record.
    #[error("the ledger has no record {0}")]
    NoRecord(u64),
    /// A head that cannot be relied on.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A device's heads contradict each other, or ours contradict what a device saw.
    #[error("the history of {whose} was changed: {what}")]
    Rewritten {
        /// Whose ledger.
        whose: String,
        /// How it shows.
        what: String,
    },
    /// The export could not be written.
    #[error("the export could not be written: {0}")]
    Export(Arc<std::io::Error>),
}

/// A head: how many records, and the root over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// When the last checkpoint was signed.
    pub signed: Option<Timestamp>,
}

/// The ledger of one hub. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    sink: Sink,
    path: PathBuf,
    signer: Arc<dyn Signer>,
    origin: String,
    events: broadcast::Sender<GateEvent>,
    /// Told after each record, so that someone signs a checkpoint in time.
    on_record: Mutex<Option<Box<dyn Fn() + Send>>>,
}

enum Sink {
    Stored {
        db: Db,
        tree: Arc<append::Tree>,
    },
    #[cfg(feature = "volatile")]
    Memory(Mutex<tree::Frontier>),
}

impl Ledger {
    pub(crate) fn open(
        path: &Path,
        signer: Arc<dyn Signer>,
        events: broadcast::Sender<GateEvent>,
    ) -> Result<Self, LedgerError> {
        let db = Db::open(path, SCHEMA, Options { durability: Durability::Full, ..Options::default() })?;
        let origin = checkpoint::origin(&signer.public());
        let origin = db.write_blocking(move |c| {
            c.execute("INSERT OR IGNORE INTO meta VALUES ('origin', ?1)", [origin.as_bytes()])?;
            c.query_row("SELECT value FROM meta WHERE key = 'origin'", [], |row| row.get::<_, Vec<u8>>(0))
        })?;
        let tree = Arc::new(append::Tree::new(db.rollback_counter()));
        let inner = Inner {
            sink: Sink::Stored { db, tree },
            path: path.to_owned(),
            signer,
            origin: String::from_utf8_lossy(&origin).into_owned(),
            events,
            on_record: Mutex::default(),
        };
        let ledger = Self { inner: Arc::new(inner) };
        ledger.close_interrupted()?;
        Ok(ledger)
    }

    /// A ledger that forgets; for benches.
    #[cfg(feature = "volatile")]
    pub(crate) fn volatile(signer: Arc<dyn Signer>, events: broadcast::Sender<GateEvent>) -> Self {
        let origin = checkpoint::origin(&signer.public());
        let sink = Sink::Memory(Mutex::default());
        Self {
            inner: Arc::new(Inner { sink, path: PathBuf::new(), signer, origin, events, on_record: Mutex::default() }),
        }
    }

    /// [`verify`]: the check of a stored ledger without a hub.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read at all.
    pub fn verify(path: &Path, key: Option<&[u8; 32]>) -> Result<VerifyReport, LedgerError> {
        verify(path, key)
    }

    /// Where it is stored.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The name in its checkpoints.
    pub fn origin(&self) -> &str {
        &self.inner.origin
    }

    pub(crate) fn on_record(&self, told: impl Fn() + Send + 'static) {
        *self.inner.on_record.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(told));
    }

    fn db(&self) -> Result<&Db, LedgerError> {
        self.stored().map(|(db, _)| db)
    }

    fn stored(&self) -> Result<(&Db, &Arc<append::Tree>), LedgerError> {
        match &self.inner.sink {
            Sink::Stored { db, tree } => Ok((db, tree)),
            #[cfg(feature = "volatile")]
            Sink::Memory(_) => Err(LedgerError::Store(StoreError::Closed { path: PathBuf::new() })),
        }
    }

    fn told(&self, kind: RecordKind, seq: u64) {
        drop(self.inner.events.send(GateEvent::Recorded { seq, kind }));
        if kind != RecordKind::Checkpoint
            && let Some(told) = &*self.inner.on_record.lock().unwrap_or_else(PoisonError::into_inner)
        {
            told();
        }
    }
}

fn hash_column(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    row.get::<_, [u8; 32]>(column).map(Hash)
}

/// A node of the stored tree; level 0 are the records' own hashes.
fn stored_node(connection: &rusqlite::Connection, level: u32, index: u64) -> rusqlite::Result<Hash> {
    if level == 0 {
        return connection
            .prepare_cached("SELECT hash FROM record WHERE seq = ?1")?
            .query_row([index as i64], |row| hash_column(row, 0));
    }
    connection
        .prepare_cached("SELECT hash FROM node WHERE level = ?1 AND idx = ?2")?
        .query_row([i64::from(level), index as i64], |row| hash_column(row, 0))
}

fn stored_size(connection: &rusqlite::Connection) -> rusqlite::Result<u64> {
    let size: i64 =
        connection.prepare_cached("SELECT coalesce(max(seq) + 1, 0) FROM record")?.query_row([], |row| row.get(0))?;
    Ok(size as u64)
}
