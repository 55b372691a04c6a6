//! Push by subscription: a device that knows it tells a hub of changes by itself, and is asked seldom meanwhile.
//!
//! ```text
//! hub                                   device
//!  ├─ greeting with the hub's number ──────►│   MDID, u64
//!  │◄─────────────── what it offers ────────┤   MSUB, u32, PUB, …
//!  ├─ miIO.sub ────────────────────────────►│   everything, under a time
//!  │◄─── properties_changed, event_occured ─┤   sealed, each until it is answered
//!  ├─ {"result": {"code": 0}} ─────────────►│
//!  ├─ greeting, every 25 s of silence ─────►│   its answer says under which time it still is
//!  ├─ miIO.unsub ──────────────────────────►│
//! ```
//!
//! What is known of this comes from what other programs do; no device was tried. So everything that does not fit leads back to
//! being asked: no offer, a refusal, silence, another time than ours, or a change that was not told.
//!
//! What is said by itself proves that it is the device's by its checksum, and that it is no repetition of something recorded by
//! the device's clock in its head, and by its number, which is remembered for longer than a clock is allowed to differ.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::json;
use super::packet::{self, HEADER, Head, Token};
use super::spec::At;

/// How long the answer to a greeting may take, and how often one is sent.
const GREET_WITHIN: Duration = Duration::from_secs(2);
const GREETS: usize = 3;
/// How long the answer to a subscription may take, and how often it is asked for.
const ASK_WITHIN: Duration = Duration::from_secs(3);
const ASKS: usize = 2;
/// A subscription is not asked for more often than this, whatever greetings say: nobody proves those.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// After so much silence of one that is subscribed to it is greeted, so often in a row.
const KEEP: Duration = Duration::from_secs(25);
const KEEP_WITHIN: Duration = Duration::from_secs(5);
const KEEPS: usize = 3;
/// A subscription is renewed after this.
const RENEW: Duration = Duration::from_secs(300);
/// After a failure it is tried again, after twice as long each time, up to the second; so long also with one that offers nothing.
const PAUSE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(3600);
/// So many changes in a row that it did not tell, and it is not relied on for long.
const MOST_MISSED: u32 = 3;
/// How far its clock may be from where it should be, in seconds.
const LATE: i64 = 10;
/// What it told is known again for so long.
const REMEMBERED: Duration = Duration::from_secs(30);
/// So much is told in that time; what is more is dropped.
const MOST: usize = 256;
/// A repetition is answered so often.
const MOST_ANSWERS: u8 = 3;
/// Largest number of what is told; JSON holds no larger one safely.
const MAX_ID: u64 = 1 << 53;
/// Most properties that are told at once.
const MOST_ITEMS: usize = 64;

/// A hub, as one device knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hub {
    /// A number for this device and this network alone.
    pub number: u64,
    /// The time, in seconds since 1970.
    pub time: u32,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send this to the device.
    Send(Vec<u8>),
    /// It tells of changes by itself from now on, or does so no longer.
    Is(bool),
    /// It told of these values.
    Changed(Vec<(At, Value)>),
    /// It told that something happened, in a service.
    Happened(u16),
    /// It told more than is taken.
    Flood,
}

enum State {
    /// It is greeted then.
    Off { greet: Instant },
    /// It was greeted so often.
    Greeted { times: usize, until: Instant },
    /// It offers a subscription, which is asked for then.
    Offered { at: Instant },
    /// It was asked for one so often.
    Asked { asked: Asked, times: usize },
    /// It tells by itself.
    On { time: u32, greet: Instant, silent: usize, renew: Instant, again: Option<Asked> },
}

/// A subscription that was asked for.
#[derive(Clone, Copy)]
struct Asked {
    id: u32,
    time: u32,
    until: Instant,
}

/// Something that it told.
struct Seen {
    id: u64,
    at: Instant,
    answers: u8,
}

