//! What is said on one connection: who we are, heads of ledgers, calls, streams.

use std::sync::Arc;
use std::time::Duration;

use accord_consent::{Destination, Envelope, Personal, RecipientId};
use accord_model::{CallError, FieldCode, FieldSet, FromBridge, Inputs, Outputs, StreamClass, StreamId, Target, Verb};
use accord_registry::ByteStream;
use iroh::endpoint::{RecvStream, SendStream, VarInt};
use tokio::sync::Semaphore;

use crate::api::{LinkEvent, ProvenHead, Witness};
use crate::carrier::bulk::Of;
use crate::endpoint::path_of;
use crate::frame::{self, FrameError, MAX_FRAME};
use crate::inner::Inner;
use crate::law::{CONNECTION, connection_fields};
use crate::peer::{Live, Peer, refused};
use crate::reset;
use crate::wire::{Answer, HEAD, Head, HeadAnswer, Kept, Moved, Opening, PROOF, Record, StreamAnswer};

pub(crate) const WITHIN: Duration = Duration::from_secs(10);
/// A call may wait for the owner of the other device.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(600);
const AT_ONCE: usize = 64;
pub(crate) const SMALL: usize = 16 * 1024;
const RESET_BROKEN_OFF: u32 = 1;

/// Answers everything the peer opens, until the connection closes.
pub(crate) async fn serve(inner: Arc<Inner>, peer: Arc<Peer>, live: Arc<Live>) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok((send, recv)) = live.connection.accept_bi().await {
        let Ok(turn) = at_once.clone().acquire_owned().await else { return };
        live.touch();
        peer.heard();
        let (inner, peer, live) = (inner.clone(), peer.clone(), live.clone());
        tokio::spawn(async move {
            if let Err(error) = answer(inner, &peer, &live, send, recv).await {
                tracing::debug!(peer = %peer.id, %error, "an exchange ended early");
            }
            drop(turn);
        });
    }
    peer.over(&inner, &live);
}

async fn answer(
    inner: Arc<Inner>,
    peer: &Arc<Peer>,
    live: &Arc<Live>,
    mut send: SendStream,
    mut recv: RecvStream,
) -> Result<(), FrameError> {
    may_pass(&inner, live)?;
    match frame::read::<Opening, _>(&mut recv, MAX_FRAME, WITHIN).await? {
        Opening::Hello => {
            let record: Record = frame::read(&mut recv, MAX_FRAME, WITHIN).await?;
            heard_record(&inner, peer, live, record);
            tell_record(&inner, peer, live, &mut send).await;
            let _ = send.finish();
            tokio::spawn(show_head(inner, peer.clone(), live.clone()));
        }
        Opening::Head => {
            let _turn = peer.heads_taken.lock().await;
            let id = peer.id.clone();
            let head = with_ledger(&inner, move |witness| witness.kept(&id)).await.flatten();
            frame::write(&mut send, &Kept { head }, HEAD, WITHIN).await?;
            let shown: Head = frame::read(&mut recv, HEAD, WITHIN).await?;
            let outcome = keep_head(&inner, peer, shown).await;
            frame::write(&mut send, &HeadAnswer { outcome }, HEAD, WITHIN).await?;
            let _ = send.finish();
        }
        Opening::Call { target, verb, within_s } => {
            let _guard = live.guard.clone();
            let within = Duration::from_secs(within_s.max(1)).min(LONGEST_CALL);
            let asked = inner.ask(peer.id.clone(), target, verb, within);
            let outcome = tokio::select! {
                outcome = asked => outcome,
                _ = send.stopped() => return Ok(()),
                _ = live.connection.closed() => return Ok(()),
            };
            let answer = frame::encode(&Answer { outcome }, MAX_FRAME).or_else(|_| {
                let outcome = Err(CallError::Device("the answer is too long".into()));
                frame::encode(&Answer { outcome }, MAX_FRAME)
            })?;
            frame::write_raw(&mut send, &answer, WITHIN).await?;
            let _ = send.finish();
        }
        Opening::Stream { target, inputs, class, tls } => {
            if !inner.offers(&target.service) {
                let error = CallError::Unsupported(accord_model::text::for_screen(&target.service, 60));
                frame::write(&mut send, &StreamAnswer::Refused { error }, SMALL, WITHIN).await?;
                let _ = send.finish();
                return Ok(());
            }
            let of = of(peer, live);
            let stream = inner.bulk.take(of, send, recv, class, tls).await?;
            inner.tell_device(&peer.id);
            let opened =
                FromBridge::StreamOpened { stream: StreamId(inner.next()), device: peer.id.clone(), target, inputs };
            inner.tell(opened, Some(stream)).await;
        }
        Opening::Progress { token } => {
            frame::write(&mut send, &inner.bulk.progress(&token), SMALL, WITHIN).await?;
            let _ = send.finish();
        }
        Opening::Unpaired => {
            tracing::info!(peer = %peer.id, "the other device forgot this one");
            inner.forget(&peer.id, false).await;
        }
        Opening::Moved => {
            let moved: Moved = frame::read(&mut recv, SMALL, WITHIN).await?;
            reset::heard(&inner, peer, live, moved, send).await?;
        }
    }
    Ok(())
}

