//! The network interfaces that are up, with their indexes and addresses, and when that changes. Looking sends nothing.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the system is asked through a socket that sends nothing"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use n0_watcher::Watcher;
use netwatch::interfaces::{IpNet, State};
use tokio::sync::mpsc;

/// Which interfaces are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Every interface that is up.
    #[default]
    All,
    /// Only this machine; for tests and the demo home.
    Loopback,
}

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
    /// All of them, each with the length of its network's prefix.
    pub networks: Vec<(IpAddr, u8)>,
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

/// Tells when interfaces or addresses change.
pub struct Changes {
    states: mpsc::Receiver<Vec<Interface>>,
    watch: tokio::task::AbortHandle,
}

impl Changes {
    /// Begins to watch. Where the system cannot tell, nothing ever changes.
    pub fn watch(network: Network) -> Self {
        let (to, states) = mpsc::channel(1);
        let watch = tokio::spawn(async move {
            let monitor = match netwatch::netmon::Monitor::new().await {
                Ok(monitor) => monitor,
                Err(error) => {
                    tracing::warn!(%error, "changes of the network are not noticed");
                    return to.closed().await;
                }
            };
            let mut state = monitor.interface_state();
            while let Ok(state) = state.updated().await {
                if to.send(from_state(&state, network)).await.is_err() {
                    return;
                }
            }
        });
        Self { states, watch: watch.abort_handle() }
    }

    /// Waits for the next change; the interfaces then. May be dropped at any time.
    pub async fn next(&mut self) -> Vec<Interface> {
        match self.states.recv().await {
            Some(interfaces) => interfaces,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn from_state(state: &State, network: Network) -> Vec<Interface> {
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
        networks: Vec::new(),
        loopback: false,
    };
    for net in interface.addrs() {
        made.loopback |= net.addr().is_loopback();

        match net {
            IpNet::V4(net) => {
                made.v4.push((net.addr(), (net.prefix_len() < 31).then(|| net.broadcast())));
                made.networks.push((net.addr().into(), net.prefix_len()));
            }
            IpNet::V6 { net, flags, .. } if !flags.tentative && !flags.duplicated => {
                made.v6.push(net.addr());
                made.networks.push((net.addr().into(), net.prefix_len()));
            }
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
