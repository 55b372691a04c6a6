use super::*;
use crate::core::packet::{hello, open, seal};

const TOKEN: [u8; 16] = [7; 16];
const DID: u64 = 77;

/// A device that answers as it is told.
struct Device {
    line: Line,
    now: Instant,
    heard: Vec<Value>,
}

impl Device {
    fn new() -> Self {
        Self { line: Line::new(Token::new(TOKEN), Some(DID), 100), now: Instant::now(), heard: Vec::new() }
    }

    /// One that was added by address: its number is not known.
    fn unknown() -> Self {
        Self { line: Line::new(Token::new(TOKEN), None, 100), ..Self::new() }
    }

    fn ask(&mut self) {
        self.line.ask(Question::new("get_prop", json!(["power"])), self.now);
    }

    /// What is sent now, greetings as null; and the answer, if there is one.
    fn drain(&mut self) -> (Vec<Value>, Option<Result<Value, Failure>>) {
        let (mut sent, mut answer) = (Vec::new(), None);
        loop {
            match self.line.poll_output() {
                Output::Send(bytes) if bytes == hello() => sent.push(Value::Null),
                Output::Send(bytes) => {
                    let plain = open(&Token::new(TOKEN), &bytes).unwrap().1;
                    let question: Value = serde_json::from_slice(&plain).unwrap();
                    self.heard.push(question.clone());
                    sent.push(question);
                }
                Output::Answer(given) => answer = Some(given),
                Output::Wait(_) => return (sent, answer),
            }
        }
    }

    fn greets(&mut self, did: u64, stamp: u32) {
        let mut bytes = hello();
        bytes[4..12].copy_from_slice(&did.to_be_bytes());
        bytes[12..16].copy_from_slice(&stamp.to_be_bytes());
        self.line.datagram(&bytes, self.now);
    }

    fn says(&mut self, text: &str) {
        let bytes = seal(&Token::new(TOKEN), Head { did: DID, stamp: 500 }, text.as_bytes()).unwrap();
        self.line.datagram(&bytes, self.now);
    }

    fn answers(&mut self, result: &str) {
        let id = self.heard.last().unwrap()["id"].clone();
        self.says(&format!("{{\"id\":{id},{result}}}"));
    }

    fn passes(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.line.timeout(self.now);
    }
}

