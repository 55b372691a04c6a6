//! The network interfaces that are up, with their indexes and addresses, and when that changes. Looking sends nothing.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the system is asked through a socket that sends nothing"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

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
/// Most networks on one interface in which everyone is searched.
const MOST_PLACES: usize = 8;
/// How often, and how many times, one looks again while an IPv6 address is being checked for duplicates.
const LOOK_AGAIN: Duration = Duration::from_millis(700);
const LOOKS: u32 = 8;
/// How often the list of IPv6 addresses is looked at.
const LOOK_AT_V6: Duration = Duration::from_secs(10);

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
    /// The networks it is in, each as one of its addresses and the length of the prefix.
    pub nets: Vec<(IpAddr, u8)>,
    /// This machine only.
    pub loopback: bool,
}

impl Interface {
    /// All addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().map(|(ip, _)| IpAddr::V4(*ip)).chain(self.v6.iter().map(|ip| IpAddr::V6(*ip)))
    }

    /// From where everyone near is searched by IPv4: an address in each of its networks, with the broadcast address there. Most
    /// devices hear only who is in a network of their own.
    pub fn places(&self) -> impl Iterator<Item = (Ipv4Addr, Option<Ipv4Addr>)> {
        let length =
            |own: Ipv4Addr| self.nets.iter().find(|(one, _)| *one == IpAddr::V4(own)).map_or(32, |(_, length)| *length);
        let is_first = move |index: usize, own: Ipv4Addr| {
            let same = |(other, _): &(Ipv4Addr, _)| {
                length(*other) == length(own) && same_prefix((*other).into(), own.into(), length(own))
            };
            !self.v4[..index].iter().any(same)
        };
        let first = self.v4.iter().enumerate().filter(move |(index, (own, _))| is_first(*index, *own));
        first.map(|(_, place)| *place).take(MOST_PLACES)
    }

    /// True for an address that is reached on this interface without a router.
    pub fn is_on_link(&self, address: IpAddr) -> bool {
        self.nets.iter().any(|(own, length)| same_prefix(*own, address, *length))
    }
}

/// Where Linux tells of interfaces; other systems do not.
const TOLD: &str = "/sys/class/net";
/// Interfaces that lead to one machine far away (`linux/if_arp.h`): `ARPHRD_NONE`, as tunnels are, and `ARPHRD_PPP`.
const TUNNELS: [&str; 2] = ["65534", "512"];

/// Whether devices of the house may be met on the interface of this name: not where nothing is plugged in, nor in a tunnel, nor on a
/// bridge to this machine's own containers and virtual machines alone, nor on a port of a bridge, whose packets are the bridge's.
/// Where the system does not tell, they may.
pub fn leads_out(name: &str) -> bool {
    leads_out_of(Path::new(TOLD), name)
}

fn leads_out_of(told: &Path, name: &str) -> bool {
    let says = |what: &str| std::fs::read_to_string(told.join(name).join(what)).unwrap_or_default();
    let is_port = told.join(name).join("brport").exists();
    if is_port || says("carrier").trim() == "0" || TUNNELS.contains(&says("type").trim()) {
        return false;
    }
    // What a port of a bridge stands on: a device, or another interface, such as that of a VLAN.
    let stands_on = |entry: &std::ffi::OsStr| entry == "device" || entry.as_encoded_bytes().starts_with(b"lower_");
    let is_port_outside = |port: &std::fs::DirEntry| {
        let mut entries = std::fs::read_dir(told.join(port.file_name())).into_iter().flatten().flatten();
        entries.any(|entry| stands_on(&entry.file_name()))
    };
    match std::fs::read_dir(told.join(name).join("brif")) {
        Ok(ports) => ports.flatten().any(|port| is_port_outside(&port)),
        Err(_) => true,
    }
}

