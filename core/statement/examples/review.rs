//! Checks one publisher's page, or compares two, and writes the findings as JSON:
//! `cargo run -p accord-statement --example review -- old.html new.html`

use std::io::Write;

use accord_statement::{diff::diff_imported, import, lint::lint_imported};

fn main() -> std::io::Result<()> {
    let pages: Vec<Vec<u8>> = std::env::args_os().skip(1).map(std::fs::read).collect::<Result<_, _>>()?;
    let mut out = std::io::stdout().lock();
    match pages.as_slice() {
        [page] => serde_json::to_writer(&mut out, &lint_imported(&import(page)))?,
        [old, new] => serde_json::to_writer(&mut out, &diff_imported(&import(old), &import(new)))?,
        _ => return Err(std::io::Error::other("name one page to check, or two to compare")),
    }
    out.write_all(b"\n")
}
