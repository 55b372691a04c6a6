//! What holds for every statement and every page.

use accord_model::{EntryKey, FieldCode};
use accord_statement::{Change, Document, Entry, EntryText, Field, compare, diff, fuzz_import, import, lint, render};
use proptest::prelude::*;

fn example() -> Entry {
    match Document::read("example", accord_statement::EXAMPLE.as_bytes()).unwrap() {
        Document::Own(statement) => statement.entries[0].clone(),
        Document::Imported(_) => panic!("the example is ours"),
    }
}

fn words() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set(proptest::sample::select(vec!["a.b", "c.d", "e", "f.g-h"]), 1..4)
        .prop_map(|set| set.into_iter().map(str::to_owned).collect())
}

prop_compose! {
    fn entry()(
        codes in proptest::collection::btree_map(0..FieldCode::ALL.len(), any::<bool>(), 1..8),
        purpose in words(),
        scenario in words(),
        transport in proptest::sample::select(vec!["none", "lan", "relay", "hosts"]),
        hosts in proptest::collection::btree_set(proptest::sample::select(vec!["a.example:443", "*.b.example", "c.d.b.example:1"]), 0..3),
        retention in proptest::sample::select(vec!["none", "session", "P1D", "P30D", "until-deleted", "not stated"]),
        storage in proptest::sample::select(vec!["none", "there", "not stated"]),
        unbounded in any::<bool>(),
        acquire in proptest::sample::select(vec!["in-process", "user-picks", "api"]),
        title in "[a-z]{1,8}",
    ) -> Entry {
        let mut entry = example();
        entry.key = EntryKey::new("x/y").unwrap();
        entry.fields = codes.into_iter().map(|(at, required)| Field { code: FieldCode::ALL[at], required, derived_from: vec![] }).collect();
        entry.purpose = purpose;
        entry.scenario = scenario;
        entry.method.transport = transport.to_owned();
        entry.method.acquire = acquire.to_owned();
        entry.hosts = hosts.into_iter().map(str::to_owned).collect();
        entry.retention = retention.to_owned();
        entry.storage = storage.to_owned();
        entry.unbounded = unbounded;
        entry.text = [("en".to_owned(), EntryText { title, ..EntryText::default() })].into();
        entry
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn wording_and_order_leave_the_fingerprint_alone(entry in entry(), text in ".{0,40}", url in proptest::option::of("https://[a-z]{1,9}\\.example/")) {
        let mut other = entry.clone();
        other.text.entry("de".to_owned()).or_default().title = text.clone();
        other.text.get_mut("en").unwrap().purpose = text.clone();
        other.recipient.name = text;
        other.rules_url = url;
        other.fields.reverse();
        other.purpose.reverse();
        other.scenario.reverse();
        other.hosts.reverse();
        prop_assert_eq!(entry.fingerprint(), other.fingerprint());
        prop_assert!(matches!(compare(&entry, &other).change, Change::Unchanged | Change::Editorial));
    }

    #[test]
    fn what_differs_in_the_fingerprint_widens_or_narrows(old in entry(), new in entry()) {
        let there = compare(&old, &new);
        let same = old.fingerprint() == new.fingerprint();
        prop_assert_eq!(same, matches!(there.change, Change::Unchanged | Change::Editorial), "{:?}", there);
        // What only narrows on the way there must widen on the way back, and the reverse of nothing is nothing.
        let back = compare(&new, &old);
        if there.change == Change::Narrowed && old.method.acquire == new.method.acquire && old.storage == new.storage
            && there.narrowed.iter().all(|text| !text.contains("another way")) {
            prop_assert_eq!(back.change, Change::Widened, "{:?} {:?}", there, back);
        }
    }

    #[test]
    fn every_single_widening_is_seen(entry in entry(), at in 0..FieldCode::ALL.len()) {
        let code = FieldCode::ALL[at];
        let mut wider: Vec<Entry> = Vec::new();
        if !entry.field_set().contains(code) {
            let mut more = entry.clone();
            more.fields.push(Field { code, required: false, derived_from: vec![] });
            wider.push(more);
        }
        let mut other = entry.clone();
        other.recipient.id = "someone-else".into();
        wider.push(other);
        let mut other = entry.clone();
        other.purpose.push("z.z".into());
        wider.push(other);
        let mut other = entry.clone();
        other.hosts.push("elsewhere.example:443".into());
        wider.push(other);
        if let Some(field) = entry.fields.iter().position(|field| !field.required) {
            let mut other = entry.clone();
            other.fields[field].required = true;
            wider.push(other);
        }
        for other in wider {
            prop_assert_ne!(entry.fingerprint(), other.fingerprint());
            let found = compare(&entry, &other);
            prop_assert_eq!(found.change, Change::Widened);
            prop_assert!(found.difference().is_some());
        }
    }

    /// What once broke it.
    #[test]
    fn sentences_of_other_scripts_are_read(before in ".{0,8}", after in ".{0,8}") {
        for verb in ["我们将向", "我们会向", "we share ", "\u{212a} and so on"] {
            fuzz_import(format!("{before}{verb}{after}").as_bytes());
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        fuzz_import(&bytes);
    }

    #[test]
    fn any_page_of_page_like_pieces_is_read_and_shown(pieces in proptest::collection::vec(prop_oneof![
        Just("Third party name: "), Just("Sharing type: SDK ("), Just("Shared data"), Just("：设备ID、名称和类型（"), Just(")"), Just("\n"), Just("\n\n"),
        Just("• "), Just("| a | b |"), Just("<table><tr><td rowspan=9>"), Just("</td>"), Just("<li><b>"), Just("{name:'"), Just("',purpose:["), Just("and "), Just(", "),
        Just("https://a.b/c"), Just("# "), Just("**"), Just("1. "), Just("&#x41;"), Just("等"), Just("\u{a0}"), Just("20250508"), Just("Title"), Just("<a href=\""), Just("ẞİ"), Just("；"),
        Just(" of "), Just("/"), Just("\t"), Just("Purpose"), Just("We share x with Y through Z."), Just("[x]("), Just("```"), Just("—"), Just(" - "),
        Just("我们将向"), Just("We share "), Just("向"), Just("\u{212a}"), Just("和"), Just("用于")
    ], 0..60)) {
        let page = pieces.concat();
        fuzz_import(page.as_bytes());
        let document = Document::Imported(import(page.as_bytes()));
        let _ = (render::html(&document, "en"), render::markdown(&document, "en"), render::json_ld(&document), lint(&document));
        let text = render::terminal(&document, "en", &render::Terminal { width: 50, colour: false });
        let escapes = text.contains('\u{1b}');
        prop_assert!(!escapes);
        let again = diff(&document, &document);
        prop_assert!(again.entries.iter().all(|entry| !entry.consent_needed_again), "{:?}", again);
    }

    #[test]
    fn a_cut_page_says_so(at in 1900usize..8000) {
        let seed = include_bytes!("pages/seed.txt");
        let at = at.min(seed.len());
        let whole = import(seed);
        let cut = import(&seed[..at]);
        let lines = std::str::from_utf8(&seed[..at]).unwrap_or_default().matches("Third party name:").count();
        prop_assert!(cut.entries.len() >= lines.saturating_sub(1), "{} of {}", cut.entries.len(), lines);
        let sure = cut.entries.len().saturating_sub(1);
        for (a, b) in cut.entries[..sure].iter().zip(&whole.entries) {
            prop_assert_eq!(a, b);
        }
        if let Some(last) = cut.entries.last().filter(|last| last.complete) {
            // Only an address cut at a place where it still looks whole may go unseen.
            let url = last.rules_url.clone().unwrap_or_default();
            let full = &whole.entries[sure];
            prop_assert!(full.rules_url.as_deref().unwrap_or_default().starts_with(&url) && !url.is_empty(), "{:?}", last);
        }
    }
}

/// Eight times the page may take about eight times the time: nothing grows with the square.
#[test]
fn long_pages_take_time_by_their_length() {
    let hard: [fn(usize) -> String; 18] = [
        |n| format!("A\nThird party name: a\nShared data: b\n{}", "word\n".repeat(n / 4)),
        |n| format!("Third party name: A, {}", "Type: x, ".repeat(n / 8)),
        |n| "a\n".repeat(n),
        |n| "Purpose: a\n".repeat(n / 4),
        |n| "x (".repeat(n),
        |n| format!("Shared data: {}", "and ".repeat(n)),
        |n| format!("Third party name: a\n{}", "b\n".repeat(n)),
        |n| "<b".repeat(n),
        |n| "<p><a href=\"x\">t ".repeat(n / 4),
        |n| "<p><p><p>".to_owned() + &"<b>x</b>".repeat(n / 2),
        |n| "[{a:".repeat(n),
        |n| "| a | b | c |\n".repeat(n / 4),
        |n| "a | b | c\n".repeat(n / 4),
        |n| " a: b: c:".repeat(n / 4),
        |n| "Third party name: a; Purpose: b; ".repeat(n / 8),
        |n| "[".repeat(n),
        |n| format!("<table>{}", "<tr><td rowspan=200 colspan=200>x".repeat(n / 32)),
        |n| format!("Shared data: {}", "a/b, ".repeat(n)),
    ];
    let time = |page: String| {
        let start = std::time::Instant::now();
        fuzz_import(page.as_bytes());
        start.elapsed().as_secs_f64()
    };
    for page in hard {
        let small = time(page(4_000)).max(0.05);
        let large = time(page(32_000));
        println!("timed {small:.3} {large:.3} {:?}", page(64).chars().take(30).collect::<String>());
        assert!(large / small < 40.0, "{small} s became {large} s for eight times the page");
    }
}
