//! Who is here: from instances that come, change and go to devices by their ids, within limits.
//!
//! Whoever speaks on the network can claim any id, under any name, and say that any name is gone. A device that is here stays
//! where it is until its instance is gone; one that the owner added, until it does not take a connection there either. What
//! is said to be it elsewhere waits until then, and while it is connected nothing that is said moves it or ends it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::advert::{Advert, CastId};

/// Limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many devices are here at most, beside those that are kept.
    pub devices: usize,
    /// How many of them on one host, however they came there. Loudspeakers announce their groups too.
    pub of_host: usize,
    /// Instances that are remembered.
    pub instances: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { devices: 64, of_host: 8, instances: 512 }
    }
}

/// A device that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says of itself.
    pub advert: Advert,
    /// Where it is.
    pub at: SocketAddrV4,
}

/// What is new.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A device is here, or is elsewhere or something else than before.
    Found(Box<Found>),
    /// It is gone.
    Lost(CastId),
}

/// How the connection with a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// There is none; whether one can be made is not known.
    Unknown,
    Up,
    /// It could not be made.
    Down,
}

/// Where a device is.
struct Here {
    /// Which instance speaks for it.
    name: String,
    at: SocketAddrV4,
    line: Line,
    /// Where it was not reached since it was last connected.
    failed: Vec<SocketAddrV4>,
}

/// Who is here.
#[derive(Default)]
pub struct Discovery {
    limits: Limits,
    kept: BTreeSet<CastId>,
    /// By name of the instance.
    instances: BTreeMap<String, Found>,
    here: BTreeMap<CastId, Here>,
    events: VecDeque<Event>,
}

impl Discovery {
    /// Nobody yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The devices that the owner added: there is always room for them.
    pub fn keep(&mut self, kept: BTreeSet<CastId>) {
        self.kept = kept;
    }

    /// An instance came, or changed. Without an address in a network of ours it is nowhere; of several, the one where the
    /// device is counts.
    pub fn instance(&mut self, name: &str, advert: Option<Advert>, at: impl IntoIterator<Item = SocketAddrV4>) {
        let Some(advert) = advert else { return self.lost(name) };
        let known = self.here.get(&advert.id).map(|here| *here.at.ip());
        let places = at.into_iter().filter(|at| at.port() != 0);
        let Some(at) = places.min_by_key(|at| (Some(*at.ip()) != known, *at)) else { return self.lost(name) };
        let is_kept = self.kept.contains(&advert.id);
        if !is_kept && !self.instances.contains_key(name) && self.instances.len() >= self.limits.instances {
            return;
        }
        let (id, found) = (advert.id.clone(), Found { advert, at });
        let before = self.instances.insert(name.to_owned(), found.clone());
        if let Some(before) = before.filter(|before| before.advert.id != id) {
            self.let_go(&before.advert.id, name);
        }
        let may_be = self.may_be(&id, *at.ip());
        let (holds, has_no_room) = match self.here.get(&id) {
            Some(here) => match here.line {
                _ if here.at == at => (true, false),
                Line::Up => (false, false),
                Line::Down => (true, false),
                // A stranger may be elsewhere, where there is room, and its host may call itself otherwise; another host
                // waits.
                Line::Unknown => {
                    let may_move = !is_kept && (here.name == name || here.at.ip() == at.ip());
                    (may_move && may_be, may_move && !may_be && here.name == name)
                }
            },
            None => (may_be, false),
        };
        if has_no_room {
            self.let_go(&id, name);
        } else if holds {
            self.hold(id, name, found);
        }
    }

    /// An instance is gone.
    pub fn lost(&mut self, name: &str) {
        if let Some(found) = self.instances.remove(name) {
            self.let_go(&found.advert.id, name);
        }
    }

    /// A device is connected.
    pub fn up(&mut self, id: &CastId) {
        if let Some(here) = self.here.get_mut(id) {
            here.line = Line::Up;
            here.failed.clear();
        }
    }

    /// Its connection ended, or could not be made. The first is no proof that it is not there any more.
    pub fn down(&mut self, id: &CastId) {
        let Some(here) = self.here.get_mut(id) else { return };
        if here.line == Line::Up {
            return here.line = Line::Unknown;
        }
        here.line = Line::Down;
        let (at, name) = (here.at, here.name.clone());
        let mut failed = std::mem::take(&mut here.failed);
        failed.push(at);
        let same_host = |found: &Found| found.at.ip() == at.ip();
        let elsewhere = self.instances.iter().filter(|(_, found)| found.advert.id == *id && found.at != at);
        let other = elsewhere.min_by_key(|(_, found)| (failed.contains(&found.at), !same_host(found)));
        match other.map(|(other, found)| (other.clone(), found.clone())) {
            Some((other, found)) => {
                // All of them anew.
                if failed.contains(&found.at) {
                    failed = vec![at];
                }
                self.hold(id.clone(), &other, found);
                if let Some(here) = self.here.get_mut(id) {
                    here.failed = failed;
                }
            }
            None if self.instances.get(&name).is_none_or(|found| found.advert.id != *id) => self.let_go(id, &name),
            None => {}
        }
    }

