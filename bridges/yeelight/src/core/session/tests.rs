use std::time::Duration;

use accord_model::Data;
use serde_json::{Value, json};

use super::machine::{ANSWERS_WITHIN, LOOK_EVERY, SAYS_WITHIN};
use super::*;
use crate::core::advert::tests::COLOR;
use crate::core::quota::Quota;
use crate::core::state::State;

const SECOND: Duration = Duration::from_secs(1);

/// A session with a lamp that the test plays.
struct Lab {
    session: Session,
    now: Instant,
    sent: Vec<(u64, String, Vec<Value>)>,
    events: Vec<Event>,
    wake: Instant,
}

impl Lab {
    fn new() -> Self {
        let mut state = State::default();
        for (word, value) in
            [("power", "off"), ("bright", "50"), ("color_mode", "2"), ("ct", "4000"), ("hue", "10"), ("sat", "20")]
        {
            state.take(word, value);
        }
        let now = Instant::now();
        let abilities = Abilities::of("color", COLOR, &state);
        let session = Session::new(abilities, state, Quota::default(), now);
        let mut lab = Self { session, now, sent: Vec::new(), events: Vec::new(), wake: now };
        lab.pump();
        let (id, method, params) = lab.sent.remove(0);
        assert_eq!(method, "get_prop");
        let words = params.iter().map(|word| match word.as_str().unwrap() {
            "power" => json!("off"),
            "bright" => json!("50"),
            "color_mode" => json!("2"),
            "ct" => json!("4000"),
            _ => json!(""),
        });
        let words: Vec<Value> = words.collect();
        lab.says(&json!({ "id": id, "result": words }));
        assert_eq!(lab.events.remove(0), Event::Ready);
        assert!(matches!(lab.events.remove(0), Event::Said { pushed: false, .. }));
        lab
    }

