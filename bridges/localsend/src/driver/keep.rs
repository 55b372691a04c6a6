//! What is kept on disk, sealed, in a folder of its own: our certificate, and the devices that the owner trusts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use accord_model::{DeviceId, DeviceKind, Timestamp};
use accord_store::{JsonFile, Vault, private_dir};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::core::Identity;

/// Most devices that can be trusted.
const MOST: usize = 1024;
/// Largest file, in bytes.
const LARGEST: u64 = 4 << 20;

/// A device that the owner trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trusted {
    /// As it is announced.
    pub fingerprint: String,
    pub name: String,
    pub kind: DeviceKind,
    /// Whether it proved to own the certificate with that fingerprint.
    pub verified: bool,
    pub since: Timestamp,
    /// Where it was last, and when that was noted.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
    #[serde(default)]
    pub seen: Option<Timestamp>,
}

/// The folder.
pub(crate) struct Keep {
    file: JsonFile,
    trusted: BTreeMap<DeviceId, Trusted>,
}

#[derive(Serialize, Deserialize)]
struct StoredIdentity {
    certificate: String,
    key: String,
}

impl Drop for StoredIdentity {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Keep {
    /// Opens or makes the folder, and the identity in it.
    pub(crate) fn open(folder: &Vault) -> Result<(Self, Identity), String> {
        private_dir(folder.path()).map_err(|error| error.to_string())?;
        let identity = identity(&folder.json("identity.json", LARGEST))?;
        let file = folder.json("trusted.json", LARGEST);
        let trusted = file.load().map_err(|error| unusable(&file, &error))?;
        Ok((Self { file, trusted }, identity))
    }

    pub(crate) fn trusted(&self) -> impl Iterator<Item = (&DeviceId, &Trusted)> {
        self.trusted.iter()
    }
    pub(crate) fn is_trusted(&self, device: &DeviceId) -> Option<&Trusted> {
        self.trusted.get(device)
    }

    /// Trusts a device from now on, or not any more. Kept once it returns.
    pub(crate) fn set(&mut self, device: &DeviceId, trusted: Option<Trusted>) -> Result<(), String> {
        let mut all = self.trusted.clone();
        match trusted {
            Some(_) if all.len() >= MOST && !all.contains_key(device) => {
                return Err(format!("more than {MOST} devices are trusted; forget some first"));
            }
            Some(trusted) => drop(all.insert(device.clone(), trusted)),
            None => drop(all.remove(device)),
        }
        self.file.save(&all).map_err(|error| unusable(&self.file, &error))?;
        self.trusted = all;
        Ok(())
    }
}

fn identity(file: &JsonFile) -> Result<Identity, String> {
    let Some(stored) = file.load::<Option<StoredIdentity>>().map_err(|error| unusable(file, &error))? else {
        let made = Identity::generate(SystemTime::now()).map_err(|error| error.to_string())?;
        let stored = StoredIdentity { certificate: BASE64.encode(made.certificate()), key: BASE64.encode(made.key()) };
        file.save(&stored).map_err(|error| unusable(file, &error))?;
        return Ok(made);
    };
    let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|error| damaged(file, &error.to_string()));
    let (certificate, key) = (decode(&stored.certificate)?, Zeroizing::new(decode(&stored.key)?));
    Identity::load(certificate, key, SystemTime::now()).map_err(|error| unusable(file, &error))
}

fn damaged(file: &JsonFile, why: &str) -> String {
    format!("{} is damaged ({why}); move it away and start again", file.path().display())
}

fn unusable(file: &JsonFile, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", file.path().display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn certificate_and_trust_survive_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::new(dir.path(), &[7; 32]).taking_plain().folder("localsend");
        let folder = dir.path().join("localsend");
        let (mut keep, identity) = Keep::open(&vault).unwrap();
        let id = DeviceId::new("localsend-1").unwrap();
        let (name, kind, fingerprint) = ("Phone".to_owned(), DeviceKind::Phone, "AB".repeat(32));
        let (since, addresses) = (Timestamp::UNIX_EPOCH, vec!["10.0.0.2:53317".parse().unwrap()]);
        let trusted = Trusted { fingerprint, name, kind, verified: true, since, addresses, seen: None };
        keep.set(&id, Some(trusted.clone())).unwrap();
        let (mut again, same) = Keep::open(&vault).unwrap();
        assert_eq!((same.fingerprint(), again.is_trusted(&id)), (identity.fingerprint(), Some(&trusted)));
        for file in ["identity.json", "trusted.json"] {
            assert_eq!(std::fs::metadata(folder.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
        let key = BASE64.encode(identity.key());
        let has_key = || String::from_utf8_lossy(&std::fs::read(folder.join("identity.json")).unwrap()).contains(&key);
        assert!(!has_key(), "it is sealed");
        // As earlier versions left it.
        let plain = vault.read("identity.json", LARGEST).unwrap().unwrap().bytes;
        std::fs::write(folder.join("identity.json"), &plain).unwrap();
        assert!(has_key() && Keep::open(&vault).unwrap().1.fingerprint() == identity.fingerprint());
        assert!(!has_key(), "it is sealed once it was read");
        again.set(&id, None).unwrap();
        assert_eq!(Keep::open(&vault).unwrap().0.trusted().count(), 0);
        std::fs::write(folder.join("trusted.json"), "{").unwrap();
        assert!(Keep::open(&vault).err().unwrap().contains("trusted.json: it is damaged"));
    }
}
