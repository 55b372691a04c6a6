//! What this device calls itself on the network: an id that changes every 15 minutes, one hint per paired
//! device by which that device, and nobody else, recognises it and learns the link's port, and the protocol
//! name that a paired device dials.

use accord_model::{DeviceId, Timestamp};

use crate::crypto::{base32, mac, same};
use crate::key::PairKey;
use crate::{Identity, PeerRecord};

/// How long an announcement id stays, in seconds. All devices change at the same moments.
pub const SLOT_SECONDS: i64 = 900;
/// Most hints in one announcement; further paired devices are found by their last addresses.
pub const MAX_HINTS: usize = 16;

/// What a paired device recognises another by: 8 bytes that only the two can make, and the link's port
/// (0: closed) under a mask of theirs. Worth nothing to others, and for one announcement id only.
pub type Hint = [u8; 10];
/// What every protocol name of the link begins with.
pub const LINK_ALPN_PREFIX: &[u8] = b"accord/link/1/";
const TAG: usize = 8;
/// Longest text of hints: 160 bytes in base64url.
const HINTS_TEXT: usize = 214;

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
    /// The hints as one text for a TXT record: at most 214 characters of base64url.
    pub fn hints_text(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(&self.hints.concat())
    }
}

/// Reads [`Announcement::hints_text`]; nothing when the text is malformed or too long.
pub fn parse_hints(text: &[u8]) -> Vec<Hint> {
    if text.len() > HINTS_TEXT {
        return Vec::new();
    }
    let bytes = data_encoding::BASE64URL_NOPAD.decode(text).unwrap_or_default();
    let (hints, rest) = bytes.as_chunks::<10>();
    if rest.is_empty() { hints.to_vec() } else { Vec::new() }
}

impl Identity {
    /// The announcement id of a slot.
    pub fn announcement_id(&self, slot: u64) -> String {
        base32(&self.derive("accord/announce/v1", &[&slot.to_be_bytes()])[..10])
    }

    /// What to announce during `slot` so that `peers` recognise this device and find its link at `port`
    /// (0: closed). Blocked ones get no hint.
    pub fn announcement(&self, slot: u64, peers: &[PeerRecord], port: u16) -> Announcement {
        let id = self.announcement_id(slot);
        let known = peers.iter().filter(|peer| !peer.blocked).take(MAX_HINTS);
        let mut hints: Vec<Hint> = known.map(|peer| hint(&peer.pair_key, slot, &id, port)).collect();
        let padded = if hints.is_empty() { 0 } else { hints.len().next_power_of_two().max(4) };
        for index in hints.len()..padded {
            let derived = self.derive("accord/announce/pad/v1", &[&slot.to_be_bytes(), &[index as u8]]);
            hints.push(*first(&derived));
        }
        hints.sort_unstable();
        Announcement { id, hints }
    }
}

/// The hint that an announcement called `id` carries in `slot` for the device that shares `key`.
pub fn hint(key: &PairKey, slot: u64, id: &str, port: u16) -> Hint {
    let mut hint: Hint = *first(&mac(key.bytes(), "accord/hint/v1", &[&slot.to_be_bytes(), id.as_bytes()]));
    for (byte, part) in hint[TAG..].iter_mut().zip(port.to_be_bytes()) {
        *byte ^= part;
    }
    hint
}

/// Which paired device announced `id` with these hints, if any, and the port of its link while that is
/// open. The neighbouring slots count too, for clocks that differ by some minutes. A hint is a reason to
/// connect, not a proof: the connection proves.
pub fn recognise<'a>(
    peers: impl IntoIterator<Item = &'a PeerRecord>,
    now: u64,
    id: &str,
    hints: &[Hint],
) -> Option<(&'a DeviceId, Option<u16>)> {
    let hints = &hints[..hints.len().min(MAX_HINTS)];
    if hints.is_empty() {
        return None;
    }
    peers.into_iter().find_map(|peer| {
        slots_around(now).into_iter().find_map(|slot| {
            let expected = hint(&peer.pair_key, slot, id, 0);
            let found = hints.iter().find(|hint| same(&hint[..TAG], &expected[..TAG]))?;
            let port = u16::from_be_bytes([found[TAG] ^ expected[TAG], found[TAG + 1] ^ expected[TAG + 1]]);
            Some((&peer.device_id, (port != 0).then_some(port)))
        })
    })
}

