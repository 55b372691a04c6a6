//! vCards of a phone's contacts.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for text in [text.clone(), format!("BEGIN:VCARD\n{text}").into()] {
        let Some(card) = accord_people::vcard::read(&text) else { continue };
        let all = card.numbers.iter().chain(&card.mails).map(|one| &one.value);
        assert!(all.chain([&card.name]).all(|text| !text.chars().any(accord_model::text::is_unsafe)));
    }
});
