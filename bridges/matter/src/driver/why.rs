//! Why a device, or what is behind it, is not reached: what this bridge knows, and one attempt when it is asked for.

use std::net::{IpAddr, SocketAddr};

use accord_consent::outlet::interfaces;
use accord_model::why::{Body, Fact, Pairing};
use accord_model::{CallId, DeviceId, Reach};

use super::hand::Order;
use super::mind::Mind;
use super::nodes::Refused;
use crate::core::advert::{Advert, COMMISSIONABLE, OPERATIONAL, node_name};
use crate::core::code::Code;

/// Devices that are asked at once.
const MOST: usize = 16;
/// A device whose fail-safe is armed by an attempt before takes no other for so long (Core Specification 1.4, 11.10.7.2).
const FAIL_SAFE_S: u64 = 60;
/// What is told of where a device is announced and not reached.
const MOST_STRAYS: usize = 4;
const WRONG_CODE: &str = "Remove it here, and add it again with the code that is on the device or in its papers. A code that was made to \
                          share it holds for three minutes only.";

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>) {
        // Of this machine is told what is known.
        if device.is_some() {
            self.search();
        }
        // What is behind a device is asked for there.
        let node_of = |device: &DeviceId| self.things.get(device).map_or(device, |(node, _)| node).clone();
        let node = device.as_ref().map(node_of);
        if let Some(node) = node.as_ref().filter(|_| self.asked.len() < MOST)
            && let Some(hand) = self.hands.get(node)
            && hand.try_send(Order::Try(call)).is_ok()
        {
            self.asked.insert(call, (node.clone(), device.unwrap_or_else(|| node.clone())));
            return;
        }
        self.answer(call, node.as_ref(), device.as_ref(), None).await;
    }

    pub(super) async fn tried(&mut self, call: CallId, fact: Option<Fact>) {
        if let Some((node, device)) = self.asked.remove(&call) {
            self.answer(call, Some(&node), Some(&device), fact).await;
        }
    }

    async fn answer(&self, call: CallId, node: Option<&DeviceId>, device: Option<&DeviceId>, tried: Option<Fact>) {
        let added = node.and_then(|node| Some((node, self.nodes.added(node)?, self.nodes.get(node)?)));
        let mut facts = self.law.facts(added.map(|(node, ..)| node), true);
        match &self.near {
            None => facts.extend(self.searching.trouble()),
            Some(near) => facts.extend(near.facts()),
        }
        let up = added.and_then(|(.., known)| known.up);
        let all = interfaces::list(self.network).await;
        let on_link = |ip: IpAddr| all.iter().any(|one| one.is_on_link(ip));
        // One that is known to be at an address of IPv4 does without.
        let does_without = added.and_then(|(_, added, _)| added.address).is_some_and(|at| at.is_ipv4());
        if up.is_none() && !does_without {
            let used = all.iter().filter(|one| match self.network {
                interfaces::Network::All => !one.loopback && interfaces::leads_out(&one.name),
                interfaces::Network::Loopback => one.loopback,
            });
            facts.extend(no_ipv6(used));
        }
        match added {
            None => facts.extend(device.map(|_| Fact::Pairing { state: Pairing::NotPaired })),
            Some((_, added, known)) => {
                facts.push(Fact::Pairing {
                    state: match known.refused {
                        Some(Refused::Forgotten) => Pairing::EndedThere,
                        _ => Pairing::Paired,
                    },
                });
                facts.extend(added.waited_for().map(|until| Fact::Leaving { until }));
                // An address behind a router is in no network of this machine, and yet in the house.
                let is_behind = |at: &SocketAddr| matches!(at.ip(), IpAddr::V6(ip) if ip.is_unique_local());
                let addresses = added.address.into_iter().filter(|at| !is_behind(at) || on_link(at.ip())).collect();
                facts.push(Fact::LastSeen { at: added.seen, addresses });
                let name = node_name(self.fabric.compressed(), added.node);
                let code = added.code.as_ref().and_then(|code| Code::parse(code).ok());
                let is_it =
                    |advert: &Advert| code.as_ref().is_some_and(|code| code.discriminator.fits(advert.discriminator));
                if let Some(near) = self.near.as_ref().filter(|_| up.is_none()) {
                    let sky = self.sky.borrow();
                    let waiting = sky.fitting(is_it).flat_map(|name| near.strays(COMMISSIONABLE, name));
                    facts.extend(near.strays(OPERATIONAL, &name).into_iter().chain(waiting).take(MOST_STRAYS));
                }
                facts.extend(up.map(|at| Fact::Connected { address: at.to_string() }));
                match &known.refused {
                    Some(Refused::Code) => {
                        facts.push(Fact::SecretWrong { what: "code".to_owned(), remedy: WRONG_CODE.to_owned() });
                    }
                    Some(Refused::NotCertified(why)) => {
                        facts.push(Fact::NotAdded {
                            why: why.clone(),
                            remedy: "Put the root of its maker into the folder that the guide names, or, for a device that you built \
                                     or test, remove it here and add it again as a test device."
                                .to_owned(),
                        });
                    }
                    Some(Refused::NoPlace(why)) => {
                        facts.push(Fact::NotAdded {
                            why: why.clone(),
                            remedy: "Remove one of its controllers there, or reset the device as its maker says, which removes all \
                                     of them; then it is added by itself."
                                .to_owned(),
                        });
                    }
                    Some(Refused::Forgotten) | None => {}
                }
                if known.busy {
                    facts.push(Fact::TooManyAttempts { seconds: FAIL_SAFE_S });
                }
            }
        }
        facts.extend(tried);
        if let (Some((node, ..)), Some((_, Reach::Offline))) =
            (added, device.and_then(|device| self.things.get(device)))
            && up.is_some()
        {
            facts.push(Fact::AwayThere { by: self.nodes.name(node) });
        }
        self.outbox.explain(call, "Matter", Body::Appliance, facts).await;
    }
}

/// Which of the interfaces by which devices are looked for have no IPv6.
fn no_ipv6<'a>(used: impl Iterator<Item = &'a interfaces::Interface>) -> Option<Fact> {
    let (with, without): (Vec<_>, Vec<_>) = used.partition(|one| !one.v6.is_empty());
    let names: Vec<String> = without.iter().map(|one| one.name.clone()).collect();
    (!names.is_empty()).then_some(Fact::NoIpv6 { interfaces: names, all: with.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_without_ipv6_are_named_and_whether_there_is_another_one() {
        let of = |name: &str, v6: &[&str]| interfaces::Interface {
            name: name.into(),
            index: 1,
            v4: Vec::new(),
            v6: v6.iter().map(|ip| ip.parse().unwrap()).collect(),
            nets: Vec::new(),
            loopback: false,
        };
        let (whole, bare, other) = (of("eth0", &["fe80::1"]), of("eth1", &[]), of("wlan0", &[]));
        let told = |all: &[&interfaces::Interface]| no_ipv6(all.iter().copied());
        let lacks = |names: &[&str], all| {
            Some(Fact::NoIpv6 { interfaces: names.iter().map(|name| (*name).to_owned()).collect(), all })
        };
        assert_eq!((told(&[]), told(&[&whole])), (None, None));
        assert_eq!(told(&[&whole, &bare]), lacks(&["eth1"], false));
        assert_eq!(told(&[&bare, &other]), lacks(&["eth1", "wlan0"], true));
    }
}
