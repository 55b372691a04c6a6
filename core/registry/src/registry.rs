//! The registry: devices by id, and the bridge that speaks for each.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use accord_consent::SendError;
use accord_model::why::Explained;
use accord_model::{
    CallError, CallId, Device, DeviceId, Inputs, Outputs, Service, StreamId, Target, Timestamp, ToBridge, Value, Verb,
    Write, WriteState,
};
use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc};

use crate::ask::Answer;
use crate::bridge::{Bridge, BridgeSide, ByteStream};
use crate::memory::Memory;
use crate::parts::Parts;
use crate::pending::Pending;
use crate::thing::Things;
use crate::turns::Turns;

/// Messages that may wait in one direction between the core and one bridge.
const QUEUE: usize = 256;
/// Who speaks for this machine.
pub(crate) const OWN: &str = "own";

/// Answers for one of this machine's own services.
#[async_trait]
pub trait ServiceHandler: Send + Sync + 'static {
    /// A device asks something.
    async fn asked(&self, from: DeviceId, target: Target, verb: Verb) -> Result<Answer, CallError>;
    /// A device opens a byte stream.
    async fn stream(&self, from: DeviceId, target: Target, inputs: Inputs, stream: ByteStream);
    /// Whether what one device asks is to be worked on one by one, in the order in which it asked. Otherwise all at once.
    fn in_order(&self) -> bool {
        false
    }
}

/// A device and who speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The device as the bridge describes it.
    pub device: Device,
    /// The bridge's name; `own` for this machine.
    pub bridge: String,
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistryEvent {
    /// A device is new or described differently.
    Seen(Arc<Known>),
    /// A device is no more.
    Gone(DeviceId),
    /// Values changed.
    Values(DeviceId, Target, BTreeMap<String, Value>),
    /// Something happened at a device.
    Event(DeviceId, Target, String, Outputs),
    /// Faces were joined to things or split: which things there are no longer, and which are others than before.
    Things {
        /// Ids that are no thing's any more.
        gone: Vec<DeviceId>,
        /// Things with other faces, or with others that may belong to them.
        changed: Vec<DeviceId>,
    },
    /// A bridge failed; what happened and what to do.
    Failed(String, String),
}

pub(crate) type Door = mpsc::Sender<(ToBridge, Option<ByteStream>)>;

/// Shared with whoever asked for one, and copied when it changes meanwhile.
pub(crate) type Devices = BTreeMap<DeviceId, Arc<Known>>;

pub(crate) type WriteKey = (DeviceId, Target, String);

pub(crate) struct Inner {
    /// Taken before `devices`.
    pub(crate) parts: Mutex<Parts>,
    /// How they belong together. Taken before `devices`.
    pub(crate) things: RwLock<Things>,
    pub(crate) devices: RwLock<Devices>,
    pub(crate) bridges: RwLock<HashMap<String, Door>>,
    pub(crate) handlers: RwLock<HashMap<String, Arc<dyn ServiceHandler>>>,
    pub(crate) writes: RwLock<HashMap<WriteKey, Write>>,
    /// Taken after `devices`.
    pub(crate) memory: OnceLock<Memory>,
    pub(crate) calls: Pending<CallId, Result<Outputs, CallError>>,
    pub(crate) streams: Pending<StreamId, Result<ByteStream, CallError>>,
    pub(crate) explanations: Pending<CallId, Explained>,
    pub(crate) next: AtomicU64,
    pub(crate) events: broadcast::Sender<RegistryEvent>,
}

/// Which devices are here now and who speaks for them. Cheap to clone.
#[derive(Clone)]
pub struct Registry(pub(crate) Arc<Inner>);

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// A registry that is not kept alive by this, for what the registry itself keeps, such as a service's handler.
#[derive(Clone)]
pub struct WeakRegistry(Weak<Inner>);

impl WeakRegistry {
    /// The registry, while it is there.
    pub fn upgrade(&self) -> Option<Registry> {
        self.0.upgrade().map(Registry)
    }
}

impl Registry {
    /// The same without keeping it alive.
    pub fn downgrade(&self) -> WeakRegistry {
        WeakRegistry(Arc::downgrade(&self.0))
    }

