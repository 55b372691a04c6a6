//! By whom a device's maker has to be vouched for: the attestation roots that Accord comes with, those that the owner put into
//! a folder beside them, and, if the owner said so for a device, those that the standard's authors gave away for tests.
//!
//! Matter Core Specification 1.4: 6.2 (device attestation), 6.3 (certification declaration).

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use accord_model::text::for_screen;
use matter_commissioning::{CdSigningRoots, Paa, PaaTrustStore};

use super::roots;

/// Certificates in a folder, and bytes of each.
const MOST: usize = 1024;
const LARGEST: u64 = 16 * 1024;

/// Whom a device's certificates have to come from.
pub(crate) struct Trust {
    pub makers: PaaTrustStore,
    pub certifiers: CdSigningRoots,
}

impl Trust {
    /// Those of [`roots`], and the owner's: `makers` and `certifiers` in the folder, DER each.
    ///
    /// # Errors
    /// In words, with the file that is none.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, String> {
        let mut makers = PaaTrustStore::empty();
        roots::makers().for_each(|root| makers.add(root));
        for (name, der) in read(&folder.join("makers"))? {
            makers.add(Paa::from_der(&der).map_err(|_| format!("{name} in {} is no root", folder.display()))?);
        }
        let owners = read(&folder.join("certifiers"))?.into_iter().map(|(_, der)| der);
        let certifiers: Vec<Vec<u8>> = roots::certifiers().chain(owners).collect();
        let ders: Vec<&[u8]> = certifiers.iter().map(Vec::as_slice).collect();
        let certifiers = CdSigningRoots::from_cert_der(&ders)
            .map_err(|_| format!("one of the certificates in {} is none", folder.join("certifiers").display()))?;
        Ok(Self { makers, certifiers })
    }

    /// The same, for a task that others wait beside: there may be many files.
    pub(crate) async fn read(folder: PathBuf) -> Result<Self, String> {
        let read = tokio::task::spawn_blocking(move || Self::of_folder(&folder)).await;
        read.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Something that is different once the owner put something into the folder, or took something out of it.
    pub(crate) async fn mark(folder: PathBuf) -> u64 {
        tokio::task::spawn_blocking(move || mark(&folder)).await.unwrap_or_default()
    }

    /// Those of test devices and of devices that somebody built: their keys are public, so that they prove nothing.
    pub(crate) fn of_tests() -> Self {
        Self {
            makers: PaaTrustStore::with_example_device_roots(),
            certifiers: CdSigningRoots::with_example_device_roots(),
        }
    }
}

fn mark(folder: &Path) -> u64 {
    let mut files = BTreeSet::new();
    for folder in ["makers", "certifiers"].map(|name| folder.join(name)) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(2 * MOST) {
            let about = entry.metadata().ok().map(|about| (about.len(), about.modified().ok()));
            files.insert((entry.path(), about));
        }
    }
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

fn read(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.extension().is_none_or(|extension| extension != "der") {
            continue;
        }
        if found.len() >= MOST {
            return Err(format!("{} has more than {MOST} certificates", folder.display()));
        }
        let mut der = Vec::new();
        let file = std::fs::File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        file.take(LARGEST + 1).read_to_end(&mut der).map_err(|error| format!("{}: {error}", path.display()))?;
        if der.len() as u64 > LARGEST {
            return Err(format!("{} is larger than {LARGEST} bytes, and no certificate is", path.display()));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        found.push((for_screen(&name, 60), der));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_ours_and_what_the_owner_put_there_and_what_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let ours = roots::makers().count();
        let trust = Trust::of_folder(dir.path()).unwrap();
        assert_eq!(trust.makers.len(), ours);
        let tests = Trust::of_tests();
        let known = |one: &Paa| trust.makers.iter().any(|other| other.der() == one.der());
        assert!(!tests.makers.iter().any(known), "roots of tests are believed when the owner says so, and not else");
        std::fs::create_dir(dir.path().join("makers")).unwrap();
        let root = Trust::of_tests().makers.iter().next().unwrap().der().to_vec();
        std::fs::write(dir.path().join("makers/lab.der"), root).unwrap();
        std::fs::write(dir.path().join("makers/README"), "none").unwrap();
        assert_eq!(Trust::of_folder(dir.path()).unwrap().makers.len(), ours + 1);
        std::fs::write(dir.path().join("makers/bad.der"), "none").unwrap();
        let why = Trust::of_folder(dir.path()).err().unwrap();
        assert!(why.contains("bad.der"), "{why}");
        std::fs::write(dir.path().join("makers/bad.der"), vec![0; 20_000]).unwrap();
        let why = Trust::of_folder(dir.path()).err().unwrap();
        assert!(why.contains("bad.der is larger"), "{why}");
    }

    #[tokio::test]
    async fn that_the_owner_put_a_root_there_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mark = || Trust::mark(dir.path().to_owned());
        let before = mark().await;
        assert_eq!(mark().await, before);
        std::fs::create_dir(dir.path().join("makers")).unwrap();
        std::fs::write(dir.path().join("makers/one.der"), "1").unwrap();
        let with = mark().await;
        assert_ne!(with, before);
        std::fs::write(dir.path().join("makers/one.der"), "12").unwrap();
        assert_ne!(mark().await, with);
    }
}
