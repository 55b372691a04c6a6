//! Small messages: values go in sealed, come out as bytes under a permit.

use std::{io, pin::Pin, task::Poll, time::Duration};

use accord_model::text::for_screen;
use accord_model::{Data, DeviceId, FieldCode, FieldSet, Inputs};
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

use crate::{
    Personal, RecipientId, SendError,
    permit::{Running, Sent},
};

/// A message in the making. What kinds of data it holds is gathered from what is put in, not said by
/// the caller.
#[derive(Default)]
#[must_use]
pub struct Envelope {
    fields: FieldSet,
    map: Map<String, Value>,
    raw: Option<Vec<u8>>,
    pub(crate) about: Option<About>,
}

/// Which device a message is about and what it brings about, in words, for the owner's own ledger. It does not travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub subject: String,
    pub words: String,
}

/// Longest words of what a message is about.
const MAX_ABOUT: usize = 300;

impl Envelope {
    /// An empty message: a JSON map.
    pub fn new() -> Self {
        Self::default()
    }
    /// A message in a protocol of its own: these bytes as they are.
    pub fn raw<T: AsRef<[u8]>>(bytes: &Personal<T>) -> Self {
        Self { fields: bytes.fields(), raw: Some(bytes.open().as_ref().to_vec()), ..Self::default() }
    }
    /// With a label for what travels beside the message, such as which action of which service it is for.
    pub fn beside(mut self, field: FieldCode) -> Self {
        self.fields = self.fields.union(FieldSet::one(field));
        self
    }
    /// With a text.
    pub fn text<T: AsRef<str>>(self, name: &str, value: &Personal<T>) -> Self {
        let text = Value::from(value.open().as_ref());
        self.put(name, value.fields(), text)
    }
    /// With bytes, as base64.
    pub fn bytes<T: AsRef<[u8]>>(self, name: &str, value: &Personal<T>) -> Self {
        let text = Value::from(BASE64.encode(value.open().as_ref()));
        self.put(name, value.fields(), text)
    }
    /// With any other value. One that JSON cannot hold becomes `null`.
    pub fn value<T: Serialize>(self, name: &str, value: &Personal<T>) -> Self {
        let json = serde_json::to_value(value.open()).unwrap_or(Value::Null);
        self.put(name, value.fields(), json)
    }
    /// An input of a call, by name.
    pub fn data(self, name: &str, value: &Personal<Data>) -> Self {
        self.value(name, value)
    }
    /// With something that says nothing of anyone: a version, a request number.
    pub fn plain(self, name: &str, value: impl Into<Value>) -> Self {
        self.put(name, FieldSet::EMPTY, value.into())
    }
    /// Which device it is about and what it brings about, in words. That does not travel: the details of the ledger's
    /// records of it say so, where they can be erased.
    pub fn about(mut self, subject: &DeviceId, words: &str) -> Self {
        self.about = Some(About { subject: subject.to_string(), words: for_screen(words, MAX_ABOUT) });
        self
    }
    /// Which kinds of data are in it.
    pub fn fields(&self) -> FieldSet {
        self.fields
    }

    fn put(mut self, name: &str, fields: FieldSet, value: Value) -> Self {
        self.fields = self.fields.union(fields);
        self.map.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        match self.raw {
            Some(raw) => raw,
            None => serde_json::to_vec(&self.map).expect("a JSON map can be written"),
        }
    }
}

/// A message that may leave now: its intent is durable. [`Outgoing::send`] it and say what became of it with
/// [`Outgoing::confirm`] or [`Outgoing::fail`]; dropped, it counts as broken off.
#[must_use]
pub struct Outgoing {
    running: Running,
    bytes: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn new(running: Running, bytes: Vec<u8>) -> Self {
        Self { running, bytes }
    }
    /// Length of the message in bytes, for the framing before it.
    #[allow(clippy::len_without_is_empty, reason = "a message that may leave is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
    /// Writes `framing` and then the message to `to` and flushes it. Every single write asks whether the consent still
    /// stands, and a withdrawal wakes one that waits: once it returned, nothing more is handed to `to`.
    ///
    /// # Errors
    /// [`SendError::Withdrawn`]; [`SendError::Io`], also when it is not done `within` that time. What was taken before
    /// is counted.
    pub async fn send<W: AsyncWrite + Unpin + Send>(
        &mut self,
        to: &mut W,
        framing: &[u8],
        within: Duration,
    ) -> Result<(), SendError> {
        let Self { running, bytes } = self;
        let stopped = running.live.stopped().clone();
        let mut at = 0;
        let outcome = {
            let writing = std::future::poll_fn(|context| {
                while at < framing.len() + bytes.len() {
                    let part = framing.get(at..).filter(|rest| !rest.is_empty());
                    let part = part.unwrap_or_else(|| &bytes[at - framing.len()..]);
                    // gate-check: outgoing-live
                    let step = running.live.run(|| Pin::new(&mut *to).poll_write(context, part));
                    match step {
                        None => return Poll::Ready(Err(running.withdrawn())),
                        Some(Poll::Pending) => return Poll::Pending,
                        Some(Poll::Ready(Ok(0))) => {
                            return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                        }
                        Some(Poll::Ready(Ok(taken))) => at += taken,
                        Some(Poll::Ready(Err(error))) => return Poll::Ready(Err(error.into())),
                    }
                }
                // gate-check: outgoing-flush-live
                let step = running.live.run(|| Pin::new(&mut *to).poll_flush(context));
                step.map_or_else(|| Poll::Ready(Err(running.withdrawn())), |step| step.map_err(SendError::from))
            });
            tokio::select! {
                biased;
                outcome = tokio::time::timeout(within, writing) => {
                    outcome.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
                }
                () = stopped.cancelled() => Err(running.withdrawn()),
            }
        };
        running.tally.framing += at.min(framing.len()) as u64;
        running.tally.bytes += at.saturating_sub(framing.len()) as u64;
        outcome
    }
    /// The same, as the inputs of a call or the outputs of an answer, to be handed on at once.
    ///
    /// # Errors
    /// [`SendError::Withdrawn`]; [`SendError::Io`] for an envelope that was sealed raw.
    pub fn inputs(&self) -> Result<Inputs, SendError> {
        // gate-check: inputs-live
        if !self.running.live.is_on() {
            return Err(self.running.withdrawn());
        }
        serde_json::from_slice(&self.bytes).map_err(|error| io::Error::other(error).into())
    }
    /// Who it is for.
    pub fn recipient(&self) -> &RecipientId {
        self.running.recipient()
    }
    /// Cancelled once the consent ends.
    pub fn cancelled(&self) -> CancellationToken {
        self.running.live.stopped().clone()
    }
    /// What [`Outgoing::inputs`] gave out was handed on.
    ///
    /// # Errors
    /// As [`Outgoing::confirm`].
    pub async fn handed_on(mut self) -> Result<Sent, SendError> {
        self.running.tally.bytes = self.bytes.len() as u64;
        self.running.sent().await
    }

    /// What [`Outgoing::send`] wrote left, as so many bytes on the wire.
    ///
    /// # Errors
    /// [`SendError::Ledger`] when that could not be recorded.
    pub async fn confirm(mut self, wire_bytes: u64) -> Result<Sent, SendError> {
        self.running.tally.wire = Some(wire_bytes);
        self.running.sent().await
    }
    /// It did not leave, or not wholly.
    pub async fn fail(self, why: impl std::fmt::Display + Send) {
        self.running.failed(&why.to_string()).await;
    }
}
