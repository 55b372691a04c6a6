//! One run of one side.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use super::keys::{Bound, Frames, Keys, commitment};
use super::wire::{Frame, Hello, Record, Reply, Role, VERSION, Way, signed_part, signed_part_of};
use super::{
    CONFIRM_TIME, Claim, Input, Method, Output, PairingError, Purpose, STEP_TIME, Setup, TOTAL_TIME, safe_name,
};
use crate::PeerRecord;
use crate::crypto::random;
use crate::key::verify_ed25519;
use crate::peers::AutoAccept;

/// One side of a pairing.
pub struct Pairing {
    setup: Setup,
    role: Role,
    nonce: Zeroizing<[u8; 32]>,
    frames: Frames,
    state: State,
    peer: Option<Claim>,
    typed: Option<Zeroizing<String>>,
    until: Duration,
    /// By when the next step is due, and what it means when it does not come.
    due: Option<(Duration, PairingError)>,
    outputs: VecDeque<Output>,
}

enum State {
    /// Initiator: said hello.
    AwaitReply,
    /// Responder: nothing yet.
    AwaitHello,
    /// Responder: gave its nonce, holds the other's commitment.
    AwaitReveal([u8; 32]),
    /// Both know the code; users agree, confirmations cross.
    Agree {
        keys: Keys,
        asked: bool,
        own: bool,
        peer: bool,
    },
    /// Both agreed; records cross.
    AwaitRecord(Keys),
    Over,
}

impl State {
    fn due(&self) -> &'static str {
        match self {
            Self::AwaitReply => "reply",
            Self::AwaitHello => "hello",
            Self::AwaitReveal(_) => "reveal",
            Self::Agree { .. } => "confirm",
            Self::AwaitRecord(_) => "record",
            Self::Over => "nothing",
        }
    }
}

impl Pairing {
    /// Begins a run; the first frame waits in [`Self::poll`]. `now` is monotonic time since any fixed moment.
    pub fn initiate(setup: Setup, now: Duration) -> Self {
        Self::initiate_with(setup, now, random())
    }
    /// Waits for the other side to begin.
    pub fn respond(setup: Setup, now: Duration) -> Self {
        Self::respond_with(setup, now, random())
    }

    pub(super) fn initiate_with(setup: Setup, now: Duration, nonce: [u8; 32]) -> Self {
        let mut run = Self::new(setup, Role::Initiator, State::AwaitReply, now, nonce);
        let hello = Hello {
            versions: vec![VERSION],
            purpose: Some(run.setup.purpose),
            way: Some(run.way()),
            transport: run.setup.own_transport,
            commitment: commitment(&run.setup.own_transport, &run.nonce),
            claim: run.own_claim(),
        };
        match run.check_keys() {
            Ok(()) => run.send_in_transcript(&Frame::Hello(hello)),
            Err(error) => run.fail(error),
        }
        run
    }
    pub(super) fn respond_with(setup: Setup, now: Duration, nonce: [u8; 32]) -> Self {
        let mut run = Self::new(setup, Role::Responder, State::AwaitHello, now, nonce);
        if let Err(error) = run.check_keys() {
            run.fail(error);
        }
        run
    }

