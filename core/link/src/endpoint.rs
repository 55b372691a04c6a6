//! The iroh endpoints: one under the long-term transport key for paired devices, one under a key of a few
//! minutes for pairing. No public server, no port mapping, no address publishing.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use accord_identity::Peers;
use accord_identity::announce::{LINK_ALPN_PREFIX, link_alpn, slot, slots_around};
use accord_model::Timestamp;
use iroh::endpoint::{
    AfterHandshakeOutcome, Connection, EndpointHooks, Incoming, LocalTransportAddr, PortmapperConfig,
    QuicTransportConfig, Side, VarInt, presets,
};
use iroh::{Endpoint, RelayMode, RelayUrl, SecretKey, TransportAddr};
use noq_proto::congestion::Bbr3Config;

use crate::PAIR_ALPN;
use crate::api::{LinkError, Network};
use crate::memory::random_port;

/// A larger window breaks the receiver's assembler when a burst overflows the UDP socket buffer
/// ("too many gaps in stream buffer"): at most 1,024 chunks of about 1,450 bytes may be out of order.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
/// How many ports are tried that another program may have.
const PORTS_TRIED: usize = 8;
const STREAMS_PER_PEER: u32 = 128;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// In builds for tests, keys go to the file that `SSLKEYLOGFILE` names: a test opens what was captured and
/// looks for what must not be in it.
pub(crate) fn keys_for_tests() -> bool {
    cfg!(debug_assertions) && std::env::var_os("SSLKEYLOGFILE").is_some()
}
pub(crate) const CLOSE_STRANGER: u32 = 403;
pub(crate) const CLOSE_WITHDRAWN: u32 = 410;
pub(crate) const CLOSE_IDLE: u32 = 204;
pub(crate) const CLOSE_SECOND: u32 = 409;

/// The transport keys that may connect now: paired, not blocked, with consent.
#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    keys: Arc<RwLock<HashSet<[u8; 32]>>>,
    /// A name that nobody knows.
    nobody: [u8; 16],
}

impl Allowed {
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut nobody = [0; 16];
        getrandom::fill(&mut nobody).map_err(std::io::Error::other)?;
        Ok(Self { keys: Arc::default(), nobody })
    }
    pub(crate) fn insert(&self, key: [u8; 32]) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(key);
    }
    pub(crate) fn remove(&self, key: &[u8; 32]) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
    pub(crate) fn contains(&self, key: &[u8; 32]) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// The protocol names under which those who may connect now dial the link of `own`. Never none: a link
/// without names would answer to a handshake without one, and show its key.
pub(crate) fn link_alpns(own: &[u8; 32], peers: &Peers, allowed: &Allowed) -> Vec<Vec<u8>> {
    let slots = slots_around(slot(Timestamp::now()));
    let known = peers.list().into_iter().filter(|peer| allowed.contains(&peer.transport_key));
    let names = known.flat_map(|peer| slots.map(|slot| link_alpn(&peer.pair_key, own, slot)));
    std::iter::once([LINK_ALPN_PREFIX, &allowed.nobody].concat()).chain(names).collect()
}

/// The second door, behind the names: turns away who is not paired, before a byte of theirs is read, and
/// who came in under another peer's name.
#[derive(Debug)]
struct OnlyPaired {
    own: [u8; 32],
    peers: Arc<Peers>,
    allowed: Allowed,
}

impl OnlyPaired {
    fn admits(&self, connection: &Connection) -> bool {
        let id = connection.remote_id();
        let Some(peer) = self.peers.by_transport(id.as_bytes()) else { return false };
        // Whoever dials chose the name, by the listener's clock.
        let named = connection.side() == Side::Client
            || slots_around(slot(Timestamp::now()))
                .iter()
                .any(|slot| link_alpn(&peer.pair_key, &self.own, *slot) == connection.alpn());
        self.allowed.contains(id.as_bytes()) && named
    }
}

impl EndpointHooks for OnlyPaired {
    async fn after_handshake(&self, connection: &Connection) -> AfterHandshakeOutcome {
        if self.admits(connection) {
            return AfterHandshakeOutcome::Accept;
        }
        AfterHandshakeOutcome::Reject { error_code: VarInt::from_u32(CLOSE_STRANGER), reason: b"not paired".to_vec() }
    }
}

