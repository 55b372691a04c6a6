//! Reads publishers' pages and writes what was understood, one JSON document per line:
//! `cargo run -p accord-statement --example import -- page.html other.txt`

use std::io::Write;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for path in std::env::args_os().skip(1) {
        let read = accord_statement::import(&std::fs::read(path)?);
        serde_json::to_writer(&mut out, &read)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
