//! What is shared: found once when the share is opened, and opened again each time somebody fetches it. What is not the
//! same file any more is not given out.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use accord_model::text::{for_screen, is_unsafe};

use crate::core::zip::Entry;
use crate::{Item, MAX_ITEMS, MAX_TEXT, ShareError};

/// Most folders in a path.
const MAX_DEPTH: usize = 64;
/// Longest name of a file with its folders, in bytes.
const MAX_NAME: usize = 4000;
/// Lines for the owner about what is left out.
const MAX_SKIPPED: usize = 50;
/// What a shared text is called as a file.
const TEXT_NAME: &str = "text.txt";

/// Everything of one share, in order.
#[derive(Debug)]
pub(crate) struct Shelf {
    things: Vec<Thing>,
    /// As it is told.
    pub items: Vec<Item>,
    /// What is not shared, and why.
    pub skipped: Vec<String>,
    left_out: usize,
}

#[derive(Debug)]
enum Thing {
    File { source: PathBuf, mark: Mark },
    Text(String),
}

/// Tells whether a file is still the one that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// Something to fetch.
pub(crate) enum Content {
    /// A file that is open.
    File(fs::File),
    /// A text.
    Text(String),
}

impl Mark {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Shelf {
    /// Looks through what the owner named. Links inside folders are left out: they may lead anywhere.
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn fill(paths: &[PathBuf], text: Option<String>) -> Result<Self, ShareError> {
        let mut shelf = Self { things: Vec::new(), items: Vec::new(), skipped: Vec::new(), left_out: 0 };
        let mut names = HashSet::new();
        if let Some(text) = text {
            if text.is_empty() || text.len() > MAX_TEXT {
                return Err(ShareError::Text);
            }
            names.insert(TEXT_NAME.to_owned());
            shelf.items.push(Item { name: TEXT_NAME.to_owned(), size: text.len() as u64, text: true });
            shelf.things.push(Thing::Text(text));
        }
        for path in paths {
            let bad = |why: String| ShareError::Path { path: for_screen(&path.to_string_lossy(), 300), why };
            // What the owner named may be a link; that is followed.
            let source = fs::canonicalize(path).map_err(|error| bad(reason(&error)))?;
            let metadata = fs::metadata(&source).map_err(|error| bad(reason(&error)))?;
            let wished = path.file_name().or_else(|| source.file_name());
            let wished = wished.map_or_else(|| "folder".to_owned(), |name| safe(&name.to_string_lossy()));
            let name = free(&wished, &mut names);
            if metadata.is_dir() {
                shelf.folder(&source, &name, 1)?;
            } else if metadata.is_file() {
                // Whoever may not read it is told now, not the visitor later.
                fs::File::open(&source).map_err(|error| bad(reason(&error)))?;
                shelf.file(source, name, &metadata)?;
            } else {
                return Err(bad("it is neither file nor folder".to_owned()));
            }
        }
        if shelf.left_out > MAX_SKIPPED {
            shelf.skipped.push(format!("… and {} more", shelf.left_out - MAX_SKIPPED));
        }
        match shelf.items.is_empty() {
            false => Ok(shelf),
            true if shelf.skipped.is_empty() => Err(ShareError::Nothing),
            true => Err(ShareError::NothingReadable(shelf.skipped.join("; "))),
        }
    }

