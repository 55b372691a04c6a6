//! Devices of the house shown elsewhere, such as on an MQTT broker for Home Assistant: which ones, where, and what whoever sees
//! them may do with them, is the owner's choice for each. Nothing is shown, and nothing done, before.
//!
//! | part | what it is |
//! |---|---|
//! | `book` | what the owner chose, in a private file |
//! | `outside` | a device as others may see it |
//! | `flow` | what is told to one place, as long as the consent holds |
//! | `wish` | what is wished from there, done as far as it was allowed |

mod book;
mod flow;
mod outside;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use accord_consent::{BoundGate, RecipientId, Refusal};
use accord_model::{CallError, Device, DeviceId, EntryKey, FieldCode, FieldSet, Reach, Target, Verb};
use accord_ports::showcase::{MOST_DEVICES, SERVICE};
use accord_ports::tasks::Tasks;
use accord_registry::{Job, Registry, RegistryEvent, Thing};
use accord_store::Vault;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast::error::RecvError, watch};
use tokio::task::{AbortHandle, JoinSet};

use book::Book;

/// The entry under which devices are shown.
pub const SHARE: &str = "home/share";

/// What others may see and do of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chosen {
    /// They may control it; otherwise they see what it says.
    pub control: bool,
    /// They may also open, unlock and disarm it, without anybody being asked.
    pub opens: bool,
}

/// A choice, and what it was made for: what the device is or can do besides by now is not shown, until the owner chooses again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Granted {
    #[serde(flatten)]
    chosen: Chosen,
    /// The faces that the thing had, each with the server or broker that it was there by.
    #[serde(default)]
    faces: BTreeMap<DeviceId, Option<DeviceId>>,
    /// Services of which something opens, unlocks or disarms.
    #[serde(default)]
    secured: BTreeSet<String>,
}

/// Why a choice was not kept.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// Nobody who shows devices.
    #[error("{0}")]
    NoPlace(String),
    /// The device cannot be shown there.
    #[error("{0}")]
    NotThis(String),
    /// The owner has not agreed.
    #[error(transparent)]
    NotConsented(#[from] Refusal),
    /// It is not on disk.
    #[error("the choice was not kept: {0}")]
    NotSaved(std::io::Error),
}

/// What the house knows beside the registry: the owner's names, and how devices are controlled.
#[async_trait]
pub trait House: Send + Sync + 'static {
    /// What the owner calls a thing, and where it is.
    fn called(&self, thing: &Device) -> (String, Option<String>);
    /// The owner has nothing to do with it.
    fn is_blocked(&self, device: &DeviceId) -> bool;
    /// Tells a face of a device what to do, under the owner's consent for that. What opens something is done when `opens`, and
    /// the owner is asked nothing; `place` is where it was wished.
    async fn tell(
        &self,
        (face, place): (&DeviceId, &DeviceId),
        target: Target,
        verb: Verb,
        opens: bool,
    ) -> Result<(), CallError>;
}

/// Devices of the house, shown where the owner wants that.
pub struct Share {
    inner: Arc<Inner>,
    tasks: std::sync::OnceLock<Tasks>,
}

pub(crate) struct Inner {
    registry: Registry,
    gate: BoundGate,
    entry: EntryKey,
    book: Book,
    /// Counts what was chosen anew.
    changed: watch::Sender<u64>,
    /// Bridges whose devices whoever reads on a broker has by itself.
    elsewhere: &'static [&'static str],
    pace: wish::Pace,
    /// Why nothing is told to a place now, though something is to be.
    problems: Mutex<BTreeMap<DeviceId, String>>,
    house: std::sync::OnceLock<Arc<dyn House>>,
}

