//! The client's half of WebSocket (RFC 6455) over HTTP/1.1, without I/O: the upgrade, then frames. No extension is offered,
//! so that nothing is compressed; a message is bounded, and never allocated before its bytes are here.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Longest message that is taken, in bytes. The whole state of a very large house is about 20 MB.
pub const MAX_MESSAGE: usize = 48 << 20;
/// Longest payload of a control frame (RFC 6455, 5.5).
const MAX_CONTROL: usize = 125;
/// What both sides know (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The server upgraded the connection.
    Open,
    /// A whole message of text; that it is UTF-8 is for its reader to check.
    Text(Vec<u8>),
    /// The server ends the connection, in its words.
    Closed(String),
}

/// Why the connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WsError {
    /// What answers is no WebSocket server.
    #[error("{0}")]
    NoUpgrade(String),
    /// A frame that must not be (RFC 6455, 5).
    #[error("it sent a malformed WebSocket frame: {0}")]
    Frame(&'static str),
    /// More than [`MAX_MESSAGE`].
    #[error("it sent a message of more than {} MB, which no house needs; Accord does not take it", MAX_MESSAGE >> 20)]
    TooLong,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Upgrading,
    Open,
    Closed,
}

/// One connection.
#[derive(Debug)]
pub struct Ws {
    state: State,
    accept: String,
    input: Vec<u8>,
    message: Vec<u8>,
    /// A message of this kind is not complete.
    amid: Option<u8>,
    out: Vec<u8>,
    /// Drawn on for masks.
    seed: [u8; 32],
    drawn: u64,
}

