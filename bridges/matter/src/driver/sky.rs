//! What is announced near, as it is now: devices that wait for being added, and nodes of fabrics, ours among them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::core::advert::Advert;
use matter_transport::MrpConfig;

/// By their names in DNS-SD. Who browses bounds how many.
#[derive(Clone, Default)]
pub(crate) struct Sky {
    /// Somebody looks.
    pub open: bool,
    pub waiting: BTreeMap<String, Waiting>,
    pub nodes: BTreeMap<String, Node>,
}

/// A device that waits for being added.
#[derive(Clone, PartialEq)]
pub(crate) struct Waiting {
    pub advert: Advert,
    pub at: Vec<SocketAddr>,
}

/// A node of a fabric.
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    pub at: Vec<SocketAddr>,
    pub patience: MrpConfig,
    /// How often it announced itself anew.
    pub times: u64,
}

impl Sky {
    /// Who waits whom a code may be for, each with the places where they are.
    pub(crate) fn waits(&self, fits: impl Fn(&Advert) -> bool) -> Vec<Vec<SocketAddr>> {
        let fitting = self.waiting.values().filter(|waiting| waiting.advert.open && fits(&waiting.advert));
        fitting.map(|waiting| in_order(waiting.at.clone())).filter(|at| !at.is_empty()).collect()
    }
}

/// The address to try first: one that is of the link alone is there whatever the router does, then those of IPv6.
pub(crate) fn in_order(mut at: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let rank = |at: &SocketAddr| match at {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => 0,
        SocketAddr::V6(_) => 1,
        SocketAddr::V4(_) => 2,
    };
    at.sort_by_key(|at| (rank(at), *at));
    at.dedup();
    at
}
