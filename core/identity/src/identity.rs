//! This device's keys and the ids derived from them, kept in `keys.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use accord_model::EntryKey;
use accord_store::{FileError, Vault, private_dir, read_private, remove_drafts, replace_private};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::{base32, from_base32, mac, random};
use crate::key::{Signature, StatementKey, StoredSecret, verify_ed25519};

const FILE: &str = "keys.json";
/// Since this one everything that is to be sealed is; beside keys of [`UNSEALED`] there may be files in plain.
const VERSION: u32 = 2;
const UNSEALED: u32 = 1;
/// Largest file read, in bytes.
pub(crate) const MAX_FILE: u64 = 4 << 20;

/// This device: a transport key (the link's endpoint), a statement key (signs records and approvals),
/// and an install secret from which ids are derived. A value: resets return a new one, what already
/// runs keeps the old.
pub struct Identity {
    transport: SigningKey,
    statement: SigningKey,
    install: Zeroizing<[u8; 16]>,
    resets: Resets,
    /// What is secret was sealed, all of it.
    sealed: bool,
    file: Option<PathBuf>,
}

/// How often ids were reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resets {
    /// The transport key.
    pub transport: u32,
    /// The install secret, and with it every derived id.
    pub install: u32,
    /// Ids derived for one entry.
    pub entries: BTreeMap<EntryKey, u32>,
}

impl Identity {
    /// Reads `dir/keys.json`, or makes new keys and writes it (0600, the folder 0700).
    ///
    /// # Errors
    /// [`FileError`] when others can read the file, when it is damaged, or when it cannot be read or written.
    pub fn load_or_create(dir: &Path) -> Result<Self, FileError> {
        private_dir(dir)?;
        let path = dir.join(FILE);
        remove_drafts(&path);
        if let Some(bytes) = read_private(&path, MAX_FILE)? {
            let stored: Stored = serde_json::from_slice(&bytes)
                .map_err(|error| FileError::Damaged { path: path.clone(), why: error.to_string() })?;
            return stored.open(path);
        }
        let mut identity = Self::generate();
        identity.file = Some(path);
        identity.save()?;
        Ok(identity)
    }

    /// New keys that live in memory only.
    pub fn generate() -> Self {
        Self {
            transport: SigningKey::from_bytes(&Zeroizing::new(random())),
            statement: SigningKey::from_bytes(&Zeroizing::new(random())),
            install: Zeroizing::new(random()),
            resets: Resets::default(),
            sealed: true,
            file: None,
        }
    }

