//! Small messages: values go in sealed, come out as bytes under a permit.

use accord_model::{Data, FieldCode, FieldSet, Inputs};
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::{Map, Value};

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
}

impl Envelope {
    /// An empty message: a JSON map.
    pub fn new() -> Self {
        Self::default()
    }
    /// A message in a protocol of its own: these bytes as they are.
    pub fn raw<T: AsRef<[u8]>>(bytes: &Personal<T>) -> Self {
        Self { fields: bytes.fields(), map: Map::new(), raw: Some(bytes.open().as_ref().to_vec()) }
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

/// A message that may leave now: its intent is durable. Say what became of it with
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
    /// The bytes, to be handed to the wire at once. Not to be kept.
    ///
    /// # Errors
    /// [`SendError::Withdrawn`] when the consent ended since.
    pub fn bytes(&self) -> Result<&[u8], SendError> {
        // gate-check: outgoing-live
        if !self.running.live.is_on() {
            return Err(self.running.withdrawn());
        }
        Ok(&self.bytes)
    }
    /// The same, as the inputs of a call or the outputs of an answer.
    ///
    /// # Errors
    /// [`SendError::Withdrawn`]; [`SendError::Io`] for an envelope that was sealed raw.
    pub fn inputs(&self) -> Result<Inputs, SendError> {
        serde_json::from_slice(self.bytes()?).map_err(|error| SendError::Io(std::io::Error::other(error)))
    }
    /// Who it is for.
    pub fn recipient(&self) -> &RecipientId {
        self.running.recipient()
    }
    /// All of it was handed on.
    ///
    /// # Errors
    /// As [`Outgoing::confirm`].
    pub async fn confirm_all(self) -> Result<Sent, SendError> {
        let bytes = self.bytes.len() as u64;
        self.confirm(bytes).await
    }

    /// It left; so many bytes on the wire.
    ///
    /// # Errors
    /// [`SendError::Ledger`] when that could not be recorded.
    pub async fn confirm(mut self, wire_bytes: u64) -> Result<Sent, SendError> {
        self.running.tally.bytes = self.bytes.len() as u64;
        self.running.tally.wire = Some(wire_bytes);
        self.running.sent().await
    }
    /// It did not leave, or not wholly.
    pub async fn fail(mut self, why: impl std::fmt::Display + Send) {
        self.running.tally.bytes = 0;
        self.running.failed(&why.to_string()).await;
    }
}
