use std::sync::LazyLock;

use accord_model::{FieldCode, FieldSet, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::core::certificate::{OwnCertificate, PeerCertificate};
use crate::core::id::KdeId;

static CERTIFICATES: LazyLock<[OwnCertificate; 3]> = LazyLock::new(|| {
    [1, 2, 3].map(|seed| OwnCertificate::generate(&KdeId::from_bytes([seed; 16]), Timestamp::UNIX_EPOCH).unwrap())
});
const CONTENT: FieldSet = FieldSet::one(FieldCode::FileContent);

fn peer(which: usize) -> PeerCertificate {
    PeerCertificate::parse(CERTIFICATES[which].der()).unwrap()
}
fn sender(size: u64, to: usize, now: Instant) -> Sender {
    Sender::new(&CERTIFICATES[0], &peer(to), size, CONTENT, None, now).unwrap()
}
fn receiver(size: Size, now: Instant) -> Receiver {
    Receiver::new(&CERTIFICATES[1], &peer(0), size, now).unwrap()
}

struct Played {
    got: Vec<u8>,
    sender: Option<Result<u64, PayloadError>>,
    receiver: Option<Result<u64, PayloadError>>,
    revealed: FieldSet,
    most_in_flight: usize,
}

/// Sends `data` and carries it in portions; `cut` closes the wire after so many bytes of the sender.
fn play(mut a: Sender, mut b: Receiver, data: &[u8], portion: usize, cut: usize, now: Instant) -> Played {
    let mut played =
        Played { got: Vec::new(), sender: None, receiver: None, revealed: FieldSet::EMPTY, most_in_flight: 0 };
    let (mut rest, mut carried, mut idle) = (data, 0, 0);
    while idle < 2 {
        idle = 0;
        match a.poll_output() {
            Output::Transmit(transmit) => {
                played.revealed = played.revealed.union(transmit.fields);
                played.most_in_flight = played.most_in_flight.max(transmit.bytes.len());
                for bytes in transmit.bytes.chunks(portion) {
                    let bytes = &bytes[..bytes.len().min(cut - carried)];
                    carried += bytes.len();
                    b.handle(Input::Bytes(bytes), now);
                    if carried == cut {
                        b.handle(Input::Closed, now);
                        a.handle(Input::Closed, now);
                    }
                }
            }
            Output::Event(Event::Done(sent)) => played.sender = Some(Ok(sent)),
            Output::Event(Event::Failed(error)) => played.sender = Some(Err(error)),
            Output::Event(_) => {}
            Output::Wait(_) if !rest.is_empty() && a.room(now) > 0 => rest = &rest[a.write(rest, now)..],
            Output::Wait(_) if a.room(now) > 0 => a.end_of_file(),
            Output::Wait(_) => idle += 1,
        }
        match b.poll_output() {
            Output::Transmit(transmit) => a.handle(Input::Bytes(&transmit.bytes), now),
            Output::Event(Event::Data(data)) => played.got.extend(data),
            Output::Event(Event::Done(got)) => played.receiver = Some(Ok(got)),
            Output::Event(Event::Failed(error)) => played.receiver = Some(Err(error)),
            Output::Event(Event::Ready) => {}
            Output::Wait(_) => idle += 1,
        }
    }
    played
}

#[test]
fn a_megabyte_arrives_whole_with_bounded_memory() {
    let now = Instant::now();
    let data: Vec<u8> = (0..1 << 20).map(|n: u32| n as u8).collect();
    let size = data.len() as u64;
    let played = play(sender(size, 1, now), receiver(Size::Exactly(size), now), &data, 5000, usize::MAX, now);
    assert_eq!((played.sender, played.receiver), (Some(Ok(size)), Some(Ok(size))));
    assert!(played.got == data && played.most_in_flight < MAX_IN_FLIGHT + 8192);
    assert!(played.revealed.contains(FieldCode::FileContent));
    let played = play(sender(size, 1, now), receiver(Size::UpTo(size), now), &data, 5000, usize::MAX, now);
    assert_eq!(played.receiver, Some(Ok(size)), "unknown size, proper end");
}

#[test]
fn too_much_and_too_little_are_errors() {
    let now = Instant::now();
    let data = [7; 1000];
    let played = play(sender(1000, 1, now), receiver(Size::Exactly(999), now), &data, 5000, usize::MAX, now);
    assert_eq!(played.receiver, Some(Err(PayloadError::Long(999))));
    let played = play(sender(1000, 1, now), receiver(Size::Exactly(1001), now), &data, 5000, usize::MAX, now);
    assert_eq!(played.receiver, Some(Err(PayloadError::Short { got: 1000, size: 1001 })));
    let played = play(sender(2000, 1, now), receiver(Size::Exactly(2000), now), &data, 5000, usize::MAX, now);
    assert_eq!(played.sender, Some(Err(PayloadError::Shrunk { got: 1000, size: 2000 })));
}

#[test]
fn a_limit_spreads_the_bytes_over_time() {
    let start = Instant::now();
    let mut a = Sender::new(&CERTIFICATES[0], &peer(1), 1 << 20, CONTENT, Some(1 << 18), start).unwrap();
    let mut b = receiver(Size::Exactly(1 << 20), start);
    let (mut now, mut written, mut waited) = (start, 0, 0);
    let took = loop {
        match a.poll_output() {
            Output::Transmit(transmit) => b.handle(Input::Bytes(&transmit.bytes), now),
            Output::Event(Event::Done(_)) => break now - start,
            Output::Wait(Some(_)) if a.room(now) > 0 => written += a.write(&[0; MAX_IN_FLIGHT], now),
            Output::Wait(Some(until)) if written > 0 && written < 1 << 20 => (now, waited) = (until, waited + 1),
            _ => {}
        }
        if let Output::Transmit(transmit) = b.poll_output() {
            a.handle(Input::Bytes(&transmit.bytes), now);
        }
    };
    // It was asked once and does not answer; each wait ends with as much as may be in flight.
    assert_eq!((written, waited), (1 << 20, 4));
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(4), "{took:?}");
}

