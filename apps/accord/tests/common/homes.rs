//! Homes with a running hub each, and how they become acquainted.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::{Person, Running, until};

const AGREED: [&str; 3] = ["link/discovery", "link/pairing", "link/connection"];

/// A person with a running hub. Names are unique: hubs of other tests are on the same loopback.
pub struct Home {
    person: Person,
    pub name: String,
    _hub: Running,
}

impl std::ops::Deref for Home {
    type Target = Person;
    fn deref(&self) -> &Person {
        &self.person
    }
}

impl Home {
    pub fn new(name: &str, kind: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{name} {}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self::of(Person::new(), name, kind)
    }
    pub fn of(person: Person, name: String, kind: &str) -> Self {
        let hub = person.up(&name, kind);
        Self { person, name, _hub: hub }
    }

    /// The other one in this one's list.
    pub fn sees(&self, other: &Home, trust: &str) -> Option<Value> {
        let devices = self.json(&["devices"]);
        let mut devices = devices["devices"].as_array().unwrap().iter();
        devices.find(|device| device["name"] == other.name.as_str() && device["trust"] == trust).cloned()
    }

    pub fn code_shown(&self) -> String {
        until("the screen shows a code", || {
            let pairings = self.json(&["pairings"]);
            pairings["running"].as_array()?.iter().find_map(|p| p["code"].as_str().map(str::to_owned))
        })
    }

    pub fn offer(&self) -> Value {
        until("the offer arrives", || self.json(&["inbox"])["offers"].as_array()?.first().cloned())
    }
}

/// Two hubs that see each other.
pub fn neighbours() -> (Home, Home) {
    meet(Home::new("Alma", "laptop"), Home::new("Ben", "phone"))
}

pub fn meet(alma: Home, ben: Home) -> (Home, Home) {
    for home in [&alma, &ben] {
        for entry in AGREED {
            home.accord(&["consent", "grant", entry]).ok();
        }
    }
    until("they see each other", || alma.sees(&ben, "seen").and(ben.sees(&alma, "seen")));
    (alma, ben)
}

/// Pairs by code; both sides compare it as a script can.
pub fn pair(alma: &Home, ben: &Home) {
    let asking = alma.spawn(&["pair", &ben.name, "--accept", "--wait", "60"]);
    let code = ben.code_shown();
    ben.accord(&["pair", "--incoming", "--code", &code, "--wait", "60"]).ok();
    let asked = asking.end().ok();
    assert!(asked.out.contains(&code), "both show {code}: {}", asked.out);
    until("both are paired", || alma.sees(ben, "paired").and(ben.sees(alma, "paired")));
}

/// Two hubs that are paired; Alma may send to Ben, who may answer.
pub fn friends() -> (Home, Home) {
    let (alma, ben) = neighbours();
    befriend(&alma, &ben);
    (alma, ben)
}

pub fn befriend(alma: &Home, ben: &Home) {
    pair(alma, ben);
    alma.accord(&["consent", "grant", "files/send"]).ok();
    ben.accord(&["consent", "grant", "files/receive"]).ok();
}

impl Home {
    pub fn inbox(&self) -> PathBuf {
        self.json(&["inbox"])["folder"].as_str().unwrap().into()
    }
    /// Takes everything from the other one without asking.
    pub fn trusts(&self, other: &Home) {
        self.accord(&["devices", "set", &other.name, "--auto-accept", "true"]).ok();
    }
    /// A call of the API through the Unix socket.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let mut socket = UnixStream::connect(self.state().join("hub.sock")).unwrap();
        let length = body.len();
        write!(
            socket,
            "{method} /api/v1{path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or_default()
    }
    /// Waits for a state of a transfer.
    pub fn until_transfer(&self, id: &str, state: &str) -> Value {
        until(&format!("a transfer is {state}"), || {
            let transfer = self.call("GET", &format!("/transfers/{id}"), "");
            (transfer["state"] == state).then_some(transfer)
        })
    }
}
