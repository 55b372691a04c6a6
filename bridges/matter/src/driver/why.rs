//! Why a device, or what is behind it, is not reached: what this bridge knows, and one attempt when it is asked for.

use std::net::{IpAddr, SocketAddr};

use accord_consent::outlet::interfaces;
use accord_model::why::{Body, Fact, Pairing};
use accord_model::{CallId, DeviceId, Reach};

use super::hand::Order;
use super::mind::Mind;
use super::nodes::Refused;
use crate::core::advert::{Advert, node_name};
use crate::core::code::Code;

/// Devices that are asked at once.
const MOST: usize = 16;
/// A device whose fail-safe is armed by an attempt before takes no other for so long (Core Specification 1.4, 11.10.7.2).
const FAIL_SAFE_S: u64 = 60;
const ASTRAY: &str = "it is announced here at addresses that are of no network of this machine, as those of Thread are, and this machine \
                      has heard of no way there from a router near: on Linux, NetworkManager or systemd-networkd have to take routes \
                      that border routers announce";
const WRONG_CODE: &str = "Remove it here, and add it again with the code that is on the device or in its papers. A code that was made to \
                          share it holds for three minutes only.";

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>) {
        self.search();
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
        if up.is_none() && self.lacks_v6(&all) {
            let why = "no interface of this machine has an IPv6 address, and most Matter devices are reached by IPv6 only; a \
                       link-local one is enough, which systems give themselves unless that is turned off";
            facts.push(Fact::NotOpen { why: why.to_owned() });
        }
        match added {
            None => facts.push(Fact::Pairing { state: Pairing::NotPaired }),
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
                if up.is_none() && self.sky.borrow().is_astray(&name, is_it) {
                    facts.push(Fact::NotOpen { why: ASTRAY.to_owned() });
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

    fn lacks_v6(&self, all: &[interfaces::Interface]) -> bool {
        let mut used = all.iter().filter(|one| !one.loopback || self.network == interfaces::Network::Loopback);
        used.clone().next().is_some() && used.all(|one| one.v6.is_empty())
    }
}
