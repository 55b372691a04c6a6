//! Why a device cannot be reached: what this bridge knows, and one attempt when it is asked for.

use std::time::{Duration, Instant};

use accord_model::why::{Explained, Fact, Outcome, Pairing};
use accord_model::{CallId, DeviceId, FromBridge, Outputs, Timestamp};

use super::mind::Mind;
use crate::core::device::{Refuses, Trouble, Wanted};
use crate::core::line::Failure;

/// Devices that are asked at once.
const MOST: usize = 16;

/// How long it holds that a device answers no question, in seconds.
const FRESH_S: i64 = 60;

/// A device that is asked just now.
pub(crate) struct Asked {
    device: DeviceId,
    until: Instant,
}

impl Mind {
    pub(super) async fn explain(&mut self, call: CallId, device: Option<DeviceId>, within: u64) {
        self.search();
        if let Some(device) = device.as_ref().filter(|device| self.asked.len() < MOST && !self.is_deaf(device)) {
            let until = Instant::now() + Duration::from_secs(within).saturating_sub(Duration::from_millis(1500));
            self.asked.insert(call, Asked { device: device.clone(), until });
            if self.devices.added(device).is_some() && self.put(call, device, Wanted::Try, until).is_ok() {
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
        let Some(Asked { device, .. }) = self.asked.remove(&call) else { return };
        let outcome = outcome.map(|outcome| match outcome {
            Ok(_) => Outcome::Answered,
            Err(Trouble::Device(Failure::Silent)) => Outcome::Silent,
            Err(Trouble::Device(Failure::Deaf | Failure::New)) => Outcome::Mute,
            Err(Trouble::Device(failure)) => Outcome::Failed(failure.to_string()),
            Err(Trouble::Call(error)) => Outcome::Failed(error.to_string()),
        });
        self.answer(call, Some(&device), outcome).await;
    }

    /// Those who asked wait no longer.
    pub(super) async fn answer_late(&mut self) {
        let late = |(call, asked): (&CallId, &Asked)| (asked.until <= Instant::now()).then_some(*call);
        let late: Vec<CallId> = self.asked.iter().filter_map(late).collect();
        for call in late {
            self.tried(call, None).await;
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
        let explained = Explained { app: "miIO".to_owned(), facts };
        self.tell_all([FromBridge::Explained { call, explained }]).await;
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
