//! The owner's decisions on disk. A record that cannot be read, or is not as it was written, is a no.

use accord_model::EntryKey;
use accord_store::{
    Db, Durability, Options, StoreError,
    rusqlite::{self, params},
};
use sha2::{Digest, Sha256};
use std::path::Path;

use crate::{Consent, To};

const SCHEMA: &[&str] = &["
CREATE TABLE consent(entry TEXT NOT NULL, recipient TEXT NOT NULL, body BLOB NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY(entry, recipient));
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"];

const NEXT: &str = "next";

/// Largest record that is read, in bytes.
const MAX_BODY: usize = 1 << 20;

pub(crate) struct Consents {
    db: Db,
}

/// What a damaged record still says of itself.
pub(crate) struct Damaged {
    pub entry: Option<EntryKey>,
    pub to: Option<To>,
}

impl Consents {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let options = Options { durability: Durability::Full, ..Options::default() };
        Ok(Self { db: Db::open(path, SCHEMA, options)? })
    }

    pub fn load(&self) -> Result<(Vec<Consent>, Vec<Damaged>), StoreError> {
        let rows = self.db.read(|connection| {
            let mut all = connection.prepare("SELECT CAST(entry AS BLOB), CAST(recipient AS BLOB), CAST(body AS BLOB), CAST(digest AS BLOB) FROM consent")?;
            let rows = all.query_map([], |row| {
                let text = |column| row.get::<_, Vec<u8>>(column);
                Ok((text(0)?, text(1)?, text(2)?, text(3)?))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        })?;
        let (mut good, mut damaged) = (Vec::new(), Vec::new());
        for (entry, to, body, digest) in rows {
            match parse(&entry, &to, &body, &digest) {
                Some(consent) => good.push(consent),
                None => damaged.push(Damaged {
                    entry: String::from_utf8(entry).ok().and_then(|entry| EntryKey::new(entry).ok()),
                    to: String::from_utf8(to).ok().and_then(|to| to.parse().ok()),
                }),
            }
        }
        Ok((good, damaged))
    }

    pub fn discard_damaged(&self) -> Result<(), StoreError> {
        self.db.write_blocking(|connection| {
            let sql = "SELECT rowid, CAST(entry AS BLOB), CAST(recipient AS BLOB), CAST(body AS BLOB), CAST(digest AS BLOB) FROM consent";
            let mut all = connection.prepare(sql)?;
            let mut rows = all.query([])?;
            let mut damaged: Vec<i64> = Vec::new();
            while let Some(row) = rows.next()? {
                let bytes = |column| row.get::<_, Vec<u8>>(column);
                if parse(&bytes(1)?, &bytes(2)?, &bytes(3)?, &bytes(4)?).is_none() {
                    damaged.push(row.get(0)?);
                }
            }
            damaged.iter().try_for_each(|row| connection.execute("DELETE FROM consent WHERE rowid = ?1", [row]).map(drop))
        })
    }

    pub fn save(&self, consents: &[Consent]) -> Result<(), StoreError> {
        let rows: Vec<_> = consents.iter().map(Row::of).collect();
        self.db.write_blocking(move |connection| rows.iter().try_for_each(|row| row.insert(connection)))
    }

    pub async fn save_one(&self, consent: &Consent) -> Result<(), StoreError> {
        let row = Row::of(consent);
        self.db.write(move |connection| row.insert(connection)).await
    }

    /// Removes one decision, and keeps in mind which number comes next.
    pub fn forget(&self, entry: &EntryKey, to: &To, next: u64) -> Result<(), StoreError> {
        let (entry, to) = (entry.to_string(), to.to_string());
        self.db.write_blocking(move |connection| {
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![NEXT, next.to_string()])?;
            connection.execute("DELETE FROM consent WHERE entry = ?1 AND recipient = ?2", params![entry, to]).map(drop)
        })
    }

    /// The number that comes next, if any decision was forgotten.
    pub fn next(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.meta(NEXT)?.and_then(|next| next.parse().ok()))
    }

    pub fn meta(&self, key: &'static str) -> Result<Option<String>, StoreError> {
        self.db.read(|connection| {
            match connection.query_row("SELECT CAST(value AS TEXT) FROM meta WHERE key = ?1", [key], |row| row.get(0)) {
                Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
                outcome => outcome.map(Some),
            }
        })
    }

    pub fn set_meta(&self, key: &'static str, value: String) -> Result<(), StoreError> {
        self.db.write_blocking(move |connection| {
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![key, value]).map(drop)
        })
    }
}

struct Row {
    entry: String,
    to: String,
    body: Vec<u8>,
    digest: [u8; 32],
}

impl Row {
    fn of(consent: &Consent) -> Self {
        let (entry, to) = (consent.entry.to_string(), consent.to.to_string());
        let body = serde_json::to_vec(consent).expect("a consent is plain data");
        Self { digest: digest(entry.as_bytes(), to.as_bytes(), &body), entry, to, body }
    }
    fn insert(&self, connection: &rusqlite::Connection) -> rusqlite::Result<()> {
        connection
            .prepare_cached("INSERT OR REPLACE INTO consent VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![self.entry, self.to, self.body, self.digest])
            .map(drop)
    }
}

/// Over all columns, so that a flipped bit in any of them shows.
fn digest(entry: &[u8], to: &[u8], body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [entry, to, body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Reads one stored record; `None` for whatever is not exactly what was written. Made for a fuzz target.
pub(crate) fn parse(entry: &[u8], to: &[u8], body: &[u8], found: &[u8]) -> Option<Consent> {
    if body.len() > MAX_BODY || found != digest(entry, to, body) {
        return None;
    }
    let consent: Consent = serde_json::from_slice(body).ok()?;
    (consent.entry.as_str().as_bytes() == entry && consent.to.to_string().as_bytes() == to).then_some(consent)
}

/// The bytes as a whole row, and as a body whose digest is right.
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == 0);
    let [entry, to, found, body] = [(); 4].map(|()| parts.next().unwrap_or_default());
    let _ = parse(entry, to, body, found);
    if let Some(consent) = parse(entry, to, body, &digest(entry, to, body)) {
        let row = Row::of(&consent);
        let again = parse(row.entry.as_bytes(), row.to.as_bytes(), &row.body, &row.digest);
        assert_eq!(again.map(|consent| consent.id), Some(consent.id), "what is read can be written and read again");
    }
}
