//! What is said with a node over a session that both have agreed on: a subscription to all that it has, and what it is told.
//! Bytes, wishes and the time go in; datagrams, events and the next timeout come out.
//!
//! Matter Core Specification 1.4: 4.12 (reliable messages, done by [`SessionManager`]), 8.5 (subscribe), 8.6 (reports),
//! 8.7 (write), 8.8 (invoke), 8.10 (the messages).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

pub use super::word::{Trouble, Word};
use super::word::{encode, opcode, outcome, status_name};
use matter_codec::Value;
use matter_crypto::CaseSessionOutput;
use matter_interaction::{
    AttributePath, EventPath, EventReport, ReadPath, ReportAccumulator, SubscribeRequest, build_read_request_paths,
    build_status_response, build_subscribe_request, build_timed_request, parse_report_data, parse_status_response,
    parse_subscribe_response,
};
use matter_transport::secure_channel::is_close_session;
use matter_transport::{
    DecodeInboundOutput, MrpConfig, MrpEvent, MrpFlags, MrpProvenance, ProtocolId, SessionId, SessionManager,
    SessionRole,
};

/// The status of a report that belongs to no subscription of ours (8.10.1).
const INVALID_SUBSCRIPTION: u8 = 0x7d;
/// The longest time after which a node says that it is still here, as far as it is for us to say.
pub const REPORT_AT_LEAST_EVERY: u16 = 30;
/// Beyond what it promised, a node may be late by its repeats.
const LATE: Duration = Duration::from_secs(15);
/// A question without an answer. A node that takes its time answers within its repeats.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// All that a node has comes in parts, and slowly over Thread.
const ALL_WITHIN: Duration = Duration::from_secs(120);
/// Somebody doubts that it is there: then it has so long to answer, and one that sleeps so many of its intervals.
const DOUBT_WITHIN: Duration = Duration::from_secs(4);
const DOUBT_INTERVALS: u32 = 8;
/// How long the second part of a timed word may take, in milliseconds (8.7.3.2).
const TIMED_MS: u16 = 10_000;
/// Parts of one report, and bytes of all of them.
const MOST_PARTS: usize = 4096;
const MOST_BYTES: usize = 2 << 20;
/// Reports of a node that are under way at once.
const MOST_REPORTS: usize = 8;
/// Wishes that wait for their turn.
const MOST_WAITING: usize = 64;

/// What became of something.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What it says of itself. The first one after [`Dialog::subscribe`] is all that it has.
    Report {
        /// Attributes, lists put together.
        values: Vec<(AttributePath, Value)>,
        /// What happened.
        events: Vec<EventReport>,
        /// All of it, as it is.
        all: bool,
    },
    /// It tells of changes from now on.
    Subscribed,
    /// It answered a doubt.
    Here,
    /// A word was said: what it answered, as the fields of a structure.
    Done(u64, Result<Vec<u8>, Trouble>),
    /// The session is over, and why.
    Over(String),
}

/// What we began, by exchange.
enum Ask {
    Subscribe { parts: Parts, id: Option<u32> },
    Word { tag: u64, word: Word, announced: bool, begun_by: Instant },
    Doubt,
}

/// A word that waits for its turn.
struct Waiting {
    tag: u64,
    word: Word,
    /// It is begun until then or not at all.
    begun_by: Instant,
}

struct Asked {
    ask: Ask,
    until: Instant,
}

/// A report in parts.
#[derive(Default)]
struct Parts {
    whole: ReportAccumulator,
    events: Vec<EventReport>,
    parts: usize,
    bytes: usize,
}

impl Parts {
    /// Takes a part; whether there are more, whether an answer is wanted, and of which subscription.
    fn take(&mut self, payload: &[u8]) -> Result<(bool, bool, Option<u32>), String> {
        self.parts += 1;
        self.bytes += payload.len();
        if self.parts > MOST_PARTS || self.bytes > MOST_BYTES {
            return Err("it says more than can be taken".to_owned());
        }
        let mut report = parse_report_data(payload).map_err(|error| error.to_string())?;
        let (more, answer, id) = (report.more_chunked_messages, !report.suppress_response, report.subscription_id);
        self.events.append(&mut report.events);
        self.whole.push(report).map_err(|error| error.to_string())?;
        Ok((more, answer, id))
    }

