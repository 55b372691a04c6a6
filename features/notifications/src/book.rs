//! What is there now: this computer's notifications and the devices'. Bounded; no I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use accord_model::{DeviceId, Timestamp};

use crate::api::Notification;
use crate::codes;
use crate::desktop::LocalNote;
use crate::note::Note;

/// This computer's own that are listed.
const OWN: usize = 300;
/// One device's that are listed.
const PER_DEVICE: usize = 200;
/// Devices whose notifications are listed.
const DEVICES: usize = 64;
/// Dismissed here while the device did not say that they are gone.
const TOMBSTONES: usize = 500;

/// One of this computer's.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub id: String,
    /// The notification server's number, while it shows it.
    pub local: Option<u32>,
    /// What Accord's own is about; the next about the same takes its place.
    pub about: Option<String>,
    pub said: LocalNote,
    pub posted: Timestamp,
    /// Devices that were told, with what they were told last.
    pub told: BTreeMap<DeviceId, [u8; 32]>,
}

/// One of a device's.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    pub id: String,
    pub device: DeviceId,
    /// As the device calls it.
    pub theirs: String,
    pub note: Note,
    pub hidden: bool,
    pub posted: Timestamp,
    /// The number of its popup.
    pub popup: Option<u32>,
    /// The owner acted on it in the popup, which closes the popup: that dismisses nothing.
    pub acted: bool,
}

/// What a device's `posted` comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// To be shown: a new one, or a change of one with this popup.
    Show { id: String, replaces: Option<u32> },
    /// Known already, or dismissed here before.
    Known,
}

#[derive(Default)]
pub(crate) struct Book {
    own: VecDeque<Own>,
    foreign: VecDeque<Foreign>,
    tombstones: VecDeque<(DeviceId, String, [u8; 32])>,
}

impl Book {
    /// One of this computer's is new or changed. Its id, whether anything changed, and the one that made room.
    pub fn own_posted(&mut self, local: Option<u32>, said: LocalNote, now: Timestamp) -> (String, bool, Option<Own>) {
        if let Some(own) = self.own.iter_mut().find(|own| own.local.is_some() && own.local == local) {
            let changed = own.said != said;
            own.said = said;
            own.posted = now;
            return (own.id.clone(), changed, None);
        }
        let (id, oldest) = self.own_new(local, None, said, now);
        (id, true, oldest)
    }

    /// Accord itself has something to say. Its id, and the one that made room.
    pub fn own_told(&mut self, about: &str, said: LocalNote, now: Timestamp) -> (String, Option<Own>) {
        if let Some(own) = self.own.iter_mut().find(|own| own.about.as_deref() == Some(about)) {
            (own.said, own.posted) = (said, now);
            return (own.id.clone(), None);
        }
        self.own_new(None, Some(about.to_owned()), said, now)
    }

    fn own_new(
        &mut self,
        local: Option<u32>,
        about: Option<String>,
        said: LocalNote,
        now: Timestamp,
    ) -> (String, Option<Own>) {
        let id = new_id();
        self.own.push_back(Own { id: id.clone(), local, about, said, posted: now, told: BTreeMap::new() });
        let oldest = (self.own.len() > OWN).then(|| self.own.pop_front()).flatten();
        (id, oldest)
    }

    pub fn own(&self, id: &str) -> Option<&Own> {
        self.own.iter().find(|own| own.id == id)
    }

    pub fn own_mut(&mut self, id: &str) -> Option<&mut Own> {
        self.own.iter_mut().find(|own| own.id == id)
    }

    pub fn own_by_number(&mut self, local: u32) -> Option<&mut Own> {
        self.own.iter_mut().find(|own| own.local == Some(local))
    }

    pub fn take_own(&mut self, id: &str) -> Option<Own> {
        let place = self.own.iter().position(|own| own.id == id)?;
        self.own.remove(place)
    }

    /// Whether this computer's `id` was told to `device`, so that it may answer.
    pub fn was_told(&self, device: &DeviceId, id: &str) -> bool {
        self.own(id).is_some_and(|own| own.told.contains_key(device))
    }

