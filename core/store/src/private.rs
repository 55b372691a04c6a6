//! Small files that only their owner may read: refused when others can, read whole within a bound, replaced whole or not
//! at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Why a private file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Others can read or replace it.
    #[error(
        "{path} can be used by others (mode {mode:o}); run `chmod {wanted} {path}`, and if someone else may have read it, reset this device's keys"
    )]
    Exposed {
        /// Which file or folder.
        path: PathBuf,
        /// Its mode now.
        mode: u32,
        /// What it should be.
        wanted: &'static str,
    },
    /// It belongs to someone else, or is a link or a device.
    #[error("{path} is not a plain file of this user; move it away and start again")]
    NotOurs {
        /// Which file.
        path: PathBuf,
    },
    /// What is in it cannot be understood.
    #[error(
        "{path} is damaged ({why}); restore it from a backup, or move it away to begin anew (what was paired or added by it must then be again)"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It lies there in plain, and everything of that name was sealed before.
    #[error("{path}: {NOT_SEALED}")]
    Plain {
        /// Which file.
        path: PathBuf,
    },
    /// It was sealed with a key that is not here.
    #[error("{path}: {SEALED_ELSEWHERE}")]
    SealedElsewhere {
        /// Which file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {cause}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

pub(crate) const SEALED_ELSEWHERE: &str = "it was sealed by another hub, or before this hub's keys (`keys.json`) or the credential of its service \
     were replaced; put those back, or move the file away to begin anew";

pub(crate) const NOT_SEALED: &str = "it is not sealed, so this hub did not write it, and it is not taken for the hub's own; put the \
     sealed one back, or move this one away to begin with none";

impl FileError {
    /// The same without the file's name, for whoever says it anyway.
    pub(crate) fn unnamed(self) -> io::Error {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        match self {
            Self::Io { cause, .. } => cause,
            Self::Damaged { why, .. } => invalid(format!("it is damaged ({why}); move it away to begin with none")),
            Self::SealedElsewhere { .. } => invalid(SEALED_ELSEWHERE.to_owned()),
            Self::Plain { .. } => invalid(NOT_SEALED.to_owned()),
            other => io::Error::new(io::ErrorKind::PermissionDenied, other.to_string()),
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FileError + '_ {
    move |cause| FileError::Io { path: path.to_owned(), cause }
}

/// Makes `dir` with mode 0700, or checks that only this user can change what is in it.
///
/// # Errors
/// [`FileError`].
pub fn private_dir(dir: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error(dir))?;
    let found = fs::metadata(dir).map_err(io_error(dir))?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileError::NotOurs { path: dir.to_owned() });
    }
    match found.mode() & 0o777 {
        mode if mode & 0o022 != 0 => Err(FileError::Exposed { path: dir.to_owned(), mode, wanted: "700" }),
        _ => Ok(()),
    }
}

/// Reads a private file of at most `largest` bytes; `None` when there is none.
///
/// # Errors
/// [`FileError`].
pub fn read_private(path: &Path, largest: u64) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    // No-follow and non-blocking, so that neither a link nor a named pipe in its place is opened as if it were ours.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(FileError::NotOurs { path: path.to_owned() });
        }
        Err(error) => return Err(io_error(path)(error)),
    };
    let found = file.metadata().map_err(io_error(path))?;
    if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileError::NotOurs { path: path.to_owned() });
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode, wanted: "600" });
    }
    if found.len() > largest {
        return Err(FileError::Damaged { path: path.to_owned(), why: format!("{} bytes long", found.len()) });
    }
    // Room for the whole, so that no copy of a secret is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1));
    file.take(largest).read_to_end(&mut bytes).map_err(io_error(path))?;
    Ok(Some(bytes))
}

/// Replaces a file whole, readable by the owner alone, or leaves the old one: written beside it, flushed to the disk, renamed
/// over it, and the folder flushed. There is one writer at a time.
///
/// # Errors
/// What the system says.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&draft)?;
        // One that a crash left behind may be open to others.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Removes what earlier versions left behind when they were killed while they wrote: `.NAME.` and 16 letters or digits.
pub fn remove_drafts(path: &Path) {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return };
    let begin = format!(".{name}.");
    let is_draft = |found: &str| {
        let end = found.strip_prefix(&begin);
        end.is_some_and(|end| end.len() == 16 && end.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')))
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_draft)
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(%error, file = %entry.path().display(), "what an earlier version left behind is there still");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_what_was_left_behind_is_not_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for left in
            ["keys.json.new", ".keys.json.abcdefghijklmn27", ".keys.json.abcdefghijklmn2", ".other.abcdefghijklmn27"]
        {
            fs::write(dir.path().join(left), "of before").unwrap();
        }
        fs::set_permissions(dir.path().join("keys.json.new"), fs::Permissions::from_mode(0o666)).unwrap();
        replace_private(&path, b"one").unwrap();
        assert_eq!((read_private(&path, 3).unwrap().unwrap().as_slice(), mode(&path)), (b"one".as_slice(), 0o600));
        assert!(matches!(read_private(&path, 2), Err(FileError::Damaged { .. })));
        remove_drafts(&path);
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".keys.json.abcdefghijklmn2", ".other.abcdefghijklmn27", "keys.json"]);
        // A draft that points elsewhere is not followed.
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "precious").unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.path().join("keys.json.new")).unwrap();
        assert!(replace_private(&path, b"two").is_err());
        assert_eq!((fs::read(&elsewhere).unwrap(), fs::read(&path).unwrap()), (b"precious".to_vec(), b"one".to_vec()));
    }
}
