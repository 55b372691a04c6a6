//! One incoming connection: the offer, the owner's answer, the engine, and what is remembered of it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use accord_consent::{Received as Recorded, RecipientId, ledger::Item as LedgerItem};
use accord_model::{CallError, DeviceId, Inputs, Target, Timestamp, Verb, text::for_screen};
use accord_registry::{Answer, ByteStream, PathInfo, ServiceHandler};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::{Direction, Item, Kind, MAX_TEXT, State, TransferId};
use crate::block::Pool;
use crate::book::{Live, Saved};
use crate::engine::bounds::Bounds;
use crate::engine::receive::{self, Intake, ReceiveEnd};
use crate::engine::store::Store;
use crate::engine::unpack::{Received, Unpacker, check_space};
use crate::engine::{IDLE, Sink};
use crate::files::{Inner, new_transfer, remove_partial};
use crate::outgoing::fields;
use crate::outlet::{Gated, OpenError, Way};
use crate::wire::{Back, FailReason, Offer, RefusedReason, StopReason, VERSION};

/// Offers that may wait at once, of all devices.
const OFFERS: usize = 64;
/// How long an older connection of the same transfer may take to let go.
const TAKE_OVER: Duration = Duration::from_secs(60);

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Answers for the service `files`.
pub(crate) struct Handler(pub Weak<Inner>);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, _: DeviceId, _: Target, _: Verb) -> Result<Answer, CallError> {
        Err(CallError::Unsupported("files come on a stream".to_owned()))
    }

    async fn stream(&self, from: DeviceId, _: Target, _: Inputs, stream: ByteStream) {
        let Some(inner) = self.0.upgrade() else { return };
        let ByteStream { reader, writer, path } = stream;
        match Intake::open(reader).await {
            Ok((intake, offer)) => {
                let way = Way::receive(&inner.gate, &from);
                let (writer, sink) = (Mutex::new(Some(writer)), Mutex::new(None));
                Incoming { inner, from, offer, way, path, writer, sink, pool: Pool::default() }.run(intake).await;
            }
            Err(end) => tracing::info!(device = %from, ?end, "a stream without an offer"),
        }
    }
}

struct Incoming {
    inner: Arc<Inner>,
    from: DeviceId,
    offer: Offer,
    way: Way,
    path: PathInfo,
    // Mutexes only because the boxed writer is not `Sync`; never contended.
    writer: Mutex<Option<Writer>>,
    sink: Mutex<Option<Gated>>,
    pool: Pool,
}

fn inside<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a transfer when it is offered.
enum Known {
    New,
    Accepted,
    Done(Received),
    Refused,
    Cancelled,
}

