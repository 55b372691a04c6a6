//! Paired devices watch over each other's ledgers: what one showed, it must lead on from.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use std::path::Path;

use accord_model::{DeviceId, DeviceKind, catalogue};
use common::{Home, paired, until};

const FILES: [&str; 3] = ["ledger.db", "ledger.db-wal", "ledger.db-shm"];

fn remove_ledger(folder: &Path) {
    for file in FILES {
        let _ = std::fs::remove_file(folder.join(file));
    }
}

fn copy_ledger(from: &Path, to: &Path) {
    for file in FILES {
        let _ = std::fs::copy(from.join(file), to.join(file));
    }
}

/// Signs a head of `a` and waits until `b` keeps it; its size.
fn witnessed(a: &Home, b: &Home, a_at_b: &DeviceId) -> u64 {
    let head = a.gate.as_ref().unwrap().ledger().checkpoint().unwrap().unwrap();
    let inside = a.runtime.as_ref().unwrap().enter();
    a.link.set_own("a".into(), DeviceKind::Laptop, vec![catalogue::files()]);
    drop(inside);
    let kept = || b.gate.as_ref().unwrap().ledger().witnesses().unwrap();
    until(10, "the head at the other", || {
        kept().iter().any(|kept| kept.peer == *a_at_b && !kept.ours && kept.size >= head.size).then_some(head.size)
    })
}

fn two() -> (tempfile::TempDir, tempfile::TempDir, Home, Home) {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (Home::start(one.path(), "a", None), Home::start(two.path(), "b", None));
    (one, two, a, b)
}

#[test]
fn a_ledger_that_goes_on_is_witnessed_again_and_again_even_after_a_restart() {
    let (one, _two, a, b) = two();
    let (_, a_at_b) = paired(&a, &b);
    let first = witnessed(&a, &b, &a_at_b);
    a.grant("link/discovery", &accord_consent::RecipientId::lan());
    let second = witnessed(&a, &b, &a_at_b);
    assert!(second > first);
    a.kill();
    let a = Home::start(one.path(), "a", None);
    a.grant("link/discovery", &accord_consent::RecipientId::lan());
    assert!(witnessed(&a, &b, &a_at_b) > second);
    assert!(a.is_calm() && b.is_calm());
}

#[test]
fn a_ledger_that_was_rolled_back_alarms_both_sides() {
    let (one, _two, a, b) = two();
    let (_, a_at_b) = paired(&a, &b);
    witnessed(&a, &b, &a_at_b);
    a.kill();
    let earlier = tempfile::tempdir().unwrap();
    copy_ledger(one.path(), earlier.path());
    let a = Home::start(one.path(), "a", None);
    for _ in 0..5 {
        a.grant("link/discovery", &accord_consent::RecipientId::lan());
    }
    witnessed(&a, &b, &a_at_b);
    assert!(a.is_calm() && b.is_calm());
    a.kill();
    remove_ledger(one.path());
    copy_ledger(earlier.path(), one.path());
    let a = Home::start(one.path(), "a", None);
    assert!(a.alarm(true).contains("saw"));
    b.alarm(false);
}

#[test]
fn a_ledger_that_was_written_anew_and_is_longer_alarms_both_sides() {
    let (one, _two, a, b) = two();
    let (_, a_at_b) = paired(&a, &b);
    let before = witnessed(&a, &b, &a_at_b);
    a.kill();
    remove_ledger(one.path());
    let a = Home::start(one.path(), "a", None);
    let ledger = a.gate.as_ref().unwrap().ledger().clone();
    while ledger.head().unwrap().size < before + 10 {
        a.grant("link/discovery", &accord_consent::RecipientId::lan());
    }
    ledger.checkpoint().unwrap();
    let inside = a.runtime.as_ref().unwrap().enter();
    a.link.set_own("a".into(), DeviceKind::Laptop, vec![catalogue::files()]);
    drop(inside);
    assert!(a.alarm(true).contains("saw"));
    assert!(b.alarm(false).contains("not proven"));
}
