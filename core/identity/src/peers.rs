//! The paired devices, kept in `peers.json`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use accord_model::{DeviceId, DeviceKind, Timestamp};
use accord_store::{FileError, Vault, private_dir};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::{base32, from_base32, random};
use crate::identity::MAX_FILE;
use crate::key::{PairKey, StatementKey, StoredSecret};

const FILE: &str = "peers.json";
const VERSION: u32 = 1;
/// Most devices one hub is paired with.
pub const MAX_PEERS: usize = 1024;
/// Most addresses remembered of one device.
pub const MAX_ADDRESSES: usize = 8;

/// What this device may receive from a paired one without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoAccept {
    /// Every time asked.
    #[default]
    Ask,
    /// Files and folders are received without asking.
    Always,
}

/// One paired device.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerRecord {
    /// Random, local to this hub.
    pub device_id: DeviceId,
    /// What its records and approvals are signed with.
    pub statement_key: StatementKey,
    /// What its link is known by.
    pub transport_key: [u8; 32],
    /// As it called itself when pairing; safe to show, at most 64 characters.
    pub name: String,
    /// What it said it is.
    pub kind: DeviceKind,
    /// When it was paired.
    pub paired_at: Timestamp,
    /// Until when the pairing counts; for ever when absent.
    pub until: Option<Timestamp>,
    /// Where it was last reached, newest first.
    pub addresses: Vec<SocketAddr>,
    /// What the owner calls it instead.
    pub alias: Option<String>,
    /// The room the owner put it in.
    pub room: Option<String>,
    /// Listed first.
    pub favourite: bool,
    /// Neither called nor answered.
    pub blocked: bool,
    /// What is received from it without asking.
    pub auto_accept: AutoAccept,
    /// The secret shared with it.
    pub pair_key: PairKey,
}

impl PeerRecord {
    /// What to show: the owner's name for it, or its own.
    pub fn shown_name(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
    /// True while the pairing counts: not blocked, not past its end.
    pub fn is_current(&self, now: Timestamp) -> bool {
        !self.blocked && self.until.is_none_or(|until| now < until)
    }
    /// A fresh local id for a device.
    pub fn new_device_id() -> DeviceId {
        DeviceId::new(format!("link-{}", base32(&random::<10>()))).expect("base32 in lower case fits an id")
    }
}

/// Why the list of paired devices cannot be used or changed.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file could not be understood and was put aside.
    #[error(
        "{path} is damaged ({why}); it was kept as {kept}. Restore a backup, or start again with no paired devices"
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where it is now.
        kept: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Not paired.
    #[error("`{0}` is not a paired device")]
    Unknown(DeviceId),
    /// No room.
    #[error("{MAX_PEERS} devices are paired already; forget one first")]
    Full,
}

/// The paired devices. Every change is on disk before it returns.
#[derive(Debug)]
pub struct Peers {
    folder: Vault,
    list: Mutex<Vec<PeerRecord>>,
}

impl Peers {
    /// Reads `peers.json` of the folder, where it is sealed; no file means no paired devices.
    ///
    /// # Errors
    /// [`PeersError::Corrupt`] when the file is damaged. It has then been renamed to
    /// `peers.json.corrupt-<time>`, and the next call starts with none.
    pub fn open(folder: &Vault) -> Result<Self, PeersError> {
        private_dir(folder.path())?;
        let path = folder.path().join(FILE);
        let list = match folder.read(FILE, MAX_FILE) {
            Ok(None) => Vec::new(),
            Ok(Some(found)) => match parse(&found.bytes) {
                Ok(list) => {
                    folder.renew(FILE, &found);
                    list
                }
                Err(why) => return Err(put_aside(path, why)),
            },
            Err(FileError::Damaged { why, .. }) => return Err(put_aside(path, why)),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { folder: folder.clone(), list: Mutex::new(list) })
    }

    /// All paired devices, in the order they were paired.
    pub fn list(&self) -> Vec<PeerRecord> {
        self.lock().clone()
    }
    /// One by its local id.
    pub fn get(&self, id: &DeviceId) -> Option<PeerRecord> {
        self.find(|peer| peer.device_id == *id)
    }
    /// One by its link's key.
    pub fn by_transport(&self, key: &[u8; 32]) -> Option<PeerRecord> {
        self.find(|peer| peer.transport_key == *key)
    }
    /// One by its statement key.
    pub fn by_statement(&self, key: &StatementKey) -> Option<PeerRecord> {
        self.find(|peer| peer.statement_key == *key)
    }

