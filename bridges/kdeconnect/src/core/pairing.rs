//! Who is paired: one machine per link. A request and its acceptance are the same packet; only the state
//! tells them apart.
//!
//! | state | receives true | receives false | here |
//! |---|---|---|---|
//! | not paired | asked, 30 s | – | request, 30 s |
//! | requested | paired | cancelled | cancel |
//! | asked | – | withdrawn | accept, reject |
//! | paired | asked again | unpaired | unpair |

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::identity::Version;
use super::packet::Pair;
use super::rates::Rates;
use super::time::Now;
use super::verification::verification_key;

/// How long a request waits for its answer.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How far the clocks of both devices may differ (version 8).
pub const MAX_SKEW: Duration = Duration::from_secs(1800);
/// Anything but pairing from a peer that is not paired is answered with "not paired", this often at most.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Ask the peer.
    Request,
    /// The keys are equal and the owner agrees.
    Accept,
    /// The owner does not agree, or takes the own request back.
    Reject,
    /// End the pairing.
    Unpair,
    /// What runs on another link to the same certificate may be answered here: peers answer on their newest link.
    Resume(Side),
    /// It ended on another link.
    Forget,
}

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We did.
    Ours,
    /// The peer did.
    Peer,
}

/// What goes in.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// From the owner.
    Command(Command),
    /// From the peer.
    Packet(Pair),
    /// The peer sent something else.
    Other,
    /// The time that [`Pairing::timeout`] named has come.
    Timeout,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send this to the peer.
    Send(Pair),
    /// Tell the owner.
    Event(Event),
}

/// What the owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// We asked. Show the key until the answer.
    Requested {
        /// Eight hex digits.
        key: String,
    },
    /// The peer asks. Show the key; accept or reject within [`ANSWER_TIME`].
    Asked {
        /// Eight hex digits.
        key: String,
        /// A pairing that the peer seems to have lost ended with this.
        was_paired: bool,
    },
    /// Paired from now on.
    Paired,
    /// Not paired (any more).
    NotPaired(Why),
}

/// Why there is no pairing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The peer's user refused or cancelled.
    #[error("refused on the other device; nothing was paired")]
    Refused,
    /// The peer took its request back.
    #[error("the other device took its request back")]
    Withdrawn,
    /// Our owner refused or cancelled.
    #[error("refused here; nothing was paired")]
    RefusedHere,
    /// No answer in time.
    #[error("nobody agreed within 30 s; start again when both screens are at hand")]
    TimedOut,
    /// The peer ended the pairing.
    #[error("the other device ended the pairing; pair again to go on using it")]
    EndedByPeer,
    /// We ended it.
    #[error("the pairing was ended here")]
    EndedHere,
    /// The clocks differ too much.
    #[error("the clocks of both devices differ by {0} s; set the time on both and pair again")]
    Clock(i64),
    /// A version 8 request without a timestamp.
    #[error("the other device sent no time with its request; update the app on it and pair again")]
    NoTimestamp,
    /// Too many requests.
    #[error("the other device asks too often; it is refused for some minutes")]
    TooMany,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NotPaired,
    Requested { until: Instant },
    Asked { until: Instant },
    Paired,
}

/// One peer's pairing, over one link.
#[derive(Debug)]
pub struct Pairing {
    version: Version,
    own_spki: Vec<u8>,
    peer_spki: Vec<u8>,
    state: State,
    told: Option<Instant>,
    out: VecDeque<Output>,
}

