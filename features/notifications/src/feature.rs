//! The feature: what is there, the owner's rules, and what the owner does.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::{BoundGate, Envelope, Personal, RecipientId};
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, FieldSet, Target, Timestamp};
use accord_registry::{Ask, Port, Registry};
use accord_store::JsonFile;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::api::{DesktopState, Notification, NotificationsConfig, NotificationsError, NotificationsEvent, Sending};
use crate::book::Book;
use crate::codes;
use crate::desktop::{Desktop, DesktopCommand, LocalNote};
use crate::incoming;
use crate::note::{MAX_REPLY, Note, lines};
use crate::outgoing;
use crate::queue::{Bounds, Op, Queue};
use crate::rules::Rules;
use crate::state::{MAX_FILE, Saved};

/// The service's name.
pub(crate) const SERVICE: &str = "notifications";
pub(crate) const MIRROR: &str = "notifications/mirror";
pub(crate) const ANSWER: &str = "notifications/answer";
const EVENTS: usize = 1024;
/// The desktop answers within this time, or not at all.
const DESKTOP_WITHIN: Duration = Duration::from_secs(10);

/// Notifications here and there. Cheap to clone.
///
/// Make it inside a tokio runtime.
#[derive(Clone)]
pub struct Notifications(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub gate: BoundGate,
    pub registry: Registry,
    pub config: NotificationsConfig,
    pub mirror: Port,
    pub on_request: Port,
    pub answer: Port,
    pub desktop: mpsc::Sender<DesktopCommand>,
    pub wake: Arc<Notify>,
    pub dirty: Arc<Notify>,
    pub stop: CancellationToken,
    state: Mutex<State>,
    events: broadcast::Sender<NotificationsEvent>,
    file: JsonFile,
    saving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(crate) struct State {
    pub book: Book,
    pub rules: Rules,
    pub queue: Queue,
    pub known: Vec<DeviceId>,
    /// Devices that something is told just now.
    pub busy: HashSet<DeviceId>,
    /// When a device that did not take something is tried again, and after how long then.
    pub again: HashMap<DeviceId, (Instant, Duration)>,
    pub desktop: DesktopState,
    pub popups: HashMap<DeviceId, incoming::Bucket>,
}

impl Notifications {
    /// Starts the feature: answers for the service `notifications`, follows devices and, if configured, the desktop.
    ///
    /// # Errors
    /// [`NotificationsError::State`] when the state file cannot be used.
    pub fn new(gate: BoundGate, registry: Registry, config: NotificationsConfig) -> Result<Self, NotificationsError> {
        let desktop = if config.desktop { Desktop::start() } else { Desktop::pair().0 };
        Self::with_desktop(gate, registry, config, desktop)
    }

    pub(crate) fn with_desktop(
        gate: BoundGate,
        registry: Registry,
        config: NotificationsConfig,
        desktop: Desktop,
    ) -> Result<Self, NotificationsError> {
        let file = JsonFile::new(config.folder.join("notifications.json"), MAX_FILE);
        let saved: Saved = file.load().map_err(|error| state_error(&file, error))?;
        let entry = |key| EntryKey::new(key).expect("a constant that is a valid entry");
        let state = State { rules: saved.rules, queue: saved.queue, known: saved.known, ..State::default() };
        let inner = Arc::new(Inner {
            mirror: registry.port(&gate, entry(MIRROR), "on.notification"),
            on_request: registry.port(&gate, entry(MIRROR), "on.request"),
            answer: registry.port(&gate, entry(ANSWER), "on.answer"),
            gate,
            config,
            desktop: desktop.commands,
            wake: Arc::default(),
            dirty: Arc::default(),
            stop: CancellationToken::new(),
            state: Mutex::new(state),
            events: broadcast::channel(EVENTS).0,
            file,
            saving: tokio::sync::Mutex::default(),
            registry,
        });
        inner.registry.serve(SERVICE, Arc::new(incoming::Handler(Arc::downgrade(&inner))));
        let registry_events = inner.registry.events();
        tokio::spawn(incoming::follow(Arc::downgrade(&inner), registry_events, desktop.events));
        tokio::spawn(outgoing::courier(Arc::downgrade(&inner)));
        tokio::spawn(outgoing::keep(Arc::downgrade(&inner)));
        inner.wake.notify_one();
        Ok(Self(inner))
    }

    /// What is there now, newest first.
    pub fn list(&self) -> Vec<Notification> {
        let state = self.0.lock();
        state.book.list(|id| state.queue.waiting_for(id))
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<Notification> {
        self.list().into_iter().find(|notification| notification.id == id)
    }

    /// How this computer's desktop and Accord stand.
    pub fn desktop(&self) -> DesktopState {
        self.0.lock().desktop.clone()
    }

    /// What happens from now on. A slow follower misses the oldest and is told how many.
    pub fn events(&self) -> broadcast::Receiver<NotificationsEvent> {
        self.0.events.subscribe()
    }

    /// The owner's rules.
    pub fn rules(&self) -> Rules {
        self.0.lock().rules.clone()
    }

    /// Sets the rules; they are on disk and in force when this returns.
    ///
    /// # Errors
    /// [`NotificationsError`]; then the old ones hold.
    pub async fn set_rules(&self, rules: Rules) -> Result<(), NotificationsError> {
        rules.check().map_err(NotificationsError::BadRules)?;
        let before = std::mem::replace(&mut self.0.lock().rules, rules);
        if let Err(error) = self.0.save().await {
            self.0.lock().rules = before;
            return Err(state_error(&self.0.file, error));
        }
        Ok(())
    }

    /// Shows a notification of the owner's own on a device, whatever the rules say. Its id, and whether it is there.
    ///
    /// # Errors
    /// [`NotificationsError`].
    pub async fn send(
        &self,
        device: &DeviceId,
        title: &str,
        body: &str,
    ) -> Result<(String, Sending), NotificationsError> {
        if title.trim().is_empty() {
            return Err(NotificationsError::BadText("a notification needs a title".into()));
        }
        let note = Note { app: "Accord".into(), title: title.into(), body: body.into(), ..Note::default() }.bounded();
        self.0.on_request.check(device, note.fields()).map_err(NotificationsError::NotConsented)?;
        let envelope_of = |id: &str| note.envelope(id);
        let id = {
            let mut state = self.0.lock();
            let said = LocalNote { note: note.clone(), ..LocalNote::default() };
            let (id, ..) = state.book.own_posted(None, said, Timestamp::now());
            if let Some(own) = state.book.own_mut(&id) {
                own.told.insert(device.clone(), note.digest());
            }
            id
        };
        let (target, within) = (Target::new(SERVICE), self.0.config.answer_within);
        let asked = self.0.on_request.call(device, target, Ask::act("show"), envelope_of(&id), within).await;
        let sending = match asked {
            Ok(_) => Sending::Sent,
            Err(CallError::Unreachable(_)) => {
                let op = Op::Show { id: id.clone(), note };
                self.0.lock().queue.push(device, op, self.0.bounds(), Timestamp::now());
                self.0.dirty.notify_one();
                Sending::Waits
            }
            Err(error) => {
                self.0.lock().book.take_own(&id);
                return Err(error.into());
            }
        };
        self.0.tell_own(&id);
        Ok((id, sending))
    }

    /// Accord itself has something to say here, such as of an alarm in the house: it is listed, and goes to the devices that
    /// may have this computer's notifications, as the rules say. What is about the same takes the place of what was said before.
    /// The desktop is not told.
    pub fn say(&self, about: &str, title: &str, body: &str, urgent: bool) {
        let note = Note { app: "Accord".into(), title: title.into(), body: body.into(), urgent, ..Note::default() };
        let said = LocalNote { note: note.bounded(), ..LocalNote::default() };
        let (id, oldest) = self.0.lock().book.own_told(about, said, Timestamp::now());
        if let Some(oldest) = oldest {
            self.0.event(NotificationsEvent::Gone(oldest.id));
        }
        self.0.distribute(&id);
        self.0.tell_own(&id);
    }

    /// What a permit for the answer to this notification's device would meet; `Ok` for this computer's own.
    ///
    /// # Errors
    /// [`NotificationsError`]; [`NotificationsError::NotConsented`] without consent.
    pub fn check_answer(&self, id: &str, with_text: bool) -> Result<(), NotificationsError> {
        let Some(device) = self.get(id).ok_or_else(|| gone(id))?.device else { return Ok(()) };
        self.0.answer.check(&device, answer_fields(with_text)).map_err(NotificationsError::NotConsented)
    }

    /// Dismisses it here and on every device that shows it. A device that is away is told when it is back.
    ///
    /// # Errors
    /// [`NotificationsError::Gone`].
    pub fn dismiss(&self, id: &str) -> Result<(), NotificationsError> {
        if self.0.dismiss_own(id, None) || self.0.dismiss_foreign(id) { Ok(()) } else { Err(gone(id)) }
    }

    /// Replies a text to it.
    ///
    /// # Errors
    /// [`NotificationsError`].
    pub async fn reply(&self, id: &str, text: &str) -> Result<(), NotificationsError> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX_REPLY {
            return Err(NotificationsError::BadText(format!("a reply has 1 to {MAX_REPLY} characters")));
        }
        let notification = self.get(id).ok_or_else(|| gone(id))?;
        if !notification.reply {
            return Err(NotificationsError::Cannot("cannot be replied to".into()));
        }
        let text = lines(text, MAX_REPLY);
        match notification.device {
            None => self.0.reply_own(id, text).await.map_err(NotificationsError::Desktop),
            Some(_) => self.0.answer_foreign(id, "reply", Some(("text", text))).await,
        }
    }

    /// Does what one of its actions says.
    ///
    /// # Errors
    /// [`NotificationsError`].
    pub async fn act(&self, id: &str, action: &str) -> Result<(), NotificationsError> {
        let notification = self.get(id).ok_or_else(|| gone(id))?;
        if !notification.actions.iter().any(|label| label == action) {
            return Err(NotificationsError::Cannot("has no such action".into()));
        }
        match notification.device {
            None => self.0.act_own(id, action).await.map_err(NotificationsError::Desktop),
            Some(_) => self.0.answer_foreign(id, "act", Some(("action", action.to_owned()))).await,
        }
    }

    /// The one-time code in it.
    ///
    /// # Errors
    /// [`NotificationsError`].
    pub fn code(&self, id: &str) -> Result<String, NotificationsError> {
        let notification = self.get(id).ok_or_else(|| gone(id))?;
        notification.code.ok_or_else(|| NotificationsError::Cannot("holds no one-time code".into()))
    }

    /// Forgets what a device sent and what waits for it, as when it is unpaired.
    pub fn forget_device(&self, device: &DeviceId) {
        let gone = {
            let mut state = self.0.lock();
            state.queue.drop_device(device);
            state.known.retain(|known| known != device);
            state.rules.devices.remove(device);
            state.again.remove(device);
            state.book.forget_device(device)
        };
        for known in gone {
            if let Some(local) = known.popup {
                self.0.command(DesktopCommand::Close { local });
            }
            self.0.event(NotificationsEvent::Gone(known.id));
        }
        self.0.dirty.notify_one();
    }

    /// Keeps what waits. For a clean end of the hub.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        if let Err(error) = self.0.save().await {
            tracing::warn!(%error, "what waits for devices that are away is not kept");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Inner {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn bounds(&self) -> Bounds {
        Bounds { per_device: self.config.waiting_per_device, lasts: self.config.waits }
    }

    pub fn event(&self, event: NotificationsEvent) {
        let _ = self.events.send(event);
    }

    /// Tells that one of this computer's is new or changed.
    pub fn tell_own(&self, id: &str) {
        let view = {
            let state = self.lock();
            state.book.own(id).map(|own| own.view(state.queue.waiting_for(id)))
        };
        if let Some(view) = view {
            self.event(NotificationsEvent::Changed(view));
        }
    }

    /// To the desktop, if it keeps up.
    pub fn command(&self, command: DesktopCommand) {
        if self.desktop.try_send(command).is_err() {
            tracing::debug!("the desktop does not keep up, or is not there");
        }
    }

    /// Writes the state file. One at a time, so that an older state never comes after a newer one.
    pub async fn save(&self) -> std::io::Result<()> {
        let _saving = self.saving.lock().await;
        let saved = {
            let mut state = self.lock();
            state.queue.mark_saved();
            Saved { rules: state.rules.clone(), queue: state.queue.clone(), known: state.known.clone() }
        };
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || file.save(&saved)).await.map_err(std::io::Error::other)?
    }

    /// Takes one of this computer's away here and on all devices but the one that it was dismissed on.
    pub fn dismiss_own(&self, id: &str, on: Option<&DeviceId>) -> bool {
        let own = {
            let mut state = self.lock();
            let Some(own) = state.book.take_own(id) else { return false };
            for device in state.queue.waiting_for(id) {
                state.queue.forget(&device, id);
            }
            for device in own.told.keys().filter(|device| Some(*device) != on) {
                let op = Op::Remove { id: id.to_owned() };
                state.queue.push(device, op, self.bounds(), Timestamp::now());
            }
            own
        };
        if let Some(local) = own.local {
            self.command(DesktopCommand::Close { local });
        }
        self.wake.notify_one();
        self.event(NotificationsEvent::Gone(own.id));
        true
    }

    /// The owner dismissed one of a device's: it is gone here, and the device is told, if the owner agreed to that.
    pub fn dismiss_foreign(&self, id: &str) -> bool {
        let Some(known) = self.lock().book.foreign_dismissed(id) else { return false };
        if let Some(local) = known.popup {
            self.command(DesktopCommand::Close { local });
        }
        let fields = answer_fields(false);
        if self.answer.check(&known.device, fields).is_ok() {
            let op = Op::Dismiss { id: known.theirs };
            self.lock().queue.push(&known.device, op, self.bounds(), Timestamp::now());
            self.wake.notify_one();
        } else {
            // The owner is asked, once; this one stays on the device.
            let to = RecipientId::device(&known.device);
            if let Ok(entry) = EntryKey::new(ANSWER) {
                drop(self.gate.permit(&entry, &to, fields, "on.dismiss"));
            }
        }
        self.event(NotificationsEvent::Gone(known.id));
        true
    }

    pub async fn answer_foreign(
        &self,
        id: &str,
        action: &str,
        input: Option<(&str, String)>,
    ) -> Result<(), NotificationsError> {
        let known = self.lock().book.foreign(id).cloned().ok_or_else(|| gone(id))?;
        let mut envelope = answer_envelope(&known.theirs);
        if let Some((name, text)) = input {
            let code = if name == "text" { FieldCode::TextContent } else { FieldCode::NotificationContent };
            envelope = envelope.data(name, &Personal::new(code, Data::from(text)));
        }
        let within = self.config.answer_within;
        self.answer.call(&known.device, Target::new(SERVICE), Ask::act(action), envelope, within).await?;
        Ok(())
    }

    pub async fn act_own(&self, id: &str, action: &str) -> Result<(), String> {
        let (local, key) = {
            let state = self.lock();
            let own = state.book.own(id).ok_or("it is gone")?;
            let place =
                own.said.note.actions.iter().position(|label| label == action).ok_or("it has no such action")?;
            let key = own.said.keys.get(place).cloned().ok_or("it has no such action")?;
            (own.local.ok_or("its app does not wait for it any more")?, key)
        };
        self.ask_desktop(|done| DesktopCommand::Act { local, key, done }).await
    }

    pub async fn reply_own(&self, id: &str, text: String) -> Result<(), String> {
        let local =
            self.lock().book.own(id).and_then(|own| own.local).ok_or("its app does not wait for it any more")?;
        self.ask_desktop(|done| DesktopCommand::Reply { local, text, done }).await
    }

    async fn ask_desktop(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), String>>) -> DesktopCommand,
    ) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        self.command(command(done));
        match tokio::time::timeout(DESKTOP_WITHIN, outcome).await {
            Ok(Ok(outcome)) => outcome,
            _ => Err("the desktop does not answer".to_owned()),
        }
    }

    /// A device's name, safe to show.
    pub fn device_name(&self, device: &DeviceId) -> String {
        let name = self.registry.device(device).map(|known| known.device.name.clone()).unwrap_or_default();
        if name.trim().is_empty() { device.to_string() } else { accord_model::text::for_screen(name.trim(), 60) }
    }

    /// Of these texts a code may be copied in a popup.
    pub fn code_in(note: &Note) -> Option<String> {
        codes::find(&note.texts())
    }
}

/// What an answer says: which notification, and a text.
pub(crate) fn answer_fields(with_text: bool) -> FieldSet {
    let which = FieldSet::one(FieldCode::NotificationContent);
    if with_text { which.union(FieldSet::one(FieldCode::TextContent)) } else { which }
}

pub(crate) fn answer_envelope(theirs: &str) -> Envelope {
    Envelope::new().data("id", &Personal::new(FieldCode::NotificationContent, Data::from(theirs)))
}

fn gone(id: &str) -> NotificationsError {
    NotificationsError::Gone(accord_model::text::for_screen(id, 60))
}

fn state_error(file: &JsonFile, error: std::io::Error) -> NotificationsError {
    NotificationsError::State { path: file.path().display().to_string(), error }
}
