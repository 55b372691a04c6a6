//! What this machine's networks lack: IPv6, a way to where somebody is announced, others that are heard.

use std::collections::BTreeSet;
use std::net::IpAddr;

use accord_model::text::for_screen;
use accord_model::why::{Code, Fact, Lack, Net, Obstacle, Way, Weight};

use super::{Judge, capital, duration, is_link_local, list, obstacle};

/// Announcements of others are awaited for so long before their absence means something, in seconds.
pub const PATIENCE: u64 = 10;
/// Longest name of an interface.
const NAME: usize = 20;

/// How IPv6 comes to these interfaces; `one` of them for the example.
fn turn_on(names: &str, one: &str) -> String {
    format!(
        "Turn IPv6 on for {names}: a link-local address (fe80::…) is enough, which systems give themselves unless that is turned off. \
         On Linux, `/proc/sys/net/ipv6/conf/{one}/disable_ipv6` says 0 then; a container gets it from whoever runs it."
    )
}

impl Judge<'_> {
    pub(super) fn no_ipv6(&self, interfaces: &[String], all: bool, blocks: Weight) -> Obstacle {
        let app = self.app;
        let names: Vec<String> = interfaces.iter().map(|name| for_screen(name, NAME)).collect();
        let (names, has) = (list(names.iter().map(String::as_str)), if names.len() > 1 { "have" } else { "has" });
        let (weight, says) = match all {
            true => (
                blocks,
                format!(
                    "This machine has no IPv6 address ({names} {has} none), and most {app} devices are reached by IPv6 only."
                ),
            ),
            false => (
                Weight::Hinders,
                format!(
                    "{names} of this machine {has} no IPv6 address. {app} devices there may be heard, and most are not reached, for \
                     they take IPv6 only."
                ),
            ),
        };
        let one = interfaces.first().map_or_else(|| "INTERFACE".to_owned(), |name| for_screen(name, NAME));
        obstacle(Code::NoIpv6, weight, says, turn_on(&names, &one))
    }

    /// It is announced, where no way leads.
    pub(super) fn stray(&self, interface: &str, addresses: &[IpAddr], lacks: Lack) -> Obstacle {
        let addresses: Vec<String> = addresses.iter().take(3).map(IpAddr::to_string).collect();
        let at = list(addresses.iter().map(String::as_str));
        let own = self.networks().iter().filter(|net| net.interface == interface && !is_link_local(net.address));
        let own: Vec<String> = own.map(Net::to_string).collect();
        let own = match &own[..] {
            [] => String::new(),
            own => format!(" ({})", list(own.iter().take(4).map(String::as_str))),
        };
        let (who, on) = (capital(&self.place()), for_screen(interface, NAME));
        match lacks {
            Lack::Ipv6 => obstacle(
                Code::NoIpv6,
                Weight::Blocks,
                format!(
                    "{who} is announced on {on}, at {at}, and {on} of this machine has no IPv6 address: it is heard there, and not \
                     reached."
                ),
                turn_on(&on, &on),
            ),
            Lack::Router => obstacle(
                Code::NoRoute,
                Weight::Blocks,
                format!(
                    "{who} is announced on {on} at {at}, as devices of Thread are, which is in no network of this machine, and this \
                     machine has heard of no way there from a router near."
                ),
                "Is the border router on? On Linux, NetworkManager or systemd-networkd have to take the routes that border routers \
                 announce; the kernel alone takes them where `accept_ra_rt_info_max_plen` of that interface is 64.",
            ),
            Lack::Network => obstacle(
                Code::OtherNetwork,
                Weight::Blocks,
                format!(
                    "{who} is announced on {on} at {at}, and {on} of this machine is in another network{own}: it is heard there, \
                     and not reached."
                ),
                "Give it, or this machine, an address in the same network. If a router carries announcements from one network into \
                 another (VLANs), bring both into one.",
            ),
            Lack::Relayed => obstacle(
                Code::OtherNetwork,
                Weight::Hinders,
                format!(
                    "{who} is announced on {on} also at {at}, which is not in the network that this machine is in there{own}, as \
                     when a router carries announcements over from another network (VLAN)."
                ),
                "Bring this machine, or one of its interfaces, into the network in which the device is.",
            ),
        }
    }

    pub(super) fn networks(&self) -> &[Net] {
        let networks = self.facts.iter().find_map(|fact| match fact {
            Fact::Networks { networks } => Some(networks.as_slice()),
            _ => None,
        });
        networks.unwrap_or_default()
    }

    /// Whether announcements get through.
    pub(super) fn air(&self) -> Vec<Obstacle> {
        let all: Vec<Fared<'_>> = self.facts.iter().filter_map(Fared::of).collect();
        // Where nothing comes in by any way, this machine lets nothing in, and the network has no part in that.
        let is_shut = |on: &str| all.iter().filter(|one| one.interface == Some(on)).all(Fared::is_shut);
        let shut: BTreeSet<&str> = all.iter().filter_map(|one| one.interface).filter(|on| is_shut(on)).collect();
        let mut found = Vec::new();
        if !shut.is_empty() {
            let names: Vec<String> = shut.iter().map(|on| for_screen(on, NAME)).collect();
            found.push(obstacle(
                Code::NothingHeard,
                Weight::Hinders,
                format!(
                    "On {} not even what this machine says itself to all near comes back to it: a firewall of this machine keeps \
                     multicast out.",
                    list(names.iter().map(String::as_str))
                ),
                "Let UDP port 5353 (mDNS) in: with ufw `ufw allow 5353/udp`, with firewalld its service `mdns`.",
            ));
        }
        let used: Vec<&Fared<'_>> =
            all.iter().filter(|one| one.interface.is_none_or(|on| !shut.contains(on))).collect();
        let Some(seconds) = used.iter().map(|one| one.seconds).max() else { return found };
        let ways = |heard: bool| {
            let is_heard = |way: Way| used.iter().any(|one| one.way == way && one.heard > 0);
            let ways: BTreeSet<Way> = used.iter().map(|one| one.way).filter(|way| is_heard(*way) == heard).collect();
            list(ways.into_iter().map(Way::as_str))
        };
        let on = |heard: bool| {
            let is_heard = |on: &str| used.iter().any(|one| one.interface == Some(on) && one.heard > 0);
            let all: BTreeSet<&str> = used.iter().filter_map(|one| one.interface).collect();
            let names: Vec<String> =
                all.into_iter().filter(|on| is_heard(on) == heard).map(|on| for_screen(on, NAME)).collect();
            list(names.iter().map(String::as_str))
        };
        if used.iter().all(|one| one.heard == 0) {
            let where_to = match on(false) {
                names if names.is_empty() => String::new(),
                names => format!(" on {names}"),
            };
            found.push(obstacle(
                Code::NothingHeard,
                Weight::Hinders,
                format!(
                    "{} speaks to all near by {}{where_to}, and in {} nothing of any other device came that way: either nobody else \
                     is here, or this network keeps devices apart.",
                    self.app,
                    ways(false),
                    duration(seconds)
                ),
                "Guest networks, \"AP isolation\", VLANs, VPNs, containers and firewalls do that. Use the home network, allow the \
                 app in the firewall, or name the device by its address.",
            ));
            return found;
        }
        let not_by = ways(false);
        if !not_by.is_empty() {
            found.push(obstacle(
                Code::PartlyHeard,
                Weight::Hinders,
                format!("Others are heard by {}, but not by {not_by}.", ways(true)),
                "A device that announces itself only that way is not found; routers and switches often filter multicast.",
            ));
        }
        let not_on = on(false);
        if !not_on.is_empty() {
            found.push(obstacle(
                Code::PartlyHeard,
                Weight::Hinders,
                format!("Others are heard on {}, and nobody on {not_on}.", on(true)),
                "A device there is not found: nobody else is in that network, or it keeps devices apart, as guest networks, VLANs \
                 and containers do.",
            ));
        }
        found
    }
}

/// How a way of an interface fared, once that means something.
struct Fared<'a> {
    way: Way,
    interface: Option<&'a str>,
    heard: u64,
    own: Option<u64>,
    seconds: u64,
}

impl<'a> Fared<'a> {
    fn of(fact: &'a Fact) -> Option<Self> {
        let Fact::Air { way, interface, sent, heard, own, seconds } = fact else { return None };
        let tells = *sent > 0 && *seconds >= PATIENCE;
        tells.then_some(Self {
            way: *way,
            interface: interface.as_deref(),
            heard: *heard,
            own: *own,
            seconds: *seconds,
        })
    }

    /// Not even what this machine says itself comes back to it.
    fn is_shut(&self) -> bool {
        self.heard == 0 && self.own == Some(0)
    }
}
