//! The feature: does what devices ask that may, lets go of what they held when they are away, says who does it now; and
//! tells other devices what the owner types and points for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use accord_consent::BoundGate;
use accord_model::{CallError, DeviceId, EntryKey, FieldSet, IdError, Inputs, Reach, Target, Timestamp, Verb};
use accord_ports::remote::{Grants, Remote};
use accord_ports::tasks::Tasks;
use accord_registry::{Answer, Ask, ByteStream, Port, Registry, RegistryEvent, ServiceHandler};
use async_trait::async_trait;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};

use crate::desk::{self, Desk, DeskError};
use crate::pace::Pace;
use crate::stroke::{Button, Stroke};

const SERVICE: &str = "input";
/// How long one stroke may take: a long text, typed into a slow desktop.
const WITHIN: Duration = Duration::from_secs(20);
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// A device that does nothing for so long does not use it any more.
const IDLE: Duration = Duration::from_secs(10);
/// A button is let go when its device does nothing for so long.
const HELD: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_secs(1);
const EVENTS: usize = 64;

/// Where strokes go.
pub enum Place {
    /// To this session's desktop, as soon as somebody may use it.
    Session,
    /// Here. For tests.
    Given(Box<dyn Desk>),
}

/// A device began to move the pointer or to type here, or stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Which device.
    pub device: DeviceId,
    /// It began.
    pub began: bool,
}

/// This desktop's pointer and keys for devices, and theirs for this one. Cheap to clone.
#[derive(Clone)]
pub struct Input {
    inner: Arc<Inner>,
    tasks: Arc<Tasks>,
}

struct Inner {
    grants: Arc<dyn Grants>,
    port: Port,
    seat: tokio::sync::Mutex<Seat>,
    state: Mutex<State>,
    /// Something is to be ended in time.
    awake: Notify,
    events: broadcast::Sender<Used>,
}

struct Seat {
    given: bool,
    desk: Option<Box<dyn Desk>>,
}

#[derive(Default)]
struct State {
    paces: HashMap<DeviceId, Pace>,
    /// Who uses it now, and since when there was nothing.
    now: HashMap<DeviceId, Instant>,
    /// When each device used it last, in this run.
    last: HashMap<DeviceId, Timestamp>,
    held: HashMap<Button, (DeviceId, Instant)>,
}

impl Input {
    /// Serves `input` for whom `grants` allows it. Make it inside a tokio runtime.
    ///
    /// # Errors
    /// Never in a build whose entry has a well-formed name.
    pub fn new(gate: &BoundGate, registry: &Registry, grants: Arc<dyn Grants>, place: Place) -> Result<Self, IdError> {
        let port = registry.port(gate, EntryKey::new(crate::SEND)?, "on.control");
        let seat = match place {
            Place::Session => Seat { given: false, desk: None },
            Place::Given(desk) => Seat { given: true, desk: Some(desk) },
        };
        let inner = Arc::new(Inner {
            grants,
            port,
            seat: tokio::sync::Mutex::new(seat),
            state: Mutex::default(),
            awake: Notify::new(),
            events: broadcast::channel(EVENTS).0,
        });
        registry.serve(SERVICE, Arc::new(Handler(Arc::downgrade(&inner))));
        let tasks = Arc::new(Tasks::new().with(look_after(inner.clone(), registry.events())));
        Ok(Self { inner, tasks })
    }

    /// Which kinds of data a stroke reveals to the device that is told it.
    pub fn fields(stroke: &Stroke) -> FieldSet {
        stroke.envelope().fields()
    }

    /// Has another device do it.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::NotConsented`] when the owner has not agreed to type there.
    pub async fn send(&self, device: &DeviceId, stroke: &Stroke) -> Result<(), CallError> {
        let ask = Ask::act(stroke.action());
        self.inner.port.call(device, Target::new(SERVICE), ask, stroke.envelope(), SENT_WITHIN).await.map(drop)
    }

    /// When devices begin and stop, from now on.
    pub fn events(&self) -> broadcast::Receiver<Used> {
        self.inner.events.subscribe()
    }

    /// Whether a device moves the pointer or types here just now.
    pub fn is_used(&self, device: &DeviceId) -> bool {
        self.inner.state().now.contains_key(device)
    }

    /// When a device moved the pointer or typed here last, since the hub started.
    pub fn used(&self, device: &DeviceId) -> Option<Timestamp> {
        self.inner.state().last.get(device).copied()
    }

