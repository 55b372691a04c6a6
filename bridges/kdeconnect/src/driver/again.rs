//! What a device asks of our services, and what it is told of their answers.

use accord_model::{CallError, CallId, FromBridge, Outputs, Target, Verb};

use super::mirror::Again;
use super::{Running, runs};
use crate::core::KdeId;

/// Questions of devices whose answers are waited for.
const MAX_AWAITED: usize = 256;

/// What an answer is for.
pub(super) enum Awaited {
    /// What was shown is asked for once more.
    Again(Again),
    /// Our command of this name was run.
    Ran(String),
}

impl Running {
    /// A device wants something of one of our services.
    pub(super) async fn asked(&mut self, id: &KdeId, target: Target, verb: Verb) {
        let Some(peer) = self.peers.get(id) else { return };
        let device = peer.device.clone();
        let is_told = target.service == "command" && peer.takes("runcommand.output");
        let ran = peer.shown.label("command", target.instance).filter(|_| is_told).map(str::to_owned);
        let call = self.next_call();
        if let Some(name) = ran.filter(|_| self.awaited.len() < MAX_AWAITED) {
            self.awaited.insert(call, (id.clone(), Awaited::Ran(name)));
        }
        self.tell(FromBridge::Asked { call, device, target, verb }).await;
    }

    /// A device asks for what was shown to it. Only the feature that showed it knows whether its owner still agrees.
    pub(super) async fn say_again(&mut self, id: &KdeId, again: Again) {
        let Some(peer) = self.peers.get(id).filter(|_| self.awaited.len() < MAX_AWAITED) else { return };
        let (device, target) = (peer.device.clone(), peer.shown.target(again));
        let Some(target) = target else { return };
        let call = self.next_call();
        self.awaited.insert(call, (id.clone(), Awaited::Again(again)));
        self.tell(FromBridge::Asked { call, device, target, verb: Verb::Read { properties: Vec::new() } }).await;
    }

    /// The answer of a feature. A no is met with silence, as KDE Connect has no word for it.
    pub(super) fn answered(&mut self, call: CallId, outcome: Result<Outputs, CallError>) {
        let Some((id, awaited)) = self.awaited.remove(&call) else { return };
        let (Some(peer), Ok(answer)) = (self.peers.get_mut(&id), outcome) else { return };
        let packets = match awaited {
            Awaited::Again(again) => {
                if let Some(target) = peer.shown.target(again) {
                    peer.shown.note(&target, answer);
                }
                peer.shown.again(again).into_iter().collect()
            }
            Awaited::Ran(name) => runs::told(call, &name, &answer),
        };
        for packet in packets {
            if let Err(error) = self.say(&id, packet) {
                tracing::debug!(device = %id, %error, "not answered");
            }
        }
    }
}
