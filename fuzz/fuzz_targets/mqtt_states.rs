//! All that a broker tells of: descriptions, states, availability.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_mqtt::core::house::fuzz(bytes);
});
