//! Bytes to text: byte order marks, UTF-16, broken UTF-8, line ends, invisible characters.

use super::{MAX_BYTES, Warnings, block::is_invisible};

pub(crate) fn decode(bytes: &[u8], warnings: &mut Warnings) -> String {
    let mut bytes = bytes;
    if bytes.len() > MAX_BYTES {
        warnings.page(format!("the page has {} bytes; only the first {MAX_BYTES} were read", bytes.len()));
        bytes = &bytes[..MAX_BYTES];
    }
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes, warnings),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes, warnings),
        [_, 0, _, 0, ..] if looks_utf16(bytes, 1) => utf16(bytes, u16::from_le_bytes, warnings),
        [0, _, 0, _, ..] if looks_utf16(bytes, 0) => utf16(bytes, u16::from_be_bytes, warnings),
        _ => utf8(bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes), warnings),
    };
    plain(&text)
}

fn looks_utf16(bytes: &[u8], zero: usize) -> bool {
    let sample = &bytes[..bytes.len().min(64)];
    let zeros = sample.iter().skip(zero).step_by(2).filter(|byte| **byte == 0).count();
    zeros * 4 >= sample.len()
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, warnings: &mut Warnings) -> String {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let mut broken = bytes.len() % 2 == 1;
    let text = char::decode_utf16(units)
        .map(|c| {
            c.unwrap_or_else(|_| {
                broken = true;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    if broken {
        warnings.page("some bytes are not valid UTF-16; they are shown as \u{FFFD}".to_owned());
    }
    text
}

fn utf8(bytes: &[u8], warnings: &mut Warnings) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(error) if error.error_len().is_none() => {
            warnings.page("the page ends in the middle of a character".to_owned());
            String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned()
        }
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            warnings.line(line, "bytes that are not valid UTF-8 are shown as \u{FFFD}".to_owned());
            String::from_utf8_lossy(bytes).into_owned()
        }
    }
}

/// One kind of line end, space, letter and digit, nothing invisible. Joiners go too: they only ever split labels.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\u{2028}' | '\u{2029}' | '\u{0085}' | '\u{000C}' | '\u{000B}' => out.push('\n'),
            '\u{00A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => out.push(' '),
            '\u{1D}'..='\u{1F}' => {}
            'Ａ'..='Ｚ' | 'ａ'..='ｚ' | '０'..='９' => out.extend(char::from_u32(u32::from(c) - 0xFEE0)),
            c if is_invisible(c) => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_line_ends_and_spaces_become_plain() {
        let mut warnings = Warnings::default();
        assert_eq!(decode("\u{feff}a\u{a0}b\r\nc\rd\u{200b}e".as_bytes(), &mut warnings), "a b\nc\nde");
        let wide: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain("SDK（天琴）".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decode(&wide, &mut warnings), "SDK（天琴）");
        assert!(warnings.is_empty());
        assert_eq!(decode(b"a\xFFb", &mut warnings), "a\u{FFFD}b");
        assert!(!warnings.is_empty());
    }
}
