//! Tables in plain text: pipes, grids, cells apart by tabs, commas or spaces.

use super::{
    block::{Row, Table},
    labels,
    text::{inline, is_rule},
};

/// The table that begins in the first line, if one does, and how many lines were looked at.
pub(crate) fn table(lines: &[&str], no: usize) -> (Option<Table>, usize) {
    let first = lines[0].trim();
    if first.contains('|') && !first.contains("||") && first.matches('|').count() >= 2 {
        return pipes(lines, no);
    }
    if first.contains([':', '：']) {
        return (None, 1);
    }
    for separator in ['\t', ',', ';'] {
        if first.contains(separator) && names_columns(&cells(first, separator)) {
            let (table, used) = separated(lines, no, separator);
            return (Some(table), used);
        }
    }
    let starts: Vec<(usize, String)> = spaced(lines[0]);
    if starts.len() >= 3 && names_columns(&starts.iter().map(|(_, cell)| cell.clone()).collect::<Vec<_>>()) {
        let (table, used) = aligned(lines, no, &starts);
        return (Some(table), used);
    }
    (None, 1)
}

fn known(cells: &[String]) -> usize {
    cells.iter().filter(|cell| labels::exact(&labels::normal(cell)).is_some()).count()
}

fn names_columns(cells: &[String]) -> bool {
    let known = known(cells);
    known >= 3 && known * 2 >= cells.len()
}

/// Cells that two or more spaces keep apart, each with the column it begins in.
fn spaced(line: &str) -> Vec<(usize, String)> {
    let mut cells: Vec<(usize, String)> = Vec::new();
    let mut gap = 2;
    for (at, c) in line.chars().enumerate() {
        if c == ' ' {
            gap += 1;
            continue;
        }
        match cells.last_mut().filter(|_| gap < 2) {
            Some((_, cell)) => {
                cell.extend(std::iter::repeat_n(' ', gap));
                cell.push(c);
            }
            None => cells.push((at, c.to_string())),
        }
        gap = 0;
    }
    cells
}

/// Rows below a header, each cell under the name that it begins below.
fn aligned(lines: &[&str], no: usize, header: &[(usize, String)]) -> (Table, usize) {
    let mut rows = vec![Row { no, cells: header.iter().map(|(_, cell)| cell.clone()).collect(), cut: false }];
    let mut used = 1;
    for (index, line) in lines.iter().enumerate().skip(1) {
        let cells = spaced(line);
        if cells.is_empty() || (cells.len() < 2 && cells[0].0 == header[0].0) {
            break;
        }
        used = index + 1;
        if is_rule(line.trim()) {
            continue;
        }
        let mut row = Row { no: no + index, cells: vec![String::new(); header.len()], cut: false };
        let whole = cells.len() == header.len();
        for (at, (start, cell)) in cells.iter().enumerate() {
            let below = header.iter().rposition(|(from, _)| *from <= start + 1).unwrap_or(0);
            append(&mut row.cells[if whole { at } else { below }], cell);
        }
        continue_or_push(&mut rows, row, false);
    }
    (Table { rows }, used)
}

fn append(cell: &mut String, more: &str) {
    if !cell.is_empty() && !more.is_empty() {
        cell.push(' ');
    }
    cell.push_str(more);
}

/// A row whose first cell is empty goes on with the row above it.
fn continue_or_push(rows: &mut Vec<Row>, row: Row, goes_on: bool) {
    let goes_on = goes_on || row.cells.first().is_some_and(String::is_empty);
    match rows.last_mut().filter(|above| goes_on && above.cells.len() == row.cells.len()) {
        Some(above) => above.cells.iter_mut().zip(&row.cells).for_each(|(cell, more)| append(cell, more)),
        None => rows.push(row),
    }
}

fn pipes(lines: &[&str], no: usize) -> (Option<Table>, usize) {
    let mut rows: Vec<Row> = Vec::new();
    let mut used = 0;
    let mut ruled = false;
    // For each row, how many `+---+` stand above it.
    let mut grid = Vec::new();
    let mut lines_of_grid = 0;
    for (index, raw) in lines.iter().enumerate() {
        let line = raw.trim();
        if line.starts_with('+') && is_rule(line) {
            ruled |= index > 0;
            lines_of_grid += 1;
        } else if !line.contains('|') {
            break;
        } else if line.chars().all(|c| "|-: \t".contains(c)) && line.contains("--") {
            ruled = true;
        } else {
            let inner = line.strip_prefix('|').unwrap_or(line);
            let closed = inner.ends_with('|') && !inner.ends_with("\\|");
            let inner = if closed { &inner[..inner.len() - 1] } else { inner };
            let cells = split_pipes(inner).map(|cell| inline(cell.trim())).collect();
            let cut = !closed && line.starts_with('|') && index + 1 == lines.len();
            rows.push(Row { no: no + index, cells, cut });
            grid.push(lines_of_grid);
        }
        used = index + 1;
    }
    if lines_of_grid > 0 {
        let mut above = usize::MAX;
        let mut joined = Vec::new();
        for (row, ruled_above) in rows.into_iter().zip(grid) {
            continue_or_push(&mut joined, row, lines_of_grid >= 3 && ruled_above == above);
            above = ruled_above;
        }
        rows = joined;
    }
    let labelled = rows.first().is_some_and(|row| known(&row.cells) >= 2)
        || rows.iter().filter(|row| known(row.cells.get(..1).unwrap_or_default()) == 1).count() >= 2;
    let found = ruled || labelled || (rows.len() >= 2 && lines[0].trim().starts_with('|'));
    (found.then_some(Table { rows }), used.max(1))
}

fn split_pipes(text: &str) -> impl Iterator<Item = String> {
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '|' if !escaped => cells.push(String::new()),
            c => {
                if escaped && c != '|' {
                    cells.last_mut().expect("there is always a last cell").push('\\');
                }
                if c != '\\' {
                    cells.last_mut().expect("there is always a last cell").push(c);
                }
            }
        }
        escaped = c == '\\' && !escaped;
    }
    cells.into_iter()
}

fn separated(lines: &[&str], no: usize, separator: char) -> (Table, usize) {
    let mut rows = Vec::new();
    let mut at = 0;
    while at < lines.len() && lines[at].contains(separator) {
        let start = at;
        let mut record = lines[at].to_owned();
        // A quoted cell may hold line ends.
        while record.matches('"').count() % 2 == 1 && at + 1 < lines.len() && at - start < 50 {
            at += 1;
            record.push('\n');
            record.push_str(lines[at]);
        }
        rows.push(Row { no: no + start, cells: cells(&record, separator), cut: false });
        at += 1;
    }
    (Table { rows }, at)
}

fn cells(record: &str, separator: char) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = record.chars().peekable();
    while let Some(c) = chars.next() {
        let cell = cells.last_mut().expect("there is always a last cell");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted || cell.trim().is_empty() => quoted = !quoted,
            c if c == separator && !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}
