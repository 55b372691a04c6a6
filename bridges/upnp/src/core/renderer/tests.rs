use std::time::Duration;

use super::super::description::{Renderer as Described, Service};
use super::super::didl::Item;
use super::super::gena::{Change, Notice, Sid, Teller};
use super::super::http::Answer;
use super::super::place::Place;
use super::*;

/// A renderer that does as it is told, but for its faults.
#[derive(Default)]
struct Device {
    state: &'static str,
    uri: String,
    position: f64,
    volume: u16,
    muted: bool,
    /// Refuse this action, with this code.
    refuses: Option<(&'static str, u32)>,
    /// Say yes to seeking and stay.
    ignores_seek: bool,
    /// Say PLAYING and stand still.
    stuck: bool,
    /// Set volume to zero with mute, and leave it there (Rygel).
    forgets_volume: bool,
    /// Begin by itself when an address is set.
    eager: bool,
    /// Do not answer at all.
    dead: bool,
    /// Take subscriptions; answer nothing to them.
    tells: bool,
    mute_of_events: bool,
    /// Can play only after so many looks.
    ready_after: u32,
    said: Vec<String>,
}

const NEXT: &[&str] = &["Play", "Stop", "Pause", "Seek", "Next", "SetNextAVTransportURI", "GetCurrentTransportActions"];

impl Device {
    fn grants(&self, sid: &str) -> Answer {
        let status = if self.tells { 200 } else { 501 };
        Answer { status, subscribed: [Some(sid.into()), Some("Second-300".into())], ..Answer::default() }
    }

