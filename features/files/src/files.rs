//! The feature: sends, receives, remembers, tells.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use accord_consent::BoundGate;
use accord_model::{DeviceId, Timestamp};
use accord_registry::Registry;
use tokio::sync::broadcast;

use crate::api::{
    Direction, FilesConfig, FilesError, FilesEvent, Items, Kind, MAX_TEXT, SendRequest, State, Transfer, TransferId,
};
use crate::book::{self, Book, Live, Saved};
use crate::engine::store::{Store, discard, folder, untouched};
use crate::expected::Expected;
use crate::incoming::Handler;
use crate::name::safe_name;
use crate::outgoing;
use crate::outlet::Way;
use crate::scan;

/// The service's name.
pub(crate) const SERVICE: &str = "files";
/// How often progress is told.
const TELL: Duration = Duration::from_millis(200);
/// How often is looked for what is to be given up.
const TIDY: Duration = Duration::from_secs(30);
const EVENTS: usize = 1024;

/// Sends and receives. Cheap to clone.
///
/// Make it inside a tokio runtime. What was not over when the hub ended goes on.
#[derive(Clone)]
pub struct Files(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub gate: BoundGate,
    pub registry: Registry,
    pub config: FilesConfig,
    inbox: RwLock<PathBuf>,
    dir: PathBuf,
    book: Mutex<Book>,
    events: broadcast::Sender<FilesEvent>,
    saving: tokio::sync::Mutex<()>,
    runtime: tokio::runtime::Handle,
    pub expected: Expected,
}

