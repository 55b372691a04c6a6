//! Other vendors' pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_statement::fuzz_import(bytes);
});