/// How many records of this length are in what goes over the wire.
fn records(mut bytes: &[u8], length: usize) -> usize {
    let mut found = 0;
    while let &[_, _, _, high, low, ref rest @ ..] = bytes {
        let this = usize::from(u16::from_be_bytes([high, low]));
        (found, bytes) = (found + usize::from(this == length), &rest[this..]);
    }
    found
}

#[test]
fn a_device_that_says_how_far_it_has_read_has_a_mebibyte_on_its_way_at_most() {
    const SIZE: u64 = 8 << 20;
    let answer = [&[23, 3, 3, 0, 22][..], &[0; 22]].concat();
    let now = Instant::now();
    // A byte a second is what it would get without its answers.
    let mut a = Sender::new(&CERTIFICATES[0], &peer(1), SIZE, CONTENT, Some(1), now).unwrap();
    let mut b = receiver(Size::Exactly(SIZE), now);
    let (mut asked, mut answered, mut written, mut most, mut read) = (0, 0, 0, 0, 0);
    let got = loop {
        match a.poll_output() {
            Output::Transmit(transmit) => {
                asked += if written > 0 { records(&transmit.bytes, 22) } else { 0 };
                b.handle(Input::Bytes(&transmit.bytes), now);
            }
            Output::Event(Event::Failed(error)) => panic!("{error}"),
            Output::Wait(_) if a.room(now) > 0 => {
                written += a.write(&[7; MAX_IN_FLIGHT], now) as u64;
                most = most.max(written - read);
            }
            // Held back: now the device reads on.
            Output::Wait(_) if answered < asked => {
                answered += 1;
                // The first two are asked at once.
                read = (16 << 10) + (128 << 10) * (answered as u64).saturating_sub(2);
                a.handle(Input::Bytes(&answer), now);
            }
            _ => {}
        }
        match b.poll_output() {
            Output::Transmit(transmit) if written == 0 => a.handle(Input::Bytes(&transmit.bytes), now),
            Output::Event(Event::Done(got)) => break got,
            Output::Event(Event::Failed(error)) => panic!("{error}"),
            _ => {}
        }
    };
    assert_eq!((got, written, most), (SIZE, SIZE, 1 << 20));
    assert!(answered >= 56 && asked - answered <= 8, "{answered} of {asked}");
    a.handle(Input::Closed, now);
    assert!(matches!(a.poll_output(), Output::Event(Event::Done(SIZE))));
}

