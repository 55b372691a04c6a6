//! LocalSend's devices as the house knows them: which id, which services, and what was told of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, Format, FromBridge, Property, Reach, Role, Service, Source,
    Target as Port, Timestamp, Value, catalogue,
};
use sha2::{Digest, Sha256};

use super::keep::{Keep, Trusted};
use crate::core::discovery::Found;
use crate::core::{Announcement, DeviceType, Fingerprint, Peer, Protocol, Target};

/// What the owner decided does not age.
const FRESH_FOR_S: u64 = 10 * 365 * 86_400;

/// A device that is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub id: DeviceId,
    pub fingerprint: Fingerprint,
    pub name: String,
    pub kind: DeviceKind,
    pub model: Option<String>,
    /// Whether it proved to own the certificate with that fingerprint.
    pub verified: bool,
    /// Where it was, the latest first; a verified one only where it must prove itself again.
    pub at: Vec<Target>,
    /// Where it was in an earlier run; only for trusted devices.
    pub before: Vec<SocketAddr>,
    /// When it was heard last.
    pub seen: Option<Timestamp>,
    pub near: bool,
    /// Known only because it sends.
    pub guest: bool,
}

/// The id of a device. Who cannot prove to be the device with a fingerprint is never taken for it.
pub(crate) fn id_of(fingerprint: &Fingerprint, verified: bool) -> DeviceId {
    let mut hash = Sha256::new();
    hash.update(b"accord localsend device ");
    hash.update(fingerprint.as_str());
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let id = if verified { format!("localsend-{digits}") } else { format!("localsend-open-{digits}") };
    DeviceId::new(id).expect("hexadecimal digits make an id")
}

impl Known {
    pub(crate) fn of(found: &Found) -> Self {
        let Found { info, at, verified } = found;
        let fits = |target: &&Target| !verified || target.protocol == Protocol::Https;
        let pinned = |target: &Target| Target { fingerprint: Some(info.fingerprint.clone()), ..target.clone() };
        Self {
            id: id_of(&info.fingerprint, *verified),
            fingerprint: info.fingerprint.clone(),
            name: info.alias.clone(),
            kind: kind(info.kind),
            model: info.model.clone(),
            verified: *verified,
            at: at.iter().filter(fits).map(pinned).collect(),
            before: Vec::new(),
            seen: Some(Timestamp::now()),
            near: true,
            guest: false,
        }
    }

    /// A device that sends without having been found.
    pub(crate) fn guest(announced: &Announcement, peer: &Peer, verified: bool) -> Self {
        let address = peer.port(announced.port);
        let fingerprint = Some(announced.info.fingerprint.clone());
        let at = vec![Target { address, protocol: announced.protocol, fingerprint }];
        Self { guest: true, ..Self::of(&Found { info: announced.info.clone(), at, verified }) }
    }

    fn remembered(id: &DeviceId, trusted: &Trusted) -> Option<Self> {
        let (name, kind, verified) = (trusted.name.clone(), trusted.kind, trusted.verified);
        let fingerprint = Fingerprint::parse(&trusted.fingerprint)?;
        let (at, model) = (Vec::new(), None);
        let (before, seen) = (trusted.addresses.clone(), trusted.seen);
        let id = id.clone();
        Some(Self { id, fingerprint, name, kind, model, verified, at, before, seen, near: false, guest: false })
    }

