//! Being near: the sockets that exist exactly as long as the owner agrees to be found. What they hear goes to the driver.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet::interfaces::{self, Changes, Interface, Network};
use accord_consent::outlet::{DatagramOutlet, Near, NearListener};
use accord_consent::{Personal, SendError};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Happening;
use super::law::seal;
use super::mdns::Mdns;
use crate::core::discovery::{Announce, DISCOVERY_PORT, Service, link_ports};
use crate::core::identity::MAX_IDENTITY;
use crate::core::link::Transmit;

/// How long after an error the listener tries again.
const AGAIN: Duration = Duration::from_millis(200);

/// The open sockets.
pub(crate) struct Presence {
    near: Near,
    /// Where we listen for links.
    port: u16,
    /// For unicast, by family.
    anywhere: Vec<Arc<DatagramOutlet>>,
    /// For broadcast, one per address of ours.
    from: HashMap<Ipv4Addr, DatagramOutlet>,
    addresses: Vec<IpAddr>,
    mdns: Mdns,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Presence {
    /// Opens the sockets; what cannot be opened is told in words for the owner.
    pub async fn open(near: Near, network: Network, happened: &mpsc::Sender<Happening>) -> Result<Self, String> {
        let unspecified = match network {
            Network::All => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
            Network::Loopback => vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        };
        let (port, listeners) = listen(&near, &unspecified)?;
        let mut tasks: Vec<_> = listeners.into_iter().map(|each| spawn(accept(each, happened.clone()))).collect();
        let mut anywhere = Vec::new();
        if network == Network::All {
            for ip in unspecified {
                match near.datagrams((ip, DISCOVERY_PORT).into()) {
                    Ok(socket) => {
                        let socket = Arc::new(socket);
                        tasks.push(spawn(hear(socket.clone(), happened.clone())));
                        anywhere.push(socket);
                    }
                    Err(error) if ip.is_ipv6() => tracing::debug!(%error, "KDE Connect over IPv4 only"),
                    Err(error) => {
                        return Err(format!(
                            "KDE Connect devices cannot be found ({error}); does another program hold UDP port \
                             {DISCOVERY_PORT}?"
                        ));
                    }
                }
            }
            tasks.push(spawn(changes(network, happened.clone())));
        }
        tracing::debug!(port, "KDE Connect is on");
        let mdns = Mdns::new(happened.clone());
        let (from, addresses) = (HashMap::new(), Vec::new());
        let mut presence = Self { near, port, anywhere, from, addresses, mdns, _tasks: tasks };
        if network == Network::All {
            presence.take_interfaces(interfaces::list(network).await);
        }
        Ok(presence)
    }

    pub fn near(&self) -> &Near {
        &self.near
    }
    pub fn port(&self) -> u16 {
        self.port
    }
    /// Our own addresses, without loopback.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
    /// When DNS-SD wants to go on.
    pub fn next_mdns(&self) -> Option<std::time::Instant> {
        self.mdns.timeout()
    }
    pub fn mdns(&mut self) -> &mut Mdns {
        &mut self.mdns
    }

    /// The interfaces there are now.
    pub fn take_interfaces(&mut self, mut found: Vec<Interface>) {
        found.retain(|interface| !interface.loopback);
        self.addresses = found.iter().flat_map(Interface::addresses).collect();
        let ours = |ip: &Ipv4Addr| self.addresses.contains(&IpAddr::V4(*ip));
        self.from.retain(|ip, _| ours(ip));
        let v4 = found.iter().flat_map(|interface| interface.v4.iter().map(|(ip, _)| *ip));
        for ip in v4 {
            if !self.from.contains_key(&ip) {
                match self.near.datagrams((ip, 0).into()) {
                    Ok(socket) => {
                        self.from.insert(ip, socket);
                    }
                    Err(error) => tracing::debug!(%error, "no announcement from this address"),
                }
            }
        }
        self.mdns.take_interfaces(&self.near, found);
    }

    /// Sends our identity there; whether it left. An error: the consent ended.
    pub async fn announce(&self, announce: Announce, identity: Transmit) -> Result<bool, SendError> {
        let socket = match announce.from {
            Some(from) => self.from.get(&from),
            None => {
                let fits = |socket: &&Arc<DatagramOutlet>| {
                    socket.local_addr().is_ok_and(|local| local.is_ipv4() == announce.to.is_ipv4())
                };
                self.anywhere.iter().find(fits).map(Arc::as_ref)
            }
        };
        let Some(socket) = socket else { return Ok(false) };
        match socket.send(&seal(identity), announce.to).await {
            Err(SendError::Io(error)) => {
                tracing::debug!(%error, to = %announce.to, "an announcement did not leave");
                Ok(false)
            }
            outcome => outcome.map(|()| true),
        }
    }

    /// Publishes by mDNS, and looks for others.
    pub fn publish(&mut self, service: &Service) {
        self.mdns.publish(service);
    }

    /// Closes all sockets and writes the last record.
    pub fn close(self) {
        self.near.close();
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

/// The first free port, for every family.
fn listen(near: &Near, ips: &[IpAddr]) -> Result<(u16, Vec<NearListener>), String> {
    let mut last = String::new();
    for port in link_ports() {
        match near.listen((ips[0], port).into()) {
            Ok(first) => {
                let others = ips[1..].iter().filter_map(|ip| near.listen((*ip, port).into()).ok());
                return Ok((port, std::iter::once(first).chain(others).collect()));
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("KDE Connect devices cannot connect: no port between 1716 and 1764 is free ({last})"))
}

async fn accept(listener: NearListener, happened: mpsc::Sender<Happening>) {
    loop {
        match listener.accept().await {
            Ok(Some(met)) => {
                if happened.send(Happening::Accepted(Box::new(met))).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn hear(socket: Arc<DatagramOutlet>, happened: mpsc::Sender<Happening>) {
    let mut buffer = vec![0; MAX_IDENTITY + 2];
    loop {
        match socket.receive(&mut buffer).await {
            Ok((length, mut from)) => {
                from.set_ip(from.ip().to_canonical());
                let heard = Happening::Datagram { from, bytes: buffer[..length].to_vec() };
                // More than the driver can take is dropped, as on a full socket buffer.
                let _ = happened.try_send(heard);
            }
            Err(error) => {
                tracing::debug!(%error, "a datagram was not received");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn changes(network: Network, happened: mpsc::Sender<Happening>) {
    let mut changes = Changes::watch(network);
    loop {
        let interfaces = changes.next().await;
        if happened.send(Happening::Interfaces(interfaces)).await.is_err() {
            return;
        }
    }
}

/// A label for what is only sent as it is.
pub(super) fn sealed(fields: accord_model::FieldSet, bytes: Vec<u8>) -> Personal<Vec<u8>> {
    seal(Transmit { bytes, fields })
}

/// Without the scope, as an address that may be compared.
pub(super) fn plain(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}