#[test]
fn a_device_that_ends_while_it_is_held_back_took_too_little() {
    for last in [&[23, 3, 3, 0, 19][..], &[21, 3, 3, 0, 2]] {
        let now = Instant::now();
        let mut a = Sender::new(&CERTIFICATES[0], &peer(1), 1 << 20, CONTENT, Some(1), now).unwrap();
        let mut b = receiver(Size::Exactly(1 << 20), now);
        let mut written = 0;
        while written == 0 {
            match (a.poll_output(), a.room(now)) {
                (Output::Transmit(transmit), _) => b.handle(Input::Bytes(&transmit.bytes), now),
                (_, 0) => {}
                _ => written = a.write(&[0; 1 << 20], now) as u64,
            }
            if let Output::Transmit(transmit) = b.poll_output() {
                a.handle(Input::Bytes(&transmit.bytes), now);
            }
        }
        a.handle(Input::Bytes(last), now);
        let ended = loop {
            match a.poll_output() {
                Output::Transmit(_) | Output::Event(Event::Ready) => {}
                other => break other,
            }
        };
        let short = PayloadError::Short { got: written, size: 1 << 20 };
        assert!(matches!(ended, Output::Event(Event::Failed(error)) if error == short));
    }
}

#[test]
fn nobody_else_gets_or_gives_a_payload() {
    let now = Instant::now();
    let played = play(sender(5, 2, now), receiver(Size::Exactly(5), now), b"hello", 5000, usize::MAX, now);
    assert!(matches!(played.sender, Some(Err(PayloadError::Tls(TlsError::AnotherId { .. })))));
    assert!(!played.revealed.contains(FieldCode::FileContent) && played.got.is_empty());
}

#[test]
fn what_does_not_move_is_given_up_and_a_full_receiver_does_not_wait_for_ever() {
    let now = Instant::now();
    let mut alone = sender(5, 1, now);
    alone.handle(Input::Timeout, now + HANDSHAKE_TIME);
    let Output::Event(Event::Failed(error)) = alone.poll_output() else { panic!() };
    assert_eq!(error, PayloadError::Stalled(HANDSHAKE_TIME));
    let (mut a, mut b) = (sender(5, 1, now), receiver(Size::Exactly(5), now));
    let mut written = false;
    let done = loop {
        match a.poll_output() {
            // Everything but TLS's last word, which is a record of its own: 5 bytes of header, 24 in all.
            Output::Transmit(transmit) if written => {
                b.handle(Input::Bytes(&transmit.bytes[..transmit.bytes.len() - 24]), now);
            }
            Output::Transmit(transmit) => b.handle(Input::Bytes(&transmit.bytes), now),
            _ if a.room(now) > 0 => written = a.write(b"hello", now) == 5,
            _ => {}
        }
        match b.poll_output() {
            Output::Transmit(transmit) => a.handle(Input::Bytes(&transmit.bytes), now),
            Output::Wait(Some(until)) if written && until == now + END_TIME => b.handle(Input::Timeout, until),
            Output::Event(Event::Done(got)) => break got,
            _ => {}
        }
    };
    assert_eq!(done, 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Wherever the wire is cut: whole or an error on the receiver's side, and what was got is a beginning.
    #[test]
    fn a_cut_wire_is_noticed(length in 1usize..60_000, portion in 1usize..20_000, cut in 1usize..80_000, known: bool) {
        let now = Instant::now();
        let data: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let size = if known { Size::Exactly(length as u64) } else { Size::UpTo(1 << 20) };
        let played = play(sender(length as u64, 1, now), receiver(size, now), &data, portion, cut, now);
        prop_assert!(data.starts_with(&played.got));
        match played.receiver {
            Some(Ok(got)) => prop_assert!(got as usize == length && played.got == data),
            other => {
                let cut = matches!(other, Some(Err(PayloadError::Short { .. } | PayloadError::Cut(_))));
                prop_assert!(cut, "{:?}", other);
            }
        }
    }

    #[test]
    fn garbage_never_counts_as_data(garbage in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8)) {
        let now = Instant::now();
        let (mut a, mut b) = (sender(5, 1, now), receiver(Size::Exactly(5), now));
        for bytes in &garbage {
            a.handle(Input::Bytes(bytes), now);
            b.handle(Input::Bytes(bytes), now);
        }
        for _ in 0..50 {
            prop_assert!(!matches!(a.poll_output(), Output::Event(Event::Ready | Event::Done(_))));
            prop_assert!(!matches!(b.poll_output(), Output::Event(Event::Ready | Event::Data(_) | Event::Done(_))));
        }
    }
}
