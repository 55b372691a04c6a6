//! What devices say, gathered into rows: no clock, no database. Values and times in, rows out.
//!
//! A value holds until the next one, as long as it counts as fresh. Five minutes have the least and the greatest of it and
//! its integral over time, so that a mean is right however often a device speaks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;

use accord_model::{DeviceId, Unit};

use super::kinds::{Kind, Place};

/// Five minutes, in milliseconds as all times here.
pub(crate) const FIVE: i64 = 300_000;
pub(crate) const HOUR: i64 = 3_600_000;
/// A value holds no longer than this, however long its bridge calls it fresh.
const LONGEST_HOLD: i64 = 86_400_000;
/// A value's own time counts when it is not older than this.
const OLDEST_SAID: i64 = 86_400_000;
/// So many rows of one property are made in five minutes, twice what a number makes of its seconds. The rest counts in the
/// five minutes alone, and what it ended with is a row.
const MOST_IN_FIVE: u32 = 600;
/// Rows of either kind that wait for a disk that takes none.
const MOST_BACK: usize = 65_536;
/// The clock was set back, when it is by more than this.
const SET_BACK: i64 = 1000;
/// Properties that are kept in all.
pub(crate) const MOST_SERIES: usize = 32_768;
/// A meter that falls by less than this part of its count trembles; by more, it began anew.
const TREMBLES: f64 = 0.1;

/// What is in five minutes, or in an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// When it begins.
    pub start: i64,
    /// How long in it something was known.
    pub weight: i64,
    /// The integral over time; of a meter, by how much it grew.
    pub sum: f64,
    pub min: f64,
    pub max: f64,
}

impl Bucket {
    pub fn new(start: i64) -> Self {
        Self { start, weight: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
    fn touch(&mut self, value: f64) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
    pub fn join(&mut self, other: &Self) {
        self.weight += other.weight;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
    pub fn is_empty(&self) -> bool {
        self.min > self.max
    }
    pub fn mean(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Meter => self.max,
            _ if self.weight > 0 => (self.sum / self.weight as f64).clamp(self.min, self.max),
            _ => f64::midpoint(self.min, self.max),
        }
    }
}

/// Rows to be written, and the series that are new with them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Batch {
    pub series: Vec<(i64, DeviceId, Place, Kind, Option<Unit>)>,
    /// By series and time. No value: from here on nothing is known.
    pub raw: BTreeMap<(i64, i64), Option<f64>>,
    pub five: Vec<(i64, Bucket)>,
    /// With these, five minutes are made up to here. They are written together: after a crash that is what says which of them are
    /// made of what was said, and none is counted twice.
    pub done: Option<i64>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.series.len() + self.raw.len() + self.five.len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.done.is_none()
    }
}

/// A series as it was left in the database.
pub(crate) struct Kept {
    pub id: i64,
    pub device: DeviceId,
    pub place: Place,
    pub kind: Kind,
    pub last: Option<(i64, Option<f64>)>,
    /// Where a meter stood.
    pub stood: Option<f64>,
}

struct Held {
    value: f64,
    /// Integrated up to here.
    done: i64,
    until: i64,
}

struct Series {
    place: Place,
    kind: Kind,
    unit: Option<Unit>,
    /// Once it is in the database.
    id: Option<i64>,
    last: Option<(i64, Option<f64>)>,
    stood: Option<f64>,
    held: Option<Held>,
    bucket: Option<Bucket>,
    /// The row that was made last: a course is right as far as its rows are.
    row: Option<(i64, Option<f64>)>,
    /// How many rows were made of the five minutes that begin then.
    rows: (i64, u32),
    /// The device has it, and it is kept of the device.
    wanted: bool,
}

impl Series {
    fn new(place: Place, kind: Kind, unit: Option<Unit>) -> Self {
        Self {
            place,
            kind,
            unit,
            id: None,
            last: None,
            stood: None,
            held: None,
            bucket: None,
            row: None,
            rows: (0, 0),
            wanted: true,
        }
    }

    fn bucket_at(&mut self, at: i64, out: &mut Vec<(i64, Bucket)>) -> &mut Bucket {
        let start = at - at.rem_euclid(FIVE);
        if self.bucket.is_some_and(|bucket| bucket.start != start) {
            self.close(out);
        }
        self.bucket.get_or_insert_with(|| Bucket::new(start))
    }

    fn close(&mut self, out: &mut Vec<(i64, Bucket)>) {
        if let (Some(bucket), Some(id)) = (self.bucket.take().filter(|bucket| !bucket.is_empty()), self.id) {
            out.push((id, bucket));
        }
    }

