//! Exit statuses, messages and documents that scripts rely on, with no hub running.

mod common;

use common::{Person, text};

#[test]
fn without_a_hub_every_command_that_needs_one_says_how_to_start_it() {
    let person = Person::new();
    let message = format!("No hub is running for {}; start one with `accord up`", person.state().display());
    let file = text(&person.file("a.txt", "a"));
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["devices"],
        &["devices", "set", "x", "--room", "Kitchen"],
        &["pairings", "--json"],
        &["pair", "x", "--accept"],
        &["pair", "--incoming"],
        &["send", "x", &file],
        &["transfers", "cancel", "t1"],
        &["inbox", "accept"],
        &["settings", "get", "name"],
        &["open", "--print"],
    ] {
        let answer = person.accord(words).fails(1, &message);
        assert_eq!(answer.out, "", "{words:?}");
    }
}

#[test]
fn wrong_usage_is_status_2_and_prints_no_result() {
    let person = Person::new();
    for words in [
        &[][..],
        &["nonsense"],
        &["pair"],
        &["pair", "x", "--ticket"],
        &["pair", "x", "--code", "12345"],
        &["pair", "x", "--code", "123456", "--accept"],
        &["send", "x"],
        &["send", "x", "a", "--text", "b"],
        &["send", "x", "-", "a"],
        &["send", "x", "--url", "ftp://example.org"],
        &["send", "x", "https://example.org", "--name", "y"],
        &["up", "--kind", "toaster"],
        &["up", "--http", "nowhere"],
        &["consent", "grant"],
        &["consent", "grant", "files/send", "--until", "soon"],
        &["consent", "grant", "files/send", "--once", "--until", "2099-01-01"],
        &["consent", "grant", "files/send", "--only", "no.such.field"],
        &["ledger", "show", "x"],
    ] {
        let answer = person.accord(words);
        assert_eq!(answer.status, 2, "{words:?}: {}", answer.err);
        assert_eq!(answer.out, "", "{words:?}");
        assert!(!answer.err.is_empty(), "{words:?}");
    }
}

#[test]
fn what_cannot_be_sent_is_said_before_anything_else() {
    let person = Person::new();
    person.accord(&["send", "x", "/no/such/file"]).fails(1, "/no/such/file");
}

#[test]
fn help_version_completions_and_openapi_need_nothing() {
    let person = Person::new();
    let help = person.accord(&["--help"]).ok().out;
    for command in ["up", "devices", "pair", "send", "inbox", "consent", "ledger", "demo"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} in {help}");
    }
    assert!(person.accord(&["--version"]).ok().out.starts_with("accord "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(person.accord(&["completions", shell]).ok().out.contains("accord"), "{shell}");
    }
    let api = person.accord(&["openapi"]).json();
    assert!(api["paths"]["/api/v1/transfers"]["post"].is_object() && api["openapi"].is_string());
    assert!(!person.state().exists(), "nothing was made");
}

#[test]
fn names_from_outside_cannot_drive_the_terminal() {
    let person = Person::new();
    let answer = person.accord(&["send", "x", "/no/\u{1b}[31mred\u{202e}"]);
    assert_eq!(answer.status, 1);
    assert!(!answer.err.contains('\u{1b}') && !answer.err.contains('\u{202e}'), "{:?}", answer.err);
}
