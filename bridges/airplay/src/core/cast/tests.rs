use super::*;

const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

/// A receiver that behaves, with a clock of its own.
struct Lab {
    cast: Cast,
    now: Instant,
    asked: Vec<String>,
    bodies: Vec<String>,
    events: Vec<Event>,
    sound: Vec<Vec<u8>>,
    control: Vec<Vec<u8>>,
    timing: Vec<(u16, Vec<u8>)>,
    connects: usize,
    /// The status that a method is answered with; no answer at all at 0.
    status: fn(&str) -> u16,
}

impl Lab {
    fn new(loudness: Loudness) -> Self {
        let now = Instant::now();
        Self {
            cast: Cast::new(Names::from_chance([7; 28]), THERE, true, loudness, now),
            now,
            asked: Vec::new(),
            bodies: Vec::new(),
            events: Vec::new(),
            sound: Vec::new(),
            control: Vec::new(),
            timing: Vec::new(),
            connects: 0,
            status: |_| 200,
        }
    }
    fn open() -> Self {
        let mut lab = Self::new(Loudness::default());
        lab.pump();
        assert_eq!(lab.events[0], Event::Ready);
        lab
    }
    fn give(&mut self, input: Input<'_>) {
        self.cast.handle(input, self.now);
        self.pump();
    }
    fn pump(&mut self) {
        loop {
            match self.cast.poll_output() {
                Output::Wait(_) => return,
                Output::Event(event) => self.events.push(event),
                Output::Connect => {
                    self.connects += 1;
                    self.cast.handle(Input::Connected { here: HERE, control: 1001, timing: 1002 }, self.now);
                }
                Output::Datagram { from: Port::Sound, to, bytes } => {
                    assert_eq!(to, 6001);
                    self.sound.push(bytes);
                }
                Output::Datagram { from: Port::Control, to, bytes } => {
                    assert_eq!(to, 6002);
                    self.control.push(bytes);
                }
                Output::Datagram { from: Port::Timing, to, bytes } => self.timing.push((to, bytes)),
                Output::Say(bytes) => self.answer(&String::from_utf8_lossy(&bytes)),
            }
        }
    }
    fn answer(&mut self, request: &str) {
        let method = request.split(' ').next().unwrap().to_owned();
        let number = request.split("CSeq: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let status = (self.status)(&method);
        let (more, body) = match method.as_str() {
            "SETUP" => {
                ("Transport: RTP/AVP/UDP;server_port=6001;control_port=6002;timing_port=6003\r\nSession: S7\r\n", "")
            }
            "GET_PARAMETER" => ("", "volume: -15.0\r\n"),
            _ => ("", ""),
        };
        let answer =
            format!("RTSP/1.0 {status} X\r\nCSeq: {number}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len());
        self.asked.push(method);
        self.bodies.push(request.to_owned());
        if status > 0 {
            self.cast.handle(Input::Answer(answer.as_bytes()), self.now);
        }
    }
    /// Time goes by, with sound as long as there is room and some is left.
    fn go(&mut self, milliseconds: u64, sound: &mut &[u8]) {
        for _ in 0..milliseconds / 4 {
            self.now += Duration::from_millis(4);
            let length = self.cast.room().min(sound.len());
            let (now, later) = sound.split_at(length);
            *sound = later;
            self.give(Input::Sound(now));
        }
    }
    fn last(&self, wanted: fn(&Value) -> bool) -> Option<Value> {
        let values = self.events.iter().filter_map(|event| match event {
            Event::Values(values) => Some(values),
            _ => None,
        });
        values.flatten().copied().rfind(wanted)
    }
    fn moving(&self) -> Option<Value> {
        self.last(|value| matches!(value, Value::Moving(_)))
    }
    fn over(&self) -> Option<&End> {
        self.events.iter().find_map(|event| match event {
            Event::Over(end) => Some(end),
            _ => None,
        })
    }
    fn ask_clock(&mut self) {
        let mut asked = [0; 32];
        (asked[0], asked[1], asked[31]) = (0x80, 0xd2, 9);
        self.give(Input::Timing(&asked, 6003));
    }
}

fn noise(seconds: usize) -> Vec<u8> {
    (0..seconds * 176_400).map(|at| (at * 7 % 251) as u8).collect()
}

#[test]
fn it_begins_plays_to_the_end_and_says_good_bye() {
    let mut lab = Lab::open();
    assert_eq!(lab.asked, ["OPTIONS", "ANNOUNCE", "SETUP", "RECORD", "GET_PARAMETER", "SET_PARAMETER"]);
    assert!(lab.bodies[3].contains("Session: S7\r\n") && lab.bodies[3].contains("DACP-ID: 0707070707070707\r\n"));
    assert_eq!(lab.last(|value| matches!(value, Value::Volume(_))), Some(Value::Volume(50)), "as it said");
    let sound = noise(3);
    lab.go(2990, &mut &sound[..]);
    assert_eq!(lab.control[0][..2], [0x90, 0xd4], "the clock comes first");
    assert_eq!(lab.control.len(), 3);
    assert_eq!(lab.sound[0][..2], [0x80, 0xe0]);
    lab.give(Input::End);
    lab.go(1000, &mut &[][..]);
    assert_eq!(lab.sound.len(), 376 + 25, "all, and the silence before it");
    assert_eq!(lab.over(), None, "two seconds are still to be heard");
    lab.go(1400, &mut &[][..]);
    assert_eq!(lab.over(), Some(&End::Played));
    assert_eq!(lab.asked.last().unwrap(), "TEARDOWN");
}

#[test]
fn it_moves_only_while_the_receiver_asks_for_the_time() {
    let mut lab = Lab::open();
    let sound = noise(40);
    let mut rest = &sound[..];
    lab.go(4000, &mut rest);
    assert_eq!(lab.moving(), Some(Value::Moving(false)), "nothing shows that it plays");
    lab.ask_clock();
    assert_eq!((lab.timing[0].0, lab.timing[0].1[1], lab.timing[0].1[15]), (6003, 0xd3, 9));
    lab.go(2000, &mut rest);
    assert_eq!(lab.moving(), Some(Value::Moving(true)));
    let Some(Value::Position(position)) = lab.last(|value| matches!(value, Value::Position(_))) else { panic!() };
    assert!((2.7..3.9).contains(&position), "{position}");
    lab.go(12_000, &mut rest);
    assert_eq!(lab.moving(), Some(Value::Moving(false)), "it has not asked for long");
    assert!(lab.asked.iter().filter(|method| *method == "OPTIONS").count() > 2, "it is asked whether it is there");
}

#[test]
fn a_pause_is_flushed_and_it_goes_on_where_it_was_heard() {
    let mut lab = Lab::open();
    let sound = noise(10);
    let mut rest = &sound[..];
    lab.go(3000, &mut rest);
    let sent = lab.sound.len();
    lab.give(Input::Wanted(1, Wanted::Pause));
    assert!(lab.events.contains(&Event::Done(1, Ok(()))));
    assert_eq!(lab.asked.last().unwrap(), "FLUSH");
    assert!(lab.bodies.last().unwrap().contains("RTP-Info: seq="));
    lab.go(8000, &mut rest);
    assert_eq!(lab.sound.len(), sent);
    lab.give(Input::Wanted(2, Wanted::Play));
    lab.go(300, &mut rest);
    assert_eq!(lab.sound[sent][1], 0xe0);
    let first = &lab.sound[sent + 25];
    let again = lab.sound[..sent].iter().position(|packet| packet[12..] == first[12..]).unwrap();
    assert!((120..130).contains(&again), "one second was heard: {again}");
    assert_eq!(lab.control.iter().filter(|clock| clock[0] == 0x90).count(), 2);
}

#[test]
fn a_connection_that_ends_in_a_pause_is_made_anew_and_one_that_ends_while_it_plays_is_lost() {
    let mut lab = Lab::open();
    let sound = noise(10);
    let mut rest = &sound[..];
    lab.go(3000, &mut rest);
    lab.give(Input::Wanted(1, Wanted::PlayPause));
    lab.give(Input::Closed("the device ended it".into()));
    assert_eq!((lab.over(), lab.connects), (None, 1));
    let sent = lab.sound.len();
    lab.give(Input::Wanted(2, Wanted::PlayPause));
    assert_eq!(lab.connects, 2);
    assert_eq!(lab.events.iter().filter(|event| **event == Event::Ready).count(), 1);
    lab.go(500, &mut rest);
    assert!(lab.sound.len() > sent + 50);
    lab.give(Input::Closed("the device ended it".into()));
    assert_eq!(lab.over(), Some(&End::Lost("the device ended it".into())));
    lab.give(Input::Wanted(3, Wanted::Play));
    assert!(lab.events.iter().any(|event| matches!(event, Event::Done(3, Err(_)))));
}

#[test]
fn a_receiver_that_no_longer_answers_is_lost() {
    let mut lab = Lab::open();
    lab.status = |_| 0;
    let sound = noise(20);
    lab.go(10_000, &mut &sound[..]);
    assert_eq!(lab.over(), None);
    lab.go(1500, &mut &[][..]);
    assert_eq!(lab.over(), Some(&End::Lost("it no longer answers".into())));
}

#[test]
fn refusals_say_why() {
    for (method, status, why) in [
        ("ANNOUNCE", 453, "somebody else"),
        ("OPTIONS", 401, "password"),
        ("SETUP", 403, "in the open"),
        ("RECORD", 500, "(500)"),
    ] {
        let mut lab = Lab::new(Loudness::default());
        // A function pointer takes nothing along.
        lab.status = match method {
            "ANNOUNCE" => |method| if method == "ANNOUNCE" { 453 } else { 200 },
            "OPTIONS" => |_| 401,
            "SETUP" => |method| if method == "SETUP" { 403 } else { 200 },
            _ => |method| if method == "RECORD" { 500 } else { 200 },
        };
        lab.pump();
        let Some(End::Refused(said)) = lab.over() else { panic!("{method} {status}: {:?}", lab.events) };
        assert!(said.contains(why), "{said}");
        assert!(!lab.events.contains(&Event::Ready));
    }
}

#[test]
fn volume_goes_both_ways_and_is_kept_for_the_next_time() {
    let mut lab = Lab::new(Loudness { volume: Some(30), wanted: true, muted: false });
    lab.pump();
    assert!(lab.bodies.iter().any(|request| request.contains("volume: -21.000000\r\n")));
    assert!(!lab.asked.contains(&"GET_PARAMETER".to_owned()));
    lab.give(Input::Wanted(1, Wanted::Muted(true)));
    assert!(lab.bodies.last().unwrap().contains("volume: -144.000000\r\n"));
    lab.give(Input::Wanted(2, Wanted::Muted(false)));
    assert!(lab.bodies.last().unwrap().contains("volume: -21.000000\r\n"));
    lab.give(Input::Wanted(3, Wanted::Volume(100)));
    assert!(lab.bodies.last().unwrap().contains("volume: 0.000000\r\n"));
    assert_eq!(lab.cast.loudness(), Loudness { volume: Some(100), wanted: true, muted: false });
    lab.status = |_| 400;
    lab.give(Input::Wanted(4, Wanted::Volume(1)));
    assert!(lab.events.iter().any(|event| matches!(event, Event::Done(4, Err(_)))));
}

#[test]
fn what_is_wanted_again_is_sent_and_no_more_than_is_reasonable() {
    let mut lab = Lab::open();
    let sound = noise(10);
    lab.go(3000, &mut &sound[..]);
    let before = lab.control.len();
    let seq = u16::from_be_bytes([lab.sound[20][2], lab.sound[20][3]]).to_be_bytes();
    lab.give(Input::Control(&[0x80, 0xd5, 0, 1, seq[0], seq[1], 0, 2]));
    assert_eq!(lab.control.len(), before + 2);
    assert_eq!((&lab.control[before][..4], &lab.control[before][4..]), (&[0x80, 0xd6, 0, 1][..], &lab.sound[20][..]));
    for _ in 0..100 {
        lab.give(Input::Control(&[0x80, 0xd5, 0, 1, seq[0], seq[1], 0xff, 0xff]));
        lab.ask_clock();
    }
    assert_eq!(lab.control.len(), before + AGAIN_A_SECOND as usize);
    assert_eq!(lab.timing.len(), CLOCK_A_SECOND as usize);
}

#[test]
fn a_stop_ends_it_even_if_nobody_answers() {
    let mut lab = Lab::open();
    let sound = noise(10);
    lab.go(1000, &mut &sound[..]);
    lab.status = |_| 0;
    lab.give(Input::Wanted(1, Wanted::Stop));
    assert!(lab.events.contains(&Event::Done(1, Ok(()))) && lab.over().is_none());
    let sent = lab.sound.len();
    lab.go(1100, &mut &[][..]);
    assert_eq!((lab.over(), lab.sound.len()), (Some(&End::Stopped), sent));
}

#[test]
fn answers_that_nobody_asked_for_end_it() {
    let mut lab = Lab::open();
    lab.give(Input::Answer(b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n"));
    assert!(matches!(lab.over(), Some(End::Lost(_))));
    let mut lab = Lab::open();
    lab.give(Input::Answer(b"GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(lab.over(), Some(&End::Lost("what answers there does not speak RTSP".into())));
}

#[test]
fn nothing_that_comes_makes_it_panic() {
    let mut state = 1_u64;
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..400)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let byte = (state >> 56) as u8;
                if byte < 60 { b"\xfeactspvex"[usize::from(byte) % 9] } else { byte }
            })
            .collect();
        fuzz(&bytes);
    }
}
