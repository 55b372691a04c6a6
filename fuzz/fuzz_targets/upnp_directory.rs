//! Folders of UPnP media servers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_upnp::core::directory::fuzz(bytes);
});
