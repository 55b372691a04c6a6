//! What the bridge keeps: its identity and keys, and the paired devices. Sealed files in a folder of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use accord_model::Timestamp;
use accord_store::{JsonFile, Vault, private_dir};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::core::KdeId;
use crate::core::certificate::{OwnCertificate, PeerCertificate};
use crate::core::identity::{DeviceType, Version};
use crate::core::link::{Trust, Trusted};

/// Most paired devices.
const MAX_PAIRED: usize = 256;
/// Largest file, in bytes.
const LARGEST: u64 = 4 << 20;

/// The folder, read.
pub(crate) struct Store {
    list: JsonFile,
    pub certificate: OwnCertificate,
    pub paired: BTreeMap<KdeId, Paired>,
}

/// A paired device, as it was last seen.
#[derive(Debug, Clone)]
pub(crate) struct Paired {
    pub trusted: Trusted,
    pub name: String,
    pub kind: DeviceType,
    pub since: Timestamp,
    /// What both screens showed.
    pub verification: String,
    pub incoming: BTreeSet<String>,
    pub outgoing: BTreeSet<String>,
    pub last: Option<Last>,
}

/// Where and when a device was linked last.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Last {
    pub address: IpAddr,
    pub at: Timestamp,
}

impl Store {
    /// Opens the folder; makes keys when there are none.
    pub fn open(folder: &Vault) -> Result<Self, String> {
        private_dir(folder.path()).map_err(|error| error.to_string())?;
        let (keys, list) = (folder.json("identity.json", LARGEST), folder.json("paired.json", LARGEST));
        let certificate = match keys.load::<Option<SavedKeys>>().map_err(|error| unusable(&keys, &error))? {
            Some(saved) => read_keys(&saved).ok_or_else(|| damaged(&keys))?,
            None => {
                let made = make_keys()?;
                let saved = SavedKeys { certificate: BASE64.encode(made.der()), key: BASE64.encode(made.key()) };
                keys.save(&saved).map_err(|error| unusable(&keys, &error))?;
                made
            }
        };
        if certificate.not_after() < Timestamp::now() {
            tracing::warn!(
                "this computer's KDE Connect certificate has expired, and newer apps refuse it; move {} away to make a \
                 new one, then pair again",
                keys.path().display()
            );
        }
        let saved: Vec<SavedPaired> = list.load().map_err(|error| unusable(&list, &error))?;
        let paired = saved.into_iter().map(SavedPaired::read).collect::<Option<_>>().ok_or_else(|| damaged(&list))?;
        Ok(Self { list, certificate, paired })
    }

    /// Whom links may believe.
    pub fn trust(&self) -> Trust {
        self.paired.iter().map(|(id, paired)| (id.clone(), paired.trusted.clone())).collect()
    }

    /// Remembers a device, durably.
    pub fn keep(&mut self, id: KdeId, paired: Paired) -> Result<(), String> {
        if self.paired.len() >= MAX_PAIRED && !self.paired.contains_key(&id) {
            return Err(format!("{MAX_PAIRED} devices are paired already; unpair one first"));
        }
        self.paired.insert(id, paired);
        self.save()
    }

    /// Forgets a device, durably.
    pub fn forget(&mut self, id: &KdeId) -> Result<(), String> {
        match self.paired.remove(id) {
            Some(_) => self.save(),
            None => Ok(()),
        }
    }

    fn save(&self) -> Result<(), String> {
        let all: Vec<_> = self.paired.iter().map(|(id, paired)| SavedPaired::of(id, paired)).collect();
        self.list.save(&all).map_err(|error| unusable(&self.list, &error))
    }
}

#[derive(Serialize, Deserialize)]
struct SavedKeys {
    certificate: String,
    key: String,
}

