//! Which links there are: bounded, and one per device.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::Up;
use crate::core::certificate::PeerCertificate;
use crate::core::id::KdeId;

/// Most connections that are not up yet: in all, and of one address.
const MAX_PENDING: (usize, usize) = (32, 4);
/// Most links to devices that are not paired: in all, and of one address.
const MAX_UNPAIRED: (usize, usize) = (16, 4);

/// Names one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkNo(pub u64);

/// Why a connection may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many already.
    #[error("too many devices try to connect at once")]
    TooMany,
    /// Another device with the same id is connected.
    #[error("a device with the same id and another certificate is connected; someone may be pretending to be it")]
    OtherCertificate,
}

/// A link that is up.
#[derive(Debug, Clone)]
pub struct Live {
    /// Which connection.
    pub no: LinkNo,
    /// From where.
    pub address: IpAddr,
    /// What it proved.
    pub certificate: PeerCertificate,
    /// Whether it is paired.
    pub paired: bool,
}

/// All connections.
#[derive(Debug, Default)]
pub struct Links {
    next: u64,
    pending: HashMap<LinkNo, IpAddr>,
    live: BTreeMap<KdeId, Live>,
}

impl Links {
    /// A connection begins, in either direction.
    ///
    /// # Errors
    /// [`Refusal::TooMany`]: close it.
    pub fn begin(&mut self, address: IpAddr) -> Result<LinkNo, Refusal> {
        let of_it = self.pending.values().filter(|pending| **pending == address).count();
        if self.pending.len() >= MAX_PENDING.0 || of_it >= MAX_PENDING.1 {
            return Err(Refusal::TooMany);
        }
        self.next += 1;
        let no = LinkNo(self.next);
        self.pending.insert(no, address);
        Ok(no)
    }

    /// A connection is up. Gives the older link to the same device, which is to be closed; what belongs to the
    /// device (its transfers, the owner's open questions) goes on over the new one.
    ///
    /// # Errors
    /// [`Refusal`]: close the new one.
    pub fn up(&mut self, no: LinkNo, up: &Up) -> Result<Option<LinkNo>, Refusal> {
        let Some(address) = self.pending.remove(&no) else { return Err(Refusal::TooMany) };
        let id = &up.identity.id;
        match self.live.get(id) {
            Some(old) if old.certificate != up.certificate => return Err(Refusal::OtherCertificate),
            Some(_) => {}
            None if up.paired => {}
            None => {
                let unpaired = || self.live.values().filter(|live| !live.paired);
                let of_it = unpaired().filter(|live| live.address == address).count();
                if unpaired().count() >= MAX_UNPAIRED.0 || of_it >= MAX_UNPAIRED.1 {
                    return Err(Refusal::TooMany);
                }
            }
        }
        let live = Live { no, address, certificate: up.certificate.clone(), paired: up.paired };
        Ok(self.live.insert(id.clone(), live).map(|old| old.no))
    }

    /// Goes back to another link of the same device, which is still open.
    pub fn prefer(&mut self, id: &KdeId, live: Live) {
        self.live.insert(id.clone(), live);
    }
    /// A pairing began or ended.
    pub fn set_paired(&mut self, id: &KdeId, paired: bool) {
        if let Some(live) = self.live.get_mut(id) {
            live.paired = paired;
        }
    }

    /// A connection is closed. True when its device cannot be reached any more: another link may have
    /// replaced it.
    pub fn ended(&mut self, no: LinkNo) -> bool {
        self.pending.remove(&no);
        let before = self.live.len();
        self.live.retain(|_, live| live.no != no);
        self.live.len() < before
    }

    /// The link to a device.
    pub fn get(&self, id: &KdeId) -> Option<&Live> {
        self.live.get(id)
    }
}
