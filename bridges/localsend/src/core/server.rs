//! Our server's mind: every request of every connection comes here, and what to do with it comes out.
//!
//! ```text
//! connection ─ Event::Request ──▶ Server ─ Output::Respond / Receive ──▶ connection
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use super::http::server::{Request, Response};
use super::message::{Announcement, DeviceInfo, FileOffer, MessageError, PrepareUpload};
use super::receive::{self, AskId, Decision, Incoming, Receiver, Rules, UploadFault};
use super::route::Route;
use super::{ConnectionId, Peer, Secret, Target};

/// What goes in.
#[derive(Debug)]
pub enum Input {
    /// A connection has a request.
    Request(ConnectionId, Request),
    /// A connection's upload is over: received whole **and stored**, or not.
    Uploaded(ConnectionId, Result<(), UploadFault>),
    /// A connection is over.
    Closed(ConnectionId),
    /// The owner decided about a transfer.
    Decide(AskId, Decision),
    /// The owner breaks off what is received.
    StopReceiving,
    /// We are called otherwise now.
    Me(DeviceInfo),
    /// The time that [`Output::Wait`] named has come.
    Timeout,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug)]
pub enum Output {
    /// Answer on this connection.
    Respond(ConnectionId, Response),
    /// Let the upload on this connection in.
    Receive(ConnectionId, Incoming, Box<FileOffer>),
    /// End this connection.
    Abort(ConnectionId),
    /// Tell a sender that its session is cancelled: [`super::send::cancel_call`].
    TellCancelled {
        /// Where the sender's own server is.
        at: Target,
        /// Its session.
        session: Secret,
    },
    /// Something happened.
    Event(Event),
    /// Nothing more for now; come back at this time at the latest, or with new input.
    Wait(Instant),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A device registered: for [`super::discovery`].
    Registered(Announcement, Peer),
    /// Somebody cancelled a transfer that is not received here: for every [`super::send::Sender`].
    PeerCancelled(Peer, Option<Secret>),
    /// Of the transfer that is received.
    Receive(receive::Event),
}

/// Answers requests.
#[derive(Debug)]
pub struct Server {
    me: DeviceInfo,
    receiver: Receiver,
    out: VecDeque<Output>,
    now: Instant,
}

