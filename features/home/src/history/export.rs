//! Everything that is kept, written out as CSV or JSON: as it was said where that is kept, before it five minutes, before
//! those hours.

use std::io::{Error, Result, Write};

use accord_model::{DeviceId, Timestamp};
use accord_store::rusqlite::params;
use serde_json::json;

use super::gather::{Bucket, FIVE, HOUR};
use super::kinds::Kind;
use super::store::{Row, Store};

/// Rows that are read at once.
const AT_ONCE: i64 = 4096;

/// How it is written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated (RFC 4180), with a head.
    Csv,
    /// One array of objects.
    Json,
}

struct Line<'a> {
    time: i64,
    row: &'a Row,
    name: &'a str,
    /// `said`, `5 min` or `1 h`.
    of: &'static str,
    min: Option<f64>,
    mean: Option<f64>,
    max: Option<f64>,
    grown: Option<f64>,
}

pub(crate) fn write(
    store: &Store,
    device: Option<&DeviceId>,
    (from, to): (Timestamp, Timestamp),
    format: Format,
    name: impl Fn(&DeviceId) -> String,
    out: &mut impl Write,
) -> Result<()> {
    let (from, to) = (from.as_millisecond(), to.as_millisecond());
    let rows = store.rows(device).map_err(Error::other)?;
    let mut first = true;
    match format {
        Format::Csv => out.write_all(b"time,device,name,service,instance,property,unit,of,min,mean,max,grown\r\n")?,
        Format::Json => out.write_all(b"[")?,
    }
    for row in &rows {
        let name = name(&row.device);
        each(store, row, from, to, |time, of, values| {
            let [min, mean, max, grown] = values;
            let line = Line { time, row, name: &name, of, min, mean, max, grown };
            match format {
                Format::Csv => csv(&line, out),
                Format::Json => {
                    out.write_all(if std::mem::take(&mut first) { b"\n" } else { b",\n" })?;
                    serde_json::to_writer(&mut *out, &object(&line)).map_err(Error::other)
                }
            }
        })?;
    }
    if format == Format::Json {
        out.write_all(b"\n]\n")?;
    }
    out.flush()
}

type Values = [Option<f64>; 4];

/// Hours, then five minutes, then what was said; each from where the finer one begins.
fn each(
    store: &Store,
    row: &Row,
    from: i64,
    to: i64,
    mut line: impl FnMut(i64, &'static str, Values) -> Result<()>,
) -> Result<()> {
    let begins = |table: &str, unit: i64| -> Result<i64> {
        let query = format!("SELECT min(at) FROM {table} WHERE series = ?1");
        let begins: Option<i64> = store
            .db
            .read(|connection| connection.query_row(&query, [row.id], |row| row.get(0)))
            .map_err(Error::other)?;
        Ok(begins.map_or(i64::MAX, |at| at.saturating_mul(unit)))
    };
    let (raw, five, hour) = (begins("raw", 1)?, begins("five", 1000)?, begins("hour", 1000)?);
    // What the finer one has only a part of is told by the coarser, and not twice.
    let finer = |fine: i64, coarse: i64, of: i64| match coarse >= fine - fine.rem_euclid(of) {
        true => i64::MIN,
        false => round_up(fine, of),
    };
    let raw_from = finer(raw, five.min(hour), FIVE);
    let five_from = finer(five, hour, HOUR).min(raw_from);
    let coarse = [("hour", "1 h", from, five_from), ("five", "5 min", five_from.max(from), raw_from)];
    for (table, of, from, until) in coarse {
        let query = format!(
            "SELECT at, weight, sum, min, max FROM {table} WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at LIMIT ?4"
        );
        let (mut from, until) = (round_up(from, 1000) / 1000, round_up(until.min(to), 1000) / 1000);
        loop {
            let read = |connection: &accord_store::rusqlite::Connection| {
                let mut query = connection.prepare_cached(&query)?;
                let rows = query.query_map(params![row.id, from, until, AT_ONCE], |row| {
                    let start: i64 = row.get(0)?;
                    Ok(Bucket { start, weight: row.get(1)?, sum: row.get(2)?, min: row.get(3)?, max: row.get(4)? })
                })?;
                rows.collect::<accord_store::rusqlite::Result<Vec<Bucket>>>()
            };
            let some = store.db.read(read).map_err(Error::other)?;
            let Some(last) = some.last().map(|bucket| bucket.start) else { break };
            for bucket in some {
                let grown = (row.kind == Kind::Meter).then_some(bucket.sum);
                line(
                    bucket.start * 1000,
                    of,
                    [Some(bucket.min), Some(bucket.mean(row.kind)), Some(bucket.max), grown],
                )?;
            }
            from = last + 1;
        }
    }
    let mut from = raw_from.max(from);
    loop {
        let read = |connection: &accord_store::rusqlite::Connection| {
            let mut query = connection.prepare_cached(
                "SELECT at, value FROM raw WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at LIMIT ?4",
            )?;
            let rows = query.query_map(params![row.id, from, to, AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<accord_store::rusqlite::Result<Vec<(i64, Option<f64>)>>>()
        };
        let some = store.db.read(read).map_err(Error::other)?;
        let Some((last, _)) = some.last().copied() else { break };
        for (at, value) in some {
            line(at, "said", [value, value, value, None])?;
        }
        from = last + 1;
    }
    Ok(())
}

fn round_up(at: i64, of: i64) -> i64 {
    if at > i64::MAX - of { i64::MAX } else { at + (of - at.rem_euclid(of)) % of }
}

fn time(at: i64) -> String {
    Timestamp::from_millisecond(at).unwrap_or_default().to_string()
}

fn object(line: &Line<'_>) -> serde_json::Value {
    json!({
        "time": time(line.time),
        "device": line.row.device,
        "name": line.name,
        "service": line.row.place.service,
        "instance": line.row.place.instance,
        "property": line.row.place.property,
        "unit": line.row.unit,
        "of": line.of,
        "min": line.min,
        "mean": line.mean,
        "max": line.max,
        "grown": line.grown,
    })
}

fn csv(line: &Line<'_>, out: &mut impl Write) -> Result<()> {
    let place = &line.row.place;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let texts = [line.row.device.as_str(), line.name, &place.service, &place.instance.to_string(), &place.property];
    let [device, name, service, instance, property] = texts.map(cell);
    let unit = cell(line.row.unit.as_deref().unwrap_or_default());
    let [min, mean, max, grown] = [line.min, line.mean, line.max, line.grown].map(number);
    let (time, of) = (time(line.time), line.of);
    write!(out, "{time},{device},{name},{service},{instance},{property},{unit},{of},{min},{mean},{max},{grown}\r\n")
}

/// A text as a cell. What spreadsheets would take for a formula is made a text.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula_and_stays_in_its_cell() {
        assert_eq!(cell("Desk lamp"), "Desk lamp");
        assert_eq!(cell("=HYPERLINK(\"x\",1)"), "\"'=HYPERLINK(\"\"x\"\",1)\"");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
    }

    #[test]
    fn rounding_does_not_overflow() {
        assert_eq!(round_up(1, 1000), 1000);
        assert_eq!(round_up(1000, 1000), 1000);
        assert_eq!(round_up(i64::MAX, 1000), i64::MAX);
    }
}
