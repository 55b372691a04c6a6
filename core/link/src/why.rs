//! Why a hub cannot be reached: what the link knows, and one attempt when it is asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::outlet::neighbours::Neighbours;
use accord_consent::{DatagramLease, Personal, RecipientId, SendError, outcome};
use accord_model::why::{Body, Explained, Fact, Outcome, Pairing, Transport, Way};
use accord_model::{DeviceId, Timestamp};
use accord_registry::why as judge;
use iroh::endpoint::{ConnectionError, VarInt};
use tokio::net::UdpSocket;

use crate::api::PairingStep;
use crate::discovery::probe;
use crate::endpoint::{CLOSE_STRANGER, CLOSE_WITHDRAWN, path_of};
use crate::inner::{Inner, lock};
use crate::law::{CONNECTION, DISCOVERY, PAIRING, entry};
use crate::peer::Peer;
use crate::serve;

/// Places of one peer that are knocked at.
const PLACES: usize = 3;
/// The system takes about three seconds to find that nobody has an address.
const KNOCK_WITHIN: Duration = Duration::from_millis(3600);
/// How long a connection that stands may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// When every place says no, the peer has this long to come by itself.
const MORE: Duration = Duration::from_millis(1500);
const SLOT: u64 = accord_identity::announce::SLOT_SECONDS.unsigned_abs();

pub(crate) async fn explain(inner: &Arc<Inner>, device: Option<&DeviceId>, within: Duration) -> Explained {
    let peer = device.and_then(|device| inner.peer(device));
    let mut facts = own(inner, peer.is_some());
    match (device, peer) {
        (Some(_), Some(peer)) => facts.extend(of_peer(inner, &peer, within).await),
        (Some(device), None) => facts.extend(of_stranger(inner, device)),
        (None, _) => {}
    }
    Explained::new("Accord", Body::App, facts)
}

fn own(inner: &Inner, paired: bool) -> Vec<Fact> {
    let lan = RecipientId::lan();
    let consent = |key: &str, needed| judge::consent(&entry(key), None, needed, inner.law.watch(key, &lan).state());
    // A paired device is dialled where it was last, found or not.
    let mut facts = vec![consent(DISCOVERY, !paired)];
    if !paired {
        facts.push(consent(PAIRING, false));
        let left = lock(&inner.limits).held_up(inner.now());
        facts.extend(left.map(|left| Fact::TooManyAttempts { seconds: left.as_secs().max(1) }));
    }
    let beacon = *inner.beacon_port.borrow();
    facts.extend(beacon.filter(|port| *port != probe::PORT).map(|port| Fact::PortTaken {
        port: probe::PORT,
        transport: Transport::Udp,
        holder: accord_consent::outlet::holder::of(probe::PORT, Transport::Udp),
        instead: Some(port),
    }));
    facts.extend(lock(&inner.air).facts(Instant::now()));
    facts
}

fn of_stranger(inner: &Inner, device: &DeviceId) -> Vec<Fact> {
    let pending = inner.pairings().iter().any(|run| {
        run.device.as_ref() == Some(device) && !matches!(run.step, PairingStep::Done(_) | PairingStep::Failed(_))
    });
    let state = if pending { Pairing::Pending } else { Pairing::NotPaired };
    let near = device.as_str().strip_prefix("near-").and_then(|id| lock(&inner.near).get(id).cloned());
    let seen = near.map(|near| Fact::LastSeen { at: Some(near.last_seen), addresses: near.addresses });
    std::iter::once(Fact::Pairing { state }).chain(seen).collect()
}

async fn of_peer(inner: &Arc<Inner>, peer: &Arc<Peer>, within: Duration) -> Vec<Fact> {
    let consent = inner.law.watch_connection(&peer.id).state();
    let (may, until) = (consent.is_ok(), Instant::now() + within);
    let mut facts = vec![
        Fact::Pairing { state: Pairing::Paired },
        judge::consent(&entry(CONNECTION), Some(&peer.id), true, consent),
    ];
    let apart = peer.slots_apart();
    facts.extend((apart > 0).then_some(Fact::ClockDiffers { seconds: apart * SLOT }));
    // A connection outlives a device that vanished by half a minute.
    let live = peer.now().filter(|_| may);
    let here = match &live {
        Some(live) => serve::is_answered(inner, peer, live, ANSWER_WITHIN).await,
        None => false,
    };
    let mut found = Some(Vec::new());
    if !here {
        let addresses = peer.places(inner);
        facts.extend(stranger_at(inner, &addresses));
        facts.push(Fact::LastSeen { at: peer.last_seen(), addresses: addresses.clone() });
        if let Some(lease) = peer.lease().filter(|_| may) {
            let left = until.saturating_duration_since(Instant::now());
            found = ask(peer, &lease, addresses, live.is_none(), left).await;
        }
    }
    let live = peer.now().filter(|_| here || found.is_none());
    match live {
        Some(live) => {
            let path = path_of(&live.connection);
            let address = path.remote.map(|remote| remote.to_string()).or(path.relay).unwrap_or_default();
            facts.push(Fact::Connected { address });
        }
        None => {
            facts.extend(found.into_iter().flatten());
            facts.extend(lock(&peer.trouble).clone());
        }
    }
    facts
}

