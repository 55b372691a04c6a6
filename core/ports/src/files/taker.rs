//! The receiving end: reads a transfer of this machine's feature, for a bridge that passes it on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use accord_registry::ByteStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::wire::{
    self, Back, Decoder, Entry, FailReason, Forward, Hash, ItemReason, Key, Offer, Piece, RefusedReason,
};
use super::{IDLE, PortError, STALL};

/// Items left out that are named; the others are counted.
const NAMED: usize = 256;

type Writer = Arc<Mutex<Box<dyn AsyncWrite + Send + Unpin>>>;

/// Takes one transfer. While it lives it tells the sender that it is still here, so that the bridge may take its time.
pub struct Taker {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Writer,
    decoder: Decoder<Forward>,
    buffer: Vec<u8>,
    have: std::ops::Range<usize>,
    told: Arc<Told>,
    beat: AbortHandle,
}

#[derive(Default)]
struct Told {
    accepted: AtomicBool,
    bytes: AtomicU64,
    files: AtomicU64,
}

/// The next piece of a transfer.
#[derive(Debug, PartialEq, Eq)]
pub enum Given<'a> {
    /// The next item; a file's content follows.
    Entry(Entry),
    /// The next bytes of the file begun last.
    Content(&'a [u8]),
    /// The file is complete; its BLAKE3 hash.
    End(Hash),
    /// The file begun last will not come complete.
    Abandon(Key),
    /// How much there is altogether: files and bytes.
    Totals(u64, u64),
    /// That was everything.
    Finish,
}

enum Step {
    Message(Forward),
    Content(std::ops::Range<usize>),
}

