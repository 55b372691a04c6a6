//! Room for the write-ahead log of a database whose commits are durable.
//!
//! Such a commit waits for the disk. Where the log grows, the file system writes its new length too, each time; a log that has its
//! length already costs the data alone. And what moves the log into the database waits for the disk twice more: that is done when
//! everyone has been answered.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The log is moved into the database after so many commits. One of the ledger's is about seven pages, with what its
/// indexes need.
pub(crate) const COMMITS: u32 = 32;
/// Room for those, in bytes.
const ROOM: usize = 1 << 20;

/// Makes the log of the database at `path`, if it has none, with room for what is to come. SQLite takes one that begins with no
/// header for an empty one, and writes over it from its beginning
/// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
pub(crate) fn reserve(path: &Path) -> Result<()> {
    let log = beside(path, "-wal");
    if log.exists() {
        return Ok(());
    }
    let draft = beside(path, "-wal.new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&vec![0; ROOM])?;
    file.sync_all()?;
    // Whole or not at all, and never in the place of one that another program has made meanwhile.
    let linked = fs::hard_link(&draft, &log);
    fs::remove_file(&draft)?;
    linked.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, Durability, Options};

    fn open(path: &Path) -> Db {
        let options = Options { durability: Durability::Full, ..Options::default() };
        Db::open(path, &["CREATE TABLE word(text TEXT)"], options).unwrap()
    }

    fn count(db: &Db) -> u32 {
        db.read(|connection| connection.query_row("SELECT count(*) FROM word", [], |row| row.get(0))).unwrap()
    }

    fn write(db: &Db, words: u32) {
        for _ in 0..words {
            db.write_blocking(|connection| connection.execute("INSERT INTO word VALUES ('a')", [])).unwrap();
        }
    }

    #[test]
    fn the_log_has_its_length_from_the_beginning_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, length) = (dir.path().join("a.db"), |name: &str| fs::metadata(dir.path().join(name)).unwrap().len());
        let db = open(&path);
        assert_eq!(length("a.db-wal"), ROOM as u64);
        write(&db, 10 * COMMITS);
        assert_eq!(length("a.db-wal"), ROOM as u64, "it was moved before it was full");
        // The one of the moment may still be at it.
        write(&db, 1);
        assert!(length("a.db") > 4096, "what was written was moved into the database");
        drop(db);
        assert!(!dir.path().join("a.db-wal.new").exists());
        assert_eq!(count(&open(&path)), 10 * COMMITS + 1);
    }

    #[test]
    fn what_a_crash_left_in_the_log_is_read_and_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("a.db"), dir.path().join("b.db"));
        let db = open(&path);
        write(&db, 3);
        // The files as a power cut leaves them.
        for end in ["", "-wal"] {
            fs::copy(beside(&path, end), beside(&copy, end)).unwrap();
        }
        assert_eq!(count(&open(&copy)), 3);
    }
}
