//! A datagram of miIO: 32 bytes of header, then JSON in AES-128-CBC under keys that follow from the device's token. All
//! numbers are big-endian.
//!
//! ```text
//!  0  u16  0x2131           16  [16] MD5(header[0..16] ‖ token ‖ ciphertext); in a greeting all ff, in the answer to
//!  2  u16  whole length              one all 00 or ff, or the token of a device that is being set up
//!  4  u64  did              32  …    ciphertext
//! 12  u32  stamp: seconds since the device was switched on
//! ```

use std::fmt;

use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

const MAGIC: [u8; 2] = [0x21, 0x31];
/// Bytes of a header.
pub const HEADER: usize = 32;
/// Largest datagram that there can be.
pub const MAX_DATAGRAM: usize = 65_507;
const BLOCK: usize = 16;

/// The secret of one device; whoever has it controls the device. Never shown, not in logs either.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Token([u8; 16]);

impl Token {
    /// From 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// From its bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The key and the initialisation vector that follow from it.
    fn keys(&self) -> ([u8; 16], [u8; 16]) {
        let key = md5::compute(self.0).0;
        let iv = md5::compute([key, self.0].concat()).0;
        (key, iv)
    }

    fn check(&self, header: &[u8], ciphertext: &[u8]) -> [u8; 16] {
        md5::compute([&header[..16], &self.0[..], ciphertext].concat()).0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What every datagram begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which device.
    pub did: u64,
    /// Its clock, in seconds.
    pub stamp: u32,
}

/// The answer to a greeting. Nothing in it proves who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Who answers.
    pub head: Head,
    /// It shows a token: it is new or was reset, and waits to be set up.
    pub is_new: bool,
    /// What it says of subscriptions, in answer to a greeting that names the hub.
    pub offer: Option<Offer>,
}

/// What a device says of subscriptions: `MSUB`, a u32, `PUB`, and one byte each for a sort and for what can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The time that came with the subscription which it has of that hub; another one when it has none.
    pub time: u32,
    /// It takes one for everything that it tells.
    pub is_open: bool,
}

/// Why a datagram is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// It is none of miIO's.
    #[error("it is no datagram of miIO")]
    Foreign,
    /// Its length is another one than it says.
    #[error("it is cut off or too long")]
    Length,
    /// It is not sealed with this token, or was changed.
    #[error("its checksum is not this token's")]
    Check,
    /// The padding makes no sense.
    #[error("it is sealed, and padded wrongly")]
    Padding,
}

/// A greeting.
pub fn hello() -> [u8; HEADER] {
    let mut bytes = [0xff; HEADER];
    bytes[..4].copy_from_slice(&[MAGIC[0], MAGIC[1], 0, 32]);
    bytes
}

/// A greeting by which a device learns the number of a hub that it may tell of changes: after the did, `MDID`, the number as
/// u64, and four zeros. Who does not know that reads an ordinary greeting.
pub fn hello_of(hub: u64) -> [u8; HEADER] {
    let mut bytes = hello();
    bytes[16..20].copy_from_slice(b"MDID");
    bytes[20..28].copy_from_slice(&hub.to_be_bytes());
    bytes[28..].fill(0);
    bytes
}

/// Sorts of subscription that are known, and the byte that says that there is one for everything.
const SORTS: [u8; 3] = [0, 1, 4];
const EVERYTHING: u8 = 0xfe;

/// Reads what follows the head in the answer to a greeting.
fn offer(rest: &[u8]) -> Option<Offer> {
    let (time, sort, what) = match rest {
        [b'M', b'S', b'U', b'B', a, b, c, d, b'P', b'U', b'B', sort, what, ..] => ([*a, *b, *c, *d], *sort, *what),
        _ => return None,
    };
    Some(Offer { time: u32::from_be_bytes(time), is_open: what == EVERYTHING && SORTS.contains(&sort) })
}

fn head(bytes: &[u8]) -> Result<Head, Bad> {
    if bytes.len() < HEADER || bytes[..2] != MAGIC {
        return Err(Bad::Foreign);
    }
    if usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) != bytes.len() {
        return Err(Bad::Length);
    }
    let did = bytes[4..12].iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let stamp = bytes[12..16].iter().fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
    Ok(Head { did, stamp })
}

