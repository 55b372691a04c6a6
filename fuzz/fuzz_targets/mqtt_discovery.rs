//! Home Assistant's discovery messages: a topic, a line break, a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_mqtt::core::discovery::fuzz(bytes);
});
