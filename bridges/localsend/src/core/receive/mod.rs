//! Receiving: one transfer at a time, from the request through the owner's decision to the last file.
//!
//! It only decides. Bytes stay in the connections ([`crate::core::http::server`]); an upload that is allowed
//! comes back from there as whole or not.

mod incoming;
mod session;

pub use accord_ports::pin::{MAX_WRONG, PinGuard, PinVerdict};
pub use incoming::{Incoming, UploadFault};

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use accord_model::FieldSet;

use super::http::far;
use super::http::server::Response;
use super::message::{FileOffer, PrepareUpload, Prepared};
use super::{ConnectionId, Peer, Secret, Target};
use session::{End, Session};

/// Most uploads of one file.
pub const MAX_ATTEMPTS: u8 = 3;

/// The owner's rules.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What every sender must know.
    pub pin: Option<Secret>,
    /// Whether devices that cannot prove who they are may ask at all (plain HTTP, and apps before 1.18).
    pub unverified: bool,
    /// How long the owner may think.
    pub decide_within: Duration,
    /// How long a transfer may rest between two files.
    pub rest: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { pin: None, unverified: false, decide_within: Duration::from_secs(600), rest: Duration::from_secs(120) }
    }
}

/// Names one question to the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What goes in.
pub enum Input<'a> {
    /// `prepare-upload`.
    Prepare {
        /// Where it came in.
        connection: ConnectionId,
        /// Who asks.
        peer: &'a Peer,
        /// The PIN that was typed.
        pin: Option<&'a str>,
        /// What is offered.
        request: PrepareUpload,
    },
    /// `upload`, its body still to come.
    Upload {
        /// Where it came in.
        connection: ConnectionId,
        /// Who sends.
        peer: &'a Peer,
        /// The session.
        session: &'a str,
        /// The file's id.
        file: &'a str,
        /// The file's token.
        token: &'a str,
        /// How long its body says it is.
        length: Option<u64>,
    },
    /// An upload is over: received whole **and stored**, or not.
    Uploaded {
        /// Where it came in.
        connection: ConnectionId,
        /// How it ended.
        outcome: Result<(), UploadFault>,
    },
    /// `cancel`.
    Cancelled {
        /// Who cancels.
        peer: &'a Peer,
        /// The session; without, the request that waits.
        session: Option<&'a str>,
    },
    /// A connection is over.
    Closed(ConnectionId),
    /// The owner decided.
    Decide(AskId, Decision),
    /// The owner breaks the transfer off.
    Stop,
    /// The time that [`Output::Wait`] named has come.
    Timeout,
}

/// What the owner decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// All files.
    Accept,
    /// Only the files with these ids.
    Only(Vec<String>),
    /// The text was shown; there is nothing to send.
    Shown,
    /// No.
    Decline,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug)]
pub enum Output {
    /// Answer on this connection.
    Respond(ConnectionId, Response),
    /// Let the upload on this connection in, into this file.
    Receive(ConnectionId, Incoming, Box<FileOffer>),
    /// End this connection.
    Abort(ConnectionId),
    /// Tell the sender that its session is cancelled: `POST cancel`.
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
    /// A device asks. Answer with [`Input::Decide`].
    Asked(Box<Asked>),
    /// The question has fallen away.
    Withdrawn(AskId, Withdrawn),
    /// Files will come.
    Started {
        /// The question that led to it.
        ask: AskId,
        /// The session.
        session: Secret,
    },
    /// One file is over.
    File {
        /// The file's id.
        id: String,
        /// Nothing when it is here. An error is final: no attempt is left.
        outcome: Result<(), UploadFault>,
    },
    /// The transfer is over.
    Finished {
        /// The question that led to it.
        ask: AskId,
        /// How.
        how: Finished,
    },
}

/// A question to the owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Names the question.
    pub ask: AskId,
    /// Where it came in.
    pub connection: ConnectionId,
    /// Who asks.
    pub peer: Peer,
    /// Whether it proved to be the device with its fingerprint. One that did not is never accepted unasked.
    pub verified: bool,
    /// What is offered, and by whom it says it is.
    pub request: PrepareUpload,
}