/// First words on a connection that we dialled.
pub(crate) async fn introduce(inner: Arc<Inner>, peer: Arc<Peer>, live: Arc<Live>) {
    if let Err(error) = exchange_records(&inner, &peer, &live).await {
        tracing::debug!(peer = %peer.id, %error, "could not exchange names");
    }
    show_head(inner, peer, live).await;
}

/// True when the peer answers on this connection within that time.
pub(crate) async fn is_answered(inner: &Arc<Inner>, peer: &Arc<Peer>, live: &Arc<Live>, within: Duration) -> bool {
    matches!(tokio::time::timeout(within, exchange_records(inner, peer, live)).await, Ok(Ok(())))
}

async fn exchange_records(inner: &Arc<Inner>, peer: &Arc<Peer>, live: &Arc<Live>) -> Result<(), FrameError> {
    let (mut send, mut recv) = open(inner, live).await?;
    frame::write(&mut send, &Opening::Hello, SMALL, WITHIN).await?;
    if !tell_record(inner, peer, live, &mut send).await {
        return Ok(());
    }
    let _ = send.finish();
    let record: Record = frame::read(&mut recv, MAX_FRAME, WITHIN).await?;
    heard_record(inner, peer, live, record);
    Ok(())
}

/// Sends our record with the fields that the owner granted. False when nothing was sent.
async fn tell_record(inner: &Inner, peer: &Peer, live: &Live, send: &mut SendStream) -> bool {
    let to = RecipientId::device(&peer.id);
    let optional: FieldSet =
        [FieldCode::DeviceName, FieldCode::DeviceType, FieldCode::DeviceAbilities].into_iter().collect();
    let Ok(fields) = inner.law.granted(CONNECTION, &to, connection_fields(), optional) else { return false };
    let own = inner.own();
    let addresses = Personal::new(FieldCode::NetIp, inner.own_addresses().await);
    let run = Personal::new(FieldCode::DeviceId, inner.run.clone());
    let mut envelope = Envelope::new().text("run", &run).value("addresses", &addresses);
    if fields.contains(FieldCode::DeviceName) {
        envelope = envelope.text("name", &Personal::new(FieldCode::DeviceName, own.name));
    }
    if fields.contains(FieldCode::DeviceType) {
        envelope = envelope.value("kind", &Personal::new(FieldCode::DeviceType, own.kind));
    }
    if fields.contains(FieldCode::DeviceAbilities) {
        envelope = envelope.value("services", &Personal::new(FieldCode::DeviceAbilities, own.services));
    }
    send_sealed(inner, peer, live, send, envelope, "link.hello").await
}

/// Takes back the head of our ledger that the peer keeps, checks our ledger against it, and shows our newest head with
/// the proof that it goes on from there, for the peer to keep.
pub(crate) async fn show_head(inner: Arc<Inner>, peer: Arc<Peer>, live: Arc<Live>) {
    let to = RecipientId::device(&peer.id);
    let fields = FieldSet::one(FieldCode::LedgerHead);
    let granted = inner.law.granted(CONNECTION, &to, connection_fields(), fields);
    if !granted.is_ok_and(|granted| granted.contains(FieldCode::LedgerHead)) {
        return;
    }
    let _turn = peer.heads_shown.lock().await;
    if let Err(error) = exchange_heads(&inner, &peer, &live).await {
        tracing::debug!(peer = %peer.id, %error, "the ledger's head was not taken");
    }
}

