//! What devices said, and what they are taken for: one file each, what was said above the line and what it means below.
//! `UPDATE_GOLDEN=1 cargo test -p accord-recognition --test recorded` writes what is understood now.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

use std::fmt::Debug;
use std::path::Path;

use accord_model::{Origin, Told, What};
use accord_recognition::{Catalogue, Learnt, Quirks, Recogniser};

fn told(line: &str) -> Told {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (origin, what) = (word(), word());
    let origin = Origin::ALL.into_iter().find(|one| kebab(one) == origin).unwrap_or_else(|| panic!("no place: {line}"));
    let what = what_of(what).unwrap_or_else(|| panic!("nothing said: {line}"));
    Told::new(origin, what, word())
}

fn what_of(text: &str) -> Option<What> {
    use What::{Agent, Description, Does, Maker, Model, Number, Package, Points, Product};
    let all = [Agent, Description, Does, Maker, Model, Number, Package, Points, Product];
    all.into_iter().find(|what| kebab(what) == text)
}

fn kebab(value: &impl Debug) -> String {
    let name = format!("{value:?}");
    let mut out = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn understood(said: &str) -> String {
    let told: Vec<Told> = said.lines().map(told).collect();
    let known = Recogniser::new(Catalogue::built_in(), || true).recognise(&told);
    let mut lines = vec![format!("row {}", known.row.as_deref().unwrap_or("none"))];
    fn line<T>(lines: &mut Vec<String>, name: &str, learnt: Option<Learnt<T>>, text: impl Fn(T) -> String) {
        if let Some(Learnt { value, origin }) = learnt {
            lines.push(format!("{name} {} ({})", text(value), origin.label()));
        }
    }
    line(&mut lines, "maker", known.maker, |maker| maker);
    line(&mut lines, "model", known.model, |model| model);
    line(&mut lines, "kind", known.kind, |kind| kind.as_str().to_owned());
    line(&mut lines, "inches", known.inches, |inches| inches.to_string());
    line(&mut lines, "points", known.points, |(width, height)| format!("{width}x{height}"));
    let Quirks { captions, veto, seek, stop_first, clear_next, metadata, poll, settle_s } = known.quirks;
    lines.push(format!(
        "quirks captions={captions:?} veto={veto:?} seek={seek:?} stop-first={stop_first} clear-next={clear_next} \
         metadata={metadata} poll={poll} settle={settle_s}"
    ));
    lines.join("\n") + "\n"
}

#[test]
fn recorded_devices_are_taken_for_what_they_are() {
    let folder = Path::new("tests/recorded");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|one| one.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 15);
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (said, wanted) = text.split_once("---\n").unwrap();
        let now = understood(said.trim_end());
        if now == wanted {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, format!("{said}---\n{now}")).unwrap();
        }
        wrong.push(format!("{}\nwanted:\n{wanted}\nnow:\n{now}", file.display()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_agreement_nothing_is_recognised() {
    let told = [Told::new(Origin::UpnpDescription, What::Maker, "Samsung Electronics")];
    let known = Recogniser::new(Catalogue::built_in(), || false).recognise(&told);
    assert!(known.is_empty() && known.quirks == Quirks::default());
    assert!(!Recogniser::new(Catalogue::built_in(), || true).recognise(&told).is_empty());
}

#[test]
fn an_owners_rows_go_before_and_take_the_place_of_the_same_id() {
    let own = "[[row]]\nid = \"samsung-tv\"\nmaker = \"My Samsung\"\nwhen = [{ maker = \"Samsung*\" }]\n\
               quirks = { veto = [\"video/x-matroska\"], metadata = false }\n";
    let catalogue = Catalogue::built_in().under(Catalogue::parse(own, "own").unwrap());
    let told = [Told::new(Origin::UpnpDescription, What::Maker, "Samsung Electronics")];
    let known = Recogniser::new(catalogue, || true).recognise(&told);
    assert_eq!(known.maker.unwrap().value, "My Samsung");
    assert!(known.quirks.vetoes("video/x-matroska") && !known.quirks.metadata);
}

#[test]
fn a_device_that_says_a_thousand_things_is_looked_at_in_part() {
    let mut told: Vec<Told> =
        (0..100_000).map(|n| Told::new(Origin::UserAgent, What::Agent, &format!("{n}{}", "*a".repeat(80)))).collect();
    told.push(Told::new(Origin::UpnpDescription, What::Maker, "Sonos"));
    let begin = std::time::Instant::now();
    let known = Recogniser::new(Catalogue::built_in(), || true).recognise(&told);
    assert!(known.is_empty(), "what comes after the bound is not looked at");
    assert!(begin.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn the_entry_is_in_the_statement_and_leaves_the_device_to_nobody() {
    let statement = accord_statement::Statement::join(
        "test",
        "Test",
        accord_statement::Publisher::named("Accord"),
        "1",
        &[accord_recognition::STATEMENT],
    )
    .unwrap();
    let entry = statement.entry(&accord_model::EntryKey::new(accord_recognition::ENTRY).unwrap()).unwrap();
    assert_eq!((entry.recipient.id.as_str(), entry.method.transport.as_str()), ("this-hub", "none"));
    assert!(entry.hosts.is_empty());
}
