//! What a device answered that it does not say, and until when it is not asked for that. Few reasons say that it has no such
//! thing; all others pass, and are no reason to ask without pause either.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::line::{Failure, refusal};
use super::map::Map;
use super::said::Refuses;
use super::spec::At;

/// So often in a row it has to say that it has no such thing before that is believed, and for so long it is.
const TIMES: u32 = 3;
const BELIEVED_FOR: Duration = Duration::from_secs(3600);
/// After any other reason it is not asked for this long, each time in a row twice as long, up to the second.
const PAUSE: Duration = Duration::from_secs(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Of so many it is said which.
const NAMED: usize = 3;

struct Refusal {
    why: Failure,
    times: u32,
    until: Instant,
}

/// Properties that were refused when they were asked for last.
#[derive(Default)]
pub struct Refused(BTreeMap<At, Refusal>);

impl Refused {
    /// It was refused once more.
    pub fn note(&mut self, at: At, why: Failure, now: Instant) {
        let before = self.0.get(&at).filter(|before| is_lasting(&before.why) == is_lasting(&why));
        if let Some(before) = before.filter(|before| now < before.until) {
            // Somebody wanted to know meanwhile, which makes the pause no longer.
            let (times, until) = (before.times, before.until);
            self.0.insert(at, Refusal { why, times, until });
            return;
        }
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        let until = match (is_lasting(&why), times) {
            (true, TIMES..) => now + BELIEVED_FOR,
            (true, _) => now,
            (false, _) => now + (PAUSE * 2u32.saturating_pow(times.min(8) - 1)).min(LONGEST_PAUSE),
        };
        self.0.insert(at, Refusal { why, times, until });
    }

    /// It was said.
    pub fn said(&mut self, at: At) {
        self.0.remove(&at);
    }

    /// Nothing is known any more: another model, or one that was away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether it is not to be asked for now by itself.
    pub fn rests(&self, at: At, now: Instant) -> bool {
        self.0.get(&at).is_some_and(|refusal| now < refusal.until)
    }

    /// Whether the device has no such thing, as far as it can be believed.
    pub fn lacks(&self, at: At, now: Instant) -> bool {
        self.0.get(&at).is_some_and(|refusal| now < refusal.until && is_lasting(&refusal.why))
    }

    /// How many, and of the first few which and why, by their names in a map.
    pub fn all(&self, map: Option<&Map>) -> Refuses {
        let named = |(at, refusal): (&At, &Refusal)| Some((map?.name_of(*at)?, refusal.why.to_string()));
        Refuses { count: self.0.len(), some: self.0.iter().filter_map(named).take(NAMED).collect() }
    }
}

/// Whether a reason says that there is no such thing to be read: MIoT's -4001 (not readable), -4002 (not writable, said for
/// either by some) and -4003 (no such thing), or that the method is unknown. The others pass: busy, failed inside, offline.
fn is_lasting(why: &Failure) -> bool {
    match why {
        Failure::NoMethod(_) => true,
        Failure::Device { code, .. } => matches!(refusal(*code), Failure::Device { code: -4003..=-4001, .. }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_device_does_not_have_is_left_alone_for_long_and_not_for_ever() {
        let (at, begin) = (At::new(2, 1), Instant::now());
        let after = |seconds: u64| begin + Duration::from_secs(seconds);
        for code in [-4001, -4003, -704_220_003, -704_030_013] {
            let mut refused = Refused::default();
            for _ in 0..TIMES {
                assert!(!refused.rests(at, begin), "{code}: it may have been said by mistake");
                refused.note(at, refusal(code), begin);
            }
            assert!(refused.lacks(at, after(3599)) && !refused.lacks(at, after(3600)), "{code}");
            refused.note(at, refusal(code), after(3600));
            assert!(refused.rests(at, after(7199)), "{code}: it is so still");
            refused.said(at);
            assert!(!refused.rests(at, after(3601)), "{code}");
        }
        for code in [-4004, -9999, -30_001, -5001, -10_000, -704_042_011, 0] {
            let mut refused = Refused::default();
            let mut now = begin;
            for pause in [20, 40, 80, 160, 300, 300, 300] {
                refused.note(at, refusal(code), now);
                assert!(!refused.lacks(at, now), "{code}");
                refused.note(at, refusal(code), now + Duration::from_secs(1));
                assert!(refused.rests(at, now + Duration::from_secs(pause - 1)), "{code}: not without pause");
                now += Duration::from_secs(pause);
                assert!(!refused.rests(at, now), "{code}: after {pause} s it is asked for again");
            }
        }
    }

    #[test]
    fn another_reason_begins_anew() {
        let (at, now) = (At::new(2, 1), Instant::now());
        let mut refused = Refused::default();
        (0..2).for_each(|_| refused.note(at, refusal(-4003), now));
        refused.note(at, refusal(-4004), now);
        refused.note(at, refusal(-4003), now);
        assert!(!refused.lacks(at, now), "it never said so three times in a row");
    }
}
