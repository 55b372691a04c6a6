//! Our server's mind: every request of every connection comes here, and what to do with it comes out.
//!
//! ```text
//! connection ─ Event::Request ──▶ Server ─ Output::Respond / Receive / Serve ──▶ connection
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use super::http::server::{Request, Response};
use super::http::{decode_component, far};
use super::message::{Announcement, DeviceInfo, FileOffer, MessageError, PrepareUpload};
use super::receive::{self, AskId, Decision, Incoming, Receiver, Rules, UploadFault};
use super::route::Route;
use super::share_by_link::{self, Share, VisitId};
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
    /// The owner decided about a browser.
    Admit(VisitId, bool),
    /// The owner shares files by link.
    Share(Box<Share>),
    /// The owner shares nothing any more.
    Unshare,
    /// We are called otherwise now, or offer other things.
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
    /// Answer on this connection with a shared file's content, by its place in the share.
    Serve(ConnectionId, Response, usize),
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
    /// A browser asks for what is shared.
    Visit(VisitId, Peer),
    /// That question has fallen away.
    VisitWithdrawn(VisitId),
}

/// Answers requests.
#[derive(Debug)]
pub struct Server {
    me: DeviceInfo,
    receiver: Receiver,
    share: Option<Box<Share>>,
    out: VecDeque<Output>,
    now: Instant,
}

impl Server {
    /// Answers as `me`, under the owner's rules.
    pub fn new(me: DeviceInfo, rules: Rules, now: Instant) -> Self {
        Self { me, receiver: Receiver::new(rules, now), share: None, out: VecDeque::new(), now }
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
                self.share(share_by_link::Input::Closed(connection));
            }
            Input::Decide(ask, decision) => self.receiver.handle(receive::Input::Decide(ask, decision), now),
            Input::StopReceiving => self.receiver.handle(receive::Input::Stop, now),
            Input::Admit(visit, yes) => self.share(share_by_link::Input::Decide(visit, yes)),
            Input::Share(share) => {
                self.me.download = true;
                self.share = Some(share);
            }
            Input::Unshare => {
                self.me.download = false;
                self.share = None;
            }
            Input::Me(me) => self.me = DeviceInfo { download: self.share.is_some(), ..me },
            Input::Timeout => {
                self.receiver.handle(receive::Input::Timeout, now);
                self.share(share_by_link::Input::Timeout);
            }
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        let received = match self.receiver.poll_output() {
            receive::Output::Respond(connection, response) => return Output::Respond(connection, response),
            receive::Output::Receive(connection, incoming, offer) => {
                return Output::Receive(connection, incoming, offer);
            }
            receive::Output::Abort(connection) => return Output::Abort(connection),
            receive::Output::TellCancelled { at, session } => return Output::TellCancelled { at, session },
            receive::Output::Event(event) => return Output::Event(Event::Receive(event)),
            receive::Output::Wait(until) => until,
        };
        let shared = match self.share.as_mut().map(|share| share.poll_output()) {
            Some(share_by_link::Output::Respond(connection, response)) => return Output::Respond(connection, response),
            Some(share_by_link::Output::Serve(connection, response, file)) => {
                return Output::Serve(connection, response, file);
            }
            Some(share_by_link::Output::Asked(visit, peer)) => return Output::Event(Event::Visit(visit, peer)),
            Some(share_by_link::Output::Withdrawn(visit)) => return Output::Event(Event::VisitWithdrawn(visit)),
            Some(share_by_link::Output::Wait(until)) => until,
            None => far(self.now),
        };
        Output::Wait(received.min(shared))
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
            Route::Download { session: Some(session), file: Some(file) } => {
                self.if_shared(
                    connection,
                    share_by_link::Input::Download { connection, peer: &peer, session: &session, file: &file },
                );
            }
            Route::PrepareDownload { session, pin } => {
                let (session, pin) = (session.as_deref(), pin.as_deref());
                self.if_shared(connection, share_by_link::Input::Prepare { connection, peer: &peer, session, pin });
            }
            Route::Page => self.if_shared(connection, share_by_link::Input::Page(connection, &peer)),
            Route::Form => {
                let pin = form_field(&body, "pin");
                self.if_shared(connection, share_by_link::Input::Form(connection, &peer, pin.as_deref()));
            }
            Route::Style if self.share.is_some() => self.out.push_back(Output::Respond(connection, Share::style())),
            Route::Upload { .. } | Route::Download { .. } => self.refuse(connection, 400, "A parameter is missing"),
            Route::WrongMethod => self.refuse(connection, 405, "Not to be asked like this"),
            Route::Style | Route::Unknown => self.refuse(connection, 404, "Nothing here"),
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

    fn if_shared(&mut self, connection: ConnectionId, input: share_by_link::Input<'_>) {
        match &mut self.share {
            Some(share) => share.handle(input, self.now),
            None => self.refuse(connection, 404, "Nothing is shared here"),
        }
    }

    fn share(&mut self, input: share_by_link::Input<'_>) {
        if let Some(share) = &mut self.share {
            share.handle(input, self.now);
        }
    }

    fn malformed(&mut self, connection: ConnectionId, error: &MessageError) {
        self.refuse(connection, 400, &error.to_string());
    }

    fn refuse(&mut self, connection: ConnectionId, status: u16, why: &str) {
        self.out.push_back(Output::Respond(connection, Response::reason(status, why)));
    }
}

fn form_field(body: &[u8], name: &str) -> Option<String> {
    let form = std::str::from_utf8(body).ok()?;
    let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(decode_component(value).trim().to_owned()).filter(|value| !value.is_empty())
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
