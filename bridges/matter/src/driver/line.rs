//! Datagrams with one device, under a permit for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use accord_consent::outlet::{DatagramOutlet, OneNear};
use accord_consent::{Personal, SendError};
use accord_model::DeviceId;
use accord_model::why::Outcome;
use accord_ports::hand::NoLine;
use matter_commissioning::driver::{AsyncDatagram, UnsecuredMessage, decode_unsecured, encode_unsecured};
use matter_transport::ProtocolId;
use tokio_util::sync::CancellationToken;

use super::law::{self, Law};

/// Largest datagram that is read: more than Matter allows over UDP (Core Specification 1.4, 4.4.4).
const LARGEST: usize = 1500;

/// What is not of a session: the last that was sent, and the number of the last that was heard.
#[derive(Default)]
struct Handshake {
    sent: Option<UnsecuredMessage>,
    heard: Option<u32>,
}

/// Addresses of one device whose leases are kept.
const MOST_LEASES: usize = 4;

/// Leases of attempts that came to nothing: the next ones go on with them, so that the attempts of a day are one record.
#[derive(Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<Vec<(IpAddr, OneNear)>>>);

impl Leases {
    fn take(&self, address: IpAddr) -> Option<OneNear> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|(of, _)| *of == address)?;
        Some(all.remove(at).1).filter(|one| !one.cancelled().is_cancelled())
    }

    fn keep(&self, address: IpAddr, one: OneNear) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_LEASES {
            all.remove(0).1.close();
        }
        all.push((address, one));
    }

    /// Ends them, and writes their last records.
    pub(crate) fn close(&self) {
        for (_, one) in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            one.close();
        }
    }
}

/// The way to one device.
pub(crate) struct Line {
    one: OneNear,
    socket: DatagramOutlet,
    at: SocketAddr,
    handshake: Mutex<Handshake>,
}

impl Line {
    pub(crate) async fn open(law: &Law, device: &DeviceId, at: SocketAddr, leases: &Leases) -> Result<Self, NoLine> {
        let one = match leases.take(at.ip()) {
            Some(one) => match one.is_still_here().await {
                Ok(()) => one,
                Err(error) => {
                    one.close();
                    return Err(error.into());
                }
            },
            None => {
                let permit = law.control(device).map_err(|refusal| NoLine::Denied(refusal.to_string()))?;
                OneNear::open_announced(permit, at.ip()).await?
            }
        };
        let any: IpAddr = if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        match one.datagrams(SocketAddr::new(any, 0)) {
            Ok(socket) => Ok(Self { one, socket, at, handshake: Mutex::default() }),
            Err(error) => {
                one.close();
                Err(NoLine::Failed(error.to_string(), Outcome::Failed("no socket".to_owned())))
            }
        }
    }

    /// Where it is.
    pub(crate) fn at(&self) -> SocketAddr {
        self.at
    }

    /// Cancelled once nothing may be said any more.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.one.cancelled()
    }

    pub(crate) fn close(&self) {
        self.one.close();
    }

    /// Nothing came of it: the next attempt goes on under the same lease.
    pub(crate) fn keep(self, leases: &Leases) {
        leases.keep(self.at.ip(), self.one);
    }

    /// Returns once nothing of a handshake has been heard for so long; never, if something has.
    pub(crate) async fn is_mute(&self, within: Duration) {
        tokio::time::sleep(within).await;
        let is_mute = self.handshake.lock().unwrap_or_else(PoisonError::into_inner).heard.is_none();
        if !is_mute {
            std::future::pending::<()>().await;
        }
    }

    /// Tells the device that a handshake came to nothing, so that it waits for no more of it: until then it takes no other.
    ///
    /// Core Specification 1.4, 4.11.1: a status report, FAILURE and INVALID_PARAMETER.
    pub(crate) async fn give_up_handshake(&self) {
        const STATUS_REPORT: u8 = 0x40;
        const FAILED: [u8; 8] = [1, 0, 0, 0, 0, 0, 2, 0];
        let (sent, heard) = {
            let mut handshake = self.handshake.lock().unwrap_or_else(PoisonError::into_inner);
            (handshake.sent.take(), handshake.heard.take())
        };
        let Some(sent) = sent else { return };
        let (number, exchange) = (sent.message_counter.wrapping_add(1), sent.exchange_id);
        let protocol = ProtocolId::SECURE_CHANNEL;
        let source = sent.source_node_id;
        let bytes = encode_unsecured(number, exchange, STATUS_REPORT, protocol, true, false, heard, source, &FAILED);
        if let Err(error) = self.send_to(&bytes, self.at).await {
            tracing::debug!(%error, "that a handshake came to nothing was not said");
        }
    }

    /// The device's address with a port of it: what is announced does not know on which interface a link-local one is.
    fn to(&self, port: u16) -> SocketAddr {
        let mut to = self.at;
        to.set_port(port);
        to
    }
}

impl AsyncDatagram for Line {
    async fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<()> {
        let to = self.to(peer.port());
        if let Ok(message) = decode_unsecured(bytes) {
            self.handshake.lock().unwrap_or_else(PoisonError::into_inner).sent = Some(message);
        }
        match self.socket.send(&Personal::of(law::standing(), bytes), to).await {
            Ok(()) => Ok(()),
            // No way there, or nobody: as with a datagram that is lost.
            Err(SendError::Io(error)) => {
                tracing::debug!(%error, "a datagram did not leave");
                Ok(())
            }
            Err(error) => Err(io::Error::new(io::ErrorKind::NotConnected, error.to_string())),
        }
    }

    async fn recv_from(&self) -> io::Result<(Vec<u8>, SocketAddr)> {
        let cancelled = self.one.cancelled();
        let mut buffer = vec![0; LARGEST];
        loop {
            let received = tokio::select! {
                biased;
                () = cancelled.cancelled() => {
                    return Err(io::Error::new(io::ErrorKind::NotConnected, "you withdrew your consent"));
                }
                received = self.socket.receive(&mut buffer) => received,
            };
            match received {
                Ok((length, from)) => {
                    buffer.truncate(length);
                    if let Ok(message) = decode_unsecured(&buffer) {
                        let mut handshake = self.handshake.lock().unwrap_or_else(PoisonError::into_inner);
                        handshake.heard = Some(message.message_counter);
                    }
                    return Ok((buffer, from));
                }
                // Its system said that nobody hears there: that is told by the silence that follows.
                Err(error) => {
                    tracing::debug!(%error, "a device's datagram was not received");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
