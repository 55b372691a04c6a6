//! The receiver's threads: one takes frames apart and writes files, one hashes big files beside it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{SyncSender, sync_channel};

use blake3::Hasher;

use super::Progress;
use super::bounds::Bounds;
use super::pack::SMALL;
use super::place::set_time;
use super::store::Store;
use crate::block::{BLOCK, Block};
use crate::scan::path_key;
use crate::wire::{
    Decoder, Entry, FailReason, Forward, FrameError, Hash, ItemReason, Key, Offer, Piece, StopReason, Time, What,
};

/// Failed items that are named to the sender.
const NAMED: usize = 256;
/// Space that is left free.
const MARGIN: u64 = 16 << 20;
/// How much is written between two looks at the free space; less than the margin.
const LOOK_EVERY: u64 = 8 << 20;

/// Everything is in its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where it was saved.
    pub saved_to: Vec<PathBuf>,
    /// Items that were not taken, the first few.
    pub failed: Vec<(Key, ItemReason)>,
    /// How many.
    pub failed_count: u64,
}

/// Why receiving ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The sender must be told.
    Fail(FailReason, String),
    /// The sender gave up.
    Stopped(StopReason),
    /// It is more than the owner agreed to, who has to be asked again.
    More,
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        Self::Fail(FailReason::Protocol, format!("the other device does not keep to the protocol: {error}"))
    }
}

fn broken(what: &str) -> Failure {
    Failure::Fail(FailReason::Protocol, format!("the other device does not keep to the protocol: {what}"))
}

/// What the threads tell the async side.
#[derive(Debug)]
pub enum Told {
    /// This file is needed again.
    Again(Key),
    /// It is over.
    Over(Box<Result<Received, Failure>>),
}

struct Current {
    key: Key,
    path: Key,
    name: String,
    local: String,
    file: Option<File>,
    size: Option<u64>,
    got: u64,
    modified: Time,
    hash: Hashing,
    bad_prefix: bool,
}

enum Hashing {
    Here(Box<Hasher>),
    Beside,
    No,
}

enum Beside {
    Begin(Box<Hasher>),
    Bytes(Arc<Block>, Range<usize>),
    End(SyncSender<Hash>),
}

/// Takes a transfer apart, block by block. Blocking.
pub struct Unpacker {
    store: Store,
    decoder: Decoder<Forward>,
    progress: Arc<Progress>,
    current: Option<Current>,
    asked_again: HashMap<Key, u8>,
    waiting_for: HashSet<Key>,
    beside: Option<SyncSender<Beside>>,
    bounds: Bounds,
    bytes: u64,
    until_look: u64,
}

impl Unpacker {
    /// Goes on with what the store holds. The decoder has read the offer.
    pub fn new(store: Store, decoder: Decoder<Forward>, bounds: Bounds, progress: Arc<Progress>) -> Self {
        let (files, bytes) = store.done();
        progress.at(files, bytes);
        let (current, asked_again, waiting_for, beside) = Default::default();
        Self { store, decoder, progress, current, asked_again, waiting_for, beside, bounds, bytes, until_look: 0 }
    }

    /// Where progress is shown.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Takes one block. `Some` when everything is received and in its place.
    ///
    /// # Errors
    /// Why it cannot go on; what is verified is kept.
    pub fn block(&mut self, block: Block, again: &mut dyn FnMut(Key)) -> Result<Option<Received>, Failure> {
        let block = Arc::new(block);
        let whole: &[u8] = (*block).as_ref();
        let mut rest = whole;
        let outcome = loop {
            let mut decoder = std::mem::take(&mut self.decoder);
            let piece = decoder.next(&mut rest);
            self.decoder = decoder;
            match piece? {
                None => break None,
                Some(Piece::Content(bytes)) => {
                    let end = whole.len() - rest.len();
                    self.content(&block, end - bytes.len()..end)?;
                }
                Some(Piece::Message(message)) => {
                    if let Some(received) = self.message(message, again)? {
                        break Some(received);
                    }
                }
            }
        };
        self.store.flush().map_err(|error| self.disk(&error, 0))?;
        Ok(outcome)
    }

