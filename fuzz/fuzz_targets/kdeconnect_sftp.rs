//! Answers of an SFTP server.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_kdeconnect::core::fuzz::sftp(bytes);
});
