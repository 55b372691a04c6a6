//! A Matter node that tells whatever it wants: its attributes and events, what it becomes, and what it is told.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_matter::core::fuzzing::node(bytes);
});
