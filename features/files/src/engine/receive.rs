//! The async side of receiving: the offer, the answer, blocks to the threads, answers back.

use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use accord_model::{FieldCode, FieldSet};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::unpack::{Failure, Received, Told, Unpacker};
use super::{IDLE, STALL, Sink, SinkError};
use crate::block::{Block, Pool};
use crate::wire::{self, Back, Decoder, FailReason, Forward, Key, MAX_KEYS, MAX_PREVIEW, Offer, Piece, StopReason};

/// How receiving ended.
#[derive(Debug)]
pub enum ReceiveEnd {
    /// Everything is in its place; [`acknowledge`] it.
    Received(Box<Received>),
    /// It cannot go on.
    Failed(FailReason, String),
    /// The sender gave up.
    Stopped(StopReason),
    /// This machine's owner no longer agrees to answer.
    Withdrawn(String),
    /// The answer could not be recorded, or is not covered.
    Denied(String),
    /// This machine's owner cancelled.
    Cancelled,
    /// It is more than this machine's owner agreed to; asked again at the next offer.
    More,
    /// The connection ended.
    Broken(String),
}

impl From<SinkError> for ReceiveEnd {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Withdrawn(why) => Self::Withdrawn(why),
            SinkError::Denied(why) => Self::Denied(why),
            SinkError::Io(error) => Self::Broken(error.to_string()),
        }
    }
}

impl From<Failure> for ReceiveEnd {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fail(reason, message) => Self::Failed(reason, message),
            Failure::Stopped(reason) => Self::Stopped(reason),
            Failure::More => Self::More,
        }
    }
}

/// The incoming half of a stream, before the answer.
pub struct Intake<R> {
    reader: R,
    decoder: Decoder<Forward>,
    rest: Vec<u8>,
}

impl<R: AsyncRead + Unpin + Send> Intake<R> {
    /// Reads the offer.
    ///
    /// # Errors
    /// What ended it.
    pub async fn open(reader: R) -> Result<(Self, Offer), ReceiveEnd> {
        let mut intake = Self { reader, decoder: Decoder::default(), rest: Vec::new() };
        match tokio::time::timeout(STALL, intake.message()).await {
            Err(_) => Err(ReceiveEnd::Broken("nothing was offered in time".into())),
            Ok(Ok(Forward::Offer(mut offer))) => {
                offer.preview.truncate(MAX_PREVIEW);
                Ok((intake, offer))
            }
            Ok(Ok(_)) => Err(ReceiveEnd::Failed(FailReason::Protocol, "the other device offered nothing".into())),
            Ok(Err(end)) => Err(end),
        }
    }

    /// Reads on until the sender has counted everything: files and bytes. May be dropped at any time.
    ///
    /// # Errors
    /// The sender gave up.
    pub async fn totals(&mut self) -> Result<(u64, u64), ReceiveEnd> {
        loop {
            match tokio::time::timeout(STALL, self.message()).await {
                Ok(Ok(Forward::Idle)) => {}
                Ok(Ok(Forward::Totals { files, bytes })) => return Ok((files, bytes)),
                Ok(Ok(Forward::Stop(reason))) => return Err(ReceiveEnd::Stopped(reason)),
                Ok(Ok(_)) => {
                    return Err(ReceiveEnd::Failed(
                        FailReason::Protocol,
                        "the other device did not wait for the answer".into(),
                    ));
                }
                Ok(Err(end)) => return Err(end),
                Err(_) => return Err(ReceiveEnd::Broken("the other device went silent".into())),
            }
        }
    }

    /// The decoder, for the threads.
    pub fn decoder(&mut self) -> Decoder<Forward> {
        std::mem::take(&mut self.decoder)
    }

    /// The stream alone, when nothing more is wanted of it.
    pub fn into_reader(self) -> R {
        self.reader
    }

    async fn message(&mut self) -> Result<Forward, ReceiveEnd> {
        loop {
            let mut input = self.rest.as_slice();
            let piece = self.decoder.next(&mut input);
            let message = match piece.map_err(|error| ReceiveEnd::from(Failure::from(error)))? {
                Some(Piece::Message(message)) => Some(message),
                Some(Piece::Content(_)) => {
                    return Err(ReceiveEnd::Failed(FailReason::Protocol, "content before the answer".into()));
                }
                None => None,
            };
            let used = self.rest.len() - input.len();
            self.rest.drain(..used);
            if let Some(message) = message {
                return Ok(message);
            }
            let mut buffer = [0; 4096];
            match self.reader.read(&mut buffer).await {
                Ok(0) => return Err(closed()),
                Ok(read) => self.rest.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(ReceiveEnd::Broken(error.to_string())),
            }
        }
    }
}

