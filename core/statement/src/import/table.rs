//! Tables: one entry per row, one per column, or labels beside values.

use super::{
    assemble::{Field, RawEntry, RawField, Token},
    block::{Line, Mark, Row, Table, clean},
    labels::{self, Label},
    quote,
};

pub(crate) fn tokens(table: Table, out: &mut Vec<Token>, notes: &mut Vec<(usize, String)>) {
    let rows = table.rows;
    let mut beside_values: Vec<Label> = rows.iter().filter_map(first_label).collect();
    beside_values.sort();
    beside_values.dedup();
    let across = |columns: &[Option<Label>]| columns.iter().flatten().collect::<std::collections::BTreeSet<_>>().len();
    if let Some((at, columns)) = header(&rows).filter(|(_, columns)| across(columns) >= beside_values.len()) {
        for row in &rows[..at] {
            out.push(Token::Text(line(row, Mark::Plain)));
        }
        by_row(&rows[at + 1..], &rows[at], &columns, out, notes);
        return;
    }
    let labelled = rows.iter().filter(|row| first_label(row).is_some()).count();
    let wide = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    if labelled >= 2 && wide > 2 {
        by_column(&rows, out, notes);
    } else if labelled >= 2 || (labelled == 1 && rows.len() == 1) {
        for row in rows {
            beside(row, out);
        }
    } else {
        for row in &rows {
            if clean(&row.cells.join(" ")).is_empty() {
                continue;
            }
            if row.cells.iter().filter(|cell| !clean(cell).is_empty()).count() == 1 || wide == 1 {
                // A table for layout: its cells are lines.
                for cell in &row.cells {
                    super::fields::tokens_of(Line { text: cell.clone(), ..line(row, Mark::Plain) }, out);
                }
            } else {
                notes.push((
                    row.no,
                    format!(
                        "the row of a table without known column names was not read: {}",
                        quote(&row.cells.join(" | "))
                    ),
                ));
            }
        }
    }
}

fn line(row: &Row, mark: Mark) -> Line {
    let mut cells: Vec<&String> = row.cells.iter().collect();
    cells.dedup();
    let text = cells.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    Line { no: row.no, text, indent: 0, mark, blank_before: true }
}

fn label(cell: &str) -> Option<Label> {
    let normal = labels::normal(cell);
    labels::exact(&normal).or_else(|| labels::guess(&normal, true))
}

fn first_label(row: &Row) -> Option<Label> {
    row.cells.first().and_then(|cell| {
        labels::exact(&labels::normal(cell)).or_else(|| labels::guess(&labels::normal(cell), row.cells.len() > 1))
    })
}

/// The row that names the columns, among the first few.
fn header(rows: &[Row]) -> Option<(usize, Vec<Option<Label>>)> {
    for (at, row) in rows.iter().enumerate().take(4) {
        let normals: Vec<String> = row.cells.iter().map(|cell| labels::normal(cell)).collect();
        let certain = normals.iter().filter(|cell| labels::exact(cell).is_some()).count();
        let columns: Vec<Option<Label>> = row.cells.iter().map(|cell| label(cell)).collect();
        let known = columns.iter().flatten().count();
        let mut kinds: Vec<Label> = columns.iter().flatten().copied().collect();
        kinds.sort();
        kinds.dedup();
        let short = row.cells.iter().all(|cell| clean(cell).chars().count() <= 60);
        if short && kinds.len() >= 3 && (certain >= 2 || known >= 3) && known * 2 >= row.cells.len() {
            return Some((at, columns));
        }
    }
    None
}

