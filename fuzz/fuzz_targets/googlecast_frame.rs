//! Messages of Cast devices, in portions, and all that a session makes of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_googlecast::core::frame::fuzz(bytes);
    accord_googlecast::core::session::fuzz(bytes);
});
