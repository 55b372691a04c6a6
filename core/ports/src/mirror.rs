//! Keeps other devices told of services of this machine: those devices that take it (service `mirror`) and that the owner
//! agreed to, each with what changed since it was told last.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use accord_consent::{BoundGate, Envelope, Personal, RecipientId};
use accord_model::{CallError, Data, Device, DeviceId, EntryKey, FieldCode, FieldSet, Reach, Service, Target};
use accord_registry::{Answer, Ask, Known, Port, Registry, RegistryEvent, WeakRegistry};
use tokio::sync::{broadcast::error::RecvError, watch};
use tokio::task::{AbortHandle, JoinSet};

const SERVICE: &str = "mirror";
const WITHIN: Duration = Duration::from_secs(10);
/// Changes in between are told together.
const PAUSE: Duration = Duration::from_millis(250);
/// After a device did not take it.
const AGAIN: Duration = Duration::from_secs(30);
const MOST_INSTANCES: usize = 64;

/// Tells devices of one service of this machine, under one entry. Everything said carries one label. Does not keep the
/// registry alive, so that a service's handler may hold one.
#[derive(Clone)]
pub struct Mirror {
    registry: WeakRegistry,
    gate: BoundGate,
    entry: EntryKey,
    field: FieldCode,
    port: Port,
}

type Told = BTreeMap<(String, u16), Service>;

impl Mirror {
    /// Under `entry`, which is one of the feature's that `gate` is bound to; all that is told is of the kind `field`.
    pub fn new(registry: &Registry, gate: &BoundGate, entry: EntryKey, field: FieldCode) -> Self {
        let port = registry.port(gate, entry.clone(), "on.change");
        Self { registry: registry.downgrade(), gate: gate.clone(), entry, field, port }
    }

