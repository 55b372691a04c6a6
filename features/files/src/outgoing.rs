//! One outgoing transfer: consent, a way to the device, the engine, and again after a break.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::Refusal;
use accord_model::{CallError, Data, DeviceId, FieldCode, FieldSet, Reach, StreamClass, Target};
use accord_registry::{ByteStream, RegistryEvent};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::{Item, Kind, State, TransferId};
use crate::book::Saved;
use crate::engine::pack::Input;
use crate::engine::send::{self, Phase, SendEnd, Sending};
use crate::engine::unpack::{item_reason, size};
use crate::files::{Inner, SERVICE};
use crate::outlet::{OpenError, Way};
use crate::scan::{self, Root, count};
use crate::wire::{FailReason, ItemReason, Offer, RefusedReason, VERSION};

/// Longest count before the offer.
const COUNT: Duration = Duration::from_millis(300);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What kinds of data a transfer holds.
pub(crate) fn fields(kind: Kind) -> FieldSet {
    match kind {
        Kind::Files => FieldSet::from_iter([FieldCode::FileName, FieldCode::FileContent, FieldCode::FileMeta]),
        Kind::Text | Kind::Url => FieldSet::one(FieldCode::TextContent),
    }
}

/// Whether the owner can still say yes; otherwise it is a no.
pub(crate) fn may_be_asked(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Undecided { .. } | Refusal::Lapsed { .. } | Refusal::Expired { .. })
}

/// A root as the list shows it.
pub(crate) fn item(root: &Root) -> Item {
    let metadata = std::fs::metadata(&root.source).ok();
    Item {
        name: accord_model::text::for_screen(&root.name, 255),
        size: metadata.as_ref().filter(|metadata| metadata.is_file()).map(std::fs::Metadata::len),
        folder: metadata.is_some_and(|metadata| metadata.is_dir()),
    }
}

/// What one attempt came to.
enum Tried {
    Over(State, Option<String>),
    /// Try again later.
    Broken(String),
    /// The owner has to decide first.
    Ask(Refusal),
}

/// Runs a transfer until it is over.
pub(crate) async fn run(inner: Arc<Inner>, id: TransferId) {
    let Some((cancel, session)) = inner.book().get_mut(&id).map(|live| {
        live.session = live.cancel.child_token();
        (live.cancel.clone(), live.session.clone())
    }) else {
        return;
    };
    let over = tokio::select! {
        biased;
        over = attempts(&inner, &id, &cancel) => over,
        // The hub ends; the transfer goes on with the next start.
        () = stopped(&cancel, &session) => return,
    };
    inner.end(&id, over.0, over.1).await;
}

async fn stopped(cancel: &CancellationToken, session: &CancellationToken) {
    session.cancelled().await;
    if cancel.is_cancelled() {
        std::future::pending::<()>().await;
    }
}

