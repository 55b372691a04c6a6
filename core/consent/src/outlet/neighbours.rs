//! The machines whose IPv4 addresses the system asked for on a link, as it knows them. Looking sends nothing.

use std::net::Ipv4Addr;

/// Where Linux tells them; other systems do not, and there nobody is known.
const TABLE: &str = "/proc/net/arp";

/// The neighbours that the system knew at a time; it forgets those with whom nobody speaks.
#[derive(Debug, Clone, Default)]
pub struct Neighbours(Vec<Neighbour>);

/// What the system knows of one address on one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The address that was asked for.
    pub address: Ipv4Addr,
    /// On which link.
    pub interface: String,
    /// Somebody answered: its hardware address, six pairs of lower-case hexadecimal digits with colons.
    pub hardware: Option<String>,
    /// It was asked, and nobody said a word.
    pub silent: bool,
}

impl Neighbours {
    /// As they are now.
    pub fn now() -> Self {
        Self::parse(&std::fs::read_to_string(TABLE).unwrap_or_default())
    }

    /// A line of the table (arp(7), proc_pid_net(5)): address, sort, flags (nothing: not answered), hardware address, mask,
    /// interface.
    pub fn parse(table: &str) -> Self {
        let line = |line: &str| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [address, _, flags, hardware, _, interface] = words[..] else { return None };
            let is_address = hardware.len() == 17 && hardware != "00:00:00:00:00:00";
            Some(Neighbour {
                address: address.parse().ok()?,
                interface: interface.to_owned(),
                hardware: is_address.then(|| hardware.to_ascii_lowercase()),
                silent: flags == "0x0",
            })
        };
        Self(table.lines().filter_map(line).collect())
    }

    /// The one at this address of a link.
    pub fn on(&self, interface: &str, address: Ipv4Addr) -> Option<&Neighbour> {
        self.0.iter().find(|one| one.address == address && one.interface == interface)
    }

    /// Whether some link was asked for this address and nobody there has it.
    pub fn is_nobodys(&self, address: Ipv4Addr) -> bool {
        self.0.iter().any(|one| one.address == address && one.silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_and_who_does_not_is_told_per_link() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.1.1      0x1         0x2         02:00:00:00:00:99     *        eth0\n\
                     192.168.1.1      0x1         0x2         AA:00:00:00:00:01     *        wlan0\n\
                     192.168.1.9      0x1         0x0         00:00:00:00:00:00     *        wlan0\n\
                     nonsense         0x1         0x2         02:00:00:00:00:99     *        eth0\n\
                     192.168.1.7      0x1\n\n";
        let known = Neighbours::parse(table);
        let hardware = |interface: &str, last: u8| {
            known.on(interface, Ipv4Addr::new(192, 168, 1, last)).and_then(|one| one.hardware.clone())
        };
        assert_eq!(known.0.len(), 3);
        assert_eq!(hardware("eth0", 1).as_deref(), Some("02:00:00:00:00:99"));
        assert_eq!(hardware("wlan0", 1).as_deref(), Some("aa:00:00:00:00:01"));
        assert_eq!((hardware("wlan0", 9), hardware("eth0", 7), hardware("eth1", 1)), (None, None, None));
        let nobodys = |last: u8| known.is_nobodys(Ipv4Addr::new(192, 168, 1, last));
        assert!(nobodys(9) && !nobodys(1) && !nobodys(7));
    }
}
