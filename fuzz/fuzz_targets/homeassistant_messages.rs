//! Messages of Home Assistant, and all that a session makes of them; what it answers when it is asked for tokens.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_homeassistant::core::words::fuzz(bytes);
    accord_homeassistant::core::session::fuzz(bytes);
    accord_homeassistant::core::sign::fuzz(bytes);
});
