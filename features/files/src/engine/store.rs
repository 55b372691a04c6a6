//! Where an incoming transfer lies until it is complete: `inbox/.accord-partial/<id>/` with a journal and a tree.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::journal::{Journal, Record};
use super::place::{Place, free_space};
use super::publish::publish;
use crate::block::BLOCK;
use crate::name::{PARTIAL, folded, link_stays_inside, safe_names};
use crate::scan::{free_name, path_key};
use crate::wire::{Hash, ItemReason, Key, Time};

/// A verified file.
pub struct Held {
    /// Its path here.
    pub local: String,
    /// Its bytes.
    pub size: u64,
    hash: Hash,
}

/// A transfer's folder and everything known of it.
pub struct Store {
    inbox_path: PathBuf,
    folder: PathBuf,
    inbox: Place,
    /// The tree of received items.
    pub tree: Place,
    journal: Journal,
    folders: HashMap<String, (String, Time)>,
    /// Verified files by key.
    pub held: HashMap<Key, Held>,
    begun: HashMap<Key, String>,
    /// The newest key of each path.
    by_path: HashMap<Key, Key>,
    links: HashMap<Key, (String, String)>,
    taken: HashSet<Key>,
    /// Items that were not taken, by path.
    pub failed: HashMap<Key, (Key, ItemReason)>,
    /// Whether everything is verified and on disk.
    pub complete: bool,
    published: HashMap<String, String>,
}

/// Where the transfer of this name lies.
pub fn folder(inbox: &Path, id: &str) -> PathBuf {
    inbox.join(PARTIAL).join(id)
}

/// Removes what was received of a transfer.
///
/// # Errors
/// What the system said.
pub fn discard(inbox: &Path, id: &str) -> io::Result<()> {
    match std::fs::remove_dir_all(folder(inbox, id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            let _ = std::fs::remove_dir(inbox.join(PARTIAL));
            Ok(())
        }
    }
}