    /// Its connection was ended from here.
    pub fn quiet(&mut self, id: &CastId) {
        let Some(here) = self.here.get_mut(id).filter(|here| here.line == Line::Up) else { return };
        here.line = Line::Unknown;
        let name = here.name.clone();
        if self.instances.get(&name).is_none_or(|found| found.advert.id != *id) {
            self.let_go(id, &name);
        }
    }

    /// What is new since.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many devices are here.
    pub fn count(&self) -> usize {
        self.here.len()
    }

    fn hold(&mut self, id: CastId, name: &str, found: Found) {
        let before = self.here.get(&id).filter(|here| here.at == found.at);
        let line = before.map_or(Line::Unknown, |here| here.line);
        self.here.insert(id, Here { name: name.to_owned(), at: found.at, line, failed: Vec::new() });
        self.events.push_back(Event::Found(Box::new(found)));
    }

    fn let_go(&mut self, id: &CastId, name: &str) {
        // Anybody can say that it is gone; while it is connected, it is not.
        if self.here.get(id).is_none_or(|here| here.name != name || here.line == Line::Up) {
            return;
        }
        self.here.remove(id);
        // Those that waited have no more room than others.
        let waits = |(other, found): &(&String, &Found)| {
            found.advert.id == *id && *other != name && self.may_be(id, *found.at.ip())
        };
        let other = self.instances.iter().find(waits);
        match other.map(|(other, found)| (other.clone(), found.clone())) {
            Some((other, found)) => self.hold(id.clone(), &other, found),
            None => self.events.push_back(Event::Lost(id.clone())),
        }
    }

    /// Whether there is room for a device on a host, beside the others.
    fn may_be(&self, id: &CastId, host: Ipv4Addr) -> bool {
        let strangers = || self.here.iter().filter(|(other, _)| *other != id && !self.kept.contains(other));
        self.kept.contains(id)
            || (strangers().count() < self.limits.devices
                && strangers().filter(|(_, here)| *here.at.ip() == host).count() < self.limits.of_host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advert(id: &str) -> Option<Advert> {
        Advert::parse(id, [("id", id.as_bytes())])
    }

    fn at(host: u8, port: u16) -> Option<SocketAddrV4> {
        Some(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), port))
    }

    fn events(discovery: &mut Discovery) -> Vec<String> {
        std::iter::from_fn(|| discovery.poll_event())
            .map(|event| match event {
                Event::Found(found) => format!("{} at {}", found.advert.id.as_str(), found.at),
                Event::Lost(id) => format!("{} lost", id.as_str()),
            })
            .collect()
    }

    #[test]
    fn a_device_moves_on_its_host_and_nobody_else_takes_its_place() {
        let mut here = Discovery::new(Limits::default());
        here.instance("one", advert("aa000001"), at(2, 8009));
        here.instance("thief", advert("aa000001"), at(9, 8009));
        assert_eq!(events(&mut here), ["aa000001 at 10.0.0.2:8009"]);
        here.instance("one", advert("aa000001"), at(2, 8010));
        here.instance("again", advert("aa000001"), at(2, 8011));
        assert_eq!(events(&mut here), ["aa000001 at 10.0.0.2:8010", "aa000001 at 10.0.0.2:8011"]);
        here.lost("one");
        assert!(events(&mut here).is_empty(), "another instance speaks for it");
        here.lost("again");
        assert_eq!(events(&mut here), ["aa000001 at 10.0.0.9:8009"], "the one that waited, whose key will be another");
        here.instance("thief", advert("aa000001"), None);
        assert_eq!(events(&mut here), ["aa000001 lost"]);
        assert_eq!((here.count(), here.instances.len()), (0, 0));
    }

