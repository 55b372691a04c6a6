//! Sending one transfer to one device: register where its certificate is not known yet, `prepare-upload`,
//! the uploads, `cancel`. Each is a job for a connection ([`crate::core::http::client`]).

mod error;

pub use error::{Reason, SendError};

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use accord_model::{FieldCode, FieldSet};

use super::http::client::{Body, Request};
use super::http::{Method, encode_component, far};
use super::message::{DeviceInfo, FileOffer, MAX_FILES, MAX_JSON, MAX_SMALL_JSON, PrepareUpload, Prepared};
use super::{API, Announcement, Fingerprint, Peer, Protocol, Secret, Target};

/// How a transfer is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Uploads at once.
    pub parallel: usize,
    /// Uploads of one file at most; 1 when it can be read only once.
    pub attempts: u8,
    /// Whether plain HTTP will do.
    pub unencrypted: bool,
    /// How long the other owner may think.
    pub decide_within: Duration,
    /// How long the other device may take for any other answer.
    pub answer_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parallel: 2,
            attempts: 3,
            unencrypted: false,
            decide_within: Duration::from_secs(900),
            answer_within: Duration::from_secs(120),
        }
    }
}

/// Names one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What goes in.
pub enum Input<'a> {
    /// The connection of a job is secured by this certificate.
    Secured(JobId, Fingerprint),
    /// The answer to a job.
    Answer {
        /// Which.
        job: JobId,
        /// HTTP status.
        status: u16,
        /// Its content.
        body: &'a [u8],
    },
    /// A job has no answer: not reached, hung up, too slow.
    Failed(JobId, String),
    /// The PIN that [`Event::PinNeeded`] asks for.
    Pin(Secret),
    /// The owner breaks it off.
    Cancel,
    /// Somebody called `cancel` on our server.
    PeerCancelled {
        /// Who.
        peer: &'a Peer,
        /// Which session.
        session: Option<&'a str>,
    },
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug)]
pub enum Output {
    /// Ask this, on a connection to there; for the body of an upload, read the file at `file` of the offer.
    Ask {
        /// Names it.
        job: JobId,
        /// Whom.
        to: Target,
        /// What.
        request: Request,
        /// Which file.
        file: Option<usize>,
    },
    /// End the connection of this job; its answer is of no interest.
    Abort(JobId),
    /// Something happened.
    Event(Event),
    /// Nothing more for now; come back with new input.
    Wait(Instant),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The other side is asked.
    Waiting,
    /// A PIN is needed. Answer with [`Input::Pin`] or [`Input::Cancel`].
    PinNeeded {
        /// Whether the last one was wrong.
        wrong: bool,
    },
    /// The other side wants these files, by their place in the offer.
    Accepted(Vec<usize>),
    /// A file starts, also again.
    Sending(usize),
    /// A file arrived whole; with its checksum told, verified by the receiver.
    Sent(usize),
    /// A file did not.
    NotSent(usize, SendError),
    /// The transfer is over: so many files arrived, so many did not. None of either: it was a text and was
    /// shown, or nothing was wanted.
    Finished {
        /// Files that arrived.
        sent: usize,
        /// Files that did not.
        failed: usize,
    },
    /// The transfer is over before its time.
    Failed(SendError),
}

/// One transfer.
#[derive(Debug)]
pub struct Sender {
    options: Options,
    to: Target,
    offer: PrepareUpload,
    pin: Option<Secret>,
    state: State,
    next: u64,
    out: VecDeque<Output>,
    now: Instant,
}

#[derive(Debug)]
enum State {
    Greeting { job: JobId, shown: Option<Fingerprint> },
    Preparing(JobId),
    NeedsPin,
    Uploading(Uploads),
    Over,
}

#[derive(Debug)]
struct Uploads {
    session: Secret,
    waiting: VecDeque<Upload>,
    running: HashMap<JobId, Upload>,
    sent: usize,
    failed: usize,
}

#[derive(Debug, Clone)]
struct Upload {
    file: usize,
    token: Secret,
    attempts: u8,
}