/// Reads the answer to a greeting. A greeting itself is none.
///
/// # Errors
/// [`Bad`].
pub fn read_hello(bytes: &[u8]) -> Result<Hello, Bad> {
    let head = head(bytes)?;
    if bytes.len() != HEADER {
        return Err(Bad::Length);
    }
    if head.did == u64::MAX {
        return Err(Bad::Foreign);
    }
    let rest = &bytes[16..];
    let offer = offer(rest);
    let is_blank = [0, 0xff].iter().any(|blank| rest.iter().all(|byte| byte == blank));
    Ok(Hello { head, is_new: !is_blank && offer.is_none(), offer })
}

/// Seals a text.
///
/// # Errors
/// [`Bad::Length`] when it is too long for a datagram.
pub fn seal(token: &Token, head: Head, plain: &[u8]) -> Result<Vec<u8>, Bad> {
    let (key, iv) = token.keys();
    let padding = BLOCK - plain.len() % BLOCK;
    let length = HEADER + plain.len() + padding;
    let length = u16::try_from(length).ok().filter(|length| usize::from(*length) <= MAX_DATAGRAM).ok_or(Bad::Length)?;
    let mut bytes = Vec::with_capacity(length.into());
    bytes.extend(MAGIC);
    bytes.extend(length.to_be_bytes());
    bytes.extend(head.did.to_be_bytes());
    bytes.extend(head.stamp.to_be_bytes());
    bytes.extend([0; 16]);
    bytes.extend(plain);
    bytes.extend(std::iter::repeat_n(padding as u8, padding));
    let cipher = Aes128::new(&key.into());
    let mut last = iv;
    for block in bytes[HEADER..].chunks_exact_mut(BLOCK) {
        block.iter_mut().zip(last).for_each(|(byte, before)| *byte ^= before);
        cipher.encrypt_block(GenericArray::from_mut_slice(block));
        last.copy_from_slice(block);
    }
    let check = token.check(&bytes, &bytes[HEADER..]);
    bytes[16..HEADER].copy_from_slice(&check);
    Ok(bytes)
}

