//! HTTP answers of LocalSend peers, in portions, through the client connection and the sender.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((step, bytes)) = bytes.split_first() else { return };
    accord_localsend::core::send::fuzz(bytes, usize::from(*step));
});
