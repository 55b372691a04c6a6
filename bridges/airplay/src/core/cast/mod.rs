//! One receiver that is played to: from the first word to the last, over pauses and lost connections. The machine and its
//! inputs and outputs; what is said when is in `talk`.

mod talk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::line::{LATENCY, Line};
use super::rtp::{self, Ntp};
use super::rtsp::Reading;
use super::words::{Names, Ports};
use talk::{Said, Talk};

/// How often the clock is told, and values are.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How long ago a receiver has asked for our clock, or for packets again, while it counts as playing.
const FRESH: Duration = Duration::from_secs(10);
/// How often a receiver that is not asked anything else is asked whether it is there.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(6);
/// How long the last word may take.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// How many packets are sent again, and clock questions answered, in a second at most.
const AGAIN_A_SECOND: u32 = 400;
const CLOCK_A_SECOND: u32 = 50;
/// Wishes that wait for an answer.
const WISHES: usize = 16;

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The connection that [`Output::Connect`] wants is there, and our ports are open.
    Connected {
        /// Our end.
        here: IpAddr,
        /// Our port for the clock and for what is sent again.
        control: u16,
        /// Our port for questions about the clock.
        timing: u16,
    },
    /// It is not, or is no more.
    Closed(String),
    /// Bytes came on the connection.
    Answer(&'a [u8]),
    /// A datagram came on the control port.
    Control(&'a [u8]),
    /// A datagram came on the timing port, from this port of the receiver.
    Timing(&'a [u8], u16),
    /// Sound: at most [`Cast::room`] bytes.
    Sound(&'a [u8]),
    /// No more sound comes.
    End,
    /// The owner wants something; answered by [`Event::Done`] with the same number.
    Wanted(u64, Wanted),
    /// [`Output::Wait`] is over.
    Timeout,
}

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Go on.
    Play,
    /// Stop for now.
    Pause,
    /// The other of the two.
    PlayPause,
    /// End it.
    Stop,
    /// So loud, in percent.
    Volume(u8),
    /// Silent, or as loud as before.
    Muted(bool),
}

/// From which of our ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Sound.
    Sound,
    /// The clock, and what is sent again.
    Control,
    /// Answers about the clock.
    Timing,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Connect to the receiver and open our ports.
    Connect,
    /// Send these bytes on the connection.
    Say(Vec<u8>),
    /// Send a datagram to a port of the receiver.
    Datagram {
        /// From here.
        from: Port,
        /// To this port.
        to: u16,
        /// This.
        bytes: Vec<u8>,
    },
    /// Something is new.
    Event(Event),
    /// Nothing until then.
    Wait(Instant),
}

/// What is new.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The receiver takes sound.
    Ready,
    /// What is known of it.
    Values(Vec<Value>),
    /// What became of a wish.
    Done(u64, Result<(), String>),
    /// It is over. Nothing comes after that.
    Over(End),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// All was heard.
    Played,
    /// The owner stopped it.
    Stopped,
    /// The receiver did not take it.
    Refused(String),
    /// The receiver was lost.
    Lost(String),
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// It is to play.
    Playing(bool),
    /// It really does, as far as there is evidence.
    Moving(bool),
    /// What is heard, in seconds of the sound.
    Position(f64),
    /// In percent.
    Volume(u8),
    /// It is silent.
    Muted(bool),
}

/// How loud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loudness {
    /// In percent, as the owner wanted or the device said; unknown before either.
    pub volume: Option<u8>,
    /// The owner wanted it from here, so that it holds for the next cast too.
    pub wanted: bool,
    /// Silent for now.
    pub muted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for the connection and the first words.
    Opening,
    /// Sound may flow.
    Open,
    /// Paused, and the receiver has ended the connection meanwhile.
    Asleep,
    /// Says the last word.
    Closing,
    Over,
}