/// The subscription to one device.
pub struct Push {
    token: Token,
    did: u64,
    hub: Hub,
    began: Instant,
    next: u32,
    state: State,
    /// Its clock, as it proved it, and when.
    clock: (u32, Instant),
    /// When a subscription was asked for last.
    asked: Option<Instant>,
    failures: u32,
    missed: u32,
    seen: VecDeque<Seen>,
    /// Its clock in the head of the newest of those.
    newest: Option<u32>,
    /// It tells more than is taken, and that was said.
    floods: bool,
    out: VecDeque<Output>,
}

impl Push {
    /// With the device that proved this number and this clock. `first` is where the numbers of questions begin: none that are
    /// used otherwise.
    pub fn new(token: Token, did: u64, hub: Hub, first: u32, clock: (u32, Instant), now: Instant) -> Self {
        Self {
            token,
            did,
            hub,
            began: now,
            next: (first & 0x7fff_ffff).max(1),
            state: State::Off { greet: now },
            clock,
            asked: None,
            failures: 0,
            missed: 0,
            seen: VecDeque::new(),
            newest: None,
            floods: false,
            out: VecDeque::new(),
        }
    }

    /// Whether it tells by itself.
    pub fn is_on(&self) -> bool {
        matches!(self.state, State::On { .. })
    }

    /// It proved its clock once more.
    pub fn clock(&mut self, clock: (u32, Instant)) {
        self.clock = clock;
    }

    /// It was asked, and something is otherwise that it did not tell.
    pub fn missed(&mut self, now: Instant) {
        if !self.is_on() {
            return;
        }
        self.missed += 1;
        if self.missed >= MOST_MISSED {
            self.missed = 0;
            return self.off(now + LONG);
        }
        self.off(now);
    }

    /// What is said to it so that it tells no longer, when it does.
    pub fn leave(&mut self, now: Instant) -> Option<Vec<u8>> {
        let State::On { time, .. } = self.state else { return None };
        let id = self.id();
        self.state = State::Off { greet: now + LONG };
        self.sealed(&self.question(id, "miIO.unsub", time), now)
    }

    /// Takes a datagram from its address.
    pub fn datagram(&mut self, bytes: &[u8], now: Instant) {
        if bytes.len() == HEADER {
            return self.greeted(bytes, now);
        }
        let Ok((head, plain)) = packet::open(&self.token, bytes) else { return };
        if head.did != self.did {
            return;
        }
        let Ok(said) = json::read(&plain) else { return };
        match said["method"].as_str() {
            Some(method) => self.told(head, method, &said, now),
            None => self.answered(head, &said, now),
        }
    }

    /// The time that [`Push::wake`] named has come, and it is asked nothing else just now.
    pub fn timeout(&mut self, now: Instant) {
        match self.state {
            State::Off { greet } if greet <= now => self.greet(0, now),
            State::Greeted { times, until } if until <= now => {
                if times < GREETS {
                    self.greet(times, now)
                } else {
                    self.failed(now)
                }
            }
            State::Offered { at } if at <= now => self.ask(0, now),
            State::Asked { asked, times } if asked.until <= now => {
                if times < ASKS {
                    self.ask(times, now)
                } else {
                    self.failed(now)
                }
            }
            State::On { .. } => self.keep(now),
            _ => {}
        }
    }

    /// When it has to be gone on with.
    pub fn wake(&self) -> Instant {
        match &self.state {
            State::Off { greet } => *greet,
            State::Greeted { until, .. } => *until,
            State::Offered { at } => *at,
            State::Asked { asked, .. } => asked.until,
            State::On { greet, renew, again, .. } => (*greet).min(again.map_or(*renew, |again| again.until)),
        }
    }

    /// Gives one output, while there are any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    // -- subscribing --------------------------------------------------------------------------------

    fn greet(&mut self, times: usize, now: Instant) {
        self.out.push_back(Output::Send(packet::hello_of(self.hub.number).to_vec()));
        self.state = State::Greeted { times: times + 1, until: now + GREET_WITHIN };
    }

