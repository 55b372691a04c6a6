//! A catalogue of makes, and a pattern with a text that it is held against.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_recognition::fuzz(bytes);
});
