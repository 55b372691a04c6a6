//! From bridges to features: what devices are, say and ask.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use accord_consent::RecipientId;
use accord_model::why::MAX_FACTS;
use accord_model::{
    CallError, CallId, Device, DeviceId, FromBridge, Outputs, Reach, Target, Timestamp, ToBridge, Value, Verb,
    WriteState,
};

use crate::ask::Answer;
use crate::bridge::ByteStream;
use crate::memory::Change;
use crate::parts::Parts;
use crate::registry::{Door, Inner, Known, OWN, RegistryEvent, ServiceHandler, gone, not_let_out, read, write};
use crate::turns::{Place, Turn, Turns};

/// Devices one bridge may show; a flood beyond that is dropped.
const DEVICES_PER_BRIDGE: usize = 4096;
/// Devices one bridge may show that are merely passing; a flood of them takes no place from the others.
const PASSING_PER_BRIDGE: usize = 1024;

impl Inner {
    pub(crate) fn handle(
        self: &Arc<Self>,
        bridge: &str,
        door: &Door,
        turns: &Arc<Turns>,
        message: FromBridge,
        stream: Option<ByteStream>,
    ) {
        let about = match &message {
            FromBridge::Seen { device } => Some(device.id.clone()),
            FromBridge::Values { device, .. } | FromBridge::Event { device, .. } | FromBridge::Asked { device, .. } => {
                Some(device.clone())
            }
            _ => None,
        };
        match message {
            FromBridge::Seen { device } => self.see(bridge, device),
            FromBridge::Reach { device, reach } => {
                self.change(bridge, &device, |known| known.reach = reach);
            }
            FromBridge::Gone { device } => self.forget(bridge, device),
            FromBridge::Values { device, target, values } => self.values(bridge, device, target, values),
            FromBridge::Event { device, target, event, arguments } => {
                if self.speaks_for(bridge, &device) {
                    let _ = self.events.send(RegistryEvent::Event(device, target, event, arguments));
                }
            }
            FromBridge::Reply { call, outcome } => {
                self.calls.answer(call, outcome);
            }
            FromBridge::Explained { call, mut explained } => {
                explained.facts.truncate(MAX_FACTS);
                self.explanations.answer(call, explained);
            }
            FromBridge::StreamReady { stream: id } => {
                let outcome = stream.ok_or_else(|| CallError::Device("the bridge sent no stream".into()));
                self.streams.answer(id, outcome);
            }
            FromBridge::StreamFailed { stream: id, error } => {
                self.streams.answer(id, Err(error));
            }
            FromBridge::Asked { call, device, target, verb } => {
                let turn = turns.question(&device);
                let is_ordered = self.handler(&target.service).is_some_and(|handler| handler.in_order());
                let place = (is_ordered && turn.is_some()).then(|| turns.queue(&device, &target.service));
                self.asked(bridge, door.clone(), (turn, place), call, device, target, verb);
            }
            FromBridge::StreamOpened { stream: _, device, target, inputs } => {
                let (Some(handler), Some(stream)) = (self.handler(&target.service), stream) else { return };
                match turns.stream(&device) {
                    Some(turn) => {
                        let stream = stream.holding(turn);
                        tokio::spawn(async move { handler.stream(device, target, inputs, stream).await });
                    }
                    None => tracing::warn!(bridge, %device, "too many streams of one device; the newest is closed"),
                }
            }
            FromBridge::Failed { message } => self.bridge_ended(bridge, Some(message)),
        }
        if let Some(device) = about.filter(|device| self.speaks_for(bridge, device)) {
            write(&self.things).heard(&device);
        }
    }

