//! A course as characters: columns over time, each an eighth of a line fine.

use accord_home::say;
use accord_model::{Data, Property, Timestamp};

use crate::api::home::{History, HistoryKind};

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A point that nobody ends holds so many seconds, or its step if that is more.
const HOLDS: f64 = 3600.0;

/// What is known of a column of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Column {
    weight: f64,
    sum: f64,
    /// By how much a meter grew.
    grown: f64,
}

impl Column {
    fn is(&self, kind: HistoryKind) -> Option<f64> {
        match kind {
            _ if self.weight <= 0.0 => None,
            HistoryKind::Meter => Some(self.grown),
            _ => Some(self.sum / self.weight),
        }
    }
}

/// So many columns from one end of the course to the other.
fn columns(history: &History, width: usize) -> Vec<Option<f64>> {
    let seconds = |at: Timestamp| at.as_millisecond() as f64 / 1000.0;
    let (from, to) = (seconds(history.from), seconds(history.to));
    let wide = ((to - from) / width as f64).max(1e-9);
    let mut columns = vec![Column::default(); width];
    for (index, point) in history.points.iter().enumerate() {
        let begin = seconds(point.time).max(from);
        let next = history.points.get(index + 1).map(|next| seconds(next.time));
        let ends = match (point.until, history.step_s) {
            (Some(until), _) => seconds(until),
            (None, None) => next.unwrap_or(to),
            (None, Some(step)) => {
                let step = step as f64;
                next.map_or(begin + step, |next| next.min(begin + step.max(HOLDS)))
            }
        };
        let ends = ends.min(to).max(begin);
        let (first, last) = ((begin - from) / wide, (ends - from) / wide);
        for column in first as usize..=(last as usize).min(width - 1) {
            let (start, end) = (from + column as f64 * wide, from + (column + 1) as f64 * wide);
            // What was so for a moment is seen all the same.
            let part = (ends.min(end) - begin.max(start)).max(wide * 1e-6);
            let Some(column) = columns.get_mut(column) else { continue };
            column.weight += part;
            column.sum += point.mean * part;
            column.grown += point.grown.unwrap_or(0.0) * part / (ends - begin).max(part);
        }
    }
    columns.iter().map(|column| column.is(history.kind)).collect()
}

/// One line of a course.
pub fn line(history: &History, width: usize) -> String {
    let columns = columns(history, width);
    let (low, high) = ends(history.kind, &columns);
    let of = |column: &Option<f64>| match (column, history.kind) {
        (None, _) => ' ',
        (Some(is), HistoryKind::Switch) => part(*is),
        (Some(is), _) => EIGHTHS[(share(*is, low, high) * 7.0).round() as usize + 1],
    };
    columns.iter().map(of).collect()
}

/// A graph of some lines with its scale and its times.
pub fn graph(history: &History, property: &Property, width: usize, height: usize) -> Vec<String> {
    let value = |number: f64| say::value(property, &Data::Float(number));
    if history.kind == HistoryKind::Switch {
        let strip: String = columns(history, width).iter().map(|column| column.map_or(' ', part)).collect();
        return vec![strip, times(history, width)];
    }
    let probe = columns(history, width);
    let (low, high) = ends(history.kind, &probe);
    let (top, bottom) = (value(high), value(low));
    let margin = top.chars().count().max(bottom.chars().count());
    let width = width.saturating_sub(margin + 2).max(10);
    let columns = columns(history, width);
    let mut lines = Vec::new();
    for row in (0..height).rev() {
        let label = match row {
            _ if row + 1 == height => top.as_str(),
            0 => bottom.as_str(),
            _ => "",
        };
        let cell = |column: &Option<f64>| {
            let Some(is) = column else { return ' ' };
            let eighths = 1.0 + share(*is, low, high) * (height as f64 * 8.0 - 1.0) - row as f64 * 8.0;
            EIGHTHS[eighths.round().clamp(0.0, 8.0) as usize]
        };
        let drawn: String = columns.iter().map(cell).collect();
        lines.push(format!("{}{label} ┤{drawn}", " ".repeat(margin - label.chars().count())).trim_end().to_owned());
    }
    lines.push(format!("{}{}", " ".repeat(margin + 2), times(history, width)));
    lines
}