    /// The transport key's 32 secret bytes, for the endpoint.
    pub fn transport_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.transport.to_bytes())
    }
    /// The endpoint id: what paired devices know this device's link by.
    pub fn transport_public(&self) -> [u8; 32] {
        self.transport.verifying_key().to_bytes()
    }
    /// The statement key's public half, as raw Ed25519 bytes.
    pub fn statement_public(&self) -> [u8; 32] {
        self.statement.verifying_key().to_bytes()
    }
    /// The statement key's public half with its algorithm.
    pub fn statement_key(&self) -> StatementKey {
        StatementKey::Ed25519(self.statement_public())
    }
    /// Signs with the statement key. Messages begin with a domain of their own (`accord/…/v1`), so that a
    /// signature for one use is worth nothing in another.
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.statement.sign(message).to_bytes()
    }
    /// Proof that the transport key is held here, in a pairing record or a [`Handover`]: all it signs besides
    /// handshakes.
    pub(crate) fn sign_transport(&self, message: &[u8]) -> Signature {
        self.transport.sign(message).to_bytes()
    }
    pub(crate) fn derive(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        mac(self.install.as_slice(), domain, parts)
    }

    /// Where this device keeps what is secret: files in `folder` that are sealed with a key of this identity's, which stays
    /// when ids are reset. With a `credential`, which lies elsewhere, that is needed too; what was sealed before there was
    /// one is sealed anew. Files in plain are refused, unless these keys are of a version without seals: see
    /// [`Self::is_sealed`].
    pub fn vault(&self, folder: &Path, credential: Option<&[u8]>) -> Vault {
        let secret = Zeroizing::new(self.statement.to_bytes());
        let key = |parts: &[&[u8]]| Zeroizing::new(mac(secret.as_slice(), "accord/vault/v1", parts));
        let vault = match credential {
            None => Vault::new(folder, &key(&[])),
            Some(credential) => Vault::with_earlier(folder, &key(&[credential]), &key(&[])),
        };
        if self.sealed { vault } else { vault.taking_plain() }
    }
    /// Whether everything that is to be sealed was. `false`: an earlier version made these keys, and left files in plain.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }
    /// This device once everything was sealed: its vault takes no file in plain any more, and there is no way back, for that
    /// stands beside the key. Saved.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be saved.
    pub fn all_sealed(&self) -> Result<Self, FileError> {
        let new = Self { sealed: true, ..self.copy() };
        new.save()?;
        Ok(new)
    }

    /// The id this device goes by towards `recipient` under `entry`: 26 characters. Different for every
    /// entry, recipient and epoch; nobody without this device's install secret can link two of them.
    /// Pass [`Self::id_epoch`] for the current one.
    pub fn derived_id(&self, entry: &EntryKey, recipient: &str, epoch: u32) -> String {
        let parts: [&[u8]; 3] = [entry.as_str().as_bytes(), recipient.as_bytes(), &epoch.to_be_bytes()];
        base32(&self.derive("accord/derived-id/v1", &parts)[..16])
    }
    /// How often the ids of `entry` were reset.
    pub fn id_epoch(&self, entry: &EntryKey) -> u32 {
        self.resets.entries.get(entry).copied().unwrap_or(0)
    }
    /// All reset counters.
    pub fn resets(&self) -> &Resets {
        &self.resets
    }

    /// This device with a new transport key, saved. Paired devices no longer find or know it by the old one
    /// and must pair again or be told over a connection that still stands.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be saved; the old key then stays.
    pub fn reset_transport(&self) -> Result<Self, FileError> {
        let mut new = self.copy();
        new.transport = SigningKey::from_bytes(&Zeroizing::new(random()));
        new.resets.transport = new.resets.transport.saturating_add(1);
        new.save()?;
        Ok(new)
    }
    /// This device with a new transport key and a new install secret: everything that others on a network or
    /// a paired device's link could know it by. Saved at once. The statement key stays, it is what paired
    /// devices trust: sign the new transport key with it ([`Self::handover`]) and tell those that are connected.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be saved; everything then stays as it was.
    pub fn reset(&self) -> Result<Self, FileError> {
        let mut new = self.copy();
        new.transport = SigningKey::from_bytes(&Zeroizing::new(random()));
        new.install = Zeroizing::new(random());
        new.resets.transport = new.resets.transport.saturating_add(1);
        new.resets.install = new.resets.install.saturating_add(1);
        new.save()?;
        Ok(new)
    }
    /// What a paired device is told after [`Self::reset`]: this device, until now known by the transport key
    /// `old`, is reached by its present one. Both keys that stay sign it.
    pub fn handover(&self, old: &[u8; 32]) -> Handover {
        let message = handover_message(old, &self.transport_public());
        Handover {
            transport: self.transport_public(),
            by_statement: self.sign(&message),
            by_transport: self.sign_transport(&message),
        }
    }
    /// This device with new ids for one entry, or with a new install secret and so new ids for all; saved.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be saved; the old ids then stay.
    pub fn reset_ids(&self, entry: Option<&EntryKey>) -> Result<Self, FileError> {
        let mut new = self.copy();
        match entry {
            Some(entry) => {
                let epoch = new.resets.entries.entry(entry.clone()).or_default();
                *epoch = epoch.saturating_add(1);
            }
            None => {
                new.install = Zeroizing::new(random());
                new.resets.install = new.resets.install.saturating_add(1);
            }
        }
        new.save()?;
        Ok(new)
    }

    fn copy(&self) -> Self {
        Self {
            transport: self.transport.clone(),
            statement: self.statement.clone(),
            install: self.install.clone(),
            resets: self.resets.clone(),
            sealed: self.sealed,
            file: self.file.clone(),
        }
    }

    fn save(&self) -> Result<(), FileError> {
        let Some(path) = &self.file else { return Ok(()) };
        let key = |key: &SigningKey| StoredKey {
            algorithm: "ed25519".to_owned(),
            secret: StoredSecret(base32(Zeroizing::new(key.to_bytes()).as_slice())),
        };
        let stored = Stored {
            version: if self.sealed { VERSION } else { UNSEALED },
            transport: key(&self.transport),
            statement: key(&self.statement),
            install: StoredSecret(base32(self.install.as_slice())),
            resets: self.resets.clone(),
        };
        // Room for the whole, so that growing leaves no copy of a key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
        serde_json::to_writer_pretty(&mut *bytes, &stored)
            .map_err(|error| FileError::Damaged { path: path.clone(), why: error.to_string() })?;
        replace_private(path, &bytes).map_err(|cause| FileError::Io { path: path.clone(), cause })
    }
}

