//! How fast a payload goes to a device that takes in all that comes, whether it can store it or not.
//!
//! `kdeconnectd` 22.12 decrypts what its socket holds in one go and hands it to its file worker in pieces of 4 KiB. The worker
//! asks for more after each, and its questions wait in a socket of 208 KiB (277 of them) while the other side is busy with its
//! next go. Goes of less than a mebibyte pass at once; behind longer ones the pieces pile up in a vector (`KIO::Connection`)
//! whose first element is removed one at a time, so that it takes a hundred times as long and as much memory as the file has.
//! TCP says nothing of that: the system there takes tens of mebibytes before it holds a sender back.
//!
//! So the device itself is asked how far it has read: TLS 1.3 has a message that must be answered, KeyUpdate (RFC 8446, 4.6.3).
//! OpenSSL answers one when it reads the next, so the first comes twice, and the last answer is always missing. As many bytes are
//! on their way as fit one go. Who does not answer at first is not asked again, since some libraries (GnuTLS) answer only when
//! they write and take few such messages; bytes then go at a fixed speed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most bytes that the device has not read yet.
pub(super) const WINDOW: u64 = 1 << 20;
/// After so many bytes comes the next question.
const STEP: u64 = WINDOW / 8;
/// After so many bytes comes the first one.
const FIRST: u64 = 16 * 1024;

/// Set for one payload.
#[derive(Debug)]
pub(super) struct Brake {
    /// Bytes per second until the device answers, from this time on.
    limit: u64,
    since: Instant,
    /// After how many bytes the next question goes out; none when it cannot be asked.
    next: Option<u64>,
    /// After how many bytes the questions went out that have no answer yet.
    asked: VecDeque<u64>,
    /// As far as the device has read, once it answered.
    read: Option<u64>,
}

impl Brake {
    /// `asks`: the connection has such questions.
    pub fn new(limit: u64, asks: bool, now: Instant) -> Self {
        Self { limit: limit.max(1), since: now, next: asks.then_some(FIRST), asked: VecDeque::new(), read: None }
    }

    /// How many more bytes may go.
    pub fn room(&self, sent: u64, now: Instant) -> u64 {
        let room = match self.read {
            Some(read) => (read + WINDOW).saturating_sub(sent),
            None if self.limited_until(sent).is_some_and(|until| now < until) => 0,
            None => WINDOW,
        };
        // No further than the next question. One that is overdue, because the answer to the first came late, goes with what is next.
        self.next().filter(|next| *next > sent).map_or(room, |next| room.min(next - sent))
    }

    /// Until when bytes are held back; none when an answer ends it.
    pub fn limited_until(&self, sent: u64) -> Option<Instant> {
        let after = Duration::from_secs_f64(sent as f64 / self.limit as f64);
        self.read.is_none().then_some(self.since + after)
    }

    /// How many questions are due after so many bytes. They count as asked.
    pub fn asks(&mut self, sent: u64) -> usize {
        if self.next().is_none_or(|next| sent < next) {
            return 0;
        }
        self.next = Some(sent + STEP);
        let times = if self.read.is_none() { 2 } else { 1 };
        self.asked.extend(std::iter::repeat_n(sent, times));
        times
    }

    fn next(&self) -> Option<u64> {
        self.next.filter(|_| self.read.is_some() || self.asked.is_empty())
    }

    /// An answer came.
    pub fn answered(&mut self) {
        self.read = self.asked.pop_front().or(self.read);
    }
}

/// Counts the answers in what the device sends, by their length alone: rustls gives up after thirty-two of them. Nothing of it is
/// believed but that: whoever forges an answer makes bytes go sooner to a device that alone can read them.
#[derive(Debug, Default)]
pub(super) struct Answers {
    header: Vec<u8>,
    /// Bytes of the current record that are still to come.
    rest: usize,
}

/// A record's header (RFC 8446, 5.1).
const HEADER: usize = 5;
/// A KeyUpdate in a record: message header, its one byte, the record's inner type, the cipher's tag.
const ANSWER: usize = 4 + 1 + 1 + 16;
const APPLICATION_DATA: u8 = 23;

impl Answers {
    /// How many answers came to their end in these bytes; none when something else began, which can only be its last word.
    pub fn read(&mut self, mut bytes: &[u8]) -> Option<usize> {
        let mut answers = 0;
        while !bytes.is_empty() {
            if self.rest == 0 {
                let taken = bytes.len().min(HEADER - self.header.len());
                self.header.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                let &[kind, _, _, high, low] = &self.header[..] else { break };
                self.rest = usize::from(u16::from_be_bytes([high, low]));
                if (kind, self.rest) != (APPLICATION_DATA, ANSWER) {
                    return None;
                }
                self.header.clear();
            }
            let taken = bytes.len().min(self.rest);
            (self.rest, bytes) = (self.rest - taken, &bytes[taken..]);
            answers += usize::from(self.rest == 0);
        }
        Some(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_in_any_portions_and_anything_else_is_an_end() {
        let answer = [&[APPLICATION_DATA, 3, 3, 0, ANSWER as u8][..], &[0; ANSWER]].concat();
        for portion in 1..60 {
            let mut answers = Answers::default();
            let read = answer.repeat(3).chunks(portion).map(|bytes| answers.read(bytes).unwrap()).sum::<usize>();
            assert_eq!(read, 3, "in portions of {portion}");
        }
        for other in [[23, 3, 3, 0, 19], [21, 3, 3, 0, 22], [23, 3, 3, 1, 22], [23, 3, 3, 0, 0]] {
            assert_eq!(Answers::default().read(&[&answer[..], &other].concat()), None, "{other:?}");
        }
    }

    #[test]
    fn who_answers_gets_a_window_and_who_does_not_is_asked_once() {
        let start = Instant::now();
        let mut brake = Brake::new(1 << 20, true, start);
        assert_eq!(brake.room(0, start), FIRST);
        assert_eq!((brake.asks(FIRST - 1), brake.asks(FIRST)), (0, 2));
        assert_eq!(brake.room(FIRST, start), 0, "the limit holds until it answers");
        brake.answered();
        assert_eq!(brake.room(FIRST, start), STEP, "no further than the next question");
        let mut sent = FIRST;
        while brake.room(sent, start) > 0 {
            sent += brake.room(sent, start);
            assert_eq!(brake.asks(sent), 1);
        }
        assert_eq!((sent, brake.limited_until(sent)), (FIRST + WINDOW, None));
        brake.answered();
        assert_eq!(brake.room(sent, start), 0, "the other of the first two");
        brake.answered();
        assert_eq!(brake.room(sent, start), STEP);

        let mut late = Brake::new(1 << 20, true, start);
        assert_eq!(late.asks(FIRST), 2);
        let sent = FIRST + 3 * STEP;
        late.answered();
        assert_eq!((late.room(sent, start), late.asks(sent)), (WINDOW - 3 * STEP, 1), "it is never stuck");

        let mut silent = Brake::new(1 << 20, true, start);
        assert_eq!(silent.asks(FIRST), 2);
        let later = start + Duration::from_secs(9);
        assert!((1..9).all(|mib| silent.asks(mib << 20) == 0 && silent.room(mib << 20, later) == WINDOW));
        assert_eq!(silent.room(9 << 20, later - Duration::from_nanos(1)), 0);
        (0..3).for_each(|_| silent.answered());
        assert_eq!(silent.read, Some(FIRST), "an answer to nothing is none");
    }
}