async fn exchange_heads(inner: &Arc<Inner>, peer: &Arc<Peer>, live: &Arc<Live>) -> Result<(), FrameError> {
    let (mut send, mut recv) = open(inner, live).await?;
    frame::write(&mut send, &Opening::Head, SMALL, WITHIN).await?;
    let kept: Kept = frame::read(&mut recv, HEAD, WITHIN).await?;
    let id = peer.id.clone();
    let checked = with_ledger(inner, move |witness| {
        let fits = witness.handed_back(&id, kept.head.as_deref());
        (fits, witness.own_head(kept.head.as_deref()))
    });
    let Some((fits, own)) = checked.await else { return Ok(()) };
    if let Err(message) = fits {
        inner.event(LinkEvent::WitnessAlarm { device: peer.id.clone(), ours: true, message });
    }
    // Shown even so: the peer must be able to tell as well.
    let Some(own) = own else { return Ok(()) };
    let head = own.head.clone();
    let envelope = Envelope::new()
        .text("head", &Personal::new(FieldCode::LedgerHead, own.head))
        .value("proof", &Personal::new(FieldCode::LedgerHead, own.proof));
    if !send_sealed(inner, peer, live, &mut send, envelope, "link.witness").await {
        return Ok(());
    }
    let _ = send.finish();
    let answer: HeadAnswer = frame::read(&mut recv, HEAD, WITHIN).await?;
    match answer.outcome {
        Ok(()) => {
            let id = peer.id.clone();
            with_ledger(inner, move |witness| witness.witnessed(&id, &head)).await;
        }
        Err(message) => {
            let message = accord_model::text::for_screen(&message, 500);
            inner.event(LinkEvent::WitnessAlarm { device: peer.id.clone(), ours: true, message });
        }
    }
    Ok(())
}

/// Runs on a thread of its own what waits for the disk.
async fn with_ledger<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&dyn Witness) -> T + Send + 'static,
) -> Option<T> {
    let witness = inner.witness.clone();
    tokio::task::spawn_blocking(move || work(&*witness)).await.ok()
}

/// Sends a message under a permit for the connection. False when nothing was sent.
pub(crate) async fn send_sealed(
    inner: &Inner,
    peer: &Peer,
    live: &Live,
    send: &mut SendStream,
    envelope: Envelope,
    scenario: &str,
) -> bool {
    let to = RecipientId::device(&peer.id);
    let Ok(address) = inner.law.way(&path_of(&live.connection)) else { return false };
    let Ok(permit) = inner.law.permit(CONNECTION, &to, envelope.fields(), scenario) else { return false };
    let mut outgoing = match permit.seal(envelope, Destination::device(&peer.id, address)).await {
        Ok(outgoing) => outgoing,
        Err(error) => {
            tracing::debug!(peer = %peer.id, %error, "not sent");
            return false;
        }
    };
    let length = outgoing.len();
    if length > MAX_FRAME {
        outgoing.fail(FrameError::TooLong(length, MAX_FRAME)).await;
        return false;
    }
    match outgoing.send(send, &(length as u32).to_be_bytes(), WITHIN).await {
        Ok(()) => outgoing.confirm(length as u64 + 4).await.is_ok(),
        Err(error) => {
            // What the transport still buffers of it does not leave either.
            let _ = send.reset(VarInt::from_u32(RESET_BROKEN_OFF));
            outgoing.fail(error).await;
            false
        }
    }
}

fn heard_record(inner: &Arc<Inner>, peer: &Arc<Peer>, live: &Arc<Live>, record: Record) {
    let record = record.bounded();
    peer.close_other_runs(&record.run, live);
    let changed = {
        let mut said = peer.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = *said != record;
        *said = record.clone();
        changed
    };
    if changed {
        let (inner, id) = (inner.clone(), peer.id.clone());
        tokio::task::spawn_blocking(move || {
            inner.memory.set_said(&id, &record);
            let name = accord_identity::pairing::safe_name(&record.name);
            let renamed = inner.peers.update(&id, |kept| {
                if !name.is_empty() {
                    kept.name = name;
                }
                kept.kind = record.kind.unwrap_or(kept.kind);
            });
            if let Err(error) = renamed {
                tracing::debug!(%error, "the peer's name could not be kept");
            }
            inner.tell_device(&id);
        });
    }
}

