//! Why a device cannot be reached: what this bridge knows, and one attempt when it is asked for.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use accord_consent::outlet::holder;
use accord_model::why::{Body, Explained, Fact, Outcome, Pairing, Transport, Way};
use accord_model::{CallId, DeviceId, FromBridge, Timestamp};

use super::peer::Peer;
use super::{Running, link};
use crate::core::KdeId;
use crate::core::discovery::{Announce, Connect, DISCOVERY_PORT};
use crate::core::identity::Identity;
use crate::core::link::{End, LinkError, LinkNo};
use crate::core::tls::TlsError;

/// A device that was told where we are may connect by itself although our own attempt failed.
const MORE: Duration = Duration::from_millis(1500);
/// Attempts that may run at once.
const MOST: usize = 16;

/// A device that is asked just now.
pub(crate) struct Check {
    call: CallId,
    id: KdeId,
    no: Option<LinkNo>,
    to: SocketAddr,
    found: Vec<Fact>,
    until: Instant,
}

impl Check {
    pub fn until(&self) -> Instant {
        self.until
    }
    /// It is over in a moment.
    fn soon(&mut self, fact: Fact) {
        self.found.push(fact);
        self.until = self.until.min(Instant::now() + MORE);
    }
}

impl Running {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<&DeviceId>, within: u64) {
        let id = device.and_then(|device| self.ids.get(device).cloned());
        if let Some(id) = &id
            && self.checks.len() < MOST
            && let Some((to, identity)) = self.to_ask(id)
        {
            let until = Instant::now() + Duration::from_secs(within);
            let no = self.connect(Connect { to, identity });
            self.announce(Announce { from: None, to: (to.ip(), DISCOVERY_PORT).into() }).await;
            self.checks.push(Check { call, id: id.clone(), no, to, found: Vec::new(), until });
            return;
        }
        self.answer(call, id.as_ref(), Vec::new()).await;
    }

    /// Where a lost device can be asked, as far as the owner agreed to it.
    fn to_ask(&self, id: &KdeId) -> Option<(SocketAddr, Identity)> {
        let peer = self.peers.get(id).filter(|peer| peer.paired.is_some() && peer.link.is_none())?;
        self.presence.as_ref()?;
        let to = (peer.last_address?, DISCOVERY_PORT).into();
        let identity = Identity {
            id: id.clone(),
            name: peer.name.clone(),
            kind: peer.kind,
            protocol: self.trust.get(id)?.highest.number(),
            incoming: peer.incoming.clone(),
            outgoing: peer.outgoing.clone(),
            tcp_port: Some(DISCOVERY_PORT),
            target_id: None,
            target_protocol: None,
        };
        self.may_meet(id).then_some((to, identity))
    }

    /// The attempt did not even make a connection.
    pub(super) fn check_failed(&mut self, no: LinkNo, to: SocketAddr, outcome: Outcome) {
        if let Some(check) = self.checks.iter_mut().find(|check| check.no == Some(no)) {
            check.soon(Fact::Tried { address: to, outcome });
        }
    }

    /// A connection of the device ended before it was up, or after.
    pub(super) fn check_ended(&mut self, no: LinkNo, address: SocketAddr, end: &End) {
        let fact = match end {
            End::ByUs => return,
            End::ByPeer => Fact::Tried { address, outcome: Outcome::Failed("it closed the connection".into()) },
            End::Failed(LinkError::TimedOut) => Fact::Tried { address, outcome: Outcome::Mute },
            End::Failed(error @ LinkError::ClosedEarly) => {
                Fact::TurnedAway { at: Timestamp::now(), why: error.to_string() }
            }
            End::Failed(error) => {
                trouble(error).unwrap_or_else(|| Fact::Tried { address, outcome: Outcome::Failed(error.to_string()) })
            }
        };
        if let Some(check) = self.checks.iter_mut().find(|check| check.no == Some(no)) {
            check.soon(fact);
        }
    }

    /// The device is linked; it has a moment to say that it does not want to be.
    pub(super) fn check_up(&mut self, id: &KdeId) {
        for check in self.checks.iter_mut().filter(|check| check.id == *id) {
            check.until = check.until.min(Instant::now() + MORE);
        }
    }

    pub(super) async fn end_checks(&mut self, now: Instant) {
        let (over, running) = std::mem::take(&mut self.checks).into_iter().partition(|check| check.until <= now);
        self.checks = running;
        let over: Vec<Check> = over;
        for mut check in over {
            let is_linked = self.peers.get(&check.id).is_some_and(|peer| peer.link.is_some());
            if check.found.is_empty() && !is_linked {
                check.found.push(Fact::Tried { address: check.to, outcome: Outcome::Silent });
            }
            self.answer(check.call, Some(&check.id), check.found).await;
        }
    }

    async fn answer(&self, call: CallId, id: Option<&KdeId>, found: Vec<Fact>) {
        let mut facts = self.own_facts().await;
        if let Some(peer) = id.and_then(|id| self.peers.get(id)) {
            facts.extend(self.facts_of(peer));
        }
        facts.extend(found.into_iter().filter(|fact| !facts.contains(fact)).collect::<Vec<_>>());
        let explained = Explained::new("KDE Connect", Body::App, facts);
        self.tell(FromBridge::Explained { call, explained }).await;
    }

    /// How the bridge itself stands.
    async fn own_facts(&self) -> Vec<Fact> {
        let mut facts = vec![self.law.presence_fact()];
        let port = self.presence.as_ref().map(super::presence::Presence::port);
        facts.extend(ports(port, self.trouble.clone()).await);
        facts.extend(self.air.facts(Instant::now()));
        facts.extend(self.too_old.clone().map(|(address, why)| Fact::TooOld { address: Some(address), why }));
        facts
    }

    fn facts_of(&self, peer: &Peer) -> Vec<Fact> {
        let state = match () {
            () if peer.ended_there && peer.paired.is_none() => Pairing::EndedThere,
            () if peer.paired.is_some() => Pairing::Paired,
            () if peer.is_pairing() => Pairing::Pending,
            () => Pairing::NotPaired,
        };
        let mut facts = vec![Fact::Pairing { state }];
        if peer.paired.is_some() {
            facts.push(self.law.connection_fact(&peer.device));
        }
        let addresses: Vec<SocketAddr> = peer.last_address.map(|ip| (ip, DISCOVERY_PORT).into()).into_iter().collect();
        match &peer.link {
            Some(up) => facts.push(Fact::Connected { address: up.address.to_string() }),
            None => {
                facts.push(Fact::LastSeen { at: peer.last_seen, addresses });
                facts.extend(self.stranger_at(peer));
            }
        }
        facts.extend(peer.trouble.clone());
        facts
    }

    /// Somebody who is not paired speaks from the device's last address.
    fn stranger_at(&self, lost: &Peer) -> Option<Fact> {
        let address = lost.last_address?;
        let is_there =
            |peer: &Peer| peer.paired.is_none() && peer.link.as_ref().is_some_and(|up| up.address == address);
        self.peers.values().any(is_there).then_some(Fact::Stranger { address })
    }

    /// A datagram came. One sent to this machine alone looks the same, and counts too.
    pub(super) fn note_heard(&mut self, from: SocketAddr, way: Way) {
        let ip = from.ip().to_canonical();
        if self.presence.as_ref().is_some_and(|presence| !presence.addresses().contains(&ip)) {
            self.air.heard(way, Instant::now());
        }
    }
}

