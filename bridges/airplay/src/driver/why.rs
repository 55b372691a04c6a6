//! Why a device cannot be reached, or played to: what this bridge knows, and one attempt when it is asked for.

use std::net::SocketAddr;
use std::time::Duration;

use accord_consent::outlet::Near;
use accord_model::why::{Body, Fact, Outcome, Pairing};
use accord_model::{CallId, DeviceId, Timestamp};
use tokio::sync::mpsc;

use super::mind::Mind;
use super::player::Told;

/// Devices that are asked at once.
const MOST: usize = 16;

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>, within: u64) {
        let at = device.as_ref().and_then(|device| self.devices.get(device)?.found.as_ref()).map(|found| found.at);
        match (&self.near, device, at) {
            (Some(browsing), Some(device), Some(at)) if self.asked.len() < MOST => {
                let within = Duration::from_secs(within.clamp(1, 10));
                let trying = try_once(browsing.near().clone(), call, at.into(), within, self.told.clone());
                let stop = self.stop.clone();
                self.tasks.spawn(async move { stop.run_until_cancelled(trying).await });
                self.asked.insert(call, device);
            }
            (_, device, _) => {
                // How this machine stands is told without a word to anybody.
                if let Some(browsing) = self.near.as_mut().filter(|_| device.is_some()) {
                    browsing.refresh();
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
        facts.extend(added.map(|device| self.law.sound_fact(device)));
        match &self.near {
            None => facts.extend(self.searching.trouble()),
            Some(browsing) => facts.extend(browsing.facts()),
        }
        if let Some(known) = known {
            facts.push(Fact::Pairing { state: if added.is_some() { Pairing::Paired } else { Pairing::NotPaired } });
            facts.push(Fact::LastSeen { at: known.seen, addresses: known.address.into_iter().collect() });
            // What a device announces is an answer, too.
            if let Some(obstacle) = known.found.as_ref().and_then(|found| found.obstacle) {
                let at = known.seen.unwrap_or_else(Timestamp::now);
                facts.push(Fact::TurnedAway { at, why: obstacle.to_string() });
            }
        }
        facts.extend(tried);
        self.outbox.explain(call, "AirPlay", Body::Appliance, facts).await;
    }
}

/// Connects once, to tell whether the device is reached.
async fn try_once(near: Near, call: CallId, address: SocketAddr, within: Duration, told: mpsc::Sender<Told>) {
    let outcome = match tokio::time::timeout(within, near.dial(address)).await {
        Ok(Ok(_)) => Outcome::Answered,
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(_) => Outcome::Failed(format!("no connection within {} s", within.as_secs())),
    };
    let _ = told.send(Told::Tried(call, Fact::Tried { address, outcome })).await;
}
