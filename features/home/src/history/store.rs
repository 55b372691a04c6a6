//! The rows on the disk. Raw values, five minutes and hours are three tables by series and time, without another index:
//! everything that is asked and thrown away is of one series and a range of time.

use std::path::Path;
use std::sync::Arc;

use accord_model::DeviceId;
use accord_store::rusqlite::{Connection, OptionalExtension, Result, params};
use accord_store::{Db, Options, Sizes, StoreError};

use super::gather::{Batch, Bucket, FIVE, HOUR, Kept};
use super::kinds::{Kind, Place, unit_word};

pub(crate) const MIGRATIONS: &[&str] = &["
CREATE TABLE series(
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, service TEXT NOT NULL, instance INTEGER NOT NULL, property TEXT NOT NULL,
    kind INTEGER NOT NULL, unit TEXT, UNIQUE(device, service, instance, property));
-- Milliseconds since 1970; no value: from then on nothing was known.
CREATE TABLE raw(series INTEGER NOT NULL, at INTEGER NOT NULL, value REAL, PRIMARY KEY(series, at)) WITHOUT ROWID;
-- Seconds since 1970. How long something was known in milliseconds, its integral over that or what a meter counted.
CREATE TABLE five(series INTEGER NOT NULL, at INTEGER NOT NULL, weight INTEGER NOT NULL, sum REAL NOT NULL,
    min REAL NOT NULL, max REAL NOT NULL, PRIMARY KEY(series, at)) WITHOUT ROWID;
CREATE TABLE hour(series INTEGER NOT NULL, at INTEGER NOT NULL, weight INTEGER NOT NULL, sum REAL NOT NULL,
    min REAL NOT NULL, max REAL NOT NULL, PRIMARY KEY(series, at)) WITHOUT ROWID;
CREATE TABLE done(what TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
"];

const TABLES: [&str; 3] = ["raw", "five", "hour"];
/// Hours that are made up again when the clock was ahead: shorter than five minutes are kept.
const AGAIN: i64 = 20 * HOUR;
/// So much later than last time, the clock is not believed at once.
const FAR: i64 = 48 * HOUR;
/// Looks at it (one in ten minutes) after which it is.
const LOOKS: i64 = 36;

/// Series that are worked on in one write, so that others get their turn.
const AT_ONCE: usize = 256;
/// Rows that are thrown away in one write, and pages that are given back: the log that they go through stays short.
const ROWS_AT_ONCE: usize = 16_384;
const PAGES_AT_ONCE: u32 = 256;

/// One series as it is on the disk.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub id: i64,
    pub device: DeviceId,
    pub place: Place,
    pub kind: Kind,
    pub unit: Option<String>,
}

/// When something was said; no value: from then on nothing was known.
pub(crate) type Said = (i64, Option<f64>);

/// Since when what is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ages {
    pub raw: i64,
    pub five: i64,
    pub hour: i64,
}

#[derive(Clone)]
pub(crate) struct Store {
    pub db: Db,
}

impl Store {
    pub fn open(folder: &Path) -> std::result::Result<Self, StoreError> {
        let db = Db::open(&folder.join("history.db"), MIGRATIONS, Options { shrinks: true, ..Options::default() })?;
        // Of what nothing is left, nothing is to be known.
        db.write_blocking(|connection| {
            TABLES.iter().try_for_each(|table| without_series(connection, table))?;
            let is_there = |table: &str| format!("EXISTS(SELECT 1 FROM {table} WHERE series = series.id)");
            let [raw, five, hour] = TABLES.map(is_there);
            connection.execute(&format!("DELETE FROM series WHERE NOT ({raw} OR {five} OR {hour})"), [])
        })?;
        Ok(Self { db })
    }

