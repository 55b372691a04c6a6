//! One connection with Home Assistant, without I/O: it proves who it is, asks for the registries, follows the states of all
//! entities, calls services and notices silence. Texts and time in; texts, events and the next timeout out.
//!
//! Ids grow strictly, and what comes is told apart by its id: the event of a call may come before its result.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::words::{self, Answer, Call, Event as Happened, Item, Message, Units};

/// How long the server may take to prove that it is one, and to answer a question about itself.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// How long a service may take. Home Assistant answers when it is done.
pub const CALL_WITHIN: Duration = Duration::from_secs(10);
/// A sign of life is asked for when nothing was heard for so long, and has to come within.
const PING_AFTER: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(15);
/// When something changed in a registry, all of them are asked for anew after so long: changes come in crowds.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// And no more often than this; when they could not be read, so long after that, doubled each time, up to the longest.
const AGAIN_AT_MOST: Duration = Duration::from_secs(5);
const AGAIN_AT_LEAST: Duration = Duration::from_secs(300);
/// Most calls that have no answer yet.
pub const MOST_CALLS: usize = 256;

/// What goes in.
pub enum Input<'a> {
    /// A whole message of the server.
    Text(&'a [u8]),
    /// Call a service, and tell what came of it under this number.
    Call(u64, Call),
    /// The owner asks whether it still answers.
    Ask,
    /// The time that was asked for.
    Timeout,
}

/// What comes out.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send this. It holds the token when it is the first.
    Send(Said),
    /// Something is so.
    Event(Event),
    /// Nothing until then.
    Wait(Instant),
}

/// A text for the server, kept out of logs.
#[derive(PartialEq, Eq)]
pub struct Said {
    /// The message.
    pub text: String,
    /// It holds the token.
    pub secret: bool,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.secret { "the token" } else { &self.text })
    }
}

/// What is so.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The server took the token; its version.
    Welcome(String),
    /// It did not, in its words. Nothing more comes.
    Refused(String),
    /// What the server is.
    About(About),
    /// All registries, together.
    Registries(Registries),
    /// States of entities, new, changed and gone.
    States(Box<Happened>),
    /// What came of a call.
    Done(u64, Result<(), Trouble>),
    /// The connection is of no use any more, and why.
    Over(String),
}

/// What the server is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct About {
    /// What its owner calls the place.
    pub name: Option<String>,
    /// The token is that of somebody who may change everything there.
    pub admin: Option<bool>,
    /// In which units it speaks.
    pub units: Units,
}

/// What the server has.
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Registries {
    pub areas: Vec<Item>,
    pub devices: Vec<Item>,
    pub entities: Vec<Item>,
    /// How many of all those were left out.
    pub beyond: usize,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The server's own reason.
    Server(words::Failure),
    /// It did not answer in time.
    Late,
    /// Too much is asked for already.
    Busy,
    /// The server has not let us in yet. Nothing but the token may be said before it has.
    Early,
}

