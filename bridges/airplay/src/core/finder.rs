//! Who is here: what is announced under the two types, joined to devices by the hardware address that they say.
//!
//! Whoever speaks on the network can claim to be any device; nothing in RAOP proves it. So a device that is here stays where
//! it was found until that is no longer announced; one that the owner added, until it is not reached there either, whatever
//! is announced under its name. What is announced elsewhere waits until then.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use accord_mdns::ServiceInstance;
use accord_model::DeviceKind;

use super::txt::{AIRPLAY, Airplay, Features, HardwareId, Obstacle, RAOP, Raop, kind};

/// How many devices are shown at most, beside those that are kept, and of one host.
const MOST: usize = 64;
const MOST_OF_HOST: usize = 8;
/// Announcements of one device that wait.
const MOST_WAITING: usize = 8;

/// A device that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub id: HardwareId,
    /// Its name, as it says.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Who made it, as it says.
    pub maker: Option<String>,
    /// Its model, as it says.
    pub model: Option<String>,
    /// Its host, and where it takes sound if it does.
    pub at: SocketAddrV4,
    /// What stands in the way of playing sound there.
    pub obstacle: Option<Obstacle>,
    /// It shows titles.
    pub shows_title: bool,
}

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A device is here, or says something else of itself.
    Found(Box<Found>),
    /// It is gone.
    Lost(HardwareId),
}

#[derive(Default)]
struct Here {
    raop: Option<(String, SocketAddrV4, Raop)>,
    airplay: Option<(String, SocketAddrV4, Airplay)>,
    told: Option<Found>,
    /// What is announced of it elsewhere, with an address near.
    waiting: Vec<(ServiceInstance, Ipv4Addr)>,
    /// It was not reached where it is.
    down: bool,
}

impl Here {
    fn host(&self) -> Option<Ipv4Addr> {
        let raop = self.raop.as_ref().map(|(_, at, _)| *at.ip());
        raop.or_else(|| self.airplay.as_ref().map(|(_, at, _)| *at.ip()))
    }

    fn found(&self) -> Option<Found> {
        let airplay = self.airplay.as_ref();
        let features = airplay.map_or(Features::default(), |(_, _, one)| one.features);
        let maker = airplay.and_then(|(_, _, one)| one.maker.clone());
        let named = airplay.and_then(|(_, _, one)| one.model.clone());
        if let Some((_, at, raop)) = &self.raop {
            let model = named.or_else(|| raop.model.clone());
            let locked = airplay.is_some_and(|(_, _, one)| one.password);
            let obstacle = raop.obstacle.or(locked.then_some(Obstacle::Password));
            return Some(Found {
                id: raop.id.clone(),
                name: raop.name.clone(),
                kind: kind(features, model.as_deref()),
                maker,
                model,
                at: *at,
                obstacle,
                shows_title: raop.shows_title,
            });
        }
        let (_, at, airplay) = airplay?;
        Some(Found {
            id: airplay.id.clone(),
            name: airplay.name.clone(),
            kind: kind(features, named.as_deref()),
            maker,
            model: named,
            at: *at,
            obstacle: Some(Obstacle::NoRaop),
            shows_title: false,
        })
    }
}

/// The machine. Its time is that of DNS-SD: what is no longer announced, it is told.
#[derive(Default)]
pub struct Finder {
    here: BTreeMap<HardwareId, Here>,
    kept: BTreeSet<HardwareId>,
}

impl Finder {
    /// The devices that the owner added: there is always room for them.
    pub fn keep(&mut self, kept: BTreeSet<HardwareId>) {
        self.kept = kept;
    }

