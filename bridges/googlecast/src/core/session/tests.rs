use std::time::Duration;

use serde_json::{Value as Json, json};

use super::super::frame::{Frames, Message, Payload};
use super::super::words::{CONNECTION, DEFAULT_RECEIVER, DEVICE, HEARTBEAT, MEDIA, RECEIVER};
use super::*;

/// A device that does as it is told, but for its faults.
struct Device {
    app: Option<(&'static str, u32)>,
    runs: u32,
    linked: Vec<String>,
    playing: Option<Playing>,
    sessions: i64,
    level: f64,
    muted: bool,
    said: Vec<String>,
    loaded: Vec<Json>,
    /// Refuse words of this type, with this answer.
    refuses: Option<(&'static str, &'static str)>,
    /// Begin to open the page, and tell of it later.
    slow: bool,
    /// Answer words of this type with a number that nobody asked under.
    misnumbers: bool,
    /// Say nothing at all, not even that it is there.
    dead: bool,
    /// Say PLAYING and stand still.
    stuck: bool,
    /// Say yes and do nothing.
    ignores: bool,
    /// The app whose link is closed, before the device says how it stands.
    closed: Option<String>,
}

struct Playing {
    session: i64,
    state: &'static str,
    idle: Option<&'static str>,
    position: f64,
    media: Json,
    tracks: Json,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            app: None,
            runs: 0,
            linked: Vec::new(),
            playing: None,
            sessions: 0,
            level: 0.5,
            muted: false,
            said: Vec::new(),
            loaded: Vec::new(),
            refuses: None,
            slow: false,
            misnumbers: false,
            dead: false,
            stuck: false,
            ignores: false,
            closed: None,
        }
    }
}

impl Device {
    fn transport(&self) -> String {
        format!("app-{}", self.app.map_or(0, |(_, run)| run))
    }

    fn launch(&mut self, id: &'static str) {
        self.runs += 1;
        self.app = Some((id, self.runs));
        self.playing = None;
    }

    fn play(&mut self, address: &str, title: &str) {
        self.sessions += 1;
        let media = json!({ "contentId": address, "duration": 60.0, "metadata": { "title": title } });
        let (state, idle, position, tracks) = ("PLAYING", None, 0.0, json!([]));
        self.playing = Some(Playing { session: self.sessions, state, idle, position, media, tracks });
    }

    fn status(&self) -> Json {
        let app = self.app.map(|(id, run)| {
            json!({ "appId": id, "sessionId": format!("run-{run}"), "transportId": format!("app-{run}"),
                    "namespaces": [{ "name": MEDIA }] })
        });
        json!({ "type": "RECEIVER_STATUS",
                "status": { "volume": { "level": self.level, "muted": self.muted }, "applications": app.map(|a| vec![a]) } })
    }

    fn media(&self) -> Json {
        let status = self.playing.as_ref().map(|one| {
            json!({ "mediaSessionId": one.session, "playerState": one.state, "idleReason": one.idle,
                    "currentTime": one.position, "supportedMediaCommands": 15, "media": one.media,
                    "activeTrackIds": one.tracks })
        });
        json!({ "type": "MEDIA_STATUS", "status": status.map_or_else(Vec::new, |status| vec![status]) })
    }