    /// A device's is new or changed.
    pub fn foreign_posted(
        &mut self,
        device: &DeviceId,
        theirs: &str,
        note: Note,
        hidden: bool,
        now: Timestamp,
    ) -> (Posted, Option<Foreign>) {
        let digest = note.digest();
        if self.tombstones.iter().any(|(of, id, was)| of == device && id == theirs && *was == digest) {
            return (Posted::Known, None);
        }
        if let Some(known) = self.foreign.iter_mut().find(|known| known.device == *device && known.theirs == theirs) {
            let changed = known.note.digest() != digest || known.note.reply != note.reply;
            known.note = note;
            known.hidden = hidden;
            if !changed {
                return (Posted::Known, None);
            }
            known.posted = now;
            known.acted = false;
            return (Posted::Show { id: known.id.clone(), replaces: known.popup }, None);
        }
        let devices: BTreeSet<&DeviceId> = self.foreign.iter().map(|known| &known.device).collect();
        if devices.len() >= DEVICES && !devices.contains(device) {
            return (Posted::Known, None);
        }
        let of_device = |known: &Foreign| known.device == *device;
        let full = self.foreign.iter().filter(|known| of_device(known)).count() >= PER_DEVICE;
        let oldest = full.then(|| self.foreign.iter().position(of_device)).flatten();
        let oldest = oldest.and_then(|place| self.foreign.remove(place));
        let id = foreign_id(device, theirs);
        self.foreign.push_back(Foreign {
            id: id.clone(),
            device: device.clone(),
            theirs: theirs.to_owned(),
            note,
            hidden,
            posted: now,
            popup: None,
            acted: false,
        });
        (Posted::Show { id, replaces: None }, oldest)
    }

    pub fn foreign(&self, id: &str) -> Option<&Foreign> {
        self.foreign.iter().find(|known| known.id == id)
    }

    pub fn foreign_mut(&mut self, id: &str) -> Option<&mut Foreign> {
        self.foreign.iter_mut().find(|known| known.id == id)
    }

    pub fn foreign_by_popup(&mut self, local: u32) -> Option<&mut Foreign> {
        self.foreign.iter_mut().find(|known| known.popup == Some(local))
    }

    /// The device says that it is gone: when it comes again, it is a new one.
    pub fn foreign_removed(&mut self, device: &DeviceId, theirs: &str) -> Option<Foreign> {
        self.tombstones.retain(|(of, id, _)| of != device || id != theirs);
        let place = self.foreign.iter().position(|known| known.device == *device && known.theirs == theirs)?;
        self.foreign.remove(place)
    }

    /// The owner dismissed it here: until the device says that it is gone, the same is not shown again.
    pub fn foreign_dismissed(&mut self, id: &str) -> Option<Foreign> {
        let place = self.foreign.iter().position(|known| known.id == id)?;
        let known = self.foreign.remove(place)?;
        if self.tombstones.len() >= TOMBSTONES {
            self.tombstones.pop_front();
        }
        self.tombstones.push_back((known.device.clone(), known.theirs.clone(), known.note.digest()));
        Some(known)
    }

    /// Everything of a device goes, with its popups.
    pub fn forget_device(&mut self, device: &DeviceId) -> Vec<Foreign> {
        self.tombstones.retain(|(of, ..)| of != device);
        for own in &mut self.own {
            own.told.remove(device);
        }
        let (gone, stay) = self.foreign.drain(..).partition(|known| known.device == *device);
        self.foreign = stay;
        Vec::from(gone)
    }

    /// Another notification server: its numbers are others.
    pub fn forget_numbers(&mut self) {
        self.own.iter_mut().for_each(|own| own.local = None);
        self.foreign.iter_mut().for_each(|known| known.popup = None);
    }

