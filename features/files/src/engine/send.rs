//! The async side of sending: the offer, the blocks of the threads, the receiver's answers.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use accord_model::FieldSet;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::pack::{self, Input, Job, Packed};
use super::{IDLE, Progress, STALL, Sink, SinkError};
use crate::block::{Block, Pool};
use crate::scan::Count;
use crate::wire::{self, Back, Decoder, FailReason, Forward, ItemReason, Key, Offer, Piece, RefusedReason, StopReason};

/// How long the receiving owner may take to answer, beyond that side's own limit.
const ANSWER: Duration = Duration::from_secs(660);
/// Keys that a receiver may hold.
const MOST_KEYS: usize = 2_000_000;

/// How sending ended.
#[derive(Debug)]
pub enum SendEnd {
    /// Everything is in its place there.
    Done {
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
        /// Reasons of items that were not taken, the first few.
        failed: Vec<ItemReason>,
        /// How many.
        failed_count: u64,
    },
    /// The answer was no.
    Refused(RefusedReason),
    /// The receiver cannot go on.
    Failed(FailReason),
    /// A bridge says why the foreign device does not get it.
    Unable(String),
    /// This machine's owner no longer agrees.
    Withdrawn(String),
    /// It could not be recorded, or is not covered.
    Denied(String),
    /// This machine's owner cancelled.
    Cancelled,
    /// The connection ended.
    Broken(String),
    /// The receiver broke the rules.
    Protocol(String),
}

impl From<SinkError> for SendEnd {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Withdrawn(why) => Self::Withdrawn(why),
            SinkError::Denied(why) => Self::Denied(why),
            SinkError::Io(error) => Self::Broken(error.to_string()),
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The offer is out.
    Offered,
    /// The answer was yes.
    Running,
}

/// One connection's work.
pub struct Sending {
    /// The offer.
    pub offer: Offer,
    /// What kinds of data it holds.
    pub fields: FieldSet,
    /// What is sent. A stream is used up.
    pub input: Input,
    /// Where progress is shown.
    pub progress: Arc<Progress>,
    /// The final count, when the offer was not exact.
    pub count: Option<oneshot::Receiver<Count>>,
    /// The owner cancels.
    pub cancel: CancellationToken,
}

struct Backs<R> {
    reader: R,
    decoder: Decoder<Back>,
    buffer: Vec<u8>,
    have: std::ops::Range<usize>,
}

impl<R: AsyncRead + Unpin> Backs<R> {
    fn new(reader: R) -> Self {
        Self { reader, decoder: Decoder::default(), buffer: vec![0; 64 * 1024], have: 0..0 }
    }

    /// The next answer. May be dropped at any time.
    async fn next(&mut self) -> Result<Back, SendEnd> {
        loop {
            let mut input = &self.buffer[self.have.clone()];
            let piece = self.decoder.next(&mut input).map_err(|error| SendEnd::Protocol(error.to_string()))?;
            let back = match piece {
                Some(Piece::Message(back)) => Some(back),
                Some(Piece::Content(_)) => return Err(SendEnd::Protocol("content in an answer".into())),
                None => None,
            };
            self.have.start = self.have.end - input.len();
            if let Some(back) = back {
                return Ok(back);
            }
            match self.reader.read(&mut self.buffer).await {
                Ok(0) => return Err(SendEnd::Broken("the other device closed the connection".into())),
                Ok(read) => self.have = 0..read,
                Err(error) => return Err(SendEnd::Broken(error.to_string())),
            }
        }
    }
}

struct Talk<'a, S, R> {
    sink: &'a mut S,
    backs: Backs<R>,
    again: Option<SyncSender<Key>>,
    progress: Arc<Progress>,
    fields: FieldSet,
    pool: Pool,
    cancel: CancellationToken,
    alive: Instant,
    said: Instant,
    all_sent: bool,
    listing: Option<pack::Listing>,
}