    fn answer(&mut self, message: &Message) -> Option<(String, String, Json)> {
        let Payload::Text(text) = &message.payload else { panic!() };
        let words: Json = serde_json::from_str(text).unwrap();
        let kind = words["type"].as_str().unwrap().to_owned();
        if self.dead {
            return None;
        }
        if !matches!(kind.as_str(), "GET_STATUS" | "PING" | "PONG") {
            self.said.push(kind.clone());
        }
        let number = if self.misnumbers { json!(4_000_000_000_u32) } else { words["requestId"].clone() };
        let reply = |source: &str, namespace: &str, mut words: Json| {
            words["requestId"] = number.clone();
            Some((source.to_owned(), namespace.to_owned(), words))
        };
        if let Some((_, answer)) = self.refuses.filter(|(refused, _)| *refused == kind) {
            return reply(&message.destination, &message.namespace, json!({ "type": answer, "reason": "BECAUSE" }));
        }
        match (message.namespace.as_str(), kind.as_str()) {
            (HEARTBEAT, "PING") => return reply(RECEIVER, HEARTBEAT, json!({ "type": "PONG" })),
            (CONNECTION, "CONNECT") => {
                self.linked.push(message.destination.clone());
                return None;
            }
            (DEVICE, "LAUNCH") if self.slow => return None,
            (DEVICE, "LAUNCH") => {
                assert_eq!(words["appId"], DEFAULT_RECEIVER);
                self.launch(DEFAULT_RECEIVER);
            }
            (DEVICE, "STOP") => {
                self.closed = self.app.take().map(|(_, run)| format!("app-{run}"));
                self.playing = None;
            }
            (DEVICE, "SET_VOLUME") if !self.ignores => {
                self.level = words["volume"]["level"].as_f64().unwrap_or(self.level);
                self.muted = words["volume"]["muted"].as_bool().unwrap_or(self.muted);
            }
            _ => {}
        }
        if message.namespace == DEVICE {
            return reply(RECEIVER, DEVICE, self.status());
        }
        assert!(
            message.namespace == MEDIA && self.linked.contains(&message.destination),
            "linked before it is spoken to"
        );
        if kind == "LOAD" {
            self.loaded.push(words.clone());
            self.play(
                words["media"]["contentId"].as_str().unwrap(),
                words["media"]["metadata"]["title"].as_str().unwrap(),
            );
            let playing = self.playing.as_mut().unwrap();
            playing.position = words["currentTime"].as_f64().unwrap();
            playing.media["tracks"] = words["media"]["tracks"].clone();
            playing.tracks = words.get("activeTrackIds").cloned().unwrap_or_else(|| json!([]));
        } else if kind != "GET_STATUS" && !self.ignores {
            let playing = self.playing.as_mut().unwrap();
            assert_eq!(words["mediaSessionId"], playing.session);
            match kind.as_str() {
                "PLAY" => playing.state = "PLAYING",
                "PAUSE" => playing.state = "PAUSED",
                "STOP" => (playing.state, playing.idle) = ("IDLE", Some("CANCELLED")),
                "SEEK" => playing.position = words["currentTime"].as_f64().unwrap(),
                "EDIT_TRACKS_INFO" => playing.tracks = words["activeTrackIds"].clone(),
                other => panic!("{other}"),
            }
        }
        let transport = self.transport();
        reply(&transport, MEDIA, self.media())
    }
}

struct Lab {
    session: Session,
    device: Device,
    frames: Frames,
    now: Instant,
    values: Vec<Value>,
    events: Vec<Event>,
    sorts: Vec<Sort>,
    looks: usize,
}

impl Lab {
    fn new(device: Device) -> Self {
        let now = Instant::now();
        let session = Session::new("sender-1", None, now);
        let (frames, values, events, sorts) = (Frames::default(), Vec::new(), Vec::new(), Vec::new());
        let mut lab = Self { session, device, frames, now, values, events, sorts, looks: 0 };
        lab.run(0.0);
        lab
    }

    fn say(&mut self, source: &str, namespace: &str, words: &Json) {
        let [source, destination, namespace] = [source, "*", namespace].map(str::to_owned);
        let message = Message { source, destination, namespace, payload: Payload::Text(words.to_string()) };
        self.session.handle(Input::Bytes(&message.encode().unwrap()), self.now);
    }

    fn tell_status(&mut self) {
        let (status, media, transport) = (self.device.status(), self.device.media(), self.device.transport());
        self.say(RECEIVER, DEVICE, &status);
        self.run(0.0);
        self.say(&transport, MEDIA, &media);
        self.run(0.0);
    }

