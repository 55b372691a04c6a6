//! Connections: made, accepted, replaced and ended.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use accord_consent::outlet::Met;
use accord_consent::outlet::interfaces::Network;
use accord_model::Timestamp;

use super::link::{self, Handle, Order};
use super::near::LOOK;
use super::peer::{self, Peer, Up};
use super::wire::Wire;
use super::{Happening, Line, POLICY, Running, calls, presence, why};
use crate::core::KdeId;
use crate::core::discovery::Connect;
use crate::core::identity::Shown;
use crate::core::link::{self as protocol, End, LinkError, LinkNo, Live, Role, Setup};
use crate::core::pairing::Command;
use crate::core::tls::TlsError;

/// A link that was replaced is kept this long: both sides may have connected at once, and each keeps another one.
const REPLACED: Duration = Duration::from_secs(10);

/// Two links that come up within this time of each other were made at once.
const AT_ONCE: Duration = Duration::from_secs(3);

impl Running {
    /// The number of the connection that is being made, if one is.
    pub(super) fn connect(&mut self, connect: Connect) -> Option<LinkNo> {
        let Connect { to, identity } = connect;
        let presence = self.presence.as_ref()?;
        if !self.may_meet(&identity.id) {
            return None;
        }
        let no = self.links.begin(to.ip()).ok()?;
        let near = presence.near().clone();
        let id = identity.id.clone();
        self.connecting.insert(id.clone(), no);
        let (handle, orders) = Handle::new();
        self.handles.insert(no, Line { handle, id: Some(id), address: to, dialed: true });
        let setup = self.setup(Role::Connected(Box::new(identity)));
        let happened = self.happened.clone();
        self.tasks.spawn(async move {
            match near.dial(to).await {
                Ok(met) => link::run(no, setup, Wire::Near(met), orders, happened).await,
                Err(error) => {
                    tracing::debug!(%to, %error, "a KDE Connect device was not reached");
                    let _ = happened.send(Happening::NotReached(no, to, error.outcome())).await;
                }
            }
        });
        Some(no)
    }

    pub(super) fn accepted(&mut self, met: Met) {
        let address = met.peer();
        let ip = presence::plain(address);
        if self.network == Network::All && self.discovery.admit_source(ip).is_err() {
            return;
        }
        let no = match self.links.begin(ip) {
            Ok(no) => no,
            Err(refusal) => return tracing::debug!(%address, %refusal, "a connection is closed"),
        };
        let (handle, orders) = Handle::new();
        self.handles.insert(no, Line { handle, id: None, address, dialed: false });
        let setup = self.setup(Role::Accepted);
        self.tasks.spawn(link::run(no, setup, Wire::Near(met), orders, self.happened.clone()));
    }

    pub(super) fn setup(&self, role: Role) -> Setup {
        let (own, trust) = (self.own.clone(), self.trust.clone());
        Setup { own, trust, oldest: POLICY.oldest, shown: Shown::Full, role }
    }

    /// A paired device is met only while the owner agrees to speak with it.
    pub(super) fn may_meet(&self, id: &KdeId) -> bool {
        !self.trust.contains_key(id) || self.law.is_connection_allowed(&peer::device_id(id))
    }

    pub(super) async fn linked(&mut self, no: LinkNo, event: protocol::Event) {
        match event {
            protocol::Event::Up(up) => return self.up(no, up).await,
            protocol::Event::Ignored(ignored) => return tracing::debug!(link = no.0, %ignored, "passed over"),
            protocol::Event::Ended(_) => return,
            protocol::Event::Pairing(_) | protocol::Event::Packet(_) => {}
        }
        let Some(id) = self.handles.get(&no).and_then(|line| line.id.clone()) else { return };
        match event {
            protocol::Event::Pairing(event) => self.pairing(no, &id, event).await,
            protocol::Event::Packet(packet) => self.packet(&id, packet).await,
            _ => {}
        }
    }