    fn pump(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Send(bytes) => {
                    let line: Value = serde_json::from_slice(&bytes).unwrap();
                    let params = line["params"].as_array().unwrap().clone();
                    self.sent.push((line["id"].as_u64().unwrap(), line["method"].as_str().unwrap().into(), params));
                }
                Output::Event(event) => self.events.push(event),
                Output::Wait(wake) => break self.wake = wake,
            }
        }
    }

    fn says(&mut self, line: &Value) {
        let bytes = format!("{line}\r\n");
        self.session.handle(Input::Bytes(bytes.as_bytes()), self.now);
        self.pump();
    }

    fn want(&mut self, call: u64, wanted: Wanted) {
        self.session.handle(Input::Wanted(call, wanted), self.now);
        self.pump();
    }

    /// The only command that is on its way; it is answered well.
    fn takes(&mut self) -> (String, Vec<Value>) {
        assert_eq!(self.sent.len(), 1, "one at a time: {:?}", self.sent);
        let (id, method, params) = self.sent.remove(0);
        self.says(&json!({ "id": id, "result": ["ok"] }));
        (method, params)
    }

    fn later(&mut self, by: Duration) {
        self.now += by;
        self.session.handle(Input::Timeout, self.now);
        self.pump();
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

fn done(call: u64) -> Event {
    Event::Done(call, Ok(()))
}

fn said(pushed: bool, property: &'static str, data: Data) -> Event {
    Event::Said { pushed, said: vec![Said { service: "light", instance: 0, property, data }] }
}

#[test]
fn a_lamp_that_is_off_is_lit_before_it_is_set() {
    let mut lab = Lab::new();
    lab.want(1, Wanted::Level(Part::Main, 30));
    let smooth = |first: Value| vec![first, json!("smooth"), json!(300)];
    assert_eq!(lab.takes(), ("set_power".into(), smooth(json!("on"))));
    assert_eq!(lab.events(), [], "not before both were taken");
    assert_eq!(lab.takes(), ("set_bright".into(), smooth(json!(30))));
    assert_eq!(lab.events(), [done(1)]);
    lab.says(&json!({ "method": "props", "params": { "power": "on" } }));
    lab.says(&json!({ "method": "props", "params": { "bright": "30" } }));
    assert_eq!(lab.events(), [said(true, "on", Data::Bool(true)), said(true, "level", Data::Int(30))]);
    lab.later(SAYS_WITHIN * 2);
    assert_eq!(lab.sent, [], "it said it by itself");
    lab.want(2, Wanted::Level(Part::Main, 40));
    assert_eq!(lab.takes().0, "set_bright", "it is lit");
}

#[test]
fn what_it_does_not_say_by_itself_it_is_asked() {
    let mut lab = Lab::new();
    lab.want(1, Wanted::On(Part::Main, false));
    lab.takes();
    assert_eq!(lab.events(), [done(1)], "it took it, which is not yet that it is so");
    assert_eq!(lab.wake, lab.now + SAYS_WITHIN);
    lab.later(SAYS_WITHIN);
    let (id, method, params) = lab.sent.remove(0);
    assert_eq!((method.as_str(), &params[0]), ("get_prop", &json!("power")));
    lab.says(&json!({ "id": id, "result": ["off"] }));
    assert_eq!(lab.events(), [said(false, "on", Data::Bool(false))]);
}

#[test]
fn hue_and_saturation_that_are_wanted_one_after_the_other_are_one_colour() {
    let mut lab = Lab::new();
    lab.says(&json!({ "method": "props", "params": { "power": "on" } }));
    lab.want(1, Wanted::Hue(Part::Main, 200));
    lab.want(2, Wanted::Saturation(Part::Main, 70));
    let color = |lab: &mut Lab| {
        let (method, params) = lab.takes();
        assert_eq!(method, "set_hsv");
        (params[0].as_i64().unwrap(), params[1].as_i64().unwrap())
    };
    assert_eq!(color(&mut lab), (200, 100), "white before: as colourful as can be");
    assert_eq!(color(&mut lab), (200, 70));
    let now = json!({ "method": "props", "params": { "hue": 200, "sat": 70, "color_mode": 3 } });
    lab.says(&now);
    lab.want(3, Wanted::Hue(Part::Main, 10));
    assert_eq!(color(&mut lab), (10, 70));
}

#[test]
fn what_the_app_makes_of_the_ambient_light_is_what_its_saturation_is_set_beside() {
    let mut lab = Lab::new();
    lab.want(1, Wanted::Hue(Part::Ambient, 200));
    let color = |lab: &mut Lab| {
        let (method, params) = lab.takes();
        assert_eq!(method, "bg_set_hsv");
        (params[0].as_i64().unwrap(), params[1].as_i64().unwrap())
    };
    assert_eq!(color(&mut lab), (200, 100));
    lab.want(2, Wanted::Hue(Part::Main, 50));
    assert_eq!(lab.takes().0, "set_power");
    lab.takes();
    let now = json!({ "method": "props", "params": { "bg_hue": 30, "bg_sat": 80, "bg_lmode": 3 } });
    lab.says(&now);
    lab.want(3, Wanted::Saturation(Part::Ambient, 60));
    assert_eq!(color(&mut lab), (30, 60));
    // Of the other light it said nothing.
    lab.want(4, Wanted::Saturation(Part::Main, 60));
    let sent = lab.sent.last().unwrap().clone();
    assert_eq!((sent.1.as_str(), &sent.2[0]), ("set_power", &json!("on")));
    lab.takes();
    assert_eq!(lab.takes().1[..2], [json!(50), json!(60)]);
}

#[test]
fn what_is_drawn_to_and_fro_is_sent_once_the_lamp_has_taken_the_one_before() {
    let mut lab = Lab::new();
    lab.says(&json!({ "method": "props", "params": { "power": "on" } }));
    lab.events();
    (1..=50).for_each(|level| lab.want(level, Wanted::Level(Part::Main, level as u8)));
    assert_eq!(lab.takes().1[0], 1);
    assert_eq!(lab.takes().1[0], 50, "those between are needless");
    let events = lab.events();
    assert_eq!((events.len(), &events[0], &events[1]), (50, &done(1), &done(50)));
    // Off is off, whatever was drawn before.
    (51..=53).for_each(|call| lab.want(call, Wanted::Level(Part::Main, 60)));
    lab.want(54, Wanted::On(Part::Main, false));
    assert_eq!(lab.takes().0, "set_bright");
    assert_eq!(lab.takes().0, "set_power");
    assert_eq!((lab.sent.len(), lab.events().len()), (0, 4));
    (100..117).for_each(|call| lab.want(call, Wanted::Toggle(Part::Main)));
    lab.want(200, Wanted::Toggle(Part::Main));
    assert!(lab.events().contains(&Event::Done(200, Err(Trouble::Busy))), "what waits is bounded");
}

#[test]
fn beyond_the_quota_nothing_is_sent_and_that_is_said() {
    let mut lab = Lab::new();
    let mut told = None;
    for call in 0..70 {
        lab.want(call, Wanted::Toggle(Part::Main));
        if lab.sent.is_empty() {
            told.get_or_insert(call);
        } else {
            lab.takes();
            lab.says(&json!({ "method": "props", "params": { "power": if call % 2 == 0 { "on" } else { "off" } } }));
        }
    }
    assert_eq!(told, Some(59), "with the question at the beginning that is 60");
    let refused = lab.events().into_iter().find_map(|event| match event {
        Event::Done(59, Err(trouble)) => Some(trouble.to_string()),
        _ => None,
    });
    assert_eq!(
        refused.as_deref(),
        Some("the lamp takes 60 commands a minute from one program and 144 from all; try again in 60 s")
    );
    lab.later(61 * SECOND);
    lab.sent.clear();
    lab.events();
    assert!(lab.session.quota().clone().wait(crate::core::quota::Sort::Pressing, lab.now).is_zero());
}

#[test]
fn it_is_asked_now_and_then_whether_it_is_there_and_its_silence_ends_the_connection() {
    let mut lab = Lab::new();
    assert_eq!(lab.wake, lab.now + LOOK_EVERY);
    lab.later(LOOK_EVERY);
    let (id, ..) = lab.sent.remove(0);
    lab.says(&json!({ "id": id + 7, "result": ["off"] }));
    lab.says(&json!({ "id": id, "result": ["off", "", "51"] }));
    assert_eq!(lab.events().len(), 1, "an answer to nothing is none");
    lab.session.handle(Input::Doubt, lab.now);
    lab.session.handle(Input::Doubt, lab.now);
    lab.pump();
    assert_eq!(lab.sent.len(), 1, "somebody else's word does not make it be asked all the time");
    lab.later(ANSWERS_WITHIN);
    assert!(matches!(&lab.events()[..], [Event::Over(why)] if why.contains("did not answer within 4 s")));
    lab.want(9, Wanted::Look);
    assert_eq!(lab.sent.len(), 1, "it is over");
}

#[test]
fn what_it_refuses_is_said_in_its_words() {
    let mut lab = Lab::new();
    lab.want(1, Wanted::SetDefault);
    let (id, ..) = lab.sent.remove(0);
    lab.says(&json!({ "id": id, "error": { "code": -1, "message": "unsupported\u{1b} method" } }));
    lab.want(2, Wanted::SetDefault);
    let (id, ..) = lab.sent.remove(0);
    lab.says(&json!({ "id": id, "error": { "code": -1, "message": "client quota exceeded" } }));
    let events = lab.events();
    assert!(
        matches!(&events[0], Event::Done(1, Err(trouble)) if trouble.to_string() == "it refused `set_default` (-1): unsupported\u{FFFD} method")
    );
    assert_eq!(events[1], Event::Done(2, Err(Trouble::ItsQuota)));
    lab.session.handle(Input::Bytes(b"HTTP/1.1 400 Bad Request\r\n"), lab.now);
    lab.pump();
    assert!(matches!(&lab.events()[..], [Event::Over(why)] if why.contains("no lamp sends")));
}

#[test]
fn moonlight_and_the_sleep_timer() {
    let mut lab = Lab::new();
    lab.says(&json!({ "method": "props", "params": { "active_mode": 1, "nl_br": 5, "power": "on" } }));
    let events = lab.events();
    assert!(matches!(&events[0], Event::Abilities(abilities) if abilities.moonlight));
    lab.want(1, Wanted::Moonlight(false));
    assert_eq!(lab.takes(), ("set_power".into(), vec![json!("on"), json!("smooth"), json!(300), json!(1)]));
    lab.want(2, Wanted::SleepTimer(15));
    assert_eq!(lab.takes(), ("cron_add".into(), vec![json!(0), json!(15)]));
    lab.want(3, Wanted::SleepTimer(0));
    assert_eq!(lab.takes(), ("cron_del".into(), vec![json!(0)]));
}

#[test]
fn what_is_given_up_is_not_begun() {
    let mut lab = Lab::new();
    let give_up = |lab: &mut Lab, call| {
        lab.session.handle(Input::GivenUp(call), lab.now);
        lab.pump();
        std::mem::take(&mut lab.events)
    };
    lab.want(1, Wanted::On(Part::Main, true));
    lab.want(2, Wanted::Level(Part::Main, 30));
    lab.want(3, Wanted::Moonlight(true));
    assert_eq!(give_up(&mut lab, 1), [], "it is on its way");
    assert_eq!(give_up(&mut lab, 2), [Event::Done(2, Err(Trouble::Late))]);
    assert_eq!(lab.takes().0, "set_power");
    lab.events.clear();
    let (_, params) = lab.takes();
    assert!(!params.contains(&json!(30)), "{params:?}");
    assert!(!lab.sent.iter().any(|(_, method, _)| method == "set_bright"));
}
