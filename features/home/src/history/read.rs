//! A range of one property, as it was said or made up of five minutes and hours.

use std::collections::BTreeMap;

use accord_model::{DeviceId, Timestamp, Unit};
use accord_store::StoreError;
use accord_store::rusqlite::{OptionalExtension, Result as SqlResult};

use super::HistoryError;
use super::gather::{Bucket, FIVE, HOUR};
use super::kinds::{Kind, Place, unit_of};
use super::store::Store;

/// Points of one answer.
pub(crate) const MOST_POINTS: usize = 5000;
/// As it was said is answered by itself when there is no more of it than this.
const FEW: usize = 600;
/// Points that a graph has when nobody says how fine it is to be.
const SOME: i64 = 400;
/// Steps that are chosen by itself, in seconds.
const STEPS: [i64; 10] = [60, 300, 900, 1800, 3600, 10_800, 21_600, 86_400, 604_800, 2_592_000];

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Query {
    /// Of which device: the face that says it.
    pub device: DeviceId,
    /// Of which property.
    pub place: Place,
    /// From when
    pub from: Timestamp,
    /// until when.
    pub to: Timestamp,
    /// Seconds of one point; 0: as it was said; `None`: what fits a graph.
    pub step: Option<u64>,
}

/// One point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When it was said, or when its time begins.
    pub at: Timestamp,
    /// Of what was said: from then on nothing was known.
    pub until: Option<Timestamp>,
    /// Least of it.
    pub min: f64,
    /// Over time.
    pub mean: f64,
    /// Greatest of it.
    pub max: f64,
    /// By how much a meter grew.
    pub grown: Option<f64>,
}

/// What there is.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// How it is kept.
    pub kind: Kind,
    /// In which unit.
    pub unit: Option<Unit>,
    /// Seconds of one point; none: as it was said.
    pub step: Option<u64>,
    /// Oldest first.
    pub points: Vec<Point>,
    /// By how much a meter grew in all.
    pub total: Option<f64>,
}

struct Series<'a> {
    store: &'a Store,
    id: i64,
    /// When what is known now ends.
    until: Option<i64>,
}

