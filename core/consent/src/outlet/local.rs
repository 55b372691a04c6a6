//! Sockets that end on this machine, for its owner: the hub's own socket and the web UI. What they
//! carry is no disclosure.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where sockets are made")]

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
};

use tokio::net::{TcpListener, UdpSocket, UnixListener, UnixStream};

use super::interfaces::{Network, list};
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

/// Connects to the X server of this desktop, by its local socket. `display` is what the environment says (`:0`, X(7));
/// one on another machine is refused, and so is a server that neither root nor this user runs: what is typed there
/// would be somebody else's to read. What goes over the connection ends on this machine.
///
/// # Errors
/// [`OutletError::NoDisplay`], [`OutletError::Stranger`], or what the system says.
pub async fn display(display: &str) -> Result<(UnixStream, u16), OutletError> {
    let bad = || OutletError::NoDisplay(accord_model::text::for_screen(display, 60));
    let number = display_number(display).ok_or_else(bad)?;
    let path = Path::new(DISPLAYS).join(format!("X{number}"));
    // As every X client on Linux does: by the abstract name first, which belongs to the network namespace that we are in.
    let mut name = std::ffi::OsString::from("\0");
    name.push(&path);
    let stream = match unix_connect(Path::new(&name)).await {
        Ok(stream) => stream,
        Err(_) => unix_connect(&path).await?,
    };
    let uid = stream.peer_cred().map_err(failed(path.display().to_string()))?.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(OutletError::Stranger { path, uid });
    }
    Ok((stream, number))
}

/// Where X servers listen on their machine.
const DISPLAYS: &str = "/tmp/.X11-unix";

/// The number in `:0`, `:0.0` or `unix:0`; none for a display elsewhere.
fn display_number(display: &str) -> Option<u16> {
    let rest = display.strip_prefix("unix").unwrap_or(display).strip_prefix(':')?;
    let (number, screen) = rest.split_once('.').unwrap_or((rest, "0"));
    let is_number = |text: &str| !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(number) && is_number(screen)).then(|| number.parse().ok())?
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

/// Datagrams with programs on this machine, by its own addresses: the owner's browser.
pub struct LocalDatagrams {
    socket: UdpSocket,
    ours: Vec<IpAddr>,
}

impl LocalDatagrams {
    /// Binds to `bind`, an address of this machine in the networks that are used.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(bind: SocketAddr, network: Network) -> Result<Self, OutletError> {
        let ours = list(network).await.iter().flat_map(|one| one.addresses()).collect();
        let socket = UdpSocket::bind(bind).await.map_err(failed(format!("binding {bind}")))?;
        // Before the runtime has looked at it once, it seems to have no room, and the first datagram would be lost.
        socket.writable().await.map_err(failed(format!("binding {bind}")))?;
        Ok(Self { socket, ours })
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.ours.contains(&address)
    }

    /// Sends one datagram to a program on this machine; one for which there is no room is lost.
    ///
    /// # Errors
    /// [`OutletError::NotLoopback`] for an address elsewhere, or what the system says.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> Result<(), OutletError> {
        // gate-check: local-datagrams
        if !self.is_ours(to.ip()) {
            return Err(OutletError::NotLoopback(to));
        }
        match self.socket.try_send_to(bytes, to) {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                Err(failed(format!("sending to {to}"))(error))
            }
            _ => Ok(()),
        }
    }

    /// The next datagram of a program on this machine.
    ///
    /// # Errors
    /// What the system says.
    pub async fn receive(&self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        loop {
            let (length, from) = self.socket.recv_from(buffer).await?;
            if self.is_ours(from.ip()) {
                return Ok((length, from));
            }
        }
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn local_datagrams_stay_on_this_machine() {
        let here = LocalDatagrams::open("127.0.0.1:0".parse().unwrap(), Network::Loopback).await.unwrap();
        let program = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        here.send(b"hello", program.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(program.recv(&mut buffer).await.unwrap(), 5);
        program.send_to(b"word", here.local_addr().unwrap()).await.unwrap();
        assert_eq!(here.receive(&mut buffer).await.unwrap().0, 4);
        let sent = here.send(b"hello", "192.0.2.7:9".parse().unwrap());
        assert!(matches!(sent, Err(OutletError::NotLoopback(_))), "{sent:?}");
    }

    #[tokio::test]
    async fn only_displays_of_this_machine_are_connected_to() {
        for (display, number) in [(":0", 0), (":99.0", 99), ("unix:7", 7)] {
            assert_eq!(display_number(display), Some(number));
        }
        for elsewhere in
            ["", ":", "host:0", "192.0.2.1:0", "tcp/host:0", "/tmp/x", ":-1", ":0.", ":0/../x", ":99999999"]
        {
            assert_eq!(display_number(elsewhere), None, "{elsewhere}");
            assert!(matches!(super::display(elsewhere).await, Err(OutletError::NoDisplay(_))));
        }
    }
}
