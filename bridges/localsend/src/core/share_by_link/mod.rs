//! Share by link: a browser fetches files from a page of ours, or an app by `prepare-download`. Each browser
//! is asked about once and gets a session of its own, bound to its address.

mod page;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use accord_model::{FieldCode, FieldSet};

use super::http::server::{Body, Response};
use super::http::{encode_component, far};
use super::message::{DeviceInfo, DownloadOffer, FileOffer};
use super::receive::{PinGuard, PinVerdict};
use super::{ConnectionId, Peer, Secret, secret};

/// Most browsers with a session.
pub const MAX_SESSIONS: usize = 32;
/// Most browsers that wait for a decision.
pub const MAX_WAITING: usize = 8;
/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(3600);

/// Names one question to the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VisitId(pub u64);

/// What goes in.
pub enum Input<'a> {
    /// `GET /`.
    Page(ConnectionId, &'a Peer),
    /// The form on the page, with the PIN that was typed.
    Form(ConnectionId, &'a Peer, Option<&'a str>),
    /// `prepare-download`.
    Prepare {
        /// Where it came in.
        connection: ConnectionId,
        /// Who asks.
        peer: &'a Peer,
        /// A session that was granted before.
        session: Option<&'a str>,
        /// The PIN that was typed.
        pin: Option<&'a str>,
    },
    /// `download`.
    Download {
        /// Where it came in.
        connection: ConnectionId,
        /// Who asks.
        peer: &'a Peer,
        /// The session.
        session: &'a str,
        /// The file's id.
        file: &'a str,
    },
    /// A connection is over.
    Closed(ConnectionId),
    /// The owner decided.
    Decide(VisitId, bool),
    /// The time that [`Output::Wait`] named has come.
    Timeout,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug)]
pub enum Output {
    /// Answer on this connection.
    Respond(ConnectionId, Response),
    /// Answer on this connection with the content of a file, by its place in the share.
    Serve(ConnectionId, Response, usize),
    /// A browser asks. Answer with [`Input::Decide`].
    Asked(VisitId, Peer),
    /// The question has fallen away.
    Withdrawn(VisitId),
    /// Nothing more for now; come back at this time at the latest, or with new input.
    Wait(Instant),
}

/// Files on offer to browsers.
#[derive(Debug)]
pub struct Share {
    me: DeviceInfo,
    files: Vec<FileOffer>,
    pins: PinGuard,
    needs_pin: bool,
    decide_within: Duration,
    waiting: HashMap<VisitId, Visit>,
    sessions: HashMap<Secret, (IpAddr, Instant)>,
    next: u64,
    out: VecDeque<Output>,
    now: Instant,
}

