//! Probes and their answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use accord_link::discovery::probe::{Probe, SIZE};
    for bytes in [bytes.to_vec(), [b"accord\x001", bytes].concat()] {
        if let Some(probe) = Probe::decode(&bytes) {
            assert!(probe.encode().len() <= SIZE);
        }
    }
});
