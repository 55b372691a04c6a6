//! The feature: offers this computer's battery, shows it, and watches those of others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::{BoundGate, outlet};
use accord_model::{
    CallError, Data, DeviceId, EntryKey, FieldCode, IdError, Inputs, Service, Source, Target, Timestamp, Value, Verb,
    catalogue,
};
use accord_ports::mirror::Mirror;
use accord_ports::tasks::Tasks;
use accord_registry::{Answer, ByteStream, Registry, RegistryEvent, ServiceHandler};
use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

use crate::alerts::{Alert, Alerts};
use crate::{SHARE, kernel, upower};

const SERVICE: &str = "battery";
/// Below this a battery is low, unless its owner's system says otherwise.
const LOW: f64 = 15.0;
/// The kernel is asked so often where nobody tells of changes.
const EVERY: Duration = Duration::from_secs(60);
/// UPower is looked for again after so long.
const AGAIN: Duration = Duration::from_secs(600);
const FRESH_FOR_S: u64 = 3600;
const EVENTS: usize = 64;

/// How full a battery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// 0 to 100.
    pub percent: u8,
    /// On the mains: being charged, or full.
    pub charging: bool,
    /// Soon empty.
    pub low: bool,
}

impl Charge {
    /// From a measured percentage.
    pub fn new(percent: f64, charging: bool) -> Self {
        let percent = percent.clamp(0.0, 100.0).round();
        Self { percent: percent as u8, charging, low: !charging && percent <= LOW }
    }

    fn service(self) -> Service {
        let mut service = catalogue::battery();
        let seen = Timestamp::now();
        let value = |data| Value { data, seen, source: Source::Pushed, fresh_for_s: FRESH_FOR_S };
        let values = [
            ("percent", Data::Int(i64::from(self.percent))),
            ("charging", Data::Bool(self.charging)),
            ("low", Data::Bool(self.low)),
        ];
        service.values = values.map(|(id, data)| (id.to_owned(), value(data))).into_iter().collect::<BTreeMap<_, _>>();
        service
    }
}

/// Who tells of this computer's battery.
#[derive(Debug, Clone)]
pub enum Supply {
    /// UPower on the system bus, or the kernel where that is missing.
    System,
    /// The kernel's folder, or one like it.
    Folder(PathBuf),
}

/// The battery, followed until this is dropped.
pub struct Battery {
    alerts: broadcast::Sender<Alert>,
    tasks: Tasks,
}

impl Battery {
    /// Follows the battery and those of other devices. Make it inside a tokio runtime.
    ///
    /// # Errors
    /// Never in a build whose entry has a well-formed name.
    pub fn new(gate: &BoundGate, registry: &Registry, supply: Supply) -> Result<Self, IdError> {
        let mirror = Mirror::new(registry, gate, EntryKey::new(SHARE)?, FieldCode::BatteryLevel);
        let now = watch::Sender::new(None);
        let services = watch::Sender::new(Vec::new());
        registry.serve(SERVICE, Arc::new(Handler { mirror: mirror.clone(), services: services.subscribe() }));
        let alerts = broadcast::channel(EVENTS).0;
        let tasks = Tasks::new()
            .with(mirror.run(services.subscribe()))
            .with(offer(registry.clone(), now.subscribe(), services))
            .with(follow(supply, now))
            .with(watch_others(registry.clone(), alerts.clone()));
        Ok(Self { alerts, tasks })
    }

    /// Batteries of other devices that are low or charged, from now on.
    pub fn alerts(&self) -> broadcast::Receiver<Alert> {
        self.alerts.subscribe()
    }

    /// Ends what runs. Nothing is shown or watched any more.
    pub async fn stop(&self) {
        self.tasks.stop().await;
    }
}

async fn offer(registry: Registry, mut now: watch::Receiver<Option<Charge>>, services: watch::Sender<Vec<Service>>) {
    while now.changed().await.is_ok() {
        let offered: Vec<Service> = now.borrow_and_update().map(Charge::service).into_iter().collect();
        registry.offer(SERVICE, offered.clone());
        services.send_replace(offered);
    }
}

async fn follow(supply: Supply, now: watch::Sender<Option<Charge>>) {
    let folder = match supply {
        Supply::Folder(folder) => folder,
        Supply::System => loop {
            match outlet::system_bus().await {
                Ok(bus) => {
                    if let Err(error) = upower::follow(&bus, &now).await {
                        tracing::debug!(%error, "no UPower; the kernel is asked instead");
                    }
                }
                Err(error) => tracing::debug!(%error, "no system bus; the kernel is asked instead"),
            }
            let _ = tokio::time::timeout(AGAIN, ask_kernel(PathBuf::from(kernel::FOLDER), &now)).await;
        },
    };
    ask_kernel(folder, &now).await;
}

/// A computer without a battery is asked once: nobody builds one in while it runs.
async fn ask_kernel(folder: PathBuf, now: &watch::Sender<Option<Charge>>) {
    loop {
        let charge = kernel::read(&folder);
        now.send_if_modified(|before| std::mem::replace(before, charge) != charge);
        if charge.is_none() {
            return std::future::pending().await;
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn watch_others(registry: Registry, alerts: broadcast::Sender<Alert>) {
    let mut events = registry.events();
    let mut watched = Alerts::default();
    loop {
        let device = match events.recv().await {
            Ok(RegistryEvent::Values(id, target, _)) if target.service == SERVICE => registry.device(&id),
            Ok(RegistryEvent::Seen(known)) => Some(known),
            Ok(RegistryEvent::Gone(id)) => {
                watched.forget(&id);
                None
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(known) = device.filter(|known| known.bridge != "own") else { continue };
        if let Some(service) = known.device.service(SERVICE)
            && let Some(alert) = watched.look(&known.device.id, service, Timestamp::now())
        {
            let _ = alerts.send(alert);
        }
    }
}

struct Handler {
    mirror: Mirror,
    services: watch::Receiver<Vec<Service>>,
}

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, target: Target, verb: Verb) -> Result<Answer, CallError> {
        let Verb::Read { properties } = verb else {
            return Err(CallError::Unsupported("a battery is only read".into()));
        };
        let services = self.services.borrow().clone();
        self.mirror.answer(&from, &services, &target, &properties).await
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}
