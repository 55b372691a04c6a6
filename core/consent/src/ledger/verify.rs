//! The check of a ledger by anyone who has the file: no hub, no keys but public ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use accord_store::{StoreError, open_read_only, rusqlite};

use super::{
    Checkpoint, LedgerError, RecordKind, hash_column,
    read::Stored,
    record, stored_node,
    tree::{self, Frontier, Hash},
};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many records were hashed again.
    pub records: u64,
    /// How many checkpoints were signed and fit.
    pub checkpoints: u64,
    /// How many heads that other devices saw fit.
    pub witnesses: u64,
    /// The root over all records.
    pub root: Hash,
    /// What is wrong, in the order of the records.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    /// True when nothing is wrong.
    pub fn ok(&self) -> bool {
        self.problems.is_empty()
    }
    /// The first record that is not as it was written.
    pub fn first_bad(&self) -> Option<u64> {
        self.problems.iter().filter_map(|problem| problem.seq).min()
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", seq.map(|seq| format!("record {seq}: ")).unwrap_or_default())]
pub struct Problem {
    /// The first record concerned.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: String,
}

const MOST_PROBLEMS: usize = 100;

/// Hashes every record again and checks order, details, the stored tree, every checkpoint's signature
/// and root, and every head that another device saw. With `key`, checkpoints must be signed by it;
/// without, by the key they name themselves.
///
/// # Errors
/// [`LedgerError`] when the file cannot be read at all. What is wrong inside is in the report.
pub fn verify(path: &Path, key: Option<&[u8; 32]>) -> Result<VerifyReport, LedgerError> {
    let connection = open_read_only(path)?;
    let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            LedgerError::Store(StoreError::Corrupt { path: path.to_owned(), message: cause.to_string() })
        }
        _ => LedgerError::Store(StoreError::Sql { path: path.to_owned(), cause: Arc::new(cause) }),
    };
    let connection = connection.unchecked_transaction().map_err(failed)?;
    let mut check = Check {
        report: VerifyReport { records: 0, checkpoints: 0, witnesses: 0, root: Hash::empty(), problems: Vec::new() },
        frontier: Frontier::default(),
        key,
        without_details: BTreeSet::new(),
        intents: BTreeSet::new(),
        roots: BTreeMap::new(),
    };
    let witnesses = witnesses(&connection).map_err(failed)?;
    check.roots = witnesses.iter().map(|witness| (witness.size, None)).collect();
    check.note_root();
    {
        let sql = "SELECT record.seq, leaf, hash, salt, body, kind, entry, refers FROM record LEFT JOIN details USING (seq) ORDER BY record.seq";
        let mut statement = connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let columns = (|| Ok((Stored::from_row(row)?, row.get(5)?, row.get(6)?, row.get(7)?)))();
            match columns {
                Ok((stored, kind, entry, refers)) => {
                    check.nodes(stored.seq, &connection);
                    check.record(&stored, kind, entry, refers);
                }
                Err(error) => {
                    let error: rusqlite::Error = error;
                    check.problem(Some(check.frontier.size()), format!("its row cannot be read: {error}"));
                    check.frontier.push(Hash::empty(), |_, _, _| {});
                }
            }
        }
    }
    for seq in std::mem::take(&mut check.without_details) {
        check.problem(Some(seq), "its details are gone, and no record says that they were erased".to_owned());
    }
    for witness in witnesses {
        check.witness(&witness);
    }
    let mut report = check.report;
    report.records = check.frontier.size();
    report.root = check.frontier.root();
    report.problems.sort_by_key(|problem| problem.seq.unwrap_or(u64::MAX));
    Ok(report)
}

struct Seen {
    peer: String,
    ours: bool,
    size: u64,
    root: Hash,
    note: String,
    key: [u8; 32],
}

fn witnesses(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<Seen>> {
    let mut statement =
        connection.prepare("SELECT peer, ours, size, root, note, key FROM witness ORDER BY peer, ours, size")?;
    let rows = statement.query_map([], |row| {
        Ok(Seen {
            peer: row.get(0)?,
            ours: row.get(1)?,
            size: row.get::<_, i64>(2)? as u64,
            root: hash_column(row, 3)?,
            note: row.get(4)?,
            key: row.get(5)?,
        })
    })?;
    rows.collect()
}

struct Check<'a> {
    report: VerifyReport,
    frontier: Frontier,
    key: Option<&'a [u8; 32]>,
    without_details: BTreeSet<u64>,
    intents: BTreeSet<u64>,
    roots: BTreeMap<u64, Option<Hash>>,
}

