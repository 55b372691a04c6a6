//! One connection with a broker: bytes and wishes in; bytes, messages and the next time to wake out. What it is subscribed
//! to follows what is wanted; what is published is confirmed by the broker or said to have failed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::packet::{self, Connect, Decoder, Packet, Publish, Refusal};

/// How long a broker may take to answer.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How long a message may take to be confirmed.
const CONFIRMS_WITHIN: Duration = Duration::from_secs(5);
/// Most messages that are not confirmed yet, and most subscriptions.
const MOST_WAITING: usize = 64;
/// See [`MOST_WAITING`].
pub const MOST_FILTERS: usize = 65_536;
/// Filters that are subscribed to at once.
const AT_ONCE: usize = 64;
/// Answers to subscriptions that are outstanding.
const MOST_ASKED: usize = 4;

/// What it takes.
#[derive(Debug)]
pub enum Input<'a> {
    /// From the broker.
    Bytes(&'a [u8]),
    /// To be published, under a number of the caller's.
    Publish(u64, Publish),
    /// Exactly these filters are wanted from now on, in this order.
    Filters(Vec<String>),
    /// Time went by.
    Timeout,
    /// The owner asks whether the broker still answers.
    Ask,
    /// Say good-bye.
    Close,
}

/// What it gives.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// For the broker, and whether somebody's words are in it.
    Send(Vec<u8>, bool),
    /// Something happened.
    Event(Event),
    /// Nothing until then.
    Wait(Instant),
}

/// What happened.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The broker took the connection.
    Up,
    /// A message came.
    Message(Publish),
    /// The broker has what was published under that number, or not: why.
    Published(u64, Result<(), String>),
    /// The broker does not let this client hear that.
    Denied(String),
    /// A message of so many bytes was too long and is lost.
    Skipped(usize),
    /// The broker does not take the connection.
    Refused(Refusal),
    /// It is over, and why.
    Over(String),
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Greeting,
    Up,
    Over,
}

/// The machine.
pub struct Session {
    state: State,
    decoder: Decoder,
    out: VecDeque<Output>,
    keep_alive: Duration,
    /// When the broker is given up: it has to answer something.
    deadline: Option<Instant>,
    said: Instant,
    pinged: bool,
    next_id: u16,
    /// Confirmations that are waited for: the caller's number and until when.
    waiting: BTreeMap<u16, (u64, Instant)>,
    /// What is subscribed to, or asked for, and what is to be.
    filters: BTreeSet<String>,
    wanted: VecDeque<String>,
    unwanted: Vec<String>,
    asked: BTreeMap<u16, Vec<String>>,
}

impl Session {
    /// Begins.
    pub fn new(connect: &Connect, now: Instant) -> Self {
        let out = VecDeque::from([Output::Send(connect.encode(), true)]);
        Self {
            state: State::Greeting,
            decoder: Decoder::default(),
            out,
            keep_alive: Duration::from_secs(connect.keep_alive.max(2).into()),
            deadline: Some(now + ANSWERS_WITHIN),
            said: now,
            pinged: false,
            next_id: 0,
            waiting: BTreeMap::new(),
            filters: BTreeSet::new(),
            wanted: VecDeque::new(),
            unwanted: Vec::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.state == State::Over {
            if let Input::Publish(number, _) = input {
                self.event(Event::Published(number, Err("the connection ended".to_owned())));
            }
            return;
        }
        match input {
            Input::Bytes(bytes) => self.bytes(bytes, now),
            Input::Publish(number, message) => self.publish(number, message, now),
            Input::Filters(filters) => self.want(filters),
            Input::Ask if self.state == State::Up && !self.pinged => self.ping(now),
            Input::Ask => {}
            Input::Timeout => self.time(now),
            Input::Close => {
                if self.state == State::Up {
                    self.send(packet::disconnect(), false, now);
                }
                self.over("it was closed from here".to_owned());
            }
        }
        self.subscribe(now);
    }

    /// What is to be done. After [`Output::Wait`] there is nothing until the next [`Self::handle`].
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        let ping = self.said + self.keep_alive / 2;
        let confirm = self.waiting.values().map(|(_, until)| *until).min();
        let times = [Some(ping).filter(|_| !self.pinged && self.state == State::Up), self.deadline, confirm];
        Output::Wait(times.into_iter().flatten().min().unwrap_or(ping))
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    fn send(&mut self, bytes: Vec<u8>, words: bool, now: Instant) {
        self.said = now;
        self.out.push_back(Output::Send(bytes, words));
    }

    fn over(&mut self, why: String) {
        self.state = State::Over;
        for (_, (number, _)) in std::mem::take(&mut self.waiting) {
            self.event(Event::Published(number, Err("the connection ended".to_owned())));
        }
        self.event(Event::Over(why));
    }

    fn id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if !self.waiting.contains_key(&self.next_id) && !self.asked.contains_key(&self.next_id) {
                return self.next_id;
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8], now: Instant) {
        self.decoder.feed(bytes);
        while self.state != State::Over {
            match self.decoder.next_packet() {
                Ok(None) => return,
                Ok(Some(packet)) => self.packet(packet, now),
                Err(malformed) => self.over(malformed.to_string()),
            }
        }
    }

