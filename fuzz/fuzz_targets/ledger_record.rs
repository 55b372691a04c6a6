//! Records as they are stored.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = accord_consent::ledger::record::parse(bytes, None);
});
