//! What a device asks of our services, and what it is told of their answers.

use accord_model::{CallError, CallId, Data, FromBridge, Outputs, Target, Verb};

use super::mirror::Again;
use super::{Running, runs};
use crate::core::KdeId;
use crate::core::packet::{KeyboardState, MousepadEcho, Packet};

/// Questions of devices whose answers are waited for.
pub(super) const MAX_AWAITED: usize = 256;

/// What an answer is for.
pub(super) enum Awaited {
    /// What was shown is asked for once more.
    Again(Again),
    /// Our command of this name was run.
    Ran(String),
    /// The picture of one of our players, by its address.
    Art(u16, String),
    /// It moved our pointer or typed here, or asks whether it may; and it wants to hear that.
    Input(Option<MousepadEcho>),
}

impl Running {
    /// A device wants something of one of our services.
    pub(super) async fn asked(&mut self, id: &KdeId, target: Target, verb: Verb, echo: Option<MousepadEcho>) {
        let Some(peer) = self.peers.get(id) else { return };
        let device = peer.device.clone();
        let awaited = match target.service.as_str() {
            "command" if peer.takes("runcommand.output") => {
                peer.shown.label("command", target.instance).map(|name| Awaited::Ran(name.to_owned()))
            }
            "input" => Some(Awaited::Input(echo)),
            _ => None,
        };
        let call = self.next_call();
        if let Some(awaited) = awaited.filter(|_| self.awaited.len() < MAX_AWAITED) {
            self.awaited.insert(call, (id.clone(), awaited));
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

    /// Whether a device may type here, as it is told of its keyboard when it comes.
    pub(super) async fn ask_for_keys(&mut self, id: &KdeId) {
        if self.peers.get(id).is_some_and(|peer| peer.takes("mousepad.keyboardstate")) {
            let verb = Verb::Read { properties: vec!["keyboard".to_owned()] };
            self.asked(id, Target::new("input"), verb, None).await;
        }
    }

    /// The answer of a feature. A no is met with silence, as KDE Connect has no word for it.
    pub(super) fn answered(&mut self, call: CallId, outcome: Result<Outputs, CallError>) {
        let Some((id, awaited)) = self.awaited.remove(&call) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let packets = match (awaited, outcome) {
            (Awaited::Again(again), Ok(answer)) => {
                if let Some(target) = peer.shown.target(again) {
                    peer.shown.note(&target, answer);
                }
                peer.shown.again(again).into_iter().collect()
            }
            (Awaited::Art(instance, address), Ok(mut answer)) => {
                if let Some(Data::Bytes(picture)) = answer.remove("artwork") {
                    self.give_art(&id, instance, address, picture);
                }
                return;
            }
            (Awaited::Ran(name), Ok(answer)) => runs::told(call, &name, &answer),
            (Awaited::Input(echo), Ok(_)) => peer.keyboard(true).into_iter().chain(echo.map(Packet::from)).collect(),
            // It was told that it may, and may no more.
            (Awaited::Input(_), Err(CallError::Refused(_))) if peer.keyboard_told => {
                peer.keyboard(false).into_iter().collect()
            }
            (_, Err(_)) => Vec::new(),
        };
        for packet in packets {
            if let Err(error) = self.say(&id, packet) {
                tracing::debug!(device = %id, %error, "not answered");
            }
        }
    }
}

impl super::peer::Peer {
    /// What it is told of our keyboard, when that is news.
    fn keyboard(&mut self, state: bool) -> Option<Packet> {
        let is_news = self.keyboard_told != state && self.takes("mousepad.keyboardstate");
        self.keyboard_told = state;
        is_news.then(|| KeyboardState { state }.into())
    }
}
