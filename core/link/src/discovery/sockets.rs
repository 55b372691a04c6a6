//! Multicast sockets, one per interface and family, so that each interface is asked and heard by itself.
//! They are bound to the group, not to the machine's addresses: unicast for other responders on port 5353
//! (avahi, browsers) is never taken away from them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use accord_consent::outlet::interfaces::Interface;

pub(crate) const PORT: u16 = 5353;
pub(crate) const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
pub(crate) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// A socket that speaks mDNS on one interface.
pub(crate) struct Multicast {
    pub socket: UdpSocket,
    #[cfg_attr(not(test), allow(dead_code))]
    pub group: SocketAddr,
}

/// Both families of one interface; what the system refuses is skipped with a note.
pub(crate) fn open(interface: &Interface) -> Vec<Multicast> {
    let mut opened = Vec::new();
    let v4 = interface.v4.first().map(|(ip, _)| open_v4(interface.index, *ip));
    let v6 = (!interface.v6.is_empty()).then(|| open_v6(interface.index));
    for (family, made) in [("IPv4", v4), ("IPv6", v6)] {
        match made {
            Some(Ok(socket)) => opened.push(socket),
            Some(Err(error)) => {
                tracing::debug!(interface = interface.name, family, %error, "no multicast on this interface");
            }
            None => {}
        }
    }
    opened
}

fn open_v4(index: u32, ip: Ipv4Addr) -> io::Result<Multicast> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    let group = SocketAddr::new(IpAddr::V4(GROUP_V4), PORT);
    socket.bind(&group.into())?;
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v4(false)?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    socket.set_multicast_if_v4(&ip)?;
    socket.set_multicast_loop_v4(true)?;
    socket.set_multicast_ttl_v4(255)?;
    finish(socket, group)
}

fn open_v6(index: u32) -> io::Result<Multicast> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    let group = SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, index));
    socket.bind(&group.into())?;
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v6(false)?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_loop_v6(true)?;
    socket.set_multicast_hops_v6(255)?;
    finish(socket, group)
}

fn finish(socket: Socket, group: SocketAddr) -> io::Result<Multicast> {
    socket.set_nonblocking(true)?;
    Ok(Multicast { socket: UdpSocket::from_std(socket.into())?, group })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Network;
    use std::time::Duration;

    #[tokio::test]
    async fn two_sockets_on_one_machine_hear_each_other() {
        let interfaces = accord_consent::outlet::interfaces::list(Network::Loopback).await;
        let (ours, theirs) = (open(&interfaces[0]), open(&interfaces[0]));
        assert!(!ours.is_empty());
        let marker = format!("accord test {}", std::process::id());
        ours[0].socket.send_to(marker.as_bytes(), ours[0].group).await.unwrap();
        let heard = async {
            let mut buffer = [0; 9000];
            loop {
                let (length, _) = theirs[0].socket.recv_from(&mut buffer).await.unwrap();
                if &buffer[..length] == marker.as_bytes() {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(2), heard).await.unwrap();
    }
}
