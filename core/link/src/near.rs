//! Which addresses are near: in a network of this machine, or of a kind that never leaves one. Pairing and
//! probes are for those; whoever is farther away needs a ticket.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::{self, Interface, Network};

/// Interfaces are looked up again at most this often, and only when someone asks.
const FRESH: Duration = Duration::from_secs(5);

/// The networks of this machine, looked up when needed.
pub(crate) struct NearNetworks {
    network: Network,
    known: tokio::sync::Mutex<Option<(Instant, Vec<Interface>)>>,
}

impl NearNetworks {
    pub(crate) fn new(network: Network) -> Self {
        Self { network, known: tokio::sync::Mutex::default() }
    }

    /// True when the address is near.
    pub(crate) async fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if is_local(address) {
            return true;
        }
        let mut known = self.known.lock().await;
        if known.as_ref().is_none_or(|(at, _)| at.elapsed() > FRESH) {
            *known = Some((Instant::now(), interfaces::list(self.network).await));
        }
        known.as_ref().is_some_and(|(_, interfaces)| interfaces.iter().any(|interface| interface.is_on_link(address)))
    }
}

/// Loopback, link-local, private (RFC 1918) and unique local (RFC 4193) addresses.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_internet_is_not_near_and_the_own_networks_are() {
        let networks = NearNetworks::new(Network::Loopback);
        for near in
            ["127.0.0.1", "10.1.2.3", "192.168.1.4", "169.254.7.7", "::1", "fe80::7", "fd00::7", "::ffff:10.0.0.1"]
        {
            assert!(networks.has(near.parse().unwrap()).await, "{near}");
        }
        for far in ["203.0.113.5", "8.8.8.8", "2001:db8::5", "::ffff:203.0.113.5", "100.64.0.1"] {
            assert!(!networks.has(far.parse().unwrap()).await, "{far}");
        }
        let here = Interface {
            name: "eth0".into(),
            index: 1,
            v4: Vec::new(),
            v6: Vec::new(),
            nets: vec![("203.0.113.7".parse().unwrap(), 24), ("2001:db8:1::7".parse().unwrap(), 64)],
            loopback: false,
        };
        *networks.known.lock().await = Some((Instant::now(), vec![here]));
        assert!(networks.has("203.0.113.5".parse().unwrap()).await);
        assert!(networks.has("2001:db8:1::99".parse().unwrap()).await);
        assert!(!networks.has("203.0.114.5".parse().unwrap()).await);
    }
}
