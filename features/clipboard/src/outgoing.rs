//! What goes out: small things in a call, larger ones on a stream.

use accord_consent::{Destination, Envelope, Personal, RecipientId};
use accord_model::{
    CallError, Data, DeviceId, EntryKey, FieldCode, FieldSet, Inputs, Reach, StreamClass, Target, Timestamp,
};
use accord_registry::Ask;

use crate::api::{ClipboardError, ClipboardEvent};
use crate::content::{Content, Kind};
use crate::feature::{Inner, SERVICE, SHARE};

/// What is shared.
pub(crate) const FIELDS: FieldSet = FieldSet::one(FieldCode::ClipboardContent);

/// Longest text in a call, in bytes as JSON has it.
const TEXT_IN_CALL: usize = 200 << 10;
/// Largest picture in a call: as numbers in JSON it is four times as long.
const IMAGE_IN_CALL: usize = 48 << 10;

impl Inner {
    pub fn is_here(&self, device: &DeviceId) -> bool {
        let offers = |known: &accord_registry::Known| {
            known.device.reach != Reach::Offline && known.device.service(SERVICE).is_some()
        };
        self.registry.device(device).is_some_and(|known| offers(&known))
    }

    /// Gives a device what is copied here.
    pub async fn share(&self, device: &DeviceId, content: &Content, on_request: bool) -> Result<(), ClipboardError> {
        // Before it is there: what comes back may be quick.
        self.lock().memory.sent(device, content.digest(), Timestamp::now());
        let in_call = match content {
            Content::Text(text) => {
                text.len() <= TEXT_IN_CALL
                    && serde_json::to_string(text).is_ok_and(|escaped| escaped.len() <= TEXT_IN_CALL)
            }
            Content::Image(png) => png.len() <= IMAGE_IN_CALL,
        };
        let outcome = if in_call {
            self.call(device, content, on_request).await
        } else {
            self.stream(device, content, on_request).await
        };
        match &outcome {
            Ok(()) => self.event(ClipboardEvent::Sent(device.clone())),
            Err(error) => {
                self.lock().memory.forget(device);
                let why = error.to_string();
                self.event(ClipboardEvent::NotSent { device: device.clone(), why });
            }
        }
        outcome
    }

    async fn call(&self, device: &DeviceId, content: &Content, on_request: bool) -> Result<(), ClipboardError> {
        let (name, data) = match content {
            Content::Text(text) => ("content", Data::from(text.as_str())),
            Content::Image(png) => ("image", Data::Bytes(png.clone())),
        };
        let envelope = Envelope::new().data(name, &Personal::new(FieldCode::ClipboardContent, data));
        let port = if on_request { &self.on_request } else { &self.on_copy };
        port.call(device, Target::new(SERVICE), Ask::act("set"), envelope, self.config.answer_within).await?;
        Ok(())
    }

    async fn stream(&self, device: &DeviceId, content: &Content, on_request: bool) -> Result<(), ClipboardError> {
        let scenario = if on_request { "on.send" } else { "on.copy" };
        let entry = EntryKey::new(SHARE).expect("a constant that is a valid entry");
        let permit = self
            .gate
            .permit(&entry, &RecipientId::device(device), FIELDS, scenario)
            .map_err(ClipboardError::NotConsented)?;
        let kind = match content.kind() {
            Kind::Text => "text",
            Kind::Image => "image",
        };
        let size = i64::try_from(content.bytes().len()).unwrap_or(i64::MAX);
        let inputs = Inputs::from([("kind".to_owned(), Data::from(kind)), ("size".to_owned(), Data::Int(size))]);
        let opened = self.registry.open_stream(device, Target::new(SERVICE), inputs, StreamClass::Bulk).await?;
        let broken = |error: accord_consent::SendError| CallError::Unreachable(error.to_string());
        let to = Destination::device(device, opened.path.address.clone());
        let mut outflow = permit.open(opened.writer, to).await.map_err(broken)?;
        let sealed = Personal::new(FieldCode::ClipboardContent, content.bytes().to_vec());
        let sent = async {
            outflow.put(&sealed).await?;
            outflow.flush().await?;
            outflow.shutdown().await
        };
        if let Err(error) = sent.await {
            let error = broken(error);
            outflow.fail(&error).await;
            return Err(error.into());
        }
        // The device closes its side once it has all of it.
        let mut reader = opened.reader;
        let closed = async { tokio::io::AsyncReadExt::read(&mut reader, &mut [0]).await };
        if tokio::time::timeout(self.config.answer_within, closed).await.is_err() {
            outflow.fail("the device did not read it in time").await;
            return Err(CallError::Deadline(self.config.answer_within.as_secs()).into());
        }
        outflow.finish().await.map_err(broken)?;
        Ok(())
    }
}
