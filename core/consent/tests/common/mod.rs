//! A gate in a folder of its own, with the example statement.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;

use accord_consent::{
    BoundGate, Choice, Consent, Decision, Destination, Gate, GateError, Personal, Query, RecipientId, Record,
    RecordKind, To, example,
};
use accord_model::{EntryKey, FieldCode, FieldSet};

pub struct Home {
    pub dir: tempfile::TempDir,
    pub gate: Gate,
    pub bound: BoundGate,
}

pub fn hello() -> EntryKey {
    EntryKey::new("example/hello").unwrap()
}
pub fn beacon() -> EntryKey {
    EntryKey::new("example/beacon").unwrap()
}
pub fn cloud() -> EntryKey {
    EntryKey::new("example/cloud").unwrap()
}
pub fn page() -> EntryKey {
    EntryKey::new("example/page").unwrap()
}
pub fn phone() -> RecipientId {
    "device:phone".parse().unwrap()
}
pub fn tablet() -> RecipientId {
    "device:tablet".parse().unwrap()
}
pub fn name_field() -> FieldSet {
    FieldSet::one(FieldCode::DeviceName)
}
pub fn name() -> Personal<String> {
    Personal::new(FieldCode::DeviceName, "Kitchen".to_owned())
}
pub fn to_phone() -> Destination {
    Destination::new(phone(), "192.0.2.7:1")
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let gate = open(dir.path());
        Self { bound: gate.bind("example"), gate, dir }
    }
    pub fn reopen(self) -> Self {
        let Self { dir, gate, bound } = self;
        drop((gate, bound));
        let gate = open(dir.path());
        Self { bound: gate.bind("example"), gate, dir }
    }
    pub fn grant(&self, entry: &EntryKey, to: To, choice: Choice) -> Result<Consent, GateError> {
        let shown = self.gate.notice(entry, "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry.clone(), to, choice, shown))
    }
    pub fn agree(&self) -> Consent {
        self.grant(&hello(), To::One(phone()), Choice::Always).unwrap()
    }
    pub fn records(&self, kind: RecordKind) -> Vec<Record> {
        self.gate.ledger().list(&Query { kind: Some(kind), ..Query::default() }).unwrap()
    }
    /// Waits for records that are written behind the caller's back.
    pub fn wait_for(&self, kind: RecordKind, count: usize) -> Vec<Record> {
        for _ in 0..200 {
            let found = self.records(kind);
            if found.len() >= count {
                return found;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("no {count} records of kind {kind}: {:?}", self.records(kind));
    }
}

pub fn open(dir: &Path) -> Gate {
    let (statement, signer) = example::parts();
    // The last owner of the databases may still be closing them.
    for _ in 0..100 {
        match Gate::open(dir, statement.clone(), signer.clone()) {
            Err(GateError::InUse(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            outcome => return outcome.unwrap(),
        }
    }
    panic!("the folder stays in use");
}
