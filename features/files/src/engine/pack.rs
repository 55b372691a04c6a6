//! The sender's threads: one reads and packs files into blocks, one hashes big files and seals the blocks. The async side
//! only writes what comes out, so that disk, hash and network overlap.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use accord_model::FieldSet;
use blake3::Hasher;
use rustix::fs::OFlags;
use tokio::sync::mpsc;

use super::{Note, Progress, Sink};
use crate::block::{BLOCK, Block, Pool};
use crate::scan::{Found, Root, Walk, file_key, modified, path_key, reason, skipped_line};
use crate::wire::{self, Entry, Forward, HEADER, Hash, Key, MAX_CONTENT, Time, What};

/// Files up to this size are hashed where they are read and never resumed.
pub const SMALL: u64 = 256 * 1024;
/// Files that can be asked for again.
const REMEMBERED: usize = 16 * 1024;
/// Names noted for the ledger.
const NOTES: u64 = 1024;

/// What is sent.
pub enum Input {
    /// Files and folders.
    Roots(Vec<Root>),
    /// One file from memory.
    Bytes {
        /// Its name.
        name: String,
        /// Its content.
        bytes: Arc<[u8]>,
    },
    /// One file whose size is not known before.
    Stream {
        /// Its name.
        name: String,
        /// Its content.
        reader: Box<dyn Read + Send>,
    },
}

/// What will be sent, to be said before.
pub enum Listing {
    /// Files and folders.
    Roots(Vec<Root>),
    /// One file from memory or a stream.
    One(Entry),
}

impl Listing {
    /// Of an input.
    pub fn of(input: &Input) -> Self {
        match input {
            Input::Roots(roots) => Self::Roots(roots.clone()),
            Input::Bytes { name, bytes } => Self::One(one(name, Some(bytes.len() as u64))),
            Input::Stream { name, .. } => Self::One(one(name, None)),
        }
    }

    /// Looks at everything on a thread; what it finds comes out of the channel. Drop that to stop it.
    pub fn start(self) -> mpsc::Receiver<Entry> {
        let (found, out) = mpsc::channel(256);
        tokio::task::spawn_blocking(move || match self {
            Self::One(entry) => drop(found.blocking_send(entry)),
            Self::Roots(roots) => {
                for entry in Walk::new(roots).filter_map(item) {
                    if found.blocking_send(entry).is_err() {
                        return;
                    }
                }
            }
        });
        out
    }
}

fn one(name: &str, size: Option<u64>) -> Entry {
    let what = What::File { size, modified: Time::default(), executable: false, from: 0, prefix: [0; 32] };
    Entry { key: path_key(name), path: name.to_owned(), what }
}

fn item(found: Found) -> Option<Entry> {
    let of = |path: String, what| Entry { key: path_key(&path), path, what };
    Some(match found {
        Found::Folder { path, modified } => of(path, What::Folder { modified }),
        Found::Link { path, target } => of(path, What::Link { target }),
        Found::Skipped(_) => return None,
        Found::File { source, path, follow } => {
            let (_, metadata) = open(&source, follow).ok().filter(|(_, metadata)| metadata.is_file())?;
            file_entry(&path, &metadata, 0, [0; 32])
        }
    })
}

fn file_entry(path: &str, metadata: &Metadata, from: u64, prefix: Hash) -> Entry {
    let (size, time) = (metadata.len(), modified(metadata));
    let executable = metadata.mode() & 0o100 != 0;
    let key = file_key(path, size, time, executable);
    Entry {
        key,
        path: path.to_owned(),
        what: What::File { size: Some(size), modified: time, executable, from, prefix },
    }
}

/// One job for the threads.
pub struct Job {
    /// What is sent.
    pub input: Input,
    /// What kinds of data it holds.
    pub fields: FieldSet,
    /// Items that the receiver holds verified.
    pub have: HashSet<Key>,
    /// Files that it holds in part.
    pub partial: HashMap<Key, u64>,
    /// Files that it asks for again.
    pub again: Receiver<Key>,
    /// Where skipped items are noted.
    pub progress: Arc<Progress>,
}

/// A sealed block and what it completes.
pub struct Packed<S: Sink> {
    /// The bytes.
    pub sealed: S::Sealed,
    /// Content bytes in it, skipped ones included.
    pub content: u64,
    /// Files that end in it, skipped ones included.
    pub files: u64,
    /// Everything is packed, up to what is asked for again.
    pub last: bool,
}