    /// An instance is announced, or says something else. `near`: whether an address is one of a host near.
    pub fn announced(
        &mut self,
        instance: &ServiceInstance,
        near: impl Fn(&accord_mdns::FoundAddress) -> bool,
    ) -> Option<Event> {
        let attribute = |key: &str| instance.attribute(key);
        let (raop, airplay) = match instance.service.as_str() {
            RAOP => (Raop::read(&instance.name, attribute), None),
            AIRPLAY => (None, Airplay::read(&instance.name, attribute)),
            _ => return None,
        };
        let id = raop.as_ref().map(|one| &one.id).or(airplay.as_ref().map(|one| &one.id))?.clone();
        let mut hosts = instance.addresses.iter().filter(|found| near(found)).filter_map(|found| match found.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        });
        // What says two things of one device is one host.
        let known = self.here.get(&id).and_then(Here::host);
        let first = hosts.next()?;
        let host = if Some(first) == known || hosts.any(|host| Some(host) == known) { known? } else { first };
        if instance.port == 0 || (known.is_none() && !self.has_room(&id, host)) {
            return None;
        }
        let is_kept = self.kept.contains(&id);
        let here = self.here.entry(id).or_default();
        here.waiting.retain(|(other, _)| other.service != instance.service || other.name != instance.name);
        if is_kept && known.is_some_and(|known| known != host) {
            if here.waiting.len() < MOST_WAITING {
                here.waiting.push((instance.clone(), host));
            }
            return if here.down { Self::move_on(here) } else { None };
        }
        Self::put(here, instance, host, known, raop, airplay)
    }

    fn put(
        here: &mut Here,
        instance: &ServiceInstance,
        host: Ipv4Addr,
        known: Option<Ipv4Addr>,
        raop: Option<Raop>,
        airplay: Option<Airplay>,
    ) -> Option<Event> {
        let at = SocketAddrV4::new(host, instance.port);
        // While it is announced under another name, that one counts.
        let is_other = |before: Option<&str>| before.is_some_and(|before| before != instance.name);
        if let Some(raop) = raop {
            if is_other(here.raop.as_ref().map(|(name, ..)| name.as_str())) {
                return None;
            }
            here.raop = Some((instance.name.clone(), at, raop));
        } else if let Some(airplay) = airplay {
            let elsewhere = known.is_some_and(|known| known != host) && here.raop.is_some();
            if elsewhere || is_other(here.airplay.as_ref().map(|(name, ..)| name.as_str())) {
                return None;
            }
            here.airplay = Some((instance.name.clone(), at, airplay));
        }
        Self::tell(here)
    }

    /// A device was not reached where it is, or it was.
    pub fn reached(&mut self, id: &HardwareId, yes: bool) -> Option<Event> {
        let here = self.here.get_mut(id)?;
        here.down = !yes;
        if yes { None } else { Self::move_on(here) }
    }

    /// To the host of which something waits longest, with all that is announced there.
    fn move_on(here: &mut Here) -> Option<Event> {
        let host = here.waiting.first()?.1;
        (here.raop, here.airplay, here.down) = (None, None, false);
        let (there, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut here.waiting).into_iter().partition(|(_, at)| *at == host);
        here.waiting = others;
        let mut last = None;
        for (instance, _) in there {
            let attribute = |key: &str| instance.attribute(key);
            let (raop, airplay) = match instance.service.as_str() {
                RAOP => (Raop::read(&instance.name, attribute), None),
                _ => (None, Airplay::read(&instance.name, attribute)),
            };
            last = Self::put(here, &instance, host, Some(host), raop, airplay).or(last);
        }
        last
    }

    /// An instance is no longer announced.
    pub fn gone(&mut self, service: &str, name: &str) -> Option<Event> {
        for here in self.here.values_mut() {
            here.waiting.retain(|(other, _)| other.service != service || other.name != name);
        }
        let is_it = |side: Option<&str>| side == Some(name);
        let (id, here) = self.here.iter_mut().find(|(_, here)| match service {
            RAOP => is_it(here.raop.as_ref().map(|(name, ..)| name.as_str())),
            AIRPLAY => is_it(here.airplay.as_ref().map(|(name, ..)| name.as_str())),
            _ => false,
        })?;
        match service {
            RAOP => here.raop = None,
            _ => here.airplay = None,
        }
        if here.host().is_some() {
            return Self::tell(here);
        }
        if !here.waiting.is_empty() {
            return Self::move_on(here);
        }
        let id = id.clone();
        self.here.remove(&id);
        Some(Event::Lost(id))
    }

    /// Under which names a device is announced: type and instance.
    pub fn names(&self, id: &HardwareId) -> Vec<(&'static str, String)> {
        let Some(here) = self.here.get(id) else { return Vec::new() };
        let raop = here.raop.iter().map(|(name, ..)| (RAOP, name.clone()));
        raop.chain(here.airplay.iter().map(|(name, ..)| (AIRPLAY, name.clone()))).collect()
    }

    fn has_room(&self, id: &HardwareId, host: Ipv4Addr) -> bool {
        let strangers = || self.here.iter().filter(|(known, _)| !self.kept.contains(known));
        let of_host = strangers().filter(|(_, here)| here.host() == Some(host)).count();
        self.kept.contains(id) || (strangers().count() < MOST && of_host < MOST_OF_HOST)
    }

    fn tell(here: &mut Here) -> Option<Event> {
        let found = here.found()?;
        if here.told.as_ref() == Some(&found) {
            return None;
        }
        here.told = Some(found.clone());
        Some(Event::Found(Box::new(found)))
    }
}

