//! What zigbee2mqtt says that a device exposes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_mqtt::core::zigbee::fuzz(bytes);
});