    /// Lets go of everything, and ends what runs.
    pub async fn stop(&self) {
        self.tasks.stop().await;
        let held: Vec<Button> = self.inner.state().held.drain().map(|(button, _)| button).collect();
        self.inner.let_go(held).await;
        let mut seat = self.inner.seat.lock().await;
        if let Some(desk) = &mut seat.desk {
            let _ = tokio::time::timeout(TICK, desk.tidy()).await;
        }
        seat.desk = None;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn obey(&self, from: DeviceId, verb: Verb) -> Result<Answer, CallError> {
        if !self.grants.allows(&from, Remote::Input) {
            return Err(CallError::Refused(
                "the owner has not allowed you to move the pointer and to type here".into(),
            ));
        }
        let (action, inputs) = match verb {
            Verb::Act { action, inputs } => (action, inputs),
            // Whether it may: more is not to be read.
            Verb::Read { .. } => return Ok(Answer::Done),
            Verb::Write { .. } => return Err(CallError::Unsupported("nothing can be set".into())),
        };
        let stroke = Stroke::read(&action, &inputs)?;
        self.begin(&from, &stroke)?;
        self.play(&stroke).await.map_err(|error| {
            tracing::warn!(%error, ?stroke, "a device could not use this desktop");
            CallError::Device(error.to_string())
        })?;
        Ok(Answer::Done)
    }

    /// Notes that a device does something, if it is not too much.
    fn begin(&self, from: &DeviceId, stroke: &Stroke) -> Result<(), CallError> {
        let now = Instant::now();
        let mut state = self.state();
        let pace = state.paces.entry(from.clone()).or_insert_with(|| Pace::new(now));
        if !pace.take(stroke.weight(), now) {
            return Err(CallError::Refused("that is too much at once; slow down".into()));
        }
        match stroke {
            Stroke::Hold(button) => drop(state.held.insert(*button, (from.clone(), now))),
            Stroke::Release(button) => drop(state.held.remove(button)),
            _ => {}
        }
        state.held.values_mut().filter(|(by, _)| by == from).for_each(|(_, since)| *since = now);
        state.last.insert(from.clone(), Timestamp::now());
        let began = state.now.insert(from.clone(), now).is_none();
        drop(state);
        if began {
            tracing::info!(device = %from, "a device moves the pointer and types here");
            let _ = self.events.send(Used { device: from.clone(), began: true });
            self.awake.notify_one();
        }
        Ok(())
    }

    async fn play(&self, stroke: &Stroke) -> Result<(), DeskError> {
        let mut seat = self.seat.lock().await;
        let outcome = tokio::time::timeout(WITHIN, seat.play(stroke)).await.unwrap_or(Err(DeskError::Deadline));
        if outcome.as_ref().is_err_and(DeskError::is_broken) && !seat.given {
            if outcome == Err(DeskError::Deadline)
                && let Some(desk) = &mut seat.desk
            {
                // What was typed so far does not stay on spare keys.
                let _ = tokio::time::timeout(TICK, desk.tidy()).await;
            }
            seat.desk = None;
        }
        outcome
    }

    async fn let_go(&self, buttons: Vec<Button>) {
        for button in buttons {
            if let Err(error) = self.play(&Stroke::Release(button)).await {
                tracing::debug!(%error, "a button was not let go");
            }
        }
    }

    /// A device is away: what it held is let go.
    async fn away(&self, device: &DeviceId) {
        let held = {
            let mut state = self.state();
            state.paces.remove(device);
            let held = state.held.extract_if(|_, (by, _)| by == device).map(|(button, _)| button).collect();
            if state.now.remove(device).is_some() {
                let _ = self.events.send(Used { device: device.clone(), began: false });
            }
            held
        };
        self.let_go(held).await;
    }

    /// Ends what was for long enough; whether there is more to end.
    async fn tick(&self) -> bool {
        let now = Instant::now();
        let (held, more) = {
            let mut state = self.state();
            let may = |device: &DeviceId| self.grants.allows(device, Remote::Input);
            let over = |by: &DeviceId, since: Instant| now.saturating_duration_since(since) > HELD || !may(by);
            let held: Vec<Button> =
                state.held.extract_if(|_, (by, since)| over(by, *since)).map(|(button, _)| button).collect();
            let idle: Vec<DeviceId> = state
                .now
                .extract_if(|device, since| now.saturating_duration_since(*since) > IDLE || !may(device))
                .map(|(device, _)| device)
                .collect();
            for device in idle {
                let _ = self.events.send(Used { device, began: false });
            }
            (held, !state.now.is_empty() || !state.held.is_empty())
        };
        self.let_go(held).await;
        if !more {
            let mut seat = self.seat.lock().await;
            if let Some(desk) = &mut seat.desk
                && tokio::time::timeout(TICK, desk.tidy()).await.is_err()
                && !seat.given
            {
                seat.desk = None;
            }
        }
        more
    }
}

impl Seat {
    async fn play(&mut self, stroke: &Stroke) -> Result<(), DeskError> {
        if let Some(desk) = &mut self.desk {
            match desk.play(stroke).await {
                // The desktop was left and another one begun: this one once more.
                Err(DeskError::Gone(_)) if !self.given => self.desk = None,
                outcome => return outcome,
            }
        }
        let desk = self.desk.insert(desk::open().await?);
        desk.play(stroke).await
    }
}

/// Follows who is away, and ends in time what nobody ended. Sleeps while nobody uses it.
async fn look_after(inner: Arc<Inner>, mut events: broadcast::Receiver<RegistryEvent>) {
    let mut busy = false;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(RegistryEvent::Seen(known)) if known.device.reach == Reach::Offline => {
                    inner.away(&known.device.id).await;
                }
                Ok(RegistryEvent::Gone(device)) => inner.away(&device).await,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            () = inner.awake.notified() => busy = true,
            () = tokio::time::sleep(TICK), if busy => busy = inner.tick().await,
        }
    }
}

struct Handler(Weak<Inner>);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        match self.0.upgrade() {
            Some(inner) => inner.obey(from, verb).await,
            None => Err(CallError::Unreachable("this hub is ending".into())),
        }
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
    fn in_order(&self) -> bool {
        true
    }
}