/// Offers, and sends once accepted.
pub async fn run<S: Sink, R: AsyncRead + Unpin>(
    sink: &mut S,
    reader: R,
    sending: Sending,
    phase: impl Fn(Phase),
) -> SendEnd {
    let Sending { offer, fields, input, progress, mut count, cancel } = sending;
    let pool = Pool::default();
    let withdrawn = sink.withdrawn();
    let mut talk = Talk {
        sink,
        backs: Backs::new(reader),
        again: None,
        progress: progress.clone(),
        fields,
        pool: pool.clone(),
        cancel,
        alive: Instant::now(),
        said: Instant::now(),
        all_sent: false,
        listing: Some(pack::Listing::of(&input)),
    };
    let outcome = async {
        talk.say(&Forward::Offer(offer)).await?;
        phase(Phase::Offered);
        let (have, partial) = talk.answer(&mut count).await?;
        phase(Phase::Running);
        let (again, asked) = sync_channel(4096);
        talk.again = Some(again);
        progress.at(0, 0);
        progress.clear_skipped();
        let job = Job { input, fields, have, partial, again: asked, progress: progress.clone() };
        let packed = pack::start::<S>(job, pool);
        talk.send(packed, &mut count).await
    };
    let end = tokio::select! {
        biased;
        () = withdrawn.cancelled() => return SendEnd::Withdrawn("you withdrew your consent".into()),
        outcome = outcome => match outcome {
            Ok(end) | Err(end) => end,
        },
    };
    let stop = match &end {
        SendEnd::Cancelled => Some(StopReason::Cancelled),
        SendEnd::Protocol(_) => Some(StopReason::Failed),
        _ => None,
    };
    if let Some(stop) = stop {
        let said = async {
            talk.say(&Forward::Stop(stop)).await?;
            talk.sink.close().await.map_err(SendEnd::from)?;
            while talk.backs.next().await.is_ok() {}
            Ok::<_, SendEnd>(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), said).await;
    }
    end
}

