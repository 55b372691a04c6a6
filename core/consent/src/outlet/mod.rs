//! The only way out beside the link: sockets, resolvers, D-Bus and child processes. What reaches
//! another device takes a [`Permit`] and is counted under it; [`local`] holds what stays on this one.
//!
//! `clippy.toml` bans the calls that are made here everywhere else.

mod command;
pub mod holder;
pub mod interfaces;
pub mod local;
mod near;
pub mod neighbours;
mod one;
pub mod routers;
mod sandbox;
mod serve;
mod tcp;
mod udp;

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

pub use command::{OwnersCommand, command, own_program, owners_command};
pub use near::{Met, Near, NearListener};
pub use one::OneNear;
pub use sandbox::{Confined, Limits, sandboxed};
pub use serve::{Served, ServedStream, serve};
pub use tcp::{Dialed, dial_host, dial_tcp};
pub use udp::{DatagramOutlet, udp};

use crate::Permit;
use command::{MAX_WORD, MAX_WORDS};

/// How long a connection may take to be made, or a name to be found.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Why a way out is not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutletError {
    /// The address is not the recipient's.
    #[error("{address} is not where `{recipient}` is reached")]
    WrongAddress {
        /// The address.
        address: SocketAddr,
        /// The recipient of the permit.
        recipient: String,
    },
    /// It is where somebody says that they are, and that is not in the house.
    #[error("{0} is in no network that this machine is in, nor behind a router there that leads to it")]
    NotHere(std::net::IpAddr),
    /// A listener that must stay on this machine was asked for elsewhere.
    #[error("{0} can be reached from other machines; use a loopback address, or the listener with TLS")]
    NotLoopback(SocketAddr),
    /// The socket's folder can be opened by others.
    #[error("{0} can be opened by other users; make its folder yours alone: chmod 700")]
    Exposed(PathBuf),
    /// Not one of the programs that may be started.
    #[error("`{0}` is not a program that Accord starts")]
    UnknownProgram(String),
    /// No answer in time.
    #[error("{what} did not answer within {} s", CONNECT_WITHIN.as_secs())]
    Deadline {
        /// Who.
        what: String,
    },
    /// A program that is needed is not there.
    #[error("`{0}` is not installed")]
    NotInstalled(&'static str),
    /// The system cannot lock a program up, so that it is not started.
    #[error(
        "programs cannot be locked up on this system, so that none is started that reads films ({0}); Linux 5.13 or newer with Landlock and seccomp is needed"
    )]
    NoSandbox(String),
    /// The system refused.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        cause: io::Error,
    },
    /// Not a display of this machine.
    #[error("the display `{0}` is not one of this machine (X11's `:0`), so it is left alone")]
    NoDisplay(String),
    /// Somebody else's program stands where the desktop's should.
    #[error("{path} belongs to a program of another user (uid {uid}); nothing is said to it")]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Not a command line.
    #[error("a command is 1 to {MAX_WORDS} words, the first a program, of at most {MAX_WORD} bytes each")]
    NoCommand,
    /// D-Bus refused.
    #[error("the bus cannot be reached: {0}. Is a desktop session running?")]
    Bus(#[from] zbus::Error),
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> OutletError {
    let what = what.into();
    move |cause| OutletError::Io { what, cause }
}

/// Under a permit for a host, the connection goes by name ([`dial_host`]), so that the name is checked. Under any
/// other, it stays in the networks that this machine is in; for a visitor, at the visitor's address.
fn device_permit(permit: &Permit, address: SocketAddr) -> Result<(), OutletError> {
    let host = permit.recipient().as_host();
    let wrong = || OutletError::WrongAddress { address, recipient: permit.recipient().to_string() };
    // gate-check: outlet-by-name
    if host.is_some_and(|host| host != address.to_string()) {
        return Err(wrong());
    }
    let visitor = permit.recipient().as_visitor();
    // gate-check: outlet-visitor
    if visitor.is_some_and(|visitor| visitor != address.ip().to_canonical()) {
        return Err(wrong());
    }
    // gate-check: outlet-near
    if host.is_none() && !udp::is_near(address.ip().to_canonical()) {
        return Err(wrong());
    }
    Ok(())
}

/// The desktop's own bus. It ends on this machine; what its services do is theirs.
///
/// # Errors
/// [`OutletError`] when there is none, or it does not answer.
#[allow(clippy::disallowed_methods, reason = "the outlet is where the bus is reached")]
pub async fn session_bus() -> Result<zbus::Connection, OutletError> {
    match tokio::time::timeout(CONNECT_WITHIN, zbus::Connection::session()).await {
        Ok(connection) => Ok(connection?),
        Err(_) => Err(OutletError::Deadline { what: "the session bus".to_owned() }),
    }
}

/// The machine's own bus: power, sessions. It ends on this machine, as [`session_bus`] does.
///
/// # Errors
/// [`OutletError`] when there is none, or it does not answer.
#[allow(clippy::disallowed_methods, reason = "the outlet is where the bus is reached")]
pub async fn system_bus() -> Result<zbus::Connection, OutletError> {
    match tokio::time::timeout(CONNECT_WITHIN, zbus::Connection::system()).await {
        Ok(connection) => Ok(connection?),
        Err(_) => Err(OutletError::Deadline { what: "the system bus".to_owned() }),
    }
}
