//! Whatever comes from the network, nothing here panics. The fuzzer goes on where this ends.

use accord_homeassistant::core::{advert, home, session, sign, words, ws};
use proptest::prelude::*;

/// Pieces of real messages, so that chance goes deeper than the first byte.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "null",
    "true",
    "1e308",
    "-7",
    "\"\"",
    "\"id\"",
    "\"type\"",
    "\"event\"",
    "\"a\"",
    "\"c\"",
    "\"r\"",
    "\"+\"",
    "\"-\"",
    "\"s\"",
    "\"on\"",
    "\"unavailable\"",
    "\"light.a\"",
    "\"event.b\"",
    "\"climate.c\"",
    "{\"id\":1,\"type\":\"event\",\"event\":{\"a\":{\"light.a\":{\"s\":\"on\",\"a\":{\"brightness\":-1,\"supported_color_modes\":[\"hs\"]}}}}}",
    "{\"id\":1,\"type\":\"event\",\"event\":{\"c\":{\"light.a\":{\"+\":{\"s\":\"off\"},\"-\":{\"a\":[\"brightness\"]}}}}}",
    "{\"id\":1,\"type\":\"event\",\"event\":{\"a\":{\"climate.c\":{\"s\":\"heat\",\"a\":{\"min_temp\":1e300,\"max_temp\":-1,\"hvac_modes\":[\"heat\",\"heat\"],\"supported_features\":4294967295}}}}}",
    "{\"id\":1,\"type\":\"result\",\"success\":true,\"result\":[{\"id\":\"d\",\"name\":\"x\",\"ei\":\"light.a\",\"di\":\"d\"}]}",
    "{\"id\":1,\"type\":\"event\",\"event\":{\"r\":[\"light.a\",\"climate.c\"]}}",
    "{\"id\":7,\"type\":\"result\",\"success\":false,\"error\":{}}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), step in 1usize..64) {
        ws::fuzz(&bytes, step);
        advert::fuzz(&bytes);
        words::fuzz(&bytes);
        session::fuzz(&bytes);
        home::fuzz(&bytes);
        sign::fuzz(&bytes);
    }

    #[test]
    fn pieces_of_messages_never_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40), lines in any::<bool>()) {
        let bytes = pieces.join(if lines { "\n" } else { "" }).into_bytes();
        words::fuzz(&bytes);
        session::fuzz(&bytes);
        home::fuzz(&bytes);
    }
}