impl Sender {
    /// Offers `files` to a device, as `me`.
    pub fn new(me: Announcement, to: Target, files: Vec<FileOffer>, options: Options, now: Instant) -> Self {
        let offer = PrepareUpload { sender: me, files };
        let state = State::NeedsPin;
        let mut sender = Self { options, to, offer, pin: None, state, next: 1, out: VecDeque::new(), now };
        let is_known = sender.to.fingerprint.is_some();
        match sender.to.protocol {
            _ if sender.offer.files.len() > MAX_FILES => sender.fail(SendError::TooMuch),
            Protocol::Http if !sender.options.unencrypted => sender.fail(SendError::Unencrypted),
            Protocol::Https if !is_known => sender.greet(),
            Protocol::Http | Protocol::Https => sender.prepare(),
        }
        sender
    }

    /// What is offered.
    pub fn files(&self) -> &[FileOffer] {
        &self.offer.files
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.now = now;
        match input {
            Input::Secured(job, certificate) => {
                if let State::Greeting { job: greeting, shown } = &mut self.state
                    && *greeting == job
                {
                    *shown = Some(certificate);
                }
            }
            Input::Answer { job, status, body } => self.answer(job, status, body),
            Input::Failed(job, why) => self.job_failed(job, why),
            Input::Pin(pin) if matches!(self.state, State::NeedsPin) => {
                self.pin = Some(pin);
                self.prepare();
            }
            Input::Pin(_) => {}
            Input::Cancel => self.cancel(),
            Input::PeerCancelled { peer, session } => {
                if self.is_for(peer, session) {
                    self.fail(SendError::CancelledByPeer);
                }
            }
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| Output::Wait(far(self.now)))
    }

    /// Whether a `cancel` from there means this transfer.
    pub fn is_for(&self, peer: &Peer, session: Option<&str>) -> bool {
        let is_there = peer.address == self.to.address.ip().to_canonical();
        let is_it = match (&self.state, session) {
            (State::Uploading(uploads), Some(session)) => super::secret::same(&uploads.session, session),
            (State::Preparing(_), None) => true,
            _ => false,
        };
        let is_them = peer.certificate.is_none() || peer.certificate == self.to.fingerprint;
        is_there && is_it && is_them
    }

    fn greet(&mut self) {
        let me = &self.offer.sender;
        let request = self.request("register", "", Body::Bytes(me.to_register()), me.fields());
        let job = self.ask(request, None);
        self.state = State::Greeting { job, shown: None };
    }

    fn prepare(&mut self) {
        let json = self.offer.to_json();
        if json.len() > MAX_JSON {
            return self.fail(SendError::TooMuch);
        }
        let query = self.pin.as_ref().map(|pin| format!("?pin={}", encode_component(pin))).unwrap_or_default();
        let mut request = self.request("prepare-upload", &query, Body::Bytes(json), self.offer.fields());
        (request.max_response, request.within) = (MAX_JSON, self.options.decide_within);
        let job = self.ask(request, None);
        self.state = State::Preparing(job);
        self.out.push_back(Output::Event(Event::Waiting));
    }

    fn answer(&mut self, job: JobId, status: u16, body: &[u8]) {
        match &mut self.state {
            State::Greeting { job: greeting, shown } if *greeting == job => {
                let shown = shown.take();
                self.greeted(shown, status, body);
            }
            State::Preparing(preparing) if *preparing == job => self.prepared(status, body),
            State::Uploading(uploads) => {
                if let Some(upload) = uploads.running.remove(&job) {
                    self.uploaded(upload, status, body);
                }
            }
            _ => {}
        }
    }

    fn greeted(&mut self, shown: Option<Fingerprint>, status: u16, body: &[u8]) {
        let info = match (status, DeviceInfo::parse(body)) {
            (200, Ok(info)) => info,
            _ => return self.fail(SendError::NotLocalSend),
        };
        match shown {
            Some(shown) if shown == info.fingerprint => self.to.fingerprint = Some(shown),
            _ => return self.fail(SendError::Impostor),
        }
        self.prepare();
    }

    fn prepared(&mut self, status: u16, body: &[u8]) {
        let error = match status {
            200 => match Prepared::parse(body) {
                Ok(prepared) => return self.begin(prepared),
                Err(_) => SendError::NotLocalSend,
            },
            204 => return self.finish(0, 0),
            401 => {
                self.state = State::NeedsPin;
                let wrong = self.pin.take().is_some();
                return self.out.push_back(Output::Event(Event::PinNeeded { wrong }));
            }
            403 => SendError::Declined,
            404 | 405 => SendError::NotLocalSend,
            409 => SendError::Busy,
            413 => SendError::TooMuch,
            429 => SendError::PinBlocked,
            other => failure(other, body),
        };
        self.fail(error);
    }

