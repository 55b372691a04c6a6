//! Why a device cannot be reached: what this bridge knows, and one attempt when it is asked for.

use accord_model::why::{Body, Fact, Pairing};
use accord_model::{CallId, DeviceId};

use super::hand::Order;
use super::mind::Mind;

/// Devices that are asked at once.
const MOST: usize = 16;

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>) {
        // How this machine stands is told without a word to anybody.
        if device.is_some() {
            self.search();
        }
        if let Some(device) = device.as_ref().filter(|_| self.asked.len() < MOST)
            && let Some(hand) = self.hands.get(device)
            && hand.try_send(Order::Try(call)).is_ok()
        {
            self.asked.insert(call, device.clone());
            return;
        }
        self.answer(call, device.as_ref(), None).await;
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
        let added = known.and_then(|known| self.devices.added(&known.id));
        let mut facts = self.law.facts(added.and(device));
        match &self.near {
            None => facts.extend(self.searching.trouble()),
            Some(near) => facts.extend(near.browsing.facts()),
        }
        if let Some(known) = known {
            facts.push(Fact::Pairing { state: if added.is_some() { Pairing::Paired } else { Pairing::NotPaired } });
            facts.push(Fact::LastSeen { at: known.seen, addresses: known.address.into_iter().collect() });
            let connected = known.at.filter(|_| known.up);
            facts.extend(connected.map(|at| Fact::Connected { address: at.to_string() }));
            // Devices renew their keys by themselves, so that this alone keeps nobody away.
            if let Some(changed) = added.filter(|_| known.up).and_then(|added| added.changed.as_ref()) {
                let short = |key: &str| key.chars().take(16).collect::<String>();
                let means = match known.at.is_some_and(|at| added.is_some_and(|added| added.is_other(*at.ip()))) {
                    true => super::hand::OTHER,
                    false => "Cast devices renew theirs by themselves now and then, so this alone is no alarm",
                };
                let why = format!("{} instead of {}; {means}", short(&changed.to), short(&changed.from));
                facts.push(Fact::KeyChanged { at: changed.at, why });
            }
        }
        facts.extend(tried);
        self.outbox.explain(call, "Google Cast", Body::Appliance, facts).await;
    }
}
