//! Messages of Home Assistant, and all that a session makes of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_homeassistant::core::words::fuzz(bytes);
    accord_homeassistant::core::session::fuzz(bytes);
});
