//! A sender and a receiver of ours on a wire in memory: the driver, as far as the cores need one.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use accord_localsend::core::http::{Patience, client, server as http_server};
use accord_localsend::core::message::{Announcement, DeviceInfo, DeviceType, FileOffer, Protocol, RelativePath};
use accord_localsend::core::receive::{self, Asked, Decision, Rules, UploadFault};
use accord_localsend::core::send::{self, JobId, Options, Sender};
use accord_localsend::core::server::{self, Server};
use accord_localsend::core::{ConnectionId, Identity, Peer, Target};
use accord_model::FieldSet;
use sha2::{Digest, Sha256};

/// What the receiver's owner decides; nothing: never.
pub type Owner = Box<dyn FnMut(&Asked) -> Option<Decision>>;

/// How the two speak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Carrier {
    Plain,
    /// TLS with client certificate: version 2.2.
    Mutual,
    /// TLS without one: older apps.
    Anonymous,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trouble {
    /// So many uploads arrive with a byte changed.
    pub damaged: usize,
    /// So many uploads lose their connection in the middle.
    pub cut: usize,
    /// So many uploads cannot be stored.
    pub unstored: usize,
    /// The sender's owner cancels once so many bytes arrived.
    pub sender_cancels: Option<usize>,
    /// The receiver's owner stops it once so many bytes arrived.
    pub receiver_stops: Option<usize>,
    /// The sender hangs up while the receiver's owner thinks.
    pub hang_up: bool,
}

pub struct Sim {
    pub now: Instant,
    pub server: Server,
    pub sender: Sender,
    pub trouble: Trouble,
    pub decide: Owner,
    pub pins: VecDeque<String>,
    pub sent: Vec<send::Event>,
    pub received: Vec<receive::Event>,
    pub stored: BTreeMap<String, Vec<u8>>,
    /// Kinds of data that the sender put on the wire, and that the receiver did.
    pub fields: (FieldSet, FieldSet),
    contents: Vec<Vec<u8>>,
    carrier: Carrier,
    ours: Arc<Identity>,
    theirs: Arc<Identity>,
    chance: u64,
    lines: BTreeMap<ConnectionId, Line>,
    next: u64,
    arrived: usize,
    asked_tls: bool,
}

/// One connection: both ends and what is on its way.
struct Line {
    job: JobId,
    client: client::Connection,
    server: http_server::Connection,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// What the client reads from: file and position.
    file: Option<(usize, usize)>,
    storing: Option<(FileOffer, Vec<u8>)>,
    alive: bool,
}

pub const CLIENT: &str = "192.168.1.20:50000";
pub const SERVER: &str = "192.168.1.10:53317";

pub fn file(id: &str, path: &str, content: &[u8]) -> FileOffer {
    let file = FileOffer::new(id, RelativePath::parse(path).unwrap(), content.len() as u64);
    FileOffer { sha256: Some(Sha256::digest(content).into()), ..file }
}

impl Sim {
    /// `files`: path and content. The receiver accepts everything unless told otherwise.
    pub fn new(carrier: Carrier, files: &[(&str, Vec<u8>)], rules: Rules, options: Options, chance: u64) -> Self {
        let offers =
            files.iter().enumerate().map(|(n, (path, content))| file(&format!("f{n}"), path, content)).collect();
        let mut sim = Self::offering(carrier, offers, rules, options, chance);
        sim.contents = files.iter().map(|(_, content)| content.clone()).collect();
        sim
    }

