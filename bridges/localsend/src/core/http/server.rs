//! One connection that came in: TLS or plain, requests one after the other, uploads handed on in pieces.
//!
//! The driver reads the socket only while it holds no piece, so that a slow disk slows the sender down. It
//! answers each [`Event::Request`] with [`Input::Respond`], or [`Input::Receive`] when it is an upload.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use accord_http::{read_request, response_head};
use accord_model::FieldSet;
use rustls::ServerConfig;

pub use super::exchange::{Ended, Request, Response};
use super::{BodyLength, BodyReader, HttpError, PIECE, Patience, RequestHead, far};
use crate::core::message::{MAX_JSON, MAX_SMALL_JSON, reason_json};
use crate::core::receive::{Incoming, UploadFault};
use crate::core::route::Route;
use crate::core::wire::{Transmit, Wire};
use crate::core::{Peer, wire};

/// Most bytes that may come before they are wanted: one read of the driver and a head.
const MAX_EARLY: usize = 2 * PIECE;

/// What goes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes from the peer, in any portions; not more than [`PIECE`] at once.
    Bytes(&'a [u8]),
    /// The peer will send nothing more, or is gone.
    Eof,
    /// Answer the request.
    Respond(Response),
    /// Take the upload.
    Receive(Incoming),
    /// A piece was dealt with; its buffer comes back.
    Stored(Vec<u8>),
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

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A request, to be answered.
    Request(Request),
    /// A piece of the upload, checked so far. Give it back with [`Input::Stored`].
    Piece(Vec<u8>),
    /// The upload is over, whole or not. To be answered, unless the connection ended.
    Uploaded(Result<(), UploadFault>),
    /// The answer is on its way, whole.
    Answered,
    /// The connection is over; close it. Nothing comes after this.
    Closed(Ended),
}

/// One connection.
pub struct Connection {
    wire: Wire,
    http: Http,
    peer: Peer,
}