    /// Lets time pass, with the device playing along.
    fn run(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        loop {
            match self.session.poll_output() {
                Output::Send(bytes, sort) => {
                    let message = self.frames.take(&mut bytes.as_slice()).unwrap().unwrap();
                    assert_eq!(message.source, "sender-1");
                    self.looks += usize::from(message.namespace == MEDIA);
                    self.sorts.push(sort);
                    let answer = self.device.answer(&message);
                    if let Some(closed) = self.device.closed.take() {
                        self.say(&closed, CONNECTION, &json!({ "type": "CLOSE" }));
                    }
                    if let Some((source, namespace, words)) = answer {
                        self.say(&source, &namespace, &words);
                    }
                }
                Output::Event(Event::Values(values)) => self.values.extend(values),
                Output::Event(event) => self.events.push(event),
                Output::Wait(wake) if wake <= end && !self.is_over() => {
                    self.pass(wake.saturating_duration_since(self.now));
                    self.session.handle(Input::Timeout, self.now);
                }
                Output::Wait(_) => return self.pass(end.saturating_duration_since(self.now)),
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if let Some(playing) = self.device.playing.as_mut().filter(|one| one.state == "PLAYING" && !self.device.stuck) {
            playing.position += time.as_secs_f64();
        }
    }

    fn is_over(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Over(_)))
    }

    fn want(&mut self, wanted: Wanted) -> Result<(), Trouble> {
        self.session.handle(Input::Wanted(7, wanted), self.now);
        for _ in 0..160 {
            self.run(0.1);
            if let Some(at) = self.events.iter().position(|event| matches!(event, Event::Done(7, _))) {
                let Event::Done(_, outcome) = self.events.remove(at) else { unreachable!() };
                return outcome;
            }
        }
        panic!("it is neither done nor refused within 16 s");
    }

    fn open(&mut self, more: impl FnOnce(&mut Opened)) -> Result<(), Trouble> {
        let mut opened = Opened {
            address: "http://10.0.0.1/t/media.mp4".into(),
            title: "Accord".into(),
            format: Some("video/mp4".into()),
            live: false,
            length: None,
            start: None,
            captions: None,
        };
        more(&mut opened);
        self.want(Wanted::Open(Box::new(opened)))
    }

    fn last<T>(&self, pick: impl Fn(&Value) -> Option<T>) -> Option<T> {
        self.values.iter().rev().find_map(pick)
    }
    fn playing(&self) -> Option<bool> {
        self.last(|value| if let Value::Playing(yes) = value { Some(*yes) } else { None })
    }
    fn moving(&self) -> Option<bool> {
        self.last(|value| if let Value::Moving(yes) = value { Some(*yes) } else { None })
    }
    fn ended(&self) -> Option<Ended> {
        self.last(|value| if let Value::Ended(how) = value { Some(*how) } else { None })
    }
    fn ours(&self) -> Option<bool> {
        self.last(|value| if let Value::Ours(yes) = value { Some(*yes) } else { None })
    }
    fn title(&self) -> Option<String> {
        self.last(|value| if let Value::Track(title, ..) = value { title.clone() } else { None })
    }
}

#[test]
fn something_is_played_and_seen_to_move() {
    let mut lab = Lab::new(Device::default());
    assert!(lab.events.contains(&Event::Ready) && lab.values.contains(&Value::Volume(50)));
    assert_eq!(lab.playing(), Some(false));
    let opened = lab.open(|opened| {
        (opened.start, opened.captions) = (Some(12.0), Some("http://10.0.0.1/t/c.vtt".into()));
    });
    assert_eq!(opened, Ok(()));
    assert_eq!(lab.device.said, ["CONNECT", "LAUNCH", "CONNECT", "LOAD"]);
    let pages: Vec<&Sort> = lab.sorts.iter().filter(|sort| **sort == Sort::Page).collect();
    assert_eq!(pages.len(), 2, "opening the page and telling it what to play are what Google learns of");
    assert!(lab.session.holds_page() && lab.ours() == Some(true) && lab.ended() == Some(Ended::Not));
    lab.run(4.0);
    assert_eq!((lab.playing(), lab.moving()), (Some(true), Some(true)));
    let at = lab.last(|value| if let Value::Position(at) = value { Some(*at) } else { None }).unwrap();
    assert!((12.0..17.0).contains(&at), "{at}");
    assert!(lab.values.contains(&Value::Length(60.0)) && lab.values.contains(&Value::Captions(true)));
    let looks = lab.looks;
    lab.run(10.0);
    assert!((8..13).contains(&(lab.looks - looks)), "about once a second: {}", lab.looks - looks);
    // Another address goes to the same page, without a new launch.
    lab.device.said.clear();
    assert_eq!(lab.open(|opened| opened.address = "http://10.0.0.1/u/media.mp4".into()), Ok(()));
    assert_eq!(lab.device.said, ["LOAD"]);
    assert_eq!(lab.ended(), Some(Ended::Not));
}

