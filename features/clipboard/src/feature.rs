//! The feature: what the owner asks for, and following what is copied here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use accord_consent::{BoundGate, Refusal};
use accord_model::{DeviceId, EntryKey, Timestamp};
use accord_registry::{Port, Registry};
use accord_store::JsonFile;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::api::{ClipboardConfig, ClipboardError, ClipboardEvent, Offer};
use crate::content::Content;
use crate::incoming;
use crate::incoming::Handler;
use crate::memory::Memory;
use crate::outgoing::FIELDS;
use crate::rules::{ClipboardRules, MAX_FILE};
use crate::tool::{Board, Change, Tool};

/// The service's name.
pub(crate) const SERVICE: &str = "clipboard";
pub(crate) const SHARE: &str = "clipboard/share";
const EVENTS: usize = 256;
const MAX_OFFERS: usize = 32;
/// A session that has no clipboard yet is looked at again.
const AGAIN: Duration = Duration::from_secs(300);

/// The clipboards here and there. Cheap to clone.
///
/// Make it inside a tokio runtime.
#[derive(Clone)]
pub struct Clipboard(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub gate: BoundGate,
    pub registry: Registry,
    pub config: ClipboardConfig,
    pub on_request: Port,
    pub on_copy: Port,
    board: Option<Box<dyn Board>>,
    state: Mutex<State>,
    events: broadcast::Sender<ClipboardEvent>,
    file: JsonFile,
    saving: tokio::sync::Mutex<()>,
    changed: Arc<Notify>,
    pub stop: CancellationToken,
}

pub(crate) struct State {
    pub memory: Memory,
    pub rules: ClipboardRules,
    pub offers: BTreeMap<DeviceId, (Offer, Content)>,
}

impl Clipboard {
    /// Starts the feature: answers for the service `clipboard` and, when the owner set that, follows what is copied.
    ///
    /// # Errors
    /// [`ClipboardError::State`] when the rules cannot be read.
    pub fn new(gate: BoundGate, registry: Registry, config: ClipboardConfig) -> Result<Self, ClipboardError> {
        Self::with_board(gate, registry, config, None)
    }

