//! The line of packets: sound comes in as bytes, and leaves as one packet every 8 ms; what left stays for a while, to be sent
//! again and to know what is heard by now.
//!
//! A receiver plays what is due two seconds after that. So whatever is in the air for that long is not heard yet when one
//! pauses: it stays here and leaves once more when it goes on, so that not a sample is lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::alac::{FRAME, FRAMES, PACKET, RATE, encode};
use super::rtp::{frames_in, lasts};

/// How long after it is due sound is heard, in samples.
pub const LATENCY: u32 = 2 * RATE;
/// How much sound waits here at most, in bytes: half a second.
pub const WAITING: usize = (RATE as usize / 2) * FRAME;
/// Packets of silence before the sound, whenever the line begins to run: receivers swallow up to a tenth of a second then, and
/// amplifiers wake up. A fifth of a second.
const LEAD: u64 = 25;
/// How many packets are kept after they left: four seconds.
const KEPT: usize = 512;
/// If nothing came for so long that this much of what was sent is heard, silence is sent instead, so that the line goes on.
const STARVED: Duration = Duration::from_secs(1);
/// Samples between the end of what was heard before a pause and what comes after it, for receivers that drop up to there.
const GAP: u32 = RATE;

/// One packet on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its number.
    pub seq: u16,
    /// Its place in time, in samples.
    pub at: u32,
    /// It is the first since the line began or went on.
    pub first: bool,
    /// Its sound, encoded.
    pub encoded: Vec<u8>,
}

struct Sent {
    packet: Packet,
    /// The place of its first sample in the sound, and how many of it are sound and not filling.
    place: u64,
    frames: u64,
}

/// When the line began to run, and with what.
struct Run {
    since: Instant,
    at: u32,
    /// Packets sent since.
    sent: u64,
    /// Where in the sound it began.
    place: u64,
}

/// The line.
pub struct Line {
    seq: u16,
    next_at: u32,
    /// Sound that did not leave yet, and where in the sound it begins.
    waiting: VecDeque<u8>,
    place: u64,
    /// What left and was not heard when one paused: with its place, and how much of it is sound.
    unheard: VecDeque<(u64, u64, Vec<u8>)>,
    sent: VecDeque<Sent>,
    run: Option<Run>,
    ended: bool,
}

impl Line {
    /// Begins with this number and place.
    pub fn new((seq, at): (u16, u32)) -> Self {
        Self {
            seq,
            next_at: at,
            waiting: VecDeque::new(),
            place: 0,
            unheard: VecDeque::new(),
            sent: VecDeque::new(),
            run: None,
            ended: false,
        }
    }

    /// How many bytes it takes now.
    pub fn room(&self) -> usize {
        if self.ended { 0 } else { WAITING.saturating_sub(self.waiting.len()) }
    }

    /// Sound came: at most [`Line::room`] bytes.
    pub fn take(&mut self, sound: &[u8]) {
        let length = sound.len().min(self.room());
        self.waiting.extend(&sound[..length]);
    }

    /// No more comes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// No more comes, and nothing waits.
    pub fn is_empty(&self) -> bool {
        self.ended && self.waiting.len() < FRAME && self.unheard.is_empty()
    }

    /// Number and place of the next packet.
    pub fn next(&self) -> (u16, u32) {
        (self.seq, self.next_at)
    }

    /// It runs.
    pub fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// There is something to begin with: a whole packet, or the end.
    pub fn is_ready(&self) -> bool {
        !self.unheard.is_empty() || self.waiting.len() >= PACKET || (self.ended && self.waiting.len() >= FRAME)
    }

    /// Runs from now on.
    pub fn run(&mut self, now: Instant) {
        let place = self.unheard.front().map_or(self.place, |(place, ..)| *place);
        self.run = Some(Run { since: now, at: self.next_at, sent: 0, place });
    }

    /// Stops; what was not heard leaves again when it goes on.
    pub fn pause(&mut self, now: Instant) {
        let Some(heard) = self.heard_packets(now) else { return };
        let Some(run) = self.run.take() else { return };
        // The packet that is being heard now is heard again, rather than lost.
        let unheard = usize::try_from(run.sent.saturating_sub(heard)).unwrap_or(usize::MAX).min(self.sent.len());
        for sent in self.sent.drain(self.sent.len() - unheard..).rev() {
            if sent.frames > 0 {
                self.unheard.push_front((sent.place, sent.frames, sent.packet.encoded));
            }
        }
        self.sent.clear();
        self.next_at = self.next_at.wrapping_add(GAP);
    }