/// What a command of ours was.
#[derive(Debug, PartialEq)]
enum Asked {
    Config,
    User,
    Areas,
    Devices,
    Entities,
    /// The long form, of servers that know no short one.
    EntitiesLong,
    States,
    Changes,
    Features,
    Ping,
    Call(u64),
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Stage {
    /// Nothing was heard yet.
    Greeting,
    /// The token was said.
    Proving,
    Open,
    Over,
}

/// One connection.
pub struct Session {
    stage: Stage,
    token: accord_ports::Secret,
    next: u64,
    asked: BTreeMap<u64, (Asked, Instant)>,
    states: Option<u64>,
    changes: Vec<u64>,
    out: VecDeque<Output>,
    /// What came of the registries so far.
    coming: Registries,
    waiting: u8,
    /// They were told once over this connection, and could not be read so often since.
    has_told: bool,
    unread: u32,
    about: About,
    heard: Instant,
    pinged: Option<Instant>,
    /// When the registries are to be asked for again.
    again: Option<Instant>,
    last: Instant,
}

impl Session {
    /// Begins; the server speaks first.
    pub fn new(token: accord_ports::Secret, now: Instant) -> Self {
        Self {
            stage: Stage::Greeting,
            token,
            next: 1,
            asked: BTreeMap::new(),
            states: None,
            changes: Vec::new(),
            out: VecDeque::new(),
            coming: Registries::default(),
            waiting: 0,
            has_told: false,
            unread: 0,
            about: About::default(),
            heard: now,
            pinged: None,
            again: None,
            last: now,
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.stage == Stage::Over {
            if let Input::Call(call, _) = input {
                self.tell(Event::Done(call, Err(Trouble::Late)));
            }
            return;
        }
        match input {
            Input::Text(bytes) => {
                (self.heard, self.pinged) = (now, None);
                match words::read(bytes) {
                    Ok(all) => all.into_iter().for_each(|message| self.message(message, now)),
                    Err(why) => self.over(why),
                }
            }
            // Whoever says anything else before the token is turned away as if the token were wrong.
            Input::Call(call, _) if self.stage != Stage::Open => self.tell(Event::Done(call, Err(Trouble::Early))),
            Input::Call(call, _) if self.calls() >= MOST_CALLS => self.tell(Event::Done(call, Err(Trouble::Busy))),
            Input::Call(number, call) => {
                self.ask(Asked::Call(number), now, |id| words::call(id, &call));
            }
            Input::Ask if self.stage == Stage::Open && self.pinged.is_none() => self.ping(now),
            Input::Ask => {}
            Input::Timeout => self.timeout(now),
        }
    }

    fn ping(&mut self, now: Instant) {
        self.pinged = Some(now);
        self.ask(Asked::Ping, now, |id| words::command(id, "ping"));
    }

    /// What is wanted next.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| Output::Wait(self.wake()))
    }

    /// Whether it takes calls.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    fn calls(&self) -> usize {
        self.asked.values().filter(|(asked, _)| matches!(asked, Asked::Call(_))).count()
    }

    fn wake(&self) -> Instant {
        let answers = self.asked.values().map(|(asked, at)| *at + within(asked));
        let life = match (self.stage, self.pinged) {
            (Stage::Open, Some(pinged)) => pinged + PONG_WITHIN,
            (Stage::Open, None) => self.heard + PING_AFTER,
            _ => self.heard + ANSWERS_WITHIN,
        };
        answers.chain(self.again).chain([life]).min().unwrap_or(life)
    }

    fn timeout(&mut self, now: Instant) {
        let late: Vec<u64> =
            self.asked.iter().filter(|(_, (asked, at))| *at + within(asked) <= now).map(|(id, _)| *id).collect();
        for id in late {
            match self.asked.remove(&id) {
                Some((Asked::Call(call), _)) => self.tell(Event::Done(call, Err(Trouble::Late))),
                Some((Asked::Ping, _)) | None => {}
                Some(_) => return self.over("it did not answer within 30 s what it has".to_owned()),
            }
        }
        if self.again.is_some_and(|again| again <= now) {
            self.registries(now);
        }
        match (self.stage, self.pinged) {
            (Stage::Open, Some(pinged)) if pinged + PONG_WITHIN <= now => {
                self.over("it gave no sign of life any more".to_owned());
            }
            (Stage::Open, None) if self.heard + PING_AFTER <= now => self.ping(now),
            (Stage::Greeting | Stage::Proving, _) if self.heard + ANSWERS_WITHIN <= now => {
                self.over("it took a connection and did not speak as Home Assistant does".to_owned());
            }
            _ => {}
        }
    }

    fn message(&mut self, message: Message, now: Instant) {
        match (self.stage, message) {
            (Stage::Greeting, Message::AuthRequired) => {
                self.stage = Stage::Proving;
                let text = words::auth(&self.token);
                self.out.push_back(Output::Send(Said { text, secret: true }));
            }
            (Stage::Proving, Message::AuthOk(version)) => {
                self.stage = Stage::Open;
                self.tell(Event::Welcome(version));
                self.begin(now);
            }
            (Stage::Proving, Message::AuthInvalid(why)) => {
                self.stage = Stage::Over;
                self.tell(Event::Refused(why));
            }
            // Of the token it cannot speak: it was not said.
            (Stage::Greeting, Message::AuthInvalid(why)) => {
                self.over(format!("it turned the connection away before it asked who this is: {why}"));
            }
            (Stage::Open, Message::Result(id, outcome)) => self.result(id, outcome, now),
            (Stage::Open, Message::Event(id, event)) if self.states == Some(id) => self.tell(Event::States(event)),
            (Stage::Open, Message::Event(id, _)) if self.changes.contains(&id) => {
                let at_most = self.last + AGAIN_AT_MOST;
                self.again.get_or_insert((now + AGAIN_AFTER).max(at_most));
            }
            (Stage::Open, Message::Pong(id)) => drop(self.asked.remove(&id)),
            // What nobody asked for says nothing.
            _ => {}
        }
    }