/// The machine.
pub struct Cast {
    names: Names,
    there: IpAddr,
    shows_title: bool,
    born: Instant,
    state: State,
    paused: bool,
    line: Line,
    talk: Option<Talk>,
    reading: Reading,
    /// Where the receiver listens, once it said so.
    ports: Option<Ports>,
    /// When the clock is told next, and whether it was since the line runs.
    sync: Instant,
    synced: bool,
    values_at: Instant,
    /// When the receiver last showed that it works on the sound.
    evidence: Option<Instant>,
    loudness: Loudness,
    /// A second, with what was sent again and answered in it.
    counted: (Instant, u32, u32),
    /// How it is to end, once the last word is said; and how it did.
    ending: Option<End>,
    end: Option<End>,
    was_ready: bool,
    outputs: VecDeque<Output>,
}

impl Cast {
    /// To the receiver at `there`.
    pub fn new(names: Names, there: IpAddr, shows_title: bool, loudness: Loudness, now: Instant) -> Self {
        let line = Line::new(names.first);
        Self {
            names,
            there,
            shows_title,
            born: now,
            state: State::Opening,
            paused: false,
            line,
            talk: None,
            reading: Reading::default(),
            ports: None,
            sync: now,
            synced: false,
            values_at: now,
            evidence: None,
            loudness,
            counted: (now, 0, 0),
            ending: None,
            end: None,
            was_ready: false,
            outputs: VecDeque::from([Output::Connect]),
        }
    }

    /// How many bytes of sound it takes now.
    pub fn room(&self) -> usize {
        self.line.room()
    }

    /// How loud it is, for the next cast.
    pub fn loudness(&self) -> Loudness {
        self.loudness
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.state == State::Over {
            if let Input::Wanted(number, _) = input {
                self.done(number, Err("it is over".to_owned()));
            }
            return;
        }
        match input {
            Input::Connected { here, control, timing } => self.connected(here, control, timing, now),
            Input::Closed(why) => self.closed(&why, now),
            Input::Answer(bytes) => self.answered(bytes, now),
            Input::Control(bytes) => self.again(bytes, now),
            Input::Timing(bytes, from) => self.clock(bytes, from, now),
            Input::Sound(sound) => self.line.take(sound),
            Input::End => self.line.end(),
            Input::Wanted(number, wanted) => self.wanted(number, wanted, now),
            Input::Timeout => {}
        }
        self.go_on(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.wake()))
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn done(&mut self, number: u64, outcome: Result<(), String>) {
        self.event(Event::Done(number, outcome));
    }

    fn wake(&self) -> Instant {
        let talk = self.talk.as_ref().map(Talk::wake);
        let line = [self.line.due(), self.line.is_running().then_some(self.sync.min(self.values_at))];
        let heard = self.line.is_empty().then(|| self.line.heard_at()).flatten();
        let far = self.born + Duration::from_secs(365 * 86_400);
        line.into_iter().chain([talk, heard]).flatten().min().unwrap_or(far)
    }

    // -- time ---------------------------------------------------------------------------------------

    fn go_on(&mut self, now: Instant) {
        if let Some(end) = self.end.take() {
            return self.over(end);
        }
        if self.state == State::Open {
            let flushed = self.talk.as_ref().is_some_and(Talk::is_flushed);
            if !self.paused && flushed && !self.line.is_running() && self.line.is_ready() {
                self.line.run(now);
                self.synced = false;
                self.values_at = now;
            }
            self.send(now);
            if self.is_heard(now) {
                self.close(End::Played, now);
            }
        }
        self.say(now);
        if now >= self.values_at && self.state == State::Open && self.line.is_running() {
            self.values_at = now + SYNC_EVERY;
            self.tell(now);
        }
    }

    /// All that there was is heard, or there was nothing.
    fn is_heard(&self, now: Instant) -> bool {
        match self.line.heard_at() {
            Some(heard) => self.line.is_empty() && heard <= now,
            None => self.line.is_empty() && !self.paused,
        }
    }