#[test]
fn a_device_is_greeted_once_and_then_asked() {
    let mut device = Device::new();
    device.ask();
    assert_eq!(device.drain(), (vec![Value::Null], None));
    device.greets(DID, 400);
    let (sent, _) = device.drain();
    assert_eq!(sent, [json!({"id": 100, "method": "get_prop", "params": ["power"]})]);
    device.answers(r#""result":["on"]"#);
    assert_eq!(device.drain(), (vec![], Some(Ok(json!(["on"])))));
    assert!(device.line.is_proven());
    device.passes(10);
    device.ask();
    assert_eq!(device.drain().0[0]["id"], 101, "it was heard just now");
    device.answers(r#""result":[]"#);
    device.drain();
    device.passes(40);
    device.ask();
    assert_eq!(device.drain().0, [Value::Null], "it may have begun anew");
}

#[test]
fn the_stamp_is_the_devices_clock_now() {
    let mut device = Device::new();
    device.ask();
    device.drain();
    device.greets(DID, 400);
    device.drain();
    device.answers(r#""result":1"#);
    device.drain();
    device.passes(9);
    device.ask();
    let Output::Send(bytes) = device.line.poll_output() else { panic!() };
    assert_eq!(open(&Token::new(TOKEN), &bytes).unwrap().0, Head { did: DID, stamp: 509 });
}

#[test]
fn what_is_asked_again_has_a_new_number_unless_it_would_be_done_twice() {
    for (once, numbers) in [(false, [100, 101, 102]), (true, [100, 100, 100])] {
        let mut device = Device::new();
        let question = Question::new("toggle", json!([]));
        device.line.ask(if once { question.once() } else { question }, device.now);
        let mut seen = Vec::new();
        for _ in 0..3 {
            assert_eq!(device.drain().0, [Value::Null], "greeted between tries");
            device.greets(DID, 400);
            seen.push(device.drain().0[0]["id"].as_i64().unwrap());
            device.passes(5);
        }
        assert_eq!(seen, numbers);
        assert_eq!(device.drain().1, Some(Err(Failure::Deaf)), "as with a wrong token");
    }
}

#[test]
fn silence_deafness_and_another_device_are_told_apart() {
    let mut device = Device::new();
    device.ask();
    (0..3).for_each(|_| device.passes(2));
    assert_eq!(device.drain(), (vec![Value::Null; 3], Some(Err(Failure::Silent))));
    device.ask();
    device.greets(78, 1);
    device.greets(78, 2);
    assert_eq!(device.drain().0, [Value::Null], "another one is not asked");
    (0..3).for_each(|_| device.passes(2));
    assert_eq!(device.drain().1, Some(Err(Failure::Other(78))));
}

#[test]
fn what_others_send_and_what_came_before_is_passed_over() {
    let mut device = Device::new();
    device.ask();
    device.drain();
    device.greets(DID, 400);
    device.drain();
    let id = device.heard[0]["id"].clone();
    device.says(r#"{"id":99,"result":["old"]}"#);
    device.says(r#"{"method":"props","params":{}}"#);
    let forged =
        seal(&Token::new([8; 16]), Head { did: DID, stamp: 1 }, format!("{{\"id\":{id},\"result\":1}}").as_bytes());
    device.line.datagram(&forged.unwrap(), device.now);
    device.line.datagram(b"!1\0\x20", device.now);
    device.greets(78, 1);
    assert_eq!(device.drain(), (vec![], None));
    device.answers(r#""result":["right"]"#);
    assert_eq!(device.drain().1, Some(Ok(json!(["right"]))));
    device.answers(r#""result":["twice"]"#);
    assert_eq!(device.drain(), (vec![], None), "a replay answers nothing");
}

#[test]
fn errors_are_told_and_those_that_pass_are_asked_again() {
    for (said, failure) in [
        (
            r#""error":{"code":-5001,"message":"command error"}"#,
            Failure::Device { code: -5001, message: "command error".into() },
        ),
        (r#""error":{"code":-32601}"#, Failure::NoMethod("get_prop".into())),
        (r#""result":["unknown_method"]"#, Failure::NoMethod("get_prop".into())),
        (r#""result":"unknown_method""#, Failure::NoMethod("get_prop".into())),
        (r#""nothing":1"#, Failure::Garbled),
    ] {
        let mut device = Device::new();
        device.ask();
        device.greets(DID, 400);
        device.drain();
        device.answers(said);
        assert_eq!(device.drain().1, Some(Err(failure)), "{said}");
    }
    let bare = json!({"id": 1, "model": "a.b.c"});
    assert_eq!(result("miIO.info", bare.clone()), Ok(bare.clone()), "as a simulator answers");
    assert_eq!(result("get_prop", bare), Err(Failure::Garbled));
    let mut device = Device::new();
    device.ask();
    for round in 0..3 {
        assert_eq!(device.drain(), (vec![Value::Null], None), "{round}");
        device.greets(DID, 400);
        assert_eq!(device.drain().0.len(), 1);
        device.answers(r#""error":{"code":-9999,"message":"user ack timeout"}"#);
    }
    assert!(matches!(device.drain().1, Some(Err(Failure::Device { code: -9999, .. }))));
    let mut device = Device::new();
    device.line.ask(Question::new("x", json!("y".repeat(MAX_SENT))), device.now);
    assert_eq!(device.drain(), (vec![], Some(Err(Failure::Long))));
    assert!(refusal(-704_040_013).to_string().contains("cannot be read"));
}

#[test]
fn a_number_that_a_greeting_claims_is_believed_for_one_question_only() {
    let mut device = Device::unknown();
    device.ask();
    device.greets(66, 1);
    assert_eq!(device.drain().0.len(), 2, "whoever is there is asked");
    assert_eq!(device.line.did(), None, "and is nobody yet");
    device.passes(2);
    device.greets(DID, 400);
    let Output::Send(_) = device.line.poll_output() else { panic!("a greeting") };
    let Output::Send(bytes) = device.line.poll_output() else { panic!("the right device is asked after another") };
    let (head, plain) = open(&Token::new(TOKEN), &bytes).unwrap();
    assert_eq!(head.did, DID);
    device.heard.push(serde_json::from_slice(&plain).unwrap());
    device.answers(r#""result":1"#);
    assert_eq!((device.drain().1, device.line.did()), (Some(Ok(json!(1))), Some(DID)), "proven by its token");
    device.passes(40);
    device.ask();
    device.greets(66, 2);
    assert_eq!(device.drain().0, [Value::Null], "from now on nobody else is asked");
}

#[test]
fn what_is_forgotten_is_not_sent_when_the_device_comes_back() {
    let mut device = Device::new();
    device.ask();
    assert!(!device.line.forget(), "only the greeting was sent");
    device.greets(DID, 400);
    assert_eq!(device.drain(), (vec![Value::Null], None));
    device.ask();
    device.greets(DID, 400);
    assert_eq!(device.drain().0.len(), 2);
    assert!(device.line.forget(), "it may have been done");
    device.passes(10);
    device.answers(r#""result":1"#);
    assert_eq!(device.drain(), (vec![], None), "not asked again, and no answer expected");
}