    fn finish(self, all: bool) -> Event {
        Event::Report { values: self.whole.finish(), events: self.events, all }
    }
}

struct Subscription {
    id: u32,
    at_least_every: Duration,
    /// When it was last told something by it: another answer of a node does not say that it still watches for us.
    told: Instant,
}

/// One session.
pub struct Dialog {
    sessions: SessionManager,
    id: SessionId,
    doubt_within: Duration,
    asked: BTreeMap<u16, Asked>,
    waiting: VecDeque<Waiting>,
    /// What it began, by exchange.
    reports: BTreeMap<u16, Parts>,
    subscription: Option<Subscription>,
    heard: Instant,
    over: bool,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

impl Dialog {
    /// A session that was just made; `mrp` is how patient its repeats are.
    pub fn new(output: &CaseSessionOutput, mrp: MrpConfig, now: Instant) -> Self {
        let mut sessions = SessionManager::new();
        let doubt_within = DOUBT_WITHIN.max(mrp.initial_idle.saturating_mul(DOUBT_INTERVALS));
        let id = sessions.register_case_with_mrp(output, SessionRole::Initiator, mrp, MrpProvenance::Unknown);
        Self {
            sessions,
            id,
            doubt_within,
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            reports: BTreeMap::new(),
            subscription: None,
            heard: now,
            over: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    // -- wishes -------------------------------------------------------------------------------------

    /// Wants all that it has, now and whenever something changes.
    pub fn subscribe(&mut self, now: Instant) {
        let everything = ReadPath::new(None, None, None);
        let request = build_subscribe_request(&SubscribeRequest {
            keep_subscriptions: false,
            min_interval_floor: 0,
            max_interval_ceiling: REPORT_AT_LEAST_EVERY,
            paths: vec![everything],
            event_paths: vec![presses()],
            event_filters: Vec::new(),
        });
        let ask = Ask::Subscribe { parts: Parts::default(), id: None };
        self.begin(ask, opcode::SUBSCRIBE, &request, ALL_WITHIN, now);
    }

    /// Tells it something, begun until then or not at all; answered by [`Event::Done`]. One after the other, in order.
    pub fn say(&mut self, tag: u64, word: Word, begun_by: Instant, now: Instant) {
        if self.over {
            return self.events.push_back(Event::Done(tag, Err(Trouble::Late)));
        }
        if self.waiting.len() >= MOST_WAITING {
            return self.events.push_back(Event::Done(tag, Err(Trouble::Busy)));
        }
        self.waiting.push_back(Waiting { tag, word, begun_by });
        self.next_word(now);
    }

    /// Nobody wants that any more: it is not said, and what was said of it is not repeated.
    pub fn give_up(&mut self, tag: u64, now: Instant) {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.tag != tag);
        let is_it = |(_, asked): &(&u16, &Asked)| matches!(asked.ask, Ask::Word { tag: of, .. } if of == tag);
        let under_way = self.asked.iter().find(is_it).map(|(exchange, _)| *exchange);
        if let Some(exchange) = under_way {
            self.asked.remove(&exchange);
            self.abort(exchange);
        }
        if under_way.is_some() || self.waiting.len() < before {
            self.events.push_back(Event::Done(tag, Err(Trouble::Expired)));
        }
        self.next_word(now);
    }

    /// It may be gone: it is asked something small.
    pub fn doubt(&mut self, now: Instant) {
        if self.asked.values().any(|asked| matches!(asked.ask, Ask::Doubt)) {
            return;
        }
        // The revision of its root's Descriptor.
        let request = build_read_request_paths(&[ReadPath::new(Some(0), Some(0x1d), Some(0xfffd))]);
        self.begin(Ask::Doubt, opcode::READ, &request, self.doubt_within, now);
    }

    /// Ends it, without a word: what is owed already may still be sent.
    ///
    /// That a session ends may be said (CloseSession, 4.11.1.4), and is not: nodes forget the oldest sessions when they need room, and
    /// find out by the next report that nobody hears it. Those on matter.js, up to 0.17.9 at least, never let go of a session that was
    /// ended like that, and once the last controller removed them wait for its end in vain: nobody could add them any more.
    pub fn close(&mut self) {
        self.over = true;
        self.sessions.remove(self.id);
    }

    // -- what comes out -----------------------------------------------------------------------------

    /// A datagram to send.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Dialog::timeout`] is due.
    pub fn wake(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let asked = self.asked.values().map(|asked| asked.until);
        let waiting = self.waiting.iter().map(|waiting| waiting.begun_by);
        asked.chain(waiting).chain(self.silent_at()).chain(self.sessions.poll_timeout()).min()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.over
    }

    // -- what comes in ------------------------------------------------------------------------------

    /// Time has passed.
    pub fn timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        for event in self.sessions.handle_timeout(now) {
            match event {
                MrpEvent::Retransmit { packet, .. } | MrpEvent::SendStandaloneAck { packet, .. } => {
                    self.transmits.push_back(packet);
                }
                MrpEvent::Expired { .. } => self.over("it does not answer any more".to_owned()),
                MrpEvent::SessionCounterExhausted { .. } => self.over("the session is used up".to_owned()),
                _ => {}
            }
        }
        if self.silent_at().is_some_and(|at| at <= now) {
            self.over("nothing was heard of it for longer than it promised".to_owned());
        }
        let late: Vec<u16> = self.asked.iter().filter(|(_, asked)| asked.until <= now).map(|(id, _)| *id).collect();
        for exchange in late {
            let Some(asked) = self.asked.remove(&exchange) else { continue };
            self.abort(exchange);
            match asked.ask {
                Ask::Subscribe { .. } => self.over("it did not say in time what it has".to_owned()),
                Ask::Doubt => self.over("it does not answer any more".to_owned()),
                Ask::Word { tag, .. } => self.events.push_back(Event::Done(tag, Err(Trouble::Late))),
            }
        }
        self.next_word(now);
    }

