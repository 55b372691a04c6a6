//! A stream under a permit.

use std::{future::Future, pin::Pin, task::Poll, time::Duration};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{
    Personal, SendError,
    ledger::{Item, record::MAX_ITEMS},
    permit::{Running, Sent},
};

/// Writes sealed values to `W`, counting what really left. Every write asks whether the consent still
/// stands; a withdrawal also wakes a write that waits. Dropped without [`Outflow::finish`], it counts
/// as broken off.
#[must_use]
pub struct Outflow<W> {
    running: Running,
    to: W,
    hasher: Option<blake3::Hasher>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    stall: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// How long a write may make no progress before it fails.
const STALL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Content,
    Framing,
}

impl<W: AsyncWrite + Unpin + Send> Outflow<W> {
    pub(crate) fn new(running: Running, to: W) -> Self {
        let stopped = Box::pin(running.live.stopped().clone().cancelled_owned());
        Self { running, to, hasher: Some(blake3::Hasher::new()), stopped, stall: STALL, timer: None }
    }

    /// Writes all of a sealed value.
    ///
    /// # Errors
    /// [`SendError::FieldsNotGranted`] (nothing of it left), [`SendError::Withdrawn`], or
    /// [`SendError::Io`], also when nothing moved for a minute.
    pub async fn put<T: AsRef<[u8]>>(&mut self, value: &Personal<T>) -> Result<(), SendError> {
        self.running.admit(value.fields())?;
        self.write(value.open().as_ref(), Part::Content).await
    }

    /// Writes protocol framing: lengths, tags, nothing that says something of a person.
    ///
    /// # Errors
    /// As [`Outflow::put`].
    pub async fn frame(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.write(bytes, Part::Framing).await
    }

    /// Hands what `W` buffers to the network.
    ///
    /// # Errors
    /// As [`Outflow::put`].
    pub async fn flush(&mut self) -> Result<(), SendError> {
        let live = self.running.live.clone();
        let withdrawn = || self.running.withdrawn();
        let to = &mut self.to;
        let flushing = std::future::poll_fn(|context| {
            // gate-check: flush-live
            let step = live.run(|| Pin::new(&mut *to).poll_flush(context));
            step.map_or_else(|| Poll::Ready(Err(withdrawn())), |step| step.map_err(SendError::from))
        });
        tokio::select! {
            biased;
            outcome = tokio::time::timeout(self.stall, flushing) => outcome.unwrap_or_else(|_| Err(stalled(self.stall))),
            () = &mut self.stopped => Err(withdrawn()),
        }
    }

    /// Ends `W`'s sending side, for transports where the end is part of the message.
    ///
    /// # Errors
    /// As [`Outflow::put`].
    pub async fn shutdown(&mut self) -> Result<(), SendError> {
        self.flush().await?;
        match tokio::time::timeout(self.stall, self.to.shutdown()).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(stalled(self.stall)),
        }
    }

    /// Notes one file or text in the record. Beyond 1024, only their number is kept.
    pub fn note_item<T: AsRef<str>>(&mut self, name: &Personal<T>, size: u64, digest: Option<[u8; 32]>) {
        self.running.tally.count += 1;
        if self.running.tally.items.len() < MAX_ITEMS {
            let name = name.open().as_ref().chars().take(1024).collect();
            let digest = digest.map(|digest| format!("blake3:{}", blake3::Hash::from_bytes(digest).to_hex()));
            self.running.tally.items.push(Item { name, size, digest });
        }
    }

    /// Takes the digest of the whole content from the caller, who hashes it anyway (a file transfer),
    /// and stops hashing here. Call it first with nothing to save the work.
    pub fn note_digest(&mut self, digest: Option<[u8; 32]>) {
        self.hasher = None;
        self.running.tally.digest =
            digest.map(|digest| format!("blake3:{}", blake3::Hash::from_bytes(digest).to_hex()));
    }

    /// Notes how many bytes the transport put on the wire for this.
    pub fn note_wire_bytes(&mut self, bytes: u64) {
        self.running.tally.wire = Some(bytes);
    }

    /// How long a write may make no progress before it fails; a minute unless told.
    pub fn stall_after(&mut self, stall: Duration) {
        self.stall = stall;
    }

    /// Bytes of content that were taken by `W` so far.
    pub fn bytes(&self) -> u64 {
        self.running.tally.bytes
    }

    /// The `intent` record of this stream.
    pub fn intent(&self) -> u64 {
        self.running.intent
    }

    /// Cancelled once the consent ends.
    pub fn cancelled(&self) -> CancellationToken {
        self.running.live.stopped().clone()
    }

    /// Flushes and records what left.
    ///
    /// # Errors
    /// As [`Outflow::put`], or [`SendError::Ledger`] when it could not be recorded.
    pub async fn finish(mut self) -> Result<Sent, SendError> {
        self.flush().await?;
        self.note_hash();
        self.running.sent().await
    }

    /// Records that it broke off, and why.
    pub async fn fail(mut self, why: impl std::fmt::Display + Send) {
        self.note_hash();
        self.running.failed(&why.to_string()).await;
    }

    /// Notes whom making the connection told of it: a resolver, or an address that was dialed.
    pub(crate) fn note_address(&mut self, address: String) {
        self.running.tally.add(address, 0);
    }

    /// The same disclosure over the connection that was made for it, to the address noted last.
    pub(crate) fn over<V: AsyncWrite + Unpin + Send>(self, to: V) -> Outflow<V> {
        let Self { mut running, hasher, stopped, stall, timer, .. } = self;
        running.tally.dialed = true;
        Outflow { running, to, hasher, stopped, stall, timer }
    }

    pub(crate) fn withdrawn(&self) -> SendError {
        self.running.withdrawn()
    }

    fn note_hash(&mut self) {
        if let Some(hasher) = self.hasher.take().filter(|_| self.running.tally.bytes > 0) {
            self.running.tally.digest = Some(format!("blake3:{}", hasher.finalize().to_hex()));
        }
    }

    async fn write(&mut self, bytes: &[u8], part: Part) -> Result<(), SendError> {
        let mut at = 0;
        while at < bytes.len() {
            let taken = self.write_some(&bytes[at..]).await?;
            match part {
                Part::Content => {
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&bytes[at..at + taken]);
                    }
                    self.running.tally.bytes += taken as u64;
                }
                Part::Framing => self.running.tally.framing += taken as u64,
            }
            at += taken;
        }
        Ok(())
    }

    async fn write_some(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
        let Self { running, to, stopped, stall, timer, .. } = self;
        let mut waiting = false;
        std::future::poll_fn(|context| {
            // gate-check: put-live
            let step = running.live.run(|| Pin::new(&mut *to).poll_write(context, bytes));
            match step {
                None => Poll::Ready(Err(running.withdrawn())),
                Some(Poll::Ready(Ok(0))) => Poll::Ready(Err(SendError::Io(std::io::ErrorKind::WriteZero.into()))),
                Some(Poll::Ready(Ok(taken))) => Poll::Ready(Ok(taken)),
                Some(Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
                Some(Poll::Pending) => {
                    if stopped.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Err(running.withdrawn()));
                    }
                    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(*stall)));
                    if !waiting {
                        waiting = true;
                        timer.as_mut().reset(tokio::time::Instant::now() + *stall);
                    }
                    timer.as_mut().poll(context).map(|()| Err(stalled(*stall)))
                }
            }
        })
        .await
    }
}

fn stalled(after: Duration) -> SendError {
    let message = format!("nothing moved for {} s", after.as_secs());
    SendError::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}