fn closed() -> ReceiveEnd {
    ReceiveEnd::Broken("the other device closed the connection".into())
}

/// Sends one answer.
///
/// # Errors
/// [`SinkError`].
pub async fn answer<S: Sink>(sink: &mut S, pool: &Pool, message: &Back) -> Result<(), SinkError> {
    let mut block = pool.get();
    if let Some(length) = wire::write_message(message, block.free_mut()) {
        block.advance(length);
    }
    sink.put(S::seal(FieldSet::one(FieldCode::TransferState), block, Vec::new())).await?;
    sink.flush().await
}

/// Says yes, and what is here already.
///
/// # Errors
/// [`SinkError`].
pub async fn accept<S: Sink>(
    sink: &mut S,
    pool: &Pool,
    have: &[Key],
    partial: Vec<(Key, u64)>,
) -> Result<(), SinkError> {
    for keys in have.chunks(MAX_KEYS) {
        answer(sink, pool, &Back::Have { keys: keys.to_vec() }).await?;
    }
    answer(sink, pool, &Back::Accepted { partial }).await
}

/// Says a last word and waits, shortly, until the sender has it.
pub async fn last_word<S: Sink, R: AsyncRead + Unpin>(sink: &mut S, pool: &Pool, reader: &mut R, message: &Back) {
    let word = async {
        answer(sink, pool, message).await?;
        sink.close().await?;
        let mut buffer = [0; 4096];
        while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        Ok::<_, SinkError>(())
    };
    let _ = tokio::time::timeout(IDLE, word).await;
}

/// Says that everything is in its place.
pub async fn acknowledge<S: Sink, R: AsyncRead + Unpin>(
    sink: &mut S,
    pool: &Pool,
    reader: &mut R,
    received: &Received,
) {
    let done = Back::Done {
        files: received.files,
        bytes: received.bytes,
        failed: received.failed.clone(),
        failed_count: received.failed_count,
    };
    last_word(sink, pool, reader, &done).await;
}

/// Receives until everything is in its place. `kept` is held until the threads have let go of the files.
pub async fn run<R, S, K>(
    intake: Intake<R>,
    sink: &mut S,
    pool: &Pool,
    unpacker: Unpacker,
    cancel: &CancellationToken,
    kept: K,
) -> (ReceiveEnd, R)
where
    R: AsyncRead + Unpin + Send,
    S: Sink,
    K: Send + 'static,
{
    let Intake { mut reader, rest, .. } = intake;
    let (to_work, work) = mpsc::channel(3);
    let (tell, mut told) = mpsc::channel(64);
    let progress = unpacker.progress();
    let worker = tokio::task::spawn_blocking(move || {
        let _kept = kept;
        worker(unpacker, work, &tell);
        drop(tell);
    });
    let end = carry(&mut reader, rest, sink, pool, &progress, to_work, &mut told, cancel).await;
    // The channel is closed now; what was read is still worked on.
    let mut over = None;
    while let Some(message) = told.recv().await {
        if let Told::Over(outcome) = message {
            over = Some(*outcome);
        }
    }
    let _ = worker.await;
    let end = match over {
        Some(Ok(received)) if !matches!(end, ReceiveEnd::Failed(..)) => ReceiveEnd::Received(Box::new(received)),
        Some(Err(failure @ (Failure::Stopped(_) | Failure::More))) => failure.into(),
        _ => end,
    };
    match &end {
        ReceiveEnd::Failed(reason, _) => last_word(sink, pool, &mut reader, &Back::Failed(*reason)).await,
        ReceiveEnd::Cancelled => last_word(sink, pool, &mut reader, &Back::Failed(FailReason::Cancelled)).await,
        _ => {}
    }
    (end, reader)
}

fn worker(mut unpacker: Unpacker, mut work: mpsc::Receiver<Block>, tell: &mpsc::Sender<Told>) {
    let mut again = |key| {
        let _ = tell.blocking_send(Told::Again(key));
    };
    while let Some(block) = work.blocking_recv() {
        let outcome = match unpacker.block(block, &mut again) {
            Ok(None) => continue,
            Ok(Some(received)) => Ok(received),
            Err(failure) => Err(failure),
        };
        let _ = tell.blocking_send(Told::Over(Box::new(outcome)));
        return;
    }
}

