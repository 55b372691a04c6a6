//! Descriptions of UPnP devices and of their services.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_upnp::core::description::fuzz(bytes);
});
