//! The registry: devices by id, the bridge that speaks for each, and the routing between.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use accord_consent::{Outgoing, RecipientId, SendError};
use accord_model::why::{Explained, MAX_FACTS};
use accord_model::{
    CallError, CallId, Device, DeviceId, FromBridge, Inputs, Outputs, Reach, Service, StreamClass, StreamId, Target,
    Timestamp, ToBridge, Value, Verb, Write, WriteState,
};
use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc};

use crate::ask::{Answer, Ask, PairStep};
use crate::bridge::{Bridge, BridgeSide, ByteStream};
use crate::parts::Parts;
use crate::pending::Pending;
use crate::turns::{Place, Turn, Turns};

/// Messages that may wait in one direction between the core and one bridge.
const QUEUE: usize = 256;
/// Devices one bridge may show; a flood beyond that is dropped.
const DEVICES_PER_BRIDGE: usize = 4096;
/// Who speaks for this machine.
const OWN: &str = "own";
/// Devices one bridge may show that are merely passing; a flood of them takes no place from the others.
const PASSING_PER_BRIDGE: usize = 1024;
/// How long a stream may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// What a bridge may take to answer beyond the time that it was given.
const EXPLAIN_MORE: Duration = Duration::from_secs(2);

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
    Seen(Known),
    /// A device is no more.
    Gone(DeviceId),
    /// Values changed.
    Values(DeviceId, Target, BTreeMap<String, Value>),
    /// Something happened at a device.
    Event(DeviceId, Target, String, Outputs),
    /// A bridge failed; what happened and what to do.
    Failed(String, String),
}

type Door = mpsc::Sender<(ToBridge, Option<ByteStream>)>;

/// A question on its way. Dropped before the answer came, it tells the bridge that nobody waits any more.
struct OpenCall<'a> {
    calls: &'a Pending<CallId, Result<Outputs, CallError>>,
    door: &'a Door,
    call: CallId,
    answered: bool,
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.calls.forget(self.call);
            let _ = self.door.try_send((ToBridge::Cancel { call: self.call }, None));
        }
    }
}
type WriteKey = (DeviceId, Target, String);

pub(crate) struct Inner {
    /// Taken before `devices`.
    parts: Mutex<Parts>,
    devices: RwLock<BTreeMap<DeviceId, Known>>,
    bridges: RwLock<HashMap<String, Door>>,
    handlers: RwLock<HashMap<String, Arc<dyn ServiceHandler>>>,
    writes: RwLock<HashMap<WriteKey, Write>>,
    calls: Pending<CallId, Result<Outputs, CallError>>,
    streams: Pending<StreamId, Result<ByteStream, CallError>>,
    explanations: Pending<CallId, Explained>,
    next: AtomicU64,
    events: broadcast::Sender<RegistryEvent>,
}

