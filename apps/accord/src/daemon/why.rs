//! Why a device cannot be reached: what its bridge knows, with what the hub knows, judged.

use std::time::Duration;

use accord_consent::RecipientId;
use accord_consent::outlet::interfaces;
use accord_link::Network;
use accord_model::text::for_screen;
use accord_model::why::{self, Body, Code, Explained, Fact, Net};
use accord_model::{CallError, DeviceId, Timestamp};
use accord_registry::why::{PATIENCE, Subject, diagnose, is_reached};

use super::hub::Hub;
use super::{house, view};
use crate::api::error::{Answer, Failure};
use crate::api::why as api;

/// How long a device may be asked.
const WITHIN: Duration = Duration::from_secs(7);

impl Hub {
    pub async fn why(&self, id: &DeviceId) -> Answer<api::DeviceWhy> {
        if id.as_str() == house::OWN {
            return Err(Failure::bad_request("This is the machine itself; `accord why` without a device tells of it."));
        }
        let bridge = self.registry.device(id).map_or_else(|| "link".to_owned(), |known| known.bridge.clone());
        let name = self.device_name(id.as_str()).unwrap_or_else(|| id.to_string());
        let via = self.registry.device(id).and_then(|known| known.device.via.clone());
        let by = via.and_then(|via| self.device_name(via.as_str()));
        let subject = Subject { device: Some(&name), id: Some(id), by: by.as_deref(), now: Timestamp::now() };
        let blocked = self.note(id).blocked;
        let way = if blocked {
            self.judged(&bridge, subject, Ok(Explained::new(app(&bridge), Body::default(), vec![Fact::Blocked])))
        } else {
            self.way(&bridge, subject).await
        };
        let reached = is_reached(&way.facts);
        let api::Way { bridge, app, obstacles, facts } = way;
        Ok(api::DeviceWhy { device: id.to_string(), name, bridge, app, reached, obstacles, facts })
    }

    pub async fn why_here(&self) -> api::HouseWhy {
        let subject = Subject { device: None, id: None, by: None, now: Timestamp::now() };
        let mut ways = Vec::new();
        for (bridge, _) in house::BRIDGES {
            ways.push(self.way(bridge, subject).await);
        }
        api::HouseWhy { ways }
    }

    /// What would hinder adding a device of that bridge.
    pub async fn why_add(&self, bridge: &str) -> Answer<api::AddWhy> {
        if !house::BRIDGES.iter().any(|(name, _)| *name == bridge) {
            return Err(Failure::not_found(
                "There is no such bridge; `GET /forms` names those by which devices are added.",
            ));
        }
        let way = self.way(bridge, Subject { device: None, id: None, by: None, now: Timestamp::now() }).await;
        let is_searched =
            self.gate.statement().entries.iter().any(|entry| entry.key.as_str() == format!("{bridge}/search"));
        let searched = if is_searched { searched(&way.facts) } else { Vec::new() };
        let hears_others = is_counted_by_interface(&way.facts);
        let mut obstacles = way.obstacles;
        // Where only devices of one kind answer, that nobody does is no wonder before one is added.
        obstacles.retain(|one| {
            one.agree.is_none() && (hears_others || !matches!(one.code, Code::NothingHeard | Code::PartlyHeard))
        });
        Ok(api::AddWhy { bridge: way.bridge, app: way.app, obstacles, searched })
    }

    async fn way(&self, bridge: &str, subject: Subject<'_>) -> api::Way {
        let explained = self.registry.explain(bridge, subject.id, WITHIN).await;
        let networks = self.networks().await;
        let explained = explained.map(|explained| {
            let facts = networks.into_iter().chain(explained.facts).collect();
            Explained { facts, ..explained }
        });
        self.judged(bridge, subject, explained)
    }

    async fn networks(&self) -> Option<Fact> {
        if self.network == Network::Loopback {
            return None;
        }
        let interfaces = interfaces::list(Network::All).await;
        let beyond = interfaces.iter().filter(|interface| !interface.loopback);
        let networks = beyond.flat_map(|interface| {
            let net = |(address, prefix): &(std::net::IpAddr, u8)| Net {
                interface: interface.name.clone(),
                address: *address,
                prefix: *prefix,
            };
            interface.nets.iter().map(net).collect::<Vec<_>>()
        });
        Some(Fact::Networks { networks: networks.collect() })
    }

