//! What clients of a broker tell devices of this house that are shown there.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_mqtt::core::showing::fuzz(bytes);
});