#[test]
fn what_is_wanted_is_seen_before_it_is_believed() {
    let mut lab = Lab::new(Device::default());
    assert_eq!(lab.want(Wanted::Pause), Err(Trouble::NotNow("nothing plays there")));
    lab.open(|opened| opened.captions = Some("http://10.0.0.1/c.vtt".into())).unwrap();
    for (wanted, state) in [
        (Wanted::Pause, "PAUSED"),
        (Wanted::Pause, "PAUSED"),
        (Wanted::PlayPause, "PLAYING"),
        (Wanted::Play, "PLAYING"),
    ] {
        assert_eq!(lab.want(wanted.clone()), Ok(()), "{wanted:?}");
        assert_eq!(lab.device.playing.as_ref().unwrap().state, state);
    }
    assert_eq!(lab.want(Wanted::Seek(40.0)), Ok(()));
    assert!(lab.device.playing.as_ref().unwrap().position >= 40.0);
    assert_eq!(lab.want(Wanted::Captions(false)), Ok(()));
    assert_eq!(lab.device.playing.as_ref().unwrap().tracks, json!([]));
    assert_eq!(lab.want(Wanted::Volume(30)), Ok(()));
    assert_eq!(lab.want(Wanted::Muted(true)), Ok(()));
    assert_eq!((lab.device.level, lab.device.muted), (0.3, true));
    lab.device.ignores = true;
    for wanted in [Wanted::Seek(2.0), Wanted::Volume(90), Wanted::Pause, Wanted::Captions(true)] {
        assert!(matches!(lab.want(wanted.clone()), Err(Trouble::Ignored(_))), "{wanted:?}");
    }
    lab.device.ignores = false;
    // Devices close the link before they say how they stand.
    let transport = lab.device.transport();
    lab.say(&transport, CONNECTION, &json!({ "type": "CLOSE" }));
    lab.run(0.1);
    assert!(lab.session.holds_page(), "the link alone was closed, and is made anew");
    assert_eq!(lab.device.linked.iter().filter(|one| **one == transport).count(), 2);
    assert_eq!(lab.want(Wanted::Stop), Ok(()));
    assert!(lab.device.app.is_none() && !lab.session.holds_page(), "what was begun from here ends with its page");
    assert_eq!((lab.ended(), lab.playing()), (Some(Ended::Stopped), Some(false)));
}

#[test]
fn what_another_sender_plays_is_joined_and_nothing_is_launched() {
    let mut lab = Lab::new(Device::default());
    lab.device.launch("OTHER");
    lab.device.play("their://film", "Their film");
    lab.tell_status();
    lab.run(3.0);
    assert_eq!(lab.title().as_deref(), Some("Their film"));
    assert_eq!((lab.playing(), lab.moving(), lab.ours()), (Some(true), Some(true), Some(false)));
    assert_eq!(lab.want(Wanted::Pause), Ok(()));
    assert_eq!(lab.want(Wanted::Stop), Ok(()));
    assert!(lab.device.app.is_some(), "their app goes on");
    assert!(!lab.device.said.contains(&"LAUNCH".to_owned()) && !lab.sorts.contains(&Sort::Page));
    assert!(!lab.session.holds_page());
}