/// Whether what was heard says nothing of where this machine is now. In a network that it is in, IPv6 addresses come later than
/// the others: that is no other one.
pub(super) fn is_another_network(before: &[IpAddr], now: &[IpAddr]) -> bool {
    let is_gone = before.iter().any(|ip| !now.contains(ip));
    is_gone || now.iter().any(|ip| ip.is_ipv4() && !before.contains(ip))
}

/// What a broken link says about the device, when it says more than that it broke.
pub(super) fn trouble(error: &LinkError) -> Option<Fact> {
    let (at, why) = (link::now().wall, error.to_string());
    Some(match error {
        LinkError::Tls(TlsError::CertificateChanged | TlsError::AnotherId { .. } | TlsError::Signature)
        | LinkError::TwoFaced => Fact::KeyChanged { at, why },
        LinkError::TooOld { .. } | LinkError::Downgrade { .. } | LinkError::Tls(TlsError::TooOld) => {
            Fact::TooOld { address: None, why }
        }
        LinkError::Tls(TlsError::Refused(_)) => Fact::TurnedAway { at, why },
        _ => return None,
    })
}

/// Which way a multicast datagram went or came.
pub(super) fn multicast(address: SocketAddr) -> Way {
    match address.ip().to_canonical() {
        IpAddr::V4(_) => Way::Ipv4Multicast,
        IpAddr::V6(_) => Way::Ipv6Multicast,
    }
}

/// Where other programs are in the way. `port` is ours, when we listen.
async fn ports(port: Option<u16>, trouble: Option<String>) -> Vec<Fact> {
    let look = move || {
        let holder = |transport| holder::of(DISCOVERY_PORT, transport);
        let taken = |transport, holder, instead| Fact::PortTaken { port: DISCOVERY_PORT, transport, holder, instead };
        match (port, trouble) {
            (Some(port), _) => {
                let tcp = (port != DISCOVERY_PORT).then(|| taken(Transport::Tcp, holder(Transport::Tcp), Some(port)));
                // The other one may share it, as we do.
                let udp = holder(Transport::Udp).filter(|holder| holder.program.is_some() && tcp.is_none());
                let udp = udp.map(|holder| taken(Transport::Udp, Some(holder), Some(DISCOVERY_PORT)));
                tcp.into_iter().chain(udp).collect()
            }
            (None, Some(why)) => match holder(Transport::Udp) {
                Some(holder) => vec![taken(Transport::Udp, Some(holder), None)],
                None => vec![Fact::NotOpen { why }],
            },
            (None, None) => Vec::new(),
        }
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// A pairing came to nothing for a reason that goes on.
pub(super) fn pairing_trouble(why: &crate::core::pairing::Why) -> Option<Fact> {
    use crate::core::pairing::Why;
    match why {
        Why::Clock(seconds) => Some(Fact::ClockDiffers { seconds: seconds.unsigned_abs() }),
        Why::NoTimestamp => Some(Fact::TooOld { address: None, why: why.to_string() }),
        Why::Refused | Why::EndedByPeer => Some(Fact::TurnedAway { at: Timestamp::now(), why: why.to_string() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_that_comes_later_makes_no_other_network() {
        let of = |all: &[&str]| all.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let is_another = |before: &[&str], now: &[&str]| is_another_network(&of(before), &of(now));
        assert!(!is_another(&["10.66.0.1"], &["10.66.0.1", "fe80::1", "fd66::1"]));
        assert!(!is_another(&["10.66.0.1", "fe80::1"], &["fe80::1", "10.66.0.1"]));
        assert!(is_another(&["10.66.0.1"], &["10.66.0.1", "192.168.7.2"]), "joined beside it");
        assert!(is_another(&["10.66.0.1", "fe80::1"], &["fe80::1"]) && is_another(&["fd66::1"], &["fd77::1"]));
        assert!(is_another(&[], &["10.66.0.1"]));
    }
}
