use super::*;
use crate::core::models::shipped;
use crate::core::packet::{HEADER, Head, hello, open, seal};
use accord_model::Inputs;

const TOKEN: [u8; 16] = [7; 16];
const DID: u64 = 77;

/// A device of one of our specs, and the machine that speaks with it.
struct Lab {
    machine: Device,
    now: Instant,
    values: BTreeMap<(u64, u64), Value>,
    /// It answers no question with more properties than these.
    most: usize,
    is_on: bool,
    /// It answers greetings, and no question.
    is_deaf: bool,
    /// Methods that it refuses, and with which number.
    errors: BTreeMap<&'static str, i64>,
    /// With which number it refuses each property of MIoT.
    code: Option<i64>,
    asked: Vec<(String, Value)>,
    /// Datagrams that were sent to it.
    sent: u32,
    events: Vec<Event>,
}

impl Lab {
    fn new(model: &str) -> Self {
        let now = Instant::now();
        let known = Known { token: Token::new(TOKEN), did: Some(DID), first: 1, most: None };
        let machine = Device::new(known, now);
        let mut lab = Self {
            machine,
            now,
            values: BTreeMap::new(),
            most: 99,
            is_on: true,
            is_deaf: false,
            errors: BTreeMap::new(),
            code: None,
            asked: vec![],
            sent: 0,
            events: vec![],
        };
        for (siid, piid, value) in [(2, 1, json!(true)), (2, 2, json!(50)), (2, 3, json!(4000))] {
            lab.values.insert((siid, piid), value);
        }
        lab.machine.look(now);
        lab.run();
        lab.machine.model(shipped(model), lab.now);
        lab.run();
        lab
    }

    /// Lets both speak until the machine waits.
    fn run(&mut self) {
        loop {
            match self.machine.poll_output() {
                Output::Wait(_) => return,
                Output::Event(event) => self.events.push(event),
                Output::Push(_) => panic!("it is told nothing of what it may tell"),
                Output::Send(bytes) if bytes.len() == HEADER => {
                    self.sent += 1;
                    let mut answer = hello();
                    answer[4..12].copy_from_slice(&DID.to_be_bytes());
                    if self.is_on {
                        self.machine.datagram(&answer, self.now);
                    }
                }
                Output::Send(bytes) => {
                    self.sent += 1;
                    let plain = open(&Token::new(TOKEN), &bytes).unwrap().1;
                    let question: Value = serde_json::from_slice(&plain).unwrap();
                    let method = question["method"].as_str().unwrap();
                    let result =
                        if self.is_on && !self.is_deaf { self.answer(method, &question["params"]) } else { None };
                    self.asked.push((question["method"].as_str().unwrap().to_owned(), question["params"].clone()));
                    if let Some(mut answer) = result {
                        answer["id"] = question["id"].clone();
                        let sealed =
                            seal(&Token::new(TOKEN), Head { did: DID, stamp: 9 }, answer.to_string().as_bytes());
                        self.machine.datagram(&sealed.unwrap(), self.now);
                    }
                }
            }
        }
    }

    fn answer(&mut self, method: &str, params: &Value) -> Option<Value> {
        if let Some(code) = self.errors.get(method) {
            return Some(json!({"error": {"code": code, "message": "error"}}));
        }
        let key = |item: &Value| Some((item["siid"].as_u64()?, item["piid"].as_u64()?));
        Some(match method {
            "miIO.info" => {
                json!({"result": {"model": "lab.x.y", "fw_ver": "1", "mac": "AA:BB:CC:DD:EE:FF", "ap": {"ssid": "geheim"}}})
            }
            "get_properties" => {
                let items = params.as_array().unwrap();
                if items.len() > self.most {
                    return None;
                }
                let one = |item: &Value| match self.values.get(&key(item).unwrap()) {
                    _ if self.code.is_some() => {
                        json!({"did": "77", "siid": item["siid"], "piid": item["piid"], "code": self.code})
                    }
                    Some(value) => {
                        json!({"did": "77", "siid": item["siid"], "piid": item["piid"], "code": 0, "value": value})
                    }
                    None => json!({"did": "77", "siid": item["siid"], "piid": item["piid"], "code": -4003}),
                };
                json!({"result": items.iter().map(one).collect::<Vec<_>>()})
            }
            "set_properties" => {
                for item in params.as_array().unwrap() {
                    self.values.insert(key(item).unwrap(), item["value"].clone());
                }
                json!({"result": 0})
            }
            "get_status" => json!({"result": [{"state": 8, "error_code": 0, "fan_power": 102, "battery": 87}]}),
            "action" | "app_start" => json!({"result": ["ok"]}),
            _ => json!({"error": {"code": -32601, "message": "?"}}),
        })
    }

