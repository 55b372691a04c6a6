//! One connection that we made: TLS or plain, requests one after the other, an upload's bytes asked for as
//! they can be sent. An answer that comes early ends the upload; redirects are answers like others.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_http::{ResponseHead, head_of_response, request_head};
use accord_model::FieldSet;
use rustls::ClientConfig;

pub use super::exchange::Ended;
use super::{BodyLength, BodyReader, HttpError, Method, PIECE, Patience, far};
use crate::core::Fingerprint;
use crate::core::wire::{Transmit, Wire, WireError};

/// Most interim responses before the final one.
const MAX_INTERIM: u8 = 8;

/// What goes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes from the peer, in any portions.
    Bytes(&'a [u8]),
    /// The peer will send nothing more, or is gone.
    Eof,
    /// Ask this. Only when the last answer has come.
    Request(Request),
    /// The next bytes of a streaming body; not more than [`Event::Wanted`] said. Empty: there are no more.
    Body(Vec<u8>),
    /// The bytes of a [`Transmit`] were written; the buffer comes back. May be left out.
    Written(Vec<u8>),
    /// End it now.
    Abort,
    /// The time that [`Output::Wait`] named has come.
    Timeout,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug)]
pub enum Output {
    /// Send these bytes to the peer.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// Nothing more for now; come back at this time at the latest, or with new input.
    Wait(Instant),
}

/// Content of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Bytes(Vec<u8>),
    /// So many bytes, asked for with an event `Wanted`.
    Stream(u64),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Stream(length) => write!(f, "Stream({length} bytes)"),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer proved to own this certificate, and it is the one that was pinned, if any was.
    Secured(Fingerprint),
    /// So many more bytes of the body are wanted.
    Wanted(usize),
    /// The answer. When it came before the whole body was sent, the connection cannot be used again.
    Response {
        /// HTTP status.
        status: u16,
        /// The content.
        body: Vec<u8>,
        /// Whether the next request may follow.
        again: bool,
    },
    /// The connection is over; close it. Nothing comes after this.
    Closed(Ended),
}

/// What to ask.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Address and port of the server.
    pub host: String,
    /// MIME type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Body,
    /// Which kinds of personal data are in the body.
    pub fields: FieldSet,
    /// Most bytes of an answer.
    pub max_response: usize,
    /// How long the answer may take once the body is sent.
    pub within: Duration,
}

impl fmt::Debug for Request {
    /// Without the query, which may hold a PIN or a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next();
        f.debug_struct("Request").field("path", &path).field("body", &self.body).finish_non_exhaustive()
    }
}

/// One connection.
pub struct Connection {
    wire: Wire,
    http: Http,
    secured: bool,
}

impl Connection {
    /// A connection that was just made. `tls`: as [`crate::core::Identity::client_config`] gives it, or plain.
    ///
    /// # Errors
    /// [`WireError::Tls`] when the configuration does not work.
    pub fn new(tls: Option<Arc<ClientConfig>>, patience: Patience, now: Instant) -> Result<Self, WireError> {
        let wire = Wire::client(tls)?;
        let shaken = !wire.is_handshaking();
        Ok(Self { wire, http: Http::new(patience, shaken, now), secured: shaken })
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if matches!(self.http.state, State::Over) {
            return;
        }
        self.http.now = now;
        match input {
            Input::Bytes(bytes) => self.bytes(bytes),
            Input::Eof => self.http.hang_up(),
            Input::Request(request) => self.http.request(request, &mut self.wire),
            Input::Body(bytes) => self.http.body(bytes, &mut self.wire),
            Input::Written(buffer) => self.wire.spare.give(buffer),
            Input::Abort => {
                self.wire.close();
                self.http.end(Ended::Aborted);
            }
            Input::Timeout => self.http.timeout(&mut self.wire),
        }
    }

    /// An empty buffer for the next [`Input::Body`], used before if there is one.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.wire.spare.take(PIECE)
    }

    /// Whether more of a body is to come. Not any more once the answer came early.
    pub fn is_sending(&self) -> bool {
        matches!(self.http.state, State::Sending { .. })
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        if let Some(transmit) = self.wire.transmit() {
            return Output::Transmit(transmit);
        }
        if !self.secured
            && let Some(certificate) = self.wire.certificate()
        {
            self.secured = true;
            return Output::Event(Event::Secured(certificate));
        }
        self.http.poll().map_or_else(|| Output::Wait(self.http.deadline()), Output::Event)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let Self { wire, http, .. } = self;
        let received = wire.receive(bytes, |piece| http.take(piece));
        if !http.shaken && !wire.is_handshaking() {
            (http.shaken, http.since) = (true, http.now);
        }
        match received {
            Ok(false) => {}
            Ok(true) => http.hang_up(),
            Err(error) => http.end(error.into()),
        }
    }
}

struct Http {
    patience: Patience,
    state: State,
    early: Vec<u8>,
    events: VecDeque<Event>,
    now: Instant,
    shaken: bool,
    since: Instant,
    within: Duration,
    max_response: usize,
    interim: u8,
}

enum State {
    Idle,
    Sending { left: u64, asked: bool, fields: FieldSet },
    Waiting,
    Answer { head: ResponseHead, reader: BodyReader, body: Vec<u8>, again: bool },
    Over,
}