    /// Where it is, or was.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match self.at.as_slice() {
            [] => self.before.clone(),
            at => at.iter().map(|target| target.address).collect(),
        }
    }

    /// What can be compared with what the other screen shows.
    pub(crate) fn verification(&self) -> Option<String> {
        let digits: Vec<char> = self.fingerprint.as_str().chars().take(32).collect();
        let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
        self.verified.then(|| groups.join(" "))
    }

    pub(crate) fn trust(&self) -> Trusted {
        Trusted {
            fingerprint: self.fingerprint.as_str().to_owned(),
            name: self.name.clone(),
            kind: self.kind,
            verified: self.verified,
            since: Timestamp::now(),
            addresses: self.addresses(),
            seen: self.seen,
        }
    }

    fn describe(&self, trusted: Option<&Trusted>) -> Device {
        let mut device = Device::new(self.id.clone(), self.kind, self.name.clone());
        device.model = self.model.clone();
        device.passing = trusted.is_none();
        device.claims = Claims::peer(self.addresses().iter().map(SocketAddr::ip));
        device.reach = if self.near { Reach::Local } else { Reach::Offline };
        let mut files = catalogue::files();
        files.properties.push(Property { read: false, notify: false, write: true, role: Role::Config, ..pin() });
        device.with(files).with(self.pairing(trusted))
    }

    fn pairing(&self, trusted: Option<&Trusted>) -> Service {
        let mut pairing = catalogue::pairing();
        pairing.properties.push(Property::state("verified", Format::Bool));
        pairing.values = self.pairing_values(trusted);
        pairing
    }

    pub(crate) fn pairing_values(&self, trusted: Option<&Trusted>) -> BTreeMap<String, Value> {
        // The trust's own time, so that a description does not change by being made again.
        let seen = trusted.map_or(Timestamp::UNIX_EPOCH, |trusted| trusted.since);
        let value = |data| Value { data, seen, source: Source::Assumed, fresh_for_s: FRESH_FOR_S };
        let mut values = BTreeMap::from([
            ("paired".to_owned(), value(Data::Bool(trusted.is_some()))),
            ("verified".to_owned(), value(Data::Bool(self.verified))),
        ]);
        values.extend(self.verification().map(|code| ("verification".to_owned(), value(Data::Text(code)))));
        values
    }
}

fn pin() -> Property {
    Property::state("pin", Format::Text)
}

fn kind(kind: DeviceType) -> DeviceKind {
    match kind {
        DeviceType::Mobile => DeviceKind::Phone,
        DeviceType::Desktop | DeviceType::Headless | DeviceType::Server => DeviceKind::Computer,
        DeviceType::Web => DeviceKind::Other,
    }
}

/// All that are known, and what is to be told of them.
pub(crate) struct Devices {
    known: BTreeMap<DeviceId, Known>,
    pub keep: Keep,
}

impl Devices {
    pub(crate) fn new(keep: Keep) -> Self {
        let remembered = keep.trusted().filter_map(|(id, trusted)| Known::remembered(id, trusted));
        Self { known: remembered.map(|known| (known.id.clone(), known)).collect(), keep }
    }

    pub(crate) fn get(&self, id: &DeviceId) -> Option<&Known> {
        self.known.get(id)
    }

    /// All of them, described.
    pub(crate) fn all(&self) -> Vec<FromBridge> {
        self.known.values().map(|known| self.seen(known)).collect()
    }

    /// A device is there, or changed. `None` while it has yet to prove what it could prove.
    pub(crate) fn found(&mut self, found: &Found) -> Vec<FromBridge> {
        let mut told = Vec::new();
        let known = Known::of(found);
        if !known.verified && known.at.iter().any(|target| target.protocol == Protocol::Https) {
            return told;
        }
        if known.verified {
            told.extend(self.lost(&id_of(&known.fingerprint, false)));
        }
        told.push(self.seen(&known));
        let is_elsewhere = |trusted: &Trusted| known.addresses().iter().any(|at| !trusted.addresses.contains(at));
        if let Some(trusted) = self.keep.is_trusted(&known.id)
            && (trusted.name != known.name || trusted.kind != known.kind || is_elsewhere(trusted))
        {
            let now = Trusted { since: trusted.since, ..known.trust() };
            if let Err(error) = self.keep.set(&known.id, Some(now)) {
                tracing::warn!(%error, "what is new of a device is not kept");
            }
        }
        self.known.insert(known.id.clone(), known);
        told
    }

    /// A device sends that may not have been found.
    pub(crate) fn guest(&mut self, known: Known) -> Option<FromBridge> {
        if self.known.contains_key(&known.id) {
            return None;
        }
        let told = self.seen(&known);
        self.known.insert(known.id.clone(), known);
        Some(told)
    }

    /// Who was known only because it sent is gone again.
    pub(crate) fn dismiss_guests(&mut self) -> Vec<FromBridge> {
        let guests: Vec<DeviceId> =
            self.known.values().filter(|known| known.guest).map(|known| known.id.clone()).collect();
        guests.iter().filter_map(|id| self.lost(id)).collect()
    }

