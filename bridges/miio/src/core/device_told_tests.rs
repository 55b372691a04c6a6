use std::collections::BTreeSet;

use super::*;
use crate::core::gadget::{DID, Gadget, TOKEN};
use crate::core::models::shipped;
use crate::core::packet;

const HUB: Hub = Hub { number: 7, time: 1_700_000_000 };

/// A device's machine, and the device: what is said by both ways.
struct Lab {
    machine: Device,
    gadget: Gadget,
    now: Instant,
    begin: Instant,
    events: Vec<Event>,
    datagrams: usize,
    /// The numbers of what it was asked about subscriptions.
    numbers: Vec<u64>,
}

impl Lab {
    fn new(model: &str) -> Self {
        let now = Instant::now();
        let known = Known { token: Token::new(TOKEN), did: Some(DID), first: 1, most: None };
        let machine = Device::new(known, now);
        let mut lab =
            Self { machine, gadget: Gadget::new(), now, begin: now, events: vec![], datagrams: 0, numbers: vec![] };
        lab.passes(0);
        lab.machine.model(shipped(model), now);
        lab.passes(0);
        lab
    }

    fn telling() -> Self {
        let mut lab = Self::new("accord.light.lamp1");
        lab.machine.push(Some(HUB), lab.now);
        lab.passes(1);
        assert!(lab.machine.pushes());
        lab.events();
        lab.gadget.asked.clear();
        lab.datagrams = 0;
        lab
    }

