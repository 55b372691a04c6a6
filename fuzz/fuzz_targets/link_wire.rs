//! What hubs say to each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_link::wire::fuzz(bytes);
});
