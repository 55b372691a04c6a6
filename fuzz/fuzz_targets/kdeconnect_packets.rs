//! KDE Connect packet lines.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_kdeconnect::core::fuzz::packets(bytes);
});
