//! The service `storage`: what is in a folder of a device, as a bridge answers it and a feature reads it.
//!
//! A folder is told in pages, since one message holds no more: the answer to `list` names the place where the next page
//! begins, and is asked again with that as `from`.
//!
//! ```
//! use accord_ports::storage::{Entry, Kind, Page};
//! let photo = Entry { name: "a.jpg".into(), path: "/sd/a.jpg".into(), kind: Kind::File, size: Some(7), modified: None };
//! let pages = Page { path: "/sd".into(), entries: vec![photo], ..Page::default() };
//! let answer = pages.clone().into_outputs();
//! assert_eq!(Page::from_outputs(&answer).unwrap(), pages);
//! ```

use accord_model::{CallError, Data, Outputs};
use serde::{Deserialize, Serialize};

/// The service's name.
pub const SERVICE: &str = "storage";
/// Longest path, in bytes.
pub const MAX_PATH: usize = 4096;
/// Longest name in a folder, in bytes.
pub const MAX_NAME: usize = 1024;
/// Entries of one folder that are told; what is more is only said to be there.
pub const MAX_ENTRIES: usize = 10_000;
/// Bytes of entries in one page: it must fit a message of the house.
const MAX_PAGE: usize = 160 * 1024;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It holds others.
    Folder,
    /// It has content.
    File,
    /// It points to another; to which, shows when it is opened.
    Link,
    /// A device, a socket or the like: neither listed nor fetched.
    Other,
}

/// One entry of a folder. Names and paths are the device's: they may hold anything but `/` and NUL, so make them safe
/// before they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is called there.
    pub name: String,
    /// Under which it is asked for.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was changed last, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
}

/// A part of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Which folder it is; empty for the list of the places where one begins.
    pub path: String,
    /// Folders first, by name.
    pub entries: Vec<Entry>,
    /// Where the next page begins.
    pub next: Option<u64>,
    /// There is more than is told.
    pub more: bool,
    /// Entries that are left out because their names are none.
    pub nameless: u64,
}

impl Page {
    /// The part of `all` that begins at `from` and fits a message.
    pub fn of(path: &str, all: &[Entry], from: usize, more: bool, nameless: u64) -> Self {
        let mut size = 0;
        let rest = all.get(from..).unwrap_or_default();
        let fits = |entry: &&Entry| {
            size += json(entry).len() + 1;
            size <= MAX_PAGE
        };
        let entries: Vec<Entry> = rest.iter().take_while(fits).cloned().collect();
        let next = from + entries.len();
        let next = (next < all.len() && !entries.is_empty()).then_some(next as u64);
        Self { path: path.to_owned(), entries, next, more, nameless }
    }

    /// As the answer to a call.
    pub fn into_outputs(self) -> Outputs {
        let entries: Vec<String> = self.entries.iter().map(json).collect();
        let mut outputs = Outputs::from([
            ("path".to_owned(), Data::from(self.path)),
            ("entries".to_owned(), Data::from(format!("[{}]", entries.join(",")))),
            ("more".to_owned(), self.more.into()),
            ("nameless".to_owned(), number(self.nameless).into()),
        ]);
        if let Some(next) = self.next {
            outputs.insert("next".to_owned(), number(next).into());
        }
        outputs
    }

    /// From the answer to a call. What does not belong there is dropped.
    ///
    /// # Errors
    /// [`CallError::Device`] when it is no answer of this service.
    pub fn from_outputs(outputs: &Outputs) -> Result<Self, CallError> {
        let senseless = || CallError::Device("its answer is no list of files".into());
        let text = |id: &str| outputs.get(id).and_then(Data::as_text);
        let count = |id: &str| outputs.get(id).and_then(Data::as_int).and_then(|count| u64::try_from(count).ok());
        let entries = text("entries").ok_or_else(senseless)?;
        let mut entries: Vec<Entry> = serde_json::from_str(entries).map_err(|_| senseless())?;
        entries.truncate(MAX_ENTRIES);
        let before = entries.len();
        entries.retain(|entry| is_name(&entry.name) && check_path(&entry.path).is_ok());
        let odd = (before - entries.len()) as u64;
        let path = text("path").unwrap_or_default();
        if !path.is_empty() {
            check_path(path).map_err(|_| senseless())?;
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
            next: count("next"),
            more: outputs.get("more").and_then(Data::as_bool).unwrap_or(false),
            nameless: count("nameless").unwrap_or(0).saturating_add(odd),
        })
    }
}

