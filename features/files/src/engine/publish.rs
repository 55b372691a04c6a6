//! The last step of receiving: everything to disk, then each root to its place in the inbox under a free name.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{self, RenameFlags};
use rustix::io::Errno;

use super::journal::{Journal, Record};
use super::place::Place;
use crate::name::folded;
use crate::scan::free_name;

/// Moves each root from `tree` to `inbox`. May be repeated after a kill: `published` says what was about to be moved.
///
/// # Errors
/// What the system said.
pub fn publish(
    inbox: &Place,
    inbox_path: &Path,
    tree: &Place,
    journal: &mut Journal,
    published: &mut HashMap<String, String>,
) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(tree.fd())? {
        if let Ok(name) = entry?.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    let mut taken = HashSet::new();
    for entry in fs::Dir::read_from(inbox.fd())? {
        taken.insert(folded(&entry?.file_name().to_string_lossy()));
    }
    for name in names {
        loop {
            let as_name = free_name(&name, |name| taken.contains(&folded(name)));
            taken.insert(folded(&as_name));
            journal.add(&Record::Published { name: name.clone(), as_name: as_name.clone() });
            journal.sync()?;
            match rename(tree, &name, inbox, &as_name) {
                Ok(()) => {
                    published.insert(name, as_name);
                    break;
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    fs::fsync(inbox.fd())?;
    let mut saved: Vec<PathBuf> = published.values().map(|name| inbox_path.join(name)).collect();
    saved.sort_unstable();
    Ok(saved)
}

fn rename(from: &Place, name: &str, to: &Place, as_name: &str) -> Result<(), Errno> {
    match fs::renameat_with(from.fd(), name, to.fd(), as_name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            if fs::statat(to.fd(), as_name, fs::AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                return Err(Errno::EXIST);
            }
            fs::renameat(from.fd(), name, to.fd(), as_name)
        }
        outcome => outcome,
    }
}
