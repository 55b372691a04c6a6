//! Onboarding codes, as people scan, read and mistype them (Core specification, 5.1): the QR code's text, `MT:` and base 38, and
//! the manual code of 11 or 21 digits, of which the last one is a check digit (Verhoeff).
//!
//! ```
//! use accord_matter::core::code::{Code, Discriminator};
//! let code = Code::parse("3497-011-2332").unwrap();
//! assert_eq!((code.passcode(), code.discriminator), (20202021, Discriminator::Short(15)));
//! let code = Code::parse("MT:Y.K90AFN00KA0648G00").unwrap();
//! assert_eq!((code.passcode(), code.vendor), (20202021, Some(0xFFF1)));
//! assert!(!format!("{code:?}").contains("20202021"), "whoever has it can take the device");
//! ```

use std::fmt;

/// Longest text that is looked at. A QR code with everything that a maker may add is below that.
const MAX_TEXT: usize = 512;
/// Bytes of the part that every QR code has: 88 bits.
const FIXED: usize = 11;
const ALPHABET: &[u8; 38] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-.";
/// Passcodes that no device may have (5.1.7.1).
const FORBIDDEN: [u32; 12] = [
    0, 11_111_111, 22_222_222, 33_333_333, 44_444_444, 55_555_555, 66_666_666, 77_777_777, 88_888_888, 99_999_999,
    12_345_678, 87_654_321,
];
const MAX_PASSCODE: u32 = 99_999_998;

/// What a code says.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    passcode: u32,
    /// Which of the devices that can be added now it is.
    pub discriminator: Discriminator,
    /// Its maker, when the code says so.
    pub vendor: Option<u16>,
    /// Its model.
    pub product: Option<u16>,
}

/// How a device is told from others that wait to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discriminator {
    /// All 12 bits, of a QR code.
    Long(u16),
    /// The upper 4 of them, of a manual code.
    Short(u8),
}

impl Discriminator {
    /// Whether a device that announces these 12 bits can be the one.
    pub fn fits(self, announced: u16) -> bool {
        match self {
            Self::Long(all) => all == announced,
            Self::Short(upper) => announced >> 8 == u16::from(upper),
        }
    }
}

/// Why a text is no code that a device can be added with. The messages are for whoever typed it; none repeats the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Neither form.
    #[error(
        "that is no Matter code: it is the text of the QR code, which begins with MT:, or the 11 or 21 digits beside it"
    )]
    NoCode,
    /// Digits, but not so many.
    #[error("a Matter code has 11 or 21 digits, and this has {0}")]
    Length(usize),
    /// One is wrong, or two changed places.
    #[error("one of the digits is wrong: please compare them with the ones on the device")]
    CheckDigit,
    /// A character is missing or wrong.
    #[error("the text of the QR code is damaged: please scan it again, or type the 11 digits beside it")]
    Damaged,
    /// A newer kind of code.
    #[error("this code is of a newer kind of Matter than is known here")]
    Newer,
    /// Several devices in one.
    #[error("this code is of several devices: please use the code of each")]
    Several,
    /// A passcode that is the same for everyone.
    #[error("the passcode in this code is one that no device may have (5.1.7.1): it is not the code of a device")]
    Forbidden,
}