fn part(is: f64) -> char {
    match is {
        0.67.. => '█',
        0.34.. => '▓',
        f64::MIN_POSITIVE.. => '░',
        _ => '·',
    }
}

/// Where the scale begins and ends: at nothing, where that is near.
fn ends(kind: HistoryKind, columns: &[Option<f64>]) -> (f64, f64) {
    let known = || columns.iter().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    match kind {
        HistoryKind::Meter => (0.0, high.max(0.0)),
        _ if low > high => (0.0, 0.0),
        _ if low >= 0.0 && low < high * 0.3 => (0.0, high),
        _ => (low, high),
    }
}

fn share(is: f64, low: f64, high: f64) -> f64 {
    if high - low < 1e-12 { 0.0 } else { ((is - low) / (high - low)).clamp(0.0, 1.0) }
}

fn times(history: &History, width: usize) -> String {
    let long = history.to.duration_since(history.from).as_secs() > 36 * 3600;
    let shown = |at: Timestamp| {
        let at = at.to_zoned_datetime(jiff::tz::TimeZone::system());
        at.strftime(if long { "%Y-%m-%d" } else { "%H:%M" }).to_string()
    };
    let (from, to) = (shown(history.from), shown(history.to));
    let between = width.saturating_sub(from.len() + to.len());
    format!("{from}{}{to}", " ".repeat(between.max(1)))
}

#[cfg(test)]
mod tests {
    use accord_model::{Format, Unit};

    use super::*;
    use crate::api::home::HistoryPoint;

    fn course(kind: HistoryKind, step: Option<u64>, points: &[(i64, f64)]) -> History {
        let at = |second| Timestamp::from_second(second).unwrap();
        let point = |(second, is): &(i64, f64)| HistoryPoint {
            time: at(*second),
            until: None,
            min: *is,
            mean: *is,
            max: *is,
            grown: (kind == HistoryKind::Meter).then_some(*is),
        };
        History {
            device: "d".into(),
            service: "s".into(),
            instance: 0,
            property: "p".into(),
            kind,
            unit: None,
            from: at(0),
            to: at(100),
            step_s: step,
            points: points.iter().map(point).collect(),
            total: None,
        }
    }

    #[test]
    fn a_course_is_drawn_over_its_time() {
        let steps = course(HistoryKind::Level, None, &[(0, 10.0), (50, 20.0)]);
        assert_eq!(line(&steps, 10), "▁▁▁▁▁█████");
        let mut gap = course(HistoryKind::Level, None, &[(20, 1.0), (80, 1.0)]);
        gap.points[0].until = Some(Timestamp::from_second(40).unwrap());
        assert_eq!(line(&gap, 10), "  ▁▁▁   ▁▁", "where nothing is known nothing is drawn");
        assert_eq!(line(&course(HistoryKind::Level, None, &[]), 4), "    ");
        let switch = course(HistoryKind::Switch, None, &[(0, 0.0), (50, 1.0)]);
        assert_eq!(line(&switch, 10), "·····█████");
        let meter = course(HistoryKind::Meter, Some(50), &[(0, 1.0), (50, 2.0)]);
        let (sum, columns) = (columns(&meter, 10).into_iter().flatten().sum::<f64>(), columns(&meter, 10));
        assert!((sum - 3.0).abs() < 1e-3, "what it counted is counted once: {columns:?}");
    }

    #[test]
    fn a_graph_has_a_scale_and_keeps_its_width() {
        let property = Property::state("temperature", Format::Float).unit(Unit::Celsius);
        let steps = course(HistoryKind::Level, None, &[(0, 18.0), (50, 22.5)]);
        let lines = graph(&steps, &property, 40, 4);
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with("22.5 °C ┤") && lines[3].starts_with("  18 °C ┤"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:?}");
        for width in [0, 1, 5] {
            drop(graph(&steps, &property, width.max(1), 1));
        }
    }
}
