//! The fabric: who this machine is to the devices that it added, and by what they know one another. Made once, kept in a
//! sealed file; whoever can open that file can control all of them.
//!
//! Matter Core Specification 1.4: 6.4 (node operational credentials), 4.14.2 (CASE), 4.15.2 (the identity protection key).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use accord_ports::Secret;
use accord_store::{JsonFile, Vault, create_private_dir};
use matter_cert::{MatterCertificate, MatterTime, TrustAnchor, TrustedRoots};
use matter_commissioning::{FabricRecord, NocRng, SystemNocRng, VerifiedCsr, issue_noc};
use matter_crypto::{CaseCredentials, RingSigner, Signer, derive_compressed_fabric_id, derive_operational_ipk};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Largest file of a fabric.
const LARGEST: u64 = 64 * 1024;
/// The only certificate authority of the fabric.
const AUTHORITY: u64 = 1;
/// Devices' clocks are behind.
const EARLIER_S: u64 = 3600;
/// Of a device's maker; a controller that is none gives this one (the standard's for tests and for those without).
pub(super) const VENDOR: u16 = 0xfff1;

/// As on disk. Keys are PKCS#8, certificates TLV, all in hexadecimal digits.
#[derive(Serialize, Deserialize, Default)]
struct Kept {
    fabric: u64,
    node: u64,
    root: String,
    root_key: Option<Secret>,
    own: String,
    own_key: Option<Secret>,
    ipk: Option<Secret>,
    /// The number of the next device.
    next: u64,
    /// It was at least that late when something was signed, in seconds since 1970: it is never earlier again.
    #[serde(default)]
    latest: u64,
}

/// The fabric. It has no `Debug`: keys are in it.
pub(crate) struct Fabric {
    kept: Mutex<Kept>,
    file: JsonFile,
    id: u64,
    node: u64,
    record: FabricRecord,
    own: MatterCertificate,
    own_key: Zeroizing<Vec<u8>>,
    ipk: Zeroizing<[u8; 16]>,
    compressed: [u8; 8],
}

impl Fabric {
    /// Reads it, or makes one.
    ///
    /// # Errors
    /// In words, with the file; no key is repeated.
    pub(crate) fn open(folder: &Vault) -> Result<Self, String> {
        create_private_dir(folder.path()).map_err(|error| error.to_string())?;
        let file = folder.json("fabric.json", LARGEST);
        let path = file.path().display().to_string();
        let mut kept: Kept = file.load().map_err(|error| format!("{path}: {error}"))?;
        if kept.root_key.is_none() {
            kept = make().map_err(|why| format!("a Matter fabric cannot be made: {why}"))?;
            file.save(&kept).map_err(|error| format!("{path}: {error}"))?;
        }
        let damaged = |why: String| format!("{path} is damaged ({why}); with a copy of it devices are reached again");
        Self::of(kept, file).map_err(damaged)
    }

    fn of(kept: Kept, file: JsonFile) -> Result<Self, String> {
        let root_key = key(kept.root_key.as_ref())?;
        let signer = RingSigner::from_pkcs8(&root_key).map_err(words)?;
        let root_cert = MatterCertificate::from_tlv(&bytes(&kept.root)?).map_err(words)?;
        let ipk: [u8; 16] = key(kept.ipk.as_ref())?.as_slice().try_into().map_err(words)?;
        let record = FabricRecord {
            fabric_id: kept.fabric,
            root_public_key: root_cert.public_key().clone(),
            root_signer: Arc::new(signer),
            root_cert,
            icac_signer: None,
            icac_cert: None,
            identity_protection_key: ipk,
        };
        let own = MatterCertificate::from_tlv(&bytes(&kept.own)?).map_err(words)?;
        let compressed = derive_compressed_fabric_id(record.root_public_key.as_bytes(), kept.fabric).map_err(words)?;
        let own_key = key(kept.own_key.as_ref())?;
        let (id, node) = (kept.fabric, kept.node);
        Ok(Self { kept: Mutex::new(kept), file, id, node, record, own, own_key, ipk: Zeroizing::new(ipk), compressed })
    }

