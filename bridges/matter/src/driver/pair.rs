//! Being added and removed: what the owner wants of the service `pairing`, and what becomes of a device that leaves.

use accord_model::{CallError, CallId, DeviceId, FromBridge, Inputs, Outputs, Verb};

use super::hand::Order;
use super::mind::Mind;
use crate::core::advert::node_name;

impl Mind {
    /// `None`: it is on its way, and answered once the device forgot us.
    pub(super) async fn pairing(
        &mut self,
        call: CallId,
        device: &DeviceId,
        verb: Verb,
    ) -> Option<Result<(), CallError>> {
        let Verb::Act { action, inputs } = verb else {
            return Some(Err(CallError::Unsupported("whether it is added is only to be read".to_owned())));
        };
        if self.things.contains_key(device) {
            let why = "it is there because the device that it is behind is added; add or remove that one";
            return Some(Err(CallError::Unsupported(why.to_owned())));
        }
        match action.as_str() {
            "request" => Some(self.request(device, &inputs).await),
            "unpair" | "reject" => {
                // That it was to be told is what the owner does not want any more.
                let is_leaving = self.nodes.added(device).is_some_and(|added| added.left.is_some());
                if !is_leaving && self.hands.get(device).is_some_and(|hand| hand.try_send(Order::Leave(call)).is_ok()) {
                    return None;
                }
                match self.remove(device).await {
                    Ok(told) => {
                        self.outbox.tell(told).await;
                        Some(Ok(()))
                    }
                    Err(error) => Some(Err(error)),
                }
            }
            _ => Some(Err(CallError::Unsupported("a Matter device does not ask to be paired".to_owned()))),
        }
    }

    async fn request(&mut self, device: &DeviceId, inputs: &Inputs) -> Result<(), CallError> {
        if self.nodes.added(device).is_some() {
            return Err(CallError::Unsupported("it is added; remove it first".to_owned()));
        }
        let fabric = self.fabric.clone();
        let (_, told) = self.nodes.add(Some(device), inputs, || fabric.next(), fabric.compressed())?;
        self.outbox.tell(told).await;
        self.take(device).await;
        self.outbox.pairing(device, "paired").await;
        Ok(())
    }

    pub(super) async fn left(&mut self, node: &DeviceId, call: Option<CallId>, freed: bool) {
        let has_place = self.nodes.added(node).is_some_and(|added| added.code.is_none());
        let keeps_it = has_place && !freed && self.law.may_control(node).is_ok();
        match call {
            None if freed => self.give_up(node).await,
            // It is tried again.
            None => {}
            Some(call) if keeps_it => {
                let outcome = self.wait_for(node).await;
                self.outbox.reply(call, outcome).await;
            }
            Some(call) => {
                let (told, outcome) = match self.remove(node).await {
                    Ok(told) => (told, Ok(Outputs::new())),
                    Err(error) => (Vec::new(), Err(error)),
                };
                self.outbox.tell(told).await;
                self.outbox.reply(call, outcome).await;
            }
        }
    }

    /// It is told once it is here; until then it is known as one that leaves.
    async fn wait_for(&mut self, node: &DeviceId) -> Result<Outputs, CallError> {
        let name = self.nodes.name(node);
        let told = self.nodes.leave(node)?;
        self.outbox.tell(told).await;
        self.take(node).await;
        Err(CallError::Unsupported(format!(
            "{name} is away, and keeps a place for this machine. It is told to give that up as soon as it is here again, and is \
             removed then. To forget it without that, remove it once more, and reset it."
        )))
    }

    /// Forgets one that the owner removed a while ago.
    pub(super) async fn give_up(&mut self, node: &DeviceId) {
        match self.remove(node).await {
            Ok(told) => {
                self.outbox.tell([self.nodes.unpaired(node)]).await;
                self.outbox.pairing(node, "unpaired").await;
                self.outbox.tell(told).await;
            }
            Err(error) => tracing::error!(device = %node, %error, "a Matter device that left is not forgotten"),
        }
    }

    async fn remove(&mut self, node: &DeviceId) -> Result<Vec<FromBridge>, CallError> {
        self.let_go(node).await;
        let number = self.nodes.added(node).map(|added| added.node);
        let told = self.nodes.remove(node)?;
        if let Some(number) = number {
            let name = node_name(self.fabric.compressed(), number);
            self.sky.send_modify(|sky| sky.expect(name, false));
        }
        Ok(told)
    }
}