    pub fn offering(carrier: Carrier, offers: Vec<FileOffer>, rules: Rules, options: Options, chance: u64) -> Self {
        thread_local! {
            static IDENTITIES: [Arc<Identity>; 2] = [(); 2].map(|()| Arc::new(Identity::generate(SystemTime::now()).unwrap()));
        }
        let [ours, theirs] = IDENTITIES.with(Clone::clone);
        let now = Instant::now();
        let rules = Rules { unverified: rules.unverified || carrier != Carrier::Mutual, ..rules };
        let options = Options { unencrypted: true, ..options };
        let protocol = if carrier == Carrier::Plain { Protocol::Http } else { Protocol::Https };
        let me = DeviceInfo::new("Receiver", DeviceType::Desktop, theirs.fingerprint().clone());
        let sender = DeviceInfo::new("Sender", DeviceType::Mobile, ours.fingerprint().clone());
        let sender = Announcement { info: sender, port: 53317, protocol, announce: false };
        let to = Target { address: SERVER.parse().unwrap(), protocol, fingerprint: Some(theirs.fingerprint().clone()) };
        Self {
            now,
            server: Server::new(me, rules, now),
            sender: Sender::new(sender, to, offers, options, now),
            trouble: Trouble::default(),
            decide: Box::new(|_| Some(Decision::Accept)),
            pins: VecDeque::new(),
            sent: Vec::new(),
            received: Vec::new(),
            stored: BTreeMap::new(),
            fields: (FieldSet::EMPTY, FieldSet::EMPTY),
            contents: Vec::new(),
            carrier,
            ours,
            theirs,
            chance,
            lines: BTreeMap::new(),
            next: 1,
            arrived: 0,
            asked_tls: false,
        }
    }