/// Why a question has fallen away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Withdrawn {
    /// The sender cancelled.
    #[error("the sender took it back")]
    Cancelled,
    /// The sender is gone.
    #[error("the sender hung up before you decided")]
    HungUp,
    /// Nobody decided.
    #[error("nobody decided in time")]
    Expired,
}

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// Every file was dealt with; so many are missing.
    Done {
        /// Files that did not arrive.
        missing: usize,
    },
    /// The sender cancelled.
    CancelledByPeer,
    /// The owner broke it off.
    Stopped,
    /// The sender went silent.
    Silent,
}

/// The receiver's state.
#[derive(Debug)]
pub struct Receiver {
    rules: Rules,
    pins: PinGuard,
    state: State,
    next: u64,
    out: VecDeque<Output>,
    now: Instant,
}

#[derive(Debug)]
enum State {
    Free,
    Asking { connection: ConnectionId, asked: Box<Asked>, until: Instant },
    Running(Box<Session>),
}

impl Receiver {
    /// Nothing is going on.
    pub fn new(rules: Rules, now: Instant) -> Self {
        let pins = PinGuard::new(rules.pin.clone());
        Self { rules, pins, state: State::Free, next: 1, out: VecDeque::new(), now }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.now = now;
        match input {
            Input::Prepare { connection, peer, pin, request } => self.prepare(connection, peer, pin, request),
            Input::Upload { connection, peer, session, file, token, length } => match &mut self.state {
                State::Running(running) => {
                    let verdict = running.upload(connection, peer, session, file, token, length);
                    self.out.push_back(match verdict {
                        Ok((incoming, offer)) => Output::Receive(connection, incoming, Box::new(offer)),
                        Err((status, why)) => Output::Respond(connection, Response::reason(status, why)),
                    });
                }
                _ => self.respond(connection, 403, "No such session"),
            },
            Input::Uploaded { connection, outcome } => self.uploaded(connection, outcome),
            Input::Cancelled { peer, session } => self.cancelled(peer, session),
            Input::Closed(connection) => self.closed(connection),
            Input::Decide(ask, decision) => self.decide(ask, decision),
            Input::Stop => self.stop(),
            Input::Timeout => self.timeout(),
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| Output::Wait(self.deadline()))
    }

    /// Whether this cancel is meant for the transfer that runs or waits here.
    pub fn is_for(&self, peer: &Peer, session: Option<&str>) -> bool {
        match (&self.state, session) {
            (State::Asking { asked, .. }, None) => asked.peer.address == peer.address,
            (State::Running(running), Some(session)) => running.is(peer, session),
            _ => false,
        }
    }

    fn prepare(&mut self, connection: ConnectionId, peer: &Peer, pin: Option<&str>, request: PrepareUpload) {
        let verified = peer.is(&request.sender.info.fingerprint);
        if peer.certificate.is_some() && !verified {
            return self.respond(connection, 403, "The fingerprint is not that of the certificate");
        }
        if !verified && !self.rules.unverified {
            return self.respond(
                connection,
                403,
                "Only devices with LocalSend 1.18 or newer, encrypted, may send here",
            );
        }
        if !matches!(self.state, State::Free) {
            return self.respond(connection, 409, "Another transfer is running");
        }
        if let Some((status, why)) = self.pins.check(peer.address, pin, self.now).refusal() {
            return self.respond(connection, status, why);
        }
        if request.files.is_empty() {
            return self.out.push_back(Output::Respond(connection, Response::status(204)));
        }
        let ask = AskId(self.next);
        self.next += 1;
        let asked = Box::new(Asked { ask, connection, peer: peer.clone(), verified, request });
        self.out.push_back(Output::Event(Event::Asked(asked.clone())));
        self.state = State::Asking { connection, asked, until: self.now + self.rules.decide_within };
    }

    fn decide(&mut self, ask: AskId, decision: Decision) {
        let (connection, asked) = match std::mem::replace(&mut self.state, State::Free) {
            State::Asking { connection, asked, .. } if asked.ask == ask => (connection, asked),
            other => return self.state = other,
        };
        let wanted = match decision {
            Decision::Decline => return self.respond(connection, 403, "Declined"),
            Decision::Shown => return self.out.push_back(Output::Respond(connection, Response::status(204))),
            Decision::Accept => None,
            Decision::Only(ids) => Some(ids),
        };
        let session = Session::new(*asked, wanted, self.now + self.rules.rest);
        if session.is_empty() {
            return self.out.push_back(Output::Respond(connection, Response::status(204)));
        }
        let prepared = Prepared { session: session.id().into(), tokens: session.tokens() };
        let started = Event::Started { ask, session: session.id().into() };
        self.out.push_back(Output::Event(started));
        self.out.push_back(Output::Respond(connection, Response::json(prepared.to_json(), FieldSet::EMPTY)));
        self.state = State::Running(Box::new(session));
    }