    fn folder(&mut self, source: &Path, name: &str, depth: usize) -> Result<(), ShareError> {
        if depth > MAX_DEPTH {
            self.skip(source, "too many folders deep");
            return Ok(());
        }
        let mut entries = match fs::read_dir(source).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                self.skip(source, &reason(&error));
                return Ok(());
            }
        };
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        let mut names = HashSet::new();
        for entry in entries {
            let source = entry.path();
            let own = free(&safe(&entry.file_name().to_string_lossy()), &mut names);
            let path = format!("{name}/{own}");
            let metadata = match entry.metadata() {
                _ if path.len() > MAX_NAME => {
                    self.skip(&source, "its path is too long");
                    continue;
                }
                Ok(metadata) => metadata,
                Err(error) => {
                    self.skip(&source, &reason(&error));
                    continue;
                }
            };
            if metadata.is_dir() {
                self.folder(&source, &path, depth + 1)?;
            } else if metadata.is_symlink() {
                self.skip(&source, "a link");
            } else if !metadata.is_file() {
                self.skip(&source, "neither file nor folder");
            } else if let Err(error) = fs::File::open(&source) {
                self.skip(&source, &reason(&error));
            } else {
                self.file(source, path, &metadata)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, source: PathBuf, name: String, metadata: &Metadata) -> Result<(), ShareError> {
        if self.things.len() >= MAX_ITEMS {
            return Err(ShareError::TooMany);
        }
        self.items.push(Item { name, size: metadata.len(), text: false });
        self.things.push(Thing::File { source, mark: Mark::of(metadata) });
        Ok(())
    }

    fn skip(&mut self, source: &Path, why: &str) {
        self.left_out += 1;
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(format!("{}: {why}", for_screen(&source.to_string_lossy(), 300)));
        }
    }

    /// Opens what is at a place. Blocks for the disk.
    ///
    /// # Errors
    /// Why it is not there any more, for the visitor.
    pub fn open(&self, place: usize) -> Result<Content, &'static str> {
        match self.things.get(place) {
            None => Err("There is no such file"),
            Some(Thing::Text(text)) => Ok(Content::Text(text.clone())),
            Some(Thing::File { source, mark }) => {
                let gone = "This file is not there any more, or was changed since it was shared";
                // Neither a pipe that took its place nor a link may make us wait or lead elsewhere.
                let is_same = |metadata: io::Result<Metadata>| metadata.is_ok_and(|found| Mark::of(&found) == *mark);
                if !is_same(fs::symlink_metadata(source)) {
                    return Err(gone);
                }
                let file = fs::File::open(source).map_err(|_| gone)?;
                if is_same(file.metadata()) { Ok(Content::File(file)) } else { Err(gone) }
            }
        }
    }

    /// Names the version of what is at a place, for parts of it.
    pub fn etag(&self, place: usize) -> Option<String> {
        match self.things.get(place)? {
            Thing::Text(_) => None,
            Thing::File { mark, .. } => {
                let (seconds, nanos) = mark.modified;
                Some(format!("\"{:x}-{:x}{nanos:08x}\"", mark.size, seconds))
            }
        }
    }

    /// The texts, by place.
    pub fn texts<'a>(&'a self) -> Vec<(usize, &'a str)> {
        let text = |(place, thing): (usize, &'a Thing)| match thing {
            Thing::Text(text) => Some((place, text.as_str())),
            Thing::File { .. } => None,
        };
        self.things.iter().enumerate().filter_map(text).collect()
    }

    /// The files as an archive has them, and their places.
    pub fn archive(&self) -> (Vec<usize>, Vec<Entry>) {
        let files = self.things.iter().zip(&self.items).enumerate().filter_map(|(place, (thing, item))| match thing {
            Thing::Text(_) => None,
            Thing::File { mark, .. } => {
                let entry = Entry { name: item.name.clone(), size: mark.size, modified: mark.modified.0 };
                Some((place, entry))
            }
        });
        files.unzip()
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.size).sum()
    }
}

/// A name without what deceives readers or other systems.
fn safe(name: &str) -> String {
    let name: String = name.chars().map(|c| if is_unsafe(c) || c == '\\' || c == '/' { '_' } else { c }).collect();
    if matches!(name.as_str(), "" | "." | "..") { "_".to_owned() } else { name }
}

