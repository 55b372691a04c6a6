//! A connection that we made: asks one thing after the other, and streams a body as it comes.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use accord_consent::{Personal, SendError};
use rustls::ClientConfig;
use tokio::io::AsyncReadExt;

use crate::core::http::client::{Connection, Ended, Event, Input, Output, Request};
use crate::core::http::{PIECE, Patience};
use crate::core::{Fingerprint, Transmit};
use accord_ports::Line;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The consent ended, or does not cover it.
    Denied(String),
    /// The connection failed.
    Connection(String),
    /// The body's source, or whoever watches over it, wants an end.
    Stopped,
}

/// An answer.
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether this connection can ask more.
    pub again: bool,
}

/// Where a body comes from, and who may interrupt. Both futures may be dropped at any time.
pub(crate) trait Source {
    /// Puts at most `most` bytes, and at least one, into the empty `body`. False: it will not come.
    fn next(&mut self, most: usize, body: &mut Vec<u8>) -> impl Future<Output = bool> + Send;
    /// Comes back only to end the request.
    fn interrupt(&mut self) -> impl Future<Output = ()> + Send;
}

/// For requests without a streamed body that nobody interrupts.
pub(crate) struct Quiet;

impl Source for Quiet {
    async fn next(&mut self, _: usize, _: &mut Vec<u8>) -> bool {
        false
    }
    async fn interrupt(&mut self) {
        std::future::pending().await
    }
}

pub(crate) struct Caller {
    core: Connection,
    line: Line,
    buffer: Vec<u8>,
    certificate: Option<Fingerprint>,
    /// How the connection ended.
    over: Option<Ended>,
    /// The peer sends no more.
    ended: bool,
    /// Nothing more can be written.
    mute: bool,
}

impl Caller {
    /// On a connection that was just made.
    pub(crate) fn new(line: Line, tls: Option<Arc<ClientConfig>>) -> Result<Self, String> {
        Self::patient(line, tls, Patience::default())
    }

    /// The same, with another patience.
    pub(crate) fn patient(line: Line, tls: Option<Arc<ClientConfig>>, patience: Patience) -> Result<Self, String> {
        let core = Connection::new(tls, patience, Instant::now()).map_err(|error| error.to_string())?;
        Ok(Self { core, line, buffer: Vec::new(), certificate: None, over: None, ended: false, mute: false })
    }

    /// The certificate that the server proved to own.
    pub(crate) fn certificate(&self) -> Option<&Fingerprint> {
        self.certificate.as_ref()
    }

    /// How the connection ended, when that is why there is no answer.
    pub(crate) fn over(&self) -> Option<&Ended> {
        self.over.as_ref()
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, request: Request, source: &mut impl Source) -> Result<Answer, NoAnswer> {
        self.core.handle(Input::Request(request), Instant::now());
        let cancelled = self.line.cancelled();
        let mut wanted = None;
        loop {
            let wake = loop {
                match self.core.poll_output() {
                    Output::Transmit(transmit) => self.write(transmit).await?,
                    Output::Event(Event::Secured(certificate)) => self.certificate = Some(certificate),
                    Output::Event(Event::Wanted(most)) => wanted = Some((most, self.core.buffer())),
                    Output::Event(Event::Response { status, body, again }) => {
                        return Ok(Answer { status, body, again: again && !self.ended && !self.mute });
                    }
                    Output::Event(Event::Closed(why)) => {
                        let said = why.to_string();
                        self.over = Some(why);
                        return Err(NoAnswer::Connection(said));
                    }
                    Output::Wait(wake) => break wake,
                }
            };
            self.buffer.resize(if wanted.is_some() { 4096 } else { 64 * 1024 }, 0);
            let now = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(withdrawn()),
                read = self.line.read(&mut self.buffer), if !self.ended => {
                    read_into(&mut self.core, read, &self.buffer, &mut self.ended);
                    continue;
                }
                more = async {
                    match &mut wanted {
                        Some((most, body)) => source.next((*most).min(PIECE), body).await,
                        None => { source.interrupt().await; false }
                    }
                } => match wanted.take() {
                    Some((_, body)) if more => {
                        self.core.handle(Input::Body(body), Instant::now());
                        continue;
                    }
                    _ => return Err(NoAnswer::Stopped),
                },
                () = tokio::time::sleep_until(wake.into()) => Instant::now(),
            };
            self.core.handle(Input::Timeout, now);
        }
    }

    /// Says good-bye, and records how it ended.
    pub(crate) async fn close(mut self, outcome: Result<(), String>) {
        self.core.handle(Input::Abort, Instant::now());
        while let Output::Transmit(transmit) = self.core.poll_output() {
            if self.mute || self.write(transmit).await.is_err() {
                break;
            }
        }
        self.line.close(outcome).await;
    }

    async fn write(&mut self, transmit: Transmit) -> Result<(), NoAnswer> {
        let Self { core, line, buffer, ended, mute, .. } = self;
        let Transmit { bytes, fields } = transmit;
        if *mute {
            return Ok(());
        }
        let outcome = match line {
            Line::Device(dialed, always) if core.is_sending() => {
                let sealed = Personal::of(fields.union(*always), bytes.as_slice());
                let mut put = std::pin::pin!(dialed.outflow.put(&sealed));
                buffer.resize(4096, 0);
                loop {
                    tokio::select! {
                        biased;
                        outcome = &mut put => break outcome,
                        // Whoever has answered already reads no more.
                        read = dialed.reader.read(buffer), if !*ended => {
                            read_into(core, read, buffer, ended);
                            if !core.is_sending() {
                                *mute = true;
                                break Ok(());
                            }
                        }
                    }
                }
            }
            line => line.put(fields, &bytes).await,
        };
        match outcome {
            Ok(()) => core.handle(Input::Written(bytes), Instant::now()),
            // The peer may have said why before it hung up; the reads tell, and end it otherwise.
            Err(SendError::Io(_)) if !*ended => *mute = true,
            Err(SendError::Io(error)) => return Err(NoAnswer::Connection(error.to_string())),
            Err(error) => return Err(NoAnswer::Denied(error.to_string())),
        }
        Ok(())
    }
}

fn read_into(core: &mut Connection, read: std::io::Result<usize>, buffer: &[u8], ended: &mut bool) {
    match read {
        Ok(0) | Err(_) => {
            *ended = true;
            core.handle(Input::Eof, Instant::now());
        }
        Ok(length) => core.handle(Input::Bytes(&buffer[..length]), Instant::now()),
    }
}

fn withdrawn() -> NoAnswer {
    NoAnswer::Denied("you withdrew your consent".to_owned())
}