impl Connection {
    /// A connection from `address`. `tls`: when it may be encrypted; plain HTTP is told by its first byte, and
    /// shown by [`Peer::encrypted`].
    pub fn new(address: SocketAddr, tls: Option<Arc<ServerConfig>>, patience: Patience, now: Instant) -> Self {
        Self { wire: Wire::server(tls), http: Http::new(patience, now), peer: Peer::at(address) }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.http.is_over() {
            return;
        }
        self.http.now = now;
        match input {
            Input::Bytes(bytes) => self.bytes(bytes),
            Input::Eof => self.http.hang_up(),
            Input::Respond(response) => self.http.respond(response, &mut self.wire),
            Input::Receive(incoming) => self.http.receive(incoming, &mut self.wire),
            Input::Stored(buffer) => self.http.stored(buffer),
            Input::Written(buffer) => self.wire.spare.give(buffer),
            Input::Abort => self.http.end(Ended::Aborted),
            Input::Timeout => self.http.timeout(&mut self.wire),
        }
        self.http.flush_piece();
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        if let Some(transmit) = self.wire.transmit() {
            return Output::Transmit(transmit);
        }
        match self.http.poll() {
            Some(Event::Request(mut request)) => {
                let (encrypted, certificate) = (self.wire.is_encrypted(), self.wire.certificate());
                request.peer = Peer { encrypted, certificate, ..self.peer.clone() };
                Output::Event(Event::Request(request))
            }
            Some(event) => Output::Event(event),
            None => Output::Wait(self.http.deadline()),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let Self { wire, http, .. } = self;
        let mut plain = VecDeque::new();
        let received = wire.receive(bytes, |piece| http.take(piece, &mut plain));
        for bytes in plain {
            wire.send(bytes, FieldSet::EMPTY);
        }
        http.shaken |= !wire.is_handshaking();
        match received {
            Ok(false) => http.after_error(wire),
            Ok(true) => http.hang_up(),
            Err(error) => http.end(error.into()),
        }
    }
}

/// The HTTP of a connection: plain bytes in, events out.
struct Http {
    patience: Patience,
    state: State,
    /// Bytes that came and are not read yet.
    early: Vec<u8>,
    reader: BodyReader,
    keep_alive: bool,
    expects: bool,
    events: VecDeque<Event>,
    now: Instant,
    shaken: bool,
    /// When the state's clock began.
    since: Instant,
    piece: Vec<u8>,
    spare: wire::Spare,
    held: usize,
    held_since: Instant,
    /// Bytes of the upload since the clock began.
    progress: u64,
    /// A fault to answer before the end.
    fault: Option<(u16, HttpError)>,
}

enum State {
    Head {
        begun: bool,
    },
    Json {
        head: Box<RequestHead>,
        route: Route,
        body: Vec<u8>,
        limit: usize,
    },
    /// `discard`: what still comes of a refused body is of no use.
    Deciding {
        upload: bool,
        discard: bool,
    },
    Receiving(Box<Incoming>),
    Farewell(Ended),
    Over,
}

impl Http {
    fn new(patience: Patience, now: Instant) -> Self {
        Self {
            patience,
            state: State::Head { begun: false },
            early: Vec::new(),
            reader: BodyReader::new(BodyLength::None),
            keep_alive: false,
            expects: false,
            events: VecDeque::new(),
            now,
            shaken: false,
            since: now,
            piece: Vec::new(),
            spare: wire::Spare::default(),
            held: 0,
            held_since: now,
            progress: 0,
            fault: None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn poll(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        match &self.state {
            // Everything was said and read: no need to linger.
            State::Farewell(ended) if self.reader.is_done() => {
                let ended = ended.clone();
                self.end(ended);
                self.events.pop_front()
            }
            _ => None,
        }
    }

    /// Takes plain bytes; `out` gets interim responses.
    fn take(&mut self, plain: &[u8], out: &mut VecDeque<Vec<u8>>) {
        if self.early.is_empty() {
            let left = self.step(plain, out).len();
            self.early.extend_from_slice(&plain[plain.len() - left..]);
        } else {
            let mut early = std::mem::take(&mut self.early);
            early.extend_from_slice(plain);
            let left = self.step(&early, out).len();
            early.drain(..early.len() - left);
            self.early = early;
        }
        if self.early.len() > MAX_EARLY {
            self.end(HttpError::TooEager.into());
        }
    }

    /// Reads as far as the state allows; gives what is left.
    fn step<'a>(&mut self, mut input: &'a [u8], out: &mut VecDeque<Vec<u8>>) -> &'a [u8] {
        loop {
            let read = match &mut self.state {
                State::Head { begun } => {
                    if !*begun && !input.is_empty() {
                        *begun = true;
                        self.since = self.now;
                    }
                    match read_request(input) {
                        Ok(Some((head, length))) => {
                            input = &input[length..];
                            self.begin(head, out)
                        }
                        Ok(None) => return input,
                        Err(fault) => Err((400, fault)),
                    }
                }
                State::Json { body, limit, .. } => match self.reader.next(&mut input) {
                    Ok(Some(piece)) if body.len() + piece.len() > *limit => Err((413, HttpError::BodyTooLong)),
                    Ok(Some(piece)) => {
                        body.extend_from_slice(piece);
                        Ok(())
                    }
                    Ok(None) if self.reader.is_done() => {
                        self.ask();
                        Ok(())
                    }
                    Ok(None) => return input,
                    Err(fault) => Err((400, fault)),
                },
                State::Receiving(incoming) => match self.reader.next(&mut input) {
                    Ok(Some(piece)) => {
                        self.progress += piece.len() as u64;
                        let taken = incoming.take(piece);
                        match taken {
                            Ok(()) => self.add(piece),
                            Err(fault) => self.uploaded(Err(fault)),
                        }
                        Ok(())
                    }
                    Ok(None) if self.reader.is_done() => {
                        let whole = incoming.end();
                        self.uploaded(whole);
                        Ok(())
                    }
                    Ok(None) => return input,
                    Err(fault) => Err((400, fault)),
                },
                State::Farewell(_) => {
                    self.progress += input.len() as u64;
                    return &[];
                }
                State::Over | State::Deciding { discard: true, .. } => return &[],
                State::Deciding { .. } => return input,
            };
            if let Err((status, fault)) = read {
                if matches!(self.state, State::Receiving(_)) {
                    self.uploaded(Err(UploadFault::CutShort));
                }
                let status = if fault == HttpError::HeadTooLong { 431 } else { status };
                self.fault = Some((status, fault));
                self.state = State::Farewell(fault.into());
                return &[];
            }
        }
    }

