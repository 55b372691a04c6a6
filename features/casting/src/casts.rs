//! The casts that run: one for each device at most.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::{Network, list};
use accord_consent::outlet::serve as listen;
use accord_consent::{BoundGate, Envelope, Personal, RecipientId, Refusal};
use accord_model::{
    CallError, Data, Device, DeviceId, EntryKey, FieldCode, FieldSet, IdError, Reach, Target, Timestamp,
};
use accord_registry::{Ask, Port, Registry};
use tokio_util::sync::CancellationToken;

use crate::item::Item;
use crate::prepare::{Formats, Options, Receiver};
use crate::serve::{Stand, Thing, accept};

/// How long a cast may last, and a device may take to be told.
const LASTS: Duration = Duration::from_secs(12 * 3600);
const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// How often one looks what the device does.
const LOOK: Duration = Duration::from_millis(500);
/// How long a device may do nothing until the cast counts as over: it ended, was stopped there, or never began.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// Over ones that are still listed.
const REMEMBERED: usize = 16;
/// What the device shows: never the file's name.
const TITLE: &str = "Accord";

/// How far it came, by evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The device was told, and said yes.
    Commanded,
    /// It really fetched something of the file.
    Fetched,
    /// Its position advances.
    Moving,
    /// It is over, and why.
    Over(String),
}

/// One cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// Tells it from others of this run.
    pub id: String,
    /// Where.
    pub device: DeviceId,
    /// The file's name; known here alone.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// A picture, of which nothing moves.
    pub picture: bool,
    /// Bytes that the device fetched, parts that it fetched twice counted twice.
    pub fetched: u64,
    /// How far it came.
    pub step: Step,
    /// When it began.
    pub since: Timestamp,
}

