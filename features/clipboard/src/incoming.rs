//! What devices copied: as calls and streams of our service, and as events of theirs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use accord_consent::{Received, RecipientId};
use accord_model::{CallError, Data, DeviceId, Inputs, Target, Timestamp, Verb};
use accord_registry::{Answer, ByteStream, RegistryEvent, ServiceHandler};
use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::sync::broadcast;

use crate::api::{ClipboardEvent, Offer};
use crate::content::{Content, Kind, MAX_IMAGE, MAX_TEXT};
use crate::feature::{Inner, SERVICE};
use crate::memory::Verdict;
use crate::outgoing::FIELDS;
use crate::rules::Receiving;

/// A stream that is longer on its way is given up.
const STREAM_WITHIN: Duration = Duration::from_secs(60);
const PREVIEW: usize = 80;

/// Answers for our service.
pub(crate) struct Handler(pub Weak<Inner>);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        let inner = self.0.upgrade().ok_or_else(|| CallError::Unreachable("this hub is ending".into()))?;
        match verb {
            Verb::Act { action, inputs } if action == "set" => {
                inner.refuse_if_off(&from)?;
                let content = Content::from_inputs(&inputs)?;
                inner.copied_there(&from, content, copied(&inputs)).await?;
                Ok(Answer::Done)
            }
            _ => Err(CallError::Unsupported("the clipboard is only `set`".into())),
        }
    }

    async fn stream(&self, from: DeviceId, _: Target, inputs: Inputs, mut stream: ByteStream) {
        let Some(inner) = self.0.upgrade() else { return };
        let read = tokio::time::timeout(STREAM_WITHIN, read(&inner, &from, &inputs, &mut stream)).await;
        let outcome = match read {
            Ok(Ok(content)) => inner.copied_there(&from, content, copied(&inputs)).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(CallError::Deadline(STREAM_WITHIN.as_secs())),
        };
        if let Err(error) = &outcome {
            tracing::debug!(device = %from, %error, "what a device copied was not taken");
        }
    }
}

async fn read(inner: &Inner, from: &DeviceId, inputs: &Inputs, stream: &mut ByteStream) -> Result<Content, CallError> {
    inner.refuse_if_off(from)?;
    let (kind, limit) = match inputs.get("kind").and_then(Data::as_text) {
        Some("text") => (Kind::Text, MAX_TEXT),
        Some("image") => (Kind::Image, MAX_IMAGE),
        _ => return Err(CallError::BadInput("`kind` is `text` or `image`".into())),
    };
    let size = inputs.get("size").and_then(Data::as_int).and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size <= limit).ok_or_else(|| CallError::BadInput("it is too large".into()))?;
    let mut bytes = Vec::new();
    let mut reader = (&mut stream.reader).take(size as u64 + 1);
    reader.read_to_end(&mut bytes).await.map_err(|error| CallError::Unreachable(error.to_string()))?;
    if bytes.len() != size {
        return Err(CallError::BadInput("it is not as long as was said".into()));
    }
    Content::of(kind, bytes).map_err(|why| CallError::BadInput(why.to_owned()))
}

/// When it was copied there, in seconds since 1970; only devices that tell what they had before say so.
fn copied(inputs: &Inputs) -> Option<i64> {
    inputs.get("copied").and_then(Data::as_number).map(|seconds| seconds as i64)
}

/// Follows what devices tell of their clipboards until the feature is gone.
pub(crate) async fn follow(weak: Weak<Inner>, mut events: broadcast::Receiver<RegistryEvent>) {
    let Some(stop) = weak.upgrade().map(|inner| inner.stop.clone()) else { return };
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = stop.cancelled() => return,
        };
        let Some(inner) = weak.upgrade() else { return };
        match event {
            Ok(RegistryEvent::Event(device, target, event, arguments))
                if target.service == SERVICE && event == "changed" =>
            {
                let content = inner.refuse_if_off(&device).and_then(|()| Content::from_inputs(&arguments));
                let outcome = match content {
                    Ok(content) => inner.copied_there(&device, content, copied(&arguments)).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = outcome {
                    tracing::debug!(%device, %error, "what a device copied was not taken");
                }
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

impl Inner {
    fn refuse_if_off(&self, device: &DeviceId) -> Result<(), CallError> {
        match self.lock().rules.receives(device) {
            Receiving::Off => Err(CallError::Refused("the clipboard here takes nothing from this device".into())),
            Receiving::Ask | Receiving::Automatic => Ok(()),
        }
    }

    /// A device copied something.
    async fn copied_there(
        self: &Arc<Self>,
        device: &DeviceId,
        content: Content,
        copied: Option<i64>,
    ) -> Result<(), CallError> {
        let receiving = {
            let mut state = self.lock();
            let verdict = state.memory.received(device, content.digest(), copied, Timestamp::now());
            if verdict != Verdict::New {
                tracing::debug!(%device, ?verdict, ?content, "what a device copied is not new here");
                return Ok(());
            }
            state.rules.receives(device)
        };
        self.write_down(device, &content);
        match receiving {
            Receiving::Off => Err(CallError::Refused("the clipboard here takes nothing from this device".into())),
            Receiving::Automatic => {
                self.put(&content).await.map_err(|error| CallError::Device(error.to_string()))?;
                self.event(ClipboardEvent::Received { device: device.clone(), kind: content.kind() });
                Ok(())
            }
            Receiving::Ask => {
                let preview = match &content {
                    Content::Text(text) => Some(accord_model::text::for_screen(text.trim(), PREVIEW)),
                    Content::Image(_) => None,
                };
                let offer = Offer {
                    device: device.clone(),
                    kind: content.kind(),
                    size: content.bytes().len() as u64,
                    preview,
                    since: Timestamp::now(),
                };
                self.offer(offer, content);
                Ok(())
            }
        }
    }

    /// A record of what came in.
    fn write_down(self: &Arc<Self>, device: &DeviceId, content: &Content) {
        let received = Received {
            entry: None,
            from: RecipientId::device(device),
            address: String::new(),
            fields: FIELDS,
            bytes: content.bytes().len() as u64,
            scenario: "on.copy".to_owned(),
            items: Vec::new(),
            about: None,
        };
        let inner = self.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.gate.received(received).await {
                tracing::warn!(%error, "a received clipboard could not be written down");
            }
        });
    }
}