#[allow(clippy::too_many_arguments)]
async fn carry<R: AsyncRead + Unpin, S: Sink>(
    reader: &mut R,
    rest: Vec<u8>,
    sink: &mut S,
    pool: &Pool,
    progress: &super::Progress,
    to_work: mpsc::Sender<Block>,
    told: &mut mpsc::Receiver<Told>,
    cancel: &CancellationToken,
) -> ReceiveEnd {
    use std::sync::atomic::Ordering::Relaxed;
    let withdrawn = sink.withdrawn();
    let mut block = pool.get();
    block.append(&rest);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let (mut last_read, mut last_told, mut last_bytes) = (Instant::now(), Instant::now(), 0);
    loop {
        let (filled, room) = (!block.is_empty(), block.room() > 0);
        tokio::select! {
            biased;
            () = cancel.cancelled() => return ReceiveEnd::Cancelled,
            () = withdrawn.cancelled() => return ReceiveEnd::Withdrawn("your consent to answer senders was withdrawn".into()),
            message = told.recv() => match message {
                Some(Told::Again(key)) => {
                    if let Err(error) = answer(sink, pool, &Back::Again { key }).await {
                        return error.into();
                    }
                }
                Some(Told::Over(outcome)) => return match *outcome {
                    Ok(received) => ReceiveEnd::Received(Box::new(received)),
                    Err(failure) => failure.into(),
                },
                None => return ReceiveEnd::Failed(FailReason::Disk, "writing stopped unexpectedly".into()),
            },
            _ = tick.tick() => {
                let bytes = progress.bytes.load(Relaxed);
                if bytes != last_bytes || last_told.elapsed() >= IDLE {
                    (last_bytes, last_told) = (bytes, Instant::now());
                    if let Err(error) = answer(sink, pool, &Back::Received { bytes, files: progress.files.load(Relaxed) }).await {
                        return error.into();
                    }
                }
                if room && last_read.elapsed() > STALL {
                    return ReceiveEnd::Broken("the other device went silent".into());
                }
            }
            slot = to_work.reserve(), if filled => match slot {
                Ok(slot) => slot.send(std::mem::replace(&mut block, pool.get())),
                Err(_) => return over(told),
            },
            read = fill(reader, &mut block), if room => match read {
                Ok(0) => return rest_of(block, &to_work, told, closed()).await,
                Ok(_) => last_read = Instant::now(),
                Err(error) => return rest_of(block, &to_work, told, ReceiveEnd::Broken(error.to_string())).await,
            },
        }
        if !room {
            last_read = Instant::now();
        }
    }
}

/// The connection is gone, but what was read of it is not.
async fn rest_of(
    block: Block,
    to_work: &mpsc::Sender<Block>,
    told: &mut mpsc::Receiver<Told>,
    end: ReceiveEnd,
) -> ReceiveEnd {
    if block.is_empty() {
        return end;
    }
    let mut sent = std::pin::pin!(to_work.send(block));
    loop {
        tokio::select! {
            _ = &mut sent => return end,
            message = told.recv() => match message {
                Some(Told::Again(_)) => {}
                Some(Told::Over(outcome)) => return match *outcome {
                    Ok(received) => ReceiveEnd::Received(Box::new(received)),
                    Err(failure) => failure.into(),
                },
                None => return end,
            },
        }
    }
}

fn over(told: &mut mpsc::Receiver<Told>) -> ReceiveEnd {
    while let Ok(message) = told.try_recv() {
        if let Told::Over(outcome) = message {
            return match *outcome {
                Ok(received) => ReceiveEnd::Received(Box::new(received)),
                Err(failure) => failure.into(),
            };
        }
    }
    ReceiveEnd::Failed(FailReason::Disk, "writing stopped unexpectedly".into())
}

/// Reads as much as is there, up to the block's room; at least one byte. Nothing is lost when dropped.
async fn fill<R: AsyncRead + Unpin>(reader: &mut R, block: &mut Block) -> io::Result<usize> {
    std::future::poll_fn(|context| {
        let mut total = 0;
        while block.room() > 0 {
            let mut buffer = ReadBuf::new(block.free_mut());
            match Pin::new(&mut *reader).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) => {
                    let read = buffer.filled().len();
                    if read == 0 {
                        break;
                    }
                    block.advance(read);
                    total += read;
                }
                Poll::Ready(Err(error)) if total == 0 => return Poll::Ready(Err(error)),
                Poll::Ready(Err(_)) => break,
                Poll::Pending if total == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(total))
    })
    .await
}
