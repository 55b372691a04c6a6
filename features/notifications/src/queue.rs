//! What waits for devices that are away: bounded, expiring, and each thing at most once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use accord_model::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::note::Note;

const MAX_DEVICES: usize = 64;

/// Something to tell a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub(crate) enum Op {
    /// Show or change ours.
    Show { id: String, note: Note },
    /// Take back ours.
    Remove { id: String },
    /// Dismiss the device's own.
    Dismiss { id: String },
}

impl Op {
    pub fn id(&self) -> &str {
        match self {
            Self::Show { id, .. } | Self::Remove { id } | Self::Dismiss { id } => id,
        }
    }
    fn is_theirs(&self) -> bool {
        matches!(self, Self::Dismiss { .. })
    }
}

/// An [`Op`] and when it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub op: Op,
    pub since: Timestamp,
    /// In the state file: it has to be gone from there before it is sent.
    #[serde(skip, default = "yes")]
    pub saved: bool,
}

fn yes() -> bool {
    true
}

/// By device, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Queue(BTreeMap<DeviceId, VecDeque<Waiting>>);

/// Bounds of the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub per_device: usize,
    pub lasts: Duration,
}

impl Queue {
    /// Puts something in; what it outdates goes. The oldest goes when there is no room.
    pub fn push(&mut self, device: &DeviceId, op: Op, bounds: Bounds, now: Timestamp) {
        if !self.0.contains_key(device) && self.0.len() >= MAX_DEVICES {
            return;
        }
        let queue = self.0.entry(device.clone()).or_default();
        queue.retain(|waiting| waiting.op.id() != op.id() || waiting.op.is_theirs() != op.is_theirs());
        queue.push_back(Waiting { op, since: now, saved: false });
        while queue.len() > bounds.per_device {
            queue.pop_front();
        }
    }

    /// The next for a device.
    pub fn pop(&mut self, device: &DeviceId) -> Option<Waiting> {
        let queue = self.0.get_mut(device)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.0.remove(device);
        }
        next
    }

    /// What could not be sent goes back to the front, unless something newer took its place.
    pub fn put_back(&mut self, device: &DeviceId, waiting: Waiting, bounds: Bounds) {
        let queue = self.0.entry(device.clone()).or_default();
        let same = |other: &Waiting| other.op.id() == waiting.op.id() && other.op.is_theirs() == waiting.op.is_theirs();
        if queue.len() < bounds.per_device && !queue.iter().any(same) {
            queue.push_front(waiting);
        }
        if queue.is_empty() {
            self.0.remove(device);
        }
    }

    /// Takes out what waits for a device about this one of ours.
    pub fn forget(&mut self, device: &DeviceId, id: &str) {
        let Some(queue) = self.0.get_mut(device) else { return };
        queue.retain(|waiting| waiting.op.id() != id || waiting.op.is_theirs());
        if queue.is_empty() {
            self.0.remove(device);
        }
    }

    /// Drops what is too old; true when there was any.
    pub fn expire(&mut self, bounds: Bounds, now: Timestamp) -> bool {
        let old = |waiting: &Waiting| {
            // A clock that was set back makes nothing old.
            Duration::try_from(now.duration_since(waiting.since)).is_ok_and(|age| age >= bounds.lasts)
        };
        let before = self.len();
        for queue in self.0.values_mut() {
            queue.retain(|waiting| !old(waiting));
        }
        self.0.retain(|_, queue| !queue.is_empty());
        self.len() != before
    }

    /// Devices that something waits for.
    pub fn devices(&self) -> Vec<DeviceId> {
        self.0.keys().cloned().collect()
    }

    /// Devices that a `show` of this waits for.
    pub fn waiting_for(&self, id: &str) -> Vec<DeviceId> {
        let waits = |waiting: &Waiting| matches!(&waiting.op, Op::Show { id: shown, .. } if shown == id);
        self.0.iter().filter(|(_, queue)| queue.iter().any(waits)).map(|(device, _)| device.clone()).collect()
    }

    pub fn drop_device(&mut self, device: &DeviceId) {
        self.0.remove(device);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.values().map(VecDeque::len).sum()
    }

    /// What the state file holds from now on.
    pub fn mark_saved(&mut self) {
        self.0.values_mut().flatten().for_each(|waiting| waiting.saved = true);
    }

    /// Whether something waits that the state file does not hold.
    pub fn has_unsaved(&self) -> bool {
        self.0.values().flatten().any(|waiting| !waiting.saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { per_device: 3, lasts: Duration::from_secs(60) };

    fn show(id: &str, title: &str) -> Op {
        Op::Show { id: id.into(), note: Note { title: title.into(), ..Note::default() } }
    }
    fn phone() -> DeviceId {
        DeviceId::new("phone").unwrap()
    }
    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_change_takes_the_place_of_what_waits_and_nothing_waits_twice() {
        let mut queue = Queue::default();
        for title in ["one", "two"] {
            queue.push(&phone(), show("a", title), BOUNDS, at(0));
        }
        let first = queue.pop(&phone()).unwrap();
        assert_eq!(first.op, show("a", "two"));
        queue.push(&phone(), show("a", "three"), BOUNDS, at(0));
        queue.put_back(&phone(), first, BOUNDS);
        assert_eq!(queue.pop(&phone()).unwrap().op, show("a", "three"));
        assert!(queue.is_empty());
    }

    #[test]
    fn it_is_bounded_and_expires() {
        let mut queue = Queue::default();
        for n in 0..10u64 {
            queue.push(&phone(), show(&n.to_string(), ""), BOUNDS, at(n));
        }
        assert_eq!(queue.len(), 3);
        assert!(queue.expire(BOUNDS, at(68)));
        assert_eq!(queue.pop(&phone()).unwrap().op.id(), "9");
        for n in 0..1000 {
            queue.push(&DeviceId::new(format!("d{n}")).unwrap(), show("a", ""), BOUNDS, at(0));
        }
        assert_eq!(queue.devices().len(), MAX_DEVICES);
        assert!(!queue.expire(BOUNDS, Timestamp::UNIX_EPOCH - Duration::from_secs(9)), "the clock was set back");
    }

    #[test]
    fn what_was_never_shown_need_not_be_taken_back() {
        let mut queue = Queue::default();
        queue.push(&phone(), show("a", ""), BOUNDS, at(0));
        queue.push(&phone(), Op::Dismiss { id: "a".into() }, BOUNDS, at(0));
        queue.forget(&phone(), "a");
        assert_eq!(queue.len(), 1, "the device's own with the same id is another");
    }
}
