//! Walks what the owner sends: files, folders and links in a fixed order, everything else reported.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use accord_model::text::for_screen;

use crate::name::{MAX_DEPTH, MAX_PATH, folded, link_stays_inside, numbered};
use crate::wire::{Key, MAX_PREVIEW, Preview, Time};

/// One thing to send, with the name it has on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Where it lies.
    pub source: PathBuf,
    /// Unique among the roots of a transfer.
    pub name: String,
}

/// Names for the paths of one transfer.
///
/// # Errors
/// The first path that does not exist, with the reason.
pub fn roots(paths: &[PathBuf]) -> Result<Vec<Root>, (PathBuf, io::Error)> {
    let mut taken = HashSet::new();
    let root = |path: &PathBuf| {
        let source = std::path::absolute(path).and_then(|path| fs::metadata(&path).map(|_| path));
        let source = source.map_err(|error| (path.clone(), error))?;
        let named = match source.file_name() {
            Some(name) => Some(name.to_owned()),
            None => fs::canonicalize(&source).ok().and_then(|path| path.file_name().map(ToOwned::to_owned)),
        };
        let wished = named.map_or_else(|| "folder".to_owned(), |name| wire_name(name.as_bytes()));
        let name = free_name(&wished, |name| !taken.insert(folded(name)));
        Ok(Root { source, name })
    };
    paths.iter().map(root).collect()
}

/// The name itself, or the first numbered one that is not taken.
pub fn free_name(wished: &str, mut is_taken: impl FnMut(&str) -> bool) -> String {
    let mut name = wished.to_owned();
    let mut number = 1;
    while is_taken(&name) {
        // Whoever sends very many names that clash does not make us count for ever.
        number = if number < 64 { number + 1 } else { scatter(wished, number) };
        name = numbered(wished, number);
    }
    name
}

fn scatter(name: &str, number: u32) -> u32 {
    let hash = blake3::Hasher::new().update(&number.to_le_bytes()).update(name.as_bytes()).finalize();
    let bytes = hash.as_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) | 64
}

/// A name as text; bytes that are no UTF-8 become `%FF`, so that different names stay different.
fn wire_name(bytes: &[u8]) -> String {
    let mut name = String::new();
    for chunk in bytes.utf8_chunks() {
        name.push_str(chunk.valid());
        for byte in chunk.invalid() {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// What the walk found.
#[derive(Debug)]
pub enum Found {
    /// A folder; what it holds follows.
    Folder {
        /// Its path on the way.
        path: String,
        /// When it was changed last.
        modified: Time,
    },
    /// A regular file, not opened yet.
    File {
        /// Where it lies.
        source: PathBuf,
        /// Its path on the way.
        path: String,
        /// Named by the owner: a link there is followed.
        follow: bool,
    },
    /// A link that stays inside.
    Link {
        /// Its path on the way.
        path: String,
        /// Where it points.
        target: String,
    },
    /// Not sent; what and why, for the owner.
    Skipped(String),
}

/// Depth-first, by name.
pub struct Walk {
    roots: std::vec::IntoIter<Root>,
    open: Vec<(PathBuf, String, std::vec::IntoIter<fs::DirEntry>)>,
}

impl Walk {
    /// Begins a walk.
    pub fn new(roots: Vec<Root>) -> Self {
        Self { roots: roots.into_iter(), open: Vec::new() }
    }

    fn enter(&mut self, source: PathBuf, path: String, metadata: io::Result<Metadata>) -> Found {
        if self.open.len() + 1 >= MAX_DEPTH {
            return skipped(&source, "more than 64 folders deep");
        }
        let read = metadata.and_then(|metadata| {
            let mut entries = fs::read_dir(&source)?.collect::<io::Result<Vec<_>>>()?;
            entries.sort_unstable_by_key(fs::DirEntry::file_name);
            Ok((metadata, entries))
        });
        match read {
            Ok((metadata, entries)) => {
                let modified = modified(&metadata);
                self.open.push((source, path.clone(), entries.into_iter()));
                Found::Folder { path, modified }
            }
            Err(error) => skipped(&source, &reason(&error)),
        }
    }

    fn root(&mut self, root: Root) -> Found {
        let metadata = fs::metadata(&root.source);
        match &metadata {
            Ok(found) if found.is_dir() => self.enter(root.source, root.name, metadata),
            Ok(found) if found.is_file() => Found::File { source: root.source, path: root.name, follow: true },
            Ok(_) => skipped(&root.source, "neither file nor folder"),
            Err(error) => skipped(&root.source, &reason(error)),
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, parent: &str) -> Found {
        let source = entry.path();
        let path = format!("{parent}/{}", wire_name(entry.file_name().as_bytes()));
        if path.len() > MAX_PATH {
            return skipped(&source, "its path is too long");
        }
        match entry.file_type() {
            Ok(kind) if kind.is_file() => Found::File { source, path, follow: false },
            Ok(kind) if kind.is_dir() => {
                let metadata = entry.metadata();
                self.enter(source, path, metadata)
            }
            Ok(kind) if kind.is_symlink() => match fs::read_link(&source) {
                Ok(target) => match target.to_str().filter(|target| link_stays_inside(&path, target)) {
                    Some(target) => Found::Link { path, target: target.to_owned() },
                    None => skipped(&source, "a link that leads out of what is sent"),
                },
                Err(error) => skipped(&source, &reason(&error)),
            },
            Ok(kind) if kind.is_socket() => skipped(&source, "a socket"),
            Ok(kind) if kind.is_fifo() => skipped(&source, "a pipe"),
            Ok(_) => skipped(&source, "a device"),
            Err(error) => skipped(&source, &reason(&error)),
        }
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        while let Some((_, path, entries)) = self.open.last_mut() {
            if let Some(entry) = entries.next() {
                let parent = path.clone();
                return Some(self.entry(&entry, &parent));
            }
            self.open.pop();
        }
        let root = self.roots.next()?;
        Some(self.root(root))
    }
}

/// One line for the owner.
pub fn skipped(source: &Path, why: &str) -> Found {
    Found::Skipped(skipped_line(source, why))
}

/// The same, as text.
pub fn skipped_line(source: &Path, why: &str) -> String {
    format!("{}: {why}", for_screen(&source.to_string_lossy(), 300))
}

/// What the system said, in the owner's words.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "not allowed to read it".to_owned(),
        io::ErrorKind::NotFound => "it is gone".to_owned(),
        _ => error.to_string(),
    }
}

/// When it was changed last.
pub fn modified(metadata: &Metadata) -> Time {
    Time { seconds: metadata.mtime(), nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0) }
}

/// The key of a file: the same as long as path, size, time and executable bit are.
pub fn file_key(path: &str, size: u64, modified: Time, executable: bool) -> Key {
    let mut hash = blake3::Hasher::new();
    hash.update(&size.to_le_bytes());
    hash.update(&modified.seconds.to_le_bytes());
    hash.update(&modified.nanos.to_le_bytes());
    hash.update(&[u8::from(executable)]);
    hash.update(path.as_bytes());
    first_16(hash.finalize().as_bytes())
}

/// The key of a folder or link.
pub fn path_key(path: &str) -> Key {
    first_16(blake3::hash(path.as_bytes()).as_bytes())
}

fn first_16(hash: &[u8; 32]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    key
}

/// How much there is to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Count {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether that is all.
    pub exact: bool,
    /// The roots, by name.
    pub preview: Vec<Preview>,
}

