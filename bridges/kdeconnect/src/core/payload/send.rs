//! The sending side of one payload.

use std::collections::VecDeque;
use std::time::Instant;

use accord_model::FieldSet;

use super::pace::{Answers, Brake};
use super::{Event, HANDSHAKE_TIME, Input, MAX_IN_FLIGHT, Output, PayloadError, STALL_TIME, Transmit};
use crate::core::certificate::{OwnCertificate, PeerCertificate};
use crate::core::tls::{Expect, Tls, TlsError};

/// Sends exactly as many bytes as the packet said, to the holder of one certificate.
#[derive(Debug)]
pub struct Sender {
    tls: Tls,
    stage: Stage,
    fields: FieldSet,
    size: u64,
    sent: u64,
    in_flight: usize,
    /// Bytes per second to a device that has to be held back.
    limit: Option<u64>,
    brake: Option<Brake>,
    answers: Answers,
    until: Instant,
    out: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Sending,
    /// All is written; the receiver closes when it has it.
    Draining,
    Over,
}

impl Sender {
    /// For a connection that was just accepted. `fields` is what the bytes are. With a `limit`, in bytes per second, no faster than
    /// the device reads; or, where it does not tell, than that.
    ///
    /// # Errors
    /// [`TlsError`] when our own certificate cannot be used.
    pub fn new(
        own: &OwnCertificate,
        peer: &PeerCertificate,
        size: u64,
        fields: FieldSet,
        limit: Option<u64>,
        now: Instant,
    ) -> Result<Self, TlsError> {
        let tls = Tls::server(own, Expect::Exactly(peer.clone()))?;
        let (stage, until) = (Stage::Handshake, now + HANDSHAKE_TIME);
        let (brake, answers) = (None, Answers::default());
        Ok(Self { tls, stage, fields, size, sent: 0, in_flight: 0, limit, brake, answers, until, out: VecDeque::new() })
    }

    /// How many bytes [`Self::write`] takes now (ask before waiting): 0 before [`Event::Ready`], while enough is on its way, while
    /// the device is held back ([`Output::Wait`] then names the time, unless its answer ends that), and at the end.
    pub fn room(&self, now: Instant) -> usize {
        if self.stage != Stage::Sending {
            return 0;
        }
        let left = self.size - self.sent;
        let left = self.brake.as_ref().map_or(left, |brake| left.min(brake.room(self.sent, now)));
        MAX_IN_FLIGHT.saturating_sub(self.in_flight).min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Takes the next bytes, at most [`Self::room`]; says how many it took. With the last one it ends.
    pub fn write(&mut self, bytes: &[u8], now: Instant) -> usize {
        let taken = bytes.len().min(self.room(now));
        if taken == 0 {
            return 0;
        }
        self.until = now + STALL_TIME;
        self.tls.write(&bytes[..taken]);
        self.sent += taken as u64;
        if let Some(brake) = self.brake.as_mut().filter(|_| self.sent < self.size) {
            (0..brake.asks(self.sent)).for_each(|_| self.tls.ask());
        }
        if self.sent == self.size {
            self.tls.close();
            self.stage = Stage::Draining;
        }
        self.flush(self.fields);
        taken
    }

    /// The file has no more bytes: an error unless all were written.
    pub fn end_of_file(&mut self) {
        if matches!(self.stage, Stage::Handshake | Stage::Sending) {
            self.fail(PayloadError::Shrunk { got: self.sent, size: self.size });
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        match (input, self.stage) {
            (_, Stage::Over) => {}
            (Input::Stop, _) => self.fail(PayloadError::Stopped),
            // There is no acknowledgement: taken and closed, or taken and silent, is all there is to know.
            (Input::Closed, Stage::Draining) => self.done(),
            (Input::Timeout, Stage::Draining) if now >= self.until => self.done(),
            (Input::Closed, _) => self.fail(PayloadError::Short { got: self.sent, size: self.size }),
            (Input::Timeout, _) if now >= self.until => self
                .fail(PayloadError::Stalled(if self.stage != Stage::Handshake { STALL_TIME } else { HANDSHAKE_TIME })),
            (Input::Timeout, _) => {}
            (Input::Bytes(bytes), Stage::Handshake) => self.bytes(bytes, now),
            (Input::Bytes(bytes), _) if self.brake.is_none() => self.bytes(bytes, now),
            (Input::Bytes(bytes), stage) => match self.answers.read(bytes) {
                Some(answers) => self.answered(answers, now),
                None if stage == Stage::Draining => self.done(),
                None => self.fail(PayloadError::Short { got: self.sent, size: self.size }),
            },
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        match self.out.pop_front() {
            Some(output) => {
                if let Output::Transmit(transmit) = &output {
                    self.in_flight -= transmit.bytes.len();
                }
                output
            }
            None => {
                let brake = self.brake.as_ref().filter(|_| self.stage == Stage::Sending);
                let limited = brake.and_then(|brake| brake.limited_until(self.sent));
                Output::Wait((self.stage != Stage::Over).then_some(limited.map_or(self.until, |at| at.min(self.until))))
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8], now: Instant) {
        let fed = self.tls.feed(bytes, |_| {});
        self.flush(FieldSet::EMPTY);
        if self.stage == Stage::Handshake && !self.tls.is_handshaking() {
            self.stage = Stage::Sending;
            self.until = now + STALL_TIME;
            self.brake = self.limit.map(|limit| Brake::new(limit, self.tls.can_ask(), now));
            self.out.push_back(Output::Event(Event::Ready));
        }
        match fed {
            Ok(false) => {}
            Ok(true) if self.stage == Stage::Draining => self.done(),
            Ok(true) => self.fail(PayloadError::Short { got: self.sent, size: self.size }),
            // Whoever has all may hang up as rudely as it likes.
            Err(_) if self.stage == Stage::Draining => self.done(),
            Err(error) => self.fail(error.into()),
        }
    }

    fn answered(&mut self, answers: usize, now: Instant) {
        self.until = now + STALL_TIME;
        if let Some(brake) = &mut self.brake {
            (0..answers).for_each(|_| brake.answered());
        }
    }

    fn flush(&mut self, fields: FieldSet) {
        if let Some((bytes, handshake)) = self.tls.take() {
            self.in_flight += bytes.len();
            self.out.push_back(Output::Transmit(Transmit { bytes, fields: handshake.union(fields) }));
        }
    }
    fn done(&mut self) {
        self.stage = Stage::Over;
        self.out.push_back(Output::Event(Event::Done(self.sent)));
    }
    fn fail(&mut self, error: PayloadError) {
        self.stage = Stage::Over;
        self.out.push_back(Output::Event(Event::Failed(error)));
    }
}