#[test]
fn another_sender_that_takes_over_is_noticed() {
    // In the same app.
    let mut lab = Lab::new(Device::default());
    lab.open(|_| {}).unwrap();
    lab.device.play("their://film", "Their film");
    lab.tell_status();
    assert_eq!((lab.ended(), lab.ours()), (Some(Ended::Taken), Some(false)));
    assert_eq!(lab.title().as_deref(), Some("Their film"));
    assert!(!lab.session.holds_page());
    lab.want(Wanted::Stop).unwrap();
    assert!(lab.device.app.is_some(), "the page is theirs now");
    // Also when ours had come to its end before.
    let mut lab = Lab::new(Device::default());
    lab.open(|_| {}).unwrap();
    let playing = lab.device.playing.as_mut().unwrap();
    (playing.state, playing.idle) = ("IDLE", Some("FINISHED"));
    lab.tell_status();
    assert!(lab.session.holds_page());
    lab.device.play("their://film", "Their film");
    lab.tell_status();
    assert_eq!((lab.ended(), lab.session.holds_page()), (Some(Ended::Finished), false));
    // With another one.
    let mut lab = Lab::new(Device::default());
    lab.open(|_| {}).unwrap();
    lab.device.launch("OTHER");
    lab.tell_status();
    assert_eq!((lab.ended(), lab.ours(), lab.session.holds_page()), (Some(Ended::Taken), Some(false), false));
    // And by itself it ends otherwise.
    for (reason, how) in [("FINISHED", Ended::Finished), ("ERROR", Ended::Failed), ("CANCELLED", Ended::Stopped)] {
        let mut lab = Lab::new(Device::default());
        lab.open(|_| {}).unwrap();
        let playing = lab.device.playing.as_mut().unwrap();
        (playing.state, playing.idle) = ("IDLE", Some(reason));
        lab.tell_status();
        assert_eq!((lab.ended(), lab.playing()), (Some(how), Some(false)));
    }
}

#[test]
fn a_device_that_says_no_or_never_comes_to_it_is_told_of() {
    let mut lab = Lab::new(Device { refuses: Some(("LAUNCH", "LAUNCH_ERROR")), ..Device::default() });
    assert_eq!(lab.open(|_| {}), Err(Trouble::Refused("LAUNCH_ERROR (BECAUSE)".into())));
    assert!(!lab.session.holds_page());
    let mut lab = Lab::new(Device { refuses: Some(("LOAD", "LOAD_FAILED")), ..Device::default() });
    assert!(matches!(lab.open(|_| {}), Err(Trouble::Unplayable(_))));
    let mut lab = Lab::new(Device { stuck: true, ..Device::default() });
    lab.open(|_| {}).unwrap();
    lab.run(8.0);
    assert_eq!((lab.playing(), lab.moving()), (Some(true), Some(false)));
    lab.run(30.0);
    let looks = lab.looks;
    lab.run(30.0);
    assert!(lab.looks - looks < 10, "it is asked less often then: {}", lab.looks - looks);
    // A jump is no playing.
    lab.device.playing.as_mut().unwrap().position = 50.0;
    lab.tell_status();
    assert_eq!(lab.moving(), Some(false));
}

#[test]
fn answers_under_another_number_answer_nothing() {
    let mut lab = Lab::new(Device::default());
    lab.device.misnumbers = true;
    lab.device.refuses = Some(("LAUNCH", "LAUNCH_ERROR"));
    assert!(matches!(lab.open(|_| {}), Err(Trouble::Ignored(_))), "a refusal of something else");
    lab.device.refuses = None;
    assert!(matches!(lab.want(Wanted::Volume(80)), Err(Trouble::Ignored(_))), "it was never answered");
    // What is seen to play, plays, whoever was answered.
    assert_eq!(lab.open(|_| {}), Ok(()));
    // And nobody but who was asked answers.
    lab.device.misnumbers = false;
    let media = lab.device.media();
    lab.say("impostor", MEDIA, &media);
    lab.say("impostor", CONNECTION, &json!({ "type": "CLOSE" }));
    lab.run(1.0);
    assert!(!lab.is_over() && lab.playing() == Some(true));
}

