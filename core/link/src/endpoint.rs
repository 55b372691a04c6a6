//! The iroh endpoints: one under the long-term transport key for paired devices, one under a key of a few
//! minutes for pairing. No public server, no port mapping, no address publishing.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use iroh::endpoint::{
    AfterHandshakeOutcome, Connection, EndpointHooks, Incoming, LocalTransportAddr, PortmapperConfig,
    QuicTransportConfig, VarInt, presets,
};
use iroh::{Endpoint, RelayMode, RelayUrl, SecretKey, TransportAddr};
use noq_proto::congestion::Bbr3Config;
use socket2::{Domain, Protocol, Socket, Type};

use crate::api::{LinkError, Network};
use crate::{LINK_ALPN, PAIR_ALPN};

/// A larger window breaks the receiver's assembler when a burst overflows the UDP socket buffer
/// ("too many gaps in stream buffer"): at most 1,024 chunks of about 1,450 bytes may be out of order.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const STREAMS_PER_PEER: u32 = 128;
/// How many free ports are tried that another program may take first.
const PORTS_TRIED: usize = 4;
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
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowed(Arc<RwLock<HashSet<[u8; 32]>>>);

impl Allowed {
    pub(crate) fn insert(&self, key: [u8; 32]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key);
    }
    pub(crate) fn remove(&self, key: &[u8; 32]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
    pub(crate) fn contains(&self, key: &[u8; 32]) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Turns strangers away before a byte of theirs is read.
#[derive(Debug)]
struct OnlyPaired(Allowed);

impl EndpointHooks for OnlyPaired {
    async fn after_handshake(&self, connection: &Connection) -> AfterHandshakeOutcome {
        if connection.alpn() == LINK_ALPN && self.0.contains(connection.remote_id().as_bytes()) {
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

/// Both families on one port, because an announcement names one: on `port`, else on one that is free.
async fn bind(
    builder: impl Fn(u16) -> Result<iroh::endpoint::Builder, LinkError>,
    port: u16,
) -> Result<Endpoint, LinkError> {
    let wished = (port != 0).then_some(port);
    for port in wished.into_iter().chain(std::iter::repeat_with(free_port).take(PORTS_TRIED).flatten()) {
        if let Ok(endpoint) = builder(port)?.bind().await {
            return Ok(endpoint);
        }
    }
    builder(0)?
        .bind()
        .await
        .map_err(|error| LinkError::System { what: "opening the link's sockets".into(), why: error.to_string() })
}

/// A port that no socket of either family has.
fn free_port() -> Option<u16> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).ok()?;
    socket.set_only_v6(false).ok()?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).ok()?;
    socket.local_addr().ok()?.as_socket().map(|address| address.port())
}

/// Opens the endpoint for paired devices, on `port` when it is free.
pub(crate) async fn open_link(
    secret: &[u8; 32],
    network: Network,
    port: u16,
    relay: Option<&RelayUrl>,
    allowed: &Allowed,
) -> Result<Endpoint, LinkError> {
    let make = |port| {
        let made = builder(secret, network, port)?.alpns(vec![LINK_ALPN.to_vec()]).hooks(OnlyPaired(allowed.clone()));
        Ok(match relay {
            Some(relay) => made.relay_mode(RelayMode::custom([relay.clone()])),
            None => made,
        })
    };
    bind(make, port).await
}

/// Opens an endpoint for pairing.
pub(crate) async fn open_pair(secret: &[u8; 32], network: Network) -> Result<Endpoint, LinkError> {
    bind(|port| Ok(builder(secret, network, port)?.alpns(vec![PAIR_ALPN.to_vec()])), 0).await
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
