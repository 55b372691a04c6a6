//! Heads that paired devices keep for each other. A history that was changed after a device saw its
//! head cannot be made to fit what that device saw.

use accord_model::{DeviceId, Timestamp};
use accord_store::rusqlite::{self, params};

use super::{
    Checkpoint, Ledger, LedgerError, hash_column,
    tree::{self, Hash},
};

/// A head that a device keeps of ours, or we keep of a device's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Which device.
    pub peer: DeviceId,
    /// True for our head kept there, false for theirs kept here.
    pub ours: bool,
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// When we were told.
    pub time: Timestamp,
}

const KEPT_PER_PEER: i64 = 64;

impl Ledger {
    /// Keeps the head of a paired device's ledger. `key` is its statement key from pairing, `proof` what its
    /// [`Ledger::prove_consistency`] gives since [`Ledger::witness_note`]: once a head is kept, no other is taken
    /// that is not proven to continue it.
    ///
    /// # Errors
    /// [`LedgerError::Note`] when it is not signed by `key`; [`LedgerError::Rewritten`] when it
    /// contradicts what we were told before (the older head is kept as evidence).
    pub fn witness(&self, peer: &DeviceId, key: &[u8; 32], note: &str, proof: &[Hash]) -> Result<(), LedgerError> {
        let told = Checkpoint::parse(note)?;
        told.verify(key)?;
        let rewritten = |what: String| LedgerError::Rewritten { whose: peer.to_string(), what };
        if let Some(kept) = self.newest(peer, false)? {
            if told.size < kept.size {
                return Err(rewritten(format!("it had {} records and now shows {}", kept.size, told.size)));
            }
            if told.size == kept.size && told.root != kept.root {
                return Err(rewritten(format!("its first {} records are others than before", kept.size)));
            }
            let leads = tree::verify_consistency(kept.size, &kept.root, told.size, &told.root, proof);
            // gate-check: witness-proof
            if told.size > kept.size && !leads {
                let (old, new) = (kept.size, told.size);
                return Err(rewritten(format!(
                    "its {new} records are not proven to go on from the {old} shown before"
                )));
            }
        }
        self.keep(peer, false, &told, key)
    }

    /// Takes back a head of ours that a device kept, and checks our history against it.
    ///
    /// # Errors
    /// [`LedgerError::Note`] when we did not sign it; [`LedgerError::Rewritten`] when our ledger no
    /// longer leads to it. The head is kept in both cases that we signed it, so that
    /// [`verify`](super::verify) finds the same.
    pub fn witnessed(&self, peer: &DeviceId, note: &str) -> Result<(), LedgerError> {
        let told = Checkpoint::parse(note)?;
        let key = self.inner.signer.public();
        told.verify(&key)?;
        self.keep(peer, true, &told, &key)?;
        let whose = || "this device".to_owned();
        match self.root_at(told.size) {
            Ok(root) if root == told.root => Ok(()),
            Ok(_) => Err(LedgerError::Rewritten {
                whose: whose(),
                what: format!("{peer} saw other records among the first {}", told.size),
            }),
            Err(LedgerError::NoRecord(_)) => {
                Err(LedgerError::Rewritten { whose: whose(), what: format!("{peer} saw {} records", told.size) })
            }
            Err(error) => Err(error),
        }
    }

    /// Our newest signed head, with the proof that it continues `kept`, a head of ours that a device handed back
    /// ([`Ledger::witnessed`] checks that). `None` when nothing was signed yet. Where ours does not lead on from
    /// `kept` there is no proof to give, and it is empty.
    ///
    /// # Errors
    /// [`LedgerError`] when the database fails.
    pub fn head_since(&self, kept: Option<&str>) -> Result<Option<(Checkpoint, Vec<Hash>)>, LedgerError> {
        let Some(own) = self.last_checkpoint()? else { return Ok(None) };
        let since = kept.and_then(|note| Checkpoint::parse(note).ok()).map(|kept| kept.size);
        let proof = match since {
            Some(since) if since < own.size => self.prove_consistency(since, own.size)?,
            _ => Vec::new(),
        };
        Ok(Some((own, proof)))
    }

    /// The note that we keep of this device's head, for it to take back.
    ///
    /// # Errors
    /// [`LedgerError`] when the database fails.
    pub fn witness_note(&self, peer: &DeviceId) -> Result<Option<String>, LedgerError> {
        Ok(self.db()?.read(|connection| {
            let sql = "SELECT note FROM witness WHERE peer = ?1 AND ours = 0 ORDER BY size DESC LIMIT 1";
            optional(connection.query_row(sql, [peer.as_str()], |row| row.get(0)))
        })?)
    }

    /// The newest head per device and direction.
    ///
    /// # Errors
    /// [`LedgerError`] when the database fails.
    pub fn witnesses(&self) -> Result<Vec<Witness>, LedgerError> {
        Ok(self.db()?.read(|connection| {
            let sql = "SELECT peer, ours, max(size), root, time FROM witness GROUP BY peer, ours";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([], from_row)?.collect::<Result<Vec<_>, _>>()?;
            Ok(rows.into_iter().flatten().collect())
        })?)
    }

    fn newest(&self, peer: &DeviceId, ours: bool) -> Result<Option<Witness>, LedgerError> {
        Ok(self.db()?.read(|connection| {
            let sql = "SELECT peer, ours, size, root, time FROM witness WHERE peer = ?1 AND ours = ?2 ORDER BY size DESC LIMIT 1";
            optional(connection.query_row(sql, params![peer.as_str(), ours], from_row)).map(Option::flatten)
        })?)
    }

    fn keep(&self, peer: &DeviceId, ours: bool, told: &Checkpoint, key: &[u8; 32]) -> Result<(), LedgerError> {
        let (peer, told, key) = (peer.as_str().to_owned(), told.clone(), *key);
        self.db()?.write_blocking(move |connection| {
            let now = Timestamp::now().to_string();
            connection.execute(
                "INSERT OR IGNORE INTO witness VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![peer, ours, told.size as i64, told.root.0, told.note(), key, now],
            )?;
            connection.execute(
                "DELETE FROM witness WHERE peer = ?1 AND ours = ?2 AND size NOT IN
                 (SELECT size FROM witness WHERE peer = ?1 AND ours = ?2 ORDER BY size DESC LIMIT ?3)",
                params![peer, ours, KEPT_PER_PEER],
            )
        })?;
        Ok(())
    }
}

fn optional<T>(outcome: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match outcome {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Witness>> {
    let (peer, time): (String, String) = (row.get(0)?, row.get(4)?);
    let (size, root) = (row.get::<_, i64>(2)? as u64, hash_column(row, 3)?);
    let ours = row.get(1)?;
    Ok(DeviceId::new(peer).ok().zip(time.parse().ok()).map(|(peer, time)| Witness { peer, ours, size, root, time }))
}