    fn uploaded(&mut self, connection: ConnectionId, outcome: Result<(), UploadFault>) {
        let State::Running(running) = &mut self.state else { return };
        let Some(end) = running.uploaded(connection, outcome, self.now + self.rules.rest) else { return };
        let End { id, outcome, is_final } = end;
        let (status, why) = match &outcome {
            Ok(()) => (200, String::new()),
            Err(fault @ UploadFault::Checksum) => (422, fault.to_string()),
            Err(UploadFault::Storage(_)) => (500, "It could not be stored".to_owned()),
            Err(fault) => (400, fault.to_string()),
        };
        let response = if status == 200 { Response::status(200) } else { Response::reason(status, &why) };
        self.out.push_back(Output::Respond(connection, response));
        if is_final {
            self.out.push_back(Output::Event(Event::File { id, outcome }));
        }
        self.finish_when_done();
    }

    fn finish_when_done(&mut self) {
        if let State::Running(running) = &self.state
            && let Some(missing) = running.done()
        {
            let ask = running.ask();
            self.state = State::Free;
            self.out.push_back(Output::Event(Event::Finished { ask, how: Finished::Done { missing } }));
        }
    }

    fn cancelled(&mut self, peer: &Peer, session: Option<&str>) {
        if !self.is_for(peer, session) {
            return;
        }
        match &self.state {
            State::Asking { connection, .. } => {
                let connection = *connection;
                self.withdraw(Withdrawn::Cancelled);
                self.respond(connection, 403, "Cancelled");
            }
            State::Running(_) => self.break_off(Finished::CancelledByPeer),
            State::Free => {}
        }
    }

    fn closed(&mut self, closed: ConnectionId) {
        match &mut self.state {
            State::Asking { connection, .. } if *connection == closed => self.withdraw(Withdrawn::HungUp),
            State::Running(running) => {
                let end = running.uploaded(closed, Err(UploadFault::CutShort), self.now + self.rules.rest);
                if let Some(End { id, outcome, is_final: true }) = end {
                    self.out.push_back(Output::Event(Event::File { id, outcome }));
                }
                self.finish_when_done();
            }
            _ => {}
        }
    }

    fn stop(&mut self) {
        match &self.state {
            State::Asking { asked, .. } => self.decide(asked.ask, Decision::Decline),
            State::Running(running) => {
                let (at, session) = (running.sender(), running.id().into());
                self.out.push_back(Output::TellCancelled { at, session });
                self.break_off(Finished::Stopped);
            }
            State::Free => {}
        }
    }

    fn timeout(&mut self) {
        if self.now < self.deadline() {
            return;
        }
        match &self.state {
            State::Asking { connection, .. } => {
                let connection = *connection;
                self.withdraw(Withdrawn::Expired);
                self.respond(connection, 403, "Nobody decided in time");
            }
            State::Running(_) => self.break_off(Finished::Silent),
            State::Free => {}
        }
    }

    fn deadline(&self) -> Instant {
        match &self.state {
            State::Free => far(self.now),
            State::Asking { until, .. } => *until,
            State::Running(running) => running.rests_until().unwrap_or_else(|| far(self.now)),
        }
    }

    fn withdraw(&mut self, why: Withdrawn) {
        if let State::Asking { asked, .. } = std::mem::replace(&mut self.state, State::Free) {
            self.out.push_back(Output::Event(Event::Withdrawn(asked.ask, why)));
        }
    }

    fn break_off(&mut self, how: Finished) {
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Free) {
            self.out.extend(running.connections().map(Output::Abort));
            self.out.push_back(Output::Event(Event::Finished { ask: running.ask(), how }));
        }
    }

    fn respond(&mut self, connection: ConnectionId, status: u16, why: &str) {
        self.out.push_back(Output::Respond(connection, Response::reason(status, why)));
    }
}

#[cfg(test)]
mod tests;