    fn packet(&mut self, packet: Packet, now: Instant) {
        match (&self.state, packet) {
            (State::Greeting, Packet::ConnAck(Ok(()))) => {
                (self.state, self.deadline) = (State::Up, None);
                self.event(Event::Up);
            }
            (State::Greeting, Packet::ConnAck(Err(refusal))) => {
                self.event(Event::Refused(refusal));
                self.over(refusal.to_string());
            }
            (State::Greeting, _) | (_, Packet::ConnAck(_)) => {
                self.over("it does not speak MQTT as it should: a packet at the wrong time".to_owned());
            }
            (_, Packet::Publish(message)) => {
                if let Some(id) = message.id {
                    self.send(packet::puback(id), false, now);
                }
                self.event(Event::Message(message));
            }
            (_, Packet::PubAck(id)) => {
                if let Some((number, _)) = self.waiting.remove(&id) {
                    self.event(Event::Published(number, Ok(())));
                }
            }
            (_, Packet::SubAck(id, taken)) => {
                let Some(filters) = self.asked.remove(&id) else { return };
                self.answered(now);
                for (filter, _) in filters.into_iter().zip(taken).filter(|(_, taken)| !taken) {
                    self.event(Event::Denied(filter));
                }
            }
            (_, Packet::UnsubAck(id)) => {
                self.asked.remove(&id);
                self.answered(now);
            }
            (_, Packet::PingResp) => {
                self.pinged = false;
                self.answered(now);
            }
            (_, Packet::Skipped(length)) => self.event(Event::Skipped(length)),
        }
    }

    /// The broker lives: it has until later for what it has yet to answer.
    fn answered(&mut self, now: Instant) {
        let owes = self.pinged || !self.asked.is_empty();
        self.deadline = owes.then_some(now + ANSWERS_WITHIN);
    }

    fn publish(&mut self, number: u64, mut message: Publish, now: Instant) {
        if self.state != State::Up || self.waiting.len() >= MOST_WAITING {
            let why = if self.state == State::Up { "too much waits for the broker" } else { "it is not connected yet" };
            return self.event(Event::Published(number, Err(why.to_owned())));
        }
        let id = self.id();
        message.id = Some(id);
        self.waiting.insert(id, (number, now + CONFIRMS_WITHIN));
        self.send(message.encode(), true, now);
    }

    fn want(&mut self, filters: Vec<String>) {
        let filters: Vec<String> = filters.into_iter().take(MOST_FILTERS).collect();
        let now: BTreeSet<&String> = filters.iter().collect();
        let gone: Vec<String> = self.filters.iter().filter(|filter| !now.contains(filter)).cloned().collect();
        for filter in gone {
            self.filters.remove(&filter);
            self.unwanted.push(filter);
        }
        self.unwanted.retain(|filter| !now.contains(filter));
        self.wanted.retain(|filter| now.contains(filter));
        let mut waits: BTreeSet<String> = self.wanted.iter().cloned().collect();
        for filter in filters {
            if !self.filters.contains(&filter) && waits.insert(filter.clone()) {
                self.wanted.push_back(filter);
            }
        }
    }

