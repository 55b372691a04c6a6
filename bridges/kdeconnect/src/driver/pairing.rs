//! Pairing: between the core's machine on a link, the list of paired devices, and the owner.

use std::time::{Duration, Instant};

use accord_model::{CallError, Data, DeviceId, FromBridge, Outputs, Target, Timestamp};

use super::link::Order;
use super::peer::Pending;
use super::store::{Last, Paired};
use super::{Running, not_connected};
use crate::core::KdeId;
use crate::core::identity::Version;
use crate::core::link::{LinkNo, Trusted};
use crate::core::pairing::{ANSWER_TIME, Command, Event, Side, Why};

/// After an unpairing, until the link is closed on both sides.
const MEET_AGAIN: Duration = Duration::from_secs(2);

impl Running {
    /// The owner's word.
    pub(super) async fn pair(&mut self, device: &DeviceId, action: &str) -> Result<(), CallError> {
        let id = self.ids.get(device).cloned().ok_or_else(not_connected)?;
        let peer = self.peers.get(&id).ok_or_else(not_connected)?;
        let (paired, up) = (peer.paired.is_some(), peer.link.as_ref().map(|up| up.no));
        let asked = peer.pairing.map(|pending| pending.no).or(up);
        let order = |no: Option<LinkNo>, command| {
            no.filter(|no| self.order(*no, Order::Pair(command))).map(drop).ok_or_else(not_connected)
        };
        match action {
            "request" if paired => {
                // It agreed before; what is missing is the owner's consent to speak with it.
                let key = peer.verification.clone().unwrap_or_default();
                self.tell_key(&id, up, "requested", &key).await;
                self.tell_event(device, "pairing", "paired", Outputs::new()).await;
                Ok(())
            }
            "request" => order(up, Command::Request),
            "accept" => order(asked, Command::Accept),
            "reject" => order(asked, Command::Reject),
            "unpair" => {
                // Forgotten here whether it can be told or not.
                let told = order(if paired { up } else { asked }, Command::Unpair);
                if paired {
                    self.unpaired(&id, up).await;
                    if up.is_none() {
                        self.leave(&id).await;
                    }
                    // The consent for its link ends with the pairing; as a device nearby it is met anew.
                    self.discovery.announce_soon(Instant::now() + MEET_AGAIN);
                }
                if paired { Ok(()) } else { told }
            }
            other => Err(CallError::Unsupported(format!("pairing has no `{other}`"))),
        }
    }

