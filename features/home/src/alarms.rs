//! Being told: smoke, gas, water, a siren, somebody at a device. Each alarm is told once, and once more when it is over; what was
//! told is kept, so that a start of the hub tells nothing again.
//!
//! Only what a device says now is told: a value that is old, that is remembered from before, or that a broker kept, begins
//! nothing. One that says it is over, since when nobody knows, ends it without a word: the next alarm is a new one.
//!
//! Telling waits for nothing. What was told is written down after that, so a crash in between tells it twice.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accord_model::text::for_screen;
use accord_model::{DeviceId, Reach, Service, Source, Timestamp};
use accord_ports::tasks::Tasks;
use accord_registry::{Known, Registry, RegistryEvent, WeakRegistry};
use accord_store::JsonFile;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, Receiver, error::RecvError};

use crate::history::is_of_house;
use crate::say::{self, Tone};

const EVENTS: usize = 1024;
/// Open alarms that are remembered over a start, the latest; further ones may be told again then.
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
        let watch = Watch::new(file, saved, events.clone(), Box::new(counts));
        let tasks = Tasks::new().with(follow(registry.events(), registry.downgrade(), Arc::new(watch)));
        Ok(Self { events, _tasks: tasks })
    }

    /// Alarms that begin and end from now on.
    pub fn events(&self) -> Receiver<Alarm> {
        self.events.subscribe()
    }
}

type Counts = Box<dyn Fn(&Known) -> bool + Send + Sync>;

struct Watch {
    /// One writes at a time.
    file: Mutex<JsonFile>,
    /// Somebody is about to write what is open by then.
    saves: AtomicBool,
    /// No more than devices of the house have, and what was read.
    open: Mutex<Vec<Open>>,
    events: broadcast::Sender<Alarm>,
    counts: Counts,
}

impl Watch {
    fn new(file: JsonFile, saved: Saved, events: broadcast::Sender<Alarm>, counts: Counts) -> Self {
        Self { file: Mutex::new(file), saves: AtomicBool::new(false), open: Mutex::new(saved.open), events, counts }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a device says now, against what was told of it. Alarms to tell; `true` when the file has to be written.
    fn look(&self, known: &Known, now: Timestamp) -> (Vec<Alarm>, bool) {
        let device = &known.device;
        if device.reach == Reach::Offline || !is_of_house(device) || !(self.counts)(known) {
            return (Vec::new(), false);
        }
        let mut open = self.open();
        let (mut told, mut changed) = (Vec::new(), false);
        for service in &device.services {
            let Some(Said { is, seen, fresh }) = says(service, now) else { continue };
            let place =
                |one: &Open| one.device == device.id && one.service == service.id && one.instance == service.instance;
            let before = open.iter().position(place);
            match (before, is) {
                (None, true) if fresh => {
                    let (service, instance) = (service.id.clone(), service.instance);
                    open.push(Open { device: device.id.clone(), service, instance, since: seen });
                }
                (Some(at), false) if fresh => drop(open.remove(at)),
                // It ended at some time, which nobody heard: there is nothing to tell of, and no alarm stands any more.
                (Some(at), false) if seen > open[at].since => {
                    open.remove(at);
                    changed = true;
                    continue;
                }
                _ => continue,
            }
            changed = true;
            let about = format!("alarm {} {} {}", device.id, service.id, service.instance);
            told.push(Alarm { device: device.id.clone(), about, what: what(service), began: is, seen });
        }
        (told, changed)
    }

    /// Of a device that is gone for good nothing more is said.
    fn gone(&self, device: &DeviceId) -> bool {
        let mut open = self.open();
        let before = open.len();
        open.retain(|one| one.device != *device);
        open.len() < before
    }

    /// Tells at once, and has what is open written down without waiting for it: a disk may take its time, or not answer.
    fn tell(self: &Arc<Self>, told: Vec<Alarm>) {
        for alarm in told {
            let _ = self.events.send(alarm);
        }
        // One writes, and one waits for it to write what is open by then: no more, however long that takes.
        if !self.saves.swap(true, Ordering::AcqRel) {
            let watch = self.clone();
            tokio::task::spawn_blocking(move || watch.save());
        }
    }

    fn save(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        self.saves.store(false, Ordering::Release);
        let open = self.open();
        let saved = Saved { open: open[open.len().saturating_sub(MOST)..].to_vec() };
        drop(open);
        if let Err(error) = file.save(&saved) {
            tracing::warn!(%error, "which alarms were told is not kept; after a start they may be told again");
        }
    }
}

/// Whether a service raises an alarm, and since when.
struct Said {
    is: bool,
    seen: Timestamp,
    /// The device says so now.
    fresh: bool,
}

fn says(service: &Service, now: Timestamp) -> Option<Said> {
    let (_, properties) = SERVICES.iter().find(|(id, _)| *id == service.id)?;
    let value = properties.iter().find_map(|id| service.values.get(*id))?;
    let fresh = value.source != Source::Assumed && value.is_fresh(now);
    Some(Said { is: say::tone_of(service) == Tone::Alarm, seen: value.seen, fresh })
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
            watch.tell(std::mem::take(&mut told));
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
        Watch::new(file, saved, broadcast::channel(4).0, Box::new(|_| true))
    }