    /// Runs until nothing moves any more, letting time pass at most until `limit`.
    pub fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        loop {
            while self.step() {}
            if self.sender.is_over() && self.lines.is_empty() {
                return;
            }
            let wake = self.wake();
            if wake > end {
                return;
            }
            self.now = wake.max(self.now);
            self.server.handle(server::Input::Timeout, self.now);
            for line in self.lines.values_mut() {
                line.client.handle(client::Input::Timeout, self.now);
                line.server.handle(http_server::Input::Timeout, self.now);
            }
        }
    }

    pub fn finished(&self) -> Option<&receive::Finished> {
        self.received.iter().find_map(|event| match event {
            receive::Event::Finished { how, .. } => Some(how),
            _ => None,
        })
    }

    fn random(&mut self, below: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % below.max(1)
    }

    fn wake(&mut self) -> Instant {
        let mut wake = match self.server.poll_output() {
            server::Output::Wait(at) => at,
            other => panic!("{other:?} after everything was done"),
        };
        for line in self.lines.values_mut() {
            if let (client::Output::Wait(one), http_server::Output::Wait(other)) =
                (line.client.poll_output(), line.server.poll_output())
            {
                wake = wake.min(one).min(other);
            }
        }
        wake
    }

    /// Does one round; false when nothing happened.
    fn step(&mut self) -> bool {
        let mut moved = self.step_sender() | self.step_server();
        for id in self.lines.keys().copied().collect::<Vec<_>>() {
            moved |= self.step_client_end(id) | self.step_server_end(id) | self.carry(id);
        }
        self.lines.retain(|_, line| line.alive);
        moved
    }

    fn step_sender(&mut self) -> bool {
        match self.sender.poll_output() {
            send::Output::Wait(_) => return false,
            send::Output::Event(event) => {
                if let send::Event::PinNeeded { .. } = event {
                    let pin = self.pins.pop_front();
                    let input = pin.map_or(send::Input::Cancel, |pin| send::Input::Pin(pin.into()));
                    self.sender.handle(input, self.now);
                }
                self.sent.push(event);
            }
            send::Output::Abort(job) => {
                if let Some(line) = self.lines.values_mut().find(|line| line.job == job) {
                    line.client.handle(client::Input::Abort, self.now);
                }
            }
            send::Output::Ask { job, to, request, file } => {
                let tls = match self.carrier {
                    Carrier::Plain => None,
                    Carrier::Mutual => Some(self.ours.client_config(to.pin()).unwrap()),
                    Carrier::Anonymous => Some(self.ours.anonymous_client_config(to.pin()).unwrap()),
                };
                let serve = (self.carrier != Carrier::Plain).then(|| self.theirs.server_config().unwrap());
                let mut client = client::Connection::new(tls, Patience::default(), self.now).unwrap();
                let server =
                    http_server::Connection::new(CLIENT.parse().unwrap(), serve, Patience::default(), self.now);
                client.handle(client::Input::Request(request), self.now);
                let (to_server, to_client) = (VecDeque::new(), VecDeque::new());
                let file = file.map(|file| (file, 0));
                let line = Line { job, client, server, to_server, to_client, file, storing: None, alive: true };
                self.lines.insert(ConnectionId(self.next), line);
                self.next += 1;
            }
        }
        true
    }

    fn step_server(&mut self) -> bool {
        let (id, input) = match self.server.poll_output() {
            server::Output::Wait(_) => return false,
            server::Output::Event(server::Event::Receive(event)) => {
                if let receive::Event::Asked(asked) = &event {
                    if self.trouble.hang_up {
                        self.lines.values_mut().for_each(|line| line.client.handle(client::Input::Abort, self.now));
                    }
                    if let Some(decision) = (self.decide)(asked) {
                        self.server.handle(server::Input::Decide(asked.ask, decision), self.now);
                    }
                }
                self.received.push(event);
                return true;
            }
            server::Output::Event(server::Event::PeerCancelled(..)) => return true,
            server::Output::TellCancelled { at, session } => {
                assert_eq!(at.address.port(), 53317);
                let mut peer = Peer::at(SERVER.parse().unwrap());
                peer.certificate = (self.carrier == Carrier::Mutual).then(|| self.theirs.fingerprint().clone());
                self.sender.handle(send::Input::PeerCancelled { peer: &peer, session: Some(&session) }, self.now);
                return true;
            }
            server::Output::Respond(id, response) => (id, http_server::Input::Respond(response)),
            server::Output::Receive(id, incoming, offer) => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.storing = Some((*offer, Vec::new()));
                }
                (id, http_server::Input::Receive(incoming))
            }
            server::Output::Abort(id) => (id, http_server::Input::Abort),
            other => panic!("{other:?}"),
        };
        if let Some(line) = self.lines.get_mut(&id) {
            line.server.handle(input, self.now);
        }
        true
    }

    fn step_client_end(&mut self, id: ConnectionId) -> bool {
        let line = self.lines.get_mut(&id).unwrap();
        match line.client.poll_output() {
            client::Output::Wait(_) => return false,
            client::Output::Transmit(transmit) => {
                line.to_server.extend(&transmit.bytes);
                self.fields.0 = self.fields.0.union(transmit.fields);
                line.client.handle(client::Input::Written(transmit.bytes), self.now);
            }
            client::Output::Event(client::Event::Wanted(most)) => {
                let (file, at) = line.file.as_mut().unwrap();
                let content = &self.contents[*file][*at..];
                let mut piece = content[..most.min(content.len()).min(40_000)].to_vec();
                *at += piece.len();
                if self.trouble.damaged > 0 && *at == self.contents[*file].len() {
                    self.trouble.damaged -= 1;
                    piece[0] ^= 1;
                }
                if self.trouble.cut > 0 && *at > self.contents[*file].len() / 2 {
                    self.trouble.cut -= 1;
                    line.client.handle(client::Input::Abort, self.now);
                }
                line.client.handle(client::Input::Body(piece), self.now);
            }
            client::Output::Event(client::Event::Response { status, body, .. }) => {
                let job = line.job;
                self.sender.handle(send::Input::Answer { job, status, body: &body }, self.now);
                line.client.handle(client::Input::Abort, self.now);
            }
            client::Output::Event(client::Event::Secured(certificate)) => {
                self.sender.handle(send::Input::Secured(line.job, certificate), self.now);
            }
            client::Output::Event(client::Event::Closed(why)) => {
                line.server.handle(http_server::Input::Bytes(&line.to_server.drain(..).collect::<Vec<_>>()), self.now);
                line.server.handle(http_server::Input::Eof, self.now);
                self.sender.handle(send::Input::Failed(line.job, why.to_string()), self.now);
            }
        }
        true
    }

    fn step_server_end(&mut self, id: ConnectionId) -> bool {
        let line = self.lines.get_mut(&id).unwrap();
        match line.server.poll_output() {
            http_server::Output::Wait(_) => return false,
            http_server::Output::Transmit(transmit) => {
                line.to_client.extend(&transmit.bytes);
                self.fields.1 = self.fields.1.union(transmit.fields);
            }
            http_server::Output::Event(http_server::Event::Request(request)) => {
                self.server.handle(server::Input::Request(id, request), self.now);
            }
            http_server::Output::Event(http_server::Event::Piece(piece)) => {
                line.storing.as_mut().unwrap().1.extend_from_slice(&piece);
                self.arrived += piece.len();
                line.server.handle(http_server::Input::Stored(piece), self.now);
                if self.trouble.sender_cancels.is_some_and(|after| self.arrived >= after) {
                    self.trouble.sender_cancels = None;
                    self.sender.handle(send::Input::Cancel, self.now);
                }
                if self.trouble.receiver_stops.is_some_and(|after| self.arrived >= after) {
                    self.trouble.receiver_stops = None;
                    self.server.handle(server::Input::StopReceiving, self.now);
                }
            }
            http_server::Output::Event(http_server::Event::Uploaded(outcome)) => {
                let (offer, content) = line.storing.take().unwrap();
                let outcome = match outcome {
                    Ok(()) if self.trouble.unstored > 0 => {
                        self.trouble.unstored -= 1;
                        Err(UploadFault::Storage("the disk is full".into()))
                    }
                    Ok(()) => {
                        self.stored.insert(offer.path.as_str().to_owned(), content);
                        Ok(())
                    }
                    Err(fault) => Err(fault),
                };
                self.server.handle(server::Input::Uploaded(id, outcome), self.now);
            }
            http_server::Output::Event(http_server::Event::Closed(_)) => {
                self.server.handle(server::Input::Closed(id), self.now);
                line.alive = false;
                let rest: Vec<u8> = line.to_client.drain(..).collect();
                line.client.handle(client::Input::Bytes(&rest), self.now);
                line.client.handle(client::Input::Eof, self.now);
                while self.lines.get_mut(&id).unwrap().drained_client_differs(self.now, &mut self.sender) {}
            }
            http_server::Output::Event(http_server::Event::Answered) => {}
        }
        true
    }

    /// Moves bytes in portions of any size.
    fn carry(&mut self, id: ConnectionId) -> bool {
        let portion = [1, 7, 300, 5000, 70_000][self.random(5)];
        let line = self.lines.get_mut(&id).unwrap();
        let take = |queue: &mut VecDeque<u8>| queue.drain(..portion.min(queue.len())).collect::<Vec<u8>>();
        let (up, down) = (take(&mut line.to_server), take(&mut line.to_client));
        if !up.is_empty() {
            line.server.handle(http_server::Input::Bytes(&up), self.now);
        }
        if !down.is_empty() {
            line.client.handle(client::Input::Bytes(&down), self.now);
        }
        !up.is_empty() || !down.is_empty()
    }
}

impl Line {
    /// What the client still has to say after the server is gone.
    fn drained_client_differs(&mut self, now: Instant, sender: &mut Sender) -> bool {
        match self.client.poll_output() {
            client::Output::Wait(_) => false,
            client::Output::Transmit(_) => true,
            client::Output::Event(client::Event::Response { status, body, .. }) => {
                sender.handle(send::Input::Answer { job: self.job, status, body: &body }, now);
                true
            }
            client::Output::Event(client::Event::Closed(why)) => {
                sender.handle(send::Input::Failed(self.job, why.to_string()), now);
                true
            }
            client::Output::Event(_) => true,
        }
    }
}

/// Names of the kinds of events, for comparing runs.
pub fn outcome(sim: &Sim) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    for event in &sim.sent {
        let name = match event {
            send::Event::Sent(_) => "sent",
            send::Event::NotSent(..) => "not sent",
            send::Event::Finished { .. } => "finished",
            send::Event::Failed(_) => "failed",
            _ => continue,
        };
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}
