//! A hand with a peer that does as the test says, in a time that passes when nothing else happens.

use std::collections::VecDeque;

use accord_consent::{Choice, Consent, Decision, Gate, To, example};
use accord_model::{EntryKey, FieldCode, FieldSet};
use tokio::sync::mpsc;

use super::*;
use crate::added::device_id;
use crate::hand::{Hands, Place};

const PACE: Pace = Pace { announced: 4, patient: false, ..Pace::USUAL };

/// What the hand did; told with how many seconds after it began.
#[derive(Debug, PartialEq)]
enum Did {
    Tried,
    Refused(u64, CallError),
    Why(u64, Outcome),
    State(State),
}

struct Lab {
    law: Law,
    device: DeviceId,
    /// How each attempt goes, and how long a connection lasts; in the end they fail.
    attempts: VecDeque<Result<Duration, End>>,
    /// How long an attempt takes.
    takes: Duration,
    up: bool,
    began: Instant,
    told: mpsc::UnboundedSender<(u64, Did)>,
}

impl Lab {
    fn tell(&self, did: Did) {
        let _ = self.told.send((self.began.elapsed().as_secs(), did));
    }
}

fn silent() -> End {
    End::Lost("nobody".to_owned(), Outcome::Silent)
}

impl Peer for Lab {
    type Order = Asks;
    type Line = Duration;
    const AWAY: &'static str = "it is away";
    const BUSY: &'static str = "it is busy";

    fn law(&self) -> (&Law, &DeviceId) {
        (&self.law, &self.device)
    }
    async fn connect(&mut self) -> Result<Duration, End> {
        self.tell(Did::Tried);
        sleep(self.takes).await;
        self.attempts.pop_front().unwrap_or_else(|| Err(silent()))
    }
    async fn talk(&mut self, line: Duration, orders: &mut Orders<Asks>) -> End {
        drop(orders.take_waiting());
        let lasts = orders.stop().run_until_cancelled(sleep(line)).await.is_some();
        if lasts { End::lost("it broke") } else { End::Gone }
    }
    fn was_up(&self) -> bool {
        self.up
    }
    async fn refuse(&self, call: CallId, error: CallError) {
        self.tell(Did::Refused(call.0, error));
    }
    async fn tried(&self, call: CallId, outcome: Outcome) {
        self.tell(Did::Why(call.0, outcome));
    }
    async fn say(&mut self, state: State) {
        self.tell(Did::State(state));
    }
}

