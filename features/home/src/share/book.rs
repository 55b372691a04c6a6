//! What the owner chose, in a private file: for each place a seed, of which the ids of devices there are made, and the devices.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use accord_model::{Device, DeviceId};
use accord_ports::added::device_id;
use accord_store::{JsonFile, Vault};
use serde::{Deserialize, Serialize};

use super::{Chosen, Granted};

const LARGEST: u64 = 16 << 20;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Pages(BTreeMap<DeviceId, Page>);

/// One place.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Page {
    /// Nobody who reads there can tell by an id which device it is, or whether it is shown elsewhere too.
    seed: String,
    devices: BTreeMap<DeviceId, Kept>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    granted: Granted,
    /// As it was shown last, without what it said: it is shown as away until it comes.
    last: Option<Device>,
}

pub(crate) struct Book {
    pages: Mutex<Pages>,
    file: JsonFile,
}

impl Book {
    pub fn open(folder: &Vault) -> io::Result<Self> {
        let file = folder.json("home-shown.json", LARGEST);
        let pages =
            file.load().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.path().display())))?;
        Ok(Self { pages: Mutex::new(pages), file })
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On disk before it counts.
    fn change<T>(&self, change: impl FnOnce(&mut Pages) -> T) -> io::Result<T> {
        let outcome = self.change_if(|pages| Some(change(pages)))?;
        Ok(outcome.expect("there always is one"))
    }

    /// The same, and nothing is changed where there is no outcome. Of what is there by now: others change it too.
    fn change_if<T>(&self, change: impl FnOnce(&mut Pages) -> Option<T>) -> io::Result<Option<T>> {
        let mut pages = self.pages();
        let mut changed = pages.clone();
        let Some(outcome) = change(&mut changed) else { return Ok(None) };
        self.file.save(&changed)?;
        *pages = changed;
        Ok(Some(outcome))
    }

    pub fn granted(&self, place: &DeviceId) -> BTreeMap<DeviceId, Granted> {
        let pages = self.pages();
        let devices = pages.0.get(place).into_iter().flat_map(|page| &page.devices);
        devices.map(|(id, kept)| (id.clone(), kept.granted.clone())).collect()
    }

    pub fn chosen(&self, place: &DeviceId) -> BTreeMap<DeviceId, Chosen> {
        self.granted(place).into_iter().map(|(id, granted)| (id, granted.chosen)).collect()
    }

    pub fn set(&self, place: &DeviceId, thing: &DeviceId, granted: Option<Granted>) -> io::Result<()> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        self.change(|pages| {
            let fresh = || Page { seed: data_encoding::HEXLOWER.encode(&seed), devices: BTreeMap::new() };
            let page = pages.0.entry(place.clone()).or_insert_with(fresh);
            match granted {
                Some(granted) => page.devices.entry(thing.clone()).or_default().granted = granted,
                None => drop(page.devices.remove(thing)),
            }
        })
    }

    /// The id of a thing in a place.
    pub fn id_there(&self, place: &DeviceId, thing: &DeviceId) -> Option<DeviceId> {
        let pages = self.pages();
        let page = pages.0.get(place)?;
        Some(id_of(&page.seed, thing))
    }

    /// Which thing has that id in a place, and what may be done with it.
    pub fn thing(&self, place: &DeviceId, there: &DeviceId) -> Option<(DeviceId, Granted)> {
        let pages = self.pages();
        let page = pages.0.get(place)?;
        let (id, kept) = page.devices.iter().find(|(id, _)| id_of(&page.seed, id) == *there)?;
        Some((id.clone(), kept.granted.clone()))
    }

    pub fn last(&self, place: &DeviceId, thing: &DeviceId) -> Option<Device> {
        self.pages().0.get(place)?.devices.get(thing)?.last.clone()
    }

    /// Keeps how things were shown; what they said is left out.
    pub fn keep(&self, place: &DeviceId, shown: impl Iterator<Item = (DeviceId, Device)>) {
        let mut pages = self.pages();
        let Some(page) = pages.0.get_mut(place) else { return };
        let mut changed = false;
        for (thing, mut device) in shown {
            device.services.iter_mut().for_each(|service| service.values.clear());
            device.reach = accord_model::Reach::Offline;
            if let Some(kept) = page.devices.get_mut(&thing)
                && kept.last.as_ref() != Some(&device)
            {
                (kept.last, changed) = (Some(device), true);
            }
        }
        if changed && let Err(error) = self.file.save(&*pages) {
            tracing::warn!(%error, "how devices are shown elsewhere is not kept");
        }
    }

    /// A device was unpaired, and all that was there only by it. Whether anything was known of them.
    pub fn forget(&self, device: &DeviceId) -> io::Result<bool> {
        Ok(self.change_if(|pages| without(pages, device).then_some(()))?.is_some())
    }
}