    /// Nobody proves an answer to a greeting: what follows from one is bounded, and costs no more than being asked again.
    fn greeted(&mut self, bytes: &[u8], now: Instant) {
        let Ok(hello) = packet::read_hello(bytes) else { return };
        if hello.head.did != self.did {
            return;
        }
        let offer = hello.offer.filter(|offer| offer.is_open);
        match (&mut self.state, offer) {
            (State::Greeted { .. }, Some(_)) => {
                let at = self.asked.map_or(now, |asked| now.max(asked + ASK_EVERY));
                self.state = State::Offered { at };
            }
            (State::Greeted { .. }, None) => self.state = State::Off { greet: now + LONG },
            (State::On { time, greet, silent, .. }, Some(offer)) if *silent > 0 && offer.time == *time => {
                (*greet, *silent) = (now + KEEP, 0);
            }
            // Under way is a renewal, and it may be its time.
            (State::On { greet, silent, again: Some(_), .. }, Some(_)) if *silent > 0 => {
                (*greet, *silent) = (now + KEEP_WITHIN, 0);
            }
            (State::On { silent, .. }, _) if *silent > 0 => self.failed(now),
            _ => {}
        }
    }

    fn ask(&mut self, times: usize, now: Instant) {
        if let Some(asked) = self.subscribe(now) {
            self.state = State::Asked { asked, times: times + 1 };
        }
    }

    fn subscribe(&mut self, now: Instant) -> Option<Asked> {
        self.asked = Some(now);
        let passed = now.saturating_duration_since(self.began).as_secs();
        let time = self.hub.time.wrapping_add(u32::try_from(passed).unwrap_or(u32::MAX));
        let id = self.id();
        let sealed = self.sealed(&self.question(id, "miIO.sub", time), now)?;
        self.out.push_back(Output::Send(sealed));
        Some(Asked { id, time, until: now + ASK_WITHIN })
    }

    fn answered(&mut self, head: Head, said: &Value, now: Instant) {
        let pending = match &self.state {
            State::Asked { asked, .. } => Some(*asked),
            State::On { again, .. } => *again,
            _ => None,
        };
        let Some(asked) = pending.filter(|asked| said["id"].as_u64() == Some(asked.id.into())) else { return };
        // Whoever repeats this one later has no question that it fits.
        self.clock = (head.stamp, now);
        if said["result"]["code"].as_i64().or_else(|| said["result"].as_i64()) != Some(0) {
            // It was refused: it may take another sort of subscription, which nobody knows.
            return self.off(now + LONG);
        }
        if self.is_on() {
            self.failures = 0;
        } else {
            self.newest = None;
            self.out.push_back(Output::Is(true));
        }
        let (greet, renew) = (now + KEEP, now + RENEW);
        self.state = State::On { time: asked.time, greet, silent: 0, renew, again: None };
    }

    /// It tells by itself: is that so still?
    fn keep(&mut self, now: Instant) {
        let State::On { greet, silent, renew, again, .. } = &mut self.state else { return };
        if again.is_some_and(|again| again.until <= now) {
            // Whether it is subscribed to is what greetings show.
            (*again, *renew) = (None, now + PAUSE);
        }
        let is_due = again.is_none() && *renew <= now;
        if *greet <= now {
            if *silent >= KEEPS {
                return self.failed(now);
            }
            (*silent, *greet) = (*silent + 1, now + KEEP_WITHIN);
            self.out.push_back(Output::Send(packet::hello_of(self.hub.number).to_vec()));
        }
        if is_due {
            let asked = self.subscribe(now);
            if let State::On { again, .. } = &mut self.state {
                *again = asked;
            }
        }
    }

    /// It does not answer, or not as it should: at once, and then after longer and longer.
    fn failed(&mut self, now: Instant) {
        let pause = match self.failures {
            0 => ASK_EVERY,
            times => PAUSE * 2u32.saturating_pow(times.min(8) - 1),
        };
        self.failures = self.failures.saturating_add(1);
        self.off(now + pause.min(LONG));
    }

    fn off(&mut self, greet: Instant) {
        if self.is_on() {
            self.out.push_back(Output::Is(false));
        }
        self.state = State::Off { greet };
    }

    // -- what it tells ------------------------------------------------------------------------------

