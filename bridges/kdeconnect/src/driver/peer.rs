//! What is known of one device, and how the house sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use accord_model::why::Fact;
use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, Reach, Service, Source, Target, Timestamp, Value, catalogue,
};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::art;
use super::browse::{Browser, WayAnswer};
use super::incoming::Offered;
use super::mirror::Shown;
use super::picture::Pictures;
use crate::core::KdeId;
use crate::core::certificate::PeerCertificate;
use crate::core::identity::{DeviceType, Identity, Version};
use crate::core::link::LinkNo;
use crate::core::pairing::Side;

/// Instances of one service that are listed.
pub(crate) const MAX_INSTANCES: usize = 64;
/// Notifications of one device that are known; the house lists fewer.
const MAX_POSTED: usize = 256;

/// One device.
pub(crate) struct Peer {
    pub id: KdeId,
    pub device: DeviceId,
    pub name: String,
    pub kind: DeviceType,
    pub incoming: BTreeSet<String>,
    pub outgoing: BTreeSet<String>,
    pub paired: Option<Timestamp>,
    pub verification: Option<String>,
    pub link: Option<Up>,
    /// Where it was last.
    pub last_address: Option<IpAddr>,
    /// When it was connected last.
    pub last_seen: Option<Timestamp>,
    /// Why it was not let in, or did not let us in, the last time.
    pub trouble: Option<Fact>,
    /// It ended the pairing.
    pub ended_there: bool,
    /// The pairing that is under way.
    pub pairing: Option<Pending>,
    /// Instances of its services by service, in the order they were told: name on the wire, label.
    pub instances: BTreeMap<&'static str, Vec<(String, String)>>,
    pub values: BTreeMap<(String, u16), BTreeMap<String, Value>>,
    /// Loudest of each volume instance, on its own scale.
    pub loudest: BTreeMap<String, i64>,
    /// Notifications that it told of.
    pub posted: Posted,
    pub pictures: Pictures,
    /// What features showed to it.
    pub shown: Shown,
    /// It was told on this link that it may type here.
    pub keyboard_told: bool,
    /// Files that it offers.
    pub offers: Option<(mpsc::Sender<Offered>, AbortOnDropHandle<()>)>,
    /// What looks into it.
    pub browser: Option<Browser>,
    /// Who waits to hear how its files can be had.
    pub way: Option<WayAnswer>,
    pub watch: Option<AbortOnDropHandle<()>>,
    /// One batch at a time.
    pub turn: Arc<Mutex<Option<std::time::Instant>>>,
    /// For pictures of our players that go to it.
    pub arts: Arc<Semaphore>,
    /// A clone for everything that moves bytes.
    pub busy: Arc<()>,
}

/// A pairing that waits for an answer.
#[derive(Clone, Copy)]
pub(crate) struct Pending {
    pub no: LinkNo,
    pub until: Instant,
    pub asked_by: Side,
}

/// Notifications that a device told of and did not take back, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    known: VecDeque<Known>,
    told: u64,
}

#[derive(Debug)]
struct Known {
    id: String,
    reply: Option<String>,
    no: u64,
}

impl Posted {
    /// It is there, or changed. `reply` is the id under which it can be answered. What comes back is another one each time.
    pub fn note(&mut self, id: &str, reply: Option<String>) -> u64 {
        self.forget(id);
        if self.known.len() >= MAX_POSTED {
            self.known.pop_front();
        }
        self.told += 1;
        self.known.push_back(Known { id: id.to_owned(), reply, no: self.told });
        self.told
    }
    pub fn forget(&mut self, id: &str) {
        self.known.retain(|known| known.id != id);
    }
    pub fn knows(&self, id: &str) -> bool {
        self.find(id).is_some()
    }
    /// Whether it is there as it was told under this number.
    pub fn is_as_told(&self, id: &str, no: u64) -> bool {
        self.find(id).is_some_and(|known| known.no == no)
    }
    pub fn reply(&self, id: &str) -> Option<&str> {
        self.find(id)?.reply.as_deref()
    }
    fn find(&self, id: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.id == id)
    }
}

