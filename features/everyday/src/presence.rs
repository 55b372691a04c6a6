//! Who is here: since when a device can be reached, and when it was last. Known to this machine alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accord_model::{DeviceId, Reach, Timestamp};
use accord_ports::tasks::Tasks;
use accord_registry::{Known, Registry, RegistryEvent, WeakRegistry};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Whether a device is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Present {
    /// Since when it is here; none when it is away.
    pub since: Option<Timestamp>,
    /// When it was here last, in this run.
    pub last_seen: Option<Timestamp>,
}

/// Follows who comes and goes.
pub struct Presence {
    devices: Arc<Mutex<HashMap<DeviceId, Present>>>,
    _tasks: Tasks,
}

impl Presence {
    /// Make it inside a tokio runtime.
    pub fn new(registry: &Registry) -> Self {
        let devices = Arc::new(Mutex::new(HashMap::new()));
        let tasks = Tasks::new().with(follow(registry.events(), registry.downgrade(), devices.clone()));
        Self { devices, _tasks: tasks }
    }

    /// How it is with one device now.
    pub fn of(&self, device: &DeviceId) -> Present {
        let mut present = lock(&self.devices).get(device).copied().unwrap_or_default();
        if present.since.is_some() {
            present.last_seen = Some(Timestamp::now());
        }
        present
    }
}

type Devices = Mutex<HashMap<DeviceId, Present>>;

async fn follow(mut events: Receiver<RegistryEvent>, registry: WeakRegistry, devices: Arc<Devices>) {
    look(&registry, &devices);
    loop {
        match events.recv().await {
            Ok(RegistryEvent::Seen(known)) => note(&mut lock(&devices), &known, Timestamp::now()),
            Ok(RegistryEvent::Gone(id)) => drop(lock(&devices).remove(&id)),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => look(&registry, &devices),
            Err(RecvError::Closed) => return,
        }
    }
}

fn look(registry: &WeakRegistry, devices: &Devices) {
    let Some(registry) = registry.upgrade() else { return };
    let known = registry.devices();
    let mut devices = lock(devices);
    devices.retain(|id, _| known.iter().any(|known| known.device.id == *id));
    for known in &known {
        note(&mut devices, known, Timestamp::now());
    }
}

fn note(devices: &mut HashMap<DeviceId, Present>, known: &Known, now: Timestamp) {
    let present = devices.entry(known.device.id.clone()).or_default();
    match (known.device.reach, present.since) {
        (Reach::Offline, Some(_)) => *present = Present { since: None, last_seen: Some(now) },
        (Reach::Offline, None) | (_, Some(_)) => {}
        (_, None) => present.since = Some(now),
    }
}

fn lock(devices: &Devices) -> MutexGuard<'_, HashMap<DeviceId, Present>> {
    devices.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use accord_model::{Device, DeviceKind};

    use super::*;

    #[test]
    fn coming_and_going_is_noted_once_each() {
        let id = DeviceId::new("phone").unwrap();
        let mut known = Known { device: Device::new(id.clone(), DeviceKind::Phone, "Phone"), bridge: "memory".into() };
        let mut devices = HashMap::new();
        let at = |seconds| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut note = |reach, seconds| {
            known.device.reach = reach;
            note(&mut devices, &known, at(seconds));
            devices[&id]
        };
        assert_eq!(note(Reach::Offline, 1), Present::default());
        assert_eq!(note(Reach::Local, 2).since, Some(at(2)));
        assert_eq!(note(Reach::Local, 3).since, Some(at(2)));
        assert_eq!(note(Reach::Offline, 4), Present { since: None, last_seen: Some(at(4)) });
        assert_eq!(note(Reach::Offline, 5).last_seen, Some(at(4)));
        assert_eq!(note(Reach::Relayed, 6).since, Some(at(6)));
    }
}
