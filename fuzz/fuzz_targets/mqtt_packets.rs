//! What an MQTT broker sends, in portions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_mqtt::core::packet::fuzz(bytes);
});