/// Its link.
pub(crate) struct Up {
    pub no: LinkNo,
    pub address: IpAddr,
    pub certificate: PeerCertificate,
    pub version: Version,
    /// Under the consent for this device.
    pub secured: bool,
    /// We made the connection.
    pub dialed: bool,
    pub since: Instant,
}

impl Peer {
    pub fn new(id: KdeId, name: String, kind: DeviceType) -> Self {
        Self {
            device: device_id(&id),
            id,
            name,
            kind,
            incoming: BTreeSet::new(),
            outgoing: BTreeSet::new(),
            paired: None,
            verification: None,
            link: None,
            last_address: None,
            last_seen: None,
            trouble: None,
            ended_there: false,
            pairing: None,
            instances: BTreeMap::new(),
            values: BTreeMap::new(),
            loudest: BTreeMap::new(),
            posted: Posted::default(),
            pictures: Pictures::default(),
            shown: Shown::default(),
            keyboard_told: false,
            offers: None,
            browser: None,
            way: None,
            watch: None,
            turn: Arc::default(),
            arts: Arc::new(Semaphore::new(art::AT_ONCE)),
            busy: Arc::default(),
        }
    }

    /// What it says of itself now; true when that is new. An identity without abilities leaves the known ones.
    pub fn describe(&mut self, identity: &Identity) -> bool {
        let before = (self.name.clone(), self.kind, self.incoming.clone(), self.outgoing.clone());
        self.name = identity.name.clone();
        self.kind = identity.kind;
        if !identity.incoming.is_empty() || !identity.outgoing.is_empty() {
            self.incoming = identity.incoming.clone();
            self.outgoing = identity.outgoing.clone();
        }
        before != (self.name.clone(), self.kind, self.incoming.clone(), self.outgoing.clone())
    }

    /// Whether somebody is asked to pair just now.
    pub fn is_pairing(&self) -> bool {
        self.pairing.is_some_and(|pending| Instant::now() < pending.until)
    }
    /// Who asked, when a pairing runs on the old of two links to the same device: the answer may come on either.
    pub fn resume_pairing(&mut self, old: &Up, new: &Up, replaces: bool) -> Option<Side> {
        let pending = self.pairing.as_mut().filter(|pending| pending.no == old.no && Instant::now() < pending.until)?;
        if old.certificate != new.certificate {
            return None;
        }
        if replaces {
            pending.no = new.no;
        }
        Some(pending.asked_by)
    }
    pub fn end_pairing(&mut self) {
        self.pairing = None;
    }

    pub fn is_busy(&self) -> bool {
        self.link.is_some() && Arc::strong_count(&self.busy) > 1
    }
    pub fn takes(&self, kind: &str) -> bool {
        self.incoming.contains(&format!("kdeconnect.{kind}"))
    }
    pub fn sends(&self, kind: &str) -> bool {
        self.outgoing.contains(&format!("kdeconnect.{kind}"))
    }

    /// Whether what lies on it can be looked at.
    pub fn shows_storage(&self) -> bool {
        self.takes("sftp.request") && self.sends("sftp")
    }

