//! A folder whose files are sealed: encrypted and proven with a key of this hub's, so that one of them that gets out by itself
//! (a copied folder, a backup, a program that searches) says nothing, and none can be put in another's place. Whoever has the
//! hub's key file too can open them: that is what the encryption of a disk is for.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a nonce by chance:
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `accord sealed 1` and a line feed |
//! | 8 | which key, see [`Key::id`] |
//! | 24 | nonce |
//! | n | ciphertext |
//! | 16 | tag |
//!
//! The first two and the file's name within the state folder, such as `miio/added.json`, are associated data.
//!
//! A file that is not sealed is refused: whoever can write in the folder, and does not have the key, puts nothing there that is
//! taken for the hub's own. What versions without seals left in plain is sealed [once](Vault::seal_all), and that this is done is
//! kept where the key is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::private::{FileError, read_private, remove_drafts, replace_private};
use crate::{JsonFile, create_private_dir};

const FAMILY: &[u8] = b"accord sealed ";
const MAGIC: &[u8; 16] = b"accord sealed 1\n";
const ID: usize = 8;
const HEAD: usize = MAGIC.len() + ID;
const NONCE: usize = 24;
const TAG: usize = 16;
/// By how much a sealed file is longer than what is in it.
const MORE: usize = HEAD + NONCE + TAG;

/// A folder, and what its files are sealed with. Cheap to clone; its key is never shown.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<Keys>,
    path: PathBuf,
    /// The folder's name within the state folder, with a slash behind it; nothing for the state folder itself.
    name: String,
    /// What an earlier version left in plain is read.
    plain: bool,
}

/// What was read, and whether it still has to be sealed as it is to be: it lay there in plain where that is still taken, or
/// under an earlier key.
pub struct Found {
    /// The content.
    pub bytes: Zeroizing<Vec<u8>>,
    /// An earlier version wrote it.
    pub outdated: bool,
}

struct Keys {
    current: Key,
    earlier: Option<Key>,
}

struct Key(Zeroizing<[u8; 32]>);

/// Why bytes cannot be opened.
#[derive(Debug, PartialEq, Eq)]
enum Closed {
    /// A newer version of the program sealed them.
    Newer,
    /// Another key did.
    Elsewhere,
    /// They are not as they were sealed, or not under this name.
    Broken,
}

impl Key {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }

    /// By which a key is told from others, without telling anything of it: the tag of nothing under a nonce of zeros, which
    /// nothing else is sealed with.
    fn id(&self) -> [u8; ID] {
        let sealed = self.cipher().encrypt_in_place_detached(&XNonce::default(), b"accord/vault/key/v1", &mut []);
        let tag = sealed.expect("nothing is not too long for the cipher");
        tag[..ID].try_into().expect("a tag is longer than that")
    }
}

impl Vault {
    /// The state folder of a hub, with a key that is used for nothing else.
    pub fn new(path: &Path, key: &[u8; 32]) -> Self {
        let keys = Keys { current: Key(Zeroizing::new(*key)), earlier: None };
        Self { keys: Arc::new(keys), path: path.to_owned(), name: String::new(), plain: false }
    }

    /// The same, where files may still be sealed with another key: they are read, and sealed anew.
    pub fn with_earlier(path: &Path, key: &[u8; 32], earlier: &[u8; 32]) -> Self {
        let keys = Keys { current: Key(Zeroizing::new(*key)), earlier: Some(Key(Zeroizing::new(*earlier))) };
        Self { keys: Arc::new(keys), path: path.to_owned(), name: String::new(), plain: false }
    }

    /// The same before everything in it was sealed: what lies there in plain is read too, and sealed then.
    #[must_use]
    pub fn taking_plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// A folder in this one.
    pub fn folder(&self, name: &str) -> Self {
        let Self { keys, path, plain, .. } = self;
        Self { keys: keys.clone(), path: path.join(name), name: format!("{}{name}/", self.name), plain: *plain }
    }