/// Whether this can be the name of an entry.
pub fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME && !name.contains(['/', '\0'])
}

/// Checks the path of a file or folder on a device.
///
/// # Errors
/// [`CallError::BadInput`], in words for the owner.
pub fn check_path(path: &str) -> Result<(), CallError> {
    let bad = |why: &str| Err(CallError::BadInput(why.to_owned()));
    if !path.starts_with('/') {
        return bad("a path on a device begins with `/`");
    }
    if path.len() > MAX_PATH {
        return bad("the path is longer than 4096 bytes");
    }
    if path.contains('\0') || path.split('/').any(|name| matches!(name, "." | "..")) {
        return bad("a path on a device has no `.` or `..` in it");
    }
    Ok(())
}

/// The path of an entry of a folder.
pub fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// Folders first, then by name, without regard to case.
pub fn sort(entries: &mut [Entry]) {
    entries.sort_by_cached_key(|entry| (entry.kind != Kind::Folder, entry.name.to_lowercase(), entry.name.clone()));
}

fn json(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap_or_default()
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kind: Kind) -> Entry {
        Entry { name: name.into(), path: join("/sd", name), kind, size: Some(1), modified: Some(0) }
    }

    #[test]
    fn a_large_folder_is_told_whole_in_pages_that_fit_a_message() {
        let all: Vec<_> = (0..MAX_ENTRIES).map(|at| entry(&format!("{at:05} \u{7}é\"\\ photo"), Kind::File)).collect();
        let (mut told, mut from, mut pages) = (Vec::new(), 0, 0);
        loop {
            let page = Page::of("/sd", &all, from, true, 3);
            let outputs = page.into_outputs();
            assert!(serde_json::to_string(&outputs).unwrap().len() < accord_model::message::MAX_MESSAGE);
            let page = Page::from_outputs(&outputs).unwrap();
            assert!(page.more && page.nameless == 3);
            told.extend(page.entries);
            pages += 1;
            match page.next {
                Some(next) => from = next as usize,
                None => break,
            }
        }
        assert_eq!(told, all);
        assert!(pages > 3);
    }

    #[test]
    fn names_that_lead_elsewhere_are_dropped() {
        let mut odd: Vec<_> = ["..", ".", "", "a/b", "a\0b"].map(|name| entry(name, Kind::File)).into();
        odd.push(Entry { path: "/sd/../etc/passwd".into(), ..entry("x", Kind::File) });
        odd.push(entry("fine", Kind::File));
        let page = Page { entries: odd, ..Page::default() };
        let read = Page::from_outputs(&page.into_outputs()).unwrap();
        assert_eq!((read.entries.len(), read.entries[0].name.as_str(), read.nameless), (1, "fine", 6));
    }

    #[test]
    fn paths_are_whole_and_go_nowhere_up() {
        for path in ["/", "/sd", "/sd/a b/…", "/sd/", "/..a/b.."] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATH));
        for path in ["", "sd", "../sd", "/sd/..", "/sd/../x", "/./x", "/a\0", long.as_str()] {
            assert!(matches!(check_path(path), Err(CallError::BadInput(_))), "{path}");
        }
    }

    #[test]
    fn folders_come_first() {
        let mut all = vec![entry("b", Kind::File), entry("Z", Kind::Folder), entry("A", Kind::File)];
        sort(&mut all);
        assert_eq!(all.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["Z", "A", "b"]);
    }
}