    const NOTHING: [bool; 0] = [];

    fn told(watch: &Watch, known: &Known) -> Vec<bool> {
        watch.look(known, Timestamp::now()).0.iter().map(|alarm| alarm.began).collect()
    }

    #[test]
    fn an_alarm_is_told_once_and_once_more_when_it_is_over_also_across_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let first = Arc::new(watch(dir.path()));
        let wet = sensor(true, Source::Pushed, 0);
        let (alarms, changed) = first.look(&wet, Timestamp::now());
        assert_eq!((alarms[0].what.as_str(), alarms[0].began, changed), ("Water leak", true, true));
        first.save();
        assert_eq!(told(&first, &wet), NOTHING);
        let second = Arc::new(watch(dir.path()));
        assert_eq!(told(&second, &wet), NOTHING, "a start tells nothing again");
        assert_eq!(told(&second, &sensor(false, Source::Pushed, 0)), [false]);
        assert_eq!(told(&second, &sensor(false, Source::Pushed, 0)), NOTHING);
        assert_eq!(told(&second, &wet), [true], "a new one is told anew");
        assert!(second.gone(&wet.device.id) && !second.gone(&wet.device.id));
    }

    #[test]
    fn one_that_ended_unheard_is_told_anew_when_it_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = watch(dir.path());
        assert_eq!(told(&first, &sensor(true, Source::Pushed, 10)), [true]);
        first.save();
        // The hub was off, and the broker kept that it is over.
        let second = watch(dir.path());
        assert_eq!(told(&second, &sensor(true, Source::Assumed, 5)), NOTHING, "it stands");
        let (alarms, changed) = second.look(&sensor(false, Source::Assumed, 5), Timestamp::now());
        assert_eq!((alarms, changed), (vec![], true), "nobody knows since when it is over");
        second.save();
        assert_eq!(told(&second, &sensor(false, Source::Pushed, 0)), NOTHING);
        let third = watch(dir.path());
        assert_eq!(told(&third, &sensor(true, Source::Pushed, 0)), [true], "a second leak");
        // The same of a server that says since when: too long ago to be told, and after it began.
        let fourth = watch(dir.path());
        assert_eq!(told(&fourth, &sensor(true, Source::Pushed, 40)), [true]);
        let later = Timestamp::now() + std::time::Duration::from_secs(600);
        assert_eq!(fourth.look(&sensor(false, Source::Polled, 20), later).0, []);
        assert_eq!(told(&fourth, &sensor(true, Source::Pushed, 0)), [true]);
    }

    #[tokio::test]
    async fn telling_waits_for_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let watch = Arc::new(watch(dir.path()));
        let mut events = watch.events.subscribe();
        let disk = watch.file.lock().unwrap();
        for (is, nth) in [(true, 1), (false, 2), (true, 3)] {
            let (alarms, _) = watch.look(&sensor(is, Source::Pushed, 0), Timestamp::now());
            watch.tell(alarms);
            assert_eq!(events.try_recv().unwrap().began, is, "{nth}");
        }
        drop(disk);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let saved = || watch.file.lock().unwrap().load::<Saved>().unwrap().open.len();
        while saved() != 1 {
            assert!(std::time::Instant::now() < until, "it is written in the end");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    #[test]
    fn however_many_are_open_each_is_told_once_and_the_latest_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let first = watch(dir.path());
        let many: Vec<Known> = (0..MOST + 44)
            .map(|n| {
                let mut known = sensor(true, Source::Pushed, 0);
                known.device.id = DeviceId::new(format!("sensor-{n}")).unwrap();
                known
            })
            .collect();
        let times = |watch: &Watch| many.iter().map(|known| told(watch, known).len()).collect::<Vec<_>>();
        assert_eq!(times(&first), vec![1; many.len()]);
        assert_eq!(times(&first), vec![0; many.len()]);
        first.save();
        let again = times(&watch(dir.path()));
        assert_eq!((&again[..44], &again[44..]), ([1; 44].as_slice(), [0; MOST].as_slice()));
    }

    #[test]
    fn what_is_old_kept_or_not_counted_begins_and_ends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(dir.path());
        assert_eq!(told(&watch, &sensor(true, Source::Pushed, 120)), NOTHING, "old");
        assert_eq!(told(&watch, &sensor(true, Source::Assumed, 0)), NOTHING, "kept by a broker");
        let mut away = sensor(true, Source::Pushed, 0);
        away.device.reach = Reach::Offline;
        assert_eq!(told(&watch, &away), NOTHING, "remembered");
        assert_eq!(told(&watch, &sensor(true, Source::Polled, 0)), [true]);
        let (alarms, changed) = watch.look(&sensor(false, Source::Pushed, 120), Timestamp::now());
        assert_eq!((alarms, changed), (vec![], false), "from before it began");
        watch.counts = Box::new(|_| false);
        assert_eq!(told(&watch, &sensor(false, Source::Pushed, 0)), NOTHING, "not the owner's");
    }
}
