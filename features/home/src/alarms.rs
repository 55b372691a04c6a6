//! Being told: smoke, gas, water, a siren, somebody at a device. Each alarm is told once, and once more when it is over; what was
//! told is kept, so that a start of the hub tells nothing again.
//!
//! Only what a device says now counts: a value that is old, that is remembered from before, or that a broker kept, begins and
//! ends nothing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use accord_model::text::for_screen;
use accord_model::{DeviceId, Reach, Service, Source, Timestamp};
use accord_ports::tasks::Tasks;
use accord_registry::{Known, Registry, RegistryEvent, WeakRegistry};
use accord_store::JsonFile;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, Receiver, error::RecvError};

use crate::history::is_of_house;
use crate::say::{self, Tone};

const EVENTS: usize = 64;
/// Alarms that are open at once; more are not told.
const MOST: usize = 256;
const LARGEST: u64 = 1 << 18;

/// What tells of danger, and the properties that do.
const SERVICES: [(&str, &[&str]); 8] = [
    ("smoke", &["detected"]),
    ("gas", &["detected"]),
    ("carbon-monoxide", &["detected"]),
    ("water-leak", &["detected"]),
    ("tamper", &["detected"]),
    ("siren", &["on"]),
    ("alarm", &["state"]),
    ("door-lock", &["state"]),
];

/// An alarm began or is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Of which device.
    pub device: DeviceId,
    /// Which of its alarms: the same when it is over.
    pub about: String,
    /// What it is, in words: `Smoke`, `Water leak (left)`.
    pub what: String,
    /// It began; else it is over.
    pub began: bool,
    /// When the device said so.
    pub seen: Timestamp,
}

/// One that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    device: DeviceId,
    service: String,
    instance: u16,
    since: Timestamp,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Saved {
    open: Vec<Open>,
}

/// Follows what devices of the house say, until it is dropped.
pub struct Alarms {
    events: broadcast::Sender<Alarm>,
    _tasks: Tasks,
}

impl Alarms {
    /// Reads what was told, in `alarms.json` of `folder`, and follows. `counts` says whether a device is one whose word counts:
    /// one that the owner added, and did not block. Make it inside a tokio runtime.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(
        folder: &Path,
        registry: &Registry,
        counts: impl Fn(&Known) -> bool + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let file = JsonFile::new(folder.join("alarms.json"), LARGEST);
        let saved: Saved = file.load()?;
        let events = broadcast::channel(EVENTS).0;
        let watch = Watch { file, open: Mutex::new(saved.open), events: events.clone(), counts: Box::new(counts) };
        let tasks = Tasks::new().with(follow(registry.events(), registry.downgrade(), Arc::new(watch)));
        Ok(Self { events, _tasks: tasks })
    }

    /// Alarms that begin and end from now on.
    pub fn events(&self) -> Receiver<Alarm> {
        self.events.subscribe()
    }
}

struct Watch {
    file: JsonFile,
    open: Mutex<Vec<Open>>,
    events: broadcast::Sender<Alarm>,
    counts: Box<dyn Fn(&Known) -> bool + Send + Sync>,
}

impl Watch {
    /// What a device says now, against what was told of it. Alarms to tell; `true` when the file has to be written.
    fn look(&self, known: &Known, now: Timestamp) -> (Vec<Alarm>, bool) {
        let device = &known.device;
        if device.reach == Reach::Offline || !is_of_house(device) || !(self.counts)(known) {
            return (Vec::new(), false);
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = Vec::new();
        for service in &device.services {
            let Some((is, seen)) = says(service, now) else { continue };
            let place =
                |one: &Open| one.device == device.id && one.service == service.id && one.instance == service.instance;
            let before = open.iter().position(place);
            match (before, is) {
                (None, true) if open.len() < MOST => {
                    let (service, instance) = (service.id.clone(), service.instance);
                    open.push(Open { device: device.id.clone(), service, instance, since: seen });
                }
                (Some(at), false) => drop(open.remove(at)),
                _ => continue,
            }
            let about = format!("alarm {} {} {}", device.id, service.id, service.instance);
            told.push(Alarm { device: device.id.clone(), about, what: what(service), began: is, seen });
        }
        let changed = !told.is_empty();
        (told, changed)
    }

    /// Of a device that is gone for good nothing more is said.
    fn gone(&self, device: &DeviceId) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = open.len();
        open.retain(|one| one.device != *device);
        open.len() < before
    }

    /// Tells, once that is kept: a crash in between tells nothing twice.
    async fn tell(self: &Arc<Self>, told: Vec<Alarm>) {
        let watch = self.clone();
        let save = tokio::task::spawn_blocking(move || {
            let open = watch.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
            watch.file.save(&Saved { open })
        });
        if let Ok(Err(error)) = save.await {
            tracing::warn!(%error, "which alarms were told is not kept; after a start they may be told again");
        }
        for alarm in told {
            let _ = self.events.send(alarm);
        }
    }
}

/// Whether a service raises an alarm, and since when, as far as the device says so now.
fn says(service: &Service, now: Timestamp) -> Option<(bool, Timestamp)> {
    let (_, properties) = SERVICES.iter().find(|(id, _)| *id == service.id)?;
    let value = properties.iter().find_map(|id| service.values.get(*id))?;
    if value.source == Source::Assumed || !value.is_fresh(now) {
        return None;
    }
    Some((say::tone_of(service) == Tone::Alarm, value.seen))
}

