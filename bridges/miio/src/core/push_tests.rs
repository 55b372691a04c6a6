use super::*;
use crate::core::gadget::{DID, Gadget, TOKEN};

const HUB: Hub = Hub { number: 0x0102_0304_0506_0708, time: 1_700_000_000 };

/// A subscription and the device at its other end.
struct Lab {
    push: Push,
    gadget: Gadget,
    now: Instant,
    begin: Instant,
    said: Vec<Output>,
    sent: Vec<Vec<u8>>,
}

impl Lab {
    fn new() -> Self {
        let now = Instant::now();
        let gadget = Gadget::new();
        let push = Push::new(Token::new(TOKEN), DID, HUB, 41, (gadget.stamp, now), now);
        Self { push, gadget, now, begin: now, said: Vec::new(), sent: Vec::new() }
    }

    fn subscribed() -> Self {
        let mut lab = Self::new();
        lab.passes(0);
        assert_eq!(lab.said(), [Output::Is(true)]);
        lab
    }

    fn drain(&mut self) {
        while let Some(output) = self.push.poll_output() {
            match output {
                Output::Send(bytes) => {
                    self.sent.push(bytes.clone());
                    if let Some(answer) = self.gadget.hears(&bytes) {
                        self.push.datagram(&answer, self.now);
                    }
                }
                other => self.said.push(other),
            }
        }
    }

    fn passes(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        loop {
            self.drain();
            if self.push.wake() > until {
                break;
            }
            self.at(self.push.wake().max(self.now));
            self.push.timeout(self.now);
        }
        self.at(until);
    }

    fn at(&mut self, now: Instant) {
        self.now = now;
        self.gadget.stamp = 1000 + u32::try_from(now.duration_since(self.begin).as_secs()).unwrap();
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.push.datagram(bytes, self.now);
        self.drain();
    }

    fn said(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.said)
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sent)
    }

    fn sealed(&self, did: u64, stamp: u32, text: &Value) -> Vec<u8> {
        packet::seal(&Token::new(TOKEN), Head { did, stamp }, text.to_string().as_bytes()).unwrap()
    }
}

fn level(level: u64) -> Output {
    Output::Changed(vec![(At::new(2, 2), json!(level))])
}

fn changed(id: Value, level: u64) -> Value {
    json!({"id": id, "method": "properties_changed", "params": [{"siid": 2, "piid": 2, "value": level}]})
}

fn plain(bytes: &[u8]) -> Value {
    serde_json::from_slice(&packet::open(&Token::new(TOKEN), bytes).unwrap().1).unwrap()
}

#[test]
fn it_is_greeted_asked_once_heard_and_left() {
    let mut lab = Lab::subscribed();
    let sent = lab.sent();
    assert_eq!(sent[0], packet::hello_of(HUB.number));
    let params = json!({"version": "2.0", "did": "72623859790382856", "update_ts": 1_700_000_000, "sub_method": "."});
    assert_eq!(plain(&sent[1]), json!({"id": 41, "method": "miIO.sub", "params": params}));
    assert_eq!(sent.len(), 2);
    let told = lab.gadget.becomes(2, json!(20)).unwrap();
    lab.hears(&told);
    assert_eq!(lab.said(), [level(20)]);
    assert_eq!(lab.gadget.answered, [701]);
    let last = lab.push.leave(lab.now).unwrap();
    assert_eq!(plain(&last)["params"], params);
    assert_eq!(plain(&last)["method"], "miIO.unsub");
    lab.gadget.hears(&last);
    assert_eq!((lab.gadget.tells, lab.push.leave(lab.now)), (None, None));
    lab.hears(&told);
    assert_eq!(lab.said(), [], "who left hears nothing");
}

#[test]
fn one_that_offers_nothing_or_refuses_is_left_alone_for_an_hour() {
    for (offers, code, datagrams) in [(false, 0, 1), (true, -10, 2)] {
        let mut lab = Lab::new();
        (lab.gadget.offers, lab.gadget.code) = (offers, code);
        lab.passes(3500);
        assert_eq!((lab.sent().len(), lab.said()), (datagrams, vec![]), "{code}");
        (lab.gadget.offers, lab.gadget.code) = (true, 0);
        lab.passes(200);
        assert!(lab.push.is_on(), "a new firmware is found");
    }
}

