//! Strokes that a device asks for.
#![no_main]

use std::collections::BTreeMap;

libfuzzer_sys::fuzz_target!(|said: (String, BTreeMap<String, String>, f64)| {
    let (action, texts, number) = said;
    let mut inputs: accord_model::Inputs = texts.into_iter().map(|(id, text)| (id, text.into())).collect();
    inputs.insert("dx".to_owned(), number.into());
    for action in ["move", "key", "type", "click", "hold", "scroll", &action] {
        if let Ok(stroke) = accord_input::Stroke::read(action, &inputs) {
            assert_eq!(stroke.action(), action);
            let _ = stroke.envelope();
        }
    }
});