    fn answer(&mut self, ask: &Ask) -> Result<Answer, String> {
        if self.dead {
            return Err("nobody answers".into());
        }
        let (action, body) = match ask {
            Ask::Describe(place) => {
                let actions = if place.path == "/rc.xml" { &["SetVolume", "SetMute"] } else { NEXT };
                let actions: String = actions.iter().map(|a| format!("<action><name>{a}</name></action>")).collect();
                let range = "<stateVariable><name>Volume</name><allowedValueRange><minimum>0</minimum><maximum>40</maximum></allowedValueRange></stateVariable>";
                let body = format!(
                    "<scpd><actionList>{actions}</actionList><serviceStateTable>{range}</serviceStateTable></scpd>"
                );
                return Ok(Answer { status: 200, body: body.into_bytes(), ..Answer::default() });
            }
            Ask::Subscribe { .. } if self.mute_of_events => return Err("it does not answer".into()),
            Ask::Subscribe { teller, .. } => {
                self.said.push(format!("Subscribe{}", teller.path()));
                return Ok(self.grants(&format!("uuid:{}", teller.path())));
            }
            Ask::Renew { .. } => {
                self.said.push("Renew".into());
                return Ok(self.grants("uuid:/1"));
            }
            Ask::Call { action, body, .. } => (*action, body.as_str()),
        };
        if !action.starts_with("Get") {
            self.said.push(action.to_owned());
        }
        if let Some((_, code)) = self.refuses.filter(|(refused, _)| *refused == action) {
            let body = format!("<e><UPnPError><errorCode>{code}</errorCode></UPnPError></e>");
            return Ok(Answer { status: 500, body: body.into_bytes(), ..Answer::default() });
        }
        let given = |name: &str| {
            let text = body.split(&format!("<{name}>")).nth(1).and_then(|rest| rest.split("</").next());
            text.unwrap_or_default().to_owned()
        };
        let out = match action {
            "GetTransportInfo" => format!("<CurrentTransportState>{}</CurrentTransportState>", self.state),
            "GetPositionInfo" => {
                self.position += if self.state == "PLAYING" && !self.stuck { 1.0 } else { 0.0 };
                let position = super::super::soap::clock(self.position);
                let uri = &self.uri;
                format!(
                    "<TrackURI>{uri}</TrackURI><RelTime>{position}</RelTime><TrackDuration>0:03:20.500</TrackDuration><TrackMetaData>&lt;DIDL-Lite&gt;&lt;title&gt;Song&lt;/title&gt;&lt;/DIDL-Lite&gt;</TrackMetaData>"
                )
            }
            "GetVolume" => format!("<CurrentVolume>{}</CurrentVolume>", self.volume),
            "GetMute" => format!("<CurrentMute>{}</CurrentMute>", u8::from(self.muted)),
            "GetProtocolInfo" => "<Sink>http-get:*:audio/mpeg:DLNA.ORG_PN=MP3,http-get:*:video/mp4:*</Sink>".into(),
            "GetCurrentTransportActions" => {
                self.ready_after = self.ready_after.saturating_sub(1);
                let more = if self.ready_after == 0 { "\\,PLAY" } else { "" };
                format!("<Actions>Stop,Seek{more}</Actions>")
            }
            "Play" => {
                assert_eq!(self.ready_after, 0, "it is not ready");
                self.state = "PLAYING";
                String::new()
            }
            "Pause" => {
                self.state = "PAUSED_PLAYBACK";
                String::new()
            }
            "Stop" => {
                self.state = "STOPPED";
                String::new()
            }
            "SetAVTransportURI" => {
                self.uri = given("CurrentURI");
                self.position = 0.0;
                if self.eager {
                    self.state = "PLAYING";
                    self.refuses = Some(("Play", 701));
                }
                String::new()
            }
            "Seek" => {
                if !self.ignores_seek {
                    self.position = super::super::soap::seconds(&given("Target")).unwrap();
                }
                String::new()
            }
            "SetVolume" => {
                self.volume = given("DesiredVolume").parse().unwrap();
                String::new()
            }
            "SetMute" => {
                self.muted = given("DesiredMute") == "1";
                if self.forgets_volume && self.muted {
                    self.volume = 0;
                }
                String::new()
            }
            _ => String::new(),
        };
        let body = format!(
            "<s:Envelope xmlns:s='s'><s:Body><u:{action}Response xmlns:u='u'>{out}</u:{action}Response></s:Body></s:Envelope>"
        );
        Ok(Answer { status: 200, body: body.into_bytes(), ..Answer::default() })
    }
}

fn opens(start: Option<f64>) -> Wanted {
    let item = Item { title: "A & B".into(), ..Item::at("http://10.0.0.1/x?a&b.mp3") };
    Wanted::Open { item: Box::new(item), start, manner: Manner::default() }
}

struct Lab {
    machine: Renderer,
    device: Device,
    now: Instant,
    values: Vec<Value>,
    asked: usize,
}

impl Lab {
    fn new(device: Device) -> Self {
        let place = |path: &str| Place::parse(&format!("http://10.0.0.2:80{path}")).unwrap();
        let service = |kind: &str, scpd: &str| Service {
            kind: format!("urn:schemas-upnp-org:service:{kind}:1"),
            control: place("/control"),
            scpd: Some(place(scpd)),
            events: Some(place(scpd.trim_end_matches(".xml"))),
        };
        let described = Described {
            transport: service("AVTransport", "/av.xml"),
            rendering: Some(service("RenderingControl", "/rc.xml")),
            connection: Some(service("ConnectionManager", "/cm.xml")),
        };
        let device = Device { state: if device.state.is_empty() { "STOPPED" } else { device.state }, ..device };
        let now = Instant::now();
        let mut lab = Self { machine: Renderer::new(described, now), device, now, values: Vec::new(), asked: 0 };
        lab.machine.handle(Input::Timeout, now);
        lab
    }

