//! A bridge's end of its queue to the house, for all of its tasks. That nobody hears it any more is no concern of theirs: then
//! the bridge is told to stop.

use accord_model::why::{Body, Explained, Fact};
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, Target, ToBridge};
use accord_registry::ByteStream;
use tokio::sync::mpsc;

/// What the house wants of a bridge.
pub type Inbox = mpsc::Receiver<(ToBridge, Option<ByteStream>)>;

/// Cheap to clone. Waits while the house has not heard what was said before.
#[derive(Clone)]
pub struct Outbox(mpsc::Sender<(FromBridge, Option<ByteStream>)>);

impl From<mpsc::Sender<(FromBridge, Option<ByteStream>)>> for Outbox {
    fn from(sender: mpsc::Sender<(FromBridge, Option<ByteStream>)>) -> Self {
        Self(sender)
    }
}

impl Outbox {
    /// One message after the other.
    pub async fn tell(&self, messages: impl IntoIterator<Item = FromBridge>) {
        for message in messages {
            let _ = self.0.send((message, None)).await;
        }
    }

    /// A message that names a stream, with it. `false`: nobody takes it.
    pub async fn carry(&self, message: FromBridge, stream: ByteStream) -> bool {
        self.0.send((message, Some(stream))).await.is_ok()
    }

    /// What became of a call.
    pub async fn reply(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        self.tell([FromBridge::Reply { call, outcome }]).await;
    }

    /// Why a device is not reached. `app`: what people call what the bridge speaks; `body`: what speaks it there.
    pub async fn explain(&self, call: CallId, app: &str, body: Body, facts: Vec<Fact>) {
        let explained = Explained::new(app, body, facts);
        self.tell([FromBridge::Explained { call, explained }]).await;
    }

    /// A device was paired (`paired`), or is not any more (`unpaired`).
    pub async fn pairing(&self, device: &DeviceId, event: &str) {
        let (device, target, event) = (device.clone(), Target::new("pairing"), event.to_owned());
        self.tell([FromBridge::Event { device, target, event, arguments: Outputs::new() }]).await;
    }
}