/// Which devices are here now and who speaks for them. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

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
            devices: RwLock::default(),
            bridges: RwLock::default(),
            handlers: RwLock::default(),
            writes: RwLock::default(),
            calls: Pending::new(),
            streams: Pending::new(),
            explanations: Pending::new(),
            next: AtomicU64::new(1),
            events: broadcast::channel(1024).0,
        }))
    }

    /// Every device known now, ordered by id.
    pub fn devices(&self) -> Vec<Known> {
        read(&self.0.devices).values().cloned().collect()
    }

    /// One device.
    pub fn device(&self, id: &DeviceId) -> Option<Known> {
        read(&self.0.devices).get(id).cloned()
    }

    /// Follows what changes. A slow follower misses the oldest and is told so.
    pub fn events(&self) -> broadcast::Receiver<RegistryEvent> {
        self.0.events.subscribe()
    }

    /// Describes this machine itself. What features [offer](Registry::offer) stays. Bridges are told of a new name or kind.
    pub fn set_own(&self, device: Device) {
        let before = self.device(&device.id).map(|known| (known.device.name, known.device.kind));
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
    pub fn add_bridge(&self, bridge: Box<dyn Bridge>) -> tokio::task::JoinHandle<()> {
        let name = bridge.name().to_owned();
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

    /// Tells every bridge to stop.
    pub async fn stop(&self) {
        let doors: Vec<Door> = write(&self.0.bridges).drain().map(|(_, door)| door).collect();
        for door in doors {
            let _ = tokio::time::timeout(Duration::from_secs(2), door.send((ToBridge::Stop, None))).await;
        }
    }

    /// Asks a device for something, and closes the record of what was said: what the bridge could not pass on was not
    /// sent. A write is pending until the device reports it: see [`Registry::write_state`]. When the consent ends, so does
    /// the question: its bridge is told that nobody waits any more.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] when nobody speaks for the device, [`CallError::Deadline`] when no answer
    /// came in time, [`CallError::NotConsented`] when the consent ended meanwhile, or what the device answered.
    pub async fn call(
        &self,
        device: &DeviceId,
        target: Target,
        ask: Ask,
        message: Outgoing,
        deadline: Duration,
    ) -> Result<Outputs, CallError> {
        let stopped = message.cancelled();
        let outcome = tokio::select! {
            biased;
            outcome = self.pass_on(device, target, ask, &message, deadline) => outcome,
            () = stopped.cancelled() => {
                // What was asked has left; its answer is not waited for.
                message.handed_on().await.map_err(not_let_out)?;
                return Err(CallError::NotConsented("the consent ended".into()));
            }
        };
        let recorded = match &outcome {
            Err(
                error @ (CallError::Unreachable(_)
                | CallError::Unsupported(_)
                | CallError::NotConsented(_)
                | CallError::BadInput(_)),
            ) => {
                message.fail(error).await;
                Ok(())
            }
            _ => message.handed_on().await.map(drop),
        };
        recorded.map_err(not_let_out)?;
        outcome
    }

    async fn pass_on(
        &self,
        device: &DeviceId,
        target: Target,
        ask: Ask,
        message: &Outgoing,
        deadline: Duration,
    ) -> Result<Outputs, CallError> {
        if *message.recipient() != RecipientId::device(device) {
            return Err(CallError::BadInput("the message is for another device".into()));
        }
        let verb = ask.with(message.inputs().map_err(not_let_out)?)?;
        let written = match &verb {
            Verb::Write { property, data } => {
                let key = (device.clone(), target.clone(), property.clone());
                write(&self.0.writes).insert(key.clone(), Write::new(data.clone(), Timestamp::now()));
                Some(key)
            }
            _ => None,
        };
        let outcome = self.command(device, target, verb, deadline).await;
        if let (Err(_), Some(key)) = (&outcome, written) {
            write(&self.0.writes).remove(&key);
        }
        outcome
    }

    /// Tells the bridge of a device that is no hub what the owner decided about pairing with it.
    ///
    /// # Errors
    /// As [`Registry::call`].
    pub async fn pair(&self, device: &DeviceId, step: PairStep, deadline: Duration) -> Result<(), CallError> {
        let verb = Verb::Act { action: step.action().to_owned(), inputs: Inputs::new() };
        self.command(device, Target::new("pairing"), verb, deadline).await.map(drop)
    }

    async fn command(
        &self,
        device: &DeviceId,
        target: Target,
        verb: Verb,
        deadline: Duration,
    ) -> Result<Outputs, CallError> {
        let (bridge, door) = self.door(device)?;
        let call = CallId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let answer = self.0.calls.wait_for(call, &bridge);
        let mut open = OpenCall { calls: &self.0.calls, door: &door, call, answered: false };
        let asked = async {
            let message = ToBridge::Call { call, device: device.clone(), target, verb };
            door.send((message, None)).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        match tokio::time::timeout(deadline, asked).await {
            Ok(outcome) => {
                open.answered = true;
                outcome
            }
            Err(_) => Err(CallError::Deadline(deadline.as_secs())),
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

    /// Opens a byte stream to a service of a device.
    ///
    /// # Errors
    /// As [`Registry::call`].
    pub async fn open_stream(
        &self,
        device: &DeviceId,
        target: Target,
        inputs: Inputs,
        class: StreamClass,
    ) -> Result<ByteStream, CallError> {
        let (bridge, door) = self.door(device)?;
        let stream = StreamId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let ready = self.0.streams.wait_for(stream, &bridge);
        let opened = async {
            let message = ToBridge::OpenStream { stream, device: device.clone(), target, inputs, class };
            door.send((message, None)).await.map_err(|_| gone())?;
            ready.await.map_err(|_| gone())?
        };
        match tokio::time::timeout(OPEN_WITHIN, opened).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.0.streams.forget(stream);
                Err(CallError::Deadline(OPEN_WITHIN.as_secs()))
            }
        }
    }

    /// Asks a bridge what it knows about why a device is or is not reached, or how it stands itself. A device that is not
    /// connected is asked once for that, as far as the owner agreed.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] when the bridge does not run, [`CallError::Deadline`] when it says nothing in time.
    pub async fn explain(
        &self,
        bridge: &str,
        device: Option<&DeviceId>,
        within: Duration,
    ) -> Result<Explained, CallError> {
        let door = read(&self.0.bridges).get(bridge).cloned().ok_or_else(gone)?;
        let call = CallId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let answer = self.0.explanations.wait_for(call, bridge);
        let asked = async {
            let message = ToBridge::Explain { call, device: device.cloned(), within: within.as_secs() };
            door.send((message, None)).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())
        };
        // The bridge has all of that time, and a moment to say so.
        let outcome = tokio::time::timeout(within + EXPLAIN_MORE, asked).await;
        outcome.unwrap_or_else(|_| {
            self.0.explanations.forget(call);
            Err(CallError::Deadline(within.as_secs()))
        })
    }

    fn door(&self, device: &DeviceId) -> Result<(String, Door), CallError> {
        let known =
            self.device(device).ok_or_else(|| CallError::Unreachable(format!("no device {device} is known here")))?;
        let door = read(&self.0.bridges).get(&known.bridge).cloned().ok_or_else(gone)?;
        Ok((known.bridge, door))
    }
}

impl Inner {
    fn handle(
        self: &Arc<Self>,
        bridge: &str,
        door: &Door,
        turns: &Arc<Turns>,
        message: FromBridge,
        stream: Option<ByteStream>,
    ) {
        match message {
            FromBridge::Seen { device } => self.see(bridge, device),
            FromBridge::Reach { device, reach } => {
                self.change(bridge, &device, |known| known.reach = reach);
            }
            FromBridge::Gone { device } => {
                if self.speaks_for(bridge, &device) {
                    self.parts().forget(&device);
                    write(&self.devices).remove(&device);
                    let _ = self.events.send(RegistryEvent::Gone(device));
                }
            }
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
    }

    fn handler(&self, service: &str) -> Option<Arc<dyn ServiceHandler>> {
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
            answer(&door, call, &device, outcome).await;
        });
    }

    fn speaks_for(&self, bridge: &str, device: &DeviceId) -> bool {
        read(&self.devices).get(device).is_some_and(|known| known.bridge == bridge)
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, bridge: &str, device: Device) {
        let mut parts = self.parts();
        let whole = parts.whole(device);
        self.keep(bridge, whole);
    }

    fn keep(&self, bridge: &str, device: Device) {
        let mut devices = write(&self.devices);
        match devices.get(&device.id) {
            Some(known) if known.bridge != bridge => {
                tracing::warn!(bridge, device = %device.id, "a bridge spoke for another bridge's device; dropped");
                return;
            }
            Some(known) if known.device == device => return,
            Some(_) => {}
            None => {}
        }
        let alike = |known: &&Known| known.bridge == bridge && known.device.passing == device.passing;
        let most = if device.passing { PASSING_PER_BRIDGE } else { DEVICES_PER_BRIDGE };
        // One that is paired now was passing before: it changes places.
        let stays = devices.get(&device.id).is_some_and(|known| known.device.passing == device.passing);
        if !stays && devices.values().filter(alike).count() >= most {
            tracing::warn!(bridge, passing = device.passing, "too many devices; the newest is dropped");
            return;
        }
        let known = Known { device, bridge: bridge.to_owned() };
        devices.insert(known.device.id.clone(), known.clone());
        drop(devices);
        let _ = self.events.send(RegistryEvent::Seen(known));
    }

    fn change(&self, bridge: &str, id: &DeviceId, change: impl FnOnce(&mut Device)) {
        let mut devices = write(&self.devices);
        let Some(known) = devices.get_mut(id).filter(|known| known.bridge == bridge) else { return };
        change(&mut known.device);
        let known = known.clone();
        drop(devices);
        let _ = self.events.send(RegistryEvent::Seen(known));
    }

    fn change_shown<R>(&self, id: &DeviceId, change: impl FnOnce(&mut Parts, &mut Device) -> R) -> Option<R> {
        let mut parts = self.parts();
        let mut devices = write(&self.devices);
        let known = devices.get_mut(id).filter(|known| known.bridge != OWN)?;
        let before = known.device.services.clone();
        let outcome = change(&mut parts, &mut known.device);
        if known.device.services != before {
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
                if let Some(write) = writes.get_mut(&(id.clone(), target.clone(), property.clone())) {
                    write.report(&value.data);
                }
            }
        }
        if let Some(known) = write(&self.devices).get_mut(&id) {
            let of_target = |service: &&mut accord_model::Service| {
                service.id == target.service && service.instance == target.instance
            };
            if let Some(service) = known.device.services.iter_mut().find(of_target) {
                service.values.extend(values.clone());
            }
        }
        let _ = self.events.send(RegistryEvent::Values(id, target, values));
    }

    fn bridge_ended(&self, bridge: &str, failure: Option<String>) {
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
async fn answer(door: &Door, call: CallId, device: &DeviceId, outcome: Result<Answer, CallError>) {
    let (outcome, message) = match outcome {
        Err(error) => (Err(error), None),
        Ok(Answer::Done) => (Ok(Outputs::new()), None),
        Ok(Answer::Sealed(message)) if *message.recipient() != RecipientId::device(device) => {
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

fn not_let_out(error: SendError) -> CallError {
    CallError::NotConsented(error.to_string())
}

fn gone() -> CallError {
    CallError::Unreachable("its bridge is not running".into())
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
