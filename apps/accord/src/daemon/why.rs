//! Why a device cannot be reached: what its bridge knows, with what the hub knows, judged.

use std::time::Duration;

use accord_consent::RecipientId;
use accord_consent::outlet::interfaces;
use accord_link::Network;
use accord_model::text::for_screen;
use accord_model::why::{self, Body, Code, Explained, Fact, Net};
use accord_model::{CallError, DeviceId, Timestamp};
use accord_registry::why::{Subject, diagnose, is_reached};

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

fn app(bridge: &str) -> String {
    let known = house::BRIDGES.iter().find(|(name, _)| *name == bridge);
    known.map_or(bridge, |(_, app)| app).to_owned()
}