    /// Adds a device after pairing. One with the same statement key is the same device paired again: it
    /// keeps its local id and what the owner set. Returns the record as kept.
    ///
    /// # Errors
    /// [`PeersError::Full`], or [`PeersError::File`] when it cannot be saved; nothing is changed then.
    pub fn insert(&self, mut record: PeerRecord) -> Result<PeerRecord, PeersError> {
        bound(&mut record);
        let mut list = self.lock();
        let mut new = list.clone();
        // A key of another record can only be there by mistake or malice: the proven one takes its place.
        new.retain(|peer| peer.statement_key == record.statement_key || peer.transport_key != record.transport_key);
        let count = new.len();
        match new.iter_mut().find(|peer| peer.statement_key == record.statement_key) {
            Some(old) => {
                record.device_id = old.device_id.clone();
                record.alias = record.alias.or(old.alias.take());
                record.room = record.room.or(old.room.take());
                record.favourite |= old.favourite;
                record.auto_accept = old.auto_accept;
                *old = record.clone();
            }
            None if count >= MAX_PEERS => return Err(PeersError::Full),
            None => new.push(record.clone()),
        }
        self.save(&new)?;
        *list = new;
        Ok(record)
    }

    /// Changes one record. Its ids and keys stay what they are. Saves only when something changed.
    ///
    /// # Errors
    /// [`PeersError::Unknown`], or [`PeersError::File`] when it cannot be saved; nothing is changed then.
    pub fn update(&self, id: &DeviceId, change: impl FnOnce(&mut PeerRecord)) -> Result<PeerRecord, PeersError> {
        self.change(id, |peer| {
            let keys = (peer.device_id.clone(), peer.statement_key, peer.transport_key, peer.pair_key.clone());
            change(peer);
            (peer.device_id, peer.statement_key, peer.transport_key, peer.pair_key) = keys;
        })
    }
    /// Notes that a device was reached at `address`.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn note_address(&self, id: &DeviceId, address: SocketAddr) -> Result<(), PeersError> {
        let note = |peer: &mut PeerRecord| {
            if peer.addresses.first() != Some(&address) {
                peer.addresses.retain(|known| *known != address);
                peer.addresses.insert(0, address);
            }
        };
        self.update(id, note).map(drop)
    }
    /// A device has a new transport key, as its [`crate::Handover`] proved. Addresses of before are of no more use.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn set_transport(&self, id: &DeviceId, key: [u8; 32]) -> Result<PeerRecord, PeersError> {
        self.change(id, |peer| peer.transport_key = key)
    }
    /// Forgets a device. Returns what was known of it.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn remove(&self, id: &DeviceId) -> Result<PeerRecord, PeersError> {
        let mut list = self.lock();
        let mut new = list.clone();
        let at = new.iter().position(|peer| peer.device_id == *id).ok_or_else(|| PeersError::Unknown(id.clone()))?;
        let removed = new.remove(at);
        self.save(&new)?;
        *list = new;
        Ok(removed)
    }

    fn change(&self, id: &DeviceId, change: impl FnOnce(&mut PeerRecord)) -> Result<PeerRecord, PeersError> {
        let mut list = self.lock();
        let mut new = list.clone();
        let peer = new.iter_mut().find(|peer| peer.device_id == *id);
        let peer = peer.ok_or_else(|| PeersError::Unknown(id.clone()))?;
        change(peer);
        bound(peer);
        let peer = peer.clone();
        if new != *list {
            self.save(&new)?;
            *list = new;
        }
        Ok(peer)
    }
    fn find(&self, wanted: impl Fn(&PeerRecord) -> bool) -> Option<PeerRecord> {
        self.lock().iter().find(|peer| wanted(peer)).cloned()
    }
    fn lock(&self) -> MutexGuard<'_, Vec<PeerRecord>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn path(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }
    fn save(&self, list: &[PeerRecord]) -> Result<(), FileError> {
        let stored = Stored { version: VERSION, peers: list.iter().map(StoredPeer::from).collect() };
        // Room for the whole, so that growing leaves no copy of a key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096 + list.len() * 2048));
        serde_json::to_writer_pretty(&mut *bytes, &stored)
            .map_err(|error| FileError::Damaged { path: self.path(), why: error.to_string() })?;
        self.folder.replace(FILE, &bytes).map_err(|cause| FileError::Io { path: self.path(), cause })
    }
}

fn bound(record: &mut PeerRecord) {
    record.addresses.truncate(MAX_ADDRESSES);
    record.name = crate::pairing::safe_name(&record.name);
    for text in [&mut record.alias, &mut record.room] {
        *text = text.take().map(|text| crate::pairing::safe_name(&text)).filter(|text| !text.is_empty());
    }
}

