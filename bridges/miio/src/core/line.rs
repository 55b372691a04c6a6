//! One device's datagrams: a greeting that gives its clock, then one question at a time, asked again when nothing comes.
//!
//! A device that gets a datagram it cannot open says nothing, so that a wrong token looks like silence: the greeting, which
//! takes no token, tells the two apart ([`Failure::Silent`], [`Failure::Deaf`]).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::json;
use super::packet::{self, Head, Token};

/// How long an answer to a greeting may take, one time after the other.
const GREETS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(2)];
/// How long an answer to a question may take.
const ANSWERS: [Duration; 3] = [Duration::from_millis(1500), Duration::from_millis(2500), Duration::from_secs(4)];
/// A device that was not heard for so long is greeted again: it may have begun anew, and its clock with it.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// Longest datagram that is sent: devices take no fragments.
pub const MAX_SENT: usize = 1400;
/// Longest text of a question: what is left of that after header and padding.
pub const MAX_QUESTION: usize = MAX_SENT - packet::HEADER - 16;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The method.
    pub method: String,
    /// Its parameters.
    pub params: Value,
    /// Asked twice it does the same as once, so that it may be asked again as a new question. What may not is repeated
    /// with the number that it had: a device answers that from memory.
    pub is_same_twice: bool,
}

impl Question {
    /// One that changes nothing when it is asked twice.
    pub fn new(method: impl Into<String>, params: Value) -> Self {
        Self { method: method.into(), params, is_same_twice: true }
    }

    /// One that does something each time.
    #[must_use]
    pub fn once(self) -> Self {
        Self { is_same_twice: false, ..self }
    }

    /// Its length as text, whatever its number.
    pub fn length(&self) -> usize {
        text(u32::MAX, self).len()
    }
}

fn text(id: u32, question: &Question) -> String {
    json!({"id": id, "method": question.method, "params": question.params}).to_string()
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It does not answer a greeting either.
    #[error("it does not answer")]
    Silent,
    /// It answers greetings and no questions.
    #[error("it answers a greeting and no question, as a device does that has another token")]
    Deaf,
    /// Only another device answers there.
    #[error("another device has its address")]
    Other(u64),
    /// It is being set up, and has no token of its own yet.
    #[error("it is new or was reset, and waits to be set up in its maker's app")]
    New,
    /// It reports a failure of its own.
    #[error("{}", said(*.code, .message))]
    Device {
        /// miIO's number.
        code: i64,
        /// In its words.
        message: String,
    },
    /// It does not know the method.
    #[error("it does not know `{0}`")]
    NoMethod(String),
    /// Its answer cannot be read.
    #[error("its answer cannot be read")]
    Garbled,
    /// The question does not fit into a datagram.
    #[error("that is too long for the device")]
    Long,
}

/// What miIO's and MIoT's numbers mean, for a person.
fn said(code: i64, message: &str) -> String {
    let means = match code {
        0 | 1 => "it said nothing for that",
        -9999 => "it waited in vain for its own parts",
        -30001 => "it is busy",
        -5001 => "it could not do it",
        -4001 => "that cannot be read",
        -4002 => "that cannot be written",
        -4003 => "it has no such thing",
        -4004 => "it failed inside",
        -4005 => "it does not take that value",
        -4006 => "it does not take these inputs",
        -4007 => "it is not the device that was meant",
        _ => "",
    };
    let message = accord_model::text::for_screen(message, 120);
    match (means, message.as_str()) {
        ("", "") => format!("it reports error {code}"),
        ("", message) => format!("it reports: {message} ({code})"),
        (means, _) => format!("{means} ({code})"),
    }
}

/// In words, what a number of MIoT means.
pub fn refusal(code: i64) -> Failure {
    // Numbers of the makers' servers end with the same reasons (-704xxxyyy).
    let code = match (code / 1_000_000, code % 1000) {
        (-704, -13) => -4001,
        (-704, -23) => -4002,
        (-704, -1..0) => -4007,
        (-704, -5..-1) => -4003,
        (-704, -43) => -4005,
        (-704, -36) => -9999,
        _ => code,
    };
    Failure::Device { code, message: String::new() }
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send this to the device.
    Send(Vec<u8>),
    /// The question that was asked is answered, or never will be.
    Answer(Result<Value, Failure>),
    /// Nothing for now; come back then, if a time is named.
    Wait(Option<Instant>),
}