    fn begin(&mut self, head: RequestHead, out: &mut VecDeque<Vec<u8>>) -> Result<(), (u16, HttpError)> {
        self.reader = BodyReader::new(head.length);
        (self.keep_alive, self.expects) = (head.keep_alive, head.expects && !self.reader.is_done());
        self.since = self.now;
        let route = Route::of(&head);
        if let Route::Upload { .. } = route {
            let length = match head.length {
                BodyLength::Exactly(length) => Some(length),
                BodyLength::None => Some(0),
                BodyLength::Chunked | BodyLength::UntilClose => None,
            };
            let request = Request { peer: nobody(), route, is_foreign: head.is_foreign(), body: Vec::new(), length };
            self.state = State::Deciding { upload: true, discard: false };
            self.events.push_back(Event::Request(request));
            return Ok(());
        }
        let limit = if matches!(route, Route::PrepareUpload { .. }) { MAX_JSON } else { MAX_SMALL_JSON };
        if matches!(head.length, BodyLength::Exactly(length) if length > limit as u64) {
            return Err((413, HttpError::BodyTooLong));
        }
        if std::mem::take(&mut self.expects) {
            out.push_back(response_head(100, 0, "", true, ""));
        }
        self.state = State::Json { head: Box::new(head), route, body: Vec::new(), limit };
        if self.reader.is_done() {
            self.ask();
        }
        Ok(())
    }

