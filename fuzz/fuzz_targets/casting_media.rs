//! First bytes of files that are cast, captions, and what ffprobe says of a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| accord_casting::fuzz(bytes));