pub(crate) fn find(
    store: &Store,
    query: &Query,
    open: &[Bucket],
    until: Option<i64>,
    now: i64,
) -> Result<Found, HistoryError> {
    let (from, to) = (query.from.as_millisecond(), query.to.as_millisecond().min(now + 1));
    if from >= to {
        return Err(HistoryError::Bad("the range begins before now, and ends after it begins".to_owned()));
    }
    let mut rows = store.rows(Some(&query.device))?;
    rows.retain(|row| row.place == query.place);
    let row = rows.pop().ok_or(HistoryError::None)?;
    let series = Series { store, id: row.id, until };
    let unit = unit_of(row.unit.as_deref());
    let found = |step: Option<i64>, points: Vec<Point>, total: f64| {
        let total = (row.kind == Kind::Meter).then_some(total);
        Found { kind: row.kind, unit, step: step.and_then(|step| u64::try_from(step).ok()), points, total }
    };
    let step = match query.step.map(|step| i64::try_from(step).unwrap_or(i64::MAX)) {
        Some(0) => {
            let Some(points) = series.said(from, to, MOST_POINTS)? else {
                let many =
                    format!("more than {MOST_POINTS} values were said in that time; choose less of it, or a step");
                return Err(HistoryError::Bad(many));
            };
            return Ok(found(None, points, 0.0));
        }
        Some(step) => step,
        None => {
            if row.kind != Kind::Meter
                && series.reaches("raw", from)?
                && let Some(points) = series.said(from, to, FEW)?
            {
                return Ok(found(None, points, 0.0));
            }
            let least = if row.kind == Kind::Meter { FIVE / 1000 } else { 60 };
            let fits = |step: &i64| *step >= least && (to - from) / (step * 1000) <= SOME;
            STEPS.into_iter().find(fits).unwrap_or(STEPS[STEPS.len() - 1])
        }
    };
    let millis = step.saturating_mul(1000);
    if (to - from) / millis >= MOST_POINTS as i64 {
        return Err(HistoryError::Bad(format!("that is more than {MOST_POINTS} points; choose a larger step")));
    }
    let five_from = series.five_from(store.hours_done()?.unwrap_or(0).min(down(now, HOUR)))?;
    let fine = millis < FIVE && row.kind != Kind::Meter;
    // What nobody chose lies on round times. What is made up of hours or of five minutes begins with a whole one.
    let begin = if query.step.is_some() { from } else { down(from, millis) };
    let begin = match five_from > begin {
        true => down(begin, HOUR),
        false if fine => begin,
        false => down(begin, FIVE),
    };
    let mut points: BTreeMap<i64, Bucket> = BTreeMap::new();
    // A point may begin before the range; what a meter counted there is not of the range.
    let mut total = 0.0;
    let mut add = |bucket: &Bucket| {
        if bucket.start >= begin && bucket.start < to {
            let start = begin + (bucket.start - begin) / millis * millis;
            points.entry(start).or_insert_with(|| Bucket::new(start)).join(bucket);
            if bucket.start >= from {
                total += bucket.sum;
            }
        }
    };
    let mut coarse_to = to;
    if fine {
        // The five minutes that the oldest of what was said is in are taken whole, unless everything begins there.
        let oldest = series.oldest("raw")?.unwrap_or(to);
        let whole = if series.begins_at(oldest)? { begin } else { up(oldest, FIVE) };
        coarse_to = whole.clamp(begin, to);
        series.fine(coarse_to, to, begin, millis, now, &mut add)?;
    }
    series.buckets("hour", begin, five_from.min(coarse_to), &mut add)?;
    series.buckets("five", five_from.max(begin), coarse_to, &mut add)?;
    if coarse_to == to {
        open.iter().for_each(&mut add);
    }
    let point = |bucket: Bucket| Point {
        at: Timestamp::from_millisecond(bucket.start).unwrap_or_default(),
        until: None,
        min: bucket.min,
        mean: bucket.mean(row.kind),
        max: bucket.max,
        grown: (row.kind == Kind::Meter).then_some(bucket.sum),
    };
    let points = points.into_values().filter(|bucket| !bucket.is_empty()).map(point).collect();
    Ok(found(Some(step), points, total))
}

