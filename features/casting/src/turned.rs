//! How a camera was held (Exif 2.32, 4.6.4: Orientation): what is made of a photo has to be turned, for it says so no more.

/// The orientation that the first bytes of a JPEG tell, 1 to 8; 1 where none is told.
pub(crate) fn orientation(head: &[u8]) -> u8 {
    exif(head).and_then(tiff).filter(|value| (1..=8).contains(value)).unwrap_or(1)
}

/// ffmpeg's filters that set it upright.
pub(crate) fn upright(orientation: u8) -> &'static str {
    match orientation {
        2 => "hflip,",
        3 => "hflip,vflip,",
        4 => "vflip,",
        5 => "transpose=cclock_flip,",
        6 => "transpose=clock,",
        7 => "transpose=clock_flip,",
        8 => "transpose=cclock,",
        _ => "",
    }
}

/// What is behind `Exif` in the segment APP1.
fn exif(head: &[u8]) -> Option<&[u8]> {
    let mut rest = head.strip_prefix(&[0xFF, 0xD8])?;
    loop {
        let [0xFF, kind, high, low, after @ ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low])).checked_sub(2)?;
        let content = &after[..length.min(after.len())];
        if let (0xE1, Some(found)) = (kind, content.strip_prefix(b"Exif\0\0")) {
            return Some(found);
        }
        rest = after.get(length..)?;
    }
}

/// The tag 0x0112 of the first directory (TIFF 6.0, section 2).
fn tiff(bytes: &[u8]) -> Option<u8> {
    let little = match bytes.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let short = |at: usize| {
        let pair = [*bytes.get(at)?, *bytes.get(at.checked_add(1)?)?];
        Some(usize::from(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }))
    };
    let (first, second) = (short(4)?, short(6)?);
    let place = if little { second << 16 | first } else { first << 16 | second };
    let count = short(place)?;
    let mut entries = (0..count.min(64)).map(|number| place + 2 + 12 * number);
    let entry = entries.find(|entry| short(*entry) == Some(0x0112))?;
    u8::try_from(short(entry + 8)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_read_whichever_end_is_first() {
        let little =
            b"\xFF\xD8\xFF\xE0\0\x04ab\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"\xFF\xD8\xFF\xE1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!((orientation(little), orientation(big)), (6, 8));
        for none in [&b""[..], b"\xFF\xD8", b"\xFF\xD8\xFF\xE1\0\0", &little[..30], &little[..20]] {
            assert_eq!(orientation(none), 1);
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            orientation(&bytes);
            orientation(&[b"\xFF\xD8\xFF\xE1\0\xFFExif\0\0II*\0".as_slice(), &bytes].concat());
        }
    }
}