    /// Asks for what is wanted and not subscribed to, a few packets at a time.
    fn subscribe(&mut self, now: Instant) {
        while self.state == State::Up && self.asked.len() < MOST_ASKED {
            let filters: Vec<String> = self.wanted.drain(..self.wanted.len().min(AT_ONCE)).collect();
            let (bytes, filters, id) = if filters.is_empty() {
                let left = self.unwanted.len().saturating_sub(AT_ONCE);
                let filters = self.unwanted.split_off(left);
                if filters.is_empty() {
                    return;
                }
                let id = self.id();
                (packet::unsubscribe(id, filters.iter().map(String::as_str)), Vec::new(), id)
            } else {
                self.filters.extend(filters.iter().cloned());
                let id = self.id();
                (packet::subscribe(id, filters.iter().map(String::as_str)), filters, id)
            };
            self.asked.insert(id, filters);
            self.deadline.get_or_insert(now + ANSWERS_WITHIN);
            self.send(bytes, true, now);
        }
    }

    fn time(&mut self, now: Instant) {
        let late: Vec<u16> = self.waiting.iter().filter(|(_, (_, until))| *until <= now).map(|(id, _)| *id).collect();
        for id in late {
            if let Some((number, _)) = self.waiting.remove(&id) {
                let why = format!("the broker did not confirm it within {} s", CONFIRMS_WITHIN.as_secs());
                self.event(Event::Published(number, Err(why)));
            }
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let what = if self.state == State::Greeting {
                "it took a connection and did not answer"
            } else {
                "it gave no sign of life"
            };
            return self.over(format!("{what} within {} s", ANSWERS_WITHIN.as_secs()));
        }
        if self.state == State::Up && !self.pinged && self.said + self.keep_alive / 2 <= now {
            self.ping(now);
        }
    }