impl Series<'_> {
    /// When a table begins, in milliseconds.
    fn oldest(&self, table: &str) -> Result<Option<i64>, StoreError> {
        let query = format!("SELECT at FROM {table} WHERE series = ?1 ORDER BY at LIMIT 1");
        let unit = if table == "raw" { 1 } else { 1000 };
        let oldest: Option<i64> =
            self.store.db.read(|connection| connection.query_row(&query, [self.id], |row| row.get(0)).optional())?;
        Ok(oldest.map(|at| at * unit))
    }

    /// Whether nothing older than this is known.
    fn begins_at(&self, at: i64) -> Result<bool, StoreError> {
        let five = self.oldest("five")?.is_none_or(|five| five >= down(at, FIVE));
        Ok(five && self.oldest("hour")?.is_none_or(|hour| hour >= down(at, HOUR)))
    }

    /// Whether a table knows everything from a moment on that is known at all.
    fn reaches(&self, table: &str, from: i64) -> Result<bool, StoreError> {
        match self.oldest(table)? {
            Some(oldest) => Ok(oldest <= from || self.begins_at(oldest)?),
            None => Ok(false),
        }
    }

    /// From when on five minutes are taken; before it, hours. Always, when no hour knows of anything before them.
    fn five_from(&self, hours_done: i64) -> Result<i64, StoreError> {
        let oldest = self.oldest("five")?.unwrap_or(hours_done);
        match self.oldest("hour")? {
            Some(hour) if hour < down(oldest, HOUR) => Ok(up(oldest, HOUR).min(hours_done)),
            _ => Ok(i64::MIN),
        }
    }

    /// What was said in a range, and what held when it began; `None`: more than `most`.
    fn said(&self, from: i64, to: i64, most: usize) -> Result<Option<Vec<Point>>, StoreError> {
        let mut rows = self.rows(from, to, most)?;
        if rows.len() > most {
            return Ok(None);
        }
        // What held when the range begins, begins with it.
        if let Some((at, _)) = rows.first_mut() {
            *at = (*at).max(from);
        }
        let mut points: Vec<Point> = Vec::with_capacity(rows.len());
        for (at, value) in rows {
            let at = Timestamp::from_millisecond(at).unwrap_or_default();
            match (value, points.last_mut()) {
                (Some(value), _) => {
                    points.push(Point { at, until: None, min: value, mean: value, max: value, grown: None });
                }
                (None, Some(last)) => last.until = last.until.or(Some(at)),
                (None, None) => {}
            }
        }
        if let (Some(last), Some(until)) = (points.last_mut(), self.until) {
            let ends = Timestamp::from_millisecond(until).unwrap_or_default();
            last.until = last.until.or(Some(ends).filter(|_| until < to));
        }
        Ok(Some(points))
    }

    /// Rows of a range and the one before it; one more than `most` when there are more.
    fn rows(&self, from: i64, to: i64, most: usize) -> Result<Vec<(i64, Option<f64>)>, StoreError> {
        self.store.db.read(|connection| {
            let mut query = connection.prepare_cached(ROWS)?;
            let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
            query.query_map([self.id, from, to, limit], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Finer than five minutes: from what was said.
    fn fine(
        &self,
        from: i64,
        to: i64,
        begin: i64,
        step: i64,
        now: i64,
        add: &mut impl FnMut(&Bucket),
    ) -> Result<(), StoreError> {
        let mut held: Option<(i64, f64)> = None;
        let mut close = |(at, value): (i64, f64), next: i64| {
            let (mut at, end) = (at.max(from), next.min(to));
            loop {
                let start = begin + (at - begin).div_euclid(step) * step;
                let part = (start + step).min(end.max(at));
                let weight = part - at;
                add(&Bucket { start, weight, sum: value * weight as f64, min: value, max: value });
                at = part;
                if at >= end {
                    break;
                }
            }
        };
        self.store.db.read(|connection| {
            let mut query = connection.prepare_cached(ROWS)?;
            let mut rows = query.query([self.id, from, to, i64::MAX])?;
            while let Some(row) = rows.next()? {
                let (at, value): (i64, Option<f64>) = (row.get(0)?, row.get(1)?);
                if let Some(before) = held.take() {
                    close(before, at);
                }
                held = value.map(|value| (at, value));
            }
            SqlResult::Ok(())
        })?;
        if let Some(last) = held {
            close(last, self.until.unwrap_or(last.0).min(now));
        }
        Ok(())
    }

    fn buckets(&self, table: &str, from: i64, to: i64, add: &mut impl FnMut(&Bucket)) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let query = format!(
            "SELECT at, weight, sum, min, max FROM {table} WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at"
        );
        self.store.db.read(|connection| {
            let mut query = connection.prepare_cached(&query)?;
            let mut rows = query.query([self.id, up(from, 1000) / 1000, up(to, 1000) / 1000])?;
            while let Some(row) = rows.next()? {
                let start: i64 = row.get(0)?;
                let (weight, sum, min, max) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
                add(&Bucket { start: start * 1000, weight, sum, min, max });
            }
            SqlResult::Ok(())
        })
    }
}

/// What was said in a range, and what was said last before it.
const ROWS: &str = "SELECT at, value FROM raw WHERE series = ?1 AND at < ?3 AND at >= coalesce(
    (SELECT max(at) FROM raw WHERE series = ?1 AND at <= ?2), ?2) ORDER BY at LIMIT ?4";

fn down(at: i64, of: i64) -> i64 {
    at - at.rem_euclid(of)
}

fn up(at: i64, of: i64) -> i64 {
    down(at + of - 1, of)
}