/// What a transfer is called here that a device offers under this id.
pub(crate) fn id_of(transfer: &[u8; 16], from: &DeviceId) -> TransferId {
    let mut hash = blake3::Hasher::new();
    hash.update(transfer);
    hash.update(from.as_str().as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    TransferId::of(&id)
}

impl Incoming {
    fn id(&self) -> TransferId {
        id_of(&self.offer.transfer, &self.from)
    }

    async fn run(mut self, mut intake: Intake<Reader>) {
        if self.offer.version != VERSION {
            return self.no(intake, RefusedReason::Version).await;
        }
        let id = self.id();
        let Some((cancel, session, turn)) = self.take_over(&id).await else { return };
        let known = self.known(&id);
        let accepted = match known {
            Known::Refused => return self.no(intake, RefusedReason::Owner).await,
            Known::Cancelled => return self.word(intake, Back::Failed(FailReason::Cancelled)).await,
            Known::Done(received) => return self.done_before(intake, &received).await,
            Known::Accepted => true,
            Known::New => match self.enter(&id, &cancel, &session) {
                Ok(None) => self.is_expected(),
                Ok(Some(given_up)) => {
                    self.inner.give_up(&given_up, State::Refused, "its sender went away").await;
                    self.is_expected()
                }
                Err(reason) => return self.no(intake, reason).await,
            },
        };
        let yes = tokio::select! {
            yes = self.decide(&id, &mut intake, accepted) => yes,
            () = cancel.cancelled() => Some(Err(RefusedReason::Owner)),
            () = session.cancelled() => return,
        };
        match yes {
            None => {}
            Some(Ok(())) => self.receive(&id, intake, &cancel, session, turn).await,
            Some(Err(reason)) => {
                let (state, why) = match reason {
                    RefusedReason::NoAnswer => (State::Refused, "not answered in time"),
                    _ if cancel.is_cancelled() => (State::Cancelled, "you cancelled it"),
                    _ => (State::Refused, "you refused it"),
                };
                self.inner.give_up(&id, state, why).await;
                self.no(intake, reason).await;
            }
        }
    }

    /// Whether the owner asked the device for this very transfer: one file at a time is asked for.
    fn is_expected(&self) -> bool {
        let one = self.offer.kind == Kind::Files && self.offer.exact && self.offer.files == 1;
        let folder = self.offer.preview.iter().any(|item| item.folder);
        self.inner.expected.take(&self.offer.transfer, &self.from) && one && !folder
    }

    /// Waits until no other connection works on this transfer.
    async fn take_over(
        &self,
        id: &TransferId,
    ) -> Option<(CancellationToken, CancellationToken, Option<tokio::sync::OwnedMutexGuard<()>>)> {
        let found = self.inner.book().get_mut(id).map(|live| {
            live.session.cancel();
            live.session = CancellationToken::new();
            (live.cancel.clone(), live.session.clone(), live.turn.clone())
        });
        let Some((cancel, session, turn)) = found else {
            return Some((CancellationToken::new(), CancellationToken::new(), None));
        };
        let turn = tokio::time::timeout(TAKE_OVER, turn.lock_owned()).await.ok()?;
        Some((cancel, session, Some(turn)))
    }

    fn known(&self, id: &TransferId) -> Known {
        let book = self.inner.book();
        let Some(live) = book.get(id) else { return Known::New };
        let transfer = &live.saved.transfer;
        match transfer.state {
            State::Done => Known::Done(Received {
                files: transfer.files_done,
                bytes: transfer.bytes_done,
                failed_count: transfer.skipped_count,
                ..Received::default()
            }),
            State::Refused if transfer.message.as_deref() == Some("you refused it") => Known::Refused,
            State::Cancelled => Known::Cancelled,
            _ if live.saved.accepted && self.is_agreed(&live.saved) => Known::Accepted,
            _ => Known::New,
        }
    }

    /// Whether this is still what the owner said yes to.
    fn is_agreed(&self, saved: &Saved) -> bool {
        saved.offer.as_ref().is_some_and(|agreed| Bounds::of(agreed).cover(&self.offer))
    }

    /// Puts the offer on the list. `Some`: the device's oldest offer gives its place up, as its sender is away.
    fn enter(
        &self,
        id: &TransferId,
        cancel: &CancellationToken,
        session: &CancellationToken,
    ) -> Result<Option<TransferId>, RefusedReason> {
        let mut book = self.inner.book();
        let waits = |live: &&Live| live.is_offer() && live.saved.transfer.id != *id;
        let others: Vec<_> = book.values().filter(waits).map(|live| (&live.saved.transfer, live.running)).collect();
        let of_device: Vec<_> = others.iter().filter(|(transfer, _)| transfer.device == self.from).collect();
        let mut given_up = None;
        if others.len() >= OFFERS || of_device.len() >= self.inner.config.offers_per_device {
            let away = of_device.iter().filter(|(_, running)| !running).map(|(transfer, _)| transfer);
            let oldest = away.min_by_key(|transfer| transfer.created).ok_or(RefusedReason::Busy)?;
            given_up = Some(oldest.id.clone());
        }
        let mut transfer = new_transfer(id.clone(), Direction::In, self.from.clone(), self.offer.kind, State::Offered);
        transfer.items = self
            .offer
            .preview
            .iter()
            .map(|item| Item { name: for_screen(&item.name, 255), size: item.size, folder: item.folder })
            .collect();
        (transfer.files_total, transfer.bytes_total) = (self.offer.files, self.offer.bytes);
        transfer.exact = self.offer.exact;
        transfer.deadline = Some(Timestamp::now() + self.inner.config.answer_within);
        let saved = Saved {
            transfer,
            wire: self.offer.transfer,
            paths: Vec::new(),
            stream: None,
            accepted: false,
            offer: Some(self.offer.clone()),
            inbox: self.inner.inbox(),
            touched: Timestamp::now(),
        };
        let earlier = book.remove(id);
        let mut live = Live::new(saved);
        if let Some(earlier) = earlier {
            live.turn = earlier.turn;
        }
        live.cancel = cancel.clone();
        live.session = session.clone();
        book.insert(id.clone(), live);
        Ok(given_up)
    }

    /// Opens the way back, if the owner agreed to answer this device.
    async fn open(&mut self) {
        if self.sink().is_some() || self.way.check_and_ask().is_err() {
            return;
        }
        let writer = inside(&mut self.writer).take();
        if let Some(writer) = writer {
            match self.way.open(writer, &self.path).await {
                Ok(sink) => *self.sink() = Some(sink),
                Err(OpenError::Refused(refusal)) => tracing::warn!(%refusal, "an offer cannot be answered"),
                Err(OpenError::Send(error)) => tracing::warn!(%error, "an offer cannot be answered"),
            }
        }
    }

    fn sink(&mut self) -> &mut Option<Gated> {
        inside(&mut self.sink)
    }

    /// The owner's answer. `None`: the sender is gone.
    async fn decide(
        &mut self,
        id: &TransferId,
        intake: &mut Intake<Reader>,
        accepted: bool,
    ) -> Option<Result<(), RefusedReason>> {
        let (answer, mut answered) = oneshot::channel();
        let mut yes = accepted || self.inner.config.policy.accepts(&self.from);
        self.inner.change(id, |live| {
            live.running = true;
            live.answer = (!yes).then_some(answer);
            live.saved.transfer.state = State::Offered;
            live.saved.transfer.finished = None;
            live.saved.transfer.carrier = Some(self.path.carrier.clone());
        });
        self.inner.save(id).await;
        let deadline = Instant::now() + self.inner.config.answer_within;
        let mut tick = tokio::time::interval(IDLE);
        loop {
            self.open().await;
            let open = self.sink().is_some();
            if yes && open {
                self.inner.change(id, |live| {
                    live.saved.accepted = true;
                    live.saved.transfer.deadline = None;
                });
                return Some(Ok(()));
            }
            if !open && inside(&mut self.writer).is_none() {
                self.away(id, "the answer could not be sent").await;
                return None;
            }
            let message = (!open).then(|| format!("waits for your consent to `{}`", self.way.entry));
            if self.inner.book().get(id).is_some_and(|live| live.saved.transfer.message != message) {
                self.inner.change(id, |live| live.saved.transfer.message = message);
            }
            tokio::select! {
                outcome = &mut answered, if !yes => match outcome {
                    Ok(true) => yes = true,
                    Ok(false) => return Some(Err(RefusedReason::Owner)),
                    Err(_) => return None,
                },
                totals = intake.totals() => match totals {
                    Ok((files, bytes)) => self.counted(id, files, bytes),
                    Err(ReceiveEnd::Stopped(StopReason::Cancelled)) => {
                        self.inner.give_up(id, State::Cancelled, "the sender cancelled it").await;
                        return None;
                    }
                    Err(end) => {
                        self.away(id, &in_words(&end)).await;
                        return None;
                    }
                },
                () = tokio::time::sleep_until(deadline) => return Some(Err(RefusedReason::NoAnswer)),
                () = self.way.allowed(), if !open => {}
                _ = tick.tick() => {
                    if let Some(sink) = inside(&mut self.sink)
                        && receive::answer(sink, &self.pool, &Back::Waiting).await.is_err()
                    {
                        self.away(id, "the connection broke").await;
                        return None;
                    }
                }
            }
        }
    }

    /// The sender has counted everything meanwhile; the owner is shown that instead. An exact offer stays as it is.
    fn counted(&mut self, id: &TransferId, files: u64, bytes: u64) {
        if self.offer.exact {
            return;
        }
        (self.offer.files, self.offer.bytes, self.offer.exact) = (files, bytes, true);
        self.inner.change(id, |live| {
            live.progress.total(files, bytes, true);
            if !live.saved.accepted {
                live.saved.offer = Some(self.offer.clone());
            }
        });
    }

    /// The sender is away; it may come back. An offer goes on waiting for the owner until its deadline.
    async fn away(&self, id: &TransferId, why: &str) {
        self.inner.change(id, |live| {
            live.running = false;
            live.answer = None;
            live.saved.transfer.state = if live.saved.accepted { State::Paused } else { State::Offered };
            live.saved.transfer.message = Some(format!("{why}; goes on when the sender is back"));
        });
        self.inner.save(id).await;
    }

    async fn receive(
        mut self,
        id: &TransferId,
        mut intake: Intake<Reader>,
        cancel: &CancellationToken,
        session: CancellationToken,
        turn: Option<tokio::sync::OwnedMutexGuard<()>>,
    ) {
        let Some(mut sink) = self.sink().take() else { return };
        let Some((turn, progress, inbox)) = self.turn(id, turn).await else { return };
        let opened = tokio::task::spawn_blocking({
            let (inbox, id, offer) = (inbox.clone(), id.clone(), self.offer.clone());
            move || {
                let mut store = Store::open(&inbox, id.as_str())?;
                let space = check_space(&mut store, &offer);
                let partial = store.partial();
                Ok::<_, std::io::Error>((store, partial, space))
            }
        });
        let opened = self.keep_waiting(&mut sink, opened).await;
        let ready = match opened {
            Ok((store, partial, Ok(()))) => Ok((store, partial)),
            Ok((_, _, Err(failure))) => Err(ReceiveEnd::from(failure)),
            Err(error) => {
                Err(ReceiveEnd::Failed(FailReason::Disk, format!("{} cannot be used: {error}", inbox.display())))
            }
        };
        let (end, intake_or_reader) = match ready {
            Err(end) => (end, None),
            Ok((store, partial)) => {
                let have: Vec<_> = store.held.keys().copied().collect();
                match receive::accept(&mut sink, &self.pool, &have, partial).await {
                    Err(error) => (error.into(), None),
                    Ok(()) => {
                        progress.total(self.offer.files, self.offer.bytes, self.offer.exact);
                        progress.clear_skipped();
                        self.inner.set(id, State::Running, None);
                        let _telling = self.inner.tell_progress(id);
                        let unpacker = Unpacker::new(store, intake.decoder(), self.bounds(id), progress);
                        // Not a cancel: to the sender a session that ends is a broken link, after which it goes on.
                        let ended = tokio::select! {
                            biased;
                            ended = receive::run(intake, &mut sink, &self.pool, unpacker, cancel, turn) => Some(ended),
                            () = session.cancelled() => None,
                        };
                        match ended {
                            Some((end, reader)) => (end, Some(reader)),
                            None => (ReceiveEnd::Broken("the session ended".to_owned()), None),
                        }
                    }
                }
            }
        };
        if session.is_cancelled() && !cancel.is_cancelled() && !matches!(end, ReceiveEnd::Received(_)) {
            // A newer connection goes on, or the hub ends.
            let _ = sink.record_end(Err("taken over".to_owned())).await;
            return;
        }
        self.over(id, end, sink, intake_or_reader, &inbox).await;
    }

    /// What the owner said yes to, now or before the link broke.
    fn bounds(&self, id: &TransferId) -> Bounds {
        if self.inner.config.policy.accepts(&self.from) {
            return Bounds::unasked(&self.offer);
        }
        let agreed = self.inner.book().get(id).and_then(|live| live.saved.offer.clone());
        Bounds::of(agreed.as_ref().unwrap_or(&self.offer))
    }

    async fn turn(
        &self,
        id: &TransferId,
        turn: Option<tokio::sync::OwnedMutexGuard<()>>,
    ) -> Option<(tokio::sync::OwnedMutexGuard<()>, Arc<crate::engine::Progress>, std::path::PathBuf)> {
        let (lock, progress, inbox) = {
            let book = self.inner.book();
            let live = book.get(id)?;
            (live.turn.clone(), live.progress.clone(), live.saved.inbox.clone())
        };
        let turn = match turn {
            Some(turn) => turn,
            None => lock.lock_owned().await,
        };
        Some((turn, progress, inbox))
    }

    /// Tells the sender to wait while what is here is read.
    async fn keep_waiting<T>(
        &self,
        sink: &mut Gated,
        task: tokio::task::JoinHandle<std::io::Result<T>>,
    ) -> std::io::Result<T> {
        let mut task = std::pin::pin!(task);
        loop {
            match tokio::time::timeout(IDLE, &mut task).await {
                Ok(outcome) => return outcome.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into())),
                Err(_) => {
                    let _ = receive::answer(sink, &self.pool, &Back::Waiting).await;
                }
            }
        }
    }

    async fn over(&self, id: &TransferId, end: ReceiveEnd, mut sink: Gated, reader: Option<Reader>, inbox: &Path) {
        let message = in_words(&end);
        let goes_on = match &end {
            ReceiveEnd::Failed(reason, _) => matches!(reason, FailReason::NoSpace { .. } | FailReason::Disk),
            ReceiveEnd::Stopped(reason) => *reason == StopReason::Withdrawn,
            ReceiveEnd::Withdrawn(_) | ReceiveEnd::Denied(_) | ReceiveEnd::Broken(_) | ReceiveEnd::More => true,
            ReceiveEnd::Received(_) | ReceiveEnd::Cancelled => false,
        };
        if let ReceiveEnd::Received(received) = &end {
            // Recorded and remembered before anything is tidied and before the sender is told.
            self.inner.received(id, received, &self.path.address).await;
        }
        if !goes_on {
            remove_partial(inbox.to_owned(), id.clone()).await;
        }
        let (state, record) = match end {
            ReceiveEnd::Received(received) => {
                if let Some(mut reader) = reader {
                    receive::acknowledge(&mut sink, &self.pool, &mut reader, &received).await;
                }
                (None, Ok(()))
            }
            ReceiveEnd::Failed(reason, _) => {
                if reader.is_none() {
                    let _ = receive::answer(&mut sink, &self.pool, &Back::Failed(reason)).await;
                    let _ = sink.flush().await;
                }
                (Some(State::Failed), Err(message.clone()))
            }
            ReceiveEnd::Stopped(StopReason::Cancelled) | ReceiveEnd::Cancelled => (Some(State::Cancelled), Ok(())),
            ReceiveEnd::Stopped(_) => (Some(State::Failed), Ok(())),
            ReceiveEnd::Withdrawn(_) | ReceiveEnd::Denied(_) => (Some(State::Failed), Err(message.clone())),
            ReceiveEnd::Broken(_) | ReceiveEnd::More => {
                if matches!(end, ReceiveEnd::More) {
                    self.ask_again(id);
                }
                self.away(id, &message).await;
                (None, Err(message.clone()))
            }
        };
        if let Some(state) = state {
            self.inner.end(id, state, Some(message)).await;
        }
        if let Err(error) = sink.record_end(record).await {
            tracing::warn!(%error, "the end of a transfer could not be recorded");
        }
    }

    /// The owner's yes does not cover what comes: the sender's next offer is shown anew.
    fn ask_again(&self, id: &TransferId) {
        self.inner.change(id, |live| {
            live.saved.accepted = false;
            live.saved.transfer.deadline = Some(Timestamp::now() + self.inner.config.answer_within);
        });
    }

    async fn done_before(self, intake: Intake<Reader>, received: &Received) {
        let done = Back::Done {
            files: received.files,
            bytes: received.bytes,
            failed: Vec::new(),
            failed_count: received.failed_count,
        };
        self.word(intake, done).await;
    }

    async fn no(self, intake: Intake<Reader>, reason: RefusedReason) {
        self.word(intake, Back::Refused(reason)).await;
    }

    /// Says one last word, if the owner agreed to answer at all.
    async fn word(mut self, intake: Intake<Reader>, word: Back) {
        self.open().await;
        let Some(mut sink) = self.sink().take() else { return };
        receive::last_word(&mut sink, &self.pool, &mut intake.into_reader(), &word).await;
        let _ = sink.record_end(Ok(())).await;
    }
}

