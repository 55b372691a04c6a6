//! The protocol without I/O. Every part takes input and `now`, and gives transmits, events and its next
//! timeout; `poll_output` until it says wait.
//!
//! | part | what it is | one per |
//! |---|---|---|
//! | [`discovery`] | who is there: multicast, register, scan | bridge |
//! | [`http::server`] | TLS and HTTP of a connection that came in | connection |
//! | [`http::client`] | TLS and HTTP of a connection that we made | connection |
//! | [`server`] | answers what came in: info, register, [`receive`] | bridge |
//! | [`send`] | one transfer to one device, as requests | transfer |
//!
//! Connections only move bytes and know nothing of transfers; `server` and `send` only decide and never
//! see file content. So every connection runs in a task of its own, at the speed of its own core.
//!
//! [`Transmit`] says which kinds of personal data are in the bytes. Addresses are not among them: every
//! packet shows those.

pub mod certificate;
pub mod discovery;
pub mod http;
pub mod message;
pub mod receive;
pub mod route;
mod secret;
pub mod send;
pub mod server;
mod wire;

pub use accord_ports::Secret;
pub use certificate::{Fingerprint, Identity, Pin};
pub use message::{Announcement, DeviceInfo, DeviceType, Protocol};
pub use wire::{Transmit, WireError};

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Port and multicast port of the protocol.
pub const PORT: u16 = 53317;
/// What every path of the API begins with.
pub const API: &str = "/api/localsend/v2/";

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address, without IPv4-in-IPv6 wrapping.
    pub address: IpAddr,
    /// The interface on which a link-local IPv6 address is meant; 0 for all others.
    pub scope: u32,
    /// Whether others on the network can read along.
    pub encrypted: bool,
    /// The certificate it proved to own in the TLS handshake.
    pub certificate: Option<Fingerprint>,
}

impl Peer {
    /// A peer at this address that has proved nothing.
    pub fn at(address: SocketAddr) -> Self {
        let scope = match address {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id(),
            _ => 0,
        };
        Self { address: address.ip().to_canonical(), scope, encrypted: false, certificate: None }
    }
    /// Another port of it.
    pub fn port(&self, port: u16) -> SocketAddr {
        match self.address {
            IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, self.scope).into(),
            v4 => SocketAddr::new(v4, port),
        }
    }
    /// True when the peer proved that it is the device with this fingerprint (version 2.2).
    pub fn is(&self, claimed: &Fingerprint) -> bool {
        self.certificate.as_ref() == Some(claimed)
    }
}

/// Where a device's server is and how it must identify itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Address and port; link-local IPv6 with scope.
    pub address: SocketAddr,
    /// Plain or TLS.
    pub protocol: Protocol,
    /// The certificate it must show. `None`: not known yet, learnt from the connection.
    pub fingerprint: Option<Fingerprint>,
}

impl Target {
    /// What the client's TLS must insist on.
    pub fn pin(&self) -> Pin {
        match &self.fingerprint {
            Some(fingerprint) => Pin::Exactly(fingerprint.clone()),
            None => Pin::Learn,
        }
    }
}

/// Names one connection to our server, chosen by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);