    pub(crate) fn handler(&self, service: &str) -> Option<Arc<dyn ServiceHandler>> {
        read(&self.handlers).get(service).cloned()
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one message, and where its answer goes")]
    fn asked(
        self: &Arc<Self>,
        bridge: &str,
        door: Door,
        (turn, place): (Option<Turn>, Option<Place>),
        call: CallId,
        device: DeviceId,
        target: Target,
        verb: Verb,
    ) {
        let handler = self.handler(&target.service);
        let known = read(&self.devices).get(&device).map(|known| known.bridge == bridge);
        let recipient = self.recipient(&device);
        tokio::spawn(async move {
            let _place = match place {
                Some(place) => Some(place.reached().await),
                None => None,
            };
            let outcome = match (handler, turn) {
                _ if known == Some(false) => Err(CallError::Refused("that device is not this bridge's".into())),
                (None, _) => Err(CallError::Unsupported(target.service)),
                (_, None) => Err(CallError::Refused("too many questions at once; try again".into())),
                (Some(handler), Some(_turn)) => handler.asked(device.clone(), target, verb).await,
            };
            answer(&door, call, recipient, outcome).await;
        });
    }

    /// Who gets what is said to a device: the device itself, or the one of the same bridge that speaks for it, such as the
    /// server that a lamp belongs to.
    pub(crate) fn recipient(&self, device: &DeviceId) -> RecipientId {
        let devices = read(&self.devices);
        let known = devices.get(device);
        // Also while it is not known (any more): never the thing itself in its place.
        let of_bridge = |via: &&DeviceId, known: &Known| devices.get(*via).is_none_or(|via| via.bridge == known.bridge);
        let speaker = known.and_then(|known| known.device.via.as_ref().filter(|via| of_bridge(via, known)));
        RecipientId::device(speaker.unwrap_or(device))
    }

    fn speaks_for(&self, bridge: &str, device: &DeviceId) -> bool {
        read(&self.devices).get(device).is_some_and(|known| known.bridge == bridge)
    }

    pub(crate) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, bridge: &str, device: DeviceId) {
        if self.speaks_for(bridge, &device) {
            self.parts().forget(&device);
            write(&self.devices).remove(&device);
            write(&self.writes).retain(|(of, ..), _| *of != device);
            self.faces_changed(&device);
            self.noted(bridge, &device, Change::Gone);
            let _ = self.events.send(RegistryEvent::Gone(device));
        }
    }

    fn see(&self, bridge: &str, device: Device) {
        let mut parts = self.parts();
        let whole = parts.whole(device);
        let id = whole.id.clone();
        // Heard before it is shown: nobody is shown a face that speaks and was never heard.
        let is_new = !read(&self.devices).contains_key(&id);
        if is_new {
            write(&self.things).heard(&id);
        }
        self.keep(bridge, whole);
        if is_new && !read(&self.devices).contains_key(&id) {
            write(&self.things).dropped(&id);
        }
    }

    pub(crate) fn keep(&self, bridge: &str, mut device: Device) {
        device.guard();
        let mut devices = write(&self.devices);
        if self.memory.get().is_some_and(|memory| memory.is_of_another(bridge, &device.id)) {
            tracing::warn!(bridge, device = %device.id, "a bridge spoke for a device of one that has not begun; dropped");
            return;
        }
        if let (Some(memory), Some(known)) = (self.memory.get(), devices.get(&device.id))
            && known.bridge == bridge
        {
            memory.complete(bridge, &mut device, &known.device);
        }
        match devices.get(&device.id) {
            Some(known) if known.bridge != bridge => {
                tracing::warn!(bridge, device = %device.id, "a bridge spoke for another bridge's device; dropped");
                return;
            }
            Some(known) if known.device == device => return,
            Some(_) => {}
            None => {}
        }
        let alike = |known: &&Arc<Known>| known.bridge == bridge && known.device.passing == device.passing;
        let most = if device.passing { PASSING_PER_BRIDGE } else { DEVICES_PER_BRIDGE };
        // One that is paired now was passing before: it changes places.
        let stays = devices.get(&device.id).is_some_and(|known| known.device.passing == device.passing);
        if !stays && devices.values().filter(alike).count() >= most {
            tracing::warn!(bridge, passing = device.passing, "too many devices; the newest is dropped");
            return;
        }
        let known = Arc::new(Known { device, bridge: bridge.to_owned() });
        devices.insert(known.device.id.clone(), known.clone());
        drop(devices);
        self.noted(bridge, &known.device.id, Change::Described);
        self.faces_changed(&known.device.id);
        let _ = self.events.send(RegistryEvent::Seen(known));
    }