    fn ask(&mut self) {
        if let State::Json { head, route, body, .. } =
            std::mem::replace(&mut self.state, State::Deciding { upload: false, discard: false })
        {
            let is_foreign = head.is_foreign();
            self.events.push_back(Event::Request(Request { peer: nobody(), route, is_foreign, body, length: None }));
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.piece.capacity() == 0 {
            self.piece = self.spare.take(PIECE);
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush_piece();
        }
    }

    fn flush_piece(&mut self) {
        if !self.piece.is_empty() {
            if self.held == 0 {
                self.held_since = self.now;
            }
            self.held += 1;
            let piece = std::mem::take(&mut self.piece);
            self.events.push_back(Event::Piece(piece));
        }
    }

    fn stored(&mut self, buffer: Vec<u8>) {
        self.spare.give(buffer);
        self.held = self.held.saturating_sub(1);
        if self.held == 0 {
            self.since += self.now.saturating_duration_since(self.held_since);
        }
    }

    fn uploaded(&mut self, outcome: Result<(), UploadFault>) {
        self.flush_piece();
        self.state = State::Deciding { upload: false, discard: !self.reader.is_done() };
        self.events.push_back(Event::Uploaded(outcome));
    }

    fn receive(&mut self, incoming: Incoming, wire: &mut Wire) {
        if !matches!(self.state, State::Deciding { upload: true, .. }) {
            return;
        }
        if std::mem::take(&mut self.expects) {
            wire.send(response_head(100, 0, "", true, ""), FieldSet::EMPTY);
        }
        self.state = State::Receiving(Box::new(incoming));
        (self.since, self.progress) = (self.now, 0);
        self.go_on(wire);
    }

    fn respond(&mut self, response: Response, wire: &mut Wire) {
        if !matches!(self.state, State::Deciding { .. }) {
            return;
        }
        let keep_alive = self.keep_alive && self.reader.is_done();
        let Response { status, content_type, body, fields } = response;
        let mut out = response_head(status, body.len() as u64, content_type, keep_alive, "");
        self.keep_alive = keep_alive;
        out.extend_from_slice(&body);
        wire.send(out, fields);
        self.answered(wire);
    }

    fn answered(&mut self, wire: &mut Wire) {
        self.events.push_back(Event::Answered);
        (self.since, self.progress) = (self.now, 0);
        if self.keep_alive {
            self.state = State::Head { begun: false };
            self.go_on(wire);
        } else {
            wire.close();
            self.state = State::Farewell(Ended::Quietly);
        }
    }

    /// Reads what came early.
    fn go_on(&mut self, wire: &mut Wire) {
        let mut out = VecDeque::new();
        let early = std::mem::take(&mut self.early);
        let left = self.step(&early, &mut out).len();
        self.early = early[early.len() - left..].to_vec();
        for bytes in out {
            wire.send(bytes, FieldSet::EMPTY);
        }
        self.after_error(wire);
    }

    /// Says what was wrong before the end.
    fn after_error(&mut self, wire: &mut Wire) {
        if let Some((status, fault)) = self.fault.take() {
            let why = reason_json(&fault.to_string());
            let mut out = response_head(status, why.len() as u64, "application/json", false, "");
            out.extend_from_slice(&why);
            wire.send(out, FieldSet::EMPTY);
            wire.close();
            self.since = self.now;
        }
    }

    fn hang_up(&mut self) {
        let ended = match &self.state {
            State::Head { begun: false } => Ended::Quietly,
            State::Farewell(ended) => ended.clone(),
            _ => Ended::HungUp,
        };
        self.end(ended);
    }

    fn end(&mut self, ended: Ended) {
        match self.state {
            State::Over => return,
            State::Receiving(_) => {
                let fault =
                    if matches!(ended, Ended::TooSlow(_)) { UploadFault::Stalled } else { UploadFault::CutShort };
                self.uploaded(Err(fault));
            }
            _ => {}
        }
        self.state = State::Over;
        self.events.push_back(Event::Closed(ended));
    }

    fn timeout(&mut self, wire: &mut Wire) {
        if self.now < self.deadline() {
            return;
        }
        match &self.state {
            _ if !self.shaken => self.end(Ended::TooSlow("begin")),
            State::Head { begun: false } => {
                wire.close();
                self.end(Ended::Quietly);
            }
            State::Head { .. } => self.end(Ended::TooSlow("say what it wants")),
            State::Json { .. } => self.end(Ended::TooSlow("say what it wants")),
            State::Receiving(_) if self.progress >= Patience::LEAST => (self.since, self.progress) = (self.now, 0),
            State::Receiving(_) => self.end(Ended::TooSlow("go on with a file")),
            State::Farewell(ended) => {
                let ended = ended.clone();
                self.end(ended);
            }
            State::Deciding { .. } | State::Over => {}
        }
    }

    fn deadline(&self) -> Instant {
        let patience = &self.patience;
        match &self.state {
            State::Over => far(self.now),
            _ if !self.shaken => self.since + patience.handshake,
            State::Head { begun: false } => self.since + patience.idle,
            State::Head { begun: true } => self.since + patience.head,
            State::Json { .. } => self.since + patience.json,
            State::Receiving(_) if self.held == 0 => self.since + patience.stall,
            State::Farewell(_) => self.since + patience.farewell,
            State::Receiving(_) | State::Deciding { .. } => far(self.now),
        }
    }
}

/// Until the connection fills in who it is.
fn nobody() -> Peer {
    Peer::at(SocketAddr::from(([0, 0, 0, 0], 0)))
}
