//! `accord statement`: other vendors' pages, what changed between two, and our own; no hub needed.

mod common;

use common::{Person, text};
use serde_json::{Value, json};

const PAGE: &str = "Version:v20250508

Interconnectivity Third Party Data Sharing Statement

In order to provide you with products and services, we may share your personal information.

Casting

  \u{2022} Third party name: Example Cast Ltd.

  \u{2022} Sharing type: SDK (Cast SDK)

  \u{2022} Shared data: IP address, device name, TV type

  \u{2022} Purpose of use: playing media on a TV

  \u{2022} Usage scenario: when casting

  \u{2022} Sharing method: SDK local acquisition

  \u{2022} Third party information processing rules: https://example.com/rules

Statistics

  \u{2022} Third party name: Example Inc.

  \u{2022} Sharing type: Embed SDK (Count SDK)

  \u{2022} Shared data: device ID (OAID), page views
";

#[test]
fn a_vendors_page_becomes_one_json_document_that_says_what_is_missing() {
    let person = Person::new();
    let page = text(&person.file("page.txt", PAGE));
    let read = person.json(&["statement", "import", &page]);
    assert_eq!(read["title"], "Interconnectivity Third Party Data Sharing Statement");
    assert!(read["version"].as_str().unwrap().contains("20250508"), "{}", read["version"]);
    assert!(read["warnings"].is_array());
    let cast = &read["entries"][0];
    assert_eq!(cast["title"], "Casting");
    assert_eq!(cast["third_party"], "Example Cast Ltd.");
    assert_eq!((&cast["sharing_type"], &cast["sharing_type_raw"]), (&json!("sdk"), &json!("SDK (Cast SDK)")));
    assert_eq!(cast["name"], "Cast SDK");
    assert_eq!(cast["rules_url"], "https://example.com/rules");
    assert_eq!(cast["complete"], true);
    assert_eq!(cast["shared_data"].as_array().unwrap().len(), 3);
    let count = &read["entries"][1];
    assert_eq!(count["sharing_type"], "embedded-sdk");
    assert_eq!(count["purpose"], Value::Null, "what the page does not say is null");
    assert_eq!(count["shared_data"][0]["item"], "device ID");
    assert_eq!(count["shared_data"][0]["detail"], "OAID");

    let piped = person.accord_with_input(&["statement", "import", "-", "--json"], PAGE.as_bytes()).json();
    assert_eq!(piped, read);
    assert!(person.accord(&["statement", "import", &page]).ok().out.contains("Example Cast Ltd."));
}

#[test]
fn a_diff_says_what_widened_and_asks_again_only_there() {
    let person = Person::new();
    let old = text(&person.file("old.txt", PAGE));
    let new = PAGE
        .replace("IP address, device name", "IP address, device MAC address, device name")
        .replace("device ID (OAID), page views", "device ID (OAID)");
    let new = text(&person.file("new.txt", new));
    let diff = person.json(&["statement", "diff", &old, &new]);
    let of = |name: &str| {
        let entries = diff["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["key"][1] == name).cloned().unwrap_or_else(|| panic!("{name} in {diff}"))
    };
    let cast = of("Cast SDK");
    assert_eq!(cast["key"], json!(["Example Cast Ltd.", "Cast SDK"]));
    assert_eq!((&cast["change"], &cast["consent_needed_again"]), (&json!("widened"), &json!(true)));
    assert_eq!(cast["data_added"].as_array().unwrap().len(), 1);
    let count = of("Count SDK");
    assert_eq!((&count["change"], &count["consent_needed_again"]), (&json!("narrowed"), &json!(false)));
    assert_eq!(count["data_removed"].as_array().unwrap().len(), 1);

    let same = person.json(&["statement", "diff", &old, &old]);
    assert!(same["entries"].as_array().unwrap().iter().all(|entry| entry["change"] == "unchanged"), "{same}");
    assert!(person.accord(&["statement", "diff", &old, &new]).ok().out.contains("widened"));
}

#[test]
fn our_own_statement_is_there_in_every_form_without_a_hub() {
    let person = Person::new();
    let json = person.json(&["statement", "show"]);
    let keys: Vec<&str> = json["entries"].as_array().unwrap().iter().map(|e| e["key"].as_str().unwrap()).collect();
    for key in ["link/discovery", "link/pairing", "link/connection", "files/send", "files/receive"] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    assert_eq!(person.accord(&["statement", "show", "--format", "json"]).json(), json);
    person.accord(&["statement", "show", "--format", "jsonld"]).json();
    assert!(person.accord(&["statement", "show", "--format", "markdown"]).ok().out.starts_with('#'));
    assert!(person.accord(&["statement", "show", "--format", "html"]).ok().out.contains("<h"));
    let terminal = person.accord(&["statement", "show"]).ok().out;
    assert!(terminal.contains("files/send") && !terminal.contains('\u{1b}'), "{terminal}");
    person.accord(&["statement", "show", "--format", "pdf"]).fails(2, "pdf");
    person.accord(&["statement", "lint"]).ok();
    assert!(!person.state().exists(), "nothing was made");
}

#[test]
fn a_file_that_cannot_be_read_is_said_by_name() {
    let person = Person::new();
    let page = text(&person.file("page.txt", PAGE));
    let folder = text(person.dir.path());
    let huge = person.path("huge.txt");
    std::fs::File::create(&huge).unwrap().set_len(1 << 30).unwrap();
    for words in [
        &["statement", "import", "/no/such.txt"][..],
        &["statement", "import", &folder],
        &["statement", "diff", &page, "/no/such.txt"],
        &["statement", "lint", "/no/such.txt"],
        &["statement", "import", &text(&huge)],
    ] {
        let answer = person.accord(words);
        assert_eq!((answer.status, answer.out.as_str()), (1, ""), "{words:?}");
        assert!(answer.err.contains(words.last().unwrap()), "{words:?}: {}", answer.err);
    }
    person.accord(&["statement", "diff", "-", "-"]).fails(2, "standard input");
}