    /// What is held counts up to `now`.
    fn integrate(&mut self, now: i64, out: &mut Vec<(i64, Bucket)>) {
        let Some(Held { value, mut done, until }) = self.held else { return };
        let to = now.min(until);
        while done < to {
            let end = (done - done.rem_euclid(FIVE) + FIVE).min(to);
            let bucket = self.bucket_at(done, out);
            bucket.touch(value);
            bucket.weight += end - done;
            bucket.sum += value * (end - done) as f64;
            done = end;
        }
        if let Some(held) = &mut self.held {
            held.done = done;
        }
    }

    /// A row, when it says something else than the one before it.
    fn write(&mut self, at: i64, value: Option<f64>, most: u32, raw: &mut BTreeMap<(i64, i64), Option<f64>>) {
        let Some(id) = self.id.filter(|_| self.row.and_then(|(_, before)| before) != value) else { return };
        let second = at - at.rem_euclid(1000);
        // A number's row is the last of its second, and none comes to stand before what it follows.
        let at = match self.row {
            _ if self.kind == Kind::Switch || value.is_none() => at,
            Some((row, before)) if (second..=at).contains(&row) => before.map_or(at, |_| row),
            _ => second,
        };
        let five = at - at.rem_euclid(FIVE);
        if self.rows.0 != five {
            self.rows = (five, 0);
        }
        let another = self.row.is_none_or(|(row, _)| row != at);
        if another && self.rows.1 >= most {
            return;
        }
        self.rows.1 += u32::from(another);
        raw.insert((id, at), value);
        self.row = Some((at, value));
    }

    /// Where too much came for a row of each, one tells how it ended.
    fn catch_up(&mut self, raw: &mut BTreeMap<(i64, i64), Option<f64>>) {
        if let Some((at, value)) = self.last {
            self.write(at, value, u32::MAX, raw);
        }
    }

    /// Nothing is known from a moment on.
    fn end(&mut self, at: i64, raw: &mut BTreeMap<(i64, i64), Option<f64>>) {
        self.held = None;
        if let (Some(_), Some((last, Some(_)))) = (self.id, self.last)
            && self.kind != Kind::Meter
        {
            let at = at.max(last + 1);
            self.write(at, None, MOST_IN_FIVE, raw);
            self.last = Some((at, None));
        }
    }
}

/// What is gathered and not yet written.
pub(crate) struct Gather {
    devices: HashMap<DeviceId, Vec<Series>>,
    batch: Batch,
    /// Five minutes that are to be written once it is known of all up to when they are made.
    closed: Vec<(i64, Bucket)>,
    next: i64,
    count: usize,
    /// When [`Gather::carry`] was called last.
    carried: Option<i64>,
    full: bool,
}

impl Gather {
    /// Goes on from what is in the database.
    pub fn new(kept: Vec<Kept>) -> Self {
        let next = kept.iter().map(|one| one.id).max().unwrap_or(0) + 1;
        let count = kept.len();
        let mut devices: HashMap<DeviceId, Vec<Series>> = HashMap::new();
        for Kept { id, device, place, kind, last, stood } in kept {
            let wanted = false;
            let series = Series { id: Some(id), last, row: last, stood, wanted, ..Series::new(place, kind, None) };
            devices.entry(device).or_default().push(series);
        }
        Self { devices, batch: Batch::default(), closed: Vec::new(), next, count, carried: None, full: false }
    }

    /// The hub ended without a word, some time after `done`: what held then is not known from there on. After an orderly end
    /// there is nothing of that.
    pub fn broke_off(&mut self, done: i64) {
        for series in self.devices.values_mut().flatten() {
            series.end(done, &mut self.batch.raw);
        }
    }

    /// What is kept of a device from now on; nothing, when there is nothing to keep. What no longer is, ends.
    pub fn describe(&mut self, device: &DeviceId, kept: Vec<(Place, Kind, Option<Unit>)>, now: i64) {
        self.wake(now);
        if kept.is_empty() && !self.devices.contains_key(device) {
            return;
        }
        let all = self.devices.entry(device.clone()).or_default();
        // What the device no longer has stays in the database, and is not looked for here.
        all.retain(|series| series.id.is_some() || kept.iter().any(|(place, ..)| *place == series.place));
        for series in all.iter_mut() {
            // Another kind under the old name would make no sense beside what was kept.
            series.wanted = kept.iter().any(|(place, kind, _)| *place == series.place && *kind == series.kind);
            if !series.wanted {
                series.integrate(now, &mut self.closed);
                series.end(now, &mut self.batch.raw);
            }
        }
        for (place, kind, unit) in kept {
            match all.iter_mut().find(|series| series.place == place) {
                Some(series) if series.kind == kind => series.unit = unit,
                Some(series) if series.id.is_some() => {}
                Some(series) => *series = Series::new(place, kind, unit),
                None => all.push(Series::new(place, kind, unit)),
            }
        }
    }

