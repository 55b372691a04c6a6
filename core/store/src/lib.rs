//! The embedded database: SQLite in WAL mode with one writer thread. Writes that wait together are
//! committed together, so that a durable write costs one disk flush for many callers.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! use accord_store::{Db, Options};
//! const MIGRATIONS: &[&str] = &["CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL)"];
//! let db = Db::open(&dir.path().join("notes.db"), MIGRATIONS, Options::default()).unwrap();
//! db.write_blocking(|tx| tx.execute("INSERT INTO note(text) VALUES (?1)", ["hello"])).unwrap();
//! let count: i64 = db.read(|c| c.query_row("SELECT count(*) FROM note", [], |row| row.get(0))).unwrap();
//! assert_eq!(count, 1);
//! ```
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod file;
mod foreign;
mod json;
mod private;
mod vault;
mod wal;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use file::{create_private_dir, private_file};
pub use foreign::{ForeignError, MAX_FOREIGN, is_database, read_foreign};
pub use json::JsonFile;
pub use private::{FileError, private_dir, read_private, remove_drafts, replace_private};
pub use rusqlite;
use rusqlite::{Connection, OpenFlags};
pub use vault::{Found, Vault};
use writer::Writer;

/// How surely a committed write survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Survives a crash of the program; a power cut may lose the last moments (`synchronous=NORMAL`).
    #[default]
    Normal,
    /// On the disk before the write returns (`synchronous=FULL`). For the ledger.
    Full,
}

/// How a database is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What a commit guarantees.
    pub durability: Durability,
    /// How many writes may wait at once; callers beyond that wait before they queue.
    pub queue: usize,
    /// The longest time the writer collects further queued writes into one commit.
    pub gather: Duration,
    /// The file gives back what is deleted, once [`Db::shrink`] is called. One that was made without this is made anew when it
    /// is opened, where there is room for that. Its log is short too.
    pub shrinks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::Normal, queue: 1024, gather: Duration::from_millis(5), shrinks: false }
    }
}

/// Why the database did not do what was asked. Names the file and says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The folder or file cannot be made or reached.
    #[error("{path}: {cause}. Check that the folder exists and belongs to you")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: Arc<std::io::Error>,
    },
    /// Another user could read or change the file.
    #[error("{path} can be opened by other users (mode {mode:o}). Make it yours alone: chmod 600")]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no database, or is damaged.
    #[error("{path} is damaged: {message}. Restore it from a backup, or move it away to start empty")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        message: String,
    },
    /// Nothing can be written here.
    #[error("{path} cannot be written: {message}. Free space or make the folder writable, then start again")]
    NotWritable {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        message: String,
    },
    /// A newer version of the program made this database.
    #[error("{path} has schema {found}; this program knows up to {known}. Update the program")]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// The schema number in the file.
        found: usize,
        /// The newest schema number this program knows.
        known: usize,
    },
    /// Any other failure of a statement.
    #[error("{path}: {cause}")]
    Sql {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        cause: Arc<rusqlite::Error>,
    },
    /// The writer thread is gone: the database was closed.
    #[error("{path} is closed")]
    Closed {
        /// Which file.
        path: PathBuf,
    },
}

impl StoreError {
    pub(crate) fn from_sql(path: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(Code::NotADatabase | Code::DatabaseCorrupt) => Self::Corrupt { path, message: error.to_string() },
            Some(
                Code::ReadOnly | Code::DiskFull | Code::SystemIoFailure | Code::PermissionDenied | Code::CannotOpen,
            ) => Self::NotWritable { path, message: error.to_string() },
            _ => Self::Sql { path, cause: Arc::new(error) },
        }
    }
}

/// One open database. Cheap to clone; the writer thread ends with the last clone, after the writes
/// that were queued.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    rollbacks: Arc<AtomicU64>,
}

const KEPT_READERS: usize = 4;
/// How long the log of a database that [shrinks](Options::shrinks) is, in bytes, but for a moment after much was written at once.
pub const SHORT_LOG: u64 = 4 << 20;
/// Room that is needed to make a file anew, beside two copies of what is in it.
const SPARE: u64 = 16 << 20;
/// `PRAGMA auto_vacuum`: pages that are free are given back when that is asked for.
const INCREMENTAL: i64 = 2;