    fn send(&mut self, now: Instant) {
        let Some(Ports { sound, control, .. }) = self.ports.clone() else { return };
        if let Some(at) = self.line.at(now).filter(|_| !self.synced || now >= self.sync) {
            let bytes = rtp::sync(!self.synced, at, LATENCY, self.ntp(now)).to_vec();
            self.outputs.push_back(Output::Datagram { from: Port::Control, to: control, bytes });
            (self.synced, self.sync) = (true, now + SYNC_EVERY);
        }
        while let Some(packet) = self.line.poll(now) {
            let bytes = rtp::sound(packet.first, packet.seq, packet.at, self.names.source, &packet.encoded);
            self.outputs.push_back(Output::Datagram { from: Port::Sound, to: sound, bytes });
        }
    }

    fn ntp(&self, now: Instant) -> Ntp {
        Ntp::after(now.saturating_duration_since(self.born))
    }

    // -- datagrams ----------------------------------------------------------------------------------

    fn count(&mut self, now: Instant) -> &mut (Instant, u32, u32) {
        if now >= self.counted.0 + Duration::from_secs(1) {
            self.counted = (now, 0, 0);
        }
        &mut self.counted
    }

    fn again(&mut self, bytes: &[u8], now: Instant) {
        let Some((from, count)) = rtp::wanted_again(bytes) else { return };
        let Some(to) = self.ports.as_ref().map(|ports| ports.control) else { return };
        self.evidence = Some(now);
        let left = AGAIN_A_SECOND.saturating_sub(self.count(now).1);
        let source = self.names.source;
        let packets: Vec<Vec<u8>> = self
            .line
            .again(from, count)
            .take(left as usize)
            .map(|packet| rtp::again(&rtp::sound(packet.first, packet.seq, packet.at, source, &packet.encoded)))
            .collect();
        self.counted.1 += u32::try_from(packets.len()).unwrap_or(AGAIN_A_SECOND);
        let outputs = packets.into_iter().map(|bytes| Output::Datagram { from: Port::Control, to, bytes });
        self.outputs.extend(outputs);
    }

    fn clock(&mut self, bytes: &[u8], to: u16, now: Instant) {
        let Some(told) = rtp::time(bytes, self.ntp(now)) else { return };
        let counted = self.count(now);
        counted.2 += 1;
        if counted.2 <= CLOCK_A_SECOND {
            self.evidence = Some(now);
            self.outputs.push_back(Output::Datagram { from: Port::Timing, to, bytes: told.to_vec() });
        }
    }

    // -- what the owner wants -----------------------------------------------------------------------

    fn wanted(&mut self, number: u64, wanted: Wanted, now: Instant) {
        if !self.is_patient() {
            return self.done(number, Err("it has not done yet what was wanted before".to_owned()));
        }
        match wanted {
            Wanted::PlayPause if self.paused => self.play(number),
            Wanted::Play => self.play(number),
            Wanted::Pause | Wanted::PlayPause => self.pause(number, now),
            Wanted::Stop => {
                self.close(End::Stopped, now);
                self.done(number, Ok(()));
            }
            Wanted::Volume(percent) => {
                self.loudness = Loudness { volume: Some(percent.min(100)), wanted: true, muted: false };
                self.loud(number);
            }
            Wanted::Muted(muted) => {
                self.loudness.muted = muted;
                self.loud(number);
            }
        }
    }

    fn play(&mut self, number: u64) {
        self.paused = false;
        if self.state == State::Asleep {
            self.state = State::Opening;
            self.outputs.push_back(Output::Connect);
        }
        self.event(Event::Values(vec![Value::Playing(true)]));
        self.done(number, Ok(()));
    }

    fn pause(&mut self, number: u64, now: Instant) {
        let was_running = self.line.is_running();
        let (seq, at) = self.line.next();
        let position = self.line.position(now);
        self.line.pause(now);
        self.paused = true;
        self.event(Event::Values(vec![Value::Playing(false), Value::Moving(false), Value::Position(position)]));
        match (&mut self.talk, was_running) {
            (Some(talk), true) => talk.ask(Said::Flush { seq, at, wish: number }),
            _ => self.done(number, Ok(())),
        }
    }

