//! Pages in many layouts and languages, each with the JSON that it must be read as.
//! `UPDATE_GOLDEN=1 cargo test -p accord-statement --test pages` writes what is read now.

use std::{fs, path::Path};

#[test]
fn every_page_is_read_as_written_down() {
    let folder = Path::new("tests/pages");
    let mut pages: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_none_or(|end| end != "json"));
    pages.sort();
    assert!(pages.len() >= 10, "the pages are there");
    let mut wrong = Vec::new();
    for page in pages {
        let read = accord_statement::import(&fs::read(&page).unwrap());
        let json = serde_json::to_string_pretty(&read).unwrap() + "\n";
        let golden = page.with_extension(format!("{}.json", page.extension().unwrap().to_str().unwrap()));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &json).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != json {
            wrong.push(page.file_name().unwrap().to_owned());
        }
    }
    assert!(wrong.is_empty(), "read differently: {wrong:?}; see UPDATE_GOLDEN");
}