/// The protocol name (ALPN) under which a device that shares `key` may dial the link of `listener` (its
/// transport key) in `slot`. A link answers to no other names, so that whoever does not know one is turned
/// away before the link shows its key. One use per pair, direction and slot; nobody else can make one.
pub fn link_alpn(key: &PairKey, listener: &[u8; 32], slot: u64) -> Vec<u8> {
    let name = mac(key.bytes(), "accord/link/alpn/v1", &[listener, &slot.to_be_bytes()]);
    [LINK_ALPN_PREFIX, base32(&name[..10]).as_bytes()].concat()
}

/// A slot and its neighbours, which count for clocks that differ by some minutes; the slot itself first.
pub fn slots_around(slot: u64) -> [u64; 3] {
    [slot, slot.saturating_sub(1), slot.saturating_add(1)]
}

fn first<const N: usize>(bytes: &[u8; 32]) -> &[u8; N] {
    bytes.first_chunk().expect("a part of 32 bytes is asked for")
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
        let said = me.announcement(7, std::slice::from_ref(&peer), 4711);
        assert_eq!((said.id.len(), said.hints.len()), (16, 4));

        let (mut known, stranger) = (record("me"), record("other"));
        known.pair_key = key;
        let hints = parse_hints(said.hints_text().as_bytes());
        assert_eq!(hints, said.hints);
        let peers = [stranger.clone(), known.clone()];
        for now in [6, 7, 8] {
            assert_eq!(recognise(&peers, now, &said.id, &hints), Some((&known.device_id, Some(4711))));
        }
        assert_eq!(recognise(&peers, 9, &said.id, &hints), None, "old announcements are worth nothing");
        assert_eq!(recognise(&peers, 7, "anotherid", &hints), None, "hints belong to their id");
        assert_eq!(recognise([&stranger], 7, &said.id, &hints), None);
        let closed = me.announcement(7, std::slice::from_ref(&peer), 0);
        assert_eq!(recognise(&peers, 7, &closed.id, &closed.hints), Some((&known.device_id, None)));
    }

    #[test]
    fn the_links_port_cannot_be_read_from_an_announcement() {
        let (me, peers) = (Identity::generate(), [record("peer"), record("other")]);
        let port: u16 = 4711;
        let shown = |slot| me.announcement(slot, &peers, port).hints.into_iter().map(|hint| [hint[8], hint[9]]);
        let all: Vec<_> = (1..50).flat_map(shown).collect();
        let same = all.iter().filter(|shown| **shown == all[0]).count();
        assert!(same < 5 && all.iter().filter(|shown| **shown == port.to_be_bytes()).count() < 5);
    }

    #[test]
    fn a_link_is_dialled_under_another_name_by_every_peer_in_every_direction_and_slot() {
        let (one, two) = (PairKey::random(), PairKey::random());
        let names = [
            link_alpn(&one, &[1; 32], 7),
            link_alpn(&one, &[1; 32], 8),
            link_alpn(&one, &[2; 32], 7),
            link_alpn(&two, &[1; 32], 7),
        ];
        assert!((0..4).all(|at| names[at + 1..].iter().all(|other| *other != names[at])));
        assert!(names.iter().all(|name| name.starts_with(LINK_ALPN_PREFIX) && name.len() == 30));
        assert_eq!(names[0], link_alpn(&one.clone(), &[1; 32], 7));
    }

    #[test]
    fn nothing_in_two_slots_can_be_linked_and_blocked_devices_are_not_called() {
        let me = Identity::generate();
        let mut peers: Vec<_> = (0..5).map(|index| record(&format!("p{index}"))).collect();
        let (one, two) = (me.announcement(1, &peers, 1), me.announcement(2, &peers, 1));
        assert_eq!((one.hints.len(), two.hints.len()), (8, 8));
        assert_ne!(one.id, two.id);
        assert!(one.hints.iter().all(|hint| !two.hints.contains(hint)));
        peers.iter_mut().for_each(|peer| peer.blocked = true);
        assert!(me.announcement(1, &peers, 1).hints.is_empty());
        let many: Vec<_> = (0..40).map(|index| record(&format!("p{index}"))).collect();
        let text = me.announcement(1, &many, 1).hints_text();
        assert_eq!(parse_hints(text.as_bytes()).len(), MAX_HINTS);
    }

    #[test]
    fn malformed_hints_are_no_hints() {
        for bad in ["", "A", "AAAA", "!!!!", &"A".repeat(216)] {
            assert!(parse_hints(bad.as_bytes()).is_empty(), "{bad}");
        }
        assert_eq!(slot(Timestamp::from_second(1800).unwrap()), 2);
        assert_eq!(slot_ends(1), Timestamp::from_second(1800).unwrap());
        assert_eq!(slot_ends(u64::MAX), Timestamp::MAX);
    }
}
