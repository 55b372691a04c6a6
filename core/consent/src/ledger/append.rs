//! How records get into the ledger. Everything but the place in the tree is made on the caller's
//! thread; the writer thread gives the place and commits many records together.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use accord_store::rusqlite::{self, Connection, params};
use tokio::sync::oneshot;

use super::{
    Checkpoint, Ledger, LedgerError, RecordKind, Sink,
    record::{Details, Draft, Prepared},
    stored_node, stored_size,
    tree::Frontier,
};
use crate::Signer;

/// The edge of the stored tree, kept beside the database; read anew after any write was undone.
pub(super) struct Tree {
    rollbacks: Arc<AtomicU64>,
    kept: Mutex<Option<(u64, Frontier)>>,
}

impl Tree {
    pub fn new(rollbacks: Arc<AtomicU64>) -> Self {
        Self { rollbacks, kept: Mutex::default() }
    }

    /// Runs on the writer thread, inside the transaction.
    fn with<T>(
        &self,
        connection: &Connection,
        change: impl FnOnce(&mut Frontier) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let undone = self.rollbacks.load(Ordering::Acquire);
        let mut frontier = match kept.take() {
            Some((at, frontier)) if at == undone => frontier,
            _ => Frontier::load(stored_size(connection)?, |level, index| stored_node(connection, level, index))?,
        };
        let value = change(&mut frontier)?;
        *kept = Some((undone, frontier));
        Ok(value)
    }

    fn insert(&self, connection: &Connection, record: &Prepared) -> rusqlite::Result<u64> {
        self.with(connection, |frontier| {
            let seq = frontier.size();
            let public = &record.public;
            connection
                .prepare_cached(
                    "INSERT INTO record(seq, kind, entry, refers, leaf, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    seq as i64,
                    public.kind.as_str(),
                    public.entry.as_ref().map(|entry| entry.as_str()),
                    public.refers.map(|seq| seq as i64),
                    record.leaf,
                    record.hash.0
                ])?;
            if let Some(side) = &record.details {
                connection.prepare_cached("INSERT INTO details VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                    seq as i64,
                    side.recipient,
                    side.salt,
                    side.body
                ])?;
            }
            match (public.kind, public.refers) {
                (RecordKind::Intent, _) => {
                    connection.prepare_cached("INSERT INTO open_intent VALUES (?1)")?.execute([seq as i64])?;
                }
                (RecordKind::Sent | RecordKind::Error, Some(intent)) if !public.goes_on => {
                    connection.prepare_cached("DELETE FROM open_intent WHERE seq = ?1")?.execute([intent as i64])?;
                }
                _ => {}
            }
            let mut nodes = Vec::new();
            frontier.push(record.hash, |level, index, hash| nodes.push((level, index, hash)));
            for (level, index, hash) in nodes {
                connection.prepare_cached("INSERT INTO node VALUES (?1, ?2, ?3)")?.execute(params![
                    level,
                    index as i64,
                    hash.0
                ])?;
            }
            Ok(seq)
        })
    }

    /// Signs the head and records the signature, unless the last record already is one.
    fn checkpoint(&self, connection: &Connection, origin: &str, signer: &dyn Signer) -> rusqlite::Result<Option<u64>> {
        let (size, root) = self.with(connection, |frontier| Ok((frontier.size(), frontier.root())))?;
        let last: Option<String> = match size {
            0 => return Ok(None),
            _ => {
                connection.query_row("SELECT kind FROM record WHERE seq = ?1", [size as i64 - 1], |row| row.get(0)).ok()
            }
        };
        if last.as_deref() == Some(RecordKind::Checkpoint.as_str()) {
            return Ok(None);
        }
        let mut draft = Draft::new(RecordKind::Checkpoint);
        draft.public.fingerprint = Some(data_encoding::HEXLOWER.encode(&signer.public()));
        draft.public.note = Some(Checkpoint::sign(origin, size, root, signer).note().to_owned());
        self.insert(connection, &draft.prepare()).map(Some)
    }
}

