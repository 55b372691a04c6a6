//! The way out of the engine: an outflow under a permit.

use accord_consent::{BoundGate, Destination, Outflow, Personal, RecipientId, Refusal, SendError};
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::PathInfo;
use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

use crate::block::Block;
use crate::engine::{Note, STALL, Sink, SinkError};
use crate::wire::Hash;

type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// `files/send` or `files/receive`, for one device.
#[derive(Clone)]
pub(crate) struct Way {
    gate: BoundGate,
    pub entry: EntryKey,
    pub to: RecipientId,
    device: DeviceId,
    fields: FieldSet,
    scenario: &'static str,
}

impl Way {
    pub fn send(gate: &BoundGate, device: &DeviceId, fields: FieldSet) -> Self {
        Self::new(gate, "files/send", device, fields, "on.send")
    }
    pub fn receive(gate: &BoundGate, device: &DeviceId) -> Self {
        Self::new(gate, "files/receive", device, FieldSet::one(FieldCode::TransferState), "on.receive")
    }
    fn new(gate: &BoundGate, entry: &str, device: &DeviceId, fields: FieldSet, scenario: &'static str) -> Self {
        let entry = EntryKey::new(entry).expect("a constant that is a valid entry");
        Self { gate: gate.clone(), entry, to: RecipientId::device(device), device: device.clone(), fields, scenario }
    }

    /// Whether it is open. Writes nothing down and uses nothing up.
    pub fn check(&self) -> Result<(), Refusal> {
        self.gate.check(&self.entry, &self.to, self.fields)
    }

    /// The same, but the owner is asked when it is not.
    pub fn check_and_ask(&self) -> Result<(), Refusal> {
        self.check().or_else(|_| self.gate.permit(&self.entry, &self.to, self.fields, self.scenario).map(drop))
    }

    /// Waits until it is open.
    pub async fn allowed(&self) {
        let mut watch = self.gate.watch(&self.entry, &self.to);
        loop {
            watch.allowed().await;
            if self.check().is_ok() {
                return;
            }
            // Allowed, but not for these fields.
            watch.changed().await;
        }
    }

    pub async fn open(&self, writer: Writer, path: &PathInfo) -> Result<Gated, OpenError> {
        let permit = self.gate.permit(&self.entry, &self.to, self.fields, self.scenario).map_err(OpenError::Refused)?;
        let to = Destination::device(&self.device, path.address.clone());
        let mut outflow = permit.open(writer, to).await.map_err(OpenError::Send)?;
        outflow.note_digest(None);
        // The engine has its own, which also counts answers as progress.
        outflow.stall_after(STALL * 4);
        Ok(Gated { outflow })
    }
}

pub(crate) enum OpenError {
    Refused(Refusal),
    Send(SendError),
}

/// Writes under a permit.
pub(crate) struct Gated {
    outflow: Outflow<Writer>,
}

impl Gated {
    /// Records that it ended well, or why not.
    pub async fn record_end(self, outcome: Result<(), String>) -> Result<(), SendError> {
        match outcome {
            Ok(()) => self.outflow.finish().await.map(drop),
            Err(why) => {
                self.outflow.fail(why).await;
                Ok(())
            }
        }
    }
}

pub(crate) struct Sealed {
    block: Personal<Block>,
    notes: Vec<(Personal<String>, u64, Hash)>,
}

impl Sink for Gated {
    type Sealed = Sealed;

    fn seal(fields: FieldSet, block: Block, notes: Vec<Note>) -> Sealed {
        let notes = notes.into_iter().map(|note| (Personal::of(fields, note.name), note.size, note.digest)).collect();
        Sealed { block: Personal::of(fields, block), notes }
    }

    async fn put(&mut self, sealed: Sealed) -> Result<(), SinkError> {
        self.outflow.put(&sealed.block).await.map_err(sink_error)?;
        for (name, size, digest) in &sealed.notes {
            self.outflow.note_item(name, *size, Some(*digest));
        }
        Ok(())
    }

    async fn frame(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.outflow.frame(bytes).await.map_err(sink_error)
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.outflow.flush().await.map_err(sink_error)
    }

    async fn close(&mut self) -> Result<(), SinkError> {
        self.outflow.shutdown().await.map_err(sink_error)
    }

    fn withdrawn(&self) -> CancellationToken {
        self.outflow.cancelled()
    }
}

fn sink_error(error: SendError) -> SinkError {
    match error {
        SendError::Withdrawn(_) => SinkError::Withdrawn(error.to_string()),
        SendError::Io(error) => SinkError::Io(error),
        other => SinkError::Denied(other.to_string()),
    }
}
