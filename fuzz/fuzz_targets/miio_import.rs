//! Files with tokens: as text, and the bytes of an app's database.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = accord_miio::core::import::read(text);
    }
    let url = format!("data:;base64,{}", data_encoding::BASE64.encode(bytes));
    let _ = accord_miio::core::import::read(&url);
});