    fn message(&mut self, message: Forward, again: &mut dyn FnMut(Key)) -> Result<Option<Received>, Failure> {
        match message {
            Forward::Offer(_) => return Err(broken("a second offer")),
            Forward::Listed => return Err(broken("a list that nobody asked for")),
            Forward::Idle => {}
            Forward::Totals { files, bytes } => {
                self.progress.total(files, bytes, true);
                if bytes > self.bounds.bytes || files > self.bounds.items {
                    return Err(self.too_much("more is to come than was offered"));
                }
                let (needed, free) = (bytes.saturating_sub(self.bytes), self.store.free_space().unwrap_or(u64::MAX));
                if needed.saturating_add(MARGIN) > free {
                    return Err(no_space(needed, free));
                }
            }
            Forward::Stop(reason) => return Err(Failure::Stopped(reason)),
            Forward::Entry(entry) => self.entry(entry)?,
            Forward::End { hash } => self.end(hash, again)?,
            Forward::Abandon { key } => self.abandon(key),
            Forward::Finish => {
                if self.current.is_some() {
                    return Err(broken("it ended within a file"));
                }
                if self.waiting_for.is_empty() {
                    return self.finish().map(Some);
                }
            }
        }
        Ok(None)
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Failure> {
        if self.current.is_some() {
            return Err(broken("an item within a file"));
        }
        if self.store.items() >= self.bounds.items {
            return Err(self.too_much("more items came than were offered"));
        }
        if !self.bounds.allow(&entry.path, matches!(entry.what, What::Folder { .. })) {
            let name = accord_model::text::for_screen(&entry.path, 200);
            return Err(Failure::Fail(FailReason::TooMuch, format!("`{name}` came, which was not offered")));
        }
        let path = path_key(&entry.path);
        let taken = match entry.what {
            What::Folder { modified } => self.store.add_folder(&entry.path, modified),
            What::Link { target } => self.store.add_link(&entry.path, &target),
            What::File { size, modified, executable, from, prefix } => {
                self.waiting_for.remove(&entry.key);
                let (key, name) = (entry.key, entry.path);
                let local = String::new();
                let current = Current {
                    key,
                    path,
                    name,
                    local,
                    file: None,
                    size,
                    got: from,
                    modified,
                    hash: Hashing::No,
                    bad_prefix: false,
                };
                return self.begin(current, executable, from, prefix);
            }
        };
        if let Err(reason) = taken {
            self.refuse(entry.key, path, &entry.path, reason);
        }
        Ok(())
    }

    fn begin(&mut self, mut current: Current, executable: bool, from: u64, prefix: Hash) -> Result<(), Failure> {
        if self.store.held.contains_key(&current.key) {
            // Held already; the content is read over.
            current.local.clear();
            self.current = Some(current);
            return Ok(());
        }
        if current.size.is_some_and(|size| from > size) {
            return Err(broken("a file that begins behind its end"));
        }
        let local = match self.store.place_file(current.key, &current.name) {
            Ok(local) => local,
            Err(reason) => {
                self.refuse(current.key, current.path, &current.name, reason);
                self.current = Some(current);
                return Ok(());
            }
        };
        let big = current.size.is_none_or(|size| size > SMALL);
        let opened = match from {
            0 => self.store.tree.create(&local, executable).map(|file| (file, true)),
            from => self.store.tree.existing(&local).and_then(|mut file| {
                let sound = file.metadata()?.len() >= from;
                file.set_len(if sound { from } else { 0 })?;
                file.seek(SeekFrom::End(0))?;
                Ok((file, sound))
            }),
        };
        let (mut file, sound) = match opened {
            Ok(opened) => opened,
            Err(error) if is_full(&error) => return Err(self.disk(&error, current.size.unwrap_or(0))),
            Err(_) => {
                self.refuse(current.key, current.path, &current.name, ItemReason::Disk);
                self.current = Some(current);
                return Ok(());
            }
        };
        let mut hasher = Box::new(Hasher::new());
        if from > 0 {
            let same = sound && hash_file(&mut file, from, &mut hasher).is_ok() && hasher.finalize() == prefix;
            current.bad_prefix = !same;
        }
        if big {
            self.store.begin(current.key, current.path, &local).map_err(|error| self.disk(&error, 0))?;
            self.beside(Beside::Begin(hasher));
            current.hash = Hashing::Beside;
        } else {
            current.hash = Hashing::Here(hasher);
        }
        self.progress.add(0, from);
        self.bytes = self.bytes.saturating_add(from);
        current.file = Some(file);
        current.local = local;
        self.current = Some(current);
        Ok(())
    }

    fn content(&mut self, block: &Arc<Block>, range: Range<usize>) -> Result<(), Failure> {
        let Some(mut current) = self.current.take() else { return Err(FrameError::Content.into()) };
        let length = range.len() as u64;
        current.got = current.got.saturating_add(length);
        self.bytes = self.bytes.saturating_add(length);
        if current.size.is_some_and(|size| current.got > size) {
            return Err(broken("more content than the file's size"));
        }
        if self.bytes > self.bounds.bytes {
            return Err(self.too_much("more bytes came than were offered"));
        }
        self.look(length)?;
        if let Some(file) = current.file.as_mut().filter(|_| !current.bad_prefix) {
            let bytes = &(**block).as_ref()[range.clone()];
            if let Err(error) = file.write_all(bytes) {
                if is_full(&error) {
                    let needed = current.size.unwrap_or(current.got).saturating_sub(current.got);
                    return Err(self.disk(&error, needed.saturating_add(length)));
                }
                current.file = None;
                current.hash = Hashing::No;
                self.refuse(current.key, current.path, &current.name.clone(), ItemReason::Disk);
            } else {
                match &mut current.hash {
                    Hashing::Here(hasher) => {
                        hasher.update(bytes);
                    }
                    Hashing::Beside => self.beside(Beside::Bytes(block.clone(), range)),
                    Hashing::No => {}
                }
                self.progress.add(0, length);
            }
        }
        self.current = Some(current);
        Ok(())
    }

    fn end(&mut self, hash: Hash, again: &mut dyn FnMut(Key)) -> Result<(), Failure> {
        let Some(current) = self.current.take() else { return Err(broken("the end of a file that was not begun")) };
        if current.size.is_some_and(|size| size != current.got) {
            return Err(broken("less content than the file's size"));
        }
        let Some(file) = current.file else { return Ok(()) };
        let found: Hash = match current.hash {
            Hashing::Here(hasher) => hasher.finalize().into(),
            Hashing::Beside => {
                let (answer, wait) = sync_channel(1);
                self.beside(Beside::End(answer));
                wait.recv().unwrap_or_default()
            }
            Hashing::No => return Ok(()),
        };
        if current.bad_prefix || found != hash {
            let _ = file.set_len(0);
            self.uncount(current.got);
            let tries = self.asked_again.entry(current.key).or_default();
            *tries += 1;
            if *tries > 1 {
                let _ = self.store.tree.remove(&current.local);
                self.refuse(current.key, current.path, &current.name, ItemReason::Hash);
            } else {
                // The place stays the file's own until it comes again.
                self.store.begin(current.key, current.path, &current.local).map_err(|error| self.disk(&error, 0))?;
                self.waiting_for.insert(current.key);
                again(current.key);
            }
            return Ok(());
        }
        let _ = match current.modified {
            Time { seconds: 0, nanos: 0 } => Ok(()),
            time => set_time(&file, time),
        };
        self.store.hold(current.key, current.path, current.local, current.got, hash);
        self.progress.add(1, 0);
        Ok(())
    }

    fn abandon(&mut self, key: Key) {
        if self.waiting_for.remove(&key) {
            self.store.fail(key, key, ItemReason::Hash);
        }
        if let Some(current) = self.current.take().filter(|current| current.key == key) {
            if current.file.is_some() {
                self.uncount(current.got);
                let _ = self.store.tree.remove(&current.local);
            }
            self.store.fail(key, current.path, ItemReason::Abandoned);
        }
    }

    fn finish(&mut self) -> Result<Received, Failure> {
        let saved_to = self.store.finish().map_err(|error| self.disk(&error, 0))?;
        Ok(summary(&self.store, saved_to))
    }

    fn too_much(&self, message: &str) -> Failure {
        match self.bounds.asks_again {
            true => Failure::More,
            false => Failure::Fail(FailReason::TooMuch, message.to_owned()),
        }
    }

    /// Ends before the disk is full to the last byte, whatever was offered.
    fn look(&mut self, length: u64) -> Result<(), Failure> {
        if self.until_look < length {
            let free = self.store.free_space().unwrap_or(u64::MAX);
            if free < MARGIN {
                let total = self.progress.bytes_total.load(Relaxed);
                return Err(no_space(length.max(total.saturating_sub(self.bytes)), free));
            }
            self.until_look = LOOK_EVERY;
        }
        self.until_look = self.until_look.saturating_sub(length);
        Ok(())
    }

    fn refuse(&mut self, key: Key, path: Key, name: &str, reason: ItemReason) {
        self.progress.skip(format!("{}: {}", accord_model::text::for_screen(name, 200), item_reason(reason)));
        self.store.fail(key, path, reason);
    }

    fn uncount(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let shown = self.progress.bytes.load(Relaxed);
        self.progress.bytes.store(shown.saturating_sub(bytes), Relaxed);
    }

    fn disk(&self, error: &io::Error, needed: u64) -> Failure {
        if is_full(error) {
            let total = self.progress.bytes_total.load(Relaxed);
            return no_space(needed.max(total.saturating_sub(self.bytes)), self.store.free_space().unwrap_or(0));
        }
        Failure::Fail(FailReason::Disk, format!("{} cannot be written: {error}", self.store.folder().display()))
    }

    fn beside(&mut self, job: Beside) {
        let thread = self.beside.get_or_insert_with(|| {
            let (jobs, work) = sync_channel(4);
            std::thread::spawn(move || {
                let mut hasher = Box::new(Hasher::new());
                for job in work {
                    match job {
                        Beside::Begin(begun) => hasher = begun,
                        Beside::Bytes(block, range) => {
                            hasher.update(&(*block).as_ref()[range]);
                        }
                        Beside::End(answer) => {
                            let _ = answer.send(hasher.finalize().into());
                        }
                    }
                }
            });
            jobs
        });
        let _ = thread.send(job);
    }
}

/// What a complete store holds.
pub fn summary(store: &Store, saved_to: Vec<PathBuf>) -> Received {
    let (files, bytes) = store.done();
    let failed = store.failed.values().take(NAMED).copied().collect();
    Received { files, bytes, saved_to, failed, failed_count: store.failed.len() as u64 }
}

/// Whether there is room for what is offered, less what is here already.
///
/// # Errors
/// The failure for both sides.
pub fn check_space(store: &mut Store, offer: &Offer) -> Result<(), Failure> {
    let partial: u64 = store.partial().iter().map(|(_, length)| length).sum();
    let needed = offer.bytes.saturating_sub(store.done().1).saturating_sub(partial);
    match store.free_space() {
        Ok(free) if needed > 0 && needed.saturating_add(MARGIN) > free => Err(no_space(needed, free)),
        _ => Ok(()),
    }
}

fn no_space(needed: u64, free: u64) -> Failure {
    let message = format!("the disk is full: {} needed, {} free", size(needed), size(free));
    Failure::Fail(FailReason::NoSpace { needed, free }, message)
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", units[unit]) }
}

/// Why an item was not taken, in words.
pub fn item_reason(reason: ItemReason) -> &'static str {
    match reason {
        ItemReason::Path => "its path leaves the inbox or is none",
        ItemReason::Long => "its path is too long",
        ItemReason::Deep => "more than 64 folders deep",
        ItemReason::Folder => "its folder could not be made",
        ItemReason::Hash => "it arrived damaged twice",
        ItemReason::Link => "a link that leads out of what was sent",
        ItemReason::Disk => "it could not be written",
        ItemReason::Abandoned => "it changed or became unreadable while it was sent",
        ItemReason::NotWanted => "left out by its owner",
        ItemReason::Foreign => "that device cannot take such an item, or did not take it",
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn hash_file(file: &mut File, length: u64, hasher: &mut Hasher) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; BLOCK];
    let mut left = length;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let read = file.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..read]);
        left -= read as u64;
    }
    file.seek(SeekFrom::Start(length)).map(drop)
}