    #[test]
    fn what_is_said_of_an_added_device_moves_it_only_when_it_is_not_reached() {
        let id = CastId::parse("aa000001").unwrap();
        let mut here = Discovery::new(Limits::default());
        here.keep([id.clone()].into());
        here.instance("one", advert("aa000001"), at(5, 8009));
        assert_eq!(events(&mut here), ["aa000001 at 10.0.0.5:8009"]);
        // Before there is a connection, and while there is one; under its own name, with a lower address too.
        here.instance("one", advert("aa000001"), at(2, 8009));
        assert!(events(&mut here).is_empty());
        here.up(&id);
        here.instance("one", advert("aa000001"), at(2, 8009));
        here.instance("one", advert("aa000001"), at(5, 9999));
        here.instance("thief", advert("aa000001"), at(9, 8009));
        here.lost("one");
        assert!(events(&mut here).is_empty());
        // Of several addresses the known one counts.
        here.instance("one", advert("aa000001"), at(2, 8009).into_iter().chain(at(5, 8009)));
        assert_eq!(events(&mut here), ["aa000001 at 10.0.0.5:8009"]);
        // A connection that breaks is made again first; then it is looked for on its host, and then elsewhere.
        here.instance("again", advert("aa000001"), at(5, 8010));
        here.down(&id);
        assert!(events(&mut here).is_empty());
        here.down(&id);
        assert_eq!(events(&mut here), ["aa000001 at 10.0.0.5:8010"]);
        here.down(&id);
        assert_eq!(events(&mut here), ["aa000001 at 10.0.0.9:8009"]);
        here.down(&id);
        assert_eq!(events(&mut here).len(), 1, "and once more from the beginning");
    }

    #[test]
    fn a_connected_device_is_gone_when_its_connection_is() {
        let id = CastId::parse("aa000001").unwrap();
        for quiet in [true, false] {
            let mut here = Discovery::new(Limits::default());
            here.keep([id.clone()].into());
            here.instance("one", advert("aa000001"), at(5, 8009));
            here.up(&id);
            here.lost("one");
            assert_eq!(events(&mut here), ["aa000001 at 10.0.0.5:8009"]);
            if quiet {
                here.quiet(&id);
            } else {
                here.down(&id);
                here.down(&id);
            }
            assert_eq!(events(&mut here), ["aa000001 lost"]);
        }
    }

    #[test]
    fn a_crowd_has_limits_and_added_ones_have_room() {
        let mut here = Discovery::new(Limits { devices: 3, of_host: 2, instances: 6 });
        here.keep([CastId::parse("ffffffff").unwrap()].into());
        for number in 0..100_u8 {
            here.instance(&format!("x{number}"), advert(&format!("aa0000{number:02}")), at(number % 2 + 2, 1));
        }
        assert_eq!((here.count(), here.instances.len()), (3, 6));
        here.instance("mine", advert("ffffffff"), at(2, 8009));
        assert_eq!(here.count(), 4);
        here.instance("x0", advert("bb000000"), at(3, 1));
        assert!(events(&mut here).contains(&"aa000000 lost".to_owned()), "an instance that is another device now");
    }
    #[test]
    fn strangers_are_64_at_most_and_8_of_one_host_however_they_come() {
        let mut here = Discovery::new(Limits::default());
        let of =
            |here: &Discovery, host: u8| here.here.values().filter(|here| here.at.ip().octets()[3] == host).count();
        let come = |here: &mut Discovery, host: u8, number: u8| {
            here.instance(&format!("x{host}-{number}"), advert(&format!("aa00{host:02}{number:02}")), at(host, 8009));
        };
        (0..20).for_each(|number| come(&mut here, 2, number));
        assert_eq!((of(&here, 2), here.count()), (8, 8));
        for host in 3..20 {
            (0..20).for_each(|number| come(&mut here, host, number));
        }
        assert_eq!(here.count(), 64);
        // All move to one host.
        for host in 3..20 {
            (0..20).for_each(|number| {
                let id = advert(&format!("aa00{host:02}{number:02}"));
                here.instance(&format!("x{host}-{number}"), id, at(2, 8010));
            });
        }
        assert_eq!((of(&here, 2), here.count()), (8, 8));
        let (mut now, mut gone) = (BTreeSet::new(), 0);
        while let Some(event) = here.poll_event() {
            match event {
                Event::Found(found) => drop(now.insert(found.advert.id)),
                Event::Lost(id) => gone += usize::from(now.remove(&id)),
            }
        }
        assert_eq!((now.len(), gone), (8, 56), "the house is told");
    }

    #[test]
    fn what_waited_takes_a_place_only_where_there_is_room() {
        let mut here = Discovery::new(Limits { devices: 4, of_host: 1, instances: 6 });
        here.instance("one", advert("aa000001"), at(2, 8009));
        here.instance("two", advert("aa000002"), at(3, 8009));
        here.instance("waits", advert("aa000001"), at(3, 8009));
        here.lost("one");
        assert_eq!(here.count(), 1, "its host has one already");
        here.keep([CastId::parse("aa000003").unwrap()].into());
        here.instance("mine", advert("aa000003"), at(3, 8009));
        assert_eq!(here.count(), 2, "for added ones there is room");
    }
}