fn put_aside(path: PathBuf, why: String) -> PeersError {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut kept = path.with_file_name(format!("{FILE}.corrupt-{now}"));
    if kept.exists() {
        kept = path.with_file_name(format!("{FILE}.corrupt-{now}-{}", base32(&random::<5>())));
    }
    match std::fs::rename(&path, &kept) {
        Ok(()) => PeersError::Corrupt { path, kept, why },
        Err(cause) => PeersError::File(FileError::Io { path, cause }),
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<PeerRecord>, String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if stored.version != VERSION {
        return Err(format!("version {}, this program knows {VERSION}", stored.version));
    }
    if stored.peers.len() > MAX_PEERS {
        return Err(format!("{} devices, at most {MAX_PEERS}", stored.peers.len()));
    }
    stored.peers.into_iter().map(StoredPeer::open).collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    peers: Vec<StoredPeer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPeer {
    device_id: DeviceId,
    statement_key: String,
    transport_key: String,
    name: String,
    kind: DeviceKind,
    paired_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(default)]
    addresses: Vec<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    #[serde(default)]
    favourite: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    auto_accept: AutoAccept,
    pair_key: StoredSecret,
}

impl From<&PeerRecord> for StoredPeer {
    fn from(peer: &PeerRecord) -> Self {
        Self {
            device_id: peer.device_id.clone(),
            statement_key: peer.statement_key.to_string(),
            transport_key: base32(&peer.transport_key),
            name: peer.name.clone(),
            kind: peer.kind,
            paired_at: peer.paired_at,
            until: peer.until,
            addresses: peer.addresses.clone(),
            alias: peer.alias.clone(),
            room: peer.room.clone(),
            favourite: peer.favourite,
            blocked: peer.blocked,
            auto_accept: peer.auto_accept,
            pair_key: StoredSecret(base32(peer.pair_key.bytes())),
        }
    }
}

impl StoredPeer {
    fn open(self) -> Result<PeerRecord, String> {
        let bad = |what: &str| format!("the {what} of `{}` is not 32 bytes in base32", self.device_id);
        let mut record = PeerRecord {
            statement_key: self.statement_key.parse()?,
            transport_key: from_base32(&self.transport_key).ok_or_else(|| bad("transport key"))?,
            pair_key: PairKey::from_bytes(from_base32(&self.pair_key.0).ok_or_else(|| bad("pair key"))?),
            device_id: self.device_id,
            name: self.name,
            kind: self.kind,
            paired_at: self.paired_at,
            until: self.until,
            addresses: self.addresses,
            alias: self.alias,
            room: self.room,
            favourite: self.favourite,
            blocked: self.blocked,
            auto_accept: self.auto_accept,
        };
        bound(&mut record);
        Ok(record)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub(crate) fn record(name: &str) -> PeerRecord {
        PeerRecord {
            device_id: PeerRecord::new_device_id(),
            statement_key: StatementKey::Ed25519(random()),
            transport_key: random(),
            name: name.to_owned(),
            kind: DeviceKind::Phone,
            paired_at: Timestamp::from_second(1_700_000_000).unwrap(),
            until: None,
            addresses: Vec::new(),
            alias: None,
            room: None,
            favourite: false,
            blocked: false,
            auto_accept: AutoAccept::Ask,
            pair_key: PairKey::random(),
        }
    }

    fn vault(dir: &tempfile::TempDir) -> Vault {
        Vault::new(dir.path(), &[7; 32])
    }
    /// Before everything was sealed.
    fn earlier(dir: &tempfile::TempDir) -> Vault {
        vault(dir).taking_plain()
    }

    #[test]
    fn paired_devices_survive_a_restart_with_all_that_is_known_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let peers = Peers::open(&vault(&dir)).unwrap();
        let kept = peers.insert(record("Pixel")).unwrap();
        let id = &kept.device_id;
        peers.note_address(id, "[fe80::1%3]:7".parse().unwrap()).unwrap();
        let change = |peer: &mut PeerRecord| {
            peer.alias = Some("My phone".into());
            peer.auto_accept = AutoAccept::Always;
            peer.until = Some(Timestamp::from_second(1_800_000_000).unwrap());
        };
        let kept = peers.update(id, change).unwrap();
        let again = Peers::open(&vault(&dir)).unwrap();
        assert_eq!(again.list(), std::slice::from_ref(&kept));
        assert_eq!(again.by_transport(&kept.transport_key), Some(kept.clone()));
        assert_eq!(again.by_statement(&kept.statement_key), again.get(id));
        assert!(kept.is_current(kept.paired_at) && !kept.is_current(Timestamp::from_second(1_800_000_000).unwrap()));
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let secret = base32(kept.pair_key.bytes());
        let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!has(&std::fs::read(dir.path().join(FILE)).unwrap()), "it is sealed");
        let plain = vault(&dir).read(FILE, MAX_FILE).unwrap().unwrap().bytes;
        assert!(has(&plain));
        accord_store::replace_private(&dir.path().join(FILE), &plain).unwrap();
        let refused = Peers::open(&vault(&dir)).unwrap_err().to_string();
        assert!(refused.contains("peers.json") && refused.contains("not sealed"), "{refused}");
        assert_eq!(Peers::open(&earlier(&dir)).unwrap().list(), [kept], "as earlier versions left it");
        assert!(!has(&std::fs::read(dir.path().join(FILE)).unwrap()), "it is sealed once it was read");
        let other = Peers::open(&Vault::new(dir.path(), &[8; 32])).unwrap_err().to_string();
        assert!(other.contains("sealed by another hub") && dir.path().join(FILE).exists(), "{other}");
        let id = &again.list()[0].device_id;
        again.remove(id).unwrap();
        assert!(matches!(again.remove(id), Err(PeersError::Unknown(_))));
        assert!(Peers::open(&vault(&dir)).unwrap().list().is_empty());
    }

    #[test]
    fn a_device_paired_again_stays_the_same_device() {
        let dir = tempfile::tempdir().unwrap();
        let peers = Peers::open(&vault(&dir)).unwrap();
        let old = peers.insert(record("Pixel")).unwrap();
        peers.update(&old.device_id, |peer| peer.alias = Some("Mine".into())).unwrap();
        let mut again = record("Pixel 9");
        again.statement_key = old.statement_key;
        let kept = peers.insert(again.clone()).unwrap();
        assert_eq!(kept.device_id, old.device_id);
        assert_eq!(kept.shown_name(), "Mine");
        assert_eq!(kept.pair_key, again.pair_key);
        assert_eq!(peers.list().len(), 1);

        let mut thief = record("other");
        thief.transport_key = kept.transport_key;
        peers.insert(thief.clone()).unwrap();
        assert_eq!(peers.by_transport(&kept.transport_key).unwrap().statement_key, thief.statement_key);
    }

    #[test]
    fn an_update_cannot_change_ids_or_keys_and_names_stay_safe() {
        let dir = tempfile::tempdir().unwrap();
        let peers = Peers::open(&vault(&dir)).unwrap();
        let old = peers.insert(record(" a\u{202e}b\nc ")).unwrap();
        assert_eq!(old.name, "a\u{FFFD}b\u{FFFD}c");
        let new = peers.update(&old.device_id, |peer| {
            peer.transport_key = [0; 32];
            peer.pair_key = PairKey::from_bytes([0; 32]);
            peer.room = Some("x".repeat(5000));
        });
        let new = new.unwrap();
        assert_eq!((new.transport_key, &new.pair_key), (old.transport_key, &old.pair_key));
        assert!(new.room.unwrap().chars().count() <= 64);
        for port in 0..20 {
            peers.note_address(&old.device_id, ([127, 0, 0, 1], port).into()).unwrap();
        }
        let addresses = peers.get(&old.device_id).unwrap().addresses;
        assert_eq!((addresses.len(), addresses[0].port()), (MAX_ADDRESSES, 19));
    }

    #[test]
    fn a_damaged_file_is_kept_aside_and_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for bad in ["", "{", "{\"version\":2,\"peers\":[]}", "{\"version\":1,\"peers\":[{}]}"] {
            accord_store::replace_private(&path, bad.as_bytes()).unwrap();
            let Err(PeersError::Corrupt { kept, .. }) = Peers::open(&earlier(&dir)) else { panic!("{bad}") };
            assert_eq!(std::fs::read_to_string(kept).unwrap(), bad);
            assert!(Peers::open(&vault(&dir)).unwrap().list().is_empty());
        }
    }

    #[test]
    fn a_change_that_cannot_be_saved_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let peers = Peers::open(&vault(&dir)).unwrap();
        let kept = peers.insert(record("Pixel")).unwrap();
        std::fs::remove_dir_all(dir.path()).unwrap();
        std::fs::write(dir.path(), b"in the way").unwrap();
        assert!(peers.remove(&kept.device_id).is_err());
        assert_eq!(peers.list(), [kept]);
        std::fs::remove_file(dir.path()).unwrap();
    }

    #[test]
    fn a_printed_record_does_not_hold_its_secret() {
        let record = record("Pixel");
        let shown = format!("{record:?}");
        assert!(shown.contains("PairKey(secret)"));
        assert!(!shown.contains(&format!("{:?}", record.pair_key.bytes())));
    }
}