    /// No property is refused.
    fn has_everything(&mut self) {
        let all = (2..16).flat_map(|siid| (1..16).map(move |piid| ((siid, piid), json!(1))));
        self.values.extend(all);
    }

    fn passes(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        loop {
            self.run();
            let Output::Wait(wake) = self.machine.poll_output() else { continue };
            if wake > until {
                break;
            }
            self.now = wake.max(self.now);
            self.machine.timeout(self.now);
        }
        self.now = until;
    }

    fn wanted(&mut self, call: u64, wanted: Wanted) {
        self.machine.wanted(call, wanted, self.now + Duration::from_secs(15), self.now);
        self.run();
    }

    /// What happened since the last time.
    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn asked(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.asked)
    }
}

fn said(events: &[Event], service: &str, property: &str) -> Option<Data> {
    let of = |event: &Event| match event {
        Event::Values(all) => all
            .iter()
            .find(|(target, _)| target.service == service)
            .and_then(|(_, values)| values.get(property).cloned()),
        _ => None,
    };
    events.iter().rev().find_map(of)
}

#[test]
fn a_device_says_what_it_is_and_how_it_is_and_no_more_than_that() {
    let mut lab = Lab::new("accord.light.lamp1");
    let events = lab.events();
    let info = Info { model: "lab.x.y".into(), mac: Some("AA:BB:CC:DD:EE:FF".into()), version: Some("1".into()) };
    assert_eq!(events[0], Event::Is(info));
    assert_eq!(said(&events, "light", "level"), Some(Data::Int(50)));
    assert!(!format!("{events:?}").contains("geheim"));
    lab.passes(30_000);
    assert_eq!(lab.events(), [], "what is the same is not told over and over");
    lab.passes(40_000);
    assert_eq!(said(&lab.events(), "light", "on"), Some(true.into()), "but now and then, so that it does not age");
    lab.values.insert((2, 2), json!(80));
    lab.passes(11_000);
    assert_eq!(said(&lab.events(), "light", "level"), Some(Data::Int(80)), "changed from its own side");
}

#[test]
fn what_is_written_is_told_only_when_the_device_says_so() {
    let mut lab = Lab::new("accord.light.lamp1");
    lab.events();
    lab.asked();
    lab.wanted(1, Wanted::Write(Target::new("light"), "level".into(), Data::Int(30)));
    let asked = lab.asked();
    assert_eq!(asked[0], ("set_properties".into(), json!([{"did": "77", "siid": 2, "piid": 2, "value": 30}])));
    assert_eq!(asked[1].0, "get_properties", "it is looked at at once");
    let events = lab.events();
    assert_eq!(events[0], Event::Done(1, Ok(Outputs::new())));
    assert_eq!(said(&events, "light", "level"), Some(Data::Int(30)));
    // The same again: its confirmation is told too.
    lab.wanted(2, Wanted::Write(Target::new("light"), "level".into(), Data::Int(30)));
    assert_eq!(said(&lab.events(), "light", "level"), Some(Data::Int(30)));
    lab.wanted(3, Wanted::Act(Target::new("light"), "toggle".into(), Inputs::new()));
    assert_eq!(lab.asked().iter().filter(|(method, _)| method == "action").count(), 1);
    lab.wanted(4, Wanted::Write(Target::new("light"), "hue".into(), Data::Int(30)));
    let events = lab.events();
    assert!(matches!(events.last(), Some(Event::Done(4, Err(Trouble::Call(CallError::Unsupported(_)))))), "{events:?}");
    lab.wanted(5, Wanted::Read(Target::new("light"), vec!["on".into()]));
    let events = lab.events();
    assert_eq!(events.last(), Some(&Event::Done(5, Ok(Outputs::from([("on".into(), true.into())])))));
}

