//! Frames of transfers, in both directions and in any portions.
#![no_main]

use accord_ports::files::wire::{Back, Decoder, Forward};
use serde::de::DeserializeOwned;

fn read<M: DeserializeOwned>(bytes: &[u8]) {
    let mut decoder = Decoder::<M>::default();
    for mut portion in bytes.chunks(97) {
        loop {
            match decoder.next(&mut portion) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read::<Forward>(bytes);
    read::<Back>(bytes);
});