    /// Everything that was kept, as [`super::gather::Gather`] goes on from it.
    pub fn kept(&self) -> std::result::Result<Vec<Kept>, StoreError> {
        let rows = self.rows(None)?;
        self.db.read(|connection| {
            let mut last = connection.prepare_cached("SELECT at, value FROM raw WHERE series = ?1 ORDER BY at DESC LIMIT 1")?;
            let mut stood = connection.prepare_cached(
                "SELECT coalesce((SELECT value FROM raw WHERE series = ?1 AND value IS NOT NULL ORDER BY at DESC LIMIT 1),
                    (SELECT max FROM five WHERE series = ?1 ORDER BY at DESC LIMIT 1),
                    (SELECT max FROM hour WHERE series = ?1 ORDER BY at DESC LIMIT 1))",
            )?;
            rows.into_iter()
                .map(|Row { id, device, place, kind, .. }| {
                    let last = last.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                    let stood = match kind {
                        Kind::Meter => stood.query_row([id], |row| row.get(0))?,
                        _ => None,
                    };
                    Ok(Kept { id, device, place, kind, last, stood })
                })
                .collect()
        })
    }

    /// Series, of one device when it is named.
    pub fn rows(&self, device: Option<&DeviceId>) -> std::result::Result<Vec<Row>, StoreError> {
        self.db.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, device, service, instance, property, kind, unit FROM series
                 WHERE ?1 IS NULL OR device = ?1 ORDER BY device, service, instance, property",
            )?;
            let rows = query.query_map([device.map(DeviceId::as_str)], |row| {
                let place = Place { service: row.get(2)?, instance: row.get(3)?, property: row.get(4)? };
                let device: String = row.get(1)?;
                Ok((row.get(0)?, device, place, row.get(5)?, row.get(6)?))
            })?;
            let row = |(id, device, place, kind, unit): (i64, String, Place, i64, Option<String>)| {
                let device = DeviceId::new(device).ok()?;
                Some(Row { id, device, place, kind: Kind::of(kind), unit })
            };
            rows.filter_map(|found| found.map(row).transpose()).collect()
        })
    }

    pub async fn write(&self, batch: Arc<Batch>, five_done: Option<i64>) -> std::result::Result<(), StoreError> {
        self.db.write(move |connection| put(connection, &batch, five_done)).await
    }

    /// Up to when five minutes are made up.
    pub fn five_done(&self) -> std::result::Result<Option<i64>, StoreError> {
        self.db.read(|connection| done(connection, "five"))
    }

    /// Up to when hours are made up, in milliseconds.
    pub fn hours_done(&self) -> std::result::Result<Option<i64>, StoreError> {
        self.db.read(|connection| done(connection, "hour"))
    }

    /// What was said since then: a crash left it without five minutes. Each series as it stood before, with what came.
    pub fn since(&self, at: i64) -> std::result::Result<Vec<(Kept, Vec<Said>)>, StoreError> {
        let rows = self.rows(None)?;
        self.db.read(|connection| {
            let said = |row: &accord_store::rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let mut query =
                connection.prepare_cached("SELECT at, value FROM raw WHERE series = ?1 AND at >= ?2 ORDER BY at")?;
            let mut before = connection
                .prepare_cached("SELECT at, value FROM raw WHERE series = ?1 AND at < ?2 ORDER BY at DESC LIMIT 1")?;
            let mut all = Vec::new();
            for Row { id, device, place, kind, .. } in rows {
                let came = query.query_map([id, at], said)?.collect::<Result<Vec<Said>>>()?;
                if !came.is_empty() {
                    let last: Option<Said> = before.query_row([id, at], said).optional()?;
                    let stood = last.and_then(|(_, value)| value);
                    all.push((Kept { id, device, place, kind, last, stood }, came));
                }
            }
            Ok(all)
        })
    }

    /// From now on it is known up to when five minutes are made up.
    pub fn begin(&self, now: i64) -> std::result::Result<(), StoreError> {
        self.db.write_blocking(move |connection| set_done(connection, "five", now))
    }

    /// Reads where that holds up nobody.
    async fn aside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self) -> std::result::Result<T, StoreError> + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let store = self.clone();
        match tokio::task::spawn_blocking(move || read(&store)).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let cause = Arc::new(std::io::Error::other(error));
                Err(StoreError::File { path: self.db.path().to_owned(), cause })
            }
        }
    }

    /// Makes up the hours of which all five minutes are there.
    pub async fn make_hours(&self, now: i64) -> std::result::Result<(), StoreError> {
        let read = |store: &Self| Ok((store.five_done()?, store.hours_done()?, store.rows(None)?));
        let (five_done, hours_done, rows) = self.aside(read).await?;
        let this = now - now.rem_euclid(HOUR);
        let five_done = five_done.unwrap_or(0);
        let to = (five_done - five_done.rem_euclid(HOUR)).min(this);
        // Hours of a time that is yet to come were made up when the clock was ahead.
        let from = hours_done.map_or(0, |done| if done > this { (this - AGAIN).min(to) } else { done });
        if from >= to && hours_done.is_some_and(|done| done <= this) {
            return Ok(());
        }
        let ids: Vec<i64> = rows.into_iter().map(|row| row.id).collect();
        for some in ids.chunks(AT_ONCE) {
            let some = some.to_vec();
            let work = move |connection: &Connection| {
                let mut make = connection.prepare_cached(
                    // Made up again, it is not of less: not all of its five minutes may be left.
                    "INSERT INTO hour
                     SELECT series, at - at % 3600, sum(weight), sum(sum), min(min), max(max) FROM five
                     WHERE series = ?1 AND at >= ?2 AND at < ?3 GROUP BY at - at % 3600
                     ON CONFLICT DO UPDATE SET weight = excluded.weight, sum = excluded.sum, min = excluded.min,
                        max = excluded.max
                     WHERE excluded.weight >= weight AND excluded.min <= min AND excluded.max >= max",
                )?;
                some.iter().try_for_each(|id| make.execute([*id, from / 1000, to / 1000]).map(drop))
            };
            self.db.write(work).await?;
        }
        self.db.write(move |connection| set_done(connection, "hour", to)).await
    }

    /// The time by which is told what is too old. After a leap of the clock that is the one before it, until the hub ran some
    /// hours so: a clock that is wrong for an hour does not cost years.
    pub async fn trusted(&self, now: i64) -> std::result::Result<i64, StoreError> {
        let work = move |connection: &Connection| {
            let before = done(connection, "tidied")?.unwrap_or(now);
            let looks = done(connection, "doubted")?.unwrap_or(0);
            if now <= before + FAR || looks >= LOOKS {
                set_done(connection, "tidied", now.max(before))?;
                set_done(connection, "doubted", 0)?;
                return Ok(now);
            }
            set_done(connection, "doubted", looks + 1)?;
            Ok(before)
        };
        self.db.write(work).await
    }

    /// Throws away what is older. Whether anything was.
    pub async fn prune(&self, since: Ages) -> std::result::Result<bool, StoreError> {
        let mut gone = 0;
        let rows = self.aside(|store| store.rows(None)).await?;
        let rows: Vec<(i64, Kind)> = rows.into_iter().map(|row| (row.id, row.kind)).collect();
        for some in rows.chunks(AT_ONCE) {
            let mut some = some.to_vec();
            while !some.is_empty() {
                let (went, left) = self.db.write(move |connection| prune(connection, some, since)).await?;
                gone += went;
                some = left;
            }
        }
        Ok(gone > 0)
    }

    /// Gives back to the disk what is free in the file, but for so many bytes. Nothing, in a file of before for which there was no
    /// room to make it anew.
    pub async fn give_back(&self, but: u64, now: i64) -> std::result::Result<(), StoreError> {
        if !self.aside(|store| store.db.can_shrink()).await? {
            return Ok(());
        }
        let Sizes { mut free, page, .. } = self.sizes_now().await?;
        while free > but && page > 0 {
            let pages = (free - but).div_ceil(page).min(PAGES_AT_ONCE.into()) as u32;
            let left = self.db.shrink(pages).await? * page;
            if left >= free {
                break;
            }
            free = left;
        }
        self.aside(|store| store.db.checkpoint()).await?;
        // The log becomes short with the next write.
        self.db.write(move |connection| set_done(connection, "shrunk", now)).await
    }

    /// Deletes what was kept of a device, or all. Whether anything was; then there are traces of it until [`Self::settle`].
    pub async fn delete(&self, device: Option<DeviceId>) -> std::result::Result<bool, StoreError> {
        let rows = self.aside(move |store| store.rows(device.as_ref())).await?;
        let ids: Vec<i64> = rows.into_iter().map(|row| row.id).collect();
        for some in ids.chunks(AT_ONCE) {
            let some = some.to_vec();
            let work = move |connection: &Connection| {
                for table in TABLES {
                    let mut delete = connection.prepare_cached(&format!("DELETE FROM {table} WHERE series = ?1"))?;
                    some.iter().try_for_each(|id| delete.execute([*id]).map(drop))?;
                }
                let mut delete = connection.prepare_cached("DELETE FROM series WHERE id = ?1")?;
                some.iter().try_for_each(|id| delete.execute([*id]).map(drop))
            };
            self.db.write(work).await?;
        }
        Ok(!ids.is_empty())
    }

    /// No trace is left in the file of what was deleted.
    pub async fn settle(&self) -> std::result::Result<(), StoreError> {
        self.aside(|store| store.db.settle()).await
    }

    /// How large it is. Reads the disk aside.
    pub async fn sizes_now(&self) -> std::result::Result<Sizes, StoreError> {
        self.aside(|store| store.db.sizes()).await
    }

    /// The oldest that is known of anything, in milliseconds.
    pub fn oldest(&self) -> std::result::Result<Option<i64>, StoreError> {
        let ids: Vec<i64> = self.rows(None)?.into_iter().map(|row| row.id).collect();
        self.db.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT min(coalesce((SELECT min(at) FROM hour WHERE series = ?1) * 1000, 9e15),
                    coalesce((SELECT min(at) FROM five WHERE series = ?1) * 1000, 9e15),
                    coalesce((SELECT min(at) FROM raw WHERE series = ?1), 9e15))",
            )?;
            let mut oldest: Option<i64> = None;
            for id in ids {
                let at: f64 = query.query_row([id], |row| row.get(0))?;
                if at < 9e15 {
                    oldest = Some(oldest.map_or(at as i64, |before| before.min(at as i64)));
                }
            }
            Ok(oldest)
        })
    }
}