impl Share {
    /// Reads what was chosen. Nothing is shown before [`Share::begin`].
    ///
    /// # Errors
    /// When the file cannot be read. Never for the entry in a build where its name is well-formed.
    pub fn open(
        gate: BoundGate,
        registry: &Registry,
        folder: &Vault,
        elsewhere: &'static [&'static str],
    ) -> std::io::Result<Self> {
        let entry = EntryKey::new(SHARE).map_err(std::io::Error::other)?;
        let book = Book::open(folder)?;
        let (changed, pace, house) = (watch::Sender::new(0), wish::Pace::default(), std::sync::OnceLock::new());
        let registry = registry.clone();
        let problems = Mutex::default();
        let inner = Arc::new(Inner { registry, gate, entry, book, changed, elsewhere, pace, problems, house });
        Ok(Self { inner, tasks: std::sync::OnceLock::new() })
    }

    /// Shows what was chosen from now on, and does what is wished. Once, and inside a tokio runtime.
    pub fn begin(&self, house: Arc<dyn House>) {
        if self.inner.house.set(house).is_err() {
            return;
        }
        let handler = wish::Handler(Arc::downgrade(&self.inner));
        self.inner.registry.serve(SERVICE, Arc::new(handler));
        let _ = self.tasks.set(Tasks::new().with(supervise(Arc::downgrade(&self.inner))));
    }

    /// Ends what runs. What is shown stays there, as away.
    pub async fn stop(&self) {
        if let Some(tasks) = self.tasks.get() {
            tasks.stop().await;
        }
    }

    /// Where devices can be shown.
    pub fn places(&self) -> Vec<DeviceId> {
        let devices = self.inner.registry.devices().into_iter().map(|known| known.device.clone());
        devices.filter(|device| device.service(SERVICE).is_some()).map(|device| device.id).collect()
    }

    /// What was chosen for a place, by thing.
    pub fn chosen(&self, place: &DeviceId) -> BTreeMap<DeviceId, Chosen> {
        self.inner.book.chosen(place)
    }

    /// Why nothing is shown there now, though something was chosen. For the owner.
    pub fn problem(&self, place: &DeviceId) -> Option<String> {
        let problem = self.inner.problems().get(place).cloned();
        problem.filter(|_| !self.inner.book.chosen(place).is_empty())
    }

    /// Whether a thing is or can do more than when it was chosen: that is not shown.
    pub fn has_more(&self, place: &DeviceId, thing: &Thing) -> bool {
        let granted = self.inner.book.granted(place);
        let of = thing.faces.iter().find_map(|face| granted.get(&face.known.device.id));
        of.is_some_and(|granted| {
            let faces = thing.faces.iter().any(|face| !granted.faces.contains_key(&face.known.device.id));
            faces || (granted.chosen.opens && !outside::secured(&thing.device).is_subset(&granted.secured))
        })
    }

    /// Whether something of it opens, unlocks or disarms, as it would be shown.
    pub fn secures(&self, thing: &Thing) -> bool {
        !outside::secured(&thing.device).is_empty()
    }

    /// Whether a thing can be shown there.
    ///
    /// # Errors
    /// In words: why not.
    pub fn can_show(&self, thing: &Thing, place: &DeviceId) -> Result<(), String> {
        self.inner.can_show(thing, place)
    }

    /// Which kinds of data a device would reveal.
    pub fn fields(&self, thing: &Thing) -> FieldSet {
        outside::fields(&thing.device)
    }

    /// Shows a thing there, or as little or much of it as this says.
    ///
    /// # Errors
    /// [`ShareError`]; then nothing is changed.
    pub fn show(&self, place: &DeviceId, thing: &DeviceId, chosen: Chosen) -> Result<(), ShareError> {
        let inner = &self.inner;
        if !self.places().contains(place) {
            return Err(ShareError::NoPlace("devices can be shown on an MQTT broker that was added".to_owned()));
        }
        let whole = inner.registry.thing(thing);
        let whole = whole.ok_or_else(|| ShareError::NotThis(format!("no device {thing} is known here")))?;
        inner.can_show(&whole, place).map_err(ShareError::NotThis)?;
        if chosen.opens && !chosen.control {
            return Err(ShareError::NotThis("what may open it may control it; allow both or neither".to_owned()));
        }
        let secured = outside::secured(&whole.device);
        if chosen.opens && secured.is_empty() {
            return Err(ShareError::NotThis("it opens, unlocks and disarms nothing".to_owned()));
        }
        inner.gate.check(&inner.entry, &RecipientId::device(place), outside::fields(&whole.device))?;
        let before = inner.book.chosen(place);
        if before.len() >= MOST_DEVICES && !whole.faces.iter().any(|face| before.contains_key(&face.known.device.id)) {
            return Err(ShareError::NotThis(format!(
                "more than {MOST_DEVICES} devices are shown there; take some back"
            )));
        }
        let known = whole.faces.iter().map(|face| &face.known.device);
        let faces = known.map(|device| (device.id.clone(), device.via.clone())).collect();
        // By whichever of its faces it was chosen before.
        let ids = whole.faces.iter().map(|face| &face.known.device.id);
        let id = ids.clone().find(|id| before.contains_key(id)).unwrap_or(&whole.device.id);
        inner.book.set(place, id, Some(Granted { chosen, faces, secured })).map_err(ShareError::NotSaved)?;
        inner.chosen_anew();
        Ok(())
    }

    /// Shows it there no more. `false`: it was not.
    ///
    /// # Errors
    /// [`ShareError::NotSaved`].
    pub fn take_back(&self, place: &DeviceId, thing: &DeviceId) -> Result<bool, ShareError> {
        let chosen = self.inner.book.chosen(place);
        let faces = self.inner.registry.thing(thing).map(|thing| thing.faces).unwrap_or_default();
        let mut ids = faces.into_iter().map(|face| face.known.device.id.clone()).chain([thing.clone()]);
        let Some(id) = ids.find(|id| chosen.contains_key(id)) else { return Ok(false) };
        self.inner.book.set(place, &id, None).map_err(ShareError::NotSaved)?;
        self.inner.chosen_anew();
        Ok(true)
    }

    /// A device was unpaired: it is shown nowhere, and nothing is shown on it, nor known of it.
    ///
    /// # Errors
    /// When that is not on disk.
    pub fn forget_device(&self, device: &DeviceId) -> Result<(), ShareError> {
        if self.inner.book.forget(device).map_err(ShareError::NotSaved)? {
            self.inner.chosen_anew();
        }
        Ok(())
    }

    /// What the owner thinks of devices changed: a name, a block.
    pub fn look_again(&self) {
        self.inner.chosen_anew();
    }
}