    fn begin(&mut self, mut prepared: Prepared) {
        let (waiting, running) = (VecDeque::new(), HashMap::new());
        let mut uploads = Uploads { session: prepared.session, waiting, running, sent: 0, failed: 0 };
        for (file, offer) in self.offer.files.iter().enumerate() {
            if let Some(token) = prepared.tokens.remove(&offer.id) {
                uploads.waiting.push_back(Upload { file, token, attempts: 0 });
            }
        }
        let wanted = uploads.waiting.iter().map(|upload| upload.file).collect();
        self.out.push_back(Output::Event(Event::Accepted(wanted)));
        self.state = State::Uploading(uploads);
        self.go_on();
    }

    /// Starts uploads as far as the bound allows, or finishes.
    fn go_on(&mut self) {
        loop {
            let State::Uploading(uploads) = &mut self.state else { return };
            if uploads.running.len() >= self.options.parallel.max(1) {
                return;
            }
            let Some(mut upload) = uploads.waiting.pop_front() else {
                if uploads.running.is_empty() {
                    let (sent, failed) = (uploads.sent, uploads.failed);
                    self.finish(sent, failed);
                }
                return;
            };
            upload.attempts += 1;
            let offer = &self.offer.files[upload.file];
            let query = format!(
                "?sessionId={}&fileId={}&token={}",
                encode_component(&uploads.session),
                encode_component(&offer.id),
                encode_component(&upload.token)
            );
            let fields = FieldSet::one(FieldCode::FileContent);
            let mut request = self.request("upload", &query, Body::Stream(offer.size), fields);
            request.content_type = "application/octet-stream";
            self.out.push_back(Output::Event(Event::Sending(upload.file)));
            let job = self.ask(request, Some(upload.file));
            if let State::Uploading(uploads) = &mut self.state {
                uploads.running.insert(job, upload);
            }
        }
    }

    fn uploaded(&mut self, upload: Upload, status: u16, body: &[u8]) {
        let State::Uploading(uploads) = &mut self.state else { return };
        let may_repeat = upload.attempts < self.options.attempts;
        match status {
            200 | 204 => {
                uploads.sent += 1;
                self.out.push_back(Output::Event(Event::Sent(upload.file)));
            }
            409 | 422 if may_repeat => uploads.waiting.push_front(upload),
            422 => self.not_sent(upload.file, SendError::Damaged(upload.attempts)),
            403 => return self.fail(SendError::CancelledByPeer),
            409 => self.not_sent(upload.file, SendError::Busy),
            other => self.not_sent(upload.file, failure(other, body)),
        }
        self.go_on();
    }

    fn job_failed(&mut self, job: JobId, why: String) {
        match &mut self.state {
            State::Greeting { job: greeting, .. } if *greeting == job => self.fail(SendError::Connection(why)),
            State::Preparing(preparing) if *preparing == job => self.fail(SendError::Connection(why)),
            State::Uploading(uploads) => {
                let Some(upload) = uploads.running.remove(&job) else { return };
                if upload.attempts < self.options.attempts {
                    uploads.waiting.push_front(upload);
                } else {
                    self.not_sent(upload.file, SendError::Connection(why));
                }
                self.go_on();
            }
            _ => {}
        }
    }

    fn not_sent(&mut self, file: usize, error: SendError) {
        if let State::Uploading(uploads) = &mut self.state {
            uploads.failed += 1;
            self.out.push_back(Output::Event(Event::NotSent(file, error)));
        }
    }

    fn cancel(&mut self) {
        let query = match &self.state {
            State::Uploading(uploads) => Some(format!("?sessionId={}", encode_component(&uploads.session))),
            State::Preparing(_) => Some(String::new()),
            _ => None,
        };
        if self.is_over() {
            return;
        }
        self.fail(SendError::Cancelled);
        if let Some(query) = query {
            let request = self.request("cancel", &query, Body::Bytes(Vec::new()), FieldSet::EMPTY);
            self.ask(request, None);
        }
    }

    fn finish(&mut self, sent: usize, failed: usize) {
        self.state = State::Over;
        self.out.push_back(Output::Event(Event::Finished { sent, failed }));
    }

