//! Any bytes, from anybody.

use proptest::prelude::*;

proptest! {
    #[test]
    fn answers_and_datagrams_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        accord_airplay::core::cast::fuzz(&bytes);
    }

    #[test]
    fn answers_that_nearly_fit_are_too(parts in proptest::collection::vec((0..9_usize, proptest::collection::vec(any::<u8>(), 0..200)), 0..40)) {
        const KINDS: [&[u8]; 9] = [
            b"aRTSP/1.0 200 OK\r\nCSeq: ?\r\n\r\n",
            b"aRTSP/1.0 200 OK\r\nCSeq: ?\r\nSession: 1\r\nTransport: RTP/AVP/UDP;server_port=1;control_port=2\r\n\r\n",
            b"aRTSP/1.0 453 X\r\nCSeq: ?\r\n\r\n",
            b"c\x80\xd5\x00\x01", b"t\x80\xd2\x00\x07", b"s", b"p", b"v", b"e",
        ];
        let bytes: Vec<u8> = parts.into_iter().flat_map(|(kind, more)| [KINDS[kind], &more, &[0xfe]].concat()).collect();
        accord_airplay::core::cast::fuzz(&bytes);
    }

    #[test]
    fn announcements_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        accord_airplay::core::finder::fuzz(&bytes);
    }
}
