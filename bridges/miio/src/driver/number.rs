//! By which number a device knows this hub where it may tell of changes by itself: another one for each device and each network,
//! so that nobody can tell by it that two of them met the same hub.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use accord_consent::outlet::neighbours::Neighbours;
use accord_model::DeviceId;
use accord_ports::secret::{Secret, token};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::core::push::Hub;

/// Where Linux tells its routes. Reading sends nothing.
const ROUTES: &str = "/proc/net/route";

/// The network in which a device is reached, as far as the system can tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Interface, network and mask.
    net: Option<(String, u32, u32)>,
    /// The hardware address of the router there.
    router: Option<String>,
}

impl Place {
    /// As it is now.
    pub(crate) fn of(device: Ipv4Addr) -> Self {
        let routes = std::fs::read_to_string(ROUTES).unwrap_or_default();
        Self::read(device, &routes, &Neighbours::now())
    }

    /// A line of routes: interface, network, router, flags, three numbers, mask; addresses are hexadecimal, as they lie in
    /// memory.
    fn read(device: Ipv4Addr, routes: &str, neighbours: &Neighbours) -> Self {
        struct Route<'a> {
            interface: &'a str,
            net: u32,
            by: u32,
            mask: u32,
        }
        fn route(line: &str) -> Option<Route<'_>> {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let address = |at: usize| {
                u32::from_str_radix(words.get(at)?, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()))
            };
            Some(Route { interface: words.first().copied()?, net: address(1)?, by: address(2)?, mask: address(7)? })
        }
        let routes: Vec<Route<'_>> = routes.lines().skip(1).filter_map(route).collect();
        let covers = |one: &&Route<'_>| one.by == 0 && one.mask != 0 && device.to_bits() & one.mask == one.net;
        let Some(here) = routes.iter().filter(covers).max_by_key(|one| one.mask) else {
            return Self { net: None, router: None };
        };
        let out = routes.iter().find(|one| one.mask == 0 && one.by != 0 && one.interface == here.interface);
        let router = out.and_then(|out| neighbours.on(here.interface, Ipv4Addr::from_bits(out.by)));
        let router = router.and_then(|router| router.hardware.clone());
        Self { net: Some((here.interface.to_owned(), here.net, here.mask)), router }
    }

    /// Whether what is there now may be the same network. A router is forgotten by the system when nobody speaks to it.
    pub(crate) fn is_still(&self, now: &Self) -> bool {
        self.net == now.net && (now.router.is_none() || self.router == now.router)
    }

    /// The number there of the hub with this secret. Where the network cannot be told from others of the same addresses it is
    /// made up, and another one each time.
    pub(crate) fn number(&self, secret: &Secret, device: &DeviceId) -> u64 {
        let digits = match (&self.net, &self.router) {
            (Some((_, net, mask)), Some(router)) => {
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
                let text = format!("accord/miio/push/v1\0{device}\0{net:08x}/{mask:08x}\0{router}");
                mac.update(text.as_bytes());
                let whole: [u8; 32] = mac.finalize().into_bytes().into();
                return u64::from_be_bytes(whole[..8].try_into().expect("eight of thirty-two bytes"));
            }
            _ => token(),
        };
        u64::from_str_radix(&digits[..16], 16).expect("sixteen hexadecimal digits are a number")
    }

    /// This hub there, now.
    pub(crate) fn hub(&self, secret: &Secret, device: &DeviceId) -> Hub {
        let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Hub { number: self.number(secret, device), time: passed as u32 }
    }
}

#[cfg(test)]
mod tests {
    use accord_ports::added::device_id;

    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
        wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n\
        eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t0000FFFF\t0\t0\t0\n";

    fn neighbours(mac: &str) -> Neighbours {
        Neighbours::parse(&format!(
            "192.168.1.1      0x1         0x2         02:00:00:00:00:99     *        eth0\n\
             192.168.1.1      0x1         0x2         {mac}     *        wlan0\n"
        ))
    }

    #[test]
    fn a_network_is_known_by_its_addresses_and_its_router() {
        if cfg!(target_endian = "big") {
            return;
        }
        let lamp = Ipv4Addr::new(192, 168, 1, 40);
        let home = Place::read(lamp, TABLE, &neighbours("AA:00:00:00:00:01"));
        assert_eq!(home.net, Some(("wlan0".into(), 0xc0a8_0100, 0xffff_ff00)), "the narrowest one");
        assert_eq!(home.router.as_deref(), Some("aa:00:00:00:00:01"));
        let other = Place::read(Ipv4Addr::new(192, 168, 9, 9), TABLE, &neighbours("AA:00:00:00:00:01"));
        assert_eq!((other.net.map(|net| net.0), other.router), (Some("eth0".into()), None), "no way out leads there");
        assert_eq!(Place::read(lamp, TABLE, &neighbours("00:00:00:00:00:00")).router, None);
        for odd in ["", "x\n1 2", "\n\n\t\t\n", "Iface\nwlan0 zz yy"] {
            assert_eq!(Place::read(lamp, odd, &Neighbours::parse(odd)), Place { net: None, router: None }, "{odd:?}");
        }
    }

    #[test]
    fn the_number_is_the_same_in_one_network_and_another_one_everywhere_else() {
        let place =
            |mac: &str| Place { net: Some(("wlan0".into(), 0xc0a8_0100, 0xffff_ff00)), router: Some(mac.into()) };
        let (home, work) = (place("aa:00:00:00:00:01"), place("aa:00:00:00:00:02"));
        let (secret, lamp) = (Secret::from("geheim"), device_id("miio", "1"));
        let number = home.number(&secret, &lamp);
        assert_eq!(home.number(&secret, &lamp), number);
        assert_ne!(work.number(&secret, &lamp), number, "another network with the same addresses");
        assert_ne!(home.number(&secret, &device_id("miio", "2")), number, "another device");
        assert_ne!(home.number(&Secret::from("anders"), &lamp), number, "another hub, or the same with new ids");
        let unknown = Place { router: None, ..home.clone() };
        assert!(home.is_still(&home) && home.is_still(&unknown));
        assert!(
            !home.is_still(&work) && !unknown.is_still(&home) && !home.is_still(&Place { net: None, ..home.clone() })
        );
        assert_ne!(unknown.number(&secret, &lamp), unknown.number(&secret, &lamp), "made up anew");
    }
}