/// Opens a sealed datagram. What some devices put behind the text, a NUL or several, is taken off.
///
/// # Errors
/// [`Bad`]; a device that gets a datagram it cannot open says nothing, and so do we.
pub fn open(token: &Token, bytes: &[u8]) -> Result<(Head, Vec<u8>), Bad> {
    let head = head(bytes)?;
    let sealed = &bytes[HEADER..];
    if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
        return Err(Bad::Length);
    }
    if !bool::from(token.check(bytes, sealed).ct_eq(&bytes[16..HEADER])) {
        return Err(Bad::Check);
    }
    let (key, iv) = token.keys();
    let cipher = Aes128::new(&key.into());
    let mut plain = sealed.to_vec();
    let mut last = iv;
    for (block, sealed) in plain.chunks_exact_mut(BLOCK).zip(sealed.chunks_exact(BLOCK)) {
        cipher.decrypt_block(GenericArray::from_mut_slice(block));
        block.iter_mut().zip(last).for_each(|(byte, before)| *byte ^= before);
        last.copy_from_slice(sealed);
    }
    let padding = usize::from(*plain.last().ok_or(Bad::Padding)?);
    let text = plain.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding)).ok_or(Bad::Padding)?;
    if plain[text..].iter().any(|byte| usize::from(*byte) != padding) {
        return Err(Bad::Padding);
    }
    plain.truncate(text);
    while plain.last() == Some(&0) {
        plain.pop();
    }
    Ok((head, plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> Token {
        Token::parse("000102030405060708090a0b0c0d0e0f").unwrap()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    /// Made by another implementation.
    const SEALED: &str = "2131005000000000012345670000162e1ba9c66c053cad6f03fc6fcc9aae27e3\
        2c9dfc761522a115e1c2ce9e6e748522b8aaaf1203910505d6dade053631c80ee3f01a26602d89f172713cc2c4281fd0";
    const PLAIN: &[u8] = br#"{"id":1,"method":"miIO.info","params":[]}"#;

    #[test]
    fn what_another_program_sealed_is_opened_and_sealed_the_same() {
        let head = Head { did: 0x0123_4567, stamp: 0x162e };
        assert_eq!(token().keys().0.to_vec(), bytes("1ac1ef01e96caf1be0d329331a4fc2a8"));
        assert_eq!(token().keys().1.to_vec(), bytes("9ae5383e3c6e0606c15da7847fcd1d42"));
        assert_eq!(open(&token(), &bytes(SEALED)), Ok((head, PLAIN.to_vec())));
        assert_eq!(seal(&token(), head, PLAIN).unwrap(), bytes(SEALED));
        assert_eq!(open(&Token::new([0; 16]), &bytes(SEALED)), Err(Bad::Check), "another token");
        let nul = seal(&token(), head, &[PLAIN, b"\0\0"].concat()).unwrap();
        assert_eq!(open(&token(), &nul).unwrap().1, PLAIN);
    }

    #[test]
    fn a_greeting_is_answered_with_who_and_when_and_sometimes_a_token() {
        let mut answer = bytes("21310020000000000123456700000016");
        answer.resize(32, 0);
        let head = Head { did: 0x0123_4567, stamp: 0x16 };
        assert_eq!(read_hello(&answer), Ok(Hello { head, is_new: false, offer: None }));
        answer[16..].fill(0xff);
        assert_eq!(read_hello(&answer), Ok(Hello { head, is_new: false, offer: None }));
        answer[20] = 7;
        assert_eq!(read_hello(&answer), Ok(Hello { head, is_new: true, offer: None }));
        assert_eq!(read_hello(&hello()), Err(Bad::Foreign), "others look for devices too");
        assert_eq!(read_hello(&bytes(SEALED)), Err(Bad::Length));
        assert_eq!(read_hello(&answer[..31]), Err(Bad::Foreign));
    }

    #[test]
    fn a_greeting_may_name_the_hub_and_its_answer_what_can_be_subscribed_to() {
        let greeting = hello_of(0x0102_0304_0506_0708);
        assert_eq!(greeting.to_vec(), bytes("21310020ffffffffffffffffffffffff4d444944010203040506070800000000"));
        assert_eq!(read_hello(&greeting), Err(Bad::Foreign), "another hub's");
        let answer = |rest: &str| read_hello(&bytes(&format!("21310020000000000123456700000016{rest}"))).unwrap();
        let open = answer("4d5355426500000050554201fe000000");
        assert_eq!((open.offer, open.is_new), (Some(Offer { time: 0x6500_0000, is_open: true }), false));
        for closed in ["4d5355420000000050554201ff000000", "4d5355420000000050554203fe000000"] {
            assert_eq!(answer(closed).offer, Some(Offer { time: 0, is_open: false }), "{closed}");
        }
        for none in ["00".repeat(16), "4d5355420000000050555801fe000000".to_owned(), "ff".repeat(16)] {
            assert_eq!(answer(&none).offer, None, "{none}");
        }
    }

    #[test]
    fn a_token_is_32_digits_and_not_for_logs() {
        for bad in ["", "00", "g0000000000000000000000000000000", "0001020304050607", "é00102030405060708090a0b0c0d0e0"]
        {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{:?}", token()), "Token(…)");
    }

    proptest! {
        #[test]
        fn what_was_changed_is_passed_over(at in 0usize..80, bit in 0u8..8) {
            let mut changed = bytes(SEALED);
            changed[at] ^= 1 << bit;
            prop_assert!(open(&token(), &changed).is_err());
        }

        #[test]
        fn what_is_sealed_opens(did: u64, stamp: u32, plain in proptest::collection::vec(1u8.., 0..200)) {
            let head = Head { did, stamp };
            prop_assert_eq!(open(&token(), &seal(&token(), head, &plain).unwrap()), Ok((head, plain)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (read_hello(&bytes), open(&token(), &bytes));
        }
    }
}