/// A new transport key in the words of the device that holds it: see [`Identity::handover`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The new key.
    pub transport: [u8; 32],
    /// By the statement key, which stays.
    pub by_statement: Signature,
    /// By the new transport key: nobody can hand over to a key they do not hold.
    pub by_transport: Signature,
}

impl Handover {
    /// True when the device with this statement key, known by the transport key `old`, said so and holds
    /// the new key.
    pub fn is_from(&self, statement: &StatementKey, old: &[u8; 32]) -> bool {
        let message = handover_message(old, &self.transport);
        self.transport != *old
            && statement.verify(&message, &self.by_statement)
            && verify_ed25519(&self.transport, &message, &self.by_transport)
    }
}

fn handover_message(old: &[u8; 32], new: &[u8; 32]) -> Vec<u8> {
    [b"accord/transport/handover/v1".as_slice(), old, new].concat()
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("statement", &self.statement_key().fingerprint()).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    transport: StoredKey,
    statement: StoredKey,
    install: StoredSecret,
    #[serde(default)]
    resets: Resets,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    algorithm: String,
    secret: StoredSecret,
}

impl Stored {
    fn open(self, path: PathBuf) -> Result<Identity, FileError> {
        let damaged = |why: &str| FileError::Damaged { path: path.clone(), why: why.to_owned() };
        if !(UNSEALED..=VERSION).contains(&self.version) {
            return Err(damaged(&format!("version {}, this program knows {VERSION}", self.version)));
        }
        let key = |stored: &StoredKey, what: &str| {
            if stored.algorithm != "ed25519" {
                return Err(damaged(&format!("the {what} key has an algorithm that this program does not know")));
            }
            let bytes = from_base32::<32>(&stored.secret.0).map(Zeroizing::new);
            let bytes = bytes.ok_or_else(|| damaged(&format!("the {what} key is not 32 bytes in base32")))?;
            Ok(SigningKey::from_bytes(&bytes))
        };
        Ok(Identity {
            transport: key(&self.transport, "transport")?,
            statement: key(&self.statement, "statement")?,
            install: from_base32(&self.install.0)
                .map(Zeroizing::new)
                .ok_or_else(|| damaged("the install id is not 16 bytes in base32"))?,
            resets: self.resets,
            sealed: self.version != UNSEALED,
            file: Some(path),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entry(text: &str) -> EntryKey {
        EntryKey::new(text).unwrap()
    }

    #[test]
    fn keys_survive_a_restart_in_a_file_that_only_the_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("config");
        let one = Identity::load_or_create(&dir).unwrap();
        let two = Identity::load_or_create(&dir).unwrap();
        assert_eq!(*one.transport_secret(), *two.transport_secret());
        assert_eq!(one.statement_key(), two.statement_key());
        assert_eq!(one.install, two.install);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(FILE))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        let file = dir.path().join(FILE);
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Identity::load_or_create(dir.path()).unwrap_err();
            assert!(matches!(error, FileError::Exposed { .. }), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_link_or_a_damaged_file_is_refused_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert!(matches!(Identity::load_or_create(dir.path()), Err(FileError::NotOurs { .. })));
        std::fs::remove_file(&file).unwrap();
        for bad in ["", "{}", "[]", "{\"version\":1,\"transport\":{}}"] {
            replace_private(&file, bad.as_bytes()).unwrap();
            assert!(matches!(Identity::load_or_create(dir.path()), Err(FileError::Damaged { .. })));
            assert_eq!(std::fs::read(&file).unwrap(), bad.as_bytes());
        }
    }

    #[test]
    fn derived_ids_differ_by_entry_recipient_and_epoch_and_can_be_reset() {
        let dir = tempfile::tempdir().unwrap();
        let me = Identity::load_or_create(dir.path()).unwrap();
        let (send, link) = (entry("files/send"), entry("link/discovery"));
        let base = me.derived_id(&send, "device:a", 0);
        assert_eq!(base.len(), 26);
        assert_eq!(base, me.derived_id(&send, "device:a", 0));
        assert_ne!(base, me.derived_id(&link, "device:a", 0));
        assert_ne!(base, me.derived_id(&send, "device:b", 0));
        assert_ne!(base, me.derived_id(&send, "device:a", 1));

        me.reset_ids(Some(&send)).unwrap();
        let me = Identity::load_or_create(dir.path()).unwrap();
        assert_eq!((me.id_epoch(&send), me.id_epoch(&link)), (1, 0));
        let new = me.reset_ids(None).unwrap();
        assert_ne!(new.derived_id(&send, "device:a", 0), base);
        let new = new.reset_transport().unwrap();
        assert_ne!(new.transport_public(), me.transport_public());
        assert_eq!(new.statement_key(), me.statement_key());
        assert_eq!(Identity::load_or_create(dir.path()).unwrap().transport_public(), new.transport_public());
    }

    #[test]
    fn after_a_reset_nothing_is_as_before_but_the_statement_key_which_hands_over() {
        let dir = tempfile::tempdir().unwrap();
        let old = Identity::load_or_create(dir.path()).unwrap();
        let new = old.reset().unwrap();
        assert_ne!(new.transport_public(), old.transport_public());
        assert_ne!(new.announcement_id(7), old.announcement_id(7));
        assert_eq!(new.statement_key(), old.statement_key());
        assert_eq!(Identity::load_or_create(dir.path()).unwrap().transport_public(), new.transport_public());
        assert_eq!((new.resets().transport, new.resets().install), (1, 1));

        let (key, was) = (old.statement_key(), old.transport_public());
        let said = new.handover(&was);
        assert!(said.is_from(&key, &was));
        assert!(!said.is_from(&Identity::generate().statement_key(), &was), "another device's word");
        assert!(!said.is_from(&key, &[1; 32]), "for another old key");
        let mut stolen = said.clone();
        stolen.transport = Identity::generate().transport_public();
        stolen.by_statement = old.sign(&handover_message(&was, &stolen.transport));
        assert!(!stolen.is_from(&key, &was), "a key that is not held");
        assert!(!old.handover(&was).is_from(&key, &was), "the same key is no new one");
    }

    #[test]
    fn what_it_sealed_opens_after_a_reset_too_and_not_for_another_identity_or_without_the_credential() {
        let (config, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let me = Identity::load_or_create(config.path()).unwrap();
        let vault = |me: &Identity, credential| me.vault(data.path(), credential).folder("lab").json("added.json", 100);
        let read = |me: &Identity, credential| vault(me, credential).load::<Vec<String>>().ok();
        vault(&me, None).save(&["token"]).unwrap();
        let me = me.reset().unwrap();
        let kept = Some(vec!["token".to_owned()]);
        assert_eq!((read(&me, None), read(&Identity::generate(), None)), (kept.clone(), None));
        assert_eq!(read(&me, Some(b"from elsewhere")), kept);
        assert_eq!((read(&me, None), read(&me, Some(b"another"))), (None, None), "it was sealed anew");
        assert_eq!(read(&me, Some(b"from elsewhere")), kept);
    }

    #[test]
    fn a_file_in_plain_is_taken_only_until_everything_was_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let me = Identity::load_or_create(dir.path()).unwrap();
        assert!(me.is_sealed(), "new keys have nothing in plain beside them");
        let load = |me: &Identity| me.vault(dir.path(), None).json("added.json", 100).load::<Vec<String>>();
        let plant = || replace_private(&dir.path().join("added.json"), br#"["planted"]"#).unwrap();
        plant();
        assert!(load(&me).unwrap_err().to_string().contains("not sealed"));
        // Keys of a version without seals.
        let keys = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let of_before = keys.replace("\"version\": 2", "\"version\": 1");
        assert_ne!(of_before, keys);
        replace_private(&dir.path().join(FILE), of_before.as_bytes()).unwrap();
        let before = Identity::load_or_create(dir.path()).unwrap();
        assert!(!before.is_sealed() && before.statement_key() == me.statement_key());
        assert_eq!(load(&before).unwrap(), ["planted"]);
        let before = before.reset().unwrap();
        assert!(!Identity::load_or_create(dir.path()).unwrap().is_sealed(), "a reset seals nothing");
        before.all_sealed().unwrap();
        let me = Identity::load_or_create(dir.path()).unwrap().reset().unwrap();
        assert!(me.is_sealed() && Identity::load_or_create(dir.path()).unwrap().is_sealed());
        plant();
        assert!(load(&me).unwrap_err().to_string().contains("not sealed"));
    }

    #[test]
    fn nothing_printed_of_an_identity_holds_a_secret() {
        let me = Identity::generate();
        let shown = format!("{me:?}");
        assert!(!shown.contains(&base32(me.transport_secret().as_slice())), "{shown}");
        assert!(me.statement_key().verify(b"m", &me.sign(b"m")));
        assert!(!me.statement_key().verify(b"n", &me.sign(b"m")));
    }
}