    /// Sets the instances of a service; true when that changed something.
    pub fn set_instances(&mut self, service: &'static str, mut named: Vec<(String, String)>) -> bool {
        named.truncate(MAX_INSTANCES);
        let before = self.instances.entry(service).or_default();
        if *before == named {
            return false;
        }
        // Instances keep their numbers while their names stay.
        let mut next: Vec<Option<(String, String)>> = before
            .iter()
            .map(|(name, _)| named.iter().position(|(new, _)| new == name).map(|at| named.remove(at)))
            .collect();
        for new in named {
            match next.iter().position(Option::is_none) {
                Some(free) => next[free] = Some(new),
                None => next.push(Some(new)),
            }
        }
        while next.last().is_some_and(Option::is_none) {
            next.pop();
        }
        let next: Vec<_> = next.into_iter().map(Option::unwrap_or_default).collect();
        let gone: Vec<_> =
            before.iter().zip(0u16..).filter(|(old, at)| next.get(usize::from(*at)) != Some(old)).collect();
        for (_, at) in gone {
            self.values.remove(&(service.to_owned(), at));
        }
        *before = next;
        true
    }
    /// The number of an instance by its name on the wire.
    pub fn instance(&self, service: &str, name: &str) -> Option<u16> {
        let at = self.instances.get(service)?.iter().position(|(known, _)| known == name)?;
        u16::try_from(at).ok()
    }
    /// The name on the wire of an instance.
    pub fn wire_name(&self, service: &str, instance: u16) -> Option<&str> {
        let (name, _) = self.instances.get(service)?.get(usize::from(instance))?;
        Some(name.as_str()).filter(|name| !name.is_empty())
    }