fn by_row(
    rows: &[Row],
    header: &Row,
    columns: &[Option<Label>],
    out: &mut Vec<Token>,
    notes: &mut Vec<(usize, String)>,
) {
    let mut columns = columns.to_vec();
    let names: Vec<String> = header.cells.iter().map(|cell| clean(cell)).collect();
    if !columns.contains(&Some(Label::Title)) {
        // The first column without a known name tells what the row is about.
        let counts = |at: usize| {
            rows.iter()
                .filter(|row| row.cells.get(at).is_some_and(|cell| cell.chars().any(char::is_alphabetic)))
                .count()
        };
        if let Some(at) = columns.iter().position(Option::is_none).filter(|at| *at <= 1 && counts(*at) * 2 > rows.len())
        {
            columns[at] = Some(Label::Title);
        }
    }
    for (at, name) in names.iter().enumerate() {
        if columns[at].is_none()
            && rows.iter().any(|row| row.cells.get(at).is_some_and(|cell| !cell.is_empty()))
            && !name.is_empty()
        {
            notes.push((header.no, format!("the column {} was not read", quote(name))));
        }
    }
    let mut section: Option<String> = None;
    let mut entries = Vec::new();
    for row in rows {
        let same = row.cells.len() > 2 && row.cells.iter().all(|cell| *cell == row.cells[0]);
        let lone = row.cells.len() < columns.len()
            && row.cells.iter().filter(|cell| !cell.is_empty()).count() == 1
            && !row.cut;
        if same || lone {
            section = Some(clean(&row.cells.iter().find(|cell| !cell.is_empty()).cloned().unwrap_or_default()))
                .filter(|text| !text.is_empty());
            continue;
        }
        if row.cells.iter().zip(&names).filter(|(cell, name)| clean(cell) == **name).count() * 2 > names.len() {
            continue;
        }
        if row.cells.iter().all(|cell| clean(cell).is_empty()) {
            continue;
        }
        let mut entry = RawEntry { line: row.no, cut: row.cut, tabular: true, ..RawEntry::default() };
        for (at, cell) in row.cells.iter().enumerate() {
            let known = columns.get(at).copied().flatten();
            match known {
                Some(Label::Title) => entry.title = Some(clean(cell)).filter(|text| !text.is_empty()),
                Some(label) => entry.fields.push(RawField {
                    label,
                    label_text: names[at].clone(),
                    value: cell.clone(),
                    line: row.no,
                }),
                None if at >= columns.len() && !cell.is_empty() => {
                    notes.push((row.no, format!("the cell {} stands under no column", quote(cell))));
                }
                None => {}
            }
        }
        entry.title = entry.title.or_else(|| section.clone());
        entries.push(entry);
    }
    if let Some(last) = entries.last_mut() {
        last.cut |= last.fields.len() + 1 < columns.iter().flatten().count()
            && last.fields.len() < columns.iter().flatten().filter(|label| **label != Label::Title).count();
    }
    out.push(Token::Entries(entries));
}

fn by_column(rows: &[Row], out: &mut Vec<Token>, notes: &mut Vec<(usize, String)>) {
    let wide = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let mut entries: Vec<RawEntry> =
        (1..wide).map(|_| RawEntry { line: rows[0].no, tabular: true, ..RawEntry::default() }).collect();
    for (index, row) in rows.iter().enumerate() {
        let found = first_label(row);
        for (at, cell) in row.cells.iter().enumerate().skip(1) {
            let entry = &mut entries[at - 1];
            match found {
                None | Some(Label::Title) if index == 0 || found.is_some() => {
                    entry.title = Some(clean(cell)).filter(|text| !text.is_empty());
                }
                Some(label) => entry.fields.push(RawField {
                    label,
                    label_text: clean(&row.cells[0]),
                    value: cell.clone(),
                    line: row.no,
                }),
                None => {}
            }
        }
        if found.is_none() && index > 0 {
            notes.push((row.no, format!("the row {} was not read", quote(&row.cells.join(" | ")))));
        }
    }
    entries.retain(|entry| entry.fields.iter().any(|field| !clean(&field.value).is_empty()));
    out.push(Token::Entries(entries));
}

/// A label and its value side by side.
fn beside(row: Row, out: &mut Vec<Token>) {
    match first_label(&row) {
        Some(label) => {
            let value = row.cells[1..].iter().find(|cell| !cell.is_empty()).cloned().unwrap_or_default();
            let raw = RawField { label, label_text: clean(&row.cells[0]), value, line: row.no };
            out.push(Token::Field(Field { raw, indent: 0, mark: Mark::Plain, bare: None }));
        }
        None => out.push(Token::Text(line(&row, Mark::Strong))),
    }
}
