//! Why a device cannot be reached: what this bridge knows, and one attempt when it is asked for.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use accord_consent::outlet::OneNear;
use accord_model::why::{Body, Fact, Outcome, Pairing};
use accord_model::{CallId, DeviceId, Outputs, Timestamp};

use super::law::Law;
use super::mind::{Heard, Mind};
use crate::core::device::{Refuses, Trouble, Wanted};
use crate::core::line::Failure;

/// Devices that are asked at once.
const MOST: usize = 16;

/// So long before an answer is due nothing is asked any more: whoever is silent is looked for otherwise.
const LEFT: Duration = Duration::from_millis(2500);
/// How long a device's system may take to say that it is there.
const KNOCKS_FOR: Duration = Duration::from_millis(1300);

/// How long it holds that a device answers no question, in seconds.
const FRESH_S: i64 = 60;

/// A device that is asked just now.
pub(crate) struct Asked {
    device: DeviceId,
    until: Instant,
    /// It answered nothing, and is looked for otherwise.
    knocked: bool,
}

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>, within: u64) {
        // How this machine stands is told without a word to anybody.
        if device.is_some() {
            self.search();
        }
        if let Some(device) = device.as_ref().filter(|device| self.asked.len() < MOST && !self.is_deaf(device)) {
            let (now, within) = (Instant::now(), Duration::from_secs(within));
            let asks_until = now + within.saturating_sub(LEFT);
            self.asked.insert(call, Asked { device: device.clone(), until: now + within, knocked: false });
            if self.devices.added(device).is_some() && self.put(call, device, Wanted::Try, asks_until).is_ok() {
                return;
            }
            self.asked.remove(&call);
        }
        self.answer(call, device.as_ref(), None).await;
    }

    /// Whether it turned out just now that asking it is in vain, which takes long to find out.
    fn is_deaf(&self, device: &DeviceId) -> bool {
        let down = self.devices.get(device).and_then(|known| known.down.as_ref());
        let is_fresh = |at: &Timestamp| Timestamp::now().duration_since(*at).as_secs() < FRESH_S;
        matches!(down, Some((Failure::Deaf | Failure::New, at)) if is_fresh(at))
    }

    /// What came of it; nothing when the hand could not ask.
    pub(super) async fn tried(&mut self, call: CallId, outcome: Option<Result<Outputs, Trouble>>) {
        let Some(asked) = self.asked.remove(&call) else { return };
        let outcome = outcome.map(|outcome| match outcome {
            Ok(_) => Outcome::Answered,
            Err(Trouble::Device(Failure::Silent)) => Outcome::Silent,
            Err(Trouble::Device(Failure::Deaf | Failure::New)) => Outcome::Mute,
            Err(Trouble::Device(failure)) => Outcome::Failed(failure.to_string()),
            Err(Trouble::Call(error)) => Outcome::Failed(error.to_string()),
        });
        let at = self.devices.get(&asked.device).and_then(|known| known.at);
        if let (Some(Outcome::Silent), Some(at), false) = (&outcome, at, asked.knocked) {
            let (law, device, heard, port) = (self.law.clone(), asked.device.clone(), self.heard.clone(), self.port);
            self.asked.insert(call, Asked { knocked: true, ..asked });
            self.hands.spawn(async move {
                let outcome = knock(&law, &device, at, port).await;
                let _ = heard.send(Heard::Knocked { call, outcome }).await;
            });
            return;
        }
        self.answer(call, Some(&asked.device), outcome).await;
    }

    /// Whether a silent device is there at all.
    pub(super) async fn knocked(&mut self, call: CallId, outcome: Outcome) {
        if let Some(asked) = self.asked.remove(&call) {
            self.answer(call, Some(&asked.device), Some(outcome)).await;
        }
    }

    /// Those who asked wait no longer.
    pub(super) async fn answer_late(&mut self) {
        let late = |(call, asked): (&CallId, &Asked)| (asked.until <= Instant::now()).then_some(*call);
        let late: Vec<CallId> = self.asked.iter().filter_map(late).collect();
        for call in late {
            self.knocked(call, Outcome::Silent).await;
        }
    }

    async fn answer(&self, call: CallId, device: Option<&DeviceId>, outcome: Option<Outcome>) {
        let known = device.and_then(|device| Some((device, self.devices.get(device)?)));
        let added = device.filter(|device| self.devices.added(device).is_some());
        let is_placed = known.is_some_and(|(_, known)| known.at.is_some());
        let mut facts = self.law.facts(added, !is_placed);
        match &self.near {
            None => facts.extend(self.searching.trouble()),
            Some(near) => {
                facts.extend(near.trouble.clone().map(|why| Fact::NotOpen { why }));
                facts.extend(near.facts());
            }
        }
        if let Some((id, known)) = known {
            let addresses = self.devices.addresses(id);
            facts.push(Fact::Pairing { state: if added.is_some() { Pairing::Paired } else { Pairing::NotPaired } });
            facts.extend(
                addresses.first().and_then(|address| Some(Fact::Tried { address: *address, outcome: outcome? })),
            );
            facts.push(Fact::LastSeen { at: known.seen, addresses: addresses.clone() });
            if known.up {
                facts.extend(addresses.first().map(|address| Fact::Connected { address: address.to_string() }));
            }
            facts.extend(withheld(&known.refuses));
            if let Some((failure, at)) = &known.down {
                facts.extend(obstacle(failure, *at));
                if let (Failure::Other(_), Some(address)) = (failure, known.at) {
                    facts.push(Fact::Stranger { address: address.into() });
                }
            }
        }
        self.outbox.explain(call, "miIO", Body::Appliance, facts).await;
    }
}

