//! Answers and announcements of lamps, one after the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_yeelight::core::discovery::fuzz(bytes);
});