    /// A datagram came from where the node is.
    pub fn datagram(&mut self, packet: &[u8], now: Instant) {
        // What is not of a session is of a handshake that is over.
        if self.over || packet.len() < 8 || packet[1..3] == [0, 0] {
            return;
        }
        match self.sessions.decode_inbound(packet, now) {
            Ok(DecodeInboundOutput::AppMessage {
                session_id,
                exchange_id,
                is_initiator,
                protocol_id,
                opcode,
                payload,
            }) => {
                if session_id != self.id {
                    return;
                }
                self.heard = now;
                if is_initiator && is_close_session(protocol_id, opcode, &payload) {
                    self.over("it ended the session".to_owned());
                } else if protocol_id != ProtocolId::INTERACTION_MODEL {
                    self.finish(exchange_id, !is_initiator);
                } else if is_initiator {
                    self.theirs(exchange_id, opcode, &payload, now);
                } else {
                    self.ours(exchange_id, opcode, &payload, now);
                }
            }
            Ok(DecodeInboundOutput::DuplicateReliableAckResent { ack_packet, .. }) => {
                self.transmits.push_back(ack_packet);
            }
            // Somebody else's, or changed on its way: nothing follows from it.
            Ok(_) | Err(_) => {}
        }
        self.next_word(now);
    }