enum Step {
    Begin(Box<Hasher>),
    Hash(Range<usize>),
    Seal { at: usize, note: usize },
}

struct Work {
    block: Block,
    steps: Vec<Step>,
    notes: Vec<Note>,
    content: u64,
    files: u64,
    last: bool,
}

/// The other side is gone; stop.
struct Gone;

/// Starts the threads. What they pack comes out of the channel; drop it to stop them.
pub fn start<S: Sink>(job: Job, pool: Pool) -> mpsc::Receiver<Packed<S>> {
    let (to_hash, from_read) = sync_channel(3);
    let (to_write, out) = mpsc::channel(3);
    let fields = job.fields;
    tokio::task::spawn_blocking(move || hash::<S>(&from_read, &to_write, fields));
    tokio::task::spawn_blocking(move || Packer::new(to_hash, pool, job).run());
    out
}

fn hash<S: Sink>(from_read: &Receiver<Work>, to_write: &mpsc::Sender<Packed<S>>, fields: FieldSet) {
    let mut hasher = Hasher::new();
    while let Ok(mut work) = from_read.recv() {
        for step in std::mem::take(&mut work.steps) {
            match step {
                Step::Begin(begun) => hasher = *begun,
                Step::Hash(range) => {
                    hasher.update(&work.block.as_ref()[range]);
                }
                Step::Seal { at, note } => {
                    let hash: Hash = hasher.finalize().into();
                    work.block.used_mut()[at..at + hash.len()].copy_from_slice(&hash);
                    if let Some(note) = work.notes.get_mut(note) {
                        note.digest = hash;
                    }
                }
            }
        }
        let sealed = S::seal(fields, work.block, work.notes);
        if to_write.blocking_send(Packed { sealed, content: work.content, files: work.files, last: work.last }).is_err()
        {
            return;
        }
    }
}

struct Packer {
    out: SyncSender<Work>,
    pool: Pool,
    work: Work,
    job: Job,
    noted: u64,
    sent: HashMap<Key, (PathBuf, String, bool)>,
    sent_order: VecDeque<Key>,
    changed: Vec<(PathBuf, String, bool)>,
}

impl Packer {
    fn new(out: SyncSender<Work>, pool: Pool, job: Job) -> Self {
        let work = Work { block: pool.get(), steps: Vec::new(), notes: Vec::new(), content: 0, files: 0, last: false };
        let (sent, sent_order, changed) = Default::default();
        Self { out, pool, work, job, noted: 0, sent, sent_order, changed }
    }

    fn run(mut self) {
        let input = std::mem::replace(&mut self.job.input, Input::Roots(Vec::new()));
        let _ = self.pack(input);
    }