#[test]
fn a_day_away_is_few_datagrams_and_nothing_grows_or_is_done_late() {
    let mut lab = Lab::new("accord.light.lamp1");
    lab.events();
    lab.is_on = false;
    lab.wanted(1, Wanted::Write(Target::new("light"), "on".into(), true.into()));
    lab.passes(15_000);
    assert!(lab.events().iter().any(|event| matches!(event, Event::Done(1, Err(_)))), "whoever wanted it knows");
    lab.sent = 0;
    for _ in 0..24 {
        lab.passes(3_600_000);
    }
    let (downs, machine) = (lab.events().len(), &lab.machine);
    println!("a day away: {} datagrams, {downs} times told that it is away", lab.sent);
    assert!((800..=1000).contains(&lab.sent) && downs < 320, "{} {downs}", lab.sent);
    let waits = machine.orders.len() + machine.attention.len() + machine.out.len() + machine.until.len();
    assert_eq!((waits, machine.now.is_some(), machine.told.len()), (0, false, 0));
    // It is back: within five minutes it is told what it is now, and what was wanted yesterday is not done.
    lab.values.insert((2, 2), json!(12));
    lab.is_on = true;
    lab.asked();
    lab.passes(301_000);
    let model = lab.machine.model.clone();
    assert!(matches!(lab.events()[..], [Event::Is(_), ..]), "it says once more what it is");
    lab.machine.model(model, lab.now);
    lab.run();
    assert_eq!(said(&lab.events(), "light", "level"), Some(Data::Int(12)));
    assert!(lab.asked().iter().all(|(method, _)| method != "set_properties"));
}

#[test]
fn a_model_that_takes_few_at_once_is_asked_for_few_and_that_is_remembered() {
    let mut lab = Lab::new("zhimi.airpurifier.mb3");
    lab.has_everything();
    lab.most = 3;
    lab.events();
    lab.passes(120_000);
    let events = lab.events();
    let mosts: Vec<usize> =
        events.iter().filter_map(|event| if let Event::Most(most) = event { Some(*most) } else { None }).collect();
    assert!(matches!(mosts[..], [most] if most <= 3), "told once, when it worked: {mosts:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Down(_))), "it is not away");
    lab.asked();
    lab.passes(60_000);
    let most = lab.asked().iter().filter_map(|(_, params)| params.as_array().map(Vec::len)).max();
    assert!(most.is_some_and(|most| most <= 3), "{most:?}");
}

#[test]
fn one_that_was_away_is_asked_for_as_much_as_before() {
    let mut lab = Lab::new("zhimi.airpurifier.mb3");
    lab.has_everything();
    lab.asked();
    let most = |lab: &mut Lab| lab.asked().iter().filter_map(|(_, params)| params.as_array().map(Vec::len)).max();
    lab.passes(60_000);
    let before = most(&mut lab);
    lab.events();
    lab.is_deaf = true;
    lab.passes(120_000);
    let events = lab.events();
    assert!(events.contains(&Event::Down(Failure::Deaf)), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Most(_))), "nothing was learnt: {events:?}");
    lab.is_deaf = false;
    lab.machine.look(lab.now);
    lab.run();
    lab.machine.model(shipped("zhimi.airpurifier.mb3"), lab.now);
    lab.asked();
    lab.passes(60_000);
    assert_eq!((before.is_some(), most(&mut lab)), (true, before));
}

#[test]
fn what_nobody_waits_for_any_more_is_not_done() {
    let mut lab = Lab::new("accord.light.lamp1");
    let off = || Wanted::Write(Target::new("light"), "on".into(), false.into());
    lab.passes(40_000);
    (lab.is_deaf, lab.events) = (true, vec![]);
    // The first is under way, and the second waits for it.
    lab.wanted(1, Wanted::Read(Target::new("light"), vec![]));
    lab.machine.wanted(2, off(), lab.now + Duration::from_secs(2), lab.now);
    lab.wanted(3, off());
    lab.asked();
    lab.passes(3_000);
    let ended = |events: Vec<Event>, call: u64| {
        events.iter().any(|event| matches!(event, Event::Done(one, Err(_)) if *one == call))
    };
    assert!(ended(lab.events(), 2), "its time is over");
    lab.machine.cancel(3, lab.now);
    lab.is_deaf = false;
    lab.passes(10_000);
    assert!(ended(lab.events(), 3), "it was called off");
    assert!(!lab.asked().iter().any(|(method, _)| method == "set_properties"));
    assert_eq!(lab.values[&(2, 1)], json!(true));

    // One that is being tried is not tried again once nobody waits.
    lab.is_deaf = true;
    lab.machine.wanted(4, off(), lab.now + Duration::from_secs(1), lab.now);
    lab.run();
    assert_eq!(lab.asked()[0].0, "set_properties");
    lab.passes(1_000);
    lab.is_deaf = false;
    assert!(ended(lab.events(), 4));
    lab.passes(30_000);
    assert!(!lab.asked().iter().any(|(method, _)| method == "set_properties"));
}