    /// A device says something. `said`: when, by its own word.
    pub fn take(&mut self, device: &DeviceId, place: (&str, u16, &str), value: f64, said: i64, fresh: i64, now: i64) {
        if !value.is_finite() {
            return;
        }
        self.wake(now);
        let (service, instance, property) = place;
        let fits = |one: &&mut Series| {
            let Place { service: of, instance: nth, property: name } = &one.place;
            one.wanted && name == property && of == service && *nth == instance
        };
        let Some(series) = self.devices.get_mut(device).and_then(|all| all.iter_mut().find(fits)) else { return };
        if series.last.is_some_and(|(last, _)| last > now + SET_BACK) {
            // What was said before the clock was set back is no measure of what is said now.
            (series.last, series.row, series.held) = (None, None, None);
        }
        let said = said.min(now);
        // As old as it is: that a device is described anew makes no value fresh.
        let until = said.saturating_add(fresh.max(0)).min(now + LONGEST_HOLD);
        let mut at = said.max(now - OLDEST_SAID);
        let mut over = until < at;
        if let Some((last, before)) = series.last {
            // The same word again, as a device is described anew.
            if said <= last && before == Some(value) {
                return;
            }
            if before.is_some() {
                at = at.max((last + 1).min(now));
            } else if said <= last {
                // What was so before nothing was known is so again from now on, and not meanwhile.
                at = now;
                over = until <= now;
            }
        }
        if over && series.kind != Kind::Meter {
            return;
        }
        if series.id.is_none() {
            if self.count >= MOST_SERIES {
                if !mem::replace(&mut self.full, true) {
                    tracing::warn!(most = MOST_SERIES, "no history is kept of further properties");
                }
                return;
            }
            series.id = Some(self.next);
            self.batch.series.push((self.next, device.clone(), series.place.clone(), series.kind, series.unit));
            self.next += 1;
            self.count += 1;
        }
        series.integrate(at, &mut self.closed);
        let counts_from = series.held.as_ref().map(|held| held.done);
        let before = series.last.map_or(at, |(last, _)| last);
        if let Some(stale) = series.held.as_ref().map(|held| held.until).filter(|until| before.max(*until) < at) {
            series.end(stale, &mut self.batch.raw);
        }
        // Hours that are over are made up already, and what was counted is not counted again.
        let counts = at.max(now - now.rem_euclid(HOUR));
        let counts_from = counts_from.map_or(counts, |done| done.max(counts));
        let (kind, stood) = (series.kind, series.stood);
        let bucket = series.bucket_at(counts, &mut self.closed);
        bucket.touch(value);
        match kind {
            Kind::Meter => {
                let (grown, stands) = grown(stood, value);
                bucket.sum += grown;
                series.stood = Some(stands);
            }
            Kind::Level | Kind::Switch => {
                series.held = Some(Held { value, done: counts_from, until: until.max(at) });
            }
        }
        series.write(at, Some(value), MOST_IN_FIVE, &mut self.batch.raw);
        series.last = Some((at, Some(value)));
    }

    /// Nothing is known of a device from now on: it is away.
    pub fn away(&mut self, device: &DeviceId, now: i64) {
        self.wake(now);
        for series in self.devices.get_mut(device).into_iter().flatten() {
            series.integrate(now, &mut self.closed);
            series.end(now, &mut self.batch.raw);
        }
    }

    /// Nothing is known from now on of devices that nothing is to be kept of.
    pub fn away_unless(&mut self, keeps: impl Fn(&DeviceId) -> bool, now: i64) {
        let off: Vec<DeviceId> = self.devices.keys().filter(|device| !keeps(device)).cloned().collect();
        off.iter().for_each(|device| self.away(device, now));
    }

    /// Once in five minutes: what is held counts up to now, and what is full is to be written.
    pub fn carry(&mut self, now: i64) {
        let slept = self.slept(now);
        for series in self.devices.values_mut().flatten() {
            if let (Some(awake), Some(held)) = (slept, &mut series.held) {
                held.until = held.until.min(awake.max(held.done));
            }
            series.integrate(now, &mut self.closed);
            if series.bucket.is_some_and(|bucket| bucket.start + FIVE <= now) {
                series.close(&mut self.closed);
            }
            if let Some(end) = series.held.as_ref().map(|held| held.until).filter(|until| *until < now) {
                series.end(end, &mut self.batch.raw);
            }
            series.catch_up(&mut self.batch.raw);
        }
        self.carried = Some(now);
        self.done(now - now.rem_euclid(FIVE));
    }

    fn done(&mut self, to: i64) {
        self.batch.five.append(&mut self.closed);
        self.batch.done = Some(to);
    }

    /// Since when the machine slept: nobody knows what was so meanwhile.
    fn slept(&self, now: i64) -> Option<i64> {
        self.carried.filter(|carried| now - carried > 3 * FIVE)
    }

