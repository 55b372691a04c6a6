//! The datagrams of RAOP: sound, its clock, what is wanted again, and what time it is here. All numbers are big-endian.

use std::time::Duration;

use super::alac::RATE;

/// Longest datagram that is read.
pub const MAX_DATAGRAM: usize = 512;

/// Kinds of datagrams, in the second byte; the highest bit marks a first one.
const SOUND: u8 = 0x60;
const SYNC: u8 = 0x54;
const TIME_ASKED: u8 = 0x52;
const TIME_TOLD: u8 = 0x53;
const AGAIN_ASKED: u8 = 0x55;
const AGAIN: u8 = 0x56;
const MARK: u8 = 0x80;
const VERSION: u8 = 0x80;
const FIRST: u8 = 0x10;

/// One packet of sound.
pub fn sound(first: bool, seq: u16, at: u32, source: u32, encoded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + encoded.len());
    bytes.extend([VERSION, SOUND | if first { MARK } else { 0 }]);
    bytes.extend(seq.to_be_bytes());
    bytes.extend(at.to_be_bytes());
    bytes.extend(source.to_be_bytes());
    bytes.extend(encoded);
    bytes
}

/// Which sample is to be heard now: `at` is the one that is due to be sent, and is heard `latency` samples later.
pub fn sync(first: bool, at: u32, latency: u32, now: Ntp) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&[VERSION | if first { FIRST } else { 0 }, SYNC | MARK, 0, 7]);
    bytes[4..8].copy_from_slice(&at.wrapping_sub(latency).to_be_bytes());
    bytes[8..16].copy_from_slice(&now.0.to_be_bytes());
    bytes[16..].copy_from_slice(&at.to_be_bytes());
    bytes
}

/// A packet of sound once more, as it was.
pub fn again(packet: &[u8]) -> Vec<u8> {
    [&[VERSION, AGAIN | MARK, 0, 1], packet].concat()
}

/// What a receiver wants to have again: from which packet on, and how many.
pub fn wanted_again(bytes: &[u8]) -> Option<(u16, u16)> {
    let [version, kind, _, _, s0, s1, c0, c1, ..] = *bytes else { return None };
    let is_it = version & 0xc0 == VERSION && kind & !MARK == AGAIN_ASKED && bytes.len() <= MAX_DATAGRAM;
    is_it.then(|| (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([c0, c1])))
}

/// A moment on the sender's clock: seconds in the upper half, parts of them in the lower (RFC 5905, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ntp(pub u64);

/// A clock begins at 1970, so that it tells nobody what time it is here.
const BEGINNING: u64 = 2_208_988_800 << 32;

impl Ntp {
    /// So long after the clock began.
    pub fn after(elapsed: Duration) -> Self {
        let parts = (u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000;
        Self(BEGINNING.wrapping_add(elapsed.as_secs() << 32).wrapping_add(parts))
    }
}

/// Answers a receiver that asks what time it is here. `None`: it does not ask that.
pub fn time(asked: &[u8], now: Ntp) -> Option<[u8; 32]> {
    let asked: &[u8; 32] = asked.try_into().ok()?;
    if asked[0] & 0xc0 != VERSION || asked[1] & !MARK != TIME_ASKED {
        return None;
    }
    let mut told = [0; 32];
    told[..4].copy_from_slice(&[VERSION, TIME_TOLD | MARK, 0, 7]);
    told[8..16].copy_from_slice(&asked[24..32]);
    told[16..24].copy_from_slice(&now.0.to_be_bytes());
    told[24..].copy_from_slice(&now.0.to_be_bytes());
    Some(told)
}

/// How long so many samples last.
pub fn lasts(frames: u64) -> Duration {
    let rate = u64::from(RATE);
    Duration::from_nanos((frames / rate) * 1_000_000_000 + (frames % rate) * 1_000_000_000 / rate)
}

/// How many samples fit into a time.
pub fn frames_in(time: Duration) -> u64 {
    let rate = u64::from(RATE);
    time.as_secs() * rate + u64::from(time.subsec_nanos()) * rate / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_laid_out_as_receivers_read_them() {
        assert_eq!(
            sound(true, 0x1234, 0x0102_0304, 9, &[0xaa, 0xbb]),
            [0x80, 0xe0, 0x12, 0x34, 1, 2, 3, 4, 0, 0, 0, 9, 0xaa, 0xbb]
        );
        assert_eq!(sound(false, 0, 0, 0, &[])[1], 0x60);
        let first = sync(true, 100_000, 88_200, Ntp(0x0102_0304_0506_0708));
        assert_eq!(first[..8], [0x90, 0xd4, 0, 7, 0, 0, 0x2e, 0x18]);
        assert_eq!(first[8..], [1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0x86, 0xa0]);
        assert_eq!(sync(false, 0, 1, Ntp(0))[..8], [0x80, 0xd4, 0, 7, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(again(&[1, 2]), [0x80, 0xd6, 0, 1, 1, 2]);
    }

    #[test]
    fn the_time_is_told_to_whoever_asks_properly() {
        let mut asked = [0; 32];
        (asked[0], asked[1], asked[24], asked[31]) = (0x80, 0xd2, 7, 8);
        let told = time(&asked, Ntp(5)).unwrap();
        assert_eq!((told[1], told[8], told[15], told[23], told[31]), (0xd3, 7, 8, 5, 5));
        assert_eq!(time(&asked[..31], Ntp(5)), None);
        asked[1] = 0xd3;
        assert_eq!(time(&asked, Ntp(5)), None, "an answer is not answered");
        assert_eq!(Ntp::after(Duration::from_millis(1500)).0 - Ntp::after(Duration::ZERO).0, 3 << 31);
    }

    #[test]
    fn what_is_wanted_again_is_read() {
        assert_eq!(wanted_again(&[0x80, 0xd5, 0, 1, 0xff, 0xfe, 0, 3]), Some((0xfffe, 3)));
        assert_eq!(wanted_again(&[0x80, 0xd5, 0, 1, 0xff, 0xfe, 0]), None);
        assert_eq!(wanted_again(&[0x80, 0xd6, 0, 1, 0, 0, 0, 1]), None);
    }

    #[test]
    fn times_and_samples_fit() {
        assert_eq!(lasts(44_100 * 3), Duration::from_secs(3));
        assert_eq!(frames_in(lasts(352 * 1000)), 352 * 1000 - 1, "rounded down");
        assert_eq!(frames_in(Duration::from_secs(7)), 7 * 44_100);
    }
}
