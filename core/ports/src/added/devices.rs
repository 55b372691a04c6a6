//! Devices as the house knows them: those that are here because they were found, and those that the owner added, here or not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use accord_model::{Device, DeviceId, FromBridge};
use accord_store::Vault;

use super::{Record, Register};

/// What is announced of a device is written no more often than this: anybody can announce, as often as they like.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// What a bridge knows of a device.
pub trait Known: Sized {
    /// As whom it announces itself.
    type Announced: Ord + Clone;
    /// What is kept of it once it was added.
    type Added: Record;

    /// The id of whoever announces itself so. It says so itself, and nothing proves it.
    fn id_of(announced: &Self::Announced) -> DeviceId;
    /// What is known of one that was added before this start. `None`: what is kept of it cannot be read.
    fn remembered(added: &Self::Added) -> Option<Self>;
    /// As whom it announces itself.
    fn announced(&self) -> &Self::Announced;
    /// Its id.
    fn id(&self) -> &DeviceId;
    /// Whether it is here, as far as is known.
    fn is_here(&self) -> bool;
    /// It is not any more.
    fn leave(&mut self);
    /// It announced itself anew, and this was known of it before.
    fn succeed(&mut self, before: Self);
    /// Whether the owner can add it.
    ///
    /// # Errors
    /// In words, why not.
    fn can_be_added(&self) -> Result<(), String> {
        Ok(())
    }
    /// The owner added it, or wants nothing of it any more.
    fn begin_anew(&mut self, added: bool) {
        let _ = added;
    }
    /// What is to be kept of it. `before`: what is, if it was added.
    fn record(&self, before: Option<&Self::Added>) -> Self::Added;
    /// What the house is shown.
    fn describe(&self, added: Option<&Self::Added>) -> Device;
}

/// All that are known, at most one by an id. Who is gone is remembered if it was added; it is told to the house as away.
pub struct Devices<K: Known> {
    known: BTreeMap<DeviceId, K>,
    added: Register<K::Added>,
    /// When what was announced of it was written.
    noted: BTreeMap<DeviceId, Instant>,
}

impl<K: Known> Devices<K> {
    /// Those that were added, as they are remembered in the bridge's folder, which is made if need be.
    ///
    /// # Errors
    /// In words, with the file.
    pub fn open(folder: &Vault) -> Result<Self, String> {
        let added: Register<K::Added> = Register::open(folder)?;
        let known = added.all().values().filter_map(K::remembered).map(|known| (known.id().clone(), known)).collect();
        Ok(Self { known, added, noted: BTreeMap::new() })
    }

    /// The id of whoever announces itself so, if it is known.
    pub fn id(&self, announced: &K::Announced) -> Option<DeviceId> {
        Some(K::id_of(announced)).filter(|id| self.known.contains_key(id))
    }

    /// The added ones, as whom they announce themselves.
    pub fn kept(&self) -> BTreeSet<K::Announced> {
        self.known.values().filter(|known| self.is_added(known.id())).map(|known| known.announced().clone()).collect()
    }

    /// What is known of this one.
    pub fn get(&self, id: &DeviceId) -> Option<&K> {
        self.known.get(id)
    }

    /// The same, to be changed. Nothing is told or kept by itself.
    pub fn get_mut(&mut self, id: &DeviceId) -> Option<&mut K> {
        self.known.get_mut(id)
    }

    /// What is kept of this one.
    pub fn added(&self, id: &DeviceId) -> Option<&K::Added> {
        self.added.get(id)
    }

    /// Whether the owner added it.
    pub fn is_added(&self, id: &DeviceId) -> bool {
        self.added.get(id).is_some()
    }

    /// All of them, to be told.
    pub fn all(&self) -> Vec<FromBridge> {
        self.known.keys().map(|id| self.told(id)).collect()
    }

    /// One is here, or announced itself anew.
    pub fn found(&mut self, mut known: K) -> (DeviceId, FromBridge) {
        let id = known.id().clone();
        if let Some(before) = self.known.remove(&id) {
            known.succeed(before);
        }
        self.known.insert(id.clone(), known);
        self.note_announced(&id);
        let told = self.told(&id);
        (id, told)
    }

