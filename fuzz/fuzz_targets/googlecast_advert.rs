//! What Cast devices announce of themselves.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_googlecast::core::advert::fuzz(bytes);
});
