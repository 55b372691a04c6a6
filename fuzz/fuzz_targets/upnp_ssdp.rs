//! Datagrams of UPnP devices, one after the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_upnp::core::discovery::fuzz(bytes);
});
