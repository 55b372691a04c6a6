//! What a model can do, from a file or from the net: read, mapped, asked and told.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_miio::core::fuzz_spec(bytes);
});