    /// By what its nodes are announced.
    pub(crate) fn compressed(&self) -> [u8; 8] {
        self.compressed
    }
    /// Its number.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
    /// This machine's number in it.
    pub(crate) fn node(&self) -> u64 {
        self.node
    }
    pub(super) fn record(&self) -> &FabricRecord {
        &self.record
    }
    pub(super) fn own(&self) -> &MatterCertificate {
        &self.own
    }
    pub(super) fn own_key(&self) -> &[u8] {
        &self.own_key
    }
    pub(super) fn ipk(&self) -> [u8; 16] {
        *self.ipk
    }

    /// The number of the next device; none is given twice, not after a crash either.
    ///
    /// # Errors
    /// What the system says when it cannot be kept.
    pub(crate) fn next(&self) -> Result<u64, String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let node = kept.next;
        kept.next = node + 1;
        if let Err(error) = self.file.save(&*kept) {
            kept.next = node;
            return Err(format!("{}: {error}", self.file.path().display()));
        }
        Ok(node)
    }

    /// The time of certificates (3.5.6.1: the last known good time). A machine without a clock of its own begins in the past, where
    /// none of them would hold yet.
    pub(super) fn now(&self) -> MatterTime {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        MatterTime::from_unix_secs(unix().max(kept.latest))
    }

    /// It is at least that late: something is known that was so then.
    pub(crate) fn is_past(&self, then: u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.latest = kept.latest.max(then);
    }

    /// The time for what is signed from now on; it is kept, so that it holds whatever the clock says later.
    ///
    /// Not later than the clock, unless that is before the fabric: makers' certificates end, and a clock may have been ahead.
    pub(super) fn issuing(&self) -> MatterTime {
        let since = self.own.not_before().to_unix_secs();
        let time = unix().max(since);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if time > kept.latest {
            kept.latest = time;
            if let Err(error) = self.file.save(&*kept) {
                tracing::warn!(%error, "the time is not kept: with a clock that is behind, devices are not believed");
            }
        }
        MatterTime::from_unix_secs(time)
    }

    /// Who this machine is, for a handshake with a node, and whom it believes.
    ///
    /// # Errors
    /// In words.
    pub(super) fn credentials(&self) -> Result<(CaseCredentials, TrustedRoots), String> {
        let mut roots = TrustedRoots::new();
        roots.add(TrustAnchor::from_root_cert(&self.record.root_cert));
        let credentials = CaseCredentials {
            noc: self.own.clone(),
            icac: None,
            signer: Box::new(RingSigner::from_pkcs8(&self.own_key).map_err(words)?),
            fabric_id: self.id,
            node_id: self.node,
            ipk: derive_operational_ipk(&self.ipk, &self.compressed).map_err(words)?,
            rcac_public_key: *self.record.root_public_key.as_bytes(),
        };
        Ok((credentials, roots))
    }
}

fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|passed| passed.as_secs()).unwrap_or_default()
}