async fn attempts(inner: &Arc<Inner>, id: &TransferId, cancel: &CancellationToken) -> (State, Option<String>) {
    let Some(saved) = inner.book().get(id).map(|live| live.saved.clone()) else { return (State::Cancelled, None) };
    let device = saved.transfer.device.clone();
    let way = Way::send(&inner.gate, &device, fields(saved.transfer.kind));
    let (mut broken_since, mut wait) = (Instant::now(), FIRST_WAIT);
    let mut moved = 0;
    loop {
        let tried = tokio::select! {
            biased;
            tried = attempt(inner, id, &way, cancel) => tried,
            () = cancelled_before_sending(inner, id, cancel) => Tried::Over(State::Cancelled, Some("you cancelled it".to_owned())),
        };
        match tried {
            Tried::Over(state, message) => return (state, message),
            Tried::Ask(refusal) => {
                inner.set(id, State::WaitingForConsent, Some(refusal.to_string()));
                inner.save(id).await;
                tokio::select! {
                    () = decided(&way) => {}
                    () = cancel.cancelled() => return (State::Cancelled, Some("you cancelled it".to_owned())),
                }
                if let Err(refusal) = way.check().map_err(|refusal| (may_be_asked(&refusal), refusal))
                    && !refusal.0
                {
                    return (State::Failed, Some(format!("not shared: {}", refusal.1)));
                }
                broken_since = Instant::now();
            }
            Tried::Broken(why) => {
                let (started, now_moved, is_stream) = {
                    let book = inner.book();
                    let Some(live) = book.get(id) else { return (State::Cancelled, None) };
                    let moved = live.progress.bytes.load(std::sync::atomic::Ordering::Relaxed);
                    (live.saved.accepted, moved, live.saved.stream.is_some())
                };
                if is_stream && started {
                    let message = format!(
                        "the connection broke ({why}), and standard input cannot be read a second time; send it again"
                    );
                    return (State::Failed, Some(message));
                }
                if now_moved > moved {
                    (moved, wait, broken_since) = (now_moved, FIRST_WAIT, Instant::now());
                }
                let limit = if started { inner.config.resume_within } else { inner.config.connect_within };
                if broken_since.elapsed() > limit {
                    return (State::Failed, Some(format!("{why}; try again when the device is on and near")));
                }
                let state = if started { State::Paused } else { State::Connecting };
                inner.set(id, state, Some(format!("{why}; tries again by itself")));
                inner.save(id).await;
                tokio::select! {
                    () = next_chance(inner, &device, wait) => {}
                    () = cancel.cancelled() => return (State::Cancelled, Some("you cancelled it".to_owned())),
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Cancels what has no stream yet; a running stream says so to the other side itself.
async fn cancelled_before_sending(inner: &Arc<Inner>, id: &TransferId, cancel: &CancellationToken) {
    cancel.cancelled().await;
    let sending =
        inner.book().get(id).is_some_and(|live| matches!(live.saved.transfer.state, State::Offered | State::Running));
    if sending {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Waits until the owner decided, either way.
async fn decided(way: &Way) {
    loop {
        tokio::select! {
            () = way.allowed() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                if way.check().is_err_and(|refusal| !may_be_asked(&refusal)) {
                    return;
                }
            }
        }
    }
}

/// Waits, or until the device is seen anew.
async fn next_chance(inner: &Arc<Inner>, device: &DeviceId, wait: Duration) {
    let mut events = inner.registry.events();
    let seen = async {
        tokio::time::sleep(FIRST_WAIT.min(wait)).await;
        loop {
            match events.recv().await {
                Ok(RegistryEvent::Seen(known))
                    if known.device.id == *device && known.device.reach != Reach::Offline =>
                {
                    return;
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        () = seen => {}
        () = tokio::time::sleep(wait) => {}
    }
}

async fn attempt(inner: &Arc<Inner>, id: &TransferId, way: &Way, cancel: &CancellationToken) -> Tried {
    if let Err(refusal) = way.check_and_ask() {
        if may_be_asked(&refusal) {
            return Tried::Ask(refusal);
        }
        return Tried::Over(State::Failed, Some(format!("not shared: {refusal}")));
    }
    let Some((saved, progress)) = inner.book().get(id).map(|live| (live.saved.clone(), live.progress.clone())) else {
        return Tried::Over(State::Cancelled, None);
    };
    let inputs = BTreeMap::from([("version".to_owned(), Data::Int(i64::from(VERSION)))]);
    let opened =
        inner.registry.open_stream(&saved.transfer.device, Target::new(SERVICE), inputs, StreamClass::Bulk).await;
    let ByteStream { reader, writer, path } = match opened {
        Ok(stream) => stream,
        Err(error @ (CallError::Unsupported(_) | CallError::BadInput(_))) => {
            return Tried::Over(State::Failed, Some(error.to_string()));
        }
        Err(error) => return Tried::Broken(error.to_string()),
    };
    let (offer, input, counted) = match prepare(inner, id, &saved).await {
        Ok(prepared) => prepared,
        Err(message) => return Tried::Over(State::Failed, Some(message)),
    };
    let mut sink = match way.open(writer, &path).await {
        Ok(sink) => sink,
        Err(OpenError::Refused(refusal)) if may_be_asked(&refusal) => return Tried::Ask(refusal),
        Err(OpenError::Refused(refusal)) => return Tried::Over(State::Failed, Some(format!("not shared: {refusal}"))),
        Err(OpenError::Send(error)) => return Tried::Over(State::Failed, Some(error.to_string())),
    };
    inner.change(id, |live| {
        live.saved.transfer.carrier = Some(path.carrier.clone());
        live.progress.total(offer.files, offer.bytes, offer.exact);
    });
    let _telling = inner.tell_progress(id);
    let fields = fields(saved.transfer.kind);
    let sending = Sending { offer, fields, input, progress, count: counted, cancel: cancel.clone() };
    let phase = |phase| match phase {
        Phase::Offered => inner.set(id, State::Offered, Some("waits for acceptance on the other device".to_owned())),
        Phase::Running => inner.change(id, |live| {
            live.saved.accepted = true;
            live.saved.transfer.state = State::Running;
            live.saved.transfer.message = None;
        }),
    };
    let end = send::run(&mut sink, reader, sending, phase).await;
    drop(_telling);
    let record = match &end {
        SendEnd::Done { .. } => Ok(()),
        other => Err(in_words(other)),
    };
    if let Err(error) = sink.record_end(record).await {
        tracing::error!(%error, "the end of a transfer could not be recorded");
    }
    outcome(inner, id, end)
}

fn outcome(inner: &Arc<Inner>, id: &TransferId, end: SendEnd) -> Tried {
    match end {
        SendEnd::Done { files, bytes, failed, failed_count } => {
            let mut left_out = 0;
            inner.change(id, |live| {
                // What this side gave up is named already.
                for reason in failed.iter().filter(|reason| **reason != ItemReason::Abandoned) {
                    live.progress.skip(format!("not taken by the other device: {}", item_reason(*reason)));
                }
                live.progress.skipped_at_least(failed_count);
                live.progress.at(files, bytes);
                live.progress.total(files, bytes, true);
                left_out = live.progress.skipped().count;
            });
            let items = if left_out == 1 { "1 item was" } else { &format!("{left_out} items were") };
            Tried::Over(State::Done, (left_out > 0).then(|| format!("done, but {items} left out")))
        }
        SendEnd::Broken(why) => Tried::Broken(why),
        SendEnd::Refused(_) => Tried::Over(State::Refused, Some(in_words(&end))),
        SendEnd::Cancelled | SendEnd::Failed(FailReason::Cancelled) => {
            Tried::Over(State::Cancelled, Some(in_words(&end)))
        }
        end => Tried::Over(State::Failed, Some(in_words(&end))),
    }
}

fn in_words(end: &SendEnd) -> String {
    match end {
        SendEnd::Done { .. } => "done".to_owned(),
        SendEnd::Refused(RefusedReason::Owner) => "the other device's owner said no".to_owned(),
        SendEnd::Refused(RefusedReason::NoAnswer) => "nobody answered on the other device; try again".to_owned(),
        SendEnd::Refused(RefusedReason::Busy) => "too many offers wait on the other device; try again later".to_owned(),
        SendEnd::Refused(RefusedReason::Version) => "the other device needs another version of Accord".to_owned(),
        SendEnd::Failed(FailReason::Cancelled) => "the other device's owner stopped it".to_owned(),
        SendEnd::Failed(FailReason::NoSpace { needed, free }) => {
            let (needed, free) = (size(*needed), size(*free));
            format!("the other device's disk is full: {needed} needed, {free} free; make room there, then retry")
        }
        SendEnd::Failed(FailReason::Disk) => {
            "the other device cannot write to its disk; see there, then retry".to_owned()
        }
        SendEnd::Failed(FailReason::Protocol) => {
            "the other device did not understand; both need the same version of Accord".to_owned()
        }
        SendEnd::Failed(FailReason::TooMuch) => "more was sent than was offered; send it again".to_owned(),
        SendEnd::Withdrawn(_) => "consent withdrawn".to_owned(),
        SendEnd::Unable(why) => why.clone(),
        SendEnd::Denied(why) | SendEnd::Broken(why) => why.clone(),
        SendEnd::Cancelled => "you cancelled it".to_owned(),
        SendEnd::Protocol(why) => format!("the other device does not keep to the protocol: {why}"),
    }
}

type Prepared = (Offer, Input, Option<oneshot::Receiver<scan::Count>>);

async fn prepare(inner: &Arc<Inner>, id: &TransferId, saved: &Saved) -> Result<Prepared, String> {
    let kind = saved.transfer.kind;
    let mut offer =
        Offer { version: VERSION, transfer: saved.wire, kind, files: 1, bytes: 0, exact: true, preview: Vec::new() };
    if let Some(text) = &saved.transfer.text {
        offer.bytes = text.len() as u64;
        let name = if kind == Kind::Url { "link.txt" } else { "text.txt" };
        return Ok((offer, Input::Bytes { name: name.to_owned(), bytes: text.as_bytes().into() }, None));
    }
    if let Some(name) = &saved.stream {
        offer.exact = false;
        offer.preview = vec![crate::wire::Preview { name: name.clone(), size: None, folder: false }];
        let reader = inner.book().get_mut(id).and_then(|live| live.reader.take());
        let reader = reader.ok_or_else(|| crate::api::FilesError::StreamGone.to_string())?;
        let reader = Box::new(Blocking { reader, runtime: tokio::runtime::Handle::current() });
        return Ok((offer, Input::Stream { name: name.clone(), reader }, None));
    }
    let paths = saved.paths.clone();
    let counted = tokio::task::spawn_blocking(move || {
        let roots = scan::roots(&paths).map_err(|(path, error)| scan::skipped_line(&path, &scan::reason(&error)))?;
        let found = count(&roots, COUNT);
        Ok::<_, String>((roots, found))
    });
    let (roots, found) = counted.await.map_err(|_| "counting stopped unexpectedly".to_owned())??;
    (offer.files, offer.bytes, offer.exact) = (found.files, found.bytes, found.exact);
    offer.preview = found.preview;
    let mut later = None;
    if !offer.exact {
        let (tell, told) = oneshot::channel();
        let roots = roots.clone();
        tokio::task::spawn_blocking(move || tell.send(count(&roots, Duration::MAX)));
        later = Some(told);
    }
    Ok((offer, Input::Roots(roots), later))
}

/// An async stream, read on the engine's thread.
struct Blocking {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    runtime: tokio::runtime::Handle,
}

impl io::Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.reader.read(buffer))
    }
}
