//! Why a lamp cannot be reached: what this bridge knows, and one attempt when it is asked for.

use accord_model::why::{Body, Fact, Outcome, Pairing};
use accord_model::{CallId, DeviceId};
use accord_ports::hand::NoLine;

use super::hand::Order;
use super::line::Line;
use super::mind::{Heard, Mind};

/// Lamps that are asked at once.
const MOST: usize = 16;
/// What a lamp whose system answers that nothing listens there is most likely to be.
const SWITCHED_OFF: &str = "LAN control";
const HOW: &str = "Switch on “LAN control” in the Yeelight app: the lamp's page, then its settings. Removing the lamp from Mi Home \
                   turns it off, and newer firmware and lamps of Mi's own name no longer have it; those are controlled by \
                   Xiaomi's protocol (miIO, MIoT) with the lamp's token.";

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>) {
        // How this machine stands is told without a word to anybody.
        if device.is_some() {
            self.search();
        }
        if let Some(device) = device.as_ref().filter(|_| self.asked.len() < MOST) {
            let asked = match self.hands.get(device) {
                Some(hand) => hand.try_send(Order::Try(call)).is_ok(),
                None => self.try_where_it_was(call, device),
            };
            if asked {
                self.asked.insert(call, device.clone());
                return;
            }
        }
        self.answer(call, device.as_ref(), None).await;
    }

    /// A lamp that no longer answers searches may still be on, with its LAN control off.
    fn try_where_it_was(&self, call: CallId, device: &DeviceId) -> bool {
        let (Some((near, _)), Some(known)) = (&self.near, self.devices.get(device)) else { return false };
        let is_known = self.devices.is_added(device) && self.law.may_control(device).is_ok();
        let Some(at) = known.address.filter(|at| is_known && near.is_on_link((*at.ip()).into())) else { return false };
        let (law, device, heard) = (self.law.clone(), device.clone(), near.heard.clone());
        self.hands.spawn(async move {
            let outcome = match Line::open(&law, &device, at).await {
                Ok(line) => {
                    line.close();
                    Outcome::Mute
                }
                Err(NoLine::Failed(_, outcome)) => outcome,
                Err(NoLine::Denied(why)) => Outcome::Failed(why),
            };
            let _ = heard.send(Heard::Tried { call, fact: Fact::Tried { address: at.into(), outcome } }).await;
        });
        true
    }

    pub(super) async fn tried(&mut self, call: CallId, fact: Fact) {
        if let Some(device) = self.asked.remove(&call) {
            self.answer(call, Some(&device), Some(fact)).await;
        }
    }

    /// The owner took the consent back while lamps were asked.
    pub(super) async fn asked_in_vain(&mut self) {
        for (call, device) in std::mem::take(&mut self.asked) {
            self.answer(call, Some(&device), None).await;
        }
    }

    async fn answer(&self, call: CallId, device: Option<&DeviceId>, tried: Option<Fact>) {
        let known = device.and_then(|device| self.devices.get(device));
        let added = known.filter(|known| self.devices.is_added(&known.id));
        let mut facts = self.law.facts(added.and(device), true);
        match &self.near {
            None => facts.extend(self.searching.trouble()),
            Some((near, _)) => {
                facts.extend(near.trouble.clone().map(|why| Fact::NotOpen { why }));
                facts.extend(near.facts());
            }
        }
        if let Some(known) = known {
            facts.push(Fact::Pairing { state: if added.is_some() { Pairing::Paired } else { Pairing::NotPaired } });
            facts.push(Fact::LastSeen { at: known.seen, addresses: known.addresses() });
            facts.extend(known.answered.map(|at| Fact::LastAnswered { at }));
            let connected = known.at.filter(|_| known.up);
            facts.extend(connected.map(|at| Fact::Connected { address: at.to_string() }));
        }
        if matches!(tried, Some(Fact::Tried { outcome: Outcome::Refused, .. })) {
            facts.push(Fact::SwitchedOff { what: SWITCHED_OFF.to_owned(), remedy: HOW.to_owned() });
        }
        facts.extend(tried);
        self.outbox.explain(call, "Yeelight", Body::Appliance, facts).await;
    }
}