impl Files {
    /// Starts the feature: answers for the service `files` and goes on with what was not over.
    ///
    /// # Errors
    /// [`FilesError::Folder`] when the state folder cannot be used.
    pub fn new(gate: BoundGate, registry: Registry, config: FilesConfig) -> Result<Self, FilesError> {
        let dir = config.state_dir.join("transfers");
        let unusable = |error| FilesError::Folder { path: dir.display().to_string(), error };
        book::prepare(&dir).map_err(unusable)?;
        let remembered = book::load(&dir).map_err(unusable)?;
        let inbox = RwLock::new(config.inbox.clone());
        let inner = Arc::new(Inner {
            gate,
            registry,
            config,
            inbox,
            dir,
            book: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            saving: tokio::sync::Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
            expected: Expected::default(),
        });
        for saved in remembered {
            let id = saved.transfer.id.clone();
            let live = Live { reloaded: true, ..Live::new(saved) };
            inner.book().insert(id, live);
        }
        inner.go_on();
        inner.registry.serve(SERVICE, Arc::new(Handler(Arc::downgrade(&inner))));
        tokio::spawn(keep_tidy(Arc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// Begins to send. Without the owner's consent the transfer waits for it.
    ///
    /// # Errors
    /// [`FilesError`]: nothing to send, a path that cannot be read, or the owner refused to share with this device.
    pub async fn send(&self, request: SendRequest) -> Result<TransferId, FilesError> {
        let id = TransferId::random();
        self.send_as(id.clone(), request).await.map(|()| id)
    }

    /// The same under a new id that the caller knows before, to set something aside for it.
    ///
    /// # Errors
    /// As [`Files::send`].
    pub async fn send_as(&self, id: TransferId, request: SendRequest) -> Result<(), FilesError> {
        let SendRequest { device, items } = request;
        let (mut kind, mut text, mut paths, mut stream, mut reader) = (Kind::Files, None, Vec::new(), None, None);
        let mut shown = Vec::new();
        match items {
            Items::Paths(given) if given.is_empty() => return Err(FilesError::Nothing),
            Items::Paths(given) => {
                let of = |(path, error): (PathBuf, std::io::Error)| FilesError::Path {
                    path: accord_model::text::for_screen(&path.display().to_string(), 300),
                    error,
                };
                let roots = scan::roots(&given).map_err(of)?;
                paths = roots.iter().map(|root| root.source.clone()).collect();
                shown = roots.iter().take(crate::wire::MAX_PREVIEW).map(outgoing::item).collect();
            }
            Items::Text(given) => {
                kind = Kind::Text;
                text = Some(bounded(given)?);
            }
            Items::Url(given) => {
                kind = Kind::Url;
                text = Some(bounded(given)?);
            }
            Items::Stream { name, reader: given } => {
                let name = safe_name(
                    name.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | "..")).unwrap_or("stream"),
                );
                shown.push(crate::Item { name: name.clone(), size: None, folder: false });
                stream = Some(name);
                reader = Some(given);
            }
        }
        let way = Way::send(&self.0.gate, &device, outgoing::fields(kind));
        match way.check() {
            Ok(()) => {}
            Err(refusal) if outgoing::may_be_asked(&refusal) => {}
            Err(refusal) => return Err(FilesError::NotConsented(refusal)),
        }
        let wire = id.bytes().unwrap_or_else(random_id);
        let transfer = new_transfer(id.clone(), Direction::Out, device, kind, State::Connecting);
        let transfer = Transfer { text, items: shown, ..transfer };
        let inbox = PathBuf::new();
        let saved =
            Saved { transfer, wire, paths, stream, accepted: false, offer: None, inbox, touched: Timestamp::now() };
        let mut live = Live::new(saved);
        live.reader = reader;
        live.running = true;
        self.0.book().insert(id.clone(), live);
        self.0.save(&id).await;
        self.0.tell(&id);
        tokio::spawn(outgoing::run(self.0.clone(), id));
        Ok(())
    }

    /// Every transfer that is remembered, newest first.
    pub fn list(&self) -> Vec<Transfer> {
        let mut all: Vec<_> = self.0.book().values_mut().map(Live::view).collect();
        all.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id)));
        all
    }

    /// One transfer.
    pub fn get(&self, id: &TransferId) -> Option<Transfer> {
        self.0.book().get_mut(id).map(Live::view)
    }

    /// Waits until a transfer is over or gone, at most `within`.
    pub async fn until_over(&self, id: &TransferId, within: Duration) {
        let mut events = self.events();
        let over = async {
            while self.get(id).is_some_and(|transfer| !transfer.state.is_over()) {
                if let Err(broadcast::error::RecvError::Closed) = events.recv().await {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(within, over).await;
    }

    /// What happens from now on. A slow follower misses the oldest and is told how many.
    pub fn events(&self) -> broadcast::Receiver<FilesEvent> {
        self.0.events.subscribe()
    }

    /// Where received files go.
    pub fn inbox(&self) -> PathBuf {
        self.0.inbox()
    }

    /// Puts what is received from now on somewhere else.
    pub fn set_inbox(&self, inbox: PathBuf) {
        *self.0.inbox.write().unwrap_or_else(PoisonError::into_inner) = inbox;
    }

    /// Stops a transfer for good. What was received of it is removed.
    ///
    /// # Errors
    /// [`FilesError`].
    pub async fn cancel(&self, id: &TransferId) -> Result<(), FilesError> {
        let running = {
            let mut book = self.0.book();
            let live = book.get_mut(id).ok_or_else(|| no_transfer(id))?;
            if live.saved.transfer.state.is_over() {
                return Err(FilesError::NotNow("over", "cancelled"));
            }
            live.cancel.cancel();
            live.running
        };
        if !running {
            self.0.give_up(id, State::Cancelled, "you cancelled it").await;
        }
        Ok(())
    }

    /// Tries an outgoing transfer again that failed, was refused or cancelled. It goes on where it was, if it can.
    ///
    /// # Errors
    /// [`FilesError`].
    pub async fn retry(&self, id: &TransferId) -> Result<(), FilesError> {
        {
            let mut book = self.0.book();
            let live = book.get_mut(id).ok_or_else(|| no_transfer(id))?;
            let saved = &mut live.saved;
            if saved.transfer.direction == Direction::In {
                return Err(FilesError::NotNow("incoming", "tried again from here"));
            }
            if live.running || !saved.transfer.state.is_over() || saved.transfer.state == State::Done {
                return Err(FilesError::NotNow("not failed", "tried again"));
            }
            if saved.stream.is_some() {
                return Err(FilesError::StreamGone);
            }
            if saved.transfer.state != State::Failed {
                // The other side has answered this offer for good.
                saved.wire = random_id();
            }
            saved.accepted = false;
            saved.transfer.state = State::Connecting;
            saved.transfer.message = None;
            saved.transfer.finished = None;
            live.running = true;
            live.cancel = tokio_util::sync::CancellationToken::new();
        }
        self.0.save(id).await;
        self.0.tell(id);
        tokio::spawn(outgoing::run(self.0.clone(), id.clone()));
        Ok(())
    }

    /// Takes an offer; with `always`, everything of this device from now on.
    ///
    /// # Errors
    /// [`FilesError`]; [`FilesError::NotConsented`] when the owner has not agreed to answer this device.
    pub fn accept(&self, id: &TransferId, always: bool) -> Result<(), FilesError> {
        let device = self.offer(id)?;
        Way::receive(&self.0.gate, &device).check_and_ask().map_err(FilesError::NotConsented)?;
        if always {
            self.0.config.policy.accept_always(&device);
        }
        self.answer(id, true)
    }

    /// Refuses an offer.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn refuse(&self, id: &TransferId) -> Result<(), FilesError> {
        self.offer(id)?;
        self.answer(id, false)
    }

    /// Takes a transfer that is over off the list. Received files stay.
    ///
    /// # Errors
    /// [`FilesError`].
    pub async fn remove(&self, id: &TransferId) -> Result<(), FilesError> {
        let saved = {
            let mut book = self.0.book();
            let live = book.get(id).ok_or_else(|| no_transfer(id))?;
            if !live.saved.transfer.state.is_over() || live.running {
                return Err(FilesError::NotNow("not over", "removed; cancel it first"));
            }
            let saved = live.saved.clone();
            book.remove(id);
            saved
        };
        self.0.forget(saved).await;
        Ok(())
    }

    /// Ends what runs, so that it goes on with the next start. For a clean end of the hub.
    pub async fn stop(&self) {
        let sessions: Vec<_> = self.0.book().values().map(|live| live.session.clone()).collect();
        sessions.iter().for_each(tokio_util::sync::CancellationToken::cancel);
        let ids: Vec<_> = self.0.book().keys().cloned().collect();
        for id in ids {
            self.0.save(&id).await;
        }
    }

    fn offer(&self, id: &TransferId) -> Result<DeviceId, FilesError> {
        let book = self.0.book();
        let live = book.get(id).ok_or_else(|| no_transfer(id))?;
        if live.is_offer() {
            Ok(live.saved.transfer.device.clone())
        } else {
            Err(FilesError::NotNow("not an offer that waits", "answered"))
        }
    }

    fn answer(&self, id: &TransferId, yes: bool) -> Result<(), FilesError> {
        let answer = {
            let mut book = self.0.book();
            let live = book.get_mut(id).ok_or_else(|| no_transfer(id))?;
            if live.answer.is_none() {
                // The sender is away; it is answered when it comes back.
                live.saved.accepted = yes;
            }
            live.answer.take()
        };
        if let Some(answer) = answer {
            let _ = answer.send(yes);
            return Ok(());
        }
        if yes {
            self.0.change(id, |live| {
                live.saved.transfer.deadline = None;
                live.saved.transfer.state = State::Paused;
                live.saved.transfer.message = Some("goes on when the sender is back".to_owned());
            });
        }
        let (inner, id) = (self.0.clone(), id.clone());
        self.0.runtime.spawn(async move {
            match yes {
                true => inner.save(&id).await,
                false => inner.give_up(&id, State::Refused, "you refused it").await,
            }
        });
        Ok(())
    }
}

fn bounded(text: String) -> Result<String, FilesError> {
    match text.len() {
        0 => Err(FilesError::Nothing),
        length if length > MAX_TEXT => Err(FilesError::BadText("the text is longer than 1 MiB; send it as a file")),
        _ => Ok(text),
    }
}

fn no_transfer(id: &TransferId) -> FilesError {
    FilesError::NoTransfer(id.to_string())
}

pub(crate) fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the system gives random bytes");
    id
}