fn what(service: &Service) -> String {
    let what = match service.id.as_str() {
        "smoke" => "Smoke",
        "gas" => "Gas",
        "carbon-monoxide" => "Carbon monoxide",
        "water-leak" => "Water leak",
        "tamper" => "Tampering",
        "siren" => "Siren",
        "door-lock" => "Jammed lock",
        _ => "Alarm",
    };
    match service.label.as_deref().map(str::trim).filter(|label| !label.is_empty()) {
        Some(label) => format!("{what} ({})", for_screen(label, 40)),
        None => what.to_owned(),
    }
}

async fn follow(mut events: Receiver<RegistryEvent>, registry: WeakRegistry, watch: Arc<Watch>) {
    let all = |watch: &Watch| {
        let devices = registry.upgrade().map(|registry| registry.devices()).unwrap_or_default();
        let (told, changed): (Vec<_>, Vec<_>) = devices.iter().map(|known| watch.look(known, Timestamp::now())).unzip();
        (told.concat(), changed.contains(&true))
    };
    let (mut told, mut changed) = all(&watch);
    loop {
        if changed {
            watch.tell(std::mem::take(&mut told)).await;
        }
        let look = |device: &DeviceId| {
            let known = registry.upgrade().and_then(|registry| registry.device(device));
            known.map(|known| watch.look(&known, Timestamp::now())).unwrap_or_default()
        };
        (told, changed) = match events.recv().await {
            Ok(RegistryEvent::Seen(known)) => watch.look(&known, Timestamp::now()),
            Ok(RegistryEvent::Values(device, target, _)) if SERVICES.iter().any(|(id, _)| *id == target.service) => {
                look(&device)
            }
            Ok(RegistryEvent::Gone(device)) => (Vec::new(), watch.gone(&device)),
            Ok(_) => continue,
            Err(RecvError::Lagged(_)) => all(&watch),
            Err(RecvError::Closed) => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use accord_model::{Data, Device, DeviceKind, Value, catalogue};

    use super::*;

    fn sensor(is: bool, source: Source, age_s: u64) -> Known {
        let seen = Timestamp::now() - std::time::Duration::from_secs(age_s);
        let mut leak = catalogue::water_leak();
        let value = Value { data: Data::Bool(is), seen, source, fresh_for_s: 60 };
        leak.values.insert("detected".into(), value);
        let mut device = Device::new(DeviceId::new("sensor").unwrap(), DeviceKind::Sensor, "Bath").with(leak);
        device.reach = Reach::Local;
        Known { device, bridge: "played".into() }
    }

    fn watch(folder: &Path) -> Watch {
        let file = JsonFile::new(folder.join("alarms.json"), LARGEST);
        let saved: Saved = file.load().unwrap();
        Watch { file, open: Mutex::new(saved.open), events: broadcast::channel(4).0, counts: Box::new(|_| true) }
    }

    const NOTHING: [bool; 0] = [];

    fn told(watch: &Watch, known: &Known) -> Vec<bool> {
        watch.look(known, Timestamp::now()).0.iter().map(|alarm| alarm.began).collect()
    }

    #[tokio::test]
    async fn an_alarm_is_told_once_and_once_more_when_it_is_over_also_across_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let first = Arc::new(watch(dir.path()));
        let wet = sensor(true, Source::Pushed, 0);
        let (alarms, changed) = first.look(&wet, Timestamp::now());
        assert_eq!((alarms[0].what.as_str(), alarms[0].began, changed), ("Water leak", true, true));
        first.tell(alarms).await;
        assert_eq!(told(&first, &wet), NOTHING);
        let second = Arc::new(watch(dir.path()));
        assert_eq!(told(&second, &wet), NOTHING, "a start tells nothing again");
        assert_eq!(told(&second, &sensor(false, Source::Pushed, 0)), [false]);
        assert_eq!(told(&second, &sensor(false, Source::Pushed, 0)), NOTHING);
        assert_eq!(told(&second, &wet), [true], "a new one is told anew");
        assert!(second.gone(&wet.device.id) && !second.gone(&wet.device.id));
    }

    #[tokio::test]
    async fn what_is_old_kept_or_not_counted_begins_and_ends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(dir.path());
        assert_eq!(told(&watch, &sensor(true, Source::Pushed, 120)), NOTHING, "old");
        assert_eq!(told(&watch, &sensor(true, Source::Assumed, 0)), NOTHING, "kept by a broker");
        let mut away = sensor(true, Source::Pushed, 0);
        away.device.reach = Reach::Offline;
        assert_eq!(told(&watch, &away), NOTHING, "remembered");
        assert_eq!(told(&watch, &sensor(true, Source::Polled, 0)), [true]);
        assert_eq!(told(&watch, &sensor(false, Source::Assumed, 0)), NOTHING);
        assert_eq!(told(&watch, &sensor(false, Source::Pushed, 120)), NOTHING);
        watch.counts = Box::new(|_| false);
        assert_eq!(told(&watch, &sensor(false, Source::Pushed, 0)), NOTHING, "not the owner's");
    }
}
