//! A bridge in memory, for tests of features: its devices do what they are told and say what the test says.

use std::time::Duration;

use accord_model::{CallError, CallId, Device, DeviceId, FromBridge, Outputs, Target, ToBridge, Verb};
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::{Bridge, BridgeSide};

const WITHIN: Duration = Duration::from_secs(10);

/// What reached a device.
pub type Called = (DeviceId, Target, Verb);

enum Order {
    Tell(FromBridge),
    Ask(DeviceId, Target, Verb, oneshot::Sender<Result<Outputs, CallError>>),
}

/// The bridge; goes to [`crate::Registry::add_bridge`].
pub struct MemoryBridge {
    devices: Vec<Device>,
    called: mpsc::UnboundedSender<Called>,
    orders: mpsc::Receiver<Order>,
}

/// The test's end.
pub struct Memory {
    called: mpsc::UnboundedReceiver<Called>,
    orders: mpsc::Sender<Order>,
}

/// A bridge named `memory` with these devices.
pub fn bridge(devices: Vec<Device>) -> (Box<MemoryBridge>, Memory) {
    let (called, calls) = mpsc::unbounded_channel();
    let (order, orders) = mpsc::channel(16);
    (Box::new(MemoryBridge { devices, called, orders }), Memory { called: calls, orders: order })
}

impl Memory {
    /// The next thing that reaches a device.
    ///
    /// # Panics
    /// When nothing does.
    pub async fn called(&mut self) -> Called {
        let called = tokio::time::timeout(WITHIN, self.called.recv()).await.ok().flatten();
        called.expect("something reaches a device")
    }

    /// True when nothing reaches a device for a while.
    pub async fn stays_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(600), self.called.recv()).await.is_err()
    }

    /// A device asks one of this machine's services.
    ///
    /// # Errors
    /// What the service answers.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask(&self, device: &DeviceId, target: Target, verb: Verb) -> Result<Outputs, CallError> {
        let (answer, answered) = oneshot::channel();
        let order = Order::Ask(device.clone(), target, verb, answer);
        self.orders.send(order).await.expect("the bridge runs");
        tokio::time::timeout(Duration::from_secs(30), answered).await.expect("an answer").expect("an answer")
    }

    /// The bridge says something.
    ///
    /// # Panics
    /// When the bridge has ended.
    pub async fn tell(&self, message: FromBridge) {
        self.orders.send(Order::Tell(message)).await.expect("the bridge runs");
    }
}

#[async_trait]
impl Bridge for MemoryBridge {
    fn name(&self) -> &str {
        "memory"
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let gone = |_| "the core is gone".to_owned();
        for device in self.devices.drain(..) {
            side.tell(FromBridge::Seen { device }).await.map_err(gone)?;
        }
        let mut asked = std::collections::HashMap::new();
        let mut next = 0;
        loop {
            tokio::select! {
                message = side.inbox.recv() => match message {
                    Some((ToBridge::Call { call, device, target, verb }, _)) => {
                        let _ = self.called.send((device, target, verb));
                        side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::new()) }).await.map_err(gone)?;
                    }
                    Some((ToBridge::Answer { call, outcome }, _)) => {
                        if let Some(answer) = asked.remove(&call) {
                            let _ = oneshot::Sender::send(answer, outcome);
                        }
                    }
                    Some((ToBridge::Stop, _)) | None => return Ok(()),
                    Some(_) => {}
                },
                Some(order) = self.orders.recv() => match order {
                    Order::Tell(message) => side.tell(message).await.map_err(gone)?,
                    Order::Ask(device, target, verb, answer) => {
                        next += 1;
                        asked.insert(CallId(next), answer);
                        side.tell(FromBridge::Asked { call: CallId(next), device, target, verb }).await.map_err(gone)?;
                    }
                },
            }
        }
    }
}