    fn judged(&self, bridge: &str, subject: Subject<'_>, explained: Result<Explained, CallError>) -> api::Way {
        let (app, facts, found) = match explained {
            Ok(explained) => {
                let found = diagnose(subject, &explained);
                (explained.app, explained.facts, found)
            }
            Err(CallError::Deadline(_)) => {
                let silent = why::Obstacle {
                    code: Code::Mute,
                    weight: why::Weight::Blocks,
                    says: format!(
                        "{} was asked by {}, and what came of it is not known yet: it is slow, or hangs.",
                        subject.device.map_or_else(|| "It".to_owned(), |name| for_screen(name, 64)),
                        app(bridge)
                    ),
                    remedy: "Ask again in half a minute. If that is said again, restart what speaks there, or take its power away for \
                             ten seconds."
                        .to_owned(),
                    agree: None,
                };
                (app(bridge), Vec::new(), vec![silent])
            }
            Err(error) => {
                let off = why::Obstacle {
                    code: Code::BridgeOff,
                    weight: why::Weight::Blocks,
                    says: format!("{} does not run on this machine now: {error}.", app(bridge)),
                    remedy: "Look into the hub's log, and start the hub again.".to_owned(),
                    agree: None,
                };
                (app(bridge), Vec::new(), vec![off])
            }
        };
        let statement = self.gate.statement();
        let obstacles = found.into_iter().map(|one| api::Obstacle {
            code: one.code,
            weight: match one.weight {
                why::Weight::Blocks => api::Weight::Blocks,
                why::Weight::Hinders => api::Weight::Hinders,
            },
            says: one.says,
            remedy: one.remedy,
            agree: one.agree.map(|missing| api::WhyAgree {
                title: view::title(&statement, &missing.entry),
                entry: missing.entry.to_string(),
                to: missing.to.map_or_else(|| "any".to_owned(), |id| RecipientId::device(&id).to_string()),
            }),
        });
        api::Way { bridge: bridge.to_owned(), app, obstacles: obstacles.collect(), facts }
    }
}

fn is_counted_by_interface(facts: &[Fact]) -> bool {
    facts.iter().any(|fact| matches!(fact, Fact::Air { interface: Some(_), .. }))
}

/// The interfaces of this machine, with the networks there, and whether others are heard.
fn searched(facts: &[Fact]) -> Vec<api::Searched> {
    let mut all: Vec<api::Searched> = Vec::new();
    let nets = facts.iter().flat_map(|fact| if let Fact::Networks { networks } = fact { &networks[..] } else { &[] });
    for net in nets {
        let at = all.iter().position(|one| one.interface == net.interface).unwrap_or_else(|| {
            all.push(api::Searched { interface: net.interface.clone(), networks: Vec::new(), heard: None });
            all.len() - 1
        });
        all[at].networks.push(net.to_string());
    }
    for one in &mut all {
        let heard = facts.iter().filter_map(|fact| match fact {
            Fact::Air { interface: Some(on), heard, sent, seconds, .. } if *on == one.interface => {
                (*heard > 0 || (*sent > 0 && *seconds >= PATIENCE)).then_some(*heard > 0)
            }
            _ => None,
        });
        one.heard = heard.reduce(|any, more| any || more);
    }
    all
}

fn app(bridge: &str) -> String {
    let known = house::BRIDGES.iter().find(|(name, _)| *name == bridge);
    known.map_or(bridge, |(_, app)| app).to_owned()
}

#[cfg(test)]
mod tests {
    use accord_model::why::Way;

    use super::*;

    #[test]
    fn networks_are_told_by_interface_with_whether_anybody_else_is_heard_there_once_that_is_known() {
        let net = |interface: &str, address: &str, prefix| Net {
            interface: interface.into(),
            address: address.parse().unwrap(),
            prefix,
        };
        let air = |interface: &str, way, heard, seconds| {
            let interface = Some(interface.to_owned());
            Fact::Air { way, interface, sent: 3, heard, own: Some(3), seconds }
        };
        let networks = vec![
            net("eth0", "10.66.0.1", 24),
            net("eth1", "10.77.0.1", 24),
            net("eth0", "fe80::1", 64),
            net("wlan0", "10.78.0.1", 24),
        ];
        let facts = [
            Fact::Networks { networks },
            air("eth0", Way::Ipv4Multicast, 0, 60),
            air("eth0", Way::Ipv6Multicast, 1, 60),
            air("eth1", Way::Ipv4Multicast, 0, 60),
            air("wlan0", Way::Ipv4Multicast, 0, 2),
        ];
        let told: Vec<_> = searched(&facts).into_iter().map(|one| (one.interface, one.networks, one.heard)).collect();
        let is = |interface: &str, networks: &[&str], heard| {
            (interface.to_owned(), networks.iter().map(|net| (*net).to_owned()).collect::<Vec<_>>(), heard)
        };
        let all = [
            is("eth0", &["10.66.0.1/24", "fe80::1/64"], Some(true)),
            is("eth1", &["10.77.0.1/24"], Some(false)),
            is("wlan0", &["10.78.0.1/24"], None),
        ];
        assert_eq!(told, all);
        assert!(searched(&[]).is_empty());
    }
}