/// Whether anything of a device was there.
fn without(pages: &mut Pages, device: &DeviceId) -> bool {
    let mut found = pages.0.remove(device).is_some();
    for page in pages.0.values_mut() {
        let before = page.devices.len();
        page.devices.retain(|id, kept| id != device && kept.granted.faces.get(id).is_none_or(|via| !is(via, device)));
        found |= page.devices.len() != before;
        for faces in page.devices.values_mut().map(|kept| &mut kept.granted.faces) {
            let before = faces.len();
            faces.retain(|id, via| id != device && !is(via, device));
            found |= faces.len() != before;
        }
    }
    found
}

fn is(via: &Option<DeviceId>, device: &DeviceId) -> bool {
    via.as_ref() == Some(device)
}

fn id_of(seed: &str, thing: &DeviceId) -> DeviceId {
    device_id("shown", &format!("{seed} {thing}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DeviceId {
        DeviceId::new(text).unwrap()
    }

    #[test]
    fn ids_mean_nothing_elsewhere_and_stay_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two, lamp) = (id("mqtt-1"), id("mqtt-2"), id("lamp"));
        let book = Book::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        assert_eq!(book.id_there(&one, &lamp), None);
        let control = Granted { chosen: Chosen { control: true, opens: false }, ..Granted::default() };
        book.set(&one, &lamp, Some(control.clone())).unwrap();
        book.set(&two, &lamp, Some(Granted::default())).unwrap();
        let there = book.id_there(&one, &lamp).unwrap();
        assert_ne!(Some(&there), book.id_there(&two, &lamp).as_ref());
        assert!(!there.as_str().contains("lamp"));
        let book = Book::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        assert_eq!(book.thing(&one, &there), Some((lamp.clone(), control.clone())));
        assert_eq!(book.thing(&two, &there), None, "an id of one place is none of another");
        book.set(&one, &lamp, None).unwrap();
        assert_eq!(book.thing(&one, &there), None);
        book.set(&one, &lamp, Some(control.clone())).unwrap();
        assert_eq!(book.id_there(&one, &lamp), Some(there.clone()), "shown again it is the same there");
        assert!(book.forget(&lamp).unwrap() && !book.forget(&lamp).unwrap());
        assert!(book.chosen(&one).is_empty() && book.chosen(&two).is_empty());
        assert!(book.forget(&one).unwrap());
        book.set(&one, &lamp, Some(control.clone())).unwrap();
        assert_ne!(book.id_there(&one, &lamp), Some(there), "a broker that was removed knows nothing of before");
    }

    #[test]
    fn what_is_taken_back_while_something_is_forgotten_stays_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (place, gone, lamp) = (id("mqtt-1"), id("gone"), id("lamp"));
        let book = Book::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        for n in 0..500 {
            book.pages().0.entry(id(&format!("place-{n}"))).or_insert_with(|| Page {
                seed: String::new(),
                devices: BTreeMap::from([(lamp.clone(), Kept::default())]),
            });
        }
        for _ in 0..50 {
            book.set(&place, &gone, Some(Granted::default())).unwrap();
            book.set(&place, &lamp, Some(Granted::default())).unwrap();
            let both = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    both.wait();
                    assert!(book.forget(&gone).unwrap());
                });
                both.wait();
                book.set(&place, &lamp, None).unwrap();
            });
            assert!(book.chosen(&place).is_empty(), "{:?}", book.chosen(&place));
        }
    }

    #[test]
    fn what_was_there_by_a_server_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (place, server, lamp, lock, other) = (id("mqtt-1"), id("server"), id("lamp"), id("lock"), id("other"));
        let book = Book::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        let by = |faces: &[(&DeviceId, Option<&DeviceId>)]| {
            let faces = faces.iter().map(|(id, via)| ((*id).clone(), via.cloned())).collect();
            Some(Granted { faces, ..Granted::default() })
        };
        book.set(&place, &lamp, by(&[(&lamp, Some(&server))])).unwrap();
        book.set(&place, &lock, by(&[(&lock, None), (&other, Some(&server))])).unwrap();
        assert!(book.forget(&server).unwrap() && !book.forget(&server).unwrap());
        let book = Book::open(&Vault::new(dir.path(), &[7; 32])).unwrap();
        let left = book.granted(&place);
        assert_eq!(left.keys().collect::<Vec<_>>(), [&lock], "added again, its lamp is shown nowhere");
        assert_eq!(left[&lock].faces.keys().collect::<Vec<_>>(), [&lock], "nor what it had of the other");
    }
}