impl Inner {
    fn chosen_anew(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn house(&self) -> Option<&Arc<dyn House>> {
        self.house.get()
    }

    fn can_show(&self, thing: &Thing, place: &DeviceId) -> Result<(), String> {
        let faces = || thing.faces.iter().map(|face| &face.known);
        if faces().any(|known| known.device.id == *place || known.device.via.as_ref() == Some(place)) {
            return Err("it comes from there".to_owned());
        }
        if faces().any(|known| self.elsewhere.contains(&known.bridge.as_str())) {
            return Err("Home Assistant has it already".to_owned());
        }
        if thing.device.passing {
            return Err("it is not added here".to_owned());
        }
        let services = outside::services(&thing.device, Chosen { control: true, opens: true });
        if services.is_empty() {
            return Err("it says nothing and can be told nothing that is shown elsewhere".to_owned());
        }
        if !outside::fits_in_a_message(&services) {
            return Err("what it says and can do is too much to be shown elsewhere".to_owned());
        }
        Ok(())
    }

    fn problems(&self) -> MutexGuard<'_, BTreeMap<DeviceId, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thing as far as it was chosen: with what its faces of then have. Faces that were joined later are shown to nobody.
    fn as_granted(&self, thing: &Thing, granted: &Granted) -> Device {
        let mut device = thing.device.clone();
        let is_granted = |id: &DeviceId| granted.faces.contains_key(id);
        if !thing.faces.iter().all(|face| is_granted(&face.known.device.id)) {
            let faces: Vec<&Device> =
                thing.faces.iter().map(|face| &face.known.device).filter(|face| is_granted(&face.id)).collect();
            let is_here = faces.iter().any(|face| face.reach != Reach::Offline);
            device.reach = if is_here { Reach::Local } else { Reach::Offline };
            let names: BTreeSet<&str> =
                faces.iter().flat_map(|face| &face.services).map(|one| one.id.as_str()).collect();
            let best = |name: &&str| self.way(thing, granted, name);
            let of = |(id, name): (DeviceId, &str)| {
                let face = faces.iter().find(|face| face.id == id);
                let all = face.into_iter().flat_map(|face| &face.services);
                all.filter(|one| one.id == name).cloned().collect::<Vec<_>>()
            };
            device.services = names.iter().filter_map(|name| Some((best(name)?, *name))).flat_map(of).collect();
        }
        outside::secure(&mut device, &granted.secured);
        device
    }

    /// By which of the faces that were chosen a service is told something.
    fn way(&self, thing: &Thing, granted: &Granted, service: &str) -> Option<DeviceId> {
        let ways = self.registry.ways(&thing.device.id, Job::Service(service));
        ways.into_iter().chain([thing.device.id.clone()]).find(|face| granted.faces.contains_key(face))
    }
}

/// A flow for each place, as long as it is there.
async fn supervise(inner: Weak<Inner>) {
    let mut tasks = JoinSet::new();
    let mut running: BTreeMap<DeviceId, AbortHandle> = BTreeMap::new();
    let Some(mut events) = inner.upgrade().map(|inner| inner.registry.events()) else { return };
    loop {
        {
            let Some(inner) = inner.upgrade() else { return };
            let known = inner.registry.devices().into_iter().filter(|one| one.device.service(SERVICE).is_some());
            let places: Vec<DeviceId> = known.map(|one| one.device.id.clone()).collect();
            running.retain(|place, task| {
                let stays = places.contains(place) && !task.is_finished();
                if !stays {
                    task.abort();
                }
                stays
            });
            for place in places {
                running
                    .entry(place.clone())
                    .or_insert_with(|| tasks.spawn(flow::keep_told(Arc::downgrade(&inner), place)));
            }
        }
        // Until a place comes or goes.
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => break,
            };
            match event {
                Ok(RegistryEvent::Seen(known))
                    if known.device.service(SERVICE).is_some() && !running.contains_key(&known.device.id) =>
                {
                    break;
                }
                Ok(RegistryEvent::Gone(id)) if running.contains_key(&id) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// What everything that is shown reveals.
pub(crate) fn always() -> FieldSet {
    FieldSet::from_iter([FieldCode::HomeDeviceName, FieldCode::HomeDeviceState, FieldCode::ServiceIdDerived])
}
