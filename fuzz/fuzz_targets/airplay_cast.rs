//! Answers and datagrams of AirPlay receivers, in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_airplay::core::cast::fuzz(bytes);
});
