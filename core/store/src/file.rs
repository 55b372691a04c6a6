//! Files and folders that only their owner can open.

use std::{
    fs,
    io::{Error, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use crate::StoreError;

fn failed(path: &Path) -> impl Fn(Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::File { path: path.clone(), cause: Arc::new(cause) }
}

/// Makes a folder and its missing parents with mode 0700. A folder that exists is left as it is.
///
/// # Errors
/// [`StoreError::File`] when it cannot be made.
pub fn create_private_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.as_os_str().is_empty() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))
}

/// Makes an empty file with mode 0600 (its folder 0700), or checks that an existing one is a regular
/// file that nobody else can open.
///
/// # Errors
/// [`StoreError::File`] or [`StoreError::Exposed`].
pub fn private_file(path: &Path) -> Result<(), StoreError> {
    if let Some(dir) = path.parent() {
        create_private_dir(dir)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(path)(error)),
    }
    let found = fs::symlink_metadata(path).map_err(failed(path))?;
    if !found.is_file() {
        return Err(failed(path)(Error::new(ErrorKind::InvalidInput, "not a regular file")));
    }
    let mode = found.mode() & 0o777;
    // A folder of one's own keeps others out whatever the file says; both open is too much.
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|_| StoreError::Exposed { path: path.to_owned(), mode })?;
    }
    Ok(())
}