    pub(crate) fn with_board(
        gate: BoundGate,
        registry: Registry,
        config: ClipboardConfig,
        board: Option<Box<dyn Board>>,
    ) -> Result<Self, ClipboardError> {
        let file = JsonFile::new(config.folder.join("clipboard.json"), MAX_FILE);
        let rules = file.load().map_err(|error| state_error(&file, error))?;
        let entry = EntryKey::new(SHARE).expect("a constant that is a valid entry");
        let inner = Arc::new(Inner {
            on_request: registry.port(&gate, entry.clone(), "on.send"),
            on_copy: registry.port(&gate, entry, "on.copy"),
            gate,
            registry,
            config,
            board,
            state: Mutex::new(State { memory: Memory::new(Timestamp::now()), rules, offers: BTreeMap::new() }),
            events: broadcast::channel(EVENTS).0,
            file,
            saving: tokio::sync::Mutex::default(),
            changed: Arc::default(),
            stop: CancellationToken::new(),
        });
        inner.registry.serve(SERVICE, Arc::new(Handler(Arc::downgrade(&inner))));
        tokio::spawn(incoming::follow(Arc::downgrade(&inner), inner.registry.events()));
        tokio::spawn(follow(Arc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// What happens from now on. A slow follower misses the oldest and is told how many.
    pub fn events(&self) -> broadcast::Receiver<ClipboardEvent> {
        self.0.events.subscribe()
    }

    /// The tool of this session.
    ///
    /// # Errors
    /// [`ClipboardError::NoTool`] says what is missing.
    pub fn tool(&self) -> Result<&'static str, ClipboardError> {
        self.0.tool().map(Tool::name)
    }

    /// What is in the clipboard here.
    ///
    /// # Errors
    /// [`ClipboardError`].
    pub async fn get(&self) -> Result<Content, ClipboardError> {
        self.0.read().await
    }

    /// Puts something into the clipboard here; it is not sent to devices by itself.
    ///
    /// # Errors
    /// [`ClipboardError`].
    pub async fn set(&self, content: Content) -> Result<(), ClipboardError> {
        content.check().map_err(ClipboardError::BadContent)?;
        self.0.put(&content).await
    }

    /// Sends what is in the clipboard here to a device.
    ///
    /// # Errors
    /// [`ClipboardError`]; [`ClipboardError::NotConsented`] without consent.
    pub async fn send(&self, device: &DeviceId) -> Result<(), ClipboardError> {
        self.check(device).map_err(ClipboardError::NotConsented)?;
        let content = self.0.read().await?;
        self.0.share(device, &content, true).await
    }

    /// What a permit to share with this device would meet.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn check(&self, device: &DeviceId) -> Result<(), Refusal> {
        self.0.on_request.check(device, FIELDS)
    }

    /// What waits for the owner.
    pub fn offers(&self) -> Vec<Offer> {
        self.0.expire();
        self.0.lock().offers.values().map(|(offer, ..)| offer.clone()).collect()
    }

    /// Puts what a device copied into the clipboard here.
    ///
    /// # Errors
    /// [`ClipboardError`].
    pub async fn accept(&self, device: &DeviceId) -> Result<(), ClipboardError> {
        let (_, content) = self.0.take_offer(device)?;
        self.0.put(&content).await?;
        self.0.event(ClipboardEvent::Received { device: device.clone(), kind: content.kind() });
        Ok(())
    }

    /// Does not take what a device copied.
    ///
    /// # Errors
    /// [`ClipboardError::NoOffer`].
    pub fn refuse(&self, device: &DeviceId) -> Result<(), ClipboardError> {
        self.0.take_offer(device).map(drop)
    }

    /// The owner's rules.
    pub fn rules(&self) -> ClipboardRules {
        self.0.lock().rules.clone()
    }

    /// Sets the rules; they are on disk and in force when this returns.
    ///
    /// # Errors
    /// [`ClipboardError`]; then the old ones hold.
    pub async fn set_rules(&self, rules: ClipboardRules) -> Result<(), ClipboardError> {
        rules.check().map_err(ClipboardError::BadRules)?;
        let _saving = self.0.saving.lock().await;
        let (file, saved) = (self.0.file.clone(), rules.clone());
        let written = tokio::task::spawn_blocking(move || file.save(&saved)).await.map_err(std::io::Error::other);
        written.flatten().map_err(|error| state_error(&self.0.file, error))?;
        self.0.lock().rules = rules;
        self.0.changed.notify_one();
        self.0.event(ClipboardEvent::Rules);
        Ok(())
    }

    /// Forgets a device, as when it is unpaired.
    pub fn forget_device(&self, device: &DeviceId) {
        let _ = self.0.take_offer(device);
        let known = {
            let mut state = self.0.lock();
            state.memory.forget(device);
            state.rules.devices.remove(device).is_some()
        };
        if known && let Err(error) = self.0.file.save(&self.rules()) {
            tracing::warn!(%error, "the clipboard's rules for a device that is gone are still on disk");
        }
        self.0.changed.notify_one();
    }

    /// Stops following the clipboard.
    pub fn stop(&self) {
        self.0.stop.cancel();
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

    pub fn event(&self, event: ClipboardEvent) {
        let _ = self.events.send(event);
    }

    fn tool(&self) -> Result<Tool, ClipboardError> {
        if self.config.session {
            Tool::find()
        } else {
            Err(ClipboardError::NoTool("this hub does not touch the session's clipboard".to_owned()))
        }
    }

    async fn read(&self) -> Result<Content, ClipboardError> {
        match &self.board {
            Some(board) => board.read().await,
            None => self.tool()?.read().await,
        }
    }

    /// Puts something into the clipboard; the change that this makes is none of the owner's.
    pub async fn put(&self, content: &Content) -> Result<(), ClipboardError> {
        let tool = match &self.board {
            Some(_) => None,
            None => Some(self.tool()?),
        };
        // Before the tool has it: the change is told while it still runs.
        self.lock().memory.applied(content.digest(), content.kind(), Timestamp::now());
        let outcome = match (&self.board, tool) {
            (Some(board), _) => board.write(content).await,
            (None, Some(tool)) => tool.write(content).await,
            (None, None) => Ok(()),
        };
        if outcome.is_err() {
            self.lock().memory.not_applied();
        }
        outcome
    }

    pub fn offer(&self, offer: Offer, content: Content) {
        self.expire();
        let mut state = self.lock();
        if state.offers.len() < MAX_OFFERS || state.offers.contains_key(&offer.device) {
            state.offers.insert(offer.device.clone(), (offer.clone(), content));
            drop(state);
            self.event(ClipboardEvent::Offered(offer));
        }
    }

    fn take_offer(&self, device: &DeviceId) -> Result<(Offer, Content), ClipboardError> {
        self.expire();
        let taken = self.lock().offers.remove(device);
        let taken = taken.ok_or_else(|| ClipboardError::NoOffer(device.to_string()))?;
        self.event(ClipboardEvent::OfferGone(device.clone()));
        Ok(taken)
    }

    fn expire(&self) {
        let (now, lasts) = (Timestamp::now(), self.config.offer_lasts);
        let is_old = |offer: &Offer| Duration::try_from(now.duration_since(offer.since)).is_ok_and(|age| age >= lasts);
        let old: Vec<DeviceId> = {
            let mut state = self.lock();
            let old = state.offers.values().filter(|(offer, ..)| is_old(offer));
            let old = old.map(|(offer, ..)| offer.device.clone()).collect();
            state.offers.retain(|_, (offer, ..)| !is_old(offer));
            old
        };
        old.into_iter().for_each(|device| self.event(ClipboardEvent::OfferGone(device)));
    }

    /// What is in the clipboard when it begins to be followed: nobody copied it just now.
    async fn look(&self) {
        if let Ok(content) = self.read().await {
            self.lock().memory.found(content.digest());
        }
    }

    async fn on_change(self: &Arc<Self>, change: Change) {
        if change == Change::Nothing {
            return;
        }
        let content = match self.read().await {
            Ok(content) => content,
            Err(ClipboardError::Secret | ClipboardError::Empty | ClipboardError::Other) => return,
            Err(error) => {
                tracing::debug!(%error, "what was copied is not shared");
                return;
            }
        };
        let (digest, kind) = (content.digest(), content.kind());
        let devices: Vec<DeviceId> = {
            let mut state = self.lock();
            if !state.memory.changed(digest, kind, Timestamp::now()) {
                return;
            }
            let lacks = |device: &&DeviceId| state.memory.lacks(device, digest);
            state.rules.automatic().filter(lacks).cloned().collect()
        };
        for device in devices {
            // Asked for by a rule, not just now: without consent nothing is asked, and nothing sent.
            if self.on_copy.check(&device, FIELDS).is_err() || !self.is_here(&device) {
                continue;
            }
            let (inner, content) = (self.clone(), content.clone());
            tokio::spawn(async move { drop(inner.share(&device, &content, false).await) });
        }
    }
}

/// Follows what is copied while any device is to get it by itself.
async fn follow(weak: Weak<Inner>) {
    let Some((changed, stop)) = weak.upgrade().map(|inner| (inner.changed.clone(), inner.stop.clone())) else { return };
    loop {
        let Some(inner) = weak.upgrade() else { return };
        let wanted = inner.lock().rules.automatic().next().is_some();
        let watched = wanted.then(|| match &inner.board {
            Some(board) => Ok(board.watch()),
            None => inner.tool().map(|tool| tool.watch()),
        });
        drop(inner);
        let mut again = Duration::MAX;
        match watched {
            Some(Ok(mut changes)) => {
                if let Some(inner) = weak.upgrade() {
                    inner.look().await;
                }
                loop {
                    let change = tokio::select! {
                        change = changes.recv() => change,
                        () = changed.notified() => break,
                        () = stop.cancelled() => return,
                    };
                    let Some(inner) = weak.upgrade() else { return };
                    if inner.lock().rules.automatic().next().is_none() {
                        break;
                    }
                    match change {
                        Some(change) => inner.on_change(change).await,
                        None => {
                            again = AGAIN;
                            break;
                        }
                    }
                }
                if again == Duration::MAX {
                    continue;
                }
            }
            Some(Err(_)) => again = AGAIN,
            None => {}
        }
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep(again) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn state_error(file: &JsonFile, error: std::io::Error) -> ClipboardError {
    ClipboardError::State { path: file.path().display().to_string(), error }
}
