//! HTTP requests of LocalSend peers: heads, JSON bodies and uploads, in portions, through the whole server.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((step, bytes)) = bytes.split_first() else { return };
    accord_localsend::core::http::fuzz(bytes, usize::from(*step));
    accord_localsend::core::server::fuzz(bytes, usize::from(*step));
});
