//! Sound in the way that every RAOP receiver decodes it: ALAC frames whose samples are not compressed ("verbatim").
//!
//! The order of bits is that of the Apple Lossless reference decoder: element tag (3 bits, 1 is a pair of channels), 4 + 12
//! bits of zero, whether the frame has its own length (1), shift (2), verbatim (1), the samples, end tag (3 bits, 7).

/// Samples of each channel in a packet.
pub const FRAMES: usize = 352;
/// Channels.
pub const CHANNELS: usize = 2;
/// Samples of each channel in a second.
pub const RATE: u32 = 44_100;
/// Bytes of one sample of both channels.
pub const FRAME: usize = 2 * CHANNELS;
/// Bytes of sound in a packet.
pub const PACKET: usize = FRAMES * FRAME;
/// Bytes of it as ALAC: 23 bits before and 3 after the samples.
pub const ENCODED: usize = PACKET + 4;

/// What a receiver has to know to decode it (the `fmtp` of SDP): frames in a packet, version, bits of a sample, three tuning
/// numbers, channels, longest run, largest packet, average rate, rate.
pub const FORMAT: &str = "352 0 16 40 10 14 2 255 0 0 44100";

/// One packet of sound, samples of 16 bits little-endian, left and right in turn. What is missing is silence; what is too
/// much is left away.
pub fn encode(sound: &[u8]) -> Vec<u8> {
    let sample = |at: usize| sound.get(at).copied().unwrap_or_default();
    // Big-endian, for which the two bytes of each sample change places.
    let byte = |at: usize| sample(at ^ 1);
    let mut encoded = Vec::with_capacity(ENCODED);
    encoded.extend([0x20, 0x00]);
    // Seven bits of the third byte are the head's, so that all samples are shifted by one bit.
    let mut before = 0x01_u8;
    for at in 0..PACKET {
        let now = byte(at);
        encoded.push(before << 1 | now >> 7);
        before = now;
    }
    encoded.push(before << 1 | 1);
    encoded.push(0b1100_0000);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads bits, as a decoder does.
    struct Bits<'a>(&'a [u8], usize);

    impl Bits<'_> {
        fn take(&mut self, count: usize) -> u32 {
            (0..count).fold(0, |value, _| {
                let bit = self.0[self.1 / 8] >> (7 - self.1 % 8) & 1;
                self.1 += 1;
                value << 1 | u32::from(bit)
            })
        }
    }

    fn decode(encoded: &[u8]) -> Vec<u8> {
        let mut bits = Bits(encoded, 0);
        assert_eq!((bits.take(3), bits.take(16), bits.take(1), bits.take(2), bits.take(1)), (1, 0, 0, 0, 1));
        let samples = (0..FRAMES * CHANNELS).flat_map(|_| (bits.take(16) as u16).to_le_bytes()).collect();
        assert_eq!(bits.take(3), 7);
        samples
    }

    #[test]
    fn what_a_decoder_reads_is_what_was_put_in_to_the_bit() {
        let sound: Vec<u8> = (0..PACKET).map(|at| (at * 31 % 251) as u8).collect();
        let encoded = encode(&sound);
        assert_eq!(encoded.len(), ENCODED);
        assert_eq!(decode(&encoded), sound);
        assert_eq!(decode(&encode(&[0xff; PACKET])), [0xff; PACKET]);
    }

    #[test]
    fn a_short_packet_ends_in_silence() {
        let decoded = decode(&encode(&[1, 2, 3, 4]));
        assert_eq!((&decoded[..4], &decoded[4..]), (&[1, 2, 3, 4][..], &[0; PACKET - 4][..]));
        assert_eq!(decode(&encode(&[9; PACKET + 8])).len(), PACKET);
    }
}
