//! What AirPlay receivers announce of themselves.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_airplay::core::finder::fuzz(bytes);
});
