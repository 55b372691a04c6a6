//! Both sides of a pairing with someone in between; panics when a side pairs whose user did not agree.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_identity::pairing::fuzz_machine(bytes);
});