    /// Newest first.
    pub fn list(&self, waits_for: impl Fn(&str) -> Vec<DeviceId>) -> Vec<Notification> {
        let own = self.own.iter().map(|own| own.view(waits_for(&own.id)));
        let mut all: Vec<_> = own.chain(self.foreign.iter().map(Foreign::view)).collect();
        all.sort_by(|a, b| b.posted.cmp(&a.posted).then_with(|| a.id.cmp(&b.id)));
        all
    }
}

impl Own {
    pub fn view(&self, waits_for: Vec<DeviceId>) -> Notification {
        let sent_to = self.told.keys().filter(|device| !waits_for.contains(device)).cloned().collect();
        // What can be done on it needs the app that still waits for it.
        let alive = self.local.is_some();
        Notification {
            sent_to,
            waits_for,
            actions: if alive { self.said.note.actions.clone() } else { Vec::new() },
            reply: alive && self.said.note.reply,
            ..view(&self.id, None, &self.said.note, false, self.posted)
        }
    }
}

impl Foreign {
    pub fn view(&self) -> Notification {
        view(&self.id, Some(self.device.clone()), &self.note, self.hidden, self.posted)
    }
}

fn view(id: &str, device: Option<DeviceId>, note: &Note, hidden: bool, posted: Timestamp) -> Notification {
    Notification {
        id: id.to_owned(),
        device,
        app: note.app.clone(),
        title: note.title.clone(),
        body: note.body.clone(),
        icon: note.icon.clone(),
        actions: note.actions.clone(),
        reply: note.reply,
        code: codes::find(&note.texts()),
        hidden,
        posted,
        sent_to: Vec::new(),
        waits_for: Vec::new(),
    }
}

/// Ids of ours begin so, for bridges that must tell ours from the device's own.
pub const OWN_ID: &str = "accord-";

fn new_id() -> String {
    let mut id = [0; 8];
    getrandom::fill(&mut id).expect("the system gives random bytes");
    format!("{OWN_ID}{}", data_encoding::HEXLOWER.encode(&id))
}

fn foreign_id(device: &DeviceId, theirs: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(device.as_str().as_bytes()).update(&[0]).update(theirs.as_bytes());
    data_encoding::HEXLOWER.encode(&hasher.finalize().as_bytes()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone() -> DeviceId {
        DeviceId::new("phone").unwrap()
    }
    fn note(title: &str) -> Note {
        Note { app: "Chat".into(), title: title.into(), ..Note::default() }
    }
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn what_a_device_repeats_is_shown_once_and_what_changed_again() {
        let mut book = Book::default();
        let (first, _) = book.foreign_posted(&phone(), "1", note("a"), false, NOW);
        let Posted::Show { id, replaces: None } = first else { panic!("{first:?}") };
        book.foreign_mut(&id).unwrap().popup = Some(9);
        assert_eq!(book.foreign_posted(&phone(), "1", note("a"), false, NOW).0, Posted::Known);
        let changed = book.foreign_posted(&phone(), "1", note("b"), false, NOW).0;
        assert_eq!(changed, Posted::Show { id: id.clone(), replaces: Some(9) });
        book.foreign_dismissed(&id).unwrap();
        assert_eq!(book.foreign_posted(&phone(), "1", note("b"), false, NOW).0, Posted::Known, "dismissed here");
        book.foreign_removed(&phone(), "1");
        assert!(matches!(book.foreign_posted(&phone(), "1", note("b"), false, NOW).0, Posted::Show { .. }));
    }

    #[test]
    fn the_list_is_bounded_for_each_device() {
        let mut book = Book::default();
        for n in 0..2 * PER_DEVICE {
            book.foreign_posted(&phone(), &n.to_string(), note("a"), false, NOW);
        }
        for n in 0..2 * DEVICES {
            book.foreign_posted(&DeviceId::new(format!("d{n}")).unwrap(), "1", note("a"), false, NOW);
        }
        for n in 0..2 * OWN {
            book.own_posted(Some(n as u32), LocalNote::default(), NOW);
        }
        let list = book.list(|_| Vec::new());
        assert_eq!(list.len(), PER_DEVICE + DEVICES - 1 + OWN);
    }
}
