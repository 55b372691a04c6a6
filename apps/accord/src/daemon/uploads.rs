//! Files on their way from a browser: a spool folder per upload, until the transfer that sends them is done or can not
//! be tried again any more.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::body::BodyDataStream;
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

const MAX_UPLOADS: usize = 64;
const MAX_FILES: usize = 200_000;
const MAX_DEPTH: usize = 64;
const MAX_PATH: usize = 4096;
/// Left free on the disk whatever is uploaded.
const KEEP_FREE: u64 = 128 << 20;
/// How much may arrive between two looks at the free space.
const LOOK_EVERY: u64 = 32 << 20;
const IDLE: Duration = Duration::from_secs(60);
/// An upload that is neither added to nor sent for this long was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);

#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("there is no such upload; it was sent or given up")]
    Unknown,
    #[error("{MAX_UPLOADS} uploads are open; send or give up some first")]
    TooMany,
    #[error("an upload has at most {MAX_FILES} files")]
    TooManyFiles,
    #[error("`{0}` is no path inside an upload: use names separated by `/`, without `..`")]
    BadPath(String),
    #[error("`{0}` was uploaded already")]
    Exists(String),
    #[error("the disk is full: {0} MiB are left for uploads")]
    NoSpace(u64),
    #[error("nothing arrived for {} s", IDLE.as_secs())]
    Stalled,
    #[error("the upload broke off: {0}")]
    Broken(String),
    #[error("`{name}` could not be stored: {source}")]
    Io { name: String, source: std::io::Error },
}

/// How one uploaded file is to look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    pub modified: Option<SystemTime>,
    pub executable: bool,
}

/// The spool folder of one hub.
pub struct Uploads {
    dir: PathBuf,
    open: Mutex<HashMap<String, Spool>>,
}

struct Spool {
    files: usize,
    /// The transfer that sends it.
    transfer: Option<String>,
    touched: Instant,
}

impl Spool {
    fn new(transfer: Option<String>) -> Self {
        Self { files: 0, transfer, touched: Instant::now() }
    }
}