    fn told(&mut self, head: Head, method: &str, said: &Value, now: Instant) {
        let Some(id) = said["id"].as_u64().filter(|id| *id <= MAX_ID) else { return };
        if !self.is_on() || !self.is_timely(head.stamp, now) {
            return;
        }
        while self.seen.front().is_some_and(|seen| now.saturating_duration_since(seen.at) >= REMEMBERED) {
            self.seen.pop_front();
        }
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.id == id) {
            // It did not get the answer.
            if seen.answers < MOST_ANSWERS {
                seen.answers += 1;
                self.answer(id, now);
            }
            return;
        }
        if self.seen.len() >= MOST {
            if !std::mem::replace(&mut self.floods, true) {
                self.out.push_back(Output::Flood);
            }
            return;
        }
        // Half of them have to be forgotten before it is said anew.
        self.floods &= self.seen.len() >= MOST / 2;
        self.seen.push_back(Seen { id, at: now, answers: 1 });
        self.newest = Some(self.newest.unwrap_or_default().max(head.stamp));
        if let State::On { greet, silent, .. } = &mut self.state {
            (*greet, *silent) = (now + KEEP, 0);
        }
        self.answer(id, now);
        match method {
            "properties_changed" => self.changed(&said["params"]),
            "event_occured" => {
                let params = &said["params"];
                let event = params.as_array().and_then(|all| all.first()).unwrap_or(params);
                if let Some(service) = number(event, "siid").filter(|_| self.is_of_it(event)) {
                    self.out.push_back(Output::Happened(service));
                }
            }
            // It tells more than that, which is nobody's business here.
            _ => {}
        }
    }

    fn changed(&mut self, params: &Value) {
        let items = params.as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |item: &Value| {
            let at = At::new(number(item, "siid")?, number(item, "piid")?);
            Some((at, item.get("value")?.clone())).filter(|_| self.is_of_it(item))
        };
        let values: Vec<(At, Value)> = items.iter().take(MOST_ITEMS).filter_map(of).collect();
        if !values.is_empty() {
            self.missed = 0;
            self.out.push_back(Output::Changed(values));
        }
    }

    /// A device that others are behind may tell of those.
    fn is_of_it(&self, item: &Value) -> bool {
        match &item["did"] {
            Value::Null => true,
            Value::String(did) => *did == self.did.to_string(),
            did => did.as_u64() == Some(self.did),
        }
    }

    /// By its clock, whether it says this now.
    fn is_timely(&self, stamp: u32, now: Instant) -> bool {
        let (proven, at) = self.clock;
        let passed = i64::try_from(now.saturating_duration_since(at).as_secs()).unwrap_or(i64::MAX);
        let is_now = i64::from(proven).saturating_add(passed).abs_diff(i64::from(stamp)) <= LATE.unsigned_abs();
        // Two may change places on the way; what was held back may not undo what came after it.
        is_now && self.newest.is_none_or(|newest| stamp.saturating_add(2) >= newest)
    }

    fn answer(&mut self, id: u64, now: Instant) {
        let answer = json!({"id": id, "result": {"code": 0}}).to_string();
        self.out.extend(self.sealed(&answer, now).map(Output::Send));
    }

    // -- bytes --------------------------------------------------------------------------------------

    fn id(&mut self) -> u32 {
        let id = self.next;
        self.next = if id >= 0x7fff_ffff { 1 } else { id + 1 };
        id
    }

    fn question(&self, id: u32, method: &str, time: u32) -> String {
        let params = json!({
            "version": "2.0", "did": self.hub.number.to_string(), "update_ts": time, "sub_method": "."
        });
        json!({"id": id, "method": method, "params": params}).to_string()
    }

    fn sealed(&self, text: &str, now: Instant) -> Option<Vec<u8>> {
        let (stamp, at) = self.clock;
        let passed = u32::try_from(now.saturating_duration_since(at).as_secs()).unwrap_or(u32::MAX);
        let head = Head { did: self.did, stamp: stamp.wrapping_add(passed) };
        packet::seal(&self.token, head, text.as_bytes()).ok()
    }
}

fn number(item: &Value, key: &str) -> Option<u16> {
    item[key].as_u64().and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
