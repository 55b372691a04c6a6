//! What a lamp says over its connection, while something is wanted of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_yeelight::core::session::fuzz(bytes);
});
