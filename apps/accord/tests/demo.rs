//! The demo home, driven as a newcomer would: pair with a device, get what its owner sends, be refused.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{Person, until};
use serde_json::Value;

/// A command on one of the home's hubs.
fn at(person: &Person, device: &str, words: &[&str]) -> common::Answer {
    person.accord_at(&person.state().join(device), words)
}

fn json(person: &Person, device: &str, words: &[&str]) -> Value {
    let mut all = words.to_vec();
    all.push("--json");
    at(person, device, &all).json()
}

/// By ticket, so that other homes on this machine are not in the way.
fn pair(person: &Person, device: &str) {
    let (showing, ticket) = person.show_ticket_at(&person.state().join(device));
    at(person, "this", &["pair", &ticket, "--accept", "--wait", "60"]).ok();
    showing.end().ok();
}

fn pids(home: &Path) -> Vec<u32> {
    let needle = home.to_str().unwrap();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(needle)
        })
        .collect()
}

#[test]
fn a_newcomer_pairs_receives_and_is_refused_and_all_ends_with_the_home() {
    let person = Person::new();
    let mut home = person.spawn_quietly(&["demo", "--no-open"]);
    until("the home is up", || (at(&person, "tv", &["status"]).status == 0).then_some(()));
    until("the main hub answers", || (at(&person, "this", &["status"]).status == 0).then_some(()));
    assert_eq!(json(&person, "this", &["status"])["first_run"], true, "the newcomer has decided nothing yet");
    for entry in ["link/pairing", "link/connection", "files/send", "files/receive"] {
        at(&person, "this", &["consent", "grant", entry]).ok();
    }

    pair(&person, "phone");
    let photo = until("Mira's photo is offered", || {
        let inbox = json(&person, "this", &["inbox"]);
        inbox["offers"].as_array()?.iter().find(|offer| offer["kind"] == "files").cloned()
    });
    at(&person, "this", &["inbox", "accept", photo["id"].as_str().unwrap()]).ok();
    let folder = json(&person, "this", &["inbox"])["folder"].as_str().unwrap().to_owned();
    until("the photo is here", || Path::new(&folder).join("Lake at dusk.png").exists().then_some(()));

    pair(&person, "laptop");
    let file = common::text(&person.file("report.txt", "numbers"));
    at(&person, "this", &["send", "Work laptop", &file]).fails(1, "refused");
    at(&person, "this", &["send", "Work laptop", &file]).ok();
    assert_eq!(json(&person, "this", &["ledger", "verify"])["ok"], true);

    let hubs = pids(&person.state());
    assert_eq!(hubs.len(), 6, "five hubs and the home");
    home.kill();
    let end = Instant::now() + Duration::from_secs(20);
    while !pids(&person.state()).is_empty() {
        assert!(Instant::now() < end, "hubs outlive the home");
        std::thread::sleep(Duration::from_millis(200));
    }
}
