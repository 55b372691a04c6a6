//! The owner's decisions as they are stored.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_consent::fuzz_consent(bytes);
});
