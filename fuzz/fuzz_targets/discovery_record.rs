//! What devices announce nearby.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let strings = bytes.split(|byte| *byte == 0);
    if let Some(said) = accord_link::discovery::record::Announced::parse(strings) {
        let again = said.strings();
        assert!(again.iter().all(|string| string.len() <= 255));
        assert_eq!(
            accord_link::discovery::record::Announced::parse(again.iter().map(Vec::as_slice)),
            Some(said),
            "what was read is said and read the same"
        );
    }
});