impl Taker {
    /// Waits for the offer.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn open(stream: ByteStream) -> Result<(Offer, Self), PortError> {
        let ByteStream { reader, writer, .. } = stream;
        let writer = Arc::new(Mutex::new(writer));
        let told = Arc::new(Told::default());
        let beat = tokio::spawn(beat(writer.clone(), told.clone())).abort_handle();
        let buffer = vec![0; wire::MAX_CONTENT / 4];
        let mut taker = Self { reader, writer, decoder: Decoder::default(), buffer, have: 0..0, told, beat };
        match taker.step().await? {
            Step::Message(Forward::Offer(offer)) => Ok((offer, taker)),
            _ => Err(PortError::Turn("a transfer begins with an offer")),
        }
    }

    /// Every item as it will come, without content; before the answer, and once at most.
    ///
    /// # Errors
    /// [`PortError`]; [`PortError::TooMany`] for more than `most` items.
    pub async fn list(&mut self, most: usize) -> Result<Vec<Entry>, PortError> {
        say(&self.writer, &Back::List).await?;
        let mut items = Vec::new();
        loop {
            match self.step().await? {
                Step::Message(Forward::Entry(_)) if items.len() == most => return Err(PortError::TooMany(most)),
                Step::Message(Forward::Entry(entry)) => items.push(entry),
                Step::Message(Forward::Listed) => return Ok(items),
                Step::Message(Forward::Idle | Forward::Totals { .. }) => {}
                Step::Message(Forward::Stop(reason)) => return Err(PortError::Stopped(reason)),
                _ => return Err(PortError::Turn("no list")),
            }
        }
    }

    /// Yes, but not these items.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn accept_without(&mut self, left_out: &[Key]) -> Result<(), PortError> {
        for keys in left_out.chunks(wire::MAX_KEYS) {
            say(&self.writer, &Back::Have { keys: keys.to_vec() }).await?;
        }
        self.accept().await
    }

    /// Yes: send everything, from its beginning.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn accept(&mut self) -> Result<(), PortError> {
        self.told.accepted.store(true, Ordering::Release);
        Ok(say(&self.writer, &Back::Accepted { partial: Vec::new() }).await?)
    }

    /// No.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn refuse(self, reason: RefusedReason) -> Result<(), PortError> {
        self.last(&Back::Refused(reason)).await
    }

    /// It cannot go on.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn fail(self, reason: FailReason) -> Result<(), PortError> {
        self.last(&Back::Failed(reason)).await
    }

    /// The foreign device does not get it; why, for the owner.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn unable(self, message: &str) -> Result<(), PortError> {
        let message = accord_model::text::for_screen(message, 300);
        self.last(&Back::Unable { message }).await
    }

    /// So much was passed on, and these items were not.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn done_without(self, files: u64, bytes: u64, left_out: &[(Key, ItemReason)]) -> Result<(), PortError> {
        let failed = left_out.iter().take(NAMED).copied().collect();
        self.last(&Back::Done { files, bytes, failed, failed_count: left_out.len() as u64 }).await
    }

    /// Everything was passed on.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn done(self, files: u64, bytes: u64) -> Result<(), PortError> {
        self.last(&Back::Done { files, bytes, failed: Vec::new(), failed_count: 0 }).await
    }

    /// How much was passed on so far; told to the sender with the next beat.
    pub fn passed_on(&self, files: u64, bytes: u64) {
        self.told.files.store(files, Ordering::Release);
        self.told.bytes.store(bytes, Ordering::Release);
    }

    /// The next piece. May be dropped at any time.
    ///
    /// # Errors
    /// [`PortError`]; [`PortError::Stopped`] when the owner cancelled or withdrew.
    pub async fn next(&mut self) -> Result<Given<'_>, PortError> {
        loop {
            return Ok(match self.step().await? {
                Step::Content(range) => Given::Content(&self.buffer[range]),
                Step::Message(message) => match message {
                    Forward::Entry(entry) => Given::Entry(entry),
                    Forward::End { hash } => Given::End(hash),
                    Forward::Abandon { key } => Given::Abandon(key),
                    Forward::Totals { files, bytes } => Given::Totals(files, bytes),
                    Forward::Finish => Given::Finish,
                    Forward::Idle => continue,
                    Forward::Stop(reason) => return Err(PortError::Stopped(reason)),
                    Forward::Offer(_) => return Err(PortError::Turn("a second offer")),
                    Forward::Listed => return Err(PortError::Turn("a list that nobody asked for")),
                },
            });
        }
    }

    async fn step(&mut self) -> Result<Step, PortError> {
        loop {
            let mut input = &self.buffer[self.have.clone()];
            let found = match self.decoder.next(&mut input)? {
                Some(Piece::Message(message)) => Some(Ok(message)),
                Some(Piece::Content(bytes)) => Some(Err(bytes.len())),
                None => None,
            };
            self.have.start = self.have.end - input.len();
            match found {
                Some(Ok(message)) => return Ok(Step::Message(message)),
                Some(Err(length)) => return Ok(Step::Content(self.have.start - length..self.have.start)),
                None => {}
            }
            let read = tokio::time::timeout(STALL, self.reader.read(&mut self.buffer)).await;
            match read.map_err(|_| PortError::Stalled)?? {
                0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
                read => self.have = 0..read,
            }
        }
    }

    /// Says a last word, and waits shortly until the sender has it: one that writes just now must not find the stream
    /// broken before it heard why.
    async fn last(mut self, back: &Back) -> Result<(), PortError> {
        self.beat.abort();
        say(&self.writer, back).await?;
        self.writer.lock().await.shutdown().await?;
        let heard = async {
            let mut buffer = [0; 4096];
            while self.reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        };
        let _ = tokio::time::timeout(IDLE, heard).await;
        Ok(())
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

async fn say(writer: &Writer, back: &Back) -> std::io::Result<()> {
    let bytes = wire::message(back);
    let written = async {
        let mut writer = writer.lock().await;
        writer.write_all(&bytes).await?;
        writer.flush().await
    };
    tokio::time::timeout(STALL, written).await.map_err(|_| std::io::ErrorKind::TimedOut)?
}

/// Says that it is still here, and how far it is.
async fn beat(writer: Writer, told: Arc<Told>) {
    let mut before = (0, 0);
    let mut since = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let accepted = told.accepted.load(Ordering::Acquire);
        let now = (told.bytes.load(Ordering::Acquire), told.files.load(Ordering::Acquire));
        if now == before && since.elapsed() < IDLE {
            continue;
        }
        since = tokio::time::Instant::now();
        before = now;
        let back = if accepted { Back::Received { bytes: now.0, files: now.1 } } else { Back::Waiting };
        if say(&writer, &back).await.is_err() {
            return;
        }
    }
}
