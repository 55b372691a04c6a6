//! What a phone says of its messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (messages, _) = accord_people::message::read(&String::from_utf8_lossy(bytes));
    let is_safe = |text: &String| !text.chars().any(|char| char != '\n' && accord_model::text::is_unsafe(char));
    assert!(messages.iter().all(|message| is_safe(&message.text) && message.addresses.iter().all(is_safe)));
});
