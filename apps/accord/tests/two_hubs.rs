//! Two real hubs on one machine: they see each other, pair, send, refuse and remember, all through the
//! command line.

mod common;

use common::homes::{Home, neighbours, pair};
use common::{Person, text, until};

#[test]
fn two_hubs_pair_send_refuse_and_write_it_down() {
    let (alma, ben) = neighbours();
    pair(&alma, &ben);
    let pairings = alma.json(&["pairings"]);
    assert_eq!(pairings["paired"][0]["name"], ben.name.as_str());

    // Nothing leaves before Alma agreed; the message says how, and the command works as printed.
    let file = text(&alma.file("letter.txt", "dear Ben"));
    let refused = alma.accord(&["send", &ben.name, &file]).fails(1, "consent grant files/send --to");
    let command = refused.err.lines().find_map(|line| line.split("accord --state ").nth(1)).unwrap().to_owned();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    alma.accord(&words).ok();
    ben.accord(&["consent", "grant", "files/receive"]).ok();

    // Accepted.
    let sending = alma.spawn(&["send", &ben.name, &file, "--json"]);
    ben.offer();
    ben.accord(&["inbox", "accept"]).ok();
    let sent = sending.end().json();
    assert_eq!((&sent["state"], &sent["bytes_done"]), (&"done".into(), &8.into()));
    let folder = ben.json(&["inbox"])["folder"].as_str().unwrap().to_owned();
    let received = std::path::Path::new(&folder).join("letter.txt");
    until("the file lies in the inbox", || received.exists().then_some(()));
    assert_eq!(std::fs::read_to_string(&received).unwrap(), "dear Ben");

    // Refused.
    let sending = alma.spawn(&["send", &ben.name, "--text", "once more"]);
    ben.offer();
    ben.accord(&["inbox", "refuse"]).ok();
    sending.end().fails(1, "refused");

    // From standard input, taken without asking.
    ben.accord(&["devices", "set", &alma.name, "--auto-accept", "true"]).ok();
    alma.accord_with_input(&["send", &ben.name, "-", "--name", "notes.txt"], b"from a pipe").ok();
    let notes = std::path::Path::new(&folder).join("notes.txt");
    until("the notes lie in the inbox", || notes.exists().then_some(()));
    assert_eq!(std::fs::read(&notes).unwrap(), b"from a pipe");

    // A stranger gets nothing, at once.
    let stranger = Home::new("Eve", "tablet");
    alma.accord(&["send", &stranger.name, &file]).fails(1, "No device is called");

    // Withdrawn.
    alma.accord(&["consent", "withdraw", "files/send", "--to", &ben.name]).ok();
    alma.accord(&["send", &ben.name, &file]).fails(1, "consent grant files/send");

    // Written down, and whole, on both sides.
    let records = alma.json(&["ledger", "list", "--entry", "files/send"])["records"].clone();
    let kinds: Vec<&str> = records.as_array().unwrap().iter().map(|record| record["kind"].as_str().unwrap()).collect();
    for kind in ["decision", "intent", "sent"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    for home in [&alma, &ben] {
        assert_eq!(home.json(&["ledger", "verify"])["ok"], true);
    }
}

#[test]
fn a_wrong_code_pairs_nobody() {
    let (alma, ben) = neighbours();
    let asking = alma.spawn(&["pair", &ben.name, "--accept", "--wait", "30"]);
    let code = ben.code_shown();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let answer = ben.accord(&["pair", "--incoming", "--code", wrong, "--wait", "30"]);
    assert_eq!(answer.status, 1, "{} {}", answer.out, answer.err);
    assert_eq!(asking.end().status, 1);
    for home in [&alma, &ben] {
        assert!(home.json(&["pairings"])["paired"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_ticket_pairs_without_a_code() {
    let (alma, ben) = neighbours();
    let (showing, ticket) = ben.show_ticket();
    alma.accord(&["pair", &ticket, "--accept", "--wait", "60"]).ok();
    showing.end().ok();
    until("both are paired", || alma.sees(&ben, "paired").and(ben.sees(&alma, "paired")));
    let again = alma.accord(&["pair", &ticket, "--accept", "--wait", "20"]);
    assert_eq!(again.status, 1, "a ticket works once: {}", again.out);
}

#[test]
fn a_state_folder_has_one_hub() {
    let person = Person::new();
    let _hub = person.up("Only", "computer");
    person.accord(&["up", "--no-open", "--loopback"]).fails(1, "already running");
}

#[test]
fn a_new_hub_has_agreed_to_nothing_and_says_so() {
    let person = Person::new();
    let _hub = person.up("New", "computer");
    let status = person.json(&["status"]);
    assert_eq!((&status["discovery"], &status["first_run"]), (&"undecided".into(), &true.into()));
    assert_eq!(status["name"], "New");
    let consents = person.json(&["consent", "list"]);
    assert_eq!(consents["consents"], serde_json::json!([]));
    let list = person.accord(&["consent", "list"]).ok().out;
    assert!(list.contains("files/send") && list.contains("not decided"), "{list}");
    person.accord(&["consent", "grant", "no/entry"]).fails(1, "no/entry");
    person.accord(&["consent", "withdraw", "files/send"]).fails(1, "Nothing to withdraw");

    person.accord(&["consent", "refuse", "link/discovery"]).ok();
    assert_eq!(person.json(&["status"])["discovery"], "off");
    person.accord(&["consent", "withdraw", "link/discovery"]).ok();
    assert_eq!(person.json(&["status"])["discovery"], "undecided");

    person.accord(&["settings", "set", "name", "Newer"]).ok();
    assert_eq!(person.accord(&["settings", "get", "name"]).ok().out, "Newer\n");
    let link = person.accord(&["open", "--print"]).ok().out;
    assert!(link.starts_with("http://127.0.0.1:"), "{link}");
}

#[test]
fn a_paired_device_is_pinged_and_rung_and_runs_only_what_its_owner_allowed() {
    let (alma, ben) = neighbours();
    pair(&alma, &ben);
    let offers = |home: &Home, other: &Home, service: &str| {
        let device = home.sees(other, "paired")?;
        device["services"].as_array()?.iter().find(|one| one["id"] == service).cloned()
    };
    until("ben says what he offers", || offers(&alma, &ben, "ringer"));
    alma.accord(&["ping", &ben.name, "tea is ready"]).fails(1, "accord --state");
    alma.accord(&["consent", "grant", "control/command", "--to", &ben.name]).ok();
    alma.accord(&["ping", &ben.name, "tea is ready"]).ok();
    alma.accord(&["ring", &ben.name]).fails(1, "has not allowed");
    ben.accord(&["devices", "set", &alma.name, "--remote-ring", "true"]).ok();
    alma.accord(&["ring", &ben.name]).ok();

    let mark = text(&ben.path("ran"));
    ben.accord(&["commands", "add", "Leave a mark", "--", "touch", &mark]).ok();
    assert_eq!(alma.json(&["run", &ben.name])["commands"], serde_json::json!([]), "nothing is shown unasked");
    ben.accord(&["consent", "grant", "commands/share", "--to", &alma.name]).ok();
    let shown = until("alma sees the command", || offers(&alma, &ben, "command"));
    assert_eq!(shown["label"], "Leave a mark");
    assert!(!shown.to_string().contains("touch"), "the command line stays at home: {shown}");
    alma.accord(&["run", &ben.name, "leave a mark"]).fails(1, "--yes");
    alma.accord(&["run", &ben.name, "leave a mark", "--yes"]).fails(1, "has not allowed");
    assert!(!std::path::Path::new(&mark).exists());
    ben.accord(&["devices", "set", &alma.name, "--remote-commands", "true"]).ok();
    alma.accord(&["run", &ben.name, "leave a mark", "--yes"]).ok();
    assert!(std::path::Path::new(&mark).exists());
    ben.accord(&["commands", "remove", "Leave a mark"]).ok();
    until("the command is gone", || offers(&alma, &ben, "command").is_none().then_some(()));

    let here = alma.json(&["who"]);
    assert_eq!((&here["devices"][0]["name"], &here["devices"][0]["here"]), (&ben.name.as_str().into(), &true.into()));
    alma.accord(&["media", &ben.name, "pause"]).fails(1, "shows no player");
    let sent = alma.json(&["ledger", "list", "--entry", "control/command"]).to_string();
    assert!(sent.contains("command.name") && !sent.contains("tea is ready"), "{sent}");
}

#[test]
fn new_ids_are_told_to_a_paired_hub_that_is_there() {
    let (alma, ben) = neighbours();
    pair(&alma, &ben);
    let is_local = |home: &Home, other: &Home| home.sees(other, "paired").filter(|seen| !seen["path"].is_null());
    until("they are connected", || is_local(&alma, &ben).and(is_local(&ben, &alma)));
    let before = alma.sees(&ben, "paired").unwrap()["id"].clone();
    alma.accord(&["settings", "reset-id"]).fails(2, "--yes");
    let done = alma.json(&["settings", "reset-id", "--yes"]);
    assert_eq!((&done["told"][0], done["pair_again"].as_array().unwrap().len()), (&before, 0), "{done}");
    until("they are connected again", || is_local(&alma, &ben).and(is_local(&ben, &alma)));
}
