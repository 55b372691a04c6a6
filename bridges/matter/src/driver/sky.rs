//! What is announced near, as it is now: devices that wait for being added, and nodes of fabrics, ours among them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use accord_ports::dns_sd::ServiceInstance;
use matter_transport::MrpConfig;

use crate::core::advert::{Advert, COMMISSIONABLE, patience};

/// By their names in DNS-SD. Who browses bounds how many wait.
#[derive(Clone, Default)]
pub(crate) struct Sky {
    /// Somebody looks.
    pub open: bool,
    pub waiting: BTreeMap<String, Waiting>,
    /// Those of devices that the owner added. Of others nothing is remembered: anybody can announce.
    pub nodes: BTreeMap<String, Node>,
    /// Their names.
    ours: BTreeSet<String>,
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
    /// A node of this name is looked for from now on; or not any more.
    pub(crate) fn expect(&mut self, name: String, is_ours: bool) {
        if is_ours {
            self.ours.insert(name);
        } else {
            self.ours.remove(&name);
            self.nodes.remove(&name);
        }
    }

    /// Nobody looks any more: nothing is known but for whom to look.
    pub(crate) fn close(&mut self) {
        *self = Self { ours: std::mem::take(&mut self.ours), ..Self::default() };
    }

    /// Somebody announces themselves, anew or otherwise than before.
    pub(crate) fn here(&mut self, instance: &ServiceInstance, at: Vec<SocketAddr>) {
        let pairs = || instance.txt.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        if instance.service == COMMISSIONABLE {
            match Advert::parse(pairs()) {
                Some(advert) => drop(self.waiting.insert(instance.name.clone(), Waiting { advert, at })),
                None => drop(self.waiting.remove(&instance.name)),
            }
            return;
        }
        let name = instance.name.to_ascii_uppercase();
        if !self.ours.contains(&name) {
            return;
        }
        let before = self.nodes.get(&name);
        let is_anew = before.is_none_or(|before| before.at != at);
        let times = before.map_or(0, |before| before.times) + u64::from(is_anew);
        self.nodes.insert(name, Node { at, patience: patience(pairs()), times });
    }

    /// Nothing is announced under that name any more.
    pub(crate) fn gone(&mut self, service: &str, name: &str) {
        if service == COMMISSIONABLE {
            self.waiting.remove(name);
        } else if let Some(node) = self.nodes.get_mut(&name.to_ascii_uppercase()) {
            // That it was here is remembered: when it comes again, it began anew.
            (node.at, node.times) = (Vec::new(), node.times + 1);
        }
    }

    /// The names of those that wait and are such ones, wherever they are.
    pub(crate) fn fitting(&self, is_it: impl Fn(&Advert) -> bool) -> impl Iterator<Item = &str> {
        self.waiting.iter().filter(move |(_, one)| is_it(&one.advert)).map(|(name, _)| name.as_str())
    }

    /// Who waits whom a code may be for, each with the places where they are: those of the lowest rank first.
    pub(crate) fn waits(&self, rank: impl Fn(&Advert) -> Option<u8>) -> Vec<(String, Vec<SocketAddr>)> {
        let ranked = self.in_turn().into_iter().filter_map(|(name, one)| Some((rank(&one.advert)?, name, one)));
        let mut fitting: Vec<(u8, &String, &Waiting)> = ranked.collect();
        fitting.sort_by_key(|(rank, ..)| *rank);
        fitting.into_iter().map(|(_, name, one)| (name.clone(), in_order(one.at.clone()))).collect()
    }

    /// Who waits: the first of every machine, then the second, so that one that announces many is in nobody's way.
    pub(crate) fn in_turn(&self) -> Vec<(&String, &Waiting)> {
        let open = self.waiting.iter().filter(|(_, one)| one.advert.open && !one.at.is_empty());
        let mut of_machine: BTreeMap<Option<IpAddr>, usize> = BTreeMap::new();
        let mut all: Vec<(usize, (&String, &Waiting))> = open
            .map(|(name, one)| {
                let nth = of_machine.entry(in_order(one.at.clone()).first().map(SocketAddr::ip)).or_default();
                *nth += 1;
                (*nth, (name, one))
            })
            .collect();
        all.sort_by_key(|(nth, _)| *nth);
        all.into_iter().map(|(_, one)| one).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::advert::OPERATIONAL;

    fn instance(service: &str, name: &str, txt: &[(&str, &str)]) -> ServiceInstance {
        let txt = txt.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let (service, name) = (service.to_owned(), name.to_owned());
        ServiceInstance { service, name, host: "h".to_owned(), port: 5540, addresses: Vec::new(), txt }
    }

    fn places(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn who_waits_is_found_by_what_a_code_says_and_nobody_else() {
        let mut sky = Sky::default();
        let at = places(&["10.0.0.2:5540", "[fe80::1%3]:5540", "[fd00::1]:5540"]);
        sky.here(&instance(COMMISSIONABLE, "one", &[("d", "3840"), ("cm", "1")]), at);
        sky.here(&instance(COMMISSIONABLE, "closed", &[("d", "3840"), ("cm", "0")]), places(&["10.0.0.3:5540"]));
        sky.here(&instance(COMMISSIONABLE, "other", &[("d", "1")]), places(&["10.0.0.4:5540"]));
        sky.here(&instance(COMMISSIONABLE, "nowhere", &[("d", "3840")]), Vec::new());
        let wanted = |advert: &Advert| (advert.discriminator == 3840).then_some(0);
        let found = sky.waits(wanted);
        let near = places(&["[fe80::1%3]:5540", "[fd00::1]:5540", "10.0.0.2:5540"]);
        assert_eq!(found, [("one".to_owned(), near)], "the nearest first");
        let fitting: Vec<&str> = sky.fitting(|advert| advert.discriminator == 3840).collect();
        assert_eq!(fitting, ["closed", "nowhere", "one"], "wherever they are");
        sky.here(&instance(COMMISSIONABLE, "one", &[("cm", "1")]), Vec::new());
        assert!(sky.waits(wanted).is_empty());
    }

    #[test]
    fn who_comes_again_began_anew_and_of_names_that_are_not_ours_nothing_is_kept() {
        let mut sky = Sky::default();
        sky.expect("AB-01".to_owned(), true);
        let node = || instance(OPERATIONAL, "ab-01", &[]);
        sky.here(&node(), places(&["10.0.0.2:5540"]));
        sky.here(&node(), places(&["10.0.0.2:5540"]));
        let times = |sky: &Sky| sky.nodes["AB-01"].times;
        assert_eq!(times(&sky), 1);
        sky.here(&node(), Vec::new());
        sky.here(&node(), places(&["10.0.0.2:5540"]));
        sky.gone(OPERATIONAL, "ab-01");
        sky.here(&node(), places(&["10.0.0.2:5540"]));
        assert!(times(&sky) > 2);
        for number in 0..3000 {
            sky.here(&instance(OPERATIONAL, &format!("flood-{number}"), &[]), places(&["10.0.0.9:1"]));
        }
        assert_eq!(sky.nodes.len(), 1);
        sky.close();
        assert!(sky.nodes.is_empty());
        sky.here(&node(), places(&["10.0.0.2:5540"]));
        assert_eq!(times(&sky), 1);
        sky.expect("AB-01".to_owned(), false);
        sky.here(&node(), places(&["10.0.0.2:5540"]));
        assert!(sky.nodes.is_empty());
    }
}