fn in_words(end: &ReceiveEnd) -> String {
    match end {
        ReceiveEnd::Received(received) if received.failed_count > 0 => {
            format!("done, but {} items were not taken", received.failed_count)
        }
        ReceiveEnd::Received(_) => "done".to_owned(),
        ReceiveEnd::Failed(_, message) => message.clone(),
        ReceiveEnd::Stopped(StopReason::Cancelled) => "the sender cancelled it".to_owned(),
        ReceiveEnd::Stopped(StopReason::Withdrawn) => "the sender stopped: it no longer shares this".to_owned(),
        ReceiveEnd::Stopped(StopReason::Failed) => "the sender stopped".to_owned(),
        ReceiveEnd::Withdrawn(_) => "consent withdrawn".to_owned(),
        ReceiveEnd::Denied(why) => why.clone(),
        ReceiveEnd::Cancelled => "you cancelled it".to_owned(),
        ReceiveEnd::More => "it is more than you agreed to".to_owned(),
        ReceiveEnd::Broken(why) => format!("the sender stopped or the link broke ({why})"),
    }
}

impl Inner {
    /// An incoming transfer is complete; remembered before the sender is told.
    pub(crate) async fn received(&self, id: &TransferId, received: &Received, address: &str) {
        self.record(id, received, address).await;
        let kind = self.book().get(id).map(|live| live.saved.transfer.kind);
        let text = match (kind, received.saved_to.first()) {
            (Some(Kind::Text | Kind::Url), Some(path)) => read_text(path.clone()).await,
            _ => None,
        };
        self.change(id, |live| {
            live.progress.total(received.files, received.bytes, true);
            live.progress.at(received.files, received.bytes);
            live.saved.transfer.saved_to = received.saved_to.clone();
            live.saved.transfer.text = text;
        });
        let message =
            (received.failed_count > 0).then(|| format!("done, but {} items were not taken", received.failed_count));
        self.end(id, State::Done, message).await;
    }

    /// What came in, for the ledger: once, though the hub be killed before or after.
    async fn record(&self, id: &TransferId, received: &Received, address: &str) {
        let about = format!("transfer {id}");
        let Some((transfer, reloaded)) = self.book().get_mut(id).map(|live| (live.view(), live.reloaded)) else {
            return;
        };
        if reloaded && self.gate.has_received(&about).await.unwrap_or(false) {
            return;
        }
        let item = |item: &Item| LedgerItem { name: item.name.clone(), size: item.size.unwrap_or(0), digest: None };
        let recorded = Recorded {
            entry: Some(Way::receive(&self.gate, &transfer.device).entry),
            from: RecipientId::device(&transfer.device),
            address: address.to_owned(),
            fields: fields(transfer.kind),
            bytes: received.bytes,
            scenario: "on.receive".to_owned(),
            items: transfer.items.iter().map(item).collect(),
            about: Some(about),
        };
        if let Err(error) = self.gate.received(recorded).await {
            tracing::error!(%error, "what was received could not be recorded");
        }
    }
}

async fn read_text(path: std::path::PathBuf) -> Option<String> {
    use std::io::Read;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_TEXT as u64).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    });
    read.await.ok()?.ok()
}
