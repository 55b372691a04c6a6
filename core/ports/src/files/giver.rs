//! The sending end: gives what a foreign device sends to this machine's feature.

use std::collections::HashSet;

use accord_registry::ByteStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::wire::{
    self, Back, Decoder, Entry, Forward, HEADER, Key, Kind, MAX_CONTENT, Offer, Piece, Preview, StopReason, Time,
    VERSION, What,
};
use super::{IDLE, PortError, STALL};

/// Gives one transfer. Dropping it breaks the transfer off.
pub struct Giver {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    decoder: Decoder<Back>,
    buffer: Vec<u8>,
    have: std::ops::Range<usize>,
    hasher: blake3::Hasher,
    folders: HashSet<String>,
}

/// What this machine holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Items that were not taken.
    pub failed: u64,
}

impl Giver {
    /// On the bridge's end of a stream.
    pub fn new(stream: ByteStream) -> Self {
        let ByteStream { reader, writer, .. } = stream;
        Self {
            reader,
            writer,
            decoder: Decoder::default(),
            buffer: vec![0; 16 * 1024],
            have: 0..0,
            hasher: blake3::Hasher::new(),
            folders: HashSet::new(),
        }
    }

    /// An offer of files without a preview. `transfer` is random.
    pub fn new_offer(transfer: [u8; 16], files: u64, bytes: u64) -> Offer {
        Offer { version: VERSION, transfer, kind: Kind::Files, files, bytes, exact: true, preview: Vec::new() }
    }

    /// One item of an offer's preview.
    pub fn preview(name: &str, size: Option<u64>) -> Preview {
        Preview { name: name.to_owned(), size, folder: false }
    }

    /// Offers, and waits until the owner said yes. The caller decides how long; dropping takes the offer back.
    ///
    /// # Errors
    /// [`PortError`]; [`PortError::Refused`] when the answer is no.
    pub async fn offer(&mut self, offer: Offer) -> Result<(), PortError> {
        self.say(&Forward::Offer(offer)).await?;
        loop {
            match tokio::time::timeout(IDLE, self.hear()).await {
                Err(_) => self.say(&Forward::Idle).await?,
                Ok(back) => match back? {
                    Back::Accepted { .. } => return Ok(()),
                    Back::Refused(reason) => return Err(PortError::Refused(reason)),
                    Back::Failed(reason) => return Err(PortError::Failed(reason)),
                    Back::Waiting | Back::Have { .. } | Back::Received { .. } => {}
                    Back::Unable { message } => return Err(PortError::Unable(message)),
                    Back::Again { .. } | Back::Done { .. } | Back::List => {
                        return Err(PortError::Turn("no answer to the offer"));
                    }
                },
            }
        }
    }