fn builder(secret: &[u8; 32], network: Network, port: u16) -> Result<iroh::endpoint::Builder, LinkError> {
    let transport = QuicTransportConfig::builder()
        .congestion_controller_factory(Arc::new(Bbr3Config::default()))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(4 * STREAM_WINDOW))
        .send_window(u64::from(4 * STREAM_WINDOW))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_PER_PEER))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .build();
    let (v4, v6) = match network {
        Network::All => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
        Network::Loopback => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
    };
    let optional = iroh::endpoint::BindOpts::default().set_is_required(false);
    Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(secret))
        .relay_mode(RelayMode::Disabled)
        .portmapper_config(PortmapperConfig::Disabled)
        .keylog(keys_for_tests())
        .transport_config(transport)
        .clear_ip_transports()
        .bind_addr(SocketAddr::new(IpAddr::V4(v4), port))
        .and_then(|builder| builder.bind_addr_with_opts(SocketAddr::new(IpAddr::V6(v6), port), optional))
        .map_err(|error| LinkError::System { what: "preparing the link's sockets".into(), why: error.to_string() })
}

/// Ports are chosen here, not by the system, which would give IPv4 and IPv6 different ones: only one is said.
async fn bind(
    builder: impl Fn(u16) -> Result<iroh::endpoint::Builder, LinkError>,
    port: Option<u16>,
) -> Result<Endpoint, LinkError> {
    for port in port.into_iter().chain(std::iter::repeat_with(random_port).take(PORTS_TRIED)) {
        if let Ok(endpoint) = builder(port)?.bind().await {
            return Ok(endpoint);
        }
    }
    builder(0)?
        .bind()
        .await
        .map_err(|error| LinkError::System { what: "opening the link's sockets".into(), why: error.to_string() })
}

/// Opens the endpoint for paired devices, on `port` when it is free.
pub(crate) async fn open_link(
    secret: &[u8; 32],
    network: Network,
    port: u16,
    relay: Option<&RelayUrl>,
    peers: &Arc<Peers>,
    allowed: &Allowed,
) -> Result<Endpoint, LinkError> {
    let own = *SecretKey::from_bytes(secret).public().as_bytes();
    let make = |port| {
        let hook = OnlyPaired { own, peers: peers.clone(), allowed: allowed.clone() };
        let made = builder(secret, network, port)?.alpns(link_alpns(&own, peers, allowed)).hooks(hook);
        Ok(match relay {
            Some(relay) => made.relay_mode(RelayMode::custom([relay.clone()])),
            None => made,
        })
    };
    bind(make, Some(port)).await
}

/// Opens an endpoint for pairing.
pub(crate) async fn open_pair(secret: &[u8; 32], network: Network) -> Result<Endpoint, LinkError> {
    bind(|port| Ok(builder(secret, network, port)?.alpns(vec![PAIR_ALPN.to_vec()])), None).await
}

/// Finishes one incoming handshake. Unvalidated addresses prove themselves first when `busy`.
pub(crate) async fn shake_hands(incoming: Incoming, busy: bool) -> Option<Connection> {
    if busy && !incoming.remote_addr_validated() {
        let _ = incoming.retry();
        return None;
    }
    let handshake = async { incoming.accept().ok()?.await.ok() };
    tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await.ok().flatten()
}

/// The port of the first bound socket of a family; IPv4 first.
pub(crate) fn port_of(endpoint: &Endpoint) -> Option<u16> {
    let sockets = endpoint.bound_sockets();
    sockets.iter().find(|socket| socket.is_ipv4()).or_else(|| sockets.first()).map(SocketAddr::port)
}

/// Where a connection goes now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathSnapshot {
    pub local: Option<IpAddr>,
    pub remote: Option<SocketAddr>,
    pub relay: Option<String>,
    pub rtt: Option<Duration>,
    /// Bytes sent on all open paths, UDP payload.
    pub sent: u64,
}

pub(crate) fn path_of(connection: &Connection) -> PathSnapshot {
    let paths = connection.paths();
    let sent = paths.iter().map(|path| path.stats().udp_tx.bytes).sum();
    let selected = paths.iter().find(|path| path.is_selected()).or_else(|| paths.iter().next());
    let mut snapshot = PathSnapshot { local: None, remote: None, relay: None, rtt: None, sent };
    if let Some(path) = selected {
        match path.remote_addr() {
            TransportAddr::Ip(address) => snapshot.remote = Some(canonical(*address)),
            TransportAddr::Relay(url) => snapshot.relay = Some(url.to_string()),
            _ => {}
        }
        if let LocalTransportAddr::Ip(Some(local)) = path.local_addr() {
            snapshot.local = Some(local.to_canonical());
        }
        snapshot.rtt = Some(path.rtt());
    }
    snapshot
}

/// An IPv4 address that came in on an IPv6 socket, as IPv4.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(address.ip().to_canonical(), v6.port())
        }
        _ => address,
    }
}