    fn pack(&mut self, mut input: Input) -> Result<(), Gone> {
        match &mut input {
            Input::Roots(roots) => {
                for found in Walk::new(std::mem::take(roots)) {
                    self.found(found)?;
                }
                for (source, path, follow) in std::mem::take(&mut self.changed) {
                    if !self.file(&source, &path, follow)? {
                        self.skip(&source, "it changes while it is sent; send it again when it is at rest");
                    }
                }
            }
            Input::Bytes { name, bytes } => self.bytes(name, bytes)?,
            Input::Stream { name, reader } => self.stream(name, reader.as_mut())?,
        }
        self.finish()?;
        while let Ok(first) = self.job.again.recv() {
            let keys: Vec<Key> = std::iter::once(first).chain(self.job.again.try_iter()).collect();
            for key in keys {
                self.again(key, &input)?;
            }
            self.finish()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Gone> {
        self.message(&Forward::Finish)?;
        self.work.last = true;
        self.flush()
    }

    fn again(&mut self, key: Key, input: &Input) -> Result<(), Gone> {
        self.job.have.remove(&key);
        self.job.partial.remove(&key);
        if let Input::Bytes { name, bytes } = input {
            return self.bytes(name, bytes);
        }
        let known = self.sent.get(&key).cloned();
        let sent = match &known {
            Some((source, path, follow)) => self.file(source, path, *follow)?,
            None => false,
        };
        if !sent {
            self.message(&Forward::Abandon { key })?;
        }
        Ok(())
    }

    fn found(&mut self, found: Found) -> Result<(), Gone> {
        match found {
            Found::Folder { path, modified } => self.entry(path_key(&path), path, What::Folder { modified }),
            Found::Link { path, target } => self.entry(path_key(&path), path, What::Link { target }),
            Found::Skipped(line) => {
                self.job.progress.skip(line);
                Ok(())
            }
            Found::File { source, path, follow } => {
                if !self.file(&source, &path, follow)? {
                    self.changed.push((source, path, follow));
                }
                Ok(())
            }
        }
    }

    /// Sends one file. False when it changed meanwhile; then nothing of it counts.
    fn file(&mut self, source: &Path, path: &str, follow: bool) -> Result<bool, Gone> {
        let (mut file, metadata) = match open(source, follow) {
            Ok(opened) => opened,
            Err(error) => {
                self.skip(source, &reason(&error));
                return Ok(true);
            }
        };
        if !metadata.is_file() {
            self.skip(source, "neither file nor folder");
            return Ok(true);
        }
        let size = metadata.len();
        let entry = |from, prefix| file_entry(path, &metadata, from, prefix);
        let key = entry(0, [0; 32]).key;
        if self.job.have.contains(&key) {
            self.work.files += 1;
            self.work.content += size;
            return Ok(true);
        }
        self.remember(key, source, path, follow);
        if size <= SMALL {
            return self.small(&mut file, size, entry(0, [0; 32]), &metadata);
        }
        let mut hasher = Box::new(Hasher::new());
        let from = self.job.partial.get(&key).copied().filter(|from| *from <= size).unwrap_or(0);
        let mut prefix = [0; 32];
        if from > 0 {
            match self.hash_prefix(&mut file, from, &mut hasher) {
                Ok(true) => prefix = hasher.finalize().into(),
                Ok(false) => return Ok(false),
                Err(error) => {
                    self.skip(source, &reason(&error));
                    return Ok(true);
                }
            }
            self.work.content += from;
        }
        self.message(&Forward::Entry(entry(from, prefix)))?;
        self.work.steps.push(Step::Begin(hasher));
        let mut left = size - from;
        while left > 0 {
            match self.content(&mut file, left, true)? {
                Ok(0) => break,
                Ok(read) => left -= read,
                Err(error) => {
                    self.skip(source, &reason(&error));
                    self.message(&Forward::Abandon { key })?;
                    return Ok(true);
                }
            }
        }
        if left > 0 || has_changed(&file, &metadata) {
            self.message(&Forward::Abandon { key })?;
            return Ok(false);
        }
        self.end(path, size)?;
        Ok(true)
    }

    /// A whole small file within one block, so that it can be taken back.
    fn small(&mut self, file: &mut File, size: u64, entry: Entry, metadata: &Metadata) -> Result<bool, Gone> {
        let length = usize::try_from(size).unwrap_or(0);
        if self.work.block.room() < length + entry.path.len() + 256 {
            self.flush()?;
        }
        let (start, files, content) = (self.work.block.len(), self.work.files, self.work.content);
        let path = entry.path.clone();
        self.message(&Forward::Entry(entry))?;
        let mut hash = blake3::hash(b"");
        if length > 0 {
            let free = self.work.block.free_mut();
            wire::write_content_header(length, free);
            let body = &mut free[HEADER..HEADER + length];
            let whole = file.read_exact(body).is_ok();
            hash = blake3::hash(body);
            self.work.block.advance(HEADER + length);
            if !whole || has_changed(file, metadata) {
                self.work.block.truncate(start);
                (self.work.files, self.work.content) = (files, content);
                return Ok(false);
            }
        }
        self.message(&Forward::End { hash: hash.into() })?;
        self.work.content += size;
        self.work.files += 1;
        self.note(&path, size, hash.into());
        Ok(true)
    }

    /// The next content frame. `whole`: read until it is full.
    fn content(&mut self, from: &mut (impl Read + ?Sized), at_most: u64, whole: bool) -> Result<io::Result<u64>, Gone> {
        if self.work.block.room() < 64 * 1024 {
            self.flush()?;
        }
        let room = (self.work.block.room() - HEADER).min(MAX_CONTENT);
        let wanted = usize::try_from(at_most).unwrap_or(room).min(room);
        let start = self.work.block.len() + HEADER;
        let mut got = 0;
        while got < wanted {
            match from.read(&mut self.work.block.free_mut()[HEADER + got..HEADER + wanted]) {
                Ok(0) => break,
                Ok(read) => got += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
            if !whole {
                break;
            }
        }
        if got > 0 {
            wire::write_content_header(got, self.work.block.free_mut());
            self.work.block.advance(HEADER + got);
            self.work.steps.push(Step::Hash(start..start + got));
            self.work.content += got as u64;
        }
        Ok(Ok(got as u64))
    }

    fn end(&mut self, path: &str, size: u64) -> Result<(), Gone> {
        self.message(&Forward::End { hash: [0; 32] })?;
        let at = self.work.block.len() - 32;
        self.note(path, size, [0; 32]);
        self.work.steps.push(Step::Seal { at, note: self.work.notes.len() - 1 });
        self.work.files += 1;
        Ok(())
    }

    fn bytes(&mut self, name: &str, mut bytes: &[u8]) -> Result<(), Gone> {
        let size = bytes.len() as u64;
        self.message(&Forward::Entry(one(name, Some(size))))?;
        self.work.steps.push(Step::Begin(Box::default()));
        while !bytes.is_empty() {
            let left = bytes.len() as u64;
            let _ = self.content(&mut bytes, left, true)?;
        }
        self.end(name, size)
    }

    fn stream(&mut self, name: &str, reader: &mut dyn Read) -> Result<(), Gone> {
        let key = path_key(name);
        self.message(&Forward::Entry(one(name, None)))?;
        self.work.steps.push(Step::Begin(Box::default()));
        let mut size = 0;
        loop {
            match self.content(reader, u64::MAX, false)? {
                Ok(0) => break,
                Ok(read) => {
                    size += read;
                    // Nobody knows when more comes.
                    self.flush()?;
                }
                Err(error) => {
                    self.skip(Path::new(name), &reason(&error));
                    return self.message(&Forward::Abandon { key });
                }
            }
        }
        self.end(name, size)
    }

    fn hash_prefix(&self, file: &mut File, length: u64, hasher: &mut Hasher) -> io::Result<bool> {
        let mut block = self.pool.get();
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            let read = file.read(&mut block.free_mut()[..wanted])?;
            if read == 0 {
                return Ok(false);
            }
            hasher.update(&block.free_mut()[..read]);
            left -= read as u64;
        }
        Ok(true)
    }

    fn entry(&mut self, key: Key, path: String, what: What) -> Result<(), Gone> {
        self.message(&Forward::Entry(Entry { key, path, what }))
    }

    fn message(&mut self, message: &Forward) -> Result<(), Gone> {
        let written = match wire::write_message(message, self.work.block.free_mut()) {
            Some(written) => written,
            None => {
                self.flush()?;
                wire::write_message(message, self.work.block.free_mut()).ok_or(Gone)?
            }
        };
        self.work.block.advance(written);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let next =
            Work { block: self.pool.get(), steps: Vec::new(), notes: Vec::new(), content: 0, files: 0, last: false };
        self.out.send(std::mem::replace(&mut self.work, next)).map_err(|_| Gone)
    }

    fn note(&mut self, path: &str, size: u64, digest: Hash) {
        self.noted += 1;
        let name = if self.noted <= NOTES { path.to_owned() } else { String::new() };
        self.work.notes.push(Note { name, size, digest });
    }

    fn remember(&mut self, key: Key, source: &Path, path: &str, follow: bool) {
        if self.sent_order.len() >= REMEMBERED
            && let Some(oldest) = self.sent_order.pop_front()
        {
            self.sent.remove(&oldest);
        }
        if self.sent.insert(key, (source.to_owned(), path.to_owned(), follow)).is_none() {
            self.sent_order.push_back(key);
        }
    }

    fn skip(&self, source: &Path, why: &str) {
        self.job.progress.skip(skipped_line(source, why));
    }
}

fn open(source: &Path, follow: bool) -> io::Result<(File, Metadata)> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(source)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn has_changed(file: &File, before: &Metadata) -> bool {
    file.metadata().map_or(true, |now| now.len() != before.len() || modified(&now) != modified(before))
}