/// True when both addresses share the first `length` bits. A prefix of no length is no network one is in.
pub(super) fn same_prefix(one: IpAddr, other: IpAddr, length: u8) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    length > 0 && differ >> (128 - u32::from(length.min(128))) == 0
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
            let mut states = monitor.interface_state();
            let mut looks = LOOKS;
            let mut v6 = v6();
            let mut told = from_state(&State::new().await, network);
            loop {
                // The system does not tell when an IPv6 address has become usable (RFC 4862, 5.4).
                let unsettled = looks > 0 && State::new().await.interfaces.values().any(is_settling);
                let is_told = tokio::select! {
                    updated = states.updated() => match updated {
                        Ok(_) => {
                            looks = LOOKS;
                            true
                        }
                        Err(_) => return,
                    },
                    // Told also when nothing is otherwise: what was announced to a network that is just being joined may be lost.
                    () = tokio::time::sleep(LOOK_AGAIN), if unsettled => {
                        looks -= 1;
                        true
                    }
                    // It does not tell either of a link-local address that comes or goes by itself.
                    () = changed(&mut v6) => false,
                    () = to.closed() => return,
                };
                let now = from_state(&State::new().await, network);
                if !is_told {
                    if now == told {
                        continue;
                    }
                    looks = LOOKS;
                }
                told.clone_from(&now);
                if to.send(now).await.is_err() {
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

/// Waits until the system lists other IPv6 addresses; for ever where it does not list them.
async fn changed(before: &mut Vec<u8>) {
    loop {
        tokio::time::sleep(LOOK_AT_V6).await;
        let now = v6();
        if now != *before {
            *before = now;
            return;
        }
    }
}

/// The IPv6 addresses of this machine, as Linux lists them (`proc_pid_net(5)`); nothing on other systems.
fn v6() -> Vec<u8> {
    std::fs::read("/proc/net/if_inet6").unwrap_or_default()
}

fn from_state(state: &State, network: Network) -> Vec<Interface> {
    let mut found: Vec<Interface> = state.interfaces.values().filter_map(describe).collect();
    found.retain(|interface| network == Network::All || interface.loopback);
    found.sort_by_key(|interface| interface.index);
    found.truncate(MOST);
    found
}

/// True while an address is being checked for duplicates.
fn is_settling(interface: &netwatch::interfaces::Interface) -> bool {
    interface.is_up()
        && interface.addrs().any(|net| matches!(net, IpNet::V6 { flags, .. } if flags.tentative && !flags.duplicated))
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
        nets: Vec::new(),
        loopback: false,
    };
    for net in interface.addrs() {
        made.loopback |= net.addr().is_loopback();
        match net {
            IpNet::V4(net) => {
                made.nets.push((IpAddr::V4(net.addr()), net.prefix_len()));
                made.v4.push((net.addr(), (net.prefix_len() < 31).then(|| net.broadcast())));
            }
            IpNet::V6 { net, flags, .. } if !flags.tentative && !flags.duplicated => {
                made.nets.push((IpAddr::V6(net.addr()), net.prefix_len()));
                made.v6.push(net.addr());
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

    #[test]
    fn what_is_on_link_shares_the_prefix_and_nothing_else_does() {
        let interface = Interface {
            name: "eth0".into(),
            index: 1,
            v4: Vec::new(),
            v6: Vec::new(),
            nets: vec![("203.0.113.7".parse().unwrap(), 24), ("2001:db8:1::7".parse().unwrap(), 64)],
            loopback: false,
        };
        let on_link = |text: &str| interface.is_on_link(text.parse().unwrap());
        assert!(on_link("203.0.113.200") && on_link("2001:db8:1::1234"));
        assert!(!on_link("203.0.114.1") && !on_link("2001:db8:2::1") && !on_link("::ffff:203.0.113.200"));
    }

    #[test]
    fn everyone_is_searched_from_each_network_of_an_interface_once() {
        let address = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        let of = |all: &[(&str, u8)]| Interface {
            name: "eth0".into(),
            index: 1,
            v4: all.iter().map(|(own, length)| (address(own), (*length < 31).then(|| address(own)))).collect(),
            v6: Vec::new(),
            nets: all.iter().map(|(own, length)| (IpAddr::V4(address(own)), *length)).collect(),
            loopback: false,
        };
        let places = |all: &[(&str, u8)]| of(all).places().map(|(own, _)| own.to_string()).collect::<Vec<_>>();
        let several = [("100.64.0.9", 32), ("10.0.0.5", 24), ("10.0.0.6", 24), ("10.0.0.5", 24), ("192.168.7.1", 24)];
        assert_eq!(places(&several), ["100.64.0.9", "10.0.0.5", "192.168.7.1"]);
        let many: Vec<String> = (0..200).map(|net| format!("10.0.{net}.1")).collect();
        let many: Vec<(&str, u8)> = many.iter().map(|own| (own.as_str(), 24)).collect();
        assert_eq!(places(&many).len(), MOST_PLACES);
        assert_eq!(places(&[]), [""; 0]);
    }

    #[test]
    fn what_has_no_cable_is_a_tunnel_or_leads_to_containers_alone_does_not_lead_out() {
        let told = tempfile::tempdir().unwrap();
        let has = |path: &str, text: &str| {
            let path = told.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (name, kind, carrier) in [("eth0", "1\n", "1\n"), ("eth1", "1\n", "0\n"), ("wg0", "65534\n", "1\n")] {
            has(&format!("{name}/type"), kind);
            has(&format!("{name}/carrier"), carrier);
        }
        has("eth2/device/vendor", "");
        has("veth1/type", "1\n");
        has("eth0.7/lower_eth0/type", "1\n");
        for (bridge, port) in [("docker0", "veth1"), ("br0", "eth2"), ("br7", "eth0.7")] {
            has(&format!("{bridge}/brif/{port}/state"), "3\n");
            has(&format!("{port}/brport/state"), "3\n");
        }
        std::fs::create_dir_all(told.path().join("br-empty/brif")).unwrap();
        let names = ["eth0", "eth1", "eth2", "wg0", "veth1", "docker0", "br0", "br7", "br-empty", "unheard-of"];
        let out: Vec<&str> = names.into_iter().filter(|name| leads_out_of(told.path(), name)).collect();
        assert_eq!(out, ["eth0", "br0", "br7", "unheard-of"]);
    }

    #[tokio::test]
    async fn loopback_is_found_and_can_be_the_only_one() {
        let only = list(Network::Loopback).await;
        assert!(only.iter().all(|interface| interface.loopback));
        let lo = only.first().expect("every machine has a loopback interface");
        assert!(lo.index > 0 && lo.v4.iter().any(|(ip, _)| ip.is_loopback()));
    }
}
