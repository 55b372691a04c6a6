//! HTTP requests of visitors to a share by link, in portions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((step, bytes)) = bytes.split_first() else { return };
    accord_http::fuzz(bytes, usize::from(*step));
    accord_share::core::fuzz(bytes, usize::from(*step));
});
