//! Sockets for protocols that speak to everyone near before they know with whom: announcements, and connections with
//! devices that have yet to say who they are.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where sockets are made")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::interfaces::Interface;
use super::udp::{DatagramOutlet, is_near};
use super::{CONNECT_WITHIN, Dialed, OutletError, failed};
use crate::{DatagramLease, Destination, Permit, Personal, RecipientId, SendError};

/// A permit for everyone near, spent on any number of sockets. It ends with the consent, and all of them with it.
#[derive(Clone)]
pub struct Near {
    lease: DatagramLease,
}

impl Near {
    /// Opens the lease: its intent is durable before the first socket is made. `what` names the protocol in the ledger.
    ///
    /// # Errors
    /// [`SendError`]; [`OutletError::WrongAddress`] when the permit is not for [`RecipientId::lan`].
    pub async fn open(permit: Permit, what: &str) -> Result<Self, SendError> {
        let recipient = permit.recipient().clone();
        // gate-check: near-lan
        if !recipient.is_lan() {
            let address = SocketAddr::from(([0, 0, 0, 0], 0));
            return Err(OutletError::WrongAddress { address, recipient: recipient.to_string() }.into());
        }
        let lease = permit.datagrams(Destination::new(RecipientId::lan(), what)).await?;
        Ok(Self { lease })
    }

    /// Cancelled once the consent ends.
    pub fn cancelled(&self) -> CancellationToken {
        self.lease.cancelled()
    }

    /// Ends the lease and writes its last record.
    pub fn close(&self) {
        self.lease.close();
    }

    /// A datagram socket that shares its port with other programs and may broadcast.
    ///
    /// # Errors
    /// What the system says.
    pub fn datagrams(&self, bind: SocketAddr) -> Result<DatagramOutlet, OutletError> {
        let made = || {
            let socket = datagram_socket(bind)?;
            socket.set_broadcast(true)?;
            socket.bind(&bind.into())?;
            UdpSocket::from_std(socket.into())
        };
        Ok(DatagramOutlet::near(made().map_err(failed(format!("binding {bind}")))?, self.lease.clone()))
    }

    /// A datagram socket of a multicast group on one interface; `None` when the interface lacks the group's family. It is
    /// bound to the group, so that it takes no unicast from other programs on the port.
    ///
    /// # Errors
    /// What the system says.
    pub fn multicast(&self, interface: &Interface, group: SocketAddr) -> Result<Option<DatagramOutlet>, OutletError> {
        let made = match group.ip() {
            IpAddr::V4(_) => match interface.v4.first() {
                Some((ip, _)) => multicast_v4(interface.index, *ip, group),
                None => return Ok(None),
            },
            IpAddr::V6(_) if interface.v6.is_empty() => return Ok(None),
            IpAddr::V6(_) => multicast_v6(interface.index, group),
        };
        let socket = made.map_err(failed(format!("joining {group} on {}", interface.name)))?;
        Ok(Some(DatagramOutlet::near(socket, self.lease.clone())))
    }

    /// Waits for connections from devices near.
    ///
    /// # Errors
    /// What the system says, for example that another program has the port.
    pub fn listen(&self, bind: SocketAddr) -> Result<NearListener, OutletError> {
        let made = || {
            let socket = Socket::new(Domain::for_address(bind), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            socket.set_reuse_address(true)?;
            if bind.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&bind.into())?;
            socket.listen(64)?;
            TcpListener::from_std(socket.into())
        };
        let listener = made().map_err(failed(format!("listening on {bind}")))?;
        Ok(NearListener { listener, near: self.clone() })
    }

    /// Connects to a device near.
    ///
    /// # Errors
    /// [`SendError`]: an address that is not near, the consent ended, or the device does not answer.
    pub async fn dial(&self, address: SocketAddr) -> Result<Met, SendError> {
        // gate-check: near-address
        if !is_near(address.ip()) {
            return Err(OutletError::WrongAddress { address, recipient: "everyone near".to_owned() }.into());
        }
        dial(&self.lease, address).await
    }
}

/// Connects under a lease; whether the address is right was asked before.
pub(super) async fn dial(lease: &DatagramLease, address: SocketAddr) -> Result<Met, SendError> {
    let what = format!("connecting to {address}");
    // The attempt alone shows this machine's address.
    lease.send_with(&Personal::plain([0; 0]), address, |_| Ok(0))?;
    let cancelled = lease.cancelled();
    let dialed = tokio::select! {
        biased;
        () = cancelled.cancelled() => return Err(lease.withdrawn()),
        dialed = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)) => dialed,
    };
    match dialed {
        Ok(Ok(stream)) => Ok(Met::new(stream, address, lease.clone())),
        Ok(Err(error)) => Err(failed(what)(error).into()),
        Err(_) => Err(OutletError::Deadline { what }.into()),
    }
}

