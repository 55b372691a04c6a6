//! The JSON of LocalSend peers: announcements, `prepare-upload` and its answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_localsend::core::message::fuzz(bytes);
});
