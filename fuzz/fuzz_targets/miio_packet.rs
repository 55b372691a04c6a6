//! Datagrams of miIO devices, and the JSON in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_miio::core::fuzz_datagrams(bytes);
});