    /// Takes what happened. Never blocks; results wait in [`Self::poll`].
    pub fn handle(&mut self, input: Input<'_>, now: Duration) {
        if self.is_over() {
            return;
        }
        if let Err(error) = self.check_time(now).and_then(|()| self.take(input, now)) {
            self.fail(error);
        }
    }
    /// The next thing to do; `None` when there is nothing until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
    /// When to call [`Self::handle`] with [`Input::Timeout`]; `None` when the run is over.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let next = self.due.as_ref().map_or(self.until, |(due, _)| (*due).min(self.until));
        (!self.is_over()).then_some(next)
    }
    /// True when nothing more will happen (outputs may still wait).
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }
    /// What the other side says it is, once it said so.
    pub fn peer(&self) -> Option<&Claim> {
        self.peer.as_ref()
    }

    fn new(setup: Setup, role: Role, state: State, now: Duration, nonce: [u8; 32]) -> Self {
        Self {
            setup,
            role,
            nonce: Zeroizing::new(nonce),
            frames: Frames::default(),
            state,
            peer: None,
            typed: None,
            until: now.saturating_add(TOTAL_TIME),
            due: Some((now.saturating_add(STEP_TIME), PairingError::Silent)),
            outputs: VecDeque::new(),
        }
    }

    fn check_keys(&self) -> Result<(), PairingError> {
        if self.setup.own_transport == self.setup.peer_transport { Err(PairingError::Oneself) } else { Ok(()) }
    }
    fn check_time(&self, now: Duration) -> Result<(), PairingError> {
        if now >= self.until {
            return Err(PairingError::TimedOut);
        }
        match &self.due {
            Some((due, late)) if now >= *due => Err(late.clone()),
            _ => Ok(()),
        }
    }

    fn take(&mut self, input: Input<'_>, now: Duration) -> Result<(), PairingError> {
        match input {
            Input::Frame(bytes) => self.frame(bytes, now),
            Input::Timeout => Ok(()),
            Input::Closed => Err(PairingError::Closed),
            Input::UserRejected => Err(PairingError::Rejected),
            Input::UserConfirmed => {
                if let State::Agree { asked: true, own, .. } = &mut self.state
                    && !*own
                {
                    *own = true;
                    self.own_agreed(now);
                }
                Ok(())
            }
            Input::Code(typed) => {
                if matches!(self.setup.method, Method::Code) {
                    // Too long to be a code: kept as one that is wrong.
                    let typed = if typed.len() > 32 { "" } else { typed };
                    self.typed = Some(Zeroizing::new(typed.to_owned()));
                    self.judge_typed(now)?;
                }
                Ok(())
            }
        }
    }

    fn frame(&mut self, bytes: &[u8], now: Duration) -> Result<(), PairingError> {
        let (role, frame) = Frame::decode(bytes)?;
        if let Frame::Abort(refusal) = frame {
            return Err(PairingError::Peer(refusal));
        }
        let expected = self.state.due();
        if role == self.role {
            return Err(PairingError::OutOfOrder { expected, got: "an own frame" });
        }
        match (&mut self.state, frame) {
            (State::AwaitHello, Frame::Hello(hello)) => self.hello(bytes, hello),
            (State::AwaitReply, Frame::Reply(reply)) => self.reply(bytes, &reply, now),
            (State::AwaitReveal(promised), Frame::Reveal(nonce)) => {
                if !crate::crypto::same(&commitment(&self.setup.peer_transport, &nonce), promised) {
                    return Err(PairingError::Commitment);
                }
                self.frames.add(bytes);
                self.agree(&nonce, now)
            }
            (State::Agree { keys, asked, peer, .. }, Frame::Confirm(got)) if !*peer => {
                if !keys.is_confirmation(self.role.other(), &got) {
                    return Err(PairingError::Confirmation);
                }
                *peer = true;
                if !*asked && let Some(claim) = self.peer.clone() {
                    *asked = true;
                    self.due = Some((now.saturating_add(CONFIRM_TIME), PairingError::NotConfirmed));
                    self.outputs.push_back(Output::AskUser(claim));
                }
                self.both_agreed(now);
                Ok(())
            }
            (State::AwaitRecord(_), Frame::Record(record)) => self.record(*record, signed_part_of(bytes)),
            (_, frame) => Err(PairingError::OutOfOrder { expected, got: frame.name() }),
        }
    }

    fn hello(&mut self, bytes: &[u8], hello: Hello) -> Result<(), PairingError> {
        if !hello.versions.contains(&VERSION) {
            return Err(PairingError::Version);
        }
        self.check_same(hello.purpose, hello.way, &hello.transport)?;
        self.frames.add(bytes);
        self.peer = Some(hello.claim);
        let reply = Reply {
            version: VERSION,
            purpose: Some(self.setup.purpose),
            way: Some(self.way()),
            transport: self.setup.own_transport,
            nonce: *self.nonce,
        };
        self.send_in_transcript(&Frame::Reply(reply));
        self.state = State::AwaitReveal(hello.commitment);
        Ok(())
    }

    fn reply(&mut self, bytes: &[u8], reply: &Reply, now: Duration) -> Result<(), PairingError> {
        if reply.version != VERSION {
            return Err(PairingError::Version);
        }
        self.check_same(reply.purpose, reply.way, &reply.transport)?;
        self.frames.add(bytes);
        self.send_in_transcript(&Frame::Reveal(*self.nonce));
        self.agree(&reply.nonce, now)
    }

    fn check_same(&self, purpose: Option<Purpose>, way: Option<Way>, transport: &[u8; 32]) -> Result<(), PairingError> {
        if purpose != Some(self.setup.purpose) {
            return Err(PairingError::Purpose);
        }
        if way != Some(self.way()) {
            return Err(PairingError::Method);
        }
        if *transport != self.setup.peer_transport {
            return Err(PairingError::TransportKey);
        }
        Ok(())
    }

    /// Both nonces are known: the users' turn.
    fn agree(&mut self, peer_nonce: &[u8; 32], now: Duration) -> Result<(), PairingError> {
        let (own, peer) = (&self.setup.own_transport, &self.setup.peer_transport);
        let own_first = self.role == Role::Initiator;
        let (initiator, responder) = if own_first { (own, peer) } else { (peer, own) };
        let (initiator_nonce, responder_nonce) =
            if own_first { (&*self.nonce, peer_nonce) } else { (peer_nonce, &*self.nonce) };
        let keys = Keys::new(&Bound {
            initiator,
            responder,
            initiator_nonce,
            responder_nonce,
            purpose: self.setup.purpose,
            way: self.way(),
            frames: &self.frames,
            exporter: &self.setup.exporter,
            secret: match &self.setup.method {
                Method::Code => None,
                Method::Ticket(secret) => Some(secret),
            },
        });
        match (&self.setup.method, self.role) {
            (Method::Code, _) => {
                self.due = Some((now.saturating_add(CONFIRM_TIME), PairingError::NotConfirmed));
                self.outputs.push_back(Output::ShowCode { code: keys.code(), peer: self.peer.clone() });
                self.state = State::Agree { keys, asked: true, own: false, peer: false };
                self.judge_typed(now)?;
            }
            // Scanning was agreeing.
            (Method::Ticket(_), Role::Initiator) => {
                self.state = State::Agree { keys, asked: true, own: true, peer: false };
                // The other side's user is asked now.
                self.due = None;
                self.own_agreed(now);
            }
            (Method::Ticket(_), Role::Responder) => {
                self.state = State::Agree { keys, asked: false, own: false, peer: false };
                self.due = Some((now.saturating_add(STEP_TIME), PairingError::Silent));
            }
        }
        Ok(())
    }

    fn judge_typed(&mut self, now: Duration) -> Result<(), PairingError> {
        if let (State::Agree { keys, own, .. }, Some(typed)) = (&mut self.state, &self.typed) {
            if !keys.is_code(typed) {
                return Err(PairingError::WrongCode);
            }
            self.typed = None;
            if !*own {
                *own = true;
                self.own_agreed(now);
            }
        }
        Ok(())
    }

    fn own_agreed(&mut self, now: Duration) {
        if let State::Agree { keys, .. } = &self.state {
            let confirm = Frame::Confirm(keys.confirmation(self.role));
            self.send(&confirm);
            self.both_agreed(now);
        }
    }

    fn both_agreed(&mut self, now: Duration) {
        if !matches!(self.state, State::Agree { own: true, peer: true, .. }) {
            return;
        }
        let State::Agree { keys, .. } = std::mem::replace(&mut self.state, State::Over) else { return };
        let identity = &self.setup.identity;
        let (statement, transport, claim) = (identity.statement_key(), identity.transport_public(), self.own_claim());
        let message = keys.record_message(self.role, &signed_part(&statement, &transport, &claim));
        let record = Record {
            by_statement: identity.sign(&message),
            by_transport: identity.sign_transport(&message),
            statement,
            transport,
            claim,
        };
        self.send(&Frame::Record(Box::new(record)));
        self.due = Some((now.saturating_add(STEP_TIME), PairingError::Silent));
        self.state = State::AwaitRecord(keys);
    }

    fn record(&mut self, record: Record, signed: &[u8]) -> Result<(), PairingError> {
        let State::AwaitRecord(keys) = &self.state else { return Err(PairingError::Record) };
        let message = keys.record_message(self.role.other(), signed);
        let own = &self.setup.identity;
        if record.statement == own.statement_key() || record.transport == own.transport_public() {
            return Err(PairingError::Oneself);
        }
        if !record.statement.verify(&message, &record.by_statement)
            || !verify_ed25519(&record.transport, &message, &record.by_transport)
        {
            return Err(PairingError::Record);
        }
        let peer = PeerRecord {
            device_id: PeerRecord::new_device_id(),
            statement_key: record.statement,
            transport_key: record.transport,
            name: record.claim.name.clone(),
            kind: record.claim.kind,
            paired_at: self.setup.paired_at,
            until: self.setup.until,
            addresses: Vec::new(),
            alias: None,
            room: None,
            favourite: false,
            blocked: false,
            auto_accept: AutoAccept::Ask,
            pair_key: keys.pair_key(),
        };
        self.peer = Some(record.claim);
        self.state = State::Over;
        self.outputs.push_back(Output::Done(peer));
        Ok(())
    }

    fn fail(&mut self, error: PairingError) {
        self.state = State::Over;
        self.typed = None;
        // What was not yet shown is void; frames that wait go out, the last one says why.
        self.outputs.retain(|output| matches!(output, Output::Send(_)));
        if let Some(refusal) = error.refusal() {
            self.send(&Frame::Abort(refusal));
        }
        self.outputs.push_back(Output::Failed(error));
    }

    fn send(&mut self, frame: &Frame) {
        self.outputs.push_back(Output::Send(frame.encode(self.role)));
    }
    fn send_in_transcript(&mut self, frame: &Frame) {
        let bytes = frame.encode(self.role);
        self.frames.add(&bytes);
        self.outputs.push_back(Output::Send(bytes));
    }
    fn way(&self) -> Way {
        match self.setup.method {
            Method::Code => Way::Code,
            Method::Ticket(_) => Way::Ticket,
        }
    }
    fn own_claim(&self) -> Claim {
        Claim { name: safe_name(&self.setup.name), kind: self.setup.kind }
    }
}