/// The name itself, or the first numbered one that nobody has.
fn free(wished: &str, taken: &mut HashSet<String>) -> String {
    let mut name = wished.to_owned();
    let mut number = 1;
    while !taken.insert(name.to_lowercase()) {
        number += 1;
        let (stem, ending) = match wished.rfind('.').filter(|dot| *dot > 0) {
            Some(dot) => wished.split_at(dot),
            None => (wished, ""),
        };
        name = format!("{stem} ({number}){ending}");
    }
    name
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "not allowed to read it".to_owned(),
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(shelf: &Shelf) -> Vec<&str> {
        shelf.items.iter().map(|item| item.name.as_str()).collect()
    }

    #[test]
    fn folders_are_walked_and_nothing_leads_out_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let (top, secret) = (dir.path().join("top"), dir.path().join("secret"));
        fs::create_dir_all(top.join("b")).unwrap();
        fs::write(&secret, "secret").unwrap();
        fs::write(top.join("b/z"), "zz").unwrap();
        fs::write(top.join("a\n\u{202e}"), "a").unwrap();
        symlink(&secret, top.join("link")).unwrap();
        symlink(dir.path(), top.join("up")).unwrap();
        let shelf = Shelf::fill(&[top.clone(), top.join("b/z")], Some("hi".into())).unwrap();
        assert_eq!(names(&shelf), ["text.txt", "top/a__", "top/b/z", "z"]);
        assert_eq!(shelf.skipped.len(), 2, "{:?}", shelf.skipped);
        assert_eq!(shelf.bytes(), 2 + 1 + 2 + 2);
        assert_eq!(shelf.texts(), [(0, "hi")]);
        assert_eq!(shelf.archive().0, [1, 2, 3]);
        assert!(shelf.open(4).is_err());
        // A link that the owner names is meant.
        let linked = Shelf::fill(&[top.join("link")], None).unwrap();
        assert_eq!(names(&linked), ["link"]);
    }

    #[test]
    fn what_is_not_the_same_any_more_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("file"), dir.path().join("other"));
        for change in ["delete", "rewrite", "replace", "link", "pipe"] {
            let _ = fs::remove_file(&file);
            fs::write(&file, "first").unwrap();
            fs::write(&other, "other").unwrap();
            let shelf = Shelf::fill(std::slice::from_ref(&file), None).unwrap();
            assert!(matches!(shelf.open(0), Ok(Content::File(_))));
            match change {
                "rewrite" => fs::write(&file, "longer than before").unwrap(),
                "replace" => fs::rename(&other, &file).unwrap(),
                "link" => {
                    fs::remove_file(&file).unwrap();
                    symlink(&other, &file).unwrap();
                }
                "pipe" => {
                    fs::remove_file(&file).unwrap();
                    // Without a writer: opening it would wait for ever.
                    mkfifo(&file);
                }
                _ => fs::remove_file(&file).unwrap(),
            }
            assert!(shelf.open(0).is_err(), "{change}");
        }
    }

    fn mkfifo(path: &Path) {
        let (here, private) = (rustix::fs::CWD, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(here, path, rustix::fs::FileType::Fifo, private, 0).unwrap();
    }

    #[test]
    fn names_alike_are_kept_apart_and_nothing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["x", "y"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
            fs::write(dir.path().join(folder).join("a.txt"), folder).unwrap();
        }
        let paths = ["x/a.txt", "y/a.txt", "x/a.txt"].map(|path| dir.path().join(path));
        assert_eq!(names(&Shelf::fill(&paths, None).unwrap()), ["a.txt", "a (2).txt", "a (3).txt"]);
        assert!(matches!(Shelf::fill(&[], None), Err(ShareError::Nothing)));
        assert!(matches!(Shelf::fill(&[], Some(String::new())), Err(ShareError::Text)));
        assert!(matches!(Shelf::fill(&[dir.path().join("none")], None), Err(ShareError::Path { .. })));
        fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(matches!(Shelf::fill(&[dir.path().join("empty")], None), Err(ShareError::Nothing)));
    }
}