    fn change(&self, bridge: &str, id: &DeviceId, change: impl FnOnce(&mut Device)) {
        let mut devices = write(&self.devices);
        let Some(known) = devices.get_mut(id).filter(|known| known.bridge == bridge) else { return };
        change(&mut Arc::make_mut(known).device);
        let known = known.clone();
        drop(devices);
        if let Some(memory) = self.memory.get().filter(|_| known.device.reach != Reach::Offline) {
            memory.met(id);
        }
        let _ = self.events.send(RegistryEvent::Seen(known));
    }

    pub(crate) fn change_shown<R>(
        &self,
        id: &DeviceId,
        change: impl FnOnce(&mut Parts, &mut Device) -> R,
    ) -> Option<R> {
        let mut parts = self.parts();
        let mut devices = write(&self.devices);
        let known = devices.get_mut(id).filter(|known| known.bridge != OWN)?;
        let before = known.clone();
        let outcome = change(&mut parts, &mut Arc::make_mut(known).device);
        if known.device.services != before.device.services {
            let known = known.clone();
            drop(devices);
            let _ = self.events.send(RegistryEvent::Seen(known));
        }
        Some(outcome)
    }

    fn values(&self, bridge: &str, id: DeviceId, target: Target, values: BTreeMap<String, Value>) {
        if !self.speaks_for(bridge, &id) {
            return;
        }
        {
            let mut writes = write(&self.writes);
            for (property, value) in &values {
                let key = (id.clone(), target.clone(), property.clone());
                let Some(write) = writes.get_mut(&key) else { continue };
                write.report(&value.data);
                // What it is instead is known by now.
                if write.state(Timestamp::now()) == WriteState::Unconfirmed {
                    writes.remove(&key);
                }
            }
        }
        if let Some(known) = write(&self.devices).get_mut(&id) {
            let of_target = |service: &&mut accord_model::Service| {
                service.id == target.service && service.instance == target.instance
            };
            if let Some(service) = Arc::make_mut(known).device.services.iter_mut().find(of_target) {
                service.values.extend(values.clone());
            }
        }
        self.noted(bridge, &id, Change::Said);
        let _ = self.events.send(RegistryEvent::Values(id, target, values));
    }

    pub(crate) fn bridge_ended(&self, bridge: &str, failure: Option<String>) {
        write(&self.bridges).remove(bridge);
        self.calls.forget_bridge(bridge);
        self.streams.forget_bridge(bridge);
        self.explanations.forget_bridge(bridge);
        let theirs: Vec<DeviceId> = read(&self.devices)
            .values()
            .filter(|known| known.bridge == bridge)
            .map(|known| known.device.id.clone())
            .collect();
        for id in theirs {
            self.change(bridge, &id, |device| device.reach = Reach::Offline);
        }
        if let Some(message) = failure {
            let _ = self.events.send(RegistryEvent::Failed(bridge.to_owned(), message));
        }
    }
}

/// Hands an answer over, and closes its record.
async fn answer(door: &Door, call: CallId, to: RecipientId, outcome: Result<Answer, CallError>) {
    let (outcome, message) = match outcome {
        Err(error) => (Err(error), None),
        Ok(Answer::Done) => (Ok(Outputs::new()), None),
        Ok(Answer::Sealed(message)) if *message.recipient() != to => {
            (Err(CallError::Device("the answer was for another device".into())), None)
        }
        Ok(Answer::Sealed(message)) => (message.inputs().map_err(not_let_out), Some(message)),
    };
    let sent = door.send((ToBridge::Answer { call, outcome }, None)).await;
    let Some(message) = message else { return };
    match sent {
        Ok(()) => drop(message.handed_on().await),
        Err(_) => message.fail(gone()).await,
    }
}
