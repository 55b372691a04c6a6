//! Being near, as far as it is the driver's: when to open and close, whom to announce to, and whom to connect to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::outlet::Near;
use accord_consent::outlet::interfaces::Network;
use accord_model::DeviceKind;
use accord_model::why::Way;

use super::link::now;
use super::peer::{Peer, device_type};
use super::presence::Presence;
use super::{POLICY, Running};
use crate::core::KdeId;
use crate::core::discovery::{Announce, DISCOVERY_PORT, Passed, Standing, service};
use crate::core::identity::{OwnIdentity, Shown};
use crate::core::link::{Own, Transmit};

/// A paired device that is lost is looked for at its last address, first after this, then ever more seldom.
pub(super) const LOOK: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(300);

impl Running {
    pub(super) async fn appear(&mut self) {
        self.presence_again = None;
        if self.presence.is_some() {
            return;
        }
        let opened = async {
            let permit = self.law.presence().map_err(|refusal| refusal.to_string())?;
            let near = Near::open(permit, "kdeconnect").await.map_err(|error| error.to_string())?;
            Presence::open(near, self.network, &self.happened).await
        };
        match opened.await {
            Ok(mut presence) => {
                if self.network == Network::All {
                    presence.publish(&service(self.own.identity(), Shown::Full, presence.port()));
                }
                self.presence = Some(presence);
                self.trouble = None;
                self.air.begin_anew();
                self.discovery.announce_soon(Instant::now());
                self.flush_mdns().await;
            }
            Err(message) => {
                tracing::warn!("{message}");
                self.trouble = Some(message);
                self.presence_again = Some(Instant::now() + Duration::from_secs(30));
            }
        }
    }

    /// What we are called from now on. Devices that are linked learn it with their next link.
    pub(super) fn renamed(&mut self, name: String, kind: DeviceKind) {
        let identity = OwnIdentity { name, kind: device_type(kind), ..self.own.identity().clone() };
        match Own::new(identity, self.own.certificate().clone()) {
            Ok(own) => self.own = Arc::new(own),
            Err(error) => return tracing::error!(%error, "KDE Connect devices see the old name until the next start"),
        }
        if let Some(presence) = self.presence.as_mut().filter(|_| self.network == Network::All) {
            presence.publish(&service(self.own.identity(), Shown::Full, presence.port()));
        }
        self.discovery.announce_soon(Instant::now());
    }

    pub(super) fn vanish(&mut self) {
        self.presence_again = None;
        self.trouble = None;
        if let Some(presence) = self.presence.take() {
            presence.close();
        }
    }

    pub(super) async fn announce_all(&mut self) {
        let Some(presence) = &self.presence else { return };
        let due = self.discovery.announce(presence.addresses(), &[], POLICY, Instant::now());
        for announce in due {
            self.announce(announce).await;
        }
    }

    pub(super) async fn announce(&mut self, announce: Announce) {
        let Some(presence) = &self.presence else { return };
        let line = self.own.identity().datagram(Shown::Full, presence.port(), now().wall);
        let identity = Transmit { bytes: line.bytes, fields: line.fields };
        match presence.announce(announce, identity).await {
            Ok(true) if announce.from.is_some() => self.air.sent(Way::Ipv4Broadcast, Instant::now()),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "an announcement did not leave"),
        }
    }

    /// Lost devices are told where we are, at their last address.
    pub(super) async fn look(&mut self, at: Instant, wait: Duration) {
        let is_lost = |peer: &&Peer| peer.paired.is_some() && peer.link.is_none();
        let lost: Vec<IpAddr> = self.peers.values().filter(is_lost).filter_map(|peer| peer.last_address).collect();
        if lost.is_empty() {
            self.look = None;
            return;
        }
        for ip in lost {
            self.announce(Announce { from: None, to: (ip, DISCOVERY_PORT).into() }).await;
        }
        self.look = Some((at + wait, (wait * 2).min(*LOOK.end())));
    }

    pub(super) async fn flush_mdns(&mut self) {
        let Some(presence) = &mut self.presence else { return };
        let flushed = presence.mdns().flush().await;
        let now = Instant::now();
        flushed.sent.into_iter().for_each(|way| self.air.sent(way, now));
        for (found, address) in flushed.found {
            let standing = self.standing(&found.id);
            if self.peers.get(&found.id).is_some_and(|peer| peer.link.is_some()) {
                continue;
            }
            match self.discovery.found(&found, address, POLICY, standing, Instant::now()) {
                Ok(announce) => self.announce(announce).await,
                Err(passed) => tracing::debug!(device = %found.id, %passed, "found, and passed over"),
            }
        }
    }

    pub(super) fn standing(&self, id: &KdeId) -> Standing {
        let peer = self.peers.get(id);
        Standing {
            paired: self.trust.contains_key(id),
            connecting: self.connecting.contains_key(id),
            busy: peer.is_some_and(|peer| peer.is_busy() || (peer.link.is_some() && peer.is_pairing())),
        }
    }

    pub(super) async fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        let Self { discovery, peers, trust, connecting, .. } = self;
        let standing = |id: &KdeId| {
            let peer = peers.get(id);
            Standing {
                paired: trust.contains_key(id),
                connecting: connecting.contains_key(id),
                busy: peer.is_some_and(|peer| peer.is_busy() || (peer.link.is_some() && peer.is_pairing())),
            }
        };
        match discovery.datagram(from, bytes, POLICY, standing, Instant::now()) {
            Ok(connect) => {
                self.connect(connect);
            }
            Err(passed @ (Passed::TooOld(_) | Passed::Identity(_))) => {
                tracing::debug!(%from, %passed, "a KDE Connect device is passed over");
                if let Passed::TooOld(_) = passed {
                    self.too_old = Some((from.ip(), passed.to_string()));
                }
            }
            Err(_) => {}
        }
    }
}