    /// Begins a file. Its path may have folders, `/` between names, which are made as they are first met; what is unsafe in it, the feature deals with.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn file(&mut self, path: &str, size: Option<u64>, modified: Time) -> Result<Key, PortError> {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            if !self.folders.contains(folder) {
                self.folders.insert(folder.to_owned());
                let (key, path) = (key_of(folder, None), folder.to_owned());
                self.say(&Forward::Entry(Entry { key, path, what: What::Folder { modified } })).await?;
            }
        }
        self.hasher.reset();
        let key = key_of(path, size);
        let what = What::File { size, modified, executable: false, from: 0, prefix: [0; 32] };
        self.say(&Forward::Entry(Entry { key, path: path.to_owned(), what })).await?;
        Ok(key)
    }

    /// The next bytes of the file begun last.
    ///
    /// # Errors
    /// [`PortError`]; [`PortError::Failed`] when this machine's owner cancelled or the disk is full.
    pub async fn content(&mut self, bytes: &[u8]) -> Result<(), PortError> {
        self.hasher.update(bytes);
        for part in bytes.chunks(MAX_CONTENT) {
            let mut head = [0; HEADER];
            wire::write_content_header(part.len(), &mut head);
            self.write(&head).await?;
            self.write(part).await?;
        }
        Ok(())
    }

    /// The file is complete.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn end(&mut self) -> Result<(), PortError> {
        let hash = self.hasher.finalize().into();
        self.say(&Forward::End { hash }).await
    }

    /// The file begun last will not come complete.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn abandon(&mut self, key: Key) -> Result<(), PortError> {
        self.say(&Forward::Abandon { key }).await
    }

    /// Keeps the transfer alive while the foreign device takes its time.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn idle(&mut self) -> Result<(), PortError> {
        self.say(&Forward::Idle).await
    }

    /// That was everything: waits until all of it is on this machine's disk.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn finish(mut self) -> Result<Taken, PortError> {
        self.say(&Forward::Finish).await?;
        loop {
            let back = match tokio::time::timeout(IDLE, self.hear()).await {
                Err(_) => {
                    self.say(&Forward::Idle).await?;
                    continue;
                }
                Ok(back) => back?,
            };
            match back {
                Back::Done { files, bytes, failed_count, .. } => {
                    let _ = self.writer.shutdown().await;
                    return Ok(Taken { files, bytes, failed: failed_count });
                }
                Back::Again { key } => {
                    // What came from outside came once: there is nothing to send again.
                    self.say(&Forward::Abandon { key }).await?;
                    self.say(&Forward::Finish).await?;
                }
                other => Self::goes_on(&other)?,
            }
        }
    }

    /// The foreign device stopped.
    pub async fn stop(mut self, reason: StopReason) {
        if self.say(&Forward::Stop(reason)).await.is_ok() {
            let _ = self.writer.shutdown().await;
            let _ = tokio::time::timeout(IDLE, async { while self.hear().await.is_ok() {} }).await;
        }
    }

    fn goes_on(back: &Back) -> Result<(), PortError> {
        match back {
            Back::Waiting | Back::Received { .. } | Back::Again { .. } => Ok(()),
            Back::Failed(reason) => Err(PortError::Failed(*reason)),
            Back::Refused(reason) => Err(PortError::Refused(*reason)),
            Back::Unable { message } => Err(PortError::Unable(message.clone())),
            Back::Accepted { .. } | Back::Have { .. } | Back::Done { .. } | Back::List => {
                Err(PortError::Turn("a second answer"))
            }
        }
    }

    async fn say(&mut self, message: &Forward) -> Result<(), PortError> {
        let bytes = wire::message(message);
        self.write(&bytes).await?;
        self.writer.flush().await?;
        Ok(())
    }

    /// Writes, and hears meanwhile: a receiver that has failed says so instead of taking more.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), PortError> {
        let mut at = 0;
        while at < bytes.len() {
            tokio::select! {
                biased;
                back = hear(&mut self.reader, &mut self.decoder, &mut self.buffer, &mut self.have) => {
                    let back = back?;
                    Self::goes_on(&back)?;
                }
                written = tokio::time::timeout(STALL, self.writer.write(&bytes[at..])) => {
                    match written.map_err(|_| PortError::Stalled)?? {
                        0 => return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()),
                        written => at += written,
                    }
                }
            }
        }
        Ok(())
    }

    async fn hear(&mut self) -> Result<Back, PortError> {
        hear(&mut self.reader, &mut self.decoder, &mut self.buffer, &mut self.have).await
    }
}

fn key_of(path: &str, size: Option<u64>) -> Key {
    let mut key = Key::default();
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(&(path, size), &mut hasher);
    key[..8].copy_from_slice(&std::hash::Hasher::finish(&hasher).to_le_bytes());
    key
}

/// The next answer. May be dropped at any time.
async fn hear(
    reader: &mut (dyn AsyncRead + Send + Unpin),
    decoder: &mut Decoder<Back>,
    buffer: &mut [u8],
    have: &mut std::ops::Range<usize>,
) -> Result<Back, PortError> {
    loop {
        let mut input = &buffer[have.clone()];
        let found = match decoder.next(&mut input)? {
            Some(Piece::Message(back)) => Some(back),
            Some(Piece::Content(_)) => return Err(PortError::Turn("content in an answer")),
            None => None,
        };
        have.start = have.end - input.len();
        if let Some(back) = found {
            return Ok(back);
        }
        match reader.read(buffer).await? {
            0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            read => *have = 0..read,
        }
    }
}