impl Check<'_> {
    fn problem(&mut self, seq: Option<u64>, what: String) {
        if self.report.problems.len() < MOST_PROBLEMS {
            self.report.problems.push(Problem { seq, what });
        }
    }

    fn record(&mut self, stored: &Stored, kind: String, entry: Option<String>, refers: Option<i64>) {
        let expected = self.frontier.size();
        if stored.seq != expected {
            self.problem(Some(expected.min(stored.seq)), format!("expected record {expected}, found {}", stored.seq));
        }
        let hash = tree::leaf_hash(&stored.leaf);
        if stored.hash != hash.0 {
            self.problem(Some(stored.seq), "it was changed: its hash does not fit".to_owned());
        }
        let side = stored.side.as_ref().map(|(salt, body)| (salt.as_slice(), body.as_slice()));
        match record::parse(&stored.leaf, side) {
            Err(error) => self.problem(Some(stored.seq), error.to_string()),
            Ok((public, _)) => {
                let same_columns = kind == public.kind.as_str()
                    && entry.as_deref() == public.entry.as_ref().map(|entry| entry.as_str())
                    && refers == public.refers.map(|seq| seq as i64);
                if !same_columns {
                    self.problem(Some(stored.seq), "its index does not fit its content".to_owned());
                }
                if public.details_hash.is_some() && side.is_none() {
                    self.without_details.insert(stored.seq);
                }
                self.kind(stored.seq, &public);
            }
        }
        self.frontier.push(hash, |_, _, _| {});
        self.note_root();
    }

    fn kind(&mut self, seq: u64, public: &record::Public) {
        match (public.kind, public.refers) {
            (RecordKind::Intent, _) => drop(self.intents.insert(seq)),
            (RecordKind::Sent | RecordKind::Error, Some(intent)) => {
                if !self.intents.contains(&intent) {
                    self.problem(Some(seq), format!("it closes record {intent}, which is no open intent"));
                } else if !public.goes_on {
                    self.intents.remove(&intent);
                }
            }
            (RecordKind::Sent, None) => self.problem(Some(seq), "something was sent without an intent".to_owned()),
            (RecordKind::Erased, Some(erased)) => drop(self.without_details.remove(&erased)),
            (RecordKind::Checkpoint, _) => self.checkpoint(seq, public),
            _ => {}
        }
    }

    fn checkpoint(&mut self, seq: u64, public: &record::Public) {
        let named = public.fingerprint.as_deref().and_then(|key| data_encoding::HEXLOWER.decode(key.as_bytes()).ok());
        let named: Option<[u8; 32]> = named.and_then(|key| key.try_into().ok());
        let Some(key) = self.key.copied().or(named) else {
            return self.problem(Some(seq), "the checkpoint names no key".to_owned());
        };
        let read = Checkpoint::parse(public.note.as_deref().unwrap_or_default());
        match read.and_then(|told| told.verify(&key).map(|()| told)) {
            Err(error) => self.problem(Some(seq), error.to_string()),
            Ok(told) if told.size != self.frontier.size() || told.root != self.frontier.root() => {
                self.problem(Some(seq), "what was signed here is not what stands before it".to_owned());
            }
            Ok(_) => self.report.checkpoints += 1,
        }
    }

    /// The stored inner nodes that record `seq` completed.
    fn nodes(&mut self, seq: u64, connection: &rusqlite::Connection) {
        let mut probe = self.frontier.clone();
        let Ok(hash) = stored_node(connection, 0, seq) else { return };
        let mut wrong = false;
        probe.push(hash, |level, index, hash| wrong |= stored_node(connection, level, index).ok() != Some(hash));
        if wrong {
            self.problem(Some(seq), "the stored tree does not fit the records".to_owned());
        }
    }

    fn note_root(&mut self) {
        if let Some(place) = self.roots.get_mut(&self.frontier.size()) {
            *place = Some(self.frontier.root());
        }
    }

    fn witness(&mut self, seen: &Seen) {
        let told = match Checkpoint::parse(&seen.note).and_then(|told| told.verify(&seen.key).map(|()| told)) {
            Ok(told) if told.size == seen.size && told.root == seen.root => told,
            Ok(_) | Err(_) => {
                return self.problem(
                    None,
                    format!("the head that {} witnessed at {} records is damaged", seen.peer, seen.size),
                );
            }
        };
        if !seen.ours {
            self.report.witnesses += 1;
            return;
        }
        match self.roots.get(&seen.size).copied().flatten() {
            Some(root) if root == told.root => self.report.witnesses += 1,
            Some(_) => {
                let what = format!("{} saw other records here or before; the history was changed", seen.peer);
                self.problem(Some(seen.size.saturating_sub(1)), what);
            }
            None => {
                let what = format!("{} saw {} records; the last of them are gone", seen.peer, seen.size);
                self.problem(Some(self.frontier.size()), what);
            }
        }
    }
}
