use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

const SCHEMA: &[&str] = &["CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)"];

fn count(db: &Db) -> i64 {
    db.read(|c| c.query_row("SELECT count(*) FROM note", [], |row| row.get(0))).unwrap()
}

fn note(text: &str) -> impl FnOnce(&Connection) -> rusqlite::Result<usize> + Send + 'static {
    let text = text.to_owned();
    move |c| c.execute("INSERT INTO note(text) VALUES (?1)", [text])
}

#[test]
fn only_the_owner_can_open_what_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/inner/a.db");
    let db = Db::open(&path, SCHEMA, Options::default()).unwrap();
    db.write_blocking(note("x")).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.with_extension("db-wal")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_failed_write_is_undone_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&dir.path().join("a.db"), SCHEMA, Options::default()).unwrap();
    db.write_blocking(note("x")).unwrap();
    let error = db.write_blocking(|c| {
        c.execute("INSERT INTO note(text) VALUES ('y')", [])?;
        c.execute("INSERT INTO note(text) VALUES ('x')", [])
    });
    assert!(matches!(error, Err(StoreError::Sql { .. })));
    assert_eq!((count(&db), db.rollbacks()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_together_are_committed_together() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { durability: Durability::Full, queue: 64, ..Options::default() };
    let db = Db::open(&dir.path().join("a.db"), SCHEMA, options).unwrap();
    let writes = (0..500).map(|n| {
        let db = db.clone();
        tokio::spawn(async move { db.write(note(&n.to_string())).await })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
    assert_eq!(count(&db), 500);
}

#[test]
fn what_was_queued_is_written_before_the_database_closes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let db = Db::open(&path, SCHEMA, Options::default()).unwrap();
    for n in 0..100 {
        let write = note(&n.to_string());
        db.write_later(write, drop);
    }
    drop(db);
    assert_eq!(count(&Db::open(&path, SCHEMA, Options::default()).unwrap()), 100);
}

#[test]
fn a_damaged_file_is_named_as_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    std::fs::write(&path, vec![7u8; 8192]).unwrap();
    let error = Db::open(&path, SCHEMA, Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(matches!(open_read_only(&path), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_database_from_a_newer_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(Db::open(&path, &[SCHEMA[0], "CREATE TABLE b(x)"], Options::default()).unwrap());
    let error = Db::open(&path, SCHEMA, Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::TooNew { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_file_that_others_can_read_is_closed_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(Db::open(&path, SCHEMA, Options::default()).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(Db::open(&path, SCHEMA, Options::default()).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_symlink_in_place_of_the_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
    assert!(matches!(Db::open(&path, SCHEMA, Options::default()), Err(StoreError::File { .. })));
}

#[test]
fn a_full_database_answers_everyone_and_keeps_what_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&dir.path().join("a.db"), SCHEMA, Options::default()).unwrap();
    db.write_blocking(|c| c.pragma_update(None, "max_page_count", 8)).unwrap();
    let error = db.write_blocking(note(&"x".repeat(200_000)));
    assert!(matches!(error, Err(StoreError::NotWritable { .. })), "{error:?}");
    db.write_blocking(note("small")).unwrap();
    assert_eq!(count(&db), 1);
}

#[test]
fn what_is_written_later_never_waits_and_nothing_is_lost_while_the_queue_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let db = Db::open(&path, SCHEMA, Options { queue: 1, ..Options::default() }).unwrap();
    let busy = Connection::open(&path).unwrap();
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = std::time::Instant::now();
    for index in 0..50 {
        db.write_later(note(&index.to_string()), |outcome| assert!(outcome.is_ok()));
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
    let waiting = std::thread::spawn({
        let db = db.clone();
        move || db.write_blocking(note("waits for its place"))
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!waiting.is_finished());
    busy.execute_batch("COMMIT").unwrap();
    waiting.join().unwrap().unwrap();
    assert_eq!(count(&db), 51);
}

#[tokio::test]
async fn what_is_deleted_is_given_back_to_the_disk_also_by_a_file_of_before_once_it_was_made_anew() {
    for shrinks in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let db = Db::open(&path, SCHEMA, Options { shrinks, ..Options::default() }).unwrap();
        db.write_blocking(|c| {
            (0..2000).try_for_each(|n| {
                let text = format!("{n} {}", "x".repeat(2000));
                c.execute("INSERT INTO note(text) VALUES (?1)", [text]).map(drop)
            })
        })
        .unwrap();
        assert_eq!(db.can_shrink().unwrap(), shrinks);
        drop(db);
        let db = Db::open(&path, SCHEMA, Options { shrinks: true, ..Options::default() }).unwrap();
        assert!(db.can_shrink().unwrap());
        let full = std::fs::metadata(&path).unwrap().len();
        db.write_blocking(|c| c.execute("DELETE FROM note WHERE id > 100", [])).unwrap();
        db.checkpoint().unwrap();
        let Sizes { free, page, .. } = db.sizes().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), full, "not by itself");
        let pages = free / page;
        assert!(pages > 500, "{pages}");
        assert_eq!(db.shrink(100).await.unwrap(), pages - 100, "in steps");
        assert_eq!(db.shrink(u32::MAX).await.unwrap(), 0);
        db.checkpoint().unwrap();
        let sizes = db.sizes().unwrap();
        assert_eq!((std::fs::metadata(&path).unwrap().len(), sizes.free), (sizes.used, 0));
        assert!(sizes.used < full / 4 && sizes.files >= sizes.used, "{sizes:?} of {full}");
        assert_eq!(count(&db), 100);
    }
}