impl Pairing {
    /// With the two public keys, DER.
    pub fn new(version: Version, own_spki: &[u8], peer_spki: &[u8], paired: bool) -> Self {
        let state = if paired { State::Paired } else { State::NotPaired };
        let (own_spki, peer_spki) = (own_spki.to_vec(), peer_spki.to_vec());
        Self { version, own_spki, peer_spki, state, told: None, out: VecDeque::new() }
    }
    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Command(command) => self.command(command, now),
            Input::Packet(Pair { pair: true, timestamp }) => self.yes(timestamp, now),
            Input::Packet(Pair { pair: false, .. }) => self.no(),
            Input::Other => self.other(now),
            Input::Timeout => self.late(now),
        }
    }
    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }
    /// When to come back with [`Input::Timeout`].
    pub fn timeout(&self) -> Option<Instant> {
        match self.state {
            State::Requested { until } | State::Asked { until } => Some(until),
            State::NotPaired | State::Paired => None,
        }
    }
    /// Whether packets other than pairing may pass.
    pub fn is_paired(&self) -> bool {
        self.state == State::Paired
    }

    fn command(&mut self, command: Command, now: Now) {
        match (command, self.state) {
            (Command::Request, State::NotPaired) => {
                let timestamp = now.wall.as_second();
                self.state = State::Requested { until: now.instant + ANSWER_TIME };
                self.send(true, (self.version >= Version::V8).then_some(timestamp));
                self.tell(Event::Requested { key: self.key(timestamp) });
            }
            (Command::Accept, State::Asked { until }) if now.instant < until => {
                self.state = State::Paired;
                self.send(true, None);
                self.tell(Event::Paired);
            }
            (Command::Reject, State::Asked { .. } | State::Requested { .. }) => self.end(Why::RefusedHere, true),
            (Command::Resume(Side::Ours), State::NotPaired) => {
                self.state = State::Requested { until: now.instant + ANSWER_TIME };
            }
            (Command::Resume(Side::Peer), State::NotPaired) => {
                self.state = State::Asked { until: now.instant + ANSWER_TIME };
            }
            (Command::Forget, State::Requested { .. } | State::Asked { .. }) => self.state = State::NotPaired,
            (Command::Unpair, State::Paired) => self.end(Why::EndedHere, true),
            (Command::Unpair, State::Asked { .. } | State::Requested { .. }) => self.end(Why::RefusedHere, true),
            _ => {}
        }
    }

    fn yes(&mut self, timestamp: Option<i64>, now: Now) {
        let was_paired = match self.state {
            State::Requested { until } if now.instant < until => {
                self.state = State::Paired;
                return self.tell(Event::Paired);
            }
            State::Requested { .. } => return self.end(Why::TimedOut, true),
            State::Asked { .. } => return,
            State::NotPaired => false,
            State::Paired => {
                self.state = State::NotPaired;
                self.tell(Event::NotPaired(Why::EndedByPeer));
                true
            }
        };
        if self.version >= Version::V8 {
            let Some(timestamp) = timestamp else { return self.end(Why::NoTimestamp, true) };
            let skew = timestamp.saturating_sub(now.wall.as_second()).saturating_abs();
            if skew.unsigned_abs() > MAX_SKEW.as_secs() {
                return self.end(Why::Clock(skew), true);
            }
        }
        self.state = State::Asked { until: now.instant + ANSWER_TIME };
        self.tell(Event::Asked { key: self.key(timestamp.unwrap_or_default()), was_paired });
    }

    fn no(&mut self) {
        match self.state {
            State::NotPaired => {}
            State::Requested { .. } => self.end(Why::Refused, false),
            State::Asked { .. } => self.end(Why::Withdrawn, false),
            State::Paired => self.end(Why::EndedByPeer, false),
        }
    }

    fn other(&mut self, now: Now) {
        // While a request runs, "not paired" would cancel it.
        let due = self.told.is_none_or(|told| now.instant >= told + TELL_EVERY);
        if self.state == State::NotPaired && due {
            self.told = Some(now.instant);
            self.send(false, None);
        }
    }

    fn late(&mut self, now: Now) {
        if self.timeout().is_some_and(|until| now.instant >= until) {
            self.end(Why::TimedOut, true);
        }
    }

    fn end(&mut self, why: Why, send: bool) {
        self.state = State::NotPaired;
        if send {
            self.send(false, None);
        }
        self.tell(Event::NotPaired(why));
    }
    fn key(&self, timestamp: i64) -> String {
        verification_key(self.version, &self.own_spki, &self.peer_spki, timestamp)
    }
    fn send(&mut self, pair: bool, timestamp: Option<i64>) {
        self.out.push_back(Output::Send(Pair { pair, timestamp }));
    }
    fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }
}

/// How often peers may ask, over all links. The driver asks it on every [`Event::Asked`], and answers
/// [`Command::Reject`] without showing anything when it says no.
#[derive(Debug)]
pub struct AskLimiter {
    by_address: Rates<IpAddr>,
    all: VecDeque<Instant>,
}

impl Default for AskLimiter {
    fn default() -> Self {
        Self { by_address: Rates::new(3, Duration::from_secs(300)), all: VecDeque::new() }
    }
}

impl AskLimiter {
    /// Most requests shown within [`Self::WINDOW`].
    pub const IN_ALL: usize = 10;
    /// The window of [`Self::IN_ALL`].
    pub const WINDOW: Duration = Duration::from_secs(300);

