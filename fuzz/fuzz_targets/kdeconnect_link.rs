//! A KDE Connect link, from its first byte, in both roles.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_kdeconnect::core::fuzz::link(bytes);
});