    fn begin(&mut self, now: Instant) {
        self.ask(Asked::Features, now, words::features);
        self.ask(Asked::Config, now, |id| words::command(id, "get_config"));
        self.ask(Asked::User, now, |id| words::command(id, "auth/current_user"));
        // First heard of, then read: nothing changes in between unnoticed.
        for event in ["area_registry_updated", "device_registry_updated", "entity_registry_updated"] {
            let id = self.ask(Asked::Changes, now, |id| words::subscribe(id, event));
            self.changes.push(id);
        }
        self.registries(now);
    }

    fn registries(&mut self, now: Instant) {
        self.stop_reading();
        (self.again, self.last, self.waiting) = (None, now, 3);
        self.ask(Asked::Areas, now, |id| words::command(id, "config/area_registry/list"));
        self.ask(Asked::Devices, now, |id| words::command(id, "config/device_registry/list"));
        self.ask(Asked::Entities, now, |id| words::command(id, "config/entity_registry/list_for_display"));
    }

    /// What is on its way of the registries is of no interest any more.
    fn stop_reading(&mut self) {
        self.coming = Registries::default();
        self.asked.retain(|_, (asked, _)| {
            !matches!(asked, Asked::Areas | Asked::Devices | Asked::Entities | Asked::EntitiesLong)
        });
    }

    /// One of the registries could not be read, which does not mean that it is empty: what was told of them holds, and they are
    /// asked for again, later each time. Without any, nothing can be said of what there is, as while the server starts.
    fn unread(&mut self, failure: &words::Failure, now: Instant) {
        if !self.has_told {
            return self.over(format!("it does not tell what it has: {}", failure.message));
        }
        self.stop_reading();
        let pause = AGAIN_AT_MOST.saturating_mul(1 << self.unread.min(6)).min(AGAIN_AT_LEAST);
        self.unread = self.unread.saturating_add(1);
        self.again = Some(now + pause);
    }

    fn ask(&mut self, asked: Asked, now: Instant, say: impl FnOnce(u64) -> String) -> u64 {
        let id = self.next;
        self.next += 1;
        self.asked.insert(id, (asked, now));
        self.out.push_back(Output::Send(Said { text: say(id), secret: false }));
        id
    }

    fn result(&mut self, id: u64, outcome: Result<Box<Answer>, words::Failure>, now: Instant) {
        let Some((asked, _)) = self.asked.remove(&id) else { return };
        match (asked, outcome) {
            (Asked::Call(call), outcome) => self.tell(Event::Done(call, outcome.map(drop).map_err(Trouble::Server))),
            (Asked::Config, Ok(answer)) => {
                self.about.name = answer.one.location_name.text().map(str::to_owned);
                self.about.units = answer.one.unit_system;
                self.tell(Event::About(self.about.clone()));
            }
            (Asked::User, Ok(answer)) => {
                self.about.admin = answer.one.is_admin.bool();
                self.tell(Event::About(self.about.clone()));
            }
            (Asked::Areas, Ok(answer)) => self.came(*answer, |coming| &mut coming.areas, now),
            (Asked::Devices, Ok(answer)) => self.came(*answer, |coming| &mut coming.devices, now),
            (Asked::Entities | Asked::EntitiesLong, Ok(answer)) => {
                self.came(*answer, |coming| &mut coming.entities, now);
            }
            (Asked::Entities, Err(failure)) if failure.code == "unknown_command" => {
                self.ask(Asked::EntitiesLong, now, |id| words::command(id, "config/entity_registry/list"));
            }
            (Asked::Areas | Asked::Devices | Asked::EntitiesLong | Asked::Entities, Err(failure)) => {
                self.unread(&failure, now);
            }
            (Asked::States, Err(failure)) => self.over(match failure.code.as_str() {
                "unknown_command" => {
                    "it is older than Home Assistant 2022.4, and tells no states as Accord hears them".to_owned()
                }
                _ => format!("it tells no states: {}", failure.message),
            }),
            _ => {}
        }
    }

