//! Why a server, or a thing of it, is not reached: what this bridge knows, and one attempt when it is asked for.

use std::time::Duration;

use accord_model::why::{Body, Fact, Outcome, Pairing};
use accord_model::{CallId, DeviceId, Reach};

use super::hand::Order;
use super::mind::{Heard, Mind};

/// So long before whoever asks waits no longer.
const LATE: Duration = Duration::from_secs(1);
/// Servers that are asked at once.
const MOST: usize = 16;

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>, within: u64) {
        // How this machine stands is told without a word to anybody.
        if device.is_some() {
            self.search();
        }
        // A thing is asked for where its server is.
        let server_of = |device: &DeviceId| self.things.get(device).map_or(device, |(server, _)| server).clone();
        let server = device.as_ref().map(server_of);
        if let Some(server) = server.as_ref().filter(|_| self.asked.len() < MOST)
            && let Some(hand) = self.hands.get(server)
            && hand.try_send(Order::Try(call)).is_ok()
        {
            self.answer_late(call, server, within);
            self.asked.insert(call, (server.clone(), device.unwrap_or_else(|| server.clone())));
            return;
        }
        self.answer(call, server.as_ref(), device.as_ref(), None).await;
    }

    /// A server that takes a connection and does not speak takes longer to try than whoever asks waits: then it is as it was before.
    fn answer_late(&self, call: CallId, server: &DeviceId, within: u64) {
        let (known, added) = (self.servers.get(server), self.servers.added(server));
        let Some(place) = added.and_then(|added| added.place()) else { return };
        let before = known.and_then(|known| known.down.as_ref()).map(|(_, outcome)| outcome.clone());
        let fact = Fact::Tried { address: place.address, outcome: before.unwrap_or(Outcome::Mute) };
        let after = Duration::from_secs(within).saturating_sub(LATE);
        let heard = self.heard.clone();
        self.hands.spawn(async move {
            tokio::time::sleep(after).await;
            let _ = heard.send(Heard::Tried { call, fact }).await;
        });
    }

    pub(super) async fn tried(&mut self, call: CallId, fact: Fact) {
        if let Some((server, device)) = self.asked.remove(&call) {
            self.answer(call, Some(&server), Some(&device), Some(fact)).await;
        }
    }

    async fn answer(&self, call: CallId, server: Option<&DeviceId>, device: Option<&DeviceId>, tried: Option<Fact>) {
        let known = server.and_then(|server| Some((server, self.servers.get(server)?)));
        let added = known.and_then(|(id, _)| self.servers.added(id));
        let mut facts = self.law.facts(added.and(server), added.is_none());
        match &self.near {
            None => facts.extend(self.searching.trouble().filter(|_| added.is_none())),
            Some(near) => facts.extend(near.facts()),
        }
        if let Some((id, known)) = known {
            facts.push(Fact::Pairing { state: if added.is_some() { Pairing::Paired } else { Pairing::NotPaired } });
            let place = added.and_then(|added| added.place()).or(known.announced.as_ref().map(|(_, place)| *place));
            let seen = added.and_then(|added| added.seen);
            facts.push(Fact::LastSeen { at: seen, addresses: place.map(|place| place.address).into_iter().collect() });
            facts
                .extend(place.filter(|_| known.up).map(|place| Fact::Connected { address: place.address.to_string() }));
            facts.extend(known.refused.clone().map(|(at, why)| Fact::TurnedAway { at, why }));
            if let Some(other) = added.and_then(|added| added.other.as_ref()) {
                let short = |key: &str| key.chars().take(16).collect::<String>();
                let before = added.and_then(|added| added.pin.as_deref()).map(short).unwrap_or_default();
                let why = format!("{} instead of {before}; the token was not sent", short(&other.key));
                facts.push(Fact::KeyChanged { at: other.at, why });
            }
            if let Some(place) = self.servers.elsewhere(id).filter(|_| !known.up) {
                let why = format!(
                    "it announces itself as {place} now, and the token goes only where it was added; add it again there"
                );
                facts.push(Fact::Tried { address: place.address, outcome: Outcome::Failed(why) });
            }
        }
        facts.extend(tried);
        if let Some((server, Reach::Offline)) = device.and_then(|device| self.things.get(device))
            && self.servers.get(server).is_some_and(|server| server.up)
        {
            facts.push(Fact::AwayThere { by: self.servers.name(server) });
        }
        self.outbox.explain(call, "Home Assistant", Body::Server, facts).await;
    }
}