fn make() -> Result<Kept, String> {
    let number = || -> Result<u64, String> {
        let mut bytes = [0; 8];
        SystemNocRng.fill(&mut bytes).map_err(words)?;
        // Numbers of nodes end at 0xffff_ffef_ffff_ffff (2.5.5.1); zero is none.
        Ok((u64::from_be_bytes(bytes) >> 1).max(1))
    };
    let since = MatterTime::from_unix_secs(unix().saturating_sub(EARLIER_S));
    let (fabric, node) = (number()?, number()?);
    let (signer, root_key) = RingSigner::generate().map_err(words)?;
    let root_key = Zeroizing::new(root_key);
    let signer: Arc<dyn Signer> = Arc::new(signer);
    let record = FabricRecord::new_root_only(fabric, signer, since, MatterTime::NO_EXPIRY, AUTHORITY, &SystemNocRng);
    let record = record.map_err(words)?;
    let (own, own_key) = RingSigner::generate().map_err(words)?;
    let own_key = Zeroizing::new(own_key);
    let verified = VerifiedCsr { public_key: own.public_key().clone() };
    let certificate = issue_noc(&record, &verified, node, &[], (since, MatterTime::NO_EXPIRY), &SystemNocRng);
    let certificate = certificate.map_err(words)?;
    let secret = |bytes: &[u8]| Some(Secret::from(hex(bytes)));
    Ok(Kept {
        fabric,
        node,
        root: hex(&record.root_cert.to_tlv().map_err(words)?),
        root_key: secret(&root_key),
        own: hex(&certificate.to_tlv().map_err(words)?),
        own_key: secret(&own_key),
        ipk: secret(&record.identity_protection_key),
        // Far from this machine's own, which is chance.
        next: if node > 1 << 32 { 1 } else { 1 << 33 },
        latest: unix(),
    })
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn bytes(digits: &str) -> Result<Vec<u8>, String> {
    data_encoding::HEXLOWER.decode(digits.as_bytes()).map_err(|_| "no hexadecimal digits".to_owned())
}

fn key(digits: Option<&Secret>) -> Result<Zeroizing<Vec<u8>>, String> {
    let digits = digits.ok_or("a key is missing")?;
    // The decoder's words would have a part of the key.
    Ok(Zeroizing::new(bytes(digits)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn vault(dir: &tempfile::TempDir) -> Vault {
        Vault::new(dir.path(), &[7; 32]).taking_plain()
    }
    /// What is in the file.
    fn plain(dir: &tempfile::TempDir) -> serde_json::Value {
        serde_json::from_slice(&vault(dir).read("fabric.json", LARGEST).unwrap().unwrap().bytes).unwrap()
    }

    #[test]
    fn a_fabric_is_made_once_kept_privately_and_no_number_is_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let fabric = Fabric::open(&vault(&dir)).unwrap();
        let (id, node, compressed) = (fabric.id(), fabric.node(), fabric.compressed());
        let first = fabric.next().unwrap();
        let second = fabric.next().unwrap();
        assert!(first != second && first != node && second != node);
        let file = dir.path().join("fabric.json");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Fabric::open(&vault(&dir)).unwrap();
        assert_eq!((again.id(), again.node(), again.compressed()), (id, node, compressed));
        assert!(again.next().unwrap() > second);
        let (credentials, roots) = again.credentials().unwrap();
        assert_eq!((credentials.node_id, credentials.fabric_id, roots.len()), (node, id, 1));
        assert_eq!(credentials.signer.public_key().as_bytes(), credentials.noc.public_key().as_bytes());
    }

    #[test]
    fn a_clock_that_is_behind_ends_no_certificate_and_one_that_was_ahead_signs_as_late_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let fabric = Fabric::open(&vault(&dir)).unwrap();
        let later = unix() + 1_000_000;
        fabric.is_past(later);
        fabric.is_past(5);
        assert_eq!(fabric.now(), MatterTime::from_unix_secs(later));
        assert!(fabric.issuing().to_unix_secs() <= unix());
        // What was signed last is kept; a file from before that knows of none.
        let fabric = Fabric::open(&vault(&dir)).unwrap();
        assert!(fabric.kept.lock().unwrap().latest + 10 > unix());
        let file = dir.path().join("fabric.json");
        let mut kept = plain(&dir);
        kept.as_object_mut().unwrap().remove("latest");
        std::fs::write(&file, kept.to_string()).unwrap();
        assert!(Fabric::open(&vault(&dir)).unwrap().now().to_unix_secs() + 10 > unix());
    }

    #[test]
    fn a_damaged_file_is_named_without_its_keys_and_another_fabric_is_not_made_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        drop(Fabric::open(&vault(&dir)).unwrap());
        let file = dir.path().join("fabric.json");
        let kept = plain(&dir);
        let (text, key) = (kept.to_string(), kept["own_key"].as_str().unwrap());
        let has = |text: &str| text.contains(key);
        assert!(!has(&String::from_utf8_lossy(&std::fs::read(&file).unwrap())), "it is sealed");
        std::fs::write(&file, &text).unwrap();
        drop(Fabric::open(&vault(&dir)).unwrap());
        assert!(!has(&String::from_utf8_lossy(&std::fs::read(&file).unwrap())), "also what earlier versions left");
        std::fs::write(&file, text.replace(key, &format!("xx{key}"))).unwrap();
        let why = Fabric::open(&vault(&dir)).err().unwrap();
        assert!(why.contains("fabric.json is damaged") && !why.contains(&key[..16]), "{why}");
        assert!(plain(&dir)["own_key"].as_str().unwrap().contains(key));
    }
}
