//! The network interfaces that are up, with their indexes and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netwatch::interfaces::{IpNet, State};

use crate::api::Network;

/// Most interfaces that are used; a machine with thousands of virtual ones must not open thousands of sockets.
const MOST: usize = 32;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// `eth0`, …
    pub name: String,
    /// The system's number for it.
    pub index: u32,
    /// Its IPv4 addresses, each with the broadcast address of its network.
    pub v4: Vec<(Ipv4Addr, Option<Ipv4Addr>)>,
    /// Its IPv6 addresses that can be used now.
    pub v6: Vec<Ipv6Addr>,
    /// This machine only.
    pub loopback: bool,
}

impl Interface {
    /// All addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().map(|(ip, _)| IpAddr::V4(*ip)).chain(self.v6.iter().map(|ip| IpAddr::V6(*ip)))
    }
}

/// The interfaces now, ordered by index.
pub async fn list(network: Network) -> Vec<Interface> {
    from_state(&State::new().await, network)
}

/// As [`list`], from a state that was read already.
pub fn from_state(state: &State, network: Network) -> Vec<Interface> {
    let mut found: Vec<Interface> = state.interfaces.values().filter_map(describe).collect();
    found.retain(|interface| network == Network::All || interface.loopback);
    found.sort_by_key(|interface| interface.index);
    found.truncate(MOST);
    found
}

fn describe(interface: &netwatch::interfaces::Interface) -> Option<Interface> {
    if !interface.is_up() {
        return None;
    }
    let mut made = Interface {
        name: interface.name().to_owned(),
        index: index_of(interface.name())?,
        v4: Vec::new(),
        v6: Vec::new(),
        loopback: false,
    };
    for net in interface.addrs() {
        made.loopback |= net.addr().is_loopback();
        match net {
            IpNet::V4(net) => made.v4.push((net.addr(), (net.prefix_len() < 31).then(|| net.broadcast()))),
            IpNet::V6 { net, flags, .. } if !flags.tentative && !flags.duplicated => made.v6.push(net.addr()),
            IpNet::V6 { .. } => {}
        }
    }
    (!made.v4.is_empty() || !made.v6.is_empty()).then_some(made)
}

/// `socket` is only the handle through which Linux is asked.
fn index_of(name: &str) -> Option<u32> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).ok()?;
    rustix::net::netdevice::name_to_index(&socket, name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_is_found_and_can_be_the_only_one() {
        let only = list(Network::Loopback).await;
        assert!(only.iter().all(|interface| interface.loopback));
        let lo = only.first().expect("every machine has a loopback interface");
        assert!(lo.index > 0 && lo.v4.iter().any(|(ip, _)| ip.is_loopback()));
    }
}
