//! What is said on the control connection, one request at a time, and what follows from the answers.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use super::{ALIVE_EVERY, ANSWERS_WITHIN, Cast, ENDS_WITHIN, End, Event, Output, State, Value, WISHES};
use crate::core::rtsp::{Answer, Reading, Request};
use crate::core::words;

/// How loud it is made again, in percent, when nobody knows how loud it was.
const MODERATE: u8 = 30;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Options,
    Announce,
    Setup,
    Record,
    AskVolume,
    /// For a wish, or of our own accord.
    SetVolume(Option<u64>),
    Title,
    Flush {
        seq: u16,
        at: u32,
        wish: u64,
    },
    Alive,
    Teardown,
}

impl Said {
    fn wish(self) -> Option<u64> {
        match self {
            Self::SetVolume(wish) => wish,
            Self::Flush { wish, .. } => Some(wish),
            _ => None,
        }
    }
}

/// The connection.
pub(super) struct Talk {
    here: IpAddr,
    control: u16,
    timing: u16,
    next: VecDeque<Said>,
    /// What waits for its answer, under which number, until when.
    waits: Option<(Said, u32, Instant)>,
    number: u32,
    alive: Instant,
}

impl Talk {
    fn new(here: IpAddr, control: u16, timing: u16, now: Instant) -> Self {
        let next = VecDeque::from([Said::Options, Said::Announce, Said::Setup, Said::Record]);
        Self { here, control, timing, next, waits: None, number: 0, alive: now + ALIVE_EVERY }
    }

    pub(super) fn ask(&mut self, said: Said) {
        self.next.push_back(said);
    }

    pub(super) fn wake(&self) -> Instant {
        self.waits.map_or(self.alive, |(.., until)| until)
    }

    /// What was to be forgotten is, as far as it was asked.
    pub(super) fn is_flushed(&self) -> bool {
        let waits = self.waits.iter().map(|(said, ..)| said);
        !waits.chain(&self.next).any(|said| matches!(said, Said::Flush { .. }))
    }

    /// The wishes that wait.
    pub(super) fn wishes(self) -> Vec<u64> {
        self.waits.map(|(said, ..)| said).into_iter().chain(self.next).filter_map(Said::wish).collect()
    }
}

impl Cast {
    pub(super) fn connected(&mut self, here: IpAddr, control: u16, timing: u16, now: Instant) {
        if self.state == State::Opening {
            self.reading = Reading::default();
            self.talk = Some(Talk::new(here, control, timing, now));
        }
    }

    /// The connection is no more.
    pub(super) fn closed(&mut self, why: &str, now: Instant) {
        self.ports = None;
        let wishes = self.talk.take().map(Talk::wishes).unwrap_or_default();
        match self.state {
            State::Closing => {
                let end = self.ending.take().unwrap_or(End::Stopped);
                self.end = Some(end);
            }
            // Receivers end a connection on which nothing is played for long. It is made anew.
            State::Open if self.paused => {
                self.line.pause(now);
                self.state = State::Asleep;
            }
            State::Opening if !self.was_ready => self.end = Some(End::Refused(why.to_owned())),
            _ => self.end = Some(End::Lost(why.to_owned())),
        }
        for number in wishes {
            self.done(number, if self.end.is_some() { Err(why.to_owned()) } else { Ok(()) });
        }
    }

    /// Ends it in good order.
    pub(super) fn close(&mut self, end: End, now: Instant) {
        if matches!(self.state, State::Closing | State::Over) {
            return;
        }
        match &mut self.talk {
            Some(talk) if self.state == State::Open => {
                talk.next.push_back(Said::Teardown);
                if let Some((.., until)) = &mut talk.waits {
                    *until = (*until).min(now + ENDS_WITHIN);
                }
                self.line.pause(now);
                self.ending = Some(end);
                self.state = State::Closing;
            }
            _ => self.end = Some(end),
        }
    }

    /// Says what is next, if nothing waits for an answer.
    pub(super) fn say(&mut self, now: Instant) {
        if let Some((said, _, until)) = self.talk.as_ref().and_then(|talk| talk.waits)
            && until <= now
        {
            let why = if said == Said::Teardown || self.state == State::Closing {
                "it ended"
            } else {
                "it no longer answers"
            };
            self.closed(why, now);
        }
        if let Some(end) = self.end.take() {
            return self.over(end);
        }
        let Some(talk) = &mut self.talk else { return };
        if talk.waits.is_some() {
            return;
        }
        if talk.next.is_empty() && talk.alive <= now {
            talk.next.push_back(Said::Alive);
        }
        let Some(said) = talk.next.pop_front() else { return };
        talk.number += 1;
        talk.alive = now + ALIVE_EVERY;
        let within = if said == Said::Teardown { ENDS_WITHIN } else { ANSWERS_WITHIN };
        talk.waits = Some((said, talk.number, now + within));
        let (number, here, control, timing) = (talk.number, talk.here, talk.control, talk.timing);
        let request = self.request(said, here, control, timing);
        let remote = self.names.remote.to_string();
        let sender = self.names.sender.as_str();
        let standing =
            [("User-Agent", "RAOP/1"), ("Client-Instance", sender), ("DACP-ID", sender), ("Active-Remote", &remote)];
        let bytes = request.encode(number, &standing);
        self.outputs.push_back(Output::Say(bytes));
    }