    /// One is gone.
    pub fn lost(&mut self, id: &DeviceId) -> Option<FromBridge> {
        let known = self.known.get_mut(id)?;
        known.leave();
        if !self.is_added(id) {
            self.known.remove(id);
            return Some(self.told(id));
        }
        self.note_announced(id);
        Some(self.told(id))
    }

    /// All that are here are not any more, as far as we know.
    pub fn all_lost(&mut self) -> Vec<FromBridge> {
        let ids: Vec<DeviceId> = self.known.keys().cloned().collect();
        ids.iter().filter_map(|id| self.lost(id)).collect()
    }

    /// The owner adds one, or wants nothing of it any more.
    ///
    /// # Errors
    /// In words; then nothing is changed.
    pub fn add(&mut self, id: &DeviceId, yes: bool) -> Result<Vec<FromBridge>, String> {
        let known = self.known.get_mut(id).ok_or("no such device is known")?;
        if yes {
            known.can_be_added()?;
        }
        self.added.set(id, yes.then(|| known.record(None)))?;
        self.noted.remove(id);
        known.begin_anew(yes);
        if !yes && !known.is_here() {
            self.known.remove(id);
            return Ok(vec![self.told(id)]);
        }
        Ok(vec![self.told(id), self.added.paired(id)])
    }

    /// Changes what is known of one. `change` says whether the house is to be told of it.
    pub fn update(&mut self, id: &DeviceId, change: impl FnOnce(&mut K) -> bool) -> Option<FromBridge> {
        change(self.known.get_mut(id)?).then(|| self.told(id))
    }

    /// Keeps what is new of one that was added, because it said so itself.
    pub fn note(&mut self, id: &DeviceId) {
        if let (Some(added), Some(known)) = (self.added.get(id), self.known.get(id)) {
            let now = known.record(Some(added));
            self.added.note(id, now);
        }
    }

    /// The same for what is merely announced: now and then.
    pub fn note_announced(&mut self, id: &DeviceId) {
        self.note_announced_at(id, Instant::now());
    }

    fn note_announced_at(&mut self, id: &DeviceId, now: Instant) {
        let waits = self.noted.get(id).is_some_and(|last| now.duration_since(*last) < NOTED_EVERY);
        if !waits && self.is_added(id) {
            self.noted.insert(id.clone(), now);
            self.note(id);
        }
    }

    /// Changes what is kept of one that was added, and gives back what `change` does.
    pub fn change<T: Default>(&mut self, id: &DeviceId, change: impl FnOnce(&mut K::Added) -> T) -> T {
        let Some(mut added) = self.added.get(id).cloned() else { return T::default() };
        let changed = change(&mut added);
        self.added.note(id, added);
        changed
    }

