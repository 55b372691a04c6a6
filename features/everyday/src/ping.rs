//! A word from another device, to try the way: whoever is in front of this one sees it.

use std::sync::Arc;

use accord_model::text::for_screen;
use accord_model::{CallError, Data, DeviceId, Inputs, Outputs, Target, Verb};
use accord_ports::tasks::Tasks;
use accord_registry::{Answer, ByteStream, Registry, RegistryEvent, ServiceHandler};
use async_trait::async_trait;
use tokio::sync::broadcast;

const SERVICE: &str = "ping";
const MAX_TEXT: usize = 500;
const EVENTS: usize = 16;

/// A word came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinged {
    /// From whom.
    pub by: DeviceId,
    /// What it says, made safe to show; may be empty.
    pub text: String,
}

/// Serves `ping`, and hears the event of devices that tell by themselves.
pub struct Pings {
    events: broadcast::Sender<Pinged>,
    _tasks: Tasks,
}

impl Pings {
    /// Make it inside a tokio runtime.
    pub fn new(registry: &Registry) -> Self {
        let events = broadcast::channel(EVENTS).0;
        registry.serve(SERVICE, Arc::new(Handler(events.clone())));
        let tasks = Tasks::new().with(hear(registry.events(), events.clone()));
        Self { events, _tasks: tasks }
    }

    /// Words that come from now on.
    pub fn events(&self) -> broadcast::Receiver<Pinged> {
        self.events.subscribe()
    }
}

async fn hear(mut events: broadcast::Receiver<RegistryEvent>, pinged: broadcast::Sender<Pinged>) {
    loop {
        match events.recv().await {
            Ok(RegistryEvent::Event(by, target, event, said)) if target.service == SERVICE && event == "pinged" => {
                let _ = pinged.send(Pinged { by, text: text(&said) });
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

fn text(said: &Outputs) -> String {
    said.get("text").and_then(Data::as_text).map(|text| for_screen(text.trim(), MAX_TEXT)).unwrap_or_default()
}

struct Handler(broadcast::Sender<Pinged>);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        match verb {
            Verb::Act { action, inputs } if action == "ping" => {
                let _ = self.0.send(Pinged { by: from, text: text(&inputs) });
                Ok(Answer::Done)
            }
            _ => Err(CallError::Unsupported("it can be pinged, nothing else".into())),
        }
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}
