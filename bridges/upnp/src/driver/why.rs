//! Why a device cannot be reached: what this bridge knows, and one attempt when it is asked for.

use std::time::{Duration, Instant};

use accord_model::why::{Body, Fact, Pairing};
use accord_model::{CallId, DeviceId};

use super::mind::Mind;

/// Devices that are asked at once.
const MOST: usize = 16;

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>, within: u64) {
        let location = device
            .as_ref()
            .and_then(|device| self.devices.get(device)?.found.as_ref())
            .map(|found| found.location.clone());
        match (&self.near, device, location) {
            (Some(near), Some(device), Some(location)) if self.asked.len() < MOST => {
                near.session.try_once(call, location, Duration::from_secs(within));
                self.asked.insert(call, device);
            }
            (_, device, _) => {
                // How this machine stands is told without a word to anybody.
                if device.is_some() {
                    self.search();
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
        let known = device.and_then(|device| self.devices.get(device));
        let added = known.filter(|known| self.devices.is_added(&known.id)).map(|known| &known.id);
        let mut facts = self.law.facts(added, true);
        match &self.near {
            None => facts.extend(self.searching.trouble()),
            Some(near) => {
                facts.extend(near.session.trouble.clone().map(|why| Fact::NotOpen { why }));
                facts.extend(near.session.air().facts(Instant::now()));
            }
        }
        if let Some(known) = known {
            facts.push(Fact::Pairing { state: if added.is_some() { Pairing::Paired } else { Pairing::NotPaired } });
            facts.push(Fact::LastSeen { at: known.seen, addresses: known.address.into_iter().collect() });
        }
        facts.extend(tried);
        self.outbox.explain(call, "UPnP", Body::Appliance, facts).await;
    }
}