    /// How it is told to the house.
    pub fn told(&self, id: &DeviceId) -> FromBridge {
        match self.known.get(id) {
            Some(known) => FromBridge::Seen { device: known.describe(self.added.get(id)) },
            None => FromBridge::Gone { device: id.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use accord_model::{DeviceKind, Reach, Timestamp};

    use accord_store::Vault;

    use super::super::device_id;
    use super::super::tests::Kept;
    use super::*;

    struct Lamp {
        id: DeviceId,
        name: String,
        before: String,
        is_here: bool,
    }

    impl Lamp {
        fn of(name: &str) -> Self {
            Self { id: device_id("lab", "lamp"), name: name.to_owned(), before: String::new(), is_here: true }
        }
    }

    impl Known for Lamp {
        type Announced = String;
        type Added = Kept;

        fn id_of(_: &String) -> DeviceId {
            device_id("lab", "lamp")
        }
        fn remembered(added: &Kept) -> Option<Self> {
            Some(Self { is_here: false, ..Self::of(&added.name) })
        }
        fn announced(&self) -> &String {
            &self.name
        }

        fn id(&self) -> &DeviceId {
            &self.id
        }
        fn is_here(&self) -> bool {
            self.is_here
        }
        fn leave(&mut self) {
            self.is_here = false;
        }
        fn succeed(&mut self, before: Self) {
            self.before = before.name;
        }
        fn can_be_added(&self) -> Result<(), String> {
            if self.name == "broken" { Err("it cannot be used".to_owned()) } else { Ok(()) }
        }
        fn record(&self, before: Option<&Kept>) -> Kept {
            Kept {
                name: self.name.clone(),
                since: before.map_or_else(Timestamp::now, |before| before.since),
                seen: None,
            }
        }
        fn describe(&self, added: Option<&Kept>) -> Device {
            let mut device = Device::new(self.id.clone(), DeviceKind::Light, self.name.clone());
            device.passing = added.is_none();
            device.reach = if self.is_here { Reach::Local } else { Reach::Offline };
            device
        }
    }

    fn vault(folder: &std::path::Path) -> Vault {
        Vault::new(folder, &[7; 32])
    }

    fn open(folder: &std::path::Path) -> Devices<Lamp> {
        Devices::open(&vault(folder)).unwrap()
    }

    /// Name, whether it was not added, whether it is here; or nothing.
    fn shown(told: &FromBridge) -> Option<(&str, bool, bool)> {
        match told {
            FromBridge::Seen { device } => Some((&device.name, device.passing, device.reach == Reach::Local)),
            _ => None,
        }
    }

    #[test]
    fn who_was_added_is_remembered_and_whoever_else_leaves_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut devices, id) = (open(dir.path()), device_id("lab", "lamp"));
        assert!(devices.add(&id, true).is_err() && devices.lost(&id).is_none());
        let (_, told) = devices.found(Lamp::of("desk"));
        assert_eq!(shown(&told), Some(("desk", true, true)));
        assert_eq!(devices.lost(&id), Some(FromBridge::Gone { device: id.clone() }), "a stranger");
        assert!(devices.get(&id).is_none());

        devices.found(Lamp::of("desk"));
        let told = devices.add(&id, true).unwrap();
        assert_eq!(shown(&told[0]), Some(("desk", false, true)));
        assert!(matches!(&told[1], FromBridge::Values { target, .. } if target.service == "pairing"));
        assert_eq!(shown(&devices.all_lost()[0]), Some(("desk", false, false)));
        let mut devices = open(dir.path());
        assert_eq!(shown(&devices.all()[0]), Some(("desk", false, false)), "after a restart, too");

        devices.found(Lamp::of("floor"));
        assert_eq!(devices.get(&id).unwrap().before, "desk");
        assert_eq!(devices.kept(), BTreeSet::from(["floor".to_owned()]));
        assert_eq!(shown(&devices.add(&id, false).unwrap()[0]), Some(("floor", true, true)), "it is here still");
        assert!(devices.kept().is_empty());
        devices.add(&id, true).unwrap();
        devices.lost(&id);
        assert_eq!(devices.add(&id, false).unwrap(), [FromBridge::Gone { device: id.clone() }]);
        assert!(devices.all().is_empty() && devices.id(&"floor".to_owned()).is_none());

        devices.found(Lamp::of("broken"));
        assert_eq!(devices.id(&"broken".to_owned()), Some(id.clone()));
        assert!(devices.add(&id, true).is_err() && !devices.is_added(&id));
        assert!(devices.update(&id, |lamp| std::mem::take(&mut lamp.is_here)).is_some(), "that is new");
        assert!(devices.update(&id, |lamp| std::mem::take(&mut lamp.is_here)).is_none());
    }

    #[test]
    fn what_is_announced_is_not_written_each_time_and_what_it_says_itself_is() {
        let dir = tempfile::tempdir().unwrap();
        let (mut devices, id) = (open(dir.path()), device_id("lab", "lamp"));
        devices.found(Lamp::of("desk"));
        devices.add(&id, true).unwrap();
        let file = dir.path().join("added.json");
        let sealed = vault(dir.path());
        let kept = || String::from_utf8(sealed.read("added.json", 1 << 20).unwrap().unwrap().bytes.to_vec()).unwrap();
        devices.found(Lamp::of("first"));
        assert!(kept().contains("first"));
        std::fs::remove_file(&file).unwrap();
        for number in 0..50 {
            devices.found(Lamp::of(&format!("forged{number}")));
            devices.lost(&id);
        }
        assert!(!file.exists(), "not written again");
        devices.note_announced_at(&id, Instant::now() + NOTED_EVERY);
        assert!(kept().contains("forged49"), "but in the end");
        devices.get_mut(&id).unwrap().name = "its own word".to_owned();
        devices.note(&id);
        assert!(kept().contains("its own word"));
        devices.change(&id, |kept| kept.name = "changed".to_owned());
        assert!(kept().contains("changed") && devices.added(&id).unwrap().name == "changed");
    }
}