/// Entry for fuzzing: two sides and someone in between, who orders, drops, repeats and changes their frames
/// and moves the clock, as `script` says. Panics when a side pairs whose user did not agree.
pub fn fuzz(script: &[u8]) {
    use crate::Identity;
    use std::sync::{Arc, OnceLock};
    static KEYS: OnceLock<[Arc<Identity>; 2]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| [Arc::new(Identity::generate()), Arc::new(Identity::generate())]);
    let setup = |own: u8, peer: u8, ticket: bool| Setup {
        identity: keys[usize::from(own - 1)].clone(),
        name: "fuzz".to_owned(),
        kind: accord_model::DeviceKind::Other,
        purpose: Purpose::Peer,
        method: if ticket { Method::Ticket(super::TicketSecret::from_bytes([5; 16])) } else { Method::Code },
        own_transport: [own; 32],
        peer_transport: [peer; 32],
        exporter: [7; 32],
        paired_at: accord_model::Timestamp::UNIX_EPOCH,
        until: None,
    };
    let (ticket, script) = script.split_first().map_or((false, script), |(first, rest)| (first & 1 == 1, rest));
    let mut now = Duration::ZERO;
    let mut sides = [
        Pairing::initiate_with(setup(1, 2, ticket), now, [1; 32]),
        Pairing::respond_with(setup(2, 1, ticket), now, [2; 32]),
    ];
    let mut lines: [Vec<Vec<u8>>; 2] = Default::default();
    // Whoever scanned a ticket agreed by scanning.
    let mut agreed = [ticket, false];
    for step in script.chunks(3) {
        let (what, at, with) = (step[0], usize::from(step[0] >> 7), step.get(1).copied().unwrap_or_default());
        for side in 0..2 {
            while let Some(output) = sides[side].poll() {
                match output {
                    Output::Send(frame) if lines[side].len() < 64 => {
                        assert!(frame.len() <= super::MAX_FRAME);
                        lines[side].push(frame);
                    }
                    Output::Done(_) => assert!(agreed[side], "paired without its user"),
                    _ => {}
                }
            }
        }
        let other = 1 - at;
        let nth = |line: &Vec<Vec<u8>>| (!line.is_empty()).then(|| usize::from(with) % line.len());
        match what & 7 {
            0 | 1 => {
                if let Some(nth) = nth(&lines[other]) {
                    let frame = lines[other].remove(nth);
                    sides[at].handle(Input::Frame(&frame), now);
                }
            }
            2 => {
                if let Some(nth) = nth(&lines[other]) {
                    let frame = lines[other][nth].clone();
                    sides[at].handle(Input::Frame(&frame), now);
                }
            }
            3 => {
                if let Some(nth) = nth(&lines[other]) {
                    let (place, value) = (step.get(2).copied().unwrap_or_default(), with | 1);
                    let frame = &mut lines[other][nth];
                    let place = usize::from(place) % frame.len();
                    frame[place] ^= value;
                }
            }
            4 => {
                agreed[at] |= !sides[at].is_over();
                sides[at].handle(Input::UserConfirmed, now);
            }
            5 => {
                agreed[at] |= !sides[at].is_over();
                let code = format!("{:06}", u32::from(with));
                sides[at].handle(Input::Code(&code), now);
            }
            6 => {
                now = now.saturating_add(Duration::from_secs(u64::from(with)));
                sides[at].handle(Input::Timeout, now);
            }
            _ => {
                let input = if with & 1 == 0 { Input::Closed } else { Input::UserRejected };
                sides[at].handle(input, now);
            }
        }
        assert!(sides[at].poll_timeout().is_none_or(|until| until <= TOTAL_TIME));
    }
}
