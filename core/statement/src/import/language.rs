//! Which language a page is written in, by script and by small words.

/// Primary language tag, when the page says or shows it.
pub(crate) fn language(text: &str, declared: Option<&str>) -> Option<String> {
    let sample: String = text.chars().take(40_000).collect();
    let (mut han, mut kana, mut hangul, mut cyrillic, mut latin) = (0usize, 0usize, 0usize, 0usize, 0usize);
    for c in sample.chars() {
        match c {
            '\u{4E00}'..='\u{9FFF}' => han += 1,
            '\u{3040}'..='\u{30FF}' => kana += 1,
            '\u{AC00}'..='\u{D7A3}' => hangul += 1,
            '\u{0400}'..='\u{04FF}' => cyrillic += 1,
            c if c.is_alphabetic() => latin += 1,
            _ => {}
        }
    }
    // A page of another script is full of Latin addresses and names; one Han character weighs as a word.
    let script = if kana * 5 > han && kana > 20 {
        Some("ja")
    } else if hangul * 4 > latin && hangul > 0 {
        Some("ko")
    } else if han * 4 > latin && han > 0 {
        Some("zh")
    } else if cyrillic * 2 > latin && cyrillic > 0 {
        Some("ru")
    } else {
        None
    };
    if let Some(script) = script {
        return Some(script.to_owned());
    }
    let declared = declared.map(|tag| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase());
    if let Some(tag) =
        declared.filter(|tag| (2..=3).contains(&tag.len()) && !["zh", "ja", "ko", "ru"].contains(&tag.as_str()))
    {
        return Some(tag);
    }
    if latin < 12 {
        return None;
    }
    const SMALL: [(&str, &[&str]); 6] = [
        (
            "en",
            &[
                "the", "and", "of", "to", "when", "with", "your", "device", "name", "data", "shared", "sharing",
                "type", "purpose",
            ],
        ),
        (
            "de",
            &[
                "der", "die", "das", "und", "von", "mit", "für", "wenn", "zum", "bei", "daten", "zweck", "geräte",
                "oder",
            ],
        ),
        (
            "fr",
            &[
                "le",
                "la",
                "les",
                "des",
                "et",
                "du",
                "pour",
                "avec",
                "lors",
                "données",
                "tiers",
                "appareil",
                "appareils",
                "une",
            ],
        ),
        (
            "es",
            &[
                "el",
                "los",
                "las",
                "y",
                "para",
                "con",
                "del",
                "datos",
                "dispositivo",
                "dispositivos",
                "uso",
                "cuando",
                "una",
                "al",
            ],
        ),
        (
            "it",
            &[
                "il",
                "gli",
                "di",
                "e",
                "per",
                "con",
                "dati",
                "della",
                "dispositivo",
                "dispositivi",
                "quando",
                "una",
                "dei",
                "scopo",
            ],
        ),
        (
            "pt",
            &[
                "o",
                "os",
                "e",
                "para",
                "com",
                "dados",
                "dispositivo",
                "dispositivos",
                "quando",
                "uma",
                "não",
                "do",
                "da",
                "finalidade",
            ],
        ),
    ];
    let mut counts = [0usize; 6];
    let mut all = 0;
    for word in sample.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        all += 1;
        for (count, (_, words)) in counts.iter_mut().zip(SMALL) {
            *count += usize::from(words.contains(&word.as_str()));
        }
    }
    let best = (0..6).rev().max_by_key(|at| counts[*at])?;
    // Of a language that is not among these, a few words fit by chance.
    (counts[best] > 1 && counts[best] * 20 > all).then(|| SMALL[best].0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_its_language() {
        for (text, tag) in [
            ("Shared data: the name of the device", "en"),
            ("第三方名称：小米 https://privacy.mi.com/all", "zh"),
            ("Передаваемые данные: имя устройства (SDK)", "ru"),
            ("Zweck der Nutzung: das Erkennen von Geräten und das Verbinden mit ihnen", "de"),
            ("Finalité : la découverte des appareils et la connexion avec les appareils", "fr"),
            ("Finalidad: descubrir los dispositivos y conectarse con el dispositivo", "es"),
        ] {
            assert_eq!(language(text, None).as_deref(), Some(tag), "{text}");
        }
        assert_eq!(language("12", None), None);
        assert_eq!(
            language(
                "Oświadczenie o udostępnianiu danych. Cel użycia: wyszukiwanie urządzeń, Metoda udostępniania: lokalne pozyskiwanie danych przez komponent. Zasady przetwarzania",
                None
            ),
            None
        );
    }
}