/// Transfers whose folder nobody wrote to for so long.
pub fn untouched(inbox: &Path, for_so_long: Duration) -> Vec<String> {
    let entries = std::fs::read_dir(inbox.join(PARTIAL)).into_iter().flatten().flatten();
    let is_old = |entry: &std::fs::DirEntry| {
        let journal = std::fs::metadata(entry.path().join("journal")).or_else(|_| entry.metadata());
        let age = journal.and_then(|metadata| metadata.modified()).map(|time| time.elapsed().unwrap_or_default());
        age.is_ok_and(|age| age > for_so_long)
    };
    entries.filter(is_old).filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

impl Store {
    /// Opens or makes it. Files that may not have reached the disk before the system went down are read and compared.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(inbox_path: &Path, id: &str) -> io::Result<Self> {
        std::fs::create_dir_all(inbox_path)?;
        let inbox = Place::open(inbox_path)?;
        let dir = inbox.sub(PARTIAL)?.sub(id)?;
        let tree = dir.sub("tree")?;
        let folder = folder(inbox_path, id);
        let journal =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join("journal"))?;
        let (journal, records) = Journal::open(journal)?;
        let mut store = Self {
            inbox_path: inbox_path.to_owned(),
            folder,
            inbox,
            tree,
            journal,
            folders: HashMap::new(),
            held: HashMap::new(),
            begun: HashMap::new(),
            by_path: HashMap::new(),
            links: HashMap::new(),
            taken: HashSet::new(),
            failed: HashMap::new(),
            complete: false,
            published: HashMap::new(),
        };
        let mut boots = HashSet::new();
        for record in records {
            store.replay(record, &mut boots);
        }
        let boot = boot();
        if !store.complete && boots.iter().any(|earlier| *earlier != boot) {
            store.distrust();
        }
        if boots.insert(boot) {
            store.note(&Record::Boot(boot));
            store.flush()?;
        }
        Ok(store)
    }

    /// The folder of the transfer.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that can still be written.
    ///
    /// # Errors
    /// What the system said.
    pub fn free_space(&self) -> io::Result<u64> {
        free_space(self.tree.fd())
    }

    /// Files held in part, with their length.
    pub fn partial(&mut self) -> Vec<(Key, u64)> {
        let tree = &mut self.tree;
        let length = |local: &str| Some(tree.existing(local).ok()?.metadata().ok()?.len());
        let mut length = length;
        let mut partial: Vec<_> = self
            .begun
            .iter()
            .filter_map(|(key, local)| Some((*key, length(local).filter(|length| *length > 0)?)))
            .collect();
        partial.truncate(1024);
        partial
    }

    /// Number and bytes of verified files.
    pub fn done(&self) -> (u64, u64) {
        (self.held.len() as u64, self.held.values().map(|held| held.size).sum())
    }

    /// Number of items of every kind.
    pub fn items(&self) -> u64 {
        (self.taken.len() + self.failed.len()) as u64
    }

    /// Makes a folder for a path from outside.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn add_folder(&mut self, path: &str, modified: Time) -> Result<(), ItemReason> {
        let local = match self.folders.get(path) {
            Some((local, _)) => local.clone(),
            None => self.free_local(path)?,
        };
        self.tree.folder(&local).map_err(|_| ItemReason::Folder)?;
        self.note(&Record::Folder { path: path.to_owned(), local: local.clone(), modified });
        self.folders.insert(path.to_owned(), (local, modified));
        Ok(())
    }

    /// Notes a link for a path from outside.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn add_link(&mut self, path: &str, target: &str) -> Result<(), ItemReason> {
        if !link_stays_inside(path, target) {
            return Err(ItemReason::Link);
        }
        let path_key = path_key(path);
        let local = match self.links.get(&path_key) {
            Some((local, _)) => local.clone(),
            None => self.free_local(path)?,
        };
        self.note(&Record::Link { path: path_key, local: local.clone(), target: target.to_owned() });
        self.links.insert(path_key, (local, target.to_owned()));
        Ok(())
    }

    /// The place of a file for a path from outside. An earlier version of the same file gives its place up.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn place_file(&mut self, key: Key, path: &str) -> Result<String, ItemReason> {
        let path_key = path_key(path);
        let earlier = self.by_path.get(&path_key).copied();
        let local = match earlier.and_then(|earlier| self.forget(&earlier)) {
            Some(local) => local,
            None => self.free_local(path)?,
        };
        self.by_path.insert(path_key, key);
        Ok(local)
    }

    /// Notes that a big file was begun.
    ///
    /// # Errors
    /// What the system said.
    pub fn begin(&mut self, key: Key, path: Key, local: &str) -> io::Result<()> {
        self.note(&Record::Begun { key, path, local: local.to_owned() });
        self.begun.insert(key, local.to_owned());
        self.flush()
    }

    /// Notes that a file is verified.
    pub fn hold(&mut self, key: Key, path: Key, local: String, size: u64, hash: Hash) {
        self.note(&Record::File { key, path, local: local.clone(), size, hash });
        self.begun.remove(&key);
        self.failed.remove(&path);
        self.held.insert(key, Held { local, size, hash });
    }

    /// Notes that an item is not taken.
    pub fn fail(&mut self, key: Key, path: Key, reason: ItemReason) {
        self.note(&Record::Failed { path, key, reason });
        self.failed.insert(path, (key, reason));
    }

    /// Hands the journal to the system.
    ///
    /// # Errors
    /// What the system said.
    pub fn flush(&mut self) -> io::Result<()> {
        self.journal.flush()
    }

    /// Everything was received: links, folder times, to disk, to its place.
    ///
    /// # Errors
    /// What the system said.
    pub fn finish(&mut self) -> io::Result<Vec<PathBuf>> {
        if !self.complete {
            for (path, (local, target)) in std::mem::take(&mut self.links) {
                if self.tree.link(&local, &target).is_err() {
                    self.failed.insert(path, (path, ItemReason::Link));
                }
            }
            let mut folders: Vec<_> = std::mem::take(&mut self.folders).into_values().collect();
            folders.sort_unstable_by_key(|(local, _)| std::cmp::Reverse(local.len()));
            for (local, modified) in folders {
                let _ = self.tree.set_folder_time(&local, modified);
            }
            self.flush()?;
            rustix::fs::syncfs(self.tree.fd())?;
            self.note(&Record::Complete);
            self.journal.sync()?;
            self.complete = true;
        }
        publish(&self.inbox, &self.inbox_path, &self.tree, &mut self.journal, &mut self.published)
    }

    /// The place of a file that is held verified or in part, which it loses.
    fn forget(&mut self, key: &Key) -> Option<String> {
        self.begun.remove(key).or_else(|| self.held.remove(key).map(|held| held.local))
    }

    fn free_local(&mut self, path: &str) -> Result<String, ItemReason> {
        let mut names = safe_names(path)?;
        let wished = names.pop().ok_or(ItemReason::Path)?;
        let folder = match path.rsplit_once('/') {
            Some((parent, _)) => Some(&self.folders.get(parent).ok_or(ItemReason::Folder)?.0),
            None => None,
        };
        let local = |name: &str| folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"));
        let name = free_name(&wished, |name| self.taken.contains(&taken_key(&local(name))));
        let local = local(&name);
        self.taken.insert(taken_key(&local));
        Ok(local)
    }

    fn note(&mut self, record: &Record) {
        self.journal.add(record);
    }

    fn replay(&mut self, record: Record, boots: &mut HashSet<Key>) {
        match record {
            Record::Boot(boot) => {
                boots.insert(boot);
            }
            Record::Folder { path, local, modified } => {
                self.taken.insert(taken_key(&local));
                self.folders.insert(path, (local, modified));
            }
            Record::Begun { key, path, local } => {
                self.supersede(key, path);
                self.taken.insert(taken_key(&local));
                self.begun.insert(key, local);
            }
            Record::File { key, path, local, size, hash } => {
                self.supersede(key, path);
                self.taken.insert(taken_key(&local));
                self.begun.remove(&key);
                self.failed.remove(&path);
                self.held.insert(key, Held { local, size, hash });
            }
            Record::Link { path, local, target } => {
                self.taken.insert(taken_key(&local));
                self.links.insert(path, (local, target));
            }
            // Tried again with the next connection.
            Record::Failed { .. } => {}
            Record::Complete => self.complete = true,
            Record::Published { name, as_name } => {
                self.published.insert(name, as_name);
            }
        }
    }

    fn supersede(&mut self, key: Key, path: Key) {
        if let Some(earlier) = self.by_path.insert(path, key).filter(|earlier| *earlier != key) {
            self.forget(&earlier);
        }
    }

    fn distrust(&mut self) {
        let tree = &mut self.tree;
        let mut buffer = vec![0; BLOCK];
        self.held.retain(|_, held| tree.existing(&held.local).is_ok_and(|file| is_whole(file, held, &mut buffer)));
    }
}

fn is_whole(mut file: File, held: &Held, buffer: &mut [u8]) -> bool {
    let mut hasher = blake3::Hasher::new();
    loop {
        match file.read(buffer) {
            Ok(0) => return hasher.finalize() == held.hash,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(_) => return false,
        };
    }
}

fn taken_key(local: &str) -> Key {
    path_key(&folded(local))
}

fn boot() -> Key {
    path_key(&std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default())
}
