//! Multicast DNS datagrams.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_mdns::fuzz(bytes);
});
