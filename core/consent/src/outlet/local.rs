//! Sockets that end on this machine, for its owner: the hub's own socket and the web UI. What they
//! carry is no disclosure.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where sockets are made")]

use std::{
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::{CONNECT_WITHIN, OutletError, failed};

/// Listens on a socket that only its owner can open. A socket that nobody listens on any more is
/// replaced.
///
/// # Errors
/// [`OutletError`] when the folder is open to others, the path is something else, or a hub listens.
pub async fn unix_listener(path: &Path) -> Result<UnixListener, OutletError> {
    let what = || format!("listening on {}", path.display());
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        let mode = std::fs::metadata(dir).map_err(failed(what()))?.mode();
        if mode & 0o077 != 0 {
            return Err(OutletError::Exposed(path.to_owned()));
        }
    }
    if let Ok(found) = std::fs::symlink_metadata(path) {
        let in_use = || std::io::Error::new(std::io::ErrorKind::AddrInUse, "a hub listens here, or it is no socket");
        if !found.file_type().is_socket() || UnixStream::connect(path).await.is_ok() {
            return Err(failed(what())(in_use()));
        }
        std::fs::remove_file(path).map_err(failed(what()))?;
    }
    let listener = UnixListener::bind(path).map_err(failed(what()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed(what()))?;
    Ok(listener)
}

/// Connects to a local socket.
///
/// # Errors
/// [`OutletError`] when nobody listens there.
pub async fn unix_connect(path: &Path) -> Result<UnixStream, OutletError> {
    let what = format!("connecting to {}", path.display());
    match tokio::time::timeout(CONNECT_WITHIN, UnixStream::connect(path)).await {
        Ok(outcome) => outcome.map_err(failed(what)),
        Err(_) => Err(OutletError::Deadline { what }),
    }
}

/// Listens for the owner's browser, on a loopback address.
///
/// # Errors
/// [`OutletError::NotLoopback`] for any other address.
pub async fn web_listener(address: SocketAddr) -> Result<TcpListener, OutletError> {
    if !address.ip().is_loopback() {
        return Err(OutletError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(failed(format!("listening on {address}")))
}

/// Listens for the owner's browser on any address. The caller speaks TLS on it and nothing else.
///
/// # Errors
/// What the system says.
pub async fn tls_web_listener(address: SocketAddr) -> Result<TcpListener, OutletError> {
    TcpListener::bind(address).await.map_err(failed(format!("listening on {address}")))
}