    fn request(&self, said: Said, here: IpAddr, control: u16, timing: u16) -> Request {
        let uri = self.names.uri(here);
        let (seq, at) = self.line.next();
        let request = match said {
            Said::Options | Said::Alive => Request::new("OPTIONS", "*"),
            Said::Announce => words::announce(&self.names, here, self.there),
            Said::Setup => words::setup(&uri, control, timing),
            Said::Record => words::record(&uri, seq, at),
            Said::AskVolume => words::ask_volume(&uri),
            Said::SetVolume(_) => words::set_volume(&uri, self.percent().unwrap_or(MODERATE)),
            Said::Title => words::set_title(&uri, at),
            Said::Flush { seq, at, .. } => words::flush(&uri, seq, at),
            Said::Teardown => Request::new("TEARDOWN", &uri),
        };
        match &self.ports {
            Some(ports) => request.header("Session", ports.session.clone()),
            None => request,
        }
    }

    pub(super) fn answered(&mut self, bytes: &[u8], now: Instant) {
        if let Err(why) = self.reading.take(bytes) {
            return self.closed(&why.to_string(), now);
        }
        loop {
            match self.reading.poll() {
                Ok(None) => return,
                Ok(Some(answer)) => self.answer(&answer, now),
                Err(why) => return self.closed(&why.to_string(), now),
            }
            self.say(now);
            if self.talk.is_none() {
                return;
            }
        }
    }

    fn answer(&mut self, answer: &Answer, now: Instant) {
        let Some(talk) = &mut self.talk else { return };
        let fits = |(_, number, _): &(Said, u32, Instant)| answer.number.is_none_or(|said| said == *number);
        let Some((said, ..)) = talk.waits.take_if(|waits| fits(waits)) else {
            return self.closed("it answers what it was not asked", now);
        };
        let good = answer.status == 200;
        match said {
            // Whatever it answers to these, it is there.
            Said::Alive | Said::Title => {}
            Said::Teardown => self.closed("it ended", now),
            Said::Options | Said::Announce | Said::Setup | Said::Record if !good => {
                let end = if self.was_ready { End::Lost } else { End::Refused };
                self.end = Some(end(refusal(answer.status)));
            }
            Said::Options | Said::Announce => {}
            Said::Setup => match words::ports(answer) {
                Some(ports) => self.ports = Some(ports),
                None => self.end = Some(End::Refused("it does not say where it takes sound".to_owned())),
            },
            Said::Record => self.recorded(now),
            Said::AskVolume => {
                // What the owner wanted meanwhile is on its way there.
                if let (true, false, Some(percent)) = (good, self.loudness.wanted, words::volume(answer)) {
                    self.loudness.volume = Some(percent);
                    self.tell_loudness();
                }
            }
            Said::SetVolume(wish) => self.did(wish, good, answer.status),
            Said::Flush { wish, .. } => self.did(Some(wish), good, answer.status),
        }
    }

    /// It takes sound.
    fn recorded(&mut self, now: Instant) {
        if self.state != State::Opening {
            return;
        }
        self.state = State::Open;
        let loudness = if self.percent().is_some() && (self.loudness.wanted || self.loudness.muted) {
            Said::SetVolume(None)
        } else {
            Said::AskVolume
        };
        if let Some(talk) = &mut self.talk {
            talk.next.push_back(loudness);
            if self.shows_title {
                talk.next.push_back(Said::Title);
            }
        }
        if !self.was_ready {
            self.was_ready = true;
            self.event(Event::Ready);
            // What played there before is over.
            self.event(Event::Values(vec![Value::Moving(false), Value::Position(self.line.position(now))]));
            self.tell_loudness();
        }
        self.values_at = now;
    }

    fn did(&mut self, wish: Option<u64>, good: bool, status: u16) {
        if let Some(number) = wish {
            self.done(number, if good { Ok(()) } else { Err(format!("the device said no ({status})")) });
        }
    }

    /// There is room for one more wish.
    pub(super) fn is_patient(&self) -> bool {
        self.talk.as_ref().is_none_or(|talk| talk.next.len() < WISHES)
    }
}

/// What a status means here.
fn refusal(status: u16) -> String {
    match status {
        401 => "it wants a password, which Accord does not know to give".to_owned(),
        453 => "somebody else plays on it; it takes nothing more until that ends".to_owned(),
        400 | 403 | 406 | 415 | 451 | 455 | 461 | 470 => {
            format!("it does not take sound in the open, though it says so ({status}); AirPlay 2 devices often do not")
        }
        status => format!("it did not take the sound ({status})"),
    }
}