    /// An answer to what we began.
    fn ours(&mut self, exchange: u16, opcode: u8, payload: &[u8], now: Instant) {
        let Some(Asked { ask, until }) = self.asked.remove(&exchange) else { return self.finish(exchange, true) };
        match ask {
            Ask::Subscribe { parts, id } => self.subscribing(exchange, opcode, payload, (parts, id), now),
            Ask::Doubt => {
                self.finish(exchange, true);
                self.events.push_back(Event::Here);
            }
            Ask::Word { tag, word, announced: true, begun_by } if opcode == opcode::STATUS => {
                match parse_status_response(payload) {
                    Ok(Some(0)) if begun_by <= now => self.done(exchange, tag, Err(Trouble::Expired)),
                    Ok(Some(0)) => {
                        let (opcode, request) = encode(&word, true);
                        let asked = Asked { ask: Ask::Word { tag, word, announced: false, begun_by }, until };
                        if self.send(exchange, true, opcode, &request, now) {
                            self.asked.insert(exchange, asked);
                        }
                    }
                    Ok(code) => self.done(exchange, tag, Err(Trouble::Status(code.unwrap_or(1)))),
                    Err(error) => self.done(exchange, tag, Err(Trouble::Garbled(error.to_string()))),
                }
            }
            Ask::Word { tag, word, .. } => {
                let outcome = outcome(&word, opcode, payload);
                self.done(exchange, tag, outcome);
            }
        }
    }

    fn done(&mut self, exchange: u16, tag: u64, outcome: Result<Vec<u8>, Trouble>) {
        self.finish(exchange, true);
        self.events.push_back(Event::Done(tag, outcome));
    }

    fn subscribing(
        &mut self,
        exchange: u16,
        opcode: u8,
        payload: &[u8],
        (mut parts, id): (Parts, Option<u32>),
        now: Instant,
    ) {
        match opcode {
            opcode::REPORT => match parts.take(payload) {
                Ok((_, _, named)) => {
                    if self.send(exchange, true, opcode::STATUS, &build_status_response(0), now) {
                        let ask = Ask::Subscribe { parts, id: id.or(named) };
                        self.asked.insert(exchange, Asked { ask, until: now + ALL_WITHIN });
                    }
                }
                Err(why) => self.over(why),
            },
            opcode::SUBSCRIBED => match parse_subscribe_response(payload) {
                Ok(response) if id.is_none_or(|id| id == response.subscription_id) => {
                    self.finish(exchange, true);
                    let at_least_every = Duration::from_secs(response.max_interval.into());
                    self.subscription = Some(Subscription { id: response.subscription_id, at_least_every, told: now });
                    self.events.push_back(parts.finish(true));
                    self.events.push_back(Event::Subscribed);
                }
                Ok(_) => self.over("its answers do not belong together".to_owned()),
                Err(error) => self.over(format!("its answer cannot be read: {error}")),
            },
            opcode::STATUS => {
                let code = parse_status_response(payload).ok().flatten().unwrap_or(1);
                self.over(format!("it does not let itself be watched: {}", status_name(code)));
            }
            _ => self.over("it answered what it was not asked".to_owned()),
        }
    }

    /// It began something: a report.
    fn theirs(&mut self, exchange: u16, opcode: u8, payload: &[u8], now: Instant) {
        if opcode != opcode::REPORT {
            return self.finish(exchange, false);
        }
        if !self.reports.contains_key(&exchange) && self.reports.len() >= MOST_REPORTS {
            self.reports.clear();
        }
        let mut parts = self.reports.remove(&exchange).unwrap_or_default();
        let (more, answer, id) = match parts.take(payload) {
            Ok(taken) => taken,
            Err(why) => return self.over(why),
        };
        match &mut self.subscription {
            Some(subscription) if id == Some(subscription.id) => subscription.told = now,
            _ => {
                self.send(exchange, false, opcode::STATUS, &build_status_response(INVALID_SUBSCRIPTION), now);
                return;
            }
        }
        if (answer || more) && !self.send(exchange, false, opcode::STATUS, &build_status_response(0), now) {
            return;
        }
        if more {
            self.reports.insert(exchange, parts);
        } else {
            self.finish(exchange, false);
            self.events.push_back(parts.finish(false));
        }
    }

    // -- how ----------------------------------------------------------------------------------------