#[test]
fn silence_floods_and_nonsense_end_the_connection_and_all_that_is_wanted() {
    let mut lab = Lab::new(Device::default());
    lab.device.dead = true;
    lab.session.handle(Input::Wanted(9, Wanted::Volume(1)), lab.now);
    lab.run(14.0);
    assert!(!lab.is_over());
    lab.run(2.0);
    assert!(lab.is_over() && lab.events.iter().any(|event| matches!(event, Event::Done(9, Err(_)))));
    lab.session.handle(Input::Wanted(10, Wanted::Look), lab.now);
    lab.run(0.0);
    assert!(lab.events.contains(&Event::Done(10, Err(Trouble::Lost("the device is away".into())))));

    let mute = Lab::new(Device { dead: true, ..Device::default() });
    let mut lab = mute;
    lab.run(9.0);
    assert!(lab.is_over(), "one that never says how it stands");

    let mut lab = Lab::new(Device::default());
    for _ in 0..300 {
        lab.say(RECEIVER, HEARTBEAT, &json!({ "type": "PONG" }));
    }
    lab.run(0.0);
    assert!(lab.is_over());

    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x00\x00\x00\x02\xff\xff", b"\x00\x00\x00\x00"] {
        let mut lab = Lab::new(Device::default());
        lab.session.handle(Input::Bytes(bytes), lab.now);
        lab.run(0.0);
        assert!(lab.is_over(), "{bytes:?}");
    }
    let mut lab = Lab::new(Device::default());
    lab.say(RECEIVER, CONNECTION, &json!({ "type": "CLOSE" }));
    lab.run(0.0);
    assert!(lab.is_over());
}

#[test]
fn too_much_is_refused_at_once() {
    let mut lab = Lab::new(Device::default());
    lab.device.dead = true;
    for id in 100..200 {
        lab.session.handle(Input::Wanted(id, Wanted::Volume(1)), lab.now);
    }
    lab.run(0.0);
    let refused = lab.events.iter().filter(|event| matches!(event, Event::Done(_, Err(Trouble::Busy)))).count();
    assert_eq!(refused, 83, "one is being done, sixteen wait");
}

#[test]
fn the_page_is_ended_when_the_consent_is_and_known_again_on_another_connection() {
    let mut lab = Lab::new(Device::default());
    lab.open(|_| {}).unwrap();
    let ours = lab.events.iter().rev().find_map(|event| match event {
        Event::Ours(ours) => Some(ours.clone()),
        _ => None,
    });
    let mut again = Lab { session: Session::new("sender-1", ours.flatten(), lab.now), ..Lab::new(Device::default()) };
    again.device = lab.device;
    again.run(3.0);
    assert_eq!((again.ours(), again.moving()), (Some(true), Some(true)));
    again.session.handle(Input::Leave, again.now);
    again.run(0.1);
    assert!(again.device.app.is_none() && !again.session.holds_page());
    assert_eq!(again.ended(), Some(Ended::Stopped));
}

#[test]
fn a_page_that_opens_when_the_consent_is_over_is_ended() {
    for leaves in [true, false] {
        let mut lab = Lab::new(Device { slow: true, ..Device::default() });
        if leaves {
            let opened = Opened {
                address: "http://10.0.0.1/t/media.mp4".into(),
                title: "Accord".into(),
                format: None,
                live: false,
                length: None,
                start: None,
                captions: None,
            };
            lab.session.handle(Input::Wanted(7, Wanted::Open(Box::new(opened))), lab.now);
            lab.run(0.5);
            lab.session.handle(Input::Leave, lab.now);
            lab.run(0.1);
            assert!(lab.events.iter().any(|event| matches!(event, Event::Done(7, Err(_)))));
            assert!(lab.session.holds_page(), "it may open yet");
        } else {
            // Also one that opens too late.
            assert!(matches!(lab.open(|_| {}), Err(Trouble::Ignored(_))));
        }
        assert_eq!(lab.device.said, ["CONNECT", "LAUNCH"]);
        lab.device.launch(DEFAULT_RECEIVER);
        let status = lab.device.status();
        lab.say(RECEIVER, DEVICE, &status);
        lab.run(0.5);
        assert!(lab.device.app.is_none() && !lab.session.holds_page(), "{:?}", lab.device.said);
        // What opens later is somebody else's.
        lab.device.launch(DEFAULT_RECEIVER);
        let status = lab.device.status();
        lab.say(RECEIVER, DEVICE, &status);
        lab.run(0.5);
        assert!(lab.device.app.is_some());
    }
}

proptest::proptest! {
    #[test]
    fn any_words_are_harmless(lines in proptest::collection::vec("[wtrmh]?.{0,60}", 0..20)) {
        fuzz(lines.join("\n").as_bytes());
    }
}