    /// Runs until nothing is due before `until`; what was said.
    fn run(&mut self, until: Duration) -> Vec<Event> {
        let end = self.now + until;
        let mut said = Vec::new();
        loop {
            match self.machine.poll_output() {
                Output::Ask(ask) => {
                    self.asked += 1;
                    let answer = self.device.answer(&ask);
                    self.machine.handle(Input::Answered(answer), self.now);
                }
                Output::Event(Event::Values(values)) => self.values.extend(values),
                Output::Event(event) => said.push(event),
                Output::Wait(Some(wake)) if wake <= end => {
                    self.now = self.now.max(wake);
                    self.machine.handle(Input::Timeout, self.now);
                }
                Output::Wait(_) => {
                    self.now = end;
                    return said;
                }
            }
        }
    }

    fn want(&mut self, wanted: Wanted) -> Result<(), Trouble> {
        self.machine.handle(Input::Wanted(7, wanted), self.now);
        let said = self.run(Duration::from_secs(12));
        said.into_iter()
            .find_map(|event| if let Event::Done(7, outcome) = event { Some(outcome) } else { None })
            .unwrap()
    }

    fn open(&mut self) -> Result<(), Trouble> {
        self.want(opens(None))
    }

    fn last(&self, fits: impl Fn(&Value) -> bool) -> Option<&Value> {
        self.values.iter().rev().find(|value| fits(value))
    }
}

#[test]
fn it_says_what_it_can_do_and_how_it_stands() {
    let mut lab = Lab::new(Device { volume: 10, ..Device::default() });
    let said = lab.run(Duration::ZERO);
    let offers =
        Offers { pause: true, seek: true, next: true, previous: false, volume: true, mute: true, enqueue: true };
    assert!(said.contains(&Event::Offers(offers)), "{said:?}");
    let types = vec!["audio/mpeg".to_owned(), "video/mp4".to_owned()];
    assert!(said.contains(&Event::Formats(Formats { video: true, audio: true, image: false, types })), "{said:?}");
    for value in [Value::Playing(false), Value::Length(200.5), Value::Volume(25), Value::Muted(false)] {
        assert!(lab.values.contains(&value), "{value:?} in {:?}", lab.values);
    }
    assert!(
        lab.values.iter().any(|value| matches!(value, Value::Track(track) if track.title.as_deref() == Some("Song")))
    );
    let asked = lab.asked;
    lab.run(Duration::from_secs(590));
    assert_eq!(lab.asked, asked, "one that is stopped is left alone");
    lab.run(Duration::from_secs(86_400));
    assert!(lab.asked - asked <= 2 * 150, "but for asking it to tell of changes: {}", lab.asked - asked);
    let asked = lab.asked;
    lab.machine.handle(Input::Heard, lab.now);
    lab.machine.handle(Input::Heard, lab.now);
    lab.run(Duration::ZERO);
    assert_eq!(lab.asked, asked + 2, "and asked once when it announces itself");
}

#[test]
fn what_is_next_is_given_beforehand_and_it_is_told_when_it_went_on_with_that() {
    let mut lab = Lab::new(Device::default());
    lab.run(Duration::ZERO);
    lab.open().unwrap();
    let follows = |clear_next| {
        let item = Box::new(Item::at("http://10.0.0.1/next.flac"));
        Wanted::Enqueue { item, manner: Manner { clear_next, ..Manner::default() } }
    };
    lab.device.said.clear();
    assert!(matches!(lab.want(follows(false)), Err(Trouble::NotNow(_))), "one that cannot take it back");
    assert!(lab.device.said.is_empty());
    lab.want(follows(true)).unwrap();
    assert_eq!(lab.device.said, ["SetNextAVTransportURI"]);
    assert!(!lab.values.iter().any(|value| matches!(value, Value::Turn(_))), "it plays the first still");
    lab.device.uri = "http://10.0.0.1/next.flac".into();
    lab.run(Duration::from_secs(3));
    assert_eq!(lab.last(|value| matches!(value, Value::Turn(_))), Some(&Value::Turn(1)));
    lab.run(Duration::from_secs(10));
    assert_eq!(lab.values.iter().filter(|value| matches!(value, Value::Turn(_))).count(), 1);
    // What was given and not begun is taken back with a stop.
    lab.device.uri = "http://10.0.0.1/x".into();
    lab.want(follows(true)).unwrap();
    lab.device.said.clear();
    lab.want(Wanted::Stop).unwrap();
    assert_eq!(lab.device.said, ["SetNextAVTransportURI", "Stop"]);
    lab.device.refuses = Some(("SetNextAVTransportURI", 501));
    assert!(matches!(lab.want(follows(true)), Err(Trouble::Refused(_))));
}

#[test]
fn an_address_is_played_after_what_played_was_stopped() {
    let mut lab = Lab::new(Device { state: "PLAYING", ..Device::default() });
    lab.run(Duration::ZERO);
    lab.device.said.clear();
    assert_eq!(lab.open(), Ok(()));
    assert_eq!(lab.device.said, ["Stop", "SetNextAVTransportURI", "SetAVTransportURI", "Play"]);
    assert_eq!(lab.device.uri, "http://10.0.0.1/x?a&amp;b.mp3");
    assert_eq!(lab.last(|value| matches!(value, Value::Moving(_))), Some(&Value::Moving(true)));
    let asked = lab.asked;
    lab.run(Duration::from_secs(10));
    assert!((20..40).contains(&(lab.asked - asked)), "about once a second while it plays: {}", lab.asked - asked);
}

#[test]
fn one_that_begins_by_itself_refuses_to_play_in_vain() {
    let mut lab = Lab::new(Device { eager: true, ..Device::default() });
    assert_eq!(lab.open(), Ok(()));
    let mut lab = Lab::new(Device { refuses: Some(("Play", 701)), ..Device::default() });
    let Err(Trouble::Refused(fault)) = lab.open() else { panic!("it does not play") };
    assert!(fault.to_string().contains("present state"), "{fault}");
    let mut lab = Lab::new(Device { refuses: Some(("SetAVTransportURI", 714)), ..Device::default() });
    assert!(matches!(lab.open(), Err(Trouble::Refused(_))));
    assert!(!lab.device.said.contains(&"Play".to_owned()), "what is not loaded is not played");
}

#[test]
fn pause_play_stop_and_seek_are_seen_before_they_are_believed() {
    let mut lab = Lab::new(Device::default());
    assert_eq!(lab.want(Wanted::Pause), Err(Trouble::NotNow("nothing plays there")));
    lab.open().unwrap();
    for (wanted, state) in [
        (Wanted::Pause, "PAUSED_PLAYBACK"),
        (Wanted::Pause, "PAUSED_PLAYBACK"),
        (Wanted::PlayPause, "PLAYING"),
        (Wanted::Play, "PLAYING"),
        (Wanted::PlayPause, "PAUSED_PLAYBACK"),
    ] {
        assert_eq!(lab.want(wanted.clone()), Ok(()), "{wanted:?}");
        assert_eq!(lab.device.state, state);
    }
    assert_eq!(lab.want(Wanted::Seek(100.7)), Ok(()));
    assert_eq!(lab.device.position, 100.0);
    lab.device.ignores_seek = true;
    assert_eq!(lab.want(Wanted::Seek(20.0)), Err(Trouble::Ignored("it did not go there")));
    assert_eq!(lab.want(Wanted::Stop), Ok(()));
    lab.device.refuses = Some(("Stop", 701));
    assert_eq!(lab.want(Wanted::Stop), Ok(()), "what is stopped need not be stopped");
    lab.device.state = "PLAYING";
    assert_eq!(lab.want(Wanted::Stop), Err(Trouble::Ignored("it did not stop")));
}

#[test]
fn volume_is_in_percent_and_comes_back_after_silence() {
    let mut lab = Lab::new(Device { volume: 20, forgets_volume: true, ..Device::default() });
    lab.run(Duration::ZERO);
    assert_eq!(lab.want(Wanted::Volume(50)), Ok(()));
    assert_eq!(lab.device.volume, 20);
    lab.want(Wanted::Volume(100)).unwrap();
    assert_eq!(lab.device.volume, 40, "never beyond its own range");
    lab.want(Wanted::Muted(true)).unwrap();
    assert_eq!((lab.device.muted, lab.device.volume), (true, 0));
    lab.want(Wanted::Muted(false)).unwrap();
    assert_eq!((lab.device.muted, lab.device.volume), (false, 40));
    assert_eq!(lab.last(|value| matches!(value, Value::Volume(_))), Some(&Value::Volume(100)));
}

#[test]
fn one_that_only_says_that_it_plays_does_not_move() {
    let mut lab = Lab::new(Device { stuck: true, ..Device::default() });
    lab.open().unwrap();
    assert_eq!(lab.last(|value| matches!(value, Value::Playing(_))), Some(&Value::Playing(true)));
    assert_eq!(lab.last(|value| matches!(value, Value::Moving(_))), Some(&Value::Moving(false)));
    let asked = lab.asked;
    lab.run(Duration::from_secs(60));
    assert!(lab.asked - asked < 60, "it is asked less often then: {}", lab.asked - asked);
}

#[test]
fn one_that_no_longer_answers_is_told_of_and_the_rest_is_not_kept_waiting() {
    let mut lab = Lab::new(Device::default());
    lab.open().unwrap();
    lab.device.dead = true;
    assert_eq!(lab.want(Wanted::Stop), Err(Trouble::Lost("nobody answers".into())));
    lab.machine.handle(Input::Wanted(8, Wanted::Stop), lab.now);
    assert!(lab.run(Duration::from_secs(1)).contains(&Event::Silent));
}

#[test]
fn one_that_does_not_know_events_is_there_all_the_same() {
    let mut lab = Lab::new(Device { mute_of_events: true, ..Device::default() });
    for _ in 0..20 {
        assert!(!lab.run(Duration::from_secs(600)).contains(&Event::Silent));
    }
    assert_eq!(lab.open(), Ok(()));
}

#[test]
fn too_much_is_refused_at_once() {
    let mut lab = Lab::new(Device::default());
    // The first question is not answered yet.
    let Output::Ask(_) = lab.machine.poll_output() else { panic!() };
    for id in 0..100 {
        lab.machine.handle(Input::Wanted(id, Wanted::Next), lab.now);
    }
    let mut refused = 0;
    while let Output::Event(event) = lab.machine.poll_output() {
        refused += usize::from(matches!(event, Event::Done(_, Err(Trouble::Busy))));
    }
    assert_eq!(refused, 84);
}

#[test]
fn nonsense_for_an_answer_harms_nothing() {
    for body in [&b""[..], b"<", b"\xff\xfe", b"<s:Envelope/>"] {
        let mut lab = Lab::new(Device::default());
        lab.machine.handle(Input::Wanted(7, Wanted::Play), lab.now);
        let mut done = false;
        for _ in 0..200 {
            match lab.machine.poll_output() {
                Output::Ask(_) => {
                    let answer = Answer { status: 200, body: body.to_vec(), ..Answer::default() };
                    lab.machine.handle(Input::Answered(Ok(answer)), lab.now);
                }
                Output::Event(Event::Done(7, outcome)) => done = outcome.is_err(),
                Output::Event(_) => {}
                Output::Wait(_) => break,
            }
        }
        assert!(done, "{body:?}");
    }
}

#[test]
fn one_that_is_locked_is_stopped_once_more_and_one_that_is_not_ready_is_waited_for() {
    let mut lab = Lab::new(Device { ready_after: 3, ..Device::default() });
    assert_eq!(lab.open(), Ok(()));
    for code in [705, 701] {
        let mut lab = Lab::new(Device { refuses: Some(("SetAVTransportURI", code)), ..Device::default() });
        assert!(lab.open().is_err(), "it stays as it is");
        let loads = lab.device.said.iter().filter(|said| *said == "SetAVTransportURI").count();
        assert_eq!((loads, lab.device.said.contains(&"Stop".to_owned())), (2, true));
    }
}

#[test]
fn one_that_wants_to_be_told_otherwise_is() {
    let mut lab = Lab::new(Device { state: "PLAYING", ..Device::default() });
    lab.run(Duration::ZERO);
    lab.device.said.clear();
    let rest = Duration::from_secs(2);
    let manner = Manner { stop_first: false, clear_next: false, metadata: false, rest, ..Manner::default() };
    let Wanted::Open { item, start, .. } = opens(None) else { panic!() };
    let begun = lab.now;
    lab.machine.handle(Input::Wanted(7, Wanted::Open { item, start, manner }), begun);
    assert!(!lab.run(Duration::from_millis(1900)).iter().any(|event| matches!(event, Event::Done(7, _))));
    assert_eq!(lab.device.said, ["SetAVTransportURI"]);
    assert!(lab.run(Duration::from_secs(1)).contains(&Event::Done(7, Ok(()))));
}

#[test]
fn a_start_is_gone_to_once_it_moves_unless_something_else_is_wanted() {
    let mut lab = Lab::new(Device::default());
    assert_eq!(lab.want(opens(Some(100.0))), Ok(()));
    lab.run(Duration::from_secs(5));
    assert_eq!(lab.device.said.iter().filter(|said| *said == "Seek").count(), 1);
    assert!(lab.device.position >= 100.0);
    let mut lab = Lab::new(Device { stuck: true, ..Device::default() });
    lab.want(opens(Some(100.0))).unwrap();
    lab.want(Wanted::Stop).unwrap();
    lab.device.stuck = false;
    lab.want(Wanted::Play).unwrap();
    lab.run(Duration::from_secs(5));
    assert!(!lab.device.said.contains(&"Seek".to_owned()));
}

fn notice(sid: &str, number: u32, changes: &[(&str, &str)]) -> Notice {
    let change = |(name, value): &(&str, &str)| Change { name: (*name).to_owned(), value: (*value).to_owned() };
    Notice { sid: Sid::parse(sid).unwrap(), number, changes: changes.iter().map(change).collect() }
}

#[test]
fn what_it_tells_is_believed_of_its_own_subscription_and_looked_at_less_often() {
    let mut lab = Lab::new(Device { tells: true, volume: 10, ..Device::default() });
    lab.run(Duration::from_secs(1));
    assert_eq!(lab.device.said, ["Subscribe/1", "Subscribe/2"]);
    let tell = |lab: &mut Lab, teller, notice| lab.machine.notified(teller, notice, lab.now);
    let playing = [("TransportState", "PLAYING"), ("CurrentTrackDuration", "0:01:00")];
    for foreign in ["uuid:/2", "uuid:other"] {
        assert_eq!(tell(&mut lab, Teller::Transport, notice(foreign, 0, &playing)), 412, "{foreign}");
    }
    assert!(!lab.values.contains(&Value::Playing(true)));
    lab.device.state = "PLAYING";
    assert_eq!(tell(&mut lab, Teller::Transport, notice("uuid:/1", 0, &playing)), 200);
    let volume = [("Volume", "20"), ("Mute", "1"), ("Volume", "-3"), ("Nonsense", "x")];
    assert_eq!(tell(&mut lab, Teller::Rendering, notice("uuid:/2", 0, &volume)), 200);
    lab.run(Duration::from_secs(10));
    for value in [Value::Playing(true), Value::Length(60.0), Value::Volume(50), Value::Muted(true), Value::Moving(true)]
    {
        assert!(lab.values.contains(&value), "{value:?}");
    }
    let asked = lab.asked;
    lab.run(Duration::from_secs(20));
    assert!((16..=24).contains(&(lab.asked - asked)), "half as often: {}", lab.asked - asked);

    // One that came already, and one from which others are missing.
    lab.device.state = "STOPPED";
    assert_eq!(tell(&mut lab, Teller::Transport, notice("uuid:/1", 0, &[("TransportState", "STOPPED")])), 200);
    lab.run(Duration::from_secs(5));
    assert_eq!(lab.last(|value| matches!(value, Value::Playing(_))), Some(&Value::Playing(false)));
    let asked = lab.asked;
    assert_eq!(tell(&mut lab, Teller::Transport, notice("uuid:/1", 9, &[])), 200);
    lab.run(Duration::from_secs(5));
    assert!(lab.asked > asked, "it is looked at what was missed");
    let flooded =
        (0..1000).filter(|number| tell(&mut lab, Teller::Transport, notice("uuid:/1", 10 + number, &[])) == 503);
    assert!(flooded.count() > 900);

    // However much one event holds, it becomes one message.
    lab.run(Duration::from_secs(2));
    let loud: Vec<String> = (0..128).map(|volume| (volume % 40).to_string()).collect();
    let many: Vec<(&str, &str)> = loud.iter().map(|volume| ("Volume", volume.as_str())).collect();
    assert_eq!(tell(&mut lab, Teller::Rendering, notice("uuid:/2", 1, &many)), 200);
    let Output::Event(Event::Values(values)) = lab.machine.poll_output() else { panic!("nothing is told") };
    assert_eq!(values, [Value::Volume(18)]);
    assert!(!matches!(lab.machine.poll_output(), Output::Event(_)));

    lab.run(Duration::from_secs(200));
    assert!(lab.device.said.contains(&"Renew".to_owned()));
    assert_eq!(lab.machine.subscriptions().len(), 2);
    lab.machine.handle(Input::Deaf, lab.now);
    assert!(lab.machine.subscriptions().is_empty());
}

#[test]
fn what_is_told_before_the_subscription_is_answered_counts_once_it_is() {
    let mut lab = Lab::new(Device { tells: true, ..Device::default() });
    let mut early = false;
    for _ in 0..60 {
        match lab.machine.poll_output() {
            Output::Ask(ask) => {
                if matches!(ask, Ask::Subscribe { teller: Teller::Transport, .. }) {
                    early = true;
                    let told = notice("uuid:/1", 0, &[("CurrentTrackDuration", "0:00:07")]);
                    assert_eq!(lab.machine.notified(Teller::Transport, told, lab.now), 200);
                    assert!(!lab.values.contains(&Value::Length(7.0)));
                }
                let answer = lab.device.answer(&ask);
                lab.machine.handle(Input::Answered(answer), lab.now);
            }
            Output::Event(Event::Values(values)) => lab.values.extend(values),
            Output::Event(_) => {}
            Output::Wait(_) => lab.machine.handle(Input::Timeout, lab.now),
        }
    }
    assert!(early && lab.values.contains(&Value::Length(7.0)));
}

#[test]
fn formats_are_read_each_once_and_not_without_end() {
    let types = |sink: &str| Formats::parse(sink).types;
    let sink = "http-get:*:Audio/MPEG:DLNA.ORG_PN=MP3, http-get:*:audio/mpeg:*,rtsp-rtp-udp:*:video/x:*,http-get:*:image/jpeg:a=1\\,b:c:d/e:f,,x,http-get:*:*:*";
    assert_eq!(types(sink), ["*/*", "audio/mpeg", "image/jpeg"]);
    let many: String = (0..100_000).map(|number| format!("http-get:*:video/x{number}:*,")).collect();
    assert_eq!(types(&many).len(), MAX_TYPES);
    assert!(types(&format!("http-get:*:video/{}:*", "x".repeat(1 << 20))).is_empty());
}
