//! What is cast, one after the other: files, what lies in folders, and addresses.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most that is cast in one go; what is looked at for that in folders, and how deep.
pub(crate) const MOST: usize = 500;
const LOOKED_AT: usize = 20_000;
const DEEPEST: usize = 8;

/// What a person wants to see or hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, or all in a folder.
    Path(PathBuf),
    /// An address that the receiver fetches from itself.
    Address(String),
    /// The same, of something of which is known what it is: a file of a media server.
    There(There),
}

/// A file that another device serves by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// Where.
    pub address: String,
    /// What it is called there.
    pub name: String,
    /// Its MIME type, where known.
    pub format: Option<String>,
    /// Whether parts of it can be fetched, where known.
    pub parts: Option<bool>,
    /// How long it is, where known.
    pub length: Option<Duration>,
}

impl Source {
    /// The address that the receiver is told, where it is not one of ours.
    pub(crate) fn address(&self) -> Option<&str> {
        match self {
            Self::Path(_) => None,
            Self::Address(address) | Self::There(There { address, .. }) => Some(address),
        }
    }
}

/// What it is: at first by its name, by its content once it was its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Film,
    Sound,
    Picture,
    /// Whatever is there.
    Address,
}

/// How names end of what is taken from folders. What is named by itself is looked at, whatever its name.
const ENDINGS: &[(Kind, &[&str])] = &[
    (
        Kind::Film,
        &[
            "mp4", "m4v", "mkv", "webm", "avi", "mov", "ts", "mts", "m2ts", "mpg", "mpeg", "vob", "wmv", "asf", "flv",
            "3gp", "ogv",
        ],
    ),
    (Kind::Sound, &["mp3", "flac", "ogg", "oga", "opus", "wav", "m4a", "aac", "wma"]),
    (Kind::Picture, &["jpg", "jpeg", "png", "gif", "webp", "heic", "heif", "avif", "bmp"]),
];

impl Kind {
    /// What it is by its content, else as before.
    pub(crate) fn by_mime(mime: &str, before: Self) -> Self {
        match mime.split('/').next() {
            Some("image") => Self::Picture,
            Some("audio") => Self::Sound,
            Some("video") => Self::Film,
            _ => before,
        }
    }

    fn by_name(path: &Path) -> Option<Self> {
        let end = path.extension()?.to_str()?.to_ascii_lowercase();
        ENDINGS.iter().find(|(_, ends)| ends.contains(&end.as_str())).map(|(kind, _)| *kind)
    }
}

/// One thing of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Where it is.
    pub source: Source,
    /// The file's name, or the address; known here alone unless the owner wants the receiver to show it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What became of it.
    pub state: QueuedState,
}

/// What became of one thing of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueuedState {
    /// Its turn comes, or was passed over.
    Waits,
    /// It is the one now.
    Now,
    /// It came to its end.
    Done,
    /// It was not shown, and why.
    Failed(String),
}

/// A queue in the making.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    pub items: Vec<Queued>,
    /// Files in folders that nothing plays, and what is beyond the most.
    pub left_out: usize,
    looked_at: usize,
}

impl Queued {
    fn file(path: PathBuf, kind: Kind) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { source: Source::Path(path), name, kind, state: QueuedState::Waits }
    }

    /// A picture, of which nothing moves; of an address, as far as its name tells.
    pub fn is_picture(&self) -> bool {
        let named = || self.name.split(['?', '#']).next().and_then(|path| Kind::by_name(Path::new(path)));
        self.kind == Kind::Picture || (self.kind == Kind::Address && named() == Some(Kind::Picture))
    }

    fn there(there: There) -> Self {
        let mime = there.format.as_deref().unwrap_or_default();
        let named = Kind::by_name(Path::new(&there.name)).unwrap_or(Kind::Address);
        let (kind, name) = (Kind::by_mime(mime, named), there.name.clone());
        Self { source: Source::There(there), name, kind, state: QueuedState::Waits }
    }

    fn address(address: String) -> Self {
        Self { name: address.clone(), source: Source::Address(address), kind: Kind::Address, state: QueuedState::Waits }
    }
}

/// Looks into folders: in the order in which people count, hidden ones left out, and what nothing plays. Blocks for the disk.
///
/// # Errors
/// In words: when nothing is left, or one of several that were named is not there.
pub(crate) fn expand(sources: Vec<Source>) -> Result<Expanded, String> {
    let mut all = Expanded::default();
    for source in sources {
        match source {
            Source::Address(address) => all.add(Queued::address(address)),
            Source::There(there) => all.add(Queued::there(there)),
            Source::Path(path) => {
                let shown =
                    accord_model::text::for_screen(&path.file_name().unwrap_or_default().to_string_lossy(), 120);
                let metadata = std::fs::metadata(&path).map_err(|error| format!("{shown}: {error}"))?;
                if metadata.is_dir() {
                    all.folder(&path, 0).map_err(|error| format!("{shown}: {error}"))?;
                } else {
                    let kind = Kind::by_name(&path).unwrap_or(Kind::Film);
                    all.add(Queued::file(path, kind));
                }
            }
        }
    }
    if all.items.is_empty() {
        return Err("there is no film, no sound and no picture in it".to_owned());
    }
    Ok(all)
}