/// Somebody who is not paired announces itself from there.
fn stranger_at(inner: &Inner, places: &[SocketAddr]) -> Option<Fact> {
    let near = lock(&inner.near);
    let strangers = near.values().filter(|near| near.peer.is_none());
    let mut addresses = strangers.flat_map(|near| near.addresses.iter().map(SocketAddr::ip));
    let address = addresses.find(|ip| places.iter().any(|place| place.ip().to_canonical() == *ip))?;
    Some(Fact::Stranger { address })
}

/// Dials the peer as always, and beside that looks what the systems at its addresses say. `None`: it is connected.
async fn ask(
    peer: &Arc<Peer>,
    lease: &DatagramLease,
    mut places: Vec<SocketAddr>,
    dial: bool,
    within: Duration,
) -> Option<Vec<Fact>> {
    places.truncate(PLACES);
    let mut knocks = tokio::task::JoinSet::new();
    for place in places {
        let lease = lease.clone();
        knocks.spawn(async move { Fact::Tried { address: place, outcome: knock(&lease, place).await } });
    }
    let until = tokio::time::Instant::now() + within;
    let connected = async { if dial { peer.connection(within).await.is_ok() } else { false } };
    let knocked = async {
        let mut found = Vec::new();
        while let Ok(Some(knocked)) = tokio::time::timeout_at(until, knocks.join_next()).await {
            found.extend(knocked);
        }
        let is_no = |fact: &Fact| matches!(fact, Fact::Tried { outcome, .. } if *outcome != Outcome::Silent);
        let more = if dial && !found.iter().all(is_no) { until } else { tokio::time::Instant::now() + MORE };
        tokio::time::sleep_until(more.min(until)).await;
        found
    };
    let found = tokio::select! {
        biased;
        true = connected => None,
        found = knocked => Some(found),
    };
    tracing::debug!(peer = %peer.id, ?found, "asked why");
    found
}

/// Whether the system at that address says that nothing listens there. A hub does not answer to this.
async fn knock(lease: &DatagramLease, to: SocketAddr) -> Outcome {
    let knocked = async {
        let any = match to {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(to).await?;
        socket.writable().await?;
        lease.send_with(&Personal::plain([0; 1]), to, |bytes| socket.try_send(bytes))?;
        let mut buffer = [0; 16];
        Ok::<_, SendError>(socket.recv(&mut buffer).await.map(drop)?)
    };
    let nobodys = || matches!(to.ip().to_canonical(), IpAddr::V4(ip) if Neighbours::now().is_nobodys(ip));
    match tokio::time::timeout(KNOCK_WITHIN, knocked).await {
        Ok(Ok(())) | Err(_) if nobodys() => Outcome::NoHost,
        Ok(Ok(())) | Err(_) => Outcome::Silent,
        Ok(Err(SendError::Io(error))) => outcome(&error),
        Ok(Err(error)) => error.outcome(),
    }
}

/// Which way a multicast datagram went or came.
pub(crate) fn way(address: SocketAddr) -> Way {
    if address.ip().to_canonical().is_ipv4() { Way::Ipv4Multicast } else { Way::Ipv6Multicast }
}

/// The peer does not know the name under which it was dialled (TLS alert 120, RFC 7301).
pub(crate) fn refused_in_the_handshake(error: &str) -> Option<Fact> {
    let unknown = ["error 120", "no_application_protocol", "NoApplicationProtocol", "known protocol"];
    unknown.iter().any(|word| error.contains(word)).then(|| {
        turned_away("it does not know this machine any more: it ended the pairing, its owner took back the consent to connect, or it was reset")
    })
}

/// What the end of a connection says.
pub(crate) fn closed(reason: &ConnectionError) -> Option<Fact> {
    let ConnectionError::ApplicationClosed(close) = reason else { return None };
    match close.error_code {
        code if code == VarInt::from_u32(CLOSE_STRANGER) => {
            Some(turned_away("it says that this machine is not paired"))
        }
        code if code == VarInt::from_u32(CLOSE_WITHDRAWN) => {
            Some(turned_away("its owner does not agree to connect with this machine"))
        }
        _ => None,
    }
}

fn turned_away(why: &str) -> Fact {
    Fact::TurnedAway { at: Timestamp::now(), why: why.to_owned() }
}
