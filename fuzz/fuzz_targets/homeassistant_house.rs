//! Registries and states of a Home Assistant, whole and as diffs: what devices they become.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| accord_homeassistant::core::home::fuzz(bytes));
