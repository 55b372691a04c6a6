//! Devices that were heard of.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::core::message::DeviceInfo;
use crate::core::{Fingerprint, Target};

/// Most addresses kept of one device, the latest first.
const MAX_ADDRESSES: usize = 4;
/// Asked so often in vain, a device is gone.
const MAX_SILENT: u8 = 2;

/// A device and where it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says of itself.
    pub info: DeviceInfo,
    /// Where its server is, the latest first.
    pub at: Vec<Target>,
    /// Whether it proved that it is the device with this fingerprint. Until then anybody may have said so.
    pub verified: bool,
}

#[derive(Debug)]
struct Known {
    found: Found,
    heard: Instant,
    asked: Option<Instant>,
    silent: u8,
}

/// What came of a word from a device.
pub(super) enum Heard {
    New(Found),
    Changed(Found),
    Same,
    Ignored,
}

#[derive(Debug)]
pub(super) struct Peers {
    most: usize,
    ask_after: Duration,
    known: HashMap<Fingerprint, Known>,
}

impl Peers {
    pub(super) fn new(most: usize, ask_after: Duration) -> Self {
        Self { most, ask_after, known: HashMap::new() }
    }

    pub(super) fn found(&self) -> impl Iterator<Item = &Found> {
        self.known.values().map(|known| &known.found)
    }

    /// What an unproved word says of a proved device is only that it may be there too.
    pub(super) fn heard(&mut self, info: &DeviceInfo, at: Target, verified: bool, now: Instant) -> Heard {
        let Some(known) = self.known.get_mut(&info.fingerprint) else {
            if self.known.len() >= self.most && !self.make_room(verified) {
                return Heard::Ignored;
            }
            let found = Found { info: info.clone(), at: vec![at], verified };
            let known = Known { found: found.clone(), heard: now, asked: None, silent: 0 };
            self.known.insert(info.fingerprint.clone(), known);
            return Heard::New(found);
        };
        let before = known.found.clone();
        let found = &mut known.found;
        if verified || !found.verified {
            found.info = info.clone();
            found.verified |= verified;
            found.at.retain(|other| *other != at);
            found.at.insert(0, at);
            (known.heard, known.asked, known.silent) = (now, None, 0);
        } else if !found.at.contains(&at) {
            found.at.push(at);
        }
        found.at.truncate(MAX_ADDRESSES);
        if *found == before { Heard::Same } else { Heard::Changed(found.clone()) }
    }

    pub(super) fn heard_at(&self, fingerprint: &Fingerprint) -> Option<Instant> {
        self.known.get(fingerprint).map(|known| known.heard)
    }

    /// When the next device is to be asked whether it is there.
    pub(super) fn next_asking(&self) -> Option<Instant> {
        self.known.values().map(|known| known.asked.unwrap_or(known.heard) + self.ask_after).min()
    }

    pub(super) fn due(&mut self, now: Instant) -> Vec<Target> {
        let mut targets = Vec::new();
        for known in self.known.values_mut() {
            if known.asked.unwrap_or(known.heard) + self.ask_after <= now {
                known.asked = Some(now);
                targets.extend(known.found.at.first().cloned());
            }
        }
        targets
    }

    /// A device did not answer there. Gives it when that means it is gone, and when it was heard last.
    pub(super) fn silent(&mut self, target: &Target) -> Option<(Fingerprint, Instant)> {
        let fingerprint = target.fingerprint.as_ref()?;
        let known = self.known.get_mut(fingerprint).filter(|known| known.found.at.contains(target))?;
        known.silent += 1;
        if known.silent < MAX_SILENT {
            known.found.at.rotate_left(1);
            return None;
        }
        let gone = self.known.remove(fingerprint)?;
        Some((fingerprint.clone(), gone.heard))
    }

    /// A flood of made-up devices does not push out proved ones; a proved one pushes out the oldest made-up one.
    fn make_room(&mut self, verified: bool) -> bool {
        let oldest = self.known.iter().filter(|(_, known)| !known.found.verified).min_by_key(|(_, known)| known.heard);
        match oldest.map(|(fingerprint, _)| fingerprint.clone()) {
            Some(fingerprint) if verified => self.known.remove(&fingerprint).is_some(),
            _ => false,
        }
    }
}