impl Ws {
    /// Begins the upgrade. `random` has to be unpredictable: masks and the key come from it.
    pub fn new(host: &str, path: &str, random: [u8; 32]) -> Self {
        let mut this = Self {
            state: State::Upgrading,
            accept: String::new(),
            input: Vec::new(),
            message: Vec::new(),
            amid: None,
            out: Vec::new(),
            seed: random,
            drawn: 0,
        };
        let key = data_encoding::BASE64.encode(&this.draw());
        this.accept =
            data_encoding::BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()).as_ref());
        this.out = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        .into_bytes();
        this
    }

    /// Bytes for the server.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Says a text. Only after [`Event::Open`].
    pub fn say(&mut self, text: &str) {
        self.frame(TEXT, text.as_bytes());
    }

    /// Says good-bye.
    pub fn close(&mut self) {
        if self.state == State::Open {
            self.frame(CLOSE, &1000u16.to_be_bytes());
        }
        self.state = State::Closed;
    }

    /// Takes bytes of the server.
    ///
    /// # Errors
    /// [`WsError`]; the connection is of no use then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, WsError> {
        let mut events = Vec::new();
        if self.state == State::Closed {
            return Ok(events);
        }
        self.input.extend_from_slice(bytes);
        if self.state == State::Upgrading {
            let Some(length) = self.upgraded()? else { return Ok(events) };
            self.input.drain(..length);
            self.state = State::Open;
            events.push(Event::Open);
        }
        let mut at = 0;
        while self.state == State::Open {
            let Some((taken, event)) = self.one(at)? else { break };
            at += taken;
            events.extend(event);
        }
        self.input.drain(..at.min(self.input.len()));
        // What was long once does not keep its room.
        if self.input.is_empty() && self.input.capacity() > 1 << 20 {
            self.input = Vec::new();
        }
        Ok(events)
    }

    /// The length of the server's head, once it is here (RFC 6455, 4.1).
    fn upgraded(&self) -> Result<Option<usize>, WsError> {
        let no = |why: String| WsError::NoUpgrade(why);
        let read = accord_http::head_of_response(&self.input).map_err(|error| no(error.to_string()))?;
        let Some((head, length)) = read else { return Ok(None) };
        if head.status != 101 {
            return Err(no(match head.status {
                403 => "it turned this machine away (403); has it banned this address? See ip_bans.yaml there".to_owned(),
                404 => "no Home Assistant is there: it knows no /api/websocket".to_owned(),
                400 => "it answers 400; a proxy in front of it that passes no WebSocket does that, and so does a server that \
                        wants https"
                    .to_owned(),
                status => format!("no Home Assistant is there: it answers with status {status}"),
            }));
        }
        let is = |name: &str, wanted: &str| {
            accord_http::header(&self.input[..length], name)
                .is_some_and(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted)))
        };
        let accept = accord_http::header(&self.input[..length], "sec-websocket-accept");
        let fits = is("upgrade", "websocket") && is("connection", "upgrade") && accept.as_ref() == Some(&self.accept);
        let extended = accord_http::header(&self.input[..length], "sec-websocket-extensions").is_some();
        match fits && !extended {
            true => Ok(Some(length)),
            false => Err(no("it does not upgrade to WebSocket as it should".to_owned())),
        }
    }

    /// The frame at `at`: its length, and what it means. `None`: it is not whole.
    fn one(&mut self, at: usize) -> Result<Option<(usize, Option<Event>)>, WsError> {
        let bytes = &self.input[at..];
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (is_last, kind) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 {
            return Err(WsError::Frame("a reserved bit is set"));
        }
        if second & 0x80 != 0 {
            return Err(WsError::Frame("a server masks nothing"));
        }
        let (length, head) = match second & 0x7f {
            126 => match rest.first_chunk::<2>() {
                Some(length) => (u64::from(u16::from_be_bytes(*length)), 4),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(length) => (u64::from_be_bytes(*length), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        let is_control = kind & 8 != 0;
        if is_control && (!is_last || length > MAX_CONTROL as u64) {
            return Err(WsError::Frame("a control frame is long, or in pieces"));
        }
        let room = MAX_MESSAGE.saturating_sub(self.message.len());
        let length = usize::try_from(length).ok().filter(|length| *length <= room).ok_or(WsError::TooLong)?;
        let Some(payload) = bytes.get(head..head + length) else { return Ok(None) };
        let event = match kind {
            TEXT | BINARY if self.amid.is_some() => return Err(WsError::Frame("a message begins amid another")),
            CONTINUATION if self.amid.is_none() => return Err(WsError::Frame("a message goes on that never began")),
            TEXT | BINARY | CONTINUATION => {
                let kind = self.amid.unwrap_or(kind);
                self.message.extend_from_slice(payload);
                self.amid = (!is_last).then_some(kind);
                match is_last {
                    true => Some(std::mem::take(&mut self.message)).filter(|_| kind == TEXT).map(Event::Text),
                    false => None,
                }
            }
            CLOSE => {
                let why = payload.get(2..).map(String::from_utf8_lossy).unwrap_or_default();
                let why = accord_model::text::for_screen(&why, 120);
                self.state = State::Closed;
                Some(Event::Closed(why))
            }
            PING => {
                let payload = payload.to_vec();
                self.frame(PONG, &payload);
                None
            }
            PONG => None,
            _ => return Err(WsError::Frame("its kind is unknown")),
        };
        Ok(Some((head + length, event)))
    }

    /// A whole frame, masked (RFC 6455, 5.3).
    fn frame(&mut self, kind: u8, payload: &[u8]) {
        let drawn = self.draw();
        let mask = [drawn[0], drawn[1], drawn[2], drawn[3]];
        self.out.push(0x80 | kind);
        match payload.len() {
            short @ ..=125 => self.out.push(0x80 | short as u8),
            middle @ ..=0xffff => {
                self.out.push(0x80 | 126);
                self.out.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                self.out.push(0x80 | 127);
                self.out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        self.out.extend_from_slice(&mask);
        self.out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// 16 bytes that nobody guesses.
    fn draw(&mut self) -> [u8; 16] {
        self.drawn += 1;
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&self.seed);
        context.update(&self.drawn.to_be_bytes());
        let mut drawn = [0; 16];
        drawn.copy_from_slice(&context.finish().as_ref()[..16]);
        drawn
    }
}

/// Entry for fuzzing: what a server sends, in portions of `step` bytes.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], step: usize) {
    let mut ws = Ws::new("h", "/", [7; 32]);
    ws.state = State::Open;
    let mut heard = 0;
    for part in bytes.chunks(step.max(1)) {
        match ws.feed(part) {
            Ok(events) => {
                heard +=
                    events.iter().map(|event| if let Event::Text(text) = event { text.len() } else { 0 }).sum::<usize>()
            }
            Err(_) => return,
        }
    }
    assert!(heard <= bytes.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgraded() -> Ws {
        let mut ws = Ws::new("10.0.0.2:8123", "/api/websocket", [1; 32]);
        let asked = String::from_utf8(ws.take()).unwrap();
        assert!(asked.starts_with("GET /api/websocket HTTP/1.1\r\nHost: 10.0.0.2:8123\r\n"));
        assert_eq!(ws.feed(answer(&ws.accept, "").as_bytes()), Ok(vec![Event::Open]));
        ws
    }

    fn answer(accept: &str, more: &str) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        )
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![kind];
        match payload.len() {
            short @ ..=125 => frame.push(short as u8),
            long => {
                frame.push(127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    /// RFC 6455, 1.3: the example of the accept key.
    #[test]
    fn the_key_is_accepted_as_the_rfc_shows() {
        let accept = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("dGhlIHNhbXBsZSBub25jZQ=={GUID}").as_bytes());
        assert_eq!(data_encoding::BASE64.encode(accept.as_ref()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_does_not_upgrade_is_said_so() {
        for (answer, says) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), "no Home Assistant"),
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned(), "banned"),
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "HTTP"),
            (answer("bm90IG91cnM=", ""), "does not upgrade"),
        ] {
            let mut ws = Ws::new("h", "/", [1; 32]);
            let error = ws.feed(answer.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let mut ws = Ws::new("h", "/", [1; 32]);
        let compressed = answer(&ws.accept.clone(), "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        assert!(ws.feed(compressed.as_bytes()).is_err(), "nobody asked for that");
        let mut ws = Ws::new("h", "/", [1; 32]);
        assert!(ws.feed(&vec![b'a'; 100_000]).is_err());
    }

    #[test]
    fn messages_come_in_frames_and_bytes_of_any_length() {
        let long = "x".repeat(70_000);
        let mut bytes = frame(0x81, b"{}");
        bytes.extend(frame(0x01, b"{\"a\":"));
        bytes.extend(frame(0x89, b"are you there"));
        bytes.extend(frame(0x80, b"1}"));
        bytes.extend(frame(0x82, b"binary is not ours"));
        bytes.extend(frame(0x81, long.as_bytes()));
        bytes.extend(frame(0x88, &[&1001u16.to_be_bytes()[..], b"restart"].concat()));
        let wanted = vec![
            Event::Text(b"{}".to_vec()),
            Event::Text(b"{\"a\":1}".to_vec()),
            Event::Text(long.clone().into_bytes()),
            Event::Closed("restart".into()),
        ];
        for step in [1, 3, 1000, bytes.len()] {
            let mut ws = upgraded();
            let heard: Vec<Event> = bytes.chunks(step).flat_map(|part| ws.feed(part).unwrap()).collect();
            assert_eq!(heard, wanted);
            let pong = ws.take();
            assert_eq!((pong[0], pong[1]), (0x8a, 0x80 | 13));
            let (mask, said) = pong[2..].split_at(4);
            let said: Vec<u8> = said.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            assert_eq!(said, b"are you there");
        }
    }

    #[test]
    fn what_a_server_must_not_send_ends_it() {
        let fails = |bytes: &[u8]| upgraded().feed(bytes).unwrap_err();
        assert_eq!(fails(&[0x81, 0x82, 0, 0, 0, 0, 1, 1]), WsError::Frame("a server masks nothing"));
        assert_eq!(fails(&[0xc1, 0]), WsError::Frame("a reserved bit is set"));
        assert_eq!(fails(&[0x80, 0]), WsError::Frame("a message goes on that never began"));
        assert_eq!(fails(&[0x01, 0, 0x81, 0]), WsError::Frame("a message begins amid another"));
        assert_eq!(fails(&[0x89, 126, 0, 200]), WsError::Frame("a control frame is long, or in pieces"));
        assert_eq!(fails(&[0x83, 0]), WsError::Frame("its kind is unknown"));
        let huge = [&[0x81, 127][..], &(1u64 << 40).to_be_bytes()].concat();
        assert_eq!(fails(&huge), WsError::TooLong, "what is merely announced is not waited for");
        let first = frame(0x01, b"one part");
        let endless = [&[0x80, 127][..], &u64::MAX.to_be_bytes()].concat();
        assert_eq!(fails(&[first, endless].concat()), WsError::TooLong, "more than any number holds");
    }

    #[test]
    fn what_we_say_is_masked_and_each_time_otherwise() {
        let mut ws = upgraded();
        ws.say("hello");
        let one = ws.take();
        ws.say("hello");
        assert_ne!(one, ws.take());
        ws.say(&"y".repeat(300));
        assert_eq!(&ws.take()[..4], &[0x81, 0x80 | 126, 1, 44]);
    }
}