    fn fail(&mut self, error: SendError) {
        let jobs: Vec<JobId> = match std::mem::replace(&mut self.state, State::Over) {
            State::Greeting { job, .. } | State::Preparing(job) => vec![job],
            State::Uploading(uploads) => uploads.running.into_keys().collect(),
            State::NeedsPin => Vec::new(),
            State::Over => return,
        };
        self.out.extend(jobs.into_iter().map(Output::Abort));
        self.out.push_back(Output::Event(Event::Failed(error)));
    }

    fn ask(&mut self, request: Request, file: Option<usize>) -> JobId {
        let job = JobId(self.next);
        self.next += 1;
        self.out.push_back(Output::Ask { job, to: self.to.clone(), request, file });
        job
    }

    fn request(&self, call: &str, query: &str, body: Body, fields: FieldSet) -> Request {
        call_to(&self.to, call, query, body, fields, self.options.answer_within)
    }
}

/// A call of the API.
pub(super) fn call_to(to: &Target, call: &str, query: &str, body: Body, fields: FieldSet, within: Duration) -> Request {
    Request {
        method: Method::Post,
        target: format!("{API}{call}{query}"),
        host: host(to),
        content_type: "application/json",
        body,
        fields,
        max_response: MAX_SMALL_JSON,
        within,
    }
}

/// `cancel`, as a receiver tells it to a sender's server.
pub fn cancel_call(to: &Target, session: &str) -> Request {
    let query = format!("?sessionId={}", encode_component(session));
    call_to(to, "cancel", &query, Body::Bytes(Vec::new()), FieldSet::EMPTY, Duration::from_secs(10))
}

/// `register`, as an answer to an announcement or a look whether it is still there.
pub fn register_call(to: &Target, me: &Announcement) -> Request {
    call_to(to, "register", "", Body::Bytes(me.to_register()), me.fields(), Duration::from_secs(5))
}

/// Without the scope of link-local addresses, which is nobody else's business (RFC 6874).
fn host(to: &Target) -> String {
    std::net::SocketAddr::new(to.address.ip(), to.address.port()).to_string()
}

fn failure(status: u16, body: &[u8]) -> SendError {
    match status {
        400..=499 => SendError::Refused(Reason::of(body)),
        500..=599 => SendError::PeerFailed(Reason::of(body)),
        other => SendError::Unexpected(other),
    }
}

/// For the fuzzer: the same answer, in portions of `step`, to whatever is asked.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], step: usize) {
    use super::http::client::{Connection, Event as Heard, Input as Give, Output as Gives};
    let now = Instant::now();
    let info = DeviceInfo::new("fuzz", super::DeviceType::Desktop, Fingerprint::of(b"fuzz"));
    let me = Announcement { info, port: super::PORT, protocol: Protocol::Http, announce: false };
    let address = std::net::SocketAddr::from(([10, 0, 0, 2], super::PORT));
    let to = Target { address, protocol: Protocol::Http, fingerprint: None };
    let files = super::message::RelativePath::parse("a").map(|path| FileOffer::new("a", path, 3));
    let options = Options { unencrypted: true, ..Options::default() };
    let mut sender = Sender::new(me, to, files.into_iter().collect(), options, now);
    loop {
        let (job, request) = match sender.poll_output() {
            Output::Wait(_) => return,
            Output::Event(Event::PinNeeded { .. }) => {
                sender.handle(Input::Cancel, now);
                continue;
            }
            Output::Ask { job, request, .. } => (job, request),
            Output::Abort(_) | Output::Event(_) => continue,
        };
        let Ok(mut connection) = Connection::new(None, super::http::Patience::default(), now) else { return };
        connection.handle(Give::Request(request), now);
        for portion in bytes.chunks(step.max(1)) {
            connection.handle(Give::Bytes(portion), now);
        }
        connection.handle(Give::Eof, now);
        loop {
            match connection.poll_output() {
                Gives::Event(Heard::Response { status, body, .. }) => {
                    sender.handle(Input::Answer { job, status, body: &body }, now);
                }
                Gives::Event(Heard::Closed(why)) => {
                    sender.handle(Input::Failed(job, why.to_string()), now);
                    break;
                }
                Gives::Event(Heard::Wanted(most)) => connection.handle(Give::Body(vec![0; most]), now),
                Gives::Event(Heard::Secured(_)) | Gives::Transmit(_) => {}
                Gives::Wait(_) => break,
            }
        }
    }
}

#[cfg(test)]
mod tests;
