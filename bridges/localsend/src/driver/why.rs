//! Why a device cannot be reached: what this bridge knows, and one attempt when it is asked for.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use accord_consent::outlet::holder;
use accord_model::why::{Body, Fact, Pairing, Transport};
use accord_model::{CallId, DeviceId, Timestamp};

use super::devices::Known;
use super::mind::Mind;
use crate::core::{Protocol, Target};

/// Places of one device that are asked.
const PLACES: usize = 2;
/// Devices that are asked at once.
const MOST: usize = 16;

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>, within: u64) {
        let Some(device) = device else { return self.answer(call, None, Vec::new()).await };
        let places = self.devices.get(&device).map(places).unwrap_or_default();
        let me = self.me_now();
        match &self.near {
            Some(near) if !places.is_empty() && self.asked.len() < MOST => {
                near.session.ask_why(call, places, me, Duration::from_secs(within));
                self.asked.insert(call, device);
            }
            _ => self.answer(call, Some(&device), Vec::new()).await,
        }
    }

    pub(super) async fn explained(&mut self, call: CallId, found: Vec<Fact>) {
        if let Some(device) = self.asked.remove(&call) {
            self.answer(call, Some(&device), found).await;
        }
    }

    /// The owner took the consent back while devices were asked.
    pub(super) async fn asked_in_vain(&mut self) {
        for (call, device) in std::mem::take(&mut self.asked) {
            self.answer(call, Some(&device), Vec::new()).await;
        }
    }

    async fn answer(&self, call: CallId, device: Option<&DeviceId>, found: Vec<Fact>) {
        let mut facts = self.own_facts().await;
        if let Some(known) = device.and_then(|device| self.devices.get(device)) {
            facts.extend(self.facts_of(known));
        }
        facts.extend(found);
        self.outbox.explain(call, "LocalSend", Body::App, facts).await;
    }

    async fn own_facts(&self) -> Vec<Fact> {
        let mut facts = vec![self.law.presence_fact()];
        match &self.near {
            None => facts.extend(self.trouble.clone().map(|why| Fact::NotOpen { why })),
            Some(near) => {
                let (wanted, used) = (near.session.wanted(), near.session.port);
                if near.session.trouble().is_some() {
                    let look = tokio::task::spawn_blocking(move || holder::of(wanted, Transport::Tcp));
                    let holder = look.await.ok().flatten();
                    let transport = Transport::Tcp;
                    facts.push(Fact::PortTaken { port: wanted, transport, holder, instead: Some(used) });
                }
                facts.extend(near.session.air().facts(Instant::now()));
            }
        }
        facts
    }

    fn facts_of(&self, known: &Known) -> Vec<Fact> {
        let trusted = self.devices.keep.is_trusted(&known.id).is_some();
        let state = if trusted { Pairing::Paired } else { Pairing::NotPaired };
        let heard = self.near.as_ref().and_then(|near| near.discovery.heard_at(&known.fingerprint));
        let mut facts = vec![Fact::Pairing { state }];
        facts.extend(self.law.transfer_fact(&known.id));
        facts.push(Fact::LastSeen { at: heard.map(wall).or(known.seen), addresses: known.addresses() });
        if !known.near {
            facts.extend(self.devices.stranger_at(known).map(|at| Fact::Stranger { address: at.ip() }));
        }
        facts
    }
}

/// The same moment on the wall's clock.
pub(super) fn wall(at: Instant) -> Timestamp {
    Timestamp::now().checked_sub(at.elapsed()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn places(known: &Known) -> Vec<Target> {
    let protocol = if known.verified { Protocol::Https } else { Protocol::Http };
    let before = |address: SocketAddr| Target { address, protocol, fingerprint: Some(known.fingerprint.clone()) };
    let mut places: Vec<Target> = match known.at.as_slice() {
        [] => known.addresses().into_iter().map(before).collect(),
        at => at.to_vec(),
    };
    places.truncate(PLACES);
    places
}