/// Why nothing is cast.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// Not a device that plays what is at an address.
    #[error("{0}")]
    NoRenderer(String),
    /// The file cannot be cast.
    #[error("this file cannot be cast: {0}")]
    File(String),
    /// This machine is in no network with the device.
    #[error("this machine and the device share no network, so that it could not fetch anything")]
    NoWay,
    /// The owner has not agreed.
    #[error(transparent)]
    NotConsented(#[from] Refusal),
    /// Nothing could be served.
    #[error("the file cannot be served: {0}")]
    Serve(String),
    /// The device did not take it.
    #[error(transparent)]
    Told(#[from] CallError),
    /// There is no such cast.
    #[error("no such cast is running")]
    NoCast,
}

/// Casts files. Cheap to clone.
#[derive(Clone)]
pub struct Casting(Arc<Inner>);

struct Inner {
    gate: BoundGate,
    registry: Registry,
    entry: EntryKey,
    port: Port,
    network: Network,
    formats: Formats,
    casts: Mutex<BTreeMap<u64, Running>>,
    next: AtomicU64,
}

struct Running {
    cast: Cast,
    thing: Option<Arc<Thing>>,
    stop: CancellationToken,
}

impl Casting {
    /// Under the entries of `casting`, which `gate` is bound to.
    ///
    /// # Errors
    /// Never in a build whose entry has a well-formed name.
    pub fn new(gate: BoundGate, registry: Registry, network: Network) -> Result<Self, IdError> {
        let entry = EntryKey::new("casting/serve")?;
        let port = registry.port(&gate, EntryKey::new("casting/command")?, "on.control");
        let (casts, next) = (Mutex::default(), AtomicU64::new(1));
        let formats = Formats::default();
        Ok(Self(Arc::new(Inner { gate, registry, entry, port, network, formats, casts, next })))
    }

    /// Serves a file to a device and tells it to play that. What was cast to it before ends. The device has said yes once
    /// this returns; what it does then, the list tells.
    ///
    /// # Errors
    /// [`CastError`]; then nothing is served.
    pub async fn cast(&self, device: &DeviceId, path: PathBuf) -> Result<Cast, CastError> {
        let inner = &self.0;
        let (target, address, receiver) = inner.renderer(device)?;
        let opened = tokio::task::spawn_blocking(move || Item::open(&path)).await;
        let item = opened.map_err(|error| CastError::File(error.to_string()))?.map_err(CastError::File)?;
        let prepared = inner.formats.prepare(&item, &receiver, &Options::default()).await.map_err(CastError::File)?;
        let near = list(inner.network).await;
        let here = near.iter().filter(|interface| interface.is_on_link(address)).find_map(|one| one.v4.first());
        let (here, _) = here.ok_or(CastError::NoWay)?;

        let permit = inner.gate.permit(&inner.entry, &RecipientId::device(device), served(), "on.send")?;
        let served = listen(permit, SocketAddr::new((*here).into(), 0), address, LASTS).await;
        let served = served.map_err(|error| CastError::Serve(error.to_string()))?;
        let stand = Stand::new(served).map_err(|error| CastError::Serve(error.to_string()))?;
        let thing = stand.put(prepared);
        let (name, size, picture) = (item.name(), item.size(), item.is_picture());
        let url = thing.address();
        let stop = CancellationToken::new();
        self.stop_device(device, None);
        // Whoever asked may go away before the device has answered.
        let guard = stop.clone().drop_guard();
        tokio::spawn(accept(stand, stop.clone()));

        let sealed = |text: String| Personal::new(FieldCode::MediaNowPlaying, Data::Text(text));
        let message = Envelope::new()
            .beside(FieldCode::CommandName)
            .data("address", &sealed(url))
            .data("title", &sealed(TITLE.to_owned()));

        let told = inner.port.call(device, target, Ask::act("open"), message, TOLD_WITHIN).await;
        told?;
        guard.disarm();
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let (id, step, since) = (number.to_string(), Step::Commanded, Timestamp::now());
        let cast = Cast { id, device: device.clone(), name, size, picture, fetched: 0, step, since };
        let running = Running { cast: cast.clone(), thing: Some(thing), stop };
        inner.lock().insert(number, running);
        self.stop_device(device, Some(number));
        inner.forget_old();
        tokio::spawn(watch(inner.clone(), number));
        Ok(inner.view(number).unwrap_or(cast))
    }

    /// What casting to a device takes: entries, and what leaves under each.
    pub fn needs() -> [(&'static str, FieldSet); 2] {
        let told = FieldSet::from_iter([FieldCode::CommandName, FieldCode::MediaNowPlaying]);
        [("casting/serve", served()), ("casting/command", told)]
    }

    /// All that run, and those that ended lately, newest first.
    pub fn list(&self) -> Vec<Cast> {
        let mut casts: Vec<Cast> = self.0.lock().values().map(Running::view).collect();
        casts.reverse();
        casts
    }

    /// Ends a cast: the device is told to stop, and nothing is served any more.
    ///
    /// # Errors
    /// [`CastError::NoCast`].
    pub async fn stop(&self, id: &str) -> Result<(), CastError> {
        let number: u64 = id.parse().map_err(|_| CastError::NoCast)?;
        let device = {
            let casts = self.0.lock();
            let running = casts.get(&number).filter(|running| running.thing.is_some()).ok_or(CastError::NoCast)?;
            running.cast.device.clone()
        };
        let message = Envelope::new().beside(FieldCode::CommandName);
        if let Ok((target, ..)) = self.0.renderer(&device) {
            let told = self.0.port.call(&device, target, Ask::act("stop"), message, TOLD_WITHIN).await;
            if let Err(error) = told {
                tracing::info!(%device, %error, "the device was not told to stop; nothing is served to it any more");
            }
        }
        self.0.end(number, "you stopped it");
        Ok(())
    }

    /// Ends all, without telling the devices.
    pub fn close(&self) {
        let numbers: Vec<u64> = self.0.lock().keys().copied().collect();
        numbers.into_iter().for_each(|number| self.0.end(number, "this hub ended"));
    }

    /// Ends what is cast there, but for this one.
    fn stop_device(&self, device: &DeviceId, but: Option<u64>) {
        let of_device = |(number, running): &(&u64, &Running)| running.cast.device == *device && Some(**number) != but;
        let numbers: Vec<u64> = self.0.lock().iter().filter(of_device).map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.0.end(number, "something else was cast there"));
    }
}

impl Running {
    fn view(&self) -> Cast {
        let fetched = self.thing.as_ref().map_or(self.cast.fetched, |thing| thing.fetched());
        Cast { fetched, ..self.cast.clone() }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        self.casts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self, number: u64) -> Option<Cast> {
        self.lock().get(&number).map(Running::view)
    }

    /// The service that plays what is at an address, and from where the device will fetch it.
    fn renderer(&self, device: &DeviceId) -> Result<(Target, IpAddr, Receiver), CastError> {
        let no = |why: &str| CastError::NoRenderer(why.to_owned());
        let known = self.registry.device(device).ok_or_else(|| no("no such device is known here"))?;
        let plays = known.device.services.iter().find(|service| service.actions.iter().any(|one| one.id == "open"));
        let service = plays.ok_or_else(|| no("this device does not play what is at an address"))?;
        if known.device.reach == Reach::Offline {
            return Err(no("the device is away; is it switched on?"));
        }
        let address = service.values.get("address").and_then(|value| value.data.as_text());
        let address = address.and_then(|text| text.parse().ok());
        let address = address.ok_or_else(|| no("it is not known from where this device would fetch the file"))?;
        let receiver = Receiver::of(&known.device);
        Ok((Target { service: service.id.clone(), instance: service.instance }, address, receiver))
    }

    /// Nothing is served any more, and no permit is held.
    fn end(&self, number: u64, why: &str) {
        let mut casts = self.lock();
        let Some(running) = casts.get_mut(&number).filter(|running| running.thing.is_some()) else { return };
        running.stop.cancel();
        running.cast = Cast { step: Step::Over(why.to_owned()), ..running.view() };
        running.thing = None;
    }

    fn forget_old(&self) {
        let mut casts = self.lock();
        let over: Vec<u64> = casts.iter().filter(|(_, one)| one.thing.is_none()).map(|(number, _)| *number).collect();
        for number in over.iter().take(over.len().saturating_sub(REMEMBERED)) {
            casts.remove(number);
        }
    }
}

/// Everything that a device is sent of a file.
fn served() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::FileMeta, FieldCode::FileContent])
}