#[test]
fn a_property_that_is_always_refused_is_asked_for_no_more() {
    let mut lab = Lab::new("accord.light.lamp1");
    lab.values.remove(&(2, 3));
    lab.passes(60_000);
    lab.asked();
    lab.passes(60_000);
    let asks = |params: &Value| params.as_array().is_some_and(|all| all.iter().any(|one| one["piid"] == 3));
    assert!(!lab.asked().iter().any(|(_, params)| asks(params)));
}

/// How often it was asked that since the last time.
fn times(lab: &mut Lab, wanted: &str) -> usize {
    lab.asked().iter().filter(|(method, _)| method == wanted).count()
}

#[test]
fn one_that_refuses_to_say_everything_at_once_is_asked_with_pauses_and_does_what_it_is_told() {
    let mut lab = Lab::new("roborock.vacuum.a15");
    assert_eq!(said(&lab.events(), "battery", "percent"), Some(Data::Int(87)));
    for code in [-10_000, -9999, -32_601] {
        lab.errors.insert("get_status", code);
        lab.asked();
        lab.sent = 0;
        lab.passes(60_000);
        let asked = times(&mut lab, "get_status");
        assert!(
            (1..=12).contains(&asked) && lab.sent < 60,
            "{code}: {asked} times, {} datagrams in a minute",
            lab.sent
        );
        lab.events();
        lab.wanted(1, Wanted::Act(Target::new("vacuum"), "start".into(), Inputs::new()));
        assert!(lab.events().contains(&Event::Done(1, Ok(Outputs::new()))), "{code}");
        assert_eq!(times(&mut lab, "app_start"), 1);
        // Whoever asks is told that it does not say it, and not what it said earlier.
        lab.wanted(2, Wanted::Read(Target::new("battery"), vec![]));
        let events = lab.events();
        assert!(matches!(events.last(), Some(Event::Done(2, Err(Trouble::Device(_))))), "{code}: {events:?}");
        // It says it again, and that is heard: within minutes, or within the hour where it denied to know the question.
        lab.errors.clear();
        lab.passes(if code == -32_601 { 3_700_000 } else { 310_000 });
        assert_eq!(said(&lab.events(), "battery", "percent"), Some(Data::Int(87)), "{code}");
    }
}

#[test]
fn what_fails_for_a_while_is_asked_for_again_and_that_it_is_gone_is_found() {
    for code in [-4004, -9999, -704_042_011] {
        let mut lab = Lab::new("accord.light.lamp1");
        lab.passes(30_000);
        lab.events();
        lab.code = Some(code);
        lab.asked();
        lab.passes(600_000);
        let events = lab.events();
        assert!(!events.iter().any(|event| matches!(event, Event::Down(_))), "{code}: it is here");
        let count = events.iter().rev().find_map(|event| match event {
            Event::Refuses(refuses) => Some(refuses.clone()),
            _ => None,
        });
        let count = count.expect("it is said what it refuses");
        assert!(count.count >= 3 && count.some[0].0.starts_with("light."), "{code}: {count:?}");
        let (looks, infos) = {
            let asked = lab.asked();
            let of = |wanted: &str| asked.iter().filter(|(method, _)| method == wanted).count();
            (of("get_properties"), of("miIO.info"))
        };
        assert!(
            (4..20).contains(&looks) && infos > 30,
            "{code}: asked with pauses {looks}, and whether it is there {infos}"
        );
        // An order is done, and its owner's own question asked, all the same.
        lab.wanted(1, Wanted::Write(Target::new("light"), "level".into(), Data::Int(30)));
        assert!(lab.asked().iter().any(|(method, _)| method == "get_properties"), "{code}: what was told is looked at");
        lab.wanted(2, Wanted::Read(Target::new("light"), vec!["level".into()]));
        assert!(matches!(lab.events().last(), Some(Event::Done(2, Err(_)))), "{code}");
        assert_eq!(times(&mut lab, "get_properties"), 1, "{code}");
        // It recovers.
        lab.code = None;
        lab.passes(310_000);
        let events = lab.events();
        assert_eq!(said(&events, "light", "level"), Some(Data::Int(30)), "{code}");
        // Again, and then it loses power.
        lab.code = Some(code);
        lab.passes(300_000);
        lab.is_on = false;
        lab.passes(40_000);
        assert!(
            lab.events().iter().any(|event| matches!(event, Event::Down(Failure::Silent | Failure::Deaf))),
            "{code}"
        );
    }
}