    fn ping(&mut self, now: Instant) {
        self.pinged = true;
        self.deadline.get_or_insert(now + ANSWERS_WITHIN);
        self.send(packet::ping(), false, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect() -> Connect {
        Connect { client: "c".into(), keep_alive: 30, user: None, password: None, will: None }
    }

    fn drain(session: &mut Session) -> (Vec<Vec<u8>>, Vec<Event>, Instant) {
        let (mut sent, mut events) = (Vec::new(), Vec::new());
        loop {
            match session.poll_output() {
                Output::Send(bytes, _) => sent.push(bytes),
                Output::Event(event) => events.push(event),
                Output::Wait(until) => return (sent, events, until),
            }
        }
    }

    fn up(now: Instant) -> Session {
        let mut session = Session::new(&connect(), now);
        session.handle(Input::Filters(vec!["a/b".into(), "c/#".into()]), now);
        assert_eq!(drain(&mut session).0.len(), 1, "nothing but the greeting before the broker agreed");
        session.handle(Input::Bytes(b"\x20\x02\x00\x00"), now);
        let (sent, events, _) = drain(&mut session);
        assert_eq!(events, [Event::Up]);
        assert_eq!(sent, [packet::subscribe(1, ["a/b", "c/#"])]);
        session.handle(Input::Bytes(b"\x90\x04\x00\x01\x00\x80"), now);
        assert_eq!(drain(&mut session).1, [Event::Denied("c/#".into())]);
        session
    }

    fn message(topic: &str) -> Publish {
        Publish { topic: topic.into(), payload: b"x".to_vec(), ..Publish::default() }
    }

    #[test]
    fn what_is_wanted_is_subscribed_to_and_what_is_not_any_more_is_not() {
        let now = Instant::now();
        let mut session = up(now);
        session.handle(Input::Filters(vec!["a/b".into(), "d".into()]), now);
        let (sent, ..) = drain(&mut session);
        assert_eq!(sent, [packet::subscribe(2, ["d"]), packet::unsubscribe(3, ["c/#"])]);
    }

    #[test]
    fn what_is_published_is_confirmed_or_has_failed() {
        let now = Instant::now();
        let mut session = up(now);
        session.handle(Input::Publish(7, message("t")), now);
        session.handle(Input::Publish(8, message("t")), now);
        let (sent, ..) = drain(&mut session);
        assert_eq!(sent[0], Publish { id: Some(2), ..message("t") }.encode());
        session.handle(Input::Bytes(b"\x40\x02\x00\x02"), now);
        assert_eq!(drain(&mut session).1, [Event::Published(7, Ok(()))]);
        session.handle(Input::Timeout, now + CONFIRMS_WITHIN);
        let events = drain(&mut session).1;
        assert!(
            matches!(&events[..], [Event::Published(8, Err(why))] if why.contains("did not confirm")),
            "{events:?}"
        );
        (0..MOST_WAITING as u64).for_each(|number| session.handle(Input::Publish(number, message("t")), now));
        session.handle(Input::Publish(99, message("t")), now);
        assert!(matches!(&drain(&mut session).1[..], [Event::Published(99, Err(_))]), "a bound");
        session.handle(Input::Close, now);
        let (sent, events, _) = drain(&mut session);
        assert_eq!((sent, events.len()), (vec![packet::disconnect()], MOST_WAITING + 1));
    }

    #[test]
    fn a_broker_that_is_silent_is_given_up() {
        let now = Instant::now();
        let mut session = up(now);
        let (_, _, wake) = drain(&mut session);
        assert_eq!(wake, now + Duration::from_secs(15));
        session.handle(Input::Timeout, wake);
        let (sent, _, late) = drain(&mut session);
        assert_eq!((sent, late), (vec![packet::ping()], wake + ANSWERS_WITHIN));
        session.handle(Input::Bytes(b"\xd0\x00"), late - Duration::from_secs(1));
        let again = drain(&mut session).2;
        session.handle(Input::Timeout, again);
        let late = drain(&mut session).2;
        session.handle(Input::Timeout, late);
        assert!(matches!(&drain(&mut session).1[..], [Event::Over(why)] if why.contains("no sign of life")));
        session.handle(Input::Publish(1, message("t")), late);
        assert!(matches!(drain(&mut session).1[..], [Event::Published(1, Err(_))]));
        let mut mute = Session::new(&connect(), now);
        mute.handle(Input::Timeout, now + ANSWERS_WITHIN);
        assert!(matches!(&drain(&mut mute).1[..], [Event::Over(why)] if why.contains("did not answer")));
    }

    #[test]
    fn a_wrong_password_and_a_broken_packet_are_told() {
        let now = Instant::now();
        let mut session = Session::new(&connect(), now);
        session.handle(Input::Bytes(b"\x20\x02\x00\x05"), now);
        let events = drain(&mut session).1;
        assert!(matches!(&events[..], [Event::Refused(Refusal::NotAuthorised), Event::Over(_)]), "{events:?}");
        let mut session = up(now);
        session.handle(Input::Bytes(b"\x30\x03\x00\x01#"), now);
        assert!(matches!(&drain(&mut session).1[..], [Event::Over(why)] if why.contains("wildcards")));
        let mut early = Session::new(&connect(), now);
        early.handle(Input::Bytes(&message("t").encode()), now);
        assert!(matches!(&drain(&mut early).1[..], [Event::Over(_)]), "nothing before the greeting");
    }

    #[test]
    fn messages_of_better_quality_are_confirmed() {
        let now = Instant::now();
        let mut session = up(now);
        let came = Publish { id: Some(5), ..message("a/b") };
        session.handle(Input::Bytes(&came.encode()), now);
        let (sent, events, _) = drain(&mut session);
        assert_eq!((sent, events), (vec![packet::puback(5)], vec![Event::Message(came)]));
    }
}