    /// One of the registries is here. With the last, all are told, and the states are asked for.
    fn came(&mut self, answer: Answer, of: impl FnOnce(&mut Registries) -> &mut Vec<Item>, now: Instant) {
        self.coming.beyond += answer.beyond;
        of(&mut self.coming).extend(answer.items);
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting > 0 {
            return;
        }
        let whole = std::mem::take(&mut self.coming);
        (self.has_told, self.unread) = (true, 0);
        self.tell(Event::Registries(whole));
        if self.states.is_none() {
            let id = self.ask(Asked::States, now, |id| words::command(id, "subscribe_entities"));
            self.states = Some(id);
        }
    }

    fn over(&mut self, why: String) {
        self.stage = Stage::Over;
        for (_, (asked, _)) in std::mem::take(&mut self.asked) {
            if let Asked::Call(call) = asked {
                self.tell(Event::Done(call, Err(Trouble::Late)));
            }
        }
        self.tell(Event::Over(why));
    }

    fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }
}

fn within(asked: &Asked) -> Duration {
    match asked {
        Asked::Call(_) => CALL_WITHIN,
        _ => ANSWERS_WITHIN,
    }
}

/// Entry for fuzzing: messages, one to a line.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let now = Instant::now();
    let mut session = Session::new("t".into(), now);
    let greeting: [&[u8]; 2] = [b"{\"type\":\"auth_required\"}", b"{\"type\":\"auth_ok\"}"];
    for (n, line) in greeting.into_iter().chain(bytes.split(|byte| *byte == b'\n')).enumerate() {
        session.handle(Input::Text(line), now + Duration::from_millis(n as u64));
        session.handle(Input::Timeout, now + Duration::from_secs(n as u64));
        while !matches!(session.poll_output(), Output::Wait(_)) {}
        assert!(session.asked.len() < 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    struct Lab {
        session: Session,
        now: Instant,
    }

    impl Lab {
        fn new() -> Self {
            let now = Instant::now();
            Self { session: Session::new("the-token".into(), now), now }
        }
        fn hear(&mut self, message: Value) -> (Vec<Value>, Vec<Event>) {
            self.session.handle(Input::Text(message.to_string().as_bytes()), self.now);
            self.drain()
        }
        fn wait(&mut self, time: Duration) -> (Vec<Value>, Vec<Event>) {
            self.now += time;
            self.session.handle(Input::Timeout, self.now);
            self.drain()
        }
        fn drain(&mut self) -> (Vec<Value>, Vec<Event>) {
            let (mut said, mut events) = (Vec::new(), Vec::new());
            loop {
                match self.session.poll_output() {
                    Output::Send(text) => said.push(serde_json::from_str(&text.text).unwrap()),
                    Output::Event(event) => events.push(event),
                    Output::Wait(_) => return (said, events),
                }
            }
        }
        /// Let in, and asked what there is; the commands by type.
        fn open(&mut self) -> BTreeMap<String, u64> {
            let (said, _) = self.hear(json!({"type": "auth_required", "ha_version": "2024.3.3"}));
            assert_eq!(said, [json!({"type": "auth", "access_token": "the-token"})]);
            let (said, events) = self.hear(json!({"type": "auth_ok", "ha_version": "2024.3.3"}));
            assert_eq!(events, [Event::Welcome("2024.3.3".into())]);
            let ids: Vec<u64> = said.iter().map(|one| one["id"].as_u64().unwrap()).collect();
            assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
            said.iter().map(|one| (one["type"].as_str().unwrap().to_owned(), one["id"].as_u64().unwrap())).collect()
        }
        fn answer(&mut self, id: u64, result: Value) -> (Vec<Value>, Vec<Event>) {
            self.hear(json!({"id": id, "type": "result", "success": true, "result": result}))
        }
        /// All the way to states.
        fn ready(&mut self) -> u64 {
            let ids = self.open();
            self.answer(ids["config/entity_registry/list_for_display"], json!({"entities": [{"ei": "light.a"}]}));
            self.answer(ids["config/device_registry/list"], json!([{"id": "d"}]));
            let (said, events) = self.answer(ids["config/area_registry/list"], json!([]));
            assert!(
                matches!(&events[..], [Event::Registries(all)] if all.devices.len() == 1 && all.entities.len() == 1)
            );
            assert_eq!(said[0]["type"], "subscribe_entities");
            said[0]["id"].as_u64().unwrap()
        }
    }

    #[test]
    fn a_token_that_is_refused_ends_it_and_is_said_nowhere() {
        let mut lab = Lab::new();
        lab.session.handle(Input::Text(br#"{"type":"auth_required"}"#), lab.now);
        let first = lab.session.poll_output();
        assert!(!format!("{first:?}").contains("the-token"));
        let (_, events) = lab.hear(json!({"type": "auth_invalid", "message": "Invalid access token or password"}));
        assert_eq!(events, [Event::Refused("Invalid access token or password".into())]);
        assert_eq!(lab.hear(json!({"type": "auth_ok"})).1, []);
    }

    #[test]
    fn nothing_is_called_before_the_token_was_taken() {
        let mut lab = Lab::new();
        let call = |lab: &mut Lab| {
            lab.session.handle(Input::Call(7, Call::new("light.a", "light", "toggle")), lab.now);
            lab.drain()
        };
        let early = || (vec![], vec![Event::Done(7, Err(Trouble::Early))]);
        assert_eq!(call(&mut lab), early());
        lab.hear(json!({"type": "auth_required"}));
        assert_eq!(call(&mut lab), early());
        let (said, _) = lab.hear(json!({"type": "auth_ok"}));
        assert!(lab.session.is_open() && said[0]["id"] == 1, "no number was used up");
        assert_eq!(call(&mut lab).0[0]["service"], "toggle");
    }

    #[test]
    fn a_token_that_was_not_said_is_not_refused() {
        let mut lab = Lab::new();
        let (_, events) = lab.hear(json!({"type": "auth_invalid", "message": "Auth message incorrectly formatted"}));
        assert!(matches!(&events[..], [Event::Over(why)] if why.contains("incorrectly")), "{events:?}");
    }

    #[test]
    fn a_token_is_said_only_when_it_is_asked_for_and_once() {
        let mut lab = Lab::new();
        assert_eq!(lab.hear(json!({"type": "auth_ok"})), (vec![], vec![]), "nobody is let in who showed nothing");
        lab.open();
        assert_eq!(lab.hear(json!({"type": "auth_required"})).0, Vec::<Value>::new());
    }

    #[test]
    fn events_before_results_and_calls_out_of_order_find_their_way() {
        let mut lab = Lab::new();
        let states = lab.ready();
        let (_, events) = lab.hear(json!([
            {"id": states, "type": "event", "event": {"a": {"light.a": {"s": "on"}}}},
            {"id": states, "type": "result", "success": true, "result": null}]));
        assert!(matches!(&events[..], [Event::States(event)] if event.added.all.len() == 1));
        for call in [71, 72] {
            lab.session.handle(Input::Call(call, Call::new("light.a", "light", "toggle")), lab.now);
        }
        let (said, _) = lab.drain();
        let ids: Vec<u64> = said.iter().map(|one| one["id"].as_u64().unwrap()).collect();
        assert_eq!(lab.answer(ids[1], json!({"context": {}})).1, [Event::Done(72, Ok(()))]);
        let failed = json!({"id": ids[0], "type": "result", "success": false,
            "error": {"code": "unauthorized", "message": "Unauthorized"}});
        let (_, events) = lab.hear(failed.clone());
        assert!(
            matches!(&events[..], [Event::Done(71, Err(Trouble::Server(failure)))] if failure.code == "unauthorized")
        );
        assert_eq!(lab.hear(failed).1, [], "an answer counts once");
    }

    #[test]
    fn a_call_without_an_answer_is_late_and_the_connection_stays() {
        let mut lab = Lab::new();
        lab.ready();
        lab.session.handle(Input::Call(1, Call::new("light.a", "light", "toggle")), lab.now);
        lab.drain();
        assert_eq!(lab.wait(CALL_WITHIN).1, [Event::Done(1, Err(Trouble::Late))]);
        for call in 0..300 {
            lab.session.handle(Input::Call(call, Call::new("light.a", "light", "toggle")), lab.now);
        }
        let busy = lab.drain().1;
        assert_eq!(busy.len(), 300 - MOST_CALLS);
        assert!(busy.iter().all(|event| matches!(event, Event::Done(_, Err(Trouble::Busy)))));
    }

    #[test]
    fn silence_is_noticed() {
        let mut lab = Lab::new();
        lab.open();
        (1..=10).for_each(|id| drop(lab.answer(id, Value::Null)));
        let (said, _) = lab.wait(PING_AFTER);
        let ping = said.iter().find(|one| one["type"] == "ping").expect("a ping")["id"].as_u64().unwrap();
        lab.hear(json!({"id": ping, "type": "pong"}));
        assert_eq!(lab.wait(PING_AFTER).0[0]["type"], "ping");
        let (_, events) = lab.wait(PONG_WITHIN);
        assert!(matches!(&events[..], [Event::Over(why)] if why.contains("life")), "{events:?}");
        let mut lab = Lab::new();
        assert!(matches!(&lab.wait(ANSWERS_WITHIN).1[..], [Event::Over(_)]), "who says nothing at all");
    }

    #[test]
    fn registries_are_read_again_once_for_a_crowd_of_changes() {
        let mut lab = Lab::new();
        lab.ready();
        let changes = lab.session.changes[0];
        lab.now += AGAIN_AT_MOST;
        for _ in 0..1000 {
            lab.hear(json!({"id": changes, "type": "event", "event": {"event_type": "entity_registry_updated"}}));
        }
        let (said, _) = lab.wait(AGAIN_AFTER);
        assert_eq!(said.iter().filter(|one| one["type"] == "config/device_registry/list").count(), 1);
        lab.hear(json!({"id": changes, "type": "event", "event": {}}));
        assert_eq!(lab.wait(AGAIN_AFTER).0, Vec::<Value>::new(), "not so soon again");
        assert_eq!(lab.wait(AGAIN_AT_MOST).0.len(), 3);
    }

    #[test]
    fn a_registry_that_cannot_be_read_is_not_an_empty_one() {
        let mut lab = Lab::new();
        lab.ready();
        (1..=10).for_each(|id| drop(lab.answer(id, Value::Null)));
        let failed = |id: &Value| json!({"id": id, "type": "result", "success": false, "error": {"code": "unknown_error", "message": "Busy"}});
        let changes = lab.session.changes[0];
        lab.now += AGAIN_AT_MOST;
        lab.hear(json!({"id": changes, "type": "event", "event": {}}));
        let (mut asked, mut pauses) = (lab.wait(AGAIN_AFTER).0, Vec::new());
        for _ in 0..9 {
            assert_eq!(asked.len(), 3);
            // One of the three fails; what the others answer is of no use then.
            lab.answer(asked[0]["id"].as_u64().unwrap(), json!([]));
            assert_eq!(lab.hear(failed(&asked[1]["id"])).1, [], "nothing is told of it");
            assert_eq!(lab.answer(asked[2]["id"].as_u64().unwrap(), json!({"entities": []})).1, []);
            let before = lab.now;
            asked = loop {
                let (said, events) = lab.wait(Duration::from_secs(5));
                assert!(
                    !events.iter().any(|event| matches!(event, Event::Registries(_) | Event::Over(_))),
                    "{events:?}"
                );
                if let Some(ping) = said.iter().find(|one| one["type"] == "ping") {
                    lab.hear(json!({"id": ping["id"], "type": "pong"}));
                }
                let asked: Vec<Value> = said.into_iter().filter(|one| one["type"] != "ping").collect();
                if !asked.is_empty() {
                    break asked;
                }
            };
            pauses.push((lab.now - before).as_secs());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        let [areas, devices, entities] = [0, 1, 2].map(|at: usize| asked[at]["id"].as_u64().unwrap());
        lab.answer(areas, json!([]));
        lab.answer(devices, json!([{"id": "d"}, {"id": "e"}]));
        let (_, events) = lab.answer(entities, json!({"entities": []}));
        assert!(matches!(&events[..], [Event::Registries(all)] if all.devices.len() == 2), "{events:?}");
        // Over a new connection nothing is known yet that could hold: it is begun again.
        let mut lab = Lab::new();
        let ids = lab.open();
        let (_, events) = lab.hear(failed(&json!(ids["config/device_registry/list"])));
        assert_eq!(events, [Event::Over("it does not tell what it has: Busy".into())]);
    }

    #[test]
    fn an_older_server_is_asked_in_the_long_form() {
        let mut lab = Lab::new();
        let ids = lab.open();
        let unknown = json!({"id": ids["config/entity_registry/list_for_display"], "type": "result", "success": false,
            "error": {"code": "unknown_command", "message": "Unknown command."}});
        assert_eq!(lab.hear(unknown).0[0]["type"], "config/entity_registry/list");
    }
}