impl Uploads {
    /// Opens the spool under `dir`. Uploads whose transfer still `needs` them stay; the others are removed.
    pub fn open(dir: &Path, needs: impl Fn(&str) -> bool) -> std::io::Result<Self> {
        let dir = dir.join("spool");
        private(&dir)?;
        let mut open = HashMap::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let transfer = fs::read_to_string(dir.join(format!("{name}.transfer"))).ok();
            match transfer.filter(|id| needs(id)) {
                Some(id) => {
                    open.insert(name, Spool::new(Some(id)));
                }
                None => remove(&dir, &name),
            }
        }
        Ok(Self { dir, open: Mutex::new(open) })
    }

    pub fn create(&self) -> Result<String, UploadError> {
        self.drop_where(|spool| spool.transfer.is_none() && spool.touched.elapsed() > FORGOTTEN);
        let mut open = self.lock();
        if open.values().filter(|spool| spool.transfer.is_none()).count() >= MAX_UPLOADS {
            return Err(UploadError::TooMany);
        }
        let io = |source| UploadError::Io { name: "spool".to_owned(), source };
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| io(std::io::Error::other(error.to_string())))?;
        let id = HEXLOWER.encode(&id);
        private(&self.dir.join(&id)).map_err(io)?;
        open.insert(id.clone(), Spool::new(None));
        Ok(id)
    }

    /// The top-level paths of an upload, which from now on belongs to this transfer and stays as long as that needs it.
    pub fn claim(&self, id: &str, transfer: &str) -> Result<Vec<PathBuf>, UploadError> {
        let io = |source| UploadError::Io { name: "spool".to_owned(), source };
        let mut open = self.lock();
        let spool = open.get_mut(id).filter(|spool| spool.transfer.is_none()).ok_or(UploadError::Unknown)?;
        fs::write(self.dir.join(format!("{id}.transfer")), transfer).map_err(io)?;
        let entries = fs::read_dir(self.dir.join(id)).map_err(io)?;
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(io)?;
        paths.sort();
        spool.transfer = Some(transfer.to_owned());
        Ok(paths)
    }

    /// The transfer did not begin; the upload can be sent again.
    pub fn release(&self, id: &str) {
        let _ = fs::remove_file(self.dir.join(format!("{id}.transfer")));
        if let Some(spool) = self.lock().get_mut(id) {
            (spool.transfer, spool.touched) = (None, Instant::now());
        }
    }

    /// Removes what belonged to a transfer that is done or gone.
    pub fn transfer_over(&self, transfer: &str) {
        self.drop_where(|spool| spool.transfer.as_deref() == Some(transfer));
    }

    /// Removes what was forgotten, and what belongs to transfers that do not need it any more.
    pub fn tidy(&self, needs: impl Fn(&str) -> bool) {
        self.drop_where(|spool| match &spool.transfer {
            Some(transfer) => !needs(transfer),
            None => spool.touched.elapsed() > FORGOTTEN,
        });
    }

    fn drop_where(&self, is_over: impl Fn(&Spool) -> bool) {
        let mut open = self.lock();
        for (id, _) in open.extract_if(|_, spool| is_over(spool)) {
            remove(&self.dir, &id);
        }
    }

    /// Gives an upload up. One that is being sent stays until the transfer is over.
    pub fn discard(&self, id: &str) -> Result<(), UploadError> {
        let mut open = self.lock();
        if open.get(id).is_none_or(|spool| spool.transfer.is_some()) {
            return Err(UploadError::Unknown);
        }
        open.remove(id);
        remove(&self.dir, id);
        Ok(())
    }

    /// Streams one file into an upload; what broke off leaves nothing behind.
    pub async fn put(&self, id: &str, path: &str, look: Look, body: BodyDataStream) -> Result<u64, UploadError> {
        let relative = confined(path)?;
        {
            let mut open = self.lock();
            let spool = open.get_mut(id).filter(|spool| spool.transfer.is_none()).ok_or(UploadError::Unknown)?;
            if spool.files >= MAX_FILES {
                return Err(UploadError::TooManyFiles);
            }
            spool.files += 1;
        }
        let target = self.dir.join(id).join(&relative);
        let shown = || accord_model::text::for_screen(path, 200);
        let io = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory => UploadError::Exists(shown()),
            _ => UploadError::Io { name: shown(), source },
        };
        if let Some(parent) = target.parent() {
            private(parent).map_err(io)?;
        }
        let mode = if look.executable { 0o700 } else { 0o600 };
        let file =
            tokio::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&target).await.map_err(io)?;
        let stored = self.store(id, file, body, look, &io).await;
        if stored.is_err() {
            let _ = tokio::fs::remove_file(&target).await;
        }
        stored
    }

    async fn store(
        &self,
        id: &str,
        mut file: tokio::fs::File,
        mut body: BodyDataStream,
        look: Look,
        io: &impl Fn(std::io::Error) -> UploadError,
    ) -> Result<u64, UploadError> {
        let mut written = 0u64;
        let mut until_look = 0u64;
        loop {
            let chunk = match tokio::time::timeout(IDLE, body.next()).await {
                Err(_) => return Err(UploadError::Stalled),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(UploadError::Broken(error.to_string())),
                Ok(Some(Ok(chunk))) => chunk,
            };
            let size = chunk.len() as u64;
            if until_look < size {
                let free = free_space(&self.dir).map_err(io)?;
                if free < KEEP_FREE + size {
                    return Err(UploadError::NoSpace(free.saturating_sub(KEEP_FREE) >> 20));
                }
                until_look = LOOK_EVERY.min(free - KEEP_FREE);
                if let Some(spool) = self.lock().get_mut(id) {
                    spool.touched = Instant::now();
                }
            }
            until_look = until_look.saturating_sub(size);
            file.write_all(&chunk).await.map_err(io)?;
            written += size;
        }
        file.flush().await.map_err(io)?;
        let file = file.into_std().await;
        if let Some(modified) = look.modified {
            file.set_modified(modified).map_err(io)?;
        }
        Ok(written)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Spool>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path of plain names inside the upload. The spool holds only what we make in it, so no link can
/// lead out of it.
pub fn confined(path: &str) -> Result<PathBuf, UploadError> {
    let bad = || UploadError::BadPath(accord_model::text::for_screen(path, 200));
    if path.is_empty() || path.len() > MAX_PATH || path.contains('\0') || path.starts_with('/') || path.ends_with('/') {
        return Err(bad());
    }
    let mut relative = PathBuf::new();
    for (depth, name) in path.split('/').enumerate() {
        let plain = matches!(Path::new(name).components().collect::<Vec<_>>().as_slice(), [Component::Normal(only)] if *only == name);
        if !plain || name.len() > 255 || depth >= MAX_DEPTH {
            return Err(bad());
        }
        relative.push(name);
    }
    Ok(relative)
}

fn free_space(dir: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn private(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn remove(dir: &Path, id: &str) {
    let _ = fs::remove_file(dir.join(format!("{id}.transfer")));
    let folder = dir.join(id);
    if let Err(error) = fs::remove_dir_all(&folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        // Left-overs are removed at the next start.
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        tracing::warn!(%error, "a spool folder could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use proptest::prelude::*;

    fn body(text: &'static str) -> BodyDataStream {
        Body::from(text).into_data_stream()
    }

    #[tokio::test]
    async fn an_upload_keeps_folders_times_and_the_executable_bit() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path(), |_| false).unwrap();
        let id = uploads.create().unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let look = Look { modified: Some(modified), executable: true };
        assert_eq!(uploads.put(&id, "trip/run.sh", look, body("#!")).await.unwrap(), 2);
        uploads.put(&id, "note.txt", Look::default(), body("")).await.unwrap();
        let top = uploads.claim(&id, "t").unwrap();
        assert!(top[0].ends_with("note.txt") && top[1].ends_with("trip"));
        let meta = fs::metadata(top[1].join("run.sh")).unwrap();
        assert_eq!(meta.modified().unwrap(), modified);
        assert_eq!(meta.permissions().mode() & 0o777, 0o700);
        uploads.release(&id);
        assert!(matches!(uploads.put(&id, "note.txt", look, body("x")).await, Err(UploadError::Exists(_))));
        assert!(matches!(uploads.put(&id, "note.txt/x", look, body("x")).await, Err(UploadError::Exists(_))));
    }

    #[tokio::test]
    async fn an_upload_that_breaks_off_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path(), |_| false).unwrap();
        let id = uploads.create().unwrap();
        let broken = futures_util::stream::iter([Ok("half"), Err(std::io::Error::other("gone"))]);
        let broken = Body::from_stream(broken).into_data_stream();
        assert!(matches!(uploads.put(&id, "a", Look::default(), broken).await, Err(UploadError::Broken(_))));
        assert!(uploads.claim(&id, "t").unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_spool_lives_as_long_as_its_transfer_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path(), |_| false).unwrap();
        let (sent, idle) = (uploads.create().unwrap(), uploads.create().unwrap());
        uploads.put(&sent, "a", Look::default(), body("x")).await.unwrap();
        uploads.claim(&sent, "t1").unwrap();
        assert!(matches!(uploads.claim(&sent, "t2"), Err(UploadError::Unknown)), "one transfer sends it");
        assert!(matches!(uploads.discard(&sent), Err(UploadError::Unknown)));
        let uploads = Uploads::open(dir.path(), |id| id == "t1").unwrap();
        assert!(dir.path().join("spool").join(&sent).join("a").exists());
        assert!(!dir.path().join("spool").join(&idle).exists());
        uploads.tidy(|id| id == "t1");
        assert!(dir.path().join("spool").join(&sent).exists());
        uploads.tidy(|_| false);
        assert_eq!(fs::read_dir(dir.path().join("spool")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn forgotten_uploads_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path(), |_| false).unwrap();
        let first = uploads.create().unwrap();
        (1..MAX_UPLOADS).for_each(|_| drop(uploads.create().unwrap()));
        assert!(matches!(uploads.create(), Err(UploadError::TooMany)));
        let long_ago = Instant::now().checked_sub(FORGOTTEN + Duration::from_secs(1)).unwrap();
        uploads.lock().get_mut(&first).unwrap().touched = long_ago;
        uploads.create().unwrap();
        assert!(!dir.path().join("spool").join(&first).exists());
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_spool(path in "[a./\\\\\u{0}é]{0,12}") {
            if let Ok(relative) = confined(&path) {
                prop_assert!(relative.is_relative());
                prop_assert!(relative.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(relative.to_str(), Some(path.as_str()));
            }
        }
    }
}
