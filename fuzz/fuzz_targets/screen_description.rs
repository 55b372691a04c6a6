//! What a browser or a device describes of its end of a WebRTC connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_screen::relay::fuzz(bytes);
});
