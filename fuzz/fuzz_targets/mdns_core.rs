//! The whole multicast DNS core, fed with datagrams.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_mdns::fuzz_core(bytes);
});
