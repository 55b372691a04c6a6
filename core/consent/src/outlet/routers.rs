//! Addresses that are not on a link of this machine and yet in the house: behind a router that is a neighbour, as the devices of
//! a Thread network are behind their border router. Looking sends nothing.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the system is asked through a socket that sends nothing"
)]

use std::io::Read;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use super::interfaces::{Interface, Network, list};

/// Where Linux tells its routes; other systems do not, and nothing is behind a router there.
const TABLE: &str = "/proc/net/ipv6_route";
/// Largest table that is read. A machine that has more routes is a router of the internet.
const LARGEST: u64 = 4 << 20;
/// The network of one site is no larger (RFC 4193, 3.1): what leads to more may lead anywhere.
const SITE: u8 = 48;
/// Of the flags of a route (`linux/route.h`): it refuses what it covers.
const REJECT: u32 = 0x200;

/// The routes of IPv6 that lead to a network, at the time when they were read: the way to everywhere is none of them.
#[derive(Debug, Clone, Default)]
pub struct Routers(Vec<Route>);

#[derive(Debug, Clone)]
struct Route {
    net: Ipv6Addr,
    length: u8,
    /// The next machine on the way; all zeros where there is none.
    by: Ipv6Addr,
    interface: String,
}

impl Routers {
    /// As they are now.
    pub fn now() -> Self {
        let mut table = String::new();
        let read = std::fs::File::open(TABLE).and_then(|file| file.take(LARGEST).read_to_string(&mut table));
        match read {
            Ok(_) => Self::parse(&table),
            Err(error) => {
                tracing::debug!(%error, "the routes cannot be read, so that nothing counts as behind a router");
                Self::default()
            }
        }
    }

    /// A line of the table (`net/ipv6/route.c`, `rt6_info_route`): network and its length, source and its length, next machine,
    /// four numbers of which the last one is the flags, interface; all numbers hexadecimal.
    fn parse(table: &str) -> Self {
        let line = |line: &str| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [net, length, _, _, by, _, _, _, flags, interface] = words[..] else { return None };
            let address = |digits: &str| u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from_bits);
            let length = u8::from_str_radix(length, 16).ok().filter(|length| (1..=128).contains(length))?;
            let refuses = u32::from_str_radix(flags, 16).ok()? & REJECT != 0;
            let route = Route { net: address(net)?, length, by: address(by)?, interface: interface.to_owned() };
            (!refuses).then_some(route)
        };
        Self(table.lines().filter_map(line).collect())
    }

    /// Whether an address is of a network of the house behind a router on this interface:
    ///
    /// - it is unique-local (RFC 4193), which no router sends into the internet,
    /// - a route for a network of one site leads there, over a machine that is a neighbour on this interface. Such routes are what
    ///   border routers of Thread announce (RFC 4191, 2.3), or the owner set; tunnels have none, and the default route is none,
    /// - no route for its network leads over any other interface, also if the system would not take that one,
    /// - and the system would send there from an address of this interface.
    pub fn lead_to(&self, address: IpAddr, interface: &Interface) -> bool {
        let IpAddr::V6(address) = address else { return false };
        // gate-check: router-unique-local
        if !address.is_unique_local() {
            return false;
        }
        self.has_way(address, interface) && source_towards(address).is_some_and(|own| interface.v6.contains(&own))
    }

    fn has_way(&self, address: Ipv6Addr, interface: &Interface) -> bool {
        let covers = |route: &&Route| super::interfaces::same_prefix(route.net.into(), address.into(), route.length);
        let mut is_neighbour = false;
        for route in self.0.iter().filter(covers) {
            // gate-check: router-elsewhere
            if route.interface != interface.name {
                return false;
            }
            let by = IpAddr::V6(route.by);
            is_neighbour |= route.length >= SITE && !route.by.is_unspecified() && interface.is_on_link(by);
        }
        is_neighbour
    }
}

/// From where the system would send to an address. Nothing is sent.
fn source_towards(address: Ipv6Addr) -> Option<Ipv6Addr> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    // Of a datagram socket, this only looks for the way.
    socket.connect((address, 9)).ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V6(own) => Some(*own.ip()),
        SocketAddr::V4(_) => None,
    }
}

