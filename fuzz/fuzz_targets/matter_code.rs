//! What somebody typed or scanned as the code of a Matter device.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_matter::core::code::fuzz(bytes);
});
