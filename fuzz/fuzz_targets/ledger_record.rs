//! Records as they are stored: a leaf, and beside it details that it commits to or does not.
#![no_main]

use accord_consent::ledger::record::parse;
use sha2::{Digest, Sha256};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = parse(bytes, None);
    let (salt, body) = bytes.split_at(bytes.len().min(16));
    let _ = parse(body, Some((salt, body)));
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let leaf = format!(r#"{{"time":"2026-01-01T00:00:00Z","kind":"sent","details_hash":"{hash}"}}"#);
    let read = parse(leaf.as_bytes(), Some((salt, body)));
    assert!(!read.is_err_and(|error| error.to_string().contains("not those")), "these are the details of that leaf");
});
