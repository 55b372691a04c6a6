//! What is in the clipboards here and there, as far as it is known, so that nothing goes in circles. No I/O, no clock.
//!
//! Two rules make circles impossible, however many devices share with each other: only what was copied *here* is sent on
//! by itself, and what is in the clipboard here already is not put there again. The rest is for tools that change what
//! they are given, and for what comes late.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use accord_model::{DeviceId, Timestamp};

use crate::content::{Digest, Kind};

/// What was sent lately comes back within this time, if it does.
const ECHO: Duration = Duration::from_secs(5);
/// A desktop may write a picture anew that it was given.
const REWRITTEN: Duration = Duration::from_secs(3);
const RECENT: usize = 16;
const DEVICES: usize = 256;

/// What to do with what a device copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new here.
    New,
    /// It is in the clipboard already.
    Same,
    /// What is here was copied later, or it is not known when that was.
    Older,
    /// It is ours that comes back.
    Echo,
}

pub(crate) struct Memory {
    current: Option<Digest>,
    changed: Timestamp,
    applied: Option<(Timestamp, Kind)>,
    sent: VecDeque<(Digest, Timestamp)>,
    there: BTreeMap<DeviceId, Digest>,
}

impl Memory {
    /// From `now` on; what is in the clipboard counts as copied then.
    pub fn new(now: Timestamp) -> Self {
        Self { current: None, changed: now, applied: None, sent: VecDeque::new(), there: BTreeMap::new() }
    }

    /// What is in the clipboard when it is looked at first: nobody copied it just now.
    pub fn found(&mut self, digest: Digest) {
        self.current = Some(digest);
    }

    /// The clipboard changed. True when the owner copied that here, so that it may be sent.
    pub fn changed(&mut self, digest: Digest, kind: Kind, now: Timestamp) -> bool {
        if self.current == Some(digest) {
            return false;
        }
        let rewritten = kind == Kind::Image
            && self.applied.is_some_and(|(at, was)| was == Kind::Image && is_within(at, now, REWRITTEN));
        self.current = Some(digest);
        self.applied = None;
        if rewritten {
            return false;
        }
        self.changed = now;
        true
    }

    /// Whether a device lacks this, as far as is known.
    pub fn lacks(&self, device: &DeviceId, digest: Digest) -> bool {
        self.there.get(device) != Some(&digest)
    }

    /// A device was given this.
    pub fn sent(&mut self, device: &DeviceId, digest: Digest, now: Timestamp) {
        self.is_there(device, digest);
        if self.sent.len() >= RECENT {
            self.sent.pop_front();
        }
        self.sent.push_back((digest, now));
    }

    /// A device copied this; `copied` is when, in seconds since 1970, where the device tells it with what it had before.
    pub fn received(&mut self, device: &DeviceId, digest: Digest, copied: Option<i64>, now: Timestamp) -> Verdict {
        self.is_there(device, digest);
        if self.current == Some(digest) {
            return Verdict::Same;
        }
        if copied.is_some_and(|copied| copied <= self.changed.as_second() || copied > now.as_second() + 60) {
            return Verdict::Older;
        }
        if self.sent.iter().any(|(was, at)| *was == digest && is_within(*at, now, ECHO)) {
            return Verdict::Echo;
        }
        Verdict::New
    }

    /// It was put into the clipboard here.
    pub fn applied(&mut self, digest: Digest, kind: Kind, now: Timestamp) {
        self.current = Some(digest);
        self.changed = now;
        self.applied = Some((now, kind));
    }

    /// It could not be put there: nobody knows what is there now.
    pub fn not_applied(&mut self) {
        self.current = None;
        self.applied = None;
    }

    pub fn forget(&mut self, device: &DeviceId) {
        self.there.remove(device);
    }

    fn is_there(&mut self, device: &DeviceId, digest: Digest) {
        if self.there.len() < DEVICES || self.there.contains_key(device) {
            self.there.insert(device.clone(), digest);
        }
    }
}

