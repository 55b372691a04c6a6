//! Events of UPnP renderers, in portions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_upnp::core::gena::fuzz(bytes);
});
