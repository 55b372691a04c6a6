//! What receivers announce, one in each line, its pairs ended by zeroes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_lebo::core::fuzz(bytes);
});