impl<S: Sink, R: AsyncRead + Unpin> Talk<'_, S, R> {
    async fn say(&mut self, message: &Forward) -> Result<(), SendEnd> {
        let mut block = self.pool.get();
        match wire::write_message(message, block.free_mut()) {
            Some(length) => block.advance(length),
            None => return Err(SendEnd::Denied("the offer is too long".into())),
        }
        self.said = Instant::now();
        self.sink.put(S::seal(self.fields, block, Vec::new())).await?;
        Ok(self.sink.flush().await?)
    }

    /// Says that it is still here, when it is time.
    async fn idle(&mut self) -> Result<(), SendEnd> {
        if self.said.elapsed() >= IDLE {
            self.said = Instant::now();
            self.sink.frame(&wire::message(&Forward::Idle)).await?;
            self.sink.flush().await?;
        }
        Ok(())
    }

    /// Tells the final count, once it is known.
    async fn totals(&mut self, count: &mut Option<oneshot::Receiver<Count>>) -> Result<(), SendEnd> {
        let Some(count) = counted(count) else { return Ok(()) };
        self.progress.total(count.files, count.bytes, true);
        self.say(&Forward::Totals { files: count.files, bytes: count.bytes }).await
    }

    async fn answer(
        &mut self,
        count: &mut Option<oneshot::Receiver<Count>>,
    ) -> Result<(HashSet<Key>, HashMap<Key, u64>), SendEnd> {
        let mut have = HashSet::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let (begun, mut waiting) = (Instant::now(), false);
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(SendEnd::Cancelled),
                back = self.backs.next() => {
                    self.alive = Instant::now();
                    match back? {
                        Back::Waiting => waiting = true,
                        Back::Received { .. } => {}
                        Back::Refused(reason) => return Err(SendEnd::Refused(reason)),
                        Back::Have { keys } => {
                            if have.len() + keys.len() > MOST_KEYS {
                                return Err(SendEnd::Protocol("more items are held than can be".into()));
                            }
                            have.extend(keys);
                        }
                        Back::Accepted { partial } => return Ok((have, partial.into_iter().collect())),
                        Back::Failed(reason) => return Err(SendEnd::Failed(reason)),
                        done @ Back::Done { .. } => return Err(ended(done)),
                        Back::List => self.list().await?,
                        Back::Unable { message } => return Err(unable(&message)),
                        Back::Again { .. } => return Err(SendEnd::Protocol("a file was asked for before the answer".into())),
                    }
                }
                _ = tick.tick() => {
                    if begun.elapsed() > ANSWER {
                        return Err(SendEnd::Refused(RefusedReason::NoAnswer));
                    }
                    if waiting && self.alive.elapsed() > STALL {
                        return Err(silent());
                    }
                    self.totals(count).await?;
                    self.idle().await?;
                }
            }
        }
    }

    /// Says every item, for protocols that want the list first.
    async fn list(&mut self) -> Result<(), SendEnd> {
        let listing = self.listing.take().ok_or_else(|| SendEnd::Protocol("the list was asked for twice".into()))?;
        let mut entries = listing.start();
        let mut block = self.pool.get();
        loop {
            let next = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(SendEnd::Cancelled),
                next = entries.recv() => next,
                () = tokio::time::sleep(IDLE) => {
                    self.idle().await?;
                    continue;
                }
            };
            let last = next.is_none();
            let message = next.map_or(Forward::Listed, Forward::Entry);
            let mut written = wire::write_message(&message, block.free_mut());
            if written.is_none() {
                self.flush(std::mem::replace(&mut block, self.pool.get())).await?;
                written = wire::write_message(&message, block.free_mut());
            }
            let Some(length) = written else { return Err(SendEnd::Denied("a path is too long".into())) };
            block.advance(length);
            if last {
                return self.flush(block).await;
            }
            if entries.is_empty() {
                self.flush(std::mem::replace(&mut block, self.pool.get())).await?;
            }
        }
    }

    async fn flush(&mut self, block: Block) -> Result<(), SendEnd> {
        (self.alive, self.said) = (Instant::now(), Instant::now());
        self.sink.put(S::seal(self.fields, block, Vec::new())).await?;
        Ok(self.sink.flush().await?)
    }

    fn heard(&mut self, back: Back) -> Result<Option<SendEnd>, SendEnd> {
        self.alive = Instant::now();
        match back {
            Back::Received { .. } | Back::Waiting => Ok(None),
            Back::Again { key } => match self.again.as_ref().map(|again| again.try_send(key)) {
                Some(Ok(())) => Ok(None),
                _ => Err(SendEnd::Protocol("too much is asked for again".into())),
            },
            Back::Failed(reason) => Err(SendEnd::Failed(reason)),
            Back::Unable { message } => Err(unable(&message)),
            done @ Back::Done { .. } if self.all_sent => Ok(Some(ended(done))),
            _ => Err(SendEnd::Protocol("an answer that does not belong here".into())),
        }
    }

    async fn send(
        &mut self,
        mut packed: tokio::sync::mpsc::Receiver<Packed<S>>,
        count: &mut Option<oneshot::Receiver<Count>>,
    ) -> Result<SendEnd, SendEnd> {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let next = match packed.try_recv() {
                Ok(next) => Some(next),
                Err(_) => {
                    self.sink.flush().await?;
                    tokio::select! {
                        biased;
                        () = self.cancel.cancelled() => return Err(SendEnd::Cancelled),
                        back = self.backs.next() => {
                            if let Some(end) = self.heard(back?)? {
                                return Ok(end);
                            }
                            None
                        }
                        next = packed.recv() => Some(next.ok_or_else(|| SendEnd::Denied("reading stopped unexpectedly".into()))?),
                        _ = tick.tick() => {
                            if self.alive.elapsed() > STALL {
                                return Err(silent());
                            }
                            self.totals(count).await?;
                            self.idle().await?;
                            None
                        }
                    }
                }
            };
            if let Some(next) = next {
                self.put(next, &mut tick).await?;
            }
        }
    }

    async fn put(&mut self, packed: Packed<S>, tick: &mut tokio::time::Interval) -> Result<(), SendEnd> {
        let mut put = std::pin::pin!(self.sink.put(packed.sealed));
        loop {
            tokio::select! {
                biased;
                outcome = &mut put => {
                    outcome?;
                    break;
                }
                () = self.cancel.cancelled() => {
                    let _ = tokio::time::timeout(Duration::from_secs(1), put).await;
                    return Err(SendEnd::Cancelled);
                }
                back = self.backs.next() => {
                    self.alive = Instant::now();
                    match back? {
                        Back::Received { .. } | Back::Waiting => {}
                        Back::Again { key } => match self.again.as_ref().map(|again| again.try_send(key)) {
                            Some(Ok(())) => {}
                            _ => return Err(SendEnd::Protocol("too much is asked for again".into())),
                        },
                        Back::Failed(reason) => return Err(SendEnd::Failed(reason)),
                        Back::Unable { message } => return Err(unable(&message)),
                        _ => return Err(SendEnd::Protocol("an answer that does not belong here".into())),
                    }
                }
                _ = tick.tick() => {
                    if self.alive.elapsed() > STALL {
                        return Err(silent());
                    }
                }
            }
        }
        (self.alive, self.said) = (Instant::now(), Instant::now());
        self.progress.add(packed.files, packed.content);
        self.all_sent |= packed.last;
        Ok(())
    }
}

fn counted(count: &mut Option<oneshot::Receiver<Count>>) -> Option<Count> {
    let counted = count.as_mut()?.try_recv();
    match counted {
        Ok(found) => {
            *count = None;
            Some(found)
        }
        Err(oneshot::error::TryRecvError::Empty) => None,
        Err(oneshot::error::TryRecvError::Closed) => {
            *count = None;
            None
        }
    }
}

fn unable(message: &str) -> SendEnd {
    SendEnd::Unable(accord_model::text::for_screen(message, 300))
}

fn silent() -> SendEnd {
    SendEnd::Broken(io::Error::new(io::ErrorKind::TimedOut, "the other device went silent").to_string())
}

fn ended(done: Back) -> SendEnd {
    match done {
        Back::Done { files, bytes, failed, failed_count } => SendEnd::Done {
            files,
            bytes,
            failed: failed.into_iter().take(256).map(|(_, reason)| reason).collect(),
            failed_count,
        },
        _ => SendEnd::Protocol("an answer that does not belong here".into()),
    }
}