impl Http {
    fn new(patience: Patience, shaken: bool, now: Instant) -> Self {
        Self {
            patience,
            state: State::Idle,
            early: Vec::new(),
            events: VecDeque::new(),
            now,
            shaken,
            since: now,
            within: Duration::ZERO,
            max_response: 0,
            interim: 0,
        }
    }

    fn poll(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        match &mut self.state {
            State::Sending { left, asked, .. } if !*asked && self.shaken => {
                *asked = true;
                Some(Event::Wanted(usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE)))
            }
            _ => None,
        }
    }

    fn request(&mut self, request: Request, wire: &mut Wire) {
        if !matches!(self.state, State::Idle) {
            return self.end(Ended::Aborted);
        }
        let Request { method, target, host, content_type, body, fields, max_response, within } = request;
        (self.max_response, self.within, self.interim) = (max_response, within, 0);
        if self.shaken {
            self.since = self.now;
        }
        match body {
            Body::Bytes(bytes) => {
                let mut out = request_head(method, &target, &host, bytes.len() as u64, content_type);
                out.extend_from_slice(&bytes);
                wire.send(out, fields);
                self.state = State::Waiting;
            }
            Body::Stream(length) => {
                wire.send(request_head(method, &target, &host, length, content_type), FieldSet::EMPTY);
                self.state =
                    if length == 0 { State::Waiting } else { State::Sending { left: length, asked: false, fields } };
            }
        }
    }

    fn body(&mut self, bytes: Vec<u8>, wire: &mut Wire) {
        let State::Sending { left, asked, fields } = &mut self.state else { return };
        let length = bytes.len() as u64;
        if length == 0 || length > *left {
            return self.end(Ended::Aborted);
        }
        (*left, *asked) = (*left - length, false);
        let is_last = *left == 0;
        wire.send(bytes, *fields);
        if is_last {
            (self.state, self.since) = (State::Waiting, self.now);
        }
    }

    fn take(&mut self, plain: &[u8]) {
        if matches!(self.state, State::Over) {
            return;
        }
        self.early.extend_from_slice(plain);
        let early = std::mem::take(&mut self.early);
        let mut input = &early[..];
        if let Err(fault) = self.step(&mut input) {
            return self.end(fault.into());
        }
        self.early = input.to_vec();
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<(), HttpError> {
        loop {
            match &mut self.state {
                State::Idle if input.is_empty() => return Ok(()),
                State::Idle => return Err(HttpError::TooEager),
                State::Over => return Ok(()),
                State::Sending { .. } | State::Waiting => {
                    let Some((head, length)) = head_of_response(input)? else { return Ok(()) };
                    *input = &input[length..];
                    if head.status < 200 {
                        self.interim += 1;
                        if self.interim > MAX_INTERIM || head.status == 101 {
                            return Err(HttpError::Malformed("too many interim answers"));
                        }
                        continue;
                    }
                    let again = matches!(self.state, State::Waiting) && head.keep_alive;
                    if matches!(head.length, BodyLength::Exactly(length) if length > self.max_response as u64) {
                        return Err(HttpError::BodyTooLong);
                    }
                    self.since = self.now;
                    let reader = BodyReader::new(head.length);
                    self.state = State::Answer { head, reader, body: Vec::new(), again };
                }
                State::Answer { reader, body, .. } => match reader.next(input)? {
                    Some(piece) if body.len() + piece.len() > self.max_response => return Err(HttpError::BodyTooLong),
                    Some(piece) => body.extend_from_slice(piece),
                    None if reader.is_done() => self.answered(),
                    None => return Ok(()),
                },
            }
        }
    }

    fn answered(&mut self) {
        if let State::Answer { head, body, again, .. } = std::mem::replace(&mut self.state, State::Idle) {
            self.events.push_back(Event::Response { status: head.status, body, again });
            self.since = self.now;
            if !again {
                self.end(Ended::Quietly);
            }
        }
    }

    fn hang_up(&mut self) {
        match &self.state {
            State::Answer { reader, .. } if reader.ends_with_connection() => self.answered(),
            State::Idle => self.end(Ended::Quietly),
            _ => self.end(Ended::HungUp),
        }
    }

    fn end(&mut self, ended: Ended) {
        if !matches!(self.state, State::Over) {
            self.state = State::Over;
            self.events.push_back(Event::Closed(ended));
        }
    }

    fn timeout(&mut self, wire: &mut Wire) {
        if self.now < self.deadline() {
            return;
        }
        let ended = match &self.state {
            _ if !self.shaken => Ended::TooSlow("begin"),
            State::Idle => Ended::Quietly,
            _ => Ended::TooSlow("answer"),
        };
        wire.close();
        self.end(ended);
    }

    fn deadline(&self) -> Instant {
        match &self.state {
            State::Over => far(self.now),
            _ if !self.shaken => self.since + self.patience.handshake,
            State::Idle => self.since + self.patience.idle,
            State::Waiting => self.since + self.within,
            State::Answer { .. } => self.since + self.patience.json,
            State::Sending { .. } => far(self.now),
        }
    }
}