pub(crate) fn new_transfer(
    id: TransferId,
    direction: Direction,
    device: DeviceId,
    kind: Kind,
    state: State,
) -> Transfer {
    Transfer {
        id,
        direction,
        device,
        kind,
        state,
        message: None,
        items: Vec::new(),
        files_total: 0,
        files_done: 0,
        bytes_total: 0,
        bytes_done: 0,
        exact: false,
        rate: None,
        remaining_s: None,
        carrier: None,
        created: Timestamp::now(),
        finished: None,
        text: None,
        saved_to: Vec::new(),
        skipped: Vec::new(),
        skipped_count: 0,
        deadline: None,
    }
}

/// Removes what lies in the inbox of a transfer that is not complete.
pub(crate) async fn remove_partial(inbox: PathBuf, id: TransferId) {
    let removed = tokio::task::spawn_blocking(move || discard(&inbox, id.as_str())).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, "a partial transfer could not be removed");
    }
}

impl Inner {
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn inbox(&self) -> PathBuf {
        self.inbox.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes a transfer and tells it.
    pub fn change(&self, id: &TransferId, change: impl FnOnce(&mut Live)) {
        if let Some(live) = self.book().get_mut(id) {
            change(live);
            live.saved.touched = Timestamp::now();
        }
        self.tell(id);
    }

    pub fn set(&self, id: &TransferId, state: State, message: Option<String>) {
        self.change(id, |live| {
            live.saved.transfer.state = state;
            live.saved.transfer.message = message;
        });
    }

    /// The transfer is over.
    pub async fn end(&self, id: &TransferId, state: State, message: Option<String>) {
        self.change(id, |live| {
            live.refresh();
            live.running = false;
            live.answer = None;
            live.reader = None;
            let transfer = &mut live.saved.transfer;
            transfer.state = state;
            transfer.message = message;
            transfer.deadline = None;
            transfer.finished = Some(Timestamp::now());
        });
        self.save(id).await;
        self.limit_history().await;
    }

    /// An incoming transfer is over without having come; what came of it goes.
    pub async fn give_up(&self, id: &TransferId, state: State, why: &str) {
        self.end(id, state, Some(why.to_owned())).await;
        let incoming = self.book().get(id).map(|live| live.saved.clone());
        if let Some(saved) = incoming.filter(|saved| saved.transfer.direction == Direction::In) {
            remove_partial(saved.inbox, id.clone()).await;
        }
    }

    pub fn tell(&self, id: &TransferId) {
        let view = self.book().get_mut(id).map(Live::view);
        if let Some(transfer) = view {
            let _ = self.events.send(FilesEvent::Changed(transfer));
        }
    }

    /// Remembers how a transfer stands.
    pub async fn save(&self, id: &TransferId) {
        let _one_at_a_time = self.saving.lock().await;
        let Some(saved) = self.book().get_mut(id).map(|live| {
            live.refresh();
            live.saved.clone()
        }) else {
            return;
        };
        let dir = self.dir.clone();
        let outcome = tokio::task::spawn_blocking(move || book::save(&dir, &saved)).await;
        if let Ok(Err(error)) = outcome {
            tracing::error!(%error, "a transfer could not be remembered");
        }
    }

    /// Tells progress until the returned guard is dropped.
    pub fn tell_progress(self: &Arc<Self>, id: &TransferId) -> tokio_util::task::AbortOnDropHandle<()> {
        let (weak, id) = (Arc::downgrade(self), id.clone());
        self.change(&id, |live| live.rate.reset());
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = tokio::time::interval(TELL);
            let mut last = None;
            loop {
                tick.tick().await;
                let Some(inner) = weak.upgrade() else { return };
                let now = {
                    let mut book = inner.book();
                    let Some(live) = book.get_mut(&id) else { return };
                    let bytes = live.progress.bytes.load(std::sync::atomic::Ordering::Relaxed);
                    live.rate.sample(bytes);
                    (bytes, live.progress.files.load(std::sync::atomic::Ordering::Relaxed), live.rate.now())
                };
                if last.replace(now) != Some(now) {
                    inner.tell(&id);
                }
            }
        }))
    }

    async fn limit_history(&self) {
        let mut gone = Vec::new();
        {
            let mut book = self.book();
            let mut over: Vec<_> = book
                .iter()
                .filter(|(_, live)| live.saved.transfer.state.is_over() && !live.running)
                .map(|(id, live)| (live.saved.transfer.created, id.clone()))
                .collect();
            over.sort();
            let too_many = over.len().saturating_sub(self.config.history);
            for (_, id) in over.into_iter().take(too_many) {
                gone.extend(book.remove(&id).map(|live| live.saved));
            }
        }
        for saved in gone {
            self.forget(saved).await;
        }
    }

    /// What is left of a transfer that is off the list.
    async fn forget(&self, saved: Saved) {
        let id = saved.transfer.id;
        book::forget(&self.dir, &id);
        if saved.transfer.direction == Direction::In {
            remove_partial(saved.inbox, id.clone()).await;
        }
        let _ = self.events.send(FilesEvent::Gone(id));
    }

    /// Removes partial transfers that no sender can go on with any more. Blocking.
    fn sweep(&self) {
        let mut inboxes: BTreeSet<PathBuf> = self.book().values().map(|live| live.saved.inbox.clone()).collect();
        inboxes.insert(self.inbox());
        for inbox in inboxes {
            for id in untouched(&inbox, self.config.resume_within) {
                let open = self
                    .book()
                    .values()
                    .any(|live| live.saved.transfer.id.as_str() == id && !live.saved.transfer.state.is_over());
                if !open && let Err(error) = discard(&inbox, &id) {
                    tracing::warn!(%error, "a partial transfer could not be removed");
                }
            }
        }
    }

    /// After a start: what was not over goes on.
    fn go_on(self: &Arc<Self>) {
        let open: Vec<Saved> = {
            let book = self.book();
            for (id, live) in book.iter().filter(|(_, live)| live.saved.transfer.state == State::Done) {
                // Killed between remembering and tidying.
                let _ = discard(&live.saved.inbox, id.as_str());
            }
            let open = book.values().filter(|live| !live.saved.transfer.state.is_over());
            open.map(|live| live.saved.clone()).collect()
        };
        for saved in open {
            let id = saved.transfer.id.clone();
            let inner = self.clone();
            match saved.transfer.direction {
                Direction::Out if saved.stream.is_some() => {
                    let message = FilesError::StreamGone.to_string();
                    tokio::spawn(async move { inner.end(&id, State::Failed, Some(message)).await });
                }
                Direction::Out => {
                    self.change(&id, |live| live.running = true);
                    tokio::spawn(outgoing::run(inner, id));
                }
                Direction::In => {
                    let state = if saved.accepted { State::Paused } else { State::Offered };
                    self.set(&id, state, Some("goes on when the sender is back".to_owned()));
                    tokio::spawn(async move { inner.finish_published(&id, &saved.inbox).await });
                }
            }
        }
    }

    /// A transfer that was complete when the hub was killed needs no sender any more.
    async fn finish_published(self: Arc<Self>, id: &TransferId, inbox: &Path) {
        let Some(turn) = self.book().get(id).map(|live| live.turn.clone()) else { return };
        let _turn = turn.lock_owned().await;
        let (inbox_path, name) = (inbox.to_owned(), id.clone());
        let finished = tokio::task::spawn_blocking(move || {
            if !folder(&inbox_path, name.as_str()).is_dir() {
                return Ok(None);
            }
            let mut store = Store::open(&inbox_path, name.as_str())?;
            if !store.complete {
                return Ok(None);
            }
            let saved_to = store.finish()?;
            Ok::<_, std::io::Error>(Some(crate::engine::unpack::summary(&store, saved_to)))
        });
        if let Ok(Ok(Some(received))) = finished.await {
            self.received(id, &received, "").await;
            remove_partial(inbox.to_owned(), id.clone()).await;
        }
    }
}

/// Now and then: what nobody answered, what does not come back and what is left of it are given up.
async fn keep_tidy(weak: Weak<Inner>) {
    let mut tick = tokio::time::interval(TIDY);
    loop {
        tick.tick().await;
        let Some(inner) = weak.upgrade() else { return };
        let mut over = Vec::new();
        for (id, live) in inner.book().iter() {
            let Saved { transfer, touched, .. } = &live.saved;
            let waits = transfer.direction == Direction::In && !live.running;
            let unanswered = transfer.deadline.is_some_and(|deadline| deadline < Timestamp::now());
            if waits && live.is_offer() && unanswered {
                over.push((id.clone(), State::Refused, "not answered in time"));
            } else if waits && transfer.state == State::Paused && age(*touched) > inner.config.resume_within {
                over.push((id.clone(), State::Failed, "the sender did not come back"));
            }
        }
        for (id, state, why) in over {
            inner.give_up(&id, state, why).await;
        }
        let _ = tokio::task::spawn_blocking(move || inner.sweep()).await;
    }
}

fn age(then: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(then)).unwrap_or_default()
}