#[test]
fn what_it_says_it_does_not_have_is_asked_for_once_an_hour_and_by_its_owner() {
    let mut lab = Lab::new("accord.light.lamp1");
    lab.code = Some(-4003);
    lab.passes(300_000);
    lab.asked();
    lab.events();
    lab.passes(1_800_000);
    assert_eq!(times(&mut lab, "get_properties"), 0);
    lab.is_on = false;
    lab.passes(40_000);
    assert!(lab.events().iter().any(|event| matches!(event, Event::Down(_))), "that it is gone is found");
    // It is back, perhaps with another firmware.
    (lab.is_on, lab.code) = (true, None);
    lab.machine.look(lab.now);
    lab.run();
    lab.machine.model(shipped("accord.light.lamp1"), lab.now);
    lab.run();
    assert_eq!(said(&lab.events(), "light", "level"), Some(Data::Int(50)));
    lab.code = Some(-4003);
    lab.passes(300_000);
    lab.code = None;
    lab.asked();
    lab.events();
    lab.wanted(1, Wanted::Read(Target::new("light"), vec!["level".into()]));
    let level = Outputs::from([("level".to_owned(), Data::Int(50))]);
    assert!(lab.events().contains(&Event::Done(1, Ok(level))), "its owner asked");
    lab.passes(12_000);
    assert!(times(&mut lab, "get_properties") >= 2, "and what it said is looked at as before");
    lab.passes(3_600_000);
    assert_eq!(said(&lab.events(), "light", "on"), Some(true.into()), "the rest after the hour");
}

#[test]
fn who_is_away_is_said_so_tried_more_and_more_rarely_and_found_again() {
    let mut lab = Lab::new("accord.light.lamp1");
    lab.events();
    lab.is_on = false;
    lab.wanted(1, Wanted::Write(Target::new("light"), "on".into(), false.into()));
    lab.wanted(2, Wanted::Try);
    lab.passes(60_000);
    let events = lab.events();
    let done: Vec<u64> = events
        .iter()
        .filter_map(|event| if let Event::Done(call, Err(_)) = event { Some(*call) } else { None })
        .collect();
    assert_eq!(done, [1, 2], "nothing waits for it: {events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Down(Failure::Silent | Failure::Deaf))));
    lab.passes(3_600_000);
    let tries = lab.events().len();
    assert!((8..20).contains(&tries), "{tries} in an hour");
    lab.is_on = true;
    lab.machine.look(lab.now);
    lab.run();
    let events = lab.events();
    assert!(events.iter().any(|event| matches!(event, Event::Is(_))), "{events:?}");
    assert_eq!(lab.values[&(2, 1)], json!(true), "what was wanted while it was away is not done now");
}

#[test]
fn what_a_device_says_it_is_is_bounded() {
    let info = |value: Value| Info::read(&value);
    assert!(info(json!({"model": "a.b"})).is_some());
    for bad in
        [json!({}), json!({"model": ""}), json!({"model": "a/../b"}), json!({"model": "x".repeat(65)}), json!("x")]
    {
        assert!(info(bad.clone()).is_none(), "{bad}");
    }
    let odd = info(json!({"model": "a.b", "mac": "<b>", "fw_ver": "1\u{1b}"})).unwrap();
    assert_eq!((odd.mac, odd.version), (None, None));
}
