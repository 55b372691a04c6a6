//! What this device calls itself on the network: an id that changes every 15 minutes, and one hint per
//! paired device by which that device, and nobody else, recognises it.

use accord_model::{DeviceId, Timestamp};

use crate::crypto::{base32, mac, same};
use crate::key::PairKey;
use crate::{Identity, PeerRecord};

/// How long an announcement id stays, in seconds. All devices change at the same moments.
pub const SLOT_SECONDS: i64 = 900;
/// Most hints in one announcement; further paired devices are found by their last addresses.
pub const MAX_HINTS: usize = 16;

/// What a paired device recognises another by; worth nothing to others, and for one announcement id only.
pub type Hint = [u8; 8];

/// The time slot that `now` falls in.
pub fn slot(now: Timestamp) -> u64 {
    now.as_second().div_euclid(SLOT_SECONDS).max(0) as u64
}

/// When the slot after `slot` begins: the moment to announce anew.
pub fn slot_ends(slot: u64) -> Timestamp {
    let second = i64::try_from(slot).unwrap_or(i64::MAX).saturating_add(1).saturating_mul(SLOT_SECONDS);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// What to announce during one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// 16 characters of base32; instance and host name.
    pub id: String,
    /// In an order, and padded to a number (0, 4, 8 or 16), that say little of who or how many are paired.
    pub hints: Vec<Hint>,
}

impl Announcement {
    /// The hints as one text for a TXT record: at most 172 characters of base64url.
    pub fn hints_text(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(&self.hints.concat())
    }
}

/// Reads [`Announcement::hints_text`]; nothing when the text is malformed or too long.
pub fn parse_hints(text: &[u8]) -> Vec<Hint> {
    if text.len() > 172 {
        return Vec::new();
    }
    let bytes = data_encoding::BASE64URL_NOPAD.decode(text).unwrap_or_default();
    let (hints, rest) = bytes.as_chunks::<8>();
    if rest.is_empty() { hints.to_vec() } else { Vec::new() }
}

impl Identity {
    /// The announcement id of a slot.
    pub fn announcement_id(&self, slot: u64) -> String {
        base32(&self.derive("accord/announce/v1", &[&slot.to_be_bytes()])[..10])
    }

    /// What to announce during `slot` so that `peers` recognise this device. Blocked ones get no hint.
    pub fn announcement(&self, slot: u64, peers: &[PeerRecord]) -> Announcement {
        let id = self.announcement_id(slot);
        let known = peers.iter().filter(|peer| !peer.blocked).take(MAX_HINTS);
        let mut hints: Vec<Hint> = known.map(|peer| hint(&peer.pair_key, slot, &id)).collect();
        let padded = if hints.is_empty() { 0 } else { hints.len().next_power_of_two().max(4) };
        for index in hints.len()..padded {
            hints.push(first8(self.derive("accord/announce/pad/v1", &[&slot.to_be_bytes(), &[index as u8]])));
        }
        hints.sort_unstable();
        Announcement { id, hints }
    }
}

/// The hint that an announcement called `id` carries in `slot` for the device that shares `key`.
pub fn hint(key: &PairKey, slot: u64, id: &str) -> Hint {
    first8(mac(key.bytes(), "accord/hint/v1", &[&slot.to_be_bytes(), id.as_bytes()]))
}

/// Which paired device announced `id` with these hints, if any. The neighbouring slots count too, for
/// clocks that differ by some minutes. A hint is a reason to connect, not a proof: the connection proves.
pub fn recognise<'a>(
    peers: impl IntoIterator<Item = &'a PeerRecord>,
    now: u64,
    id: &str,
    hints: &[Hint],
) -> Option<&'a DeviceId> {
    let slots = [now, now.saturating_sub(1), now.saturating_add(1)];
    let hints = &hints[..hints.len().min(MAX_HINTS)];
    if hints.is_empty() {
        return None;
    }
    peers.into_iter().find_map(|peer| {
        let found = slots.iter().any(|slot| {
            let expected = hint(&peer.pair_key, *slot, id);
            hints.iter().any(|hint| same(hint, &expected))
        });
        found.then_some(&peer.device_id)
    })
}

fn first8(bytes: [u8; 32]) -> Hint {
    let mut hint = Hint::default();
    hint.copy_from_slice(&bytes[..8]);
    hint
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tests::record;

    #[test]
    fn a_paired_device_recognises_an_announcement_and_a_stranger_does_not() {
        let (me, key) = (Identity::generate(), PairKey::random());
        let mut peer = record("peer");
        peer.pair_key = key.clone();
        let said = me.announcement(7, std::slice::from_ref(&peer));
        assert_eq!((said.id.len(), said.hints.len()), (16, 4));

        let (mut known, stranger) = (record("me"), record("other"));
        known.pair_key = key;
        let hints = parse_hints(said.hints_text().as_bytes());
        assert_eq!(hints, said.hints);
        let peers = [stranger.clone(), known.clone()];
        for now in [6, 7, 8] {
            assert_eq!(recognise(&peers, now, &said.id, &hints), Some(&known.device_id));
        }
        assert_eq!(recognise(&peers, 9, &said.id, &hints), None, "old announcements are worth nothing");
        assert_eq!(recognise(&peers, 7, "anotherid", &hints), None, "hints belong to their id");
        assert_eq!(recognise([&stranger], 7, &said.id, &hints), None);
    }

    #[test]
    fn nothing_in_two_slots_can_be_linked_and_blocked_devices_are_not_called() {
        let me = Identity::generate();
        let mut peers: Vec<_> = (0..5).map(|index| record(&format!("p{index}"))).collect();
        let (one, two) = (me.announcement(1, &peers), me.announcement(2, &peers));
        assert_eq!((one.hints.len(), two.hints.len()), (8, 8));
        assert_ne!(one.id, two.id);
        assert!(one.hints.iter().all(|hint| !two.hints.contains(hint)));
        peers.iter_mut().for_each(|peer| peer.blocked = true);
        assert!(me.announcement(1, &peers).hints.is_empty());
        let many: Vec<_> = (0..40).map(|index| record(&format!("p{index}"))).collect();
        let text = me.announcement(1, &many).hints_text();
        assert_eq!(parse_hints(text.as_bytes()).len(), MAX_HINTS);
    }

    #[test]
    fn malformed_hints_are_no_hints() {
        for bad in ["", "A", "AAAA", "!!!!", &"A".repeat(400)] {
            assert!(parse_hints(bad.as_bytes()).is_empty(), "{bad}");
        }
        assert_eq!(slot(Timestamp::from_second(1800).unwrap()), 2);
        assert_eq!(slot_ends(1), Timestamp::from_second(1800).unwrap());
        assert_eq!(slot_ends(u64::MAX), Timestamp::MAX);
    }
}