fn put(connection: &Connection, batch: &Batch, five_done: Option<i64>) -> Result<()> {
    let mut series = connection.prepare_cached("INSERT OR REPLACE INTO series VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (id, device, place, kind, unit) in &batch.series {
        let Place { service, instance, property } = place;
        let unit = unit_word(*unit);
        series.execute(params![id, device.as_str(), service, instance, property, kind.number(), unit])?;
    }
    let mut raw = connection.prepare_cached("INSERT OR REPLACE INTO raw VALUES (?1, ?2, ?3)")?;
    for ((id, at), value) in &batch.raw {
        raw.execute(params![id, at, value])?;
    }
    let mut five = connection.prepare_cached(
        "INSERT INTO five VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
            weight = min(weight + excluded.weight, ?7), sum = sum + excluded.sum,
            min = min(min, excluded.min), max = max(max, excluded.max)",
    )?;
    for (id, Bucket { start, weight, sum, min, max }) in &batch.five {
        five.execute(params![id, start / 1000, weight, sum, min, max, FIVE])?;
    }
    match five_done {
        Some(at) => set_done(connection, "five", at),
        None => Ok(()),
    }
}

/// Throws away so many of the oldest rows as one write may, and says how many; what is left to do is of the series that it answers.
fn prune(connection: &Connection, mut series: Vec<(i64, Kind)>, since: Ages) -> Result<(usize, Vec<(i64, Kind)>)> {
    let mut gone = 0;
    while let Some((id, kind)) = series.last().copied() {
        // Changes of what is yes or no are few, and kept as long as five minutes are.
        let raw_since = if kind == Kind::Switch { since.five } else { since.raw };
        for (table, since) in TABLES.into_iter().zip([raw_since, since.five / 1000, since.hour / 1000]) {
            let mut delete = connection.prepare_cached(&format!(
                "DELETE FROM {table} WHERE series = ?1 AND at < coalesce(
                    (SELECT at FROM {table} WHERE series = ?1 AND at < ?2 ORDER BY at LIMIT 1 OFFSET ?3), ?2)"
            ))?;
            gone += delete.execute(params![id, since, (ROWS_AT_ONCE - gone) as i64])?;
            if gone >= ROWS_AT_ONCE {
                return Ok((gone, series));
            }
        }
        series.pop();
    }
    Ok((gone, series))
}

/// Rows whose series was not written down are nobody's, and whose series comes next is not theirs.
fn without_series(connection: &Connection, table: &str) -> Result<()> {
    let next = format!("SELECT min(series) FROM {table} WHERE series > ?1");
    let mut next = connection.prepare(&next)?;
    let mut is_known = connection.prepare("SELECT EXISTS(SELECT 1 FROM series WHERE id = ?1)")?;
    let mut before = i64::MIN;
    while let Some(id) = next.query_row([before], |row| row.get::<_, Option<i64>>(0))? {
        if !is_known.query_row([id], |row| row.get::<_, bool>(0))? {
            connection.execute(&format!("DELETE FROM {table} WHERE series = ?1"), [id])?;
        }
        before = id;
    }
    Ok(())
}

fn done(connection: &Connection, what: &str) -> Result<Option<i64>> {
    connection.query_row("SELECT at FROM done WHERE what = ?1", [what], |row| row.get(0)).optional()
}

fn set_done(connection: &Connection, what: &str, at: i64) -> Result<()> {
    connection.execute("INSERT OR REPLACE INTO done VALUES (?1, ?2)", params![what, at]).map(drop)
}
