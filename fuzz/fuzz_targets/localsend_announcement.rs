//! Datagrams of LocalSend peers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_localsend::core::discovery::fuzz(bytes);
});
