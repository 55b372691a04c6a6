//! One device near under one permit, for protocols that make a connection for every word, or that send datagrams beside one.

use std::net::{IpAddr, SocketAddr};

use tokio_util::sync::CancellationToken;

use super::near::{Met, dial};
use super::udp::{DatagramOutlet, unshared};
use super::{OutletError, failed};
use crate::{DatagramLease, Destination, Permit, SendError};

/// A permit for one device, spent on any number of connections and datagram sockets to its address. It ends with the consent, and all of them
/// with it; what they send is counted per address, as with any lease.
#[derive(Clone)]
pub struct OneNear {
    lease: DatagramLease,
    address: IpAddr,
}

impl OneNear {
    /// Opens the lease: its intent is durable before the first connection is made.
    ///
    /// # Errors
    /// [`SendError`]; [`super::OutletError::WrongAddress`] when the address is not near.
    pub async fn open(permit: Permit, address: IpAddr) -> Result<Self, SendError> {
        super::device_permit(&permit, SocketAddr::new(address, 0))?;
        let destination = Destination::new(permit.recipient().clone(), address.to_string());
        Ok(Self { lease: permit.datagrams(destination).await?, address })
    }

    /// The same at an address that somebody announced, rather than the owner gave: it has to be in the house now, on a link of
    /// this machine or behind a router there ([`super::routers::Routers::lead_to`]), whatever was so when it was announced.
    ///
    /// # Errors
    /// [`SendError`]; [`super::OutletError::NotHere`] when it is not in the house.
    pub async fn open_announced(permit: Permit, address: IpAddr) -> Result<Self, SendError> {
        in_the_house(address).await?;
        Self::open(permit, address).await
    }

    /// Whether what was announced is in the house still, before a lease is used that was opened a while ago.
    ///
    /// # Errors
    /// [`super::OutletError::NotHere`].
    pub async fn is_still_here(&self) -> Result<(), SendError> {
        in_the_house(self.address).await
    }

    /// Connects to a port of the device.
    ///
    /// # Errors
    /// [`SendError`]: the consent ended, or the device does not answer.
    pub async fn dial(&self, port: u16) -> Result<Met, SendError> {
        dial(&self.lease, SocketAddr::new(self.address, port)).await
    }

    /// A datagram socket of its own on `bind`: it sends to the device alone, and hears the device alone.
    ///
    /// # Errors
    /// What the system says.
    pub fn datagrams(&self, bind: SocketAddr) -> Result<DatagramOutlet, OutletError> {
        let socket = unshared(bind).map_err(failed(format!("binding {bind}")))?;
        Ok(DatagramOutlet::one(socket, self.lease.clone(), self.address))
    }

    /// Cancelled once the consent ends.
    pub fn cancelled(&self) -> CancellationToken {
        self.lease.cancelled()
    }

    /// Ends the lease and writes its last record.
    pub fn close(&self) {
        self.lease.close();
    }
}

async fn in_the_house(address: IpAddr) -> Result<(), SendError> {
    let is_here = super::routers::is_here(address).await;
    // gate-check: one-announced
    if !is_here {
        return Err(OutletError::NotHere(address).into());
    }
    Ok(())
}
