//! What Cast devices say: JSON of receiver and media.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_googlecast::core::words::fuzz(bytes);
});