impl Code {
    /// Reads what a person typed or scanned: spaces, dashes and dots between digits, and small letters, are taken as well.
    ///
    /// # Errors
    /// [`CodeError`], in words for a person.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        if text.len() > MAX_TEXT {
            return Err(CodeError::NoCode);
        }
        let text = text.trim();
        if text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("MT:")) {
            return Self::from_qr(text[3..].trim());
        }
        let is_between = |c: &char| matches!(c, '-' | '.' | ' ' | '\u{a0}' | '\u{2010}'..='\u{2015}' | '\t');
        let digits: String = text.chars().filter(|c| !is_between(c)).collect();
        if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
            return Err(CodeError::NoCode);
        }
        Self::from_digits(&digits)
    }

    /// What whoever commissions the device proves to know. A secret.
    pub fn passcode(&self) -> u32 {
        self.passcode
    }

    /// 5.1.3: from the lowest bit on version (3), vendor (16), product (16), flow (2), where it is found (8), discriminator (12),
    /// passcode (27), padding (4). A maker may add more after it.
    fn from_qr(payload: &str) -> Result<Self, CodeError> {
        if payload.contains('*') {
            return Err(CodeError::Several);
        }
        let bytes = base38(payload.to_ascii_uppercase().as_bytes()).ok_or(CodeError::Damaged)?;
        let fixed = bytes.get(..FIXED).ok_or(CodeError::Damaged)?;
        let all = fixed.iter().rev().fold(0u128, |all, byte| all << 8 | u128::from(*byte));
        let bits = |from: u32, count: u32| u32::try_from(all >> from & ((1 << count) - 1)).unwrap_or_default();
        if bits(0, 3) != 0 {
            return Err(CodeError::Newer);
        }
        // Three ways of getting ready to be added; what its maker wants done before is in its papers.
        if bits(35, 2) > 2 {
            return Err(CodeError::Newer);
        }
        if bits(84, 4) != 0 {
            return Err(CodeError::Damaged);
        }
        let id = |from| u16::try_from(bits(from, 16)).ok().filter(|id| *id != 0);
        Ok(Self {
            passcode: passcode(bits(57, 27))?,
            discriminator: Discriminator::Long(bits(45, 12) as u16),
            vendor: id(3),
            product: id(19),
        })
    }

    /// 5.1.4: a digit of the discriminator's upper 2 bits and whether vendor and product follow; 5 digits of 2 more bits of it and
    /// the passcode's lower 14; 4 digits of the passcode's upper 13; perhaps 5 of the vendor and 5 of the product; the check digit.
    fn from_digits(digits: &str) -> Result<Self, CodeError> {
        if !matches!(digits.len(), 11 | 21) {
            return Err(CodeError::Length(digits.len()));
        }
        if !verhoeff(digits.as_bytes()) {
            return Err(CodeError::CheckDigit);
        }
        let part = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<u32>().ok());
        let [first, second, third] = [part(0, 1), part(1, 6), part(6, 10)].map(|part| part.unwrap_or(u32::MAX));
        if first > 7 {
            return Err(CodeError::Newer);
        }
        // More than their bits can be no code of a device.
        if second > 0xFFFF || third > 0x1FFF {
            return Err(CodeError::NoCode);
        }
        let has_more = first >> 2 == 1;
        if has_more != (digits.len() == 21) {
            return Err(CodeError::Length(digits.len()));
        }
        let id = |from, to| match has_more {
            true => part(from, to).and_then(|id| u16::try_from(id).ok()).map(Some).ok_or(CodeError::NoCode),
            false => Ok(None),
        };
        Ok(Self {
            passcode: passcode(third << 14 | second & 0x3FFF)?,
            discriminator: Discriminator::Short(((first & 3) << 2 | second >> 14) as u8),
            vendor: id(10, 15)?.filter(|id| *id != 0),
            product: id(15, 20)?.filter(|id| *id != 0),
        })
    }
}

fn passcode(passcode: u32) -> Result<u32, CodeError> {
    match FORBIDDEN.contains(&passcode) || passcode > MAX_PASSCODE {
        true => Err(CodeError::Forbidden),
        false => Ok(passcode),
    }
}

/// 5.1.3.1: five characters are three bytes, four two, two one; the first is the lowest.
fn base38(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 5 + 1);
    for chunk in text.chunks(5) {
        let count = match chunk.len() {
            5 => 3,
            4 => 2,
            2 => 1,
            _ => return None,
        };
        let value = chunk.iter().rev().try_fold(0u32, |value, c| {
            let digit = ALPHABET.iter().position(|known| known == c)?;
            Some(value * 38 + u32::try_from(digit).ok()?)
        })?;
        if value >> (8 * count) != 0 {
            return None;
        }
        bytes.extend(&value.to_le_bytes()[..count]);
    }
    Some(bytes)
}