impl Drop for SavedKeys {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

#[derive(Serialize, Deserialize)]
struct SavedPaired {
    id: String,
    name: String,
    kind: String,
    certificate: String,
    highest: i64,
    since: Timestamp,
    verification: String,
    #[serde(default)]
    incoming: BTreeSet<String>,
    #[serde(default)]
    outgoing: BTreeSet<String>,
    #[serde(default)]
    last: Option<Last>,
}

impl SavedPaired {
    fn of(id: &KdeId, paired: &Paired) -> Self {
        Self {
            id: id.as_str().to_owned(),
            name: paired.name.clone(),
            kind: paired.kind.as_str().to_owned(),
            certificate: BASE64.encode(paired.trusted.certificate.der()),
            highest: paired.trusted.highest.number(),
            since: paired.since,
            verification: paired.verification.clone(),
            incoming: paired.incoming.clone(),
            outgoing: paired.outgoing.clone(),
            last: paired.last,
        }
    }
    fn read(self) -> Option<(KdeId, Paired)> {
        let certificate = PeerCertificate::parse(&BASE64.decode(self.certificate.as_bytes()).ok()?).ok()?;
        let highest = Version::with(self.highest)?;
        let paired = Paired {
            trusted: Trusted { certificate, highest },
            name: self.name,
            kind: DeviceType::read(&self.kind),
            since: self.since,
            verification: self.verification,
            incoming: self.incoming,
            outgoing: self.outgoing,
            last: self.last,
        };
        Some((KdeId::new(&self.id)?, paired))
    }
}

fn read_keys(saved: &SavedKeys) -> Option<OwnCertificate> {
    let key = Zeroizing::new(BASE64.decode(saved.key.as_bytes()).ok()?);
    OwnCertificate::from_der(&BASE64.decode(saved.certificate.as_bytes()).ok()?, &key).ok()
}

fn make_keys() -> Result<OwnCertificate, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    OwnCertificate::generate(&KdeId::from_bytes(bytes), Timestamp::now()).map_err(|error| error.to_string())
}

fn damaged(file: &JsonFile) -> String {
    let file = file.path().display();
    format!("{file} is damaged; restore it from a backup, or move it away and pair KDE Connect devices again")
}

fn unusable(file: &JsonFile, error: &std::io::Error) -> String {
    format!("{}: {error}", file.path().display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_pairings_survive_a_restart_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Vault::new(dir.path(), &[7; 32]).taking_plain();
        let mut store = Store::open(&folder).unwrap();
        let peer = make_keys().unwrap();
        let certificate = PeerCertificate::parse(peer.der()).unwrap();
        let paired = Paired {
            trusted: Trusted { certificate, highest: Version::V8 },
            name: "Phone".into(),
            kind: DeviceType::Phone,
            since: Timestamp::UNIX_EPOCH,
            verification: "ABCD1234".into(),
            incoming: ["kdeconnect.ping".to_owned()].into(),
            outgoing: BTreeSet::new(),
            last: None,
        };
        store.keep(peer.id().clone(), paired).unwrap();
        let again = Store::open(&folder).unwrap();
        assert_eq!(again.certificate.der(), store.certificate.der());
        assert_eq!((again.trust(), again.paired[peer.id()].verification.as_str()), (store.trust(), "ABCD1234"));
        let keys = dir.path().join("identity.json");
        let key = BASE64.encode(store.certificate.key());
        let has_key = || String::from_utf8_lossy(&std::fs::read(&keys).unwrap()).contains(&key);
        assert!(!has_key(), "it is sealed");
        // As earlier versions left it.
        let plain = folder.read("identity.json", LARGEST).unwrap().unwrap().bytes;
        std::fs::write(&keys, &plain).unwrap();
        assert!(has_key());
        assert_eq!(Store::open(&folder).unwrap().certificate.der(), store.certificate.der());
        assert!(!has_key(), "it is sealed once it was read");
        std::fs::write(&keys, b"{}").unwrap();
        assert!(Store::open(&folder).is_err_and(|error| error.contains("damaged")));
    }
}