impl Expanded {
    fn add(&mut self, item: Queued) {
        if self.items.len() < MOST {
            self.items.push(item);
        } else {
            self.left_out += 1;
        }
    }

    fn folder(&mut self, folder: &Path, depth: usize) -> std::io::Result<()> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            self.looked_at += 1;
            if self.looked_at > LOOKED_AT {
                self.left_out += 1;
                break;
            }
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            found.push((entry.file_name().to_string_lossy().into_owned(), entry));
        }
        found.sort_by(|(one, _), (other, _)| natural_order(one, other));
        for (_, entry) in found {
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                // One that may not be read costs itself only.
                if depth + 1 >= DEEPEST || self.folder(&path, depth + 1).is_err() {
                    self.left_out += 1;
                }
            } else if std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
                match Kind::by_name(&path) {
                    Some(kind) => self.add(Queued::file(path, kind)),
                    None => self.left_out += 1,
                }
            }
        }
        Ok(())
    }
}

/// `2.jpg` before `10.jpg`, `b` after `A`.
pub fn natural_order(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let (Some(a), Some(b)) = (left.chars().next(), right.chars().next()) else {
            return left.len().cmp(&right.len()).then_with(|| one.cmp(other));
        };
        if a.is_ascii_digit() && b.is_ascii_digit() {
            let (number, rest) = digits(left);
            let (other_number, other_rest) = digits(right);
            let by_value = number.len().cmp(&other_number.len()).then_with(|| number.cmp(other_number));
            if by_value != Ordering::Equal {
                return by_value;
            }
            (left, right) = (rest, other_rest);
            continue;
        }
        let by_letter = a.to_lowercase().cmp(b.to_lowercase());
        if by_letter != Ordering::Equal {
            return by_letter;
        }
        (left, right) = (&left[a.len_utf8()..], &right[b.len_utf8()..]);
    }
}

/// The number at the start without its leading zeros, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_people_count() {
        let mut names = vec!["b10.jpg", "B2.jpg", "b2a.jpg", "a.jpg", "b02.jpg", "10", "9", "Ä", "b"];
        names.sort_by(|one, other| natural_order(one, other));
        assert_eq!(names, ["9", "10", "a.jpg", "b", "B2.jpg", "b02.jpg", "b2a.jpg", "b10.jpg", "Ä"]);
    }

    #[test]
    fn a_folder_becomes_what_can_be_shown_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        let names = ["10.jpg", "2.JPG", ".hidden.jpg", ".git/x.jpg", "notes.txt", "disc 1/b.mp3", "disc 1/a.mkv"];
        names.into_iter().for_each(put);
        // A folder that leads back to itself.
        std::os::unix::fs::symlink(dir.path(), dir.path().join("again")).unwrap();
        std::os::unix::fs::symlink("/nowhere.jpg", dir.path().join("broken.jpg")).unwrap();
        let all = expand(vec![Source::Path(dir.path().to_owned()), Source::Address("http://x/y".into())]).unwrap();
        let names: Vec<_> = all.items.iter().map(|item| (item.name.as_str(), item.kind)).collect();
        let wanted = [
            ("2.JPG", Kind::Picture),
            ("10.jpg", Kind::Picture),
            ("a.mkv", Kind::Film),
            ("b.mp3", Kind::Sound),
            ("http://x/y", Kind::Address),
        ];
        assert_eq!((names.as_slice(), all.left_out), (wanted.as_slice(), 1));
        let named = expand(vec![Source::Path(dir.path().join("notes.txt"))]).unwrap();
        assert_eq!(named.items.len(), 1, "what is named by itself is looked at when its turn comes");
        assert!(expand(vec![Source::Path(dir.path().join("missing"))]).is_err());
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(expand(vec![Source::Path(dir.path().join("empty"))]).is_err());
    }

    #[test]
    fn a_queue_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        (0..MOST + 7).for_each(|at| std::fs::write(dir.path().join(format!("{at}.jpg")), "x").unwrap());
        let all = expand(vec![Source::Path(dir.path().to_owned())]).unwrap();
        assert_eq!((all.items.len(), all.left_out), (MOST, 7));
        assert_eq!(all.items[MOST - 1].name, format!("{}.jpg", MOST - 1));
    }
}