async fn keep_head(inner: &Arc<Inner>, peer: &Peer, shown: Head) -> Result<(), String> {
    if shown.proof.len() > PROOF {
        return Err("its proof is longer than any can be".to_owned());
    }
    let (id, key) = (peer.id.clone(), peer.statement);
    let shown = ProvenHead { head: shown.head, proof: shown.proof };
    let kept = with_ledger(inner, move |witness| witness.witness(&id, &key, &shown)).await;
    let outcome = kept.unwrap_or(Ok(()));
    if let Err(message) = &outcome {
        inner.event(LinkEvent::WitnessAlarm { device: peer.id.clone(), ours: false, message: message.clone() });
    }
    outcome
}

/// Asks a service of the peer.
pub(crate) async fn call(inner: &Inner, peer: &Arc<Peer>, target: Target, verb: Verb) -> Result<Outputs, CallError> {
    let live = peer.connection(WITHIN).await?;
    let _guard = live.guard.clone();
    let asked = async {
        let (send, mut recv) = open(inner, &live).await?;
        let mut send = GivesUp(send, false);
        let opening = Opening::Call { target, verb, within_s: LONGEST_CALL.as_secs() };
        frame::write(&mut send.0, &opening, MAX_FRAME, WITHIN).await?;
        let answer: Answer = frame::read(&mut recv, MAX_FRAME, LONGEST_CALL).await?;
        send.1 = true;
        let _ = send.0.finish();
        Ok::<_, FrameError>(answer)
    };
    match asked.await {
        Ok(answer) => answer.outcome,
        Err(FrameError::TooLong(size, limit)) => {
            Err(CallError::BadInput(format!("a message of {size} bytes; at most {limit} are allowed, open a stream")))
        }
        Err(FrameError::Deadline(within)) => Err(CallError::Deadline(within.as_secs())),
        Err(error) => Err(CallError::Unreachable(error.to_string())),
    }
}

/// A call that is dropped tells the peer so.
struct GivesUp(SendStream, bool);
impl Drop for GivesUp {
    fn drop(&mut self) {
        if !self.1 {
            let _ = self.0.reset(VarInt::from_u32(2));
        }
    }
}

/// Opens a byte stream to a service of the peer.
pub(crate) async fn open_stream(
    inner: &Arc<Inner>,
    peer: &Arc<Peer>,
    target: Target,
    inputs: Inputs,
    class: StreamClass,
) -> Result<ByteStream, CallError> {
    let live = peer.connection(WITHIN).await?;
    may_pass(inner, &live).map_err(|error| CallError::NotConsented(error.to_string()))?;
    let stream = inner.bulk.open(of(peer, &live), target, inputs, class).await?;
    inner.tell_device(&peer.id);
    Ok(stream)
}

/// Tells the peer that it is no longer paired.
pub(crate) async fn say_unpaired(inner: &Inner, peer: &Peer) {
    if let Some(live) = peer.now()
        && let Ok((mut send, _recv)) = open(inner, &live).await
    {
        let _ = frame::write(&mut send, &Opening::Unpaired, SMALL, Duration::from_secs(1)).await;
        let _ = send.finish();
        let _ = tokio::time::timeout(Duration::from_secs(1), send.stopped()).await;
    }
}

/// What the owner has not agreed to is not even tried.
pub(crate) fn check(inner: &Inner, peer: &Peer) -> Result<(), CallError> {
    inner.law.watch_connection(&peer.id).state().map_err(|refusal| refused(&refusal))
}

pub(crate) async fn open(inner: &Inner, live: &Live) -> Result<(SendStream, RecvStream), FrameError> {
    may_pass(inner, live)?;
    live.touch();
    let opened = tokio::time::timeout(WITHIN, live.connection.open_bi()).await;
    opened.map_err(|_| FrameError::Deadline(WITHIN))?.map_err(|error| FrameError::Broken(std::io::Error::other(error)))
}

/// A connection that came to lead through a relay needs the consent to that relay.
fn may_pass(inner: &Inner, live: &Live) -> Result<(), FrameError> {
    let way = inner.law.way(&path_of(&live.connection));
    way.map(drop).map_err(|refusal| FrameError::Broken(std::io::Error::other(refusal.to_string())))
}

fn of(peer: &Peer, live: &Live) -> Of {
    Of { connection: live.connection.clone(), cut: peer.cut(), guard: live.guard.clone(), wire: peer.wire.clone() }
}