    pub(super) async fn up(&mut self, no: LinkNo, up: protocol::Up) {
        let id = up.identity.id.clone();
        self.connecting.remove(&id);
        if let Err(refusal) = self.links.up(no, &up) {
            tracing::warn!(device = %up.identity.name, %refusal, "a KDE Connect device is not let in");
            self.order(no, Order::Close);
            return;
        }
        if up.paired && !self.may_meet(&id) {
            self.order(no, Order::Close);
            return;
        }
        let Some(line) = self.handles.get_mut(&no) else { return };
        line.id = Some(id.clone());
        let (address, dialed) = (presence::plain(line.address), line.dialed);
        if !self.peers.contains_key(&id) {
            self.enter(Peer::new(id.clone(), up.identity.name.clone(), up.identity.kind));
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let changed = peer.describe(&up.identity);
        let moved = peer.last_address != Some(address);
        (peer.last_address, peer.last_seen, peer.trouble) = (Some(address), Some(Timestamp::now()), None);
        let (version, since) = (up.version, Instant::now());
        let link = Up { no, address, certificate: up.certificate, version, secured: false, dialed, since };
        let resumed;
        match peer.link.take() {
            // Both connected at once. Each takes the link of the device with the smaller id, so that both take the same;
            // who takes the newest instead closes the other, and then the newest is what is left.
            Some(old) if is_better(self.own.identity().id < id, &old, &link) => {
                self.links.prefer(&id, live(&old, up.paired));
                resumed = peer.resume_pairing(&old, &link, false);
                peer.link = Some(old);
                self.replaced.push((since + REPLACED, id.clone(), link));
            }
            old => {
                resumed = old.as_ref().and_then(|old| peer.resume_pairing(old, &link, true));
                peer.link = Some(link);
                self.replaced.extend(old.map(|old| (since + REPLACED, id.clone(), old)));
            }
        }
        if let Some(asked_by) = resumed {
            self.order(no, Order::Pair(Command::Resume(asked_by)));
        }
        if up.paired && (changed || moved) {
            self.remember(&id, up.version);
        }
        if up.paired {
            self.secure(&id);
        }
        self.see(&id).await;
        self.check_up(&id);
    }

    /// What follows on this link goes under the consent for its device.
    pub(super) fn secure(&mut self, id: &KdeId) {
        let Some(peer) = self.peers.get(id) else { return };
        let Some(up) = peer.link.as_ref().filter(|up| !up.secured) else { return };
        match self.law.connection(&peer.device, "on.network") {
            Ok(permit) => {
                self.order(up.no, Order::Under(permit, self.law.granted(&peer.device)));
            }
            Err(refusal) => tracing::info!(device = %peer.name, %refusal, "a paired device is not spoken to"),
        }
    }

    pub(super) async fn secured(&mut self, no: LinkNo) {
        let Some(id) = self.handles.get(&no).and_then(|line| line.id.clone()) else { return };
        for (_, _, old) in self.replaced.iter_mut().filter(|(_, _, old)| old.no == no) {
            old.secured = true;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(up) = peer.link.as_mut().filter(|up| up.no == no) else { return };
        up.secured = true;
        peer.keyboard_told = false;
        let questions = calls::first_questions(peer);
        self.see(&id).await;
        for question in questions {
            if let Err(error) = self.say(&id, question) {
                tracing::debug!(device = %id, %error, "not asked");
            }
        }
        self.ask_for_keys(&id).await;
    }

    pub(super) async fn ended(&mut self, no: LinkNo, end: End) {
        let line = self.forget_line(no);
        self.replaced.retain(|(_, _, old)| old.no != no);
        let Some(Line { id, address, .. }) = line else { return };
        if let End::Failed(error) = &end {
            self.failed(id.as_ref(), address, error).await;
        }
        self.check_ended(no, address, &end);
        let Some(id) = id else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.link.as_ref().is_none_or(|up| up.no != no) {
            return;
        }
        let other = self.replaced.iter().rposition(|(_, of, _)| *of == id).map(|at| self.replaced.remove(at));
        peer.link = other.map(|(.., up)| up);
        if let Some(up) = &peer.link {
            self.links.prefer(&id, live(up, peer.paired.is_some()));
            if peer.paired.is_some() {
                self.secure(&id);
            }
            return self.see(&id).await;
        }
        tracing::debug!(device = %peer.device, ?end, "the link is down");
        peer.last_seen = Some(Timestamp::now());
        peer.end_pairing();
        // Features show everything anew to a device that comes back.
        peer.shown = Default::default();
        self.awaited.retain(|_, (of, _)| *of != id);
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.paired.is_some() {
            self.look = self.look.or(Some((Instant::now() + *LOOK.start(), *LOOK.start())));
            self.see(&id).await;
        } else {
            self.leave(&id).await;
        }
    }

    pub(super) async fn failed(&mut self, id: Option<&KdeId>, address: SocketAddr, error: &LinkError) {
        let known = id.and_then(|id| self.peers.get(id)).filter(|peer| peer.paired.is_some());
        let of_interest = matches!(
            error,
            LinkError::Tls(TlsError::CertificateChanged | TlsError::Signature) | LinkError::Downgrade { .. }
        );
        match known {
            Some(peer) => tracing::warn!("{}, paired by KDE Connect, was not let in: {error}", peer.name),
            None if of_interest => tracing::warn!("a device at {address} was not let in by KDE Connect: {error}"),
            None => tracing::debug!(%address, %error, "a KDE Connect link broke"),
        }
        if let (Some(id), true) = (id.cloned(), known.is_some()) {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.trouble = why::trouble(error).or(peer.trouble.take());
            }
            self.pairing_failed(&id, &error.to_string()).await;
        }
    }

    pub(super) fn forget_line(&mut self, no: LinkNo) -> Option<Line> {
        self.links.ended(no);
        self.connecting.retain(|_, connecting| *connecting != no);
        self.handles.remove(&no)
    }

    pub(super) fn order(&self, no: LinkNo, order: Order) -> bool {
        self.handles.get(&no).is_some_and(|line| line.handle.order(order))
    }
}

/// Whether the older of two links is kept, of which one was made by each side at the same time.
fn is_better(ours_is_smaller: bool, old: &Up, new: &Up) -> bool {
    let at_once = new.since.saturating_duration_since(old.since) < AT_ONCE;
    at_once && old.dialed != new.dialed && old.dialed == ours_is_smaller
}

fn live(up: &Up, paired: bool) -> Live {
    Live { no: up.no, address: up.address, certificate: up.certificate.clone(), paired }
}
