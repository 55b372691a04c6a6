//! What is kept on disk, 0600, in a folder of its own: our certificate, and the devices that the owner trusts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use accord_identity::secret_file;
use accord_model::{DeviceId, DeviceKind, Timestamp};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::core::Identity;

/// Most devices that can be trusted.
const MOST: usize = 1024;

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
    folder: PathBuf,
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
    pub(crate) fn open(folder: &Path) -> Result<(Self, Identity), String> {
        secret_file::private_dir(folder).map_err(|error| error.to_string())?;
        let identity = identity(&folder.join("identity.json"))?;
        let file = folder.join("trusted.json");
        let trusted = match secret_file::read(&file).map_err(|error| error.to_string())? {
            None => BTreeMap::new(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(&file, &error.to_string()))?,
        };
        Ok((Self { folder: folder.to_owned(), trusted }, identity))
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
        let bytes = serde_json::to_vec_pretty(&all).map_err(|error| error.to_string())?;
        secret_file::write(&self.folder.join("trusted.json"), &bytes).map_err(|error| error.to_string())?;
        self.trusted = all;
        Ok(())
    }
}

fn identity(file: &Path) -> Result<Identity, String> {
    let Some(bytes) = secret_file::read(file).map_err(|error| error.to_string())? else {
        let made = Identity::generate(SystemTime::now()).map_err(|error| error.to_string())?;
        let stored = StoredIdentity { certificate: BASE64.encode(made.certificate()), key: BASE64.encode(made.key()) };
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
        serde_json::to_writer_pretty(&mut *bytes, &stored).map_err(|error| error.to_string())?;
        secret_file::write(file, &bytes).map_err(|error| error.to_string())?;
        return Ok(made);
    };
    let stored: StoredIdentity = serde_json::from_slice(&bytes).map_err(|error| damaged(file, &error.to_string()))?;
    let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|error| damaged(file, &error.to_string()));
    let (certificate, key) = (decode(&stored.certificate)?, Zeroizing::new(decode(&stored.key)?));
    Identity::load(certificate, key, SystemTime::now()).map_err(|error| format!("{}: {error}", file.display()))
}

fn damaged(file: &Path, why: &str) -> String {
    format!("{} is damaged ({why}); move it away and start again", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn certificate_and_trust_survive_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("localsend");
        let (mut keep, identity) = Keep::open(&folder).unwrap();
        let id = DeviceId::new("localsend-1").unwrap();
        let (name, kind, fingerprint) = ("Phone".to_owned(), DeviceKind::Phone, "AB".repeat(32));
        let (since, addresses) = (Timestamp::UNIX_EPOCH, vec!["10.0.0.2:53317".parse().unwrap()]);
        let trusted = Trusted { fingerprint, name, kind, verified: true, since, addresses, seen: None };
        keep.set(&id, Some(trusted.clone())).unwrap();
        let (mut again, same) = Keep::open(&folder).unwrap();
        assert_eq!((same.fingerprint(), again.is_trusted(&id)), (identity.fingerprint(), Some(&trusted)));
        for file in ["identity.json", "trusted.json"] {
            assert_eq!(std::fs::metadata(folder.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
        again.set(&id, None).unwrap();
        assert_eq!(Keep::open(&folder).unwrap().0.trusted().count(), 0);
        std::fs::write(folder.join("trusted.json"), "{").unwrap();
        assert!(Keep::open(&folder).err().unwrap().contains("trusted.json is damaged"));
    }
}