    /// Seals what an earlier version left in plain, of at most `largest` bytes each: the files of this name in this folder, or with
    /// a `*` in front those that end so. What it left of them half written is removed.
    ///
    /// # Errors
    /// [`FileError`] when one of them cannot be read or sealed; it, and what comes after it, is left as it is.
    pub fn seal_all(&self, name: &str, largest: u64) -> Result<(), FileError> {
        let io = |cause| FileError::Io { path: self.path.clone(), cause };
        let names = match name.strip_prefix('*') {
            None => vec![name.to_owned()],
            Some(end) => match std::fs::read_dir(&self.path) {
                Ok(found) => {
                    let found = found.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
                    let found: Vec<_> = found.collect::<io::Result<_>>().map_err(io)?;
                    found.into_iter().flatten().filter(|name| name.ends_with(end) && !name.starts_with('.')).collect()
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(io(error)),
            },
        };
        for name in names {
            let path = self.path.join(&name);
            if let Some(bytes) = read_private(&path, largest)?.filter(|bytes| !bytes.starts_with(FAMILY)) {
                self.replace(&name, &bytes).map_err(|cause| FileError::Io { path: path.clone(), cause })?;
                remove_drafts(&path);
            }
        }
        Ok(())
    }

    /// Where it lies. What is put there by other ways is not sealed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A sealed document in it.
    pub fn json(&self, name: &str, largest: u64) -> JsonFile {
        JsonFile::sealed(self.clone(), name, largest)
    }

    /// What a file holds, of at most `largest` bytes; `None` when there is none. One that is not sealed is refused, but by a vault
    /// that is [taking plain ones](Self::taking_plain). What is [outdated](Found::outdated) should be [sealed anew](Self::renew)
    /// once it is known to be sound.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(&self, name: &str, largest: u64) -> Result<Option<Found>, FileError> {
        let path = self.path.join(name);
        let found = read_private(&path, largest.saturating_add(MORE as u64))?;
        if found.as_ref().is_none_or(|bytes| !bytes.starts_with(FAMILY)) {
            remove_drafts(&path);
        }
        let Some(bytes) = found else { return Ok(None) };
        if !bytes.starts_with(FAMILY) {
            return if self.plain { Ok(Some(Found { bytes, outdated: true })) } else { Err(FileError::Plain { path }) };
        }
        let damaged = |why: &str| FileError::Damaged { path: path.clone(), why: why.to_owned() };
        match self.open(name, &bytes) {
            Ok((bytes, outdated)) => Ok(Some(Found { bytes, outdated })),
            Err(Closed::Newer) => Err(damaged("or a newer version of Accord sealed it: update Accord then")),
            Err(Closed::Elsewhere) => Err(FileError::SealedElsewhere { path }),
            Err(Closed::Broken) => Err(damaged("its seal is broken, or it is another file in this one's place")),
        }
    }

    /// Seals as it is to be what is not. That it fails is said in the log: the next start tries again.
    pub fn renew(&self, name: &str, found: &Found) {
        if found.outdated
            && let Err(error) = self.replace(name, &found.bytes)
        {
            let file = self.path.join(name);
            tracing::warn!(%error, file = %file.display(), "what an earlier version wrote is not sealed yet");
        }
    }