/// Accepts connections from devices near.
pub struct NearListener {
    listener: TcpListener,
    near: Near,
}

impl NearListener {
    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection; `None` once the consent ends. Connections from addresses that are not near are closed unread.
    ///
    /// # Errors
    /// What the system says; waiting a moment and trying again is right.
    pub async fn accept(&self) -> std::io::Result<Option<Met>> {
        let cancelled = self.near.cancelled();
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Ok(None),
                accepted = self.listener.accept() => accepted?,
            };
            if let Some(met) = self.admit(stream, peer) {
                return Ok(Some(met));
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Met> {
        // gate-check: near-peer
        if !is_near(peer.ip().to_canonical()) {
            return None;
        }
        Some(Met::new(stream, peer, self.near.lease.clone()))
    }
}

/// A connection with a device near that has yet to say who it is.
pub struct Met {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    lease: DatagramLease,
    peer: SocketAddr,
    local: Option<SocketAddr>,
}

impl Met {
    fn new(stream: TcpStream, peer: SocketAddr, lease: DatagramLease) -> Self {
        let _ = stream.set_nodelay(true);
        notice_silence(&stream);
        let local = stream.local_addr().ok();
        let (reader, writer) = stream.into_split();
        Self { reader, writer, lease, peer, local }
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our end.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Cancelled once the consent ends.
    pub fn cancelled(&self) -> CancellationToken {
        self.lease.cancelled()
    }

    /// Writes all of a sealed value, within [`CONNECT_WITHIN`] of the other side's last progress.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn put<T: AsRef<[u8]>>(&mut self, value: &Personal<T>) -> Result<(), SendError> {
        super::serve::put(&self.lease, &self.writer, self.peer, value, None, CONNECT_WITHIN).await
    }

    /// The device has said who it is: what follows is sent to it under `permit`.
    ///
    /// # Errors
    /// [`SendError`]; then the connection is closed.
    pub async fn under(self, permit: Permit) -> Result<Dialed, SendError> {
        super::device_permit(&permit, self.peer)?;
        let destination = Destination::new(permit.recipient().clone(), self.peer.to_string());
        let outflow = permit.open(self.writer, destination).await?;
        Ok(Dialed { reader: self.reader, outflow, address: self.peer })
    }
}

impl AsyncRead for Met {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}

/// A device that vanishes (it sleeps, the network is cut) is noticed within about a minute, whether something is under way
/// or not.
fn notice_silence(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let probes = socket2::TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let probes = {
        let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(60)));
        probes.with_retries(3)
    };
    let _ = socket.set_tcp_keepalive(&probes);
}

fn datagram_socket(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn multicast_v4(index: u32, ip: Ipv4Addr, group: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = datagram_socket(group)?;
    socket.bind(&group.into())?;
    if let IpAddr::V4(group) = group.ip() {
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v4(false)?;
        socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))?;
    }
    socket.set_multicast_if_v4(&ip)?;
    socket.set_multicast_loop_v4(true)?;
    UdpSocket::from_std(socket.into())
}

fn multicast_v6(index: u32, group: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = datagram_socket(group)?;
    if let IpAddr::V6(ip) = group.ip() {
        socket.bind(&SocketAddr::V6(SocketAddrV6::new(ip, group.port(), 0, index)).into())?;
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v6(false)?;
        socket.join_multicast_v6(&ip, index)?;
    }
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_loop_v6(true)?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Choice, Decision, Gate, To, example};

    #[tokio::test]
    async fn whoever_comes_from_afar_is_closed_unread() {
        let dir = tempfile::tempdir().unwrap();
        let (statement, signer) = example::parts();
        let gate = Gate::open(dir.path(), statement, signer).unwrap();
        let entry = accord_model::EntryKey::new("example/beacon").unwrap();
        let shown = gate.notice(&entry, "en").unwrap().shown("test");
        gate.decide(Decision::new(entry.clone(), To::Any, Choice::Always, shown)).unwrap();
        let fields = accord_model::FieldSet::EMPTY;
        let permit = gate.bind("example").permit(&entry, &RecipientId::lan(), fields, "").unwrap();
        let near = Near::open(permit, "test").await.unwrap();
        let listener = near.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let stream = || async { TcpStream::connect(address).await.unwrap() };
        for (from, admitted) in [
            ("192.168.1.7:9", true),
            ("[fe80::7]:9", true),
            ("[::ffff:10.0.0.7]:9", true),
            ("203.0.113.9:9", false),
            ("[2001:db8::9]:9", false),
            ("[::ffff:203.0.113.9]:9", false),
        ] {
            assert_eq!(listener.admit(stream().await, from.parse().unwrap()).is_some(), admitted, "{from}");
        }
    }
}