/// Whether the system of a device is there that answers no datagram: it turns a connection away, since there is nothing to connect
/// to. Nothing is said over one.
async fn knock(law: &Law, device: &DeviceId, at: Ipv4Addr, port: u16) -> Outcome {
    let Ok(permit) = law.control(device) else { return Outcome::Silent };
    let Ok(one) = OneNear::open(permit, at.into()).await else { return Outcome::Silent };
    let dialed = tokio::time::timeout(KNOCKS_FOR, one.dial(port)).await;
    one.close();
    match dialed {
        Ok(Ok(_)) => Outcome::Mute,
        Ok(Err(error)) => match error.outcome() {
            Outcome::Refused | Outcome::Mute => Outcome::Mute,
            outcome @ (Outcome::NoHost | Outcome::NoRoute) => outcome,
            _ => Outcome::Silent,
        },
        Err(_) => Outcome::Silent,
    }
}

/// What a device does not say though it answers.
fn withheld(refuses: &Refuses) -> Option<Fact> {
    let some: Vec<String> = refuses.some.iter().map(|(name, why)| format!("`{name}`: {why}")).collect();
    let what = match (refuses.count, some.is_empty()) {
        (0, _) => return None,
        (1, true) => "one of the things that it is asked for".to_owned(),
        (1, false) => some.join(""),
        (count, true) => format!("{count} of the things that it is asked for"),
        (count, false) => format!("{count} of the things that it is asked for, such as {}", some.join(", ")),
    };
    let remedy = "It is asked for them again: within minutes where the reason may pass, and after an hour where it says that it has \
                  no such thing. If it says nothing at all, take its power away for ten seconds, and see whether its maker's app \
                  shows more."
        .to_owned();
    Some(Fact::Withholds { what, remedy })
}

/// What it means that a device answers a greeting and nothing else.
fn obstacle(failure: &Failure, at: Timestamp) -> Option<Fact> {
    match failure {
        Failure::Deaf => Some(Fact::SecretWrong {
            what: "token".to_owned(),
            remedy: "A device gets another token when it is reset or set up anew. Find out its present one; then remove the \
                     device here and add it with that, or add it again by its address."
                .to_owned(),
        }),
        Failure::New => Some(Fact::TurnedAway {
            at,
            why: "it is new or was reset, and waits to be set up in its maker's app; after that it has a token of its own, \
                  with which it can be added here"
                .to_owned(),
        }),
        _ => None,
    }
}
