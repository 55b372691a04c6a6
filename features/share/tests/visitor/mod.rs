//! A home that shares, and a visitor that speaks HTTP over a connection of its own gate.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet::{Met, Near};
use accord_consent::{Choice, Decision, Gate, Personal, Query, RecipientId, Record, RecordKind, To, example};
use accord_model::{DeviceKind, EntryKey, FieldSet, Timestamp};
use accord_share::{Admission, Network, OpenShare, Share, ShareEvent, Shares, VisitorState};
use accord_statement::{Publisher, Statement};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

pub const SOON: Duration = Duration::from_secs(10);
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub struct Home {
    pub dir: tempfile::TempDir,
    pub gate: Gate,
    pub shares: Shares,
    theirs: Gate,
}

pub fn entry(key: &str) -> EntryKey {
    EntryKey::new(key).unwrap()
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let texts = [accord_share::STATEMENT];
        let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &texts).unwrap();
        let gate = Gate::open(&dir.path().join("ours"), statement, example::key(1)).unwrap();
        let theirs = Gate::open(&dir.path().join("theirs"), example::parts().0, example::key(2)).unwrap();
        grant(&theirs, "example/beacon", To::Any);
        let shares = Shares::new(gate.bind("share"), Network::Loopback);
        Self { dir, gate, shares, theirs }
    }

    /// With consent to open links.
    pub fn open() -> Self {
        let home = Self::new();
        grant(&home.gate, "share/link", To::Any);
        home
    }

    pub fn file(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn wanted(&self, paths: Vec<std::path::PathBuf>, admission: Admission) -> OpenShare {
        let until = Timestamp::now() + Duration::from_secs(60);
        let (text, name) = (None, "Desk".to_owned());
        OpenShare { paths, text, admission, until, name, kind: DeviceKind::Laptop }
    }

    pub async fn share(&self, paths: Vec<std::path::PathBuf>, admission: Admission) -> Share {
        self.shares.open(self.wanted(paths, admission)).await.unwrap()
    }

    /// The owner agrees to the visitor that is here, as letting it in does.
    pub fn agree(&self) {
        grant(&self.gate, "share/visitor", To::One(RecipientId::visitor(HERE)));
    }

    /// The owner waits for somebody, and lets it in or not.
    pub async fn decide_next(&self, share: &Share, yes: bool) {
        let mut events = self.shares.events();
        let wait = async {
            loop {
                let now = self.shares.get(&share.id).unwrap();
                if let Some(visitor) = now.visitors.iter().find(|visitor| visitor.state == VisitorState::Waiting) {
                    return visitor.id;
                }
                while !matches!(events.recv().await, Ok(ShareEvent::Knocked { .. })) {}
            }
        };
        let id = timeout(SOON, wait).await.expect("somebody knocks");
        if yes {
            self.agree();
        }
        self.shares.answer(&share.id, id, yes).unwrap();
    }

    pub async fn visitor(&self, share: &Share) -> Visitor {
        self.try_visitor(share).await.expect("a connection")
    }

    pub async fn try_visitor(&self, share: &Share) -> Option<Visitor> {
        let permit =
            self.theirs.bind("example").permit(&entry("example/beacon"), &RecipientId::lan(), FieldSet::EMPTY, "");
        let near = Near::open(permit.unwrap(), "visitor").await.unwrap();
        let met = near.dial((HERE, share.port).into()).await.ok()?;
        Some(Visitor { met, port: share.port, read: Vec::new(), _near: Arc::new(near) })
    }

    /// Nobody listens at its port any more, or somebody else by now, who does not know it.
    pub async fn is_gone(&self, share: &Share) -> bool {
        match self.try_visitor(share).await {
            None => true,
            Some(mut other) => other.get(&share.path).await.status == 404,
        }
    }

    /// Records of the ledger once there are so many of this kind and entry.
    pub async fn records(&self, kind: RecordKind, of: &str, count: usize) -> Vec<Record> {
        let query = Query { kind: Some(kind), entry: Some(entry(of)), ..Query::default() };
        for _ in 0..200 {
            let found = self.gate.ledger().list(&query).unwrap();
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("fewer than {count} records of {of}");
    }
}

pub fn grant(gate: &Gate, key: &str, to: To) -> accord_consent::ConsentId {
    let shown = gate.notice(&entry(key), "en").unwrap().shown("test");
    gate.decide(Decision::new(entry(key), to, Choice::Always, shown)).unwrap().id
}

pub struct Visitor {
    met: Met,
    port: u16,
    read: Vec<u8>,
    _near: Arc<Near>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn line(&self, name: &str) -> Option<&str> {
        let name = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(name.as_str()))
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Visitor {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.met.put(&Personal::plain(bytes.as_ref())).await.unwrap();
    }

    pub async fn ask(&mut self, request: &str, lines: &str) -> Answer {
        let request = format!("{request} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{lines}\r\n", self.port);
        self.send(request).await;
        self.answer(true).await.expect("an answer")
    }
    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "").await
    }
    pub async fn post(&mut self, path: &str, form: &str) -> Answer {
        self.ask(&format!("POST {path}"), &format!("Content-Length: {}\r\n\r\n{form}", form.len())).await
    }

    /// The next answer; nothing when the connection ended. `body`: there is one, as the head says.
    pub async fn answer(&mut self, body: bool) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.line("Content-Length").filter(|_| body).map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            if !self.more().await {
                answer.body = std::mem::take(&mut self.read);
                return Some(answer);
            }
        }
        answer.body = self.read.drain(..length).collect();
        Some(answer)
    }

    /// Reads on; `false` at the end.
    pub async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        match timeout(SOON, self.met.read(&mut buffer)).await.expect("more, or the end") {
            Ok(length) if length > 0 => {
                self.read.extend_from_slice(&buffer[..length]);
                true
            }
            _ => false,
        }
    }
}