    /// How a pairing goes, as the link tells.
    pub(super) async fn pairing(&mut self, no: LinkNo, id: &KdeId, event: Event) {
        match event {
            Event::Requested { key } => {
                self.tell_key(id, Some(no), "requested", &key).await;
                self.resume_elsewhere(no, id, Side::Ours);
            }
            Event::Asked { key, was_paired } => {
                if was_paired {
                    self.unpaired(id, Some(no)).await;
                }
                let address = self.peers.get(id).and_then(|peer| peer.link.as_ref()).map(|up| up.address);
                if address.is_none_or(|address| self.asks.ask(address, Instant::now())) {
                    self.tell_key(id, Some(no), "asked", &key).await;
                    self.resume_elsewhere(no, id, Side::Peer);
                } else {
                    tracing::info!(device = %id, "a device asks to be paired too often; refused");
                    self.order(no, Order::Pair(Command::Reject));
                }
            }
            Event::Paired => self.paired(no, id).await,
            Event::NotPaired(why) => {
                for other in self.others_of(no, id) {
                    self.order(other, Order::Pair(Command::Forget));
                }
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.end_pairing();
                    peer.trouble = super::why::pairing_trouble(&why);
                }
                if self.store.paired.contains_key(id) {
                    tracing::info!(device = %id, %why, "no longer paired");
                    self.unpaired(id, Some(no)).await;
                    if let Some(peer) = self.peers.get_mut(id) {
                        peer.ended_there = why != Why::EndedHere;
                    }
                }
                if why != Why::EndedHere {
                    self.pairing_failed(id, &why.to_string()).await;
                }
            }
        }
    }

    /// The answer may come on any link to the same certificate.
    fn resume_elsewhere(&self, no: LinkNo, id: &KdeId, asked_by: Side) {
        let main = self.peers.get(id).and_then(|peer| peer.link.as_ref());
        let links = self.replaced.iter().filter(|(_, of, _)| of == id).map(|(.., up)| up).chain(main);
        let Some(own) = links.clone().find(|up| up.no == no) else { return };
        for other in links.filter(|up| up.no != no && up.certificate == own.certificate) {
            self.order(other.no, Order::Pair(Command::Resume(asked_by)));
        }
    }

    async fn paired(&mut self, no: LinkNo, id: &KdeId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.end_pairing();
        peer.paired = Some(Timestamp::now());
        (peer.trouble, peer.ended_there) = (None, false);
        // The link on which both agreed is the one that goes on.
        let here = self.replaced.iter().position(|(_, _, up)| up.no == no).map(|at| self.replaced.remove(at));
        if let Some((.., up)) = here
            && let Some(old) = peer.link.replace(up)
        {
            self.replaced.push((Instant::now(), id.clone(), old));
        }
        let Some(version) = peer.link.as_ref().map(|up| up.version) else { return };
        // Other links to it believe that it is not paired, and would say so.
        for other in self.others_of(no, id) {
            self.order(other, Order::Close);
        }
        self.remember(id, version);
        self.links.set_paired(id, true);
        let device = match self.peers.get(id) {
            Some(peer) => peer.device.clone(),
            None => return,
        };
        self.see(id).await;
        self.watch(id);
        self.tell_event(&device, "pairing", "paired", Outputs::new()).await;
    }

    /// Keeps what is known of a paired device.
    pub(super) fn remember(&mut self, id: &KdeId, version: Version) {
        let Some(peer) = self.peers.get(id) else { return };
        let Some(up) = &peer.link else { return };
        let before = self.store.paired.get(id).map(|paired| paired.trusted.highest);
        let paired = Paired {
            trusted: Trusted {
                certificate: up.certificate.clone(),
                highest: before.map_or(version, |b| b.max(version)),
            },
            name: peer.name.clone(),
            kind: peer.kind,
            since: peer.paired.unwrap_or_else(Timestamp::now),
            verification: peer.verification.clone().unwrap_or_default(),
            incoming: peer.incoming.clone(),
            outgoing: peer.outgoing.clone(),
            last: Some(Last { address: up.address, at: Timestamp::now() }),
        };
        if let Err(error) = self.store.keep(id.clone(), paired) {
            tracing::error!(%error, "this pairing lasts only until the hub ends");
        }
        self.trust = self.store.trust().into();
    }

    /// Forgets a device; its link goes on as one of a device that is not paired.
    async fn unpaired(&mut self, id: &KdeId, no: Option<LinkNo>) {
        if let Err(error) = self.store.forget(id) {
            tracing::error!(%error, "a device may count as paired again after a restart");
        }
        self.trust = self.store.trust().into();
        self.links.set_paired(id, false);
        for other in self.lines_of(id).filter(|other| Some(*other) != no) {
            self.order(other, Order::Close);
        }
        if let Some(peer) = self.peers.get_mut(id) {
            peer.paired = None;
            peer.verification = None;
            peer.forget_content();
        }
        self.see(id).await;
    }

    /// Tells the owner why a pairing came to nothing.
    pub(super) async fn pairing_failed(&self, id: &KdeId, message: &str) {
        if let Some(peer) = self.peers.get(id) {
            let arguments = Outputs::from([("message".to_owned(), message.into())]);
            self.tell_event(&peer.device, "pairing", "failed", arguments).await;
        }
    }

    async fn tell_key(&mut self, id: &KdeId, no: Option<LinkNo>, event: &str, key: &str) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.verification = Some(key.to_owned());
        let asked_by = if event == "asked" { Side::Peer } else { Side::Ours };
        peer.pairing = no.map(|no| Pending { no, until: Instant::now() + ANSWER_TIME, asked_by });
        let device = peer.device.clone();
        let values = peer.note(&Target::new("pairing"), [("verification", Data::from(key))]);
        self.tell(FromBridge::Values { device: device.clone(), target: Target::new("pairing"), values }).await;
        let seconds = i64::try_from(ANSWER_TIME.as_secs()).unwrap_or_default();
        let arguments = [("verification".to_owned(), key.into()), ("seconds".to_owned(), seconds.into())];
        self.tell_event(&device, "pairing", event, Outputs::from(arguments)).await;
    }

    fn lines_of<'a>(&'a self, id: &'a KdeId) -> impl Iterator<Item = LinkNo> + 'a {
        self.handles.iter().filter(move |(_, line)| line.id.as_ref() == Some(id)).map(|(no, _)| *no)
    }

    fn others_of<'a>(&'a self, no: LinkNo, id: &'a KdeId) -> impl Iterator<Item = LinkNo> + 'a {
        self.lines_of(id).filter(move |other| *other != no)
    }
}