#[test]
fn one_that_answers_nothing_is_asked_more_and_more_rarely() {
    let mut lab = Lab::new();
    lab.gadget.is_off = true;
    lab.passes(86_400);
    let sent = lab.sent().len();
    assert!((60..120).contains(&sent), "{sent} datagrams in a day");
    lab.gadget.is_off = false;
    lab.passes(3700);
    assert!(lab.push.is_on());
}

#[test]
fn it_is_kept_renewed_and_asked_for_again_when_the_device_forgot_it() {
    let mut lab = Lab::subscribed();
    lab.sent();
    lab.passes(100);
    let greetings = lab.sent();
    assert_eq!(greetings.len(), 4, "one after each 25 seconds of silence");
    assert!(greetings.iter().all(|bytes| bytes.len() == HEADER));
    lab.gadget.asked.clear();
    lab.passes(450);
    assert_eq!(lab.gadget.tells, Some((HUB.number, HUB.time + 300)), "renewed");
    assert_eq!((lab.gadget.times("miIO.sub"), lab.said()), (1, vec![]));
    lab.gadget.tells = None;
    lab.passes(40);
    assert_eq!(lab.said(), [Output::Is(false), Output::Is(true)]);
    assert!(lab.gadget.tells.is_some());
    // It forgets it over and over, as one does that reads the time otherwise.
    lab.gadget.asked.clear();
    for _ in 0..3600 {
        lab.gadget.tells = lab.gadget.tells.map(|(hub, _)| (hub, 5));
        lab.passes(1);
    }
    let times = lab.gadget.times("miIO.sub");
    assert!((3..20).contains(&times), "{times} in an hour");
}

#[test]
fn silence_ends_it_within_a_minute() {
    let mut lab = Lab::subscribed();
    lab.gadget.is_off = true;
    lab.passes(39);
    assert_eq!(lab.said(), []);
    lab.passes(2);
    assert_eq!(lab.said(), [Output::Is(false)]);
    lab.gadget.is_off = false;
    lab.passes(20);
    assert_eq!(lab.said(), [Output::Is(true)]);
}

#[test]
fn a_change_that_was_not_told_is_asked_about_and_the_third_one_ends_it_for_long() {
    let mut lab = Lab::subscribed();
    for _ in 0..2 {
        lab.push.missed(lab.now);
        lab.passes(15);
        assert_eq!(lab.said(), [Output::Is(false), Output::Is(true)]);
    }
    let told = lab.gadget.becomes(2, json!(1)).unwrap();
    lab.hears(&told);
    lab.push.missed(lab.now);
    lab.passes(15);
    assert_eq!(lab.said(), [level(1), Output::Is(false), Output::Is(true)], "what it told counts");
    for _ in 0..2 {
        lab.push.missed(lab.now);
        lab.passes(15);
    }
    assert!(!lab.push.is_on());
    lab.sent();
    lab.passes(3500);
    assert_eq!(lab.sent().len(), 0);
    lab.passes(200);
    assert!(lab.push.is_on());
}

#[test]
fn a_repetition_is_answered_a_few_times_and_taken_once() {
    let mut lab = Lab::subscribed();
    let told = lab.gadget.becomes(2, json!(20)).unwrap();
    for _ in 0..50 {
        lab.hears(&told);
    }
    assert_eq!(lab.said(), [level(20)]);
    assert_eq!(lab.gadget.answered, [701; 3]);
    // Whoever recorded it has no use for it later.
    let mut taken = 0;
    for _ in 0..200 {
        lab.passes(1);
        lab.hears(&told);
        taken += lab.said().len();
    }
    assert_eq!(taken, 0);
}

#[test]
fn what_was_held_back_does_not_undo_what_came_after_it() {
    let mut lab = Lab::subscribed();
    let old = lab.gadget.becomes(2, json!(1)).unwrap();
    lab.passes(5);
    let new = lab.gadget.becomes(2, json!(2)).unwrap();
    lab.hears(&new);
    lab.hears(&old);
    assert_eq!(lab.said(), [level(2)]);
    let late = lab.sealed(DID, lab.gadget.stamp + 60, &changed(json!(9), 3));
    let early = lab.sealed(DID, 3, &changed(json!(10), 3));
    lab.hears(&late);
    lab.hears(&early);
    assert_eq!(lab.said(), [], "another clock than the device's");
}