impl Ledger {
    /// Durable once this returns. If the caller stops waiting, an intent is closed as an error.
    pub(crate) async fn append(&self, draft: Draft) -> Result<u64, LedgerError> {
        let record = draft.prepare();
        let kind = record.public.kind;
        let (db, tree) = match &self.inner.sink {
            Sink::Stored { db, tree } => (db, tree.clone()),
            #[cfg(feature = "volatile")]
            Sink::Memory(tree) => return Ok(forgetful(tree, &record)),
        };
        let (tell, told) = oneshot::channel();
        let ledger = self.clone();
        let work = move |connection: &Connection| tree.insert(connection, &record);
        db.write_then(work, move |outcome| {
            if let Ok(seq) = outcome {
                ledger.told(kind, seq);
            }
            if let Err(Ok(intent)) = tell.send(outcome)
                && kind == RecordKind::Intent
            {
                ledger.append_later(broken_off(intent, "given up before the first byte"));
            }
        })
        .await;
        match told.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(LedgerError::Store(accord_store::StoreError::Closed { path: self.inner.path.clone() })),
        }
    }

    pub(crate) fn append_blocking(&self, draft: Draft) -> Result<u64, LedgerError> {
        let record = draft.prepare();
        let kind = record.public.kind;
        let (db, tree) = match &self.inner.sink {
            Sink::Stored { db, tree } => (db, tree.clone()),
            #[cfg(feature = "volatile")]
            Sink::Memory(tree) => return Ok(forgetful(tree, &record)),
        };
        let seq = db.write_blocking(move |connection| tree.insert(connection, &record))?;
        self.told(kind, seq);
        Ok(seq)
    }

    pub(crate) fn append_later(&self, draft: Draft) {
        let record = draft.prepare();
        let kind = record.public.kind;
        let (db, tree) = match &self.inner.sink {
            Sink::Stored { db, tree } => (db, tree.clone()),
            #[cfg(feature = "volatile")]
            Sink::Memory(tree) => {
                forgetful(tree, &record);
                return;
            }
        };
        let ledger = self.clone();
        let work = move |connection: &Connection| tree.insert(connection, &record);
        db.write_later(work, move |outcome| {
            if let Ok(seq) = outcome {
                ledger.told(kind, seq);
            }
        });
    }

    /// Signs the head if anything was recorded since the last checkpoint; the newest checkpoint, if any.
    ///
    /// # Errors
    /// [`LedgerError`] when it cannot be written.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, LedgerError> {
        let (db, tree) = self.stored()?;
        let (tree, origin, signer) = (tree.clone(), self.inner.origin.clone(), self.inner.signer.clone());
        let made = db.write_blocking(move |connection| tree.checkpoint(connection, &origin, &*signer))?;
        if let Some(seq) = made {
            self.told(RecordKind::Checkpoint, seq);
        }
        self.last_checkpoint()
    }

    /// Erases the details of these records (names, addresses, digests) and says so in the ledger. The
    /// tree stays whole: its leaves hold only salted hashes of what is erased. Intents that are still
    /// open keep theirs. How many were erased.
    ///
    /// # Errors
    /// [`LedgerError`] when it cannot be written; then nothing is erased.
    pub fn erase(&self, records: &[u64]) -> Result<u64, LedgerError> {
        let (db, tree) = self.stored()?;
        let (tree, wanted) = (tree.clone(), records.to_vec());
        let told = db.write_blocking(move |connection| {
            let mut told = Vec::new();
            for seq in wanted {
                let gone = connection
                    .prepare_cached("DELETE FROM details WHERE seq = ?1 AND seq NOT IN (SELECT seq FROM open_intent)")?
                    .execute([seq as i64])?;
                if gone == 1 {
                    let mut draft = Draft::new(RecordKind::Erased);
                    draft.public.refers = Some(seq);
                    told.push(tree.insert(connection, &draft.prepare())?);
                }
            }
            Ok(told)
        })?;
        db.settle()?;
        told.iter().for_each(|seq| self.told(RecordKind::Erased, *seq));
        Ok(told.len() as u64)
    }

    /// Intents that a crash left open are closed, so that none looks as if it were still running.
    pub(super) fn close_interrupted(&self) -> Result<(), LedgerError> {
        let open = self.db()?.read(|connection| {
            let mut open = connection.prepare("SELECT seq FROM open_intent ORDER BY seq")?;
            open.query_map([], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()
        })?;
        for seq in open {
            self.append_blocking(broken_off(
                seq as u64,
                "interrupted: the hub ended before this was closed; how much left is not known",
            ))?;
        }
        Ok(())
    }
}

fn broken_off(intent: u64, why: &str) -> Draft {
    let mut draft = Draft::new(RecordKind::Error);
    draft.public.refers = Some(intent);
    draft.details = Some(Details { message: Some(why.to_owned()), ..Details::default() });
    draft
}

#[cfg(feature = "volatile")]
fn forgetful(tree: &Mutex<Frontier>, record: &Prepared) -> u64 {
    let mut tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
    tree.push(record.hash, |_, _, _| {});
    tree.size() - 1
}