    /// Notes values, and gives them back for the house.
    pub fn note(
        &mut self,
        target: &Target,
        values: impl IntoIterator<Item = (&'static str, Data)>,
    ) -> BTreeMap<String, Value> {
        let seen = Timestamp::now();
        let values: BTreeMap<String, Value> = values
            .into_iter()
            .map(|(id, data)| (id.to_owned(), Value { data, seen, source: Source::Pushed, fresh_for_s: fresh_for(id) }))
            .collect();
        self.values.entry((target.service.clone(), target.instance)).or_default().extend(values.clone());
        values
    }

    /// The whole description.
    pub fn describe_device(&self) -> Device {
        let mut device = Device::new(self.device.clone(), kind(self.kind), self.name.clone());
        let secured = self.link.as_ref().is_some_and(|link| link.secured || self.paired.is_none());
        device.reach = if secured { Reach::Local } else { Reach::Offline };
        device.services = self.services();
        device.asks = self.asks();
        device.claims = Claims::peer(self.link.as_ref().map(|link| link.address).or(self.last_address));
        device
    }

    /// What of this machine its packets can ask for; all that the protocol knows while it has not said.
    fn asks(&self) -> Vec<String> {
        let known: [(&str, &[&str]); 4] = [
            ("media", &["mpris.request"]),
            ("ringer", &["findmyphone.request"]),
            ("command", &["runcommand.request"]),
            ("input", &["mousepad.request", "presenter"]),
        ];
        let silent = self.outgoing.is_empty();
        let asked = known.into_iter().filter(|(_, kinds)| silent || kinds.iter().any(|kind| self.sends(kind)));
        asked.map(|(service, _)| service.to_owned()).collect()
    }

    fn services(&self) -> Vec<Service> {
        let mut pairing = catalogue::pairing();
        let seen = self.paired.unwrap_or(Timestamp::UNIX_EPOCH);
        let mut say = |id: &str, data: Data| {
            pairing.values.insert(id.to_owned(), Value { data, seen, source: Source::Pushed, fresh_for_s: u64::MAX });
        };
        say("paired", self.paired.is_some().into());
        if let Some(key) = &self.verification {
            say("verification", key.as_str().into());
        }
        let mut services = vec![pairing];
        if self.paired.is_none() {
            return services;
        }
        let single = [
            (self.takes("share.request"), catalogue::files as fn() -> Service),
            (self.shows_storage(), catalogue::storage),
            (self.takes("ping"), catalogue::ping),
            (self.sends("battery"), catalogue::battery),
            (self.takes("clipboard") || self.sends("clipboard"), catalogue::clipboard),
            (self.takes("notification") || self.sends("notification"), catalogue::notifications),
            (self.takes("findmyphone.request"), catalogue::ringer),
            (self.takes("lock.request"), catalogue::screen_lock),
            (self.takes("mousepad.request"), catalogue::input),
            (self.sends("telephony"), catalogue::calls),
            (self.sends("sms.messages"), catalogue::messages),
            (self.sends("contacts.response_vcards"), catalogue::contacts),
            (self.sends("connectivity_report"), catalogue::signal),
            (
                ["battery", "mpris", "systemvolume", "runcommand", "lock"].iter().any(|kind| self.takes(kind)),
                catalogue::mirror,
            ),
        ];
        services.extend(single.into_iter().filter(|(offered, _)| *offered).map(|(_, service)| service()));
        let several = [
            ("media", self.takes("mpris.request"), catalogue::media as fn() -> Service),
            ("volume", self.takes("systemvolume.request"), catalogue::volume),
            ("command", self.takes("runcommand.request"), catalogue::command),
        ];
        for (id, offered, make) in several {
            let instances = self.instances.get(id).map(Vec::as_slice).unwrap_or_default();
            for ((name, label), instance) in instances.iter().zip(0..) {
                if offered && !name.is_empty() {
                    let mut service = make();
                    (service.instance, service.label) = (instance, Some(label.clone()));
                    services.push(service);
                }
            }
        }
        for service in services.iter_mut().skip(1) {
            if let Some(values) = self.values.get(&(service.id.clone(), service.instance)) {
                service.values = values.clone();
            }
        }
        services
    }
}

/// The house's id of a device: stable, and no use to anyone else.
pub(crate) fn device_id(id: &KdeId) -> DeviceId {
    let hash = Sha256::digest(id.as_str().as_bytes());
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    DeviceId::new(format!("kdeconnect-{hex}")).expect("letters, digits and a hyphen are an id")
}

/// Seconds after which a value is stale: batteries and networks tell of changes only.
fn fresh_for(id: &str) -> u64 {
    match id {
        "percent" | "charging" | "low" | "network" | "bars" => 1800,
        "position" => 10,
        _ => 3600,
    }
}

pub(crate) fn kind(kind: DeviceType) -> DeviceKind {
    match kind {
        DeviceType::Desktop => DeviceKind::Computer,
        DeviceType::Laptop => DeviceKind::Laptop,
        DeviceType::Phone => DeviceKind::Phone,
        DeviceType::Tablet => DeviceKind::Tablet,
        DeviceType::Tv => DeviceKind::Tv,
    }
}

pub(crate) fn device_type(kind: DeviceKind) -> DeviceType {
    match kind {
        DeviceKind::Laptop => DeviceType::Laptop,
        DeviceKind::Phone => DeviceType::Phone,
        DeviceKind::Tablet => DeviceType::Tablet,
        DeviceKind::Tv => DeviceType::Tv,
        _ => DeviceType::Desktop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), name.to_uppercase())).collect()
    }

    #[test]
    fn instances_keep_their_numbers_while_others_come_and_go() {
        let mut peer = Peer::new(KdeId::from_bytes([1; 16]), "p".into(), DeviceType::Phone);
        assert!(peer.set_instances("media", named(&["vlc", "spotify"])));
        assert!(!peer.set_instances("media", named(&["vlc", "spotify"])));
        assert!(peer.set_instances("media", named(&["spotify", "mpv"])));
        assert_eq!((peer.instance("media", "spotify"), peer.instance("media", "mpv")), (Some(1), Some(0)));
        assert!(peer.set_instances("media", named(&["spotify"])));
        assert_eq!((peer.wire_name("media", 0), peer.wire_name("media", 1)), (None, Some("spotify")));
    }

    #[test]
    fn ids_are_stable_and_say_nothing() {
        let id = device_id(&KdeId::from_bytes([7; 16]));
        assert_eq!(id, device_id(&KdeId::from_bytes([7; 16])));
        assert!(id.as_str().starts_with("kdeconnect-") && !id.as_str().contains("0707"));
    }
}