struct House {
    _dir: tempfile::TempDir,
    gate: Gate,
    hands: Hands<Asks>,
    device: DeviceId,
    heard: mpsc::UnboundedReceiver<(u64, Did)>,
    told: mpsc::UnboundedSender<(u64, Did)>,
    /// Whether the peer says yes on connections.
    up: bool,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (statement, signer) = example::parts();
        let gate = Gate::open(dir.path(), statement, signer).unwrap();
        let (told, heard) = mpsc::unbounded_channel();
        Self { _dir: dir, gate, hands: Hands::new(256), device: device_id("lab", "one"), heard, told, up: true }
    }

    fn agree(&self) -> Consent {
        let entry = EntryKey::new("example/hello").unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry, To::Any, Choice::Always, shown)).unwrap()
    }

    fn begin(&mut self, pace: Pace, failures: Option<Failures>, attempts: Vec<Result<Duration, End>>) {
        self.begin_slow(Duration::ZERO, pace, failures, attempts);
    }

    fn begin_slow(
        &mut self,
        takes: Duration,
        pace: Pace,
        failures: Option<Failures>,
        attempts: Vec<Result<Duration, End>>,
    ) {
        let fields = FieldSet::one(FieldCode::DeviceName);
        let law = Law::under(self.gate.bind("example"), "example", "hello", fields);
        let (device, attempts, told) = (self.device.clone(), attempts.into(), self.told.clone());
        let mut lab = Lab { law, device, attempts, takes, up: self.up, began: Instant::now(), told };
        let hand = |Place { orders, .. }| async move { stay(&mut lab, orders, pace, failures).await };
        self.hands.begin(&self.device, hand);
    }

    fn order(&self, order: Asks) {
        self.hands.get(&self.device).unwrap().try_send(order).unwrap();
    }

    /// When it is tried next. What else it does meanwhile.
    async fn attempt(&mut self) -> (u64, Vec<Did>) {
        let mut before = Vec::new();
        loop {
            match self.heard.recv().await.unwrap() {
                (at, Did::Tried) => return (at, before),
                (_, did) => before.push(did),
            }
        }
    }

    async fn attempts(&mut self, count: usize) -> Vec<u64> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.attempt().await.0);
        }
        all
    }

    async fn failures(&mut self) -> Failures {
        loop {
            if let (_, Did::State(State::Down(_, _, failures))) = self.heard.recv().await.unwrap() {
                return failures;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_before_the_owner_agrees_and_whoever_wants_something_is_told() {
    let mut house = House::new();
    house.begin(PACE, None, Vec::new());
    house.order(Asks::Call(CallId(1)));
    house.order(Asks::Why(CallId(2)));
    let (_, first) = house.heard.recv().await.unwrap();
    assert!(matches!(first, Did::Refused(1, CallError::NotConsented(_))), "{first:?}");
    let (_, second) = house.heard.recv().await.unwrap();
    assert!(matches!(&second, Did::Why(2, Outcome::Failed(why)) if why.contains("not agreed")), "{second:?}");
    house.agree();
    assert_eq!(house.attempt().await, (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_later_each_time_and_seldom_in_the_end_by_who_is_patient() {
    let mut house = House::new();
    house.agree();
    house.begin(PACE, None, Vec::new());
    assert_eq!(house.attempts(9).await, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    house.hands.let_go(&house.device);
    house.begin(Pace { patient: true, ..PACE }, None, vec![Err(End::Barred("go away".to_owned()))]);
    let pauses = house.attempts(3).await;
    assert_eq!(pauses, [0, 300, 600], "who is turned away asks seldom");
    house.hands.let_go(&house.device);
    house.begin(Pace { barred: 7, ..PACE }, None, vec![Err(End::Barred("go away".to_owned()))]);
    assert_eq!(house.attempts(3).await, [0, 60, 120], "or as if it had failed so often");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_wait_is_refused_and_has_it_tried_sooner() {
    let mut house = House::new();
    house.agree();
    house.begin(Pace { waits: false, ..PACE }, None, Vec::new());
    assert_eq!(house.attempts(6).await[5], 31);
    house.failures().await;
    house.order(Asks::Call(CallId(1)));
    house.order(Asks::Why(CallId(2)));
    let refused = Did::Refused(1, CallError::Unreachable("nobody".to_owned()));
    assert_eq!(house.heard.recv().await.unwrap(), (31, refused));
    assert_eq!(house.attempt().await, (33, Vec::new()));
    assert_eq!(house.heard.recv().await.unwrap(), (33, Did::Why(2, Outcome::Silent)), "who asks why waits");
}

#[tokio::test(start_paused = true)]
async fn an_announcement_or_a_wish_is_a_reason_to_try_sooner_but_not_at_once() {
    let mut house = House::new();
    house.agree();
    house.begin(PACE, None, Vec::new());
    assert_eq!(house.attempts(8).await[7], 123);
    house.failures().await;
    for _ in 0..100 {
        house.order(Asks::Announced);
    }
    assert_eq!(house.attempt().await.0, 138, "a quarter of a minute");
    house.failures().await;
    for number in 0..100 {
        house.order(Asks::Call(CallId(number)));
    }
    house.order(Asks::Why(CallId(100)));
    let (at, too_many) = house.attempt().await;
    assert_eq!((at, too_many.len()), (140, 36));
    assert_eq!(too_many[0], Did::Refused(64, CallError::Unreachable("it is busy".to_owned())));
    let mut all = Vec::new();
    for _ in 0..66 {
        all.push(house.heard.recv().await.unwrap().1);
    }
    assert_eq!(all[63], Did::Refused(63, CallError::Unreachable("nobody".to_owned())), "one attempt for all");
    assert_eq!(all[64], Did::Why(100, Outcome::Silent));
    assert!(matches!(all[65], Did::State(State::Down(..))));
}

#[tokio::test(start_paused = true)]
async fn failures_outlive_a_hand_and_a_steady_connection_ends_them() {
    let mut house = House::new();
    house.agree();
    house.begin(PACE, None, vec![Err(silent()), Err(silent()), Err(silent()), Err(silent()), Ok(STEADY)]);
    house.attempts(5).await;
    let fifth = house.failures().await;
    assert_eq!(fifth.count, 5, "a connection that was made and did not last is no success");
    house.hands.let_go(&house.device).unwrap().await.unwrap();
    house.begin(PACE, Some(fifth), vec![Ok(STEADY + Duration::from_secs(1))]);
    house.order(Asks::Announced);
    assert_eq!(house.attempt().await.0, 4, "a new hand is no reason to try at once");
    assert_eq!(house.failures().await.count, 1);
    house.hands.let_go(&house.device).unwrap().await.unwrap();
    house.up = false;
    house.begin(PACE, Some(fifth), vec![Ok(STEADY + Duration::from_secs(1))]);
    assert_eq!(house.failures().await.count, 6, "a peer that never said yes was none");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_took_long_and_came_to_nothing_is_no_success() {
    let mut house = House::new();
    house.agree();
    house.begin_slow(STEADY + Duration::from_secs(2), PACE, None, Vec::new());
    assert_eq!(house.attempts(4).await, [0, 13, 27, 43]);
}

#[tokio::test(start_paused = true)]
async fn what_denied_it_is_waited_for_and_who_does_not_take_us_is_left_alone() {
    let mut house = House::new();
    house.agree();
    house.begin(PACE, None, vec![Err(End::withdrawn()), Err(End::Refused("who are you?".to_owned()))]);
    house.attempt().await;
    assert_eq!(house.attempt().await, (2, vec![Did::State(State::Quiet)]));
    assert_eq!(house.heard.recv().await.unwrap().1, Did::State(State::Refused("who are you?".to_owned())));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    house.order(Asks::Call(CallId(1)));
    let refused = CallError::Refused("who are you?".to_owned());
    assert_eq!(house.heard.recv().await.unwrap(), (86_402, Did::Refused(1, refused)));
    house.hands.let_go(&house.device).unwrap().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_when_it_is_let_go_of_is_answered() {
    let mut house = House::new();
    house.agree();
    house.begin(PACE, None, Vec::new());
    house.attempt().await;
    house.failures().await;
    house.order(Asks::Call(CallId(1)));
    tokio::task::yield_now().await;
    house.order(Asks::Why(CallId(2)));
    house.hands.let_go(&house.device).unwrap().await.unwrap();
    let away = CallError::Unreachable("it is away".to_owned());
    assert_eq!(house.heard.recv().await.unwrap().1, Did::Refused(1, away));
    assert_eq!(house.heard.recv().await.unwrap().1, Did::Why(2, Outcome::Silent));

    let second = Duration::from_secs(1);
    house.begin_slow(Duration::MAX, PACE, None, Vec::new());
    house.attempt().await;
    let task = house.hands.let_go(&house.device).unwrap();
    tokio::time::timeout(second, task).await.expect("an attempt ends, too").unwrap();

    house.begin(PACE, None, vec![Ok(Duration::MAX)]);
    house.attempt().await;
    assert!(house.hands.end(second).await, "and a connection");
}
