//! KDE Connect identities, as lines and as datagrams.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_kdeconnect::core::fuzz::identity(bytes);
});
