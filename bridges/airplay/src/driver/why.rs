//! Why a device cannot be reached, or played to: what this bridge knows, and one attempt when it is asked for.

use std::time::{Duration, Instant};

use accord_model::why::{Explained, Fact, Pairing};
use accord_model::{CallId, DeviceId, FromBridge, Timestamp};

use super::mind::Mind;

/// Devices that are asked at once.
const MOST: usize = 16;

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>, within: u64) {
        let at = device.as_ref().and_then(|device| self.devices.get(device)?.found.as_ref()).map(|found| found.at);
        match (&self.near, device, at) {
            (Some(session), Some(device), Some(at)) if self.asked.len() < MOST => {
                session.try_once(call, at.into(), Duration::from_secs(within.clamp(1, 10)));
                self.asked.insert(call, device);
            }
            (_, device, _) => {
                if let Some(session) = &mut self.near {
                    session.search();
                }
                self.answer(call, device.as_ref(), None).await;
            }
        }
    }

    pub(super) async fn tried(&mut self, call: CallId, fact: Fact) {
        if let Some(device) = self.asked.remove(&call) {
            self.answer(call, Some(&device), Some(fact)).await;
        }
    }

    /// The owner took the consent back while devices were asked.
    pub(super) async fn asked_in_vain(&mut self) {
        for (call, device) in std::mem::take(&mut self.asked) {
            self.answer(call, Some(&device), None).await;
        }
    }

    async fn answer(&self, call: CallId, device: Option<&DeviceId>, tried: Option<Fact>) {
        let mut facts = vec![self.law.search_fact()];
        match &self.near {
            None => facts.extend(self.trouble.clone().map(|why| Fact::NotOpen { why })),
            Some(session) => {
                facts.extend(session.trouble.clone().map(|why| Fact::NotOpen { why }));
                facts.extend(session.air.facts(Instant::now()));
            }
        }
        if let Some(known) = device.and_then(|device| self.devices.get(device)) {
            let added = self.devices.is_added(&known.id);
            facts.push(Fact::Pairing { state: if added { Pairing::Paired } else { Pairing::NotPaired } });
            if added {
                facts.extend([self.law.control_fact(&known.id), self.law.sound_fact(&known.id)]);
            }
            facts.push(Fact::LastSeen { at: known.seen, addresses: known.address.into_iter().collect() });
            // What a device announces is an answer, too.
            if let Some(obstacle) = known.found.as_ref().and_then(|found| found.obstacle) {
                let at = known.seen.unwrap_or_else(Timestamp::now);
                facts.push(Fact::TurnedAway { at, why: obstacle.to_string() });
            }
        }
        facts.extend(tried);
        let explained = Explained { app: "AirPlay".to_owned(), facts };
        self.tell_all([FromBridge::Explained { call, explained }]).await;
    }
}