    /// Whether a request from this address may be shown to the owner. Three in five minutes of one address;
    /// ids change too easily to count by.
    pub fn ask(&mut self, address: IpAddr, now: Instant) -> bool {
        self.all.retain(|at| now.saturating_duration_since(*at) < Self::WINDOW);
        if self.all.len() >= Self::IN_ALL || !self.by_address.admit(&address, now) {
            return false;
        }
        self.all.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accord_model::Timestamp;
    use proptest::prelude::*;

    const A: &[u8] = b"key a";
    const B: &[u8] = b"key b";

    fn now() -> Now {
        Now { instant: Instant::now(), wall: Timestamp::from_second(1_750_000_000).unwrap() }
    }
    fn drain(pairing: &mut Pairing) -> Vec<Output> {
        std::iter::from_fn(|| pairing.poll()).collect()
    }
    fn sent(outputs: &[Output]) -> Vec<Pair> {
        let sent = |output: &Output| if let Output::Send(pair) = output { Some(pair.clone()) } else { None };
        outputs.iter().filter_map(sent).collect()
    }
    fn yes(timestamp: Option<i64>) -> Input {
        Input::Packet(Pair { pair: true, timestamp })
    }
    fn no() -> Input {
        Input::Packet(Pair { pair: false, timestamp: None })
    }
    fn ended(outputs: &[Output]) -> Option<&Why> {
        outputs.iter().find_map(|output| match output {
            Output::Event(Event::NotPaired(why)) => Some(why),
            _ => None,
        })
    }

    #[test]
    fn both_see_the_same_key_and_are_paired() {
        for version in [Version::V7, Version::V8] {
            let now = now();
            let (mut a, mut b) = (Pairing::new(version, A, B, false), Pairing::new(version, B, A, false));
            a.handle(Input::Command(Command::Request), now);
            let out = drain(&mut a);
            let [Output::Send(request), Output::Event(Event::Requested { key })] = &out[..] else { panic!("{out:?}") };
            assert_eq!(request.timestamp.is_some(), version == Version::V8);
            b.handle(Input::Packet(request.clone()), now);
            let asked = Output::Event(Event::Asked { key: key.clone(), was_paired: false });
            assert_eq!(drain(&mut b), [asked]);
            b.handle(Input::Command(Command::Accept), now);
            let out = drain(&mut b);
            assert_eq!(sent(&out), [Pair { pair: true, timestamp: None }], "no timestamp in the acceptance");
            a.handle(Input::Packet(sent(&out)[0].clone()), now);
            assert_eq!(drain(&mut a), [Output::Event(Event::Paired)]);
            assert!(a.is_paired() && b.is_paired());
        }
    }

    #[test]
    fn what_runs_on_one_link_can_be_answered_on_another() {
        for version in [Version::V7, Version::V8] {
            let now = now();
            let mut link = Pairing::new(version, A, B, false);
            link.handle(Input::Command(Command::Resume(Side::Ours)), now);
            assert_eq!(drain(&mut link), [], "it was asked already");
            link.handle(yes(None), now);
            assert_eq!(drain(&mut link), [Output::Event(Event::Paired)]);
            let mut link = Pairing::new(version, A, B, false);
            link.handle(Input::Command(Command::Resume(Side::Peer)), now);
            link.handle(Input::Command(Command::Accept), now);
            assert_eq!(sent(&drain(&mut link)), [Pair { pair: true, timestamp: None }]);
            link.handle(Input::Command(Command::Resume(Side::Ours)), now);
            link.handle(Input::Command(Command::Forget), now);
            assert!(link.is_paired(), "a pairing that holds is neither begun again nor forgotten");
            let mut link = Pairing::new(version, A, B, false);
            link.handle(Input::Command(Command::Resume(Side::Ours)), now);
            link.handle(Input::Command(Command::Forget), now);
            assert_eq!((drain(&mut link), link.timeout()), (vec![], None), "it ended elsewhere, where it was told");
        }
    }

    #[test]
    fn version_8_wants_a_time_that_is_near_ours() {
        let now = now();
        let judge = |timestamp| {
            let mut b = Pairing::new(Version::V8, B, A, false);
            b.handle(yes(timestamp), now);
            let out = drain(&mut b);
            assert_eq!(sent(&out).len(), usize::from(ended(&out).is_some()), "a refusal is sent");
            ended(&out).cloned()
        };
        assert_eq!(judge(None), Some(Why::NoTimestamp));
        assert_eq!(judge(Some(1_750_000_000 + 1801)), Some(Why::Clock(1801)));
        assert_eq!(judge(Some(i64::MIN)), Some(Why::Clock(i64::MAX)));
        assert_eq!(judge(Some(1_750_000_000 - 1800)), None);
    }

    #[test]
    fn a_request_that_nobody_answers_ends_after_30_seconds_on_both_sides() {
        let start = now();
        let (mut a, mut b) = (Pairing::new(Version::V7, A, B, false), Pairing::new(Version::V7, B, A, false));
        a.handle(Input::Command(Command::Request), start);
        b.handle(yes(None), start);
        for side in [&mut a, &mut b] {
            drain(side);
            side.handle(Input::Timeout, start.after(ANSWER_TIME - Duration::from_millis(1)));
            assert_eq!(drain(side), []);
            side.handle(Input::Timeout, start.after(ANSWER_TIME));
            let out = drain(side);
            assert_eq!((ended(&out), sent(&out).len(), side.timeout()), (Some(&Why::TimedOut), 1, None));
        }
        b.handle(Input::Command(Command::Accept), start.after(ANSWER_TIME));
        assert!(!b.is_paired(), "too late");
    }

    #[test]
    fn a_peer_that_lost_the_pairing_must_ask_the_owner_anew() {
        let mut a = Pairing::new(Version::V7, A, B, true);
        a.handle(yes(None), now());
        let out = drain(&mut a);
        assert_eq!(ended(&out), Some(&Why::EndedByPeer));
        assert!(matches!(out[1], Output::Event(Event::Asked { was_paired: true, .. })) && !a.is_paired());
    }

    #[test]
    fn no_means_no_in_every_state() {
        let now = now();
        let mut a = Pairing::new(Version::V7, A, B, true);
        a.handle(no(), now);
        assert_eq!(ended(&drain(&mut a)), Some(&Why::EndedByPeer));
        a.handle(no(), now);
        assert_eq!(drain(&mut a), []);
        a.handle(Input::Command(Command::Request), now);
        a.handle(no(), now);
        assert_eq!(ended(&drain(&mut a)), Some(&Why::Refused));
        a.handle(yes(None), now);
        a.handle(no(), now);
        assert_eq!(ended(&drain(&mut a)), Some(&Why::Withdrawn));
        a.handle(yes(None), now);
        a.handle(Input::Command(Command::Reject), now);
        assert_eq!(ended(&drain(&mut a)), Some(&Why::RefusedHere));
    }

    #[test]
    fn who_is_not_paired_is_told_so_but_not_in_the_middle_of_a_request_and_not_at_every_packet() {
        let start = now();
        let mut a = Pairing::new(Version::V7, A, B, false);
        for _ in 0..10 {
            a.handle(Input::Other, start);
        }
        assert_eq!(sent(&drain(&mut a)), [Pair { pair: false, timestamp: None }]);
        a.handle(Input::Command(Command::Request), start);
        drain(&mut a);
        a.handle(Input::Other, start.after(TELL_EVERY));
        assert_eq!(drain(&mut a), []);
    }

    #[test]
    fn floods_of_requests_do_not_reach_the_owner() {
        let mut limiter = AskLimiter::default();
        let start = Instant::now();
        let address = |n: u8| IpAddr::from([192, 168, 1, n]);
        let shown = (0..20).filter(|_| limiter.ask(address(1), start)).count();
        assert_eq!(shown, 3);
        let shown = (2..200).filter(|n| limiter.ask(address(*n), start)).count();
        assert_eq!(shown, AskLimiter::IN_ALL - 3);
        assert!(limiter.ask(address(1), start + AskLimiter::WINDOW));
    }

    proptest! {
        /// Whatever a peer sends and whenever: without the owner's word nobody is paired.
        #[test]
        fn nobody_is_paired_without_the_owner(
            packets in prop::collection::vec((0u8..4, prop::option::of(any::<i64>()), 0u64..40), 0..60),
            v8: bool,
        ) {
            let mut a = Pairing::new(if v8 { Version::V8 } else { Version::V7 }, A, B, false);
            let mut at = now();
            for (kind, timestamp, seconds) in packets {
                at = at.after(Duration::from_secs(seconds));
                match kind {
                    0 => a.handle(yes(timestamp.map(|skew| at.wall.as_second() + skew % 3000)), at),
                    1 => a.handle(no(), at),
                    2 => a.handle(Input::Other, at),
                    _ => a.handle(Input::Timeout, at),
                }
                prop_assert!(!a.is_paired());
            }
        }
    }
}
