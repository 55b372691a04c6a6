//! Datagrams under a lease.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where sockets are made")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{OutletError, failed};
use crate::{DatagramLease, Destination, Permit, Personal, SendError};

/// A UDP socket under a permit. Receiving is free; what is sent is counted per address.
pub struct DatagramOutlet {
    socket: UdpSocket,
    lease: DatagramLease,
    /// The only address to send to and to hear, unless the permit is for everyone near.
    only: Option<IpAddr>,
}

/// A socket bound to `bind`. Under a permit for [`crate::RecipientId::lan`] it may send to any
/// multicast, broadcast or local address; under any other, only to `peer`.
///
/// # Errors
/// [`SendError`]; then nothing left.
pub async fn udp(permit: Permit, bind: SocketAddr, peer: Option<SocketAddr>) -> Result<DatagramOutlet, SendError> {
    let recipient = permit.recipient().clone();
    let address = peer.unwrap_or(bind);
    // gate-check: udp-one-peer
    if !recipient.is_lan() && peer.is_none() {
        return Err(OutletError::WrongAddress { address, recipient: recipient.to_string() }.into());
    }
    if peer.is_some() {
        super::device_permit(&permit, address)?;
    }
    let only = (!recipient.is_lan()).then(|| address.ip());
    let lease = permit.datagrams(Destination::new(recipient, address.to_string())).await?;
    let socket = bound(bind).map_err(failed(format!("binding {bind}"))).map_err(SendError::from)?;
    Ok(DatagramOutlet { socket, lease, only })
}

fn bound(address: SocketAddr) -> std::io::Result<UdpSocket> {
    make(address, true)
}

/// On a port that nobody else has.
pub(super) fn unshared(address: SocketAddr) -> std::io::Result<UdpSocket> {
    make(address, false)
}

fn make(address: SocketAddr, shared: bool) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

impl DatagramOutlet {
    /// Under the lease of a [`super::Near`].
    pub(super) fn near(socket: UdpSocket, lease: DatagramLease) -> Self {
        Self { socket, lease, only: None }
    }

    /// Under the lease of a [`super::OneNear`].
    pub(super) fn one(socket: UdpSocket, lease: DatagramLease, address: IpAddr) -> Self {
        Self { socket, lease, only: Some(address) }
    }

    /// Sends one datagram; waits while the socket's buffer is full.
    ///
    /// # Errors
    /// [`SendError`]; then it did not leave.
    pub async fn send<T: AsRef<[u8]>>(&self, datagram: &Personal<T>, to: SocketAddr) -> Result<(), SendError> {
        // gate-check: udp-address
        if !self.reaches(to.ip()) {
            return Err(
                OutletError::WrongAddress { address: to, recipient: "the permit's recipient".to_owned() }.into()
            );
        }
        let cancelled = self.lease.cancelled();
        loop {
            match self.lease.send_with(datagram, to, |bytes| self.socket.try_send_to(bytes, to)) {
                Err(SendError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                outcome => return outcome.map(drop),
            }
            tokio::select! {
                () = cancelled.cancelled() => {}
                ready = tokio::time::timeout(super::CONNECT_WITHIN, self.socket.writable()) => match ready {
                    Ok(ready) => ready?,
                    Err(_) => return Err(OutletError::Deadline { what: "the network".to_owned() }.into()),
                },
            }
        }
    }

    fn reaches(&self, address: IpAddr) -> bool {
        self.only.map_or_else(|| is_near(address), |only| only == address)
    }

    /// The next datagram, and who sent it. Under a permit for one device, what others send is dropped unread.
    ///
    /// # Errors
    /// What the system says.
    pub async fn receive(&self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        loop {
            let (length, from) = self.socket.recv_from(buffer).await?;
            // gate-check: udp-heard
            if self.only.is_some_and(|only| only.to_canonical() != from.ip().to_canonical()) {
                continue;
            }
            return Ok((length, from));
        }
    }

    /// Listens to a multicast group on the interface with this address.
    ///
    /// # Errors
    /// What the system says.
    pub fn join_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> std::io::Result<()> {
        self.socket.join_multicast_v4(group, interface)
    }

    /// Listens to a multicast group on the interface with this index.
    ///
    /// # Errors
    /// What the system says.
    pub fn join_v6(&self, group: Ipv6Addr, interface: u32) -> std::io::Result<()> {
        self.socket.join_multicast_v6(&group, interface)
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The lease it sends under.
    pub fn lease(&self) -> &DatagramLease {
        &self.lease
    }
}

/// True for addresses that do not leave the networks this machine is in.
pub(super) fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_multicast() || v4.is_broadcast() || v4.is_private() || v4.is_link_local() || v4.is_loopback()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unique_local()
                || (v6.is_multicast() && v6.segments()[0] & 0xf <= 5)
        }
    }
}