    /// A device is there no more.
    pub(crate) fn gone(&mut self, fingerprint: &Fingerprint, heard: Timestamp) -> Vec<FromBridge> {
        for verified in [true, false] {
            if let Some(known) = self.known.get_mut(&id_of(fingerprint, verified)) {
                known.seen = Some(heard);
            }
        }
        [true, false].iter().filter_map(|verified| self.lost(&id_of(fingerprint, *verified))).collect()
    }

    /// None is near any more.
    pub(crate) fn all_gone(&mut self) -> Vec<FromBridge> {
        let ids: Vec<DeviceId> = self.known.keys().cloned().collect();
        ids.iter().filter_map(|id| self.lost(id)).collect()
    }

    fn lost(&mut self, id: &DeviceId) -> Option<FromBridge> {
        let known = self.known.get_mut(id)?;
        if self.keep.is_trusted(id).is_none() {
            self.known.remove(id);
            return Some(FromBridge::Gone { device: id.clone() });
        }
        (known.near, known.guest) = (false, false);
        Some(FromBridge::Reach { device: id.clone(), reach: Reach::Offline })
    }

    /// Somebody who is not trusted is where a trusted device was.
    pub(crate) fn stranger_at(&self, lost: &Known) -> Option<SocketAddr> {
        let places = lost.addresses();
        let strangers = self.known.values().filter(|known| known.near && self.keep.is_trusted(&known.id).is_none());
        strangers.flat_map(Known::addresses).find(|address| places.iter().any(|place| place.ip() == address.ip()))
    }

    /// The owner trusts a device, or not any more.
    pub(crate) fn trust(&mut self, id: &DeviceId, yes: bool) -> Result<[FromBridge; 2], String> {
        let known = self.known.get(id).ok_or("no such device is known")?;
        let trusted = yes.then(|| known.trust());
        self.keep.set(id, trusted.clone())?;
        let values = known.pairing_values(trusted.as_ref());
        let seen = self.seen(known);
        Ok([seen, FromBridge::Values { device: id.clone(), target: Port::new("pairing"), values }])
    }

    fn seen(&self, known: &Known) -> FromBridge {
        FromBridge::Seen { device: known.describe(self.keep.is_trusted(&known.id)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::DeviceInfo;
    use accord_store::Vault;

    fn found(protocol: Protocol, verified: bool) -> Found {
        let info = DeviceInfo::new("Phone", DeviceType::Mobile, Fingerprint::of(b"phone"));
        let address = "10.0.0.2:53317".parse().unwrap();
        let at = vec![Target { address, protocol, fingerprint: None }];
        Found { info, at, verified }
    }

    #[test]
    fn who_only_says_a_fingerprint_is_never_taken_for_who_proved_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut devices = Devices::new(Keep::open(&Vault::new(dir.path(), &[7; 32]).folder("x")).unwrap().0);
        assert!(devices.found(&found(Protocol::Https, false)).is_empty(), "it has yet to prove itself");
        let proved = Known::of(&found(Protocol::Https, true));
        devices.found(&found(Protocol::Https, true));
        devices.trust(&proved.id, true).unwrap();
        let told = devices.found(&found(Protocol::Http, false));
        let [FromBridge::Seen { device }] = &told[..] else { panic!("{told:?}") };
        assert_ne!(device.id, proved.id);
        let values = &device.service("pairing").unwrap().values;
        assert_eq!((values["paired"].data.as_bool(), values["verified"].data.as_bool()), (Some(false), Some(false)));
        assert!(!values.contains_key("verification") && device.passing);
        let kept = devices.get(&proved.id).unwrap();
        assert!(kept.at.iter().all(|target| target.protocol == Protocol::Https && target.fingerprint.is_some()));
    }

    #[test]
    fn a_trusted_device_stays_when_it_leaves_and_others_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut devices = Devices::new(Keep::open(&Vault::new(dir.path(), &[7; 32]).folder("x")).unwrap().0);
        let phone = found(Protocol::Https, true);
        let id = Known::of(&phone).id;
        devices.found(&phone);
        assert!(matches!(devices.gone(&phone.info.fingerprint, Timestamp::now())[..], [FromBridge::Gone { .. }]));
        devices.found(&phone);
        devices.trust(&id, true).unwrap();
        assert!(matches!(devices.all_gone()[..], [FromBridge::Reach { reach: Reach::Offline, .. }]));
        assert!(devices.get(&id).is_some());
    }
}