    /// What comes first after a sleep is not taken for what was so during it.
    fn wake(&mut self, now: i64) {
        if self.slept(now).is_some() {
            self.carry(now);
        }
    }

    /// Everything up to now, also what is not full: the hub ends.
    pub fn close(&mut self, now: i64) {
        self.wake(now);
        for series in self.devices.values_mut().flatten() {
            series.integrate(now, &mut self.closed);
            series.close(&mut self.closed);
            series.end(now, &mut self.batch.raw);
            series.catch_up(&mut self.batch.raw);
        }
        self.done(now);
    }

    /// Further five minutes to be written.
    pub fn add(&mut self, five: impl IntoIterator<Item = (i64, Bucket)>) {
        self.closed.extend(five);
    }

    /// What is to be written now.
    pub fn batch(&mut self) -> Batch {
        mem::take(&mut self.batch)
    }

    /// It could not be written, and is to be with what came meanwhile.
    pub fn put_back(&mut self, mut old: Batch) {
        let mut new = mem::take(&mut self.batch);
        old.series.append(&mut new.series);
        old.raw.append(&mut new.raw);
        old.five.append(&mut new.five);
        old.done = new.done.or(old.done);
        self.batch = old;
        self.bound();
    }

    /// However long the disk takes, what waits for it has a bound.
    pub fn bound(&mut self) {
        if self.batch.five.len() > MOST_BACK {
            tracing::warn!("the disk takes nothing: five minutes of the house's history are lost");
            self.batch.five.clear();
        }
        if self.batch.raw.len() > MOST_BACK {
            tracing::warn!("the disk takes nothing: some of the house's history is lost");
            // Where something is missing, nothing is known; what holds now is a row soon.
            let mut seen = HashSet::new();
            self.batch.raw.retain(|(id, _), value| {
                *value = None;
                seen.insert(*id)
            });
            for series in self.devices.values_mut().flatten() {
                if series.id.is_some_and(|id| seen.contains(&id)) {
                    series.row = None;
                }
            }
        }
    }

    pub fn waiting(&self) -> usize {
        self.batch.len()
    }

    /// Where a meter stands.
    #[cfg(test)]
    pub fn stands(&self, device: &DeviceId, place: &Place) -> Option<f64> {
        self.devices.get(device)?.iter().find(|series| series.place == *place)?.stood
    }

    pub fn has_nothing(&self) -> bool {
        self.batch.is_empty()
    }

    /// Forgets what is gathered of a device, or of all.
    pub fn forget(&mut self, device: Option<&DeviceId>) {
        let mut ids = Vec::new();
        for (_, all) in self.devices.iter_mut().filter(|(id, _)| device.is_none_or(|device| *id == device)) {
            ids.extend(all.iter().filter_map(|series| series.id));
            for series in all.iter_mut() {
                let wanted = series.wanted;
                *series = Series { wanted, ..Series::new(series.place.clone(), series.kind, series.unit) };
            }
        }
        self.count -= ids.len();
        self.batch.series.retain(|(id, ..)| !ids.contains(id));
        self.batch.raw.retain(|(id, _), _| !ids.contains(id));
        self.batch.five.retain(|(id, _)| !ids.contains(id));
        self.closed.retain(|(id, _)| !ids.contains(id));
    }

    /// The five minutes of a series that are not to be written yet, with what is held now, and until when that counts.
    pub fn open(&self, device: &DeviceId, place: &Place, now: i64) -> (Vec<Bucket>, Option<i64>) {
        let found = self.devices.get(device).and_then(|all| all.iter().find(|series| series.place == *place));
        let Some(series) = found else { return (Vec::new(), None) };
        let id = series.id;
        let mut series = Series {
            id: Some(0),
            bucket: series.bucket,
            held: series.held.as_ref().map(|held| Held { ..*held }),
            ..Series::new(place.clone(), series.kind, None)
        };
        let until = series.held.as_ref().map(|held| held.until);
        let mut open: Vec<_> = self.closed.iter().filter(|(of, _)| id.is_some_and(|id| id == *of)).copied().collect();
        series.integrate(now, &mut open);
        series.close(&mut open);
        (open.into_iter().map(|(_, bucket)| bucket).collect(), until)
    }
}

/// By how much a meter grew, and where it stands.
fn grown(stood: Option<f64>, now: f64) -> (f64, f64) {
    match stood {
        None => (0.0, now),
        Some(stood) if now >= stood => (now - stood, now),
        Some(stood) if stood - now <= stood.abs() * TREMBLES => (0.0, stood),
        // It began anew from nothing.
        Some(_) => (now.max(0.0), now),
    }
}

#[cfg(test)]
mod tests;
