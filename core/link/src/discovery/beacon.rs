//! Answers probes while the owner lets devices pair, and probes addresses that the owner typed in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::{DatagramLease, Personal, RecipientId};
use accord_model::{FieldCode, FieldSet};
use iroh::Endpoint;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::driver::announced;
use super::probe::{PORT, Probe, SIZE};
use super::record::Announced;
use crate::api::{LinkError, Network};
use crate::endpoint::open_pair;
use crate::inner::{Inner, at_port, machine_addresses, slot_over};
use crate::law::{Denied, PAIRING, pairing_fields};
use crate::pairing::random_key;

/// Answers per second to everyone together.
const ANSWERS: u32 = 50;
const TRIES: u32 = 5;

/// Open for pairing while the owner agrees to `link/pairing`: an endpoint under an ephemeral key, renewed
/// with the announcement's id, and a socket that answers probes. Runs until the link stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut consent = inner.law.watch(PAIRING, &RecipientId::lan());
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = consent.allowed() => {}
        }
        let session = CancellationToken::new();
        let lease = match inner.law.lan_lease(PAIRING, pairing_fields(), "on.request", "").await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::warn!(%error, "pairing stays off");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let ended = lease.cancelled();
        tokio::select! {
            () = ended.cancelled() => {}
            () = consent.ended() => {}
            () = inner.stop.cancelled() => {}
            () = open(inner.clone(), lease.clone(), session.clone()) => {}
        }
        session.cancel();
        if let Some(endpoint) = inner.pair.send_replace(None) {
            endpoint.close().await;
        }
        inner.beacon_port.send_replace(None);
        inner.set_status(|status| {
            status.pairing = false;
            status.addresses.clear();
        });
        lease.close();
    }
}

async fn open(inner: Arc<Inner>, lease: DatagramLease, session: CancellationToken) {
    let socket = match bind(inner.network) {
        Ok(socket) => Some(Arc::new(socket)),
        Err(error) => {
            tracing::warn!(%error, "probes cannot be answered");
            None
        }
    };
    let port = socket.as_ref().and_then(|socket| socket.local_addr().ok()).map(|address| address.port());
    inner.beacon_port.send_replace(port);
    let addresses = machine_addresses(inner.network).await;
    let answers = async {
        // Nobody is told of a door before it opens: an answer names the endpoint.
        if inner.pair.subscribe().wait_for(Option::is_some).await.is_err() {
            return;
        }
        inner.set_status(|status| {
            status.pairing = true;
            status.addresses =
                port.map(|port| addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect()).unwrap_or_default();
        });
        match &socket {
            Some(socket) => answer(&inner, socket, &lease).await,
            None => std::future::pending().await,
        }
    };
    tokio::join!(answers, keep_endpoint(&inner, &session));
}

/// A new key for every announcement id, so that none links two of them. A pairing that runs goes on under
/// the key it began with.
async fn keep_endpoint(inner: &Arc<Inner>, session: &CancellationToken) {
    loop {
        let made = async { open_pair(&random_key()?, inner.network).await };
        match made.await {
            Ok(endpoint) => {
                let old = inner.pair.send_replace(Some(endpoint.clone()));
                tokio::spawn(inner.clone().take_pairings(endpoint));
                if let Some(old) = old {
                    tokio::spawn(retire(inner.clone(), old, session.clone()));
                }
            }
            Err(error) => tracing::warn!(%error, "not open for pairing"),
        }
        tokio::select! {
            () = slot_over() => {}
            () = inner.renew_pair.notified() => {}
        }
    }
}

/// Closes a pairing endpoint once no pairing runs on it.
async fn retire(inner: Arc<Inner>, endpoint: Endpoint, session: CancellationToken) {
    let over = async {
        while crate::inner::lock(&inner.limits).is_busy() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(accord_identity::pairing::TOTAL_TIME, over) => {}
        () = session.cancelled() => {}
        () = inner.stop.cancelled() => {}
    }
    endpoint.close().await;
}

fn bind(network: Network) -> std::io::Result<UdpSocket> {
    let any = match network {
        Network::All => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Network::Loopback => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let open = |ip: IpAddr, port: u16| -> std::io::Result<UdpSocket> {
        let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if ip.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&SocketAddr::new(ip, port).into())?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into())
    };
    let v4 = IpAddr::V4(if network == Network::All { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST });
    open(any, PORT).or_else(|_| open(v4, PORT)).or_else(|_| open(any, 0)).or_else(|_| open(v4, 0))
}

async fn answer(inner: &Arc<Inner>, socket: &UdpSocket, lease: &DatagramLease) {
    let mut buffer = [0; SIZE + 1];
    let (mut second, mut answered) = (Instant::now(), 0);
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if second.elapsed() >= Duration::from_secs(1) {
            (second, answered) = (Instant::now(), 0);
        }
        let Some(Probe::Question { nonce }) = Probe::decode(&buffer[..length]) else { continue };
        if answered >= ANSWERS || !inner.near_networks.has(from.ip()).await {
            continue;
        }
        answered += 1;
        let said = announced(inner, FieldSet::EMPTY);
        let packet = Personal::of(fields(), Probe::Answer { nonce, said }.encode());
        let counted = crate::endpoint::canonical(from);
        if let Err(error) = lease.send_with(&packet, counted, |bytes| socket.try_send_to(bytes, from)) {
            tracing::debug!(%error, "a probe was not answered");
        }
    }
}

/// Asks an address who is there, until the deadline.
pub(crate) async fn ask(inner: &Arc<Inner>, address: SocketAddr) -> Result<Announced, LinkError> {
    if !inner.may_dial(address) {
        return Err(LinkError::NoAnswer(address.to_string()));
    }
    if !inner.near_networks.has(address.ip()).await {
        return Err(LinkError::NotNear(address.ip()));
    }
    let lease = inner
        .law
        .lan_lease(PAIRING, fields(), "on.pair", &address.to_string())
        .await
        .map_err(|denied: Denied| denied.for_owner(PAIRING))?;
    let system =
        |error: std::io::Error| LinkError::System { what: format!("asking {address}"), why: error.to_string() };
    let local = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind(SocketAddr::new(local, 0)).await.map_err(system)?;
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(|error| system(std::io::Error::other(error)))?;
    let question = Personal::of(fields(), Probe::Question { nonce }.encode());
    let mut buffer = [0; SIZE + 1];
    let mut found = Err(LinkError::NoAnswer(address.to_string()));
    for turn in 0..TRIES {
        let _ = tokio::time::timeout(Duration::from_millis(100), socket.writable()).await;
        if let Err(error) = lease.send_with(&question, address, |bytes| socket.try_send_to(bytes, address)) {
            tracing::debug!(%error, "a probe did not leave");
        }
        let until = tokio::time::Instant::now() + Duration::from_millis(300 * u64::from(turn + 1));
        while let Ok(Ok((length, from))) = tokio::time::timeout_at(until, socket.recv_from(&mut buffer)).await {
            if let Some(Probe::Answer { nonce: got, said }) = Probe::decode(&buffer[..length])
                && got == nonce
                && from == address
            {
                inner.heard(said.clone(), &[at_port(address, 0)], true);
                found = Ok(said);
                break;
            }
        }
        if found.is_ok() {
            break;
        }
    }
    lease.close();
    found
}

fn fields() -> FieldSet {
    [FieldCode::NetIp, FieldCode::KeyPublic, FieldCode::DeviceId].into_iter().collect()
}
