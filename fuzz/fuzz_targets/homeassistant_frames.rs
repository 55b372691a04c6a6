//! WebSocket frames of Home Assistant in portions, what it announces, and addresses.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_homeassistant::core::ws::fuzz(bytes, bytes.first().map_or(1, |first| usize::from(*first)));
    accord_homeassistant::core::advert::fuzz(bytes);
});