    fn passes(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 200_000, "it goes round without end");
            match self.machine.poll_output() {
                Output::Event(event) => self.events.push(event),
                Output::Send(bytes) => {
                    self.datagrams += 1;
                    if let Some(answer) = self.gadget.hears(&bytes) {
                        self.machine.datagram(&answer, self.now);
                    }
                }
                Output::Push(bytes) => {
                    self.datagrams += 1;
                    if let Ok((_, plain)) = packet::open(&Token::new(TOKEN), &bytes) {
                        let said: Value = serde_json::from_slice(&plain).unwrap();
                        self.numbers.extend(said["id"].as_u64().filter(|_| said.get("method").is_some()));
                    }
                    if let Some(answer) = self.gadget.hears(&bytes) {
                        self.machine.pushed(&answer, self.now);
                    }
                }
                Output::Wait(wake) if wake > until => break,
                Output::Wait(wake) => {
                    self.at(wake.max(self.now));
                    self.machine.timeout(self.now);
                }
            }
        }
        self.at(until);
    }

    fn at(&mut self, now: Instant) {
        self.now = now;
        self.gadget.stamp = 1000 + u32::try_from(now.duration_since(self.begin).as_secs()).unwrap();
    }

    fn becomes(&mut self, piid: u64, value: Value) {
        if let Some(told) = self.gadget.becomes(piid, value) {
            self.hears(&told);
        }
    }

    fn hears(&mut self, told: &[u8]) {
        self.machine.pushed(told, self.now);
        self.passes(0);
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

fn light(name: &str, data: impl Into<Data>) -> Vec<(Target, BTreeMap<String, Data>)> {
    vec![(Target::new("light"), BTreeMap::from([(name.to_owned(), data.into())]))]
}

/// The last level that it was asked for and said.
fn level(events: &[Event]) -> Option<Data> {
    let of = |event: &Event| match event {
        Event::Values(all) => all.iter().find_map(|(_, values)| values.get("level").cloned()),
        _ => None,
    };
    events.iter().rev().find_map(of)
}

#[test]
fn what_it_tells_is_told_at_once_and_it_is_asked_once_a_minute() {
    let mut lab = Lab::telling();
    lab.becomes(2, json!(80));
    assert_eq!(lab.events(), [Event::Pushed(light("level", Data::Int(80)))]);
    lab.passes(600);
    let asked = lab.gadget.times("get_properties");
    assert!((9..=11).contains(&asked), "{asked} times in ten minutes");
    println!("ten minutes: {} datagrams to one that tells by itself", lab.datagrams);
    let mut silent = Lab::new("accord.light.lamp1");
    silent.gadget.asked.clear();
    silent.passes(600);
    assert!(silent.gadget.times("get_properties") >= 55);
    assert!(lab.datagrams < silent.datagrams, "{} {}", lab.datagrams, silent.datagrams);
    let events = lab.events();
    let is_fresh = |event: &Event| matches!(event, Event::Values(_));
    assert!(events.iter().filter(|event| is_fresh(event)).count() >= 9, "what is the same does not age: {events:?}");
    assert!(lab.machine.pushes());
}

#[test]
fn a_write_is_confirmed_by_what_it_tells() {
    let mut lab = Lab::telling();
    // This one says that it did it, and does it later.
    lab.machine.wanted(
        1,
        Wanted::Write(Target::new("light"), "level".into(), Data::Int(30)),
        lab.now + Duration::from_secs(15),
        lab.now,
    );
    lab.passes(0);
    lab.gadget.values.insert(2, json!(50));
    lab.passes(8);
    lab.events();
    lab.becomes(2, json!(30));
    assert_eq!(lab.events(), [Event::Pushed(light("level", Data::Int(30)))]);
    // What was told just now is not asked for once more.
    lab.machine.wanted(
        2,
        Wanted::Write(Target::new("light"), "level".into(), Data::Int(31)),
        lab.now + Duration::from_secs(15),
        lab.now,
    );
    lab.passes(0);
    lab.gadget.asked.clear();
    lab.becomes(2, json!(31));
    lab.passes(2);
    assert_eq!(lab.gadget.times("get_properties"), 0);
}

#[test]
fn only_properties_of_its_spec_are_taken() {
    let mut lab = Lab::telling();
    let told = lab.gadget.says(
        "properties_changed",
        &json!([
            {"siid": 2, "piid": 9, "value": 1}, {"siid": 7, "piid": 1, "value": "x"}, {"siid": 2, "piid": 2, "value": 900},
            {"siid": 2, "piid": 1, "value": "perhaps"}, {"siid": 2, "piid": 3, "value": 3500},
        ]),
    );
    lab.hears(&told);
    assert_eq!(lab.events(), [Event::Pushed(light("color-temperature", Data::Int(3500)))]);
    assert_eq!(lab.machine.state.natives.len(), 3);
}

#[test]
fn what_happens_in_a_service_has_it_looked_at_now_and_then() {
    let mut lab = Lab::telling();
    lab.passes(5);
    lab.gadget.asked.clear();
    lab.gadget.values.insert(2, json!(10));
    for _ in 0..100 {
        let told =
            lab.gadget.says("event_occured", &json!({"siid": 2, "eiid": 1, "arguments": [{"piid": 2, "value": 99}]}));
        lab.hears(&told);
        let none = lab.gadget.says("event_occured", &json!({"siid": 9, "eiid": 1}));
        lab.hears(&none);
    }
    let events = lab.events();
    assert_eq!(level(&events), Some(Data::Int(10)), "{events:?}");
    lab.passes(10);
    assert!((2..=3).contains(&lab.gadget.times("get_properties")));
    assert!(lab.machine.attention.is_empty());
}

#[test]
fn a_change_that_it_did_not_tell_is_found_and_it_is_asked_often_until_it_tells_again() {
    let mut lab = Lab::telling();
    lab.passes(65);
    lab.gadget.values.insert(2, json!(11));
    lab.gadget.code = -1;
    lab.events();
    lab.passes(61);
    assert_eq!(level(&lab.events()), Some(Data::Int(11)));
    assert!(!lab.machine.pushes());
    lab.gadget.asked.clear();
    lab.passes(600);
    assert!(lab.gadget.times("get_properties") >= 55, "as often as any other");
    lab.gadget.code = 0;
    lab.passes(3700);
    assert!(lab.machine.pushes(), "it is given another chance");
}

#[test]
fn one_that_falls_silent_is_asked_and_found_gone_and_told_to_again_when_it_is_back() {
    let mut lab = Lab::telling();
    lab.gadget.is_off = true;
    lab.passes(70);
    assert!(lab.events().iter().any(|event| matches!(event, Event::Down(Failure::Silent))));
    assert!(!lab.machine.pushes() && !lab.machine.can_push());
    lab.datagrams = 0;
    lab.passes(86_400);
    assert!(lab.datagrams < 1100, "{} datagrams in a day away", lab.datagrams);
    lab.gadget.is_off = false;
    lab.machine.look(lab.now);
    lab.passes(1);
    lab.machine.push(Some(HUB), lab.now);
    lab.passes(1);
    assert!(lab.machine.pushes());
    // Its owner does not want it any more.
    lab.machine.push(None, lab.now);
    let (times, of_their_own) = (lab.numbers.len(), BTreeSet::from_iter(lab.numbers.clone()));
    assert!(times >= 2 && of_their_own.len() == times, "an answer to an earlier question fits no later one: {times}");
    lab.gadget.asked.clear();
    lab.gadget.greetings.clear();
    lab.passes(600);
    assert!(lab.gadget.times("get_properties") >= 55);
    assert!(lab.gadget.greetings.iter().all(Option::is_none));
}

#[test]
fn one_that_knows_no_subscription_and_one_of_an_older_model_are_asked_as_ever() {
    let mut lab = Lab::new("accord.light.lamp1");
    lab.gadget.offers = false;
    lab.machine.push(Some(HUB), lab.now);
    lab.gadget.asked.clear();
    lab.passes(600);
    assert!(lab.gadget.times("get_properties") >= 55);
    assert_eq!(lab.gadget.greetings.iter().flatten().count(), 1);
    let mut old = Lab::new("philips.light.bulb");
    old.machine.push(Some(HUB), old.now);
    old.passes(100);
    assert_eq!(old.gadget.greetings.iter().flatten().count(), 0, "it is never named to it");
}

#[test]
fn a_hub_that_leaves_says_so_to_one_that_tells() {
    let mut lab = Lab::telling();
    let last = lab.machine.leave(lab.now).unwrap();
    lab.gadget.hears(&last);
    assert_eq!((lab.gadget.tells, lab.machine.leave(lab.now)), (None, None));
}