    /// When the next packet is due; `None` while it does not run, or all has left.
    pub fn due(&self) -> Option<Instant> {
        let run = self.run.as_ref().filter(|_| !self.is_empty())?;
        let due = run.since + lasts(run.sent * FRAMES as u64);
        // Without sound, it is silence that is due, later.
        Some(if self.is_ready() || run.sent < LEAD { due } else { due + STARVED })
    }

    /// The next packet, if it is due.
    pub fn poll(&mut self, now: Instant) -> Option<Packet> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        let run = self.run.as_mut()?;
        let next = if run.sent < LEAD { Some((run.place, 0, encode(&[]))) } else { self.unheard.pop_front() };
        let (place, frames, encoded) = match next {
            Some(next) => next,
            None => {
                let length =
                    if self.waiting.len() >= PACKET || self.ended { self.waiting.len().min(PACKET) } else { 0 };
                let frames = length / FRAME;
                let sound: Vec<u8> = self.waiting.drain(..frames * FRAME).collect();
                let place = self.place;
                self.place += frames as u64;
                (place, frames as u64, encode(&sound))
            }
        };
        let packet = Packet { seq: self.seq, at: self.next_at, first: run.sent == 0, encoded };
        self.seq = self.seq.wrapping_add(1);
        self.next_at = self.next_at.wrapping_add(FRAMES as u32);
        run.sent += 1;
        if self.sent.len() >= KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { packet: packet.clone(), place, frames });
        Some(packet)
    }

    /// Packets that left, from this number on, as far as they are kept and belong to this run.
    pub fn again(&self, from: u16, count: u16) -> impl Iterator<Item = &Packet> {
        let wanted = move |packet: &&Packet| packet.seq.wrapping_sub(from) < count;
        self.sent.iter().map(|sent| &sent.packet).filter(wanted)
    }

    /// Which place in time is due to be sent now.
    pub fn at(&self, now: Instant) -> Option<u32> {
        let run = self.run.as_ref()?;
        let elapsed = frames_in(now.saturating_duration_since(run.since));
        // Places in time are counted modulo 2³².
        Some(run.at.wrapping_add(elapsed as u32))
    }

    /// When the first that left is heard.
    pub fn heard_since(&self) -> Option<Instant> {
        Some(self.run.as_ref()?.since + lasts(u64::from(LATENCY)))
    }

    /// When all that left is heard.
    pub fn heard_at(&self) -> Option<Instant> {
        let run = self.run.as_ref()?;
        Some(run.since + lasts(run.sent * FRAMES as u64 + u64::from(LATENCY)))
    }

    /// What is heard now, in seconds of the sound.
    pub fn position(&self, now: Instant) -> f64 {
        let seconds = |frames: u64| frames as f64 / f64::from(RATE);
        let Some(run) = &self.run else {
            return seconds(self.unheard.front().map_or(self.place, |(place, ..)| *place));
        };
        let heard = self.heard_frames(now, run);
        let (packet, within) = (heard / FRAMES as u64, heard % FRAMES as u64);
        if packet >= run.sent {
            return seconds(self.sent.back().map_or(run.place, |last| last.place + last.frames));
        }
        let back = usize::try_from(run.sent - packet).unwrap_or(usize::MAX);
        let sent = self.sent.len().checked_sub(back).and_then(|at| self.sent.get(at));
        seconds(sent.map_or(run.place, |sent| sent.place + within.min(sent.frames)))
    }

    fn heard_packets(&self, now: Instant) -> Option<u64> {
        Some(self.heard_frames(now, self.run.as_ref()?) / FRAMES as u64)
    }

    fn heard_frames(&self, now: Instant, run: &Run) -> u64 {
        frames_in(now.saturating_duration_since(run.since)).saturating_sub(u64::from(LATENCY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lab {
        line: Line,
        begin: Instant,
        now: Instant,
        /// All that left, as the receiver would play it.
        out: Vec<Packet>,
    }

    impl Lab {
        fn new() -> Self {
            let now = Instant::now();
            Self { line: Line::new((u16::MAX - 2, u32::MAX - 500)), begin: now, now, out: Vec::new() }
        }
        fn go(&mut self, milliseconds: u64) -> usize {
            let before = self.out.len();
            for _ in 0..milliseconds {
                self.now += Duration::from_millis(1);
                while let Some(packet) = self.line.poll(self.now) {
                    self.out.push(packet);
                }
            }
            self.out.len() - before
        }
    }

    fn sound(packets: usize) -> Vec<u8> {
        // No packet is like another.
        let byte = |at: usize| match at % PACKET {
            0 => (at / PACKET) as u8,
            1 => ((at / PACKET) >> 8) as u8,
            within => (within % 253) as u8,
        };
        (0..packets * PACKET).map(byte).collect()
    }

    #[test]
    fn packets_leave_in_time_numbered_and_whole() {
        let mut lab = Lab::new();
        let sound = sound(50);
        lab.line.take(&sound);
        assert_eq!(lab.go(20), 0, "nothing leaves before it runs");
        lab.line.run(lab.now);
        let sent = lab.go(100);
        assert!((12..=14).contains(&sent), "one every 8 ms: {sent}");
        assert!(lab.out[0].first && !lab.out[1].first);
        assert_eq!((lab.out[3].seq, lab.out[3].at), (0, (u32::MAX - 500).wrapping_add(3 * 352)));
        lab.go(250);
        assert_eq!(lab.out[LEAD as usize - 1].encoded, encode(&[]));
        assert_eq!(lab.out[LEAD as usize + 5].encoded, encode(&sound[5 * PACKET..6 * PACKET]));
        assert!(lab.begin < lab.now);
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let mut line = Line::new((0, 0));
        line.take(&vec![1; 10 * WAITING]);
        assert_eq!((line.room(), line.waiting.len()), (0, WAITING));
        line.end();
        assert_eq!(line.room(), 0);
    }

    #[test]
    fn the_last_packet_is_filled_and_all_is_heard_two_seconds_later() {
        let mut lab = Lab::new();
        lab.line.take(&sound(1));
        lab.line.take(&[1, 2, 3, 4, 5]);
        lab.line.end();
        lab.line.run(lab.now);
        assert_eq!(lab.go(400), LEAD as usize + 2);
        assert!(lab.line.is_empty() && lab.line.due().is_none());
        assert_eq!(lab.out[LEAD as usize + 1].encoded, encode(&[1, 2, 3, 4]));
        let over = lab.line.heard_at().unwrap() - lab.begin;
        assert_eq!(over.as_millis(), 2215);
        assert_eq!(lab.line.position(lab.begin + over), 353.0 / 44100.0);
    }

    #[test]
    fn what_was_not_heard_leaves_again_after_a_pause() {
        let mut lab = Lab::new();
        let all = sound(400);
        lab.line.run(lab.now);
        let mut fed = 0;
        for _ in 0..250 {
            let length = lab.line.room().min(all.len() - fed);
            lab.line.take(&all[fed..fed + length]);
            fed += length;
            lab.go(10);
        }
        let left = lab.out.len();
        assert!((312..=315).contains(&left), "{left}");
        let position = lab.line.position(lab.now);
        assert!((position - 0.3).abs() < 0.01, "2.5 s sent, 0.5 s heard, of which 0.2 s silence: {position}");
        let next = lab.line.next();
        lab.line.pause(lab.now);
        assert_eq!(lab.line.next(), (next.0, next.1.wrapping_add(GAP)));
        assert_eq!(lab.go(500), 0);
        assert!((lab.line.position(lab.now) - position).abs() < 0.01, "it stays where it was");
        lab.line.run(lab.now);
        lab.line.end();
        lab.go(240);
        let first = &lab.out[left];
        assert!(first.first && first.seq == next.0 && first.at == next.1.wrapping_add(GAP));
        let left = left + LEAD as usize;
        let again = lab.out[..left].iter().position(|packet| packet.encoded == lab.out[left].encoded).unwrap();
        assert!((60..=63).contains(&again), "from what was heard on: {again}");
        let continued = |at: usize| lab.out[left + at].encoded == lab.out[again + at].encoded;
        assert!(continued(0) && continued(1) && continued(2));
    }

    #[test]
    fn packets_are_there_again_until_they_are_too_old() {
        let mut lab = Lab::new();
        lab.line.run(lab.now);
        for _ in 0..600 {
            lab.line.take(&sound(1));
            lab.go(8);
        }
        let last = lab.out.last().unwrap().seq;
        assert_eq!(lab.line.again(last.wrapping_sub(1), 2).count(), 2);
        assert_eq!(lab.line.again(last, 10).count(), 1, "what did not leave is not there");
        assert_eq!(lab.line.again(lab.out[0].seq, 2).count(), 0);
        assert_eq!(lab.line.again(last.wrapping_sub(1000), u16::MAX).count(), KEPT);
    }

    #[test]
    fn a_source_that_is_late_is_caught_up_with_and_a_slow_one_gets_silence() {
        let mut lab = Lab::new();
        lab.line.take(&sound(10));
        lab.line.run(lab.now);
        assert_eq!(lab.go(900), LEAD as usize + 10);
        lab.line.take(&sound(40));
        assert_eq!(lab.go(1), 40, "all that is overdue leaves at once");
        assert!(lab.go(2000) > 60, "silence");
        assert_eq!(lab.out.last().unwrap().encoded, encode(&[]));
        assert_eq!(lab.line.position(lab.now + Duration::from_secs(9)), 50.0 * 352.0 / 44100.0, "silence is no sound");
    }
}
