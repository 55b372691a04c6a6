//! The receiving side of one payload.

use std::collections::VecDeque;
use std::time::Instant;

use super::{END_TIME, Event, HANDSHAKE_TIME, Input, Output, PayloadError, STALL_TIME, Transmit};
use crate::core::certificate::{OwnCertificate, PeerCertificate};
use crate::core::tls::{Expect, Tls, TlsError};

/// How many bytes are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As the packet said.
    Exactly(u64),
    /// The sender does not know; more than this is not taken, and only a proper end counts.
    UpTo(u64),
}

/// Receives exactly as many bytes as the packet said, from the holder of one certificate.
#[derive(Debug)]
pub struct Receiver {
    tls: Tls,
    size: Size,
    got: u64,
    ready: bool,
    over: bool,
    until: Instant,
    out: VecDeque<Output>,
}

impl Receiver {
    /// For a connection that was just made.
    ///
    /// # Errors
    /// [`TlsError`] when our own certificate cannot be used.
    pub fn new(own: &OwnCertificate, peer: &PeerCertificate, size: Size, now: Instant) -> Result<Self, TlsError> {
        let tls = Tls::client(own, Expect::Exactly(peer.clone()))?;
        let until = now + HANDSHAKE_TIME;
        let mut receiver = Self { tls, size, got: 0, ready: false, over: false, until, out: VecDeque::new() };
        receiver.flush();
        Ok(receiver)
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.over {
            return;
        }
        match input {
            Input::Bytes(bytes) => self.bytes(bytes, now),
            Input::Closed => self.ended(false),
            Input::Timeout if now >= self.until && self.is_complete() => self.done(),
            Input::Timeout if now >= self.until => {
                self.fail(PayloadError::Stalled(if self.ready { STALL_TIME } else { HANDSHAKE_TIME }))
            }
            Input::Timeout => {}
            Input::Stop => self.fail(PayloadError::Stopped),
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or(Output::Wait((!self.over).then_some(self.until)))
    }

    fn bytes(&mut self, bytes: &[u8], now: Instant) {
        let mut data = Vec::with_capacity(bytes.len());
        let fed = self.tls.feed(bytes, |part| data.extend_from_slice(part));
        self.flush();
        if !self.ready && !self.tls.is_handshaking() {
            self.ready = true;
            self.until = now + STALL_TIME;
            self.out.push_back(Output::Event(Event::Ready));
        }
        if !data.is_empty() {
            let (Size::Exactly(most) | Size::UpTo(most)) = self.size;
            self.got += data.len() as u64;
            if self.got > most {
                return self.fail(PayloadError::Long(most));
            }
            self.out.push_back(Output::Event(Event::Data(data)));
            self.until = now + if self.is_complete() { END_TIME } else { STALL_TIME };
        }
        match fed {
            Ok(false) => {}
            Ok(true) => self.ended(true),
            Err(error) => self.fail(error.into()),
        }
    }

    fn is_complete(&self) -> bool {
        self.size == Size::Exactly(self.got)
    }

    /// The stream ended: with TLS's own word for it, or just so.
    fn ended(&mut self, properly: bool) {
        match self.size {
            Size::Exactly(size) if self.got == size && self.ready => self.done(),
            Size::Exactly(size) => self.fail(PayloadError::Short { got: self.got, size }),
            Size::UpTo(_) if properly && self.ready => self.done(),
            Size::UpTo(_) => self.fail(PayloadError::Cut(self.got)),
        }
    }

    fn flush(&mut self) {
        if let Some((bytes, fields)) = self.tls.take() {
            self.out.push_back(Output::Transmit(Transmit { bytes, fields }));
        }
    }
    fn done(&mut self) {
        self.tls.close();
        self.flush();
        self.over = true;
        self.out.push_back(Output::Event(Event::Done(self.got)));
    }
    fn fail(&mut self, error: PayloadError) {
        self.over = true;
        self.out.push_back(Output::Event(Event::Failed(error)));
    }
}
