//! Reading the ledger: pages, search, proofs, export.

use std::{io::Write, sync::Arc};

use accord_model::{EntryKey, Timestamp};
use accord_store::{
    StoreError,
    rusqlite::{self, Row, params},
};

use super::{
    Checkpoint, Head, Ledger, LedgerError, Record, RecordKind, record, stored_node, stored_size,
    tree::{self, Hash},
};
use crate::RecipientId;

/// Which records are wanted; newest first.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only records that hold this text, in any case.
    pub search: Option<String>,
    /// Only this kind.
    pub kind: Option<RecordKind>,
    /// Only under this entry.
    pub entry: Option<EntryKey>,
    /// Only to this recipient.
    pub recipient: Option<RecipientId>,
    /// Only records before this one.
    pub before: Option<u64>,
    /// At most so many; 100 when absent, never more than 1000.
    pub limit: Option<usize>,
}

const COLUMNS: &str = "record.seq, leaf, hash, salt, body, kind FROM record LEFT JOIN details USING (seq)";

pub(super) struct Stored {
    pub seq: u64,
    pub leaf: Vec<u8>,
    pub hash: Vec<u8>,
    pub side: Option<(Vec<u8>, Vec<u8>)>,
    kind: Option<RecordKind>,
}

impl Stored {
    pub fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let salt: Option<Vec<u8>> = row.get(3)?;
        let body: Option<Vec<u8>> = row.get(4)?;
        let kind = row.get::<_, String>(5).ok().and_then(|kind| kind.parse().ok());
        Ok(Self { seq: row.get::<_, i64>(0)? as u64, leaf: row.get(1)?, hash: row.get(2)?, side: salt.zip(body), kind })
    }
    /// The record, or what is left of it.
    pub fn read_or_damaged(&self) -> Record {
        self.read().unwrap_or_else(|error| {
            let damaged = match error {
                LedgerError::Record { cause, .. } => cause.to_string(),
                error => error.to_string(),
            };
            let public = record::parse(&self.leaf, None).map(|(public, _)| public).unwrap_or_else(|_| {
                let mut public = record::Draft::new(self.kind.unwrap_or(RecordKind::Error)).public;
                public.time = Timestamp::UNIX_EPOCH;
                public
            });
            let hash = tree::leaf_hash(&self.leaf);
            Record { seq: self.seq, public, details: None, hash, damaged: Some(damaged) }
        })
    }
    pub fn read(&self) -> Result<Record, LedgerError> {
        let side = self.side.as_ref().map(|(salt, body)| (salt.as_slice(), body.as_slice()));
        let damaged = |cause| LedgerError::Record { seq: self.seq, cause };
        let (public, details) = record::parse(&self.leaf, side).map_err(damaged)?;
        let hash = tree::leaf_hash(&self.leaf);
        if self.hash != hash.0 {
            return Err(damaged(record::RecordError::Malformed("its hash does not fit".to_owned())));
        }
        Ok(Record { seq: self.seq, public, details, hash, damaged: None })
    }
}

impl Ledger {
    /// One page of records, newest first. One that is damaged says so, and hides no other.
    ///
    /// # Errors
    /// [`LedgerError`] when the database fails.
    pub fn list(&self, query: &Query) -> Result<Vec<Record>, LedgerError> {
        Ok(self.stored_page(query)?.iter().map(Stored::read_or_damaged).collect())
    }