/// The way to one device at one address.
pub struct Line {
    token: Token,
    /// Its number: what the owner said, or what came with the first answer that was sealed with the token.
    did: Option<u64>,
    clock: Option<Clock>,
    /// The same of the last answer to a question: that one is proven.
    proof: Option<Clock>,
    heard: Option<Instant>,
    next: u32,
    state: State,
    /// It answered a question, so that the token is its own.
    proven: bool,
    /// Whoever else answered a greeting since the last right answer.
    other: Option<u64>,
    new: bool,
    out: VecDeque<Output>,
}

/// What stood at the head of the last datagram that counts, and when it came.
#[derive(Clone, Copy)]
struct Clock {
    head: Head,
    at: Instant,
}

enum State {
    Idle,
    Greeting { question: Question, id: Option<u32>, asked: usize, greeted: usize, until: Instant },
    Asking { question: Question, id: u32, asked: usize, until: Instant },
}

impl Line {
    /// To the device of that number, when it is known. `first` is where the questions' numbers begin: one that was not
    /// used lately.
    pub fn new(token: Token, did: Option<u64>, first: u32) -> Self {
        let next = (first & 0x7fff_ffff).max(1);
        let (clock, proof, heard, other) = (None, None, None, None);
        Self {
            token,
            did,
            clock,
            proof,
            heard,
            next,
            state: State::Idle,
            proven: false,
            other,
            new: false,
            out: VecDeque::new(),
        }
    }

    /// Which device it is, once it proved so; who merely answers a greeting may claim any number.
    pub fn did(&self) -> Option<u64> {
        self.did
    }

    /// Whether it showed that the token is its own.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// Its clock when it answered a question last, and when that was.
    pub fn proof(&self) -> Option<(u32, Instant)> {
        self.proof.map(|Clock { head, at }| (head.stamp, at))
    }

    /// Whether nothing is asked just now.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Asks, when nothing is asked just now; what is asked before the last answer is dropped.
    pub fn ask(&mut self, question: Question, now: Instant) {
        if !self.is_idle() {
            return;
        }
        if question.length() > MAX_QUESTION {
            return self.out.push_back(Output::Answer(Err(Failure::Long)));
        }
        let is_known = self.heard.is_some_and(|heard| now.saturating_duration_since(heard) < KNOWN_FOR);
        match self.clock.filter(|_| is_known) {
            Some(_) => self.send(question, None, 0, now),
            None => self.greet(question, None, 0, 0, now),
        }
    }

    /// What its silence means so far, while it is asked.
    pub fn silence(&self) -> Failure {
        match &self.state {
            State::Greeting { .. } | State::Idle => self.other.map_or(Failure::Silent, Failure::Other),
            State::Asking { .. } if self.new => Failure::New,
            // It answered a greeting after a question before had no answer.
            State::Asking { asked, .. } if *asked > 1 => Failure::Deaf,
            State::Asking { .. } => Failure::Silent,
        }
    }