/// Entry for fuzzing: any bytes as names and attributes of what is announced, line by line.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut finder = Finder::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut parts = line.split(|byte| *byte == 0);
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let pairs = parts.map(|pair| {
            let (key, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len()));
            (String::from_utf8_lossy(key).to_lowercase(), value.get(1..).unwrap_or_default().to_vec())
        });
        let txt: Vec<_> = pairs.take(64).collect();
        let last = line.first().copied().unwrap_or_default();
        let addresses = vec![accord_mdns::FoundAddress { ip: [10, 0, 0, last].into(), interface: 1 }];
        for service in [RAOP, AIRPLAY] {
            let instance = ServiceInstance {
                service: service.to_owned(),
                name: name.clone(),
                host: "h".to_owned(),
                port: u16::from(last),
                addresses: addresses.clone(),
                txt: txt.clone(),
            };
            if let Some(Event::Found(found)) = finder.announced(&instance, |_| true) {
                assert!(*found.at.ip() == Ipv4Addr::new(10, 0, 0, last) && found.at.port() != 0);
                assert!(!finder.names(&found.id).is_empty());
            }
        }
        assert!(finder.here.len() <= MOST);
        if last % 3 == 0 {
            finder.gone(RAOP, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accord_mdns::FoundAddress;

    fn instance(service: &str, name: &str, last: u8, txt: &[(&str, &str)]) -> ServiceInstance {
        ServiceInstance {
            service: service.to_owned(),
            name: name.to_owned(),
            host: "h".to_owned(),
            port: 5000,
            addresses: vec![FoundAddress { ip: [10, 0, 0, last].into(), interface: 1 }],
            txt: txt.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect(),
        }
    }

    fn found(event: Option<Event>) -> Found {
        match event {
            Some(Event::Found(found)) => *found,
            other => panic!("{other:?}"),
        }
    }

    const ID: &str = "0A1B2C3D4E5F";

    #[test]
    fn both_sides_of_a_device_are_one_device() {
        let mut finder = Finder::default();
        let tv = instance(
            AIRPLAY,
            "Den",
            2,
            &[("deviceid", "0A:1B:2C:3D:4E:5F"), ("model", "AppleTV3,2"), ("features", "0x5A7FFFF7,0x1E")],
        );
        let first = found(finder.announced(&tv, |_| true));
        assert_eq!((first.kind, first.obstacle), (DeviceKind::Tv, Some(Obstacle::NoRaop)));
        let raop = instance(RAOP, &format!("{ID}@Den"), 2, &[("et", "0,3,5")]);
        let both = found(finder.announced(&raop, |_| true));
        assert_eq!((both.id.clone(), both.obstacle, both.model.as_deref()), (first.id, None, Some("AppleTV3,2")));
        assert_eq!(finder.announced(&raop, |_| true), None, "nothing new");
        assert_eq!(finder.names(&both.id).len(), 2);
        assert_eq!(found(finder.gone(RAOP, &format!("{ID}@Den"))).obstacle, Some(Obstacle::NoRaop));
        assert_eq!(finder.gone(AIRPLAY, "Den"), Some(Event::Lost(both.id)));
        assert_eq!(finder.gone(AIRPLAY, "Den"), None);
    }

    #[test]
    fn another_host_does_not_take_a_devices_place() {
        let mut finder = Finder::default();
        let name = format!("{ID}@Kitchen");
        found(finder.announced(&instance(RAOP, &name, 2, &[]), |_| true));
        assert_eq!(finder.announced(&instance(RAOP, &format!("{ID}@Fake"), 9, &[]), |_| true), None);
        let other = instance(AIRPLAY, "Fake", 9, &[("deviceid", ID)]);
        assert_eq!(finder.announced(&other, |_| true), None);
        let mut moved = instance(RAOP, &name, 9, &[]);
        moved.addresses.push(FoundAddress { ip: [10, 0, 0, 2].into(), interface: 1 });
        assert_eq!(finder.announced(&moved, |_| true), None, "it is still where it was");
        assert_eq!(
            *found(finder.announced(&instance(RAOP, &name, 3, &[]), |_| true)).at.ip(),
            Ipv4Addr::new(10, 0, 0, 3)
        );
    }

    #[test]
    fn an_added_device_is_elsewhere_only_when_it_is_not_reached() {
        let id = HardwareId::parse(ID).unwrap();
        let host = |event: Option<Event>| found(event).at.ip().octets()[3];
        let name = format!("{ID}@Kitchen");
        let at = |last: u8| instance(RAOP, &name, last, &[]);
        for is_gone in [true, false] {
            let mut finder = Finder::default();
            finder.keep(BTreeSet::from([id.clone()]));
            assert_eq!(host(finder.announced(&at(5), |_| true)), 5);
            // Under its own name, with a lower address too.
            assert_eq!(finder.announced(&at(2), |_| true), None);
            if is_gone {
                assert_eq!(finder.gone(RAOP, &name), Some(Event::Lost(id.clone())));
                continue;
            }
            assert_eq!(finder.reached(&id, true), None);
            assert_eq!(host(finder.reached(&id, false)), 2);
            // Nothing waits: what is announced next is followed.
            assert_eq!(finder.reached(&id, false), None);
            assert_eq!(host(finder.announced(&at(7), |_| true)), 7);
            for last in 20..100 {
                finder.announced(&instance(RAOP, &format!("{ID}@{last}"), last, &[]), |_| true);
            }
            assert_eq!(finder.here[&id].waiting.len(), MOST_WAITING);
            assert_eq!(host(finder.gone(RAOP, &name)), 20);
        }
    }

    #[test]
    fn nobody_is_sent_far_away_and_floods_end() {
        let mut finder = Finder::default();
        assert_eq!(finder.announced(&instance(RAOP, &format!("{ID}@x"), 2, &[]), |_| false), None);
        let flood = |finder: &mut Finder, last: u8, from: u32| {
            let each = (from..from + 200).filter_map(|number| {
                finder.announced(&instance(RAOP, &format!("{number:012X}@x"), last, &[]), |_| true)
            });
            each.count()
        };
        assert_eq!(flood(&mut finder, 2, 0), MOST_OF_HOST);
        for host in 3..30 {
            flood(&mut finder, host, u32::from(host) * 1000);
        }
        assert_eq!(finder.here.len(), MOST);
        finder.keep(BTreeSet::from([HardwareId::parse(ID).unwrap()]));
        found(finder.announced(&instance(RAOP, &format!("{ID}@ours"), 2, &[]), |_| true));
    }
}