/// Whether an address is in the house now: on a link of this machine, or behind a router there.
pub(super) async fn is_here(address: IpAddr) -> bool {
    let interfaces = list(Network::All).await;
    if interfaces.iter().any(|interface| interface.is_on_link(address)) {
        return true;
    }
    let routers = Routers::now();
    interfaces.iter().any(|interface| routers.lead_to(address, interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "fd66000000000000000000000000000a";
    const THREAD: &str = "fd11002200000000";
    const ROUTER: &str = "fe800000000000000000000000000001";
    const NOBODY: &str = "00000000000000000000000000000000";

    fn route(net: &str, length: u8, by: &str, flags: u32, interface: &str) -> String {
        format!("{net:0<32} {length:02x} {NOBODY} 00 {by} 00000400 00000001 00000000 {flags:08x} {interface:>8}\n")
    }

    fn eth0() -> Interface {
        let v6 = vec!["fd66::a".parse().unwrap(), "fe80::a".parse().unwrap()];
        let nets = v6.iter().map(|ip| (IpAddr::V6(*ip), 64)).collect();
        Interface { name: "eth0".into(), index: 2, v4: Vec::new(), v6, nets, loopback: false }
    }

    /// What every machine has.
    fn usual() -> String {
        let lo = route(HOME, 128, NOBODY, 0x8020_0001, "lo") + &route("", 0, NOBODY, 0x20_0200, "lo");
        let link = route("fe80", 64, NOBODY, 1, "eth0") + &route("ff", 8, NOBODY, 1, "eth0");
        lo + &link + &route("fd66", 64, NOBODY, 1, "eth0") + &route("", 0, ROUTER, 0x45_0003, "eth0")
    }

    fn leads(more: &[String]) -> bool {
        let table = usual() + &more.concat();
        Routers::parse(&table).has_way("fd11:22::5".parse().unwrap(), &eth0())
    }

    #[test]
    fn the_way_to_a_network_of_the_house_is_over_a_neighbour_on_that_link_and_no_other() {
        assert!(!leads(&[]), "the way to everywhere is none");
        let thread = || route(THREAD, 64, ROUTER, 0x84_0003, "eth0");
        assert!(leads(&[thread()]), "as a border router of Thread announces it");
        assert!(leads(&[thread(), route(THREAD, 64, "fe800000000000000000000000000002", 0x84_0003, "eth0")]));
        assert!(leads(&[route(THREAD, 48, "fd660000000000000000000000000001", 3, "eth0")]), "set by hand");
        assert!(leads(&[thread(), route("fd", 8, NOBODY, 0x200, "lo")]), "what refuses leads nowhere");
        assert!(!leads(&[route(THREAD, 64, ROUTER, 3, "eth1")]), "another link");
        assert!(!leads(&[route(THREAD, 64, NOBODY, 1, "eth0")]), "as of a tunnel");
        assert!(!leads(&[route(THREAD, 64, "20010db8000000000000000000000001", 3, "eth0")]), "no neighbour");
        assert!(!leads(&[route("fd", 8, ROUTER, 3, "eth0")]), "more than a site");
        assert!(!leads(&[thread(), route("fc", 7, NOBODY, 1, "wg0")]), "a tunnel may have it, too");
        assert!(!leads(&[thread(), route(THREAD, 96, NOBODY, 1, "wg0")]));
        assert!(!leads(&["fd11 40\n".to_owned(), "x ".repeat(10), thread().replace("fd11", "zz11")]), "nonsense");
    }

    #[test]
    fn nothing_is_behind_a_router_but_what_is_unique_local() {
        // This machine's own way to itself is from its own address; that is not enough.
        let table = route("", 1, NOBODY, 1, "lo") + &route(&"0".repeat(31), 64, ROUTER, 3, "lo");
        let nets = vec![(Ipv6Addr::LOCALHOST.into(), 128), ("fe80::a".parse().unwrap(), 64)];
        let (v6, v4) = (vec![Ipv6Addr::LOCALHOST], Vec::new());
        let lo = Interface { name: "lo".into(), index: 1, v4, v6, nets, loopback: true };
        let routers = Routers::parse(&table);
        assert!(routers.has_way(Ipv6Addr::LOCALHOST, &lo), "the table alone says so");
        assert_eq!(source_towards(Ipv6Addr::LOCALHOST), Some(Ipv6Addr::LOCALHOST));
        assert!(!routers.lead_to(Ipv6Addr::LOCALHOST.into(), &lo));
        assert!(!routers.lead_to("127.0.0.1".parse().unwrap(), &lo));
    }

    #[tokio::test]
    async fn what_is_on_no_link_and_behind_no_router_is_not_here() {
        assert!(is_here("127.0.0.7".parse().unwrap()).await);
        for elsewhere in ["fdfe:dcba:9876:5432::1", "2001:db8::1", "240.0.0.7", "::ffff:127.0.0.1"] {
            assert!(!is_here(elsewhere.parse().unwrap()).await, "{elsewhere}");
        }
    }
}