    /// An empty registry.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            parts: Mutex::default(),
            things: RwLock::default(),
            devices: RwLock::default(),
            bridges: RwLock::default(),
            handlers: RwLock::default(),
            writes: RwLock::default(),
            memory: OnceLock::new(),
            calls: Pending::new(),
            streams: Pending::new(),
            explanations: Pending::new(),
            next: AtomicU64::new(1),
            events: broadcast::channel(1024).0,
        }))
    }

    /// Every device known now, ordered by id, as it is at this moment.
    pub fn devices(&self) -> Vec<Arc<Known>> {
        read(&self.0.devices).values().cloned().collect()
    }

    /// One device, as it is at this moment.
    pub fn device(&self, id: &DeviceId) -> Option<Arc<Known>> {
        read(&self.0.devices).get(id).cloned()
    }

    /// Follows what changes. A slow follower misses the oldest and is told so.
    pub fn events(&self) -> broadcast::Receiver<RegistryEvent> {
        self.0.events.subscribe()
    }

    /// Describes this machine itself. What features [offer](Registry::offer) stays. Bridges are told of a new name or kind.
    pub fn set_own(&self, device: Device) {
        let before = self.device(&device.id).map(|known| (known.device.name.clone(), known.device.kind));
        let now = (device.name.clone(), device.kind);
        let mut parts = self.0.parts();
        let own = parts.set_own(device);
        self.0.keep(OWN, own);
        drop(parts);
        if before.is_some_and(|before| before != now) {
            for (bridge, door) in read(&self.0.bridges).iter() {
                let (name, kind) = now.clone();
                if door.try_send((ToBridge::Own { name, kind }, None)).is_err() {
                    tracing::warn!(bridge, "a bridge has too much to do to learn this machine's new name");
                }
            }
        }
    }

    /// Sets all instances of one service of this machine, with their values; none takes the service away.
    pub fn offer(&self, service: &str, instances: Vec<Service>) {
        let mut parts = self.0.parts();
        if let Some(own) = parts.offer(service, instances) {
            self.0.keep(OWN, own);
        }
    }

    /// A device shows a service of its own beside what its bridge says. False when the device is not known, when its
    /// bridge speaks of that service itself, or when it shows too much.
    pub fn show(&self, device: &DeviceId, service: Service) -> bool {
        self.0.change_shown(device, |parts, device| parts.show(device, service)).unwrap_or(false)
    }

    /// A device no longer shows these services.
    pub fn unshow(&self, device: &DeviceId, gone: impl Fn(&Service) -> bool) {
        self.0.change_shown(device, |parts, device| parts.unshow(device, gone));
    }

    /// Answers for one of this machine's own services from now on.
    pub fn serve(&self, service: &str, handler: Arc<dyn ServiceHandler>) {
        write(&self.0.handlers).insert(service.to_owned(), handler);
    }

    /// Starts a bridge. Its task ends with [`Registry::stop`] or when the last registry is dropped.
    pub fn add_bridge(&self, mut bridge: Box<dyn Bridge>) -> tokio::task::JoinHandle<()> {
        let name = bridge.name().to_owned();
        self.0.recall(&mut *bridge);
        let (door, inbox) = mpsc::channel(QUEUE);
        let (outbox, mut from) = mpsc::channel(QUEUE);
        write(&self.0.bridges).insert(name.clone(), door.clone());
        let weak = Arc::downgrade(&self.0);
        let turns = Arc::new(Turns::default());
        tokio::spawn(async move {
            let mut run = tokio::spawn(bridge.run(BridgeSide { inbox, outbox }));
            let mut ended = None;
            loop {
                tokio::select! {
                    biased;
                    message = from.recv() => {
                        let (Some((message, stream)), Some(inner)) = (message, weak.upgrade()) else { break };
                        inner.handle(&name, &door, &turns, message, stream);
                    }
                    // What the bridge left behind may hold its end of the queue.
                    outcome = &mut run => {
                        ended = Some(outcome);
                        break;
                    }
                }
            }
            drop(door);
            let outcome = match ended {
                Some(outcome) => outcome,
                None => run.await,
            };
            tracing::debug!(bridge = name, "closed");
            let failure = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(message)) => Some(message),
                Err(panic) => Some(format!("the bridge stopped unexpectedly: {panic}")),
            };
            if let Some(inner) = weak.upgrade() {
                inner.bridge_ended(&name, failure);
            }
        })
    }

    /// Whether somebody speaks for a device now: its bridge runs.
    pub fn is_spoken_for(&self, device: &DeviceId) -> bool {
        self.device(device).is_some_and(|known| read(&self.0.bridges).contains_key(&known.bridge))
    }

    /// Tells every bridge to stop.
    pub async fn stop(&self) {
        let doors: Vec<Door> = write(&self.0.bridges).drain().map(|(_, door)| door).collect();
        for door in doors {
            let _ = tokio::time::timeout(Duration::from_secs(2), door.send((ToBridge::Stop, None))).await;
        }
    }

    /// Asks one of this machine's own services, as its owner does. Nothing leaves the machine.
    ///
    /// # Errors
    /// What the service answers; [`CallError::Unsupported`] when nobody serves it.
    pub async fn ask_own(&self, target: Target, verb: Verb, deadline: Duration) -> Result<(), CallError> {
        let unsupported = || CallError::Unsupported(accord_model::text::for_screen(&target.service, 60));
        let own = self.0.parts().own_id().cloned().ok_or_else(unsupported)?;
        let handler = self.0.handler(&target.service).ok_or_else(unsupported)?;
        match tokio::time::timeout(deadline, handler.asked(own, target, verb)).await {
            Ok(outcome) => outcome.map(drop),
            Err(_) => Err(CallError::Deadline(deadline.as_secs())),
        }
    }

    /// What became of the last write to a property.
    pub fn write_state(&self, device: &DeviceId, target: &Target, property: &str) -> Option<WriteState> {
        let key = (device.clone(), target.clone(), property.to_owned());
        read(&self.0.writes).get(&key).map(|write| write.state(Timestamp::now()))
    }
}

pub(crate) fn not_let_out(error: SendError) -> CallError {
    CallError::NotConsented(error.to_string())
}

pub(crate) fn gone() -> CallError {
    CallError::Unreachable("its bridge is not running".into())
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