impl Db {
    /// Opens or makes the database at `path` (mode 0600, its folder 0700) and brings its schema up to
    /// date: `migrations[n]` leads from schema `n` to `n + 1`, each in one transaction. A migration
    /// that was released is never edited.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be made, is exposed to others, damaged, read-only or too new.
    pub fn open(path: &Path, migrations: &[&str], options: Options) -> Result<Self, StoreError> {
        private_file(path)?;
        let prepare = || {
            prepare(path, migrations, options).map_err(|error| match error {
                Prepare::Sql(error) => StoreError::from_sql(path, error),
                Prepare::TooNew(found) => StoreError::TooNew { path: path.to_owned(), found, known: migrations.len() },
            })
        };
        let mut connection = prepare()?;
        if options.durability == Durability::Full {
            // SQLite lets go of its log with the last connection; it throws away one that it finds beside an empty file.
            drop(connection);
            if let Err(error) = wal::reserve(path) {
                tracing::warn!(path = %path.display(), %error, "no room is kept for the log: each commit makes it longer");
            }
            connection = prepare()?;
        }
        if options.shrinks && soften(path, &connection).map_err(|error| StoreError::from_sql(path, error))? {
            connection = prepare()?;
        }
        let rollbacks = Arc::new(AtomicU64::new(0));
        let writer = Writer::start(path, connection, options, rollbacks.clone())?;
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), writer, readers: Mutex::default(), rollbacks }) })
    }

    /// Rewrites the whole file and empties its write-ahead log, so that of what was deleted no trace is
    /// left in either (overwriting alone misses copies that the tree of pages moved). Writers wait
    /// meanwhile: about a second per 100 MB, and it takes room for two more copies of what is in it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written, or the log stays in use.
    pub fn settle(&self) -> Result<(), StoreError> {
        let settle = || {
            let connection = Connection::open(&self.inner.path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.execute_batch("VACUUM")?;
            for _ in 0..50 {
                let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))?;
                if !busy {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None))
        };
        settle().map_err(|error| StoreError::from_sql(&self.inner.path, error))
    }

    /// Gives back at most so many free pages of a database that [shrinks](Options::shrinks); how many are free after that. The
    /// file is shorter once the log was moved into it: see [`Db::checkpoint`].
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn shrink(&self, most: u32) -> Result<u64, StoreError> {
        let work = move |connection: &Connection| {
            if most > 0 {
                // It gives back one page with each step.
                connection.pragma(None, "incremental_vacuum", most, |_| Ok(()))?;
            }
            pragma(connection, "freelist_count")
        };
        self.write(work).await
    }

    /// Moves what is in the log into the database, as far as no reader needs it there. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let checkpoint = || {
            let connection = Connection::open(&self.inner.path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)")
        };
        checkpoint().map_err(|error| StoreError::from_sql(&self.inner.path, error))
    }

    /// Bytes of the database that are in use, that are free in it, and that its files take on the disk, the log included.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn sizes(&self) -> Result<Sizes, StoreError> {
        let (pages, free, page) = self.read(|connection| {
            let number = |name| pragma(connection, name);
            Ok((number("page_count")?, number("freelist_count")?, number("page_size")?))
        })?;
        let length = |end: &str| match std::fs::metadata(wal::beside(&self.inner.path, end)) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(cause) => Err(StoreError::File { path: self.inner.path.clone(), cause: Arc::new(cause) }),
        };
        let files = length("")? + length("-wal")? + length("-shm")?;
        Ok(Sizes { used: pages.saturating_sub(free) * page, free: free * page, page, files })
    }

    /// Whether [`Db::shrink`] can do something: not in a file that was made without [`Options::shrinks`], and for which there was
    /// no room when it was opened.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn can_shrink(&self) -> Result<bool, StoreError> {
        self.read(|connection| Ok(pragma(connection, "auto_vacuum")? == INCREMENTAL as u64))
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `work` on the writer thread and returns once it is committed. Work that fails is undone
    /// alone; others in the same commit are not touched.
    ///
    /// # Errors
    /// [`StoreError`] when `work` failed or the commit did; then nothing of it is in the database.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.run(work).await
    }

    /// [`Db::write`] for callers outside async code. Blocks for about one disk flush.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.run_blocking(work)
    }

    /// Queues `work` and does not wait, not even for a place in a full queue; `then` is told on the writer thread what
    /// became of it. For what is written from a `drop`, to end what was begun with another write.
    pub fn write_later<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        self.inner.writer.run_later(work, then);
    }

    /// [`Db::write_later`] for async callers: waits for a place in the queue, not for the commit. Once
    /// this returns, `then` is called even if nobody waits any longer.
    pub async fn write_then<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        self.inner.writer.run_then(work, then).await;
    }

    /// Reads on the caller's thread, beside the writer, seeing what is committed.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let kept = self.readers().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open_read_only(&self.inner.path)?,
        };
        let outcome = query(&connection).map_err(|error| StoreError::from_sql(&self.inner.path, error));
        let mut readers = self.readers();
        if readers.len() < KEPT_READERS {
            readers.push(connection);
        }
        outcome
    }

    /// How often written work was undone, for code that runs on the writer thread.
    pub fn rollback_counter(&self) -> Arc<AtomicU64> {
        self.inner.rollbacks.clone()
    }

    /// How often written work was undone. State kept in memory beside the database is stale once this
    /// number changes, and is then read anew.
    pub fn rollbacks(&self) -> u64 {
        self.inner.rollbacks.load(Ordering::Acquire)
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a file anew that was made without [`Options::shrinks`]. Whether it did. Only while nobody else has it open: how a file
/// is laid out is looked at when it is opened.
fn soften(path: &Path, connection: &Connection) -> rusqlite::Result<bool> {
    if pragma(connection, "auto_vacuum")? == INCREMENTAL as u64 {
        return Ok(false);
    }
    let used = (pragma(connection, "page_count")?.saturating_sub(pragma(connection, "freelist_count")?))
        * pragma(connection, "page_size")?;
    let needed = used.saturating_mul(2).saturating_add(SPARE);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let room = rustix::fs::statvfs(dir).map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    let (path, from) = (path.display(), std::time::Instant::now());
    if room.is_ok_and(|room| room < needed) {
        tracing::warn!(needed, "{path} does not become shorter: to make it anew, the disk has too little room");
        return Ok(false);
    }
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    match connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)") {
        Ok(()) => tracing::info!(took = ?from.elapsed(), "{path} was made anew: it becomes shorter from now on"),
        Err(error) => tracing::warn!(%error, "{path} does not become shorter: it could not be made anew"),
    }
    Ok(true)
}