#[derive(Debug)]
struct Visit {
    connection: ConnectionId,
    address: IpAddr,
    wants: Wants,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wants {
    Page,
    Json,
}

impl Share {
    /// Offers these files under this name, to whoever the owner lets in and knows the PIN, if there is one.
    pub fn new(me: DeviceInfo, files: Vec<FileOffer>, pin: Option<Secret>, now: Instant) -> Self {
        Self {
            me,
            files,
            needs_pin: pin.is_some(),
            pins: PinGuard::new(pin),
            decide_within: Duration::from_secs(600),
            waiting: HashMap::new(),
            sessions: HashMap::new(),
            next: 1,
            out: VecDeque::new(),
            now,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.now = now;
        self.sessions.retain(|_, (_, until)| *until > now);
        match input {
            Input::Page(connection, _) => self.page(connection, 200, None),
            Input::Form(connection, peer, pin) => match self.pins.check(peer.address, pin, now) {
                PinVerdict::Right => self.ask(connection, peer, Wants::Page),
                verdict => {
                    let (status, _) = verdict.refusal().unwrap_or((401, ""));
                    self.page(connection, status, Some(verdict));
                }
            },
            Input::Prepare { connection, peer, session, pin } => self.prepare(connection, peer, session, pin),
            Input::Download { connection, peer, session, file } => self.download(connection, peer, session, file),
            Input::Closed(closed) => self.withdraw(|visit| visit.connection == closed),
            Input::Decide(id, yes) => self.decide(id, yes),
            Input::Timeout => self.expire(),
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| {
            Output::Wait(self.waiting.values().map(|visit| visit.until).min().unwrap_or_else(|| far(self.now)))
        })
    }

    /// The style sheet of the page.
    pub fn style() -> Response {
        page::response(200, page::STYLE.as_bytes().to_vec(), "text/css; charset=utf-8", FieldSet::EMPTY)
    }

    fn prepare(&mut self, connection: ConnectionId, peer: &Peer, session: Option<&str>, pin: Option<&str>) {
        if let Some(session) = session.filter(|session| self.is_granted(peer, session)) {
            let session = Secret::from(session);
            return self.grant(connection, session, Wants::Json);
        }
        match self.pins.check(peer.address, pin, self.now).refusal() {
            Some((status, why)) => self.respond(connection, Response::reason(status, why)),
            None => self.ask(connection, peer, Wants::Json),
        }
    }

    fn ask(&mut self, connection: ConnectionId, peer: &Peer, wants: Wants) {
        if self.waiting.len() >= MAX_WAITING || self.sessions.len() >= MAX_SESSIONS {
            return self.refuse(connection, wants, 429, "Too many devices at once");
        }
        let id = VisitId(self.next);
        self.next += 1;
        let until = self.now + self.decide_within;
        self.waiting.insert(id, Visit { connection, address: peer.address, wants, until });
        self.out.push_back(Output::Asked(id, peer.clone()));
    }

    fn decide(&mut self, id: VisitId, yes: bool) {
        let Some(visit) = self.waiting.remove(&id) else { return };
        if !yes {
            return self.refuse(visit.connection, visit.wants, 403, "Declined");
        }
        let session = Secret::from(secret::token());
        self.sessions.insert(session.clone(), (visit.address, self.now + SESSION));
        self.grant(visit.connection, session, visit.wants);
    }

    fn grant(&mut self, connection: ConnectionId, session: Secret, wants: Wants) {
        let response = match wants {
            Wants::Json => {
                let offer = DownloadOffer { info: self.me.clone(), session, files: self.files.clone() };
                Response::json(offer.to_json(), offer.fields())
            }
            Wants::Page => page::list(&self.me, &self.files, &session),
        };
        self.respond(connection, response);
    }

    fn download(&mut self, connection: ConnectionId, peer: &Peer, session: &str, file: &str) {
        if !self.is_granted(peer, session) {
            return self.respond(connection, Response::reason(403, "No such session"));
        }
        let Some(place) = self.files.iter().position(|offer| offer.id == file) else {
            return self.respond(connection, Response::reason(404, "No such file"));
        };
        let offer = &self.files[place];
        let name = encode_component(offer.path.file_name());
        let fields = FieldSet::from_iter([FieldCode::FileContent, FieldCode::FileName]);
        let mut response = page::response(200, Vec::new(), "application/octet-stream", fields);
        response.headers.push_str(&format!("Content-Disposition: attachment; filename*=UTF-8''{name}\r\n"));
        response.body = Body::Stream(offer.size);
        self.out.push_back(Output::Serve(connection, response, place));
    }

    fn is_granted(&self, peer: &Peer, session: &str) -> bool {
        self.sessions.get(&Secret::from(session)).is_some_and(|(address, _)| *address == peer.address)
    }

    fn page(&mut self, connection: ConnectionId, status: u16, verdict: Option<PinVerdict>) {
        let response = page::form(&self.me, self.files.len(), self.needs_pin, status, verdict);
        self.respond(connection, response);
    }

    fn refuse(&mut self, connection: ConnectionId, wants: Wants, status: u16, why: &str) {
        let response = match wants {
            Wants::Json => Response::reason(status, why),
            Wants::Page => page::refusal(status, why),
        };
        self.respond(connection, response);
    }

    fn respond(&mut self, connection: ConnectionId, response: Response) {
        self.out.push_back(Output::Respond(connection, response));
    }

    fn withdraw(&mut self, is: impl Fn(&Visit) -> bool) {
        let gone: Vec<VisitId> = self.waiting.iter().filter(|(_, visit)| is(visit)).map(|(id, _)| *id).collect();
        for id in gone {
            self.waiting.remove(&id);
            self.out.push_back(Output::Withdrawn(id));
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        let late: Vec<_> = self
            .waiting
            .values()
            .filter(|visit| visit.until <= now)
            .map(|visit| (visit.connection, visit.wants))
            .collect();
        for (connection, wants) in late {
            self.refuse(connection, wants, 403, "Nobody decided in time");
        }
        self.withdraw(|visit| visit.until <= now);
    }
}

#[cfg(test)]
mod tests;