    fn stored_page(&self, query: &Query) -> Result<Vec<Stored>, LedgerError> {
        let sql = format!(
            "SELECT {COLUMNS} WHERE (?1 IS NULL OR record.seq < ?1) AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR entry = ?3)
             AND (?4 IS NULL OR recipient = ?4 OR refers IN (SELECT seq FROM details WHERE recipient = ?4))
             AND (?5 IS NULL OR instr(lower(CAST(leaf AS TEXT)), ?5) OR instr(lower(CAST(body AS TEXT)), ?5))
             ORDER BY record.seq DESC LIMIT ?6"
        );
        Ok(self.db()?.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(
                params![
                    query.before.map(|seq| seq as i64),
                    query.kind.map(RecordKind::as_str),
                    query.entry.as_ref().map(EntryKey::as_str),
                    query.recipient.as_ref().map(RecipientId::as_str),
                    query.search.as_ref().map(|text| text.to_lowercase()),
                    query.limit.unwrap_or(100).min(1000) as i64
                ],
                Stored::from_row,
            )?;
            rows.collect::<Result<Vec<_>, _>>()
        })?)
    }

    /// One record.
    ///
    /// # Errors
    /// [`LedgerError::NoRecord`]; [`LedgerError`] when it is damaged or the database fails.
    pub fn get(&self, seq: u64) -> Result<Record, LedgerError> {
        let sql = format!("SELECT {COLUMNS} WHERE record.seq = ?1");
        let stored = self.db()?.read(|connection| {
            match connection.prepare_cached(&sql)?.query_row([seq as i64], Stored::from_row) {
                Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
                outcome => outcome.map(Some),
            }
        })?;
        stored.ok_or(LedgerError::NoRecord(seq))?.read()
    }

    /// How many records there are, the root over them, and when that was last signed.
    ///
    /// # Errors
    /// [`LedgerError`] when the database fails.
    pub fn head(&self) -> Result<Head, LedgerError> {
        let (size, root) = self.db()?.read(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            let size = stored_size(&snapshot)?;
            Ok((size, tree::root(size, |level, index| stored_node(&snapshot, level, index))?))
        })?;
        let signed = self.list(&Query { kind: Some(RecordKind::Checkpoint), limit: Some(1), ..Query::default() })?;
        Ok(Head { size, root, signed: signed.first().map(|record| record.public.time) })
    }

    /// The newest checkpoint that was signed.
    ///
    /// # Errors
    /// [`LedgerError`] when the database fails or the record is damaged.
    pub fn last_checkpoint(&self) -> Result<Option<Checkpoint>, LedgerError> {
        let last =
            self.stored_page(&Query { kind: Some(RecordKind::Checkpoint), limit: Some(1), ..Query::default() })?;
        let note = last.first().map(Stored::read).transpose()?.and_then(|record| record.public.note);
        note.map(|note| Checkpoint::parse(&note)).transpose().map_err(LedgerError::from)
    }

    /// The root over the first `size` records.
    ///
    /// # Errors
    /// [`LedgerError`] when there are fewer, or the database fails.
    pub fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        self.in_tree(size, |node| tree::root(size, node))
    }

    /// Proof that record `seq` is under the root of the first `size` records; see
    /// [`tree::verify_inclusion`].
    ///
    /// # Errors
    /// [`LedgerError`] when there are fewer, or the database fails.
    pub fn prove_inclusion(&self, seq: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        if seq >= size {
            return Err(LedgerError::NoRecord(seq));
        }
        self.in_tree(size, |node| tree::inclusion(seq, size, node))
    }

    /// Proof that the first `old` records are a prefix of the first `new`; see
    /// [`tree::verify_consistency`].
    ///
    /// # Errors
    /// [`LedgerError`] when there are fewer, or the database fails.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        self.in_tree(new.max(old), |node| tree::consistency(old, new, node))
    }

    fn in_tree<T>(
        &self,
        size: u64,
        make: impl FnOnce(&mut dyn FnMut(u32, u64) -> rusqlite::Result<Hash>) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let made = self.db()?.read(|connection| {
            if size > stored_size(connection)? {
                return Ok(None);
            }
            make(&mut |level, index| stored_node(connection, level, index)).map(Some)
        })?;
        made.ok_or(LedgerError::NoRecord(size.saturating_sub(1)))
    }

    /// Writes every record as one line of JSON, with all that is needed to hash it again: the leaf as it
    /// is hashed, and salt and details as the leaf commits to them. A damaged record is written as it is found. How
    /// many.
    ///
    /// # Errors
    /// [`LedgerError`] when the database or `to` fails.
    pub fn export(&self, to: &mut dyn Write) -> Result<u64, LedgerError> {
        let sql = format!("SELECT {COLUMNS} ORDER BY record.seq");
        let connection = accord_store::open_read_only(&self.inner.path)?;
        let failed = |cause: rusqlite::Error| {
            LedgerError::Store(StoreError::Sql { path: self.inner.path.clone(), cause: Arc::new(cause) })
        };
        let mut statement = connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            let stored = Stored::from_row(row).map_err(failed)?;
            let record = stored.read_or_damaged();
            let side = stored.side.as_ref();
            let line = serde_json::json!({
                "record": record,
                "leaf": String::from_utf8_lossy(&stored.leaf),
                "salt": side.map(|(salt, _)| data_encoding::HEXLOWER.encode(salt)),
                "details": side.map(|(_, body)| String::from_utf8_lossy(body)),
            });
            writeln!(to, "{line}").map_err(|error| LedgerError::Export(Arc::new(error)))?;
            count += 1;
        }
        to.flush().map_err(|error| LedgerError::Export(Arc::new(error)))?;
        Ok(count)
    }
}
