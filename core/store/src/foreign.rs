//! A database that somebody else made, such as what an app keeps: read from memory, within bounds. It may be made to do harm, as
//! a database is a program too: its schema holds views, triggers and expressions.
//!
//! ```
//! # let mut made = accord_store::rusqlite::Connection::open_in_memory().unwrap();
//! # made.execute_batch("CREATE TABLE note(text TEXT); INSERT INTO note VALUES ('hello')").unwrap();
//! # let bytes = made.serialize("main").unwrap().to_vec();
//! use std::time::Duration;
//! let text: String = accord_store::read_foreign(bytes, Duration::from_secs(1), |connection| {
//!     connection.query_row("SELECT text FROM note", [], |row| row.get(0))
//! })
//! .unwrap();
//! assert_eq!(text, "hello");
//! ```

use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode};

/// Largest database of somebody else that is read.
pub const MAX_FOREIGN: usize = 1 << 20;
/// What every SQLite database begins with (SQLite's file format, 1.3.1).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where it says that it has a write-ahead log (1.3.3). In memory there is none, and SQLite would refuse it.
const VERSIONS: std::ops::RangeInclusive<usize> = 18..=19;
/// After so many steps the time is looked at.
const STEPS: i32 = 1000;

/// Bounds of what it makes SQLite do. What an app keeps has wide tables and long statements, and nothing nested.
const LIMITS: [(Limit, i32); 9] = [
    (Limit::SQLITE_LIMIT_LENGTH, MAX_FOREIGN as i32),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 64 * 1024),
    (Limit::SQLITE_LIMIT_COLUMN, 500),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 50),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 4),
    (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Why a database of somebody else was not read. Nothing of what is in it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// It is none.
    #[error("it is no SQLite database")]
    NoDatabase,
    /// It has more than [`MAX_FOREIGN`] bytes.
    #[error("a database of more than {} KiB is refused", MAX_FOREIGN / 1024)]
    TooLarge,
    /// It was not read in the time that was given.
    #[error("reading it took too long")]
    Late,
    /// It is damaged, or holds what is not read here.
    #[error("it is damaged or of a kind that is not read here")]
    Unreadable,
}

/// True for bytes that begin as a SQLite database does.
pub fn is_database(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Opens a database of somebody else, in memory and for reading alone, and asks it. Its views and triggers are off, its schema
/// may call nothing that has effects, and what takes longer than `within` ends. Blocks the caller's thread meanwhile.
///
/// # Errors
/// [`ForeignError`]; also when `query` fails.
pub fn read_foreign<T>(
    mut bytes: Vec<u8>,
    within: Duration,
    query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, ForeignError> {
    if !is_database(&bytes) {
        return Err(ForeignError::NoDatabase);
    }
    if bytes.len() > MAX_FOREIGN {
        return Err(ForeignError::TooLarge);
    }
    bytes.get_mut(VERSIONS).ok_or(ForeignError::NoDatabase)?.fill(1);
    let read = || {
        let mut connection = Connection::open_in_memory()?;
        for (limit, most) in LIMITS {
            connection.set_limit(limit, most)?;
        }
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        for off in [
            DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
            DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
            DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
        ] {
            connection.set_db_config(off, false)?;
        }
        connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY")?;
        let until = Instant::now() + within;
        connection.progress_handler(STEPS, Some(move || Instant::now() >= until))?;
        connection.deserialize_read_exact("main", bytes.as_slice(), bytes.len(), true)?;
        connection.execute_batch("PRAGMA query_only = ON")?;
        query(&connection)
    };
    read().map_err(|error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => ForeignError::Late,
        Some(ErrorCode::NotADatabase) => ForeignError::NoDatabase,
        _ => ForeignError::Unreadable,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn made(sql: &str) -> Vec<u8> {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        connection.serialize("main").unwrap().to_vec()
    }

    fn text(bytes: Vec<u8>, sql: &str) -> Result<String, ForeignError> {
        read_foreign(bytes, SECOND, |connection| connection.query_row(sql, [], |row| row.get(0)))
    }

    #[test]
    fn tables_are_read_also_of_one_that_had_a_log() {
        let mut bytes = made("CREATE TABLE note(text TEXT); INSERT INTO note VALUES ('hello')");
        assert_eq!(text(bytes.clone(), "SELECT text FROM note").unwrap(), "hello");
        bytes[VERSIONS].fill(2);
        assert_eq!(text(bytes, "SELECT text FROM note").unwrap(), "hello");
    }

    #[test]
    fn what_is_no_database_is_too_large_or_damaged_is_refused() {
        let bytes = made("CREATE TABLE note(text TEXT); INSERT INTO note VALUES ('hello')");
        for bad in [&b""[..], b"SQLite format 3", b"{}", b"SQLite format 3\0", b"SQLite format 3\0\x10\0\x02"] {
            assert!(matches!(text(bad.to_vec(), "SELECT 1"), Err(ForeignError::NoDatabase)), "{bad:?}");
        }
        let large = [bytes.clone(), vec![0; MAX_FOREIGN]].concat();
        assert_eq!(text(large, "SELECT text FROM note"), Err(ForeignError::TooLarge));
        assert_eq!(text(bytes[..4096].to_vec(), "SELECT text FROM note"), Err(ForeignError::Unreadable));
    }

    #[test]
    fn what_a_database_wants_to_be_done_is_not_done() {
        let bytes = made(
            "CREATE TABLE note(text TEXT, id INT); INSERT INTO note VALUES ('hello', 1);
             CREATE VIEW seen AS SELECT text FROM note;
             CREATE TRIGGER told AFTER UPDATE ON note BEGIN DELETE FROM note; END",
        );
        assert_eq!(text(bytes.clone(), "SELECT text FROM seen"), Err(ForeignError::Unreadable), "no views");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("made.db");
        let attach = format!("ATTACH '{}' AS other", file.display());
        for sql in ["DELETE FROM note", "CREATE TABLE more(x)", "UPDATE note SET text = ''", &attach] {
            let done = read_foreign(bytes.clone(), SECOND, |connection| connection.execute_batch(sql));
            assert_eq!(done, Err(ForeignError::Unreadable), "{sql}");
        }
        assert!(!file.exists());
    }

    #[test]
    fn what_never_ends_is_ended() {
        let endless =
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT CAST(max(x) AS TEXT) FROM n";
        let began = Instant::now();
        assert_eq!(text(made("CREATE TABLE note(text TEXT)"), endless), Err(ForeignError::Late));
        assert!(began.elapsed() < 5 * SECOND);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_damage_makes_it_fail_otherwise_than_with_an_error(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = made(
                "CREATE TABLE note(text TEXT, id INT); CREATE INDEX of_id ON note(id);
                 INSERT INTO note VALUES ('hello', 1), (hex(zeroblob(3000)), 2)",
            );
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let whole = text(bytes.clone(), "SELECT text FROM note ORDER BY id DESC");
            prop_assert!(!matches!(whole, Err(ForeignError::Late | ForeignError::TooLarge)));
            bytes.truncate(cut.index(bytes.len()));
            let _ = text(bytes, "SELECT text FROM note");
        }
    }
}