/// Looks how it goes, until it is over.
async fn watch(inner: Arc<Inner>, number: u64) {
    let mut idle_since = Instant::now();
    let mut fetched = 0;
    loop {
        let Some((device, stop)) = inner.lock().get(&number).map(|one| (one.cast.device.clone(), one.stop.clone()))
        else {
            return;
        };
        tokio::select! {
            biased;
            // By its time, or because the owner took the consent back.
            () = stop.cancelled() => return inner.end(number, "its time is over, or you withdrew your consent"),
            () = tokio::time::sleep(LOOK) => {}
        }
        let known = inner.registry.device(&device).map(|known| known.device);
        let (playing, moving) =
            known.as_ref().map_or((false, false), |device| (says(device, "playing"), says(device, "moving")));
        let mut casts = inner.lock();
        let Some(running) = casts.get_mut(&number) else { return };
        let Some(thing) = running.thing.clone() else { return };
        let now = thing.fetched();
        if running.cast.step == Step::Commanded && now > 0 {
            running.cast.step = Step::Fetched;
        }
        // That it moves counts once it has something of ours: before, it may be what played there until now.
        if running.cast.step == Step::Fetched && moving {
            running.cast.step = Step::Moving;
        }
        let paused = running.cast.step == Step::Moving && thing.open() > 0;
        if now != fetched || (playing && now > 0) || paused {
            (fetched, idle_since) = (now, Instant::now());
        }
        if idle_since.elapsed() < IDLE_FOR {
            continue;
        }
        let why = match running.cast.step {
            Step::Commanded => {
                "the device said yes and never fetched the file: a firewall, or a format that it does not play"
            }
            Step::Fetched if running.cast.picture => {
                "the picture was fetched, and is shown as long as the device likes"
            }
            Step::Fetched => "the device fetched the file and its position never moved: it cannot play this format",
            _ => "the device stopped",
        };
        drop(casts);
        return inner.end(number, why);
    }
}

fn says(device: &Device, property: &str) -> bool {
    let services = device.services.iter().filter(|service| service.actions.iter().any(|one| one.id == "open"));
    services.filter_map(|service| service.values.get(property)).any(|value| value.data == Data::Bool(true))
}
