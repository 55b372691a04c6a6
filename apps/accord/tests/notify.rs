//! The desktop's notifications, on a bus of the test's own with a notification server that the test plays.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the desktop, played by the test")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::homes::{Home, befriend, meet};
use common::{Person, until};
use futures_util::StreamExt;
use zbus::message::Type;

const SERVICE: &str = "org.freedesktop.Notifications";

struct Bus(Child);

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A session bus; `None` where there is no `dbus-daemon`.
fn bus() -> Option<(Bus, String)> {
    let mut command = Command::new("dbus-daemon");
    command.args(["--session", "--nofork", "--print-address"]).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut address = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut address).ok()?;
    Some((Bus(child), address.trim().to_owned()))
}

/// A desktop that tells every notification (its text and its actions) and presses `refuse` where that is offered.
fn desktop(address: String) -> Receiver<(String, Vec<String>)> {
    let (tell, told) = channel();
    let (ready, is_ready) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let builder = zbus::connection::Builder::address(address.as_str()).name(SERVICE);
            let bus = builder.build().await.unwrap();
            let mut calls = zbus::MessageStream::from(&bus);
            ready.send(()).unwrap();
            let mut id = 0u32;
            while let Some(Ok(message)) = calls.next().await {
                let header = message.header();
                if header.message_type() != Type::MethodCall || header.member().is_none_or(|name| name != "Notify") {
                    continue;
                }
                type Hints = std::collections::HashMap<String, zbus::OwnedVariant>;
                type Notify = (String, u32, String, String, String, Vec<String>, Hints, i32);
                let body = message.body();
                let (_, _, _, title, text, actions, _, _): Notify = body.deserialize().unwrap();
                id += 1;
                bus.reply(&header, &id).await.unwrap();
                let refuses = actions.iter().any(|action| action == "refuse");
                tell.send((format!("{title}: {text}"), actions)).unwrap();
                if refuses {
                    let pressed = (id, "refuse");
                    let path = "/org/freedesktop/Notifications";
                    bus.emit_signal(None::<&str>, path, SERVICE, "ActionInvoked", &pressed).await.unwrap();
                }
            }
        });
    });
    is_ready.recv_timeout(Duration::from_secs(20)).expect("the desktop is there");
    told
}

#[test]
fn an_offer_is_answered_on_its_notification() {
    let Some((_bus, address)) = bus() else {
        eprintln!("skipped: no dbus-daemon here");
        return;
    };
    let told = desktop(address.clone());
    let mut person = Person::new();
    person.env.push(("DBUS_SESSION_BUS_ADDRESS", address));
    let ben = Home::of(person, format!("Ben {}", std::process::id()), "laptop");
    let (alma, ben) = meet(Home::new("Alma", "laptop"), ben);
    befriend(&alma, &ben);
    let file = alma.file("cat.jpg", vec![0; 2048]);
    let sending = alma.spawn(&["send", &ben.name, file.to_str().unwrap()]);
    let (text, actions) = until("the offer is shown", || {
        let shown = told.recv_timeout(Duration::from_secs(1)).ok()?;
        shown.0.contains("wants to send").then_some(shown)
    });
    assert!(text.contains("cat.jpg") && text.contains("2.0 KiB"), "{text}");
    assert!(
        ["accept", "refuse", "default"].iter().all(|action| actions.iter().any(|had| had == action)),
        "{actions:?}"
    );
    sending.end().fails(1, "refused");
    assert!(ben.json(&["inbox"])["offers"].as_array().unwrap().is_empty());
}