impl Server {
    /// Answers as `me`, under the owner's rules.
    pub fn new(me: DeviceInfo, rules: Rules, now: Instant) -> Self {
        Self { me, receiver: Receiver::new(rules, now), out: VecDeque::new(), now }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Instant) {
        self.now = now;
        match input {
            Input::Request(connection, request) => self.request(connection, request),
            Input::Uploaded(connection, outcome) => {
                self.receiver.handle(receive::Input::Uploaded { connection, outcome }, now);
            }
            Input::Closed(connection) => {
                self.receiver.handle(receive::Input::Closed(connection), now);
            }
            Input::Decide(ask, decision) => self.receiver.handle(receive::Input::Decide(ask, decision), now),
            Input::StopReceiving => self.receiver.handle(receive::Input::Stop, now),
            Input::Me(me) => self.me = me,
            Input::Timeout => self.receiver.handle(receive::Input::Timeout, now),
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        match self.receiver.poll_output() {
            receive::Output::Respond(connection, response) => Output::Respond(connection, response),
            receive::Output::Receive(connection, incoming, offer) => Output::Receive(connection, incoming, offer),
            receive::Output::Abort(connection) => Output::Abort(connection),
            receive::Output::TellCancelled { at, session } => Output::TellCancelled { at, session },
            receive::Output::Event(event) => Output::Event(Event::Receive(event)),
            receive::Output::Wait(until) => Output::Wait(until),
        }
    }

    fn request(&mut self, connection: ConnectionId, request: Request) {
        let Request { peer, route, is_foreign, body, length } = request;
        if is_foreign {
            return self.refuse(connection, 403, "Pages of others may not ask here");
        }
        match route {
            Route::Info => self.out.push_back(Output::Respond(connection, self.me_answer())),
            Route::Register => self.register(connection, peer, &body),
            Route::PrepareUpload { pin } => match PrepareUpload::parse(&body) {
                Ok(request) => {
                    let input = receive::Input::Prepare { connection, peer: &peer, pin: pin.as_deref(), request };
                    self.receiver.handle(input, self.now);
                }
                Err(error) => self.malformed(connection, &error),
            },
            Route::Upload { session: Some(session), file: Some(file), token: Some(token) } => {
                let (peer, session, file, token) = (&peer, &*session, &*file, &*token);
                let input = receive::Input::Upload { connection, peer, session, file, token, length };
                self.receiver.handle(input, self.now);
            }
            Route::Cancel { session } => self.cancel(connection, peer, session),
            Route::Upload { .. } => self.refuse(connection, 400, "A parameter is missing"),
            Route::WrongMethod => self.refuse(connection, 405, "Not to be asked like this"),
            Route::Unknown => self.refuse(connection, 404, "Nothing here"),
        }
    }

    fn register(&mut self, connection: ConnectionId, peer: Peer, body: &[u8]) {
        let announced = match Announcement::parse_register(body) {
            Ok(announced) => announced,
            Err(error) => return self.malformed(connection, &error),
        };
        // Who shows a certificate must be who it says it is (version 2.2).
        let is_liar = peer.certificate.is_some() && !peer.is(&announced.info.fingerprint);
        if !is_liar && announced.info.fingerprint != self.me.fingerprint {
            self.out.push_back(Output::Event(Event::Registered(announced, peer)));
        }
        self.out.push_back(Output::Respond(connection, self.me_answer()));
    }

    fn cancel(&mut self, connection: ConnectionId, peer: Peer, session: Option<Secret>) {
        if self.receiver.is_for(&peer, session.as_deref()) {
            let input = receive::Input::Cancelled { peer: &peer, session: session.as_deref() };
            self.receiver.handle(input, self.now);
        } else {
            self.out.push_back(Output::Event(Event::PeerCancelled(peer, session)));
        }
        self.out.push_back(Output::Respond(connection, Response::status(200)));
    }

    fn me_answer(&self) -> Response {
        Response::json(self.me.to_json(), self.me.fields())
    }

    fn malformed(&mut self, connection: ConnectionId, error: &MessageError) {
        self.refuse(connection, 400, &error.to_string());
    }

    fn refuse(&mut self, connection: ConnectionId, status: u16, why: &str) {
        self.out.push_back(Output::Respond(connection, Response::reason(status, why)));
    }
}

#[cfg(test)]
mod tests;

/// For the fuzzer: a connection's bytes in portions of `step`, all requests decided in the peer's favour.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], step: usize) {
    use super::http::Patience;
    use super::http::server::{Connection, Event as Heard, Input as Give, Output as Gives};
    let now = Instant::now();
    let me = DeviceInfo::new("fuzz", super::DeviceType::Desktop, super::Fingerprint::of(b"fuzz"));
    let mut server = Server::new(me, Rules { unverified: true, ..Rules::default() }, now);
    let mut connection =
        Connection::new(std::net::SocketAddr::from(([10, 0, 0, 2], 1)), None, Patience::default(), now);
    let id = ConnectionId(1);
    for portion in bytes.chunks(step.max(1)) {
        connection.handle(Give::Bytes(portion), now);
        loop {
            match connection.poll_output() {
                Gives::Event(Heard::Request(request)) => server.handle(Input::Request(id, request), now),
                Gives::Event(Heard::Piece(piece)) => connection.handle(Give::Stored(piece), now),
                Gives::Event(Heard::Uploaded(outcome)) => server.handle(Input::Uploaded(id, outcome), now),
                Gives::Event(_) | Gives::Transmit(_) => {}
                Gives::Wait(_) => match server.poll_output() {
                    Output::Respond(_, response) => connection.handle(Give::Respond(response), now),
                    Output::Receive(_, incoming, _) => connection.handle(Give::Receive(incoming), now),
                    Output::Event(Event::Receive(receive::Event::Asked(asked))) => {
                        server.handle(Input::Decide(asked.ask, Decision::Accept), now);
                    }
                    Output::Wait(_) => break,
                    _ => {}
                },
            }
        }
    }
}