#[test]
fn what_is_forged_odd_or_of_another_device_is_passed_over() {
    let mut lab = Lab::subscribed();
    let stamp = lab.gadget.stamp;
    lab.sent();
    let text = changed(json!(9), 3).to_string();
    let forged = packet::seal(&Token::new([0; 16]), Head { did: DID, stamp }, text.as_bytes()).unwrap();
    lab.hears(&forged);
    let mut cut = lab.sealed(DID, stamp, &changed(json!(9), 3));
    cut.pop();
    lab.hears(&cut);
    for (did, said) in [
        (DID + 1, changed(json!(9), 3)),
        (DID, changed(json!("9"), 3)),
        (DID, changed(json!(-9), 3)),
        (DID, changed(json!(1.5), 3)),
        (DID, changed(json!(MAX_ID + 1), 3)),
        (DID, json!({"method": "properties_changed", "params": []})),
        (DID, json!([])),
        (DID, json!("x")),
    ] {
        let bytes = lab.sealed(did, stamp, &said);
        lab.hears(&bytes);
        assert_eq!((lab.said(), lab.sent().len()), (vec![], 0), "{said}");
    }
    // What has a number is answered, and what makes no sense in it is passed over.
    let params = [
        json!(null),
        json!({"siid": 2}),
        json!([1, "x", null, {}]),
        json!([{"siid": 2, "piid": 2}, {"siid": 70000, "piid": 2, "value": 1}, {"siid": -1, "piid": 2, "value": 1}]),
        json!([{"did": "9", "siid": 2, "piid": 2, "value": 1}]),
    ];
    for (id, params) in (20..).zip(params) {
        let said = json!({"id": id, "method": "properties_changed", "params": params});
        let bytes = lab.sealed(DID, stamp, &said);
        lab.hears(&bytes);
        assert_eq!((lab.said(), lab.sent().len()), (vec![], 1), "{said}");
    }
    let many: Vec<Value> = (0..500).map(|piid| json!({"siid": 3, "piid": piid, "value": 1})).collect();
    let bytes = lab.sealed(DID, stamp, &json!({"id": 30, "method": "properties_changed", "params": many}));
    lab.hears(&bytes);
    assert!(matches!(&lab.said()[..], [Output::Changed(values)] if values.len() == MOST_ITEMS));
    for (id, params) in [(31, json!({"siid": 2, "eiid": 1})), (32, json!([{"did": DID, "siid": 2, "eiid": 1}]))] {
        let bytes = lab.sealed(DID, stamp, &json!({"id": id, "method": "event_occured", "params": params}));
        lab.hears(&bytes);
        assert_eq!(lab.said(), [Output::Happened(2)]);
    }
}

#[test]
fn a_flood_is_bounded_and_said() {
    let mut lab = Lab::subscribed();
    lab.sent();
    let stamp = lab.gadget.stamp;
    for id in 1000..3000 {
        let bytes = lab.sealed(DID, stamp, &changed(json!(id), id % 100));
        lab.hears(&bytes);
    }
    let said = lab.said();
    assert_eq!(said.iter().filter(|one| matches!(one, Output::Changed(_))).count(), MOST);
    assert_eq!(said.iter().filter(|one| **one == Output::Flood).count(), 1);
    assert_eq!((lab.sent().len(), lab.push.seen.len()), (MOST, MOST));
    lab.passes(31);
    let told = lab.gadget.becomes(2, json!(7)).unwrap();
    lab.hears(&told);
    assert_eq!(lab.said(), [level(7)], "it is heard again");
}

#[test]
fn greetings_that_nobody_asked_for_change_nothing() {
    let mut lab = Lab::subscribed();
    let mut none = packet::hello();
    none[4..12].copy_from_slice(&DID.to_be_bytes());
    let mut other = lab.sent()[0].clone();
    other[4..12].copy_from_slice(&(DID + 1).to_be_bytes());
    for _ in 0..100 {
        lab.passes(1);
        lab.hears(&none);
        lab.hears(&other);
    }
    assert_eq!(lab.said(), []);
}
