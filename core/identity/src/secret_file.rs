//! Files that only their owner may read, replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Largest file read, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A secret as text in a file.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(crate) struct StoredSecret(pub(crate) String);

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
        "{path} is damaged ({why}); restore it from a backup, or move it away to begin anew (paired devices must then pair again)"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
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

/// Reads a private file of at most 4 MiB; `None` when there is none.
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    // No-follow and non-blocking, so that neither a link nor a named pipe in its place is opened as if it were ours.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path) {
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
    if found.len() > MAX_FILE {
        return Err(FileError::Damaged { path: path.to_owned(), why: format!("{} bytes long", found.len()) });
    }
    // Room for the whole, so that no copy of a secret is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(io_error(path))?;
    Ok(Some(bytes))
}

/// Replaces a private file: written beside it, flushed to disk, renamed over it, and the folder flushed.
///
/// # Errors
/// [`FileError`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    private_dir(dir)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = dir.join(format!(".{name}.{}", crate::crypto::base32(&crate::crypto::random::<10>())));
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(dir)?.sync_all()
    })();
    if result.is_err() {
        let _ = fs::remove_file(&beside);
    }
    result.map_err(io_error(path))
}