    fn loud(&mut self, number: u64) {
        self.tell_loudness();
        match &mut self.talk {
            Some(talk) if self.state == State::Open => talk.ask(Said::SetVolume(Some(number))),
            // It is told once the receiver listens.
            _ => self.done(number, Ok(())),
        }
    }

    /// What the receiver is told.
    fn percent(&self) -> Option<u8> {
        if self.loudness.muted { Some(0) } else { self.loudness.volume }
    }

    // -- values -------------------------------------------------------------------------------------

    fn tell_loudness(&mut self) {
        let Loudness { volume, muted, .. } = self.loudness;
        let values = volume.map(Value::Volume).into_iter().chain([Value::Muted(muted)]);
        self.event(Event::Values(values.collect()));
    }

    fn tell(&mut self, now: Instant) {
        let position = self.line.position(now);
        let fresh = self.evidence.is_some_and(|evidence| now < evidence + FRESH);
        // It is heard from `LATENCY` after the beginning on.
        let began = self.line.heard_since().is_some_and(|heard| heard <= now);
        let moving = fresh && began;
        self.event(Event::Values(vec![Value::Playing(true), Value::Moving(moving), Value::Position(position)]));
    }

    // -- the end ------------------------------------------------------------------------------------

    fn over(&mut self, end: End) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Over;
        let wishes = self.talk.take().map(Talk::wishes).unwrap_or_default();
        for number in wishes {
            self.done(number, Err("it is over".to_owned()));
        }
        self.event(Event::Values(vec![Value::Playing(false), Value::Moving(false)]));
        self.event(Event::Over(end));
    }
}

/// Entry for fuzzing: any bytes as answers and datagrams of a receiver, in any order.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut now = Instant::now();
    let there = IpAddr::from([10, 0, 0, 2]);
    let mut cast = Cast::new(Names::from_chance([7; 28]), there, true, Loudness::default(), now);
    let here = IpAddr::from([10, 0, 0, 1]);
    cast.handle(Input::Connected { here, control: 1, timing: 2 }, now);
    let mut parts = bytes.split(|byte| *byte == 0xfe);
    let mut said = 0_usize;
    for round in 0..512_usize {
        let part = parts.next().unwrap_or_default();
        match part.split_first() {
            None if round > 64 => break,
            None => cast.handle(Input::Timeout, now),
            Some((b'c', rest)) => cast.handle(Input::Control(rest), now),
            Some((b't', rest)) => cast.handle(Input::Timing(rest, 9), now),
            Some((b's', rest)) => {
                // As much as comes from the stream at once.
                let sound = rest.repeat(64);
                let length = sound.len().min(cast.room());
                cast.handle(Input::Sound(&sound[..length]), now);
            }
            Some((b'p', _)) => cast.handle(Input::Wanted(1, Wanted::PlayPause), now),
            Some((b'v', rest)) => cast.handle(Input::Wanted(2, Wanted::Volume(rest.len() as u8)), now),
            Some((b'e', _)) => cast.handle(Input::End, now),
            Some((b'x', _)) => cast.handle(Input::Closed("x".to_owned()), now),
            // An answer with the number that is waited for gets further than one that guesses it.
            Some((b'a', rest)) => {
                let text = String::from_utf8_lossy(rest).replace("CSeq: ?", &format!("CSeq: {said}"));
                cast.handle(Input::Answer(text.as_bytes()), now);
            }
            Some(_) => cast.handle(Input::Answer(part), now),
        }
        for _ in 0..2048 {
            match cast.poll_output() {
                Output::Wait(until) => {
                    now = now.max(until.min(now + Duration::from_millis(200)));
                    break;
                }
                Output::Connect => cast.handle(Input::Connected { here, control: 1, timing: 2 }, now),
                Output::Datagram { to, bytes, .. } => assert!(to > 0 && bytes.len() <= 1500),
                Output::Say(bytes) => {
                    said += 1;
                    let text = String::from_utf8_lossy(&bytes);
                    assert!(text.contains("RTSP/1.0\r\nCSeq: ") && bytes.len() < 4096);
                }
                Output::Event(_) => {}
            }
        }
        assert!(cast.outputs.len() < 4096);
    }
}