    fn silent_at(&self) -> Option<Instant> {
        self.subscription.as_ref().map(|subscription| subscription.told + subscription.at_least_every + LATE)
    }

    fn next_word(&mut self, now: Instant) {
        let is_late = |one: &Waiting| one.begun_by <= now;
        let late = self.waiting.iter().filter(|one| is_late(one)).map(|one| one.tag);
        self.events.extend(late.map(|tag| Event::Done(tag, Err(Trouble::Expired))));
        self.waiting.retain(|one| !is_late(one));
        if self.over || self.asked.values().any(|asked| matches!(asked.ask, Ask::Word { .. })) {
            return;
        }
        let Some(Waiting { tag, word, begun_by }) = self.waiting.pop_front() else { return };
        let timed = matches!(word, Word::Invoke { timed: true, .. } | Word::Write { timed: true, .. });
        let (opcode, request) =
            if timed { (opcode::TIMED, build_timed_request(TIMED_MS)) } else { encode(&word, false) };
        self.begin(Ask::Word { tag, word, announced: timed, begun_by }, opcode, &request, ANSWER_WITHIN, now);
    }

    fn begin(&mut self, ask: Ask, opcode: u8, request: &[u8], within: Duration, now: Instant) {
        if self.over {
            return;
        }
        let flags = MrpFlags { reliable: true };
        match self.sessions.encode_outbound(self.id, None, opcode, ProtocolId::INTERACTION_MODEL, request, flags, now) {
            Ok(out) => {
                self.transmits.push_back(out.wire_bytes);
                self.asked.insert(out.exchange_id, Asked { ask, until: now + within });
            }
            Err(error) => {
                if let Ask::Word { tag, .. } = ask {
                    self.events.push_back(Event::Done(tag, Err(Trouble::Garbled(error.to_string()))));
                }
                self.over(error.to_string());
            }
        }
    }

    fn send(&mut self, exchange: u16, ours: bool, opcode: u8, payload: &[u8], now: Instant) -> bool {
        let flags = MrpFlags { reliable: true };
        let protocol = ProtocolId::INTERACTION_MODEL;
        match self.sessions.encode_outbound_with_role(self.id, exchange, ours, opcode, protocol, payload, flags, now) {
            Ok(out) => {
                self.transmits.push_back(out.wire_bytes);
                true
            }
            Err(error) => {
                self.over(error.to_string());
                false
            }
        }
    }

    /// An exchange is over: what it still owes is sent.
    fn finish(&mut self, exchange: u16, ours: bool) {
        let owed = self.sessions.finish_exchange_with_role(self.id, exchange, ours);
        self.owed(owed);
    }

    fn abort(&mut self, exchange: u16) {
        let owed = self.sessions.abort_exchange_with_role(self.id, exchange, true);
        self.owed(owed);
    }

    fn owed(&mut self, events: Vec<MrpEvent>) {
        for event in events {
            if let MrpEvent::SendStandaloneAck { packet, .. } = event {
                self.transmits.push_back(packet);
            }
        }
    }

    fn over(&mut self, why: String) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        // Nothing is repeated any more.
        self.sessions.remove(self.id);
        let words = std::mem::take(&mut self.asked).into_values().filter_map(|asked| match asked.ask {
            Ask::Word { tag, .. } => Some(tag),
            Ask::Subscribe { .. } | Ask::Doubt => None,
        });
        let unsaid = std::mem::take(&mut self.waiting).into_iter().map(|one| one.tag);
        let all: Vec<u64> = words.chain(unsaid).collect();
        self.events.extend(all.into_iter().map(|tag| Event::Done(tag, Err(Trouble::Late))));
        self.events.push_back(Event::Over(why));
    }
}

/// The cluster whose events are wanted, at once: Switch (1.13). What others tell as events they have as attributes, too.
const SWITCH: u32 = 0x3b;

fn presses() -> EventPath {
    let mut path = EventPath::default();
    (path.cluster, path.is_urgent) = (Some(SWITCH), Some(true));
    path
}
