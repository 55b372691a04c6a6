//! Compares two pages (`review A B`) or checks one (`review A`), as JSON.
fn main() -> std::io::Result<()> {
    let pages: Vec<_> = std::env::args_os().skip(1).map(std::fs::read).collect::<Result<_, _>>()?;
    let text = match pages.as_slice() {
        [a, b] => serde_json::to_string(&accord_statement::diff::diff_imported(
            &accord_statement::import(a),
            &accord_statement::import(b),
        ))?,
        [a] => serde_json::to_string(&accord_statement::lint::lint_imported(&accord_statement::import(a)))?,
        _ => String::new(),
    };
    println!("{text}");
    Ok(())
}
