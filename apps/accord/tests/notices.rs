//! Notifications and the clipboard between two real hubs, each with a desktop of its own: a session bus with `notify-send`
//! as the app, a screen with xclip. Without these programs the tests say so and pass.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the desktop's programs are started here"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use common::homes::{Home, meet, pair};
use common::{Person, until};
use serde_json::Value;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn are_there(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED: these programs are not installed: {missing:?}");
    }
    missing.is_empty()
}

fn first_line(command: &mut Command) -> (Running, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Running(child), line.trim().to_owned())
}

/// A session bus on which nothing is started by itself.
fn bus(person: &Person) -> (Running, String) {
    let config = person.file(
        "bus.conf",
        r#"<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth><policy context="default">
           <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#,
    );
    let mut command = Command::new("dbus-daemon");
    first_line(command.arg(format!("--config-file={}", config.display())).args(["--nofork", "--print-address"]))
}

fn screen() -> (Running, String) {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "320x200x24", "-nolisten", "tcp"]);
    let (screen, number) = first_line(&mut command);
    (screen, format!(":{number}"))
}

fn friends(alma: Person, ben: Person) -> (Home, Home) {
    let named = |name: &str| format!("{name} {} {:?}", std::process::id(), std::thread::current().id());
    let home = |person, name: &str, kind| Home::of(person, named(name).replace(['(', ')'], ""), kind);
    let (alma, ben) = meet(home(alma, "Alma", "laptop"), home(ben, "Ben", "laptop"));
    pair(&alma, &ben);
    (alma, ben)
}

fn listed(home: &Home, title: &str) -> Value {
    until(&format!("“{title}” is listed"), || {
        let all = home.json(&["notifications"]);
        all["notifications"].as_array().unwrap().iter().find(|one| one["title"] == title).cloned()
    })
}

fn is_empty(home: &Home) -> bool {
    home.json(&["notifications"])["notifications"].as_array().unwrap().is_empty()
}

#[test]
fn a_notification_is_sent_by_hand_dismissed_on_the_other_side_and_nothing_without_consent() {
    let (alma, ben) = friends(Person::new(), Person::new());
    alma.accord(&["notify", &ben.name, "Tea", "is ready"]).fails(1, "consent grant notifications/mirror");
    assert!(is_empty(&ben));
    alma.accord(&["consent", "grant", "notifications/mirror", "--to", &ben.name]).ok();
    let sent = alma.json(&["notify", &ben.name, "Tea", "is ready, code 482913"]);
    assert_eq!(sent["waits"], false);
    let tea = listed(&ben, "Tea");
    assert_eq!(tea["body"], "is ready, code 482913");
    assert_eq!(tea["code"], "482913");
    assert_eq!(tea["device_name"], alma.name.as_str());
    let shown = ben.accord(&["notifications"]).ok().out;
    assert!(shown.contains("Tea (code 482913)"), "{shown}");

    let id = tea["id"].as_str().unwrap();
    ben.accord(&["notifications", "dismiss", id]).fails(1, "notifications/answer");
    ben.accord(&["consent", "grant", "notifications/answer", "--to", &alma.name]).ok();
    ben.accord(&["notifications", "dismiss", id]).ok();
    until("it is gone on both", || (is_empty(&ben) && is_empty(&alma)).then_some(()));
    ben.accord(&["notifications", "copy", id]).fails(1, "No notification");

    ben.accord(&["notifications", "hide-content", "on"]).ok();
    assert_eq!(ben.json(&["notifications", "rules"])["hide_content"], true);
    ben.accord(&["notifications", "codes", &alma.name, "on"]).ok();
    let rules = ben.accord(&["notifications", "rules"]).ok().out;
    ben.accord_with_input(&["notifications", "rules", "--set", "-"], rules.as_bytes()).ok();
    ben.accord_with_input(&["notifications", "rules", "--set", "-"], br#"{"quiet":{"from":"25:00","to":"1:00"}}"#)
        .fails(1, "22:30");
}

#[test]
fn what_an_app_says_here_is_answered_there() {
    if !are_there(&["dbus-daemon", "notify-send"]) {
        return;
    }
    let mut person = Person::new();
    let (_bus, address) = bus(&person);
    person.env.push(("DBUS_SESSION_BUS_ADDRESS", address.clone()));
    let (alma, ben) = friends(person, Person::new());
    alma.accord(&["consent", "grant", "notifications/mirror", "--to", &ben.name]).ok();
    ben.accord(&["consent", "grant", "notifications/answer", "--to", &alma.name]).ok();
    until("Alma takes what apps say", || (alma.json(&["notifications"])["desktop"]["mode"] == "serving").then_some(()));
    let mut app = Command::new("notify-send");
    app.args(["--app-name", "Chat", "--action", "yes=Yes", "--action", "no=No", "Mira", "Lunch?"]);
    let app = app.env("DBUS_SESSION_BUS_ADDRESS", address).stdout(Stdio::piped()).spawn().unwrap();
    let lunch = listed(&ben, "Mira");
    assert_eq!((lunch["app"].as_str(), lunch["body"].as_str()), (Some("Chat"), Some("Lunch?")));
    ben.accord(&["notifications", "act", lunch["id"].as_str().unwrap(), "Yes"]).ok();
    let said = app.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "yes");
    until("it is gone on both", || (is_empty(&ben) && is_empty(&alma)).then_some(()));
    let ledger = alma.json(&["ledger", "list"]).to_string();
    assert!(ledger.contains("notifications/mirror"), "{ledger}");
}

fn xclip(display: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("xclip");
    command.args(["-selection", "clipboard"]).args(arguments).env("DISPLAY", display).stderr(Stdio::null());
    command
}

fn copy(display: &str, text: &str) {
    let mut copy = xclip(display, &["-in"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    copy.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    copy.wait().unwrap();
}

fn paste(display: &str) -> String {
    String::from_utf8_lossy(&xclip(display, &["-out"]).output().unwrap().stdout).into_owned()
}

#[test]
fn what_is_copied_here_is_pasted_there() {
    if !are_there(&["Xvfb", "xclip"]) {
        return;
    }
    let ((_one, here), (_other, there)) = (screen(), screen());
    let (mut alma, mut ben) = (Person::new(), Person::new());
    alma.env.push(("DISPLAY", here.clone()));
    ben.env.push(("DISPLAY", there.clone()));
    let (alma, ben) = friends(alma, ben);
    copy(&here, "Grüße");
    assert_eq!(alma.accord(&["clip"]).ok().out, "Grüße");
    alma.accord(&["clip", "send", &ben.name]).fails(1, "consent grant clipboard/share");
    alma.accord(&["consent", "grant", "clipboard/share", "--to", &ben.name]).ok();
    alma.accord(&["clip", "send", &ben.name]).ok();
    let waits = ben.accord(&["clip", "list"]).ok().out;
    assert!(waits.contains("Grüße") && waits.contains("waits for you"), "{waits}");
    assert_eq!(paste(&there), "");
    ben.accord(&["clip", "accept"]).ok();
    assert_eq!(paste(&there), "Grüße");

    ben.accord(&["clip", "receive", "automatic", "--from", &alma.name]).ok();
    alma.accord(&["clip", "auto", &ben.name, "on"]).ok();
    // The clipboard is looked at once before changes count.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    copy(&here, "second");
    until("it can be pasted", || (paste(&there) == "second").then_some(()));
    ben.accord(&["clip", "auto", &alma.name, "on"]).fails(1, "consent grant clipboard/share");
    alma.accord_with_input(&["clip", "set", "-"], b"third").ok();
    assert_eq!(paste(&here), "third");
}
