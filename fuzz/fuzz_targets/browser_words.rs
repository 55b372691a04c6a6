//! What the page of a screen sends, and what its browser says that it is.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    accord_browser::core::fuzz(bytes);
});