/// Whether the last digit is the check digit of those before: the dihedral group of ten, and a permutation that is applied once
/// more for each place (Verhoeff, 1969).
fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTATION: [usize; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |one: usize, two: usize| match (one < 5, two < 5) {
        (true, true) => (one + two) % 5,
        (true, false) => (one + two) % 5 + 5,
        (false, true) => (one + 5 - two) % 5 + 5,
        (false, false) => (one + 5 - two) % 5,
    };
    let digits = digits.iter().rev().map(|c| usize::from(c.wrapping_sub(b'0')).min(9));
    let check = digits
        .enumerate()
        .fold(0, |check, (place, digit)| product(check, (0..place % 8).fold(digit, |digit, _| PERMUTATION[digit])));
    check == 0
}

/// Without the passcode.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { discriminator, vendor, product, .. } = self;
        write!(f, "Code({discriminator:?}, vendor {vendor:?}, product {product:?})")
    }
}

/// What the fuzzer calls: any text.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(code) = Code::parse(&String::from_utf8_lossy(bytes)) {
        assert!((1..=MAX_PASSCODE).contains(&code.passcode) && !FORBIDDEN.contains(&code.passcode));
        assert!(matches!(code.discriminator, Discriminator::Long(0..=0xFFF) | Discriminator::Short(0..=0xF)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_digit(digits: &str) -> char {
        ('0'..='9').find(|digit| verhoeff(format!("{digits}{digit}").as_bytes())).unwrap()
    }

    fn manual(discriminator: u32, passcode: u32) -> String {
        let digits = format!(
            "{}{:05}{:04}",
            discriminator >> 10,
            (discriminator & 0x300) << 6 | passcode & 0x3FFF,
            passcode >> 14
        );
        let check = check_digit(&digits);
        format!("{digits}{check}")
    }

    fn qr(discriminator: u128, passcode: u128, extra: &[u8]) -> String {
        let all: u128 = 0xFFF1 << 3 | 0x8001 << 19 | 4 << 37 | discriminator << 45 | passcode << 57;
        let bytes = [&all.to_le_bytes()[..FIXED], extra].concat();
        let mut text = "MT:".to_owned();
        for chunk in bytes.chunks(3) {
            let mut value = chunk.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
            for _ in 0..[0, 2, 4, 5][chunk.len()] {
                text.push(char::from(ALPHABET[value % 38]));
                value /= 38;
            }
        }
        text
    }

    #[test]
    fn the_vectors_of_the_specification_and_the_sdk() {
        let code = Code::parse("MT:Y.K90AFN00KA0648G00").unwrap();
        assert_eq!((code.passcode, code.discriminator), (20_202_021, Discriminator::Long(3840)));
        assert_eq!((code.vendor, code.product), (Some(0xFFF1), Some(0x8000)));
        for text in ["34970112332", "3497-011-2332", " 3497 011 2332\n", "3497\u{2013}011\u{2013}2332"] {
            let code = Code::parse(text).unwrap();
            assert_eq!((code.passcode, code.discriminator, code.vendor), (20_202_021, Discriminator::Short(15), None));
        }
        assert_eq!(Code::parse("mt:y.k90afn00ka0648g00").unwrap().passcode, 20_202_021);
        assert_eq!(Code::parse("MT:-24J0AFN00KA0648G00").unwrap().discriminator, Discriminator::Long(3840));
        // chip, SetupPayload tests: the long manual code has vendor 65521 and product 32769... made here in the same way.
        let digits =
            format!("{}{:05}{:04}{:05}{:05}", 3 | 4, 0x300 << 6 | 20_202_021 & 0x3FFF, 20_202_021 >> 14, 65521, 32769);
        let code = Code::parse(&format!("{digits}{}", check_digit(&digits))).unwrap();
        assert_eq!((code.vendor, code.product), (Some(65521), Some(32769)));
        // Verhoeff's own example.
        assert!(verhoeff(b"2363") && !verhoeff(b"2364"));
    }

    #[test]
    fn what_a_maker_adds_to_a_code_is_no_obstacle() {
        let code = Code::parse(&qr(3840, 20_202_021, &[0x15, 0x2c, 0x00, 0x02, b'1', b'2', 0x18])).unwrap();
        assert_eq!((code.passcode, code.product), (20_202_021, Some(0x8001)));
    }

    #[test]
    fn what_is_no_code_is_said_so() {
        let say = |text: &str| Code::parse(text).unwrap_err();
        for (text, error) in [
            ("", CodeError::NoCode),
            ("hello", CodeError::NoCode),
            ("https://example.com/34970112332", CodeError::NoCode),
            ("٣٤٩٧٠١١٢٣٣٢", CodeError::NoCode),
            ("3497011233", CodeError::Length(10)),
            ("34970112333", CodeError::CheckDigit),
            ("43970112332", CodeError::CheckDigit),
            ("MT:", CodeError::Damaged),
            ("MT:Y.K90AFN00KA0648G0", CodeError::Damaged),
            ("MT:Y.K90AFN00KA0648G0!", CodeError::Damaged),
            ("MT:é", CodeError::Damaged),
            ("MT:Y.K90AFN00KA0648G00*Y.K90AFN00KA0648G00", CodeError::Several),
        ] {
            assert_eq!(say(text), error, "{text}");
        }
        assert_eq!(say(&"3".repeat(100_000)), CodeError::NoCode);
        for forbidden in FORBIDDEN {
            assert_eq!(say(&manual(3840, forbidden)), CodeError::Forbidden);
            assert_eq!(say(&qr(3840, u128::from(forbidden), &[])), CodeError::Forbidden);
        }
        assert_eq!(say(&qr(1, 0x7FF_FFFF, &[])), CodeError::Forbidden);
    }

    proptest! {
        #[test]
        fn codes_say_what_was_put_into_them(discriminator in 0u16..0x1000, passcode in 1u32..=MAX_PASSCODE) {
            prop_assume!(!FORBIDDEN.contains(&passcode));
            let long = Code::parse(&qr(discriminator.into(), passcode.into(), &[])).unwrap();
            prop_assert_eq!((long.passcode, long.discriminator), (passcode, Discriminator::Long(discriminator)));
            let short = Code::parse(&manual(discriminator.into(), passcode)).unwrap();
            prop_assert_eq!(short.passcode, passcode);
            prop_assert!(short.discriminator.fits(discriminator) && long.discriminator.fits(discriminator));
            prop_assert!(!short.discriminator.fits(discriminator ^ 0x800) && !long.discriminator.fits(discriminator ^ 1));
        }

        #[test]
        fn one_wrong_digit_and_two_that_changed_places_are_noticed(passcode in 1u32..=MAX_PASSCODE, at in 0usize..10, by in 1u8..10) {
            prop_assume!(!FORBIDDEN.contains(&passcode));
            let right = manual(3840, passcode);
            let mut wrong = right.clone().into_bytes();
            wrong[at] = (wrong[at] - b'0' + by) % 10 + b'0';
            prop_assert_eq!(Code::parse(std::str::from_utf8(&wrong).unwrap()), Err(CodeError::CheckDigit));
            let mut swapped = right.clone().into_bytes();
            swapped.swap(at, at + 1);
            let swapped = String::from_utf8(swapped).unwrap();
            prop_assert!(swapped == right || Code::parse(&swapped) == Err(CodeError::CheckDigit));
        }

        #[test]
        fn any_text_is_a_code_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            fuzz(&bytes);
            fuzz(&[b"MT:".as_slice(), &bytes].concat());
        }
    }
}