/// How large a database is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Pages that hold something.
    pub used: u64,
    /// Pages that hold nothing, and are in the file.
    pub free: u64,
    /// One page.
    pub page: u64,
    /// The files on the disk.
    pub files: u64,
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let number: i64 = connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// Opens a database that may be in use by another process, for reading only. Makes nothing.
///
/// # Errors
/// [`StoreError`] when there is none, or it is damaged.
pub fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    if let Err(cause) = std::fs::metadata(path) {
        return Err(StoreError::File { path: path.to_owned(), cause: Arc::new(cause) });
    }
    open().map_err(|error| StoreError::from_sql(path, error))
}

enum Prepare {
    Sql(rusqlite::Error),
    TooNew(usize),
}

impl From<rusqlite::Error> for Prepare {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

fn prepare(path: &Path, migrations: &[&str], options: Options) -> Result<Connection, Prepare> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    if options.shrinks {
        // Before anything is in the file, the mark of the log too; in one that has something it changes nothing.
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    if options.shrinks {
        connection.pragma_update(None, "journal_size_limit", SHORT_LOG as i64)?;
    }
    let level = match options.durability {
        Durability::Normal => "NORMAL",
        Durability::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", level)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS migration(version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")?;
    let found: u32 = connection.query_row("SELECT coalesce(max(version), 0) FROM migration", [], |row| row.get(0))?;
    let found = found as usize;
    if found > migrations.len() {
        return Err(Prepare::TooNew(found));
    }
    for (index, sql) in migrations.iter().enumerate().skip(found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO migration VALUES (?1, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
            [(index + 1) as u32],
        )?;
        transaction.commit()?;
    }
    // A database that cannot be written is found out now, not at the first disclosure.
    connection.execute_batch("BEGIN IMMEDIATE; UPDATE migration SET version = version; COMMIT")?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