fn is_within(then: Timestamp, now: Timestamp, span: Duration) -> bool {
    Duration::try_from(now.duration_since(then)).is_ok_and(|age| age <= span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_millis(milliseconds + 1_000_000)
    }
    fn device(n: usize) -> DeviceId {
        DeviceId::new(format!("d{n}")).unwrap()
    }

    #[test]
    fn only_what_is_newer_is_taken_from_a_device_that_tells_what_it_had() {
        let mut memory = Memory::new(at(10_000));
        let seconds = |ms| Some(at(ms).as_second());
        assert_eq!(memory.received(&device(1), [1; 32], seconds(9_000), at(20_000)), Verdict::Older);
        assert_eq!(memory.received(&device(1), [1; 32], Some(0), at(20_000)), Verdict::Older, "it does not know when");
        assert_eq!(memory.received(&device(1), [1; 32], seconds(500_000_000), at(20_000)), Verdict::Older);
        assert_eq!(memory.received(&device(1), [1; 32], seconds(11_000), at(20_000)), Verdict::New);
        memory.applied([1; 32], Kind::Text, at(20_000));
        assert_eq!(memory.received(&device(2), [1; 32], None, at(20_000)), Verdict::Same);
        assert!(!memory.changed([1; 32], Kind::Text, at(21_000)), "put there by us");
        assert!(memory.changed([2; 32], Kind::Text, at(22_000)));
        assert!(!memory.changed([2; 32], Kind::Text, at(23_000)), "copied twice");
    }

    #[test]
    fn what_comes_back_late_and_what_the_desktop_rewrites_is_not_taken_for_new() {
        let mut memory = Memory::new(at(0));
        assert!(memory.changed([1; 32], Kind::Text, at(0)));
        memory.sent(&device(1), [1; 32], at(0));
        assert!(memory.changed([2; 32], Kind::Text, at(1000)));
        assert_eq!(memory.received(&device(2), [1; 32], None, at(2000)), Verdict::Echo);
        assert_eq!(memory.received(&device(2), [1; 32], None, at(60_000)), Verdict::New);
        memory.applied([3; 32], Kind::Image, at(70_000));
        assert!(!memory.changed([4; 32], Kind::Image, at(71_000)));
        assert!(memory.changed([5; 32], Kind::Image, at(72_000)));
    }

    /// Devices that all share with each other by themselves; messages arrive in any order.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Copy(usize, u8),
        Deliver(usize),
    }

    proptest! {
        #[test]
        fn however_many_devices_share_nothing_goes_in_circles(
            devices in 2usize..6,
            steps in proptest::collection::vec(
                prop_oneof![
                    (0usize..6, 0u8..4).prop_map(|(d, c)| Step::Copy(d, c)),
                    (0usize..64).prop_map(Step::Deliver),
                ],
                1..60,
            ),
        ) {
            let mut memories: Vec<_> = (0..devices).map(|_| Memory::new(at(0))).collect();
            let mut on_the_way: Vec<(usize, usize, Digest)> = Vec::new();
            let (mut copies, mut messages, mut now) = (0, 0, 0);
            let mut run = |step: Step, on_the_way: &mut Vec<(usize, usize, Digest)>| {
                now += 700;
                match step {
                    Step::Copy(who, what) if who < devices => {
                        let digest = [what; 32];
                        if memories[who].changed(digest, Kind::Text, at(now)) {
                            copies += 1;
                            for to in (0..devices).filter(|to| *to != who) {
                                if memories[who].lacks(&device(to), digest) {
                                    memories[who].sent(&device(to), digest, at(now));
                                    messages += 1;
                                    on_the_way.push((who, to, digest));
                                }
                            }
                        }
                    }
                    Step::Deliver(which) if !on_the_way.is_empty() => {
                        let (from, to, digest) = on_the_way.remove(which % on_the_way.len());
                        if memories[to].received(&device(from), digest, None, at(now)) == Verdict::New {
                            memories[to].applied(digest, Kind::Text, at(now));
                            // The tool tells the change that we made ourselves.
                            assert!(!memories[to].changed(digest, Kind::Text, at(now)));
                        }
                    }
                    _ => {}
                }
                (copies, messages)
            };
            for step in steps {
                run(step, &mut on_the_way);
            }
            let mut last = (0, 0);
            while !on_the_way.is_empty() {
                last = run(Step::Deliver(0), &mut on_the_way);
            }
            prop_assert!(last.1 <= last.0 * (devices - 1), "each copy goes to each other device at most once");
        }
    }
}
