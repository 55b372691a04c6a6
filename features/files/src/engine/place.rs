//! Creating things below one folder and nowhere else: every path is resolved by the kernel beneath that folder's
//! descriptor, and no symbolic link is followed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::wire::Time;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open folder.
pub struct Place {
    root: OwnedFd,
    /// The folder used last, with its path.
    last: Option<(String, OwnedFd)>,
}

impl Place {
    /// Opens a folder that the owner named; links on the way to it are the owner's.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, last: None })
    }

    /// Makes (mode 0700) and opens a folder directly inside; an existing link there is refused.
    ///
    /// # Errors
    /// What the system said.
    pub fn sub(&self, name: &str) -> io::Result<Self> {
        match fs::mkdirat(&self.root, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { root: fs::openat(&self.root, name, FOLDER, Mode::empty())?, last: None })
    }

    /// The folder itself.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Makes a folder; one that is there already is fine.
    ///
    /// # Errors
    /// What the system said.
    pub fn folder(&mut self, path: &str) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        match fs::mkdirat(dir, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => fs::openat(dir, name, FOLDER, Mode::empty()).map(drop).map_err(io::Error::from),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes an empty file, in place of one that is there. Set-id bits are never set.
    ///
    /// # Errors
    /// What the system said.
    pub fn create(&mut self, path: &str, executable: bool) -> io::Result<File> {
        let (dir, name) = self.parent(path)?;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(dir, name, flags, mode) {
            Err(Errno::EXIST) => {
                fs::unlinkat(dir, name, AtFlags::empty())?;
                Ok(File::from(fs::openat(dir, name, flags, mode)?))
            }
            opened => Ok(File::from(opened?)),
        }
    }

    /// Opens a regular file that is there.
    ///
    /// # Errors
    /// What the system said.
    pub fn existing(&mut self, path: &str) -> io::Result<File> {
        let (dir, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(fs::openat(dir, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Makes a symbolic link where nothing is.
    ///
    /// # Errors
    /// What the system said.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        match fs::symlinkat(target, dir, name) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST)
                if fs::readlinkat(dir, name, Vec::new()).is_ok_and(|is| is.to_bytes() == target.as_bytes()) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What the system said.
    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        Ok(fs::unlinkat(dir, name, AtFlags::empty())?)
    }

    /// Sets when a folder was changed last.
    ///
    /// # Errors
    /// What the system said.
    pub fn set_folder_time(&mut self, path: &str, time: Time) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let folder = fs::openat(dir, name, FOLDER, Mode::empty())?;
        Ok(fs::futimens(folder, &times(time))?)
    }

    /// The open folder of a path, and its last name.
    fn parent<'a, 'p>(&'a mut self, path: &'p str) -> io::Result<(BorrowedFd<'a>, &'p str)> {
        let Some((folder, name)) = path.rsplit_once('/') else { return Ok((self.root.as_fd(), path)) };
        if self.last.as_ref().is_none_or(|(last, _)| last != folder) {
            self.last = Some((folder.to_owned(), open_beneath(self.root.as_fd(), folder)?));
        }
        let last = self.last.as_ref().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd());
        Ok((last, name))
    }
}

/// Sets when a file was changed last.
///
/// # Errors
/// What the system said.
pub fn set_time(file: &File, time: Time) -> io::Result<()> {
    Ok(fs::futimens(file, &times(time))?)
}

fn times(time: Time) -> Timestamps {
    let at = Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanos.min(999_999_999)) };
    Timestamps { last_access: at, last_modification: at }
}

/// Bytes that an ordinary program may still write there.
///
/// # Errors
/// What the system said.
pub fn free_space(folder: BorrowedFd<'_>) -> io::Result<u64> {
    let space = fs::fstatvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

fn open_beneath(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match fs::openat2(root, path, FOLDER, Mode::empty(), rules) {
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(root, path),
        opened => Ok(opened?),
    }
}

/// For kernels without `openat2`.
fn step_by_step(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let mut at = fs::openat(root, ".", FOLDER, Mode::empty())?;
    for name in path.split('/') {
        if matches!(name, "" | "." | "..") {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        at = fs::openat(&at, name, FOLDER, Mode::empty())?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_created_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), inside.join("file")).unwrap();
        let mut place = Place::open(&inside).unwrap();
        assert!(place.create("link/x", false).is_err());
        assert!(place.create("../x", false).is_err());
        assert!(place.folder("link/x").is_err());
        assert!(place.folder("link").is_err());
        assert!(place.sub("link").is_err());
        assert!(place.existing("file").is_err());
        place.create("file", false).unwrap();
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        let root = Place::open(&inside).unwrap();
        assert!(step_by_step(root.fd(), "link").is_err());
        assert!(step_by_step(root.fd(), "..").is_err());
    }
}