    /// Tells of `services` and of every change, until their sender is gone.
    pub async fn run(self, mut services: watch::Receiver<Vec<Service>>) {
        let Some(registry) = self.registry.upgrade() else { return };
        let mut events = registry.events();
        let mut tasks = JoinSet::new();
        let mut running: HashMap<DeviceId, AbortHandle> = HashMap::new();
        for known in registry.devices() {
            self.consider(&known, &services, &mut tasks, &mut running);
        }
        drop(registry);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(RegistryEvent::Seen(known)) => self.consider(&known, &services, &mut tasks, &mut running),
                    Ok(RegistryEvent::Gone(id)) => stop(&mut running, &id),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => {
                        let Some(registry) = self.registry.upgrade() else { return };
                        let devices = registry.devices();
                        running.retain(|id, task| {
                            let here = devices.iter().any(|known| known.device.id == *id);
                            if !here {
                                task.abort();
                            }
                            here
                        });
                        for known in devices {
                            self.consider(&known, &services, &mut tasks, &mut running);
                        }
                    }
                    Err(RecvError::Closed) => return,
                },
                Some(_) = tasks.join_next() => {}
                changed = services.changed() => if changed.is_err() { return },
            }
        }
    }

    /// The values of one of `services`, for a device that asks. Whoever the owner did not choose is told so, and the owner
    /// is not bothered: phones ask for everything by themselves.
    ///
    /// # Errors
    /// [`CallError::Refused`] without consent, [`CallError::Unsupported`] for what is not there.
    pub async fn answer(
        &self,
        device: &DeviceId,
        services: &[Service],
        target: &Target,
        properties: &[String],
    ) -> Result<Answer, CallError> {
        if self.port.check(device, FieldSet::one(self.field)).is_err() {
            return Err(CallError::Refused("this is not shared with you".into()));
        }
        let found = services.iter().find(|one| one.id == target.service && one.instance == target.instance);
        let service = found.ok_or_else(|| CallError::Unsupported(target.service.clone()))?;
        let wanted = |id: &str| properties.is_empty() || properties.iter().any(|property| property == id);
        let mut envelope = Envelope::new();
        for (id, value) in service.values.iter().filter(|(id, _)| wanted(id)) {
            envelope = envelope.data(id, &Personal::new(self.field, value.data.clone()));
        }
        self.port.answer(device, envelope).await
    }

    fn consider(
        &self,
        known: &Known,
        services: &watch::Receiver<Vec<Service>>,
        tasks: &mut JoinSet<()>,
        running: &mut HashMap<DeviceId, AbortHandle>,
    ) {
        let id = &known.device.id;
        if known.bridge == "own" || !takes(&known.device) {
            return stop(running, id);
        }
        if running.get(id).is_none_or(AbortHandle::is_finished) {
            running.insert(id.clone(), tasks.spawn(self.clone().keep_told(id.clone(), services.clone())));
        }
    }

    async fn keep_told(self, device: DeviceId, mut services: watch::Receiver<Vec<Service>>) {
        let mut consent = self.gate.watch(&self.entry, &RecipientId::device(&device));
        let mut told = Told::new();
        loop {
            consent.allowed().await;
            let now = services.borrow_and_update().clone();
            let outcome = self.tell_changes(&device, &now, &mut told).await;
            if let Err(error) = &outcome {
                tracing::debug!(%device, entry = %self.entry, %error, "a device was not told of a change");
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN), if outcome.is_err() => {}
                changed = services.changed() => if changed.is_err() { return },
                () = consent.ended() => told.clear(),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn tell_changes(&self, device: &DeviceId, now: &[Service], told: &mut Told) -> Result<(), CallError> {
        let key = |service: &Service| (service.id.clone(), service.instance);
        let gone: Vec<_> = told.keys().filter(|told| !now.iter().any(|one| key(one) == **told)).cloned().collect();
        for (service, instance) in gone {
            let envelope = which(&service, instance).beside(self.field);
            self.call(device, "gone", envelope).await?;
            told.remove(&(service, instance));
        }
        for service in now.iter().take(MOST_INSTANCES) {
            let before = told.get(&key(service));
            if before.is_some_and(|before| is_same(before, service)) {
                continue;
            }
            self.call(device, "show", self.show(service, before)).await?;
            told.insert(key(service), service.clone());
        }
        Ok(())
    }

    fn show(&self, service: &Service, before: Option<&Service>) -> Envelope {
        let mut envelope = which(&service.id, service.instance);
        if let Some(label) = &service.label {
            envelope = envelope.text("label", &Personal::new(self.field, label.clone()));
        }
        let told = |id: &str| before.and_then(|before| before.values.get(id)).map(|value| &value.data);
        for (id, value) in &service.values {
            let is_large = matches!(value.data, Data::Bytes(_));
            if !(is_large && told(id) == Some(&value.data)) {
                envelope = envelope.data(id, &Personal::new(self.field, value.data.clone()));
            }
        }
        // A picture that is no more.
        for (id, value) in before.iter().flat_map(|before| &before.values) {
            if matches!(value.data, Data::Bytes(_)) && !service.values.contains_key(id) {
                envelope = envelope.data(id, &Personal::new(self.field, Data::Bytes(Vec::new())));
            }
        }
        envelope.beside(self.field)
    }

    async fn call(&self, device: &DeviceId, action: &str, envelope: Envelope) -> Result<(), CallError> {
        self.port.call(device, Target::new(SERVICE), Ask::act(action), envelope, WITHIN).await.map(drop)
    }
}

fn which(service: &str, instance: u16) -> Envelope {
    Envelope::new().plain("service", service).plain("instance", instance)
}

fn takes(device: &Device) -> bool {
    device.reach != Reach::Offline && device.service(SERVICE).is_some()
}

fn stop(running: &mut HashMap<DeviceId, AbortHandle>, device: &DeviceId) {
    if let Some(task) = running.remove(device) {
        task.abort();
    }
}

/// The same to whoever looks at it; how old it is does not matter.
fn is_same(a: &Service, b: &Service) -> bool {
    let data = |service: &Service| -> Vec<(String, Data)> {
        service.values.iter().map(|(id, value)| (id.clone(), value.data.clone())).collect()
    };
    a.label == b.label && data(a) == data(b)
}