    /// What is asked just now is not asked again, and its answer is not waited for. `true`: it was sent already.
    pub fn forget(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => false,
            State::Greeting { asked, .. } => asked > 0,
            State::Asking { .. } => true,
        }
    }

    /// Takes a datagram from the device's address. What is not its answer is passed over.
    pub fn datagram(&mut self, bytes: &[u8], now: Instant) {
        if bytes.len() == packet::HEADER {
            return self.greeted(bytes, now);
        }
        let State::Asking { question, id, asked, .. } = &self.state else { return };
        let Ok((head, plain)) = packet::open(&self.token, bytes) else { return };
        let answer = json::read(&plain);
        if answer.as_ref().is_ok_and(|answer| answer["id"].as_i64() != Some(i64::from(*id))) {
            return;
        }
        let (question, asked) = (question.clone(), *asked);
        self.state = State::Idle;
        self.clock = Some(Clock { head, at: now });
        (self.proof, self.heard) = (self.clock, Some(now));
        (self.proven, self.other, self.new) = (true, None, false);
        self.did.get_or_insert(head.did);
        let result = answer.map_err(|_| Failure::Garbled).and_then(|answer| result(&question.method, answer));
        if let Err(Failure::Device { code: -9999 | -30001, .. }) = &result
            && asked < ANSWERS.len()
        {
            return self.greet(question, None, asked, 0, now);
        }
        self.out.push_back(Output::Answer(result));
    }

    /// The time that [`Output::Wait`] named has come.
    pub fn timeout(&mut self, now: Instant) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Greeting { question, id, asked, greeted, until } if until <= now => {
                if greeted < GREETS.len() {
                    return self.greet(question, id, asked, greeted, now);
                }
                self.clock = None;
                self.fail(self.other.map_or(Failure::Silent, Failure::Other));
            }
            State::Asking { question, id, asked, until } if until <= now => {
                if asked < ANSWERS.len() {
                    let id = Some(id).filter(|_| !question.is_same_twice);
                    return self.greet(question, id, asked, 0, now);
                }
                self.clock = None;
                self.fail(if self.new { Failure::New } else { Failure::Deaf });
            }
            state => self.state = state,
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or(Output::Wait(match &self.state {
            State::Idle => None,
            State::Greeting { until, .. } | State::Asking { until, .. } => Some(*until),
        }))
    }

    fn fail(&mut self, failure: Failure) {
        self.out.push_back(Output::Answer(Err(failure)));
    }

    fn greet(&mut self, question: Question, id: Option<u32>, asked: usize, greeted: usize, now: Instant) {
        let until = now + GREETS[greeted.min(GREETS.len() - 1)];
        self.out.push_back(Output::Send(packet::hello().to_vec()));
        self.state = State::Greeting { question, id, asked, greeted: greeted + 1, until };
    }

    /// Whoever answers says who it is; nobody proves it yet.
    fn greeted(&mut self, bytes: &[u8], now: Instant) {
        let Ok(hello) = packet::read_hello(bytes) else { return };
        if !matches!(self.state, State::Greeting { .. }) {
            return;
        }
        if self.did.is_some_and(|did| did != hello.head.did) {
            self.other = Some(hello.head.did);
            return;
        }
        let State::Greeting { question, id, asked, .. } = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        // Its number is good for this question; another device may answer the next greeting.
        self.clock = Some(Clock { head: hello.head, at: now });
        self.heard = Some(now);
        self.new = hello.is_new;
        self.send(question, id, asked, now);
    }

    fn send(&mut self, question: Question, id: Option<u32>, asked: usize, now: Instant) {
        let Some(Clock { head: Head { did, stamp }, at }) = self.clock else { return self.fail(Failure::Silent) };
        let id = id.unwrap_or_else(|| {
            let id = self.next;
            self.next = if id >= 0x7fff_ffff { 1 } else { id + 1 };
            id
        });
        let passed = u32::try_from(now.saturating_duration_since(at).as_secs()).unwrap_or(u32::MAX);
        let head = Head { did: self.did.unwrap_or(did), stamp: stamp.wrapping_add(passed) };
        match packet::seal(&self.token, head, text(id, &question).as_bytes()) {
            Ok(sealed) => {
                self.out.push_back(Output::Send(sealed));
                let until = now + ANSWERS[asked.min(ANSWERS.len() - 1)];
                self.state = State::Asking { question, id, asked: asked + 1, until };
            }
            Err(_) => self.fail(Failure::Long),
        }
    }
}

/// The result in an answer; several firmwares say in the place of one that they do not know the method.
fn result(method: &str, mut answer: Value) -> Result<Value, Failure> {
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let code = error["code"].as_i64().or_else(|| error.as_i64()).unwrap_or_default();
        if matches!(code, -32601) {
            return Err(Failure::NoMethod(method.to_owned()));
        }
        let message = ["message", "error"].iter().find_map(|key| error[*key].as_str()).or_else(|| error.as_str());
        let message = message.unwrap_or_default();
        return Err(Failure::Device { code, message: message.chars().take(200).collect() });
    }
    // Some answer to this one without wrapping it up.
    if method == "miIO.info" && answer.get("result").is_none() && answer["model"].is_string() {
        return Ok(answer);
    }
    let result = answer.get_mut("result").map(Value::take).ok_or(Failure::Garbled)?;
    let word = result.as_str().or_else(|| result.as_array().filter(|all| all.len() == 1)?[0].as_str());
    if word == Some("unknown_method") {
        return Err(Failure::NoMethod(method.to_owned()));
    }
    Ok(result)
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
