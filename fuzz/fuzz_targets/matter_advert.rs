//! What Matter devices announce of themselves, and how patient they say one has to be.
#![no_main]

use accord_matter::core::advert::{Advert, patience};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|byte| *byte == b'\n');
    let pairs: Vec<(&str, &[u8])> = lines
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            Some((std::str::from_utf8(&line[..at]).ok()?, &line[at + 1..]))
        })
        .collect();
    if let Some(advert) = Advert::parse(pairs.iter().copied()) {
        assert!(advert.discriminator < 4096);
        assert!(advert.name.is_none_or(|name| name.chars().count() <= 33));
    }
    let patience = patience(pairs);
    assert!(patience.initial_idle.as_secs() <= 3600 && patience.initial_active.as_secs() <= 3600);
});
