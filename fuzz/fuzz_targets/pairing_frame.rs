//! Frames of a pairing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_identity::pairing::fuzz(bytes);
});