    /// Replaces a file whole, sealed, or leaves the old one. The folder is made if need be.
    ///
    /// # Errors
    /// What the system says.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        create_private_dir(&self.path).map_err(io::Error::other)?;
        replace_private(&self.path.join(name), &self.seal(name, bytes)?)
    }

    fn data(&self, head: &[u8], name: &str) -> Vec<u8> {
        [head, self.name.as_bytes(), name.as_bytes()].concat()
    }

    fn seal(&self, name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
        let mut out = Vec::with_capacity(MORE + bytes.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.keys.current.id());
        let data = self.data(&out, name);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(bytes);
        let cipher = self.keys.current.cipher();
        let tag = cipher.encrypt_in_place_detached(&nonce.into(), &data, &mut out[HEAD + NONCE..]);
        out.extend_from_slice(&tag.map_err(|_| io::Error::other("too long to be sealed"))?);
        Ok(out)
    }

    /// What is in sealed bytes, and whether an earlier key sealed them.
    fn open(&self, name: &str, bytes: &[u8]) -> Result<(Zeroizing<Vec<u8>>, bool), Closed> {
        if !bytes.starts_with(MAGIC) {
            return Err(if bytes.len() < MAGIC.len() { Closed::Broken } else { Closed::Newer });
        }
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or(Closed::Broken)?;
        let (nonce, rest) = rest.split_at_checked(NONCE).ok_or(Closed::Broken)?;
        let end = rest.len().checked_sub(TAG).ok_or(Closed::Broken)?;
        let (content, tag) = rest.split_at(end);
        let is_its = |key: &&Key| head[MAGIC.len()..] == key.id();
        let earlier = self.keys.earlier.as_ref().filter(is_its);
        let key = Some(&self.keys.current).filter(is_its).or(earlier).ok_or(Closed::Elsewhere)?;
        let mut content = Zeroizing::new(content.to_vec());
        let (nonce, tag) = (XNonce::from_slice(nonce), Tag::from_slice(tag));
        key.cipher()
            .decrypt_in_place_detached(nonce, &self.data(head, name), &mut content, tag)
            .map_err(|_| Closed::Broken)?;
        Ok((content, earlier.is_some()))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn vault(dir: &Path) -> Vault {
        Vault::new(dir, &[7; 32]).folder("miio")
    }
    fn text(dir: &Vault, name: &str) -> Result<Option<String>, FileError> {
        Ok(dir.read(name, 100)?.map(|found| String::from_utf8(found.bytes.to_vec()).unwrap()))
    }

    #[test]
    fn what_is_sealed_reads_back_here_under_its_name_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let miio = vault(dir.path());
        assert!(text(&miio, "added.json").unwrap().is_none());
        miio.replace("added.json", b"a token").unwrap();
        let file = dir.path().join("miio/added.json");
        let sealed = fs::read(&file).unwrap();
        assert!(sealed.starts_with(MAGIC) && sealed.len() == MORE + 7);
        assert!(!sealed.windows(5).any(|part| part == b"token"));
        assert_eq!(text(&miio, "added.json").unwrap().unwrap(), "a token");
        assert_eq!(fs::read_dir(dir.path().join("miio")).unwrap().count(), 1, "no draft is left");
        miio.replace("added.json", b"a token").unwrap();
        assert_ne!(fs::read(&file).unwrap(), sealed, "not twice the same");
        // In another's place, in another folder, by another hub, from the future.
        fs::copy(&file, dir.path().join("miio/other.json")).unwrap();
        assert!(matches!(text(&miio, "other.json"), Err(FileError::Damaged { .. })));
        let yeelight = Vault::new(dir.path(), &[7; 32]).folder("yeelight");
        fs::create_dir(yeelight.path()).unwrap();
        fs::copy(&file, yeelight.path().join("added.json")).unwrap();
        assert!(matches!(text(&yeelight, "added.json"), Err(FileError::Damaged { .. })));
        let other = Vault::new(dir.path(), &[8; 32]).folder("miio");
        let error = text(&other, "added.json").unwrap_err();
        assert!(
            matches!(error, FileError::SealedElsewhere { .. }) && error.to_string().contains("keys.json"),
            "{error}"
        );
        assert_eq!(text(&miio, "added.json").unwrap().unwrap(), "a token", "it is left as it is");
        assert!(matches!(miio.read("added.json", 6), Err(FileError::Damaged { .. })), "bounded");
        fs::write(&file, b"accord sealed 2\nwhatever").unwrap();
        assert!(text(&miio, "added.json").unwrap_err().to_string().contains("newer version"));
        // The whole folder goes elsewhere with its keys: it is the same.
        fs::write(&file, &sealed).unwrap();
        fs::rename(dir.path().join("miio"), dir.path().join("moved")).unwrap();
        let moved = tempfile::tempdir().unwrap();
        fs::rename(dir.path().join("moved"), moved.path().join("miio")).unwrap();
        assert_eq!(text(&vault(moved.path()), "added.json").unwrap().unwrap(), "a token");
    }

    #[test]
    fn what_is_not_sealed_is_refused_and_what_earlier_versions_left_so_is_sealed_once() {
        let dir = tempfile::tempdir().unwrap();
        let mqtt = vault(dir.path());
        crate::create_private_dir(mqtt.path()).unwrap();
        for name in ["added.json", "one.ids.json", "notes.txt"] {
            replace_private(&mqtt.path().join(name), b"a token").unwrap();
        }
        mqtt.replace("two.ids.json", b"sealed before").unwrap();
        let error = text(&mqtt, "added.json").unwrap_err();
        assert!(
            matches!(error, FileError::Plain { .. }) && error.to_string().contains("move this one away"),
            "{error}"
        );
        assert_eq!(fs::read(mqtt.path().join("added.json")).unwrap(), b"a token", "it is left as it is");
        let draft = mqtt.path().join(".added.json.abcdefghijklmn27");
        fs::write(&draft, "a token").unwrap();
        mqtt.seal_all("added.json", 100).unwrap();
        assert!(!draft.exists());
        mqtt.seal_all("none.json", 100).unwrap();
        vault(dir.path()).folder("none").seal_all("*.json", 100).unwrap();
        assert_eq!(text(&mqtt, "added.json").unwrap().unwrap(), "a token");
        assert!(matches!(text(&mqtt, "one.ids.json"), Err(FileError::Plain { .. })), "not one of that name");
        mqtt.seal_all("*.json", 100).unwrap();
        for (name, content) in
            [("added.json", "a token"), ("one.ids.json", "a token"), ("two.ids.json", "sealed before")]
        {
            assert_eq!(text(&mqtt, name).unwrap().unwrap(), content);
        }
        assert_eq!(fs::read(mqtt.path().join("notes.txt")).unwrap(), b"a token");
        // What was sealed can be read there alone: nobody makes one for another place by this.
        fs::rename(mqtt.path().join("one.ids.json"), mqtt.path().join("added.json")).unwrap();
        assert!(matches!(text(&mqtt, "added.json"), Err(FileError::Damaged { .. })));
    }

    #[test]
    fn what_an_earlier_version_left_in_plain_or_under_an_earlier_key_is_sealed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let miio = vault(dir.path()).taking_plain();
        let file = dir.path().join("miio/added.json");
        let draft = dir.path().join("miio/.added.json.abcdefghijklmn27");
        replace_private(&dir.path().join("keys.json"), b"").unwrap();
        crate::create_private_dir(miio.path()).unwrap();
        replace_private(&file, b"a token").unwrap();
        fs::write(&draft, "a token").unwrap();
        let found = miio.read("added.json", 100).unwrap().unwrap();
        assert!(found.outdated && found.bytes.as_slice() == b"a token");
        miio.renew("added.json", &found);
        assert!(fs::read(&file).unwrap().starts_with(MAGIC) && !draft.exists());
        let later = Vault::with_earlier(dir.path(), &[9; 32], &[7; 32]).folder("miio");
        let found = later.read("added.json", 100).unwrap().unwrap();
        assert!(found.outdated);
        later.renew("added.json", &found);
        assert!(!later.read("added.json", 100).unwrap().unwrap().outdated);
        assert!(matches!(text(&miio, "added.json"), Err(FileError::SealedElsewhere { .. })));
    }

    #[test]
    fn a_printed_vault_does_not_hold_its_key() {
        assert_eq!(format!("{:?}", vault(Path::new("/x"))), "Vault { path: \"/x/miio\", .. }");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_and_any_content_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let vault = vault(Path::new("/x"));
            prop_assert!(vault.open("a", &bytes).is_err());
            prop_assert!(vault.open("a", &[MAGIC.as_slice(), &bytes].concat()).is_err());
            let sealed = vault.seal("a", &bytes).unwrap();
            let (opened, outdated) = vault.open("a", &sealed).unwrap();
            prop_assert!(*opened == bytes && !outdated);
            prop_assert_eq!(vault.open("b", &sealed).unwrap_err(), Closed::Broken);
        }

        #[test]
        fn any_change_of_one_bit_and_any_missing_end_is_noticed(at in 0_usize..(MORE + 7) * 8, end in 0..MORE + 7) {
            let vault = vault(Path::new("/x"));
            let mut sealed = vault.seal("a", b"a token").unwrap();
            prop_assert!(vault.open("a", &sealed[..end]).is_err());
            sealed[at / 8] ^= 1 << (at % 8);
            prop_assert!(vault.open("a", &sealed).is_err());
        }
    }
}