/// Counts files and bytes, for at most `within`.
pub fn count(roots: &[Root], within: Duration) -> Count {
    let end = Instant::now().checked_add(within);
    let mut count = Count { exact: true, ..Count::default() };
    for root in roots.iter().take(MAX_PREVIEW) {
        let metadata = fs::metadata(&root.source).ok();
        let folder = metadata.as_ref().is_some_and(Metadata::is_dir);
        let size = metadata.filter(Metadata::is_file).map(|metadata| metadata.len());
        let name = for_screen(&root.name, 255);
        count.preview.push(Preview { name, size, folder });
    }
    for (index, found) in Walk::new(roots.to_vec()).enumerate() {
        if let Found::File { source, follow, .. } = found {
            let metadata = if follow { fs::metadata(&source) } else { fs::symlink_metadata(&source) };
            count.files += 1;
            count.bytes = count.bytes.saturating_add(metadata.map_or(0, |metadata| metadata.len()));
        }
        if index % 64 == 0 && end.is_some_and(|end| Instant::now() > end) {
            count.exact = false;
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_walk_meets_folders_before_their_files_and_reports_what_it_leaves_out() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir_all(top.join("b/empty")).unwrap();
        fs::write(top.join("b/z"), "zz").unwrap();
        fs::write(top.join("a"), "a").unwrap();
        fs::write(top.join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
        std::os::unix::fs::symlink("a", top.join("inside")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", top.join("outside")).unwrap();
        let (here, private) = (rustix::fs::CWD, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(here, top.join("socket"), rustix::fs::FileType::Socket, private, 0).unwrap();
        let roots = roots(std::slice::from_ref(&top)).unwrap();
        let (mut seen, mut left_out) = (Vec::new(), Vec::new());
        for found in Walk::new(roots.clone()) {
            match found {
                Found::Folder { path, .. } | Found::File { path, .. } | Found::Link { path, .. } => seen.push(path),
                Found::Skipped(line) => left_out.push(line),
            }
        }
        assert_eq!(seen, ["top", "top/a", "top/b", "top/b/empty", "top/b/z", "top/bad%FF", "top/inside"]);
        assert_eq!(left_out.len(), 2, "{left_out:?}");
        let count = count(&roots, Duration::from_secs(5));
        assert_eq!((count.files, count.bytes, count.exact), (3, 4, true));
    }

    #[test]
    fn roots_with_the_same_name_are_kept_apart() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["x", "y"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
            fs::write(dir.path().join(folder).join("a.txt"), "").unwrap();
        }
        let names = roots(&[dir.path().join("x/a.txt"), dir.path().join("y/a.txt")]).unwrap();
        assert_eq!(names.iter().map(|root| root.name.as_str()).collect::<Vec<_>>(), ["a.txt", "a (2).txt"]);
        assert!(roots(&[dir.path().join("none")]).is_err());
    }
}
